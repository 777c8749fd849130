/*
 * dns/unbound: the real resolver against a real nsd, a server that misbehaves, and a root of our
 * own. Skipped where nsd or python3 is absent.
 */
#include "dns/dns.h"
#include "dns/unbound.h"
#include "unit/dns/server.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static struct server nsd, scripted;
static bool have_servers;

static struct net *net;
static struct dns *dns;
static struct world world;		/* the real one, with a resolver of the test's own */

static uint64_t now_ms(void)
{
	return world_real()->now(world_real()) / MILLISECOND;
}

static int configure(struct dns_options o, struct buf *error)
{
	o.cache_max = o.cache_max ? o.cache_max : 4 * 1024 * 1024;
	o.timeout_ns = o.timeout_ns ? o.timeout_ns : 5 * SECOND;
	return unbound_configure(&world, &o, error);
}

static struct endpoint at(uint16_t port)
{
	struct endpoint e = { .port = port };

	ip_parse(STR("127.0.0.1"), &e.ip);
	return e;
}

static void open_resolver(struct dns_options o)
{
	struct buf error = BUF_INIT(1024);

	world = *world_real();
	if (configure(o, &error) < 0)
		fail_msg("%s", buf_cstr(&error));
	assert_int_equal(error.n, 0);
	buf_done(&error);
	net = net_new(&world, 1, 1);
	dns = dns_new(net);
	net_start(net);
}

static void end_dns(void *arg)
{
	(void)arg;
	dns_wait(dns);
}

static void close_resolver(void)
{
	run_on(net_loop(net, 0), end_dns, NULL, true);
	unbound_stop(&world);
	net_stop(net);
	dns_free(dns);
	assert_null(world.dns_ask);
}

static void need_servers(void)
{
	if (have_servers)
		return;
	print_message("skipped: no nsd (or python3) here\n");
	skip();
}

/* ---- one question, from outside of the loops */

struct asking {
	const char *name;
	unsigned type;
	uint64_t ms;
	struct arena arena;
	struct dns_answer answer;
	struct mx_answer mx;
	struct dns_addresses addresses;
};

static void ask_any(void *arg)
{
	struct asking *a = arg;

	dns_lookup(dns, str_of(a->name), a->type, in_ms(a->ms), &a->arena, &a->answer);
}

static void ask_mx(void *arg)
{
	struct asking *a = arg;

	dns_mx(dns, str_of(a->name), in_ms(a->ms), &a->arena, &a->mx);
}

static void ask_addresses(void *arg)
{
	struct asking *a = arg;

	dns_addresses(dns, str_of(a->name), a->type, in_ms(a->ms), &a->addresses);
}

static struct asking ask(void (*fn)(void *arg), const char *name, unsigned type)
{
	struct asking a = { .name = name, .type = type, .ms = 8000 };

	run_on(net_loop(net, 0), fn, &a, true);
	return a;
}

static void expect(const char *name, unsigned type, enum dns_status status, unsigned n)
{
	struct asking a = ask(ask_any, name, type);

	if (a.answer.status != status || a.answer.n != n)
		fail_msg("%s type %u: %s, %u records", name, type,
			 dns_status_text(a.answer.status), a.answer.n);
	arena_done(&a.arena);
}

/* "10 mx1.unit.test 20 mx2.unit.test" */
static void expect_mx(const char *name, enum dns_status status, const char *hosts)
{
	struct asking a = ask(ask_mx, name, 0);
	struct buf text = BUF_INIT(16384);

	if (a.mx.is_null)
		buf_add_lit(&text, "null ");
	if (a.mx.is_implicit)
		buf_add_lit(&text, "implicit ");
	for (unsigned i = 0; i < a.mx.n; i++)
		buf_printf(&text, "%u %.*s ", a.mx.hosts[i].preference,
			   STR_ARG(a.mx.hosts[i].name));
	if (a.mx.status != status || !str_eq(str_trim(buf_str(&text)), str_of(hosts)))
		fail_msg("MX of %s: %s: %s", name, dns_status_text(a.mx.status), buf_cstr(&text));
	buf_done(&text);
	arena_done(&a.arena);
}

