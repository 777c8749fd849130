/*
 * Fuzz: logins. The first octet chooses the mechanism, the second what TLS there is; the rest, cut
 * at LF, are the messages of a hostile client to our server and of a hostile server to our client.
 * Nobody gets in without the password, and whoever is judged has a clean name.
 */
#include "smtp/sasl.h"

#include "smtp/address.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct sasl_binding with_tls = {{"0123456789abcdef", 16}, {"fedcba98", 8}};

static struct str take_line(struct str *rest)
{
	ssize_t end = str_find(*rest, '\n');
	struct str line = end < 0 ? *rest : str_sub(*rest, 0, (size_t)end);

	*rest = str_from(*rest, line.n + 1);
	return line;
}

static void check_text(struct str s, size_t max)
{
	assert(s.n <= max && utf8_is_valid(s) && !str_has_control(s));
}

/* A random secret: no proof fits it. */
static const struct scram_secret *secret_of(enum sasl_mechanism m)
{
	static struct scram_secret s;

	s = (struct scram_secret){.iterations = 4096, .salt_n = 4, .salt = "salt"};
	s.key_n = m == SASL_SCRAM_SHA_1 || m == SASL_SCRAM_SHA_1_PLUS ? 20 : 32;
	memset(s.stored_key, 0x5a, sizeof(s.stored_key));
	memset(s.server_key, 0xa5, sizeof(s.server_key));
	return &s;
}

static void serve(enum sasl_mechanism m, const struct sasl_binding *b, struct str rest,
		  bool initial)
{
	struct sasl_server *s = sasl_server_new(m, b, STR("nonce"));
	enum sasl_step step = sasl_server_step(s, initial ? take_line(&rest) : STR_NONE, initial);

	for (int i = 0; i < 8 && step < SASL_DONE; i++) {
		check_text(sasl_server_user(s), SASL_NAME_MAX);
		if (step == SASL_WANTS_SECRET) {
			assert(sasl_server_user(s).n);
			step = sasl_server_secret(s, secret_of(m), true);
		} else if (step == SASL_SEND) {
			step = sasl_server_step(s, take_line(&rest), true);
		} else {
			check_text(sasl_server_password(s), SASL_OCTETS_MAX);
			assert(sasl_server_password(s).n);
			step = sasl_server_judge(s, false);
		}
	}
	assert(step == SASL_FAILED && sasl_server_why(s)[0]);
	sasl_server_free(s);
}

/* Iterations are time: more than a few thousand would be all that is measured. */
static bool is_slow(struct str s)
{
	ssize_t at = str_search(s, STR(",i="));
	size_t digits = 0;

	while (at >= 0 && (size_t)at + 3 + digits < s.n &&
	       ascii_is_digit(s.p[(size_t)at + 3 + digits]))
		digits++;
	return digits > 4;
}

static void ask(enum sasl_mechanism m, const struct sasl_binding *b, struct str rest)
{
	struct sasl_client *c =
		sasl_client_new(m, b, STR("user"), STR("token"), STR("cn"), STR("h"), 25);
	enum sasl_step step = sasl_client_step(c, STR_NONE);

	for (int i = 0; i < 6 && step != SASL_FAILED; i++) {
		struct str line = take_line(&rest);

		if (is_slow(line))
			break;
		step = sasl_client_step(c, line);
		/* the server would have to guess a signature */
		if (m >= SASL_SCRAM_SHA_1 && m <= SASL_SCRAM_SHA_256_PLUS)
			assert(!sasl_client_is_done(c));
		if (step == SASL_FAILED)
			assert(!sasl_client_is_done(c) && sasl_client_out(c).n == 0);
	}
	sasl_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum sasl_mechanism m;
	const struct sasl_binding *b;
	struct scram_secret secret;
	struct str rest;

	if (n < 2)
		return 0;
	m = SASL_PLAIN + data[0] % (SASL_MECHANISMS_N - 1);
	b = data[1] & 1 ? &with_tls : NULL;
	rest = str_make((const char *)data + 2, n - 2);
	serve(m, b, rest, data[1] & 2);
	ask(m, b, rest);
	sasl_client_choose(rest, data[1] & 4, data[1] & 8, data[1] & 16);
	if (scram_secret_parse(rest, &secret)) {
		struct buf out = BUF_INIT(1024);
		struct scram_secret again;

		scram_secret_format(&out, &secret);
		assert(scram_secret_parse(buf_str(&out), &again));
		assert(memcmp(&secret, &again, sizeof(secret)) == 0);
		buf_done(&out);
	}
	return 0;
}
