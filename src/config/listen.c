/*
 * listen - the `listen` statement and its block: addresses, TLS, logins, who may speak for others.
 *
 * What a listener does not say depends on other statements - whether there is a certificate, where
 * users are, what the `clients` block says - which may stand below it: so it is settled at the end.
 */
#include "config/coverage.h"
#include "config/reader.h"
#include "smtp/sasl.h"

/* octets; the greeting's line has 512 (RFC 5321 4.5.3.1.5) with the host name's 255 */
#define BANNER_MAX 200
#define PORT_SMTP 25

#define BIT(mechanism) (1u << (mechanism))
#define PASSWORDS (BIT(SASL_PLAIN) | BIT(SASL_LOGIN))
#define SCRAM BIT(SASL_SCRAM_SHA_256)
#define SCRAM_PLUS BIT(SASL_SCRAM_SHA_256_PLUS)
#define ALL_SCRAM (SCRAM | SCRAM_PLUS | BIT(SASL_SCRAM_SHA_1) | BIT(SASL_SCRAM_SHA_1_PLUS))
#define TOKENS (BIT(SASL_XOAUTH2) | BIT(SASL_OAUTHBEARER))

/* ---- addresses */

static bool is_every_address(const struct ip *ip)
{
	for (unsigned i = 0; i < sizeof(ip->bytes); i++)
		if (ip->bytes[i])
			return false;
	return true;
}

/* Two that cannot both be bound: the same, or one is all addresses of its family at that port. */
static bool clash(const struct endpoint *a, const struct endpoint *b)
{
	if (a->port != b->port || a->ip.family != b->ip.family)
		return false;
	return ip_eq(&a->ip, &b->ip) || is_every_address(&a->ip) || is_every_address(&b->ip);
}

bool listen_is_free(struct load *l, const struct word *w, const struct endpoint *e)
{
	const struct config_place *other = NULL;

	for (unsigned i = 0; i < l->listens.n && !other; i++) {
		const struct config_listen *listen = l->listens.p[i];

		if (clash(&listen->endpoint, e))
			other = &listen->place;
	}
	for (unsigned i = 0; i < l->pops.n && !other; i++) {
		const struct config_pop *pop = l->pops.p[i];

		if (clash(&pop->endpoint, e))
			other = &pop->place;
	}
	if (other)
		diag_error(&l->diag, &w->place, "%.*s is already listened on in %s:%u",
			   DIAG_WORD(w->text), other->file, other->line);
	else if (l->listens.n + l->pops.n >= CONFIG_LISTENERS_MAX)
		diag_error(&l->diag, &w->place, "more than %u addresses to listen on",
			   CONFIG_LISTENERS_MAX);
	else
		return true;
	return false;
}

void listen_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct listen_draft *d = arena_zalloc(&l->c->arena, sizeof(*d));
	struct config_listen *listen = &d->listen;

	(void)row;
	setting_defaults(l, BLOCK_LISTEN, l->opened = d);
	l->opened = d;
	listen->place = st->place;
	listen->tls = TLS_UNSAID;
	vector_add(&l->listen_drafts, d);
	if (str_starts(w->text, STR("unix:")) ||
	    !endpoint_parse(w->text, PORT_SMTP, &listen->endpoint)) {
		diag_error(&l->diag, &w->place, "\"%.*s\" is not an address to listen on; "
			   "expected one such as 0.0.0.0:25 or [::1]:25", DIAG_WORD(w->text));
		return;
	}
	if (listen_is_free(l, w, &listen->endpoint))
		vector_add(&l->listens, d);
}

void listen_banner(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct config_listen *listen = statement_object(l);

	(void)row;
	if (w->text.n > BANNER_MAX || !str_is_ascii(w->text) || str_has_control(w->text))
		diag_error(&l->diag, &w->place, "the banner is printable ASCII, at most %u octets",
			   BANNER_MAX);
	else
		listen->banner = arena_str(&l->c->arena, w->text);
}

