/*
 * user - relevo user: who may log in, and as whom he may send.
 *
 * A table of what can be done to the users file (its format: policy/users.c). A password comes from
 * the terminal, twice and unseen, or with --password-stdin as one line of standard input; never
 * from the command line, where everybody on the machine can read it. What is stored is its yescrypt
 * hash and a secret of SCRAM-SHA-256 (of SCRAM-SHA-1 too on demand); the relay sees the change
 * within a second.
 */
#include "base/mem.h"
#include "config/config.h"
#include "control/arguments.h"
#include "net/world.h"
#include "run/run.h"
#include "run/users_edit.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <unistd.h>

/*
 * PBKDF2 is far easier to guess against than yescrypt, so it gets as many rounds as a client can
 * bear: a tenth of a second on a small one. The server does none of them.
 */
#define ITERATIONS 100000
#define SALT_OCTETS 16

struct options {
	const char *file, *config;
	bool password_stdin, sha1, no_scram, own;
};

struct request {
	const struct options *options;
	struct str name;
	char **words; /* behind the name */
	int words_n;
};

static char *first_users_file(const struct config *c)
{
	for (unsigned i = 0; i < c->users_n; i++)
		if (c->users[i].kind == USERS_FILE)
			return mem_strdup(c->users[i].file);
	return NULL;
}

/* The file that a configuration names with "users file"; NULL: a sentence was printed. */
static char *users_path_of_config(const char *config)
{
	struct buf messages = BUF_INIT(1024 * 1024);
	unsigned errors = 0, warnings = 0;
	/* not strict: the users file may be what is to be made */
	struct config *c = config_load(config, false, &messages, &errors, &warnings);
	char *path = c ? first_users_file(c) : NULL;

	if (!c)
		print_text(stderr, &messages);
	if (!path)
		fprintf(stderr, "relevo user: %s %s; name the users file with -f FILE.\n", config,
			c ? "names no users file" : "has errors");
	config_unref(c);
	buf_done(&messages);
	return path;
}

/* ---- passwords */

static bool read_line(char *to, size_t size)
{
	size_t n = 0;
	char c;

	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n') {
		if (n + 1 >= size)
			return false;
		to[n++] = c;
	}
	to[n] = '\0';
	/* a NUL would end the password early, and nobody would notice */
	return strlen(to) == n;
}

static bool ask(char *to, size_t size, struct str name)
{
	struct buf prompt = BUF_INIT(512);
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	int r;

	if (tty < 0) {
		fputs("relevo user: there is no terminal to ask for the password; "
		      "use --password-stdin.\n",
		      stderr);
		return false;
	}
	close(tty);
	buf_printf(&prompt, "Password for %.*s: ", STR_ARG(name));
	r = EVP_read_pw_string_min(to, 1, (int)size, buf_cstr(&prompt), 1);
	buf_done(&prompt);
	if (r != 0)
		fputs("relevo user: no password was given, or the two were not the same.\n",
		      stderr);
	return r == 0;
}

/* Into to, of SASL_PASSWORD_MAX + 2 octets. */
static bool get_password(const struct request *q, char *to)
{
	bool ok = q->options->password_stdin ? read_line(to, SASL_PASSWORD_MAX + 2)
					     : ask(to, SASL_PASSWORD_MAX + 1, q->name);

	if (!ok && !q->options->password_stdin)
		return false;
	if (ok && sasl_text_is_valid(str_of(to), SASL_PASSWORD_MAX))
		return true;
	fprintf(stderr,
		"relevo user: a password has 1 to %d octets of UTF-8, without control "
		"characters.\n",
		SASL_PASSWORD_MAX);
	return false;
}

static bool add_hash(struct arena *a, const char *password, struct user_words *u)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data = mem_zalloc(sizeof(*data));
	const char *made = NULL;

	if (crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting)))
		made = crypt_rn(password, setting, data, sizeof(*data));
	if (made)
		u->hash = arena_str(a, str_of(made));
	else
		fputs("relevo user: libcrypt cannot make a yescrypt hash.\n", stderr);
	OPENSSL_cleanse(data, sizeof(*data));
	mem_free(data);
	return made != NULL;
}

static bool make_scram(struct arena *a, const char *password, bool sha1, struct str *ret)
{
	unsigned char salt[SALT_OCTETS];
	struct scram_secret s;
	struct buf text = BUF_INIT(512);
	bool ok;

	world_real()->random(world_real(), salt, sizeof(salt));
	ok = scram_secret_make(&s, sha1, str_of(password), salt, sizeof(salt), ITERATIONS);
	if (ok) {
		scram_secret_format(&text, &s);
		*ret = arena_str(a, buf_str(&text));
	} else {
		fputs("relevo user: libcrypto cannot make a SCRAM secret.\n", stderr);
	}
	OPENSSL_cleanse(&s, sizeof(s));
	buf_done(&text);
	return ok;
}

