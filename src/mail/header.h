/*
 * header - the header section of a message, looked at without changing a byte (RFC 5322 2.2, 3.6).
 *
 * Pure. Works on the first bytes of the content; damaged headers are passed over, never repaired
 * (D5).
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "base/buf.h"
#include "base/str.h"

struct header_field {
	struct str name;	/* without the colon and blanks before it */
	struct str value;	/* behind the colon, folded as it is, without the final CRLF */
	struct str whole;	/* name to final CRLF */
};

/*
 * The next field of *rest; moves *rest behind it. False at the end of the header section (*rest is
 * then the body behind the empty line) or of the slice. A line that is no field is skipped, with
 * its continuation lines. Only CRLF ends a line (D7).
 */
bool header_next(struct str *rest, struct header_field *ret);

/*
 * Octets of the header section, with the empty line if there is one; s.n if it does not end in s.
 */
size_t header_length(struct str s);

/*
 * Watches content as it passes, chunk by chunk: which of the fields that matter are there. Feeds in
 * constant memory, of any length.
 */
struct header_watch {
	bool ended;		/* the empty line was seen */
	bool has_date, has_message_id, has_from;
	unsigned received;	/* Received fields: the hop count (RFC 5321 6.3) */
	unsigned fields;
	/* private */
	char name[32];
	uint8_t name_n;
	uint8_t state;
	/* the value of the first Message-ID, cut, printable; "" if none: for logs */
	char message_id[128];
	uint8_t message_id_n;
};

/* Start with a zeroed struct. */
void header_watch(struct header_watch *w, const char *in, size_t n);

/*
 * A field with folding at 78 octets where blanks allow it; CR, LF, NUL in value: false, nothing
 * written.
 */
bool header_write(struct buf *out, struct str name, struct str value);

#endif
