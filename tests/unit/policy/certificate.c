/*
 * policy: a snapshot's contexts in real handshakes - the signer that is named only after the
 * snapshot was loaded, and rules by what a client's certificate says.
 */
#include "unit/config/certificates.h"
#include "unit/net/run.h"

#include "base/mem.h"
#include "net/tls.h"
#include "policy/policy.h"

static struct folder folder;
static struct config *config;

static int setup(void **state)
{
	struct loaded l;

	(void)state;
	folder_make(&folder);
	folder_certificate(&folder, "relay", "relay.example.net", 86400 * 100);
	folder_certificate(&folder, "branch", "mail.branch.example", 86400 * 100);
	folder_certificate(&folder, "stranger", "mail.branch.example", 86400 * 100);
	l = folder_load(
		&folder,
		"version 1\n"
		"hostname relay.example.net\n"
		"listen 127.0.0.1 { client_certificates }\n"
		"tls { certificate relay.crt; key relay.key; client_ca branch.crt }\n"
		"route known { host relay.example.net; tls verified ca relay.crt; client_identity "
		"branch.crt branch.key }\n"
		"route unknown { host relay.example.net; tls verified ca relay.crt; "
		"client_identity "
		"stranger.crt stranger.key }\n"
		"route none { host relay.example.net; tls required }\n"
		"accept from certificate mail.branch.example to domain a.example via known\n"
		"accept from certificate other.example to domain b.example via unknown\n"
		"accept from certificate to domain c.example via none\n", true);
	check_messages("certificate", &l, "");
	config = l.c;
	buf_done(&l.messages);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	config_set_signer(NULL);
	config_unref(config);
	folder_remove(&folder);
	return 0;
}

struct pair {
	const char *route;
	struct stream *server, *client;
	int accepted, connected;
};

static void accept_task(void *arg)
{
	struct pair *p = arg;

	p->accepted = stream_tls_accept(p->server, config->tls.server_asking, in_seconds(10));
}

static void connect_task(void *arg)
{
	struct pair *p = arg;
	const struct route *route = config_route(config, str_of(p->route));
	const struct tls_wish wish = {
		.demand = route->tls == TLS_VERIFIED ? TLS_PKIX : TLS_ANY,
		.server_name = STR("relay.example.net"),
		.names = &wish.server_name,
		.names_n = 1,
	};

	p->connected = stream_tls_connect(p->client, route->tls_context, &wish, in_seconds(10));
	if (p->connected == 0) {	/* TLS 1.3: the server reads our certificate behind it */
		stream_write(p->client, "x", 1, in_seconds(10));
		stream_flush(p->client, in_seconds(10));
	}
}

static void shake(struct pair *p)
{
	struct task_group both;

	task_group_init(&both);
	stream_pair(&p->server, &p->client);
	CHECK(task_start(&both, accept_task, p, "server"));
	CHECK(task_start(&both, connect_task, p, "client"));
	CHECK_EQ(task_group_wait(&both, in_seconds(30)), 0);
}

static void part(struct pair *p)
{
	stream_free(p->server);
	stream_free(p->client);
}

static void nobody_signs(void *arg)
{
	struct pair p = { .route = "none" };

	(void)arg;
	shake(&p);
	CHECK(p.accepted < 0 && p.connected < 0);
	part(&p);
}

static void test_nobody_signs(void **state)
{
	(void)state;
	config_set_signer(NULL);
	run_in_task(nobody_signs, NULL);
}

/* By the names that the snapshot gives. */
static struct key_ring *ring_of(void)
{
	struct key_ring *ring = key_ring_new();
	struct buf error = BUF_INIT(256);

	for (unsigned i = 0; i < config->tls.keys_n; i++) {
		FILE *f = fopen(config->tls.keys[i].path, "r");
		char pem[4096];
		size_t n;

		assert_non_null(f);
		n = fread(pem, 1, sizeof(pem), f);
		fclose(f);
		if (!key_ring_add(ring, config->tls.keys[i].path, str_make(pem, n), &error))
			fail_msg("%s", buf_cstr(&error));
	}
	buf_done(&error);
	return ring;
}

/* The domains, of a.example to c.example, that its certificate lets it send to. */
static void check_rules(const struct pair *p, const char *expected)
{
	static const char *const to[] = { "x@a.example", "x@b.example", "x@c.example" };
	const struct tls_facts *facts = stream_tls(p->server);
	const struct endpoint peer = { .ip = { 4, { 203, 0, 113, 1 } } };
	const struct address sender = { 0 };
	struct client client;
	char got[4] = "";
	size_t n = 0;

	CHECK(facts);
	client_init(&client, &peer);
	client.tls = p->server;
	client.fingerprint = str_of(facts->fingerprint);
	client.certificate_verified = facts->has_certificate && facts->verified;
	for (size_t i = 0; i < 3; i++) {
		struct address recipient = address_split(str_of(to[i]));
		struct decision d;

		policy_decide(config, &client, &sender, &recipient, &d);
		if (d.verdict == VERDICT_ACCEPT)
			got[n++] = (char)('a' + i);
	}
	got[n] = 0;
	if (strcmp(got, expected) != 0)
		fprintf(stderr, "%s: %s\n", p->route, got);
	CHECK(strcmp(got, expected) == 0);
}

static void rules_task(void *arg)
{
	static const struct {
		const char *route, *fits;
	} cases[] = { { "known", "ac" }, { "unknown", "" }, { "none", "" } };

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p = { .route = cases[i].route };

		shake(&p);
		CHECK_EQ(p.accepted, 0);
		CHECK_EQ(p.connected, 0);
		check_rules(&p, cases[i].fits);
		part(&p);
	}
}

static void test_rules(void **state)
{
	struct key_ring *ring = ring_of();

	(void)state;
	config_set_signer(key_ring_signer(ring));
	run_in_task(rules_task, NULL);
	config_set_signer(NULL);
	key_ring_free(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_signs),
		cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
