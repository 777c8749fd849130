/*
 * introspect: the answer's fields one by one, and the whole question against a small HTTP server of
 * Python that counts what it is asked.
 */
#include "policy/introspect.h"

#include "base/hash.h"
#include "unit/net/run.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define NOW 1700000000000ll

/* ---- the answer */

static void test_judge(void **state)
{
	static const struct {
		const char *json, *scope, *claim;
		enum token_verdict verdict;
		const char *user;
		int64_t expires_ms;
	} rows[] = {
		{"{\"active\":true,\"username\":\"anna\"}", "", "", TOKEN_GOOD, "anna", 0},
		{"{\"active\":true,\"username\":\"anna\",\"exp\":1700000001}", "", "", TOKEN_GOOD,
		 "anna", 1700000001000},
		{"{\"active\":true,\"sub\":\"17\",\"email\":\"a@b.example\"}", "", "", TOKEN_GOOD,
		 "a@b.example", 0},
		{"{\"active\":true,\"sub\":\"17\"}", "", "", TOKEN_GOOD, "17", 0},
		{"{\"active\":true,\"sub\":\"17\",\"username\":\"anna\"}", "", "sub", TOKEN_GOOD,
		 "17", 0},
		{"{\"active\":true,\"sub\":\"17\"}", "", "email", TOKEN_BAD, "", 0},
		{"{\"active\":true,\"username\":\"anna\",\"scope\":\"read smtp\"}", "smtp", "",
		 TOKEN_GOOD, "anna", 0},
		{"{\"active\":true,\"username\":\"anna\",\"scope\":\"smtpx xsmtp\"}", "smtp", "",
		 TOKEN_BAD, "", 0},
		{"{\"active\":true,\"username\":\"anna\"}", "smtp", "", TOKEN_BAD, "", 0},
		{"{\"active\":false}", "", "", TOKEN_BAD, "", 0},
		{"{\"active\":false,\"username\":\"anna\"}", "", "", TOKEN_BAD, "", 0},
		{"{\"active\":\"true\",\"username\":\"anna\"}", "", "", TOKEN_LATER, "", 0},
		{"{\"active\":1,\"username\":\"anna\"}", "", "", TOKEN_LATER, "", 0},
		{"{\"username\":\"anna\"}", "", "", TOKEN_LATER, "", 0},
		{"{\"active\":true}", "", "", TOKEN_BAD, "", 0},
		{"{\"active\":true,\"username\":\"\"}", "", "", TOKEN_BAD, "", 0},
		{"{\"active\":true,\"username\":\"an\\u0007na\"}", "", "", TOKEN_BAD, "", 0},
		{"{\"active\":true,\"username\":7}", "", "", TOKEN_BAD, "", 0},
		{"{\"active\":true,\"username\":\"anna\",\"exp\":1700000000}", "", "", TOKEN_BAD,
		 "", 0},
		{"{\"active\":true,\"username\":\"anna\",\"exp\":1}", "", "", TOKEN_BAD, "", 0},
		{"{\"active\":true,\"username\":\"anna\",\"exp\":-1}", "", "", TOKEN_BAD, "", 0},
		{"{\"active\":true,\"username\":\"anna\",\"exp\":\"soon\"}", "", "", TOKEN_BAD, "",
		 0},
		{"{\"active\":true,\"username\":\"anna\",\"exp\":1e300}", "", "", TOKEN_BAD, "", 0},
		{"{\"active\":false,\"active\":true,\"username\":\"anna\"}", "", "", TOKEN_LATER,
		 "", 0},
		{"[true]", "", "", TOKEN_LATER, "", 0},
		{"", "", "", TOKEN_LATER, "", 0},
		{"<html>", "", "", TOKEN_LATER, "", 0},
		{"{\"active\":true,\"username\":\"anna\"} x", "", "", TOKEN_LATER, "", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct introspect_options o = {.scope = str_of(rows[i].scope),
					       .claim = str_of(rows[i].claim)};
		struct token_facts facts;
		enum token_verdict v = introspect_judge(&o, str_of(rows[i].json), NOW, &facts);

		if (v != rows[i].verdict || strcmp(facts.user, rows[i].user) != 0 ||
		    facts.expires_ms != rows[i].expires_ms || (v == TOKEN_GOOD) == !!facts.why[0])
			fail_msg("row %zu: %d, user %s, why %s", i, (int)v, facts.user, facts.why);
	}
}

static void test_audience(void **state)
{
	static const struct {
		const char *aud;
		enum token_verdict verdict;
	} rows[] = {
		{"\"relay\"", TOKEN_GOOD},	    {"[\"web\",\"relay\"]", TOKEN_GOOD},
		{"\"relays\"", TOKEN_BAD},	    {"[\"web\",7,null]", TOKEN_BAD},
		{"{\"relay\":1}", TOKEN_BAD},	    {"[]", TOKEN_BAD},
		{"[[\"relay\"]]", TOKEN_BAD},	    {"null", TOKEN_BAD},
	};
	struct introspect_options o = {.audience = STR("relay")};
	struct token_facts facts;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char json[128];

		snprintf(json, sizeof(json), "{\"active\":true,\"username\":\"anna\",\"aud\":%s}",
			 rows[i].aud);
		if (introspect_judge(&o, str_of(json), NOW, &facts) != rows[i].verdict)
			fail_msg("%s: %s", json, facts.why);
	}
	assert_int_equal(introspect_judge(&o, STR("{\"active\":true,\"sub\":\"1\"}"), NOW, &facts),
			 TOKEN_BAD);
}

