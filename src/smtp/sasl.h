/*
 * sasl - the mechanisms of AUTH as step machines, both sides (RFC 4422, 4954; PLAIN RFC 4616, SCRAM
 * RFC 5802 and 7677 with channel binding by RFC 9266 and 5929, OAUTHBEARER RFC 7628, and LOGIN and
 * XOAUTH2 as they are used).
 *
 * Pure: octets in (already out of base64), octets to send out. What has to be looked up - a
 * password, a stored secret, a token - the caller does between two steps: nothing here waits.
 * Secrets are wiped from memory when the machine ends.
 *
 * Names and passwords must be UTF-8 without control characters and are compared octet by octet:
 * nothing is normalised (RFC 4013 and 8265 would; their tables are of the Unicode of 2002 or large,
 * and what both sides' software makes of a password typed in two forms is rarely the same). Who
 * uses letters outside ASCII in a password types them in the same form everywhere.
 */
#ifndef SMTP_SASL_H
#define SMTP_SASL_H

#include "base/buf.h"

enum sasl_mechanism {
	SASL_NONE,
	SASL_PLAIN,
	SASL_LOGIN,
	SASL_SCRAM_SHA_1,
	SASL_SCRAM_SHA_1_PLUS,
	SASL_SCRAM_SHA_256,
	SASL_SCRAM_SHA_256_PLUS,
	SASL_XOAUTH2,
	SASL_OAUTHBEARER,
	SASL_MECHANISMS_N
};

#define SASL_OCTETS_MAX 8192   /* of one message; RFC 4954 4 asks for lines of 12,288 */
#define SASL_NAME_MAX 255      /* octets of a user's name */
#define SASL_PASSWORD_MAX 1024 /* octets of a password; tokens may be longer */
#define SASL_BINDING_MAX 64    /* octets of channel binding data */
#define SASL_NONCE_MAX 256     /* octets of one side's nonce */

const char *sasl_mechanism_name(enum sasl_mechanism m); /* "SCRAM-SHA-256" */
/* without case; SASL_NONE: unknown */
enum sasl_mechanism sasl_mechanism_find(struct str name);
bool sasl_mechanism_has_plus(enum sasl_mechanism m); /* SCRAM with channel binding */
/* 1 to max octets of UTF-8 without control characters: a name or a password. */
bool sasl_text_is_valid(struct str s, size_t max);

/*
 * The data of channel binding "tls-exporter" (TLS 1.3, RFC 9266) and "tls-server-end-point"
 * (RFC 5929), at most SASL_BINDING_MAX octets each; both empty without TLS. A server that gives
 * any has offered the mechanisms in -PLUS: a client that says that it could, but saw none (flag
 * "y"), was deceived by somebody in between, and is refused.
 */
struct sasl_binding {
	struct str exporter, end_point;
};

/* ---- what is stored about a user for SCRAM: never the password */
#define SCRAM_KEY_MAX 32
#define SCRAM_SALT_MAX 64
#define SCRAM_ITERATIONS_MIN 4096 /* RFC 7677 4 */
#define SCRAM_ITERATIONS_MAX 10000000
#define SCRAM_ITERATIONS_CLIENT_MAX 1000000 /* what a server may make us compute: a second */

struct scram_secret {
	uint32_t iterations;
	size_t salt_n, key_n; /* key_n: 20 (SHA-1) or 32 (SHA-256) */
	unsigned char salt[SCRAM_SALT_MAX];
	unsigned char stored_key[SCRAM_KEY_MAX], server_key[SCRAM_KEY_MAX];
};

/* Takes CPU time in proportion to iterations: in the pool. */
bool scram_secret_make(struct scram_secret *ret, bool sha1, struct str password,
		       const unsigned char *salt, size_t salt_n, uint32_t iterations);
/*
 * "SCRAM-SHA-256$4096:salt$StoredKey:ServerKey", as others store it; base64. False: it is none, and
 * *ret is as it was.
 */
bool scram_secret_parse(struct str text, struct scram_secret *ret);
void scram_secret_format(struct buf *out, const struct scram_secret *s);

