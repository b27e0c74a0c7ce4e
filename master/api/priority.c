/* Priorities on their way in: what a pod's class gives it, and that one class at most is the default. Source:
 * Kubernetes' admission plugin Priority. */
#include "controllers/priority.h"
#include "master/api/admission.h"

int admit_priority(const struct admission *ad, const struct value *before, struct value *doc, struct error *err)
{
    struct value *spec = value_get(doc, "spec");
    if (before != NULL || !value_is_map(spec)) {
        return 0; /* it cannot change (pod_update.c) */
    }
    int rv = priority_give(ad->tip, ad->same_txn, ad->arena, spec, err);
    if (rv != 0) {
        struct str name = value_to_str(value_at(doc, "metadata", "name", NULL));
        error_wrap(err, "pods \"%.*s\" is forbidden", STR_ARG(name));
    }
    return rv;
}

static int one_default(const struct object *other, const struct object *now, struct error *err)
{
    if (other == NULL || !priority_class_is_default(other) || str_eq(other->name, now->name)) {
        return 0;
    }
    return error_set_field(err, ERR_FORBIDDEN, "globalDefault",
                           "priorityclasses.scheduling.k8s.io \"%.*s\" is forbidden: PriorityClass %.*s is already "
                           "marked as default. Only one default can exist",
                           STR_ARG(now->name), STR_ARG(other->name));
}

int admit_priority_class(const struct admission *ad, const struct object *old, const struct object *now,
                         struct error *err)
{
    int rv = 0;
    if (!priority_class_is_default(now) || (old != NULL && priority_class_is_default(old))) {
        return 0;
    }
    struct view_iter it;
    view_iter(&it, ad->tip, now->kind, STR_NONE);
    VIEW_FOR(other, &it)
    {
        rv = rv != 0 ? rv : one_default(other, now, err);
    }
    for (unsigned i = 0; ad->same_txn != NULL && i < ad->same_txn->count && rv == 0; i++) {
        const struct txn_op *op = &ad->same_txn->ops[i];
        rv = op->object != NULL && op->kind == now->kind ? one_default(op->object, now, err) : 0;
    }
    return rv;
}

bool priority_is_builtin(const struct object *o)
{
    return o->kind->id == KIND_PRIORITYCLASS && priority_builtin_find(o->name) != NULL;
}
