/*
 * What was spent, kept over restarts: STATE/limits whole, old, damaged, and not writable.
 */
#include "unit/schedule/limits_rig.h"

#include <errno.h>
#include <sys/stat.h>

static char folder[64], path[96];

static void limits_of_this_test(void)
{
	static const uint32_t days[] = { 3, 1000 };
	struct source *s;

	rig_limit("limit 10/min messages per destination", LIMIT_MESSAGES, 10, MINUTE,
		  LIMIT_PER_DESTINATION);
	rig_limit("limit 100/day messages to domain \"a%b\" evenly", LIMIT_MESSAGES, 100, DAY,
		  LIMIT_PER_SOURCE);
	rig_limit("limit 1000/s messages per route", LIMIT_MESSAGES, 1000, SECOND, LIMIT_PER_ROUTE);
	s = rig_source("x");
	s->warm_up = days;
	s->warm_up_n = 2;
	s->warm_up_from_day = DAY_ZERO;
}

static void open_with_state(void)
{
	rig_open();
	rig.config->limits_n = 0;
	snprintf(folder, sizeof(folder), "/tmp/limits-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/limits", folder);
	limits_of_this_test();
	rig.config->limits_n = 1;		/* most tests need no more */
	rig.config->sources_n = 0;
	rig_start(folder);
}

/* The process ends and starts: its clock begins anew, the wall clock went on. */
static void restart_after(uint64_t ns)
{
	rig_stop();
	stepped.wall_offset_ms += (int64_t)((stepped.now + ns) / MILLISECOND);
	stepped.now = 0;
	rig_start(folder);
}

static void close_with_state(void)
{
	rig_close();
	unlink(path);
	assert_return_code(rmdir(folder), 0);
}

