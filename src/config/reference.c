/*
 * reference - writes docs/reference/configuration.md: prose from here, statements from the table
 * of settings.
 *
 * A statement's section is its row, so what the page says of defaults and bounds is what the
 * parser does. Code that is fenced as `relevo` is complete enough to load, and a test loads all
 * of it; `text` is anything else.
 */
#include "config/load.h"

static const char introduction[] =
"# Configuration\n"
"\n"
"Relevo is told what to do by one text file, `/etc/relevo/relevo.conf` unless `-c FILE` says\n"
"otherwise. This page is made from the table of settings that the program itself reads its\n"
"files by (`relevo reference settings`).\n"
"\n"
"The smallest useful relay: the machines of the office send through a provider.\n"
"\n"
"```relevo\n"
"version 1\n"
"hostname relay.office.example\n"
"\n"
"listen 0.0.0.0:25\n"
"\n"
"route provider {\n"
"\thost smtp.provider.example:587\n"
"\thost smtp2.provider.example:587 { backup }\n"
"}\n"
"\n"
"accept from 10.0.0.0/8 192.168.0.0/16 to any via provider\n"
"accept from local to any via provider\n"
"```\n"
"\n"
"`relevo check -c FILE` reads a configuration without using it and reports everything that is\n"
"wrong with it in one run;\n"
"`relevo explain -c FILE --client 10.1.2.3 --from a@office.example --to b@example.org` says\n"
"which rule decides about a message, and where it would go.\n"
"\n";

static const char language[] =
"## The language\n"
"\n"
"A configuration is a list of statements, one on a line.\n"
"\n"
"* A **word** is bare (`relay.example.net`) or quoted (`\"two words\"`). A bare word has no\n"
"  space, quote, brace or semicolon. In a quoted word, `\\\"` is a quote and `\\\\` a\n"
"  backslash; it ends on its line. A quoted word is never a keyword.\n"
"* `#` starts a **comment** where a word could start; inside a word it is a letter like any\n"
"  other.\n"
"* A **statement** is words up to the end of the line.\n"
"* Some statements have a **block** of statements of their own, in braces. The `{` is the\n"
"  last thing on the statement's line, or the whole block is on that line. Inside a block,\n"
"  `;` ends a statement as the end of the line does.\n"
"* The block of a `table` holds **entries** instead, one or more on a line.\n"
"\n"
"```relevo\n"
"route provider {                 # a block on lines of its own\n"
"\thost smtp.provider.example:587\n"
"\tidle 10s; connections 5  # two statements on one line\n"
"}\n"
"queue { warn_after 4h; give_up_after 5d }\n"
"```\n"
"\n"
"| kind | how it is written |\n"
"| --- | --- |\n"
"| COUNT | `1000` |\n"
"| SIZE | octets, or with `K`, `M`, `G`: powers of 1024, so `64K` is 65,536 |\n"
"| TIME | a number and a unit: `s` seconds, `m` minutes, `h` hours, `d` days, `w` weeks; `90s`, "
"`4h` |\n"
"| RATE | an amount per `s`, `min`, `h` or `day`: `100/s`, `10K/min` |\n"
"| ADDRESS | `10.0.0.5`, `2001:db8::5`, with a port `10.0.0.5:25`, `[2001:db8::5]:25` |\n"
"| NETWORK | `10.0.0.0/8`, `2001:db8::/32`, or one address; no bits may be set behind the prefix "
"|\n"
"| FILE, FOLDER | a path; one that does not begin with `/` starts at the folder of the file that "
"names it |\n"
"\n"
"The order of statements matters in two places only: `version` comes first, and among rules\n"
"the first that fits decides. A name may be used above the line that defines it.\n"
"\n"
"The limits: 16 MiB for a file (64 MiB for a file of table entries), 1000 words in a\n"
"statement, 1000 octets in a word, 1000 included files. Text is UTF-8.\n"
"\n"
"### Messages\n"
"\n"
"Errors and warnings name the file, the line and the column (in octets, from 1), what was\n"
"expected there, and often what was meant. One error makes the whole configuration unusable;\n"
"a warning does not.\n"
"\n"
"```text\n"
"relevo.conf:7:2: error: unknown statement in a route block: \"conections\"; expected one of "
"host, mx, port, ...; did you mean \"connections\"?\n"
"```\n"
"\n";

