/* greylist: triples, senders that change, good networks, bounds, the file and its damage. */
#include "policy/greylist.h"

#include "base/hash.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEC 1000ll
#define T0 (1000000 * SEC)

static const struct greylist_times times = { .delay_ms = 300 * SEC, .window_ms = 3600 * SEC,
					     .pass_ms = 86400 * SEC };

static struct greylist_triple triple(const char *ip, const char *sender, const char *recipient)
{
	struct greylist_triple t = { .sender = str_of(sender), .recipient = str_of(recipient) };

	assert_true(ip_parse(str_of(ip), &t.client));
	return t;
}

static int ask(struct greylist *g, const char *ip, const char *sender, const char *recipient,
	       int64_t now)
{
	const struct greylist_triple t = triple(ip, sender, recipient);
	uint64_t seconds;

	return (int)greylist_ask(g, &times, &t, now, &seconds);
}

static void test_life(void **state)
{
	struct greylist *g = greylist_new(100, 100);
	const struct greylist_triple t = triple("192.0.2.1", "a@a.example", "b@b.example");
	uint64_t seconds = 0;

	(void)state;
	assert_int_equal(greylist_ask(g, &times, &t, T0, &seconds), GREYLIST_WAIT);
	assert_int_equal(seconds, 300);
	assert_int_equal(greylist_ask(g, &times, &t, T0 + 100500, &seconds), GREYLIST_WAIT);
	assert_int_equal(seconds, 200);
	assert_int_equal(greylist_ask(g, &times, &t, T0 + 300 * SEC - 1, &seconds), GREYLIST_WAIT);
	assert_int_equal(seconds, 1);
	assert_int_equal(greylist_ask(g, &times, &t, T0 + 300 * SEC, &seconds), GREYLIST_PASSED);
	assert_int_equal(greylist_ask(g, &times, &t, T0 + 301 * SEC, &seconds), GREYLIST_PASS);
	/* each use begins the time anew */
	assert_int_equal(greylist_ask(g, &times, &t, T0 + 86000 * SEC, &seconds), GREYLIST_PASS);
	assert_int_equal(greylist_ask(g, &times, &t, T0 + 172000 * SEC, &seconds), GREYLIST_PASS);
	assert_int_equal(greylist_ask(g, &times, &t, T0 + 258400 * SEC, &seconds), GREYLIST_WAIT);
	assert_int_equal(seconds, 300);
	greylist_free(g);
}

/* Too late is a first attempt; a clock that went back is no trap. */
static void test_window_and_clock(void **state)
{
	struct greylist *g = greylist_new(100, 100);

	(void)state;
	assert_int_equal(ask(g, "192.0.2.1", "a@a", "b@b", T0), GREYLIST_WAIT);
	assert_int_equal(ask(g, "192.0.2.1", "a@a", "b@b", T0 + 3900 * SEC), GREYLIST_WAIT);
	assert_int_equal(ask(g, "192.0.2.1", "a@a", "b@b", T0 + 4200 * SEC), GREYLIST_PASSED);
	assert_int_equal(ask(g, "192.0.2.1", "x@a", "b@b", T0), GREYLIST_WAIT);
	assert_int_equal(ask(g, "192.0.2.1", "x@a", "b@b", T0 - 9000 * SEC), GREYLIST_WAIT);
	assert_int_equal(ask(g, "192.0.2.1", "x@a", "b@b", T0 - 8700 * SEC), GREYLIST_PASSED);
	greylist_free(g);
}

