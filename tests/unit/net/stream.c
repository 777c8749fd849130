/* net/stream: lines, filling, large and small writes, both sides full, ends, lingering, taps. */
#include "net/stream.h"
#include "unit/net/run.h"

#include "base/mem.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define DIALOGUE "EHLO x\r\n\r\nbare\nlf\r\nbare\rcr\r\r\n\n\r\nlast\r\n"

static const char *const lines[] = { "EHLO x", "", "bare\nlf", "bare\rcr\r", "\n", "last" };

static void send_text(struct stream *s, const char *p, size_t n)
{
	CHECK_EQ(stream_write(s, p, n, NEVER), 0);
	CHECK_EQ(stream_flush(s, NEVER), 0);
}

struct pieces {
	struct stream *to;
	const char *text;
	size_t n, cut;		/* sent as [0, cut), [cut, n) */
};

static void send_pieces(void *arg)
{
	struct pieces *p = arg;

	send_text(p->to, p->text, p->cut);
	task_sleep_until(in_ms(1));
	send_text(p->to, p->text + p->cut, p->n - p->cut);
	stream_free(p->to);
}

/* The same octets, cut in two at every place, give the same lines. */
static void line_task(void *arg)
{
	const size_t n = strlen(DIALOGUE);

	(void)arg;
	for (size_t cut = 0; cut <= n; cut++) {
		struct pieces p = { .text = DIALOGUE, .n = n, .cut = cut };
		struct stream *s;
		struct str line;

		stream_pair(&s, &p.to);
		CHECK(task_start(NULL, send_pieces, &p, "pieces"));
		for (size_t i = 0; i < LENGTH(lines); i++) {
			CHECK_EQ(stream_line(s, 512, in_seconds(10), &line), 1);
			CHECK(str_eq(line, str_of(lines[i])));
		}
		CHECK_EQ(stream_line(s, 512, in_seconds(10), &line), 0);
		CHECK_EQ(stream_line(s, 512, in_seconds(10), &line), 0);
		CHECK(stream_is_ended(s));
		stream_free(s);
	}
}

static void test_lines(void **state)
{
	(void)state;
	run_in_task(line_task, NULL);
}

static const struct {
	size_t length;		/* octets before CRLF */
	size_t max;
	int expected;
} lengths[] = {
	{ 510, 512, 1 },
	{ 511, 512, -EMSGSIZE },
	{ 512, 512, -EMSGSIZE },
	{ 513, 512, -EMSGSIZE },
	{ 5000, 512, -EMSGSIZE },
	{ STREAM_BUFFER - 2, STREAM_BUFFER, 1 },
	{ STREAM_BUFFER - 1, STREAM_BUFFER, -EMSGSIZE },
	{ STREAM_BUFFER, STREAM_BUFFER, -EMSGSIZE },
	{ 3 * STREAM_BUFFER, STREAM_BUFFER, -EMSGSIZE },
	{ 900000, 1000, -EMSGSIZE },
	{ 1200000, 1000, -ECONNABORTED },
	{ 0, 2, 1 },
	{ 1, 2, -EMSGSIZE },
};

struct long_line {
	struct stream *to;
	size_t length;
	unsigned pause;		/* a pause after so many octets; 0: none */
};

static void send_long(void *arg)
{
	struct long_line *l = arg;
	char *text = mem_alloc(l->length + 2);
	size_t first = l->pause < l->length ? l->pause : l->length;

	memset(text, 'x', l->length);
	memcpy(text + l->length, "\r\n", 2);
	if (stream_write(l->to, text, first, NEVER) == 0 && stream_flush(l->to, NEVER) == 0) {
		if (first)
			task_sleep_until(in_ms(1));
		if (stream_write(l->to, text + first, l->length + 2 - first, NEVER) == 0 &&
		    stream_write(l->to, "next\r\n", 6, NEVER) == 0)
			stream_flush(l->to, NEVER);
	}
	mem_free(text);
}

