/*
 * file - see file.h.
 */
#include "net/file.h"

#include <errno.h>
#include <fcntl.h>

#define TEXT_MAX (64u * 1024 * 1024)	/* that a caller may gather at once */

int file_read(struct world *w, int folder, const char *name, struct buf *ret)
{
	int fd = w->disk_open(w, folder, name, O_RDONLY, 0);
	uint64_t at = 0;
	ssize_t r;

	if (fd < 0)
		return fd;
	do {
		size_t room = ret->max - ret->n < FILE_PIECE ? ret->max - ret->n : FILE_PIECE;
		char more, *p = room ? buf_reserve(ret, room) : &more;

		/* One octet beyond the maximum tells whether that was the end. */
		r = w->disk_pread(w, fd, p, room ? room : 1, at);
		if (r > 0 && !room)
			r = -EFBIG;
		if (r > 0) {
			buf_commit(ret, (size_t)r);
			at += (uint64_t)r;
		}
	} while (r > 0);
	w->disk_close(w, fd);
	return (int)r;
}

/* ---- writing */

void file_new_begin(struct file_new *f, struct world *w, int folder, const char *name)
{
	*f = (struct file_new){
		.text = BUF_INIT(TEXT_MAX), .world = w, .name = name, .folder = folder,
	};
	f->beside[0] = '.';
	str_copy(f->beside + 1, sizeof(f->beside) - 1, str_of(name));
	/* A crash in the middle of a rename may leave both names to one file: not to be emptied. */
	w->disk_unlink(w, folder, f->beside, false);
	f->fd = w->disk_open(w, folder, f->beside, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	f->error = f->fd < 0 ? f->fd : 0;
}

static void flush(struct file_new *f)
{
	struct iovec iov = { f->text.p, f->text.n };

	if (!f->error && !buf_ok(&f->text))
		f->error = -EFBIG;
	if (!f->error && f->text.n)
		f->error = world_write(f->world, f->fd, &iov, 1, f->written);
	f->written += f->text.n;
	buf_clear(&f->text);
}

void file_new_flush(struct file_new *f)
{
	if (f->text.n >= FILE_PIECE || !buf_ok(&f->text))
		flush(f);
}

int file_new_end(struct file_new *f)
{
	struct world *w = f->world;

	flush(f);
	buf_done(&f->text);
	if (f->fd < 0)
		return f->error;
	if (!f->error)
		f->error = w->disk_sync(w, f->fd);
	w->disk_close(w, f->fd);
	if (!f->error)
		f->error = w->disk_rename(w, f->folder, f->beside, f->name);
	if (f->error)
		w->disk_unlink(w, f->folder, f->beside, false);
	return f->error ? f->error : w->disk_sync(w, f->folder);
}

int file_replace(struct world *w, int folder, const char *name, struct str content)
{
	struct file_new f;

	file_new_begin(&f, w, folder, name);
	buf_add_str(&f.text, content);
	return file_new_end(&f);
}
