/* The containers in memory, and the end of the runtime when nobody holds it any more. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/runtime/crun_int.h"

void crun_hold(struct crun *rt)
{
    rt->holders++;
}

void crun_container_free(struct crun_container *c)
{
    assert(list_empty(&c->removers) && c->poll == NULL && c->patience == NULL);
    list_remove(&c->link);
    image_unref(c->image);
    free(c->dir);
    free(c->upper);
    free(c->pod_uid);
    free(c->name);
    free(c->image_ref);
    free(c->note);
    free(c->log_path);
    free(c->cgroup_path);
    free(c->handler);
    free(c->reason);
    free(c->message);
    free(c);
}

void crun_free_all(struct crun *rt)
{
    void (*cb)(void *data) = rt->close_cb;
    void *data = rt->close_data;
    LIST_FOR_SAFE(it, &rt->containers)
    {
        crun_container_free(LIST_ENTRY(it, struct crun_container, link));
    }
    filters_free(rt->filters);
    free(rt->seccomp_dir);
    free(rt->dir);
    free(rt->run_dir);
    sealed_close(&rt->crun);
    for (unsigned i = 0; i < rt->handlers_count; i++) {
        sealed_close(&rt->handlers[i].program);
        free(rt->handlers[i].name);
    }
    free(rt->handlers);
    free(rt->conmon_path);
    free(rt);
    if (cb != NULL) {
        cb(data);
    }
}

void crun_release(struct crun *rt)
{
    assert(rt->holders > 0);
    if (--rt->holders == 0) {
        crun_free_all(rt);
    }
}

struct crun_container *crun_container_new(struct crun *rt, const char *id)
{
    struct crun_container *c = xcalloc(1, sizeof *c);
    c->rt = rt;
    snprintf(c->id, sizeof c->id, "%s", id);
    c->dir = xasprintf("%s/containers/%s", rt->dir, id);
    c->upper = xasprintf("%s/upper", c->dir);
    c->pidfd = -1;
    list_init(&c->removers);
    list_push_back(&rt->containers, &c->link);
    return c;
}

struct crun_container *crun_find(struct crun *rt, const char *id)
{
    LIST_FOR(it, &rt->containers)
    {
        struct crun_container *c = LIST_ENTRY(it, struct crun_container, link);
        if (strcmp(c->id, id) == 0) {
            return c;
        }
    }
    return NULL;
}

static const char *or_empty(const char *s)
{
    return s == NULL ? "" : s;
}

void crun_fill_status(const struct crun_container *c, struct runtime_status *out)
{
    *out = (struct runtime_status){
        .id = c->id,
        .pod_uid = or_empty(c->pod_uid),
        .name = or_empty(c->name),
        .attempt = c->attempt,
        .state = c->state,
        .handler = or_empty(c->handler),
        .image_ref = or_empty(c->image_ref),
        .note = or_empty(c->note),
        .log_path = or_empty(c->log_path),
        .writable_path = or_empty(c->upper),
        .pid = c->state == RUNTIME_RUNNING ? c->pid : 0,
        .created_ms = c->created_ms,
        .started_ms = c->started_ms,
        .finished_ms = c->finished_ms,
        .exit_code = c->exit_code,
        .signal = c->signal,
        .oom_killed = c->oom_killed,
        .reason = or_empty(c->reason),
        .message = or_empty(c->message),
    };
}

/* ---- Its program ---- */

struct sealed *crun_program(const struct crun_container *c)
{
    if (!crun_is_foreign(c)) {
        return &c->rt->crun;
    }
    for (unsigned i = 0; i < c->rt->handlers_count; i++) {
        if (strcmp(c->rt->handlers[i].name, c->handler) == 0) {
            return &c->rt->handlers[i].program;
        }
    }
    return NULL;
}

bool crun_is_known(const struct crun_container *c)
{
    return !crun_is_foreign(c) && sealed_is_binary(&c->rt->crun);
}

/* ---- Its configuration ---- */

void crun_config_path(const struct crun_container *c, char out[FS_PATH_MAX])
{
    fs_path(out, FS_PATH_MAX, "%s/%s%s.json", c->rt->run_dir,
            crun_is_foreign(c) ? CRUN_BUNDLE_PREFIX : CRUN_CONFIG_PREFIX, c->id);
}

void crun_drop_config(const struct crun_container *c)
{
    char path[FS_PATH_MAX];
    if (crun_is_foreign(c)) {
        return;
    }
    crun_config_path(c, path);
    unlink(path);
    fs_path(path, sizeof path, "%s/config.json", c->dir);
    unlink(path);
}
