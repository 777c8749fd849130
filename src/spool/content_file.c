/*
 * content_file - large bodies, written to files of their own by the session that receives them,
 * through the pool.
 *
 * SPOOL/content/NAME holds the body as it came in and nothing else; NAME is 16 hexadecimal digits
 * of a random number, because the file is begun before the message has an id. It and its directory
 * entry are synced before the record that names it is handed to the committer (D1), so the
 * committer never waits for 100 MB. A file that no record names is removed by the next recovery
 * that finds no damage.
 *
 * Everything here blocks and runs on a pool thread; only one call per content is under way at any
 * time.
 */
#include "spool/inner.h"

#include <fcntl.h>

#define IOV_PER_WRITE 32

char *content_file_name(char dst[CONTENT_FILE_NAME], uint64_t name)
{
	snprintf(dst, CONTENT_FILE_NAME, "%016llx", (unsigned long long)name);
	return dst;
}

bool content_file_name_parse(const char *name, uint64_t *ret)
{
	char log[SEGMENT_NAME];

	if (strlen(name) != CONTENT_FILE_NAME - 1)
		return false;
	snprintf(log, sizeof(log), "%.16s.log", name);
	return segment_name_parse(log, ret) && *ret;
}

static int open_file(void *arg)
{
	struct content *c = arg;
	struct spool *s = c->memory->spool;
	char name[CONTENT_FILE_NAME];
	uint64_t random = 0;
	int fd;

	while (!random)
		s->world->random(s->world, &random, sizeof(random));
	fd = s->world->disk_open(s->world, s->content_dir, content_file_name(name, random),
				 O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	c->fd = fd;
	c->file = random;
	return 0;
}

int content_file_open(struct content *c)
{
	return net_offload(open_file, c);
}

/*
 * A message that told no size shall not eat what is left for bookkeeping: it ends at half the
 * watermark.
 */
static bool is_full(struct spool *s)
{
	return !spool_accepts(s) && atomic_load(&s->free) < atomic_load(&s->free_min) / 2;
}

static int flush(void *arg)
{
	struct content *c = arg;
	struct spool *s = c->memory->spool;
	struct chunk *chunk = c->chunks;
	int r;

	if (is_full(s))
		return -ENOSPC;
	while (chunk) {
		struct iovec iov[IOV_PER_WRITE];
		uint64_t octets = 0;
		unsigned n = 0;

		for (; chunk && n < IOV_PER_WRITE; chunk = chunk->next) {
			if (!chunk->n)
				continue;
			iov[n++] = (struct iovec){ chunk->data, chunk->n };
			octets += chunk->n;
		}
		if ((r = world_write(s->world, c->fd, iov, n, c->written)) < 0)
			return r;
		c->written += octets;
		atomic_fetch_add_explicit(&s->file_octets, octets, memory_order_relaxed);
	}
	for (chunk = c->chunks; chunk; chunk = chunk->next)
		chunk->n = 0;
	return 0;
}

int content_file_flush(struct content *c)
{
	return net_offload(flush, c);
}

static int seal(void *arg)
{
	struct content *c = arg;
	struct spool *s = c->memory->spool;
	struct world *w = s->world;
	int r = flush(c);

	if (r == 0)
		r = w->disk_sync(w, c->fd);
	w->disk_close(w, c->fd);
	c->fd = -1;
	return r < 0 ? r : w->disk_sync(w, s->content_dir);
}

int content_file_seal(struct content *c)
{
	return net_offload(seal, c);
}
