/* For tests of config/: certificates and keys, made on the spot, in a folder of files. */
#ifndef UNIT_CONFIG_CERTIFICATES_H
#define UNIT_CONFIG_CERTIFICATES_H

#include "unit/config/text.h"

#include <glob.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
	char path[64];
};

static inline void folder_make(struct folder *f)
{
	str_copy(f->path, sizeof(f->path), STR("/tmp/relevo-config-XXXXXX"));
	assert_non_null(mkdtemp(f->path));
}

static inline const char *folder_path(const struct folder *f, const char *name)
{
	static char path[4][512];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", f->path, name);
	return p;
}

static inline void folder_write(const struct folder *f, const char *name, const char *text,
				unsigned mode)
{
	const char *path = folder_path(f, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	chmod(path, mode);
}

static inline void folder_remove(const struct folder *f)
{
	glob_t found;

	if (glob(folder_path(f, "*/*"), 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			unlink(found.gl_pathv[i]);
		globfree(&found);
	}
	if (glob(folder_path(f, "*"), 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			remove(found.gl_pathv[i]);
		globfree(&found);
	}
	rmdir(f->path);
}

/* NAME.crt and NAME.key: self-signed, for that DNS name, valid for so many seconds from now on. */
static inline void folder_certificate(const struct folder *f, const char *name, const char *dns,
				      long seconds)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	char file[64], alternative[300];
	X509_EXTENSION *extension;
	X509_NAME *subject;
	FILE *out;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -100000000);
	X509_gmtime_adj(X509_getm_notAfter(x), seconds);
	X509_set_pubkey(x, key);
	subject = X509_get_subject_name(x);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)dns, -1, -1,
				   0);
	X509_set_issuer_name(x, subject);
	snprintf(alternative, sizeof(alternative), "DNS:%s", dns);
	extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative);
	X509_add_ext(x, extension, -1);
	X509_EXTENSION_free(extension);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	snprintf(file, sizeof(file), "%s.crt", name);
	out = fopen(folder_path(f, file), "w");
	assert_non_null(out);
	PEM_write_X509(out, x);
	fclose(out);
	snprintf(file, sizeof(file), "%s.key", name);
	out = fopen(folder_path(f, file), "w");
	assert_non_null(out);
	PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
	fclose(out);
	chmod(folder_path(f, file), 0600);
	X509_free(x);
	EVP_PKEY_free(key);
}

/* The text as a file t.conf of the folder; messages then begin with "t.conf:" as elsewhere. */
static inline struct loaded folder_load(const struct folder *f, const char *text, bool strict)
{
	struct loaded l = { .messages = BUF_INIT(1 << 20) };
	struct config_source source = {
		.path = folder_path(f, "t.conf"),
		.text = text,
		.text_n = strlen(text),
		.strict = strict,
		.host_name = "system.example.net",
	};
	struct buf raw = BUF_INIT(1 << 20);
	char prefix[80];
	struct str rest;

	l.c = config_load_from(&source, &raw, &l.errors, &l.warnings);
	snprintf(prefix, sizeof(prefix), "%s/", f->path);
	for (rest = buf_str(&raw); rest.n;) {
		ssize_t at = str_search(rest, str_of(prefix));

		buf_add_str(&l.messages, at < 0 ? rest : str_sub(rest, 0, (size_t)at));
		rest = at < 0 ? STR_NONE : str_from(rest, (size_t)at + strlen(prefix));
	}
	buf_done(&raw);
	return l;
}

static inline void check_messages(const char *name, const struct loaded *l, const char *expected)
{
	struct buf text = l->messages;

	if (!str_eq(buf_str(&text), str_of(expected)))
		fail_msg("%s:\n--- expected\n%s--- got\n%.*s", name, expected,
			 STR_ARG(buf_str(&text)));
}

#endif