static const char rules[] =
"## Rules\n"
"\n"
"Rules say who may send mail to whom through this relay. For every recipient they are read\n"
"from top to bottom, and the first one that fits decides. Behind the last rule everything is\n"
"refused with `550 5.7.1`: a relay without rules relays nothing.\n"
"\n"
"```text\n"
"accept from WHO [sender WHOSE] to WHOM via ROUTE [dangerously-open] [{ ... }]\n"
"reject from WHO [sender WHOSE] to WHOM [\"TEXT\"]\n"
"```\n"
"\n"
"**WHO** is the client: by its address, or by what it has shown. What it calls itself in HELO\n"
"can only make it worse; what name its address has in the DNS does not count.\n"
"\n"
"| WHO | fits |\n"
"| --- | --- |\n"
"| `any` | everyone |\n"
"| `local` | this machine: 127.0.0.0/8, ::1, and what comes in through the control socket |\n"
"| `NETWORK ...` | clients in one of these networks |\n"
"| `table NAME` | clients in one of the networks of a table |\n"
"| `login` | clients that have [logged in](#logging-in-here) |\n"
"| `login NAME ...`, `login table NAME` | those of these names, without case |\n"
"| `certificate` | clients whose [certificate](#certificates-of-clients) an authority of "
"`client_ca` vouches for |\n"
"| `certificate NAME ...`, `certificate table NAME` | those with these fingerprints, or with these "
"names in a certificate that is vouched for |\n"
"| `pop` | clients that have looked at their mail from the same address a while ago: see "
"[pop](#pop) |\n"
"| `helo NAME ...`, `helo table NAME` | `reject` only: what a client says in HELO; `.example.org` "
"is every name below |\n"
"\n"
"An IPv4 client that arrives over IPv6 (`::ffff:192.0.2.1`) is an IPv4 client.\n"
"\n"
"**WHOSE** narrows a rule to some senders: addresses, domains, `.domains` (every name below),\n"
"or `table NAME`. The empty sender of bounces is in none of them. Remember that everyone can\n"
"write any sender.\n"
"\n"
"**WHOM** is the recipient.\n"
"\n"
"| WHOM | fits |\n"
"| --- | --- |\n"
"| `any` | every recipient |\n"
"| `domain D ...` | recipients in these domains; `.example.org` means every name below "
"example.org, but not itself |\n"
"| `address A ...` | these recipients |\n"
"| `domain table NAME` | recipients in the domains of a table |\n"
"| `table NAME` | recipients who are in a table, by address or by domain |\n"
"\n"
"Addresses and domains are compared without case. `user%other.example@example.org` is an\n"
"address at example.org and nothing else: the relay looks for no second address inside the\n"
"first.\n"
"\n"
"**ROUTE** is the name of a `route` block; `mx`, which goes by the MX records of the recipient's\n"
"domain; or a server written out: `smtp://mail.example.net:25`, `lmtp://10.0.0.5`.\n"
"\n"
"A rule that accepts may end in a **block**. It changes the route for what this rule takes - how\n"
"often and how long it is tried, from which [source](#sources) - and gives it a tag. Rules that\n"
"say the same in their blocks are one to the queue; the log and the queue commands show such\n"
"mail under the name of its route and eight digits, as in `mx+5ad0b3c1`. When the rule has gone\n"
"or changed, mail that still waits goes by the route as it is.\n"
"\n"
"```relevo\n"
"accept from 10.1.0.0/16 to any via mx {\n"
"\tgive_up_after 6h\n"
"\tretry 30s 1m 2m 5m 15m 30m\n"
"\ttag codes\n"
"}\n"
"```\n"
"\n"
"A backup server for some domains, which also sends for its own people:\n"
"\n"
"```relevo\n"
"listen 0.0.0.0:25\n"
"listen [::]:25\n"
"\n"
"route branch {\n"
"\thost 10.0.0.5\n"
"\thost 10.0.0.6 { backup }\n"
"\tgive_up_after 14d\n"
"}\n"
"\n"
"table partners {\n"
"\texample.org .example.org\n"
"\texample.com\n"
"}\n"
"\n"
"postmaster admin@example.org via branch\n"
"\n"
"reject from any to address former@example.org \"this person has left\"\n"
"accept from any to domain table partners via branch\n"
"accept from 10.0.0.0/24 sender table partners to any via provider\n"
"reject from any to any \"we do not relay to there\"\n"
"```\n"
"\n"
"Mail for one domain into a mail store, for all others to a smarthost written out:\n"
"\n"
"```relevo\n"
"accept from local to domain example.net via lmtp://127.0.0.1:24\n"
"accept from local to any via smtp://smtp.provider.example:587\n"
"```\n"
"\n"
"`<postmaster>` without a domain is taken from this machine and from whomever a rule takes\n"
"any mail from; see [postmaster](#postmaster).\n"
"\n"
"### Open relays\n"
"\n"
"A relay that takes mail from strangers to anywhere is found by spammers within hours, and\n"
"its address is worthless for months. So a rule `to any` must be bound to clients that a\n"
"stranger cannot be:\n"
"\n"
"* `local`, `login`, `certificate` or `pop`, or\n"
"* networks that cover less than a /8 of IPv4 (16,777,216 addresses) and less than a /16 of\n"
"  IPv6; each rule for itself, and all such rules together, whether the networks stand in\n"
"  rules, tables or included files. Overlaps count once. Private networks (10.0.0.0/8,\n"
"  172.16.0.0/12, 192.168.0.0/16, fc00::/7, loopback and link-local) do not count: nobody\n"
"  comes from there but those inside.\n"
"\n"
"A `sender` does not bind a rule, because it can be forged. Everything else is an error:\n"
"\n"
"```text\n"
"relevo.conf:9:1: error: open relay: this rule takes mail from anyone to anywhere; bind it to "
"local or to networks ...\n"
"```\n"
"\n"
"Who really means it - for a test behind a firewall, say - ends the rule with\n"
"`dangerously-open`. It is then a warning, at every start and every check.\n"
"\n"
"```relevo\n"
"accept from any to any via provider dangerously-open\n"
"```\n"
"\n";

