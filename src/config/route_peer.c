/*
 * route_peer - what a route demands of its hosts and grants to them: TLS, logins, ETRN, whom they
 * have, how much may wait for them.
 *
 * A login is worth more than the mail: where a route has one and nothing is said of TLS, TLS is
 * required; without TLS it goes to this machine only; and never by MX, where the other end is
 * whoever the recipient's domain names.
 */
#include "config/reader.h"

#define SLOW_START_DEFAULT (1 * MINUTE)
#define SLOW_START_MAX (1 * HOUR)
#define QUOTA_MESSAGES_MAX 1000000000u

/* ---- statements */

/* tls off|offered|required|implicit|verified [ca FILE] */
void route_tls(struct load *l, const struct setting *row, const struct statement *st)
{
	struct route_draft *d = l->frames[l->depth].object;
	int use = setting_choice(l, row->choices, &st->words[1]);

	if (use < 0)
		return;
	d->route.tls = (enum tls_use)use;
	if (st->n == 2)
		return;
	if (!word_is(&st->words[2], "ca") || st->n != 4) {
		diag_error(&l->diag, word_is(&st->words[2], "ca") ? &st->end : &st->words[2].place,
			   "expected: ca and the name of a file");
		return;
	}
	if (use == TLS_VERIFIED)
		d->ca = st->words[3];
	else
		diag_error(&l->diag, &st->words[2].place,
			   "authorities are asked only where the host is verified: tls verified ca "
			   "FILE");
}

/* client_identity CERTIFICATE KEY */
void route_identity(struct load *l, const struct setting *row, const struct statement *st)
{
	struct route_draft *d = l->frames[l->depth].object;

	(void)row;
	d->identity = (struct identity_draft){ st->words[1], st->words[2], st->place };
}

/* etrn from NETWORK ...|table T */
void route_etrn(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const keywords[] = { "from", NULL };
	static const char *const end[] = { "the end of the line", NULL };
	struct reader r = reader_of(l, st, "the statement", "route blocks", keywords);
	struct route_draft *d = l->frames[l->depth].object;

	(void)row;
	if (!reader_keyword(&r, "from"))
		return;
	if (!reader_is_at(&r, "table")) {
		d->route.etrn_from =
			reader_list(&r, KIND(ENTRY_NETWORK), "a network such as 10.0.0.0/8");
		return;
	}
	r.at++;
	if (reader_name(&r, "the name of a table", &d->etrn_table) && r.at < r.end)
		reader_expected(&r, end);
}

/* quota SIZE | COUNT messages | SIZE COUNT messages */
void route_quota(struct load *l, const struct setting *row, const struct statement *st)
{
	struct route *route = &((struct route_draft *)l->frames[l->depth].object)->route;
	bool has_messages = st->n > 2 && word_is(&st->words[st->n - 1], "messages");
	const struct word *size = has_messages && st->n == 3 ? NULL : &st->words[1];
	const struct word *count = has_messages ? &st->words[st->n - 2] : NULL;

	if (st->n > 2 && !(has_messages && st->n <= 4)) {
		diag_error(&l->diag, &st->words[2].place, "expected: quota %s", row->arguments);
		return;
	}
	if (size && (!value_parse(VALUE_SIZE, size->text, &route->quota_octets) ||
		     route->quota_octets < KIB || route->quota_octets > (uint64_t)1 << 50))
		diag_error(&l->diag, &size->place,
			   "\"%.*s\" is not a size from 1K on, such as 500M or 2G (or: COUNT "
			   "messages)",
			   DIAG_WORD(size->text));
	if (count && (!value_parse(VALUE_COUNT, count->text, &route->quota_messages) ||
		      !route->quota_messages || route->quota_messages > QUOTA_MESSAGES_MAX))
		diag_error(&l->diag, &count->place, "\"%.*s\" is not a number from 1 to %u",
			   DIAG_WORD(count->text), QUOTA_MESSAGES_MAX);
}

