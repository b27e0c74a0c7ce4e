/* Which pods are here: by the leader's list, by the files of the directory, by what runs. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "agent/dataplane.h"
#include "agent/isolation.h"
#include "agent/pod/claims.h"
#include "agent/pod/locals.h"
#include "agent/pod/podops.h"
#include "agent/pod/pods.h"
#include "agent/pod/status.h"
#include "agent/pod/tokens.h"
#include "agent/util/fsutil.h"
#include "proto/facts/condition.h"

/* ---- One pod ---- */

static bool is_over(const struct object *o)
{
    struct str phase = mp_str(mp_path(object_mp(o), "status.phase"));
    return str_is(phase, "Succeeded") || str_is(phase, "Failed");
}

static struct agent_pod *add(struct agent *a, struct object *o)
{
    struct podspec *spec;
    struct error err;
    if (podspec_new(o, &spec, &err) != 0) {
        log_error(a->log, "pods", "pod %.*s/%.*s cannot run: %s", STR_ARG(o->ns), STR_ARG(o->name), err.message);
        return NULL;
    }
    struct agent_pod *ap = xcalloc(1, sizeof *ap);
    ap->agent = a;
    ap->ns = xstrdup(spec->ns);
    ap->name = xstrdup(spec->name);
    ap->uid = xstrdup(spec->uid);
    ap->latest = object_ref(o);
    ap->ordered_revision = o->revision;
    report_item_init(&ap->report, ap->ns, ap->name, ap->uid);
    ap->pod = pod_new(&a->pod_node, spec);
    ap->pod->data = ap;
    ap->pod->latest = ap->latest;
    struct agent_pod *former = strmap_set(&a->pods, str_of(ap->uid), ap);
    assert(former == NULL);
    (void)former;
    pods_watch_disk(ap);
    return ap;
}

static void drop_images(struct agent_pod *ap)
{
    for (unsigned i = 0; i < ap->pod->spec->count; i++) {
        struct image *im = ap->pod->containers[i]->image;
        ap->pod->containers[i]->image = NULL;
        if (im != NULL) {
            image_unref(im);
        }
    }
}

void pods_drop_images(struct agent *a)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        drop_images(e->value);
    }
}

static void free_pod(struct agent_pod *ap)
{
    report_forget(ap->agent->report, &ap->report);
    drop_images(ap);
    pod_free(ap->pod);
    object_unref(ap->latest);
    buf_close(&ap->saying);
    buf_close(&ap->said);
    free(ap->sandbox);
    free(ap->ns);
    free(ap->name);
    free(ap->uid);
    free(ap);
}

void pods_drop_tokens(struct agent_pod *ap)
{
    if (ap->agent->tokens != NULL) {
        tokens_drop(ap->agent->tokens, ap->uid);
    }
}

void pods_drop(struct agent_pod *ap)
{
    pods_forget(ap);
    pods_drop_tokens(ap);
    dataplane_pod_left(ap->agent, str_of(ap->uid));
    isolation_pod_left(ap);
    strmap_remove(&ap->agent->pods, str_of(ap->uid));
    ap->agent->pods_dropped++;
    free_pod(ap);
}

void pods_close(struct agent *a)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        free_pod(e->value);
    }
    strmap_close(&a->pods);
    strmap_init(&a->pods);
}

struct agent_pod *pods_find(struct agent *a, struct str ns, struct str name)
{
    struct agent_pod *found = NULL;
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        if (str_is(ns, ap->ns) && str_is(name, ap->name) && (found == NULL || found->pod->deleting)) {
            found = ap;
        }
    }
    return found;
}

/* ---- The leader's list ---- */

static bool same_part(const struct object *a, const struct object *b, const char *part)
{
    struct mp x = mp_get(object_mp(a), part), y = mp_get(object_mp(b), part);
    size_t n = (size_t)(x.end - x.p);
    return n == (size_t)(y.end - y.p) && memcmp(x.p, y.p, n) == 0;
}

static void take_latest(struct agent_pod *ap, struct object *o)
{
    struct object *old = ap->latest;
    ap->latest = object_ref(o);
    ap->pod->latest = ap->latest;
    object_unref(old);
    if (ap->admitted || is_over(o)) { /* one that waits, or was refused, is decided anew after a restart */
        pods_keep(ap);
    }
}

