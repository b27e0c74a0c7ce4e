/* Rules for changes of pods: what of a spec may change, and what a status may become. */
#include "base/strmap.h"
#include "proto/kinds/kinds.h"

#define NODE_RULE "requiredDuringSchedulingIgnoredDuringExecution"

/* ---- What may change ---- */

#define UPDATE_WHY                                                                                                     \
    "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, "        \
    "`spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing tolerations), and, while it has "    \
    "schedulingGates, additions to `spec.nodeSelector` and `spec.affinity.nodeAffinity`"

/* Put the old value of a member into v, or take the member out if there was none. */
static void put_back(struct arena *a, struct value *v, const struct value *old, const char *name)
{
    struct value *before = value_get(old, name);
    if (before == NULL) {
        value_remove(v, name);
    } else {
        value_set(a, v, name, before);
    }
}

static void put_back_images(struct arena *a, struct value *spec, const struct value *old, const char *list_name)
{
    struct value *list = value_get(spec, list_name), *before = value_get(old, list_name);
    for (unsigned i = 0; i < value_count(list) && i < value_count(before); i++) {
        put_back(a, value_item(list, i), value_item(before, i), "image");
    }
}

/* The list's elements by their names: users choose how many there are, so that not each is compared with each. Of
 * equal names, which no list here may have, one. */
static void index_names(struct strmap *m, const struct value *list)
{
    strmap_init(m);
    VALUE_FOR(i, list) strmap_set(m, value_to_str(value_get(value_item(list, i), "name")), value_item(list, i));
}

/* Every element of `before` is in `list` as it was; more may be there. Both are lists of what has names. */
static bool only_adds(const struct schema *s, const struct value *list, const struct value *before)
{
    struct strmap named;
    bool all = true;
    index_names(&named, list);
    for (unsigned i = 0; all && i < value_count(before); i++) {
        const struct value *was = value_item(before, i),
                           *now = strmap_get(&named, value_to_str(value_get(was, "name")));
        all = now != NULL && schema_equal(s, now, was);
    }
    strmap_close(&named);
    return all;
}

/* What a toleration is told from others by. */
static struct str toleration_key(struct buf *out, const struct value *t)
{
    static const char *const names[] = {"key", "operator", "value", "effect"};
    buf_reset(out);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        struct str text = value_to_str(value_get(t, names[i]));
        buf_printf(out, "%zu:", text.n);
        buf_append_str(out, text);
    }
    return buf_str(out);
}

/* As only_adds, but how long a taint is tolerated may change. */
static bool only_adds_tolerations(const struct value *list, const struct value *before)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct strmap there;
    bool all = true;
    strmap_init(&there);
    VALUE_FOR(i, list) strmap_set(&there, toleration_key(&key, value_item(list, i)), value_item(list, i));
    for (unsigned i = 0; all && i < value_count(before); i++) {
        all = strmap_get(&there, toleration_key(&key, value_item(before, i))) != NULL;
    }
    strmap_close(&there);
    return all;
}

/* ---- A pod that waits for its gates may still be narrowed down ---- */

static bool only_adds_labels(const struct value *map, const struct value *before)
{
    for (unsigned i = 0; i < value_count(before); i++) {
        const struct value *now = value_get_str_key(map, before->map.members[i].key);
        if (now == NULL || !value_equal(now, before->map.members[i].value)) {
            return false;
        }
    }
    return true;
}

/* More conditions may follow those there are; to a term without any, which matches nothing, none. */
static bool only_adds_conditions(const struct value *term, const struct value *before)
{
    static const char *const lists[] = {"matchExpressions", "matchFields"};
    unsigned had = 0, has = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(lists); k++) {
        const struct value *now = value_get(term, lists[k]), *was = value_get(before, lists[k]);
        had += value_count(was);
        has += value_count(now);
        for (unsigned i = 0; i < value_count(was); i++) {
            if (i >= value_count(now) || !value_equal(value_item(now, i), value_item(was, i))) {
                return false;
            }
        }
    }
    return had > 0 || has == 0;
}

static void check_node_affinity_change(const struct value *spec, const struct value *old, const struct fpath *p,
                                       struct errlist *l)
{
    const struct value *now = value_at(spec, "affinity", "nodeAffinity", NODE_RULE, "nodeSelectorTerms", NULL);
    const struct value *was = value_at(old, "affinity", "nodeAffinity", NODE_RULE, "nodeSelectorTerms", NULL);
    const struct fpath *at =
        FPATH_AT(FPATH_AT(FPATH_AT(FPATH_AT(p, "affinity"), "nodeAffinity"), NODE_RULE), "nodeSelectorTerms");
    if (value_count(was) == 0) {
        return; /* anything may be set */
    }
    if (value_count(now) != value_count(was)) {
        bad_value(l, now, at, "terms may not be added to those there are, nor removed");
        return;
    }
    VALUE_FOR(i, was)
    {
        if (!only_adds_conditions(value_item(now, i), value_item(was, i))) {
            bad_value(l, value_item(now, i), FPATH_ITEM(at, i), "only additions are allowed");
        }
    }
}

