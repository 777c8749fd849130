/*
 * Name servers for the tests: tests/e2e/dns.py in a process of its own, which ends with its input.
 * Tests run in the tree's root.
 */
#ifndef UNIT_DNS_SERVER_H
#define UNIT_DNS_SERVER_H

#include "unit/net/run.h"

#include <sys/wait.h>

struct server {
	pid_t pid;
	int input;
	uint16_t port;
	char folder[64];
};

static inline bool nsd_is_there(void)
{
	return access("/usr/sbin/nsd", X_OK) == 0;
}

/* kind: "nsd", "scripted" (arg: its port, or 0), "root" (its address). False: it did not start. */
static inline bool server_start(struct server *s, const char *kind, const char *arg)
{
	int in[2], out[2];
	char line[32] = "";
	size_t at = 0;

	str_copy(s->folder, sizeof(s->folder), STR("/tmp/relevo-dns-XXXXXX"));
	if (!mkdtemp(s->folder) || pipe(in) < 0 || pipe(out) < 0)
		return false;
	s->pid = fork();
	if (s->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		execlp("python3", "python3", "-B", "tests/e2e/dns.py", kind, s->folder, arg, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	while (at + 1 < sizeof(line) && read(out[0], line + at, 1) == 1 && line[at] != '\n')
		at++;
	close(out[0]);
	s->input = in[1];
	s->port = (uint16_t)strtoul(line, NULL, 10);
	return s->port != 0;
}

static inline void server_stop(struct server *s)
{
	char command[96];

	close(s->input);
	waitpid(s->pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->folder);
	CHECK_EQ(system(command), 0);
}

#endif
