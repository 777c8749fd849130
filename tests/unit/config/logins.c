/*
 * config: users, secrets, logins here and elsewhere, POP listeners, reports; rules by login,
 * certificate, POP and HELO.
 */
#include "unit/config/certificates.h"

#include "smtp/sasl.h"

#define BIT(m) (1u << (m))
#define ROUTE "route r { host a.example }\n"
#define TAIL ROUTE "accept from local to any via r\n"

static const struct text_case cases[] = {
	{ "users",
	  "version 1\nlisten 127.0.0.1\n"
	  "users file a\nusers file b\nusers dovecot unix:/run/x\nusers dovecot 127.0.0.1:99\n"
	  "users introspect https://id.example/x client c secret s scope mail claim email\n"
	  "users introspect http://127.0.0.1:80/x\nsecrets s\n" TAIL,
	  "" },
	{ "users, faults",
	  "version 1\nlisten 127.0.0.1\n"
	  "users flie a\nusers file a b\nusers file a\nusers file a\n"
	  "users dovecot localhost\nusers introspect http://id.example/x\n"
	  "users introspect https://\nusers introspect http://localhost.example/\n"
	  "users introspect https://a/ client\nusers introspect https://a/ secret ../x\n"
	  "users introspect https://b/ secret x\nusers\nsecrets s\n" TAIL,
	  "t.conf:3:7: error: unexpected \"flie\"; expected one of file, dovecot, introspect; did "
	  "you mean \"file\"?\n"
	  "t.conf:4:14: error: expected the end of the line\n"
	  "t.conf:6:1: error: these users stand already in t.conf:5\n"
	  "t.conf:7:15: error: \"localhost\" is not a socket of Dovecot; expected one such as "
	  "unix:/run/dovecot/auth-client or 127.0.0.1:12345\n"
	  "t.conf:8:18: error: \"http://id.example/x\" is not a URL such as "
	  "https://id.example.net/introspect (http is for this machine only: tokens are secrets)\n"
	  "t.conf:9:18: error: \"https://\" is not a URL such as https://id.example.net/introspect "
	  "(http is for this machine only: tokens are secrets)\n"
	  "t.conf:10:18: error: \"http://localhost.example/\" is not a URL such as "
	  "https://id.example.net/introspect (http is for this machine only: tokens are secrets)\n"
	  "t.conf:11:35: error: expected a word behind client\n"
	  "t.conf:12:36: error: \"../x\" cannot name a secret; expected letters, digits, -, _, "
	  "., @ or +, and no dot at the beginning\n"
	  "t.conf:13:37: error: a secret needs whose it is: client NAME\n"
	  "t.conf:14:6: error: users is not finished; expected: users file FILE | dovecot "
	  "unix:PATH|ADDRESS:PORT | introspect URL [client NAME secret SECRET] [scope WORD] "
	  "[audience WORD] [claim WORD] [ca FILE]\n" },
	{ "submission without users",
	  "version 1\nlisten 127.0.0.1 { submission }\n" TAIL,
	  "t.conf:2:1: error: submission needs users: name them, as in: users file ./users\n" },
	{ "login without users",
	  "version 1\nlisten 127.0.0.1 { login on }\n" TAIL,
	  "t.conf:2:20: error: login needs users: name them, as in: users file ./users\n" },
	{ "submission without login",
	  "version 1\nusers file u\nlisten 127.0.0.1 { submission; login off }\n"
	  "listen 127.0.0.1:26\n" TAIL,
	  "t.conf:3:32: error: submission begins with a login: it cannot be off\n" },
	{ "logins without TLS",
	  "version 1\nhostname a.example\nusers file u\nlisten 0.0.0.0:25 { login on }\n"
	  "listen 0.0.0.0:26 { submission }\nlisten 0.0.0.0:27\n" TAIL,
	  "t.conf:4:21: warning: nobody can log in here: without TLS logins are offered on "
	  "loopback "
	  "addresses only\n"
	  "t.conf:5:1: warning: nobody can log in here: without TLS logins are offered on loopback "
	  "addresses only\n"
	  "t.conf:3:1: warning: no address lets users log in: logins need TLS, or a loopback "
	  "address\n" },
	{ "mechanisms",
	  "version 1\nusers file u\n"
	  "listen 127.0.0.1:25 { login mechanisms plain Scram-SHA-1 }\n"
	  "listen 127.0.0.1:26 { login mechanisms XOAUTH2 }\n"
	  "listen 127.0.0.1:27 { login mechanisms }\n"
	  "listen 127.0.0.1:28 { login mechanisms cram-md5 }\n"
	  "listen 127.0.0.1:29 { login on plain }\n"
	  "listen 127.0.0.1:30 { login yes }\n" TAIL,
	  "t.conf:5:39: error: expected the names of mechanisms, such as PLAIN\n"
	  "t.conf:6:40: error: unknown mechanism \"cram-md5\"; expected one of PLAIN, LOGIN, "
	  "SCRAM-SHA-1, SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, XOAUTH2, OAUTHBEARER\n"
	  "t.conf:7:32: error: expected the end of the line\n"
	  "t.conf:8:29: error: unexpected \"yes\"; expected one of off, on, mechanisms\n"
	  "t.conf:4:23: warning: XOAUTH2 and OAUTHBEARER need: users introspect URL\n" },
	{ "login of a route",
	  "version 1\nlisten 127.0.0.1\nsecrets s\n"
	  "route a { host a.example; login u secret a }\n"
	  "route b { host a.example; tls off; login u secret b }\n"
	  "route c { host a.example; tls offered; login u secret c }\n"
	  "route d { host 127.0.0.1; tls off; login u secret d }\n"
	  "route e { mx; login u secret e }\n"
	  "route f { host a.example; login u password f }\n"
	  "route g { host a.example; login u secret g mechanism }\n"
	  "route h { host a.example; login u secret h mechanism md5 }\n"
	  "route i { host a.example; login u secret .. }\n"
	  "route j { host a.example; login u secret j mechanism scram-sha-1 }\n" TAIL,
	  "t.conf:9:35: error: expected: login NAME secret SECRET [mechanism MECHANISM]\n"
	  "t.conf:10:53: error: expected: login NAME secret SECRET [mechanism MECHANISM]\n"
	  "t.conf:11:54: error: unknown mechanism \"md5\"; expected one of PLAIN, LOGIN, "
	  "SCRAM-SHA-1, SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, XOAUTH2, OAUTHBEARER\n"
	  "t.conf:12:42: error: \"..\" cannot name a secret; expected letters, digits, -, _, ., @ "
	  "or +, and no dot at the beginning\n"
	  "t.conf:5:36: error: the secret could go to a.example without TLS: say tls required, "
	  "implicit or verified\n"
	  "t.conf:6:40: error: the secret could go to a.example without TLS: say tls required, "
	  "implicit or verified\n"
	  "t.conf:8:15: error: route e goes by MX: the secret would go to whoever a domain "
	  "names\n" },
	{ "login without a folder",
	  "version 1\nlisten 127.0.0.1\nroute q { host a.example; login u secret b }\n" TAIL,
	  "t.conf:3:42: error: a secret needs the folder where it lies, as in: secrets "
	  "./secrets\n" },
	{ "login in a rule",
	  "version 1\nlisten 127.0.0.1\nsecrets s\nroute o { host a.example; tls off }\n" ROUTE
	  "accept from local sender a.example to any via r { login u secret a }\n"
	  "accept from local sender b.example to any via mx { login u secret b }\n"
	  "accept from local sender c.example to any via o { login u secret c }\n",
	  "t.conf:7:52: error: route mx goes by MX: the secret would go to whoever a domain names\n"
	  "t.conf:8:51: error: the secret could go to a.example without TLS: say tls required, "
	  "implicit or verified\n" },
	{ "rules",
	  "version 1\nlisten 127.0.0.1\nusers file u\npop 127.0.0.1\n"
	  "table t { alice bob@b.example \"john_doe\" }\n" ROUTE
	  "reject from helo .dyn.example localhost \"MY_PC\" to any\n"
	  "reject from helo table t sender a.example to any \"no\"\n"
	  "accept from login alice john_doe x@y.example 10.0.0.1 to any via r\n"
	  "accept from login table t to any via r\n"
	  "accept from pop to any via r\n"
	  "accept from login to any via mx\n",
	  "" },
	{ "rules, faults",
	  "version 1\nlisten 127.0.0.1\nusers file u\n" ROUTE
	  "accept from helo a.example to any via r\n"
	  "reject from helo to any\n"
	  "reject from helo 10.0.0.0/8 to any\n"
	  "accept from login .x to any via r\n"
	  "accept from login table to any via r\n"
	  "accept from login table x to any via r\n"
	  "accept from certificate 12:34 to any via r\n"
	  "accept from pop x to any via r\n",
	  "t.conf:5:13: error: everybody writes what they like in HELO: it can only be a reason to "
	  "reject\n"
	  "t.conf:6:18: error: unexpected \"to\"; expected a name such as host.example.org\n"
	  "t.conf:8:19: error: \".x\" is not the name of a login\n"
	  "t.conf:9:25: error: unexpected \"to\"; expected the name of a table\n"
	  "t.conf:11:25: error: \"12:34\" is not a network such as 10.0.0.0/8 or 2001:db8::/32\n"
	  "t.conf:12:17: error: unexpected \"x\"; expected one of sender, to\n"
	  "t.conf:10:25: error: unknown table \"x\"\n" },
	{ "rules about what is not there",
	  "version 1\nlisten 127.0.0.1\n"
	  "table t { 10.0.0.0/8 }\n" ROUTE
	  "accept from login table t to any via r\n"
	  "accept from pop to any via r\n"
	  "accept from certificate to any via r\n"
	  "accept from certificate a.example to any via r\n"
	  "accept from certificate table t to any via r\n",
	  "t.conf:5:25: warning: table t holds no names of logins: the rule never fits\n"
	  "t.conf:5:1: warning: there are no users: the rule never fits (name them, as in: users "
	  "file ./users)\n"
	  "t.conf:6:1: warning: there is no pop statement: the rule never fits\n"
	  "t.conf:7:1: error: anybody can make a certificate: name the authorities that vouch for "
	  "certificates, as in: tls { client_ca FILE }\n"
	  "t.conf:7:1: warning: no listener asks for certificates: say client_certificates in its "
	  "block\n"
	  "t.conf:8:1: error: anybody can write a name into a certificate of his own: name the "
	  "authorities that vouch for certificates, as in: tls { client_ca FILE }\n"
	  "t.conf:8:1: warning: no listener asks for certificates: say client_certificates in its "
	  "block\n"
	  "t.conf:9:31: warning: table t holds no fingerprints or names: the rule never fits\n"
	  "t.conf:9:1: warning: no listener asks for certificates: say client_certificates in its "
	  "block\n" },
	{ "neither a sender nor a HELO makes up for anyone",
	  "version 1\nlisten 127.0.0.1\npostmaster p@a.example\n" ROUTE
	  "reject from helo x.example to any\n"
	  "accept from any sender a.example to any via r\n",
	  "t.conf:6:1: error: open relay: this rule takes mail from anyone to anywhere (a sender "
	  "can be forged and does not count); bind it to local or to networks that cover less than "
	  "a "
	  "/8 of IPv4 and a /16 of IPv6 (private ones do not count)\n" },
	{ "pop",
	  "version 1\nlisten 127.0.0.1\n"
	  "pop 127.0.0.1\n"
	  "pop 127.0.0.1:25 { upstream a.example }\n"
	  "pop x { upstream a.example }\n"
	  "pop 127.0.0.1:1 { upstream unix:/x }\n"
	  "pop 127.0.0.1:2 { upstream a.example tsl }\n"
	  "pop 127.0.0.1:3 { upstream a.example tls }\n"
	  "pop 127.0.0.1:4 { upstream a.example tls on }\n"
	  "pop 127.0.0.1:5 { allow_for 1s; upstream a.example }\n"
	  "pop 127.0.0.1:6 { apop }\n"
	  "pop 127.0.0.1:7 { tls required; upstream a.example }\n"
	  "pop 192.0.2.1 { upstream a.example:1 tls required }\n" TAIL,
	  "t.conf:4:5: error: 127.0.0.1:25 is already listened on in t.conf:2\n"
	  "t.conf:5:5: error: \"x\" is not an address to listen on; expected one such as "
	  "0.0.0.0:110 or [::1]:110\n"
	  "t.conf:6:28: error: \"unix:/x\" is not a POP3 server such as pop.example.net:110\n"
	  "t.conf:7:38: error: expected: upstream HOST[:PORT] [tls "
	  "off|offered|required|implicit|verified]\n"
	  "t.conf:8:41: error: expected: upstream HOST[:PORT] [tls "
	  "off|offered|required|implicit|verified]\n"
	  "t.conf:9:42: error: unexpected \"on\"; expected one of off, offered, required, "
	  "implicit, "
	  "verified\n"
	  "t.conf:10:29: error: allow_for must be between 1m and 1d\n"
	  "t.conf:3:1: error: pop needs users whose passwords can be checked (users file, users "
	  "dovecot), or a server to pass them to: upstream HOST\n"
	  "t.conf:11:1: error: pop needs users whose passwords can be checked (users file, users "
	  "dovecot), or a server to pass them to: upstream HOST\n"
	  "t.conf:11:1: error: apop needs a users file and the folder where its secrets lie "
	  "(secrets FOLDER), or a server to pass it to: upstream HOST\n"
	  "t.conf:12:1: error: TLS needs a certificate: name one in a tls block, as in: tls { "
	  "certificate FILE; key FILE }\n"
	  "t.conf:13:1: warning: passwords come here without TLS\n" },
	{ "reports",
	  "version 1\nlisten 127.0.0.1\ntls_reports { organization \"O\"; contact x }\n" TAIL,
	  "t.conf:3:41: error: \"x\" is not an address such as tls-reports@example.net\n"
	  "t.conf:3:1: error: tls_reports needs a sender, as in: from tls-reports@example.net\n" },
	{ "switches",
	  "version 1\nlisten 127.0.0.1\ndane off\nmta_sts yes\nlogins { failures_max 1; ban 0s }\n"
	  TAIL,
	  "t.conf:4:9: error: unexpected \"yes\"; expected one of off, on\n"
	  "t.conf:5:23: error: failures_max must be between 3 and 100000, or the word unlimited\n"
	  "t.conf:5:30: error: ban must be between 1s and 1w\n" },
	{ "routes: quota, recipients, slow_start, etrn",
	  "version 1\nlisten 127.0.0.1\ntable t { a.example }\n"
	  "route a { host a.example; quota x; recipients t; slow_start 2h; etrn 10.0.0.0/8 }\n"
	  "route b { host a.example; quota 1G x; recipients table; etrn from }\n"
	  "route c { host a.example; quota 0 messages; recipients callout x; etrn from table t }\n"
	  "route d { mx; recipients callout; etrn from table x; quota 1 2 messages x }\n"
	  "route e { host a.example; etrn from table t u }\n" TAIL,
	  "t.conf:4:33: error: \"x\" is not a size from 1K on, such as 500M or 2G (or: COUNT "
	  "messages)\n"
	  "t.conf:4:47: error: unexpected \"t\"; expected one of callout, table\n"
	  "t.conf:4:61: error: \"2h\" is not what slow_start takes; expected on, off or a time "
	  "from "
	  "1s to 1h\n"
	  "t.conf:4:70: error: unexpected \"10.0.0.0/8\"; expected from\n"
	  "t.conf:5:36: error: expected: quota [SIZE] [COUNT messages]\n"
	  "t.conf:5:55: error: expected the name of a table\n"
	  "t.conf:5:66: error: the statement is not finished; expected a network such as "
	  "10.0.0.0/8\n"
	  "t.conf:6:33: error: \"0\" is not a number from 1 to 1000000000\n"
	  "t.conf:6:64: error: expected the end of the line\n"
	  "t.conf:7:73: error: \"x\" is too much here; expected: quota [SIZE] [COUNT messages]\n"
	  "t.conf:8:45: error: unexpected \"u\"; expected the end of the line\n"
	  "t.conf:6:83: warning: table t holds no networks: nobody is meant\n"
	  "t.conf:7:51: error: unknown table \"x\"; expected t\n"
	  "t.conf:7:1: error: route d goes by MX: it has no hosts to call out to\n"
	  "t.conf:8:43: warning: table t holds no networks: nobody is meant\n" },
};

