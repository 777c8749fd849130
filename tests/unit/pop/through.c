/*
 * through: conversations with a server behind that does what a script says, or misbehaves, and with
 * a real Dovecot (skipped where there is none).
 */
#include "unit/pop/rig.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- a server behind, from a script: what it says when it was told a line */

struct act {
	const char *expects;	/* NULL: nothing, it speaks first */
	const char *says;	/* NULL: it closes */
};

static const struct act *script;
static int upstream_fd;
static char upstream_got[4096];

static void *serve(void *arg)
{
	int fd = accept(upstream_fd, NULL, NULL);
	size_t n = 0;

	(void)arg;
	for (const struct act *a = script; fd >= 0; a++) {
		while (a->expects && !strstr(upstream_got, a->expects)) {
			ssize_t r = recv(fd, upstream_got + n, sizeof(upstream_got) - 1 - n, 0);

			if (r <= 0)
				goto out;
			n += (size_t)r;
			upstream_got[n] = 0;
		}
		if (!a->says)
			break;
		if (send(fd, a->says, strlen(a->says), MSG_NOSIGNAL) < 0)
			break;
	}
out:
	close(fd);
	return NULL;
}

static pthread_t upstream_open(const struct act *a)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(sa);
	pthread_t t;

	script = a;
	memset(upstream_got, 0, sizeof(upstream_got));
	upstream_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(upstream_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(upstream_fd, 5), 0);
	getsockname(upstream_fd, (struct sockaddr *)&sa, &size);
	settings.has_upstream = true;
	settings.upstream_host = STR("127.0.0.1");
	settings.upstream_port = ntohs(sa.sin_port);
	pthread_create(&t, NULL, serve, NULL);
	return t;
}

static void upstream_close(pthread_t t)
{
	shutdown(upstream_fd, SHUT_RDWR);
	pthread_join(t, NULL);
	close(upstream_fd);
	settings.has_upstream = false;
}

static void test_through(void **state)
{
	static const struct act acts[] = {
		{ NULL, "+OK ready <1.2@up>\r\n" },
		{ "CAPA\r\n", "+OK\r\nUSER\r\nSTLS\r\nUIDL\r\n.\r\n" },
		{ "USER anna\r\n", "+OK go on\r\n" },
		{ "PASS wrong\r\n", "-ERR no\r\n" },
		{ "PASS right\r\n", "+OK yours\r\n" },
		{ "RETR 1\r\n", "+OK 9 octets\r\nab\r\n..\r\n" },
		{ "RETR 1\r\n", "c\r\n.\r\n" },
		{ "STAT\r\n", "+OK 1 9\r\n" },
		{ "QUIT\r\n", "+OK bye\r\n" },
		{ "never", NULL },
	};
	pthread_t t;
	int fd;

	(void)state;
	rig_open();
	t = upstream_open(acts);
	settings.apop = true;
	fd = dial(at.port);
	assert_string_equal(hear(fd, "\r\n"), "+OK ready <1.2@up>\r\n");
	say(fd, "CAPA\r\n");
	assert_string_equal(hear(fd, "\r\n.\r\n"), "+OK\r\nUSER\r\nUIDL\r\n.\r\n");
	TALK(fd, "STAT\r\n", "-ERR Log in first");
	TALK(fd, "XTND XMIT\r\n", "-ERR Unknown");
	TALK(fd, "USER anna\nPASS x\r\n", "-ERR This is no command");
	TALK(fd, "USER anna\r\n", "+OK go on");
	assert_false(has_popped("127.0.0.1"));
	TALK(fd, "PASS wrong\r\n", "-ERR no");
	assert_false(has_popped("127.0.0.1"));
	TALK(fd, "PASS right\r\n", "+OK yours");
	assert_true(has_popped("127.0.0.1"));
	say(fd, "RETR 1\r\nSTAT\r\nQUIT\r\n");
	assert_string_equal(hear(fd, "bye\r\n"), "+OK 9 octets\r\nab\r\n..\r\nc\r\n.\r\n"
						 "+OK 1 9\r\n+OK bye\r\n");
	assert_null(strstr(upstream_got, "XTND"));
	close(fd);
	upstream_close(t);
	rig_close();
}

