/* Volumes and their phases:
 *
 *   Available  no claimRef, or one without a uid (bound beforehand)
 *   Bound      its claim has it
 *   Released   its claim is gone; with the policy Delete it goes, too, if the local provisioner has made it
 *   Failed     its claim is gone, and nobody here can delete it
 *
 * A volume that is to go is held while it is bound, or may still be mounted. What the local provisioner has made then
 * waits for its node, which removes the directory (proto/facts/storage.h).
 * Source: Kubernetes' persistent volume controller (syncVolume, reclaimVolume) and PV protection controller. */
#include "controllers/deletion.h"
#include "controllers/registry.h"
#include "controllers/storage/claims.h"

static struct mp ref_of(const struct object *volume)
{
    return mp_get(object_spec(volume), "claimRef");
}

static const struct object *claim_of(const struct view *v, const struct object *volume)
{
    struct mp ref = ref_of(volume);
    struct str uid = mp_str(mp_get(ref, "uid"));
    const struct object *claim =
        view_get(v, kind_of(KIND_PERSISTENTVOLUMECLAIM), mp_str(mp_get(ref, "namespace")), mp_str(mp_get(ref, "name")));
    return claim != NULL && str_eq(claim->uid, uid) ? claim : NULL;
}

static int set_phase(const struct reconcile_in *in, struct reconcile_out *out, const struct object *volume,
                     const char *phase, const char *reason, const char *message, struct error *err)
{
    struct mp status = object_status(volume);
    if (str_is(storage_phase(volume), phase) && str_is(mp_str(mp_get(status, "message")), message)) {
        return 0;
    }
    struct value *doc = object_to_value(out->arena, volume), *says = value_ensure_map(out->arena, doc, "status");
    storage_set_phase(out->arena, doc, phase, in->wall_ms);
    value_remove(says, "reason");
    value_remove(says, "message");
    if (*message != '\0') {
        value_set(out->arena, says, "reason", value_cstr(out->arena, reason));
        value_set(out->arena, says, "message", value_cstr(out->arena, message));
    }
    DECIDED(out, REASON_PHASE_CHANGES, .what = storage_phase(volume), .more = str_of(phase));
    return txn_update_value(out->txn, volume->kind, doc, TXN_PART_STATUS, volume->revision, err);
}

/* ---- Deletion ---- */

static int protect(const struct reconcile_in *in, struct reconcile_out *out, const struct object *volume, bool bound,
                   struct error *err)
{
    if (!storage_has_finalizer(volume, STORAGE_PROTECT_VOLUME) || bound ||
        storage_user_of_former(in->view, volume) != NULL) {
        return 0;
    }
    struct value *doc = object_to_value(out->arena, volume);
    list_remove_str(value_path(doc, "metadata.finalizers"), STORAGE_PROTECT_VOLUME);
    DECIDED(out, REASON_TAKES_OFF_FINALIZER, .what = STR(STORAGE_PROTECT_VOLUME));
    return txn_update_value(out->txn, volume->kind, doc, TXN_PART_ALL, volume->revision, err);
}

/* ---- Its claim is gone ---- */

static int release(const struct reconcile_in *in, struct reconcile_out *out, const struct object *volume,
                   struct error *err)
{
    struct str policy = mp_str(mp_get(object_spec(volume), "persistentVolumeReclaimPolicy"));
    struct str by = object_annotation(volume, STORAGE_PROVISIONED_BY);
    if (!str_is(policy, "Delete") || (!str_empty(by) && !str_is(by, STORAGE_LOCAL))) {
        return set_phase(in, out, volume, "Released", "", "", err); /* kept, or deleted by whoever has made it */
    }
    if (str_empty(by)) {
        const char *why = "nobody here can delete it: remove what is in it and this object by hand";
        if (!str_is(storage_phase(volume), "Failed")) {
            controller_event(out, in, volume, "Warning", "VolumeFailedDelete", STORAGE_COMPONENT, "%s", why);
        }
        return set_phase(in, out, volume, "Failed", "VolumeFailedDelete", why, err);
    }
    if (!str_is(storage_phase(volume), "Released")) {
        return set_phase(in, out, volume, "Released", "", "", err);
    }
    struct deletion_options options = {.grace_s = -1, .policy = DELETION_BACKGROUND};
    DECIDED(out, REASON_DELETES_VOLUME);
    return deletion_request(out->txn, out->arena, volume, &options, in->wall_ms, err);
}

