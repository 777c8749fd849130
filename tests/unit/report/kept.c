/*
 * report/kept: written when something changed, not more often than is said, at the end, and after
 * failures; read again; damage told. Actors and clock are the test's own.
 */
#include "report/kept.h"

#include "net/loop.h"
#include "report/log.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct actor {
	actor_step *step;
	void *arg;
	uint64_t due;
	bool woken;
};

static struct world world;
static struct actor actor;
static uint64_t now;
static int64_t wall_ms;
static int sync_error;
static unsigned writes;
static uint64_t write_takes;		/* ns */
static char folder[] = "/tmp/relevo-kept-XXXXXX", path[64];
static FILE *log_file;
static int stderr_before;

/* What is kept: numbers. */
static unsigned numbers[2000], numbers_n, written_n;

static uint64_t the_now(struct world *w)
{
	(void)w;
	return now;
}

static int64_t the_wall(struct world *w)
{
	(void)w;
	return wall_ms;
}

static struct actor *start(struct world *w, const char *name, actor_step *step, void *arg)
{
	(void)w;
	assert_string_equal(name, "numbers");
	actor = (struct actor){ .step = step, .arg = arg };
	return &actor;
}

static void wake(struct world *w, struct actor *a)
{
	(void)w;
	a->woken = true;
}

static void join(struct world *w, struct actor *a)
{
	(void)w;
	assert_true(a->woken);
	assert_true(a->step(a->arg) == STEP_DONE);
}

/* The actor gets its turns until that much time has passed. */
static void pass(uint64_t ns)
{
	uint64_t end = now + ns;

	for (;;) {
		while (actor.woken || actor.due <= now) {
			int64_t rest;

			actor.woken = false;
			rest = actor.step(actor.arg);
			assert_true(rest >= 0);
			actor.due = rest == STEP_IDLE ? UINT64_MAX : now + (uint64_t)rest;
		}
		if (actor.due > end)
			break;
		now = actor.due;
	}
	now = end;
}

static int sync_or_fail(struct world *w, int fd)
{
	now += write_takes;
	return sync_error ? sync_error : world_real()->disk_sync(w, fd);
}

static int count_rename(struct world *w, int dir, const char *from, const char *to)
{
	writes++;
	return world_real()->disk_rename(w, dir, from, to);
}

static bool on_line(void *arg, char *line, size_t n)
{
	struct str f[2];
	uint64_t v;

	assert_ptr_equal(arg, numbers);
	if (fields_split(line, n, f, 2) != 2 || !str_eq(f[0], STR("number")) ||
	    !str_parse_u64(f[1], 1000000, &v))
		return false;
	numbers[numbers_n++] = (unsigned)v;
	return true;
}

static bool some(void *arg, bool first, struct buf *out)
{
	assert_ptr_equal(arg, numbers);
	if (first)
		written_n = 0;
	for (unsigned i = 0; i < 10 && written_n < numbers_n; i++)
		buf_printf(out, "number\t%u\t\n", numbers[written_n++]);
	return written_n < numbers_n;
}

static const struct kept_kind kind = {
	.file = "numbers", .head = "relevo numbers 1", .what = "which numbers there are",
	.size_max = 30000, .every_ns = 10 * SECOND, .line = on_line, .some = some,
};

