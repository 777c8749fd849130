/*
 * damage - a message whose bytes on disk are not what was written (promises D3, D9).
 *
 * Every reading checks: delivery and the commands through content_read.c, the sweeper through
 * stored.c. What fails is reported once and its octets are kept in SPOOL/quarantine for a person to
 * look at. The message stays in the index with its envelope, which is in memory, and whoever
 * spool_set_damaged names is told: he lets its recipients fail, so that the sender gets a notice
 * and nothing is dropped silently. Others are not touched.
 *
 * A damaged record that recovery meets is another matter: there the envelope is lost as well, and
 * all that can be done is to report it and keep it (replay.c, quarantine.c).
 */
#include "spool/scan.h"

static void tell(struct spool *s, struct message *m)
{
	void (*damaged)(void *arg, struct message *m);
	void *arg;

	spool_lock(s);
	damaged = s->damaged;
	arg = s->damaged_arg;
	spool_unlock(s);
	if (damaged)
		damaged(arg, m);
}

void damage_of_message(struct spool *s, struct message *m, struct segment *g, uint64_t offset,
		       int error)
{
	char id[ID_TEXT_MAX];
	uint32_t octets;
	bool is_wrong = error == -EBADMSG, first;

	spool_lock(s);
	first = m->in_index && m->segment == g && !m->damaged && (is_wrong || !m->unreadable);
	octets = m->octets;
	if (first) {
		g->unreadable_n += !m->unreadable;
		m->unreadable = true;
		m->damaged = is_wrong;
	}
	spool_unlock(s);
	if (!first)
		return;
	spool_report(s, SPOOL_EVENT_DAMAGE,
		     "message %s cannot be read, segment %016llx octet %llu: %s",
		     id_format(id, &m->id), (unsigned long long)g->number,
		     (unsigned long long)offset, strerror(-error));
	quarantine_range(s, g, offset, offset + octets);
	if (is_wrong)
		tell(s, m);
}

/* Counted, the first time; NULL: known already, or final meanwhile and its file being removed. */
static struct message *mark_file(struct spool *s, const struct message_id *id)
{
	struct message *m;

	spool_lock(s);
	m = index_find(s, id);
	if (m && m->file_damaged)
		m = NULL;
	if (m) {
		m->file_damaged = true;
		message_ref(m);
	}
	spool_unlock(s);
	return m;
}

void damage_of_file(struct spool *s, const struct message_id *id, uint64_t file)
{
	char text[ID_TEXT_MAX], name[CONTENT_FILE_NAME];
	struct message *m = mark_file(s, id);
	int r;

	if (!m)
		return;
	r = quarantine_file(s, "content", content_file_name(name, file));
	spool_report(s, SPOOL_EVENT_DAMAGE, "the content file %s of message %s is %s", name,
		     id_format(text, id), r == -ENOENT ? "missing" : "damaged");
	tell(s, m);
	message_unref(m);
}

static void tell_if_damaged(void *arg, struct message *m)
{
	struct spool *s = arg;
	bool is_damaged;

	spool_lock(s);
	is_damaged = m->damaged || m->file_damaged;
	spool_unlock(s);
	if (is_damaged)
		tell(s, m);
}

void spool_set_damaged(struct spool *s, void (*damaged)(void *arg, struct message *m), void *arg)
{
	spool_lock(s);
	s->damaged = damaged;
	s->damaged_arg = arg;
	spool_unlock(s);
	if (damaged)
		spool_each(s, tell_if_damaged, s);
}
