/*
 * users: the file's format with all that may be wrong in it, reloading, passwords in the pool
 * behind the gate, SCRAM secrets real and made up, and who may send as whom.
 */
#include "policy/users.h"

#include "net/loop.h"
#include "unit/net/run.h"

#include <crypt.h>
#include <fcntl.h>
#include <stdatomic.h>

/* bcrypt of the least cost, which is quick: "sesame" */
#define SETTING "$2b$04$abcdefghijklmnopqrstuu"
#define SCRAM                                                                                      \
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=" \
	":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static char hash[CRYPT_OUTPUT_SIZE];
static const unsigned char key[USERS_KEY] = "a key of thirty-two octets, all";

static void make_hash(void)
{
	struct crypt_data data = {0};
	const char *made = crypt_rn("sesame", SETTING, &data, sizeof(data));

	assert_non_null(made);
	str_copy(hash, sizeof(hash), str_of(made));
}

/* The word H in a text stands for the hash, S for the SCRAM secret. */
static struct users *parse(const char *text, struct buf *errors)
{
	struct buf b = BUF_INIT(1 << 20);
	struct users *u;

	for (const char *p = text; *p; p++) {
		bool is_word = p > text && strchr(" \t", p[-1]) && strchr(" \t\n", p[1]);

		if (is_word && *p == 'H')
			buf_add_str(&b, str_of(hash));
		else if (is_word && *p == 'S')
			buf_add_str(&b, STR(SCRAM));
		else
			buf_add_byte(&b, *p);
	}
	u = users_parse("users", buf_str(&b), errors);
	buf_done(&b);
	return u;
}

static void test_format(void **state)
{
	struct buf errors = BUF_INIT(4096);
	struct users *u =
		parse("# people\n\n  \t\nanna@example.org H S\nprinter\tH  from a@b.example "
		      ".c.example\nbert H disabled from *\n  late H S disabled",
		      &errors);
	const struct user *user;

	(void)state;
	assert_int_equal(errors.n, 0);
	assert_non_null(u);
	assert_int_equal(users_count(u), 4);
	user = users_find(u, STR("ANNA@Example.org"));
	assert_non_null(user);
	assert_str_equal(user->name, STR("anna@example.org"));
	assert_true(user->scram_sha_256 && !user->scram_sha_1 && !user->disabled);
	assert_int_equal(user->line, 4);
	assert_true(users_find(u, STR("bert"))->disabled);
	assert_true(users_find(u, STR("bert"))->sends_as_anybody);
	assert_true(users_at(u, 3)->disabled);
	assert_null(users_find(u, STR("anna")));
	assert_null(users_find(u, STR("")));
	users_unref(u);
	u = parse("", &errors);
	assert_non_null(u);
	assert_int_equal(users_count(u), 0);
	users_unref(u);
	buf_done(&errors);
}

static void test_bad_lines(void **state)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{"anna", "hash"},
		{"anna secret", "hash"},
		{"anna x:y", "hash"},
		{"anna $9$nosuchmethod", "hash"},
		{"anna abJnggxhB/yWI", "hash"}, /* DES */
		{"anna H nonsense", "behind the hash"},
		{"anna H H", "behind the hash"},
		{"anna H SCRAM-SHA-512$1:a$b:c", "behind the hash"},
		{"anna H SCRAM-SHA-256$1:a$b:c", "malformed"},
		{"anna H S S", "two SCRAM"},
		{"anna H from", "followed by senders"},
		{"anna H from a@b@", "behind \"from\""},
		{"anna H from 10.0.0.0/8", "not networks"},
		{"anna H from a.example disabled/x", "behind \"from\""},
		{"an\x01na H", "name"},
		{"an\xffna H", "name"},
		{"anna H\nbert H\nANNA H", "line 1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf errors = BUF_INIT(4096);
		struct users *u = parse(rows[i].line, &errors);

		if (u || !strstr(buf_cstr(&errors), rows[i].why) ||
		    !str_starts(buf_str(&errors), STR("users:")))
			fail_msg("row %zu: %s", i, buf_cstr(&errors));
		buf_done(&errors);
	}
}

