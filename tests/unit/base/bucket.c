/*
 * The rate bucket beside a naive log of all events: never more than the limit in any window, and
 * never much less.
 */
#include "unit/unit.h"

#include "base/mem.h"
#include "base/bucket.h"

#define SECOND 1000000000ull

static uint64_t seed = 1;

static uint64_t rnd(uint64_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 16) % below;
}

/* ---- the naive one */
struct event {
	uint64_t at;
	uint32_t units;
};

static struct event events[100000];
static unsigned events_n, events_from;	/* older ones are out of every window to come */

/* All that was spent in (now - period, now], which is every window of that length that ends now. */
static uint64_t spent_exactly(uint64_t now, uint64_t period)
{
	uint64_t sum = 0;

	while (events_from < events_n && events[events_from].at + period <= now)
		events_from++;
	for (unsigned i = events_from; i < events_n; i++)
		sum += events[i].units;
	return sum;
}

struct kind {
	const char *name;
	uint64_t period;
	uint32_t units;
	uint64_t step_max;	/* of the clock between two events, as a rule */
	uint32_t amount_max;
};

static const struct kind kinds[] = {
	{ "10/s", SECOND, 10, SECOND / 5, 1 },
	{ "1/min", 60 * SECOND, 1, 60 * SECOND, 1 },
	{ "100/min, in a hurry", 60 * SECOND, 100, SECOND / 10, 1 },
	{ "1000/h of many", 3600 * SECOND, 1000, 30 * SECOND, 40 },
	{ "70000/min, four octets wide", 60 * SECOND, 70000, SECOND, 5000 },
	{ "10M octets/min", 60 * SECOND, 10 << 20, 3 * SECOND, 3 << 20 },
	{ "4 G/week", 7 * 86400 * SECOND, 4294967294u, 86400 * SECOND, 1u << 31 },
	{ "odd nanoseconds", 1000003, 7, 200000, 3 },
	{ "a period shorter than its cells", 5, 3, 4, 1 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static uint64_t step(const struct kind *k)
{
	switch (rnd(20)) {
	case 0:
		return 0;
	case 1:
		return rnd(3 * k->period);
	case 2:
		return rnd(100) ? k->period : rnd(UINT64_MAX >> 24);
	case 3:
		return (k->period - 1) / 64 + 1;
	default:
		return rnd(k->step_max + 1);
	}
}

/* Whoever takes what he can get, at any times. */
static void never_more_than_the_limit(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KINDS; i++) {
		const struct kind *k = &kinds[i];
		struct bucket *b = bucket_new(k->period, k->units);
		uint64_t now = rnd(10 * SECOND);

		events_n = events_from = 0;
		for (unsigned n = 0; n < 30000; n++) {
			uint32_t want = 1 + (uint32_t)rnd(k->amount_max);
			uint64_t exact;

			now += step(k);
			exact = spent_exactly(now, k->period);
			if (exact > bucket_spent(b, now) || exact > k->units)
				fail_msg("%s: %llu spent, the bucket says %u", k->name,
					 (unsigned long long)exact, bucket_spent(b, now));
			if (want > k->units - bucket_spent(b, now))
				continue;
			bucket_spend(b, now, want);
			events[events_n++] = (struct event){ now, want };
		}
		assert_true(events_n > 100);
		bucket_free(b);
	}
}

/* He comes back exactly when he was told, and finds what he was told. */
static void what_was_spent_comes_back_in_time(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KINDS; i++) {
		const struct kind *k = &kinds[i];
		struct bucket *b = bucket_new(k->period, k->units);
		uint64_t start = 12345, now = start, taken = 0, periods = 40;
		uint64_t width = (k->period - 1) / 64 + 1;

		while (now < start + periods * k->period) {
			uint32_t want = 1 + (uint32_t)rnd(k->amount_max);
			uint64_t at = bucket_falls_to(b, now, k->units - want);

			if (at > now) {
				assert_true(bucket_spent(b, at - 1) > k->units - want);
				assert_true(at - now <= 65 * width);
			}
			now = at;
			assert_true(bucket_spent(b, now) <= k->units - want);
			bucket_spend(b, now, want);
			taken += want;
		}
		/* less than he wants is no use to him */
		if (k->period >= 64)
			assert_true(taken >= ((uint64_t)k->units - k->amount_max + 1) * periods *
						     62 / 64);
		assert_true(taken <= (uint64_t)k->units * (periods + 1));
		bucket_free(b);
	}
}

static void a_burst_of_all_is_allowed(void **state)
{
	struct bucket *b = bucket_new(64 * SECOND, 500);

	(void)state;
	bucket_spend(b, 77, 500);
	assert_int_equal(bucket_spent(b, 77 + 64 * SECOND - 1), 500);
	assert_int_equal(bucket_spent(b, 77 + 65 * SECOND), 0);
	bucket_spend(b, 77 + 65 * SECOND, 500);
	bucket_free(b);
}

static void a_clock_that_falls_back_gives_nothing(void **state)
{
	struct bucket *b = bucket_new(64 * SECOND, 500);

	(void)state;
	bucket_spend(b, 100 * SECOND, 400);
	bucket_spend(b, 50 * SECOND, 100);
	assert_int_equal(bucket_spent(b, 0), 500);
	assert_int_equal(bucket_spent(b, 163 * SECOND), 500);
	assert_int_equal(bucket_spent(b, 165 * SECOND), 0);
	bucket_free(b);
}

