/*
 * peer - a next hop for tests: a thread that listens on loopback and answers as it is told.
 *
 * Each answer is a line or lines without the last CRLF; NULL: what a good server says. "!close"
 * hangs up, "!stall" says nothing until the client hangs up. Everything received is kept.
 *
 * With .tls it speaks TLS: at once (.implicit) or when asked to by STARTTLS, which .ehlo must
 * offer; .ehlo_tls is what it offers then. With .password it takes logins of "user", by any
 * mechanism.
 */
#ifndef UNIT_DELIVER_PEER_H
#define UNIT_DELIVER_PEER_H

#include "unit/unit.h"

#include "base/mem.h"
#include "smtp/base64.h"
#include "smtp/sasl.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PEER_RCPTS 8
#define PEER_LOG (1024 * 1024)
#define HUGE "!huge"

struct peer {
	/* what it says */
	const char *greeting, *ehlo, *helo, *mail, *data, *rset, *quit;
	const char *rcpt[PEER_RCPTS];	/* by number in the transaction */
	const char *dot[PEER_RCPTS];	/* LMTP: for each taken; SMTP: the first */
	const char *early;		/* after a little content, without reading on */
	bool lmtp, trickle;
	bool always_354;		/* DATA is accepted though no recipient was */
	const char *path;		/* listens on a unix socket instead */
	const char *at;			/* address; NULL: 127.0.0.1 */
	uint16_t port;			/* 0: a free one, filled in */
	const char *refuses_from;	/* 554 to clients from there */
	bool once;			/* after the first connection nobody listens any more */
	bool closes_idle;		/* hangs up after each transaction */
	unsigned messages_max;		/* then MAIL gets 421 */
	SSL_CTX *tls;
	bool implicit;
	const char *ehlo_tls;		/* NULL: as .ehlo */
	const char *starttls;		/* what it says to STARTTLS; NULL: 220 */
	bool injects;			/* a second reply right behind it, in the same packet */
	bool no_handshake;		/* hangs up instead */
	const char *password;
	/* what it saw; stable once the client has its last reply */
	char *log;			/* commands, as received */
	size_t log_n;
	char *content;
	size_t content_n;
	_Atomic unsigned connections, transactions, handshakes, logins;
	char sni[256];			/* of the last handshake */
	_Atomic unsigned open, open_max;	/* connections at once */
	char from[64];			/* address of the client that came last */
	_Atomic unsigned writes;	/* recv calls that brought something */
	/* private */
	int listener;
	pthread_t thread;
	_Atomic bool stopping;
};

struct peer_session {
	struct peer *p;
	int fd;
	char in[65536];
	size_t at, n;
	unsigned rcpts, taken, messages;
	bool ended, refused;
	SSL *ssl;
	unsigned char binding[64];
	size_t binding_n;
};

static _Atomic unsigned peers_silent;	/* sessions at a "!stall" */

static inline ssize_t peer_write(struct peer_session *s, const char *p, size_t n)
{
	return s->ssl ? SSL_write(s->ssl, p, (int)n) : send(s->fd, p, n, MSG_NOSIGNAL);
}

static inline bool peer_send(struct peer_session *s, const char *p, size_t n)
{
	size_t step = s->p->trickle ? 1 : n;

	for (size_t at = 0; at < n; at += step) {
		if (peer_write(s, p + at, step) <= 0)
			return false;
		if (s->p->trickle)
			usleep(20);
	}
	return true;
}

static inline bool peer_fill(struct peer_session *s)
{
	ssize_t r;

	memmove(s->in, s->in + s->at, s->n - s->at);
	s->n -= s->at;
	s->at = 0;
	r = s->ssl ? SSL_read(s->ssl, s->in + s->n, (int)(sizeof(s->in) - s->n))
		   : recv(s->fd, s->in + s->n, sizeof(s->in) - s->n, 0);
	if (r <= 0)
		s->ended = true;
	else
		s->n += (size_t)r;
	s->p->writes += r > 0;
	return !s->ended;
}

static inline void peer_stall(struct peer_session *s)
{
	while (peer_fill(s))
		s->at = s->n;
}

