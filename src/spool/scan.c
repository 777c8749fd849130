/*
 * scan - one record of a segment after the other, over damage. Blocks in the disk; used by
 * recovery.
 *
 * Reads through one window, which grows only for an envelope larger than it. A body is not read,
 * but for those that recovery has to check.
 *
 * Where no record begins, the next one is looked for at every multiple of 8. What was skipped is a
 * gap if it is all zeros and ends at the page where the next batch may begin (I2), else damage. A
 * header is believed only if its checksum fits: it covers salt and offset, so neither content nor a
 * record of another place can pass. Sectors that cannot be read, tried a few times, count as
 * damaged, not as the end; .unreadable says that there were some.
 */
#include "spool/scan.h"

#include "base/crc.h"

#define WINDOW ((size_t)256 * 1024)
#define MARK 0x72764c52u
#define READ_TRIES 4
#define SEARCH_ENVELOPE_MAX (1u << 20)	/* while searching: a forged length shall not cost more
					   than this */

void scan_init(struct scan *sc, struct segment *g, uint64_t from, uint64_t limit)
{
	*sc = (struct scan){ .g = g, .at = record_align(from), .limit = limit };
	sc->window_size = WINDOW;
	sc->window = mem_alloc(WINDOW);
}

void scan_done(struct scan *sc)
{
	mem_free(sc->window);
	*sc = (struct scan){ 0 };
}

/* Page by page: what cannot be read becomes octets that are no record and not zero. */
static void read_around_damage(struct scan *sc, size_t n)
{
	for (size_t at = 0; at < n; at += RECORD_PAGE) {
		size_t piece = n - at < RECORD_PAGE ? n - at : RECORD_PAGE;

		int tries = READ_TRIES;

		while (tries && segment_read(sc->g, sc->window + at, piece, sc->window_at + at) < 0)
			tries--;
		if (tries)
			continue;
		memset(sc->window + at, 0xff, piece);
		sc->unreadable = true;
		sc->unreadable_at = sc->window_at + at;
	}
}

/* n octets at offset, which must lie below the limit. */
static const char *window(struct scan *sc, uint64_t offset, size_t n)
{
	uint64_t rest = sc->limit - offset;

	if (offset >= sc->window_at && offset - sc->window_at + n <= sc->window_n)
		return sc->window + (offset - sc->window_at);
	if (n > sc->window_size) {
		sc->window = mem_realloc(sc->window, n);
		sc->window_size = n;
	}
	sc->window_at = offset;
	sc->window_n = rest < sc->window_size ? (size_t)rest : sc->window_size;
	if (segment_read(sc->g, sc->window, sc->window_n, offset) < 0)
		read_around_damage(sc, sc->window_n);
	sc->octets_read += sc->window_n;
	return sc->window;
}

static bool record_at(struct scan *sc, uint64_t offset, uint32_t envelope_max, struct scanned *ret)
{
	const char *p;
	struct record r;

	if (offset + RECORD_HEADER > sc->limit)
		return false;
	p = window(sc, offset, RECORD_HEADER);
	if (!record_get(p, &r) || r.envelope_n > envelope_max ||
	    record_octets(&r) > sc->limit - offset)
		return false;
	p = window(sc, offset, RECORD_HEADER + (size_t)r.envelope_n);
	if (!record_is_signed(p, sc->g->salt, offset))
		return false;
	ret->header = r;
	ret->record = p;
	ret->offset = offset;
	return true;
}

/*
 * The next multiple of 8 from offset on that holds a mark, or the limit. *nonzero: something else
 * was passed.
 */
static uint64_t find_mark(struct scan *sc, uint64_t offset, bool *nonzero)
{
	while (offset + RECORD_HEADER <= sc->limit) {
		const char *p = window(sc, offset, RECORD_HEADER);
		size_t n = sc->window_n - (size_t)(offset - sc->window_at);

		for (size_t at = 0; at + 8 <= n; at += 8) {
			uint64_t word = get_u64(p + at);

			if (!word)
				continue;
			if ((uint32_t)word == MARK)
				return offset + at;
			*nonzero = true;
		}
		offset += n & ~(size_t)7;
	}
	for (; offset < sc->limit; offset++)
		*nonzero |= *window(sc, offset, 1) != 0;
	return sc->limit;
}

static bool search(struct scan *sc, struct scanned *ret)
{
	uint64_t from = sc->at, at = from,
		 next_page = (from + RECORD_PAGE - 1) & ~(uint64_t)(RECORD_PAGE - 1);
	bool nonzero = false;

	for (;;) {
		at = find_mark(sc, at, &nonzero);
		if (at >= sc->limit)
			break;
		if (record_at(sc, at, SEARCH_ENVELOPE_MAX, ret)) {
			ret->damage_from = nonzero || at != next_page ? from : 0;
			return true;
		}
		nonzero = true;
		at += RECORD_ALIGN;
	}
	ret->offset = sc->limit;
	ret->damage_from = nonzero ? from : 0;
	return false;
}

bool scan_next(struct scan *sc, struct scanned *ret)
{
	*ret = (struct scanned){ 0 };
	if (sc->at >= sc->limit) {
		ret->offset = sc->limit;
		return false;
	}
	if (!record_at(sc, sc->at, RECORD_ENVELOPE_MAX, ret) && !search(sc, ret)) {
		sc->at = sc->limit;
		return false;
	}
	sc->at = ret->offset + record_octets(&ret->header);
	return true;
}

bool scan_next_in_place(struct scan *sc, struct scanned *ret)
{
	*ret = (struct scanned){ 0 };
	if (sc->at >= sc->limit || !record_at(sc, sc->at, RECORD_ENVELOPE_MAX, ret))
		return false;
	sc->at = ret->offset + record_octets(&ret->header);
	return true;
}

struct str scan_envelope(const struct scanned *f)
{
	return str_make(f->record + RECORD_HEADER, f->header.envelope_n);
}

bool scan_content_is_sound(struct scan *sc, const struct scanned *f)
{
	uint64_t at = f->offset + RECORD_HEADER + f->header.envelope_n;
	uint32_t crc = 0, expected = f->header.content_crc;
	size_t rest = f->header.content_n;

	if (!rest)		/* none, or in a file, where it is checked when it is read */
		return true;
	while (rest) {
		size_t n = rest < WINDOW / 4 ? rest : WINDOW / 4;

		crc = crc32c(crc, window(sc, at, n), n);
		at += n;
		rest -= n;
	}
	return crc == expected;
}
