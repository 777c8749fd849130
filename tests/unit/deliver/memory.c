/*
 * deliver/: what a connection costs in memory, busy (waiting for the answer to its content) and
 * idle (in the pool). The server is a process of its own, so that only our side is counted.
 */
#include "unit/deliver/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define BUSY 2000
#define IDLE 256		/* as many as a core's pool keeps */
#define BUSY_MAX (32 * 1024)
#define IDLE_MAX (4 * 1024)	/* a stream without a buffer */

/* ---- the server: one loop, says 250 to content only when told */

struct shared {
	_Atomic unsigned waiting;	/* connections whose content has ended */
	_Atomic bool go;
};

struct conversation {
	bool in_content, waits;
};

static struct shared *shared;

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		_exit(1);
}

static void hear(int fd, struct conversation *c)
{
	char text[8192];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	if (n <= 0) {
		close(fd);
		return;
	}
	text[n] = 0;
	if (c->in_content && strstr(text, "\r\n.\r\n")) {
		c->in_content = false;
		c->waits = true;
		shared->waiting++;
	} else if (!strncmp(text, "EHLO", 4)) {
		say(fd, "250-x\r\n250 PIPELINING\r\n");
	} else if (!strncmp(text, "QUIT", 4)) {
		say(fd, "221 bye\r\n");
		close(fd);
	} else if (strstr(text, "DATA\r\n")) {
		c->in_content = true;
		say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	}
}

static void serve(int listener)
{
	static struct conversation of[BUSY + 256];
	static struct pollfd fds[BUSY + 256];

	for (;;) {
		nfds_t n = 0;

		fds[n++] = (struct pollfd){ .fd = listener, .events = POLLIN };
		for (int fd = 0; fd < BUSY + 256; fd++) {
			if (of[fd].waits && shared->go) {
				of[fd].waits = false;
				say(fd, "250 taken\r\n");
			}
			if (fd > listener && fcntl(fd, F_GETFD) >= 0)
				fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		}
		poll(fds, n, 20);
		for (nfds_t i = 1; i < n; i++)
			if (fds[i].revents)
				hear(fds[i].fd, &of[fds[i].fd]);
		while (fds[0].revents && poll(fds, 1, 0) > 0) {
			int fd = accept(listener, NULL, NULL);

			if (fd < 0 || fd >= BUSY + 256)
				_exit(1);
			of[fd] = (struct conversation){ 0 };
			say(fd, "220 x\r\n");
		}
	}
}

/* ---- the client's side */

static size_t resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%*s %lu", &pages) != 1)
		abort();
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void start_run(void *arg)
{
	struct trying *t = arg;

	for (unsigned i = 0; i < t->n; i++) {
		struct trying *one = mem_zalloc(sizeof(*one));

		*one = (struct trying){ &t->messages[i], 1 };
		CHECK(task_start(NULL, rig_try_run, one, "test"));
	}
}

/* However busy the machine is; tests/run bounds the whole. */
static void wait_until(const _Atomic unsigned *value, unsigned n)
{
	while (*value < n)
		usleep(10000);
}

/* Stacks are trimmed a second after their last use, each by its own loop's turn. */
static size_t busy_octets(size_t before)
{
	size_t n = 0;

	for (int i = 0; i < 600; i++) {
		usleep(100000);
		n = (resident() - before) / BUSY;
		if (i >= 20 && n <= BUSY_MAX)
			break;
	}
	return n;
}

static unsigned descriptors(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void close_pool_run(void *arg)
{
	(void)arg;
	pool_close(&rig.deliver->cores[0].pool);
}

static void test_connections(void **state)
{
	struct message *m[BUSY];
	struct trying t = { m, BUSY };
	struct peer p = { 0 };
	struct sockaddr_storage at;
	socklen_t n = peer_address(&p, &at);
	_Atomic unsigned filed = 0;
	size_t before, fresh, busy, heap, idle;
	unsigned open_before;
	pid_t server;

	(void)state;
	if (is_slow() || raise_descriptors() < BUSY + 300)
		skip();
	mallopt(M_ARENA_MAX, 1);	/* or mallinfo2 sees only a part */
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	p.listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(p.listener, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(p.listener, 4096), 0);
	getsockname(p.listener, (struct sockaddr *)&at, &n);
	server = fork();
	if (!server)
		serve(p.listener);
	rig_open();
	rig.keep_nothing = true;
	rig.filed = &filed;
	/* No connection may give up because the machine has other things to do. */
	rig.route.timeout_ns = rig.deliver->dot_timeout_ns = 600 * SECOND;
	rig.route.connect_timeout_ns = rig.route.idle_ns = 600 * SECOND;
	rig_host(0, "127.0.0.1", ntohs(((struct sockaddr_in *)&at)->sin_port));
	for (unsigned i = 0; i < BUSY; i++)
		m[i] = rig_message(&(struct mail){
			.content = { RIG_CONTENT, sizeof(RIG_CONTENT) - 1 } });
	open_before = descriptors();
	before = resident();
	heap = mallinfo2().uordblks;
	run_on(net_loop(rig.net, 0), start_run, &t, false);
	wait_until(&shared->waiting, BUSY);
	fresh = (resident() - before) / BUSY;
	busy = busy_octets(before);
	idle = mallinfo2().uordblks - heap;
	print_message("busy: %zu octets each (%zu at once), of these %zu on the heap\n", busy,
		      fresh, idle / BUSY);
	shared->go = true;
	wait_until(&filed, BUSY);
	rig_wait_pooled(IDLE);
	while (descriptors() > open_before + IDLE)	/* those beyond the pool say QUIT */
		usleep(10000);
	run_on(net_loop(rig.net, 0), rig_nothing_run, NULL, true);	/* the last of them */
	idle = mallinfo2().uordblks;
	run_on(net_loop(rig.net, 0), close_pool_run, NULL, true);
	idle = (idle - mallinfo2().uordblks) / IDLE;
	rig_close();
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	close(p.listener);
	for (unsigned i = 0; i < BUSY; i++)
		message_unref(m[i]);
	print_message("idle: %zu octets each\n", idle);
	assert_in_range(fresh, 1, BUSY_MAX);
	assert_in_range(busy, 1, BUSY_MAX);
	assert_in_range(idle, 1, IDLE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
