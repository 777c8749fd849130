/*
 * zone - a resolver that answers from a table, for tests of policy/: a world of one loop whose
 * clock the test moves.
 *
 * Names that are not in the table do not exist. "silent" ones are never answered but to a cancel.
 */
#ifndef UNIT_POLICY_ZONE_H
#define UNIT_POLICY_ZONE_H

#include "dns/dns.h"
#include "unit/net/run.h"

#include <stdatomic.h>

struct zone_row {
	const char *name;
	unsigned type;
	enum dns_status status;
	const char *data;		/* the record; several: n of size each */
	unsigned n, size;
};

static const struct zone_row *zone_rows;
static unsigned zone_rows_n;
static atomic_uint zone_asked;
static atomic_ullong zone_clock;
static struct dns_query *zone_held[64];
static unsigned zone_held_n;
static struct world zone_world;
static struct net *zone_net;
static struct dns *zone_dns;

static uint64_t zone_now(struct world *w)
{
	return world_real()->now(w) + zone_clock;
}

static int64_t zone_wall(struct world *w)
{
	return world_real()->wall_ms(w) + (int64_t)(zone_clock / MILLISECOND);
}

static inline void zone_pass(uint64_t ns)
{
	zone_clock += ns;
	task_sleep_until(in_ms(1));
}

static int zone_ask(struct world *w, struct dns_query *q)
{
	struct dns_record records[8];

	(void)w;
	zone_asked++;
	q->status = DNS_NXDOMAIN;
	q->ttl = 60;
	for (unsigned i = 0; i < zone_rows_n; i++) {
		const struct zone_row *row = &zone_rows[i];

		if (strcmp(row->name, q->name) != 0)
			continue;
		q->status = row->type == q->type ? row->status : DNS_NODATA;
		if (row->type != q->type)
			continue;
		if (row->status == DNS_TIMEOUT) {
			zone_held[zone_held_n++] = q;
			return 0;
		}
		q->records_n = row->n;
		q->records = records;
		for (unsigned k = 0; k < row->n; k++)
			records[k] = (struct dns_record){
				(const unsigned char *)row->data + k * row->size,
				(uint16_t)row->size };
		break;
	}
	q->done(q);
	return 0;
}

static void zone_cancel(struct world *w, struct dns_query *q)
{
	(void)w;
	for (unsigned i = 0; i < zone_held_n; i++) {
		if (zone_held[i] != q)
			continue;
		zone_held[i] = zone_held[--zone_held_n];
		q->status = DNS_CANCELLED;
		q->done(q);
		return;
	}
}

static inline void zone_open(const struct zone_row *rows, unsigned n, unsigned workers)
{
	zone_rows = rows;
	zone_rows_n = n;
	zone_world = *world_real();
	zone_world.now = zone_now;
	zone_world.wall_ms = zone_wall;
	zone_world.dns_ask = zone_ask;
	zone_world.dns_cancel = zone_cancel;
	zone_net = net_new(&zone_world, workers, 1);
	zone_dns = dns_new(zone_net);
	net_start(zone_net);
}

static inline void zone_run(void (*fn)(void *arg), void *arg)
{
	run_on(net_loop(zone_net, 0), fn, arg, true);
}

static void zone_wait(void *arg)
{
	(void)arg;
	dns_wait(zone_dns);
}

static inline void zone_close(void)
{
	run_on(net_loop(zone_net, 0), zone_wait, NULL, true);
	net_stop(zone_net);
	dns_free(zone_dns);
}

#endif
