/*
 * demo - relevo demo: a relay at work, with nothing to install or to configure.
 *
 * Starts three programs, all of them this one: a relay with a configuration that it writes (and
 * which is worth reading), a burst of mail through it to a sink that proves that all arrived,
 * then a sink that stays. The relay's log goes to the screen. Everything lies in one temporary
 * folder, which is removed at the end. --once ends after the burst.
 */
#include "run/run.h"

#include "base/buf.h"
#include "base/mem.h"
#include "control/arguments.h"
#include "net/world.h"
#include "run/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_DEFAULT 2525
#define BURST "50"		/* messages: enough to see, few enough to read */
#define START_S 15
#define END_S 30

struct demo {
	uint64_t port, sink_port;
	char folder[64];
	char config[80];
	int signals;
	pid_t relay, load, sink;	/* 0: does not run */
	bool once;
	bool interrupted;
	int load_code;
};

static const char config_text[] =
	"# The demo's configuration. \"relevo reference settings\" explains every statement.\n"
	"version 1\n"
	"hostname demo.relevo.example\n"
	"state %s/state              # where waiting mail is kept safe\n"
	"listen 127.0.0.1:%u         # mail comes in here, from this machine only\n"
	"\n"
	"# Where mail goes: the demo's own sink, a server that takes everything and only counts "
	"it.\n"
	"route sink {\n"
	"\thost 127.0.0.1:%u\n"
	"}\n"
	"\n"
	"queue {\n"
	"\tretry 2s 5s 10s 30s     # impatient, so that there is something to see; the default "
	"is minutes\n"
	"}\n"
	"\n"
	"# Who may send what: without a rule that accepts it, mail is refused.\n"
	"accept from local to any via sink\n";

/* ---- children */
static pid_t spawn(char *const argv[], int out)
{
	pid_t parent = getpid(), pid;
	sigset_t none;

	fflush(stdout);
	pid = fork();
	if (pid != 0)
		return pid < 0 ? 0 : pid;
	/* Not in our process group: Ctrl-C is for us to handle, in good order. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (out >= 0) {
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
	} else {
		dup2(STDOUT_FILENO, STDERR_FILENO);	/* one stream, in order */
	}
	execv("/proc/self/exe", argv);
	_exit(127);
}

static void reap(struct demo *d)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == d->relay)
			d->relay = 0;
		if (pid == d->sink)
			d->sink = 0;
		if (pid == d->load) {
			d->load = 0;
			d->load_code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
		}
	}
}

/* Wait that long for a signal; true: the user wants to end. */
static bool rest(struct demo *d, int ms)
{
	struct pollfd p = { .fd = d->signals, .events = POLLIN };

	poll(&p, 1, ms);
	for (int s; (s = signals_next(d->signals));) {
		if (s == SIGINT || s == SIGTERM)
			d->interrupted = true;
		if (s == SIGCHLD)
			reap(d);
	}
	return d->interrupted;
}

static void end_child(struct demo *d, pid_t *pid)
{
	for (int i = 0; *pid && i < END_S * 10; i++) {
		if (i == 0)
			kill(*pid, SIGTERM);
		rest(d, 100);
	}
	if (*pid)
		kill(*pid, SIGKILL);
}

/* ---- the folder */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static bool folder_make(struct demo *d)
{
	FILE *f;

	snprintf(d->folder, sizeof(d->folder), "/tmp/relevo-demo-%d", (int)getpid());
	snprintf(d->config, sizeof(d->config), "%s/relevo.conf", d->folder);
	if (mkdir(d->folder, 0700) < 0) {
		fprintf(stderr, "relevo demo: cannot make the folder %s: %s.\n", d->folder,
			strerror(errno));
		return false;
	}
	f = fopen(d->config, "we");
	if (!f)
		return false;
	fprintf(f, config_text, d->folder, (unsigned)d->port, (unsigned)d->sink_port);
	return fclose(f) == 0;
}

/* ---- ports */
static bool answers(uint64_t port)
{
	struct world *w = world_real();
	struct endpoint e = { .ip = { 4, { 127, 0, 0, 1 } }, .port = (uint16_t)port };
	struct pollfd p = { .fd = w->sock_connect(w, NULL, &e), .events = POLLOUT };
	bool yes = p.fd >= 0 && poll(&p, 1, 1000) == 1 && w->sock_error(w, p.fd) == 0;

	if (p.fd >= 0)
		w->sock_close(w, p.fd);
	return yes;
}

/* A port that nothing listens on, chosen by the kernel. */
static uint64_t free_port(void)
{
	struct world *w = world_real();
	struct endpoint e = { .ip = { 4, { 127, 0, 0, 1 } } };
	int fd = w->sock_listen(w, &e, 1);

	if (fd < 0)
		return 0;
	if (w->sock_local(w, fd, &e) < 0)
		e.port = 0;
	w->sock_close(w, fd);
	return e.port;
}

