/*
 * strangers - see strangers.h: what the parts found, made into answers.
 *
 * lists.c and names.c ask the DNS, greylist.c remembers, client_limits.c counts; here stands whom
 * they concern, in which order, and with which reply. The order at RCPT is from what costs nothing
 * and is certain to what makes honest people wait: HELO name, lists, reverse name, greylisting; the
 * limit comes last, so that it counts what is accepted.
 *
 * An allow list's weight (a score below zero) passes the greylist: that is what such lists are for.
 */
#include "policy/strangers.h"

#include "base/hash.h"
#include "base/mem.h"
#include "policy/greylist.h"
#include "policy/inquiry.h"
#include "policy/lists.h"
#include "policy/names.h"

#define HELO_WAIT (5 * SECOND)		/* for the DNS, while the client waits for EHLO's reply */
#define HELOS_MAX 4			/* names of one client that the DNS is asked about */

struct strangers {
	struct world *world;
	struct dns *dns;
	struct lists *lists;
	struct client_limits *limits;
	struct greylist *greylist;
};

struct strangers *strangers_new(struct net *n, struct dns *d, const char *state)
{
	struct strangers *s = mem_zalloc(sizeof(*s));

	s->world = net_world(n);
	s->dns = d;
	s->lists = lists_new(d);
	s->limits = client_limits_new(CLIENT_COUNTS_MAX);
	s->greylist = greylist_new(GREYLIST_TRIPLES, GREYLIST_NETWORKS);
	if (state)
		greylist_keep(s->greylist, s->world, state);
	return s;
}

void strangers_stop(struct strangers *s)
{
	greylist_stop(s->greylist);
}

void strangers_free(struct strangers *s)
{
	if (!s)
		return;
	lists_free(s->lists);
	client_limits_free(s->limits);
	greylist_free(s->greylist);
	mem_free(s);
}

/* ---- answers */

static void say(struct decision *d, struct stranger *x, struct reply reply, struct buf *text)
{
	str_copy(x->text, sizeof(x->text), buf_str(text));
	buf_done(text);
	reply.text = str_of(x->text);
	d->verdict = reply.code < 500 ? VERDICT_LATER : VERDICT_REFUSE;
	d->reply = reply;
}

static void refuse(struct decision *d, struct reply reply)
{
	d->verdict = reply.code < 500 ? VERDICT_LATER : VERDICT_REFUSE;
	d->reply = reply;
}

static struct sender sender_of(const struct client *client)
{
	struct sender s = { .login = client->login, .listen = client->listen };

	if (!client->is_local && !client->login.n)
		s.ip = client->ip;
	return s;
}

/* Whom a rule or a login vouches for is no stranger. */
static bool is_stranger(const struct client *client, const struct rule *rule)
{
	if (client->is_local || client->login.n || client->has_popped || !client->ip.family)
		return false;
	return !rule || rule->who == WHO_ANY;
}

static bool is_postmaster(const struct address *a)
{
	return str_eq_nocase(a->local, STR("postmaster"));
}

/* ---- connections */

static bool connect_as(struct strangers *s, const struct config *c, const struct sender *from,
		       unsigned per, struct stranger *x, struct decision *ret)
{
	if (!client_limits_connect(s->limits, c, from, per, &x->counts))
		return true;
	refuse(ret, REPLY(421, 4, 7, 0, "Too many connections from you at once"));
	return false;
}

void strangers_connected(struct strangers *s, const struct config *c, const struct client *client,
			 struct stranger *x, struct decision *ret)
{
	const struct sender from = sender_of(client);

	*ret = (struct decision){ .verdict = VERDICT_ACCEPT };
	x->counted = connect_as(s, c, &from, LIMIT_PER_CLIENT | LIMIT_PER_CLIENT_NETWORK, x, ret);
	x->before_login_n = x->counts.n;
}

void strangers_logged_in(struct strangers *s, const struct config *c, const struct client *client,
			 struct stranger *x, struct decision *ret)
{
	const struct sender from = sender_of(client);

	*ret = (struct decision){ .verdict = VERDICT_ACCEPT };
	strangers_logged_out(s, x);	/* it counts once, whatever was before */
	if (from.login.n)
		x->counted |= connect_as(s, c, &from, LIMIT_PER_LOGIN, x, ret);
}

void strangers_logged_out(struct strangers *s, struct stranger *x)
{
	client_limits_disconnect(s->limits, &x->counts, x->before_login_n);
}

