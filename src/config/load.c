/*
 * load - reads a configuration: files in, a snapshot or a list of faults out.
 *
 * A stack of files (the main file, what it includes) feeds statements to the handlers that the
 * table of settings names; a stack of open blocks says which struct they fill. Nothing recurses. A
 * statement with a fault is reported and left out; names are resolved and rules judged only when
 * all files are read (check.c). Everything that the snapshot keeps is copied to its arena; the
 * texts go when the loading ends.
 *
 * Does file I/O, so it may block: call it before the loops start, or from the pool.
 */
#include "config/load.h"

#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

#define ARENA_BIG ((size_t)64 << 10)

void vector_add(struct vector *v, void *p)
{
	if (v->n == v->size) {
		v->size = v->size ? v->size * 2 : 16;
		v->p = mem_realloc(v->p, size_mul(v->size, sizeof(*v->p)));
	}
	v->p[v->n++] = p;
}

void vector_done(struct vector *v)
{
	mem_free(v->p);
	*v = (struct vector){ 0 };
}

bool load_add(struct load *l, struct vector *v, void *p, unsigned max,
	      const struct config_place *at, const char *what)
{
	if (v->n == max) {
		diag_error(&l->diag, at, "more than %u %s", max, what);
		return false;
	}
	vector_add(v, p);
	return true;
}

/* ---- files */

const char *load_path(struct load *l, const struct config_place *at, struct str name)
{
	struct str file = str_of(at->file);
	ssize_t slash = str_rfind(file, '/');

	if (slash < 0 || (name.n && name.p[0] == '/'))
		return arena_cstr(&l->c->arena, name);
	return arena_cstr(&l->c->arena, arena_printf(&l->scratch, "%.*s/%.*s", (int)slash, file.p,
						     STR_ARG(name)));
}

static void (*on_open)(const char *path, int result);

void config_on_open(void (*fn)(const char *path, int result))
{
	on_open = fn;
}

/* Only regular files: a FIFO or a device could keep the relay waiting for ever. */
int config_open_file(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int error = fd < 0 ? -errno : 0;

	if (on_open)
		on_open(path, error);
	if (fd < 0)
		return error;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	return fd;
}

void load_note_folder(const char *path)
{
	struct buf inside = BUF_INIT(8192);

	if (on_open) {
		buf_printf(&inside, "%s/.", path);
		on_open(buf_cstr(&inside), 0);
	}
	buf_done(&inside);
}

