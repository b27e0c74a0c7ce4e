/* Claims on their way in: what the state gives them, and what of them it allows. Source: Kubernetes' admission plugins
 * DefaultStorageClass and PersistentVolumeClaimResize. */
#include "proto/facts/storage.h"
#include "controllers/storage/classes.h"
#include "master/api/admission.h"

int admit_claim(const struct admission *ad, const struct value *before, struct value *doc, struct error *err)
{
    (void)err;
    struct value *spec = value_get(doc, "spec");
    const struct object *class = before != NULL ? NULL : storage_default_class(ad->tip);
    const struct value *old = value_get(value_at(doc, "metadata", "annotations", NULL), STORAGE_CLASS_ANNOTATION);
    if (class != NULL && old == NULL && value_is_null(value_get(spec, "storageClassName"))) {
        value_set(ad->arena, spec, "storageClassName", value_str(ad->arena, class->name));
    }
    return 0;
}

int admit_claim_size(const struct admission *ad, const struct object *old, const struct object *now, struct error *err)
{
    if (old == NULL || storage_bytes(now) <= storage_bytes(old) || storage_volume_name(old).n == 0) {
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
