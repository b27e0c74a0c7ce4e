/* A bound claim: its status says what its volume has, and its volume grows when the claim asks for more. A volume of
 * the local provisioner grows by what is counted: its node must have that much left. Others are left to whoever made
 * them. Source: Kubernetes' volume expansion. */
#include <inttypes.h>

#include "controllers/storage/claims.h"

#define EXPAND_AGAIN_MS  10000 /* the node may have room later: nobody tells a claim when */
#define CONDITION_FAILED "ControllerResizeError"

/* What the volume's node has left, in KiB; false: it offers nothing (any more). */
static bool room_kib(const struct view *v, struct str name, int64_t *kib)
{
    const struct object *node = view_get(v, kind_of(KIND_NODE), STR_NONE, name);
    struct str root;
    int64_t bytes;
    if (node == NULL || !storage_node_offers(node, &root, &bytes)) {
        return false;
    }
    *kib = bytes / 1024 - view_sum(v, VIEW_SUM_LOCAL_VOLUMES, name, NULL).fields[LOCAL_VOLUMES_KIB];
    return true;
}

static bool may_grow(const struct view *v, const struct object *claim)
{
    const struct object *class = storage_class_get(v, claim);
    return class != NULL && mp_bool(mp_get(object_mp(class), "allowVolumeExpansion"), false);
}

static int put_status(struct reconcile_out *out, const struct object *claim, struct value *doc, struct error *err)
{
    return txn_update_value(out->txn, claim->kind, doc, TXN_PART_STATUS, claim->revision, err);
}

static int fail(const struct reconcile_in *in, struct reconcile_out *out, const struct object *claim,
                const struct object *volume, const char *why, struct error *err)
{
    struct value *doc = object_to_value(out->arena, claim), *status = value_ensure_map(out->arena, doc, "status");
    const char *message = arena_printf(out->arena, "resize volume \"%.*s\" failed: %s", STR_ARG(volume->name), why);
    requeue_in(out, EXPAND_AGAIN_MS);
    if (!condition_set(out->arena, status, CONDITION_FAILED, "True", "", message, in->wall_ms, false)) {
        return 0;
    }
    controller_event(out, in, claim, "Warning", "VolumeResizeFailed", STORAGE_COMPONENT, "%s", message);
    return put_status(out, claim, doc, err);
}

static int grow(const struct reconcile_in *in, struct reconcile_out *out, const struct object *claim,
                const struct object *volume, struct error *err)
{
    struct arena *a = out->arena;
    int64_t wanted = storage_bytes(claim), more_kib = (wanted + 1023) / 1024 - (storage_bytes(volume) + 1023) / 1024;
    int64_t left_kib;
    if (!room_kib(in->view, storage_node(volume), &left_kib)) {
        return fail(in, out, claim, volume, "its node offers no local storage", err);
    }
    if (left_kib < more_kib) {
        return fail(in, out, claim, volume,
                    arena_printf(a, "its node has %" PRId64 "Mi of local storage left, and it needs %" PRId64 "Mi more",
                                 MAX(left_kib, 0) / 1024, (more_kib + 1023) / 1024),
                    err);
    }
    struct value *its = object_to_value(a, volume), *mine = object_to_value(a, claim);
    struct value *status = value_ensure_map(a, mine, "status"), *capacity;
    capacity = value_ensure_map(a, value_ensure_map(a, its, "spec"), "capacity");
    value_set(a, capacity, "storage", value_copy(a, value_get(value_path(mine, "spec.resources.requests"), "storage")));
    value_set(a, status, "capacity", value_copy(a, capacity));
    condition_remove(status, CONDITION_FAILED);
    DECIDED(out, REASON_RESIZES_VOLUME, .what = volume->name, .count = wanted);
    controller_event(out, in, claim, "Normal", "VolumeResizeSuccessful", STORAGE_COMPONENT, "Resize volume succeeded");
    int rv = txn_update_value(out->txn, volume->kind, its, TXN_PART_ALL, volume->revision, err);
    return rv != 0 ? rv : put_status(out, claim, mine, err);
}

int claim_follow_volume(const struct reconcile_in *in, struct reconcile_out *out, const struct object *claim,
                        const struct object *volume, struct error *err)
{
    struct arena *a = out->arena;
    bool wants_more = storage_bytes(claim) > storage_bytes(volume) && may_grow(in->view, claim);
    if (wants_more && !str_empty(storage_node(volume)) && !volume->deleting) {
        return grow(in, out, claim, volume, err);
    }
    if (wants_more) {
        controller_event(out, in, claim, "Warning", "ExternalExpanding", "volume_expand",
                         "Ignoring the PVC: didn't find a plugin capable of expanding the volume; waiting for an "
                         "external controller to process this PVC.");
    }
    struct mp has = mp_get(object_spec(volume), "capacity"), modes = mp_get(object_spec(volume), "accessModes");
    struct mp status = object_status(claim);
    bool given_up =
        !wants_more && condition_is(condition_mp(claim, CONDITION_FAILED), "True"); /* the wish was taken back */
    if (str_is(storage_phase(claim), "Bound") && mp_equal(mp_get(status, "capacity"), has) &&
        mp_equal(mp_get(status, "accessModes"), modes) && !given_up) {
        return 0;
    }
    struct value *mine = object_to_value(a, claim), *its = object_to_value(a, volume);
    struct value *says = value_ensure_map(a, mine, "status");
    if (given_up) {
        condition_remove(says, CONDITION_FAILED);
    }
    value_set(a, says, "phase", value_cstr(a, "Bound"));
    value_set(a, says, "capacity", value_path(its, "spec.capacity"));
    value_set(a, says, "accessModes", value_path(its, "spec.accessModes"));
    return put_status(out, claim, mine, err);
}
