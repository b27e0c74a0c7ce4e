/* Source: Kubernetes' admission plugin DefaultStorageClass. */
#include "controllers/storage/classes.h"
#include "master/admission/row.h"
#include "proto/facts/storage.h"

static int give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    (void)err;
    struct value *spec = value_get(c->doc, "spec");
    const struct object *class = storage_default_class(ad->tip);
    const struct value *old = value_get(value_at(c->doc, "metadata", "annotations", NULL), STORAGE_CLASS_ANNOTATION);
    if (class != NULL && old == NULL && value_is_null(value_get(spec, "storageClassName"))) {
        value_set(ad->arena, spec, "storageClassName", value_str(ad->arena, class->name));
    }
    return 0;
}

static const char *setting(const struct view *v, struct arena *a, bool *on)
{
    const struct object *class = storage_default_class(v);
    *on = class != NULL;
    return class == NULL ? "no class is the default" : arena_printf(a, "storageclass/%.*s", STR_ARG(class->name));
}

const struct admission_row admission_default_storage_class = {
    .name = "DefaultStorageClass",
    .kinds = {KIND_PERSISTENTVOLUMECLAIM},
    .operations = ADMISSION_CREATE,
    .mutates = true,
    .help = "A claim that names no class gets the newest of those that are the default.",
    .give = give,
    .setting = setting,
};
