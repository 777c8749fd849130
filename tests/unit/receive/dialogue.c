/* receive/: whole dialogues, line by line, byte by byte, all at once; what is stored after them. */
#include "unit/receive/rig.h"

#define STEPS_MAX 14

struct step {
	struct str send;
	const char *expect;	/* see client_expect */
};

#define SAY(lines, replies) { { "" lines, sizeof(lines) - 1 }, replies }

struct dialogue {
	const char *name;
	struct step steps[STEPS_MAX];
	unsigned messages;		/* received */
	const char *body;		/* of the last one; NULL: not looked at */
	const char *recipients;		/* "address@route address@route"; NULL: not looked at */
	const char *tag;		/* of the last one; NULL: it has none */
	bool lines_only;		/* its sense lies in what is sent together */
};

#define HELLO SAY("EHLO client.example\r\n", "250 ")
#define FROM SAY("MAIL FROM:<a@b.example>\r\n", "250 2.1.0")
#define TO SAY("RCPT TO:<u@ours.example>\r\n", "250 2.1.5")
#define DATA SAY("DATA\r\n", "354")
#define QUIT SAY("QUIT\r\n", "221 2.0.0,end")

static const struct dialogue order[] = {
	{ "a message", {
		HELLO, FROM, TO, DATA,
		SAY("Subject: x\r\n\r\nhi\r\n.\r\n", "250 2.0.0 Queued as "),
		QUIT,
	}, .messages = 1,
	  .body = "Subject: x\r\n\r\nhi\r\n",
	  .recipients = "u@ours.example/inside" },
	{ "HELO", {
		SAY("HELO c\r\n", "250 relay.example"),
		FROM, TO, DATA,
		SAY("x\r\n.\r\n", "250 2.0.0"),
		QUIT,
	}, .messages = 1, .body = "x\r\n" },
	{ "empty message", {
		HELLO, FROM, TO, DATA,
		SAY(".\r\n", "250 2.0.0"),
		QUIT,
	}, .messages = 1, .body = "" },
	{ "dots", {
		HELLO, FROM, TO, DATA,
		SAY("..\r\n...a\r\n.b\r\nc.\r\n..\r\n.\r\n", "250"),
		QUIT,
	}, .messages = 1, .body = ".\r\n..a\r\nb\r\nc.\r\n.\r\n" },
	{ "two messages", {
		HELLO, FROM, TO, DATA,
		SAY("1\r\n.\r\n", "250"),
		FROM, TO, DATA,
		SAY("2\r\n.\r\n", "250"),
		QUIT,
	}, .messages = 2, .body = "2\r\n" },
	{ "null sender", {
		HELLO,
		SAY("MAIL FROM:<>\r\n", "250"),
		TO, DATA,
		SAY("b\r\n.\r\n", "250"),
		QUIT,
	}, .messages = 1, .body = "b\r\n" },
	{ "fields that pass", {
		HELLO, FROM, TO, DATA,
		SAY("Return-Path: <x@y>\r\nBcc: z@z\r\nFrom mbox line\r\n>From x\r\n\r\n\tx\r\n"
		    ".\r\n",
		    "250"),
		QUIT,
	}, .messages = 1,
	  .body = "Return-Path: <x@y>\r\nBcc: z@z\r\nFrom mbox line\r\n>From x\r\n\r\n\tx\r\n" },
	{ "MAIL before EHLO", {
		SAY("MAIL FROM:<a@b.example>\r\n", "503 5.5.1"),
		HELLO, FROM, QUIT,
	}, .messages = 0 },
	{ "RCPT before MAIL", {
		HELLO,
		SAY("RCPT TO:<u@ours.example>\r\n", "503 5.5.1"),
		QUIT,
	}, .messages = 0 },
	{ "DATA before MAIL", {
		HELLO,
		SAY("DATA\r\n", "503 5.5.1"),
		QUIT,
	}, .messages = 0 },
	{ "DATA before RCPT", {
		HELLO, FROM,
		SAY("DATA\r\n", "503 5.5.1"),
		TO, DATA,
		SAY(".\r\n", "250"),
		QUIT,
	}, .messages = 1, .body = "" },
	{ "DATA without valid RCPT", {
		HELLO, FROM,
		SAY("RCPT TO:<u@elsewhere.example>\r\n", "550"),
		SAY("DATA\r\n", "554 5.5.1"),
		SAY("RSET\r\n", "250 2.0.0"),
		FROM, TO, QUIT,
	}, .messages = 0 },
	{ "MAIL twice", {
		HELLO, FROM,
		SAY("MAIL FROM:<c@d.example>\r\n", "503 5.5.1"),
		TO, DATA,
		SAY(".\r\n", "250"),
		QUIT,
	}, .messages = 1 },
	{ "RSET", {
		HELLO, FROM, TO,
		SAY("RSET\r\n", "250 2.0.0"),
		SAY("DATA\r\n", "503"),
		FROM,
		SAY("DATA\r\n", "503"),
		QUIT,
	}, .messages = 0 },
	{ "EHLO resets", {
		HELLO, FROM, TO, HELLO,
		SAY("DATA\r\n", "503 5.5.1"),
		QUIT,
	}, .messages = 0 },
	{ "bad EHLO changes nothing", {
		HELLO, FROM, TO,
		SAY("EHLO a b\r\n", "501 A"),
		DATA,
		SAY(".\r\n", "250"),
		QUIT,
	}, .messages = 1 },
	{ "EHLO without a name", {
		SAY("EHLO\r\n", "501 A"),
		SAY("HELO\r\n", "501 A"),
		SAY("EHLO [127.0.0.1]\r\n", "250 "),
		SAY("EHLO [IPv6:::1]\r\n", "250 "),
		SAY("HELO under_score\r\n", "250 "),
		QUIT,
	}, .messages = 0 },
	{ "small verbs", {
		SAY("NOOP\r\n", "250 2.0.0"),
		SAY("noop ignored words\r\n", "250 2.0.0"),
		SAY("HELP\r\n", "214 2.0.0"),
		SAY("HELP MAIL\r\n", "214 2.0.0"),
		SAY("VRFY\r\n", "501 5.5.4"),
		SAY("VRFY someone\r\n", "252 2.5.0"),
		SAY("EXPN list\r\n", "502 5.5.1"),
		SAY("RSET\r\n", "250 2.0.0"),
		QUIT,
	}, .messages = 0 },
	{ "arguments that must not be", {
		HELLO,
		SAY("RSET now\r\n", "501 5.5.4"),
		SAY("QUIT now\r\n", "501 5.5.4"),
		FROM, TO,
		SAY("DATA now\r\n", "501 5.5.4"),
		DATA,
		SAY(".\r\n", "250"),
		QUIT,
	}, .messages = 1 },
	{ "not offered", {
		HELLO,
		SAY("LHLO x\r\n", "502 5.5.1"),
		SAY("STARTTLS\r\n", "502 5.5.1"),
		SAY("AUTH PLAIN AAA\r\n", "502 5.5.1"),
		SAY("ETRN x\r\n", "502"),
		SAY("XCLIENT x\r\n", "502"),
		SAY("FROB\r\n", "500 5.5.2"),
		SAY("\r\n", "500 5.5.2"),
		SAY("MAILFROM:<a@b>\r\n", "500"),
		QUIT,
	}, .messages = 0 },
	{ "control bytes", {
		HELLO,
		SAY("NOOP\0\r\n", "500 5.5.2"),
		SAY("NO\nOP\r\n", "500 5.5.2"),
		SAY("NOOP\tx\r\n", "500 5.5.2"),
		SAY("MAIL FROM:<a@b.example>\r\r\n", "500"),
		SAY("NOOP x\rNOOP\r\n", "500"),
		QUIT,
	}, .messages = 0 },
	{ "parameters", {
		HELLO,
		SAY("MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=q\r\n", "250"),
		SAY("RCPT TO:<u@ours.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;u@ours.example\r\n",
		    "250"),
		DATA,
		SAY("x\r\n.\r\n", "250"),
		QUIT,
	}, .messages = 1, .body = "x\r\n" },
	{ "bad parameters", {
		HELLO,
		SAY("MAIL FROM:<a@b.example> FROB=1\r\n", "555 5.5.4"),
		SAY("MAIL FROM:<a@b.example> AUTH=<>\r\n", "555 5.5.4"),
		SAY("MAIL FROM:<a@b.example> SIZE=x\r\n", "501 5.5.4"),
		SAY("MAIL a@b.example\r\n", "501 5.5.2"),
		SAY("MAIL FROM:a@b.example\r\n", "501 5.1.7"),
		FROM,
		SAY("RCPT TO:<>\r\n", "501 5.1.3"),
		SAY("RCPT TO:<u@ours.example> FROB\r\n", "555 5.5.4"),
		TO, QUIT,
	}, .messages = 0 },
	{ "HELO offers nothing", {
		SAY("HELO c\r\n", "250"),
		SAY("MAIL FROM:<a@b.example> SIZE=1\r\n", "555 5.5.4"),
		FROM,
		SAY("RCPT TO:<u@ours.example> NOTIFY=NEVER\r\n", "555 5.5.4"),
		QUIT,
	}, .messages = 0 },
	{ "SMTPUTF8", {
		HELLO,
		SAY("MAIL FROM:<\xc3\xa9@b.example>\r\n", "553 5.6.7"),
		SAY("MAIL FROM:<\xc3\xa9@b.example> SMTPUTF8\r\n", "250"),
		SAY("RCPT TO:<\xc3\xa9@ours.example>\r\n", "250"),
		DATA,
		SAY("Subject: \xc3\xa9\r\n\r\nx\r\n.\r\n", "250"),
		QUIT,
	}, .messages = 1, .body = "Subject: \xc3\xa9\r\n\r\nx\r\n" },
	{ "8-bit without BODY", {
		HELLO, FROM, TO, DATA,
		SAY("\xe9\r\n.\r\n", "250"),
		QUIT,
	}, .messages = 1, .body = "\xe9\r\n" },
	{ "everything pipelined", {
		HELLO,
		SAY("MAIL FROM:<a@b.example>\r\nRCPT TO:<u@ours.example>\r\n"
		    "RCPT TO:<no@elsewhere.example>\r\nRCPT TO:<v@ours.example>\r\nDATA\r\n",
		    "250 2.1.0,250 2.1.5,550 5.7.1,250 2.1.5,354"),
		SAY("x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<v@ours.example>\r\nDATA\r\n",
		    "250 2.0.0,250,250,354"),
		SAY("y\r\n.\r\nNOOP\r\nQUIT\r\n", "250,250,221,end"),
	}, .messages = 2, .body = "y\r\n" },
	{ "behind the group's last", {
		HELLO,
		SAY("NOOP\r\nNOOP\r\nVRFY x\r\nRSET\r\nEXPN x\r\nRSET\r\n",
		    "250,250,252,250,502,250"),
		SAY("QUIT\r\nNOOP\r\n", "221,end"),
	}, .lines_only = true },
	{ "behind EHLO", {
		SAY("EHLO a\r\nNOOP\r\n", "503 W,250 2.0.0"),
		SAY("HELO a\r\nNOOP\r\n", "503 W,250"),
		HELLO, QUIT,
	}, .lines_only = true },
	{ "behind DATA", {
		HELLO, FROM, TO,
		SAY("DATA\r\nx\r\n.\r\nMAIL FROM:<e@f.example>\r\n", "503 5.5.1,end"),
	}, .lines_only = true },
	{ "behind DATA that is refused", {
		HELLO,
		SAY("DATA\r\nRSET\r\n.\r\n", "503 5.5.1,end"),
	}, .lines_only = true },
	{ "before the greeting", {
		SAY("NOOP\r\nNOOP\r\n", "250,250"),
		HELLO, QUIT,
	}, .messages = 0 },
	{ "HTTP", {
		SAY("GET / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@b.example>\r\n",
		    "421 4.7.0,end"),
	}, .lines_only = true },
	{ "HTTP later", {
		HELLO,
		SAY("POST / HTTP/1.0\r\n", "421 4.7.0,end"),
	}, .messages = 0 },
	{ "errors", {
		HELLO,
		SAY("A\r\nB\r\nC\r\nD\r\nE\r\nF\r\nG\r\nH\r\nI\r\nJ\r\n",
		    "500,500,500,500,500,500,500,500,500,500"),
		SAY("K\r\nL\r\n", "421 4.7.0,end"),
	}, .lines_only = true },
};

