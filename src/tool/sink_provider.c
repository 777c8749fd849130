/*
 * sink_provider - see sink_provider.h. The statistics are one JSON object, written when the command
 * ends.
 */
#include "tool/sink_provider.h"

#include "tool/options.h"

#include <errno.h>

/* "100/min", "5/10s", "30/m": a number and the period in which it counts. */
static bool parse_rate_period(struct str s, uint64_t *ret_n, uint64_t *ret_ns)
{
	ssize_t slash = str_find(s, '/');
	struct str period = str_from(s, (size_t)(slash + 1));
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = { { "s", SECOND }, { "min", 60 * SECOND }, { "m", 60 * SECOND },
		      { "h", 3600 * SECOND }, { "d", 24 * 3600 * SECOND },
		      { "day", 24 * 3600 * SECOND } };

	if (slash < 1 || !str_parse_u64(str_sub(s, 0, (size_t)slash), 100000000, ret_n) || !*ret_n)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!str_eq_nocase(period, str_of(units[i].name)))
			continue;
		*ret_ns = units[i].ns;
		return true;
	}
	return parse_time(period, ret_ns) && *ret_ns;
}

bool provider_set_rate(void *target, const char *value, struct buf *error)
{
	struct sink_provider *p = target;

	if (parse_rate_period(str_of(value), &p->guard.rate_n, &p->guard.rate_ns))
		return true;
	buf_printf(error, "--rate wants N/PERIOD, as in 100/min or 5/10s, not \"%s\"", value);
	return false;
}

bool provider_parse_reply(struct str s, struct reply *ret)
{
	struct str code = str_word(&s);
	uint64_t number;

	if (code.n != 3 || !str_parse_u64(code, 599, &number) || number < 200)
		return false;
	*ret = (struct reply){ .code = (uint16_t)number };
	s = str_trim(s);
	if (!enhanced_parse(s, &ret->enhanced, &ret->text))
		ret->text = s;
	return true;
}

static bool set_reply(struct reply *r, const char *option, const char *value, struct buf *error)
{
	if (provider_parse_reply(str_of(value), r) && !reply_is_positive(r))
		return true;
	buf_printf(error, "%s wants a refusal, as in '451 4.7.1 slow down', not \"%s\"", option,
		   value);
	return false;
}

bool provider_set_rate_reply(void *target, const char *value, struct buf *error)
{
	struct sink_provider *p = target;

	return set_reply(&p->guard.rate_reply, "--rate-reply", value, error);
}

bool provider_set_block_reply(void *target, const char *value, struct buf *error)
{
	struct sink_provider *p = target;

	return set_reply(&p->guard.block_reply, "--blocklist-reply", value, error);
}

bool provider_add_block(void *target, const char *value, struct buf *error)
{
	struct guard_settings *g = &((struct sink_provider *)target)->guard;

	if (g->blocked_n < GUARD_BLOCKED_MAX &&
	    network_parse(str_of(value), &g->blocked[g->blocked_n])) {
		g->blocked_n++;
		return true;
	}
	buf_printf(error,
		   "--blocklist wants an address or network (at most %d of them), not \"%s\"",
		   GUARD_BLOCKED_MAX, value);
	return false;
}

bool provider_add_window(void *target, const char *value, struct buf *error)
{
	struct watch_settings *w = &((struct sink_provider *)target)->watch;

	if (w->windows_n < WATCH_WINDOWS_MAX &&
	    parse_time(str_of(value), &w->windows_ns[w->windows_n]) &&
	    w->windows_ns[w->windows_n]) {
		w->windows_n++;
		return true;
	}
	buf_printf(error, "--window wants a time (at most %d of them), not \"%s\"",
		   WATCH_WINDOWS_MAX, value);
	return false;
}

/* ---- around the sink's life */

static bool has_guard(const struct guard_settings *g)
{
	return g->connections_max || g->rate_n || g->messages_max || g->greylist_ns ||
	       g->blocked_n;
}

static void complain(const char *path)
{
	fprintf(stderr, "relevo: %s: %s\n", path, strerror(errno));
}

bool provider_open(struct sink_provider *p, struct sink_settings *settings)
{
	if (p->journal_path && !(p->watch.journal = fopen(p->journal_path, "w"))) {
		complain(p->journal_path);
		return false;
	}
	if (!p->watch.windows_n)
		p->watch.windows_ns[p->watch.windows_n++] = SECOND;
	if (has_guard(&p->guard))
		settings->guard = guard_new(&p->guard);
	if (p->stats_path || p->watch.journal)
		settings->watch = watch_new(&p->watch);
	return true;
}

static bool write_stats(const struct sink_provider *p, const struct sink_settings *settings)
{
	FILE *out = fopen(p->stats_path, "w");

	if (!out) {
		complain(p->stats_path);
		return false;
	}
	fprintf(out, "{\n\"refused\": {");
	for (int r = 0; r < GUARD_REASONS; r++)
		fprintf(out, "%s\"%s\": %llu", r ? ", " : "",
			guard_reason_name((enum guard_reason)r),
			(unsigned long long)(settings->guard
						     ? guard_refused(settings->guard,
								     (enum guard_reason)r)
						     : 0));
	fprintf(out, "},\n");
	watch_write(settings->watch, out);
	fprintf(out, "}\n");
	if (!fclose(out))
		return true;
	complain(p->stats_path);
	return false;
}

bool provider_close(struct sink_provider *p, struct sink_settings *settings)
{
	bool fine = !p->stats_path || write_stats(p, settings);

	if (p->watch.journal && fclose(p->watch.journal)) {
		complain(p->journal_path);
		fine = false;
	}
	watch_free(settings->watch);
	guard_free(settings->guard);
	settings->watch = NULL;
	settings->guard = NULL;
	return fine;
}
