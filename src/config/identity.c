/*
 * identity - the `tls` block: certificates, the names of their keys, authorities; and the contexts
 * made of them for listeners and routes.
 *
 * Certificates are read here; private keys never are by a relay that runs: it names them, and
 * another process signs (net/key.h), which refuses a key that is not its certificate's. `relevo
 * check` looks for itself, if it may read the key. Contexts are made once for each different set of
 * files and belong to the snapshot. What an identity holds is a signer of ours that passes
 * questions on to whoever was named by config_set_signer: so a snapshot that was loaded before can
 * be used afterwards.
 */
#include "config/key_check.h"
#include "config/load.h"
#include "net/tls.h"

#include <errno.h>
#include <pthread.h>

#define PEM_MAX (4 * MIB)	/* octets of a file of certificates */
#define EXPIRES_SOON_DAYS 14
#define DAY_MS ((int64_t)24 * 3600 * 1000)

/* ---- who signs */

static struct key_signer *_Atomic signer;

static ssize_t pass_on(struct key_signer *s, const char *name, enum key_operation op,
		       struct str in, unsigned char *out) SUSPENDS;

static ssize_t pass_on(struct key_signer *s, const char *name, enum key_operation op,
		       struct str in, unsigned char *out)
{
	struct key_signer *who = atomic_load(&signer);

	(void)s;
	return who ? who->sign(who, name, op, in, out) : -EIO;
}

static struct key_signer passer = { .sign = pass_on };

void config_set_signer(struct key_signer *s)
{
	atomic_store(&signer, s);
}

/* ---- the tls block */

void identity_tls(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	l->opened = l->c;
	l->tls_place = l->identity.place = st->place;
}

void identity_block(struct load *l, const struct setting *row, const struct statement *st)
{
	struct identity_draft *d = arena_zalloc(&l->scratch, sizeof(*d));

	(void)row;
	d->place = st->place;
	l->opened = d;
	load_add(l, &l->identities, d, LOAD_IDENTITIES_MAX, &st->place, "identities");
}

/* certificate, key: in both blocks */
void identity_file(struct load *l, const struct setting *row, const struct statement *st)
{
	struct identity_draft *d =
		row->in == BLOCK_TLS ? &l->identity : l->frames[l->depth].object;
	struct word *file = str_eq(str_of(row->name), STR("key")) ? &d->key : &d->certificate;

	if (st->words[1].text.n)
		*file = st->words[1];
	else
		diag_error(&l->diag, &st->words[1].place, "the name of the file is empty");
}

void identity_minimum(struct load *l, const struct setting *row, const struct statement *st)
{
	int version = setting_choice(l, row->choices, &st->words[1]);

	if (version >= 0)
		l->tls_minimum = (unsigned)version;
}

/* client_ca, ca */
void identity_authorities(struct load *l, const struct setting *row, const struct statement *st)
{
	*(str_eq(str_of(row->name), STR("ca")) ? &l->ca : &l->client_ca) = st->words[1];
}

bool identity_has_server(const struct load *l)
{
	if (l->identity.certificate.text.n)
		return true;
	for (unsigned i = 0; i < l->identities.n; i++)
		if (((const struct identity_draft *)l->identities.p[i])->certificate.text.n)
			return true;
	return false;
}

/* ---- one certificate and its key */

static bool read_pem(struct load *l, const struct word *w, struct str *ret)
{
	*ret = STR_NONE;
	return load_read(l, &w->place, load_path(l, &w->place, w->text), PEM_MAX, ret, NULL);
}

static void check_expiry(struct load *l, const struct word *w, int64_t expires_ms)
{
	int64_t now = l->options->now_ms ? l->options->now_ms
					 : world_real()->wall_ms(world_real());

	if (expires_ms <= now)
		diag_warn(&l->diag, &w->place, "%.*s: the certificate has expired",
			  DIAG_WORD(w->text));
	else if (expires_ms - now < EXPIRES_SOON_DAYS * DAY_MS)
		diag_warn(&l->diag, &w->place, "%.*s: the certificate expires in %d day%s",
			  DIAG_WORD(w->text), (int)((expires_ms - now) / DAY_MS),
			  (expires_ms - now) / DAY_MS == 1 ? "" : "s");
}

