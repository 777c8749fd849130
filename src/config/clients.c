/*
 * clients - what is asked of strangers: the `clients` block, and the same statements in `listen`
 * blocks, where each takes the place of what the block says about that matter.
 *
 * The block may stand below the listeners, so a listener remembers which matters it has spoken
 * about, and gets the others at the end. A `dns_list` in a listener takes the place of all lists.
 */
#include "config/load.h"

#define WEIGHT_MAX 1000

/* A matter is a range of struct config_clients. */
#define MATTER(name, from, to)                                                                     \
	{                                                                                          \
		name, offsetof(struct config_clients, from),                                       \
			offsetof(struct config_clients, to) +                                      \
				sizeof(((struct config_clients *)0)->to)                           \
	}

static const struct {
	const char *name;	/* of the statement */
	size_t from, to;
} matters[] = {
	MATTER("dns_list", lists, lists_n),
	MATTER("dns_list_reject", lists_refuse, lists_refuse),
	MATTER("reverse_name", reverse_name, reverse_name),
	MATTER("helo_check", helo, helo),
	MATTER("greylist", greylist, greylist_pass_ns),
	MATTER("early_talker", refuse_early, refuse_early),
	MATTER("greet_delay", greet_delay_ns, greet_delay_ns),
	MATTER("tarpit", tarpit_ns, tarpit_after),
	MATTER("null_one_recipient", null_one_recipient, null_one_recipient),
};
#define MATTERS (sizeof(matters) / sizeof(matters[0]))

/* Where the statement writes; a listener notes that it has spoken. */
static struct config_clients *target(struct load *l, const struct setting *row)
{
	struct listen_draft *d;

	if (row->in == BLOCK_CLIENTS)
		return &l->c->clients;
	d = l->frames[l->depth].object;
	for (unsigned i = 0; i < MATTERS; i++)
		if (str_eq(str_of(matters[i].name), str_of(row->name)))
			d->clients_said |= 1u << i;
	return &d->clients;
}

/* Statements of one value. */
void clients_store(struct load *l, const struct setting *row, const struct statement *st)
{
	setting_store(l, row, st, target(l, row));	/* offsets are those of the struct */
}

void clients_early(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const words[] = { "off", "reject", "" };
	int i = setting_choice(l, words, &st->words[1]);

	target(l, row)->refuse_early = i > 0;
}

static bool duration(struct load *l, const struct word *w, uint64_t max, uint64_t *ret)
{
	uint64_t value;

	if (!value_parse(VALUE_DURATION, w->text, &value) || !value || value > max) {
		struct buf text = BUF_INIT(64);

		value_format(&text, VALUE_DURATION, max);
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" is not a time from 1s to %s, written such as 30s, 5m or 4h",
			   DIAG_WORD(w->text), buf_cstr(&text));
		buf_done(&text);
		return false;
	}
	*ret = value;
	return true;
}

/* tarpit off | TIME after COUNT */
void clients_tarpit(struct load *l, const struct setting *row, const struct statement *st)
{
	struct config_clients *c = target(l, row);
	uint64_t count;

	if (st->n == 2 && word_is(&st->words[1], "off")) {
		c->tarpit_ns = 0;
		return;
	}
	if (st->n != 4 || !word_is(&st->words[2], "after")) {
		diag_error(&l->diag, &st->place,
			   "expected: tarpit TIME after COUNT, or: tarpit off");
		return;
	}
	if (!duration(l, &st->words[1], MINUTE, &c->tarpit_ns))
		return;
	if (value_parse(VALUE_COUNT, st->words[3].text, &count) && count <= 100000)
		c->tarpit_after = (uint32_t)count;
	else
		diag_error(&l->diag, &st->words[3].place, "\"%.*s\" is not a number from 0 to "
			   "100000", DIAG_WORD(st->words[3].text));
}

/* greylist off | on | [delay TIME] [window TIME] [pass TIME] */
void clients_greylist(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const words[] = { "delay", "window", "pass", "" };
	struct config_clients *c = target(l, row);
	uint64_t *const times[] = { &c->greylist_delay_ns, &c->greylist_window_ns,
				    &c->greylist_pass_ns };
	const uint64_t max[] = { DAY, 7 * DAY, 365 * DAY };

	c->greylist = true;
	c->greylist_delay_ns = 5 * MINUTE;
	c->greylist_window_ns = DAY;
	c->greylist_pass_ns = 35 * DAY;
	if (st->n == 2 && (word_is(&st->words[1], "off") || word_is(&st->words[1], "on"))) {
		c->greylist = word_is(&st->words[1], "on");
		return;
	}
	for (unsigned i = 1; i < st->n; i += 2) {
		int which = setting_choice(l, words, &st->words[i]);

		if (which < 0)
			return;
		if (i + 1 == st->n) {
			diag_error(&l->diag, &st->end, "expected a time behind %s", words[which]);
			return;
		}
		if (!duration(l, &st->words[i + 1], max[which], times[which]))
			return;
	}
	if (c->greylist_delay_ns >= c->greylist_window_ns)
		diag_error(&l->diag, &st->place,
			   "the delay is not shorter than the window: nobody would ever pass");
}

