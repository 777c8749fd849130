/*
 * reports - the `tls_reports` block (RFC 8460): who sends the daily reports, and whom to ask about
 * them.
 */
#include "config/load.h"

void reports_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	l->opened = l->c;
	l->reports_place = st->place;
	l->c->tls_reports.on = true;
}

/* from, contact */
void reports_address(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct address a;

	if (address_parse(w->text, 0, &a) == ADDRESS_OK)
		setting_store(l, row, st, l->c);
	else
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" is not an address such as tls-reports@example.net",
			   DIAG_WORD(w->text));
}

void reports_check(struct load *l)
{
	struct config *c = l->c;

	if (!c->tls_reports.on)
		return;
	if (!c->tls_reports.from.n)
		diag_error(&l->diag, &l->reports_place,
			   "tls_reports needs a sender, as in: from tls-reports@example.net");
	if (!c->tls_reports.contact.n)
		c->tls_reports.contact = c->tls_reports.from;
	if (!c->tls_reports.organization.n)
		c->tls_reports.organization = c->hostname;
}