static void test_auth_steps(void **state)
{
	static const struct act acts[] = {
		{ NULL, "+OK ready <1.2@up>\r\n" },
		{ "AUTH PLAIN\r\n", "+ \r\n" },
		{ "AGEAYg==\r\n", "-ERR no\r\n" },
		{ "AUTH LOGIN\r\n", "+ VXNlcg==\r\n" },
		{ "YQ==\r\n", "+ UGFzcw==\r\n" },
		{ "Yg==\r\n", "+OK\r\n" },
		{ "never", NULL },
	};
	pthread_t t;
	int fd;

	(void)state;
	rig_open();
	t = upstream_open(acts);
	fd = dial(at.port);
	assert_string_equal(hear(fd, "\r\n"), "+OK ready\r\n");
	TALK(fd, "APOP anna 00000000000000000000000000000000\r\n", "-ERR Not available");
	TALK(fd, "AUTH PLAIN\r\n", "+ ");
	TALK(fd, "AGEAYg==\r\n", "-ERR no");
	TALK(fd, "AUTH LOGIN\r\n", "+ VXNl");
	TALK(fd, "YQ==\r\n", "+ UGFz");
	assert_false(has_popped("127.0.0.1"));
	TALK(fd, "Yg==\r\n", "+OK");
	assert_true(has_popped("127.0.0.1"));
	close(fd);
	upstream_close(t);
	rig_close();
}

/* A login counts if it says whose it is, and a users file has not disabled him. */
static void test_who_may_relay(void **state)
{
	/* what the client says; the server says yes to the last line */
	static const struct {
		const char *says[4];
		bool may;
	} cases[] = {
		{ { "AUTH PLAIN AGFubmEAYg==" }, true },		/* \0anna\0b */
		{ { "AUTH PLAIN", "AGFubmEAYg==" }, true },
		{ { "AUTH PLAIN AGV2ZQBi" }, false },			/* \0eve\0b */
		{ { "AUTH PLAIN", "AEVWRQBi" }, false },		/* \0EVE\0b */
		{ { "AUTH PLAIN YW5uYQBldmUAYg==" }, false },		/* anna\0eve\0b */
		{ { "AUTH PLAIN AGJyb2tlbgBi" }, false },		/* \0broken\0b */
		{ { "AUTH PLAIN AA==" }, false },
		{ { "AUTH PLAIN !" }, false },
		{ { "AUTH PLAIN =" }, false },
		{ { "AUTH LOGIN", "YW5uYQ==", "Yg==" }, true },
		{ { "auth login YW5uYQ==", "Yg==" }, true },
		{ { "AUTH LOGIN", "ZXZl", "Yg==" }, false },
		/* n,,n=anna,r=abc */
		{ { "AUTH SCRAM-SHA-256", "biwsbj1hbm5hLHI9YWJj", "Yz1iaXdz" }, true },
		{ { "AUTH SCRAM-SHA-256 biwsbj1ldmUscj1hYmM=", "Yz1iaXdz" }, false },	/* n=eve */
		{ { "AUTH OAUTHBEARER bixhPWFubmEsAWF1dGg9QmVhcmVyIHgBAQ==" }, true },
		{ { "AUTH OAUTHBEARER biwsAWF1dGg9QmVhcmVyIHgBAQ==" }, false },	/* names nobody */
		{ { "USER anna", "PASS b" }, true },
		{ { "USER eve", "PASS b" }, false },
	};
	struct act acts[6];
	char lines[4][80];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = 0;
		pthread_t t;
		int fd;

		rig_open();
		acts[0] = (struct act){ NULL, "+OK\r\n" };
		while (n < 4 && cases[i].says[n]) {
			bool last = n == 3 || !cases[i].says[n + 1];
			bool pass = strncmp(cases[i].says[n], "USER", 4) == 0;

			snprintf(lines[n], sizeof(lines[n]), "%s\r\n", cases[i].says[n]);
			acts[n + 1].expects = strchr(lines[n], ' ') ? strchr(lines[n], ' ')
								    : lines[n];
			acts[n + 1].says = last || pass ? "+OK\r\n" : "+ \r\n";
			n++;
		}
		acts[n + 1] = (struct act){ "never", NULL };
		t = upstream_open(acts);
		fd = greeted();
		for (size_t j = 0; j < n; j++)
			TALK(fd, lines[j], j == n - 1 ? "+OK" : "+");
		/* the conversation goes on, whoever it is */
		TALK(fd, "USER x\r\n", "-ERR You have logged in");
		if (has_popped("127.0.0.1") != cases[i].may)
			fail_msg("case %zu: %s", i, cases[i].says[0]);
		close(fd);
		upstream_close(t);
		rig_close();
	}
}

