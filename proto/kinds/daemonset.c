/* DaemonSet: a pod on each node. Source: Kubernetes apps/v1 DaemonSet. */
#include "proto/describe/parts.h"
#include "proto/kinds/workload.h"
#include "proto/schema/release.h"

#define WIDTH 16 /* of the labels of a description */

/* clang-format off */
SCHEMA_STATIC(rolling_update, "RollingUpdateDaemonSet", "Bounds of a rolling update.",
    INT_OR_STRING("maxUnavailable", "On how many nodes the pod may be missing, as number or percentage (rounded up); 1 "
                  "if not given."),
    INT_OR_STRING("maxSurge", "On how many nodes the new pod may run beside the old, as number or percentage "
                  "(rounded up); 0 if not given."));

SCHEMA_STATIC(strategy, "DaemonSetUpdateStrategy", "How old pods are exchanged for new ones.",
    STRING("type", "RollingUpdate goes node by node; OnDelete waits until somebody deletes them.",
           DEFAULT("RollingUpdate"), ONE_OF("RollingUpdate|OnDelete")),
    OBJECT("rollingUpdate", rolling_update, "Bounds, for RollingUpdate."));

SCHEMA_STATIC(daemonset_spec, "DaemonSetSpec", "What pod each node is to have.",
    SELECTOR_ROW(1),
    TEMPLATE_ROW,
    OBJECT("updateStrategy", strategy, "How pods are exchanged.", DEFAULT("{}")),
    MIN_READY_ROW(4),
    INT32("revisionHistoryLimit", "How many old templates are kept to go back to.", DEFAULT("10"), NUMBER(6)));

SCHEMA_STATIC(condition, "DaemonSetCondition", "One statement about the set.",
    CONDITION_ROWS(3));

SCHEMA_STATIC(status, "DaemonSetStatus", "What is known of the set.",
    INT32("currentNumberScheduled", "Nodes that have the pod and should."),
    INT32("numberMisscheduled", "Nodes that have the pod and should not."),
    INT32("desiredNumberScheduled", "Nodes that should have the pod."),
    INT32("numberReady", "Nodes that should have the pod, on which it is Ready."),
    INT64("observedGeneration", "Generation of the spec that these numbers speak of.", ZERO),
    INT32("updatedNumberScheduled", "Nodes on which it is of the newest template.", ZERO),
    INT32("numberAvailable", "Nodes on which it has been Ready for minReadySeconds.", ZERO),
    INT32("numberUnavailable", "Nodes that should have it, on which it is not available.", ZERO),
    INT32("collisionCount", "Counts clashes of names of ControllerRevisions."),
    OBJECTS("conditions", condition, "Statements about the set.", MERGE("type")));

