/*
 * tlsrpt - counting TLS sessions for daily reports (RFC 8460).
 *
 * DESIGN. What is counted is kept as what it will be in the report, one JSON object for each day
 * (UTC), see tlsrpt_count.c, which also says what it may take. So the file that survives a restart,
 * STATE/tls-reports/DAY (days since 1970), is the same thing dumped, and making a report is putting
 * together what begins with a domain. A count takes a few look-ups under one lock; it happens once
 * for a connection, not for a message. A crash loses what was counted in the last minute.
 *
 * The keeper, a task of the first loop that runs while there is something to keep, saves once a
 * minute, in the pool, and reports the days that are over: at a time drawn from the four hours
 * after midnight, so that not all of the world reports at once (RFC 8460 4.1).
 */
#include "verify/tlsrpt_inner.h"

#include "base/mem.h"
#include "report/log.h"
#include "verify/store.h"

#include <errno.h>
#include <stdio.h>

#define FILE_MAX TLSRPT_OCTETS_MAX	/* a day has fewer octets as text than in memory */
#define POLICIES_OF_ONE 64		/* in a report; who has more gets another one */
#define DAY_MS (24ll * 3600 * 1000)
#define DELAY_MS (4ull * 3600 * 1000)
#define SAVE_MS 60000
#define FOLDER "tls-reports"

static struct store store_of(const struct tlsrpt *t)
{
	return (struct store){ net_world(t->net), t->state, FOLDER, FILE_MAX };
}

/* ---- days; under the lock */

/* NULL: nothing was counted on it. */
static struct day *day_find(struct tlsrpt *t, int64_t number)
{
	for (unsigned i = 0; i < TLSRPT_DAYS_MAX; i++)
		if (t->days[i].policies && t->days[i].number == number)
			return &t->days[i];
	return NULL;
}

/* A new one. Takes policies, unless it returns NULL: there are too many. */
static struct day *day_add(struct tlsrpt *t, int64_t number, json_t *policies)
{
	for (unsigned i = 0; i < TLSRPT_DAYS_MAX; i++) {
		struct day *d = &t->days[i];

		if (d->policies)
			continue;
		*d = (struct day){ .number = number, .policies = policies };
		day_measure(d);
		return d;
	}
	return NULL;
}

static size_t octets_of_all(const struct tlsrpt *t)
{
	size_t octets = 0;

	for (unsigned i = 0; i < TLSRPT_DAYS_MAX; i++)
		octets += t->days[i].policies ? t->days[i].octets : 0;
	return octets;
}

/* A day before that one. */
static bool find_before(struct tlsrpt *t, int64_t that, int64_t *ret)
{
	bool found = false;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < TLSRPT_DAYS_MAX; i++) {
		if (!t->days[i].policies || t->days[i].number >= that)
			continue;
		*ret = t->days[i].number;
		found = true;
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

static bool has_days(struct tlsrpt *t)
{
	int64_t day;

	return find_before(t, INT64_MAX, &day);
}

/* ---- what there is */

static void on_file(void *arg, struct str name, struct str text)
{
	struct tlsrpt *t = arg;
	uint64_t day;
	json_t *j;

	if (!str_parse_u64(name, 1000000, &day) || day_find(t, (int64_t)day))
		return;
	j = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(j) || !day_add(t, (int64_t)day, j))
		json_decref(j);
}

struct tlsrpt *tlsrpt_new(struct net *n, struct spool *s, struct dns *d, const char *state)
{
	struct tlsrpt *t = mem_zalloc(sizeof(*t));
	struct store store;

	t->net = n;
	t->spool = s;
	t->dns = d;
	t->state = state ? mem_strdup(state) : NULL;
	pthread_mutex_init(&t->lock, NULL);
	task_group_init(&t->tasks);
	store = store_of(t);
	if (state)
		store_each(&store, on_file, t);
	return t;
}

