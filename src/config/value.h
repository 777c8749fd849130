/*
 * value - sizes, times, rates and counts as a configuration writes them.
 *
 * Pure. "50M" (K M G, powers of 1024), "5m" (s m h d w), "100/s" (an amount with K M G per s, min,
 * h or day). Which of them a word is, is decided by its place: M is a million of octets in a size,
 * m minutes in a time.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/buf.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define SECOND 1000000000ull	/* as net/loop.h has it */
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

enum value {
	VALUE_NONE,		/* no value of its own: a handler reads the words */
	VALUE_FLAG,		/* bool: the word alone */
	VALUE_SWITCH,		/* bool: on or off */
	VALUE_CHOICE,		/* an enum: one of the row's .choices */
	VALUE_COUNT,		/* uint32_t */
	VALUE_PORT,		/* uint16_t, of TCP */
	VALUE_SIZE,		/* uint64_t octets */
	VALUE_DURATION,		/* uint64_t nanoseconds */
	VALUE_RATE,		/* uint64_t octets per second */
	VALUE_TEXT,		/* struct str */
};

/* COUNT, PORT, SIZE, DURATION, RATE: the number; false: not written that way, or over 64 bits. */
bool value_parse(enum value kind, struct str s, uint64_t *ret);
/*
 * "60/min" as it stands: *ret_amount in *ret_period nanoseconds. unit: SIZE (the amount may have K,
 * M, G) or COUNT.
 */
bool value_rate_parse(enum value unit, struct str s, uint64_t *ret_amount, uint64_t *ret_period_ns);
/* The shortest exact form that value_parse reads back to the same. */
void value_format(struct buf *out, enum value kind, uint64_t value);
/* "a size such as 50M": what to say when value_parse fails. */
const char *value_expected(enum value kind);

#endif
