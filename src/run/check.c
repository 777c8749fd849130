/*
 * check - relevo check, explain and reference: the commands that only read the configuration.
 */
#include "run/run.h"

#include "base/mem.h"
#include "control/arguments.h"
#include "control/control.h"
#include "deliver/errors.h"
#include "policy/policy.h"
#include "report/log.h"
#include "run/account.h"
#include "run/explain_destination.h"
#include "run/explain_mail.h"

#define MESSAGES_MAX (4 * 1024 * 1024)

static int usage(const char *text)
{
	fputs(text, stderr);
	return 2;
}

static void print_count(unsigned n, const char *word)
{
	bool hisses = word[strlen(word) - 1] == 's';

	printf("%u %s%s", n, word, n == 1 ? "" : hisses ? "es" : "s");
}

/* What is missing is a warning here, as it may be on another machine; a relay wants it. */
static bool would_start(const char *path)
{
	struct buf messages = BUF_INIT(MESSAGES_MAX);
	unsigned errors = 0, warnings = 0;
	struct config *c = config_load(path, true, &messages, &errors, &warnings);

	config_unref(c);
	buf_done(&messages);
	return c != NULL;
}

static void print_summary(const char *path, const struct config *c, unsigned errors,
			  unsigned warnings)
{
	printf("%s: ", path);
	if (!c) {
		print_count(errors, "error");
		fputs(", ", stdout);
		print_count(warnings, "warning");
		puts("; a relay would not start with it.");
		return;
	}
	fputs("sound; ", stdout);
	print_count(c->listens_n, "address");
	fputs(", ", stdout);
	print_count(c->routes_n, "route");
	fputs(", ", stdout);
	print_count(c->rules_n, "rule");
	fputs(", ", stdout);
	print_count(warnings, "warning");
	puts(".");
	if (!would_start(path))
		puts("Files that it names are missing: a relay would not start without them.");
}

int check_main(int argc, char **argv)
{
	struct buf messages = BUF_INIT(MESSAGES_MAX);
	const char *path = CONFIG_PATH_DEFAULT;
	unsigned errors = 0, warnings = 0;
	bool quiet = false;
	struct config *c;
	const struct argument_row rows[] =
		{ { "-c", &path, NULL }, { "--quiet", NULL, &quiet }, { "-q", NULL, &quiet } };

	if (!arguments_parse("check", &argc, argv, rows, 3))
		return 2;
	if (argc == 1) {	/* relevo check FILE: what else could be meant */
		path = argv[0];
	} else if (argc) {
		return usage("relevo check takes one file, named with -c.\n");
	}
	account_note_files();
	c = config_load(path, false, &messages, &errors, &warnings);
	if (c)
		account_check(c, &messages, &warnings);
	print_text(stderr, &messages);
	if (!quiet)
		print_summary(path, c, errors, warnings);
	buf_done(&messages);
	config_unref(c);
	return c ? 0 : 1;
}

/* What explain asks about: a mail, or a destination. */
struct question {
	const char *path, *client, *login, *helo, *certificate, *from, *to;
	const char *destination, *state;
	bool json, popped;
};