static const struct dialogue recipients[] = {
	{ "the first tag", {
		HELLO, FROM,
		SAY("RCPT TO:<u@ours.example>\r\nRCPT TO:<x@refused.example>\r\n"
		    "RCPT TO:<v@news.example>\r\nRCPT TO:<w@ads.example>\r\n",
		    "250,550,250,250"),
		DATA,
		SAY(".\r\n", "250"),
		QUIT,
	}, .messages = 1, .tag = "news" },
	{ "a tag goes with its envelope", {
		HELLO, FROM,
		SAY("RCPT TO:<w@ads.example>\r\n", "250"),
		SAY("RSET\r\n", "250"),
		FROM, TO, DATA,
		SAY(".\r\n", "250"),
		QUIT,
	}, .messages = 1, .recipients = "u@ours.example/inside" },
	{ "duplicates", {
		HELLO, FROM,
		SAY("RCPT TO:<u@ours.example>\r\nRCPT TO:<u@OURS.example>\r\n"
		    "RCPT TO:<U@ours.example>\r\n",
		    "250,250,250"),
		SAY("RCPT TO:<moved@ours.example>\r\nRCPT TO:<u@ours.example>\r\n", "250,250"),
		DATA,
		SAY(".\r\n", "250"),
		QUIT,
	}, .messages = 1,
	  .recipients = "u@ours.example/inside U@ours.example/inside moved@ours.example/other" },
	{ "postmaster", {
		HELLO, FROM,
		SAY("RCPT TO:<postmaster>\r\n", "250"),
		SAY("RCPT TO:<PostMaster>\r\n", "250"),
		DATA,
		SAY(".\r\n", "250"),
		QUIT,
	}, .messages = 1, .recipients = "admin@ours.example/inside" },
	{ "no domain", {
		HELLO, FROM,
		SAY("RCPT TO:<root>\r\n", "501 5.1.3"),
		SAY("RCPT TO:<u@>\r\n", "501 5.1.3"),
		QUIT,
	}, .messages = 0 },
	{ "rejected by a rule", {
		HELLO, FROM,
		SAY("RCPT TO:<u@refused.example>\r\n", "550 5.7.1 not there"),
		QUIT,
	}, .messages = 0 },
	/* All of these name ours.example somewhere; none of them is for it. */
	{ "relay attempts", {
		HELLO, FROM,
		SAY("RCPT TO:<u@elsewhere.example>\r\n"
		    "RCPT TO:<\"u@ours.example\"@elsewhere.example>\r\n",
		    "550 5.7.1,550 5.7.1"),
		SAY("RCPT TO:<@ours.example:u@elsewhere.example>\r\n", "550 5.7.1"),
		SAY("RCPT TO:<u@[192.0.2.1]>\r\nRCPT TO:<u@elsewhere.example@ours.example>\r\n",
		    "550,501"),
		SAY("RCPT TO:<u@sub.ours.example>\r\n"
		    "RCPT TO:<u@ours.example.elsewhere.example>\r\n",
		    "550,550"),
		SAY("RCPT TO:<ours.example!u@elsewhere.example>\r\n", "550"),
		SAY("DATA\r\n", "554"),
		QUIT,
	}, .messages = 0 },
	/* No local part is read as a route by us; nor can the server behind us be made to. */
	{ "routes in the local part", {
		HELLO, FROM,
		SAY("RCPT TO:<u%elsewhere.example@ours.example>\r\n", "550 5.7.1"),
		SAY("RCPT TO:<elsewhere.example!u@ours.example>\r\n", "550 5.7.1"),
		SAY("RCPT TO:<\"u@elsewhere.example\"@ours.example>\r\n", "550 5.7.1"),
		SAY("RCPT TO:<@elsewhere.example,@x.example:u@ours.example>\r\n", "250"),
		DATA,
		SAY(".\r\n", "250"),
		QUIT,
	}, .messages = 1, .recipients = "u@ours.example/inside" },
};

