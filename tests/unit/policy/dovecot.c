/*
 * dovecot: against a Dovecot with a passwd-file, started here in a temporary folder, with each of
 * its mechanisms; and against servers that speak nonsense. Skipped in part where there is no
 * Dovecot.
 */
#include "policy/dovecot.h"

#include "unit/net/run.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const char *program(void)
{
	static const char *const places[] = {"/usr/sbin/dovecot", "/usr/bin/dovecot"};

	for (size_t i = 0; i < 2; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* ---- a real one */

static char folder[] = "/tmp/relevo-dovecot-XXXXXX", socket_path[64];
static pid_t dovecot_pid;

static void write_file(const char *name, const char *text)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void write_configuration(void)
{
	struct buf b = BUF_INIT(4096);

	buf_printf(&b,
		   "base_dir = %s/run\nstate_dir = %s/state\nlog_path = %s/log\nprotocols =\n"
		   "ssl = no\nauth_mechanisms = plain login scram-sha-1 scram-sha-256\n"
		   "disable_plaintext_auth = yes\nauth_failure_delay = 0\n"
		   "passdb {\n  driver = passwd-file\n  args = scheme=PLAIN %s/passwd\n}\n"
		   "userdb {\n  driver = static\n  args = uid=65534 gid=65534 home=/tmp\n}\n"
		   "service auth {\n  unix_listener %s/auth {\n    mode = 0666\n  }\n}\n",
		   folder, folder, folder, folder, folder);
	if (geteuid() != 0) {
		struct passwd *me = getpwuid(geteuid());

		buf_printf(&b, "default_internal_user = %s\ndefault_login_user = %s\n", me->pw_name,
			   me->pw_name);
		buf_add_lit(&b, "service anvil {\n  chroot =\n}\n");
	}
	write_file("conf", buf_cstr(&b));
	write_file("passwd", "anna@example.org:{PLAIN}ses\xc3\xa4me\noff:{PLAIN}x:::::: nologin\n");
	buf_done(&b);
}

static bool answers(void)
{
	struct world *w = world_real();
	struct endpoint e = {.path = socket_path};
	int fd = access(socket_path, F_OK) == 0 ? w->sock_connect(w, NULL, &e) : -1;

	if (fd < 0)
		return false;
	w->sock_close(w, fd);
	return true;
}

static int start_dovecot(void **state)
{
	char conf[96];

	(void)state;
	if (!program())
		return 0;
	assert_non_null(mkdtemp(folder));
	chmod(folder, 0755);
	snprintf(socket_path, sizeof(socket_path), "%s/auth", folder);
	snprintf(conf, sizeof(conf), "%s/conf", folder);
	write_configuration();
	dovecot_pid = fork();
	if (dovecot_pid == 0) {
		/* it must not outlive a test that aborts, nor hold its output open */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(open("/dev/null", O_RDWR), STDOUT_FILENO);
		dup2(STDOUT_FILENO, STDERR_FILENO);
		execl(program(), "dovecot", "-F", "-c", conf, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 500 && !answers(); i++)
		usleep(20000);
	return 0;
}

static int stop_dovecot(void **state)
{
	char command[96];

	(void)state;
	if (dovecot_pid <= 0)
		return 0;
	kill(dovecot_pid, SIGTERM);
	waitpid(dovecot_pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static bool is_there(void)
{
	if (dovecot_pid > 0 && answers())
		return true;
	print_message("skipped: no Dovecot could be started here (package dovecot-core)\n");
	return false;
}

struct login {
	enum sasl_mechanism mechanism;
	const char *user, *password;
	bool secured;
	int result;
};

static const struct login logins[] = {
	{SASL_PLAIN, "anna@example.org", "ses\xc3\xa4me", true, DOVECOT_OK},
	{SASL_PLAIN, "anna@example.org", "wrong", true, DOVECOT_FAIL},
	{SASL_PLAIN, "nobody", "wrong", true, DOVECOT_FAIL},
	{SASL_PLAIN, "anna@example.org", "ses\xc3\xa4me", false, -EACCES},
	{SASL_LOGIN, "anna@example.org", "ses\xc3\xa4me", true, DOVECOT_OK},
	{SASL_LOGIN, "anna@example.org", "wrong", true, DOVECOT_FAIL},
	{SASL_SCRAM_SHA_1, "anna@example.org", "ses\xc3\xa4me", false, DOVECOT_OK},
	{SASL_SCRAM_SHA_256, "anna@example.org", "ses\xc3\xa4me", true, DOVECOT_OK},
	{SASL_SCRAM_SHA_256, "anna@example.org", "wrong", true, DOVECOT_FAIL},
	{SASL_SCRAM_SHA_256, "nobody", "wrong", true, DOVECOT_FAIL},
};

/* Our client against Dovecot's server, as AUTH would carry it. */
static int log_in(struct dovecot *d, const struct login *l)
{
	struct endpoint remote = {0}, local = {0};
	struct dovecot_client facts = {&remote, &local, l->secured, false, STR("s1")};
	struct sasl_client *c = sasl_client_new(l->mechanism, NULL, str_of(l->user),
						str_of(l->password), STR("abcdef"), STR_NONE, 0);
	uint64_t deadline = in_seconds(30);
	int r;

	CHECK(endpoint_parse(STR("192.0.2.7:1234"), 0, &remote));
	CHECK(endpoint_parse(STR("[2001:db8::1]:25"), 0, &local));
	CHECK(sasl_client_step(c, STR_NONE) != SASL_FAILED);
	r = dovecot_start(d, l->mechanism, &facts, sasl_client_out(c), sasl_client_has_initial(c),
			  deadline);
	while (r == DOVECOT_CONTINUE) {
		if (sasl_client_step(c, dovecot_out(d)) == SASL_FAILED)
			break;
		r = dovecot_continue(d, sasl_client_out(c), deadline);
	}
	if (r == DOVECOT_OK) {
		if (dovecot_out(d).n)
			CHECK_EQ(sasl_client_step(c, dovecot_out(d)), SASL_DONE);
		CHECK(sasl_client_is_done(c));
		CHECK(str_eq(dovecot_user(d), str_of(l->user)));
	}
	sasl_client_free(c);
	return r;
}

static void logins_task(void *arg)
{
	struct endpoint where = {.path = socket_path};

	(void)arg;
	for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
		struct dovecot *d = NULL;
		int r;

		CHECK_EQ(dovecot_open(&where, in_seconds(30), &d), 0);
		CHECK(dovecot_has(d, SASL_PLAIN) && dovecot_is_plain_text(d, SASL_PLAIN));
		CHECK(dovecot_has(d, SASL_SCRAM_SHA_256) &&
		      !dovecot_is_plain_text(d, SASL_SCRAM_SHA_256));
		CHECK(!dovecot_has(d, SASL_XOAUTH2) && !dovecot_has(d, SASL_SCRAM_SHA_256_PLUS));
		r = log_in(d, &logins[i]);
		if (r != logins[i].result)
			fprintf(stderr, "login %zu: %d, reason %.*s\n", i, r,
				STR_ARG(dovecot_reason(d)));
		CHECK_EQ(r, logins[i].result);
		dovecot_close(d);
	}
}

static void test_logins(void **state)
{
	(void)state;
	if (!is_there())
		skip();
	run_in_task(logins_task, NULL);
}

/* ---- others */

struct script {
	const char *greeting, *answer; /* NULL: hangs up instead; "": says nothing */
	int opened, result;	       /* result: what dovecot_start gives */
	const char *user, *reason;
};

#define HELLO "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\tx\nDONE\n"

static const struct script scripts[] = {
	{HELLO, "OK\t1\tuser=u\n", 0, DOVECOT_OK, "u", ""},
	{HELLO, "OK\t1\tuser=a\001tb\n", 0, -EPROTO, "", ""}, /* a tab: no name */
	{HELLO, "OK\t1\tuser=a\0010b\n", 0, -EPROTO, "", ""}, /* a NUL */
	{HELLO, "OK\t1\tuser=a\001xb\n", 0, -EPROTO, "", ""},
	{HELLO, "OK\t1\tuser=a\001\n", 0, -EPROTO, "", ""},
	{HELLO, "OK\t1\n", 0, -EPROTO, "", ""}, /* whoever that is */
	{HELLO, "OK\t1\tuser=\n", 0, -EPROTO, "", ""},
	{HELLO, "OK\t2\tuser=u\n", 0, -EPROTO, "", ""}, /* somebody else's */
	{HELLO, "OK\t1\tuser=u\tresp=!\n", 0, -EPROTO, "", ""},
	{HELLO, "NOTFOUND\t1\n", 0, -EPROTO, "", ""},
	{HELLO, "MECH\tLOGIN\tplaintext\nFAIL\t1\tuser=u\treason=a\001tb\n", 0, DOVECOT_FAIL, "u",
	 "a\tb"},
	{HELLO, "FAIL\t1\tuser=u\ttemp\n", 0, DOVECOT_LATER, "u", ""},
	{HELLO, "FAIL\t1\tcode=temp_fail\n", 0, DOVECOT_LATER, "", ""},
	{HELLO, "FAIL\t1\n", 0, DOVECOT_FAIL, "", ""},
	{HELLO, "FAIL\t1\tuser=\001\n", 0, DOVECOT_FAIL, "", ""},
	{HELLO, "CONT\t1\t\n", 0, DOVECOT_CONTINUE, "", ""},
	{HELLO, "CONT\t1\t!\n", 0, -EPROTO, "", ""},
	{HELLO, "\n", 0, -EPROTO, "", ""},
	{HELLO, NULL, 0, -ECONNRESET, "", ""},
	{HELLO, "", 0, -ETIMEDOUT, "", ""},
	{"VERSION\t2\t0\nDONE\n", NULL, -EPROTO, 0, "", ""},
	{"MECH\tPLAIN\nDONE\n", NULL, -EPROTO, 0, "", ""},
	{"220 mail.example ESMTP\r\n", NULL, -EPROTO, 0, "", ""},
	{"", NULL, -ETIMEDOUT, 0, "", ""},
	{NULL, NULL, -ECONNRESET, 0, "", ""},
};

static int listening;

/* Waits for a line that begins so, then answers. */
static bool expect(struct stream *s, const char *line, const char *answer)
{
	while (str_search(stream_peek(s), str_of(line)) < 0 ||
	       stream_peek(s).p[stream_peek(s).n - 1] != '\n')
		if (stream_fill(s, in_seconds(10)) <= 0)
			return false;
	stream_consume(s, stream_peek(s).n);
	if (!answer)
		return false;
	CHECK_EQ(stream_write(s, answer, strlen(answer), in_seconds(10)), 0);
	return stream_flush(s, in_seconds(10)) == 0;
}

static void server_task(void *arg)
{
	const struct script *script = arg;
	struct world *w = world_self();
	struct endpoint peer;
	struct stream *s;
	int fd = w->sock_accept(w, listening, &peer);

	for (; fd == -EAGAIN; fd = w->sock_accept(w, listening, &peer))
		task_sleep_until(in_ms(2));
	CHECK(fd >= 0);
	s = stream_new(fd, &peer);
	if (expect(s, "CPID\t", script->greeting) &&
	    expect(s, "AUTH\t1\tPLAIN\tservice=smtp", script->answer))
		while (script->answer[0] == '\0' && stream_fill(s, in_seconds(10)) > 0)
			;
	stream_linger(s, in_ms(200));
	stream_free(s);
}

static void scripts_task(void *arg)
{
	struct endpoint where;
	struct world *w = world_self();

	(void)arg;
	listening = listen_on("127.0.0.1", &where);
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		const struct script *script = &scripts[i];
		struct dovecot_client facts = {.secured = true};
		struct dovecot *d = NULL;
		struct task_group group;
		int r;

		task_group_init(&group);
		CHECK(task_start(&group, server_task, (void *)script, "server"));
		r = dovecot_open(&where, in_ms(script->opened == -ETIMEDOUT ? 50 : 10000), &d);
		if (r != script->opened)
			fprintf(stderr, "script %zu: opened %d\n", i, r);
		CHECK_EQ(r, script->opened);
		if (r == 0) {
			r = dovecot_start(d, SASL_PLAIN, &facts, str_make("\0u\0p", 4), true,
					  in_ms(script->result == -ETIMEDOUT ? 50 : 10000));
			if (r != script->result)
				fprintf(stderr, "script %zu: %d\n", i, r);
			CHECK_EQ(r, script->result);
			if (r >= 0) {
				CHECK(str_eq(dovecot_user(d), str_of(script->user)));
				CHECK(str_eq(dovecot_reason(d), str_of(script->reason)));
			}
			dovecot_close(d);
		}
		CHECK_EQ(task_group_wait(&group, in_seconds(20)), 0);
	}
	w->sock_close(w, listening);
}

static void test_nonsense(void **state)
{
	(void)state;
	run_in_task(scripts_task, NULL);
}

static void absent_task(void *arg)
{
	struct endpoint where = {.path = "/tmp/relevo-there-is-no-such-socket"};
	struct dovecot *d = NULL;

	(void)arg;
	CHECK(dovecot_open(&where, in_seconds(10), &d) < 0);
	CHECK(!d);
	dovecot_close(NULL);
}

static void test_absent(void **state)
{
	(void)state;
	run_in_task(absent_task, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logins),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_absent),
	};

	return cmocka_run_group_tests(tests, start_dovecot, stop_dovecot);
}
