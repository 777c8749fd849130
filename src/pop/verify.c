/*
 * verify - POP3 logins judged by the relay's own backends (receive/logins.h), for pop_links.
 */
#include "pop/pop.h"

#include "base/mem.h"
#include "receive/logins.h"

#include <errno.h>

/* What pop_links wants to hear of a login_verdict, or of an error. */
static int answer(int verdict)
{
	if (verdict < 0)
		return verdict;
	return verdict == LOGIN_LATER ? -EAGAIN : verdict == LOGIN_GOOD;
}

int pop_verify_logins(void *logins, const struct config *c, const struct ip *client,
		      struct str name, struct str password, uint64_t deadline)
{
	const struct endpoint remote = { .ip = *client };
	const struct dovecot_client who = { .remote = &remote, .secured = true };
	struct login *found = mem_zalloc(sizeof(*found));
	int r = logins_password(logins, c, &who, name, password, deadline, found);

	mem_free(found);
	return answer(r);
}

int pop_find_user(void *logins, const struct config *c, struct str name, struct buf *ret)
{
	struct login *found = mem_zalloc(sizeof(*found));
	int r = logins_has(logins, c, name, found);

	if (r == LOGIN_GOOD)
		buf_add_str(ret, str_of(found->user));
	mem_free(found);
	return answer(r);
}

int pop_admit_user(void *logins, const struct config *c, struct str name)
{
	struct login *found = mem_zalloc(sizeof(*found));
	int r;

	str_copy(found->user, sizeof(found->user), name);
	r = logins_admit(logins, c, name, found);
	mem_free(found);
	return answer(r);
}
