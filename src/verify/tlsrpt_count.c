/*
 * tlsrpt_count - what was counted on one day, for TLS reports (RFC 8460 4.4). Pure; the caller has
 * the lock.
 *
 * A day is one JSON object: under the key "DOMAIN TYPE POLICY-DOMAIN" the policy, its sums and its
 * failures, as they will stand in the report.
 *
 * How much there is depends on how many domains we send mail to and on what they do, so all of it
 * is bounded by the octets it takes in memory, and what is told in full comes first to its end:
 *
 *  - Up to DETAILS_MAX_OCTETS of all days: everything. A policy by itself has DETAILS_MAX failures
 *    and POLICY_MAX_OCTETS, so that one domain does not take it all.
 *  - Up to PLAIN_MAX_OCTETS: what counts. A domain gets its sums, without its policy's text and
 *    hosts, and its failures by their kind alone: the numbers stay right.
 *  - Up to TLSRPT_OCTETS_MAX: the same for domains that have a policy. Those without are most, and
 *    ask for reports least.
 *  - Beyond: a domain that was not counted today is not, which is told.
 *
 * A day as text is smaller than in memory, so it can always be saved.
 */
#include "verify/tlsrpt_inner.h"

#define DETAILS_MAX 64
#define HOSTS_MAX 32
#define STRINGS_MAX 64
#define RECORD_OCTETS 4096			/* of a TLSA record as text */
#define POLICY_MAX_OCTETS (48u * 1024)
#define DETAILS_MAX_OCTETS (TLSRPT_OCTETS_MAX / 2)
#define PLAIN_MAX_OCTETS (TLSRPT_OCTETS_MAX / 4 * 3)

/* ---- octets: what jansson takes for a value, a member or an element, an object; measured */

#define VALUE 48
#define MEMBER 64
#define OBJECT 192

/* Of a string or a number, or of an object or array of these. */
static size_t flat(json_t *j)
{
	size_t octets = VALUE + json_string_length(j), i;
	const char *key;
	json_t *v;

	if (json_is_object(j))
		octets += OBJECT;
	json_object_foreach(j, key, v)
		octets += MEMBER + strlen(key) + VALUE + json_string_length(v);
	json_array_foreach(j, i, v)
		octets += MEMBER + VALUE + json_string_length(v);
	return octets;
}

/* Of a policy with its sums and failures. */
static size_t octets_of(json_t *whole)
{
	json_t *policy = json_object_get(whole, "policy"), *one;
	size_t octets = flat(whole) + flat(policy) + flat(json_object_get(whole, "summary")), i;

	octets += flat(json_object_get(policy, "policy-string"));
	octets += flat(json_object_get(policy, "mx-host"));
	json_array_foreach(json_object_get(whole, "failure-details"), i, one)
		octets += MEMBER + flat(one);
	return octets;
}

void day_measure(struct day *d)
{
	const char *key;
	json_t *whole;

	d->octets = 0;
	json_object_foreach(d->policies, key, whole)
		d->octets += MEMBER + strlen(key) + octets_of(whole);
}

struct counting {
	struct day *day;
	const struct tlsrpt_session *session;
	size_t others;			/* octets of other days */
};

static bool has_room(const struct counting *k, size_t octets, size_t max)
{
	return k->others + k->day->octets + octets <= max;
}

/* ---- a policy */

static json_t *text(struct str s)
{
	json_t *j = json_stringn(s.p ? s.p : "", s.n);

	return j ? j : json_string("?");
}

static bool is_text(json_t *j, struct str s)
{
	return str_eq_nocase(str_make(json_string_value(j), json_string_length(j)), s);
}

static void increase(json_t *object, const char *key)
{
	json_object_set_new(object, key,
			    json_integer(json_integer_value(json_object_get(object, key)) + 1));
}

static void add_policy_text(json_t *list, struct str policy)
{
	while (policy.n && json_array_size(list) < STRINGS_MAX) {
		ssize_t end = str_find(policy, '\n');
		struct str line = end < 0 ? policy : str_sub(policy, 0, (size_t)end);

		policy = str_from(policy, line.n + 1);
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n)
			json_array_append_new(list, text(line));
	}
}

static void add_records(json_t *list, const struct tlsrpt_session *s)
{
	for (unsigned i = 0; i < s->records_n && i < STRINGS_MAX; i++) {
		const struct tlsa *r = &s->records[i];
		struct buf b = BUF_INIT(RECORD_OCTETS);

		buf_printf(&b, "%u %u %u ", r->usage, r->selector, r->matching);
		for (size_t k = 0; k < r->data.n; k++)
			buf_printf(&b, "%02x", (unsigned char)r->data.p[k]);
		if (buf_ok(&b))
			json_array_append_new(list, text(buf_str(&b)));
		buf_done(&b);
	}
}

static json_t *policy_new(const struct tlsrpt_session *s)
{
	json_t *whole = json_object(), *policy = json_object(), *sums = json_object();
	json_t *strings = json_array();

	add_policy_text(strings, s->policy);
	add_records(strings, s);
	json_object_set_new(policy, "policy-type", json_string(tlsrpt_type_name(s->type)));
	if (json_array_size(strings))
		json_object_set(policy, "policy-string", strings);
	json_decref(strings);
	json_object_set_new(policy, "policy-domain", text(s->policy_domain));
	json_object_set_new(sums, "total-successful-session-count", json_integer(0));
	json_object_set_new(sums, "total-failure-session-count", json_integer(0));
	json_object_set_new(whole, "policy", policy);
	json_object_set_new(whole, "summary", sums);
	return whole;
}

