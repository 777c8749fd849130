/*
 * sink_main - relevo sink: the command line of the sink and its counting.
 *
 * Once per second a line with what arrived in it, at the end a sum with the processor time per
 * message. Ends after
 * --count messages, after --time, or by SIGINT or SIGTERM. The ledger is written by the loops'
 * threads under a lock through stdio's buffer, and is complete when the command has ended.
 */
#include "tool/tool.h"

#include "tool/options.h"
#include "tool/sink_provider.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#define GRACE (100 * MILLISECOND)	/* after the last message, for QUIT */

static const char *const stage_names[SINK_STAGES] = {"connect", "ehlo", "mail",
						     "rcpt",	"data", "end"};

struct command {
	struct sink_settings settings;
	struct sink_provider provider;
	struct endpoint listens[SINK_LISTENS_MAX];
	unsigned listens_n;
	uint64_t workers, count, time_ns;
	const char *ledger_path;
	bool quiet;
	FILE *ledger;
	pthread_mutex_t ledger_lock;
	struct stage stage;
	struct sink *sink;
};

static bool parse_stage(struct str s, enum sink_stage *ret, struct buf *error)
{
	for (int i = 0; i < SINK_STAGES; i++) {
		if (!str_eq_nocase(s, str_of(stage_names[i])))
			continue;
		*ret = (enum sink_stage)i;
		return true;
	}
	buf_printf(error, "\"%.*s\" is no stage; expected connect, ehlo, mail, rcpt, data or end",
		   STR_ARG(s));
	return false;
}

/* "STAGE=REST" */
static bool split_stage(const char *value, enum sink_stage *ret, struct str *ret_rest,
			struct buf *error)
{
	struct str s = str_of(value);
	ssize_t equals = str_find(s, '=');

	if (equals < 0) {
		buf_printf(error, "\"%s\" lacks its stage, as in rcpt=...", value);
		return false;
	}
	*ret_rest = str_from(s, (size_t)equals + 1);
	return parse_stage(str_sub(s, 0, (size_t)equals), ret, error);
}

static bool add_listen(void *target, const char *value, struct buf *error)
{
	struct command *c = target;

	if (c->listens_n == SINK_LISTENS_MAX ||
	    !endpoint_parse(str_of(value), 0, &c->listens[c->listens_n])) {
		buf_printf(error, "--listen wants ADDRESS:PORT (at most %d of them), not \"%s\"",
			   SINK_LISTENS_MAX, value);
		return false;
	}
	c->listens_n++;
	return true;
}

static bool add_delay(void *target, const char *value, struct buf *error)
{
	struct command *c = target;
	enum sink_stage stage;
	struct str rest;

	if (!split_stage(value, &stage, &rest, error))
		return false;
	if (parse_time(rest, &c->settings.delay_ns[stage]))
		return true;
	buf_printf(error, "--delay wants STAGE=TIME, as in end=100ms, not \"%s\"", value);
	return false;
}

/* "CODE TEXT%SHARE": the reply and its share. */
static bool parse_reply(struct str s, struct sink_reply *ret)
{
	ssize_t percent = str_rfind(s, '%');

	ret->share = 1000000;
	if (percent > 0 && percent + 1 < (ssize_t)s.n &&
	    parse_share(str_from(s, (size_t)percent + 1), &ret->share))
		s = str_sub(s, 0, (size_t)percent);
	return provider_parse_reply(s, &ret->reply);
}

static bool add_reply(void *target, const char *value, struct buf *error)
{
	struct command *c = target;
	struct sink_reply *r = &c->settings.replies[c->settings.replies_n];
	struct str rest;

	if (c->settings.replies_n == SINK_REPLIES_MAX) {
		buf_printf(error, "at most %d times --reply", SINK_REPLIES_MAX);
		return false;
	}
	if (!split_stage(value, &r->stage, &rest, error))
		return false;
	if (!parse_reply(rest, r)) {
		buf_printf(error,
			   "--reply wants STAGE=CODE TEXT, as in 'rcpt=450 4.2.0 busy', not \"%s\"",
			   value);
		return false;
	}
	c->settings.replies_n++;
	return true;
}

