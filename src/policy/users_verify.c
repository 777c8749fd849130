/*
 * users_verify - passwords against hashes, in the pool, and what a user who does not exist is told.
 *
 * A yescrypt of the usual cost takes some 20 ms and 16 MiB: hence the pool and the gate. Who does
 * not exist, or is disabled, costs the same: the password is hashed under the salt of the file's
 * first user and the result is thrown away. (In a file whose hashes were made with different costs
 * the time still tells something; "relevo user passwd" makes all alike.)
 *
 * Made-up SCRAM secrets come from HMAC-SHA-256 under a key: the salt looks random and stays the
 * same while the key does; the stored keys fit no password.
 */
#include "policy/users.h"

#include "base/mem.h"
#include "net/loop.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

/* For a file without users: the cost that "relevo user" would choose. */
#define SETTING_OF_NOBODY "$y$j9T$relevoNobodyIsHere0"

struct verify_job {
	char password[SASL_PASSWORD_MAX + 1];
	const char *hash; /* borrowed from the reading */
	bool can_be_right;
};

static int verify_in_pool(void *arg)
{
	struct verify_job *j = arg;
	struct crypt_data *data = mem_zalloc(sizeof(*data));
	const char *made = crypt_rn(j->password, j->hash, data, sizeof(*data));
	size_t n = strlen(j->hash);
	bool is_right;

	is_right = made && strlen(made) == n && CRYPTO_memcmp(made, j->hash, n) == 0;
	OPENSSL_cleanse(data, sizeof(*data));
	mem_free(data);
	return is_right && j->can_be_right;
}

/* Any hash in the file will do to spend the time. */
static const char *hash_of_others(const struct users *u)
{
	return users_count(u) ? users_at(u, 0)->hash : SETTING_OF_NOBODY;
}

int users_verify(struct users *u, struct gate *g, struct str name, struct str password,
		 uint64_t deadline)
{
	const struct user *user = users_find(u, name);
	struct verify_job *j;
	int r;

	if (password.n > SASL_PASSWORD_MAX || (password.n && memchr(password.p, '\0', password.n)))
		return 0;
	j = mem_zalloc(sizeof(*j));
	str_copy(j->password, sizeof(j->password), password);
	j->hash = user ? user->hash : hash_of_others(u);
	j->can_be_right = user && !user->disabled;
	users_ref(u);
	r = gate_enter(g, deadline);
	if (r == 0) {
		r = net_offload(verify_in_pool, j);
		gate_leave(g);
	}
	users_unref(u);
	OPENSSL_cleanse(j, sizeof(*j));
	mem_free(j);
	return r;
}

/* ---- SCRAM */

static const struct scram_secret *secret_of(const struct user *u, bool sha1)
{
	return sha1 ? u->scram_sha_1 : u->scram_sha_256;
}

/* Octets that look random and belong to (name, what). */
static void made_up(unsigned char ret[32], const unsigned char key[USERS_KEY], char what,
		    struct str name)
{
	char text[SASL_NAME_MAX + 1];
	size_t n = name.n < SASL_NAME_MAX ? name.n : SASL_NAME_MAX, made;

	text[0] = what;
	if (n)
		memcpy(text + 1, name.p, n);
	str_lower(text + 1, n); /* users are found without case */
	if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, USERS_KEY, (unsigned char *)text,
		       n + 1, ret, 32, &made))
		memset(ret, 0, 32);
}

/* The shape that the first user with a secret has: iterations and length of the salt. */
static void take_shape(const struct users *u, bool sha1, struct scram_secret *to)
{
	const struct scram_secret *first = users_first_secret(u, sha1);

	to->iterations = first ? first->iterations : 100000;
	to->salt_n = first ? first->salt_n : 16;
}

void users_scram_made_up(const struct users *u, struct str name, bool sha1,
			 const unsigned char key[USERS_KEY], struct scram_secret *ret)
{
	*ret = (struct scram_secret){.key_n = sha1 ? 20 : 32};
	take_shape(u, sha1, ret);
	made_up(ret->salt, key, 's', name);
	made_up(ret->salt + 32, key, 't', name);
	memset(ret->salt + ret->salt_n, 0, sizeof(ret->salt) - ret->salt_n);
	made_up(ret->stored_key, key, 'c', name);
	made_up(ret->server_key, key, 'v', name);
}

bool users_scram(const struct users *u, struct str name, bool sha1,
		 const unsigned char key[USERS_KEY], struct scram_secret *ret)
{
	const struct user *user = users_find(u, name);
	const struct scram_secret *real = user && !user->disabled ? secret_of(user, sha1) : NULL;

	if (real)
		*ret = *real;
	else
		users_scram_made_up(u, name, sha1, key, ret);
	return real;
}