static const char tables[] =
"## Tables\n"
"\n"
"A table is a set that rules refer to by its name. Its entries stand in a block, or in a file\n"
"of their own, with the same words and comments and one or more entries on a line. A lookup\n"
"takes the same time for ten entries and for a million.\n"
"\n"
"| entry | is |\n"
"| --- | --- |\n"
"| `user@example.org` | an address; a local part in quotes makes a quoted word: `\"\\\"two "
"words\\\"@example.org\"` |\n"
"| `example.org` | a domain: everyone in it, but not in the names below it |\n"
"| `.example.org` | every name below it, but not itself |\n"
"| `[192.0.2.1]` | an address literal as a domain |\n"
"| `192.0.2.0/24`, `2001:db8::1` | a network, or the address of a client |\n"
"| `9f86d081...` | the fingerprint of a certificate: SHA-256, 64 hex digits, with colons between "
"the pairs or without |\n"
"| `\"john_doe\"` | in quotes: the name of a login that looks like none of the others |\n"
"\n"
"```relevo\n"
"table partners {\n"
"\texample.org .example.org\n"
"\tinfo@example.com            # one address of a domain\n"
"}\n"
"table offices {\n"
"\t192.0.2.0/26                # Utrecht\n"
"\t2001:db8:17::/48            # Porto\n"
"}\n"
"accept from table offices sender table partners to any via provider\n"
"```\n"
"\n"
"Where a table is used decides which of its entries count: networks behind `from`, names behind\n"
"`from login`, fingerprints and names behind `from certificate`, addresses and domains behind\n"
"`sender` and `to`, domains behind `to domain`. There is no entry for\n"
"\"all domains\"; that is the word `any` in a rule. An entry such as `.com` in a rule for\n"
"strangers draws a warning.\n"
"\n";

