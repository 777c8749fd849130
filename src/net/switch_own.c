/*
 * switch_own - our own switch: a new context is a stack that looks as if it had been left once.
 *
 * switch_stack (in assembly) pushes what a call must keep, stores the stack pointer, loads the
 * other and pops. So a new stack gets one such frame, whose return address is switch_entry and
 * whose callee-saved registers hold what switch_entry calls. The frame's layout stands in the
 * assembly files.
 */
#if defined(TASKS_switch)
#include "net/switch.h"

#include <stdint.h>

void switch_stack(void **ret_sp, void *sp);
void switch_entry(void);

#if defined(__x86_64__)
/* mxcsr and x87 control word, r15, r14, r13 (arg), r12 (entry), rbx, rbp, return address */
enum { FRAME_WORDS = 8, FRAME_FLOAT = 0, FRAME_ARG = 3, FRAME_ENTRY = 4, FRAME_RETURN = 7 };

static uint64_t float_modes(void)
{
	uint32_t mxcsr;
	uint16_t x87;

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
	return mxcsr | (uint64_t)x87 << 32;
}
#else
/* x19 (entry), x20 (arg), x21-x28, x29, x30 (return address), d8-d15, fpcr, padding */
enum { FRAME_WORDS = 22, FRAME_ENTRY = 0, FRAME_ARG = 1, FRAME_RETURN = 11, FRAME_FLOAT = 20 };

static uint64_t float_modes(void)
{
	uint64_t fpcr;

	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	return fpcr;
}
#endif

void context_init(struct context *c, void *low, size_t size, void (*entry)(void *), void *arg)
{
	/* 16-aligned at switch_entry; two words above it stay zero for whoever walks the stack. */
	uintptr_t top = (((uintptr_t)low + size) & ~(uintptr_t)15) - 16;
	uint64_t *frame = (uint64_t *)top - FRAME_WORDS;

	for (int i = 0; i < FRAME_WORDS + 2; i++)
		frame[i] = 0;
	frame[FRAME_FLOAT] = float_modes();
	frame[FRAME_ENTRY] = (uintptr_t)entry;
	frame[FRAME_ARG] = (uintptr_t)arg;
	frame[FRAME_RETURN] = (uintptr_t)switch_entry;
	c->sp = frame;
}

void context_init_loop(struct context *c)
{
	c->sp = NULL;
}

void context_switch(struct context *from, struct context *to)
{
	switch_stack(&from->sp, to->sp);
}

void context_leave(struct context *from, struct context *to)
{
	switch_stack(&from->sp, to->sp);
}

void context_done(struct context *c)
{
	(void)c;
}

void *context_sp(const struct context *c)
{
	return c->sp;
}
#else
typedef int switch_own_is_not_selected;
#endif