static void test_who_is_the_same(void **state)
{
	static const struct {
		const char *ip, *sender, *recipient;
		int answer;
	} cases[] = {
		{ "192.0.2.99", "news-1@lists.example", "b@b.example", GREYLIST_PASSED },
		{ "192.0.2.99", "NEWS-77@Lists.Example", "B@b.example", GREYLIST_PASS },
		{ "192.0.3.1", "news-1@lists.example", "b@b.example", GREYLIST_WAIT },
		{ "192.0.2.1", "news-1@lists.example", "c@b.example", GREYLIST_WAIT },
		{ "192.0.2.1", "views-1@lists.example", "b@b.example", GREYLIST_WAIT },
		{ "192.0.2.1", "news-1@lists2.example", "b@b.example", GREYLIST_WAIT },
		{ "192.0.2.1", "", "b@b.example", GREYLIST_WAIT },
		{ "2001:db8::1", "news-1@lists.example", "b@b.example", GREYLIST_WAIT },
	};
	struct greylist *g = greylist_new(100, 100);

	(void)state;
	ask(g, "192.0.2.1", "news-1@lists.example", "b@b.example", T0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (ask(g, cases[i].ip, cases[i].sender, cases[i].recipient, T0 + 400 * SEC) !=
		    cases[i].answer)
			fail_msg("case %zu", i);
	/* the null sender passes per recipient; IPv6 by its /64 */
	assert_int_equal(ask(g, "192.0.2.1", "", "b@b.example", T0 + 800 * SEC), GREYLIST_PASSED);
	assert_int_equal(ask(g, "192.0.2.1", "", "c@b.example", T0 + 800 * SEC), GREYLIST_WAIT);
	assert_int_equal(ask(g, "2001:db8::abcd", "news-9@lists.example", "b@b.example",
			     T0 + 800 * SEC), GREYLIST_PASSED);
	greylist_free(g);
}

static void test_senders(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "a@b.example", "a@b.example" },
		{ "A.B@C.Example", "a.b@c.example" },
		{ "bounce-12345-joe=example.org@list.example",
		  "bounce-#-joe=example.org@list.example" },
		{ "prvs=19f3dJK=anna@a.example", "prvs=#=anna@a.example" },
		{ "SRS0=HHH1=TT2=orig.example=user@fwd.example",
		  "#=#=#=orig.example=user@fwd.example" },
		{ "user2@host3.example", "#@host3.example" },
		{ "\"a 1\"@b", "\"a #\"@b" },
		{ "", "" },
		{ "postmaster", "postmaster" },
		{ "@", "@" },
		{ "1", "#" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = BUF_INIT(512);

		greylist_sender(str_of(cases[i].from), &b);
		assert_str_equal(buf_str(&b), str_of(cases[i].to));
		buf_done(&b);
	}
}

static struct greylist_triple named(const char *ip, const char *name, const char *sender)
{
	struct greylist_triple t = triple(ip, sender, "r@r.example");

	t.name = str_of(name);
	return t;
}

static void test_good_networks(void **state)
{
	static const struct {
		const char *ip, *name;
		int answer;
	} cases[] = {
		{ "192.0.2.1", "mta1.sender.example", GREYLIST_PASS },
		{ "192.0.2.77", "mta2.sender.example", GREYLIST_PASS },	/* its neighbour */
		{ "192.0.2.77", "mta2.other.example", GREYLIST_WAIT },
		{ "192.0.2.77", "", GREYLIST_WAIT },
		{ "192.0.3.1", "mta1.sender.example", GREYLIST_WAIT },
	};
	struct greylist *g = greylist_new(100, 100);
	struct ip ip = triple("192.0.2.1", "", "").client;
	uint64_t seconds;

	(void)state;
	greylist_good(g, &times, &ip, STR_NONE, T0);
	for (unsigned i = 0; i < GREYLIST_GOOD; i++) {
		assert_false(greylist_is_good(g, &ip, STR("mta1.sender.example"), T0));
		greylist_good(g, &times, &ip, STR("mta1.sender.example"), T0);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct greylist_triple t = named(cases[i].ip, cases[i].name, "never@seen.example");

		if ((int)greylist_ask(g, &times, &t, T0, &seconds) != cases[i].answer)
			fail_msg("case %zu", i);
	}
	/* forgotten when it has not sent for long: then it is to earn it again */
	assert_true(greylist_is_good(g, &ip, STR("mta1.sender.example"), T0 + 86399 * SEC));
	assert_false(greylist_is_good(g, &ip, STR("mta1.sender.example"), T0 + 86400 * SEC));
	greylist_good(g, &times, &ip, STR("mta1.sender.example"), T0 + 86400 * SEC);
	assert_false(greylist_is_good(g, &ip, STR("mta1.sender.example"), T0 + 86400 * SEC));
	greylist_free(g);
}

static void test_bounded(void **state)
{
	struct greylist *g = greylist_new(50, 20);
	struct greylist_stats stats;
	char sender[32], name[32];
	struct ip ip = triple("192.0.2.1", "", "").client;

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(sender, sizeof(sender), "%c%c%c@x.example", 'a' + (int)(i / 676),
			 'a' + (int)(i / 26 % 26), 'a' + (int)(i % 26));
		snprintf(name, sizeof(name), "m.d%u.example", i);
		ask(g, "192.0.2.1", sender, "b@b", T0 + i);
		greylist_good(g, &times, &ip, str_of(name), T0);
		ask(g, "192.0.2.1", "keep@x.example", "b@b", T0 + i);	/* used all the time */
	}
	greylist_stats(g, &stats);
	assert_int_equal(stats.triples, 50);
	assert_int_equal(stats.networks, 20);
	assert_int_equal(ask(g, "192.0.2.1", "keep@x.example", "b@b", T0 + 300 * SEC),
			 GREYLIST_PASSED);
	greylist_free(g);
}

