/* config: providers: whose mail exchanger, whose reply; and the list that is shipped. */
#include "unit/config/text.h"

static const struct text_case message_cases[] = {
	{
		"providers that are fine",
		"version 1\n"
		"provider x {\n"
		"\tmx .mx.x.example mx.x.example\n"
		"\tmx other.x.example\n"
		"\tdomain x.example .x.example\n"
		"\tconnections 5\n"
		"\tmessages 20\n"
		"\ton reply 421 then slow\n"
		"\ton reply 42x status 4.7.* then pause\n"
		"\ton reply 4xx matches \"a|b\" then pause 10m\n"
		"\ton status *.7.1 then other-source\n"
		"\ton status 4.*.* then other-source 1h\n"
		"\ton matches \"x\" status 5.7.1 reply 550 then bounce\n"
		"\ton reply 5xx then defer\n"
		"\ton reply 55x then defer 1w\n"
		"}\n"
		"provider any { on reply 421 then slow }\n"
		"provider google { mx .google.com }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"",
	},
	{
		"provider, faults",
		"version 1\n"
		"provider x\n"
		"provider a/b { mx .x.example }\n"
		"provider y { mx x..y; mx 10.0.0.1; mx [10.0.0.1]; mx @x; mx . }\n"
		"provider z { domain a@b.example; domain; domain 10.0.0.0/8 }\n"
		"provider c { connections 0; messages x; hosts 3 }\n"
		"provider d { mx .d.example }\n"
		"provider d { mx .e.example }\n"
		"provider e { mx .d.example; domain d.example }\n"
		"provider f { domain D.example }\n"
		"provider any { mx .x.example; domain y.example; connections 3; messages 3 }\n"
		"provider any { on reply 421 then slow }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:11: error: provider needs a block; expected { at the end of the line\n"
		"t.conf:3:10: error: \"a/b\" cannot name a provider; expected letters, digits, "
		"-, _ or .\n"
		"t.conf:4:17: error: \"x..y\" is not the name of a mail exchanger, or an ending "
		"such as .mail.example.net\n"
		"t.conf:4:26: error: \"10.0.0.1\" is not the name of a mail exchanger, or an "
		"ending such as .mail.example.net\n"
		"t.conf:4:39: error: \"[10.0.0.1]\" is not the name of a mail exchanger, or an "
		"ending such as .mail.example.net\n"
		"t.conf:4:54: error: \"@x\" is not the name of a mail exchanger, or an ending "
		"such as .mail.example.net\n"
		"t.conf:4:61: error: \".\" is not the name of a mail exchanger, or an ending "
		"such as .mail.example.net\n"
		"t.conf:5:21: error: \"a@b.example\" is not a domain\n"
		"t.conf:5:40: error: domain is not finished; expected: domain DOMAIN ...\n"
		"t.conf:5:49: error: \"10.0.0.0/8\" is not a domain\n"
		"t.conf:6:26: error: connections must be between 1 and 10000\n"
		"t.conf:6:38: error: \"x\" is not what messages takes; expected a whole number "
		"such as 100\n"
		"t.conf:6:41: error: unknown statement in a provider block: \"hosts\"; expected "
		"one of mx, domain, connections, messages, on\n"
		"t.conf:8:10: error: provider d is already defined in t.conf:7\n"
		"t.conf:9:17: error: .d.example belongs to provider d, in t.conf:7\n"
		"t.conf:10:21: error: D.example belongs to provider e, in t.conf:9\n"
		"t.conf:11:16: error: provider any stands for everyone: only `on` statements can "
		"stand in it\n"
		"t.conf:11:31: error: provider any stands for everyone: only `on` statements can "
		"stand in it\n"
		"t.conf:11:49: error: provider any stands for everyone: only `on` statements can "
		"stand in it\n"
		"t.conf:11:64: error: provider any stands for everyone: only `on` statements can "
		"stand in it\n"
		"t.conf:12:10: error: provider any is already defined in t.conf:11\n",
	},
	{
		"providers, words",
		"version 1\n"
		"providers some\n"
		"providers\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:11: error: unexpected \"some\"; expected none; did you mean \"none\"?\n"
		"t.conf:3:1: error: providers was already set in t.conf:2\n",
	},
	{
		"on, faults",
		"version 1\n"
		"provider x {\n"
		"\ton\n"
		"\ton then slow\n"
		"\ton reply 421\n"
		"\ton reply then slow\n"
		"\ton reply 321 then slow\n"
		"\ton reply 4x1 then slow\n"
		"\ton reply 4 then slow\n"
		"\ton reply 421 reply 422 then slow\n"
		"\ton status 4.7 then slow\n"
		"\ton status 4.7.1.1 then slow\n"
		"\ton status 2.0.0 then slow\n"
		"\ton status 4.7.1000 then slow\n"
		"\ton status *.x.* then slow\n"
		"\ton status 4.7.1 status 4.7.2 then slow\n"
		"\ton matches then slow\n"
		"\ton matches \"(\" then slow\n"
		"\ton matches \"\" then slow\n"
		"\ton matches a matches b then slow\n"
		"\ton text \"x\" then slow\n"
		"\ton reply 421 then\n"
		"\ton reply 421 then wait\n"
		"\ton reply 421 then slow 5m\n"
		"\ton reply 421 then bounce 5m\n"
		"\ton reply 421 then pause soon\n"
		"\ton reply 421 then pause 0s\n"
		"\ton reply 421 then pause 8d\n"
		"\ton reply 421 then pause 5m more\n"
		"}\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:3:4: error: on is not finished; expected: on [reply CODE] [status X.Y.Z] "
		"[matches \"REGEX\"] then REACTION\n"
		"t.conf:4:14: error: on is not finished; expected: on [reply CODE] [status "
		"X.Y.Z] [matches \"REGEX\"] then REACTION\n"
		"t.conf:5:14: error: on is not finished; expected: on [reply CODE] [status "
		"X.Y.Z] [matches \"REGEX\"] then REACTION\n"
		"t.conf:6:11: error: unexpected \"then\"; expected a reply code\n"
		"t.conf:7:11: error: \"321\" is not a reply code such as 421, 45x or 4xx\n"
		"t.conf:8:11: error: \"4x1\" is not a reply code such as 421, 45x or 4xx\n"
		"t.conf:9:11: error: \"4\" is not a reply code such as 421, 45x or 4xx\n"
		"t.conf:10:15: error: reply stands here twice\n"
		"t.conf:11:12: error: \"4.7\" is not an enhanced status such as 4.7.28 or 4.7.*\n"
		"t.conf:12:12: error: \"4.7.1.1\" is not an enhanced status such as 4.7.28 or "
		"4.7.*\n"
		"t.conf:13:12: error: \"2.0.0\" is not an enhanced status such as 4.7.28 or "
		"4.7.*\n"
		"t.conf:14:12: error: \"4.7.1000\" is not an enhanced status such as 4.7.28 or "
		"4.7.*\n"
		"t.conf:15:12: error: \"*.x.*\" is not an enhanced status such as 4.7.28 or "
		"4.7.*\n"
		"t.conf:16:18: error: status stands here twice\n"
		"t.conf:17:13: error: unexpected \"then\"; expected a pattern\n"
		"t.conf:18:13: error: \"(\" is not a pattern: missing closing parenthesis, at "
		"octet 2 of the pattern\n"
		"t.conf:19:13: error: \"\" is not a pattern: a pattern has 1 to 1000 octets\n"
		"t.conf:20:15: error: matches stands here twice\n"
		"t.conf:21:5: error: unexpected \"text\"; expected one of reply, status, "
		"matches, then\n"
		"t.conf:22:19: error: the statement is not finished; expected one of slow, "
		"pause, other-source, bounce, defer\n"
		"t.conf:23:20: error: unexpected \"wait\"; expected one of slow, pause, "
		"other-source, bounce, defer\n"
		"t.conf:24:25: error: unexpected \"5m\"; expected the end of the line\n"
		"t.conf:25:27: error: unexpected \"5m\"; expected the end of the line\n"
		"t.conf:26:26: error: \"soon\" is not a time such as 30s, 5m or 1h\n"
		"t.conf:27:26: error: the time must be between 1s and 1w\n"
		"t.conf:28:26: error: the time must be between 1s and 1w\n"
		"t.conf:29:29: error: unexpected \"more\"; expected the end of the line\n",
	},
};

