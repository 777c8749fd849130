/*
 * spool: kill -9 and power cuts under load: what was acknowledged is there, once; what was noted is
 * not forgotten.
 */
#include "unit/spool/harness.h"

#include <signal.h>
#include <sys/wait.h>

#define LEDGER_MAX 65536

/* What the child tells through the pipe, in one write each. */
struct line {
	struct message_id id;
	uint32_t octets, seed;
	uint32_t final;		/* 0: acknowledged; 1: about to be noted as final; 2: noted */
};

static int ledger_pipe[2];
static struct line ledger[LEDGER_MAX];
static unsigned ledger_n;

static void tell(const struct put *p, uint32_t final)
{
	struct line l = { p->id, (uint32_t)p->octets, (uint32_t)p->seed, final };

	if (write(ledger_pipe[1], &l, sizeof(l)) != sizeof(l))
		_exit(1);
}

static void child_task(void *arg)
{
	uint64_t *seed = arg;

	for (;;) {
		struct put p = { .keep = true };
		struct record_job j = { .note = true,
					.n = 1,
					.outcomes =
						&(struct outcome){ .state = RECIPIENT_RELAYED } };

		*seed = *seed * 6364136223846793005u + 1442695040888963407u;
		p.octets = (*seed >> 40) % 9000;
		p.seed = (uint32_t)(*seed >> 32);
		put_task(&p);
		tell(&p, 0);
		j.message = p.message;
		if (*seed >> 33 & 7) {
			tell(&p, 1);
			record_task(&j);
			tell(&p, 2);
		}
		message_unref(p.message);
	}
}

static void child_main(unsigned round)
{
	uint64_t seeds[10];

	open_spool();
	drop_found();
	for (unsigned i = 0; i < 10; i++)
		seeds[i] = round * 1000 + i;
	run_tasks(10, child_task, seeds, sizeof(seeds[0]));
}

static bool in_found(const struct line *l)
{
	unsigned times = 0;

	for (unsigned i = 0; i < found_n; i++)
		if (id_eq(&found[i]->id, &l->id)) {
			times++;
			assert_true(content_is(found[i], l->octets, l->seed));
		}
	assert_true(times <= 1);
	return times;
}

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->id.incarnation != y->id.incarnation)
		return x->id.incarnation < y->id.incarnation ? -1 : 1;
	if (x->id.counter != y->id.counter)
		return x->id.counter < y->id.counter ? -1 : 1;
	return (int)x->final - (int)y->final;
}

/* Leaves in the ledger what is acknowledged and not final. */
static void settle_ledger(void)
{
	unsigned kept = 0;

	qsort(ledger, ledger_n, sizeof(ledger[0]), compare_lines);
	for (unsigned i = 0; i < ledger_n; i++) {
		if (i + 1 < ledger_n && id_eq(&ledger[i].id, &ledger[i + 1].id))
			continue;
		if (!ledger[i].final)
			ledger[kept++] = ledger[i];
	}
	ledger_n = kept;
}

