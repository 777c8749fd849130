/*
 * world_real - the real world: the kernel's clock, randomness and names; the table of all the rest.
 *
 * One static table, filled at first use by whichever thread comes first. Time is CLOCK_MONOTONIC,
 * which stands still while the machine is suspended: a laptop that wakes up does not time out
 * everything.
 */
#include "net/world_real.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/random.h>

static uint64_t real_now(struct world *w)
{
	struct timespec t;

	(void)w;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t real_wall_ms(struct world *w)
{
	struct timespec t;

	(void)w;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void real_random(struct world *w, void *p, size_t n)
{
	char *at = p;

	(void)w;
	while (n) {
		ssize_t r = getrandom(at, n, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			perror("getrandom");
			abort();	/* without entropy nothing that follows is safe */
		}
		at += r;
		n -= (size_t)r;
	}
}

static bool has_ip(const struct ip *ips, int n, const struct ip *ip)
{
	for (int i = 0; i < n; i++)
		if (ip_eq(&ips[i], ip))
			return true;
	return false;
}

static int collect(const struct addrinfo *list, struct ip *ret_ips, int max)
{
	struct sockaddr_storage sa;
	struct endpoint e;
	int n = 0;

	for (const struct addrinfo *at = list; at && n < max; at = at->ai_next) {
		if (at->ai_addrlen > sizeof(sa))
			continue;
		memset(&sa, 0, sizeof(sa));
		memcpy(&sa, at->ai_addr, at->ai_addrlen);
		endpoint_from_sockaddr(&e, &sa);
		if (e.ip.family && !has_ip(ret_ips, n, &e.ip))
			ret_ips[n++] = e.ip;
	}
	return n ? n : -ENOENT;
}

/*
 * AI_ADDRCONFIG stays unset: a host without an address of that family yet (boot, a test on the
 * loopback) must not look like a name that does not exist.
 */
static int real_lookup(struct world *w, const char *name, struct ip *ret_ips, int max)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int r = getaddrinfo(name, NULL, &hints, &list);

	(void)w;
	if (r == EAI_NONAME || r == EAI_NODATA)
		return -ENOENT;
	if (r)
		return -EAGAIN;
	r = collect(list, ret_ips, max);
	freeaddrinfo(list);
	return r;
}

static struct world real;

static void fill(void)
{
	real.now = real_now;
	real.wall_ms = real_wall_ms;
	real.random = real_random;
	real.lookup = real_lookup;
	world_fill_actors(&real);
	world_fill_sockets(&real);
	world_fill_pollers(&real);
	world_fill_disk(&real);
}

struct world *world_real(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fill);
	return &real;
}
