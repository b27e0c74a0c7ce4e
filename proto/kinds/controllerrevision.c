/* ControllerRevision: a state of a controller's spec, kept to go back to. Source: Kubernetes apps/v1
 * ControllerRevision. */
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(revision, "ControllerRevision",
    "A state that a StatefulSet's or DaemonSet's template had. Made by their controllers, to go back to.",
    TYPE_META,
    ANY("data", "The state. Cannot change."),
    INT64("revision", "Counts the states of one owner; the newest has the highest.", REQUIRED));
/* clang-format on */

static void revision_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *data = value_get(obj, "data");
    if (old == NULL && !value_is_map(data)) {
        bad_missing(l, obj, FPATH("data"), "a document");
    }
    if (old != NULL && !value_equal(data, value_get(old, "data"))) {
        check_immutable(l, data, value_get(old, "data"), FPATH("data"));
    }
    check_at_least(l, value_get(obj, "revision"), FPATH("revision"), 0);
}

/* "statefulset.apps/web" */
static void cell_controller(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.ownerReferences")); mp_next(&it);) {
        if (mp_bool(mp_get(it.value, "controller"), false)) {
            struct str name = mp_str(mp_get(it.value, "name"));
            const struct kind *k =
                kind_of_reference(mp_str(mp_get(it.value, "apiVersion")), mp_str(mp_get(it.value, "kind")));
            struct str group = k == NULL ? STR_NONE : kind_group(k);
            if (k == NULL) {
                break;
            }
            buf_printf(out, "%s%s%.*s/%.*s", k->singular, group.n > 0 ? "." : "", STR_ARG(group), STR_ARG(name));
            return;
        }
    }
    buf_puts(out, "<none>");
}

static void cell_revision(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_get(object_mp(o), "revision"));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "CONTROLLER", .cell = cell_controller},
    {.title = "REVISION", .cell = cell_revision, .value = COLUMN_PLAIN},
    {.title = "AGE"},
};

const struct kind kind_controllerrevision = {
    .id = KIND_CONTROLLERREVISION,
    .name = "ControllerRevision",
    .api_version = "apps/v1",
    .plural = "controllerrevisions",
    .singular = "controllerrevision",
    .short_names = "",
    .since = RELEASE_LEVEL_CARRIED,
    .namespaced = true,
    .schema = &revision,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = revision_validate,
};