static void test_messages(void **state)
{
	(void)state;
	check_cases(message_cases, sizeof(message_cases) / sizeof(message_cases[0]));
}

#define TOP "version 1\nlisten 127.0.0.1\naccept from local to any via mx\n"

static const char *text_of(const struct provider *p)
{
	return p ? p->name->text : "-";
}

static const struct provider *provider_of(const struct config *c, const char *name)
{
	return config_provider(c, name_intern(str_of(name)));
}

static void test_endings(void **state)
{
	static const struct {
		const char *host, *provider;
	} mx[] = {
		{ "a.x.example", "x" },	      { "A.X.Example.", "x" }, { "b.a.x.example", "x" },
		{ "x.example", "-" },	      { "ax.example", "-" },   { "a.y.x.example", "y" },
		{ "y.x.example", "x" },	      { "mx.z.example", "x" }, { "a.mx.z.example", "-" },
		{ "deep.a.y.x.example", "y" }, { "example", "-" },     { "", "-" },
		{ ".", "-" },		      { "..", "-" },	       { "mx.y.x.example", "x" },
	}, domains[] = {
		{ "x.example", "x" }, { "X.EXAMPLE", "x" }, { "a.x.example", "-" },
		{ "y.example", "-" }, { "a.y.example", "y" }, { "[192.0.2.1]", "-" },
		{ "", "-" },
	};
	struct config *c = load_sound(
		TOP "providers none\n"
		    "provider x {\n"
		    "\tmx .x.example mx.z.example; mx mx.y.x.example; domain x.example\n"
		    "}\n"
		    "provider y { mx .y.x.example; domain .y.example }\n");

	(void)state;
	for (size_t i = 0; i < sizeof(mx) / sizeof(mx[0]); i++)
		assert_string_equal(text_of(config_provider_of_mx(c, str_of(mx[i].host))),
				    mx[i].provider);
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++)
		assert_string_equal(
			text_of(config_provider_of_domain(c, str_of(domains[i].host))),
			domains[i].provider);
	assert_int_equal(c->providers_n, 2);
	assert_null(c->provider_any);
	assert_null(provider_of(c, "z"));
	assert_null(config_provider(c, NULL));
	config_unref(c);
}

