/*
 * vouch - what a host must prove before it gets a message: facts from the DNS, from MTA-STS and
 * from the message itself, for trust_decide.
 *
 * The domain's policy is found once for each walk over hosts, the host's TLSA records when its turn
 * comes; both mostly from caches. Whether the message wants to do without TLS (TLS-Required: No,
 * RFC 8689 5) is looked for in its head only where somebody's policy would demand it: the usual
 * message is not read for that. What happens is told to the TLS reports.
 *
 * Everything is in the walk's arena. Suspends in lookups, and in a first fetch of a policy.
 */
#include "deliver/service.h"

#include "base/mem.h"
#include "mail/header.h"

#define LOOKUP_NS (20 * SECOND)
#define HEAD_MAX (64 * 1024)		/* octets of a header section that are looked through */
#define BLOCK 512			/* octets; there may be 10,000 */

/*
 * A notice that says REQUIRETLS passes the word on where it can, but is not lost for it (RFC 8689
 * 5): there is nobody to be told.
 */
bool vouch_is_demanded(const struct message *m)
{
	return m->requires_tls && message_sender(m).n > 0;
}

void vouch_begin(struct delivery *v, struct message *m)
{
	v->vouch = (struct vouch){
		.arena.block_size = BLOCK,
		.message = m,
		.wish = vouch_is_demanded(m) ? WISH_REQUIRED : WISH_NOTHING,
		.has_wish = m->requires_tls,
	};
}

void vouch_done(struct vouch *x)
{
	arena_done(&x->arena);
	*x = (struct vouch){ .host = NULL };
}

/* ---- the message's wish */

static bool has_field(struct str head)
{
	struct header_field f;

	while (header_next(&head, &f))
		if (str_eq_nocase(f.name, STR("TLS-Required")))
			return str_eq_nocase(str_trim(f.value), STR("No"));
	return false;
}

static void look_for_wish(struct delivery *v) SUSPENDS
{
	struct buf head = BUF_INIT(HEAD_MAX);
	struct content_reader reader;
	struct str piece;

	v->vouch.has_wish = true;
	if (content_reader_open(&reader, v->deliver->spool, v->vouch.message) < 0)
		return;		/* whoever sends it will meet that again */
	while (content_reader_next(&reader, &piece) > 0 && buf_ok(&head)) {
		buf_add_str(&head, str_sub(piece, 0, HEAD_MAX - head.n));
		if (head.n == HEAD_MAX || str_search(buf_str(&head), STR("\r\n\r\n")) >= 0)
			break;
	}
	content_reader_close(&reader);
	head.n = header_length(buf_str(&head));
	if (has_field(buf_str(&head)))
		v->vouch.wish = WISH_OPTIONAL;
	buf_done(&head);
}

/* ---- facts */

static bool wants_dane(const struct vouch_question *q)
{
	const struct host *h = q->host;

	return q->config->dane && q->config->resolver.dnssec && q->route->tls != TLS_OFF &&
	       !h->endpoint.path && !h->endpoint.ip.family && (!q->route->is_mx || q->is_secure);
}

void vouch_facts(const struct vouch_question *q, struct vouch *x, struct trust_facts *ret)
{
	*ret = (struct trust_facts){
		.use = q->route->tls,
		.is_mx = q->route->is_mx,
		.is_secure = q->is_secure,
	};
	x->dane = (struct dane){ .state = DANE_NONE };
	/* between this machine's own programs there is nobody to hide from; what demands TLS and
	   has no context, which no configuration gives, fails in its handshake */
	if (ret->use == TLS_OFFERED && (!q->route->tls_context || q->host->endpoint.path))
		ret->use = TLS_OFF;
	if (wants_dane(q))
		dane_find(q->dns, q->host->name, q->host->port, loop_now() + LOOKUP_NS, &x->arena,
			  &x->dane);
	ret->dane = x->dane.state;
	ret->sts = x->sts.policy.mode;
	ret->sts_lists = sts_policy_lists(&x->sts.policy, q->host->name);
}

