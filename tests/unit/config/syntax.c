/* config: errors of words, statements and blocks, with their exact places and suggestions. */
#include "unit/config/text.h"

static const struct text_case cases[] = {
	{
		"empty file",
		"",
		"t.conf:1:1: error: the first statement must be: version 1\n",
	},
	{
		"no version",
		"hostname relay.example.net\n",
		"t.conf:1:1: error: the first statement must be: version 1\n",
	},
	{
		"version late",
		"# first\n"
		"listen 127.0.0.1\n"
		"version 1\n",
		"t.conf:2:1: error: the first statement must be: version 1\n"
		"t.conf:3:1: error: version stands once, as the first statement of the main "
		"file\n",
	},
	{
		"version 2",
		"version 2\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:1:9: error: unknown version \"2\"; expected 1\n",
	},
	{
		"version twice",
		"version 1\n"
		"version 1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: version was already set in t.conf:1\n",
	},
	{
		"version without number",
		"version\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:1:8: error: version is not finished; expected: version 1\n",
	},
	{
		"unknown statement",
		"version 1\n"
		"hostnme relay.example.net\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: unknown statement \"hostnme\"; expected one of version, "
		"include, hostname, state, user, workers, listen, route, source, pool, table, "
		"accept, reject, limit, provider, providers, queue, message, resolver, self, "
		"postmaster, log, tls, users, secrets, logins, pop, clients, dane, mta_sts, "
		"tls_reports; did you mean \"hostname\"?\n",
	},
	{
		"unknown statement, nothing near",
		"version 1\n"
		"frobnicate yes\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: unknown statement \"frobnicate\"; expected one of version, "
		"include, hostname, state, user, workers, listen, route, source, pool, table, "
		"accept, reject, limit, provider, providers, queue, message, resolver, self, "
		"postmaster, log, tls, users, secrets, logins, pop, clients, dane, mta_sts, "
		"tls_reports\n",
	},
	{
		"unknown with block: its content is skipped",
		"version 1\n"
		"lisen 127.0.0.1 {\n"
		"\tfoo bar {\n"
		"\t\tbaz\n"
		"\t}\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: unknown statement \"lisen\"; expected one of version, "
		"include, hostname, state, user, workers, listen, route, source, pool, table, "
		"accept, reject, limit, provider, providers, queue, message, resolver, self, "
		"postmaster, log, tls, users, secrets, logins, pop, clients, dane, mta_sts, "
		"tls_reports; did you mean \"listen\"?\n",
	},
	{
		"quoted statement",
		"version 1\n"
		"\"listen\" 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: unknown statement \"listen\"; expected one of version, "
		"include, hostname, state, user, workers, listen, route, source, pool, table, "
		"accept, reject, limit, provider, providers, queue, message, resolver, self, "
		"postmaster, log, tls, users, secrets, logins, pop, clients, dane, mta_sts, "
		"tls_reports; did you mean \"listen\"?\n",
	},
	{
		"unknown in route",
		"version 1\n"
		"route r {\n"
		"\thost a.example\n"
		"\tconections 5\n"
		"}\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:4:2: error: unknown statement in a route block: \"conections\"; expected "
		"one of host, mx, port, protocol, families, source, retry, warn_after, "
		"give_up_after, connect_timeout, timeout, rate_min, idle, connections, messages, "
		"tls, client_identity, login, etrn, quota, recipients, slow_start; did you "
		"mean \"connections\"?\n",
	},
	{
		"unknown in listen",
		"version 1\n"
		"listen 127.0.0.1 { banna \"x\" }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:20: error: unknown statement in a listen block: \"banna\"; expected "
		"one of timeout, data_timeout, session_max, rate_min, errors_max, "
		"idle_commands_max, "
		"connections_max, banner, tls, client_certificates, submission, login, proxy, "
		"xclient, dns_list, dns_list_reject, reverse_name, helo_check, greylist, "
		"early_talker, greet_delay, tarpit, null_one_recipient; did you mean "
		"\"banner\"?\n",
	},
	{
		"unknown in host",
		"version 1\n"
		"route r { host a.example { weigth 3 } }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:28: error: unknown statement in a host block: \"weigth\"; expected one "
		"of backup, weight; did you mean \"weight\"?\n",
	},
	{
		"unknown in queue",
		"version 1\n"
		"queue {\n"
		"\tretries 5m\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:3:2: error: unknown statement in the queue block: \"retries\"; expected "
		"one of retry, warn_after, give_up_after, bounce_give_up_after, size_max, "
		"free_min, memory, recipients_max, notices_max, connections_max; "
		"did you mean \"retry\"?\n",
	},
	{
		"later statements",
		"version 1\n"
		"chain x\n"
		"route r { host a.example; limit 1.2.3.4; resolver x }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: this version does not have \"chain\" yet\n"
		"t.conf:3:27: error: this version does not have \"limit\" in a route block yet\n"
		"t.conf:3:42: error: this version does not have \"resolver\" in a route block "
		"yet\n",
	},
	{
		"later in rules",
		"version 1\n"
		"route r { host a.example }\n"
		"listen 127.0.0.1\n"
		"accept from local to any through c via r\n",
		"t.conf:4:26: error: this version does not have \"through\" in rules yet\n",
	},
	{
		"unfinished quote",
		"version 1\n"
		"listen \"127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:18: error: the quoted word does not end on its line; a \" is missing\n",
	},
	{
		"bad escape",
		"version 1\n"
		"listen 127.0.0.1 { banner \"a\\n\" }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:30: error: inside quotes only \\\" and \\\\ can follow a backslash\n",
	},
	{
		"quote in bare word",
		"version 1\n"
		"listen 127.0\"0\"\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:13: error: a quote can stand only at the start of a word; write \\\" "
		"inside a quoted word\n",
	},
	{
		"no space behind quote",
		"version 1\n"
		"listen \"127.0.0.1\"x\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:19: error: a space is missing behind the quoted word\n",
	},
	{
		"control byte",
		"version 1\n"
		"listen 127.0.0.1\001\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:17: error: a control character (octet 1) cannot stand here\n",
	},
	{
		"not UTF-8",
		"version 1\n"
		"hostname \377\376.example\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:10: error: this word is not UTF-8\n",
	},
	{
		"lone CR",
		"version 1\n"
		"listen 127.0.0.1\r"
		"x\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:17: error: a control character (octet 13) cannot stand here\n",
	},
	{
		"CRLF is fine",
		"version 1\n"
		"hostname relay.example.net\r\n"
		"route r { host a.example }\r\n"
		"accept from local to any via r\r\n"
		"listen 127.0.0.1\r\n",
		"",
	},
	{
		"comment signs inside words",
		"version 1\n"
		"hostname relay.example.net # comment\n"
		"# comment\n"
		"route a#b { host a.example }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:4:7: error: \"a#b\" cannot name a route; expected letters, digits, -, _ "
		"or .\n",
	},
	{
		"semicolon at the top",
		"version 1\n"
		"hostname relay.example.net; user relevo\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:27: error: a ; separates statements only inside a block; expected a "
		"new line\n",
	},
	{
		"brace without statement",
		"version 1\n"
		"{\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: a { stands at the end of its statement's line\n",
	},
	{
		"brace on the next line",
		"version 1\n"
		"route r\n"
		"{\n"
		"\thost a.example\n"
		"}\n"
		"listen 127.0.0.1\n",
		"t.conf:2:8: error: route needs a block; expected { at the end of the line\n"
		"t.conf:3:1: error: a { stands at the end of its statement's line\n",
	},
	{
		"close without open",
		"version 1\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: there is no open block for this } to close\n",
	},
	{
		"block not closed",
		"version 1\n"
		"listen 127.0.0.1\n"
		"accept from local to any via r\n"
		"route r {\n"
		"\thost a.example\n",
		"t.conf:4:9: error: this block is not closed: expected } before the end of the "
		"file\n",
	},
	{
		"two blocks not closed",
		"version 1\n"
		"listen 127.0.0.1\n"
		"accept from local to any via r\n"
		"route r {\n"
		"\thost a.example {\n",
		"t.conf:5:17: error: this block is not closed: expected } before the end of the "
		"file\n"
		"t.conf:4:9: error: this block is not closed: expected } before the end of the "
		"file\n",
	},
	{
		"one-line block not ended",
		"version 1\n"
		"queue { warn_after 4h\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:7: error: this block begins on the line of its { and must end there: "
		"expected } before the end of the line, or a new line behind the {\n",
	},
	{
		"comment eats the brace",
		"version 1\n"
		"queue { warn_after 4h # }\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:7: error: this block begins on the line of its { and must end there: "
		"expected } before the end of the line, or a new line behind the {\n",
	},
	{
		"words behind a block",
		"version 1\n"
		"queue { warn_after 4h } message\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:25: error: behind a } the line ends; expected a new line\n",
	},
	{
		"nested too deep",
		"version 1\n"
		"route r { x { x { x { x { x { x { x { x { \n",
		"t.conf:2:11: error: unknown statement in a route block: \"x\"; expected one of "
		"host, mx, port, protocol, families, source, retry, warn_after, give_up_after, "
		"connect_timeout, timeout, rate_min, idle, connections, messages, tls, "
		"client_identity, login, etrn, quota, recipients, slow_start; did you mean "
		"\"mx\"?\n"
		"t.conf:2:41: error: blocks are nested more than 8 deep; the rest of the file "
		"was not read\n"
		"t.conf:2:1: error: route r has no host\n",
	},
	{
		"block where none may be",
		"version 1\n"
		"hostname relay.example.net {\n"
		"\tx\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:27: error: hostname has no block; expected the end of the line\n",
	},
	{
		"block is missing",
		"version 1\n"
		"queue\n"
		"route r\n"
		"listen 127.0.0.1\n"
		"accept from local to any via r\n",
		"t.conf:2:6: error: queue needs a block; expected { at the end of the line\n"
		"t.conf:3:8: error: route needs a block; expected { at the end of the line\n",
	},
	{
		"words before a block",
		"version 1\n"
		"queue now {\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:7: error: \"now\" is too much here; expected: queue { ... }\n",
	},
	{
		"too many words",
		"version 1\n"
		"hostname a.example b.example\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:20: error: \"b.example\" is too much here; expected: hostname NAME\n",
	},
	{
		"too few words",
		"version 1\n"
		"hostname\n"
		"listen\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:9: error: hostname is not finished; expected: hostname NAME\n"
		"t.conf:3:7: error: listen is not finished; expected: listen ADDRESS[:PORT]\n",
	},
	{
		"flag with a word",
		"version 1\n"
		"route r { host a.example { backup yes }; host b.example }\n"
		"listen 127.0.0.1\n"
		"accept from local to any via r\n",
		"t.conf:2:35: error: \"yes\" is too much here; expected: backup\n",
	},
	{
		"set twice",
		"version 1\n"
		"hostname a.example\n"
		"hostname b.example\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:3:1: error: hostname was already set in t.conf:2\n",
	},
	{
		"set twice in a block",
		"version 1\n"
		"queue { warn_after 4h; warn_after 5h }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:24: error: warn_after was already set in t.conf:2\n",
	},
	{
		"same setting in two blocks is fine",
		"version 1\n"
		"listen 127.0.0.2 { timeout 1m }\n"
		"listen 127.0.0.3 { timeout 2m }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"",
	},
	{
		"queue twice",
		"version 1\n"
		"queue { warn_after 4h }\n"
		"queue { give_up_after 3d }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:3:1: error: queue was already set in t.conf:2\n",
	},
};

static void test_syntax(void **state)
{
	(void)state;
	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