/* All bad lines are told, with their numbers, but not without end. */
static void test_line_numbers(void **state)
{
	struct buf errors = BUF_INIT(65536), text = BUF_INIT(65536);
	struct users *u = parse("#\nx\n\nanna H\ny\n", &errors);

	(void)state;
	assert_null(u);
	assert_true(str_starts(buf_str(&errors), STR("users:2: ")));
	assert_true(str_search(buf_str(&errors), STR("\nusers:5: ")) > 0);
	buf_clear(&errors);
	for (int i = 0; i < 1000; i++)
		buf_add_lit(&text, "x\n");
	assert_null(users_parse("users", buf_str(&text), &errors));
	assert_true(errors.n < 4096);
	buf_clear(&text);
	buf_clear(&errors);
	buf_add_lit(&text, "anna ");
	for (int i = 0; i < USERS_LINE_MAX; i++)
		buf_add_byte(&text, 'x');
	assert_null(users_parse("users", buf_str(&text), &errors));
	assert_true(str_search(buf_str(&errors), STR("too long")) > 0);
	buf_done(&errors);
	buf_done(&text);
}

static void test_line_formats_back(void **state)
{
	struct buf line = BUF_INIT(4096), out = BUF_INIT(4096), error = BUF_INIT(256);
	struct user_words w;

	(void)state;
	buf_printf(&line, "anna@example.org %s %s disabled from a@b.example .c.example *", hash,
		   SCRAM);
	assert_int_equal(users_line_parse(buf_str(&line), &w, &error), USERS_LINE_USER);
	users_line_format(&out, &w);
	assert_str_equal(buf_str(&out), buf_str(&line));
	assert_int_equal(users_line_parse(STR(" # x"), &w, &error), USERS_LINE_BLANK);
	buf_done(&line);
	buf_done(&out);
	buf_done(&error);
}

static void test_senders(void **state)
{
	static const struct {
		const char *user, *sender;
		bool may;
	} rows[] = {
		{"anna@example.org", "anna@example.org", true},
		{"anna@example.org", "ANNA@EXAMPLE.ORG", true},
		{"anna@example.org", "bert@example.org", false},
		{"anna@example.org", "anna@example.com", false},
		{"anna@example.org", "anna@sub.example.org", false},
		{"anna@example.org", "", true}, /* notifications */
		{"printer", "printer@example.org", false},
		{"printer", "", true},
		{"list", "a@b.example", true},
		{"list", "x@b.example", false},
		{"list", "any@d.example", true},
		{"list", "any@sub.d.example", false},
		{"list", "any@sub.c.example", true},
		{"list", "any@c.example", false},
		{"list", "any@evilc.example", false},
		/* a list replaces what he may by his name */
		{"named@example.org", "named@example.org", false},
		{"named@example.org", "a@b.example", true},
		{"root", "anybody@anywhere.example", true},
	};
	struct buf errors = BUF_INIT(4096);
	struct users *u = parse("anna@example.org H\nprinter H\nlist H from a@b.example d.example "
				".c.example\nnamed@example.org H from a@b.example\nroot H from *\n",
				&errors);

	(void)state;
	assert_non_null(u);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct user *user = users_find(u, str_of(rows[i].user));
		struct address a = address_split(str_of(rows[i].sender));

		if (users_may_send_as(user, &a) != rows[i].may)
			fail_msg("%s as <%s>", rows[i].user, rows[i].sender);
	}
	users_unref(u);
	buf_done(&errors);
}

