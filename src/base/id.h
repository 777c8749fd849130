/*
 * id - who a message is: (spool, incarnation, counter), never repeated.
 *
 * People see "7KQ2M0A-3-5XK9": each part in Crockford's base32 (no I, L, O, U), the spool always
 * seven digits, the others without leading zeros. Read without case, O as 0, I and L as 1.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/hash.h"

struct message_id {
	uint32_t spool;		/* drawn once when the spool is made */
	uint32_t incarnation;	/* raised and synced at every opening of the spool */
	uint64_t counter;	/* from 1 in each incarnation */
};

#define ID_TEXT_MAX 32

char *id_format(char dst[ID_TEXT_MAX], const struct message_id *id);	/* returns dst */
bool id_parse(struct str s, struct message_id *ret);

static inline bool id_eq(const struct message_id *a, const struct message_id *b)
{
	return a->counter == b->counter && a->incarnation == b->incarnation && a->spool == b->spool;
}

static inline bool id_is_none(const struct message_id *id)
{
	return !id->counter;
}

static inline uint64_t id_hash(const struct message_id *id)
{
	return hash_u64(id->counter ^ (uint64_t)id->incarnation << 40 ^ (uint64_t)id->spool << 13);
}

#endif