static void test_messages(void **state)
{
	(void)state;
	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

#define PASSWORDS (BIT(SASL_PLAIN) | BIT(SASL_LOGIN))
#define SCRAM BIT(SASL_SCRAM_SHA_256)
#define TOKENS (BIT(SASL_XOAUTH2) | BIT(SASL_OAUTHBEARER))

static void test_mechanisms(void **state)
{
	static const struct {
		const char *text;
		unsigned mechanisms;
	} wanted[] = {
		{ "listen 127.0.0.1\n", 0 },
		{ "listen 127.0.0.1\nusers file u\n", PASSWORDS | SCRAM },
		{ "listen [::1]\nusers dovecot 127.0.0.1:9\n", PASSWORDS },
		{ "listen 127.0.0.1\nusers introspect https://a/\n", TOKENS },
		{ "listen 127.0.0.1\nusers introspect https://a/\nusers file u\n",
		  PASSWORDS | SCRAM | TOKENS },
		{ "listen 127.0.0.1 { login off }\nlisten 127.0.0.1:9\nusers file u\n", 0 },
		{ "listen 127.0.0.1 { submission }\nusers file u\n", PASSWORDS | SCRAM },
		{ "listen 0.0.0.0\nlisten 127.0.0.2:9\nusers file u\n", 0 },
		{ "listen 127.0.0.1 { login mechanisms plain scram-sha-1 scram-sha-1-plus }\n"
		  "users file u\n", BIT(SASL_PLAIN) | BIT(SASL_SCRAM_SHA_1) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		char text[512];
		struct config *c;

		snprintf(text, sizeof(text), "version 1\nhostname h.example\n%s" TAIL,
			 wanted[i].text);
		c = load_sound(text);
		if (c->listens[0].mechanisms != wanted[i].mechanisms)
			fail_msg("%s: 0x%x", wanted[i].text, c->listens[0].mechanisms);
		config_unref(c);
	}
}

static void test_mechanisms_with_tls(void **state)
{
	struct folder f;
	struct loaded l;

	(void)state;
	folder_make(&f);
	folder_certificate(&f, "good", "relay.example.net", 86400 * 100);
	folder_write(&f, "users", "", 0600);
	l = folder_load(&f, "version 1\nlisten 0.0.0.0:587 { submission }\nusers file users\n"
			    "tls { certificate good.crt; key good.key }\n" TAIL, true);
	check_messages("tls", &l, "");
	assert_int_equal(l.c->listens[0].mechanisms,
			 PASSWORDS | SCRAM | BIT(SASL_SCRAM_SHA_256_PLUS));
	assert_int_equal(l.c->listens[0].tls, TLS_OFFERED);
	loaded_done(&l);
	folder_remove(&f);
}

static void test_values(void **state)
{
	struct config *c = load_sound(
		"version 1\nhostname h.example\nlisten 127.0.0.1\nsecrets s\n"
		"users dovecot unix:/run/x\n"
		"users introspect https://id.example/x client c secret s scope mail claim email "
		"audience relay ca company.pem\n"
		"pop 127.0.0.1:111 { apop; upstream pop.example tls implicit; allow_for 10m }\n"
		"pop [::1] { upstream 10.0.0.1:1 tls off }\n"
		"pop 127.0.0.2\n"
		"tls_reports { from a@b.example }\n"
		"mta_sts off\nlogins { failures_max unlimited; ban 1h }\n"
		"table n { 10.0.0.0/8 }\n"
		"route b {\n\thost 10.0.0.5\n\tetrn from 192.0.2.0/24\n\tquota 2G 50 messages\n"
		"\trecipients callout\n\tslow_start 5m\n}\n"
		"route d { host 10.0.0.5; etrn from table n; quota 7 messages; recipients table n; "
		"slow_start off }\n"
		"route e { host a.example; login u@a secret p mechanism scram-sha-1 }\n"
		"route g { host localhost; host unix:/x; login u secret p }\n"
		"route h { host 127.0.0.1; quota 1K; slow_start on; tls off; login u secret p }\n"
		"accept from local to any via mx\n");
	const struct route *b = config_route(c, STR("b")), *d = config_route(c, STR("d")),
			   *e = config_route(c, STR("e")), *h = config_route(c, STR("h"));

	(void)state;
	assert_int_equal(c->users_n, 2);
	assert_int_equal(c->users[0].kind, USERS_DOVECOT);
	assert_string_equal(c->users[0].dovecot.path, "/run/x");
	assert_str_equal(c->users[1].url, STR("https://id.example/x"));
	assert_str_equal(c->users[1].client, STR("c"));
	assert_str_equal(c->users[1].secret, STR("s"));
	assert_str_equal(c->users[1].scope, STR("mail"));
	assert_str_equal(c->users[1].claim, STR("email"));
	assert_str_equal(c->users[1].audience, STR("relay"));
	assert_str_equal(c->users[1].ca, STR("company.pem"));
	assert_string_equal(c->secrets, "s");
	assert_int_equal(c->pops_n, 3);
	assert_true(c->pops[0].apop && c->pops[0].has_upstream);
	assert_str_equal(c->pops[0].upstream_host, STR("pop.example"));
	assert_int_equal(c->pops[0].upstream_port, 995);
	assert_int_equal(c->pops[0].upstream_tls, TLS_IMPLICIT);
	assert_non_null(c->pops[0].upstream_context);
	assert_int_equal(c->pops[0].allow_ns / 1000000000, 600);
	assert_int_equal(c->pops[1].upstream_port, 1);
	assert_int_equal(c->pops[1].endpoint.port, 110);
	assert_null(c->pops[1].upstream_context);
	assert_false(c->pops[2].has_upstream);
	assert_int_equal(c->pops[2].allow_ns / 1000000000, 1800);
	assert_int_equal(c->pops[2].tls, TLS_OFF);
	assert_true(c->tls_reports.on);
	assert_str_equal(c->tls_reports.contact, STR("a@b.example"));
	assert_str_equal(c->tls_reports.organization, STR("h.example"));
	assert_true(c->dane);
	assert_false(c->mta_sts);
	assert_int_equal(c->logins.failures_max, 0);
	assert_int_equal(c->logins.ban_ns / 1000000000, 3600);
	assert_non_null(b->etrn_from);
	assert_true(b->quota_octets == (uint64_t)2 << 30 && b->quota_messages == 50);
	assert_true(b->callout && !b->recipients);
	assert_int_equal(b->slow_start_ns / 1000000000, 300);
	assert_true(d->etrn_from == d->recipients && d->etrn_from);
	assert_true(d->quota_octets == 0 && d->quota_messages == 7);
	assert_int_equal(d->slow_start_ns, 0);
	assert_str_equal(e->login_user, STR("u@a"));
	assert_str_equal(e->login_secret, STR("p"));
	assert_int_equal(e->login_mechanism, SASL_SCRAM_SHA_1);
	assert_int_equal(e->tls, TLS_REQUIRED);
	assert_int_equal(config_route(c, STR("g"))->tls, TLS_OFFERED);
	assert_true(h->quota_octets == 1024 && h->quota_messages == 0 && h->tls == TLS_OFF);
	assert_int_equal(h->slow_start_ns / 1000000000, 60);
	assert_int_equal(config_route(c, STR("mx"))->slow_start_ns / 1000000000, 60);
	config_unref(c);
}

static void test_defaults(void **state)
{
	struct config *c = load_sound("version 1\nlisten 127.0.0.1\n" TAIL);

	(void)state;
	assert_true(c->dane && c->mta_sts && !c->tls_reports.on);
	assert_int_equal(c->logins.failures_max, 20);
	assert_int_equal(c->logins.ban_ns / 1000000000, 900);
	assert_null(c->secrets);
	assert_int_equal(c->users_n + c->pops_n + c->tls.keys_n, 0);
	config_unref(c);
}

/* A login in a rule's block: a variant that needs TLS; its name is what the spool records. */
static void test_variants(void **state)
{
	struct config *c = load_sound(
		"version 1\nlisten 127.0.0.1\nsecrets s\n" ROUTE
		"route t { host a.example; tls verified }\n"
		"accept from local sender a.example to any via r { login u secret a }\n"
		"accept from local sender b.example to any via r { login u secret a; source x }\n"
		"accept from local sender c.example to any via t { login u secret a mechanism "
		"plain "
		"}\n"
		"accept from local sender d.example to any via r { source x }\n"
		"accept from local to any via r\nsource x address 192.0.2.1\n");
	const struct route *first = c->rules[0].route;

	(void)state;
	assert_str_equal(name_str(first->base), STR("r"));
	assert_str_equal(first->name, STR("r+0e4dbf1c"));
	assert_str_equal(first->login_user, STR("u"));
	assert_int_equal(first->tls, TLS_REQUIRED);
	assert_int_equal(c->rules[1].route->tls, TLS_REQUIRED);
	assert_false(str_eq(c->rules[1].route->name, first->name));
	assert_int_equal(c->rules[2].route->tls, TLS_VERIFIED);
	assert_int_equal(c->rules[2].route->login_mechanism, SASL_PLAIN);
	assert_str_equal(c->rules[3].route->name, STR("r+b0084d9c"));
	assert_int_equal(c->rules[4].route->tls, TLS_OFFERED);
	assert_int_equal(c->rules[4].route->login_user.n, 0);
	config_unref(c);
}

/* ---- secrets */

static void test_secrets(void **state)
{
	static const struct {
		const char *name, *text;
		unsigned mode;
		const char *secret, *error;
	} wanted[] = {
		{ "plain", "geheim\n", 0600, "geheim", NULL },
		{ "group", "a b \r\nsecond line\n", 0640, "a b ", NULL },
		{ "no-end", "x", 0400, "x", NULL },
		{ "world", "geheim\n", 0644, NULL,
		  "secret world: everybody may read its file: it is not used" },
		{ "empty", "", 0600, NULL, "secret empty: its first line is empty" },
		{ "blank", "\r\nx\n", 0600, NULL, "secret blank: its first line is empty" },
		{ "gone", NULL, 0, NULL, "secret gone: No such file or directory" },
		{ "..", NULL, 0, NULL, "secret ..: there is no such secret" },
		{ "a/b", NULL, 0, NULL, "secret a/b: there is no such secret" },
	};
	static char long_text[5001];
	struct folder f, *s = &f;
	struct buf secret = BUF_INIT(8192), error = BUF_INIT(1024);
	struct loaded l;

	(void)state;
	folder_make(s);
	assert_int_equal(mkdir(folder_path(s, "secrets"), 0700), 0);
	memset(long_text, 'x', 5000);
	folder_write(s, "secrets/long", long_text, 0600);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "secrets/%s", wanted[i].name);
		if (wanted[i].text)
			folder_write(s, name, wanted[i].text, wanted[i].mode);
	}
	l = folder_load(s, "version 1\nlisten 127.0.0.1\nsecrets secrets\n" TAIL, true);
	check_messages("secrets", &l, "");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		bool ok;

		buf_clear(&secret);
		buf_clear(&error);
		buf_add_lit(&secret, ">");
		ok = config_secret(l.c, str_of(wanted[i].name), &secret, &error);
		if (ok != (wanted[i].secret != NULL))
			fail_msg("%s: %s", wanted[i].name, buf_cstr(&error));
		assert_str_equal(buf_str(&error), str_of(wanted[i].error ? wanted[i].error : ""));
		assert_str_equal(str_from(buf_str(&secret), 1),
				 str_of(ok ? wanted[i].secret : ""));
	}
	buf_clear(&error);
	assert_false(config_secret(l.c, STR("long"), &secret, &error));
	assert_str_equal(buf_str(&error), STR("secret long: it is too long"));
	loaded_done(&l);
	buf_done(&secret);
	buf_done(&error);
	folder_remove(s);
}

