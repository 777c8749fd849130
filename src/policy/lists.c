/*
 * lists - see lists.h.
 *
 * One small task per list asks for the A records and, only if they count, for the TXT that explains
 * them. A list that is due for its test gets one more task beside these, in one session an hour: it
 * is claimed before it is asked, so a rush of sessions tests it once. A test without an answer is
 * tried again after a minute and changes nothing.
 *
 * Health belongs to the zone, not to the snapshot: lists come and go by reloads, and what is known
 * of a zone stays true. Zones are few, as they come from the configuration; ZONES_MAX bounds what
 * many reloads could heap up.
 */
#include "policy/lists.h"

#include "base/hash.h"
#include "base/mem.h"
#include "policy/inquiry.h"
#include "report/log.h"

#include <pthread.h>

#define ZONES_MAX 1024
#define TEST_AGAIN_NS (60 * SECOND)
#define TEXT_MAX 120			/* octets of a list's own words */

enum health { LIST_UNTESTED, LIST_WORKS, LIST_LISTS_ALL, LIST_LISTS_NONE, LIST_REFUSES_US };

struct zone {
	struct map_node node;
	uint64_t test_at;		/* the loop's clock; 0: now */
	uint8_t health;
	char name[DNS_NAME_MAX + 1];
};

struct lists {
	struct dns *dns;
	pthread_mutex_t lock;
	struct map zones;
};

struct question {
	struct lists *lists;
	const struct dns_list *list;
	const struct ip *ip;
	uint64_t deadline;
	bool is_test;
	/* ---- what came of it */
	bool counts;
	enum health health;		/* of a test; UNTESTED: nobody answered */
	struct ip answer;
	char text[TEXT_MAX + 1];
};

struct lists *lists_new(struct dns *d)
{
	struct lists *l = mem_zalloc(sizeof(*l));

	l->dns = d;
	pthread_mutex_init(&l->lock, NULL);
	map_init(&l->zones);
	return l;
}