#define BEGUN HELLO, FROM, TO
static const struct dialogue bdat[] = {
	{ "one chunk", {
		BEGUN,
		SAY("BDAT 5 LAST\r\nabc\r\n", "250 2.0.0 Queued"),
		QUIT,
	}, .messages = 1, .body = "abc\r\n" },
	{ "chunks", {
		BEGUN,
		SAY("BDAT 2\r\nabBDAT 1\r\ncBDAT 2 LAST\r\n\r\n",
		    "250 2.0.0 2 octets,250 2.0.0 1 octets,250 2.0.0 Q"),
		QUIT,
	}, .messages = 1, .body = "abc\r\n" },
	{ "no line end", {
		BEGUN,
		SAY("BDAT 3 last\r\nabc", "250 2.0.0 Queued"),
		QUIT,
	}, .messages = 1, .body = "abc" },
	{ "nothing", {
		BEGUN,
		SAY("BDAT 0\r\nBDAT 0 LAST\r\n", "250,250 2.0.0 Queued"),
		QUIT,
	}, .messages = 1, .body = "" },
	{ "dots are content", {
		BEGUN,
		SAY("BDAT 9 LAST\r\n..a\r\n.\r\n.", "250"),
		QUIT,
	}, .messages = 1, .body = "..a\r\n.\r\n." },
	{ "all in one group", {
		HELLO,
		SAY("MAIL FROM:<a@b.example>\r\nRCPT TO:<u@ours.example>\r\nBDAT 3 LAST\r\na\r\n"
		    "MAIL FROM:<>\r\nRCPT TO:<u@ours.example>\r\nBDAT 3 LAST\r\nb\r\nQUIT\r\n",
		    "250,250,250,250,250,250,221,end"),
	}, .messages = 2, .body = "b\r\n" },
	{ "bare LF", {
		BEGUN,
		SAY("BDAT 2\r\na\nBDAT 0 LAST\r\n", "250,554 5.6.0"),
		FROM, QUIT,
	}, .messages = 0 },
	{ "CRLF in two chunks", {
		BEGUN,
		SAY("BDAT 2\r\na\rBDAT 1 LAST\r\n\n", "250,250"),
		QUIT,
	}, .messages = 1, .body = "a\r\n" },
	{ "bare CR at the end", {
		BEGUN,
		SAY("BDAT 2 LAST\r\na\r", "554 5.6.0"),
		QUIT,
	}, .messages = 0 },
	{ "BINARYMIME", {
		HELLO,
		SAY("MAIL FROM:<a@b.example> BODY=BINARYMIME\r\n", "250"),
		TO,
		SAY("DATA\r\n", "503 5.5.1"),
		SAY("BDAT 4 LAST\r\na\nb\r", "250"),
		QUIT,
	}, .messages = 1, .body = "a\nb\r" },
	{ "DATA after BDAT", {
		BEGUN,
		SAY("BDAT 1\r\na", "250"),
		SAY("DATA\r\n", "503 5.5.1"),
		SAY("BDAT 1 LAST\r\nb", "250"),
		QUIT,
	}, .messages = 1, .body = "ab" },
	{ "MAIL and RCPT after BDAT", {
		BEGUN,
		SAY("BDAT 1\r\na", "250"),
		SAY("RCPT TO:<v@ours.example>\r\n", "503"),
		SAY("MAIL FROM:<>\r\n", "503"),
		SAY("RSET\r\n", "250"),
		FROM, QUIT,
	}, .messages = 0 },
	{ "BDAT after LAST", {
		BEGUN,
		SAY("BDAT 1 LAST\r\naBDAT 6 LAST\r\nRSET\r\n", "250,503 5.5.1"),
		QUIT,
	}, .messages = 1, .body = "a" },
	{ "before everything", {
		SAY("BDAT 6\r\nQUIT\r\n", "503 5.5.1"),
		HELLO,
		SAY("BDAT 6 LAST\r\nQUIT\r\n", "503 5.5.1"),
		FROM,
		SAY("BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n", "503 5.5.1,503 5.5.1"),
		FROM, TO, QUIT,
	}, .messages = 0 },
	{ "recipients refused", {
		HELLO, FROM,
		SAY("RCPT TO:<u@elsewhere.example>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n",
		    "550,554 5.5.1,503"),
		FROM, QUIT,
	}, .messages = 0 },
	{ "a recipient after a refused chunk", {
		HELLO, FROM,
		SAY("BDAT 1\r\na", "503"),
		SAY("RCPT TO:<u@ours.example>\r\n", "503"),
		SAY("BDAT 1 LAST\r\nb", "503"),
		QUIT,
	}, .messages = 0 },
	{ "too big", {
		BEGUN,
		SAY("BDAT 1\r\na", "250"),
		{ { NULL, 0 }, "big" },
		SAY("BDAT 1\r\nb", "503"),
		SAY("BDAT 0 LAST\r\n", "503"),
		FROM, TO,
		SAY("BDAT 1 LAST\r\nc", "250"),
		QUIT,
	}, .messages = 1, .body = "c" },
	{ "far too big", {
		BEGUN,
		SAY("BDAT 99999999999 LAST\r\nQUIT\r\n", "421 4.3.4,end"),
	}, .messages = 0 },
	{ "no number", {
		BEGUN,
		SAY("BDAT x\r\nMAIL FROM:<>\r\n", "501 5.5.4,end"),
	}, .messages = 0 },
	{ "a wrong word", {
		BEGUN,
		SAY("BDAT 6 LEST\r\nQUIT\r\n", "501 5.5.4,end"),
	}, .messages = 0 },
};

