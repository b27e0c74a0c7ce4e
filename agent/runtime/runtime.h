/* Container runtimes behind one table of operations: `crun` (OCI containers watched by conmon) and `hollow` (no
 * processes, for scale tests).
 *
 * A container is identified by runtime_container_id(): POD-UID_NAME_ATTEMPT. The runtime keeps a directory per
 * container that outlives the agent; after a restart runtime_list tells what exists and exits are reported for what
 * still ran. Life of a container:
 *
 *     (none) --create_start--> STARTING --> RUNNING --> EXITED --delete--> (none)
 *                                 \--error--> (none): everything half made was cleaned up before the callback
 *
 * Laws: loop thread only; every callback comes exactly once and never inside the call that registered it; on_exit comes
 * exactly once per container that was RUNNING in this process's eyes (also for short-lived ones, after the create_start
 * callback). Strings in specs are copied or used before the call returns; those in results are borrowed for the
 * callback. Two operations on one container may be in flight at once only for exec and kill. */
#ifndef AGENT_RUNTIME_RUNTIME_H
#define AGENT_RUNTIME_RUNTIME_H

#include "agent/image/image.h"
#include "agent/runtime/sandbox.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define RUNTIME_ID_MAX          160
#define RUNTIME_MESSAGE_MAX     4096u       /* termination message */
#define RUNTIME_START_MS        60000       /* create or start that takes longer has failed */
#define RUNTIME_LOG_MAX         (10u << 20) /* size at which a log is rotated */
#define RUNTIME_LOG_FILES       5u
#define RUNTIME_EXEC_OUTPUT_MAX (16u << 10) /* captured by runtime_exec */

struct runtime;

/* ---- Specification of a container ---- */

struct runtime_mount {
    const char *source; /* path on the node */
    const char *target; /* path in the container; made in the root file system if absent */
    bool data;          /* files, not programs or devices: nosuid, nodev, noexec */
    bool no_device;     /* nodev */
    bool read_only;
    bool read_only_below; /* also what is mounted below source; the start fails where the kernel cannot (before 5.12) */
    const char *propagation; /* NULL/"" = private, "HostToContainer", "Bidirectional" */
};
struct runtime_device {
    const char *path;
};
/* Unset numbers are -1, unset strings and lists NULL. */
struct runtime_security {
    int64_t run_as_user, run_as_group;
    const int64_t *supplemental_groups; /* also fsGroup */
    unsigned supplemental_groups_count;
    bool run_as_non_root; /* refuse uid 0: ERR_FORBIDDEN "container has runAsNonRoot and image will run as root" */
    bool read_only_root;
    bool privileged;
    bool unmasked_proc;                  /* all of /proc, for containers with user ids of their own */
    bool no_new_privileges;              /* allowPrivilegeEscalation: false */
    const char *const *capabilities_add; /* NULL-terminated, with or without "CAP_", "ALL" */
    const char *const *capabilities_drop;
    bool strict_groups;      /* those above alone, not the ones that the image's /etc/group gives the user */
    bool seccomp_unconfined; /* no filter of system calls; as with privileged */
    const char
        *seccomp_localhost; /* file below the runtime's seccomp_dir, or there is no container; NULL = our own profile */
};
struct runtime_resources {
    uint64_t memory_bytes;               /* 0 = none */
    uint64_t cpu_shares;                 /* 0 = none; 1024 per core */
    int64_t cpu_quota_us, cpu_period_us; /* quota 0 = none */
    int64_t pids_max;                    /* 0 = none */
    int oom_score_adj;                   /* negative values are left out where the kernel refuses them */
};
struct runtime_spec {
    const char *pod_uid, *pod_name, *pod_ns;
    const char *name;
    const char *handler; /* one of runtime_crun_config.handlers; NULL/"" = crun itself */
    unsigned attempt;    /* restart count */
    struct image *image; /* a reference is taken while the container exists */
    /* Kubernetes' rules: command replaces ENTRYPOINT and drops CMD; args replaces CMD. NULL = not given.
     * NULL-terminated. */
    const char *const *command;
    const char *const *args;
    const char *const *env;        /* "K=V", NULL-terminated; goes over the image's */
    const char *cwd;               /* NULL/"" = the image's, else "/" */
    const struct sandbox *sandbox; /* namespaces, hosts, resolv.conf, shm */
    bool host_pid;
    const char *pid_namespace; /* file of one to join, over that of the sandbox; NULL = none */
    const char *cgroup_parent; /* from cgroup_pod_make */
    const struct runtime_mount *mounts;
    unsigned mounts_count;
    struct runtime_resources resources;
    struct runtime_security security;
    bool tty, stdin_open, stdin_once;
    const char *log_path;                 /* CRI log; directories are made */
    const char *termination_message_path; /* NULL = "/dev/termination-log" */
    const char *note; /* kept with the container and given back by runtime_list (e.g. a hash of the spec), or NULL */
};
void runtime_spec_init(struct runtime_spec *s); /* zero, with the -1s */
void runtime_container_id(char out[RUNTIME_ID_MAX], const char *pod_uid, const char *name, unsigned attempt);