static bool wait_for_answer(struct demo *d, uint64_t port, const pid_t *pid)
{
	for (int i = 0; i < START_S * 20 && *pid && !d->interrupted; i++) {
		if (answers(port))
			return true;
		rest(d, 50);
	}
	return false;
}

/* ---- the acts */
static bool start_relay(struct demo *d)
{
	char *argv[] = { (char *)"relevo", (char *)"run", (char *)"-c", d->config, NULL };

	printf("Starting a relay: relevo run -c %s\n\n", d->config);
	d->relay = spawn(argv, -1);
	if (wait_for_answer(d, d->port, &d->relay))
		return true;
	if (!d->interrupted)
		fputs("relevo demo: the relay did not start.\n", stderr);
	return false;
}

static bool run_burst(struct demo *d)
{
	char server[32], sink[32];
	char *argv[] = { (char *)"relevo", (char *)"load", (char *)"--server", server,
		(char *)"--sink", sink,
			 (char *)"--count", (char *)BURST, (char *)"--connections", (char *)"3",
				 NULL };

	snprintf(server, sizeof(server), "127.0.0.1:%u", (unsigned)d->port);
	snprintf(sink, sizeof(sink), "127.0.0.1:%u", (unsigned)d->sink_port);
	printf("\nNow " BURST " messages go through it to a sink on port %u. The lines below are "
			      "the relay's log:\n"
	       "\"received\" is a message that is safe on disk, \"relayed\" one that the next "
	       "server has taken.\n\n",
	       (unsigned)d->sink_port);
	d->load = spawn(argv, -1);
	while (d->load && d->relay && !rest(d, 200))
		;
	end_child(d, &d->load);
	if (d->interrupted)
		return false;
	if (d->load_code != 0)
		puts("\nNot all of it arrived: that should not happen.");
	return d->load_code == 0;
}

static bool start_sink(struct demo *d)
{
	char listen[32];
	char *argv[] = { (char *)"relevo", (char *)"sink", (char *)"--listen", listen,
		(char *)"--quiet", NULL };
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", (unsigned)d->sink_port);
	d->sink = spawn(argv, null);
	close(null);
	return wait_for_answer(d, d->sink_port, &d->sink);
}

static void say_what_next(const struct demo *d)
{
	char self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	printf("\nAll of it arrived. The relay stays up on 127.0.0.1:%u; in another window, "
	       "try:\n\n"
	       "  printf 'Subject: hello\\n\\nFirst message.\\n' |\n"
	       "      %s send --server 127.0.0.1:%u --from me@example.org --to you@example.com\n"
	       "  swaks --server 127.0.0.1:%u --from me@example.org --to you@example.com\n",
	       (unsigned)d->port, self, (unsigned)d->port, (unsigned)d->port);
	printf("  %s explain -c %s --client 192.0.2.1 --from a@b.example --to c@d.example\n"
	       "  %s queue -c %s\n\n"
	       "To see mail wait and be retried, stop the sink (kill %d) and send again: the "
	       "queue then says why it\n"
	       "waits. %s is a configuration to start from.\n\n"
	       "Ctrl-C ends the demo and removes what it made.\n\n", self, d->config, self,
		       d->config, (int)d->sink,
	       d->config);
	fflush(stdout);
}

static int play(struct demo *d)
{
	bool all;

	if (!start_relay(d))
		return d->interrupted ? 0 : 1;
	all = run_burst(d);
	if (d->interrupted)
		return 0;
	if (d->once || !all || !start_sink(d))
		return all ? 0 : 1;
	say_what_next(d);
	while (d->relay && !rest(d, -1))
		;
	return 0;
}

static bool parse_port(const char *text, uint64_t *ret)
{
	if (!text || (str_parse_u64(str_of(text), UINT16_MAX, ret) && *ret))
		return true;
	fprintf(stderr, "relevo demo: \"%s\" is no port.\n", text);
	return false;
}

int demo_main(int argc, char **argv)
{
	struct demo d = { .port = PORT_DEFAULT };
	const char *port = NULL;
	const struct argument_row rows[] =
		{ { "--port", &port, NULL }, { "--once", NULL, &d.once } };
	int code;

	if (!arguments_parse("demo", &argc, argv, rows, 2) || !parse_port(port, &d.port))
		return 2;
	if (answers(d.port)) {
		fprintf(stderr, "relevo demo: something listens on 127.0.0.1:%u already; choose "
				"another with --port.\n",
			(unsigned)d.port);
		return 1;
	}
	d.sink_port = free_port();
	d.signals = signals_open();
	if (!d.sink_port || d.signals < 0 || !folder_make(&d))
		return 1;
	code = play(&d);
	end_child(&d, &d.relay);
	end_child(&d, &d.sink);
	nftw(d.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	close(d.signals);
	return code;
}
