/*
 * link - by a SEQPACKET pair; see link.h.
 */
#include "run/link.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr header;		/* for its alignment */
	char space[CMSG_SPACE(sizeof(int))];
};

int link_open(int ret_fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0 ?
		-errno : 0;
}

int link_send(int fd, const struct link_message *m, int pass)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)m, .iov_len = sizeof(*m) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control c = { 0 };

	if (pass >= 0) {
		h.msg_control = &c;
		h.msg_controllen = sizeof(c);
		struct cmsghdr *at = CMSG_FIRSTHDR(&h);
		at->cmsg_level = SOL_SOCKET;
		at->cmsg_type = SCM_RIGHTS;
		at->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(at), &pass, sizeof(int));
	}
	return sendmsg(fd, &h, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int passed_fd(struct msghdr *h)
{
	struct cmsghdr *at = CMSG_FIRSTHDR(h);
	int fd = -1;

	if (at && at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS &&
	    at->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(at), sizeof(int));
	return fd;
}

int link_receive(int fd, struct link_message *ret, int *ret_fd)
{
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	union control c = { 0 };
	/* not CMSG_SPACE, which has room for a second descriptor that nobody would ever close */
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c,
		.msg_controllen = CMSG_LEN(sizeof(int)) };
	ssize_t r;

	do
		r = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : 0;
	*ret_fd = passed_fd(&h);
	ret->path[sizeof(ret->path) - 1] = '\0';
	if (r == sizeof(*ret))
		return 1;
	if (*ret_fd >= 0)
		close(*ret_fd);
	return -EPROTO;
}

void link_from_endpoint(struct link_message *m, const struct endpoint *e)
{
	m->ip = e->ip;
	m->port = e->port;
	str_copy(m->path, sizeof(m->path), str_of(e->path));
}

struct endpoint link_endpoint(const struct link_message *m)
{
	return (struct endpoint){ .ip = m->ip, .port = m->port, .path = m->path[0] ?
		m->path : NULL };
}
