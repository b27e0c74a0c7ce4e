/* How a container's end becomes known: conmon's exit file (inotify), the pidfd of its process, and patience between the
 * two; and the container's state on disk, which is written at each step. The rules are in runtime/crun.c. */
#include "agent/runtime/cgroup.h"
#include "agent/runtime/crun_int.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/env.h"
#include "base/failpoint.h"
#include "proto/text/text.h"

#define PATIENCE_MS  15000 /* between the end of the process and conmon's exit file */
#define STATE_MAX    (64u << 10)
#define EXIT_UNKNOWN 255

/* ---- State on disk ---- */

static void put_str(struct arena *a, struct value *doc, const char *key, const char *s)
{
    value_set(a, doc, key, value_cstr(a, s == NULL ? "" : s));
}

static void put_int(struct arena *a, struct value *doc, const char *key, int64_t v)
{
    value_set(a, doc, key, value_int(a, v));
}

int crun_write_state(struct crun_container *c, struct error *err)
{
    static const char *const names[] = {"starting", "running", "exited"};
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_FREE char *path = xasprintf("%s/state.json", c->dir);
    assert(!c->removing); /* invariant 4 */
    arena_init(&a);
    struct value *doc = value_map(&a);
    put_str(&a, doc, "state", names[c->state]);
    put_str(&a, doc, "podUID", c->pod_uid);
    put_str(&a, doc, "name", c->name);
    put_int(&a, doc, "attempt", c->attempt);
    put_str(&a, doc, "handler", c->handler);
    put_str(&a, doc, "image", c->image_ref);
    put_str(&a, doc, "note", c->note);
    put_str(&a, doc, "log", c->log_path);
    put_str(&a, doc, "cgroup", c->cgroup_path);
    put_int(&a, doc, "createdMs", c->created_ms);
    put_int(&a, doc, "startedMs", c->started_ms);
    put_int(&a, doc, "finishedMs", c->finished_ms);
    put_int(&a, doc, "pid", c->pid);
    put_int(&a, doc, "pidStarted", (int64_t)c->pid_started);
    put_int(&a, doc, "exitCode", c->exit_code);
    put_int(&a, doc, "signal", c->signal);
    value_set(&a, doc, "oomKilled", value_bool(&a, c->oom_killed));
    put_str(&a, doc, "reason", c->reason);
    put_str(&a, doc, "message", c->message);
    json_write(&b, doc, 0);
    return fs_write_file(path, buf_str(&b), 0600, false, err);
}

static char *take_str(const struct value *doc, const char *key)
{
    struct str s = value_to_str(value_get(doc, key));
    return xstrndup(s.p == NULL ? "" : s.p, s.n);
}

bool crun_read_state(struct crun_container *c)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_FREE char *path = xasprintf("%s/state.json", c->dir);
    struct value *doc;
    arena_init(&a);
    if (fs_read_file(path, STATE_MAX, &b, NULL) != 0 || json_read(&a, buf_str(&b), &doc, NULL) != 0) {
        return false;
    }
    struct str state = value_to_str(value_get(doc, "state"));
    c->state = str_is(state, "running") ? RUNTIME_RUNNING : str_is(state, "exited") ? RUNTIME_EXITED : RUNTIME_STARTING;
    c->pod_uid = take_str(doc, "podUID");
    c->name = take_str(doc, "name");
    c->attempt = (unsigned)value_to_int(value_get(doc, "attempt"), 0);
    c->handler = take_str(doc, "handler");
    c->image_ref = take_str(doc, "image");
    c->note = take_str(doc, "note");
    c->log_path = take_str(doc, "log");
    c->cgroup_path = take_str(doc, "cgroup");
    c->created_ms = value_to_int(value_get(doc, "createdMs"), 0);
    c->started_ms = value_to_int(value_get(doc, "startedMs"), 0);
    c->finished_ms = value_to_int(value_get(doc, "finishedMs"), 0);
    c->pid = (int)value_to_int(value_get(doc, "pid"), 0);
    c->pid_started = (uint64_t)value_to_int(value_get(doc, "pidStarted"), 0);
    c->exit_code = (int)value_to_int(value_get(doc, "exitCode"), 0);
    c->signal = (int)value_to_int(value_get(doc, "signal"), 0);
    c->oom_killed = value_to_bool(value_get(doc, "oomKilled"), false);
    c->reason = take_str(doc, "reason");
    c->message = take_str(doc, "message");
    return c->state != RUNTIME_STARTING;
}