/* The line of the rule that decides; 0: none does. */
static unsigned line_for(const struct config *c, const char *provider, const struct reply *r)
{
	const struct provider *p = provider ? provider_of(c, provider) : NULL;
	const struct reply_rule *rule = config_reply_rule(c, p, r);

	return rule ? rule->place.line : 0;
}

static void test_rules(void **state)
{
	struct config *c = load_sound(TOP "providers none\n"
					  "provider x {\n"
					  "\ton reply 421 status 4.7.28 then slow\n"
					  "\ton reply 42x then pause 10m\n"
					  "\ton status *.7.1 matches BLOCK(ED)? then other-source\n"
					  "\ton status 5.*.* reply 552 then defer 1h\n"
					  "\ton matches \"no such\\\\b.*user\" then bounce\n"
					  "}\n"
					  "provider any {\n"
					  "\ton reply 4xx matches \"too many\" then slow\n"
					  "}\n");
	static const struct {
		const char *provider;
		struct reply reply;
		unsigned line;
	} cases[] = {
		{ "x", { 421, { 4, 7, 28 }, STR("slow down") }, 6 },
		{ "x", { 421, { 4, 7, 29 }, STR("slow down") }, 7 },
		{ "x", { 421, { 0 }, STR("4.7.28 but not read as such") }, 7 },
		{ "x", { 429, { 0 }, STR("too many") }, 7 },
		{ "x", { 450, { 4, 7, 1 }, STR("you are blocked") }, 8 },
		{ "x", { 550, { 5, 7, 1 }, STR("Block") }, 8 },
		{ "x", { 550, { 5, 7, 2 }, STR("Block") }, 0 },
		{ "x", { 550, { 0 }, STR("Block") }, 0 },
		{ "x", { 552, { 5, 2, 2 }, STR("full") }, 9 },
		{ "x", { 552, { 0 }, STR("full") }, 0 },
		{ "x", { 552, { 4, 2, 2 }, STR("full") }, 0 },
		{ "x", { 450, { 0 }, STR("No such\nlocal USER") }, 10 },
		{ "x", { 450, { 0 }, STR("nosuch user") }, 0 },
		{ "x", { 450, { 0 }, STR("too many") }, 13 },
		{ NULL, { 450, { 0 }, STR("too many") }, 13 },
		{ NULL, { 421, { 4, 7, 28 }, STR("") }, 0 },
		{ NULL, { 550, { 0 }, STR("too many") }, 0 },
		{ NULL, { 0, { 0 }, STR_NONE }, 0 },
	};
	const struct reply_rule *rules = provider_of(c, "x")->rules;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (line_for(c, cases[i].provider, &cases[i].reply) != cases[i].line)
			fail_msg("case %zu: line %u", i,
				 line_for(c, cases[i].provider, &cases[i].reply));
	assert_int_equal(rules[0].reaction, REACT_SLOW);
	assert_int_equal(rules[1].reaction, REACT_PAUSE);
	assert_int_equal(rules[1].duration_ns, 600000000000);
	assert_int_equal(rules[2].reaction, REACT_OTHER_SOURCE);
	assert_int_equal(rules[2].duration_ns, 0);
	assert_int_equal(rules[3].reaction, REACT_DEFER);
	assert_int_equal(rules[4].reaction, REACT_BOUNCE);
	assert_str_equal(rules[0].text, STR("on reply 421 status 4.7.28 then slow"));
	config_unref(c);
}

