/*
 * task - scheduling, waiting, cancelling and ending of tasks; see task.h.
 *
 * A task runs between two calls of context_switch by its loop. Tasks that become ready in a turn
 * run in the same turn, a bounded number of them; those that yield wait for the next, behind the
 * sockets. Most waits have a deadline and few reach it, so the timer of a task is moved only
 * towards an earlier time: a wait whose deadline is later leaves the old entry in the heap, and
 * when that fires, the deadline is looked at. A stack that has been parked for a second is trimmed
 * once, by a sweep that looks at a bounded number of stacks per turn and stops when all are
 * trimmed.
 */
#include "net/inner.h"

#include <assert.h>
#include <errno.h>

#define MOVED_MAX (64 * 1024)
/* then the sockets have a look-in, even if tasks wake each other for ever */
#define RUNS_PER_TURN 1024
#define SWEEP_PER_TURN 256	/* stacks */
#define SWEEP_AGE SECOND
/*
 * Tops of stacks are a multiple of 4 KiB apart and would share the same few cache sets: shift them.
 */
#define COLOURS 8
#define COLOUR 128

/* ---- queues */

static void queue_push(struct task_queue *q, struct task *t)
{
	t->next = NULL;
	if (q->first)
		q->last->next = t;
	else
		q->first = t;
	q->last = t;
	q->n++;
}

static struct task *queue_pop(struct task_queue *q)
{
	struct task *t = q->first;

	if (t) {
		q->first = t->next;
		q->n--;
	}
	return t;
}

static void queue_splice(struct task_queue *to, struct task_queue *from)
{
	if (!from->first)
		return;
	if (to->first)
		to->last->next = from->first;
	else
		to->first = from->first;
	to->last = from->last;
	to->n += from->n;
	*from = (struct task_queue){ 0 };
}

static void make_ready(struct task *t)
{
	t->state = TASK_READY;
	queue_push(&t->loop->ready, t);
}

/* ---- switching; the checkers are told on both sides */

static void switch_to_task(struct loop *l, struct task *t)
{
#if FIBERS_TSAN
	l->fiber = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(t->fiber, 0);
#endif
#if FIBERS_ASAN
	__sanitizer_start_switch_fiber(&l->fake_stack, t->stack.low, t->stack.size);
#endif
	context_switch(&l->context, &t->context);
#if FIBERS_ASAN
	__sanitizer_finish_switch_fiber(l->fake_stack, NULL, NULL);
#endif
}

/* First thing on a task's stack after each switch. */
static void arrived_in_task(struct task *t)
{
#if FIBERS_ASAN
	__sanitizer_finish_switch_fiber(t->fake_stack, &t->loop->stack_low, &t->loop->stack_size);
#else
	(void)t;
#endif
}

static void switch_to_loop(struct task *t) SUSPENDS
{
	struct loop *l = t->loop;

#if FIBERS_TSAN
	__tsan_switch_to_fiber(l->fiber, 0);
#endif
#if FIBERS_ASAN
	__sanitizer_start_switch_fiber(&t->fake_stack, l->stack_low, l->stack_size);
#endif
	context_switch(&t->context, &l->context);
	arrived_in_task(t);
}

static void leave_task(struct task *t)
{
	struct loop *l = t->loop;

#if FIBERS_TSAN
	__tsan_switch_to_fiber(l->fiber, 0);
#endif
#if FIBERS_ASAN
	__sanitizer_start_switch_fiber(NULL, l->stack_low, l->stack_size);
#endif
	context_leave(&t->context, &l->context);
}

/* ---- beginning and end */

static struct task *task_of(const struct stack *s)
{
	char *top = s->low + s->size - (s->index % COLOURS) * COLOUR;
	uintptr_t at = ((uintptr_t)top - sizeof(struct task)) & ~(uintptr_t)63;

	return (struct task *)at;
}

static void on_deadline(struct timer *timer)
{
	struct task *t = CONTAINER_OF(timer, struct task, timer);

	if (t->state != TASK_WAITING || t->deadline == NEVER)
		return;
	if (t->deadline > t->loop->now) {
		timer_set(timer, t->deadline);
		return;
	}
	make_ready(t);
}

static void leave_group(struct task *t)
{
	struct task_group *g = t->group;

	if (!g)
		return;
	list_remove(&t->group_link);
	if (--g->n == 0 && g->waiter)
		task_signal(g->waiter, WAKE_GROUP);
}

static void task_main(void *arg)
{
	struct task *t = arg;

	arrived_in_task(t);
	loop_set_self(t->loop);		/* for the backend whose tasks are threads */
	t->fn(t->arg);
	t->state = TASK_FREE;
	leave_task(t);
}

