/*
 * reload - a new configuration into a running relay (DESIGN section 7).
 *
 * The file is parsed anew; only if it is sound and every new address could be bound is the
 * snapshot swapped. Sessions under way finish on the old one. What cannot change at run time is
 * told as a warning and stays as it was. All of it runs on the worker's main thread, one reload
 * after the other.
 */
#include "run/worker.h"

#include "base/mem.h"
#include "dns/dns.h"
#include "report/log.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define LISTEN_WAIT_MS 5000

static void tell(const struct worker *w, enum link_kind kind)
{
	link_send(w->start->link, &(struct link_message){ .kind = kind }, -1);
}

static void warn_fixed(struct buf *messages, const struct config *old, const struct config *new)
{
	bool same[] = { strcmp(old->state, new->state) == 0, str_eq(old->user, new->user),
			old->workers == new->workers };
	static const char *const names[] = { "state", "user", "workers" };

	for (int i = 0; i < 3; i++)
		if (!same[i])
			buf_printf(messages, "%.*s: warning: \"%s\" cannot change while the "
					     "relay runs; the new "
				   "value counts from the next start\n", STR_ARG(new->path),
					   names[i]);
}

/* Ask the supervisor for a socket. fd, or -errno. */
static int ask_for_listener(const struct worker *w, const struct endpoint *e)
{
	struct pollfd p = { .fd = w->start->link, .events = POLLIN };
	struct link_message m;
	int r, fd = -1;

	/* the answer to a question that was given up */
	while (link_receive(p.fd, &m, &fd) == 1)
		if (fd >= 0)
			close(fd);
	m = (struct link_message){ .kind = LINK_LISTEN };
	link_from_endpoint(&m, e);
	r = link_send(p.fd, &m, -1);
	if (r < 0)
		return r;
	do
		r = poll(&p, 1, LISTEN_WAIT_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return -ETIMEDOUT;
	r = link_receive(p.fd, &m, &fd);
	if (r <= 0)
		return r < 0 ? r : -EPIPE;
	if (m.error < 0)
		return m.error;
	return fd >= 0 ? fd : -EPROTO;
}

/*
 * The sockets that c needs and that are not there yet; they are put behind the others of the
 * table.
 */
static bool gain_listeners(struct worker *w, const struct config *c, struct buf *messages)
{
	struct listeners *l = w->start->listeners;
	char text[ENDPOINT_TEXT_MAX];

	for (unsigned i = 0; i < c->listens_n; i++) {
		const struct config_listen *at = &c->listens[i];
		int fd;

		if (listeners_find(l, &at->endpoint) >= 0)
			continue;
		fd = l->n < LISTENERS_MAX ? ask_for_listener(w, &at->endpoint) : -EMFILE;
		if (fd < 0) {
			buf_printf(messages, "%s:%u: error: cannot listen on %s: %s\n",
				   at->place.file,
				   at->place.line, endpoint_text(text, &at->endpoint),
					   strerror(-fd));
			return false;
		}
		listeners_put(l, &at->endpoint, fd);
	}
	return true;
}

static void log_lines(enum log_event event, struct buf *messages, size_t from)
{
	struct str rest = str_from(buf_str(messages), from);

	while (rest.n) {
		ssize_t end = str_find(rest, '\n');
		struct str line = str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);

		rest = str_from(rest, line.n + 1);
		if (!line.n)
			continue;
		log_begin(event);
		log_str("text", line);
		log_end();
	}
}

static void listen_new(struct worker *w, const struct listeners *l, unsigned from,
		       struct buf *messages)
{
	char text[ENDPOINT_TEXT_MAX];

	for (unsigned i = from; i < l->n; i++) {
		int r = receive_listen(w->receive, l->at[i].fd, &l->at[i].endpoint);

		if (r < 0)
			buf_printf(messages, "warning: cannot accept connections on %s: %s\n",
				   endpoint_text(text, &l->at[i].endpoint), strerror(-r));
		log_begin(LOG_LISTENING);
		log_endpoint("address", &l->at[i].endpoint);
		log_end();
	}
}

