/* persistentVolumeClaim, and ephemeral: a claim that is made for the pod.
 * Source: Kubernetes v1.29, PersistentVolumeClaimSpec. */
#include "proto/kinds/storage.h"
#include "proto/kinds/volumes.h"

#define FILLED_WHY "volumes are made empty, and the data would be missing"

/* clang-format off */

SCHEMA(volume_schema_claim, "PersistentVolumeClaimVolumeSource", "The volume bound to a claim of the namespace.",
    STRING("claimName", "Name of the claim.", REQUIRED_KEY),
    BOOLEAN("readOnly", "Mount it read-only.", ZERO));

SCHEMA_STATIC(claim_resources, "VolumeResourceRequirements", "Size of a volume.",
    QUANTITY_MAP("limits", "The most it may have."),
    QUANTITY_MAP("requests", "The least it must have: storage."));

SCHEMA_STATIC(typed_reference_ns, "TypedObjectReference", "An object of any kind.",
    STRING("apiGroup", "Group of the kind; none for the core group."),
    STRING("kind", "Kind of the object.", REQUIRED),
    STRING("name", "Name of the object.", REQUIRED),
    STRING("namespace", "Its namespace, if another."));

SCHEMA(schema_claim_spec, "PersistentVolumeClaimSpec", "What a claim asks for.",
    STRINGS("accessModes", "How many nodes may mount it, and how.",
            ONE_OF(ACCESS_MODES)),
    OBJECT("selector", schema_label_selector, "Volumes to choose from, by their labels.", NUMBER(4)),
    OBJECT("resources", claim_resources, "Size.", NUMBER(2)),
    STRING("volumeName", "The very volume to bind; chosen by the masters if it is not given.", KEY),
    STRING("storageClassName", "Class of storage; none for volumes without a class. Absent: the default class.",
           .flags = FIELD_EMPTY, NUMBER(5)),
    STRING("volumeMode", "A file system, or a raw block device.", DEFAULT("Filesystem"), ONE_OF("Filesystem|Block"),
           REFUSED(BLOCK_WHY), QUIET("Filesystem")),
    OBJECT("dataSource", schema_typed_reference, "What to fill it with.", REFUSED(FILLED_WHY)),
    OBJECT("dataSourceRef", typed_reference_ns, "What to fill it with, of any kind.", REFUSED(FILLED_WHY)),
    STRING("volumeAttributesClassName", "Class of attributes that may change later.",
           WARNED("volumes have no attributes that change")));

SCHEMA_STATIC(claim_template, "PersistentVolumeClaimTemplate", "A claim to be made for the pod.",
    OBJECT("metadata", schema_object_meta, "Labels and annotations of the claim."),
    OBJECT("spec", schema_claim_spec, "What it asks for.", REQUIRED));

SCHEMA(volume_schema_ephemeral, "EphemeralVolumeSource", "A claim that is made with the pod and goes with it.",
    OBJECT("volumeClaimTemplate", claim_template, "The claim."));

/* clang-format on */

static void claim_template_check(const struct value *template, const struct fpath *p, struct errlist *l)
{
    const struct value *meta = value_get(template, "metadata"), *spec = value_get(template, "spec");
    const struct fpath *m = FPATH_AT(p, "metadata"), *at = FPATH_AT(p, "spec");
    check_labels(l, value_get(meta, "labels"), FPATH_AT(m, "labels"));
    check_annotations(l, value_get(meta, "annotations"), FPATH_AT(m, "annotations"));
    for (unsigned i = 0; i < value_count(meta); i++) {
        if (!in_choices(meta->map.members[i].key, "labels|annotations")) {
            bad_forbidden(l, meta->map.members[i].value, FPATH_STR(m, meta->map.members[i].key), "cannot be set");
        }
    }
    if (spec == NULL) {
        return; /* the table has said it */
    }
    claim_spec_check(spec, at, l);
}

static void check_ephemeral(const struct value *source, const struct volume_at *where, const struct fpath *p,
                            struct errlist *l)
{
    (void)where;
    const struct value *template = value_get(source, "volumeClaimTemplate");
    if (template == NULL) {
        bad_required(l, source, FPATH_AT(p, "volumeClaimTemplate"));
    } else {
        claim_template_check(template, FPATH_AT(p, "volumeClaimTemplate"), l);
    }
}

static const struct ref_row claim_refs[] = {
    {NULL, NULL, "claimName", "PersistentVolumeClaim", REFERENCE_CONTENT, false}};

const struct volume_source volume_source_claim = {
    VOLUME_REFS(claim_refs),
};
const struct volume_source volume_source_ephemeral = {
    .check = check_ephemeral,
};