static void test_scram(void **state)
{
	struct buf errors = BUF_INIT(4096);
	struct users *u = parse("anna H S\nbert H\ncarl H S disabled\n", &errors);
	struct scram_secret real, a, b;
	unsigned char other[USERS_KEY] = "another key";

	(void)state;
	assert_true(users_scram(u, STR("Anna"), false, key, &real));
	assert_false(users_scram(u, STR("anna"), true, key, &a)); /* has none for SHA-1 */
	assert_int_equal(a.key_n, 20);
	assert_false(users_scram(u, STR("bert"), false, key, &a));
	assert_false(users_scram(u, STR("carl"), false, key, &b));
	assert_memory_not_equal(b.salt, real.salt, real.salt_n);
	/* nobody: the same each time and in each case of letters, of the others' shape */
	assert_false(users_scram(u, STR("nobody"), false, key, &a));
	assert_false(users_scram(u, STR("NOBODY"), false, key, &b));
	assert_memory_equal(&a, &b, sizeof(a));
	assert_true(a.iterations == real.iterations && a.salt_n == real.salt_n &&
		    a.key_n == real.key_n);
	assert_false(users_scram(u, STR("nobody2"), false, key, &b));
	assert_memory_not_equal(a.salt, b.salt, a.salt_n);
	assert_false(users_scram(u, STR("nobody"), false, other, &b));
	assert_memory_not_equal(a.salt, b.salt, a.salt_n);
	users_unref(u);
	buf_done(&errors);
}

/* What this program has had of the processor: others that run beside it do not count. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* For a name that does not exist, nobody looks through all who do. */
static void test_scram_of_many(void **state)
{
	struct buf errors = BUF_INIT(4096), text = BUF_INIT(USERS_FILE_MAX);
	uint64_t took[2];
	struct users *u;

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		buf_printf(&text, "user%u %s%s\n", i, hash, i ? "" : " " SCRAM);
	u = users_parse("users", buf_str(&text), &errors);
	assert_non_null(u);
	for (unsigned sha1 = 0; sha1 < 2; sha1++) {
		struct scram_secret s;
		uint64_t began = cpu_ns();

		for (unsigned i = 0; i < 100; i++)
			assert_false(users_scram(u, STR("nobody"), sha1, key, &s));
		took[sha1] = cpu_ns() - began;
	}
	if (took[1] > 10 * took[0])
		fail_msg("%llu ns, and %llu where nobody has a secret", (unsigned long long)took[0],
			 (unsigned long long)took[1]);
	users_unref(u);
	buf_done(&text);
	buf_done(&errors);
}

/* ---- passwords */

static void verify_task(void *arg)
{
	struct users *u = arg;
	struct gate g;
	struct str right = STR("sesame");

	gate_init(&g, 1, 8);
	CHECK_EQ(users_verify(u, &g, STR("ANNA"), right, NEVER), 1);
	CHECK_EQ(users_verify(u, &g, STR("anna"), STR("Sesame"), NEVER), 0);
	CHECK_EQ(users_verify(u, &g, STR("anna"), STR(""), NEVER), 0);
	CHECK_EQ(users_verify(u, &g, STR("anna"), str_make("sesame\0x", 8), NEVER), 0);
	/* his password is that of the first user, whose hash the time was spent on */
	CHECK_EQ(users_verify(u, &g, STR("nobody"), right, NEVER), 0);
	CHECK_EQ(users_verify(u, &g, STR("carl"), right, NEVER), 0); /* disabled */
	CHECK_EQ(g.inside, 0);
	gate_done(&g);
}

static void test_verify(void **state)
{
	struct buf errors = BUF_INIT(4096);
	struct users *u = parse("anna H\ncarl H disabled\n", &errors);

	(void)state;
	assert_non_null(u);
	run_in_task(verify_task, u);
	users_unref(u);
	buf_done(&errors);
}

static uint64_t time_of(struct users *u, struct gate *g, struct str name)
{
	uint64_t best = NEVER;

	for (int i = 0; i < 5; i++) {
		uint64_t start = cpu_ns();

		CHECK_EQ(users_verify(u, g, name, STR("wrong"), NEVER), 0);
		start = cpu_ns() - start;
		if (start < best)
			best = start;
	}
	return best;
}

