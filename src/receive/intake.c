/*
 * intake - content on its way from the client to the spool, shared by DATA and BDAT.
 *
 * Octets go from the stream's buffer straight into the room that the content offers (memory or its
 * file); a reader that knows CRLF and dots runs over them, and a watch over the header section.
 * Content that cannot be taken - too big, or the disk failed - is read to its end in constant
 * memory and then refused, so that the session stays in step; far beyond the limit
 * (intake_read_max) the session ends instead.
 *
 * At the end: judge, put the trace fields before the content (D5), commit (D1), hand the message
 * to the schedule, answer. The schedule comes before the answer: from the commit on the message is
 * ours, so it gets its owner (D9) before anything else can suspend or fail; writing to a peer can
 * do both. It costs one post.
 *
 * Suspends. Nothing of a reception's scratch memory is held across a suspension.
 */
#include "receive/intake.h"

#include "base/mem.h"
#include "mail/trace.h"
#include "net/tls.h"

#include <errno.h>

#define RATE_GRACE (30 * SECOND)
#define READ_SLACK (1024 * 1024)	/* octets; a small size_max shall not make it unkind */
#define TO_LOGGED 3			/* recipients named in the log */
#define ENCRYPTION_MAX 128		/* octets of version, cipher and bits */

void intake_begin(struct session *s)
{
	struct intake *i = arena_zalloc(&s->transaction.arena, sizeof(*i));

	i->content = content_new(s->reception->receive->spool, s->transaction.size);
	s->transaction.intake = i;
	s->transaction.pace.began = loop_now();
}

void intake_drop(struct intake *i)
{
	content_unref(i->content);
	i->content = NULL;
}

/* ---- octets come in */

uint64_t intake_read_max(const struct session *s)
{
	uint64_t size = s->config->message.size_max;

	return size > UINT64_MAX / 4 ? UINT64_MAX / 2 : 2 * size + READ_SLACK;
}

/* By then more must have come, or the average would fall below the lowest rate. */
static uint64_t pace_deadline(const struct session *s, const struct pace *p)
{
	if (!s->listen->rate_min)
		return NEVER;
	return p->began + RATE_GRACE + p->octets / s->listen->rate_min * SECOND;
}

bool intake_is_late(const struct session *s, const struct pace *p)
{
	return loop_now() > pace_deadline(s, p);
}

int intake_wait(struct session *s, const struct pace *p)
{
	uint64_t deadline = session_deadline(s, s->listen->data_timeout_ns);
	uint64_t paced = pace_deadline(s, p);
	ssize_t n;
	int r;

	if (stream_unsent(s->stream) && (r = session_flush(s)) < 0)
		return r;
	n = stream_fill(s->stream, paced < deadline ? paced : deadline);
	if (n == 0)
		return session_lost(s);
	return n < 0 ? (int)n : 0;
}

static char *thrown(struct session *s)
{
	struct reception *r = s->reception;

	if (!r->thrown)
		r->thrown = mem_alloc(THROWN_MAX);
	return r->thrown;
}

/* Gives up content that has become too big, or that the disk did not take. */
static void check_size(struct session *s, struct intake *i)
{
	if (i->error || i->reader.octets > s->config->message.size_max)
		intake_drop(i);
}

size_t intake_dotted(struct session *s, struct str in)
{
	struct intake *i = s->transaction.intake;
	size_t used, written;
	char *room = NULL;

	in = str_sub(in, 0, STREAM_BUFFER);
	if (i->content) {
		i->error = content_room(i->content, in.n + 2, &room);
		check_size(s, i);
	}
	if (!i->content)
		room = thrown(s);
	used = data_read(&i->reader, in.p, in.n, room, &written);
	if (i->content)
		content_added(i->content, written);
	if (!i->watch.ended)
		header_watch(&i->watch, room, written);
	check_size(s, i);
	return used;
}

void intake_plain(struct session *s, struct str in)
{
	struct intake *i = s->transaction.intake;

	data_check(&i->reader, in.p, in.n);
	if (!i->watch.ended)
		header_watch(&i->watch, in.p, in.n);
	if (i->content)
		i->error = content_add(i->content, in.p, in.n);
	check_size(s, i);
}

/* ---- all is there: judge */

/* RFC 5321 3.3: 554, or 503 where no RCPT was tried. */
struct reply intake_no_recipients(const struct session *s)
{
	if (s->transaction.refused_n)
		return REPLY(554, 5, 5, 1, "No valid recipients");
	return REPLY(503, 5, 5, 1, "Send RCPT first");
}

