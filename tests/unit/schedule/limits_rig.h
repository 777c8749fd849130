/*
 * limits_rig - what the tests of limits share: two loops in virtual time (stepped.h); a
 * configuration put together by hand; waiters that note when they were called; the log in a file.
 */
#ifndef UNIT_SCHEDULE_LIMITS_RIG_H
#define UNIT_SCHEDULE_LIMITS_RIG_H

#include "unit/net/stepped.h"

#include "base/mem.h"
#include "report/log.h"
#include "schedule/way.h"

#include <fcntl.h>
#include <unistd.h>

#define DAY_ZERO 20000			/* the first day of the rig's wall clock */

static struct {
	int disk_error;			/* what renames fail with; 0: they do not */
	struct net *net;
	struct limits *limits;
	struct config *config;
	struct limit limits_of[8];
	struct provider provider_of[4];
	const struct provider *providers[4];
	struct source source_of[4];
	const struct source *sources[4];
	int log;			/* a file: where the log goes instead of standard error */
} rig;

static int rig_rename(struct world *w, int dir, const char *from, const char *to)
{
	return rig.disk_error ? rig.disk_error : world_real()->disk_rename(w, dir, from, to);
}

static void rig_check(void)
{
	if (rig.limits)
		assert_true(limits_check(rig.limits));
}

/* ---- configuration */
static inline const struct name *named(const char *name)
{
	return name_intern(str_of(name));
}

static inline struct config *rig_config(void)
{
	struct config *c = mem_zalloc(sizeof(*c));

	atomic_init(&c->refs, 1);
	c->limits = rig.limits_of;
	c->providers = rig.providers;
	c->sources = rig.sources;
	return c;
}

/* The next limit; the caller may narrow it. */
static inline struct limit *rig_limit(const char *text, enum limit_what what, uint64_t count,
				      uint64_t period, unsigned per)
{
	struct limit *x = &rig.limits_of[rig.config->limits_n++];

	*x = (struct limit){ .text = str_of(text), .what = what, .count = count,
			     .period_ns = period, .per = per };
	return x;
}

static inline void rig_provider(const char *name, uint32_t connections)
{
	unsigned i = rig.config->providers_n++;

	rig.provider_of[i] =
		(struct provider){ .name = named(name), .connections_max = connections };
	rig.providers[i] = &rig.provider_of[i];
}

static inline struct source *rig_source(const char *name)
{
	unsigned i = rig.config->sources_n++;

	rig.source_of[i] = (struct source){ .name = named(name) };
	rig.sources[i] = &rig.source_of[i];
	return &rig.source_of[i];
}

/* ---- start and end */

/* Failures are told by the real standard error still; the log writes to its number. */
static inline int rig_log_file(void)
{
	static int fd = -1;

	if (fd < 0) {
		stderr = fdopen(dup(STDERR_FILENO), "w");
		setvbuf(stderr, NULL, _IONBF, 0);
		fd = open("/tmp", O_TMPFILE | O_RDWR | O_APPEND, 0600);
		dup2(fd, STDERR_FILENO);
	}
	assert_return_code(ftruncate(fd, 0), 0);
	return fd;
}

static inline void rig_start(const char *state)
{
	stepped.actors_n = 0;
	rig.net = net_new(&stepped.world, 2, 0);
	net_start(rig.net);
	rig.limits = limits_new(rig.net, state);
	limits_reload(rig.limits, rig.config);
	stepped_run(0);
}

static inline void rig_stop(void)
{
	limits_stop(rig.limits);
	net_stop(rig.net);
	limits_free(rig.limits);
	rig.limits = NULL;
}

/* The configuration is empty; add to it, then rig_start. */
static inline void rig_open(void)
{
	memset(&rig, 0, sizeof(rig));
	stepped_init(DAY_ZERO * 86400000ll, rig_check);
	stepped.world.disk_rename = rig_rename;
	rig.config = rig_config();
	rig.log = rig_log_file();
}

static inline void rig_close(void)
{
	if (rig.limits)
		rig_stop();
	assert_int_equal(atomic_load(&rig.config->refs), 1);
	mem_free(rig.config);
}

/* How often the log says these words. */
static inline unsigned rig_logged(const char *words)
{
	static char text[256 * 1024];
	ssize_t n = pread(rig.log, text, sizeof(text) - 1, 0);
	unsigned found = 0;

	text[n < 0 ? 0 : n] = '\0';
	for (char *at = text; (at = strstr(at, words)); at++)
		found++;
	return found;
}

static inline struct way *rig_way(const char *domain, const char *provider, const char *source)
{
	struct hop h = {
		.destination = str_of(domain),
		.domain = str_of(domain),
		.route = named("mx"),
		.provider = provider ? named(provider) : NULL,
		.source = source ? named(source) : NULL,
		.connections_max = 10,
	};

	return way_get(rig.limits, &h);
}

/* ---- somebody who waits */
struct person {
	struct limit_waiter waiter;
	unsigned calls;
	uint64_t called_at;
	unsigned order;			/* among all calls */
};

static unsigned calls_made;

static void person_wake(struct limit_waiter *w)
{
	struct person *p = CONTAINER_OF(w, struct person, waiter);

	p->calls++;
	p->called_at = stepped.now;
	p->order = ++calls_made;
}

static inline void people_init(struct person *p, unsigned n)
{
	calls_made = 0;
	for (unsigned i = 0; i < n; i++) {
		p[i] = (struct person){ 0 };
		limit_waiter_init(&p[i].waiter, person_wake);
	}
}

static inline bool passes(struct way *w, struct person *p)
{
	unsigned n;

	return way_pass(w, 1, 1000, &n, p ? &p->waiter : NULL);
}

#endif
