/*
 * tlsrpt_report - a TLS report as JSON (RFC 8460 4.4), compressed, and as a mail (5.3); and the
 * record that says where it goes (3). Pure; see tlsrpt_report.h.
 *
 * What peers gave - names, addresses - stands in strings of JSON, which jansson escapes, and in
 * header fields only after it was found to be plain ASCII. The mail says "TLS-Required: No"
 * (RFC 8689 5): a report about TLS that does not work must not wait for it.
 */
#include "verify/tlsrpt_report.h"

#include "base/mem.h"
#include "mail/header.h"
#include "mail/trace.h"
#include "smtp/base64.h"
#include "verify/sts_policy.h"

#include <zlib.h>

#define RECORD_MAX 2048
#define DAY_S 86400ll
#define BASE64_LINE 57		/* octets that make 76 characters */

const char *tlsrpt_result_name(enum tlsrpt_result r)
{
	static const char *const names[] = {
		[TLSRPT_SUCCESS] = "success",
		[TLSRPT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
		[TLSRPT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
		[TLSRPT_CERTIFICATE_EXPIRED] = "certificate-expired",
		[TLSRPT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
		[TLSRPT_VALIDATION_FAILURE] = "validation-failure",
		[TLSRPT_TLSA_INVALID] = "tlsa-invalid",
		[TLSRPT_DNSSEC_INVALID] = "dnssec-invalid",
		[TLSRPT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
	};

	return names[r];
}

const char *tlsrpt_type_name(enum tlsrpt_type t)
{
	static const char *const names[] = { "no-policy-found", "tlsa", "sts" };

	return names[t];
}

/* ---- where to */

static int hex_digit(char c)
{
	return ascii_is_digit(c) ? c - '0' : ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f'
						     ? ascii_lower(c) - 'a' + 10 : -1;
}

/* Without escapes and what follows a "?". One that could not stand in a field is none. */
static struct str address_of(struct str uri, struct arena *a)
{
	char *to = arena_alloc(a, uri.n);
	size_t n = 0;

	for (size_t i = 0; i < uri.n && uri.p[i] != '?'; i++) {
		char c = uri.p[i];

		if (c == '%' && uri.n - i > 2 && hex_digit(uri.p[i + 1]) >= 0 &&
		    hex_digit(uri.p[i + 2]) >= 0) {
			c = (char)(hex_digit(uri.p[i + 1]) * 16 + hex_digit(uri.p[i + 2]));
			i += 2;
		}
		if (c <= ' ' || c > '~' || strchr("<>,;()\"\\", c))
			return STR_NONE;
		to[n++] = c;
	}
	return str_find(str_make(to, n), '@') > 0 ? str_make(to, n) : STR_NONE;
}

static bool is_url(struct str uri)
{
	for (size_t i = 0; i < uri.n; i++)
		if (uri.p[i] <= ' ' || uri.p[i] > '~' || strchr("\"<>\\^`{|}@", uri.p[i]))
			return false;
	return uri.n > 8 && uri.n < 1000;
}

static unsigned read_uris(struct str list, struct arena *a, struct rua ret[RUA_MAX])
{
	const struct str mailto = STR("mailto:"), https = STR("https://");
	unsigned n = 0;

	while (list.n && n < RUA_MAX) {
		ssize_t comma = str_find(list, ',');
		struct str uri = str_trim(comma < 0 ? list : str_sub(list, 0, (size_t)comma));

		list = comma < 0 ? STR_NONE : str_from(list, (size_t)comma + 1);
		if (str_starts_nocase(uri, mailto)) {
			ret[n] = (struct rua){ true, address_of(str_from(uri, mailto.n), a) };
			n += ret[n].at.n > 0;
		} else if (str_starts_nocase(uri, https) && is_url(uri)) {
			ret[n++] = (struct rua){ false, arena_str(a, uri) };
		}
	}
	return n;
}

/* Behind the version: fields with a name and a value. */
static unsigned read_record(struct str rest, struct arena *a, struct rua ret[RUA_MAX])
{
	while (rest.n) {
		ssize_t end = str_find(rest, ';');
		struct str field = str_trim(end < 0 ? rest : str_sub(rest, 0, (size_t)end));

		rest = end < 0 ? STR_NONE : str_from(rest, (size_t)end + 1);
		if (str_starts(field, STR("rua=")))
			return read_uris(str_from(field, 4), a, ret);
	}
	return 0;
}

unsigned rua_find(const struct dns_answer *txt, struct arena *a, struct rua ret[RUA_MAX])
{
	const struct str version = STR("v=TLSRPTv1");
	unsigned records = 0, n = 0;

	for (unsigned i = 0; i < txt->n; i++) {
		struct buf text = BUF_INIT(RECORD_MAX);
		struct str rest;

		if (txt_join(&txt->records[i], &text) && str_starts(buf_str(&text), version)) {
			rest = str_trim(str_from(buf_str(&text), version.n));
			if (rest.n && rest.p[0] == ';') {
				records++;
				n = read_record(rest, a, ret);
			}
		}
		buf_done(&text);
	}
	return records == 1 ? n : 0;
}

/* ---- the report */

static json_t *text(struct str s)
{
	json_t *j = json_stringn(s.p ? s.p : "", s.n);

	return j ? j : json_string("");		/* no UTF-8 */
}

static json_t *time_text(int64_t time_s)
{
	struct buf b = BUF_INIT(64);
	json_t *j;

	timestamp_format(&b, time_s * 1000);
	/* without the milliseconds */
	j = json_sprintf("%.19sZ", buf_cstr(&b));
	buf_done(&b);
	return j;
}

static json_t *date_range(int64_t day)
{
	json_t *j = json_object();

	json_object_set_new(j, "start-datetime", time_text(day * DAY_S));
	json_object_set_new(j, "end-datetime", time_text((day + 1) * DAY_S - 1));
	return j;
}

json_t *report_json(const struct report *r, json_t *const *policies, unsigned n)
{
	json_t *j = json_object(), *list = json_array();

	json_object_set_new(j, "organization-name", text(r->organization));
	json_object_set_new(j, "date-range", date_range(r->day));
	json_object_set_new(j, "contact-info", text(r->contact));
	json_object_set_new(j, "report-id", json_string(r->id));
	for (unsigned i = 0; i < n; i++)
		json_array_append(list, policies[i]);
	json_object_set_new(j, "policies", list);
	return j;
}

bool report_gzip(struct buf *out, struct str in)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n };
	bool ok = in.n <= REPORT_MAX && deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16,
						     8, Z_DEFAULT_STRATEGY) == Z_OK;
	char *room;
	size_t bound;

	if (!ok)
		return false;
	bound = deflateBound(&z, in.n);
	room = buf_reserve(out, bound);
	if (room) {
		z.next_out = (Bytef *)room;
		z.avail_out = (uInt)bound;
		ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
		buf_commit(out, ok ? z.total_out : 0);
	}
	deflateEnd(&z);
	return room && ok;
}

void report_file_name(struct buf *out, const struct report *r)
{
	buf_printf(out, "%.*s!%.*s!%lld!%lld!001.json.gz", STR_ARG(r->submitter),
		   STR_ARG(r->domain), (long long)(r->day * DAY_S),
		   (long long)((r->day + 1) * DAY_S - 1));
}

/* ---- the mail */

static void add_field(struct buf *out, const char *name, struct buf *value)
{
	header_write(out, str_of(name), buf_str(value));
	buf_clear(value);
}

static void add_head(struct buf *out, const struct report *r, struct str to, int64_t time_s,
		     const char *boundary)
{
	struct buf v = BUF_INIT(2048);

	buf_printf(&v, "<%.*s>", STR_ARG(r->from));
	add_field(out, "From", &v);
	buf_printf(&v, "<%.*s>", STR_ARG(to));
	add_field(out, "To", &v);
	buf_printf(&v, "Report Domain: %.*s Submitter: %.*s Report-ID: <%s>", STR_ARG(r->domain),
		   STR_ARG(r->submitter), r->id);
	add_field(out, "Subject", &v);
	date_format(&v, time_s);
	add_field(out, "Date", &v);
	buf_printf(&v, "<%s>", r->id);
	add_field(out, "Message-ID", &v);
	buf_add_str(&v, r->domain);
	add_field(out, "TLS-Report-Domain", &v);
	buf_add_str(&v, r->submitter);
	add_field(out, "TLS-Report-Submitter", &v);
	buf_add_lit(&v, "No");
	add_field(out, "TLS-Required", &v);
	buf_add_lit(&v, "auto-generated");
	add_field(out, "Auto-Submitted", &v);
	buf_add_lit(&v, "1.0");
	add_field(out, "MIME-Version", &v);
	buf_printf(&v, "multipart/report; report-type=\"tlsrpt\"; boundary=\"%s\"", boundary);
	add_field(out, "Content-Type", &v);
	buf_done(&v);
}

static void add_base64(struct buf *out, struct str in)
{
	for (; in.n; in = str_from(in, BASE64_LINE)) {
		struct str line = str_sub(in, 0, BASE64_LINE);

		base64_encode(out, line.p, line.n);
		buf_add_lit(out, "\r\n");
	}
}

void report_mail(struct buf *out, const struct report *r, struct str to, int64_t time_s,
		 const char *boundary, struct str gzip)
{
	add_head(out, r, to, time_s, boundary);
	buf_printf(out, "\r\nThis is a report about TLS, in MIME format.\r\n\r\n--%s\r\n"
			"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
			"This is an aggregate TLS report from %.*s about the mail\r\n"
			"that it sent to %.*s (RFC 8460).\r\n\r\n--%s\r\n",
		   boundary, STR_ARG(r->submitter), STR_ARG(r->domain), boundary);
	buf_add_lit(out, "Content-Type: application/tlsrpt+gzip\r\n"
			 "Content-Transfer-Encoding: base64\r\n"
			 "Content-Disposition: attachment;\r\n filename=\"");
	report_file_name(out, r);
	buf_add_lit(out, "\"\r\n\r\n");
	add_base64(out, gzip);
	buf_printf(out, "\r\n--%s--\r\n", boundary);
}
