/*
 * own - which names and addresses are this relay's: for loops by MX (RFC 5321 5.1).
 *
 * An address is ours on a port if the configuration says so (`self`), if we listen on just that, or
 * if we listen on all of the machine's (0.0.0.0, ::) and it is the machine's: one of an interface,
 * or any of loopback's. Not every address of the machine: another server may listen on the next
 * one, and mail for it is no loop. What leads here through a translated address or a load balancer
 * cannot be known from inside: that is what `self` is for; the greeting by our own name catches the
 * rest (client.c).
 *
 * Addresses of interfaces are asked for every few seconds at most, by each core for itself: they
 * change (DHCP, fail-over of a service address), and asking costs a few system calls.
 */
#include "deliver/own.h"

#include "base/mem.h"
#include "net/loop.h"

#define INTERFACES_MAX 4096
#define KNOWN_NS (10 * SECOND)

void own_done(struct own *o)
{
	mem_free(o->ips);
	*o = (struct own){ .ips = NULL };
}

bool own_has_name(const struct config *c, struct str name)
{
	if (name.n && name.p[name.n - 1] == '.')
		name = str_sub(name, 0, name.n - 1);
	if (str_eq_nocase(name, c->hostname))
		return true;
	for (unsigned i = 0; i < c->self_names_n; i++)
		if (str_eq_nocase(name, c->self_names[i]))
			return true;
	return false;
}

static bool is_listening(const struct config_listen *l, uint16_t port)
{
	return !l->endpoint.path && l->endpoint.port == port;
}

bool own_can_have_ip(const struct config *c, uint16_t port)
{
	for (unsigned i = 0; i < c->listens_n; i++)
		if (is_listening(&c->listens[i], port))
			return true;
	return c->self_ips_n;
}

static bool is_unspecified(const struct ip *ip)
{
	static const struct ip none4 = { .family = 4 }, none6 = { .family = 6 };

	return ip_eq(ip, &none4) || ip_eq(ip, &none6);
}

static bool is_of_machine(const struct own *o, const struct ip *ip)
{
	for (unsigned i = 0; i < o->n; i++)
		if (ip_eq(&o->ips[i], ip))
			return true;
	return ip_is_loopback(ip);
}

bool own_ip_is_ours(const struct config *c, const struct own *interfaces, const struct ip *ip,
		    uint16_t port)
{
	for (unsigned i = 0; i < c->self_ips_n; i++)
		if (ip_eq(&c->self_ips[i], ip))
			return true;
	for (unsigned i = 0; i < c->listens_n; i++) {
		const struct ip *at = &c->listens[i].endpoint.ip;

		if (!is_listening(&c->listens[i], port))
			continue;
		/* to connect to 0.0.0.0 or :: is to connect to oneself */
		if (ip_eq(at, ip) || is_unspecified(ip))
			return true;
		if (is_unspecified(at) && at->family == ip->family && is_of_machine(interfaces, ip))
			return true;
	}
	return false;
}

static void look(struct own *o)
{
	struct world *w = world_self();
	int n;

	if (o->until > loop_now())
		return;
	own_done(o);
	o->until = loop_now() + KNOWN_NS;
	if (!w->own_ips)
		return;
	n = w->own_ips(w, NULL, 0);
	if (n <= 0)
		return;
	if (n > INTERFACES_MAX)
		n = INTERFACES_MAX;
	o->ips = mem_calloc((size_t)n, sizeof(*o->ips));
	o->n = (unsigned)n;
	n = w->own_ips(w, o->ips, n);
	if (n < (int)o->n)
		o->n = n < 0 ? 0 : (unsigned)n;
}

bool own_has_ip(struct own *o, const struct config *c, const struct ip *ip, uint16_t port)
{
	if (!own_can_have_ip(c, port))
		return false;
	look(o);
	return own_ip_is_ours(c, o, ip, port);
}
