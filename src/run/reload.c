/*
 * reload - a new configuration into a running relay (DESIGN section 7).
 *
 * The file is parsed anew; only if it is sound and every new address could be bound is the
 * snapshot swapped. Sessions under way finish on the old one. What cannot change at run time is
 * told as a warning and stays as it was. All of it runs on the worker's main thread, one reload
 * after the other.
 */
#include "run/worker.h"

#include "base/mem.h"
#include "dns/dns.h"
#include "policy/strangers.h"
#include "receive/logins.h"
#include "pop/pop.h"
#include "report/log.h"
#include "run/confine.h"

#include <errno.h>
#include <unistd.h>

static void tell(const struct worker *w, enum link_kind kind)
{
	link_send(w->start->link, &(struct link_message){ .kind = kind }, -1);
}

static void warn_fixed(struct buf *messages, const struct config *old, const struct config *new)
{
	bool same[] = { strcmp(old->state, new->state) == 0, str_eq(old->user, new->user),
			old->workers == new->workers };
	static const char *const names[] = { "state", "user", "workers" };

	for (int i = 0; i < 3; i++)
		if (!same[i])
			buf_printf(messages, "%.*s: warning: \"%s\" cannot change while the "
					     "relay runs; the new "
				   "value counts from the next start\n", STR_ARG(new->path),
					   names[i]);
}

/*
 * The sockets that c needs and that are not there yet; they are put behind the others of the
 * table.
 */
static bool gain_listener(struct worker *w, const struct endpoint *e,
			  const struct config_place *place, struct buf *messages)
{
	struct listeners *l = w->start->listeners;
	char text[ENDPOINT_TEXT_MAX];
	int fd;

	if (listeners_find(l, e) >= 0)
		return true;
	fd = l->n < LISTENERS_MAX ? worker_ask_listener(w, e) : -EMFILE;
	if (fd < 0) {
		buf_printf(messages, "%s:%u: error: cannot listen on %s: %s\n", place->file,
			   place->line, endpoint_text(text, e), strerror(-fd));
		return false;
	}
	listeners_put(l, e, fd);
	return true;
}

static bool gain_listeners(struct worker *w, const struct config *c, struct buf *messages)
{
	for (unsigned i = 0; i < c->listens_n; i++)
		if (!gain_listener(w, &c->listens[i].endpoint, &c->listens[i].place, messages))
			return false;
	for (unsigned i = 0; i < c->pops_n; i++)
		if (!gain_listener(w, &c->pops[i].endpoint, &c->pops[i].place, messages))
			return false;
	return true;
}

static bool is_smtp(const struct config *c, const struct endpoint *e)
{
	for (unsigned i = 0; i < c->listens_n; i++)
		if (endpoint_eq(&c->listens[i].endpoint, e))
			return true;
	return false;
}

static bool is_pop(const struct config *c, const struct endpoint *e)
{
	for (unsigned i = 0; i < c->pops_n; i++)
		if (endpoint_eq(&c->pops[i].endpoint, e))
			return true;
	return false;
}

/*
 * Addresses that change sides, or go, are shut before the new configuration is in force: its
 * sessions would not know them. Who connects meanwhile waits in the kernel for whoever listens
 * next.
 */
static void shut_others(struct worker *w, const struct config *c)
{
	const struct listeners *l = w->start->listeners;

	for (unsigned i = 0; i < l->n; i++) {
		if (!is_smtp(c, &l->at[i].endpoint))
			receive_unlisten(w->receive, &l->at[i].endpoint);
		if (!is_pop(c, &l->at[i].endpoint))
			pop_unlisten(w->pop, &l->at[i].endpoint);
	}
}

/* What listens already goes on; it finds its new settings with the next connection. */
static void listen_all(struct worker *w, const struct config *c, struct buf *messages)
{
	struct listeners *l = w->start->listeners;
	char text[ENDPOINT_TEXT_MAX];

	for (unsigned i = l->n; i-- > 0;) {
		const struct endpoint *e = &l->at[i].endpoint;
		bool smtp = is_smtp(c, e);
		int r;

		if (!smtp && !is_pop(c, e)) {
			listeners_remove(l, i);
			continue;
		}
		r = smtp ? receive_listen(w->receive, l->at[i].fd, e)
			 : pop_listen(w->pop, l->at[i].fd, e);
		if (r == -EEXIST)
			continue;
		if (r < 0)
			buf_printf(messages, "warning: cannot accept connections on %s: %s\n",
				   endpoint_text(text, e), strerror(-r));
		log_begin(LOG_LISTENING);
		log_endpoint("address", e);
		log_end();
	}
}

