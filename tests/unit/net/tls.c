/*
 * net/tls: handshakes in both directions and versions, what a client demands, SNI, DANE, client
 * certificates, resumption, large data, plain text that was before, ends, new keys without end, and
 * a signer that suspends.
 */
#include "net/tls_inner.h"
#include "unit/net/run.h"

#include "base/mem.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define SIZE (3 * 1024 * 1024)

/* ---- certificates, made anew each time */

struct made {
	EVP_PKEY *key;
	X509 *x;
};

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX c;
	X509_EXTENSION *e;

	X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &c, nid, value);
	CHECK(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* by: NULL: of itself. names: "DNS:a.example"; NULL: an authority. */
static struct made make(const char *kind, const struct made *by, const char *names, long days)
{
	struct made m = { .x = X509_new() };
	static long serial = 1;
	X509_NAME *name;

	m.key = !strcmp(kind, "RSA") ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
				     : EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
	CHECK(m.key);
	X509_set_version(m.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(m.x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(m.x), -86400 * 10);
	X509_gmtime_adj(X509_getm_notAfter(m.x), 86400 * days);
	X509_set_pubkey(m.x, m.key);
	name = X509_get_subject_name(m.x);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
				   (const unsigned char *)(names ? "host" : "authority"), -1, -1,
				   0);
	X509_set_issuer_name(m.x, X509_get_subject_name(by ? by->x : m.x));
	if (names)
		add_extension(m.x, by ? by->x : m.x, NID_subject_alt_name, names);
	else
		add_extension(m.x, m.x, NID_basic_constraints, "critical,CA:TRUE");
	CHECK(X509_sign(m.x, by ? by->key : m.key, EVP_sha256()));
	return m;
}

static void made_done(struct made *m)
{
	X509_free(m->x);
	EVP_PKEY_free(m->key);
}

/* PEM, of a certificate and the one above, or of a key; to be freed. */
static struct str pem_of_chain(X509 *x, X509 *above, EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *p, *copy;
	long n;

	if (x)
		PEM_write_bio_X509(b, x);
	if (above)
		PEM_write_bio_X509(b, above);
	if (key)
		PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL);
	n = BIO_get_mem_data(b, &p);
	copy = mem_dup(p, (size_t)n);
	BIO_free(b);
	return str_make(copy, (size_t)n);
}

static struct str pem_of(X509 *x, EVP_PKEY *key)
{
	return pem_of_chain(x, NULL, key);
}

/* ---- a signer that takes its time, as another process would */

struct slow_signer {
	struct key_signer signer;
	struct key_ring *ring;
	unsigned n;
};

static ssize_t slow_sign(struct key_signer *s, const char *name, enum key_operation op,
			 struct str in, unsigned char *out)
{
	struct slow_signer *slow = CONTAINER_OF(s, struct slow_signer, signer);

	slow->n++;
	task_sleep_until(in_ms(2));
	return key_ring_sign(slow->ring, name, op, in, out);
}

struct keys {
	struct slow_signer signer;
	struct made authority;
};

static void keys_init(struct keys *k)
{
	*k = (struct keys){ .signer.signer.sign = slow_sign };
	k->signer.ring = key_ring_new();
	k->authority = make("P-256", NULL, NULL, 100);
}

static void keys_done(struct keys *k)
{
	key_ring_free(k->signer.ring);
	made_done(&k->authority);
}

static struct tls_identity *identity(struct keys *k, const char *kind, const char *names, long days)
{
	struct made m = make(kind, &k->authority, names, days);
	/* with its authority: who has only the digest of that needs it (RFC 7671 5.2.1) */
	struct str chain = pem_of_chain(m.x, k->authority.x, NULL), key = pem_of(NULL, m.key);
	struct buf error = BUF_INIT(256);
	struct tls_identity *i;

	CHECK(key_ring_add(k->signer.ring, names, key, &error));
	i = tls_identity_new(chain, names, &k->signer.signer, &error);
	CHECK(i && !error.n);
	mem_free((char *)(uintptr_t)chain.p);
	mem_free((char *)(uintptr_t)key.p);
	made_done(&m);
	buf_done(&error);
	return i;
}

/* ---- two sides */

struct side {
	struct stream *stream;
	struct tls_context *context;
	struct tls_wish wish;
	bool accepts;
	int result;
	void (*then)(struct side *s);
};

