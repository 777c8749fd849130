/*
 * spool_check - relevo spool check: every octet of the spool read and held against its checksum.
 *
 * Read-only, with or without a relay running. Looked at: the file "spool", each segment's header,
 * each record's header, envelope and body, and each content file that an open message names. While
 * a relay runs files come and go while they are read: so there what seems damaged is believed only
 * if a second look finds the same. A tail that was never acknowledged is no damage.
 *
 * Exit code: 0 sound; 1 damage, or the spool cannot be read.
 */
#include "run/spool_command.h"

#include "control/arguments.h"

struct finding {
	struct finding *next;
	struct look_id *entry;
	struct segment *g; /* borrowed from the look */
	uint64_t offset;
};

struct check {
	struct look look;
	struct look_ids ids;
	struct arena arena;
	struct buf report;
	struct finding *findings;
	uint64_t messages, files;
	unsigned damaged, torn;
};

static void on_damage(void *arg, const char *segment, uint64_t from, uint64_t to, bool torn)
{
	struct check *c = arg;

	if (torn) {
		c->torn++;
		return;
	}
	c->damaged++;
	if (!to)
		buf_printf(&c->report,
			   "segment %s: its header is damaged, so nothing in it can be "
			   "read\n",
			   segment);
	else
		buf_printf(&c->report, "segment %s: octets %llu to %llu are no record\n", segment,
			   (unsigned long long)from, (unsigned long long)to);
}

static void on_record(void *arg, struct scan *sc, const struct scanned *f)
{
	struct check *c = arg;
	uint64_t offset = f->offset;
	struct look_id *e = look_id_take(&c->ids, sc, f);
	struct finding *found;

	if (!e || f->header.type != RECORD_MESSAGE || scan_content_is_sound(sc, f))
		return;
	e->is_damaged = true;
	found = arena_alloc(&c->arena, sizeof(*found));
	*found = (struct finding){c->findings, e, sc->g, offset};
	c->findings = found;
}

static void report_finding(struct check *c, const struct finding *f)
{
	char id[ID_TEXT_MAX];
	const char *meaning = "";

	c->damaged++;
	if (f->entry->is_done)
		meaning = "; the message is final, nothing is lost";
	else if (!f->entry->is_damaged)
		meaning = "; a newer copy is sound, nothing is lost";
	buf_printf(&c->report,
		   "segment %016llx: octet %llu: the content of message %s is damaged%s\n",
		   (unsigned long long)f->g->number, (unsigned long long)f->offset,
		   id_format(id, &f->entry->id), meaning);
}

static void check_file(struct check *c, const struct look_id *e)
{
	char id[ID_TEXT_MAX], name[CONTENT_FILE_NAME];
	int r = look_content(&c->look, &e->body);

	c->files++;
	if (r == 0)
		return;
	c->damaged++;
	buf_printf(&c->report, "content file %s of message %s: %s\n",
		   content_file_name(name, e->body.file), id_format(id, &e->id),
		   r == -EBADMSG  ? "damaged"
		   : r == -ENOENT ? "missing"
				  : strerror(-r));
}

static void check_messages(struct check *c)
{
	struct map_node *node = NULL;

	while ((node = map_walk(&c->ids.map, node))) {
		const struct look_id *e = CONTAINER_OF(node, struct look_id, node);

		if (e->is_done || !e->g)
			continue;
		c->messages++;
		if (e->body.file)
			check_file(c, e);
	}
}

static void check_identity(struct check *c)
{
	if (c->look.recovery.unreadable) {
		c->damaged++;
		buf_printf(&c->report, "the log's end cannot be read: a relay would not start\n");
	}
	if (c->look.identity == 0 || !c->look.recovery.n)
		return;
	c->damaged++;
	buf_printf(&c->report,
		   "the file \"spool\" is %s; a relay takes its numbers from the segments\n",
		   c->look.identity == -ENOENT ? "missing" : "damaged");
}