static const char delivery[] =
"## Delivery\n"
"\n"
"A **destination** is where mail waits and goes together: the hosts of a route; by MX, one "
"domain.\n"
"Each has its own queue, its own back-off and its own limits, so that a slow one holds back "
"nobody\n"
"else. Destinations whose mail is handled by one operator belong to a [provider](#providers).\n"
"\n"
"By MX the relay asks the DNS for the domain's mail exchangers, tries them in the order of their\n"
"preferences (in random order among equals), each at all its addresses, and falls back to the\n"
"domain's own address where it has no MX record (RFC 5321 5.1). A domain that says that it takes\n"
"no mail (a null MX, RFC 7505) bounces at once; a failure of the DNS never does: mail waits. The\n"
"relay does not deliver to itself: see [self](#self).\n"
"\n"
"### Sources\n"
"\n"
"A source is an address of this machine that mail is sent from, with the name that belongs to "
"it.\n"
"Without one the system chooses. A route, or the block of a rule, names a source or a pool; the\n"
"rule wins. Of a pool, each connection draws one by weight; one that a destination refuses rests\n"
"there while the others go on.\n"
"\n"
"```relevo\n"
"source out1 address 192.0.2.10 2001:db8::10 helo out1.example.net\n"
"source out2 address 192.0.2.11 2001:db8::11 helo out2.example.net\n"
"source fresh address 192.0.2.12 helo out3.example.net {\n"
"\twarm_up from 2026-03-01 50 100 200 400 800 1600 3200 6400 overflow proven\n"
"}\n"
"pool proven {\n"
"\tsource out1 weight 2\n"
"\tsource out2\n"
"}\n"
"pool bulk {\n"
"\tsource fresh\n"
"\tsource out2 weight 3\n"
"}\n"
"route mx { source proven }\n"
"accept from 10.2.0.0/16 to any via mx { source bulk }\n"
"```\n"
"\n"
"Providers judge an address by what it sent before. A new one begins with little and sends more\n"
"from day to day: that is its `warm_up` plan.\n"
"\n"
"### Limits\n"
"\n"
"```text\n"
"limit COUNT connections WHERE ...\n"
"limit COUNT messages per connection WHERE ...\n"
"limit RATE messages|recipients|bytes WHERE ... [evenly]\n"
"\n"
"limit COUNT connections WHOSE\n"
"limit RATE messages|recipients|bytes|handshakes WHOSE\n"
"```\n"
"\n"
"| what | counts |\n"
"| --- | --- |\n"
"| `connections` | connections that are open at once |\n"
"| `messages per connection` | messages before a new connection is opened |\n"
"| `messages` | transactions that were begun |\n"
"| `recipients` | recipients that were offered (RCPT commands) |\n"
"| `bytes` | octets of content that were sent; the amount may have `K`, `M` or `G` |\n"
"| `handshakes` | TLS handshakes of those who send to us, with STARTTLS or without |\n"
"\n"
"**WHERE** is one of these or several; several narrow each other, and all words behind `per`\n"
"together make the key.\n"
"\n"
"| WHERE | meaning |\n"
"| --- | --- |\n"
"| `per destination` | each destination has a count of its own |\n"
"| `per provider` | each provider has; a destination of no provider counts for itself |\n"
"| `per source` | each source has |\n"
"| `per route` | each route has |\n"
"| `to domain D ...`, `to domain table T` | only mail to these domains; `.example.org` means "
"every name below it |\n"
"| `to provider P ...` | only mail to these providers |\n"
"| `from source S ...` | only what these sources send |\n"
"| `via ROUTE ...` | only what goes by these routes, with or without a rule's block |\n"
"\n"
"Without `per`, everything that fits shares one count.\n"
"\n"
"**WHOSE** is about those who send to us. It stands alone: who is over such a limit is told to\n"
"come back later.\n"
"\n"
"| WHOSE | meaning |\n"
"| --- | --- |\n"
"| `per client` | each client's address has a count of its own; of IPv6, its /64 |\n"
"| `per client-network` | each /24 of IPv4 and each /48 of IPv6 has |\n"
"| `per login` | each login has, connections once it is known; not for handshakes |\n"
"\n"
"Clients of this machine are not counted. Two limits hold unless you write one of their kind:\n"
"each client may have a tenth of the `connections_max` of each listening address (at least 20, if\n"
"that is no more than half of them), and `limit 1000/min handshakes per client`. A balancer or a\n"
"firewall that hides its clients' addresses needs more, or `proxy` in the listen block. A\n"
"configuration may have 16 of these, as each is looked at for every command that it counts.\n"
"\n"
"```relevo\n"
"limit 20 connections per destination\n"
"limit 100/min messages to domain slow.example .slow.example\n"
"limit 5 connections per source to provider yahoo gmx\n"
"limit 1000/h recipients per provider source via mx\n"
"limit 20 connections per client\n"
"limit 120/min handshakes per client\n"
"limit 10000/day recipients per login\n"
"```\n"
"\n"
"A rate is exact: with `60/min`, no minute sees more than 60, wherever it begins. They may go all\n"
"at once; with `evenly` there is a second between one and the next. Where several limits fit, the\n"
"strictest holds. They are shared by all cores, and kept over a restart, and over a reload if the\n"
"limit is written as before. Waiting for one is no attempt: it neither counts as a failure nor\n"
"delays the next try. The settings `connections` and `messages` of routes and providers, and\n"
"`connections_max` of the queue, hold besides.\n"
"\n"
"### Providers\n"
"\n"
"A thousand domains may have their mail at one operator, who counts what comes from us over all "
"of\n"
"them. A `provider` groups them: by the names of their mail exchangers, or by domain. Its\n"
"`connections` and `messages` are for all of it together, and limits `per provider` and `to\n"
"provider` mean it.\n"
"\n"
"A list of large providers comes with the program, and is installed for reading as\n"
"`share/relevo/providers.conf`. A block of yours with the same name replaces the one of the list,\n"
"and `providers none` leaves the list out.\n"
"\n"
"What a server says often means more than its code. An `on` statement names replies and\n"
"what is done about them:\n"
"\n"
"| reaction | what happens |\n"
"| --- | --- |\n"
"| `slow` | fewer connections and longer gaps there, until it goes well again |\n"
"| `pause [TIME]` | nothing goes there from this source for that time |\n"
"| `other-source [TIME]` | this source rests there for that time; others of its pool take over |\n"
"| `bounce` | what was refused fails for good, even if the code says that it is temporary |\n"
"| `defer [TIME]` | what was refused is tried again, after that time or by the schedule, even if "
"the code says that it is permanent |\n"
"\n"
"```relevo\n"
"provider hoster {\n"
"\tmx .mail.hoster.example\n"
"\tconnections 5\n"
"\tmessages 50\n"
"\ton reply 421 then slow\n"
"\ton reply 450 matches \"too many messages from [0-9.]+\" then pause 20m\n"
"}\n"
"provider any {\n"
"\ton reply 421 then slow\n"
"\ton reply 4xx matches \"blocked using\" then other-source 1h\n"
"}\n"
"```\n"
"\n"
"A `provider any` of yours replaces the one of the list, with all its `on` statements. Patterns "
"are\n"
"matched within fixed bounds of work; one that needs more does not fit.\n"
"\n";

