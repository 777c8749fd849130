/*
 * tlsrpt_send - one day's report to those who want it (RFC 8460 3, 5): by mail, through our own
 * spool and rules as any mail of ours, or by HTTPS.
 *
 * Who wants it says _smtp._tls.DOMAIN now, not when it was counted. A report that cannot be handed
 * over by HTTPS is dropped, as the next one comes tomorrow; one by mail is in the spool, which
 * tries for days. Suspends: in lookups, in the pool, in the spool's calls.
 */
#include "verify/tlsrpt_inner.h"

#include "base/mem.h"
#include "policy/policy.h"
#include "report/log.h"
#include "smtp/address.h"
#include "net/https.h"

#include <stdio.h>

#define LOOKUP_NS (20 * SECOND)
#define POST_MS 60000
#define MAIL_MAX (8 * 1024 * 1024)
#define REPLY_MAX (64 * 1024)
#define PORT 443

struct sending {
	struct tlsrpt *tlsrpt;
	const struct config *config;
	struct report report;
	json_t *json;			/* owned */
	struct buf gzip;		/* owned */
	struct arena arena;
	/* of one address */
	struct str to;
	char why[160];
	/* of HTTPS */
	struct dns_addresses at;
	struct str host;
	uint16_t port;
	bool posted;
};

static void tell(const struct sending *s, bool sent)
{
	log_begin(LOG_TLS_REPORT);
	log_str("domain", s->report.domain);
	log_str("to", s->to);
	log_cstr("report", s->report.id);
	log_cstr("result", sent ? "sent" : "failed");
	if (!sent)
		log_cstr("error", s->why);
	log_end();
}

/* ---- by mail */

static const struct route *find_route(const struct config *c, struct str from, struct str to)
{
	const struct endpoint here = { .path = NULL };
	const struct address sender = address_split(from), recipient = address_split(to);
	struct decision decision = { .verdict = VERDICT_REFUSE };
	struct client client;

	client_init(&client, &here);
	policy_decide(c, &client, &sender, &recipient, &decision);
	return decision.verdict == VERDICT_ACCEPT ? decision.route : NULL;
}

static void make_boundary(char ret[40])
{
	uint8_t noise[16];

	world_self()->random(world_self(), noise, sizeof(noise));
	for (size_t i = 0; i < sizeof(noise); i++)
		snprintf(ret + 2 * i, 3, "%02x", noise[i]);
}

static int write_mail(struct sending *s, struct content *c) SUSPENDS
{
	struct buf mail = BUF_INIT(MAIL_MAX);
	char boundary[40];
	int r;

	make_boundary(boundary);
	report_mail(&mail, &s->report, s->to, loop_wall_ms() / 1000, boundary, buf_str(&s->gzip));
	r = buf_ok(&mail) ? content_add(c, mail.p, mail.n) : -1;
	if (r == 0)
		r = content_seal(c);
	buf_done(&mail);
	return r;
}

static int commit(struct sending *s, const struct envelope *e, struct content *c) SUSPENDS
{
	struct batch *b = batch_new(s->tlsrpt->spool);
	struct message *m = message_new(e, c);
	int r;

	batch_message(b, m);
	r = spool_commit(s->tlsrpt->spool, b);
	if (r == 0)
		schedule_add(s->tlsrpt->schedule, m);
	message_unref(m);
	return r;
}

static bool send_mail(struct sending *s) SUSPENDS
{
	const struct route *route = find_route(s->config, s->report.from, s->to);
	struct envelope_recipient recipient = { .address = s->to, .notify = NOTIFY_NEVER };
	struct envelope e = {
		.sender = s->report.from,
		.local = true,
		.recipients = &recipient,
		.recipients_n = 1,
		.arrived_ms = loop_wall_ms(),
	};
	struct content *c;
	int r;

	if (!route) {
		str_copy(s->why, sizeof(s->why), STR("no rule takes mail from us to there"));
		return false;
	}
	recipient.route = route->name;
	c = content_new(s->tlsrpt->spool, s->gzip.n * 3 / 2);
	r = write_mail(s, c);
	if (r == 0)
		r = commit(s, &e, c);
	content_unref(c);
	if (r < 0)
		str_copy(s->why, sizeof(s->why), STR("the spool cannot take it"));
	return r == 0;
}

/* ---- by HTTPS */

static bool split_url(struct sending *s)
{
	struct str host = str_from(s->to, sizeof("https://") - 1);
	uint64_t port = PORT;
	ssize_t at;

	for (size_t i = 0; i < host.n; i++)
		if (strchr("/?#", host.p[i]))
			host.n = i;
	at = str_find(host, ':');
	if (at >= 0) {
		if (!str_parse_u64(str_from(host, (size_t)at + 1), UINT16_MAX, &port) || !port)
			return false;
		host = str_sub(host, 0, (size_t)at);
	}
	s->host = host;
	s->port = (uint16_t)port;
	return host.n > 0 && host.p[0] != '[';
}

