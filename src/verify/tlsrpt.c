/*
 * tlsrpt - counting TLS sessions for daily reports (RFC 8460).
 *
 * DESIGN. What is counted is kept as what it will be in the report, one JSON object for each day
 * (UTC): under the key "DOMAIN TYPE POLICY-DOMAIN" the policy, its sums and its failures. So the
 * file that survives a restart, STATE/tls-reports/DAY (days since 1970), is the same thing dumped,
 * and making a report is putting together what begins with a domain. A count takes a few look-ups
 * under one lock; it happens once for a connection, not for a message.
 *
 * Bounded: DAYS_MAX days, POLICIES_MAX policies a day, DETAILS_MAX kinds of failures of each; what
 * is beyond is not counted. A crash loses what was counted in the last minute.
 *
 * The keeper, a task of the first loop that runs while there is something to keep, saves once a
 * minute, in the pool, and reports the days that are over: at a time drawn from the four hours
 * after midnight, so that not all of the world reports at once (RFC 8460 4.1).
 */
#include "verify/tlsrpt_inner.h"

#include "base/mem.h"
#include "report/log.h"
#include "verify/store.h"

#include <stdio.h>

#define DAYS_MAX 4
#define POLICIES_MAX 10000
#define DETAILS_MAX 64
#define HOSTS_MAX 32
#define STRINGS_MAX 64
#define FILE_MAX (64u * 1024 * 1024)
#define DAY_MS (24ll * 3600 * 1000)
#define DELAY_MS (4ull * 3600 * 1000)
#define SAVE_MS 60000
#define FOLDER "tls-reports"

static struct store store_of(const struct tlsrpt *t)
{
	return (struct store){ net_world(t->net), t->state, FOLDER, FILE_MAX };
}

/* ---- what there is */

static void on_file(void *arg, struct str name, struct str text)
{
	struct tlsrpt *t = arg;
	uint64_t day;
	json_t *j;
	char key[24];

	if (!str_parse_u64(name, 1000000, &day) || json_object_size(t->days) >= DAYS_MAX)
		return;
	j = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(j))
		json_object_set_new(t->days, str_copy(key, sizeof(key), name), j);
	else
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
	t->days = json_object();
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
	json_decref(t->days);
	pthread_mutex_destroy(&t->lock);
	mem_free(t->state);
	mem_free(t);
}

/* ---- saving */

struct saving {
	struct tlsrpt *tlsrpt;
	char *text[DAYS_MAX + 1];	/* jansson's */
	char name[DAYS_MAX + 1][24];
	unsigned n;
};

static void dump_days(struct saving *s)
{
	struct tlsrpt *t = s->tlsrpt;
	const char *day;
	json_t *policies;

	pthread_mutex_lock(&t->lock);
	t->changed = false;
	json_object_foreach(t->days, day, policies) {
		if (s->n > DAYS_MAX)
			break;
		str_copy(s->name[s->n], sizeof(s->name[0]), str_of(day));
		s->text[s->n++] = json_dumps(policies, JSON_COMPACT);
	}
	pthread_mutex_unlock(&t->lock);
}

static void free_text(char *text)
{
	json_malloc_t get;
	json_free_t release;

	json_get_alloc_funcs(&get, &release);
	release(text);
}

static int save_in_pool(void *arg)
{
	struct saving s = { .tlsrpt = arg };
	const struct store store = store_of(s.tlsrpt);
	int r = 0;

	dump_days(&s);
	for (unsigned i = 0; i < s.n; i++) {
		if (s.text[i] && r == 0)
			r = store_write(&store, str_of(s.name[i]), str_of(s.text[i]));
		free_text(s.text[i]);
	}
	return r;
}

static void save(struct tlsrpt *t) SUSPENDS
{
	bool changed;

	pthread_mutex_lock(&t->lock);
	changed = t->changed;
	pthread_mutex_unlock(&t->lock);
	if (changed && t->state && net_offload(save_in_pool, t) < 0) {
		pthread_mutex_lock(&t->lock);
		t->changed = true;
		pthread_mutex_unlock(&t->lock);
	}
}

struct removal {
	struct tlsrpt *tlsrpt;
	int64_t day;
};

