/*
 * sink_watch - see sink_watch.h.
 *
 * Peaks are exact: each address and domain keeps the times of all its transactions within the
 * longest window. The journal goes through stdio's buffer and is complete when the file is closed.
 */
#include "tool/sink_watch.h"

#include "tool/window.h"

#include "base/hash.h"
#include "base/mem.h"

#include <pthread.h>

enum { WATCH_CLIENTS, WATCH_HOSTS, WATCH_DOMAINS, WATCH_KINDS };

static const char *const kind_names[WATCH_KINDS] = { "clients", "hosts", "domains" };

struct counted {
	uint64_t connections, open, open_peak;
	uint64_t transactions, messages, recipients, octets;
	struct window windows[WATCH_WINDOWS_MAX];
};

struct watched {
	struct map_node in_watch;
	char *name;		/* owned */
	struct counted counted;
};

struct watch {
	struct watch_settings settings;
	pthread_mutex_t lock;
	struct counted all;
	struct map kinds[WATCH_KINDS];	/* members owned */
};

struct watch *watch_new(const struct watch_settings *settings)
{
	struct watch *w = mem_zalloc(sizeof(*w));

	w->settings = *settings;
	pthread_mutex_init(&w->lock, NULL);
	for (int k = 0; k < WATCH_KINDS; k++)
		map_init(&w->kinds[k]);
	return w;
}

static void counted_done(struct counted *c)
{
	for (unsigned i = 0; i < WATCH_WINDOWS_MAX; i++)
		window_done(&c->windows[i]);
}

void watch_free(struct watch *w)
{
	struct map_node *at, *next;

	if (!w)
		return;
	counted_done(&w->all);
	for (int k = 0; k < WATCH_KINDS; k++) {
		for (at = map_walk(&w->kinds[k], NULL); at; at = next) {
			struct watched *x = (struct watched *)at;

			next = map_walk(&w->kinds[k], at);
			counted_done(&x->counted);
			mem_free(x->name);
			mem_free(x);
		}
		map_done(&w->kinds[k]);
	}
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}

/* Under the lock. Names are compared without case. */
static struct watched *watched_get(struct watch *w, int kind, struct str name)
{
	uint64_t hash = hash_nocase(name);
	struct map_node *at = map_first(&w->kinds[kind], hash);
	struct watched *x;

	for (; at; at = map_next(at)) {
		x = (struct watched *)at;
		if (str_eq_nocase(str_of(x->name), name))
			return x;
	}
	x = mem_zalloc(sizeof(*x));
	x->name = str_dup(name);
	str_lower(x->name, strlen(x->name));
	map_insert(&w->kinds[kind], &x->in_watch, hash);
	return x;
}

static void opened(struct counted *c)
{
	c->connections++;
	if (++c->open > c->open_peak)
		c->open_peak = c->open;
}

static void began(struct watch *w, struct counted *c, uint64_t now)
{
	c->transactions++;
	for (unsigned i = 0; i < w->settings.windows_n; i++)
		window_add(&c->windows[i], now, w->settings.windows_ns[i]);
}

static void took(struct counted *c, unsigned recipients, uint64_t octets)
{
	c->messages++;
	c->recipients += recipients;
	c->octets += octets;
}

void watch_connect(struct watch *w, struct watch_visit *v)
{
	char text[ENDPOINT_TEXT_MAX];

	pthread_mutex_lock(&w->lock);
	v->at_client = watched_get(w, WATCH_CLIENTS, str_of(ip_text(text, &v->client)));
	v->at_host = watched_get(w, WATCH_HOSTS, str_of(ip_text(text, &v->host)));
	v->at_domain = NULL;
	opened(&w->all);
	opened(&v->at_client->counted);
	opened(&v->at_host->counted);
	pthread_mutex_unlock(&w->lock);
}

void watch_disconnect(struct watch *w, struct watch_visit *v)
{
	pthread_mutex_lock(&w->lock);
	w->all.open--;
	v->at_client->counted.open--;
	v->at_host->counted.open--;
	if (v->at_domain)
		v->at_domain->counted.open--;
	pthread_mutex_unlock(&w->lock);
}

