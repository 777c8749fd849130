/* config: errors in the values of statements, with their exact places and suggestions. */
#include "unit/config/text.h"

static const struct text_case cases[] = {
	{
		"hostname",
		"version 1\n"
		"hostname a_b.example\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:10: error: \"a_b.example\" is not a host name such as "
		"relay.example.net\n",
	},
	{
		"hostname without dot, loopback",
		"version 1\n"
		"hostname relay\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:10: warning: the host name \"relay\" has no dot; other servers will "
		"not like it: set it with hostname NAME\n",
	},
	{
		"hostname without dot, public",
		"version 1\n"
		"hostname relay\n"
		"listen 0.0.0.0\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:10: error: the host name \"relay\" has no dot; set it with hostname "
		"NAME, as in: hostname relay.example.net\n",
	},
	{
		"user",
		"version 1\n"
		"user -x\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:6: error: \"-x\" is not the name of a user\n",
	},
	{
		"state",
		"version 1\n"
		"state \"\"\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:7: error: the name of the folder is empty\n",
	},
	{
		"workers",
		"version 1\n"
		"workers 0\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:9: error: workers must be between 1 and 256, or the word auto\n",
	},
	{
		"workers, not a number",
		"version 1\n"
		"workers many\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:9: error: \"many\" is not what workers takes; expected a whole number "
		"such as 100, or the word auto\n",
	},
	{
		"workers auto",
		"version 1\n"
		"workers auto\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"",
	},
	{
		"count over 64 bits",
		"version 1\n"
		"workers 99999999999999999999999\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:9: error: \"99999999999999999999999\" is not what workers takes; "
		"expected a whole number such as 100, or the word auto\n",
	},
	{
		"listen",
		"version 1\n"
		"listen localhost\n"
		"listen 127.0.0.1:0\n"
		"listen 127.0.0.1:70000\n"
		"listen unix:/x\n"
		"listen [::1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:8: error: \"localhost\" is not an address to listen on; expected one "
		"such as 0.0.0.0:25 or [::1]:25\n"
		"t.conf:3:8: error: \"127.0.0.1:0\" is not an address to listen on; expected one "
		"such as 0.0.0.0:25 or [::1]:25\n"
		"t.conf:4:8: error: \"127.0.0.1:70000\" is not an address to listen on; expected "
		"one such as 0.0.0.0:25 or [::1]:25\n"
		"t.conf:5:8: error: \"unix:/x\" is not an address to listen on; expected one "
		"such as 0.0.0.0:25 or [::1]:25\n"
		"t.conf:6:8: error: \"[::1\" is not an address to listen on; expected one such "
		"as 0.0.0.0:25 or [::1]:25\n",
	},
	{
		"listen twice",
		"version 1\n"
		"listen 127.0.0.1:25\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:3:8: error: 127.0.0.1 is already listened on in t.conf:2\n",
	},
	{
		"listen on all and on one",
		"version 1\n"
		"hostname a.example\n"
		"listen 0.0.0.0:25\n"
		"listen [::]:25\n"
		"listen 127.0.0.1:25\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:5:8: error: 127.0.0.1:25 is already listened on in t.conf:3\n",
	},
	{
		"listen, bounds",
		"version 1\n"
		"listen 127.0.0.1 {\n"
		"\ttimeout 0s\n"
		"\tdata_timeout 2h\n"
		"\tsession_max 0s\n"
		"\trate_min 0/s\n"
		"\terrors_max 0\n"
		"\tconnections_max 1000001\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:3:10: error: timeout must be between 1s and 1h\n"
		"t.conf:4:15: error: data_timeout must be between 1s and 1h\n"
		"t.conf:5:14: error: session_max must be between 1s and 1w\n"
		"t.conf:6:11: error: rate_min must be between 1/s and 1G/s, or the word none\n"
		"t.conf:7:13: error: errors_max must be between 1 and 100000\n"
		"t.conf:8:18: error: connections_max must be between 1 and 1000000\n",
	},
	{
		"listen, values",
		"version 1\n"
		"listen 127.0.0.1 {\n"
		"\ttimeout 5\n"
		"\tdata_timeout 3M\n"
		"\trate_min 100\n"
		"\trate_min none\n"
		"\terrors_max 1K\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:3:10: error: \"5\" is not what timeout takes; expected a time such as "
		"30s, 5m, 4h, 5d or 2w\n"
		"t.conf:4:15: error: \"3M\" is not what data_timeout takes; expected a time such "
		"as 30s, 5m, 4h, 5d or 2w\n"
		"t.conf:5:11: error: \"100\" is not what rate_min takes; expected a rate such as "
		"100/s, 10K/min or 1M/h, or the word none\n"
		"t.conf:6:2: error: rate_min was already set in t.conf:5\n"
		"t.conf:7:13: error: \"1K\" is not what errors_max takes; expected a whole "
		"number such as 100\n",
	},
	{
		"banner",
		"version 1\n"
		"listen 127.0.0.1 { banner \"gr\303\274\303\237e\" }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:27: error: the banner is printable ASCII, at most 200 octets\n",
	},
	{
		"route name",
		"version 1\n"
		"route a/b { host a.example }\n"
		"route mx { host a.example }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:7: error: \"a/b\" cannot name a route; expected letters, digits, -, _ "
		"or .\n"
		"t.conf:3:1: error: route mx goes by MX: no host can stand in it\n",
	},
	{
		"route twice",
		"version 1\n"
		"route r { host a.example }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:3:7: error: route r is already defined in t.conf:2\n",
	},
	{
		"route without host",
		"version 1\n"
		"route x { idle 5s }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: route x has no host\n",
	},
	{
		"hosts",
		"version 1\n"
		"route x {\n"
		"\thost 10.0.0.5:0\n"
		"\thost a.example:99999\n"
		"\thost [::1]:x\n"
		"\thost 10.0.0.256\n"
		"\thost a..example\n"
		"\thost unix:\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:3:7: error: \"10.0.0.5:0\" is not a host; expected one such as "
		"smtp.example.net:587, 10.0.0.5, [2001:db8::5]:25 or unix:/path\n"
		"t.conf:4:7: error: \"a.example:99999\" is not a host; expected one such as "
		"smtp.example.net:587, 10.0.0.5, [2001:db8::5]:25 or unix:/path\n"
		"t.conf:5:7: error: \"[::1]:x\" is not a host; expected one such as "
		"smtp.example.net:587, 10.0.0.5, [2001:db8::5]:25 or unix:/path\n"
		"t.conf:6:7: error: \"10.0.0.256\" is not a host; expected one such as "
		"smtp.example.net:587, 10.0.0.5, [2001:db8::5]:25 or unix:/path\n"
		"t.conf:7:7: error: \"a..example\" is not a host; expected one such as "
		"smtp.example.net:587, 10.0.0.5, [2001:db8::5]:25 or unix:/path\n"
		"t.conf:8:7: error: \"unix:\" is not a host; expected one such as "
		"smtp.example.net:587, 10.0.0.5, [2001:db8::5]:25 or unix:/path\n",
	},
	{
		"host twice",
		"version 1\n"
		"route x { host a.example; host A.example:25 }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: error: route x has host A.example twice\n",
	},
	{
		"all backups",
		"version 1\n"
		"route x { host a.example { backup }; host b.example { backup } }\n"
		"route r { host a.example }\n"
		"accept from local to any via x\n"
		"accept from 10.0.0.0/8 to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:1: warning: all hosts of route x are backups\n",
	},
	{
		"weight",
		"version 1\n"
		"route x { host a.example { weight 0 }; host b.example { weight 1001 } }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:35: error: weight must be between 1 and 1000\n"
		"t.conf:2:64: error: weight must be between 1 and 1000\n",
	},
	{
		"protocol",
		"version 1\n"
		"route x { host a.example; protocol lmpt }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:36: error: unknown protocol \"lmpt\"; expected one of smtp, lmtp; did "
		"you mean \"lmtp\"?\n",
	},
	{
		"retry",
		"version 1\n"
		"queue { retry 1m 5x 2h }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:18: error: \"5x\" is not what retry takes; expected a time such as "
		"30s, 5m, 4h, 5d or 2w\n",
	},
	{
		"retry, bounds",
		"version 1\n"
		"queue { retry 1m 8d }\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:18: error: a wait must be between 1s and 1w\n",
	},
	{
		"queue, values",
		"version 1\n"
		"queue {\n"
		"\twarn_after never\n"
		"\tgive_up_after never\n"
		"\tsize_max unlimited\n"
		"\tfree_min auto\n"
		"\tmemory 1k\n"
		"\tnotices_max none\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:4:16: error: \"never\" is not what give_up_after takes; expected a time "
		"such as 30s, 5m, 4h, 5d or 2w\n"
		"t.conf:7:9: error: \"1k\" is not what memory takes; expected a size such as "
		"64K, 50M or 2G, or the word none\n",
	},
	{
		"message, bounds",
		"version 1\n"
		"message {\n"
		"\tsize_max 3G\n"
		"\trecipients_max 0\n"
		"\thops_max 1001\n"
		"\tmemory 1K\n"
		"\tbounce_size_max 0\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:3:11: error: size_max must be between 1K and 2G\n"
		"t.conf:4:17: error: recipients_max must be between 1 and 100000\n"
		"t.conf:5:11: error: hops_max must be between 1 and 1000\n"
		"t.conf:6:9: error: memory must be between 64K and 64G\n"
		"t.conf:7:18: error: bounce_size_max must be between 1K and 64M\n",
	},
	{
		"postmaster",
		"version 1\n"
		"postmaster admin\n"
		"postmaster a@b.example by r\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:12: error: \"admin\" is not an address such as admin@example.net\n"
		"t.conf:3:1: error: postmaster was already set in t.conf:2\n",
	},
	{
		"postmaster, route",
		"version 1\n"
		"postmaster a@b.example by r\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:24: error: expected \"via\" and the name of a route\n",
	},
	{
		"postmaster, no route",
		"version 1\n"
		"postmaster a@b.example via\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:27: error: expected \"via\" and the name of a route\n",
	},
	{
		"postmaster, unknown route",
		"version 1\n"
		"postmaster a@b.example via q\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:28: error: unknown route \"q\"; expected one of r, mx\n",
	},
	{
		"postmaster via mx",
		"version 1\n"
		"postmaster a@b.example via mx\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"",
	},
	{
		"log",
		"version 1\n"
		"log yaml\n"
		"log\n"
		"log file\n"
		"log file a b\n"
		"log json x\n"
		"log transcript\n"
		"log transcript 1.2.3.4\n"
		"log transcript for\n"
		"log transcript for a@b .c x..y\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:2:5: error: unknown word \"yaml\"; expected one of text, json, stderr, "
		"syslog, file, transcript\n"
		"t.conf:3:4: error: expected: log { ... } | text | json | stderr | syslog | file "
		"FILE | transcript for WHAT ...\n"
		"t.conf:4:9: error: expected: file and one name\n"
		"t.conf:5:12: error: expected: file and one name\n"
		"t.conf:6:10: error: expected the end of the line\n"
		"t.conf:7:15: error: expected: transcript for NETWORK|DOMAIN ...\n"
		"t.conf:8:16: error: expected: transcript for NETWORK|DOMAIN ...\n"
		"t.conf:9:19: error: expected: transcript for NETWORK|DOMAIN ...\n"
		"t.conf:10:20: error: \"a@b\" is neither a network nor a domain\n"
		"t.conf:10:24: error: \".c\" is neither a network nor a domain\n"
		"t.conf:10:27: error: \"x..y\" is neither an address, a domain nor a network\n",
	},
	{
		"log twice",
		"version 1\n"
		"log json\n"
		"log { format text; to file x }\n"
		"log stderr\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:3:14: error: the log's format was already set in t.conf:2\n"
		"t.conf:4:5: error: the log's target was already set in t.conf:3\n",
	},
	{
		"log, block",
		"version 1\n"
		"log {\n"
		"\tformat xml\n"
		"\tto nowhere\n"
		"\tto file\n"
		"\ttranscript 1.2.3.4 x\n"
		"}\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n"
		"listen 127.0.0.1\n",
		"t.conf:3:9: error: unknown word \"xml\"; expected one of text, json\n"
		"t.conf:4:5: error: unknown word \"nowhere\"; expected one of stderr, syslog, "
		"file\n"
		"t.conf:5:9: error: expected: file and one name\n"
		"t.conf:6:13: error: expected: transcript for NETWORK|DOMAIN ...\n",
	},
};

static void test_settings(void **state)
{
	(void)state;
	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
