/*
 * fuzz backends - whom the relay asks about logins and signatures, and what they may say.
 *
 * The first octet chooses: a conversation with Dovecot (over a wire; the rest is its turns, cut at
 * 0x1e: the greeting, then an answer to each line), the answer of a token server (RFC 7662), a
 * request to the process that signs. Nobody is let in without a name that is one, and nothing is
 * signed that was not asked for in the right form.
 */
#include "policy/dovecot.h"
#include "policy/introspect.h"
#include "run/signer.h"

#include "fuzz/world.h"
#include "unit/deliver/certificates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct net *net;
static struct key_ring *ring;

static struct str take_turn(struct str *rest)
{
	ssize_t end = str_find(*rest, 0x1e);
	struct str turn = end < 0 ? *rest : str_sub(*rest, 0, (size_t)end);

	*rest = str_from(*rest, turn.n + 1);
	return turn;
}

/* ---- Dovecot */

static struct wire *other_side;		/* NULL: not connected, or hung up */
static struct str turns;
static unsigned options;

static bool asked(struct wire *w, const struct endpoint *to)
{
	(void)to;
	other_side = w;
	return true;
}

static void hang_up(void)
{
	if (other_side)
		wire_close(other_side);
	other_side = NULL;
}

/* A line of the relay's is answered with a turn. */
static bool dovecot_turn(void)
{
	struct str heard, turn;

	if (!other_side)
		return false;
	heard = wire_heard(other_side);
	if (other_side->relay_closed || (heard.n && !turns.n)) {
		hang_up();
		return true;
	}
	if (!heard.n)
		return false;
	check(heard.p[heard.n - 1] == '\n');
	for (size_t i = 0; i < heard.n; i++)
		check(heard.p[i] && heard.p[i] != '\r');
	wire_take(other_side, heard.n);
	turn = take_turn(&turns);
	wire_say(other_side, turn.p, turn.n);
	return true;
}

static void check_text(struct str s, size_t max)
{
	check(s.n <= max);
}

static void converse(void *arg)
{
	const struct endpoint where = { .path = "d" }, client = { .ip = { 4, { 192, 0, 2, 1 } } };
	const struct dovecot_client who = { .remote = &client, .secured = options & 1,
					    .has_certificate = options & 2,
					    .session = STR("s1") };
	enum sasl_mechanism m = SASL_PLAIN + (options >> 2) % (SASL_MECHANISMS_N - 1);
	struct dovecot *d;
	int r = dovecot_open(&where, in_seconds(10), &d);

	(void)arg;
	if (r < 0)
		return;
	r = dovecot_start(d, m, &who, STR("\0u\0p"), options & 128, in_seconds(10));
	for (int i = 0; i < 6 && r == DOVECOT_CONTINUE; i++) {
		check_text(dovecot_out(d), SASL_OCTETS_MAX);
		r = dovecot_continue(d, STR("answer"), in_seconds(10));
	}
	if (r == DOVECOT_OK)
		check(dovecot_user(d).n && sasl_text_is_valid(dovecot_user(d), SASL_NAME_MAX));
	if (r >= 0) {
		check_text(dovecot_reason(d), 512);
		check(!dovecot_user(d).n || sasl_text_is_valid(dovecot_user(d), SASL_NAME_MAX));
	}
	if (options & 128 && !(options & 1))	/* clear text is not for connections like this */
		check(r < 0 || !dovecot_is_plain_text(d, m));
	dovecot_close(d);
}

static void dovecot(struct str in)
{
	options = in.n ? (unsigned char)in.p[0] : 0;
	turns = str_from(in, 1);
	world_do(net, converse, NULL, true);
	for (int i = 0; i < 100 && world_pass(60 * SECOND); i++)
		;
	hang_up();
	world_settle();
}

/* ---- a token server's answer */

static void introspection(struct str in)
{
	const struct introspect_options some[] = {
		{ .url = STR("https://x/") },
		{ .url = STR("https://x/"), .scope = STR("mail"), .claim = STR("name") },
	};

	for (int i = 0; i < 2; i++) {
		struct token_facts f = { .expires_ms = 0 };
		enum token_verdict v = introspect_judge(&some[i], in, 1790000000000, &f);

		check(v == TOKEN_GOOD || v == TOKEN_BAD || v == TOKEN_LATER);
		if (v == TOKEN_GOOD) {
			check(sasl_text_is_valid(str_of(f.user), SASL_NAME_MAX));
			check(!f.expires_ms || f.expires_ms > 1790000000000);
		} else {
			check(f.why[0] && strlen(f.why) < sizeof(f.why));
		}
	}
}

/* ---- the signer: the first octet says how much of the form is right */

static void signing(struct str in)
{
	struct sign_request q = { .number = 7, .operation = KEY_ECDSA, .name_n = 1, .in_n = 32,
				  .name = "k" };
	struct signer_counts counts = { .signed_n = 0 };
	struct sign_answer a;
	unsigned raw = in.n ? (unsigned char)in.p[0] : 0;
	size_t at = raw & 1 ? 0 : raw & 2 ? offsetof(struct sign_request, operation)
					  : offsetof(struct sign_request, in);
	size_t n = raw & 4 ? in.n : sizeof(q);
	bool answered;

	in = str_from(in, 1);
	if (in.n)
		memcpy((char *)&q + at, in.p, in.n < sizeof(q) - at ? in.n : sizeof(q) - at);
	answered = signer_answer(ring, &q, n < sizeof(q) ? n : sizeof(q), &counts, &a);
	check(!answered || n >= sizeof(q));
	if (!answered)
		return;
	check(a.number == q.number && a.result <= KEY_OUTPUT_MAX && !a.reserved);
	check(a.result <= 0 || (q.name_n == 1 && q.name[0] == 'k' && q.operation == KEY_ECDSA));
	check(counts.signed_n + counts.refused_n == 1);
}

static void set_up(void)
{
	struct buf error = BUF_INIT(1024);
	struct made m;
	BIO *b = BIO_new(BIO_s_mem());
	char *p;
	long n;

	world_bend();
	wire_asked = asked;
	world_idle = dovecot_turn;
	net = net_new(world_real(), 1, 0);
	net_start(net);
	m = made_new(NULL, NULL, 100);
	PEM_write_bio_PrivateKey(b, m.key, NULL, NULL, 0, NULL, NULL);
	n = BIO_get_mem_data(b, &p);
	ring = key_ring_new();
	check(key_ring_add(ring, "k", str_make(p, (size_t)n), &error));
	BIO_free(b);
	made_done(&m);
	buf_done(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void (*const backends[])(struct str) = { dovecot, introspection, signing };

	if (!n)
		return 0;
	if (!net)
		set_up();
	backends[data[0] % 3](str_make((const char *)data + 1, n - 1));
	count_input();
	return 0;
}
