/*
 * rig - what the tests of deliver/ share: a world with a DNS of its own (zone.h), a loop, a deliver
 * service without a schedule, attempts made by hand, and a bounce_settle that keeps the outcomes.
 */
#ifndef UNIT_DELIVER_RIG_H
#define UNIT_DELIVER_RIG_H

#include "unit/net/run.h"

#include "base/mem.h"
#include "deliver/service.h"
#include "schedule/home.h"
#include "unit/deliver/peer.h"
#include "unit/deliver/zone.h"

#define RIG_HOSTS 4
#define RIG_KEPT 512
#define RIG_TIMEOUT_NS (60 * SECOND)	/* rig_run makes time pass */

struct kept {			/* an outcome, with its words */
	enum recipient_state state;
	uint16_t code;
	struct enhanced enhanced;
	bool dsn_passed, known;
	char text[256], host[128], tls[96];
	int64_t next_ms;		/* as the delivery wished */
};

struct rig {
	struct world world;
	struct net *net;
	struct config *config;		/* the current one */
	struct deliver *deliver;
	struct route route;
	struct route_host hosts[RIG_HOSTS];
	struct destination *destination;
	bool keep_nothing;		/* several loops file at once: only count */
	_Atomic unsigned *filed;
	/* of the last attempt */
	struct kept kept[RIG_KEPT];	/* by recipient */
	unsigned settles, failures;
	enum job_result result;
	enum destination_result learnt;
	char said[160];
	enum reaction reaction;
	uint64_t reaction_ns;
	char reacts_to[160];
	bool knows_provider;
	const struct name *provider;
	/* for the next attempts */
	const struct name *source;
	struct way *way;		/* with a permit for it */
	unsigned passed;		/* recipients that way_pass has let go */
	bool permit_left;		/* the last slot still had it */
	void (*between)(void);		/* two messages of one slot; may be NULL */
	_Atomic uint64_t later_ns;	/* than it is */
	/* this machine's interfaces */
	struct ip interfaces[4];
	unsigned interfaces_n;
};

static struct rig rig;

static int rig_own_ips(struct world *w, struct ip *ret, int max)
{
	(void)w;
	for (int i = 0; i < max && i < (int)rig.interfaces_n; i++)
		ret[i] = rig.interfaces[i];
	return (int)rig.interfaces_n;
}

static void rig_keep(const struct outcome *o)
{
	struct kept *k = &rig.kept[o->recipient];

	CHECK(!k->known);
	*k = (struct kept){ .state = o->state, .code = o->reply.code, .enhanced = o->reply.enhanced,
			    .dsn_passed = o->dsn_passed, .known = true, .next_ms = o->next_ms };
	str_copy(k->text, sizeof(k->text), o->reply.text);
	str_copy(k->host, sizeof(k->host), o->host);
	str_copy(k->tls, sizeof(k->tls), o->tls);
}

int bounce_settle(struct bounce *b, struct message *m, struct outcome *outcomes, unsigned n,
		  unsigned failures)
{
	unsigned queued = 0;

	(void)b;
	for (unsigned i = 0; i < n; i++) {
		struct outcome *o = &outcomes[i];

		if (!rig.keep_nothing)
			rig_keep(o);
		if (o->state == RECIPIENT_QUEUED) {
			if (!o->next_ms)
				o->next_ms = loop_wall_ms() + 60000;
			queued++;
		}
		message_lock(m);
		m->recipients[o->recipient].state = (uint8_t)o->state;
		message_unlock(m);
	}
	if (rig.keep_nothing) {
		atomic_fetch_add(rig.filed, n);
	} else {
		rig.settles++;
		rig.failures = failures;
	}
	return (int)queued;
}

/* route and domain: literals */
static inline void rig_destination(const char *route, const char *domain)
{
	static char text[256];

	snprintf(text, sizeof(text), "%s%c%s", route, 0, domain);
	rig.destination->text = text;
	rig.destination->route_n = (uint16_t)strlen(route);
	rig.destination->domain_n = (uint16_t)strlen(domain);
}

static uint64_t rig_now(struct world *w)
{
	return world_real()->now(w) + rig.later_ns;
}

