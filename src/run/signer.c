/*
 * signer - reads keys, locks itself in, signs; see signer.h.
 *
 * Before the sandbox it parses what the administrator wrote (PEM), afterwards only the fixed form
 * of requests. Each key signs once before the sandbox closes, so that libcrypto has loaded and
 * seeded all that it needs. Private numbers lie in libcrypto's secure heap: locked in memory as far
 * as the limits allow, between guard pages, never in a core file, wiped when freed.
 *
 * One thread and one request after the other, a channel's turn at a time: fair between the loops,
 * and nothing to race for. An answer that finds its channel full waits there, and the channel is
 * not read until it is gone.
 */
#include "run/signer.h"

#include "base/mem.h"
#include "net/loop.h"
#include "run/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEM_MAX (64 * 1024)		/* octets of a key's file */
#define SECURE_HEAP (4 * 1024 * 1024)
#define NOTICE_EVERY (60 * SECOND)

struct channel {
	int fd;				/* -1: closed by its worker */
	bool is_full;			/* .answer waits for room */
	struct sign_answer answer;
};

struct signer {
	struct key_ring *ring;
	struct channel channels[SIGNER_CHANNELS_MAX];
	unsigned n;
	struct sign_request request;
	struct signer_counts counts;
	uint64_t told;			/* of .counts.refused_n */
	uint64_t told_at;
};

static uint64_t now(void)
{
	return world_real()->now(world_real());
}

void signer_start_done(struct signer_start *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		close(s->fds[i]);
		mem_free(s->names[i]);
		mem_free((char *)(uintptr_t)s->publics[i].p);
	}
	s->n = 0;
}

/* ---- one request */
static bool has_form(const struct sign_request *q, size_t n)
{
	return n == sizeof(*q) && q->name_n > 0 && q->name_n <= KEY_NAME_MAX &&
	       q->in_n <= KEY_INPUT_MAX && q->name[q->name_n] == '\0' &&
	       memchr(q->name, '\0', q->name_n) == NULL;
}

static void count(struct signer_counts *c, bool was_signed)
{
	uint64_t second = now() / SECOND;

	if (second != c->second) {
		c->second = second;
		c->in_second = 0;
	}
	if (++c->in_second > c->peak)
		c->peak = c->in_second;
	if (was_signed)
		c->signed_n++;
	else
		c->refused_n++;
}

bool signer_answer(const struct key_ring *r, const void *request, size_t n,
		   struct signer_counts *counts, struct sign_answer *ret)
{
	const struct sign_request *q = request;
	bool fits = has_form(q, n);

	memset(ret, 0, sizeof(*ret));
	if (fits) {
		ret->number = q->number;
		ret->result = (int32_t)key_ring_sign(r, q->name, (enum key_operation)q->operation,
						     str_make((const char *)q->in, q->in_n),
						     ret->out);
	}
	count(counts, fits && ret->result > 0);
	return fits;
}

/* ---- reading keys; nothing of it is left in memory but the keys */
static bool read_key(struct key_ring *ring, const char *name, int fd, struct buf *error)
{
	char *pem = OPENSSL_secure_malloc(PEM_MAX);
	size_t n = 0;
	ssize_t r = -1;
	bool added = false;

	while (pem && n < PEM_MAX && (r = pread(fd, pem + n, PEM_MAX - n, (off_t)n)) > 0)
		n += (size_t)r;
	if (!pem || r != 0)
		buf_printf(error, "cannot read the key %s: %s", name,
			   r < 0 ? strerror(errno) : "the file is too long");
	else if (!(added = key_ring_add(ring, name, str_make(pem, n), error)))
		buf_printf(error, " (key %s)", name);
	OPENSSL_secure_clear_free(pem, PEM_MAX);
	return added;
}

/* The digest of nothing in particular, by whichever operation the key has. */
static void use_once(const struct key_ring *ring, const char *name)
{
	static const enum key_operation all[] = { KEY_ECDSA, KEY_RSA_PKCS1, KEY_ED25519 };
	unsigned char *out = mem_alloc(KEY_OUTPUT_MAX);

	for (int i = 0; i < 3; i++)
		if (key_ring_sign(ring, name, all[i], STR("01234567890123456789012345678901"),
				  out) > 0)
			break;
	mem_free(out);
}

/* A key of another certificate would fail every handshake, and nobody would be told. */
static bool is_of_certificate(const struct key_ring *ring, const char *name, struct str public,
			      struct buf *error)
{
	if (!public.n || key_ring_fits(ring, name, public))
		return true;
	buf_printf(error, "this is not the key of its certificate: %s", name);
	return false;
}

