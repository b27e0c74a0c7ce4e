/* Controllers that would take each other's pods (controllers/rivals.h): an event says so about the younger one, when
 * one of them comes, or changes what it chooses or labels, and with each new leader. Nothing else is done: each goes on
 * with the pods that it owns. */
#include "controllers/rivals.h"
#include "controllers/registry.h"

static int rivals_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    struct rival r = {0};
    (void)err;
    if (o != NULL) {
        r = rival_find(in->view, out->arena, o);
    }
    if (r.other != NULL) {
        const struct object *younger = object_is_older(o, r.other) ? r.other : o;
        controller_event(out, in, younger, "Warning", "SelectorOverlap", "rivals-controller", "%s",
                         rival_text(out->arena, o, &r));
        DECIDED(out, REASON_RIVALS, .what = r.other->name);
    }
    return 0;
}

static void map_changed(const struct view *tip, const struct object *old, const struct object *now,
                        controller_emit *emit, void *data)
{
    (void)tip;
    if (now != NULL && rival_matters(old, now)) {
        emit(data, now->kind, now->ns, now->name);
    }
}

static const enum kind_id kinds[] = {KIND_REPLICATIONCONTROLLER, KIND_REPLICASET, KIND_DEPLOYMENT,
                                     KIND_STATEFULSET,           KIND_DAEMONSET,  KIND_JOB};

static void rivals_resync(const struct view *tip, const struct object *o, controller_emit *emit, void *data)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (o->kind->id == kinds[i]) {
            map_changed(tip, NULL, o, emit, data);
        }
    }
}

static const struct controller_watch watches[] = {{KIND_REPLICATIONCONTROLLER, map_changed},
                                                  {KIND_REPLICASET, map_changed},
                                                  {KIND_DEPLOYMENT, map_changed},
                                                  {KIND_STATEFULSET, map_changed},
                                                  {KIND_DAEMONSET, map_changed},
                                                  {KIND_JOB, map_changed},
                                                  {0, NULL}};
const struct controller controller_rivals = {
    .name = "rivals", .watches = watches, .reconcile = rivals_reconcile, .resync = rivals_resync};
