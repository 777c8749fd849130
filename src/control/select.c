/*
 * select - which messages a command is about; see answer.h.
 */
#include "control/answer.h"

#include "base/mem.h"

static void add(struct selection *s, struct message *m)	/* takes the reference */
{
	if (s->n == s->size) {
		s->size = s->size ? size_mul(s->size, 2) : 64;
		s->at = mem_realloc(s->at, size_mul(s->size, sizeof(struct message *)));
	}
	s->at[s->n++] = m;
}

static void take(void *arg, struct message *m)
{
	add(arg, message_ref(m));
}

static int by_arrival(const void *a, const void *b)
{
	const struct message *x = *(struct message *const *)a, *y = *(struct message *const *)b;

	if (x->arrived_ms != y->arrived_ms)
		return x->arrived_ms < y->arrived_ms ? -1 : 1;
	if (x->id.incarnation != y->id.incarnation)
		return x->id.incarnation < y->id.incarnation ? -1 : 1;
	return x->id.counter < y->id.counter ? -1 : x->id.counter > y->id.counter;
}

void selection_all(struct selection *s, struct spool *spool)
{
	spool_each(spool, take, s);
	if (s->n)
		qsort(s->at, s->n, sizeof(struct message *), by_arrival);
}

void selection_words(struct selection *s, struct answer *a, struct str words)
{
	if (str_eq(str_trim(words), STR("all"))) {
		selection_all(s, a->links->spool);
		return;
	}
	for (struct str word; (word = str_word(&words)).n;) {
		struct message_id id;
		struct message *m = NULL;

		if (!id_parse(word, &id))
			buf_printf(&a->line, "%.*s: not a message id", STR_ARG(word));
		else if (!(m = spool_find(a->links->spool, &id)))
			buf_printf(&a->line, "%.*s: not in the queue: unknown, or done",
				   STR_ARG(word));
		if (m)
			add(s, m);
		else
			answer_error(a);
	}
}

void selection_free(struct selection *s)
{
	for (size_t i = 0; i < s->n; i++)
		message_unref(s->at[i]);
	mem_free(s->at);
	*s = (struct selection){ 0 };
}
