/*
 * settings_delivery - rows of the table of settings: `provider` and `resolver` blocks. A part of
 * settings.c, which includes it inside the table.
 */
	/* ---- provider */
	{
		.name = "mx",
		.in = BLOCK_PROVIDER,
		.repeats = true,
		.arguments = "HOST|.ENDING ...",
		.words_min = 1,
		.words_max = MANY,
		.handle = provider_mx,
		.fallback_note = "none",
		.meaning = "Its mail exchangers: a domain whose best ones are among them is "
			  "hosted there.",
		.detail = "`.mail.example.net` is every name below mail.example.net. Where "
			   "several fit, the longest decides.",
		.example = "provider hoster { mx .mail.hoster.example mx.hoster.example }\n",
		.since = "0.1",
	},
	{
		.name = "domain",
		.in = BLOCK_PROVIDER,
		.repeats = true,
		.arguments = "DOMAIN ...",
		.words_min = 1,
		.words_max = MANY,
		.handle = provider_domain,
		.fallback_note = "none",
		.meaning = "Domains of its own.",
		.detail = "For domains whose mail exchangers are nobody's that is known. "
			  "`.example.org` is every name below example.org.",
		.example = "provider freemail { domain freemail.example mail.example }\n",
		.since = "0.1",
	},
	{
		.name = "connections",
		.in = BLOCK_PROVIDER,
		.arguments = "COUNT",
		ONE,
		.handle = provider_count,
		.value = VALUE_COUNT,
		FIELD(struct provider_draft, provider.connections_max),
		.min = 1,
		.max = 10000,
		.fallback_note = "no bound of its own",
		.meaning = "How many connections it takes at once from one source, over all its "
			   "domains.",
		.example = "provider hoster { mx .mail.hoster.example; connections 5 }\n",
		.since = "0.1",
	},
	{
		.name = "messages",
		.in = BLOCK_PROVIDER,
		.arguments = "COUNT",
		ONE,
		.handle = provider_count,
		.value = VALUE_COUNT,
		FIELD(struct provider_draft, provider.messages_max),
		.min = 1,
		.max = 1000000,
		.fallback_note = "no bound of its own",
		.meaning = "How many messages it takes over one connection.",
		.example = "provider hoster { mx .mail.hoster.example; messages 20 }\n",
		.since = "0.1",
	},
	{
		.name = "on",
		.in = BLOCK_PROVIDER,
		.repeats = true,
		.arguments = "[reply CODE] [status X.Y.Z] [matches \"REGEX\"] then REACTION",
		.words_min = 3,
		.words_max = MANY,
		.handle = provider_on,
		.fallback_note = "replies mean what their codes say",
		.meaning = "What a refusal means beyond its code, and what is done about it.",
		.detail = "One condition at least; all that stand must fit. Of all `on` "
			   "statements the first that fits decides, those of the provider before "
			   "those of `provider any`. CODE is `421`, `42x` or `4xx`; a part of the "
			   "status may be `*`, as in `4.7.*`; the regular expression (PCRE2) is "
			   "searched for in the text of the reply, without codes and without "
			   "regard to case. In quotes a backslash is written twice. See "
			   "[Providers](#providers) for the reactions.",
		.example = "provider hoster {\n"
			   "\tmx .mail.hoster.example\n"
			   "\ton reply 421 then slow\n"
			   "\ton status 4.7.* matches \"rate limit|too many\" then pause 10m\n"
			   "\ton reply 5xx matches \"\\\\bblocked using\\\\b\" then other-source\n"
			   "\ton reply 452 matches \"mailbox full\" then defer 6h\n"
			   "\ton reply 450 matches \"no such user\" then bounce\n"
			   "}\n",
		.since = "0.1",
	},

	/* ---- resolver */
	{
		.name = "dnssec",
		.in = BLOCK_RESOLVER,
		.arguments = "on|off",
		ONE,
		.handle = resolver_dnssec,
		.fallback_note = "`on` for `recursive`, else `off`",
		.meaning = "Whether signatures of the DNS are checked here.",
		.detail = "Answers that fail the check are treated as a failure of the DNS: mail "
			   "waits. The servers that are asked must pass signatures on.",
		.example = "resolver 127.0.0.1 { dnssec on }\n",
		.since = "0.1",
	},
	{
		.name = "trust_anchor",
		.in = BLOCK_RESOLVER,
		.arguments = "FILE",
		ONE,
		.handle = resolver_file,
		FIELD(struct config, resolver.trust_anchor),
		.fallback_note = "that of the system, else a built-in one",
		.meaning = "The key of the root that `dnssec` begins with.",
		.example = "resolver recursive { trust_anchor /usr/share/dns/root.key }\n",
		.since = "0.1",
	},
	{
		.name = "root_hints",
		.in = BLOCK_RESOLVER,
		.arguments = "FILE",
		ONE,
		.handle = resolver_file,
		FIELD(struct config, resolver.root_hints),
		.fallback_note = "a built-in list",
		.meaning = "The servers of the root, for `resolver recursive`.",
		.example = "resolver recursive { root_hints /usr/share/dns/root.hints }\n",
		.since = "0.1",
	},
	{
		.name = "hosts",
		.in = BLOCK_RESOLVER,
		.arguments = "FILE|none",
		ONE,
		.handle = resolver_hosts,
		.fallback_note = "`/etc/hosts` for `system`, else `none`",
		.meaning = "A file of addresses and names that is looked into before the DNS is "
			   "asked.",
		.detail = "Lines as in `/etc/hosts`.",
		.example = "resolver system { hosts none }\n",
		.since = "0.1",
	},
	{
		.name = "timeout",
		.in = BLOCK_RESOLVER,
		.arguments = "TIME",
		ONE,
		.value = VALUE_DURATION,
		FIELD(struct config, resolver.timeout_ns),
		.min = 1 * SECOND,
		.max = 2 * MINUTE,
		.fallback = "10s",
		.meaning = "How long one answer may take; then the DNS has failed for now, and "
			   "mail waits.",
		.example = "resolver system { timeout 5s }\n",
		.since = "0.1",
	},
	{
		.name = "cache",
		.in = BLOCK_RESOLVER,
		.arguments = "SIZE",
		ONE,
		.value = VALUE_SIZE,
		FIELD(struct config, resolver.cache_max),
		.min = 1 * MIB,
		.max = 16 * GIB,
		.fallback = "32M",
		.meaning = "How much memory answers are kept in.",
		.example = "resolver recursive { cache 256M }\n",
		.since = "0.1",
	},