/* Is the status of the store what we said last? If not (a restored backup, a lost write) it is said again. */
static bool status_differs(struct agent_pod *ap)
{
    CLEANUP_ARENA struct arena arena;
    struct value *stored;
    arena_init(&arena);
    if (ap->pod->status_frozen || ap->gone) {
        return false;
    }
    struct mp m = mp_get(object_mp(ap->latest), "status");
    if (mp_type(m) != MP_MAP || msgpack_read_value(&arena, m.p, (size_t)(m.end - m.p), &stored, NULL) != 0) {
        return true;
    }
    struct value *ours = status_document(ap->pod, env_wall_ms(ap->agent->env), &arena);
    return !value_equal(value_get(stored, "phase"), value_get(ours, "phase")) ||
           !value_equal(value_get(stored, "conditions"), value_get(ours, "conditions")) ||
           !value_equal(value_get(stored, "containerStatuses"), value_get(ours, "containerStatuses")) ||
           !value_equal(value_get(stored, "ephemeralContainerStatuses"), value_get(ours, "ephemeralContainerStatuses"));
}

static void update(struct agent_pod *ap, struct object *o)
{
    struct podspec *spec;
    struct error err;
    const struct object *known = ap->pod->spec->object;
    bool changed = !same_part(known, o, "spec") || !same_part(known, o, "metadata");
    if (changed && podspec_new(o, &spec, &err) != 0) {
        log_error(ap->agent->log, "pods", "pod %s/%s: its new form cannot be read: %s", ap->ns, ap->name, err.message);
        changed = false;
    }
    take_latest(ap, o);
    isolation_pod_is_here(ap);
    if (changed) {
        pod_update(ap->pod, spec);
    } else {
        pod_settle(ap->pod);
    }
    if (ap->pod->state == POD_PENDING) {
        pods_admit(ap);
    }
}

/* The leader does not tell us what we said ourselves, and what it tells of a pod may be older than what it has
 * acknowledged meanwhile: o (one ref, taken) with our status, as the store has it. */
static struct object *with_own_status(const struct agent_pod *ap, struct object *o)
{
    CLEANUP_ARENA struct arena arena;
    struct value *status;
    struct object *ours;
    struct error err;
    arena_init(&arena);
    if (o->revision >= ap->said_revision ||
        msgpack_read_value(&arena, ap->said.data, ap->said.size, &status, NULL) != 0) {
        return o;
    }
    struct value *doc = object_to_value(&arena, o);
    condition_keep(&arena, status, value_get(doc, "status"));
    value_set(&arena, doc, "status", status);
    if (object_from_value(o->kind, doc, o->revision, &ours, &err) != 0) {
        log_error(ap->agent->log, "pods", "pod %s/%s: its own status cannot be kept: %s", ap->ns, ap->name,
                  err.message);
        return o;
    }
    object_unref(o);
    return ours;
}

static void order_new(struct agent *a, struct object *o)
{
    struct agent_pod *ap = add(a, o);
    if (ap == NULL) {
        return;
    }
    ap->seen = true;
    log_info(a->log, "pods", "pod %s/%s (%s) is ordered", ap->ns, ap->name, ap->uid);
    if (is_over(o)) {
        pods_keep(ap);
        pod_adopt_finished(ap->pod);
        if (o->deleting) {
            pod_delete(ap->pod, false);
        }
    } else {
        pods_admit(ap);
    }
}

static void remove_pod(struct agent_pod *ap)
{
    if (!ap->gone) {
        log_info(ap->agent->log, "pods", "pod %s/%s (%s) is no longer ordered", ap->ns, ap->name, ap->uid);
        pod_delete(ap->pod, true);
    }
}

