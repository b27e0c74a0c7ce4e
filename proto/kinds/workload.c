/* ReplicaSet and Deployment: a number of like pods, and how to exchange them for others. */
#include <limits.h>
#include <stdlib.h>

#include "proto/kinds/kinds.h"
#include "proto/selector.h"

/* clang-format off */
#define TEMPLATE_ROW OBJECT("template", schema_pod_template, "The pods to be made.", REQUIRED)
#define SELECTOR_ROW                                                                                                   \
    OBJECT("selector", schema_label_selector,                                                                          \
           "Which pods count. Must match the template's labels. "                                                      \
           "Cannot change.",                                                                                           \
           REQUIRED)
#define REPLICAS_ROW  INT32("replicas", "How many pods there should be.", DEFAULT("1"))
#define MIN_READY_ROW INT32("minReadySeconds", "A new pod must be Ready this long to count as available.")
#define CONDITION_ROWS                                                                                                 \
    STRING("type", "What it is about."), STRING("status", "True, False or Unknown."),                                  \
        TIME("lastTransitionTime", "When status last changed."), STRING("reason", "Why, in one word."),                \
        STRING("message", "Why, for people.")

SCHEMA_STATIC(replicaset_spec, "ReplicaSetSpec", "How many pods of what sort.",
    REPLICAS_ROW,
    MIN_READY_ROW,
    SELECTOR_ROW,
    TEMPLATE_ROW);

SCHEMA_STATIC(replicaset_condition, "ReplicaSetCondition", "One statement about the set.",
    CONDITION_ROWS);

SCHEMA_STATIC(replicaset_status, "ReplicaSetStatus", "What is known of the set.",
    INT32("replicas", "Pods there are."),
    INT32("fullyLabeledReplicas", "Pods that have all labels of the template."),
    INT32("readyReplicas", "Pods that are Ready."),
    INT32("availableReplicas", "Pods that have been Ready for minReadySeconds."),
    INT64("observedGeneration", "Generation of the spec that these numbers speak of."),
    OBJECTS("conditions", replicaset_condition, "Statements about the set.", MERGE("type")),
    INT32("terminatingReplicas", "Pods that are on their way out."));

SCHEMA_STATIC(replicaset, "ReplicaSet", "Keeps a number of like pods running. Usually made by a Deployment.",
    TYPE_META,
    OBJECT("spec", replicaset_spec, "How many pods of what sort.", REQUIRED),
    OBJECT("status", replicaset_status, "What is known of the set.", .flags = FIELD_STATUS));

SCHEMA_STATIC(rolling_update, "RollingUpdateDeployment", "Bounds of a rolling update.",
    INT_OR_STRING("maxUnavailable", "How many pods may be missing, as number or percentage (rounded down).",
                  DEFAULT("25%")),
    INT_OR_STRING("maxSurge", "How many pods there may be in addition, as number or percentage (rounded up).",
                  DEFAULT("25%")));

SCHEMA_STATIC(strategy, "DeploymentStrategy", "How old pods are exchanged for new ones.",
    STRING("type", "RollingUpdate goes step by step; Recreate removes all before making new ones.",
           DEFAULT("RollingUpdate"), ONE_OF("RollingUpdate|Recreate")),
    OBJECT("rollingUpdate", rolling_update, "Bounds, for RollingUpdate."));

SCHEMA_STATIC(deployment_spec, "DeploymentSpec", "What pods there are to be, and how to get there.",
    REPLICAS_ROW,
    SELECTOR_ROW,
    TEMPLATE_ROW,
    OBJECT("strategy", strategy, "How pods are exchanged.", .flags = FIELD_RETAIN_KEYS, DEFAULT("{}")),
    MIN_READY_ROW,
    INT32("revisionHistoryLimit", "How many old ReplicaSets are kept to go back to.", DEFAULT("10")),
    BOOLEAN("paused", "Changes of the template wait."),
    INT32("progressDeadlineSeconds", "Without progress for this long the rollout counts as failed.", DEFAULT("600")));