static void expect_addresses(const char *name, unsigned families, enum dns_status status,
			     const char *first, unsigned n)
{
	struct asking a = ask(ask_addresses, name, families);
	char text[ENDPOINT_TEXT_MAX] = "";

	if (a.addresses.n)
		ip_text(text, &a.addresses.ips[0]);
	if (a.addresses.status != status || a.addresses.n != n || (n && strcmp(text, first)))
		fail_msg("addresses of %s: %s: %u, %s", name, dns_status_text(a.addresses.status),
			 a.addresses.n, text);
}

/* ---- a real server */

static void test_zone(void **state)
{
	const struct endpoint server = at(nsd.port);
	struct asking a;

	(void)state;
	need_servers();
	open_resolver((struct dns_options){ .mode = DNS_MODE_SERVERS, .servers = &server,
					    .servers_n = 1 });
	expect_mx("unit.test", DNS_OK, "10 mx1.unit.test 20 mx2.unit.test");
	expect_mx("UNIT.test.", DNS_OK, "10 mx1.unit.test 20 mx2.unit.test");
	expect_mx("alias.unit.test", DNS_OK, "10 mx1.unit.test 20 mx2.unit.test");
	expect_mx("b\xc3\xbc" "cher.unit.test", DNS_OK, "10 mx1.unit.test");
	expect_mx("null.unit.test", DNS_OK, "null");
	expect_mx("nullmixed.unit.test", DNS_OK, "10 mx1.unit.test");
	expect_mx("implicit.unit.test", DNS_OK, "implicit 0 implicit.unit.test");
	expect_mx("chain1.unit.test", DNS_OK, "implicit 0 chain1.unit.test");
	expect_mx("text.unit.test", DNS_NODATA, "implicit");
	expect_mx("nowhere.unit.test", DNS_NXDOMAIN, "");
	expect_mx("dangling.unit.test", DNS_NXDOMAIN, "");
	expect_mx("loop1.unit.test", DNS_SERVFAIL, "");
	expect_mx("tocname.unit.test", DNS_OK, "10 chain1.unit.test");
	expect_mx("numeric.unit.test", DNS_OK, "10 192.0.2.9");
	expect_mx("numericmixed.unit.test", DNS_OK, "10 mx1.unit.test");
	expect_mx("twice.unit.test", DNS_OK, "10 mx1.unit.test 15 mx2.unit.test");
	expect_mx("odd.unit.test", DNS_SERVFAIL, "");
	expect_mx("a.b.wild.unit.test", DNS_OK, "10 mx2.unit.test");
	expect_mx("unit.example", DNS_OK, "10 mx.unit.example");
	expect_mx("other.zone", DNS_SERVFAIL, "");	/* REFUSED */
	expect_mx("[192.0.2.1]", DNS_OK, "0 192.0.2.1");
	expect_mx("[IPv6:2001:DB8::1]", DNS_OK, "0 2001:db8::1");
	expect_mx("192.0.2.1", DNS_INVALID, "");
	expect_mx("a..b", DNS_INVALID, "");
	expect_addresses("mx1.unit.test", 3, DNS_OK, "2001:db8::1", 2);
	expect_addresses("mx1.unit.test", DNS_IPV4, DNS_OK, "192.0.2.1", 1);
	expect_addresses("chain1.unit.test", DNS_IPV6, DNS_OK, "2001:db8::1", 1);
	expect_addresses("mx2.unit.test", DNS_IPV6, DNS_NODATA, "", 0);
	expect_addresses("mx2.unit.test", 3, DNS_OK, "192.0.2.2", 1);
	expect_addresses("mapped.unit.test", 3, DNS_NODATA, "", 0);
	expect_addresses("text.unit.test", 3, DNS_NODATA, "", 0);
	expect_addresses("nowhere.unit.test", 3, DNS_NXDOMAIN, "", 0);
	expect("_25._tcp.mx1.unit.test", DNS_TLSA, DNS_OK, 1);
	expect("1.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, 1);
	expect("1.0.0.127.in-addr.arpa", DNS_PTR, DNS_OK, 1);
	expect("long.unit.test", DNS_TXT, DNS_OK, 1);		/* 5,020 octets: by TCP */
	expect("lots.unit.test", DNS_A, DNS_OK, 300);		/* likewise */
	expect_addresses("localhost", 3, DNS_OK, "::1", 2);
	a = ask(ask_addresses, "lots.unit.test", 3);
	assert_int_equal(a.addresses.n, DNS_ADDRESSES_MAX);
	a = ask(ask_any, "chain1.unit.test", DNS_A);
	assert_string_equal(a.answer.canonical, "mx1.unit.test");
	assert_false(a.answer.secure);
	arena_done(&a.arena);
	a = ask(ask_mx, "many.unit.test", 0);
	assert_int_equal(a.mx.n, DNS_MX_MAX);
	for (unsigned i = 0; i < a.mx.n; i++)
		assert_int_equal(a.mx.hosts[i].preference, 901 + i);
	arena_done(&a.arena);
	a = ask(ask_mx, "equal.unit.test", 0);
	assert_int_equal(a.mx.n, 4);
	assert_str_equal(a.mx.hosts[0].name, STR("first.equal.unit.test"));
	arena_done(&a.arena);
	close_resolver();
}

static void test_dnssec(void **state)
{
	const struct endpoint server = at(nsd.port);
	char anchors[96];
	struct asking a;

	(void)state;
	need_servers();
	snprintf(anchors, sizeof(anchors), "%s/anchors", nsd.folder);
	open_resolver((struct dns_options){ .mode = DNS_MODE_SERVERS, .servers = &server,
					    .servers_n = 1, .dnssec = true,
					    .trust_anchor = anchors });
	a = ask(ask_mx, "good.signed", 0);
	assert_int_equal(a.mx.status, DNS_OK);
	assert_true(a.mx.secure);
	arena_done(&a.arena);
	a = ask(ask_addresses, "alias.good.signed", 3);
	assert_int_equal(a.addresses.status, DNS_OK);
	assert_true(a.addresses.secure);
	a = ask(ask_any, "nowhere.good.signed", DNS_A);
	assert_int_equal(a.answer.status, DNS_NXDOMAIN);
	assert_true(a.answer.secure);
	arena_done(&a.arena);
	a = ask(ask_mx, "unit.test", 0);
	assert_int_equal(a.mx.status, DNS_OK);	/* no anchor above it */
	assert_false(a.mx.secure);
	arena_done(&a.arena);
	expect_mx("broken.signed", DNS_BOGUS, "");
	expect_mx("expired.signed", DNS_BOGUS, "");
	expect("mx.broken.signed", DNS_A, DNS_BOGUS, 0);
	expect_addresses("mx.expired.signed", 3, DNS_BOGUS, "", 0);
	close_resolver();
	/* the same without validation */
	open_resolver((struct dns_options){ .mode = DNS_MODE_SERVERS, .servers = &server,
					    .servers_n = 1 });
	expect_mx("broken.signed", DNS_OK, "10 mx.broken.signed");
	close_resolver();
}

/* ---- a server that misbehaves */

static enum dns_status timed(const char *name, uint64_t ms, uint64_t *ret_ms)
{
	struct asking a = { .name = name, .type = DNS_A, .ms = ms };
	uint64_t before = now_ms();

	run_on(net_loop(net, 0), ask_any, &a, true);
	*ret_ms = now_ms() - before;
	arena_done(&a.arena);
	return a.answer.status;
}

static void test_misbehaviour(void **state)
{
	const struct endpoint server = at(scripted.port);
	uint64_t ms;

	(void)state;
	need_servers();
	open_resolver((struct dns_options){ .mode = DNS_MODE_SERVERS, .servers = &server,
					    .servers_n = 1, .timeout_ns = 3 * SECOND });
	expect("fine.scripted", DNS_A, DNS_OK, 1);
	expect("empty.scripted", DNS_A, DNS_NODATA, 0);
	expect("tcp.scripted", DNS_A, DNS_OK, 1);
	/* the asker's deadline, then the resolver's own; the question is not forgotten meanwhile */
	assert_int_equal(timed("silent.scripted", 300, &ms), DNS_TIMEOUT);
	assert_in_range(ms, 250, 1500);
	assert_int_equal(timed("silent.scripted", 20000, &ms), DNS_TIMEOUT);
	assert_in_range(ms, 2000, 6000);
	/* late, and nobody waits any more; asked again it is there */
	assert_int_equal(timed("slow.scripted", 100, &ms), DNS_TIMEOUT);
	assert_in_range(ms, 50, 450);
	assert_int_equal(timed("slow.scripted", 5000, &ms), DNS_OK);
	expect("servfail.scripted", DNS_A, DNS_SERVFAIL, 0);
	expect("refused.scripted", DNS_A, DNS_SERVFAIL, 0);
	expect("fine2.scripted", DNS_A, DNS_OK, 1);	/* the server as such is none the worse */
	/* such answers have no SOA: mail goes to an address that is there, and else waits */
	expect("nomx.scripted", DNS_MX, DNS_NODATA, 0);
	expect_mx("nomx.scripted", DNS_OK, "implicit 0 nomx.scripted");
	expect_mx("empty.scripted", DNS_SERVFAIL, "implicit");
	close_resolver();
}

static void test_nonsense(void **state)
{
	static const char *const names[] = {
		"lame.scripted", "garbage.scripted", "wrongid.scripted", "notcp.scripted",
	};
	const struct endpoint server = at(scripted.port);

	(void)state;
	need_servers();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		enum dns_status status;
		uint64_t ms;

		open_resolver((struct dns_options){ .mode = DNS_MODE_SERVERS, .servers = &server,
						    .servers_n = 1, .timeout_ns = 1 * SECOND });
		if (i == 0) {	/* "no records", but nothing that a domain could die of */
			expect_addresses(names[i], 3, DNS_SERVFAIL, "", 0);
			expect_mx(names[i], DNS_SERVFAIL, "implicit");
			close_resolver();
			continue;
		}
		status = timed(names[i], 10000, &ms);
		if ((status != DNS_SERVFAIL && status != DNS_TIMEOUT) || ms > 3000)
			fail_msg("%s: %s in %u ms", names[i], dns_status_text(status),
				 (unsigned)ms);
		close_resolver();
	}
}

