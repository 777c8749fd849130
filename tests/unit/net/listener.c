/*
 * net/listener: connections shared by two loops, 16,000 ends in conversation, what an idle one
 * costs, and what happens when descriptors run out.
 */
#include "unit/net/run.h"

#include <stdatomic.h>
#include <sys/socket.h>

#define PAIRS 8000
#define DIALOGUES 4
#define IDLE_MAX 8192		/* octets of memory for each end of an idle connection */

static atomic_uint served, asked, accepted_by[2], now_idle;

static uint64_t rss(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (uint64_t)pages * 4096;
}

/* ---- the server: echoes lines */

static void serve(struct stream *s)
{
	struct str line;

	if (stream_write(s, "220 hello\r\n", 11, in_seconds(60)) < 0 ||
	    stream_flush(s, in_seconds(60)) < 0)
		return;
	while (stream_line(s, 512, in_seconds(300), &line) == 1) {
		char reply[600];
		int n = snprintf(reply, sizeof(reply), "250 %.*s\r\n", STR_ARG(line));

		if (stream_write(s, reply, (size_t)n, in_seconds(60)) < 0)
			return;
		if (!stream_has_input(s) && stream_flush(s, in_seconds(60)) < 0)
			return;
	}
}

static void server(void *arg)
{
	serve(arg);
	stream_free(arg);
	atomic_fetch_add(&served, 1);
}

static void on_accepted(struct listener *l, int fd, const struct endpoint *peer)
{
	struct stream *s = stream_new(fd, peer);

	CHECK(!task_self());
	CHECK(l->loop == loop_self());
	CHECK(peer->ip.family == 4 && peer->port);
	atomic_fetch_add(&accepted_by[loop_index(loop_self())], 1);
	if (!task_start(NULL, server, s, "server"))
		stream_free(s);
}

/* ---- the client */

static struct endpoint servers[4];

static void expect(struct stream *s, const char *text)
{
	struct str line;

	CHECK_EQ(stream_line(s, 512, in_seconds(120), &line), 1);
	CHECK(str_eq(line, str_of(text)));
}

static void client(void *arg)
{
	unsigned number = (unsigned)(uintptr_t)arg;
	struct stream *s = NULL;
	char request[64], reply[64];
	struct str line;

	CHECK_EQ(stream_connect(NULL, &servers[number % 4], in_seconds(120), &s), 0);
	expect(s, "220 hello");
	for (unsigned i = 0; i < DIALOGUES; i++) {
		int n = snprintf(request, sizeof(request), "line %u of %u\r\n", i, number);

		CHECK_EQ(stream_write(s, request, (size_t)n, in_seconds(60)), 0);
		CHECK_EQ(stream_flush(s, in_seconds(60)), 0);
		snprintf(reply, sizeof(reply), "250 line %u of %u", i, number);
		expect(s, reply);
	}
	atomic_fetch_add(&now_idle, 1);
	CHECK_EQ(stream_line(s, 512, in_seconds(120), &line), -ECANCELED);
	stream_free(s);
	atomic_fetch_add(&asked, 1);
}

struct site {			/* what one loop has */
	struct listener listeners[4];
	struct task_group clients;
	const int *fds;
	unsigned n;
};

static void start_site(void *arg)
{
	struct site *site = arg;

	task_group_init(&site->clients);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(listener_start(&site->listeners[i], site->fds[i], on_accepted), 0);
}

static void start_clients(void *arg)
{
	struct site *site = arg;

	for (unsigned i = 0; i < site->n; i++) {
		CHECK(task_start(&site->clients, client, (void *)(uintptr_t)i, "client"));
		if (i % 64 == 63)
			task_yield();
	}
}

static void end_site(void *arg)
{
	struct site *site = arg;

	task_group_cancel(&site->clients);
	CHECK_EQ(task_group_wait(&site->clients, in_seconds(60)), 0);
}

static void stop_listening(void *arg)
{
	struct site *site = arg;

	for (int i = 0; i < 4; i++)
		listener_stop(&site->listeners[i]);
}

static unsigned pairs_wanted(void)
{
	unsigned descriptors = raise_descriptors();

	if (is_slow())
		return 400;
	return descriptors / 2 - 100 < PAIRS ? descriptors / 2 - 100 : PAIRS;
}

static void wait_until(atomic_uint *counter, unsigned n)
{
	for (int i = 0; atomic_load(counter) < n; i++) {
		CHECK(i < 60000);
		usleep(1000);
	}
}

static void for_both(struct net *n, void (*fn)(void *), struct site *sites, bool as_task)
{
	for (unsigned i = 0; i < 2; i++)
		run_on(net_loop(n, i), fn, &sites[i], as_task);
}

