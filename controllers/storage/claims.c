/* Claims get their volumes: a free one that fits, or, of classes that wait for the first consumer, the one that the
 * scheduler chooses with the pod's node (scheduler/volumes.c). Both sides of a binding are written in one transaction.
 * A claim that loses its volume is Lost; a claim that is to go is held while pods use it.
 * Source: Kubernetes' persistent volume controller (syncUnboundClaim, syncBoundClaim) and PVC protection controller;
 * the words of events are theirs. */
#include "controllers/storage/claims.h"
#include "controllers/deletion.h"
#include "controllers/registry.h"

static const char *text(struct arena *a, struct str s)
{
    return arena_strndup(a, s.p == NULL ? "" : s.p, s.n);
}

/* ---- Deletion ---- */

/* Held by its finalizer while a pod uses it. */
static int protect(const struct reconcile_in *in, struct reconcile_out *out, const struct object *claim,
                   struct error *err)
{
    if (!storage_has_finalizer(claim, STORAGE_PROTECT_CLAIM) ||
        storage_user_of(in->view, claim->ns, claim->name) != NULL) {
        return 0;
    }
    struct value *doc = object_to_value(out->arena, claim);
    list_remove_str(value_path(doc, "metadata.finalizers"), STORAGE_PROTECT_CLAIM);
    DECIDED(out, REASON_TAKES_OFF_FINALIZER, .what = STR(STORAGE_PROTECT_CLAIM));
    return txn_update_value(out->txn, claim->kind, doc, TXN_PART_ALL, claim->revision, err);
}

/* ---- Status ---- */

static int set_phase(struct reconcile_out *out, const struct object *claim, const char *phase, struct error *err)
{
    if (str_is(storage_phase(claim), phase)) {
        return 0;
    }
    struct value *doc = object_to_value(out->arena, claim), *status = value_ensure_map(out->arena, doc, "status");
    value_set(out->arena, status, "phase", value_cstr(out->arena, phase));
    DECIDED(out, REASON_PHASE_CHANGES, .what = storage_phase(claim), .more = str_of(phase));
    return txn_update_value(out->txn, claim->kind, doc, TXN_PART_STATUS, claim->revision, err);
}

/* ---- Binding ---- */

static int bind(const struct reconcile_in *in, struct reconcile_out *out, const struct object *claim,
                const struct object *volume, struct error *err)
{
    struct value *mine = object_to_value(out->arena, claim), *its = object_to_value(out->arena, volume);
    storage_bind(out->arena, mine, its, in->wall_ms);
    DECIDED(out, REASON_BINDS_VOLUME, .what = volume->name);
    int rv = txn_update_value(out->txn, volume->kind, its, TXN_PART_ALL, volume->revision, err);
    return rv != 0 ? rv : txn_update_value(out->txn, claim->kind, mine, TXN_PART_ALL, claim->revision, err);
}

static const struct object *better(const struct object *best, const struct object *volume, const struct object *claim)
{
    return storage_fits(volume, claim) && (best == NULL || storage_compare(volume, best, claim) < 0) ? volume : best;
}

/* Bound to the claim beforehand by somebody; or, if the class does not wait, the smallest free one that fits. */
static const struct object *choose(const struct reconcile_in *in, const struct object *claim, bool waits)
{
    const struct kind *k = kind_of(KIND_PERSISTENTVOLUME);
    const struct object *best = NULL;
    struct view_iter it;
    storage_iter_naming_claim(&it, in->view, claim->ns, claim->name, k);
    VIEW_FOR(volume, &it)
    {
        best = better(best, volume, claim);
    }
    if (best == NULL && !waits) {
        CLEANUP_BUF struct buf key = BUF_INIT;
        index_volume_free_key(&key, storage_class_of(claim));
        view_iter_index(&it, in->view, VIEW_BY_VOLUME, buf_str(&key), k, STR_NONE);
        VIEW_FOR(volume, &it)
        {
            best = better(best, volume, claim);
        }
    }
    return best;
}

/* The first pod that waits for the claim, by name. */
static const struct object *waiting_pod(const struct reconcile_in *in, const struct object *claim)
{
    struct view_iter it;
    storage_iter_naming_claim(&it, in->view, claim->ns, claim->name, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        if (str_empty(pod_node(pod)) && !pod->deleting) {
            return pod;
        }
    }
    return NULL;
}