/* By its path the signer has it; NULL: a fault was reported. */
static struct config_key *note_key(struct load *l, const struct word *w)
{
	struct config_key *key;
	const char *path = load_path(l, &w->place, w->text);

	if (strlen(path) > KEY_NAME_MAX) {
		diag_error(&l->diag, &w->place, "the path of a key has at most %u octets",
			   KEY_NAME_MAX);
		return NULL;
	}
	for (unsigned i = 0; i < l->keys.n; i++) {
		key = l->keys.p[i];
		if (!strcmp(key->path, path))
			return key;
	}
	key = arena_zalloc(&l->scratch, sizeof(*key));
	key->path = path;
	return load_add(l, &l->keys, key, LOAD_KEYS_MAX, &w->place, "keys") ? key : NULL;
}

/* What the signer compares the key with; a key has one certificate, or several of one key. */
static void note_public(struct load *l, const struct word *w, const struct tls_identity *i,
			struct config_key *key)
{
	struct buf der = BUF_INIT(16384);

	if (!tls_identity_public(i, &der))
		diag_error(&l->diag, &w->place, "%.*s: its public key cannot be read",
			   DIAG_WORD(w->text));
	else if (!key->public.n)
		key->public = arena_str(&l->c->arena, buf_str(&der));
	else if (!str_eq(key->public, buf_str(&der)))
		diag_error(&l->diag, &w->place, "%.*s is not the key of both certificates that "
			   "name it", DIAG_WORD(w->text));
	buf_done(&der);
}

static bool is_complete(struct load *l, const struct identity_draft *d)
{
	bool has_certificate = d->certificate.text.n, has_key = d->key.text.n;

	if (has_certificate && has_key)
		return true;
	diag_error(&l->diag, has_key ? &d->key.place : has_certificate ? &d->certificate.place
								       : &d->place,
		   has_key ? "a key needs its certificate: name it, as in: certificate FILE"
			   : has_certificate
				     ? "a certificate needs its key: name it, as in: key FILE"
				     : "an identity needs: certificate FILE and key FILE");
	return false;
}

static struct tls_identity *make_identity(struct load *l, const struct identity_draft *d)
{
	struct buf error = BUF_INIT(1024);
	struct tls_identity *i = NULL;
	struct config_key *key;
	struct str pem;
	bool has_chain;

	if (!is_complete(l, d))
		return NULL;
	has_chain = read_pem(l, &d->certificate, &pem);
	key = note_key(l, &d->key);
	if (key && !l->options->is_alone)
		key_check_file(l, &d->key, key->path, pem);
	if (!has_chain || !key)
		return NULL;
	i = tls_identity_new(pem, key->path, &passer, &error);
	if (i) {
		check_expiry(l, &d->certificate, tls_identity_expires_ms(i));
		note_public(l, &d->key, i, key);
	} else {
		diag_error(&l->diag, &d->certificate.place, "%.*s: %s",
			   DIAG_WORD(d->certificate.text), buf_cstr(&error));
	}
	buf_done(&error);
	return i;
}

/* ---- contexts */

static struct tls_context *keep(struct load *l, struct tls_context *c)
{
	if (c)
		vector_add(&l->contexts, c);
	return c;
}

static struct tls_context *server(struct load *l, struct tls_server_options *o, bool asks)
{
	struct buf error = BUF_INIT(1024);
	struct tls_context *c;

	o->asks_client = asks;
	c = tls_server_context(o, &error);
	if (!c)
		diag_error(&l->diag, &l->tls_place, "TLS cannot be set up: %s", buf_cstr(&error));
	buf_done(&error);
	return keep(l, c);
}

static void make_servers(struct load *l)
{
	struct tls_identity **identities =
		arena_alloc(&l->scratch, size_mul(l->identities.n, sizeof(*identities)));
	struct tls_server_options o = { .identities = identities,
					.minimum = (enum tls_version)l->tls_minimum };

	for (unsigned i = 0; i < l->identities.n; i++) {
		struct tls_identity *id = make_identity(l, l->identities.p[i]);

		if (id)
			identities[o.identities_n++] = id;
	}
	if (l->client_ca.text.n)
		read_pem(l, &l->client_ca, &o.client_ca);
	if (o.identities_n) {
		l->c->tls.expires_ms = tls_identity_expires_ms(identities[0]);
		l->c->tls.server = server(l, &o, false);
		if (l->c->tls.server)
			l->c->tls.server_asking = server(l, &o, true);
	}
	for (unsigned i = 0; i < o.identities_n; i++)
		tls_identity_unref(identities[i]);
}

