/*
 * sasl_inner - what the files of the mechanisms give each other: sasl_server.c and sasl_client.c
 * hold the machines and the simple mechanisms, scram_server.c and scram_client.c the two sides of
 * SCRAM, scram.c its arithmetic.
 */
#ifndef SMTP_SASL_INNER_H
#define SMTP_SASL_INNER_H

#include "smtp/sasl.h"

/* Copies of a caller's channel binding. */
struct sasl_bound {
	size_t exporter_n, end_point_n;
	unsigned char exporter[SASL_BINDING_MAX], end_point[SASL_BINDING_MAX];
};

enum sasl_state {
	SASL_STATE_NEW,	  /* nothing was said */
	SASL_STATE_TALK,  /* the other side's message is awaited */
	SASL_STATE_ASKED, /* the caller looks something up */
	SASL_STATE_OVER,
};

/* What both sides of SCRAM keep until the proofs. */
struct scram_talk {
	bool sha1;
	struct buf header; /* the GS2 header, as the client sends it */
	struct buf bare;   /* the client's first message without it */
	struct buf server_first;
	struct buf nonce;   /* the client's and the server's, joined */
	struct str binding; /* data that goes with the header; in bound */
	struct scram_secret secret;
	unsigned char signature[SCRAM_KEY_MAX]; /* the server's, that the client expects */
};

struct sasl_server {
	enum sasl_mechanism mechanism;
	enum sasl_state state;
	bool secret_exists;
	unsigned taken; /* messages of the client so far */
	const char *why;
	struct buf user, password, out, nonce; /* owned; wiped */
	struct sasl_bound bound;
	struct scram_talk scram;
};

struct sasl_client {
	enum sasl_mechanism mechanism;
	enum sasl_state state;
	bool is_done;
	unsigned taken; /* challenges of the server so far */
	const char *why;
	struct buf user, password, out, nonce, host; /* owned; wiped */
	unsigned port;
	struct sasl_bound bound;
	struct scram_talk scram;
};

/* ---- sasl.c */
/* Takes all its room at once, so that no copy of a secret stays behind; ends with sasl_buf_wipe. */
void sasl_buf_set(struct buf *b, struct str s);
void sasl_buf_wipe(struct buf *b);
void sasl_bound_set(struct sasl_bound *to, const struct sasl_binding *from);
void scram_talk_init(struct scram_talk *t, bool sha1);
void scram_talk_wipe(struct scram_talk *t);
bool sasl_nonce_is_valid(struct str s);

/* ---- the ends of a step */
enum sasl_step sasl_server_fail(struct sasl_server *s, const char *why);
enum sasl_step sasl_client_fail(struct sasl_client *c, const char *why);

/* ---- scram.c */
/* "n=value" at the start of *rest, which moves behind its comma. */
bool scram_take(struct str *rest, char *ret_name, struct str *ret_value);
/* The same, of this name. */
bool scram_take_named(struct str *rest, char name, struct str *ret_value);
/* What follows the attributes that are known: optional ones; a mandatory one ("m") is refused. */
bool scram_extensions_are_fine(struct str rest);
/* A name with "," as "=2C" and "=" as "=3D" (RFC 5802 5.1); false: not well formed. */
bool scram_unescape(struct buf *out, struct str name);
void scram_escape(struct buf *out, struct str name);
/* HMAC under a key of key_n octets, to as many octets. */
bool scram_hmac(bool sha1, const unsigned char *key, size_t key_n, struct str data,
		unsigned char ret[SCRAM_KEY_MAX]);
bool scram_hash(bool sha1, const unsigned char *p, size_t n, unsigned char ret[SCRAM_KEY_MAX]);
/* The keys of RFC 5802 3, the client's too: ClientKey never leaves this side. */
bool scram_keys(struct scram_secret *s, bool sha1, struct str password,
		unsigned char ret_client_key[SCRAM_KEY_MAX]);
/* AuthMessage: the three messages, commas between. */
void scram_auth_message(struct buf *out, const struct scram_talk *t, struct str without_proof);

/* ---- the sides */
enum sasl_step scram_server_take(struct sasl_server *s, struct str input);
enum sasl_step scram_server_secret(struct sasl_server *s);
enum sasl_step scram_client_begin(struct sasl_client *c);
enum sasl_step scram_client_take(struct sasl_client *c, struct str input);

#endif
