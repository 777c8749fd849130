/*
 * rig - a POP3 service with one listening address, clients that block, and users: for the tests of
 * pop/.
 */
#ifndef UNIT_POP_RIG_H
#define UNIT_POP_RIG_H

#include "pop/pop.h"

#include "base/hash.h"
#include "pop/command.h"
#include "unit/net/run.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#define ANSWER_MS 10000
#define MINUTE (60 * SECOND)

static struct ip peer;			/* what clients are taken for; family 0: who they are */
static struct world world;
static struct net *net;
static struct dns *dns;
static struct pop *pop;
static struct popped *popped;
static struct bans *bans;
static struct strangers *strangers;
static struct config config = { .refs = 1000000, .hostname = STR("relay.example") };
static struct config_pop settings;
static struct endpoint at;
static int listening;
static unsigned verified;

static inline int accept_as(struct world *w, int fd, struct endpoint *ret)
{
	int r = world_real()->sock_accept(w, fd, ret);

	if (r >= 0 && peer.family)
		ret->ip = peer;
	return r;
}

static inline int verify(void *arg, const struct config *c, const struct ip *client,
			 struct str name, struct str password, uint64_t deadline)
{
	(void)arg;
	(void)client;
	(void)deadline;
	verified++;
	if (c != &config || str_eq(name, STR("broken")))
		return -ETIMEDOUT;
	return str_eq(name, STR("anna")) && str_eq(password, STR(" pass word"));
}

/* Anna stands in the users file with her address, Eve is disabled. */
static inline int find(void *arg, const struct config *c, struct str name, struct buf *ret)
{
	(void)arg;
	if (c != &config || str_eq(name, STR("broken")))
		return -EAGAIN;
	if (!str_eq_nocase(name, STR("anna@a.example")))
		return 0;
	buf_add_lit(ret, "anna@a.example");
	return 1;
}

static inline int admit(void *arg, const struct config *c, struct str name)
{
	(void)arg;
	if (c != &config || str_eq(name, STR("broken")))
		return -EAGAIN;
	return !str_eq_nocase(name, STR("eve"));
}

static inline void rig_open(void)
{
	static const struct ban_limits limits = {
		.free = 2, .forget_ms = 60000, .delay_ms = 1, .delay_max_ms = 1,
		.name_delay_max_ms = 1, .ban_after = 3, .ban_ms = 60000, .ban_max_ms = 60000,
		.entries_max = 100,
	};
	struct pop_links links = { .verify = verify, .find = find, .admit = admit };

	world = *world_real();
	world.sock_accept = accept_as;
	links.net = net = net_new(&world, 2, 2);
	links.dns = dns = dns_new(net);
	links.popped = popped = popped_new(1000);
	links.bans = bans = bans_new(&limits);
	links.strangers = strangers = strangers_new(net, dns, NULL);
	net_start(net);
	pop = pop_new(&links);
	listening = listen_on("127.0.0.1", &at);
	settings.endpoint = at;
	settings.allow_ns = 30 * MINUTE;
	config.pops = &settings;
	config.pops_n = 1;
	config_set_current(config_ref(&config));
	assert_int_equal(pop_listen(pop, listening, &at), 0);
	assert_int_equal(pop_listen(pop, listening, &at), -EEXIST);
}

static inline void rig_close(void)
{
	pop_stop(pop, 0);
	assert_int_equal(pop_sessions(pop), 0);
	net_stop(net);
	pop_free(pop);
	strangers_free(strangers);
	dns_free(dns);
	popped_free(popped);
	bans_free(bans);
	config_set_current(NULL);
	close(listening);
	settings = (struct config_pop){ .apop = false };
	peer = (struct ip){ 0 };
	config.secrets = NULL;
	config.tls.server = NULL;
	config.limits_n = 0;
}

/* ---- a client, which blocks */

static inline int dial(uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What comes until it ends with that, or the connection does. */
static inline const char *hear(int fd, const char *end)
{
	static char text[65536];
	size_t n = 0, end_n = strlen(end);

	text[0] = 0;
	while (n < end_n || memcmp(text + n - end_n, end, end_n) != 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r = -1;

		if (poll(&p, 1, ANSWER_MS) == 1)
			r = recv(fd, text + n, sizeof(text) - 1 - n, 0);

		if (r < 0)
			fail_msg("no answer: \"%s\"", text);
		if (r == 0)
			break;
		n += (size_t)r;
		text[n] = 0;
	}
	return text;
}

#define TALK(fd, line, expected) talk(fd, line, expected, __LINE__)
static inline void talk(int fd, const char *line, const char *expected, int at_line)
{
	const char *said;

	say(fd, line);
	said = hear(fd, "\r\n");
	if (strncmp(said, expected, strlen(expected)) != 0)
		fail_msg("line %d: %s: \"%s\", not \"%s\"", at_line, line, said, expected);
}

static inline bool has_popped(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(str_of(text), &ip));
	return popped_has(popped, &ip, world_real()->now(world_real()));
}

static inline int greeted(void)
{
	int fd = dial(at.port);

	assert_true(strncmp(hear(fd, "\r\n"), "+OK", 3) == 0);
	return fd;
}

#endif
