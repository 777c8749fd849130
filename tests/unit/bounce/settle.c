/*
 * bounce/settle, compose, deadline: outcomes filed with a real spool; the schedule is a stub that
 * keeps what it is given. Writes to disk can be made to fail.
 */
#include "bounce/bounce.h"
#include "bounce/notice.h"
#include "unit/bounce/mime.h"
#include "unit/net/run.h"

#include "base/mem.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>

#define CONFIG \
	"version 1\nhostname relay.example\nstate %s\nlisten 127.0.0.1:2525\n" \
	"route inside {\n\thost 127.0.0.1:9\n}\n" \
	"route admin {\n\thost 127.0.0.1:10\n}\n" \
	"route slow {\n\thost 127.0.0.1:11\n\tretry 2h\n\twarn_after 1d\n}\n" \
	"route quiet {\n\thost 127.0.0.1:12\n\twarn_after never\n}\n" \
	"queue {\n\tretry 10m\n\twarn_after 4h\n\tgive_up_after 5d\n\tnotices_max 3\n}\n" \
	"message {\n\tbounce_size_max 2K\n}\n" \
	"%s" \
	"accept from local to domain example.org ours.example via inside\n" \
	"accept from any to domain example.net via inside\n"
#define POSTMASTER "postmaster boss@ours.example via admin\n"

/* ---- the schedule, a stub */

#define ADDED_MAX 64
static struct message *added[ADDED_MAX];	/* counted */
static unsigned added_n;
static struct job *settled;

void schedule_add(struct schedule *s, struct message *m)
{
	(void)s;
	CHECK(added_n < ADDED_MAX);
	added[added_n++] = message_ref(m);
}

unsigned job_open(const struct job *j, uint32_t *indices)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < j->recipients_n; i++)
		if (j->message->recipients[j->recipients[i]].state == RECIPIENT_QUEUED)
			indices[n++] = j->recipients[i];
	return n;
}

void schedule_settled(struct schedule *s, struct job *job)
{
	(void)s;
	settled = job;
}

/* ---- the rig */

static struct {
	char folder[64];
	struct world world;
	struct net *net;
	struct spool *spool;
	struct bounce *bounce;
	struct message *message;	/* counted; the last one made */
} rig;
static _Atomic int write_error;

static ssize_t bent_pwritev(struct world *w, int fd, const struct iovec *iov, int n,
			    uint64_t offset)
{
	int error = atomic_load(&write_error);

	return error ? error : world_real()->disk_pwritev(w, fd, iov, n, offset);
}

static void forget(void)
{
	for (unsigned i = 0; i < added_n; i++)
		message_unref(added[i]);
	added_n = 0;
	message_unref(rig.message);
	rig.message = NULL;
}

static struct config *make_config(const char *extra)
{
	struct buf messages = BUF_INIT(65536);
	unsigned errors, warnings;
	struct config *c;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/relevo.conf", rig.folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, CONFIG, rig.folder, extra);
	fclose(f);
	c = config_load(path, true, &messages, &errors, &warnings);
	if (!c)
		fail_msg("%s", buf_cstr(&messages));
	buf_done(&messages);
	return c;
}

static void found_none(void *arg, struct message *m)
{
	(void)arg;
	(void)m;
}

static void rig_open(const char *extra)
{
	char path[128];
	struct spool_options o = {
		.path = path,
		.arriving_memory_max = 64 << 20,
		.waiting_memory_max = 64 << 20,
		.segment_size = 4 << 20,
	};
	struct spool_recovery recovery;
	struct buf error = BUF_INIT(4096);

	snprintf(rig.folder, sizeof(rig.folder), "/tmp/relevo-bounce-XXXXXX");
	assert_non_null(mkdtemp(rig.folder));
	config_set_current(make_config(extra));
	rig.world = *world_real();
	rig.world.disk_pwritev = bent_pwritev;
	rig.net = net_new(&rig.world, 2, 2);
	net_start(rig.net);
	snprintf(path, sizeof(path), "%s/spool", rig.folder);
	if (spool_open(rig.net, &o, found_none, NULL, &rig.spool, &recovery, &error) < 0)
		fail_msg("%s", buf_cstr(&error));
	rig.bounce = bounce_new(rig.net, rig.spool);
	bounce_set_schedule(rig.bounce, NULL);
}

