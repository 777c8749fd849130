/*
 * quarantine - what was damaged is kept, in SPOOL/quarantine, for a person to look at; never
 * silently dropped.
 *
 * A damaged range of a segment becomes SEGMENT-OFFSET.bin there, under the same name at every
 * recovery that meets it. Failing to quarantine does not fail the recovery: the segment itself
 * stays as it is.
 */
#include "spool/scan.h"

#include <fcntl.h>

#define NAME_MAX_OCTETS 320
#define PIECE ((size_t)64 * 1024)

static int copy_range(struct spool *s, struct segment *g, int fd, uint64_t from, uint64_t to)
{
	struct world *w = s->world;
	char *piece = mem_alloc(PIECE);
	uint64_t at = 0;
	int r = 0;

	while (from < to && r == 0) {
		size_t n = to - from < PIECE ? (size_t)(to - from) : PIECE;
		struct iovec iov = { piece, n };

		if (segment_read(g, piece, n, from) < 0)
			memset(piece, 0xff, n);
		r = world_write(w, fd, &iov, 1, at);
		at += n;
		from += n;
	}
	mem_free(piece);
	return r;
}

/*
 * The id in what looks like a MESSAGE record's header where a record may begin, there or on the
 * next page (I2): perhaps the damage spared it.
 */
static bool guess_id(struct segment *g, uint64_t from, char id[ID_TEXT_MAX])
{
	uint64_t page = (from + RECORD_PAGE - 1) & ~(uint64_t)(RECORD_PAGE - 1);
	char header[RECORD_HEADER];
	struct record r;

	if ((segment_read(g, header, sizeof(header), from) < 0 || !record_get(header, &r)) &&
	    (segment_read(g, header, sizeof(header), page) < 0 || !record_get(header, &r)))
		return false;
	if (r.type != RECORD_MESSAGE)
		return false;
	id_format(id, &r.id);
	return true;
}

void quarantine_range(struct spool *s, struct segment *g, uint64_t from, uint64_t to)
{
	struct world *w = s->world;
	char name[NAME_MAX_OCTETS], id[ID_TEXT_MAX];
	bool has_id = guess_id(g, from, id);
	int fd;

	spool_report(s, SPOOL_EVENT_DAMAGE,
		     "segment %016llx is damaged from octet %llu to %llu%s%s",
		     (unsigned long long)g->number, (unsigned long long)from,
		     (unsigned long long)to, has_id ? ", it seems in message " : "",
		     has_id ? id : "");
	snprintf(name, sizeof(name), "quarantine/%016llx-%llu.bin", (unsigned long long)g->number,
		 (unsigned long long)from);
	fd = w->disk_open(w, s->dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return;		/* mostly: it was quarantined before */
	copy_range(s, g, fd, from, to);
	w->disk_sync(w, fd);
	w->disk_close(w, fd);
}

int quarantine_file(struct spool *s, const char *folder, const char *name)
{
	char from[NAME_MAX_OCTETS], to[NAME_MAX_OCTETS];
	int r;

	snprintf(from, sizeof(from), "%s/%s", folder, name);
	snprintf(to, sizeof(to), "quarantine/%s", name);
	r = s->world->disk_rename(s->world, s->dir, from, to);
	if (r == 0)
		spool_report(s, SPOOL_EVENT_DAMAGE, "%s was moved to quarantine", from);
	return r;
}
