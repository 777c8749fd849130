/*
 * fuzz state_files - what is read back from the state folder at a start, and other small texts.
 *
 * The first octet chooses the reader, the rest is the file, or the text. A file is read from a real
 * folder (in memory); what is kept afterwards is bounded, can be asked, and where it is written
 * again it is read back to the same.
 */
#include "config/value.h"
#include "dns/hosts_file.h"
#include "dns/wire.h"
#include "policy/bans.h"
#include "policy/greylist.h"
#include "policy/recipients.h"
#include "policy/users.h"
#include "report/log.h"
#include "run/link.h"
#include "schedule/home.h"
#include "schedule/limits.h"
#include "smtp/address.h"
#include "smtp/base64.h"
#include "spool/inner.h"
#include "verify/sts.h"
#include "verify/sts_store.h"
#include "verify/tlsrpt_report.h"

#include "fuzz/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct net *net;
static struct dns *dns;
static int folder_fd;

static const char settings[] =
	"version 1\nlog file /dev/null\nlisten 127.0.0.1:2525\n"
	"source s address 127.0.0.2 { warm_up from 2026-09-01 100 1000 }\n"
	"route r { host 127.0.0.1:9; source s }\naccept from local to any via r\n"
	"tls_reports { from a@b.example; organization \"O\" }\n"
	"limit 10/min messages per destination\nlimit 100/day recipients per source to domain a.b\n"
	"limit 1M/h bytes per provider\n";

static int no_such_name(struct world *w, struct dns_query *q)
{
	(void)w;
	q->status = DNS_NXDOMAIN;
	q->ttl = 60;
	q->records_n = 0;
	q->done(q);
	return 0;
}

static void set_up(void)
{
	struct buf messages = BUF_INIT(65536);
	struct config_source source = { .path = "t.conf", .text = settings,
					.text_n = sizeof(settings) - 1, .is_alone = true,
					.host_name = "relay.example" };
	unsigned errors, warnings;
	struct config *c = config_load_from(&source, &messages, &errors, &warnings);

	if (!c)
		fputs(buf_cstr(&messages), stderr);
	check(c);
	buf_done(&messages);
	config_set_current(c);
	world_bend();
	world_real()->dns_ask = no_such_name;
	folder_make();
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY);
	net = net_new(world_real(), 1, 1);
	log_open(net, c);
	net_start(net);
	dns = dns_new(net);
}

static char *read_back(const char *name, size_t *ret_n)
{
	static char text[1 << 20];
	int fd = openat(folder_fd, name, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));

	close(fd);
	*ret_n = n > 0 ? (size_t)n : 0;
	return text;
}

/* ---- STATE/greylist: saved again it holds no more, and is read without a fault */

static unsigned greylist_once(void)
{
	const struct greylist_times times = { 1000, 100000, 1000000 };
	const struct greylist_triple x = { .client = { 4, { 192, 0, 2, 1 } },
					   .sender = STR("a@b.example"),
					   .recipient = STR("c@d.example") };
	struct world *w = world_real();
	struct greylist *g = greylist_new(100, 50);
	struct greylist_stats stats;
	uint64_t seconds;

	greylist_keep(g, w, folder);
	greylist_ask(g, &times, &x, w->wall_ms(w), &seconds);
	greylist_good(g, &times, &x.client, STR("client.example"), w->wall_ms(w));
	greylist_stats(g, &stats);
	check(stats.triples <= 100 && stats.networks <= 50);
	greylist_stop(g);
	greylist_free(g);
	return stats.triples + stats.networks;
}

static void greylist(struct str file)
{
	unsigned kept;

	write_file("greylist", file);
	kept = greylist_once();
	check(greylist_once() <= kept);
}

/* ---- STATE/bans */

static unsigned bans_once(void)
{
	const struct ban_limits limits = { .free = 2, .forget_ms = 60000, .delay_ms = 1000,
					   .delay_max_ms = 8000, .name_delay_max_ms = 1000,
					   .ban_after = 3, .ban_ms = 60000, .ban_max_ms = 600000,
					   .entries_max = 50 };
	const struct ip ip = { 4, { 192, 0, 2, 1 } };
	struct bans *b = bans_new(&limits);
	struct bans_stats stats;

	bans_keep(b, world_real(), folder);
	bans_failed(b, &ip, STR("u"), 1, fuzz_now);
	check(bans_banned_ms(b, &ip, fuzz_now) <= 600000);
	bans_stats(b, &stats);
	check(stats.networks <= 50);
	bans_stop(b);
	bans_free(b);
	return stats.networks;
}

static void bans(struct str file)
{
	unsigned kept;

	write_file("bans", file);
	kept = bans_once();
	check(bans_once() <= kept);
}

/* ---- STATE/recipients */