static int count_name(void *arg, const char *name)
{
	(void)name;
	++*(unsigned *)arg;
	return 0;
}

static void print(struct check *c, const char *path)
{
	const struct look *l = &c->look;
	unsigned quarantined = 0;

	print_text(stdout, &c->report);
	l->spool->world->disk_list(l->spool->world, l->spool->dir, "quarantine", count_name,
				   &quarantined);
	printf("%s%s: %u segments, %llu records, %llu open messages, %llu content files; "
	       "%llu octets read.\n",
	       path, l->is_live ? " (in use by a relay)" : "", l->recovery.n,
	       (unsigned long long)l->stats.records, (unsigned long long)c->messages,
	       (unsigned long long)c->files, (unsigned long long)l->stats.octets_read);
	if (c->torn || l->stats.torn_batches)
		puts("The log has an unfinished end, which was never acknowledged.");
	if (quarantined)
		printf("%u file%s in %s/quarantine.\n", quarantined, quarantined == 1 ? "" : "s",
		       path);
	if (c->damaged)
		printf("DAMAGED: %u place%s.\n", c->damaged, c->damaged == 1 ? "" : "s");
	else
		puts("Sound.");
}

/* -errno, or 0 with *c filled. */
static int check_once(struct check *c, const char *path, struct buf *error)
{
	int r;

	*c = (struct check){.report = BUF_INIT(MESSAGES_MAX)};
	c->ids.arena.block_size = c->arena.block_size = 64 * 1024;
	c->look.record = on_record;
	c->look.damage = on_damage;
	c->look.arg = c;
	r = look_open(&c->look, world_real(), path, error);
	if (r < 0)
		return r;
	look_all(&c->look);
	for (struct finding *f = c->findings; f; f = f->next)
		report_finding(c, f);
	check_messages(c);
	check_identity(c);
	return 0;
}

static void check_done(struct check *c)
{
	look_ids_done(&c->ids);
	look_close(&c->look);
	arena_done(&c->arena);
	buf_done(&c->report);
}

static bool has_line(struct str text, struct str line)
{
	while (text.n) {
		ssize_t end = str_find(text, '\n');

		if (str_eq(str_sub(text, 0, (size_t)end), line))
			return true;
		text = str_from(text, (size_t)end + 1);
	}
	return false;
}

/* Only what the look before reported as well. */
static void keep_lines(struct check *c, struct str before)
{
	struct buf both = BUF_INIT(MESSAGES_MAX);
	struct str rest = buf_str(&c->report);

	c->damaged = 0;
	while (rest.n) {
		ssize_t end = str_find(rest, '\n');
		struct str line = str_sub(rest, 0, (size_t)end);

		rest = str_from(rest, line.n + 1);
		if (!has_line(before, line))
			continue;
		c->damaged++;
		buf_add_str(&both, line);
		buf_add_byte(&both, '\n');
	}
	buf_done(&c->report);
	c->report = both;
}

static int check(struct check *c, const char *path, struct buf *error)
{
	struct buf before;
	int r = check_once(c, path, error);

	if (r < 0 || !c->damaged || !c->look.is_live)
		return r;
	before = c->report;
	c->report = BUF_INIT(0);
	check_done(c);
	r = check_once(c, path, error);
	if (r == 0)
		keep_lines(c, buf_str(&before));
	buf_done(&before);
	return r;
}

int spool_check(const char *path)
{
	struct buf error = BUF_INIT(MESSAGES_MAX);
	struct check *c = mem_alloc(sizeof(*c));
	int r = check(c, path, &error), code = 1;

	if (r == 0) {
		print(c, path);
		code = c->damaged ? 1 : 0;
		check_done(c);
	} else {
		fprintf(stderr, "relevo: %s.\n", buf_cstr(&error));
		buf_done(&c->report);
	}
	mem_free(c);
	buf_done(&error);
	return code;
}
