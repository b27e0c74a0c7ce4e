/* The crun runtime: what exists, on disk and in memory; exits; removal.
 *
 *   DIR/containers/ID/
 *       state.json               written when it is created, started, exited: what an agent needs that comes later
 *       rootfs/                  overlay of the image's layers and upper/
 *       upper/, work/            the container's own writes
 *       conmon.pid, pid, ctl     of conmon
 *       message/termination-log  on a tmpfs of its own
 *       config.json              while it is created: a link to RUN/config-ID.json
 *   DIR/exits/ID                 the exit code, written by conmon
 *   RUN/config-ID.json           OCI configuration while it is created; it may hold secrets, so it lies in memory only
 *   RUN/ID/config.json           crun's copy of it, as long as the container exists
 *   RUN/exec-N.{pid,json}        of a command that runs inside
 *
 * conmon is the container's parent, not the agent: it keeps the log and the exit code while the agent is away. The
 * agent hears of an exit by inotify on DIR/exits, and, should conmon have been killed, by the pidfd of the container's
 * process.
 *
 * Learnt the hard way: conmon writes a file "oom" into the directory it is started in as well, so that is the
 * container's. crun exec runs as root unless it is told otherwise (see runtime/crun_command.h). Mounts are made by
 * threads of libuv's pool: to have the agent in a mount namespace of its own, enter it before the first work is
 * queued. crun is slow to start beside clone(2), some 20 ms; so it is run from a sealed copy (sealed.h), and what it
 * does with two or three calls of the system, a start and the end of what has ended, is done without it.
 *
 * Invariants: 1. a directory without state.json, or in state STARTING, is an interrupted start and is removed when
 * the agent comes back, unless crun has started it already: then it is taken for what it is. 2. on_exit is called
 * when a container goes from RUNNING to EXITED, never while it is being removed. 3. A process is only signalled
 * through its pidfd, so never one that has inherited its number. 4. Nothing is written into a container's directory
 * while it is being removed, by a worker: it would not be empty in the end. */
#include "agent/runtime/crun_int.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/runtime/logfile.h"
#include "agent/util/defer.h"

static void handle_closed(uv_handle_t *h)
{
    crun_release(h->data);
}

static bool op_get(struct runtime *base, const char *id, struct runtime_status *out)
{
    struct crun_container *c = crun_find((struct crun *)base, id);
    if (c == NULL || c->leftover) {
        return false;
    }
    crun_fill_status(c, out);
    return true;
}

static bool op_next(struct runtime *base, unsigned *cursor, struct runtime_status *out)
{
    struct crun *rt = (struct crun *)base;
    unsigned at = 0;
    LIST_FOR(it, &rt->containers)
    {
        struct crun_container *c = LIST_ENTRY(it, struct crun_container, link);
        if (!c->leftover && at++ == *cursor) {
            (*cursor)++;
            crun_fill_status(c, out);
            return true;
        }
    }
    return false;
}

/* ---- Signals ---- */

struct deferred_done {
    struct crun *rt;
    runtime_done_cb *cb;
    void *data;
    int rc;
    struct error error;
};

static void done_deferred(void *data)
{
    struct deferred_done *d = data;
    if (d->cb != NULL) {
        d->cb(d->rc == 0 ? NULL : &d->error, d->data);
    }
    crun_release(d->rt);
    free(d);
}

static struct deferred_done *done_later(struct crun *rt, runtime_done_cb *cb, void *data)
{
    struct deferred_done *d = xcalloc(1, sizeof *d);
    d->rt = rt;
    d->cb = cb;
    d->data = data;
    crun_hold(rt);
    defer_call(rt->loop, done_deferred, d);
    return d;
}

