/*
 * rig - what the tests of receive/ share: a service on 127.0.0.1 with a real net and a real spool
 * in a temporary folder, clients that speak from the main thread, and what was received.
 *
 * The schedule is a stub: it keeps what it is given. What is asked about strangers is a stub, too:
 * it answers what a test says, and counts the questions. The world is the real one but for the
 * clock, which a test may put forward, the peer's address, which a test chooses (a stranger's, else
 * everyone here is local), and for the disk, whose writes may be made to fail.
 */
#ifndef UNIT_RECEIVE_RIG_H
#define UNIT_RECEIVE_RIG_H

#include "base/mem.h"
#include "config/config.h"
#include "net/loop.h"
#include "receive/receive.h"
#include "schedule/schedule.h"
#include "spool/spool.h"
#include "policy/strangers.h"
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define STRANGER "192.0.2.7"
#define ANSWER_MS 20000		/* a reply that takes longer is missing */

/* As the tests' configurations begin. The port is the settings'; the socket has its own. */
#define CONFIG_TOP \
	"version 1\nhostname relay.example\n" \
	"route inside {\n\thost 127.0.0.1:9\n}\n" \
	"route other {\n\thost 127.0.0.1:9\n}\n"
#define CONFIG_LISTEN "listen 127.0.0.1:2525\n"
#define CONFIG_RULES \
	"accept from any to address moved@ours.example via other\n" \
	"accept from any to domain ours.example via inside\n" \
	"reject from any to domain refused.example \"not there\"\n"

#define ENVELOPE "MAIL FROM:<a@b.example>\r\nRCPT TO:<u@ours.example>\r\n"

struct rig {
	char folder[64];
	struct world world;
	struct net *net;
	struct spool *spool;
	struct receive *receive;
	struct endpoint settings;	/* the endpoint in the configuration */
	struct endpoint at;		/* where the socket is */
	int fd;
};

/* ---- the world, bent */

static struct ip rig_peer;		/* set before rig_open, or */
static _Atomic bool rig_is_strange;	/* from now on everyone comes from STRANGER */
static _Atomic uint64_t rig_jumped;	/* ns that the clock was put forward */
static _Atomic int rig_write_error;	/* -errno of the writes to disk that fail */
static _Atomic int rig_write_errors;	/* how many of them are still to fail */

static int rig_accept(struct world *w, int fd, struct endpoint *ret)
{
	int r = world_real()->sock_accept(w, fd, ret);

	if (r >= 0 && atomic_load(&rig_is_strange))
		ip_parse(STR(STRANGER), &ret->ip);
	else if (r >= 0 && rig_peer.family)
		ret->ip = rig_peer;
	return r;
}

static uint64_t rig_now(struct world *w)
{
	return world_real()->now(w) + atomic_load(&rig_jumped);
}

static ssize_t rig_pwritev(struct world *w, int fd, const struct iovec *iov, int n, uint64_t offset)
{
	char thread[16] = "";

	/* The keeper makes its files ready at times of its own: its writes take no part. */
	pthread_getname_np(pthread_self(), thread, sizeof(thread));
	if (strcmp(thread, "spool keeper") != 0 && atomic_load(&rig_write_errors) > 0 &&
	    atomic_fetch_sub(&rig_write_errors, 1) > 0)
		return atomic_load(&rig_write_error);
	return world_real()->disk_pwritev(w, fd, iov, n, offset);
}

static inline void rig_fail_writes(int error, int how_many)
{
	atomic_store(&rig_write_error, error);
	atomic_store(&rig_write_errors, how_many);
}

/* ---- the schedule, a stub */

#define RECEIVED_MAX 4096
static struct message *rig_received[RECEIVED_MAX];	/* counted */
static _Atomic unsigned rig_received_n;

void schedule_add(struct schedule *s, struct message *m)
{
	unsigned at = atomic_fetch_add(&rig_received_n, 1);

	(void)s;
	if (at < RECEIVED_MAX)
		rig_received[at] = message_ref(m);
}

/* Who was to be woken since it was emptied: "ROUTE DOMAIN;ROUTE @DOMAIN;". */
static char rig_woken[256];
static _Atomic unsigned rig_waiting;		/* what is told to be waiting there */

