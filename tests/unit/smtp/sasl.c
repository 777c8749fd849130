/*
 * sasl: both sides of every mechanism. The published exchanges of RFC 5802 and 7677 octet by octet,
 * our client against our server, channel binding in all its forms, and tables of messages that must
 * be refused.
 */
#include "smtp/sasl.h"

#include "smtp/base64.h"
#include "unit/unit.h"

#define EXPORTER "0123456789abcdef0123456789abcdef"
#define END_POINT "fedcba9876543210fedcba9876543210"
#define NUL_STR(literal) ((struct str){literal, sizeof(literal) - 1})

static const struct sasl_binding with_tls = {{EXPORTER, 32}, {END_POINT, 32}};
static const struct sasl_binding tls_1_2 = {{NULL, 0}, {END_POINT, 32}};
static const struct sasl_binding other_tls = {{END_POINT, 32}, {EXPORTER, 32}};

static struct scram_secret secret_of(bool sha1, const char *password, const char *salt64)
{
	struct scram_secret s;
	struct buf salt = BUF_INIT(SCRAM_SALT_MAX);

	assert_true(base64_decode(&salt, str_of(salt64)));
	assert_true(scram_secret_make(&s, sha1, str_of(password), (unsigned char *)salt.p, salt.n,
				      4096));
	buf_done(&salt);
	return s;
}

/* ---- published exchanges */