/* Its key, for the day; to be freed by buf_done. */
static struct buf key_of(const struct tlsrpt_session *s)
{
	struct buf key = BUF_INIT(1024);

	buf_printf(&key, "%.*s %s %.*s", STR_ARG(s->domain), tlsrpt_type_name(s->type),
		   STR_ARG(s->policy_domain));
	str_lower(key.p, key.n);
	return key;
}

static json_t *policy_add(struct counting *k, const char *key)
{
	size_t max = k->session->type == TLSRPT_NO_POLICY ? PLAIN_MAX_OCTETS : TLSRPT_OCTETS_MAX;
	json_t *whole = policy_new(k->session);
	size_t octets = octets_of(whole) + MEMBER + strlen(key);

	if (!has_room(k, octets, DETAILS_MAX_OCTETS)) {
		json_object_del(json_object_get(whole, "policy"), "policy-string");
		octets = octets_of(whole) + MEMBER + strlen(key);
	}
	if (!has_room(k, octets, max)) {
		json_decref(whole);
		return NULL;
	}
	json_object_set_new(k->day->policies, key, whole);
	k->day->octets += octets;
	return whole;
}

static json_t *policy_of(struct counting *k)
{
	struct buf key = key_of(k->session);
	json_t *whole = json_object_get(k->day->policies, buf_cstr(&key));

	if (!whole)
		whole = policy_add(k, buf_cstr(&key));
	buf_done(&key);
	return whole;
}

/* More of the same policy that may be left out. */
static bool has_room_for_detail(const struct counting *k, json_t *whole, size_t octets)
{
	return has_room(k, octets, DETAILS_MAX_OCTETS) && octets_of(whole) < POLICY_MAX_OCTETS;
}

static void add_host(struct counting *k, json_t *whole)
{
	json_t *policy = json_object_get(whole, "policy");
	json_t *hosts = json_object_get(policy, "mx-host");
	struct str host = k->session->host;
	size_t octets = MEMBER + VALUE + host.n;

	for (size_t i = 0; i < json_array_size(hosts); i++)
		if (is_text(json_array_get(hosts, i), host))
			return;
	if (json_array_size(hosts) >= HOSTS_MAX || !has_room_for_detail(k, whole, octets))
		return;
	if (!hosts) {
		hosts = json_array();
		json_object_set_new(policy, "mx-host", hosts);
	}
	json_array_append_new(hosts, text(host));
	k->day->octets += octets;
}

/* ---- failures */

static json_t *failure_new(const struct tlsrpt_session *s)
{
	json_t *j = json_object();
	char ip[ENDPOINT_TEXT_MAX];

	json_object_set_new(j, "result-type", json_string(tlsrpt_result_name(s->result)));
	if (s->local.family)
		json_object_set_new(j, "sending-mta-ip", json_string(ip_text(ip, &s->local)));
	if (s->host.n)
		json_object_set_new(j, "receiving-mx-hostname", text(s->host));
	if (s->peer.family)
		json_object_set_new(j, "receiving-ip", json_string(ip_text(ip, &s->peer)));
	if (s->why.n)
		json_object_set_new(j, "failure-reason-code", text(s->why));
	json_object_set_new(j, "failed-session-count", json_integer(0));
	return j;
}

static bool is_same(json_t *a, json_t *b)
{
	static const char *const keys[] = { "result-type", "sending-mta-ip",
					    "receiving-mx-hostname", "receiving-ip" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);

		if (x != y && !json_equal(x, y))
			return false;
	}
	return true;
}

static json_t *find_same(json_t *list, json_t *one)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (is_same(json_array_get(list, i), one))
			return json_array_get(list, i);
	return NULL;
}

/* Takes one. NULL: there is no room. */
static json_t *failure_add(struct counting *k, json_t *whole, json_t *one, size_t max)
{
	json_t *list = json_object_get(whole, "failure-details");
	size_t octets = MEMBER + flat(one);

	if (!has_room(k, octets, max)) {
		json_decref(one);
		return NULL;
	}
	if (!list) {
		list = json_array();
		json_object_set_new(whole, "failure-details", list);
	}
	json_array_append_new(list, one);
	k->day->octets += octets;
	return one;
}

/* In full; else among those of its kind. */
static void add_failure(struct counting *k, json_t *whole)
{
	struct tlsrpt_session kind = { .result = k->session->result };
	json_t *list = json_object_get(whole, "failure-details");
	json_t *one = failure_new(k->session), *known = find_same(list, one);

	if (known) {
		json_decref(one);
	} else if (json_array_size(list) < DETAILS_MAX &&
		   has_room_for_detail(k, whole, MEMBER + flat(one))) {
		known = failure_add(k, whole, one, DETAILS_MAX_OCTETS);
	} else {
		json_decref(one);
		one = failure_new(&kind);
		known = find_same(list, one);
		if (known)
			json_decref(one);
		else
			known = failure_add(k, whole, one, TLSRPT_OCTETS_MAX);
	}
	if (known)
		increase(known, "failed-session-count");
}

bool day_count(struct day *d, const struct tlsrpt_session *s, size_t others)
{
	struct counting k = { d, s, others };
	json_t *whole = policy_of(&k), *sums = json_object_get(whole, "summary");

	if (!sums)
		return false;
	if (s->host.n && s->type != TLSRPT_NO_POLICY)
		add_host(&k, whole);
	if (s->result == TLSRPT_SUCCESS) {
		increase(sums, "total-successful-session-count");
		return true;
	}
	increase(sums, "total-failure-session-count");
	add_failure(&k, whole);
	return true;
}