/* No volume fits: says why, and to whom that matters, and that it is Pending. */
static int explain(const struct reconcile_in *in, struct reconcile_out *out, const struct object *claim,
                   const struct object *class, struct error *err)
{
    const char *name = text(out->arena, storage_class_of(claim));
    if (*name == '\0') {
        controller_event(out, in, claim, "Normal", "FailedBinding", STORAGE_COMPONENT,
                         "no persistent volumes available for this claim and no storage class is set");
        return set_phase(out, claim, "Pending", err);
    }
    if (class == NULL) {
        controller_event(out, in, claim, "Warning", "ProvisioningFailed", STORAGE_COMPONENT,
                         "storageclass.storage.k8s.io \"%s\" not found", name);
        return set_phase(out, claim, "Pending", err);
    }
    if (storage_class_waits(class) &&
        (str_empty(object_annotation(claim, STORAGE_SELECTED_NODE)) || !storage_class_is_foreign(class))) {
        const struct object *pod = waiting_pod(in, claim);
        if (pod != NULL) {
            controller_event(out, in, claim, "Normal", "WaitForPodScheduled", STORAGE_COMPONENT,
                             "waiting for pod %.*s to be scheduled", STR_ARG(pod->name));
        } else {
            controller_event(out, in, claim, "Normal", "WaitForFirstConsumer", STORAGE_COMPONENT,
                             "waiting for first consumer to be created before binding");
        }
        return set_phase(out, claim, "Pending", err);
    }
    struct str provisioner = mp_str(mp_get(object_mp(class), "provisioner"));
    if (str_is(provisioner, STORAGE_NO_PROVISIONER)) {
        controller_event(out, in, claim, "Warning", "ProvisioningFailed", STORAGE_COMPONENT,
                         "no persistent volume of storage class \"%s\" fits this claim, and nobody makes volumes for "
                         "it (provisioner %s)",
                         name, STORAGE_NO_PROVISIONER);
        return set_phase(out, claim, "Pending", err);
    }
    controller_event(out, in, claim, "Normal", "ExternalProvisioning", STORAGE_COMPONENT,
                     "Waiting for a volume to be created either by the external provisioner '%.*s' or manually by the "
                     "system administrator. If volume creation is delayed, please verify that the provisioner is "
                     "running and correctly registered.",
                     STR_ARG(provisioner));
    if (str_eq(object_annotation(claim, STORAGE_PROVISIONER_OF), provisioner)) {
        return set_phase(out, claim, "Pending", err);
    }
    struct value *doc = object_to_value(out->arena, claim);
    struct value *meta = value_ensure_map(out->arena, doc, "metadata");
    value_set(out->arena, value_ensure_map(out->arena, meta, "annotations"), STORAGE_PROVISIONER_OF,
              value_str(out->arena, provisioner));
    value_set(out->arena, value_ensure_map(out->arena, doc, "status"), "phase", value_cstr(out->arena, "Pending"));
    return txn_update_value(out->txn, claim->kind, doc, TXN_PART_ALL, claim->revision, err);
}

/* A claim that was made while there was no default class. */
static int give_class(struct reconcile_out *out, const struct object *claim, const struct object *class,
                      struct error *err)
{
    struct value *doc = object_to_value(out->arena, claim);
    value_set(out->arena, value_ensure_map(out->arena, doc, "spec"), "storageClassName",
              value_str(out->arena, class->name));
    DECIDED(out, REASON_CLASS_GIVEN, .what = class->name);
    return txn_update_value(out->txn, claim->kind, doc, TXN_PART_ALL, claim->revision, err);
}

static int unbound(const struct reconcile_in *in, struct reconcile_out *out, const struct object *claim,
                   struct error *err)
{
    const struct object *standard = storage_class_is_open(claim) ? storage_default_class(in->view) : NULL;
    const struct object *class = storage_class_get(in->view, claim);
    if (standard != NULL) {
        return give_class(out, claim, standard, err); /* before a volume is looked for: it asks for that class */
    }
    const struct object *volume = choose(in, claim, class != NULL && storage_class_waits(class));
    if (volume != NULL) {
        return bind(in, out, claim, volume, err);
    }
    return explain(in, out, claim, class, err);
}

/* ---- Claims that name their volume ---- */

/* It asks for this very volume, and does not have it yet. */
static int wishes(const struct reconcile_in *in, struct reconcile_out *out, const struct object *claim,
                  const struct object *volume, struct error *err)
{
    const char *name = text(out->arena, storage_volume_name(claim));
    if (volume == NULL) {
        controller_event(out, in, claim, "Warning", "FailedBinding", STORAGE_COMPONENT, "volume \"%s\" not found",
                         name);
        return set_phase(out, claim, "Pending", err);
    }
    if (storage_has_claim(volume) && !storage_is_for(volume, claim)) {
        controller_event(out, in, claim, "Warning", "FailedBinding", STORAGE_COMPONENT,
                         "volume \"%s\" already bound to a different claim.", name);
        return set_phase(out, claim, "Pending", err);
    }
    const char *why = volume->deleting            ? "it is being deleted"
                      : storage_has_claim(volume) ? NULL
                                                  : storage_mismatch(volume, claim);
    if (why != NULL) {
        controller_event(out, in, claim, "Warning", "VolumeMismatch", STORAGE_COMPONENT,
                         "Cannot bind to requested volume \"%s\": %s", name, why);
        return set_phase(out, claim, "Pending", err);
    }
    return bind(in, out, claim, volume, err);
}