static int remove_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void rig_close(void)
{
	forget();
	bounce_stop(rig.bounce);
	spool_close(rig.spool);
	net_stop(rig.net);
	bounce_free(rig.bounce);
	config_set_current(NULL);
	nftw(rig.folder, remove_file, 16, FTW_DEPTH | FTW_PHYS);
}

static void in_task(void (*fn)(void *arg), void *arg)
{
	run_on(net_loop(rig.net, 0), fn, arg, true);
}

/* ---- a message in the spool */

struct original {
	struct str content;
	struct envelope e;
	int64_t age_ms;
};

static void make_task(void *arg)
{
	struct original *o = arg;
	struct content *c = content_new(rig.spool, 0);
	struct batch *b;

	CHECK_EQ(content_add(c, o->content.p, o->content.n), 0);
	CHECK_EQ(content_seal(c), 0);
	o->e.arrived_ms = loop_wall_ms() - o->age_ms;
	rig.message = message_new(&o->e, c);
	content_unref(c);
	b = batch_new(rig.spool);
	batch_message(b, rig.message);
	CHECK_EQ(spool_commit(rig.spool, b), 0);
}

#define TEXT "Message-ID: <1@example.org>\r\nSubject: hello\r\n\r\nthe body\r\n"
#define HOUR_MS (3600 * 1000ll)

/* Two recipients; what is not set is usual. */
static void make(struct original o, unsigned notify)
{
	const struct envelope_recipient recipients[] = {
		{ .address = STR("bob@example.net"), .route = STR("inside"), .notify = notify },
		{ .address = STR("eve@example.net"), .route = STR("inside"), .notify = notify },
	};

	forget();
	if (!o.content.p)
		o.content = STR(TEXT);
	o.e.recipients = recipients;
	o.e.recipients_n = 2;
	in_task(make_task, &o);
}

/* ---- settling it */

struct call {
	struct outcome outcomes[2];
	unsigned n;
	int result;
	bool is_cancelled;
};

static void settle_task(void *arg)
{
	struct call *c = arg;

	c->result = bounce_settle(rig.bounce, rig.message, c->outcomes, c->n, 1);
}

static const struct outcome said_no = {
	.state = RECIPIENT_FAILED, .attempted = true, .host = { "mx.example.net (192.0.2.1)", 26 },
	.reply = { 550, { 5, 1, 1 }, { "no such user", 12 } },
};
static const struct outcome said_later = {
	.state = RECIPIENT_QUEUED, .attempted = true, .host = { "mx.example.net (192.0.2.1)", 26 },
	.reply = { 450, { 4, 2, 0 }, { "busy", 4 } },
};
static const struct outcome said_yes = {
	.state = RECIPIENT_RELAYED, .attempted = true, .reply = { 250, { 2, 0, 0 }, { "ok", 2 } },
};

static int settle(struct outcome first, const struct outcome *second)
{
	struct call c = { .outcomes = { first }, .n = second ? 2 : 1 };

	if (second) {
		c.outcomes[1] = *second;
		c.outcomes[1].recipient = 1;
	}
	in_task(settle_task, &c);
	return c.result;
}

static struct buf text = BUF_INIT(1 << 20);

static void read_task(void *arg)
{
	struct message *m = arg;
	struct content_reader r;
	struct str slice;

	buf_clear(&text);
	CHECK_EQ(content_reader_open(&r, rig.spool, m), 0);
	while (content_reader_next(&r, &slice) == 1)
		buf_add_str(&text, slice);
	content_reader_close(&r);
}

/* The only notice that was made, taken apart. */
static void read_notice(struct report *ret, const char *to, const char *route)
{
	struct message *m = added[0];

	assert_int_equal(added_n, 1);
	assert_int_equal(m->sender_n, 0);
	assert_true(m->is_bounce);
	assert_int_equal(m->recipients[0].notify, NOTIFY_NEVER);
	assert_str_equal(recipient_address(m, 0), str_of(to));
	assert_str_equal(recipient_route(m, 0), str_of(route));
	in_task(read_task, m);
	assert_int_equal(text.n, m->size);
	assert_sound(buf_str(&text), m->body == BODY_7BIT);
	report_parse(ret, buf_str(&text));
}

