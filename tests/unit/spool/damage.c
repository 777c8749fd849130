/*
 * spool: torn tails and damage: what was acknowledged before survives, nothing crashes, nothing is
 * dropped silently.
 */
#include "unit/spool/harness.h"

#define N 8

static struct message_id ids[N];
static uint64_t ends[N];	/* of the segment, after each message */

static void log_path(char path[512], const char *name)
{
	snprintf(path, 512, "%s/s/segments/%s", folder, name);
}

#define FIRST "0000000000000001.log"

static uint64_t active_end(void)
{
	struct segment *g = LIST_ENTRY(spool->segments.prev, struct segment, link);

	return atomic_load(&g->used);
}

/* N messages in the first segment, then the state of a kill -9. */
static void make_state(void)
{
	open_spool();
	for (unsigned i = 0; i < N; i++) {
		ids[i] = put_message(1000 + i * 700, i);
		ends[i] = active_end();
	}
	keep_state();
	close_spool();
}

static void edit(uint64_t at, const void *p, size_t n)
{
	char path[512];
	int fd;

	log_path(path, FIRST);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, (off_t)at), n);
	close(fd);
}

static void cut_file(uint64_t at)
{
	char path[512];

	log_path(path, FIRST);
	assert_int_equal(truncate(path, (off_t)at), 0);
}

static bool is_found(unsigned i)
{
	for (unsigned j = 0; j < found_n; j++)
		if (id_eq(&found[j]->id, &ids[i]))
			return content_is(found[j], 1000 + i * 700, i);
	return false;
}

static void test_cut(void **state)
{
	(void)state;
	make_state();
	for (uint64_t at = ends[N - 3] - 60; at < ends[N - 1] + 20; at += 431) {
		unsigned whole = 0;

		while (whole < N && ends[whole] <= at)
			whole++;
		use_kept_state();
		cut_file(at);
		open_spool();
		assert_int_equal(found_n, whole);
		for (unsigned i = 0; i < whole; i++)
			assert_true(is_found(i));
		assert_int_equal(recovery.damaged_records, 0);
		put_message(10, 99);
		close_spool();
		open_spool();
		assert_int_equal(found_n, whole + 1);
		assert_int_equal(recovery.damaged_records + recovery.torn_batches, 0);
		close_spool();
	}
}

/* The last batch is a new route, and it is cut somewhere: then the old one counts. */
static void test_cut_reroute(void **state)
{
	static const uint32_t both[] = { 0, 1 };
	struct put p = { .octets = 100, .seed = 1, .recipients = 2, .keep = true };
	uint64_t from, to;

	(void)state;
	open_spool();
	run_task(put_task, &p);
	from = (active_end() + RECORD_PAGE - 1) & ~(uint64_t)(RECORD_PAGE - 1);
	assert_int_equal(reroute(p.message, both, 2, "mx:new", false), 0);
	to = active_end();
	assert_true(to > from + RECORD_COMMIT_OCTETS);
	keep_state();
	message_unref(p.message);
	close_spool();
	for (uint64_t at = from; at <= to; at += 8) {
		const struct name *route;

		use_kept_state();
		cut_file(at);
		open_spool();
		assert_int_equal(found_n, 1);
		assert_int_equal(recovery.damaged_records, 0);
		route = recipient_route_name(found[0], 0);
		assert_ptr_equal(route, recipient_route_name(found[0], 1));
		assert_string_equal(route->text, at < to ? "mx" : "mx:new");
		close_spool();
	}
}

/*
 * Garbage in the last batch: a torn batch, cut off. In an earlier one: damage, reported, the others
 * stay.
 */
static void test_garbled(void **state)
{
	static const char garbage[] = "\x05garbage\xff\xfe\x00\x01";

	(void)state;
	make_state();
	for (uint64_t at = SEGMENT_START; at < ends[N - 1]; at += 1733) {
		unsigned hit = 0, n = 0;
		bool last;

		while (ends[hit] <= at)
			hit++;
		last = hit == N - 1;
		use_kept_state();
		edit(at, garbage, sizeof(garbage));
		open_spool();
		for (unsigned i = 0; i < N; i++) {
			bool there = is_found(i);

			/*
			 * A hit in padding or in content of a synced batch is not seen before the
			 * content is read.
			 */
			if (i != hit)
				assert_true(there);
			n += there;
		}
		assert_true(n >= N - 1);
		if (last && n == N - 1)
			assert_int_equal(recovery.torn_batches, 1);
		if (!last && found_n == N - 1) {
			assert_true(recovery.damaged_records >= 1);
			assert_true(count_files("quarantine") >= 1);
			assert_true(atomic_load(&events[SPOOL_EVENT_DAMAGE]) >= 1);
		}
		close_spool();
	}
}

/*
 * The last batch is torn, and the COMMIT before it has rotted: the message before that COMMIT
 * counts, since the log went on behind it. So it does when the torn batch is gone.
 */
static void test_rotten_commit(void **state)
{
	(void)state;
	make_state();
	use_kept_state();
	edit(ends[N - 2] - 20, "rotten", 6);
	edit(ends[N - 1] - RECORD_COMMIT_OCTETS - 300, "torn", 4);
	for (int i = 0; i < 3; i++) {
		open_spool();
		assert_int_equal(found_n, N - 1);
		assert_true(is_found(N - 2));
		close_spool();
	}
}