SCHEMA_STATIC(deployment_condition, "DeploymentCondition", "One statement about the deployment.",
    CONDITION_ROWS,
    TIME("lastUpdateTime", "When it was last confirmed."));

SCHEMA_STATIC(deployment_status, "DeploymentStatus", "What is known of the deployment.",
    INT64("observedGeneration", "Generation of the spec that these numbers speak of."),
    INT32("replicas", "Pods there are."),
    INT32("updatedReplicas", "Pods of the newest template."),
    INT32("readyReplicas", "Pods that are Ready."),
    INT32("availableReplicas", "Pods that have been Ready for minReadySeconds."),
    INT32("unavailableReplicas", "Pods that are still missing."),
    OBJECTS("conditions", deployment_condition, "Statements: Available, Progressing, ReplicaFailure.", MERGE("type")),
    INT32("collisionCount", "Counts clashes of names of ReplicaSets."),
    INT32("terminatingReplicas", "Pods that are on their way out."));

SCHEMA_STATIC(deployment, "Deployment",
    "Keeps a number of like pods running and exchanges them step by step when the template changes.",
    TYPE_META,
    OBJECT("spec", deployment_spec, "What pods there are to be.", REQUIRED),
    OBJECT("status", deployment_status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

/* ---- Defaults ---- */

static void replicaset_fill(struct arena *a, struct value *obj)
{
    pod_spec_fill(a, value_at(obj, "spec", "template", "spec", NULL));
}

static void deployment_fill(struct arena *a, struct value *obj)
{
    replicaset_fill(a, obj);
    struct value *how = value_at(obj, "spec", "strategy", NULL);
    if (how == NULL || !str_is(value_to_str(value_get(how, "type")), "RollingUpdate")) {
        return;
    }
    struct value *bounds = value_ensure_map(a, how, "rollingUpdate");
    static const char *const names[] = {"maxUnavailable", "maxSurge"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (value_get(bounds, names[i]) == NULL) {
            value_set(a, bounds, names[i], value_cstr(a, "25%"));
        }
    }
}

/* ---- Rules ---- */

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

static void check_template(const struct value *template, const struct fpath *p, struct errlist *l)
{
    const struct value *meta = value_get(template, "metadata"), *spec = value_get(template, "spec");
    check_labels(l, value_get(meta, "labels"), FPATH_AT(FPATH_AT(p, "metadata"), "labels"));
    if (spec == NULL) {
        return;
    }
    const struct fpath *at = FPATH_AT(p, "spec");
    pod_spec_check(spec, at, true, l);
    const struct value *policy = value_get(spec, "restartPolicy");
    if (in_choices(value_to_str(policy), "OnFailure|Never")) {
        bad_choice(l, policy, FPATH_AT(at, "restartPolicy"), "Always");
    }
    if (value_get(spec, "activeDeadlineSeconds") != NULL) {
        bad_forbidden(l, value_get(spec, "activeDeadlineSeconds"), FPATH_AT(at, "activeDeadlineSeconds"),
                      "not allowed in a template of pods that are to run for ever");
    }
}

void workload_check(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct fpath *p = FPATH("spec");
    const struct value *spec = value_get(obj, "spec");
    if (spec == NULL) {
        return;
    }
    check_at_least(l, value_get(spec, "replicas"), FPATH_AT(p, "replicas"), 0);
    check_at_least(l, value_get(spec, "minReadySeconds"), FPATH_AT(p, "minReadySeconds"), 0);
    check_selector(spec, p, l);
    /* A change of the status leaves the template alone: what was right is right. */
    const struct value *template = value_get(spec, "template"), *before = value_at(old, "spec", "template", NULL);
    if (template != NULL && (before == NULL || !value_equal(template, before))) {
        check_template(template, FPATH_AT(p, "template"), l);
    }
    if (old != NULL) {
        check_immutable(l, value_get(spec, "selector"), value_at(old, "spec", "selector", NULL),
                        FPATH_AT(p, "selector"));
    }
}

static void replicaset_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    workload_check(obj, old, l);
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

static int64_t check_bound(const struct value *bounds, const char *name, bool limited, const struct fpath *p,
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
    int64_t unavailable = check_bound(bounds, "maxUnavailable", true, at, l);
    int64_t surge = check_bound(bounds, "maxSurge", false, at, l);
    if (unavailable == 0 && surge == 0) {
        bad_value(l, value_get(bounds, "maxUnavailable"), FPATH_AT(at, "maxUnavailable"),
                  "may not be 0 when `maxSurge` is 0");
    }
}

static void deployment_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    workload_check(obj, old, l);
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

/* ---- Columns ---- */

static void cell_desired(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "spec.replicas"));
}

