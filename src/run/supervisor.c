/*
 * supervisor - relevo run: the process that stays (docs/design/life.md).
 *
 * It parses the configuration, binds the listening sockets, makes the state folder, forks the
 * worker, and then only waits: for signals, for the worker's messages, for its end. It keeps what
 * a new worker needs - the last configuration that was sound, the sockets, the page with the
 * crash notes - so that a crash costs the sessions of that moment and nothing else. It stays
 * single-threaded and small, because nobody restarts it, and starts no actor, because it forks. It
 * keeps the signer as well, which has the private keys (signer_keeper.h), and sees to it that the
 * worker's loops turn (watchdog.h).
 */
#include "run/run.h"

#include "base/mem.h"
#include "control/arguments.h"
#include "run/confine.h"
#include "run/notify.h"
#include "run/signals.h"
#include "run/watchdog.h"
#include "run/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESTART_FIRST_S 1
#define RESTART_MAX_S 60
#define HEALTHY_S 300		/* a worker that lived that long starts the waits anew */
/* A shutdown that takes longer is ended by force: the spool is safe. */
#define END_MAX_S 40
#define MESSAGES_MAX (1024 * 1024)
#define MESSAGES_AT_ONCE 16	/* of the worker, before signals are looked at again */
#define HOUR (3600 * SECOND)

struct supervisor {
	const char *path;		/* of the configuration */
	struct config *config;		/* the last sound one, counted */
	/* counted; the file as it was when a reload first asked for something; NULL: not yet */
	struct config *offered;
	struct listeners listeners;
	struct crash_page *page;
	const char *user;		/* owned; NULL */
	uid_t uid;
	gid_t gid;
	int signals;
	int link;			/* our end; -1 while no worker runs */
	pid_t worker;			/* 0: none runs */
	bool was_ready;			/* any worker was, ever */
	bool stopping;
	uint64_t started, restart_at, stop_by;	/* ns */
	unsigned crashes;		/* in a row */
	struct signer_keeper signer;
	struct watchdog watchdog;	/* over the worker */
	bool is_bare;			/* --no-sandbox */
};

static uint64_t now(void)
{
	return world_real()->now(world_real());
}

__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	return false;
}

/* ---- before the first worker */
static struct config *load(const char *path)
{
	struct buf messages = BUF_INIT(MESSAGES_MAX);
	unsigned errors = 0, warnings = 0;
	struct config *c = config_load(path, true, &messages, &errors, &warnings);

	print_text(stderr, &messages);
	if (!c)
		fprintf(stderr, "relevo: the configuration has %u error%s; nothing was started.\n",
			errors,
			errors == 1 ? "" : "s");
	buf_done(&messages);
	return c;
}

/* Every connection is a descriptor; the default of 1024 would be the limit of the relay. */
static void raise_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static bool find_user(struct supervisor *s)
{
	struct passwd *p;

	if (!s->config->user.n)
		return true;
	s->user = str_dup(s->config->user);
	p = getpwnam(s->user);
	if (!p)
		return fail("relevo: there is no account \"%s\".\n", s->user);
	s->uid = p->pw_uid;
	s->gid = p->pw_gid;
	if (geteuid() == 0)
		return true;
	if (geteuid() != s->uid)
		return fail("relevo: only root can become \"%s\"; start it as root or as that "
			    "account.\n",
			    s->user);
	mem_free((char *)(uintptr_t)s->user);
	s->user = NULL;		/* we are it already */
	return true;
}

/* A new folder's name is on stable storage when the folder above it is synced (D1). */
static bool sync_above(const char *path)
{
	ssize_t slash = str_rfind(str_of(path), '/');
	char *above = slash > 0 ? str_dup(str_make(path, (size_t)slash))
				: mem_strdup(slash == 0 ? "/" : ".");
	int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = fd >= 0 && fsync(fd) == 0;

	mem_free(above);
	if (fd >= 0)
		close(fd);
	return synced;
}

