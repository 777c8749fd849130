/* What every unit test includes: cmocka with the headers that it wants first. */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants jmp_buf before it. */
#include <setjmp.h>

#include <cmocka.h>

#include "base/str.h"

/* Compares two slices and prints both when they differ. */
#define assert_str_equal(a, b) assert_str_equal_at(a, b, __FILE__, __LINE__)

static inline void assert_str_equal_at(struct str a, struct str b, const char *file, int line)
{
	if (str_eq(a, b))
		return;
	print_error("\"%.*s\" (%zu) != \"%.*s\" (%zu)\n", (int)a.n, a.p ? a.p : "", a.n, (int)b.n,
		    b.p ? b.p : "", b.n);
	_fail(file, line);
}

#endif
