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
#include "net/tls.h"

#define FIELD(type, member) .offset = offsetof(type, member)
#define MANY LEXER_WORDS_MAX
#define ONE .words_min = 1, .words_max = 1

/* Statements of later versions: known, so that they get an answer that helps. */
#define LATER(block, word) { .name = word, .in = block, .is_later = true }

/* ---- words of choices, each for the value that is its index */
static const char *const tls_of_listeners[] = {
	[TLS_OFF] = "off", [TLS_OFFERED] = "offered", [TLS_REQUIRED] = "required",
	[TLS_IMPLICIT] = "implicit", "",
};
static const char *const tls_of_routes[] = {
	[TLS_OFF] = "off", [TLS_OFFERED] = "offered", [TLS_REQUIRED] = "required",
	[TLS_IMPLICIT] = "implicit", [TLS_VERIFIED] = "verified", "",
};
static const char *const tls_versions[] = { [TLS_1_2] = "1.2", [TLS_1_3] = "1.3", "" };
static const char *const reverse_names[] = {
	[NAME_IGNORED] = "off", [NAME_RESOLVES] = "required", [NAME_MATCHES] = "matching", "",
};
static const char *const helo_checks[] = {
	[NAME_IGNORED] = "off", [NAME_VALID] = "valid", [NAME_RESOLVES] = "resolves", "",
};

const struct setting settings[] = {
#include "config/settings_top.h"
#include "config/settings_listen.h"
/* What is asked of strangers, in a listen block ... */
#define ROWS_IN BLOCK_LISTEN
#define FIELD_OF(member) .offset = offsetof(struct config_clients, member)
#define DEFAULT(value) .fallback_note = "that of the `clients` block"
#define DEFAULT_NOTE(note) "those of the `clients` block"
#define EXAMPLE(statements) "listen 127.0.0.1:25 { " statements " }\n"
#include "config/settings_clients.h"
#undef ROWS_IN
#undef DEFAULT
#undef DEFAULT_NOTE
#undef EXAMPLE
/* ... and for all listeners. */
#define ROWS_IN BLOCK_CLIENTS
#define DEFAULT(value) .fallback = value
#define DEFAULT_NOTE(note) note
#define EXAMPLE(statements) "clients { " statements " }\n"
#include "config/settings_clients.h"
#include "config/settings_route.h"
#include "config/settings_delivery.h"
#include "config/settings_tls.h"
};

const unsigned settings_n = sizeof(settings) / sizeof(settings[0]);
_Static_assert(sizeof(settings) / sizeof(settings[0]) <= SETTINGS_MAX, "raise SETTINGS_MAX");
