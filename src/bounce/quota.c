/*
 * quota - how many notices an address had in this hour; see notice.h.
 *
 * A sender whose list is full of dead addresses, or a forged one, must not be flooded, and whoever
 * floods us with senders must not cost memory. So it is a table of fixed size: a few slots for each
 * hash, as in a processor's cache. Two addresses may share a slot only if their 64-bit hashes are
 * equal. If a set is full, the slot with the fewest notices is forgotten: that may allow an address
 * a few more than its limit, never fewer.
 */
#include "bounce/notice.h"

#include "base/hash.h"

#define HOUR_MS (3600 * 1000)

static bool is_over(const struct quota_slot *slot, int64_t now_ms)
{
	/* A clock that jumped back starts a new hour too. */
	return now_ms - slot->since_ms >= HOUR_MS || now_ms < slot->since_ms;
}

/* The slot of that hash, made anew if need be. */
static struct quota_slot *slot_of(struct quota *q, uint64_t hash, int64_t now_ms)
{
	struct quota_slot *set = q->slots[hash % QUOTA_SETS], *victim = set;

	for (int i = 0; i < QUOTA_WAYS; i++) {
		if (set[i].hash && is_over(&set[i], now_ms))
			set[i] = (struct quota_slot){ 0 };
		if (set[i].hash == hash)
			return &set[i];
		if (set[i].count < victim->count)
			victim = &set[i];
	}
	*victim = (struct quota_slot){ .hash = hash, .since_ms = now_ms };
	return victim;
}

bool quota_take(struct quota *q, struct str address, uint32_t max, int64_t now_ms)
{
	uint64_t hash = hash_nocase(address);
	struct quota_slot *slot = slot_of(q, hash ? hash : 1, now_ms);

	if (slot->count >= max)
		return false;
	slot->count++;
	return true;
}

void quota_give_back(struct quota *q, struct str address, int64_t now_ms)
{
	uint64_t hash = hash_nocase(address);
	struct quota_slot *slot = slot_of(q, hash ? hash : 1, now_ms);

	if (slot->count)
		slot->count--;
}
