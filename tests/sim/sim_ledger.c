/*
 * sim_ledger - what clients sent and what sinks got, and what must be true of both at the end.
 *
 *   D3  whoever got a 250 finds his message delivered, or a notice for each recipient that failed
 *   D4  what was refused, or was never sent to its end, does not arrive
 *   D5  what arrives ends in the octets that were sent
 *       a second delivery happens only if the first one's answer was not read by the relay, or the
 *       relay died before it could have been recorded for good
 *   D9  nothing is left over
 *
 * Each attempt of a client to hand in a letter has addresses of its own,
 * KIND.LETTER.ATTEMPT.RECIPIENT@..., so that everything that arrives names what it came from.
 */
#include "sim/internet.h"

#define LETTERS_MAX 512
#define DELIVERIES_MAX 16384
#define RECORDED_NS (3 * SECOND)	/* an outcome is on the platter by then, if all is well */
#define TROUBLE_NS (300 * SECOND)	/* ... if the disk has failed */

static struct letter *letters[LETTERS_MAX];
static unsigned letters_n;
static struct delivery deliveries[DELIVERIES_MAX];
static unsigned deliveries_n;

static const char *const kinds[KINDS] = { "ok", "bad", "tmp", "rej" };

void ledger_begin(void)
{
	letters_n = deliveries_n = 0;
}

struct letter *ledger_letter(unsigned client)
{
	struct letter *l = mem_zalloc(sizeof(*l));

	assert(letters_n < LETTERS_MAX);
	l->number = letters_n;
	l->client = client;
	for (unsigned i = 0; i < RECIPIENTS_MAX; i++)
		l->domain[i] = -1;
	letters[letters_n++] = l;
	return l;
}

struct letter *ledger_find(unsigned number)
{
	return number < letters_n ? letters[number] : NULL;
}

unsigned ledger_letters(void)
{
	return letters_n;
}

bool ledger_is_done(void)
{
	for (unsigned i = 0; i < letters_n; i++)
		if (!letters[i]->done)
			return false;
	return true;
}

void ledger_recipient(char *dst, size_t size, const struct letter *l, unsigned attempt, unsigned i)
{
	const char *domain = l->domain[i] >= 0 ? internet.domains[l->domain[i]].name
			     : l->hop[i] ? "far.example"
			     : l->kinds[i] == KIND_TMP ? "slow.example"
						       : "near.example";

	snprintf(dst, size, "%s.%u.%u.%u@%s", kinds[l->kinds[i]], l->number, attempt, i, domain);
}

bool ledger_parse(struct str address, unsigned *letter, unsigned *attempt, unsigned *recipient,
		  enum recipient_kind *kind)
{
	char text[128];
	char name[16];

	str_copy(text, sizeof(text), address);
	if (sscanf(text, "%15[a-z].%u.%u.%u@", name, letter, attempt, recipient) != 4)
		return false;
	for (int k = 0; k < KINDS; k++) {
		if (strcmp(name, kinds[k]) != 0)
			continue;
		*kind = (enum recipient_kind)k;
		return true;
	}
	return false;
}

/* ---- what arrives */

static struct attempt *attempt_of(const struct delivery *d)
{
	struct letter *l = ledger_find(d->letter);

	return l && d->attempt < l->attempts_n ? l->attempts[d->attempt] : NULL;
}

static void check_content(const struct delivery *d, const struct attempt *a, struct str content)
{
	struct str want = buf_str(&a->content);
	struct str tail = str_from(content, content.n > want.n ? content.n - want.n : 0);

	if (!str_eq(tail, want))
		sim_fail("D5: letter %u.%u arrives with other content (%zu octets, sent %zu)",
			 d->letter, d->attempt, content.n, want.n);
	if (!str_starts(content, STR("Received: ")))
		sim_fail("D5: letter %u.%u arrives without a Received field in front", d->letter,
			 d->attempt);
}

void ledger_delivery(const struct delivery *d, struct str content)
{
	const struct attempt *a = attempt_of(d);

	if (!a) {
		sim_fail("a letter arrives that nobody sent: %u.%u", d->letter, d->attempt);
		return;
	}
	if (!d->is_notice)
		check_content(d, a, content);
	assert(deliveries_n < DELIVERIES_MAX);
	deliveries[deliveries_n++] = *d;
	sim_say("%s for %u.%u.%u arrives",
		d->is_notice ? d->delayed ? "delay" : "failure" : "letter", d->letter, d->attempt,
		d->recipient);
}

/* ---- at the end */

/* Whether a node died while the outcome may not have been on the platter. */
static bool died_after(const struct delivery *d, uint64_t known)
{
	for (unsigned i = 0; i < nodes_n; i++) {
		const struct node *n = nodes[i];
		uint64_t trouble = disk_trouble_at(n->disk);
		uint64_t slack = sim.faults.slow_disk ? 5 * RECORDED_NS : RECORDED_NS;

		if (trouble && trouble + TROUBLE_NS > known)
			slack = TROUBLE_NS;
		for (unsigned k = 0; k < n->deaths_n; k++)
			if (n->deaths[k] >= d->began && n->deaths[k] <= known + slack)
				return true;
	}
	return false;
}

/* With two relays the first may have handed its letter to the second twice. */
static bool may_repeat(const struct delivery *d)
{
	const struct letter *l = ledger_find(d->letter);
	bool hop = d->is_notice || l->hop[d->recipient];
	uint64_t known = end_read_at(d->relay, d->reply_end);

	if (known == UINT64_MAX || died_after(d, known))
		return true;
	if (!hop || nodes_n < 2)
		return false;
	return sim.faults.cut || sim.faults.stall || sim.faults.crashes || sim.faults.stops ||
	       sim.nth_kind >= 0 || sim.faults.disk[CALL_RECV] || sim.faults.disk[CALL_SEND];
}