/* The best of five for one who is there and one who is not: not twice as far apart. */
static void timing_task(void *arg)
{
	struct users *u = arg;
	struct gate g;
	uint64_t there, not_there;

	gate_init(&g, 1, 8);
	there = time_of(u, &g, STR("anna"));
	not_there = time_of(u, &g, STR("nobody"));
	CHECK(there < 2 * not_there && not_there < 2 * there);
	gate_done(&g);
}

static void test_timing(void **state)
{
	struct crypt_data data = {0};
	struct buf text = BUF_INIT(4096), errors = BUF_INIT(4096);
	struct users *u;

	(void)state;
	buf_printf(&text, "anna %s\n",
		   crypt_rn("sesame", "$y$j9T$abcdefghijklmnopqrstu1", &data, sizeof(data)));
	u = users_parse("users", buf_str(&text), &errors);
	assert_non_null(u);
	run_in_task(timing_task, u);
	users_unref(u);
	/* a file without users: the hash of nobody is one that crypt takes */
	u = users_parse("users", STR_NONE, &errors);
	assert_non_null(crypt_rn("x", "$y$j9T$relevoNobodyIsHere0", &data, sizeof(data)));
	users_unref(u);
	buf_done(&text);
	buf_done(&errors);
}

/* ---- the gate */

struct crowd {
	struct gate gate;
	unsigned inside, most, through, late, refused, left, started;
	struct task *boss;
};

static void visitor(void *arg)
{
	struct crowd *c = arg;
	int r = gate_enter(&c->gate, in_ms(c->started++ % 5 == 0 ? 1 : 100000));

	if (r == 0) {
		c->inside++;
		if (c->inside > c->most)
			c->most = c->inside;
		task_sleep_until(in_ms(4));
		c->inside--;
		c->through++;
		gate_leave(&c->gate);
	}
	c->late += r == -ETIMEDOUT;
	c->refused += r == -EBUSY;
	if (--c->left == 0)
		task_wake(c->boss);
}

static void gate_task(void *arg)
{
	struct crowd c = {.left = 40, .boss = task_self()};

	(void)arg;
	gate_init(&c.gate, 3, 30);
	for (int i = 0; i < 40; i++)
		CHECK(task_start(NULL, visitor, &c, "visitor"));
	while (c.left)
		task_wait(NEVER);
	CHECK_EQ(c.most, 3);
	CHECK_EQ(c.refused, 40 - 3 - 30);
	CHECK_EQ(c.through + c.late + c.refused, 40);
	CHECK(c.through >= 20);
	CHECK_EQ(c.gate.inside, 0);
	CHECK_EQ(c.gate.waiting, 0);
	gate_done(&c.gate);
}

static void test_gate(void **state)
{
	(void)state;
	run_in_task(gate_task, NULL);
}

/* Many loops, short deadlines: a place that is handed over to one who gives up is not lost. */
struct rush {
	struct gate gate;
	struct net *net;
	atomic_uint inside, most, through;
	sem_t done;
	struct post posts[4];
};

static struct rush *the_rush;

static void rusher(void *arg)
{
	struct rush *r = arg;

	for (unsigned i = 0; i < 300; i++) {
		if (gate_enter(&r->gate, loop_now() + i % 7 * 50000) == 0) {
			unsigned inside = atomic_fetch_add(&r->inside, 1) + 1;

			if (inside > atomic_load(&r->most))
				atomic_store(&r->most, inside);
			task_sleep_until(loop_now() + 30000);
			atomic_fetch_add(&r->through, 1);
			atomic_fetch_sub(&r->inside, 1);
			gate_leave(&r->gate);
		}
	}
	sem_post(&r->done);
}

static void rush_in(struct post *p)
{
	(void)p;
	for (int i = 0; i < 5; i++)
		CHECK(task_start(NULL, rusher, the_rush, "rusher"));
}

