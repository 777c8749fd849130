/*
 * worker - putting the layers together, bottom up, and taking them down again; see worker.h.
 *
 * Exit codes: 0 after a shutdown, 1 if it could not start (a sentence was printed). Anything else
 * is a crash.
 */
#include "run/worker.h"

#include "base/mem.h"
#include "control/on_loop.h"
#include "dns/unbound.h"
#include "report/log.h"
#include "run/signals.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define POOL_THREADS 8
#define LOCK_WAIT_S 5		/* for a predecessor that is still dying */
#define GRACE_S 10		/* for sessions at a shutdown, each way */

static int complain(const char *what, const char *name, int error)
{
	fprintf(stderr, "relevo: %s%s: %s.\n", what, name, strerror(error < 0 ? -error : error));
	return -1;
}

/*
 * The order matters: the death signal is forgotten by the kernel when the user changes, and the
 * supervisor may have died before it was asked for.
 */
static int become(const struct worker_start *s)
{
	if (s->user) {
		if (initgroups(s->user, s->gid) < 0 || setgid(s->gid) < 0 || setuid(s->uid) < 0)
			return complain("cannot become the user ", s->user, errno);
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == s->supervisor ? 0 : -1;
}

static unsigned cores(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : CPU_COUNT(&set);

	return n > 0 ? (unsigned)n : 1;
}

/* ---- the spool */
static void on_spool_event(void *arg, enum spool_event kind, const char *text)
{
	static const enum log_event events[] = {
		[SPOOL_EVENT_RECOVERED] = LOG_RECOVERED, [SPOOL_EVENT_DAMAGE] = LOG_SPOOL_DAMAGE,
		[SPOOL_EVENT_POISONED] = LOG_SPOOL_POISONED, [SPOOL_EVENT_FULL] = LOG_SPOOL_FULL,
		[SPOOL_EVENT_ROOM] = LOG_SPOOL_ROOM, [SPOOL_EVENT_FAILED] = LOG_SPOOL_FAILED,
	};

	(void)arg;
	log_begin(events[kind]);
	log_cstr("text", text);
	log_end();
}

void worker_spool_options(const struct worker *w, const struct config *c, struct spool_options *ret)
{
	*ret = (struct spool_options){
		.path = w->spool_path,
		.size_max = c->queue.size_max,
		.free_min = c->queue.free_min,
		.arriving_memory_max = c->message.memory,
		.waiting_memory_max = c->queue.memory,
		.lock_wait_ns = LOCK_WAIT_S * SECOND,
		.event = on_spool_event,
	};
}

static int spool_start(struct worker *w, const struct config *c, struct recovered *found)
{
	struct spool_options o;
	struct spool_recovery recovery;
	struct buf error = BUF_INIT(2048);
	int r;

	worker_spool_options(w, c, &o);
	r = spool_open(w->net, &o, recovered_take, found, &w->spool, &recovery, &error);
	if (r == -EWOULDBLOCK)
		fprintf(stderr, "relevo: another relay works on the spool in %s.\n", w->spool_path);
	else if (r < 0)
		fprintf(stderr, "relevo: cannot open the spool in %s: %s\n", w->spool_path,
			error.n ? buf_cstr(&error) : strerror(-r));
	buf_done(&error);
	return r;
}

/* ---- starting */
static void log_death(const struct death *d)
{
	struct message_id id;

	if (!d->is_set)
		return;
	memcpy(&id, d->note.id, sizeof(id));
	log_begin(LOG_CRASHED);
	if (WIFSIGNALED(d->status))
		log_cstr("signal", strsignal(WTERMSIG(d->status)));
	else
		log_i64("status", WEXITSTATUS(d->status));
	log_u64("crashes", d->crashes);
	log_u64("delay", d->delay_s);
	log_id("id", &id);
	log_cstr("stage", d->note.stage);
	log_cstr("peer", d->note.peer);
	log_end();
}

static int net_begin(struct worker *w, const struct config *c)
{
	unsigned n = c->workers ? c->workers : cores();
	int r;

	if (n > CRASH_LOOPS_MAX)
		n = CRASH_LOOPS_MAX;
	w->net = net_new(world_real(), n, POOL_THREADS);
	for (unsigned i = 0; i < n; i++)
		loop_set_note_page(net_loop(w->net, i), &w->start->page->notes[i]);
	net_start(w->net);
	r = log_open(w->net, c);
	if (r < 0)
		return complain("cannot open the log file ", c->log.file, r);
	log_death(&w->start->page->death);
	w->start->page->death.is_set = false;
	if (geteuid() == 0) {
		log_begin(LOG_WARNING);
		log_cstr("text", "the relay runs as root: name an account with \"user\"");
		log_end();
	}
	return 0;
}

int worker_resolver(const struct config *c, struct buf *error)
{
	static const enum dns_mode modes[] = {
		[RESOLVER_SYSTEM] = DNS_MODE_SYSTEM, [RESOLVER_SERVERS] = DNS_MODE_SERVERS,
		[RESOLVER_RECURSIVE] = DNS_MODE_RECURSIVE,
	};
	const struct config_resolver *r = &c->resolver;
	const struct dns_options o = {
		.mode = modes[r->mode],
		.servers = r->servers,
		.servers_n = r->servers_n,
		.dnssec = r->dnssec,
		.trust_anchor = r->trust_anchor,
		.root_hints = r->root_hints,
		.hosts = r->hosts,
		.timeout_ns = r->timeout_ns,
		.cache_max = r->cache_max,
	};

	return unbound_configure(world_real(), &o, error);
}

static int resolver_begin(const struct config *c)
{
	struct buf error = BUF_INIT(2048);
	int r = worker_resolver(c, &error);

	if (r < 0) {
		fprintf(stderr, "relevo: cannot set up the resolver: %s.\n", buf_cstr(&error));
	} else if (error.n) {
		log_begin(LOG_WARNING);
		log_str("text", buf_str(&error));
		log_end();
	}
	buf_done(&error);
	return r;
}

static void layers_make(struct worker *w)
{
	struct upcalls up = { .slot_start = deliver_slot_start, .deadline = bounce_deadline };

	up.bounce = w->bounce = bounce_new(w->net, w->spool);
	up.deliver = w->deliver = deliver_new(w->net, w->spool, w->bounce);
	w->schedule = schedule_new(w->net, w->spool, &up, w->start->config->state);
	bounce_set_schedule(w->bounce, w->schedule);
	deliver_set_schedule(w->deliver, w->schedule);
	w->receive = receive_new(w->net, w->spool, w->schedule);
}

static int listen_all(struct worker *w, const struct config *c)
{
	char text[ENDPOINT_TEXT_MAX];

	for (unsigned i = 0; i < c->listens_n; i++) {
		const struct endpoint *e = &c->listens[i].endpoint;
		int fd = listeners_find(w->start->listeners, e);
		int r = fd < 0 ? -EBADF : receive_listen(w->receive, fd, e);

		if (r < 0)
			return complain("cannot accept connections on ", endpoint_text(text, e), r);
		log_begin(LOG_LISTENING);
		log_endpoint("address", e);
		log_end();
	}
	return 0;
}

static int control_begin(struct worker *w, const struct config *c)
{
	struct control_links links = {
		.spool = w->spool, .schedule = w->schedule, .bounce = w->bounce, .deliver =
			w->deliver,
		.receive = w->receive, .reload = worker_reload_asked, .arg = w,
	};
	int error = 0;

	w->control = control_start(w->net, c->state, &links, &error);
	return w->control ? 0 : complain("cannot make the control socket in ", c->state, error);
}

static int worker_begin(struct worker *w)
{
	struct config *c = w->start->config;
	struct recovered found = { 0 };

	config_set_current(config_ref(c));
	if (net_begin(w, c) < 0 || resolver_begin(c) < 0 || spool_start(w, c, &found) < 0)
		return -1;
	layers_make(w);
	recovered_schedule(&found, w);
	damaged_begin(w);
	/* In this order: a relay that greets can be asked. */
	if (control_begin(w, c) < 0 || listen_all(w, c) < 0)
		return -1;
	log_begin(LOG_STARTED);
	log_u64("pid", (uint64_t)getpid());
	log_u64("workers", net_workers(w->net));
	log_str("config", c->path);
	log_end();
	return 0;
}

/* ---- running */
static void tell(const struct worker *w, enum link_kind kind)
{
	link_send(w->start->link, &(struct link_message){ .kind = kind }, -1);
}

static void answer_reload(struct worker *w)
{
	uint64_t n;

	(void)!read(w->wake, &n, sizeof(n));
	pthread_mutex_lock(&w->lock);
	if (w->asked && !w->answered) {
		w->result = worker_reload(w, w->messages);
		w->answered = true;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
}

static void signal_reload(struct worker *w)
{
	struct buf messages = BUF_INIT(256 * 1024);

	worker_reload(w, &messages);
	buf_done(&messages);
}

/* Until a shutdown is wanted. SIGINT is the supervisor's: the terminal sends it to both of us. */
static void worker_wait(struct worker *w)
{
	struct pollfd fds[] = {
		{ .fd = w->signals, .events = POLLIN },
		{ .fd = w->wake, .events = POLLIN },
		{ .fd = w->start->link, .events = 0 },
	};

	for (;;) {
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return;
		for (int s; (s = signals_next(w->signals));) {
			if (s == SIGTERM)
				return;
			if (s == SIGHUP)
				signal_reload(w);
		}
		if (fds[1].revents)
			answer_reload(w);
		if (fds[2].revents & (POLLHUP | POLLERR))
			return;
	}
}

/* ---- ending: from the doors inwards, so that each layer still has what it stands on */
static void refuse_reloads(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->ending = true;
	if (w->asked && !w->answered) {
		w->result = -ESHUTDOWN;
		w->answered = true;
	}
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void worker_end(struct worker *w)
{
	tell(w, LINK_STOPPING);
	log_begin(LOG_STOPPING);
	log_u64("sessions", receive_sessions(w->receive));
	log_end();
	refuse_reloads(w);
	receive_stop(w->receive, GRACE_S * SECOND);
	deliver_stop(w->deliver, GRACE_S * SECOND);
	damaged_end(w);
	bounce_stop(w->bounce);
	control_stop(w->control);
	log_begin(LOG_STOPPED);
	log_end();
}

/*
 * The spool is closed while the loops still run, since the committer posts to them; the memory of
 * the other layers goes after the loops have ended.
 */
static void worker_free(struct worker *w)
{
	spool_close(w->spool);
	unbound_stop(world_real());
	net_stop(w->net);
	log_close();
	receive_free(w->receive);
	deliver_free(w->deliver);
	schedule_free(w->schedule);
	bounce_free(w->bounce);
	config_set_current(NULL);
	close(w->wake);
	close(w->signals);
	mem_free(w->spool_path);
	mem_free(w->config_path);
}

static char *path_below(const char *folder, const char *name)
{
	struct buf b = BUF_INIT(4096 + 16);
	char *path;

	buf_printf(&b, "%s/%s", folder, name);
	path = str_dup(buf_str(&b));
	buf_done(&b);
	return path;
}

int worker_main(const struct worker_start *s)
{
	static struct worker w;	/* one per process; threads keep pointers to it */

	w.start = s;
	w.config_path = str_dup(s->config->path);
	w.spool_path = path_below(s->config->state, "spool");
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.changed, NULL);
	w.signals = signals_open();
	w.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (become(s) < 0 || w.signals < 0 || w.wake < 0)
		return 1;
	if (worker_begin(&w) < 0) {
		log_close();
		_exit(1);	/* loops may run: nothing is taken down in good order */
	}
	tell(&w, LINK_READY);
	worker_wait(&w);
	worker_end(&w);
	worker_free(&w);
	return 0;
}
