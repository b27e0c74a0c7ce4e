/* ReplicaSet and Deployment: a number of like pods, and how to exchange them for others. */
#include "proto/kinds/workload.h"

/* clang-format off */
SCHEMA_STATIC(replicaset_spec, "ReplicaSetSpec", "How many pods of what sort.",
    REPLICAS_ROW,
    MIN_READY_ROW(4),
    SELECTOR_ROW(2),
    TEMPLATE_ROW);

SCHEMA_STATIC(replicaset_condition, "ReplicaSetCondition", "One statement about the set.",
    CONDITION_ROWS(3));

SCHEMA_STATIC(replicaset_status, "ReplicaSetStatus", "What is known of the set.",
    INT32("replicas", "Pods there are."),
    INT32("fullyLabeledReplicas", "Pods that have all labels of the template.", ZERO),
    INT32("readyReplicas", "Pods that are Ready.", NUMBER(4), ZERO),
    INT32("availableReplicas", "Pods that have been Ready for minReadySeconds.", ZERO),
    INT64("observedGeneration", "Generation of the spec that these numbers speak of.", NUMBER(3), ZERO),
    OBJECTS("conditions", replicaset_condition, "Statements about the set.", MERGE("type"), NUMBER(6)),
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
    SELECTOR_ROW(2),
    TEMPLATE_ROW,
    OBJECT("strategy", strategy, "How pods are exchanged.", .flags = FIELD_RETAIN_KEYS, DEFAULT("{}")),
    MIN_READY_ROW(5),
    INT32("revisionHistoryLimit", "How many old ReplicaSets are kept to go back to.", DEFAULT("10")),
    BOOLEAN("paused", "Changes of the template wait.", ZERO),
    INT32("progressDeadlineSeconds", "Without progress for this long the rollout counts as failed.", DEFAULT("600"),
          NUMBER(9)));

SCHEMA_STATIC(deployment_condition, "DeploymentCondition", "One statement about the deployment.",
    CONDITION_ROWS(7),
    TIME("lastUpdateTime", "When it was last confirmed.", NUMBER(6)));

SCHEMA_STATIC(deployment_status, "DeploymentStatus", "What is known of the deployment.",
    INT64("observedGeneration", "Generation of the spec that these numbers speak of.", ZERO),
    INT32("replicas", "Pods there are.", ZERO),
    INT32("updatedReplicas", "Pods of the newest template.", ZERO),
    INT32("readyReplicas", "Pods that are Ready.", NUMBER(7), ZERO),
    INT32("availableReplicas", "Pods that have been Ready for minReadySeconds.", NUMBER(4), ZERO),
    INT32("unavailableReplicas", "Pods that are still missing.", ZERO),
    OBJECTS("conditions", deployment_condition, "Statements: Available, Progressing, ReplicaFailure.", MERGE("type")),
    INT32("collisionCount", "Counts clashes of names of ReplicaSets.", NUMBER(8)),
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
    if (!value_is_map(how) || !str_is(value_to_str(value_get(how, "type")), "RollingUpdate")) {
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

/* ---- Columns ---- */

static const struct column replicaset_columns[] = {
    {.title = "NAME"},
    {.title = "DESIRED", .cell = workload_cell_desired, .value = COLUMN_INTEGER},
    {.title = "CURRENT", .cell = workload_cell_current, .value = COLUMN_INTEGER},
    {.title = "READY", .cell = workload_cell_ready, .value = COLUMN_INTEGER},
    {.title = "AGE"},
    WORKLOAD_WIDE_COLUMNS,
};

static const struct column deployment_columns[] = {
    {.title = "NAME"},
    {.title = "READY", .cell = workload_cell_ready_of},
    {.title = "UP-TO-DATE", .cell = workload_cell_updated, .value = COLUMN_PLAIN},
    {.title = "AVAILABLE", .cell = workload_cell_available, .value = COLUMN_PLAIN},
    {.title = "AGE"},
    WORKLOAD_WIDE_COLUMNS,
};

/* What manifests of old groups and versions implied, written out. The defaults are today's. */
void workload_version_up(struct arena *a, struct value *doc)
{
    struct value *spec = value_get(doc, "spec");
    if (!value_is_map(spec)) {
        return;
    }
    value_remove(spec, "rollbackTo"); /* an order, not a state; rollout undo took its place */
    struct value *labels = value_at(spec, "template", "metadata", "labels", NULL);
    if (value_is_null(value_get(spec, "selector")) && value_count(labels) > 0) {
        struct value *selector = value_map(a);
        value_set(a, selector, "matchLabels", value_copy(a, labels));
        value_set(a, spec, "selector", selector);
    }
}

static const struct kind_version replicaset_versions[] = {
    {"extensions/v1beta1", workload_version_up, NULL, .read_only = true},
    {"apps/v1beta2", workload_version_up, NULL, .read_only = true},
    {0},
};

static const struct kind_version deployment_versions[] = {
    {"extensions/v1beta1", workload_version_up, NULL, .read_only = true},
    {"apps/v1beta1", workload_version_up, NULL, .read_only = true},
    {"apps/v1beta2", workload_version_up, NULL, .read_only = true},
    {0},
};

void workload_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    pod_spec_references(mp_path(object_mp(o), "spec.template.spec"), o->ns, cb, data);
}

static const struct kind_related replicaset_related[] = {{.kind = KIND_POD}, {0}};
static const struct kind_related deployment_related[] = {{.kind = KIND_REPLICASET}, {0}};

const struct kind kind_replicaset = {
    .id = KIND_REPLICASET,
    .name = "ReplicaSet",
    .api_version = "apps/v1",
    .plural = "replicasets",
    .singular = "replicaset",
    .short_names = "rs",
    .versions = replicaset_versions,
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
    .doubt = workload_doubt,
    .references = workload_references,
    .in_all = true,
    .is_pruned = true,
    .pods = "spec.template.spec",
    .describe = replicaset_describe,
    .related = replicaset_related,
};

const struct kind kind_deployment = {
    .id = KIND_DEPLOYMENT,
    .name = "Deployment",
    .api_version = "apps/v1",
    .plural = "deployments",
    .singular = "deployment",
    .short_names = "deploy",
    .versions = deployment_versions,
    .namespaced = true,
    .has_status = true,
    .has_scale = true,
    .has_generation = true,
    .schema = &deployment,
    .columns = deployment_columns,
    .columns_count = ARRAY_SIZE(deployment_columns),
    .validate = deployment_validate,
    .fill = deployment_fill,
    .doubt = workload_doubt,
    .references = workload_references,
    .in_all = true,
    .is_pruned = true,
    .pods = "spec.template.spec",
    .describe = deployment_describe,
    .related = deployment_related,
};
