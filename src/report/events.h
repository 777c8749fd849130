/*
 * events - the table of log events: one row each, name and meaning; docs/reference/log.md is made
 * from it.
 *
 * Names are an interface: never rename one, add rows at the end of their part.
 */
#ifndef REPORT_EVENTS_H
#define REPORT_EVENTS_H

#define LOG_EVENTS(X) \
	/* life */ \
	X(STARTED, "started", "the worker accepts connections") \
	X(STOPPING, "stopping", "a shutdown began; sessions get a grace time") \
	X(STOPPED, "stopped", "the worker ended cleanly") \
	X(RELOADED, "reloaded", "a new configuration is in force") \
	X(RELOAD_FAILED, "reload-failed", \
		"the new configuration has errors; the old one stays in force") \
	X(LISTENING, "listening", "an address was bound") \
	X(WARNING, "warning", "something the administrator should look at") \
	X(CRASHED, "crashed", "the worker died and is started again") \
	X(LOG_DROPPED, "log-dropped", "lines were lost because the log's target was stuck") \
	X(SANDBOX, "sandbox", "what the worker gave up before it served anybody") \
	/* sessions in */ \
	X(CONNECTED, "connected", "a client connected") \
	X(DISCONNECTED, "disconnected", "a session ended, with its totals and why") \
	X(REFUSED, "refused", "a command was answered with 4xx or 5xx") \
	X(RECEIVED, "received", "a message is safe in the spool and was acknowledged") \
	X(TLS, "tls", "a session is encrypted: how, and what certificate the client has") \
	X(TLS_FAILED, "tls-failed", "a handshake failed, and why; the connection is closed") \
	X(LOGIN, "login", "a client logged in") \
	X(LOGIN_FAILED, "login-failed", "a login failed, or could not be judged, and why") \
	X(POPPED, "popped", "a client logged in by POP3 and may relay for a while") \
	X(BANNED, "banned", "a client's network is shut out for a while after failed logins") \
	/* queue */ \
	X(DELIVERED, "delivered", "a recipient's mailbox took the message (LMTP)") \
	X(RELAYED, "relayed", "the next hop took a recipient") \
	X(DEFERRED, "deferred", "an attempt failed for now") \
	X(BOUNCED, "bounced", "a recipient failed for good") \
	X(NOTICE, "notice", "a delivery status notification was made") \
	X(NOTICE_SUPPRESSED, "notice-suppressed", "a notification was not made, and why") \
	X(HELD, "held", "a message is held") \
	X(RELEASED, "released", "a held message goes on") \
	X(DELETED, "deleted", "an operator deleted recipients") \
	X(DONE, "done", "every recipient of a message is final; it leaves the spool") \
	/* sessions out */ \
	X(HOST_DOWN, "host-down", "a next hop's host is not tried for a while") \
	X(HOST_UP, "host-up", "a host that was down works again") \
	X(DESTINATION_RESTS, "destination-rests", \
		"all hosts of a destination failed; its mail waits") \
	X(SLOWED, "slowed", "a destination or provider gets less at once or per time, and why") \
	X(QUICKENED, "quickened", "a destination or provider that was slowed gets more again") \
	X(PAUSED, "paused", "nothing goes to a destination or provider from a source for a while") \
	X(REACTED, "reacted", "a rule for replies fitted, and what it did") \
	X(SUSPENDED, "suspended", \
		"an operator suspended a destination, provider, source or route") \
	X(RESUMED, "resumed", "an operator ended a suspension") \
	X(RETURNED, "returned", "an operator returned a recipient to the sender") \
	X(REROUTED, "rerouted", "an operator sent a recipient another way") \
	X(SECURED, "secured", "a connection to a next hop speaks TLS, and what vouches for it") \
	X(POLICY, "policy", "an MTA-STS policy was fetched, or could not be") \
	X(TLS_REPORT, "tls-report", "a daily report about TLS was sent, or could not be") \
	/* spool */ \
	X(RECOVERED, "recovered", "the spool was read at start") \
	X(SPOOL_DAMAGE, "spool-damage", "a damaged part of the spool was quarantined") \
	X(SPOOL_POISONED, "spool-poisoned", "a write or sync failed; its segment takes no more") \
	X(SPOOL_FULL, "spool-full", "new mail is refused for lack of room") \
	X(SPOOL_ROOM, "spool-room", "new mail is accepted again") \
	X(SPOOL_FAILED, "spool-failed", "the spool cannot be written for now") \
	/* dialogues */ \
	X(TRANSCRIPT, "transcript", "a line of a dialogue (log transcript for ...)")

enum log_event {
#define X(id, name, meaning) LOG_##id,
	LOG_EVENTS(X)
#undef X
	LOG_EVENTS_N
};

#endif
