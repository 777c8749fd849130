/*
 * sim_plan - what a seed does: which faults, how many relays and letters, when who dies; and the
 * order of a run.
 *
 *   1  the time of faults: clients hand in their letters, the plan's accidents happen
 *   2  faults stop; everything has to come to its end: clients are answered, queues run empty (D9)
 *   3  the relays stop cleanly, lose power, and start again: nothing may come back
 *   4  the ledger is checked
 */
#include "schedule/schedule.h"
#include "sim/internet.h"

#define QUIET_LIMIT (130 * HOUR)
#define TIDY_NS (180 * SECOND)	/* for the keeper to tidy up */

#define FAIR_NS (30 * SECOND)	/* from 250 to arrival, beside a destination with a backlog */
#define ROTATION_NS (120 * SECOND)	/* likewise, while a source is blocked */

static enum { ANYTHING, FAIRNESS, ROTATION } scenario;
static uint64_t span;		/* of the time of faults */
static uint64_t looked_at;

/* ---- drawing */

static const char config_text[] =
	"version 1\nhostname %s.example\nstate /%s\nlisten %s\n"
	"route near {\n host 10.1.0.1\n host 10.1.0.2 { backup }\n%s}\n"
	"route slow {\n host 10.1.0.1\n give_up_after 2h\n}\n"
	"route home {\n host 10.1.0.3\n}\n"
	"route next {\n host 10.0.0.2\n}\n"
	"queue {\n retry 5s 20s 1m 5m 5m 5m 20m\n warn_after 1h\n give_up_after 2d\n"
	" bounce_give_up_after 5d\n memory %s\n free_min %uM\n notices_max 100000\n%s}\n"
	"message { memory %s; size_max 5M }\n"
	"accept from any to domain near.example via near\n"
	"accept from any to domain slow.example via slow\n"
	"accept from any to domain far.example via %s\n"
	"accept from any to domain home.example via home\n";

/* with_internet: what is delivered to by MX goes out from there. */
static void make_node(const char *name, const char *listen, const char *far, uint64_t disk,
		      bool with_internet)
{
	const char *memory = sim_chance(500) ? "128K" : "16M";
	struct buf text = BUF_INIT(64 * 1024);
	char more[64] = "";

	if (with_internet && internet.connections_max)
		snprintf(more, sizeof(more), " connections_max %u\n", internet.connections_max);
	buf_printf(&text, config_text, name, name, listen,
		   sim_chance(300) ? " connections 1\n messages 2\n" : "",
		   sim_chance(500) ? "64K" : "16M", (unsigned)sim_between(1, 4), more, memory,
		   far);
	if (with_internet)
		config_write(&text);
	node_start(node_new(name, buf_cstr(&text), disk));
	buf_done(&text);
}

static void draw_disk_faults(struct faults *f)
{
	unsigned often = sim_chance(500) ? 2 : 20;

	for (int k = 0; k < CALL_LISTEN; k++)
		if (sim_chance(300))
			f->disk[k] = (unsigned)sim_below(often);
	if (sim_chance(600))
		f->disk[CALL_DATASYNC] = (unsigned)sim_below(often * 4);
	f->short_write = sim_chance(300) ? 50 : 0;
	f->slow_disk = sim_chance(300) ? 20 : 0;
	f->bad_periods = sim_chance(300);
	f->half_write = f->short_write && sim_chance(500) ? 30 : 0;
	f->bad_halves = f->bad_periods && sim_chance(500);
}

static void draw_network_faults(struct faults *f)
{
	f->refuse = sim_chance(400) ? (unsigned)sim_below(300) : 0;
	f->blackhole = sim_chance(300) ? (unsigned)sim_below(200) : 0;
	f->cut = sim_chance(600) ? (unsigned)sim_below(400) : 0;
	f->stall = sim_chance(400) ? (unsigned)sim_below(200) : 0;
	f->split = sim_chance(500) ? (unsigned)sim_below(500) : 0;
	f->sink_drop = sim_chance(500) ? (unsigned)sim_below(60) : 0;
	f->sink_4xx = sim_chance(500) ? (unsigned)sim_below(100) : 0;
	f->sink_421 = sim_chance(300) ? (unsigned)sim_below(60) : 0;
	f->dns = sim_chance(400) ? (unsigned)sim_below(200) : 0;
	for (int k = CALL_LISTEN + 1; k < CALL_KINDS; k++)
		if (sim_chance(200))
			f->disk[k] = (unsigned)sim_below(10);
}