#define ANN .sender = STR("ann@example.org")

static void test_failure(void **state)
{
	struct report r;

	(void)state;
	rig_open("");
	make((struct original){ .e = { ANN } }, 0);
	assert_int_equal(settle(said_no, &said_later), 1);
	read_notice(&r, "ann@example.org", "inside");
	assert_field(r.top, "References", "<1@example.org>");
	assert_field(block(r.bodies[1], 1), "Final-Recipient", "rfc822; bob@example.net");
	assert_false(has_text(r.bodies[1], "eve"));
	assert_field(r.headers[2], "Content-Type", "text/rfc822-headers");
	assert_int_equal(rig.message->recipients[0].state, RECIPIENT_FAILED);
	assert_int_equal(rig.message->recipients[1].state, RECIPIENT_QUEUED);
	assert_true(rig.message->recipients[1].next_ms > rig.message->arrived_ms + 8 * 60 * 1000);
	assert_int_equal(rig.message->open_n, 1);
	rig_close();
}

static void test_success(void **state)
{
	struct report r;
	struct outcome passed = said_yes;

	(void)state;
	rig_open("");
	make((struct original){ .e = { ANN } }, NOTIFY_SUCCESS);
	passed.dsn_passed = true;
	assert_int_equal(settle(said_yes, &passed), 0);
	read_notice(&r, "ann@example.org", "inside");
	assert_field(block(r.bodies[1], 1), "Action", "relayed");
	assert_false(has_text(r.bodies[1], "eve"));
	assert_int_equal(rig.message->open_n, 0);
	make((struct original){ .e = { ANN } }, 0);
	assert_int_equal(settle(said_yes, &said_yes), 0);
	assert_int_equal(added_n, 0);
	rig_close();
}

static void test_warning_and_expiry(void **state)
{
	struct report r;

	(void)state;
	rig_open("");
	make((struct original){ .e = { ANN }, .age_ms = 5 * HOUR_MS }, 0);
	assert_int_equal(settle(said_later, &said_later), 2);
	read_notice(&r, "ann@example.org", "inside");
	assert_field(block(r.bodies[1], 1), "Action", "delayed");
	assert_field(block(r.bodies[1], 2), "Action", "delayed");
	assert_field(block(r.bodies[1], 1), "Status", "4.2.0");
	/* Once. */
	assert_int_equal(settle(said_later, &said_later), 2);
	assert_int_equal(added_n, 1);
	make((struct original){ .e = { ANN }, .age_ms = 121 * HOUR_MS }, 0);
	assert_int_equal(settle(said_later, &said_later), 0);
	read_notice(&r, "ann@example.org", "inside");
	assert_field(block(r.bodies[1], 1), "Status", "5.4.7");
	assert_field(block(r.bodies[1], 1), "Diagnostic-Code", "smtp; 450 4.2.0 busy");
	rig_close();
}

/* ---- one message for several destinations */

static const struct envelope_recipient scattered[] = {
	{ .address = STR("a@one.example"), .route = STR("inside") },
	{ .address = STR("b@two.example"), .route = STR("inside"), .notify = NOTIFY_FAILURE },
	{ .address = STR("c@three.example"), .route = STR("slow") },
	{ .address = STR("d@four.example"), .route = STR("quiet") },
	{ .address = STR("e@five.example"), .route = STR("inside") },
	{ .address = STR("f@six.example"), .route = STR("inside") },
};
#define SCATTERED (sizeof(scattered) / sizeof(scattered[0]))

static void make_scattered(int64_t age_ms)
{
	struct original o = { .content = STR(TEXT), .age_ms = age_ms, .e = { ANN } };

	forget();
	o.e.recipients = scattered;
	o.e.recipients_n = SCATTERED;
	in_task(make_task, &o);
}

