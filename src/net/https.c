/*
 * https - one question to a web server, by libcurl.
 *
 * An easy handle for each question, on a pool thread: there are few, and none in a hurry. TLS 1.2
 * at least, the certificate verified for the name in the URL against the authorities of a file, or
 * the system's (as OpenSSL finds them, so SSL_CERT_FILE counts for this as it does for routes); no
 * redirections (RFC 8461 3.3), no cookies, no proxies, whatever the environment says, no other
 * protocol; the answer bounded. Whoever has addresses from our resolver gives them, so that no
 * second one is asked.
 */
#include "net/https.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>

#define CONNECT_MS 10000
#define ADDRESSES_MAX 8

struct answer {
	const struct https_question *question;
	struct buf *body;
};

static void start_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t on_body(char *p, size_t one, size_t n, void *arg)
{
	struct answer *a = arg;

	return buf_add(a->body, p, one * n) ? n : CURL_WRITEFUNC_ERROR;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct answer *answer = arg;

	(void)a, (void)b, (void)c, (void)d;
	return answer->question->stopping && atomic_load(answer->question->stopping);
}

/* RFC 9525 2, RFC 8461 3.3: in the subjectAltName. curl alone would take a common name, too. */
static int demand_name(X509_VERIFY_PARAM *p, const char *host)
{
	struct ip ip;

	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
						   X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return ip_parse(str_of(host), &ip) ? X509_VERIFY_PARAM_set1_ip_asc(p, host)
					   : X509_VERIFY_PARAM_set1_host(p, host, 0);
}

static CURLcode on_ssl(CURL *h, void *ctx, void *arg)
{
	const struct https_question *q = arg;
	int ok = q->ca_file ? SSL_CTX_load_verify_file(ctx, q->ca_file)
			    : SSL_CTX_set_default_verify_paths(ctx);

	(void)h;
	if (ok && q->host)
		ok = demand_name(SSL_CTX_get0_param(ctx), q->host);
	return ok ? CURLE_OK : CURLE_SSL_CACERT_BADFILE;
}

/* "host:port:address,address" */
static struct curl_slist *where(const struct https_question *q)
{
	struct buf text = BUF_INIT(1024);
	struct curl_slist *list;

	if (!q->ips_n)
		return NULL;
	buf_printf(&text, "%s:%u:", q->host, q->port);
	for (unsigned i = 0; i < q->ips_n && i < ADDRESSES_MAX; i++) {
		char ip[ENDPOINT_TEXT_MAX];

		buf_printf(&text, q->ips[i].family == 6 ? "%s[%s]" : "%s%s", i ? "," : "",
			   ip_text(ip, &q->ips[i]));
	}
	list = curl_slist_append(NULL, buf_cstr(&text));
	buf_done(&text);
	return list;
}

static void set_safety(CURL *h, const struct https_question *q)
{
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, q->may_be_clear ? "http,https" : "https");
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(h, CURLOPT_PROXY, "");
	curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(h, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(h, CURLOPT_SSL_CTX_FUNCTION, on_ssl);
	curl_easy_setopt(h, CURLOPT_SSL_CTX_DATA, (void *)(uintptr_t)q);
	curl_easy_setopt(h, CURLOPT_USERAGENT, "relevo");
}

static void set_question(CURL *h, struct answer *a, const struct curl_slist *at,
			 const struct curl_slist *headers)
{
	const struct https_question *q = a->question;

	curl_easy_setopt(h, CURLOPT_URL, q->url);
	curl_easy_setopt(h, CURLOPT_RESOLVE, at);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h, CURLOPT_XFERINFODATA, a);
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	if (q->user) {
		curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(h, CURLOPT_USERNAME, q->user);
		curl_easy_setopt(h, CURLOPT_PASSWORD, q->password);
	}
	if (!q->posted.n)
		return;
	curl_easy_setopt(h, CURLOPT_POSTFIELDS, q->posted.p);
	curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->posted.n);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
}

static enum https_result result_of(CURLcode code)
{
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		return HTTPS_UNTRUSTED;
	case CURLE_WRITE_ERROR:
		return HTTPS_TOO_LARGE;
	case CURLE_OPERATION_TIMEDOUT:
		return HTTPS_TIMEOUT;
	default:
		return HTTPS_UNREACHABLE;
	}
}

static bool is_type(const char *type, const char *wanted)
{
	size_t n = strlen(wanted);

	return type && str_starts_nocase(str_of(type), str_of(wanted)) &&
	       (!type[n] || type[n] == ';' || type[n] == ' ');
}

/* The server has answered: is it what was asked for? */
static enum https_result judge(CURL *h, const struct https_question *q, char *why, size_t why_size)
{
	const char *type = NULL;
	long status = 0;

	curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(h, CURLINFO_CONTENT_TYPE, &type);
	if (q->posted.n ? status / 100 != 2 : status != 200) {
		snprintf(why, why_size, "the server answers %ld", status);
		return HTTPS_REFUSED;
	}
	if (q->wants_type && !is_type(type, q->wants_type)) {
		snprintf(why, why_size, "the answer is not %s", q->wants_type);
		return HTTPS_WRONG_TYPE;
	}
	return HTTPS_OK;
}

enum https_result https_ask(const struct https_question *q, struct buf *body, char *why,
			    size_t why_size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct answer a = { q, body };
	struct curl_slist *at = where(q), *headers = NULL;
	char header[128];
	enum https_result r;
	CURLcode code;
	CURL *h;

	pthread_once(&once, start_curl);
	h = curl_easy_init();
	if (q->posted_type) {
		snprintf(header, sizeof(header), "Content-Type: %s", q->posted_type);
		headers = curl_slist_append(NULL, header);
	}
	set_safety(h, q);
	set_question(h, &a, at, headers);
	code = curl_easy_perform(h);
	r = code == CURLE_OK ? judge(h, q, why, why_size) : result_of(code);
	if (code != CURLE_OK)
		snprintf(why, why_size, "%s", r == HTTPS_TOO_LARGE ? "the answer is too large"
								   : curl_easy_strerror(code));
	curl_easy_cleanup(h);
	curl_slist_free_all(at);
	curl_slist_free_all(headers);
	return r;
}
