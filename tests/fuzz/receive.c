/*
 * fuzz receive - whole server sessions: the input is what a client does, over a socket pair.
 *
 * The first octet chooses the door (its three highest bits) and the pieces in which the rest is
 * sent (0: line by line; 31: all of it at once); the second what the DNS says of the client, and
 * whether it shows a certificate. In the rest there are marks for handshakes, logins and a second
 * connection (relay.h). The doors:
 *
 *	0  a stranger		1  a client on this machine: logins without TLS, ETRN
 *	2  a proxy that must say PROXY, and may say XCLIENT
 *	3  a stranger; TLS is offered, certificates are asked for, logins
 *	4  a stranger where TLS and a login are required	5  TLS at once, on this machine
 *	6  a stranger of whom much is asked: greylisting, names, patience
 *	7  a client who has looked at his mail, and small limits
 *
 * Net, spool, schedule and what is asked about strangers, users and recipients are the real ones,
 * on one loop and a spool in memory (/dev/shm); what was received is deleted from the queue after
 * each session, as an operator would, so memory and disk do not grow. The session is started where
 * the listener would start it. Recipients whose names begin with "n" do not exist, "l" the hosts
 * will not tell now, "x" nobody can be asked.
 */
#include "receive/logins.h"
#include "receive/service.h"
#include "receive/session.h"
#include "policy/recipients.h"
#include "policy/strangers.h"

#include "fuzz/queue.h"
#include "fuzz/relay.h"

#define DOORS 8
#define TIMES "timeout 5s; data_timeout 5s; "
#define PLENTY "greylist off; dns_list none; "

static const char settings[] =
	"version 1\nhostname relay.example\nlog file /dev/null\n"
	"log transcript for 10.6.0.0/16 10.7.0.0/16\n"
	"tls {\n\tcertificate cert\n\tkey key\n\tclient_ca cert\n}\n"
	"users file users\nusers introspect http://127.0.0.1:1/token\n"
	"logins { failures_max 3; ban 1m }\n"
	"clients {\n\tdns_list zen.example = 127.0.0.2 weight 2\n\tdns_list other.example\n"
	"\tdns_list allow.example weight 5 allow\n\tdns_list_reject 2\n\thelo_check valid\n}\n"
	"listen 127.0.0.1:2520 { " TIMES "tls off }\n"
	"listen 127.0.0.1:2521 { " TIMES "login mechanisms plain login scram-sha-256 scram-sha-1 "
	"xoauth2 oauthbearer }\n"
	"listen 127.0.0.1:2522 { " TIMES PLENTY "proxy from 10.2.0.0/16 127.0.0.0/8; "
	"xclient from 10.2.0.0/16 192.0.2.0/24 127.0.0.0/8 }\n"
	"listen 127.0.0.1:2523 { " TIMES PLENTY "tls offered; client_certificates; login "
	"mechanisms plain login scram-sha-256 scram-sha-256-plus scram-sha-1-plus }\n"
	"listen 127.0.0.1:2524 { " TIMES "tls required; submission }\n"
	"listen 127.0.0.1:2525 { " TIMES "tls implicit; submission; client_certificates }\n"
	"listen 127.0.0.1:2526 { " TIMES "greylist delay 2s window 1h; greet_delay 1s; "
	"early_talker reject; tarpit 3s after 1; reverse_name matching; helo_check resolves; "
	"null_one_recipient on; errors_max 5; dns_list zen.example }\n"
	"listen 127.0.0.1:2527 { " TIMES PLENTY "session_max 30s; rate_min 1K/s; errors_max 2; "
	"banner \"no mail for strangers\"; reverse_name required }\n"
	"route inside {\n\thost 127.0.0.1:9\n\tetrn from 127.0.0.0/8 192.0.2.0/24\n"
	"\trecipients callout\n}\n"
	"route small {\n\thost 127.0.0.1:9\n\tquota 10K 1 messages\n\tetrn from table near\n"
	"\trecipients table people\n}\n"
	"table near { 127.0.0.0/8 10.3.0.0/16 }\n"
	"table people { u@small.example a@small.example b@small.example }\n"
	"limit 3 connections per client\nlimit 5/h messages per client\n"
	"limit 20 connections per client-network\n"
	"pop 127.0.0.1:2530\n"
	"postmaster p@ours.example via inside\n"
	"message {\n\tsize_max 4K\n\trecipients_max 20\n\thops_max 10\n}\n"
	"queue {\n\twarn_after never\n}\n"
	"reject from any to address gone@ours.example \"this person has left\"\n"
	"reject from helo .dyn.example to any\n"
	"accept from any to domain ours.example via inside\n"
	"accept from any to domain small.example via small\n"
	"accept from login to any via inside { tag people }\n"
	"accept from certificate to any via inside\n"
	"accept from pop to any via mx\n"
	"accept from local sender a@b.example to any via inside\n";

