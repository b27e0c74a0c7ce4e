/* Priorities on their way in: what a pod's class gives it, and that one class at most is the default. Source:
 * Kubernetes' admission plugin Priority. */
#include "controllers/priority.h"
#include "master/admission/row.h"

static int give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    struct value *spec = value_get(c->doc, "spec");
    if (c->kind->id != KIND_POD || c->before != NULL || !value_is_map(spec)) {
        return 0; /* it cannot change (pod_update.c) */
    }
    int rv = priority_give(ad->tip, ad->same_txn, ad->arena, spec, err);
    if (rv != 0) {
        struct str name = value_to_str(value_at(c->doc, "metadata", "name", NULL));
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

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    const struct object *old = c->old, *now = c->now;
    int rv = 0;
    if (c->kind->id != KIND_PRIORITYCLASS || !priority_class_is_default(now) ||
        (old != NULL && priority_class_is_default(old))) {
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

static int remove_one(const struct view *tip, const struct principal *who, const struct object *o, struct error *err)
{
    (void)tip;
    (void)who;
    bool needed = o->kind->id == KIND_PRIORITYCLASS && priority_builtin_find(o->name) != NULL;
    return needed ? admission_is_needed(o, err) : 0;
}

static const char *setting(const struct view *v, struct arena *a, bool *on)
{
    (void)on;
    struct view_iter it;
    view_iter(&it, v, kind_by_id(KIND_PRIORITYCLASS), STR_NONE);
    VIEW_FOR(class, &it)
    {
        if (priority_class_is_default(class)) {
            return arena_printf(a, "priorityclass/%.*s", STR_ARG(class->name));
        }
    }
    return "no class is the default";
}

const struct admission_row admission_priority = {
    .name = "Priority",
    .kinds = {KIND_POD, KIND_PRIORITYCLASS},
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE,
    .mutates = true,
    .help = "A pod gets the priority of its class and says no other; one class at most is the default, and two stay.",
    .give = give,
    .check = check,
    .remove = remove_one,
    .setting = setting,
};
