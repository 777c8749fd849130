/*
 * main - the command line: one table of commands, and nothing else.
 *
 * A row is a name, the arguments as help shows them, one line of help, and the function that does
 * it. Every function takes the arguments behind its name and returns the exit code: 0 done, 1 not
 * done (what is wrong was said in a sentence on standard error), 2 wrong usage.
 */
#include "base/hash.h"
#include "control/control.h"
#include "net/world.h"
#include "run/run.h"
#include "tool/tool.h"

#include <stdbool.h>

#define VERSION "0.1"

static int version_main(int argc, char **argv);
static int help_main(int argc, char **argv);

/* The language of docs/guide/delivery.md, in short. */
static const char queue_help[] =
	"\nA QUERY is \"all\", message ids, or conditions, all of which must fit:\n"
	"    sender|recipient X   an address, a domain, .domain (below it), <> (the null sender)\n"
	"    domain X             of the recipient\n"
	"    destination X        a domain, or the route that mail takes\n"
	"    provider|route|tag X\n"
	"    age '>2h', size '<1M'  in quotes, for the shell; or: age over 2h, size under 1M\n"
	"    status X             queued, ready, waiting, held, deferred, new, in-flight,\n"
	"                         suspended, limited, resting\n"
	"    id ID\n"
	"X may have * wildcards and be several, separated by commas; \"not\" before a condition\n"
	"turns it round. hold, release and retry act on whole messages; bounce, delete and\n"
	"reroute on the recipients that fit. --dry-run only tells what would be done. count by:\n"
	"destination, domain, provider, route, sender, tag, status.\n";

static const char user_help[] =
	"    add NAME [SENDER]...    asks for the password; or --password-stdin\n"
	"    passwd NAME             the same for a new one; both know --scram-sha-1, --no-scram\n"
	"    allow NAME SENDER...    as whom it may send, in place of what was; or --own\n"
	"    disable|enable|remove NAME, list\n"
	"A SENDER is an address, a domain, .domain (below it), or * for any. The file is the one\n"
	"that the configuration names (-c FILE), or -f FILE.\n";

static const struct command {
	const char *name, *arguments, *help;
	int (*run)(int argc, char **argv);
	bool own_help;		/* it explains its options itself */
	const char *more;	/* printed behind its help; or NULL */
} commands[] = {
	{ "run", "[-c FILE]", "run the relay in the foreground", run_main, false, NULL },
	{ "check", "[-c FILE] [--quiet]", "look for errors in a configuration", check_main, false,
	  NULL },
	{ "explain",
	  "[-c FILE] --client IP [--login NAME] [--pop] [--helo NAME]\n"
	  "           [--certificate FINGERPRINT] --from ADDRESS --to ADDRESS\n"
	  "       relevo explain [-c FILE | --state FOLDER] [--json] --destination NAME",
	  "tell which rule decides, and where mail goes; or why it waits", explain_main, false,
	  NULL },
	{ "reload", "[-c FILE | --state FOLDER]", "put a changed configuration in force",
	  control_reload_main, false, NULL },
	{ "queue",
	  "[-c FILE | --state FOLDER] [--json] [--dry-run]\n"
	  "           [list] [QUERY] | status | count [QUERY] [by WHAT] | show QUERY |\n"
	  "           retry|hold|release|delete QUERY | bounce QUERY [\"TEXT\"] |\n"
	  "           reroute QUERY via ROUTE",
	  "look at waiting mail, and act on it", control_queue_main, false, queue_help },
	{ "suspend",
	  "[-c FILE | --state FOLDER] [--json] [--force]\n"
	  "           [destination|provider|source|route NAME [\"WHY\"]]",
	  "let nothing go there until resumed; without words: list what is suspended",
	  control_suspend_main, false, NULL },
	{ "resume",
	  "[-c FILE | --state FOLDER] [--json] destination|provider|source|route NAME",
	  "end a suspension", control_resume_main, false, NULL },
	{ "top",
	  "[-c FILE | --state FOLDER] [--once] [--interval SECONDS] [-n ROWS]\n"
	  "           [--sort waiting|rate|in-flight|failures|name] [--json]",
	  "watch the destinations: what waits, how fast it goes, why it does not", control_top_main,
	  false, NULL },
	{ "spool",
	  "check [-c FILE | --state FOLDER]\n"
	  "       relevo spool dump [-c FILE | --state FOLDER] [--segment N] [--message ID]\n"
	  "           [--json]",
	  "verify every octet of the spool, or show what is in it", spool_main, false, NULL },
	{ "backup", "[-c FILE | --state FOLDER] TARGET",
	  "copy the spool, of a running relay or not, to a new folder", backup_main, false, NULL },
	{ "restore", "[-c FILE | --state FOLDER] [--old FOLDER] [--redeliver] SOURCE",
	  "make a spool of a backup; its messages are held until released", restore_main, false,
	  NULL },
	{ "user", "add|list|passwd|disable|enable|remove|allow [NAME] [SENDER]... [-f FILE]",
	  "say who may log in, and as whom they may send", user_main, false, user_help },
	{ "send", "[OPTION]... [FILE]", "send one message by SMTP or LMTP", send_main, true, NULL },
	{ "sink", "[OPTION]...", "an SMTP server that takes mail and counts it, or fails as told",
	  sink_main, true, NULL },
	{ "load", "[OPTION]...", "send many messages, measure, prove that all arrived", load_main,
	  true, NULL },
	{ "demo", "[--port N] [--once]", "try it now: a relay, a sink and some mail", demo_main,
	  false, NULL },
	{ "reference", "settings|events|errors", "print the reference pages", reference_main, false,
	  NULL },
	{ "version", "", "print the version", version_main, false, NULL },
	{ "help", "[COMMAND]", "print this", help_main, false, NULL },
};