static const struct vector {
	enum sasl_mechanism mechanism;
	const char *client_nonce, *server_nonce, *salt;
	const char *first, *server_first, *final, *server_final;
} vectors[] = {
	{SASL_SCRAM_SHA_1, "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
	 "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
	 "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
	 "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
	 "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
	{SASL_SCRAM_SHA_256, "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
	 "W22ZaJ0SNY7soEsUEjb6gQ==", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
	 "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	 "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	 "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	 "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

static void test_vectors_server(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct vector *v = &vectors[i];
		struct scram_secret secret =
			secret_of(v->mechanism == SASL_SCRAM_SHA_1, "pencil", v->salt);
		struct sasl_server *s =
			sasl_server_new(v->mechanism, NULL, str_of(v->server_nonce));

		assert_int_equal(sasl_server_step(s, STR("ignored"), false), SASL_SEND);
		assert_int_equal(sasl_server_out(s).n, 0);
		assert_int_equal(sasl_server_step(s, str_of(v->first), true), SASL_WANTS_SECRET);
		assert_str_equal(sasl_server_user(s), STR("user"));
		assert_int_equal(sasl_server_secret(s, &secret, true), SASL_SEND);
		assert_str_equal(sasl_server_out(s), str_of(v->server_first));
		assert_int_equal(sasl_server_step(s, str_of(v->final), true), SASL_DONE);
		assert_str_equal(sasl_server_out(s), str_of(v->server_final));
		sasl_server_free(s);
	}
}

static void test_vectors_client(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct vector *v = &vectors[i];
		struct sasl_client *c =
			sasl_client_new(v->mechanism, NULL, STR("user"), STR("pencil"),
					str_of(v->client_nonce), STR_NONE, 0);

		assert_true(sasl_client_has_initial(c));
		assert_int_equal(sasl_client_step(c, STR_NONE), SASL_SEND);
		assert_str_equal(sasl_client_out(c), str_of(v->first));
		assert_int_equal(sasl_client_step(c, str_of(v->server_first)), SASL_SEND);
		assert_str_equal(sasl_client_out(c), str_of(v->final));
		assert_false(sasl_client_is_done(c));
		assert_int_equal(sasl_client_step(c, str_of(v->server_final)), SASL_DONE);
		assert_true(sasl_client_is_done(c));
		assert_int_equal(sasl_client_step(c, STR("more")), SASL_FAILED);
		assert_false(sasl_client_is_done(c));
		sasl_client_free(c);
	}
}

/* ---- our client against our server */

struct meeting {
	enum sasl_mechanism client, server;
	const struct sasl_binding *client_binding, *server_binding;
	const char *user, *password; /* as the client has them; right are "a,b=c" and "sesame" */
	bool good;
	const char *why; /* a piece of the server's or the client's reason */
};

#define NAME "a,b=c"

static enum sasl_step answer(struct sasl_server *s, enum sasl_step step, bool sha1)
{
	struct scram_secret secret = secret_of(sha1, "sesame", "c2FsdHNhbHRzYWx0");
	bool exists = str_eq(sasl_server_user(s), STR(NAME));

	switch (step) {
	case SASL_WANTS_PASSWORD:
		return sasl_server_judge(s,
					 exists && str_eq(sasl_server_password(s), STR("sesame")));
	case SASL_WANTS_TOKEN:
		return sasl_server_judge(
			s, exists && str_eq(sasl_server_password(s), STR("t0.k~n==")));
	case SASL_WANTS_SECRET:
		return sasl_server_secret(s, &secret, exists);
	default:
		return step;
	}
}

/* Runs a login as AUTH does. Returns whether both sides are content. */
static bool meet(const struct meeting *m, char *why, size_t size)
{
	bool sha1 = m->server == SASL_SCRAM_SHA_1 || m->server == SASL_SCRAM_SHA_1_PLUS;
	struct sasl_server *s = sasl_server_new(m->server, m->server_binding, STR("server-nonce"));
	struct sasl_client *c =
		sasl_client_new(m->client, m->client_binding, str_of(m->user), str_of(m->password),
				STR("client-nonce"), STR("mail.example"), 587);
	enum sasl_step ours = sasl_client_step(c, STR_NONE), theirs;
	bool first = sasl_client_has_initial(c), good = false;
	int rounds = 0;

	assert_int_not_equal(ours, SASL_FAILED);
	theirs = answer(s, sasl_server_step(s, sasl_client_out(c), first), sha1);
	/* what comes with the end is one more challenge */
	while (ours != SASL_FAILED && sasl_server_out(s).n + (theirs == SASL_SEND) &&
	       rounds++ < 9) {
		ours = sasl_client_step(c, sasl_server_out(s));
		if (theirs != SASL_SEND)
			break;
		theirs = answer(s, sasl_server_step(s, sasl_client_out(c), true), sha1);
	}
	good = theirs == SASL_DONE && ours != SASL_FAILED && sasl_client_is_done(c);
	if (good)
		assert_str_equal(sasl_server_user(s), STR(NAME));
	snprintf(why, size, "%s/%s", sasl_server_why(s), sasl_client_why(c));
	sasl_client_free(c);
	sasl_server_free(s);
	return good;
}

static const struct meeting meetings[] = {
	{SASL_PLAIN, SASL_PLAIN, NULL, NULL, NAME, "sesame", true, ""},
	{SASL_PLAIN, SASL_PLAIN, NULL, NULL, NAME, "Sesame", false, "wrong password"},
	{SASL_PLAIN, SASL_PLAIN, NULL, NULL, "nobody", "sesame", false, "unknown user"},
	{SASL_LOGIN, SASL_LOGIN, NULL, NULL, NAME, "sesame", true, ""},
	{SASL_LOGIN, SASL_LOGIN, NULL, NULL, NAME, "no", false, "wrong password"},
	{SASL_SCRAM_SHA_1, SASL_SCRAM_SHA_1, NULL, NULL, NAME, "sesame", true, ""},
	{SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_256, NULL, NULL, NAME, "sesame", true, ""},
	{SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_256, NULL, NULL, NAME, "no", false, "wrong password"},
	/* the secret made up for him happens to be right: he stays unknown */
	{SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_256, NULL, NULL, "nobody", "sesame", false,
	 "wrong password or unknown user"},
	{SASL_SCRAM_SHA_256_PLUS, SASL_SCRAM_SHA_256_PLUS, &with_tls, &with_tls, NAME, "sesame",
	 true, ""},
	{SASL_SCRAM_SHA_256_PLUS, SASL_SCRAM_SHA_256_PLUS, &tls_1_2, &with_tls, NAME, "sesame",
	 true, ""},
	{SASL_SCRAM_SHA_1_PLUS, SASL_SCRAM_SHA_1_PLUS, &tls_1_2, &tls_1_2, NAME, "sesame", true,
	 ""},
	/* a client in TLS 1.3, a server that has no exporter */
	{SASL_SCRAM_SHA_256_PLUS, SASL_SCRAM_SHA_256_PLUS, &with_tls, &tls_1_2, NAME, "sesame",
	 false, "type that is not there"},
	/* somebody in the middle: two TLS connections, two exporters */
	{SASL_SCRAM_SHA_256_PLUS, SASL_SCRAM_SHA_256_PLUS, &other_tls, &with_tls, NAME, "sesame",
	 false, "somebody else"},
	/* who took -PLUS out of the offer */
	{SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_256, &with_tls, &with_tls, NAME, "sesame", false,
	 "downgrade"},
	/* a server that has none to offer, a client that cannot */
	{SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_256, &with_tls, NULL, NAME, "sesame", true, ""},
	{SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_256, NULL, &with_tls, NAME, "sesame", true, ""},
	{SASL_SCRAM_SHA_256_PLUS, SASL_SCRAM_SHA_256, &with_tls, &with_tls, NAME, "sesame", false,
	 "mechanism without it"},
	{SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_256_PLUS, NULL, &with_tls, NAME, "sesame", false,
	 "demands it"},
	{SASL_XOAUTH2, SASL_XOAUTH2, NULL, NULL, NAME, "t0.k~n==", true, ""},
	{SASL_XOAUTH2, SASL_XOAUTH2, NULL, NULL, NAME, "old", false, "not good"},
	{SASL_OAUTHBEARER, SASL_OAUTHBEARER, NULL, NULL, NAME, "t0.k~n==", true, ""},
	{SASL_OAUTHBEARER, SASL_OAUTHBEARER, NULL, NULL, NAME, "old", false, "not good"},
	{SASL_OAUTHBEARER, SASL_OAUTHBEARER, NULL, NULL, NAME, "not a token", false, "no bearer"},
};

static void test_meetings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(meetings) / sizeof(meetings[0]); i++) {
		const struct meeting *m = &meetings[i];
		char why[256];

		if (meet(m, why, sizeof(why)) != m->good || !strstr(why, m->why))
			fail_msg("meeting %zu (%s): %s", i, sasl_mechanism_name(m->server), why);
	}
}

