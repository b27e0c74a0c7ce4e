/* ResourceQuotas whose counting is not at its end: each look makes one more step. The counting itself is the
 * evaluation's (raft-store/store/world_quota.c), to which any change of the quota is the sign. */
#include "proto/facts/quota.h"
#include "controllers/registry.h"
#include "controllers/util.h"

static bool is_unfinished(const struct object *quota)
{
    return object_annotation(quota, QUOTA_COUNTING).n > 0 || mp_count(object_status(quota)) == 0;
}

static int quota_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (o == NULL || !is_unfinished(o)) {
        return 0;
    }
    struct arena *a = out->arena;
    struct value *doc = object_to_value(a, o);
    struct value *annotations = value_ensure_map(a, value_get(doc, "metadata"), "annotations");
    value_set(a, annotations, QUOTA_COUNTING, value_cstr(a, "//"));
    DECIDED(out, REASON_COUNTS_ON);
    return txn_update_value(out->txn, o->kind, doc, TXN_PART_ALL, o->revision, err);
}

static void map_quota(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data)
{
    if (now != NULL && is_unfinished(now)) {
        map_self(tip, old, now, emit, data);
    }
}

static const struct controller_watch watches[] = {{KIND_RESOURCEQUOTA, map_quota}, {0, NULL}};
const struct controller controller_quota = {.name = "resourcequota", .watches = watches, .reconcile = quota_reconcile};