/* ---- What is there ---- */

enum runtime_state { RUNTIME_STARTING, RUNTIME_RUNNING, RUNTIME_EXITED };
struct runtime_status {
    const char *id; /* runtime_container_id */
    const char *pod_uid, *name;
    unsigned attempt;
    enum runtime_state state;
    const char *handler;   /* as in its spec; "" = crun itself; NULL = not told */
    const char *image_ref; /* imageID of the status: "sha256:..." */
    const char *note;
    const char *log_path;
    const char *writable_path; /* directory with what the container wrote into its root file system; "" = not on disk */
    int pid;                   /* of the first process as the agent sees it; 0 if none */
    int64_t created_ms, started_ms, finished_ms; /* wall time; 0 = not yet */
    /* EXITED: */
    int exit_code; /* 128 + signal if killed; 255 if nobody saw the end (node went down) */
    int signal;    /* 0 or the signal, as far as the exit code tells */
    bool oom_killed;
    const char *reason;  /* "Completed", "Error", "OOMKilled", "ContainerStatusUnknown" */
    const char *message; /* termination message (cut at RUNTIME_MESSAGE_MAX), or "" */
};

struct runtime_events {
    void (*on_exit)(const struct runtime_status *st, void *data);
    void *data;
};

/* ---- Operations ---- */

/* error NULL: it runs, pid and started_ms are set. Otherwise reason is for the status: "CreateContainerConfigError"
 * (the spec), "CreateContainerError" (node), "RunContainerError" (the program could not be started; shown as
 * terminated with exit code 128 by Kubernetes). */
struct runtime_started {
    const struct error *error;
    const char *reason;
    const struct runtime_status *status; /* NULL on error */
};
typedef void runtime_start_cb(const struct runtime_started *r, void *data);
typedef void runtime_done_cb(const struct error *error, void *data);

struct runtime_exec_result {
    const struct error *error; /* the command could not be run, ERR_TIMEOUT, or the container is not running */
    int exit_code;
    struct str output; /* stdout and stderr, cut */
};
typedef void runtime_exec_cb(const struct runtime_exec_result *r, void *data);

struct runtime_exec; /* a streaming exec */
struct runtime_exec_spec {
    const char *const *argv; /* NULL-terminated */
    bool tty, stdin_open;    /* with tty, stderr comes as stdout */
    unsigned rows, columns;  /* tty: 0 = 24 x 80 */
};
struct runtime_exec_events {
    void (*on_output)(struct runtime_exec *x, int fd, const uint8_t *p, size_t n, void *data); /* fd 1 or 2 */
    void (*on_drain)(struct runtime_exec *x, void *data); /* stdin queue is empty again; may be NULL */
    /* Last callback; x is freed after it. error: could not be run (ERR_USAGE: the container is not running). A command
     * that is not there ends with 127, one that cannot be executed with 126, both with a word on stderr. */
    void (*on_end)(struct runtime_exec *x, int exit_code, const struct error *error, void *data);
};

/* What a container has used and uses. */
struct runtime_usage {
    uint64_t cpu_ns; /* since it was started */
    uint64_t memory_bytes;
};