static int remove_in_pool(void *arg)
{
	const struct removal *r = arg;
	const struct store store = store_of(r->tlsrpt);
	char name[24];

	snprintf(name, sizeof(name), "%lld", (long long)r->day);
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
	json_t *list[DETAILS_MAX], *policies;
	char domain[DNS_NAME_MAX + 1];
	const char *key;
	void *next;
	unsigned n = 0;
	bool sent;

	key = json_object_iter_key(json_object_iter(day));
	str_copy(domain, sizeof(domain), key_domain(key));
	json_object_foreach_safe(day, next, key, policies) {
		if (n == DETAILS_MAX || !str_eq(key_domain(key), str_of(domain)))
			continue;
		list[n++] = json_incref(policies);
		json_object_del(day, key);
	}
	sent = tlsrpt_send(t, c, str_of(domain), number, list, n);
	for (unsigned i = 0; i < n; i++)
		json_decref(list[i]);
	return sent;
}

unsigned tlsrpt_report_day(struct tlsrpt *t, int64_t number)
{
	struct removal removal = { t, number };
	struct config *c = config_current();
	unsigned sent = 0;
	char key[24];
	json_t *day;

	snprintf(key, sizeof(key), "%lld", (long long)number);
	pthread_mutex_lock(&t->lock);
	day = json_incref(json_object_get(t->days, key));
	json_object_del(t->days, key);
	pthread_mutex_unlock(&t->lock);
	while (day && json_object_size(day) && !task_is_cancelled())
		sent += report_one(t, c, day, number);
	if (day && json_object_size(day)) {	/* we were cut: the rest another time */
		pthread_mutex_lock(&t->lock);
		json_object_set(t->days, key, day);
		t->changed = true;
		pthread_mutex_unlock(&t->lock);
	} else if (day && t->state) {
		net_offload(remove_in_pool, &removal);
	}
	json_decref(day);
	config_unref(c);
	return sent;
}

/* ---- the keeper */

