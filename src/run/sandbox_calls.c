/*
 * sandbox_calls - the allow-list of system calls, by libseccomp.
 *
 * Names, not numbers: the list is the same on x86-64 and aarch64, and a name that the machine does
 * not know (open, on aarch64) is passed over. What is not on the list ends the process with SIGSYS,
 * which the supervisor reports. Some arguments are looked at, where a register holds them:
 *
 *   clone        threads only, no process, no namespace; clone3 hides its flags in memory, so it
 *                is said not to exist, upon which glibc takes clone
 *   mmap, mprotect   never executable: refused instead of killed, since dlopen and the compiler of
 *                PCRE2 ask and live without (patterns are interpreted then)
 *   socket       unix, TCP and UDP over IPv4 and IPv6, and the one netlink that getaddrinfo asks
 *                for addresses; another protocol's number would have the kernel load its module
 *   fcntl        flags, copies and locks; F_SETOWN and F_SETSIG send signals without kill
 *   prctl        naming threads and memory      ioctl    of files and sockets, what stdio asks
 *   tgkill       within the process (abort)     prlimit64, sched_getaffinity    of itself only
 *
 * How the list was made: strace of all tests, and reading what glibc, OpenSSL, libunbound, libevent
 * and libcurl may call beyond that.
 */
#include "run/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The signer: what is open is read and written; memory; an orderly or disorderly end. */
static const char *const basic[] = {
	"read", "write", "recvmsg", "sendmsg", "recvfrom", "sendto", "poll", "ppoll", "close",
	"brk", "munmap", "mremap", "madvise", "futex", "getrandom", "clock_gettime",
	"clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getpid", "gettid",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall", "sched_yield", "exit",
	"exit_group", "writev", "lseek", "fstat",
};

static const char *const wide[] = {
	/*
	 * files and folders; which ones is Landlock's matter. Not chmod and utimensat: Landlock
	 * does not look at them, so they would reach all that is our user's
	 */
	"open", "openat", "readv", "pread64", "pwrite64", "preadv", "pwritev", "preadv2",
	"pwritev2", "fsync", "fdatasync", "sync_file_range", "fallocate", "ftruncate", "flock",
	"stat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "getdents64", "getdents",
	"mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2",
	"link", "linkat", "readlink", "readlinkat", "access", "faccessat", "faccessat2", "umask",
	"dup", "dup2", "dup3", "pipe", "pipe2", "sendfile", "copy_file_range", "fadvise64",
	"readahead", "getcwd",
	/* sockets and waiting */
	"bind", "connect", "listen", "accept", "accept4", "socketpair", "shutdown", "getsockopt",
	"setsockopt", "getsockname", "getpeername", "sendmmsg", "recvmmsg", "epoll_create",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "select",
	"pselect6", "eventfd", "eventfd2", "timerfd_create", "timerfd_settime", "signalfd4",
	/* threads, memory, time, and what libraries ask about the machine */
	"set_robust_list", "get_robust_list", "rseq", "membarrier", "sigaltstack",
	"set_tid_address",
	"mincore", "msync", "mlock", "munlock", "getcpu", "getuid", "geteuid", "getgid", "getegid",
	"getppid", "getgroups", "uname", "sysinfo", "getrlimit", "getrusage", "times",
	"sched_getparam", "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min",
};

static bool name_add(scmp_filter_ctx f, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);
	int r;

	if (number < 0)
		return true;	/* not on this machine */
	r = seccomp_rule_add(f, SCMP_ACT_ALLOW, number, 0);
	return r == 0 || r == -EDOM;
}

static bool names_add(scmp_filter_ctx f, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!name_add(f, names[i]))
			return false;
	return true;
}

static bool rule(scmp_filter_ctx f, uint32_t action, int number, struct scmp_arg_cmp a)
{
	int r = number < 0 ? 0 : seccomp_rule_add_array(f, action, number, 1, &a);

	return r == 0 || r == -EDOM;
}

#define EQUAL(n, value) ((struct scmp_arg_cmp){ n, SCMP_CMP_EQ, value, 0 })
#define MASKED(n, mask, value) ((struct scmp_arg_cmp){ n, SCMP_CMP_MASKED_EQ, mask, value })

/* Memory that can be written or executed, but never becomes executable from here on. */
static bool never_executable(scmp_filter_ctx f)
{
	const int calls[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect), SCMP_SYS(pkey_mprotect) };

	for (int i = 0; i < 3; i++)
		if (!rule(f, SCMP_ACT_ALLOW, calls[i], MASKED(2, PROT_EXEC, 0)) ||
		    !rule(f, SCMP_ACT_ERRNO(EACCES), calls[i], MASKED(2, PROT_EXEC, PROT_EXEC)))
			return false;
	return true;
}

