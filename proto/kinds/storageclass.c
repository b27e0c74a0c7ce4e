/* StorageClass: where claims get their volumes from, and when. Source: Kubernetes storage/v1 StorageClass. */
#include "proto/kinds/storage.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(topology_expression, "TopologySelectorLabelRequirement", "One condition on a node's label.",
    STRING("key", "Key of the label.", REQUIRED),
    STRINGS("values", "One of these values.", REQUIRED));

SCHEMA_STATIC(topology_term, "TopologySelectorTerm", "Conditions that must all hold.",
    OBJECTS("matchLabelExpressions", topology_expression, "Conditions on labels."));

SCHEMA_STATIC(class, "StorageClass", "Where claims get their volumes from, and when.",
    TYPE_META,
    STRING("provisioner", "Who makes the volumes: reeve.io/local makes directories on nodes, "
           "kubernetes.io/no-provisioner stands for nobody. Cannot change.", REQUIRED),
    STRING_MAP("parameters", "Settings for the provisioner. Cannot change."),
    STRING("reclaimPolicy", "What becomes of the volumes when their claims are gone: Delete or Retain. Cannot "
           "change.", DEFAULT("Delete"), ONE_OF("Delete|Recycle|Retain"),
           REFUSED("nobody empties volumes for the next claim; use Retain or Delete"), QUIET("Delete|Retain")),
    STRINGS("mountOptions", "Options of the mount that the volumes get."),
    BOOLEAN("allowVolumeExpansion", "Claims may ask for more later."),
    STRING("volumeBindingMode", "Immediate: as soon as there is a claim; WaitForFirstConsumer: when a pod uses it, "
           "where the pod runs. reeve.io/local always waits. Cannot change.",
           ONE_OF("Immediate|WaitForFirstConsumer")),
    OBJECTS("allowedTopologies", topology_term, "Nodes on which volumes are made; all if absent. Cannot change."));
/* clang-format on */

static void class_fill(struct arena *a, struct value *obj)
{
    if (value_to_str(value_get(obj, "volumeBindingMode")).n == 0) {
        bool local = str_is(value_to_str(value_get(obj, "provisioner")), STORAGE_LOCAL);
        value_set(a, obj, "volumeBindingMode", value_cstr(a, local ? "WaitForFirstConsumer" : "Immediate"));
    }
}

/* ---- Columns ---- */

static void cell_name(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_puts(out, storage_class_is_default(o) ? " (default)" : "");
}

static void cell_provisioner(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(mp_get(object_mp(o), "provisioner")));
}

static void cell_policy(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(mp_get(object_mp(o), "reclaimPolicy")));
}

static void cell_binding(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(mp_get(object_mp(o), "volumeBindingMode")));
}

static void cell_expansion(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_puts(out, mp_bool(mp_get(object_mp(o), "allowVolumeExpansion"), false) ? "true" : "false");
}

static const struct column columns[] = {
    {.title = "NAME", .cell = cell_name},
    {.title = "PROVISIONER", .cell = cell_provisioner},
    {.title = "RECLAIMPOLICY", .cell = cell_policy},
    {.title = "VOLUMEBINDINGMODE", .cell = cell_binding},
    {.title = "ALLOWVOLUMEEXPANSION", .cell = cell_expansion, .value = COLUMN_PLAIN},
    {.title = "AGE"},
};

const struct kind kind_storageclass = {
    .id = KIND_STORAGECLASS,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "StorageClass",
    .api_version = "storage.k8s.io/v1",
    .plural = "storageclasses",
    .singular = "storageclass",
    .short_names = "sc",
    .schema = &class,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = class_validate,
    .fill = class_fill,
    .describe = class_describe,
};