/* The first delay that is due tells of all who still wait, and none is told of again. */
static void test_one_warning(void **state)
{
	struct outcome of_three = said_later, of_six = said_yes;
	struct str part;
	struct report r;

	(void)state;
	rig_open("");
	make_scattered(5 * HOUR_MS);
	of_three.recipient = 2;
	of_six.recipient = 5;
	assert_int_equal(settle(of_six, NULL), 0);
	assert_int_equal(settle(of_three, NULL), 1);	/* by a route that warns in a day */
	assert_int_equal(added_n, 0);
	assert_int_equal(settle(said_later, NULL), 1);
	read_notice(&r, "ann@example.org", "inside");
	part = r.bodies[1];
	assert_field(block(part, 1), "Final-Recipient", "rfc822; a@one.example");
	assert_field(block(part, 1), "Action", "delayed");
	assert_field(block(part, 2), "Final-Recipient", "rfc822; c@three.example");
	assert_field(block(part, 2), "Diagnostic-Code", "smtp; 450 4.2.0 busy");
	assert_field(block(part, 2), "Remote-MTA", "dns; mx.example.net (192.0.2.1)");
	assert_field(block(part, 3), "Final-Recipient", "rfc822; e@five.example");
	assert_field(block(part, 3), "Action", "delayed");
	assert_false(has_text(part, "two.example"));	/* wants to hear of failures only */
	assert_false(has_text(part, "four.example"));	/* its route never warns */
	assert_false(has_text(part, "six.example"));	/* is through */
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(rig.message->recipients[i].warned, 1);
	assert_int_equal(rig.message->recipients[2].attempts, 1);	/* as before */
	assert_true(rig.message->recipients[2].next_ms > 0);
	assert_int_equal(rig.message->recipients[4].attempts, 0);
	rig.message->arrived_ms -= 24 * HOUR_MS;	/* past the other route's time, too */
	assert_int_equal(settle(of_three, NULL), 1);
	assert_int_equal(added_n, 1);
	rig_close();
}

/* Half of the destinations, on one core; all of their tasks at once. */
struct half {
	unsigned core;
	struct call calls[SCATTERED];
};

static void half_task(void *arg)
{
	struct half *h = arg;
	struct task_group g;

	task_group_init(&g);
	for (unsigned i = h->core; i < SCATTERED; i += 2) {
		h->calls[i] = (struct call){ .n = 1 };
		h->calls[i].outcomes[0] = (struct outcome){ .recipient = i };
		CHECK(task_start(&g, settle_task, &h->calls[i], "settle"));
	}
	CHECK_EQ(task_group_wait(&g, in_seconds(20)), 0);
}

static void *half_thread(void *arg)
{
	struct half *h = arg;

	run_on(net_loop(rig.net, h->core), half_task, h, true);
	return NULL;
}