static bool recovers(void)
{
	for (int i = 0; i < 40; i++) {
		char name[32];
		uint64_t ms;

		snprintf(name, sizeof(name), "again%d.scripted", i);
		if (timed(name, 5000, &ms) == DNS_OK)
			return true;
		usleep(250000);
	}
	return false;
}

/* Nobody listens, then somebody does: the recovery is a matter of seconds. */
static void test_dead_server(void **state)
{
	struct endpoint server;
	int fd = listen_on("127.0.0.1", &server);
	struct endpoint both[2] = { server, at(scripted.port) };
	struct server later;
	char port[8];
	uint64_t ms;

	(void)state;
	need_servers();
	close(fd);
	open_resolver((struct dns_options){ .mode = DNS_MODE_SERVERS, .servers = both,
					    .servers_n = 1, .timeout_ns = 2 * SECOND });
	for (int i = 0; i < 3; i++) {
		char name[32];

		snprintf(name, sizeof(name), "any%d.scripted", i);
		assert_int_not_equal(timed(name, 20000, &ms), DNS_OK);
		assert_in_range(ms, 0, 4000);
	}
	snprintf(port, sizeof(port), "%u", server.port);
	assert_true(server_start(&later, "scripted", port));
	assert_true(recovers());
	close_resolver();
	server_stop(&later);
	open_resolver((struct dns_options){ .mode = DNS_MODE_SERVERS, .servers = both,
					    .servers_n = 2 });
	for (int i = 0; i < 5; i++) {	/* the other one serves */
		char name[32];

		snprintf(name, sizeof(name), "n%d.scripted", i);
		assert_int_equal(timed(name, 8000, &ms), DNS_OK);
	}
	close_resolver();
}