static bool parse_address(const char *text, bool null_path, struct address *ret, const char *what)
{
	struct str s = str_of(text);
	enum address_error e;

	*ret = (struct address){ 0 };
	if (null_path && (!s.n || str_eq(s, STR("<>"))))
		return true;
	if (s.n > 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
		s = str_sub(s, 1, s.n - 1);
	e = address_parse(s, ADDRESS_POSTMASTER | ADDRESS_UTF8, ret);
	if (e == ADDRESS_OK)
		return true;
	fprintf(stderr, "relevo explain: %s \"%s\" is no address: %s.\n", what, text,
		address_error_text(e));
	return false;
}

/* A fingerprint: without its colons, in small letters, as handshakes tell it. */
static bool parse_certificate(const char *text, char ret[65])
{
	unsigned n = 0;

	for (const char *p = text; *p; p++) {
		char c = ascii_lower(*p);

		if (c == ':')
			continue;
		if (n == 64 || (!ascii_is_digit(c) && (c < 'a' || c > 'f')))
			return false;
		ret[n++] = c;
	}
	return n == 64;
}

static bool parse_client(const struct question *q, struct client *ret)
{
	static char fingerprint[65];
	const char *text = q->client;
	struct endpoint peer = { 0 };

	if (strcmp(text, "local") != 0 && !ip_parse(str_of(text), &peer.ip)) {
		fprintf(stderr, "relevo explain: --client \"%s\" is no IP address.\n", text);
		return false;
	}
	client_init(ret, &peer);
	ret->login = str_of(q->login);
	ret->helo = str_of(q->helo);
	ret->has_popped = q->popped;
	if (!q->certificate)
		return true;
	if (!parse_certificate(q->certificate, fingerprint)) {
		fprintf(stderr, "relevo explain: --certificate \"%s\" is no fingerprint "
				"(SHA-256, 64 hex digits).\n", q->certificate);
		return false;
	}
	ret->fingerprint = str_of(fingerprint);
	return true;
}

/* Beyond what the rules say: how the mail goes. */
static void add_way(struct buf *out, const struct config *c, const struct client *client,
		    const struct address *from, const struct address *to)
{
	struct decision d;

	policy_decide(c, client, from, to, &d);
	if (d.verdict != VERDICT_ACCEPT)
		return;
	if (d.rule && d.rule->tag)
		buf_printf(out, "    tagged %.*s\n", STR_ARG(name_str(d.rule->tag)));
	explain_route(out, c, d.route);
	explain_recipient(out, d.route, to);
}

static int explain(const struct question *q)
{
	struct buf messages = BUF_INIT(MESSAGES_MAX), out = BUF_INIT(MESSAGES_MAX);
	unsigned errors = 0, warnings = 0;
	struct address from, to;
	struct client client;
	struct config *c;

	if (!parse_client(q, &client) ||
	    !parse_address(q->from, true, &from, "--from") ||
	    !parse_address(q->to, false, &to, "--to"))
		return 2;
	c = config_load(q->path, false, &messages, &errors, &warnings);
	print_text(stderr, &messages);
	buf_done(&messages);
	if (!c)
		return 1;
	explain_login(&out, c, client.login, &from);
	policy_explain(&out, c, &client, &from, &to);
	add_way(&out, c, &client, &from, &to);
	print_text(stdout, &out);
	buf_done(&out);
	config_unref(c);
	return 0;
}

/* By the configuration alone, when there is nothing to ask. */
static int explain_offline(const struct question *q)
{
	struct buf messages = BUF_INIT(MESSAGES_MAX), out = BUF_INIT(MESSAGES_MAX);
	unsigned errors = 0, warnings = 0;
	struct config *c = config_load(q->path, false, &messages, &errors, &warnings);

	print_text(stderr, &messages);
	buf_done(&messages);
	if (!c)
		return 1;
	if (q->json)
		explain_destination_json(&out, c, str_of(q->destination));
	else
		explain_destination(&out, c, str_of(q->destination));
	print_text(stdout, &out);
	buf_done(&out);
	config_unref(c);
	return 0;
}

static int explain_asked(const struct question *q)
{
	struct str name = str_of(q->destination);
	char *state;
	int code;

	if (!name.n || name.n > 255 || str_has_control(name)) {
		fputs("relevo explain: --destination wants a domain or the name of a route.\n",
		      stderr);
		return 2;
	}
	state = control_state(q->path, q->state);
	if (!state)
		return 1;
	code = control_explain(state, q->json, q->destination);
	if (code < 0 && !q->json)
		printf("no relay runs on %s: this is what the configuration says\n", state);
	mem_free(state);
	return code < 0 || code == EXPLAIN_IDLE ? explain_offline(q) : code;
}

int explain_main(int argc, char **argv)
{
	struct question q = { .path = CONFIG_PATH_DEFAULT };
	const struct argument_row rows[] = {
		{ "-c", &q.path, NULL }, { "--client", &q.client, NULL },
			{ "--login", &q.login, NULL }, { "--helo", &q.helo, NULL },
			{ "--certificate", &q.certificate, NULL },
		{ "--from", &q.from, NULL }, { "--to", &q.to, NULL },
		{ "--destination", &q.destination, NULL }, { "--state", &q.state, NULL },
		{ "--json", NULL, &q.json }, { "--pop", NULL, &q.popped },
	};
	bool is_mail;

	if (!arguments_parse("explain", &argc, argv, rows,
			     sizeof(rows) / sizeof(rows[0])))
		return 2;
	is_mail = q.client && q.from && q.to && !q.state && !q.json;
	if (!argc && q.destination && !q.client && !q.from && !q.to && !q.login &&
	    !q.helo && !q.certificate && !q.popped)
		return explain_asked(&q);
	if (argc || q.destination || !is_mail)
		return usage("relevo explain [-c FILE] --client IP [--login NAME] [--pop] "
			     "[--helo NAME]\n"
			     "               [--certificate FINGERPRINT] --from ADDRESS --to "
			     "ADDRESS\n"
			     "relevo explain [-c FILE | --state FOLDER] [--json] --destination "
			     "NAME\n");
	return explain(&q);
}

int reference_main(int argc, char **argv)
{
	struct buf out = BUF_INIT(MESSAGES_MAX);

	if (argc == 1 && strcmp(argv[0], "settings") == 0)
		config_reference(&out);
	else if (argc == 1 && strcmp(argv[0], "events") == 0)
		event_reference(&out);
	else if (argc == 1 && strcmp(argv[0], "errors") == 0)
		errors_reference(&out);
	else
		return usage("relevo reference settings|events|errors\n");
	print_text(stdout, &out);
	buf_done(&out);
	return 0;
}
