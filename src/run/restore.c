/*
 * restore - relevo restore: makes the spool anew from a backup.
 *
 * What went out since the backup was made is not known to it, so all of its messages come up held,
 * under the name "restored" (queue list shows it, queue release lets them go) - unless --redeliver
 * says that second deliveries are welcome. If some of the old spool is left, --old names it:
 * whatever its log says became final since then, is, and what was sent another way by an operator
 * goes that way.
 *
 * Steps: copy SOURCE to STATE/spool.restoring; draw a new incarnation far above all known, so that
 * no id is given out twice (base/id.h); open it as a relay would, which recovers it; record holds
 * and final states through the spool's own door; close; give it to the owner of the state folder;
 * rename it to STATE/spool. Until that rename no relay can see it, and a restore that was cut short
 * is begun anew.
 */
#include "control/arguments.h"
#include "control/control.h"
#include "control/on_loop.h"
#include "run/copy.h"
#include "run/run.h"
#include "run/spool_command.h"

#include <fcntl.h>
#include <unistd.h>

#define BATCH_MESSAGES 256
#define INCARNATION_GAP (1u << 16) /* a relay that was started so often since the backup... */
#define INCARNATION_NOISE ((1u << 24) - 1) /* two restores of one backup */

struct restored {
	struct map_node node;	 /* by id; first of all: owned, see free_found */
	struct message *message; /* counted */
	uint8_t *final;		 /* owned: of each recipient, its state in the old log */
	const struct name **routes; /* owned: likewise; NULL: as in the backup */
	bool is_done;
};

struct restore {
	const char *source, *old;
	char *spool, *work; /* owned: STATE/spool and STATE/spool.restoring */
	bool redeliver;
	struct net *net;
	struct spool *opened;
	struct map found;
	struct look_ids newer; /* open in the old log, and not in the backup */
	uint32_t incarnation_min;
	uint64_t messages, held, finals, rerouted;
	int result;
};

static int complain(const char *what, const char *name, int error)
{
	fprintf(stderr, "relevo: %s%s: %s.\n", what, name, strerror(-error));
	return -1;
}

/* ---- what is there */

static bool is_backup(struct restore *r)
{
	char *marker = path_in(r->source, "backup");
	bool is = access(marker, R_OK) == 0;

	if (!is)
		fprintf(stderr,
			"relevo: %s is no complete backup: the file \"backup\" is missing.\n",
			r->source);
	mem_free(marker);
	return is;
}

/* *ret_lock is held until the end: no relay starts meanwhile. */
static bool is_free(struct restore *r, int *ret_lock)
{
	struct world *w = world_real();
	struct tree t;
	int e = tree_open(&t, r->spool);
	bool is_empty;

	*ret_lock = -1;
	if (e == -ENOENT && access(r->spool, F_OK) < 0)
		return true;
	if (e < 0) {
		complain("cannot read ", r->spool, e);
		return false;
	}
	*ret_lock = w->disk_open(w, t.dir, "lock", O_RDWR | O_CREAT, 0600);
	e = *ret_lock < 0 ? *ret_lock : w->disk_lock(w, *ret_lock);
	is_empty = e == 0 && tree_is_empty(&t);
	if (e == -EWOULDBLOCK)
		fprintf(stderr, "relevo: a relay runs on %s: stop it first.\n", r->spool);
	else if (e < 0)
		complain("cannot lock ", r->spool, e);
	else if (!is_empty)
		fprintf(stderr,
			"relevo: the spool %s is not empty, and is not overwritten: move it "
			"aside, and name it with --old.\n",
			r->spool);
	tree_close(&t);
	return is_empty;
}

/* ---- copying */

struct copying {
	struct world *world;
	int from, to;
};

static int on_name(void *arg, const char *name)
{
	struct copying *c = arg;
	int64_t n = copy_file(c->world, c->from, c->to, name, UINT64_MAX);

	return n < 0 ? complain("cannot copy ", name, (int)n) : 0;
}

static int copy_folder(struct world *w, int from, int to)
{
	struct copying c = {w, from, to};

	return w->disk_list(w, from, ".", on_name, &c);
}

static int new_incarnation(struct restore *r, struct tree *t)
{
	struct spool *s = mem_zalloc(sizeof(*s));
	struct buf error = BUF_INIT(MESSAGES_MAX);
	uint32_t noise;
	int e;

	s->world = t->world;
	s->dir = t->dir;
	e = identity_read(s, &error);
	t->world->random(t->world, &noise, sizeof(noise));
	if (s->incarnation < r->incarnation_min)
		s->incarnation = r->incarnation_min;
	s->incarnation += INCARNATION_GAP + (noise & INCARNATION_NOISE);
	if (e == 0)
		e = identity_write(s);
	if (e < 0 && error.n)
		fprintf(stderr, "relevo: %s.\n", buf_cstr(&error));
	else if (e < 0)
		complain("cannot draw an incarnation for ", r->work, e);
	buf_done(&error);
	mem_free(s);
	return e;
}