/* ---- options */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void test_hosts_file(void **state)
{
	const struct endpoint server = at(nsd.port);
	char path[96];

	(void)state;
	need_servers();
	snprintf(path, sizeof(path), "%s/hosts", nsd.folder);
	write_file(path, "# own names\n192.0.2.50 mx1.unit.test other\n\n2001:db8::50\tother\r\n"
			 "nonsense name\n192.0.2.51 Other. # and more");
	open_resolver((struct dns_options){ .mode = DNS_MODE_SERVERS, .servers = &server,
					    .servers_n = 1, .hosts = path });
	expect_addresses("mx1.unit.test", 3, DNS_OK, "192.0.2.50", 1);
	expect_addresses("other", 3, DNS_OK, "2001:db8::50", 3);
	expect_addresses("mx2.unit.test", 3, DNS_OK, "192.0.2.2", 1);
	expect("mx1.unit.test", DNS_AAAA, DNS_NODATA, 0);
	expect("_25._tcp.mx1.unit.test", DNS_TLSA, DNS_OK, 1);
	expect_addresses("localhost", DNS_IPV4, DNS_OK, "127.0.0.1", 1);
	expect_addresses("a.localhost", DNS_IPV6, DNS_OK, "::1", 1);
	close_resolver();
}

static void expect_error(struct dns_options o, const char *part)
{
	struct buf error = BUF_INIT(2048);
	int r;

	r = configure(o, &error);
	if (r >= 0 || !strstr(buf_cstr(&error), part))
		fail_msg("%d: %s", r, buf_cstr(&error));
	buf_done(&error);
}