static void draw_faults(struct faults *f)
{
	unsigned mode = (unsigned)sim_below(10);

	*f = (struct faults){ 0 };
	if (mode == 0) {
		f->stops = sim_chance(500) ? (unsigned)sim_between(1, 3) : 0;
		return;
	}
	f->crashes = (unsigned)sim_between(1, sim_chance(200) ? 40 : 8);
	f->poison = mode == 4 ? 900 : 300;
	f->power = mode == 1 ? 0 : mode <= 4 ? 1000 : 500;
	if (mode == 3 || mode == 4 || mode >= 7)
		draw_disk_faults(f);
	if (mode == 4) {	/* syncs that fail, death right after, the power gone later */
		f->disk[CALL_DATASYNC] = (unsigned)sim_between(30, 150);
		f->power = 500;
	}
	if (mode == 5 || mode == 6 || mode >= 7)
		draw_network_faults(f);
	if (mode == 6 && sim_chance(300))
		f->flips = 700;
	if (sim_chance(300))
		f->jumps = (unsigned)sim_below(5);
	if (sim_chance(300))
		f->stops = (unsigned)sim_below(3);
}

/* Some of the letters go to the internet, if there is one. */
static void draw_domain(struct letter *l, unsigned i)
{
	if (!internet.domains_n || l->kinds[i] == KIND_TMP || sim_chance(250))
		return;
	l->domain[i] = (int)sim_below(internet.domains_n);
	l->hop[i] = false;
	if (internet.domains[l->domain[i]].kind >= DOMAIN_FAILS)
		l->kinds[i] = KIND_BAD;
	else if (internet.reacts && sim_chance(30))
		l->kinds[i] = KIND_TMP;		/* for which there is a rule */
}

static void draw_letter(struct letter *l)
{
	l->recipients_n = sim_chance(600) ? 1 : (unsigned)sim_between(2, RECIPIENTS_MAX);
	l->null_sender = sim_chance(50);
	l->bare = sim_chance(40);
	l->eightbit = sim_chance(200);
	l->size = sim_chance(700) ? sim_between(100, 3000)
		  : sim_chance(800) ? sim_between(3000, 60000)
				    : sim_between(100000, 400000);
	for (unsigned i = 0; i < l->recipients_n; i++) {
		l->kinds[i] = sim_chance(750) ? KIND_OK : sim_chance(700) ? KIND_BAD : KIND_TMP;
		if (internet.calm && l->kinds[i] == KIND_TMP)
			l->kinds[i] = KIND_BAD;
		l->hop[i] = nodes_n > 1 && l->kinds[i] != KIND_TMP && sim_chance(500);
		draw_domain(l, i);
	}
	if (sim_chance(50))
		for (unsigned i = 0; i < l->recipients_n; i++)
			l->kinds[i] = KIND_REJ;
}

static struct client *make_client(unsigned number)
{
	struct endpoint entrance = endpoint_of("10.0.0.1:25");
	char from[32];

	snprintf(from, sizeof(from), "192.0.2.%u:1024", number + 1);
	return client_new(from, &entrance);
}

static void draw_client(unsigned number)
{
	struct client *c = make_client(number);

	for (uint64_t n = sim_between(1, sim_chance(150) ? 40 : 10); n; n--)
		draw_letter(client_letter(c, sim.now + sim_below(span * 9 / 10)));
}

static void make_sinks(void)
{
	sink_new("10.1.0.1:25");
	sink_new("10.1.0.2:25");
	sink_new("10.1.0.3:25");
}

/* One letter for one domain. */
static void add_letter(struct client *c, unsigned domain, uint64_t at)
{
	struct letter *l = client_letter(c, at);

	l->size = sim_between(100, 3000);
	l->recipients_n = 1;
	l->kinds[0] = KIND_OK;
	l->domain[0] = (int)domain;
}

/*
 * Nothing goes wrong, but one destination gets far more than it can take. The others must not
 * notice.
 */
static void draw_fairness(void)
{
	struct client *c;

	scenario = FAIRNESS;
	sim.faults = (struct faults){ 0 };
	span = 300 * SECOND;
	internet_fair();
	make_node("a", "10.0.0.1:25", "near", 64u << 20, true);
	make_sinks();
	for (unsigned i = 0; i < 2; i++) {
		c = make_client(i);
		for (unsigned k = 0; k < 60; k++)
			add_letter(c, 0, sim.now + sim_below(20 * SECOND));
	}
	c = make_client(2);
	for (unsigned k = 0; k < 30; k++)
		add_letter(c, (unsigned)sim_between(1, internet.domains_n - 1),
			   sim.now + sim_below(span));
}

/* Providers block one source; the others take over. */
static void draw_rotation(void)
{
	struct client *c;

	scenario = ROTATION;
	sim.faults = (struct faults){ 0 };
	span = 600 * SECOND;
	internet_blocked();
	make_node("a", "10.0.0.1:25", "near", 64u << 20, true);
	make_sinks();
	for (unsigned i = 0; i < 2; i++) {
		c = make_client(i);
		for (unsigned k = 0; k < 20; k++)
			add_letter(c, (unsigned)sim_below(internet.domains_n),
				   sim.now + sim_below(span / 2));
	}
}

