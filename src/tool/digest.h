/*
 * digest - what proves that a message arrived as it was sent: size and CRC-32C from its
 * X-Relevo-Load field on.
 *
 * A relay puts its trace fields before the first original byte (D5), and load makes X-Relevo-Load
 * that first byte; so what counts begins there. A message without the field counts as a whole, with
 * an empty id. Fed piece by piece, in bounded memory. Also the ledger's lines, which both sides
 * write.
 */
#ifndef TOOL_DIGEST_H
#define TOOL_DIGEST_H

#include "base/buf.h"

#include <stdio.h>

#define DIGEST_FIELD "X-Relevo-Load: "
#define DIGEST_ID_MAX 40		/* octets of an id */
#define DIGEST_HEAD_MAX (32 * 1024)	/* octets in which the field is looked for */

struct digest {
	struct buf head;	/* owned; what came before it was decided */
	bool decided;
	uint32_t crc;
	uint64_t size;
	char id[DIGEST_ID_MAX + 1];
};

void digest_init(struct digest *d);
void digest_done(struct digest *d);
void digest_reset(struct digest *d);	/* for the next message */
void digest_feed(struct digest *d, struct str piece);
void digest_end(struct digest *d);

/* "ID SENDER RECIPIENT,RECIPIENT SIZE CRC" on one line; "-" for what is empty. What is not
 * printable becomes '?'. */
struct ledger_line {
	struct str id, sender, recipients;
	uint64_t size;
	uint32_t crc;
};

void ledger_format(struct buf *out, const struct ledger_line *l);
bool ledger_parse(struct str line,
		  struct ledger_line *ret); /* without its line end; slices borrow it */

#endif
