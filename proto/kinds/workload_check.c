/* Rules for ReplicaSets and Deployments. Source: Kubernetes v1.29, apps/v1. */
#include "proto/kinds/workload.h"
#include "proto/schema/selector.h"

#include <string.h>

static void check_selector(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *selector = value_get(spec, "selector");
    const struct value *labels = value_at(spec, "template", "metadata", "labels", NULL);
    if (selector == NULL) {
        return; /* the table has said it */
    }
    unsigned before = l->count;
    check_label_selector(l, selector, FPATH_AT(p, "selector"));
    if (value_count(value_get(selector, "matchLabels")) + value_count(value_get(selector, "matchExpressions")) == 0) {
        bad_value(l, selector, FPATH_AT(p, "selector"), "an empty selector is not allowed here");
    }
    struct selector *parsed;
    if (l->count > before || selector_from_value(l->arena, selector, &parsed, NULL) != 0) {
        return;
    }
    if (!selector_matches_value(parsed, labels)) {
        bad_value(l, labels != NULL ? labels : value_map(l->arena),
                  FPATH_AT(FPATH_AT(FPATH_AT(p, "template"), "metadata"), "labels"),
                  "selector does not match template labels");
    }
}

/* A disk of Google's that many pods are to mount can only be read. */
static void check_shared_disks(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *volumes = value_get(spec, "volumes");
    VALUE_FOR(i, volumes)
    {
        const struct value *disk = value_get(value_item(volumes, i), "gcePersistentDisk");
        if (disk != NULL && !value_to_bool(value_get(disk, "readOnly"), false)) {
            bad_value(l, value_bool(l->arena, false),
                      FPATH_AT(FPATH_AT(FPATH_ITEM(FPATH_AT(p, "volumes"), i), "gcePersistentDisk"), "readOnly"),
                      "must be read-only for replicated pods > 1");
        }
    }
}

static void check_template(const struct value *template, bool many, const char *policies, const struct fpath *p,
                           struct errlist *l)
{
    const struct value *meta = value_get(template, "metadata"), *spec = value_get(template, "spec");
    const struct fpath *annotations = FPATH_AT(FPATH_AT(p, "metadata"), "annotations");
    check_labels(l, value_get(meta, "labels"), FPATH_AT(FPATH_AT(p, "metadata"), "labels"));
    check_annotations(l, value_get(meta, "annotations"), annotations);
    pod_annotations_check(value_get(meta, "annotations"), spec, annotations, l);
    if (spec == NULL) {
        return;
    }
    const struct fpath *at = FPATH_AT(p, "spec");
    pod_spec_check(spec, at, true, STR_NONE, l);
    const struct value *policy = value_get(spec, "restartPolicy");
    bool known = in_choices(value_to_str(policy), "Always|OnFailure|Never");
    if (known && !in_choices(value_to_str(policy), policies)) {
        bad_choice(l, policy, FPATH_AT(at, "restartPolicy"), policies);
    }
    if (value_get(spec, "activeDeadlineSeconds") != NULL && strcmp(policies, "Always") == 0) {
        bad_forbidden(l, value_get(spec, "activeDeadlineSeconds"), FPATH_AT(at, "activeDeadlineSeconds"),
                      "not allowed in a template of pods that are to run for ever");
    }
    if (many) {
        check_shared_disks(spec, at, l);
    }
}

void workload_check_template(const struct value *template, const char *policies, const struct fpath *p,
                             struct errlist *l)
{
    check_template(template, false, policies, p, l);
}

static void check_numbers(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    check_at_least(l, value_get(spec, "replicas"), FPATH_AT(p, "replicas"), 0);
    check_at_least(l, value_get(spec, "minReadySeconds"), FPATH_AT(p, "minReadySeconds"), 0);
}

static void check_pods(const struct value *spec, const struct value *old, const struct fpath *p, struct errlist *l)
{
    /* A change of the status leaves the template alone: what was right is right. */
    const struct value *template = value_get(spec, "template"), *before = value_at(old, "spec", "template", NULL);
    if (template != NULL && (before == NULL || !value_equal(template, before))) {
        check_template(template, value_to_int(value_get(spec, "replicas"), 1) > 1, "Always", FPATH_AT(p, "template"),
                       l);
    }
}

void workload_check_pods(const struct value *spec, const struct value *old, const struct fpath *p, struct errlist *l)
{
    check_numbers(spec, p, l);
    check_pods(spec, old, p, l);
}

void workload_check(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct fpath *p = FPATH("spec");
    const struct value *spec = value_get(obj, "spec");
    if (spec == NULL) {
        return;
    }
    check_numbers(spec, p, l);
    check_selector(spec, p, l);
    check_pods(spec, old, p, l);
    const struct value *selector = value_get(spec, "selector"), *was = value_at(old, "spec", "selector", NULL);
    if (old != NULL &&
        !(value_is_map(selector) && value_is_map(was) && schema_equal(&schema_label_selector, selector, was))) {
        check_immutable(l, selector, was, FPATH_AT(p, "selector"));
    }
}

/* ---- Status ---- */

