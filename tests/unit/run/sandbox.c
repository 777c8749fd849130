/*
 * run/sandbox: a worker that was taken over. Each attempt runs in a fork of its own, which enters
 * the real sandbox - as root and, where the test may become it, as another user - and then tries
 * what a worker never does: it must be refused, or the process ended by SIGSYS. The same forks do
 * a worker's normal work, which must go on. Parent and signer are the real victims: this process,
 * and a signer with keys.
 */
#include "run/sandbox.h"
#include "run/signer_keeper.h"
#include "unit/net/run.h"

#include "base/mem.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#define STRANGER 65534		/* "nobody" */
#define WAS_DONE 100		/* exit codes of a fork: the attempt succeeded */
#define WAS_REFUSED 101

static char folder[] = "/tmp/relevo-unit-sandbox-XXXXXX";
static char state[64], config[64], config_file[96], key_file[96], spool_file[96], socket_file[96];
static pid_t parent;
static struct signer_keeper *keeper;
static int landlock;		/* its version here */
static uint16_t echo_port;
static int abstract, own_status;

/* ---- attempts: 0 if it was done, or -errno */
static int answer(long r)
{
	return r < 0 ? -errno : 0;
}

static int try_open(const char *path, int flags)
{
	return answer(open(path, flags, 0600));
}

static int do_execve(void)
{
	char *argv[] = { (char *)(uintptr_t)"/bin/true", NULL };

	return answer(execve(argv[0], argv, NULL));
}

static int do_execveat(void)
{
	char *argv[] = { (char *)(uintptr_t)"/bin/true", NULL };

	return answer(syscall(SYS_execveat, AT_FDCWD, argv[0], argv, NULL, 0));
}

static int do_fork(void)
{
	return answer(fork());
}

static int do_clone_raw(void)
{
	return answer(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
}

static int do_clone_user(void)
{
	return answer(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
}

static int do_clone3(void)
{
	uint64_t args[11] = { 0, 0, 0, 0, SIGCHLD };

	return answer(syscall(SYS_clone3, args, sizeof(args)));
}

static int do_ptrace_parent(void)
{
	return answer(ptrace(PTRACE_SEIZE, parent, 0, 0));
}

static int do_ptrace_signer(void)
{
	return answer(ptrace(PTRACE_SEIZE, keeper->pid, 0, 0));
}

static int read_memory_of(pid_t pid)
{
	char text[16];
	struct iovec mine = { text, sizeof(text) };
	struct iovec its = { (void *)(uintptr_t)do_ptrace_signer, sizeof(text) };

	return answer(process_vm_readv(pid, &mine, 1, &its, 1, 0));
}

static int do_read_signer(void)
{
	return read_memory_of(keeper->pid);
}

static int do_read_parent(void)
{
	return read_memory_of(parent);
}

static int open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return try_open(path, O_RDONLY);
}

static int do_mem_parent(void)
{
	return open_proc(parent, "mem");
}

static int do_mem_signer(void)
{
	return open_proc(keeper->pid, "mem");
}

static int do_maps_signer(void)
{
	return open_proc(keeper->pid, "maps");
}

static int do_fd_signer(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/2", (int)keeper->pid);
	return try_open(path, O_RDONLY);
}

static int do_shadow(void)
{
	return try_open("/etc/shadow", O_RDONLY);
}

static int do_key(void)
{
	return try_open(key_file, O_RDONLY);
}

static int do_config_write(void)
{
	return try_open(config_file, O_WRONLY);
}

static int do_config_truncate(void)
{
	return try_open(config_file, O_RDONLY | O_TRUNC);
}

static int do_config_unlink(void)
{
	return answer(unlink(config_file));
}

static int do_config_replace(void)
{
	return answer(rename(spool_file, config_file));
}

static int do_config_create(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/extra.conf", config);
	return try_open(path, O_WRONLY | O_CREAT);
}

static int do_tmp(void)
{
	return try_open("/tmp/relevo-unit-outside", O_WRONLY | O_CREAT);
}

static int do_bin(void)
{
	return try_open("/bin/sh", O_RDONLY);
}

static int do_link_in(void)
{
	char path[128];
	int r;

	snprintf(path, sizeof(path), "%s/key", state);
	r = answer(link(key_file, path));
	return r == -EXDEV ? -EACCES : r;	/* so Landlock says it */
}

static int do_symlink(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/key", state);
	return answer(symlink(key_file, path));
}

static int do_mknod(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/mem", state);
	return answer(mknod(path, S_IFCHR | 0600, 0x101));
}

static int do_setuid_bit(void)
{
	return answer(syscall(SYS_fchownat, AT_FDCWD, spool_file, 0, 0, 0));
}

static int do_mount(void)
{
	return answer(mount("none", state, "tmpfs", 0, NULL));
}

static int do_kill(void)
{
	return answer(kill(parent, 0));
}

static int bind_to(uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };

	return answer(bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&sa, sizeof(sa)));
}