/* Reports what is not allowed, and puts back in `copy` what is. */
static void check_gated_change(struct value *copy, const struct value *old, const struct fpath *p, struct errlist *l)
{
    const struct value *selector = value_get(copy, "nodeSelector");
    if (!only_adds_labels(selector, value_get(old, "nodeSelector"))) {
        bad_value(l, selector, FPATH_AT(p, "nodeSelector"), "only additions are allowed");
    }
    check_node_affinity_change(copy, old, p, l);
    put_back(l->arena, copy, old, "nodeSelector");
    struct value *affinity = value_get(copy, "affinity");
    const struct value *before = value_at(old, "affinity", "nodeAffinity", NULL);
    if (affinity == NULL && before != NULL) {
        affinity = value_ensure_map(l->arena, copy, "affinity");
    }
    if (affinity != NULL) {
        put_back(l->arena, affinity, value_get(old, "affinity"), "nodeAffinity");
        if (value_count(affinity) == 0 && value_get(old, "affinity") == NULL) {
            value_remove(copy, "affinity");
        }
    }
}

static bool check_same_count(const struct value *spec, const struct value *old, const char *name, const struct fpath *p,
                             struct errlist *l)
{
    if (value_count(value_get(spec, name)) == value_count(value_get(old, name))) {
        return true;
    }
    bad_forbidden(l, value_get(spec, name), FPATH_AT(p, name), "pod updates may not add or remove containers");
    return false;
}

static void check_deadline_change(const struct value *spec, const struct value *old, const struct fpath *p,
                                  struct errlist *l)
{
    const struct value *now = value_get(spec, "activeDeadlineSeconds"), *was = value_get(old, "activeDeadlineSeconds");
    if (was != NULL && now == NULL) {
        bad_value(l, now, FPATH_AT(p, "activeDeadlineSeconds"), "must not update from a positive integer to nil value");
    } else if (was != NULL && now->integer > was->integer) {
        bad_value(l, now, FPATH_AT(p, "activeDeadlineSeconds"),
                  arena_printf(l->arena, "must be less than or equal to previous value %lld", (long long)was->integer));
    }
}

void pod_update_check(const struct value *obj, const struct value *old_obj, struct errlist *l)
{
    const struct fpath *p = FPATH("spec");
    /* An older version may have stored the pod without defaults that are filled in today: they are no change. */
    struct value *filled = value_copy(l->arena, old_obj);
    kind_fill_defaults(&kind_pod, l->arena, filled);
    const struct value *spec = value_get(obj, "spec"), *old = value_get(filled, "spec");
    if (spec == NULL || old == NULL) {
        return;
    }
    if (!check_same_count(spec, old, "containers", p, l) || !check_same_count(spec, old, "initContainers", p, l)) {
        return;
    }
    check_deadline_change(spec, old, p, l);
    if (!only_adds_tolerations(value_get(spec, "tolerations"), value_get(old, "tolerations"))) {
        bad_forbidden(l, value_get(spec, "tolerations"), FPATH_AT(p, "tolerations"),
                      "existing toleration can not be modified except its tolerationSeconds");
    }
    if (!only_adds(&schema_ephemeral_container, value_get(spec, "ephemeralContainers"),
                   value_get(old, "ephemeralContainers"))) {
        bad_forbidden(l, value_get(spec, "ephemeralContainers"), FPATH_AT(p, "ephemeralContainers"),
                      "existing ephemeral containers may not be removed or changed");
    }
    const struct schema *gate = schema_field(&schema_pod_spec, STR("schedulingGates"))->sub;
    if (!only_adds(gate, value_get(old, "schedulingGates"), value_get(spec, "schedulingGates"))) {
        bad_forbidden(l, value_get(spec, "schedulingGates"), FPATH_AT(p, "schedulingGates"),
                      "only deletion is allowed");
    }
    /* What may change is set back in a copy; then nothing may differ. */
    static const char *const free_members[] = {"activeDeadlineSeconds", "tolerations", "ephemeralContainers",
                                               "schedulingGates"};
    struct value *copy = value_copy(l->arena, spec);
    for (unsigned i = 0; i < ARRAY_SIZE(free_members); i++) {
        put_back(l->arena, copy, old, free_members[i]);
    }
    put_back_images(l->arena, copy, old, "containers");
    put_back_images(l->arena, copy, old, "initContainers");
    if (value_to_str(value_get(old, "nodeName")).n == 0) {
        put_back(l->arena, copy, old, "nodeName"); /* the binding to a node */
    }
    if (value_count(value_get(old, "schedulingGates")) > 0) {
        check_gated_change(copy, old, p, l);
    }
    if (!schema_equal(&schema_pod_spec, copy, old)) {
        bad_forbidden(l, spec, p, UPDATE_WHY);
    }
}

void pod_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec"), *before = value_get(old, "spec");
    const struct value *annotations = value_at(obj, "metadata", "annotations", NULL);
    const struct value *annotations_before = value_at(old, "metadata", "annotations", NULL);
    bool spec_changes = before == NULL || spec == NULL || !value_equal(spec, before);
    if (old != NULL) {
        pod_status_check(obj, old, l);
    }
    if (annotations != NULL && (annotations_before == NULL || !value_equal(annotations, annotations_before))) {
        pod_annotations_check(annotations, spec, FPATH_AT(FPATH("metadata"), "annotations"), l);
    }
    /* Most changes of pods are of their status: what was right is right. */
    if (spec == NULL || !spec_changes) {
        return;
    }
    pod_spec_check(spec, FPATH("spec"), false, value_to_str(value_at(obj, "metadata", "name", NULL)), l);
    if (old != NULL) {
        pod_update_check(obj, old, l);
    } else {
        pod_no_ephemeral_check(spec, FPATH("spec"), "ephemeral containers are not allowed when a pod is made", l);
    }
}
