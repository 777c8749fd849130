/*
 * config: what people read must be true. Every example of the reference page loads; the page is the
 * one that config_reference writes; the installed file is sound, also with what it has commented
 * out; the examples of the design are accepted as they stand. Run from the project's root.
 */
#include "unit/config/certificates.h"

static bool read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "r");
	char piece[4096];
	size_t n;

	if (!f)
		return false;
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(out, piece, n);
	fclose(f);
	return true;
}

static struct str next_line(struct str *rest)
{
	ssize_t end = str_find(*rest, '\n');
	struct str line = end < 0 ? *rest : str_sub(*rest, 0, (size_t)end);

	*rest = str_from(*rest, line.n + 1);
	return line;
}

static struct loaded load_buf(struct buf *text, bool is_alone)
{
	struct loaded l = { .messages = BUF_INIT(1 << 20) };
	struct config_source source = {
		.path = "example.conf",
		.text = buf_cstr(text),
		.text_n = text->n,
		.is_alone = is_alone,
		.host_name = "system.example.net",
	};

	l.c = config_load_from(&source, &l.messages, &l.errors, &l.warnings);
	return l;
}

static void check_sound(struct buf *text)
{
	/* files that are named and missing are warnings */
	struct loaded l = load_buf(text, false);

	if (!l.c)
		fail_msg("%s\n%s", buf_cstr(text), buf_cstr(&l.messages));
	loaded_done(&l);
}

/* An example is a part of a configuration: what it refers to and does not define is added. */
static void check_example(struct str example)
{
	static const struct {
		const char *used, *defined, *text;
	} parts[] = {
		{ "via provider", "route provider",
		  "route provider { host smtp.provider.example }\n" },
		{ "table partners", "table partners {", "table partners { example.org }\n" },
	};
	struct buf text = BUF_INIT(1 << 16);

	if (!str_starts(example, STR("version")))
		buf_add_lit(&text, "version 1\n");
	buf_add_str(&text, example);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (str_search(example, str_of(parts[i].used)) >= 0 &&
		    str_search(example, str_of(parts[i].defined)) < 0)
			buf_add_str(&text, str_of(parts[i].text));
	check_sound(&text);
	buf_done(&text);
}

static void test_examples_of_the_reference(void **state)
{
	struct buf page = BUF_INIT(1 << 20), example = BUF_INIT(1 << 16);
	struct str rest;
	bool inside = false;
	unsigned n = 0;

	(void)state;
	config_reference(&page);
	rest = buf_str(&page);
	while (rest.n) {
		struct str line = next_line(&rest);

		if (str_eq(line, STR("```relevo"))) {
			inside = true;
			buf_clear(&example);
		} else if (inside && str_eq(line, STR("```"))) {
			inside = false;
			check_example(buf_str(&example));
			n++;
		} else if (inside) {
			buf_add_str(&example, line);
			buf_add_byte(&example, '\n');
		}
	}
	assert_false(inside);
	assert_true(n > 50);
	buf_done(&page);
	buf_done(&example);
}

static void test_reference_is_current(void **state)
{
	struct buf page = BUF_INIT(1 << 20), file = BUF_INIT(1 << 20);

	(void)state;
	config_reference(&page);
	if (!read_file("docs/reference/configuration.md", &file))
		skip();
	if (!str_eq(buf_str(&page), buf_str(&file)))
		fail_msg("docs/reference/configuration.md is not what config_reference writes: run "
			 "make reference");
	buf_done(&page);
	buf_done(&file);
}

static void test_installed_file(void **state)
{
	struct buf file = BUF_INIT(1 << 20), all = BUF_INIT(1 << 20);
	struct str rest;

	(void)state;
	if (!read_file("docs/relevo.conf", &file))
		skip();
	check_sound(&file);
	/* "#word" is a statement to be uncommented, "# word" is prose. */
	rest = buf_str(&file);
	while (rest.n) {
		struct str line = next_line(&rest), plain = str_trim(line);
		bool is_off = plain.n > 1 && plain.p[0] == '#' && plain.p[1] != ' ';

		if (str_eq(line, STR("listen 127.0.0.1:25")))
			continue;	/* the others stand instead of it */
		buf_add_str(&all, is_off ? str_from(plain, 1) : line);
		buf_add_byte(&all, '\n');
	}
	check_sound(&all);
	assert_true(str_search(buf_str(&all), STR("\ngive_up_after")) < 0);
	buf_done(&file);
	buf_done(&all);
}