static int do_bind_25(void)
{
	return bind_to(25);
}

static int do_bind_high(void)
{
	return landlock >= 4 ? bind_to(25025) : -EACCES;
}

static int do_abstract(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "relevo-unit-%d", (int)parent);

	if (landlock < 6)
		return -EPERM;
	return answer(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&sa,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)));
}

static int do_exec_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

static int do_make_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return answer(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int do_dumpable(void)
{
	return answer(prctl(PR_SET_DUMPABLE, 1));
}

static int do_setuid(void)
{
	return answer(setresuid(0, 0, 0));
}

static int do_tiocsti(void)
{
	return answer(ioctl(0, TIOCSTI, "x"));
}

static int do_limit_parent(void)
{
	return answer(prlimit(parent, RLIMIT_NOFILE, NULL, NULL));
}

#define CALL(name, ...) \
	static int do_##name(void) \
	{ \
		return answer(syscall(__VA_ARGS__)); \
	}

CALL(packet, SYS_socket, AF_PACKET, SOCK_RAW, 0)
CALL(tgkill, SYS_tgkill, parent, parent, 0)
CALL(pidfd, SYS_pidfd_open, keeper->pid, 0)
CALL(raw, SYS_socket, AF_INET, SOCK_RAW, 1)
CALL(netlink, SYS_socket, AF_NETLINK, SOCK_RAW, 9)	/* audit */
CALL(sctp, SYS_socket, AF_INET, SOCK_STREAM, 132)
/* the kernel would send a signal to whoever has that number */
CALL(owner, SYS_fcntl, 2, F_SETOWN, parent)
CALL(signal, SYS_fcntl, 2, F_SETSIG, SIGKILL)
/* Landlock looks at neither */
CALL(chmod, SYS_fchmodat, AT_FDCWD, config_file, 0666)
CALL(times, SYS_utimensat, AT_FDCWD, spool_file, NULL, 0)

/* By number alone, with arguments that do no harm if they work. */
#define BARE(name) CALL(name, SYS_##name, 0, 0, 0, 0, 0)

BARE(io_uring_setup)
BARE(bpf)
BARE(userfaultfd)
BARE(perf_event_open)
BARE(add_key)
BARE(keyctl)
BARE(unshare)
BARE(setns)
BARE(chroot)
BARE(memfd_create)
BARE(personality)
BARE(init_module)
BARE(kexec_load)
BARE(swapon)
BARE(capset)
BARE(open_by_handle_at)
BARE(name_to_handle_at)
BARE(process_vm_writev)
BARE(kcmp)
BARE(shmget)
BARE(ptrace)
BARE(seccomp)
BARE(settimeofday)
BARE(sethostname)
BARE(quotactl)
BARE(acct)

struct attempt {
	const char *name;
	int (*fn)(void);
	int refusal;		/* -errno; 0: it ends the process */
};

static const struct attempt attempts[] = {
	{ "execve", do_execve, 0 }, { "execveat", do_execveat, 0 }, { "fork", do_fork, 0 },
	{ "clone", do_clone_raw, 0 }, { "clone of a user namespace", do_clone_user, 0 },
	{ "clone3", do_clone3, -ENOSYS }, { "ptrace of the supervisor", do_ptrace_parent, 0 },
	{ "ptrace of the signer", do_ptrace_signer, 0 },
	{ "process_vm_readv of the signer", do_read_signer, 0 },
	{ "process_vm_readv of the supervisor", do_read_parent, 0 },
	{ "/proc/supervisor/mem", do_mem_parent, -EACCES },
	{ "/proc/signer/mem", do_mem_signer, -EACCES },
	{ "/proc/signer/maps", do_maps_signer, -EACCES },
	{ "/proc/signer/fd", do_fd_signer, -EACCES }, { "/etc/shadow", do_shadow, -EACCES },
	{ "the key's file", do_key, -EACCES },
	{ "writing the configuration", do_config_write, -EACCES },
	{ "emptying the configuration", do_config_truncate, -EACCES },
	{ "removing the configuration", do_config_unlink, -EACCES },
	{ "replacing the configuration", do_config_replace, -EACCES },
	{ "a new configuration file", do_config_create, -EACCES },
	{ "a file in /tmp", do_tmp, -EACCES }, { "/bin/sh", do_bin, -EACCES },
	{ "a hard link to the key", do_link_in, -EACCES }, { "a symbolic link", do_symlink, 0 },
	{ "a device", do_mknod, 0 }, { "chown", do_setuid_bit, 0 }, { "mount", do_mount, 0 },
	{ "a packet socket", do_packet, 0 }, { "a raw socket", do_raw, 0 },
	{ "SCTP", do_sctp, 0 }, { "the owner of signals", do_owner, 0 },
	{ "a signal of its choice", do_signal, 0 }, { "chmod of the configuration", do_chmod, 0 },
	{ "times of a file", do_times, 0 },
	{ "netlink of audit", do_netlink, 0 }, { "kill of the supervisor", do_kill, 0 },
	{ "tgkill of the supervisor", do_tgkill, 0 }, { "pidfd_open", do_pidfd, 0 },
	{ "port 25", do_bind_25, -EACCES }, { "a port of its choice", do_bind_high, -EACCES },
	{ "an abstract socket", do_abstract, -EPERM },
	{ "executable memory", do_exec_memory, -EACCES },
	{ "memory made executable", do_make_executable, -EACCES },
	{ "becoming dumpable", do_dumpable, 0 }, { "becoming root", do_setuid, 0 },
	{ "TIOCSTI", do_tiocsti, 0 }, { "limits of the supervisor", do_limit_parent, 0 },
	{ "io_uring", do_io_uring_setup, 0 }, { "bpf", do_bpf, 0 },
	{ "userfaultfd", do_userfaultfd, 0 }, { "perf", do_perf_event_open, 0 },
	{ "add_key", do_add_key, 0 }, { "keyctl", do_keyctl, 0 }, { "unshare", do_unshare, 0 },
	{ "setns", do_setns, 0 }, { "chroot", do_chroot, 0 }, { "memfd", do_memfd_create, 0 },
	{ "personality", do_personality, 0 }, { "init_module", do_init_module, 0 },
	{ "kexec", do_kexec_load, 0 }, { "swapon", do_swapon, 0 }, { "capset", do_capset, 0 },
	{ "open_by_handle_at", do_open_by_handle_at, 0 },
	{ "name_to_handle_at", do_name_to_handle_at, 0 },
	{ "process_vm_writev", do_process_vm_writev, 0 }, { "kcmp", do_kcmp, 0 },
	{ "shmget", do_shmget, 0 }, { "ptrace of nobody", do_ptrace, 0 },
	{ "another filter", do_seccomp, 0 }, { "settimeofday", do_settimeofday, 0 },
	{ "sethostname", do_sethostname, 0 }, { "quotactl", do_quotactl, 0 },
	{ "acct", do_acct, 0 },
};

/* ---- what a worker does all day */
static int work_files(void)
{
	char other[128], below[128];
	int fd = open(spool_file, O_RDWR | O_CREAT, 0600);

	snprintf(other, sizeof(other), "%s/other", state);
	snprintf(below, sizeof(below), "%s/below", state);
	if (fd < 0 || pwrite(fd, "x", 1, 0) != 1 || fdatasync(fd) < 0 || ftruncate(fd, 0) < 0)
		return -errno;
	if (mkdir(below, 0700) < 0 || rmdir(below) < 0 || rename(spool_file, other) < 0 ||
	    rename(other, spool_file) < 0)
		return -errno;
	close(fd);
	fd = open(config_file, O_RDONLY);
	return fd < 0 ? -errno : answer(close(fd));
}

/* From folder to folder, as content that is put into quarantine goes. */
static int work_rename(void)
{
	char folder_path[128], to[160];
	int r;

	snprintf(folder_path, sizeof(folder_path), "%s/quarantine", state);
	snprintf(to, sizeof(to), "%s/file", folder_path);
	if (mkdir(folder_path, 0700) < 0 || close(open(spool_file, O_WRONLY | O_CREAT, 0600)) < 0)
		return -errno;
	r = answer(rename(spool_file, to));
	unlink(to);
	rmdir(folder_path);
	return r;
}

static int work_connect(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(echo_port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr = sa.sin_addr };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0)
		return -errno;
	return answer(connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
}

static int work_unix(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	str_copy(sa.sun_path, sizeof(sa.sun_path), str_of(socket_file));
	unlink(socket_file);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 5) < 0)
		return -errno;
	return answer(unlink(socket_file));
}