static void test_options(void **state)
{
	static const struct {
		const char *url;
		bool fits;
	} rows[] = {
		{"https://id.example/introspect", true},
		{"http://127.0.0.1:8080/x", true},
		{"http://[::1]/x", true},
		{"http://localhost", true},
		{"http://id.example/introspect", false},
		{"http://127.0.0.1.evil.example/", false},
		{"http://localhost.example/", false},
		{"http://localhost:1@evil.example/", false},
		{"file:///etc/passwd", false},
		{"ftp://id.example/", false},
		{"", false},
		{"https://id.example/\r\nX: y", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct introspect_options o = {.url = str_of(rows[i].url),
					       .timeout_ms = 1000,
					       .at_once_max = 1,
					       .cache_max = 1};
		struct buf error = BUF_INIT(512);
		struct introspector *in = introspector_new(&o, &error);

		if (!!in != rows[i].fits || !!error.n == rows[i].fits)
			fail_msg("row %zu: %s", i, buf_cstr(&error));
		introspector_free(in);
		buf_done(&error);
	}
}

/* ---- the question */

/* What a token is called says what becomes of it; /count tells how many questions there were. */
static const char server_text[] =
	"import http.server, json, sys, time, urllib.parse, base64\n"
	"count = 0\n"
	"class H(http.server.BaseHTTPRequestHandler):\n"
	"    def log_message(self, *a): pass\n"
	"    def do_POST(self):\n"
	"        global count\n"
	"        count += 1\n"
	"        body = self.rfile.read(int(self.headers['Content-Length'])).decode()\n"
	"        form = urllib.parse.parse_qs(body, strict_parsing=True)\n"
	"        token = form['token'][0]\n"
	"        auth = 'Basic ' + base64.b64encode(b'relay:s:cret').decode()\n"
	"        yes = {'active': True, 'username': 'anna'}\n"
	"        status, answer = 200, {'active': False}\n"
	"        if self.headers.get('Authorization') != auth: status = 401\n"
	"        elif form['token_type_hint'] != ['access_token']: status = 400\n"
	"        elif token.startswith('good'): answer = yes\n"
	"        elif token == 'a+b/c~d==': answer = {'active': True, 'username': 'odd'}\n"
	"        elif token == 'short': answer = dict(yes, exp=time.time() + 1)\n"
	"        elif token == 'broken': status = 500\n"
	"        elif token == 'moved': status = 302\n"
	"        elif token == 'slow': time.sleep(3)\n"
	"        elif token == 'huge': answer = dict(yes, x='y' * 100000)\n"
	"        open(sys.argv[1], 'w').write(str(count))\n"
	"        data = json.dumps(answer).encode()\n"
	"        self.send_response(status)\n"
	"        if status == 302: self.send_header('Location', '/good')\n"
	"        self.send_header('X-Count', str(count))\n"
	"        self.send_header('Content-Length', str(len(data)))\n"
	"        self.end_headers()\n"
	"        try: self.wfile.write(data)\n"
	"        except OSError: pass\n"
	"s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)\n"
	"print(s.server_port, flush=True)\n"
	"s.serve_forever()\n";

static pid_t server_pid;
static unsigned server_port;
static char count_path[] = "/tmp/relevo-introspect-XXXXXX";

static int start_server(void **state)
{
	int fds[2], fd = mkstemp(count_path);
	char text[16] = "";

	(void)state;
	assert_true(fd >= 0 && pipe(fds) == 0);
	close(fd);
	server_pid = fork();
	if (server_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		execl("/usr/bin/python3", "python3", "-c", server_text, count_path, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	close(fds[0]);
	server_port = (unsigned)strtoul(text, NULL, 10);
	return server_port ? 0 : -1;
}

static int stop_server(void **state)
{
	(void)state;
	kill(server_pid, SIGKILL);
	waitpid(server_pid, NULL, 0);
	unlink(count_path);
	return 0;
}

static unsigned questions(void)
{
	char text[16] = "";
	FILE *f = fopen(count_path, "r");

	CHECK(f != NULL);
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return (unsigned)strtoul(text, NULL, 10);
}

static struct introspector *introspector(const char *secret, unsigned timeout_ms, unsigned cache)
{
	char url[64];
	struct buf error = BUF_INIT(256);
	struct introspect_options o = {
		.client_id = STR("relay"),
		.client_secret = str_of(secret),
		.timeout_ms = timeout_ms,
		.at_once_max = 2,
		.cache_max = cache,
	};
	struct introspector *i;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/introspect", server_port);
	o.url = str_of(url);
	i = introspector_new(&o, &error);
	CHECK(i != NULL);
	return i;
}

static int ask(struct introspector *i, const char *token, const char *user, struct token_facts *ret)
{
	return introspect(i, str_of(token), str_of(user), in_seconds(20), ret);
}

static void questions_task(void *arg)
{
	static const struct {
		const char *token, *user;
		int verdict;
		const char *text; /* the user's name, or a piece of why */
	} rows[] = {
		{"good1", "anna", TOKEN_GOOD, "anna"},
		{"good2", "Anna", TOKEN_GOOD, "anna"},
		{"good3", "", TOKEN_GOOD, "anna"},
		{"good1", "bert", TOKEN_BAD, "somebody else's"}, /* from the cache */
		{"good4", "bert", TOKEN_BAD, "somebody else's"},
		{"a+b/c~d==", "odd", TOKEN_GOOD, "odd"},
		{"bad", "anna", TOKEN_BAD, "not active"},
		{"broken", "anna", TOKEN_LATER, "500"},
		{"moved", "anna", TOKEN_LATER, "302"},
		{"huge", "anna", TOKEN_LATER, "too large"},
		{"slow", "anna", TOKEN_LATER, "imeout"},
		{"", "anna", TOKEN_BAD, "no token"},
	};
	struct introspector *i = introspector("s:cret", 1500, 100);
	struct token_facts facts;

	(void)arg;
	for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		int v = ask(i, rows[n].token, rows[n].user, &facts);

		if (v != rows[n].verdict ||
		    !strstr(v == TOKEN_GOOD ? facts.user : facts.why, rows[n].text))
			fprintf(stderr, "row %zu: %d %s %s\n", n, v, facts.user, facts.why);
		CHECK_EQ(v, rows[n].verdict);
		CHECK(strstr(v == TOKEN_GOOD ? facts.user : facts.why, rows[n].text));
	}
	introspector_free(i);
	i = introspector("wrong", 1500, 100);
	CHECK_EQ(ask(i, "good1", "anna", &facts), TOKEN_LATER);
	CHECK(strstr(facts.why, "401"));
	introspector_free(i);
}

static void test_questions(void **state)
{
	(void)state;
	run_in_task(questions_task, NULL);
}

static void cache_task(void *arg)
{
	struct introspector *i = introspector("s:cret", 5000, 2);
	struct token_facts facts;
	unsigned before;

	(void)arg;
	CHECK_EQ(ask(i, "good-a", "", &facts), TOKEN_GOOD);
	before = questions();
	for (int n = 0; n < 10; n++)
		CHECK_EQ(ask(i, "good-a", "anna", &facts), TOKEN_GOOD);
	CHECK_EQ(questions(), before);
	/* a bad one is asked for each time, and pushes nothing out */
	for (int n = 0; n < 5; n++)
		CHECK_EQ(ask(i, "bad", "", &facts), TOKEN_BAD);
	CHECK_EQ(questions(), before + 5);
	CHECK_EQ(ask(i, "good-a", "", &facts), TOKEN_GOOD);
	CHECK_EQ(questions(), before + 5);
	/* room for two: the oldest goes */
	CHECK_EQ(ask(i, "good-b", "", &facts), TOKEN_GOOD);
	CHECK_EQ(ask(i, "good-c", "", &facts), TOKEN_GOOD);
	CHECK_EQ(questions(), before + 7);
	CHECK_EQ(ask(i, "good-a", "", &facts), TOKEN_GOOD);
	CHECK_EQ(questions(), before + 8);
	/* not past its end */
	CHECK_EQ(ask(i, "short", "", &facts), TOKEN_GOOD);
	CHECK_EQ(task_sleep_until(in_ms(1200)), 0);
	CHECK_EQ(ask(i, "short", "", &facts), TOKEN_GOOD); /* which has a new end */
	CHECK_EQ(questions(), before + 10);
	introspector_free(i);
}

static void test_cache(void **state)
{
	(void)state;
	run_in_task(cache_task, NULL);
}

/* Nobody there, and a certificate that nobody signed: nothing is believed. */
static void unreachable_task(void *arg)
{
	struct buf error = BUF_INIT(256);
	char url[64];
	struct introspect_options o = {.timeout_ms = 2000, .at_once_max = 1};
	struct token_facts facts;
	struct introspector *i;

	(void)arg;
	o.url = STR("http://127.0.0.1:1/");
	i = introspector_new(&o, &error);
	CHECK_EQ(ask(i, "good", "", &facts), TOKEN_LATER);
	introspector_free(i);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", server_port); /* no TLS there */
	o.url = str_of(url);
	i = introspector_new(&o, &error);
	CHECK_EQ(ask(i, "good", "", &facts), TOKEN_LATER);
	introspector_free(i);
}

static void test_unreachable(void **state)
{
	(void)state;
	run_in_task(unreachable_task, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),	    cmocka_unit_test(test_options),
		cmocka_unit_test(test_questions),   cmocka_unit_test(test_cache),
		cmocka_unit_test(test_unreachable), cmocka_unit_test(test_audience),
	};

	hash_seed(1, 2);
	return cmocka_run_group_tests(tests, start_server, stop_server);
}
