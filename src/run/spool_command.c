/*
 * spool_command - relevo spool: its command line. What it does: spool_check.c, spool_dump.c.
 */
#include "run/spool_command.h"

#include "control/arguments.h"
#include "control/control.h"
#include "run/run.h"

char *path_in(const char *folder, const char *name)
{
	struct buf b = BUF_INIT(8192);
	char *path;

	buf_printf(&b, "%s/%s", folder, name);
	path = str_dup(buf_str(&b));
	buf_done(&b);
	return path;
}

static int usage(void)
{
	fputs("relevo spool check [-c FILE | --state FOLDER]\n"
	      "relevo spool dump [-c FILE | --state FOLDER] [--segment N] [--message ID] [--json]\n"
	      "    N: a segment's number as in its file's name, hexadecimal\n",
	      stderr);
	return 2;
}

static bool parse_segment(const char *text, uint64_t *ret)
{
	char *end;

	if (!text)
		return true;
	errno = 0;
	*ret = strtoull(text, &end, 16);
	return !errno && *text && (!*end || strcmp(end, ".log") == 0) && *ret;
}

int spool_main(int argc, char **argv)
{
	const char *config = CONFIG_PATH_DEFAULT, *state = NULL, *segment = NULL, *message = NULL;
	struct dump_options o = {0};
	const struct argument_row rows[] = {
		{"-c", &config, NULL},	       {"--state", &state, NULL},
		{"--segment", &segment, NULL}, {"--message", &message, NULL},
		{"--json", NULL, &o.json},
	};
	char *folder, *path;
	bool is_check;
	int code;

	if (!arguments_parse("spool", &argc, argv, rows, 5))
		return 2;
	is_check = argc == 1 && strcmp(argv[0], "check") == 0;
	if (argc != 1 || (!is_check && strcmp(argv[0], "dump") != 0) ||
	    (is_check && (segment || message || o.json)) || !parse_segment(segment, &o.segment) ||
	    (message && !id_parse(str_of(message), &o.message)))
		return usage();
	folder = control_state(config, state);
	if (!folder)
		return 1;
	path = path_in(folder, "spool");
	code = is_check ? spool_check(path) : spool_dump(path, &o);
	mem_free(path);
	mem_free(folder);
	return code;
}