#define CONFIG_TAGS \
	"accept from any to domain news.example via inside {\n\ttag news\n}\n" \
	"accept from any to domain ads.example via other {\n\ttag ads\n}\n"
#define CONFIG \
	CONFIG_LISTEN_SMALL CONFIG_RULES CONFIG_TAGS "postmaster admin@ours.example via inside\n" \
	"message {\n\tsize_max 100K\n\trecipients_max 100\n}\n"
#define CONFIG_LISTEN_SMALL "listen 127.0.0.1:2525 { errors_max 10 }\n"
#define SIZE_MAX_HERE (100 * 1024)

enum manner { BY_STEP, BY_BYTE, AT_ONCE };

/* "BDAT n" with n octets, one too many. */
static struct str big_chunk(void)
{
	static char text[SIZE_MAX_HERE + 64];
	static size_t n;

	if (!n) {
		n = (size_t)snprintf(text, 64, "BDAT %d\r\n", SIZE_MAX_HERE);
		memset(text + n, 'x', SIZE_MAX_HERE);
		n += SIZE_MAX_HERE;
	}
	return str_make(text, n);
}

/* What is behind it must not be sent before its reply. */
static bool must_wait(struct str s)
{
	return str_starts_nocase(s, STR("EHLO")) || str_starts_nocase(s, STR("HELO")) ||
	       str_ends_nocase(s, STR("DATA\r\n")) || str_starts_nocase(s, STR("DATA "));
}

