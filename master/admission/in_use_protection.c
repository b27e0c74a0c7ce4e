/* Source: Kubernetes' admission plugin StorageObjectInUseProtection. Controllers give it to what they make
 * (controllers/util.c, controllers/storage). */
#include "master/admission/row.h"
#include "proto/facts/storage.h"

static int give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    (void)err;
    bool claim = c->kind->id == KIND_PERSISTENTVOLUMECLAIM;
    storage_add_finalizer(ad->arena, c->doc, claim ? STORAGE_PROTECT_CLAIM : STORAGE_PROTECT_VOLUME);
    return 0;
}

const struct admission_row admission_in_use_protection = {
    .name = "StorageObjectInUseProtection",
    .kinds = {KIND_PERSISTENTVOLUMECLAIM, KIND_PERSISTENTVOLUME},
    .operations = ADMISSION_CREATE,
    .mutates = true,
    .help = "A claim that a pod uses, and a volume that a claim has, go only when nobody needs them any more.",
    .give = give,
};
