/* ReplicationController: a ReplicaSet by another name, with a plain map for a selector. Source: Kubernetes core/v1. */
#include "controllers/registry.h"
#include "controllers/util.h"
#include "controllers/workloads/pods.h"
#include "controllers/workloads/replicas.h"
#include "controllers/workloads/room.h"

static int replicationcontroller_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    return replicas_reconcile(in, out, KIND_REPLICATIONCONTROLLER, "replication-controller", err);
}

static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    if (view_count(tip, kind_of(KIND_REPLICATIONCONTROLLER)) > 0) { /* mostly there are none, and pods many */
        replicas_map_pod(KIND_REPLICATIONCONTROLLER, old, now, emit, data);
    }
}

static void replicationcontroller_resync(const struct view *tip, const struct object *o, controller_emit *emit,
                                         void *data)
{
    (void)tip;
    replicas_resync(KIND_REPLICATIONCONTROLLER, o, emit, data);
}

static const struct controller_watch watches[] = {
    {KIND_REPLICATIONCONTROLLER, map_self}, {KIND_POD, map_pod}, {0, NULL}};
const struct controller controller_replicationcontroller = {.name = "replicationcontroller",
                                                            .watches = watches,
                                                            .reconcile = replicationcontroller_reconcile,
                                                            .resync = replicationcontroller_resync,
                                                            .shared = pods_watches,
                                                            .waits = room_wants_replicas};
