/* config: the open-relay check (promise D6): what must be refused, and what must not. */
#include "unit/config/text.h"

static const struct text_case cases[] = {
	{
		"any to any",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from any to any via r\n",
		"t.conf:5:1: error: open relay: this rule takes mail from anyone to anywhere; "
		"bind it to local or to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"a sender does not bind",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from any sender example.org to any via r\n",
		"t.conf:5:1: error: open relay: this rule takes mail from anyone to anywhere (a "
		"sender can be forged and does not count); bind it to local or to networks that "
		"cover less than a /8 of IPv4 and a /16 of IPv6 (private ones do not count)\n",
	},
	{
		"a table of senders does not bind",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"table s { example.org }\n"
		"accept from any sender table s to any via r\n",
		"t.conf:6:1: error: open relay: this rule takes mail from anyone to anywhere (a "
		"sender can be forged and does not count); bind it to local or to networks that "
		"cover less than a /8 of IPv4 and a /16 of IPv6 (private ones do not count)\n",
	},
	{
		"all of IPv4",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 0.0.0.0/0 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"all of IPv4, with a sender",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 0.0.0.0/0 sender a@example.org to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"two halves",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 0.0.0.0/1 128.0.0.0/1 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"one half",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 128.0.0.0/1 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"all of IPv6",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from ::/0 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"mapped IPv4",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from ::ffff:0:0/96 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"mapped IPv4, half",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from ::ffff:128.0.0.0/97 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"exactly a /8",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 11.0.0.0/8 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"two /9 of a /8",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 11.0.0.0/9 11.128.0.0/9 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"one address less than a /8",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 11.0.0.0/9 11.128.0.0/10 11.192.0.0/11 11.224.0.0/12 11.240.0.0/13 "
		"11.248.0.0/14 11.252.0.0/15 11.254.0.0/16 11.255.0.0/17 11.255.128.0/18 "
		"11.255.192.0/19 11.255.224.0/20 11.255.240.0/21 11.255.248.0/22 11.255.252.0/23 "
		"11.255.254.0/24 11.255.255.0/25 11.255.255.128/26 11.255.255.192/27 "
		"11.255.255.224/28 11.255.255.240/29 11.255.255.248/30 11.255.255.252/31 "
		"11.255.255.254/32 to any via r\n",
		"",
	},
	{
		"a /9",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 11.0.0.0/9 to any via r\n",
		"",
	},
	{
		"the same /9 twice is one",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 11.0.0.0/9 11.0.0.0/10 11.64.0.0/10 to any via r\n"
		"accept from 11.0.0.0/9 to any via r\n",
		"t.conf:6:1: warning: this rule is never reached: "
		"the one in t.conf:5 decides about all "
		"of its mail; put it before that one, or take it out\n",
	},
	{
		"a /16 of IPv6",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 2001::/16 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"two /17 of IPv6",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 2001::/17 2001:8000::/17 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"a /17 of IPv6",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 2001::/17 to any via r\n",
		"",
	},
	{
		"half of the limit in each family",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 11.0.0.0/9 2001::/17 to any via r\n",
		"",
	},
	{
		"private networks do not count",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 127.0.0.0/8 169.254.0.0/16 "
		"fc00::/7 fe80::/10 ::1 to any via r\n",
		"",
	},
	{
		"private networks inside a wider one",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 8.0.0.0/6 to any via r\n",
		"t.conf:5:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"nothing but the private part and a little",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 192.160.0.0/12 to any via r\n",
		"",
	},
	{
		"split over rules",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 11.0.0.0/9 to any via r\n"
		"accept from local to any via r\n"
		"accept from 12.0.0.0/9 to any via r\n",
		"t.conf:7:1: error: open relay: this rule and those before it together take mail "
		"to anywhere from too many networks; bind them to networks that cover less than "
		"a /8 of IPv4 and a /16 of IPv6 (private ones do not count)\n",
	},
	{
		"split over rules in many parts",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 20.0.0.0/11 to any via r\n"
		"accept from 21.0.0.0/11 to any via r\n"
		"accept from 22.0.0.0/11 to any via r\n"
		"accept from 23.0.0.0/11 to any via r\n"
		"accept from 24.0.0.0/11 to any via r\n"
		"accept from 25.0.0.0/11 to any via r\n"
		"accept from 26.0.0.0/11 to any via r\n"
		"accept from 27.0.0.0/11 to any via r\n",
		"t.conf:12:1: error: open relay: this rule and those before it together take "
		"mail to anywhere from too many networks; bind them to networks that cover less "
		"than a /8 of IPv4 and a /16 of IPv6 (private ones do not count)\n",
	},
	{
		"one part less",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 20.0.0.0/11 to any via r\n"
		"accept from 21.0.0.0/11 to any via r\n"
		"accept from 22.0.0.0/11 to any via r\n"
		"accept from 23.0.0.0/11 to any via r\n"
		"accept from 24.0.0.0/11 to any via r\n"
		"accept from 25.0.0.0/11 to any via r\n"
		"accept from 26.0.0.0/11 to any via r\n",
		"",
	},
	{
		"split over a rule and a table",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"table t { 11.0.0.0/9 }\n"
		"accept from table t to any via r\n"
		"accept from 11.128.0.0/9 to any via r\n",
		"t.conf:7:1: error: open relay: this rule and those before it together take mail "
		"to anywhere from too many networks; bind them to networks that cover less than "
		"a /8 of IPv4 and a /16 of IPv6 (private ones do not count)\n",
	},
	{
		"a wide table",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"table t {\n"
		"\t11.0.0.0/9\n"
		"\t11.128.0.0/9\n"
		"}\n"
		"accept from table t to any via r\n",
		"t.conf:9:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"dangerously-open",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from any to any via r dangerously-open\n",
		"t.conf:5:1: warning: open relay: this rule takes mail from strangers to "
		"anywhere\n",
	},
	{
		"dangerously-open networks",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 0.0.0.0/0 to any via r dangerously-open\n",
		"t.conf:5:1: warning: open relay: this rule takes mail from strangers to "
		"anywhere\n",
	},
	{
		"dangerously-open for nothing",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from local to any via r dangerously-open\n",
		"t.conf:5:1: warning: dangerously-open is not needed here\n",
	},
	{
		"a dangerous rule does not weigh on the others",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 11.0.0.0/8 to any via r dangerously-open\n"
		"accept from 12.0.0.0/9 to any via r\n",
		"t.conf:5:1: warning: open relay: this rule takes mail from strangers to "
		"anywhere\n",
	},
	{
		"dangerously-open does not excuse the others",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 11.0.0.0/8 to any via r dangerously-open\n"
		"accept from 12.0.0.0/8 to any via r\n",
		"t.conf:5:1: warning: open relay: this rule takes mail from strangers to "
		"anywhere\n"
		"t.conf:6:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; bind it to networks that cover less than a /8 of IPv4 and a /16 of "
		"IPv6 (private ones do not count)\n",
	},
	{
		"dangerously-open on both of two that are too much together",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 11.0.0.0/9 to any via r dangerously-open\n"
		"accept from 12.0.0.0/9 to any via r dangerously-open\n",
		"t.conf:5:1: warning: this rule is left out of the open-relay check\n"
		"t.conf:6:1: warning: this rule is left out of the open-relay check\n",
	},
	{
		"dangerously-open where the recipients are few",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from any to domain example.org via r dangerously-open\n",
		"t.conf:5:1: warning: dangerously-open is not needed here\n",
	},
	{
		"reject is no accept",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"reject from any to any dangerously-open\n",
		"t.conf:5:24: error: unexpected \"dangerously-open\"; expected the end of the "
		"line, or a text in quotes\n",
	},
	{
		"strangers to our domains",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from any to domain example.org .example.org via r\n"
		"accept from any to address a@b.example via r\n",
		"",
	},
	{
		"wide networks to our domains",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from 0.0.0.0/0 to domain example.org via r\n",
		"",
	},
	{
		"every domain as an entry",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"table t { . }\n"
		"accept from any to domain table t via r\n",
		"t.conf:5:11: error: \".\" would mean every domain; a table cannot say that, a "
		"rule says it with the word any\n"
		"t.conf:6:33: warning: table t holds no domains: the rule never fits\n",
	},
	{
		"the empty label",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from any to domain \"\" via r\n",
		"t.conf:5:27: error: \"\" is empty\n",
	},
	{
		"local only",
		"version 1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"postmaster a@b.example via r\n"
		"accept from local to any via r\n",
		"",
	},
};

static void test_relay(void **state)
{
	(void)state;
	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

/* All 256 /8 of IPv4, spread over a table as /16: caught although no entry is wide. */
static void test_many_networks(void **state)
{
	struct buf text = BUF_INIT(1 << 20);
	struct loaded l;

	(void)state;
	buf_add_lit(&text, "version 1\nlisten 127.0.0.1\nroute r { host a.example }\ntable t {\n");
	for (unsigned i = 0; i < 256; i++)
		buf_printf(&text, "%u.%u.0.0/16\n", 20 + i / 16, i);
	buf_add_lit(&text, "}\naccept from table t to any via r\n");
	l = load_text(buf_cstr(&text));
	assert_int_equal(l.errors, 1);
	assert_true(str_search(buf_str(&l.messages),
			       STR("t.conf:262:1: error: open relay: the networks")) >= 0);
	loaded_done(&l);
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_many_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
