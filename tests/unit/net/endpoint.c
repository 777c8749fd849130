/*
 * net/endpoint: addresses, networks and endpoints, both ways; what must not parse; the kernel's
 * form.
 */
#include "net/endpoint.h"
#include "unit/unit.h"

#include <netinet/in.h>
#include <sys/un.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *in, *out;	/* out NULL: refused */
} ips[] = {
	{ "192.0.2.1", "192.0.2.1" },
	{ "0.0.0.0", "0.0.0.0" },
	{ "255.255.255.255", "255.255.255.255" },
	{ "::1", "::1" },
	{ "::", "::" },
	{ "2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
	{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
	{ "::ffff:192.0.2.1", "192.0.2.1" },
	{ "::ffff:c000:201", "192.0.2.1" },
	{ "0:0:0:0:0:FFFF:10.0.0.1", "10.0.0.1" },
	{ "", NULL },
	{ "1", NULL },
	{ "1.2.3", NULL },
	{ "1.2.3.4.5", NULL },
	{ "1.2.3.256", NULL },
	{ "01.2.3.4", NULL },
	{ "0x1.2.3.4", NULL },
	{ " 1.2.3.4", NULL },
	{ "1.2.3.4 ", NULL },
	{ "[::1]", NULL },
	{ "fe80::1%eth0", NULL },
	{ ":::1", NULL },
	{ "1:2:3:4:5:6:7", NULL },
	{ "1:2:3:4:5:6:7:8:9", NULL },
	{ "2001:db8::1::", NULL },
	{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL },
};

static void test_ip(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(ips); i++) {
		char text[ENDPOINT_TEXT_MAX];
		struct buf b = BUF_INIT(100);
		struct ip ip = { 0 }, again;
		bool ok = ip_parse(str_of(ips[i].in), &ip);

		if (ok != (ips[i].out != NULL))
			fail_msg("ip %s", ips[i].in);
		if (!ok) {
			assert_int_equal(ip.family, 0);
			continue;
		}
		ip_format(&b, &ip);
		assert_str_equal(buf_str(&b), str_of(ips[i].out));
		assert_string_equal(ip_text(text, &ip), ips[i].out);
		assert_true(ip_parse(buf_str(&b), &again));
		assert_true(ip_eq(&ip, &again));
		assert_true(ip_hash(&ip) == ip_hash(&again));
		buf_done(&b);
	}
	assert_false(ip_parse(str_make("1.2.3.4\0x", 9), &(struct ip){ 0 }));
}

static const struct {
	const char *network, *out, *inside, *outside;	/* out NULL: refused */
} networks[] = {
	{ "10.0.0.0/8", "10.0.0.0/8", "10.255.0.1", "11.0.0.0" },
	{ "192.0.2.0/25", "192.0.2.0/25", "192.0.2.127", "192.0.2.128" },
	{ "192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.6" },
	{ "192.0.2.7/32", "192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8" },
	{ "0.0.0.0/0", "0.0.0.0/0", "1.2.3.4", "::1" },
	{ "::/0", "::/0", "2001:db8::1", "1.2.3.4" },
	{ "2001:db8::/33", "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::" },
	{ "::1", "::1", "::1", "::2" },
	{ "::ffff:10.0.0.0/104", "10.0.0.0/8", "10.1.2.3", "11.0.0.0" },
	{ "::ffff:0.0.0.0/96", "0.0.0.0/0", "10.1.2.3", "::1" },
	{ "::ffff:0.0.0.0/95", NULL, NULL, NULL },
	{ "10.0.0.1/8", NULL, NULL, NULL },
	{ "10.0.0.0/33", NULL, NULL, NULL },
	{ "10.0.0.0/", NULL, NULL, NULL },
	{ "10.0.0.0/-1", NULL, NULL, NULL },
	{ "10.0.0.0/8/8", NULL, NULL, NULL },
	{ "10.0.0.0/255.0.0.0", NULL, NULL, NULL },
	{ "/8", NULL, NULL, NULL },
	{ "::/129", NULL, NULL, NULL },
	{ "::1/64", NULL, NULL, NULL },
};

static void test_network(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(networks); i++) {
		struct buf b = BUF_INIT(100);
		struct network n;
		struct ip ip;
		bool ok = network_parse(str_of(networks[i].network), &n);

		if (ok != (networks[i].out != NULL))
			fail_msg("network %s", networks[i].network);
		if (!ok)
			continue;
		network_format(&b, &n);
		assert_str_equal(buf_str(&b), str_of(networks[i].out));
		assert_true(ip_parse(str_of(networks[i].inside), &ip));
		assert_true(network_has(&n, &ip));
		assert_true(ip_parse(str_of(networks[i].outside), &ip));
		assert_false(network_has(&n, &ip));
		assert_false(network_has(&n, &(struct ip){ 0 }));
		buf_done(&b);
	}
}

