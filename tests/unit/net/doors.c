/*
 * net/doors: an address is watched by every loop until it is shut, comes again, and who waits for
 * the end of a service waits for its last connection.
 */
#include "net/doors.h"
#include "unit/net/run.h"

#include <pthread.h>

#define CLIENTS 40

struct site {			/* a service's listening address, with something of its own */
	struct door_address at;
	_Atomic unsigned came;
};

static struct {
	struct doors doors;
	_Atomic unsigned came, ended, failed;
	_Atomic unsigned by[2];
	struct post posts[2];
} service;

static void hold(void *arg)
{
	struct stream *s = arg;
	struct str line;

	CHECK_EQ(stream_line(s, 512, in_seconds(60), &line), 0);	/* until the client goes */
	stream_free(s);
	atomic_fetch_add(&service.ended, 1);
	atomic_fetch_sub(&service.doors.live, 1);
}

static void accepted(struct door *d, int fd, const struct endpoint *peer)
{
	struct site *site = CONTAINER_OF(d->address, struct site, at);

	CHECK(!task_self());
	CHECK_EQ(d->loop, loop_index(loop_self()));
	CHECK(d->doors == &service.doors);
	atomic_fetch_add(&service.doors.live, 1);
	atomic_fetch_add(&site->came, 1);
	atomic_fetch_add(&service.by[d->loop], 1);
	atomic_fetch_add(&service.came, 1);
	CHECK(task_start(NULL, hold, stream_new(fd, peer), "hold"));
}

static void failed(const struct endpoint *e, int error)
{
	CHECK(e->port);
	CHECK(error < 0);
	atomic_fetch_add(&service.failed, 1);
}

static void wait_for(_Atomic unsigned *counter, unsigned n)
{
	for (int i = 0; atomic_load(counter) < n; i++) {
		CHECK(i < 20000);
		usleep(1000);
	}
}

/* Connected, or at least in the system's queue. */
static int connect_to(const struct endpoint *e)
{
	struct sockaddr_storage sa;
	socklen_t size = endpoint_to_sockaddr(e, &sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK_EQ(connect(fd, (struct sockaddr *)&sa, size), 0);
	return fd;
}

static struct net *service_new(void)
{
	struct net *n = net_new(world_real(), 2, 1);

	memset(&service, 0, sizeof(service));
	service.doors = (struct doors){
		.net = n, .name = "test-wait", .address_size = sizeof(struct site),
		.accepted = accepted, .failed = failed,
	};
	doors_init(&service.doors);
	net_start(n);
	return n;
}

static void test_shut_and_again(void **state)
{
	struct net *n = service_new();
	struct endpoint at, other;
	int fd = listen_on("127.0.0.1", &at), other_fd = listen_on("127.0.0.2", &other), c[2];

	(void)state;
	assert_int_equal(doors_open(&service.doors, fd, &at), 0);
	assert_int_equal(doors_open(&service.doors, other_fd, &other), 0);
	assert_int_equal(doors_open(&service.doors, fd, &at), -EEXIST);
	c[0] = connect_to(&at);
	wait_for(&service.came, 1);
	doors_shut(&service.doors, &at);
	doors_shut(&service.doors, &at);
	c[1] = connect_to(&at);
	usleep(50000);
	assert_int_equal(atomic_load(&service.came), 1);
	/* what waited in the system's queue is served by the next opening */
	assert_int_equal(doors_open(&service.doors, fd, &at), 0);
	wait_for(&service.came, 2);
	close(c[0]);
	close(c[1]);
	doors_shut_all(&service.doors);
	doors_wait(&service.doors, true);
	assert_int_equal(atomic_load(&service.ended), 2);
	assert_int_equal(atomic_load(&service.failed), 0);
	net_stop(n);
	doors_done(&service.doors);
	close(fd);
	close(other_fd);
}

static void count_post(struct post *p)
{
	CHECK(p == &service.posts[loop_index(loop_self())]);
	atomic_fetch_add(&service.by[loop_index(loop_self())], 1);
	doors_posted(&service.doors);
}

static void test_posts_reach_each_loop(void **state)
{
	struct net *n = service_new();

	(void)state;
	doors_post_all(&service.doors, service.posts, sizeof(service.posts[0]), count_post);
	doors_wait(&service.doors, false);
	assert_int_equal(service.by[0], 1);
	assert_int_equal(service.by[1], 1);
	net_stop(n);
	doors_done(&service.doors);
}

static void *go_later(void *arg)
{
	int *fds = arg;

	usleep(100000);
	CHECK(atomic_load(&service.ended) == 0);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	return NULL;
}

static void test_waits_for_the_last(void **state)
{
	struct net *n = service_new();
	int fds[CLIENTS];
	pthread_t thread;
	struct endpoint at;
	int fd = listen_on("127.0.0.1", &at);

	(void)state;
	assert_int_equal(doors_open(&service.doors, fd, &at), 0);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = connect_to(&at);
	wait_for(&service.came, CLIENTS);
	assert_int_equal(service.by[0] + service.by[1], CLIENTS);
	doors_shut_all(&service.doors);
	assert_int_equal(pthread_create(&thread, NULL, go_later, fds), 0);
	doors_wait(&service.doors, true);
	assert_int_equal(atomic_load(&service.ended), CLIENTS);
	pthread_join(thread, NULL);
	net_stop(n);
	doors_done(&service.doors);
	close(fd);
}

/* A descriptor that is no socket: each loop says that it cannot accept there. */
static void test_each_loop_tells_of_failure(void **state)
{
	struct net *n = service_new();
	struct endpoint at;
	int fd = listen_on("127.0.0.1", &at);

	(void)state;
	close(fd);
	assert_int_equal(doors_open(&service.doors, fd, &at), 0);
	wait_for(&service.failed, 2);
	doors_shut(&service.doors, &at);
	net_stop(n);
	doors_done(&service.doors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shut_and_again),
		cmocka_unit_test(test_posts_reach_each_loop),
		cmocka_unit_test(test_waits_for_the_last),
		cmocka_unit_test(test_each_loop_tells_of_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
