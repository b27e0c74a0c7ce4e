/* Pods that use more of the disk than they may (evict.h). Measured one pod at a time by a worker thread, and only if a pod has such a limit. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_int.h"
#include "agent/evict.h"
#include "agent/fsutil.h"

struct measure {
    uv_work_t work;
    struct agent *agent;
    char uid[64];
    unsigned volumes_count, containers_count;
    char **volumes, **layers, **logs; /* paths; NULL = not measured */
    uint64_t *volume_bytes, *container_bytes;
};

static void measure_free(struct measure *m)
{
    for (unsigned i = 0; i < m->volumes_count; i++) {
        free(m->volumes[i]);
    }
    for (unsigned i = 0; i < m->containers_count; i++) {
        free(m->layers[i]);
        free(m->logs[i]);
    }
    free(m->volumes);
    free(m->layers);
    free(m->logs);
    free(m->volume_bytes);
    free(m->container_bytes);
    free(m);
}

static void measure_work(uv_work_t *w)
{
    struct measure *m = CONTAINER_OF(w, struct measure, work);
    for (unsigned i = 0; i < m->volumes_count; i++) {
        m->volume_bytes[i] = m->volumes[i] == NULL ? 0 : evict_measure(m->volumes[i]);
    }
    for (unsigned i = 0; i < m->containers_count; i++) {
        m->container_bytes[i] = m->layers[i] == NULL ? 0 : evict_measure(m->layers[i]);
        m->container_bytes[i] += m->logs[i] == NULL ? 0 : evict_measure(m->logs[i]);
    }
}

static bool may_be_evicted(const struct agent_pod *ap)
{
    const struct pod *p = ap->pod;
    return !ap->gone && !p->deleting && !p->failed && (p->state == POD_INIT || p->state == POD_RUNNING) &&
           evict_has_limits(p->spec);
}

static void measured(uv_work_t *w, int status)
{
    struct measure *m = CONTAINER_OF(w, struct measure, work);
    struct agent *a = m->agent;
    struct agent_pod *ap = strmap_get(&a->pods, str_of(m->uid));
    char message[EVICT_MESSAGE_MAX];
    a->pending--;
    if (ap != NULL) {
        ap->measuring = false;
    }
    if (status == 0 && !a->stopping && ap != NULL && may_be_evicted(ap) &&
        evict_decide(ap->pod->spec, &(struct evict_usage){m->volume_bytes, m->container_bytes}, message)) {
        log_warn(a->log, "pods", "pod %s/%s (%s) is evicted: %s", ap->ns, ap->name, ap->uid, message);
        pod_evict(ap->pod, message);
    }
    measure_free(m);
}

static void measure(struct agent_pod *ap)
{
    struct agent *a = ap->agent;
    const struct podspec *s = ap->pod->spec;
    struct measure *m = xcalloc(1, sizeof *m);
    m->agent = a;
    snprintf(m->uid, sizeof m->uid, "%s", ap->uid);
    m->volumes_count = s->volumes_count;
    m->containers_count = s->main_count;
    m->volumes = xcalloc(s->volumes_count + 1, sizeof *m->volumes);
    m->layers = xcalloc(s->main_count + 1, sizeof *m->layers);
    m->logs = xcalloc(s->main_count + 1, sizeof *m->logs);
    m->volume_bytes = xcalloc(s->volumes_count + 1, sizeof *m->volume_bytes);
    m->container_bytes = xcalloc(s->main_count + 1, sizeof *m->container_bytes);
    for (unsigned i = 0; i < s->volumes_count; i++) {
        char path[VOLUME_PATH_MAX];
        if (evict_is_disk(&s->volumes[i]) &&
            volume_empty_dir(a->volumes, ap->uid, s->volumes[i].name, false, 0, s->fs_group, path, NULL) == 0) {
            m->volumes[i] = xstrdup(path);
        }
    }
    for (unsigned i = 0; i < s->main_count; i++) {
        const struct container *c = ap->pod->containers[i];
        struct runtime_status st;
        char id[RUNTIME_ID_MAX], log[LOGFILE_PATH_MAX];
        if (!c->has_run) {
            continue;
        }
        podops_container_id(c, c->attempt, id);
        if (runtime_get(a->runtime, id, &st) && st.writable_path[0] != '\0') {
            m->layers[i] = xstrdup(st.writable_path);
        }
        logfile_path(log, a->logs_dir, ap->ns, ap->name, ap->uid, c->spec->name, c->attempt);
        char *slash = strrchr(log, '/');
        m->logs[i] = slash == NULL ? NULL : xstrndup(log, (size_t)(slash - log));
    }
    ap->measuring = true;
    a->pending++;
    int rc = uv_queue_work(a->loop, &m->work, measure_work, measured);
    assert(rc == 0);
    (void)rc;
}

void pods_on_measure(uv_timer_t *t)
{
    struct agent *a = t->data;
    const struct strmap_entry *e;
    bool any = false;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        bool limited = may_be_evicted(ap);
        any = any || limited || evict_has_limits(ap->pod->spec);
        if (limited && !ap->measuring) {
            measure(ap);
        }
    }
    if (!any) {
        uv_timer_stop(t); /* idle costs nothing; the next such pod turns it on again */
    }
}

void pods_watch_disk(struct agent_pod *ap)
{
    struct agent *a = ap->agent;
    if (!a->hollow && !a->stopping && !uv_is_active((uv_handle_t *)&a->measure) && evict_has_limits(ap->pod->spec)) {
        uv_timer_start(&a->measure, pods_on_measure, AGENT_MEASURE_MS, AGENT_MEASURE_MS);
    }
}
