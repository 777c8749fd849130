/* config: what is asked of strangers, in the clients block and in listeners; PROXY and XCLIENT. */
#include "unit/config/text.h"

#define TAIL "route r { host a.example }\naccept from local to any via r\n"

static const struct text_case cases[] = {
	{ "faults",
	  "version 1\nlisten 127.0.0.1\n"
	  "clients {\n"
	  "\tdns_list zen\n"
	  "\tdns_list zen.example =\n"
	  "\tdns_list zen.example = 10.0.0.1\n"
	  "\tdns_list zen.example weight 0\n"
	  "\tdns_list zen.example weight\n"
	  "\tdns_list zen.example alow\n"
	  "\tdns_list_reject 0\n"
	  "\treverse_name on\n"
	  "\thelo_check maybe\n"
	  "\tgreylist dealy 1m\n"
	  "\tearly_talker on\n"
	  "\tgreet_delay 2m\n"
	  "\ttarpit 5s\n"
	  "\tnull_one_recipient yes\n"
	  "}\n" TAIL,
	  "t.conf:4:11: error: \"zen\" is not a zone of the DNS such as zen.example.org\n"
	  "t.conf:5:24: error: expected an answer of the list, such as 127.0.0.2\n"
	  "t.conf:6:25: error: \"10.0.0.1\" is not an answer of a list, such as 127.0.0.2\n"
	  "t.conf:7:30: error: a weight is a number from 1 to 1000\n"
	  "t.conf:8:29: error: a weight is a number from 1 to 1000\n"
	  "t.conf:9:23: error: unexpected \"alow\"; expected: dns_list ZONE [= ANSWER ...] [weight "
	  "COUNT] [allow]\n"
	  "t.conf:10:18: error: dns_list_reject must be between 1 and 1000000\n"
	  "t.conf:11:15: error: unexpected \"on\"; expected one of off, required, matching\n"
	  "t.conf:12:13: error: unexpected \"maybe\"; expected one of off, valid, resolves\n"
	  "t.conf:13:11: error: unexpected \"dealy\"; expected one of delay, window, pass; did you "
	  "mean \"delay\"?\n"
	  "t.conf:14:15: error: unexpected \"on\"; expected one of off, reject\n"
	  "t.conf:15:14: error: greet_delay must be between 1s and 1m, or the word none\n"
	  "t.conf:16:2: error: expected: tarpit TIME after COUNT, or: tarpit off\n"
	  "t.conf:17:21: error: unexpected \"yes\"; expected one of off, on\n" },
	{ "greylist and tarpit",
	  "version 1\n"
	  "listen 127.0.0.1:1 { greylist delay }\n"
	  "listen 127.0.0.1:2 { greylist delay 2d }\n"
	  "listen 127.0.0.1:3 { greylist delay 1h window 1h }\n"
	  "listen 127.0.0.1:4 { greylist pass x }\n"
	  "listen 127.0.0.1:5 { tarpit 2m after 3 }\n"
	  "listen 127.0.0.1:6 { tarpit 2s after x }\n" TAIL,
	  "t.conf:2:36: error: expected a time behind delay\n"
	  "t.conf:3:37: error: \"2d\" is not a time from 1s to 1d, written such as 30s, 5m or 4h\n"
	  "t.conf:4:22: error: the delay is not shorter than the window: nobody would ever pass\n"
	  "t.conf:5:36: error: \"x\" is not a time from 1s to 365d, written such as 30s, 5m or 4h\n"
	  "t.conf:6:29: error: \"2m\" is not a time from 1s to 1m, written such as 30s, 5m or 4h\n"
	  "t.conf:7:38: error: \"x\" is not a number from 0 to 100000\n" },
	{ "proxy and xclient",
	  "version 1\ntable t { a.example }\n"
	  "listen 127.0.0.1:1 { proxy 127.0.0.1; xclient from any }\n"
	  "listen 127.0.0.1:2 { proxy from; xclient from table }\n"
	  "listen 127.0.0.1:3 { proxy from table x; xclient from table t }\n"
	  "listen 127.0.0.1:4 { proxy from table t t }\n" TAIL,
	  "t.conf:3:28: error: unexpected \"127.0.0.1\"; expected from\n"
	  "t.conf:3:52: error: \"any\" is not a network such as 10.0.0.0/8\n"
	  "t.conf:4:32: error: the statement is not finished; expected a network such as "
	  "10.0.0.0/8\n"
	  "t.conf:4:52: error: the statement is not finished; expected the name of a table\n"
	  "t.conf:6:41: error: unexpected \"t\"; expected the end of the line\n"
	  "t.conf:5:39: error: unknown table \"x\"; expected t\n"
	  "t.conf:5:61: warning: table t holds no networks: nobody is meant\n"
	  "t.conf:6:39: warning: table t holds no networks: nobody is meant\n" },
	{ "proxies everywhere",
	  "version 1\ntable t { ::/1; 8000::/1 }\n"
	  "listen 127.0.0.1:1 { proxy from 10.0.0.0/8 192.0.2.0/24; xclient from table t }\n"
	  "listen 127.0.0.1:2 { proxy from 0.0.0.0/0 }\n" TAIL,
	  "t.conf:3:1: error: open relay: xclient from believes strangers who they are; name the "
	  "addresses of the proxies\n"
	  "t.conf:4:1: error: open relay: proxy from believes strangers who they are; name the "
	  "addresses of the proxies\n" },
};

