/*
 * world_disk - the disk of the real world: thin wrappers that return -errno and try again after
 * EINTR.
 *
 * Short counts are passed on as the kernel gives them; world_write, which works in any world, goes
 * on behind them. A failed fsync or fdatasync is never tried again here, not even after EINTR,
 * because the kernel may have dropped the dirty pages and a second call would lie (D4). close is
 * not repeated either: Linux has freed the descriptor.
 */
#include "net/world_real.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int real_disk_open(struct world *w, int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	(void)w;
	do
		fd = openat(dirfd, path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return errno_or(fd);
}

static int real_disk_close(struct world *w, int fd)
{
	(void)w;
	return errno_or(close(fd));
}

static ssize_t real_disk_pread(struct world *w, int fd, void *p, size_t n, uint64_t offset)
{
	ssize_t r;

	(void)w;
	do
		r = pread(fd, p, n, (off_t)offset);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static ssize_t real_disk_pwritev(struct world *w, int fd, const struct iovec *iov, int n,
				 uint64_t offset)
{
	ssize_t r;

	(void)w;
	do
		r = pwritev(fd, iov, n, (off_t)offset);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int world_write(struct world *w, int fd, struct iovec *iov, unsigned n, uint64_t offset)
{
	while (n) {
		ssize_t r = w->disk_pwritev(w, fd, iov, n > IOV_MAX ? IOV_MAX : (int)n, offset);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			return r ? (int)r : -EIO;
		offset += (uint64_t)r;
		for (; n && (size_t)r >= iov->iov_len; iov++, n--)
			r -= (ssize_t)iov->iov_len;
		if (r) {
			iov->iov_base = (char *)iov->iov_base + r;
			iov->iov_len -= (size_t)r;
		}
	}
	return 0;
}

static int real_disk_datasync(struct world *w, int fd)
{
	(void)w;
	return errno_or(fdatasync(fd));
}

static int real_disk_sync(struct world *w, int fd)
{
	(void)w;
	return errno_or(fsync(fd));
}

static int real_disk_allocate(struct world *w, int fd, uint64_t offset, uint64_t n)
{
	int r;

	(void)w;
	do
		r = fallocate(fd, 0, (off_t)offset, (off_t)n);
	while (r < 0 && errno == EINTR);
	return errno_or(r);
}

static int real_disk_truncate(struct world *w, int fd, uint64_t n)
{
	int r;

	(void)w;
	do
		r = ftruncate(fd, (off_t)n);
	while (r < 0 && errno == EINTR);
	return errno_or(r);
}

static int real_disk_stat(struct world *w, int fd, struct stat *ret)
{
	struct stat st;

	(void)w;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = st;
	return 0;
}

static int real_disk_rename(struct world *w, int dirfd, const char *from, const char *to)
{
	(void)w;
	return errno_or(renameat(dirfd, from, dirfd, to));
}

static int real_disk_unlink(struct world *w, int dirfd, const char *path, bool folder)
{
	(void)w;
	return errno_or(unlinkat(dirfd, path, folder ? AT_REMOVEDIR : 0));
}

static int real_disk_mkdir(struct world *w, int dirfd, const char *path, mode_t mode)
{
	(void)w;
	return errno_or(mkdirat(dirfd, path, mode));
}

static int list_names(DIR *dir, int (*fn)(void *arg, const char *name), void *arg)
{
	for (;;) {
		struct dirent *entry;
		int r;

		errno = 0;
		entry = readdir(dir);
		if (!entry)
			return -errno;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = fn(arg, entry->d_name);
		if (r)
			return r;
	}
}

static int real_disk_list(struct world *w, int dirfd, const char *path,
			  int (*fn)(void *arg, const char *name), void *arg)
{
	int r, fd = real_disk_open(w, dirfd, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	r = list_names(dir, fn, arg);
	closedir(dir);
	return r;
}

static int real_disk_space(struct world *w, int dirfd, struct disk_space *ret)
{
	struct statvfs v;
	int r;

	(void)w;
	do
		r = dirfd == AT_FDCWD ? statvfs(".", &v) : fstatvfs(dirfd, &v);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	ret->total = (uint64_t)v.f_blocks * v.f_frsize;
	ret->free = (uint64_t)v.f_bavail * v.f_frsize;
	ret->inodes_free = v.f_files ? v.f_favail : UINT64_MAX;	/* btrfs says 0 of 0 */
	return 0;
}

/*
 * flock, not fcntl: it belongs to the open file, so no other descriptor's close in this process
 * drops it.
 */
static int real_disk_lock(struct world *w, int fd)
{
	int r;

	(void)w;
	do
		r = flock(fd, LOCK_EX | LOCK_NB);
	while (r < 0 && errno == EINTR);
	return errno_or(r);
}

void world_fill_disk(struct world *w)
{
	w->disk_open = real_disk_open;
	w->disk_close = real_disk_close;
	w->disk_pread = real_disk_pread;
	w->disk_pwritev = real_disk_pwritev;
	w->disk_datasync = real_disk_datasync;
	w->disk_sync = real_disk_sync;
	w->disk_allocate = real_disk_allocate;
	w->disk_truncate = real_disk_truncate;
	w->disk_stat = real_disk_stat;
	w->disk_rename = real_disk_rename;
	w->disk_unlink = real_disk_unlink;
	w->disk_mkdir = real_disk_mkdir;
	w->disk_list = real_disk_list;
	w->disk_space = real_disk_space;
	w->disk_lock = real_disk_lock;
}
