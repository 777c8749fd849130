/*
 * key - private keys are used, never held: who has them signs.
 *
 * A struct key_signer is whoever has the private keys: another process (run/) or, in tests and
 * tools, this one. What needs a signature names the key and the operation. Signing may suspend the
 * task that asks. Certificates and public keys are no secret and stay with those who show them.
 */
#ifndef NET_KEY_H
#define NET_KEY_H

#include "base/buf.h"
#include "net/task.h"

#include <sys/types.h>

enum key_operation {
	KEY_RSA_PKCS1 = 1,	/* in: what is padded by PKCS #1 v1.5 type 1 (a DigestInfo) */
	/* in: a block as long as the modulus, padded already by PSS as TLS has it; no other */
	KEY_RSA_RAW = 2,
	KEY_ECDSA = 3,		/* in: a digest; out: the signature in DER */
	KEY_ED25519 = 4,	/* in: the whole message */
};

#define KEY_NAME_MAX 255	/* octets of a key's name */
#define KEY_INPUT_MAX 1024	/* octets that are signed at once */
#define KEY_OUTPUT_MAX 1024	/* RSA up to 8192 bits */

struct key_signer {
	/*
	 * Octets written to out (room for KEY_OUTPUT_MAX); -ENOENT: no such key, -EINVAL: not with
	 * this kind of key, -EIO: the signer is gone.
	 */
	ssize_t (*sign)(struct key_signer *s, const char *name, enum key_operation op,
			struct str in, unsigned char *out) SUSPENDS;
};

/*
 * ---- the side that has the keys (key.c): plain and synchronous.
 */
struct key_ring;

struct key_ring *key_ring_new(void);
void key_ring_free(struct key_ring *r);	/* wipes them; NULL is fine */
/*
 * PEM, unencrypted: RSA from 2048 bits on, ECDSA P-256 and P-384, Ed25519. False: error says why.
 */
bool key_ring_add(struct key_ring *r, const char *name, struct str pem, struct buf *error);
/* Is it the private half of that public key (SubjectPublicKeyInfo, DER)? No, if there is none. */
bool key_ring_fits(const struct key_ring *r, const char *name, struct str public);
ssize_t key_ring_sign(const struct key_ring *r, const char *name, enum key_operation op,
		      struct str in, unsigned char *out);
/* A signer that uses the ring in this process; as long as the ring lives. */
struct key_signer *key_ring_signer(struct key_ring *r);

#endif
