/*
 * fuzz pop_session - whole POP3 sessions: the input is what a client says, and what a server behind
 * the relay answers.
 *
 * The first octet chooses the door (its three highest bits) and the pieces (relay.h); up to a 0x1b
 * it is the client's, then the server's turns, cut at 0x1b: its greeting, then one for each time
 * that the relay has said something to it. The doors:
 *
 *	0  own users, on this machine		1  the same with APOP
 *	2  own users, for a stranger, who needs TLS	3  TLS at once
 *	4, 5  a server behind: for somebody on this machine, for a stranger
 *	6  one that should have TLS, and has not	7  one that cannot be reached
 *
 * Whoever may relay afterwards has logged in: there was a login by the right password, or the
 * server behind has said "+OK" to one.
 */
#include "pop/service.h"
#include "receive/logins.h"

#include "fuzz/relay.h"

#define DOORS 8

static const char settings[] =
	"version 1\nhostname relay.example\nlog file /dev/null\n"
	"log transcript for 10.0.0.0/8\nsecrets .\n"
	"tls {\n\tcertificate cert\n\tkey key\n}\n"
	"users file users\nlogins { failures_max 3; ban 1m }\n"
	"listen 127.0.0.1:2520\nroute r { host 127.0.0.1:9 }\naccept from pop to any via r\n"
	"pop 127.0.0.1:2530\npop 127.0.0.1:2531 { apop }\n"
	"pop 127.0.0.1:2532 { tls offered }\n"
	"pop 127.0.0.1:2533 { tls implicit }\n"
	"pop 127.0.0.1:2534 { upstream 127.0.0.1:110 tls off }\n"
	"pop 127.0.0.1:2535 { upstream 127.0.0.1:110 tls off; tls offered }\n"
	"pop 127.0.0.1:2536 { upstream 127.0.0.1:110 tls required }\n"
	"pop 127.0.0.1:2537 { upstream 127.0.0.1:111 tls off }\n";

static struct net *net;
static struct pop *pop;
static struct popped *popped;
static struct door_address addresses[DOORS];

/* ---- the server behind */

static struct {
	struct wire *wire;		/* NULL: none, or it is over */
	const uint8_t *p;
	size_t n;
	bool spoke, said_ok;
} upstream;

static bool asked(struct wire *w, const struct endpoint *to)
{
	if (to->port != 110 || upstream.wire)
		return false;
	upstream.wire = w;
	upstream.spoke = true;		/* a greeting is due */
	return true;
}

static void upstream_close(void)
{
	if (upstream.wire)
		wire_close(upstream.wire);
	upstream.wire = NULL;
}

/* One turn, if the relay has said something. */
static bool upstream_turn(void)
{
	struct wire *w = upstream.wire;
	const uint8_t *end;
	size_t n;

	if (!w)
		return false;
	upstream.spoke |= wire_heard(w).n > 0;
	wire_take(w, wire_heard(w).n);
	if (w->relay_closed || (upstream.spoke && !upstream.n)) {
		upstream_close();
		return true;
	}
	if (!upstream.spoke)
		return false;
	end = memchr(upstream.p, 0x1b, upstream.n);
	n = end ? (size_t)(end - upstream.p) : upstream.n;
	upstream.spoke = false;
	upstream.said_ok |= n >= 3 && memmem(upstream.p, n, "+OK", 3);
	wire_say(w, upstream.p, n);
	upstream.p += end ? n + 1 : n;
	upstream.n -= end ? n + 1 : n;
	return true;
}

/* ---- the relay */

static unsigned good_logins;

static int verify(void *logins, const struct config *c, const struct ip *client, struct str name,
		  struct str password, uint64_t deadline)
{
	int r = pop_verify_logins(logins, c, client, name, password, deadline);

	good_logins += r == 1;
	check(r != 1 || str_eq(password, STR("p")));
	return r;
}

static void set_up(void)
{
	struct config *c = relay_configure(settings);
	struct buf warnings = BUF_INIT(4096);
	struct pop_links links = { .verify = verify };

	write_file("u.apop", STR("p\n"));
	wire_asked = asked;
	world_idle = upstream_turn;
	links.net = net = net_new(world_real(), 1, 1);
	log_open(net, c);
	net_start(net);
	links.dns = dns_new(net);
	links.popped = popped = popped_new(1000);
	links.arg = logins_new(world_real(), c, &warnings);
	links.find = pop_find_user;
	links.bans = logins_bans(links.arg);
	pop = pop_new(&links);
	for (unsigned i = 0; i < DOORS; i++)
		addresses[i].endpoint = c->pops[i].endpoint;
	buf_done(&warnings);
}

static unsigned door;

static void begin(void *arg)
{
	struct wire *w = arg;

	atomic_fetch_add(&pop->doors.live, 1);
	check(pop_session_start(&pop->cores[0], &addresses[door], wire_fd(w), &peer));
}

static void connect_once(struct talk *t)
{
	t->wire = wire_new();
	t->wire->local = addresses[door].endpoint;
	world_do(net, begin, t->wire, false);
	client_talk(t);
	check(!pop_sessions(pop));
	upstream_close();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const uint8_t *parting = n ? memchr(p, 0x1b, n) : NULL;
	size_t client_n = parting ? (size_t)(parting - p) : n;
	struct talk t = { .p = p + 1, .n = client_n - 1 };

	if (client_n < 2)
		return 0;
	if (!net)
		set_up();
	door = p[0] >> 5;
	choose_peer(door);
	if (door != 2 && door != 5)
		peer.ip = (struct ip){ 4, { 127, 0, 0, (uint8_t)(1 + peer.ip.bytes[3] % 200) } };
	t.piece = (p[0] & 31) == 31 ? n : p[0] & 31;
	t.speaks_first = door == 3;
	upstream.p = parting ? parting + 1 : p;
	upstream.n = parting ? n - client_n - 1 : 0;
	upstream.said_ok = false;
	good_logins = 0;
	for (unsigned i = 0; i < 4 && (!i || t.n); i++)
		connect_once(&t);
	if (peer.ip.bytes[0] != 127)
		check(!popped_has(popped, &peer.ip, fuzz_now) || good_logins || upstream.said_ok);
	count_input();
	return 0;
}