static void test_errors(void **state)
{
	const struct endpoint server = at(53);
	const struct dns_options good = { .mode = DNS_MODE_SERVERS, .servers = &server,
					  .servers_n = 1 };
	struct dns_options o = good;
	char path[] = "/tmp/relevo-anchor-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0 && write(fd, "this is no key\n", 15) == 15);
	close(fd);
	world = *world_real();
	for (int round = 0; round < 2; round++) {	/* at the start, and when one runs */
		o.hosts = "/does/not/exist";
		expect_error(o, "/does/not/exist: No such file");
		o = good;
		o.dnssec = true;
		o.trust_anchor = "/does/not/exist";
		expect_error(o, "trust anchor /does/not/exist: No such file");
		o.trust_anchor = path;
		expect_error(o, "the DNS library cannot start");
		o = good;
		o.mode = DNS_MODE_RECURSIVE;
		o.root_hints = "/does/not/exist";
		expect_error(o, "root hints /does/not/exist: No such file");
		o = good;
		if (round == 0) {
			struct buf none = BUF_INIT(16);

			assert_null(world.dns_ask);
			assert_int_equal(configure(good, &none), 0);
			buf_done(&none);
		}
		assert_non_null(world.dns_ask);
	}
	unbound_stop(&world);
	unbound_stop(&world);
	assert_null(world.dns_ask);
	unlink(path);
}

/* What the machine's own files say, without touching them. */
static char resolv_conf[96];

static int other_open(struct world *w, int dirfd, const char *path, int flags, mode_t mode)
{
	if (!strcmp(path, "/etc/resolv.conf"))
		path = resolv_conf;
	if (!strcmp(path, "/etc/hosts"))
		path = "/does/not/exist";
	return world_real()->disk_open(w, dirfd, path, flags, mode);
}

static void system_resolver(const char *text, const char *warning)
{
	struct buf error = BUF_INIT(1024);

	if (text)
		write_file(resolv_conf, text);
	else
		unlink(resolv_conf);
	world = *world_real();
	world.disk_open = other_open;
	assert_int_equal(configure((struct dns_options){ .mode = DNS_MODE_SYSTEM,
							 .hosts = "/etc/hosts" }, &error), 0);
	if (!strstr(buf_cstr(&error), warning) || (!*warning && error.n))
		fail_msg("%s", buf_cstr(&error));
	buf_done(&error);
	net = net_new(&world, 1, 1);
	dns = dns_new(net);
	net_start(net);
}