static void find_policy(struct delivery *v) SUSPENDS
{
	struct vouch *x = &v->vouch;

	x->has_sts = true;
	if (v->route->is_mx && v->route->tls != TLS_OFF && v->route->tls_context &&
	    v->config->mta_sts)
		sts_find(v->deliver->sts, v->deliver->dns, &v->core->slots,
			 destination_domain(v->slot.destination), &x->arena, &x->sts);
}

/* ---- the decision */

static void add_name(struct vouch *x, struct str *names, unsigned *n, struct str name)
{
	char ascii[DNS_NAME_MAX + 1];

	if (!dns_name_ascii(name, ascii))
		return;
	for (unsigned i = 0; i < *n; i++)
		if (str_eq_nocase(names[i], str_of(ascii)))
			return;
	names[(*n)++] = arena_str(&x->arena, str_of(ascii));
}

/* RFC 7672 3.2.2 and 2.2.3; RFC 8461 4.1: the exchanger's name alone. */
static void set_names(struct delivery *v, const struct host *h)
{
	struct vouch *x = &v->vouch;
	struct str *names = arena_alloc(&x->arena, 3 * sizeof(*names));

	if (h->endpoint.ip.family || h->endpoint.path)
		return;
	if (x->trust.level == TRUST_DANE) {
		add_name(x, names, &x->trust.names_n, x->dane.base);
		add_name(x, names, &x->trust.names_n, h->name);
		if (v->route->is_mx)
			add_name(x, names, &x->trust.names_n,
				 destination_domain(v->slot.destination));
	} else {
		add_name(x, names, &x->trust.names_n, h->name);
	}
	x->trust.names = names;
}

static void set_trust(struct delivery *v, const struct trust_facts *f)
{
	const struct host *h = v->candidates.host;
	const struct route *r = v->route;
	struct vouch *x = &v->vouch;

	x->trust = (struct trust){
		.level = x->decision.level,
		.is_implicit = f->use == TLS_IMPLICIT,
		.context = f->use == TLS_OFF ? NULL : r->tls_context,
		.host = h->name,
		.records = x->dane.records,
		.records_n = x->dane.n,
		.wish = x->wish,
	};
	if (r->login_user.n)
		x->trust.login = arena_printf(&x->arena, "%u %.*s %.*s", r->login_mechanism,
					      STR_ARG(r->login_secret), STR_ARG(r->login_user));
	set_names(v, h);
}

static enum failure failure_of(const struct trust_decision *d)
{
	switch (d->refusal) {
	case REFUSED_NOT:
		break;
	case REFUSED_DANE:
		return FAIL_BOGUS;
	case REFUSED_STS:
		return FAIL_NOT_LISTED;
	case REFUSED_WISH:
		return FAIL_WISH;
	}
	return FAIL_NONE;
}

static void decide(struct delivery *v, struct trust_facts *f) SUSPENDS
{
	struct vouch *x = &v->vouch;
	bool demands = f->dane == DANE_USABLE || f->dane == DANE_FAILED || f->sts == STS_ENFORCE;

	if (demands && !x->has_wish)
		look_for_wish(v);
	f->wish = x->wish;
	x->decision = trust_decide(f);
	x->failure = failure_of(&x->decision);
	if (x->failure == FAIL_NOT_LISTED && x->sts.failed)
		snprintf(x->why, sizeof(x->why), "its policy: %s", x->sts.why);
	else if (x->failure == FAIL_BOGUS)
		snprintf(x->why, sizeof(x->why), "_%u._tcp.%.*s", v->candidates.host->port,
			 STR_ARG(str_sub(x->dane.base, 0, 120)));
	set_trust(v, f);
}

/* ---- reports */

static void add_policy(const struct vouch *x, struct tlsrpt_session *s)
{
	if (x->decision.tells_dane) {
		s->type = TLSRPT_TLSA;
		s->policy_domain = x->dane.base;
		s->records = x->dane.records;
		s->records_n = x->dane.n;
	} else if (x->decision.tells_sts || x->sts.failed) {
		s->type = TLSRPT_STS;
		s->policy = x->sts.text;
	}
}