static int copy(struct restore *r)
{
	struct world *w = world_real();
	struct tree from, to;
	int e = tree_open(&from, r->source);

	if (e < 0)
		return complain("cannot read ", r->source, e);
	tree_remove(w, r->work); /* of a restore that was cut short */
	e = tree_make(&to, r->work);
	if (e < 0) {
		tree_close(&from);
		return complain("cannot make ", r->work, e);
	}
	if (copy_folder(w, from.segments, to.segments) < 0 ||
	    copy_folder(w, from.content, to.content) < 0 ||
	    on_name(&(struct copying){w, from.dir, to.dir}, "spool") < 0 ||
	    new_incarnation(r, &to) < 0 || tree_sync(&to) < 0)
		e = -1;
	tree_close(&from);
	tree_close(&to);
	return e;
}

/* ---- what became of them, by the old log */

static void on_found(void *arg, struct message *m)
{
	struct restore *r = arg;
	struct restored *e = mem_zalloc(sizeof(*e));

	e->message = message_ref(m);
	map_insert(&r->found, &e->node, id_hash(&m->id));
	r->messages++;
}

static struct restored *find(struct restore *r, const struct message_id *id)
{
	struct map_node *node = map_first(&r->found, id_hash(id));

	for (; node; node = map_next(node)) {
		struct restored *e = CONTAINER_OF(node, struct restored, node);

		if (id_eq(&e->message->id, id))
			return e;
	}
	return NULL;
}

static void note_route(struct restored *e, uint32_t recipient, const struct name *route)
{
	const struct message *m = e->message;

	if (recipient >= m->recipients_n || !route)
		return;
	if (!e->routes)
		e->routes = mem_calloc(m->recipients_n, sizeof(struct name *));
	e->routes[recipient] = route;
}

static void note_changes(struct restored *e, struct str envelope)
{
	struct progress p;
	struct reroute r;
	struct change c;

	if (!record_progress_get(envelope, &p))
		return;
	if (!e->final)
		e->final = mem_zalloc(e->message->recipients_n);
	while (record_progress_route(&p, &r))
		note_route(e, r.recipient, name_intern(r.route));
	while (record_progress_next(&p, &c))
		if (c.recipient < e->message->recipients_n && c.state != RECIPIENT_QUEUED)
			e->final[c.recipient] = c.state;
}

/* A copy that was swept carries the state in itself. */
static void note_copy(struct restored *e, const struct scanned *f)
{
	struct record_body body;
	struct str head;
	struct message *m = record_message_get(&f->header, scan_envelope(f), &head, &body);

	if (m && m->recipients_n == e->message->recipients_n) {
		if (!e->final)
			e->final = mem_zalloc(m->recipients_n);
		for (uint32_t i = 0; i < m->recipients_n; i++) {
			if (m->recipients[i].state != RECIPIENT_QUEUED)
				e->final[i] = m->recipients[i].state;
			note_route(e, i, recipient_route_name(m, i));
		}
	}
	message_unref(m);
}

static void on_old_record(void *arg, struct scan *sc, const struct scanned *f)
{
	struct restore *r = arg;
	struct restored *e = find(r, &f->header.id);

	if (!e)
		look_id_take(&r->newer, sc, f);
	else if (f->header.type == RECORD_DONE)
		e->is_done = true;
	else if (f->header.type == RECORD_PROGRESS)
		note_changes(e, scan_envelope(f));
	else if (f->header.type == RECORD_MESSAGE)
		note_copy(e, f);
}

static void report_newer(struct restore *r)
{
	struct map_node *node = NULL;
	unsigned n = 0;

	while ((node = map_walk(&r->newer.map, node))) {
		const struct look_id *e = CONTAINER_OF(node, struct look_id, node);

		n += e->g && !e->is_done;
	}
	if (n)
		fprintf(stderr,
			"relevo: %u open message%s of %s came in after the backup and %s not "
			"restored.\n",
			n, n == 1 ? "" : "s", r->old, n == 1 ? "is" : "are");
}

