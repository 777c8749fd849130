/*
 * schedule/: suspensions - what they stop, what they leave alone, and that they outlive a restart.
 */
#include "unit/schedule/rig.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static void make_folder(void)
{
	snprintf(folder, sizeof(folder), "/tmp/relevo-suspend-XXXXXX");
	assert_non_null(mkdtemp(folder));
	rig_state = folder;
}

static int clear(void **state)
{
	char path[128];
	static const char *const names[] = { "suspended", "suspended.new", "suspended.damaged",
					     "limits", "limits.new", "limits.damaged" };

	(void)state;
	if (!rig_state)
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	rig_state = NULL;
	return rmdir(folder);
}

static void add(unsigned n, const char *routes)
{
	for (unsigned i = 0; i < n; i++) {
		struct message *m = rig_message(1, routes);

		schedule_add(rig.schedule, m);
		message_unref(m);
	}
}

struct change {
	enum suspend_kind kind;
	const char *name;
	bool resume;
	int result;
};

static void change(void *arg)
{
	struct change *c = arg;

	c->result = c->resume ? schedule_resume(rig.schedule, c->kind, str_of(c->name)) :
				schedule_suspend(rig.schedule, c->kind, str_of(c->name),
						 STR("they asked for it"));
}

static int suspend(enum suspend_kind kind, const char *name)
{
	struct change c = { .kind = kind, .name = name };

	rig_call(change, &c);
	return c.result;
}

static int resume(enum suspend_kind kind, const char *name)
{
	struct change c = { .kind = kind, .name = name, .resume = true };

	rig_call(change, &c);
	return c.result;
}

static struct destination_state seen;

static void see(void *arg, const struct destination_state *d)
{
	if (!strcmp(d->name, arg))
		seen = *d;
}

static void look(void *arg)
{
	seen = (struct destination_state){ .name = "" };
	schedule_destinations(rig.schedule, see, arg);
}

static void look_at(const char *name)
{
	rig_call(look, (void *)(uintptr_t)name);
}

