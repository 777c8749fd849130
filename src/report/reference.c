/*
 * reference - docs/reference/log.md, made from the table of events.
 */
#include "report/log.h"

static const struct {
	const char *name, *meaning;
} events[] = {
#define X(id, name, meaning) { name, meaning },
	LOG_EVENTS(X)
#undef X
};

static const struct {
	const char *name, *meaning;
} keys[] = {
	{ "session", "a session, incoming or outgoing: `s` and digits, unique within one run" },
	{ "id", "a message, as `relevo queue` shows it" },
	{ "client", "address of who connected to us" },
	{ "from", "the envelope's sender; `<>` for the null sender" },
	{ "to", "an envelope recipient" },
	{ "route", "the route by which a recipient goes" },
	{ "destination", "the next hop whose queue a message waits in" },
	{ "host", "the host that was talked to, with its address" },
	{ "reply", "what was said, on one line, cut at 500 octets" },
	{ "helo", "what the client called itself" },
	{ "attempts", "how often a recipient was tried" },
	{ "delay", "from the message's arrival to this, in seconds" },
	{ "ms", "how long it took, in milliseconds" },
	{ "why", "a reason, in words" },
	{ "text", "a sentence for people" },
	{ "error", "an error of the system in words" },
	{ "size", "octets" },
	{ "dir", "of a transcript: `in` was read from the peer, `out` was written to it" },
	{ "truncated", "1: the line was over 8 KiB, and fields are missing" },
};

static const char head[] =
	"# The log\n"
	"\n"
	"Made by `relevo reference events`; do not edit.\n"
	"\n"
	"One line for each fact: the time (UTC, milliseconds), the event's name, and fields "
	"`key=value`.\n"
	"Event names and keys are an interface: they are not renamed, new ones may come.\n"
	"\n"
	"```\n"
	"2026-11-22T03:39:00.123Z received session=s7KQ0001 id=7KQ2M0A-3-5XK9 from=a@b.example "
	"size=1024\n"
	"```\n"
	"\n"
	"A value stands bare if it holds only printable characters other than space, `\"`, `=` "
	"and `\\`; else it\n"
	"stands in quotes, in which `\\\"`, `\\\\` and `\\xHH` are the only escapes. Valid UTF-8 "
	"passes through,\n"
	"but for characters that control or reorder what a terminal shows. A value is cut at 512 "
	"octets and\n"
	"then ends in `...`; a field without a value is left out. Times that something took are "
	"milliseconds\n"
	"with three decimals, other times are UTC as at the line's start.\n"
	"\n"
	"With `log format json` each line is a JSON object with `time`, `event` and the same "
	"keys; numbers are\n"
	"numbers, and octets that are not UTF-8 become U+FFFD.\n"
	"\n";

void event_reference(struct buf *out)
{
	buf_add_str(out, str_of(head));
	buf_add_lit(out, "## Events\n\n| event | meaning |\n| --- | --- |\n");
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		buf_printf(out, "| `%s` | %s |\n", events[i].name, events[i].meaning);
	buf_add_lit(out, "\n## Keys that many events share\n\n| key | meaning |\n| --- | --- |\n");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		buf_printf(out, "| `%s` | %s |\n", keys[i].name, keys[i].meaning);
}