unsigned schedule_wake(struct schedule *s, const struct route *r, struct str domain, bool below)
{
	size_t n = strlen(rig_woken);

	(void)s;
	snprintf(rig_woken + n, sizeof(rig_woken) - n, "%.*s %s%.*s;", STR_ARG(r->name),
		 below ? "@" : "", STR_ARG(domain));
	return rig_waiting;
}

/* ---- strangers, a stub: rig_strangers says what is answered */

static struct {
	struct reply connected, message, recipient, logged_in, handshake; /* .code 0: accept */
	unsigned asked_connected, asked_look_up, asked_helo, asked_good, open;
	const char *name;		/* the reverse name that is found */
} rig_strangers;

static void rig_answer(struct decision *ret, const struct reply *reply)
{
	if (!reply->code)
		return;
	ret->verdict = reply->code < 500 ? VERDICT_LATER : VERDICT_REFUSE;
	ret->reply = *reply;
}

void strangers_connected(struct strangers *s, const struct config *c, const struct client *client,
			 struct stranger *x, struct decision *ret)
{
	(void)s, (void)c, (void)client, (void)x;
	*ret = (struct decision){ .verdict = VERDICT_ACCEPT };
	rig_strangers.asked_connected++;
	rig_strangers.open++;
	rig_answer(ret, &rig_strangers.connected);
}

void strangers_disconnected(struct strangers *s, struct stranger *x)
{
	(void)s, (void)x;
	rig_strangers.open--;
}

void strangers_logged_in(struct strangers *s, const struct config *c, const struct client *client,
			 struct stranger *x, struct decision *ret)
{
	(void)s, (void)c, (void)client, (void)x;
	*ret = (struct decision){ .verdict = VERDICT_ACCEPT };
	rig_answer(ret, &rig_strangers.logged_in);
}

void strangers_logged_out(struct strangers *s, struct stranger *x)
{
	(void)s;
	(void)x;
}

void strangers_handshake(struct strangers *s, const struct config *c, const struct client *client,
			 struct decision *ret)
{
	(void)s, (void)c, (void)client;
	*ret = (struct decision){ .verdict = VERDICT_ACCEPT };
	rig_answer(ret, &rig_strangers.handshake);
}

void strangers_look_up(struct strangers *s, const struct config_clients *cc,
		       const struct client *client, struct stranger *x, uint64_t deadline)
{
	(void)s, (void)cc, (void)client, (void)deadline;
	rig_strangers.asked_look_up++;
	if (rig_strangers.name)
		str_copy(x->name, sizeof(x->name), str_of(rig_strangers.name));
}

void strangers_helo(struct strangers *s, const struct config_clients *cc,
		    const struct client *client, struct stranger *x, struct decision *ret)
{
	(void)s, (void)cc, (void)x, (void)ret;
	assert_true(client->helo.n > 0);
	rig_strangers.asked_helo++;
}

void strangers_recipient(struct strangers *s, const struct config *c,
			 const struct config_clients *cc, const struct client *client,
			 struct stranger *x, const struct address *sender,
			 const struct address *recipient, struct decision *ret)
{
	(void)s, (void)c, (void)cc, (void)client, (void)x, (void)sender, (void)recipient;
	rig_answer(ret, &rig_strangers.recipient);
}

void strangers_message(struct strangers *s, const struct config *c, const struct client *client,
		       struct stranger *x, uint64_t size, struct decision *ret)
{
	(void)s, (void)c, (void)client, (void)x, (void)size;
	*ret = (struct decision){ .verdict = VERDICT_ACCEPT };
	rig_answer(ret, &rig_strangers.message);
}

void strangers_good(struct strangers *s, const struct config *c, const struct config_clients *cc,
		    const struct client *client, struct stranger *x, uint64_t size,
		    uint64_t announced)
{
	(void)s, (void)c, (void)cc, (void)client, (void)x, (void)announced;
	assert_true(size > 0);
	rig_strangers.asked_good++;
}

static inline struct message *rig_last(void)
{
	return rig_received_n ? rig_received[rig_received_n - 1] : NULL;
}

static inline void rig_forget(void)
{
	for (unsigned i = 0; i < rig_received_n && i < RECEIVED_MAX; i++)
		message_unref(rig_received[i]);
	rig_received_n = 0;
}

/* ---- a function as a task */

struct rig_call {
	struct post post;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static inline void rig_call_task(void *arg)
{
	struct rig_call *c = arg;

