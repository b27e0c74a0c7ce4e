/* A kind of one file and one line: proto/kinds/widget.c. */
#include "proto/describe/parts.h"
#include "proto/kinds/kinds.h"

/* clang-format off */
SCHEMA_STATIC(spec, "WidgetSpec", "What the widget is to say.",
    STRING("text", "What it says.", REQUIRED),
    STRING("configMap", "Where it says it from.", KEY));

SCHEMA_STATIC(status, "WidgetStatus", "What it has said.",
    STRING("said", "What it has said."));

SCHEMA_STATIC(widget, "Widget", "Says something.",
    TYPE_META,
    OBJECT("spec", spec, "What it is to say.", REQUIRED),
    OBJECT("status", status, "What it has said.", .flags = FIELD_STATUS));
/* clang-format on */

static void references(const struct object *o, kind_reference_cb *cb, void *data)
{
    struct str name = mp_str(mp_path(object_mp(o), "spec.configMap"));
    if (name_is_key(name)) {
        const struct kind_reference r = {
            .kind = kind_by_id(KIND_CONFIGMAP), .ns = o->ns, .name = name, .use = REFERENCE_TARGET};
        cb(data, &r);
    }
}

static void up(struct arena *a, struct value *doc)
{
    struct value *old = value_path(doc, "spec.words");
    if (old != NULL) {
        value_set(a, value_get(doc, "spec"), "text", value_copy(a, old));
        value_remove(value_get(doc, "spec"), "words");
    }
}

static void down(struct arena *a, struct value *doc)
{
    struct value *text = value_path(doc, "spec.text");
    if (text != NULL) {
        value_set(a, value_get(doc, "spec"), "words", value_copy(a, text));
        value_remove(value_get(doc, "spec"), "text");
    }
}

static const struct kind_version versions[] = {{"example.io/v1beta1", up, down, .read_only = false}, {0}};
static const struct column columns[] = {{.title = "NAME"}, {.title = "AGE"}};

static void describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    describe_head(out, o, 12);
    describe_text(out, 0, 12, "Text:", mp_str(mp_path(object_mp(o), "spec.text")));
    buf_printf(out, "Pods:       %u\n", c->related[0].count);
}

static const struct kind_related related[] = {{.kind = KIND_POD}, {0}};

const struct kind kind_widget = {
    .id = KIND_WIDGET,
    .name = "Widget",
    .api_version = "example.io/v1",
    .json_only = true,
    .plural = "widgets",
    .singular = "widget",
    .short_names = "wi",
    .namespaced = true,
    .has_status = true,
    .has_generation = true,
    .selectable = "spec.text",
    .versions = versions,
    .schema = &widget,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .references = references,
    .describe = describe,
    .related = related,
    .in_all = true,
};
