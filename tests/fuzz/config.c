/*
 * Fuzzes config/ and policy/: any text is read without a fault of ours; a text that is sound is a
 * snapshot that answers, and never relays for a stranger unless the word dangerously-open stands in
 * it (promise D6).
 */
#include "base/buf.h"
#include "config/config.h"
#include "policy/policy.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/*
 * A stranger's mail to a stranger, from one address in each /16 of a few /8. Networks that together
 * cover less than a /8 (private ones apart) cannot hold all of them. Texts that name .test may mean
 * this very recipient.
 */
static void check_closed(const struct config *c, struct str text)
{
	const struct address sender = address_split(STR("a@sender.test")),
			     recipient = address_split(STR("b@closed.test"));
	unsigned accepted = 0;

	if (str_search(text, STR("dangerously-open")) >= 0 || str_search(text, STR("test")) >= 0)
		return;
	for (unsigned i = 0; i < 1024; i++) {
		struct endpoint peer = {
			.ip = { 4, { (uint8_t)(20 + 50 * (i >> 8)), (uint8_t)i, 77, 77 } }
		};
		struct client client;
		struct decision d;

		client_init(&client, &peer);
		policy_decide(c, &client, &sender, &recipient, &d);
		accepted += d.verdict == VERDICT_ACCEPT;
	}
	assert(accepted < 1024);
}

static void ask(const struct config *c)
{
	static const char *const addresses[] = { "a@b.example", "\"a b\"@[192.0.2.1]", "postmaster",
						 "x@a.b.c.d.example.org" };
	struct buf out = BUF_INIT(1 << 20);
	struct endpoint peer = { .ip = { 4, { 192, 0, 2, 1 } } };
	struct client client;

	client_init(&client, &peer);
	policy_has_hope(c, &client);
	for (size_t i = 0; i < 4; i++) {
		if (i == 2) {
			client.login = STR("alice");
			client.helo = STR("x.dyn.example");
			client.has_popped = true;
			client.fingerprint = STR("9f86d081884c7d659a2feaa0c55ad015"
						 "a3bf4f1b2b0b822cd15d6c15b0f00a08");
		}
		struct address recipient = address_split(str_of(addresses[i]));
		struct address sender =
			i ? address_split(str_of(addresses[i - 1])) : (struct address){ 0 };

		policy_explain(&out, c, &client, &sender, &recipient);
	}
	buf_done(&out);
}

/* What sessions take for granted. */
static void check_doors(const struct config *c)
{
	for (unsigned i = 0; i < c->listens_n; i++) {
		const struct config_listen *l = &c->listens[i];

		assert(l->clients && l->tls <= TLS_IMPLICIT);
		assert(l->tls == TLS_OFF || c->tls.server);
		assert(!l->mechanisms || c->users_n);
	}
	for (unsigned i = 0; i < c->routes_n; i++) {
		const struct route *r = c->routes[i];

		assert(r->tls <= TLS_VERIFIED && (r->tls == TLS_OFF) == !r->tls_context);
		assert(!r->login_user.n || (!r->is_mx && r->login_secret.n && c->secrets));
	}
	for (unsigned i = 0; i < c->pops_n; i++) {
		const struct config_pop *p = &c->pops[i];

		assert(p->tls <= TLS_IMPLICIT && p->upstream_tls <= TLS_VERIFIED);
		assert(!p->upstream_context == !(p->has_upstream && p->upstream_tls));
	}
}

/* What delivery asks: each answer must be one of the snapshot's own. */
static void ask_delivery(const struct config *c)
{
	static const char *const hosts[] = { "mx.x.example", "a.b.c.google.com.", "", "." };
	static const struct reply replies[] = {
		{ 421, { 4, 7, 28 }, { "Too many connections from 192.0.2.1\nslow down", 44 } },
		{ 550, { 0 }, { "\xff\0blocked aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", 46 } },
		{ 0, { 0 }, { NULL, 0 } },
	};

	for (unsigned i = 0; i < c->routes_n; i++) {
		assert(config_route(c, c->routes[i]->name) == c->routes[i]);
		assert(c->routes[i]->base && c->routes[i]->is_mx == !c->routes[i]->hosts_n);
	}
	for (size_t i = 0; i < 4; i++) {
		const struct provider *p = config_provider_of_mx(c, str_of(hosts[i]));
		const struct provider *q = config_provider_of_domain(c, str_of(hosts[i]));

		assert(!p || config_provider(c, p->name) == p);
		for (size_t j = 0; j < 3; j++)
			config_reply_rule(c, j % 2 ? p : q, &replies[j]);
		for (unsigned j = 0; j < c->limits_n; j++)
			limit_applies(&c->limits[j], str_of(hosts[i]), p ? p->name : NULL, NULL,
				      c->routes_n ? c->routes[0]->base : NULL);
	}
	for (unsigned i = 0; i < c->providers_n; i++)
		for (size_t j = 0; j < 3; j++)
			config_reply_rule(c, c->providers[i], &replies[j]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config_source source = {
		.path = "fuzz.conf",
		.text = (const char *)data,
		.text_n = n,
		.is_alone = true,
		.host_name = "relay.example.net",
	};
	struct buf messages = BUF_INIT(1 << 20);
	unsigned errors, warnings;
	struct config *c = config_load_from(&source, &messages, &errors, &warnings);

	assert((c == NULL) == (errors > 0));
	assert(buf_ok(&messages) && (messages.n > 0) == (errors + warnings > 0));
	if (c) {
		check_closed(c, str_make((const char *)data, n));
		check_doors(c);
		ask(c);
		ask_delivery(c);
		config_unref(c);
	}
	buf_done(&messages);
	return 0;
}
