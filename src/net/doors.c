/*
 * doors - see doors.h.
 */
#include "net/doors.h"

#include "base/mem.h"

#include <errno.h>

#define LOOK_AGAIN (2 * MILLISECOND)

void doors_init(struct doors *d)
{
	list_init(&d->addresses);
}

void doors_done(struct doors *d)
{
	struct list *at;

	while ((at = list_pop(&d->addresses))) {
		struct door_address *a = LIST_ENTRY(at, struct door_address, in_doors);

		mem_free(a->on);
		mem_free(a->path);
		mem_free(a);
	}
}

/* ---- on the loops */

static void on_accepted(struct listener *l, int fd, const struct endpoint *peer)
{
	struct door *door = CONTAINER_OF(l, struct door, listener);

	door->doors->accepted(door, fd, peer);
}

static void open_door(struct post *p)
{
	struct door *door = CONTAINER_OF(p, struct door, start);
	int r = listener_start(&door->listener, door->address->fd, on_accepted);

	door->started = r == 0;
	if (!door->started)
		door->doors->failed(&door->address->endpoint, r);
}

static void shut_door(struct post *p)
{
	struct door *door = CONTAINER_OF(p, struct door, stop);

	if (door->started)
		listener_stop(&door->listener);
	door->started = false;
	doors_posted(door->doors);
}

/* ---- the main thread asks */

static struct door_address *find(struct doors *d, const struct endpoint *e)
{
	LIST_FOR(at, &d->addresses) {
		struct door_address *a = LIST_ENTRY(at, struct door_address, in_doors);

		if (endpoint_eq(&a->endpoint, e))
			return a;
	}
	return NULL;
}

static struct door_address *address_new(struct doors *d, const struct endpoint *e)
{
	struct door_address *a = mem_zalloc(d->address_size);
	unsigned n = net_workers(d->net);

	a->endpoint = *e;
	if (e->path)
		a->endpoint.path = a->path = mem_strdup(e->path);
	a->on = mem_calloc(n, sizeof(*a->on));
	for (unsigned i = 0; i < n; i++) {
		a->on[i].doors = d;
		a->on[i].address = a;
		a->on[i].loop = i;
	}
	list_push(&d->addresses, &a->in_doors);
	return a;
}

int doors_open(struct doors *d, int fd, const struct endpoint *e)
{
	struct door_address *a = find(d, e);

	if (!a)
		a = address_new(d, e);
	if (a->open)
		return -EEXIST;
	a->open = true;
	a->fd = fd;
	for (unsigned i = 0; i < net_workers(d->net); i++)
		loop_post(net_loop(d->net, i), &a->on[i].start, open_door);
	return 0;
}

static void shut(struct doors *d, struct door_address *a)
{
	if (!a->open)
		return;
	a->open = false;
	doors_post_all(d, &a->on[0].stop, sizeof(a->on[0]), shut_door);
}

void doors_shut(struct doors *d, const struct endpoint *e)
{
	struct door_address *a = find(d, e);

	if (!a || !a->open)
		return;
	shut(d, a);
	doors_wait(d, false);
}

void doors_shut_all(struct doors *d)
{
	LIST_FOR(at, &d->addresses)
		shut(d, LIST_ENTRY(at, struct door_address, in_doors));
}

void doors_post_all(struct doors *d, struct post *first, size_t stride, void (*fn)(struct post *))
{
	for (unsigned i = 0; i < net_workers(d->net); i++) {
		atomic_fetch_add(&d->posts, 1);
		loop_post(net_loop(d->net, i), (void *)((char *)first + i * stride), fn);
	}
}

void doors_posted(struct doors *d)
{
	atomic_fetch_sub(&d->posts, 1);
}

/* ---- and waits */

static int64_t look_for_posts(void *arg)
{
	struct doors *d = arg;

	return atomic_load(&d->posts) ? (int64_t)LOOK_AGAIN : STEP_DONE;
}

static int64_t look_for_all(void *arg)
{
	struct doors *d = arg;

	return atomic_load(&d->posts) || atomic_load(&d->live) ? (int64_t)LOOK_AGAIN : STEP_DONE;
}

void doors_wait(struct doors *d, bool live)
{
	struct world *w = net_world(d->net);

	w->actor_join(w, w->actor_start(w, d->name, live ? look_for_all : look_for_posts, d));
}
