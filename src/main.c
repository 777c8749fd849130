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

static const struct command {
	const char *name, *arguments, *help;
	int (*run)(int argc, char **argv);
	bool own_help;		/* it explains its options itself */
} commands[] = {
	{ "run", "[-c FILE]", "run the relay in the foreground", run_main, false },
	{ "check", "[-c FILE] [--quiet]", "look for errors in a configuration", check_main, false },
	{ "explain", "[-c FILE] --client IP [--login NAME] --from ADDRESS --to ADDRESS",
	  "tell which rule decides, and where mail goes", explain_main, false },
	{ "reload", "[-c FILE | --state FOLDER]", "put a changed configuration in force",
	  control_reload_main, false },
	{ "queue",
	  "[-c FILE | --state FOLDER] [--json]\n"
	  "           [list] | status | show ID... | retry|hold|release|delete ID...|all",
	  "look at waiting mail, and act on it", control_queue_main, false },
	{ "spool",
	  "check [-c FILE | --state FOLDER]\n"
	  "       relevo spool dump [-c FILE | --state FOLDER] [--segment N] [--message ID]\n"
	  "           [--json]",
	  "verify every octet of the spool, or show what is in it", spool_main, false },
	{ "backup", "[-c FILE | --state FOLDER] TARGET",
	  "copy the spool, of a running relay or not, to a new folder", backup_main, false },
	{ "restore", "[-c FILE | --state FOLDER] [--old FOLDER] [--redeliver] SOURCE",
	  "make a spool of a backup; its messages are held until released", restore_main, false },
	{ "send", "[OPTION]... [FILE]", "send one message by SMTP or LMTP", send_main, true },
	{ "sink", "[OPTION]...", "an SMTP server that takes mail and counts it, or fails as told",
	  sink_main, true },
	{ "load", "[OPTION]...", "send many messages, measure, prove that all arrived", load_main,
	  true },
	{ "demo", "[--port N] [--once]", "try it now: a relay, a sink and some mail", demo_main,
	  false },
	{ "reference", "settings|events", "print the reference pages", reference_main, false },
	{ "version", "", "print the version", version_main, false },
	{ "help", "[COMMAND]", "print this", help_main, false },
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
	printf("Usage: relevo %s %s\n    %s\n", c->name, c->arguments, c->help);
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