/* Asks for one and replaces what is stored of the old one. */
static bool set_password(const struct request *q, struct arena *a, struct user_words *u)
{
	char *password = mem_zalloc(SASL_PASSWORD_MAX + 2);
	bool sha1 = q->options->sha1 || u->scram_sha_1.n;
	bool ok = get_password(q, password) && add_hash(a, password, u);

	u->scram_sha_256 = u->scram_sha_1 = STR_NONE;
	if (ok && !q->options->no_scram)
		ok = make_scram(a, password, false, &u->scram_sha_256);
	if (ok && !q->options->no_scram && sha1)
		ok = make_scram(a, password, true, &u->scram_sha_1);
	OPENSSL_cleanse(password, SASL_PASSWORD_MAX + 2);
	mem_free(password);
	return ok;
}

/* ---- what can be done: each changes the open edit. False: a sentence was printed. */

static bool complain(struct str name, const char *what)
{
	fprintf(stderr, "relevo user: %.*s %s\n", STR_ARG(name), what);
	return false;
}

static bool find(const struct users_edit *e, struct str name, struct user_words *ret)
{
	return users_edit_find(e, name, ret) ||
	       complain(name, "is not in the users file; \"relevo user list\" shows who is.");
}

/* Each word is looked at before it becomes text: with a line end in it, it would be a line. */
static bool set_from(const struct request *q, struct arena *a, struct user_words *u)
{
	struct buf from = BUF_INIT(USERS_LINE_MAX / 2);
	bool ok = true;

	for (int i = 0; ok && i < q->words_n; i++) {
		ok = users_sender_is_valid(str_of(q->words[i]));
		buf_printf(&from, i ? " %s" : "%s", q->words[i]);
	}
	if (!ok || !buf_ok(&from))
		fprintf(stderr, "relevo user: %s\n",
			ok ? "those are too many senders for one line."
			   : "a sender is an address, a domain, .domain or *.");
	u->has_from = q->words_n > 0;
	u->from = arena_str(a, buf_str(&from));
	ok = ok && buf_ok(&from);
	buf_done(&from);
	return ok;
}

static bool add_user(struct users_edit *e, const struct request *q, struct arena *a)
{
	struct user_words u = {.name = q->name};
	struct address address;

	if (users_edit_find(e, q->name, &u))
		return complain(q->name, "is there already; \"relevo user passwd\" changes the "
					 "password.");
	u = (struct user_words){.name = q->name};
	if (!set_from(q, a, &u) || !set_password(q, a, &u))
		return false;
	users_edit_add(e, &u);
	if (!u.has_from && address_parse(q->name, ADDRESS_UTF8, &address) != ADDRESS_OK)
		printf("%.*s may log in, but not send as anybody yet: "
		       "relevo user allow %.*s ADDRESS\n",
		       STR_ARG(q->name), STR_ARG(q->name));
	return true;
}

static bool change_password(struct users_edit *e, const struct request *q, struct arena *a)
{
	struct user_words u;

	if (!find(e, q->name, &u) || !set_password(q, a, &u))
		return false;
	users_edit_replace(e, q->name, &u);
	return true;
}

static bool set_disabled(struct users_edit *e, const struct request *q, bool disabled)
{
	struct user_words u;

	if (!find(e, q->name, &u))
		return false;
	u.disabled = disabled;
	users_edit_replace(e, q->name, &u);
	return true;
}

static bool disable_user(struct users_edit *e, const struct request *q, struct arena *a)
{
	(void)a;
	return set_disabled(e, q, true);
}

static bool enable_user(struct users_edit *e, const struct request *q, struct arena *a)
{
	(void)a;
	return set_disabled(e, q, false);
}

static bool remove_user(struct users_edit *e, const struct request *q, struct arena *a)
{
	struct user_words u;

	(void)a;
	if (!find(e, q->name, &u))
		return false;
	users_edit_remove(e, q->name);
	return true;
}

static bool allow_user(struct users_edit *e, const struct request *q, struct arena *a)
{
	struct user_words u;

	if (!find(e, q->name, &u))
		return false;
	if (q->options->own == (q->words_n > 0)) {
		fputs("relevo user allow: name the senders, or give --own for the user's own "
		      "address alone.\n",
		      stderr);
		return false;
	}
	if (!set_from(q, a, &u))
		return false;
	users_edit_replace(e, q->name, &u);
	return true;
}

/* ---- listing */

