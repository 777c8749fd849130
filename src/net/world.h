/*
 * world - everything from outside that the relay depends on: clock, randomness, disk, sockets,
 * threads.
 *
 * One struct of functions. There are two of them: the real one (world_real) and the simulated one
 * (tests/sim), in which whole relays run in one thread from a seed, in virtual time. Production
 * code takes no time, entropy, file or socket from anywhere else; so everything it does can be
 * repeated and every call can be made to fail. Errors are -errno. No function here suspends a task:
 * the loop and the pool build waiting on top.
 *
 * File descriptors are small integers in both worlds, but those of the simulated one mean nothing
 * to the kernel.
 */
#ifndef NET_WORLD_H
#define NET_WORLD_H

#include "net/endpoint.h"

#include <sys/stat.h>
#include <sys/uio.h>

struct world;
struct actor;

/* What an actor's step returns: nanoseconds until it wants to be called again at the latest. */
#define STEP_AGAIN 0		/* at once */
#define STEP_IDLE INT64_MAX	/* when woken */
#define STEP_DONE (-1)		/* never again: the actor ends */

/*
 * Something that runs beside the others: a loop, the committer, a pool thread, the log writer. In
 * the real world an actor is a thread that calls step again and again; in the simulated world all
 * actors are stepped in an order drawn from the seed. A step must not block, except a loop's in
 * poll_wait and whatever does disk I/O.
 */
typedef int64_t actor_step(void *arg);

#define POLL_READ 1		/* readable, or a connection waits, or the peer closed */
#define POLL_WRITE 2		/* writable, or connected */
#define POLL_ERROR 4		/* error or hang-up: reads and writes will tell */
/*
 * The peer has sent its last octet. Comes together with POLL_READ in the event that reports the
 * end: that may be the same edge as for the last data, and a short recv must not hide the end.
 */
#define POLL_END 8

struct poll_event {
	void *tag;
	unsigned events;	/* POLL_* */
};

struct disk_space {
	uint64_t total, free;	/* octets; free: to us, not root's reserve */
	uint64_t inodes_free;	/* UINT64_MAX where the file system does not count */
};

/* For poll_add: a listening socket, level-triggered, in several pollers (EPOLLEXCLUSIVE). */
#define ACCEPT_TAG_SHARED 1

enum dns_status {
	DNS_OK,			/* there are records */
	DNS_NXDOMAIN,		/* no such name */
	DNS_NODATA,		/* the name exists, without records of this type */
	DNS_SERVFAIL,		/* the servers cannot or will not tell, or tell nonsense */
	DNS_TIMEOUT,
	DNS_BOGUS,		/* DNSSEC says: forged or broken; the data is not shown */
	DNS_CANCELLED,
	DNS_INVALID,		/* the name cannot stand in the DNS; nothing was asked */
};

struct dns_record {
	const unsigned char *p;	/* the data as it stands in the packet, names uncompressed */
	uint16_t n;
};

struct dns_query {
	const char *name;	/* ASCII (A-labels), no dot at its end; lives until done */
	uint16_t type;		/* 1 A, 5 CNAME, 12 PTR, 15 MX, 16 TXT, 28 AAAA, 52 TLSA */
	void (*done)(struct dns_query *q);
	/* ---- the answer, when done is called: */
	enum dns_status status;
	bool secure;		/* validated by DNSSEC */
	uint32_t ttl;		/* seconds; of negative answers too, 0 there: without a SOA */
	char canonical[256];	/* where CNAMEs led, or empty */
	const struct dns_record *records;	/* valid until done returns */
	unsigned records_n;
	void *priv;		/* the resolver's own */
};

struct world {
	/* ---- time and chance */
	uint64_t (*now)(struct world *);		/* ns since some start, never backwards */
	int64_t (*wall_ms)(struct world *);		/* ms since 1970, may jump */
	void (*random)(struct world *, void *p, size_t n);

	/* ---- actors: any thread may wake one; a wake during its step makes it step again */
	struct actor *(*actor_start)(struct world *, const char *name, actor_step *step, void *arg);
	void (*actor_wake)(struct world *, struct actor *);
	void (*actor_join)(struct world *, struct actor *); /* waits for its STEP_DONE, frees it */

