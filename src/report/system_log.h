/*
 * system_log - lines to syslog. A file of its own: <syslog.h> claims names that our events use.
 */
#ifndef REPORT_SYSTEM_LOG_H
#define REPORT_SYSTEM_LOG_H

#include "base/str.h"

void system_log_open(void);
void system_log_write(struct str lines);	/* complete lines; blocks: the log's actor only */

#endif
