/*
 * sandbox - limits and capabilities, and the order of the fences; see sandbox.h.
 *
 * Capabilities are set by the bare system call: all sets become empty, so libcap is not worth its
 * name here. PR_SET_DUMPABLE 0 makes /proc/PID of the process root's and forbids ptrace by others
 * of the same user; there are no core files either, which would hold the mail of that moment.
 */
#include "run/sandbox.h"

#include "net/checkers.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_MAX 4096		/* of the user; whoever is root has no such limit */
#define MEMORY_MIN (4ull << 30)
#define BIT(capability) (1u << (capability))

bool sandbox_is_whole(void)
{
	return !CHECKED_STACKS && !RUNNING_ON_VALGRIND;
}

/* ---- limits */

uint64_t sandbox_machine_memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/*
 * What is reserved counts, touched or not: 64 KiB for each task. So the default is generous, an
 * end for what runs wild; what a relay may really use is for the unit's MemoryMax=.
 */
static uint64_t memory_default(void)
{
	uint64_t most = 2 * sandbox_machine_memory();

	return most > MEMORY_MIN ? most : MEMORY_MIN;
}

/* A limit that is lower already stays. */
static int limit(int resource, uint64_t max)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)resource, &r) < 0)
		return -errno;
	if (r.rlim_max > max)
		r.rlim_max = max;
	if (r.rlim_cur > r.rlim_max)
		r.rlim_cur = r.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &r) < 0 ? -errno : 0;
}

static int limits_set(const struct sandbox *s)
{
	int r = limit(RLIMIT_CORE, 0);

	if (r == 0)
		r = limit(RLIMIT_NPROC, THREADS_MAX);
	if (r == 0 && sandbox_is_whole())
		r = limit(RLIMIT_DATA, s->memory_max ? s->memory_max : memory_default());
	return r;
}

/* ---- capabilities */
static int capabilities_set(uint32_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2] = { { keep, keep, 0 }, { 0, 0, 0 } };

	return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

static void bounding_keep(uint32_t keep)
{
	/* EINVAL: the kernel's last; EPERM: we may not, and have nothing that could come back */
	for (unsigned long c = 0; c < 64; c++)
		if ((c >= 32 || !(keep & BIT(c))) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return;
}

void sandbox_drop_bounding(void)
{
	bounding_keep(0);
}

static int capabilities_drop(void)
{
	sandbox_drop_bounding();
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return capabilities_set(0);
}

/*
 * Without CAP_DAC_OVERRIDE it cannot write what is not root's, without CAP_SYS_PTRACE and
 * CAP_SYS_ADMIN it has no hold on others; what stays is for binding, becoming the users of its
 * children (and emptying their bounding sets), ending them, and reading configuration and keys.
 */
void sandbox_supervisor(void)
{
	uint32_t keep = BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SETUID) | BIT(CAP_SETGID) |
		BIT(CAP_KILL) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_SETPCAP);
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[2];

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (sandbox_is_whole())
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (geteuid() != 0 || syscall(SYS_capget, &header, have) < 0)
		return;
	bounding_keep(keep);
	capabilities_set(keep & have[0].permitted);
}

/* ---- all of it */
static int fail(struct buf *report, const char *what, int error)
{
	buf_printf(report, "cannot restrict %s: %s", what, strerror(-error));
	return error;
}

int sandbox_enter(const struct sandbox *s, struct buf *report)
{
	int version = 0, r = limits_set(s);

	if (r < 0)
		return fail(report, "the process's limits", r);
	r = capabilities_drop();
	if (r < 0)
		return fail(report, "the process's capabilities", r);
	if (!sandbox_is_whole()) {
		buf_printf(report, "calls and files are not restricted in a build for tests");
		return 0;
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	version = sandbox_files_restrict(s->paths);
	if (version < 0)
		return fail(report, "files (Landlock)", version);
	r = sandbox_calls_filter(s->kind);
	if (r < 0)
		return fail(report, "system calls (seccomp)", r);
	buf_printf(report, "no capabilities, system calls filtered, ");
	if (version)
		buf_printf(report, "files by Landlock %d", version);
	else
		buf_printf(report, "files not restricted: this kernel has no Landlock");
	return 0;
}