void pods_on_object(struct agent *a, enum session_change change, struct object *o)
{
    if (o->kind->id != KIND_POD || str_empty(o->uid)) {
        return;
    }
    struct agent_pod *ap = strmap_get(&a->pods, o->uid);
    if (change == SESSION_DELETED) {
        if (ap != NULL) {
            remove_pod(ap);
        }
    } else if (ap == NULL) {
        order_new(a, o);
    } else if (!ap->gone) {
        ap->seen = true;
        ap->said_revision = a->in_list ? 0 : ap->said_revision; /* what a list says is what there is */
        CLEANUP_OBJECT struct object *whole = with_own_status(ap, object_ref(o));
        update(ap, whole);
        if (change == SESSION_ADDED && status_differs(ap)) { /* from a whole list */
            report_force(a->report, &ap->report);
        }
    } else {
        ap->seen = true;
        report_gone(a->report, &ap->report); /* the leader has forgotten that we said so */
    }
}

void pods_list_begin(struct agent *a)
{
    const struct strmap_entry *e;
    a->in_list = true;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        ((struct agent_pod *)e->value)->seen = false;
    }
}

/* ---- What belongs to no pod ---- */

static void on_orphan_gone(const struct error *error, void *data)
{
    struct agent *a = data;
    a->pending--;
    if (error != NULL && error->code != ERR_NOT_FOUND && error->code != ERR_CANCELED) {
        log_warn(a->log, "pods", "left over: %s", error->message);
    }
}

static bool is_orphan(struct agent *a, const char *uid)
{
    return strmap_get(&a->pods, str_of(uid)) == NULL;
}

static void remove_orphan_containers(struct agent *a)
{
    struct runtime_status st;
    for (unsigned cursor = 0; runtime_next(a->runtime, &cursor, &st);) {
        if (is_orphan(a, st.pod_uid)) {
            log_info(a->log, "pods", "container %s belongs to no pod and is removed", st.id);
            journal_write(a->journal, &(struct journal_entry){.event = "stop",
                                                              .ns = "",
                                                              .pod = "",
                                                              .uid = st.pod_uid,
                                                              .container = st.name,
                                                              .attempt = st.attempt,
                                                              .why = "belongs to no pod",
                                                              .exit_code = -1});
            a->pending++;
            runtime_remove(a->runtime, st.id, on_orphan_gone, a);
        }
    }
}

static void remove_orphans(struct agent *a)
{
    char uid[64];
    remove_orphan_containers(a);
    for (unsigned cursor = 0; network_next(a->network, &cursor, uid);) {
        struct sandbox sb;
        if (is_orphan(a, uid)) {
            a->pending++;
            network_del(a->network, uid, sandbox_find(a->sandboxes, uid, &sb) ? sb.net : "", on_orphan_gone, a);
        }
    }
    for (unsigned cursor = 0; sandbox_next(a->sandboxes, &cursor, uid);) {
        if (is_orphan(a, uid)) {
            a->pending++;
            sandbox_remove(a->sandboxes, uid, on_orphan_gone, a);
        }
    }
    for (unsigned cursor = 0; volume_next(a->volumes, &cursor, uid);) {
        if (is_orphan(a, uid)) {
            a->pending++;
            volume_force_remove_pod(a->volumes, uid, on_orphan_gone, a);
        }
    }
    for (unsigned cursor = 0; cgroup_pod_next(a->cgroup, &cursor, uid);) {
        if (is_orphan(a, uid)) {
            a->pending++;
            cgroup_pod_remove(a->cgroup, uid, on_orphan_gone, a);
        }
    }
}

void pods_list_end(struct agent *a)
{
    const struct strmap_entry *e;
    bool first = !a->synced;
    a->synced = true;
    a->in_list = false;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        if (!ap->seen) {
            remove_pod(ap);
        }
    }
    pods_admit_waiting(a);
    if (first && !a->hollow) {
        remove_orphans(a);
    }
}

/* Those that wait for a volume may have been waiting for this pod. */
static void try_volumes(struct agent *a)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        if (!ap->gone && ap->pod->state == POD_VOLUMES) {
            pod_refs_changed(ap->pod);
        }
    }
}

void pods_refs_changed(struct agent *a, const struct object *ref)
{
    if (ref == NULL || ref->kind->id == KIND_PERSISTENTVOLUME) { /* pods name claims, and those name volumes */
        locals_check(a);
        if (ref != NULL) {
            try_volumes(a);
            return;
        }
    }
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        if (!ap->gone && (ref == NULL || podspec_refers(ap->pod->spec, ref))) {
            pod_refs_changed(ap->pod);
        }
    }
}

/* ---- Volumes ---- */

