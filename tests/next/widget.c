/* A kind that this release does not know. */
#include "proto/kinds/kinds.h"
#include "tests/next/next.h"

/* clang-format off */
SCHEMA_STATIC(widget_spec, "WidgetSpec", "What the widget is to do.",
    INT32("turns", "How often it turns."),
    STRING("secret", "What nobody else shall read."));

SCHEMA_STATIC(widget, "Widget", "Something new.",
    TYPE_META,
    OBJECT("spec", widget_spec, "What the widget is to do."),
    STRING("note", "Words for people."));
/* clang-format on */

static const struct column columns[] = {{.title = "NAME"}, {.title = "AGE"}};

const struct kind kind_widget = {
    .id = (enum kind_id)60000, /* above all that there will be for long */
    .name = "Widget",
    .api_version = "next/v1",
    .plural = "widgets",
    .singular = "widget",
    .short_names = "wd",
    .namespaced = true,
    .has_generation = true,
    .since = 2,
    .schema = &widget,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
};
