/*
 * server - the control socket: STATE/control, mode 0600, served by tasks on the first loop.
 *
 * The protocol stands in answer.h. Whoever may open the socket may do everything, so its mode is
 * the access control; it is set before the socket can be connected to. A request line is bounded
 * and comes from our own client, but is read as carefully as a stranger's.
 */
#include "control/answer.h"

#include "base/mem.h"
#include "control/on_loop.h"
#include "control/query.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define REQUEST_SECONDS 30
#define SESSIONS_MAX 32
#define BACKLOG 16

struct control {
	struct net *net;
	struct control_links links;
	struct endpoint endpoint;
	char *path;			/* owned */
	int fd;
	struct listener listener;
	struct task_group sessions;
	bool taking;			/* see act_recipients.c */
};

struct control_session {
	struct control *control;
	int fd;
	struct endpoint peer;
};

static const struct {
	const char *name;
	void (*run)(struct answer *a, struct words *w) SUSPENDS;
} commands[] = {
	{ "list", queue_list },
	{ "status", queue_status },
	{ "show", queue_show },
	{ "count", queue_count },
	{ "retry", queue_retry },
	{ "hold", queue_hold },
	{ "release", queue_release },
	{ "delete", queue_delete },
	{ "bounce", queue_bounce },
	{ "reroute", queue_reroute },
	{ "suspend", relay_suspend },
	{ "resume", relay_resume },
	{ "suspensions", relay_suspensions },
	{ "top", relay_top },
	{ "explain", relay_explain },
	{ "reload", relay_reload },
	{ "pin", relay_pin },
};

#define COMMANDS_N (sizeof(commands) / sizeof(commands[0]))

static void format_parse(struct answer *a, struct str word)
{
	a->json = str_starts(word, STR("json"));
	a->dry = word.n > 4 && str_eq(str_from(word, 4), STR("-dry"));
}

/* line is ours: the words are decoded where they stand. False: that cannot be. */
static bool words_read(struct words *w, struct str line)
{
	struct str word;

	w->at = mem_calloc(QUERY_WORDS_MAX, sizeof(*w->at));
	while ((word = str_word(&line)).n) {
		char *p = (char *)word.p;

		if (w->n == QUERY_WORDS_MAX || !query_word_decode(p, word.n, &w->at[w->n]))
			return false;
		w->n++;
	}
	return true;
}

static void request_run(struct answer *a, struct str line) SUSPENDS
{
	struct str name = str_word(&line), format = str_word(&line);
	struct words w = { 0 };
	size_t i = 0;

	format_parse(a, format);
	while (i < COMMANDS_N && !str_eq(name, str_of(commands[i].name)))
		i++;
	if (i == COMMANDS_N) {
		buf_add_lit(&a->line, "the relay does not know this request: is the command of "
				      "another version?");
		answer_error(a);
	} else if (!words_read(&w, line)) {
		buf_add_lit(&a->line, "the words of the request are malformed, or too many");
		answer_error(a);
		a->code = 2;
	} else {
		commands[i].run(a, &w);
	}
	mem_free(w.at);
}

static void session_task(void *arg)
{
	struct control_session *session = arg;
	struct answer a = { .links = &session->control->links, .line = BUF_INIT(ANSWER_LINE_MAX),
			    .taking = &session->control->taking };
	struct str line;
	char last[16];
	int n;

	a.stream = stream_new(session->fd, &session->peer);
	if (stream_line(a.stream, CONTROL_LINE_MAX, in_seconds(REQUEST_SECONDS), &line) == 1) {
		char *copy = mem_dup(line.p, line.n);	/* the line's bytes do not outlive a wait */

		request_run(&a, str_make(copy, line.n));
		mem_free(copy);
		n = snprintf(last, sizeof(last), "=%d\r\n", a.code);
		if (!a.dead &&
		    stream_write(a.stream, last, (size_t)n, in_seconds(REQUEST_SECONDS)) == 0 &&
		    stream_flush(a.stream, in_seconds(REQUEST_SECONDS)) == 0)
			stream_linger(a.stream, in_seconds(1));
	}
	stream_free(a.stream);
	buf_done(&a.line);
	mem_free(session);
}

static void on_accepted(struct listener *l, int fd, const struct endpoint *peer)
{
	struct control *c = CONTAINER_OF(l, struct control, listener);
	struct control_session *session = mem_zalloc(sizeof(*session));

	*session = (struct control_session){ .control = c, .fd = fd, .peer = *peer };
	if (c->sessions.n < SESSIONS_MAX &&
	    task_start(&c->sessions, session_task, session, "control"))
		return;
	world_self()->sock_close(world_self(), fd);
	mem_free(session);
}

/* ---- start and stop, from the main thread */
static int socket_make(struct control *c, const char *state)
{
	struct world *w = net_world(c->net);
	struct buf path = BUF_INIT(ENDPOINT_PATH_MAX + 1);
	mode_t mask;

	if (!buf_printf(&path, "%s/control", state))
		return -ENAMETOOLONG;
	c->path = str_dup(buf_str(&path));
	buf_done(&path);
	c->endpoint = (struct endpoint){ .path = c->path };
	mask = umask(0177);
	c->fd = w->sock_listen(w, &c->endpoint, BACKLOG);
	umask(mask);
	return c->fd < 0 ? c->fd : 0;
}

struct begin {
	struct control *control;
	int result;
};

static void begin_task(void *arg)
{
	struct begin *b = arg;

	/* an operator comes in during a flood, too */
	b->control->listener.may_use_reserve = true;
	b->result = listener_start(&b->control->listener, b->control->fd, on_accepted);
}

static void control_free(struct control *c)
{
	struct world *w = net_world(c->net);

	if (c->fd >= 0)
		w->sock_close(w, c->fd);
	mem_free(c->path);
	mem_free(c);
}

struct control *control_start(struct net *n, const char *state, const struct control_links *l,
			      int *ret_error)
{
	struct control *c = mem_zalloc(sizeof(*c));
	struct begin b = { .control = c };

	c->net = n;
	c->links = *l;
	c->fd = -1;
	task_group_init(&c->sessions);
	b.result = socket_make(c, state);
	if (b.result == 0)
		on_loop(n, 0, begin_task, &b);
	if (b.result == 0)
		return c;
	*ret_error = b.result;
	control_free(c);
	return NULL;
}

static void end_task(void *arg)
{
	struct control *c = arg;

	listener_stop(&c->listener);
	task_group_cancel(&c->sessions);
	task_group_wait(&c->sessions, NEVER);
}

void control_stop(struct control *c)
{
	struct world *w = net_world(c->net);

	on_loop(c->net, 0, end_task, c);
	w->disk_unlink(w, AT_FDCWD, c->path, false);
	control_free(c);
}