static const char reload[] =
"## Changing a running relay\n"
"\n"
"`relevo reload`, or SIGHUP, reads the configuration anew, with everything that it includes\n"
"and all tables. If it has an error, it is reported and the old configuration stays in force,\n"
"as a whole. If it is sound, it takes the place of the old one at once for all new sessions;\n"
"sessions under way finish with the configuration that they began with. Mail that waits keeps\n"
"the name of its route, and goes by what that route says now.\n"
"\n"
"Listening addresses can be added and removed by a reload. These statements take effect at\n"
"the next start only:\n";

static void add_paragraph(struct buf *out, const char *text)
{
	buf_add_str(out, str_of(text));
	buf_add_lit(out, "\n\n");
}

static void add_bounds(struct buf *out, const struct setting *row)
{
	if (row->value == VALUE_NONE || !row->max)
		return;
	buf_add_lit(out, "* Bounds: `");
	value_format(out, row->value, row->min);
	buf_add_lit(out, "` to `");
	value_format(out, row->value, row->max);
	buf_add_byte(out, '`');
	if (row->zero)
		buf_printf(out, ", or `%s`", row->zero);
	buf_add_byte(out, '\n');
}

static void add_example(struct buf *out, const char *example)
{
	buf_add_lit(out, "\n```relevo\n");
	buf_add_str(out, str_of(example));
	buf_add_lit(out, "```\n\n");
}