static void print_user(const struct user *user, struct str line)
{
	struct user_words w;
	struct buf ignored = BUF_INIT(256);
	struct str from;

	users_line_parse(line, &w, &ignored);
	from = w.has_from ? w.from : user->senders ? user->name : STR("-");
	printf("%-32.*s %-8s %-25s %.*s\n", STR_ARG(user->name),
	       user->disabled ? "disabled" : "enabled",
	       user->scram_sha_1     ? "password,scram,scram-sha-1"
	       : user->scram_sha_256 ? "password,scram"
				     : "password",
	       STR_ARG(from));
	buf_done(&ignored);
}

static int list_users(const char *path)
{
	struct users_edit e;
	struct users *u = NULL;
	struct buf ignored = BUF_INIT(256);
	struct str rest;
	unsigned number = 0, i = 0;
	bool ok = users_edit_open(&e, path, false);

	if (ok)
		u = users_parse(path, buf_str(&e.text), &ignored);
	for (rest = buf_str(&e.text); u && rest.n && i < users_count(u);) {
		ssize_t end = str_find(rest, '\n');
		struct str line = end < 0 ? rest : str_sub(rest, 0, (size_t)end);

		if (users_at(u, i)->line == ++number)
			print_user(users_at(u, i++), line);
		rest = str_from(rest, line.n + 1);
	}
	users_unref(u);
	buf_done(&ignored);
	users_edit_done(&e);
	return ok ? 0 : 1;
}

/* ---- the command line */

static const struct act {
	const char *word;
	bool (*change)(struct users_edit *e, const struct request *q, struct arena *a);
	bool takes_senders, takes_password;
} acts[] = {
	{"add", add_user, true, true},		 {"passwd", change_password, false, true},
	{"disable", disable_user, false, false}, {"enable", enable_user, false, false},
	{"remove", remove_user, false, false},	 {"allow", allow_user, true, false},
};

static int usage(void)
{
	fputs("relevo user add NAME [SENDER]... [--password-stdin] [--scram-sha-1 | --no-scram]\n"
	      "relevo user passwd NAME [--password-stdin] [--scram-sha-1 | --no-scram]\n"
	      "relevo user disable|enable|remove NAME\n"
	      "relevo user allow NAME SENDER... | --own\n"
	      "relevo user list\n"
	      "    all take [-c FILE | -f USERS-FILE]\n"
	      "    SENDER: an address, a domain, .domain (all names below it), or * for any\n",
	      stderr);
	return 2;
}

static const struct act *find_act(const char *word)
{
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strcmp(acts[i].word, word) == 0)
			return &acts[i];
	return NULL;
}

static int change(const struct act *act, const struct request *q, const char *path)
{
	struct users_edit e;
	struct arena a;
	bool ok;

	if (!users_name_is_valid(q->name)) {
		fputs("relevo user: a name has 1 to 255 octets of UTF-8 without blanks, and does "
		      "not begin with #.\n",
		      stderr);
		return 1;
	}
	arena_init(&a);
	ok = users_edit_open(&e, path, act->change == add_user) && act->change(&e, q, &a) &&
	     users_edit_commit(&e);
	users_edit_done(&e);
	arena_done(&a);
	return ok ? 0 : 1;
}

/* argv: the act's word, then NAME and senders, which the table allows or not. */
static int run_act(int argc, char **argv, const struct options *o, const char *path)
{
	const struct act *act = find_act(argv[0]);
	struct request q = {.options = o};

	if (strcmp(argv[0], "list") == 0)
		return argc == 1 ? list_users(path) : usage();
	if (!act || argc < 2 || (argc > 2 && !act->takes_senders) ||
	    ((o->password_stdin || o->sha1 || o->no_scram) && !act->takes_password) ||
	    (o->sha1 && o->no_scram) || (o->own && act->change != allow_user))
		return usage();
	q.name = str_of(argv[1]);
	q.words = argv + 2;
	q.words_n = argc - 2;
	return change(act, &q, path);
}

int user_main(int argc, char **argv)
{
	struct options o = {.config = CONFIG_PATH_DEFAULT};
	const struct argument_row rows[] = {
		{"-f", &o.file, NULL},
		{"-c", &o.config, NULL},
		{"--password-stdin", NULL, &o.password_stdin},
		{"--scram-sha-1", NULL, &o.sha1},
		{"--no-scram", NULL, &o.no_scram},
		{"--own", NULL, &o.own},
	};
	char *path;
	int code;

	if (!arguments_parse("user", &argc, argv, rows, 6))
		return 2;
	if (argc < 1)
		return usage();
	path = o.file ? mem_strdup(o.file) : users_path_of_config(o.config);
	if (!path)
		return 1;
	code = run_act(argc, argv, &o, path);
	mem_free(path);
	return code;
}
