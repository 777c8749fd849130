/*
 * verify/: policies of MTA-STS from a web server, through memory and disk and failures; and TLS
 * reports, counted, kept over a restart, and posted.
 */
#include "unit/net/run.h"
#include "unit/deliver/zone.h"
#include "unit/verify/web.h"

#include "report/log.h"
#include "verify/sts.h"
#include "verify/tlsrpt.h"

#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>
#include <zlib.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define POLICY "version: STSv1\nmode: enforce\nmx: mx.there.example\nmax_age: 86400\n"
#define RECORD "_mta-sts.there.example TXT v=STSv1;id=1"

static struct made authority, good, other, common;
static char folder[64], authority_file[128];

static int setup(void **state)
{
	FILE *f;

	(void)state;
	signal(SIGPIPE, SIG_IGN);	/* as the worker does; OpenSSL writes to sockets here */
	str_copy(folder, sizeof(folder), STR("/tmp/relevo-verify-XXXXXX"));
	if (!mkdtemp(folder))
		return -1;
	authority = made_new(NULL, NULL, 100);
	good = made_new(&authority, "DNS:mta-sts.there.example,DNS:reports.there.example", 100);
	other = made_new(&authority, "DNS:there.example", 100);
	common = made_named(&authority, "email:a@there.example", 100, "mta-sts.there.example");
	snprintf(authority_file, sizeof(authority_file), "%s/authority", folder);
	f = fopen(authority_file, "w");
	PEM_write_X509(f, authority.x);
	fclose(f);
	setenv("SSL_CERT_FILE", authority_file, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	made_done(&authority);
	made_done(&good);
	made_done(&other);
	made_done(&common);
	unlink(authority_file);
	return rmdir(folder);
}

/* ---- a world with a clock and a DNS of its own */

static struct bench {
	struct world world;
	struct net *net;
	struct dns *dns;
	_Atomic int64_t later_ms;	/* than it is */
	struct web *web;
	struct sts *sts;
	const char *state;
	unsigned timeout_ms;
} bench;

static int64_t wall(struct world *w)
{
	return world_real()->wall_ms(w) + bench.later_ms;
}

static void open_sts(void)
{
	const struct sts_options o = { .state = bench.state, .port = bench.web->port,
				       .timeout_ms = bench.timeout_ms };

	bench.sts = sts_new(&bench.world, &o);
}

static void bench_open(struct web *web, const struct made *certificate)
{
	bench = (struct bench){ .world = *world_real(), .web = web, .timeout_ms = 3000 };
	zone_clear();
	zone_add("mta-sts.there.example A 127.0.0.1");
	zone_add("reports.there.example A 127.0.0.1");
	bench.world.dns_ask = zone_ask;
	bench.world.dns_cancel = zone_cancel;
	bench.world.wall_ms = wall;
	web_start(web, certificate);
	bench.net = net_new(&bench.world, 1, 2);
	bench.dns = dns_new(bench.net);
	net_start(bench.net);
	open_sts();
}

static void bench_close(void)
{
	sts_stop(bench.sts);
	net_stop(bench.net);
	sts_free(bench.sts);
	dns_free(bench.dns);
	web_stop(bench.web);
}

struct asking {
	enum sts_mode mode;
	unsigned mx_n;
	bool failed;
	char why[96];
	bool known;
};

static void ask_run(void *arg)
{
	struct asking *k = arg;
	struct arena a = { .blocks = NULL };
	struct task_group g;
	struct sts_answer answer;
	int64_t expires;

	task_group_init(&g);
	sts_find(bench.sts, bench.dns, &g, STR("There.Example"), &a, &answer);
	task_group_wait(&g, NEVER);
	k->mode = answer.policy.mode;
	k->mx_n = answer.policy.mx_n;
	k->failed = answer.failed;
	str_copy(k->why, sizeof(k->why), str_of(answer.why));
	k->known = sts_known(bench.sts, STR("there.example"), &a, &answer, &expires);
	arena_done(&a);
}

static struct asking ask(void)
{
	struct asking k;

	run_on(net_loop(bench.net, 0), ask_run, &k, true);
	return k;
}

/* ---- MTA-STS */

static void test_fetch(void **state)
{
	static char huge[100 * 1024];
	static const struct {
		const char *name;
		struct web web;
		bool other_name, common_name, no_record;
		const char *why;	/* NULL: a policy comes of it */
	} rows[] = {
		{ "good", { .body = POLICY }, .why = NULL },
		{ "no record", { .body = POLICY }, .no_record = true, .why = "" },
		{ "not for it", { .body = POLICY }, .other_name = true, .why = "certificate" },
		{ "by its common name alone", { .body = POLICY }, .common_name = true,
		  .why = "certificate" },
		{ "elsewhere", { .body = POLICY, .status = "301 Moved",
		  .more = "Location: https://mta-sts.there.example/x\r\n" }, .why = "answers 301" },
		{ "not there", { .body = POLICY, .status = "404 No" }, .why = "answers 404" },
		{ "a page", { .body = "<html>" }, .why = "no policy" },
		{ "of another type", { .body = POLICY, .type = "text/html" },
		  .why = "not text/plain" },
		{ "with a character set", { .body = POLICY, .type = "text/plain; charset=utf-8" },
		  .why = NULL },
		{ "too large", { .body = huge, .body_n = sizeof(huge) }, .why = "too large" },
		{ "stalls", { .stalls = true }, .why = "imeout" },
		{ "a NUL", { .body = POLICY "x: \0\n", .body_n = sizeof(POLICY) + 4 },
		  .why = "no policy" },
	};

	(void)state;
	memset(huge, '\n', sizeof(huge));
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct web *web = mem_dup(&rows[i].web, sizeof(*web));
		struct asking k;

		print_message("%s\n", rows[i].name);
		bench_open(web, rows[i].other_name    ? &other
				: rows[i].common_name ? &common
						      : &good);
		sts_free(bench.sts);
		bench.timeout_ms = web->stalls ? 300 : 3000;
		open_sts();
		if (!rows[i].no_record)
			zone_add(RECORD);
		k = ask();
		assert_int_equal(k.mode, rows[i].why ? STS_NONE : STS_ENFORCE);
		assert_int_equal(k.failed, rows[i].why && !rows[i].no_record);
		if (rows[i].why && !strstr(k.why, rows[i].why))
			fail_msg("%s", k.why);
		ask();		/* neither a policy nor a failure is fetched again at once */
		assert_true(web->asked <= 1);
		bench_close();
		mem_free(web);
	}
}

