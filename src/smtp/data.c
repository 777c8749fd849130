/*
 * data - dot stuffing and line discipline for content; see data.h.
 *
 * Two paths that must agree. The narrow one takes a byte at a time and is the definition. The wide
 * one takes blocks of 64 bytes: it marks every CR, LF and dot of the block in 64-bit words and
 * derives from them, without a branch per byte, which CRs and LFs are bare, where lines end and
 * which dots begin a line. A block in which a dot begins a line goes the narrow way; so do the
 * bytes that fill no block. memchr per line was the alternative; it costs a call and a copy for
 * every line.
 *
 * What is held back between chunks is never more than a dot at the start of a line, or such a dot
 * and a CR: every other byte is content as soon as it is read, a bare CR or LF included (the
 * session refuses the content at its end). RFC 5321 2.3.8, 4.1.1.4, 4.5.2; promise D7.
 */
#include "smtp/data.h"

#include <endian.h>
#if defined(__SSE2__) && !defined(DATA_PORTABLE)
#include <emmintrin.h>
#endif

#define BLOCK 64	/* bytes; a bit each in a mark */

enum {
	LINE_START = 0,	/* behind a CRLF, or before everything */
	TEXT,
	CR,		/* the last byte was a CR; written already */
	DOT,		/* reader only: a dot began the line; held back */
	DOT_CR,		/* reader only: such a dot and a CR, held back */
};

struct marks {
	uint64_t cr, lf, dot;	/* bit i: byte i is one */
	bool eightbit;		/* any byte is >= 0x80 or NUL */
};

#if defined(__SSE2__) && !defined(DATA_PORTABLE)

static inline uint64_t mask(__m128i v, __m128i wanted)
{
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, wanted));
}

static inline struct marks marks_of(const char *p)
{
	const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n'), dot = _mm_set1_epi8('.');
	__m128i odd = _mm_setzero_si128();
	struct marks m = { 0 };

	for (int i = 0; i < 4; i++) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + (size_t)i * 16));

		m.cr |= mask(v, cr) << (i * 16);
		m.lf |= mask(v, lf) << (i * 16);
		m.dot |= mask(v, dot) << (i * 16);
		odd = _mm_or_si128(odd, _mm_or_si128(v, _mm_cmpeq_epi8(v, _mm_setzero_si128())));
	}
	m.eightbit = _mm_movemask_epi8(odd) != 0;
	return m;
}

#else

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* 0x80 in every byte of v that is zero; exact, no borrow runs from byte to byte. */
static inline uint64_t zero_bytes(uint64_t v)
{
	return ~(((v & EACH(0x7f)) + EACH(0x7f)) | v | EACH(0x7f));
}

/* Gathers the top bits of the eight bytes: bit i is byte i's. */
static inline uint64_t gather(uint64_t top)
{
	return ((top >> 7) * UINT64_C(0x0102040810204080)) >> 56;
}

static inline struct marks marks_of(const char *p)
{
	struct marks m = { 0 };
	uint64_t odd = 0;

	for (int i = 0; i < 8; i++) {
		uint64_t v;

		memcpy(&v, p + (size_t)i * 8, 8);
		v = le64toh(v);
		m.cr |= gather(zero_bytes(v ^ EACH('\r'))) << (i * 8);
		m.lf |= gather(zero_bytes(v ^ EACH('\n'))) << (i * 8);
		m.dot |= gather(zero_bytes(v ^ EACH('.'))) << (i * 8);
		odd |= (v & EACH(0x80)) | zero_bytes(v);
	}
	m.eightbit = odd != 0;
	return m;
}

#endif

/* A line ended with the LF at that offset of the content; the next one starts behind it. */
static inline void line_ended(struct data_reader *r, uint64_t lf_at)
{
	uint64_t length = lf_at - 1 - r->line_start;	/* the CR stands before the LF */

	if (length > r->line_max)
		r->line_max = length;
	r->line_start = lf_at + 1;
}

/* The line that is not finished yet counts for the maximum too. */
static void line_goes_on(struct data_reader *r)
{
	uint64_t length = r->octets - r->line_start - (r->state == CR);

	if (length > r->line_max)
		r->line_max = length;
}

static inline uint8_t state_of(uint64_t after_cr, uint64_t starts)
{
	return after_cr & 1 ? CR : starts & 1 ? LINE_START : TEXT;
}

/*
 * The wide path: whole blocks, as long as no dot begins a line (if dots count). The state must be
 * LINE_START, TEXT or CR. Returns the bytes read; as many were written to out, unless it is NULL.
 * Every block is read before it is written, so out may be in or stand before it.
 */