/* The files that the resolver is made from may have changed, too, so it is always made anew. */
static void resolve_anew(struct worker *w, const struct config *c, struct buf *messages)
{
	struct buf error = BUF_INIT(2048);
	int r = worker_resolver(c, &error);

	if (r < 0)
		buf_printf(messages, "warning: cannot set up the resolver: %s; the old one stays\n",
			   buf_cstr(&error));
	else if (error.n)
		buf_printf(messages, "warning: %s\n", buf_cstr(&error));
	if (r == 0)
		dns_forget(deliver_dns(w->deliver));
	buf_done(&error);
}

/* From here on nothing can fail. Takes the reference of new. */
static void put_in_force(struct worker *w, struct config *new, struct buf *messages)
{
	struct spool_options o;
	int r;

	logins_reload(w->logins, new, messages);
	shut_others(w, new);
	config_set_current(config_ref(new));	/* sessions look their settings up there */
	listen_all(w, new, messages);
	resolve_anew(w, new, messages);
	confine_check_keys(new, messages);
	worker_spool_options(w, new, &o);
	spool_set_limits(w->spool, &o);
	schedule_reload(w->schedule);
	r = log_reopen(new);
	if (r < 0)
		buf_printf(messages,
			   "warning: cannot open the log file %s: %s; the old one is kept\n",
			   new->log.file, strerror(-r));
	config_unref(new);
}

/* What was "Permission denied" because the folder is new: a restart opens it. */
static void explain_denied(struct buf *messages)
{
	const char *path = confine_denied();

	if (path)
		buf_printf(messages, "%s: error: no file of this folder was named when the relay "
				     "started, so its sandbox does not reach it: restart the "
				     "relay\n", path);
}

static int refuse(struct worker *w, struct buf *messages, size_t from, unsigned errors)
{
	log_begin(LOG_RELOAD_FAILED);
	log_u64("errors", errors);
	log_end();
	worker_warn(str_from(buf_str(messages), from));
	tell(w, LINK_RELOAD_FAILED);
	return -EINVAL;
}

int worker_reload(struct worker *w, struct buf *messages)
{
	struct listeners *l = w->start->listeners;
	unsigned errors = 0, warnings = 0, before = l->n;
	struct config *old, *new;
	size_t from = messages->n;
	bool unchanged;

	tell(w, LINK_RELOADING);
	new = config_load(w->config_path, true, messages, &errors, &warnings);
	explain_denied(messages);
	if (new && (!gain_listeners(w, new, messages) || !worker_ask_keys(w, messages))) {
		while (l->n > before)
			listeners_remove(l, l->n - 1);
		config_unref(new);
		new = NULL;
		errors++;
	}
	if (!new)
		return refuse(w, messages, from, errors);
	old = config_current();
	unchanged = str_eq(old->text_hash, new->text_hash);
	warn_fixed(messages, old, new);
	config_unref(old);
	put_in_force(w, new, messages);
	log_begin(LOG_RELOADED);
	log_u64("warnings", warnings);
	log_cstr("changed", unchanged ? "no" : "yes");
	log_end();
	worker_warn(str_from(buf_str(messages), from));
	tell(w, LINK_RELOADED);
	return 0;
}

int worker_reload_asked(void *arg, struct buf *messages)
{
	struct worker *w = arg;
	uint64_t one = 1;
	int r = -ESHUTDOWN;

	pthread_mutex_lock(&w->lock);
	while (w->asked && !w->ending)
		pthread_cond_wait(&w->changed, &w->lock);
	if (!w->ending) {
		w->asked = true;
		w->answered = false;
		w->messages = messages;
		(void)!write(w->wake, &one, sizeof(one));
		while (!w->answered)
			pthread_cond_wait(&w->changed, &w->lock);
		r = w->result;
		w->asked = false;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}