/* A pattern that could run for ever does not fit; the next rule is asked. */
static void test_runaway(void **state)
{
	struct config *c = load_sound(TOP "provider x {\n"
					  "\ton matches \"(a|aa)+$\" then bounce\n"
					  "\ton reply 450 then slow\n"
					  "}\n");
	static char text[4096];
	struct reply r = { 450, { 0 }, { text, sizeof(text) } };

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '!';
	assert_int_equal(line_for(c, "x", &r), 6);
	config_unref(c);
}

/* ---- the shipped list */

static void test_shipped(void **state)
{
	struct config *c = load_sound(TOP);
	static const struct {
		const char *host, *provider;
	} mx[] = {
		{ "gmail-smtp-in.l.google.com", "google" },
		{ "aspmx2.googlemail.com", "google" },
		{ "outlook-com.olc.protection.outlook.com", "outlook" },
		{ "example-org.mail.protection.outlook.com", "microsoft365" },
		{ "mta7.am0.yahoodns.net", "yahoo" },
		{ "mx01.mail.icloud.com", "apple" },
		{ "mx-ha02.web.de", "gmx" },
		{ "mx00.t-online.de", "t-online" },
		{ "mx00.kundenserver.de", "ionos" },
		{ "mx1a1.comcast.net", "comcast" },
		{ "smtp-in.orange.fr", "orange" },
		{ "mx1.free.fr", "free" },
		{ "mxa-00000000.gslb.pphosted.com", "proofpoint" },
		{ "eu-smtp-inbound-1.mimecast.com", "mimecast" },
		{ "d0000a.ess.barracudanetworks.com", "barracuda" },
		{ "mx1.hc000-00.iphmx.com", "cisco" },
		{ "cluster1.eu.messagelabs.com", "messagelabs" },
		{ "in1-smtp.messagingengine.com", "fastmail" },
		{ "mx.example.org", "-" },
	};

	(void)state;
	assert_true(c->providers_n > 40);
	for (unsigned i = 0; i < c->providers_n; i++) {
		const struct provider *p = c->providers[i];

		assert_true(p->is_shipped && p->connections_max);
		assert_ptr_equal(config_provider(c, p->name), p);
	}
	for (size_t i = 0; i < sizeof(mx) / sizeof(mx[0]); i++)
		if (strcmp(text_of(config_provider_of_mx(c, str_of(mx[i].host))), mx[i].provider))
			fail_msg("%s", mx[i].host);
	assert_string_equal(text_of(config_provider_of_domain(c, STR("gmail.com"))), "google");
	assert_string_equal(text_of(config_provider_of_domain(c, STR("aol.com"))), "yahoo");
	assert_non_null(c->provider_any);
	config_unref(c);
}