static bool sockets_add(scmp_filter_ctx f)
{
	/* the family, and of its protocols NETLINK_ROUTE */
	const struct scmp_arg_cmp netlink[] = { EQUAL(0, AF_NETLINK), EQUAL(2, 0) };
	static const struct {
		scmp_datum_t family, protocol;
	} rows[] = {
		{ AF_UNIX, 0 },
		{ AF_INET, 0 }, { AF_INET, IPPROTO_TCP }, { AF_INET, IPPROTO_UDP },
		{ AF_INET6, 0 }, { AF_INET6, IPPROTO_TCP }, { AF_INET6, IPPROTO_UDP },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
				     EQUAL(0, rows[i].family), EQUAL(2, rows[i].protocol)) < 0)
			return false;
	return seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, netlink) == 0;
}

static bool threads_add(scmp_filter_ctx f)
{
	const uint64_t thread = CLONE_THREAD | CLONE_VM, spaces = CLONE_NEWNS | CLONE_NEWUTS |
		CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP;

	return rule(f, SCMP_ACT_ALLOW, SCMP_SYS(clone),
		    MASKED(0, thread | spaces, thread)) &&
	       seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
}

static bool little_ones_add(scmp_filter_ctx f)
{
	const struct {
		int call;
		unsigned argument;
		uint64_t value;
	} rows[] = {
		{ SCMP_SYS(prctl), 0, PR_SET_NAME }, { SCMP_SYS(prctl), 0, PR_GET_NAME },
		{ SCMP_SYS(prctl), 0, PR_SET_VMA },
		{ SCMP_SYS(ioctl), 1, FIONREAD }, { SCMP_SYS(ioctl), 1, FIONBIO },
		{ SCMP_SYS(ioctl), 1, TCGETS }, { SCMP_SYS(ioctl), 1, TIOCGWINSZ },
		{ SCMP_SYS(fcntl), 1, F_DUPFD }, { SCMP_SYS(fcntl), 1, F_DUPFD_CLOEXEC },
		{ SCMP_SYS(fcntl), 1, F_GETFD }, { SCMP_SYS(fcntl), 1, F_SETFD },
		{ SCMP_SYS(fcntl), 1, F_GETFL }, { SCMP_SYS(fcntl), 1, F_SETFL },
		{ SCMP_SYS(fcntl), 1, F_GETLK }, { SCMP_SYS(fcntl), 1, F_SETLK },
		{ SCMP_SYS(fcntl), 1, F_SETLKW },
		{ SCMP_SYS(prlimit64), 0, 0 }, { SCMP_SYS(sched_getaffinity), 0, 0 },
		{ SCMP_SYS(sched_getaffinity), 0, (uint64_t)getpid() },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!rule(f, SCMP_ACT_ALLOW, rows[i].call,
			  EQUAL(rows[i].argument, rows[i].value)))
			return false;
	return true;
}

static bool fill(scmp_filter_ctx f, enum sandbox_kind kind)
{
	if (!names_add(f, basic, sizeof(basic) / sizeof(basic[0])) || !never_executable(f) ||
	    !rule(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), EQUAL(0, (scmp_datum_t)getpid())))
		return false;
	if (kind == SANDBOX_SIGNER)
		return true;
	return names_add(f, wide, sizeof(wide) / sizeof(wide[0])) && sockets_add(f) &&
	       threads_add(f) && little_ones_add(f);
}

int sandbox_calls_filter(enum sandbox_kind kind)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = -ENOMEM;

	if (!f)
		return r;
	/* A search by halves instead of one comparison after the other: half the cost per call. */
	seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = fill(f, kind) ? seccomp_load(f) : -EINVAL;
	seccomp_release(f);
	return r;
}

static unsigned unknown(const char *const *names, size_t n, uint32_t machine, struct buf *ret)
{
	unsigned found = 0;

	for (size_t i = 0; i < n; i++) {
		if (seccomp_syscall_resolve_name_arch(machine, names[i]) >= 0)
			continue;
		buf_printf(ret, "%s ", names[i]);
		found++;
	}
	return found;
}

unsigned sandbox_calls_unknown(enum sandbox_kind kind, const char *machine, struct buf *names)
{
	uint32_t m = seccomp_arch_resolve_name(machine);
	unsigned n = unknown(basic, sizeof(basic) / sizeof(basic[0]), m, names);

	if (kind == SANDBOX_WORKER)
		n += unknown(wide, sizeof(wide) / sizeof(wide[0]), m, names);
	return n;
}