static bool read_keys(struct signer *s, const struct signer_start *start, struct buf *error)
{
	CRYPTO_secure_malloc_init(SECURE_HEAP, 16);
	s->ring = key_ring_new();
	for (unsigned i = 0; i < start->n; i++) {
		if (!read_key(s->ring, start->names[i], start->fds[i], error) ||
		    !is_of_certificate(s->ring, start->names[i], start->publics[i], error))
			return false;
		use_once(s->ring, start->names[i]);
	}
	return true;
}

/* ---- locking in */
static bool is_kept(const struct signer_process *p, int fd)
{
	for (unsigned i = 0; i < p->channels_n; i++)
		if (p->channels[i] == fd)
			return true;
	return fd == 2 || fd == p->status;
}

/* Listening sockets, the link, key files, the signals' descriptor: the fork gave us all of them. */
static void close_others(const struct signer_process *p)
{
	int top = p->status;

	for (unsigned i = 0; i < p->channels_n; i++)
		if (p->channels[i] > top)
			top = p->channels[i];
	for (int fd = 0; fd <= top; fd++)
		if (!is_kept(p, fd))
			close(fd);
	close_range((unsigned)top + 1, ~0u, 0);
}

static bool lock_in(const struct signer_process *p, struct buf *error)
{
	const struct sandbox box = { .kind = SANDBOX_SIGNER };
	struct buf report = BUF_INIT(1024);
	bool done = false;

	sandbox_drop_bounding();
	if (p->uid && (setgroups(1, &p->gid) < 0 || setgid(p->gid) < 0 || setuid(p->uid) < 0))
		buf_printf(error, "the signer cannot change its user: %s", strerror(errno));
	else if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != p->parent)
		buf_printf(error, "the supervisor is gone");
	else if (chdir("/") < 0 || sandbox_enter(&box, &report) < 0)
		buf_printf(error, "the signer %s", report.n ? buf_cstr(&report) : strerror(errno));
	else
		done = true;
	buf_done(&report);
	return done;
}

/* ---- serving */
static void send_answer(struct channel *c)
{
	ssize_t r = send(c->fd, &c->answer, sizeof(c->answer), MSG_DONTWAIT | MSG_NOSIGNAL);

	c->is_full = r < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS);
}

static void serve(struct signer *s, struct channel *c)
{
	/* MSG_TRUNC: longer ones are told by their true length */
	ssize_t n = recv(c->fd, &s->request, sizeof(s->request), MSG_DONTWAIT | MSG_TRUNC);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(c->fd);
		c->fd = -1;
		return;
	}
	if (n > 0 &&
	    signer_answer(s->ring, &s->request, (size_t)n, &s->counts, &c->answer))
		send_answer(c);
}

/* Somebody asks for what a worker never asks for. Once a minute: it must not fill the journal. */
static void tell_refused(struct signer *s)
{
	uint64_t t = now();

	if (s->counts.refused_n == s->told || (s->told_at && t - s->told_at < NOTICE_EVERY))
		return;
	fprintf(stderr, "relevo: the signer refused %llu requests of the worker so far: it may "
			"have been taken over.\n", (unsigned long long)s->counts.refused_n);
	s->told = s->counts.refused_n;
	s->told_at = t;
}

static void serve_all(struct signer *s)
{
	static struct pollfd fds[SIGNER_CHANNELS_MAX];
	unsigned open_n;

	for (;;) {
		open_n = 0;
		for (unsigned i = 0; i < s->n; i++) {
			const struct channel *c = &s->channels[i];

			fds[i].fd = c->fd;
			fds[i].events = c->is_full ? POLLOUT : POLLIN;
			open_n += c->fd >= 0;
		}
		if (!open_n)
			return;
		if (poll(fds, s->n, -1) < 0)
			continue;
		for (unsigned i = 0; i < s->n; i++) {
			if (fds[i].fd >= 0 && fds[i].revents && s->channels[i].is_full)
				send_answer(&s->channels[i]);
			else if (fds[i].fd >= 0 && fds[i].revents)
				serve(s, &s->channels[i]);
		}
		tell_refused(s);
	}
}

void signer_main(const struct signer_process *p)
{
	static struct signer s;
	struct buf error = BUF_INIT(2048);

	prctl(PR_SET_NAME, "relevo-signer");
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	if (!read_keys(&s, p->start, &error) || (close_others(p), !lock_in(p, &error))) {
		(void)!write(p->status, error.p, error.n);
		_exit(1);
	}
	for (s.n = 0; s.n < p->channels_n; s.n++)
		s.channels[s.n].fd = p->channels[s.n];
	(void)!write(p->status, "+", 1);
	close(p->status);
	buf_done(&error);
	serve_all(&s);
	key_ring_free(s.ring);
	_exit(0);
}