/* The next step may be sent together with this one. */
static bool is_followed(const struct dialogue *d, unsigned i)
{
	return i + 1 < STEPS_MAX && d->steps[i + 1].expect && !must_wait(d->steps[i + 1].send);
}

static void send_in(struct client_end *c, struct str s, enum manner manner)
{
	if (manner != BY_BYTE || s.n > 1000) {
		client_send(c, s);
		return;
	}
	for (size_t i = 0; i < s.n && client_send(c, str_sub(s, i, i + 1)); i++)
		;
}

static void speak(const struct rig *g, const struct dialogue *d, enum manner manner)
{
	struct client_end c;
	struct buf expected = BUF_INIT(4096);

	client_open(&c, g);
	buf_add_lit(&expected, "220 relay.example");
	if (manner != AT_ONCE) {
		client_expect(&c, "220 relay.example", d->name);
		buf_clear(&expected);
	}
	for (unsigned i = 0; i < STEPS_MAX && d->steps[i].expect; i++) {
		const struct step *at = &d->steps[i];
		bool big = !at->send.p;

		send_in(&c, big ? big_chunk() : at->send, manner);
		if (expected.n)
			buf_add_byte(&expected, ',');
		buf_add_str(&expected, big ? STR("552 5.3.4") : str_of(at->expect));
		if (manner == AT_ONCE && !must_wait(at->send) && is_followed(d, i))
			continue;
		client_expect(&c, buf_cstr(&expected), d->name);
		buf_clear(&expected);
	}
	buf_done(&expected);
	client_close(&c);
}

