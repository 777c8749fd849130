/*
 * data - content as it stands behind DATA: dot stuffing and line discipline (RFC 5321 4.5.2,
 * promise D7).
 *
 * Pure and fast: works on whatever chunk there is and keeps its state between chunks, so a line may
 * be of any length. Only CRLF.CRLF ends the content; only CRLF ends a line. A bare CR or a bare LF
 * anywhere marks the content as bad, but it is read on to the true end, so that the session stays
 * in step.
 */
#ifndef SMTP_DATA_H
#define SMTP_DATA_H

#include "base/str.h"

struct data_reader {
	uint8_t state;		/* private; 0 at the start: the DATA line's CRLF was just read */
	bool bare;		/* a bare CR or LF was seen */
	bool eightbit;		/* a byte >= 0x80 or NUL was seen */
	bool done;		/* the final dot was read */
	uint64_t octets;	/* of content so far (unstuffed) */
	uint64_t line_max;	/* longest line so far, octets without CRLF */
	uint64_t line_start;	/* private: .octets where the current line began */
};

/*
 * Read a chunk. Content bytes (unstuffed, with CRLFs) are written to out, which must have room for
 * n + 2 bytes; may be in itself - never more is written than was read plus a CR that was held back.
 * Returns how many bytes of in were used: less than n only when .done. *ret_written: bytes written
 * to out. With ".CRLF" first the content is empty.
 */
size_t data_read(struct data_reader *r, const char *in, size_t n, char *out, size_t *ret_written);

/* The same checks for content that comes by BDAT: no dots, never .done. */
void data_check(struct data_reader *r, const char *in, size_t n);
/* A final CR is bare; content that does not end in CRLF is fine. */
void data_check_end(struct data_reader *r);

/*
 * The writer: dot-stuffs content. Returned is how many bytes from the start of a chunk may be sent
 * as they are; if less than n, a '.' is to be sent next, then the call repeated with the rest of
 * the chunk (which begins with the content's own dot). The struct starts zeroed and is kept from
 * chunk to chunk.
 */
struct data_writer {
	uint8_t state;		/* private */
};

size_t data_write_plain(struct data_writer *w, const char *in, size_t n);
/*
 * What ends the content: ".\r\n", or "\r\n.\r\n" if the content does not end in CRLF. Empty
 * content: ".\r\n".
 */
struct str data_write_end(const struct data_writer *w);

#endif
