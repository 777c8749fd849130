/*
 * users - one reading of the users file, and the questions that are asked about a user.
 *
 * The file: text in UTF-8, a line for each user, words between blanks:
 *
 *     NAME HASH [SCRAM]... [disabled] [from SENDER...]
 *
 *     # a comment, or nothing
 *     alice@example.org $y$j9T$... SCRAM-SHA-256$100000:...$...:...
 *     printer $y$j9T$... from scans@example.org .printers.example.org
 *     newsletter $y$j9T$... disabled from *
 *
 * NAME     1 to 255 octets without blanks; not beginning with "#". Compared without case.
 * HASH     of crypt(5), as yescrypt makes it; other methods that libxcrypt calls sound will do
 * SCRAM    SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, or the same with SCRAM-SHA-1
 * SENDER   an address, a domain, ".domain" for every name below it, or * for any sender.
 *          Without "from": NAME if it is an address, else none. "from" stands last.
 *
 * Lines are at most USERS_LINE_MAX octets, the file USERS_FILE_MAX. The file is read whole: one
 * bad line refuses it, since a user who has silently vanished is worse than an old reading.
 */
#include "policy/users.h"

#include "base/list.h"
#include "base/mem.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdatomic.h>

#define HASH_MIN 20   /* octets: less was cut off */
#define ERRORS_MAX 20 /* sentences about one file */

struct users {
	atomic_uint refs;
	struct arena arena;
	struct map by_name;
	struct user **all; /* owned; in the file's order */
	size_t n, size;
	const struct scram_secret *first_secret[2]; /* SHA-256, SHA-1 */
};

/* ---- one line */

bool users_name_is_valid(struct str name)
{
	return sasl_text_is_valid(name, SASL_NAME_MAX) && name.p[0] != '#' &&
	       str_find(name, ' ') < 0;
}

static bool hash_is_sound(struct str hash)
{
	char text[CRYPT_OUTPUT_SIZE];

	if (hash.n >= sizeof(text) || hash.n < HASH_MIN || hash.p[0] != '$' ||
	    str_find(hash, ':') >= 0)
		return false;
	str_copy(text, sizeof(text), hash);
	return crypt_checksalt(text) == CRYPT_SALT_OK;
}

/* One word behind NAME and HASH; NULL, or what is wrong with it. */
static const char *optional_word(struct str word, struct user_words *u)
{
	struct scram_secret s;
	bool sha1 = str_starts(word, STR("SCRAM-SHA-1$"));
	struct str *to = sha1 ? &u->scram_sha_1 : &u->scram_sha_256;

	if (str_eq(word, STR("disabled"))) {
		u->disabled = true;
		return NULL;
	}
	if (!sha1 && !str_starts(word, STR("SCRAM-SHA-256$")))
		return "behind the hash stand SCRAM secrets, \"disabled\" and \"from\" with "
		       "senders";
	if (to->n)
		return "there are two SCRAM secrets of one kind";
	if (!scram_secret_parse(word, &s))
		return "the SCRAM secret is malformed";
	*to = word;
	return NULL;
}

/* What is wrong with a word behind "from", or NULL. */
static const char *sender_word(struct str word)
{
	struct entry e;

	if (str_eq(word, STR("*")))
		return NULL;
	if (!entry_parse(word, &e))
		return "a word behind \"from\" is no address, domain, .domain or *";
	return e.kind == ENTRY_NETWORK ? "behind \"from\" stand senders, not networks" : NULL;
}

bool users_sender_is_valid(struct str word)
{
	return word.n && !str_has_control(word) && str_find(word, ' ') < 0 && !sender_word(word);
}

static const char *parse_words(struct str rest, struct user_words *u)
{
	const char *why = NULL;

	u->name = str_word(&rest);
	u->hash = str_word(&rest);
	if (!users_name_is_valid(u->name))
		return "the name is too long or has characters that a name cannot have";
	if (!hash_is_sound(u->hash))
		return "the name must be followed by a password's hash such as $y$...: "
		       "use \"relevo user\"";
	while (!why && !u->has_from) {
		struct str word = str_word(&rest);

		if (!word.n)
			return NULL;
		if (str_eq(word, STR("from"))) {
			u->has_from = true;
			u->from = str_trim(rest);
		} else {
			why = optional_word(word, u);
		}
	}
	if (!why && !u->from.n)
		return "\"from\" must be followed by senders";
	for (struct str word = str_word(&rest); !why && word.n; word = str_word(&rest))
		why = sender_word(word);
	return why;
}