static bool is_of(const struct delivery *d, const struct letter *l, unsigned attempt, unsigned r)
{
	return d->letter == l->number && d->attempt == attempt && d->recipient == r;
}

struct count {
	unsigned letters, failures;
	unsigned sure_letters, sure_failures;	/* known to the relay for good: one is enough */
	unsigned notices;	/* different ones about the failure */
};

static void count_one(struct count *c, const struct delivery *d, const struct delivery **last)
{
	bool sure = !may_repeat(d);

	if (d->is_notice && d->delayed)
		return;
	if (!d->is_notice) {
		c->letters++;
		c->sure_letters += sure;
		return;
	}
	c->failures++;
	c->sure_failures += sure;
	c->notices += !*last || strcmp((*last)->id, d->id) != 0;
	*last = d;
}

static struct count count_of(const struct letter *l, unsigned attempt, unsigned r)
{
	const struct delivery *last = NULL;
	struct count c = { 0 };

	for (unsigned i = 0; i < deliveries_n; i++)
		if (is_of(&deliveries[i], l, attempt, r))
			count_one(&c, &deliveries[i], &last);
	return c;
}

static void check_lost(const struct letter *l, unsigned attempt, unsigned r, const struct count *c)
{
	bool wanted = l->kinds[r] == KIND_OK;

	if (sim.flips_done)
		return;		/* counted by check_flips */
	if (wanted && !c->letters)
		sim_fail("D3: letter %u.%u.%u was acknowledged and never arrived (%u notices)",
			 l->number, attempt, r, c->failures);
	else if (!wanted && !l->null_sender && !c->failures)
		sim_fail("D2: the sender of letter %u.%u.%u was never told that it failed",
			 l->number, attempt, r);
}

static void check_recipient(const struct letter *l, unsigned attempt, unsigned r)
{
	const struct attempt *a = l->attempts[attempt];
	struct count c = count_of(l, attempt, r);

	if (a->state == ATTEMPT_ACKED)
		check_lost(l, attempt, r, &c);
	if (a->state == ATTEMPT_REFUSED && (c.letters || c.failures))
		sim_fail("D4: letter %u.%u.%u was refused and arrives", l->number, attempt, r);
	if (a->state == ATTEMPT_UNSENT && (c.letters || c.failures))
		sim_fail("D4: letter %u.%u.%u was not sent to its end and arrives", l->number,
			 attempt, r);
	if (l->kinds[r] != KIND_OK && c.letters)
		sim_fail("letter %u.%u.%u arrives where it was refused", l->number, attempt, r);
	if (l->kinds[r] == KIND_OK && c.failures && !sim.flips_done)
		sim_fail("letter %u.%u.%u bounced without a reason", l->number, attempt, r);
	if ((c.sure_letters > 1 || c.sure_failures > 1) && !sim.flips_done)
		sim_fail("D3: letter %u.%u.%u or its notice arrives %u times, without a reason",
			 l->number, attempt, r, c.letters + c.failures);
	if (c.notices > 1 && nodes_n == 1 && !sim.flips_done)
		sim_fail("D2: two notices about letter %u.%u.%u", l->number, attempt, r);
}

/* Each bit that turned over may cost one message, and not in silence. */
static void check_flips(void)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < letters_n; i++)
		for (unsigned a = 0; a < letters[i]->attempts_n; a++) {
			bool whole = true;

			if (letters[i]->attempts[a]->state != ATTEMPT_ACKED)
				continue;
			for (unsigned r = 0; r < letters[i]->recipients_n; r++) {
				struct count c = count_of(letters[i], a, r);

				whole &= c.letters || c.failures || letters[i]->null_sender;
			}
			lost += !whole;
		}
	if (lost > sim.flips_done)
		sim_fail("D3: %u bits turned over cost %u messages", sim.flips_done, lost);
	if (lost && !sim.damage_reports)
		sim_fail("D3: %u messages were lost to turned bits in silence", lost);
}

void ledger_check(void)
{
	for (unsigned i = 0; i < letters_n; i++)
		for (unsigned a = 0; a < letters[i]->attempts_n; a++)
			for (unsigned r = 0; r < letters[i]->recipients_n; r++)
				check_recipient(letters[i], a, r);
	if (sim.flips_done)
		check_flips();
}

uint64_t ledger_slowest(unsigned domains)
{
	uint64_t slowest = 0;

	for (unsigned i = 0; i < deliveries_n; i++) {
		const struct delivery *d = &deliveries[i];
		const struct letter *l = ledger_find(d->letter);
		const struct attempt *a = attempt_of(d);

		if (d->is_notice || l->domain[d->recipient] < 0 ||
		    !(domains & 1u << l->domain[d->recipient]) || !a->answered)
			continue;
		if (d->accepted > a->answered && d->accepted - a->answered > slowest)
			slowest = d->accepted - a->answered;
	}
	return slowest;
}

void ledger_sum(unsigned *ret_acked, unsigned *ret_deliveries, unsigned *ret_notices)
{
	*ret_acked = *ret_deliveries = *ret_notices = 0;
	for (unsigned i = 0; i < letters_n; i++)
		for (unsigned a = 0; a < letters[i]->attempts_n; a++)
			*ret_acked += letters[i]->attempts[a]->state == ATTEMPT_ACKED;
	for (unsigned i = 0; i < deliveries_n; i++)
		++*(deliveries[i].is_notice ? ret_notices : ret_deliveries);
}