/* False: the connection is over. */
static inline bool peer_say(struct peer_session *s, const char *given, const char *otherwise)
{
	const char *text = given ? given : otherwise;
	static char huge[200 * 1024];

	if (!strcmp(text, "!close"))
		return false;
	if (!strcmp(text, "!stall")) {
		peers_silent++;
		peer_stall(s);
		peers_silent--;
		return false;
	}
	if (!strcmp(text, HUGE)) {	/* one line of that many octets */
		memset(huge, 'x', sizeof(huge));
		memcpy(huge, "550 ", 4);
		return peer_send(s, huge, sizeof(huge)) && peer_send(s, "\r\n", 2);
	}
	return peer_send(s, text, strlen(text)) && peer_send(s, "\r\n", 2);
}

/* The next line without its CRLF, NUL-terminated; NULL at the end. */
static inline char *peer_line(struct peer_session *s)
{
	for (;;) {
		char *start = s->in + s->at, *end = memmem(start, s->n - s->at, "\r\n", 2);

		if (end) {
			*end = 0;
			s->at = (size_t)(end + 2 - s->in);
			return start;
		}
		if (!peer_fill(s))
			return NULL;
	}
}

static pthread_mutex_t peer_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void peer_keep(char **to, size_t *n, const char *p, size_t octets)
{
	pthread_mutex_lock(&peer_lock);
	if (!*to)
		*to = calloc(1, PEER_LOG);
	if (*n + octets < PEER_LOG) {
		memcpy(*to + *n, p, octets);
		*n += octets;
	}
	pthread_mutex_unlock(&peer_lock);
}

static inline bool peer_answers(struct peer_session *s)
{
	struct peer *p = s->p;
	unsigned n = p->lmtp ? s->taken : 1;

	p->transactions++;
	s->messages++;
	for (unsigned i = 0; i < n; i++)
		if (!peer_say(s, p->dot[i % PEER_RCPTS], "250 2.0.0 taken"))
			return false;
	s->rcpts = s->taken = 0;
	return !p->closes_idle;
}

static inline bool peer_content(struct peer_session *s)
{
	struct peer *p = s->p;

	if (p->early) {
		if (!peer_fill(s) || !peer_say(s, p->early, ""))
			return false;
		shutdown(s->fd, SHUT_WR);
		peer_stall(s);
		return false;
	}
	for (char *line; (line = peer_line(s));) {
		if (!strcmp(line, "."))
			return peer_answers(s);
		if (*line == '.')
			line++;
		peer_keep(&p->content, &p->content_n, line, strlen(line));
		peer_keep(&p->content, &p->content_n, "\r\n", 2);
	}
	return false;
}

static inline bool peer_chunk(struct peer_session *s, const char *args)
{
	size_t left = strtoull(args, NULL, 10);

	while (left) {
		size_t n = s->n - s->at < left ? s->n - s->at : left;

		peer_keep(&s->p->content, &s->p->content_n, s->in + s->at, n);
		s->at += n;
		left -= n;
		if (left && !peer_fill(s))
			return false;
	}
	return peer_answers(s);
}

static inline bool peer_data(struct peer_session *s)
{
	struct peer *p = s->p;

	if (!s->taken && !p->always_354)
		return peer_say(s, NULL, "554 5.5.1 no valid recipients");
	if (!peer_say(s, p->data, "354 go on"))
		return false;
	return (p->data && p->data[0] != '3') || peer_content(s);
}

static inline bool peer_rcpt(struct peer_session *s)
{
	const char *say = s->p->rcpt[s->rcpts++ % PEER_RCPTS];

	s->taken += !say || *say == '2';
	return peer_say(s, say, "250 2.1.5 yes");
}

static inline bool peer_mail(struct peer_session *s)
{
	s->rcpts = s->taken = 0;
	if (s->p->messages_max && s->messages >= s->p->messages_max) {
		peer_say(s, NULL, "421 4.3.2 enough for now");
		return false;
	}
	return peer_say(s, s->p->mail, "250 2.1.0 yes");
}

/* ---- TLS and logins */

static inline bool peer_handshake(struct peer_session *s)
{
	struct peer *p = s->p;
	const char *name;

	if (p->no_handshake)
		return false;
	s->ssl = SSL_new(p->tls);
	SSL_set_fd(s->ssl, s->fd);
	s->at = s->n = 0;
	if (SSL_accept(s->ssl) <= 0)
		return false;
	name = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
	snprintf(p->sni, sizeof(p->sni), "%s", name ? name : "");
	p->handshakes++;
	if (SSL_export_keying_material(s->ssl, s->binding, 32, "EXPORTER-Channel-Binding", 24,
				       (const unsigned char *)"", 0, 1) > 0)
		s->binding_n = 32;
	return true;
}

