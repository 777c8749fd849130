/*
 * explain - what `relevo explain` prints: the rules in order, why each did not fit, and what was
 * decided.
 *
 * The deciding itself is policy_decide's; this only tells it. Places are "file:line", so that an
 * editor can go there. Senders and recipients come from the command line, so they are shown as they
 * are but for control bytes, which no parsed address has.
 */
#include "config/table.h"
#include "policy/match.h"

static void add_address(struct buf *out, const struct client *client)
{
	char text[ENDPOINT_TEXT_MAX];

	if (!client->ip.family) {
		buf_add_lit(out, "this machine");
		return;
	}
	buf_add_str(out, str_of(ip_text(text, &client->ip)));
	if (client->is_local)
		buf_add_lit(out, " (local)");
}

static void add_client(struct buf *out, const struct client *client)
{
	add_address(out, client);
	if (client->login.n)
		buf_printf(out, ", logged in as %.*s", STR_ARG(client->login));
	if (client->fingerprint.n)
		buf_printf(out, ", with certificate %.*s", STR_ARG(client->fingerprint));
	if (client->has_popped)
		buf_add_lit(out, ", who has looked at its mail");
	if (client->helo.n)
		buf_printf(out, ", HELO %.*s", STR_ARG(client->helo));
}

static void add_table(struct buf *out, const struct table *t)
{
	if (table_name(t).n)
		buf_printf(out, "table %.*s", STR_ARG(table_name(t)));
	else
		buf_add_lit(out, "what the rule lists");
}

/* Behind "the client ...". */
static void why_not_who(struct buf *out, const struct rule *rule, const struct client *client)
{
	switch (rule->who) {
	case WHO_ANY:
		return;
	case WHO_LOCAL:
		buf_add_lit(out, "is not local");
		return;
	case WHO_POP:
		buf_add_lit(out, "has not looked at its mail");
		return;
	case WHO_NETWORKS:
	case WHO_TABLE:
		buf_add_lit(out, "is not in ");
		break;
	case WHO_LOGIN:
		if (!client->login.n) {
			buf_add_lit(out, "has not logged in");
			return;
		}
		buf_printf(out, "has logged in as %.*s, who is not in ", STR_ARG(client->login));
		break;
	case WHO_CERTIFICATE:
		if (!client->fingerprint.n || !rule->who_table) {
			buf_add_str(out, client->fingerprint.n
						 ? STR("has a certificate that nobody vouches for")
						 : STR("has shown no certificate"));
			return;
		}
		buf_add_lit(out, "has a certificate that is not in ");
		break;
	case WHO_HELO:
		if (!client->helo.n) {
			buf_add_lit(out, "has not said HELO");
			return;
		}
		buf_printf(out, "says HELO %.*s, which is not in ", STR_ARG(client->helo));
	}
	add_table(out, rule->who_table);
}

static void why_not(struct buf *out, const struct rule *rule, enum match_part part,
		    const struct client *client, const struct address *sender,
		    const struct address *recipient)
{
	const struct address_match *match =
		part == MATCH_NOT_SENDER ? &rule->sender : &rule->recipient;
	const struct address *a = part == MATCH_NOT_SENDER ? sender : recipient;

	if (part == MATCH_NOT_WHO) {
		buf_add_lit(out, "the client ");
		if (rule->who == WHO_LOCAL || rule->who == WHO_NETWORKS || rule->who == WHO_TABLE) {
			add_address(out, client);
			buf_add_byte(out, ' ');
		}
		why_not_who(out, rule, client);
		return;
	}
	buf_printf(out, "the %s <%.*s> is not in ",
		   part == MATCH_NOT_SENDER ? "sender" : "recipient", STR_ARG(a->whole));
	add_table(out, match->table);
	if (match->kind == MATCH_DOMAIN_TABLE)
		buf_add_lit(out, " as a domain");
}

static void add_rule(struct buf *out, const struct rule *rule)
{
	buf_printf(out, "%s:%u: %.*s\n", rule->place.file, rule->place.line, STR_ARG(rule->text));
}

