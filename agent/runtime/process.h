/* Commands run beside the loop: spawn, feed, capture, time out, kill the group, tell the end once.
 *
 * A process is started in a session (and so a process group) of its own; killing it means the group. The three standard
 * streams are real pipes (not sockets), so that a child may reopen /dev/stdout. Loop thread only.
 * Laws: on_exit comes exactly once, never inside process_run, after both the process is gone and its captured pipes are
 * closed (or PROCESS_DRAIN_MS after its exit, when a grandchild keeps them open). The handle is freed by us after
 * on_exit returns. */
#ifndef AGENT_RUNTIME_PROCESS_H
#define AGENT_RUNTIME_PROCESS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define PROCESS_OUTPUT_MAX (64u << 10) /* captured per stream if output_max is 0; what is beyond is dropped */
#define PROCESS_DROP_BYTES (64u << 10) /* of which so much is read each PROCESS_DROP_MS: who says more, waits */
#define PROCESS_DROP_MS    10
#define PROCESS_DRAIN_MS   500

struct process;

struct process_spec {
    const char *const *argv; /* NULL-terminated; argv[0] is searched in PATH; copied */
    const char *const *env;  /* NULL-terminated "K=V"; NULL = that of this process */
    const char *cwd;         /* NULL = inherited */
    struct str input;        /* given on stdin, copied; empty = /dev/null */
    size_t output_max;       /* per stream */
    int64_t timeout_ms;      /* then SIGKILL to the group; 0 = none */
    int extra_fd;            /* given to the child as descriptor 3; -1 or 0 = none. Stays the caller's to close */
};

struct process_result {
    int error;           /* 0, or ERR_ code: could not be started (then `out` is empty and `message` says why) */
    const char *message; /* borrowed; "" */
    int exit_code;       /* 0..255; 128 + signal if killed by one */
    int signal;          /* 0 or the signal that ended it */
    bool timed_out;
    bool truncated;      /* more output than output_max */
    struct str out, err; /* borrowed for the callback */
};
typedef void process_exit_cb(struct process *p, const struct process_result *r, void *data);

/* Never fails: what goes wrong comes through the callback. */
struct process *process_run(uv_loop_t *loop, const struct process_spec *spec, process_exit_cb *cb, void *data);
/* Signal the group; the callback comes as always. */
void process_kill(struct process *p, int signal);
/* SIGKILL, and no callback any more: it is replaced by nothing. The memory is freed later by us. */
void process_cancel(struct process *p);
int process_pid(const struct process *p); /* 0 if it did not start or is gone */

/* One line for people out of a result: what failed and the last line of its stderr. Returns err->code (ERR_SYSTEM,
 * ERR_TIMEOUT, or the start's error), 0 and err untouched if the command exited with 0. */
int process_result_error(const struct process_result *r, const char *what, struct error *err);

/* When any process of the machine began (field 22 of /proc/PID/stat, clock ticks since boot): with its pid it names it
 * for good. False: it is not there, or dead and not yet reaped. */
bool process_started(int pid, uint64_t *ticks);

#endif
