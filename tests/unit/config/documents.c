/*
 * config: what people read must be true. Every example of the reference page loads; the page is the
 * one that config_reference writes; the installed file is sound, also with what it has commented
 * out; the examples of the design need nothing but statements of later versions. Run from the
 * project's root.
 */
#include "unit/config/text.h"

#include <glob.h>

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

static void test_examples_of_the_design(void **state)
{
	glob_t found;
	unsigned other = 0;

	(void)state;
	if (glob("../shared/examples/*.conf", 0, NULL, &found)) {
		print_message("skipped: ../shared/examples is not here\n");
		skip();
	}
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct buf file = BUF_INIT(1 << 20);
		struct loaded l;
		struct str rest;

		assert_true(read_file(found.gl_pathv[i], &file));
		l = load_buf(&file, false);
		rest = buf_str(&l.messages);
		while (rest.n) {
			struct str line = next_line(&rest);

			if (str_search(line, STR(" error: ")) < 0 ||
			    str_search(line, STR(": error: this version does not ")) >= 0)
				continue;
			print_error("%s: %.*s\n", found.gl_pathv[i], STR_ARG(line));
			other++;
		}
		loaded_done(&l);
		buf_done(&file);
	}
	globfree(&found);
	assert_int_equal(other, 0);
}

/* What is left of the backup server for a later version. */
static void test_backup_mx(void **state)
{
	struct buf file = BUF_INIT(1 << 20);
	struct loaded l;

	(void)state;
	if (!read_file("../shared/examples/backup-mx.conf", &file)) {
		print_message("skipped: ../shared/examples is not here\n");
		skip();
	}
	l = load_buf(&file, false);
	assert_int_equal(l.errors, 1);
	assert_true(str_search(buf_str(&l.messages),
			       STR("this version does not have \"etrn\" in a route block")) >= 0);
	loaded_done(&l);
	buf_done(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples_of_the_reference),
		cmocka_unit_test(test_reference_is_current),
		cmocka_unit_test(test_installed_file),
		cmocka_unit_test(test_examples_of_the_design),
		cmocka_unit_test(test_backup_mx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