static unsigned recipients_once(void)
{
	struct recipients *x = recipients_new(&(struct recipients_ask){ NULL, NULL }, 50);
	unsigned n;

	recipients_keep(x, world_real(), folder);
	n = recipients_count(x);
	check(n <= 50);
	recipients_stop(x);
	recipients_free(x);
	return n;
}

static void recipients(struct str file)
{
	unsigned kept;

	write_file("recipients", file);
	kept = recipients_once();
	check(recipients_once() <= kept);
}

/* ---- STATE/limits: written again at the end, and read once more */

static void limits(struct str file)
{
	write_file("limits", file);
	for (int i = 0; i < 2; i++) {
		struct net *own = net_new(world_real(), 1, 0);
		struct limits *l;

		net_start(own);
		l = limits_new(own, folder);
		world_settle();
		limits_stop(l);
		net_stop(own);
		limits_free(l);
	}
}

/* ---- STATE/suspended */

static void suspended(struct str file)
{
	struct suspended *s;

	write_file("suspended", file);
	s = suspended_open(world_real(), folder);
	for (int kind = 0; kind < 4; kind++) {
		const struct suspension *x = suspended_find(s, (enum suspend_kind)kind,
							    STR("a.example"));

		check(!x || suspended_has(s, (enum suspend_kind)kind));
	}
	suspended_unref(s);
	/* Damaged lines are gone: the file as it is now is read without a fault. */
	s = suspended_open(world_real(), folder);
	suspended_unref(s);
	unlinkat(folder_fd, "suspended.damaged", 0);
}

/* ---- what is counted for TLS reports, and policies of MTA-STS: a file for each domain */

static void write_in(const char *below, const char *name, struct str file)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", folder, below);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s", below, name);
	write_file(path, file);
}

/* Sessions of today are counted in what was read; yesterday is reported, to nobody. */
static void count_and_report(void *arg)
{
	const struct tlsa record = { 3, 0, 1, STR("0123456789abcdef0123456789abcdef") };
	struct tlsrpt_session s = { .domain = STR("a.example"), .host = STR("mx.a.example"),
				    .records = &record, .records_n = 1, .why = STR("why") };
	struct tlsrpt *t = arg;

	for (unsigned i = 0; i < 6; i++) {
		s.type = i % 3;
		s.policy_domain = i ? STR("a.example") : STR_NONE;
		s.result = i % TLSRPT_RESULTS_N;
		tlsrpt_count(t, &s);
	}
	check(tlsrpt_report_day(t, 20716) == 0);
}

/* What was read becomes a report, whatever it is. */
static void write_report(struct str file)
{
	const struct report r = { .organization = STR("O"), .contact = STR("c@b.example"),
				  .from = STR("a@b.example"), .submitter = STR("relay.example"),
				  .domain = STR("a.example"), .day = 20716, .id = "id" };
	struct buf gzip = BUF_INIT(1 << 20), mail = BUF_INIT(1 << 22);
	json_t *read = json_loadb(file.p ? file.p : "", file.n, JSON_REJECT_DUPLICATES, NULL);
	json_t *list[64], *one, *all;
	unsigned n = 0;
	const char *key;
	char *text;

	json_object_foreach(read, key, one)
		if (n < 64)
			list[n++] = one;
	all = report_json(&r, list, n);
	text = json_dumps(all, 0);
	check(text && report_gzip(&gzip, str_of(text)));
	report_mail(&mail, &r, STR("x@y.example"), 1790000000, "boundary", buf_str(&gzip));
	check(buf_ok(&mail));
	free(text);
	json_decref(all);
	json_decref(read);
	buf_done(&gzip);
	buf_done(&mail);
}

static void reports(struct str file)
{
	struct tlsrpt *t;

	write_in("tls-reports", "20716", file);
	write_in("tls-reports", "20717", file);
	t = tlsrpt_new(net, NULL, dns, folder);
	world_do(net, count_and_report, t, true);
	tlsrpt_stop(t);
	while (world_pass(600 * SECOND))
		;
	tlsrpt_free(t);
	write_report(file);
}

static void policies(struct str file)
{
	const struct sts_options o = { .state = folder, .port = 443, .timeout_ms = 1000 };
	struct sts *s;

	write_in("mta-sts", "a.example", file);
	s = sts_new(world_real(), &o);
	sts_stop(s);
	sts_free(s);
}

/* ---- the users file */