/* Its claim has another volume: what the system has bound becomes free, what a person has bound waits for the claim as
 * before. */
static int unbind(const struct reconcile_in *in, struct reconcile_out *out, const struct object *volume,
                  struct error *err)
{
    struct value *doc = object_to_value(out->arena, volume), *spec = value_get(doc, "spec");
    if (str_is(object_annotation(volume, STORAGE_BOUND_BY_CONTROLLER), "yes")) {
        value_remove(spec, "claimRef");
        value_remove(value_path(doc, "metadata.annotations"), STORAGE_BOUND_BY_CONTROLLER);
    } else {
        value_remove(value_get(spec, "claimRef"), "uid");
    }
    storage_set_phase(out->arena, doc, "Available", in->wall_ms);
    DECIDED(out, REASON_UNBINDS_VOLUME);
    return txn_update_value(out->txn, volume->kind, doc, TXN_PART_ALL, volume->revision, err);
}

static int volume_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *volume = view_get(in->view, in->key.kind, STR_NONE, in->key.name);
    if (volume == NULL) {
        return 0;
    }
    const struct object *claim = claim_of(in->view, volume);
    bool bound = storage_is_bound(claim, volume);
    if (volume->deleting) {
        return protect(in, out, volume, bound, err);
    }
    if (bound) {
        return set_phase(in, out, volume, "Bound", "", "", err);
    }
    if (str_empty(mp_str(mp_get(ref_of(volume), "uid")))) {
        return set_phase(in, out, volume, "Available", "", "", err);
    }
    if (claim == NULL) {
        return release(in, out, volume, err);
    }
    /* A claim without a volume takes it (claims.c). One of the local provisioner has data of its claim. */
    bool other = !str_empty(storage_volume_name(claim)) && !str_eq(storage_volume_name(claim), volume->name);
    return !other ? 0 : str_empty(storage_node(volume)) ? unbind(in, out, volume, err) : release(in, out, volume, err);
}

/* ---- Where to look ---- */

/* Volumes that are, or were, this claim's. */
static void emit_volumes_of(const struct view *tip, struct str ns, struct str name, controller_emit *emit, void *data)
{
    struct view_iter it;
    storage_iter_naming_claim(&it, tip, ns, name, kind_of(KIND_PERSISTENTVOLUME));
    VIEW_FOR(volume, &it)
    {
        emit(data, volume->kind, STR_NONE, volume->name);
    }
}

static void map_claim(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data)
{
    if (old != NULL && now != NULL && object_same_but_status(now, old)) {
        return;
    }
    const struct object *any = now != NULL ? now : old;
    emit_volumes_of(tip, any->ns, any->name, emit, data);
}

struct to_volumes {
    const struct view *tip;
    controller_emit *emit;
    void *data;
};

static void emit_named(void *data, const struct kind_reference *r)
{
    const struct to_volumes *to = data;
    if (r->kind->id == KIND_PERSISTENTVOLUMECLAIM) {
        emit_volumes_of(to->tip, r->ns, r->name, to->emit, to->data);
    }
}

/* A pod that is gone has nothing mounted. */
static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    struct to_volumes to = {tip, emit, data};
    if (now == NULL) {
        kind_references(old, emit_named, &to);
    }
}

static const struct controller_watch watches[] = {
    {KIND_PERSISTENTVOLUME, map_self}, {KIND_PERSISTENTVOLUMECLAIM, map_claim}, {KIND_POD, map_pod}, {0, NULL}};
const struct controller controller_volume_reclaim = {
    .name = "volume-reclaim", .watches = watches, .reconcile = volume_reconcile};
