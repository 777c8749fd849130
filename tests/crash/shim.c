/*
 * shim - a disk that lies or fails, for LD_PRELOAD.
 *
 * RELEVO_SHIM names a file, which is looked at before each call. If it holds
 *   nosync   fsync and fdatasync say 0 and do nothing: the negative control of the power cut
 *   sync     fsync and fdatasync fail with EIO
 *   write    pwritev fails with EIO
 *   short    pwritev writes half of the first piece, then ENOSPC
 *   nothing, or is not there: all is well.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int is(const char *word)
{
	const char *path = getenv("RELEVO_SHIM");
	char text[16] = "";
	int fd, saved = errno;

	fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		close(fd);
	}
	errno = saved;
	return strcmp(text, word) == 0;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

int fsync(int fd)
{
	if (is("sync"))
		return fail(EIO);
	return is("nosync") ? 0 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	if (is("sync"))
		return fail(EIO);
	return is("nosync") ? 0 : (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
	static _Thread_local int half_done;

	if (is("write"))
		return fail(EIO);
	if (is("short")) {
		half_done = !half_done;
		if (!half_done || iov->iov_len < 2)
			return fail(ENOSPC);
		return pwrite(fd, iov->iov_base, iov->iov_len / 2, offset);
	}
	return syscall(SYS_pwritev, fd, iov, n, (unsigned long)offset,
		       (unsigned long)((unsigned long long)offset >> 32));
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t offset)
{
	return pwritev(fd, iov, n, (off_t)offset);
}