void pods_on_attached(const char *uid, void *data)
{
    struct agent *a = data;
    struct agent_pod *ap = strmap_get(&a->pods, str_of(uid));
    if (ap != NULL && !ap->gone && !a->stopping) {
        pod_refs_changed(ap->pod);
    }
}

void pods_on_removed(const char *uid, void *data)
{
    struct agent *a = data;
    if (claims_drop(a->claims, uid) && !a->stopping) {
        try_volumes(a);
        locals_check(a);
    }
}

/* ---- Tokens ---- */

void pods_on_token(const char *uid, void *data)
{
    pods_on_attached(uid, data);
}

void pods_on_token_lacking(const char *uid, const char *volume, const char *why, void *data)
{
    struct agent *a = data;
    struct agent_pod *ap = strmap_get(&a->pods, str_of(uid));
    if (ap != NULL && !ap->gone && !a->stopping) {
        pod_event(ap->pod, NULL, true, "FailedMount", "MountVolume.SetUp failed for volume \"%s\": %s", volume, why);
    }
}

void pods_images_changed(struct agent *a)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        if (!ap->gone) {
            pod_images_changed(ap->pod);
        }
    }
}

/* ---- After a restart of the agent ---- */

static struct mp last_container_status(const struct agent_pod *ap, const struct container *c)
{
    struct mp list = mp_path(object_mp(ap->latest), c->spec->is_init        ? "status.initContainerStatuses"
                                                    : c->spec->is_ephemeral ? "status.ephemeralContainerStatuses"
                                                                            : "status.containerStatuses");
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "name")), c->spec->name)) {
            return it.value;
        }
    }
    return mp_of(NULL, 0);
}

/* A process whose namespaces are lost is of no use: it ends as if it had crashed. */
static void end_stray(struct agent *a, struct runtime_status *st)
{
    a->pending++;
    runtime_remove(a->runtime, st->id, on_orphan_gone, a);
    st->state = RUNTIME_EXITED;
    st->exit_code = 137;
    st->reason = "ContainerStatusUnknown";
    st->message = "its sandbox was lost";
    st->finished_ms = env_wall_ms(a->env);
}

/* The newest attempt is what it is; the one before is its lastState. */
static void adopt_container(struct agent_pod *ap, struct container *c)
{
    struct agent *a = ap->agent;
    struct runtime_status st;
    unsigned newest = 0;
    bool found = false;
    char id[RUNTIME_ID_MAX];
    for (unsigned cursor = 0; runtime_next(a->runtime, &cursor, &st);) {
        if (strcmp(st.pod_uid, ap->uid) == 0 && strcmp(st.name, c->spec->name) == 0) {
            newest = found ? MAX(newest, st.attempt) : st.attempt;
            found = true;
        }
    }
    if (!found) {
        return;
    }
    if (newest > 0) {
        runtime_container_id(id, ap->uid, c->spec->name, newest - 1);
        if (runtime_get(a->runtime, id, &st) && st.state == RUNTIME_EXITED) {
            container_adopt_last(c, &st);
        }
    }
    runtime_container_id(id, ap->uid, c->spec->name, newest);
    if (runtime_get(a->runtime, id, &st)) {
        struct mp last = last_container_status(ap, c);
        bool alive = ap->sandbox != NULL;
        if (st.state != RUNTIME_EXITED && !alive) {
            end_stray(a, &st);
        }
        container_adopt(c, &st, alive, mp_bool(mp_get(last, "started"), false), mp_bool(mp_get(last, "ready"), false));
    }
}

static void end_strays(struct agent_pod *ap)
{
    struct runtime_status st;
    for (unsigned cursor = 0; runtime_next(ap->agent->runtime, &cursor, &st);) {
        if (strcmp(st.pod_uid, ap->uid) == 0 && st.state != RUNTIME_EXITED) {
            end_stray(ap->agent, &st);
        }
    }
}

/* Those that its volumes have are renewed when they are due, and one that is not there comes. */
static void want_tokens(struct agent_pod *ap)
{
    struct agent *a = ap->agent;
    struct error err;
    if (a->tokens != NULL && tokens_want(a->tokens, ap->pod->spec, a->volumes, &err) != 0) {
        log_warn(a->log, "pods", "%s/%s: %s", ap->ns, ap->name, err.message);
    }
}

