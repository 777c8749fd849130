/*
 * Files of the conformance data that stand outside the tree: $RELEVO_TESTDATA, or
 * ../shared/testdata.
 */
#ifndef UNIT_TESTDATA_H
#define UNIT_TESTDATA_H

#include "base/buf.h"
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline const char *testdata_folder(void)
{
	const char *folder = getenv("RELEVO_TESTDATA");

	return folder && *folder ? folder : "../shared/testdata";
}

/* Ends the test as skipped if the data is not there. */
static inline void testdata_needed(void)
{
	if (access(testdata_folder(), R_OK) == 0)
		return;
	print_message("skipped: no testdata in %s (set RELEVO_TESTDATA)\n", testdata_folder());
	skip();
}

static inline bool file_read(struct buf *out, const char *path)
{
	FILE *file = fopen(path, "rb");
	char *to;

	if (!file)
		return false;
	while ((to = buf_reserve(out, 65536))) {
		size_t n = fread(to, 1, 65536, file);

		buf_commit(out, n);
		if (!n)
			break;
	}
	fclose(file);
	return buf_ok(out);
}

#endif
