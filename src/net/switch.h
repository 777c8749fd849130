/*
 * switch - one context (a stack and what is saved of its registers) and how to leave it for
 * another.
 *
 * Four backends, one of which is compiled: switch_x86_64.S and switch_aarch64.S with switch_own.c
 * (the default), switch_ucontext.c (-DTASKS_ucontext, any machine) and switch_threads.c
 * (-DTASKS_threads, for debugging). Used by task.c only. Kept over a switch: callee-saved
 * registers, the rounding and exception modes of the floating point unit. Not kept: errno (it
 * belongs to the thread), the signal mask (ucontext keeps it).
 */
#ifndef NET_SWITCH_H
#define NET_SWITCH_H

#include <stdbool.h>
#include <stddef.h>

#if defined(TASKS_switch) && !defined(__x86_64__) && !defined(__aarch64__)
#error "no switch for this machine yet: build with TASKS=ucontext"
#endif

#if defined(TASKS_ucontext)
#include <ucontext.h>

struct context {
	ucontext_t registers;
};
#elif defined(TASKS_threads)
#include <pthread.h>
#include <semaphore.h>

struct context {
	pthread_t thread;
	sem_t baton;		/* posted by who hands over to us */
	void (*entry)(void *);
	void *arg;
};
#else
struct context {
	void *sp;		/* the registers lie on the stack above it */
};
#endif

void context_init(struct context *c, void *low, size_t size, void (*entry)(void *), void *arg);
/* for who calls context_switch first: the thread's own stack */
void context_init_loop(struct context *c);
void context_switch(struct context *from, struct context *to);
/* the last thing that an entry does */
void context_leave(struct context *from, struct context *to);
void context_done(struct context *c);
/* lowest octet in use of one that waits; NULL: not known */
void *context_sp(const struct context *c);

#endif
