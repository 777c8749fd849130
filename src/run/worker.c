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
#include "deliver/callout.h"
#include "policy/popped.h"
#include "policy/recipients.h"
#include "policy/strangers.h"
#include "pop/pop.h"
#include "receive/logins.h"
#include "report/log.h"
#include "run/confine.h"
#include "run/signals.h"
#include "run/signer_client.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define POOL_THREADS 8
#define RESERVE_MAX 4096	/* descriptors */
#define RECIPIENT_SHARE 4096	/* octets of the machine for one; it takes 2.5 KiB at worst */
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
	if (!s->is_bare)
		sandbox_drop_bounding();
	if (s->user) {
		if (initgroups(s->user, s->gid) < 0 || setgid(s->gid) < 0 || setuid(s->uid) < 0)
			return complain("cannot become the user ", s->user, errno);
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == s->supervisor ? 0 : -1;
}

/* Once it is somebody else, and before there is a second thread. */
static int confine(const struct worker_start *s, struct buf *report)
{
	if (s->is_bare) {
		buf_add_lit(report, "none (--no-sandbox)");
		return 0;
	}
	if (confine_worker(s->config, report) == 0)
		return 0;
	fprintf(stderr, "relevo: the worker %s.\n", buf_cstr(report));
	return -1;
}

static unsigned cores(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : CPU_COUNT(&set);

	return n > 0 ? (unsigned)n : 1;
}

