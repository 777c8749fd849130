/*
 * key_check - looks at the files of private keys; see key_check.h.
 */
#include "config/key_check.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <unistd.h>

#define KEY_MAX (64 * 1024)	/* octets of a file */

enum match { MATCH_YES, MATCH_NO, MATCH_NOT_A_KEY };

static int no_password(char *to, int size, int is_writing, void *arg)
{
	(void)to, (void)size, (void)is_writing, (void)arg;
	return -1;
}

static enum match compare(struct str chain, struct str key)
{
	BIO *certificate_bio = BIO_new_mem_buf(chain.p, (int)chain.n);
	BIO *key_bio = BIO_new_mem_buf(key.p, (int)key.n);
	X509 *x = PEM_read_bio_X509(certificate_bio, NULL, NULL, NULL);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(key_bio, NULL, no_password, NULL);
	enum match m = !k ? MATCH_NOT_A_KEY : MATCH_YES;

	if (k && x && X509_check_private_key(x, k) <= 0)
		m = MATCH_NO;
	EVP_PKEY_free(k);
	X509_free(x);
	BIO_free(key_bio);
	BIO_free(certificate_bio);
	ERR_clear_error();
	return m;
}

/* Not by config_open_file: the folders of what it opens are opened to the worker. */
static void check_match(struct load *l, const struct word *w, const char *path, struct str chain)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char *text;
	ssize_t n;
	enum match m;

	if (fd < 0)
		return;
	text = mem_alloc(KEY_MAX);
	n = read(fd, text, KEY_MAX);
	close(fd);
	m = n > 0 ? compare(chain, str_make(text, (size_t)n)) : MATCH_NOT_A_KEY;
	explicit_bzero(text, KEY_MAX);
	mem_free(text);
	if (m == MATCH_NO)
		diag_error(&l->diag, &w->place, "%.*s is not the key of its certificate",
			   DIAG_WORD(w->text));
	else if (m == MATCH_NOT_A_KEY)
		diag_error(&l->diag, &w->place, "%.*s: no private key in PEM without a password",
			   DIAG_WORD(w->text));
}

void key_check_file(struct load *l, const struct word *w, const char *path, struct str chain)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return;
		if (l->options->strict)
			diag_error(&l->diag, &w->place, "%s: no such file", path);
		else
			diag_warn(&l->diag, &w->place, "%s: no such file", path);
		return;
	}
	if (!S_ISREG(st.st_mode)) {
		diag_error(&l->diag, &w->place, "%s: not a regular file", path);
		return;
	}
	if (st.st_mode & 07)
		diag_warn(&l->diag, &w->place, "%s: everybody may use this key: chmod 600", path);
	if (!l->options->strict)
		check_match(l, w, path, chain);
}
