/*
 * config: the tls block, certificates and keys, contexts of listeners and routes. Contexts are
 * counted by the snapshot: a leak shows under the sanitizer.
 */
#include "unit/config/certificates.h"

#include "net/tls.h"

#include <openssl/err.h>

#define DAY_S 86400L
#define NOT_SOUND ((enum tls_use)-1)
#define TAIL "route r { host a.example }\naccept from local to any via r\n"
#define TLS "tls { certificate good.crt; key good.key }\n"

static int setup(void **state)
{
	static struct folder f;

	folder_make(&f);
	folder_certificate(&f, "good", "relay.example.net", 400 * DAY_S);
	folder_certificate(&f, "other", "other.example.net", 400 * DAY_S);
	folder_certificate(&f, "soon", "relay.example.net", 10 * DAY_S + 100);
	folder_certificate(&f, "old", "relay.example.net", -DAY_S);
	folder_certificate(&f, "open", "relay.example.net", 400 * DAY_S);
	chmod(folder_path(&f, "open.key"), 0644);
	folder_write(&f, "text", "nothing of the kind\n", 0600);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	folder_remove(*state);
	return 0;
}

struct file_case {
	const char *name, *text, *messages, *strict;	/* strict NULL: the same */
};

static const struct file_case cases[] = {
	{ "sound", "version 1\n" TLS "listen 0.0.0.0\n" TAIL, "", NULL },
	{ "two identities",
	  "version 1\n"
	  "tls { certificate good.crt; key good.key; identity { certificate other.crt; key "
	  "other.key "
	  "} }\n"
	  "listen 0.0.0.0\n" TAIL, "", NULL },
	{ "expires soon",
	  "version 1\ntls { certificate soon.crt; key soon.key }\nlisten 0.0.0.0\n" TAIL,
	  "t.conf:2:19: warning: soon.crt: the certificate expires in 10 days\n", NULL },
	{ "expired",
	  "version 1\ntls { certificate old.crt; key old.key }\nlisten 0.0.0.0\n" TAIL,
	  "t.conf:2:19: warning: old.crt: the certificate has expired\n", NULL },
	{ "the key of another: seen by check only",
	  "version 1\ntls { certificate good.crt; key other.key }\nlisten 0.0.0.0\n" TAIL,
	  "t.conf:2:33: error: other.key is not the key of its certificate\n", "" },
	{ "no key in it",
	  "version 1\ntls { certificate good.crt; key text }\nlisten 0.0.0.0\n" TAIL,
	  "t.conf:2:33: error: text: no private key in PEM without a password\n", "" },
	{ "a key that others may read",
	  "version 1\ntls { certificate open.crt; key open.key }\nlisten 0.0.0.0\n" TAIL,
	  "t.conf:2:33: warning: open.key: everybody may use this key: chmod 600\n", NULL },
	{ "no such key",
	  "version 1\ntls { certificate good.crt; key gone.key }\nlisten 0.0.0.0\n" TAIL,
	  "t.conf:2:33: warning: gone.key: no such file\n",
	  "t.conf:2:33: error: gone.key: no such file\n" },
	{ "no such certificate",
	  "version 1\ntls { certificate gone.crt; key good.key }\nlisten 0.0.0.0\n" TAIL,
	  "t.conf:2:19: warning: gone.crt: no such file\n",
	  "t.conf:2:19: error: gone.crt: No such file or directory\n" },
	{ "neither is there",
	  "version 1\ntls { certificate gone.crt; key gone.key }\nlisten 0.0.0.0\n" TAIL,
	  "t.conf:2:19: warning: gone.crt: no such file\n"
	  "t.conf:2:33: warning: gone.key: no such file\n",
	  "t.conf:2:19: error: gone.crt: No such file or directory\n"
	  "t.conf:2:33: error: gone.key: no such file\n" },
	{ "no certificate in it",
	  "version 1\ntls { certificate text; key good.key }\nlisten 0.0.0.0\n" TAIL,
	  "t.conf:2:19: error: text: no certificate in PEM was found\n", NULL },
	{ "a folder for a key",
	  "version 1\ntls { certificate good.crt; key . }\nlisten 0.0.0.0\n" TAIL,
	  "t.conf:2:33: error: .: not a regular file\n", NULL },
	{ "halves",
	  "version 1\n"
	  "tls {\n"
	  "\tcertificate good.crt\n"
	  "\tidentity { key other.key }\n"
	  "\tidentity { }\n"
	  "}\n"
	  "listen 127.0.0.1\n" TAIL,
	  "t.conf:3:14: error: a certificate needs its key: name it, as in: key FILE\n"
	  "t.conf:4:17: error: a key needs its certificate: name it, as in: certificate FILE\n"
	  "t.conf:5:2: error: an identity needs: certificate FILE and key FILE\n", NULL },
	{ "client_ca without a certificate",
	  "version 1\ntls { client_ca good.crt }\nlisten 127.0.0.1\n" TAIL,
	  "t.conf:2:17: warning: client_ca is not used: no certificate is named\n", NULL },
	{ "authorities that are none",
	  "version 1\ntls { certificate good.crt; key good.key; client_ca text }\n"
	  "listen 127.0.0.1\n" TAIL,
	  "t.conf:2:1: error: TLS cannot be set up: no certificate of an authority was found\n",
	  NULL },
	{ "versions",
	  "version 1\ntls { minimum 1.1 }\nlisten 127.0.0.1\n" TAIL,
	  "t.conf:2:15: error: unexpected \"1.1\"; expected one of 1.2, 1.3; did you mean "
	  "\"1.2\"?\n",
	  NULL },
	{ "listeners without a certificate",
	  "version 1\n"
	  "listen 127.0.0.1:1 { tls required }\n"
	  "listen 127.0.0.1:2 { tls implicit }\n"
	  "listen 127.0.0.1:3 { tls off }\n"
	  "listen 127.0.0.1:4 { client_certificates }\n"
	  "listen 127.0.0.1:5 { tls verified }\n" TAIL,
	  "t.conf:6:26: error: unexpected \"verified\"; expected one of off, offered, required, "
	  "implicit\n"
	  "t.conf:2:1: error: TLS needs a certificate: name one in a tls block, as in: tls { "
	  "certificate FILE; key FILE }\n"
	  "t.conf:3:1: error: TLS needs a certificate: name one in a tls block, as in: tls { "
	  "certificate FILE; key FILE }\n"
	  "t.conf:5:1: error: client_certificates needs TLS, which is off here\n", NULL },
	{ "routes",
	  "version 1\n"
	  "listen 127.0.0.1\n"
	  "route a { mx; tls implicit }\n"
	  "route b { host 10.0.0.1; tls verified }\n"
	  "route c { host a.example; tls required ca good.crt }\n"
	  "route d { host a.example; tls verified good.crt }\n"
	  "route e { host a.example; tls verified ca }\n"
	  "route f { host a.example; tls off; client_identity good.crt good.key }\n"
	  "route g { host a.example; client_identity good.crt other.key }\n"
	  "route h { host a.example; tls verified ca text }\n" TAIL,
	  "t.conf:5:40: error: authorities are asked only where the host is verified: tls verified "
	  "ca FILE\n"
	  "t.conf:6:40: error: expected: ca and the name of a file\n"
	  "t.conf:7:42: error: expected: ca and the name of a file\n"
	  "t.conf:3:1: error: route a goes by MX: mail exchangers begin in clear (STARTTLS), TLS "
	  "cannot be implicit\n"
	  "t.conf:4:1: error: route b: host 10.0.0.1 cannot be verified: certificates have names, "
	  "not addresses\n"
	  "t.conf:8:36: error: client_identity needs TLS, which is off here\n"
	  "t.conf:9:52: error: other.key is not the key of its certificate\n"
	  "t.conf:10:43: error: TLS cannot be set up: no certificate of an authority was found\n",
	  "t.conf:5:40: error: authorities are asked only where the host is verified: tls verified "
	  "ca FILE\n"
	  "t.conf:6:40: error: expected: ca and the name of a file\n"
	  "t.conf:7:42: error: expected: ca and the name of a file\n"
	  "t.conf:3:1: error: route a goes by MX: mail exchangers begin in clear (STARTTLS), TLS "
	  "cannot be implicit\n"
	  "t.conf:4:1: error: route b: host 10.0.0.1 cannot be verified: certificates have names, "
	  "not addresses\n"
	  "t.conf:8:36: error: client_identity needs TLS, which is off here\n"
	  "t.conf:10:43: error: TLS cannot be set up: no certificate of an authority was found\n" },
};

