/*
 * writer - the log's actor and the lines on their way to it; see writer.h.
 *
 * In: finished lines. Out: standard error, a file, or syslog. Lines of a loop's turn gather in
 * that loop's buffer and go into the queue at the end of the turn under one lock; the actor takes
 * the whole queue and writes it with one call. Threads that are no loops (committer, pool, main)
 * put their few lines into the queue directly. After a write the actor rests for 2 ms, so that
 * under load one wake and one write serve many turns; the first line after a pause goes out at
 * once. Before writer_open and after writer_close a line is written to standard error at once.
 *
 * The queue is bounded: while the target is stuck, lines beyond it are dropped and counted,
 * because the other choices - waiting, or growing - would let a full log disk stop the mail. The
 * target is written with plain system calls and not through the world: nothing that the relay
 * does depends on its log.
 */
#include "report/writer.h"

#include "base/mem.h"
#include "report/system_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define GATHER_MAX (64 * 1024)	/* octets that a loop gathers before it hands over within a turn */
#define REST (2 * MILLISECOND)	/* of the actor after a write: lines gather meanwhile */
#define QUEUE_URGENT (256 * 1024) /* octets that end its rest */

struct gather {
	pthread_mutex_t lock;	/* contended only at shutdown */
	struct buf lines;
	struct post hook;
};

static struct {
	pthread_mutex_t lock;
	struct buf queue;		/* lines for the actor; under lock */
	struct buf writing;		/* the actor's own */
	bool is_awake;			/* the actor writes or rests, then looks; under lock */
	bool is_urged;			/* its rest was ended; under lock */
	_Atomic uint64_t dropped;	/* lines */
	_Atomic bool is_open, ending, stuck;
	enum log_target target;		/* under lock from here on */
	int fd;				/* of LOG_FILE; -1 */
	struct world *world;
	struct actor *actor;
	struct gather *gathers;		/* owned; one per loop; kept for the life of the process */
	unsigned gathers_n;
} writer = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