static void remove_kept(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
	*strrchr(path, '/') = 0;
	rmdir(path);
}

/* What is known survives a restart, a dead web server, and a record that is gone; not its age. */
static void test_life(void **state)
{
	struct web *web = mem_zalloc(sizeof(*web));
	unsigned lines;

	(void)state;
	web->body = POLICY;
	bench_open(web, &good);
	sts_free(bench.sts);
	bench.state = folder;
	open_sts();
	lines = zone.n;
	zone_add(RECORD);
	assert_int_equal(ask().mode, STS_ENFORCE);
	sts_free(bench.sts);
	open_sts();
	web->status = "500 Broken";
	assert_int_equal(ask().mode, STS_ENFORCE);
	assert_int_equal(web->asked, 1);		/* from the disk */
	dns_forget(bench.dns);
	zone.lines[lines] = "_mta-sts.there.example TXT v=STSv1;id=2";
	assert_int_equal(ask().mode, STS_ENFORCE);
	assert_int_equal(web->asked, 2);		/* a refresh, which failed */
	web->status = NULL;
	web->body = "version: STSv1\nmode: testing\nmx: a.b\nmx: c.d\nmax_age: 86400\n";
	assert_int_equal(ask().mode, STS_ENFORCE);
	assert_int_equal(web->asked, 2);		/* not again so soon */
	bench.later_ms = 6 * 60 * 1000;
	ask();
	assert_int_equal(web->asked, 3);
	assert_int_equal(ask().mode, STS_TESTING);
	dns_forget(bench.dns);
	zone.n = lines;
	assert_int_equal(ask().mode, STS_TESTING);	/* without a record */
	bench.later_ms += 86401ll * 1000;
	assert_int_equal(ask().mode, STS_NONE);		/* it is too old */
	bench_close();
	remove_kept("mta-sts/there.example");
	mem_free(web);
}