/* On the loop's stack, after the task's last switch. */
static void task_free(struct loop *l, struct task *t)
{
	leave_group(t);
	timer_clear(&t->timer);
	context_done(&t->context);
#if FIBERS_TSAN
	__tsan_destroy_fiber(t->fiber);
#endif
	t->parked_at = l->now;
	l->stats.tasks_live--;
	stack_put(&l->stacks, &t->stack);
}

static void task_set_up(struct task *t, struct loop *l, const struct stack *s)
{
	memset(t, 0, sizeof(*t));
	t->loop = l;
	t->stack = *s;
	timer_init(&t->timer, on_deadline);
	list_init(&t->group_link);
#if FIBERS_TSAN
	t->fiber = __tsan_create_fiber(0);
#endif
	context_init(&t->context, s->low, (size_t)((char *)t - s->low), task_main, t);
}

struct task *task_start(struct task_group *g, void (*fn)(void *arg), void *arg, const char *name)
{
	struct loop *l = loop_self();
	struct stack s;
	struct task *t;

	assert(l);
	if (!stack_get(&l->stacks, &s))
		return NULL;
#if CHECKERS_ASAN
	/* Frames that never returned, as of a task's last switch, have left it poisoned. */
	__asan_unpoison_memory_region(s.low, s.size);
#endif
	t = task_of(&s);
	task_set_up(t, l, &s);
	t->fn = fn;
	t->arg = arg;
	t->name = name;
	t->group = g;
	if (g) {
		list_push(&g->tasks, &t->group_link);
		g->n++;
	}
	s.slab->quiet[s.index] = 0;
	if (++l->stats.tasks_live > l->stats.tasks_peak)
		l->stats.tasks_peak = l->stats.tasks_live;
	make_ready(t);
	return t;
}

/* ---- the loop's side */

static void clear_page(struct loop *l)
{
	if (!l->page_used)
		return;
	*l->page = (struct crash_note){ 0 };
	l->page_used = false;
}

static void resume(struct loop *l, struct task *t)
{
	t->state = TASK_RUNNING;
	t->moved = 0;
	if (t->trimmed) {
		t->trimmed = false;
		t->stack.slab->quiet[t->stack.index] = 0;
	}
	if (t->has_note)
		task_write_note(l, t);
	else
		clear_page(l);
	l->current = t;
	l->stats.switches++;
	switch_to_task(l, t);
	l->current = NULL;
	if (t->state == TASK_FREE)
		task_free(l, t);
	if (!timer_is_set(&l->sweep))
		timer_set(&l->sweep, l->now + SWEEP_AGE);
}

void tasks_new_turn(struct loop *l)
{
	queue_splice(&l->ready, &l->yielded);
}

bool tasks_run(struct loop *l)
{
	struct task *t;
	unsigned n = 0;

	while (n < RUNS_PER_TURN && (t = queue_pop(&l->ready))) {
		resume(l, t);
		n++;
	}
	clear_page(l);		/* timers and posts that follow are no message's work */
	return n;
}

/* One stack of the sweep; false: in use too lately, look again in the next round. */
static bool trim_one(struct loop *l, struct stack_slab *slab, unsigned index)
{
	struct stack s = stack_at(slab, index);
	struct task *t = task_of(&s);
	const void *sp = t->state == TASK_FREE ? (const void *)t : context_sp(&t->context);

	if (t->state != TASK_FREE && t->state != TASK_WAITING)
		return false;
	if (l->now - t->parked_at < SWEEP_AGE)
		return false;
	if (sp && !CHECKED_STACKS && !RUNNING_ON_VALGRIND)
		stack_trim(&s, sp);
	t->trimmed = true;
	slab->quiet[index] = 1;
	return true;
}

void tasks_sweep(struct timer *timer)
{
	struct loop *l = CONTAINER_OF(timer, struct loop, sweep);
	unsigned n = 0;

	for (; l->sweep_slab < l->stacks.slabs_n; l->sweep_slab++, l->sweep_index = 0) {
		struct stack_slab *slab = l->stacks.slabs[l->sweep_slab];

		for (; l->sweep_index < slab->used; l->sweep_index++) {
			if (n == SWEEP_PER_TURN) {
				timer_set(timer, l->now + 1);	/* the next turn goes on here */
				return;
			}
			if (slab->quiet[l->sweep_index])
				continue;
			n++;
			if (!trim_one(l, slab, l->sweep_index))
				l->sweep_left = true;
		}
	}
	if (l->sweep_left)
		timer_set(timer, l->now + SWEEP_AGE);
	l->sweep_slab = l->sweep_index = 0;
	l->sweep_left = false;
}

void tasks_init(struct loop *l)
{
	context_init_loop(&l->context);
	timer_init(&l->sweep, tasks_sweep);
}

void tasks_done(struct loop *l)
{
	assert(l->stats.tasks_live == 0);
	context_done(&l->context);
	stack_pool_done(&l->stacks);
}

/* ---- waiting */

static struct task *current(void)
{
	struct loop *l = loop_self();