void lists_free(struct lists *l)
{
	struct map_node *n;

	if (!l)
		return;
	while ((n = map_walk(&l->zones, NULL))) {
		map_remove(&l->zones, n);
		mem_free(CONTAINER_OF(n, struct zone, node));
	}
	map_done(&l->zones);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

/* ---- pure */

bool lists_name(const struct ip *ip, struct str suffix, char ret[DNS_NAME_MAX + 1])
{
	struct buf b = BUF_INIT(DNS_NAME_MAX);
	bool fits;

	if (ip->family == 4)
		buf_printf(&b, "%u.%u.%u.%u", ip->bytes[3], ip->bytes[2], ip->bytes[1],
			   ip->bytes[0]);
	for (int i = 15; ip->family == 6 && i >= 0; i--)
		buf_printf(&b, "%x.%x%s", ip->bytes[i] & 15u, ip->bytes[i] >> 4, i ? "." : "");
	buf_add_byte(&b, '.');
	buf_add_str(&b, suffix);
	fits = ip->family && buf_ok(&b);
	if (fits)
		str_copy(ret, DNS_NAME_MAX + 1, buf_str(&b));
	buf_done(&b);
	return fits;
}

static bool is_error_code(const struct ip *a)
{
	return a->bytes[0] == 127 && a->bytes[1] == 255 && a->bytes[2] == 255;
}

bool lists_counts(const struct dns_list *list, const struct ip *answer)
{
	if (answer->family != 4 || answer->bytes[0] != 127 || is_error_code(answer))
		return false;
	for (unsigned i = 0; i < list->answers_n; i++)
		if (ip_eq(&list->answers[i], answer))
			return true;
	return !list->answers_n;
}

/* Strings of a TXT record, one behind the other, as far as they can be shown. */
static void text_of(const struct dns_record *r, char ret[TEXT_MAX + 1])
{
	size_t n = 0;

	for (size_t at = 0; at < r->n;) {
		size_t end = at + 1 + r->p[at];

		for (at++; at < end && at < r->n && n < TEXT_MAX; at++)
			ret[n++] = r->p[at] >= 0x20 && r->p[at] < 0x7f ? (char)r->p[at] : '?';
		if (at < end)
			break;
	}
	ret[n] = 0;
}

/* ---- one list, in a task of its own */

static void get_text(struct question *q, const char *name) SUSPENDS
{
	struct arena a = { .blocks = NULL };
	struct dns_answer answer;

	dns_lookup(q->lists->dns, str_of(name), DNS_TXT, q->deadline, &a, &answer);
	if (answer.status == DNS_OK && answer.n)
		text_of(&answer.records[0], q->text);
	arena_done(&a);
}

static void ask_address(struct question *q, const char *name) SUSPENDS
{
	struct arena a = { .blocks = NULL };
	struct dns_answer answer;

	dns_lookup(q->lists->dns, str_of(name), DNS_A, q->deadline, &a, &answer);
	for (unsigned i = 0; i < answer.n && answer.status == DNS_OK && !q->counts; i++) {
		if (answer.records[i].n != 4)
			continue;
		q->answer = (struct ip){ .family = 4 };
		memcpy(q->answer.bytes, answer.records[i].p, 4);
		q->counts = lists_counts(q->list, &q->answer);
	}
	arena_done(&a);
}

static void ask_list(void *arg) SUSPENDS
{
	struct question *q = arg;
	char name[DNS_NAME_MAX + 1];

	if (!lists_name(q->ip, q->list->zone, name))
		return;
	ask_address(q, name);
	if (q->counts)
		get_text(q, name);
}

/* ---- the test */

/* 1: it is listed; 0: it is not; -1: an error code; -2: nobody knows. */
static int test_point(struct question *q, unsigned last) SUSPENDS
{
	struct ip ip = { .family = 4, .bytes = { 127, 0, 0, (uint8_t)last } };
	struct arena a = { .blocks = NULL };
	char name[DNS_NAME_MAX + 1];
	struct dns_answer answer;
	int r = -2;

	if (!lists_name(&ip, q->list->zone, name))
		return r;
	dns_lookup(q->lists->dns, str_of(name), DNS_A, q->deadline, &a, &answer);
	if (answer.status == DNS_OK) {
		r = 1;
		for (unsigned i = 0; i < answer.n; i++) {
			memcpy(ip.bytes, answer.records[i].p, answer.records[i].n == 4 ? 4 : 0);
			r = is_error_code(&ip) ? -1 : r;
		}
	} else if (answer.status == DNS_NXDOMAIN || answer.status == DNS_NODATA) {
		r = 0;
	}
	arena_done(&a);
	return r;
}

static void test_list(void *arg) SUSPENDS
{
	struct question *q = arg;
	int nobody = test_point(q, 1), somebody = test_point(q, 2);

	if (nobody == -1 || somebody == -1)
		q->health = LIST_REFUSES_US;
	else if (nobody == 1)
		q->health = LIST_LISTS_ALL;
	else if (nobody == 0 && somebody == 0)
		q->health = LIST_LISTS_NONE;
	else if (nobody == 0 && somebody == 1)
		q->health = LIST_WORKS;
}

static struct zone *zone_of(struct lists *l, struct str name)
{
	uint64_t hash = hash_nocase(name);
	struct zone *z;

	for (struct map_node *n = map_first(&l->zones, hash); n; n = map_next(n)) {
		z = CONTAINER_OF(n, struct zone, node);
		if (str_eq_nocase(str_of(z->name), name))
			return z;
	}
	if (l->zones.n >= ZONES_MAX)
		return NULL;
	z = mem_zalloc(sizeof(*z));
	str_copy(z->name, sizeof(z->name), name);
	map_insert(&l->zones, &z->node, hash);
	return z;
}

/* True: whoever asked is to test it. */
static bool claim_test(struct lists *l, struct str zone)
{
	uint64_t now = loop_now();
	struct zone *z;
	bool is_due;

	pthread_mutex_lock(&l->lock);
	z = zone_of(l, zone);
	is_due = z && z->test_at <= now;
	if (is_due)
		z->test_at = now + TEST_AGAIN_NS;
	pthread_mutex_unlock(&l->lock);
	return is_due;
}

static bool is_dead(struct lists *l, struct str zone)
{
	struct zone *z;
	bool is;

	pthread_mutex_lock(&l->lock);
	z = zone_of(l, zone);
	is = z && z->health == LIST_LISTS_ALL;
	pthread_mutex_unlock(&l->lock);
	return is;
}

static void log_health(struct str zone, enum health h)
{
	static const char *const texts[] = {
		[LIST_WORKS] = "a DNS list works again",
		[LIST_LISTS_ALL] = "a DNS list lists 127.0.0.1, hence everybody; it is ignored",
		[LIST_LISTS_NONE] = "a DNS list does not list 127.0.0.2; it may be dead",
		[LIST_REFUSES_US] = "a DNS list answers with an error code: it refuses to serve us",
	};

	log_begin(LOG_WARNING);
	log_cstr("what", texts[h]);
	log_str("zone", zone);
	log_end();
}

static void take_test(struct lists *l, const struct question *q)
{
	enum health before = LIST_UNTESTED;
	struct zone *z;

	if (q->health == LIST_UNTESTED)
		return;
	pthread_mutex_lock(&l->lock);
	z = zone_of(l, q->list->zone);
	if (z) {
		before = z->health;
		z->health = (uint8_t)q->health;
		z->test_at = loop_now() + LISTS_TEST_NS;
	}
	pthread_mutex_unlock(&l->lock);
	if (before != q->health && !(before == LIST_UNTESTED && q->health == LIST_WORKS))
		log_health(q->list->zone, q->health);
}

/* ---- all of them */

static void add_said(struct listing *x, const struct question *q)
{
	struct buf b = BUF_INIT(sizeof(x->said) - 1);
	char ip[ENDPOINT_TEXT_MAX];

	buf_add_str(&b, str_of(x->said));
	if (b.n)
		buf_add_lit(&b, "; ");
	buf_add_str(&b, q->list->zone);
	buf_printf(&b, ": %s", ip_text(ip, &q->answer));
	if (q->text[0])
		buf_printf(&b, " (%s)", q->text);
	str_copy(x->said, sizeof(x->said), buf_str(&b));
	buf_done(&b);
}

static void sum_up(struct lists *l, const struct question *questions, unsigned n,
		   struct listing *ret)
{
	for (unsigned i = 0; i < n; i++)
		if (questions[i].is_test)
			take_test(l, &questions[i]);
	for (unsigned i = 0; i < n; i++) {
		const struct question *q = &questions[i];

		if (q->is_test || !q->counts || is_dead(l, q->list->zone))
			continue;
		if (__builtin_add_overflow(ret->score, q->list->weight, &ret->score))
			ret->score = q->list->weight > 0 ? INT32_MAX : INT32_MIN;
		ret->n++;
		add_said(ret, q);
	}
}

static unsigned make_questions(struct lists *l, const struct config_clients *cc,
			       const struct ip *ip, uint64_t deadline, struct question *ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < cc->lists_n && i < LISTS_AT_ONCE_MAX; i++) {
		struct question q = { .lists = l, .list = &cc->lists[i], .ip = ip,
				      .deadline = deadline };

		if (!is_dead(l, q.list->zone))
			ret[n++] = q;
		q.is_test = claim_test(l, q.list->zone);
		if (q.is_test)
			ret[n++] = q;
	}
	return n;
}

void lists_ask(struct lists *l, const struct config_clients *cc, const struct ip *ip,
	       uint64_t deadline, struct listing *ret)
{
	struct question *questions;
	struct inquiry all;
	unsigned n;

	*ret = (struct listing){ .n = 0 };
	if (!cc->lists_n || !ip->family)
		return;
	questions = mem_calloc(2 * LISTS_AT_ONCE_MAX, sizeof(*questions));
	n = make_questions(l, cc, ip, deadline, questions);
	inquiry_init(&all);
	for (unsigned i = 0; i < n; i++)
		inquiry_ask(&all, questions[i].is_test ? test_list : ask_list, &questions[i]);
	inquiry_wait(&all);
	sum_up(l, questions, n, ret);
	mem_free(questions);
}
