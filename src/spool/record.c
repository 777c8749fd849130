/*
 * record - the records of the log as bytes.
 *
 * Everything is little-endian. A record begins at a multiple of 8; what lies between its end and
 * the next multiple is zero. Format version 1:
 *
 *   offset octets  every record
 *        0      4  mark 0x72764c52 ("RLvr")
 *        4      1  type: 1 MESSAGE, 2 PROGRESS, 3 DONE, 4 COMMIT, 5 SEAL
 *        5      3  zero
 *        8      4  octets of envelope, e
 *       12      4  octets of content within the record, c (MESSAGE only)
 *       16      4  CRC-32C of the body; of the file's octets if the body is in a file; else 0
 *       20      4  message id: spool          } all zero in
 *       24      4  message id: incarnation    } COMMIT and SEAL
 *       28      8  message id: counter        }
 *       36      4  CRC-32C of the segment's salt, the record's offset (8 octets), octets 0-35,
 *       envelope 40      e  envelope
 *     40+e      c  content: the body as it came in, byte for byte (D5)
 *
 *   MESSAGE envelope ("text16" is 2 octets of length and that many bytes)
 *        0      1  BODY=: 0 7BIT, 1 8BITMIME, 2 BINARYMIME
 *        1      1  RET=: 0 unset, 1 FULL, 2 HDRS
 *        2      1  bits: 1 SMTPUTF8, 2 local, 4 a bounce, 8 a tag stands there,
 *                  16 REQUIRETLS
 *        3      1  flags: 1 held, 2 held by a restore
 *        4      1  crashes
 *        5      3  zero
 *        8      8  arrived, ms since 1970
 *       16      8  octets of the body
 *       24      8  the content file's name as a number; 0: the body is in the record
 *       32      4  recipients
 *       36      -  sender, envid, client, login, head: text16 each
 *        -      -  tag: text16, if that bit is set
 *        -      -  each recipient: 1 notify, 1 state, 1 warned, 1 zero, 2 attempts, 8 next attempt
 *          (ms since
 *                  1970), text16 each: address, orcpt, route, last reply
 *   PROGRESS envelope
 *        0      1  bits: 1 the next two count, 2 reroutes stand there, 4 who was warned
 *        1      1  flags
 *        2      1  crashes
 *        3      1  zero
 *        4      4  changes
 *        8      -  with bit 2: 4 how many reroutes; each: 4 recipient's index, text16 route (empty:
 *                  that of the one before). By a new route a recipient is due at once
 *        -      -  with bit 4: 4 how many recipients; each: 4 its index
 *        -      -  each change: 4 recipient's index, 1 state, 1 warned, 2 attempts (the sum), 8
 *                  next attempt, text16 last reply (empty: as before)
 *   DONE has none.
 *   COMMIT envelope
 *        0      8  segment that it stands in
 *        8      8  batch number
 *       16      8  offset of the batch's first record
 *       24      8  the highest batch on stable storage when this one was written (the checkpoint)
 *       32      4  records before this one
 *       36      4  zero
 *       40      4  octets of the batch before this record
 *       44      4  checksum of the batch: CRC-32C over each record's header checksum and content
 *       checksum
 *   SEAL envelope
 *        0      8  segment
 *        8      8  octets of it that are valid
 *       16      8  number of the first batch that is void
 *
 * The head (what we put before the body) stands in the envelope, so that a content file holds what
 * came in and nothing else, and so that the body's checksum can be computed while it arrives. A
 * batch's checksum is made of the checksums of its parts, which cover every byte: the committer,
 * one thread for all cores, need not read a message's content. Salt and offset in the header
 * checksum are why content cannot forge a record: the salt is random and never leaves the machine.
 */
#include "spool/record.h"

#include "base/crc.h"
#include "base/mem.h"

#define MARK 0x72764c52u
#define MESSAGE_FIXED 36
#define RECIPIENT_FIXED 14
#define PROGRESS_FIXED 8
#define CHANGE_FIXED 16
#define REROUTE_FIXED 4

#define BIT_SMTPUTF8 1
#define BIT_LOCAL 2
#define BIT_BOUNCE 4
#define BIT_TAG 8
#define BIT_REQUIRES_TLS 16
#define BIT_FLAGS 1
#define BIT_ROUTES 2
#define BIT_WARNED 4

/* ---- every record */