	/* ---- sockets: non-blocking, close-on-exec, TCP_NODELAY where TCP */
	int (*sock_listen)(struct world *, const struct endpoint *, int backlog);
	int (*sock_accept)(struct world *, int fd, struct endpoint *ret_peer);	/* path "": unix */
	/* local may be NULL. Returns an fd: under way; then POLL_WRITE, then sock_error. */
	int (*sock_connect)(struct world *, const struct endpoint *local,
			    const struct endpoint *remote);
	int (*sock_error)(struct world *, int fd);	/* 0 or -errno of the connect */
	/* 0: the end; -EAGAIN: nothing there */
	ssize_t (*sock_recv)(struct world *, int fd, void *p, size_t n);
	/* never SIGPIPE; -EAGAIN */
	ssize_t (*sock_send)(struct world *, int fd, const struct iovec *iov, int n);
	int (*sock_shutdown)(struct world *, int fd);	/* our side: no more will be sent */
	int (*sock_local)(struct world *, int fd, struct endpoint *ret);
	void (*sock_close)(struct world *, int fd);

	/*
	 * ---- waiting for sockets: edge-triggered for both directions, registered once. A recv or
	 * send that was shorter than asked for has emptied or filled the socket: the next octet,
	 * or the next room, is an event again (but see POLL_END).
	 */
	int (*poll_open)(struct world *);
	void (*poll_close)(struct world *, int poller);
	int (*poll_add)(struct world *, int poller, int fd, void *tag, unsigned flags);
	void (*poll_remove)(struct world *, int poller, int fd);
	/*
	 * timeout_ns: 0 looks only, STEP_IDLE waits without end. Returns how many events there
	 * are; a wake is one of them, with a NULL tag. 0: the time is up (real), or nothing is
	 * there (simulated: it never blocks, and the loop's step returns the time until its next
	 * timer instead).
	 */
	int (*poll_wait)(struct world *, int poller, struct poll_event *events, int max,
			 int64_t timeout_ns);
	/* Any thread: a poll_wait under way or the next one returns. */
	void (*poll_wake)(struct world *, int poller);

	/* ---- disk: calls may block; paths are relative to dirfd (of a folder, or AT_FDCWD) */
	int (*disk_open)(struct world *, int dirfd, const char *path, int flags, mode_t mode);
	int (*disk_close)(struct world *, int fd);
	ssize_t (*disk_pread)(struct world *, int fd, void *p, size_t n, uint64_t offset);
	ssize_t (*disk_pwritev)(struct world *, int fd, const struct iovec *iov, int n,
				uint64_t offset);
	int (*disk_datasync)(struct world *, int fd);
	int (*disk_sync)(struct world *, int fd);	/* fsync; of a folder too */
	int (*disk_allocate)(struct world *, int fd, uint64_t offset, uint64_t n);
	int (*disk_truncate)(struct world *, int fd, uint64_t n);
	int (*disk_stat)(struct world *, int fd, struct stat *ret);
	int (*disk_rename)(struct world *, int dirfd, const char *from, const char *to);
	int (*disk_unlink)(struct world *, int dirfd, const char *path, bool folder);
	int (*disk_mkdir)(struct world *, int dirfd, const char *path, mode_t mode);
	/*
	 * Names in a folder, "." and ".." left out, in any order: fn returns 0, or what ends the
	 * listing.
	 */
	int (*disk_list)(struct world *, int dirfd, const char *path,
			 int (*fn)(void *arg, const char *name), void *arg);
	int (*disk_space)(struct world *, int dirfd, struct disk_space *ret);
	/* exclusive, for the life of fd; -EWOULDBLOCK if another has it */
	int (*disk_lock)(struct world *, int fd);

	/*
	 * ---- names: the DNS. dns_ask: 0, and then q->done is called exactly once, from any thread
	 * and possibly before dns_ask returns; or -errno, and it is not. dns_cancel hastens an
	 * answer that nobody wants any more (it comes as DNS_CANCELLED); it may be called until
	 * done was, and while done is being called on another thread. Both are set by dns/ in the
	 * real world (unbound.h); NULL: no resolver yet.
	 */
	int (*dns_ask)(struct world *, struct dns_query *q);
	void (*dns_cancel)(struct world *, struct dns_query *q);
	void *dns;				/* whoever set them */
	/*
	 * The addresses of this machine's interfaces, loopback's too; returns how many there are,
	 * which may be more than max.
	 */
	int (*own_ips)(struct world *, struct ip *ret, int max);
};

/*
 * All of iov (which is changed on the way) at that offset, however many calls it takes. 0 or
 * -errno; then some of it may have been written. Blocks.
 */
int world_write(struct world *w, int fd, struct iovec *iov, unsigned n, uint64_t offset);

struct world *world_real(void);		/* the one real world; first use initialises it */

#endif