void tlsrpt_free(struct tlsrpt *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < TLSRPT_DAYS_MAX; i++)
		json_decref(t->days[i].policies);
	pthread_mutex_destroy(&t->lock);
	mem_free(t->state);
	mem_free(t);
}

/* ---- saving */

struct saving {
	struct tlsrpt *tlsrpt;
	int64_t day;
};

static void name_of(int64_t day, char ret[24])
{
	snprintf(ret, 24, "%lld", (long long)day);
}

static int write_day(struct saving *s, char *text)
{
	const struct store store = store_of(s->tlsrpt);
	json_malloc_t get;
	json_free_t release;
	char name[24];
	int r;

	if (!text)
		return -ENOMEM;
	name_of(s->day, name);
	r = store_write(&store, str_of(name), str_of(text));
	json_get_alloc_funcs(&get, &release);
	release(text);
	return r;
}

/* One day that has changed. -ENOENT: there is none. */
static int save_one(struct tlsrpt *t)
{
	struct saving s = { .tlsrpt = t };
	struct day *d = NULL;
	char *text = NULL;
	int r;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < TLSRPT_DAYS_MAX && !d; i++)
		if (t->days[i].policies && t->days[i].changed)
			d = &t->days[i];
	if (d) {
		d->changed = false;
		s.day = d->number;
		text = json_dumps(d->policies, JSON_COMPACT);
	}
	pthread_mutex_unlock(&t->lock);
	if (!d)
		return -ENOENT;
	r = write_day(&s, text);
	if (r == 0)
		return 0;
	pthread_mutex_lock(&t->lock);
	d = day_find(t, s.day);
	if (d)
		d->changed = true;
	pthread_mutex_unlock(&t->lock);
	return r;
}

/* What the disk does not take now is tried again with the next one. */
static int save_in_pool(void *arg)
{
	while (save_one(arg) == 0)
		;
	return 0;
}

static void save(struct tlsrpt *t) SUSPENDS
{
	if (t->state)
		net_offload(save_in_pool, t);
}

static int remove_in_pool(void *arg)
{
	const struct saving *s = arg;
	const struct store store = store_of(s->tlsrpt);
	char name[24];

	name_of(s->day, name);
	store_remove(&store, str_of(name));
	return 0;
}

/* ---- reporting */

static struct str key_domain(const char *key)
{
	struct str rest = str_of(key);

	return str_word(&rest);
}

/* Reports to one domain: the policies from the first on that are its; they are taken out. */
static bool report_one(struct tlsrpt *t, const struct config *c, json_t *day,
		       int64_t number) SUSPENDS
{
	json_t *list[POLICIES_OF_ONE], *policies;
	const char *key;
	char *domain;
	void *next;
	unsigned n = 0;
	bool sent;

	key = json_object_iter_key(json_object_iter(day));
	domain = str_dup(key_domain(key));	/* whole: a file may say anything */
	json_object_foreach_safe(day, next, key, policies) {
		if (n == POLICIES_OF_ONE || !str_eq(key_domain(key), str_of(domain)))
			continue;
		list[n++] = json_incref(policies);
		json_object_del(day, key);
	}
	sent = tlsrpt_send(t, c, str_of(domain), number, list, n);
	for (unsigned i = 0; i < n; i++)
		json_decref(list[i]);
	mem_free(domain);
	return sent;
}