struct runtime_ops {
    const char *name; /* "crun": shown as containerRuntimeVersion "crun://1.8.1" and in containerID "crun://ID" */
    void (*create_start)(struct runtime *rt, const struct runtime_spec *spec, runtime_start_cb *cb, void *data);
    void (*kill)(struct runtime *rt, const char *id, int signal, runtime_done_cb *cb, void *data);
    void (*remove)(struct runtime *rt, const char *id, runtime_done_cb *cb, void *data);
    bool (*get)(struct runtime *rt, const char *id, struct runtime_status *out);
    bool (*next)(struct runtime *rt, unsigned *cursor, struct runtime_status *out);
    void (*exec)(struct runtime *rt, const char *id, const char *const *argv, int64_t timeout_ms, runtime_exec_cb *cb,
                 void *data);
    struct runtime_exec *(*exec_open)(struct runtime *rt, const char *id, const struct runtime_exec_spec *spec,
                                      const struct runtime_exec_events *events, void *data);
    void (*exec_write)(struct runtime_exec *x, const void *p, size_t n);
    size_t (*exec_pending)(const struct runtime_exec *x);
    void (*exec_end_input)(struct runtime_exec *x);
    void (*exec_resize)(struct runtime_exec *x, unsigned rows, unsigned columns);
    void (*exec_pause)(struct runtime_exec *x, bool pause);
    void (*exec_kill)(struct runtime_exec *x);
    int (*attach)(struct runtime *rt, const char *id, int *fd, struct error *err);
    void (*attach_resize)(struct runtime *rt, const char *id, unsigned rows, unsigned columns);
    /* NULL: control groups tell. Of id NULL: is it known of any container? */
    bool (*usage)(struct runtime *rt, const char *id, struct runtime_usage *out);
    const char *(*version)(struct runtime *rt);
    void (*close)(struct runtime *rt, void (*cb)(void *data), void *data);
};
struct runtime { /* first member of the implementations */
    const struct runtime_ops *ops;
    struct runtime_events events;
};

/* Another OCI runtime than crun, with the command line of runc: --root, create, start, delete, exec. */
struct runtime_handler {
    const char *name, *path; /* "kata", "/usr/bin/kata-runtime" */
};
#define RUNTIME_HANDLERS_MAX 16u
struct runtime_crun_config {
    const char *dir;     /* on disk: one directory per container (bundle, upper layer, state, exit file) */
    const char *run_dir; /* under /run: crun's own state */
    const char *crun_path, *conmon_path;    /* NULL = /usr/bin/crun, /usr/bin/conmon */
    const struct runtime_handler *handlers; /* beside crun; copied */
    unsigned handlers_count;                /* at most RUNTIME_HANDLERS_MAX */
    const char *seccomp_dir;                /* profiles of the node for type Localhost; NULL = none */
    unsigned log_max_bytes, log_max_files;  /* 0 = RUNTIME_LOG_MAX, RUNTIME_LOG_FILES */
    int64_t call_ms;            /* so long a call of crun or conmon may take, then it is killed; 0 = RUNTIME_START_MS */
    struct image_store *images; /* to take references of images of adopted containers; may be NULL */
    const struct log *log;
};
/* Blocking, short: reads the state of all containers and checks which still live. Containers whose start was
 * interrupted are removed. */
int runtime_crun_new(uv_loop_t *loop, const struct runtime_crun_config *c, const struct runtime_events *events,
                     struct runtime **out, struct error *err);

/* The hollow runtime. A container runs until it is killed (SIGTERM ends it at once with 143; SIGKILL with 137), unless
 * told otherwise by its command or environment:
 *   command ["exit", "3"]           exits with 3 at once        ["sleep", "2.5"]   exits with 0 after 2.5 s of the
 *                                   loop's time
 *   command ["fail"]                cannot be started           ["ignore-term"]    SIGTERM has no effect
 *   HOLLOW_START_MS=N               takes that long to start    HOLLOW_EXIT_MS=N, HOLLOW_EXIT_CODE=C   exits by itself
 *   HOLLOW_OOM=1                    the exit says OOMKilled
 *   HOLLOW_CPU_MILLI=N, HOLLOW_MEMORY_BYTES=N   uses so much all the time; of others nothing is known
 *   command ["cat"]                 returns to who is attached what it is sent; the end of input ends it with 0
 * exec: ["exit", "N"] answers N; ["echo", ...] prints; ["cat"] (streaming) returns its input; everything else
 * answers 0. Nothing outlives the process. */
struct runtime *runtime_hollow_new(uv_loop_t *loop, const struct runtime_events *events);

/* ---- Calls ---- */

/* Makes and starts the container. The container must not exist (ERR_EXISTS; ERR_BUSY while the former one of that id
 * is being deleted). */
static inline void runtime_start(struct runtime *rt, const struct runtime_spec *spec, runtime_start_cb *cb, void *data)
{
    rt->ops->create_start(rt, spec, cb, data);
}
/* Signal to the first process. ERR_NOT_FOUND if there is no such container, ERR_BUSY while it is STARTING; signalling
 * one that has exited is done. */
