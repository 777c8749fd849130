/* net/file: read whole and bounded; replaced whole or not at all, whatever of the disk fails. */
#include "net/file.h"

#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/relevo-file-XXXXXX";
static int dir;
static struct world world;
static int left;		/* calls of the disk until one fails; -1: none does */
static unsigned calls;
static size_t write_max;	/* octets that one call takes */

static bool fails(void)
{
	calls++;
	return left >= 0 && left-- == 0;
}

static int fail_open(struct world *w, int at, const char *path, int flags, mode_t mode)
{
	return fails() ? -EMFILE : world_real()->disk_open(w, at, path, flags, mode);
}

static ssize_t fail_write(struct world *w, int fd, const struct iovec *iov, int n, uint64_t at)
{
	struct iovec part = iov[0];

	assert_int_equal(n, 1);
	if (part.iov_len > write_max)
		part.iov_len = write_max;
	return fails() ? -ENOSPC : world_real()->disk_pwritev(w, fd, &part, 1, at);
}

static int fail_sync(struct world *w, int fd)
{
	return fails() ? -EIO : world_real()->disk_sync(w, fd);
}

static int fail_rename(struct world *w, int at, const char *from, const char *to)
{
	return fails() ? -EACCES : world_real()->disk_rename(w, at, from, to);
}

static ssize_t fail_read(struct world *w, int fd, void *p, size_t n, uint64_t at)
{
	return fails() ? -EIO : world_real()->disk_pread(w, fd, p, n, at);
}

static int setup(void **state)
{
	(void)state;
	memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	world = *world_real();
	world.disk_open = fail_open;
	world.disk_pwritev = fail_write;
	world.disk_sync = fail_sync;
	world.disk_rename = fail_rename;
	world.disk_pread = fail_read;
	left = -1;
	write_max = SIZE_MAX;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlinkat(dir, "it", 0);
	close(dir);
	return rmdir(folder);		/* nothing else is left behind */
}

static void assert_holds(const char *text)
{
	struct buf b = BUF_INIT(1000);

	left = -1;
	assert_int_equal(file_read(&world, dir, "it", &b), 0);
	assert_str_equal(buf_str(&b), str_of(text));
	buf_done(&b);
}

static void test_each_call_fails(void **state)
{
	unsigned all;

	(void)state;
	write_max = 2;
	assert_int_equal(file_replace(&world, dir, "it", STR("old")), 0);
	assert_holds("old");
	calls = 0;
	assert_int_equal(file_replace(&world, dir, "it", STR("newer")), 0);
	all = calls;
	assert_int_equal(all, 1 + 3 + 1 + 1 + 1);
	assert_int_equal(file_replace(&world, dir, "it", STR("old")), 0);
	for (unsigned i = 0; i < all; i++) {
		left = (int)i;
		assert_true(file_replace(&world, dir, "it", STR("newer")) < 0);
		/* only the folder's sync comes when the new one has its name already */
		assert_holds(i + 1 < all ? "old" : "newer");
	}
	left = -1;
	assert_int_equal(file_replace(&world, dir, "it", STR_NONE), 0);
	assert_holds("");
}

/* What a crash left beside is not written into: it may be the file itself by another name. */
static void test_left_behind(void **state)
{
	(void)state;
	assert_int_equal(file_replace(&world, dir, "it", STR("old")), 0);
	assert_int_equal(linkat(dir, "it", dir, ".it", 0), 0);
	left = 2;			/* the sync */
	assert_int_equal(file_replace(&world, dir, "it", STR("new")), -EIO);
	assert_holds("old");
}

static void test_pieces(void **state)
{
	struct buf b = BUF_INIT(300000);
	struct file_new f;

	(void)state;
	file_new_begin(&f, &world, dir, "it");
	for (unsigned i = 0; i < 20000; i++) {
		buf_printf(&f.text, "line %u\n", i);
		file_new_flush(&f);
		assert_true(f.text.n < FILE_PIECE);
	}
	assert_int_equal(file_new_end(&f), 0);
	assert_int_equal(file_read(&world, dir, "it", &b), 0);
	assert_int_equal(b.n, 10 * 7 + 90 * 8 + 900 * 9 + 9000 * 10 + 10000 * 11);
	assert_true(str_ends_nocase(buf_str(&b), STR("line 19998\nline 19999\n")));
	buf_done(&b);
}

static void test_bounds(void **state)
{
	struct buf fits = BUF_INIT(5), small = BUF_INIT(4);

	(void)state;
	assert_int_equal(file_read(&world, dir, "it", &small), -ENOENT);
	assert_int_equal(file_replace(&world, dir, "it", STR("12345")), 0);
	assert_int_equal(file_read(&world, dir, "it", &fits), 0);
	assert_int_equal(fits.n, 5);
	assert_int_equal(file_read(&world, dir, "it", &small), -EFBIG);
	buf_clear(&fits);
	left = 1;
	assert_int_equal(file_read(&world, dir, "it", &fits), -EIO);
	buf_done(&fits);
	buf_done(&small);
}

static void test_long_names(void **state)
{
	char name[FILE_NAME_MAX + 1];

	(void)state;
	memset(name, 'n', FILE_NAME_MAX);
	name[FILE_NAME_MAX] = '\0';
	assert_int_equal(file_replace(&world, dir, name, STR("x")), 0);
	assert_int_equal(unlinkat(dir, name, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_call_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_names, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
