/* report/log: whole lines as they come out, in text and JSON, through the actor and without it. */
#include "report/log.h"

#include "base/mem.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* Lines go to this file; what is in it behind the time of each line is compared. */
static char path[64];

static struct config *config_make(enum log_format format)
{
	struct config *c = mem_zalloc(sizeof(*c));

	c->log.format = format;
	c->log.target = LOG_FILE;
	c->log.file = path;
	return c;
}

static char *slurp(void)
{
	char *text = mem_zalloc(1 << 20);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, (1 << 20) - 1);

	assert_true(n >= 0);
	if (fd >= 0)
		close(fd);
	return text;
}

static void lines(enum log_format format, void (*fn)(void), const char *wanted)
{
	struct config *c = config_make(format);
	struct net *n = net_new(world_real(), 1, 0);
	char *text;

	unlink(path);
	net_start(n);
	assert_int_equal(log_open(n, c), 0);
	fn();
	log_close();
	net_stop(n);
	text = slurp();
	assert_true(strlen(text) > 25);
	/*
	 * "2026-11-22T03:39:00.123Z " or the same in JSON: fixed length, so the rest begins at a
	 * fixed place.
	 */
	assert_string_equal(text + (format == LOG_JSON ? 35 : 25), wanted);
	mem_free(text);
	mem_free(c);
}

static void some_fields(void)
{
	const struct message_id id = { 7, 3, 5 };
	const struct endpoint e = { .ip = { 4, { 127, 0, 0, 1 } }, .port = 25 };
	const struct reply r = REPLY(550, 5, 1, 1, "no such user\nreally");

	log_begin(LOG_RECEIVED);
	log_cstr("bare", "a@b.example");
	log_cstr("empty", "");
	log_cstr("space", "a b");
	log_cstr("equals", "a=b");
	log_cstr("quote", "a\"\\");
	log_str("control", STR("a\r\n\0\x7f"));
	log_str("invalid", STR("\xc3("));
	log_cstr("utf8", "J\xc3\xbcrgen");
	log_cstr("bidi", "a\xe2\x80\xae" "b");
	log_u64("zero", 0);
	log_u64("most", UINT64_MAX);
	log_i64("least", INT64_MIN);
	log_id("id", &id);
	log_endpoint("peer", &e);
	log_ip("ip", &e.ip);
	log_reply("reply", &r);
	log_ms("took", 12345678);
	log_seconds("delay", 90061007);
	log_errno("error", -ENOENT);
	log_end();
}

static void test_text(void **state)
{
	(void)state;
	lines(LOG_TEXT, some_fields,
	      "received bare=a@b.example space=\"a b\" equals=\"a=b\" quote=\"a\\\"\\\\\""
	      " control=\"a\\x0d\\x0a\\x00\\x7f\" invalid=\"\\xc3(\" utf8=\"J\xc3\xbcrgen\""
	      " bidi=\"a\\xe2\\x80\\xaeb\" zero=0 most=18446744073709551615 "
	      "least=-9223372036854775808"
	      " id=0000007-3-5 peer=127.0.0.1:25 ip=127.0.0.1 reply=\"550 5.1.1 no such user "
	      "really\""
	      " took=12.345 delay=90061.007 error=\"No such file or directory\"\n");
}

static void test_json(void **state)
{
	(void)state;
	lines(LOG_JSON, some_fields,
	      "\"event\":\"received\",\"bare\":\"a@b.example\",\"space\":\"a b\",\"equals\":\"a=b\""
	      ",\"quote\":\"a\\\"\\\\\",\"control\":\"a\\u000d\\u000a\\u0000\\u007f\""
	      ",\"invalid\":\"\\ufffd(\",\"utf8\":\"J\xc3\xbcrgen\""
	      ",\"bidi\":\"a\\ufffd\\ufffd\\ufffdb\""
	      ",\"zero\":0,\"most\":18446744073709551615,\"least\":-9223372036854775808"
	      ",\"id\":\"0000007-3-5\",\"peer\":\"127.0.0.1:25\",\"ip\":\"127.0.0.1\""
	      ",\"reply\":\"550 5.1.1 no such user really\",\"took\":12.345,\"delay\":90061.007"
	      ",\"error\":\"No such file or directory\"}\n");
}

static void long_value(void)
{
	char value[2000];

	memset(value, 'x', sizeof(value));
	log_begin(LOG_WARNING);
	log_str("text", str_make(value, sizeof(value)));
	log_end();
}

static void test_long_value(void **state)
{
	char wanted[600];
	int n = snprintf(wanted, sizeof(wanted), "warning text=");

	(void)state;
	memset(wanted + n, 'x', 509);
	snprintf(wanted + n + 509, sizeof(wanted) - (size_t)n - 509, "...\n");
	lines(LOG_TEXT, long_value, wanted);
}

static void many_fields(void)
{
	char value[500];

	memset(value, 1, sizeof(value));	/* each octet becomes four */
	log_begin(LOG_WARNING);
	for (int i = 0; i < 20; i++)
		log_str("text", str_make(value, sizeof(value)));
	log_end();
}

