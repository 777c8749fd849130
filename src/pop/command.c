/*
 * command - see command.h.
 */
#include "pop/command.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

static const struct {
	const char *name;
	enum pop_verb verb;
} verbs[] = {
	{ "USER", POP_USER }, { "PASS", POP_PASS }, { "APOP", POP_APOP }, { "AUTH", POP_AUTH },
	{ "CAPA", POP_CAPA }, { "STLS", POP_STLS }, { "QUIT", POP_QUIT }, { "STAT", POP_STAT },
	{ "LIST", POP_LIST }, { "RETR", POP_RETR }, { "DELE", POP_DELE }, { "NOOP", POP_NOOP },
	{ "RSET", POP_RSET }, { "TOP", POP_TOP }, { "UIDL", POP_UIDL },
};

enum pop_verb pop_parse(struct str line, struct str *ret_args)
{
	ssize_t space = str_find(line, ' ');
	struct str verb = str_sub(line, 0, space < 0 ? line.n : (size_t)space);

	if (str_has_control(line) || !verb.n || !ascii_is_alpha(verb.p[0]))
		return POP_BAD;
	*ret_args = space < 0 ? STR_NONE : str_from(line, (size_t)space + 1);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (str_eq_nocase(verb, str_of(verbs[i].name)))
			return verbs[i].verb;
	return POP_UNKNOWN;
}

bool pop_is_multiline(enum pop_verb v, struct str args)
{
	switch (v) {
	case POP_CAPA:
	case POP_RETR:
	case POP_TOP:
		return true;
	case POP_LIST:
	case POP_UIDL:
		return !str_trim(args).n;
	default:
		return false;
	}
}

static bool starts_word(struct str line, struct str word)
{
	return str_starts(line, word) && (line.n == word.n || line.p[word.n] == ' ');
}

enum pop_status pop_status(struct str line)
{
	if (starts_word(line, STR("+OK")))
		return POP_OK;
	if (starts_word(line, STR("-ERR")))
		return POP_ERR;
	return starts_word(line, STR("+")) ? POP_CONTINUE : POP_NONSENSE;
}

/*
 * States: how much of CR LF "." CR LF was just seen, 0 being CR LF itself (the status line ended
 * with it): 0 at the start of a line, 1 a dot there, 2 its CR, 3 within a line, 4 a CR there, 5 the
 * end.
 */
size_t pop_find_end(unsigned *state, struct str octets)
{
	static const unsigned char on_cr[] = { 4, 2, 4, 4, 4 };
	static const unsigned char on_lf[] = { 3, 3, POP_ENDED, 3, 0 };
	size_t i = 0;

	for (; i < octets.n && *state != POP_ENDED; i++) {
		if (octets.p[i] == '\r')
			*state = on_cr[*state];
		else if (octets.p[i] == '\n')
			*state = on_lf[*state];
		else
			*state = octets.p[i] == '.' && *state == 0 ? 1 : 3;
	}
	return i;
}

/* ---- APOP */

struct str pop_timestamp(struct str greeting)
{
	ssize_t from = str_rfind(greeting, '<'), to = str_rfind(greeting, '>');

	return from < 0 || to < from ? STR_NONE : str_sub(greeting, (size_t)from, (size_t)to + 1);
}

bool pop_apop_parse(struct str args, struct str *ret_name, struct str *ret_digest)
{
	ssize_t space = str_rfind(args, ' ');

	if (space <= 0 || args.n - (size_t)space != 1 + 32 || (size_t)space > POP_NAME_MAX)
		return false;
	*ret_name = str_sub(args, 0, (size_t)space);
	*ret_digest = str_from(args, (size_t)space + 1);
	return true;
}

bool pop_apop_is(struct str timestamp, struct str secret, struct str digest)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	char hex[33];
	unsigned n = 0;
	bool ok;

	ok = c && EVP_DigestInit_ex(c, EVP_md5(), NULL) &&
	     EVP_DigestUpdate(c, timestamp.p, timestamp.n) &&
	     EVP_DigestUpdate(c, secret.p, secret.n) && EVP_DigestFinal_ex(c, sum, &n) && n == 16;
	EVP_MD_CTX_free(c);
	for (unsigned i = 0; ok && i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	return ok && digest.n == 32 && CRYPTO_memcmp(hex, digest.p, 32) == 0;
}
