/*
 * setting - finds rows of the table of settings and reads simple values by them; see setting.h.
 */
#include "config/setting.h"

#include "config/load.h"

#include <assert.h>

const struct setting *setting_find(enum block in, struct str name)
{
	for (unsigned i = 0; i < settings_n; i++)
		if (settings[i].in == in && str_eq(str_of(settings[i].name), name))
			return &settings[i];
	return NULL;
}

void setting_choices(enum block in, struct choices *ret)
{
	ret->n = 0;
	for (unsigned i = 0; i < settings_n; i++)
		if (settings[i].in == in && !settings[i].is_later)
			choices_add(ret, str_of(settings[i].name));
}

const char *setting_block_name(enum block in)
{
	static const char *const names[] = {
		[BLOCK_NONE] = "",
		[BLOCK_TOP] = "the top level",
		[BLOCK_LISTEN] = "a listen block",
		[BLOCK_ROUTE] = "a route block",
		[BLOCK_HOST] = "a host block",
		[BLOCK_TABLE] = "a table",
		[BLOCK_RULE] = "the block of a rule",
		[BLOCK_SOURCE] = "a source block",
		[BLOCK_POOL] = "a pool",
		[BLOCK_PROVIDER] = "a provider block",
		[BLOCK_RESOLVER] = "the resolver block",
		[BLOCK_TLS] = "the tls block",
		[BLOCK_IDENTITY] = "an identity block",
		[BLOCK_CLIENTS] = "the clients block",
		[BLOCK_LOGINS] = "the logins block",
		[BLOCK_REPORTS] = "the tls_reports block",
		[BLOCK_POP] = "a pop block",
		[BLOCK_QUEUE] = "the queue block",
		[BLOCK_MESSAGE] = "the message block",
		[BLOCK_LOG] = "the log block",
		[BLOCK_SKIP] = "",
	};

	return names[in];
}

static bool in_bounds(struct load *l, const struct setting *row, const struct word *w,
		      uint64_t value)
{
	struct buf bounds = BUF_INIT(128);

	if (value >= row->min && value <= row->max)
		return true;
	value_format(&bounds, row->value, row->min);
	buf_add_lit(&bounds, " and ");
	value_format(&bounds, row->value, row->max);
	if (row->zero)
		buf_printf(&bounds, ", or the word %s", row->zero);
	diag_error(&l->diag, &w->place, "%s must be between %s", row->name, buf_cstr(&bounds));
	buf_done(&bounds);
	return false;
}

void setting_put(enum value kind, void *field, uint64_t value)
{
	if (kind == VALUE_PORT)
		*(uint16_t *)field = (uint16_t)value;
	else if (kind == VALUE_COUNT)
		*(uint32_t *)field = (uint32_t)value;
	else
		*(uint64_t *)field = value;
}

static void store_number(struct load *l, const struct setting *row, const struct word *w,
			 void *field)
{
	uint64_t value = 0;

	if (!row->zero || !word_is(w, row->zero)) {
		if (!value_parse(row->value, w->text, &value)) {
			diag_error(&l->diag, &w->place,
				   "\"%.*s\" is not what %s takes; expected %s%s%s",
				   DIAG_WORD(w->text), row->name, value_expected(row->value),
				   row->zero ? ", or the word " : "", row->zero ? row->zero : "");
			return;
		}
		if (!in_bounds(l, row, w, value))
			return;
	}
	setting_put(row->value, field, value);
}

int setting_choice(struct load *l, const char *const *choices, const struct word *w)
{
	struct choices words = { .n = 0 };

	for (int i = 0; !choices[i] || *choices[i]; i++) {
		if (!choices[i])
			continue;
		if (word_is(w, choices[i]))
			return i;
		choices_add(&words, str_of(choices[i]));
	}
	diag_unknown(&l->diag, &w->place, "unexpected", w->text, &words);
	return -1;
}

static void store_choice(struct load *l, const struct setting *row, const struct word *w,
			 void *field)
{
	static const char *const on_off[] = { "off", "on", "" };
	bool is_switch = row->value == VALUE_SWITCH;
	int i = setting_choice(l, is_switch ? on_off : row->choices, w);

	if (i < 0)
		return;
	if (is_switch)
		*(bool *)field = i;
	else
		*(unsigned *)field = (unsigned)i;
}

void setting_store(struct load *l, const struct setting *row, const struct statement *st,
		   void *object)
{
	void *field = (char *)object + row->offset;

	switch (row->value) {
	case VALUE_NONE:
		break;
	case VALUE_FLAG:
		*(bool *)field = true;
		break;
	case VALUE_SWITCH:
	case VALUE_CHOICE:
		store_choice(l, row, &st->words[1], field);
		break;
	case VALUE_TEXT:
		*(struct str *)field = arena_str(&l->c->arena, st->words[1].text);
		break;
	default:
		store_number(l, row, &st->words[1], field);
	}
}

/* A fallback goes through the same door as what is written, so that the two cannot differ. */
static void store_fallback(struct load *l, const struct setting *row, void *object)
{
	struct arena arena;
	struct lexer lx;
	struct str text;
	unsigned errors = l->diag.errors;

	arena_init(&arena);
	text = arena_printf(&arena, "%s %s", row->name, row->fallback);
	lexer_init(&lx, &l->diag, &arena, "(default)", text);
	if (lexer_next(&lx) == LEX_STATEMENT) {
		if (row->handle)
			row->handle(l, row, &lx.statement);
		else
			setting_store(l, row, &lx.statement, object);
	}
	assert(l->diag.errors == errors);
	lexer_done(&lx);
	arena_done(&arena);
}

void setting_defaults(struct load *l, enum block in, void *object)
{
	for (unsigned i = 0; i < settings_n; i++)
		if (settings[i].in == in && settings[i].fallback)
			store_fallback(l, &settings[i], object);
}
