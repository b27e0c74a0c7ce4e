/* The process that holds a PID namespace shared by the containers of a pod: it is process 1 in it, sleeps for ever, and
 * what is orphaned there is reaped by the kernel (SIGCHLD is ignored, also across execve).
 *
 * It must give nothing away to those that share the namespace with it: it runs as user 65535 without capabilities, in a
 * root of its own that holds nothing but its program, a file that cannot be read; the node's files are not to be had
 * by /proc/1/root. */
#ifndef AGENT_RUNTIME_SANDBOX_PAUSE_H
#define AGENT_RUNTIME_SANDBOX_PAUSE_H

#include <stdbool.h>

#include "base/err.h"

/* Makes the namespace and the process; pid as this process sees it. root: an empty directory; pid_namespace: the file
 * to which the namespace is bound, before the process goes on: if we are killed before that, it ends; after that,
 * sandbox_pause_end finds it. Blocking, short. For a thread that ends after it (its next children would be in the
 * namespace, too). user_namespace: the file of the one that all is to belong to; "" = the node's. ERR_UNSUPPORTED on
 * machines for which there is no program. */
int sandbox_pause_start(const char *root, const char *pid_namespace, const char *user_namespace, int *pid,
                        struct error *err);
/* Does this process still hold the namespace of that file? */
bool sandbox_pause_lives(int pid, const char *pid_namespace);
/* Kills the holder, and with it everything in the namespace. If pid is 0 or names a process that is gone, the processes
 * of the namespace are looked for and killed. */
void sandbox_pause_end(int pid, const char *pid_namespace);

#endif
