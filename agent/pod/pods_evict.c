/* Pods that use more of the disk than they may (evict.h), or more than others while it is nearly full. Measured in
 * rounds by worker threads, only if a pod has such a limit or the disk is nearly full, and few pods at a time: a pod
 * with millions of files keeps a thread busy for as long as it takes, and the others are needed for images, sandboxes
 * and deletions. When all have been measured and the disk is still nearly full, unused images go first (images.h), then
 * one pod; the next one not before it has given everything back. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/images.h"
#include "agent/node.h"
#include "agent/pod/evict.h"
#include "agent/pod/evict_open.h"
#include "agent/pod/pods.h"
#include "agent/pod/source.h"
#include "agent/util/fsutil.h"

#define MEASURE_AT_ONCE 2u    /* of the four threads there are */
#define GIVE_BACK_MS    60000 /* so long at most the next one waits for what an evicted pod gives back */

struct measure {
    uv_work_t work;
    struct agent *agent;
    char uid[64];
    unsigned volumes_count, containers_count;
    char **volumes, **layers, **logs; /* paths; NULL = not measured */
    char **procs;                     /* files with the processes of the containers; NULL = none */
    struct podspec *spec;             /* of its own: what is mounted where */
    unsigned turn;
    dev_t disk;
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
        free(m->procs[i]);
    }
    free(m->procs);
    podspec_free(m->spec);
    free(m->volumes);
    free(m->layers);
    free(m->logs);
    free(m->volume_bytes);
    free(m->container_bytes);
    free(m);
}

struct hidden {
    struct measure *m;
    unsigned container;
};

static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') {
        n--;
    }
    return strncmp(path, dir, n) == 0 && (n == 1 || path[n] == '/' || path[n] == '\0');
}

/* A file that is deleted and open counts where it was: for the volume that is mounted there, else for the container.
 * What is deleted of a hostPath is nobody's. */
static void count_hidden(const char *path, uint64_t bytes, void *data)
{
    const struct hidden *h = data;
    const struct podspec *s = h->m->spec;
    const struct podspec_container *c = &s->containers[h->container];
    const struct podspec_mount *at = NULL;
    for (unsigned i = 0; i < c->mounts_count; i++) {
        if (is_below(path, c->mounts[i].path) && (at == NULL || strlen(c->mounts[i].path) > strlen(at->path))) {
            at = &c->mounts[i];
        }
    }
    if (at == NULL) {
        h->m->container_bytes[h->container] += bytes;
    }
    for (unsigned i = 0; at != NULL && i < s->volumes_count; i++) {
        if (strcmp(s->volumes[i].name, at->name) == 0 && evict_is_disk(&s->volumes[i])) {
            h->m->volume_bytes[i] += bytes;
        }
    }
}

static void measure_hidden(struct measure *m)
{
    struct hidden h = {.m = m};
    struct evict_open o = {.disk = m->disk, .left = EVICT_OPEN_MAX, .turn = m->turn, .found = count_hidden, .data = &h};
    for (; h.container < m->containers_count; h.container++) {
        if (m->procs[h.container] != NULL) {
            evict_open_measure(&o, m->procs[h.container]);
        }
    }
    evict_open_close(&o);
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
    measure_hidden(m);
}

static bool has_pressure(const struct agent *a)
{
    return a->conditions[NODE_DISK_PRESSURE].is_short;
}

static bool may_be_evicted(const struct agent_pod *ap)
{
    const struct pod *p = ap->pod;
    return !ap->gone && !p->deleting && !p->failed && (p->state == POD_INIT || p->state == POD_RUNNING) &&
           (evict_has_limits(p->spec) || has_pressure(ap->agent));
}

void pods_evict(struct agent_pod *ap, const char *message, bool for_node)
{
    log_warn(ap->agent->log, "pods", "pod %s/%s (%s) is evicted: %s", ap->ns, ap->name, ap->uid, message);
    ap->agent->evicted_ms = env_now_ms(ap->agent->env);
    pod_evict(ap->pod, message, for_node);
}

bool pods_is_giving_back(const struct agent_pod *ap)
{
    const struct pod *p = ap->pod;
    return p->evicted && p->state != POD_FINISHED && p->state != POD_GONE &&
           env_now_ms(ap->agent->env) - ap->agent->evicted_ms < GIVE_BACK_MS;
}

/* Who goes; NULL if nobody or not yet. */
static struct agent_pod *worst(struct agent *a, struct evict_candidate *out)
{
    const struct strmap_entry *e;
    struct agent_pod *found = NULL;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        const struct podspec *s = ap->pod->spec;
        if (pods_is_giving_back(ap)) {
            return NULL;
        }
        struct evict_candidate c = {.priority = mp_int(mp_path(object_mp(s->object), "spec.priority"), 0),
                                    .used = ap->disk_bytes,
                                    .requested = (uint64_t)MAX(s->total.ephemeral_bytes, 0)};
        if (ap->measured && may_be_evicted(ap) && evict_helps(&c, (uint64_t)a->facts.disk_bytes) &&
            (found == NULL || evict_goes_first(&c, out))) {
            found = ap;
            *out = c;
        }
    }
    return found;
}

static void relieve(struct agent *a)
{
    struct evict_candidate c;
    char message[EVICT_MESSAGE_MAX];
    if (!has_pressure(a)) {
        return;
    }
    if (node_check(a)) { /* as it is now, not as it was some seconds ago */
        report_node_dirty(a->report);
    }
    struct agent_pod *ap = has_pressure(a) && !images_relieve(a) ? worst(a, &c) : NULL;
    if (ap != NULL) {
        evict_pressure_message(&c, message);
        pods_evict(ap, message, true);
    }
}

