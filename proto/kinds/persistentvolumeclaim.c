/* PersistentVolumeClaim: storage that pods of a namespace ask for by name. Source: Kubernetes core/v1
 * PersistentVolumeClaim. What it asks for is a table of its own, since claims also stand in pods (volume_claim.c). */
#include "proto/kinds/storage.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(claim_condition, "PersistentVolumeClaimCondition", "One statement about the claim.",
    STRING("type", "What it is about, such as Resizing."),
    STRING("status", "True, False or Unknown."),
    TIME("lastProbeTime", "When it was last confirmed."),
    TIME("lastTransitionTime", "When status last changed."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(modify_status, "ModifyVolumeStatus", "A change of attributes that is under way.",
    STRING("targetVolumeAttributesClassName", "The class that it leads to."),
    STRING("status", "Pending, InProgress or Infeasible."));

SCHEMA_STATIC(claim_status, "PersistentVolumeClaimStatus", "What is known of the claim.",
    STRING("phase", "Pending, Bound or Lost (its volume is gone)."),
    STRINGS("accessModes", "Access modes of its volume."),
    QUANTITY_MAP("capacity", "Size of its volume."),
    OBJECTS("conditions", claim_condition, "Statements about the claim.", MERGE("type")),
    QUANTITY_MAP("allocatedResources", "The size that an expansion leads to."),
    STRING_MAP("allocatedResourceStatuses", "How far the expansion is.", NUMBER(7)),
    STRING("currentVolumeAttributesClassName", "Class of the attributes that the volume has."),
    OBJECT("modifyVolumeStatus", modify_status, "A change of attributes that is under way."));

SCHEMA(schema_claim, "PersistentVolumeClaim", "Storage that pods of the namespace ask for by name.",
    TYPE_META,
    OBJECT("spec", schema_claim_spec, "What it asks for.", REQUIRED),
    OBJECT("status", claim_status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

static void claim_begin(struct arena *a, struct value *obj)
{
    value_set(a, value_ensure_map(a, obj, "status"), "phase", value_cstr(a, "Pending"));
}

/* What the system has chosen stays where a manifest does not speak of it. */
static void claim_keep(struct arena *a, struct value *obj, const struct value *old_obj)
{
    static const char *const chosen[] = {"volumeName", "storageClassName"};
    struct value *spec = value_get(obj, "spec");
    const struct value *old = value_get(old_obj, "spec");
    for (unsigned i = 0; value_is_map(spec) && i < ARRAY_SIZE(chosen); i++) {
        const struct value *was = value_get(old, chosen[i]);
        if (value_is_str(was) && value_is_null(value_get(spec, chosen[i]))) {
            value_set(a, spec, chosen[i], value_copy(a, was));
        }
    }
}

static void claim_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    struct str volume = storage_volume_name(o), class = storage_class_of(o);
    if (name_is_key(volume)) {
        const struct kind_reference r = {.kind = &kind_persistentvolume, .name = volume, .use = REFERENCE_CONTENT};
        cb(data, &r);
    }
    if (name_is_key(class)) {
        const struct kind_reference r = {.kind = &kind_storageclass, .name = class, .use = REFERENCE_TARGET};
        cb(data, &r);
    }
}

/* ---- Columns ---- */

static void cell_status(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, o->deleting ? STR("Terminating") : storage_phase(o));
}

static void cell_volume(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, storage_volume_name(o));
}

static void cell_capacity(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    if (storage_volume_name(o).n > 0) {
        buf_append_str(out, mp_str(mp_get(mp_get(object_status(o), "capacity"), "storage")));
    }
}

static void cell_modes(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    if (storage_volume_name(o).n > 0) {
        storage_write_modes(out, mp_get(object_status(o), "accessModes"));
    }
}

static void cell_class(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, storage_class_of(o));
}

static void cell_attributes(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct str class = mp_str(mp_get(object_spec(o), "volumeAttributesClassName"));
    buf_append_str(out, class.n > 0 ? class : STR("<unset>"));
}

static void cell_mode(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct str mode = mp_str(mp_get(object_spec(o), "volumeMode"));
    buf_append_str(out, mode.n > 0 ? mode : STR("<unset>"));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "STATUS", .cell = cell_status},
    {.title = "VOLUME", .cell = cell_volume},
    {.title = "CAPACITY", .cell = cell_capacity},
    {.title = "ACCESS MODES", .cell = cell_modes},
    {.title = "STORAGECLASS", .cell = cell_class},
    {.title = "VOLUMEATTRIBUTESCLASS", .cell = cell_attributes},
    {.title = "AGE"},
    {.title = "VOLUMEMODE", .wide = true, .cell = cell_mode},
};

static const struct kind_related related[] = {{.kind = KIND_POD, .referring = true}, {0}};

const struct kind kind_persistentvolumeclaim = {
    .id = KIND_PERSISTENTVOLUMECLAIM,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "PersistentVolumeClaim",
    .api_version = "v1",
    .plural = "persistentvolumeclaims",
    .singular = "persistentvolumeclaim",
    .short_names = "pvc",
    .namespaced = true,
    .has_status = true,
    .is_content = true,
    .schema = &schema_claim,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = claim_validate,
    .begin = claim_begin,
    .keep = claim_keep,
    .references = claim_references,
    .describe = claim_describe,
    .related = related,
    .is_pruned = true,
};
