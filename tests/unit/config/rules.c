/* config: errors and warnings of tables and rules, with their exact places and suggestions. */
#include "unit/config/text.h"

static const struct text_case cases[] = {
	{
		"table, entries",
		"version 1\n"
		"table t {\n"
		"\ta@b.example example.org .example.org 10.0.0.0/8 2001:db8::/32 192.0.2.1 "
		"[192.0.2.1]\n"
		"\t10.0.0.1/8 10.0.0.0/33 300.1.2.3 a..b . * *.example.org @example.org a@ "
		"[1.2.3] 1.2.3 example.org. \"\"\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:4:2: error: \"10.0.0.1/8\" is not a network: the prefix length is wrong, "
		"or bits behind it are set (10.1.0.0/16, not 10.1.2.3/16)\n"
		"t.conf:4:13: error: \"10.0.0.0/33\" is not a network: the prefix length is "
		"wrong, or bits behind it are set (10.1.0.0/16, not 10.1.2.3/16)\n"
		"t.conf:4:25: error: \"300.1.2.3\" is neither an address, a domain nor a "
		"network\n"
		"t.conf:4:35: error: \"a..b\" is neither an address, a domain nor a network\n"
		"t.conf:4:40: error: \".\" would mean every domain; a table cannot say that, a "
		"rule says it with the word any\n"
		"t.conf:4:42: error: \"*\" would mean every domain; a table cannot say that, a "
		"rule says it with the word any\n"
		"t.conf:4:44: error: \"*.example.org\" has a wildcard; every name below "
		"example.org is written .example.org\n"
		"t.conf:4:58: error: \"@example.org\" is not an address; a domain is written "
		"without the @\n"
		"t.conf:4:71: error: \"a@\" is not an address such as user@example.org\n"
		"t.conf:4:74: error: \"[1.2.3]\" is not an address literal such as [192.0.2.1]; "
		"networks have no brackets\n"
		"t.conf:4:82: error: \"1.2.3\" is neither an address, a domain nor a network\n"
		"t.conf:4:88: error: \"example.org.\" is neither an address, a domain nor a "
		"network\n"
		"t.conf:4:101: error: \"\" is empty\n",
	},
	{
		"table, statements in it",
		"version 1\n"
		"table t {\n"
		"\tx {\n"
		"\t\ty\n"
		"\t}\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:3:2: error: a table holds entries; no block can stand in it\n",
	},
	{
		"table, no block",
		"version 1\n"
		"table t\n"
		"table u fiel x\n"
		"table v file\n"
		"table w file x y\n"
		"table x file y {\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:8: error: expected a block, or the word file and the name of one\n"
		"t.conf:3:9: error: expected a block, or the word file and the name of one\n"
		"t.conf:4:13: error: expected a block, or the word file and the name of one\n"
		"t.conf:5:16: error: \"y\" is too much here; expected: table NAME { ... } | NAME "
		"file FILE\n"
		"t.conf:6:15: error: expected a block, or the word file and the name of one\n",
	},
	{
		"table twice",
		"version 1\n"
		"table t { a.example }\n"
		"table t { b.example }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:3:7: error: table t is already defined\n",
	},
	{
		"table name",
		"version 1\n"
		"table a,b { a.example }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:7: error: \"a,b\" cannot name a table; expected letters, digits, -, _ "
		"or .\n",
	},
	{
		"files cannot be read here",
		"version 1\n"
		"include x.conf\n"
		"table t file x\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: x.conf: other files cannot be read here\n"
		"t.conf:3:14: error: x: other files cannot be read here\n",
	},
	{
		"rule, first words",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept\n"
		"accept form local to any via r\n"
		"accept from\n"
		"accept from anny to any via r\n"
		"accept from local\n"
		"accept from local any via r\n"
		"accept from local 10.0.0.0/8 to any via r\n",
		"t.conf:4:7: error: the rule is not finished; expected from\n"
		"t.conf:5:8: error: unexpected \"form\"; expected from; did you mean \"from\"?\n"
		"t.conf:6:12: error: the rule is not finished; expected one of any, local, "
		"login, certificate, pop, table, networks\n"
		"t.conf:7:13: error: unexpected \"anny\"; expected one of any, local, login, "
		"certificate, pop, table, networks; did you mean \"any\"?\n"
		"t.conf:8:18: error: the rule is not finished; expected one of sender, to\n"
		"t.conf:9:19: error: unexpected \"any\"; expected one of sender, to\n"
		"t.conf:10:19: error: unexpected \"10.0.0.0/8\"; expected one of sender, to\n",
	},
	{
		"rule, networks",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from 10.0.0.1/8 to any via r\n"
		"accept from 10.0.0.0/8 example.org to any via r\n"
		"accept from example.org to any via r\n"
		"accept from 10.0.0.0/8 any to any via r\n",
		"t.conf:4:13: error: \"10.0.0.1/8\" is not a network: the prefix length is "
		"wrong, or bits behind it are set (10.1.0.0/16, not 10.1.2.3/16)\n"
		"t.conf:5:24: error: \"example.org\" is not a network such as 10.0.0.0/8\n"
		"t.conf:6:13: error: unexpected \"example.org\"; expected one of any, local, "
		"login, certificate, pop, table, networks\n"
		"t.conf:7:24: error: \"any\" is not a network such as 10.0.0.0/8\n",
	},
	{
		"rule, sender",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from local sender to any via r\n"
		"accept from local sender 10.0.0.0/8 to any via r\n"
		"accept from local sender table to any via r\n"
		"accept from local sender table t to any via r\n",
		"t.conf:4:26: error: unexpected \"to\"; expected an address or a domain\n"
		"t.conf:5:26: error: \"10.0.0.0/8\" is not an address or a domain\n"
		"t.conf:6:32: error: unexpected \"to\"; expected the name of a table\n"
		"t.conf:7:32: error: unknown table \"t\"\n",
	},
	{
		"rule, recipient",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from local to\n"
		"accept from local to all via r\n"
		"accept from local to domain via r\n"
		"accept from local to domain a@b.example via r\n"
		"accept from local to address example.org via r\n"
		"accept from local to table via r\n"
		"accept from local to domain table x via r\n"
		"accept from local to domain . via r\n",
		"t.conf:4:21: error: the rule is not finished; expected one of any, domain, "
		"address, table\n"
		"t.conf:5:22: error: unexpected \"all\"; expected one of any, domain, address, "
		"table; did you mean \"any\"?\n"
		"t.conf:6:29: error: unexpected \"via\"; expected a domain\n"
		"t.conf:7:29: error: \"a@b.example\" is not a domain\n"
		"t.conf:8:30: error: \"example.org\" is not an address\n"
		"t.conf:9:28: error: unexpected \"via\"; expected the name of a table\n"
		"t.conf:11:29: error: \".\" would mean every domain; a table cannot say that, a "
		"rule says it with the word any\n"
		"t.conf:10:35: error: unknown table \"x\"\n",
	},
	{
		"rule, route",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from local to any\n"
		"accept from local to any via\n"
		"accept from local to any via q\n"
		"accept from local to any via rr\n"
		"accept from local to any via http://x\n"
		"accept from local to any via smtp://x:0\n"
		"accept from local to any via r r\n"
		"accept from local to any via r dangerously-open x\n",
		"t.conf:4:25: error: the rule is not finished; expected via\n"
		"t.conf:5:29: error: the rule is not finished; expected the name of a route\n"
		"t.conf:10:32: error: unexpected \"r\"; expected the end of the line\n"
		"t.conf:11:49: error: unexpected \"x\"; expected the end of the line\n"
		"t.conf:6:30: error: unknown route \"q\"; expected one of r, mx\n"
		"t.conf:7:30: error: unknown route \"rr\"; expected one of r, mx\n"
		"t.conf:8:30: error: \"http://x\" is not a route; expected one such as "
		"smtp://mail.example.net:25 or lmtp://10.0.0.5:24\n"
		"t.conf:9:30: error: \"smtp://x:0\" is not a route; expected one such as "
		"smtp://mail.example.net:25 or lmtp://10.0.0.5:24\n",
	},
	{
		"reject",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from local to any via r\n"
		"reject from any to any no\n"
		"reject from any to any \"no\" more\n"
		"reject from any to any via r\n"
		"reject from any to any \"gr\303\274\303\237e\"\n"
		"reject from any to any \"\"\n"
		"reject from any to domain\n",
		"t.conf:5:24: error: unexpected \"no\"; expected the end of the line, or a text "
		"in quotes\n"
		"t.conf:6:29: error: unexpected \"more\"; expected the end of the line\n"
		"t.conf:7:24: error: unexpected \"via\"; expected the end of the line, or a text "
		"in quotes\n"
		"t.conf:8:24: error: the text is ASCII, of 1 to 400 octets\n"
		"t.conf:9:24: error: the text is ASCII, of 1 to 400 octets\n"
		"t.conf:10:26: error: the rule is not finished; expected a domain\n",
	},
	{
		"rule with a block",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from local to any via r {\n"
		"}\n",
		"t.conf:4:1: error: the block of this rule says nothing\n",
	},
	{
		"reject with a block",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from local to any via r\n"
		"reject from any to any {\n"
		"\ttag x\n"
		"}\n",
		"t.conf:5:23: error: reject has no block; expected the end of the line\n",
	},
	{
		"rule with a block, faults in it",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from local to any via r {\n"
		"\tretry 1m 2x\n"
		"\tgive_up_after 0s\n"
		"\twarn_after soon\n"
		"\tsource nobody\n"
		"\ttag a/b\n"
		"\tidle 5s\n"
		"}\n",
		"t.conf:5:11: error: \"2x\" is not what retry takes; expected a time such as "
		"30s, 5m, 4h, 5d or 2w\n"
		"t.conf:6:16: error: give_up_after must be between 1s and 365d\n"
		"t.conf:7:13: error: \"soon\" is not what warn_after takes; expected a time such "
		"as 30s, 5m, 4h, 5d or 2w, or the word never\n"
		"t.conf:9:6: error: \"a/b\" cannot be a tag; expected letters, digits, -, _ or "
		".\n"
		"t.conf:10:2: error: unknown statement in the block of a rule: \"idle\"; "
		"expected one of retry, give_up_after, warn_after, source, login, "
		"tag\n"
		"t.conf:8:9: error: unknown source \"nobody\"\n",
	},
	{
		"keyword as a domain",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from local to domain \"via\" to.example via r\n",
		"",
	},
	{
		"no accepting rule",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"reject from any to any\n",
		"t.conf: warning: no rule accepts mail: everything is refused\n",
	},
	{
		"no listen",
		"version 1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf: warning: no listen statement: nothing is received over the network\n",
	},
	{
		"never reached",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from local to any via r\n"
		"reject from any to any\n"
		"accept from local to domain a.example via r\n"
		"reject from any to domain b.example\n",
		"t.conf:6:1: warning: this rule is never reached: "
		"the one in t.conf:4 decides about all "
		"of its mail; put it before that one, or take it out\n"
		"t.conf:7:1: warning: this rule is never reached: "
		"the one in t.conf:5 decides about all "
		"of its mail; put it before that one, or take it out\n",
	},
	{
		"never reached, by what a rule lists",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"users file u\n"
		"postmaster a@b.example via r\n"
		"accept from 10.0.0.0/8 192.168.0.0/16 to any via r\n"
		"reject from 10.1.0.0/16 192.168.7.7 to any\n"
		"accept from any to domain a.example .b.example via r\n"
		"reject from any to address bob@a.example\n"
		"reject from 172.16.0.0/12 sender x.example to domain .c.b.example\n"
		"accept from login to any via r\n"
		"accept from login ann to any via r\n",
		"t.conf:7:1: warning: this rule is never reached: "
		"the one in t.conf:6 decides about all "
		"of its mail; put it before that one, or take it out\n"
		"t.conf:9:1: warning: this rule is never reached: "
		"the one in t.conf:8 decides about all "
		"of its mail; put it before that one, or take it out\n"
		"t.conf:10:1: warning: this rule is never reached: "
		"the one in t.conf:8 decides about all "
		"of its mail; put it before that one, or take it out\n"
		"t.conf:12:1: warning: this rule is never reached: "
		"the one in t.conf:11 decides about all "
		"of its mail; put it before that one, or take it out\n",
	},
	{
		"reached: each has something that those before it have not",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"postmaster a@b.example via r\n"
		"accept from 10.1.0.0/16 to any via r\n"
		"reject from 10.0.0.0/8 10.1.0.0/16 to any\n"
		"accept from any to domain .b.example via r\n"
		"accept from any to domain b.example via r\n"
		"reject from any sender x.example to domain c.example\n"
		"accept from any to domain c.example via r\n"
		"table t { d.example }\n"
		"accept from any to domain table t via r\n"
		"reject from any to domain d.example\n"
		"accept from local to any via r\n",
		"",
	},
	{
		"a route that no rule names",
		"version 1\n"
		"route r { host a.example }\n"
		"route p { host b.example }\n"
		"route old { host c.example }\n"
		"listen 127.0.0.1\n"
		"postmaster a@b.example via p\n"
		"accept from local to any via r { give_up_after 1d }\n",
		"t.conf:4:1: warning: no rule sends mail by route old: name it in one, as in: "
		"accept from local to any via old\n",
	},
	{
		"tables that hold nothing for their rule",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"table nets { 192.0.2.0/24 }\n"
		"table names { a@example.org }\n"
		"accept from table names to any via r\n"
		"accept from local sender table nets to any via r\n"
		"accept from local to table nets via r\n"
		"accept from local to domain table names via r\n",
		"t.conf:6:19: warning: table names holds no networks: the rule never fits\n"
		"t.conf:7:32: warning: table nets holds no addresses or domains: the rule never "
		"fits\n"
		"t.conf:8:28: warning: table nets holds no addresses or domains: the rule never "
		"fits\n"
		"t.conf:9:35: warning: table names holds no domains: the rule never fits\n",
	},
	{
		"no postmaster",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from any to domain example.org via r\n",
		"t.conf: warning: mail is taken from anyone, but no postmaster is named (RFC "
		"5321 4.5.1)\n",
	},
	{
		"top-level domain",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"postmaster a@b.example via r\n"
		"table t { .com }\n"
		"accept from any to domain .org via r\n"
		"accept from any to domain table t via r\n"
		"accept from local to domain .net via r\n",
		"t.conf:6:1: warning: this rule relays for strangers to every name below "
		"\".org\"\n"
		"t.conf:7:1: warning: this rule relays for strangers to every name below "
		"\".com\"\n",
	},
	{
		"several in one run",
		"version 1\n"
		"hostnme x\n"
		"listen 1.2.3\n"
		"route r { host a.example; idle 1x }\n"
		"accept from any to any via q\n"
		"queue { warn_after 1 }\n",
		"t.conf:2:1: error: unknown statement \"hostnme\"; expected one of version, "
		"include, hostname, state, user, workers, listen, route, source, pool, table, "
		"accept, reject, limit, provider, providers, queue, message, resolver, self, "
		"postmaster, log, tls, users, secrets, logins, pop, clients, dane, mta_sts, "
		"tls_reports; did you mean \"hostname\"?\n"
		"t.conf:3:8: error: \"1.2.3\" is not an address to listen on; expected one such "
		"as 0.0.0.0:25 or [::1]:25\n"
		"t.conf:4:32: error: \"1x\" is not what idle takes; expected a time such as 30s, "
		"5m, 4h, 5d or 2w, or the word none\n"
		"t.conf:6:20: error: \"1\" is not what warn_after takes; expected a time such as "
		"30s, 5m, 4h, 5d or 2w, or the word never\n"
		"t.conf:5:28: error: unknown route \"q\"; expected one of r, mx\n"
		"t.conf:5:1: error: open relay: this rule takes mail from anyone to anywhere; "
		"bind it to local or to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n"
		"t.conf: warning: mail is taken from anyone, but no postmaster is named (RFC "
		"5321 4.5.1)\n",
	},
};

static void test_rules(void **state)
{
	(void)state;
	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
