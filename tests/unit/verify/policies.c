/*
 * verify/: what the texts of MTA-STS, DANE and TLS reports mean, what is decided from them, and
 * which connections may be used again. All pure, but for the files.
 */
#include "unit/unit.h"

#include "base/mem.h"
#include "net/world.h"
#include "verify/dane.h"
#include "verify/sts_policy.h"
#include "verify/sts_store.h"
#include "verify/tlsrpt_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* ---- trust */

static void test_decisions(void **state)
{
	static const struct {
		const char *name;
		struct trust_facts f;
		enum trust_level level;
		enum trust_refusal refusal;
	} rows[] = {
		{ "off", { .use = TLS_OFF, .dane = DANE_USABLE, .sts = STS_ENFORCE }, TRUST_OFF,
		  REFUSED_NOT },
		{ "offered", { .use = TLS_OFFERED }, TRUST_TRY, REFUSED_NOT },
		{ "DANE", { .use = TLS_OFFERED, .dane = DANE_USABLE }, TRUST_DANE, REFUSED_NOT },
		{ "DANE before MTA-STS", { .use = TLS_OFFERED, .dane = DANE_USABLE,
		  .sts = STS_ENFORCE }, TRUST_DANE, REFUSED_NOT },
		{ "broken DANE is not MTA-STS", { .use = TLS_OFFERED, .dane = DANE_FAILED,
		  .sts = STS_ENFORCE, .sts_lists = true }, TRUST_TRY, REFUSED_DANE },
		{ "unusable DANE", { .use = TLS_OFFERED, .dane = DANE_UNUSABLE }, TRUST_ENCRYPT,
		  REFUSED_NOT },
		{ "unusable DANE and MTA-STS", { .use = TLS_OFFERED, .dane = DANE_UNUSABLE,
		  .sts = STS_ENFORCE, .sts_lists = true }, TRUST_STS, REFUSED_NOT },
		{ "MTA-STS", { .use = TLS_OFFERED, .sts = STS_ENFORCE, .sts_lists = true },
		  TRUST_STS, REFUSED_NOT },
		{ "not listed", { .use = TLS_OFFERED, .sts = STS_ENFORCE }, TRUST_STS,
		  REFUSED_STS },
		{ "testing", { .use = TLS_OFFERED, .sts = STS_TESTING }, TRUST_TRY, REFUSED_NOT },
		{ "testing lowers nothing", { .use = TLS_REQUIRED, .sts = STS_TESTING },
		  TRUST_ENCRYPT, REFUSED_NOT },
		{ "required and DANE", { .use = TLS_REQUIRED, .dane = DANE_USABLE }, TRUST_DANE,
		  REFUSED_NOT },
		{ "unusable DANE lowers nothing", { .use = TLS_VERIFIED, .dane = DANE_UNUSABLE },
		  TRUST_PKIX, REFUSED_NOT },
		{ "verified by an unsigned MX", { .use = TLS_VERIFIED, .is_mx = true }, TRUST_PKIX,
		  REFUSED_STS },
		{ "verified by a signed MX", { .use = TLS_VERIFIED, .is_mx = true,
		  .is_secure = true }, TRUST_PKIX, REFUSED_NOT },
		{ "verified by MTA-STS", { .use = TLS_VERIFIED, .is_mx = true, .sts = STS_ENFORCE,
		  .sts_lists = true }, TRUST_STS, REFUSED_NOT },
		{ "REQUIRETLS to a host", { .use = TLS_OFFERED, .wish = WISH_REQUIRED },
		  TRUST_PKIX, REFUSED_NOT },
		{ "REQUIRETLS without TLS", { .use = TLS_OFF, .wish = WISH_REQUIRED }, TRUST_PKIX,
		  REFUSED_WISH },
		{ "REQUIRETLS by an unsigned MX", { .use = TLS_OFFERED, .is_mx = true,
		  .wish = WISH_REQUIRED }, TRUST_PKIX, REFUSED_WISH },
		{ "REQUIRETLS by MTA-STS in testing", { .use = TLS_OFFERED, .is_mx = true,
		  .sts = STS_TESTING, .wish = WISH_REQUIRED }, TRUST_PKIX, REFUSED_WISH },
		{ "REQUIRETLS by DANE", { .use = TLS_OFFERED, .is_mx = true, .is_secure = true,
		  .dane = DANE_USABLE, .wish = WISH_REQUIRED }, TRUST_DANE, REFUSED_NOT },
		{ "No, DANE", { .use = TLS_OFFERED, .dane = DANE_FAILED, .wish = WISH_OPTIONAL },
		  TRUST_TRY, REFUSED_NOT },
		{ "No, required", { .use = TLS_REQUIRED, .dane = DANE_USABLE,
		  .wish = WISH_OPTIONAL }, TRUST_ENCRYPT, REFUSED_NOT },
		{ "implicit", { .use = TLS_IMPLICIT }, TRUST_ENCRYPT, REFUSED_NOT },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct trust_decision d = trust_decide(&rows[i].f);

		if (d.level != rows[i].level || d.refusal != rows[i].refusal)
			fail_msg("%s: %d, %d", rows[i].name, d.level, d.refusal);
	}
}

