/*
 * settings_tls - rows of the table of settings: `tls`, `identity`, `logins`, `tls_reports` and
 * `pop` blocks. A part of settings.c, which includes it inside the table.
 */
	/* ---- tls */
	{
		.name = "certificate",
		.in = BLOCK_TLS,
		.arguments = "FILE",
		ONE,
		.handle = identity_file,
		.fallback_note = "none: there is no TLS for clients",
		.meaning = "The relay's certificate in PEM, then those that vouch for it, up to "
			   "the root.",
		.detail = "It is read anew by a reload; sessions under way keep the one they began "
			  "with. `relevo check` warns two weeks before it expires.",
		.example = "tls { certificate relay.crt; key relay.key }\n",
		.since = "0.1",
	},
	{
		.name = "key",
		.in = BLOCK_TLS,
		.arguments = "FILE",
		ONE,
		.handle = identity_file,
		.fallback_note = "none",
		.meaning = "The private key of the certificate, in PEM, without a password.",
		.detail = "RSA from 2048 bits on, or ECDSA on P-256 or P-384. It is opened when "
			  "the relay starts, before it becomes another `user`, and held by a "
			  "process of its own that does nothing but sign.",
		.example = "tls { certificate relay.crt; key relay.key }\n",
		.since = "0.1",
	},
	{
		.name = "identity",
		.in = BLOCK_TLS,
		.opens = BLOCK_IDENTITY,
		.needs_block = true,
		.repeats = true,
		.arguments = "{ certificate FILE; key FILE }",
		.handle = identity_block,
		.fallback_note = "the certificate of the `tls` block alone",
		.meaning = "A further certificate, for clients that ask for one of its names "
			   "(SNI).",
		.detail = "The first that has the name is shown; clients that ask for no name, or "
			  "for one that none has, see that of the `tls` block.",
		.example = "tls {\n"
			   "\tcertificate relay.crt\n"
			   "\tkey relay.key\n"
			   "\tidentity { certificate other.crt; key other.key }\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "minimum",
		.in = BLOCK_TLS,
		.arguments = "1.2|1.3",
		ONE,
		.value = VALUE_CHOICE,
		.choices = tls_versions,
		.handle = identity_minimum,
		.fallback = "1.2",
		.meaning = "The oldest version of TLS that clients may use here.",
		.detail = "With 1.3 many a mail server falls back to no TLS at all where it is "
			  "only `offered`.",
		.example = "tls { certificate relay.crt; key relay.key; minimum 1.2 }\n",
		.since = "0.1",
	},
	{
		.name = "client_ca",
		.in = BLOCK_TLS,
		.arguments = "FILE",
		ONE,
		.handle = identity_authorities,
		.fallback_note = "none: certificates of clients are known by fingerprint only",
		.meaning = "The authorities that vouch for certificates of clients, in PEM.",
		.detail = "For `accept from certificate ...`; see also `client_certificates` in a "
			  "listen block.",
		.example = "tls { certificate relay.crt; key relay.key; client_ca clients.pem }\n",
		.since = "0.1",
	},
	{
		.name = "ca",
		.in = BLOCK_TLS,
		.arguments = "FILE",
		ONE,
		.handle = identity_authorities,
		.fallback_note = "those of the system",
		.meaning = "The authorities that vouch for the servers that the relay delivers to.",
		.detail = "Where a route says nothing else.",
		.example = "tls { ca company.pem }\n",
		.since = "0.1",
	},

	/* ---- identity */
	{
		.name = "certificate",
		.in = BLOCK_IDENTITY,
		.arguments = "FILE",
		ONE,
		.handle = identity_file,
		.meaning = "The certificate in PEM, then those that vouch for it.",
		.example = "tls {\n"
			   "\tcertificate relay.crt\n"
			   "\tkey relay.key\n"
			   "\tidentity { certificate other.crt; key other.key }\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "key",
		.in = BLOCK_IDENTITY,
		.arguments = "FILE",
		ONE,
		.handle = identity_file,
		.meaning = "Its private key.",
		.example = "tls {\n"
			   "\tcertificate relay.crt\n"
			   "\tkey relay.key\n"
			   "\tidentity { certificate other.crt; key other.key }\n"
			   "}\n",
		.since = "0.1",
	},

	/* ---- logins */
	{
		.name = "failures_max",
		.in = BLOCK_LOGINS,
		.arguments = "COUNT|unlimited",
		ONE,
		.value = VALUE_COUNT,
		FIELD(struct config, logins.failures_max),
		.min = 3,
		.max = 100000,
		.zero = "unlimited",
		.fallback = "20",
		.meaning = "After how many failed logins a client is shut out for a while.",
		.detail = "Counted for an IPv4 address or an IPv6 /64; failures are forgotten one "
			  "by one as time passes, and slow the client down before.",
		.example = "logins { failures_max 10 }\n",
		.since = "0.1",
	},
	{
		.name = "ban",
		.in = BLOCK_LOGINS,
		.arguments = "TIME",
		ONE,
		.value = VALUE_DURATION,
		FIELD(struct config, logins.ban_ns),
		.min = 1 * SECOND,
		.max = 7 * DAY,
		.fallback = "15m",
		.meaning = "For how long; twice as long each further time.",
		.example = "logins { ban 1h }\n",
		.since = "0.1",
	},

	/* ---- tls_reports */
	{
		.name = "from",
		.in = BLOCK_REPORTS,
		.arguments = "ADDRESS",
		ONE,
		.handle = reports_address,
		.value = VALUE_TEXT,
		FIELD(struct config, tls_reports.from),
		.fallback_note = "none: it must be named",
		.meaning = "The sender of the reports.",
		.example = "tls_reports { from tls-reports@example.net }\n",
		.since = "0.1",
	},
	{
		.name = "organization",
		.in = BLOCK_REPORTS,
		.arguments = "\"TEXT\"",
		ONE,
		.value = VALUE_TEXT,
		FIELD(struct config, tls_reports.organization),
		.fallback_note = "the host name",
		.meaning = "Who reports, as the reports call it.",
		.example = "tls_reports {\n"
			   "\tfrom tls-reports@example.net\n"
			   "\torganization \"Example Networks\"\n"
			   "}\n",
		.since = "0.1",
	},
	{
		.name = "contact",
		.in = BLOCK_REPORTS,
		.arguments = "ADDRESS",
		ONE,
		.handle = reports_address,
		.value = VALUE_TEXT,
		FIELD(struct config, tls_reports.contact),
		.fallback_note = "the sender",
		.meaning = "Whom to ask about the reports.",
		.example = "tls_reports {\n"
			   "\tfrom tls-reports@example.net\n"
			   "\tcontact postmaster@example.net\n"
			   "}\n",
		.since = "0.1",
	},

	/* ---- pop */
	{
		.name = "tls",
		.in = BLOCK_POP,
		.arguments = "off|offered|required|implicit",
		ONE,
		.value = VALUE_CHOICE,
		.choices = tls_of_listeners,
		FIELD(struct pop_draft, pop.tls),
		.fallback_note = "`offered` where there is a certificate, else `off`",
		.meaning = "Whether TLS may or must be used (STLS, RFC 2595; `implicit` as on port "
			   "995).",
		.example = "tls { certificate relay.crt; key relay.key }\n"
			   "users file users\n"
			   "pop 0.0.0.0:995 { tls implicit }\n",
		.since = "0.1",
	},
	{
		.name = "allow_for",
		.in = BLOCK_POP,
		.arguments = "TIME",
		ONE,
		.value = VALUE_DURATION,
		FIELD(struct pop_draft, pop.allow_ns),
		.min = 1 * MINUTE,
		.max = 1 * DAY,
		.fallback = "30m",
		.meaning = "How long a client may send after it logged in.",
		.example = "users file users\n"
			   "pop 127.0.0.1 { allow_for 10m }\n",
		.since = "0.1",
	},
	{
		.name = "apop",
		.in = BLOCK_POP,
		.arguments = "",
		.value = VALUE_FLAG,
		FIELD(struct pop_draft, pop.apop),
		.fallback_note = "APOP is not offered",
		.meaning = "Offers APOP (RFC 1939): a login that is of no use to who overhears it.",
		.detail = "Both sides must have its secret in clear, which the users file never "
			  "holds. So a user who may log in thus has a secret of his own, used for "
			  "nothing else: the first line of the file `NAME.apop` in the folder of "
			  "`secrets`, where NAME stands as in the users file. Behind an "
			  "`upstream` it is the server's affair.",
		.example = "users file users\n"
			   "secrets ./secrets                # ./secrets/anna.apop, mode 0600\n"
			   "pop 127.0.0.1 { apop }\n",
		.since = "0.1",
	},
	{
		.name = "upstream",
		.in = BLOCK_POP,
		.arguments = "HOST[:PORT] [tls off|offered|required|implicit|verified]",
		.words_min = 1,
		.words_max = 3,
		.handle = pop_upstream,
		.choices = tls_of_routes,
		.fallback_note = "the relay's own `users` log in, and find an empty mailbox",
		.meaning = "The POP3 server that sessions are passed through to.",
		.detail = "Who logs in there may send. The port is 110, or 995 with `tls "
			  "implicit`; `offered` is the default.",
		.example = "pop 127.0.0.1 { upstream pop.example.net tls verified }\n",
		.since = "0.1",
	},
