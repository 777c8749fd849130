/*
 * stored - a MESSAGE record read back from its segment, checked from its first octet to its last.
 *
 * For readers of content that is no longer in memory and for the keeper, who copies it. Blocks in
 * the disk.
 */
#include "spool/inner.h"

#include "base/crc.h"

static int read_envelope(struct segment *g, uint64_t offset, struct stored *st)
{
	char header[RECORD_HEADER];
	size_t n;
	int e = segment_read(g, header, sizeof(header), offset);

	if (e < 0)
		return e;
	if (!record_get(header, &st->header) || offset + record_octets(&st->header) > g->size)
		return -EBADMSG;
	n = RECORD_HEADER + (size_t)st->header.envelope_n;
	st->record = mem_alloc(n);
	if ((e = segment_read(g, st->record, n, offset)) < 0)
		return e;
	if (!record_is_signed(st->record, g->salt, offset) ||
	    !record_message_content(&st->header,
				    str_make(st->record + RECORD_HEADER, st->header.envelope_n),
				    &st->head, &st->body))
		return -EBADMSG;
	return 0;
}

int stored_read(struct segment *g, uint64_t offset, struct stored *ret)
{
	uint32_t n;
	int e = read_envelope(g, offset, ret);

	if (e == 0 && !ret->body.file) {
		n = ret->header.content_n;
		ret->content = mem_alloc(n);
		e = segment_read(g, ret->content, n,
				 offset + RECORD_HEADER + ret->header.envelope_n);
		if (e == 0 && crc32c(0, ret->content, n) != ret->body.crc)
			e = -EBADMSG;
	}
	return e == -ENODATA ? -EBADMSG : e;
}

void stored_free(struct stored *st)
{
	mem_free(st->record);
	mem_free(st->content);
	*st = (struct stored){ 0 };
}
