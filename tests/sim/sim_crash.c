/*
 * sim_crash - what a disk has lost when the power comes back, and bits that turn over.
 *
 * Every unsynced write is taken sector by sector, in order: it reached the platter or not, by
 * chance; if so, whole, torn (its beginning only), or as garbage. So any subset of sectors
 * survives, in any order. Sizes are the durable one, the current one or the smallest between.
 * A name is what it was at the last sync of its folder, or anything since.
 */
#include "sim/disk.h"

static void lose_sector(struct inode *i, const struct written *w, size_t from, unsigned torn)
{
	uint64_t at = w->offset + from;
	size_t n = SECTOR;

	if (at + SECTOR > i->dur.n)
		bytes_resize(&i->dur, at + SECTOR);
	if (sim_chance(torn)) {
		n = (size_t)sim_below(SECTOR);
		sim.disk_lied = true;
	}
	memcpy(i->dur.p + at, w->bytes + from, n);
	if (n < SECTOR && sim_chance(300))
		for (size_t b = n; b < SECTOR; b++)
			i->dur.p[at + b] = (char)sim_random();
}

void inode_lose(struct inode *i, unsigned kept, unsigned torn)
{
	uint64_t sizes[3] = { i->dur.n, i->cur.n, i->size_changed ? i->size_least : i->cur.n };
	uint64_t size = sizes[kept == 1000 ? 1 : kept == 0 ? 0 : sim_below(3)];

	/* A hole among what was never synced may be told as damage later. */
	sim.disk_lied |= i->writes_n > 1 && kept && kept < 1000;
	for (size_t w = 0; w < i->writes_n; w++)
		for (size_t from = 0; from < i->writes[w].n; from += SECTOR)
			if (sim_chance(kept))
				lose_sector(i, &i->writes[w], from, torn);
	inode_drop_writes(i);
	bytes_resize(&i->dur, size);
	bytes_resize(&i->cur, 0);
	bytes_resize(&i->cur, size);
	if (size)
		memcpy(i->cur.p, i->dur.p, (size_t)size);
}

static void lose_name(struct disk_name *n, unsigned kept)
{
	unsigned pick = kept == 0 ? 0 : (unsigned)sim_below(n->between_n + 2);
	struct inode *found = n->cur;

	if (kept != 1000 && pick == 0)
		found = n->dur;
	else if (kept != 1000 && pick <= n->between_n)
		found = n->between[pick - 1];
	inode_ref(found);
	inode_unref(n->cur);
	n->cur = found;
}

static void lose_names(struct inode *folder, unsigned kept)
{
	LIST_FOR(at, &folder->names)
		lose_name(LIST_ENTRY(at, struct disk_name, link), kept);
	folder_settle(folder);
}

void disk_lose_power(struct disk *d)
{
	static const unsigned kept[] = { 0, 100, 500, 900, 1000 };
	unsigned files = kept[sim_below(5)], names = kept[sim_below(5)];
	unsigned torn = sim_chance(500) ? 100 : 0;

	sim_say("power lost: %u of 1000 sectors kept, %u of 1000 names, %u torn", files, names,
		torn);
	LIST_FOR(at, &d->inodes) {
		struct inode *i = LIST_ENTRY(at, struct inode, in_disk);

		i->refs++;		/* losing a name may free it */
		if (i->folder)
			lose_names(i, names);
		else
			inode_lose(i, files, torn);
		at_next = at->next;
		inode_unref(i);
	}
}

/* ---- bits */

static struct inode *folder_at(struct disk *d, const char *const *path)
{
	struct inode *at = d->root;

	for (; *path && at; path++) {
		struct inode *found = NULL;

		LIST_FOR(entry, &at->names) {
			struct disk_name *n = LIST_ENTRY(entry, struct disk_name, link);

			if (!strcmp(n->text, *path))
				found = n->cur;
		}
		at = found;
	}
	return at;
}

static uint64_t used_of(const struct inode *i)
{
	uint64_t used = i->dur.n;

	while (used && !i->dur.p[used - 1])
		used--;
	return used;
}

/*
 * A file that holds something. What is behind its last write is left alone: a turned bit in the
 * last batch of all cannot be told from a torn end, and is not promised to be.
 */
static struct inode *victim(struct disk *d, const char *state)
{
	const char *const segments[] = { state, "spool", "segments", NULL };
	const char *const content[] = { state, "spool", "content", NULL };
	struct inode *folder = folder_at(d, sim_chance(300) ? content : segments);
	struct inode *found = NULL;
	unsigned n = 0;

	if (!folder)
		return NULL;
	LIST_FOR(at, &folder->names) {
		struct inode *i = LIST_ENTRY(at, struct disk_name, link)->cur;

		if (i && !i->writes_n && used_of(i) > 4096 && sim_below(++n) == 0)
			found = i;
	}
	return found;
}

void disk_flip(struct disk *d)
{
	struct disk_name *state = LIST_ENTRY(list_first(&d->root->names), struct disk_name, link);
	struct inode *i = victim(d, state->text);
	uint64_t used = i ? used_of(i) : 0, at;
	char bit = (char)(1 << sim_below(8));

	if (i && used > i->last_write)
		used = i->last_write;
	if (used <= 4096 || used > i->cur.n || i->dur.n != i->cur.n)
		return;
	at = sim_below(used);
	i->dur.p[at] ^= bit;
	i->cur.p[at] ^= bit;
	sim.flips_done++;
	sim.disk_lied = true;
	sim_say("bit turned over in file %u at %llu", i->number, (unsigned long long)at);
}
