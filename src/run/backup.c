/*
 * backup - relevo backup: a consistent copy of the spool, of a running relay or of one that is
 * down.
 *
 * A running relay is asked to pin its spool (control/pin.c): then nothing is deleted, and the
 * segments' prefixes that it names are on stable storage and never change, so they can be copied at
 * leisure. That copy is exactly what a crash at the moment of the pin would have left, and is read
 * like one: the content files that its open messages name are copied next. If no relay runs, its
 * lock is held instead, and all there is is copied.
 *
 * TARGET/ is laid out as a spool, with the file "backup" as the last one written: without it the
 * copy is not complete. Everything is verified in the copy; damage is reported and copied all the
 * same.
 */
#include "control/arguments.h"
#include "control/control.h"
#include "run/copy.h"
#include "run/run.h"
#include "run/spool_command.h"

#include <fcntl.h>
#include <unistd.h>

struct backup {
	struct tree from, to;
	FILE *relay; /* the control connection; NULL: none runs */
	int lock;    /* instead of it */
	struct look_ids ids;
	struct look look; /* at the copy */
	uint64_t octets, messages;
	unsigned segments, files, damaged;
};

static int complain(const char *what, const char *name, int error)
{
	fprintf(stderr, "relevo: %s%s: %s.\n", what, name, strerror(-error));
	return -1;
}

/* ---- segments */

static int copy_segment(struct backup *b, const char *name, uint64_t octets)
{
	int64_t n = copy_file(b->to.world, b->from.segments, b->to.segments, name, octets);

	if (n < 0)
		return complain("cannot copy segment ", name, (int)n);
	b->segments++;
	b->octets += (uint64_t)n;
	return 0;
}

/* One line of the relay's answer; what it names is pinned as soon as it is named. */
static int take_line(struct backup *b, char *line, bool *ret_pinned)
{
	unsigned long long number, octets;
	char name[SEGMENT_NAME];

	line[strcspn(line, "\r\n")] = 0;
	if (strcmp(line, " pinned") == 0) {
		*ret_pinned = true;
		return 0;
	}
	if (sscanf(line, " segment %16llx %20llu", &number, &octets) == 2)
		return copy_segment(b, segment_name(name, number), octets);
	fprintf(stderr, "relevo: the relay answered \"%.200s\".\n", line);
	return -1;
}

static int copy_pinned(struct backup *b)
{
	char line[512];
	bool pinned = false;
	int r = 0;

	while (r == 0 && !pinned && fgets(line, sizeof(line), b->relay))
		r = take_line(b, line, &pinned);
	if (r == 0 && !pinned) {
		fputs("relevo: the relay ended before it had answered.\n", stderr);
		r = -1;
	}
	return r;
}

static int on_segment(void *arg, const char *name)
{
	uint64_t number;

	if (!segment_name_parse(name, &number) || !number)
		return 0;
	return copy_segment(arg, name, UINT64_MAX) < 0 ? -EIO : 0;
}

static int copy_unused(struct backup *b)
{
	struct world *w = b->from.world;
	int r;

	b->lock = w->disk_open(w, b->from.dir, "lock", O_RDWR | O_CREAT, 0600);
	r = b->lock < 0 ? b->lock : w->disk_lock(w, b->lock);
	if (r == -EWOULDBLOCK) {
		fputs("relevo: a relay uses the spool, but does not answer: is it starting?\n",
		      stderr);
		return -1;
	}
	if (r < 0)
		return complain("cannot lock ", b->from.path, r);
	return w->disk_list(w, b->from.segments, ".", on_segment, b) < 0 ? -1 : 0;
}

/* ---- content files: those that open messages of the copy name */

static void on_record(void *arg, struct scan *sc, const struct scanned *f)
{
	struct backup *b = arg;

	look_id_take(&b->ids, sc, f);
	if (f->header.type == RECORD_MESSAGE && !scan_content_is_sound(sc, f))
		b->damaged++;
}

static void on_damage(void *arg, const char *segment, uint64_t from, uint64_t to, bool torn)
{
	struct backup *b = arg;

	(void)segment;
	(void)from;
	(void)to;
	b->damaged += !torn;
}

static int copy_content(struct backup *b, const struct look_id *e)
{
	char name[CONTENT_FILE_NAME];
	int64_t n = copy_file(b->to.world, b->from.content, b->to.content,
			      content_file_name(name, e->body.file), UINT64_MAX);

	if (n == -ENOENT) {
		b->damaged++;
		return 0;
	}
	if (n < 0)
		return complain("cannot copy content file ", name, (int)n);
	b->files++;
	b->octets += (uint64_t)n;
	b->damaged += look_content(&b->look, &e->body) < 0;
	return 0;
}