static inline __attribute__((always_inline)) size_t
read_blocks(struct data_reader *r, const char *in, size_t n, char *out, bool dots)
{
	uint64_t carry_cr = r->state == CR, carry_start = r->state == LINE_START, bare = 0;
	bool eightbit = false;
	size_t at = 0;

	for (; n - at >= BLOCK; at += BLOCK) {
		struct marks m = marks_of(in + at);
		uint64_t after_cr = m.cr << 1 | carry_cr;
		uint64_t ends = m.lf & after_cr;	/* the LFs of CRLFs */

		if (dots && (m.dot & (ends << 1 | carry_start)))
			break;
		/* an LF not after a CR, or something else after a CR */
		bare |= m.lf ^ after_cr;
		eightbit |= m.eightbit;
		carry_cr = m.cr >> (BLOCK - 1);
		carry_start = ends >> (BLOCK - 1);
		for (; ends; ends &= ends - 1)
			line_ended(r, r->octets + at + (uint64_t)__builtin_ctzll(ends));
		if (out)
			memmove(out + at, in + at, BLOCK);
	}
	r->bare |= bare != 0;
	r->eightbit |= eightbit;
	r->octets += at;
	r->state = state_of(carry_cr, carry_start);
	return at;
}

/* One byte that is content, in the states LINE_START, TEXT and CR. */
static inline void content_byte(struct data_reader *r, char c)
{
	bool after_cr = r->state == CR;

	r->bare |= after_cr != (c == '\n');
	r->eightbit |= !c || (unsigned char)c >= 0x80;
	if (c == '\r') {
		r->state = CR;
	} else if (c == '\n' && after_cr) {
		line_ended(r, r->octets);
		r->state = LINE_START;
	} else {
		r->state = TEXT;
	}
	r->octets++;
}

/* The narrow path: one byte. Returns how many were written to out: 0, 1, or 2 after DOT_CR. */
static inline size_t read_byte(struct data_reader *r, char c, char *out)
{
	size_t n = 0;

	switch (r->state) {
	case LINE_START:
		if (c == '.') {
			r->state = DOT;
			return 0;
		}
		break;
	case DOT:
		if (c == '\r') {
			r->state = DOT_CR;
			return 0;
		}
		/* the dot was stuffing; what follows it is not at a line's start */
		r->state = TEXT;
		break;
	case DOT_CR:
		if (c == '\n') {
			r->state = LINE_START;
			r->done = true;
			return 0;
		}
		r->state = TEXT;
		content_byte(r, '\r');
		out[n++] = '\r';
		break;
	default:
		break;
	}
	content_byte(r, c);
	out[n++] = c;
	return n;
}

size_t data_read(struct data_reader *r, const char *in, size_t n, char *out, size_t *ret_written)
{
	size_t at = 0, written = 0;

	/*
	 * The CR held back by the chunk before turns out to be content: one byte more is written
	 * than read. Make room, for out may be in. At most once a chunk, and the content is refused
	 * anyway.
	 */
	if (r->state == DOT_CR && n && !r->done && in[0] != '\n') {
		memmove(out + 1, in, n);
		in = out + 1;
	}
	while (at < n && !r->done) {
		size_t stop;

		if (r->state <= CR && n - at >= BLOCK) {
			size_t got = read_blocks(r, in + at, n - at, out + written, true);

			at += got;
			written += got;
		}
		/* What is left, or a block with a dot in it. */
		stop = n - at < BLOCK ? n : at + BLOCK;
		while (at < stop && !r->done)
			written += read_byte(r, in[at++], out + written);
	}
	line_goes_on(r);
	*ret_written = written;
	return at;
}

void data_check(struct data_reader *r, const char *in, size_t n)
{
	size_t at = n ? read_blocks(r, in, n, NULL, false) : 0;

	while (at < n)
		content_byte(r, in[at++]);
	line_goes_on(r);
}

void data_check_end(struct data_reader *r)
{
	if (r->state != CR)
		return;
	r->bare = true;
	r->state = TEXT;
	line_goes_on(r);
}

/* The wide path of the writer: whole blocks without a dot to stuff. */
static size_t write_blocks(struct data_writer *w, const char *in, size_t n)
{
	uint64_t carry_cr = w->state == CR, carry_start = w->state == LINE_START;
	size_t at = 0;

	for (; n - at >= BLOCK; at += BLOCK) {
		struct marks m = marks_of(in + at);
		uint64_t ends = m.lf & (m.cr << 1 | carry_cr);

		if (m.dot & (ends << 1 | carry_start))
			break;
		carry_cr = m.cr >> (BLOCK - 1);
		carry_start = ends >> (BLOCK - 1);
	}
	w->state = state_of(carry_cr, carry_start);
	return at;
}

size_t data_write_plain(struct data_writer *w, const char *in, size_t n)
{
	size_t at = n ? write_blocks(w, in, n) : 0;

	for (; at < n; at++) {
		if (w->state == LINE_START && in[at] == '.') {
			w->state = TEXT;	/* so the dot is plain when it comes again */
			return at;
		}
		if (in[at] == '\r')
			w->state = CR;
		else
			w->state = in[at] == '\n' && w->state == CR ? LINE_START : TEXT;
	}
	return at;
}

struct str data_write_end(const struct data_writer *w)
{
	return w->state == LINE_START ? STR(".\r\n") : STR("\r\n.\r\n");
}