/* ---- room: who goes when there is none, in memory and on disk */

#define ROOM 8192

static void write_policy(const char *domain, const char *mode, int64_t fetched_ms, size_t mx_n)
{
	char path[400];
	FILE *f;

	snprintf(path, sizeof(path), "%s/mta-sts/%s", folder, domain);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "mta-sts 1\ndomain %s\nid 1\nfetched %lld\n\nversion: STSv1\nmode: %s\n"
		"max_age: 86400\n", domain, (long long)fetched_ms, mode);
	for (size_t i = 0; i < mx_n; i++)
		fprintf(f, "mx: m%zu.%s\n", i, domain);
	fclose(f);
}

static bool is_kept(const char *domain)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/mta-sts/%s", folder, domain);
	return access(path, F_OK) == 0;
}

/* How many of n are known, in that mode; memory and disk must agree. None of them is too old. */
static unsigned count_known(const char *prefix, unsigned n, enum sts_mode mode)
{
	unsigned known = 0;

	for (unsigned i = 0; i < n; i++) {
		struct arena a = { .blocks = NULL };
		struct sts_answer answer;
		char domain[64];
		int64_t expires;
		bool is;

		snprintf(domain, sizeof(domain), "%s%u.example", prefix, i);
		is = sts_known(bench.sts, str_of(domain), &a, &answer, &expires);
		if (is != is_kept(domain) || (is && answer.policy.mode != mode))
			fail_msg("%s: %d, %d", domain, is, answer.policy.mode);
		known += is;
		arena_done(&a);
	}
	return known;
}

static unsigned count_files(const char *prefix, unsigned n)
{
	unsigned kept = 0;
	char domain[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(domain, sizeof(domain), "%s%u.example", prefix, i);
		kept += is_kept(domain);
	}
	return kept;
}

static void write_many(const char *prefix, unsigned n, const char *mode, int64_t age_ms)
{
	char domain[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(domain, sizeof(domain), "%s%u.example", prefix, i);
		write_policy(domain, mode, wall(&bench.world) - age_ms, 1);
	}
}

static void remove_all(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s/mta-sts'", folder);
	assert_int_equal(system(command), 0);
}

