/* PodDisruptionBudget: how many pods of an application may be taken away on purpose at a time.
 * Source: Kubernetes policy/v1; policy/v1beta1 is taken as well. What is counted: proto/facts/disruption.h. */
#include <stdio.h>

#include "proto/describe/parts.h"
#include "proto/facts/condition.h"
#include "proto/facts/disruption.h"
#include "proto/kinds/workload.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(budget_condition, "Condition", "One thing that is said of the budget's state.",
    STRING("type", "What it is about."),
    STRING("status", "True, False or Unknown."),
    INT64("observedGeneration", "The generation of spec that it is about.", ZERO),
    TIME("lastTransitionTime", "When status last changed."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(budget_spec, "PodDisruptionBudgetSpec", "Which pods, and how many of them may be missing. Either "
              "minAvailable or maxUnavailable; with neither no pod may be evicted.",
    INT_OR_STRING("minAvailable", "So many of the pods must be healthy after an eviction: a number, or a percentage "
                  "(such as 50%) of what their owners want, rounded up. 100% forbids all evictions."),
    OBJECT("selector", schema_label_selector, "Pods of its namespace that count; {}: all of them. Unset: none."),
    INT_OR_STRING("maxUnavailable", "So many of the pods may be missing after an eviction: a number, or a percentage "
                  "of what their owners want, rounded up. 0 forbids all evictions."),
    STRING("unhealthyPodEvictionPolicy", "Which running pods that are not Ready may be evicted: IfHealthyBudget (unset "
           "as well): if enough others are healthy. AlwaysAllow: all.", ONE_OF("IfHealthyBudget|AlwaysAllow")));

SCHEMA_STATIC(budget_status, "PodDisruptionBudgetStatus", "What was counted.",
    INT64("observedGeneration", "The generation of spec that it is about.", .flags = FIELD_READONLY | FIELD_ZERO),
    ROW("disruptedPods", FIELD_TIME, "Pods that somebody is about to delete, and since when; they count as missing for "
        "two minutes. Empty as a rule: an eviction deletes its pod in the same step.", .shape = SHAPE_MAP),
    INT32("disruptionsAllowed", "How many healthy pods may be evicted now."),
    INT32("currentHealthy", "How many pods are healthy: Ready, and not being deleted."),
    INT32("desiredHealthy", "How many have to be."),
    INT32("expectedPods", "Of how many in all."),
    OBJECTS("conditions", budget_condition, "DisruptionAllowed: may a pod be evicted now?", MERGE("type")));

SCHEMA_STATIC(budget, "PodDisruptionBudget", "How many pods of an application may be taken away on purpose at a time.",
    TYPE_META,
    OBJECT("spec", budget_spec, "Which pods, and how many of them may be missing."),
    OBJECT("status", budget_status, "What was counted.", .flags = FIELD_STATUS));
/* clang-format on */

/* ---- Versions ---- */

/* In v1beta1 an empty selector selects nothing, in v1 everything. A condition that no pod fulfils, or that all do, says
 * so in the other version. Source: Kubernetes' conversion of policy/v1beta1, with its key. */
#define EMPTY_SELECTOR_KEY "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match"

static void version_up(struct arena *a, struct value *doc)
{
    struct value *selector = value_at(doc, "spec", "selector", NULL);
    if (value_is_map(selector) && value_count(value_get(selector, "matchLabels")) == 0 &&
        value_count(value_get(selector, "matchExpressions")) == 0) {
        struct value *none = value_map(a);
        value_set(a, none, "key", value_cstr(a, EMPTY_SELECTOR_KEY));
        value_set(a, none, "operator", value_cstr(a, "Exists"));
        value_remove(selector, "matchExpressions");
        value_append(a, value_ensure_list(a, selector, "matchExpressions"), none);
    }
}

static const struct kind_version versions[] = {{"policy/v1beta1", version_up, NULL, .read_only = true}, {0}};

/* ---- Rules ---- */

static void budget_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    static const struct workload_count counts[] = {
        {"disruptionsAllowed", {NULL}}, {"currentHealthy", {NULL}},     {"desiredHealthy", {NULL}},
        {"expectedPods", {NULL}},       {"observedGeneration", {NULL}},
    };
    const struct value *spec = value_get(obj, "spec");
    const struct fpath *p = FPATH("spec");
    const struct value *least = value_get(spec, "minAvailable"), *most = value_get(spec, "maxUnavailable");
    if (least != NULL && most != NULL) {
        bad_value(l, spec, p, "minAvailable and maxUnavailable cannot be both set");
    }
    if (least != NULL) {
        workload_check_bound(spec, "minAvailable", true, p, l);
    }
    if (most != NULL) {
        workload_check_bound(spec, "maxUnavailable", true, p, l);
    }
    if (value_get(spec, "selector") != NULL) {
        check_label_selector(l, value_get(spec, "selector"), FPATH_AT(p, "selector"));
    }
    workload_check_counts(obj, old, counts, ARRAY_SIZE(counts), l);
}