static void long_task(void *arg)
{
	static const unsigned pauses[] = { 0, 1, 511, 512, 513 };

	(void)arg;
	for (size_t i = 0; i < LENGTH(lengths) * LENGTH(pauses); i++) {
		const size_t row = i / LENGTH(pauses);
		const size_t max = lengths[row].max;
		struct long_line l = { .length = lengths[row].length };
		struct task_group g;
		struct stream *s;
		struct str line;

		l.pause = pauses[i % LENGTH(pauses)];
		task_group_init(&g);
		stream_pair(&s, &l.to);
		CHECK(task_start(&g, send_long, &l, "long"));
		CHECK_EQ(stream_line(s, max, in_seconds(20), &line), lengths[row].expected);
		if (lengths[row].expected == 1)
			CHECK_EQ(line.n, lengths[row].length);
		if (lengths[row].expected != -ECONNABORTED && max >= 6) {
			CHECK_EQ(stream_line(s, max, in_seconds(20), &line), 1);
			CHECK(str_eq(line, STR("next")));
		} else if (lengths[row].expected == -ECONNABORTED) {
			CHECK_EQ(stream_line(s, max, in_seconds(20), &line), -ECONNABORTED);
		}
		stream_free(s);
		CHECK_EQ(task_group_wait(&g, in_seconds(20)), 0);
		stream_free(l.to);
	}
}

static void test_line_lengths(void **state)
{
	(void)state;
	run_in_task(long_task, NULL);
}

/*
 * An overlong line whose CRLF is cut in two, right where the reader has thrown away what came
 * before.
 */
static void long_cut_task(void *arg)
{
	struct stream *s, *to;
	struct pieces p = { .n = 700 + 8, .cut = 701 };
	char text[708];
	struct str line;

	(void)arg;
	memset(text, 'x', 700);
	memcpy(text + 700, "\r\nNOOP\r\n", 8);
	stream_pair(&s, &to);
	p.to = to;
	p.text = text;
	CHECK(task_start(NULL, send_pieces, &p, "pieces"));
	CHECK_EQ(stream_line(s, 512, in_seconds(10), &line), -EMSGSIZE);
	CHECK_EQ(stream_line(s, 512, in_seconds(10), &line), 1);
	CHECK(str_eq(line, STR("NOOP")));
	stream_free(s);
}

static void test_long_line_cut_in_crlf(void **state)
{
	(void)state;
	run_in_task(long_cut_task, NULL);
}

/*
 * A started line at the end of the stream is no line; data and end in one event must both be seen.
 */
static void end_task(void *arg)
{
	struct stream *a, *b;
	struct str line;

	(void)arg;
	stream_pair(&a, &b);
	send_text(b, "one\r\nhalf", 9);
	stream_free(b);
	CHECK_EQ(stream_line(a, 512, in_seconds(10), &line), 1);
	CHECK(str_eq(line, STR("one")));
	CHECK_EQ(stream_line(a, 512, in_seconds(10), &line), 0);
	CHECK_EQ(stream_peek(a).n, 0);
	CHECK_EQ(stream_fill(a, in_seconds(10)), 0);
	CHECK_EQ(stream_fill_now(a), 0);
	CHECK_EQ(stream_write(a, "x", 1, NEVER), 0);
	CHECK_EQ(stream_flush(a, in_seconds(1)), -EPIPE);
	CHECK_EQ(stream_flush(a, in_seconds(1)), -EPIPE);
	CHECK_EQ(stream_write(a, "x", 1, NEVER), -EPIPE);
	stream_free(a);
	stream_free(NULL);
}

static void test_end(void **state)
{
	(void)state;
	run_in_task(end_task, NULL);
}

static void peek_task(void *arg)
{
	struct stream *a, *b;
	char full[STREAM_BUFFER + 10];

	(void)arg;
	memset(full, 'f', sizeof(full));
	stream_pair(&a, &b);
	CHECK_EQ(stream_fill_now(a), -EAGAIN);
	CHECK(!stream_has_input(a));
	send_text(b, "abc", 3);
	CHECK_EQ(stream_fill(a, in_seconds(1)), 3);
	CHECK(stream_has_input(a));
	stream_consume(a, 1);
	CHECK(str_eq(stream_peek(a), STR("bc")));
	send_text(b, "def", 3);
	CHECK_EQ(stream_fill(a, in_seconds(1)), 3);
	CHECK(str_eq(stream_peek(a), STR("bcdef")));
	stream_consume(a, 5);
	CHECK_EQ(stream_fill(a, in_ms(5)), -ETIMEDOUT);
	send_text(b, full, sizeof(full));
	while (stream_peek(a).n < STREAM_BUFFER)
		CHECK(stream_fill(a, in_seconds(1)) > 0);
	CHECK_EQ(stream_fill(a, in_seconds(1)), -ENOBUFS);
	CHECK_EQ(stream_fill_now(a), -ENOBUFS);
	stream_consume(a, STREAM_BUFFER);
	CHECK_EQ(stream_fill(a, in_seconds(1)), 10);
	stream_free(a);
	stream_free(b);
}

static void test_peek_and_fill(void **state)
{
	(void)state;
	run_in_task(peek_task, NULL);
}