/* ---- Exits ---- */

static void freed_handle(uv_handle_t *h)
{
    struct crun *rt = h->data;
    free(h);
    crun_release(rt);
}

/* The handles go on alone: their data becomes the runtime. */
void crun_stop_watching(struct crun_container *c)
{
    if (c->poll != NULL) {
        uv_poll_stop(c->poll);
        c->poll->data = c->rt;
        uv_close((uv_handle_t *)c->poll, freed_handle);
        c->poll = NULL;
    }
    if (c->patience != NULL) {
        c->patience->data = c->rt;
        uv_close((uv_handle_t *)c->patience, freed_handle);
        c->patience = NULL;
    }
    if (c->pidfd >= 0) {
        close(c->pidfd);
        c->pidfd = -1;
    }
}

/* Kills by the kernel for want of memory in the container's group. */
static bool saw_oom(const struct crun_container *c)
{
    char path[FS_PATH_MAX];
    CLEANUP_BUF struct buf b = BUF_INIT;
    fs_path(path, sizeof path, "%s/persist/oom", c->dir);
    if (fs_exists(path)) {
        return true;
    }
    fs_path(path, sizeof path, "/sys/fs/cgroup%s%s/%s", c->rt->cgroup_v2 ? "" : "/memory",
            c->cgroup_path == NULL ? "" : c->cgroup_path, c->rt->cgroup_v2 ? "memory.events" : "memory.oom_control");
    if (fs_read_file(path, 4096, &b, NULL) != 0) {
        return false;
    }
    const char *s = strstr(buf_cstr(&b), "oom_kill ");
    return s != NULL && atoi(s + strlen("oom_kill ")) > 0;
}

static char *read_message(const struct crun_container *c)
{
    char path[FS_PATH_MAX];
    char *text = xcalloc(1, RUNTIME_MESSAGE_MAX + 1);
    fs_path(path, sizeof path, "%s/" CRUN_MESSAGE, c->dir);
    if (!fs_exists(path)) { /* as agents before had it */
        fs_path(path, sizeof path, "%s/termination-log", c->dir);
    }
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && read(fd, text, RUNTIME_MESSAGE_MAX) < 0) {
        text[0] = '\0';
    }
    return text;
}

static void set_exited(struct crun_container *c, int code, int64_t finished_ms)
{
    struct error err = {0};
    failpoint(FAILPOINT_container_before_end);
    crun_stop_watching(c);
    c->state = RUNTIME_EXITED;
    c->exit_code = code;
    c->signal = code > 128 && code < 128 + 65 ? code - 128 : 0;
    c->finished_ms = finished_ms;
    c->oom_killed = code != 0 && saw_oom(c);
    free(c->reason);
    free(c->message);
    c->reason = xstrdup(c->oom_killed ? "OOMKilled" : code == 0 ? "Completed" : "Error");
    c->message = read_message(c);
    if (crun_write_state(c, &err) != 0) {
        log_warn(c->rt->log, "runtime", "container %s: %s", c->id, err.message);
    }
}

/* What conmon left, if it has. */
bool crun_take_exit_file(struct crun_container *c)
{
    char path[FS_PATH_MAX], text[32];
    struct stat st;
    fs_path(path, sizeof path, "%s/exits/%s", c->rt->dir, c->id);
    if (stat(path, &st) != 0 || !fs_read_line(path, text, sizeof text) || text[0] == '\0') {
        return false;
    }
    set_exited(c, atoi(text), st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000);
    return true;
}

