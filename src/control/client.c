/*
 * client - relevo queue and relevo reload: ask the relay that runs on this state folder, print
 * what it says.
 *
 * Plain blocking code, no loop. The state folder comes from the configuration; where that has
 * errors just now, --state names it.
 */
#include "control/control.h"

#include "base/mem.h"
#include "control/answer.h"
#include "control/arguments.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGES_MAX (1024 * 1024)
#define IDS_PER_REQUEST 200

struct client_options {
	const char *config, *state;
	bool json;
};

/* "state FOLDER" as it stands in a line, relative to the file's folder; NULL: another statement. */
static char *state_of_line(const char *path, struct str line)
{
	const char *slash = strrchr(path, '/');
	struct buf b = BUF_INIT(4096);
	struct str value;
	char *state;

	if (!str_eq(str_word(&line), STR("state")))
		return NULL;
	value = str_word(&line);
	if (value.n > 2 && value.p[0] == '"')
		value = str_sub(value, 1, value.n - 1);
	if (value.n && value.p[0] != '/' && slash)
		buf_add(&b, path, (size_t)(slash + 1 - path));
	buf_add_str(&b, value);
	state = str_dup(buf_str(&b));
	buf_done(&b);
	return state;
}

/*
 * A configuration with errors is just what "reload" may be asked to look at, and must not keep an
 * administrator from the queue: then one statement is looked for by hand.
 */
static char *state_of_unsound(const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL, *state = NULL;
	size_t size = 0;
	ssize_t n;

	while (f && !state && (n = getline(&line, &size, f)) > 0) {
		while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			n--;
		state = state_of_line(path, str_make(line, (size_t)n));
	}
	if (f && !state)
		state = mem_strdup("/var/lib/relevo");
	free(line);
	if (f)
		fclose(f);
	return state;
}

char *control_state(const char *config, const char *option)
{
	struct buf messages = BUF_INIT(MESSAGES_MAX);
	unsigned errors = 0, warnings = 0;
	struct config *c;
	char *state;

	if (option)
		return mem_strdup(option);
	c = config_load(config, false, &messages, &errors, &warnings);
	state = c ? mem_strdup(c->state) : state_of_unsound(config);
	if (!state)
		print_text(stderr, &messages);
	config_unref(c);
	buf_done(&messages);
	return state;
}

static void explain_no_answer(const char *state, int error)
{
	if (error == EACCES || error == EPERM)
		fprintf(stderr, "relevo: only root and the relay's own account may do this "
				"(%s/control).\n", state);
	else if (error == ENOENT || error == ECONNREFUSED)
		fprintf(stderr, "relevo: no relay runs on the state folder %s.\n", state);
	else
		fprintf(stderr, "relevo: cannot reach the relay at %s/control: %s.\n", state,
			strerror(error));
}

FILE *control_connect(const char *state, const char *request)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/control", state);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *f = NULL;

	if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
		errno = ENAMETOOLONG;
	else if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		f = fdopen(fd, "r+");
	if (!f) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		errno = error;
		return NULL;
	}
	fprintf(f, "%s\r\n", request);
	fflush(f);
	return f;
}

/* Prints the answer; the exit code. */
static int copy_answer(FILE *f)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	uint64_t code;

	while ((n = getline(&line, &size, f)) > 0) {
		while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			n--;
		if (line[0] == '=' &&
		    str_parse_u64(str_make(line + 1, (size_t)n - 1), 255, &code)) {
			free(line);
			return (int)code;
		}
		if (n < 1 || (line[0] != ' ' && line[0] != '!'))
			break;
		fprintf(line[0] == '!' ? stderr : stdout, "%.*s\n", (int)n - 1, line + 1);
	}
	free(line);
	fputs("relevo: the relay ended before it had answered.\n", stderr);
	return 1;
}

