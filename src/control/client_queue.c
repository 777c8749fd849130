/*
 * client_queue - relevo queue, relevo reload: the command line.
 *
 * Queries are parsed here, too, before anything is asked: what is wrong with them is wrong usage
 * (2), and the sentence does not depend on whether a relay runs.
 */
#include "control/client.h"

#include "base/mem.h"
#include "control/query.h"

#define IDS_PER_REQUEST 200
#define WORDS_MAX QUERY_WORDS_MAX
#define ERROR_MAX 4096

enum words_taken {
	TAKES_NONE,
	TAKES_QUERY,		/* or nothing, for all */
	TAKES_NAMED,		/* a query: it must be said */
};

static const struct queue_verb {
	const char *name;
	enum words_taken takes;
	bool acts;		/* --dry-run is for it */
	const char *stop;	/* a word that ends the query, for those of the command's own */
} verbs[] = {
	{ "list", TAKES_QUERY, false, NULL },	 { "status", TAKES_NONE, false, NULL },
	{ "count", TAKES_QUERY, false, "by" },	 { "show", TAKES_NAMED, false, NULL },
	{ "retry", TAKES_NAMED, true, NULL },	 { "hold", TAKES_NAMED, true, NULL },
	{ "release", TAKES_NAMED, true, NULL },	 { "bounce", TAKES_NAMED, true, NULL },
	{ "delete", TAKES_NAMED, true, NULL },	 { "reroute", TAKES_NAMED, true, "via" },
};

#define VERBS_N (sizeof(verbs) / sizeof(verbs[0]))

static int usage(const char *word)
{
	const char *best = NULL;
	unsigned distance = 3;

	for (size_t i = 0; word && i < VERBS_N; i++) {
		unsigned d = str_distance(str_of(word), str_of(verbs[i].name));

		if (d < distance) {
			distance = d;
			best = verbs[i].name;
		}
	}
	if (word)
		fprintf(stderr, "relevo queue: \"%s\" is not understood%s%s%s.\n", word, best ?
			"; did you mean \"" : "",
			best ? best : "", best ? "\"?" : "");
	fputs("relevo queue [-c FILE | --state FOLDER] [--json] [--dry-run]\n"
	      "    [list] [QUERY] | status | count [QUERY] [by WHAT] | show QUERY |\n"
	      "    retry|hold|release|delete QUERY | bounce QUERY [\"TEXT\"] | "
	      "reroute QUERY via ROUTE\n"
	      "\"relevo help queue\" explains queries.\n", stderr);
	return 2;
}

/* ---- checking before asking */

static bool complain(const struct queue_verb *v, const struct buf *error)
{
	bool ends = error->n && error->p[error->n - 1] == '?';

	fprintf(stderr, "relevo queue %s: %.*s%s\n", v->name, (int)error->n, error->p,
		ends ? "" : ".");
	return false;
}

/* Words of the command's own, that stand before (count) or behind the query. */
static unsigned words_before(const struct queue_verb *v, const struct str *words, unsigned n)
{
	bool is_count = v->stop && strcmp(v->stop, "by") == 0;

	return is_count && n >= 2 && str_eq(words[0], STR("by")) ? 2 : 0;
}

static unsigned words_behind(const struct queue_verb *v, const struct str *words, unsigned n)
{
	return strcmp(v->name, "bounce") == 0 && n && str_find(words[n - 1], ' ') >= 0;
}

/* *ret_ids: it consists of bare ids, of which any number may be asked for. */
static bool check_query(const struct queue_verb *v, const struct str *words, unsigned n,
			bool *ret_ids)
{
	unsigned before = words_before(v, words, n), used = 0;
	unsigned asked = n - before - words_behind(v, words + before, n - before);
	struct buf error = BUF_INIT(ERROR_MAX);
	struct query *q = query_parse(words + before, asked, v->stop, &used, &error);
	const struct message_id *ids;
	bool ok = q;

	if (q && v->takes == TAKES_NAMED && query_is_empty(q)) {
		buf_add_lit(&error, "which messages? Say \"all\" if you mean all");
		ok = false;
	} else if (q && v->stop && strcmp(v->stop, "via") == 0 && asked != used + 2) {
		buf_add_lit(&error, "\"via ROUTE\" must stand behind the query");
		ok = false;
	}
	if (!ok)
		complain(v, &error);
	*ret_ids = ok && n && used == n && query_ids(q, &ids) == n;
	query_free(q);
	buf_done(&error);
	return ok;
}

static int ask_by_pieces(const struct client_options *o, const struct queue_verb *v, int n,
			 char **words)
{
	int worst = 0;

	for (int at = 0; at < n; at += IDS_PER_REQUEST) {
		int some = n - at > IDS_PER_REQUEST ? IDS_PER_REQUEST : n - at;
		int code = client_ask(o, v->name, some, words + at);

		worst = code > worst ? code : worst;
	}
	return worst;
}

/* Of more ids than a query may have words. */
static bool all_are_ids(int n, char **words)
{
	struct message_id id;

	for (int i = 0; i < n; i++)
		if (!id_parse(str_of(words[i]), &id))
			return false;
	return n > 0;
}

static int ask_query(const struct client_options *o, const struct queue_verb *v, int n, char **argv)
{
	struct str *words;
	bool ids = false, ok;

	if (n > WORDS_MAX) {
		if (all_are_ids(n, argv))
			return ask_by_pieces(o, v, n, argv);
		fprintf(stderr, "relevo queue %s: more than %d words.\n", v->name, WORDS_MAX);
		return 2;
	}
	words = mem_calloc((size_t)n, sizeof(*words));
	for (int i = 0; i < n; i++)
		words[i] = str_of(argv[i]);
	ok = check_query(v, words, (unsigned)n, &ids);
	mem_free(words);
	if (!ok)
		return 2;
	return ids ? ask_by_pieces(o, v, n, argv) : client_ask(o, v->name, n, argv);
}

static int run(const struct client_options *o, const struct queue_verb *v, int n, char **words)
{
	if (o->dry && !v->acts) {
		fprintf(stderr, "relevo queue %s: it changes nothing, so --dry-run is not for "
			"it.\n", v->name);
		return 2;
	}
	if (v->takes != TAKES_NONE)
		return ask_query(o, v, n, words);
	return n ? usage(NULL) : client_ask(o, v->name, 0, NULL);
}

int control_queue_main(int argc, char **argv)
{
	struct client_options o = { .config = CONFIG_PATH_DEFAULT };
	const struct argument_row rows[] = {
		{ "-c", &o.config, NULL }, { "--state", &o.state, NULL },
		{ "--json", NULL, &o.json }, { "--dry-run", NULL, &o.dry },
	};

	if (!arguments_parse("queue", &argc, argv, rows, 4))
		return 2;
	if (argc == 0)
		return run(&o, &verbs[0], 0, NULL);
	for (size_t i = 0; i < VERBS_N; i++)
		if (strcmp(argv[0], verbs[i].name) == 0)
			return run(&o, &verbs[i], argc - 1, argv + 1);
	return usage(argv[0]);
}

int control_reload_main(int argc, char **argv)
{
	struct client_options o = { .config = CONFIG_PATH_DEFAULT };
	const struct argument_row rows[] =
		{ { "-c", &o.config, NULL }, { "--state", &o.state, NULL } };

	if (!arguments_parse("reload", &argc, argv, rows, 2))
		return 2;
	if (argc) {
		fputs("relevo reload [-c FILE | --state FOLDER]\n", stderr);
		return 2;
	}
	return client_ask(&o, "reload", 0, NULL);
}
