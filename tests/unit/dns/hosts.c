/* dns/hosts: one lookup for many, answers kept for a while, deadlines, failures. */
#include "dns/hosts.h"
#include "unit/net/run.h"

static _Atomic unsigned lookups;
static _Atomic int delay_ms;

static int fake_lookup(struct world *w, const char *name, struct ip *ret_ips, int max)
{
	(void)w;
	(void)max;
	lookups++;
	usleep((useconds_t)delay_ms * 1000);
	if (!strcmp(name, "none.example"))
		return -ENOENT;
	if (!strcmp(name, "later.example"))
		return -EAGAIN;
	ip_parse(STR("192.0.2.1"), &ret_ips[0]);
	ip_parse(STR("2001:db8::1"), &ret_ips[1]);
	return 2;
}

static struct hosts *hosts;

static int ask(const char *name, uint64_t deadline)
{
	struct ip ips[HOSTS_ADDRESSES_MAX];

	return hosts_lookup(hosts, str_of(name), ips, HOSTS_ADDRESSES_MAX, deadline);
}

static void ask_slowly(void *arg)
{
	CHECK_EQ(ask("slow.example", in_seconds(20)), 2);
	++*(unsigned *)arg;
}

static void test_in_task(void *arg)
{
	struct task_group group;
	unsigned answered = 0;
	struct ip one;

	(void)arg;
	CHECK_EQ(ask("a.example", NEVER), 2);
	CHECK_EQ(ask("A.Example", NEVER), 2);
	CHECK_EQ(lookups, 1);
	CHECK_EQ(hosts_lookup(hosts, STR("a.example"), &one, 1, NEVER), 1);
	CHECK_EQ(ask("none.example", NEVER), -ENOENT);
	CHECK_EQ(ask("later.example", NEVER), -EAGAIN);
	CHECK_EQ(ask("", NEVER), -ENOENT);
	CHECK_EQ(ask("a\nb", NEVER), -ENOENT);
	CHECK_EQ(lookups, 3);
	delay_ms = 100;
	task_group_init(&group);
	for (int i = 0; i < 10; i++)
		task_start(&group, ask_slowly, &answered, "asks");
	CHECK_EQ(ask("slow.example", in_ms(10)), -ETIMEDOUT);
	task_group_wait(&group, NEVER);
	CHECK_EQ(answered, 10);
	CHECK_EQ(lookups, 4);
	delay_ms = 0;
	for (int i = 0; i < 3000; i++) {	/* more than are kept */
		char name[32];

		snprintf(name, sizeof(name), "h%d.example", i);
		CHECK_EQ(ask(name, NEVER), 2);
	}
	delay_ms = 50;
	CHECK_EQ(ask("left.example", in_ms(1)), -ETIMEDOUT);
	hosts_wait(hosts);
}

static void test_hosts(void **state)
{
	struct world w = *world_real();
	struct net *n;

	(void)state;
	w.lookup = fake_lookup;
	n = net_new(&w, 1, 4);
	hosts = hosts_new(n);
	net_start(n);
	run_on(net_loop(n, 0), test_in_task, NULL, true);
	net_stop(n);
	hosts_free(hosts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