#define COMMANDS_N (sizeof(commands) / sizeof(commands[0]))

static int version_main(int argc, char **argv)
{
	(void)argv;
	if (argc) {
		fputs("relevo version takes no arguments.\n", stderr);
		return 2;
	}
	puts("relevo " VERSION);
	return 0;
}

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMANDS_N; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	const struct command *best = NULL;
	unsigned distance = 3;	/* more is no slip of the finger */

	for (size_t i = 0; i < COMMANDS_N; i++) {
		unsigned d = str_distance(str_of(name), str_of(commands[i].name));

		if (d < distance) {
			distance = d;
			best = &commands[i];
		}
	}
	fprintf(stderr, "relevo: there is no command \"%s\"", name);
	if (best)
		fprintf(stderr, "; did you mean \"%s\"?\n", best->name);
	else
		fputs("; \"relevo help\" lists them.\n", stderr);
	return 2;
}

static int command_help(const struct command *c)
{
	char *help = (char *)"--help";

	if (c->own_help)
		return c->run(1, &help);
	printf("Usage: relevo %s %s\n    %s\n%s", c->name, c->arguments, c->help,
	       c->more ? c->more : "");
	return 0;
}

static int help_main(int argc, char **argv)
{
	if (argc > 0) {
		const struct command *c = command_find(argv[0]);

		if (!c)
			return unknown_command(argv[0]);
		return command_help(c);
	}
	puts("Relevo, a mail relay: takes mail, keeps it safe, hands it on, and tells what "
	     "became of it.\n");
	for (size_t i = 0; i < COMMANDS_N; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].help);
	puts("\nBegin with \"relevo demo\", or write a configuration and run it:\n"
	     "\n"
	     "  relevo check -c relevo.conf\n"
	     "  relevo run -c relevo.conf\n"
	     "\n"
	     "\"relevo reference settings\" explains every setting; without -c the file is\n"
	     "/etc/relevo/relevo.conf. \"relevo help COMMAND\" shows the arguments of one.");
	return 0;
}

static const char *alias(const char *word)
{
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return "help";
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		return "version";
	return word;
}

int main(int argc, char **argv)
{
	struct world *w = world_real();
	const struct command *c;
	uint64_t key[2];
	int r;

	w->random(w, key, sizeof(key));
	hash_seed(key[0], key[1]);
	if (argc < 2)
		return help_main(0, NULL);
	c = command_find(alias(argv[1]));
	if (!c)
		return unknown_command(argv[1]);
	if (argc == 3 && strcmp(alias(argv[2]), "help") == 0 && !c->own_help)
		return command_help(c);
	r = c->run(argc - 2, argv + 2);
	if (fflush(stdout) != 0 && r == 0) {
		perror("relevo: standard output");
		r = 1;
	}
	return r;
}