static int work_lookup(void)
{
	struct addrinfo *list = NULL;
	int r = getaddrinfo("localhost", "25", NULL, &list);

	if (r == 0)
		freeaddrinfo(list);
	return r == 0 ? 0 : -EHOSTUNREACH;
}

static int add(void *arg)
{
	++*(int *)arg;
	return 0;
}

static void in_task(void *arg)
{
	net_offload(add, arg);
	task_sleep_until(in_ms(2));
	net_offload(add, arg);
}

static int work_threads(void)
{
	int n = 0;

	run_in_task(in_task, &n);
	return n == 2 ? 0 : -EPROTO;
}

static int work_crypto(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

	EVP_PKEY_free(key);
	return key ? 0 : -EPROTO;
}

#define WORK_CRYPTO 6

static const struct attempt works[] = {
	{ "files", work_files, 0 }, { "rename between folders", work_rename, 0 },
	{ "connect", work_connect, 0 }, { "a control socket", work_unix, 0 },
	{ "names", work_lookup, 0 }, { "threads", work_threads, 0 },
	[WORK_CRYPTO] = { "crypto", work_crypto, 0 },
};

/* ---- forks */
static void enter(enum sandbox_kind kind, uid_t uid)
{
	struct sandbox_paths paths = { .n = 0 };
	struct sandbox box = { .kind = kind, .paths = kind == SANDBOX_WORKER ? &paths : NULL };
	struct buf report = BUF_INIT(1024);

	sandbox_path_add(&paths, state, true);
	sandbox_path_add(&paths, config, false);
	sandbox_paths_add_system(&paths);
	sandbox_drop_bounding();
	if (uid && (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0))
		_exit(99);
	if (sandbox_enter(&box, &report) < 0) {
		(void)!write(2, report.p, report.n);
		_exit(98);
	}
	sandbox_paths_done(&paths);
	buf_done(&report);
}