static inline bool peer_starttls(struct peer_session *s)
{
	struct peer *p = s->p;

	if (p->injects)
		return peer_send(s, "220 go on\r\n250 injected\r\n", 25);
	if (!peer_say(s, p->starttls, "220 go on"))
		return false;
	return (p->starttls && p->starttls[0] != '2') || peer_handshake(s);
}

/* Sends the machine's words as a challenge; the answer, out of base64; NULL: "*", or the end. */
static inline struct buf *peer_challenge(struct peer_session *s, struct str out, struct buf *in)
{
	struct buf line = BUF_INIT(65536);
	char *answer;

	buf_add_lit(&line, "334 ");
	base64_encode(&line, out.p, out.n);
	answer = peer_say(s, buf_cstr(&line), "") ? peer_line(s) : NULL;
	buf_done(&line);
	buf_clear(in);
	return answer && base64_decode(in, str_of(answer)) ? in : NULL;
}

static inline enum sasl_step peer_judge(struct peer_session *s, struct sasl_server *m,
					enum sasl_step step, bool sha1)
{
	const char *password = s->p->password;
	bool is_user = str_eq(sasl_server_user(m), STR("user"));
	struct scram_secret secret;

	if (step == SASL_WANTS_SECRET) {
		scram_secret_make(&secret, sha1, str_of(password),
				  (const unsigned char *)"saltsalt", 8, 4096);
		return sasl_server_secret(m, &secret, is_user);
	}
	return sasl_server_judge(m, is_user && str_eq(sasl_server_password(m), str_of(password)));
}

static inline bool peer_auth(struct peer_session *s, const char *args)
{
	struct buf in = BUF_INIT(65536);
	struct str rest = str_of(args), word = str_word(&rest), initial = str_word(&rest);
	bool binds = s->p->ehlo_tls && strstr(s->p->ehlo_tls, "-PLUS");	/* as it has offered */
	struct sasl_binding b = { .exporter = { (char *)s->binding, binds ? s->binding_n : 0 } };
	enum sasl_mechanism kind = sasl_mechanism_find(word);
	struct sasl_server *m = sasl_server_new(kind, &b, STR("serversnonce"));
	bool sha1 = kind == SASL_SCRAM_SHA_1 || kind == SASL_SCRAM_SHA_1_PLUS, good;
	enum sasl_step step;

	if (initial.n && !str_eq(initial, STR("=")))
		base64_decode(&in, initial);
	step = sasl_server_step(m, buf_str(&in), initial.n > 0);
	while (step != SASL_DONE && step != SASL_FAILED) {
		if (step != SASL_SEND) {
			step = peer_judge(s, m, step, sha1);
			continue;
		}
		if (!peer_challenge(s, sasl_server_out(m), &in))
			break;
		step = sasl_server_step(m, buf_str(&in), true);
	}
	if ((step == SASL_DONE || step == SASL_FAILED) && sasl_server_out(m).n)
		peer_challenge(s, sasl_server_out(m), &in);
	good = step == SASL_DONE;
	s->p->logins += good;
	sasl_server_free(m);
	buf_done(&in);
	return peer_say(s, NULL, good ? "235 2.7.0 welcome" : "535 5.7.8 who?");
}

static inline bool peer_command(struct peer_session *s, char *line)
{
	struct peer *p = s->p;

	peer_keep(&p->log, &p->log_n, line, strlen(line));
	peer_keep(&p->log, &p->log_n, "\n", 1);
	if (!strncmp(line, "EHLO", 4) || !strncmp(line, "LHLO", 4))
		return peer_say(s, s->ssl && p->ehlo_tls ? p->ehlo_tls : p->ehlo,
				"250-peer.example hello\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
				"250 ENHANCEDSTATUSCODES");
	if (!strncmp(line, "HELO", 4))
		return peer_say(s, p->helo, "250 peer.example");
	if (!strncmp(line, "STARTTLS", 8) && p->tls)
		return peer_starttls(s);
	if (!strncmp(line, "AUTH ", 5) && p->password)
		return peer_auth(s, line + 5);
	if (!strncmp(line, "MAIL", 4))
		return peer_mail(s);
	if (!strncmp(line, "RCPT", 4))
		return peer_rcpt(s);
	if (!strncmp(line, "DATA", 4))
		return peer_data(s);
	if (!strncmp(line, "BDAT", 4))
		return peer_chunk(s, line + 5);
	if (!strncmp(line, "RSET", 4))
		return peer_say(s, p->rset, "250 2.0.0 yes");
	if (!strncmp(line, "QUIT", 4)) {
		peer_say(s, p->quit, "221 2.0.0 bye");
		return false;
	}
	return peer_say(s, NULL, "500 5.5.2 what?");
}

