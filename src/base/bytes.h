/*
 * bytes - little-endian numbers and a bounded cursor with a sticky error.
 *
 * Every reader of a binary format goes through struct cursor: a read past the end returns zero or
 * an empty slice and sets .bad, which stays; parse a whole struct, then check once.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/buf.h"
#include "base/str.h"

#include <endian.h>

static inline void put_u16(void *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, 2);
}

static inline void put_u32(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, 4);
}

static inline void put_u64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, 8);
}

static inline uint16_t get_u16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return le16toh(v);
}

static inline uint32_t get_u32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return le32toh(v);
}

static inline uint64_t get_u64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return le64toh(v);
}

struct cursor {
	struct str rest;
	bool bad;
};

static inline struct cursor cursor_of(struct str s)
{
	return (struct cursor){ .rest = s };
}

static inline struct str cursor_take(struct cursor *c, size_t n)
{
	struct str s;

	if (c->bad || c->rest.n < n) {
		c->bad = true;
		return STR_NONE;
	}
	s = str_sub(c->rest, 0, n);
	c->rest = str_from(c->rest, n);
	return s;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	struct str s = cursor_take(c, 1);

	return s.n ? (uint8_t)s.p[0] : 0;
}

static inline uint16_t cursor_u16(struct cursor *c)
{
	struct str s = cursor_take(c, 2);

	return s.n ? get_u16(s.p) : 0;
}

static inline uint32_t cursor_u32(struct cursor *c)
{
	struct str s = cursor_take(c, 4);

	return s.n ? get_u32(s.p) : 0;
}

static inline uint64_t cursor_u64(struct cursor *c)
{
	struct str s = cursor_take(c, 8);

	return s.n ? get_u64(s.p) : 0;
}

static inline struct str cursor_str16(struct cursor *c)	/* u16 length, bytes */
{
	return cursor_take(c, cursor_u16(c));
}

static inline void buf_add_le16(struct buf *b, uint16_t v)
{
	v = htole16(v);
	buf_add(b, &v, 2);
}

static inline void buf_add_le32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, 4);
}

static inline void buf_add_le64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_add(b, &v, 8);
}

static inline void buf_add_str16(struct buf *b, struct str s)	/* cut at 65,535 bytes */
{
	s = str_sub(s, 0, UINT16_MAX);
	buf_add_le16(b, (uint16_t)s.n);
	buf_add_str(b, s);
}

#endif