void crun_take_unknown_end(struct crun_container *c)
{
    log_warn(c->rt->log, "runtime", "container %s is gone and nobody saw its end", c->id);
    set_exited(c, EXIT_UNKNOWN, env_wall_ms(env_real()));
    free(c->reason);
    c->reason = xstrdup("ContainerStatusUnknown");
    crun_write_state(c, NULL);
}

static void tell_exit(struct crun_container *c)
{
    struct runtime_status st;
    struct crun *rt = c->rt;
    assert(!c->removing);
    if (!rt->closing && rt->base.events.on_exit != NULL) {
        crun_fill_status(c, &st);
        rt->base.events.on_exit(&st, rt->base.events.data);
    }
}

/* Of one that is being removed nobody wants to know it any more. */
static bool take_exit(struct crun_container *c)
{
    return c->state == RUNTIME_RUNNING && !c->removing && crun_take_exit_file(c);
}

void crun_check_exit(struct crun_container *c)
{
    if (take_exit(c)) {
        tell_exit(c);
    }
}

static void patience_over(uv_timer_t *t)
{
    struct crun_container *c = t->data;
    if (!crun_take_exit_file(c)) {
        crun_take_unknown_end(c);
    }
    tell_exit(c);
}

static void start_patience(struct crun_container *c)
{
    if (c->patience != NULL) {
        return;
    }
    c->patience = xcalloc(1, sizeof *c->patience);
    uv_timer_init(c->rt->loop, c->patience);
    c->patience->data = c;
    crun_hold(c->rt);
    uv_timer_start(c->patience, patience_over, PATIENCE_MS, 0);
}

static void process_ended(uv_poll_t *p, int status, int events)
{
    struct crun_container *c = p->data;
    (void)status;
    (void)events;
    uv_poll_stop(p);
    if (c->cgroup_path != NULL) {
        /* Without a PID namespace of its own a container's first process leaves its children behind, and conmon
         * waits for their output. */
        cgroup_kill(c->cgroup_path);
    }
    start_patience(c);
    crun_check_exit(c);
}

void crun_watch(struct crun_container *c)
{
    assert(c->state == RUNTIME_RUNNING && c->poll == NULL);
    uint64_t started;
    c->pidfd = c->pid > 0 ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
    /* Opened first, compared after: now the number cannot be given to another process. */
    if (c->pidfd < 0 || !process_started(c->pid, &started) || started != c->pid_started) {
        if (c->pidfd >= 0) {
            close(c->pidfd);
            c->pidfd = -1;
        }
        start_patience(c);
        return;
    }
    c->poll = xcalloc(1, sizeof *c->poll);
    if (uv_poll_init(c->rt->loop, c->poll, c->pidfd) != 0) {
        free(c->poll);
        c->poll = NULL;
        return; /* the exit directory is watched all the same */
    }
    c->poll->data = c;
    crun_hold(c->rt);
    uv_poll_start(c->poll, UV_READABLE, process_ended);
}

void crun_on_exit_dir(uv_fs_event_t *h, const char *name, int events, int status)
{
    struct crun *rt = CONTAINER_OF(h, struct crun, exits);
    (void)events;
    (void)status;
    if (name != NULL) {
        struct crun_container *c = crun_find(rt, name);
        if (c != NULL) {
            crun_check_exit(c);
        }
        return;
    }
    /* Too many events at once: look at all. on_exit may change the list, so begin anew after each. */
    for (bool again = true; again;) {
        again = false;
        LIST_FOR(it, &rt->containers)
        {
            struct crun_container *c = LIST_ENTRY(it, struct crun_container, link);
            if (take_exit(c)) {
                tell_exit(c);
                again = true;
                break;
            }
        }
    }
}
