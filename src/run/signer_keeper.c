/*
 * signer_keeper - starting and keeping the signer; see signer_keeper.h.
 *
 * The account: "relevo-keys" if there is one (sysusers.d makes it), so that the signer's user is
 * neither root nor the worker's. Without it a signer that was started by root stays root, with
 * no capability at all and nothing but open descriptors: the worker's user can neither trace nor
 * signal it. A relay that was not started by root has one user for all; security.md says what
 * keeps them apart then.
 */
#include "run/signer_keeper.h"

#include "base/mem.h"
#include "net/loop.h"
#include "run/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ACCOUNT "relevo-keys"
#define READY_WAIT_MS 5000
#define HEALTHY_NS (60 * SECOND)
#define RESTART_MAX_S 30

static uint64_t now(void)
{
	return world_real()->now(world_real());
}

/*
 * Not by config_open_file: what is opened by that is what the worker may open, too. 0 or more, or
 * -errno.
 */
static int open_key(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

static struct str copy(struct str s)
{
	return s.n ? str_make(mem_dup(s.p, s.n), s.n) : STR_NONE;
}

bool signer_keys_collect(const struct config *c, struct signer_start *ret, struct buf *messages)
{
	bool all = true;

	ret->n = 0;
	for (unsigned i = 0; c && i < c->tls.keys_n && ret->n < SIGNER_KEYS_MAX; i++) {
		const char *path = c->tls.keys[i].path;
		int fd = open_key(path);

		if (fd < 0) {
			buf_printf(messages, "cannot open the key %s: %s\n", path,
				   fd == -EINVAL ? "not a regular file" : strerror(-fd));
			all = false;
			continue;
		}
		ret->fds[ret->n] = fd;
		ret->publics[ret->n] = copy(c->tls.keys[i].public);
		ret->names[ret->n++] = mem_strdup(path);
	}
	if (!all)
		signer_start_done(ret);
	return all;
}

/* ---- starting */
static void close_all(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

static bool channels_open(int *ours, int *theirs, unsigned n)
{
	int pair[2];

	for (unsigned i = 0; i < n; i++) {
		if (link_open(pair) < 0) {
			close_all(ours, i);
			close_all(theirs, i);
			return false;
		}
		ours[i] = pair[0];
		theirs[i] = pair[1];
	}
	return true;
}

static void child(const struct signer_keeper *k, const struct signer_start *start,
		  const int *channels, int status, pid_t parent)
{
	struct signer_process p = { .start = start, .channels = channels, .channels_n = k->loops,
		.status = status, .parent = parent };
	const struct passwd *account = geteuid() == 0 ? getpwnam(ACCOUNT) : NULL;

	if (account) {
		p.uid = account->pw_uid;
		p.gid = account->pw_gid;
	}
	signer_main(&p);
}

/* What it says first: "+", or why not. */
static bool is_ready(int status, struct buf *messages)
{
	struct pollfd p = { .fd = status, .events = POLLIN };
	char text[512];
	ssize_t n = 0;
	int r;

	do
		r = poll(&p, 1, READY_WAIT_MS);
	while (r < 0 && errno == EINTR);
	if (r > 0)
		n = read(status, text, sizeof(text));
	if (n == 1 && text[0] == '+')
		return true;
	buf_printf(messages, "the signer could not start: %.*s\n",
		   n > 0 ? (int)n : 12, n > 0 ? text : "it gave up.");
	return false;
}

/* Its pid, and the worker's ends in ret_channels; or 0. */
static pid_t spawn(const struct signer_keeper *k, const struct signer_start *start,
		   int *ret_channels, struct buf *messages)
{
	static int theirs[SIGNER_CHANNELS_MAX];	/* not on the stack: 1 KiB */
	pid_t self = getpid(), pid;
	int status[2];
	bool ready;

	if (pipe2(status, O_CLOEXEC) < 0)
		return 0;
	if (!channels_open(ret_channels, theirs, k->loops)) {
		close_all(status, 2);
		return 0;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child(k, start, theirs, status[1], self);
	close_all(theirs, k->loops);
	close(status[1]);
	ready = pid > 0 && is_ready(status[0], messages);
	close(status[0]);
	if (ready)
		return pid;
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	close_all(ret_channels, k->loops);
	return 0;
}

/*
 * The one before: it would end by itself when the worker has closed its channels, too, but not if
 * it hangs. What it was asked is asked of the next one.
 */
static void forget(struct signer_keeper *k)
{
	if (k->pid)
		kill(k->pid, SIGKILL);
	if (k->start.n)
		close_all(k->channels, k->loops);
	signer_start_done(&k->start);
	k->pid = 0;
	k->restart_at = 0;
}

bool signer_keeper_use(struct signer_keeper *k, struct signer_start *start, struct buf *messages)
{
	int *channels = mem_calloc(SIGNER_CHANNELS_MAX, sizeof(*channels));
	pid_t pid = 0;

	if (start->n) {
		pid = spawn(k, start, channels, messages);
		if (!pid) {
			signer_start_done(start);
			mem_free(channels);
			return false;
		}
	}
	forget(k);
	k->start = *start;
	start->n = 0;		/* they are ours now */
	memcpy(k->channels, channels, sizeof(k->channels));
	mem_free(channels);
	k->pid = pid;
	k->started = now();
	k->deaths = 0;
	return true;
}

/* ---- keeping */
bool signer_keeper_has(const struct signer_keeper *k, pid_t pid)
{
	return k->pid && pid == k->pid;
}

/* At once the first time; then after 1 s, 2 s ... */
static void plan_restart(struct signer_keeper *k)
{
	uint64_t wait_s = 0;

	if (k->deaths)
		wait_s = k->deaths > 5 ? RESTART_MAX_S : 1ull << (k->deaths - 1);
	k->deaths++;
	k->restart_at = now() + wait_s * SECOND;
}

void signer_keeper_died(struct signer_keeper *k, int status)
{
	if (now() - k->started > HEALTHY_NS)
		k->deaths = 0;
	k->pid = 0;
	plan_restart(k);
	fprintf(stderr, "relevo: the signer died (%s); it is started again.\n",
		WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it ended");
}

bool signer_keeper_restart(struct signer_keeper *k)
{
	struct buf messages = BUF_INIT(4096);
	int *channels;

	if (!k->restart_at || now() < k->restart_at)
		return false;
	channels = mem_calloc(SIGNER_CHANNELS_MAX, sizeof(*channels));
	k->restart_at = 0;
	k->pid = spawn(k, &k->start, channels, &messages);
	k->started = now();
	if (k->pid) {
		close_all(k->channels, k->loops);
		memcpy(k->channels, channels, sizeof(k->channels));
	} else {
		fprintf(stderr, "relevo: %s", messages.n ? buf_cstr(&messages)
							: "no new signer could start.\n");
		plan_restart(k);
	}
	mem_free(channels);
	buf_done(&messages);
	return k->pid != 0;
}

int signer_keeper_send(const struct signer_keeper *k, int link)
{
	int r = 0;

	for (unsigned i = 0; k->start.n && i < k->loops && r == 0; i++) {
		struct link_message m = { .kind = LINK_SIGNER, .index = i };

		struct pollfd room = { .fd = link, .events = POLLOUT };

		r = link_send(link, &m, k->channels[i]);
		if (r == -EAGAIN && poll(&room, 1, 1000) == 1)
			r = link_send(link, &m, k->channels[i]);
	}
	return r;
}

void signer_keeper_leave(struct signer_keeper *k)
{
	for (unsigned i = 0; i < k->start.n; i++) {
		close(k->start.fds[i]);
		k->start.fds[i] = -1;
	}
}

void signer_keeper_done(struct signer_keeper *k)
{
	forget(k);
}
