/*
 * client - asking the relay that runs on a state folder, and printing what it says.
 *
 * Plain blocking code, no loop. The state folder comes from the configuration; where that has
 * errors just now, --state names it. The commands are in client_queue.c, client_steer.c and
 * client_top.c.
 */
#include "control/client.h"

#include "base/mem.h"
#include "control/answer.h"
#include "control/query.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGES_MAX (1024 * 1024)

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

void client_no_answer(const char *state, int error)
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

/* A line of the answer without its end; false: there is none. */
static bool read_line(FILE *f, char **line, size_t *size, size_t *ret_n)
{
	ssize_t n = getline(line, size, f);

	while (n > 0 && ((*line)[n - 1] == '\n' || (*line)[n - 1] == '\r'))
		n--;
	if (n < 1)
		return false;
	*ret_n = (size_t)n;
	return true;
}

int client_copy(FILE *f, struct buf *out)
{
	char *line = NULL;
	size_t size = 0, n;
	uint64_t code;
	int result = -1;

	while (result < 0 && read_line(f, &line, &size, &n)) {
		if (line[0] == '=' && str_parse_u64(str_make(line + 1, n - 1), 255, &code))
			result = (int)code;
		else if (line[0] == '~')
			result = CLIENT_FRAME;
		else if (line[0] == '!')
			fprintf(stderr, "%.*s\n", (int)n - 1, line + 1);
		else if (line[0] != ' ')
			break;
		else if (!out)
			printf("%.*s\n", (int)n - 1, line + 1);
		else if (buf_add(out, line + 1, n - 1))
			buf_add_byte(out, '\n');
	}
	free(line);
	if (result >= 0)
		return result;
	fputs("relevo: the relay ended before it had answered.\n", stderr);
	return 1;
}

bool client_request(struct buf *out, const struct client_options *o, const char *command,
		    int words_n, char **words)
{
	buf_printf(out, "%s %s%s", command, o->json ? "json" : "text", o->dry ? "-dry" : "");
	for (int i = 0; i < words_n; i++) {
		buf_add_byte(out, ' ');
		query_word_encode(out, str_of(words[i]));
	}
	if (buf_ok(out) && out->n < CONTROL_LINE_MAX - 2)
		return true;
	fprintf(stderr, "relevo: these are too many words for one question: at most %d octets.\n",
		CONTROL_LINE_MAX);
	return false;
}

int client_ask(const struct client_options *o, const char *command, int words_n, char **words)
{
	struct buf request = BUF_INIT(CONTROL_LINE_MAX);
	char *state = control_state(o->config, o->state);
	FILE *f = NULL;
	int code = 1;

	if (state && !client_request(&request, o, command, words_n, words)) {
		code = 2;
	} else if (state) {
		f = control_connect(state, buf_cstr(&request));
		if (f)
			code = client_copy(f, NULL);
		else
			client_no_answer(state, errno);
	}
	if (f)
		fclose(f);
	buf_done(&request);
	mem_free(state);
	return code;
}