/* ---- the target */
static uint64_t count_lines(const char *p, size_t n)
{
	uint64_t lines = 0;

	for (const char *end = p + n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

/* Standard error may be a pipe that somebody made non-blocking: then wait until it takes more. */
static void write_all(int fd, struct str s)
{
	while (s.n) {
		ssize_t r = write(fd, s.p, s.n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 1000);
			if (atomic_load(&writer.ending))
				break;
			continue;
		}
		if (r <= 0)
			break;
		s = str_from(s, (size_t)r);
	}
	atomic_fetch_add(&writer.dropped, count_lines(s.p, s.n));
}

static void write_target(struct str s)
{
	pthread_mutex_lock(&writer.lock);
	enum log_target target = writer.target;
	/* A copy, so that a reopen may close the file while this write is still stuck. */
	int fd = target == LOG_FILE ? fcntl(writer.fd, F_DUPFD_CLOEXEC, 3) : STDERR_FILENO;
	pthread_mutex_unlock(&writer.lock);

	if (target == LOG_SYSLOG) {
		system_log_write(s);
		return;
	}
	write_all(fd < 0 ? STDERR_FILENO : fd, s);
	if (target == LOG_FILE && fd >= 0)
		close(fd);
}

static int open_target(const struct config *c, int *ret_fd)
{
	*ret_fd = -1;
	if (c->log.target == LOG_SYSLOG)
		system_log_open();
	if (c->log.target != LOG_FILE)
		return 0;
	*ret_fd = open(c->log.file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	return *ret_fd < 0 ? -errno : 0;
}

/* ---- the actor */
static int64_t writer_step(void *arg)
{
	struct buf full;
	bool ending = atomic_load(&writer.ending);

	(void)arg;
	pthread_mutex_lock(&writer.lock);
	full = writer.queue;
	writer.queue = writer.writing;
	writer.writing = full;
	writer.is_awake = full.n != 0;
	writer.is_urged = false;
	atomic_store(&writer.stuck, false);
	pthread_mutex_unlock(&writer.lock);
	if (!full.n)
		return ending ? STEP_DONE : STEP_IDLE;
	write_target(buf_str(&full));
	buf_clear(&writer.writing);
	return ending ? STEP_AGAIN : (int64_t)REST;
}

static void queue_add(struct str lines)
{
	struct actor *wake = NULL;
	bool fits, urgent;

	if (!lines.n)
		return;
	pthread_mutex_lock(&writer.lock);
	fits = writer.actor && buf_add_str(&writer.queue, lines);
	writer.queue.full = false;
	if (!fits)
		atomic_store(&writer.stuck, true);
	urgent = writer.queue.n >= QUEUE_URGENT && !writer.is_urged;
	if (fits && (!writer.is_awake || urgent)) {
		writer.is_awake = true;
		writer.is_urged |= urgent;
		wake = writer.actor;
	}
	pthread_mutex_unlock(&writer.lock);
	if (wake)	/* not under the lock, which it takes first; actors are never freed */
		writer.world->actor_wake(writer.world, wake);
	if (!fits)
		atomic_fetch_add(&writer.dropped, count_lines(lines.p, lines.n));
}

/* ---- the loops */
static struct gather *own_gather(void)
{
	struct loop *l = loop_self();

	return l && loop_index(l) < writer.gathers_n ? &writer.gathers[loop_index(l)] : NULL;
}

static void hand_over(void *arg)
{
	struct gather *g = arg;

	pthread_mutex_lock(&g->lock);
	queue_add(buf_str(&g->lines));
	buf_clear(&g->lines);
	pthread_mutex_unlock(&g->lock);
}

static void hook_loop(struct post *p)
{
	loop_at_turn_end(loop_self(), hand_over, CONTAINER_OF(p, struct gather, hook));
}

static void gathers_make(struct net *n)
{
	if (writer.gathers_n < net_workers(n)) {
		mem_free(writer.gathers);
		writer.gathers_n = net_workers(n);
		writer.gathers = mem_calloc(writer.gathers_n, sizeof(*writer.gathers));
		for (unsigned i = 0; i < writer.gathers_n; i++) {
			pthread_mutex_init(&writer.gathers[i].lock, NULL);
			buf_init(&writer.gathers[i].lines, GATHER_MAX + 16 * 1024);
		}
	}
	for (unsigned i = 0; i < net_workers(n); i++)
		loop_post(net_loop(n, i), &writer.gathers[i].hook, hook_loop);
}

/* ---- for log.c */
int writer_open(struct net *n, const struct config *c)
{
	int fd, r = open_target(c, &fd);

	if (r < 0)
		return r;
	pthread_mutex_lock(&writer.lock);
	writer.target = c->log.target;
	writer.fd = fd;
	writer.world = net_world(n);
	writer.queue = writer.writing = BUF_INIT(WRITER_WAITING_MAX);
	atomic_store(&writer.ending, false);
	writer.is_awake = writer.is_urged = false;
	writer.actor = writer.world->actor_start(writer.world, "log", writer_step, NULL);
	pthread_mutex_unlock(&writer.lock);
	gathers_make(n);
	atomic_store(&writer.is_open, true);
	return 0;
}

int writer_reopen(const struct config *c)
{
	int old, fd, r = open_target(c, &fd);

	if (r < 0)
		return r;
	pthread_mutex_lock(&writer.lock);
	old = writer.fd;
	writer.fd = fd;
	writer.target = c->log.target;
	pthread_mutex_unlock(&writer.lock);
	if (old >= 0)
		close(old);
	return 0;
}

void writer_close(void)
{
	if (!atomic_exchange(&writer.is_open, false))
		return;
	for (unsigned i = 0; i < writer.gathers_n; i++)
		hand_over(&writer.gathers[i]);
	atomic_store(&writer.ending, true);
	writer.world->actor_wake(writer.world, writer.actor);
	writer.world->actor_join(writer.world, writer.actor);
	pthread_mutex_lock(&writer.lock);
	writer.actor = NULL;
	if (writer.fd >= 0)
		close(writer.fd);
	writer.fd = -1;
	buf_done(&writer.queue);
	buf_done(&writer.writing);
	pthread_mutex_unlock(&writer.lock);
	for (unsigned i = 0; i < writer.gathers_n; i++) {
		pthread_mutex_lock(&writer.gathers[i].lock);
		buf_done(&writer.gathers[i].lines);
		pthread_mutex_unlock(&writer.gathers[i].lock);
	}
}

void writer_flush(void)
{
	struct gather *g = own_gather();

	if (g && atomic_load(&writer.is_open))
		hand_over(g);
}

void writer_line(struct str line)
{
	struct gather *g;

	if (!atomic_load_explicit(&writer.is_open, memory_order_acquire)) {
		write_all(STDERR_FILENO, line);
		return;
	}
	g = own_gather();
	if (!g) {
		queue_add(line);
		return;
	}
	pthread_mutex_lock(&g->lock);
	buf_add_str(&g->lines, line);
	bool much = g->lines.n >= GATHER_MAX;
	pthread_mutex_unlock(&g->lock);
	if (much)
		hand_over(g);
}

int64_t writer_wall_ms(void)
{
	struct world *w = writer.world ? writer.world : world_real();

	return loop_self() ? loop_wall_ms() : w->wall_ms(w);
}

/* While nothing moves the count is kept: the line that told it would be dropped too. */
uint64_t writer_take_dropped(void)
{
	if (!atomic_load_explicit(&writer.dropped, memory_order_relaxed) ||
	    atomic_load_explicit(&writer.stuck, memory_order_relaxed))
		return 0;
	return atomic_exchange(&writer.dropped, 0);
}
