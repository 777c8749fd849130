/*
 * run/signer, signer_client, signer_keeper: questions of every form, a real signer in a process of
 * its own behind the client, its death, its channels, and keys that cannot be read.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "run/signer.h"
#include "run/signer_client.h"
#include "run/signer_keeper.h"
#include "unit/net/run.h"

#include "base/mem.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <signal.h>
#include <sys/wait.h>

#define DIGEST STR("01234567890123456789012345678901")
#define MANY 400		/* tasks; a channel holds fewer questions */
#define ROUNDS 5

static struct str new_key(const char *kind)
{
	EVP_PKEY *key = !strcmp(kind, "RSA") ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
					     : EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
	BIO *b = BIO_new(BIO_s_mem());
	char *p, *copy;
	long n;

	CHECK(key && PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL));
	n = BIO_get_mem_data(b, &p);
	copy = mem_dup(p, (size_t)n);
	BIO_free(b);
	EVP_PKEY_free(key);
	return str_make(copy, (size_t)n);
}

/* What TLS has signed by RSA: a digest, padded by PSS on the asking side. */
static void pad(const EVP_MD *hash, int salt, struct str pem, unsigned char block[256])
{
	unsigned char digest[64] = { 1 };
	BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	RSA *rsa = EVP_PKEY_get1_RSA(key);

	CHECK(RSA_padding_add_PKCS1_PSS_mgf1(rsa, block, digest, hash, hash, salt) == 1);
	RSA_free(rsa);
	EVP_PKEY_free(key);
	BIO_free(b);
}

static void free_str(struct str s)
{
	mem_free((void *)(uintptr_t)s.p);
}

static void start_add(struct signer_start *s, const char *name, struct str text)
{
	char path[] = "/tmp/relevo-unit-key-XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	unlink(path);
	CHECK_EQ(write(fd, text.p, text.n), text.n);
	s->fds[s->n] = fd;
	s->names[s->n++] = mem_strdup(name);
}

/* The key "ec", for a certificate with the public half of whose; takes whose. */
static void start_add_for(struct signer_start *s, struct str key, struct str whose)
{
	BIO *b = BIO_new_mem_buf(whose.p, (int)whose.n);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(k, &der);

	CHECK(n > 0);
	s->publics[s->n] = str_make(mem_dup(der, (size_t)n), (size_t)n);
	start_add(s, "ec", key);
	OPENSSL_free(der);
	EVP_PKEY_free(k);
	BIO_free(b);
	free_str(whose);
}

/* ---- forms */
struct form {
	const char *what;
	size_t n;
	uint32_t operation;
	uint16_t name_n, in_n;
	const char *name;
	bool is_answered;
	int result;	/* 1: a signature */
};

#define WHOLE sizeof(struct sign_request)

static const struct form forms[] = {
	{ "a digest", WHOLE, KEY_ECDSA, 2, 32, "ec", true, 1 },
	{ "unknown key", WHOLE, KEY_ECDSA, 4, 32, "none", true, -ENOENT },
	{ "wrong operation", WHOLE, KEY_RSA_RAW, 2, 32, "ec", true, -EINVAL },
	{ "no operation", WHOLE, 99, 2, 32, "ec", true, -EINVAL },
	{ "too short", WHOLE - 1, KEY_ECDSA, 2, 32, "ec", false, 0 },
	{ "too long", WHOLE + 1, KEY_ECDSA, 2, 32, "ec", false, 0 },
	{ "empty", 0, KEY_ECDSA, 2, 32, "ec", false, 0 },
	{ "no name", WHOLE, KEY_ECDSA, 0, 32, "", false, 0 },
	{ "name too long", WHOLE, KEY_ECDSA, KEY_NAME_MAX + 1, 32, "ec", false, 0 },
	{ "a NUL within the name", WHOLE, KEY_ECDSA, 5, 32, "ec", false, 0 },
	{ "name without an end", WHOLE, KEY_ECDSA, 1, 32, "ec", false, 0 },
	{ "input too long", WHOLE, KEY_ECDSA, 2, KEY_INPUT_MAX + 1, "ec", false, 0 },
	{ "no input", WHOLE, KEY_ECDSA, 2, 0, "ec", true, 1 },
};