static void side_run(void *arg)
{
	struct side *s = arg;

	s->result = s->accepts ? stream_tls_accept(s->stream, s->context, in_seconds(20))
			       : stream_tls_connect(s->stream, s->context, &s->wish,
						    in_seconds(20));
	if (s->then)
		s->then(s);
}

static struct tls_context *server_of(struct tls_identity *const *ids, unsigned n,
				     enum tls_version minimum, bool asks)
{
	struct buf error = BUF_INIT(256);
	struct tls_server_options o = { .identities = ids, .identities_n = n, .minimum = minimum,
					.asks_client = asks };
	struct tls_context *c = tls_server_context(&o, &error);

	CHECK(c);
	buf_done(&error);
	return c;
}

static struct tls_context *client_of(const struct keys *k, struct tls_identity *own)
{
	struct buf error = BUF_INIT(256);
	struct str ca = pem_of(k->authority.x, NULL);
	struct tls_client_options o = { .ca = ca, .identity = own };
	struct tls_context *c = tls_client_context(&o, &error);

	CHECK(c);
	mem_free((char *)(uintptr_t)ca.p);
	buf_done(&error);
	return c;
}

static void shake(struct side *server, struct side *client)
{
	struct task_group both;

	server->accepts = true;
	task_group_init(&both);
	if (!server->stream)
		stream_pair(&server->stream, &client->stream);
	CHECK(task_start(&both, side_run, server, "server"));
	CHECK(task_start(&both, side_run, client, "client"));
	CHECK_EQ(task_group_wait(&both, in_seconds(30)), 0);
}

static void drop(struct side *server, struct side *client)
{
	stream_free(server->stream);
	stream_free(client->stream);
	server->stream = client->stream = NULL;
}

/* ---- data both ways at once, more than any buffer */

static char byte_at(size_t i)
{
	return (char)(i * 31 + i / 997);
}

static void receive_all(void *arg)
{
	struct stream *s = arg;
	size_t n = 0;

	while (n < SIZE) {
		struct str in;

		CHECK(stream_fill(s, in_seconds(20)) > 0);
		in = stream_peek(s);
		for (size_t i = 0; i < in.n; i++)
			CHECK(in.p[i] == byte_at(n + i));
		n += in.n;
		stream_consume(s, in.n);
	}
	CHECK_EQ(n, SIZE);
}

static void send_all(void *arg)
{
	struct stream *s = arg;
	char *all = mem_alloc(SIZE);
	size_t piece = 1;

	for (size_t i = 0; i < SIZE; i++)
		all[i] = byte_at(i);
	for (size_t at = 0; at < SIZE; at += piece) {
		piece = piece * 3 % 70001 + 1;
		piece = piece < SIZE - at ? piece : SIZE - at;
		CHECK_EQ(stream_write(s, all + at, piece, in_seconds(20)), 0);
	}
	CHECK_EQ(stream_flush(s, in_seconds(20)), 0);
	mem_free(all);
}

static void pump(struct stream *from, struct stream *to)
{
	struct task_group g;

	task_group_init(&g);
	task_start(&g, receive_all, to, "receive");
	task_start(&g, send_all, from, "send");
	CHECK_EQ(task_group_wait(&g, in_seconds(60)), 0);
}

