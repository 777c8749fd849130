/*
 * sim_provider - what the providers of the simulated world refuse, with words like theirs.
 *
 * A throttle counts what it let pass, per source, exactly. It goes on after faults have stopped if
 * the provider stays so; greylisting does as well. Blocks, cuts and downs end with the faults.
 */
#include "sim/internet.h"

#include "base/hash.h"

#define TRIPLES_MAX 8192

static struct triple {
	uint64_t hash, since;
} triples[TRIPLES_MAX];
static unsigned triples_n;

void provider_begin(void)
{
	triples_n = 0;
}

static bool is_on(const struct group *g)
{
	return sim.faulty || g->stays;
}

static bool blocks(const struct group *g, unsigned source)
{
	return sim.faulty && g->blocked_until[source] > sim.now;
}

const char *provider_greets(struct group *g, unsigned source)
{
	if (blocks(g, source) && !g->blocks_at_mail)
		return "554 5.7.1 Service unavailable; client is on our block list\r\n";
	if (is_on(g) && g->connections_max && g->open[source] > g->connections_max) {
		sim.counts.throttled++;
		return sim_chance(200) ? ""
				       : "421 4.7.0 Too many concurrent connections from your "
					 "address\r\n";
	}
	return NULL;
}

/* Whether it came within the period and one more would be too many. */
static bool is_too_fast(struct group *g, unsigned source)
{
	uint64_t n = g->taken_n[source], before;

	if (!is_on(g) || !g->messages_n)
		return false;
	before = n < g->messages_n ? 0 : g->taken_at[source][(n - g->messages_n) % 64];
	if (before && before + g->messages_ns > sim.now)
		return true;
	g->taken_at[source][n % 64] = sim.now;
	g->taken_n[source]++;
	return false;
}

const char *provider_mail(struct group *g, unsigned source)
{
	if (blocks(g, source) && g->blocks_at_mail)
		return "421 4.7.1 Your address is on our block list\r\n";
	if (!is_too_fast(g, source))
		return NULL;
	sim.counts.throttled++;
	return sim_chance(500) ? "421 4.7.28 Unusual rate of mail from your address, slow down\r\n"
			       : "451 4.7.1 Too many messages, try again later\r\n";
}

const char *provider_rcpt(struct group *g, unsigned source, struct str sender, struct str address)
{
	uint64_t hash = hash_u64(source + 1);
	unsigned i = 0;

	if (!is_on(g) || !g->greylist_ns)
		return NULL;
	for (size_t k = 0; k < sender.n; k++)
		hash = hash_u64(hash ^ (uint8_t)sender.p[k]);
	for (size_t k = 0; k < address.n; k++)
		hash = hash_u64(hash ^ 0x100 ^ (uint8_t)address.p[k]);
	while (i < triples_n && triples[i].hash != hash)
		i++;
	if (i == triples_n && triples_n < TRIPLES_MAX)
		triples[triples_n++] = (struct triple){ hash, sim.now };
	if (i == TRIPLES_MAX || sim.now - triples[i].since >= g->greylist_ns)
		return NULL;
	sim.counts.greylisted++;
	return "450 4.7.1 Greylisted, come again later\r\n";
}

bool provider_cuts(struct group *g)
{
	return sim_fault(g->cuts);
}
