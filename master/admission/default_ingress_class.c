/* Source: Kubernetes' admission plugin DefaultIngressClass. */
#include "master/admission/row.h"
#include "proto/facts/ingress.h"

/* Of several default classes the newest, and of equally new ones the first by name. NULL: none. */
static const struct object *default_class(const struct view *v)
{
    const struct object *best = NULL;
    struct view_iter it;
    view_iter(&it, v, kind_by_id(KIND_INGRESSCLASS), STR_NONE);
    VIEW_FOR(class, &it)
    {
        if (ingress_class_is_default(class) && (best == NULL || object_created_ms(class) > object_created_ms(best))) {
            best = class;
        }
    }
    return best;
}

static int give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    (void)err;
    struct value *spec = value_get(c->doc, "spec");
    const struct value *old = value_get(value_at(c->doc, "metadata", "annotations", NULL), INGRESS_CLASS_ANNOTATION);
    if (c->before != NULL || old != NULL || !value_is_null(value_get(spec, "ingressClassName"))) {
        return 0;
    }
    const struct object *class = default_class(ad->tip);
    if (class != NULL) {
        spec = value_ensure_map(ad->arena, c->doc, "spec");
        value_set(ad->arena, spec, "ingressClassName", value_str(ad->arena, class->name));
    }
    return 0;
}

static const char *setting(const struct view *v, struct arena *a, bool *on)
{
    const struct object *class = default_class(v);
    *on = class != NULL;
    return class == NULL ? "no class is the default" : arena_printf(a, "ingressclass/%.*s", STR_ARG(class->name));
}

const struct admission_row admission_default_ingress_class = {
    .name = "DefaultIngressClass",
    .kinds = {KIND_INGRESS},
    .operations = ADMISSION_CREATE,
    .mutates = true,
    .help = "An Ingress that names no class gets the newest of those that are the default.",
    .give = give,
    .setting = setting,
};
