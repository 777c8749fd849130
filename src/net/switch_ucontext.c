/*
 * switch_ucontext - the portable switch, by the C library's ucontext.
 *
 * Slower than our own by two system calls (it keeps the signal mask), and here for machines that we
 * have no assembly for, and to have something to compare with.
 */
#if defined(TASKS_ucontext)
#include "net/switch.h"

#include <stdint.h>

/* makecontext passes ints only. */
static void enter(unsigned entry_high, unsigned entry_low, unsigned arg_high, unsigned arg_low)
{
	uintptr_t entry = (uintptr_t)((uint64_t)entry_high << 32 | entry_low);

	((void (*)(void *))entry)((void *)(uintptr_t)((uint64_t)arg_high << 32 | arg_low));
}

void context_init(struct context *c, void *low, size_t size, void (*entry)(void *), void *arg)
{
	uint64_t e = (uintptr_t)entry, a = (uintptr_t)arg;

	getcontext(&c->registers);
	c->registers.uc_stack.ss_sp = low;
	c->registers.uc_stack.ss_size = size;
	c->registers.uc_link = NULL;
	makecontext(&c->registers, (void (*)(void))enter, 4, (unsigned)(e >> 32), (unsigned)e,
		    (unsigned)(a >> 32), (unsigned)a);
}

void context_init_loop(struct context *c)
{
	(void)c;
}

void context_switch(struct context *from, struct context *to)
{
	swapcontext(&from->registers, &to->registers);
}

void context_leave(struct context *from, struct context *to)
{
	(void)from;
	setcontext(&to->registers);
}

void context_done(struct context *c)
{
	(void)c;
}

void *context_sp(const struct context *c)
{
	(void)c;
	return NULL;
}
#else
typedef int switch_ucontext_is_not_selected;
#endif