void workload_check_counts(const struct value *obj, const struct value *old, const struct workload_count *rules,
                           unsigned count, struct errlist *l)
{
    const struct value *status = value_get(obj, "status"), *before = value_get(old, "status");
    const struct fpath *p = FPATH("status");
    if (status == NULL || (before != NULL && value_equal(status, before))) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct value *v = value_get(status, rules[i].name);
        check_at_least(l, v, FPATH_AT(p, rules[i].name), 0);
        for (unsigned k = 0; k < ARRAY_SIZE(rules[i].at_most) && rules[i].at_most[k] != NULL; k++) {
            if (v != NULL && value_to_int(v, 0) > value_to_int(value_get(status, rules[i].at_most[k]), 0)) {
                bad_value(l, v, FPATH_AT(p, rules[i].name),
                          arena_printf(l->arena, "cannot be greater than status.%s", rules[i].at_most[k]));
            }
        }
    }
}

void workload_check_replica_counts(const struct value *obj, const struct value *old, struct errlist *l)
{
    static const struct workload_count counts[] = {
        {"replicas", {NULL}},
        {"fullyLabeledReplicas", {"replicas"}},
        {"readyReplicas", {"replicas"}},
        {"availableReplicas", {"replicas", "readyReplicas"}},
        {"terminatingReplicas", {NULL}},
        {"observedGeneration", {NULL}},
    };
    workload_check_counts(obj, old, counts, ARRAY_SIZE(counts), l);
}

void replicaset_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    workload_check(obj, old, l);
    workload_check_replica_counts(obj, old, l);
}

/* A count or a percentage; -1 if it is neither. */
static int64_t count_or_percent(const struct value *v, bool *is_percent)
{
    *is_percent = value_is_str(v);
    if (!*is_percent) {
        return value_to_int(v, 0);
    }
    struct str s = v->str;
    if (s.n < 2 || s.n > 6 || s.p[s.n - 1] != '%') {
        return -1;
    }
    int64_t n = 0;
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return -1;
        }
        n = n * 10 + (s.p[i] - '0');
    }
    return n;
}

int64_t workload_check_bound(const struct value *bounds, const char *name, bool limited, const struct fpath *p,
                             struct errlist *l)
{
    const struct value *v = value_get(bounds, name);
    bool percent;
    int64_t n = count_or_percent(v, &percent);
    if (n < 0) {
        bad_value(l, v, FPATH_AT(p, name),
                  percent ? "must be a number or a percentage (such as 25%)" : "must be greater than or equal to 0");
    } else if (limited && percent && n > 100) {
        bad_value(l, v, FPATH_AT(p, name), "must not be greater than 100%");
    }
    return n;
}

static void check_strategy(const struct value *how, const struct fpath *p, struct errlist *l)
{
    const struct value *bounds = value_get(how, "rollingUpdate");
    if (str_is(value_to_str(value_get(how, "type")), "Recreate")) {
        if (bounds != NULL) {
            bad_forbidden(l, bounds, FPATH_AT(p, "rollingUpdate"),
                          "may not be specified when strategy `type` is 'Recreate'");
        }
        return;
    }
    if (bounds == NULL) {
        return;
    }
    const struct fpath *at = FPATH_AT(p, "rollingUpdate");
    int64_t unavailable = workload_check_bound(bounds, "maxUnavailable", true, at, l);
    int64_t surge = workload_check_bound(bounds, "maxSurge", false, at, l);
    if (unavailable == 0 && surge == 0) {
        bad_value(l, value_get(bounds, "maxUnavailable"), FPATH_AT(at, "maxUnavailable"),
                  "may not be 0 when `maxSurge` is 0");
    }
}

void deployment_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    static const struct workload_count counts[] = {
        {"observedGeneration", {NULL}},
        {"replicas", {NULL}},
        {"updatedReplicas", {"replicas"}},
        {"readyReplicas", {"replicas"}},
        {"availableReplicas", {"replicas", "readyReplicas"}},
        {"unavailableReplicas", {NULL}},
        {"terminatingReplicas", {NULL}},
        {"collisionCount", {NULL}},
    };
    workload_check(obj, old, l);
    workload_check_counts(obj, old, counts, ARRAY_SIZE(counts), l);
    const struct value *clashes = value_at(obj, "status", "collisionCount", NULL);
    if (value_to_int(clashes, 0) < value_to_int(value_at(old, "status", "collisionCount", NULL), 0)) {
        bad_value(l, clashes, FPATH_AT(FPATH("status"), "collisionCount"), "cannot be decremented");
    }
    const struct fpath *p = FPATH("spec");
    const struct value *spec = value_get(obj, "spec"), *deadline = value_get(spec, "progressDeadlineSeconds");
    check_at_least(l, value_get(spec, "revisionHistoryLimit"), FPATH_AT(p, "revisionHistoryLimit"), 0);
    check_at_least(l, deadline, FPATH_AT(p, "progressDeadlineSeconds"), 0);
    if (deadline != NULL && deadline->integer >= 0 &&
        deadline->integer <= value_to_int(value_get(spec, "minReadySeconds"), 0)) {
        bad_value(l, deadline, FPATH_AT(p, "progressDeadlineSeconds"), "must be greater than minReadySeconds");
    }
    check_strategy(value_get(spec, "strategy"), FPATH_AT(p, "strategy"), l);
}