static int copy_contents(struct backup *b)
{
	struct buf error = BUF_INIT(MESSAGES_MAX);
	struct map_node *node = NULL;
	int r = look_open(&b->look, b->to.world, b->to.path, &error);

	if (r < 0) {
		fprintf(stderr, "relevo: %s.\n", buf_cstr(&error));
		buf_done(&error);
		return -1;
	}
	look_all(&b->look);
	while (r == 0 && (node = map_walk(&b->ids.map, node))) {
		const struct look_id *e = CONTAINER_OF(node, struct look_id, node);

		if (e->is_done || !e->g)
			continue;
		b->messages++;
		if (e->body.file)
			r = copy_content(b, e);
	}
	look_ids_done(&b->ids);
	look_close(&b->look);
	buf_done(&error);
	return r;
}

/* ---- together */

/* The relay held still to the end: else something may have been deleted that was not copied yet. */
static int unpin(struct backup *b)
{
	char line[512] = "";

	if (!b->relay)
		return 0;
	fputs("done\r\n", b->relay);
	fflush(b->relay);
	if (fgets(line, sizeof(line), b->relay) && strncmp(line, "=0", 2) == 0)
		return 0;
	line[strcspn(line, "\r\n")] = 0;
	fprintf(stderr, "relevo: %s.\n",
		line[0] == '!' ? line + 1 : "the relay ended while its spool was copied");
	return -1;
}

static int finish(struct backup *b)
{
	struct buf text = BUF_INIT(256);
	int r;

	buf_printf(&text, "relevo backup 1\nmessages %llu\nsegments %u\ncontent %u\n",
		   (unsigned long long)b->messages, b->segments, b->files);
	r = tree_sync(&b->to);
	if (r == 0)
		r = write_text(b->to.world, b->to.dir, "backup", buf_cstr(&text));
	if (r == 0)
		r = b->to.world->disk_sync(b->to.world, b->to.dir);
	buf_done(&text);
	return r < 0 ? complain("cannot finish ", b->to.path, r) : 0;
}

static int copy_all(struct backup *b)
{
	int64_t n = copy_file(b->to.world, b->from.dir, b->to.dir, "spool", UINT64_MAX);

	if (n < 0)
		return complain("cannot copy the file ", "\"spool\"", (int)n);
	if ((b->relay ? copy_pinned(b) : copy_unused(b)) < 0 || copy_contents(b) < 0 ||
	    unpin(b) < 0)
		return -1;
	return finish(b);
}

static int run(struct backup *b, const char *state, const char *spool, const char *target)
{
	int r = tree_open(&b->from, spool);

	if (r < 0)
		return complain("cannot read the spool ", spool, r);
	b->relay = control_connect(state, "pin text");
	if (!b->relay && errno != ENOENT && errno != ECONNREFUSED)
		return complain("cannot ask the relay at ", state, -errno);
	r = tree_make(&b->to, target);
	if (r == -ENOTEMPTY) {
		fprintf(stderr, "relevo: %s is not empty; a backup needs a new folder.\n", target);
		return -1;
	}
	return r < 0 ? complain("cannot make ", target, r) : copy_all(b);
}

static int backup(const char *state, const char *spool, const char *target)
{
	struct backup *b = mem_zalloc(sizeof(*b));
	int r;

	b->lock = b->from.dir = b->from.segments = b->from.content = -1;
	b->to = b->from;
	b->from.world = b->to.world = world_real();
	b->ids.arena.block_size = 64 * 1024;
	b->look = (struct look){.record = on_record, .damage = on_damage, .arg = b};
	r = run(b, state, spool, target);
	if (r == 0)
		printf("%llu messages in %u segments and %u content files, %llu octets, are in "
		       "%s.\n",
		       (unsigned long long)b->messages, b->segments, b->files,
		       (unsigned long long)b->octets, target);
	if (r == 0 && b->damaged)
		fprintf(stderr,
			"relevo: %u places of the spool are damaged, and so in the backup: see "
			"\"relevo spool check\".\n",
			b->damaged);
	if (b->relay)
		fclose(b->relay);
	if (b->lock >= 0)
		b->from.world->disk_close(b->from.world, b->lock);
	r = r < 0 || b->damaged;
	tree_close(&b->from);
	tree_close(&b->to);
	mem_free(b);
	return r;
}

int backup_main(int argc, char **argv)
{
	const char *config = CONFIG_PATH_DEFAULT, *state = NULL;
	const struct argument_row rows[] = {{"-c", &config, NULL}, {"--state", &state, NULL}};
	char *folder, *path;
	int code;

	if (!arguments_parse("backup", &argc, argv, rows, 2))
		return 2;
	if (argc != 1) {
		fputs("relevo backup [-c FILE | --state FOLDER] TARGET\n", stderr);
		return 2;
	}
	folder = control_state(config, state);
	if (!folder)
		return 1;
	path = path_in(folder, "spool");
	code = backup(folder, path, argv[0]);
	mem_free(path);
	mem_free(folder);
	return code;
}