void record_put(char *to, const struct record *r)
{
	put_u32(to, MARK);
	to[4] = (char)r->type;
	memset(to + 5, 0, 3);
	put_u32(to + 8, r->envelope_n);
	put_u32(to + 12, r->content_n);
	put_u32(to + 16, r->content_crc);
	put_u32(to + 20, r->id.spool);
	put_u32(to + 24, r->id.incarnation);
	put_u64(to + 28, r->id.counter);
	put_u32(to + 36, 0);
}

static uint32_t header_crc(const char *record, const uint8_t salt[RECORD_SALT], uint64_t offset)
{
	char place[RECORD_SALT + 8];
	uint32_t crc;

	memcpy(place, salt, RECORD_SALT);
	put_u64(place + RECORD_SALT, offset);
	crc = crc32c(0, place, sizeof(place));
	crc = crc32c(crc, record, RECORD_HEADER - 4);
	return crc32c(crc, record + RECORD_HEADER, get_u32(record + 8));
}

uint32_t record_sign(char *record, const uint8_t salt[RECORD_SALT], uint64_t offset)
{
	uint32_t crc = header_crc(record, salt, offset);

	put_u32(record + 36, crc);
	return crc;
}

bool record_get(const char header[RECORD_HEADER], struct record *ret)
{
	struct record r = {
		.type = (uint8_t)header[4],
		.envelope_n = get_u32(header + 8),
		.content_n = get_u32(header + 12),
		.content_crc = get_u32(header + 16),
		.id = { get_u32(header + 20), get_u32(header + 24), get_u64(header + 28) },
		.crc = get_u32(header + 36),
	};

	if (get_u32(header) != MARK || r.type < RECORD_MESSAGE || r.type > RECORD_SEAL ||
	    header[5] || header[6] || header[7] || r.envelope_n > RECORD_ENVELOPE_MAX ||
	    (r.content_n && r.type != RECORD_MESSAGE))
		return false;
	*ret = r;
	return true;
}

bool record_is_signed(const char *record, const uint8_t salt[RECORD_SALT], uint64_t offset)
{
	return get_u32(record + 36) == header_crc(record, salt, offset);
}

uint32_t record_fold(uint32_t checksum, uint32_t crc, uint32_t content_crc)
{
	char both[8];

	put_u32(both, crc);
	put_u32(both + 4, content_crc);
	return crc32c(checksum, both, sizeof(both));
}

/* ---- MESSAGE */

static char *put_text(char *to, struct str s)
{
	put_u16(to, (uint16_t)s.n);
	if (s.n)
		memcpy(to + 2, s.p, s.n);
	return to + 2 + s.n;
}

size_t record_message_octets(const struct message *m, struct str head)
{
	size_t n = RECORD_HEADER + MESSAGE_FIXED + (size_t)5 * 2 + m->sender_n + m->envid_n +
		   m->client_n + m->login_n + head.n + (m->tag ? 2 + message_tag(m).n : 0);

	for (uint32_t i = 0; i < m->recipients_n; i++) {
		const struct recipient *r = &m->recipients[i];

		n += RECIPIENT_FIXED + (size_t)4 * 2 + r->address_n + r->orcpt_n +
		     recipient_route(m, i).n + (r->last ? strlen(r->last) : 0);
	}
	return n;
}

static char *put_recipient(char *to, const struct message *m, uint32_t i)
{
	const struct recipient *r = &m->recipients[i];

	to[0] = (char)r->notify;
	to[1] = (char)r->state;
	to[2] = (char)r->warned;
	to[3] = 0;
	put_u16(to + 4, r->attempts);
	put_u64(to + 6, (uint64_t)r->next_ms);
	to = put_text(to + RECIPIENT_FIXED, recipient_address(m, i));
	to = put_text(to, recipient_orcpt(m, i));
	to = put_text(to, recipient_route(m, i));
	return put_text(to, str_of(r->last));
}