/* All destinations come to it at the same moment: one notice, and in the end all are marked. */
static void test_warnings_race(void **state)
{
	static struct half halves[2];
	pthread_t threads[2];

	(void)state;
	rig_open("");
	for (unsigned round = 0; round < 20; round++) {
		struct half last = { .core = 0 };

		make_scattered(30 * HOUR_MS);
		for (unsigned i = 0; i < 2; i++) {
			halves[i].core = i;
			assert_int_equal(
				pthread_create(&threads[i], NULL, half_thread, &halves[i]), 0);
		}
		for (unsigned i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(added_n, round < 3 ? 1 : 0);	/* notices_max 3 */
		/* Who came second while the first was at it comes again. */
		half_thread(&last);
		last.core = 1;
		half_thread(&last);
		for (unsigned i = 0; i < SCATTERED; i++)
			assert_int_equal(rig.message->recipients[i].warned, 1);
		assert_int_equal(added_n, round < 3 ? 1 : 0);
	}
	rig_close();
}

/* An operator's word: a notice, the recipients are final, or nothing at all. */
struct returning {
	const uint32_t *recipients;
	unsigned n;
	struct str why;
	int result;
};

static void return_task(void *arg)
{
	struct returning *r = arg;

	r->result = bounce_return(rig.bounce, rig.message, r->recipients, r->n, r->why);
}

static void test_return(void **state)
{
	static const uint32_t some[] = { 0, 1, 5 };
	struct returning back = { .recipients = some, .n = 3, .why = STR("sent by mistake") };
	struct outcome of_six = said_yes;
	struct report r;

	(void)state;
	rig_open("");
	make_scattered(0);
	of_six.recipient = 5;
	assert_int_equal(settle(of_six, NULL), 0);
	atomic_store(&write_error, -EIO);
	in_task(return_task, &back);
	atomic_store(&write_error, 0);
	assert_true(back.result < 0);
	assert_int_equal(added_n, 0);
	assert_int_equal(atomic_load(&rig.message->open_n), 5);
	for (int i = 0; i < 100 && back.result < 0; i++) {	/* the spool tries a while later */
		usleep(50000);
		in_task(return_task, &back);
	}
	assert_int_equal(back.result, 2);		/* the sixth is through */
	read_notice(&r, "ann@example.org", "inside");
	assert_field(block(r.bodies[1], 1), "Final-Recipient", "rfc822; a@one.example");
	assert_field(block(r.bodies[1], 1), "Action", "failed");
	assert_field(block(r.bodies[1], 1), "Status", "5.7.1");
	assert_field(block(r.bodies[1], 1), "Diagnostic-Code",
		     "x-relevo; 550 5.7.1 sent by mistake");
	assert_field(block(r.bodies[1], 2), "Final-Recipient", "rfc822; b@two.example");
	assert_true(has_text(r.bodies[0], "It was refused here"));
	assert_false(has_text(r.bodies[1], "six.example"));
	assert_int_equal(rig.message->recipients[0].state, RECIPIENT_FAILED);
	assert_string_equal(rig.message->recipients[0].last, "550 5.7.1 sent by mistake");
	assert_int_equal(rig.message->recipients[2].state, RECIPIENT_QUEUED);
	assert_int_equal(rig.message->recipients[5].state, RECIPIENT_RELAYED);
	in_task(return_task, &back);
	assert_int_equal(back.result, 0);		/* there is none left of them */
	assert_int_equal(added_n, 1);
	rig_close();
}

/* The waits are those of the recipient's route; a time that the outcome brings goes before. */
static void test_route_waits(void **state)
{
	struct outcome of_three = said_later, own_time = said_later;
	int64_t now_ms = 0;

	(void)state;
	rig_open("");
	make_scattered(0);
	now_ms = rig.message->arrived_ms;
	of_three.recipient = 2;
	own_time.recipient = 4;
	own_time.next_ms = now_ms + 77777;
	assert_int_equal(settle(said_later, NULL), 1);
	assert_int_equal(settle(of_three, NULL), 1);
	assert_int_equal(settle(own_time, NULL), 1);
	assert_in_range(rig.message->recipients[0].next_ms - now_ms, 9 * 60000, 12 * 60000);
	assert_in_range(rig.message->recipients[2].next_ms - now_ms, 108 * 60000, 133 * 60000);
	assert_int_equal(rig.message->recipients[4].next_ms - now_ms, 77777);
	rig_close();
}

/* Whose sender cannot be told: the postmaster, once, if there is one. */
static void test_no_sender(void **state)
{
	static const struct {
		const char *extra, *sender;
		bool is_bounce;
		unsigned notices;
	} rows[] = {
		{ "", "", true, 0 },
		{ "", "x@unroutable.example", false, 0 },
		{ POSTMASTER, "", true, 1 },
		{ POSTMASTER, "", false, 1 },
		{ POSTMASTER, "x@unroutable.example", false, 1 },
	};
	struct report r;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct original o = {
			.e = {.sender = str_of(rows[i].sender), .is_bounce = rows[i].is_bounce}};

		rig_open(rows[i].extra);
		make(o, 0);
		assert_int_equal(settle(said_no, &said_no), 0);
		assert_int_equal(added_n, rows[i].notices);
		assert_int_equal(rig.message->open_n, 0);
		if (added_n) {
			read_notice(&r, "boss@ours.example", "admin");
			/* The notice fails as well: there it ends. */
			message_unref(rig.message);
			rig.message = message_ref(added[0]);
			assert_int_equal(settle(said_no, NULL), 0);
			assert_int_equal(added_n, 1);
		}
		rig_close();
	}
}