static void check_recipients(const struct message *m, const char *expected)
{
	struct buf all = BUF_INIT(4096);

	for (uint32_t i = 0; i < m->recipients_n; i++) {
		if (i)
			buf_add_byte(&all, ' ');
		buf_add_str(&all, recipient_address(m, i));
		buf_add_byte(&all, '/');
		buf_add_str(&all, recipient_route(m, i));
	}
	assert_str_equal(buf_str(&all), str_of(expected));
	buf_done(&all);
}

static void run(const struct dialogue *table, size_t n)
{
	struct buf all = BUF_INIT(1024 * 1024);
	struct rig g;

	rig_open(&g, CONFIG, 1);
	assert_true(ip_parse(STR(STRANGER), &rig_peer));
	for (size_t i = 0; i < n; i++) {
		const struct dialogue *d = &table[i];

		for (enum manner manner = BY_STEP; manner <= AT_ONCE; manner++) {
			if (manner != BY_STEP && d->lines_only)
				continue;
			speak(&g, d, manner);
			if (rig_received_n != d->messages)
				fail_msg("%s: %u messages (%d)", d->name, rig_received_n, manner);
			if (d->body) {
				rig_read(&g, rig_last(), &all);
				assert_str_equal(rig_body(rig_last(), &all), str_of(d->body));
			}
			if (d->recipients)
				check_recipients(rig_last(), d->recipients);
			if (d->messages)
				assert_str_equal(message_tag(rig_last()),
						 d->tag ? str_of(d->tag) : STR_NONE);
			rig_forget();
		}
	}
	buf_done(&all);
	rig_close(&g);
}

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void test_order(void **state)
{
	(void)state;
	run(order, COUNT(order));
}

static void test_recipients(void **state)
{
	(void)state;
	run(recipients, COUNT(recipients));
}

static void test_bdat(void **state)
{
	(void)state;
	run(bdat, COUNT(bdat));
}

/* The reply to EHLO in full: what is offered, and nothing else. */
static void test_offers(void **state)
{
	static const char *const lines[] = {
		"250-relay.example", "250-PIPELINING", "250-8BITMIME", "250-SMTPUTF8",
		"250-CHUNKING",
		"250-BINARYMIME", "250-ENHANCEDSTATUSCODES", "250-DSN", "250-SIZE 102400",
		"250 LIMITS RCPTMAX=100",
	};
	struct client_end c;
	char line[1024];
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	client_open(&c, &g);
	client_expect(&c, "220 relay.example ESMTP", "greeting");
	client_send(&c, STR("EHLO x\r\n"));
	for (size_t i = 0; i < COUNT(lines); i++) {
		assert_true(client_line(&c, line, sizeof(line)));
		assert_string_equal(line, lines[i]);
	}
	client_says(&c, "QUIT\r\n", "221 2.0.0,end");
	client_close(&c);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offers),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_bdat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