static void users(struct str file)
{
	struct buf errors = BUF_INIT(1 << 20), line = BUF_INIT(1 << 20);
	struct users *u = users_parse("users", file, &errors);

	check(!u == (errors.n > 0));
	for (unsigned i = 0; u && i < users_count(u); i++)
		check(users_find(u, users_at(u, i)->name) == users_at(u, i));
	if (u)
		users_unref(u);
	buf_clear(&errors);
	for (struct str rest = file; rest.n;) {
		ssize_t end = str_find(rest, '\n');
		struct str one = end < 0 ? rest : str_sub(rest, 0, (size_t)end);
		struct user_words w, again;

		rest = str_from(rest, one.n + 1);
		if (users_line_parse(one, &w, &errors) != USERS_LINE_USER)
			continue;
		buf_clear(&line);
		users_line_format(&line, &w);
		while (line.n && line.p[line.n - 1] == '\n')
			line.n--;
		check(users_line_parse(buf_str(&line), &again, &errors) == USERS_LINE_USER);
		check(str_eq(w.name, again.name) && str_eq(w.hash, again.hash));
		check(w.disabled == again.disabled && w.has_from == again.has_from);
	}
	buf_done(&errors);
	buf_done(&line);
}

/* ---- a hosts file */

static void hosts(struct str file)
{
	struct ip ips[HOSTS_FILE_IPS_MAX];
	struct hosts_file *h;
	char path[64];
	int error = 0;
	unsigned n = 0;

	write_file("hosts", file);
	snprintf(path, sizeof(path), "%s/hosts", folder);
	h = hosts_file_new(world_real(), path, &error);
	check(h || error < 0);
	if (!h)
		return;
	hosts_file_find(h, STR("a.example"), 4, ips, &n);
	check(n <= HOSTS_FILE_IPS_MAX);
	check(hosts_file_find(h, STR("localhost"), 4, ips, &n));
	hosts_file_free(h);
}

/* ---- messages between worker and supervisor: whatever comes has an end */

static void link_messages(struct str file)
{
	struct link_message m;
	int fds[2], fd, r;

	check(link_open(fds) == 0);
	if (file.n)
		check(send(fds[0], file.p, file.n, MSG_DONTWAIT) == (ssize_t)file.n);
	r = link_receive(fds[1], &m, &fd);
	check(r == 1 || r < 0 || (r == 0 && !file.n));
	if (r == 1) {
		struct endpoint e = link_endpoint(&m);
		struct link_message back = { .kind = LINK_LISTEN };
		char text[ENDPOINT_TEXT_MAX];

		check(fd == -1 && strnlen(m.path, sizeof(m.path)) < sizeof(m.path));
		endpoint_text(text, &e);
		link_from_endpoint(&back, &e);
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- words */

static void addresses_of_the_net(struct str s)
{
	struct ip ip, ip_again;
	struct network network;
	struct endpoint e, again;
	char text[ENDPOINT_TEXT_MAX];

	if (ip_parse(s, &ip)) {
		ip_text(text, &ip);
		check(ip_parse(str_of(text), &ip_again) && ip_eq(&ip, &ip_again));
	}
	network_parse(s, &network);
	if (endpoint_parse(s, 25, &e) && !e.path) {
		endpoint_text(text, &e);
		check(endpoint_parse(str_of(text), 25, &again) && endpoint_eq(&e, &again));
	}
}

static void words(struct str s)
{
	struct buf out = BUF_INIT(1 << 20), plain = BUF_INIT(1 << 20);
	char name[DNS_NAME_MAX + 1], again[DNS_NAME_MAX + 1];
	struct message_id id;
	uint64_t number, period;

	addresses_of_the_net(s);
	if (dns_name_ascii(s, name)) {
		check(strlen(name) <= DNS_NAME_MAX && str_is_ascii(str_of(name)));
		check(dns_name_ascii(str_of(name), again) && strcmp(name, again) == 0);
	}
	for (int kind = 0; kind <= VALUE_TEXT; kind++) {
		value_parse((enum value)kind, s, &number);
		value_rate_parse((enum value)kind, s, &number, &period);
	}
	base64_encode(&out, s.p, s.n);
	check(base64_decode(&plain, buf_str(&out)) && str_eq(buf_str(&plain), s));
	buf_clear(&plain);
	base64_decode(&plain, s);
	if (id_parse(s, &id)) {
		char text[ID_TEXT_MAX];
		struct message_id same;

		check(id_parse(str_of(id_format(text, &id)), &same) && id_eq(&id, &same));
	}
	buf_done(&out);
	buf_done(&plain);
}

static void names_of_files(struct str s)
{
	char name[64];
	uint64_t number;

	str_copy(name, sizeof(name), s);
	segment_name_parse(name, &number);
	content_file_name_parse(name, &number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void (*const readers[])(struct str) = {
		greylist, limits, suspended, reports, policies, users, hosts, link_messages,
		words, names_of_files, bans, recipients,
	};

	if (!n)
		return 0;
	if (!net)
		set_up();
	readers[data[0] % (sizeof(readers) / sizeof(readers[0]))](
		str_make((const char *)data + 1, n - 1));
	world_settle();
	count_input();
	return 0;
}