static void test_long_line(void **state)
{
	struct config *c = config_make(LOG_TEXT);
	struct net *n = net_new(world_real(), 1, 0);
	char *text;
	size_t length;

	(void)state;
	unlink(path);
	net_start(n);
	assert_int_equal(log_open(n, c), 0);
	many_fields();
	log_close();
	net_stop(n);
	text = slurp();
	length = strlen(text);
	assert_in_range(length, 4000, 8192);
	assert_string_equal(text + length - 13, " truncated=1\n");
	mem_free(text);
	mem_free(c);
}

/* Lines of several threads and of a loop's task: none is lost, none is torn. */
#define THREADS 4
#define LINES 500

static void *writer_thread(void *arg)
{
	for (uint64_t i = 0; i < LINES; i++) {
		log_begin(LOG_WARNING);
		log_u64("thread", (uint64_t)(uintptr_t)arg);
		log_u64("n", i);
		log_end();
	}
	return NULL;
}

static void writer_task(void *arg)
{
	writer_thread(arg);
	log_flush();
}

static void on_post(struct post *p)
{
	(void)p;
	assert_non_null(task_start(NULL, writer_task, (void *)THREADS, "log test"));
}

static void test_threads(void **state)
{
	struct config *c = config_make(LOG_TEXT);
	struct net *n = net_new(world_real(), 1, 0);
	pthread_t threads[THREADS];
	unsigned next[THREADS + 1] = { 0 };
	struct post p;
	char *text, *line;

	(void)state;
	unlink(path);
	net_start(n);
	assert_int_equal(log_open(n, c), 0);
	loop_post(net_loop(n, 0), &p, on_post);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, writer_thread, (void *)i);
	assert_int_equal(log_reopen(c), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	net_stop(n);
	log_close();
	text = line = slurp();
	for (char *end; (end = strchr(line, '\n')); line = end + 1) {
		unsigned thread, number;

		assert_int_equal(sscanf(line + 24, " warning thread=%u n=%u\n", &thread, &number),
				 2);
		assert_in_range(thread, 0, THREADS);
		assert_int_equal(number, next[thread]++);
	}
	for (int i = 0; i <= THREADS; i++)
		assert_int_equal(next[i], LINES);
	mem_free(text);
	mem_free(c);
}

static void test_reopen(void **state)
{
	struct config *c = config_make(LOG_TEXT);
	struct net *n = net_new(world_real(), 1, 0);
	char moved[80];
	char *text;

	(void)state;
	snprintf(moved, sizeof(moved), "%s.1", path);
	unlink(path);
	net_start(n);
	assert_int_equal(log_open(n, c), 0);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(log_reopen(c), 0);
	log_begin(LOG_STARTED);
	log_end();
	log_close();
	net_stop(n);
	text = slurp();
	assert_string_equal(text + 25, "started\n");
	mem_free(text);
	mem_free(c);
	unlink(moved);
}

/*
 * A target that takes nothing: the queue stays bounded, and what was lost is told once it moves
 * again.
 */
static void test_stuck(void **state)
{
	struct config *c = config_make(LOG_TEXT);
	struct net *n = net_new(world_real(), 1, 0);
	static char got[64 * 1024 + 1];
	size_t kept = 0;
	bool told = false;
	char value[400];
	ssize_t r;
	int fd;

	(void)state;
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	memset(value, 'x', sizeof(value));
	net_start(n);
	assert_int_equal(log_open(n, c), 0);
	for (int i = 0; i < 30000; i++) {	/* 12 MiB: queued, being written, and more */
		log_begin(LOG_WARNING);
		log_str("text", str_make(value, sizeof(value)));
		log_end();
	}
	fcntl(fd, F_SETFL, 0);
	for (int i = 0; !told && i < 100000; i++) {
		r = read(fd, got + kept, sizeof(got) - 1 - kept);
		assert_true(r > 0);
		kept += (size_t)r;
		got[kept] = '\0';
		told = strstr(got, " log-dropped lines=") != NULL;
		/* What we look for may be cut by the end of a piece. */
		r = kept < 64 ? (ssize_t)kept : 64;
		memmove(got, got + kept - (size_t)r, (size_t)r);
		kept = (size_t)r;
		log_begin(LOG_WARNING);
		log_end();
	}
	assert_true(told);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	close(fd);	/* the actor's writes now fail at once */
	log_close();
	net_stop(n);
	mem_free(c);
}

static void test_session_ids(void **state)
{
	char last[SESSION_ID_MAX] = "", id[SESSION_ID_MAX];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		session_id_make(id);
		assert_int_equal(id[0], 's');
		assert_string_not_equal(id, last);
		if (strlen(id) == strlen(last))
			assert_true(strcmp(id, last) > 0);
		memcpy(last, id, sizeof(last));
	}
}

static void test_reference(void **state)
{
	struct buf b = BUF_INIT(1 << 20);

	(void)state;
	event_reference(&b);
	assert_true(buf_ok(&b));
	assert_true(str_search(buf_str(&b), STR("| `received` | a message is safe")) > 0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text), cmocka_unit_test(test_json),
			cmocka_unit_test(test_long_value),
		cmocka_unit_test(test_long_line), cmocka_unit_test(test_threads),
			cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_stuck), cmocka_unit_test(test_session_ids),
			cmocka_unit_test(test_reference),
	};
	int r;

	signal(SIGPIPE, SIG_IGN);
	snprintf(path, sizeof(path), "/tmp/relevo-log-test-%d", (int)getpid());
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return r;
}