static void test_shipped_rules(void **state)
{
	struct config *c = load_sound(TOP);
	static const struct {
		const char *provider;
		struct reply reply;
		enum reaction reaction;
	} cases[] = {
		{ "google", { 421, { 4, 7, 28 }, STR("has detected an unusual rate of mail") },
		  REACT_SLOW },
		{ "google", { 450, { 4, 2, 1 }, STR("is receiving mail at a rate that prevents") },
		  REACT_DEFER },
		{ "google", { 550, { 5, 1, 1 }, STR("does not exist") }, REACT_NONE },
		{ "yahoo", { 421, { 4, 7, 0 },
			     STR("[TSS04] Messages from 192.0.2.1 temporarily deferred due to "
				 "unexpected volume or user complaints") }, REACT_PAUSE },
		{ "yahoo", { 421, { 4, 7, 1 }, STR("[TS03] All messages from 192.0.2.1 will be "
						   "permanently deferred") }, REACT_OTHER_SOURCE },
		{ "microsoft365", { 451, { 4, 7, 650 }, STR("temporarily rate limited due to IP "
							    "reputation [S775]") }, REACT_PAUSE },
		{ "microsoft365", { 432, { 4, 3, 2 }, STR("STOREDRV.Deliver; recipient thread "
							  "limit exceeded") }, REACT_DEFER },
		{ "gmx", { 421, { 0 }, STR("too many connections") }, REACT_SLOW },
		{ "orange", { 421, { 0 }, STR("ME Trop de connexions, veuillez verifier votre "
					      "configuration. OFR004_104") }, REACT_SLOW },
		{ "qq", { 550, { 0 }, STR("Connection frequency limited") }, REACT_DEFER },
		{ NULL, { 421, { 0 }, STR("busy") }, REACT_SLOW },
		{ NULL, { 451, { 4, 7, 1 }, STR("Too many connections from your host") },
		  REACT_SLOW },
		{ NULL, { 450, { 0 }, STR("rate-limited, try again later") }, REACT_SLOW },
		{ NULL, { 451, { 4, 7, 1 }, STR("Greylisting in action, please come back later") },
		  REACT_DEFER },
		{ NULL, { 452, { 4, 5, 3 }, STR("Too many recipients") }, REACT_DEFER },
		{ NULL, { 452, { 4, 2, 2 }, STR("mailbox full, too many messages") },
		  REACT_DEFER },
		{ NULL, { 450, { 4, 7, 1 }, STR("Client host blocked using zen.example") },
		  REACT_OTHER_SOURCE },
		/* what is refused for good stays so */
		{ NULL, { 554, { 5, 7, 1 }, STR("Client host blocked using zen.example") },
		  REACT_NONE },
		{ NULL, { 550, { 5, 1, 1 }, STR("too many connections") }, REACT_NONE },
		{ NULL, { 451, { 4, 3, 0 }, STR("local error in processing") }, REACT_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].provider;
		const struct reply_rule *rule = config_reply_rule(
			c, name ? provider_of(c, name) : NULL, &cases[i].reply);

		if ((rule ? rule->reaction : REACT_NONE) != cases[i].reaction)
			fail_msg("case %zu: %.*s", i, rule ? (int)rule->text.n : 0,
				 rule ? rule->text.p : "");
	}
	config_unref(c);
}

static void test_replaced(void **state)
{
	struct config *c = load_sound(TOP "provider google { domain gmail.com; connections 3 }\n"
					  "provider mine { mx .yahoodns.net }\n"
					  "provider any { on reply 450 then slow }\n");
	const struct reply r = { 421, { 4, 7, 28 }, STR("rate limited") };
	const struct provider *google = provider_of(c, "google");

	(void)state;
	assert_false(google->is_shipped);
	assert_int_equal(google->connections_max, 3);
	assert_int_equal(google->rules_n, 0);
	assert_null(config_provider_of_mx(c, STR("aspmx.l.google.com")));
	assert_ptr_equal(config_provider_of_domain(c, STR("gmail.com")), google);
	/* an ending has one owner, and ours comes before the list's */
	assert_string_equal(text_of(config_provider_of_mx(c, STR("mta.am0.yahoodns.net"))), "mine");
	assert_true(provider_of(c, "yahoo")->is_shipped);
	assert_null(config_reply_rule(c, google, &r));
	assert_int_equal(c->provider_any->rules_n, 1);
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_endings),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_runaway),
		cmocka_unit_test(test_shipped),
		cmocka_unit_test(test_shipped_rules),
		cmocka_unit_test(test_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
