/*
 * compose - makes the message that a notice is: report, original, envelope; see service.h.
 *
 * The original is looked at first: its header section is kept, and if the sender wants all of it
 * back (RET=FULL) and it is small enough, its bytes are checked for what a MIME part may hold. A
 * bare CR or LF (only BINARYMIME has them, D7), a NUL, or a line over 998 octets: then only the
 * cleaned header section comes along. What fits is streamed from the spool into the notice in a
 * second reading, so memory is bounded by a header section, not by mails.
 *
 * Of a message that came with REQUIRETLS nothing comes along (RFC 8689 5): the way back may have no
 * TLS, and its sender shall hear of the failure all the same.
 *
 * Suspends in the spool's calls. What it works on stands on the heap, as task stacks are small.
 */
#include "bounce/service.h"

#include "base/mem.h"
#include "mail/header.h"
#include "smtp/data.h"

#include <errno.h>

#define REPORT_MAX (64 * 1024)		/* octets of a report apart from headers and recipients */
#define RECIPIENT_REPORT_MAX (8 * 1024)	/* octets of it for each recipient */

/* What the original is like. */
struct original {
	struct buf head;		/* owned; the header section */
	struct header_watch watch;
	struct data_reader lines;
	bool has_nul;
	bool readable;
};

struct composition {
	struct spool *spool;
	const struct notice_order *order;
	struct content_reader reader;
	struct original original;
	struct notice notice;
	struct content *content;	/* counted */
	struct buf text;		/* owned */
	char id[ID_TEXT_MAX], about_id[ID_TEXT_MAX], boundary[48];
};

static bool is_full_wanted(const struct notice_order *o)
{
	/* RET is about failures only (RFC 3461 4.3), and the postmaster has no claim to the
	 * contents. */
	return o->kind == NOTICE_FAILED && !o->to_postmaster && o->about->ret == RET_FULL &&
	       !o->about->requires_tls && o->about->body != BODY_BINARYMIME &&
	       o->about->size <= o->config->message.bounce_size_max;
}

static void look_at(struct original *g, struct str piece)
{
	size_t room = NOTICE_HEADERS_MAX - g->head.n;

	if (!g->watch.ended)
		buf_add_str(&g->head, str_sub(piece, 0, room));
	header_watch(&g->watch, piece.p, piece.n);
	data_check(&g->lines, piece.p, piece.n);
	g->has_nul |= str_find(piece, '\0') >= 0;
}

/* Reads as much of the original as is needed. Only cancellation is an error. */
static int look(struct composition *c, bool all) SUSPENDS
{
	struct original *g = &c->original;
	struct str piece;
	int r;

	g->head = BUF_INIT(NOTICE_HEADERS_MAX);
	while ((r = content_reader_next(&c->reader, &piece)) > 0) {
		look_at(g, piece);
		if (!all && (g->watch.ended || g->head.n == NOTICE_HEADERS_MAX))
			break;
	}
	if (r == -ECANCELED)
		return r;
	g->head.n = header_length(buf_str(&g->head));
	g->readable = r >= 0;
	return 0;
}

/* Whether all of it may stand in a MIME part as it is. */
static bool is_fit(const struct original *g)
{
	return g->readable && !g->lines.bare && !g->has_nul && g->lines.line_max <= NOTICE_LINE_MAX;
}

/* A message that came with SMTPUTF8 needs it in the report only if something in it is not ASCII. */
static bool needs_utf8(const struct composition *c)
{
	const struct message *m = c->order->about;

	if (!m->smtputf8)
		return false;
	if (!str_is_ascii(message_sender(m)) || !str_is_ascii(buf_str(&c->original.head)))
		return true;
	for (unsigned i = 0; i < c->order->recipients_n; i++)
		if (!str_is_ascii(c->order->recipients[i].address) ||
		    !str_is_ascii(c->order->recipients[i].orcpt))
			return true;
	return false;
}

static void boundary_make(char dst[48])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t noise[16];

	world_self()->random(world_self(), noise, sizeof(noise));
	memcpy(dst, "relevo", 6);
	for (size_t i = 0; i < sizeof(noise); i++) {
		dst[6 + 2 * i] = digits[noise[i] >> 4];
		dst[7 + 2 * i] = digits[noise[i] & 15];
	}
	dst[6 + 2 * sizeof(noise)] = '\0';
}