void record_message_put(char *to, const struct message *m, struct str head,
			const struct record_body *body)
{
	struct record r = {
		.type = RECORD_MESSAGE,
		.envelope_n = (uint32_t)(record_message_octets(m, head) - RECORD_HEADER),
		.content_n = body->file ? 0 : (uint32_t)body->octets,
		.content_crc = body->crc,
		.id = m->id,
	};

	record_put(to, &r);
	to += RECORD_HEADER;
	to[0] = (char)m->body;
	to[1] = (char)m->ret;
	to[2] = (char)((m->smtputf8 ? BIT_SMTPUTF8 : 0) | (m->local ? BIT_LOCAL : 0) |
		       (m->is_bounce ? BIT_BOUNCE : 0) | (m->tag ? BIT_TAG : 0) |
		       (m->requires_tls ? BIT_REQUIRES_TLS : 0));
	to[3] = (char)m->flags;
	to[4] = (char)m->crashes;
	memset(to + 5, 0, 3);
	put_u64(to + 8, (uint64_t)m->arrived_ms);
	put_u64(to + 16, body->octets);
	put_u64(to + 24, body->file);
	put_u32(to + 32, m->recipients_n);
	to = put_text(to + MESSAGE_FIXED, message_sender(m));
	to = put_text(to, message_envid(m));
	to = put_text(to, message_client(m));
	to = put_text(to, message_login(m));
	to = put_text(to, head);
	if (m->tag)
		to = put_text(to, message_tag(m));
	for (uint32_t i = 0; i < m->recipients_n; i++)
		to = put_recipient(to, m, i);
}

struct fixed {
	uint8_t bits, flags, crashes;
	uint32_t recipients_n;
	struct envelope envelope;	/* but for the tag */
	struct str head, tag;
	struct record_body body;
};

/* All but the recipients, which *c then stands before. */
static bool get_fixed(const struct record *r, struct cursor *c, struct fixed *ret)
{
	struct fixed f = { 0 };

	f.envelope.body = cursor_u8(c);
	f.envelope.ret = cursor_u8(c);
	f.bits = cursor_u8(c);
	f.flags = cursor_u8(c);
	f.crashes = cursor_u8(c);
	cursor_take(c, 3);
	f.envelope.arrived_ms = (int64_t)cursor_u64(c);
	f.body.octets = cursor_u64(c);
	f.body.file = cursor_u64(c);
	f.body.crc = r->content_crc;
	f.recipients_n = cursor_u32(c);
	f.envelope.sender = cursor_str16(c);
	f.envelope.envid = cursor_str16(c);
	f.envelope.client = cursor_str16(c);
	f.envelope.login = cursor_str16(c);
	f.head = cursor_str16(c);
	if (f.bits & BIT_TAG)
		f.tag = cursor_str16(c);
	if (c->bad || f.envelope.body > BODY_BINARYMIME || f.envelope.ret > RET_HDRS ||
	    !f.recipients_n || f.recipients_n > c->rest.n / (RECIPIENT_FIXED + 4 * 2) ||
	    r->content_n != (f.body.file ? 0 : f.body.octets))
		return false;
	f.envelope.smtputf8 = f.bits & BIT_SMTPUTF8;
	f.envelope.local = f.bits & BIT_LOCAL;
	f.envelope.is_bounce = f.bits & BIT_BOUNCE;
	f.envelope.requires_tls = f.bits & BIT_REQUIRES_TLS;
	*ret = f;
	return true;
}

struct recipient_state_got {
	uint8_t state, warned;
	uint16_t attempts;
	int64_t next_ms;
	struct str last;
};

static bool get_recipient(struct cursor *c, struct envelope_recipient *ret,
			  struct recipient_state_got *ret_state)
{
	ret->notify = cursor_u8(c);
	ret_state->state = cursor_u8(c);
	ret_state->warned = cursor_u8(c);
	cursor_u8(c);
	ret_state->attempts = cursor_u16(c);
	ret_state->next_ms = (int64_t)cursor_u64(c);
	ret->address = cursor_str16(c);
	ret->orcpt = cursor_str16(c);
	ret->route = cursor_str16(c);
	ret_state->last = cursor_str16(c);
	return !c->bad && ret_state->state <= RECIPIENT_DELETED;
}

static void set_state(struct message *m, uint32_t i, const struct recipient_state_got *got)
{
	struct recipient *r = &m->recipients[i];

	r->state = r->decided = got->state;
	r->warned = got->warned;
	r->attempts = got->attempts;
	r->next_ms = got->next_ms;
	r->last = got->last.n ? str_dup(got->last) : NULL;
	if (r->state != RECIPIENT_QUEUED) {
		atomic_fetch_sub_explicit(&m->open_n, 1, memory_order_relaxed);
		m->undecided_n--;
	}
}

struct message *record_message_get(const struct record *r, struct str envelope,
				   struct str *ret_head, struct record_body *ret_body)
{
	struct cursor c = cursor_of(envelope);
	struct envelope_recipient *recipients = NULL;
	struct recipient_state_got *states = NULL;
	struct message *m = NULL;
	struct fixed f;

