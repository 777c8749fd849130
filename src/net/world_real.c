/*
 * world_real - the real world: the kernel's clock, randomness and addresses; the table of the rest.
 *
 * One static table, filled at first use by whichever thread comes first. Time is CLOCK_MONOTONIC,
 * which stands still while the machine is suspended: a laptop that wakes up does not time out
 * everything. dns_ask and dns_cancel stay NULL until dns/ sets them.
 */
#include "net/world_real.h"

#include <ifaddrs.h>
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

/* A point-to-point interface's own address may come more than once. */
static int real_own_ips(struct world *w, struct ip *ret, int max)
{
	struct ifaddrs *list;
	struct sockaddr_storage sa;
	struct endpoint e;
	int n = 0, kept = 0;

	(void)w;
	if (getifaddrs(&list) < 0)
		return -errno;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
		int family = at->ifa_addr ? at->ifa_addr->sa_family : AF_UNSPEC;

		if (family != AF_INET && family != AF_INET6)
			continue;
		memset(&sa, 0, sizeof(sa));
		memcpy(&sa, at->ifa_addr, family == AF_INET ? sizeof(struct sockaddr_in)
							    : sizeof(struct sockaddr_in6));
		endpoint_from_sockaddr(&e, &sa);
		if (has_ip(ret, kept, &e.ip))
			continue;
		if (kept < max)
			ret[kept++] = e.ip;
		n++;
	}
	freeifaddrs(list);
	return n;
}

static struct world real;

static void fill(void)
{
	real.now = real_now;
	real.wall_ms = real_wall_ms;
	real.random = real_random;
	real.own_ips = real_own_ips;
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