static void test_gate_between_loops(void **state)
{
	struct rush r = {.net = net_new(world_real(), 4, 1)};

	(void)state;
	the_rush = &r;
	gate_init(&r.gate, 2, 100);
	sem_init(&r.done, 0, 0);
	net_start(r.net);
	for (unsigned i = 0; i < 4; i++)
		loop_post(net_loop(r.net, i), &r.posts[i], rush_in);
	for (int i = 0; i < 20; i++)
		while (sem_wait(&r.done) < 0)
			;
	net_stop(r.net);
	assert_in_range(r.most, 1, 2);
	assert_int_equal(r.gate.inside, 0);
	assert_int_equal(r.gate.waiting, 0);
	assert_true(r.through > 0);
	gate_done(&r.gate);
	sem_destroy(&r.done);
}

/* ---- the file, watched */

static char folder[] = "/tmp/relevo-users-XXXXXX", path[64];

static void write_file(const char *text, mode_t mode)
{
	char temp[80];
	int fd;

	snprintf(temp, sizeof(temp), "%s.new", path);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(fchmod(fd, mode) == 0);
	close(fd);
	CHECK(rename(temp, path) == 0);
}

static bool has(struct users_source *s, const char *name)
{
	struct users *u = users_source_get(s);
	bool found = u && users_find(u, str_of(name));

	users_unref(u);
	return found;
}

static void watch_task(void *arg)
{
	struct users_source *s = users_source_new(path);
	struct buf news = BUF_INIT(8192), line = BUF_INIT(1024);

	(void)arg;
	CHECK(!has(s, "anna"));
	CHECK(users_source_news(s, &news));
	CHECK(str_search(buf_str(&news), STR("cannot be read: No such file")) > 0);
	CHECK(!users_source_news(s, &news));
	buf_printf(&line, "anna %s\n", hash);
	write_file(buf_cstr(&line), 0640);
	CHECK(!has(s, "anna")); /* not looked at twice in a second */
	users_source_touch(s);
	CHECK(has(s, "anna"));
	buf_clear(&news);
	CHECK(!users_source_news(s, &news));
	/* broken: the last good reading stays */
	write_file("anna\n", 0644);
	users_source_touch(s);
	CHECK(has(s, "anna"));
	CHECK(users_source_news(s, &news));
	CHECK(str_search(buf_str(&news), STR(":1: ")) > 0);
	CHECK(str_search(buf_str(&news), STR("everybody may use it")) > 0);
	/* gone: likewise */
	unlink(path);
	users_source_touch(s);
	CHECK(has(s, "anna"));
	buf_clear(&line);
	buf_printf(&line, "bert %s\n", hash);
	write_file(buf_cstr(&line), 0600);
	CHECK(!has(s, "bert"));
	CHECK_EQ(task_sleep_until(in_ms(1100)), 0);
	CHECK(has(s, "bert") && !has(s, "anna"));
	buf_done(&news);
	buf_done(&line);
	users_source_free(s);
}

static void test_watched(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/users", folder);
	run_in_task(watch_task, NULL);
	unlink(path);
	rmdir(folder);
}

static void test_not_a_file(void **state)
{
	struct buf errors = BUF_INIT(1024), warnings = BUF_INIT(1024);

	(void)state;
	assert_null(users_load(world_real(), "/tmp", &errors, &warnings, NULL));
	assert_true(str_search(buf_str(&errors), STR("not a file")) > 0);
	buf_done(&errors);
	buf_done(&warnings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),	     cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_line_numbers), cmocka_unit_test(test_line_formats_back),
		cmocka_unit_test(test_senders),	     cmocka_unit_test(test_scram),
		cmocka_unit_test(test_scram_of_many),
		cmocka_unit_test(test_verify),	     cmocka_unit_test(test_timing),
		cmocka_unit_test(test_gate),	     cmocka_unit_test(test_gate_between_loops),
		cmocka_unit_test(test_watched),	     cmocka_unit_test(test_not_a_file),
	};

	hash_seed(3, 5);
	make_hash();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
