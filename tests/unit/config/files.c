/* config: includes, globs, loops, table files; what strict changes. */
#include "unit/config/text.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/relevo-config-XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") || system(command);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static struct config *load(const char *path, bool strict, const char *messages)
{
	struct buf out = BUF_INIT(1 << 20);
	unsigned errors, warnings;
	struct config *c = config_load(path, strict, &out, &errors, &warnings);

	if (!str_eq(buf_str(&out), str_of(messages)))
		fail_msg("--- expected\n%s--- got\n%s", messages, buf_cstr(&out));
	assert_int_equal(c == NULL, errors > 0);
	buf_done(&out);
	return c;
}

#define MAIN "version 1\nhostname relay.example.net\nlisten 127.0.0.1\n"

static void test_glob(void **state)
{
	struct config *c;

	(void)state;
	mkdir("conf.d", 0700);
	put("conf.d/20-b.conf", "accept from local to domain b.example via provider\n");
	put("conf.d/10-a.conf", "accept from local to domain a.example via provider\n");
	put("conf.d/.hidden.conf", "nonsense\n");
	put("conf.d/other.txt", "nonsense\n");
	put("conf.d/routes", "route provider { host a.example }\ntable t file names\n");
	put("conf.d/names", "# names\nexample.org .example.org\n\"\\\"a b\\\"@example.com\"\n");
	put("main.conf", MAIN "include conf.d/routes\ninclude conf.d/*.conf none/*.conf\n"
	    "accept from local to any via provider\n");
	c = load("main.conf", true, "");
	assert_int_equal(c->rules_n, 3);
	assert_string_equal(c->rules[0].place.file, "conf.d/10-a.conf");
	assert_string_equal(c->rules[1].place.file, "conf.d/20-b.conf");
	assert_string_equal(c->rules[2].place.file, "main.conf");
	config_unref(c);
	assert_int_equal(chdir("conf.d"), 0);
	c = load("../main.conf", true, "");	/* beside the file, wherever we are */
	assert_string_equal(c->rules[0].place.file, "../conf.d/10-a.conf");
	config_unref(c);
	assert_int_equal(chdir(".."), 0);
}

static void test_missing(void **state)
{
	struct config *c;

	(void)state;
	put("main.conf",
	    MAIN "route r { host a.example }\ninclude none.conf\ntable t file none.txt\n"
		 "accept from local to table t via r\n");
	assert_null(load("main.conf", true,
			 "main.conf:5:1: error: none.conf: No such file or directory\n"
			 "main.conf:6:14: error: none.txt: No such file or directory\n"
			 "main.conf:7:28: warning: table t holds no addresses or domains: the rule "
			 "never fits\n"));
	c = load("main.conf", false,
		 "main.conf:5:1: warning: none.conf: no such file\n"
		 "main.conf:6:14: warning: none.txt: no such file\n"
		 "main.conf:7:28: warning: table t holds no addresses or domains: the rule never "
		 "fits\n");
	config_unref(c);
	assert_null(load("nothing.conf", false,
			 "nothing.conf: error: nothing.conf: No such file or directory\n"));
	assert_null(load(".", false, ".: error: .: Is a directory\n"));
	assert_null(load("/dev/null", false, "/dev/null: error: /dev/null: not a regular file\n"));
}

static void test_loops(void **state)
{
	(void)state;
	put("self.conf", "version 1\nhostname a.example\ninclude self.conf\n");
	assert_null(load("self.conf", true, "self.conf:3:1: error: self.conf includes itself\n"));
	put("a.conf", MAIN "include b.conf\n");
	put("b.conf", "\ninclude ./c.conf\n");
	put("c.conf", "user relevo\ninclude a.conf\n");
	assert_null(load("a.conf", true, "./c.conf:2:1: error: ./a.conf includes itself\n"));
	put("twice.conf", MAIN "route r { host a.example }\ninclude rule.conf rule.conf\n");
	put("rule.conf", "accept from local to any via r\n");
	/* one after the other is no loop */
	config_unref(load("twice.conf", true,
			  "rule.conf:1:1: warning: this rule is never reached: the one in "
			  "rule.conf:1 decides about all of its mail; put it before that one, or "
			  "take it out\n"));
}

static void test_depth(void **state)
{
	char name[32], text[256];

	(void)state;
	for (int i = 1; i <= 9; i++) {
		snprintf(name, sizeof(name), "deep%d.conf", i);
		snprintf(text, sizeof(text), i < 9 ? "include deep%d.conf\n" : "user relevo\n",
			 i + 1);
		put(name, text);
	}
	put("deep.conf", MAIN "route r { host a.example }\naccept from local to any via r\ninclude "
			      "deep1.conf\n");
	assert_null(load("deep.conf", true,
			 "deep8.conf:1:1: error: includes are nested more than 8 deep\n"));
	put("deep8.conf", "user relevo\n");
	config_unref(load("deep.conf", true, ""));
}

