/*
 * pop: whole conversations with the relay's own users, with a server behind that misbehaves, and
 * with a real Dovecot (skipped where there is none).
 */
#include "pop/pop.h"

#include "base/hash.h"
#include "pop/command.h"
#include "unit/net/run.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ANSWER_MS 10000
#define MINUTE (60 * SECOND)

static struct ip peer;			/* what clients are taken for; family 0: who they are */
static struct world world;
static struct net *net;
static struct dns *dns;
static struct pop *pop;
static struct popped *popped;
static struct bans *bans;
static struct config config = { .refs = 1000000, .hostname = STR("relay.example") };
static struct config_pop settings;
static struct endpoint at;
static int listening;
static unsigned verified;

static int accept_as(struct world *w, int fd, struct endpoint *ret)
{
	int r = world_real()->sock_accept(w, fd, ret);

	if (r >= 0 && peer.family)
		ret->ip = peer;
	return r;
}

static int verify(void *arg, const struct config *c, const struct ip *client, struct str name,
		  struct str password, uint64_t deadline)
{
	(void)arg;
	(void)client;
	(void)deadline;
	verified++;
	if (c != &config || str_eq(name, STR("broken")))
		return -ETIMEDOUT;
	return str_eq(name, STR("anna")) && str_eq(password, STR(" pass word"));
}

/* Anna stands in the users file with her address, Eve is disabled. */
static int find(void *arg, const struct config *c, struct str name, struct buf *ret)
{
	(void)arg;
	if (c != &config || str_eq(name, STR("broken")))
		return -EAGAIN;
	if (!str_eq_nocase(name, STR("anna@a.example")))
		return 0;
	buf_add_lit(ret, "anna@a.example");
	return 1;
}

static void rig_open(void)
{
	static const struct ban_limits limits = {
		.free = 2, .forget_ms = 60000, .delay_ms = 1, .delay_max_ms = 1,
		.name_delay_max_ms = 1, .ban_after = 3, .ban_ms = 60000, .ban_max_ms = 60000,
		.entries_max = 100,
	};
	struct pop_links links = { .verify = verify, .find = find };

	world = *world_real();
	world.sock_accept = accept_as;
	links.net = net = net_new(&world, 2, 2);
	links.dns = dns = dns_new(net);
	links.popped = popped = popped_new(1000);
	links.bans = bans = bans_new(&limits);
	net_start(net);
	pop = pop_new(&links);
	listening = listen_on("127.0.0.1", &at);
	settings.endpoint = at;
	settings.allow_ns = 30 * MINUTE;
	config.pops = &settings;
	config.pops_n = 1;
	config_set_current(config_ref(&config));
	assert_int_equal(pop_listen(pop, listening, &at), 0);
	assert_int_equal(pop_listen(pop, listening, &at), -EEXIST);
}

static void rig_close(void)
{
	pop_stop(pop, 0);
	assert_int_equal(pop_sessions(pop), 0);
	net_stop(net);
	pop_free(pop);
	dns_free(dns);
	popped_free(popped);
	bans_free(bans);
	config_set_current(NULL);
	close(listening);
	settings = (struct config_pop){ .apop = false };
	peer = (struct ip){ 0 };
	config.secrets = NULL;
}

/* ---- a client, which blocks */

static int dial(uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What comes until it ends with that, or the connection does. */
static const char *hear(int fd, const char *end)
{
	static char text[65536];
	size_t n = 0, end_n = strlen(end);

	text[0] = 0;
	while (n < end_n || memcmp(text + n - end_n, end, end_n) != 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r = -1;

		if (poll(&p, 1, ANSWER_MS) == 1)
			r = recv(fd, text + n, sizeof(text) - 1 - n, 0);

		if (r < 0)
			fail_msg("no answer: \"%s\"", text);
		if (r == 0)
			break;
		n += (size_t)r;
		text[n] = 0;
	}
	return text;
}

#define TALK(fd, line, expected) talk(fd, line, expected, __LINE__)
static void talk(int fd, const char *line, const char *expected, int at_line)
{
	const char *said;

	say(fd, line);
	said = hear(fd, "\r\n");
	if (strncmp(said, expected, strlen(expected)) != 0)
		fail_msg("line %d: %s: \"%s\", not \"%s\"", at_line, line, said, expected);
}

static bool has_popped(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(str_of(text), &ip));
	return popped_has(popped, &ip, world_real()->now(world_real()));
}

static int greeted(void)
{
	int fd = dial(at.port);

	assert_true(strncmp(hear(fd, "\r\n"), "+OK", 3) == 0);
	return fd;
}

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
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_backend_down),
		cmocka_unit_test(test_clear_text),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_bans),
		cmocka_unit_test(test_apop),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_through),
		cmocka_unit_test(test_auth_steps),
		cmocka_unit_test(test_bad_upstreams),
		cmocka_unit_test(test_dovecot),
	};

	signal(SIGPIPE, SIG_IGN);
	hash_seed(3, 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