/* proxy, xclient: from NETWORK ...|table T */
void listen_from(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const keywords[] = { "from", NULL };
	static const char *const end[] = { "the end of the line", NULL };
	struct reader r = reader_of(l, st, "the statement", "listen blocks", keywords);
	struct listen_draft *d = l->frames[l->depth].object;
	bool is_proxy = str_eq(str_of(row->name), STR("proxy"));
	const struct table **table = is_proxy ? &d->listen.proxy_from : &d->listen.xclient_from;

	if (!reader_keyword(&r, "from"))
		return;
	if (!reader_is_at(&r, "table")) {
		*table = reader_list(&r, KIND(ENTRY_NETWORK), "a network such as 10.0.0.0/8");
		return;
	}
	r.at++;
	if (reader_name(&r, "the name of a table",
			is_proxy ? &d->proxy_table : &d->xclient_table) &&
	    r.at < r.end)
		reader_expected(&r, end);
}

/* ---- logins */

static bool read_mechanisms(struct load *l, const struct word *w, const struct word *end,
			    unsigned *ret)
{
	struct choices choices = { .n = 0 };
	unsigned mechanisms = 0;

	for (unsigned m = SASL_NONE + 1; m < SASL_MECHANISMS_N; m++)
		choices_add(&choices, str_of(sasl_mechanism_name(m)));
	for (; w < end; w++) {
		enum sasl_mechanism m = sasl_mechanism_find(w->text);

		if (!m) {
			diag_unknown(&l->diag, &w->place, "unknown mechanism", w->text, &choices);
			return false;
		}
		mechanisms |= BIT(m);
	}
	*ret = mechanisms;
	return true;
}

/* login on | off | mechanisms M ... */
void listen_login(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const words[] = { "off", "on", "mechanisms", "" };
	struct listen_draft *d = l->frames[l->depth].object;
	int which = setting_choice(l, words, &st->words[1]);
	bool has_list = which == 2;

	(void)row;
	d->login_place = st->place;
	if (which < 0)
		return;
	d->login_off = which == 0;
	if (has_list != (st->n > 2))
		diag_error(&l->diag, has_list ? &st->end : &st->words[2].place,
			   has_list ? "expected the names of mechanisms, such as PLAIN"
				    : "expected the end of the line");
	else if (has_list)
		read_mechanisms(l, &st->words[2], &st->words[st->n], &d->login_mechanisms);
}

/* What can be offered with the backends that there are. */
static unsigned mechanisms_default(const struct load *l)
{
	const unsigned passwords = 1u << USERS_FILE | 1u << USERS_DOVECOT;
	unsigned mechanisms = 0;

	if (login_has_users(l, passwords))
		mechanisms |= PASSWORDS;
	if (login_has_users(l, 1u << USERS_FILE))
		mechanisms |= SCRAM | SCRAM_PLUS;
	if (login_has_users(l, 1u << USERS_INTROSPECT))
		mechanisms |= TOKENS;
	return mechanisms;
}

static void check_mechanisms(struct load *l, const struct listen_draft *d)
{
	unsigned said = d->login_mechanisms;
	const unsigned own = 1u << USERS_FILE | 1u << USERS_DOVECOT;

	if (login_has_users(l, 1u << USERS_DOVECOT))
		return;		/* it may know all of them */
	if (said & TOKENS && !login_has_users(l, 1u << USERS_INTROSPECT))
		diag_warn(&l->diag, &d->login_place,
			  "XOAUTH2 and OAUTHBEARER need: users introspect URL");
	if (said & (PASSWORDS | ALL_SCRAM) && !login_has_users(l, own))
		diag_warn(&l->diag, &d->login_place,
			  "passwords need: users file FILE, or users dovecot SOCKET");
}