/* A day before that one. */
static bool find_before(struct tlsrpt *t, int64_t that, int64_t *ret)
{
	bool found = false;
	json_t *policies;
	const char *key;

	pthread_mutex_lock(&t->lock);
	json_object_foreach(t->days, key, policies) {
		uint64_t day;

		if (str_parse_u64(str_of(key), INT64_MAX, &day) && (int64_t)day < that) {
			*ret = (int64_t)day;
			found = true;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

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

static bool has_days(struct tlsrpt *t)
{
	bool has;

	pthread_mutex_lock(&t->lock);
	has = json_object_size(t->days);
	pthread_mutex_unlock(&t->lock);
	return has;
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

/* ---- counting; all of it under the lock */

static json_t *text(struct str s)
{
	json_t *j = json_stringn(s.p ? s.p : "", s.n);

	return j ? j : json_string("?");
}

static void increase(json_t *object, const char *key)
{
	json_object_set_new(object, key,
			    json_integer(json_integer_value(json_object_get(object, key)) + 1));
}

static void add_policy_text(json_t *list, struct str policy)
{
	while (policy.n && json_array_size(list) < STRINGS_MAX) {
		ssize_t end = str_find(policy, '\n');
		struct str line = end < 0 ? policy : str_sub(policy, 0, (size_t)end);

		policy = str_from(policy, line.n + 1);
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n)
			json_array_append_new(list, text(line));
	}
}

static void add_records(json_t *list, const struct tlsrpt_session *s)
{
	for (unsigned i = 0; i < s->records_n && i < STRINGS_MAX; i++) {
		const struct tlsa *r = &s->records[i];
		struct buf b = BUF_INIT(2048);

		buf_printf(&b, "%u %u %u ", r->usage, r->selector, r->matching);
		for (size_t k = 0; k < r->data.n; k++)
			buf_printf(&b, "%02x", (unsigned char)r->data.p[k]);
		json_array_append_new(list, text(buf_str(&b)));
		buf_done(&b);
	}
}

static json_t *policy_new(const struct tlsrpt_session *s)
{
	json_t *whole = json_object(), *policy = json_object(), *sums = json_object();
	json_t *strings = json_array();

	add_policy_text(strings, s->policy);
	add_records(strings, s);
	json_object_set_new(policy, "policy-type", json_string(tlsrpt_type_name(s->type)));
	if (json_array_size(strings))
		json_object_set(policy, "policy-string", strings);
	json_decref(strings);
	json_object_set_new(policy, "policy-domain", text(s->policy_domain));
	json_object_set_new(sums, "total-successful-session-count", json_integer(0));
	json_object_set_new(sums, "total-failure-session-count", json_integer(0));
	json_object_set_new(whole, "policy", policy);
	json_object_set_new(whole, "summary", sums);
	return whole;
}

static json_t *policy_of(json_t *day, const struct tlsrpt_session *s)
{
	struct buf key = BUF_INIT(1024);
	json_t *policy;

	buf_printf(&key, "%.*s %s %.*s", STR_ARG(s->domain), tlsrpt_type_name(s->type),
		   STR_ARG(s->policy_domain));
	str_lower(key.p, key.n);
	policy = json_object_get(day, buf_cstr(&key));
	if (!policy && json_object_size(day) < POLICIES_MAX) {
		json_object_set_new(day, buf_cstr(&key), policy_new(s));
		policy = json_object_get(day, buf_cstr(&key));
	}
	buf_done(&key);
	return policy;
}

static void add_host(json_t *policy, struct str host)
{
	json_t *hosts = json_object_get(policy, "mx-host");

	if (!hosts) {
		hosts = json_array();
		json_object_set_new(policy, "mx-host", hosts);
	}
	for (size_t i = 0; i < json_array_size(hosts); i++)
		if (str_eq_nocase(str_of(json_string_value(json_array_get(hosts, i))), host))
			return;
	if (json_array_size(hosts) < HOSTS_MAX)
		json_array_append_new(hosts, text(host));
}

static json_t *failure_new(const struct tlsrpt_session *s)
{
	json_t *j = json_object();
	char ip[ENDPOINT_TEXT_MAX];

	json_object_set_new(j, "result-type", json_string(tlsrpt_result_name(s->result)));
	if (s->local.family)
		json_object_set_new(j, "sending-mta-ip", json_string(ip_text(ip, &s->local)));
	if (s->host.n)
		json_object_set_new(j, "receiving-mx-hostname", text(s->host));
	if (s->peer.family)
		json_object_set_new(j, "receiving-ip", json_string(ip_text(ip, &s->peer)));
	if (s->why.n)
		json_object_set_new(j, "failure-reason-code", text(s->why));
	json_object_set_new(j, "failed-session-count", json_integer(0));
	return j;
}

static bool is_same(json_t *a, json_t *b)
{
	static const char *const keys[] = { "result-type", "sending-mta-ip",
					    "receiving-mx-hostname", "receiving-ip" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);

		if (x != y && !json_equal(x, y))
			return false;
	}
	return true;
}

static void add_failure(json_t *whole, const struct tlsrpt_session *s)
{
	json_t *list = json_object_get(whole, "failure-details"), *one = failure_new(s),
	       *known = NULL;

	if (!list) {
		list = json_array();
		json_object_set_new(whole, "failure-details", list);
	}
	for (size_t i = 0; i < json_array_size(list) && !known; i++)
		if (is_same(json_array_get(list, i), one))
			known = json_array_get(list, i);
	if (!known && json_array_size(list) < DETAILS_MAX) {
		json_array_append(list, one);
		known = one;
	}
	if (known)
		increase(known, "failed-session-count");
	json_decref(one);
}

static void count(json_t *day, const struct tlsrpt_session *s)
{
	json_t *whole = policy_of(day, s), *sums = json_object_get(whole, "summary");

	if (!sums)
		return;
	if (s->host.n && s->type != TLSRPT_NO_POLICY)
		add_host(json_object_get(whole, "policy"), s->host);
	if (s->result == TLSRPT_SUCCESS) {
		increase(sums, "total-successful-session-count");
		return;
	}
	increase(sums, "total-failure-session-count");
	add_failure(whole, s);
}

void tlsrpt_count(struct tlsrpt *t, const struct tlsrpt_session *s)
{
	char key[24];
	json_t *day;

	if (!s->domain.n || str_has_control(s->domain) || str_find(s->domain, ' ') >= 0)
		return;
	snprintf(key, sizeof(key), "%lld", (long long)(loop_wall_ms() / DAY_MS));
	pthread_mutex_lock(&t->lock);
	day = json_object_get(t->days, key);
	if (!day && json_object_size(t->days) < DAYS_MAX) {
		day = json_object();
		json_object_set_new(t->days, key, day);
	}
	if (day)
		count(day, s);
	t->changed = true;
	pthread_mutex_unlock(&t->lock);
	start_keeper(t);
}