static void write_file(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static char *read_file(void)
{
	static char text[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	close(fd);
	return text;
}

static unsigned passes_many(struct way *w)
{
	unsigned n = 0;

	while (n < 5000 && passes(w, NULL))
		n++;
	return n;
}

static void what_was_spent_stays_spent(void **state)
{
	struct way *w;

	(void)state;
	open_with_state();
	w = rig_way("a.example", NULL, NULL);
	for (unsigned i = 0; i < 4; i++)
		assert_true(passes(w, NULL));
	stepped_run(30 * SECOND);
	for (unsigned i = 0; i < 4; i++)
		assert_true(passes(w, NULL));
	way_unref(w);
	restart_after(10 * SECOND);
	w = rig_way("a.example", NULL, NULL);
	assert_int_equal(passes_many(w), 2);
	way_unref(w);
	restart_after(21 * SECOND);		/* the first four are back */
	w = rig_way("a.example", NULL, NULL);
	assert_int_equal(passes_many(w), 4);
	way_unref(w);
	restart_after(30 * SECOND);
	restart_after(SECOND);			/* twice without anybody who asks */
	w = rig_way("a.example", NULL, NULL);
	assert_int_equal(passes_many(w), 4);
	way_unref(w);
	restart_after(DAY);
	w = rig_way("a.example", NULL, NULL);
	assert_int_equal(passes_many(w), 10);
	way_unref(w);
	assert_int_equal(rig_logged("warning"), 0);
	close_with_state();
}

static void it_is_written_every_few_seconds(void **state)
{
	struct stat before, after;
	struct way *w;

	(void)state;
	open_with_state();
	w = rig_way("a.example", NULL, NULL);
	stepped_run(6 * SECOND);
	assert_int_equal(stat(path, &before), -1);	/* nothing was spent */
	assert_true(passes(w, NULL));
	stepped_run(6 * SECOND);
	assert_return_code(stat(path, &before), 0);
	assert_int_equal(before.st_mode & 0777, 0600);
	stepped_run(10 * SECOND);
	assert_return_code(stat(path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);	/* nothing changed */
	assert_true(passes(w, NULL));
	stepped_run(6 * SECOND);
	assert_return_code(stat(path, &after), 0);
	assert_int_not_equal(after.st_ino, before.st_ino);
	assert_non_null(strstr(read_file(), "relevo limits 1\nrate\t"));
	way_unref(w);
	close_with_state();
}

static void short_periods_are_not_kept(void **state)
{
	struct way *w;

	(void)state;
	open_with_state();
	rig.config->limits_n = 3;
	limits_reload(rig.limits, rig.config);
	w = rig_way("a.example", NULL, NULL);
	assert_true(passes(w, NULL));
	way_unref(w);
	stepped_run(6 * SECOND);
	assert_non_null(strstr(read_file(), "10/min"));
	assert_non_null(strstr(read_file(), "100/day messages to domain \"a%25b\" evenly"));
	assert_null(strstr(read_file(), "1000/s"));
	close_with_state();
}

static void evenly_stays_even(void **state)
{
	struct way *w;

	(void)state;
	open_with_state();
	rig.limits_of[0] = rig.limits_of[1];
	rig.limits_of[0].evenly = true;
	limits_reload(rig.limits, rig.config);
	w = rig_way("a.example", NULL, "s");
	assert_true(passes(w, NULL));
	way_unref(w);
	restart_after(10 * MINUTE);
	w = rig_way("a.example", NULL, "s");
	assert_in_range(way_opens_at(w, stepped.now), 4 * MINUTE, DAY / 100 - 10 * MINUTE + SECOND);
	way_unref(w);
	close_with_state();
}

static void a_warm_up_goes_on_that_day_only(void **state)
{
	struct way *w;

	(void)state;
	open_with_state();
	rig.config->limits_n = 0;
	rig.config->sources_n = 1;
	limits_reload(rig.limits, rig.config);
	w = rig_way("a.example", NULL, "x");
	assert_true(passes(w, NULL));
	assert_true(passes(w, NULL));
	way_unref(w);
	restart_after(HOUR);
	w = rig_way("a.example", NULL, "x");
	assert_int_equal(passes_many(w), 1);
	way_unref(w);
	restart_after(DAY);
	w = rig_way("a.example", NULL, "x");
	assert_int_equal(passes_many(w), 1000);
	way_unref(w);
	/* it was set back: what was sent, was sent */
	stepped.wall_offset_ms -= 3 * 86400000ll;
	restart_after(0);
	w = rig_way("a.example", NULL, "x");
	assert_int_equal(passes_many(w), 0);
	way_unref(w);
	close_with_state();
}

static void a_clock_that_was_set_back_gives_nothing(void **state)
{
	struct way *w;

	(void)state;
	open_with_state();
	w = rig_way("a.example", NULL, NULL);
	assert_int_equal(passes_many(w), 10);
	way_unref(w);
	stepped.wall_offset_ms -= 400ll * 86400000;
	restart_after(0);
	w = rig_way("a.example", NULL, NULL);
	assert_int_equal(passes_many(w), 0);
	stepped_run(MINUTE + 2 * SECOND);
	assert_int_equal(passes_many(w), 10);
	way_unref(w);
	close_with_state();
}

#define GOOD_TAIL "mx\t-\t-\ta.example\tlimit 10/min messages per destination\t\n"

static void damaged_lines_are_left_out(void **state)
{
	static const char *const damaged[] = {
		"",
		"nonsense",
		"rate\t937500000\t1728000000000\t0\t0:3\t" "mx\t-\t-\ta.example\t",
		"rate\t0\t1728000000000\t0\t0:3\t" GOOD_TAIL,
		"rate\t937500000\t1728000000000\t0\t65:3\t" GOOD_TAIL,
		"rate\t937500000\t1728000000000\t0\t0:4294967296\t" GOOD_TAIL,
		"rate\t937500000\t1728000000000\t0\t0:4294967295,1:9\t" GOOD_TAIL,
		"rate\t937500000\t1728000000000\t0\t0,3\t" GOOD_TAIL,
		"rate\t937500000\tx\t0\t0:3\t" GOOD_TAIL,
		"rate\t937500000\t1728000000000\t0\t0:3\t%G0\t-\t-\ta\tb\t\n",
		"rate\t937500000\t1728000000000\t0\t0:3\tmx\t-\t-\ta%2\tb\t\n",
		"rate\t937500000\t1728000000000\t0\t0:3\t-\t-\t-\t-\t-\t\n",
		"rate\t937500000\t1728000000000\t0\t0:3\textra\t" GOOD_TAIL,
		"day\t20000\t3\t-\t-\tx\t-\t\n",
		"day\t20000\t3\t-\t-\tx\t-\tlimit 10/min messages per destination\t\n",
		"hour\t20000\t3\t-\t-\tx\t-\ty\t\n",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		char text[1024];
		struct way *w;

		open_with_state();
		rig_stop();
		snprintf(text, sizeof(text),
			 "relevo limits 1\nrate\t937500000\t1728000000000\t0\t0:7\t" GOOD_TAIL
			 "%s%s", damaged[i],
			 damaged[i][0] && damaged[i][strlen(damaged[i]) - 1] == '\n' ? "" : "\n");
		write_file(text);
		stepped.wall_offset_ms = -(int64_t)(stepped.now / MILLISECOND);
		/* limits_new reads it when it knows the limits, or not yet */
		config_set_current(i % 2 ? config_ref(rig.config) : NULL);
		rig_start(folder);
		w = rig_way("a.example", NULL, NULL);
		if (passes_many(w) != 3)
			fail_msg("beside \"%s\"", damaged[i]);
		if (rig_logged("warning text=\"the record") != 1 ||
		    rig_logged("lines=1 first=3") != 1)
			fail_msg("the log does not tell of \"%s\"", damaged[i]);
		way_unref(w);
		config_set_current(NULL);
		close_with_state();
	}
}

static void other_formats_are_left_alone(void **state)
{
	static const char *const texts[] = {
		"relevo limits 2\nsomething new\n", "\n", "relevo limits 1", "\0",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct way *w;

		open_with_state();
		rig_stop();
		write_file(texts[i]);
		rig_start(folder);
		w = rig_way("a.example", NULL, NULL);
		assert_int_equal(passes_many(w), 10);
		assert_int_equal(rig_logged("warning"), i != 2);
		way_unref(w);
		close_with_state();
	}
}

static void a_failed_write_is_told_once_and_tried_again(void **state)
{
	struct way *w;

	(void)state;
	open_with_state();
	w = rig_way("a.example", NULL, NULL);
	assert_true(passes(w, NULL));
	rig.disk_error = -ENOSPC;
	stepped_run(MINUTE);
	assert_int_equal(rig_logged("warning"), 1);
	assert_int_equal(rig_logged("No space left"), 1);
	assert_string_equal(read_file(), "");
	rig.disk_error = 0;
	assert_true(passes(w, NULL));
	stepped_run(6 * SECOND);
	assert_non_null(strstr(read_file(), "rate\t"));
	way_unref(w);
	close_with_state();
}

static void a_missing_folder_is_told(void **state)
{
	struct way *w;

	(void)state;
	rig_open();
	rig_limit("limit 10/min messages per destination", LIMIT_MESSAGES, 10, MINUTE,
		  LIMIT_PER_DESTINATION);
	rig_start("/nonexistent/folder");
	assert_int_equal(rig_logged("warning"), 1);
	w = rig_way("a.example", NULL, NULL);
	assert_int_equal(passes_many(w), 10);
	way_unref(w);
	rig_close();
}

/* Many lines: written piece by piece, read as a whole. */
static void thousands_are_kept(void **state)
{
	struct way *w;
	char name[32];

	(void)state;
	open_with_state();
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "d%u.example", i);
		w = rig_way(name, NULL, NULL);
		for (unsigned k = 0; k <= i % 10; k++)
			assert_true(passes(w, NULL));
		way_unref(w);
	}
	restart_after(SECOND);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "d%u.example", i);
		w = rig_way(name, NULL, NULL);
		assert_int_equal(passes_many(w), 9 - i % 10);
		way_unref(w);
	}
	assert_int_equal(rig_logged("warning"), 0);
	close_with_state();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_spent_stays_spent),
		cmocka_unit_test(it_is_written_every_few_seconds),
		cmocka_unit_test(short_periods_are_not_kept),
		cmocka_unit_test(evenly_stays_even),
		cmocka_unit_test(a_warm_up_goes_on_that_day_only),
		cmocka_unit_test(a_clock_that_was_set_back_gives_nothing),
		cmocka_unit_test(damaged_lines_are_left_out),
		cmocka_unit_test(other_formats_are_left_alone),
		cmocka_unit_test(a_failed_write_is_told_once_and_tried_again),
		cmocka_unit_test(a_missing_folder_is_told),
		cmocka_unit_test(thousands_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