/* ---- dns_list ZONE [= ADDRESS ...] [weight COUNT] [allow] */

struct list_words {
	const struct word *at, *end;
	const struct config_place *at_end;
};

static bool read_answers(struct load *l, struct list_words *w, struct dns_list *list)
{
	const struct network loopback = { .ip = { 4, { 127 } }, .prefix = 8 };
	struct ip *answers =
		arena_alloc(&l->c->arena, (size_t)(w->end - w->at) * sizeof(*answers) + 1);
	unsigned n = 0;

	if (w->at == w->end || !word_is(w->at, "="))
		return true;
	for (w->at++; w->at < w->end && !word_is(w->at, "weight") && !word_is(w->at, "allow");
	     w->at++) {
		if (!ip_parse(w->at->text, &answers[n]) || !network_has(&loopback, &answers[n])) {
			diag_error(&l->diag, &w->at->place,
				   "\"%.*s\" is not an answer of a list, such as 127.0.0.2",
				   DIAG_WORD(w->at->text));
			return false;
		}
		n++;
	}
	list->answers = answers;
	list->answers_n = n;
	if (!n)
		diag_error(&l->diag, w->at < w->end ? &w->at->place : w->at_end,
			   "expected an answer of the list, such as 127.0.0.2");
	return n > 0;
}

static bool read_weight(struct load *l, struct list_words *w, struct dns_list *list)
{
	uint64_t weight = 1;

	if (w->at < w->end && word_is(w->at, "weight")) {
		const struct config_place *at = ++w->at < w->end ? &w->at->place : w->at_end;

		if (w->at == w->end || !value_parse(VALUE_COUNT, w->at->text, &weight) ||
		    !weight || weight > WEIGHT_MAX) {
			diag_error(&l->diag, at, "a weight is a number from 1 to %u", WEIGHT_MAX);
			return false;
		}
		w->at++;
	}
	list->weight = (int32_t)weight;
	if (w->at < w->end && word_is(w->at, "allow")) {
		list->weight = -list->weight;
		w->at++;
	}
	if (w->at < w->end)
		diag_error(&l->diag, &w->at->place,
			   "unexpected \"%.*s\"; expected: dns_list %s", DIAG_WORD(w->at->text),
			   "ZONE [= ANSWER ...] [weight COUNT] [allow]");
	return w->at == w->end;
}

void clients_dns_list(struct load *l, const struct setting *row, const struct statement *st)
{
	struct dns_list *list = arena_zalloc(&l->c->arena, sizeof(*list));
	struct list_words w = { &st->words[2], &st->words[st->n], &st->end };
	struct vector *lists = &l->dns_lists;
	struct str zone = st->words[1].text;

	target(l, row);
	if (row->in == BLOCK_LISTEN)
		lists = &((struct listen_draft *)l->frames[l->depth].object)->lists;
	if (st->n == 2 && word_is(&st->words[1], "none"))
		return;
	if (!domain_is_valid(zone, false) || str_find(zone, '.') < 0) {
		diag_error(&l->diag, &st->words[1].place,
			   "\"%.*s\" is not a zone of the DNS such as zen.example.org",
			   DIAG_WORD(zone));
		return;
	}
	list->place = st->place;
	list->zone = arena_str(&l->c->arena, zone);
	if (read_answers(l, &w, list) && read_weight(l, &w, list))
		load_add(l, lists, list, LOAD_DNS_LISTS_MAX, &st->place, "lists");
}

/* ---- at the end */

static void take_lists(struct load *l, struct config_clients *c, const struct vector *v)
{
	struct dns_list *lists = arena_alloc(&l->c->arena, size_mul(v->n, sizeof(*lists)));

	for (unsigned i = 0; i < v->n; i++)
		lists[i] = *(const struct dns_list *)v->p[i];
	c->lists = lists;
	c->lists_n = v->n;
}

void clients_freeze(struct load *l)
{
	take_lists(l, &l->c->clients, &l->dns_lists);
}

const struct config_clients *clients_of_listener(struct load *l, const struct listen_draft *d)
{
	struct config_clients *c;

	if (!d->clients_said)
		return &l->c->clients;
	c = arena_alloc(&l->c->arena, sizeof(*c));
	*c = d->clients;
	take_lists(l, c, &d->lists);
	for (unsigned i = 0; i < MATTERS; i++) {
		size_t from = matters[i].from;

		if (!(d->clients_said >> i & 1))
			memcpy((char *)c + from, (const char *)&l->c->clients + from,
			       matters[i].to - from);
	}
	return c;
}