static inline void runtime_kill(struct runtime *rt, const char *id, int signal, runtime_done_cb *cb, void *data)
{
    rt->ops->kill(rt, id, signal, cb, data);
}
/* Deletes an EXITED container (a running one is killed first, without on_exit; a starting one is waited for and its
 * start answered with ERR_CANCELED): bundle, upper layer, state; not the log. Gone is fine. */
static inline void runtime_remove(struct runtime *rt, const char *id, runtime_done_cb *cb, void *data)
{
    rt->ops->remove(rt, id, cb, data);
}
/* Borrowed strings, valid until the loop turns. */
static inline bool runtime_get(struct runtime *rt, const char *id, struct runtime_status *out)
{
    return rt->ops->get(rt, id, out);
}
/* All containers, one per call, from *cursor = 0; false at the end. */
static inline bool runtime_next(struct runtime *rt, unsigned *cursor, struct runtime_status *out)
{
    return rt->ops->next(rt, cursor, out);
}
/* Runs a command in the container and captures its output: probes and hooks. timeout_ms 0 = none; at the timeout the
 * command is killed. */
static inline void runtime_exec(struct runtime *rt, const char *id, const char *const *argv, int64_t timeout_ms,
                                runtime_exec_cb *cb, void *data)
{
    rt->ops->exec(rt, id, argv, timeout_ms, cb, data);
}
/* Interactive. Never NULL; errors come through on_end. */
static inline struct runtime_exec *runtime_exec_open(struct runtime *rt, const char *id,
                                                     const struct runtime_exec_spec *spec,
                                                     const struct runtime_exec_events *events, void *data)
{
    return rt->ops->exec_open(rt, id, spec, events, data);
}
static inline void runtime_exec_write(struct runtime *rt, struct runtime_exec *x, const void *p, size_t n)
{
    rt->ops->exec_write(x, p, n); /* copied; see pending */
}
static inline size_t runtime_exec_pending(struct runtime *rt, const struct runtime_exec *x)
{
    return rt->ops->exec_pending(x); /* bytes of stdin not yet taken */
}
static inline void runtime_exec_end_input(struct runtime *rt, struct runtime_exec *x)
{
    rt->ops->exec_end_input(x);
}
static inline void runtime_exec_resize(struct runtime *rt, struct runtime_exec *x, unsigned rows, unsigned columns)
{
    rt->ops->exec_resize(x, rows, columns);
}
/* Stop reading output while the receiver has no room (the command blocks on its pipe), and go on. */
static inline void runtime_exec_pause(struct runtime *rt, struct runtime_exec *x, bool pause)
{
    rt->ops->exec_pause(x, pause);
}
/* The client went away: kill the command; on_end still comes. */
static inline void runtime_exec_kill(struct runtime *rt, struct runtime_exec *x)
{
    rt->ops->exec_kill(x);
}
/* A non-blocking SOCK_SEQPACKET socket to the container's own input and output, the caller's. Packets from it: a byte,
 * 2 for stdout or 3 for stderr, then what was printed from now on. Packets to it (of at most 8 KiB) are input, a half
 * close ends that; what a container without `stdin` is sent goes nowhere. It ends with the container. ERR_NOT_FOUND,
 * ERR_USAGE (it does not run), ERR_SYSTEM. */
static inline int runtime_attach(struct runtime *rt, const char *id, int *fd, struct error *err)
{
    return rt->ops->attach(rt, id, fd, err);
}
/* Of the container's terminal, if it has one. */
static inline void runtime_attach_resize(struct runtime *rt, const char *id, unsigned rows, unsigned columns)
{
    rt->ops->attach_resize(rt, id, rows, columns);
}
/* False: not known. Only where ops->usage is there. */
static inline bool runtime_usage(struct runtime *rt, const char *id, struct runtime_usage *out)
{
    return rt->ops->usage(rt, id, out);
}
static inline const char *runtime_version(struct runtime *rt)
{
    return rt->ops->version(rt); /* "1.8.1" */
}
/* Stops watching and frees; containers go on. Starts and removals in progress are waited for (they have time limits),
 * execs are killed; their callbacks all come before cb. on_exit comes no more. */
static inline void runtime_close(struct runtime *rt, void (*cb)(void *data), void *data)
{
    rt->ops->close(rt, cb, data);
}

#endif