static int run_confined(enum sandbox_kind kind, uid_t uid, const struct attempt *a)
{
	int status = 0, r;
	pid_t pid = fork();

	if (pid == 0) {
		enter(kind, uid);
		r = a->fn();
		if (r != 0 && r != a->refusal)
			fprintf(stderr, "%s: %s\n", a->name, strerror(-r));
		_exit(r == 0 ? WAS_DONE : r == a->refusal ? WAS_REFUSED : 102);
	}
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void try_all(uid_t uid)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const struct attempt *a = &attempts[i];
		int status = run_confined(SANDBOX_WORKER, uid, a);
		bool denied = a->refusal ? WIFEXITED(status) && WEXITSTATUS(status) == WAS_REFUSED
					 : WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;

		if (!denied)
			fail_msg("%s, as %d: status 0x%x", a->name, (int)uid, status);
	}
}

static void work_all(uid_t uid)
{
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		int status = run_confined(SANDBOX_WORKER, uid, &works[i]);

		if (!WIFEXITED(status) || WEXITSTATUS(status) != WAS_DONE)
			fail_msg("%s, as %d: status 0x%x", works[i].name, (int)uid, status);
	}
}

static void needs_sandbox(void)
{
	if (!sandbox_is_whole()) {
		print_message("a build for tests has no whole sandbox\n");
		skip();
	}
	if (landlock < 2) {
		print_message("this kernel has no Landlock\n");
		skip();
	}
}

static void test_attempts(void **unused)
{
	(void)unused;
	needs_sandbox();
	try_all(0);
	if (geteuid() == 0)
		try_all(STRANGER);
}

static void test_work(void **unused)
{
	(void)unused;
	needs_sandbox();
	work_all(0);
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(state, STRANGER, STRANGER), 0);
	unlink(spool_file);
	work_all(STRANGER);
	assert_int_equal(chown(state, 0, 0), 0);
}

/* The signer has not even what the worker has. */
static void test_signer(void **unused)
{
	static const struct attempt rows[] = {
		{ "execve", do_execve, 0 }, { "fork", do_fork, 0 }, { "connect", work_connect, 0 },
		{ "files", work_files, 0 }, { "the key's file", do_key, 0 },
		{ "/etc/shadow", do_shadow, 0 }, { "kill", do_kill, 0 },
		{ "ptrace", do_ptrace_parent, 0 }, { "threads", work_threads, 0 },
		{ "executable memory", do_exec_memory, -EACCES },
		{ "socket", do_raw, 0 }, { "dumpable", do_dumpable, 0 },
	};

	(void)unused;
	needs_sandbox();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int status = run_confined(SANDBOX_SIGNER, 0, &rows[i]);
		bool denied = rows[i].refusal ? WIFEXITED(status) &&
						WEXITSTATUS(status) == WAS_REFUSED
					      : WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;

		if (!denied)
			fail_msg("%s: status 0x%x", rows[i].name, status);
	}
	assert_int_equal(run_confined(SANDBOX_SIGNER, 0, &works[WORK_CRYPTO]) >> 8, WAS_DONE);
}