static void versions_task(void *arg)
{
	static const char *const kinds[] = { "RSA", "P-256", "P-384" };
	struct keys k;

	(void)arg;
	keys_init(&k);
	for (unsigned v = 0; v < 6; v++) {
		struct tls_identity *id = identity(&k, kinds[v / 2], "DNS:mx.example", 5);
		const struct str name = STR("mx.example");
		enum tls_version least = v % 2 ? TLS_1_3 : TLS_1_2;
		struct side server = { .context = server_of(&id, 1, least, false) };
		struct side client = { .context = client_of(&k, NULL),
				       .wish = { TLS_PKIX, name, &name, 1, NULL, 0 } };
		unsigned signs = k.signer.n;
		unsigned char a[TLS_BINDING_MAX], b[TLS_BINDING_MAX];
		struct str line;

		shake(&server, &client);
		CHECK_EQ(server.result, 0);
		CHECK_EQ(client.result, 0);
		CHECK_EQ(k.signer.n, signs + 1);
		CHECK(!strcmp(stream_tls(client.stream)->version, "TLSv1.3"));
		CHECK(stream_tls(client.stream)->verified);
		CHECK(stream_tls(client.stream)->bits >= 128);
		CHECK(!strcmp(stream_tls(client.stream)->subject, "mx.example"));
		CHECK(!strcmp(stream_tls(server.stream)->server_name, "mx.example"));
		CHECK_EQ(stream_tls_exporter(server.stream, a), 32);
		CHECK_EQ(stream_tls_exporter(client.stream, b), 32);
		CHECK(!memcmp(a, b, 32));
		CHECK_EQ(stream_tls_end_point(server.stream, a),
			 stream_tls_end_point(client.stream, b));
		CHECK(!memcmp(a, b, 32));
		CHECK_EQ(stream_write(client.stream, "hello\r\n", 7, NEVER), 0);
		CHECK_EQ(stream_flush(client.stream, NEVER), 0);
		CHECK_EQ(stream_line(server.stream, 512, in_seconds(5), &line), 1);
		CHECK(str_eq(line, STR("hello")));
		if (v < 2) {
			pump(client.stream, server.stream);
			pump(server.stream, client.stream);
		}
		drop(&server, &client);
		tls_context_unref(server.context);
		tls_context_unref(client.context);
		tls_identity_unref(id);
	}
	keys_done(&k);
}

static void test_versions(void **state)
{
	(void)state;
	run_in_task(versions_task, NULL);
}

/* ---- demands */

struct demand {
	const char *names;		/* of the certificate */
	long days;
	bool is_foreign;		/* of an authority that the client does not know */
	const char *wanted;
	int result;
	enum tls_problem problem;
};

static void demands_task(void *arg)
{
	static const struct demand rows[] = {
		{ "DNS:mx.example", 5, false, "mx.example", 0, TLS_NO_PROBLEM },
		{ "DNS:mx.example", 5, false, "MX.Example", 0, TLS_NO_PROBLEM },
		{ "DNS:*.host.example", 5, false, "mx.host.example", 0, TLS_NO_PROBLEM },
		{ "DNS:*.host.example", 5, false, "a.mx.host.example", -EPROTO,
		  TLS_CERTIFICATE_HOST_MISMATCH },
		{ "DNS:*.example", 5, false, "mx.example", -EPROTO, TLS_CERTIFICATE_HOST_MISMATCH },
		{ "DNS:other.example", 5, false, "mx.example", -EPROTO,
		  TLS_CERTIFICATE_HOST_MISMATCH },
		/* all have the common name "host": it never counts (RFC 9525 2, RFC 8461 4.1) */
		{ "email:a@mx.example", 5, false, "host", -EPROTO, TLS_CERTIFICATE_HOST_MISMATCH },
		{ "DNS:m*.host.example", 5, false, "mx.host.example", -EPROTO,
		  TLS_CERTIFICATE_HOST_MISMATCH },
		{ "DNS:mx.example", -1, false, "mx.example", -EPROTO, TLS_CERTIFICATE_EXPIRED },
		{ "DNS:mx.example", 5, true, "mx.example", -EPROTO, TLS_CERTIFICATE_NOT_TRUSTED },
		{ "DNS:mx.example", -1, true, NULL, 0, TLS_NO_PROBLEM },
	};

	(void)arg;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct demand *row = &rows[i];
		struct keys k, other;
		struct tls_identity *id;
		struct str name = row->wanted ? str_of(row->wanted) : STR_NONE;
		struct side server = { 0 }, client = { 0 };
		char why[200] = "";

		keys_init(&k);
		keys_init(&other);
		id = identity(&k, "P-256", row->names, row->days);
		server.context = server_of(&id, 1, TLS_1_2, false);
		client.context = client_of(row->is_foreign ? &other : &k, NULL);
		client.wish = (struct tls_wish){ row->wanted ? TLS_PKIX : TLS_ANY, name, &name,
						 row->wanted != NULL, NULL, 0 };
		shake(&server, &client);
		if (client.result != row->result)
			fprintf(stderr, "row %zu\n", i);
		CHECK_EQ(client.result, row->result);
		CHECK_EQ(stream_tls_problem(client.stream, why, sizeof(why)), row->problem);
		CHECK(!row->result || why[0]);
		CHECK(row->result || stream_tls(client.stream)->verified == (row->wanted != NULL));
		drop(&server, &client);
		tls_context_unref(server.context);
		tls_context_unref(client.context);
		tls_identity_unref(id);
		keys_done(&k);
		keys_done(&other);
	}
}

