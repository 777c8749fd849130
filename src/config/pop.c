/*
 * pop - the `pop` statement: a POP3 listener whose clients may send mail for a while ("accept from
 * pop ...").
 */
#include "config/load.h"

#define PORT_POP3 110

void pop_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct pop_draft *d = arena_zalloc(&l->c->arena, sizeof(*d));

	(void)row;
	setting_defaults(l, BLOCK_POP, d);
	l->opened = d;
	d->pop.place = st->place;
	d->pop.tls = TLS_UNSAID;
	if (str_starts(w->text, STR("unix:")) ||
	    !endpoint_parse(w->text, PORT_POP3, &d->pop.endpoint)) {
		diag_error(&l->diag, &w->place, "\"%.*s\" is not an address to listen on; "
			   "expected one such as 0.0.0.0:110 or [::1]:110", DIAG_WORD(w->text));
		return;
	}
	if (listen_is_free(l, w, &d->pop.endpoint))
		load_add(l, &l->pops, d, LOAD_POPS_MAX, &st->place, "pop statements");
}

/* upstream HOST[:PORT] [tls off|offered|required|implicit|verified] */
void pop_upstream(struct load *l, const struct setting *row, const struct statement *st)
{
	struct pop_draft *d = l->frames[l->depth].object;
	const struct word *w = &st->words[1];
	struct route_host host = { 0 };
	int use = TLS_OFFERED;

	d->upstream_place = st->place;
	if (!route_host_parse(str_of(arena_cstr(&l->c->arena, w->text)), &host) ||
	    host.endpoint.path) {
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" is not a POP3 server such as pop.example.net:110",
			   DIAG_WORD(w->text));
		return;
	}
	if (st->n > 2 && (!word_is(&st->words[2], "tls") || st->n != 4)) {
		diag_error(&l->diag,
			   word_is(&st->words[2], "tls") ? &st->end : &st->words[2].place,
			   "expected: upstream %s", row->arguments);
		return;
	}
	if (st->n == 4)
		use = setting_choice(l, row->choices, &st->words[3]);
	if (use < 0)
		return;
	d->pop.has_upstream = true;
	d->pop.upstream_host = host.name;
	d->pop.upstream_port = host.port ? host.port : use == TLS_IMPLICIT ? 995 : PORT_POP3;
	d->pop.upstream_tls = (enum tls_use)use;
}

static void settle(struct load *l, struct pop_draft *d)
{
	struct config_pop *pop = &d->pop;
	bool is_loopback = ip_is_loopback(&pop->endpoint.ip);

	pop->tls = listen_tls(l, pop->tls, &pop->place);
	if (pop->tls == TLS_OFF && !is_loopback)
		diag_warn(&l->diag, &pop->place, "passwords come here without TLS");
	if (!pop->has_upstream && !d->upstream_place.line &&
	    !login_has_users(l, 1u << USERS_FILE | 1u << USERS_DOVECOT))
		diag_error(&l->diag, &pop->place,
			   "pop needs users whose passwords can be checked (users file, users "
			   "dovecot), or a server to pass them to: upstream HOST");
	if (pop->apop && !pop->has_upstream && !d->upstream_place.line &&
	    (!l->c->secrets || !login_has_users(l, 1u << USERS_FILE)))
		diag_error(&l->diag, &pop->place,
			   "apop needs a users file and the folder where its secrets lie (secrets "
			   "FOLDER), or a server to pass it to: upstream HOST");
	if (pop->has_upstream && pop->upstream_tls != TLS_OFF)
		pop->upstream_context = identity_client_context(l, NULL);
}

void pop_check_all(struct load *l)
{
	for (unsigned i = 0; i < l->pops.n; i++)
		settle(l, l->pops.p[i]);
}

void pop_freeze(struct load *l)
{
	struct config_pop *pops = arena_alloc(&l->c->arena, size_mul(l->pops.n, sizeof(*pops)));

	for (unsigned i = 0; i < l->pops.n; i++)
		pops[i] = ((const struct pop_draft *)l->pops.p[i])->pop;
	l->c->pops = pops;
	l->c->pops_n = l->pops.n;
}
