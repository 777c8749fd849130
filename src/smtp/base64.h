/*
 * base64 - RFC 4648 section 4, strict: no line ends, padding required, no bits set behind the end.
 */
#ifndef SMTP_BASE64_H
#define SMTP_BASE64_H

#include "base/buf.h"

void base64_encode(struct buf *out, const void *p, size_t n);
/* Appends. False: it is no base64, and out holds what it held. */
bool base64_decode(struct buf *out, struct str text);

#endif
