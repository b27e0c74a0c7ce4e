/* Inside of the crun runtime, from the bottom up: crun_table.c (containers in memory), crun_exit.c (exits, state on
 * disk), crun_logs.c, crun_remove.c, crun_start.c (the way up), crun_command.c (one run of crun exec),
 * crun_capture.c, crun_exec.c, crun_attach.c, crun.c (the operations, coming back). */
#ifndef AGENT_RUNTIME_CRUN_INT_H
#define AGENT_RUNTIME_CRUN_INT_H

#include "agent/runtime/filters.h"
#include "agent/runtime/process.h"
#include "agent/runtime/runtime.h"
#include "agent/runtime/sealed.h"
#include "agent/util/fsutil.h"
#include "base/list.h"
#include "base/mem.h"

#define CRUN_RUN_MAX       (256u << 20) /* bytes of all configurations */
#define CRUN_CONFIG_PREFIX "config-"    /* no id of a container begins like these: it begins with a pod's uid */
#define CRUN_BUNDLE_PREFIX "bundle-"
#define CRUN_MESSAGE       "message/termination-log" /* below the container's directory, on a tmpfs of its own */
#define CRUN_MESSAGE_MAX   (16u << 10)               /* bytes; RUNTIME_MESSAGE_MAX of them are told */
#define CRUN_EXEC_PREFIX   "exec-"

struct crun;

struct crun_done { /* someone who waits for a removal */
    struct list link;
    runtime_done_cb *cb;
    void *data;
};

/* An OCI runtime that is not crun. What is known of crun's files and habits does not hold for its containers: it is
 * asked for each step. */
struct crun_handler {
    char *name;
    struct sealed program;
};

struct crun_container {
    struct list link;
    struct crun *rt;
    char id[RUNTIME_ID_MAX];
    char *dir;   /* RT/containers/ID */
    char *upper; /* DIR/upper */
    char *pod_uid, *name, *image_ref, *note, *log_path, *cgroup_path;
    char *handler; /* name of its crun_handler; NULL, "" = crun */
    unsigned attempt;
    enum runtime_state state;
    int64_t created_ms, started_ms, finished_ms;
    int pid;
    uint64_t pid_started; /* field 22 of /proc/PID/stat: tells a process from a later one with the same number */
    int pidfd;            /* -1 = none */
    uv_poll_t *poll;      /* on pidfd, RUNNING only; freed in its close callback */
    uv_timer_t *patience; /* the process is gone and no exit file is there yet; freed in its close callback */
    int exit_code, signal;
    bool oom_killed;
    char *reason, *message;
    struct image *image; /* held, may be NULL */
    bool removing, leftover;
    bool by_hand;         /* what crun has of it is removed without crun, which is not needed or could not */
    struct list removers; /* struct crun_done */
    uv_work_t work;
};

struct crun {
    struct runtime base; /* first */
    uv_loop_t *loop;
    const struct log *log;
    char *dir, *run_dir, *conmon_path;
    struct sealed crun;
    struct crun_handler *handlers; /* beside crun */
    unsigned handlers_count;
    char *seccomp_dir; /* or NULL */
    struct filters *filters;
    unsigned log_max_bytes, log_max_files;
    int64_t call_ms;
    struct image_store *images;
    char version[32];
    bool cgroup_v2;
    struct list containers;
    struct list execs;   /* captured commands */
    struct list streams; /* struct runtime_exec */
    uv_fs_event_t exits;
    uv_timer_t exits_timer; /* runs while they cannot be watched */
    uv_timer_t log_timer;
    unsigned holders; /* the owner, operations in progress, open handles */
    bool closing, closed_handles;
    void (*close_cb)(void *data);
    void *close_data;
};

void crun_hold(struct crun *rt);
void crun_release(struct crun *rt);

struct crun_container *crun_find(struct crun *rt, const char *id);
void crun_fill_status(const struct crun_container *c, struct runtime_status *out);
int crun_write_state(struct crun_container *c, struct error *err);
bool crun_read_state(struct crun_container *c); /* false: none, damaged, or an interrupted start */
void crun_stop_watching(struct crun_container *c);
/* RUNNING -> EXITED by what conmon left; false if it has left nothing. Nobody is told. */
bool crun_take_exit_file(struct crun_container *c);
void crun_take_unknown_end(struct crun_container *c);
void crun_on_exit_dir(uv_fs_event_t *h, const char *name, int events, int status);
/* RUNNING from here on: watches the process; then looks whether it has ended already. */
void crun_watch(struct crun_container *c);
void crun_check_exit(struct crun_container *c);
void crun_log_timer(struct crun *rt);
/* crun, mounts, files, memory; tells the removers. */
void crun_begin_removal(struct crun_container *c);
struct crun_container *crun_container_new(struct crun *rt, const char *id);
void crun_container_free(struct crun_container *c); /* nobody watches it, nobody waits */

/* Memory of the runtime and all its containers; then close_cb. crun_release does it; else only for a runtime that
 * never began. */
void crun_free_all(struct crun *rt);
int crun_conmon_pid(const struct crun_container *c); /* of its living conmon; 0 = none */

/* The program that runs the container; NULL: the agent is not given its handler any more. */
struct sealed *crun_program(const struct crun_container *c);
/* Is that crun itself, and no script in its place? Then what is known of crun's files holds. */
bool crun_is_known(const struct crun_container *c);
static inline bool crun_is_foreign(const struct crun_container *c)
{
    return c->handler != NULL && c->handler[0] != '\0';
}
/* argv for the program that runs c, which must be there: path, --root, run_dir, then the rest. */
#define CRUN_ARGV(c, ...)                                                                                              \
    (const char *[])                                                                                                   \
    {                                                                                                                  \
        sealed_program(crun_program(c)), "--root", (c)->rt->run_dir, __VA_ARGS__, NULL                                 \
    }

/* runtime/crun_start.c */
/* While it is created. Of a foreign one for as long as it exists: what other runtimes keep is their own. */
void crun_config_path(const struct crun_container *c, char out[FS_PATH_MAX]);
void crun_drop_config(const struct crun_container *c); /* ours; crun's copy stays. Not of a foreign one */
void crun_create_start(struct runtime *rt, const struct runtime_spec *spec, runtime_start_cb *cb, void *data);

/* runtime/crun_capture.c */
void crun_exec(struct runtime *rt, const char *id, const char *const *argv, int64_t timeout_ms, runtime_exec_cb *cb,
               void *data);
/* runtime/crun_exec.c */
struct runtime_exec *crun_exec_open(struct runtime *rt, const char *id, const struct runtime_exec_spec *spec,
                                    const struct runtime_exec_events *events, void *data);
void crun_exec_write(struct runtime_exec *x, const void *p, size_t n);
size_t crun_exec_pending(const struct runtime_exec *x);
void crun_exec_end_input(struct runtime_exec *x);
void crun_exec_resize(struct runtime_exec *x, unsigned rows, unsigned columns);
void crun_exec_pause(struct runtime_exec *x, bool pause);
void crun_exec_kill(struct runtime_exec *x);
void crun_exec_kill_all(struct crun *rt);

/* runtime/crun_attach.c */
int crun_attach(struct runtime *rt, const char *id, int *fd, struct error *err);
void crun_attach_resize(struct runtime *rt, const char *id, unsigned rows, unsigned columns);

#endif
