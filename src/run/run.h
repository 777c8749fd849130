/*
 * run - the life of the relay: supervisor, worker, signals, and the commands that need no running
 * relay.
 */
#ifndef RUN_RUN_H
#define RUN_RUN_H

/*
 * Each takes the arguments behind the command's word and returns the exit code (0 sound, 1
 * errors, 2 usage).
 */
int run_main(int argc, char **argv);		/* relevo run */
int check_main(int argc, char **argv);		/* relevo check */
int explain_main(int argc, char **argv);	/* relevo explain */
int reference_main(int argc, char **argv);	/* relevo reference settings|events */
int spool_main(int argc, char **argv);		/* relevo spool check|dump */
int backup_main(int argc, char **argv);		/* relevo backup */
int restore_main(int argc, char **argv);	/* relevo restore */
int user_main(int argc, char **argv);		/* relevo user */
int demo_main(int argc, char **argv);		/* relevo demo */

#endif
