/* net/world: the real world's disk, locks, space, addresses, clock and actors. */
#include "net/world.h"
#include "unit/net/run.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/relevo-world-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int count_name(void *arg, const char *name)
{
	int *n = arg;

	assert_true(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	++*n;
	return strcmp(name, "stop") == 0 ? 77 : 0;
}

static ssize_t (*real_pwritev)(struct world *, int, const struct iovec *, int, uint64_t);
static int asked, full_after;

/* A third of what is asked, a call in two interrupted; in the end the disk is full. */
static ssize_t stingy_pwritev(struct world *w, int fd, const struct iovec *iov, int n,
			      uint64_t offset)
{
	struct iovec piece = { iov->iov_base, (iov->iov_len + 2) / 3 };

	assert_true(n > 0 && n <= 1024);
	if (++asked % 2)
		return -EINTR;
	if (full_after && asked > full_after)
		return -ENOSPC;
	return real_pwritev(w, fd, &piece, 1, offset);
}

static void test_short_writes(void **state)
{
	struct world w = *world_real();
	const struct iovec three[3] = { { "a log ", 6 }, { "", 0 }, { "goes on", 7 } };
	struct iovec iov[3], many[3000];
	char text[4000], digits[] = "0123456789";
	int fd = open(folder, O_RDWR | O_TMPFILE, 0600);

	(void)state;
	assert_true(fd >= 0);
	real_pwritev = w.disk_pwritev;
	w.disk_pwritev = stingy_pwritev;
	memcpy(iov, three, sizeof(iov));
	assert_int_equal(world_write(&w, fd, iov, 3, 10), 0);
	assert_int_equal(w.disk_pread(&w, fd, text, sizeof(text), 10), 13);
	assert_memory_equal(text, "a log goes on", 13);
	for (unsigned i = 0; i < 3000; i++)
		many[i] = (struct iovec){ &digits[i % 10], 1 };
	assert_int_equal(world_write(&w, fd, many, 3000, 0), 0);
	assert_int_equal(w.disk_pread(&w, fd, text, sizeof(text), 0), 3000);
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(text[i], '0' + (char)(i % 10));
	memcpy(iov, three, sizeof(iov));
	asked = 0;
	full_after = 5;
	assert_int_equal(world_write(&w, fd, iov, 3, 10), -ENOSPC);
	close(fd);
}

static void test_files(void **state)
{
	struct world *w = world_real();
	const struct iovec iov[2] = { { "hello ", 6 }, { "world", 5 } };
	struct stat st;
	char text[32];
	int n = 0, dir, fd;

	(void)state;
	dir = w->disk_open(w, AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
	assert_true(dir >= 0);
	assert_int_equal(w->disk_open(w, dir, "a", O_RDWR, 0), -ENOENT);
	fd = w->disk_open(w, dir, "a", O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(w->disk_open(w, dir, "a", O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
	assert_int_equal(w->disk_pwritev(w, fd, iov, 2, 100), 11);
	assert_int_equal(w->disk_pread(w, fd, text, 32, 106), 5);
	assert_memory_equal(text, "world", 5);
	assert_int_equal(w->disk_pread(w, fd, text, 32, 1000), 0);
	assert_int_equal(w->disk_datasync(w, fd), 0);
	assert_int_equal(w->disk_sync(w, fd), 0);
	assert_int_equal(w->disk_allocate(w, fd, 0, 65536), 0);
	assert_int_equal(w->disk_stat(w, fd, &st), 0);
	assert_int_equal(st.st_size, 65536);
	assert_int_equal(w->disk_truncate(w, fd, 103), 0);
	assert_int_equal(w->disk_pread(w, fd, text, 32, 100), 3);
	assert_int_equal(w->disk_mkdir(w, dir, "sub", 0700), 0);
	assert_int_equal(w->disk_mkdir(w, dir, "sub", 0700), -EEXIST);
	assert_int_equal(w->disk_rename(w, dir, "a", "sub/b"), 0);
	assert_int_equal(w->disk_rename(w, dir, "a", "sub/b"), -ENOENT);
	assert_int_equal(w->disk_sync(w, dir), 0);
	assert_int_equal(w->disk_list(w, dir, "sub", count_name, &n), 0);
	assert_int_equal(w->disk_list(w, dir, ".", count_name, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(w->disk_rename(w, dir, "sub/b", "stop"), 0);
	assert_int_equal(w->disk_list(w, dir, ".", count_name, &n), 77);
	assert_int_equal(w->disk_list(w, dir, "none", count_name, &n), -ENOENT);
	assert_int_equal(w->disk_unlink(w, dir, "sub", false), -EISDIR);
	assert_int_equal(w->disk_unlink(w, dir, "sub", true), 0);
	assert_int_equal(w->disk_unlink(w, dir, "stop", false), 0);
	assert_int_equal(w->disk_close(w, fd), 0);
	assert_int_equal(w->disk_close(w, dir), 0);
	assert_int_equal(w->disk_pread(w, -1, text, 1, 0), -EBADF);
}

static void test_lock_and_space(void **state)
{
	struct world *w = world_real();
	struct disk_space space = { 0 };
	int dir = w->disk_open(w, AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
	int a = w->disk_open(w, dir, "lock", O_RDWR | O_CREAT, 0600);
	int b = w->disk_open(w, dir, "lock", O_RDWR, 0);

	(void)state;
	assert_int_equal(w->disk_lock(w, a), 0);
	assert_int_equal(w->disk_lock(w, b), -EWOULDBLOCK);
	w->disk_close(w, a);
	assert_int_equal(w->disk_lock(w, b), 0);
	w->disk_close(w, b);
	assert_int_equal(w->disk_space(w, dir, &space), 0);
	assert_true(space.total > 0 && space.free <= space.total && space.inodes_free > 0);
	assert_int_equal(w->disk_space(w, AT_FDCWD, &space), 0);
	assert_int_equal(w->disk_unlink(w, dir, "lock", false), 0);
	w->disk_close(w, dir);
}

static void test_own_ips(void **state)
{
	struct world *w = world_real();
	struct ip ips[256], loopback, one[1];
	bool found = false;
	int n = w->own_ips(w, ips, 256);

	(void)state;
	assert_true(n >= 1);
	ip_parse(STR("127.0.0.1"), &loopback);
	for (int i = 0; i < n && i < 256; i++) {
		found |= ip_eq(&ips[i], &loopback);
		assert_true(ips[i].family == 4 || ips[i].family == 6);
		for (int j = 0; j < i; j++)
			assert_false(ip_eq(&ips[i], &ips[j]));
	}
	assert_true(found);
	/* one that is too small still tells how many there are */
	assert_true(w->own_ips(w, one, 1) >= n);
	assert_true(w->own_ips(w, NULL, 0) >= n);
	assert_null(w->dns_ask);
}

static void test_clock_and_random(void **state)
{
	struct world *w = world_real();
	uint64_t a = w->now(w);
	unsigned char x[32] = { 0 }, y[32] = { 0 };

	(void)state;
	assert_true(w->now(w) >= a);
	assert_true(w->wall_ms(w) > 1600000000000);
	w->random(w, x, sizeof(x));
	w->random(w, y, sizeof(y));
	assert_memory_not_equal(x, y, sizeof(x));
}

static void check_option(int fd, int level, int option, bool expected)
{
	int on = -1;
	socklen_t n = sizeof(on);

	assert_int_equal(getsockopt(fd, level, option, &on, &n), 0);
	assert_int_equal(!!on, expected);
}

static void test_socket_options(void **state)
{
	struct world *w = world_real();
	struct endpoint at, peer;
	int listening = listen_on("::1", &at), client, server;

	(void)state;
	check_option(listening, IPPROTO_IPV6, IPV6_V6ONLY, true);
	check_option(listening, SOL_SOCKET, SO_REUSEADDR, true);
	client = w->sock_connect(w, NULL, &at);
	assert_true(client >= 0);
	do
		server = w->sock_accept(w, listening, &peer);
	while (server == -EAGAIN);
	assert_true(server >= 0);
	assert_int_equal(w->sock_error(w, client), 0);
	check_option(client, IPPROTO_TCP, TCP_NODELAY, true);
	check_option(server, IPPROTO_TCP, TCP_NODELAY, true);
	assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(w->sock_accept(w, listening, &peer), -EAGAIN);
	assert_int_equal(w->sock_listen(w, &at, 5), -EADDRINUSE);
	w->sock_close(w, client);
	w->sock_close(w, server);
	w->sock_close(w, listening);
}

static void test_unix_sockets(void **state)
{
	struct world *w = world_real();
	char path[128];
	struct endpoint at = { .path = path }, peer;
	int first, second, client, server;

	(void)state;
	snprintf(path, sizeof(path), "%s/socket", folder);
	first = w->sock_listen(w, &at, 5);
	assert_true(first >= 0);
	assert_int_equal(w->sock_listen(w, &at, 5), -EADDRINUSE);
	w->sock_close(w, first);
	assert_int_equal(w->sock_connect(w, NULL, &at), -ECONNREFUSED);
	second = w->sock_listen(w, &at, 5);	/* takes the place of the stale one */
	assert_true(second >= 0);
	client = w->sock_connect(w, NULL, &at);
	assert_true(client >= 0);
	server = w->sock_accept(w, second, &peer);
	assert_true(server >= 0);
	assert_non_null(peer.path);
	w->sock_close(w, client);
	w->sock_close(w, server);
	w->sock_close(w, second);
	assert_int_equal(unlink(path), 0);
}

struct ping {
	struct world *world;
	_Atomic(struct actor *) ping, pong;
	atomic_uint left;
	atomic_bool signals_blocked;
};

static void wake(struct ping *p, struct actor *a)
{
	if (a)
		p->world->actor_wake(p->world, a);
}

/* Each step wakes the other actor: a lost wake hangs the test. */
static int64_t ping_step(void *arg)
{
	struct ping *p = arg;
	unsigned left = atomic_load(&p->left);
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	atomic_store(&p->signals_blocked, sigismember(&set, SIGTERM) == 1 &&
					  sigismember(&set, SIGSEGV) == 0);
	if (left == 0)
		return STEP_DONE;
	atomic_store(&p->left, left - 1);
	wake(p, atomic_load(&p->pong));
	return left % 7 ? STEP_IDLE : 3600000000000;
}

static int64_t pong_step(void *arg)
{
	struct ping *p = arg;
	/* before the wake: whoever sees 0 wakes once more */
	unsigned left = atomic_load(&p->left);

	wake(p, atomic_load(&p->ping));
	return left ? STEP_IDLE : STEP_DONE;
}

static void test_actors(void **state)
{
	struct world *w = world_real();
	struct ping p = { .world = w };

	(void)state;
	atomic_store(&p.left, is_slow() ? 2000 : 100000);
	atomic_store(&p.pong, w->actor_start(w, "pong", pong_step, &p));
	atomic_store(&p.ping, w->actor_start(w, "ping", ping_step, &p));
	wake(&p, p.pong);
	w->actor_join(w, p.ping);
	atomic_store(&p.ping, NULL);	/* its memory went with the join */
	wake(&p, p.pong);
	w->actor_join(w, p.pong);
	assert_true(p.signals_blocked);
}

static int64_t sleeper_step(void *arg)
{
	unsigned *left = arg;

	return --*left ? 2000000 : STEP_DONE;
}

static void test_actor_sleeps(void **state)
{
	struct world *w = world_real();
	uint64_t start = w->now(w);
	unsigned left = 6;

	(void)state;
	w->actor_join(w, w->actor_start(w, "a name that is far too long", sleeper_step, &left));
	assert_true(w->now(w) - start >= 5 * 2000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_short_writes),
		cmocka_unit_test(test_lock_and_space),
		cmocka_unit_test(test_own_ips),
		cmocka_unit_test(test_clock_and_random),
		cmocka_unit_test(test_socket_options),
		cmocka_unit_test(test_unix_sockets),
		cmocka_unit_test(test_actors),
		cmocka_unit_test(test_actor_sleeps),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