static void run_child(unsigned round, unsigned ms)
{
	pid_t pid;
	ssize_t n;
	size_t got = 0;

	assert_int_equal(pipe(ledger_pipe), 0);
	pid = fork();
	if (pid == 0) {
		close(ledger_pipe[0]);
		child_main(round);
		_exit(0);
	}
	close(ledger_pipe[1]);
	for (unsigned waited = 0; waited < ms; waited++) {
		fcntl(ledger_pipe[0], F_SETFL, O_NONBLOCK);
		while ((n = read(ledger_pipe[0], (char *)&ledger[ledger_n] + got,
				 sizeof(struct line) - got)) > 0) {
			got += (size_t)n;
			if (got == sizeof(struct line)) {
				got = 0;
				ledger_n++;
				assert_true(ledger_n < LEDGER_MAX);
			}
		}
		usleep(1000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fcntl(ledger_pipe[0], F_SETFL, 0);
	while ((n = read(ledger_pipe[0], (char *)&ledger[ledger_n] + got,
			 sizeof(struct line) - got)) > 0) {
		got += (size_t)n;
		if (got == sizeof(struct line)) {
			got = 0;
			ledger_n++;
			assert_true(ledger_n < LEDGER_MAX);
		}
	}
	close(ledger_pipe[0]);
}

/* At most one message per task was in the log, but not in the ledger. */
static void test_kill(void **state)
{
	(void)state;
	ledger_n = 0;
	for (unsigned round = 0; round < 6; round++) {
		run_child(round, 40 + round * 23);
		open_spool();
		for (unsigned i = 0; i < ledger_n; i++)
			if (ledger[i].final == 2)	/* what was written survives */
				assert_false(in_found(&ledger[i]));
		settle_ledger();
		assert_int_equal(recovery.damaged_records, 0);
		for (unsigned i = 0; i < ledger_n; i++)
			assert_true(in_found(&ledger[i]));
		assert_true(found_n <= ledger_n + (round + 1) * 10);
		close_spool();
	}
}

/* ---- power cuts: the disk keeps what was synced and any of the sectors that were not */

#define SECTOR 512
#define FILES_MAX 64

struct image {
	char name[SEGMENT_NAME];
	int fd;
	char *synced;		/* as of the last sync */
	size_t n;
	bool named;		/* its directory entry is synced */
	bool unlinked;		/* its name is gone, but that is not synced */
};

static struct image images[FILES_MAX];
static unsigned images_n;
static pthread_mutex_t images_lock = PTHREAD_MUTEX_INITIALIZER;
static int segments_fd;

static int cut_open(struct world *w, int dirfd, const char *path, int flags, mode_t mode)
{
	int fd = world_real()->disk_open(world_real(), dirfd, path, flags, mode);

	(void)w;
	pthread_mutex_lock(&images_lock);
	if (fd >= 0 && strstr(path, ".log") && (flags & O_CREAT)) {
		assert_true(images_n < FILES_MAX);
		images[images_n] = (struct image){ .fd = fd };
		str_copy(images[images_n++].name, SEGMENT_NAME, str_of(path));
	}
	if (fd >= 0 && !strcmp(path, "segments"))
		segments_fd = fd;
	pthread_mutex_unlock(&images_lock);
	return fd;
}

static char *read_file(int fd, size_t *ret_n)
{
	struct stat st;
	char *p;

	assert_int_equal(fstat(fd, &st), 0);
	p = mem_zalloc((size_t)st.st_size);
	assert_int_equal(pread(fd, p, (size_t)st.st_size, 0), st.st_size);
	*ret_n = (size_t)st.st_size;
	return p;
}

/* What is there before the call is what the call makes durable. */
static int cut_sync(struct world *w, int fd)
{
	(void)w;
	pthread_mutex_lock(&images_lock);
	for (unsigned i = 0; i < images_n; i++) {
		if (fd == segments_fd && images[i].unlinked) {
			mem_free(images[i].synced);
			images[i--] = images[--images_n];
			continue;
		}
		if (fd == segments_fd)
			images[i].named = true;
		if (images[i].fd != fd || images[i].unlinked)
			continue;
		mem_free(images[i].synced);
		images[i].synced = read_file(fd, &images[i].n);
	}
	pthread_mutex_unlock(&images_lock);
	return 0;
}

static int cut_unlink(struct world *w, int dirfd, const char *path, bool is_folder)
{
	(void)w;
	pthread_mutex_lock(&images_lock);
	for (unsigned i = 0; i < images_n; i++)
		if (!strcmp(images[i].name, path))
			images[i].unlinked = true;
	pthread_mutex_unlock(&images_lock);
	return world_real()->disk_unlink(world_real(), dirfd, path, is_folder);
}

static struct world *cuttable_world(void)
{
	test_world = *world_real();
	test_world.disk_open = cut_open;
	test_world.disk_datasync = cut_sync;
	test_world.disk_sync = cut_sync;
	test_world.disk_unlink = cut_unlink;
	images_n = 0;
	return &test_world;
}

/* The segments as they may look after the power came back, into the kept state. */
static void cut_power(uint64_t seed)
{
	char path[600];

	pthread_mutex_lock(&images_lock);
	keep_state();
	for (unsigned i = 0; i < images_n; i++) {
		struct image *image = &images[i];
		size_t n, now_n;
		char *now;
		int fd;

		snprintf(path, sizeof(path), "%s/kept/segments/%.23s", folder, image->name);
		unlink(path);
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		if (!image->named || !image->synced || (image->unlinked && seed >> 63))
			continue;
		if (image->unlinked) {		/* it comes back */
			now = mem_dup(image->synced, image->n);
			now_n = image->n;
		} else {
			now = read_file(image->fd, &now_n);
		}
		n = image->n < now_n ? image->n : now_n;
		for (size_t at = 0; at + SECTOR <= n; at += SECTOR) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			if (memcmp(now + at, image->synced + at, SECTOR) != 0 && seed >> 63)
				memcpy(now + at, image->synced + at, SECTOR);
		}
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		assert_int_equal(write(fd, now, now_n), now_n);
		close(fd);
		mem_free(now);
	}
	pthread_mutex_unlock(&images_lock);
}

struct cutter {
	atomic_bool stop;
	uint64_t seed;
};

static struct cutter cutter;
static unsigned ledger_at_cut;
static pthread_mutex_t ledger_lock = PTHREAD_MUTEX_INITIALIZER;

static void ledger_add(const struct put *p, bool final)
{
	pthread_mutex_lock(&ledger_lock);
	assert_true(ledger_n < LEDGER_MAX);
	ledger[ledger_n++] = (struct line){ p->id, (uint32_t)p->octets, (uint32_t)p->seed, final };
	pthread_mutex_unlock(&ledger_lock);
}

static void cut_task(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;

	while (!atomic_load(&cutter.stop)) {
		struct put p = { .keep = true };
		struct record_job j = { .note = true,
					.n = 1,
					.outcomes =
						&(struct outcome){ .state = RECIPIENT_RELAYED } };

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		p.octets = (seed >> 40) % 9000;
		p.seed = (uint32_t)(seed >> 32);
		put_task(&p);
		assert_int_equal(p.result, 0);
		ledger_add(&p, false);
		j.message = p.message;
		if (seed >> 33 & 3) {
			j.note = seed >> 36 & 1;
			ledger_add(&p, true);	/* before: from here on either is right */
			record_task(&j);
		}
		message_unref(p.message);
	}
}

static void *cutting_thread(void *arg)
{
	(void)arg;
	usleep(20000 + (unsigned)(cutter.seed % 7) * 9000);
	for (unsigned n = 0; n < 30; usleep(1000)) {
		pthread_mutex_lock(&ledger_lock);
		n = ledger_n;
		pthread_mutex_unlock(&ledger_lock);
	}
	/* What is in the ledger now has to be there. */
	pthread_mutex_lock(&ledger_lock);
	ledger_at_cut = ledger_n;
	cut_power(cutter.seed);
	pthread_mutex_unlock(&ledger_lock);
	atomic_store(&cutter.stop, true);
	return NULL;
}

static void one_cut(uint64_t seed)
{
	struct spool_options o = default_options();
	uint64_t seeds[6];
	pthread_t thread;

	ledger_n = 0;
	cutter.seed = seed;
	atomic_store(&cutter.stop, false);
	assert_int_equal(try_open(cuttable_world(), &o), 0);
	for (unsigned i = 0; i < 6; i++)
		seeds[i] = seed * 100 + i;
	pthread_create(&thread, NULL, cutting_thread, NULL);
	run_tasks(6, cut_task, seeds, sizeof(seeds[0]));
	pthread_join(thread, NULL);
	close_spool();
	for (unsigned i = 0; i < images_n; i++)
		mem_free(images[i].synced);
	ledger_n = ledger_at_cut;
	settle_ledger();
	assert_true(ledger_n > 0);
	use_kept_state();
	for (int again = 0; again < 2; again++) {
		open_spool();
		for (unsigned i = 0; i < ledger_n; i++)
			assert_true(in_found(&ledger[i]));
		put_message(10, 1);
		close_spool();
	}
	remove_tree(o.path);
}

static void test_power_cut(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++)
		one_cut(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_FOLDER(test_kill),
		TEST_IN_FOLDER(test_power_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
