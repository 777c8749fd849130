/*
 * greylist_keeper - see greylist_keeper.h.
 *
 * A save is some megabytes at most, but a disk may be slow: if one took long, the next waits twenty
 * times as long, so that writing never takes more than a twentieth of the disk's time. What a crash
 * loses is a minute of first attempts: those senders wait a little longer.
 */
#include "policy/greylist_keeper.h"

#include "base/mem.h"
#include "report/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>

#define SAVE_EVERY (60 * SECOND)
#define SAVE_SHARE 20

struct greylist_keeper {
	struct greylist *greylist;	/* borrowed */
	struct world *world;
	struct actor *actor;
	_Atomic bool stopping;
	int folder;
	uint64_t save_at;
	bool has_failed;		/* the last save; told once */
};

static void report(const char *text, int error)
{
	log_begin(LOG_WARNING);
	log_cstr("text", text);
	log_errno("error", error);
	log_end();
}

static void save(struct greylist_keeper *k)
{
	int r;

	if (!greylist_is_changed(k->greylist))
		return;
	r = greylist_save(k->greylist, k->world, k->folder, k->world->wall_ms(k->world));
	if (r < 0 && !k->has_failed)
		report("what greylisting knows cannot be recorded; tried again", r);
	k->has_failed = r < 0;
}

static int64_t keeper_step(void *arg)
{
	struct greylist_keeper *k = arg;
	bool stopping = atomic_load(&k->stopping);
	uint64_t now = k->world->now(k->world), took;

	if (!stopping && now < k->save_at)
		return (int64_t)(k->save_at - now);
	save(k);
	if (stopping)
		return STEP_DONE;
	took = k->world->now(k->world) - now;
	k->save_at = now + (took * SAVE_SHARE > SAVE_EVERY ? took * SAVE_SHARE : SAVE_EVERY);
	return (int64_t)(k->save_at - now);
}

struct greylist_keeper *greylist_keeper_start(struct greylist *g, struct world *w,
					      const char *state)
{
	int folder = w->disk_open(w, AT_FDCWD, state, O_RDONLY | O_DIRECTORY, 0), r;
	struct greylist_keeper *k;

	if (folder < 0) {
		report("the state folder cannot be opened: greylisting is not kept", folder);
		return NULL;
	}
	r = greylist_load(g, w, folder, w->wall_ms(w));
	if (r < 0)
		report("what greylisting knew cannot be read (all of) again", r);
	k = mem_zalloc(sizeof(*k));
	k->greylist = g;
	k->world = w;
	k->folder = folder;
	k->save_at = w->now(w) + SAVE_EVERY;
	k->actor = w->actor_start(w, "greylist", keeper_step, k);
	return k;
}

void greylist_keeper_stop(struct greylist_keeper *k)
{
	if (!k)
		return;
	atomic_store(&k->stopping, true);
	k->world->actor_wake(k->world, k->actor);
	k->world->actor_join(k->world, k->actor);
	k->world->disk_close(k->world, k->folder);
	mem_free(k);
}