	if (!get_fixed(r, &c, &f))
		return NULL;
	recipients = mem_calloc(f.recipients_n, sizeof(*recipients));
	states = mem_calloc(f.recipients_n, sizeof(*states));
	for (uint32_t i = 0; i < f.recipients_n; i++)
		if (!get_recipient(&c, &recipients[i], &states[i]))
			goto out;
	if (c.rest.n)
		goto out;
	f.envelope.tag = name_intern(f.tag);
	f.envelope.recipients = recipients;
	f.envelope.recipients_n = f.recipients_n;
	m = message_new(&f.envelope, NULL);
	m->id = r->id;
	m->flags = f.flags;
	m->crashes = f.crashes;
	m->size = f.head.n + f.body.octets;
	m->file = f.body.file;
	for (uint32_t i = 0; i < f.recipients_n; i++)
		set_state(m, i, &states[i]);
	*ret_head = f.head;
	*ret_body = f.body;
out:
	mem_free(recipients);
	mem_free(states);
	return m;
}

bool record_message_content(const struct record *r, struct str envelope, struct str *ret_head,
			    struct record_body *ret_body)
{
	struct cursor c = cursor_of(envelope);
	struct fixed f;

	if (r->type != RECORD_MESSAGE || !get_fixed(r, &c, &f))
		return false;
	*ret_head = f.head;
	*ret_body = f.body;
	return true;
}

/* ---- PROGRESS */

/* What is written of a reroute: the route only if it is not that of the one before. */
static struct str route_text(const struct reroute *routes, unsigned i)
{
	return i && str_eq(routes[i].route, routes[i - 1].route) ? STR_NONE : routes[i].route;
}

size_t record_progress_octets(const struct progress *p, const struct progress_parts *parts)
{
	size_t octets = RECORD_HEADER + PROGRESS_FIXED;

	if (p->routes_n)
		octets += 4;
	for (uint32_t i = 0; i < p->routes_n; i++)
		octets += REROUTE_FIXED + 2 + route_text(parts->routes, i).n;
	if (p->warned_n)
		octets += 4 + (size_t)p->warned_n * 4;
	for (uint32_t i = 0; i < p->changes_n; i++)
		octets += CHANGE_FIXED + 2 + parts->changes[i].last.n;
	return octets;
}

static char *put_reroutes(char *to, const struct reroute *routes, uint32_t n)
{
	put_u32(to, n);
	to += 4;
	for (uint32_t i = 0; i < n; i++) {
		put_u32(to, routes[i].recipient);
		to = put_text(to + REROUTE_FIXED, route_text(routes, i));
	}
	return to;
}

static char *put_warned(char *to, const uint32_t *recipients, uint32_t n)
{
	put_u32(to, n);
	for (uint32_t i = 0; i < n; i++)
		put_u32(to + 4 + (size_t)i * 4, recipients[i]);
	return to + 4 + (size_t)n * 4;
}

static void put_changes(char *to, const struct change *changes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct change *c = &changes[i];

		put_u32(to, c->recipient);
		to[4] = (char)c->state;
		to[5] = (char)c->warned;
		put_u16(to + 6, c->attempts);
		put_u64(to + 8, (uint64_t)c->next_ms);
		to = put_text(to + CHANGE_FIXED, c->last);
	}
}

void record_progress_put(char *to, const struct message_id *id, const struct progress *p,
			 const struct progress_parts *parts)
{
	struct record r = {
		.type = RECORD_PROGRESS,
		.envelope_n = (uint32_t)(record_progress_octets(p, parts) - RECORD_HEADER),
		.id = *id,
	};

	record_put(to, &r);
	to += RECORD_HEADER;
	to[0] = (char)((p->has_flags ? BIT_FLAGS : 0) | (p->routes_n ? BIT_ROUTES : 0) |
		       (p->warned_n ? BIT_WARNED : 0));
	to[1] = (char)p->flags;
	to[2] = (char)p->crashes;
	to[3] = 0;
	put_u32(to + 4, p->changes_n);
	to += PROGRESS_FIXED;
	if (p->routes_n)
		to = put_reroutes(to, parts->routes, p->routes_n);
	if (p->warned_n)
		to = put_warned(to, parts->warned, p->warned_n);
	put_changes(to, parts->changes, p->changes_n);
}

