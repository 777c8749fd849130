/*
 * connect - a connection for one job: hosts in their order, from the pool or anew, within what the
 * limits allow.
 *
 * Every connection has a permit (limits.h: it counts as a connection of its way). A slot comes with
 * one; the connection that it opens takes it over and keeps it, in the pool too. When a slot goes
 * on to another host it needs a second permit, or the first one back: then the old connection is
 * told QUIT and waited for until the other side has closed, so that never more are open than
 * allowed, whoever counts. One from the pool brings a permit along: of the same way, then the
 * slot's own is given back; of another (two domains at one host), then it changes over to the
 * slot's.
 *
 * A slot keeps its connection from job to job without asking what its host must prove: but not for
 * ever. After JUDGED_NS the host is judged as if it were new, and the connection goes on if it
 * proves enough. Or one that was opened while somebody kept us from TLS, or from a policy, would
 * carry mail as long as there is any.
 *
 * Rules for replies may end the search (react.c): hosts of one provider speak with one voice.
 */
#include "deliver/service.h"

#include "report/log.h"

#define FAREWELL_MS 2000
#define PROVIDER_NS (60 * SECOND)	/* how old the knowledge of the provider may get */
#define TOLD_NS (60 * SECOND)
#define JUDGED_NS (60 * SECOND)

/* ---- permits */

static void put_away(struct delivery *v, struct client **c)
{
	if (*c)
		pool_put(&v->core->pool, *c, v->route ? v->route->idle_ns : 0);
	*c = NULL;
}

void attempt_release(struct delivery *v)
{
	put_away(v, &v->former);
	put_away(v, &v->client);
}

static void close_now(struct delivery *v, struct client **c)
{
	struct slot *s = &v->slot;

	if (s->way && (*c)->way == s->way && !s->permit) {
		way_unref((*c)->way);
		(*c)->way = NULL;
		s->permit = true;
	}
	client_free(*c);
	*c = NULL;
}

void attempt_hang_up(struct delivery *v)
{
	close_now(v, &v->client);
}

static bool get_permit(struct delivery *v) SUSPENDS
{
	struct slot *s = &v->slot;

	if (!s->way || s->permit || way_connect(s->way, NULL)) {
		s->permit = s->way;
		put_away(v, &v->former);
	} else if (v->former) {
		client_say_quit(v->former);
		client_await_end(v->former, in_ms(FAREWELL_MS));
		close_now(v, &v->former);
	}
	return !s->way || s->permit;
}

static void hand_over_permit(struct slot *s, struct client *c)
{
	if (c->way) {
		way_disconnect(c->way);
		way_unref(c->way);
	}
	c->way = s->way ? way_ref(s->way) : NULL;
	s->permit = false;
}

static void bound_messages(struct delivery *v, struct client *c)
{
	uint32_t limit = v->slot.way ? way_messages_per_connection(v->slot.way) : UINT32_MAX;

	c->messages_max = v->route->messages_max ? v->route->messages_max : UINT32_MAX;
	if (limit < c->messages_max)
		c->messages_max = limit;
}

/* Its host was judged a moment ago. */
static void take_client(struct delivery *v, struct client *c)
{
	c->judged_until = loop_now() + JUDGED_NS;
	v->client = c;
}

/* One from the pool becomes the slot's. */
static bool adopt(struct delivery *v, struct client *c) SUSPENDS
{
	struct slot *s = &v->slot;

	bound_messages(v, c);
	if (!client_may_go_on(c)) {
		put_away(v, &c);
		return false;
	}
	if (c->way != s->way) {
		if (!get_permit(v)) {
			v->limited = true;
			put_away(v, &c);
			return false;
		}
		hand_over_permit(s, c);
	} else if (s->permit) {
		way_disconnect(s->way);
		s->permit = false;
	}
	put_away(v, &v->former);
	take_client(v, c);
	return true;
}

/* ---- what went wrong */

bool attempt_is_over(const struct delivery *v)
{
	return v->cancelled || v->limited || v->is_verdict || react_stops(&v->reactor);
}

