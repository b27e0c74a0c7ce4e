#include "proto/kinds/kinds.h"

/* clang-format off */
SCHEMA_STATIC(pod, "Pod", "One or more containers that run together on one node and share network and volumes.",
    TYPE_META,
    OBJECT("spec", schema_pod_spec, "What the pod is to be.", REQUIRED),
    OBJECT("status", schema_pod_status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "READY", .cell = pod_cell_ready},
    {.title = "STATUS", .cell = pod_cell_status},
    {.title = "RESTARTS", .cell = pod_cell_restarts},
    {.title = "AGE"},
    {.title = "IP", .wide = true, .cell = pod_cell_ip},
    {.title = "NODE", .wide = true, .cell = pod_cell_node},
    {.title = "NOMINATED NODE", .wide = true, .cell = pod_cell_nominated},
    {.title = "READINESS GATES", .wide = true, .cell = pod_cell_gates},
};

void pod_begin(struct arena *a, struct value *obj)
{
    value_set(a, value_ensure_map(a, obj, "status"), "phase", value_cstr(a, "Pending"));
}

const struct kind kind_pod = {
    .id = KIND_POD,
    .name = "Pod",
    .api_version = "v1",
    .plural = "pods",
    .singular = "pod",
    .short_names = "po",
    .namespaced = true,
    .has_status = true,
    .has_generation = false,
    .has_ephemeral = true,
    .in_steps = true,
    .tells_undone = true, /* its spec hardly changes, so what is said at the start stays true */
    .schema = &pod,
    .selectable = "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork "
                  "status.phase status.podIP status.podIPs=status.podIP status.nominatedNodeName",
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = pod_validate,
    .fill = pod_fill,
    .begin = pod_begin,
    .keep = pod_keep,
    .doubt = pod_doubt,
    .references = pod_references,
    .in_all = true,
    .is_pruned = true,
    .pods = "spec",
    .describe = pod_describe,
};
