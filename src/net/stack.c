/*
 * stack - the stacks of one loop's tasks; see stack.h.
 *
 * A slab is one mapping of 256 stacks (16 MiB), never merged into huge pages: khugepaged would turn
 * 32 stacks of one touched page each into 2 MiB. Slabs are kept until the pool ends; what a peak
 * has left behind goes back page by page through stack_trim. The stack pool's free list is an
 * array, not links on the stacks, so that a freed stack may be trimmed to nothing.
 */
#include "net/stack.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102	/* Linux 6.13 */
#endif
#define MADV_OF_NOBODY 0x7ffe	/* no kernel knows it */

#define MAPS_RESERVED 8192	/* mappings left for the heap, files, libraries and thread stacks */
#define MAPS_DEFAULT 65530	/* the kernel's default of vm.max_map_count */

static atomic_bool by_mprotect;		/* MADV_GUARD_INSTALL is not there, or not wanted */
static atomic_bool advice_counts;	/* advice that means nothing was refused */
static atomic_uint protected_n;		/* stacks guarded by mprotect, of all pools */
static atomic_uint protected_max;	/* 0: not read yet */

static unsigned read_max_map_count(void)
{
	char text[32];
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	uint64_t value = MAPS_DEFAULT;

	if (fd >= 0)
		close(fd);
	while (n > 0 && !ascii_is_digit(text[n - 1]))
		n--;
	if (n <= 0 || !str_parse_u64(str_make(text, (size_t)n), UINT32_MAX, &value))
		value = MAPS_DEFAULT;
	return (unsigned)value;
}

/* How many stacks mprotect may guard: each splits its slab's mapping twice. */
static unsigned protected_limit(void)
{
	unsigned max = atomic_load(&protected_max);

	if (max)
		return max;
	max = read_max_map_count();
	max = max > 2 * MAPS_RESERVED ? (max - MAPS_RESERVED) / 2 : max / 4 + 1;
	atomic_store(&protected_max, max);
	return max;
}

void stack_force_mprotect(bool on, unsigned limit)
{
	atomic_store(&by_mprotect, on);
	if (limit)
		atomic_store(&protected_max, limit);
}

static bool guard_by_mprotect(char *page)
{
	if (atomic_fetch_add(&protected_n, 1) >= protected_limit() ||
	    mprotect(page, STACK_PAGE, PROT_NONE) < 0) {
		atomic_fetch_sub(&protected_n, 1);
		return false;
	}
	return true;
}

/* An emulated kernel may say yes to all advice and do nothing: then its yes means nothing. */
static bool guard_by_advice(char *page)
{
	if (madvise(page, STACK_PAGE, MADV_GUARD_INSTALL) < 0)
		return false;
	if (!atomic_load(&advice_counts) && madvise(page, STACK_PAGE, MADV_OF_NOBODY) < 0)
		atomic_store(&advice_counts, true);
	return atomic_load(&advice_counts);
}

static bool guard(struct stack_pool *p, char *page)
{
	if (!atomic_load(&by_mprotect)) {
		if (guard_by_advice(page))
			return true;
		atomic_store(&by_mprotect, true);
	}
	if (!guard_by_mprotect(page))
		return false;
	p->protected_n++;
	return true;
}

struct stack stack_at(struct stack_slab *slab, unsigned index)
{
	char *base = slab->base + (size_t)index * STACK_SIZE;

	return (struct stack){ .low = base + STACK_PAGE, .size = STACK_SIZE - STACK_PAGE,
			       .slab = slab, .index = index };
}

static struct stack_slab *slab_new(struct stack_pool *p)
{
	struct stack_slab *slab;
	void *base;

	/* A guard is a page: with pages of 64 KiB, a stack would be all guard. */
	assert(sysconf(_SC_PAGESIZE) <= 4 * STACK_PAGE);
	base = mmap(NULL, (size_t)SLAB_STACKS * STACK_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	madvise(base, (size_t)SLAB_STACKS * STACK_SIZE, MADV_NOHUGEPAGE);
	slab = mem_zalloc(sizeof(*slab));
	slab->base = base;
	memset(slab->quiet, 1, sizeof(slab->quiet));
	p->slabs = mem_realloc(p->slabs, size_mul(p->slabs_n + 1, sizeof(*p->slabs)));
	p->slabs[p->slabs_n++] = slab;
	return slab;
}

/* A stack that was never used, from the newest slab or a new one. */
static bool stack_carve(struct stack_pool *p, struct stack *ret)
{
	struct stack_slab *slab = p->slabs_n ? p->slabs[p->slabs_n - 1] : NULL;
	struct stack s;

	if (!slab || slab->used == SLAB_STACKS)
		slab = slab_new(p);
	if (!slab)
		return false;
	s = stack_at(slab, slab->used);
	if (!guard(p, s.low - STACK_PAGE))
		return false;
	slab->valgrind_ids[slab->used++] = (unsigned)VALGRIND_STACK_REGISTER(s.low, s.low + s.size);
	p->mapped++;
	*ret = s;
	return true;
}

bool stack_get(struct stack_pool *p, struct stack *ret)
{
	if (p->free_n)
		*ret = p->free[--p->free_n];
	else if (!stack_carve(p, ret))
		return false;
	return true;
}

void stack_put(struct stack_pool *p, const struct stack *s)
{
	if (p->free_n == p->free_size) {
		p->free_size = p->free_size ? 2 * p->free_size : 64;
		p->free = mem_realloc(p->free, size_mul(p->free_size, sizeof(*p->free)));
	}
	p->free[p->free_n++] = *s;
}

void stack_trim(const struct stack *s, const void *sp)
{
	/* The red zone: 128 octets below the stack pointer may be in use (System V ABI). */
	uintptr_t end = ((uintptr_t)sp - 128) & ~(uintptr_t)(STACK_PAGE - 1);
	uintptr_t low = (uintptr_t)s->low;

	if (end > low)
		madvise(s->low, end - low, MADV_DONTNEED);
}

static void slab_free(struct stack_slab *slab)
{
	for (unsigned i = 0; i < slab->used; i++)
		VALGRIND_STACK_DEREGISTER(slab->valgrind_ids[i]);
	munmap(slab->base, (size_t)SLAB_STACKS * STACK_SIZE);
	mem_free(slab);
}

void stack_pool_done(struct stack_pool *p)
{
	for (unsigned i = 0; i < p->slabs_n; i++)
		slab_free(p->slabs[i]);
	atomic_fetch_sub(&protected_n, p->protected_n);
	mem_free(p->slabs);
	mem_free(p->free);
	*p = (struct stack_pool){ 0 };
}
