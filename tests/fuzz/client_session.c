/*
 * fuzz client_session - whole client sessions against a hostile server: the input is what it says.
 *
 * The first octet chooses the protocol, the kind of content, STARTTLS, and whether octets come one
 * by one; the rest is the server's answers, cut at 0x1e: one is sent when the client has said
 * something, or says nothing any more. Real attempts at two messages, one after the other, over a
 * socket pair for each connection; in the end the server hangs up.
 *
 * Whatever it says: each recipient has one outcome at most, nobody counts as served whose content
 * did not go out whole, what the client says is lines of SMTP, and no text that goes on to logs and
 * notices has more than its bound. (Time-outs of the rig are short, the server never waits long.)
 */
#include "unit/deliver/rig.h"

#include <fcntl.h>
#include <poll.h>

#define HOLD_MS 2	/* of silence: the client waits for more than it got */
#define CONNECTIONS_MAX 4
#define SENT_MAX (256 * 1024)

enum option {
	OPTION_LMTP = 1,
	OPTION_BINARY = 2,
	OPTION_UTF8 = 4,
	OPTION_TLS = 8,
	OPTION_TRICKLE = 16,
	OPTION_LARGE = 32,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* ---- the world: a connection is a socket pair, whose other end goes to the server */

static int handed[2];	/* pipe of descriptors */
static atomic_uint connections;

static int fake_connect(struct world *w, const struct endpoint *local,
			const struct endpoint *remote)
{
	int fds[2];

	(void)w;
	(void)local;
	(void)remote;
	if (atomic_fetch_add(&connections, 1) >= CONNECTIONS_MAX)
		return -ECONNREFUSED;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		abort();
	if (write(handed[1], &fds[1], sizeof(int)) != sizeof(int))
		abort();
	return fds[0];
}

/* ---- the server */

struct server {
	const uint8_t *p;
	size_t n, at;
	bool trickle;
	char *heard;			/* what the client said, in all connections */
	size_t heard_n;
	sem_t *done;
};

static bool is_done(struct server *s)
{
	int value;

	return sem_getvalue(s->done, &value) == 0 && value > 0;
}

/* False: the client has closed. *ret_spoke: it said something. */
static bool hear(struct server *s, int fd, int wait_ms, bool *ret_spoke)
{
	struct pollfd at = { .fd = fd, .events = POLLIN };
	char octets[16384];
	ssize_t r;

	*ret_spoke = false;
	while (poll(&at, 1, wait_ms) > 0) {
		r = recv(fd, octets, sizeof(octets), MSG_DONTWAIT);
		if (r <= 0)
			return r < 0 && errno == EAGAIN;
		*ret_spoke = true;
		if (s->heard_n + (size_t)r < SENT_MAX) {
			memcpy(s->heard + s->heard_n, octets, (size_t)r);
			s->heard_n += (size_t)r;
		}
		wait_ms = 0;
	}
	return true;
}

static void say_next(struct server *s, int fd)
{
	const uint8_t *p = s->p + s->at, *end = memchr(p, 0x1e, s->n - s->at);
	size_t n = end ? (size_t)(end - p) : s->n - s->at, step = s->trickle ? 1 : n;

	for (size_t i = 0; i < n; i += step)
		if (send(fd, p + i, step < n - i ? step : n - i, MSG_NOSIGNAL) < 0)
			break;
	s->at += n + 1;
}

static void serve(struct server *s, int fd)
{
	bool spoke, open = true;

	while (open && s->at < s->n) {
		say_next(s, fd);
		open = hear(s, fd, HOLD_MS, &spoke);
	}
	/* Our side ends; the client's content may still be on its way. */
	shutdown(fd, SHUT_WR);
	while (open && !is_done(s))
		open = hear(s, fd, HOLD_MS, &spoke);
	close(fd);
}

static void serve_all(struct server *s)
{
	struct pollfd at = { .fd = handed[0], .events = POLLIN };
	int fd;

	do {
		while (poll(&at, 1, HOLD_MS) > 0 && read(handed[0], &fd, sizeof(fd)) > 0)
			serve(s, fd);
	} while (!is_done(s));
	while (poll(&at, 1, 0) > 0 && read(handed[0], &fd, sizeof(fd)) > 0)
		close(fd);
}

/* ---- the client */

static void set_up(void)
{
	rig_open();
	rig.world.sock_connect = fake_connect;
	rig.route.connect_timeout_ns = 200 * MILLISECOND;
	rig.route.timeout_ns = 200 * MILLISECOND;
	rig.deliver->dot_timeout_ns = 200 * MILLISECOND;
	rig.route.messages_max = 2;	/* nothing is left in the pool */
	if (pipe2(handed, O_CLOEXEC) < 0)
		abort();
}

static struct mail mail_of(unsigned options)
{
	static char large[100000];
	struct mail m = { .recipients_n = options & OPTION_LARGE ? 90 : 2,
			  .content = STR(RIG_CONTENT) };

