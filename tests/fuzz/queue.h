/*
 * queue - a real spool and schedule, of which nothing is delivered; in the folder of world.h.
 */
#ifndef FUZZ_QUEUE_H
#define FUZZ_QUEUE_H

#include "report/log.h"
#include "schedule/schedule.h"

#include "fuzz/world.h"

static struct net *net;
static struct spool *spool;
static struct schedule *schedule;

static bool no_slot(void *arg, struct destination *d)
{
	(void)arg, (void)d;
	return true;	/* it never asks for a job */
}

static void no_deadline(void *arg, struct job *job)
{
	(void)arg;
	schedule_settled(schedule, job);
}

static void found_none(void *arg, struct message *m)
{
	(void)arg, (void)m;
}

/* The world is bent, the folder made. */
static void queue_open(struct config *c)
{
	static struct upcalls up = { .slot_start = no_slot, .deadline = no_deadline };
	char path[64];
	struct spool_options o = { .path = path, .arriving_memory_max = 1 << 24,
				   .waiting_memory_max = 1 << 24, .segment_size = 1 << 20 };
	struct spool_recovery recovery;
	struct buf error = BUF_INIT(4096);

	snprintf(path, sizeof(path), "%s/spool", folder);
	net = net_new(world_real(), 1, 1);
	log_open(net, c);
	net_start(net);
	check(spool_open(net, &o, found_none, NULL, &spool, &recovery, &error) == 0);
	schedule = schedule_new(net, spool, &up, NULL);
}

static void delete_one(struct message *m)
{
	struct batch *b = batch_new(spool);
	unsigned busy;

	schedule_remove(schedule, m, &busy);
	for (uint32_t i = 0; i < m->recipients_n; i++) {
		struct outcome o = { .recipient = i, .state = RECIPIENT_DELETED };

		batch_outcomes(b, m, &o, 1);
	}
	if (spool_note(spool, b) < 0)
		abort();
	message_unref(m);
}

#define GATHERED 1024
static struct message *gathered[GATHERED];
static unsigned gathered_n;

static void gather(void *arg, struct message *m)
{
	(void)arg;
	if (gathered_n < GATHERED)
		gathered[gathered_n++] = message_ref(m);
}

/* As an operator would: so neither memory nor disk grows. In a task. */
static void queue_empty(void *arg)
{
	(void)arg;
	spool_each(spool, gather, NULL);
	while (gathered_n)
		delete_one(gathered[--gathered_n]);
}

#endif
