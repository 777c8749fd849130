/*
 * small - the verbs that fit a line or two: RSET, NOOP, VRFY, EXPN, HELP, QUIT (RFC 5321
 * 4.1.1.5-10).
 *
 * A relay knows no mailboxes, so VRFY always says 252 (3.5.3) and EXPN 502: it has no lists.
 */
#include "receive/session.h"

int rset_handle(struct session *s, struct str args)
{
	(void)args;
	transaction_reset(s);
	return session_say(s, STR("250 2.0.0 Reset\r\n"));
}

int noop_handle(struct session *s, struct str args)
{
	(void)args;
	return session_say(s, STR("250 2.0.0 Ok\r\n"));
}

int vrfy_handle(struct session *s, struct str args)
{
	if (!args.n)
		return session_refuse(s, REPLY(501, 5, 5, 4, "Whom?"));
	return session_say(s, STR("252 2.5.0 Cannot verify, but RCPT will tell\r\n"));
}

int expn_handle(struct session *s, struct str args)
{
	(void)args;
	return session_refuse(s, REPLY(502, 5, 5, 1, "No lists here"));
}

int help_handle(struct session *s, struct str args)
{
	(void)args;
	return session_say(s, STR("214-2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP "
				  "VRFY ETRN QUIT\r\n"
				  "214 2.0.0 This is a mail relay: RFC 5321\r\n"));
}

int quit_handle(struct session *s, struct str args)
{
	const struct str pieces[] = { STR("221 2.0.0 "), s->config->hostname, STR(" closes\r\n") };
	int r = session_say_all(s, pieces, 3);

	(void)args;
	return r < 0 ? r : session_end(s, "quit");
}