void plan_draw(void)
{
	unsigned clients = (unsigned)sim_between(1, CLIENTS_MAX);
	uint64_t disk = sim_chance(300) ? sim_between(8, 14) << 20 : 64u << 20;

	scenario = ANYTHING;
	nodes_n = 0;
	if (sim_chance(50)) {
		draw_fairness();
		return;
	}
	if (sim_chance(50)) {
		draw_rotation();
		return;
	}
	draw_faults(&sim.faults);
	span = sim_between(20, sim_chance(300) ? 1500 : 200) * SECOND;
	if (sim_chance(650))
		internet_draw();
	make_node("a", "10.0.0.1:25", "next", disk, internet.domains_n);
	if (sim_chance(300))
		make_node("b", "10.0.0.2:25", "near", disk, false);
	make_sinks();
	for (unsigned i = 0; i < clients; i++)
		draw_client(i);
	if (sim_chance(300))
		sim.faults.orders = (unsigned)sim_between(1, 40);
}

/* ---- accidents */

static struct node *any_node(void)
{
	return nodes[sim_below(nodes_n)];
}

static void on_crash(struct event *e)
{
	(void)e;
	node_die_soon(any_node(), sim_below(sim_chance(500) ? 10 : 200),
		      sim_chance(sim.faults.power));
}

static void on_jump(struct event *e)
{
	struct node *n = any_node();
	int64_t by = (int64_t)sim_below(4 * 3600 * 1000) - 2 * 3600 * 1000;

	(void)e;
	n->clock_ms += by;
	sim_say("%s's clock jumps by %lld ms", n->name, (long long)by);
}

static void on_stopped(struct event *e)
{
	struct node *n = e->p;

	if (n->stopped && !n->restarting)
		node_start(n);
	else if (n->stopping)
		sim_at(sim.now + SECOND, on_stopped, n, 0);
}

static void on_stop(struct event *e)
{
	struct node *n = any_node();

	(void)e;
	if (!n->running || n->stopping)
		return;
	node_stop(n);
	sim_at(sim.now + SECOND, on_stopped, n, 0);
}

static void on_bad(struct event *e)
{
	static const int errors[] = { -EIO, -ENOSPC, -EDQUOT };
	int error = e->n ? errors[sim_below(3)] : 0;

	sim_say("a disk turns %s", error ? "bad" : "good");
	disk_set_bad(((struct node *)e->p)->disk, error, sim_chance(400), sim.faults.bad_halves);
}

static void plan_accidents(void)
{
	const struct faults *f = &sim.faults;

	for (unsigned i = 0; i < f->crashes; i++)
		sim_at(sim.now + sim_below(span), on_crash, NULL, 0);
	for (unsigned i = 0; i < f->jumps; i++)
		sim_at(sim.now + sim_below(span), on_jump, NULL, 0);
	for (unsigned i = 0; i < f->stops; i++)
		sim_at(sim.now + sim_below(span), on_stop, NULL, 0);
	for (unsigned i = 0; f->bad_periods && i < 2; i++) {
		uint64_t from = sim.now + sim_below(span);
		struct node *n = any_node();

		sim_at(from, on_bad, n, 1);
		sim_at(from + sim_below(span / 4), on_bad, n, 0);
	}
}

/* ---- the scenario of nth.c: what there is in small numbers, a restart in the middle */

void plan_fixed(void)
{
	static const size_t sizes[] = { 300, 90000, 900, 200, 5000 };
	struct endpoint entrance = endpoint_of("10.0.0.1:25");
	struct client *c;

	span = 40 * SECOND;
	nodes_n = 0;
	make_node("a", "10.0.0.1:25", "near", 64u << 20, false);
	make_sinks();
	c = client_new("192.0.2.1:1024", &entrance);
	for (unsigned i = 0; i < 5; i++) {
		struct letter *l = client_letter(c, sim.now + (i < 3 ? i : i + 12) * SECOND);

		l->size = sizes[i];
		l->recipients_n = i == 3 ? 2 : 1;
		l->kinds[0] = i == 2 ? KIND_BAD : KIND_OK;
	}
	sim_at(sim.now + 12 * SECOND, on_stop, NULL, 0);
}

/* ---- running */

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static bool all_run(void)
{
	for (unsigned i = 0; i < nodes_n; i++)
		if (!nodes[i]->running || nodes[i]->stopping)
			return false;
	return true;
}