static void test_demands(void **state)
{
	(void)state;
	run_in_task(demands_task, NULL);
}

/* ---- DANE: the key's digest (3 1 1), a wrong one, the authority (2 0 1), nothing usable */

static void dane_task(void *arg)
{
	struct keys k;
	struct tls_identity *id;
	unsigned char spki[32], wrong[32] = { 1 }, ca[32];
	unsigned char *der = NULL;
	struct made m;
	struct str chain, key, name = STR("mx.example"), other = STR("other.example");
	struct buf error = BUF_INIT(256);
	int n;

	(void)arg;
	keys_init(&k);
	m = make("P-256", &k.authority, "DNS:mx.example", 5);
	chain = pem_of(m.x, NULL);
	key = pem_of(NULL, m.key);
	CHECK(key_ring_add(k.signer.ring, "dane", key, &error));
	id = tls_identity_new(chain, "dane", &k.signer.signer, &error);
	CHECK(id);
	n = i2d_PUBKEY(m.key, &der);
	EVP_Digest(der, (size_t)n, spki, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	der = NULL;
	n = i2d_X509(k.authority.x, &der);
	EVP_Digest(der, (size_t)n, ca, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	{
		const struct tlsa good = { 3, 1, 1, str_make((char *)spki, 32) };
		const struct tlsa bad = { 3, 1, 1, str_make((char *)wrong, 32) };
		const struct tlsa unusable = { 1, 1, 1, str_make((char *)spki, 32) };
		const struct tlsa both[2] = { bad, good };
		struct {
			const struct tlsa *records;
			unsigned n;
			struct str name;
			int result;
		} rows[] = {
			{ &good, 1, name, 0 }, { &good, 1, other, 0 }, { &bad, 1, name, -EPROTO },
			{ both, 2, name, 0 }, { &unusable, 1, name, -EPROTO },
		};

		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct side server = { .context = server_of(&id, 1, TLS_1_2, false) };
			struct side client = {
				.context = client_of(&k, NULL),
				.wish = { TLS_DANE, rows[i].name, &rows[i].name, 1, rows[i].records,
					  rows[i].n },
			};
			struct task_group g;

			if (i == 4) {	/* nothing is sent: the server would wait */
				stream_pair(&server.stream, &client.stream);
				task_group_init(&g);
				task_start(&g, side_run, &client, "client");
				CHECK_EQ(task_group_wait(&g, in_seconds(10)), 0);
			} else {
				shake(&server, &client);
			}
			CHECK_EQ(client.result, rows[i].result);
			CHECK(client.result || stream_tls(client.stream)->verified);
			drop(&server, &client);
			tls_context_unref(server.context);
			tls_context_unref(client.context);
		}
	}
	tls_identity_unref(id);
	made_done(&m);
	mem_free((char *)(uintptr_t)chain.p);
	mem_free((char *)(uintptr_t)key.p);
	buf_done(&error);
	keys_done(&k);
}

static void test_dane(void **state)
{
	(void)state;
	run_in_task(dane_task, NULL);
}

/*
 * The authority of the domain (2 0 1): names count; the common name, which is "host" in all, only
 * where the certificate has no DNS name (RFC 7672 3.2.3). And what is told of the proof.
 */
static void dane_authority_task(void *arg)
{
	static const struct {
		const char *names, *wanted[2];
		int result, held;	/* which of them the certificate has, from 1 on */
	} rows[] = {
		{ "DNS:mx.example", { "mx.example", "other.example" }, 0, 1 },
		{ "DNS:mx.example", { "other.example", "mx.example" }, 0, 2 },
		{ "DNS:mx.example", { "other.example", "host" }, -EPROTO, 0 },
		{ "email:a@mx.example", { "other.example", "host" }, 0, 2 },
		{ "email:a@mx.example", { "other.example", "mx.example" }, -EPROTO, 0 },
		{ "DNS:*.host.example", { "mx.host.example", "host" }, 0, 1 },
		{ "DNS:m*.host.example", { "mx.host.example", "host" }, -EPROTO, 0 },
	};
	unsigned char *der = NULL, ca[32];
	struct keys k;
	int n;

	(void)arg;
	keys_init(&k);
	n = i2d_X509(k.authority.x, &der);
	EVP_Digest(der, (size_t)n, ca, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tls_identity *id = identity(&k, "P-256", rows[i].names, 5);
		const struct tlsa record = { 2, 0, 1, str_make((char *)ca, 32) };
		const struct str names[] = { str_of(rows[i].wanted[0]), str_of(rows[i].wanted[1]) };
		struct side server = { .context = server_of(&id, 1, TLS_1_2, false) };
		struct side client = { .context = client_of(&k, NULL),
				       .wish = { TLS_DANE, names[0], names, 2, &record, 1 } };
		struct tlsa met = { 0 };

		shake(&server, &client);
		if (client.result != rows[i].result)
			fprintf(stderr, "row %zu\n", i);
		CHECK_EQ(client.result, rows[i].result);
		CHECK_EQ(stream_tls_record(client.stream, &met), rows[i].result == 0);
		CHECK(rows[i].result || (met.usage == 2 && str_eq(met.data, record.data)));
		for (int j = 0; j < 2; j++)
			CHECK_EQ(stream_tls_holds(client.stream, names[j]), rows[i].held == j + 1);
		drop(&server, &client);
		tls_context_unref(server.context);
		tls_context_unref(client.context);
		tls_identity_unref(id);
	}
	keys_done(&k);
}

static void test_dane_authority(void **state)
{
	(void)state;
	run_in_task(dane_authority_task, NULL);
}

/* ---- several identities, clients' certificates */

static void identities_task(void *arg)
{
	struct keys k;
	struct tls_identity *ids[2], *own;
	static const char *const asked[] = { "a.example", "b.example", "c.example", "" };
	static const char *const got[] = { "a.example", "b.example", "a.example", "a.example" };

	(void)arg;
	keys_init(&k);
	ids[0] = identity(&k, "P-256", "DNS:a.example", 5);
	ids[1] = identity(&k, "RSA", "DNS:b.example", 5);
	own = identity(&k, "P-256", "email:client@example.net", 5);
	for (unsigned i = 0; i < 4; i++) {
		struct side server = { .context = server_of(ids, 2, TLS_1_2, true) };
		struct side client = { .context = client_of(&k, i % 2 ? own : NULL),
				       .wish = { TLS_ANY, str_of(asked[i]), NULL, 0, NULL, 0 } };

		shake(&server, &client);
		CHECK_EQ(server.result, 0);
		CHECK_EQ(client.result, 0);
		CHECK(!strcmp(stream_tls(client.stream)->subject, got[i]));
		CHECK_EQ(stream_tls(server.stream)->has_certificate, i % 2);
		CHECK(!(i % 2) || (strlen(stream_tls(server.stream)->fingerprint) == 64 &&
				   !strcmp(stream_tls(server.stream)->subject,
					   "client@example.net")));
		CHECK(!stream_tls(server.stream)->verified);	/* no client_ca */
		drop(&server, &client);
		tls_context_unref(server.context);
		tls_context_unref(client.context);
	}
	tls_identity_unref(ids[0]);
	tls_identity_unref(ids[1]);
	tls_identity_unref(own);
	keys_done(&k);
}

static void test_identities(void **state)
{
	(void)state;
	run_in_task(identities_task, NULL);
}

/* ---- plain text that was before does not survive; garbage; time-outs; ends */

static void rough_task(void *arg)
{
	struct keys k;
	struct tls_identity *id;
	struct side server = { 0 }, client = { 0 };
	struct str line;
	char why[200];

	(void)arg;
	keys_init(&k);
	id = identity(&k, "P-256", "DNS:mx.example", 5);
	server.context = server_of(&id, 1, TLS_1_2, false);
	client.context = client_of(&k, NULL);
	/* what was buffered as plain text is gone */
	stream_pair(&server.stream, &client.stream);
	stream_write(client.stream, "STARTTLS\r\nMAIL FROM:<>\r\n", 24, NEVER);
	stream_flush(client.stream, NEVER);
	CHECK_EQ(stream_line(server.stream, 512, in_seconds(5), &line), 1);
	CHECK(stream_peek(server.stream).n);
	shake(&server, &client);
	CHECK_EQ(server.result, 0);
	CHECK_EQ(stream_peek(server.stream).n, 0);
	CHECK(!stream_has_input(server.stream) || stream_fill_now(server.stream) == -EAGAIN);
	/* an orderly end */
	stream_linger(client.stream, in_ms(1));
	CHECK_EQ(stream_fill(server.stream, in_seconds(5)), 0);
	drop(&server, &client);
	/* garbage instead of a handshake */
	stream_pair(&server.stream, &client.stream);
	stream_write(client.stream, "EHLO here I am in the clear\r\n", 29, NEVER);
	stream_flush(client.stream, NEVER);
	CHECK_EQ(stream_tls_accept(server.stream, server.context, in_seconds(5)), -EPROTO);
	CHECK_EQ(stream_tls_problem(server.stream, why, sizeof(why)), TLS_HANDSHAKE_FAILURE);
	CHECK_EQ(stream_fill(server.stream, in_seconds(1)), -EPROTO);
	drop(&server, &client);
	/* silence */
	stream_pair(&server.stream, &client.stream);
	CHECK_EQ(stream_tls_accept(server.stream, server.context, in_ms(50)), -ETIMEDOUT);
	drop(&server, &client);
	/* the other side goes away in the middle */
	stream_pair(&server.stream, &client.stream);
	stream_free(client.stream);
	client.stream = NULL;
	CHECK(stream_tls_accept(server.stream, server.context, in_seconds(5)) < 0);
	drop(&server, &client);
	tls_context_unref(server.context);
	tls_context_unref(client.context);
	tls_identity_unref(id);
	keys_done(&k);
}

static void test_rough(void **state)
{
	(void)state;
	run_in_task(rough_task, NULL);
}

/* ---- new keys again and again, records of nothing: they keep a loop busy and bring nothing */

static void send_updates(struct stream *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		CHECK(SSL_key_update(s->tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) > 0);
		CHECK(SSL_do_handshake(s->tls->ssl) > 0);
	}
	CHECK_EQ(stream_write(s, "x\r\n", 3, NEVER), 0);
	CHECK_EQ(stream_flush(s, NEVER), 0);
}