static enum tlsrpt_result result_of_certificate(const struct client *c)
{
	switch (c->tls_problem) {
	case TLS_CERTIFICATE_EXPIRED:
		return TLSRPT_CERTIFICATE_EXPIRED;
	case TLS_CERTIFICATE_NOT_TRUSTED:
		return TLSRPT_CERTIFICATE_NOT_TRUSTED;
	case TLS_CERTIFICATE_HOST_MISMATCH:
		return TLSRPT_CERTIFICATE_HOST_MISMATCH;
	case TLS_TLSA_INVALID:
		return TLSRPT_TLSA_INVALID;
	case TLS_NO_PROBLEM:
	case TLS_VALIDATION_FAILURE:
	case TLS_HANDSHAKE_FAILURE:
		break;
	}
	return TLSRPT_VALIDATION_FAILURE;
}

static void report(struct delivery *v, const struct client *c, enum tlsrpt_result result)
{
	const struct vouch *x = &v->vouch;
	struct tlsrpt_session s = {
		.domain = destination_domain(v->slot.destination),
		.host = v->candidates.host->name,
		.result = result,
	};
	struct endpoint local = { .path = NULL };

	if (!v->config->tls_reports.on || !v->route->is_mx || v->route->tls == TLS_OFF)
		return;
	s.policy_domain = s.domain;
	add_policy(x, &s);
	if (c) {
		s.peer = c->endpoint.ip;
		s.why = str_of(c->why);
		if (c->stream && stream_local(c->stream, &local) == 0)
			s.local = local.ip;
	} else {
		s.why = str_of(x->why);
	}
	tlsrpt_count(v->deliver->tlsrpt, &s);
}

void vouch_opened(struct delivery *v, struct client *c)
{
	c->trust.wish = v->vouch.wish;
	if (c->trust.is_encrypted)
		report(v, c, v->vouch.sts.failed && !v->vouch.decision.tells_dane
				     ? TLSRPT_STS_POLICY_FETCH_ERROR : TLSRPT_SUCCESS);
	else if (!c->offers.starttls)
		report(v, c, TLSRPT_STARTTLS_NOT_SUPPORTED);
}

void vouch_told(void *delivery, const struct client *c, enum stage stage, enum failure f)
{
	if (stage != STAGE_TLS || f == FAIL_CANCELLED)
		return;
	if (f == FAIL_NO_TLS || failure_is_reply(f))
		report(delivery, c, TLSRPT_STARTTLS_NOT_SUPPORTED);
	else if (f == FAIL_CERTIFICATE)
		report(delivery, c, result_of_certificate(c));
	else
		report(delivery, c, TLSRPT_VALIDATION_FAILURE);
}

static void report_refusal(struct delivery *v)
{
	if (v->vouch.failure == FAIL_BOGUS)
		report(v, NULL, TLSRPT_DNSSEC_INVALID);
	else if (v->vouch.failure == FAIL_NOT_LISTED)
		report(v, NULL, v->vouch.sts.failed ? TLSRPT_STS_POLICY_FETCH_ERROR
						    : TLSRPT_VALIDATION_FAILURE);
}

/* ---- for the walk */

enum failure vouch_host(struct delivery *v)
{
	struct vouch *x = &v->vouch;
	struct vouch_question q = {
		.config = v->config,
		.route = v->route,
		.dns = v->deliver->dns,
		.domain = destination_domain(v->slot.destination),
		.is_secure = v->candidates.all.is_secure,
		.host = v->candidates.host,
	};
	struct trust_facts f;

	if (x->host == q.host)
		return x->failure;
	if (!x->has_sts)
		find_policy(v);
	vouch_facts(&q, x, &f);
	if (x->dane.cancelled || task_is_cancelled())
		return FAIL_CANCELLED;
	decide(v, &f);
	x->host = q.host;
	if (x->failure)
		report_refusal(v);
	return x->failure;
}

bool vouch_keeps(const struct delivery *v, const struct client *c)
{
	switch (v->vouch.wish) {
	case WISH_REQUIRED:
		return c->trust.wish == WISH_REQUIRED;
	case WISH_NOTHING:
		return c->trust.wish != WISH_OPTIONAL;
	case WISH_OPTIONAL:
		break;
	}
	return true;
}