static void test_forms(void **state)
{
	struct key_ring *ring = key_ring_new();
	struct sign_request *q = mem_zalloc(sizeof(*q) + 1);
	struct sign_answer *a = mem_zalloc(sizeof(*a));
	struct signer_counts counts = { 0 };
	struct buf error = BUF_INIT(1024);
	struct str pem = new_key("P-256");
	unsigned good = 0;

	(void)state;
	assert_true(key_ring_add(ring, "ec", pem, &error));
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];
		bool answered;

		memset(q, 0, sizeof(*q));
		q->number = 1000 + i;
		q->operation = f->operation;
		q->name_n = f->name_n;
		q->in_n = f->in_n;
		memcpy(q->name, f->name, strlen(f->name));
		answered = signer_answer(ring, q, f->n, &counts, a);
		if (answered != f->is_answered ||
		    (answered && (a->number != q->number || (f->result == 1 ? a->result <= 0
								 : a->result != f->result))))
			fail_msg("%s: %d %d", f->what, answered, a->result);
		good += f->result == 1;
	}
	assert_int_equal(counts.signed_n, good);
	assert_int_equal(counts.refused_n, sizeof(forms) / sizeof(forms[0]) - good);
	assert_true(counts.peak > 0);
	free_str(pem);
	mem_free(q);
	mem_free(a);
	buf_done(&error);
	key_ring_free(ring);
}

/* ---- with a process */
struct rig {
	struct signer_keeper *keeper;
	struct key_signer *client;
	struct str ec, rsa;
	pid_t first;
	unsigned left;			/* tasks */
	unsigned answered[ROUNDS];	/* how many have had that many answers, or more */
};

static bool verifies(struct str pem, const unsigned char *sig, size_t n)
{
	BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	bool ok = EVP_PKEY_verify_init(c) > 0 &&
		  EVP_PKEY_verify(c, sig, n, (const unsigned char *)DIGEST.p, DIGEST.n) > 0;

	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(key);
	BIO_free(b);
	return ok;
}

static void sign_once(struct rig *r, const char *name, enum key_operation op)
{
	unsigned char *out = mem_zalloc(KEY_OUTPUT_MAX);
	ssize_t n = r->client->sign(r->client, name, op, DIGEST, out);

	CHECK(n > 0);
	CHECK(verifies(op == KEY_ECDSA ? r->ec : r->rsa, out, (size_t)n));
	mem_free(out);
}

/* Nobody is answered twice more than another: each keeps its turn, however long the line. */
static void one_of_many(void *arg)
{
	struct rig *r = arg;

	for (int i = 0; i < ROUNDS; i++) {
		sign_once(r, "ec", KEY_ECDSA);
		r->answered[i]++;
		CHECK(i < 2 || r->answered[i - 2] == MANY);
	}
	r->left--;
}

static void sign_padded(struct rig *r)
{
	unsigned char *out = mem_zalloc(KEY_OUTPUT_MAX), block[256];

	pad(EVP_sha256(), RSA_PSS_SALTLEN_DIGEST, r->rsa, block);
	CHECK_EQ(r->client->sign(r->client, "rsa", KEY_RSA_RAW,
				 str_make((char *)block, sizeof(block)), out), 256);
	mem_free(out);
}

/* More questions at once than the channel holds. */
static void ask_many(void *arg)
{
	struct rig *r = arg;

	sign_once(r, "ec", KEY_ECDSA);
	sign_once(r, "rsa", KEY_RSA_PKCS1);
	sign_padded(r);
	r->left = MANY;
	memset(r->answered, 0, sizeof(r->answered));
	for (unsigned i = 0; i < MANY; i++)
		CHECK(task_start(NULL, one_of_many, r, "one of many"));
	while (r->left)
		task_sleep_until(in_ms(5));
}

static void ask_wrong(void *arg)
{
	struct rig *r = arg;
	unsigned char *out = mem_alloc(KEY_OUTPUT_MAX);
	char long_name[KEY_NAME_MAX + 2];

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	CHECK_EQ(r->client->sign(r->client, "none", KEY_ECDSA, DIGEST, out), -ENOENT);
	CHECK_EQ(r->client->sign(r->client, "ec", KEY_RSA_RAW, DIGEST, out), -EINVAL);
	CHECK_EQ(r->client->sign(r->client, long_name, KEY_ECDSA, DIGEST, out), -EINVAL);
	CHECK_EQ(r->client->sign(r->client, "", KEY_ECDSA, DIGEST, out), -EINVAL);
	sign_once(r, "ec", KEY_ECDSA);
	mem_free(out);
}

