/*
 * batch - records that become durable together, built by one task; see spool.h.
 *
 * Encoding is done here, on the session's core; what is left for the committer, the one thread for
 * all cores, is to place the records, to sign them for their place, and to fill in what only it
 * knows: the sum of attempts, and which change closes a message. Bytes and structs lie in the
 * batch's arena; a body is not copied.
 */
#include "spool/inner.h"

#include <assert.h>

struct batch *batch_new(struct spool *s)
{
	struct batch *b = mem_zalloc(sizeof(*b));

	b->spool = s;
	arena_init(&b->arena);
	return b;
}

void batch_release(struct batch *b)
{
	for (struct item *i = b->items; i; i = i->next)
		message_unref(i->message);
	arena_done(&b->arena);
	mem_free(b);
}

void batch_free(struct batch *b)
{
	if (b)
		batch_release(b);
}

static struct item *add_item(struct batch *b, struct message *m)
{
	struct item *i = arena_zalloc(&b->arena, sizeof(*i));

	i->message = message_ref(m);
	if (b->last)
		b->last->next = i;
	else
		b->items = i;
	b->last = i;
	return i;
}

void batch_message(struct batch *b, struct message *m)
{
	struct content *c = m->content;
	struct str head = c ? content_head(c) : STR_NONE;
	struct item *i = add_item(b, m);

	assert(!c || c->sealed);
	assert(!m->segment && m->recipients_n);
	if (id_is_none(&m->id))
		m->id = spool_next_id(b->spool);
	if (c) {
		i->body = (struct record_body){ c->body_n, c->file, c->crc };
		m->size = content_size(c);
		m->file = c->file;
	}
	i->is_message = true;
	i->octets = (uint32_t)record_message_octets(m, head);
	i->bytes = arena_alloc(&b->arena, i->octets);
	record_message_put(i->bytes, m, head, &i->body);
	b->octets += record_align(i->octets + (i->body.file ? 0 : i->body.octets));
	b->has_messages = true;
	if (!m->is_bounce)
		b->is_ordinary = true;
}

/* "mx.example (192.0.2.1): 550 5.1.1 no such user" */
static struct str describe(struct batch *b, const struct outcome *o)
{
	struct buf text = BUF_INIT(RECORD_LAST_MAX);
	struct str copy;

	if (!o->reply.code && !o->reply.text.n)
		return STR_NONE;
	if (o->host.n) {
		buf_add_str(&text, str_sub(o->host, 0, RECORD_LAST_MAX / 4));
		buf_add_lit(&text, ": ");
	}
	reply_describe(&text, &o->reply);
	for (size_t at = 0; at < text.n; at++)	/* it lives on as a C string */
		if (!text.p[at])
			text.p[at] = '?';
	copy = arena_str(&b->arena, buf_str(&text));
	buf_done(&text);
	return copy;
}

void batch_outcomes(struct batch *b, struct message *m, const struct outcome *outcomes, unsigned n)
{
	struct item *i = add_item(b, m);

	i->changes = arena_alloc(&b->arena, size_mul(n, sizeof(*i->changes)));
	i->changes_n = n;
	for (unsigned at = 0; at < n; at++) {
		const struct outcome *o = &outcomes[at];

		assert(o->recipient < m->recipients_n && o->state <= RECIPIENT_DELETED);
		i->changes[at] = (struct change){
			.recipient = o->recipient,
			.state = (uint8_t)o->state,
			.warned = o->warned,
			.attempted = o->attempted,
			.next_ms = o->next_ms,
			.last = describe(b, o),
		};
	}
	i->octets = (uint32_t)record_progress_octets(
		&(struct progress){ .changes_n = n },
		&(struct progress_parts){ .changes = i->changes });
	i->bytes = arena_alloc(&b->arena, i->octets);
	b->octets += record_align(i->octets) + record_align(RECORD_DONE_OCTETS);
}

void batch_flags(struct batch *b, struct message *m, uint8_t flags, uint8_t crashes)
{
	struct item *i = add_item(b, m);

	i->flags = (struct progress){ .has_flags = true, .flags = flags, .crashes = crashes };
	i->octets = (uint32_t)record_progress_octets(&i->flags, NULL);
	i->bytes = arena_alloc(&b->arena, i->octets);
	b->octets += record_align(i->octets);
}

/* The record of recipients that are only named: nothing in it is left to the committer. */
static struct item *add_named(struct batch *b, struct message *m, const uint32_t *recipients,
			      unsigned n)
{
	struct item *i = add_item(b, m);

	assert(n);
	i->named_n = n;
	i->named = arena_alloc(&b->arena, size_mul(n, sizeof(*i->named)));
	for (unsigned at = 0; at < n; at++) {
		assert(recipients[at] < m->recipients_n);
		i->named[at] = recipients[at];
	}
	return i;
}

static void encode_named(struct batch *b, struct item *i, const struct progress *p,
			 const struct progress_parts *parts)
{
	i->octets = (uint32_t)record_progress_octets(p, parts);
	i->bytes = arena_alloc(&b->arena, i->octets);
	record_progress_put(i->bytes, &i->message->id, p, parts);
	b->octets += record_align(i->octets);
}

void batch_route(struct batch *b, struct message *m, const uint32_t *recipients, unsigned n,
		 const struct name *route)
{
	struct item *i = add_named(b, m, recipients, n);
	struct reroute *routes = arena_alloc(&b->arena, size_mul(n, sizeof(*routes)));

	assert(route);
	i->route = route;
	for (unsigned at = 0; at < n; at++)
		routes[at] = (struct reroute){ recipients[at], name_str(route) };
	encode_named(b, i, &(struct progress){ .routes_n = n },
		     &(struct progress_parts){ .routes = routes });
}

void batch_warned(struct batch *b, struct message *m, const uint32_t *recipients, unsigned n)
{
	struct item *i = add_named(b, m, recipients, n);

	encode_named(b, i, &(struct progress){ .warned_n = n },
		     &(struct progress_parts){ .warned = i->named });
}