static void cell_current(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "status.replicas"));
}

static void cell_ready(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "status.readyReplicas"));
}

static void cell_ready_of(struct buf *out, const struct object *o, int64_t now_ms)
{
    cell_ready(out, o, now_ms);
    buf_putc(out, '/');
    cell_desired(out, o, now_ms);
}

static void cell_updated(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "status.updatedReplicas"));
}

static void cell_available(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "status.availableReplicas"));
}

static void cell_names(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_containers(out, mp_path(object_mp(o), "spec.template.spec.containers"), "name");
}

static void cell_images(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_containers(out, mp_path(object_mp(o), "spec.template.spec.containers"), "image");
}

static void cell_selector(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct selector *s;
    if (selector_from_mp(&a, mp_path(object_mp(o), "spec.selector"), &s, NULL) != 0 || selector_empty(s)) {
        buf_puts(out, "<none>");
    } else {
        selector_write(out, s);
    }
}

#define WIDE_COLUMNS                                                                                                   \
    {.title = "CONTAINERS", .wide = true, .cell = cell_names}, {.title = "IMAGES", .wide = true, .cell = cell_images}, \
    {                                                                                                                  \
        .title = "SELECTOR", .wide = true, .cell = cell_selector                                                       \
    }

static const struct column replicaset_columns[] = {
    {.title = "NAME"},
    {.title = "DESIRED", .cell = cell_desired},
    {.title = "CURRENT", .cell = cell_current},
    {.title = "READY", .cell = cell_ready},
    {.title = "AGE"},
    WIDE_COLUMNS,
};

static const struct column deployment_columns[] = {
    {.title = "NAME"},
    {.title = "READY", .cell = cell_ready_of},
    {.title = "UP-TO-DATE", .cell = cell_updated},
    {.title = "AVAILABLE", .cell = cell_available},
    {.title = "AGE"},
    WIDE_COLUMNS,
};

const struct kind kind_replicaset = {
    .id = KIND_REPLICASET,
    .name = "ReplicaSet",
    .api_version = "apps/v1",
    .plural = "replicasets",
    .singular = "replicaset",
    .short_names = "rs",
    .namespaced = true,
    .has_status = true,
    .has_scale = true,
    .has_generation = true,
    .selectable = "status.replicas",
    .schema = &replicaset,
    .columns = replicaset_columns,
    .columns_count = ARRAY_SIZE(replicaset_columns),
    .validate = replicaset_validate,
    .fill = replicaset_fill,
};

const struct kind kind_deployment = {
    .id = KIND_DEPLOYMENT,
    .name = "Deployment",
    .api_version = "apps/v1",
    .plural = "deployments",
    .singular = "deployment",
    .short_names = "deploy",
    .namespaced = true,
    .has_status = true,
    .has_scale = true,
    .has_generation = true,
    .schema = &deployment,
    .columns = deployment_columns,
    .columns_count = ARRAY_SIZE(deployment_columns),
    .validate = deployment_validate,
    .fill = deployment_fill,
};
