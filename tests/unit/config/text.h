/* What the tests of config/ and policy/ share: configurations from memory. */
#ifndef UNIT_CONFIG_TEXT_H
#define UNIT_CONFIG_TEXT_H

#include "base/buf.h"
#include "config/config.h"
#include "unit/unit.h"

#include <stdio.h>

struct loaded {
	struct config *c;	/* NULL: there were errors */
	struct buf messages;
	unsigned errors, warnings;
};

/* The file is called t.conf, the machine system.example.net; no other file is opened. */
static inline struct loaded load_bytes(const char *text, size_t n)
{
	struct loaded l = { .messages = BUF_INIT(1 << 20) };
	struct config_source source = {
		.path = "t.conf",
		.text = text,
		.text_n = n,
		.is_alone = true,
		.host_name = "system.example.net",
	};

	l.c = config_load_from(&source, &l.messages, &l.errors, &l.warnings);
	assert_int_equal(l.c == NULL, l.errors > 0);
	return l;
}

static inline struct loaded load_text(const char *text)
{
	return load_bytes(text, strlen(text));
}

/* One that must have no errors. */
static inline struct config *load_sound(const char *text)
{
	struct loaded l = load_text(text);

	if (!l.c)
		fail_msg("%s\n%s", text, buf_cstr(&l.messages));
	buf_done(&l.messages);
	return l.c;
}

static inline void loaded_done(struct loaded *l)
{
	config_unref(l->c);
	buf_done(&l->messages);
}

struct text_case {
	const char *name, *text, *messages;
};

/* A failing case names itself and shows both texts; all cases are tried. */
static inline void check_cases(const struct text_case *cases, size_t n)
{
	unsigned failed = 0;

	for (size_t i = 0; i < n; i++) {
		struct loaded l = load_text(cases[i].text);

		if (!str_eq(buf_str(&l.messages), str_of(cases[i].messages))) {
			fprintf(stderr, "%s:\n--- expected\n%s--- got\n%s", cases[i].name,
				cases[i].messages, buf_cstr(&l.messages));
			failed++;
		}
		loaded_done(&l);
	}
	assert_int_equal(failed, 0);
}

#endif