/* It is stopped first, so the question is surely out when it dies. */
static void ask_while_it_dies(void *arg)
{
	struct rig *r = arg;

	sign_once(r, "ec", KEY_ECDSA);
}

static void ask_nobody(void *arg)
{
	struct rig *r = arg;
	unsigned char *out = mem_alloc(KEY_OUTPUT_MAX);
	uint64_t begin = loop_now();

	CHECK_EQ(r->client->sign(r->client, "ec", KEY_ECDSA, DIGEST, out), -EIO);
	CHECK(loop_now() - begin >= 4 * SECOND);
	mem_free(out);
}

static void attach(struct rig *r)
{
	for (unsigned i = 0; i < r->keeper->loops; i++)
		signer_client_attach(r->client, i, dup(r->keeper->channels[i]));
}

static int wait_dead(pid_t pid)
{
	int status = 0;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void rig_init(struct rig *r, struct net *n)
{
	struct buf messages = BUF_INIT(4096);
	struct signer_start *start = mem_zalloc(sizeof(*start));

	*r = (struct rig){ .client = signer_client_new(n) };
	r->keeper = mem_zalloc(sizeof(*r->keeper));
	r->keeper->loops = net_workers(n);
	r->ec = new_key("P-256");
	r->rsa = new_key("RSA");
	start_add(start, "ec", r->ec);
	start_add(start, "rsa", r->rsa);
	if (!signer_keeper_use(r->keeper, start, &messages))
		fail_msg("%s", buf_cstr(&messages));
	assert_int_equal(start->n, 0);
	assert_int_equal(r->keeper->start.n, 2);
	assert_true(signer_keeper_has(r->keeper, r->keeper->pid));
	r->first = r->keeper->pid;
	mem_free(start);
	buf_done(&messages);
}

/* The keeper ends the one that it replaces, and the last. */
static void check_ended(pid_t pid)
{
	int status = wait_dead(pid);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void rig_done(struct rig *r)
{
	pid_t pid = r->keeper->pid;

	signer_client_free(r->client);
	signer_keeper_done(r->keeper);
	check_ended(pid);
	mem_free(r->keeper);
	free_str(r->ec);
	free_str(r->rsa);
}

static uint64_t slow_now(struct world *w)
{
	return world_real()->now(w) / 10;
}

/* How long an answer takes is the machine's affair here: time goes slowly. */
static void test_process(void **state)
{
	struct world slow = *world_real();
	struct net *n;
	struct rig r;

	(void)state;
	slow.now = slow_now;
	n = net_new(&slow, 2, 0);
	rig_init(&r, n);
	net_start(n);
	attach(&r);
	run_on(net_loop(n, 0), ask_many, &r, true);
	run_on(net_loop(n, 1), ask_many, &r, true);
	run_on(net_loop(n, 1), ask_wrong, &r, true);
	net_stop(n);
	rig_done(&r);
}

/*
 * The raw operation would decrypt what others have encrypted to the key: it takes what is padded
 * for a signature in TLS, and nothing else.
 */
static void test_raw(void **state)
{
	const EVP_MD *hashes[] = { EVP_sha256(), EVP_sha384(), EVP_sha512() };
	struct key_ring *ring = key_ring_new();
	struct buf error = BUF_INIT(1024);
	struct str pem = new_key("RSA");
	unsigned char block[256], out[KEY_OUTPUT_MAX];
	const struct str raw = { (char *)block, sizeof(block) };

	(void)state;
	assert_true(key_ring_add(ring, "rsa", pem, &error));
	for (int i = 0; i < 3; i++) {
		pad(hashes[i], RSA_PSS_SALTLEN_DIGEST, pem, block);
		assert_int_equal(key_ring_sign(ring, "rsa", KEY_RSA_RAW, raw, out), 256);
		for (int at = 0; at < 256; at++) {
			block[at] ^= 1;
			if (key_ring_sign(ring, "rsa", KEY_RSA_RAW, raw, out) > 0)
				assert_in_range(at, 256 - 65 - 64, 254); /* salt and hash */
			block[at] ^= 1;
		}
		assert_int_equal(key_ring_sign(ring, "rsa", KEY_RSA_RAW, str_from(raw, 1), out),
				 -EINVAL);
		pad(hashes[i], 20, pem, block);
		assert_int_equal(key_ring_sign(ring, "rsa", KEY_RSA_RAW, raw, out), -EINVAL);
	}
	memset(block, 0, sizeof(block));
	memcpy(block, "\0\2", 2);	/* a ciphertext looks like any number below the modulus */
	assert_int_equal(key_ring_sign(ring, "rsa", KEY_RSA_RAW, raw, out), -EINVAL);
	free_str(pem);
	buf_done(&error);
	key_ring_free(ring);
}

struct question {
	struct loop *loop;
	struct rig *rig;
};

static void *ask_meanwhile(void *arg)
{
	struct question *q = arg;

	run_on(q->loop, ask_while_it_dies, q->rig, true);
	return NULL;
}

/* By the main thread: a signer dies with the thread that has started it. */
static void die_and_restart(struct rig *r)
{
	usleep(200 * 1000);
	kill(r->first, SIGKILL);
	signer_keeper_died(r->keeper, wait_dead(r->first));
	assert_true(signer_keeper_restart(r->keeper));	/* the first time at once */
	attach(r);
}

static void test_death(void **state)
{
	struct net *n = net_new(world_real(), 1, 0);
	struct question question;
	pthread_t thread;
	struct rig r;

	(void)state;
	rig_init(&r, n);
	net_start(n);
	attach(&r);
	kill(r.first, SIGSTOP);
	question = (struct question){ net_loop(n, 0), &r };
	pthread_create(&thread, NULL, ask_meanwhile, &question);
	die_and_restart(&r);
	pthread_join(thread, NULL);
	assert_int_not_equal(r.keeper->pid, r.first);
	/* and a second death soon after is not mended at once */
	kill(r.keeper->pid, SIGKILL);
	signer_keeper_died(r.keeper, wait_dead(r.keeper->pid));
	assert_false(signer_keeper_restart(r.keeper));
	assert_true(r.keeper->restart_at > 0);
	run_on(net_loop(n, 0), ask_nobody, &r, true);
	r.keeper->restart_at = 1;
	assert_true(signer_keeper_restart(r.keeper));
	net_stop(n);
	rig_done(&r);
}

/* New keys: a new process; keys that do not parse: the old one stays. */
static void test_new_keys(void **state)
{
	struct net *n = net_new(world_real(), 1, 0);
	struct signer_start *start = mem_zalloc(sizeof(*start));
	struct buf messages = BUF_INIT(4096);
	struct rig r;

	(void)state;
	rig_init(&r, n);
	net_start(n);
	attach(&r);
	start_add(start, "ec", STR("no key at all"));
	assert_false(signer_keeper_use(r.keeper, start, &messages));
	assert_true(str_search(buf_str(&messages),
			       STR("no private key in PEM was found (key ec)")) >= 0);
	assert_int_equal(r.keeper->pid, r.first);
	run_on(net_loop(n, 0), ask_while_it_dies, &r, true);
	free_str(r.ec);
	r.ec = new_key("P-256");
	start_add_for(start, r.ec, new_key("P-256"));
	buf_clear(&messages);
	assert_false(signer_keeper_use(r.keeper, start, &messages));
	assert_true(str_search(buf_str(&messages),
			       STR("this is not the key of its certificate: ec")) >= 0);
	assert_int_equal(r.keeper->pid, r.first);
	start_add_for(start, r.ec, str_make(mem_dup(r.ec.p, r.ec.n), r.ec.n));
	assert_true(signer_keeper_use(r.keeper, start, &messages));
	attach(&r);
	run_on(net_loop(n, 0), ask_while_it_dies, &r, true);
	check_ended(r.first);
	net_stop(n);
	rig_done(&r);
	mem_free(start);
	buf_done(&messages);
}

static void test_no_keys(void **state)
{
	struct signer_keeper *k = mem_zalloc(sizeof(*k));
	struct signer_start *start = mem_zalloc(sizeof(*start));
	struct buf messages = BUF_INIT(4096);

	(void)state;
	k->loops = 4;
	assert_true(signer_keys_collect(NULL, start, &messages));
	assert_true(signer_keeper_use(k, start, &messages));
	assert_int_equal(k->pid, 0);
	assert_false(signer_keeper_restart(k));
	signer_keeper_done(k);
	mem_free(k);
	mem_free(start);
	buf_done(&messages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_death),
		cmocka_unit_test(test_new_keys),
		cmocka_unit_test(test_no_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
