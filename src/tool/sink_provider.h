/*
 * sink_provider - relevo sink's options that make it behave like a large provider, and what it
 * tells about what it saw.
 */
#ifndef TOOL_SINK_PROVIDER_H
#define TOOL_SINK_PROVIDER_H

#include "tool/sink.h"

struct sink_provider {
	struct guard_settings guard;
	struct watch_settings watch;
	const char *stats_path, *journal_path;	/* NULL: not wanted */
};

/* For the table of options; target is the struct sink_provider. */
bool provider_set_rate(void *target, const char *value, struct buf *error);
bool provider_set_rate_reply(void *target, const char *value, struct buf *error);
bool provider_add_block(void *target, const char *value, struct buf *error);
bool provider_set_block_reply(void *target, const char *value, struct buf *error);
bool provider_add_window(void *target, const char *value, struct buf *error);

/* "CODE TEXT", with or without an enhanced code, borrowing s. */
bool provider_parse_reply(struct str s, struct reply *ret);

/* Makes settings->guard and ->watch where anything asks for them. False: an error was printed. */
bool provider_open(struct sink_provider *p, struct sink_settings *settings);
/* When the sessions have ended: writes and frees. False: an error was printed. */
bool provider_close(struct sink_provider *p, struct sink_settings *settings);

#endif