static void measure_next(struct agent *a);

static void measured(uv_work_t *w, int status)
{
    struct measure *m = CONTAINER_OF(w, struct measure, work);
    struct agent *a = m->agent;
    struct agent_pod *ap = strmap_get(&a->pods, str_of(m->uid));
    struct evict_usage usage = {m->volume_bytes, m->container_bytes};
    char message[EVICT_MESSAGE_MAX];
    a->pending--;
    a->measuring--;
    if (ap != NULL) {
        ap->measuring = false;
    }
    if (status == 0 && !a->stopping && ap != NULL && may_be_evicted(ap)) {
        ap->disk_bytes = evict_used(ap->pod->spec, &usage);
        ap->measured = true;
        if (evict_decide(ap->pod->spec, &usage, message)) {
            pods_evict(ap, message, false);
        }
    }
    measure_free(m);
    measure_next(a);
}

static void measure(struct agent_pod *ap)
{
    struct agent *a = ap->agent;
    const struct podspec *s = ap->pod->spec;
    char pod_group[CGROUP_PATH_MAX];
    struct measure *m = xcalloc(1, sizeof *m);
    cgroup_pod_path(a->cgroup, ap->uid, pod_group);
    m->agent = a;
    snprintf(m->uid, sizeof m->uid, "%s", ap->uid);
    m->volumes_count = s->volumes_count;
    m->containers_count = s->main_count;
    m->volumes = xcalloc(s->volumes_count + 1, sizeof *m->volumes);
    m->layers = xcalloc(s->main_count + 1, sizeof *m->layers);
    m->logs = xcalloc(s->main_count + 1, sizeof *m->logs);
    m->procs = xcalloc(s->main_count + 1, sizeof *m->procs);
    m->turn = ap->measurements++;
    m->disk = a->disk;
    if (podspec_new(s->object, &m->spec, NULL) != 0) {
        m->spec = NULL;
    }
    m->volume_bytes = xcalloc(s->volumes_count + 1, sizeof *m->volume_bytes);
    m->container_bytes = xcalloc(s->main_count + 1, sizeof *m->container_bytes);
    for (unsigned i = 0; i < s->volumes_count; i++) {
        char path[VOLUME_PATH_MAX];
        const struct source_mount where = {.pod = ap, .store = a->volumes, .spec = s, .volume = &s->volumes[i]};
        if (evict_is_disk(&s->volumes[i]) && s->volumes[i].how->mount(&where, path, NULL) == 0) {
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
        container_runtime_id(c, c->attempt, id);
        if (runtime_get(a->runtime, id, &st) && st.writable_path[0] != '\0') {
            m->layers[i] = xstrdup(st.writable_path);
        }
        if (m->spec != NULL && container_is_up(c) && a->cgroup != NULL) {
            char group[CGROUP_PATH_MAX], procs[CGROUP_PATH_MAX * 2];
            fs_path(group, sizeof group, "%s/%s", pod_group, id);
            cgroup_procs_file(a->cgroup, group, procs);
            m->procs[i] = procs[0] == '\0' ? NULL : xstrdup(procs);
        }
        logfile_path(log, a->logs_dir, ap->ns, ap->name, ap->uid, c->spec->name, c->attempt);
        char *slash = strrchr(log, '/');
        m->logs[i] = slash == NULL ? NULL : xstrndup(log, (size_t)(slash - log));
    }
    ap->measuring = true;
    ap->measure_due = false;
    a->pending++;
    a->measuring++;
    int rc = uv_queue_work(a->loop, &m->work, measure_work, measured);
    assert(rc == 0);
    (void)rc;
}

static void measure_next(struct agent *a)
{
    const struct strmap_entry *e;
    for (size_t i = 0; !a->stopping && a->measuring < MEASURE_AT_ONCE && (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        if (ap->measure_due && !ap->measuring && may_be_evicted(ap)) {
            measure(ap);
        }
    }
    if (a->measuring == 0 && !a->stopping) {
        relieve(a);
    }
}

void pods_on_measure(uv_timer_t *t)
{
    struct agent *a = t->data;
    const struct strmap_entry *e;
    bool any = has_pressure(a), all_known = a->measuring > 0;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        bool wanted = may_be_evicted(ap) && !ap->measuring;
        any = any || evict_has_limits(ap->pod->spec);
        all_known = all_known && (!wanted || (ap->measured && !ap->measure_due));
        ap->measure_due = wanted;
    }
    if (all_known) {
        relieve(a); /* nobody waits for one that takes longer than a round */
    }
    if (any) {
        measure_next(a);
    } else {
        uv_timer_stop(t); /* idle costs nothing; the next such pod, or a disk nearly full, turns it on again */
    }
}

static void watch(struct agent *a)
{
    if (!a->hollow && !a->stopping && !uv_is_active((uv_handle_t *)&a->measure)) {
        uv_timer_start(&a->measure, pods_on_measure, AGENT_MEASURE_MS, AGENT_MEASURE_MS);
    }
}

void pods_watch_disk(struct agent_pod *ap)
{
    if (evict_has_limits(ap->pod->spec)) {
        watch(ap->agent);
    }
}

void pods_on_pressure(struct agent *a)
{
    if (has_pressure(a)) {
        watch(a);
    }
}