static struct receive *receive;
static struct listening listenings[DOORS];
static struct popped *popped;
static unsigned door;

static int call_out(void *arg, const struct config *c, const struct route *r,
		    struct str recipient)
{
	(void)arg, (void)c, (void)r;
	switch (recipient.p[0]) {
	case 'n':
		return WORD_NO;
	case 'l':
		return WORD_LATER;
	case 'x':
		return WORD_NONE;
	}
	return WORD_YES;
}

static void ask_others(struct config *c)
{
	struct buf warnings = BUF_INIT(4096);
	struct receive_helpers h = {
		.strangers = strangers_new(net, dns_new(net), NULL),
		.logins = logins_new(world_real(), c, &warnings),
		.popped = popped = popped_new(1000),
		.recipients = recipients_new(&(struct recipients_ask){ call_out, NULL }, 1000),
		.quota = schedule_quota(schedule),
	};

	receive_help(receive, &h);
	if (warnings.n)
		fputs(buf_cstr(&warnings), stderr);
	buf_done(&warnings);
}

static void set_up(void)
{
	struct config *c = relay_configure(settings);

	queue_open(c);
	receive = receive_new(net, spool, schedule);
	ask_others(c);
	for (uint16_t i = 0; i < DOORS; i++) {
		if (!endpoint_parse(STR("127.0.0.1:2520"), 0, &listenings[i].at.endpoint))
			abort();
		listenings[i].at.endpoint.port += i;
	}
}

/* ---- on the loop */

static void begin(void *arg)
{
	struct wire *w = arg;

	atomic_fetch_add(&receive->doors.live, 1);
	atomic_fetch_add(&receive->receptions[0].sessions_n, 1);
	atomic_fetch_add(&listenings[door].sessions_n, 1);
	check(session_start(&receive->receptions[0], &listenings[door], wire_fd(w), &peer));
}

/* ---- a connection */

static void connect_once(struct talk *t)
{
	t->wire = wire_new();
	t->wire->local = listenings[door].at.endpoint;
	world_do(net, begin, t->wire, false);
	client_talk(t);
	check(!receive_sessions(receive));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct talk t = { .p = p + 2, .n = n - 2 };

	if (n < 3)
		return 0;
	if (!net)
		set_up();
	door = p[0] >> 5;
	choose_peer(door);
	if (door == 1 || door == 5)
		peer.ip = (struct ip){ 4, { 127, 0, 0, 1 } };
	if (door == 7)
		popped_add(popped, &peer.ip, fuzz_now, 60 * SECOND);
	t.piece = (p[0] & 31) == 31 ? n : p[0] & 31;
	t.speaks_first = door == 2 || door == 5;
	t.shows_certificate = p[1] & 1;
	dns_says = p[1];
	for (unsigned i = 0; i < 4 && (!i || t.n); i++)
		connect_once(&t);
	world_do(net, queue_empty, NULL, true);
	count_input();
	return 0;
}
