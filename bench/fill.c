/*
 * bench/fill - fills a spool quickly, for bench/recover and the tests that need a long queue.
 *
 *   fill FOLDER MESSAGES OCTETS [ROUTE [FINAL_EVERY [DOMAINS]]]
 *
 * Commits MESSAGES messages of one recipient each through the spool itself, from 256 tasks on two
 * loops. FINAL_EVERY n: all but every n-th are noted as relayed, as the mail of a running relay
 * mostly is. DOMAINS n: the recipients are in n domains. Prints how long it took, and the percentiles of the commits.
 */
#include "base/mem.h"
#include "spool/spool.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define TASKS 256
#define LOOPS 2

static struct spool *spool;
static struct net *net;
static atomic_uint running;
static atomic_long left;
static size_t octets;
static char *body;
static struct str route;
static unsigned long final_every, domains;
static uint32_t *waits_us; /* of each commit */
static long total;

static struct message *make_message(long number) SUSPENDS
{
	char to[64];
	struct envelope_recipient r = {.route = route};
	struct envelope e = {.sender = STR("newsletter@example.org"),
			     .client = STR("192.0.2.7"),
			     .arrived_ms = loop_wall_ms(),
			     .recipients = &r,
			     .recipients_n = 1};
	struct content *c = content_new(spool, octets);
	struct message *m;

	if (domains)
		snprintf(to, sizeof(to), "subscriber-%ld@d%lu.customers.example.net", number,
			 (unsigned long)number % domains);
	else
		snprintf(to, sizeof(to), "subscriber-%ld@customers.example.net", number);
	r.address = str_of(to);
	content_set_head(c,
			 STR("Received: from client.example ([192.0.2.7]) by relay.example with "
			     "ESMTP\r\n\tid 7KQ2M0A-3-5XK9; Sun, 22 Nov 2026 04:00:00 +0000\r\n"));
	if (content_add(c, body, octets) < 0 || content_seal(c) < 0)
		abort();
	m = message_new(&e, c);
	content_unref(c);
	return m;
}

static void one_message(long number) SUSPENDS
{
	struct message *m = make_message(number);
	struct batch *b = batch_new(spool);
	uint64_t before = net_world(net)->now(net_world(net));

	batch_message(b, m);
	if (spool_commit(spool, b) < 0)
		abort();
	waits_us[number] = (uint32_t)((net_world(net)->now(net_world(net)) - before) / 1000);
	message_drop_content(m);
	if (final_every && (unsigned long)number % final_every) {
		struct outcome o = {.state = RECIPIENT_RELAYED,
				    .attempted = true,
				    .reply = REPLY(250, 2, 0, 0, "queued as 4711"),
				    .host = STR("mx.example")};

		b = batch_new(spool);
		batch_outcomes(b, m, &o, 1);
		if (spool_note(spool, b) < 0)
			abort();
	}
	message_unref(m);
}

static void filling(void *arg)
{
	long number;

	(void)arg;
	while ((number = atomic_fetch_sub(&left, 1) - 1) >= 0)
		one_message(number);
	atomic_fetch_sub(&running, 1);
}

static void start_task(struct post *p)
{
	task_start(NULL, filling, NULL, "fill");
	mem_free(p);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void fill(void)
{
	struct world *w = net_world(net);
	uint64_t before = w->now(w);
	struct spool_stats st;

	atomic_store(&running, TASKS);
	for (unsigned i = 0; i < TASKS; i++)
		loop_post(net_loop(net, i % LOOPS), mem_zalloc(sizeof(struct post)), start_task);
	while (atomic_load(&running))
		usleep(1000);
	qsort(waits_us, (size_t)total, sizeof(*waits_us), compare);
	spool_stats(spool, &st);
	printf("seconds %.2f messages %llu octets_on_disk %llu octets_live %llu swept %llu p50_us "
	       "%u p99_us %u max_us %u\n",
	       (double)(w->now(w) - before) / SECOND, (unsigned long long)st.messages,
	       (unsigned long long)st.octets_on_disk, (unsigned long long)st.octets_live,
	       (unsigned long long)st.swept_messages, waits_us[total / 2],
	       waits_us[total - 1 - total / 100], waits_us[total - 1]);
}

int main(int argc, char **argv)
{
	struct spool_options o = {.arriving_memory_max = 64 << 20};
	struct buf error = BUF_INIT(400);

	if (argc < 4) {
		fputs("fill FOLDER MESSAGES OCTETS [ROUTE [FINAL_EVERY [DOMAINS]]]\n", stderr);
		return 2;
	}
	o.path = argv[1];
	total = strtol(argv[2], NULL, 10);
	octets = strtoul(argv[3], NULL, 10);
	route = argc > 4 ? str_of(argv[4]) : STR("next");
	final_every = argc > 5 ? strtoul(argv[5], NULL, 10) : 0;
	domains = argc > 6 ? strtoul(argv[6], NULL, 10) : 0;
	atomic_store(&left, total);
	body = mem_alloc(octets);
	memset(body, 'x', octets);
	waits_us = mem_calloc((size_t)total, sizeof(*waits_us));
	net = net_new(world_real(), LOOPS, 2);
	net_start(net);
	if (spool_open(net, &o, NULL, NULL, &spool, NULL, &error) < 0) {
		fprintf(stderr, "%s\n", buf_cstr(&error));
		return 1;
	}
	fill();
	spool_close(spool);
	net_stop(net);
	mem_free(body);
	mem_free(waits_us);
	buf_done(&error);
	return 0;
}