/* Nobody's logins, and what cannot be read, do not reach the server. */
static void test_unread_mechanisms(void **state)
{
	static const struct act acts[] = {
		{ NULL, "+OK\r\n" },
		{ "CAPA\r\n", "+OK\r\nSASL ANONYMOUS PLAIN CRAM-MD5 LOGIN\r\nUIDL\r\n.\r\n" },
		{ "never", NULL },
	};
	static const char *const refused[] = {
		"AUTH ANONYMOUS eA==\r\n", "AUTH anonymous\r\n", "AUTH EXTERNAL =\r\n",
		"AUTH CRAM-MD5\r\n", "AUTH SCRAM-SHA-256-PLUS eA==\r\n", "AUTH\r\n", "AUTH \r\n",
	};
	pthread_t t;
	int fd;

	(void)state;
	rig_open();
	t = upstream_open(acts);
	fd = greeted();
	say(fd, "CAPA\r\n");
	assert_string_equal(hear(fd, "\r\n.\r\n"), "+OK\r\nSASL PLAIN LOGIN\r\nUIDL\r\n.\r\n");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		TALK(fd, refused[i], "-ERR [AUTH] No such mechanism");
	assert_null(strstr(upstream_got, "AUTH"));
	assert_false(has_popped("127.0.0.1"));
	close(fd);
	upstream_close(t);
	rig_close();
}

/* Servers that are down, talk nonsense or go away: the client hears of it; no login. */
static void test_bad_upstreams(void **state)
{
	static const struct act silent[] = { { NULL, NULL } };
	static const struct act nonsense[] = { { NULL, "220 smtp\r\n" }, { "never", NULL } };
	static const struct act lost[] = { { NULL, "+OK\r\n" }, { "USER", "+OK\r\n" },
					   { "PASS", NULL } };
	static const struct act lies[] = { { NULL, "+OK\r\n" }, { "USER", "+OK\r\n" },
					   { "PASS", "+OKAY\r\n" }, { "never", NULL } };
	static const struct act *const greetings[] = { silent, nonsense };
	static const struct act *const logins[] = { lost, lies };
	pthread_t t;
	int fd;

	(void)state;
	rig_open();
	for (int i = 0; i < 2; i++) {
		t = upstream_open(greetings[i]);
		fd = dial(at.port);
		assert_non_null(strstr(hear(fd, "\r\n"), "-ERR [SYS/TEMP] The mail server"));
		close(fd);
		upstream_close(t);
	}
	for (int i = 0; i < 2; i++) {
		t = upstream_open(logins[i]);
		fd = greeted();
		TALK(fd, "USER anna\r\n", "+OK");
		say(fd, "PASS x\r\n");
		assert_string_equal(hear(fd, "?"), "");
		assert_false(has_popped("127.0.0.1"));
		close(fd);
		upstream_close(t);
	}
	settings.has_upstream = true;	/* nobody listens there any more */
	fd = dial(at.port);
	assert_non_null(strstr(hear(fd, "\r\n"), "-ERR [SYS/TEMP] The mail server"));
	close(fd);
	rig_close();
}

/* ---- a real Dovecot */

static char folder[] = "/tmp/relevo-popdove-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static uint16_t free_port(void)
{
	struct endpoint e;
	int fd = listen_on("127.0.0.1", &e);

	close(fd);
	return e.port;
}