/* Once a host has talked to us its words say more than another host's silence. */
static void keep_problem(struct delivery *v, const struct problem *p)
{
	bool says_more = !v->reached || p->is_ruled || !problem_replaces(p, &v->problem);

	if (says_more && problem_replaces(&v->problem, p)) {
		v->problem = *p;
		v->has_problem = true;
	}
	v->is_verdict |= p->scope == SCOPE_MESSAGE;
	v->reached |= p->scope == SCOPE_TRY;
}

static void domain_failed(struct delivery *v, enum failure f)
{
	struct problem p;

	if (f == FAIL_CANCELLED) {
		v->cancelled = true;
		return;
	}
	problem_set(&p, &v->words, STAGE_MX, f, NULL, STR_NONE,
		    destination_domain(v->slot.destination));
	keep_problem(v, &p);
}

static void lookup_failed(struct delivery *v, enum failure f)
{
	struct problem p;

	if (f == FAIL_CANCELLED) {
		v->cancelled = true;
		return;
	}
	problem_set(&p, &v->words, STAGE_LOOKUP, f, NULL, v->candidates.host->name, STR_NONE);
	if (f != FAIL_NO_FAMILY)	/* that is not the host's fault */
		candidates_failed(&v->candidates, FAIL_NONE, p.reply.text);
	keep_problem(v, &p);
}

static void tell_of_source(struct delivery *v, const struct endpoint *e)
{
	uint64_t until = atomic_load(&v->deliver->source_told_until);

	if (until > loop_now() ||
	    !atomic_compare_exchange_strong(&v->deliver->source_told_until, &until,
					    loop_now() + TOLD_NS))
		return;
	log_begin(LOG_WARNING);
	log_cstr("what", "the address of a source is not ours, or all its ports are used");
	log_str("source", name_str(v->source->name));
	log_ip("address", e->ip.family == 6 ? &v->source->ipv6 : &v->source->ipv4);
	log_end();
}

/*
 * What the next hop's own policy demands says nothing about the host, whom other domains name, too:
 * whoever publishes a policy that a stranger's host cannot meet must not make it rest for all.
 */
static bool is_policys(const struct delivery *v, const struct problem *p)
{
	return p->error->failure == FAIL_NOT_LISTED ||
	       (p->error->stage == STAGE_TLS && v->vouch.trust.level == TRUST_STS);
}

static void open_failed(struct delivery *v, const struct endpoint *e, struct problem *p)
{
	enum failure f;

	if (!p->error) {
		v->cancelled = true;
		return;
	}
	f = p->error->failure;
	if (failure_is_reply(f) && p->error->stage != STAGE_LOGIN)
		react(&v->reactor, p);
	if (f == FAIL_LOOP)
		candidates_is_us(&v->candidates);
	if (f == FAIL_NO_SOURCE)
		tell_of_source(v, e);
	else if (!react_stops(&v->reactor) && p->scope != SCOPE_TRY && !is_policys(v, p))
		candidates_failed(&v->candidates, p->error->stage == STAGE_CONNECT ? f : FAIL_NONE,
				  p->reply.text);
	keep_problem(v, p);
}

/* ---- the search */

/* The idle connection that the slot was started for, if it is to this address. */
static struct client *promised_for(struct delivery *v, const struct endpoint *e)
{
	struct client *c = v->former;

	if (!c || v->fresh || !client_may_go_on(c) ||
	    !pool_fits(c, e, v->route->protocol, v->source ? v->source->name : NULL,
		       &v->vouch.trust))
		return NULL;
	v->former = NULL;
	return c;
}

/* The host is not to be trusted with this message: nothing is tried. */
static void vouch_failed(struct delivery *v, enum failure f)
{
	struct problem p;

	if (f == FAIL_CANCELLED) {
		v->cancelled = true;
		return;
	}
	problem_set(&p, &v->words, STAGE_TLS, f, NULL, v->candidates.host->name,
		    str_of(v->vouch.why));
	if (f != FAIL_WISH)
		candidates_skip(&v->candidates, p.reply.text, is_policys(v, &p));
	keep_problem(v, &p);
}