static void test_messages(void **state)
{
	(void)state;
	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_defaults(void **state)
{
	struct config *c = load_sound("version 1\nlisten 127.0.0.1\n" TAIL);
	const struct config_clients *k = &c->clients;

	(void)state;
	assert_ptr_equal(c->listens[0].clients, k);
	assert_int_equal(k->lists_n, 0);
	assert_int_equal(k->lists_refuse, 1);
	assert_int_equal(k->reverse_name, NAME_IGNORED);
	assert_int_equal(k->helo, NAME_IGNORED);
	assert_false(k->greylist || k->refuse_early || k->null_one_recipient);
	assert_true(k->greet_delay_ns == 0 && k->tarpit_ns == 0);
	assert_null(c->listens[0].proxy_from);
	assert_null(c->listens[0].xclient_from);
	config_unref(c);
}

/* Each matter that a listener does not speak of comes from the block, though that stands below. */
static void test_listeners(void **state)
{
	struct config *c = load_sound(
		"version 1\n"
		"listen 127.0.0.1:1 { greylist off; dns_list own.example weight 3 }\n"
		"listen 127.0.0.1:2 { dns_list none; helo_check off; tarpit off }\n"
		"listen 127.0.0.1:3\n"
		"listen 127.0.0.1:4 { reverse_name required; greylist delay 1m; early_talker off; "
		"greet_delay none; dns_list_reject 9; null_one_recipient off; tarpit 1s after 0 }\n"
		"table f { 192.0.2.0/24 }\n"
		"listen 127.0.0.1:5 { proxy from 10.0.0.0/8 192.0.2.1; xclient from table f }\n"
		"clients {\n"
		"\tdns_list zen.example = 127.0.0.2 127.0.0.10 weight 2\n"
		"\tdns_list allow.example weight 5 allow\n"
		"\tdns_list any.example\n"
		"\tdns_list_reject 2\n"
		"\treverse_name matching\n"
		"\thelo_check resolves\n"
		"\tgreylist window 2d pass 60d\n"
		"\tearly_talker reject\n"
		"\tgreet_delay 3s\n"
		"\ttarpit 5s after 7\n"
		"\tnull_one_recipient on\n"
		"}\n" TAIL);
	const struct config_clients *all = &c->clients, *own = c->listens[0].clients,
				    *none = c->listens[1].clients, *four = c->listens[3].clients;
	struct ip answer;

	(void)state;
	assert_int_equal(all->lists_n, 3);
	assert_str_equal(all->lists[0].zone, STR("zen.example"));
	assert_int_equal(all->lists[0].weight, 2);
	assert_int_equal(all->lists[0].answers_n, 2);
	assert_true(ip_parse(STR("127.0.0.10"), &answer));
	assert_true(ip_eq(&all->lists[0].answers[1], &answer));
	assert_int_equal(all->lists[1].weight, -5);
	assert_int_equal(all->lists[2].weight, 1);
	assert_int_equal(all->lists[2].answers_n, 0);
	assert_int_equal(all->greylist_delay_ns / 1000000000, 300);
	assert_int_equal(all->greylist_window_ns / 1000000000, 2 * 86400);
	assert_int_equal(all->greylist_pass_ns / 1000000000, 60 * 86400);
	assert_ptr_equal(c->listens[2].clients, all);

	assert_int_equal(own->lists_n, 1);
	assert_int_equal(own->lists[0].weight, 3);
	assert_false(own->greylist);
	assert_true(own->reverse_name == NAME_MATCHES && own->helo == NAME_RESOLVES);
	assert_true(own->refuse_early && own->null_one_recipient && own->lists_refuse == 2);
	assert_true(own->greet_delay_ns == all->greet_delay_ns && own->greet_delay_ns);
	assert_true(own->tarpit_after == 7 && own->tarpit_ns == all->tarpit_ns);

	assert_int_equal(none->lists_n, 0);
	assert_true(none->greylist && none->helo == NAME_IGNORED && !none->tarpit_ns);
	assert_int_equal(none->greylist_pass_ns, all->greylist_pass_ns);

	assert_int_equal(four->lists_n, 3);
	assert_true(four->reverse_name == NAME_RESOLVES && four->lists_refuse == 9);
	assert_int_equal(four->greylist_delay_ns / 1000000000, 60);
	assert_int_equal(four->greylist_window_ns / 1000000000, 86400);
	assert_false(four->refuse_early || four->null_one_recipient || four->greet_delay_ns);
	assert_true(four->tarpit_after == 0 && four->tarpit_ns == 1000000000);

	assert_non_null(c->listens[4].proxy_from);
	assert_non_null(c->listens[4].xclient_from);
	assert_ptr_not_equal(c->listens[4].proxy_from, c->listens[4].xclient_from);
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_listeners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
