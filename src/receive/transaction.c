/*
 * transaction - the envelope as it grows from MAIL over RCPT to the end of content.
 *
 * All of it lies in one arena, which is emptied at MAIL, RSET, EHLO and the end of content; a
 * session between messages holds none. The block size is chosen so that an envelope with a
 * recipient or two and the state of its content take one allocation.
 *
 * Duplicates are found by comparing 32-bit hashes that lie side by side: for a thousand recipients
 * that is 4 KiB to look through, quicker than a hash table is built.
 */
#include "receive/session.h"

#include "base/hash.h"
#include "receive/intake.h"

#define BLOCK_SIZE 1008		/* with the block's header the largest that malloc keeps at hand */
#define FIRST_RECIPIENTS 4

void transaction_reset(struct session *s)
{
	struct transaction *t = &s->transaction;

	if (t->intake)
		intake_drop(t->intake);
	arena_done(&t->arena);
	*t = (struct transaction){ .arena.block_size = BLOCK_SIZE };
}

void transaction_begin(struct session *s, const struct mail_command *m)
{
	struct transaction *t = &s->transaction;

	transaction_reset(s);
	t->open = true;
	t->began = loop_now();
	if (m->sender.whole.n)
		t->sender = address_split(arena_str(&t->arena, m->sender.whole));
	if (m->envid.n)
		t->envid = arena_str(&t->arena, m->envid);
	t->size = m->size;
	t->body = m->body;
	t->ret = m->ret;
	t->smtputf8 = m->smtputf8;
	t->requires_tls = m->requiretls;
}

/* The local part is its owner's, byte for byte; the domain compares without case (RFC 5321 2.4). */
static bool addresses_equal(struct str a, struct str b)
{
	struct address x, y;

	if (!str_eq_nocase(a, b))
		return false;
	x = address_split(a);
	y = address_split(b);
	return str_eq(x.local, y.local);
}

static bool is_duplicate(const struct transaction *t, uint32_t hash, const struct decision *d)
{
	for (uint32_t i = 0; i < t->recipients_n; i++) {
		const struct envelope_recipient *r = &t->recipients[i];

		if (t->hashes[i] == hash && addresses_equal(r->address, d->recipient) &&
		    str_eq(r->route, d->route->name))
			return true;
	}
	return false;
}

/* The arrays double; what they leave behind in the arena is as much again at most. */
static void make_room(struct transaction *t)
{
	uint32_t size = t->recipients_size ? t->recipients_size * 2 : FIRST_RECIPIENTS;
	struct envelope_recipient *recipients;
	uint32_t *hashes;

	if (t->recipients_n < t->recipients_size)
		return;
	recipients = arena_alloc(&t->arena, size * sizeof(*recipients));
	hashes = arena_alloc(&t->arena, size * sizeof(*hashes));
	if (t->recipients_n) {
		memcpy(recipients, t->recipients, t->recipients_n * sizeof(*recipients));
		memcpy(hashes, t->hashes, t->recipients_n * sizeof(*hashes));
	}
	t->recipients = recipients;
	t->hashes = hashes;
	t->recipients_size = size;
}

void transaction_add(struct session *s, const struct rcpt_command *r, const struct decision *d)
{
	struct transaction *t = &s->transaction;
	uint32_t hash = (uint32_t)hash_nocase(d->recipient);

	if (!t->tag && d->rule)
		t->tag = d->rule->tag;
	if (is_duplicate(t, hash, d))
		return;
	make_room(t);
	t->hashes[t->recipients_n] = hash;
	t->recipients[t->recipients_n++] = (struct envelope_recipient){
		.address = arena_str(&t->arena, d->recipient),
		.orcpt = r->orcpt.n ? arena_str(&t->arena, r->orcpt) : STR_NONE,
		.route = d->route->name,	/* in the snapshot, which the session holds */
		.notify = r->notify,
	};
}
