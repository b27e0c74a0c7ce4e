/* Joining a container that was made a moment ago, or runs: run, attach, debug. */
#ifndef CLIENT_CMD_ATTACH_H
#define CLIENT_CMD_ATTACH_H

#include "client/cmd/common.h"

/* Waits (--pod-running-timeout) until the container runs, then joins its terminal; without `in`, or where it has ended
 * already, shows its log. The command has the options pod-running-timeout and quiet. container NULL: the first. fresh:
 * it was made for this, nothing of it may be missed. Returns an exit code. */
int attach_to(struct rctl *r, const struct object *pod, const char *container, bool in, bool tty, bool fresh);

#endif
