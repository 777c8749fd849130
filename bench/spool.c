/*
 * bench/spool - what the spool costs: commits per second and processor time per message.
 *
 *   spool FOLDER [SECONDS]
 *
 * For 1, 20 and 100 tasks on two loops, each committing 4-KB messages one after the other and
 * noting their delivery. Prints commits/s, microseconds of processor time per message (user and
 * system, all threads), syncs, batches and octets written per message.
 */
#include "base/mem.h"
#include "spool/spool.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#define OCTETS 4096
#define TASKS_MAX 100

static struct spool *spool;
static struct net *net;
static atomic_bool stop;
static atomic_uint running;
static atomic_ulong messages;
static bool with_notes;
static char body[OCTETS];

static void one_message(void) SUSPENDS;
static void one_message(void)
{
	static const struct envelope_recipient to = {
		.address = { "someone@example.net", 19 }, .route = { "smarthost", 9 },
	};
	struct envelope e = { .sender = STR("newsletter@example.org"), .client = STR("192.0.2.7"),
			      .recipients = &to, .recipients_n = 1 };
	struct content *c = content_new(spool, OCTETS);
	struct batch *b = batch_new(spool);
	struct message *m;

	if (content_add(c, body, OCTETS) < 0)
		abort();
	content_set_head(
		c, STR("Received: from client.example ([192.0.2.7]) by relay.example with ESMTP\r\n"
		       "\tid 7KQ2M0A-3-5XK9; Sun, 22 Nov 2026 04:00:00 +0000\r\n"));
	if (content_seal(c) < 0)
		abort();
	m = message_new(&e, c);
	content_unref(c);
	batch_message(b, m);
	if (spool_commit(spool, b) < 0)
		abort();
	if (with_notes) {
		struct outcome o = { .state = RECIPIENT_RELAYED,
				     .attempted = true,
				     .reply = REPLY(250, 2, 0, 0, "queued as 4711"),
				     .host = STR("mx.example") };

		b = batch_new(spool);
		batch_outcomes(b, m, &o, 1);
		if (spool_note(spool, b) < 0)
			abort();
	}
	message_unref(m);
	atomic_fetch_add(&messages, 1);
}

static void committing(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop))
		one_message();
	atomic_fetch_sub(&running, 1);
}

static void start_task(struct post *p)
{
	task_start(NULL, committing, NULL, "bench");
	mem_free(p);
}

static double cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)u.ru_utime.tv_usec +
	       (double)u.ru_stime.tv_usec;
}

static double user_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_utime.tv_sec * 1e6 + (double)u.ru_utime.tv_usec;
}

static void measure(unsigned tasks, double seconds)
{
	struct spool_stats before, after;
	double cpu, user, n;

	atomic_store(&stop, false);
	atomic_store(&messages, 0);
	atomic_store(&running, tasks);
	spool_stats(spool, &before);
	cpu = cpu_us();
	user = user_us();
	for (unsigned i = 0; i < tasks; i++)
		loop_post(net_loop(net, i % 2), mem_zalloc(sizeof(struct post)), start_task);
	usleep((useconds_t)(seconds * 1e6));
	atomic_store(&stop, true);
	while (atomic_load(&running))
		usleep(100);
	cpu = cpu_us() - cpu;
	user = user_us() - user;
	spool_stats(spool, &after);
	n = (double)atomic_load(&messages);
	printf("%3u tasks%s: %7.0f messages/s, %5.1f us processor (%4.1f user), %.3f syncs, %.3f "
	       "batches, "
	       "%5.0f octets per message; sync %.0f us, max %.1f ms\n",
	       tasks, with_notes ? " + notes" : "        ", n / seconds, cpu / n, user / n,
	       (double)(after.syncs - before.syncs) / n,
	       (double)(after.batches - before.batches) / n,
	       (double)(after.octets_written - before.octets_written) / n,
	       (double)(after.sync_ns_total - before.sync_ns_total) / 1e3 /
		       (double)(after.syncs - before.syncs),
	       (double)after.sync_ns_max / 1e6);
}

int main(int argc, char **argv)
{
	static const unsigned tasks[] = { 1, 20, TASKS_MAX };
	struct spool_options o = { .path = argc > 1 ? argv[1] : "bench-spool",
				   .arriving_memory_max = 64 << 20,
				   .waiting_memory_max = 64 << 20 };
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
	struct buf error = BUF_INIT(400);

	memset(body, 'x', sizeof(body));
	net = net_new(world_real(), 2, 2);
	net_start(net);
	if (spool_open(net, &o, NULL, NULL, &spool, NULL, &error) < 0) {
		fprintf(stderr, "%s\n", buf_cstr(&error));
		return 1;
	}
	for (int notes = 1; notes >= 0; notes--) {
		with_notes = notes;
		for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++)
			measure(tasks[i], seconds);
	}
	spool_close(spool);
	net_stop(net);
	buf_done(&error);
	return 0;
}