/*
 * ---- server. Begin, then step with each message of the client until it is DONE or FAILED.
 */
enum sasl_step {
	SASL_SEND, /* send .out, give the answer to the next step */
	/* is .password right for .user? then sasl_server_judge */
	SASL_WANTS_PASSWORD,
	/*
	 * .user's stored secret is wanted: then sasl_server_secret, which goes on. For a user who
	 * does not exist give one made up from his name, the same each time: he is told apart only
	 * at the end.
	 */
	SASL_WANTS_SECRET,
	/*
	 * Is .password (a token) good, and is it .user's? then sasl_server_judge. OAUTHBEARER may
	 * name no user: then he is whom the token names.
	 */
	SASL_WANTS_TOKEN,
	/*
	 * .user is who he says he is. If .out is not empty it goes before the 235: "334" with it,
	 * and one line of the client, which is empty or "*" (then 501).
	 */
	SASL_DONE,
	/*
	 * Wrong, or broken. If .out is not empty (SCRAM's e=, a bearer token's error) it goes
	 * before the 535 in the same way, and what the client says to it does not matter. Count
	 * the failure at once: the client may hang up.
	 */
	SASL_FAILED,
};

struct sasl_server;

/* nonce: random, 1 to SASL_NONCE_MAX printable octets without comma; only SCRAM uses it. */
struct sasl_server *sasl_server_new(enum sasl_mechanism m, const struct sasl_binding *b,
				    struct str nonce);
void sasl_server_free(struct sasl_server *s); /* NULL is fine */
/*
 * has_initial: whether the client sent an initial response ("=": an empty one); if not, the first
 * step's input is ignored. Has no meaning at later steps.
 */
enum sasl_step sasl_server_step(struct sasl_server *s, struct str input, bool has_initial);
enum sasl_step sasl_server_judge(struct sasl_server *s, bool ok);
enum sasl_step sasl_server_secret(struct sasl_server *s, const struct scram_secret *secret,
				  bool exists);
struct str sasl_server_out(const struct sasl_server *s);
struct str sasl_server_user(const struct sasl_server *s); /* what was named so far */
struct str sasl_server_password(const struct sasl_server *s);
const char *sasl_server_why(const struct sasl_server *s); /* of FAILED, for the log */

/*
 * ---- client. The first step has no input; its .out is the initial response (PLAIN, SCRAM,
 * XOAUTH2, OAUTHBEARER) or nothing (LOGIN).
 */
struct sasl_client;

/*
 * password: or the token. host, port: of the server, for OAUTHBEARER. nonce: as for the server.
 * A user or password that is no such text makes the first step fail.
 */
struct sasl_client *sasl_client_new(enum sasl_mechanism m, const struct sasl_binding *b,
				    struct str user, struct str password, struct str nonce,
				    struct str host, unsigned port);
void sasl_client_free(struct sasl_client *c); /* NULL is fine */
bool sasl_client_has_initial(const struct sasl_client *c);
/*
 * SEND: answer with .out; DONE: answer with .out, and nothing more has to be said but the server's
 * success; FAILED: abort with "*" (the server is not who it should be, or speaks nonsense).
 * SCRAM's answer to the server's first message takes CPU time in proportion to the iterations that
 * the server names, up to about a second: in the pool.
 */
enum sasl_step sasl_client_step(struct sasl_client *c, struct str input);
struct str sasl_client_out(const struct sasl_client *c);
const char *sasl_client_why(const struct sasl_client *c); /* of FAILED, for the log */
/*
 * After the server's success: false means that it must not be trusted. SCRAM demands that the
 * server has proved itself; no mechanism may be cut short.
 */
bool sasl_client_is_done(const struct sasl_client *c);
/*
 * The best that both can; SASL_NONE: none. offered: the words behind AUTH. Passwords and tokens go
 * in clear only through TLS; with a token nothing but tokens will do. A smarthost without TLS gets
 * at most SCRAM.
 */
enum sasl_mechanism sasl_client_choose(struct str offered, bool has_tls, bool has_binding,
				       bool has_token);

#endif