/* ---- the server against single messages */

struct said {
	enum sasl_mechanism mechanism;
	struct str message;
	enum sasl_step step;
	const char *user, *password;
};

static const struct said said[] = {
	{SASL_PLAIN, NUL_STR("\0u\0p"), SASL_WANTS_PASSWORD, "u", "p"},
	{SASL_PLAIN, NUL_STR("u\0u\0p q"), SASL_WANTS_PASSWORD, "u", "p q"},
	{SASL_PLAIN, NUL_STR("\0\xc3\xa4\0\xc3\xb6"), SASL_WANTS_PASSWORD, "\xc3\xa4", "\xc3\xb6"},
	{SASL_PLAIN, NUL_STR("root\0u\0p"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("U\0u\0p"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR(""), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("u"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("\0u"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("\0\0p"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("\0u\0"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("\0u\0p\0"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("\0u\0p\0q"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("\0u\nv\0p"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("\0u\0p\tq"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("\0u\xff\0p"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("\0u\0p\xc2\x85"), SASL_FAILED, NULL, NULL},
	{SASL_PLAIN, NUL_STR("\0u\0p\xc2\xa0"), SASL_WANTS_PASSWORD, "u", "p\xc2\xa0"},
	{SASL_PLAIN, NUL_STR("\0u\0\xc0\xaf"), SASL_FAILED, NULL, NULL},
	{SASL_LOGIN, NUL_STR("u"), SASL_SEND, "u", ""},
	{SASL_LOGIN, NUL_STR(""), SASL_FAILED, NULL, NULL},
	{SASL_LOGIN, NUL_STR("u\0p"), SASL_FAILED, NULL, NULL},
	{SASL_XOAUTH2, NUL_STR("user=u\1auth=Bearer abc\1\1"), SASL_WANTS_TOKEN, "u", "abc"},
	{SASL_XOAUTH2, NUL_STR("user=u\1auth=bearer a.b-c_d~e+f/g==\1\1"), SASL_WANTS_TOKEN, "u",
	 "a.b-c_d~e+f/g=="},
	{SASL_XOAUTH2, NUL_STR("user=u\1auth=Bearer abc\1"), SASL_FAILED, NULL, NULL},
	{SASL_XOAUTH2, NUL_STR("user=u\1auth=Bearer abc\1\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_XOAUTH2, NUL_STR("user=u\1auth=Bearer \1\1"), SASL_FAILED, NULL, NULL},
	{SASL_XOAUTH2, NUL_STR("user=u\1auth=Bearer a\"b\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_XOAUTH2, NUL_STR("user=u\1auth=Bearer a\0b\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_XOAUTH2, NUL_STR("user=u\1auth=Basic abc\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_XOAUTH2, NUL_STR("user=u\1user=v\1auth=Bearer abc\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_XOAUTH2, NUL_STR("user=u\1auth=Bearer a\1auth=Bearer b\1\1"), SASL_FAILED, NULL,
	 NULL},
	{SASL_XOAUTH2, NUL_STR("auth=Bearer abc\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_XOAUTH2, NUL_STR("user=u\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_XOAUTH2, NUL_STR("\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_OAUTHBEARER, NUL_STR("n,a=u=2Cv=3D,\1host=h\1port=587\1auth=Bearer abc\1\1"),
	 SASL_WANTS_TOKEN, "u,v=", "abc"},
	{SASL_OAUTHBEARER, NUL_STR("y,,\1auth=Bearer abc\1\1"), SASL_WANTS_TOKEN, "", "abc"},
	{SASL_OAUTHBEARER, NUL_STR("n,a=u=2cv,\1auth=Bearer abc\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_OAUTHBEARER, NUL_STR("n,a=,\1auth=Bearer abc\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_OAUTHBEARER, NUL_STR("n,b=u,\1auth=Bearer abc\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_OAUTHBEARER, NUL_STR("n,\1auth=Bearer abc\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_OAUTHBEARER, NUL_STR("p=tls-exporter,,\1auth=Bearer abc\1\1"), SASL_FAILED, NULL,
	 NULL},
	{SASL_OAUTHBEARER, NUL_STR("n,a=u,\1auth=\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_OAUTHBEARER, NUL_STR("n,a=u,\1\1"), SASL_FAILED, NULL, NULL},
	{SASL_OAUTHBEARER, NUL_STR("n,a=u,"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=u,r=abc"), SASL_WANTS_SECRET, "u", ""},
	{SASL_SCRAM_SHA_256, NUL_STR("y,,n=u,r=abc"), SASL_WANTS_SECRET, "u", ""},
	{SASL_SCRAM_SHA_256, NUL_STR("n,a=u,n=u,r=abc"), SASL_WANTS_SECRET, "u", ""},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=u,r=abc,x=later"), SASL_WANTS_SECRET, "u", ""},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n==2C=3D=3D2C,r=abc"), SASL_WANTS_SECRET, ",==2C", ""},
	{SASL_SCRAM_SHA_256, NUL_STR("n,a=v,n=u,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,u,n=u,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,m=x,n=u,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=u,r=abc,m=x"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=u,r=abc,x"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=u=,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=u=2c,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=u=2,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=u,r="), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=u,r=a b"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,n=u"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,,r=abc,n=u"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("n,n=u,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("x,,n=u,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR(",,n=u,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR("p=tls-unique,,n=u,r=abc"), SASL_FAILED, NULL, NULL},
	{SASL_SCRAM_SHA_256, NUL_STR(""), SASL_FAILED, NULL, NULL},
};

static void test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		const struct said *row = &said[i];
		struct sasl_server *s = sasl_server_new(row->mechanism, NULL, STR("n"));
		enum sasl_step step = sasl_server_step(s, row->message, true);

		if (step != row->step)
			fail_msg("message %zu (%s): step %d, why: %s", i,
				 sasl_mechanism_name(row->mechanism), (int)step,
				 sasl_server_why(s));
		if (step == SASL_FAILED) {
			assert_true(sasl_server_why(s)[0] && sasl_server_out(s).n == 0);
		} else {
			assert_str_equal(sasl_server_user(s), str_of(row->user));
			assert_str_equal(sasl_server_password(s), str_of(row->password));
		}
		sasl_server_free(s);
	}
}

/* What follows once the secret was given: each of these is refused, with these words. */
static void test_final_messages(void **state)
{
	static const struct {
		const char *message, *out;
	} rows[] = {
		{"c=biws,r=abcn,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "e=invalid-proof"},
		{"c=biws,r=abcn,p=AAAA", "e=invalid-proof"},
		{"c=biws,r=abcn,p=!", "e=invalid-proof"},
		{"c=biws,r=abcn,p=", "e=invalid-proof"},
		{"c=biws,r=abcn,x=y,p=AAAA", "e=invalid-proof"},
		{"c=biws,r=abc,p=AAAA", "e=other-error"},
		{"c=biws,r=abcnn,p=AAAA", "e=other-error"},
		{"c=eSws,r=abcn,p=AAAA", "e=channel-bindings-dont-match"}, /* "y,," */
		{"c=biwsAAAA,r=abcn,p=AAAA", "e=channel-bindings-dont-match"},
		{"c=,r=abcn,p=AAAA", "e=channel-bindings-dont-match"},
		{"c=biws=,r=abcn,p=AAAA", "e=channel-bindings-dont-match"},
		{"c=biws,r=abcn,m=x,p=AAAA", "e=extensions-not-supported"},
		{"c=biws,r=abcn", "e=invalid-encoding"},
		{"c=biws,r=abcn,p=AAAA,x=y", "e=invalid-encoding"},
		{"r=abcn,c=biws,p=AAAA", "e=invalid-encoding"},
		{"c=biws,p=AAAA", "e=invalid-encoding"},
		{"", "e=invalid-encoding"},
		{",,,", "e=invalid-encoding"},
	};
	struct scram_secret secret = secret_of(false, "sesame", "c2FsdA==");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sasl_server *s = sasl_server_new(SASL_SCRAM_SHA_256, NULL, STR("n"));

		assert_int_equal(sasl_server_step(s, STR("n,,n=u,r=abc"), true), SASL_WANTS_SECRET);
		assert_int_equal(sasl_server_secret(s, &secret, true), SASL_SEND);
		assert_int_equal(sasl_server_step(s, str_of(rows[i].message), true), SASL_FAILED);
		assert_str_equal(sasl_server_out(s), str_of(rows[i].out));
		sasl_server_free(s);
	}
}

static void test_login_prompts(void **state)
{
	struct sasl_server *s = sasl_server_new(SASL_LOGIN, NULL, STR_NONE);

	(void)state;
	assert_int_equal(sasl_server_step(s, STR_NONE, false), SASL_SEND);
	assert_str_equal(sasl_server_out(s), STR("Username:"));
	assert_int_equal(sasl_server_step(s, STR("u"), true), SASL_SEND);
	assert_str_equal(sasl_server_out(s), STR("Password:"));
	assert_int_equal(sasl_server_step(s, STR("p"), true), SASL_WANTS_PASSWORD);
	assert_str_equal(sasl_server_password(s), STR("p"));
	assert_int_equal(sasl_server_judge(s, true), SASL_DONE);
	sasl_server_free(s);
}

static void test_token_errors(void **state)
{
	struct sasl_server *s = sasl_server_new(SASL_XOAUTH2, NULL, STR_NONE);

	(void)state;
	assert_int_equal(sasl_server_step(s, STR("user=u\1auth=Bearer x\1\1"), true),
			 SASL_WANTS_TOKEN);
	assert_int_equal(sasl_server_judge(s, false), SASL_FAILED);
	assert_str_equal(sasl_server_out(s), STR("{\"status\":\"401\",\"schemes\":\"Bearer\"}"));
	sasl_server_free(s);
	s = sasl_server_new(SASL_OAUTHBEARER, NULL, STR_NONE);
	assert_int_equal(sasl_server_step(s, STR("n,,\1auth=Bearer x\1\1"), true),
			 SASL_WANTS_TOKEN);
	assert_int_equal(sasl_server_judge(s, false), SASL_FAILED);
	assert_str_equal(sasl_server_out(s), STR("{\"status\":\"invalid_token\"}"));
	sasl_server_free(s);
}

/* ---- bounds */

static void test_bounds(void **state)
{
	static char text[SASL_OCTETS_MAX + 2];
	struct buf b = BUF_INIT(2 * SASL_OCTETS_MAX);
	static const struct {
		size_t name, password;
		enum sasl_step step;
	} rows[] = {
		{SASL_NAME_MAX, SASL_PASSWORD_MAX, SASL_WANTS_PASSWORD},
		{SASL_NAME_MAX + 1, 1, SASL_FAILED},
		{1, SASL_PASSWORD_MAX + 1, SASL_FAILED},
		{1, SASL_OCTETS_MAX, SASL_FAILED},
	};

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < 4; i++) {
		struct sasl_server *s = sasl_server_new(SASL_PLAIN, NULL, STR_NONE);

		buf_clear(&b);
		buf_add_byte(&b, '\0');
		buf_add(&b, text, rows[i].name);
		buf_add_byte(&b, '\0');
		buf_add(&b, text, rows[i].password);
		assert_int_equal(sasl_server_step(s, buf_str(&b), true), rows[i].step);
		sasl_server_free(s);
	}
	for (size_t n = SASL_NONCE_MAX; n <= SASL_NONCE_MAX + 1; n++) {
		struct sasl_server *s = sasl_server_new(SASL_SCRAM_SHA_256, NULL, STR("n"));

		buf_clear(&b);
		buf_add_lit(&b, "n,,n=u,r=");
		buf_add(&b, text, n);
		assert_int_equal(sasl_server_step(s, buf_str(&b), true),
				 n <= SASL_NONCE_MAX ? SASL_WANTS_SECRET : SASL_FAILED);
		sasl_server_free(s);
	}
	buf_done(&b);
}

/* ---- the client against servers that lie */

static void test_hostile_first(void **state)
{
	static const char *const rows[] = {
		"r=cn,s=c2FsdA==,i=4096", /* nothing of the server's in it */
		"r=xcnmore,s=c2FsdA==,i=4096",
		"r=c,s=c2FsdA==,i=4096",
		"r=cnmore,s=c2FsdA==,i=4095",
		"r=cnmore,s=c2FsdA==,i=1",
		"r=cnmore,s=c2FsdA==,i=0",
		"r=cnmore,s=c2FsdA==,i=1000001",
		"r=cnmore,s=c2FsdA==,i=-4096",
		"r=cnmore,s=c2FsdA==,i=99999999999999999999",
		"r=cnmore,s=c2FsdA==,i=",
		"r=cnmore,s=,i=4096",
		"r=cnmore,s=!,i=4096",
		"r=cnmore,s=c2Fsd,i=4096",
		"r=cnmore,i=4096,s=c2FsdA==",
		"m=x,r=cnmore,s=c2FsdA==,i=4096",
		"r=cnmore,s=c2FsdA==,i=4096,m=x",
		"r=cnmore,s=c2FsdA==",
		"e=other-error",
		"",
		"r=cn more,s=c2FsdA==,i=4096",
		/* a salt of 66 octets */
		("r=cnmore,s="
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		 "AAAAAAAAAAAA,i=4096"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sasl_client *c = sasl_client_new(SASL_SCRAM_SHA_256, NULL, STR("u"),
							STR("p"), STR("cn"), STR_NONE, 0);

		assert_int_equal(sasl_client_step(c, STR_NONE), SASL_SEND);
		if (sasl_client_step(c, str_of(rows[i])) != SASL_FAILED)
			fail_msg("row %zu was taken", i);
		assert_int_equal(sasl_client_out(c).n, 0);
		assert_false(sasl_client_is_done(c));
		sasl_client_free(c);
	}
}

static void test_hostile_final(void **state)
{
	static const char *const rows[] = {
		"",
		"v=",
		"v=!",
		"v=AAAA",
		"e=invalid-proof",
		"x=y",
		"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sasl_client *c = sasl_client_new(SASL_SCRAM_SHA_256, NULL, STR("u"),
							STR("p"), STR("cn"), STR_NONE, 0);

		assert_int_equal(sasl_client_step(c, STR_NONE), SASL_SEND);
		assert_int_equal(sasl_client_step(c, STR("r=cnmore,s=c2FsdA==,i=4096,x=y")),
				 SASL_SEND);
		/* 235 now would be a success without proof */
		assert_false(sasl_client_is_done(c));
		assert_int_equal(sasl_client_step(c, str_of(rows[i])), SASL_FAILED);
		assert_false(sasl_client_is_done(c));
		sasl_client_free(c);
	}
}

static void test_client_login(void **state)
{
	struct sasl_client *c =
		sasl_client_new(SASL_LOGIN, NULL, STR("u"), STR("p"), STR_NONE, STR_NONE, 0);

	(void)state;
	assert_false(sasl_client_has_initial(c));
	assert_int_equal(sasl_client_step(c, STR_NONE), SASL_SEND);
	assert_int_equal(sasl_client_step(c, STR("who?")), SASL_SEND);
	assert_str_equal(sasl_client_out(c), STR("u"));
	assert_false(sasl_client_is_done(c)); /* 235 before the password */
	assert_int_equal(sasl_client_step(c, STR("and?")), SASL_DONE);
	assert_str_equal(sasl_client_out(c), STR("p"));
	assert_int_equal(sasl_client_step(c, STR("and your mother's name?")), SASL_FAILED);
	sasl_client_free(c);
}

static void test_client_refuses(void **state)
{
	static const struct {
		enum sasl_mechanism mechanism;
		struct str user, password;
	} rows[] = {
		{SASL_PLAIN, NUL_STR("u\0x"), NUL_STR("p")},
		{SASL_PLAIN, NUL_STR("u"), NUL_STR("p\r\nMAIL FROM:<>")},
		{SASL_PLAIN, NUL_STR(""), NUL_STR("p")},
		{SASL_LOGIN, NUL_STR("u"), NUL_STR("")},
		{SASL_XOAUTH2, NUL_STR("u"), NUL_STR("t\1x")},
		{SASL_SCRAM_SHA_256_PLUS, NUL_STR("u"), NUL_STR("p")}, /* without TLS */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sasl_client *c = sasl_client_new(rows[i].mechanism, NULL, rows[i].user,
							rows[i].password, STR("n"), STR_NONE, 0);

		if (sasl_client_step(c, STR_NONE) != SASL_FAILED)
			fail_msg("row %zu was taken", i);
		sasl_client_free(c);
	}
}

static void test_choose(void **state)
{
	static const struct {
		const char *offered;
		bool tls, binding, token;
		enum sasl_mechanism best;
	} rows[] = {
		{"PLAIN LOGIN", true, false, false, SASL_PLAIN},
		{"LOGIN", true, false, false, SASL_LOGIN},
		{"PLAIN LOGIN", false, false, false, SASL_NONE},
		{"plain scram-sha-256", false, false, false, SASL_SCRAM_SHA_256},
		{"SCRAM-SHA-1 PLAIN SCRAM-SHA-256", true, true, false, SASL_SCRAM_SHA_256},
		{"SCRAM-SHA-256 SCRAM-SHA-256-PLUS", true, true, false, SASL_SCRAM_SHA_256_PLUS},
		{"SCRAM-SHA-256 SCRAM-SHA-256-PLUS", true, false, false, SASL_SCRAM_SHA_256},
		{"SCRAM-SHA-256 SCRAM-SHA-1-PLUS", true, true, false, SASL_SCRAM_SHA_1_PLUS},
		{"PLAIN XOAUTH2", true, true, true, SASL_XOAUTH2},
		{"XOAUTH2 OAUTHBEARER", true, true, true, SASL_OAUTHBEARER},
		{"XOAUTH2", false, false, true, SASL_NONE},
		{"PLAIN", true, true, true, SASL_NONE},
		{"GSSAPI DIGEST-MD5", true, true, false, SASL_NONE},
		{"", true, true, false, SASL_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (sasl_client_choose(str_of(rows[i].offered), rows[i].tls, rows[i].binding,
				       rows[i].token) != rows[i].best)
			fail_msg("row %zu: not %s", i, sasl_mechanism_name(rows[i].best));
}

/* ---- stored secrets */

static void test_secret_text(void **state)
{
	/* the keys of RFC 7677's user */
	static const char stored[] = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
				     "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
				     "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
	struct scram_secret s = secret_of(false, "pencil", "W22ZaJ0SNY7soEsUEjb6gQ=="), back;
	struct buf b = BUF_INIT(512);

	(void)state;
	scram_secret_format(&b, &s);
	assert_str_equal(buf_str(&b), str_of(stored));
	assert_true(scram_secret_parse(buf_str(&b), &back));
	assert_memory_equal(&s, &back, sizeof(s));
	buf_clear(&b);
	s = secret_of(true, "pencil", "QSXCR+Q6sek8bf92");
	scram_secret_format(&b, &s);
	assert_true(scram_secret_parse(buf_str(&b), &back));
	assert_memory_equal(&s, &back, sizeof(s));
	buf_done(&b);
}

static void test_secret_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"SCRAM-SHA-256$",
		"SCRAM-SHA-512$4096:c2FsdA==$AAAA:AAAA",
		"SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA",
		("SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==$"
		 "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
		 ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="),
		("SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
		 "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
		 ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="),
		("SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
		 ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="),
	};
	static const unsigned char salt[SCRAM_SALT_MAX + 1];
	struct scram_secret s;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (scram_secret_parse(str_of(rows[i]), &s))
			fail_msg("row %zu was taken", i);
	assert_false(scram_secret_make(&s, false, STR(""), salt, 8, 4096));
	assert_false(scram_secret_make(&s, false, STR("p\1"), salt, 8, 4096));
	assert_false(scram_secret_make(&s, false, STR("p"), salt, 0, 4096));
	assert_false(scram_secret_make(&s, false, STR("p"), salt, sizeof(salt), 4096));
	assert_false(scram_secret_make(&s, false, STR("p"), salt, 8, 4095));
	assert_false(scram_secret_make(&s, false, STR("p"), salt, 8, SCRAM_ITERATIONS_MAX + 1));
}

static void test_names(void **state)
{
	(void)state;
	for (enum sasl_mechanism m = SASL_PLAIN; m < SASL_MECHANISMS_N; m++)
		assert_int_equal(sasl_mechanism_find(str_of(sasl_mechanism_name(m))), m);
	assert_int_equal(sasl_mechanism_find(STR("")), SASL_NONE);
	assert_int_equal(sasl_mechanism_find(STR("PLAI")), SASL_NONE);
	assert_int_equal(sasl_mechanism_find(STR("scram-SHA-256-plus")), SASL_SCRAM_SHA_256_PLUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_server), cmocka_unit_test(test_vectors_client),
		cmocka_unit_test(test_meetings),       cmocka_unit_test(test_messages),
		cmocka_unit_test(test_final_messages), cmocka_unit_test(test_login_prompts),
		cmocka_unit_test(test_token_errors),   cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_hostile_first),  cmocka_unit_test(test_hostile_final),
		cmocka_unit_test(test_client_login),   cmocka_unit_test(test_client_refuses),
		cmocka_unit_test(test_choose),	       cmocka_unit_test(test_secret_text),
		cmocka_unit_test(test_secret_refused), cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