	if (options & OPTION_LARGE) {
		for (size_t i = 0; i < sizeof(large); i++)
			large[i] = "a line.\r\n."[i % 10];
		m.content = str_make(large, sizeof(large) - sizeof(large) % 10 - 1);
	}
	if (options & OPTION_BINARY)
		m.envelope.body = BODY_BINARYMIME;
	m.envelope.smtputf8 = options & OPTION_UTF8;
	return m;
}

/* Each attempt at hosts of their own: what is remembered of a host is not what is looked for. */
static void choose_host(unsigned options)
{
	static unsigned n;

	rig_host(0, "127.0.0.1", (uint16_t)(1 + n % 65000));
	rig.hosts[0].endpoint.ip.bytes[2] = (uint8_t)(n / 65000);
	n++;
	rig.route.protocol = options & OPTION_LMTP ? ROUTE_LMTP : ROUTE_SMTP;
	rig.route.tls = options & OPTION_TLS ? TLS_OFFERED : TLS_OFF;
}

static void check(const struct server *s, const struct mail *mail)
{
	unsigned served = 0;
	char *heard = s->heard;

	for (unsigned i = 0; i < mail->recipients_n; i++) {
		const struct kept *k = &rig.kept[i];

		if (!k->known)
			continue;
		served += k->state == RECIPIENT_RELAYED || k->state == RECIPIENT_DELIVERED;
		CHECK(!str_has_control(str_of(k->host)));
	}
	CHECK(strlen(rig.said) < sizeof(rig.said));
	if (served && s->heard_n + 1 < SENT_MAX)
		CHECK(memmem(heard, s->heard_n, "\r\n.\r\n", 5) ||
		      memmem(heard, s->heard_n, " LAST\r\n", 7));
	/* Commands and content that is no binary: CRLF alone ends a line. */
	if (mail->envelope.body == BODY_BINARYMIME || rig.route.tls != TLS_OFF)
		return;
	for (size_t i = 0; i < s->heard_n; i++)
		CHECK(heard[i] != '\n' || (i && heard[i - 1] == '\r'));
}

static void try_both(struct server *s, const struct mail *mail)
{
	struct message *messages[2] = { rig_message(mail), rig_message(mail) };
	struct trying t = { messages, 2 };
	struct run r = { .fn = rig_try_run, .arg = &t, .as_task = true };

	sem_init(&r.done, 0, 0);
	s->done = &r.done;
	loop_post(net_loop(rig.net, 0), &r.post, run_posted);
	serve_all(s);
	while (sem_wait(&r.done) < 0)
		;
	sem_destroy(&r.done);
	check(s, mail);
	message_unref(messages[0]);
	message_unref(messages[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct server s = { .p = data + 1, .n = n ? n - 1 : 0 };
	struct mail mail;

	if (!n || n > 20000)
		return 0;
	if (!rig.net)
		set_up();
	s.trickle = data[0] & OPTION_TRICKLE;
	s.heard = mem_alloc(SENT_MAX);
	mail = mail_of(data[0]);
	choose_host(data[0]);
	atomic_store(&connections, 0);
	try_both(&s, &mail);
	mem_free(s.heard);
	return 0;
}
