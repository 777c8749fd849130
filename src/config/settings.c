/*
 * settings - the one table of settings, in the order in which the reference page shows its blocks.
 *
 * The rows stand in files of their own, by blocks, which are included here: so they are one array,
 * and none of them can be forgotten.
 *
 * Texts are for administrators: they go into docs/reference/configuration.md as they stand. Every
 * example is loaded by a test. Times of waiting are those of RFC 5321 4.5.3.2 where it names one;
 * see setting.h for the columns.
 */
#include "config/load.h"

#define FIELD(type, member) .offset = offsetof(type, member)
#define MANY LEXER_WORDS_MAX
#define ONE .words_min = 1, .words_max = 1

/* Statements of later versions: known, so that they get an answer that helps. */
#define LATER(block, word) { .name = word, .in = block, .is_later = true }

const struct setting settings[] = {
#include "config/settings_top.h"
#include "config/settings_listen.h"
#include "config/settings_route.h"
#include "config/settings_delivery.h"
};

const unsigned settings_n = sizeof(settings) / sizeof(settings[0]);
_Static_assert(sizeof(settings) / sizeof(settings[0]) <= SETTINGS_MAX, "raise SETTINGS_MAX");