/* ---- both sides write more than the sockets hold before either reads */

#define FULL (8 * 1024 * 1024)

struct side {
	struct stream *s;
	size_t total, piece;
	char first;
};

static char octet(char first, size_t at)
{
	return (char)(first + at % 23);
}

static void write_side(void *arg)
{
	struct side *side = arg;
	char *text = mem_alloc(side->piece);

	for (size_t at = 0; at < side->total; at += side->piece) {
		for (size_t i = 0; i < side->piece; i++)
			text[i] = octet(side->first, at + i);
		CHECK_EQ(stream_write(side->s, text, side->piece, in_seconds(60)), 0);
	}
	CHECK_EQ(stream_flush(side->s, in_seconds(60)), 0);
	CHECK_EQ(stream_unsent(side->s), 0);
	mem_free(text);
}

static void read_side(struct side *side, char first)
{
	for (size_t at = 0; at < side->total;) {
		struct str got = stream_peek(side->s);

		for (size_t i = 0; i < got.n; i++)
			CHECK(got.p[i] == octet(first, at + i));
		at += got.n;
		stream_consume(side->s, got.n);
		if (at < side->total)
			CHECK(stream_fill(side->s, in_seconds(60)) > 0);
	}
}

static void reader(void *arg)
{
	struct side *side = arg;

	read_side(side, 'a');
}

static void bulk(size_t piece, size_t total)
{
	struct side to = { .piece = piece, .total = total - total % piece, .first = 'a' };
	struct side from = to;
	struct task_group g;

	task_group_init(&g);
	stream_pair(&to.s, &from.s);
	CHECK(task_start(&g, write_side, &to, "writer"));
	CHECK(task_start(&g, reader, &from, "reader"));
	CHECK_EQ(task_group_wait(&g, in_seconds(60)), 0);
	stream_free(to.s);
	stream_free(from.s);
}

static void bulk_task(void *arg)
{
	static const size_t pieces[] = { 1000, 4095, 4096, 16384, 16385, 100000, 1000000 };

	(void)arg;
	for (size_t i = 0; i < LENGTH(pieces); i++)
		bulk(pieces[i], is_slow() ? FULL / 8 : FULL);
	bulk(1, 100000);
}

static void test_bulk(void **state)
{
	(void)state;
	run_in_task(bulk_task, NULL);
}

/*
 * Each sends what its socket cannot hold, but what the other's input buffer can: nobody reads in
 * between.
 */
static void both_full_task(void *arg)
{
	const int small = 4096;
	struct side a = { .piece = 1000, .total = 12000, .first = 'a' }, b = a;
	struct task_group g;
	const struct endpoint nobody = { .path = "" };
	int fds[2];

	(void)arg;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	a.s = stream_new(fds[0], &nobody);
	b.s = stream_new(fds[1], &nobody);
	b.first = 'b';
	task_group_init(&g);
	CHECK(task_start(&g, write_side, &a, "a"));
	CHECK(task_start(&g, write_side, &b, "b"));
	CHECK_EQ(task_group_wait(&g, in_seconds(20)), 0);
	read_side(&a, 'b');
	read_side(&b, 'a');
	stream_free(a.s);
	stream_free(b.s);
}

static void test_both_full(void **state)
{
	(void)state;
	run_in_task(both_full_task, NULL);
}

struct borrow {
	struct stream *s;
};

/* Lets the other's socket fill up, sends lines against it, and only then makes room. */
static void borrow_peer(void *arg)
{
	struct borrow *b = arg;

	task_sleep_until(in_ms(5));
	send_text(b->s, "second\r\nthird\r\n", 15);
	task_sleep_until(in_ms(5));
	while (stream_fill(b->s, in_seconds(10)) > 0)
		stream_consume(b->s, stream_peek(b->s).n);
	stream_free(b->s);
}

/* What a line borrows stays where it is while a write that waits takes more input in. */
static void borrowed_task(void *arg)
{
	static const char large[2000000] = "";
	struct borrow peer;
	struct task_group g;
	struct stream *s;
	struct str line;

	(void)arg;
	task_group_init(&g);
	stream_pair(&s, &peer.s);
	send_text(peer.s, "first\r\nsec", 10);
	CHECK_EQ(stream_line(s, 512, in_seconds(5), &line), 1);
	stream_consume(s, 3);
	CHECK(task_start(&g, borrow_peer, &peer, "peer"));
	CHECK_EQ(stream_write(s, large, sizeof(large), in_seconds(10)), 0);
	CHECK(str_eq(line, STR("first")));
	CHECK(str_eq(stream_peek(s), STR("second\r\nthird\r\n")));
	CHECK_EQ(stream_line(s, 512, in_seconds(5), &line), 1);
	CHECK(str_eq(line, STR("second")));
	stream_free(s);
	CHECK_EQ(task_group_wait(&g, in_seconds(10)), 0);
}