static void open_with_files(struct web *web)
{
	char path[128];

	bench_open(web, &good);
	sts_free(bench.sts);
	bench.state = folder;
	snprintf(path, sizeof(path), "%s/mta-sts", folder);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void test_room(void **state)
{
	struct web *web = mem_zalloc(sizeof(*web));
	const unsigned old = 100, none = 300, testing = 400, enforce = ROOM - 200;

	(void)state;
	open_with_files(web);
	write_many("old", old, "enforce", 2 * 86400 * 1000ll);
	write_many("none", none, "none", 0);
	write_many("testing", testing, "testing", 0);
	write_many("enforce", enforce, "enforce", 0);
	write_policy("broken.example", "enforce\n<html>", 0, 1);
	open_sts();
	assert_false(is_kept("broken.example"));
	assert_int_equal(count_files("old", old), 0);
	assert_int_equal(count_known("none", none, STS_NONE), 0);
	assert_int_equal(count_known("testing", testing, STS_TESTING), 200);
	assert_int_equal(count_known("enforce", enforce, STS_ENFORCE), enforce);
	/* a domain that has a record and no policy costs nobody his place */
	zone_add(RECORD);
	web->status = "500 Broken";
	assert_int_equal(ask().mode, STS_NONE);
	assert_int_equal(count_known("testing", testing, STS_TESTING), 200);
	/* one that is worth less than all others does not either */
	bench.later_ms = 6 * 60 * 1000;
	web->status = NULL;
	web->body = "version: STSv1\nmode: none\nmax_age: 86400\n";
	assert_true(ask().failed);
	assert_false(is_kept("there.example"));
	assert_int_equal(count_known("testing", testing, STS_TESTING), 200);
	/* one to enforce takes that of one in testing */
	bench.later_ms *= 2;
	web->body = POLICY;
	assert_int_equal(ask().mode, STS_ENFORCE);
	assert_true(is_kept("there.example"));
	assert_int_equal(count_known("testing", testing, STS_TESTING), 199);
	assert_int_equal(count_known("enforce", enforce, STS_ENFORCE), enforce);
	bench_close();
	remove_all();
	mem_free(web);
}

/* Large ones: 256 names of some 20 octets are 5 KiB, of which 4 are kept, 16 MiB of all. */
static void test_octets(void **state)
{
	struct web *web = mem_zalloc(sizeof(*web));
	unsigned known;
	char domain[64];

	(void)state;
	open_with_files(web);
	for (unsigned i = 0; i < 4200; i++) {
		snprintf(domain, sizeof(domain), "enforce%u.example", i);
		write_policy(domain, "enforce", wall(&bench.world), 256);
	}
	open_sts();
	known = count_known("enforce", 4200, STS_ENFORCE);
	print_message("%u are known\n", known);
	assert_in_range(known, 3700, 4000);
	bench_close();
	remove_all();
	mem_free(web);
}

/* ---- TLS reports */

struct reporting {
	struct tlsrpt *tlsrpt;
	unsigned sent;
	int64_t day;
};

static void count_run(void *arg)
{
	struct reporting *r = arg;
	struct tlsrpt_session s = {
		.domain = STR("There.example"), .policy_domain = STR("there.example"),
		.type = TLSRPT_STS, .policy = STR(POLICY), .host = STR("mx.there.example"),
		.peer = { 4, { 127, 0, 0, 1 } },
	};

	r->day = loop_wall_ms() / 86400000;
	for (int i = 0; i < 3; i++)
		tlsrpt_count(r->tlsrpt, &s);
	s.result = TLSRPT_CERTIFICATE_EXPIRED;
	s.why = STR("certificate has \"expired\"");
	tlsrpt_count(r->tlsrpt, &s);
	tlsrpt_count(r->tlsrpt, &s);
	s.domain = STR("bad name");
	tlsrpt_count(r->tlsrpt, &s);
	task_yield();
	tlsrpt_stop(r->tlsrpt);
	tlsrpt_end(r->tlsrpt);		/* saves */
}

static void report_run(void *arg)
{
	struct reporting *r = arg;

	r->sent = tlsrpt_report_day(r->tlsrpt, r->day);
	tlsrpt_stop(r->tlsrpt);
	tlsrpt_end(r->tlsrpt);
}

static json_t *take_report(struct web *web)
{
	const char *body = (char *)memmem(web->asked_for, web->asked_n, "\r\n\r\n", 4) + 4;
	static char text[65536];
	z_stream z = { .next_in = (Bytef *)(uintptr_t)body, .next_out = (Bytef *)text,
		       .avail_in = (uInt)(web->asked_for + web->asked_n - body),
		       .avail_out = sizeof(text) };

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	inflateEnd(&z);
	return json_loadb(text, z.total_out, 0, NULL);
}

static struct config *configure(void)
{
	static const char text[] = "version 1\nhostname relay.example\n";
	struct buf messages = BUF_INIT(4096);
	struct config_source source = { .path = "t.conf", .text = text, .text_n = sizeof(text) - 1,
					.is_alone = true, .host_name = "relay.example" };
	unsigned errors, warnings;
	struct config *c = config_load_from(&source, &messages, &errors, &warnings);

	buf_done(&messages);
	c->tls_reports.on = true;
	c->tls_reports.from = STR("tls@relay.example");
	c->tls_reports.organization = STR("Relay & Co");
	return c;
}

static void check_report(json_t *j)
{
	json_t *policy = json_array_get(json_object_get(j, "policies"), 0);
	json_t *sums = json_object_get(policy, "summary");
	json_t *failure = json_array_get(json_object_get(policy, "failure-details"), 0);
	json_t *of = json_object_get(policy, "policy");

	assert_int_equal(json_array_size(json_object_get(j, "policies")), 1);
	assert_string_equal(json_string_value(json_object_get(j, "organization-name")),
			    "Relay & Co");
	assert_string_equal(json_string_value(json_object_get(of, "policy-type")), "sts");
	assert_string_equal(json_string_value(json_array_get(json_object_get(of, "policy-string"),
							     1)), "mode: enforce");
	assert_int_equal(json_integer_value(json_object_get(sums,
							    "total-successful-session-count")), 3);
	assert_int_equal(json_integer_value(json_object_get(sums,
							    "total-failure-session-count")), 2);
	assert_string_equal(json_string_value(json_object_get(failure, "result-type")),
			    "certificate-expired");
	assert_int_equal(json_integer_value(json_object_get(failure, "failed-session-count")), 2);
	json_decref(j);
}

static void test_report(void **state)
{
	struct web *web = mem_zalloc(sizeof(*web));
	struct reporting r = { .tlsrpt = NULL };
	char line[200], path[200];

	(void)state;
	bench_open(web, &good);
	config_set_current(configure());
	r.tlsrpt = tlsrpt_new(bench.net, NULL, bench.dns, folder);
	run_on(net_loop(bench.net, 0), count_run, &r, true);
	tlsrpt_free(r.tlsrpt);
	snprintf(line, sizeof(line), "_smtp._tls.there.example TXT "
		 "v=TLSRPTv1;rua=https://reports.there.example:%u/x", web->port);
	zone_add(line);
	r.tlsrpt = tlsrpt_new(bench.net, NULL, bench.dns, folder);	/* after a restart */
	run_on(net_loop(bench.net, 0), report_run, &r, true);
	assert_int_equal(r.sent, 1);
	assert_non_null(strstr(web->asked_for, "Content-Type: application/tlsrpt+gzip\r\n"));
	check_report(take_report(web));
	snprintf(path, sizeof(path), "%s/tls-reports/%lld", folder, (long long)r.day);
	assert_int_not_equal(access(path, F_OK), 0);		/* reported once */
	tlsrpt_free(r.tlsrpt);
	config_set_current(NULL);
	bench_close();
	remove_kept("tls-reports/x");
	mem_free(web);
}

/* A file that was tampered with: a domain longer than any is reported to nobody, and is gone. */
static void test_odd_report(void **state)
{
	struct web *web = mem_zalloc(sizeof(*web));
	struct reporting r = { .day = 20000 };
	char path[200];
	FILE *f;

	(void)state;
	bench_open(web, &good);
	config_set_current(configure());
	snprintf(path, sizeof(path), "%s/tls-reports", folder);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/tls-reports/20000", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "{\"%0300d sts x\":{\"policy\":{},\"summary\":{}},\"\":[],\"a b\":1}", 0);
	fclose(f);
	r.tlsrpt = tlsrpt_new(bench.net, NULL, bench.dns, folder);
	run_on(net_loop(bench.net, 0), report_run, &r, true);
	assert_int_equal(r.sent, 0);
	assert_int_not_equal(access(path, F_OK), 0);
	tlsrpt_free(r.tlsrpt);
	config_set_current(NULL);
	bench_close();
	remove_kept("tls-reports/x");
	mem_free(web);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_odd_report),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
