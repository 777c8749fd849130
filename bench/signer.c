/*
 * signer - what it costs that private keys are in another process: signatures per second, and
 * time and CPU of TLS handshakes, by a key in this process and by the signer's.
 *
 *	make build/bench/signer && build/bench/signer
 *
 * One loop plays client and server over a socket pair, one handshake after the other (latency), or
 * 64 at a time (rate). CPU is that of both processes together, as the kernel counted it.
 */
#include "base/mem.h"
#include "net/loop.h"
#include "net/tls.h"
#include "run/signer_client.h"
#include "run/signer_keeper.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNATURES 5000
#define HANDSHAKES 1000

struct bench {
	struct post post;
	sem_t done;
	struct key_signer *signer;
	struct tls_context *server, *client;
	const char *kind;
	unsigned todo, running;
	uint64_t taken_ns;
	void (*one)(struct bench *b);
};

static uint64_t now(void)
{
	return world_real()->now(world_real());
}

static uint64_t cpu_us(int who)
{
	struct rusage u;

	getrusage(who, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* ---- what is measured */
static void sign(struct bench *b) SUSPENDS
{
	unsigned char *out = mem_alloc(KEY_OUTPUT_MAX);
	enum key_operation op = strcmp(b->kind, "RSA") ? KEY_ECDSA : KEY_RSA_PKCS1;

	if (b->signer->sign(b->signer, "key", op, STR("01234567890123456789012345678901"), out) <= 0)
		abort();
	mem_free(out);
}

struct server {
	struct bench *b;
	struct stream *stream;
	bool done;
};

static void serve(void *arg)
{
	struct server *s = arg;

	if (stream_tls_accept(s->stream, s->b->server, in_seconds(30)) < 0)
		abort();
	s->done = true;
}

static void shake_hands(struct bench *b) SUSPENDS
{
	const struct endpoint nobody = { .path = "" };
	const struct tls_wish wish = { .demand = TLS_ANY };
	struct server s = { .b = b };
	struct stream *c;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	s.stream = stream_new(fds[0], &nobody);
	c = stream_new(fds[1], &nobody);
	task_start(NULL, serve, &s, "server");
	if (stream_tls_connect(c, b->client, &wish, in_seconds(30)) < 0)
		abort();
	while (!s.done)
		task_yield();
	stream_free(c);
	stream_free(s.stream);
}

/* ---- runs */
static void worker(void *arg)
{
	struct bench *b = arg;

	while (b->todo) {
		b->todo--;
		b->one(b);
	}
	if (--b->running == 0)
		sem_post(&b->done);
}

static void begin(struct post *p)
{
	struct bench *b = CONTAINER_OF(p, struct bench, post);

	for (unsigned i = 0, n = b->running; i < n; i++)
		if (!task_start(NULL, worker, b, "bench"))
			abort();
}

static void run(struct net *n, struct bench *b, void (*one)(struct bench *), unsigned todo,
		unsigned at_once)
{
	b->one = one;
	b->todo = todo;
	b->running = at_once;
	sem_init(&b->done, 0, 0);
	b->taken_ns = now();
	loop_post(net_loop(n, 0), &b->post, begin);
	while (sem_wait(&b->done) < 0)
		;
	b->taken_ns = now() - b->taken_ns;
	sem_destroy(&b->done);
}

/* ---- keys and certificates */
static struct str pem(const X509 *x, EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_mem());
	struct str copy;
	char *p;
	long n;

	if (x)
		PEM_write_bio_X509(b, (X509 *)(uintptr_t)x);
	else
		PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL);
	n = BIO_get_mem_data(b, &p);
	copy = str_make(mem_dup(p, (size_t)n), (size_t)n);
	BIO_free(b);
	return copy;
}