static void test_files(void **state)
{
	struct folder f;
	struct loaded l;

	(void)state;
	folder_make(&f);
	l = folder_load(&f, "version 1\nlisten 127.0.0.1\nusers file users\nsecrets secrets\n"
			    "route q { host b.example; login u secret q }\n" TAIL, false);
	check_messages("nothing is there", &l,
		       "t.conf:3:12: warning: users: No such file or directory\n"
		       "t.conf:4:1: warning: secrets: No such file or directory\n"
		       "t.conf:5:42: warning: secrets/q: No such file or directory\n"
		       "t.conf:5:1: warning: no rule sends mail by route q: name it in one, as in: "
		       "accept from local to any via q\n");
	loaded_done(&l);
	assert_int_equal(mkdir(folder_path(&f, "secrets"), 0700), 0);
	assert_int_equal(chmod(folder_path(&f, "secrets"), 0777), 0);
	folder_write(&f, "secrets/q", "x\n", 0644);
	l = folder_load(&f, "version 1\nlisten 127.0.0.1\nusers file users\nsecrets secrets\n"
			    "route q { host b.example; login u secret q }\n" TAIL, true);
	check_messages("modes", &l,
		       "t.conf:3:12: error: users: No such file or directory\n"
		       "t.conf:4:1: warning: secrets: everybody may put files there: chmod 700\n"
		       "t.conf:5:42: warning: secrets/q: everybody may read it, so it will not be "
		       "used: chmod 600\n");
	loaded_done(&l);
	folder_remove(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_mechanisms),
		cmocka_unit_test(test_mechanisms_with_tls),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
