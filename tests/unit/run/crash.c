/* run/crash, run/link, run/listeners: what supervisor and worker give each other. */
#include "run/crash.h"
#include "run/link.h"
#include "run/listeners.h"
#include "unit/unit.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(struct crash_page *p, unsigned loop, uint64_t counter, const char *stage)
{
	const struct message_id id = { 1, 1, counter };

	if (counter)
		memcpy(p->notes[loop].id, &id, sizeof(id));
	str_copy(p->notes[loop].stage, sizeof(p->notes[loop].stage), str_of(stage));
}

static uint32_t count(const struct crash_page *p, uint64_t counter)
{
	const struct message_id id = { 1, 1, counter };

	return crash_count(p, &id);
}

static void test_counts(void **state)
{
	struct crash_page *p = crash_page_new();
	struct crash_note any;

	(void)state;
	assert_non_null(p);
	crash_collect(p, &any);
	assert_false(crash_has_suspects(p));
	assert_string_equal(any.stage, "");
	note(p, 0, 7, "content");
	note(p, 3, 7, "content");	/* the same on another loop: one crash */
	note(p, 5, 8, "reply");
	note(p, 6, 0, "banner");	/* a session without a message */
	crash_collect(p, &any);
	assert_true(any.stage[0]);
	assert_int_equal(count(p, 7), 1);
	assert_int_equal(count(p, 8), 1);
	assert_int_equal(count(p, 9), 0);
	assert_string_equal(p->notes[0].stage, "");
	note(p, 1, 8, "reply");
	crash_collect(p, &any);
	assert_string_equal(any.stage, "reply");
	assert_int_equal(count(p, 7), 1);
	assert_int_equal(count(p, 8), CRASHES_UNTIL_HELD);
	crash_clear_suspects(p);
	assert_false(crash_has_suspects(p));
	munmap(p, sizeof(*p));
}

/* A full table keeps who was there most often. */
static void test_full_table(void **state)
{
	struct crash_page *p = crash_page_new();
	struct crash_note any;

	(void)state;
	for (int i = 0; i < 2; i++) {
		note(p, 0, 1, "content");
		crash_collect(p, &any);
	}
	for (uint64_t i = 2; i < CRASH_SUSPECTS_MAX + 100; i++) {
		note(p, 0, i, "content");
		crash_collect(p, &any);
	}
	assert_int_equal(count(p, 1), 2);
	assert_int_equal(count(p, CRASH_SUSPECTS_MAX + 99), 1);
	munmap(p, sizeof(*p));
}

static void test_link(void **state)
{
	const struct endpoint e = { .path = "/run/some.sock" };
	const struct endpoint v4 = { .ip = { 4, { 127, 0, 0, 1 } }, .port = 25 };
	struct link_message m = { .kind = LINK_LISTEN }, got;
	struct endpoint back;
	int fds[2], passed[2], fd;
	char c = 0;

	(void)state;
	assert_int_equal(link_open(fds), 0);
	assert_int_equal(link_receive(fds[1], &got, &fd), -EAGAIN);
	link_from_endpoint(&m, &e);
	assert_int_equal(link_send(fds[0], &m, -1), 0);
	assert_int_equal(link_receive(fds[1], &got, &fd), 1);
	assert_int_equal(fd, -1);
	assert_int_equal(got.kind, LINK_LISTEN);
	back = link_endpoint(&got);
	assert_true(endpoint_eq(&back, &e));
	link_from_endpoint(&m, &v4);
	m.path[0] = '\0';
	assert_int_equal(pipe(passed), 0);
	assert_int_equal(link_send(fds[0], &m, passed[1]), 0);
	assert_int_equal(link_receive(fds[1], &got, &fd), 1);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(passed[0], &c, 1), 1);
	assert_int_equal(c, 'x');
	back = link_endpoint(&got);
	assert_true(endpoint_eq(&back, &v4));
	close(fd);
	close(passed[0]);
	close(passed[1]);
	close(fds[0]);
	assert_int_equal(link_receive(fds[1], &got, &fd), 0);
	close(fds[1]);
}

static unsigned count_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 200; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A worker that was taken over gives two descriptors away at once: none may stay with us. */
static void test_link_keeps_nothing(void **state)
{
	struct link_message m = { .kind = LINK_ALIVE }, got;
	struct iovec iov = { &m, sizeof(m) };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} c = { 0 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c,
			    .msg_controllen = sizeof(c) };
	int fds[2], gift[2] = { 0, 1 }, fd;
	unsigned before;

	(void)state;
	assert_int_equal(link_open(fds), 0);
	before = count_open();
	c.header.cmsg_level = SOL_SOCKET;
	c.header.cmsg_type = SCM_RIGHTS;
	c.header.cmsg_len = CMSG_LEN(sizeof(gift));
	memcpy(CMSG_DATA(&c.header), gift, sizeof(gift));
	for (int i = 0; i < 3; i++) {
		fd = -1;
		assert_int_equal(sendmsg(fds[0], &h, 0), sizeof(m));
		assert_int_equal(link_receive(fds[1], &got, &fd), 1);
		if (fd >= 0)
			close(fd);
	}
	assert_int_equal(count_open(), before);
	close(fds[0]);
	close(fds[1]);
}

static void test_listeners(void **state)
{
	struct config_listen rows[2] = {
		{ .endpoint = { .ip = { 4, { 127, 0, 0, 1 } } }, .place = { "some.conf", 3, 1 } },
	};
	struct config c = { .listens = rows, .listens_n = 1 };
	struct listeners *l = mem_zalloc(sizeof(*l)), *other = mem_zalloc(sizeof(*l));
	struct world *w = world_real();
	struct buf messages = BUF_INIT(4096);
	struct endpoint e = rows[0].endpoint;
	int fd;

	(void)state;
	fd = w->sock_listen(w, &e, 1);
	assert_true(fd >= 0);
	assert_int_equal(w->sock_local(w, fd, &rows[0].endpoint), 0);
	assert_false(listeners_bind(other, &c, false, &messages));
	assert_true(str_search(buf_str(&messages), STR("some.conf:3: cannot listen on")) >= 0);
	listeners_put(l, &rows[0].endpoint, fd);
	assert_true(listeners_bind(l, &c, false, &messages));	/* it is there already */
	assert_int_equal(listeners_find(l, &rows[0].endpoint), fd);
	c.listens_n = 0;
	listeners_drop_except(l, &c);
	assert_int_equal(l->n, 0);
	c.listens_n = 1;
	assert_true(listeners_bind(other, &c, false, &messages));
	listeners_remove(other, 0);
	buf_done(&messages);
	mem_free(l);
	mem_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_link), cmocka_unit_test(test_link_keeps_nothing),
		cmocka_unit_test(test_listeners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
