/*
 * hosts_file - names and addresses from a file such as /etc/hosts; see hosts_file.h.
 *
 * Lines are "ADDRESS NAME ..."; '#' starts a comment. A line whose address is none is passed over,
 * as every resolver does. Names are compared without case.
 */
#include "dns/hosts_file.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/file.h"

#include <fcntl.h>

#define FILE_MAX (4 * 1024 * 1024)

struct host {
	struct map_node node;
	struct ip ip;
	struct str name;	/* in the arena */
};

struct hosts_file {
	struct arena arena;
	struct map map;		/* struct host, one for each pair */
};

bool line_next(struct str *rest, struct str *ret)
{
	ssize_t end = str_find(*rest, '\n'), comment;

	if (!rest->n)
		return false;
	*ret = str_sub(*rest, 0, end < 0 ? rest->n : (size_t)end);
	*rest = str_from(*rest, ret->n + 1);
	comment = str_find(*ret, '#');
	if (comment >= 0)
		*ret = str_sub(*ret, 0, (size_t)comment);
	if (ret->n && ret->p[ret->n - 1] == '\r')
		ret->n--;
	return true;
}

static struct str without_dot(struct str name)
{
	return name.n && name.p[name.n - 1] == '.' ? str_sub(name, 0, name.n - 1) : name;
}

static void take_line(struct hosts_file *h, struct str line)
{
	struct str name = str_word(&line);
	struct ip ip;

	if (!ip_parse(name, &ip))
		return;
	while ((name = without_dot(str_word(&line))).n) {
		struct host *host = arena_zalloc(&h->arena, sizeof(*host));

		host->ip = ip;
		host->name = arena_str(&h->arena, name);
		map_insert(&h->map, &host->node, hash_nocase(name));
	}
}

struct hosts_file *hosts_file_new(struct world *w, const char *path, int *ret_error)
{
	struct hosts_file *h = mem_zalloc(sizeof(*h));
	struct str rest, line;
	struct buf text = BUF_INIT(FILE_MAX);
	int r;

	if (!path)
		return h;
	r = file_read(w, AT_FDCWD, path, &text);
	if (r < 0) {
		buf_done(&text);
		hosts_file_free(h);
		*ret_error = r;
		return NULL;
	}
	rest = buf_str(&text);
	while (line_next(&rest, &line))
		take_line(h, line);
	buf_done(&text);
	return h;
}

void hosts_file_free(struct hosts_file *h)
{
	if (!h)
		return;
	map_done(&h->map);
	arena_done(&h->arena);
	mem_free(h);
}

static bool is_localhost(struct str name)
{
	return str_eq_nocase(name, STR("localhost")) || str_ends_nocase(name, STR(".localhost"));
}

bool hosts_file_find(const struct hosts_file *h, struct str name, unsigned family, struct ip *ret,
		     unsigned *ret_n)
{
	bool found = false;
	unsigned n = 0;

	name = without_dot(name);
	for (struct map_node *at = map_first(&h->map, hash_nocase(name)); at; at = map_next(at)) {
		const struct host *host = CONTAINER_OF(at, struct host, node);

		if (!str_eq_nocase(host->name, name))
			continue;
		found = true;
		if (host->ip.family == family && n < HOSTS_FILE_IPS_MAX)
			ret[n++] = host->ip;
	}
	if (!found && is_localhost(name)) {
		found = ip_parse(family == 4 ? STR("127.0.0.1") : STR("::1"), ret);
		n = 1;
	}
	*ret_n = n;
	return found;
}
