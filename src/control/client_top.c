/*
 * client_top - relevo top: asks the relay for one frame after the other and draws it.
 *
 * On a terminal: the screen is cleared and drawn anew every interval, for its size as it is then;
 * q or ^C end it. Elsewhere (a pipe, a file) one frame, as with --once. The frames are made by the
 * relay (top.c); here is only the terminal, which is left as it was found.
 */
#include "control/client.h"

#include "base/mem.h"
#include "control/answer.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define FRAME_MAX (4 * 1024 * 1024)
#define HEAD_LINES 2		/* above the destinations */
#define WIDTH_PLAIN 1000	/* no terminal cuts it */
#define ROWS_PLAIN 20
#define FIRST_MS 1000		/* of --once: to see what comes in */

struct screen {
	bool is_live;
	bool json;
	unsigned rows;			/* asked for; 0: as many as there is room for */
	unsigned interval_ms;
	const char *sort;
	struct termios before;
};

/* "WIDTH ROWS SORT" for the terminal as it is now. */
static void wishes(const struct screen *s, char *ret, size_t size)
{
	struct winsize w = { 0 };
	unsigned width = WIDTH_PLAIN, rows = ROWS_PLAIN;

	if (s->is_live) {
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || !w.ws_col || !w.ws_row)
			w = (struct winsize){ .ws_col = 80, .ws_row = 24 };
		width = w.ws_col;
		rows = w.ws_row > HEAD_LINES + 1 ? w.ws_row - HEAD_LINES - 1u : 1;
	}
	if (s->rows && (!s->is_live || s->rows < rows))
		rows = s->rows;
	snprintf(ret, size, "%u %u %s", width, rows, s->sort);
}

static void screen_begin(struct screen *s)
{
	struct termios raw;

	if (!s->is_live || tcgetattr(STDIN_FILENO, &s->before) < 0)
		return;
	raw = s->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);	/* ^C comes as a key */
	raw.c_cc[VMIN] = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static void screen_end(struct screen *s)
{
	if (s->is_live)
		tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
}

static void draw(const struct screen *s, const struct buf *frame)
{
	if (s->is_live)
		fputs("\033[H\033[2J", stdout);
	print_text(stdout, frame);
	fflush(stdout);
}

/* True: a key that ends it, or the input's end. */
static bool wait_for_key(const struct screen *s)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	if (poll(&fd, 1, (int)s->interval_ms) <= 0)
		return false;
	return read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q' || key == 3 || key == 4;
}

static int frames(FILE *f, const struct screen *s)
{
	struct buf frame = BUF_INIT(FRAME_MAX);
	char next[100];
	int code;

	for (;;) {
		code = client_copy(f, &frame);
		draw(s, &frame);
		buf_clear(&frame);
		if (code != CLIENT_FRAME)
			break;
		code = 0;
		if (!s->is_live || wait_for_key(s))
			break;
		wishes(s, next, sizeof(next));
		if (dprintf(fileno(f), "%s\r\n", next) < 0)
			break;
	}
	buf_done(&frame);
	return code;
}

static int top(const char *state, struct screen *s)
{
	char request[160], first[100];
	FILE *f;
	int code;

	wishes(s, first, sizeof(first));
	snprintf(request, sizeof(request), "top %s %s %u", s->json ? "json" : "text", first,
		 s->is_live ? 0u : FIRST_MS);
	f = control_connect(state, request);
	if (!f) {
		client_no_answer(state, errno);
		return 1;
	}
	screen_begin(s);
	code = frames(f, s);
	screen_end(s);
	fclose(f);
	return code;
}

static bool number_parse(const char *text, uint64_t most, unsigned *ret)
{
	uint64_t n;

	if (!text)
		return true;
	if (!str_parse_u64(str_of(text), most, &n) || !n)
		return false;
	*ret = (unsigned)n;
	return true;
}

int control_top_main(int argc, char **argv)
{
	const char *config = CONFIG_PATH_DEFAULT, *folder = NULL, *interval = NULL, *rows = NULL;
	struct screen s = { .sort = "waiting", .interval_ms = 2 };
	bool once = false;
	const struct argument_row options[] = {
		{ "-c", &config, NULL }, { "--state", &folder, NULL }, { "--once", NULL, &once },
		{ "--interval", &interval, NULL }, { "-n", &rows, NULL },
		{ "--sort", &s.sort, NULL }, { "--json", NULL, &s.json },
	};
	char *state;
	int code;

	if (!arguments_parse("top", &argc, argv, options, 7))
		return 2;
	if (argc || !number_parse(interval, 3600, &s.interval_ms) ||
	    !number_parse(rows, 500, &s.rows) || strlen(s.sort) > 20 || strchr(s.sort, ' ')) {
		fputs("relevo top [-c FILE | --state FOLDER] [--once] [--interval SECONDS]\n"
		      "    [-n ROWS] [--sort waiting|rate|in-flight|failures|name] [--json]\n",
		      stderr);
		return 2;
	}
	s.interval_ms *= 1000;
	s.is_live = !once && !s.json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
	state = control_state(config, folder);
	code = state ? top(state, &s) : 1;
	mem_free(state);
	return code;
}