static void op_kill(struct runtime *base, const char *id, int signal, runtime_done_cb *cb, void *data)
{
    struct crun *rt = (struct crun *)base;
    struct crun_container *c = crun_find(rt, id);
    struct deferred_done *d = done_later(rt, cb, data);
    if (c == NULL || c->leftover) {
        d->rc = error_set(&d->error, ERR_NOT_FOUND, "there is no container %s", id);
    } else if (c->state == RUNTIME_STARTING) {
        d->rc = error_set(&d->error, ERR_BUSY, "container %s is being started", id);
    } else if (c->state == RUNTIME_RUNNING && c->pidfd >= 0 &&
               syscall(SYS_pidfd_send_signal, c->pidfd, signal, NULL, 0) != 0 && errno != ESRCH) {
        d->rc = error_set_errno(&d->error, errno, "cannot send signal %d to container %s", signal, id);
    }
}

static void op_remove(struct runtime *base, const char *id, runtime_done_cb *cb, void *data)
{
    struct crun *rt = (struct crun *)base;
    struct crun_container *c = crun_find(rt, id);
    if (c == NULL) {
        done_later(rt, cb, data);
        return;
    }
    struct crun_done *d = xcalloc(1, sizeof *d);
    d->cb = cb;
    d->data = data;
    list_push_back(&c->removers, &d->link);
    if (!c->removing && c->state != RUNTIME_STARTING) { /* a start in progress looks for removers at its end */
        crun_begin_removal(c);
    }
}

/* ---- Exits ---- */

/* The kernel counts instances and watches of inotify by user: a pod that runs as root can take all that root may
 * have. */
#define EXITS_UNWATCHED_MS 1000

static void exits_unwatched(uv_timer_t *t);

static void watch_exits(struct crun *rt)
{
    CLEANUP_FREE char *exits = xasprintf("%s/exits", rt->dir);
    int rc = uv_fs_event_start(&rt->exits, crun_on_exit_dir, exits, 0);
    bool unwatched = uv_is_active((uv_handle_t *)&rt->exits_timer);
    if (rc == 0) {
        uv_unref((uv_handle_t *)&rt->exits);
        uv_timer_stop(&rt->exits_timer);
    } else if (!unwatched) {
        log_warn(rt->log, "runtime",
                 "cannot watch %s: %s; it is looked at every second (fs.inotify.max_user_instances "
                 "and max_user_watches say how many of them all programs of a user may have, pods included)",
                 exits, uv_strerror(rc));
        uv_timer_start(&rt->exits_timer, exits_unwatched, EXITS_UNWATCHED_MS, EXITS_UNWATCHED_MS);
        uv_unref((uv_handle_t *)&rt->exits_timer);
    }
}

static void exits_unwatched(uv_timer_t *t)
{
    struct crun *rt = CONTAINER_OF(t, struct crun, exits_timer);
    watch_exits(rt);
    /* Watch first, look after: nothing falls between. */
    crun_on_exit_dir(&rt->exits, NULL, 0, 0);
}

/* ---- Coming back ---- */

/* The agent ended between crun's start of it and the note of that. crun keeps a pipe in its own state of a container
 * for as long as that waits to be started. */
static bool was_started(struct crun_container *c)
{
    char path[FS_PATH_MAX], text[32];
    struct error err = {0};
    fs_path(path, sizeof path, "%s/%s/status", c->rt->run_dir, c->id);
    if (c->pod_uid == NULL || !fs_exists(path)) {
        return false;
    }
    fs_path(path, sizeof path, "%s/%s/exec.fifo", c->rt->run_dir, c->id);
    if (fs_exists(path)) {
        return false;
    }
    fs_path(path, sizeof path, "%s/pid", c->dir);
    c->pid = fs_read_line(path, text, sizeof text) ? atoi(text) : 0;
    if (c->pid <= 0 || !process_started(c->pid, &c->pid_started)) {
        c->pid_started = 0; /* it has ended: conmon says how */
    }
    c->state = RUNTIME_RUNNING;
    c->started_ms = c->created_ms;
    if (crun_write_state(c, &err) != 0) {
        log_warn(c->rt->log, "runtime", "container %s: %s", c->id, err.message);
    }
    return true;
}

