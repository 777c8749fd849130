/* receive/: listening, many sessions on several loops, clean shutdown. */
#include "unit/receive/rig.h"

#define CONFIG CONFIG_LISTEN CONFIG_RULES

static void begin(struct client_end *c, const struct rig *g)
{
	client_open(c, g);
	client_expect(c, "220", "greeting");
	client_says(c, "EHLO x\r\n", "250");
}

/* ---- shutdown */

static void *stop_slowly(void *arg)
{
	struct rig *g = arg;

	receive_stop(g->receive, 5 * SECOND);
	return NULL;
}

static void test_stop(void **state)
{
	struct client_end idle, busy, chunks;
	pthread_t thread;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 2);
	begin(&idle, &g);
	begin(&busy, &g);
	begin(&chunks, &g);
	client_says(&busy, ENVELOPE "DATA\r\n", "250,250,354");
	client_says(&chunks, ENVELOPE "BDAT 1\r\na", "250,250,250");
	assert_int_equal(pthread_create(&thread, NULL, stop_slowly, &g), 0);
	client_expect(&idle, "421 4.3.2,end", "idle");
	client_says(&busy, "x\r\n.\r\n", "250 2.0.0,421 4.3.2,end");
	client_says(&chunks, "BDAT 1 LAST\r\nb", "250 2.0.0,421 4.3.2,end");
	pthread_join(thread, NULL);
	assert_int_equal(receive_sessions(g.receive), 0);
	assert_int_equal(rig_received_n, 2);
	client_close(&idle);
	client_close(&busy);
	client_close(&chunks);
	rig_close(&g);
}

/* The grace time is over: content under way is cut, and never acknowledged. */
static void test_cut(void **state)
{
	struct client_end busy;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&busy, &g);
	client_says(&busy, ENVELOPE "DATA\r\n", "250,250,354");
	client_send(&busy, STR("half"));
	rig_stop(&g);
	client_expect(&busy, "421 4.3.2,end", "busy");
	client_close(&busy);
	assert_int_equal(rig_received_n, 0);
	rig_close(&g);
}

static void test_unlisten(void **state)
{
	struct client_end c, late;
	struct pollfd p;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 2);
	begin(&c, &g);
	receive_unlisten(g.receive, &g.settings);
	client_open(&late, &g);		/* waits in the kernel's queue */
	p = (struct pollfd){ .fd = late.fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 100), 0);
	client_says(&c, "NOOP\r\n", "250");
	assert_int_equal(receive_listen(g.receive, g.fd, &g.settings), 0);
	client_expect(&late, "220", "again");
	client_close(&c);
	client_close(&late);
	rig_close(&g);
}

/* The settings have gone with a reload: 421, not a session without settings. */
static void test_reload(void **state)
{
	struct client_end c, late;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	config_set_current(rig_config(g.folder, CONFIG_TOP "listen 127.0.0.1:2526\n" CONFIG_RULES));
	client_open(&late, &g);
	client_expect(&late, "421 4.3.2,end", "no settings");
	client_says(&c, ENVELOPE, "250,250");
	client_close(&c);
	client_close(&late);
	rig_close(&g);
}

/* ---- many at once */

#define CLIENTS 8
#define EACH 40

static void *send_many(void *arg)
{
	const struct rig *g = arg;
	struct client_end *c = mem_alloc(sizeof(*c));

	for (int i = 0; i < EACH; i++) {
		if (i % 10 == 0) {
			if (i)
				client_close(c);
			begin(c, g);
		}
		client_says(c, ENVELOPE "DATA\r\n", "250,250,354");
		client_says(c, "Subject: x\r\n\r\ntext\r\n.\r\n", "250 2.0.0");
	}
	client_close(c);
	mem_free(c);
	return NULL;
}

static void test_many(void **state)
{
	pthread_t threads[CLIENTS];
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 3);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_many, &g), 0);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(rig_received_n, CLIENTS * EACH);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_unlisten),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
