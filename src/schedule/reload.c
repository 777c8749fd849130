/*
 * reload - what concerns everything that a home has: walks over its destinations, and a new
 * configuration.
 *
 * Both are done in pieces that post themselves, so that no loop stands still for long however much
 * waits. A walk goes along the list of all destinations; whoever is freed is stepped over by those
 * walks that stand before him. A reload first configures the destinations - the old snapshot lives
 * until the last one was seen, since routes are borrowed from it - and then computes all deadlines
 * anew: the heap becomes the stale one, from whose end jobs move into the new one. Both heaps are
 * looked at meanwhile, and what is due by the old configuration is looked at by the new one before
 * it counts. A reload during a reload begins again.
 *
 * With its deadline each job is counted for the quota of its route, if there is one now, or not any
 * more. Jobs that are held have no deadline: those are taken as whole lists. What is in flight is
 * counted when it comes back.
 */
#include "schedule/home.h"

#define REDO_PIECE 512		/* deadlines computed anew before others have their turn */

/* ---- walks */

static void on_piece(struct post *p)
{
	struct walk *w = CONTAINER_OF(p, struct walk, post);
	struct home *h = w->home;

	for (int i = 0; i < WALK_PIECE && w->next != &h->all; i++) {
		struct destination *d = LIST_ENTRY(w->next, struct destination, in_home);

		w->next = w->next->next;
		w->step(w, d);
	}
	home_fill(h);
	home_arm(h);
	if (w->next != &h->all) {
		loop_post(h->loop, &w->post, on_piece);
		return;
	}
	list_remove(&w->in_walks);
	w->done(w);
}

void walk_start(struct walk *w, struct home *h)
{
	w->home = h;
	w->next = h->all.next;
	list_push(&h->walks, &w->in_walks);
	loop_post(h->loop, &w->post, on_piece);
}

/* ---- deadlines */

static void redo_begin(struct home *h);

/* From the end of the heap, where taking one out costs nothing. */
static void redo_last(struct heap *stale)
{
	struct job *j = CONTAINER_OF(stale->slots[stale->n - 1].node, struct job, in_deadlines);

	job_set_deadline(j, 0);
	job_count(j);
}

static void count_held(struct list *at)
{
	struct job *j = LIST_ENTRY(at, struct job, in_queue);

	job_count(j);
	list_push(&j->destination->held, &j->in_queue);
}

static void on_redo(struct post *p)
{
	struct home *h = CONTAINER_OF(p, struct home, redo);
	struct heap *stale = &h->stale_deadlines;
	struct list *held;

	h->is_redoing = false;
	for (int i = 0; i < REDO_PIECE && stale->n; i++)
		redo_last(stale);
	for (int i = 0; i < REDO_PIECE && (held = list_pop(&h->held_to_count)); i++)
		count_held(held);
	if (stale->n || !list_is_empty(&h->held_to_count)) {
		h->is_redoing = true;
		loop_post(h->loop, &h->redo, on_redo);
	} else if (h->redo_again) {
		redo_begin(h);
	}
	home_arm(h);
}

static void redo_begin(struct home *h)
{
	struct heap empty = h->stale_deadlines;

	h->redo_again = false;
	h->stale_deadlines = h->deadlines;
	h->deadlines = empty;
	h->is_redoing = true;
	loop_post(h->loop, &h->redo, on_redo);
}

/* ---- a new configuration */

static void reload_one(struct walk *w, struct destination *d)
{
	destination_configure(d);
	list_splice(&w->home->held_to_count, &d->held);
	d->failures = 0;	/* reloads in a row must not lengthen the rest */
	destination_wake(d);
}

static void reload_walked(struct walk *w)
{
	struct home *h = w->home;

	for (unsigned i = 0; i < h->old_configs_n; i++)
		config_unref(h->old_configs[i]);
	h->old_configs_n = 0;
	if (h->is_redoing)
		h->redo_again = true;
	else
		redo_begin(h);
}

void home_reload(struct home *h)
{
	struct walk *w = &h->reload_walk;

	if (h->config) {
		h->old_configs = mem_realloc(h->old_configs, size_mul(h->old_configs_n + 1,
								      sizeof(*h->old_configs)));
		h->old_configs[h->old_configs_n++] = h->config;
	}
	h->config = NULL;
	home_config(h);
	if (!list_is_empty(&w->in_walks)) {
		w->next = h->all.next;
		return;
	}
	w->step = reload_one;
	w->done = reload_walked;
	walk_start(w, h);
}

void home_reload_done(struct home *h)
{
	for (unsigned i = 0; i < h->old_configs_n; i++)
		config_unref(h->old_configs[i]);
	mem_free(h->old_configs);
}