static bool is_quiet(void *arg)
{
	(void)arg;
	if (sim.now < looked_at + SECOND)
		return false;
	looked_at = sim.now;
	if (!all_run() || !ledger_is_done())
		return false;
	for (unsigned i = 0; i < nodes_n; i++)
		if (node_messages(nodes[i]))
			return false;
	return true;
}

static bool have_stopped(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < nodes_n; i++)
		if (!nodes[i]->stopped)
			return false;
	return true;
}

static bool are_up(void *arg)
{
	(void)arg;
	return all_run();
}

static void say_what_is_left(void)
{
	unsigned waiting = 0;

	for (unsigned i = 0; i < ledger_letters(); i++)
		waiting += !ledger_find(i)->done;
	for (unsigned i = 0; i < nodes_n; i++)
		if (!nodes[i]->running)
			sim_fail("D9: %s does not come up", nodes[i]->name);
		else if (node_messages(nodes[i]))
			sim_fail("D9: %llu messages are left in %s, %u letters with clients",
				 (unsigned long long)node_messages(nodes[i]), nodes[i]->name,
				 waiting);
	if (waiting)
		sim_fail("D9: %u letters are left with clients", waiting);
	sim_fail("no end");
}

static void check_folders(const struct node *n)
{
	char path[64];
	unsigned files, segments;

	if (sim.flips_done)
		return;		/* quarantine keeps what it is about */
	snprintf(path, sizeof(path), "/%s/spool/content", n->name);
	files = disk_files(n->disk, path);
	snprintf(path, sizeof(path), "/%s/spool/segments", n->name);
	segments = disk_files(n->disk, path);
	sim_say("%s leaves %u content files, %u segments", n->name, files, segments);
	if (files)
		sim_fail("%u content files are left in %s", files, n->name);
	if (segments > 3)
		sim_fail("%u segments are left in %s", segments, n->name);
}

static void restart_on_what_is_left(void)
{
	for (unsigned i = 0; i < nodes_n; i++) {
		disk_lose_power(nodes[i]->disk);
		node_start(nodes[i]);
	}
	sim_run(are_up, NULL, sim.now + HOUR);
	for (unsigned i = 0; i < nodes_n && !sim.failure[0]; i++)
		if (node_messages(nodes[i]) && !sim.flips_done)
			sim_fail("%llu messages come back in %s",
				 (unsigned long long)node_messages(nodes[i]), nodes[i]->name);
}

static void end_quietly(void)
{
	sim.faulty = false;
	sim.nth_kind = -1;
	sim.die_at = 0;
	for (unsigned i = 0; i < nodes_n; i++) {
		disk_set_bad(nodes[i]->disk, 0, false, false);
		nodes[i]->calls_left = 0;
	}
	sim_say("faults stop");
	operator_relents();
	looked_at = 0;
	sim_run(is_quiet, NULL, sim.now + QUIET_LIMIT);
	if (!sim.failure[0] && !is_quiet(NULL)) {
		looked_at = 0;
		if (!is_quiet(NULL))
			say_what_is_left();
	}
	sim_run(never, NULL, sim.now + TIDY_NS);
}

static void check_scenario(void)
{
	uint64_t slowest = ledger_slowest(scenario == FAIRNESS ? ~1u : ~0u);
	uint64_t bound = scenario == FAIRNESS ? FAIR_NS : ROTATION_NS;

	if (scenario == ANYTHING || sim.failure[0])
		return;
	sim_say("the slowest took %llu ms", (unsigned long long)slowest / MILLISECOND);
	if (slowest > bound)
		sim_fail("%s: a letter took %llu s, %llu are fair",
			 scenario == FAIRNESS ? "fairness" : "rotation",
			 (unsigned long long)(slowest / SECOND),
			 (unsigned long long)(bound / SECOND));
}

void plan_run(void)
{
	sim.faulty = true;
	plan_accidents();
	if (scenario == ANYTHING)
		internet_accidents(span);
	operator_works(span);
	sim_run(never, NULL, sim.now + span);
	end_quietly();
	limits_sum(&sim.counts.passes, &sim.counts.waits);
	sim.counts.asked = zone_asked;
	check_scenario();
	if (sim.failure[0])
		return;
	for (unsigned i = 0; i < nodes_n; i++)
		node_stop(nodes[i]);
	sim_run(have_stopped, NULL, sim.now + HOUR);
	if (!have_stopped(NULL))
		sim_fail("a relay does not stop");
	if (!sim.failure[0])
		restart_on_what_is_left();
	sim_run(never, NULL, sim.now + TIDY_NS);
	for (unsigned i = 0; i < nodes_n && !sim.failure[0]; i++)
		check_folders(nodes[i]);
	if (!sim.failure[0])
		ledger_check();
}
