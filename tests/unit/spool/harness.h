/*
 * harness - what the tests of spool/ share: a folder that is removed afterwards, a net of two
 * loops, tasks that are waited for, messages to put in and to look for, a world whose disk can be
 * made to fail.
 */
#ifndef UNIT_SPOOL_HARNESS_H
#define UNIT_SPOOL_HARNESS_H

#include "unit/unit.h"

#include "base/mem.h"
#include "spool/inner.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wunused-function"

/* ---- a folder */

static char folder[256];

static void remove_tree(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[1024];

	while (dir && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (unlink(name) < 0)
			remove_tree(name);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

static int make_folder(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof(folder), "%s/relevo-spool-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	(void)state;
	remove_tree(folder);
	return 0;
}

#define TEST_IN_FOLDER(fn) cmocka_unit_test_setup_teardown(fn, make_folder, drop_folder)

static unsigned count_files(const char *name)
{
	char path[512];
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/s/%s", folder, name);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

/* ---- a world whose disk can fail */

static struct world test_world;
static atomic_int writes_until_failure, syncs_until_failure;	/* 0: never; 1: the next */
static atomic_int failures_in_a_row;	/* how many fail, then it works again */
static atomic_int failure;		/* errno */
static atomic_int creates_fail;		/* 1: no file can be made: ENOSPC */
static atomic_int reads_fail;		/* 1: EIO */
static atomic_int minutes_ahead;	/* of the clock */
static atomic_int gate;			/* 1: a sync does not return before it is 0 */
static atomic_int datasyncs, free_mib;	/* counted; free space that is told, 0: the true one */

static bool is_due(atomic_int *until)
{
	int n = atomic_load(until);

	if (n == 0)
		return false;
	if (n > 1) {
		atomic_fetch_sub(until, 1);
		return false;
	}
	if (atomic_fetch_sub(&failures_in_a_row, 1) <= 1)
		atomic_store(until, 0);
	return true;
}

static ssize_t fault_pwritev(struct world *w, int fd, const struct iovec *iov, int n,
			     uint64_t offset)
{
	(void)w;
	if (is_due(&writes_until_failure)) {
		/* A part reaches the disk, as it may. */
		world_real()->disk_pwritev(world_real(), fd, iov, n > 1 ? n / 2 : 1, offset);
		return -atomic_load(&failure);
	}
	return world_real()->disk_pwritev(world_real(), fd, iov, n, offset);
}

static ssize_t fault_pread(struct world *w, int fd, void *p, size_t n, uint64_t offset)
{
	return atomic_load(&reads_fail) ? -EIO : world_real()->disk_pread(w, fd, p, n, offset);
}

static uint64_t fault_now(struct world *w)
{
	return world_real()->now(w) + (uint64_t)atomic_load(&minutes_ahead) * 60 * SECOND;
}

static int fault_datasync(struct world *w, int fd)
{
	bool due = is_due(&syncs_until_failure);

	(void)w;
	atomic_fetch_add(&datasyncs, 1);
	while (atomic_load(&gate))
		usleep(500);
	if (due)
		return -atomic_load(&failure);
	return world_real()->disk_datasync(world_real(), fd);
}

static int fault_open(struct world *w, int dirfd, const char *path, int flags, mode_t mode)
{
	(void)w;
	if ((flags & O_CREAT) && atomic_load(&creates_fail) && strstr(path, ".log"))
		return -ENOSPC;
	return world_real()->disk_open(world_real(), dirfd, path, flags, mode);
}

static int fault_space(struct world *w, int dirfd, struct disk_space *ret)
{
	int r = world_real()->disk_space(world_real(), dirfd, ret);

	(void)w;
	if (r == 0 && atomic_load(&free_mib))
		ret->free = (uint64_t)atomic_load(&free_mib) << 20;
	return r;
}

static struct world *faulty_world(void)
{
	test_world = *world_real();
	test_world.disk_pwritev = fault_pwritev;
	test_world.disk_pread = fault_pread;
	test_world.now = fault_now;
	test_world.disk_datasync = fault_datasync;
	test_world.disk_open = fault_open;
	test_world.disk_space = fault_space;
	atomic_store(&writes_until_failure, 0);
	atomic_store(&syncs_until_failure, 0);
	atomic_store(&failures_in_a_row, 1);
	atomic_store(&failure, EIO);
	atomic_store(&creates_fail, 0);
	atomic_store(&reads_fail, 0);
	atomic_store(&minutes_ahead, 0);
	atomic_store(&datasyncs, 0);
	atomic_store(&free_mib, 0);
	return &test_world;
}

/* ---- net and spool */

static struct net *net;
static struct spool *spool;
static struct spool_recovery recovery;
static struct message *found[70000];
static unsigned found_n;
static atomic_uint events[8];
static char last_error[512];

static void on_event(void *arg, enum spool_event kind, const char *text)
{
	(void)arg;
	atomic_fetch_add(&events[kind], 1);
	if (getenv("VERBOSE"))
		print_message("event %d: %s\n", (int)kind, text);
}

static void on_found(void *arg, struct message *m)
{
	(void)arg;
	assert_true(found_n < sizeof(found) / sizeof(found[0]));
	found[found_n++] = message_ref(m);
}

static struct spool_options default_options(void)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/s", folder);
	return (struct spool_options){
		.path = path,
		.arriving_memory_max = 64 << 20,
		.waiting_memory_max = 64 << 20,
		.segment_size = 1 << 20,
		.event = on_event,
	};
}

static int try_open(struct world *w, const struct spool_options *o)
{
	struct buf error = BUF_INIT(400);
	int r;

	memset(&recovery, 0, sizeof(recovery));
	for (int i = 0; i < 8; i++)
		atomic_store(&events[i], 0);
	found_n = 0;
	net = net_new(w, 2, 2);
	net_start(net);
	r = spool_open(net, o, on_found, NULL, &spool, &recovery, &error);
	str_copy(last_error, sizeof(last_error), buf_str(&error));
	buf_done(&error);
	if (r < 0) {
		net_stop(net);
		net = NULL;
		spool = NULL;
	}
	return r;
}

static void open_spool(void)
{
	struct spool_options o = default_options();

	assert_int_equal(try_open(world_real(), &o), 0);
}

static void open_faulty(void)
{
	struct spool_options o = default_options();

	assert_int_equal(try_open(faulty_world(), &o), 0);
}

static void drop_found(void)
{
	for (unsigned i = 0; i < found_n; i++)
		message_unref(found[i]);
	found_n = 0;
}

static void close_spool(void)
{
	drop_found();
	spool_close(spool);
	net_stop(net);
	spool = NULL;
	net = NULL;
}

/* What is on disk now is what a kill -9 would leave: kept aside, put back after the close. */
static void keep_state(void)
{
	char command[1024];

	snprintf(command, sizeof(command), "rm -rf %s/kept && cp -a --sparse=always %s/s %s/kept",
		 folder, folder, folder);
	assert_int_equal(system(command), 0);
}

static void use_kept_state(void)
{
	char command[1024];

	snprintf(command, sizeof(command), "rm -rf %s/s && cp -a --sparse=always %s/kept %s/s",
		 folder, folder, folder);
	assert_int_equal(system(command), 0);
}

/* ---- tasks */

struct job {
	struct post post;
	void (*fn)(void *arg);
	void *arg;
	atomic_uint *left;
};

static void job_task(void *arg)
{
	struct job *j = arg;
	atomic_uint *left = j->left;

	j->fn(j->arg);
	mem_free(j);
	atomic_fetch_sub(left, 1);
}

static void job_start(struct post *p)
{
	assert_non_null(task_start(NULL, job_task, CONTAINER_OF(p, struct job, post), "test"));
}

/* n tasks, over all loops; fn gets args[i], or arg + nothing. Waits for all. */
static void run_tasks(unsigned n, void (*fn)(void *arg), void *args, size_t size)
{
	atomic_uint left = n;

	for (unsigned i = 0; i < n; i++) {
		struct job *j = mem_zalloc(sizeof(*j));

		j->fn = fn;
		j->arg = (char *)args + i * size;
		j->left = &left;
		loop_post(net_loop(net, i % net_workers(net)), &j->post, job_start);
	}
	while (atomic_load(&left))
		usleep(200);
}

static void run_task(void (*fn)(void *arg), void *arg)
{
	run_tasks(1, fn, arg, 0);
}

static void wait_ms(unsigned ms)
{
	usleep(ms * 1000);
}

/* Or until so long has passed that no busy machine is the reason: ask afterwards what holds. */
#define WAIT_UNTIL(condition)                                                                      \
	do {                                                                                       \
		for (int i_ = 0; i_ < 3000 && !(condition); i_++)                                  \
			wait_ms(10);                                                               \
	} while (0)

/* ---- messages */

static struct message *make_message(unsigned recipients, struct content *c)
{
	struct envelope_recipient *r = mem_calloc(recipients, sizeof(*r));
	char (*names)[48] = mem_calloc(recipients, sizeof(*names));
	struct envelope e = {
		.sender = STR("sender@example.org"),
		.envid = STR("QQ314159"),
		.client = STR("192.0.2.1"),
		.login = STR("alice"),
		.body = BODY_8BITMIME,
		.ret = RET_HDRS,
		.smtputf8 = true,
		.tag = name_intern(STR("news")),
		.arrived_ms = 1700000000123,
		.recipients = r,
		.recipients_n = recipients,
	};
	struct message *m;

	for (unsigned i = 0; i < recipients; i++) {
		snprintf(names[i], sizeof(names[i]), "user%u@dest%u.example", i, i % 7);
		r[i] = (struct envelope_recipient){ str_of(names[i]), STR("rfc822;a@b"), STR("mx"),
						    NOTIFY_FAILURE };
	}
	m = message_new(&e, c);
	mem_free(names);
	mem_free(r);
	return m;
}

static void fill_pattern(char *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		p[i] = (char)(seed >> 56);
	}
}

/* The octets of content number seed. */
static char *pattern(size_t n, uint64_t seed)
{
	char *p = mem_alloc(n);

	fill_pattern(p, n, seed);
	return p;
}

static struct content *make_content(size_t n, uint64_t seed) SUSPENDS;
static struct content *make_content(size_t n, uint64_t seed)
{
	struct content *c = content_new(spool, seed & 1 ? n : 0);
	char *p = pattern(n, seed);

	assert_int_equal(content_add(c, p, n), 0);
	content_set_head(c, STR("Received: from here\r\n"));
	assert_int_equal(content_seal(c), 0);
	mem_free(p);
	return c;
}

struct put {
	size_t octets;
	uint64_t seed;
	unsigned recipients;
	int result;
	struct message_id id;
	struct message *message;	/* counted, if keep */
	bool keep;
};

static void put_task(void *arg)
{
	struct put *p = arg;
	struct content *c = make_content(p->octets, p->seed);
	struct message *m = make_message(p->recipients ? p->recipients : 1, c);
	struct batch *b = batch_new(spool);

	content_unref(c);
	batch_message(b, m);
	p->id = m->id;
	p->result = spool_commit(spool, b);
	if (p->keep)
		p->message = m;
	else
		message_unref(m);
}

static struct message_id put_message(size_t octets, uint64_t seed)
{
	struct put p = { .octets = octets, .seed = seed };

	run_task(put_task, &p);
	assert_int_equal(p.result, 0);
	return p.id;
}

struct check {
	struct message *message;
	size_t octets;
	uint64_t seed;
	int result;		/* of the reader */
	bool equal;
};

static void check_task(void *arg)
{
	struct check *k = arg;
	struct buf got = BUF_INIT(64 << 20);
	struct content_reader r;
	struct str slice;

	k->result = content_reader_open(&r, spool, k->message);
	if (k->result == 0) {
		while ((k->result = content_reader_next(&r, &slice)) > 0)
			buf_add_str(&got, slice);
		content_reader_close(&r);
	}
	if (k->result == 0) {
		char *expected = pattern(k->octets, k->seed);
		struct str head = STR("Received: from here\r\n");

		k->equal = got.n == head.n + k->octets && str_starts(buf_str(&got), head) &&
			   memcmp(got.p + head.n, expected, k->octets) == 0;
		mem_free(expected);
	}
	buf_done(&got);
}

static bool content_is(struct message *m, size_t octets, uint64_t seed)
{
	struct check k = { .message = m, .octets = octets, .seed = seed };

	run_task(check_task, &k);
	return k.result == 0 && k.equal;
}

struct record_job {
	struct message *message;
	const struct outcome *outcomes;
	unsigned n;
	bool note;
	int result;
};

static void record_task(void *arg)
{
	struct record_job *j = arg;
	struct batch *b = batch_new(spool);

	batch_outcomes(b, j->message, j->outcomes, j->n);
	j->result = j->note ? spool_note(spool, b) : spool_commit(spool, b);
}

static int record_outcomes(struct message *m, const struct outcome *outcomes, unsigned n, bool note)
{
	struct record_job j = { m, outcomes, n, note, 0 };

	run_task(record_task, &j);
	return j.result;
}

struct reroute_job {
	struct message *message;
	const uint32_t *recipients;
	unsigned n;
	const char *route;
	bool note;
	int result;
};

static void reroute_task(void *arg)
{
	struct reroute_job *j = arg;
	struct batch *b = batch_new(spool);

	batch_route(b, j->message, j->recipients, j->n, name_intern(str_of(j->route)));
	j->result = j->note ? spool_note(spool, b) : spool_commit(spool, b);
}

static inline int reroute(struct message *m, const uint32_t *recipients, unsigned n,
			  const char *route, bool note)
{
	struct reroute_job j = { m, recipients, n, route, note, 0 };

	run_task(reroute_task, &j);
	return j.result;
}

static int finish_message(struct message *m, bool note)
{
	struct outcome o[64];
	unsigned n = m->recipients_n < 64 ? m->recipients_n : 64;

	for (unsigned i = 0; i < n; i++)
		o[i] = (struct outcome){ .recipient = i,
					 .state = RECIPIENT_RELAYED,
					 .attempted = true,
					 .reply = REPLY(250, 2, 0, 0, "ok"),
					 .host = STR("mx.example (192.0.2.9)") };
	return record_outcomes(m, o, n, note);
}

#endif
