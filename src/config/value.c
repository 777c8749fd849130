/*
 * value - numbers with units; see value.h.
 */
#include "config/value.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: value_format takes the first that divides. */
static const struct unit sizes[] = { { "G", GIB }, { "M", MIB }, { "K", KIB }, { "", 1 }, { 0 } };
static const struct unit durations[] = {
	{ "w", 7 * DAY }, { "d", DAY }, { "h", HOUR }, { "m", MINUTE }, { "s", SECOND }, { 0 },
};
static const struct unit counts[] = { { "", 1 }, { 0 } };
static const struct unit periods[] = {
	{ "s", 1 }, { "min", 60 }, { "h", 3600 }, { "day", 86400 }, { 0 },
};

static const struct unit *units_of(enum value kind)
{
	if (kind == VALUE_DURATION)
		return durations;
	return kind == VALUE_COUNT || kind == VALUE_PORT ? counts : sizes;
}

static bool number(struct str s, const struct unit *units, uint64_t *ret)
{
	size_t digits = 0;

	while (digits < s.n && ascii_is_digit(s.p[digits]))
		digits++;
	for (const struct unit *u = units; u->name; u++) {
		uint64_t n;

		if (!str_eq(str_from(s, digits), str_of(u->name)))
			continue;
		if (!str_parse_u64(str_sub(s, 0, digits), UINT64_MAX / u->factor, &n))
			return false;
		*ret = n * u->factor;
		return true;
	}
	return false;
}

/* The period in seconds; 0: it is no rate. */
static uint64_t rate(const struct unit *units, struct str s, uint64_t *ret)
{
	ssize_t slash = str_find(s, '/');

	if (slash < 0 || !number(str_sub(s, 0, (size_t)slash), units, ret))
		return 0;
	for (const struct unit *u = periods; u->name; u++)
		if (str_eq(str_from(s, (size_t)slash + 1), str_of(u->name)))
			return u->factor;
	return 0;
}

bool value_rate_parse(enum value unit, struct str s, uint64_t *ret_amount, uint64_t *ret_period_ns)
{
	uint64_t amount = 0, seconds = rate(units_of(unit), s, &amount);

	if (!seconds)
		return false;
	*ret_amount = amount;
	*ret_period_ns = seconds * SECOND;
	return true;
}

/* As octets per second, rounded up so that a limit never becomes none. */
static bool rate_per_second(struct str s, uint64_t *ret)
{
	uint64_t amount = 0, seconds = rate(sizes, s, &amount);

	if (!seconds)
		return false;
	*ret = amount / seconds + (amount % seconds != 0);
	return true;
}

bool value_parse(enum value kind, struct str s, uint64_t *ret)
{
	if (kind == VALUE_RATE)
		return rate_per_second(s, ret);
	return number(s, units_of(kind), ret);
}

void value_format(struct buf *out, enum value kind, uint64_t value)
{
	const struct unit *u = units_of(kind);

	while (u[1].name && (value == 0 || value % u->factor))
		u++;
	buf_add_u64(out, value / u->factor);
	buf_add_str(out, str_of(u->name));
	if (kind == VALUE_RATE)
		buf_add_lit(out, "/s");
}

const char *value_expected(enum value kind)
{
	switch (kind) {
	case VALUE_PORT:
		return "a port such as 25";
	case VALUE_COUNT:
		return "a whole number such as 100";
	case VALUE_SIZE:
		return "a size such as 64K, 50M or 2G";
	case VALUE_DURATION:
		return "a time such as 30s, 5m, 4h, 5d or 2w";
	case VALUE_RATE:
		return "a rate such as 100/s, 10K/min or 1M/h";
	default:
		return "a word";
	}
}