/* statements: what the configuration holds beside route "r", which is rig.route. */
static inline void rig_open_with(const char *statements)
{
	static const char name[] = "r";
	struct buf messages = BUF_INIT(65536);
	unsigned errors, warnings;
	char text[4096];
	struct config_source source = {
		.path = "t.conf",
		.text = text,
		.text_n = (size_t)snprintf(text, sizeof(text), "version 1\n%s", statements),
		.is_alone = true,
		.host_name = "relay.example",
	};
	struct config *c = config_load_from(&source, &messages, &errors, &warnings);
	const struct route **list;

	if (!c)
		fail_msg("%s", buf_cstr(&messages));
	buf_done(&messages);
	list = arena_alloc(&c->arena, sizeof(*list));
	zone_clear();
	zone_add("localhost A 127.0.0.1");
	rig = (struct rig){.world = *world_real(),
			   .config = c,
			   .route = {
				   .name = str_of(name),
				   .base = name_intern(STR("r")),
				   .timeout_ns = RIG_TIMEOUT_NS,
				   .connect_timeout_ns = RIG_TIMEOUT_NS,
				   .idle_ns = 60 * SECOND,
				   .connections_max = 10,
				   .messages_max = 100,
				   .hosts = rig.hosts,
			   }};
	list[0] = &rig.route;
	c->routes = list;
	c->routes_n = 1;
	config_set_current(c);
	rig.world.now = rig_now;
	rig.world.dns_ask = zone_ask;
	rig.world.dns_cancel = zone_cancel;
	rig.world.own_ips = rig_own_ips;
	rig.net = net_new(&rig.world, 1, 1);
	rig.deliver = deliver_new(rig.net, NULL, NULL);
	rig.deliver->dot_timeout_ns = RIG_TIMEOUT_NS;
	rig.destination = mem_zalloc(sizeof(struct destination));
	rig_destination("r", "");
	net_start(rig.net);
}

static inline void rig_open(void)
{
	rig_open_with("");
}

static inline void rig_close(void)
{
	deliver_stop(rig.deliver, SECOND);
	net_stop(rig.net);
	deliver_free(rig.deliver);
	mem_free(rig.destination);
	config_set_current(NULL);
}

static inline void rig_host(unsigned i, const char *name, uint16_t port)
{
	struct route_host *h = &rig.hosts[i];

	*h = (struct route_host){ .name = str_of(name), .port = port, .weight = 1 };
	ip_parse(h->name, &h->endpoint.ip);
	h->endpoint.port = port;
	if (rig.route.hosts_n <= i)
		rig.route.hosts_n = i + 1;
}

static inline void rig_peer(unsigned i, struct peer *p)
{
	peer_start(p);
	rig_host(i, p->path ? p->path : "127.0.0.1", p->port);
	rig.hosts[i].endpoint.path = p->path;
}

/* ---- messages */

#define RIG_CONTENT "Subject: x\r\n\r\nHello\r\n.dot\r\n..\r\nBye\r\n"

struct mail {
	struct envelope envelope;
	struct str content;
	uint32_t recipients_n;
};

struct making {
	const struct mail *mail;
	struct message *ret;
};

static void rig_make_run(void *arg)
{
	struct making *k = arg;
	struct envelope e = k->mail->envelope;
	uint32_t n = k->mail->recipients_n ? k->mail->recipients_n : 1;
	struct envelope_recipient *to = mem_calloc(n, sizeof(*to));
	char (*address)[32] = mem_calloc(n, sizeof(*address));
	struct content *c = content_new(NULL, 0);

	for (uint32_t i = 0; i < n && !e.recipients; i++) {
		snprintf(address[i], sizeof(*address), "u%u@there.example", i);
		to[i] = (struct envelope_recipient){.address = str_of(address[i]),
						    .route = STR("r")};
	}
	if (!e.recipients) {
		e.recipients = to;
		e.recipients_n = n;
	}
	if (!e.sender.p)
		e.sender = STR("a@b.example");
	e.arrived_ms = loop_wall_ms();
	CHECK(content_add(c, k->mail->content.p, k->mail->content.n) == 0);
	CHECK(content_seal(c) == 0);
	k->ret = message_new(&e, c);
	content_unref(c);
	mem_free(to);
	mem_free(address);
}

static inline struct message *rig_message(const struct mail *mail)
{
	struct making k = { .mail = mail };

	run_on(net_loop(rig.net, 0), rig_make_run, &k, true);
	return k.ret;
}