unsigned worker_loops(const struct config *c)
{
	unsigned n = c->workers ? c->workers : cores();

	return n > CRASH_LOOPS_MAX ? CRASH_LOOPS_MAX : n;
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

static uint64_t recipients_default(void)
{
	return sandbox_machine_memory() / RECIPIENT_SHARE;
}

void worker_spool_options(const struct worker *w, const struct config *c, struct spool_options *ret)
{
	*ret = (struct spool_options){
		.path = w->spool_path,
		.size_max = c->queue.size_max,
		.free_min = c->queue.free_min,
		.arriving_memory_max = c->message.memory,
		.waiting_memory_max = c->queue.memory,
		.recipients_max = c->queue.recipients_max ? c->queue.recipients_max
							  : recipients_default(),
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

/*
 * An eighth of the descriptors is not for clients: what delivery, the spool, the log and the
 * control socket need to go on, and to make room, when a flood took all others.
 */
static void reserve_descriptors(struct net *n)
{
	struct rlimit r;
	rlim_t reserve;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur > INT_MAX)
		return;
	reserve = r.rlim_cur / 8 < RESERVE_MAX ? r.rlim_cur / 8 : RESERVE_MAX;
	net_reserve(n, (int)(r.rlim_cur - reserve));
}

static int net_begin(struct worker *w, const struct config *c)
{
	unsigned n = worker_loops(c);
	int r;

	w->net = net_new(world_real(), n, POOL_THREADS);
	reserve_descriptors(w->net);
	for (unsigned i = 0; i < n; i++)
		loop_set_note_page(net_loop(w->net, i), &w->start->page->notes[i]);
	net_start(w->net);
	w->signer = signer_client_new(w->net);
	config_set_signer(w->signer);
	worker_take_channels(w);
	w->heartbeat = heartbeat_new(w->net);
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

void worker_warn(struct str lines)
{
	while (lines.n) {
		ssize_t end = str_find(lines, '\n');
		struct str line = str_sub(lines, 0, end < 0 ? lines.n : (size_t)end);

		lines = str_from(lines, line.n + 1);
		if (!line.n)
			continue;
		log_begin(LOG_WARNING);
		log_str("text", line);
		log_end();
	}
}

/* Whom sessions ask beside the rules. */
static void helpers_make(struct worker *w)
{
	struct config *c = w->start->config;
	struct buf warnings = BUF_INIT(16384);
	struct receive_helpers help;

	w->strangers = strangers_new(w->net, deliver_dns(w->deliver), c->state);
	w->popped = popped_new(POPPED_MAX);
	w->logins = logins_new(net_world(w->net), c, &warnings);
	w->recipients = recipients_new(&(struct recipients_ask){ callout_ask, w->deliver },
				       RECIPIENTS_MAX);
	recipients_keep(w->recipients, net_world(w->net), c->state);
	bans_keep(logins_bans(w->logins), net_world(w->net), c->state);
	w->pop = pop_new(&(struct pop_links){
		.net = w->net, .dns = deliver_dns(w->deliver), .popped = w->popped,
		.bans = logins_bans(w->logins), .strangers = w->strangers,
		.verify = pop_verify_logins, .find = pop_find_user, .admit = pop_admit_user,
		.arg = w->logins,
	});
	confine_check_keys(c, &warnings);
	worker_warn(buf_str(&warnings));
	buf_done(&warnings);
	help = (struct receive_helpers){ w->strangers, w->logins, w->popped, w->recipients,
					 schedule_quota(w->schedule) };
	receive_help(w->receive, &help);
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
	helpers_make(w);
}

static int listen_on(struct worker *w, const struct endpoint *e, bool is_pop)
{
	char text[ENDPOINT_TEXT_MAX];
	int fd = listeners_find(w->start->listeners, e), r = -EBADF;

	if (fd >= 0)
		r = is_pop ? pop_listen(w->pop, fd, e) : receive_listen(w->receive, fd, e);
	if (r < 0)
		return complain("cannot accept connections on ", endpoint_text(text, e), r);
	log_begin(LOG_LISTENING);
	log_endpoint("address", e);
	log_end();
	return 0;
}

static int listen_all(struct worker *w, const struct config *c)
{
	for (unsigned i = 0; i < c->listens_n; i++)
		if (listen_on(w, &c->listens[i].endpoint, false) < 0)
			return -1;
	for (unsigned i = 0; i < c->pops_n; i++)
		if (listen_on(w, &c->pops[i].endpoint, true) < 0)
			return -1;
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

static int worker_begin(struct worker *w, struct buf *sandbox)
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
	log_begin(LOG_SANDBOX);
	log_str("text", buf_str(sandbox));
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

/* Tell the supervisor, when it is time, that all loops turn. Milliseconds until the next time. */
static int beat(struct worker *w)
{
	uint64_t now = world_real()->now(world_real());

	if (now < w->next_beat)
		return (int)((w->next_beat - now) / MILLISECOND) + 1;
	if (heartbeat_turn(w->heartbeat))
		tell(w, LINK_ALIVE);
	w->next_beat = now + HEARTBEAT_MS * MILLISECOND;
	return HEARTBEAT_MS;
}

/* Until a shutdown is wanted. SIGINT is the supervisor's: the terminal sends it to both of us. */
static void worker_wait(struct worker *w)
{
	struct pollfd fds[] = {
		{ .fd = w->signals, .events = POLLIN },
		{ .fd = w->wake, .events = POLLIN },
		{ .fd = w->start->link, .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, 3, beat(w)) < 0 && errno != EINTR)
			return;
		for (int s; (s = signals_next(w->signals));) {
			if (s == SIGTERM)
				return;
			if (s == SIGHUP)
				signal_reload(w);
		}
		if (fds[1].revents)
			answer_reload(w);
		if (fds[2].revents && !worker_read_link(w))
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
	pop_stop(w->pop, SECOND);
	strangers_stop(w->strangers);
	recipients_stop(w->recipients);
	bans_stop(logins_bans(w->logins));
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
	pop_free(w->pop);
	recipients_free(w->recipients);
	logins_free(w->logins);
	strangers_free(w->strangers);
	popped_free(w->popped);
	deliver_free(w->deliver);
	schedule_free(w->schedule);
	bounce_free(w->bounce);
	config_set_signer(NULL);
	signer_client_free(w->signer);
	heartbeat_free(w->heartbeat);
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
	struct buf sandbox = BUF_INIT(4096);
	int r;

	w.start = s;
	w.config_path = str_dup(s->config->path);
	w.spool_path = path_below(s->config->state, "spool");
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.changed, NULL);
	w.signals = signals_open();
	w.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (become(s) < 0 || w.signals < 0 || w.wake < 0 || confine(s, &sandbox) < 0) {
		buf_done(&sandbox);
		return 1;
	}
	r = worker_begin(&w, &sandbox);
	buf_done(&sandbox);
	if (r < 0) {
		log_close();
		_exit(1);	/* loops may run: nothing is taken down in good order */
	}
	tell(&w, LINK_READY);
	worker_wait(&w);
	worker_end(&w);
	worker_free(&w);
	return 0;
}