/* Every rule up to the one that fits. */
static void add_rules(struct buf *out, const struct config *c, const struct client *client,
		      const struct address *sender, const struct address *recipient)
{
	for (unsigned i = 0; i < c->rules_n; i++) {
		const struct rule *rule = &c->rules[i];
		enum match_part part = policy_match(rule, client, sender, recipient);

		add_rule(out, rule);
		if (part == MATCH_ALL) {
			buf_add_lit(out, "    fits\n");
			return;
		}
		buf_add_lit(out, "    does not fit: ");
		why_not(out, rule, part, client, sender, recipient);
		buf_add_byte(out, '\n');
	}
	buf_printf(out, "no %srule fits\n", c->rules_n ? "other " : "");
}

static void add_host(struct buf *out, const struct route_host *host)
{
	buf_add_lit(out, "    host ");
	if (host->endpoint.path || host->endpoint.ip.family)
		endpoint_format(out, &host->endpoint);
	else
		buf_printf(out, "%.*s:%u", STR_ARG(host->name), host->port);
	if (host->weight != 1)
		buf_printf(out, ", weight %u", host->weight);
	if (host->backup)
		buf_add_lit(out, ", backup");
	buf_add_byte(out, '\n');
}

const char *policy_tls_words(enum tls_use use)
{
	static const char *const words[] = {
		[TLS_OFF] = "without TLS", [TLS_OFFERED] = "TLS if it is offered",
		[TLS_REQUIRED] = "TLS required", [TLS_IMPLICIT] = "TLS from the start",
		[TLS_VERIFIED] = "TLS verified",
	};

	return words[use];
}

static void add_route(struct buf *out, const struct route *route)
{
	buf_printf(out, "route: %.*s (%s", STR_ARG(route->name),
		   route->protocol == ROUTE_LMTP ? "LMTP" : "SMTP");
	if (route->place.file)
		buf_printf(out, ", %s:%u", route->place.file, route->place.line);
	buf_printf(out, ", %s", policy_tls_words(route->tls));
	if (route->login_user.n)
		buf_printf(out, ", login as %.*s", STR_ARG(route->login_user));
	buf_add_lit(out, ")\n");
	for (unsigned i = 0; i < route->hosts_n; i++)
		add_host(out, &route->hosts[i]);
}

static void add_decision(struct buf *out, const struct decision *d)
{
	if (d->verdict == VERDICT_ACCEPT)
		buf_printf(out, "accepted for <%.*s>", STR_ARG(d->recipient));
	else {
		buf_printf(out, "%s: ", d->verdict == VERDICT_LATER ? "put off" : "refused");
		reply_describe(out, &d->reply);
	}
	if (d->rule)
		buf_printf(out, " by %s:%u", d->rule->place.file, d->rule->place.line);
	buf_add_byte(out, '\n');
	if (d->verdict == VERDICT_ACCEPT)
		add_route(out, d->route);
}

/* <postmaster> has a way of its own (RFC 5321 4.5.1), so it is told in its own words. */
static void add_postmaster(struct buf *out, const struct config *c, const struct client *client,
			   const struct address *sender)
{
	const struct rule *rule = policy_postmaster_rule(c, client, sender);

	buf_add_lit(out, "<postmaster> is taken from local and from whomever a rule takes mail "
			 "from\n");
	if (rule)
		add_rule(out, rule);
	else
		buf_printf(out, "no rule takes mail from this client%s\n",
			   client->is_local ? ", but it is local" : "");
}

void policy_explain(struct buf *out, const struct config *c, const struct client *client,
		    const struct address *sender, const struct address *recipient)
{
	struct decision d;

	buf_add_lit(out, "client ");
	add_client(out, client);
	buf_printf(out, ", from <%.*s>, to <%.*s>\n", STR_ARG(sender->whole),
		   STR_ARG(recipient->whole));
	if (recipient->domain.n)
		add_rules(out, c, client, sender, recipient);
	else
		add_postmaster(out, c, client, sender);
	policy_decide(c, client, sender, recipient, &d);
	add_decision(out, &d);
}