static void try_address(struct delivery *v, const struct endpoint *e) SUSPENDS
{
	struct str domain = destination_domain(v->slot.destination);
	struct client_target target = {
		.config = v->config,
		.route = v->route,
		.source = v->source,
		.endpoint = *e,
		.host = v->candidates.host->name,
		.domain = domain.n ? domain : v->candidates.host->name,
		.trust = &v->vouch.trust,
		.told = vouch_told,
		.arg = v,
	};
	struct problem p;
	enum failure f = vouch_host(v);
	struct client *c;

	if (f) {
		vouch_failed(v, f);
		return;
	}
	c = promised_for(v, e);
	if (!c && !v->fresh)
		c = pool_take(&v->core->pool, e, v->route->protocol,
			      v->source ? v->source->name : NULL, &v->vouch.trust);
	if (c && (adopt(v, c) || v->limited))
		return;
	if (!get_permit(v)) {
		v->limited = true;
		return;
	}
	c = client_open(&target, &v->words, &p);
	if (!c) {
		open_failed(v, e, &p);
		return;
	}
	vouch_opened(v, c);
	hand_over_permit(&v->slot, c);
	bound_messages(v, c);
	candidates_worked(&v->candidates);
	take_client(v, c);
}

static void set_provider(struct delivery *v, const struct exchangers *x)
{
	const struct provider *p =
		mx_provider(v->config, x, destination_domain(v->slot.destination));

	v->slot.knows_provider = true;
	v->slot.provider = p ? p->name : NULL;
	v->provider_until = loop_now() + PROVIDER_NS;
}

static bool begin_walk(struct delivery *v) SUSPENDS
{
	enum failure f = candidates_begin(&v->candidates, v->route, v->source,
					  destination_domain(v->slot.destination));

	if (f) {
		domain_failed(v, f);
		return false;
	}
	if (v->route->is_mx)
		set_provider(v, &v->candidates.all);
	return true;
}

/* What it said after its last reply could be taken for the next one. */
static void check_kept(struct delivery *v)
{
	if (!v->client)
		return;
	if (v->client->broken || client_has_input(v->client)) {
		attempt_hang_up(v);
	} else if (!client_may_go_on(v->client) || !vouch_keeps(v, v->client) ||
		   v->client->judged_until <= loop_now()) {
		v->former = v->client;
		v->client = NULL;
	}
}

/*
 * The slot was started for an idle connection, which has the permit. It is used if its host is the
 * one to be tried now (promised_for); else its permit is.
 */
static void take_promised(struct delivery *v)
{
	struct client *c;

	if (!v->slot.takes_idle)
		return;
	v->slot.takes_idle = false;
	c = pool_take_promised(&v->core->pool, v->slot.way);
	if (!c)
		return;
	if (client_has_input(c))
		close_now(v, &c);
	else
		v->former = c;
}

bool attempt_connect(struct delivery *v)
{
	bool end = false;

	check_kept(v);
	take_promised(v);
	if (!v->client && !v->candidates.route && !begin_walk(v))
		return false;
	while (!v->client && !attempt_is_over(v)) {
		struct endpoint e;
		enum failure f = candidates_next(&v->candidates, &e, &end);

		if (f && v->candidates.stage == STAGE_MX)
			domain_failed(v, f);
		else if (f)
			lookup_failed(v, f);
		else if (!end)
			try_address(v, &e);
		if (end)
			break;
	}
	return v->client;
}

/* ---- the provider */

/*
 * What the DNS does not tell now stays as it was known; what is wrong with the domain is found, and
 * filed, by the job.
 */
void attempt_find_provider(struct delivery *v)
{
	struct arena names = { .blocks = NULL };
	struct exchangers x;
	struct str domain = destination_domain(v->slot.destination);

	if (!domain.n || v->provider_until > loop_now())
		return;
	attempt_configure(v);
	if (!v->route || !v->route->is_mx)
		return;
	if (!mx_find(v->deliver->dns, domain, v->route->mx_port, &names, &x))
		set_provider(v, &x);
	arena_done(&names);
}
