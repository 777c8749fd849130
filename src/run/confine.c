/*
 * confine - the worker's paths; see confine.h.
 *
 * Folders instead of files: an editor, or a renewal, puts a new file in the place of the old one,
 * and Landlock would not know it. Where a name is a symbolic link its target's folder counts, too.
 */
#include "run/confine.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static struct sandbox_paths noted;	/* of this process */
static char denied[PATH_MAX];
static bool is_confined;

static void add_folder(struct sandbox_paths *p, const char *path, bool writes)
{
	ssize_t slash = str_rfind(str_of(path), '/');
	char *folder = slash > 0 ? str_dup(str_make(path, (size_t)slash))
				 : mem_strdup(slash == 0 ? "/" : ".");

	sandbox_path_add(p, folder, writes);
	mem_free(folder);
}

/* As it is written, and as it is. "FOLDER/." is that folder, and nothing around it. */
static void add_folders(struct sandbox_paths *p, const char *path, bool writes)
{
	bool is_folder = str_ends_nocase(str_of(path), STR("/."));
	char *target = mem_alloc(PATH_MAX);

	add_folder(p, path, writes);
	if (!is_folder && realpath(path, target))
		add_folder(p, target, writes);
	mem_free(target);
}

static void on_open(const char *path, int result)
{
	if (!is_confined)
		add_folders(&noted, path, false);
	else if (result == -EACCES && !denied[0])
		str_copy(denied, sizeof(denied), str_of(path));
}

void confine_note_files(void)
{
	config_on_open(on_open);
}

const char *confine_denied(void)
{
	static char path[PATH_MAX];

	memcpy(path, denied, sizeof(path));
	denied[0] = '\0';
	return path[0] ? path : NULL;
}

void confine_check_keys(const struct config *c, struct buf *warnings)
{
	for (unsigned i = 0; i < c->tls.keys_n; i++) {
		int fd = open(c->tls.keys[i].path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

		if (fd < 0)
			continue;
		close(fd);
		buf_printf(warnings, "%s: warning: the worker can read this private key: the "
				     "relay's account may, and it lies below a folder of which "
				     "other files are used; move it to a folder of its own\n",
			   c->tls.keys[i].path);
	}
}

int confine_worker(const struct config *c, struct buf *report)
{
	struct sandbox box = { .kind = SANDBOX_WORKER, .paths = &noted };
	int r;

	sandbox_path_add(&noted, c->state, true);
	if (c->log.target == LOG_FILE)
		add_folders(&noted, c->log.file, true);
	sandbox_paths_add_system(&noted);
	is_confined = true;
	r = sandbox_enter(&box, report);
	sandbox_paths_done(&noted);
	return r;
}