bool record_progress_get(struct str envelope, struct progress *ret)
{
	struct progress p = { .rest = cursor_of(envelope) };

	p.bits = cursor_u8(&p.rest);
	p.has_flags = p.bits & BIT_FLAGS;
	p.flags = cursor_u8(&p.rest);
	p.crashes = cursor_u8(&p.rest);
	cursor_u8(&p.rest);
	p.changes_n = cursor_u32(&p.rest);
	if (p.bits & BIT_ROUTES)
		p.routes_n = cursor_u32(&p.rest);
	if (p.rest.bad || p.routes_n > p.rest.rest.n / (REROUTE_FIXED + 2) ||
	    p.changes_n > p.rest.rest.n / (CHANGE_FIXED + 2))
		return false;
	*ret = p;
	return true;
}

bool record_progress_route(struct progress *p, struct reroute *ret)
{
	struct reroute r;
	struct str text;

	if (!p->routes_n)
		return false;
	p->routes_n--;
	r.recipient = cursor_u32(&p->rest);
	text = cursor_str16(&p->rest);
	r.route = text.n ? text : p->route;
	if (!r.route.n)
		p->rest.bad = true;
	if (p->rest.bad)
		return false;
	p->route = r.route;
	*ret = r;
	return true;
}

/* How many stand behind the reroutes: 0 if the bit says that none do. */
static void get_warned_n(struct progress *p)
{
	if (!(p->bits & BIT_WARNED))
		return;
	p->bits &= (uint8_t)~BIT_WARNED;
	p->warned_n = cursor_u32(&p->rest);
	if (p->warned_n > p->rest.rest.n / 4)
		p->rest.bad = true;
}

bool record_progress_warned(struct progress *p, uint32_t *ret_recipient)
{
	struct reroute skipped;

	while (record_progress_route(p, &skipped))
		;
	get_warned_n(p);
	if (!p->warned_n || p->rest.bad)
		return false;
	p->warned_n--;
	*ret_recipient = cursor_u32(&p->rest);
	return true;
}

bool record_progress_next(struct progress *p, struct change *ret)
{
	struct change c = { 0 };
	uint32_t skipped;

	while (record_progress_warned(p, &skipped))
		;
	if (!p->changes_n || p->rest.bad)
		return false;
	p->changes_n--;
	c.recipient = cursor_u32(&p->rest);
	c.state = cursor_u8(&p->rest);
	c.warned = cursor_u8(&p->rest);
	c.attempts = cursor_u16(&p->rest);
	c.next_ms = (int64_t)cursor_u64(&p->rest);
	c.last = cursor_str16(&p->rest);
	if (c.state > RECIPIENT_DELETED)
		p->rest.bad = true;
	if (p->rest.bad)
		return false;
	*ret = c;
	return true;
}

/* ---- DONE, COMMIT, SEAL */

void record_done_put(char *to, const struct message_id *id)
{
	record_put(to, &(struct record){ .type = RECORD_DONE, .id = *id });
}

void record_commit_put(char *to, const struct commit *c)
{
	record_put(to, &(struct record){ .type = RECORD_COMMIT, .envelope_n = 48 });
	to += RECORD_HEADER;
	put_u64(to, c->segment);
	put_u64(to + 8, c->batch);
	put_u64(to + 16, c->start);
	put_u64(to + 24, c->synced);
	put_u32(to + 32, c->records);
	put_u32(to + 36, 0);
	put_u32(to + 40, (uint32_t)c->octets);
	put_u32(to + 44, c->checksum);
}

bool record_commit_get(struct str envelope, struct commit *ret)
{
	if (envelope.n != RECORD_COMMIT_OCTETS - RECORD_HEADER)
		return false;
	*ret = (struct commit){
		.segment = get_u64(envelope.p),
		.batch = get_u64(envelope.p + 8),
		.start = get_u64(envelope.p + 16),
		.synced = get_u64(envelope.p + 24),
		.records = get_u32(envelope.p + 32),
		.octets = get_u32(envelope.p + 40),
		.checksum = get_u32(envelope.p + 44),
	};
	return true;
}

void record_seal_put(char *to, const struct seal *s)
{
	record_put(to, &(struct record){ .type = RECORD_SEAL, .envelope_n = 24 });
	to += RECORD_HEADER;
	put_u64(to, s->segment);
	put_u64(to + 8, s->octets);
	put_u64(to + 16, s->batch);
}

bool record_seal_get(struct str envelope, struct seal *ret)
{
	if (envelope.n != RECORD_SEAL_OCTETS - RECORD_HEADER)
		return false;
	*ret = (struct seal){ get_u64(envelope.p), get_u64(envelope.p + 8),
			      get_u64(envelope.p + 16) };
	return true;
}
