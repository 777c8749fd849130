/*
 * What smtp/data must do, said in the plainest way: over the whole input, position by position,
 * looking back and ahead as it likes. The unit test and the fuzzer compare the real one with this.
 */
#ifndef UNIT_SMTP_DATA_NAIVE_H
#define UNIT_SMTP_DATA_NAIVE_H

#include "base/buf.h"
#include "smtp/data.h"

struct naive {
	struct buf content;
	size_t used;
	bool done, bare, eightbit;
	uint64_t line_max;
};

static inline bool naive_has(struct str s, size_t at, struct str what)
{
	return at <= s.n && str_starts(str_from(s, at), what);
}

static inline bool naive_line_start(struct str s, size_t at)
{
	return at == 0 || (at >= 2 && naive_has(s, at - 2, STR("\r\n")));
}

/* bare, eightbit, line_max of content; a CR at its very end is judged only if it is the end. */
static inline void naive_judge(struct naive *n, struct str content, bool is_end)
{
	uint64_t length = 0;

	for (size_t i = 0; i < content.n; i++) {
		char c = content.p[i];

		if (c == '\n' && (i == 0 || content.p[i - 1] != '\r'))
			n->bare = true;
		if (c == '\r' && i + 1 < content.n && content.p[i + 1] != '\n')
			n->bare = true;
		if (c == '\r' && i + 1 == content.n && is_end)
			n->bare = true;
		if (c == '\0' || (c & 0x80))
			n->eightbit = true;
		if (naive_has(content, i, STR("\r\n"))) {
			length = 0;
			i++;
			continue;
		}
		if (c == '\r' && i + 1 == content.n && !is_end)
			continue;
		if (++length > n->line_max)
			n->line_max = length;
	}
}

static inline void naive_read(struct naive *n, struct str in)
{
	size_t at = 0;

	*n = (struct naive){ .content = BUF_INIT(SIZE_MAX / 2) };
	while (at < in.n) {
		if (naive_line_start(in, at) && in.p[at] == '.') {
			struct str rest = str_from(in, at);

			if (str_starts(rest, STR(".\r\n"))) {
				n->done = true;
				at += 3;
				break;
			}
			if (str_eq(rest, STR(".")) || str_eq(rest, STR(".\r"))) {
				at = in.n;
				break;
			}
			at++;	/* the dot was stuffing; what follows stands as it is */
		}
		buf_add_byte(&n->content, in.p[at++]);
	}
	n->used = at;
	naive_judge(n, buf_str(&n->content), false);
}

/* Content as DATA carries it, with its end. */
static inline void naive_write(struct buf *out, struct str content)
{
	for (size_t i = 0; i < content.n; i++) {
		if (naive_line_start(content, i) && content.p[i] == '.')
			buf_add_byte(out, '.');
		buf_add_byte(out, content.p[i]);
	}
	if (!naive_line_start(content, content.n))
		buf_add_lit(out, "\r\n");
	buf_add_lit(out, ".\r\n");
}

#endif
