/*
 * options - command lines by a table; see options.h.
 */
#include "tool/options.h"

#include <stdio.h>

#define COLUMN 28	/* where the help's second column begins */
#define SIZE_LARGEST (UINT64_C(1) << 50)

struct unit {
	const char *name;
	uint64_t factor;
};

/* A number with a unit behind it. */
static bool parse_unit(struct str s, const struct unit *units, uint64_t *ret)
{
	size_t n = 0;
	uint64_t value;

	while (n < s.n && ascii_is_digit(s.p[n]))
		n++;
	if (!str_parse_u64(str_sub(s, 0, n), SIZE_LARGEST, &value))
		return false;
	while (units->name && !str_eq_nocase(str_from(s, n), str_of(units->name)))
		units++;
	if (!units->name || __builtin_mul_overflow(value, units->factor, &value))
		return false;
	*ret = value;
	return true;
}

bool parse_size(struct str s, uint64_t *ret)
{
	static const struct unit units[] = {
		{"", 1}, {"k", 1024}, {"m", 1024 * 1024}, {"g", 1024 * 1024 * 1024}, {NULL, 0},
	};

	return parse_unit(s, units, ret);
}

bool parse_time(struct str s, uint64_t *ret_ns)
{
	static const struct unit units[] = {
		{ "ms", 1000000 }, { "", 1000000000 }, { "s", 1000000000 }, { "m", 60000000000 },
		{ "h", 3600000000000 }, { NULL, 0 },
	};

	return parse_unit(s, units, ret_ns);
}

bool parse_rate(struct str s, uint64_t *ret)
{
	static const struct unit seconds[] = { { "", 1000 }, { "/s", 1000 }, { NULL, 0 } };
	static const struct unit minutes[] = { { "/min", 1000 }, { NULL, 0 } };
	uint64_t rate;

	if (parse_unit(s, minutes, &rate))
		rate /= 60;
	else if (!parse_unit(s, seconds, &rate))
		return false;
	if (!rate)
		return false;
	*ret = rate;
	return true;
}

bool parse_share(struct str s, uint32_t *ret)
{
	uint64_t whole, part = 0, scale = 10000;
	ssize_t dot;

	if (s.n && s.p[s.n - 1] == '%')
		s.n--;
	dot = str_find(s, '.');
	if (!str_parse_u64(dot < 0 ? s : str_sub(s, 0, (size_t)dot), 100, &whole))
		return false;
	if (dot >= 0) {
		struct str digits = str_from(s, (size_t)dot + 1);

		if (digits.n > 4 || !str_parse_u64(digits, 9999, &part))
			return false;
		for (size_t i = 0; i < digits.n; i++)
			scale /= 10;
		part *= scale;
	}
	if (whole * 10000 + part > 1000000)
		return false;
	*ret = (uint32_t)(whole * 10000 + part);
	return true;
}

static const char *wanted(enum option_kind k)
{
	switch (k) {
	case OPTION_SIZE:
		return "a size, as in 4096, 10K or 2M";
	case OPTION_TIME:
		return "a time, as in 100ms, 30s or 5m";
	case OPTION_RATE:
		return "a rate, as in 100/s or 30/min";
	default:
		return "a number";
	}
}

static bool store(const struct option_row *row, const char *value, struct buf *error)
{
	struct str s = str_of(value);
	bool fine = true;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)row->target = true;
		break;
	case OPTION_TEXT:
		*(const char **)row->target = value;
		break;
	case OPTION_NUMBER:
		fine = str_parse_u64(s, INT64_MAX, row->target);
		break;
	case OPTION_SIZE:
		fine = parse_size(s, row->target);
		break;
	case OPTION_TIME:
		fine = parse_time(s, row->target);
		break;
	case OPTION_RATE:
		fine = parse_rate(s, row->target);
		break;
	case OPTION_CALL:
		return row->call(row->target, value, error);
	}
	if (!fine)
		buf_printf(error, "--%s wants %s, not \"%s\"", row->name, wanted(row->kind), value);
	return fine;
}

static const struct option_row *find(const struct options *o, struct str name)
{
	for (const struct option_row *row = o->rows; row->name; row++)
		if (str_eq(name, str_of(row->name)))
			return row;
	return NULL;
}

static void suggest(const struct options *o, struct str name, struct buf *error)
{
	const char *best = NULL;
	unsigned distance = 4;

	for (const struct option_row *row = o->rows; row->name; row++) {
		unsigned d = str_distance(name, str_of(row->name));

		if (d < distance) {
			distance = d;
			best = row->name;
		}
	}
	buf_printf(error, "there is no option --%.*s", STR_ARG(name));
	if (best)
		buf_printf(error, "; did you mean --%s?", best);
}

/* One argument that begins with "--"; *at moves over its value if that is the next one. */
static bool read_option(const struct options *o, int argc, char **argv, int *at, struct buf *error)
{
	struct str word = str_from(str_of(argv[*at]), 2);
	ssize_t equals = str_find(word, '=');
	struct str name = equals < 0 ? word : str_sub(word, 0, (size_t)equals);
	const struct option_row *row = find(o, name);
	const char *value = equals < 0 ? NULL : word.p + equals + 1;

	if (!row) {
		suggest(o, name, error);
		return false;
	}
	if (!row->argument) {
		if (value)
			buf_printf(error, "--%s takes no value", row->name);
		return !value && store(row, "", error);
	}
	if (!value && *at + 1 < argc)
		value = argv[++*at];
	if (!value) {
		buf_printf(error, "--%s wants a value: %s", row->name, row->argument);
		return false;
	}
	return store(row, value, error);
}

static bool add_operand(struct options *o, const char *word, struct buf *error)
{
	if (o->operands_n == o->operands_max) {
		buf_printf(error, "one argument too many: \"%s\"", word);
		return false;
	}
	o->operands[o->operands_n++] = word;
	return true;
}

bool options_parse(struct options *o, int argc, char **argv, bool *ret_help, struct buf *error)
{
	bool only_operands = false;

	*ret_help = false;
	for (int i = 0; i < argc; i++) {
		if (!only_operands && !strcmp(argv[i], "--")) {
			only_operands = true;
		} else if (!only_operands &&
			   (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))) {
			*ret_help = true;
			return true;
		} else if (!only_operands && str_starts(str_of(argv[i]), STR("--"))) {
			if (!read_option(o, argc, argv, &i, error))
				return false;
		} else if (!add_operand(o, argv[i], error)) {
			return false;
		}
	}
	return true;
}

void options_help(const struct options *o)
{
	printf("usage: %s\n\n%s\n\n", o->usage, o->purpose);
	for (const struct option_row *row = o->rows; row->name; row++) {
		int n = printf("  --%s %s", row->name, row->argument ? row->argument : "");

		if (n >= COLUMN) {
			putchar('\n');
			n = 0;
		}
		printf("%*s%s\n", COLUMN - n, "", row->help);
	}
	printf("  --help%*sthis text\n", COLUMN - 8, "");
}

int options_read(struct options *o, int argc, char **argv)
{
	struct buf error = BUF_INIT(4096);
	bool help;
	int r = OPTIONS_RUN;

	if (!options_parse(o, argc, argv, &help, &error)) {
		fprintf(stderr, "relevo: %s\nusage: %s\n", buf_cstr(&error), o->usage);
		r = 2;
	} else if (help) {
		options_help(o);
		r = 0;
	}
	buf_done(&error);
	return r;
}