static void test_limit(void **state)
{
	unsigned made = 0;

	(void)state;
	rig_open("");
	for (int i = 0; i < 5; i++) {
		make((struct original){ .e = { ANN } }, 0);
		assert_int_equal(settle(said_no, &said_no), 0);
		made += added_n;
	}
	assert_int_equal(made, 3);
	rig_close();
}

/* What comes along: all of it only if wanted, small and fit. */
static void test_original(void **state)
{
	static char large[4096], line[1500];
	const struct {
		const char *name;
		struct str content;
		enum dsn_ret ret;
		enum body body, notice_body;
		const char *type;
	} rows[] = {
		{"headers", STR(TEXT), RET_HDRS, BODY_7BIT, BODY_7BIT, "text/rfc822-headers"},
		{"unset", STR(TEXT), RET_UNSET, BODY_7BIT, BODY_7BIT, "text/rfc822-headers"},
		{"full", STR(TEXT), RET_FULL, BODY_7BIT, BODY_7BIT, "message/rfc822"},
		{"8 bit", STR("A: b\r\n\r\n\xe4\xf6\r\n"), RET_FULL, BODY_8BITMIME, BODY_8BITMIME,
		 "message/rfc822"},
		{"8 bit unsaid", STR("A: \xe4\r\n\r\nx"), RET_UNSET, BODY_7BIT, BODY_8BITMIME,
		 "text/rfc822-headers"},
		{"large",
		 {large, sizeof(large)},
		 RET_FULL,
		 BODY_7BIT,
		 BODY_7BIT,
		 "text/rfc822-headers"},
		{"long line",
		 {line, sizeof(line)},
		 RET_FULL,
		 BODY_7BIT,
		 BODY_7BIT,
		 "text/rfc822-headers"},
		{"NUL", STR("A: b\r\n\r\n\0\r\n"), RET_FULL, BODY_7BIT, BODY_7BIT,
		 "text/rfc822-headers"},
		{"binary", STR("A: b\nc\r\n\r\nx\ny\r"), RET_FULL, BODY_BINARYMIME, BODY_7BIT,
		 "text/rfc822-headers"},
		{"nothing", STR(""), RET_FULL, BODY_7BIT, BODY_7BIT, "message/rfc822"},
		{"no header", STR("\r\nbody\r\n"), RET_FULL, BODY_7BIT, BODY_7BIT,
		 "message/rfc822"},
		{"dots", STR("A: b\r\n\r\n.\r\n..\r\n"), RET_FULL, BODY_7BIT, BODY_7BIT,
		 "message/rfc822"},
	};
	struct report r;

	(void)state;
	memcpy(line, "A: b\r\n\r\n", 8);
	memset(line + 8, 'x', sizeof(line) - 8);
	memcpy(large, "A: b\r\n\r\n", 8);
	for (size_t i = 8; i < sizeof(large); i++)
		large[i] = "text\r\n"[(i - 8) % 6];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct original o = {.content = rows[i].content,
				     .e = {ANN, .ret = rows[i].ret, .body = rows[i].body}};

		rig_open("");
		make(o, 0);
		assert_int_equal(settle(said_no, &said_no), 0);
		read_notice(&r, "ann@example.org", "inside");
		if (strcmp(field(r.headers[2], "Content-Type"), rows[i].type) != 0 ||
		    added[0]->body != rows[i].notice_body)
			fail_msg("%s: %s, body %d", rows[i].name,
				 field(r.headers[2], "Content-Type"), added[0]->body);
		if (!strcmp(rows[i].type, "message/rfc822"))
			assert_str_equal(r.bodies[2], rows[i].content);
		rig_close();
	}
}

/* What had to go by TLS does not come back without it. */
static void test_requires_tls(void **state)
{
	struct report r;

	(void)state;
	rig_open("");
	make((struct original){ .content = STR("Subject: secret\r\n\r\nsecret\r\n"),
				.e = { ANN, .ret = RET_FULL, .requires_tls = true } }, 0);
	assert_int_equal(settle(said_no, &said_no), 0);
	read_notice(&r, "ann@example.org", "inside");
	assert_int_equal(r.parts_n, 2);
	assert_false(has_text(buf_str(&text), "secret"));
	rig_close();
}