/* Whatever the policies say, what the route demands stays demanded. */
static void test_never_downgrade(void **state)
{
	static const enum trust_level least[] = { TRUST_OFF, TRUST_TRY, TRUST_ENCRYPT,
						  TRUST_ENCRYPT, TRUST_PKIX };

	(void)state;
	for (unsigned i = 0; i < 5u * 4 * 3 * 3 * 8; i++) {
		struct trust_facts f = { .use = i % 5, .dane = i / 5 % 4, .sts = i / 20 % 3,
					 .wish = i / 60 % 3, .is_mx = i / 180 & 1,
					 .is_secure = i / 180 & 2, .sts_lists = i / 180 & 4 };

		assert_true(trust_decide(&f).level >= least[f.use]);
	}
}

static void test_reuse(void **state)
{
	struct tls_context *one = (struct tls_context *)"1", *two = (struct tls_context *)"2";
	static const struct str a = STR("a.example"), b = STR("b.example"), c = STR("c.example");
	static const struct str a_and_b[] = { STR("a.example"), STR("b.example") };
	static const struct tlsa key[] = { { 3, 1, 1, STR("1") }, { 3, 1, 1, STR("2") } };
	static const struct tlsa authority = { 2, 0, 1, STR("1") };
	const struct {
		const char *name;
		struct trust has, wants;
		bool covers;
	} rows[] = {
		{"plain for off", {.level = TRUST_TRY}, {.level = TRUST_OFF}, true},
		{"plain for offered", {.level = TRUST_TRY}, {.level = TRUST_TRY}, true},
		{"never tried", {.level = TRUST_OFF}, {.level = TRUST_TRY}, false},
		{"plain for encrypted", {.level = TRUST_TRY}, {.level = TRUST_ENCRYPT}, false},
		{"plain for DANE", {.level = TRUST_TRY}, {.level = TRUST_DANE}, false},
		{"TLS for offered",
		 {.level = TRUST_ENCRYPT, .is_encrypted = true, .context = one},
		 {.level = TRUST_TRY, .context = one},
		 true},
		{"another context",
		 {.level = TRUST_ENCRYPT, .is_encrypted = true, .context = one},
		 {.level = TRUST_TRY, .context = two},
		 false},
		{"unverified for verified",
		 {.level = TRUST_ENCRYPT, .is_encrypted = true, .context = one, .host = a},
		 {.level = TRUST_PKIX, .context = one, .host = a},
		 false},
		{"verified for verified",
		 {.level = TRUST_PKIX, .is_encrypted = true, .context = one, .host = a},
		 {.level = TRUST_STS, .context = one, .host = a},
		 true},
		{"verified as another",
		 {.level = TRUST_PKIX, .is_encrypted = true, .context = one, .host = a},
		 {.level = TRUST_PKIX, .context = one, .host = b},
		 false},
		{"verified, for DANE",
		 {.level = TRUST_PKIX, .is_encrypted = true, .context = one, .host = a},
		 {.level = TRUST_DANE, .context = one, .host = a},
		 false},
		{"DANE for DANE, by the same record",
		 {.level = TRUST_DANE, .is_encrypted = true, .context = one, .host = a,
		  .record = key[0]},
		 {.level = TRUST_DANE, .context = one, .host = a, .records = key, .records_n = 2,
		  .names = &b, .names_n = 1},
		 true},
		{"DANE, by a record that is gone",
		 {.level = TRUST_DANE, .is_encrypted = true, .context = one, .host = a,
		  .record = key[0]},
		 {.level = TRUST_DANE, .context = one, .host = a, .records = key + 1,
		  .records_n = 1},
		 false},
		{"DANE, for another host",
		 {.level = TRUST_DANE, .is_encrypted = true, .context = one, .host = a,
		  .record = key[0]},
		 {.level = TRUST_DANE, .context = one, .host = b, .records = key, .records_n = 2},
		 false},
		{"DANE, by the host's name, for another domain",
		 {.level = TRUST_DANE, .is_encrypted = true, .context = one, .host = a,
		  .record = authority, .name = a},
		 {.level = TRUST_DANE, .context = one, .host = a, .records = &authority,
		  .records_n = 1, .names = a_and_b, .names_n = 2},
		 true},
		{"DANE, by a domain's name, for another domain",
		 {.level = TRUST_DANE, .is_encrypted = true, .context = one, .host = a,
		  .record = authority, .name = c},
		 {.level = TRUST_DANE, .context = one, .host = a, .records = &authority,
		  .records_n = 1, .names = a_and_b, .names_n = 2},
		 false},
		{"DANE, for names",
		 {.level = TRUST_DANE, .is_encrypted = true, .context = one, .host = a},
		 {.level = TRUST_STS, .context = one, .host = a},
		 false},
		{"DANE, for less",
		 {.level = TRUST_DANE, .is_encrypted = true, .context = one, .host = a},
		 {.level = TRUST_ENCRYPT, .context = one, .host = b},
		 true},
		{"logged in", {.level = TRUST_TRY, .login = a}, {.level = TRUST_TRY}, false},
		{"as another",
		 {.level = TRUST_TRY, .login = a},
		 {.level = TRUST_TRY, .login = b},
		 false},
		{"as the same",
		 {.level = TRUST_TRY, .login = a},
		 {.level = TRUST_TRY, .login = a},
		 true},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++)
		if (trust_covers(&rows[i].has, &rows[i].wants) != rows[i].covers)
			fail_msg("%s", rows[i].name);
}

