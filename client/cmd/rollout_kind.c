#include "client/cmd/rollout_kind.h"

#include <inttypes.h>
#include <stdio.h>

#include "client/cmd/common.h"

#define REVISION_ANNOTATION "deployment.kubernetes.io/revision"
#define HASH_LABEL          "pod-template-hash"
#define NEEDS_ROLLING       "rollout status is only available for RollingUpdate strategy type"

int64_t rollout_revision(const struct object *o)
{
    if (o->kind->id == KIND_CONTROLLERREVISION) {
        return mp_int(mp_get(object_mp(o), "revision"), 0);
    }
    struct str s = object_annotation(o, REVISION_ANNOTATION);
    int64_t v = 0;
    for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
        v = v * 10 + (s.p[i] - '0');
    }
    return v;
}

struct value *rollout_template(struct arena *a, const struct kind *k, const struct object *state)
{
    struct value *t = value_path(object_to_value(a, state), rollout_kind_of(k)->template);
    if (!value_is_map(t)) {
        return NULL;
    }
    value_remove(t, "$patch");
    if (k->id == KIND_DEPLOYMENT) { /* the label that the controller adds */
        value_remove(value_path(t, "metadata.labels"), HASH_LABEL);
    }
    return t;
}

/* ---- Deployment ---- */

static struct mp condition_of(struct mp o, const char *type)
{
    for (struct mp_iter it = mp_iter(mp_path(o, "status.conditions")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "type")), type)) {
            return it.value;
        }
    }
    return (struct mp){NULL, NULL};
}

static bool deadline_exceeded(struct mp o)
{
    return str_is(mp_str(mp_get(condition_of(o, "Progressing"), "reason")), "ProgressDeadlineExceeded");
}

struct str rollout_failure(const struct object *o)
{
    struct mp c = condition_of(object_mp(o), "ReplicaFailure");
    return str_is(mp_str(mp_get(c, "status")), "True") ? mp_str(mp_get(c, "message")) : STR_NONE;
}

static bool deployment_state(const struct object *o, int64_t revision, char *text, size_t size, int *code)
{
    struct mp m = object_mp(o);
    int n = (int)o->name.n;
    const char *name = o->name.p;
    int64_t want = mp_int(mp_path(m, "spec.replicas"), 1);
    int64_t have = mp_int(mp_path(m, "status.replicas"), 0);
    int64_t updated = mp_int(mp_path(m, "status.updatedReplicas"), 0);
    int64_t available = mp_int(mp_path(m, "status.availableReplicas"), 0);
    *code = EXIT_DONE;
    if (revision > 0 && rollout_revision(o) != revision) {
        snprintf(text, size, "desired revision (%" PRId64 ") is different from the running revision (%" PRId64 ")",
                 revision, rollout_revision(o));
        *code = EXIT_FAILED;
        return true;
    }
    if (o->generation > mp_int(mp_path(m, "status.observedGeneration"), 0)) {
        snprintf(text, size, "Waiting for deployment spec update to be observed...");
        return false;
    }
    if (deadline_exceeded(m)) {
        struct str why = rollout_failure(o);
        if (why.n > 0) {
            snprintf(text, size, "deployment \"%.*s\" exceeded its progress deadline: %.*s", n, name, STR_ARG(why));
        } else {
            snprintf(text, size,
                     "deployment \"%.*s\" exceeded its progress deadline; \"rctl get pods\" and \"rctl describe pod\" "
                     "tell what its pods wait for",
                     n, name);
        }
        *code = EXIT_FAILED;
        return true;
    }
    if (updated < want) {
        snprintf(text, size,
                 "Waiting for deployment \"%.*s\" rollout to finish: %" PRId64 " out of %" PRId64
                 " new replicas have been updated...",
                 n, name, updated, want);
        return false;
    }
    if (have > updated) {
        snprintf(text, size,
                 "Waiting for deployment \"%.*s\" rollout to finish: %" PRId64
                 " old replicas are pending termination...",
                 n, name, have - updated);
        return false;
    }
    if (available < updated) {
        snprintf(text, size,
                 "Waiting for deployment \"%.*s\" rollout to finish: %" PRId64 " of %" PRId64
                 " updated replicas are available...",
                 n, name, available, updated);
        return false;
    }
    snprintf(text, size, "deployment \"%.*s\" successfully rolled out", n, name);
    return true;
}