void watch_mail(struct watch *w, struct watch_visit *v, uint64_t now)
{
	pthread_mutex_lock(&w->lock);
	began(w, &w->all, now);
	began(w, &v->at_client->counted, now);
	began(w, &v->at_host->counted, now);
	pthread_mutex_unlock(&w->lock);
}

void watch_rcpt(struct watch *w, struct watch_visit *v, struct str domain, bool is_first,
		uint64_t now)
{
	struct watched *x;

	pthread_mutex_lock(&w->lock);
	x = watched_get(w, WATCH_DOMAINS, domain);
	if (x != v->at_domain) {
		if (v->at_domain)
			v->at_domain->counted.open--;
		opened(&x->counted);
		v->at_domain = x;
		is_first = true;
	}
	if (is_first)
		began(w, &x->counted, now);
	pthread_mutex_unlock(&w->lock);
}

void watch_message(struct watch *w, struct watch_visit *v, unsigned recipients, uint64_t octets)
{
	pthread_mutex_lock(&w->lock);
	took(&w->all, recipients, octets);
	took(&v->at_client->counted, recipients, octets);
	took(&v->at_host->counted, recipients, octets);
	if (v->at_domain)
		took(&v->at_domain->counted, recipients, octets);
	pthread_mutex_unlock(&w->lock);
}

static void put_word(FILE *out, struct str s)
{
	if (!s.n)
		fputc('-', out);
	for (size_t i = 0; i < s.n; i++)
		fputc((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f ? '?' : s.p[i], out);
	fputc(' ', out);
}

void watch_journal(struct watch *w, const struct watch_visit *v, const struct watch_line *line)
{
	FILE *out = w->settings.journal;
	char client[ENDPOINT_TEXT_MAX], host[ENDPOINT_TEXT_MAX];

	if (!out)
		return;
	pthread_mutex_lock(&w->lock);
	fprintf(out, "%lld %s %s %u ", (long long)line->mail_ms, ip_text(client, &v->client),
		ip_text(host, &v->host), line->code);
	put_word(out, line->sender);
	put_word(out, line->recipients);
	fprintf(out, "%llu\n", (unsigned long long)line->octets);
	pthread_mutex_unlock(&w->lock);
}

/* ---- JSON */

static void put_counted(const struct watch *w, FILE *out, const struct counted *c)
{
	fprintf(out, "\"connections\": %llu, \"connections_peak\": %llu, \"transactions\": %llu, ",
		(unsigned long long)c->connections, (unsigned long long)c->open_peak,
		(unsigned long long)c->transactions);
	fprintf(out, "\"messages\": %llu, \"recipients\": %llu, \"octets\": %llu, \"peaks\": [",
		(unsigned long long)c->messages, (unsigned long long)c->recipients,
		(unsigned long long)c->octets);
	for (unsigned i = 0; i < w->settings.windows_n; i++)
		fprintf(out, "%s%zu", i ? ", " : "", c->windows[i].peak);
	fputc(']', out);
}

/* What JSON would take for something else never stands in a sound domain. */
static void put_name(FILE *out, const char *name)
{
	fputc('"', out);
	for (; *name; name++)
		fputc((unsigned char)*name < ' ' || strchr("\"\\", *name) ? '?' : *name, out);
	fputc('"', out);
}

void watch_write(struct watch *w, FILE *out)
{
	pthread_mutex_lock(&w->lock);
	fprintf(out, "\"windows_ms\": [");
	for (unsigned i = 0; i < w->settings.windows_n; i++)
		fprintf(out, "%s%llu", i ? ", " : "",
			(unsigned long long)w->settings.windows_ns[i] / 1000000);
	fprintf(out, "],\n");
	put_counted(w, out, &w->all);
	for (int k = 0; k < WATCH_KINDS; k++) {
		const struct map_node *at = NULL;
		bool is_first = true;

		fprintf(out, ",\n\"%s\": {", kind_names[k]);
		while ((at = map_walk(&w->kinds[k], at))) {
			const struct watched *x = (const struct watched *)at;

			fprintf(out, is_first ? "\n " : ",\n ");
			put_name(out, x->name);
			fprintf(out, ": {");
			put_counted(w, out, &x->counted);
			fputc('}', out);
			is_first = false;
		}
		fprintf(out, "}");
	}
	fputc('\n', out);
	pthread_mutex_unlock(&w->lock);
}
