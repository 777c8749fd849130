/*
 * fuzz spool_segments - what recovery makes of a damaged log: whole spools, opened, read, opened
 * again.
 *
 * Octets that changed at random end at the checksums. So the input is a list of orders that build
 * segments whose checksums fit where the order does not say otherwise:
 *
 *	R type bits id n n c ...	a record: type; bits (enum bits); counter of the id; octets
 *					of envelope (little-endian) and of content, then these
 *	Z n			8 * n octets of zeros
 *	P			zeros up to the next page
 *	G n ...			octets that are no record
 *	B n			back: the octet n before is flipped
 *	T n			the file ends so many octets early
 *	N bits			the next segment; 1: its header's checksum does not fit
 *	F id n ...		a file of content
 *	I n ...			the file "spool"
 *
 * Whatever stands there, the spool opens; content of what it found can be read or is known to be
 * damaged; a second opening finds the same messages (D3); and look, which changes nothing, agrees
 * that it can be walked.
 */
#include "spool/look.h"
#include "spool/record.h"
#include "spool/spool.h"

#include "base/bytes.h"
#include "base/crc.h"

#include "fuzz/world.h"

#define SEGMENTS_MAX 3
#define SEGMENT_OCTETS 65536
#define HEADER 4096
#define FOUND_MAX 256

enum bits {
	BIT_UNSIGNED = 1,	/* the header's checksum is as it comes */
	BIT_AS_IT_IS = 2,	/* so is what an envelope says of sizes, batches and places */
	BIT_CONTENT_WRONG = 4,	/* the content's checksum does not fit */
	BIT_IN_FILE = 8,	/* the body is in the file of content of that id */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct net *net;

/* ---- a segment being built */

static struct {
	char octets[SEGMENT_OCTETS];
	size_t at;
	uint64_t number, batch, batch_from;
	uint32_t checksum, records;
	bool bad_header;
	bool is_content[SEGMENT_OCTETS];
} seg;

/*
 * Content that is damaged is found out when it is read, and no sooner: it may make a batch that is
 * the last one at the second opening count as torn.
 */
static bool content_is_wrong;

static const uint8_t salt[RECORD_SALT] = "salt of segment";

static void segment_begin(uint64_t number)
{
	memset(seg.octets, 0, sizeof(seg.octets));
	memset(seg.is_content, 0, sizeof(seg.is_content));
	seg.at = seg.batch_from = HEADER;
	seg.number = number;
	seg.checksum = seg.records = 0;
	seg.bad_header = false;
}

static void write_below(const char *where, const char *name, const char *p, size_t n)
{
	char path[64];

	snprintf(path, sizeof(path), "spool/%s%s", where, name);
	write_file(path, str_make(p, n));
}

static void segment_end(size_t missing)
{
	char *h = seg.octets, name[32];
	size_t size = seg.at + HEADER > sizeof(seg.octets) ? sizeof(seg.octets) : seg.at + HEADER;

	memcpy(h, "RELVOLOG", 8);
	put_u32(h + 8, 1);
	put_u32(h + 12, 7);
	put_u32(h + 16, 8);
	put_u64(h + 24, seg.number);
	memcpy(h + 32, salt, RECORD_SALT);
	put_u64(h + 48, size);
	put_u32(h + 64, crc32c(0, h, 64) + seg.bad_header);
	snprintf(name, sizeof(name), "%016llx.log", (unsigned long long)seg.number);
	write_below("segments/", name, h, missing < size ? size - missing : 0);
}

/* ---- orders */

static struct cursor in;

static uint8_t octet(void)
{
	return in.rest.n ? (uint8_t)cursor_u8(&in) : 0;
}

static struct str octets(size_t n)
{
	struct str s = str_sub(in.rest, 0, n);

