/*
 * load_proof - that every accepted message arrives once and unchanged; see load.h.
 *
 * A row per message, written by the session that sent it and by the sink it came to, in any order:
 * the arrival may overtake the reply. What a message was worth is judged at the end, from both
 * sides. A message whose reply was never heard may have been accepted: it may arrive, but need not.
 */
#include "tool/load.h"

#include "base/mem.h"

#define ROW_LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define ROW_STORE(field, value) atomic_store_explicit(&(field), value, memory_order_relaxed)

void proof_init(struct proof *p, const char *run, uint64_t rows)
{
	str_copy(p->run, sizeof(p->run), str_of(run));
	p->rows_n = rows;
	p->rows = mem_calloc(rows, sizeof(*p->rows));
}

void proof_done(struct proof *p)
{
	mem_free(p->rows);
}

void proof_sent(struct proof *p, uint64_t number, uint32_t crc, uint64_t size)
{
	struct proof_row *row = &p->rows[number];

	ROW_STORE(row->crc, crc);
	ROW_STORE(row->size, (uint32_t)size);
	ROW_STORE(row->start_ns, stage_now());
	atomic_store(&row->state, PROOF_UNKNOWN);
}

void proof_answered(struct proof *p, uint64_t number, enum proof_state state, unsigned recipients)
{
	struct proof_row *row = &p->rows[number];

	ROW_STORE(row->expected, (uint16_t)recipients);
	atomic_store(&row->state, (uint8_t)state);
}

/* "RUN-NUMBER" of this run. */
static struct proof_row *row_of(struct proof *p, struct str id)
{
	ssize_t hyphen = str_rfind(id, '-');
	uint64_t number;

	if (hyphen < 0 || !str_eq(str_sub(id, 0, (size_t)hyphen), str_of(p->run)))
		return NULL;
	if (!p->rows_n || !str_parse_u64(str_from(id, (size_t)hyphen + 1), p->rows_n - 1, &number))
		return NULL;
	return &p->rows[number];
}

void proof_arrived(void *proof, const struct sink_message *m)
{
	struct proof *p = proof;
	struct proof_row *row = row_of(p, m->line.id);

	if (!row) {
		atomic_fetch_add(&p->strangers, 1);
		return;
	}
	if (ROW_LOAD(row->crc) != m->line.crc || ROW_LOAD(row->size) != (uint32_t)m->line.size)
		ROW_STORE(row->different, 1);
	atomic_fetch_add_explicit(&row->arrived, (uint16_t)m->recipients_n, memory_order_relaxed);
	histogram_add(&p->arrival, stage_now() - ROW_LOAD(row->start_ns));
}

void proof_judge(const struct proof *p, struct proof_result *ret)
{
	*ret = (struct proof_result){ 0 };
	for (uint64_t i = 0; i < p->rows_n; i++) {
		const struct proof_row *row = &p->rows[i];
		unsigned state = atomic_load(&row->state);
		unsigned arrived = ROW_LOAD(row->arrived), expected = ROW_LOAD(row->expected);

		ret->different += ROW_LOAD(row->different);
		if (state == PROOF_REFUSED)
			ret->unasked += arrived > 0;
		if (state != PROOF_ACCEPTED)
			continue;
		if (arrived < expected)
			ret->missing++;
		else if (arrived > expected)
			ret->duplicate++;
		else
			ret->complete++;
	}
}