static bool make_state(const struct supervisor *s)
{
	const char *path = s->config->state;
	struct stat st;

	if (mkdir(path, 0700) == 0) {
		if (s->user && chown(path, s->uid, s->gid) < 0)
			return fail("relevo: cannot give the state folder %s to its account: "
				    "%s.\n", path,
				    strerror(errno));
		return sync_above(path) ||
		       fail("relevo: cannot sync the folder above the state folder %s: %s.\n",
			    path, strerror(errno));
	}
	if (errno != EEXIST)
		return fail("relevo: cannot make the state folder %s: %s.\n", path,
			    strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return fail("relevo: %s is no folder, but \"state\" names it.\n", path);
	if (s->user && st.st_uid != s->uid)
		return fail("relevo: the state folder %s belongs to another account than %s: "
			    "chown -R %s %s\n", path, s->user, s->user, path);
	return true;
}

static bool prepare(struct supervisor *s)
{
	struct buf messages = BUF_INIT(64 * 1024);
	bool bound;

	confine_note_files();
	s->config = load(s->path);
	if (!s->config)
		return false;
	raise_descriptors();
	if (!find_user(s) || !make_state(s))
		return false;
	bound = listeners_bind(&s->listeners, s->config, true, &messages);
	print_text(stderr, &messages);
	buf_done(&messages);
	if (!bound)
		return false;
	s->page = crash_page_new();
	s->signals = signals_open();
	return s->page && s->signals >= 0 ?
		true : fail("relevo: cannot start: %s.\n", strerror(errno));
}

/* ---- the signer */

/* By the keys of the configuration that is in force. False: the one before stays; it was said. */
static bool use_keys(struct supervisor *s, const struct config *c, struct buf *messages)
{
	struct signer_start *start = mem_zalloc(sizeof(*start));
	bool done = signer_keys_collect(c, start, messages) &&
		    signer_keeper_use(&s->signer, start, messages);

	mem_free(start);
	return done;
}

static bool begin_signer(struct supervisor *s)
{
	struct buf messages = BUF_INIT(64 * 1024);
	bool done;

	s->signer.loops = worker_loops(s->config);
	done = use_keys(s, s->config, &messages);
	if (!done)
		fprintf(stderr, "relevo: %s", messages.n ? buf_cstr(&messages) : "no signer.\n");
	buf_done(&messages);
	return done;
}

/* ---- the worker */
static void become_worker(struct supervisor *s, int link, pid_t parent)
{
	struct worker_start start = {
		.config = s->config, .listeners = &s->listeners, .page = s->page, .link = link,
		.supervisor = parent, .user = s->user, .uid = s->uid, .gid = s->gid,
		.signer = &s->signer, .is_bare = s->is_bare,
	};
	int code;

	close(s->signals);
	signer_keeper_leave(&s->signer);
	code = worker_main(&start);
	for (unsigned i = s->listeners.n; i-- > 0;)
		listeners_remove(&s->listeners, i);
	config_unref(s->config);
	mem_free((char *)(uintptr_t)s->user);
	exit(code);
}

static void worker_spawn(struct supervisor *s)
{
	pid_t self = getpid();
	int fds[2];

	s->restart_at = 0;
	if (link_open(fds) < 0 || (s->worker = fork()) < 0) {
		perror("relevo: cannot start the worker");
		s->worker = 0;
		s->restart_at = now() + RESTART_MAX_S * SECOND;
		return;
	}
	if (s->worker == 0) {
		close(fds[0]);
		become_worker(s, fds[1], self);
	}
	close(fds[1]);
	s->link = fds[0];
	s->started = now();
}

static void link_end(struct supervisor *s)
{
	if (s->link >= 0)
		close(s->link);
	s->link = -1;
}

static void on_crash(struct supervisor *s, int status)
{
	struct death *d = &s->page->death;
	unsigned delay = RESTART_FIRST_S;

	if (now() - s->started > HEALTHY_S * SECOND)
		s->crashes = 0;
	for (unsigned i = 0; i < s->crashes && delay < RESTART_MAX_S; i++)
		delay *= 2;
	delay = delay < RESTART_MAX_S ? delay : RESTART_MAX_S;
	s->crashes++;
	crash_collect(s->page, &d->note);
	d->status = status;
	d->crashes = s->crashes;
	d->delay_s = delay;
	d->is_set = true;
	s->restart_at = now() + delay * SECOND;
	notify_send("STATUS=the worker died; it is started again");
	if (WIFSIGNALED(status))
		fprintf(stderr, "relevo: the worker died (%s)", strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "relevo: the worker ended (exit code %d)", WEXITSTATUS(status));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		fputs(", ended by its sandbox (SIGSYS): it made a system call that it never needs",
		      stderr);
	fprintf(stderr, "; it is started again in %u s.\n", delay);
}

/*
 * What a reload may ask for stands in the file, which is read here once more: a worker that was
 * taken over must not have us bind, or open, anything else. NULL: it has errors.
 */
static const struct config *offered(struct supervisor *s)
{
	struct buf messages = BUF_INIT(MESSAGES_MAX);
	unsigned errors = 0, warnings = 0;

	if (!s->offered)
		s->offered = config_load(s->path, true, &messages, &errors, &warnings);
	buf_done(&messages);		/* the worker has logged them */
	return s->offered;
}

static void forget_offered(struct supervisor *s)
{
	config_unref(s->offered);
	s->offered = NULL;
}

/* -1: go on; else the exit code. */
static int on_worker_end(struct supervisor *s, int status)
{
	bool could_not_start = WIFEXITED(status) && WEXITSTATUS(status) == 1;

	s->worker = 0;
	watchdog_forget(&s->watchdog);
	link_end(s);
	forget_offered(s);
	if (s->stopping || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return 0;
	if (could_not_start && !s->was_ready)
		return 1;
	on_crash(s, status);
	return -1;
}

static int reap(struct supervisor *s)
{
	int status, code = -1;
	pid_t pid;

	/* As process 1 of a container we inherit strangers' children, too. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == s->worker)
			code = on_worker_end(s, status);
		else if (signer_keeper_has(&s->signer, pid))
			signer_keeper_died(&s->signer, status);
	return code;
}

/* ---- what the worker says */
static void adopt_config(struct supervisor *s)
{
	struct buf messages = BUF_INIT(MESSAGES_MAX);
	unsigned errors = 0, warnings = 0;
	struct config *c = config_load(s->path, true, &messages, &errors, &warnings);

	buf_done(&messages);	/* the worker has logged them */
	if (!c)
		return;
	config_unref(s->config);
	s->config = c;
	listeners_drop_except(&s->listeners, c);
}

static void answer_listen(struct supervisor *s, const struct link_message *question)
{
	struct endpoint e = link_endpoint(question);
	const struct config *c = offered(s);
	int fd = c && listeners_wanted(c, &e) ? listeners_add(&s->listeners, &e) : -EACCES;

	link_send(s->link,
		  &(struct link_message){ .kind = LINK_LISTENING, .error = fd < 0 ? fd : 0 }, fd);
}

/* Only we may open keys. A worker gets channels to what came of them, never a file's descriptor. */
static void answer_keys(struct supervisor *s)
{
	struct link_message answer = { .kind = LINK_KEYED, .error = -EINVAL };
	struct buf messages = BUF_INIT(MESSAGES_MAX);
	const struct config *c = offered(s);

	if (c && use_keys(s, c, &messages))
		answer.error = signer_keeper_send(&s->signer, s->link);
	str_copy(answer.path, sizeof(answer.path), buf_str(&messages));
	link_send(s->link, &answer, -1);
	buf_done(&messages);
}

static void on_message(struct supervisor *s, const struct link_message *m)
{
	watchdog_expect(&s->watchdog, now(), m->kind == LINK_RELOADING ? RELOAD_MAX_S : HANG_S);
	switch (m->kind) {
	case LINK_READY:
		s->was_ready = true;
		notify_send("READY=1\nSTATUS=relaying");
		break;
	case LINK_RELOADING:
		forget_offered(s);
		notify_reloading();
		break;
	case LINK_RELOADED:
		forget_offered(s);
		adopt_config(s);
		notify_send("READY=1\nSTATUS=relaying");
		break;
	case LINK_RELOAD_FAILED:
		forget_offered(s);
		listeners_drop_except(&s->listeners, s->config);
		notify_send("READY=1\nSTATUS=relaying; the last reload failed");
		break;
	case LINK_STOPPING:
		watchdog_forget(&s->watchdog);
		notify_send("STOPPING=1");
		break;
	case LINK_KEYS:
		answer_keys(s);
		break;
	case LINK_LISTEN:
		answer_listen(s, m);
		break;
	default:
		break;
	}
}

static void read_link(struct supervisor *s)
{
	struct link_message m;
	int r = 1, fd = -1;

	for (int i = 0; i < MESSAGES_AT_ONCE && (r = link_receive(s->link, &m, &fd)) == 1; i++) {
		if (fd >= 0)
			close(fd);	/* a worker has none to give */
		on_message(s, &m);
	}
	if (r != 1 && r != -EAGAIN && r != -EPROTO)
		link_end(s);
}

/* ---- signals */

/*
 * The first asks the worker for a shutdown, the second ends it at once: the spool is safe at any
 * instant (D3).
 */
static int on_stop(struct supervisor *s)
{
	if (!s->worker)
		return 0;
	kill(s->worker, s->stopping ? SIGKILL : SIGTERM);
	if (!s->stopping) {
		notify_send("STOPPING=1");
		s->stop_by = now() + END_MAX_S * SECOND;
	}
	s->stopping = true;
	return -1;
}

static int read_signals(struct supervisor *s)
{
	int code = -1;

	for (int number; code < 0 && (number = signals_next(s->signals));) {
		if (number == SIGTERM || number == SIGINT)
			code = on_stop(s);
		else if (number == SIGHUP && s->worker)
			kill(s->worker, SIGHUP);
		else if (number == SIGHUP)
			adopt_config(s);
		else if (number == SIGCHLD)
			code = reap(s);
	}
	return code;
}

/* ---- waiting */
static uint64_t sooner(uint64_t a, uint64_t b)	/* 0: never */
{
	return !a || (b && b < a) ? b : a;
}

static int time_left_ms(const struct supervisor *s)
{
	uint64_t at = sooner(s->restart_at, s->stop_by), t = now();

	at = sooner(at, sooner(s->signer.restart_at, watchdog_next(&s->watchdog)));
	if (!at)
		return -1;
	at = at <= t ? 0 : at - t;
	return at ? (int)((at < HOUR ? at : HOUR) / MILLISECOND) + 1 : 0;
}

static void watch(struct supervisor *s)
{
	enum watchdog_verdict verdict = watchdog_look(&s->watchdog, now());

	if (verdict != WATCHDOG_FINE && s->worker) {
		fputs("relevo: the worker hangs; it is ended.\n", stderr);
		kill(s->worker, verdict == WATCHDOG_ABORT ? SIGABRT : SIGKILL);
	}
	if (watchdog_feeds(&s->watchdog, now()))
		notify_send("WATCHDOG=1");
}

/* What is due by the clock. */
static void on_time(struct supervisor *s)
{
	if (s->restart_at && now() >= s->restart_at)
		worker_spawn(s);
	if (s->stop_by && s->worker && now() >= s->stop_by)
		kill(s->worker, SIGKILL);
	if (signer_keeper_restart(&s->signer) && s->link >= 0)
		signer_keeper_send(&s->signer, s->link);
	watch(s);
}

static int supervise(struct supervisor *s)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = s->signals, .events = POLLIN },
			{ .fd = s->link, .events = POLLIN },	/* -1 is passed over */
		};
		int code;

		if (poll(fds, 2, time_left_ms(s)) < 0 && errno != EINTR) {
			perror("relevo: poll");
			return 1;
		}
		if (fds[1].revents)
			read_link(s);
		code = read_signals(s);
		if (code >= 0)
			return code;
		on_time(s);
	}
}