static json_t *take_day(struct tlsrpt *t, int64_t number)
{
	json_t *policies = NULL;
	struct day *d;

	pthread_mutex_lock(&t->lock);
	d = day_find(t, number);
	if (d) {
		policies = d->policies;
		d->policies = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	return policies;
}

/* We were cut: the rest another time. */
static void give_back(struct tlsrpt *t, int64_t number, json_t *policies)
{
	struct day *d;

	pthread_mutex_lock(&t->lock);
	d = day_find(t, number) ? NULL : day_add(t, number, json_incref(policies));
	if (d)
		d->changed = true;
	else
		json_decref(policies);
	pthread_mutex_unlock(&t->lock);
}

unsigned tlsrpt_report_day(struct tlsrpt *t, int64_t number)
{
	struct saving removal = { t, number };
	json_t *day = take_day(t, number);
	struct config *c;
	unsigned sent = 0;

	if (!day)
		return 0;
	c = config_current();
	while (json_object_size(day) && !task_is_cancelled()) {
		sent += report_one(t, c, day, number);
		task_yield();
	}
	if (json_object_size(day))
		give_back(t, number, day);
	else if (t->state)
		net_offload(remove_in_pool, &removal);
	json_decref(day);
	config_unref(c);
	return sent;
}

/* ---- the keeper */

static void report_what_is_over(struct tlsrpt *t) SUSPENDS
{
	int64_t now = loop_wall_ms(), today = now / DAY_MS, day;
	uint64_t noise;

	/* we were down: nobody waits for these at the same time */
	while (!task_is_cancelled() && find_before(t, today - 1, &day))
		tlsrpt_report_day(t, day);
	if (!find_before(t, today, &day)) {
		t->not_before_ms = 0;
		return;
	}
	if (!t->not_before_ms) {
		world_self()->random(world_self(), &noise, sizeof(noise));
		t->not_before_ms = today * DAY_MS + (int64_t)(noise % DELAY_MS);
	}
	while (now >= t->not_before_ms && !task_is_cancelled() && find_before(t, today, &day))
		tlsrpt_report_day(t, day);
}

static void keeper_run(void *arg)
{
	struct tlsrpt *t = arg;

	while (!task_is_cancelled() && !atomic_load(&t->stopping) && has_days(t)) {
		report_what_is_over(t);
		save(t);
		task_wait(in_ms(SAVE_MS));
	}
	save(t);
	atomic_store(&t->is_started, false);
}

static void on_start(struct post *p)
{
	struct tlsrpt *t = CONTAINER_OF(p, struct tlsrpt, start);

	if (!task_start(&t->tasks, keeper_run, t, "tls-reports"))
		atomic_store(&t->is_started, false);
}

static void start_keeper(struct tlsrpt *t)
{
	if (!atomic_load(&t->stopping) && !atomic_exchange(&t->is_started, true))
		loop_post(net_loop(t->net, 0), &t->start, on_start);
}

void tlsrpt_set_schedule(struct tlsrpt *t, struct schedule *q)
{
	t->schedule = q;
	if (has_days(t))
		start_keeper(t);
}

void tlsrpt_stop(struct tlsrpt *t)
{
	atomic_store(&t->stopping, true);
}

void tlsrpt_end(struct tlsrpt *t)
{
	if (loop_self() != net_loop(t->net, 0))
		return;
	task_group_cancel(&t->tasks);
	task_group_wait(&t->tasks, NEVER);
}

/* ---- counting */

/* Once a day. */
static void tell_full(const struct tlsrpt_session *s)
{
	log_begin(LOG_TLS_REPORT);
	log_str("domain", s->domain);
	log_cstr("result", "not counted");
	log_cstr("error", "too many domains today; this is told once");
	log_end();
}

void tlsrpt_count(struct tlsrpt *t, const struct tlsrpt_session *s)
{
	int64_t today = loop_wall_ms() / DAY_MS;
	bool is_lost = false;
	struct day *d;

	if (!s->domain.n || str_has_control(s->domain) || str_find(s->domain, ' ') >= 0)
		return;
	pthread_mutex_lock(&t->lock);
	d = day_find(t, today);
	if (!d)
		d = day_add(t, today, json_object());
	if (d) {
		size_t others = octets_of_all(t) - d->octets;

		is_lost = !day_count(d, s, others) && !d->is_full;
		d->is_full |= is_lost;
		d->changed = true;
	}
	pthread_mutex_unlock(&t->lock);
	if (is_lost)
		tell_full(s);
	start_keeper(t);
}