static void add_row(struct buf *out, const struct setting *row)
{
	buf_printf(out, "### %s\n\n`%s%s%s`%s\n\n", row->name, row->name,
		   *row->arguments ? " " : "", row->arguments,
		   row->repeats ? " - may stand more than once" : "");
	buf_add_str(out, str_of(row->meaning));
	if (row->detail)
		buf_printf(out, "\n%s", row->detail);
	if (row->at_start)
		buf_add_lit(out, "\nA change takes effect at the next start.");
	buf_add_lit(out, "\n\n");
	if (row->fallback)
		buf_printf(out, "* Default: `%s`\n", row->fallback);
	else if (row->fallback_note)
		buf_printf(out, "* Default: %s\n", row->fallback_note);
	add_bounds(out, row);
	buf_printf(out, "* Since: %s\n", row->since);
	add_example(out, row->example);
}

static void add_block(struct buf *out, enum block in, const char *title)
{
	buf_printf(out, "## %s\n\n| statement | meaning |\n| --- | --- |\n", title);
	for (unsigned i = 0; i < settings_n; i++)
		if (settings[i].in == in && !settings[i].is_later)
			buf_printf(out, "| `%s` | %s |\n", settings[i].name, settings[i].meaning);
	buf_add_byte(out, '\n');
	for (unsigned i = 0; i < settings_n; i++)
		if (settings[i].in == in && !settings[i].is_later)
			add_row(out, &settings[i]);
}

static void add_at_start(struct buf *out)
{
	const char *before = " ";

	for (unsigned i = 0; i < settings_n; i++) {
		if (!settings[i].at_start)
			continue;
		buf_printf(out, "%s`%s`", before, settings[i].name);
		before = ", ";
	}
	buf_add_lit(out, ".\n");
}

void config_reference(struct buf *out)
{
	static const struct {
		enum block in;
		const char *title;
	} blocks[] = {
		{ BLOCK_TOP, "Statements" },
		{ BLOCK_LISTEN, "Statements in a listen block" },
		{ BLOCK_CLIENTS, "Statements in the clients block" },
		{ BLOCK_TLS, "Statements in the tls block" },
		{ BLOCK_IDENTITY, "Statements in an identity block" },
		{ BLOCK_LOGINS, "Statements in the logins block" },
		{ BLOCK_POP, "Statements in a pop block" },
		{ BLOCK_ROUTE, "Statements in a route block" },
		{ BLOCK_HOST, "Statements in a host block" },
		{ BLOCK_RULE, "Statements in the block of a rule" },
		{ BLOCK_SOURCE, "Statements in a source block" },
		{ BLOCK_POOL, "Statements in a pool" },
		{ BLOCK_PROVIDER, "Statements in a provider block" },
		{ BLOCK_QUEUE, "Statements in the queue block" },
		{ BLOCK_MESSAGE, "Statements in the message block" },
		{ BLOCK_RESOLVER, "Statements in the resolver block" },
		{ BLOCK_REPORTS, "Statements in the tls_reports block" },
		{ BLOCK_LOG, "Statements in the log block" },
	};

	buf_add_str(out, str_of(introduction));
	buf_add_str(out, str_of(language));
	buf_add_str(out, str_of(rules));
	buf_add_str(out, str_of(tables));
	buf_add_str(out, str_of(delivery));
	buf_add_str(out, str_of(reference_doors));
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		add_block(out, blocks[i].in, blocks[i].title);
	add_paragraph(out, "## Later versions\n\nSome statements that are known, but not in this "
			   "version yet, get an "
			   "error that says so, so that\na configuration written for a later "
			   "version is never half "
			   "understood.");
	buf_add_str(out, str_of(reload));
	add_at_start(out);
}
