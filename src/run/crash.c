/*
 * crash - notes and counts; see crash.h.
 */
#include "run/crash.h"

#include <sys/mman.h>

struct crash_page *crash_page_new(void)
{
	void *p = mmap(NULL, sizeof(struct crash_page), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/*
 * The table has as many rows as twice the loops of a large machine; when it is full the rarest go
 * first.
 */
static void count(struct crash_page *p, const struct message_id *id)
{
	struct suspect *place = NULL;

	for (unsigned i = 0; i < CRASH_SUSPECTS_MAX; i++) {
		struct suspect *s = &p->suspects[i];

		if (s->crashes && id_eq(&s->id, id)) {
			s->crashes++;
			return;
		}
		if (!place || s->crashes < place->crashes)
			place = s;
	}
	*place = (struct suspect){ *id, 1 };
}

/* The same message may be on several loops (one recipient each): one crash counts once. */
static bool was_before(const struct crash_page *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (memcmp(p->notes[i].id, p->notes[n].id, sizeof(p->notes[n].id)) == 0)
			return true;
	return false;
}

/* The dead worker may have been in the middle of a note: nothing in it is taken for granted. */
void crash_collect(struct crash_page *p, struct crash_note *ret_note)
{
	struct message_id id;

	*ret_note = (struct crash_note){ 0 };
	for (unsigned i = 0; i < CRASH_LOOPS_MAX; i++) {
		memcpy(&id, p->notes[i].id, sizeof(id));
		if (id_is_none(&id) && !p->notes[i].stage[0])
			continue;
		*ret_note = p->notes[i];
		if (!id_is_none(&id) && !was_before(p, i))
			count(p, &id);
	}
	ret_note->stage[sizeof(ret_note->stage) - 1] = '\0';
	ret_note->peer[sizeof(ret_note->peer) - 1] = '\0';
	memset(p->notes, 0, sizeof(p->notes));
}

uint32_t crash_count(const struct crash_page *p, const struct message_id *id)
{
	for (unsigned i = 0; i < CRASH_SUSPECTS_MAX; i++)
		if (p->suspects[i].crashes && id_eq(&p->suspects[i].id, id))
			return p->suspects[i].crashes;
	return 0;
}

bool crash_has_suspects(const struct crash_page *p)
{
	for (unsigned i = 0; i < CRASH_SUSPECTS_MAX; i++)
		if (p->suspects[i].crashes)
			return true;
	return false;
}

void crash_clear_suspects(struct crash_page *p)
{
	memset(p->suspects, 0, sizeof(p->suspects));
}