static int do_abort(void)
{
	abort();
}

/* A failed assertion still looks like one. */
static void test_abort(void **unused)
{
	int status = run_confined(SANDBOX_WORKER, 0, &(struct attempt){ "abort", do_abort, 0 });

	(void)unused;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static int status_is_bare(void)
{
	static const char *const lines[] = {
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000",
		"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000",
		"CapAmb:\t0000000000000000", "NoNewPrivs:\t1",
	};
	static char text[8192];
	ssize_t n;

	n = pread(own_status, text, sizeof(text) - 1, 0);
	for (size_t i = 0; n > 0 && i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr(text, lines[i]))
			return -EPROTO;
	return n > 0 ? 0 : -EIO;
}

/* As /proc sees it: through a descriptor that was opened before. */
static void test_capabilities(void **unused)
{
	int status = 0;
	pid_t pid = fork();

	(void)unused;
	if (pid == 0) {
		own_status = open("/proc/self/status", O_RDONLY);
		enter(SANDBOX_WORKER, 0);
		_exit(status_is_bare() == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Both machines know all names but those that are another's way to say the same. */
static void test_names(void **unused)
{
	struct buf names = BUF_INIT(4096);

	(void)unused;
	assert_int_equal(sandbox_calls_unknown(SANDBOX_WORKER, "x86_64", &names), 0);
	buf_clear(&names);
	sandbox_calls_unknown(SANDBOX_WORKER, "aarch64", &names);
	assert_string_equal(buf_cstr(&names),
			    "poll time open stat lstat getdents mkdir unlink rmdir rename link "
			    "readlink access dup2 pipe epoll_create epoll_wait select "
			    "eventfd ");
	buf_done(&names);
}

/* ---- the scene */
static void write_file(const char *path, struct str text)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0644);

	CHECK(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n);
	close(fd);
}

static void start_signer(void)
{
	struct signer_start *start = mem_zalloc(sizeof(*start));
	struct buf messages = BUF_INIT(4096);
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	FILE *f = fopen(key_file, "w");

	CHECK(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
	fclose(f);
	EVP_PKEY_free(key);
	start->names[0] = mem_strdup("key");
	start->fds[0] = open(key_file, O_RDONLY | O_CLOEXEC);
	start->n = 1;
	keeper = mem_zalloc(sizeof(*keeper));
	keeper->loops = 1;
	CHECK(signer_keeper_use(keeper, start, &messages));
	mem_free(start);
	buf_done(&messages);
}

static void listen_abstract(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "relevo-unit-%d", (int)parent);

	abstract = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(bind(abstract, (struct sockaddr *)&sa,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)), 0);
	CHECK_EQ(listen(abstract, 5), 0);
}

static int set_up(void **unused)
{
	struct endpoint e;

	(void)unused;
	CHECK(mkdtemp(folder));
	CHECK_EQ(chmod(folder, 0755), 0);
	parent = getpid();
	snprintf(state, sizeof(state), "%s/state", folder);
	snprintf(config, sizeof(config), "%s/etc", folder);
	snprintf(config_file, sizeof(config_file), "%s/relevo.conf", config);
	snprintf(key_file, sizeof(key_file), "%s/key.pem", folder);
	snprintf(spool_file, sizeof(spool_file), "%s/spool", state);
	snprintf(socket_file, sizeof(socket_file), "%s/control", state);
	CHECK_EQ(mkdir(state, 0700), 0);
	CHECK_EQ(mkdir(config, 0755), 0);
	write_file(config_file, STR("version 1\n"));
	write_file(spool_file, STR("a file"));
	landlock = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
				LANDLOCK_CREATE_RULESET_VERSION);
	listen_on("127.0.0.1", &e);
	echo_port = e.port;
	listen_abstract();
	start_signer();
	return 0;
}

static int tear_down(void **unused)
{
	pid_t pid = keeper->pid;

	(void)unused;
	signer_keeper_done(keeper);
	waitpid(pid, NULL, 0);
	mem_free(keeper);
	close(abstract);
	unlink(config_file);
	unlink(key_file);
	unlink(spool_file);
	rmdir(config);
	rmdir(state);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts), cmocka_unit_test(test_work),
		cmocka_unit_test(test_signer), cmocka_unit_test(test_abort),
		cmocka_unit_test(test_capabilities), cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
