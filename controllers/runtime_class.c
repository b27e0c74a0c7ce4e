#include "controllers/runtime_class.h"

#include "controllers/util.h"

#define MERGE_MAX 128u /* tolerations that are compared with each other: pairs, on the leader's loop */

static const struct object *find(const struct view *v, const struct txn *with, struct str name)
{
    const struct object *class = view_get(v, kind_of(KIND_RUNTIMECLASS), STR_NONE, name);
    for (unsigned i = 0; class == NULL && with != NULL && i < with->count; i++) {
        const struct txn_op *op = &with->ops[i];
        if (op->type == TXN_CREATE && op->kind->id == KIND_RUNTIMECLASS && str_eq(op->object->name, name)) {
            class = op->object;
        }
    }
    return class;
}

static int give_overhead(struct arena *a, struct value *spec, const struct value *fixed, struct error *err)
{
    const struct value *own = value_get(spec, "overhead");
    struct value *now = value_map(a), *before = value_map(a);
    if (fixed == NULL && value_count(own) == 0) {
        return 0;
    }
    if (fixed == NULL) {
        return error_set_field(err, ERR_FORBIDDEN, "spec.overhead",
                               "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
    }
    if (value_count(own) > 0) {
        value_set(a, now, "overhead", value_copy(a, own)); /* specs that have nothing else */
        value_set(a, before, "overhead", value_copy(a, fixed));
        if (!kind_equal(kind_of(KIND_POD), "spec", now, before)) {
            return error_set_field(err, ERR_FORBIDDEN, "spec.overhead",
                                   "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
        }
    }
    value_set(a, spec, "overhead", value_copy(a, fixed));
    return 0;
}

static int give_labels(struct arena *a, struct value *spec, const struct value *wanted, struct error *err)
{
    const struct value *own = value_get(spec, "nodeSelector");
    if (value_count(wanted) == 0) {
        return 0;
    }
    struct value *all = value_is_map(own) ? value_copy(a, own) : value_map(a);
    for (unsigned i = 0; i < value_count(wanted); i++) {
        const struct value_member *m = &wanted->map.members[i];
        const struct value *there = value_get_str_key(all, m->key);
        struct str now = value_to_str(there), class = value_to_str(m->value);
        if (there != NULL && !str_eq(now, class)) {
            return error_set_field(err, ERR_FORBIDDEN, "spec.nodeSelector",
                                   "conflict: runtimeClass.scheduling.nodeSelector[%.*s] = %.*s; "
                                   "pod.spec.nodeSelector[%.*s] = %.*s",
                                   STR_ARG(m->key), STR_ARG(class), STR_ARG(m->key), STR_ARG(now));
        }
        value_set_str_key(a, all, m->key, value_copy(a, m->value));
    }
    value_set(a, spec, "nodeSelector", all);
    return 0;
}

/* ---- Tolerations ---- */

static struct str text_of(const struct value *t, const char *member)
{
    return value_to_str(value_get(t, member));
}

static bool is_exists(const struct value *t)
{
    return str_is(text_of(t, "operator"), "Exists");
}

/* An unset operator is Equal. */
static bool is_same(const struct value *a, const struct value *b)
{
    const struct value *s = value_get(a, "tolerationSeconds"), *u = value_get(b, "tolerationSeconds");
    return str_eq(text_of(a, "key"), text_of(b, "key")) && str_eq(text_of(a, "value"), text_of(b, "value")) &&
           str_eq(text_of(a, "effect"), text_of(b, "effect")) && is_exists(a) == is_exists(b) &&
           (s == NULL) == (u == NULL) && value_to_int(s, 0) == value_to_int(u, 0);
}

/* Does a tolerate all that b tolerates? Source: Kubernetes' isSuperset of tolerations. */
static bool covers(const struct value *a, const struct value *b)
{
    const struct value *mine = value_get(a, "tolerationSeconds"), *other = value_get(b, "tolerationSeconds");
    struct str key = text_of(a, "key"), effect = text_of(a, "effect");
    if (is_same(a, b)) {
        return true;
    }
    if (!str_eq(key, text_of(b, "key")) && (key.n > 0 || !is_exists(a))) {
        return false;
    }
    if (effect.n > 0 && !str_eq(effect, text_of(b, "effect"))) {
        return false;
    }
    if (str_is(effect, "NoExecute") && mine != NULL &&
        (other == NULL || value_to_int(other, 0) > value_to_int(mine, 0))) {
        return false;
    }
    return is_exists(a) || (!is_exists(b) && str_eq(text_of(a, "value"), text_of(b, "value")));
}

static bool is_covered(const struct value *kept, const struct value *all, unsigned i)
{
    const struct value *t = value_item(all, i);
    VALUE_FOR(k, kept)
    {
        if (covers(value_item(kept, k), t)) {
            return true;
        }
    }
    for (unsigned k = i + 1; k < value_count(all); k++) {
        if (!is_same(value_item(all, k), t) && covers(value_item(all, k), t)) {
            return true;
        }
    }
    return false;
}

/* Source: Kubernetes' MergeTolerations: the pod's, then the class's, without what others cover. Of more than anybody
 * has all stay, which tolerates the same. */
static void give_tolerations(struct arena *a, struct value *spec, const struct value *wanted)
{
    const struct value *own = value_get(spec, "tolerations");
    struct value *all = value_list(a), *kept = value_list(a);
    if (value_count(wanted) == 0) {
        return;
    }
    VALUE_FOR(i, own)
    {
        value_append(a, all, value_copy(a, value_item(own, i)));
    }
    VALUE_FOR(i, wanted)
    {
        value_append(a, all, value_copy(a, value_item(wanted, i)));
    }
    VALUE_FOR(i, all)
    {
        if (value_count(all) > MERGE_MAX || !is_covered(kept, all, i)) {
            value_append(a, kept, value_item(all, i));
        }
    }
    value_set(a, spec, "tolerations", kept);
}

int runtime_class_give(const struct view *v, const struct txn *with, struct arena *a, struct value *spec,
                       struct error *err)
{
    struct str name = value_to_str(value_get(spec, "runtimeClassName"));
    const struct object *class = str_empty(name) ? NULL : find(v, with, name);
    if (class == NULL && !str_empty(name)) {
        return error_set_field(err, ERR_FORBIDDEN, "spec.runtimeClassName",
                               "pod rejected: RuntimeClass \"%.*s\" not found", STR_ARG(name));
    }
    const struct value *doc = class == NULL ? NULL : object_to_value(a, class);
    int rv = give_overhead(a, spec, value_at(doc, "overhead", "podFixed", NULL), err);
    rv = rv != 0 ? rv : give_labels(a, spec, value_at(doc, "scheduling", "nodeSelector", NULL), err);
    if (rv == 0) {
        give_tolerations(a, spec, value_at(doc, "scheduling", "tolerations", NULL));
    }
    return rv;
}

int runtime_class_give_pod(const struct view *v, struct arena *a, struct value *pod, struct error *err)
{
    struct value *spec = value_get(pod, "spec");
    return value_is_map(spec) ? runtime_class_give(v, NULL, a, spec, err) : 0;
}
