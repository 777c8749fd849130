/*
 * pop: whole conversations with the relay's own users, and what holds for every listener.
 */
#include "unit/pop/rig.h"

#include <openssl/evp.h>
#include <sys/stat.h>

/* ---- own users */

static void test_own(void **state)
{
	int fd;

	(void)state;
	rig_open();
	fd = greeted();
	say(fd, "CAPA\r\n");
	assert_non_null(strstr(hear(fd, "\r\n.\r\n"), "\r\nUSER\r\n"));
	TALK(fd, "STAT\r\n", "-ERR Log in first");
	TALK(fd, "PASS x\r\n", "-ERR Say USER first");
	TALK(fd, "user anna\r\n", "+OK");
	TALK(fd, "PASS wrong\r\n", "-ERR [AUTH]");
	TALK(fd, "PASS  pass word\r\n", "-ERR Say USER first");
	TALK(fd, "STLS\r\n", "-ERR TLS is not available");
	TALK(fd, "NONSENSE\r\n", "-ERR Unknown");
	assert_false(has_popped("127.0.0.1"));
	TALK(fd, "USER anna\r\n", "+OK");
	TALK(fd, "PASS  pass word\r\n", "+OK");
	assert_true(has_popped("127.0.0.1"));
	/* pipelined: an empty mailbox */
	say(fd, "STAT\r\nLIST\r\nUIDL\r\nNOOP\r\nRSET\r\nRETR 1\r\nDELE 1\r\nLIST 1\r\nQUIT\r\n");
	assert_string_equal(hear(fd, "Bye\r\n"),
			    "+OK 0 0\r\n+OK\r\n.\r\n+OK\r\n.\r\n+OK\r\n+OK\r\n"
			    "-ERR No such message\r\n-ERR No such message\r\n"
			    "-ERR No such message\r\n+OK Bye\r\n");
	assert_string_equal(hear(fd, "?"), "");
	close(fd);
	rig_close();
}

static void test_backend_down(void **state)
{
	int fd;

	(void)state;
	rig_open();
	fd = greeted();
	TALK(fd, "USER broken\r\n", "+OK");
	TALK(fd, "PASS x\r\n", "-ERR [SYS/TEMP]");
	assert_false(has_popped("127.0.0.1"));
	close(fd);
	rig_close();
}

/* From another machine no password is asked for in clear. */
static void test_clear_text(void **state)
{
	int fd;

	(void)state;
	rig_open();
	assert_true(ip_parse(STR("192.0.2.7"), &peer));
	verified = 0;
	fd = greeted();
	say(fd, "CAPA\r\n");
	assert_null(strstr(hear(fd, "\r\n.\r\n"), "USER"));
	TALK(fd, "USER anna\r\n", "-ERR [AUTH] Only under TLS");
	TALK(fd, "PASS  pass word\r\n", "-ERR [AUTH] Only under TLS");
	assert_int_equal(verified, 0);
	assert_false(has_popped("192.0.2.7"));
	close(fd);
	rig_close();
}

static void test_limits(void **state)
{
	char flood[3000];
	int fd, fds[POP_NAME_MAX];
	unsigned n = 0;

	(void)state;
	rig_open();
	fd = greeted();
	for (int i = 0; i < 10; i++)
		TALK(fd, i % 2 ? "\001\r\n" : "FOO\r\n", "-ERR ");
	TALK(fd, "FOO\r\n", "-ERR Too many errors");
	assert_string_equal(hear(fd, "?"), "");
	close(fd);
	fd = greeted();
	memset(flood, 'a', sizeof(flood));
	memcpy(flood + sizeof(flood) - 3, "\r\n", 3);
	TALK(fd, flood, "-ERR Line too long");
	TALK(fd, "USER anna\nPASS x\r\n", "-ERR This is no command");
	close(fd);
	/* one address has so many, and no more */
	while (n < POP_NAME_MAX) {
		fds[n] = dial(at.port);
		if (strncmp(hear(fds[n++], "\r\n"), "-ERR", 4) == 0)
			break;
	}
	assert_in_range(n, 21, 2 * 20 + 1);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	rig_close();
}

static void shake_hands(void *arg)
{
	struct client client = { .ip = peer, .listen = &settings.endpoint };
	struct decision d;

	strangers_handshake(arg, &config, &client, &d);
	CHECK_EQ(d.verdict, VERDICT_ACCEPT);
}

/* The limit's only one of the minute is taken by another, say over SMTP. */
static int open_limited(const struct limit *limit, enum tls_use tls)
{
	config.limits = limit;	/* before there are loops that look at it */
	config.limits_n = 1;
	config.tls.server = (struct tls_context *)1;	/* not looked at */
	settings.tls = tls;
	rig_open();
	assert_true(ip_parse(STR("192.0.2.7"), &peer));
	run_on(net_loop(net, 0), shake_hands, strangers, true);
	return dial(at.port);
}