static int ask(const char *state, const struct client_options *o, const char *command, int words_n,
	       char **words)
{
	struct buf request = BUF_INIT(CONTROL_LINE_MAX);
	FILE *f;
	int code;

	buf_printf(&request, "%s %s", command, o->json ? "json" : "text");
	for (int i = 0; i < words_n; i++)
		buf_printf(&request, " %s", words[i]);
	f = control_connect(state, buf_cstr(&request));
	buf_done(&request);
	if (!f) {
		explain_no_answer(state, errno);
		return 1;
	}
	code = copy_answer(f);
	fclose(f);
	return code;
}

/* Nothing but what ids and command words consist of may become part of a request line. */
static bool words_are_sane(int n, char **words)
{
	for (int i = 0; i < n; i++) {
		struct str s = str_of(words[i]);

		if (s.n && s.n < ID_TEXT_MAX && !str_has_control(s) && str_is_ascii(s) &&
		    str_find(s, ' ') < 0)
			continue;
		fprintf(stderr, "relevo queue: argument %d is not a message id.\n", i + 1);
		return false;
	}
	return true;
}

static int ask_all(const struct client_options *o, const char *command, int words_n, char **words)
{
	char *state = control_state(o->config, o->state);
	int worst = 0, at = 0;

	if (!state)
		return 1;
	do {
		int n = words_n - at > IDS_PER_REQUEST ? IDS_PER_REQUEST : words_n - at;
		int code = ask(state, o, command, n, words + at);

		worst = code > worst ? code : worst;
		at += n;
	} while (at < words_n);
	mem_free(state);
	return worst;
}

static const struct {
	const char *name;
	bool wants_ids;
} verbs[] = {
	{ "list", false }, { "status", false }, { "show", true }, { "retry", true },
	{ "hold", true }, { "release", true }, { "delete", true },
};

#define VERBS_N (sizeof(verbs) / sizeof(verbs[0]))

static int queue_usage(const char *word)
{
	const char *best = NULL;
	unsigned distance = 3;

	for (size_t i = 0; word && i < VERBS_N; i++) {
		unsigned d = str_distance(str_of(word), str_of(verbs[i].name));

		if (d < distance) {
			distance = d;
			best = verbs[i].name;
		}
	}
	if (word)
		fprintf(stderr, "relevo queue: \"%s\" is not understood%s%s%s.\n", word, best ?
			"; did you mean \"" : "",
			best ? best : "", best ? "\"?" : "");
	fputs("relevo queue [-c FILE | --state FOLDER] [--json]\n"
	      "    [list] | status | show ID... | retry|hold|release|delete ID...|all\n", stderr);
	return 2;
}

int control_queue_main(int argc, char **argv)
{
	struct client_options o = { .config = CONFIG_PATH_DEFAULT };
	const struct argument_row rows[] = {
		{ "-c", &o.config, NULL }, { "--state", &o.state, NULL },
			{ "--json", NULL, &o.json },
	};

	if (!arguments_parse("queue", &argc, argv, rows, 3))
		return 2;
	if (argc == 0)
		return ask_all(&o, "list", 0, NULL);
	for (size_t i = 0; i < VERBS_N; i++) {
		if (strcmp(argv[0], verbs[i].name) != 0)
			continue;
		if (verbs[i].wants_ids != (argc > 1))
			return queue_usage(NULL);
		if (!words_are_sane(argc - 1, argv + 1))
			return 2;
		return ask_all(&o, verbs[i].name, argc - 1, argv + 1);
	}
	return queue_usage(argv[0]);
}

int control_reload_main(int argc, char **argv)
{
	struct client_options o = { .config = CONFIG_PATH_DEFAULT };
	const struct argument_row rows[] =
		{ { "-c", &o.config, NULL }, { "--state", &o.state, NULL } };

	if (!arguments_parse("reload", &argc, argv, rows, 2))
		return 2;
	if (argc) {
		fputs("relevo reload [-c FILE | --state FOLDER]\n", stderr);
		return 2;
	}
	return ask_all(&o, "reload", 0, NULL);
}
