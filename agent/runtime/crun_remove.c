/* Removal: crun, mounts, files, memory; whoever waits is told. */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/runtime/cgroup.h"
#include "agent/runtime/crun_int.h"
#include "base/failpoint.h"

#define CONMON_MS 1000 /* for conmon to follow its container */

/* The pid of the container's conmon if it is alive, 0 otherwise. */
int crun_conmon_pid(const struct crun_container *c)
{
    char path[FS_PATH_MAX], text[64];
    fs_path(path, sizeof path, "%s/conmon.pid", c->dir);
    int pid = fs_read_line(path, text, sizeof text) ? atoi(text) : 0;
    uint64_t started;
    if (!process_started(pid, &started)) { /* also for one that is dead and not yet reaped */
        return 0;
    }
    fs_path(path, sizeof path, "/proc/%d/comm", pid);
    return fs_read_line(path, text, sizeof text) && strcmp(text, "conmon") == 0 ? pid : 0;
}

/* conmon follows its container by itself; its exit file must not come after a new container of the same name. Worker
 * thread. */
static void wait_for_conmon(const struct crun_container *c)
{
    for (unsigned waited_ms = 0; waited_ms < CONMON_MS; waited_ms += 5) {
        if (crun_conmon_pid(c) == 0) {
            return;
        }
        usleep(5000);
    }
    int pid = crun_conmon_pid(c);
    if (pid > 0) { /* and the crun that it waits for */
        kill(getpgid(pid) == pid ? -pid : pid, SIGKILL);
    }
}

/* Nothing of the container runs on, and the next one of its name is not refused. */
static void remove_by_hand(const struct crun_container *c)
{
    char path[FS_PATH_MAX];
    struct error err = {0};
    cgroup_kill(c->cgroup_path);
    fs_path(path, sizeof path, "%s/%s", c->rt->run_dir, c->id);
    fs_unmount_below(path, NULL);
    if (fs_remove_tree(path, &err) != 0) {
        log_warn(c->rt->log, "runtime", "container %s: %s", c->id, err.message);
    }
    if (!cgroup_remove_ended(c->cgroup_path)) {
        log_warn(c->rt->log, "runtime", "container %s: its control groups do not go yet", c->id);
    }
}

static void removal_work(uv_work_t *w)
{
    static const char *const mounted[] = {"rootfs", "message"};
    struct crun_container *c = CONTAINER_OF(w, struct crun_container, work);
    struct error err = {0};
    char path[FS_PATH_MAX];
    if (c->by_hand) {
        remove_by_hand(c);
    }
    wait_for_conmon(c);
    /* Before the directory, from which a later agent would know of it: it holds what the pod's Secrets gave. */
    crun_config_path(c, path);
    unlink(path);
    failpoint(FAILPOINT_container_in_removal);
    if (fs_remove_mounted(c->dir, mounted, ARRAY_SIZE(mounted), &err) != 0) {
        log_warn(c->rt->log, "runtime", "container %s: %s", c->id, err.message);
    }
    fs_path(path, sizeof path, "%s/exits/%s", c->rt->dir, c->id);
    unlink(path);
}

static void removal_done(uv_work_t *w, int status)
{
    struct crun_container *c = CONTAINER_OF(w, struct crun_container, work);
    struct crun *rt = c->rt;
    struct error err = {0};
    struct list removers;
    (void)status;
    int rc = fs_exists(c->dir) ? error_set(&err, ERR_BUSY, "cannot delete %s", c->dir) : 0;
    list_init(&removers);
    while (!list_empty(&c->removers)) {
        struct list *it = c->removers.next;
        list_remove(it);
        list_push_back(&removers, it);
    }
    crun_container_free(c);
    while (!list_empty(&removers)) {
        struct crun_done *d = LIST_ENTRY(removers.next, struct crun_done, link);
        list_remove(&d->link);
        if (d->cb != NULL) {
            d->cb(rc == 0 ? NULL : &err, d->data);
        }
        free(d);
    }
    crun_release(rt);
}

static void start_removal_work(struct crun_container *c)
{
    int rc = uv_queue_work(c->rt->loop, &c->work, removal_work, removal_done);
    assert(rc == 0);
    (void)rc;
}

static void deleted(struct process *p, const struct process_result *r, void *data)
{
    struct crun_container *c = data;
    char path[FS_PATH_MAX];
    struct error err = {0};
    (void)p;
    fs_path(path, sizeof path, "%s/%s", c->rt->run_dir, c->id);
    if (process_result_error(r, "crun delete", &err) != 0 && fs_exists(path)) {
        log_warn(c->rt->log, "runtime", "container %s: %s", c->id, err.message);
        c->by_hand = true;
    }
    start_removal_work(c);
}

void crun_begin_removal(struct crun_container *c)
{
    struct crun *rt = c->rt;
    crun_stop_watching(c);
    c->removing = true;
    crun_hold(rt);
    (void)sealed_program(&rt->crun);
    if (crun_program(c) == NULL) {
        log_warn(rt->log, "runtime",
                 "container %s: no runtime for \"%s\" is configured any more: it is removed by hand", c->id,
                 c->handler);
    }
    if (crun_program(c) == NULL ||
        (c->state == RUNTIME_EXITED && c->cgroup_path != NULL && c->cgroup_path[0] == '/' && crun_is_known(c))) {
        /* Of one that has ended crun has a directory and control groups left, with what it began in them, no hooks,
         * nothing mounted. It takes longer to begin than they take to go. */
        c->by_hand = true;
        start_removal_work(c);
        return;
    }
    process_run(rt->loop,
                &(struct process_spec){.argv = CRUN_ARGV(c, "delete", "--force", c->id), .timeout_ms = rt->call_ms},
                deleted, c);
}
