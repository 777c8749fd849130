/*
 * address - parsing of mailboxes, paths, domains and address literals; see address.h.
 *
 * One pass over the text, no backtracking, nothing copied but a literal's few characters for
 * inet_pton. The grammar is RFC 5321's, not RFC 5322's: comments, folding white space and quoted
 * words joined by dots belong to header fields and are refused here. Control characters are refused
 * even where RFC 5322 has obsolete forms for them: an address travels on into command lines and
 * logs.
 */
#include "smtp/address.h"

#include <arpa/inet.h>

#define LABEL_MAX 63	/* octets, RFC 1035 2.3.4 */

static bool is_high(char c)
{
	return (unsigned char)c >= 0x80;
}

/* atext of RFC 5322 3.2.3, and UTF-8 by RFC 6531 3.3 (checked as a whole later). */
static bool is_atext(char c)
{
	return ascii_is_alnum(c) || is_high(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/*
 * Octets of a quoted string at the start of s with both quotes; 0 if there is none or it does not
 * close.
 */
static size_t quoted_length(struct str s)
{
	if (!s.n || s.p[0] != '"')
		return 0;
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '"')
			return i + 1;
		if (s.p[i] == '\\')
			i++;
		if (i == s.n || (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return 0;
	}
	return 0;
}

/*
 * Octets of a Dot-string at the start of s: no dot first, last or beside another. 0 if there is
 * none.
 */
static size_t dotted_length(struct str s)
{
	size_t n = 0;
	bool after_dot = true;

	for (; n < s.n; n++) {
		if (s.p[n] == '.' ? after_dot : !is_atext(s.p[n]))
			break;
		after_dot = s.p[n] == '.';
	}
	return after_dot ? 0 : n;
}

static size_t local_length(struct str s)
{
	return s.n && s.p[0] == '"' ? quoted_length(s) : dotted_length(s);
}

static bool label_is_valid(struct str label, bool underscore)
{
	if (!label.n || label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++) {
		char c = label.p[i];

		if (!ascii_is_alnum(c) && c != '-' && !is_high(c) && !(underscore && c == '_'))
			return false;
	}
	return true;
}

static bool labels_are_valid(struct str domain, bool underscore)
{
	struct str rest = domain;

	if (domain.n > ADDRESS_DOMAIN_MAX)
		return false;
	for (;;) {
		ssize_t dot = str_find(rest, '.');

		if (!label_is_valid(dot < 0 ? rest : str_sub(rest, 0, (size_t)dot), underscore))
			return false;
		if (dot < 0)
			return true;
		rest = str_from(rest, (size_t)dot + 1);
	}
}

bool domain_is_valid(struct str domain, bool utf8)
{
	if (!str_is_ascii(domain) && (!utf8 || !utf8_is_valid(domain)))
		return false;
	return labels_are_valid(domain, false);
}

bool domain_literal_is_valid(struct str literal)
{
	const struct str tag = STR("IPv6:");
	struct in6_addr ignored;
	char text[INET6_ADDRSTRLEN];
	int family = AF_INET;

	if (literal.n < 2 || literal.p[0] != '[' || literal.p[literal.n - 1] != ']')
		return false;
	literal = str_sub(literal, 1, literal.n - 1);
	if (str_starts_nocase(literal, tag)) {
		literal = str_from(literal, tag.n);
		family = AF_INET6;
	}
	/* A NUL would end the text early for inet_pton. */
	if (literal.n >= sizeof(text) || str_find(literal, '\0') >= 0)
		return false;
	str_copy(text, sizeof(text), literal);
	return inet_pton(family, text, &ignored) == 1;
}

bool helo_is_valid(struct str name)
{
	if (name.n && name.p[0] == '[')
		return domain_literal_is_valid(name);
	return str_is_ascii(name) && labels_are_valid(name, true);
}

enum address_error address_parse(struct str s, unsigned flags, struct address *ret)
{
	size_t n = local_length(s);
	struct address a = { .whole = s, .local = str_sub(s, 0, n), .is_utf8 = !str_is_ascii(s) };

	if (a.is_utf8 && (!(flags & ADDRESS_UTF8) || !utf8_is_valid(s)))
		return ADDRESS_BAD_UTF8;
	if (!n || (n < s.n && s.p[n] != '@'))
		return ADDRESS_SYNTAX;
	if (n == s.n) {
		if (!(flags & ADDRESS_POSTMASTER) || !str_eq_nocase(s, STR("postmaster")))
			return ADDRESS_NO_DOMAIN;
		*ret = a;
		return ADDRESS_OK;
	}
	a.domain = str_from(s, n + 1);
	if (a.domain.n > ADDRESS_DOMAIN_MAX || s.n > ADDRESS_MAX)
		return ADDRESS_TOO_LONG;
	a.is_literal = a.domain.n && a.domain.p[0] == '[';
	if (a.is_literal ? !domain_literal_is_valid(a.domain) : !domain_is_valid(a.domain, true))
		return ADDRESS_SYNTAX;
	*ret = a;
	return ADDRESS_OK;
}

/* Drops "@a.example,@b.example:" from the start of *s (RFC 5321 4.1.2, A-d-l). False: malformed. */
static bool skip_route(struct str *s)
{
	while (s->n && s->p[0] == '@') {
		size_t n = 1;

		while (n < s->n && s->p[n] != ',' && s->p[n] != ':')
			n++;
		if (n == s->n || !domain_is_valid(str_sub(*s, 1, n), true))
			return false;
		bool last = s->p[n] == ':';

		*s = str_from(*s, n + 1);
		if (last)
			return true;
	}
	return false;
}

enum address_error address_parse_path(struct str s, unsigned flags, struct address *ret,
				      struct str *ret_rest)
{
	enum address_error error;
	size_t quoted;
	ssize_t close;

	if (!s.n || s.p[0] != '<')
		return ADDRESS_SYNTAX;
	s = str_from(s, 1);
	if (s.n && s.p[0] == '>') {
		if (!(flags & ADDRESS_NULL))
			return ADDRESS_SYNTAX;
		*ret = (struct address){ 0 };
		*ret_rest = str_from(s, 1);
		return ADDRESS_OK;
	}
	if (s.n && s.p[0] == '@' && !skip_route(&s))
		return ADDRESS_SYNTAX;
	quoted = quoted_length(s);	/* a '>' inside quotes does not close the path */
	close = str_find(str_from(s, quoted), '>');
	if (close < 0)
		return ADDRESS_SYNTAX;
	error = address_parse(str_sub(s, 0, quoted + (size_t)close), flags, ret);
	if (!error)
		*ret_rest = str_from(s, quoted + (size_t)close + 1);
	return error;
}

struct address address_split(struct str whole)
{
	struct address a = { .whole = whole, .local = whole, .is_utf8 = !str_is_ascii(whole) };
	ssize_t at = str_rfind(whole, '@');

	if (at < 0)
		return a;
	a.local = str_sub(whole, 0, (size_t)at);
	a.domain = str_from(whole, (size_t)at + 1);
	a.is_literal = a.domain.n && a.domain.p[0] == '[';
	return a;
}

size_t utf8_sequence(struct str s)
{
	unsigned char lead = s.n ? (unsigned char)s.p[0] : 0xff;
	unsigned char low = 0x80, high = 0xbf;	/* bounds of the second octet, RFC 3629 4 */
	size_t n;

	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	n = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	if (lead == 0xe0)
		low = 0xa0;
	if (lead == 0xed)
		high = 0x9f;
	if (lead == 0xf0)
		low = 0x90;
	if (lead == 0xf4)
		high = 0x8f;
	if (s.n < n || (unsigned char)s.p[1] < low || (unsigned char)s.p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool utf8_is_valid(struct str s)
{
	while (s.n) {
		size_t n = utf8_sequence(s);

		if (!n)
			return false;
		s = str_from(s, n);
	}
	return true;
}

struct str utf8_cut(struct str s, size_t max)
{
	if (s.n <= max)
		return s;
	/*
	 * At most three octets back: longer runs of continuation octets are no UTF-8 and may be cut
	 * anywhere.
	 */
	for (size_t n = max; n > 0 && n + 3 >= max; n--)
		if (((unsigned char)s.p[n] & 0xc0) != 0x80)
			return str_sub(s, 0, n);
	return str_sub(s, 0, max);
}

const char *address_error_text(enum address_error e)
{
	switch (e) {
	case ADDRESS_OK:
		return "fine";
	case ADDRESS_SYNTAX:
		return "bad syntax";
	case ADDRESS_TOO_LONG:
		return "too long";
	case ADDRESS_NO_DOMAIN:
		return "no domain";
	case ADDRESS_BAD_UTF8:
		return "bad or unannounced UTF-8";
	}
	return "unknown";
}