static void test_messages(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct file_case *c = &cases[i];
		struct loaded l = folder_load(*state, c->text, false);

		check_messages(c->name, &l, c->messages);
		loaded_done(&l);
		l = folder_load(*state, c->text, true);
		check_messages(c->name, &l, c->strict ? c->strict : c->messages);
		loaded_done(&l);
	}
	assert_int_equal(ERR_peek_error(), 0);
}

/* In tests without files, naming one is an error, and nothing crashes behind it. */
static void test_alone(void **state)
{
	struct loaded l = load_text("version 1\n" TLS "listen 127.0.0.1 { tls required }\n"
				    "users file u\nsecrets s\n"
				    "route q { host b.example; login a secret b }\n" TAIL);

	(void)state;
	check_messages("alone", &l,
		       "t.conf:2:19: error: good.crt: other files cannot be read here\n");
	loaded_done(&l);
}

static struct config *sound(const struct folder *f, const char *text)
{
	struct loaded l = folder_load(f, text, true);

	if (!l.c)
		fail_msg("%s\n%s", text, buf_cstr(&l.messages));
	buf_done(&l.messages);
	return l.c;
}

static void test_listeners(void **state)
{
	static const struct {
		const char *said;
		enum tls_use without, with;
	} uses[] = {
		{ "", TLS_OFF, TLS_OFFERED },
		{ "{ tls off }", TLS_OFF, TLS_OFF },
		{ "{ tls offered }", NOT_SOUND, TLS_OFFERED },
		{ "{ tls required }", NOT_SOUND, TLS_REQUIRED },
		{ "{ tls implicit }", NOT_SOUND, TLS_IMPLICIT },
	};
	char text[512];
	struct config *c;

	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		snprintf(text, sizeof(text), "version 1\nlisten 0.0.0.0 %s\n" TLS TAIL,
			 uses[i].said);
		c = sound(*state, text);
		assert_int_equal(c->listens[0].tls, uses[i].with);
		assert_non_null(c->tls.server);
		assert_non_null(c->tls.server_asking);
		assert_ptr_not_equal(c->tls.server, c->tls.server_asking);
		config_unref(c);
		if (uses[i].without == NOT_SOUND)
			continue;
		snprintf(text, sizeof(text), "version 1\nlisten 0.0.0.0 %s\n" TAIL, uses[i].said);
		c = sound(*state, text);
		assert_int_equal(c->listens[0].tls, uses[i].without);
		assert_null(c->tls.server);
		assert_int_equal(c->tls.keys_n, 0);
		config_unref(c);
	}
}