void strangers_disconnected(struct strangers *s, struct stranger *x)
{
	client_limits_disconnect(s->limits, &x->counts, 0);
	x->counted = false;
}

void strangers_handshake(struct strangers *s, const struct config *c, const struct client *client,
			 struct decision *ret)
{
	const struct sender from = sender_of(client);
	const struct spending one = { .config = c, .from = &from, .handshakes = 1,
				      .now = loop_now() };
	uint64_t again;

	*ret = (struct decision){ .verdict = VERDICT_ACCEPT };
	if (client_limits_spend(s->limits, &one, &again))
		refuse(ret, REPLY(421, 4, 7, 0, "Too many handshakes from you, come back later"));
}

/* ---- the DNS */

struct reverse {
	struct strangers *strangers;
	const struct client *client;
	struct stranger *stranger;
	uint64_t deadline;
};

static void ask_reverse(void *arg) SUSPENDS
{
	struct reverse *r = arg;
	struct stranger *x = r->stranger;
	enum name_state state = names_reverse(r->strangers->dns, &r->client->ip, r->deadline,
					      x->name);

	x->name_unknown = state == NAME_UNKNOWN;
	x->name_exists = state == NAME_VERIFIED || state == NAME_UNVERIFIED;
}

void strangers_look_up(struct strangers *s, const struct config_clients *cc,
		       const struct client *client, struct stranger *x, uint64_t deadline)
{
	struct reverse r = { s, client, x, deadline };
	struct listing listing;
	struct inquiry q;

	x->score = 0;
	x->listed[0] = x->name[0] = 0;
	x->name_exists = x->looked_up = false;
	x->name_unknown = true;
	if (client->is_local || !client->ip.family)
		return;
	inquiry_init(&q);
	if (cc->reverse_name != NAME_IGNORED || cc->greylist)
		inquiry_ask(&q, ask_reverse, &r);
	lists_ask(s->lists, cc, &client->ip, deadline, &listing);
	inquiry_wait(&q);
	x->score = listing.score;
	str_copy(x->listed, sizeof(x->listed), str_of(listing.said));
	x->looked_up = true;
}

/* ---- HELO */

/* The DNS need not be asked: it was about this name, or has been asked often enough. */
static bool is_settled(struct stranger *x, struct str helo)
{
	const struct reply too_many = REPLY(550, 5, 7, 1, "You say another name in HELO each time");
	uint64_t hash = hash_nocase(helo);

	if (x->helos_n && x->helo_hash == hash)
		return true;
	x->helo_hash = hash;
	if (x->helos_n++ < HELOS_MAX)
		return false;
	x->helos_n = HELOS_MAX + 1;
	x->helo_reply = too_many;
	return true;
}

void strangers_helo(struct strangers *s, const struct config_clients *cc,
		    const struct client *client, struct stranger *x, struct decision *ret)
{
	*ret = (struct decision){ .verdict = VERDICT_ACCEPT };
	if (!is_stranger(client, NULL) || cc->helo == NAME_IGNORED)
		return;
	if (cc->helo != NAME_VALID && is_settled(x, client->helo)) {
		if (x->helo_reply.code)
			refuse(ret, x->helo_reply);
		return;
	}
	x->helo_reply.code = 0;
	switch (names_helo(s->dns, client->helo, cc->helo, &client->ip, loop_now() + HELO_WAIT)) {
	case NAME_UNVERIFIED:
		x->helo_reply = REPLY(550, 5, 5, 4, "What you said in HELO is no host's name");
		break;
	case NAME_NONE:
		x->helo_reply = cc->helo == NAME_MATCHES
			? REPLY(550, 5, 7, 1, "The name that you said in HELO is not yours")
			: REPLY(550, 5, 7, 1, "The name that you said in HELO does not exist");
		break;
	case NAME_VERIFIED:
	case NAME_UNKNOWN:
		return;
	}
	refuse(ret, x->helo_reply);
}

/* ---- RCPT */

static bool lists_refuse(const struct config_clients *cc, const struct client *client,
			 struct stranger *x, struct decision *ret)
{
	struct buf text = BUF_INIT(sizeof(x->text) - 1);
	char ip[ENDPOINT_TEXT_MAX];

	if (!x->looked_up || x->score <= 0 || x->score < cc->lists_refuse)
		return false;
	buf_printf(&text, "Mail from %s is refused: %s", ip_text(ip, &client->ip), x->listed);
	say(ret, x, REPLY(550, 5, 7, 1, ""), &text);
	return true;
}

