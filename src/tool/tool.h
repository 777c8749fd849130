/*
 * tool - what comes along for trying and measuring: a client, a sink, a load generator.
 */
#ifndef TOOL_TOOL_H
#define TOOL_TOOL_H

int send_main(int argc, char **argv);	/* relevo send: one message from a file or standard input */
int sink_main(int argc, char **argv);	/* relevo sink: an SMTP server that accepts, counts, stores,
					   delays, refuses */
int load_main(int argc, char **argv); /* relevo load: many messages, latencies, proof of arrival */

#endif