/* SMTPUTF8 only where something needs it. */
static void test_utf8(void **state)
{
	struct report r;

	(void)state;
	rig_open("");
	make((struct original){ .e = { ANN, .smtputf8 = true } }, 0);
	assert_int_equal(settle(said_no, NULL), 0);
	read_notice(&r, "ann@example.org", "inside");
	assert_false(added[0]->smtputf8);
	make((struct original){.e = {.sender = STR("\xc3\xa4nn@example.org"), .smtputf8 = true}},
	     0);
	assert_int_equal(settle(said_no, NULL), 0);
	read_notice(&r, "\xc3\xa4nn@example.org", "inside");
	assert_true(added[0]->smtputf8);
	assert_field(r.headers[1], "Content-Type", "message/global-delivery-status; charset=utf-8");
	rig_close();
}

static void failing_task(void *arg)
{
	struct call *c = arg;
	struct task_group g;

	task_group_init(&g);
	atomic_store(&write_error, -EIO);
	CHECK(task_start(&g, settle_task, c, "settle"));
	task_sleep_until(in_ms(300));
	CHECK_EQ(g.n, 1);
	atomic_store(&write_error, 0);
	if (c->is_cancelled)
		task_group_cancel(&g);
	CHECK_EQ(task_group_wait(&g, in_seconds(30)), 0);
}

/* A sleeping settle is cancelled, and nothing was recorded. */
static void test_spool_fails(void **state)
{
	struct call c = { .outcomes = { said_no }, .n = 1, .is_cancelled = true };

	(void)state;
	rig_open("");
	make((struct original){ .e = { ANN } }, 0);
	in_task(failing_task, &c);
	assert_int_equal(c.result, -ECANCELED);
	assert_int_equal(rig.message->recipients[0].state, RECIPIENT_QUEUED);
	assert_int_equal(added_n, 0);
	rig_close();
}

/* What was said stands from the first try on; it is one attempt, however often it is recorded. */
static void test_spool_recovers(void **state)
{
	struct call c = { .outcomes = { said_later }, .n = 1 };

	(void)state;
	rig_open("");
	make((struct original){ .e = { ANN } }, 0);
	in_task(failing_task, &c);
	assert_int_equal(c.result, 1);
	assert_int_equal(rig.message->recipients[0].attempts, 1);
	rig_close();
}

static void deadline_task(void *arg)
{
	uint64_t until = in_seconds(20);

	settled = NULL;
	bounce_deadline(rig.bounce, arg);
	while (!settled && loop_now() < until)
		task_sleep_until(in_ms(5));
}

static void test_deadline(void **state)
{
	struct job *job = mem_zalloc(sizeof(*job) + 2 * sizeof(uint32_t));
	struct report r;

	(void)state;
	rig_open("");
	make((struct original){ .e = { ANN } }, 0);
	job->recipients_n = 2;
	job->recipients[1] = 1;
	job->message = rig.message;
	assert_int_equal(settle(said_later, NULL), 1);
	/* Five days later. */
	rig.message->arrived_ms -= 121 * HOUR_MS;
	in_task(deadline_task, job);
	assert_ptr_equal(settled, job);
	read_notice(&r, "ann@example.org", "inside");
	assert_field(block(r.bodies[1], 1), "Status", "5.4.7");
	assert_field(block(r.bodies[1], 1), "Remote-MTA", "dns; mx.example.net (192.0.2.1)");
	assert_field(block(r.bodies[1], 1), "Diagnostic-Code", "smtp; 450 4.2.0 busy");
	assert_field(block(r.bodies[1], 2), "Diagnostic-Code", "x-relevo; not delivered in time");
	assert_int_equal(rig.message->open_n, 0);
	mem_free(job);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_warning_and_expiry),
		cmocka_unit_test(test_one_warning),
		cmocka_unit_test(test_warnings_race),
		cmocka_unit_test(test_return),
		cmocka_unit_test(test_route_waits),
		cmocka_unit_test(test_no_sender),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_original),
		cmocka_unit_test(test_requires_tls),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_spool_fails),
		cmocka_unit_test(test_spool_recovers),
		cmocka_unit_test(test_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
