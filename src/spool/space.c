/*
 * space - may new mail come in? Watermarks on free space and on what the spool takes (DESIGN
 * section 5, full disk).
 *
 * Free space is looked at by the keeper, when somebody asked whether mail is accepted and the last
 * look is a second old, and after each new segment. What free space says ends new mail long before
 * the disk is full; delivery and bookkeeping go on. The last line is `tight`: the segment made
 * ready is the reserve; when another could not be made, nothing new is accepted, messages under way
 * may use the first half of the active segment, and the rest is for bookkeeping, bounces and the
 * sweeper.
 *
 * Memory has no such marks: of it only the recipients that wait are counted, one by one.
 */
#include "spool/inner.h"

#define LOOK_EVERY_NS (1 * SECOND)

uint64_t space_used(struct spool *s)
{
	uint64_t octets = atomic_load_explicit(&s->file_octets, memory_order_relaxed);

	spool_lock(s);
	LIST_FOR(at, &s->segments) {
		struct segment *g = LIST_ENTRY(at, struct segment, link);

		octets += g->is_full ? atomic_load(&g->disk) : atomic_load(&g->used);
	}
	spool_unlock(s);
	return octets;
}

/* Refused below the mark, accepted again 5 % (at least 1 MiB) beyond it: no flapping. */
static bool has_room(struct spool *s, uint64_t used, uint64_t free)
{
	uint64_t size_max = atomic_load(&s->size_max), free_min = atomic_load(&s->free_min);
	uint64_t slack = 0;

	if (!atomic_load(&s->accepts)) {
		slack = free_min / 20 > (1u << 20) ? free_min / 20 : 1u << 20;
		size_max -= size_max / 20;
	}
	return (!free_min || free >= free_min + slack) && (!size_max || used <= size_max) &&
	       !atomic_load(&s->tight);
}

void space_look(struct spool *s)
{
	struct world *w = s->world;
	struct disk_space space;
	uint64_t used = space_used(s);
	bool accepts;

	atomic_store(&s->space_at, w->now(w));
	if (w->disk_space(w, s->dir, &space) < 0)
		space = (struct disk_space){ .free = atomic_load(&s->free),
					     .inodes_free = UINT64_MAX };
	atomic_store(&s->free, space.free);
	accepts = has_room(s, used, space.free) && space.inodes_free > 16;
	if (atomic_exchange(&s->accepts, accepts) == accepts)
		return;
	spool_report(s, accepts ? SPOOL_EVENT_ROOM : SPOOL_EVENT_FULL,
		     "%llu octets free, the spool takes %llu", (unsigned long long)space.free,
		     (unsigned long long)used);
}

static void look_if_old(struct spool *s)
{
	struct loop *loop = loop_self();
	uint64_t now = loop ? loop_now() : s->world->now(s->world);

	if (now > atomic_load_explicit(&s->space_at, memory_order_relaxed) + LOOK_EVERY_NS &&
	    !atomic_exchange(&s->space_wanted, true))
		keeper_wake(s);
}

bool spool_accepts(struct spool *s)
{
	look_if_old(s);
	return atomic_load_explicit(&s->accepts, memory_order_relaxed) &&
	       !atomic_load_explicit(&s->failed, memory_order_relaxed);
}

bool spool_accepts_size(struct spool *s, uint64_t octets)
{
	uint64_t free_min = atomic_load(&s->free_min), size_max = atomic_load(&s->size_max);
	uint64_t free = atomic_load(&s->free);

	if (!spool_accepts(s))
		return false;
	if (octets > free || free - octets < free_min)
		return false;
	return !size_max || (octets <= size_max && space_used(s) <= size_max - octets);
}

bool spool_take_places(struct spool *s, uint32_t recipients)
{
	uint64_t max = atomic_load_explicit(&s->recipients_max, memory_order_relaxed);
	uint64_t before = atomic_fetch_add(&s->recipients, recipients);

	if (!max || before + recipients <= max)
		return true;
	spool_give_back_places(s, recipients);
	return false;
}

void spool_give_back_places(struct spool *s, uint32_t recipients)
{
	atomic_fetch_sub(&s->recipients, recipients);
}

void spool_set_limits(struct spool *s, const struct spool_options *o)
{
	atomic_store(&s->size_max, o->size_max);
	atomic_store(&s->free_min, o->free_min);
	atomic_store(&s->recipients_max, o->recipients_max);
	atomic_store(&s->memory->arriving_max, o->arriving_memory_max);
	atomic_store(&s->memory->waiting_max, o->waiting_memory_max);
	if (!atomic_exchange(&s->space_wanted, true))
		keeper_wake(s);
}