static void adopt(struct crun *rt, const char *id)
{
    struct crun_container *c = crun_container_new(rt, id);
    uint64_t started;
    if (!crun_read_state(c) && !was_started(c)) {
        log_info(rt->log, "runtime", "container %s was never started; removing it", id);
        c->leftover = true;
        crun_begin_removal(c);
        return;
    }
    crun_drop_config(c); /* earlier agents kept one on the disk, with the secrets in it */
    if (rt->images != NULL && c->image_ref[0] != '\0') {
        c->image = image_find(rt->images, c->image_ref);
    }
    if (c->state == RUNTIME_EXITED || crun_take_exit_file(c)) {
        return;
    }
    bool alive = process_started(c->pid, &started) && started == c->pid_started;
    if (!alive && crun_conmon_pid(c) == 0) {
        crun_take_unknown_end(c);
        return;
    }
    crun_watch(c);
    crun_log_timer(rt);
}

static void adopt_all(struct crun *rt)
{
    CLEANUP_FREE char *path = xasprintf("%s/containers", rt->dir);
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.' && strlen(e->d_name) < RUNTIME_ID_MAX) {
            adopt(rt, e->d_name);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

/* ---- Open and close ---- */

static const char *op_version(struct runtime *base)
{
    return ((struct crun *)base)->version;
}

static void close_deferred(void *data)
{
    struct crun *rt = data;
    LIST_FOR(it, &rt->containers)
    {
        crun_stop_watching(LIST_ENTRY(it, struct crun_container, link));
    }
    crun_exec_kill_all(rt);
    crun_hold(rt);
    uv_close((uv_handle_t *)&rt->exits, handle_closed);
    crun_hold(rt);
    uv_close((uv_handle_t *)&rt->exits_timer, handle_closed);
    crun_hold(rt);
    uv_close((uv_handle_t *)&rt->log_timer, handle_closed);
    crun_release(rt);
}

static void op_close(struct runtime *base, void (*cb)(void *data), void *data)
{
    struct crun *rt = (struct crun *)base;
    assert(!rt->closing);
    rt->closing = true;
    rt->close_cb = cb;
    rt->close_data = data;
    defer_call(rt->loop, close_deferred, rt);
}

static const struct runtime_ops crun_ops = {
    .name = "crun",
    .create_start = crun_create_start,
    .kill = op_kill,
    .remove = op_remove,
    .get = op_get,
    .next = op_next,
    .exec = crun_exec,
    .exec_open = crun_exec_open,
    .exec_write = crun_exec_write,
    .exec_pending = crun_exec_pending,
    .exec_end_input = crun_exec_end_input,
    .exec_resize = crun_exec_resize,
    .exec_pause = crun_exec_pause,
    .exec_kill = crun_exec_kill,
    .attach = crun_attach,
    .attach_resize = crun_attach_resize,
    .version = op_version,
    .close = op_close,
};

/* "crun version 1.8.1" */
static int read_version(struct crun *rt, struct error *err)
{
    CLEANUP_FREE char *cmd = xasprintf("'%s' --version", rt->crun.path);
    FILE *f = popen(cmd, "re");
    char line[128] = "";
    bool ok = f != NULL && fgets(line, sizeof line, f) != NULL && sscanf(line, "crun version %31s", rt->version) == 1;
    if (f != NULL) {
        while (fgetc(f) != EOF) {
        }
        pclose(f);
    }
    if (!ok) {
        return error_set(err, ERR_NOT_FOUND, "cannot run %s: is the package crun installed?", rt->crun.path);
    }
    if (access(rt->conmon_path, X_OK) != 0) {
        return error_set(err, ERR_NOT_FOUND, "cannot find %s: is the package conmon installed?", rt->conmon_path);
    }
    return 0;
}

/* Configurations hold what the pods' Secrets put into the environment. crun keeps its copy there as well. */
static int make_run_dir(struct crun *rt, struct error *err)
{
    struct error why = {0};
    int rc = fs_make_ram_dir(rt->run_dir, CRUN_RUN_MAX, &why);
    if (rc == ERR_BUSY) { /* an earlier agent's containers have their state there */
        log_warn(rt->log, "runtime", "%s: the environment of containers, also what comes from Secrets, is kept there",
                 why.message);
        return 0;
    }
    return rc == 0 ? 0 : error_set(err, rc, "%s", why.message);
}

/* A configuration for as long as its container is there: "bundle-ID.json". Is that gone? */
static bool is_orphan_bundle(const struct crun *rt, const char *name)
{
    size_t before = strlen(CRUN_BUNDLE_PREFIX), n = strlen(name), after = strlen(".json");
    if (strncmp(name, CRUN_BUNDLE_PREFIX, before) != 0 || n <= before + after ||
        strcmp(name + n - after, ".json") != 0) {
        return false;
    }
    CLEANUP_FREE char *dir = xasprintf("%s/containers/%.*s", rt->dir, (int)(n - before - after), name + before);
    return !fs_exists(dir);
}

/* Files of operations that the agent's end cut off. */
static void sweep_run_dir(const struct crun *rt)
{
    DIR *d = opendir(rt->run_dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, CRUN_EXEC_PREFIX, strlen(CRUN_EXEC_PREFIX)) == 0 ||
            strncmp(e->d_name, CRUN_CONFIG_PREFIX, strlen(CRUN_CONFIG_PREFIX)) == 0 ||
            is_orphan_bundle(rt, e->d_name)) {
            unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

static int prepare_dirs(struct crun *rt, struct error *err)
{
    static const char *const parts[] = {"containers", "exits"};
    int rc = fs_make_private_dir(rt->dir, err);
    rc = rc != 0 ? rc : make_run_dir(rt, err);
    for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(parts); i++) {
        CLEANUP_FREE char *path = xasprintf("%s/%s", rt->dir, parts[i]);
        rc = fs_make_private_dir(path, err);
    }
    return rc;
}

int runtime_crun_new(uv_loop_t *loop, const struct runtime_crun_config *config, const struct runtime_events *events,
                     struct runtime **out, struct error *err)
{
    struct crun *rt = xcalloc(1, sizeof *rt);
    struct statfs fs;
    rt->base.ops = &crun_ops;
    rt->base.events = *events;
    rt->loop = loop;
    rt->log = config->log;
    rt->dir = xstrdup(config->dir);
    rt->run_dir = xstrdup(config->run_dir);
    sealed_init(&rt->crun, config->crun_path != NULL ? config->crun_path : "/usr/bin/crun");
    rt->handlers = xcalloc(config->handlers_count + 1, sizeof *rt->handlers);
    for (; rt->handlers_count < config->handlers_count; rt->handlers_count++) {
        const struct runtime_handler *h = &config->handlers[rt->handlers_count];
        rt->handlers[rt->handlers_count].name = xstrdup(h->name);
        sealed_init(&rt->handlers[rt->handlers_count].program, h->path);
    }
    rt->conmon_path = xstrdup(config->conmon_path != NULL ? config->conmon_path : "/usr/bin/conmon");
    rt->filters = filters_new();
    rt->seccomp_dir = config->seccomp_dir == NULL ? NULL : xstrdup(config->seccomp_dir);
    rt->log_max_bytes = config->log_max_bytes != 0 ? config->log_max_bytes : RUNTIME_LOG_MAX;
    rt->log_max_files = config->log_max_files != 0 ? config->log_max_files : RUNTIME_LOG_FILES;
    rt->call_ms = config->call_ms != 0 ? config->call_ms : RUNTIME_START_MS;
    rt->images = config->images;
    rt->holders = 1;
    rt->cgroup_v2 = statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
    list_init(&rt->containers);
    list_init(&rt->execs);
    list_init(&rt->streams);
    assert(rt->dir[0] == '/' && rt->run_dir[0] == '/');

    int rc = read_version(rt, err);
    rc = rc != 0 ? rc : prepare_dirs(rt, err);
    if (rc == 0) {
        sweep_run_dir(rt);
    }
    if (rc != 0) {
        crun_free_all(rt);
        return rc;
    }
    uv_fs_event_init(loop, &rt->exits);
    uv_timer_init(loop, &rt->exits_timer);
    uv_timer_init(loop, &rt->log_timer);
    rt->exits.data = rt->exits_timer.data = rt->log_timer.data = rt;
    watch_exits(rt); /* first; then what is there is looked at */
    adopt_all(rt);
    *out = &rt->base;
    return 0;
}