/* ---- the file */

static char folder[] = "/tmp/relevo-greylist-XXXXXX";

static char path[64];
static struct world world;
static int64_t wall_ms;

static int64_t the_wall(struct world *w)
{
	(void)w;
	return wall_ms;
}

static struct greylist *keeping(unsigned triples)
{
	struct greylist *g = greylist_new(triples, 100);

	world = *world_real();
	world.wall_ms = the_wall;
	wall_ms = T0;
	greylist_keep(g, &world, folder);
	return g;
}

static void test_file(void **state)
{
	struct greylist *g = keeping(3000);
	struct ip ip = triple("192.0.2.1", "", "").client;
	struct greylist_stats stats;
	char sender[32];

	(void)state;
	ask(g, "192.0.2.1", "waits@x.example", "b@b", T0);
	ask(g, "192.0.2.1", "passed@x.example", "b@b", T0 - 400 * SEC);
	ask(g, "192.0.2.1", "passed@x.example", "b@b", T0);
	ask(g, "192.0.2.1", "old@x.example", "b@b", T0 - 3000000 * SEC);
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(sender, sizeof(sender), "x%c%c%c@x", 'a' + (int)(i / 676),
			 'a' + (int)(i / 26 % 26), 'a' + (int)(i % 26));
		ask(g, "192.0.2.1", sender, "b@b", T0);
	}
	for (unsigned i = 0; i < GREYLIST_GOOD; i++)
		greylist_good(g, &times, &ip, STR("m.good.example"), T0);
	greylist_stop(g);
	greylist_free(g);
	g = keeping(3000);
	greylist_stats(g, &stats);
	assert_int_equal(stats.triples, 2002);	/* without the old one */
	assert_int_equal(stats.networks, 1);
	assert_int_equal(ask(g, "192.0.2.1", "passed@x.example", "b@b", T0), GREYLIST_PASS);
	assert_int_equal(ask(g, "192.0.2.1", "waits@x.example", "b@b", T0 + 299 * SEC),
			 GREYLIST_WAIT);
	assert_int_equal(ask(g, "192.0.2.1", "waits@x.example", "b@b", T0 + 300 * SEC),
			 GREYLIST_PASSED);
	assert_true(greylist_is_good(g, &ip, STR("m.good.example"), T0));
	greylist_free(g);
}

/* Each octet of a file changed, and each length: nothing breaks, and the bounds hold. */
static void test_damage(void **state)
{
	struct greylist *g;
	struct greylist_stats stats;
	char octets[4096];
	ssize_t n;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/greylist", folder);
	unlink(path);
	g = keeping(10);
	ask(g, "192.0.2.1", "a@x.example", "b@b", T0);
	ask(g, "192.0.2.2", "b@x.example", "b@b", T0);
	greylist_free(g);
	fd = open(path, O_RDWR);
	n = read(fd, octets, sizeof(octets));
	assert_in_range(n, 100, sizeof(octets) - 1);
	for (ssize_t i = 0; i < 2 * n; i++) {
		if (i < n)
			octets[i] = (char)(octets[i] ^ 0x41);
		else
			assert_int_equal(ftruncate(fd, 2 * n - i - 1), 0);
		assert_true(i >= n || pwrite(fd, octets, (size_t)n, 0) == n);
		g = keeping(10);
		greylist_stats(g, &stats);
		assert_in_range(stats.triples + stats.networks, 0, 3);
		greylist_free(g);
		if (i < n)
			octets[i] = (char)(octets[i] ^ 0x41);
		if (i == n - 1)
			assert_int_equal(pwrite(fd, octets, (size_t)n, 0), n);
	}
	close(fd);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_window_and_clock),
		cmocka_unit_test(test_who_is_the_same),
		cmocka_unit_test(test_senders),
		cmocka_unit_test(test_good_networks),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_damage),
	};

	if (!mkdtemp(folder))
		return 1;
	hash_seed(3, 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
