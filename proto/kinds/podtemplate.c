/* PodTemplate: a template of pods that is kept, for programs that make pods of it. Nothing here makes any. Source:
 * Kubernetes core/v1 PodTemplate. */
#include "proto/kinds/workload.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(podtemplate, "PodTemplate", "A template of pods that is kept, for programs that make pods of it.",
    TYPE_META,
    OBJECT("template", schema_pod_template, "The pods to be made."));
/* clang-format on */

static void podtemplate_fill(struct arena *a, struct value *obj)
{
    pod_spec_fill(a, value_at(obj, "template", "spec", NULL));
}

static void podtemplate_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *template = value_get(obj, "template");
    (void)old;
    if (template != NULL) {
        workload_check_template(template, "Always|OnFailure|Never", FPATH("template"), l);
    }
}

static void podtemplate_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    pod_spec_references(mp_path(object_mp(o), "template.spec"), o->ns, cb, data);
}

static void cell_names(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_containers(out, mp_path(object_mp(o), "template.spec.containers"), "name");
}

static void cell_images(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_containers(out, mp_path(object_mp(o), "template.spec.containers"), "image");
}

static void cell_labels(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    unsigned count = 0;
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "template.metadata.labels")); mp_next(&it); count++) {
        buf_printf(out, "%s%.*s=", count > 0 ? "," : "", STR_ARG(it.key));
        buf_append_str(out, mp_str(it.value));
    }
    buf_puts(out, count == 0 ? "<none>" : "");
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "CONTAINERS", .cell = cell_names},
    {.title = "IMAGES", .cell = cell_images},
    {.title = "POD LABELS", .cell = cell_labels},
};

const struct kind kind_podtemplate = {
    .id = KIND_PODTEMPLATE,
    .name = "PodTemplate",
    .api_version = "v1",
    .plural = "podtemplates",
    .singular = "podtemplate",
    .short_names = "",
    .since = RELEASE_LEVEL_CARRIED,
    .namespaced = true,
    .has_generation = true,
    .schema = &podtemplate,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = podtemplate_validate,
    .fill = podtemplate_fill,
    .references = podtemplate_references,
    .pods = "template.spec",
};
