/* One run of `crun exec`: what it is given, and what it leaves.
 *
 * Left to itself crun exec runs as root whatever the container runs as, so it is given the process of the container's
 * own configuration (user, groups, environment, capabilities) with other arguments. Killing crun does not kill what it
 * started, so crun writes the command's pid to a file, and that process is killed too (as its group, if it leads one).
 * crun itself stays and brings the exit code.
 *
 * BASE.pid is where crun writes the pid of what it runs, BASE.json what it is to run, with the container's environment:
 * in memory, not on a disk. All calls are short and block; loop thread only. */
#ifndef AGENT_RUNTIME_CRUN_COMMAND_H
#define AGENT_RUNTIME_CRUN_COMMAND_H

#include "agent/runtime/crun_int.h"

#include <sys/ioctl.h>

#define CRUN_FAILED 255 /* the exit code of crun when it could not begin the command */

/* BASE for one run; unique: an address that no other run has meanwhile. The caller frees it. */
char *crun_command_path(const struct crun_container *c, const void *unique);
/* Writes BASE.json. tty: the terminal's size, NULL = no terminal. ERR_INVALID for no words or too many. */
int crun_command_write(const struct crun_container *c, const char *base, const char *const *argv,
                       const struct winsize *tty, struct error *err);
struct crun_command {
    char pid_file[FS_PATH_MAX], process_file[FS_PATH_MAX];
    const char *argv[14];
};
/* The words of crun itself; they borrow from all arguments. socket: for the terminal, or NULL. */
void crun_command_args(struct crun_command *e, const struct crun_container *c, const char *base, const char *socket);
/* The container, if a command can be run in it now. ERR_NOT_FOUND, ERR_USAGE. */
int crun_command_find(struct crun *rt, const char *id, struct crun_container **out, struct error *err);
bool crun_command_has_begun(const char *base); /* BASE.pid is there */
/* The exit code for a client. The code of crun itself, if it could not begin the command, becomes what a shell would
 * say: 127 for a command that is not there, 126 for one that cannot be run. said: what crun wrote. */
int crun_command_exit_code(const char *base, int exit_code, const char *said);
void crun_command_kill(const char *base);   /* SIGKILL to what has begun */
void crun_command_unlink(const char *base); /* both files */

/* ---- crun_capture.c ---- */

void crun_capture_kill_all(struct crun *rt); /* their callbacks come later, with ERR_TIMEOUT */

#endif