/* Whatever is given back, at whatever age: what is left covers what was really used. */
static void giving_back_is_never_too_much(void **state)
{
	struct bucket *b = bucket_new(60 * SECOND, 1000);
	uint64_t now = 1000, given = 0;

	(void)state;
	events_n = events_from = 0;
	for (unsigned n = 0; n < 50000; n++) {
		uint64_t exact;

		now += rnd(20) ? rnd(SECOND / 4) : rnd(90 * SECOND);
		exact = spent_exactly(now, 60 * SECOND);
		assert_true(exact <= bucket_spent(b, now));
		if (rnd(3) && events_n) {
			struct event *e = &events[rnd(events_n < 50 ? events_n : 50) + events_n -
						  (events_n < 50 ? events_n : 50)];
			uint32_t units = e->units ? 1 + (uint32_t)rnd(e->units) : 0;

			/* the loop's time is a little older than the bucket's */
			bucket_give_back(b, now, e->at - rnd(e->at < SECOND ? 1 : SECOND), units);
			e->units -= units;
			given += units;
		} else if (bucket_spent(b, now) <= 990) {
			events[events_n].at = now;
			events[events_n].units = 1 + (uint32_t)rnd(10);
			bucket_spend(b, now, events[events_n++].units);
		}
	}
	assert_true(given > 10000);
	bucket_free(b);
}

static void what_is_given_back_at_once_is_there(void **state)
{
	struct bucket *b = bucket_new(60 * SECOND, 10);

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		bucket_spend(b, i * SECOND, 10);
		bucket_give_back(b, i * SECOND + SECOND / 3, i * SECOND, 10);
		assert_int_equal(bucket_spent(b, i * SECOND + SECOND / 3), 0);
	}
	bucket_spend(b, 300 * SECOND, 10);
	bucket_give_back(b, 400 * SECOND, 300 * SECOND, 10);	/* came back by itself */
	bucket_spend(b, 400 * SECOND, 10);
	bucket_give_back(b, 401 * SECOND, 300 * SECOND, 10);
	assert_int_equal(bucket_spent(b, 401 * SECOND), 10);
	bucket_free(b);
}

/* A loop's clock stands still within its turn, so it is behind the world's. */
static void a_clock_that_is_behind_gives_back_too(void **state)
{
	struct bucket *b = bucket_new(64 * SECOND, 10);
	uint64_t now = 1000 * SECOND;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		bucket_spend(b, now, 10);	/* its first cell begins here */
		bucket_give_back(b, now + 5, now - SECOND / 50, 4);
		assert_int_equal(bucket_spent(b, now + 5), 6);
		bucket_give_back(b, now + 3 * SECOND, now - SECOND / 50, 4);
		assert_int_equal(bucket_spent(b, now + 3 * SECOND), 2);
		now += 500 * SECOND;		/* all came back, it begins anew */
	}
	bucket_spend(b, now, 3);
	bucket_give_back(b, now, now - 500 * SECOND, 3);	/* that came back by itself */
	bucket_give_back(b, now, now - 65 * SECOND, 3);
	assert_int_equal(bucket_spent(b, now), 3);
	bucket_free(b);
}

/* ---- kept over a restart */
static struct bucket *copy(const struct bucket *b, uint64_t now, int64_t ended_ago)
{
	uint32_t cells[BUCKET_CELLS];

	for (unsigned age = 0; age < BUCKET_CELLS; age++)
		cells[age] = bucket_cell(b, age);
	return bucket_restore(b->width, now, ended_ago, cells);
}

static void a_restored_bucket_remembers(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 500; round++) {
		struct bucket *b = bucket_new(64 * SECOND, 100), *r;
		uint64_t now = 1000 * SECOND + rnd(SECOND), down = rnd(80 * SECOND), n;

		for (unsigned i = 0; i < 30; i++) {
			n = bucket_spent(b, now);
			bucket_spend(b, now, (uint32_t)rnd(101 - n));
			now += rnd(5 * SECOND);
		}
		/* the clock begins anew; the bucket was idle for as long as nothing ran */
		r = copy(b, 5, (int64_t)(now + down) - (int64_t)b->end);
		assert_int_equal(bucket_spent(r, 5), bucket_spent(b, now + down));
		for (unsigned i = 0; i < 20; i++) {
			n = rnd(70 * SECOND);
			assert_int_equal(bucket_falls_to(r, 5, (uint32_t)i) - 5,
					 bucket_falls_to(b, now + down, (uint32_t)i) - now - down);
		}
		bucket_free(b);
		bucket_free(r);
	}
}

static void what_lies_in_the_future_was_spent_now(void **state)
{
	struct bucket *b = bucket_new(64 * SECOND, 100), *r;

	(void)state;
	bucket_spend(b, 1000 * SECOND, 60);
	bucket_spend(b, 1010 * SECOND, 40);
	r = copy(b, 5, -(int64_t)(86400 * SECOND));
	assert_int_equal(bucket_spent(r, 5), 100);
	assert_int_equal(bucket_falls_to(r, 5, 99), 5 + 55 * SECOND);
	assert_int_equal(bucket_falls_to(r, 5, 0), 5 + 65 * SECOND);
	bucket_free(b);
	bucket_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_more_than_the_limit),
		cmocka_unit_test(what_was_spent_comes_back_in_time),
		cmocka_unit_test(a_burst_of_all_is_allowed),
		cmocka_unit_test(a_clock_that_falls_back_gives_nothing),
		cmocka_unit_test(giving_back_is_never_too_much),
		cmocka_unit_test(what_is_given_back_at_once_is_there),
		cmocka_unit_test(a_clock_that_is_behind_gives_back_too),
		cmocka_unit_test(a_restored_bucket_remembers),
		cmocka_unit_test(what_lies_in_the_future_was_spent_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