/* keep: its records count. Else only its incarnation is asked for, which must be known before. */
static int look_at_old(struct restore *r, bool keep)
{
	struct look l = {.record = on_old_record, .arg = r};
	struct buf error = BUF_INIT(MESSAGES_MAX);
	int e = look_open(&l, world_real(), r->old, &error);

	if (e < 0) {
		fprintf(stderr, "relevo: %s.\n", buf_cstr(&error));
		buf_done(&error);
		return e;
	}
	buf_done(&error);
	r->incarnation_min = l.spool->incarnation;
	for (unsigned i = 0; i < l.recovery.n; i++)
		if (l.recovery.segments[i].g->incarnation > r->incarnation_min)
			r->incarnation_min = l.recovery.segments[i].g->incarnation;
	if (keep) {
		look_all(&l);
		report_newer(r);
		look_ids_done(&r->newer);
	}
	look_close(&l);
	return 0;
}

/* ---- recording it */

static void record_final(struct restore *r, struct batch *b, struct restored *e)
{
	struct message *m = e->message;
	struct outcome *out = mem_calloc(m->recipients_n, sizeof(*out));
	unsigned n = 0;

	for (uint32_t i = 0; i < m->recipients_n; i++) {
		uint8_t state = e->final ? e->final[i] : RECIPIENT_QUEUED;

		if (state == RECIPIENT_QUEUED && e->is_done)
			state = RECIPIENT_DELETED; /* final, in a way that is not known */
		if (m->recipients[i].state == RECIPIENT_QUEUED && state != RECIPIENT_QUEUED)
			out[n++] = (struct outcome){.recipient = i, .state = state};
	}
	if (n)
		batch_outcomes(b, m, out, n);
	r->finals += n;
	mem_free(out);
}

/* Recipient by recipient, each with all behind it that go the same way. */
static void record_routes(struct restore *r, struct batch *b, struct restored *e)
{
	struct message *m = e->message;
	uint32_t *alike = mem_calloc(m->recipients_n, sizeof(*alike));

	for (uint32_t i = 0; i < m->recipients_n; i++) {
		const struct name *route = e->routes[i];
		unsigned n = 0;

		for (uint32_t j = i; route && j < m->recipients_n; j++) {
			if (e->routes[j] != route)
				continue;
			e->routes[j] = NULL;
			if (m->recipients[j].state == RECIPIENT_QUEUED &&
			    recipient_route_name(m, j) != route)
				alike[n++] = j;
		}
		if (n)
			batch_route(b, m, alike, n, route);
		r->rerouted += n;
	}
	mem_free(alike);
}

static void record_one(struct restore *r, struct batch *b, struct restored *e)
{
	struct message *m = e->message;

	if (e->routes && !e->is_done)
		record_routes(r, b, e);
	if (e->final || e->is_done)
		record_final(r, b, e);
	if (r->redeliver || e->is_done || (m->flags & MESSAGE_HELD))
		return;
	batch_flags(b, m, m->flags | MESSAGE_HELD | MESSAGE_RESTORED, m->crashes);
	r->held++;
}

static void record_task(void *arg) /* SUSPENDS: a task's entry */
{
	struct restore *r = arg;
	struct map_node *node = map_walk(&r->found, NULL);

	while (node && r->result == 0) {
		struct batch *b = batch_new(r->opened);

		for (unsigned n = 0; node && n < BATCH_MESSAGES; n++) {
			record_one(r, b, CONTAINER_OF(node, struct restored, node));
			node = map_walk(&r->found, node);
		}
		r->result = spool_commit(r->opened, b);
	}
}

static void free_found(struct restore *r)
{
	struct map_node *node = map_walk(&r->found, NULL), *next;

	for (; node; node = next) {
		struct restored *e = CONTAINER_OF(node, struct restored, node);

		next = map_walk(&r->found, node);
		message_unref(e->message);
		mem_free(e->final);
		mem_free(e->routes);
		mem_free(e);
	}
	map_done(&r->found);
}

static void on_event(void *arg, enum spool_event kind, const char *text)
{
	(void)arg;
	if (kind == SPOOL_EVENT_DAMAGE)
		fprintf(stderr, "relevo: damage in the backup: %s.\n", text);
}

static int settle(struct restore *r)
{
	struct spool_options o = {.path = r->work, .event = on_event};
	struct buf error = BUF_INIT(MESSAGES_MAX);
	int e;

	r->net = net_new(world_real(), 1, 1);
	net_start(r->net);
	e = spool_open(r->net, &o, on_found, r, &r->opened, NULL, &error);
	if (e < 0) {
		fprintf(stderr, "relevo: %s.\n", buf_cstr(&error));
	} else {
		if (r->old)
			e = look_at_old(r, true);
		if (e == 0) {
			on_loop(r->net, 0, record_task, r);
			e = r->result;
			if (e < 0)
				complain("cannot write ", r->work, e);
		}
		free_found(r);
		spool_close(r->opened);
	}
	net_stop(r->net);
	buf_done(&error);
	return e;
}

