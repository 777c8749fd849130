/*
 * domain - names as they are asked for: A-labels, lower case, no dot at the end; literals.
 *
 * Names in ASCII are only checked; others go through libidn2 (IDNA 2008, with the mapping of UTS 46
 * and without its transitional forms), which is given at most INPUT_MAX octets because its work
 * grows with the square. Of the octets that the DNS would carry, only those are let through that
 * names of hosts, services (RFC 6335) and reverse zones (RFC 2317) have.
 */
#include "dns/inner.h"
#include "dns/wire.h"

#include <idn2.h>

#define INPUT_MAX 512

static bool is_name_octet(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_' || c == '/';
}

/* Lower case into ret; labels of 1 to 63 octets, 253 in all (RFC 1035 2.3.4). */
static bool check_ascii(struct str s, char ret[DNS_NAME_MAX + 1])
{
	size_t label = 0;

	if (s.n && s.p[s.n - 1] == '.')
		s.n--;
	if (!s.n || s.n > DNS_NAME_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool is_dot = s.p[i] == '.';

		if (is_dot ? label == 0 : !is_name_octet(s.p[i]) || label == 63)
			return false;
		label = is_dot ? 0 : label + 1;
	}
	if (!label)
		return false;
	str_copy(ret, DNS_NAME_MAX + 1, s);
	str_lower(ret, s.n);
	return true;
}

bool dns_name_ascii(struct str domain, char ret[DNS_NAME_MAX + 1])
{
	char input[INPUT_MAX + 1], *output;
	bool ok;

	if (str_is_ascii(domain))
		return check_ascii(domain, ret);
	if (domain.n > INPUT_MAX || str_has_control(domain))
		return false;
	str_copy(input, sizeof(input), domain);
	if (idn2_to_ascii_8z(input, &output, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	ok = check_ascii(str_of(output), ret);
	idn2_free(output);
	return ok;
}

/* RFC 5321 4.1.3; the tag is what IPv6 has and IPv4 has not, and both errors are common. */
bool literal_parse(struct str s, struct ip *ret)
{
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']') {
		s = str_sub(s, 1, s.n - 1);
		if (str_starts_nocase(s, STR("ipv6:")))
			s = str_from(s, 5);
	}
	return ip_parse(s, ret);
}

const char *dns_status_text(enum dns_status s)
{
	static const char *const texts[] = {
		[DNS_OK] = "found",
		[DNS_NXDOMAIN] = "no such name",
		[DNS_NODATA] = "no such records",
		[DNS_SERVFAIL] = "the name servers cannot tell",
		[DNS_TIMEOUT] = "no answer in time",
		[DNS_BOGUS] = "the answer is forged or its signatures are broken",
		[DNS_CANCELLED] = "cancelled",
		[DNS_INVALID] = "not a name that the DNS can have",
	};

	return texts[s];
}