/* ---- DaemonSet, StatefulSet ---- */

static int64_t status_of(const struct object *o, const char *name)
{
    return mp_int(mp_get(mp_get(object_mp(o), "status"), name), 0);
}

/* True: nothing is known yet of what was asked for, or cannot be. */
static bool is_early(const struct object *o, const char *what, char *text, size_t size, bool *over, int *code)
{
    *over = !str_is(mp_str(mp_path(object_mp(o), "spec.updateStrategy.type")), "RollingUpdate");
    *code = *over ? EXIT_FAILED : EXIT_DONE;
    if (*over) {
        snprintf(text, size, NEEDS_ROLLING);
    } else if (o->generation > status_of(o, "observedGeneration")) {
        snprintf(text, size, "Waiting for %s spec update to be observed...", what);
    } else {
        return false;
    }
    return true;
}

static bool daemonset_state(const struct object *o, int64_t revision, char *text, size_t size, int *code)
{
    (void)revision;
    int64_t want = status_of(o, "desiredNumberScheduled"), updated = status_of(o, "updatedNumberScheduled"),
            available = status_of(o, "numberAvailable");
    bool over;
    if (is_early(o, "daemon set", text, size, &over, code)) {
        return over;
    }
    if (updated < want) {
        snprintf(text, size,
                 "Waiting for daemon set \"%.*s\" rollout to finish: %" PRId64 " out of %" PRId64
                 " new pods have been updated...",
                 STR_ARG(o->name), updated, want);
        return false;
    }
    if (available < want) {
        snprintf(text, size,
                 "Waiting for daemon set \"%.*s\" rollout to finish: %" PRId64 " of %" PRId64
                 " updated pods are available...",
                 STR_ARG(o->name), available, want);
        return false;
    }
    snprintf(text, size, "daemon set \"%.*s\" successfully rolled out", STR_ARG(o->name));
    return true;
}

static bool statefulset_state(const struct object *o, int64_t revision, char *text, size_t size, int *code)
{
    (void)revision;
    struct mp spec = mp_get(object_mp(o), "spec"), status = mp_get(object_mp(o), "status");
    int64_t want = mp_int(mp_get(spec, "replicas"), 1), ready = status_of(o, "readyReplicas"),
            updated = status_of(o, "updatedReplicas"),
            partition = mp_int(mp_path(spec, "updateStrategy.rollingUpdate.partition"), 0);
    struct str now = mp_str(mp_get(status, "currentRevision")), next = mp_str(mp_get(status, "updateRevision"));
    bool over;
    if (is_early(o, "statefulset", text, size, &over, code)) {
        return over;
    }
    if (ready < want) {
        snprintf(text, size, "Waiting for %" PRId64 " pods to be ready...", want - ready);
        return false;
    }
    if (partition > 0) {
        over = updated >= want - partition;
        if (updated >= want - partition) {
            snprintf(text, size, "partitioned roll out complete: %" PRId64 " new pods have been updated...", updated);
            return true;
        }
        snprintf(text, size,
                 "Waiting for partitioned roll out to finish: %" PRId64 " out of %" PRId64
                 " new pods have been updated...",
                 updated, want - partition);
        return false;
    }
    if (!str_eq(now, next)) {
        snprintf(text, size, "waiting for statefulset rolling update to complete %" PRId64 " pods at revision %.*s...",
                 updated, STR_ARG(next));
        return false;
    }
    snprintf(text, size, "statefulset rolling update complete %" PRId64 " pods at revision %.*s...",
             status_of(o, "currentReplicas"), STR_ARG(now));
    return true;
}

/* ---- Rows ---- */

static const struct rollout_kind rows[] = {
    {KIND_DEPLOYMENT, KIND_REPLICASET, "spec.template", true, deployment_state},
    {KIND_DAEMONSET, KIND_CONTROLLERREVISION, "data.spec.template", false, daemonset_state},
    {KIND_STATEFULSET, KIND_CONTROLLERREVISION, "data.spec.template", false, statefulset_state},
};

const struct rollout_kind *rollout_kind_of(const struct kind *k)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].kind == k->id) {
            return &rows[i];
        }
    }
    return NULL;
}
