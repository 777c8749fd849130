/*
 * zone - a DNS for tests: answers from a table of lines, from inside dns_ask.
 *
 *	"a.example MX 10 mx.a.example", "mx.a.example A 127.0.0.2", "mx.a.example AAAA ::1",
 *	"b.example MX 0 .", "c.example MX !servfail" (!timeout, !bogus),
 *	"d.example TXT v=STSv1;id=1",
 *	"_25._tcp.mx.a.example TLSA 0301010203..." (all of it in hex)
 *
 * A line that begins with "+" is signed: what is asked of that name and type is secure.
 *
 * "a.example CNAME b.example": addresses of a are b's, secure if both lines are. Of two such lines
 * the first is what the question for the CNAME itself gets ("!servfail").
 *
 * A name that stands in no line does not exist; one that does has no data of the other types. Not
 * case sensitive.
 */
#ifndef UNIT_DELIVER_ZONE_H
#define UNIT_DELIVER_ZONE_H

#include "base/str.h"
#include "dns/dns.h"
#include "net/world.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define ZONE_LINES 64
#define ZONE_RECORDS 32

struct zone {
	const char *lines[ZONE_LINES];
	unsigned n;
	_Atomic unsigned asked;
	_Atomic bool mute;		/* answers nothing until questions are cancelled */
	pthread_mutex_t lock;		/* of what follows */
	struct dns_query *muted[8];
	unsigned muted_n;
};

static struct zone zone;

static inline void zone_clear(void)
{
	zone.n = zone.muted_n = 0;
	zone.asked = 0;
	zone.mute = false;
	pthread_mutex_init(&zone.lock, NULL);
}

struct zone_answer {
	struct dns_record records[ZONE_RECORDS];
	unsigned char data[ZONE_RECORDS][300];
	unsigned n;
	bool secure;
	char canonical[256];
};

static inline void zone_add(const char *line)
{
	if (zone.n == ZONE_LINES)
		abort();
	zone.lines[zone.n++] = line;
}

static inline uint16_t zone_name(unsigned char *to, const char *name)
{
	uint16_t n = 0;

	while (*name && strcmp(name, ".") != 0) {
		size_t label = strcspn(name, ".");

		to[n++] = (unsigned char)label;
		memcpy(to + n, name, label);
		n = (uint16_t)(n + label);
		name += label + (name[label] == '.');
	}
	to[n++] = 0;
	return n;
}

static inline unsigned zone_type(const char *type)
{
	static const struct {
		const char *name;
		unsigned type;
	} types[] = { { "A", DNS_A }, { "AAAA", DNS_AAAA }, { "MX", DNS_MX }, { "TXT", DNS_TXT },
		    { "TLSA", DNS_TLSA }, { "CNAME", 5 } };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(type, types[i].name))
			return types[i].type;
	abort();
}

static inline enum dns_status zone_status(const char *word)
{
	if (!strcmp(word, "!servfail"))
		return DNS_SERVFAIL;
	return !strcmp(word, "!timeout") ? DNS_TIMEOUT : DNS_BOGUS;
}

static inline void zone_record(struct zone_answer *a, unsigned type, const char *first,
			       const char *second)
{
	unsigned char *p = a->data[a->n];
	struct dns_record *r = &a->records[a->n++];

	r->p = p;
	if (type == DNS_TXT) {
		p[0] = (unsigned char)strlen(first);
		memcpy(p + 1, first, p[0]);
		r->n = (uint16_t)(p[0] + 1);
	} else if (type == DNS_TLSA) {
		for (r->n = 0; first[2 * r->n]; r->n++)
			sscanf(first + 2 * r->n, "%2hhx", &p[r->n]);
	} else if (type == DNS_MX) {
		unsigned long preference = strtoul(first, NULL, 10);

		p[0] = (unsigned char)(preference >> 8);
		p[1] = (unsigned char)preference;
		r->n = (uint16_t)(2 + zone_name(p + 2, second));
	} else if (type == 5) {
		r->n = zone_name(p, first);
	} else {
		r->n = type == DNS_A ? 4 : 16;
		if (inet_pton(type == DNS_A ? AF_INET : AF_INET6, first, p) != 1)
			abort();
	}
}

static inline enum dns_status zone_search(const char *asked, unsigned asked_type,
					  struct zone_answer *a)
{
	enum dns_status status = DNS_NXDOMAIN;

	for (unsigned i = 0; i < zone.n; i++) {
		char name[256], type[8], first[256] = "", second[256] = "";
		bool is_signed = zone.lines[i][0] == '+';

		if (sscanf(zone.lines[i] + is_signed, "%255s %7s %255s %255s", name, type, first,
			   second) < 3 ||
		    strcasecmp(name, asked) != 0)
			continue;
		if (status == DNS_NXDOMAIN)
			status = DNS_NODATA;
		if (zone_type(type) != asked_type)
			continue;
		if (*first == '!')
			return zone_status(first);
		a->secure = is_signed;
		zone_record(a, asked_type, first, second);
		status = DNS_OK;
	}
	return status;
}

static inline enum dns_status zone_find(const struct dns_query *q, struct zone_answer *a)
{
	bool is_address = q->type == DNS_A || q->type == DNS_AAAA;
	enum dns_status status;

	for (unsigned i = 0; is_address && i < zone.n; i++) {
		char name[256], end[256];
		bool is_signed = zone.lines[i][0] == '+';

		if (sscanf(zone.lines[i] + is_signed, "%255s CNAME %255s", name, end) < 2 ||
		    *end == '!' || strcasecmp(name, q->name) != 0)
			continue;
		status = zone_search(end, q->type, a);
		a->secure = a->secure && is_signed;
		str_copy(a->canonical, sizeof(a->canonical), str_of(end));
		return status;
	}
	return zone_search(q->name, q->type, a);
}

static inline int zone_ask(struct world *w, struct dns_query *q)
{
	struct zone_answer a = { .n = 0 };

	(void)w;
	zone.asked++;
	if (zone.mute) {
		pthread_mutex_lock(&zone.lock);
		if (zone.muted_n == sizeof(zone.muted) / sizeof(zone.muted[0]))
			abort();
		zone.muted[zone.muted_n++] = q;
		pthread_mutex_unlock(&zone.lock);
		return 0;
	}
	q->status = zone_find(q, &a);
	q->ttl = 300;
	q->secure = a.secure;
	str_copy(q->canonical, sizeof(q->canonical), str_of(a.canonical));
	q->records = a.records;
	q->records_n = a.n;
	q->done(q);
	return 0;
}

static inline bool zone_take_muted(const struct dns_query *q)
{
	bool found = false;

	pthread_mutex_lock(&zone.lock);
	for (unsigned i = 0; i < zone.muted_n && !found; i++) {
		if (zone.muted[i] != q)
			continue;
		zone.muted[i] = zone.muted[--zone.muted_n];
		found = true;
	}
	pthread_mutex_unlock(&zone.lock);
	return found;
}

static inline void zone_cancel(struct world *w, struct dns_query *q)
{
	(void)w;
	if (!zone_take_muted(q))
		return;
	q->status = DNS_CANCELLED;
	q->records_n = 0;
	q->done(q);
}

#endif
