/*
 * report/transcript: dialogues in pieces of every size; nothing secret and no content in the
 * lines.
 */
#include "report/log.h"

#include "base/mem.h"
#include "unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Before log_open lines go to standard error: it is a file during a case. */
static char *lines_of(void (*fn)(struct transcript *t, size_t piece), size_t piece)
{
	static const struct transcript_rule rule = { .domain = { "dest.example", 12 } };
	struct config *c = mem_zalloc(sizeof(*c));
	char path[] = "/tmp/relevo-transcript-XXXXXX", *text = mem_zalloc(65536), *out = text;
	int fd = mkstemp(path), old = dup(STDERR_FILENO);
	struct transcript *t;
	ssize_t n;

	assert_true(fd >= 0);
	unlink(path);
	c->log.transcripts = &rule;
	c->log.transcripts_n = 1;
	assert_null(transcript_start(c, NULL, STR("other.example"), "s1"));
	t = transcript_start(c, NULL, STR("DEST.example"), "s1");
	assert_non_null(t);
	dup2(fd, STDERR_FILENO);
	fn(t, piece);
	transcript_free(t);
	dup2(old, STDERR_FILENO);
	n = pread(fd, text, 65535, 0);
	assert_true(n > 0);
	close(fd);
	close(old);
	mem_free(c);
	/* Without the times and what all lines begin with. */
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		const char *head = " transcript session=s1 dir=";

		assert_memory_equal(line + 24, head, strlen(head));
		line += 24 + strlen(head);
		memmove(out, line, (size_t)(end + 1 - line));
		out += end + 1 - line;
	}
	*out = '\0';
	return text;
}

static void tap(struct transcript *t, bool outgoing, const char *text, size_t piece)
{
	struct str s = str_of(text);

	for (; s.n; s = str_from(s, piece))
		transcript_tap(t, outgoing, str_sub(s, 0, piece));
}

static void server_side(struct transcript *t, size_t piece)
{
	tap(t, true, "220 hello\r\n", piece);
	tap(t, false, "EHLO client\r\n", piece);
	tap(t, true, "250-a\r\n250 b\r\n", piece);
	tap(t, false, "AUTH PLAIN c2VjcmV0\r\n", piece);
	tap(t, true, "535 no\r\n", piece);
	tap(t, false, "auth login\r\n", piece);
	tap(t, true, "334 VXNlcm5hbWU6\r\n", piece);
	tap(t, false, "c2VjcmV0\r\n", piece);
	tap(t, true, "334 UGFzc3dvcmQ6\r\n", piece);
	tap(t, false, "c2VjcmV0Mg==\r\n", piece);
	tap(t, true, "235 yes\r\n", piece);
	tap(t, false, "DATA\r\n", piece);
	transcript_content(t, false, true);
	tap(t, true, "354 go\r\n", piece);
	tap(t, false, "x\r\n..\r\n.y\r\n\r\n.\r\nQUIT\r\n", piece);
	transcript_content(t, false, false);
	tap(t, true, "250 ok\r\n221 bye\r\n", piece);
}

static void chunks(struct transcript *t, size_t piece)
{
	tap(t, false, "BDAT 5\r\na\r\nb\nBDAT 0 LAST\r\nNOOP\r\n", piece);
	tap(t, true, "250 ok\r\n", piece);
	tap(t, false, "BDAT 10\r\nabc", piece);
}

static void test_dialogue(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 40; piece++) {
		char *text = lines_of(server_side, piece);

		assert_string_equal(text, "out line=\"220 hello\"\nin line=\"EHLO client\"\n"
			"out line=250-a\nout line=\"250 b\"\n"
			"in line=\"AUTH PLAIN\" masked=yes\nout line=\"535 no\"\n"
			"in line=\"auth login\"\nout line=\"334 VXNlcm5hbWU6\"\nin masked=yes\n"
			"out line=\"334 UGFzc3dvcmQ6\"\nin masked=yes\nout line=\"235 yes\"\n"
			"in line=DATA\nout line=\"354 go\"\nin content=16\nin line=QUIT\n"
			"out line=\"250 ok\"\nout line=\"221 bye\"\n");
		mem_free(text);
	}
}

static void test_chunks(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 40; piece++) {
		char *text = lines_of(chunks, piece);

		assert_string_equal(text,
				    "in line=\"BDAT 5\"\nin content=5\nin line=\"BDAT 0 LAST\"\n"
			"in line=NOOP\nout line=\"250 ok\"\nin line=\"BDAT 10\"\n"
			"in content=3\n");
		mem_free(text);
	}
}

/* Answers that were sent ahead; a reply to a command before AUTH; POP3. */
static void credentials(struct transcript *t, size_t piece)
{
	tap(t, false, "RSET\r\nAUTH LOGIN\r\nc2VjcmV0\r\nc2VjcmV0Mg==\r\n", piece);
	tap(t, true, "250 ok\r\n334 VXNlcm5hbWU6\r\n", piece);
	tap(t, false, "c2VjcmV0\r\n", piece);
	tap(t, true, "235 yes\r\n", piece);
	tap(t, false, "USER bob\r\npass secret of bob\r\nAPOP bob 01234567\r\n", piece);
	tap(t, true, "+OK\r\n-ERR no\r\n", piece);
	tap(t, false, "AUTH PLAIN\r\n", piece);
	tap(t, true, "+ \r\n", piece);
	tap(t, false, "c2VjcmV0\r\n", piece);
	tap(t, true, "+OK yes\r\n", piece);
	tap(t, false, "NOOP\r\n", piece);
}

static void test_credentials(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 40; piece++) {
		char *text = lines_of(credentials, piece);

		assert_string_equal(text, "in line=RSET\nin line=\"AUTH LOGIN\"\nin masked=yes\n"
			"in masked=yes\nout line=\"250 ok\"\nout line=\"334 VXNlcm5hbWU6\"\n"
			"in masked=yes\nout line=\"235 yes\"\nin line=\"USER bob\"\n"
			"in line=pass masked=yes\nin line=APOP masked=yes\nout line=+OK\n"
			"out line=\"-ERR no\"\nin line=\"AUTH PLAIN\"\nout line=\"+ \"\n"
			"in masked=yes\nout line=\"+OK yes\"\nin line=NOOP\n");
		mem_free(text);
	}
}

static void long_line(struct transcript *t, size_t piece)
{
	char line[3000];

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	tap(t, false, line, piece);
}

static void test_long_line(void **state)
{
	char *text = lines_of(long_line, 700);

	(void)state;
	assert_memory_equal(text, "in line=xxx", 11);
	assert_int_equal(strlen(text), strlen("in line= cut=yes\n") + 480);
	mem_free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogue),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_long_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