struct reply intake_queue_full(void)
{
	return REPLY(452, 4, 3, 1, "Too much mail waits here, try again later");
}

static struct reply disk_trouble(int error)
{
	if (error == -ENOSPC || error == -EDQUOT || error == -EFBIG)
		return REPLY(452, 4, 3, 1, "No room for mail, try again later");
	return REPLY(451, 4, 3, 0, "Cannot store mail, try again later");
}

struct reply intake_trouble(const struct session *s)
{
	const struct intake *i = s->transaction.intake;

	if (i->reader.octets > s->config->message.size_max)
		return REPLY(552, 5, 3, 4, "Message too big");
	return i->error ? disk_trouble(i->error) : (struct reply){ 0 };
}

/* Hops: RFC 5321 6.3. Bare CR and LF: D7; a BINARYMIME body may hold them (RFC 3030 3). */
static struct reply judge(const struct session *s)
{
	const struct intake *i = s->transaction.intake;
	struct reply reply = intake_trouble(s);

	if (reply.code)
		return reply;
	if (i->reader.bare && s->transaction.body != BODY_BINARYMIME)
		return REPLY(554, 5, 6, 0, "A line ends in CR LF; a bare CR or LF is not mail");
	if (i->watch.received > s->config->message.hops_max)
		return REPLY(554, 5, 4, 6, "Too many hops, this mail goes in circles");
	return reply;
}

/* ---- all is there: the message */

/* RFC 3848; RFC 6531 4.3 for mail that came with SMTPUTF8. S: by TLS, A: after AUTH. */
static struct str protocol(const struct session *s)
{
	static const struct str names[2][4] = {
		{ { "ESMTP", 5 }, { "ESMTPS", 6 }, { "ESMTPA", 6 }, { "ESMTPSA", 7 } },
		{ { "UTF8SMTP", 8 }, { "UTF8SMTPS", 9 }, { "UTF8SMTPA", 9 }, { "UTF8SMTPSA", 10 } },
	};

	if (!s->extended)
		return STR("SMTP");
	return names[s->transaction.smtputf8][session_has_tls(s) + 2 * (s->client.login.n > 0)];
}

/* "TLSv1.3 TLS_AES_256_GCM_SHA384 256 bits" */
static struct str encryption(const struct session *s, char *text, size_t size)
{
	const struct tls_facts *f = stream_tls(s->stream);

	if (!f)
		return STR_NONE;
	snprintf(text, size, "%s %s %u bits", f->version, f->cipher, f->bits);
	return str_of(text);
}

/* Mail of our own clients gets what it lacks (D5); that of others stays as it is. */
static bool is_submitted(const struct session *s)
{
	return s->client.is_local || s->client.login.n || s->listen->submission;
}

static void add_received(struct buf *out, const struct session *s, struct str id, int64_t time_s)
{
	const struct transaction *t = &s->transaction;
	char client[5 + ENDPOINT_TEXT_MAX] = "IPv6:", tls[ENCRYPTION_MAX];
	struct trace trace = {
		.helo = s->helo,
		.client_name = str_of(s->stranger.name),
		.tls = encryption(s, tls, sizeof(tls)),
		.hostname = s->config->hostname,
		.protocol = protocol(s),
		.id = id,
		.recipient = t->recipients_n == 1 ? t->recipients[0].address : STR_NONE,
		.time_s = time_s,
	};

	ip_text(client + 5, &s->client.ip);
	trace.client = str_of(s->client.ip.family == 6 ? client : client + 5);
	received_format(out, &trace);
}

/* What stands before the content: D5. Borrowed from the reception until the next suspension. */
static struct str make_head(const struct session *s, struct str id, int64_t time_s)
{
	const struct intake *i = s->transaction.intake;
	struct buf *out = &s->reception->head;

	buf_clear(out);
	add_received(out, s, id, time_s);
	if (is_submitted(s) && !i->watch.has_message_id) {
		buf_add_lit(out, "Message-ID: <");
		buf_add_str(out, id);
		buf_add_byte(out, '@');
		buf_add_str(out, s->config->hostname);
		buf_add_lit(out, ">\r\n");
	}
	if (is_submitted(s) && !i->watch.has_date) {
		buf_add_lit(out, "Date: ");
		date_format(out, time_s);
		buf_add_lit(out, "\r\n");
	}
	return buf_str(out);
}