	assert(l && l->current);	/* only tasks wait */
	return l->current;
}

struct task *task_self(void)
{
	struct loop *l = loop_self();

	return l ? l->current : NULL;
}

const char *task_name(const struct task *t)
{
	return t->name;
}

static void park(struct task *t, unsigned wakes, uint64_t deadline, bool can_cancel) SUSPENDS
{
	t->waits_for = (uint8_t)wakes;
	t->deadline = deadline;
	t->can_cancel = can_cancel;
	t->parked_at = t->loop->now;
	if (deadline != NEVER &&
	    (!timer_is_set(&t->timer) || heap_key(&t->loop->timers, &t->timer.node) > deadline))
		timer_set(&t->timer, deadline);
	t->state = TASK_WAITING;
	switch_to_loop(t);
}

int task_wait_for(unsigned wakes, uint64_t deadline)
{
	struct task *t = current();

	if (t->cancelled)
		return -ECANCELED;
	if (!(t->wakes & wakes)) {
		if (deadline <= t->loop->now)
			return -ETIMEDOUT;
		park(t, wakes, deadline, true);
		if (t->cancelled)
			/* what woke it stays for a wait after task_uncancel */
			return -ECANCELED;
	}
	if (!(t->wakes & wakes))
		return -ETIMEDOUT;
	t->wakes &= (uint8_t)~wakes;
	return 0;
}

void task_wait_for_uncancellable(unsigned wakes)
{
	struct task *t = current();

	while (!(t->wakes & wakes))
		park(t, wakes, NEVER, false);
	t->wakes &= (uint8_t)~wakes;
}

int task_wait(uint64_t deadline)
{
	return task_wait_for(WAKE_USER, deadline);
}

void task_wait_uncancellable(void)
{
	task_wait_for_uncancellable(WAKE_USER);
}

int task_sleep_until(uint64_t deadline)
{
	int r = task_wait_for(0, deadline);

	return r == -ETIMEDOUT ? 0 : r;
}

void task_yield(void)
{
	struct task *t = current();

	t->parked_at = t->loop->now;
	t->state = TASK_READY;
	queue_push(&t->loop->yielded, t);
	switch_to_loop(t);
}

void task_moved(size_t n)
{
	struct task *t = task_self();

	if (!t)
		return;
	t->moved += (unsigned)n;
	if (t->moved > MOVED_MAX)
		task_yield();
}

/* ---- waking and cancelling */

void task_signal(struct task *t, unsigned wake)
{
	assert(t->loop == loop_self());
	t->wakes |= (uint8_t)wake;
	if (t->state == TASK_WAITING && t->waits_for & wake)
		make_ready(t);
}

void task_wake(struct task *t)
{
	task_signal(t, WAKE_USER);
}

void task_cancel(struct task *t)
{
	assert(t->loop == loop_self());
	t->cancelled = true;
	if (t->state == TASK_WAITING && t->can_cancel)
		make_ready(t);
}

bool task_is_cancelled(void)
{
	struct task *t = task_self();

	return t && t->cancelled;
}

void task_uncancel(void)
{
	current()->cancelled = false;
}

void task_group_init(struct task_group *g)
{
	list_init(&g->tasks);
	g->n = 0;
	g->waiter = NULL;
}

void task_group_cancel(struct task_group *g)
{
	LIST_FOR(at, &g->tasks)
		task_cancel(LIST_ENTRY(at, struct task, group_link));
}

int task_group_wait(struct task_group *g, uint64_t deadline)
{
	struct task *t = current();
	int r = t->cancelled ? -ECANCELED : 0;

	assert(!g->waiter);
	while (g->n && !r) {
		t->wakes &= (uint8_t)~WAKE_GROUP;
		g->waiter = t;
		r = task_wait_for(WAKE_GROUP, deadline);
		g->waiter = NULL;
	}
	return r;
}

/* ---- notes for the supervisor */

void task_write_note(struct loop *l, const struct task *t)
{
	struct crash_note *page = l->page;

	if (!page)
		return;
	memcpy(page->id, t->note_id, sizeof(page->id));
	str_copy(page->stage, sizeof(page->stage), str_of(t->note_stage));
	str_copy(page->peer, sizeof(page->peer), str_of(t->note_peer));
	l->page_used = true;
}

static void note_changed(struct task *t)
{
	t->has_note = t->note_stage || t->note_peer;
	if (t->has_note)
		task_write_note(t->loop, t);
	else
		clear_page(t->loop);
}

void task_note(const void *id, const char *stage)
{
	struct task *t = current();

	if (id)
		memcpy(t->note_id, id, sizeof(t->note_id));
	else
		memset(t->note_id, 0, sizeof(t->note_id));
	t->note_stage = stage;
	note_changed(t);
}

void task_note_peer(const char *peer)
{
	struct task *t = current();

	t->note_peer = peer;
	note_changed(t);
}