/* The files that the examples name, beside them. */
static void make_files(const struct folder *f)
{
	folder_certificate(f, "relay", "mail.example.net", 86400 * 100);
	folder_write(f, "users", "", 0600);
	assert_int_equal(mkdir(folder_path(f, "secrets"), 0700), 0);
	folder_write(f, "secrets/provider", "geheim\n", 0600);
}

/* With their files a relay starts; without them `relevo check` warns, and that is all. */
static void check_design(const char *path)
{
	struct buf file = BUF_INIT(1 << 20);
	struct folder f;
	struct loaded l;
	unsigned warnings;

	folder_make(&f);
	assert_true(read_file(path, &file));
	l = folder_load(&f, buf_cstr(&file), false);
	if (!l.c)
		fail_msg("%s, without files:\n%s", path, buf_cstr(&l.messages));
	warnings = l.warnings;
	loaded_done(&l);
	make_files(&f);
	l = folder_load(&f, buf_cstr(&file), true);
	if (!l.c)
		fail_msg("%s:\n%s", path, buf_cstr(&l.messages));
	if (str_search(buf_str(&file), STR("certificate ")) >= 0)
		assert_true(l.c->tls.server && warnings > l.warnings);
	if (str_search(buf_str(&file), STR("secrets ")) >= 0)
		assert_true(warnings > l.warnings);
	loaded_done(&l);
	buf_done(&file);
	folder_remove(&f);
}

static void test_examples_of_the_design(void **state)
{
	glob_t found;

	(void)state;
	if (glob("../shared/examples/*.conf", 0, NULL, &found)) {
		print_message("skipped: ../shared/examples is not here\n");
		skip();
	}
	for (size_t i = 0; i < found.gl_pathc; i++)
		check_design(found.gl_pathv[i]);
	assert_true(found.gl_pathc >= 3);
	globfree(&found);
}

/* What the three say, in the structs that the relay works with. */
static void test_designs_mean(void **state)
{
	struct buf file = BUF_INIT(1 << 20);
	struct folder f;
	struct loaded l;

	(void)state;
	if (!read_file("../shared/examples/submission.conf", &file)) {
		print_message("skipped: ../shared/examples is not here\n");
		skip();
	}
	folder_make(&f);
	make_files(&f);
	l = folder_load(&f, buf_cstr(&file), true);
	check_messages("submission.conf", &l, "");
	assert_int_equal(l.c->listens_n, 3);
	assert_true(l.c->listens[0].tls == TLS_OFFERED && !l.c->listens[0].submission);
	assert_true(l.c->listens[1].tls == TLS_REQUIRED && l.c->listens[1].submission);
	assert_true(l.c->listens[2].tls == TLS_IMPLICIT && l.c->listens[2].mechanisms);
	assert_int_equal(l.c->rules[0].who, WHO_LOGIN);
	assert_int_equal(l.c->limits[0].per, LIMIT_PER_LOGIN);
	assert_int_equal(l.c->limits[2].per, LIMIT_PER_CLIENT);
	loaded_done(&l);
	buf_clear(&file);
	assert_true(read_file("../shared/examples/smarthost.conf", &file));
	l = folder_load(&f, buf_cstr(&file), true);
	check_messages("smarthost.conf", &l, "");
	assert_str_equal(config_route(l.c, STR("provider"))->login_secret, STR("provider"));
	assert_int_equal(config_route(l.c, STR("provider"))->tls, TLS_REQUIRED);
	loaded_done(&l);
	buf_clear(&file);
	assert_true(read_file("../shared/examples/backup-mx.conf", &file));
	l = folder_load(&f, buf_cstr(&file), true);
	check_messages("backup-mx.conf", &l,
		       "t.conf: warning: mail is taken from anyone, but no postmaster is named "
		       "(RFC "
		       "5321 4.5.1)\n");
	assert_non_null(config_route(l.c, STR("branch"))->etrn_from);
	loaded_done(&l);
	buf_done(&file);
	folder_remove(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples_of_the_reference),
		cmocka_unit_test(test_reference_is_current),
		cmocka_unit_test(test_installed_file),
		cmocka_unit_test(test_examples_of_the_design),
		cmocka_unit_test(test_designs_mean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