/* The identity of the tls block itself is the first of all. */
static void gather(struct load *l)
{
	struct identity_draft *first;

	if (!l->identity.certificate.text.n && !l->identity.key.text.n)
		return;
	first = arena_alloc(&l->scratch, sizeof(*first));
	*first = l->identity;
	vector_add(&l->identities, first);
	for (unsigned i = l->identities.n - 1; i > 0; i--)
		l->identities.p[i] = l->identities.p[i - 1];
	l->identities.p[0] = first;
}

void identity_check_all(struct load *l)
{
	gather(l);
	make_servers(l);
	if (l->client_ca.text.n && !identity_has_server(l))
		diag_warn(&l->diag, &l->client_ca.place,
			  "client_ca is not used: no certificate is named");
}

/* ---- towards servers */

struct client_context {		/* the files it was made of */
	struct str ca, certificate, key;
	struct tls_context *context;
};

/*
 * Reading the system's authorities takes a hundredth of a second: loads from memory, of which tests
 * make thousands, share what was read first.
 */
static struct tls_context *system_shared(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct tls_context *shared;	/* for the life of the process */
	const struct tls_client_options o = { .minimum = TLS_1_2 };
	struct buf error = BUF_INIT(1024);

	pthread_mutex_lock(&lock);
	if (!shared)
		shared = tls_client_context(&o, &error);
	pthread_mutex_unlock(&lock);
	buf_done(&error);
	return shared ? tls_context_ref(shared) : NULL;
}

static struct tls_context *make_client(struct load *l, const struct word *ca,
				       const struct identity_draft *identity)
{
	struct tls_client_options o = { .minimum = TLS_1_2 };
	struct buf error = BUF_INIT(1024);
	struct tls_context *c;

	if (ca && !read_pem(l, ca, &o.ca))
		ca = NULL;
	if (identity)
		o.identity = make_identity(l, identity);
	if (!ca && !o.identity && l->options->is_alone)
		return system_shared();
	c = tls_client_context(&o, &error);
	tls_identity_unref(o.identity);
	if (!c)
		diag_error(&l->diag, ca ? &ca->place : &identity->place,
			   "TLS cannot be set up: %s", buf_cstr(&error));
	buf_done(&error);
	return c;
}

static struct str path_of(struct load *l, const struct word *w)
{
	return w && w->text.n ? str_of(load_path(l, &w->place, w->text)) : STR_NONE;
}

struct tls_context *identity_client_context(struct load *l, const struct route_draft *draft)
{
	const struct word *ca = draft && draft->ca.text.n ? &draft->ca
			      : l->ca.text.n		  ? &l->ca
							  : NULL;
	const struct identity_draft *identity =
		draft && draft->identity.certificate.text.n ? &draft->identity : NULL;
	struct client_context want = {
		.ca = path_of(l, ca),
		.certificate = path_of(l, identity ? &identity->certificate : NULL),
		.key = path_of(l, identity ? &identity->key : NULL),
	};
	struct client_context *made;

	for (unsigned i = 0; i < l->client_contexts.n; i++) {
		made = l->client_contexts.p[i];
		if (str_eq(made->ca, want.ca) && str_eq(made->certificate, want.certificate) &&
		    str_eq(made->key, want.key))
			return made->context;
	}
	want.context = keep(l, make_client(l, ca, identity));
	made = arena_alloc(&l->scratch, sizeof(*made));
	*made = want;
	vector_add(&l->client_contexts, made);
	return made->context;
}

void identity_freeze(struct load *l)
{
	struct config_key *keys = arena_alloc(&l->c->arena, size_mul(l->keys.n, sizeof(*keys)));

	for (unsigned i = 0; i < l->keys.n; i++)
		keys[i] = *(const struct config_key *)l->keys.p[i];
	l->c->tls.keys = keys;
	l->c->tls.keys_n = l->keys.n;
}
