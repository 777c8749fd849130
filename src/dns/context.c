/*
 * context - a context of libunbound, set up from our options; see context.h.
 *
 * libunbound comes with settings for a program that asks a few questions; the table below makes a
 * resolver of it that asks thousands. It tells why it does not like a setting only in its log, and
 * only when it is asked something for the first time: so the log goes to memory during the set-up,
 * and the first question is one that it answers by itself. After that its log goes nowhere: what
 * matters is in the answers.
 *
 * The zones that libunbound invents ("test.", private reverse zones, ...) keep nonsense away from
 * the root servers. Where others are asked they are the ones to know, so there the inventions are
 * replaced by transparent zones, which hold nothing ("nodefault" has no effect by this way).
 */
#include "dns/context.h"

#include "base/mem.h"
#include "net/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unbound-event.h>
#include <unbound.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define HOSTS "/etc/hosts"
#define RESOLV_CONF_MAX (64 * 1024)
#define SERVERS_MAX 8
#define TRUST_ANCHOR "/usr/share/dns/root.key"	/* Debian's dns-root-data */

struct setting {
	const char *name, *value;
};

static const struct setting settings[] = {
	/* sockets at once; further questions wait for one */
	{ "outgoing-range:", "512" },
	{ "outgoing-num-tcp:", "64" },
	{ "do-not-query-localhost:", "no" },
	/* a server that was down is asked again soon, not after a quarter of an hour */
	{ "infra-host-ttl:", "60" },
	{ "infra-keep-probing:", "yes" },
	{ "infra-cache-max-rtt:", "4000" },
	{ "infra-cache-numhosts:", "10000" },
	/* whose key we trust is nobody's business */
	{ "trust-anchor-signaling:", "no" },
	{ "qname-minimisation:", "yes" },
	{ "hide-version:", "yes" },
};

static const struct setting servers_know[] = {
	{ "unblock-lan-zones:", "yes" },
	{ "insecure-lan-zones:", "yes" },
	{ "local-zone:", "test. transparent" },
	{ "local-zone:", "invalid. transparent" },
	{ "local-zone:", "onion. transparent" },
	{ "local-zone:", "home.arpa. transparent" },
	{ "local-zone:", "127.in-addr.arpa. transparent" },
	{ "local-zone:", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
			 "ip6.arpa. transparent" },
};

/* The keys of the root, of 2017 and 2024 (https://data.iana.org/root-anchors/). */
static const char *const root_keys[] = {
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
	". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
};

struct setup {
	struct world *world;
	const struct dns_options *options;
	struct ub_ctx *ub;
	struct buf *error;
	FILE *log;			/* what libunbound says */
	char *said;
	size_t said_n;
};

static int set(struct setup *s, const char *name, const char *value)
{
	if (ub_ctx_set_option(s->ub, name, value) == 0)
		return 0;
	buf_printf(s->error, "the DNS library does not take the setting \"%s %s\"", name, value);
	return -EINVAL;
}

static int set_all(struct setup *s, const struct setting *table, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (set(s, table[i].name, table[i].value) < 0)
			return -EINVAL;
	return 0;
}

/* The parts in which answers, their records, keys and proofs of absence share the memory. */
static int set_caches(struct setup *s)
{
	static const struct {
		const char *name;
		unsigned percent;
	} caches[] = {
		{ "msg-cache-size:", 30 }, { "rrset-cache-size:", 60 }, { "key-cache-size:", 5 },
		{ "neg-cache-size:", 5 },
	};
	char text[32];

	for (unsigned i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)(s->options->cache_max / 100 * caches[i].percent));
		if (set(s, caches[i].name, text) < 0)
			return -EINVAL;
	}
	return 0;
}

/* ---- whom to ask */

static int add_server(struct setup *s, const char *text)
{
	if (ub_ctx_set_fwd(s->ub, text) == 0)
		return 0;
	buf_printf(s->error, "%s cannot be a name server's address", text);
	return -EINVAL;
}

static int add_servers(struct setup *s)
{
	char ip[ENDPOINT_TEXT_MAX], text[ENDPOINT_TEXT_MAX + 8];

	for (unsigned i = 0; i < s->options->servers_n; i++) {
		const struct endpoint *e = &s->options->servers[i];

		snprintf(text, sizeof(text), "%s@%u", ip_text(ip, &e->ip), e->port ? e->port : 53);
		if (add_server(s, text) < 0)
			return -EINVAL;
	}
	return 0;
}

static unsigned add_system_servers(struct setup *s, struct str rest)
{
	struct str line, word;
	unsigned n = 0;
	char text[128];

	while (line_next(&rest, &line) && n < SERVERS_MAX) {
		if (!str_eq(str_word(&line), STR("nameserver")))
			continue;
		word = str_word(&line);
		if (ub_ctx_set_fwd(s->ub, str_copy(text, sizeof(text), word)) == 0)
			n++;
	}
	return n;
}

/* How many servers the system names; 0: none, and error says so. */
static unsigned add_system(struct setup *s)
{
	struct buf text = BUF_INIT(RESOLV_CONF_MAX);
	unsigned n;
	int r = file_read(s->world, AT_FDCWD, RESOLV_CONF, &text);

	if (r < 0) {
		buf_done(&text);
		buf_printf(s->error, "cannot read " RESOLV_CONF ": %s; no name can be looked up",
			   strerror(-r));
		return 0;
	}
	n = add_system_servers(s, buf_str(&text));
	buf_done(&text);
	if (!n)
		buf_printf(s->error, RESOLV_CONF
			   " names no server (\"nameserver ADDRESS\"); no name can be looked up");
	return n;
}

