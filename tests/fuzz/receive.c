/*
 * fuzz receive - whole server sessions: the input is what a client sends, over a socket pair.
 *
 * The first octet chooses into which pieces the rest is cut, and by its two highest bits from where
 * and on which address it comes: a stranger; a client on this machine, who may log in without TLS
 * (as "u", "p"); a proxy that must say PROXY, and may say XCLIENT; a stranger where TLS is offered,
 * for handshakes of all kinds but good ones. Net, spool and schedule are the real
 * ones, on one loop and a spool in memory (/dev/shm); what was received is deleted from the queue
 * after each session, as an operator would, so memory and disk do not grow. The session is started
 * where the listener would start it.
 */
#include "config/config.h"
#include "net/key.h"
#include "net/loop.h"
#include "receive/logins.h"
#include "receive/service.h"
#include "receive/session.h"
#include "schedule/schedule.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <poll.h>
#include <semaphore.h>
#include <unistd.h>

static const char settings[] =
	"version 1\nhostname relay.example\nlog file /dev/null\n"
	"listen 127.0.0.1:2525 { timeout 2s; data_timeout 2s }\n"
	"listen 127.0.0.1:2526 { timeout 2s; data_timeout 2s; login mechanisms plain login "
	"scram-sha-256 }\n"
	"listen 127.0.0.1:2527 { timeout 2s; data_timeout 2s; proxy from 127.0.0.1; "
	"xclient from 127.0.0.1 }\n"
	"listen 127.0.0.1:2528 { timeout 2s; data_timeout 2s }\n"
	"users file users\ntls {\n\tcertificate cert\n\tkey key\n}\n"
	"route inside {\n\thost 127.0.0.1:9\n\tetrn from 127.0.0.0/8 192.0.2.0/24\n}\n"
	"postmaster p@ours.example via inside\n"
	"message {\n\tsize_max 20K\n\trecipients_max 100\n\thops_max 10\n}\n"
	"queue {\n\twarn_after never\n}\n"
	"accept from any to domain ours.example via inside\n";

static char folder[] = "/dev/shm/relevo-fuzz-XXXXXX";
static struct net *net;
static struct spool *spool;
static struct schedule *schedule;
static struct receive *receive;
static struct listening listenings[4];
static const char *const peers[4] = { "192.0.2.7:1", "127.0.0.1:1", "127.0.0.1:1",
				      "192.0.2.7:1" };
static unsigned from;			/* of the session at work: an index of both */
static struct logins *logins;
static sem_t done;

static bool no_slot(void *arg, struct destination *d)
{
	(void)arg;
	(void)d;
	return true;	/* it never asks for a job */
}

static void no_deadline(void *arg, struct job *job)
{
	(void)arg;
	schedule_settled(schedule, job);
}

static void write_file(const char *name, const void *p, size_t n)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		abort();
	close(fd);
}

/* "p", of the least cost that libxcrypt takes for bcrypt. */
static const char users[] =
	"u $2b$04$abcdefghijklmnopqrstuudMegMbPN37MbpdEfAtP66w1z0RBCtLG from *\n";

static void write_pem(const char *name, BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);

	write_file(name, p, (size_t)n);
	BIO_free(b);
}

/* A certificate, and its key for who signs: this process. */
static void make_certificate(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	BIO *certificate = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
	struct key_ring *ring = key_ring_new();
	struct buf error = BUF_INIT(1024);
	X509 *x = X509_new();
	char name[64], *p;
	long n;

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 100 * 86400L);
	X509_set_pubkey(x, key);
	X509_sign(x, key, EVP_sha256());
	PEM_write_bio_X509(certificate, x);
	PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL);
	n = BIO_get_mem_data(secret, &p);
	snprintf(name, sizeof(name), "%s/key", folder);
	if (!key_ring_add(ring, name, str_make(p, (size_t)n), &error))
		abort();
	config_set_signer(key_ring_signer(ring));
	write_pem("cert", certificate);
	write_pem("key", secret);
	X509_free(x);
	EVP_PKEY_free(key);
}

static struct config *load(void)
{
	struct buf messages = BUF_INIT(65536);
	unsigned errors, warnings;
	struct config *c;
	char path[64];

	write_file("conf", settings, sizeof(settings) - 1);
	write_file("users", users, sizeof(users) - 1);
	make_certificate();
	snprintf(path, sizeof(path), "%s/conf", folder);
	c = config_load(path, true, &messages, &errors, &warnings);
	if (!c) {
		fputs(buf_cstr(&messages), stderr);
		abort();
	}
	buf_done(&messages);
	return c;
}