SCHEMA_STATIC(daemonset, "DaemonSet", "Keeps a pod running on each node, or on each that it may run on.",
    TYPE_META,
    OBJECT("spec", daemonset_spec, "What pod each node is to have.", REQUIRED),
    OBJECT("status", status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

static void daemonset_fill(struct arena *a, struct value *obj)
{
    pod_spec_fill(a, value_at(obj, "spec", "template", "spec", NULL));
    struct value *how = value_at(obj, "spec", "updateStrategy", NULL);
    if (!value_is_map(how) || !str_is(value_to_str(value_get(how, "type")), "RollingUpdate")) {
        return;
    }
    struct value *bounds = value_ensure_map(a, how, "rollingUpdate");
    static const struct {
        const char *name;
        int64_t value;
    } defaults[] = {{"maxUnavailable", 1}, {"maxSurge", 0}};
    for (unsigned i = 0; i < ARRAY_SIZE(defaults); i++) {
        if (value_get(bounds, defaults[i].name) == NULL) {
            value_set(a, bounds, defaults[i].name, value_int(a, defaults[i].value));
        }
    }
}

/* ---- Rules ---- */

static void daemonset_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    static const struct workload_count counts[] = {
        {"currentNumberScheduled", {NULL}}, {"numberMisscheduled", {NULL}},
        {"desiredNumberScheduled", {NULL}}, {"numberReady", {NULL}},
        {"observedGeneration", {NULL}},     {"updatedNumberScheduled", {NULL}},
        {"numberAvailable", {NULL}},        {"numberUnavailable", {NULL}},
        {"collisionCount", {NULL}},
    };
    workload_check(obj, old, l);
    workload_check_counts(obj, old, counts, ARRAY_SIZE(counts), l);
    const struct value *spec = value_get(obj, "spec"), *how = value_get(spec, "updateStrategy");
    const struct value *bounds = value_get(how, "rollingUpdate");
    const struct fpath *p = FPATH("spec"), *at = FPATH_AT(FPATH_AT(p, "updateStrategy"), "rollingUpdate");
    check_at_least(l, value_get(spec, "revisionHistoryLimit"), FPATH_AT(p, "revisionHistoryLimit"), 0);
    if (bounds == NULL || !str_is(value_to_str(value_get(how, "type")), "RollingUpdate")) {
        return;
    }
    int64_t unavailable = workload_check_bound(bounds, "maxUnavailable", true, at, l);
    int64_t surge = workload_check_bound(bounds, "maxSurge", true, at, l);
    if (unavailable > 0 && surge > 0) {
        bad_value(l, value_get(bounds, "maxSurge"), FPATH_AT(at, "maxSurge"),
                  "may not be set when maxUnavailable is non-zero");
    } else if (unavailable == 0 && surge == 0) {
        bad_missing(l, bounds, FPATH_AT(at, "maxUnavailable"), "cannot be 0 when maxSurge is 0");
    }
}

/* ---- Columns ---- */

static void cell_count(struct buf *out, const struct object *o, const char *name)
{
    cell_int(out, mp_get(mp_get(object_mp(o), "status"), name));
}

#define COUNT_CELL(fn, name)                                                                                           \
    static void fn(struct buf *out, const struct object *o, int64_t now_ms)                                            \
    {                                                                                                                  \
        (void)now_ms;                                                                                                  \
        cell_count(out, o, name);                                                                                      \
    }
COUNT_CELL(cell_desired, "desiredNumberScheduled")
COUNT_CELL(cell_current, "currentNumberScheduled")
COUNT_CELL(cell_ready, "numberReady")
COUNT_CELL(cell_updated, "updatedNumberScheduled")
COUNT_CELL(cell_available, "numberAvailable")
#undef COUNT_CELL

static void cell_nodes(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "spec.template.spec.nodeSelector")); mp_next(&it);) {
        struct str v = mp_str(it.value);
        buf_printf(out, "%s%.*s=%.*s", n++ > 0 ? "," : "", STR_ARG(it.key), STR_ARG(v));
    }
    buf_puts(out, n == 0 ? "<none>" : "");
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "DESIRED", .cell = cell_desired, .value = COLUMN_INTEGER},
    {.title = "CURRENT", .cell = cell_current, .value = COLUMN_INTEGER},
    {.title = "READY", .cell = cell_ready, .value = COLUMN_INTEGER},
    {.title = "UP-TO-DATE", .cell = cell_updated, .value = COLUMN_INTEGER},
    {.title = "AVAILABLE", .cell = cell_available, .value = COLUMN_INTEGER},
    {.title = "NODE SELECTOR", .cell = cell_nodes},
    {.title = "AGE"},
    WORKLOAD_WIDE_COLUMNS,
};

/* ---- Description ---- */

static void count_line(struct buf *out, const struct object *o, const char *title, const char *name)
{
    buf_printf(out, "%s %lld\n", title, (long long)mp_int(mp_get(mp_get(object_mp(o), "status"), name), 0));
}

static void daemonset_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o);
    describe_text(out, 0, WIDTH, "Name:", o->name);
    describe_text(out, 0, WIDTH, "Namespace:", o->ns);
    workload_describe_selector(out, WIDTH, mp_path(m, "spec.selector"));
    describe_map(out, 0, WIDTH, "Node-Selector:", mp_path(m, "spec.template.spec.nodeSelector"), "=");
    describe_map(out, 0, WIDTH, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_map(out, 0, WIDTH, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
    count_line(out, o, "Desired Number of Nodes Scheduled:", "desiredNumberScheduled");
    count_line(out, o, "Current Number of Nodes Scheduled:", "currentNumberScheduled");
    count_line(out, o, "Number of Nodes Scheduled with Up-to-date Pods:", "updatedNumberScheduled");
    count_line(out, o, "Number of Nodes Scheduled with Available Pods:", "numberAvailable");
    count_line(out, o, "Number of Nodes Misscheduled:", "numberMisscheduled");
    workload_describe_pods(out, WIDTH, c);
    buf_puts(out, "Pod Template:\n");
    describe_pod_template(out, mp_path(m, "spec.template"), 1);
    describe_events(out, c);
}

static const struct kind_version versions[] = {
    {"extensions/v1beta1", workload_version_up, NULL, .read_only = true},
    {"apps/v1beta2", workload_version_up, NULL, .read_only = true},
    {0},
};

static const struct kind_related related[] = {{.kind = KIND_POD}, {0}};

const struct kind kind_daemonset = {
    .id = KIND_DAEMONSET,
    .name = "DaemonSet",
    .api_version = "apps/v1",
    .plural = "daemonsets",
    .singular = "daemonset",
    .short_names = "ds",
    .since = RELEASE_LEVEL_CARRIED,
    .versions = versions,
    .namespaced = true,
    .has_status = true,
    .has_generation = true,
    .schema = &daemonset,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = daemonset_validate,
    .fill = daemonset_fill,
    .doubt = daemonset_doubt,
    .references = workload_references,
    .in_all = true,
    .is_pruned = true,
    .pods = "spec.template.spec",
    .describe = daemonset_describe,
    .related = related,
};
