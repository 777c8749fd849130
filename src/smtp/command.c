/*
 * command - verbs and BDAT's numbers; see command.h. MAIL and RCPT stand in envelope.c, xtext in
 * xtext.c.
 *
 * A line with a control byte has no verb: it is no mail client's, and what is echoed into a log or
 * a reply later is then printable. What HTTP clients say is told apart, so that a browser tricked
 * into speaking to port 25 is disconnected before its body is taken for commands.
 */
#include "smtp/command.h"

struct verb_row {
	const char *name;	/* an ending ':' makes it a prefix */
	enum verb verb;
};

static const struct verb_row verbs[] = {
	{ "EHLO", VERB_EHLO },
	{ "HELO", VERB_HELO },
	{ "LHLO", VERB_LHLO },
	{ "MAIL", VERB_MAIL },
	{ "RCPT", VERB_RCPT },
	{ "DATA", VERB_DATA },
	{ "BDAT", VERB_BDAT },
	{ "RSET", VERB_RSET },
	{ "NOOP", VERB_NOOP },
	{ "VRFY", VERB_VRFY },
	{ "EXPN", VERB_EXPN },
	{ "HELP", VERB_HELP },
	{ "QUIT", VERB_QUIT },
	{ "STARTTLS", VERB_STARTTLS },
	{ "AUTH", VERB_AUTH },
	{ "ETRN", VERB_ETRN },
	{ "XCLIENT", VERB_XCLIENT },
	{ "GET", VERB_HTTP },
	{ "POST", VERB_HTTP },
	{ "PUT", VERB_HTTP },
	{ "HEAD", VERB_HTTP },
	{ "OPTIONS", VERB_HTTP },
	{ "CONNECT", VERB_HTTP },
	{ "DELETE", VERB_HTTP },
	{ "PATCH", VERB_HTTP },
	{ "TRACE", VERB_HTTP },
	/*
	 * Only names that mail headers do not have: a client that sends content as commands is
	 * another fault.
	 */
	{ "Host:", VERB_HTTP },
	{ "Origin:", VERB_HTTP },
	{ "Referer:", VERB_HTTP },
	{ "Cookie:", VERB_HTTP },
	{ "Connection:", VERB_HTTP },
	{ "Content-Length:", VERB_HTTP },
};

static bool row_fits(const struct verb_row *row, struct str line, struct str word)
{
	struct str name = str_of(row->name);

	if (name.p[name.n - 1] == ':')
		return str_starts_nocase(line, name);
	return str_eq_nocase(word, name);
}

enum verb command_verb(struct str line, struct str *ret_rest)
{
	ssize_t space = str_find(line, ' ');
	struct str word = space < 0 ? line : str_sub(line, 0, (size_t)space);

	*ret_rest = str_trim(str_from(line, word.n));
	if (str_has_control(line))
		return VERB_UNKNOWN;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (row_fits(&verbs[i], line, word))
			return verbs[i].verb;
	return VERB_UNKNOWN;
}

const char *verb_name(enum verb v)
{
	if (v == VERB_HTTP)
		return "HTTP";
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (verbs[i].verb == v)
			return verbs[i].name;
	return "unknown";
}

bool bdat_parse(struct str args, uint64_t *ret_size, bool *ret_last)
{
	struct str size = str_word(&args), word = str_word(&args);
	uint64_t value;

	/* Half the range, so that sums of chunks stay in it. */
	if (!str_parse_u64(size, INT64_MAX, &value))
		return false;
	if (word.n && !str_eq_nocase(word, STR("LAST")))
		return false;
	if (str_trim(args).n)
		return false;
	*ret_size = value;
	*ret_last = word.n != 0;
	return true;
}