/* It had this volume. */
static int lost(const struct reconcile_in *in, struct reconcile_out *out, const struct object *claim,
                const struct object *volume, struct error *err)
{
    if (volume != NULL && !storage_has_claim(volume) && !volume->deleting) {
        return bind(in, out, claim, volume, err); /* a person took the reference away: it is still the claim's */
    }
    if (str_is(storage_phase(claim), "Lost")) {
        return 0;
    }
    if (volume == NULL) {
        controller_event(out, in, claim, "Warning", "ClaimLost", STORAGE_COMPONENT,
                         "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    } else {
        controller_event(out, in, claim, "Warning", "ClaimMisbound", STORAGE_COMPONENT,
                         "Two claims are bound to the same volume, this one is bound incorrectly");
    }
    DECIDED(out, REASON_VOLUME_LOST, .what = storage_volume_name(claim));
    return set_phase(out, claim, "Lost", err);
}

static int claim_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *claim = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (claim == NULL) {
        return 0;
    }
    struct str name = storage_volume_name(claim);
    const struct object *volume =
        str_empty(name) ? NULL : view_get(in->view, kind_of(KIND_PERSISTENTVOLUME), STR_NONE, name);
    bool had = str_is(object_annotation(claim, STORAGE_BIND_COMPLETED), "yes");
    if (claim->deleting) {
        return protect(in, out, claim, err);
    }
    return str_empty(name) ? unbound(in, out, claim, err)
           : storage_is_bound(claim, volume)
               ? (had ? claim_follow_volume(in, out, claim, volume, err) : bind(in, out, claim, volume, err))
           : had ? lost(in, out, claim, volume, err)
                 : wishes(in, out, claim, volume, err);
}

/* ---- Where to look ---- */

/* Claims of a class that have no volume; those alone that could have this one, if it is not NULL. */
static void emit_waiting(const struct view *tip, struct str class, const struct object *volume, controller_emit *emit,
                         void *data)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct view_iter it;
    index_waiting_claim_key(&key, class);
    view_iter_index(&it, tip, VIEW_BY_WAITING_CLAIM, buf_str(&key), kind_of(KIND_PERSISTENTVOLUMECLAIM), STR_NONE);
    VIEW_FOR(claim, &it)
    {
        if (volume == NULL || storage_fits(volume, claim)) {
            emit(data, claim->kind, claim->ns, claim->name);
        }
    }
}

static void emit_claim_of(const struct object *volume, controller_emit *emit, void *data)
{
    struct mp ref = mp_get(object_spec(volume), "claimRef");
    struct str ns = mp_str(mp_get(ref, "namespace")), name = mp_str(mp_get(ref, "name"));
    if (!str_empty(ns) && !str_empty(name)) {
        emit(data, kind_of(KIND_PERSISTENTVOLUMECLAIM), ns, name);
    }
}

/* Claims that it is for, that name it, and, if it is free, that could have it. */
static void map_volume(const struct view *tip, const struct object *old, const struct object *now,
                       controller_emit *emit, void *data)
{
    const struct object *any = now != NULL ? now : old;
    struct view_iter it;
    if (old != NULL && now != NULL && object_same_but_status(now, old)) {
        return;
    }
    if (old != NULL) {
        emit_claim_of(old, emit, data);
    }
    if (now != NULL) {
        emit_claim_of(now, emit, data);
    }
    view_iter_referring(&it, tip, any, kind_of(KIND_PERSISTENTVOLUMECLAIM));
    VIEW_FOR(claim, &it)
    {
        emit(data, claim->kind, claim->ns, claim->name);
    }
    if (now != NULL && !now->deleting && !storage_has_claim(now)) {
        emit_waiting(tip, storage_class_of(now), now, emit, data);
    }
}

static void map_class(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data)
{
    emit_waiting(tip, (now != NULL ? now : old)->name, NULL, emit, data);
    if (now != NULL && storage_class_is_default(now)) {
        emit_waiting(tip, STR_NONE, NULL, emit, data);
    }
}

/* A pod that comes waits for its claims; one that goes holds them no longer. */
static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    (void)tip;
    struct storage_pod_claim claim;
    if ((old == NULL) == (now == NULL)) {
        return;
    }
    const struct object *pod = now != NULL ? now : old;
    for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), "volumes")); mp_next(&it);) {
        if (storage_claim_of(pod->name, it.value, &claim) && name_is_key(claim.name)) {
            emit(data, kind_of(KIND_PERSISTENTVOLUMECLAIM), pod->ns, claim.name);
        }
    }
}

static void claim_resync(const struct view *tip, const struct object *o, controller_emit *emit, void *data)
{
    (void)tip;
    if (o->kind->id == KIND_PERSISTENTVOLUMECLAIM) {
        emit(data, o->kind, o->ns, o->name);
    }
}

static const struct controller_watch watches[] = {{KIND_PERSISTENTVOLUMECLAIM, map_self},
                                                  {KIND_PERSISTENTVOLUME, map_volume},
                                                  {KIND_STORAGECLASS, map_class},
                                                  {KIND_POD, map_pod},
                                                  {0, NULL}};
const struct controller controller_claim_binder = {
    .name = "claim-binder", .watches = watches, .reconcile = claim_reconcile, .resync = claim_resync};