static void adopt(struct agent *a, struct object *o)
{
    struct agent_pod *ap = add(a, o);
    if (ap == NULL) {
        return;
    }
    ap->admitted = true;
    if (mp_str(mp_get(object_status(o), "podIP")).n > 0) {
        ap->ordered_revision = 0; /* it has begun once: what was kept of policies since is enough */
    }
    podops_sandbox_paths(ap);
    ap->stale_network = ap->sandbox == NULL && !ap->pod->spec->host_network;
    if (ap->stale_network) { /* services, policies and names know it by that, here and on other nodes */
        struct str was = mp_str(mp_get(object_status(o), "podIP"));
        snprintf(ap->wish, sizeof ap->wish, "%.*s", was.n < sizeof ap->wish ? (int)was.n : 0, was.n > 0 ? was.p : "");
    }
    if (ap->sandbox != NULL) {
        pod_adopt_sandbox(ap->pod, ap->sandbox->ip);
    }
    if (ap->sandbox != NULL && !is_over(o)) {
        isolation_pod_is_here(ap);
        if (!ap->pod->spec->host_network) {
            dataplane_pod_is_at(a, str_of(ap->uid), ap->pod->ip);
        }
    }
    if (is_over(o)) {
        end_strays(ap);
        if (ap->sandbox ==
            NULL) { /* lost with the machine's power; what is on disk of it (a lease) may still be there */
            pod_adopt_sandbox(ap->pod, "");
        }
        pod_adopt_finished(ap->pod);
        if (o->deleting) {
            pod_delete(ap->pod, false);
        }
    } else {
        for (unsigned i = 0; i < ap->pod->spec->count; i++) {
            adopt_container(ap, ap->pod->containers[i]);
        }
        if (ap->sandbox != NULL) {
            want_tokens(ap);
            pod_go(ap->pod);
        } /* else: nothing of it runs; it begins again when the leader has confirmed it, or nobody does
             (pods_begin_alone) */
    }
    log_info(a->log, "pods", "pod %s/%s (%s) was here before: %s", ap->ns, ap->name, ap->uid,
             pod_state_name(ap->pod->state));
}

void pods_begin_alone(struct agent *a)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        if (ap->admitted && !ap->gone) {
            pod_go(ap->pod);
        }
    }
}

void pods_adopt(struct agent *a)
{
    char path[AGENT_PATH_MAX];
    fs_path(path, sizeof path, "%s/pods", a->dir);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (!str_ends(str_of(d->d_name), STR(".pod"))) {
            continue;
        }
        fs_path(path, sizeof path, "%s/pods/%s", a->dir, d->d_name);
        struct object *o = pods_read_file(a, path);
        if (o != NULL) {
            adopt(a, o);
            object_unref(o);
        }
    }
    closedir(dir);
}

/* ---- Reports ---- */

bool pods_write_status(struct report_item *i, struct buf *out, void *data)
{
    struct agent_pod *ap = CONTAINER_OF(i, struct agent_pod, report);
    struct agent *a = data;
    CLEANUP_ARENA struct arena arena;
    arena_init(&arena);
    if (ap->gone || ap->pod->status_frozen || ap->pod->removed) {
        return false;
    }
    msgpack_write_value(out, status_document(ap->pod, env_wall_ms(a->env), &arena));
    buf_reset(&ap->saying);
    buf_append(&ap->saying, out->data, out->size);
    return true;
}

void pods_on_status_acked(struct report_item *i, uint64_t revision, void *data)
{
    struct agent_pod *ap = CONTAINER_OF(i, struct agent_pod, report);
    (void)data;
    struct buf former = ap->said;
    ap->said = ap->saying;
    ap->saying = former;
    ap->said_revision = revision;
    if (ap->latest->revision < revision && !ap->gone) {
        CLEANUP_OBJECT struct object *whole = with_own_status(ap, object_ref(ap->latest));
        update(ap, whole);
    }
}

void pods_on_gone_acked(struct report_item *i, void *data)
{
    struct agent_pod *ap = CONTAINER_OF(i, struct agent_pod, report);
    (void)data;
    assert(ap->gone);
    pods_drop(ap);
}