static void found(void *arg, struct message *m)
{
	(void)arg;
	(void)m;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* The threads still run: what they write to is only unlinked. */
static void tidy_up(void)
{
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void set_up(void)
{
	static struct upcalls up = { .slot_start = no_slot, .deadline = no_deadline };
	char path[64];
	struct spool_options o = { .path = path, .arriving_memory_max = 1 << 24,
				   .waiting_memory_max = 1 << 24, .segment_size = 1 << 20 };
	struct spool_recovery recovery;
	struct buf error = BUF_INIT(4096);
	struct config *current;

	if (!mkdtemp(folder) || atexit(tidy_up))
		abort();
	snprintf(path, sizeof(path), "%s/spool", folder);
	current = load();
	config_set_current(current);
	net = net_new(world_real(), 1, 1);
	log_open(net, current);
	net_start(net);
	if (spool_open(net, &o, found, NULL, &spool, &recovery, &error) < 0)
		abort();
	schedule = schedule_new(net, spool, &up, NULL);
	receive = receive_new(net, spool, schedule);
	for (unsigned i = 0; i < 4; i++)
		if (!endpoint_parse(STR("127.0.0.1:2525"), 0, &listenings[i].endpoint))
			abort();
	for (uint16_t i = 0; i < 4; i++)
		listenings[i].endpoint.port += i;
	logins = logins_new(world_real(), current, &error);
	receive_help(receive, &(struct receive_helpers){ .logins = logins });
	sem_init(&done, 0, 0);
}

/* ---- on the loop */

static struct post post;
static int server_end;

static void begin(struct post *p)
{
	struct endpoint peer = { 0 };

	(void)p;
	if (!endpoint_parse(str_of(peers[from]), 0, &peer) ||
	    !session_start(&receive->receptions[0], &listenings[from], server_end, &peer))
		abort();
}

static void delete_one(struct message *m)
{
	struct batch *b = batch_new(spool);
	unsigned busy;

	schedule_remove(schedule, m, &busy);
	for (uint32_t i = 0; i < m->recipients_n; i++) {
		struct outcome o = { .recipient = i, .state = RECIPIENT_DELETED };

		batch_outcomes(b, m, &o, 1);
	}
	if (spool_note(spool, b) < 0)
		abort();
	message_unref(m);
}

#define GATHERED 1024
static struct message *gathered[GATHERED];
static unsigned gathered_n;

static void gather(void *arg, struct message *m)
{
	(void)arg;
	if (gathered_n < GATHERED)
		gathered[gathered_n++] = message_ref(m);
}

static void delete_all(void *arg)
{
	(void)arg;
	spool_each(spool, gather, NULL);
	while (gathered_n)
		delete_one(gathered[--gathered_n]);
	sem_post(&done);
}

static void begin_delete(struct post *p)
{
	(void)p;
	if (!task_start(NULL, delete_all, NULL, "delete"))
		abort();
}

/* ---- the client */

#define HOLD_MS 2	/* what ended in DATA was content, and no reply comes */

/* Up to the end of a DATA line at most: what is behind it would come too early. */
static size_t next_piece(const uint8_t *p, size_t n, size_t piece, bool *ret_hold)
{
	const char data[] = "DATA\r\n";
	const uint8_t *at = memmem(p, n, data, sizeof(data) - 1);
	size_t end = at ? (size_t)(at - p) + sizeof(data) - 1 : n;

	*ret_hold = at && end <= piece;
	return end < piece ? end : piece;
}

/* False: the relay has closed. The reply to DATA, the last of its group, is 354 or a refusal. */
static bool read_replies(int fd, bool *hold)
{
	char replies[4096];
	ssize_t r = recv(fd, replies, sizeof(replies), MSG_DONTWAIT);

	if (r > 2) {
		const char *line = memrchr(replies, '\n', (size_t)r - 2);

		*hold &= (line ? line[1] : replies[0]) == '2';
	}
	return r > 0 || (r < 0 && errno == EAGAIN);
}

/* Sends all of it and reads what comes, to the end. */
static void talk(int fd, const uint8_t *p, size_t n, size_t piece)
{
	size_t sent = 0;
	bool hold = false;

	for (;;) {
		bool writes = sent < n && !hold;
		struct pollfd at = { .fd = fd, .events = writes ? POLLIN | POLLOUT : POLLIN };
		ssize_t r;

		if (poll(&at, 1, hold ? HOLD_MS : -1) == 0)
			hold = false;
		if (at.revents & (POLLIN | POLLHUP) && !read_replies(fd, &hold))
			return;
		if (!writes || !(at.revents & POLLOUT))
			continue;
		r = send(fd, p + sent, next_piece(p + sent, n - sent, piece, &hold),
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		sent = r < 0 ? n : sent + (size_t)r;
		if (sent == n)
			shutdown(fd, SHUT_WR);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	int fds[2];

	if (n < 2)
		return 0;
	if (!net)
		set_up();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		abort();
	server_end = fds[1];
	atomic_fetch_add(&receive->live, 1);
	atomic_fetch_add(&receive->receptions[0].sessions_n, 1);
	from = p[0] >> 6;
	atomic_fetch_add(&listenings[from].sessions_n, 1);
	loop_post(net_loop(net, 0), &post, begin);
	talk(fds[0], p + 1, n - 1, p[0] & 63 ? p[0] & 63 : n);
	close(fds[0]);
	while (atomic_load(&receive->live))
		usleep(10);
	loop_post(net_loop(net, 0), &post, begin_delete);
	while (sem_wait(&done) < 0)
		;
	return 0;
}
