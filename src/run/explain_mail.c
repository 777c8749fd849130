/*
 * explain_mail - what decides beside the rules; see explain_mail.h.
 *
 * A relay asks the same questions at other places: whether a login may use its sender at MAIL
 * (receive/mail.c), whether a relay domain has the recipient at RCPT (policy/recipients.c). What
 * only others know - Dovecot, a token server, the host behind a route - is named and not asked.
 */
#include "run/explain_mail.h"

#include "config/table.h"
#include "net/world.h"
#include "policy/users.h"

static void add_senders(struct buf *out, const struct users_backend *b, const struct user *u,
			const struct address *sender)
{
	buf_printf(out, "login %.*s: in %s", STR_ARG(u->name), b->file);
	if (u->disabled)
		buf_add_lit(out, ", but disabled: it cannot log in; see \"relevo user enable\"\n");
	else if (users_may_send_as(u, sender))
		buf_printf(out, ", may send as <%.*s>\n", STR_ARG(sender->whole));
	else
		buf_printf(out, ", may not send as <%.*s>\n"
				"refused at MAIL, before any rule: 553 5.7.1 That sender is not "
				"yours to use; see \"relevo user allow\"\n",
			   STR_ARG(sender->whole));
}

/* True: the file knows the login, and it was told. */
static bool add_backend(struct buf *out, const struct users_backend *b, struct str login,
			const struct address *sender)
{
	struct buf errors = BUF_INIT(65536), warnings = BUF_INIT(65536);
	struct users *users = users_load(world_real(), b->file, &errors, &warnings, NULL);
	const struct user *u = users ? users_find(users, login) : NULL;
	bool is_known = u != NULL;

	if (!users)
		buf_add_str(out, buf_str(&errors));
	if (is_known)
		add_senders(out, b, u, sender);
	users_unref(users);
	buf_done(&errors);
	buf_done(&warnings);
	return is_known;
}

void explain_login(struct buf *out, const struct config *c, struct str login,
		   const struct address *sender)
{
	bool others = false;

	if (!login.n)
		return;
	for (unsigned i = 0; i < c->users_n; i++)
		if (c->users[i].kind != USERS_FILE)
			others = true;
		else if (add_backend(out, &c->users[i], login, sender))
			return;
	if (!others) {
		buf_printf(out, "login %.*s: in no users file, so it cannot log in\n",
			   STR_ARG(login));
		return;
	}
	buf_printf(out, "login %.*s: whether it may log in, Dovecot or the token server decides\n",
		   STR_ARG(login));
	if (sender->whole.n && !str_eq_nocase(sender->whole, login))
		buf_printf(out, "refused at MAIL, before any rule: 553 5.7.1 That sender is not "
				"yours to use; it may send as <%.*s> only\n", STR_ARG(login));
}

void explain_recipient(struct buf *out, const struct route *r, const struct address *recipient)
{
	if (r->recipients &&
	    !table_has_address(r->recipients, recipient->local, recipient->domain))
		buf_printf(out, "but refused: 550 5.1.1 No such recipient here: table %.*s "
				"does not have it\n", STR_ARG(table_name(r->recipients)));
	else if (r->callout)
		buf_add_lit(out, "before, the host is asked whether it has the recipient; if not: "
				 "550 5.1.1\n");
}