/* Short lines in records that are filled up. Returns what the last read did. */
static ssize_t send_filled(struct side *server, struct side *client, size_t size, const char *text)
{
	ssize_t r = 1;

	CHECK(SSL_set_block_padding(client->stream->tls->ssl, size) > 0);
	for (unsigned i = 0; i < 200 && r > 0; i++) {
		CHECK_EQ(stream_write(client->stream, text, strlen(text), NEVER), 0);
		CHECK_EQ(stream_flush(client->stream, NEVER), 0);
		r = stream_fill(server->stream, in_seconds(5));
		stream_consume(server->stream, stream_peek(server->stream).n);
	}
	SSL_set_block_padding(client->stream->tls->ssl, 0);
	return r;
}

static void updates_task(void *arg)
{
	struct keys k;
	struct tls_identity *id;
	struct side server = { 0 }, client = { 0 };
	struct str line;

	(void)arg;
	keys_init(&k);
	id = identity(&k, "P-256", "DNS:mx.example", 5);
	server.context = server_of(&id, 1, TLS_1_3, false);
	client.context = client_of(&k, NULL);
	shake(&server, &client);
	for (unsigned i = 0; i < 3; i++) {
		send_updates(client.stream, 10);
		CHECK_EQ(stream_line(server.stream, 512, in_seconds(5), &line), 1);
	}
	CHECK(send_filled(&server, &client, 4096, "RCPT TO:<b@dest.example>\r\n") > 0);
	for (unsigned i = 0; i < 5 && server.result == 0; i++) {
		send_updates(client.stream, 60);
		server.result = (int)stream_fill(server.stream, in_seconds(5));
		server.result = server.result < 0 ? server.result : 0;
	}
	CHECK_EQ(server.result, -EPROTO);
	drop(&server, &client);
	shake(&server, &client);
	CHECK_EQ(send_filled(&server, &client, 16384, "x"), -EPROTO);
	drop(&server, &client);
	tls_context_unref(server.context);
	tls_context_unref(client.context);
	tls_identity_unref(id);
	keys_done(&k);
}

static void test_updates(void **state)
{
	(void)state;
	run_in_task(updates_task, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_demands),
		cmocka_unit_test(test_dane),
		cmocka_unit_test(test_dane_authority),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_rough),
		cmocka_unit_test(test_updates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