enum users_line users_line_parse(struct str line, struct user_words *ret, struct buf *error)
{
	struct user_words u = {0};
	struct str trimmed = str_trim(line);
	const char *why;

	if (trimmed.n == 0 || trimmed.p[0] == '#')
		return USERS_LINE_BLANK;
	why = line.n > USERS_LINE_MAX	     ? "the line is too long"
	      : memchr(line.p, '\0', line.n) ? "there is a NUL in the line"
					     : parse_words(trimmed, &u);
	if (!why) {
		*ret = u;
		return USERS_LINE_USER;
	}
	buf_add_str(error, str_of(why));
	return USERS_LINE_BAD;
}

static void add_word(struct buf *out, struct str word)
{
	if (!word.n)
		return;
	buf_add_byte(out, ' ');
	buf_add_str(out, word);
}

void users_line_format(struct buf *out, const struct user_words *u)
{
	buf_add_str(out, u->name);
	add_word(out, u->hash);
	add_word(out, u->scram_sha_256);
	add_word(out, u->scram_sha_1);
	add_word(out, u->disabled ? STR("disabled") : STR_NONE);
	add_word(out, u->has_from ? STR("from") : STR_NONE);
	add_word(out, u->has_from ? u->from : STR_NONE);
}

/* ---- a reading */

static void add_sender(struct users *u, struct user *to, struct str word)
{
	struct entry e;

	if (str_eq(word, STR("*"))) {
		to->sends_as_anybody = true;
		return;
	}
	if (!entry_parse(word, &e))
		return;
	if (!to->senders)
		to->senders = table_new(&u->arena, STR_NONE);
	table_insert(to->senders, &e);
}

static void set_senders(struct users *u, struct user *to, const struct user_words *w)
{
	struct str rest = w->from;
	struct address a;

	for (struct str word = str_word(&rest); word.n; word = str_word(&rest))
		add_sender(u, to, word);
	if (!w->has_from && address_parse(to->name, ADDRESS_UTF8, &a) == ADDRESS_OK)
		add_sender(u, to, to->name);
}

static const struct scram_secret *keep_secret(struct users *u, struct str text)
{
	struct scram_secret *s = arena_alloc(&u->arena, sizeof(*s));

	return scram_secret_parse(text, s) ? s : NULL;
}

static void add_user(struct users *u, const struct user_words *w, unsigned line)
{
	struct user *to = arena_zalloc(&u->arena, sizeof(*to));

	to->name = arena_str(&u->arena, w->name);
	to->hash = arena_cstr(&u->arena, w->hash);
	to->scram_sha_256 = w->scram_sha_256.n ? keep_secret(u, w->scram_sha_256) : NULL;
	to->scram_sha_1 = w->scram_sha_1.n ? keep_secret(u, w->scram_sha_1) : NULL;
	if (!u->first_secret[0])
		u->first_secret[0] = to->scram_sha_256;
	if (!u->first_secret[1])
		u->first_secret[1] = to->scram_sha_1;
	to->disabled = w->disabled;
	to->line = line;
	set_senders(u, to, w);
	map_insert(&u->by_name, &to->node, hash_nocase(to->name));
	if (u->n == u->size) {
		u->size = u->size ? 2 * u->size : 16;
		u->all = mem_realloc(u->all, size_mul(u->size, sizeof(struct user *)));
	}
	u->all[u->n++] = to;
}

/* True: a user, or nothing. False: a sentence was written, unless there are enough. */
static bool take_line(struct users *u, struct str line, unsigned number, struct buf *why)
{
	struct user_words w;
	const struct user *same;

	switch (users_line_parse(line, &w, why)) {
	case USERS_LINE_BLANK:
		return true;
	case USERS_LINE_BAD:
		return false;
	case USERS_LINE_USER:
		break;
	}
	same = users_find(u, w.name);
	if (same) {
		buf_printf(why, "that user stands in line %u already", same->line);
		return false;
	}
	add_user(u, &w, number);
	return true;
}

