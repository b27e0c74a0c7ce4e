/* A terminal, or pipes, tied to a stream of a container: exec, attach, run. */
#ifndef CLIENT_CMD_SESSION_H
#define CLIENT_CMD_SESSION_H

#include "client/cmd/common.h"

/* -t was given and there is a terminal; a note otherwise. */
bool session_wants_tty(struct rctl *r);
/* {namespace, name, ?container, stdin, stdout, stderr, tty, ?rows, ?columns} */
struct value *session_params(struct rctl *r, const struct object *pod, const char *container, bool in, bool tty);
struct session_end {
    int exit_code; /* what the node told, 128 + the signal that ended us, or -1 if the stream ended without one */
    bool by_signal;
};
/* Until the stream or a signal ends it, with the terminal as it was before. Fails only if there is no exit code: the
 * stream could not be opened, or was cut. */
int session_run(struct rctl *r, const char *method, const struct value *params, bool in, bool tty,
                struct session_end *end, struct error *err);

#endif
