/* PriorityClass: a name for a priority of pods. Source: Kubernetes scheduling.k8s.io/v1 PriorityClass. */
#include <inttypes.h>

#include "proto/describe/parts.h"
#include "proto/facts/priority.h"
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"

#define WIDTH 19

/* clang-format off */
SCHEMA_STATIC(class, "PriorityClass", "A name for a priority: which pods are placed first, and whom they may push out.",
    TYPE_META,
    INT32("value", "The priority of the pods; the higher, the more important. At most 1000000000. Cannot change.",
          DEFAULT("0")),
    BOOLEAN("globalDefault", "Pods that name no class are of this one. At most one class is the default.", ZERO),
    STRING("description", "For people: which pods the class is for."),
    STRING("preemptionPolicy", "PreemptLowerPriority: where there is no room, pods of lower priority are pushed out; "
           "Never: the pods wait, ahead of those of lower priority. Cannot change.",
           DEFAULT(PREEMPT_LOWER), ONE_OF("PreemptLowerPriority|Never")));
/* clang-format on */

static void class_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *name = value_at(obj, "metadata", "name", NULL), *v = value_get(obj, "value");
    const struct priority_builtin *builtin = priority_builtin_find(value_to_str(name));
    if (builtin != NULL) {
        if (value_to_int(v, 0) != builtin->value) {
            bad_forbidden(l, v, FPATH("value"),
                          arena_printf(l->arena, "the value of %s is always %" PRId64, builtin->name, builtin->value));
        }
        if (value_to_bool(value_get(obj, "globalDefault"), false)) {
            bad_forbidden(l, v, FPATH("globalDefault"),
                          arena_printf(l->arena, "globalDefault of %s is always false", builtin->name));
        }
    } else if (str_starts(value_to_str(name), STR(PRIORITY_SYSTEM_PREFIX))) {
        bad_forbidden(l, name, FPATH_AT(FPATH("metadata"), "name"),
                      "names with the prefix 'system-' are those of built-in classes alone");
    } else if (value_to_int(v, 0) > PRIORITY_USER_MAX) {
        bad_forbidden(l, v, FPATH("value"), "maximum allowed value of a user defined priority is 1000000000");
    }
    if (old != NULL && value_to_int(v, 0) != value_to_int(value_get(old, "value"), 0)) {
        bad_forbidden(l, v, FPATH("value"), "may not be changed in an update");
    }
    if (old != NULL) {
        check_immutable(l, value_get(obj, "preemptionPolicy"), value_get(old, "preemptionPolicy"),
                        FPATH("preemptionPolicy"));
    }
}

/* ---- How it is shown ---- */

static void cell_value(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_get(object_mp(o), "value"));
}

static void cell_default(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_puts(out, priority_class_is_default(o) ? "true" : "false");
}

static void cell_policy(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, priority_of_class(o).policy);
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "VALUE", .cell = cell_value, .value = COLUMN_INTEGER},
    {.title = "GLOBAL-DEFAULT", .cell = cell_default, .value = COLUMN_BOOLEAN},
    {.title = "AGE"},
    {.title = "PREEMPTIONPOLICY", .cell = cell_policy},
};

static void describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct priority p = priority_of_class(o);
    describe_text(out, 0, WIDTH, "Name:", o->name);
    describe_label(out, 0, WIDTH, "Value:");
    buf_printf(out, "%" PRId64 "\n", p.value);
    describe_text(out, 0, WIDTH, "GlobalDefault:", priority_class_is_default(o) ? STR("true") : STR("false"));
    describe_text(out, 0, WIDTH, "PreemptionPolicy:", p.policy);
    describe_text(out, 0, WIDTH, "Description:", mp_str(mp_get(object_mp(o), "description")));
    describe_map(out, 0, WIDTH, "Annotations:", mp_path(object_mp(o), "metadata.annotations"), "=");
    describe_events(out, c);
}

const struct kind kind_priorityclass = {
    .id = KIND_PRIORITYCLASS,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "PriorityClass",
    .api_version = "scheduling.k8s.io/v1",
    .plural = "priorityclasses",
    .singular = "priorityclass",
    .short_names = "pc",
    .has_generation = true,
    .schema = &class,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = class_validate,
    .describe = describe,
};