static int read_whole(struct arena *a, int fd, uint64_t max, struct str *ret, struct stat *ret_stat)
{
	size_t n = 0;
	char *p;

	if (fstat(fd, ret_stat) < 0)
		return -errno;
	if ((uint64_t)ret_stat->st_size > max)
		return -EFBIG;
	p = arena_alloc(a, (size_t)ret_stat->st_size + 1);
	while (n < (size_t)ret_stat->st_size) {
		ssize_t got = read(fd, p + n, (size_t)ret_stat->st_size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	*ret = str_make(p, n);
	return 0;
}

static void hash_text(struct load *l, struct str text)
{
	uint64_t parts[3] = { l->hash, text.n, hash_bytes(text.p, text.n) };

	l->hash = hash_bytes(parts, sizeof(parts));
}

static void read_failed(struct load *l, const struct config_place *at, const char *path,
			uint64_t max, int error)
{
	struct config_place place = at ? *at : (struct config_place){ .file = path };

	if (error == -EFBIG)
		diag_error(&l->diag, &place, "%s is larger than %u MiB", path,
			   (unsigned)(max / MIB));
	else if (error == -ENOENT && at && !l->options->strict)
		diag_warn(&l->diag, &place, "%s: no such file", path);
	else
		diag_error(&l->diag, &place, "%s: %s", path,
			   error == -EINVAL ? "not a regular file" : strerrordesc_np(-error));
}

bool load_read(struct load *l, const struct config_place *at, const char *path, uint64_t max,
	       struct str *ret, struct stat *ret_stat)
{
	struct stat st;
	int fd, r;

	if (at && l->options->is_alone) {
		diag_error(&l->diag, at, "%s: other files cannot be read here", path);
		return false;
	}
	fd = config_open_file(path);
	r = fd < 0 ? fd : read_whole(&l->scratch, fd, max, ret, ret_stat ? ret_stat : &st);
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		read_failed(l, at, path, max, r);
		return false;
	}
	hash_text(l, *ret);
	return true;
}

/* ---- the stack of files */

static void input_push(struct load *l, const struct input *parent, const char *path,
			const struct config_place *at)
{
	struct input *s = arena_zalloc(&l->scratch, sizeof(*s));

	s->path = path;
	s->parent = parent;
	s->place = *at;
	s->depth = parent ? parent->depth + 1 : 0;
	s->next = l->input;
	l->input = s;
}

static bool is_in_loop(const struct input *s)
{
	for (const struct input *p = s->parent; p; p = p->parent)
		if (p->device == s->device && p->inode == s->inode)
			return true;
	return false;
}

static bool input_open(struct load *l, struct input *s)
{
	struct str text;
	struct stat st = { 0 };

	if (s->is_shipped) {
		text = provider_shipped_text();
	} else if (!s->parent && l->options->text) {
		text = str_make(l->options->text, l->options->text_n);
		if (text.n > LOAD_FILE_MAX) {
			read_failed(l, NULL, s->path, LOAD_FILE_MAX, -EFBIG);
			return false;
		}
		hash_text(l, text);
	} else if (!load_read(l, s->parent ? &s->place : NULL, s->path, LOAD_FILE_MAX, &text,
			      &st)) {
		return false;
	}
	s->device = st.st_dev;
	s->inode = st.st_ino;
	if (is_in_loop(s)) {
		diag_error(&l->diag, &s->place, "%s includes itself", s->path);
		return false;
	}
	lexer_init(&s->lexer, &l->diag, &l->scratch, s->path, text);
	s->is_open = true;
	return true;
}

static void input_pop(struct load *l)
{
	if (l->input->is_open)
		lexer_done(&l->input->lexer);
	l->input = l->input->next;
}

/* One word of an include: a name, or a pattern that stands for any number of names. */
static void include_word(struct load *l, const struct word *w, struct vector *paths)
{
	const char *path = load_path(l, &w->place, w->text);
	glob_t found = { 0 };

	if (!glob_pattern_p(path, 1) || l->options->is_alone) {
		vector_add(paths, (void *)(uintptr_t)path);
		return;
	}
	switch (glob(path, 0, NULL, &found)) {
	case 0:
		for (size_t i = 0; i < found.gl_pathc; i++)
			vector_add(paths, arena_cstr(&l->c->arena, str_of(found.gl_pathv[i])));
		break;
	case GLOB_NOMATCH:
		break;
	default:
		diag_error(&l->diag, &w->place, "%s: the folder cannot be read", path);
	}
	globfree(&found);
}

void load_include(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct input *parent = l->input;
	struct vector paths = { 0 };

	(void)row;
	if (parent->depth == LOAD_DEPTH_MAX) {
		diag_error(&l->diag, &st->place, "includes are nested more than %u deep",
			   LOAD_DEPTH_MAX);
		return;
	}
	for (unsigned i = 1; i < st->n; i++)
		include_word(l, &st->words[i], &paths);
	if (l->files + paths.n > LOAD_FILES_MAX) {
		diag_error(&l->diag, &st->place, "more than %u files are included", LOAD_FILES_MAX);
		paths.n = 0;
	}
	l->files += paths.n;
	for (unsigned i = paths.n; i > 0; i--)	/* the first on top */
		input_push(l, parent, paths.p[i - 1], &st->place);
	vector_done(&paths);
}

void load_version(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	if (!l->is_first)
		diag_error(&l->diag, &st->place,
			   "version stands once, as the first statement of the main file");
	else if (!word_is(&st->words[1], "1"))
		diag_error(&l->diag, &st->words[1].place, "unknown version \"%.*s\"; expected 1",
			   DIAG_WORD(st->words[1].text));
}

/* ---- statements and blocks */

static struct frame *frame_top(struct load *l)
{
	return &l->frames[l->depth];
}

static void frame_push(struct load *l, enum block block, void *object)
{
	l->frames[++l->depth] = (struct frame){ block, object };
	for (unsigned i = 0; i < settings_n; i++)
		if (settings[i].in == block)
			l->seen[i] = (struct config_place){ 0 };
}

static void frame_close(struct load *l)
{
	struct frame *f = frame_top(l);

	if (f->block == BLOCK_ROUTE)
		route_finish(l, f->object);
	else if (f->block == BLOCK_RULE)
		rule_finish(l, f->object);
	else if (f->block == BLOCK_POOL)
		source_finish_pool(l, f->object);
	else if (f->block == BLOCK_PROVIDER)
		provider_finish(l, f->object);
	l->depth--;
}

static bool seen_before(struct load *l, const struct setting *row, const struct statement *st)
{
	struct config_place *seen = &l->seen[row - settings];

	if (row->repeats)
		return false;
	if (seen->line) {
		diag_error(&l->diag, &st->place, "%s was already set in %s:%u", row->name,
			   seen->file, seen->line);
		return true;
	}
	*seen = st->place;
	return false;
}

static bool words_fit(struct load *l, const struct setting *row, const struct statement *st)
{
	if (st->n - 1 < row->words_min) {
		diag_error(&l->diag, &st->end, "%s is not finished; expected: %s %s", row->name,
			   row->name, row->arguments);
		return false;
	}
	if (st->n - 1 > row->words_max) {
		const struct word *w = &st->words[row->words_max + 1];

		diag_error(&l->diag, &w->place, "\"%.*s\" is too much here; expected: %s%s%s",
			   DIAG_WORD(w->text), row->name, *row->arguments ? " " : "",
			   row->arguments);
		return false;
	}
	return true;
}

/* The row of a statement, if it may stand here; else a fault was reported. */
static const struct setting *row_of(struct load *l, const struct statement *st)
{
	enum block in = frame_top(l)->block;
	const struct setting *row =
		st->words[0].quoted ? NULL : setting_find(in, st->words[0].text);

	if (!row) {
		struct choices choices;
		char what[64];

		setting_choices(in, &choices);
		snprintf(what, sizeof(what), "unknown statement in %s:", setting_block_name(in));
		diag_unknown(&l->diag, &st->place, in == BLOCK_TOP ? "unknown statement" : what,
			     st->words[0].text, &choices);
		return NULL;
	}
	if (row->is_later) {
		diag_error(&l->diag, &st->place, "this version does not have \"%s\"%s%s yet",
			   row->name, in == BLOCK_TOP ? "" : " in ",
			   in == BLOCK_TOP ? "" : setting_block_name(in));
		return NULL;
	}
	if (st->opens && row->opens == BLOCK_NONE) {
		diag_error(&l->diag, &st->end, "%s has no block; expected the end of the line",
			   row->name);
		return NULL;
	}
	return row;
}

/* Runs the statement; true: its block, if one follows, can be read into l->opened. */
static bool statement_run(struct load *l, const struct statement *st, const struct setting *row)
{
	if (seen_before(l, row, st) || !words_fit(l, row, st))
		return false;
	l->opened = NULL;
	if (row->handle)
		row->handle(l, row, st);
	else
		setting_store(l, row, st, frame_top(l)->object);
	if (!st->opens && row->needs_block)
		diag_error(&l->diag, &st->end,
			   "%s needs a block; expected { at the end of the line", row->name);
	return l->opened != NULL;
}

static void statement(struct load *l, const struct statement *st)
{
	enum block in = frame_top(l)->block;
	const struct setting *row = NULL;
	bool enters = false;

	if (in == BLOCK_TABLE && !st->bad && !st->opens) {
		tables_entries(l, frame_top(l)->object, st);
	} else if (in == BLOCK_TABLE && st->opens) {
		diag_error(&l->diag, &st->place, "a table holds entries; no block can stand in it");
	} else if (in != BLOCK_SKIP && !st->bad && st->n) {
		l->is_first = !l->has_version;
		l->has_version = true;
		if (l->is_first && !word_is(&st->words[0], "version"))
			diag_error(&l->diag, &st->place, "the first statement must be: version 1");
		row = row_of(l, st);
		enters = row && statement_run(l, st, row);
	}
	if (st->opens)
		frame_push(l, enters ? row->opens : BLOCK_SKIP, enters ? l->opened : NULL);
}

/* Reads on in the file on top of the stack. */
static void step(struct load *l)
{
	struct input *s = l->input;

	if (!s->is_open && !input_open(l, s)) {
		input_pop(l);
		return;
	}
	switch (lexer_next(&s->lexer)) {
	case LEX_STATEMENT:
	case LEX_OPEN:
		statement(l, &s->lexer.statement);
		break;
	case LEX_CLOSE:
		frame_close(l);
		break;
	case LEX_END:
		input_pop(l);
	}
}

static void *flatten(struct arena *a, const struct vector *v)
{
	void **p = arena_alloc(a, size_mul(v->n, sizeof(*p)));

	if (v->n)
		memcpy(p, v->p, v->n * sizeof(*p));
	return p;
}

static void load_init(struct load *l, const struct config_source *options, struct buf *messages)
{
	struct config *c = mem_zalloc(sizeof(*c));

	atomic_store(&c->refs, 1);
	c->arena.block_size = l->scratch.block_size = ARENA_BIG;
	c->path = arena_str(&c->arena, str_of(options->path));
	l->options = options;
	l->c = c;
	l->diag.out = messages;
	l->frames[0] = (struct frame){ BLOCK_TOP, c };
	l->index = provider_index_new(&c->arena);
	c->provider_index = l->index;
	setting_defaults(l, BLOCK_TOP, c);
	setting_defaults(l, BLOCK_QUEUE, c);
	setting_defaults(l, BLOCK_MESSAGE, c);
	setting_defaults(l, BLOCK_LOG, c);
	setting_defaults(l, BLOCK_RESOLVER, c);
	setting_defaults(l, BLOCK_TLS, c);
	setting_defaults(l, BLOCK_CLIENTS, c);
	setting_defaults(l, BLOCK_LOGINS, c);
	l->log_format_place = l->log_target_place = (struct config_place){ 0 };
	input_push(l, NULL, arena_cstr(&c->arena, c->path), &(struct config_place){ 0 });
}

static void load_done(struct load *l)
{
	while (l->input)
		input_pop(l);
	for (unsigned i = 0; i < l->drafts.n; i++)
		vector_done(&((struct route_draft *)l->drafts.p[i])->hosts);
	for (unsigned i = 0; i < l->pools.n; i++)
		vector_done(&((struct pool_draft *)l->pools.p[i])->members);
	for (unsigned i = 0; i < l->providers.n; i++)
		vector_done(&((struct provider_draft *)l->providers.p[i])->rules);
	if (l->any)
		vector_done(&l->any->rules);
	for (unsigned i = 0; i < l->listen_drafts.n; i++)
		vector_done(&((struct listen_draft *)l->listen_drafts.p[i])->lists);
	vector_done(&l->listen_drafts);
	vector_done(&l->identities);
	vector_done(&l->contexts);
	vector_done(&l->client_contexts);
	vector_done(&l->keys);
	vector_done(&l->users);
	vector_done(&l->secrets);
	vector_done(&l->pops);
	vector_done(&l->dns_lists);
	vector_done(&l->drafts);
	vector_done(&l->listens);
	vector_done(&l->routes);
	vector_done(&l->tables);
	vector_done(&l->rules);
	vector_done(&l->transcripts);
	vector_done(&l->variants);
	vector_done(&l->sources);
	vector_done(&l->pools);
	vector_done(&l->limits);
	vector_done(&l->providers);
	vector_done(&l->servers);
	vector_done(&l->self_names);
	vector_done(&l->self_ips);
	arena_done(&l->scratch);
	mem_free(l);
}

/* The list of providers inside the program, as one more file behind all others. */
static void read_shipped(struct load *l)
{
	input_push(l, NULL, "providers.conf", &(struct config_place){ 0 });
	l->input->is_shipped = true;
	while (l->input)
		step(l);
}

static void version_missing(struct load *l, const char *path)
{
	const struct config_place place = { .file = path, .line = 1, .column = 1 };

	diag_error(&l->diag, &place, "the first statement must be: version 1");
}

struct config *config_load_from(const struct config_source *source, struct buf *messages,
				unsigned *ret_errors, unsigned *ret_warnings)
{
	struct load *l = mem_zalloc(sizeof(*l));
	struct config *c;

	load_init(l, source, messages);
	c = l->c;
	while (l->input)
		step(l);
	if (!l->has_version && !l->diag.errors)
		version_missing(l, source->path);
	if (l->has_version && !l->has_no_shipped)
		read_shipped(l);
	if (l->has_version && !diag_is_full(&l->diag))
		check_all(l);
	c->tables = flatten(&c->arena, &l->tables);
	c->tables_n = l->tables.n;
	c->contexts = flatten(&c->arena, &l->contexts);
	c->contexts_n = l->contexts.n;
	c->text_hash = arena_printf(&c->arena, "%016llx", (unsigned long long)l->hash);
	*ret_errors = l->diag.errors;
	*ret_warnings = l->diag.warnings;
	load_done(l);		/* before the snapshot goes: drafts live in its arena */
	if (!*ret_errors)
		return c;
	config_unref(c);
	return NULL;
}

struct config *config_load(const char *path, bool strict, struct buf *messages,
			   unsigned *ret_errors, unsigned *ret_warnings)
{
	struct config_source source = { .path = path, .strict = strict };

	return config_load_from(&source, messages, ret_errors, ret_warnings);
}
