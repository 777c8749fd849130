/*
 * settings_top - rows of the table of settings: what stands at the top level of a file. A part of
 * settings.c, which includes it inside the table; see setting.h for the columns.
 */
	/* ---- the file itself */
	{
		.name = "version",
		.in = BLOCK_TOP,
		.arguments = "1",
		ONE,
		.handle = load_version,
		.meaning = "The version of this language; the first statement of every "
			   "configuration.",
		.detail = "A later version of the language will have another number, so that an "
			  "old file never silently means something new. Included files do not "
			  "have it.",
		.example = "version 1\nhostname relay.example.net\n",
		.since = "0.1",
	},
	{
		.name = "include",
		.in = BLOCK_TOP,
		.arguments = "FILE ...",
		.words_min = 1,
		.words_max = MANY,
		.repeats = true,
		.handle = load_include,
		.meaning = "Reads other files at this place.",
		.detail = "Names may hold the wildcards `*`, `?` and `[...]`; the files found are "
			  "read in sorted order, and finding none is fine. Includes may be eight "
			  "deep; a file that includes itself, directly or through others, is an "
			  "error.",
		.example = "include conf.d/*.conf\n",
		.since = "0.1",
	},
	{
		.name = "hostname",
		.in = BLOCK_TOP,
		.arguments = "NAME",
		ONE,
		.handle = statement_hostname,
		.fallback_note = "the system's host name, if it has a dot",
		.meaning = "The relay's name: in its greeting, in EHLO, in Received, in bounces.",
		.detail = "It should resolve to this machine, because other servers check it. "
			  "Where the system's host name has no dot, this statement is required, "
			  "unless the relay listens on loopback addresses only.",
		.example = "hostname relay.example.net\n",
		.since = "0.1",
	},
	{
		.name = "state",
		.in = BLOCK_TOP,
		.arguments = "FOLDER",
		ONE,
		.handle = statement_state,
		.fallback = "/var/lib/relevo",
		.at_start = true,
		.meaning = "The folder of the spool and the control socket; made if it is missing.",
		.detail = "It should be on a disk that keeps what it acknowledged.",
		.example = "state /var/lib/relevo\n",
		.since = "0.1",
	},
	{
		.name = "user",
		.in = BLOCK_TOP,
		.arguments = "NAME",
		ONE,
		.handle = statement_user,
		.fallback_note = "the relay stays who it was started as",
		.at_start = true,
		.meaning = "Whom to become once the listening addresses are open.",
		.detail = "Only for a relay that is started by root.",
		.example = "user relevo\n",
		.since = "0.1",
	},
	{
		.name = "workers",
		.in = BLOCK_TOP,
		.arguments = "COUNT|auto",
		ONE,
		.value = VALUE_COUNT,
		FIELD(struct config, workers),
		.min = 1,
		.max = 256,
		.zero = "auto",
		.fallback = "auto",
		.at_start = true,
		.meaning = "How many threads carry sessions.",
		.detail = "`auto` is one per core.",
		.example = "workers 4\n",
		.since = "0.1",
	},
	{
		.name = "listen",
		.in = BLOCK_TOP,
		.opens = BLOCK_LISTEN,
		.repeats = true,
		.arguments = "ADDRESS[:PORT]",
		ONE,
		.handle = listen_statement,
		.meaning = "An address on which the relay takes mail.",
		.detail = "An IPv4 address, or an IPv6 address in brackets; `0.0.0.0` and `[::]` "
			  "are all addresses of their family, and each family is listened on "
			  "separately. The port is 25 where none is written. Listening on an "
			  "address lets nobody relay: that takes a rule. A configuration has up "
			  "to 256 of them, those of `pop` included.",
		.example = "listen 127.0.0.1:25\n"
			   "listen [::1]:25\n"
			   "listen 192.0.2.25 {\n"
			   "\tconnections_max 500\n"
			   "\terrors_max 10\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "route",
		.in = BLOCK_TOP,
		.opens = BLOCK_ROUTE,
		.needs_block = true,
		.repeats = true,
		.arguments = "NAME",
		ONE,
		.handle = route_statement,
		.meaning = "A next hop: the servers that take mail from here, and how to talk to "
			   "them.",
		.detail = "It names its hosts, or says `mx`: then mail goes to the mail "
			  "exchangers of each recipient's domain. The name is made of letters, "
			  "digits, `-`, `_` and `.`; rules, limits, the queue commands and the "
			  "log use it. The route named `mx` goes by MX and is there without a "
			  "block, which only changes its settings. Renaming a route while mail "
			  "waits for it makes that mail wait until the name is back or the mail "
			  "is sent another way; so does turning a route with hosts into one by MX, "
			  "or back.",
		.example = "route provider {\n"
			   "\thost smtp.provider.example:587\n"
			   "\thost smtp2.provider.example:587 { backup }\n"
			   "}\n"
			   "route bulk {\n"
			   "\tmx\n"
			   "\tretry 15m 30m 1h 2h 4h\n"
			   "}\n"
			   "route mx { connections 5 }\n",
		.since = "0.1",
	},
	{
		.name = "source",
		.in = BLOCK_TOP,
		.opens = BLOCK_SOURCE,
		.repeats = true,
		.arguments = "NAME address ADDRESS [ADDRESS] [helo NAME]",
		.words_min = 3,
		.words_max = MANY,
		.handle = source_statement,
		.fallback_note = "the system chooses",
		.meaning = "An address of this machine that mail is sent from.",
		.detail = "One IPv4 address, one IPv6 address, or one of each, in any order; "
			   "where one is missing, this source does not send by that family. "
			   "`helo` is what the relay calls itself in EHLO when it sends from "
			   "there; it should be the name that the address has in the DNS. Routes "
			   "and rules name the source that they send from, alone or in a "
			   "[pool](#pool); without one the system chooses the address. See "
			   "[Sources](#sources).",
		.example = "source out1 address 192.0.2.10 2001:db8::10 helo out1.example.net\n"
			   "source out2 address 192.0.2.11\n"
			   "source fresh address 192.0.2.12 {\n"
			   "\twarm_up from 2026-03-01 50 100 200 400 800 1600 overflow out1\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "pool",
		.in = BLOCK_TOP,
		.opens = BLOCK_POOL,
		.needs_block = true,
		.repeats = true,
		.arguments = "NAME { ... }",
		ONE,
		.handle = source_pool_statement,
		.meaning = "Several sources that share the mail by their weights.",
		.detail = "Each connection draws one of them; while a destination refuses one, or "
			  "its limits are used up, the others go on. Sources and pools have their "
			  "names in common: where a pool is wanted, the name of a source means "
			  "that one alone.",
		.example = "source out1 address 192.0.2.10\n"
			   "source out2 address 192.0.2.11\n"
			   "source spare address 192.0.2.12\n"
			   "pool newsletters {\n"
			   "\tsource out1 weight 3\n"
			   "\tsource out2\n"
			   "\tsource spare weight 0\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "table",
		.in = BLOCK_TOP,
		.opens = BLOCK_TABLE,
		.repeats = true,
		.arguments = "NAME { ... } | NAME file FILE",
		.words_min = 1,
		.words_max = 3,
		.handle = tables_statement,
		.meaning = "A named set of addresses, domains and networks for rules.",
		.detail = "See [Tables](#tables). At most 1,000,000 entries.",
		.example = "table partners {\n"
			   "\texample.org\n"
			   "\t.example.org\n"
			   "}\n"
			   "table customers file customers.txt\n",
		.since = "0.1",
	},
	{
		.name = "accept",
		.in = BLOCK_TOP,
		.repeats = true,
		.opens = BLOCK_RULE,
		.arguments = "from WHO [sender WHOSE] to WHOM via ROUTE [dangerously-open] "
			     "[{ ... }]",
		.words_max = MANY,
		.handle = rule_accept,
		.meaning = "A rule that takes mail in.",
		.detail = "See [Rules](#rules). Its block changes the route for what this rule "
			  "takes.",
		.example = "accept from 192.0.2.0/24 to any via provider\n"
			   "accept from 192.0.2.99 to any via mx {\n"
			   "\tgive_up_after 6h\n"
			   "\ttag codes\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "reject",
		.in = BLOCK_TOP,
		.repeats = true,
		.arguments = "from WHO [sender WHOSE] to WHOM [\"TEXT\"]",
		.words_max = MANY,
		.handle = rule_reject,
		.meaning = "A rule that refuses mail, with a text of yours.",
		.detail = "The reply is `550 5.7.1` and the text. See [Rules](#rules).",
		.example = "reject from any to domain old.example.net \"this domain has moved to "
			   "example.net\"\n",
		.since = "0.1",
	},
	{
		.name = "limit",
		.in = BLOCK_TOP,
		.repeats = true,
		.arguments = "HOW_MUCH WHERE ... [evenly]",
		.words_min = 0,
		.words_max = MANY,
		.handle = limit_statement,
		.fallback_note = "no limits but those of the routes and providers, and two for "
				 "each client",
		.meaning = "How much may go somewhere, or come from somebody, at once or in a "
			   "time.",
		.detail = "See [Limits](#limits). All limits that fit hold together: the "
			   "strictest decides. Mail that waits for a limit has not been tried.",
		.example = "limit 20 connections per destination\n"
			   "limit 50 messages per connection to domain old.example\n"
			   "limit 100/min messages to domain slow.example\n"
			   "limit 2000/h recipients per provider per source\n"
			   "limit 10M/min bytes to provider comcast via mx\n"
			   "limit 6/min messages to domain careful.example evenly\n"
			   "limit 20 connections per client\n"
			   "limit 60/min messages per login\n",
		.since = "0.1",
	},
	{
		.name = "provider",
		.in = BLOCK_TOP,
		.opens = BLOCK_PROVIDER,
		.needs_block = true,
		.repeats = true,
		.arguments = "NAME { ... }",
		ONE,
		.handle = provider_statement,
		.meaning = "Who hosts the mail of many domains, and how they want to be treated.",
		.detail = "See [Providers](#providers). A block with the name of a shipped "
			   "provider takes the place of that one, as a whole. `provider any` "
			   "holds `on` statements for everyone; they come after those of the "
			   "provider itself.",
		.example = "provider hoster {\n"
			   "\tmx .mail.hoster.example mx.hoster.example\n"
			   "\tconnections 5\n"
			   "\ton reply 421 matches \"too many\" then slow\n"
			   "\ton status 4.7.* then pause 15m\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "providers",
		.in = BLOCK_TOP,
		.arguments = "none",
		ONE,
		.handle = provider_none,
		.fallback_note = "the shipped list, and the `provider` blocks",
		.meaning = "Leaves out the list of providers that comes with the program.",
		.detail = "The list is installed, for reading, as `share/relevo/providers.conf`.",
		.example = "providers none\n",
		.since = "0.1",
	},
	{
		.name = "queue",
		.in = BLOCK_TOP,
		.opens = BLOCK_QUEUE,
		.needs_block = true,
		.arguments = "{ ... }",
		.handle = statement_block,
		.meaning = "How long mail is kept and how often it is tried.",
		.example = "queue {\n"
			   "\tgive_up_after 3d\n"
			   "\twarn_after never\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "message",
		.in = BLOCK_TOP,
		.opens = BLOCK_MESSAGE,
		.needs_block = true,
		.arguments = "{ ... }",
		.handle = statement_block,
		.meaning = "What one message may be.",
		.example = "message {\n"
			   "\tsize_max 25M\n"
			   "\trecipients_max 500\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "resolver",
		.in = BLOCK_TOP,
		.opens = BLOCK_RESOLVER,
		.arguments = "system|recursive|ADDRESS[:PORT] ...",
		.words_min = 1,
		.words_max = 17,
		.handle = resolver_statement,
		.fallback = "system",
		.meaning = "Who answers questions about names: hosts, mail exchangers.",
		.detail = "`system` asks the servers of `/etc/resolv.conf`, and looks into "
			   "`/etc/hosts` before. Addresses are servers to ask instead (port 53 if "
			   "none is written). `recursive` asks nobody else: it goes down from the "
			   "root of the DNS by itself, and checks signatures.",
		.example = "resolver 127.0.0.1:5353 [2001:db8::53] {\n"
			   "\ttimeout 5s\n"
			   "\tcache 64M\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "self",
		.in = BLOCK_TOP,
		.repeats = true,
		.arguments = "NAME|ADDRESS ...",
		.words_min = 1,
		.words_max = MANY,
		.handle = statement_self,
		.fallback_note = "the host name, and the addresses of this machine",
		.meaning = "Other names and addresses by which this machine is reached.",
		.detail = "By MX the relay never delivers to itself: mail exchangers that are "
			   "this machine, and those behind it in preference, are left out (RFC "
			   "5321 5.1). It knows its host name and its own addresses; behind "
			   "address translation or a load balancer it must be told what others "
			   "see.",
		.example = "self 203.0.113.25 2001:db8:25::1 mx2.example.net\n",
		.since = "0.1",
	},
	{
		.name = "postmaster",
		.in = BLOCK_TOP,
		.arguments = "ADDRESS [via ROUTE]",
		.words_min = 1,
		.words_max = 3,
		.handle = statement_postmaster,
		.fallback_note = "postmaster at the relay's host name, by the rules",
		.meaning = "Who gets the mail to `<postmaster>` without a domain.",
		.detail = "RFC 5321 4.5.1 wants it accepted by every server that takes mail. It "
			  "is accepted from everyone where a rule takes mail from `any`, and else "
			  "from those whom a rule takes mail from. Without `via` the rules decide "
			  "by which route it goes.",
		.example = "postmaster admin@example.net via provider\n",
		.since = "0.1",
	},
	{
		.name = "log",
		.in = BLOCK_TOP,
		.opens = BLOCK_LOG,
		.repeats = true,
		.arguments = "{ ... } | text | json | stderr | syslog | file FILE | transcript for "
			     "WHAT ...",
		.words_max = MANY,
		.handle = statement_log,
		.meaning = "Where the log goes and how it looks.",
		.detail = "The short forms say the same as one statement of the block.",
		.example = "log json\n"
			   "log file /var/log/relevo.log\n"
			   "log transcript for 192.0.2.7 slow.example\n",
		.since = "0.1",
	},
	{
		.name = "tls",
		.in = BLOCK_TOP,
		.opens = BLOCK_TLS,
		.needs_block = true,
		.arguments = "{ ... }",
		.handle = identity_tls,
		.fallback_note = "no certificate: no TLS for clients; servers are offered it",
		.meaning = "The relay's certificates, and whom it trusts.",
		.detail = "See [TLS](#tls-and-logins).",
		.example = "tls {\n"
			   "\tcertificate /etc/relevo/relay.crt\n"
			   "\tkey /etc/relevo/relay.key\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "users",
		.in = BLOCK_TOP,
		.repeats = true,
		.arguments = "file FILE | dovecot unix:PATH|ADDRESS:PORT | introspect URL [client "
			     "NAME secret SECRET] [scope WORD] [audience WORD] [claim WORD] "
			     "[ca FILE]",
		.words_min = 2,
		.words_max = 14,
		.handle = login_users,
		.fallback_note = "nobody can log in",
		.meaning = "Who may log in.",
		.detail = "A file made with `relevo user add NAME`; the socket where Dovecot "
			  "offers its logins to other servers; or, for tokens, the URL of a "
			  "server that says whose they are (RFC 7662). Several are asked in their "
			  "order.\n\nOf a token `scope` and `audience` say what must be among its "
			  "own, and `claim` which member of the answer is the user's name, in "
			  "place of the first of `username`, `email` and `sub`. `ca` holds the "
			  "authorities that vouch for the token server, if those of the system do "
			  "not.",
		.example = "users file users\n"
			   "users dovecot unix:/run/dovecot/auth-client\n",
		.since = "0.1",
	},
	{
		.name = "secrets",
		.in = BLOCK_TOP,
		.arguments = "FOLDER",
		ONE,
		.handle = login_secrets,
		.fallback_note = "none",
		.meaning = "The folder of the secrets that this relay uses elsewhere.",
		.detail = "A secret named `provider` is the first line of the file `provider` in "
			  "it, of mode 0600, or 0640 with the relay's group; one that everybody "
			  "may read is not used. Secrets are read when they are needed, and never "
			  "logged.",
		.example = "secrets /etc/relevo/secrets\n",
		.since = "0.1",
	},
	{
		.name = "logins",
		.in = BLOCK_TOP,
		.opens = BLOCK_LOGINS,
		.needs_block = true,
		.arguments = "{ ... }",
		.handle = statement_block,
		.meaning = "What becomes of those who guess passwords.",
		.example = "logins {\n"
			   "\tfailures_max 10\n"
			   "\tban 1h\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "pop",
		.in = BLOCK_TOP,
		.opens = BLOCK_POP,
		.repeats = true,
		.arguments = "ADDRESS[:PORT]",
		ONE,
		.handle = pop_statement,
		.fallback_note = "none",
		.meaning = "A POP3 listener: who logs in there may send from the same address for "
			   "a while (`accept from pop ...`).",
		.detail = "For programs that cannot log in to send. The port is 110 where none is "
			  "written. It checks the relay's own `users` and shows them an empty "
			  "mailbox, or passes sessions through to a real server.",
		.example = "pop 127.0.0.1:110 {\n"
			   "\tupstream pop.example.net\n"
			   "\tallow_for 20m\n"
			   "}\n"
			   "accept from pop to any via mx\n",
		.since = "0.1",
	},
	{
		.name = "clients",
		.in = BLOCK_TOP,
		.opens = BLOCK_CLIENTS,
		.needs_block = true,
		.arguments = "{ ... }",
		.handle = statement_block,
		.meaning = "What is asked of strangers: lists, names, greylisting, patience.",
		.detail = "Strangers are clients that are not local, have not logged in, have "
			  "shown no certificate that somebody vouches for, and have not looked at "
			  "their mail. The same statements in a listen block take the place of "
			  "these there.",
		.example = "clients {\n"
			   "\tdns_list zen.example.org weight 2\n"
			   "\tdns_list_reject 2\n"
			   "\tgreylist on\n"
			   "}\n"
			   "listen 127.0.0.1:25 { greylist off }\n",
		.since = "0.1",
	},
	{
		.name = "dane",
		.in = BLOCK_TOP,
		.arguments = "on|off",
		ONE,
		.value = VALUE_SWITCH,
		FIELD(struct config, dane),
		.fallback = "on",
		.meaning = "By MX, obeys what domains say of their servers' keys in a signed DNS "
			   "(RFC 7672).",
		.detail = "It takes effect where the [resolver](#resolver) checks signatures.",
		.example = "dane on\n",
		.since = "0.1",
	},
	{
		.name = "mta_sts",
		.in = BLOCK_TOP,
		.arguments = "on|off",
		ONE,
		.value = VALUE_SWITCH,
		FIELD(struct config, mta_sts),
		.fallback = "on",
		.meaning = "By MX, obeys the policies that domains publish on the Web (RFC 8461).",
		.example = "mta_sts off\n",
		.since = "0.1",
	},
	{
		.name = "tls_reports",
		.in = BLOCK_TOP,
		.opens = BLOCK_REPORTS,
		.needs_block = true,
		.arguments = "{ ... }",
		.handle = reports_statement,
		.fallback_note = "no reports",
		.meaning = "Tells domains once a day how TLS with their servers went (RFC 8460), "
			   "if they want to know.",
		.example = "tls_reports {\n"
			   "\tfrom tls-reports@example.net\n"
			   "\torganization \"Example Networks\"\n"
			   "}\n",
		.since = "0.1",
	},
	LATER(BLOCK_TOP, "chain"),