static bool is_named(const struct config *c, const struct endpoint *e)
{
	for (unsigned i = 0; i < c->listens_n; i++)
		if (endpoint_eq(&c->listens[i].endpoint, e))
			return true;
	return false;
}

static void unlisten_gone(struct worker *w, const struct config *c)
{
	struct listeners *l = w->start->listeners;

	for (unsigned i = l->n; i-- > 0;) {
		if (is_named(c, &l->at[i].endpoint))
			continue;
		receive_unlisten(w->receive, &l->at[i].endpoint);
		listeners_remove(l, i);
	}
}

/* The files that the resolver is made from may have changed, too, so it is always made anew. */
static void resolve_anew(struct worker *w, const struct config *c, struct buf *messages)
{
	struct buf error = BUF_INIT(2048);
	int r = worker_resolver(c, &error);

	if (r < 0)
		buf_printf(messages, "warning: cannot set up the resolver: %s; the old one stays\n",
			   buf_cstr(&error));
	else if (error.n)
		buf_printf(messages, "warning: %s\n", buf_cstr(&error));
	if (r == 0)
		dns_forget(deliver_dns(w->deliver));
	buf_done(&error);
}

/*
 * From here on nothing can fail. Takes the reference of new; its new listeners stand from `from`
 * on.
 */
static void put_in_force(struct worker *w, struct config *new, unsigned from, struct buf *messages)
{
	struct spool_options o;
	int r;

	config_set_current(config_ref(new));	/* receive_listen looks its settings up there */
	resolve_anew(w, new, messages);
	listen_new(w, w->start->listeners, from, messages);
	unlisten_gone(w, new);
	worker_spool_options(w, new, &o);
	spool_set_limits(w->spool, &o);
	schedule_reload(w->schedule);
	r = log_reopen(new);
	if (r < 0)
		buf_printf(messages,
			   "warning: cannot open the log file %s: %s; the old one is kept\n",
			   new->log.file, strerror(-r));
	config_unref(new);
}

static int refuse(struct worker *w, struct buf *messages, size_t from, unsigned errors)
{
	log_begin(LOG_RELOAD_FAILED);
	log_u64("errors", errors);
	log_end();
	log_lines(LOG_WARNING, messages, from);
	tell(w, LINK_RELOAD_FAILED);
	return -EINVAL;
}

int worker_reload(struct worker *w, struct buf *messages)
{
	struct listeners *l = w->start->listeners;
	unsigned errors = 0, warnings = 0, before = l->n;
	struct config *old, *new;
	size_t from = messages->n;
	bool unchanged;

	tell(w, LINK_RELOADING);
	new = config_load(w->config_path, true, messages, &errors, &warnings);
	if (new && !gain_listeners(w, new, messages)) {
		while (l->n > before)
			listeners_remove(l, l->n - 1);
		config_unref(new);
		new = NULL;
		errors++;
	}
	if (!new)
		return refuse(w, messages, from, errors);
	old = config_current();
	unchanged = str_eq(old->text_hash, new->text_hash);
	warn_fixed(messages, old, new);
	config_unref(old);
	put_in_force(w, new, before, messages);
	log_begin(LOG_RELOADED);
	log_u64("warnings", warnings);
	log_cstr("changed", unchanged ? "no" : "yes");
	log_end();
	log_lines(LOG_WARNING, messages, from);
	tell(w, LINK_RELOADED);
	return 0;
}

int worker_reload_asked(void *arg, struct buf *messages)
{
	struct worker *w = arg;
	uint64_t one = 1;
	int r = -ESHUTDOWN;

	pthread_mutex_lock(&w->lock);
	while (w->asked && !w->ending)
		pthread_cond_wait(&w->changed, &w->lock);
	if (!w->ending) {
		w->asked = true;
		w->answered = false;
		w->messages = messages;
		(void)!write(w->wake, &one, sizeof(one));
		while (!w->answered)
			pthread_cond_wait(&w->changed, &w->lock);
		r = w->result;
		w->asked = false;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}