/* ---- TLSA */

static void test_tlsa(void **state)
{
	static const struct {
		unsigned char head[3];
		uint16_t n;
		bool ok;
	} rows[] = {
		{ { 3, 1, 1 }, 32, true }, { { 2, 0, 1 }, 32, true }, { { 3, 0, 2 }, 64, true },
		{ { 3, 1, 0 }, 200, true }, { { 3, 1, 1 }, 31, false }, { { 3, 1, 2 }, 32, false },
		{ { 0, 1, 1 }, 32, false }, { { 1, 1, 1 }, 32, false }, { { 4, 1, 1 }, 32, false },
		{ { 3, 2, 1 }, 32, false }, { { 3, 1, 3 }, 32, false }, { { 3, 1, 0 }, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		unsigned char data[300] = { 0 };
		struct dns_record r = { data, (uint16_t)(rows[i].n + 3) };
		struct tlsa t;

		memcpy(data, rows[i].head, 3);
		if (tlsa_parse(&r, &t) != rows[i].ok)
			fail_msg("row %zu", i);
	}
}

/* ---- MTA-STS */

static struct dns_record *txt(const char *text)
{
	static unsigned char data[4][300];
	static struct dns_record records[4];
	static unsigned n;
	unsigned i = n++ % 4;

	data[i][0] = (unsigned char)strlen(text);
	memcpy(data[i] + 1, text, data[i][0]);
	records[i] = (struct dns_record){ data[i], (uint16_t)(data[i][0] + 1) };
	return &records[i];
}

static void test_record(void **state)
{
	static const struct {
		const char *first, *second, *id;	/* NULL: none */
	} rows[] = {
		{ "v=STSv1; id=20160831085700Z;", NULL, "20160831085700Z" },
		{ "v=STSv1;id=1", NULL, "1" },
		{ "v=STSv1 ; id=1 ; x=y", NULL, "1" },
		{ "v=STSv1; id=1;", "v=spf1 -all", "1" },
		{ "v=STSv1; id=1;", "v=STSv1; id=2;", NULL },
		{ "v=STSv1", NULL, NULL },
		{ "v=STSv1; x=1", NULL, NULL },
		{ "v=STSv1; id=;", NULL, NULL },
		{ "v=STSv1; id=a-b", NULL, NULL },
		{ "v=STSv1; id=123456789012345678901234567890123", NULL, NULL },
		{ "v=STSv2; id=1", NULL, NULL },
		{ "V=STSv1; id=1", NULL, NULL },
		{ "v=STSv10; id=1", NULL, NULL },
		{ "v=STSv1; id", NULL, NULL },
		{ "", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct dns_record list[2] = { *txt(rows[i].first) };
		struct dns_answer a = { .records = list, .n = 1 };
		char id[STS_ID_MAX + 1] = "";
		bool found;

		if (rows[i].second)
			list[a.n++] = *txt(rows[i].second);
		found = sts_record_find(&a, id);
		if (found != (rows[i].id != NULL) || (found && strcmp(id, rows[i].id) != 0))
			fail_msg("%s: %s", rows[i].first, id);
	}
}

static void test_policy(void **state)
{
	static const struct {
		const char *text;
		int mode;		/* -1: it is none */
		uint32_t age;
		unsigned mx_n;
	} rows[] = {
		{"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n"
		 "max_age: 604800\n",
		 STS_ENFORCE, 604800, 2},
		{"version: STSv1\r\nmode: testing\r\nmx: a.b\r\nmax_age: 1\r\n", STS_TESTING, 1, 1},
		{"version:STSv1\nmode:none\nmax_age:86400", STS_NONE, 86400, 0},
		{"version: STSv1\nmode: none\nmax_age: 86400\n\n", STS_NONE, 86400, 0},
		{"version: STSv1\nmode: enforce\nmode: none\nmx: a.b\nmax_age: 9\n", STS_ENFORCE, 9,
		 1},
		{"version: STSv1\nmode: enforce\nmx: a.b\nmax_age: 9999999999\n", STS_ENFORCE,
		 STS_AGE_MAX, 1},
		{"version: STSv1\nmode: enforce\nmx: a.b\nmax_age: 1\nnew_thing: x\n", STS_ENFORCE,
		 1, 1},
		{"mode: enforce\nmx: a.b\nmax_age: 1\n", -1, 0, 0},
		{"version: STSv2\nmode: enforce\nmx: a.b\nmax_age: 1\n", -1, 0, 0},
		{"version: STSv1\nmx: a.b\nmax_age: 1\n", -1, 0, 0},
		{"version: STSv1\nmode: enforce\nmx: a.b\n", -1, 0, 0},
		{"version: STSv1\nmode: enforce\nmax_age: 1\n", -1, 0, 0},
		{"version: STSv1\nmode: Enforce\nmx: a.b\nmax_age: 1\n", -1, 0, 0},
		{"version: STSv1\nmode: enforce\nmx: a.*.b\nmax_age: 1\n", -1, 0, 0},
		{"version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", -1, 0, 0},
		{"version: STSv1\nmode: enforce\nmx: \nmax_age: 1\n", -1, 0, 0},
		{"version: STSv1\nmode: enforce\nmx: a.b\nmax_age: -1\n", -1, 0, 0},
		{"version: STSv1\nmode: enforce\nmx: a.b\nmax_age: 1\n<html>\n", -1, 0, 0},
		{"", -1, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct arena a = { .blocks = NULL };
		struct sts_policy p = { .mx_n = 0 };
		bool ok = sts_policy_parse(&a, str_of(rows[i].text), &p);

		if (ok != (rows[i].mode >= 0) ||
		    (ok && ((int)p.mode != rows[i].mode || p.max_age_s != rows[i].age ||
			    p.mx_n != rows[i].mx_n)))
			fail_msg("row %zu: %d %u", i, ok, p.max_age_s);
		arena_done(&a);
	}
}

/* What is kept says the same; of too many names the first ones are. */
static void test_kept(void **state)
{
	static char names[256][64];
	struct buf kept = BUF_INIT(STS_KEPT_MAX), again = BUF_INIT(STS_KEPT_MAX);
	struct str mx[256];
	struct sts_policy p = { .mode = STS_ENFORCE, .max_age_s = STS_AGE_MAX, .mx = mx };
	struct arena a = { .blocks = NULL };
	struct sts_policy read;

	(void)state;
	for (; p.mx_n < 256; p.mx_n++) {
		snprintf(names[p.mx_n], sizeof(names[0]), "*.some.quite.long.name.%u.example",
			 p.mx_n);
		mx[p.mx_n] = str_of(names[p.mx_n]);
	}
	sts_policy_format(&kept, &p);
	assert_true(buf_ok(&kept) && kept.n > STS_KEPT_MAX - 64);
	assert_true(sts_policy_parse(&a, buf_str(&kept), &read));
	assert_int_equal(read.mode, STS_ENFORCE);
	assert_int_equal(read.max_age_s, STS_AGE_MAX);
	assert_in_range(read.mx_n, 90, 255);
	for (unsigned i = 0; i < read.mx_n; i++)
		assert_true(str_eq(read.mx[i], mx[i]));
	sts_policy_format(&again, &read);
	assert_true(str_eq(buf_str(&again), buf_str(&kept)));
	buf_done(&kept);
	buf_done(&again);
	arena_done(&a);
}

static void test_lists(void **state)
{
	static const struct str mx[] = { STR("mail.example.com"), STR("*.example.net") };
	static const struct sts_policy p = { .mx = mx, .mx_n = 2 };
	static const struct {
		const char *host;
		bool listed;
	} rows[] = {
		{"mail.example.com", true},
		{"Mail.Example.COM", true},
		{"mail.example.com.", true},
		{"a.example.net", true},
		{"example.net", false},
		{"a.b.example.net", false},
		{"xmail.example.com", false},
		{"mail.example.com.evil.example", false},
		{"", false},
		{".example.net", false},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++)
		if (sts_policy_lists(&p, str_of(rows[i].host)) != rows[i].listed)
			fail_msg("%s", rows[i].host);
}

/* ---- files */

struct found {
	unsigned n, damaged;
	char domain[64], text[64];
};

static void on_stored(void *arg, const struct sts_stored *p)
{
	struct found *f = arg;

	f->damaged += !p->text.n;
	if (!p->text.n)
		return;
	f->n++;
	str_copy(f->domain, sizeof(f->domain), p->domain);
	str_copy(f->text, sizeof(f->text), p->text);
}

static void test_store(void **state)
{
	char folder[] = "/tmp/relevo-sts-XXXXXX", path[128];
	struct world *w = world_real();
	const struct sts_stored p = { .domain = STR("a.example"), .id = STR("1"),
				      .text = STR("the\n\npolicy"), .fetched_ms = 7 };
	const struct sts_stored bad = { .domain = STR("../x"), .id = STR("1") };
	struct found f = { 0 };
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	sts_store_read(w, folder, on_stored, &f);
	assert_int_equal(f.n, 0);
	assert_int_equal(sts_store_write(w, folder, &p), 0);
	assert_int_equal(sts_store_write(w, folder, &p), 0);
	assert_true(sts_store_write(w, folder, &bad) < 0);
	snprintf(path, sizeof(path), "%s/mta-sts/b.example", folder);
	file = fopen(path, "w");		/* one that says it is another's */
	fputs("mta-sts 1\ndomain a.example\nid 1\nfetched 1\n\nx", file);
	fclose(file);
	sts_store_read(w, folder, on_stored, &f);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.damaged, 1);
	assert_string_equal(f.domain, "a.example");
	assert_string_equal(f.text, "the\n\npolicy");
	unlink(path);
	sts_store_remove(w, folder, p.domain);
	f.n = 0;
	sts_store_read(w, folder, on_stored, &f);
	assert_int_equal(f.n, 0);
	snprintf(path, sizeof(path), "%s/mta-sts", folder);
	assert_int_equal(rmdir(path), 0);
	rmdir(folder);
}

/* ---- reports */

static void test_rua(void **state)
{
	static const struct {
		const char *text;
		unsigned n;
		const char *first;
	} rows[] = {
		{ "v=TLSRPTv1;rua=mailto:reports@example.com", 1, "reports@example.com" },
		{ "v=TLSRPTv1; rua=https://r.example/v1/tlsrpt", 1, "https://r.example/v1/tlsrpt" },
		{ "v=TLSRPTv1; rua=mailto:a%2bb@example.com?x=y,https://r.example/", 2,
		  "a+b@example.com" },
		{ "v=TLSRPTv1; rua=ftp://x, mailto:b@c.example", 1, "b@c.example" },
		{ "v=TLSRPTv1; rua=mailto:a%0db@c", 0, NULL },
		{ "v=TLSRPTv1; rua=mailto:a@b>c", 0, NULL },
		{ "v=TLSRPTv1; rua=http://r.example/", 0, NULL },
		{ "v=TLSRPTv1; rua=https://user@r.example/", 0, NULL },
		{ "v=TLSRPTv1;", 0, NULL },
		{ "v=TLSRPTv2; rua=mailto:a@b", 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct arena a = { .blocks = NULL };
		struct dns_answer answer = { .records = txt(rows[i].text), .n = 1 };
		struct rua to[RUA_MAX];
		unsigned n = rua_find(&answer, &a, to);

		if (n != rows[i].n || (n && !str_eq(to[0].at, str_of(rows[i].first))))
			fail_msg("%s: %u", rows[i].text, n);
		arena_done(&a);
	}
}

static void test_mail(void **state)
{
	static const struct report r = {
		.from = STR("tls@relay.example"), .submitter = STR("relay.example"),
		.domain = STR("there.example"), .day = 20000, .id = "1@relay.example",
	};
	struct buf mail = BUF_INIT(65536), gzip = BUF_INIT(65536);
	char text[64];
	z_stream z = { 0 };

	(void)state;
	assert_true(report_gzip(&gzip, STR("{\"a\": 1}")));
	z.next_in = (Bytef *)gzip.p;
	z.avail_in = (uInt)gzip.n;
	z.next_out = (Bytef *)text;
	z.avail_out = sizeof(text);
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	inflateEnd(&z);
	assert_memory_equal(text, "{\"a\": 1}", 8);
	report_mail(&mail, &r, STR("a@there.example"), 1795316400, "bbb", buf_str(&gzip));
	buf_cstr(&mail);
	assert_non_null(strstr(mail.p, "TLS-Report-Domain: there.example\r\n"));
	assert_non_null(strstr(mail.p, "TLS-Report-Submitter: relay.example\r\n"));
	assert_non_null(strstr(mail.p, "report-type=\"tlsrpt\""));
	assert_non_null(strstr(mail.p, "TLS-Required: No\r\n"));
	assert_non_null(strstr(mail.p, "relay.example!there.example!1728000000!1728086399!001"));
	buf_done(&mail);
	buf_done(&gzip);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_never_downgrade),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_tlsa),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_store),
		cmocka_unit_test(test_rua),
		cmocka_unit_test(test_mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