	in.rest = str_from(in.rest, s.n);
	return s;
}

static void correct(struct record *r, char *envelope, unsigned bits)
{
	if (bits & BIT_AS_IT_IS)
		return;
	if (r->type == RECORD_MESSAGE && r->envelope_n >= 32) {
		put_u64(envelope + 16, r->content_n);
		put_u64(envelope + 24, bits & BIT_IN_FILE ? r->id.counter : 0);
	}
	if (r->type == RECORD_COMMIT && r->envelope_n >= 48) {
		put_u64(envelope, seg.number);
		put_u64(envelope + 8, ++seg.batch);
		put_u64(envelope + 16, seg.batch_from);
		put_u64(envelope + 24, seg.batch - 1);
		put_u32(envelope + 32, seg.records);
		put_u32(envelope + 40, (uint32_t)(seg.at - seg.batch_from));
		put_u32(envelope + 44, seg.checksum);
	}
}

static void add_record(void)
{
	unsigned type = octet(), bits = octet(), id = octet();
	size_t n = octet(), envelope_n = n | (size_t)octet() << 8, content_n = octet();
	struct str envelope = octets(envelope_n), content = octets(content_n);
	char *to = seg.octets + seg.at;
	struct record r = { .type = (uint8_t)type, .envelope_n = (uint32_t)envelope.n,
			    .content_n = type == RECORD_MESSAGE ? (uint32_t)content.n : 0 };
	size_t used = record_octets(&r);

	if (seg.at + used > sizeof(seg.octets))
		return;
	if (type < RECORD_COMMIT)
		r.id = (struct message_id){ 7, 8, id };
	r.content_crc = r.content_n ? crc32c(0, content.p, content.n) : 0;
	r.content_crc += !!(bits & BIT_CONTENT_WRONG);
	record_put(to, &r);
	if (envelope.n)
		memcpy(to + RECORD_HEADER, envelope.p, envelope.n);
	if (r.content_n) {
		memcpy(to + RECORD_HEADER + envelope.n, content.p, r.content_n);
		memset(seg.is_content + seg.at + RECORD_HEADER + envelope.n, true, r.content_n);
	}
	content_is_wrong |= bits & BIT_CONTENT_WRONG;
	correct(&r, to + RECORD_HEADER, bits);
	r.crc = bits & BIT_UNSIGNED ? 0 : record_sign(to, salt, seg.at);
	seg.checksum = record_fold(seg.checksum, r.crc, r.content_crc);
	seg.records++;
	seg.at += used;
	if (type == RECORD_COMMIT) {
		seg.batch_from = seg.at;
		seg.checksum = seg.records = 0;
	}
}

static void skip_to(size_t at)
{
	seg.at = at < sizeof(seg.octets) ? at : seg.at;
	seg.batch_from = seg.records ? seg.batch_from : seg.at;
}

static void add_garbage(void)
{
	struct str s = octets(octet());

	if (s.n && seg.at + s.n <= sizeof(seg.octets)) {
		memcpy(seg.octets + seg.at, s.p, s.n);
		skip_to((seg.at + s.n + 7) & ~(size_t)7);
	}
}

static void add_file(void)
{
	char name[32];
	struct str s;

	snprintf(name, sizeof(name), "%016x", octet());
	s = octets(octet());
	write_below("content/", name, s.p, s.n);
}

static void add_identity(void)
{
	struct str s = octets(octet());

	write_below("", "spool", s.p, s.n);
}

static void follow(size_t *ret_missing)
{
	size_t back;

	switch (octet()) {
	case 'R':
		add_record();
		break;
	case 'Z':
		skip_to(seg.at + (size_t)8 * octet());
		break;
	case 'P':
		skip_to((seg.at + HEADER - 1) & ~(size_t)(HEADER - 1));
		break;
	case 'G':
		add_garbage();
		break;
	case 'B':
		back = seg.at - octet() - 1;
		seg.octets[back] ^= 0x55;
		content_is_wrong |= seg.is_content[back];
		break;
	case 'T':
		*ret_missing = octet();
		break;
	case 'F':
		add_file();
		break;
	case 'I':
		add_identity();
		break;
	}
}

static void build(struct str orders)
{
	size_t missing = 0;

	in = cursor_of(orders);
	seg.batch = 0;
	content_is_wrong = false;
	segment_begin(1);
	while (in.rest.n) {
		if (in.rest.p[0] != 'N' || seg.number == SEGMENTS_MAX) {
			follow(&missing);
			continue;
		}
		octet();
		segment_end(missing);
		missing = 0;
		segment_begin(seg.number + 1);
		seg.bad_header = octet() & 1;
	}
	segment_end(missing);
}

/* ---- opening it */

struct seen {
	struct message_id id;
	uint32_t recipients_n, states;
};

struct opened {
	struct spool *spool;
	struct message *found[FOUND_MAX];
	struct seen seen[FOUND_MAX];
	unsigned n;
};

static void found(void *arg, struct message *m)
{
	struct opened *o = arg;
	struct seen *s = &o->seen[o->n];

	check(m->recipients_n && o->n < FOUND_MAX);
	*s = (struct seen){ .id = m->id, .recipients_n = m->recipients_n };
	for (uint32_t i = 0; i < m->recipients_n; i++)
		s->states = s->states * 31 + m->recipients[i].state;
	o->found[o->n++] = message_ref(m);
}

/* Reads all there is: sound, or known to be damaged. */
static void read_one(struct spool *s, struct message *m) SUSPENDS
{
	struct content_reader reader;
	struct str piece;
	int r = content_reader_open(&reader, s, m);

	if (r < 0)
		return;
	while ((r = content_reader_next(&reader, &piece)) == 1)
		check(piece.n > 0);
	check(r == 0 || r == -EBADMSG || r == -ENOENT || r == -EIO || r == -ENODATA);
	content_reader_close(&reader);
}

static void read_all(void *arg)
{
	struct opened *o = arg;

	for (unsigned i = 0; i < o->n; i++)
		read_one(o->spool, o->found[i]);
}

static bool open_it(struct opened *o)
{
	char path[64];
	struct spool_options options = { .path = path, .segment_size = SEGMENT_OCTETS,
					 .arriving_memory_max = 1 << 20,
					 .waiting_memory_max = 1 << 20 };
	struct buf error = BUF_INIT(4096);
	int r;

	snprintf(path, sizeof(path), "%s/spool", folder);
	o->n = 0;
	r = spool_open(net, &options, found, o, &o->spool, NULL, &error);
	check((r < 0) == (error.n > 0));
	buf_done(&error);
	return r == 0;
}

static void close_it(struct opened *o)
{
	for (unsigned i = 0; i < o->n; i++)
		message_unref(o->found[i]);
	spool_close(o->spool);
	world_settle();
}

/* What was found again has the same recipients in the same states. */
static void check_same(const struct opened *a, const struct opened *b)
{
	check(a->n == b->n);
	for (unsigned i = 0; i < a->n; i++) {
		const struct seen *same = NULL;

		for (unsigned k = 0; k < b->n; k++)
			if (id_eq(&b->seen[k].id, &a->seen[i].id))
				same = &b->seen[k];
		check(same && same->recipients_n == a->seen[i].recipients_n);
		check(same->states == a->seen[i].states);
	}
}

static void count_damage(void *arg, const char *segment, uint64_t from, uint64_t to, bool torn)
{
	(void)arg, (void)torn;
	check(segment && from <= to);
}

static void look_at_it(void)
{
	struct look l = { .damage = count_damage };
	struct buf error = BUF_INIT(4096);
	char path[64];

	snprintf(path, sizeof(path), "%s/spool", folder);
	if (look_open(&l, world_real(), path, &error) == 0) {
		look_all(&l);
		look_close(&l);
	} else {
		check(error.n > 0);
	}
	buf_done(&error);
}

static void make_folders(void)
{
	static const char *const names[] = { "spool", "spool/segments", "spool/content" };
	char path[64];

	snprintf(path, sizeof(path), "%s/spool", folder);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		check(mkdir(path, 0700) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct opened first, second;

	if (!net) {
		world_bend();
		folder_make();
		net = net_new(world_real(), 1, 1);
		net_start(net);
	}
	make_folders();
	build(str_make((const char *)data, n));
	look_at_it();
	if (open_it(&first)) {
		world_do(net, read_all, &first, true);
		close_it(&first);
		check(open_it(&second));
		close_it(&second);
		if (!content_is_wrong)
			check_same(&first, &second);
	}
	count_input();
	return 0;
}