/* ---- the end */

struct giving {
	int dir;
	uid_t uid;
	gid_t gid;
};

static int give_one(void *arg, const char *name)
{
	struct giving *g = arg;

	return fchownat(g->dir, name, g->uid, g->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* Made by root, it belongs to the relay's account: to whom the state folder belongs. */
static int give_away(struct restore *r, const char *state)
{
	static const char *const folders[] = {".", "segments", "content", "quarantine"};
	struct world *w = world_real();
	struct stat st;
	int e = 0;

	if (geteuid() != 0 || stat(state, &st) < 0 || st.st_uid == 0)
		return 0;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && e == 0; i++) {
		char *path = path_in(r->work, folders[i]);
		struct giving g = {w->disk_open(w, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0),
				   st.st_uid, st.st_gid};

		mem_free(path);
		if (g.dir < 0)
			return complain("cannot open ", r->work, g.dir);
		if (fchown(g.dir, st.st_uid, st.st_gid) < 0)
			e = -errno;
		if (e == 0)
			e = w->disk_list(w, g.dir, ".", give_one, &g);
		w->disk_close(w, g.dir);
	}
	return e < 0 ? complain("cannot give away ", r->work, e) : 0;
}

/*
 * Over an empty spool only if we hold its lock. If there was none, and a relay has made one
 * meanwhile, the rename fails.
 */
static int put_in_place(struct restore *r, const char *state, bool is_locked)
{
	struct world *w = world_real();
	int e, dir = w->disk_open(w, AT_FDCWD, state, O_RDONLY | O_DIRECTORY, 0);

	if (dir < 0)
		return complain("cannot open ", state, dir);
	if (is_locked)
		tree_remove(w, r->spool);
	e = w->disk_rename(w, dir, "spool.restoring", "spool");
	if (e == 0)
		e = w->disk_sync(w, dir);
	w->disk_close(w, dir);
	return e < 0 ? complain("cannot rename ", r->work, e) : 0;
}

static void print(const struct restore *r)
{
	printf("%llu messages restored.\n", (unsigned long long)r->messages);
	if (r->finals)
		printf("%llu recipients are final by the log in %s: nothing goes to them.\n",
		       (unsigned long long)r->finals, r->old);
	if (r->rerouted)
		printf("%llu recipients go by another route since then.\n",
		       (unsigned long long)r->rerouted);
	if (r->held)
		printf("%llu messages are held, as some may have been delivered since the backup: "
		       "look "
		       "with \"relevo queue list\", let go with \"relevo queue release all\".\n",
		       (unsigned long long)r->held);
}

static int restore(struct restore *r, const char *state)
{
	int lock, e = -1;

	if (!is_backup(r))
		return 1;
	if (mkdir(state, 0700) < 0 && errno != EEXIST)
		return complain("cannot make ", state, -errno) < 0;
	if (is_free(r, &lock) && (!r->old || look_at_old(r, false) == 0) && copy(r) == 0 &&
	    settle(r) == 0 && give_away(r, state) == 0)
		e = put_in_place(r, state, lock >= 0);
	if (lock >= 0)
		world_real()->disk_close(world_real(), lock);
	if (e == 0)
		print(r);
	return e < 0;
}

int restore_main(int argc, char **argv)
{
	const char *config = CONFIG_PATH_DEFAULT, *option = NULL;
	struct restore r = {0};
	const struct argument_row rows[] = {
		{"-c", &config, NULL},
		{"--state", &option, NULL},
		{"--old", &r.old, NULL},
		{"--redeliver", NULL, &r.redeliver},
	};
	char *state;
	int code;

	if (!arguments_parse("restore", &argc, argv, rows, 4))
		return 2;
	if (argc != 1) {
		fputs("relevo restore [-c FILE | --state FOLDER] [--old FOLDER] [--redeliver] "
		      "SOURCE\n",
		      stderr);
		return 2;
	}
	state = control_state(config, option);
	if (!state)
		return 1;
	r.source = argv[0];
	r.spool = path_in(state, "spool");
	r.work = path_in(state, "spool.restoring");
	r.newer.arena.block_size = 64 * 1024;
	code = restore(&r, state);
	mem_free(r.spool);
	mem_free(r.work);
	mem_free(state);
	return code;
}