/* Checksums fit, and still: a COMMIT whose batch begins behind it, or nowhere, is none. */
static void test_odd_commit(void **state)
{
	static const uint64_t starts[] = { 0, SEGMENT_START - 8, 1u << 20, UINT64_C(1) << 62,
					   UINT64_MAX };

	(void)state;
	make_state();
	for (unsigned i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct commit c = { .segment = 1, .batch = 1000, .start = starts[i] };
		uint64_t at = (ends[N - 1] + RECORD_PAGE - 1) & ~(uint64_t)(RECORD_PAGE - 1);
		char record[RECORD_COMMIT_OCTETS] = "", path[512];
		uint8_t salt[RECORD_SALT];
		int fd;

		use_kept_state();
		log_path(path, FIRST);
		fd = open(path, O_RDONLY);
		assert_int_equal(pread(fd, salt, sizeof(salt), 32), sizeof(salt));
		close(fd);
		record_commit_put(record, &c);
		record_sign(record, salt, at);
		edit(at, record, sizeof(record));
		open_spool();
		assert_int_equal(found_n, N);
		close_spool();
	}
}

/* Content damaged behind the checkpoint's back: found when it is read. */
static void test_content_damage(void **state)
{
	struct check k = { 0 };

	(void)state;
	make_state();
	use_kept_state();
	edit(ends[3] - 300, "xxx", 3);
	open_spool();
	assert_int_equal(found_n, N);
	k.message = found[3];
	run_task(check_task, &k);
	assert_int_equal(k.result, -EBADMSG);
	assert_true(is_found(2) && is_found(4));
	close_spool();
}

static void test_lost_header(void **state)
{
	char zeros[4096] = { 0 };

	(void)state;
	make_state();
	use_kept_state();
	edit(0, "garbage", 7);
	open_spool();
	assert_int_equal(found_n, 0);
	assert_int_equal(recovery.quarantined_files, 1);
	close_spool();
	use_kept_state();
	edit(0, zeros, sizeof(zeros));	/* messages stand behind it: no less damage */
	open_spool();
	assert_int_equal(recovery.quarantined_files, 1);
	close_spool();
}

/* A segment was being made ready when its maker died or its disk was full: no damage. */
static void test_unfinished_segment(void **state)
{
	static const char zeros[SEGMENT_SIZE_MIN];

	(void)state;
	make_state();
	for (size_t n = 0; n <= 67; n += n < 40 ? 40 : 27) {
		char path[512], header[68] = { 0 };
		int fd;

		use_kept_state();
		log_path(path, FIRST);
		fd = open(path, O_RDONLY);
		assert_int_equal(read(fd, header, n), n);
		close(fd);
		log_path(path, "0000000000000009.log");
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
		assert_int_equal(pwrite(fd, header, n, 0), n);
		close(fd);
		open_spool();
		assert_int_equal(found_n, N);
		assert_int_equal(recovery.quarantined_files, 0);
		assert_int_equal(count_files("quarantine"), 0);
		assert_int_equal(access(path, F_OK), -1);
		close_spool();
	}
}

/* Any octets at all. */
static void test_random(void **state)
{
	char noise[512];

	(void)state;
	make_state();
	for (unsigned round = 0; round < 30; round++) {
		uint64_t seed = round * 7919 + 1;

		use_kept_state();
		for (int i = 0; i < 6; i++) {
			fill_pattern(noise, sizeof(noise), seed * 31 + (unsigned)i);
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			edit((seed >> 33) % ends[N - 1], noise, 1 + (seed >> 20) % sizeof(noise));
		}
		open_spool();
		for (unsigned i = 0; i < found_n; i++) {
			struct check k = { .message = found[i] };

			run_task(check_task, &k);
		}
		put_message(10, 99);
		close_spool();
	}
}

/*
 * A content file that nobody names is removed; one that is missing is reported, and its message
 * stays.
 */
static void test_content_files(void **state)
{
	char path[512];
	struct dirent *entry;
	struct message_id id;
	struct check k = { 0 };
	DIR *dir;
	int fd;

	(void)state;
	open_spool();
	id = put_message(CONTENT_MEMORY_MAX + 5, 4);
	close_spool();
	snprintf(path, sizeof(path), "%s/s/content/00000000deadbeef", folder);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_int_equal(count_files("content"), 2);
	open_spool();
	assert_int_equal(count_files("content"), 1);
	assert_int_equal(found_n, 1);
	assert_true(content_is(found[0], CONTENT_MEMORY_MAX + 5, 4));
	close_spool();
	snprintf(path, sizeof(path), "%s/s/content", folder);
	dir = opendir(path);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	open_spool();
	assert_int_equal(found_n, 1);
	assert_true(id_eq(&found[0]->id, &id));
	assert_int_equal(recovery.damaged_records, 1);
	k.message = found[0];
	run_task(check_task, &k);
	assert_int_equal(k.result, -EBADMSG);	/* what is lost is damaged */
	close_spool();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_FOLDER(test_cut),
		TEST_IN_FOLDER(test_cut_reroute),
		TEST_IN_FOLDER(test_garbled),
		TEST_IN_FOLDER(test_rotten_commit),
		TEST_IN_FOLDER(test_odd_commit),
		TEST_IN_FOLDER(test_content_damage),
		TEST_IN_FOLDER(test_lost_header),
		TEST_IN_FOLDER(test_unfinished_segment),
		TEST_IN_FOLDER(test_random),
		TEST_IN_FOLDER(test_content_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