static bool set_share(void *target, const char *value, struct buf *error)
{
	struct command *c = target;

	if (c->settings.replies_n &&
	    parse_share(str_of(value), &c->settings.replies[c->settings.replies_n - 1].share))
		return true;
	buf_printf(error,
		   "--share wants a percentage, as in 10%%, behind the --reply that it is for, not "
		   "\"%s\"",
		   value);
	return false;
}

static bool add_cut(void *target, const char *value, struct buf *error)
{
	struct command *c = target;
	enum sink_stage stage;

	if (strchr(value, '%') && parse_share(str_of(value), &c->settings.cut_share))
		return true;
	if (!parse_stage(str_of(value), &stage, error))
		return false;
	c->settings.cut[stage] = true;
	return true;
}

static bool change_offer(struct command *c, struct str name, bool on, struct buf *error)
{
	unsigned offer;

	if (!sink_offer_find(name, &offer, error))
		return false;
	c->settings.offers = on ? c->settings.offers | offer : c->settings.offers & ~offer;
	return true;
}

/* "pipelining,dsn": these and no others. */
static bool set_offers(void *target, const char *value, struct buf *error)
{
	struct command *c = target;
	struct str rest = str_of(value);

	c->settings.offers = OFFER_EHLO;
	while (rest.n) {
		ssize_t comma = str_find(rest, ',');
		struct str name = comma < 0 ? rest : str_sub(rest, 0, (size_t)comma);

		if (!change_offer(c, name, true, error))
			return false;
		rest = str_from(rest, name.n + 1);
	}
	return true;
}

