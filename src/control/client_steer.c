/*
 * client_steer - relevo suspend, relevo resume, and the question of relevo explain --destination.
 */
#include "control/client.h"

#include "base/mem.h"
#include "control/answer.h"

#include <errno.h>

static int suspend_usage(void)
{
	fputs("relevo suspend [-c FILE | --state FOLDER] [--json] [--force]\n"
	      "    [destination|provider|source|route NAME [\"WHY\"]]\n", stderr);
	return 2;
}

int control_suspend_main(int argc, char **argv)
{
	struct client_options o = { .config = CONFIG_PATH_DEFAULT };
	bool force = false;
	const struct argument_row rows[] = {
		{ "-c", &o.config, NULL }, { "--state", &o.state, NULL },
		{ "--json", NULL, &o.json }, { "--force", NULL, &force },
	};
	char *words[4] = { (char *)"-" };

	if (!arguments_parse("suspend", &argc, argv, rows, 4))
		return 2;
	if (argc == 0)
		return force ? suspend_usage() : client_ask(&o, "suspensions", 0, NULL);
	if (argc < 2 || argc > 3)
		return suspend_usage();
	if (force)
		words[0] = (char *)"force";
	for (int i = 0; i < argc; i++)
		words[1 + i] = argv[i];
	return client_ask(&o, "suspend", 1 + argc, words);
}

int control_resume_main(int argc, char **argv)
{
	struct client_options o = { .config = CONFIG_PATH_DEFAULT };
	const struct argument_row rows[] = {
		{ "-c", &o.config, NULL }, { "--state", &o.state, NULL },
		{ "--json", NULL, &o.json },
	};

	if (!arguments_parse("resume", &argc, argv, rows, 3))
		return 2;
	if (argc != 2) {
		fputs("relevo resume [-c FILE | --state FOLDER] [--json]\n"
		      "    destination|provider|source|route NAME\n", stderr);
		return 2;
	}
	return client_ask(&o, "resume", 2, argv);
}

int control_explain(const char *state, bool json, const char *name)
{
	struct client_options o = { .json = json };
	struct buf request = BUF_INIT(CONTROL_LINE_MAX);
	char *word = (char *)name;
	FILE *f = NULL;
	int code = 2;

	if (client_request(&request, &o, "explain", 1, &word)) {
		f = control_connect(state, buf_cstr(&request));
		code = -1;
	}
	if (f) {
		code = client_copy(f, NULL);
		fclose(f);
	} else if (code < 0 && errno != ENOENT && errno != ECONNREFUSED) {
		client_no_answer(state, errno);
		code = 1;
	}
	buf_done(&request);
	return code;
}