/* Paths as the snapshot has them, each once; the end of the first certificate. */
static void test_keys(void **state)
{
	struct config *c = sound(
		*state, "version 1\n"
			"tls {\n"
			"\tidentity { certificate other.crt; key other.key }\n"
			"\tcertificate good.crt\n"
			"\tkey good.key\n"
			"\tminimum 1.3\n"
			"\tidentity { certificate good.crt; key good.key }\n"
			"}\n"
			"listen 0.0.0.0 { client_certificates }\n"
			"route q { host b.example; client_identity soon.crt soon.key }\n" TAIL);
	int64_t left;

	assert_int_equal(c->tls.keys_n, 3);
	assert_string_equal(c->tls.keys[0].path, folder_path(*state, "good.key"));
	assert_string_equal(c->tls.keys[1].path, folder_path(*state, "other.key"));
	assert_string_equal(c->tls.keys[2].path, folder_path(*state, "soon.key"));
	assert_true(c->listens[0].asks_certificates);
	left = c->tls.expires_ms / 1000 - (int64_t)world_real()->wall_ms(world_real()) / 1000;
	assert_true(left > 399 * DAY_S && left < 401 * DAY_S);
	config_unref(c);
}

static const struct route *route(const struct config *c, const char *name)
{
	const struct route *r = config_route(c, str_of(name));

	assert_non_null(r);
	return r;
}

static void test_routes(void **state)
{
	struct config *c = sound(
		*state, "version 1\n"
			"listen 127.0.0.1\n"
			"route a { host a.example }\n"
			"route b { host b.example; tls required }\n"
			"route c { host c.example; tls verified }\n"
			"route d { host d.example; tls verified ca good.crt }\n"
			"route e { host e.example; tls verified ca good.crt }\n"
			"route f { host f.example; client_identity good.crt good.key }\n"
			"route g { host g.example; tls off }\n"
			"route h { host 10.0.0.1:465; tls implicit }\n"
			"accept from local to domain x.example via smtp://10.0.0.1\n"
			"accept from local to domain y.example via a { give_up_after 1h }\n"
			"accept from local to any via mx\n");
	struct tls_context *usual = route(c, "a")->tls_context;

	assert_non_null(usual);
	assert_int_equal(route(c, "a")->tls, TLS_OFFERED);
	assert_int_equal(route(c, "b")->tls, TLS_REQUIRED);
	assert_int_equal(route(c, "c")->tls, TLS_VERIFIED);
	assert_int_equal(route(c, "g")->tls, TLS_OFF);
	assert_int_equal(route(c, "h")->tls, TLS_IMPLICIT);
	assert_int_equal(route(c, "mx")->tls, TLS_OFFERED);
	assert_ptr_equal(route(c, "b")->tls_context, usual);
	assert_ptr_equal(route(c, "c")->tls_context, usual);
	assert_ptr_equal(route(c, "mx")->tls_context, usual);
	assert_ptr_equal(route(c, "smtp://10.0.0.1")->tls_context, usual);
	assert_ptr_equal(c->rules[1].route->tls_context, usual);
	assert_null(route(c, "g")->tls_context);
	assert_non_null(route(c, "d")->tls_context);
	assert_ptr_not_equal(route(c, "d")->tls_context, usual);
	assert_ptr_equal(route(c, "d")->tls_context, route(c, "e")->tls_context);
	assert_ptr_not_equal(route(c, "f")->tls_context, usual);
	assert_int_equal(c->contexts_n, 3);
	config_unref(c);
}

/* A snapshot that is gone takes its contexts along, but not those that are still in use. */
static void test_contexts_are_counted(void **state)
{
	struct config *c = sound(*state, "version 1\nlisten 127.0.0.1\n" TLS TAIL);
	struct tls_context *kept = tls_context_ref(c->tls.server);

	config_unref(c);
	tls_context_unref(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_contexts_are_counted),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
