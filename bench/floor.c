/*
 * floor - the least that a relay must do: a bare epoll responder with the same dialogue and the same sync.
 *
 *	floor LISTEN-PORT SINK-PORT LOG-FILE
 *
 * One thread. It speaks just enough SMTP to smtp-source, appends what arrives to one log, makes one fdatasync for
 * all messages of a turn of the loop before their 250, and sends them on over kept connections in
 * pipelined flights. It checks nothing, parses nothing, forgets everything at exit and cannot bounce: no
 * relay at all, only the price of the system calls. bench/run reports Relevo's CPU as a multiple of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BODY_MAX (1 << 20)
#define OUT_MAX 20
#define OFFER "250-floor.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 8BITMIME\r\n"
#define FLIGHT "MAIL FROM:<bench@client.example>\r\nRCPT TO:<rcpt@dest.example>\r\nDATA\r\n"

struct message {
	struct message *next;
	size_t n;
	char bytes[];
};

enum { IN_COMMAND, IN_DATA, OUT_GREETING, OUT_EHLO, OUT_IDLE, OUT_FLIGHT, OUT_BODY };

struct connection {
	int fd, state, replies;
	size_t n, size;
	char *buffer;
	struct message *message;
	struct connection *next;
};

static int poller, logfd, out_n;
static uint16_t sink_port;
static struct connection listener, *waiting, *idle;
static struct message *ready, **ready_end = &ready;
static char scratch[1 << 16];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static struct connection *add(int fd, int state)
{
	struct connection *c = calloc(1, sizeof(*c));
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->fd = fd;
	c->state = state;
	epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
	return c;
}

static void drop(struct connection *c)
{
	close(c->fd);
	free(c->buffer);
	free(c);
}

static void say(struct connection *c, const char *text, size_t n)
{
	if (send(c->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n && errno != EPIPE && errno != ECONNRESET)
		die("send");
}

#define SAY(c, text) say(c, text, sizeof(text) - 1)

static void dial(void)
{
	struct sockaddr_in to = loopback(sink_port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	add(fd, OUT_GREETING);
	out_n++;
}

static void dispatch(void)
{
	while (ready && (idle || out_n < OUT_MAX)) {
		struct connection *c = idle;

		if (!c) {
			dial();
			return;
		}
		idle = c->next;
		c->message = ready;
		ready = ready->next;
		if (!ready)
			ready_end = &ready;
		c->state = OUT_FLIGHT;
		c->replies = 0;
		SAY(c, FLIGHT);
	}
}

/* One write and one sync for all that ended in this turn, then their replies. */
static void commit(void)
{
	struct iovec iov[256];
	int n = 0;

	if (!waiting)
		return;
	for (struct connection *c = waiting; c; c = c->next) {
		iov[n++] = (struct iovec){ c->message->bytes, c->message->n };
		if (n == 256 || !c->next) {
			if (writev(logfd, iov, n) < 0)
				die("writev");
			n = 0;
		}
	}
	if (fdatasync(logfd))
		die("fdatasync");
	while (waiting) {
		struct connection *c = waiting;

		waiting = c->next;
		*ready_end = c->message;
		ready_end = &c->message->next;
		c->message = NULL;
		SAY(c, "250 2.0.0 queued\r\n");
	}
	dispatch();
}

/* The session in: true when more input is needed. */
static bool step_in(struct connection *c)
{
	char *end;

	if (c->state == IN_DATA) {
		end = c->n >= 5 && !memcmp(c->buffer + c->n - 5, "\r\n.\r\n", 5) ? c->buffer + c->n : NULL;
		if (!end)
			return true;
		c->message = malloc(sizeof(*c->message) + c->n);
		c->message->next = NULL;
		c->message->n = c->n;
		memcpy(c->message->bytes, c->buffer, c->n);
		c->n = 0;
		c->state = IN_COMMAND;
		c->next = waiting;
		waiting = c;
		return true;
	}
	end = memmem(c->buffer, c->n, "\r\n", 2);
	if (!end)
		return true;
	if (!strncasecmp(c->buffer, "EHLO", 4) || !strncasecmp(c->buffer, "HELO", 4)) {
		SAY(c, OFFER);
	} else if (!strncasecmp(c->buffer, "DATA", 4)) {
		SAY(c, "354 go on\r\n");
		c->state = IN_DATA;
	} else if (!strncasecmp(c->buffer, "QUIT", 4)) {
		SAY(c, "221 2.0.0 bye\r\n");
		drop(c);
		return true;
	} else {
		SAY(c, "250 2.1.0 ok\r\n");
	}
	c->n -= (size_t)(end + 2 - c->buffer);
	memmove(c->buffer, end + 2, c->n);
	return c->n == 0;
}

/* The session out: counts final lines of replies. */
static void step_out(struct connection *c)
{
	char *end;

	while ((end = memmem(c->buffer, c->n, "\r\n", 2))) {
		if (c->buffer[3] != '-')
			c->replies++;
		c->n -= (size_t)(end + 2 - c->buffer);
		memmove(c->buffer, end + 2, c->n);
	}
	if (c->state == OUT_GREETING && c->replies == 1) {
		c->state = OUT_EHLO;
		SAY(c, "EHLO floor.example\r\n");
	} else if (c->state == OUT_FLIGHT && c->replies == 3) {
		c->state = OUT_BODY;
		c->replies = 0;
		say(c, c->message->bytes, c->message->n);
	} else if ((c->state == OUT_EHLO && c->replies == 2) || (c->state == OUT_BODY && c->replies == 1)) {
		free(c->message);
		c->message = NULL;
		c->state = OUT_IDLE;
		c->next = idle;
		idle = c;
		dispatch();
	}
}

static void readable(struct connection *c)
{
	ssize_t got = recv(c->fd, scratch, sizeof(scratch), 0);

	if (got <= 0) {
		if (c->state >= OUT_GREETING)
			die("the sink closed");
		drop(c);
		return;
	}
	if (c->n + (size_t)got > c->size) {
		c->size = (c->n + (size_t)got) * 2;
		c->buffer = realloc(c->buffer, c->size < BODY_MAX ? c->size : BODY_MAX * 2);
	}
	memcpy(c->buffer + c->n, scratch, (size_t)got);
	c->n += (size_t)got;
	if (c->state >= OUT_GREETING)
		step_out(c);
	else
		while (!step_in(c))
			;
}

static void accept_all(void)
{
	int fd;

	while ((fd = accept4(listener.fd, NULL, NULL, 0)) >= 0)
		SAY(add(fd, IN_COMMAND), "220 floor.example ESMTP\r\n");
}

int main(int argc, char **argv)
{
	struct epoll_event events[256], e = { .events = EPOLLIN, .data.ptr = &listener };
	struct rlimit limit;
	struct sockaddr_in at;
	int one = 1;

	if (argc != 4) {
		fprintf(stderr, "usage: floor LISTEN-PORT SINK-PORT LOG-FILE\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	sink_port = (uint16_t)strtoul(argv[2], NULL, 10);
	at = loopback((uint16_t)strtoul(argv[1], NULL, 10));
	logfd = open(argv[3], O_CREAT | O_WRONLY | O_APPEND, 0600);
	listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (logfd < 0 || bind(listener.fd, (struct sockaddr *)&at, sizeof(at)) || listen(listener.fd, 4096))
		die("floor");
	poller = epoll_create1(0);
	epoll_ctl(poller, EPOLL_CTL_ADD, listener.fd, &e);
	for (;;) {
		int n = epoll_wait(poller, events, 256, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &listener)
				accept_all();
			else
				readable(events[i].data.ptr);
		}
		commit();
	}
}