/* Eight levels of a thousand includes would be 10^24 files. */
static void test_many(void **state)
{
	char text[8192] = "", name[32];
	size_t n = 0;

	(void)state;
	for (int i = 1; i <= 7; i++) {
		n = 0;
		for (int j = 0; j < 300; j++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s bomb%d.conf",
					      j ? "" : "include", i + 1);
		snprintf(text + n, sizeof(text) - n, "\n");
		snprintf(name, sizeof(name), "bomb%d.conf", i);
		put(name, text);
	}
	put("bomb8.conf", "");
	put("bomb.conf", MAIN "route r { host a.example }\naccept from local to any via r\ninclude "
			      "bomb1.conf\n");
	struct buf out = BUF_INIT(1 << 20);
	unsigned errors, warnings;

	assert_null(config_load("bomb.conf", true, &out, &errors, &warnings));
	assert_true(str_search(buf_str(&out), STR("more than 1000 files are included")) >= 0);
	buf_done(&out);
}

static void test_faults_in_files(void **state)
{
	(void)state;
	put("names", "example.org {\n}\nexample..org\n\"x\n");
	put("rules.conf", "version 1\nroute r {\n\thost a.example\n");
	put("main.conf", MAIN "table t file names\ninclude rules.conf\naccept from 0.0.0.0/0 to "
			      "any via r\n");
	assert_null(load(
		"main.conf", true,
		"names:1:12: error: a table file holds entries, no blocks\n"
		"names:3:1: error: \"example..org\" is neither an address, a domain nor a network\n"
		"names:4:3: error: the quoted word does not end on its line; a \" is missing\n"
		"rules.conf:1:1: error: version was already set in main.conf:1\n"
		"rules.conf:2:9: error: this block is not closed: expected } before the end of the "
		"file\n"
		"main.conf:6:1: error: open relay: the networks of this rule are too many for mail "
		"to anywhere; "
		"bind it to networks that cover less than a /8 of IPv4 and a /16 of IPv6 "
		"(private ones do not count)\n"));
}

/* The parts of a wide range in a table file, a rule and an include are one open relay. */
static void test_relay_over_files(void **state)
{
	(void)state;
	put("nets", "20.0.0.0/9\n");
	put("rules.conf", "accept from table t to any via r\n");
	put("main.conf", MAIN "table t file nets\nroute r { host a.example }\ninclude rules.conf\n"
	    "accept from 20.128.0.0/9 to any via r\n");
	assert_null(load("main.conf", true,
			 "main.conf:7:1: error: open relay: this rule and those before it together "
			 "take mail "
			 "to anywhere from too many networks; bind them to networks that cover "
			 "less than a /8 of IPv4 and a /16 "
			 "of IPv6 (private ones do not count)\n"));
}

static void test_resolver(void **state)
{
	struct config *c;

	(void)state;
	mkdir("sub", 0700);
	put("sub/key", "");
	put("sub/dns.conf", "resolver recursive {\n\ttrust_anchor key\n\troot_hints hints\n"
			    "\thosts names\n}\n");
	put("main.conf", MAIN "accept from local to any via mx\ninclude sub/dns.conf\n");
	assert_null(load("main.conf", true,
			 "sub/dns.conf:3:13: error: sub/hints: No such file or directory\n"
			 "sub/dns.conf:4:8: error: sub/names: No such file or directory\n"));
	c = load("main.conf", false,
		 "sub/dns.conf:3:13: warning: sub/hints: no such file\n"
		 "sub/dns.conf:4:8: warning: sub/names: no such file\n");
	assert_string_equal(c->resolver.trust_anchor, "sub/key");	/* beside its file */
	assert_string_equal(c->resolver.root_hints, "sub/hints");
	assert_string_equal(c->resolver.hosts, "sub/names");
	config_unref(c);
	put("dns.conf", MAIN "accept from local to any via mx\nresolver system {\n"
			     "\troot_hints sub/key\n\ttrust_anchor sub/key\n}\n");
	config_unref(load("dns.conf", true,
			  "dns.conf:6:2: warning: root_hints is not used: only resolver recursive "
			  "begins at the root\n"
			  "dns.conf:7:2: warning: trust_anchor is not used while dnssec is off\n"));
}

static void test_open_file(void **state)
{
	int fd;

	(void)state;
	put("x", "y");
	fd = config_open_file("x");
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(config_open_file("none"), -ENOENT);
	assert_int_equal(config_open_file("."), -EISDIR);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(config_open_file("fifo"), -EINVAL);	/* and does not wait for a writer */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_faults_in_files),
		cmocka_unit_test(test_relay_over_files),
		cmocka_unit_test(test_resolver),
		cmocka_unit_test(test_open_file),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