static const struct {
	const char *in;
	uint16_t port;		/* the default */
	const char *out;	/* NULL: refused */
} endpoints[] = {
	{ "127.0.0.1:25", 0, "127.0.0.1:25" },
	{ "127.0.0.1", 25, "127.0.0.1:25" },
	{ "127.0.0.1", 0, NULL },
	{ "127.0.0.1:65535", 0, "127.0.0.1:65535" },
	{ "127.0.0.1:65536", 25, NULL },
	{ "127.0.0.1:0", 25, NULL },
	{ "127.0.0.1:", 25, NULL },
	{ "127.0.0.1:smtp", 25, NULL },
	{ "127.0.0.1:+25", 25, NULL },
	{ "[::1]:2525", 25, "[::1]:2525" },
	{ "[::1]", 25, "[::1]:25" },
	{ "::1", 25, "[::1]:25" },
	{ "2001:db8::25", 587, "[2001:db8::25]:587" },
	{ "[::1]", 0, NULL },
	{ "[::1", 25, NULL },
	{ "[::1]25", 25, NULL },
	{ "[::1]:", 25, NULL },
	{ "[127.0.0.1]:25", 25, NULL },
	{ "[::ffff:127.0.0.1]:25", 0, "127.0.0.1:25" },
	{ "localhost:25", 0, NULL },
	{ "", 25, NULL },
	{ ":25", 25, NULL },
	{ "unix:/run/relevo/lmtp", 25, "unix:/run/relevo/lmtp" },
	{ "unix:", 25, NULL },
	{ "unix:relative", 25, NULL },
};

static void test_endpoint(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(endpoints); i++) {
		struct sockaddr_storage sa;
		struct buf b = BUF_INIT(200);
		struct endpoint e, again;
		char text[ENDPOINT_TEXT_MAX];
		bool ok = endpoint_parse(str_of(endpoints[i].in), endpoints[i].port, &e);

		if (ok != (endpoints[i].out != NULL))
			fail_msg("endpoint %s", endpoints[i].in);
		if (!ok)
			continue;
		endpoint_format(&b, &e);
		assert_str_equal(buf_str(&b), str_of(endpoints[i].out));
		assert_string_equal(endpoint_text(text, &e), endpoints[i].out);
		assert_true(endpoint_to_sockaddr(&e, &sa) > 0);
		endpoint_from_sockaddr(&again, &sa);
		assert_true(endpoint_eq(&e, &again));
		assert_true(endpoint_hash(&e) == endpoint_hash(&again));
		buf_done(&b);
	}
}

static void test_unix_length(void **state)
{
	char path[ENDPOINT_PATH_MAX + 8] = "unix:/", text[ENDPOINT_TEXT_MAX];
	struct sockaddr_storage sa;
	struct endpoint e, again;

	(void)state;
	memset(path + 6, 'a', ENDPOINT_PATH_MAX - 1);
	assert_true(endpoint_parse(str_of(path), 0, &e));
	assert_int_equal(strlen(e.path), ENDPOINT_PATH_MAX);
	assert_int_equal(endpoint_to_sockaddr(&e, &sa), sizeof(struct sockaddr_un));
	endpoint_from_sockaddr(&again, &sa);
	assert_true(endpoint_eq(&e, &again));
	assert_int_equal(strlen(endpoint_text(text, &e)), ENDPOINT_TEXT_MAX - 1);
	path[ENDPOINT_PATH_MAX + 5] = 'a';
	assert_false(endpoint_parse(str_of(path), 0, &e));
}

static void test_mapped_from_socket(void **state)
{
	struct sockaddr_storage sa = { 0 };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&sa;
	struct endpoint e;

	(void)state;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(25);
	in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
	in6->sin6_addr.s6_addr[12] = 127;
	in6->sin6_addr.s6_addr[15] = 1;
	endpoint_from_sockaddr(&e, &sa);
	assert_int_equal(e.ip.family, 4);
	assert_int_equal(e.ip.bytes[0], 127);
	assert_int_equal(e.port, 25);
}

static void test_loopback(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} rows[] = {
		{ "127.0.0.1", true }, { "127.255.255.254", true }, { "128.0.0.1", false },
		{ "::1", true }, { "::", false }, { "::2", false }, { "1::1", false },
		{ "7f00::1", false }, { "::ffff:127.0.0.1", true },
	};
	struct endpoint e = { .path = "/run/x" };

	(void)state;
	assert_true(endpoint_is_here(&e));
	e.path = NULL;
	assert_false(endpoint_is_here(&e));	/* no address */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!ip_parse(str_of(rows[i].text), &e.ip) ||
		    ip_is_loopback(&e.ip) != rows[i].is || endpoint_is_here(&e) != rows[i].is)
			fail_msg("%s", rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_endpoint),
		cmocka_unit_test(test_unix_length),
		cmocka_unit_test(test_mapped_from_socket),
		cmocka_unit_test(test_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
