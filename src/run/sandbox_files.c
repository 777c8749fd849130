/*
 * sandbox_files - which files can be opened at all, by Landlock (linux/landlock.h; Linux 5.13 and
 * newer), and with newer kernels also: no TCP port of its own choice can be bound (6.7), no signal
 * reaches a process outside, nor does an abstract unix socket (6.12).
 *
 * A rule stands for a folder or file as it is now: one that is replaced by another of its name is
 * not the same any more, one that appears in a folder is. So folders are named where things are
 * replaced. The header of an old Debian does not know the newer rights: their numbers stand here.
 * A kernel of version 1 cannot allow a rename from folder to folder, which the spool needs: it
 * counts as none.
 */
#include "run/sandbox.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FS_TRUNCATE (1ull << 14)	/* version 3 */
#define FS_IOCTL_DEV (1ull << 15)	/* version 5 */
#define NET_BIND_TCP (1ull << 0)	/* version 4 */
#define SCOPE_ABSTRACT (1ull << 0)	/* version 6 */
#define SCOPE_SIGNAL (1ull << 1)	/* version 6 */
#define RULE_NET_PORT 2

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITES (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
		LANDLOCK_ACCESS_FS_REFER)
#define NEVER_GIVEN (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
		     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
		     LANDLOCK_ACCESS_FS_MAKE_SYM)
/* What a rule for a file, which is no folder, may say. */
#define OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)

/* As of version 7; an older kernel is given the part that it knows. */
struct ruleset {
	uint64_t files, net, scoped;
};

struct port_rule {
	uint64_t access, port;
};

static int version_of_kernel(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return r < 0 ? 0 : (int)r;
}

static int ruleset_open(int version)
{
	struct ruleset r = { .files = READS | WRITES | NEVER_GIVEN };
	size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
	long fd;

	if (version >= 3)
		r.files |= FS_TRUNCATE;
	if (version >= 5)
		r.files |= FS_IOCTL_DEV;
	if (version >= 4)
		r.net = NET_BIND_TCP;
	if (version >= 6)
		r.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
	fd = syscall(SYS_landlock_create_ruleset, &r, size, 0);
	return fd < 0 ? -errno : (int)fd;
}

static int path_allow(int ruleset, int version, const char *path, bool writes)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = READS };
	struct stat st;
	int r = 0;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return 0;	/* it is not there: nothing to allow */
	if (writes)
		rule.allowed_access |= WRITES | (version >= 3 ? FS_TRUNCATE : 0);
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= OF_FILES;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		r = -errno;
	close(rule.parent_fd);
	return r;
}

/* Port 0 stays: a connection that begins at an address of ours gets its port from the kernel. */
static int port_allow(int ruleset)
{
	const struct port_rule rule = { .access = NET_BIND_TCP };

	return syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) < 0 ? -errno : 0;
}

int sandbox_files_restrict(const struct sandbox_paths *p)
{
	int version = version_of_kernel(), ruleset, r = 0;

	if (version < 2)
		return 0;
	ruleset = ruleset_open(version);
	if (ruleset < 0)
		return ruleset;
	for (unsigned i = 0; p && i < p->n && r == 0; i++)
		r = path_allow(ruleset, version, p->at[i], p->writes[i]);
	if (r == 0 && p && version >= 4)
		r = port_allow(ruleset);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	close(ruleset);
	return r < 0 ? r : version;
}

/* ---- what to allow */
bool sandbox_path_add(struct sandbox_paths *p, const char *path, bool writes)
{
	for (unsigned i = 0; i < p->n; i++)
		if (!strcmp(p->at[i], path) && p->writes[i] >= writes)
			return true;
	if (p->n == SANDBOX_PATHS_MAX)
		return false;
	p->writes[p->n] = writes;
	p->at[p->n++] = mem_strdup(path);
	return true;
}

void sandbox_paths_done(struct sandbox_paths *p)
{
	for (unsigned i = 0; i < p->n; i++)
		mem_free(p->at[i]);
	p->n = 0;
}

void sandbox_paths_add_system(struct sandbox_paths *p)
{
	static const char *const reads[] = {
		"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf",
		"/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/localtime",
		"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/usr/lib/ssl",
		"/usr/share/ca-certificates",
		"/usr/local/share/ca-certificates", "/usr/share/dns", "/var/lib/unbound",
		"/usr/share/zoneinfo", "/usr/share/publicsuffix", "/run/systemd/resolve",
		"/run/resolvconf", "/run/NetworkManager", "/sys/devices/system/cpu",
		"/dev/urandom", "/dev/random",
	};

	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
		sandbox_path_add(p, reads[i], false);
	sandbox_path_add(p, "/dev/null", true);
}
