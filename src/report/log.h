/*
 * log - one line per fact: "time event key=value ...", or the same as a JSON object.
 *
 * Event names and keys are an interface: they stand in the table of report/events.h, from which
 * docs/reference/log.md is made. A line is built field by field in a buffer of the thread,
 * without suspending in between:
 *
 *	log_begin(LOG_RECEIVED);
 *	log_str("session", id);
 *	log_end();
 *
 * Values from peers may hold anything: the writer quotes and escapes (D8). Lines gather per loop
 * and are handed to the log's actor at the end of the turn; if the target is stuck, lines beyond
 * 4 MiB are dropped and counted, and a line says so later.
 */
#ifndef REPORT_LOG_H
#define REPORT_LOG_H

#include "base/id.h"
#include "config/config.h"
#include "net/loop.h"
#include "report/events.h"
#include "smtp/reply.h"

/* Before log_open everything goes to standard error, unbuffered. */
int log_open(struct net *n, const struct config *c);	/* 0 or -errno of the file */
/* after SIGHUP: file anew, format and target of c */
int log_reopen(const struct config *c);
void log_close(void);					/* flush all and stop the actor */
void log_flush(void);					/* the current thread's lines, at once */

void log_begin(enum log_event event);
void log_str(const char *key, struct str value);	/* left out if empty */
void log_cstr(const char *key, const char *value);
void log_u64(const char *key, uint64_t value);
void log_i64(const char *key, int64_t value);
void log_id(const char *key, const struct message_id *id);
void log_ip(const char *key, const struct ip *ip);
void log_endpoint(const char *key, const struct endpoint *e);
void log_reply(const char *key, const struct reply *r);	/* on one line, cut at 500 bytes */
/* a duration, printed in milliseconds with three decimals */
void log_ms(const char *key, uint64_t ns);
/* one that may be days, in ms; printed in seconds with three decimals */
void log_seconds(const char *key, uint64_t ms);
void log_errno(const char *key, int error);		/* -errno or errno in words */
void log_end(void);

/* A short id for a session, unique in this process: "s" and Crockford digits. */
#define SESSION_ID_MAX 16
void session_id_make(char dst[SESSION_ID_MAX]);

/* docs/reference/log.md, from the table of events. */
void event_reference(struct buf *out);

/* ---- transcripts: whole dialogues as log lines, credentials masked */
struct transcript;

/* NULL unless a `log transcript for` names the peer's network or the domain. */
struct transcript *transcript_start(const struct config *c, const struct ip *peer,
				    struct str domain, const char *session);
void transcript_free(struct transcript *t);	/* NULL is fine */
/* The tap for stream_set_tap (arg: the transcript): assembles lines. */
void transcript_tap(void *arg, bool outgoing, struct str bytes);
/* While content passes only its octets are counted; false again: one line tells how many. */
void transcript_content(struct transcript *t, bool outgoing, bool on);

#endif