struct users *users_parse(const char *name, struct str text, struct buf *errors)
{
	struct users *u = mem_zalloc(sizeof(*u));
	unsigned number = 0, bad = 0;

	atomic_init(&u->refs, 1);
	while (text.n && bad < ERRORS_MAX) {
		ssize_t end = str_find(text, '\n');
		struct str line = end < 0 ? text : str_sub(text, 0, (size_t)end);
		struct buf why = BUF_INIT(256);

		text = str_from(text, line.n + 1);
		if (!take_line(u, line, ++number, &why)) {
			buf_printf(errors, "%s:%u: %.*s\n", name, number, STR_ARG(buf_str(&why)));
			bad++;
		}
		buf_done(&why);
	}
	if (!bad)
		return u;
	users_unref(u);
	return NULL;
}

static int read_text(struct world *w, const char *path, struct buf *text, struct stat *ret)
{
	int fd = w->disk_open(w, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
	int r = fd < 0 ? fd : w->disk_stat(w, fd, ret);

	if (r >= 0 && !S_ISREG(ret->st_mode))
		r = -EINVAL;
	else if (r >= 0 && ret->st_size > USERS_FILE_MAX)
		r = -EFBIG;
	while (r >= 0) {
		char *to = buf_reserve(text, 65536);
		ssize_t n = to ? w->disk_pread(w, fd, to, 65536, text->n) : -EFBIG;

		r = (int)n;
		if (n <= 0)
			break;
		buf_commit(text, (size_t)n);
	}
	if (fd >= 0)
		w->disk_close(w, fd);
	return r;
}

struct users *users_load(struct world *w, const char *path, struct buf *errors,
			 struct buf *warnings, struct stat *ret_stat)
{
	struct buf text = BUF_INIT(USERS_FILE_MAX + 65536);
	struct users *u = NULL;
	struct stat st = {0};
	int r = read_text(w, path, &text, &st);

	if (r < 0) {
		buf_printf(errors, "%s: the users file cannot be read: %s\n", path,
			   r == -EINVAL ? "it is not a file" : strerror(-r));
	} else {
		u = users_parse(path, buf_str(&text), errors);
		if (st.st_mode & 0007)
			buf_printf(warnings,
				   "%s: everybody may use it: take that away with "
				   "\"chmod o= %s\"\n",
				   path, path);
	}
	if (u && !u->n)
		buf_printf(warnings,
			   "%s: there is no user in it; \"relevo user add NAME\" makes "
			   "one\n",
			   path);
	if (ret_stat)
		*ret_stat = st;
	if (text.p)
		OPENSSL_cleanse(text.p, text.size);
	buf_done(&text);
	return u;
}

struct users *users_ref(struct users *u)
{
	atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
	return u;
}

void users_unref(struct users *u)
{
	if (!u || atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < u->n; i++)
		if (u->all[i]->senders)
			table_done(u->all[i]->senders);
	mem_free(u->all);
	map_done(&u->by_name);
	arena_done(&u->arena);
	mem_free(u);
}

unsigned users_count(const struct users *u)
{
	return (unsigned)u->n;
}

const struct user *users_find(const struct users *u, struct str name)
{
	for (struct map_node *at = map_first(&u->by_name, hash_nocase(name)); at;
	     at = map_next(at)) {
		const struct user *found = CONTAINER_OF(at, struct user, node);

		if (str_eq_nocase(found->name, name))
			return found;
	}
	return NULL;
}

const struct user *users_at(const struct users *u, unsigned index)
{
	return u->all[index];
}

const struct scram_secret *users_first_secret(const struct users *u, bool sha1)
{
	return u->first_secret[sha1];
}

bool users_may_send_as(const struct user *u, const struct address *sender)
{
	if (!sender->whole.n || u->sends_as_anybody)
		return true;
	return u->senders && table_has_address(u->senders, sender->local, sender->domain);
}