static void test_conversations(void **state)
{
	const unsigned pairs = pairs_wanted();
	struct net *n = net_new(world_real(), 2, 1);
	struct site sites[2];
	uint64_t before, each;
	int fds[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		char ip[32];

		snprintf(ip, sizeof(ip), "127.0.0.%d", i + 1);
		fds[i] = listen_on(ip, &servers[i]);
	}
	before = rss();
	net_start(n);
	for (int i = 0; i < 2; i++)
		sites[i] = (struct site){ .fds = fds, .n = pairs / 2 };
	for_both(n, start_site, sites, false);
	for_both(n, start_clients, sites, true);
	wait_until(&now_idle, pairs / 2 * 2);
	usleep(2300000);	/* the idle ones are trimmed */
	each = (rss() - before) / (pairs / 2 * 4);
	printf("%u connections, both ends here: %llu octets for each idle end\n", pairs / 2 * 2,
	       (unsigned long long)each);
	if (!is_slow())
		assert_true(each < IDLE_MAX);
	for_both(n, end_site, sites, true);
	wait_until(&asked, pairs / 2 * 2);
	wait_until(&served, pairs / 2 * 2);
	for_both(n, stop_listening, sites, false);
	net_stop(n);
	assert_true(atomic_load(&accepted_by[0]) && atomic_load(&accepted_by[1]));
	for (int i = 0; i < 4; i++)
		world_real()->sock_close(world_real(), fds[i]);
}

/* ---- out of descriptors */

struct starved {
	struct listener listener;
	int fd;
	unsigned got;
};

static void count_accepted(struct listener *l, int fd, const struct endpoint *peer)
{
	struct starved *s = CONTAINER_OF(l, struct starved, listener);

	(void)peer;
	s->got++;
	world_self()->sock_close(world_self(), fd);
}

static void starved_task(void *arg)
{
	struct loop_stats before, after;
	struct rlimit full, tight;
	struct endpoint at;
	struct starved s = { .fd = listen_on("127.0.0.1", &at) };
	struct stream *client_stream;
	int next;

	(void)arg;
	CHECK_EQ(listener_start(&s.listener, s.fd, count_accepted), 0);
	CHECK_EQ(stream_connect(NULL, &at, in_seconds(5), &client_stream), 0);
	stream_free(client_stream);
	task_sleep_until(in_ms(20));
	CHECK_EQ(s.got, 1);
	next = dup(0);
	getrlimit(RLIMIT_NOFILE, &full);
	tight = full;
	tight.rlim_cur = (rlim_t)next + 1;
	close(next);
	/* The client takes the last descriptor. */
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
	CHECK_EQ(stream_connect(NULL, &at, in_seconds(5), &client_stream), 0);
	task_sleep_until(in_ms(20));
	CHECK(s.listener.paused);
	loop_stats(loop_self(), &before);
	task_sleep_until(in_ms(300));
	loop_stats(loop_self(), &after);
	CHECK(after.turns - before.turns < 50);
	CHECK_EQ(s.got, 1);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &full), 0);
	task_sleep_until(in_ms(150));
	CHECK_EQ(s.got, 2);
	CHECK(!s.listener.paused);
	listener_stop(&s.listener);
	listener_stop(&s.listener);
	stream_free(client_stream);
	world_self()->sock_close(world_self(), s.fd);
}

static void test_out_of_descriptors(void **state)
{
	(void)state;
	if (RUNNING_ON_VALGRIND)
		/* it plays the limit itself: takes the connection, then says EMFILE */
		return;
	run_in_task(starved_task, NULL);
}

/* ---- the reserve: clients get what is below it, a listener of its own kind gets all */

#define WAITING 8
#define BELOW 2

struct keeper {
	struct listener listener;
	int fd;
	int kept[WAITING];
	int got;
};

static void keep(struct listener *l, int fd, const struct endpoint *peer)
{
	struct keeper *k = CONTAINER_OF(l, struct keeper, listener);

	(void)peer;
	k->kept[k->got++] = fd;
}

static void close_all(struct keeper *k)
{
	while (k->got)
		close(k->kept[--k->got]);
}

/* Connections wait in the system's queue; with BELOW descriptors left, as many are accepted. */
static void check_reserve(bool may_use_reserve)
{
	struct keeper k = { .listener.may_use_reserve = may_use_reserve };
	struct stream *waiting[WAITING];
	struct endpoint at;
	int next;

	k.fd = listen_on("127.0.0.1", &at);
	for (int i = 0; i < WAITING; i++)
		CHECK_EQ(stream_connect(NULL, &at, in_seconds(5), &waiting[i]), 0);
	next = dup(0);
	close(next);
	net_reserve(loop_net(loop_self()), next + BELOW);
	CHECK_EQ(listener_start(&k.listener, k.fd, keep), 0);
	task_sleep_until(in_ms(50));
	CHECK_EQ(k.got, may_use_reserve ? WAITING : BELOW);
	CHECK_EQ(k.listener.paused, !may_use_reserve);
	for (int i = 0; !may_use_reserve && i < k.got; i++)
		CHECK(k.kept[i] < next + BELOW);
	/* One that found none was cut off; those behind it come when there are some again. */
	close_all(&k);
	net_reserve(loop_net(loop_self()), 0);
	task_sleep_until(in_ms(250));
	CHECK_EQ(k.got, may_use_reserve ? 0 : WAITING - BELOW - 1);
	CHECK(!k.listener.paused);
	close_all(&k);
	listener_stop(&k.listener);
	for (int i = 0; i < WAITING; i++)
		stream_free(waiting[i]);
	world_self()->sock_close(world_self(), k.fd);
}

static void reserve_task(void *arg)
{
	(void)arg;
	check_reserve(false);
	check_reserve(true);
}

static void test_reserve(void **state)
{
	(void)state;
	run_in_task(reserve_task, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversations),
		cmocka_unit_test(test_out_of_descriptors),
		cmocka_unit_test(test_reserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