static void make(const char *kind, struct str *ret_key, struct str *ret_chain)
{
	EVP_PKEY *key = strcmp(kind, "RSA") ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind)
					    : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	X509 *x = X509_new();

	X509_set_version(x, 2);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)"bench", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_sign(x, key, EVP_sha256());
	*ret_key = pem(NULL, key);
	*ret_chain = pem(x, NULL);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void contexts(struct bench *b, struct str chain)
{
	struct buf error = BUF_INIT(1024);
	struct tls_identity *identity = tls_identity_new(chain, "key", b->signer, &error);
	const struct tls_server_options server = { .identities = &identity, .identities_n = 1 };
	const struct tls_client_options client = { .minimum = TLS_1_2 };

	b->server = identity ? tls_server_context(&server, &error) : NULL;
	b->client = tls_client_context(&client, &error);
	if (!b->server || !b->client) {
		fprintf(stderr, "%s\n", buf_cstr(&error));
		exit(1);
	}
	tls_identity_unref(identity);
}

static void report(const char *what, const struct bench *b, const char *where, unsigned n,
		   uint64_t us)
{
	printf("%-7s %-10s %-22s %9.0f/s  %8.1f us each  %8.1f us CPU here\n", b->kind, where, what,
	       n * 1e9 / (double)b->taken_ns, (double)b->taken_ns / 1000 / n, (double)us / n);
}

static void measure(struct net *n, struct bench *b, const char *where)
{
	static const struct {
		const char *what;
		void (*one)(struct bench *);
		unsigned n, at_once;
	} rows[] = {
		{ "signatures, 1 at once", sign, SIGNATURES, 1 },
		{ "signatures, 64 at once", sign, SIGNATURES, 64 },
		{ "handshakes, 1 at once", shake_hands, HANDSHAKES, 1 },
		{ "handshakes, 64 at once", shake_hands, HANDSHAKES, 64 },
	};

	for (int i = 0; i < 4; i++) {
		uint64_t cpu = cpu_us(RUSAGE_SELF);

		run(n, b, rows[i].one, rows[i].n, rows[i].at_once);
		report(rows[i].what, b, where, rows[i].n, cpu_us(RUSAGE_SELF) - cpu);
	}
}

static struct signer_keeper *keep(struct str key)
{
	struct signer_keeper *k = mem_zalloc(sizeof(*k));
	struct signer_start *start = mem_zalloc(sizeof(*start));
	struct buf messages = BUF_INIT(4096);
	char path[] = "/tmp/relevo-bench-XXXXXX";

	start->fds[0] = mkstemp(path);
	unlink(path);
	if (start->fds[0] < 0 || write(start->fds[0], key.p, key.n) != (ssize_t)key.n)
		abort();
	start->names[0] = mem_strdup("key");
	start->n = 1;
	k->loops = 1;
	if (!signer_keeper_use(k, start, &messages)) {
		fprintf(stderr, "%s\n", buf_cstr(&messages));
		exit(1);
	}
	mem_free(start);
	buf_done(&messages);
	return k;
}

static void bench_kind(const char *kind)
{
	struct bench own = { .kind = kind }, other = { .kind = kind };
	struct buf error = BUF_INIT(1024);
	struct key_ring *ring = key_ring_new();
	struct signer_keeper *k;
	struct str key, chain;
	struct net *n;
	pid_t signer;

	make(kind, &key, &chain);
	k = keep(key);
	signer = k->pid;
	key_ring_add(ring, "key", key, &error);
	own.signer = key_ring_signer(ring);
	n = net_new(world_real(), 1, 0);
	other.signer = signer_client_new(n);
	net_start(n);
	signer_client_attach(other.signer, 0, dup(k->channels[0]));
	contexts(&own, chain);
	contexts(&other, chain);
	measure(n, &own, "here");
	measure(n, &other, "signer");
	net_stop(n);
	signer_client_free(other.signer);
	signer_keeper_done(k);
	waitpid(signer, NULL, 0);
	printf("%-7s the signer's CPU: %.1f us per signature\n", kind,
	       (double)cpu_us(RUSAGE_CHILDREN) / (2 * SIGNATURES + 2 * HANDSHAKES));
}

int main(int argc, char **argv)
{
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	bench_kind(argc > 1 ? "RSA" : "P-256");
	return 0;
}