static int post_in_pool(void *arg)
{
	struct sending *s = arg;
	struct buf reply = BUF_INIT(REPLY_MAX);
	struct https_question q = {
		.url = arena_cstr(&s->arena, s->to),
		.host = arena_cstr(&s->arena, s->host),
		.port = s->port,
		.ips = s->at.ips,
		.ips_n = s->at.n,
		.posted = buf_str(&s->gzip),
		.posted_type = "application/tlsrpt+gzip",
		.timeout_ms = POST_MS,
		.stopping = &s->tlsrpt->stopping,
	};

	s->posted = https_ask(&q, &reply, s->why, sizeof(s->why)) == HTTPS_OK;
	buf_done(&reply);
	return 0;
}

static bool send_post(struct sending *s) SUSPENDS
{
	if (!split_url(s)) {
		str_copy(s->why, sizeof(s->why), STR("its address cannot be used"));
		return false;
	}
	dns_addresses(s->tlsrpt->dns, s->host, DNS_IPV4 | DNS_IPV6, loop_now() + LOOKUP_NS, &s->at);
	if (s->at.status != DNS_OK) {
		snprintf(s->why, sizeof(s->why), "its host: %s", dns_status_text(s->at.status));
		return false;
	}
	s->posted = false;
	net_offload(post_in_pool, s);
	return s->posted;
}

/* ---- all of it */

static unsigned find_addresses(struct sending *s, struct rua ret[RUA_MAX]) SUSPENDS
{
	struct str name = arena_printf(&s->arena, "_smtp._tls.%.*s", STR_ARG(s->report.domain));
	struct dns_answer txt;

	dns_lookup(s->tlsrpt->dns, name, DNS_TXT, loop_now() + LOOKUP_NS, &s->arena, &txt);
	return txt.status == DNS_OK ? rua_find(&txt, &s->arena, ret) : 0;
}

static int make_in_pool(void *arg)
{
	struct sending *s = arg;
	struct buf text = BUF_INIT(REPORT_MAX);
	char *room = buf_reserve(&text, REPORT_MAX);
	size_t n = room ? json_dumpb(s->json, room, REPORT_MAX, JSON_INDENT(1)) : 0;
	bool ok = n > 0 && n <= REPORT_MAX && report_gzip(&s->gzip, str_make(room, n));

	buf_done(&text);
	return ok ? 0 : -1;
}

static void describe(struct sending *s, struct str domain, int64_t day)
{
	const struct config *c = s->config;
	uint64_t noise;

	world_self()->random(world_self(), &noise, sizeof(noise));
	s->report = (struct report){
		.organization = c->tls_reports.organization.n ? c->tls_reports.organization
							      : c->hostname,
		.contact = c->tls_reports.contact.n ? c->tls_reports.contact : c->tls_reports.from,
		.from = c->tls_reports.from,
		.submitter = c->hostname,
		.domain = domain,
		.day = day,
	};
	snprintf(s->report.id, sizeof(s->report.id), "%lld.%016llx@%.40s", (long long)day,
		 (unsigned long long)noise, arena_cstr(&s->arena, c->hostname));
}

static bool send_all(struct sending *s, const struct rua *to, unsigned n) SUSPENDS
{
	unsigned sent = 0;

	for (unsigned i = 0; i < n && !task_is_cancelled(); i++) {
		bool ok;

		s->to = to[i].at;
		s->why[0] = '\0';
		ok = to[i].is_mail ? send_mail(s) : send_post(s);
		tell(s, ok);
		sent += ok;
	}
	return sent;
}

bool tlsrpt_send(struct tlsrpt *t, const struct config *c, struct str domain, int64_t day,
		 json_t *const *policies, unsigned n)
{
	struct sending *s;
	struct rua to[RUA_MAX];
	bool sent = false;
	unsigned to_n;

	if (!c || !c->tls_reports.on)
		return false;
	s = mem_zalloc(sizeof(*s));
	s->tlsrpt = t;
	s->config = c;
	s->gzip = BUF_INIT(REPORT_MAX);
	describe(s, domain, day);
	to_n = find_addresses(s, to);
	if (to_n) {
		s->json = report_json(&s->report, policies, n);
		if (net_offload(make_in_pool, s) == 0) {
			sent = send_all(s, to, to_n);
		} else {
			s->to = to[0].at;
			str_copy(s->why, sizeof(s->why), STR("it is too large"));
			tell(s, false);
		}
		json_decref(s->json);
	}
	buf_done(&s->gzip);
	arena_done(&s->arena);
	mem_free(s);
	return sent;
}