/* recipients table T | callout */
void route_recipients(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const words[] = { "callout", "table", "" };
	struct route_draft *d = l->frames[l->depth].object;
	int which = setting_choice(l, words, &st->words[1]);

	(void)row;
	if (which < 0)
		return;
	if ((which == 1) != (st->n == 3))
		diag_error(&l->diag, which ? &st->end : &st->words[2].place,
			   which ? "expected the name of a table" : "expected the end of the line");
	else if (which)
		d->recipients_table = st->words[2];
	else
		d->route.callout = true;
}

/* slow_start on|off|TIME */
void route_slow_start(struct load *l, const struct setting *row, const struct statement *st)
{
	struct route_draft *d = statement_object(l);
	const struct word *w = &st->words[1];
	uint64_t *ns = &d->route.slow_start_ns;

	(void)row;
	if (word_is(w, "on") || word_is(w, "off"))
		*ns = word_is(w, "on") ? SLOW_START_DEFAULT : 0;
	else if (!value_parse(VALUE_DURATION, w->text, ns) || !*ns || *ns > SLOW_START_MAX)
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" is not what slow_start takes; expected on, off or a time from "
			   "1s to 1h",
			   DIAG_WORD(w->text));
}

/* ---- at the end */

static bool is_loopback(const struct route *route)
{
	for (unsigned i = 0; i < route->hosts_n; i++) {
		const struct route_host *h = &route->hosts[i];

		if (!h->endpoint.path && !ip_is_loopback(&h->endpoint.ip) &&
		    !str_eq_nocase(h->name, STR("localhost")))
			return false;
	}
	return !route->is_mx;
}

void route_check_login(struct load *l, struct route *route, bool is_opportunistic,
		       const struct config_place *at)
{
	if (!route->login_user.n)
		return;
	if (route->is_mx) {
		diag_error(&l->diag, at,
			   "route %.*s goes by MX: the secret would go to whoever a domain names",
			   DIAG_WORD(name_str(route->base)));
		return;
	}
	if (is_loopback(route))
		return;
	if (route->tls == TLS_OFFERED && is_opportunistic)
		route->tls = TLS_REQUIRED;
	if (route->tls == TLS_OFF || route->tls == TLS_OFFERED)
		diag_error(&l->diag, at,
			   "the secret could go to %.*s without TLS: say tls required, implicit or "
			   "verified",
			   DIAG_WORD(route->hosts_n ? route->hosts[0].name : route->name));
}

static void check_use(struct load *l, const struct route *route)
{
	if (route->tls == TLS_IMPLICIT && route->is_mx)
		diag_error(&l->diag, &route->place,
			   "route %.*s goes by MX: mail exchangers begin in clear (STARTTLS), TLS "
			   "cannot be implicit",
			   DIAG_WORD(name_str(route->base)));
	for (unsigned i = 0; route->tls == TLS_VERIFIED && i < route->hosts_n; i++) {
		const struct route_host *h = &route->hosts[i];

		if (h->endpoint.path || h->endpoint.ip.family)
			diag_error(&l->diag, &route->place,
				   "route %.*s: host %.*s cannot be verified: certificates have "
				   "names, not addresses",
				   DIAG_WORD(name_str(route->base)), DIAG_WORD(h->name));
	}
}

static void settle(struct load *l, struct route_draft *d)
{
	struct route *route = &d->route;

	d->is_opportunistic = route->tls == TLS_UNSAID;
	if (d->is_opportunistic)
		route->tls = TLS_OFFERED;
	check_use(l, route);
	route_check_login(l, route, d->is_opportunistic, &d->login_place);
	if (route->tls == TLS_OFF && d->identity.place.line)
		diag_error(&l->diag, &d->identity.place,
			   "client_identity needs TLS, which is off here");
	if (route->tls != TLS_OFF)
		route->tls_context = identity_client_context(l, d);
	if (d->etrn_table.text.n)
		route->etrn_from = check_find_networks(l, &d->etrn_table);
	if (d->recipients_table.text.n)
		route->recipients = check_find_table(l, &d->recipients_table);
	if (route->callout && route->is_mx)
		diag_error(&l->diag, &route->place,
			   "route %.*s goes by MX: it has no hosts to call out to",
			   DIAG_WORD(name_str(route->base)));
}

void route_settle_all(struct load *l)
{
	for (unsigned i = 0; i < l->drafts.n; i++)
		settle(l, l->drafts.p[i]);
}
