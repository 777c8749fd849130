/*
 * system_log - lines to syslog(3), facility mail.
 *
 * syslog stamps lines itself, so ours goes without its time. What an administrator should look at
 * is told by the event's name and sent as a warning, all else as information.
 */
#include "report/system_log.h"

#include <syslog.h>

void system_log_open(void)
{
	openlog("relevo", LOG_PID | LOG_NDELAY, LOG_MAIL);
}

/* What a line, its time taken away, begins with; in JSON the second of the two fields that do. */
static struct str event_of(struct str line)
{
	const struct str key = STR("\"event\":\"");
	ssize_t at = line.n && line.p[0] == '{' ? str_search(line, key) : -1;

	if (at < 0)
		return str_word(&line);
	line = str_from(line, (size_t)at + key.n);
	at = str_find(line, '"');
	return at < 0 ? line : str_sub(line, 0, (size_t)at);
}

static int priority_of(struct str line)
{
	static const struct str warnings[] = {
		STR("warning"), STR("crashed"), STR("reload-failed"), STR("spool-damage"),
		STR("spool-poisoned"), STR("spool-full"), STR("spool-failed"), STR("log-dropped"),
	};
	struct str word = event_of(line);

	for (size_t i = 0; i < sizeof(warnings) / sizeof(warnings[0]); i++)
		if (str_eq(word, warnings[i]))
			return LOG_WARNING;
	return LOG_INFO;
}

void system_log_write(struct str lines)
{
	while (lines.n) {
		ssize_t end = str_find(lines, '\n');
		struct str line = str_sub(lines, 0, end < 0 ? lines.n : (size_t)end);

		lines = str_from(lines, line.n + 1);
		if (line.n && line.p[0] != '{')
			str_word(&line);	/* the time */
		syslog(priority_of(line), "%.*s", STR_ARG(str_trim(line)));
	}
}
