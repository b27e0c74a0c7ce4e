#include "controllers/workloads/deployment.h"

#include <assert.h>

#include "controllers/claim.h"
#include "controllers/registry.h"
#include "controllers/workloads/room.h"

static void deployment_read(struct deployment *d)
{
    const struct value *spec = value_get(d->doc, "spec"), *rolling = value_path(spec, "strategy.rollingUpdate");
    d->replicas = count_bound(value_path_int(spec, "replicas", 1));
    d->min_ready_s = count_bound(value_path_int(spec, "minReadySeconds", 0));
    d->paused = value_path_bool(spec, "paused", false);
    d->recreate = str_is(value_path_str(spec, "strategy.type"), "Recreate");
    d->status = value_ensure_map(d->a, d->doc, "status");
    if (d->recreate) {
        return;
    }
    /* "maxSurge is rounded up, maxUnavailable down; if both are 0, one pod may be unavailable". */
    d->max_surge = count_bound(int_or_percent(value_get(rolling, "maxSurge"), d->replicas, true, "25%"));
    d->max_unavailable = count_bound(int_or_percent(value_get(rolling, "maxUnavailable"), d->replicas, false, "25%"));
    if (d->max_surge == 0 && d->max_unavailable == 0) {
        d->max_unavailable = 1;
    }
    d->max_unavailable = MIN(d->max_unavailable, d->replicas);
}

static void deployment_step(struct deployment *d)
{
    deployment_pause_condition(d);
    if (d->paused || deployment_scaling(d)) {
        deployment_latest_ensure(d, false);
        deployment_scale(d);
        if (d->paused) {
            deployment_history_trim(d);
        }
        deployment_status_count(d);
        return;
    }
    deployment_roll(d);
    if (deployment_complete(d)) {
        deployment_history_trim(d);
    }
    deployment_status_progress(d);
}

/* ---- Keys of kind Deployment ---- */

static int deployment_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    if (in->key.kind->id == KIND_REPLICASET) {
        return claim_orphan(in, out, kind_of(KIND_DEPLOYMENT), NULL, err);
    }
    struct deployment d = {.in = in, .out = out, .a = out->arena};
    d.obj = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (d.obj == NULL) {
        return 0;
    }
    int rv = workload_sound(d.obj, err);
    if (rv != 0) {
        return rv;
    }
    d.doc = object_to_value(d.a, d.obj);
    deployment_read(&d);
    rv = deployment_sets_read(&d, err);
    if (rv == CLAIM_MORE) {
        return deployment_sets_write(&d, err);
    }
    if (rv != 0) {
        return rv;
    }
    if (d.obj->deleting) {
        deployment_status_count(&d);
    } else {
        deployment_step(&d);
    }
    rv = deployment_sets_write(&d, err);
    if (rv == 0 && d.dirty) {
        rv = txn_update_value(out->txn, d.obj->kind, d.doc, TXN_PART_ALL, d.obj->revision, err);
    }
    return rv;
}

static void map_replicaset(const struct view *tip, const struct object *old, const struct object *now,
                           controller_emit *emit, void *data)
{
    (void)tip;
    map_owner(KIND_DEPLOYMENT, old, now, emit, data);
    if (now != NULL && str_empty(now->owner_uid) && !now->deleting &&
        (old == NULL || !str_empty(old->owner_uid) || !mp_equal(object_labels(old), object_labels(now)))) {
        emit(data, now->kind, now->ns, now->name);
    }
}

/* Recreate waits until the last old pod is gone; RollingUpdate hears of all else through the ReplicaSets' statuses. */
static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    if (old == NULL || (now != NULL && pod_finished(old) == pod_finished(now))) {
        return;
    }
    const struct object *rs = owner_get(tip, old->ns, owner_controller(old));
    if (rs != NULL && rs->kind->id == KIND_REPLICASET) {
        map_owner(KIND_DEPLOYMENT, NULL, rs, emit, data);
    }
}

/* With a new leader orphans look again, too: the last one may have died before it came to them. */
static void deployment_resync(const struct view *tip, const struct object *o, controller_emit *emit, void *data)
{
    if (o->kind->id == KIND_DEPLOYMENT) {
        emit(data, o->kind, o->ns, o->name);
    } else if (o->kind->id == KIND_REPLICASET && str_empty(o->owner_uid)) {
        map_replicaset(tip, NULL, o, emit, data);
    }
}

static const struct controller_watch watches[] = {
    {KIND_DEPLOYMENT, map_self}, {KIND_REPLICASET, map_replicaset}, {KIND_POD, map_pod}, {0, NULL}};
/* A quota of ReplicaSets, which no limit range bounds. */
static const struct controller_shared room[] = {{KIND_RESOURCEQUOTA, room_map}, {0, NULL}};
const struct controller controller_deployment = {.name = "deployment",
                                                 .watches = watches,
                                                 .reconcile = deployment_reconcile,
                                                 .resync = deployment_resync,
                                                 .shared = room,
                                                 .waits = room_wants_replicas};