static void test_borrowed_line(void **state)
{
	(void)state;
	run_in_task(borrowed_task, NULL);
}

/* ---- connecting */

static void connect_task(void *arg)
{
	struct endpoint at, nowhere, local, seen;
	int fd = listen_on("127.0.0.1", &at);
	struct world *w = world_self();
	struct stream *s = NULL;

	(void)arg;
	CHECK_EQ(stream_connect(NULL, &at, in_seconds(5), &s), 0);
	CHECK(endpoint_eq(stream_peer(s), &at));
	CHECK_EQ(stream_local(s, &local), 0);
	CHECK(local.port != 0 && local.ip.family == 4);
	stream_free(s);
	nowhere = at;
	w->sock_close(w, fd);
	s = NULL;
	CHECK_EQ(stream_connect(NULL, &nowhere, in_seconds(5), &s), -ECONNREFUSED);
	CHECK(!s);
	fd = listen_on("127.0.0.3", &at);
	CHECK(endpoint_parse(STR("127.0.0.2"), 1, &local));
	local.port = 0;
	CHECK_EQ(stream_connect(&local, &at, in_seconds(5), &s), 0);
	CHECK_EQ(stream_local(s, &seen), 0);
	CHECK(ip_eq(&seen.ip, &local.ip));
	stream_free(s);
	w->sock_close(w, fd);
}

static void test_connect(void **state)
{
	(void)state;
	run_in_task(connect_task, NULL);
}

/* ---- lingering: the last reply is read by a peer that was still sending */

struct lingering {
	struct stream *s;
	size_t got;
};

static void chatter(void *arg)
{
	struct lingering *l = arg;
	char text[8000];
	struct str line;

	memset(text, 'x', sizeof(text));
	send_text(l->s, text, sizeof(text));
	CHECK_EQ(stream_line(l->s, 512, in_seconds(5), &line), 1);
	CHECK(str_eq(line, STR("421 bye")));
	CHECK_EQ(stream_line(l->s, 512, in_seconds(5), &line), 0);
	stream_free(l->s);
}

static void linger_task(void *arg)
{
	struct endpoint at, peer;
	int fd, listening = listen_on("127.0.0.1", &at);
	struct world *w = world_self();
	struct lingering l = { 0 };
	struct task_group g;
	struct stream *server;

	(void)arg;
	task_group_init(&g);
	CHECK_EQ(stream_connect(NULL, &at, in_seconds(5), &l.s), 0);
	while ((fd = w->sock_accept(w, listening, &peer)) == -EAGAIN)
		task_yield();
	server = stream_new(fd, &peer);
	CHECK(task_start(&g, chatter, &l, "chatter"));
	task_sleep_until(in_ms(5));
	CHECK_EQ(stream_write(server, "421 bye\r\n", 9, NEVER), 0);
	stream_linger(server, in_seconds(5));
	stream_free(server);
	CHECK_EQ(task_group_wait(&g, in_seconds(5)), 0);
	w->sock_close(w, listening);
}

static void test_linger(void **state)
{
	(void)state;
	run_in_task(linger_task, NULL);
}

/* ---- taps */

static void tap(void *arg, bool outgoing, struct str bytes)
{
	struct buf *b = arg;

	buf_add_byte(b, outgoing ? '>' : '<');
	buf_add_str(b, bytes);
}

static void tap_task(void *arg)
{
	struct buf b = BUF_INIT(1000);
	struct stream *a, *c;
	struct str line;

	(void)arg;
	stream_pair(&a, &c);
	stream_set_tap(a, tap, &b);
	send_text(a, "NOOP\r\n", 6);
	CHECK_EQ(stream_line(c, 512, in_seconds(1), &line), 1);
	send_text(c, "250\r\n", 5);
	CHECK_EQ(stream_line(a, 512, in_seconds(1), &line), 1);
	CHECK(str_eq(buf_str(&b), STR(">NOOP\r\n<250\r\n")));
	buf_done(&b);
	stream_free(a);
	stream_free(c);
}

static void test_tap(void **state)
{
	(void)state;
	run_in_task(tap_task, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_line_lengths),
		cmocka_unit_test(test_long_line_cut_in_crlf),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_peek_and_fill),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_both_full),
		cmocka_unit_test(test_borrowed_line),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_linger),
		cmocka_unit_test(test_tap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