/* What the next hop must be able to take: what was announced, or more if more was seen. */
static enum body body_of(const struct session *s)
{
	if (s->transaction.body == BODY_7BIT && s->transaction.intake->reader.eightbit)
		return BODY_8BITMIME;
	return s->transaction.body;
}

static struct message *make_message(const struct session *s, int64_t wall_ms)
{
	const struct transaction *t = &s->transaction;
	char client[ENDPOINT_TEXT_MAX];
	struct envelope e = {
		.sender = t->sender.whole,
		.envid = t->envid,
		.client = str_of(ip_text(client, &s->client.ip)),
		.login = s->client.login,
		.body = body_of(s),
		.ret = t->ret,
		.smtputf8 = t->smtputf8,
		.requires_tls = t->requires_tls,
		.local = s->client.is_local,
		.tag = t->tag,
		.arrived_ms = wall_ms,
		.recipients = t->recipients,
		.recipients_n = t->recipients_n,
	};

	return message_new(&e, t->intake->content);
}

/* ---- all is there: into the spool */

static void log_received(const struct session *s, const struct message *m)
{
	const struct transaction *t = &s->transaction;
	struct buf *to = &s->reception->head;

	buf_clear(to);
	for (uint32_t i = 0; i < t->recipients_n && i < TO_LOGGED; i++) {
		if (i)
			buf_add_byte(to, ',');
		buf_add_str(to, t->recipients[i].address);
	}
	log_begin(LOG_RECEIVED);
	log_cstr("session", s->id);
	log_id("id", &m->id);
	log_str("from", t->sender.whole.n ? t->sender.whole : STR("<>"));
	log_str("to", buf_str(to));
	log_u64("nrcpt", t->recipients_n);
	log_u64("size", m->size);
	log_str("tag", message_tag(m));
	log_ip("client", &s->client.ip);
	log_str("helo", s->helo);
	log_str("login", s->login);
	log_cstr("tls", session_has_tls(s) ? stream_tls(s->stream)->version : "no");
	log_cstr("message_id", t->intake->watch.message_id);
	log_ms("ms", loop_now() - t->began);
	log_end();
}

/* Seals the content and commits the message; *ret is what was committed, counted for the caller. */
static int store(struct session *s, struct message_id id, struct str id_text,
		 struct message **ret) SUSPENDS
{
	struct spool *spool = s->reception->receive->spool;
	struct content *content = s->transaction.intake->content;
	int64_t wall_ms = loop_wall_ms();
	struct message *m;
	struct batch *b;
	int r;

	content_set_head(content, make_head(s, id_text, wall_ms / 1000));
	r = content_seal(content);
	if (r < 0)
		return r;
	m = make_message(s, wall_ms);
	m->id = id;
	b = batch_new(spool);
	batch_message(b, m);
	r = spool_commit(spool, b);
	if (r < 0)
		message_unref(m);
	else
		*ret = m;
	return r;
}

static int say_queued(struct session *s, struct str id) SUSPENDS
{
	const struct str pieces[] = { STR("250 2.0.0 Queued as "), id, STR("\r\n") };

	return session_say_all(s, pieces, 3);
}

int intake_finish(struct session *s)
{
	struct receive *receive = s->reception->receive;
	struct message_id id;
	char text[ID_TEXT_MAX];
	struct message *m;
	struct reply reply = judge(s);
	uint32_t places = s->transaction.recipients_n;
	int r;

	if (reply.code)
		return session_refuse(s, reply);
	if (!spool_take_places(receive->spool, places))
		return session_refuse(s, intake_queue_full());
	id = spool_next_id(receive->spool);
	r = store(s, id, str_of(id_format(text, &id)), &m);
	spool_give_back_places(receive->spool, places);
	task_uncancel();	/* cut while it was committed: the outcome is told, then it ends */
	if (r == -ESHUTDOWN) {	/* D4: nobody knows whether it is safe, so nothing is said */
		s->silent = true;
		return session_end(s, "spool");
	}
	if (r < 0)
		return session_refuse(s, disk_trouble(r));
	schedule_add(receive->schedule, m);
	session_has_brought(s);
	log_received(s, m);
	if (receive->help.strangers)
		strangers_good(receive->help.strangers, s->config, session_clients(s), &s->client,
			       &s->stranger, m->size, s->transaction.size);
	message_unref(m);
	return say_queued(s, str_of(text));
}
