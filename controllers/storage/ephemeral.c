/* Claims that are made for a pod, one for each of its volumes `ephemeral`: called POD-VOLUME, controlled by the pod, so
 * that the garbage collector takes them away with it. A claim of that name that is not the pod's is left alone: the pod
 * waits, and scheduler and node say why (scheduler/volumes.c, agent/pod/source_claim.c). When it is gone the pod gets
 * its own. Source: Kubernetes' ephemeral volume controller. */
#include "controllers/registry.h"
#include "controllers/util.h"
#include "proto/facts/storage.h"

#define COMPONENT "ephemeral-volume-controller"

static int create(const struct reconcile_in *in, struct reconcile_out *out, const struct object *pod, struct mp volume,
                  struct str name, struct error *err)
{
    struct arena *a = out->arena;
    if (!name_is_dns_subdomain(name)) { /* of a pod whose name was not known when its template was checked */
        controller_event(out, in, pod, "Warning", "FailedCreate", COMPONENT,
                         "the claim of volume \"%.*s\" would be called \"%.*s\", which is no name of a claim",
                         STR_ARG(mp_str(mp_get(volume, "name"))), STR_ARG(name));
        return 0;
    }
    const struct value *template = msgpack_read_checked(a, mp_path(volume, "ephemeral.volumeClaimTemplate"));
    struct value *doc = claim_document(a, template, pod->ns, name);
    owner_add(a, doc, pod);
    DECIDED(out, REASON_MAKES_CLAIM, .what = name);
    return txn_create_value(out->txn, kind_of(KIND_PERSISTENTVOLUMECLAIM), doc, err);
}

static int ephemeral_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *pod = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    int rv = 0;
    if (pod == NULL || pod->deleting || pod_finished(pod) || namespace_closed(in->view, pod->ns)) {
        return 0;
    }
    for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), "volumes")); rv == 0 && mp_next(&it);) {
        struct storage_pod_claim claim;
        if (storage_claim_of(pod->name, it.value, &claim) && claim.own &&
            view_get(in->view, kind_of(KIND_PERSISTENTVOLUMECLAIM), pod->ns, claim.name) == NULL) {
            rv = create(in, out, pod, it.value, claim.name, err);
        }
    }
    return rv;
}

static bool has_own_claims(const struct object *pod)
{
    for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), "volumes")); mp_next(&it);) {
        if (mp_type(mp_get(it.value, "ephemeral")) == MP_MAP) {
            return true;
        }
    }
    return false;
}

/* Volumes of a pod never change. */
static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    (void)tip;
    if (now != NULL && (old == NULL || !str_eq(old->uid, now->uid)) && has_own_claims(now)) {
        emit(data, now->kind, now->ns, now->name);
    }
}

/* A claim that is gone was in the way of one, or is missing. */
static void map_claim(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data)
{
    struct view_iter it;
    if (now != NULL) {
        return;
    }
    view_iter_referring(&it, tip, old, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        if (has_own_claims(pod)) {
            emit(data, pod->kind, pod->ns, pod->name);
        }
    }
}

static const struct controller_watch watches[] = {
    {KIND_POD, map_pod}, {KIND_PERSISTENTVOLUMECLAIM, map_claim}, {0, NULL}};
const struct controller controller_ephemeral_claims = {
    .name = "ephemeral-claims", .watches = watches, .reconcile = ephemeral_reconcile};
