/*
 * Fuzz target: decoding of records, as recovery does it when the checksum happens to fit.
 *
 * The input is a record: header, envelope. It is decoded as it stands, as every type.
 */
#include "spool/record.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_message(const struct record *r, struct str envelope)
{
	struct record_body body, again_body;
	struct str head, again_head;
	struct message *m = record_message_get(r, envelope, &head, &body);
	struct record again;
	struct message *copy;
	char *bytes;

	if (!m)
		return;
	/* What was decoded can be encoded, and decodes to the same. */
	bytes = mem_zalloc(record_message_octets(m, head));
	record_message_put(bytes, m, head, &body);
	if (!record_get(bytes, &again))
		abort();
	copy = record_message_get(&again, str_make(bytes + RECORD_HEADER, again.envelope_n),
				  &again_head, &again_body);
	if (!copy || !str_eq(head, again_head) || copy->recipients_n != m->recipients_n ||
	    again_body.octets != body.octets || copy->tag != m->tag)
		abort();
	for (uint32_t i = 0; i < m->recipients_n; i++)
		if (recipient_route_name(copy, i) != recipient_route_name(m, i))
			abort();
	message_unref(copy);
	message_unref(m);
	mem_free(bytes);
}

static void decode_progress(struct str envelope)
{
	struct progress p;
	struct reroute route;
	struct change c;
	uint32_t n = 0, warned;

	if (!record_progress_get(envelope, &p))
		return;
	while (record_progress_route(&p, &route))
		if (!route.route.n)
			abort();
	while (record_progress_warned(&p, &warned))
		n += warned;
	while (record_progress_next(&p, &c))
		n += c.last.n + c.recipient;
	(void)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t salt[RECORD_SALT];
	struct record r;
	struct str envelope;
	struct commit commit;
	struct seal seal;

	if (size < RECORD_HEADER || !record_get((const char *)data, &r))
		return 0;
	envelope = str_make((const char *)data + RECORD_HEADER, size - RECORD_HEADER);
	if (r.envelope_n <= envelope.n) {
		envelope.n = r.envelope_n;
		(void)record_is_signed((const char *)data, salt, 4096);
	}
	decode_message(&r, envelope);
	decode_progress(envelope);
	(void)record_commit_get(envelope, &commit);
	(void)record_seal_get(envelope, &seal);
	return 0;
}
