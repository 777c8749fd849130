/*
 * message - one queued message in memory; see message.h.
 *
 * struct, recipients and all text are one allocation: a queue of a million messages is a million
 * blocks, and a message that waits costs no pointers and offsets that it does not need: what can be
 * added up from the lengths before it has none. Only the last replies, which come and go, are
 * blocks of their own.
 *
 * The lock is one byte of spinning, because it is held for a few instructions and a mutex per
 * message would be a sixth of it; who spins long gives up the processor, in case the holder was put
 * to sleep.
 */
#include "spool/inner.h"

#include <assert.h>
#include <sched.h>

#define SPINS_MAX 200

static const char *const state_names[] = {
	[RECIPIENT_QUEUED] = "queued",
	[RECIPIENT_DELIVERED] = "delivered",
	[RECIPIENT_RELAYED] = "relayed",
	[RECIPIENT_FAILED] = "failed",
	[RECIPIENT_DISCARDED] = "discarded",
	[RECIPIENT_DELETED] = "deleted",
};

const char *recipient_state_name(enum recipient_state s)
{
	return (size_t)s < sizeof(state_names) / sizeof(state_names[0]) ? state_names[s]
									: "unknown";
}

static struct str cut(struct str s)	/* lengths are 16 bits, here and in the record */
{
	return str_sub(s, 0, UINT16_MAX);
}

static size_t text_octets(const struct envelope *e)
{
	size_t n = cut(e->sender).n + cut(e->envid).n + cut(e->client).n + cut(e->login).n;

	for (uint32_t i = 0; i < e->recipients_n; i++)
		n += cut(e->recipients[i].address).n + cut(e->recipients[i].orcpt).n;
	return n;
}

/* Copies s behind what is there. */
static uint16_t add_text(char *text, uint32_t *used, struct str s)
{
	s = cut(s);
	if (s.n)
		memcpy(text + *used, s.p, s.n);
	*used += (uint32_t)s.n;
	return (uint16_t)s.n;
}

static void fill_recipients(struct message *m, const struct envelope *e, char *text, uint32_t *used)
{
	const struct name *route = NULL;

	for (uint32_t i = 0; i < e->recipients_n; i++) {
		const struct envelope_recipient *from = &e->recipients[i];
		struct recipient *r = &m->recipients[i];

		r->address = *used;
		r->address_n = add_text(text, used, from->address);
		r->orcpt_n = add_text(text, used, from->orcpt);
		r->notify = (uint8_t)from->notify;
		/* A newsletter's recipients mostly share the route: it is looked for once. */
		if (!str_eq(name_str(route), from->route))
			route = name_intern(from->route);
		atomic_init(&r->route, route);
	}
}

struct message *message_new(const struct envelope *e, struct content *content)
{
	size_t recipients = size_mul(e->recipients_n, sizeof(struct recipient)),
	       octets = text_octets(e);
	struct message *m;
	uint32_t used = 0;
	char *text;

	assert(octets <= UINT32_MAX);
	m = mem_zalloc(size_add(sizeof(*m), size_add(recipients, octets)));
	atomic_init(&m->refs, 1);
	m->body = (unsigned)e->body & 3;
	m->ret = (unsigned)e->ret & 3;
	m->smtputf8 = e->smtputf8;
	m->requires_tls = e->requires_tls;
	m->local = e->local;
	m->is_bounce = e->is_bounce;
	m->tag = e->tag;
	m->recipients_n = e->recipients_n;
	atomic_init(&m->open_n, e->recipients_n);
	m->undecided_n = e->recipients_n;
	m->arrived_ms = e->arrived_ms;
	text = (char *)(m->recipients + m->recipients_n);
	m->sender_n = add_text(text, &used, e->sender);
	m->envid_n = add_text(text, &used, e->envid);
	m->client_n = add_text(text, &used, e->client);
	m->login_n = add_text(text, &used, e->login);
	fill_recipients(m, e, text, &used);
	list_init(&m->in_segment);
	if (content) {
		m->content = content_ref(content);
		m->size = content_size(content);
	}
	return m;
}

struct message *message_ref(struct message *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void message_unref(struct message *m)
{
	if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	assert(!m->in_index);
	for (uint32_t i = 0; i < m->recipients_n; i++)
		mem_free(m->recipients[i].last);
	content_unref(m->content);
	segment_unref(m->segment);
	mem_free(m);
}

void message_lock(struct message *m)
{
	unsigned spins = 0;

	while (atomic_exchange_explicit(&m->lock, 1, memory_order_acquire)) {
		if (++spins < SPINS_MAX)
			continue;
		sched_yield();
		spins = 0;
	}
}

void message_unlock(struct message *m)
{
	atomic_store_explicit(&m->lock, 0, memory_order_release);
}

struct content *message_content(struct message *m)
{
	struct content *c;

	message_lock(m);
	c = m->content ? content_ref(m->content) : NULL;
	message_unlock(m);
	return c;
}

/* Only of a message that stands in the log, else its content would be nowhere. */
void message_drop_content(struct message *m)
{
	struct content *c = NULL;

	message_lock(m);
	if (m->stored) {
		c = m->content;
		m->content = NULL;
	}
	message_unlock(m);
	content_unref(c);
}

size_t message_memory(const struct message *m)
{
	const struct recipient *last = &m->recipients[m->recipients_n - 1];
	size_t n = sizeof(*m) + m->recipients_n * sizeof(struct recipient) + 16; /* malloc's own */

	n += (size_t)last->address + last->address_n + last->orcpt_n;
	for (uint32_t i = 0; i < m->recipients_n; i++)
		if (m->recipients[i].last)
			n += strlen(m->recipients[i].last) + 1 + 16;
	return n;
}
