#include "proto/kinds/kinds.h"

/* clang-format off */
SCHEMA_STATIC(namespace_spec, "NamespaceSpec", "What the namespace is to be.",
    STRINGS("finalizers", "Who must agree before the namespace is really removed."));

SCHEMA_STATIC(namespace_condition, "NamespaceCondition", "One statement about the namespace.",
    STRING("type", "What it is about."),
    STRING("status", "True, False or Unknown."),
    TIME("lastTransitionTime", "When status last changed."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(namespace_status, "NamespaceStatus", "What is known of the namespace.",
    STRING("phase", "Active or Terminating."),
    OBJECTS("conditions", namespace_condition, "Statements about the namespace, such as why it is not gone yet.",
            MERGE("type")));

SCHEMA_STATIC(namespace, "Namespace", "A room for names: objects in different namespaces may have the same name.",
    TYPE_META,
    OBJECT("spec", namespace_spec, "What the namespace is to be.", DEFAULT("{}")),
    OBJECT("status", namespace_status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

static void namespace_fill(struct arena *a, struct value *obj)
{
    struct value *meta = value_get(obj, "metadata"), *status = value_ensure_map(a, obj, "status");
    struct str name = value_to_str(value_get(meta, "name"));
    if (name.n > 0) {
        struct value *labels = value_ensure_map(a, meta, "labels");
        value_set(a, labels, "kubernetes.io/metadata.name", value_str(a, name));
    }
    if (value_to_str(value_get(status, "phase")).n == 0) {
        value_set(a, status, "phase", value_cstr(a, "Active"));
    }
}

static void cell_status(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    if (o->deleting) {
        buf_puts(out, "Terminating");
    } else {
        cell_str(out, mp_path(object_mp(o), "status.phase"));
    }
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "STATUS", .cell = cell_status},
    {.title = "AGE"},
};

const struct kind kind_namespace = {
    .id = KIND_NAMESPACE,
    .name = "Namespace",
    .api_version = "v1",
    .plural = "namespaces",
    .singular = "namespace",
    .short_names = "ns",
    .has_status = true,
    .selectable = "status.phase",
    .schema = &namespace,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .fill = namespace_fill,
};