#define NO_OFFER(name) \
	static bool no_##name(void *target, const char *value, struct buf *error) \
	{ \
		(void)value; \
		return change_offer(target, STR(#name), false, error); \
	}

NO_OFFER(pipelining)
NO_OFFER(size)
NO_OFFER(8bitmime)
NO_OFFER(chunking)
NO_OFFER(binarymime)
NO_OFFER(smtputf8)
NO_OFFER(dsn)
NO_OFFER(enhanced)
NO_OFFER(ehlo)

static void write_ledger(void *arg, const struct sink_message *m)
{
	struct command *c = arg;
	struct buf line = BUF_INIT(2 * 1024 * 1024);

	ledger_format(&line, &m->line);
	pthread_mutex_lock(&c->ledger_lock);
	fwrite(line.p, 1, line.n, c->ledger);
	pthread_mutex_unlock(&c->ledger_lock);
	buf_done(&line);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static bool is_over(const struct command *c)
{
	if (c->time_ns && stage_now() - c->stage.start_ns >= c->time_ns)
		return true;
	return c->count && load(&c->sink->messages) >= c->count;
}

/* A line per second, until it is over. */
static void watch(struct command *c)
{
	uint64_t last = 0, next = stage_now() + SECOND;
	/* With a number or a time to end at it is looked at more often. */
	const uint64_t step = c->count || c->time_ns ? 20 * MILLISECOND : SECOND;

	while (!is_over(c) && !stage_wait(&c->stage, step)) {
		uint64_t now = stage_now(), messages = load(&c->sink->messages);

		if (now < next)
			continue;
		if (!c->quiet && messages != last) {
			printf("%llu msg/s, %llu in all\n",
			       (unsigned long long)((messages - last) * SECOND /
						    (SECOND + now - next)),
			       (unsigned long long)messages);
			fflush(stdout);
		}
		last = messages;
		next = now + SECOND;
	}
	if (!c->stage.interrupted)
		stage_wait(&c->stage, GRACE);
}

static void print_sum(const struct command *c, double cpu_s)
{
	const struct sink *s = c->sink;
	uint64_t messages = load(&s->messages);

	printf("messages %llu recipients %llu octets %llu connections %llu refused %llu cut %llu "
	       "cpu_ms_per_message %.4f\n",
	       (unsigned long long)messages, (unsigned long long)load(&s->recipients),
	       (unsigned long long)load(&s->octets), (unsigned long long)load(&s->connections),
	       (unsigned long long)load(&s->refused), (unsigned long long)load(&s->cut),
	       messages ? cpu_s * 1000 / (double)messages : 0);
	fflush(stdout);
}

static bool listen_all(struct command *c)
{
	for (unsigned i = 0; i < c->listens_n; i++) {
		int r = sink_listen(c->sink, &c->listens[i]);
		char text[ENDPOINT_TEXT_MAX];

		if (r >= 0)
			continue;
		fprintf(stderr, "relevo: cannot listen on %s: %s\n",
			endpoint_text(text, &c->listens[i]), strerror(-r));
		return false;
	}
	return true;
}

/* A connection each: as many as the system gives. */
static void raise_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static int serve(struct command *c)
{
	double cpu_s;
	int result = 1;

	raise_descriptors();
	if (!provider_open(&c->provider, &c->settings))
		return 1;
	stage_open(&c->stage, (unsigned)c->workers);
	c->sink = sink_new(&c->stage, &c->settings, 0, (unsigned)c->workers);
	if (listen_all(c)) {
		cpu_s = stage_cpu_s();
		watch(c);
		print_sum(c, stage_cpu_s() - cpu_s);
		result = 0;
	}
	sink_stop(c->sink);
	stage_close(&c->stage);
	sink_free(c->sink);
	return provider_close(&c->provider, &c->settings) ? result : 1;
}

static int run(struct command *c)
{
	int r;

	if (!c->listens_n)
		endpoint_parse(STR("127.0.0.1:2526"), 0, &c->listens[c->listens_n++]);
	if (!c->workers || c->workers > SINK_WORKERS_MAX) {
		fprintf(stderr, "relevo: --workers wants 1 to %d\n", SINK_WORKERS_MAX);
		return 2;
	}
	if (c->ledger_path) {
		c->ledger = fopen(c->ledger_path, "w");
		if (!c->ledger) {
			fprintf(stderr, "relevo: %s: %s\n", c->ledger_path, strerror(errno));
			return 1;
		}
		c->settings.wants_digest = true;
		c->settings.accepted = write_ledger;
		c->settings.arg = c;
	}
	c->settings.flush_first = c->count != 0;
	pthread_mutex_init(&c->ledger_lock, NULL);
	r = serve(c);
	pthread_mutex_destroy(&c->ledger_lock);
	if (c->ledger && fclose(c->ledger)) {
		fprintf(stderr, "relevo: %s: %s\n", c->ledger_path, strerror(errno));
		r = 1;
	}
	return r;
}

/* One command is run in a process: the table's targets are static. */
static struct command the_command;

static const struct option_row rows[] = {
	{"listen", "ADDRESS:PORT", OPTION_CALL, &the_command, add_listen,
	 "where; may be repeated (127.0.0.1:2526)"},
	{"lmtp", NULL, OPTION_FLAG, &the_command.settings.lmtp, NULL, "speak LMTP"},
	{"workers", "N", OPTION_NUMBER, &the_command.workers, NULL, "threads (1)"},
	{"store", "DIR", OPTION_TEXT, &the_command.settings.store, NULL,
	 "keep each message: NUMBER.eml, and NUMBER.env"},
	{"store-raw", NULL, OPTION_FLAG, &the_command.settings.store_raw, NULL,
	 "as it came over the wire, with dots stuffed"},
	{"ledger", "FILE", OPTION_TEXT, &the_command.ledger_path, NULL,
	 "a line per message: id sender recipients size crc"},
	{"delay", "STAGE=TIME", OPTION_CALL, &the_command, add_delay, "wait before answering"},
	{"reply", "STAGE=CODE TEXT", OPTION_CALL, &the_command, add_reply,
	 "answer that; %N behind it: only N percent"},
	{"share", "PERCENT", OPTION_CALL, &the_command, set_share, "of the --reply before it"},
	{"cut", "STAGE|N%", OPTION_CALL, &the_command, add_cut,
	 "drop the connection there; or a share of them, anywhere"},
	{"latency", "TIME", OPTION_TIME, &the_command.settings.latency_ns, NULL,
	 "distance: what is said waits so long"},
	{"connections-max", "N", OPTION_NUMBER, &the_command.provider.guard.connections_max, NULL,
	 "at once; more get 421"},
	{"close", NULL, OPTION_FLAG, &the_command.provider.guard.closes, NULL,
	 "more are closed without a word"},
	{"rate", "N/PERIOD", OPTION_CALL, &the_command.provider, provider_set_rate,
	 "transactions, as in 100/min or 5/10s; more get 421 4.7.28"},
	{"rate-reply", "CODE TEXT", OPTION_CALL, &the_command.provider, provider_set_rate_reply,
	 "what they get instead"},
	{"per-ip", NULL, OPTION_FLAG, &the_command.provider.guard.per_ip, NULL,
	 "both count for each client address"},
	{"messages-max", "N", OPTION_NUMBER, &the_command.provider.guard.messages_max, NULL,
	 "on a connection; then 421"},
	{"greylist", "TIME", OPTION_TIME, &the_command.provider.guard.greylist_ns, NULL,
	 "450 until a sender, recipient and client have waited"},
	{"blocklist", "NETWORK", OPTION_CALL, &the_command.provider, provider_add_block,
	 "clients that get 554 5.7.1; may be repeated"},
	{"blocklist-reply", "CODE TEXT", OPTION_CALL, &the_command.provider,
	 provider_set_block_reply, "what they get instead"},
	{"stats", "FILE", OPTION_TEXT, &the_command.provider.stats_path, NULL,
	 "what was seen, as JSON at the end"},
	{"window", "TIME", OPTION_CALL, &the_command.provider, provider_add_window,
	 "of the peaks in it; may be repeated (1s)"},
	{"journal", "FILE", OPTION_TEXT, &the_command.provider.journal_path, NULL,
	 "a line per transaction: ms client host code sender recipients size"},
	{"offer", "LIST", OPTION_CALL, &the_command, set_offers,
	 "these extensions only, comma between"},
	{"no-pipelining", NULL, OPTION_CALL, &the_command, no_pipelining, "do not offer it"},
	{"no-size", NULL, OPTION_CALL, &the_command, no_size, "likewise"},
	{"no-8bitmime", NULL, OPTION_CALL, &the_command, no_8bitmime, "likewise"},
	{"no-chunking", NULL, OPTION_CALL, &the_command, no_chunking, "likewise"},
	{"no-binarymime", NULL, OPTION_CALL, &the_command, no_binarymime, "likewise"},
	{"no-smtputf8", NULL, OPTION_CALL, &the_command, no_smtputf8, "likewise"},
	{"no-dsn", NULL, OPTION_CALL, &the_command, no_dsn, "likewise"},
	{"no-enhanced", NULL, OPTION_CALL, &the_command, no_enhanced,
	 "likewise; replies go without such codes"},
	{"no-ehlo", NULL, OPTION_CALL, &the_command, no_ehlo, "refuse EHLO; HELO works"},
	{"count", "N", OPTION_NUMBER, &the_command.count, NULL, "end after so many messages"},
	{"time", "TIME", OPTION_TIME, &the_command.time_ns, NULL, "end after that time"},
	{"quiet", NULL, OPTION_FLAG, &the_command.quiet, NULL, "only the sum at the end"},
	{0},
};

int sink_main(int argc, char **argv)
{
	struct command *c = &the_command;
	struct options o = {
		.usage = "relevo sink [OPTION]... [ADDRESS:PORT]",
		.purpose = "Takes mail and throws it away, or fails as it is told. Stages: "
			   "connect, ehlo, mail, rcpt, data, end.",
		.rows = rows,
		.operands_max = 1,
	};
	struct buf error = BUF_INIT(4096);
	int r;

	c->workers = 1;
	c->settings.offers = sink_offers_all();
	r = options_read(&o, argc, argv);
	if (r == OPTIONS_RUN && o.operands_n && !add_listen(c, o.operands[0], &error)) {
		fprintf(stderr, "relevo: %s\n", buf_cstr(&error));
		r = 2;
	}
	buf_done(&error);
	return r == OPTIONS_RUN ? run(c) : r;
}
