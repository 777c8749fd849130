/*
 * report/system_log: `log syslog` from log_begin to syslog(3), which is our own here: this
 * program's definitions come before the C library's. <syslog.h> cannot be included: its names are
 * also those of events.
 */
#include "report/log.h"

#include "base/mem.h"
#include "unit/unit.h"

#include <stdarg.h>
#include <stdio.h>

#define PRIORITY_WARNING 4
#define PRIORITY_INFO 6
#define OPTION_PID 1
#define FACILITY_MAIL (2 << 3)

static char said[4096];		/* "<priority>line\n" for each call */
static char opened[64];

__attribute__((format(printf, 2, 0)))
static void keep(int priority, const char *format, va_list ap)
{
	size_t n = strlen(said);

	n += (size_t)snprintf(said + n, sizeof(said) - n, "<%d>", priority);
	n += (size_t)vsnprintf(said + n, sizeof(said) - n, format, ap);
	snprintf(said + n, sizeof(said) - n, "\n");
}

__attribute__((format(printf, 2, 3))) void syslog(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	keep(priority, format, ap);
	va_end(ap);
}

/* What _FORTIFY_SOURCE makes of a call of syslog. */
__attribute__((format(printf, 3, 4))) void __syslog_chk(int priority, int flag, const char *format,
							 ...)
{
	va_list ap;

	(void)flag;
	va_start(ap, format);
	keep(priority, format, ap);
	va_end(ap);
}

void openlog(const char *ident, int option, int facility)
{
	snprintf(opened, sizeof(opened), "%s %s %d", ident, option & OPTION_PID ? "pid" : "",
		 facility);
}

static void log_three(enum log_format format)
{
	struct config *c = mem_zalloc(sizeof(*c));
	struct net *n = net_new(world_real(), 1, 0);

	c->log.target = LOG_SYSLOG;
	c->log.format = format;
	said[0] = opened[0] = 0;
	net_start(n);
	assert_int_equal(log_open(n, c), 0);
	log_begin(LOG_RECEIVED);
	log_cstr("to", "100%s@b.example");
	log_end();
	log_begin(LOG_WARNING);
	log_cstr("what", "a\nb");
	log_end();
	log_close();
	net_stop(n);
	mem_free(c);
}

/* syslog puts its own time before a line, so ours is left out; a '%' in a line is only a '%'. */
static void test_text(void **state)
{
	char wanted[64];

	(void)state;
	log_three(LOG_TEXT);
	snprintf(wanted, sizeof(wanted), "relevo pid %d", FACILITY_MAIL);
	assert_string_equal(opened, wanted);
	snprintf(wanted, sizeof(wanted), "<%d>received to=100%%s@b.example\n<%d>warning what=",
		 PRIORITY_INFO, PRIORITY_WARNING);
	assert_memory_equal(said, wanted, strlen(wanted));
	assert_non_null(strstr(said, "what=\"a\\x0ab\"\n"));
}

/* A line of JSON stays whole, and a warning is a warning in it as well. */
static void test_json(void **state)
{
	char wanted[64];

	(void)state;
	log_three(LOG_JSON);
	snprintf(wanted, sizeof(wanted), "<%d>{\"time\":\"", PRIORITY_INFO);
	assert_memory_equal(said, wanted, strlen(wanted));
	assert_non_null(strstr(said, ",\"event\":\"received\",\"to\":\"100%s@b.example\"}\n"));
	snprintf(wanted, sizeof(wanted), "\n<%d>{\"time\":\"", PRIORITY_WARNING);
	assert_non_null(strstr(said, wanted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