/* RFC 7372 3.3 */
static bool name_refuses(const struct config_clients *cc, const struct stranger *x,
			 struct decision *ret)
{
	if (!x->looked_up || x->name_unknown)
		return false;
	if (cc->reverse_name == NAME_MATCHES && !x->name[0] && x->name_exists)
		refuse(ret, REPLY(550, 5, 7, 25, "Your address's name does not lead back to it"));
	else if (cc->reverse_name != NAME_IGNORED && !x->name_exists)
		refuse(ret, REPLY(550, 5, 7, 25, "Your address has no name in the DNS"));
	else
		return false;
	return true;
}

static struct greylist_times times_of(const struct config_clients *cc)
{
	return (struct greylist_times){
		.delay_ms = cc->greylist_delay_ns / MILLISECOND,
		.window_ms = cc->greylist_window_ns / MILLISECOND,
		.pass_ms = cc->greylist_pass_ns / MILLISECOND,
	};
}

static bool greylist_refuses(struct strangers *s, const struct config_clients *cc,
			     const struct greylist_triple *t, struct stranger *x,
			     struct decision *ret)
{
	const struct greylist_times times = times_of(cc);
	struct buf text = BUF_INIT(sizeof(x->text) - 1);
	uint64_t seconds = 0;

	if (!cc->greylist || x->score < 0)
		return false;
	if (greylist_ask(s->greylist, &times, t, loop_wall_ms(), &seconds) != GREYLIST_WAIT) {
		x->greylisted = true;
		return false;
	}
	buf_printf(&text, "Greylisted: try again in %llu seconds", (unsigned long long)seconds);
	say(ret, x, REPLY(450, 4, 7, 1, ""), &text);
	return true;
}

/* How soon, rounded up, in words that fit every unit. */
static void limited(struct decision *d, struct stranger *x, const struct limit *broken,
		    uint64_t again_ns)
{
	const char *what = broken->what == LIMIT_RECIPIENTS ? "recipients" :
			   broken->what == LIMIT_OCTETS	    ? "octets"
							    : "messages";
	struct buf text = BUF_INIT(sizeof(x->text) - 1);

	buf_printf(&text, "Too many %s from you, try again in %llu seconds", what,
		   (unsigned long long)((again_ns + SECOND - 1) / SECOND));
	say(d, x, REPLY(450, 4, 7, 1, ""), &text);
}

void strangers_recipient(struct strangers *s, const struct config *c,
			 const struct config_clients *cc, const struct client *client,
			 struct stranger *x, const struct address *sender,
			 const struct address *recipient, struct decision *ret)
{
	const struct sender from = sender_of(client);
	const struct greylist_triple t = { client->ip, str_of(x->name), sender->whole,
					   recipient->whole };
	const struct spending spending = { .config = c, .from = &from, .recipients = 1,
					   .now = loop_now() };
	const struct limit *broken;
	uint64_t again;

	if (is_stranger(client, ret->rule) && !is_postmaster(recipient)) {
		if (x->helo_reply.code) {
			refuse(ret, x->helo_reply);
			return;
		}
		if (lists_refuse(cc, client, x, ret) || name_refuses(cc, x, ret) ||
		    greylist_refuses(s, cc, &t, x, ret))
			return;
	}
	broken = client_limits_spend(s->limits, &spending, &again);
	if (broken)
		limited(ret, x, broken, again);
}

/* ---- messages */

void strangers_message(struct strangers *s, const struct config *c, const struct client *client,
		       struct stranger *x, uint64_t size, struct decision *ret)
{
	const struct sender from = sender_of(client);
	const struct spending spending = { .config = c, .from = &from, .messages = 1,
					   .octets = size, .now = loop_now() };
	const struct limit *broken;
	uint64_t again;

	*ret = (struct decision){ .verdict = VERDICT_ACCEPT };
	broken = client_limits_spend(s->limits, &spending, &again);
	if (broken)
		limited(ret, x, broken, again);
}

void strangers_good(struct strangers *s, const struct config *c, const struct config_clients *cc,
		    const struct client *client, struct stranger *x, uint64_t size,
		    uint64_t announced)
{
	const struct sender from = sender_of(client);
	const struct greylist_times times = times_of(cc);
	const struct spending more = { .config = c, .from = &from, .now = loop_now(),
				       .octets = size > announced ? size - announced : 0 };

	client_limits_charge(s->limits, &more);
	if (x->greylisted)
		greylist_good(s->greylist, &times, &client->ip, str_of(x->name), loop_wall_ms());
	x->greylisted = false;
}