/* ---- attempts */

static void rig_nothing_run(void *arg)
{
	(void)arg;
}

/*
 * fn(arg) as a task; returns when it has ended. While a peer keeps silent time runs a thousand
 * times as fast: so time-outs can be as long as real ones, and a busy machine does not reach them.
 */
static inline void rig_run(void (*fn)(void *arg), void *arg)
{
	struct loop *l = net_loop(rig.net, 0);
	struct run r;

	run_begin(l, &r, fn, arg, true);
	while (!run_has_ended(&r, 10)) {
		if (!peers_silent)
			continue;
		rig.later_ns += 10 * SECOND;
		run_on(l, rig_nothing_run, NULL, false);	/* it looks at the clock */
	}
}

struct trying {
	struct message **messages;
	unsigned n;
};

static struct job *rig_job(struct message *m)
{
	struct job *j = mem_zalloc(sizeof(*j) + m->recipients_n * sizeof(uint32_t));

	j->message = m;
	j->destination = rig.destination;
	j->recipients_n = m->recipients_n;
	for (uint32_t i = 0; i < m->recipients_n; i++)
		j->recipients[i] = i;
	return j;
}

/* One slot that gets these messages one after the other. */
static void rig_try_run(void *arg)
{
	struct trying *t = arg;
	struct delivery *v = mem_zalloc(sizeof(*v));

	v->deliver = rig.deliver;
	v->core = &rig.deliver->cores[0];
	v->slot.destination = rig.destination;
	v->slot.source = rig.source;
	if (rig.way) {
		v->slot.way = way_ref(rig.way);
		CHECK(way_connect(rig.way, NULL));
		v->slot.permit = true;
	}
	v->flight = BUF_INIT(256 * 1024);
	attempt_find_provider(v);
	rig.settles = 0;
	for (unsigned i = 0; i < t->n; i++) {
		struct job *j = rig_job(t->messages[i]);

		memset(rig.kept, 0, sizeof(rig.kept));
		if (i && rig.between)
			rig.between();
		v->slot.passed_recipients = rig.passed ? rig.passed : j->recipients_n;
		attempt(v, j);
		mem_free(j);
	}
	rig.result = v->slot.result;
	rig.learnt = v->slot.learnt;
	str_copy(rig.said, sizeof(rig.said), str_of(v->slot.said));
	rig.reaction = v->slot.reaction;
	rig.reaction_ns = v->slot.reaction_ns;
	str_copy(rig.reacts_to, sizeof(rig.reacts_to), str_of(v->slot.reacts_to));
	rig.knows_provider = v->slot.knows_provider;
	rig.provider = v->slot.provider;
	rig.permit_left = v->slot.permit;
	attempt_release(v);
	if (v->slot.permit)
		way_disconnect(v->slot.way);
	way_unref(v->slot.way);
	config_unref(v->config);
	buf_done(&v->flight);
	mem_free(v);
}

static inline void rig_try(struct message **messages, unsigned n)
{
	struct trying t = { messages, n };

	rig_run(rig_try_run, &t);
}

static void rig_count_run(void *arg)
{
	*(unsigned *)arg = rig.deliver->cores[0].pool.n;
}

static inline unsigned rig_pooled(void)
{
	unsigned n;

	run_on(net_loop(rig.net, 0), rig_count_run, &n, false);
	return n;
}

/* As many as that stay in the pool, or it fails. */
static inline void rig_wait_pooled(unsigned n)
{
	for (int i = 0; i < 3000 && rig_pooled() != n; i++)
		usleep(10000);
	assert_int_equal(rig_pooled(), n);
}

static inline void rig_try_one(const struct mail *mail)
{
	struct message *m = rig_message(mail);

	rig_try(&m, 1);
	message_unref(m);
}

/* What explain says of the route's hosts, for there.example. */
struct rig_describing {
	struct buf out;
	const struct source *source;
};

static void rig_describe_run(void *arg)
{
	struct rig_describing *t = arg;

	deliver_describe_hosts(&t->out, rig.deliver, rig.config, &rig.route, STR("there.example"),
			       t->source);
}

static inline void rig_describe(struct rig_describing *t)
{
	run_on(net_loop(rig.net, 0), rig_describe_run, t, true);
}

#endif