/* ---- files */

static int try_file(struct setup *s, const char *path)
{
	struct world *w = s->world;
	int fd = w->disk_open(w, AT_FDCWD, path, O_RDONLY, 0);

	if (fd >= 0)
		w->disk_close(w, fd);
	return fd < 0 ? fd : 0;
}

static int check_file(struct setup *s, const char *what, const char *path)
{
	int r = try_file(s, path);

	if (r < 0)
		buf_printf(s->error, "cannot read the %s %s: %s", what, path, strerror(-r));
	return r;
}

static int add_root_hints(struct setup *s)
{
	const char *path = s->options->root_hints;
	int r;

	if (!path || s->options->mode != DNS_MODE_RECURSIVE)
		return 0;
	r = check_file(s, "root hints", path);
	return r < 0 ? r : set(s, "root-hints:", path);
}

static int add_anchor_file(struct setup *s, const char *path)
{
	if (ub_ctx_add_ta_file(s->ub, path) == 0)
		return 0;
	buf_printf(s->error, "cannot use the trust anchor %s", path);
	return -EINVAL;
}

static int add_anchors(struct setup *s)
{
	const char *path = s->options->trust_anchor;
	int r;

	if (!s->options->dnssec)
		return 0;
	if (path) {
		r = check_file(s, "trust anchor", path);
		return r < 0 ? r : add_anchor_file(s, path);
	}
	if (try_file(s, TRUST_ANCHOR) == 0)
		return add_anchor_file(s, TRUST_ANCHOR);
	for (unsigned i = 0; i < sizeof(root_keys) / sizeof(root_keys[0]); i++)
		if (ub_ctx_add_ta(s->ub, root_keys[i]) != 0)
			return -EINVAL;
	return 0;
}

/* The system's file may be missing; another may not. */
static int open_hosts(struct setup *s, struct hosts_file **ret)
{
	const char *path = s->options->hosts;
	int r = 0;

	if (path && s->options->mode == DNS_MODE_SYSTEM && !strcmp(path, HOSTS) &&
	    try_file(s, path) == -ENOENT)
		path = NULL;
	*ret = hosts_file_new(s->world, path, &r);
	if (*ret)
		return 0;
	buf_printf(s->error, "cannot read the hosts file %s: %s", path, strerror(-r));
	return r;
}

/* ---- the first question */

static void on_first(void *arg, int rcode, void *packet, int n, int sec, char *why, int limited)
{
	(void)rcode;
	(void)packet;
	(void)n;
	(void)sec;
	(void)why;
	(void)limited;
	*(bool *)arg = true;
}

/* "[time] libunbound[pid:0] error: what": the first what. */
static void add_said(struct setup *s)
{
	const struct str mark = STR(" error: ");
	struct str said, line;
	ssize_t at;

	fflush(s->log);
	said = str_make(s->said, s->said_n);
	while (line_next(&said, &line)) {
		at = str_search(line, mark);
		if (at < 0)
			continue;
		buf_printf(s->error, ": ");
		buf_add_str(s->error, str_from(line, (size_t)at + mark.n));
		return;
	}
}

static int check(struct setup *s)
{
	bool answered = false;
	int r = ub_resolve_event(s->ub, "localhost.", 1, 1, &answered, on_first, NULL);

	if (r == 0 && answered)
		return 0;
	buf_printf(s->error, "the DNS library cannot start: %s", ub_strerror(r));
	add_said(s);
	return -EINVAL;
}

/* How many servers there are, or -errno; recursive mode counts as one. */
static int set_up(struct setup *s)
{
	const struct dns_options *o = s->options;
	int n = 1;

	if (set_all(s, settings, sizeof(settings) / sizeof(settings[0])) < 0 || set_caches(s) < 0)
		return -EINVAL;
	if (o->mode != DNS_MODE_RECURSIVE &&
	    set_all(s, servers_know, sizeof(servers_know) / sizeof(servers_know[0])) < 0)
		return -EINVAL;
	if (o->mode == DNS_MODE_SERVERS && add_servers(s) < 0)
		return -EINVAL;
	if (add_root_hints(s) < 0 || add_anchors(s) < 0)
		return -EINVAL;
	if (o->mode == DNS_MODE_SYSTEM)
		n = (int)add_system(s);
	return n == 0 || check(s) == 0 ? n : -EINVAL;
}

int context_open(struct world *w, struct event_base *base, const struct dns_options *o,
		 struct context *ret, struct buf *error)
{
	struct setup s = { .world = w, .options = o, .error = error };
	struct hosts_file *hosts;
	int n = open_hosts(&s, &hosts);

	if (n < 0)
		return n;
	s.log = open_memstream(&s.said, &s.said_n);
	s.ub = s.log ? ub_ctx_create_event(base) : NULL;
	if (s.ub) {
		ub_ctx_debugout(s.ub, s.log);
		n = set_up(&s);
		ub_ctx_debugout(s.ub, NULL);
	} else {
		buf_printf(error, "no memory for the DNS library");
		n = -ENOMEM;
	}
	if (s.log)
		fclose(s.log);
	mem_free(s.said);
	if (n <= 0 && s.ub)
		ub_ctx_delete(s.ub);
	if (n < 0)
		hosts_file_free(hosts);
	else
		*ret = (struct context){ .ub = n ? s.ub : NULL, .hosts = hosts };
	return n < 0 ? n : 0;
}

void context_close(struct context *c)
{
	if (c->ub)
		ub_ctx_delete(c->ub);
	hosts_file_free(c->hosts);
	*c = (struct context){ 0 };
}