/* SMTP and POP3 have one limit; nothing is computed beyond it, and nobody is told to go on. */
static void test_handshakes(void **state)
{
	struct limit limit = { .text = STR("1/min handshakes per client"), .count = 1,
			       .what = LIMIT_HANDSHAKES, .period_ns = MINUTE,
			       .per = LIMIT_PER_CLIENT };
	int fd = open_limited(&limit, TLS_OFFERED);

	(void)state;
	assert_non_null(strstr(hear(fd, "\r\n"), "+OK"));
	TALK(fd, "STLS\r\n", "-ERR [SYS/TEMP] Too many handshakes");
	assert_string_equal(hear(fd, "?"), "");
	close(fd);
	rig_close();
	fd = open_limited(&limit, TLS_IMPLICIT);
	assert_string_equal(hear(fd, "?"), "");
	close(fd);
	rig_close();
}

static void test_bans(void **state)
{
	int fd, other;

	(void)state;
	rig_open();
	settings.apop = true;
	assert_true(ip_parse(STR("192.0.2.7"), &peer));
	other = greeted();
	fd = greeted();
	for (int i = 0; i < 3; i++) {
		char line[80];

		snprintf(line, sizeof(line), "APOP anna %032d\r\n", i);
		TALK(fd, line, "-ERR [AUTH] Wrong");
	}
	close(fd);
	TALK(other, "APOP anna 00000000000000000000000000000000\r\n", "-ERR [AUTH] Too many");
	close(other);
	fd = dial(at.port);
	assert_non_null(strstr(hear(fd, "\r\n"), "-ERR [AUTH] Too many failed logins"));
	close(fd);
	assert_true(ip_parse(STR("192.0.2.8"), &peer));
	close(greeted());
	rig_close();
}

static void md5_hex(const char *text, char ret[33])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n;

	EVP_Digest(text, strlen(text), sum, &n, EVP_md5(), NULL);
	for (unsigned i = 0; i < 16; i++)
		snprintf(ret + 2 * i, 3, "%02x", sum[i]);
}

static void put_secret(const char *folder, const char *user)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.apop", folder, user);
	f = fopen(path, "w");
	fputs("tanstaaf\n", f);
	fclose(f);
	assert_int_equal(chmod(path, 0600), 0);
}

static void apop_from(const char *ip, const char *name, const char *secret, const char *answer)
{
	char text[256], line[128], hex[33];
	int fd = dial(at.port);
	struct str stamp = pop_timestamp(str_of(hear(fd, "\r\n")));

	assert_true(stamp.n > 20);
	snprintf(text, sizeof(text), "%.*s%s", STR_ARG(stamp), secret);
	md5_hex(text, hex);
	snprintf(line, sizeof(line), "APOP %s %s\r\n", name, hex);
	TALK(fd, line, answer);
	assert_int_equal(has_popped(ip), answer[0] == '+');
	close(fd);
}

static void test_apop(void **state)
{
	static const struct {
		const char *ip, *name, *secret, *answer;
	} rows[] = {
		{ "192.0.2.1", "anna@a.example", "tanstaag", "-ERR [AUTH]" },
		{ "192.0.2.2", "anna@a.example", "tanstaaf", "+OK" },
		{ "192.0.2.3", "ANNA@A.example", "tanstaaf", "+OK" },
		/* There is a file, and no such user; a user, and nobody to ask; and a path. */
		{ "192.0.2.4", "eve", "tanstaaf", "-ERR [AUTH]" },
		{ "192.0.2.5", "broken", "tanstaaf", "-ERR [SYS/TEMP]" },
		{ "192.0.2.6", "../x", "tanstaaf", "-ERR [AUTH]" },
	};
	char folder[] = "/tmp/relevo-pop-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	put_secret(folder, "anna@a.example");
	put_secret(folder, "eve");
	put_secret(folder, "broken");
	rig_open();
	settings.apop = true;
	config.secrets = folder;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%zu\n", i);
		assert_true(ip_parse(str_of(rows[i].ip), &peer));
		apop_from(rows[i].ip, rows[i].name, rows[i].secret, rows[i].answer);
	}
	rig_close();
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "anna@a.example", "eve", "broken" };

		snprintf(path, sizeof(path), "%s/%s.apop", folder, names[i]);
		unlink(path);
	}
	assert_return_code(rmdir(folder), 0);
}

/* Shutdown: who waits for a command hears so. */
static void test_stop(void **state)
{
	int fd;

	(void)state;
	rig_open();
	fd = greeted();
	pop_stop(pop, 0);
	assert_non_null(strstr(hear(fd, "\r\n"), "-ERR [SYS/TEMP] The service is stopping"));
	assert_int_equal(pop_sessions(pop), 0);
	close(fd);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_backend_down),
		cmocka_unit_test(test_clear_text),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_handshakes),
		cmocka_unit_test(test_bans),
		cmocka_unit_test(test_apop),
		cmocka_unit_test(test_stop),
	};

	signal(SIGPIPE, SIG_IGN);
	hash_seed(3, 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
