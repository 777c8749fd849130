/*
 * sink - the service around the sink's sessions: what it offers, where it listens, how it ends; see
 * sink.h.
 */
#include "tool/sink.h"

#include "base/mem.h"

#include <errno.h>

#define BACKLOG 8192		/* bounded by net.core.somaxconn */

static const struct {
	const char *name;
	unsigned offer;
	const char *line;	/* of the reply to EHLO */
} offer_table[] = {
	{ "pipelining", OFFER_PIPELINING, "PIPELINING" },
	{ "size", OFFER_SIZE, "SIZE 1073741824" },
	{ "8bitmime", OFFER_8BITMIME, "8BITMIME" },
	{ "chunking", OFFER_CHUNKING, "CHUNKING" },
	{ "binarymime", OFFER_BINARYMIME, "BINARYMIME" },
	{ "smtputf8", OFFER_SMTPUTF8, "SMTPUTF8" },
	{ "dsn", OFFER_DSN, "DSN" },
	{ "enhanced", OFFER_ENHANCED, "ENHANCEDSTATUSCODES" },
	{ "ehlo", OFFER_EHLO, NULL },
};
#define OFFERS_N (sizeof(offer_table) / sizeof(offer_table[0]))

unsigned sink_offers_all(void)
{
	unsigned all = 0;

	for (size_t i = 0; i < OFFERS_N; i++)
		all |= offer_table[i].offer;
	return all;
}

bool sink_offer_find(struct str name, unsigned *ret, struct buf *error)
{
	for (size_t i = 0; i < OFFERS_N; i++) {
		if (!str_eq_nocase(name, str_of(offer_table[i].name)))
			continue;
		*ret = offer_table[i].offer;
		return true;
	}
	buf_printf(error, "\"%.*s\" is no extension; expected", STR_ARG(name));
	for (size_t i = 0; i < OFFERS_N; i++)
		buf_printf(error, "%s %s", i ? "," : "", offer_table[i].name);
	return false;
}

static void make_hello(struct sink *s)
{
	size_t last = OFFERS_N;

	for (size_t i = 0; i < OFFERS_N; i++)
		if ((s->settings.offers & offer_table[i].offer) && offer_table[i].line)
			last = i;
	buf_add_str(&s->hello, last == OFFERS_N ? STR("250 sink\r\n") : STR("250-sink\r\n"));
	for (size_t i = 0; i < OFFERS_N; i++)
		if ((s->settings.offers & offer_table[i].offer) && offer_table[i].line)
			buf_printf(&s->hello, "250%c%s\r\n", i == last ? ' ' : '-',
				   offer_table[i].line);
}

struct sink *sink_new(struct stage *stage, const struct sink_settings *settings,
		      unsigned worker_first, unsigned workers)
{
	struct sink *s = mem_zalloc(sizeof(*s));

	s->stage = stage;
	s->settings = *settings;
	s->hello = BUF_INIT(4096);
	s->worker_first = worker_first;
	s->workers_n = workers;
	s->workers = mem_calloc(workers, sizeof(*s->workers));
	for (unsigned i = 0; i < workers; i++) {
		struct sink_worker *w = &s->workers[i];

		w->sink = s;
		w->index = i;
		w->random = (stage_now() | 1) + i * 2;
		w->scratch = mem_alloc(STREAM_BUFFER + 2);
		task_group_init(&w->sessions);
	}
	make_hello(s);
	return s;
}

static void on_accepted(struct listener *l, int fd, const struct endpoint *peer)
{
	sink_session_start(CONTAINER_OF(l, struct sink_door, listener)->worker, fd, peer);
}

struct opening {
	struct sink_worker *worker;
	int fd;
	unsigned door;
	int result;
};

static void open_door(void *arg)
{
	struct opening *o = arg;
	struct sink_door *door = &o->worker->doors[o->door];

	door->worker = o->worker;
	o->result = listener_start(&door->listener, o->fd, on_accepted);
}

int sink_listen(struct sink *s, const struct endpoint *e)
{
	struct world *w = world_real();
	int fd;

	if (s->fds_n == SINK_LISTENS_MAX)
		return -ENOBUFS;
	fd = w->sock_listen(w, e, BACKLOG);
	if (fd < 0)
		return fd;
	for (unsigned i = 0; i < s->workers_n; i++) {
		struct opening o = { .worker = &s->workers[i], .fd = fd, .door = s->fds_n };

		stage_call(s->stage, s->worker_first + i, open_door, &o);
		if (o.result < 0)
			return o.result;
	}
	s->fds[s->fds_n++] = fd;
	return 0;
}

int sink_local(const struct sink *s, struct endpoint *ret)
{
	struct world *w = world_real();

	return w->sock_local(w, s->fds[0], ret);
}

static void stop_worker(void *arg) SUSPENDS
{
	struct sink_worker *w = arg;

	for (unsigned i = 0; i < w->sink->fds_n; i++)
		listener_stop(&w->doors[i].listener);
	task_group_cancel(&w->sessions);
	task_group_wait(&w->sessions, NEVER);
}

void sink_stop(struct sink *s)
{
	struct world *w = world_real();

	for (unsigned i = 0; i < s->workers_n; i++)
		stage_run_task(s->stage, s->worker_first + i, stop_worker, &s->workers[i],
			       "sink-stop");
	for (unsigned i = 0; i < s->fds_n; i++)
		w->sock_close(w, s->fds[i]);
}

void sink_free(struct sink *s)
{
	for (unsigned i = 0; i < s->workers_n; i++)
		mem_free(s->workers[i].scratch);
	mem_free(s->workers);
	buf_done(&s->hello);
	mem_free(s);
}