/* The debugger's way in: not in the help, since nobody else needs it. */
static void warn_bare(void)
{
	fputs("relevo: WARNING: --no-sandbox: the worker keeps all calls and files of its account. "
	      "This is for\nrelevo: WARNING: debugging alone; do not let strangers reach this "
	      "relay.\n", stderr);
}

int run_main(int argc, char **argv)
{
	static struct supervisor s = { .path = CONFIG_PATH_DEFAULT, .link = -1 };
	const struct argument_row rows[] = {
		{ "-c", &s.path, NULL }, { "--no-sandbox", NULL, &s.is_bare },
	};
	int code;

	if (!arguments_parse("run", &argc, argv, rows, 2))
		return 2;
	if (argc) {
		fprintf(stderr, "relevo run: \"%s\" is not understood; the file is named with "
				"-c.\n", argv[0]);
		return 2;
	}
	if (!prepare(&s) || !begin_signer(&s))
		return 1;
	if (s.is_bare)
		warn_bare();
	else
		sandbox_supervisor();
	s.watchdog.feed_every = notify_watchdog_us() * 1000 / 2;
	worker_spawn(&s);
	code = supervise(&s);
	link_end(&s);
	signer_keeper_done(&s.signer);
	for (unsigned i = s.listeners.n; i-- > 0;)
		listeners_remove(&s.listeners, i);
	config_unref(s.config);
	forget_offered(&s);
	mem_free((char *)(uintptr_t)s.user);
	return code;
}
