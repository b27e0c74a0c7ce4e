/* ReplicationController: what a ReplicaSet is, of the first days. Source: Kubernetes core/v1. */
#include "proto/describe/parts.h"
#include "proto/kinds/workload.h"
#include "proto/schema/release.h"
#include "proto/schema/selector.h"

/* clang-format off */
SCHEMA_STATIC(controller_spec, "ReplicationControllerSpec", "How many pods of what sort.",
    REPLICAS_ROW,
    MIN_READY_ROW(4),
    STRING_MAP("selector", "Labels of the pods that count; those of the template, if it is left out.", NUMBER(2)),
    TEMPLATE_ROW);

SCHEMA_STATIC(controller_condition, "ReplicationControllerCondition", "One statement about the controller.",
    CONDITION_ROWS(3));

SCHEMA_STATIC(controller_status, "ReplicationControllerStatus", "What is known of the controller.",
    INT32("replicas", "Pods there are."),
    INT32("fullyLabeledReplicas", "Pods that have all labels of the template.", ZERO),
    INT32("readyReplicas", "Pods that are Ready.", NUMBER(4), ZERO),
    INT32("availableReplicas", "Pods that have been Ready for minReadySeconds.", ZERO),
    INT64("observedGeneration", "Generation of the spec that these numbers speak of.", NUMBER(3), ZERO),
    OBJECTS("conditions", controller_condition, "Statements about the controller.", MERGE("type"), NUMBER(6)));

SCHEMA_STATIC(replicationcontroller, "ReplicationController",
    "Keeps a number of like pods running. What a Deployment with its ReplicaSets does took its place.",
    TYPE_META,
    OBJECT("spec", controller_spec, "How many pods of what sort.", REQUIRED),
    OBJECT("status", controller_status, "What is known of the controller.", .flags = FIELD_STATUS));
/* clang-format on */

/* Selector and labels that are left out are the template's. */
static void controller_fill(struct arena *a, struct value *obj)
{
    struct value *spec = value_get(obj, "spec"), *labels = value_at(spec, "template", "metadata", "labels", NULL);
    struct value *meta = value_get(obj, "metadata");
    pod_spec_fill(a, value_at(spec, "template", "spec", NULL));
    if (!value_is_map(labels) || value_count(labels) == 0) {
        return;
    }
    if (value_count(value_get(spec, "selector")) == 0) {
        value_set(a, spec, "selector", value_copy(a, labels));
    }
    if (value_is_map(meta) && value_count(value_get(meta, "labels")) == 0) {
        value_set(a, meta, "labels", value_copy(a, labels));
    }
}

static void check_selector(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *selector = value_get(spec, "selector"),
                       *labels = value_at(spec, "template", "metadata", "labels", NULL);
    unsigned before = l->count;
    struct selector *parsed;
    if (value_count(selector) == 0) {
        bad_required(l, selector != NULL ? selector : spec, FPATH_AT(p, "selector"));
        return;
    }
    check_labels(l, selector, FPATH_AT(p, "selector"));
    if (l->count == before && selector_from_value(l->arena, selector, &parsed, NULL) == 0 &&
        !selector_matches_value(parsed, labels)) {
        bad_value(l, labels != NULL ? labels : value_map(l->arena),
                  FPATH_AT(FPATH_AT(FPATH_AT(p, "template"), "metadata"), "labels"),
                  "`selector` does not match template `labels`");
    }
}

static void controller_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec");
    const struct fpath *p = FPATH("spec");
    if (spec != NULL) {
        check_selector(spec, p, l);
        workload_check_pods(spec, old, p, l);
    }
    workload_check_replica_counts(obj, old, l);
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "DESIRED", .cell = workload_cell_desired, .value = COLUMN_INTEGER},
    {.title = "CURRENT", .cell = workload_cell_current, .value = COLUMN_INTEGER},
    {.title = "READY", .cell = workload_cell_ready, .value = COLUMN_INTEGER},
    {.title = "AGE"},
    WORKLOAD_WIDE_COLUMNS,
};

static const struct kind_related related[] = {{.kind = KIND_POD}, {0}};

const struct kind kind_replicationcontroller = {
    .id = KIND_REPLICATIONCONTROLLER,
    .name = "ReplicationController",
    .api_version = "v1",
    .plural = "replicationcontrollers",
    .singular = "replicationcontroller",
    .short_names = "rc",
    .since = RELEASE_LEVEL_CARRIED,
    .namespaced = true,
    .has_status = true,
    .has_scale = true,
    .has_generation = true,
    .selectable = "status.replicas",
    .schema = &replicationcontroller,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = controller_validate,
    .fill = controller_fill,
    .doubt = workload_doubt,
    .references = workload_references,
    .in_all = true,
    .is_pruned = true,
    .pods = "spec.template.spec",
    .describe = replicaset_describe,
    .related = related,
};
