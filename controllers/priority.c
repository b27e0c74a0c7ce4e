#include "controllers/priority.h"

#include <inttypes.h>

#include "controllers/util.h"

static bool lower(const struct object *a, const struct object *b)
{
    return b == NULL || priority_of_class(a).value < priority_of_class(b).value;
}

const struct object *priority_default_class(const struct view *v)
{
    const struct object *best = NULL;
    struct view_iter it;
    view_iter(&it, v, kind_of(KIND_PRIORITYCLASS), STR_NONE);
    VIEW_FOR(class, &it)
    {
        if (priority_class_is_default(class) && lower(class, best)) {
            best = class;
        }
    }
    return best;
}

static const struct object *made_beside(const struct txn *t, struct str name, bool is_default)
{
    for (unsigned i = 0; t != NULL && i < t->count; i++) {
        const struct txn_op *op = &t->ops[i];
        if (op->type == TXN_CREATE && op->kind->id == KIND_PRIORITYCLASS &&
            (is_default ? priority_class_is_default(op->object) : str_eq(op->name, name))) {
            return op->object;
        }
    }
    return NULL;
}

/* False: there is none of that name. */
static bool find(const struct view *v, const struct txn *with, struct str name, struct priority *out)
{
    const struct object *class = NULL;
    *out = (struct priority){.policy = STR(PREEMPT_LOWER)};
    if (str_empty(name)) {
        class = priority_default_class(v);
        class = class != NULL ? class : made_beside(with, name, true);
    } else {
        class = view_get(v, kind_of(KIND_PRIORITYCLASS), STR_NONE, name);
        class = class != NULL ? class : made_beside(with, name, false);
    }
    if (class != NULL) {
        *out = priority_of_class(class);
        return true;
    }
    const struct priority_builtin *builtin = priority_builtin_find(name);
    if (builtin != NULL) {
        out->class = name;
        out->value = builtin->value;
    }
    return builtin != NULL || str_empty(name);
}

int priority_give(const struct view *v, const struct txn *with, struct arena *a, struct value *spec, struct error *err)
{
    struct priority p;
    struct str name = value_to_str(value_get(spec, "priorityClassName"));
    const struct value *own = value_get(spec, "priority"), *policy = value_get(spec, "preemptionPolicy");
    if (!find(v, with, name, &p)) {
        return error_set_field(err, ERR_FORBIDDEN, "spec.priorityClassName",
                               "no PriorityClass with name %.*s was found", STR_ARG(name));
    }
    if (!value_is_null(own) && value_to_int(own, 0) != p.value) {
        return error_set_field(err, ERR_FORBIDDEN, "spec.priority",
                               "the integer value of priority (%" PRId64 ") must not be provided in pod spec; it "
                               "comes from the PriorityClass and is %" PRId64 "%s",
                               value_to_int(own, 0), p.value,
                               str_empty(p.class) ? "; make a class with this value and name it in priorityClassName"
                                                  : "");
    }
    if (!value_is_null(policy) && !str_eq(value_to_str(policy), p.policy)) {
        return error_set_field(err, ERR_FORBIDDEN, "spec.preemptionPolicy",
                               "the string value of PreemptionPolicy (%.*s) must not be provided in pod spec; it "
                               "comes from the PriorityClass and is %.*s",
                               STR_ARG(value_to_str(policy)), STR_ARG(p.policy));
    }
    if (!str_empty(p.class)) {
        value_set(a, spec, "priorityClassName", value_str(a, p.class));
        value_set(a, spec, "priority", value_int(a, p.value));
        value_set(a, spec, "preemptionPolicy", value_str(a, p.policy));
    }
    return 0;
}

int priority_give_pod(const struct view *v, struct arena *a, struct value *pod, struct error *err)
{
    struct value *spec = value_get(pod, "spec");
    return value_is_map(spec) ? priority_give(v, NULL, a, spec, err) : 0;
}