static void test_system(void **state)
{
	(void)state;
	need_servers();
	snprintf(resolv_conf, sizeof(resolv_conf), "%s/resolv.conf", nsd.folder);
	system_resolver(NULL, "No such file");
	expect("unit.test", DNS_MX, DNS_SERVFAIL, 0);
	expect_addresses("[192.0.2.1]", 3, DNS_OK, "192.0.2.1", 1);
	close_resolver();
	system_resolver("# nothing\nsearch example\n", "names no server");
	expect("unit.test", DNS_MX, DNS_SERVFAIL, 0);
	close_resolver();
	system_resolver("nameserver what\nnameserver 127.0.0.1 # x\noptions rotate\n", "");
	expect_addresses("localhost", DNS_IPV4, DNS_OK, "127.0.0.1", 1);
	close_resolver();
}

static void test_configure_anew(void **state)
{
	const struct endpoint first = at(nsd.port), second = at(scripted.port);
	struct dns_options o = { .mode = DNS_MODE_SERVERS, .servers = &first, .servers_n = 1 };
	struct buf error = BUF_INIT(1024);

	(void)state;
	need_servers();
	open_resolver(o);
	expect_addresses("mx2.unit.test", 3, DNS_OK, "192.0.2.2", 1);
	for (int i = 0; i < 5; i++) {
		o.servers = i % 2 ? &first : &second;
		assert_int_equal(configure(o, &error), 0);
		expect_addresses("mx2.unit.test", 3, DNS_OK, i % 2 ? "192.0.2.1" : "192.0.2.2", 1);
		dns_forget(dns);
		expect_addresses("mx2.unit.test", 3, DNS_OK, i % 2 ? "192.0.2.2" : "192.0.2.1", 1);
	}
	buf_done(&error);
	close_resolver();
}

/* ---- threads: questions, cancellations and new options at the same time */

struct crowd {
	struct asking asking;
	char name[40];
};

static void ask_and_forget(void *arg)
{
	struct crowd *c = arg;

	dns_lookup(dns, str_of(c->name), DNS_A, in_ms(c->asking.ms), &c->asking.arena,
		   &c->asking.answer);
	arena_done(&c->asking.arena);
}

static void ask_many(void *arg)
{
	unsigned n = is_slow() ? 200 : 1000;
	struct crowd *crowd = calloc(n, sizeof(*crowd));
	struct task_group group;

	(void)arg;
	task_group_init(&group);
	for (unsigned i = 0; i < n; i++) {
		snprintf(crowd[i].name, sizeof(crowd[i].name), i % 10 == 9 ? "silent.scripted"
			 : "t%u.scripted", i % 100);
		crowd[i].asking.ms = i % 7 == 0 ? i % 20 : 3000;
		CHECK(task_start(&group, ask_and_forget, &crowd[i], "asks"));
	}
	task_sleep_until(in_ms(100));
	task_group_cancel(&group);
	task_group_wait(&group, NEVER);
	free(crowd);
	dns_wait(dns);
}

static void *call_many(void *loop)
{
	run_on(loop, ask_many, NULL, true);
	return NULL;
}

static void test_threads(void **state)
{
	const struct endpoint server = at(scripted.port);
	const struct dns_options o = { .mode = DNS_MODE_SERVERS, .servers = &server,
				       .servers_n = 1 };
	struct buf error = BUF_INIT(1024);
	pthread_t threads[3];

	(void)state;
	need_servers();
	world = *world_real();
	assert_int_equal(configure(o, &error), 0);
	net = net_new(&world, 3, 1);
	dns = dns_new(net);
	net_start(net);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_many, net_loop(net, i)), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(configure(o, &error), 0);
		dns_forget(dns);
		usleep(10000);
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	buf_done(&error);
	unbound_stop(&world);
	net_stop(net);
	dns_free(dns);
}

/* Distinct names at once, more than there are sockets for. */
static void ask_distinct(void *arg)
{
	unsigned n = *(unsigned *)arg, ok = 0;
	struct crowd *crowd = calloc(n, sizeof(*crowd));
	struct task_group group;

	task_group_init(&group);
	for (unsigned i = 0; i < n; i++) {
		snprintf(crowd[i].name, sizeof(crowd[i].name), "n%u.wild.unit.test", i);
		crowd[i].asking.ms = 60000;
		CHECK(task_start(&group, ask_and_forget, &crowd[i], "asks"));
	}
	task_group_wait(&group, NEVER);
	for (unsigned i = 0; i < n; i++)
		ok += crowd[i].asking.answer.status == DNS_OK;
	CHECK_EQ(ok, n);
	free(crowd);
}