static inline void *peer_session_run(void *arg)
{
	struct peer_session *s = arg;
	const char *greeting = s->refused ? "554 5.7.1 not from there" : s->p->greeting;
	char *line;

	if ((!s->p->implicit || peer_handshake(s)) &&
	    peer_say(s, greeting, "220 peer.example ESMTP"))
		while ((line = peer_line(s)) && peer_command(s, line))
			;
	s->p->open--;
	SSL_free(s->ssl);
	close(s->fd);
	free(s);
	return NULL;
}

static inline void peer_note(struct peer *p, const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
	const void *address = from->ss_family == AF_INET6 ? (const void *)&v6->sin6_addr
							  : (const void *)&v4->sin_addr;
	unsigned open = ++p->open;

	if (open > p->open_max)
		p->open_max = open;
	p->connections++;
	if (from->ss_family == AF_INET || from->ss_family == AF_INET6)
		inet_ntop(from->ss_family, address, p->from, sizeof(p->from));
}

/* One session after the other, unless a client opens several at once. */
static inline void *peer_run(void *arg)
{
	struct peer *p = arg;
	pthread_t threads[256];
	unsigned n = 0;

	for (;;) {
		struct peer_session *s = calloc(1, sizeof(*s));
		struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
		socklen_t from_n = sizeof(from);

		s->p = p;
		s->fd = accept(p->listener, (struct sockaddr *)&from, &from_n);
		if (s->fd < 0 || p->stopping || n == 256) {
			if (s->fd >= 0)
				close(s->fd);
			free(s);
			break;
		}
		peer_note(p, &from);
		if (p->once)
			shutdown(p->listener, SHUT_RDWR);
		s->refused = p->refuses_from && !strcmp(p->refuses_from, p->from);
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		pthread_create(&threads[n++], NULL, peer_session_run, s);
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return NULL;
}

static inline socklen_t peer_address(const struct peer *p, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_un *un = (struct sockaddr_un *)ret;

	memset(ret, 0, sizeof(*ret));
	if (p->path) {
		unlink(p->path);
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof(un->sun_path), "%s", p->path);
		return sizeof(*un);
	}
	if (p->at && strchr(p->at, ':')) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(p->port);
		inet_pton(AF_INET6, p->at, &v6->sin6_addr);
		return sizeof(*v6);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(p->port);
	inet_pton(AF_INET, p->at ? p->at : "127.0.0.1", &v4->sin_addr);
	return sizeof(*v4);
}

/* False: that port is taken there (or there is no such address). */
static inline bool peer_try_start(struct peer *p)
{
	struct sockaddr_storage at;
	socklen_t n = peer_address(p, &at);

	p->listener = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!p->path)
		setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (at.ss_family == AF_INET6)
		setsockopt(p->listener, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int));
	if (bind(p->listener, (struct sockaddr *)&at, n) < 0 || listen(p->listener, 256) < 0 ||
	    getsockname(p->listener, (struct sockaddr *)&at, &n) < 0) {
		close(p->listener);
		return false;
	}
	if (!p->path)	/* at the same offset in both */
		p->port = ntohs(((struct sockaddr_in *)&at)->sin_port);
	pthread_create(&p->thread, NULL, peer_run, p);
	return true;
}

static inline void peer_start(struct peer *p)
{
	if (!peer_try_start(p))
		abort();
}

/* Several at addresses of their own, on one port. */
static inline void peers_start(struct peer *p, unsigned n)
{
	for (int tries = 0; tries < 100; tries++) {
		unsigned at = 0;

		p[0].port = 0;
		while (at < n && (p[at].port = p[0].port, peer_try_start(&p[at])))
			at++;
		if (at == n)
			return;
		while (at--) {
			p[at].stopping = true;
			shutdown(p[at].listener, SHUT_RDWR);
			pthread_join(p[at].thread, NULL);
			close(p[at].listener);
			p[at].stopping = false;
		}
	}
	abort();
}

/* The clients must have hung up. */
static inline void peer_stop(struct peer *p)
{
	p->stopping = true;
	shutdown(p->listener, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	close(p->listener);
}

static inline void peer_forget(struct peer *p)
{
	free(p->log);
	free(p->content);
	p->log = p->content = NULL;
}

#endif