static pid_t dovecot_open(uint16_t port)
{
	char text[4096], conf[128];
	pid_t pid;

	snprintf(text, sizeof(text),
		 "base_dir = %s/run\nlog_path = %s/log\nprotocols = pop3\nlisten = 127.0.0.1\n"
		 "ssl = no\ndisable_plaintext_auth = no\nauth_mechanisms = plain login\n"
		 "mail_location = mbox:%s/mail:INBOX=%s/inbox\nfirst_valid_uid = 1\n"
		 "default_internal_user = dovecot\ndefault_login_user = dovenull\n"
		 "passdb {\n driver = passwd-file\n args = %s/users\n}\n"
		 "userdb {\n driver = static\n args = uid=nobody gid=nogroup home=%s/home\n}\n"
		 "service pop3-login {\n chroot =\n inet_listener pop3 {\n port = %u\n }\n"
		 " inet_listener pop3s {\n port = 0\n }\n}\n"
		 "service anvil {\n chroot =\n}\nservice stats {\n chroot =\n}\n",
		 folder, folder, folder, folder, folder, folder, port);
	write_file("dovecot.conf", text);
	write_file("users", "anna:{PLAIN}secret\n");
	write_file("inbox", "From a@b Mon Jan  1 00:00:00 2024\nSubject: one\n\n.dot\nline\n\n");
	snprintf(conf, sizeof(conf), "%s/inbox", folder);
	chmod(conf, 0666);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		snprintf(conf, sizeof(conf), "%s/dovecot.conf", folder);
		execl("/usr/sbin/dovecot", "dovecot", "-F", "-c", conf, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static bool comes_up(uint16_t port)
{
	for (int i = 0; i < 100; i++) {
		int fd = dial(port);

		if (fd >= 0) {
			close(fd);
			return true;
		}
		usleep(50000);
	}
	return false;
}

static void remove_folder(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", folder, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void talk_to_dovecot(void)
{
	int fd = greeted();

	say(fd, "CAPA\r\n");
	assert_non_null(strstr(hear(fd, "\r\n.\r\n"), "UIDL\r\n"));
	TALK(fd, "USER anna\r\n", "+OK");
	TALK(fd, "PASS wrong\r\n", "-ERR");
	assert_false(has_popped("127.0.0.1"));
	TALK(fd, "USER anna\r\n", "+OK");
	TALK(fd, "PASS secret\r\n", "+OK");
	assert_true(has_popped("127.0.0.1"));
	TALK(fd, "STAT\r\n", "+OK 1 ");
	say(fd, "RETR 1\r\n");
	assert_non_null(strstr(hear(fd, "\r\n.\r\n"), "\r\n\r\n..dot\r\nline\r\n"));
	say(fd, "UIDL\r\n");
	assert_non_null(strstr(hear(fd, "\r\n.\r\n"), "+OK"));
	TALK(fd, "QUIT\r\n", "+OK");
	close(fd);
	fd = greeted();
	TALK(fd, "AUTH PLAIN\r\n", "+");
	TALK(fd, "AGFubmEAc2VjcmV0\r\n", "+OK");
	close(fd);
}

static void test_dovecot(void **state)
{
	uint16_t port = free_port();
	pid_t pid;
	bool up;

	(void)state;
	if (access("/usr/sbin/dovecot", X_OK) < 0 || getuid() != 0) {
		print_message("skipped: no Dovecot that could be started here\n");
		return;
	}
	assert_non_null(mkdtemp(folder));
	chmod(folder, 0777);
	pid = dovecot_open(port);
	up = comes_up(port);
	if (up) {
		rig_open();
		settings.has_upstream = true;
		settings.upstream_host = STR("127.0.0.1");
		settings.upstream_port = port;
		talk_to_dovecot();
		rig_close();
	}
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	if (!getenv("KEEP"))
		remove_folder();
	assert_true(up);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_through),
		cmocka_unit_test(test_auth_steps),
		cmocka_unit_test(test_who_may_relay),
		cmocka_unit_test(test_unread_mechanisms),
		cmocka_unit_test(test_bad_upstreams),
		cmocka_unit_test(test_dovecot),
	};

	signal(SIGPIPE, SIG_IGN);
	hash_seed(3, 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
