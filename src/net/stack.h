/*
 * stack - the stacks of one loop's tasks: reserved in slabs, guarded, reused last in first out.
 *
 * A stack is STACK_SIZE octets of address space of which the kernel backs only the pages that were
 * touched. Its lowest page is a guard: MADV_GUARD_INSTALL, which costs nothing, or else mprotect,
 * which costs two of the process's vm.max_map_count mappings; then stack_get says NULL while there
 * is still room for the heap and for files. Not for two threads at once (a pool belongs to a loop).
 */
#ifndef NET_STACK_H
#define NET_STACK_H

#include "net/checkers.h"
#include "net/task.h"

#define STACK_SIZE (CHECKED_STACKS ? 4 * TASK_STACK : TASK_STACK)
#define STACK_PAGE 4096
#define SLAB_STACKS 256

struct stack_slab {
	char *base;		/* owned: SLAB_STACKS stacks */
	unsigned used;		/* so many were given out at least once */
	uint8_t quiet[SLAB_STACKS];	/* nothing to trim: never used, or trimmed since it ran */
	unsigned valgrind_ids[SLAB_STACKS];
};

struct stack {			/* where one is; what lies on it belongs to its user */
	char *low;		/* above the guard */
	size_t size;
	struct stack_slab *slab;
	unsigned index;
};

struct stack_pool {
	struct stack_slab **slabs;	/* owned */
	unsigned slabs_n;
	struct stack *free;		/* owned; the top was freed last */
	unsigned free_n, free_size;
	unsigned mapped;		/* stacks given out at least once */
	unsigned protected_n;		/* of them: guarded by mprotect */
};

bool stack_get(struct stack_pool *p, struct stack *ret);	/* false: used up */
void stack_put(struct stack_pool *p, const struct stack *s);
struct stack stack_at(struct stack_slab *slab, unsigned index);
void stack_trim(const struct stack *s, const void *sp);	/* gives back the whole pages below sp */
void stack_pool_done(struct stack_pool *p);

/*
 * For tests: guards by mprotect from now on, as on kernels before 6.13; 0 leaves the limit on their
 * number as it is.
 */
void stack_force_mprotect(bool on, unsigned limit);

#endif
