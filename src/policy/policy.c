/*
 * policy - walks the rules for one recipient; see policy.h.
 *
 * The first rule whose three parts all fit - who connects, who sends, who receives - decides;
 * behind the last one mail is refused (promise D6). Who connects is said by the client's address,
 * by its login, by its certificate or by its having looked at its mail; what it writes in HELO or
 * MAIL is its own choice: HELO counts only where mail is refused. An address with % or ! or a
 * source route is an address at its domain, nothing more: the relay never looks into local parts,
 * so it cannot be talked into relaying by them.
 */
#include "policy/policy.h"

#include "config/table.h"
#include "net/tls.h"
#include "policy/match.h"

#define RELAYING_DENIED                                                                            \
	REPLY(550, 5, 7, 1, "relaying denied: no rule takes mail for this recipient from you")
#define ROUTED REPLY(550, 5, 7, 1, "no % or ! or @ within the local part of an address from you")
#define NO_POSTMASTER REPLY(550, 5, 1, 1, "this relay has no postmaster to whom it could send this")

void client_init(struct client *c, const struct endpoint *peer)
{
	*c = (struct client){
		.ip = peer->ip,
		.is_local = !peer->ip.family || ip_is_loopback(&peer->ip),
	};
}

/* ---- the parts of a rule */

static bool is_named(void *arg, struct str name)
{
	return stream_tls_names(arg, name);
}

/*
 * A fingerprint is that certificate and no other, whoever made it. A name counts only in one that
 * an authority of client_ca vouches for; a rule has few of them (config/ sees to that).
 */
static bool certificate_fits(const struct table *t, const struct client *client)
{
	if (!t)
		return client->certificate_verified;
	if (table_has_fingerprint(t, client->fingerprint))
		return true;
	return client->certificate_verified && client->tls &&
	       table_any_name(t, is_named, (void *)(uintptr_t)client->tls);
}

static bool who_fits(const struct rule *rule, const struct client *client)
{
	switch (rule->who) {
	case WHO_ANY:
		return true;
	case WHO_LOCAL:
		return client->is_local;
	case WHO_NETWORKS:
	case WHO_TABLE:
		return table_has_ip(rule->who_table, &client->ip);
	case WHO_LOGIN:
		return client->login.n &&
		       (!rule->who_table || table_has_login(rule->who_table, client->login));
	case WHO_CERTIFICATE:
		return client->fingerprint.n && certificate_fits(rule->who_table, client);
	case WHO_POP:
		return client->has_popped;
	case WHO_HELO:
		return client->helo.n && table_has_helo(rule->who_table, client->helo);
	}
	return false;
}

/* The null path, and <postmaster> without a domain, are in no table. */
static bool address_fits(const struct address_match *match, const struct address *a)
{
	switch (match->kind) {
	case MATCH_ANY:
		return true;
	case MATCH_LIST:
	case MATCH_TABLE:
		return a->domain.n && table_has_address(match->table, a->local, a->domain);
	case MATCH_DOMAIN_TABLE:
		return a->domain.n && table_has_domain(match->table, a->domain);
	}
	return false;
}

enum match_part policy_match(const struct rule *rule, const struct client *client,
			     const struct address *sender, const struct address *recipient)
{
	if (!who_fits(rule, client))
		return MATCH_NOT_WHO;
	if (!address_fits(&rule->sender, sender))
		return MATCH_NOT_SENDER;
	if (!address_fits(&rule->recipient, recipient))
		return MATCH_NOT_RECIPIENT;
	return MATCH_ALL;
}

/* ---- deciding */

static void take(struct decision *ret, const struct rule *rule, const struct route *route,
		 struct str recipient)
{
	*ret = (struct decision){
		.verdict = VERDICT_ACCEPT,
		.rule = rule,
		.route = route,
		.recipient = recipient,
	};
}

static void refuse(struct decision *ret, const struct rule *rule, struct reply reply)
{
	*ret = (struct decision){ .verdict = VERDICT_REFUSE, .rule = rule, .reply = reply };
}

/* user%host, host!user and "user@host": ways through the server behind us, also within quotes. */
static bool is_routed(const struct address *a)
{
	return str_find(a->local, '%') >= 0 || str_find(a->local, '!') >= 0 ||
	       str_find(a->local, '@') >= 0;
}

static void decide_by_rules(const struct config *c, const struct client *client,
			    const struct address *sender, const struct address *recipient,
			    struct decision *ret)
{
	for (unsigned i = 0; i < c->rules_n; i++) {
		const struct rule *rule = &c->rules[i];

		if (policy_match(rule, client, sender, recipient) != MATCH_ALL)
			continue;
		if (!rule->accept)
			refuse(ret, rule, rule->reply);
		else if (rule->who == WHO_ANY && is_routed(recipient))
			refuse(ret, rule, ROUTED);
		else
			take(ret, rule, rule->route, recipient->whole);
		return;
	}
	refuse(ret, NULL, RELAYING_DENIED);
}

const struct rule *policy_postmaster_rule(const struct config *c, const struct client *client,
					  const struct address *sender)
{
	for (unsigned i = 0; i < c->rules_n; i++) {
		const struct rule *rule = &c->rules[i];

		if (!who_fits(rule, client) || !address_fits(&rule->sender, sender))
			continue;
		if (rule->accept || rule->recipient.kind == MATCH_ANY)
			return rule;
	}
	return NULL;
}

/*
 * <postmaster> (RFC 5321 4.5.1): taken from whomever a rule takes any mail from, and from local.
 * Where no route is named, the rules say where the postmaster's own address goes, asked as the
 * relay itself would ask: the client may have no right to send there, but its mail to the
 * postmaster has.
 */
static void decide_postmaster(const struct config *c, const struct client *client,
			      const struct address *sender, struct decision *ret)
{
	const struct client self = { .is_local = true };
	const struct rule *rule = policy_postmaster_rule(c, client, sender);
	struct address postmaster;

	if (!client->is_local && !(rule && rule->accept)) {
		refuse(ret, rule, rule ? rule->reply : RELAYING_DENIED);
		return;
	}
	if (!c->postmaster.n) {
		refuse(ret, NULL, NO_POSTMASTER);
		return;
	}
	if (c->postmaster_route) {
		take(ret, NULL, c->postmaster_route, c->postmaster);
		return;
	}
	postmaster = address_split(c->postmaster);
	decide_by_rules(c, client, sender, &postmaster, ret);
	if (ret->verdict != VERDICT_ACCEPT)
		decide_by_rules(c, &self, &postmaster, &postmaster, ret);
	if (ret->verdict != VERDICT_ACCEPT)
		refuse(ret, NULL, NO_POSTMASTER);
}

void policy_decide(const struct config *c, const struct client *client,
		   const struct address *sender, const struct address *recipient,
		   struct decision *ret)
{
	if (!recipient->domain.n)
		decide_postmaster(c, client, sender, ret);
	else
		decide_by_rules(c, client, sender, recipient, ret);
}

bool policy_has_hope(const struct config *c, const struct client *client)
{
	if (client->is_local)
		return true;	/* to <postmaster> at least */
	for (unsigned i = 0; i < c->rules_n; i++)
		if (c->rules[i].accept && who_fits(&c->rules[i], client))
			return true;
	return false;
}
