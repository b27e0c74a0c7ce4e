/* Source: Kubernetes' admission plugin PersistentVolumeClaimResize. */
#include "master/admission/row.h"
#include "proto/facts/storage.h"

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    const struct object *old = c->old, *now = c->now;
    if (storage_bytes(now) <= storage_bytes(old) || storage_volume_name(old).n == 0) {
        return 0;
    }
    const struct object *class = view_get(ad->tip, kind_by_id(KIND_STORAGECLASS), STR_NONE, storage_class_of(now));
    if (class != NULL && mp_bool(mp_get(object_mp(class), "allowVolumeExpansion"), false)) {
        return 0;
    }
    return error_set_field(err, ERR_FORBIDDEN, "spec.resources.requests.storage",
                           "persistentvolumeclaims \"%.*s\" is forbidden: only dynamically provisioned pvc can be "
                           "resized and the storageclass that provisions the pvc must support resize",
                           STR_ARG(now->name));
}

const struct admission_row admission_claim_resize = {
    .name = "PersistentVolumeClaimResize",
    .kinds = {KIND_PERSISTENTVOLUMECLAIM},
    .operations = ADMISSION_UPDATE,
    .help = "A bound claim asks for more only if its class lets it (allowVolumeExpansion).",
    .check = check,
};
