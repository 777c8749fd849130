/*
 * pattern - regular expressions by PCRE2; see pattern.h.
 *
 * What a match needs beside the pattern - match data, limits, the stack of compiled code - belongs
 * to the thread, is made at its first match and freed with it: a match allocates nothing more than
 * PCRE2's own frames, which it keeps, and takes little of the task's stack. Compiled code would run
 * on the task's stack if it were not given one of its own. Where code cannot be made (a system that
 * forbids memory to be writable and executable) PCRE2 interprets; the limits hold for both.
 *
 * Octets, not characters: replies may hold any, and UTF-8 mode would refuse some. A dot fits a line
 * feed, because the lines of a reply are one text.
 */
#include "base/pattern.h"

#include "base/mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define MATCH_MAX 10000		/* steps back of one match */
#define DEPTH_MAX 1000
#define HEAP_MAX_KIB 256
#define NESTING_MAX 50		/* parentheses in parentheses */
#define STACK_MIN ((size_t)32 << 10)
#define STACK_MAX ((size_t)64 << 10)

struct pattern {
	pcre2_code *code;	/* owned */
};

/* Of a thread. */
struct matcher {
	pcre2_match_data *data;	/* owned, all three */
	pcre2_match_context *context;
	pcre2_jit_stack *stack;	/* NULL: there is no compiler here */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static pcre2_general_context *memory;
static pcre2_compile_context *compiling;

/* ---- of the process and of each thread */

static void *allocate(size_t n, void *ignored)
{
	(void)ignored;
	return mem_alloc(n);
}

static void release(void *p, void *ignored)
{
	(void)ignored;
	mem_free(p);
}

static void matcher_free(void *p)
{
	struct matcher *m = p;

	pcre2_match_data_free(m->data);
	pcre2_match_context_free(m->context);
	if (m->stack)
		pcre2_jit_stack_free(m->stack);
	mem_free(m);
}

static void begin(void)
{
	if (pthread_key_create(&key, matcher_free) != 0)
		abort();
	memory = pcre2_general_context_create(allocate, release, NULL);
	compiling = pcre2_compile_context_create(memory);
	pcre2_set_parens_nest_limit(compiling, NESTING_MAX);
}

static struct matcher *matcher(void)
{
	struct matcher *m;

	pthread_once(&once, begin);
	m = pthread_getspecific(key);
	if (m)
		return m;
	m = mem_zalloc(sizeof(*m));
	m->data = pcre2_match_data_create(1, memory);
	m->context = pcre2_match_context_create(memory);
	pcre2_set_match_limit(m->context, MATCH_MAX);
	pcre2_set_depth_limit(m->context, DEPTH_MAX);
	pcre2_set_heap_limit(m->context, HEAP_MAX_KIB);
	m->stack = pcre2_jit_stack_create(STACK_MIN, STACK_MAX, memory);
	if (m->stack)
		pcre2_jit_stack_assign(m->context, NULL, m->stack);
	if (pthread_setspecific(key, m) != 0)
		abort();
	return m;
}

/* ---- patterns */

struct pattern *pattern_new(struct str text, char *error, size_t error_size)
{
	const uint32_t options =
		PCRE2_CASELESS | PCRE2_DOTALL | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP;
	struct pattern *p;
	pcre2_code *code;
	int why;
	size_t at;

	if (!text.n || text.n > PATTERN_OCTETS_MAX) {
		snprintf(error, error_size, "a pattern has 1 to %d octets", PATTERN_OCTETS_MAX);
		return NULL;
	}
	pthread_once(&once, begin);
	code = pcre2_compile((PCRE2_SPTR)text.p, text.n, options, &why, &at, compiling);
	if (!code) {
		char message[128];

		pcre2_get_error_message(why, (PCRE2_UCHAR *)message, sizeof(message));
		snprintf(error, error_size, "%s, at octet %zu of the pattern", message, at + 1);
		return NULL;
	}
	/* an error means that it is interpreted */
	pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	p = mem_alloc(sizeof(*p));
	p->code = code;
	return p;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	pcre2_code_free(p->code);
	mem_free(p);
}

bool pattern_matches(const struct pattern *p, struct str text)
{
	struct matcher *m = matcher();
	struct str subject = str_sub(text, 0, PATTERN_TEXT_MAX);

	/* negative: no match, or a limit that was passed */
	return pcre2_match(p->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0,
			   m->data, m->context) >= 0;
}
