/*
 * fuzz control_session - requests to the control socket: each line of the input is one, on a
 * connection of its own (a frame of top asks for the next by a line: 0x1d stands for that; 0x1e for
 * the id of a message that waits).
 *
 * Some messages wait in a real spool and schedule; what is asked is done to them. Every request has
 * an answer that ends with an exit code, without control octets, as the protocol says (answer.h).
 */
#include "control/answer.h"
#include "control/control.h"

#include "fuzz/queue.h"

#include <pthread.h>

#define MESSAGES 4
#define REQUESTS_MAX 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char settings[] =
	"version 1\nhostname relay.example\nlog file /dev/null\nlisten 127.0.0.1:2525\n"
	"source s address 127.0.0.2\nprovider p { mx .there.example; domain there.example }\n"
	"route r { host 127.0.0.1:9 }\nroute by { mx; source s }\n"
	"limit 10/min messages per destination\n"
	"accept from local to domain there.example via by\naccept from local to any via r\n";

static struct control *control;
static char newest[ID_TEXT_MAX];	/* the id of the message that was put in last */
static int control_fd;

static int keep_config(void *arg, struct buf *messages)
{
	(void)arg;
	buf_add_lit(messages, "nothing\n");
	return 0;
}

/* ---- the messages */

static void add_message(unsigned i)
{
	static const char *const senders[] = { "a@b.example", "", "c@d.example", "a@b.example" };
	struct envelope_recipient to[2] = {
		{ .address = STR("x@there.example"), .route = STR("mx:by") },
		{ .address = STR("y@elsewhere.example"), .route = STR("r") },
	};
	struct envelope e = { .sender = str_of(senders[i]), .recipients = to + i % 2,
			      .recipients_n = 2 - i % 2, .arrived_ms = loop_wall_ms(),
			      .client = STR("192.0.2.1"), .login = i == 2 ? STR("u") : STR_NONE };
	struct content *c = content_new(spool, 0);
	struct batch *b = batch_new(spool);
	struct message *m;

	check(content_add(c, "Subject: x\r\n\r\nx\r\n", 17) == 0 && content_seal(c) == 0);
	m = message_new(&e, c);
	content_unref(c);
	batch_message(b, m);
	check(spool_commit(spool, b) == 0);
	schedule_add(schedule, m);
	id_format(newest, &m->id);
	message_unref(m);
}

static void add_messages(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < MESSAGES; i++)
		add_message(i);
}

/* ---- suspensions are taken back afterwards */

static struct { enum suspend_kind kind; char name[300]; } suspended[64];
static unsigned suspended_n;

static void note_suspension(void *arg, const struct suspension *x)
{
	(void)arg;
	check(suspended_n < 64 && strlen(x->name) < sizeof(suspended[0].name));
	suspended[suspended_n].kind = x->kind;
	str_copy(suspended[suspended_n].name, sizeof(suspended[0].name), str_of(x->name));
	suspended_n++;
}

static void resume_all(void *arg)
{
	(void)arg;
	schedule_suspensions(schedule, note_suspension, NULL);
	while (suspended_n) {
		suspended_n--;
		check(schedule_resume(schedule, suspended[suspended_n].kind,
				      str_of(suspended[suspended_n].name)) == 0);
	}
}

/* ---- start: what waits for the loop does so in a thread, and the loop runs here */

static _Atomic bool started;

static void *start(void *arg)
{
	const struct control_links links = {
		.spool = spool, .schedule = schedule, .reload = keep_config,
		.bounce = bounce_new(net, spool),
		.deliver = deliver_new(net, spool, NULL),
		.receive = receive_new(net, spool, schedule),
	};
	int error = 0;

	(void)arg;
	bounce_set_schedule(links.bounce, schedule);
	deliver_set_schedule(links.deliver, schedule);
	control = control_start(net, folder, &links, &error);
	check(control);
	atomic_store(&started, true);
	return NULL;
}

static void set_up(void)
{
	struct buf messages = BUF_INIT(65536);
	struct config_source source = { .path = "t.conf", .text = settings,
					.text_n = sizeof(settings) - 1, .is_alone = true,
					.host_name = "relay.example" };
	unsigned errors, warnings;
	struct config *c = config_load_from(&source, &messages, &errors, &warnings);
	pthread_t thread;

	if (!c)
		fputs(buf_cstr(&messages), stderr);
	check(c);
	buf_done(&messages);
	config_set_current(c);
	world_bend();
	folder_make();
	queue_open(c);
	check(pthread_create(&thread, NULL, start, NULL) == 0);
	while (!atomic_load(&started)) {
		wake_all();
		world_settle();
		usleep(1000);
	}
	pthread_join(thread, NULL);
	for (int i = 0; i < WIRES_MAX; i++)
		if (wires[i].used && wires[i].listens)
			control_fd = WIRE_FD + i;
}

/* ---- requests */

static void check_answer(struct str all)
{
	bool ended = false;

	while (all.n) {
		ssize_t end = str_search(all, STR("\r\n"));
		struct str line = str_sub(all, 0, end < 0 ? 0 : (size_t)end);

		check(end > 0 && !ended && !str_has_control(line));
		check(strchr(" !=~", line.p[0]) != NULL);
		ended = line.p[0] == '=';
		all = str_from(all, line.n + 2);
	}
	check(ended);
}

static void ask(struct str request)
{
	struct wire *w = wire_dial(control_fd);
	struct buf answer = BUF_INIT(1 << 22);
	bool whole = true;

	for (size_t i = 0; i < request.n; i++)
		if (request.p[i] == 0x1d)
			wire_say(w, "\r\n", 2);
		else if (request.p[i] == 0x1e)
			wire_say(w, newest, strlen(newest));
		else
			wire_say(w, request.p + i, 1);
	wire_say(w, "\r\n", 2);
	world_settle();
	for (int i = 0; i < 200 && !w->relay_ended; i++) {
		buf_add_str(&answer, wire_heard(w));
		wire_take(w, wire_heard(w).n);
		world_settle();
		if (!wire_heard(w).n && !w->relay_ended && !world_pass(60 * SECOND))
			break;
	}
	buf_add_str(&answer, wire_heard(w));
	wire_take(w, wire_heard(w).n);
	whole = w->relay_ended && buf_ok(&answer) && request.n < CONTROL_LINE_MAX / 2;
	wire_end(w);
	world_settle();
	while (!w->relay_closed)
		check(world_pass(3600 * SECOND));
	wire_close(w);
	if (whole && !str_eq(str_word(&request), STR("top")))	/* its frames go on */
		check_answer(buf_str(&answer));
	buf_done(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest = str_make((const char *)data, n);

	if (!n)
		return 0;
	if (!net)
		set_up();
	world_do(net, add_messages, NULL, true);
	for (unsigned i = 0; rest.n && i < REQUESTS_MAX; i++) {
		ssize_t end = str_find(rest, '\n');
		struct str line = end < 0 ? rest : str_sub(rest, 0, (size_t)end);

		rest = str_from(rest, line.n + 1);
		if (line.n)
			ask(line);
	}
	world_do(net, resume_all, NULL, true);
	world_do(net, queue_empty, NULL, true);
	count_input();
	return 0;
}