/* Each kind stops what it names, what is there and what comes later, and nothing else. */
static void test_kinds(void **state)
{
	static const struct {
		enum suspend_kind kind;
		const char *name, *stopped, *others;
	} rows[] = {
		{ SUSPEND_DESTINATION, "D6.example", "6", "70123" },
		{ SUSPEND_DESTINATION, "r2", "2", "67013" },
		{ SUSPEND_PROVIDER, "p", "67", "80123" },
		{ SUSPEND_ROUTE, "mx", "678", "0123" },
		{ SUSPEND_ROUTE, "r1", "1", "67023" },
		{ SUSPEND_SOURCE, "s0", "0123", "678" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t done;

		print_message("%s %s\n", suspend_kind_name(rows[i].kind), rows[i].name);
		rig_open(2);
		rig.config_more = "source s0 address 192.0.2.1\n";
		rig.route_more = "source s0";
		rig_reconfigure(ROUTES);
		rig.providers[6] = rig.providers[7] = name_intern(STR("p"));
		rig.work_ns = 100 * MILLISECOND;
		add(8, rows[i].stopped);
		stepped_run(MINUTE);
		done = rig.jobs_done;
		assert_int_equal(suspend(rows[i].kind, rows[i].name), 0);
		assert_int_equal(suspend(rows[i].kind, rows[i].name), -EALREADY);
		add(8, rows[i].others);
		stepped_run(MINUTE);
		assert_int_equal(rig.jobs_done, done + 8);
		for (const char *c = rows[i].stopped; *c; c++) {
			char one[2] = { *c };

			add(1, one);
		}
		stepped_run(HOUR);
		assert_int_equal(rig.jobs_done, done + 8);
		assert_int_equal(resume(rows[i].kind, rows[i].name), 0);
		assert_int_equal(resume(rows[i].kind, rows[i].name), -EALREADY);
		stepped_run(MINUTE);
		assert_int_equal(rig.jobs_done, done + 8 + strlen(rows[i].stopped));
		rig_close();
	}
}

/* In the midst of work: slots end after the job they have. */
static void test_slots_end(void **state)
{
	(void)state;
	rig_open(3);
	rig.work_ns = SECOND;
	add(1000, "3");
	stepped_run(2500 * MILLISECOND);
	assert_int_equal(suspend(SUSPEND_ROUTE, "r3"), 0);
	stepped_run(MINUTE);
	assert_in_range(rig.jobs_done, 40, 80);
	look_at("r3");
	assert_int_equal(seen.status, DESTINATION_SUSPENDED);
	assert_int_equal(seen.slots, 0);
	assert_string_equal(seen.said, "route r3 is suspended: they asked for it");
	assert_int_equal(resume(SUSPEND_ROUTE, "r3"), 0);
	stepped_run(MINUTE);
	assert_int_equal(rig.jobs_done, 1000);
	rig_close();
}

struct job_question {
	struct message *m;
	struct job_state state;
};

static void ask(void *arg)
{
	struct job_question *q = arg;

	assert_true(schedule_job_state(rig.schedule, q->m, 0, &q->state));
}

/* D9: the sender is warned, and gets it back in the end. */
static void test_deadlines(void **state)
{
	struct job_question q = { 0 };

	(void)state;
	rig_open(2);
	assert_int_equal(suspend(SUSPEND_DESTINATION, "d6.example"), 0);
	q.m = rig_message(1, "6");
	schedule_add(rig.schedule, q.m);
	stepped_run(SECOND);
	rig_call(ask, &q);
	assert_string_equal(q.state.state, "suspended");
	stepped_run(5 * HOUR);
	assert_int_equal(rig.deadlines, 1);
	stepped_run(116 * HOUR);
	assert_int_equal(rig.deadlines, 2);
	assert_true(rig_is_done(q.m));
	message_unref(q.m);
	rig_close();
}

static unsigned listed_n;
static char listed[1000];

static void list(void *arg, const struct suspension *x)
{
	size_t n = strlen(listed);

	(void)arg;
	listed_n++;
	snprintf(listed + n, sizeof(listed) - n, "%s|%s|%s|%lld\n", suspend_kind_name(x->kind),
		 x->name, x->why, (long long)x->since_ms);
}

static const char *list_all(void)
{
	listed_n = 0;
	listed[0] = 0;
	schedule_suspensions(rig.schedule, list, NULL);
	return listed;
}

static void test_restart(void **state)
{
	char before[sizeof(listed)];

	(void)state;
	make_folder();
	rig_open(2);
	assert_int_equal(suspend(SUSPEND_DESTINATION, "d6.example"), 0);
	assert_int_equal(suspend(SUSPEND_ROUTE, "a b%c\xc3\xa9"), 0);
	assert_int_equal(suspend(SUSPEND_PROVIDER, "p"), 0);
	assert_int_equal(resume(SUSPEND_PROVIDER, "p"), 0);
	str_copy(before, sizeof(before), str_of(list_all()));
	assert_int_equal(listed_n, 2);
	rig_close();
	rig_open(2);
	assert_string_equal(list_all(), before);
	add(10, "6");
	stepped_run(HOUR);
	assert_int_equal(rig.jobs_done, 0);
	assert_int_equal(resume(SUSPEND_DESTINATION, "d6.example"), 0);
	stepped_run(MINUTE);
	assert_int_equal(rig.jobs_done, 10);
	rig_close();
	rig_open(1);
	list_all();
	assert_int_equal(listed_n, 1);
	rig_close();
}

static void write_file(const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/suspended", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static bool has_file(const char *name)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return stat(path, &st) == 0;
}

/* What cannot be read is left aside; the rest counts, then and after the next start. */
static void test_damage(void **state)
{
	static const struct {
		const char *text;
		unsigned n;
		bool damaged;
	} rows[] = {
		{ "", 0, true },
		{ "relevo suspended 2\nroute r 1 why\n", 0, true },
		{ "relevo suspended 1\n", 0, false },
		{ "relevo suspended 1\nroute 1 r2 \nroute 1 r3 x y\n", 2, false },
		{ "relevo suspended 1\nroute 1 r2 \nroute 1 r2 \n", 1, true },
		{ "relevo suspended 1\nroute 1 r2 \nroute 1 r3", 1, true },
		{ "relevo suspended 1\nroad 1 r2 \nroute 1 r3 x\n", 1, true },
		{ "relevo suspended 1\nroute -1 r2 \n", 0, true },
		{ "relevo suspended 1\nroute 1\n", 0, true },
		{ "relevo suspended 1\nroute 1 r%2\n", 0, true },
		{ "relevo suspended 1\nroute 1 r%00 x\n", 0, true },
		{ "relevo suspended 1\n\n", 0, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%zu\n", i);
		make_folder();
		write_file(rows[i].text);
		rig_open(1);
		list_all();
		assert_int_equal(listed_n, rows[i].n);
		assert_int_equal(has_file("suspended.damaged"), rows[i].damaged);
		rig_close();
		rig_open(1);
		list_all();
		assert_int_equal(listed_n, rows[i].n);
		rig_close();
		assert_int_equal(clear(NULL), 0);
	}
}

static int failing;		/* counts down disk calls; the one at 0 fails */

static int fail_sync(struct world *w, int fd)
{
	return failing-- == 0 ? -EIO : world_real()->disk_sync(w, fd);
}

static int fail_rename(struct world *w, int dir, const char *from, const char *to)
{
	return failing-- == 0 ? -ENOSPC : world_real()->disk_rename(w, dir, from, to);
}

static ssize_t fail_write(struct world *w, int fd, const struct iovec *iov, int n, uint64_t at)
{
	return failing-- == 0 ? -ENOSPC : world_real()->disk_pwritev(w, fd, iov, n, at);
}

/* Each of the disk's calls may fail: then nothing is suspended, and it can be tried again. */
static void test_disk_fails(void **state)
{
	int r = -1;

	(void)state;
	make_folder();
	rig_open(2);
	stepped.world.disk_sync = fail_sync;
	stepped.world.disk_rename = fail_rename;
	stepped.world.disk_pwritev = fail_write;
	for (int i = 0; i < 4; i++) {
		failing = i;
		r = suspend(SUSPEND_ROUTE, "r2");
		assert_true(r == -EIO || r == -ENOSPC);
		list_all();
		assert_int_equal(listed_n, 0);
	}
	failing = 4;
	assert_int_equal(suspend(SUSPEND_ROUTE, "r2"), 0);
	list_all();
	assert_int_equal(listed_n, 1);
	failing = -1;
	rig_close();
}

static void test_bad_names(void **state)
{
	char name[NAME_OCTETS_MAX + 2];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = 0;
	rig_open(1);
	assert_int_equal(suspend(SUSPEND_ROUTE, ""), -EINVAL);
	assert_int_equal(suspend(SUSPEND_ROUTE, name), -EINVAL);
	assert_int_equal(suspend(SUSPEND_ROUTE, "a\nb"), -EINVAL);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_slots_end),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test_teardown(test_restart, clear),
		cmocka_unit_test_teardown(test_damage, clear),
		cmocka_unit_test_teardown(test_disk_fails, clear),
		cmocka_unit_test(test_bad_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
