/*
 * settings_route - rows of the table of settings: `route`, `host`, `source` and `pool` blocks and
 * the block of a rule. A part of settings.c, which includes it inside the table.
 */
	/* ---- route */
	{
		.name = "host",
		.in = BLOCK_ROUTE,
		.opens = BLOCK_HOST,
		.repeats = true,
		.arguments = "NAME[:PORT]",
		ONE,
		.handle = route_host_statement,
		.meaning = "A server of this route; at least one, unless it goes by `mx`.",
		.detail = "A name (all its addresses are tried), an IPv4 address, an IPv6 address "
			  "in brackets, or `unix:` and the path of a socket. The port is 25, or "
			  "24 where the protocol is LMTP, if none is written. Several hosts share "
			  "the mail by their weights; a `backup` is used while none of the others "
			  "can be.",
		.example = "route inside {\n"
			   "\thost 10.0.0.5\n"
			   "\thost [2001:db8::5]:2525 { weight 3 }\n"
			   "\thost spare.example.net { backup }\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "mx",
		.in = BLOCK_ROUTE,
		.arguments = "",
		.value = VALUE_FLAG,
		FIELD(struct route, is_mx),
		.fallback_note = "the route goes to its hosts",
		.meaning = "The route goes to the mail exchangers of the recipient's domain (RFC "
			   "5321 5).",
		.detail = "No `host` may stand in it then. Each domain is a destination of its "
			   "own.",
		.example = "route bulk { mx; connections 3 }\n",
		.since = "0.1",
	},
	{
		.name = "port",
		.in = BLOCK_ROUTE,
		.arguments = "PORT",
		ONE,
		.value = VALUE_PORT,
		FIELD(struct route, mx_port),
		.min = 1,
		.max = 65535,
		.fallback = "25",
		.meaning = "Where mail exchangers listen; for a route by `mx`.",
		.detail = "For tests and closed networks: on the Internet it is 25. The port of a "
			   "host stands behind its name.",
		.example = "route lab { mx; port 2525 }\n",
		.since = "0.1",
	},
	{
		.name = "protocol",
		.in = BLOCK_ROUTE,
		.arguments = "smtp|lmtp",
		ONE,
		.handle = route_protocol_statement,
		.fallback = "smtp",
		.meaning = "What the hosts speak: SMTP, or LMTP (RFC 2033) as mail stores do.",
		.example = "route store {\n"
			   "\tprotocol lmtp\n"
			   "\thost unix:/run/dovecot/lmtp\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "families",
		.in = BLOCK_ROUTE,
		.arguments = "any|ipv4|ipv6",
		ONE,
		.handle = route_families_statement,
		.fallback = "any",
		.meaning = "Which addresses of hosts are used.",
		.detail = "`any`: both, and where one family does not work, the other is tried "
			   "and preferred for a while.",
		.example = "route provider { host smtp.provider.example; families ipv4 }\n",
		.since = "0.1",
	},
	{
		.name = "source",
		.in = BLOCK_ROUTE,
		.arguments = "NAME",
		ONE,
		.handle = route_source_statement,
		.fallback_note = "the system chooses",
		.meaning = "The source or pool of sources that this route sends from.",
		.example = "source out1 address 192.0.2.10\n"
			   "route bulk { mx; source out1 }\n",
		.since = "0.1",
	},
	{
		.name = "retry",
		.in = BLOCK_ROUTE,
		.arguments = "TIME ...",
		.words_min = 1,
		.words_max = 64,
		.handle = statement_retry,
		.value = VALUE_DURATION,
		.min = 1 * SECOND,
		.max = 7 * DAY,
		.fallback_note = "that of the `queue` block",
		.meaning = "How long to wait after the first, second, third ... failure in a row; "
			   "the last repeats.",
		.example = "route branch { host 10.0.0.5; retry 1m 5m 30m }\n",
		.since = "0.1",
	},
	{
		.name = "warn_after",
		.in = BLOCK_ROUTE,
		.arguments = "TIME|never",
		ONE,
		.handle = route_warn_statement,
		.value = VALUE_DURATION,
		FIELD(struct route, warn_after_ns),
		.min = 1 * SECOND,
		.max = 365 * DAY,
		.zero = "never",
		.fallback_note = "that of the `queue` block",
		.meaning = "When the sender is told, once, that the message still waits.",
		.example = "route branch { host 10.0.0.5; warn_after 1d }\n",
		.since = "0.1",
	},
	{
		.name = "give_up_after",
		.in = BLOCK_ROUTE,
		.arguments = "TIME",
		ONE,
		.value = VALUE_DURATION,
		FIELD(struct route, give_up_after_ns),
		.min = 1 * SECOND,
		.max = 365 * DAY,
		.fallback_note = "that of the `queue` block",
		.meaning = "How long mail for this route is tried before it goes back to its "
			   "sender.",
		.example = "route branch { host 10.0.0.5; give_up_after 14d }\n",
		.since = "0.1",
	},
	{
		.name = "connect_timeout",
		.in = BLOCK_ROUTE,
		.arguments = "TIME",
		ONE,
		.value = VALUE_DURATION,
		FIELD(struct route, connect_timeout_ns),
		.min = 1 * SECOND,
		.max = 10 * MINUTE,
		.fallback = "30s",
		.meaning = "How long one attempt to connect may take.",
		.example = "route provider { host smtp.provider.example; connect_timeout 10s }\n",
		.since = "0.1",
	},
	{
		.name = "timeout",
		.in = BLOCK_ROUTE,
		.arguments = "TIME",
		ONE,
		.value = VALUE_DURATION,
		FIELD(struct route, timeout_ns),
		.min = 1 * SECOND,
		.max = 1 * HOUR,
		.fallback = "5m",
		.meaning = "How long the relay waits for a reply (RFC 5321 4.5.3.2).",
		.example = "route provider { host smtp.provider.example; timeout 5m }\n",
		.since = "0.1",
	},
	{
		.name = "rate_min",
		.in = BLOCK_ROUTE,
		.arguments = "RATE|none",
		ONE,
		.value = VALUE_RATE,
		FIELD(struct route, rate_min),
		.min = 1,
		.max = GIB,
		.zero = "none",
		.fallback = "1K/s",
		.meaning = "How many octets of a message a host must take on average, after a "
			   "grace of one `timeout`.",
		.detail = "So that a host cannot hold a connection of its destination for days by "
			  "reading a little now and then. Mail to a host that is slower waits and "
			  "is tried again: give a smaller rate for a link that is so slow.",
		.example = "route ship { host smtp.ship.example; rate_min 100/s }\n",
		.since = "0.1",
	},
	{
		.name = "idle",
		.in = BLOCK_ROUTE,
		.arguments = "TIME|none",
		ONE,
		.value = VALUE_DURATION,
		FIELD(struct route, idle_ns),
		.min = 1 * SECOND,
		.max = 10 * MINUTE,
		.zero = "none",
		.fallback = "5s",
		.meaning = "How long an unused connection is kept for the next message.",
		.example = "route provider { host smtp.provider.example; idle none }\n",
		.since = "0.1",
	},
	{
		.name = "connections",
		.in = BLOCK_ROUTE,
		.arguments = "COUNT",
		ONE,
		.value = VALUE_COUNT,
		FIELD(struct route, connections_max),
		.min = 1,
		.max = 10000,
		.fallback = "20",
		.meaning = "How many connections this route may have at once; by MX, for each "
			   "domain.",
		.example = "route provider { host smtp.provider.example; connections 5 }\n",
		.since = "0.1",
	},
	{
		.name = "messages",
		.in = BLOCK_ROUTE,
		.arguments = "COUNT",
		ONE,
		.value = VALUE_COUNT,
		FIELD(struct route, messages_max),
		.min = 1,
		.max = 1000000,
		.fallback = "100",
		.meaning = "How many messages one connection carries before a new one is opened.",
		.example = "route provider { host smtp.provider.example; messages 1000 }\n",
		.since = "0.1",
	},
	{
		.name = "tls",
		.in = BLOCK_ROUTE,
		.arguments = "off|offered|required|implicit|verified [ca FILE]",
		.words_min = 1,
		.words_max = 3,
		.handle = route_tls,
		.choices = tls_of_routes,
		.fallback_note = "`offered`; `required` where the route has a login",
		.meaning = "How much TLS the hosts must do.",
		.detail = "`offered`: what the host offers is used, whoever it is; by MX, DANE "
			  "and MTA-STS policies of the domain come first. `required`: encrypted, "
			  "whoever it is. `implicit`: from the first octet on, as on port 465. "
			  "`verified`: the host must show that it is the one named, by the "
			  "authorities in FILE or the system's; by MX, by DANE or MTA-STS; else "
			  "the mail waits. See [TLS](#tls-and-logins).",
		.example = "route provider { host smtp.provider.example:587; tls verified }\n"
			   "route branch { host mail.branch.example; tls verified ca branch.pem "
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "client_identity",
		.in = BLOCK_ROUTE,
		.arguments = "CERTIFICATE KEY",
		.words_min = 2,
		.words_max = 2,
		.handle = route_identity,
		.fallback_note = "none is shown",
		.meaning = "The certificate and key that the relay shows to these hosts.",
		.detail = "Files in PEM, as in the `tls` block.",
		.example = "route branch {\n"
			   "\thost mail.branch.example\n"
			   "\ttls required\n"
			   "\tclient_identity relay.crt relay.key\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "login",
		.in = BLOCK_ROUTE,
		.arguments = "NAME secret SECRET [mechanism MECHANISM]",
		.words_min = 3,
		.words_max = 5,
		.handle = login_route,
		.fallback_note = "no login",
		.meaning = "Logs in at the hosts before it sends (AUTH, RFC 4954).",
		.detail = "SECRET is a file in the [secrets](#secrets) folder. It goes over TLS "
			  "only, except to this machine. The best mechanism that both know is "
			  "used, unless one is named: SCRAM-SHA-256, PLAIN, LOGIN, SCRAM-SHA-1 "
			  "and so on; with XOAUTH2 or OAUTHBEARER the secret is a token.",
		.example = "secrets secrets\n"
			   "route provider {\n"
			   "\thost smtp.provider.example:587\n"
			   "\tlogin office@provider.example secret provider\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "etrn",
		.in = BLOCK_ROUTE,
		.arguments = "from NETWORK ... | from table NAME",
		.words_min = 1,
		.words_max = MANY,
		.handle = route_etrn,
		.fallback_note = "nobody",
		.meaning = "Who may ask for the mail of this route to be sent now (ETRN, RFC "
			   "1985).",
		.detail = "It goes where the route says, not to whoever asks: all that waits, in "
			  "order of arrival, whatever time each message would wait.",
		.example = "route branch { host 10.0.0.5; etrn from 10.0.0.0/24 }\n",
		.since = "0.1",
	},
	{
		.name = "quota",
		.in = BLOCK_ROUTE,
		.arguments = "[SIZE] [COUNT messages]",
		.words_min = 1,
		.words_max = 3,
		.handle = route_quota,
		.fallback_note = "the spool is the bound",
		.meaning = "How much may wait for one domain; above it, new mail for it gets `452 "
			   "4.2.2`.",
		.detail = "After a reload what waits already counts, too.",
		.example = "route branch { host 10.0.0.5; quota 2G 50000 messages }\n",
		.since = "0.1",
	},
	{
		.name = "recipients",
		.in = BLOCK_ROUTE,
		.arguments = "table NAME | callout",
		.words_min = 1,
		.words_max = 2,
		.handle = route_recipients,
		.fallback_note = "everybody",
		.meaning = "Whom the hosts have: mail for others is refused at once, instead of "
			   "bouncing later.",
		.detail = "A table of addresses and domains; or `callout`: the hosts are asked, "
			  "and what they said is remembered for when they are down.",
		.example = "table people file people.txt\n"
			   "route branch { host 10.0.0.5; recipients table people }\n"
			   "route other { host 10.0.0.6; recipients callout }\n",
		.since = "0.1",
	},
	{
		.name = "slow_start",
		.in = BLOCK_ROUTE,
		.arguments = "on|off|TIME",
		ONE,
		.handle = route_slow_start,
		.value = VALUE_DURATION,
		FIELD(struct route, slow_start_ns),
		.min = 1 * SECOND,
		.max = 1 * HOUR,
		.zero = "off",
		.fallback = "1m",
		.meaning = "How gently mail flows again to hosts that were down.",
		.detail = "Within that time (`on` is 1m) the connections grow from two to all that "
			  "are allowed.",
		.example = "route branch { host 10.0.0.5; slow_start 5m }\n",
		.since = "0.1",
	},
	LATER(BLOCK_ROUTE, "limit"),
	LATER(BLOCK_ROUTE, "resolver"),

	/* ---- host */
	{
		.name = "backup",
		.in = BLOCK_HOST,
		.value = VALUE_FLAG,
		FIELD(struct route_host, backup),
		.arguments = "",
		.fallback_note = "not a backup",
		.meaning = "Used only while no other host of the route can be.",
		.example = "route inside { host 10.0.0.5; host 10.0.0.6 { backup } }\n",
		.since = "0.1",
	},
	{
		.name = "weight",
		.in = BLOCK_HOST,
		.arguments = "COUNT",
		ONE,
		.value = VALUE_COUNT,
		FIELD(struct route_host, weight),
		.min = 1,
		.max = 1000,
		.fallback = "1",
		.meaning = "The host's share of the mail among its equals.",
		.example = "route inside { host 10.0.0.5 { weight 3 }; host 10.0.0.6 }\n",
		.since = "0.1",
	},

	/* ---- the block of a rule */
	{
		.name = "retry",
		.in = BLOCK_RULE,
		.arguments = "TIME ...",
		.words_min = 1,
		.words_max = 64,
		.handle = statement_retry,
		.value = VALUE_DURATION,
		.min = 1 * SECOND,
		.max = 7 * DAY,
		.fallback_note = "that of the route",
		.meaning = "How long to wait after the first, second, third ... failure in a row; "
			   "the last repeats.",
		.example = "accept from local to any via provider { retry 10s 30s 1m 5m }\n",
		.since = "0.1",
	},
	{
		.name = "give_up_after",
		.in = BLOCK_RULE,
		.arguments = "TIME",
		ONE,
		.value = VALUE_DURATION,
		FIELD(struct route, give_up_after_ns),
		.min = 1 * SECOND,
		.max = 365 * DAY,
		.fallback_note = "that of the route",
		.meaning = "How long mail that this rule took is tried before it goes back to its "
			   "sender.",
		.example = "accept from local to any via provider { give_up_after 1h }\n",
		.since = "0.1",
	},
	{
		.name = "warn_after",
		.in = BLOCK_RULE,
		.arguments = "TIME|never",
		ONE,
		.handle = route_warn_statement,
		.value = VALUE_DURATION,
		FIELD(struct route, warn_after_ns),
		.min = 1 * SECOND,
		.max = 365 * DAY,
		.zero = "never",
		.fallback_note = "that of the route",
		.meaning = "When the sender is told, once, that the message still waits.",
		.example = "accept from local to any via provider { warn_after never }\n",
		.since = "0.1",
	},
	{
		.name = "source",
		.in = BLOCK_RULE,
		.arguments = "NAME",
		ONE,
		.handle = route_source_statement,
		.fallback_note = "that of the route",
		.meaning = "The source or pool of sources that mail of this rule is sent from.",
		.detail = "So several senders share a route, each with addresses of its own.",
		.example = "source shop address 192.0.2.20 helo shop.example.net\n"
			   "accept from 10.1.0.0/16 to any via mx { source shop }\n",
		.since = "0.1",
	},
	{
		.name = "login",
		.in = BLOCK_RULE,
		.arguments = "NAME secret SECRET [mechanism MECHANISM]",
		.words_min = 3,
		.words_max = 5,
		.handle = login_route,
		.fallback_note = "that of the route",
		.meaning = "As whom mail of this rule logs in at the route's hosts.",
		.detail = "So each sender can use an account of its own at the provider.",
		.example = "secrets secrets\n"
			   "accept from local sender shop.example to any via provider {\n"
			   "\tlogin shop@provider.example secret shop\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "tag",
		.in = BLOCK_RULE,
		.arguments = "WORD",
		ONE,
		.handle = rule_tag,
		.fallback_note = "no tag",
		.meaning = "A word for what this rule takes: the queue commands select by it.",
		.example = "accept from local to any via provider { tag newsletter }\n",
		.since = "0.1",
	},

	/* ---- source */
	{
		.name = "warm_up",
		.in = BLOCK_SOURCE,
		.arguments = "from YYYY-MM-DD COUNT ... [overflow NAME]",
		.words_min = 3,
		.words_max = MANY,
		.handle = source_warm_up,
		.fallback_note = "no plan: the source sends what it is given",
		.meaning = "How many messages a new address may send to each provider on its "
			   "first days.",
		.detail = "One number for each day, in UTC; after the last there is no cap. "
			  "Domains that belong to no provider count each for itself. What is over "
			  "the plan goes from `overflow`, a source or pool; without one it waits "
			  "for the next day. Overflows may be chained, four deep, but not lead "
			  "back.",
		.example = "source old address 192.0.2.10\n"
			   "source new address 192.0.2.12 {\n"
			   "\twarm_up from 2026-03-01 50 100 200 400 800 1600 overflow old\n"
			   "}\n",
		.since = "0.1",
	},

	/* ---- pool */
	{
		.name = "source",
		.in = BLOCK_POOL,
		.repeats = true,
		.arguments = "NAME [weight COUNT]",
		.words_min = 1,
		.words_max = 3,
		.handle = source_member,
		.fallback_note = "weight 1",
		.meaning = "A member of the pool and its share of the mail.",
		.detail = "Weights are 0 to 1000. A source of weight 0 is a spare: it is used "
			  "while none of the others can be for a minute or longer. One at least "
			  "must have more.",
		.example = "source out1 address 192.0.2.10\n"
			   "source out2 address 192.0.2.11\n"
			   "pool out {\n"
			   "\tsource out1 weight 2\n"
			   "\tsource out2\n"
			   "}\n",
		.since = "0.1",
	},