static void settle_login(struct load *l, struct listen_draft *d)
{
	struct config_listen *listen = &d->listen;
	bool is_said = d->login_place.line && !d->login_off;
	const struct config_place *at = is_said ? &d->login_place : &listen->place;

	if (listen->submission && d->login_off)
		diag_error(&l->diag, &d->login_place,
			   "submission begins with a login: it cannot be off");
	if (d->login_off || !(is_said || listen->submission || l->users.n))
		return;
	if (!l->users.n) {
		diag_error(&l->diag, at, "%s needs users: name them, as in: users file ./users",
			   listen->submission ? "submission" : "login");
		return;
	}
	if (listen->tls == TLS_OFF && !ip_is_loopback(&listen->endpoint.ip)) {
		if (is_said || listen->submission)
			diag_warn(&l->diag, at,
				  "nobody can log in here: without TLS logins are offered on "
				  "loopback addresses only");
		return;
	}
	check_mechanisms(l, d);
	listen->mechanisms = d->login_mechanisms ? d->login_mechanisms : mechanisms_default(l);
	if (listen->tls == TLS_OFF)	/* nothing to bind to */
		listen->mechanisms &=
			~(BIT(SASL_SCRAM_SHA_256_PLUS) | BIT(SASL_SCRAM_SHA_1_PLUS));
}

/* ---- when everything was read */

enum tls_use listen_tls(struct load *l, enum tls_use said, const struct config_place *at)
{
	bool has = identity_has_server(l);

	if (said == TLS_UNSAID)
		return has ? TLS_OFFERED : TLS_OFF;
	if (said != TLS_OFF && !has)
		diag_error(&l->diag, at,
			   "TLS needs a certificate: name one in a tls block, as in: "
			   "tls { certificate FILE; key FILE }");
	return said;
}

/* Who may name the client may name one that is allowed to relay: such networks open the relay. */
static void check_speakers(struct load *l, const struct config_listen *listen,
			   const struct table *from, const char *what)
{
	struct coverage coverage = { 0 };

	if (from)
		coverage_add_table(&coverage, from);
	if (coverage_is_wide(&coverage))
		diag_error(&l->diag, &listen->place,
			   "open relay: %s believes strangers who they are; name the addresses of "
			   "the proxies", what);
	coverage_done(&coverage);
}

static void settle(struct load *l, struct listen_draft *d)
{
	struct config_listen *listen = &d->listen;

	listen->tls = listen_tls(l, listen->tls, &listen->place);
	if (listen->asks_certificates && listen->tls == TLS_OFF)
		diag_error(&l->diag, &listen->place,
			   "client_certificates needs TLS, which is off here");
	if (d->proxy_table.text.n)
		listen->proxy_from = check_find_networks(l, &d->proxy_table);
	if (d->xclient_table.text.n)
		listen->xclient_from = check_find_networks(l, &d->xclient_table);
	check_speakers(l, listen, listen->proxy_from, "proxy from");
	check_speakers(l, listen, listen->xclient_from, "xclient from");
	settle_login(l, d);
	listen->clients = clients_of_listener(l, d);
}

void listen_check_all(struct load *l)
{
	bool can_log_in = false;

	for (unsigned i = 0; i < l->listens.n; i++) {
		struct listen_draft *d = l->listens.p[i];

		settle(l, d);
		can_log_in |= d->listen.mechanisms != 0;
	}
	if (l->users.n && !l->pops.n && !can_log_in && !l->diag.errors)
		diag_warn(&l->diag, &((const struct users_backend *)l->users.p[0])->place,
			  "no address lets users log in: logins need TLS, or a loopback address");
}

void listen_freeze(struct load *l)
{
	struct config_listen *listens =
		arena_alloc(&l->c->arena, size_mul(l->listens.n, sizeof(*listens)));

	for (unsigned i = 0; i < l->listens.n; i++)
		listens[i] = ((const struct listen_draft *)l->listens.p[i])->listen;
	l->c->listens = listens;
	l->c->listens_n = l->listens.n;
}