static void describe(struct composition *c, bool full, const struct message_id *id)
{
	const struct notice_order *o = c->order;
	struct str headers = STR_NONE;

	if (c->original.readable && !o->about->requires_tls)
		headers = buf_str(&c->original.head);
	boundary_make(c->boundary);
	c->notice = (struct notice){
		.kind = o->kind,
		.to_postmaster = o->to_postmaster,
		.hostname = o->config->hostname,
		.sender = message_sender(o->about),
		.to = o->to,
		.envid = message_envid(o->about),
		.id = str_of(id_format(c->about_id, &o->about->id)),
		.notice_id = str_of(id_format(c->id, id)),
		.boundary = str_of(c->boundary),
		.arrived_ms = o->about->arrived_ms,
		.now_ms = loop_wall_ms(),
		.full = full,
		.smtputf8 = needs_utf8(c),
		.eightbit = full ? c->original.lines.eightbit : !str_is_ascii(headers),
		.headers = headers,
		.recipients = o->recipients,
		.recipients_n = o->recipients_n,
	};
}

static int add_original(struct composition *c) SUSPENDS
{
	struct str piece;
	int r;

	content_reader_rewind(&c->reader);
	while ((r = content_reader_next(&c->reader, &piece)) > 0)
		if ((r = content_add(c->content, piece.p, piece.n)) < 0)
			return r;
	return r;
}

static int write_content(struct composition *c) SUSPENDS
{
	size_t max = REPORT_MAX + NOTICE_HEADERS_MAX +
		     (size_t)c->notice.recipients_n * RECIPIENT_REPORT_MAX;
	int r;

	c->text = BUF_INIT(max);
	if (!notice_start(&c->text, &c->notice))
		return -EMSGSIZE;
	c->content =
		content_new(c->spool, c->text.n + (c->notice.full ? c->order->about->size : 0));
	if ((r = content_add(c->content, c->text.p, c->text.n)) < 0)
		return r;
	if (c->notice.full && (r = add_original(c)) < 0)
		return r;
	buf_clear(&c->text);
	notice_end(&c->text, &c->notice);
	if ((r = content_add(c->content, c->text.p, c->text.n)) < 0)
		return r;
	return content_seal(c->content);
}

static struct message *make_message(const struct composition *c, const struct message_id *id)
{
	const struct envelope_recipient recipient = {
		.address = c->order->to,
		.route = c->order->route,
		.notify = NOTIFY_NEVER,		/* RFC 3461 6.2 */
	};
	const struct envelope e = {
		.body = c->notice.eightbit || c->notice.smtputf8 ? BODY_8BITMIME : BODY_7BIT,
		/*
		 * UTF-8 in the parts is 8-bit content; only the addressee's own needs the path
		 * for it
		 */
		.smtputf8 = !str_is_ascii(c->order->to),
		.local = true,
		.is_bounce = true,
		.arrived_ms = c->notice.now_ms,
		.recipients = &recipient,
		.recipients_n = 1,
	};
	struct message *m = message_new(&e, c->content);

	m->id = *id;
	return m;
}

static int compose(struct composition *c, struct message **ret) SUSPENDS
{
	struct message_id id = spool_next_id(c->spool);
	bool full = is_full_wanted(c->order);
	int r;

	if (content_reader_open(&c->reader, c->spool, c->order->about) == 0) {
		if ((r = look(c, full)) < 0)
			return r;
	}
	describe(c, full && is_fit(&c->original), &id);
	r = write_content(c);
	if (r == -EBADMSG && c->notice.full) {
		/* It was damaged between two readings. Without it, then. */
		content_unref(c->content);
		c->content = NULL;
		buf_done(&c->text);
		describe(c, false, &id);
		r = write_content(c);
	}
	if (r < 0)
		return r;
	*ret = make_message(c, &id);
	return 0;
}

int notice_compose(struct spool *s, const struct notice_order *o, struct message **ret)
{
	struct composition *c = mem_zalloc(sizeof(*c));
	int r;

	c->spool = s;
	c->order = o;
	r = compose(c, ret);
	content_reader_close(&c->reader);
	content_unref(c->content);
	buf_done(&c->text);
	buf_done(&c->original.head);
	mem_free(c);
	return r;
}