static void test_many(void **state)
{
	const struct endpoint server = at(nsd.port);
	unsigned n = is_slow() ? 1000 : 6000;

	(void)state;
	need_servers();
	open_resolver((struct dns_options){ .mode = DNS_MODE_SERVERS, .servers = &server,
					    .servers_n = 1, .timeout_ns = 30 * SECOND });
	run_on(net_loop(net, 0), ask_distinct, &n, true);
	close_resolver();
}

/* The end comes while questions are under way: they are answered, at once. */
static atomic_uint done_n;

static void count_done(struct dns_query *q)
{
	CHECK_EQ(q->status, DNS_CANCELLED);
	done_n++;
}

static void test_stop(void **state)
{
	const struct endpoint server = at(scripted.port);
	const struct dns_options o = { .mode = DNS_MODE_SERVERS, .servers = &server,
				       .servers_n = 1 };
	static struct dns_query queries[100];
	struct buf error = BUF_INIT(1024);

	(void)state;
	need_servers();
	world = *world_real();
	assert_int_equal(configure(o, &error), 0);
	for (int i = 0; i < 100; i++) {
		queries[i] = (struct dns_query){ .name = "silent.scripted", .type = DNS_A,
						 .done = count_done };
		assert_int_equal(world.dns_ask(&world, &queries[i]), 0);
		if (i % 4 == 0)
			world.dns_cancel(&world, &queries[i]);
	}
	unbound_stop(&world);
	assert_int_equal(done_n, 100);
	buf_done(&error);
}

/* ---- recursion, from a root of our own */

static void test_recursive(void **state)
{
	struct server root;
	char hints[96];
	uint64_t ms;

	(void)state;
	need_servers();
	if (!server_start(&root, "root", "127.53.53.53")) {
		server_stop(&root);
		print_message("skipped: port 53 of 127.53.53.53 cannot be had\n");
		skip();
	}
	snprintf(hints, sizeof(hints), "%s/hints", root.folder);
	open_resolver((struct dns_options){ .mode = DNS_MODE_RECURSIVE, .root_hints = hints });
	expect_mx("fake", DNS_OK, "10 mx.fake");
	expect_addresses("mx.fake", 3, DNS_OK, "192.0.2.20", 1);
	expect_mx("nowhere.fake", DNS_NXDOMAIN, "");
	expect_mx("nowhere", DNS_NXDOMAIN, "");
	close_resolver();
	server_stop(&root);
	/* and with a root that is gone */
	snprintf(hints, sizeof(hints), "%s/hints", nsd.folder);
	write_file(hints, ". 60 IN NS ns.gone.\nns.gone. 60 IN A 127.53.53.54\n");
	open_resolver((struct dns_options){ .mode = DNS_MODE_RECURSIVE, .root_hints = hints,
					    .timeout_ns = 2 * SECOND });
	assert_int_not_equal(timed("example.com", 10000, &ms), DNS_OK);
	assert_in_range(ms, 0, 4000);
	close_resolver();
}

static int set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	have_servers = nsd_is_there();
	if (have_servers && (!server_start(&nsd, "nsd", "") ||
			     !server_start(&scripted, "scripted", "0")))
		return -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (nsd.pid)
		server_stop(&nsd);
	if (scripted.pid)
		server_stop(&scripted);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),	    cmocka_unit_test(test_zone),
		cmocka_unit_test(test_dnssec),	    cmocka_unit_test(test_misbehaviour),
		cmocka_unit_test(test_nonsense),    cmocka_unit_test(test_dead_server),
		cmocka_unit_test(test_hosts_file),  cmocka_unit_test(test_system),
		cmocka_unit_test(test_configure_anew), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_many),	    cmocka_unit_test(test_stop),
		cmocka_unit_test(test_recursive),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
