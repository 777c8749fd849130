/*
 * stage - loops, signals and time for the test tools; see stage.h.
 */
#include "tool/stage.h"

#include "base/hash.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#define READ_PIECE (64 * 1024)

static sigset_t awaited(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);	/* from stage_done */
	return set;
}

uint64_t stage_now(void)
{
	struct world *w = world_real();

	return w->now(w);
}

void stage_open(struct stage *s, unsigned workers)
{
	struct world *w = world_real();
	sigset_t set = awaited();
	uint64_t key[2];

	*s = (struct stage){ 0 };
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	w->random(w, key, sizeof(key));
	hash_seed(key[0], key[1]);
	s->net = net_new(w, workers, 1);
	net_start(s->net);
	s->start_ns = stage_now();
}

void stage_close(struct stage *s)
{
	net_stop(s->net);
}

void stage_done(struct stage *s)
{
	if (!atomic_exchange(&s->done, true))
		kill(getpid(), SIGUSR1);
}

bool stage_wait(struct stage *s, uint64_t ns)
{
	const struct timespec time = { (time_t)(ns / SECOND), (long)(ns % SECOND) };
	sigset_t set = awaited();
	int signal;

	if (atomic_load(&s->done) || s->interrupted)
		return true;
	signal = sigtimedwait(&set, NULL, &time);
	if (signal == SIGINT || signal == SIGTERM)
		s->interrupted = true;
	return atomic_load(&s->done) || s->interrupted;
}

struct errand {
	struct post post;
	void (*fn)(void *arg);
	void *arg;
	const char *name;	/* of the task; NULL: no task */
	sem_t ran;
};

static void run_errand(struct post *p)
{
	struct errand *e = CONTAINER_OF(p, struct errand, post);

	if (!e->name)
		e->fn(e->arg);
	else if (!task_start(NULL, e->fn, e->arg, e->name))
		abort();	/* not even one stack: nothing can be done here */
	sem_post(&e->ran);
}

static void do_errand(struct stage *s, unsigned worker, struct errand *e)
{
	sem_init(&e->ran, 0, 0);
	loop_post(net_loop(s->net, worker), &e->post, run_errand);
	while (sem_wait(&e->ran) < 0)
		;
	sem_destroy(&e->ran);
}

void stage_start_task(struct stage *s, unsigned worker, void (*fn)(void *arg), void *arg,
		      const char *name)
{
	struct errand e = { .fn = fn, .arg = arg, .name = name };

	do_errand(s, worker, &e);
}

struct awaited_task {
	void (*fn)(void *arg);
	void *arg;
	sem_t ended;
};

static void run_awaited(void *arg)
{
	struct awaited_task *a = arg;

	a->fn(a->arg);
	sem_post(&a->ended);
}

void stage_run_task(struct stage *s, unsigned worker, void (*fn)(void *arg), void *arg,
		    const char *name)
{
	struct awaited_task a = { .fn = fn, .arg = arg };

	sem_init(&a.ended, 0, 0);
	stage_start_task(s, worker, run_awaited, &a, name);
	while (sem_wait(&a.ended) < 0)
		;
	sem_destroy(&a.ended);
}

void stage_call(struct stage *s, unsigned worker, void (*fn)(void *arg), void *arg)
{
	struct errand e = { .fn = fn, .arg = arg };

	do_errand(s, worker, &e);
}

/* The first address by the system's own resolver. */
static bool lookup_ip(const char *name, struct ip *ret)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	struct sockaddr_storage address = { 0 };
	struct endpoint e;

	if (getaddrinfo(name, NULL, &hints, &found) || !found)
		return false;
	memcpy(&address, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	endpoint_from_sockaddr(&e, &address);
	*ret = e.ip;
	return true;
}

/* "name:port" by the resolver. */
static bool lookup(const char *text, uint16_t port_default, struct endpoint *ret)
{
	struct str host = str_of(text), port = STR_NONE;
	ssize_t colon = str_rfind(host, ':');
	uint64_t number = port_default;
	struct ip ip;
	char *name;
	bool found;

	if (colon >= 0) {
		port = str_from(host, (size_t)colon + 1);
		host = str_sub(host, 0, (size_t)colon);
	}
	if (colon >= 0 && !str_parse_u64(port, UINT16_MAX, &number))
		return false;
	name = str_dup(host);
	found = lookup_ip(name, &ip);
	mem_free(name);
	if (!found || !number)
		return false;
	*ret = (struct endpoint){ .ip = ip, .port = (uint16_t)number };
	return true;
}

bool stage_resolve(const char *text, uint16_t port_default, struct endpoint *ret, struct buf *error)
{
	if (endpoint_parse(str_of(text), port_default, ret) || lookup(text, port_default, ret))
		return true;
	buf_printf(error, "\"%s\" is no HOST:PORT that could be found", text);
	return false;
}

double stage_cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int stage_read_file(const char *path, struct buf *ret)
{
	bool is_input = !path || !strcmp(path, "-");
	int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0) {
		char *to = buf_reserve(ret, READ_PIECE);

		if (!to) {
			errno = EFBIG;
			n = -1;
			break;
		}
		n = read(fd, to, READ_PIECE);
		if (n > 0)
			buf_commit(ret, (size_t)n);
	}
	n = n < 0 ? -errno : 0;
	if (!is_input)
		close(fd);
	return (int)n;
}