	c->fn(c->arg);
	sem_post(&c->done);
}

static inline void rig_call_post(struct post *p)
{
	struct rig_call *c = CONTAINER_OF(p, struct rig_call, post);

	if (!task_start(NULL, rig_call_task, c, "test"))
		abort();
}

static inline void rig_in_task(struct net *n, void (*fn)(void *arg), void *arg)
{
	struct rig_call c = { .fn = fn, .arg = arg };

	sem_init(&c.done, 0, 0);
	loop_post(net_loop(n, 0), &c.post, rig_call_post);
	while (sem_wait(&c.done) < 0)
		;
	sem_destroy(&c.done);
}

/* ---- stored bytes */

struct rig_read {
	struct spool *spool;
	struct message *message;
	struct buf *out;
	int error;
};

static inline void rig_read_task(void *arg)
{
	struct rig_read *r = arg;
	struct content_reader reader;
	struct str slice;

	r->error = content_reader_open(&reader, r->spool, r->message);
	if (r->error < 0)
		return;
	while ((r->error = content_reader_next(&reader, &slice)) == 1)
		buf_add_str(r->out, slice);
	content_reader_close(&reader);
}

/* All octets of a message, as the spool gives them. */
static inline void rig_read(struct rig *g, struct message *m, struct buf *out)
{
	struct rig_read r = { g->spool, m, out, 0 };

	buf_clear(out);
	rig_in_task(g->net, rig_read_task, &r);
	assert_int_equal(r.error, 0);
}

/* What came in, without what the relay put before it. */
static inline struct str rig_body(const struct message *m, const struct buf *all)
{
	struct content *c = message_content((struct message *)m);
	size_t head = 0;

	if (c) {
		head = content_head(c).n;
		content_unref(c);
	}
	return str_from(buf_str(all), head);
}

/* ---- up and down */

static inline struct config *rig_config(const char *folder, const char *text)
{
	char path[128];
	struct buf messages = BUF_INIT(64 * 1024);
	unsigned errors = 0, warnings = 0;
	struct config *c;
	FILE *f;

	snprintf(path, sizeof(path), "%s/relevo.conf", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	c = config_load(path, true, &messages, &errors, &warnings);
	if (!c)
		print_error("%s", buf_cstr(&messages));
	assert_non_null(c);
	buf_done(&messages);
	return c;
}

static inline void rig_open_spool(struct rig *g, spool_found *found, void *arg)
{
	char path[128];
	struct spool_options o = {
		.path = path,
		.arriving_memory_max = 64 * 1024 * 1024,
		.waiting_memory_max = 64 * 1024 * 1024,
		.segment_size = 4 * 1024 * 1024,
	};
	struct spool_recovery recovery;
	struct buf error = BUF_INIT(4096);

	snprintf(path, sizeof(path), "%s/spool", g->folder);
	if (spool_open(g->net, &o, found, arg, &g->spool, &recovery, &error) < 0)
		fail_msg("%s", buf_cstr(&error));
	buf_done(&error);
}

static inline void rig_found_none(void *arg, struct message *m)
{
	(void)arg;
	(void)m;
}

/* A test's changes of the snapshot, before it is in force; NULL: none. */
static void (*rig_bend)(struct rig *g, struct config *c);
/* Whom sessions ask; set before rig_open. */
static struct receive_helpers rig_helpers;

/* config: the text behind CONFIG_TOP. */
static inline void rig_open(struct rig *g, const char *config, unsigned workers)
{
	struct endpoint free_port = { 0 };
	struct config *made;
	char text[8192];

	memset(g, 0, sizeof(*g));
	rig_peer = (struct ip){ 0 };
	atomic_store(&rig_is_strange, false);
	rig_write_errors = 0;
	snprintf(g->folder, sizeof(g->folder), "/tmp/relevo-receive-XXXXXX");
	assert_non_null(mkdtemp(g->folder));
	snprintf(text, sizeof(text), "%sstate %s\n%s", CONFIG_TOP, g->folder, config);
	made = rig_config(g->folder, text);
	if (rig_bend)
		rig_bend(g, made);
	config_set_current(made);
	g->world = *world_real();
	g->world.now = rig_now;
	g->world.sock_accept = rig_accept;
	g->world.disk_pwritev = rig_pwritev;
	g->net = net_new(&g->world, workers, 2);
	net_start(g->net);
	rig_open_spool(g, rig_found_none, NULL);
	g->receive = receive_new(g->net, g->spool, NULL);
	receive_help(g->receive, &rig_helpers);
	assert_true(endpoint_parse(STR("127.0.0.1:2525"), 0, &g->settings));
	assert_true(ip_parse(STR("127.0.0.1"), &free_port.ip));
	g->fd = g->world.sock_listen(&g->world, &free_port, 1024);
	assert_true(g->fd >= 0);
	assert_int_equal(g->world.sock_local(&g->world, g->fd, &g->at), 0);
	assert_int_equal(receive_listen(g->receive, g->fd, &g->settings), 0);
}

static inline int rig_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* The service ends; net and spool stay, for a look at what was stored. */
static inline void rig_stop(struct rig *g)
{
	if (!g->receive)
		return;
	receive_stop(g->receive, 0);
	assert_int_equal(receive_sessions(g->receive), 0);
	receive_free(g->receive);
	g->receive = NULL;
	close(g->fd);
}

static inline void rig_close(struct rig *g)
{
	rig_stop(g);
	rig_forget();
	spool_close(g->spool);
	net_stop(g->net);
	config_set_current(NULL);
	nftw(g->folder, rig_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- clients: blocking sockets on the main thread or a thread of the test's own */

struct client_end {
	int fd;
	SSL *ssl;			/* owned; NULL: plain */
	char in[16384];
	size_t in_n;
	bool ended;
};

static inline void client_open(struct client_end *c, const struct rig *g)
{
	struct sockaddr_storage sa;
	socklen_t n = endpoint_to_sockaddr(&g->at, &sa);
	int one = 1;

	c->in_n = 0;
	c->ssl = NULL;
	c->ended = false;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, n), 0);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static inline void client_close(struct client_end *c)
{
	SSL_free(c->ssl);
	close(c->fd);
	c->fd = -1;
}

/* False: the relay has closed. */
static inline bool client_send(struct client_end *c, struct str s)
{
	while (s.n) {
		ssize_t r = c->ssl ? SSL_write(c->ssl, s.p, (int)s.n)
				   : send(c->fd, s.p, s.n, MSG_NOSIGNAL);

		if (r < 0 || (c->ssl && r == 0))
			return false;
		s = str_from(s, (size_t)r);
	}
	return true;
}

static inline bool client_receive(struct client_end *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	ssize_t r;

	if (c->ended || (!(c->ssl && SSL_pending(c->ssl)) && poll(&p, 1, ANSWER_MS) != 1))
		return false;
	r = c->ssl ? SSL_read(c->ssl, c->in + c->in_n, (int)(sizeof(c->in) - c->in_n))
		   : recv(c->fd, c->in + c->in_n, sizeof(c->in) - c->in_n, 0);
	if (r <= 0) {
		c->ended = true;
		return false;
	}
	c->in_n += (size_t)r;
	return true;
}

/* One line into out, without its CRLF. False: none came. */
static inline bool client_line(struct client_end *c, char *out, size_t size)
{
	char *end;
	size_t n;

	while (!(end = memmem(c->in, c->in_n, "\r\n", 2)))
		if (!client_receive(c))
			return false;
	n = (size_t)(end - c->in);
	str_copy(out, size, str_make(c->in, n));
	c->in_n -= n + 2;
	memmove(c->in, end + 2, c->in_n);
	return true;
}

/* The last line of the next reply; "end" when the relay has closed, "none" when nothing came. */
static inline const char *client_reply(struct client_end *c, char *out, size_t size)
{
	do
		if (!client_line(c, out, size))
			return c->ended ? "end" : "none";
	while (out[0] && out[1] && out[2] && out[3] == '-');
	return out;
}

/* Several replies, "250 2.1.0,354,end": each is the beginning of the reply's last line. */
static inline void client_expect(struct client_end *c, const char *what, const char *where)
{
	char line[1024];

	while (*what) {
		size_t n = strcspn(what, ",");
		const char *got = client_reply(c, line, sizeof(line));

		if (strncmp(got, what, n) != 0)
			fail_msg("%s: expected %.*s, got %s", where, (int)n, what, got);
		what += n + (what[n] == ',');
	}
}

#define client_says(c, lines, replies) \
	do { \
		client_send(c, STR(lines)); \
		client_expect(c, replies, lines); \
	} while (0)

#endif