static int setup(void **state)
{
	(void)state;
	memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/numbers", folder);
	world = *world_real();
	world.now = the_now;
	world.wall_ms = the_wall;
	world.actor_start = start;
	world.actor_wake = wake;
	world.actor_join = join;
	world.disk_sync = sync_or_fail;
	world.disk_rename = count_rename;
	now = 1000 * SECOND;
	wall_ms = 5000000;
	sync_error = 0;
	write_takes = 0;
	numbers_n = writes = 0;
	log_file = tmpfile();
	stderr_before = dup(STDERR_FILENO);
	assert_true(dup2(fileno(log_file), STDERR_FILENO) >= 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
	fclose(log_file);
	unlink(path);
	return rmdir(folder);
}

static unsigned logged(const char *what)
{
	char line[1024];
	unsigned n = 0;

	log_flush();
	rewind(log_file);
	while (fgets(line, sizeof(line), log_file))
		n += strstr(line, what) != NULL;
	fseek(log_file, 0, SEEK_END);
	return n;
}

static void put_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_when_it_is_written(void **state)
{
	struct kept *k = kept_start(&world, folder, &kind, numbers);

	(void)state;
	pass(100 * SECOND);
	assert_int_equal(writes, 0);		/* nothing to say */
	numbers[numbers_n++] = 7;
	kept_changed(k);
	pass(1);
	assert_int_equal(writes, 1);		/* at once after a quiet time */
	for (unsigned i = 0; i < 120; i++) {
		numbers[numbers_n++] = i;
		kept_changed(k);
		pass(SECOND / 10);
	}
	assert_int_equal(writes, 2);		/* then every ten seconds */
	pass(100 * SECOND);
	assert_int_equal(writes, 3);
	numbers[numbers_n++] = 8;
	kept_changed(k);
	kept_stop(k);				/* and what is owed at the end */
	assert_int_equal(writes, 4);
	kept_changed(k);			/* which is the end */
	kept_stop(k);
	kept_free(k);
	assert_int_equal(writes, 4);
	numbers_n = 0;
	k = kept_start(&world, folder, &kind, numbers);
	assert_int_equal(numbers_n, 122);
	assert_int_equal(numbers[121], 8);
	kept_free(k);
	assert_int_equal(writes, 4);
	assert_int_equal(logged("warning"), 0);
}

/* A slow disk is not kept busy: a twentieth of its time at most. */
static void test_slow_disk(void **state)
{
	struct kept *k = kept_start(&world, folder, &kind, numbers);

	(void)state;
	write_takes = 2 * SECOND;		/* each of two syncs */
	numbers_n = 1;
	kept_changed(k);
	pass(5 * SECOND);
	assert_int_equal(writes, 1);
	kept_changed(k);
	pass(70 * SECOND);
	assert_int_equal(writes, 1);
	pass(10 * SECOND);
	assert_int_equal(writes, 2);
	kept_free(k);
}

static void test_failures(void **state)
{
	struct kept *k = kept_start(&world, folder, &kind, numbers);

	(void)state;
	sync_error = -ENOSPC;
	numbers_n = 5;
	kept_changed(k);
	pass(65 * SECOND);
	assert_int_equal(writes, 0);
	assert_int_equal(logged("which numbers there are cannot be recorded"), 1);
	assert_int_equal(logged("No space left"), 1);
	sync_error = 0;
	pass(11 * SECOND);
	assert_int_equal(writes, 1);		/* without another change */
	sync_error = -EIO;
	kept_changed(k);
	kept_stop(k);				/* even now */
	assert_int_equal(logged("cannot be recorded"), 2);
	kept_free(k);
	sync_error = 0;
	numbers_n = 0;
	kept_free(kept_start(&world, folder, &kind, numbers));
	assert_int_equal(numbers_n, 5);
}

static void test_damage(void **state)
{
	static const struct {
		const char *text;
		unsigned n;
		const char *told;		/* NULL: nothing */
	} rows[] = {
		{ "relevo numbers 1\n", 0, NULL },
		{ "relevo numbers 1\nnumber\t1\t\nnumber\t2\t\n", 2, NULL },
		{ "", 0, "lines=1 first=1" },
		{ "relevo numbers 2\nnumber\t1\t\n", 0, "lines=1 first=1" },
		{ "relevo numbers 1\nnumber\t1\t\nnumber\t2\t", 1, "lines=1 first=3" },
		{ "relevo numbers 1\nnumber\t1\t\n\nnumber\t2\nnumber\t3\t\n", 2,
		  "lines=2 first=3" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned before = logged("warning");

		put_file(rows[i].text);
		numbers_n = 0;
		kept_free(kept_start(&world, folder, &kind, numbers));
		if (numbers_n != rows[i].n || logged("warning") != before + !!rows[i].told ||
		    (rows[i].told && !logged(rows[i].told)))
			fail_msg("row %zu: %u", i, numbers_n);
	}
}

static void test_cannot_be_read(void **state)
{
	struct kept *k;

	(void)state;
	assert_null(kept_start(&world, "/nonexistent/folder", &kind, numbers));
	assert_int_equal(logged("which numbers there are is not kept"), 1);
	kept_changed(NULL);
	kept_stop(NULL);
	kept_free(NULL);
	put_file("relevo numbers 1\n");
	assert_return_code(truncate(path, 30001), 0);		/* too large */
	k = kept_start(&world, folder, &kind, numbers);
	assert_non_null(k);
	assert_int_equal(logged("cannot be read"), 1);
	numbers[0] = 9;
	numbers_n = 1;
	kept_changed(k);
	kept_free(k);
	numbers_n = 0;
	kept_free(kept_start(&world, folder, &kind, numbers));
	assert_int_equal(numbers_n, 1);
}

static void test_moments(void **state)
{
	const struct moment t = moment_now(&world);

	(void)state;
	assert_int_equal(moment_to_wall(&t, 0), 0);
	assert_int_equal(moment_to_wall(&t, t.now), wall_ms);
	assert_int_equal(moment_to_wall(&t, t.now + 1), wall_ms + 1);
	assert_int_equal(moment_to_wall(&t, t.now - SECOND), wall_ms - 1000);
	assert_int_equal(moment_ago(&t, wall_ms - 5), 5 * MILLISECOND);
	assert_int_equal(moment_ago(&t, wall_ms + 5), -5 * (int64_t)MILLISECOND);
	assert_true(moment_ago(&t, INT64_MAX) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_when_it_is_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cannot_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moments, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
