/*
 * hosts_file - names and addresses from a file such as /etc/hosts (hosts(5)).
 *
 * Read once; then only looked up. "localhost" and names below it are always there (RFC 6761 6.3).
 */
#ifndef DNS_HOSTS_FILE_H
#define DNS_HOSTS_FILE_H

#include "base/buf.h"
#include "net/world.h"

struct hosts_file;

/* path NULL: nothing but localhost. NULL and *ret_error (-errno): the file cannot be read. */
struct hosts_file *hosts_file_new(struct world *w, const char *path, int *ret_error);
void hosts_file_free(struct hosts_file *h);

/*
 * Whether the name stands there. Its addresses of that family (4, 6), as many as fit; *ret_n may be
 * 0: the file knows the name and has no such address, so it has none.
 */
bool hosts_file_find(const struct hosts_file *h, struct str name, unsigned family, struct ip *ret,
		     unsigned *ret_n);

#define HOSTS_FILE_IPS_MAX 16	/* of one name and family, for ret */

/* For files of lines like these: the next line without its comment; false: there is none. */
bool line_next(struct str *rest, struct str *ret);

#endif
