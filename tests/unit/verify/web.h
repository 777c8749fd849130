/*
 * web - a web server for tests: one answer to everything, over TLS, and what it was asked last.
 */
#ifndef UNIT_VERIFY_WEB_H
#define UNIT_VERIFY_WEB_H

#include "unit/deliver/certificates.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WEB_MAX (256 * 1024)

struct web {
	const char *status;		/* NULL: "200 OK" */
	const char *type;		/* NULL: "text/plain" */
	const char *more;		/* header lines, each with CRLF; NULL: none */
	const char *body;
	size_t body_n;			/* 0: all of it */
	bool stalls;
	uint16_t port;
	_Atomic unsigned asked;
	char asked_for[WEB_MAX];	/* the last question, head and body */
	size_t asked_n;
	/* private */
	SSL_CTX *tls;
	int listener;
	pthread_t thread;
	_Atomic bool stopping;
};

static inline bool web_is_whole(const struct web *w)
{
	const char *end = memmem(w->asked_for, w->asked_n, "\r\n\r\n", 4);
	const char *length = end ? strcasestr(w->asked_for, "Content-Length:") : NULL;

	return end && (!length || length > end ||
		       w->asked_n >= (size_t)(end + 4 - w->asked_for) +
					     strtoul(length + 15, NULL, 10));
}

static inline void web_answer(struct web *w, SSL *ssl)
{
	char head[1024];
	size_t n = w->body_n ? w->body_n : strlen(w->body ? w->body : "");

	snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
		 "Connection: close\r\n\r\n", w->status ? w->status : "200 OK",
		 w->type ? w->type : "text/plain", n, w->more ? w->more : "");
	SSL_write(ssl, head, (int)strlen(head));
	if (n)
		SSL_write(ssl, w->body, (int)n);
	SSL_shutdown(ssl);
}

static inline void web_serve(struct web *w, int fd)
{
	SSL *ssl = SSL_new(w->tls);
	int r = 1;

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) > 0) {
		w->asked_n = 0;
		while (r > 0 && !web_is_whole(w) && w->asked_n < WEB_MAX - 1) {
			r = SSL_read(ssl, w->asked_for + w->asked_n,
				     (int)(WEB_MAX - 1 - w->asked_n));
			w->asked_n += r > 0 ? (size_t)r : 0;
			w->asked_for[w->asked_n] = 0;
		}
		w->asked++;
		if (!w->stalls)
			web_answer(w, ssl);
		while (w->stalls && r > 0 && SSL_read(ssl, w->asked_for, 1) > 0)
			;
	}
	SSL_free(ssl);
}

static inline void *web_run(void *arg)
{
	struct web *w = arg;
	int fd;

	while ((fd = accept(w->listener, NULL, NULL)) >= 0 && !w->stopping) {
		web_serve(w, fd);
		close(fd);
	}
	return NULL;
}

static inline void web_start(struct web *w, const struct made *certificate)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t n = sizeof(at);

	inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
	w->tls = made_server(certificate);
	w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(w->listener, (struct sockaddr *)&at, n) < 0 || listen(w->listener, 16) < 0 ||
	    getsockname(w->listener, (struct sockaddr *)&at, &n) < 0)
		abort();
	w->port = ntohs(at.sin_port);
	pthread_create(&w->thread, NULL, web_run, w);
}

static inline void web_stop(struct web *w)
{
	w->stopping = true;
	shutdown(w->listener, SHUT_RDWR);
	pthread_join(w->thread, NULL);
	close(w->listener);
	SSL_CTX_free(w->tls);
}

#endif
