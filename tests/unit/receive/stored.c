/* receive/: what is stored: trace fields, fields for local clients, envelopes; after a restart. */
#include "unit/receive/rig.h"

#include "mail/header.h"

#define CONFIG CONFIG_LISTEN CONFIG_RULES

static void begin(struct client_end *c, const struct rig *g)
{
	client_open(c, g);
	client_expect(c, "220", "greeting");
	client_says(c, "EHLO client.example\r\n", "250");
}

#define client_mails(c, parameters, content) \
	do { \
		client_says(c, "MAIL FROM:<a@b.example>" parameters "\r\n", "250"); \
		client_says(c, "RCPT TO:<u@ours.example> NOTIFY=FAILURE " \
			       "ORCPT=rfc822;o@x.example\r\n", "250"); \
		client_says(c, "DATA\r\n", "354"); \
		client_says(c, content ".\r\n", "250"); \
	} while (0)

/* The n-th field of all; its name is checked. */
static struct str field(const struct buf *all, unsigned n, const char *name)
{
	struct str rest = buf_str(all);
	struct header_field f = { 0 };

	for (unsigned i = 0; i <= n; i++)
		assert_true(header_next(&rest, &f));
	assert_str_equal(f.name, str_of(name));
	return f.value;
}

static bool mentions(struct str s, const char *what)
{
	return str_search(s, str_of(what)) >= 0;
}

static void test_stranger(void **state)
{
	struct buf all = BUF_INIT(65536);
	struct client_end c;
	struct rig g;
	struct str received;
	char id[ID_TEXT_MAX];

	(void)state;
	rig_open(&g, CONFIG, 1);
	assert_true(ip_parse(STR(STRANGER), &rig_peer));
	begin(&c, &g);
	client_mails(&c, " BODY=8BITMIME RET=HDRS ENVID=q+20r SIZE=20", "Subject: s\r\n\r\nx\r\n");
	rig_read(&g, rig_last(), &all);
	received = field(&all, 0, "Received");
	assert_true(mentions(received, "from client.example"));
	assert_true(mentions(received, "[" STRANGER "]"));
	assert_true(mentions(received, "by relay.example"));
	assert_true(mentions(received, "with ESMTP id"));
	assert_true(mentions(received, id_format(id, &rig_last()->id)));
	assert_true(mentions(received, "for <u@ours.example>;"));
	field(&all, 1, "Subject");
	assert_str_equal(rig_body(rig_last(), &all), STR("Subject: s\r\n\r\nx\r\n"));
	assert_str_equal(message_sender(rig_last()), STR("a@b.example"));
	assert_str_equal(message_envid(rig_last()), STR("q+20r"));
	assert_str_equal(message_client(rig_last()), STR(STRANGER));
	assert_str_equal(recipient_orcpt(rig_last(), 0), STR("rfc822;o@x.example"));
	assert_int_equal(rig_last()->recipients[0].notify, NOTIFY_FAILURE);
	assert_int_equal(rig_last()->body, BODY_8BITMIME);
	assert_int_equal(rig_last()->ret, RET_HDRS);
	assert_false(rig_last()->local);
	assert_true(rig_last()->arrived_ms > 1600000000000);
	client_close(&c);
	buf_done(&all);
	rig_close(&g);
}

/* 8-bit content that was not announced is marked, so that delivery knows. */
static void test_body(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	client_mails(&c, "", "x\r\n");
	assert_int_equal(rig_last()->body, BODY_7BIT);
	client_mails(&c, "", "\xc3\xa9\r\n");
	assert_int_equal(rig_last()->body, BODY_8BITMIME);
	client_mails(&c, " BODY=7BIT", "\xc3\xa9\r\n");
	assert_int_equal(rig_last()->body, BODY_8BITMIME);
	client_close(&c);
	rig_close(&g);
}

static void test_local(void **state)
{
	struct buf all = BUF_INIT(65536);
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	client_mails(&c, "", "Subject: s\r\n\r\nDate: body\r\n");
	rig_read(&g, rig_last(), &all);
	field(&all, 0, "Received");
	assert_true(mentions(field(&all, 1, "Message-ID"), "@relay.example>"));
	assert_true(mentions(field(&all, 2, "Date"), " +0000"));
	field(&all, 3, "Subject");
	assert_str_equal(rig_body(rig_last(), &all), STR("Subject: s\r\n\r\nDate: body\r\n"));
	assert_true(rig_last()->local);
	client_mails(&c, "", "DATE: x\r\nmessage-id: <y>\r\n\r\n");
	rig_read(&g, rig_last(), &all);
	field(&all, 0, "Received");
	field(&all, 1, "DATE");
	client_mails(&c, "", "Date: x\r\n\r\n");
	rig_read(&g, rig_last(), &all);
	field(&all, 1, "Message-ID");
	field(&all, 2, "Date");
	client_close(&c);
	buf_done(&all);
	rig_close(&g);
}

#define KEPT 20

static struct message *found[KEPT];
static unsigned found_n;

static void keep(void *arg, struct message *m)
{
	(void)arg;
	assert_true(found_n < KEPT);
	found[found_n++] = message_ref(m);
}

/* What was acknowledged is there after a restart, byte for byte (D3). */
static void test_restart(void **state)
{
	struct buf all = BUF_INIT(2 * 1024 * 1024), again = BUF_INIT(2 * 1024 * 1024);
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	for (int i = 0; i < 3; i++) {
		char *big = mem_alloc(400000);

		memset(big, 'a' + i, 400000);
		client_says(&c, ENVELOPE "DATA\r\n", "250,250,354");
		client_send(&c, str_make(big, i == 1 ? 400000 : 100));
		client_says(&c, "\r\n.\r\n", "250");
		mem_free(big);
	}
	client_close(&c);
	rig_stop(&g);
	for (unsigned i = 0; i < rig_received_n; i++) {
		rig_read(&g, rig_received[i], &again);
		buf_add_str(&all, buf_str(&again));
	}
	rig_forget();
	spool_close(g.spool);
	rig_open_spool(&g, keep, NULL);
	assert_int_equal(found_n, 3);
	for (unsigned i = 0; i < found_n; i++) {
		rig_read(&g, found[i], &again);
		assert_true(str_search(buf_str(&all), buf_str(&again)) >= 0);
		message_unref(found[i]);
	}
	buf_done(&all);
	buf_done(&again);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stranger),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
