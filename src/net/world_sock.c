/*
 * world_sock - the sockets of the real world: thin wrappers that return -errno.
 *
 * TCP_NODELAY is set when a socket is made; an accepted one has it from its listener (Linux copies
 * it), which saves a system call for each connection. We gather what belongs together before we
 * send, so Nagle's algorithm could only delay it.
 */
#include "net/world_real.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static int set_option(int fd, int level, int option)
{
	const int on = 1;

	return errno_or(setsockopt(fd, level, option, &on, sizeof(on)));
}

static int sock_new(const struct endpoint *e)
{
	int family = e->path ? AF_UNIX : e->ip.family == 4 ? AF_INET : AF_INET6;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (family != AF_UNIX)
		set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	if (family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	return fd;
}

static int fail_closing(int fd)
{
	int r = -errno;

	close(fd);
	return r;
}

/* Nobody answers on a socket that a dead process left behind: then it may be removed. */
static bool unix_is_stale(const char *path, const struct sockaddr_storage *sa, socklen_t n)
{
	bool stale;
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)sa, n) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int real_sock_listen(struct world *w, const struct endpoint *e, int backlog)
{
	struct sockaddr_storage sa;
	socklen_t n = endpoint_to_sockaddr(e, &sa);
	int r, fd = sock_new(e);

	(void)w;
	if (fd < 0)
		return fd;
	if (!e->path)
		set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	r = bind(fd, (struct sockaddr *)&sa, n);
	if (r < 0 && errno == EADDRINUSE && e->path && unix_is_stale(e->path, &sa, n)) {
		unlink(e->path);
		r = bind(fd, (struct sockaddr *)&sa, n);
	}
	if (r < 0 || listen(fd, backlog) < 0)
		return fail_closing(fd);
	return fd;
}

/* The peer of a unix socket has no name worth keeping, and a borrowed one would dangle. */
static void peer_from_sockaddr(struct endpoint *ret, const struct sockaddr_storage *sa)
{
	endpoint_from_sockaddr(ret, sa);
	if (ret->path)
		ret->path = "";
}

static int real_sock_accept(struct world *w, int fd, struct endpoint *ret_peer)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	int r;

	(void)w;
	do
		r = accept4(fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	peer_from_sockaddr(ret_peer, &sa);
	return r;
}

static int bind_source(int fd, const struct endpoint *local)
{
	struct sockaddr_storage sa;
	socklen_t n = endpoint_to_sockaddr(local, &sa);

	/* Without it each outgoing connection takes a port of its own, whatever its target. */
	if (!local->path && local->port == 0)
		set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	return errno_or(bind(fd, (struct sockaddr *)&sa, n));
}

static int real_sock_connect(struct world *w, const struct endpoint *local,
			     const struct endpoint *remote)
{
	struct sockaddr_storage sa;
	socklen_t n = endpoint_to_sockaddr(remote, &sa);
	int fd = sock_new(remote);

	(void)w;
	if (fd < 0)
		return fd;
	if (local && bind_source(fd, local) < 0)
		return fail_closing(fd);
	if (connect(fd, (struct sockaddr *)&sa, n) < 0 && errno != EINPROGRESS && errno != EINTR)
		return fail_closing(fd);
	return fd;
}

static int real_sock_error(struct world *w, int fd)
{
	int error = 0;
	socklen_t n = sizeof(error);

	(void)w;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		return -errno;
	return -error;
}

static ssize_t real_sock_recv(struct world *w, int fd, void *p, size_t n)
{
	ssize_t r;

	(void)w;
	do
		r = recv(fd, p, n, 0);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static ssize_t real_sock_send(struct world *w, int fd, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t r;

	(void)w;
	do
		r = n == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
			   : sendmsg(fd, &m, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int real_sock_shutdown(struct world *w, int fd)
{
	(void)w;
	return errno_or(shutdown(fd, SHUT_WR));
}

static int real_sock_local(struct world *w, int fd, struct endpoint *ret)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);

	(void)w;
	if (getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
		return -errno;
	peer_from_sockaddr(ret, &sa);
	return 0;
}

static void real_sock_close(struct world *w, int fd)
{
	(void)w;
	close(fd);
}

void world_fill_sockets(struct world *w)
{
	w->sock_listen = real_sock_listen;
	w->sock_accept = real_sock_accept;
	w->sock_connect = real_sock_connect;
	w->sock_error = real_sock_error;
	w->sock_recv = real_sock_recv;
	w->sock_send = real_sock_send;
	w->sock_shutdown = real_sock_shutdown;
	w->sock_local = real_sock_local;
	w->sock_close = real_sock_close;
}