static void doubt(struct arena *a, struct kind_warnings *out, const char *text)
{
    if (out->count < KIND_WARNINGS_MAX) {
        out->items[out->count++] = arena_strdup(a, text);
    }
}

static void budget_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out)
{
    const struct value *spec = value_get(obj, "spec");
    if (value_get(spec, "minAvailable") == NULL && value_get(spec, "maxUnavailable") == NULL) {
        doubt(a, out, "spec: neither minAvailable nor maxUnavailable: no pod that it selects can be evicted");
    }
    if (value_get(spec, "selector") == NULL) {
        doubt(a, out, "spec.selector: without one the budget selects no pods; {} selects all of its namespace");
    }
}

/* ---- Columns ---- */

static void cell_bound(struct buf *out, struct mp bound)
{
    if (mp_type(bound) == MP_STR) {
        buf_append_str(out, mp_str(bound));
    } else if (mp_type(bound) == MP_NONE || mp_type(bound) == MP_NIL) {
        buf_puts(out, "N/A");
    } else {
        cell_int(out, bound);
    }
}

static void cell_least(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_bound(out, mp_path(object_mp(o), "spec.minAvailable"));
}

static void cell_most(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_bound(out, mp_path(object_mp(o), "spec.maxUnavailable"));
}

static void cell_allowed(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "status.disruptionsAllowed"));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "MIN AVAILABLE", .cell = cell_least},
    {.title = "MAX UNAVAILABLE", .cell = cell_most},
    {.title = "ALLOWED DISRUPTIONS", .cell = cell_allowed, .value = COLUMN_INTEGER},
    {.title = "AGE"},
};

/* ---- Description ---- */

static void describe_bound(struct buf *out, unsigned width, const char *label, struct mp bound)
{
    if (mp_type(bound) != MP_NONE) {
        describe_label(out, 0, width, label);
        cell_bound(out, bound);
        buf_putc(out, '\n');
    }
}

static void budget_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    static const struct {
        const char *label, *member;
    } rows[] = {{"Allowed disruptions:", "disruptionsAllowed"},
                {"Current:", "currentHealthy"},
                {"Desired:", "desiredHealthy"},
                {"Total:", "expectedPods"}};
    struct mp m = object_mp(o), spec = mp_get(m, "spec"), status = mp_get(m, "status");
    struct mp condition = condition_mp(o, DISRUPTION_CONDITION);
    unsigned width = mp_type(mp_get(spec, "maxUnavailable")) == MP_NONE ? 16 : 18; /* of its longest label */
    describe_text(out, 0, width, "Name:", o->name);
    describe_text(out, 0, width, "Namespace:", o->ns);
    describe_bound(out, width, "Min available:", mp_get(spec, "minAvailable"));
    describe_bound(out, width, "Max unavailable:", mp_get(spec, "maxUnavailable"));
    if (mp_type(mp_get(spec, "selector")) == MP_MAP) {
        workload_describe_selector(out, width, mp_get(spec, "selector"));
    } else {
        describe_text(out, 0, width, "Selector:", STR("<unset>"));
    }
    buf_puts(out, "Status:\n");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        describe_label(out, 2, 22, rows[i].label);
        buf_printf(out, "%lld\n", (long long)mp_int(mp_get(status, rows[i].member), 0));
    }
    if (str_is(mp_str(mp_get(condition, "reason")), "SyncFailed")) {
        describe_text(out, 2, 22, "Not counted:", mp_str(mp_get(condition, "message")));
    }
    describe_events(out, c);
}

const struct kind kind_poddisruptionbudget = {
    .id = KIND_PODDISRUPTIONBUDGET,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "PodDisruptionBudget",
    .api_version = "policy/v1",
    .plural = "poddisruptionbudgets",
    .singular = "poddisruptionbudget",
    .short_names = "pdb",
    .versions = versions,
    .namespaced = true,
    .has_status = true,
    .has_generation = true,
    .schema = &budget,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = budget_validate,
    .doubt = budget_doubt,
    .describe = budget_describe,
    .put_needs_version = true,
};
