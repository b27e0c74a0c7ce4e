/* persistentVolumeClaim, and ephemeral: a claim that is made for the pod.
 * Source: Kubernetes v1.29, PersistentVolumeClaimSpec. */
#include "proto/kinds/volumes.h"
#include "proto/model/quantity.h"

/* clang-format off */

SCHEMA(volume_schema_claim, "PersistentVolumeClaimVolumeSource", "The volume bound to a claim of the namespace.",
    STRING("claimName", "Name of the claim.", REQUIRED_KEY),
    BOOLEAN("readOnly", "Mount it read-only.", ZERO));

SCHEMA_STATIC(claim_resources, "VolumeResourceRequirements", "Size of a volume.",
    QUANTITY_MAP("limits", "The most it may have."),
    QUANTITY_MAP("requests", "The least it must have: storage."));

SCHEMA_STATIC(typed_reference, "TypedLocalObjectReference", "An object of any kind in the same namespace.",
    STRING("apiGroup", "Group of the kind; none for the core group."),
    STRING("kind", "Kind of the object.", REQUIRED),
    STRING("name", "Name of the object.", REQUIRED));

SCHEMA_STATIC(typed_reference_ns, "TypedObjectReference", "An object of any kind.",
    STRING("apiGroup", "Group of the kind; none for the core group."),
    STRING("kind", "Kind of the object.", REQUIRED),
    STRING("name", "Name of the object.", REQUIRED),
    STRING("namespace", "Its namespace, if another."));

SCHEMA_STATIC(claim_spec, "PersistentVolumeClaimSpec", "What a claim asks for.",
    STRINGS("accessModes", "How many nodes may mount it, and how.",
            ONE_OF("ReadWriteOnce|ReadOnlyMany|ReadWriteMany|ReadWriteOncePod")),
    OBJECT("selector", schema_label_selector, "Volumes to choose from, by their labels."),
    OBJECT("resources", claim_resources, "Size."),
    STRING("volumeName", "The very volume to bind."),
    STRING("storageClassName", "Class of storage."),
    STRING("volumeMode", "A file system, or a raw block device.", DEFAULT("Filesystem"), ONE_OF("Filesystem|Block")),
    OBJECT("dataSource", typed_reference, "What to fill it with."),
    OBJECT("dataSourceRef", typed_reference_ns, "What to fill it with, of any kind."),
    STRING("volumeAttributesClassName", "Class of attributes that may change later."));

SCHEMA_STATIC(claim_template, "PersistentVolumeClaimTemplate", "A claim to be made for the pod.",
    OBJECT("metadata", schema_object_meta, "Labels and annotations of the claim."),
    OBJECT("spec", claim_spec, "What it asks for.", REQUIRED));

SCHEMA(volume_schema_ephemeral, "EphemeralVolumeSource", "A claim that is made with the pod and goes with it.",
    OBJECT("volumeClaimTemplate", claim_template, "The claim."));

/* clang-format on */

static void check_data_source(const struct value *source, const struct fpath *p, struct errlist *l)
{
    const struct value *group = value_get(source, "apiGroup"), *kind = value_get(source, "kind");
    const struct value *ns = value_get(source, "namespace");
    if (source == NULL) {
        return;
    }
    if (value_to_str(group).n == 0 && value_to_str(kind).n > 0 &&
        !str_is(value_to_str(kind), "PersistentVolumeClaim")) {
        bad_value(l, kind, p, "must be 'PersistentVolumeClaim' when apiGroup is the core group");
    }
    check_optional_name(l, source, "apiGroup", p);
    if (value_to_str(ns).n > 0) {
        check_dns_label(l, source, ns, FPATH_AT(p, "namespace"));
    }
}

static void check_access(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *modes = value_get(spec, "accessModes");
    bool one_pod = false;
    VALUE_FOR(i, modes) one_pod = one_pod || str_is(value_to_str(value_item(modes, i)), "ReadWriteOncePod");
    if (value_count(modes) == 0) {
        bad_missing(l, spec, FPATH_AT(p, "accessModes"), "at least 1 access mode is required");
    } else if (one_pod && value_count(modes) > 1) {
        bad_forbidden(l, modes, FPATH_AT(p, "accessModes"), "ReadWriteOncePod may not be used with other access modes");
    }
}

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
    const struct value *size = value_get(value_at(spec, "resources", "requests", NULL), "storage");
    const struct fpath *requests = FPATH_AT(FPATH_AT(at, "resources"), "requests");
    check_access(spec, at, l);
    check_label_selector(l, value_get(spec, "selector"), FPATH_AT(at, "selector"));
    if (size == NULL) {
        bad_required(l, spec, FPATH_KEY(requests, STR("storage")));
    } else if (quantity_cmp(value_to_str(size), STR("0")) <= 0) {
        bad_value(l, size, FPATH_KEY(requests, STR("storage")), "must be greater than zero");
    }
    check_optional_name(l, spec, "storageClassName", at);
    check_data_source(value_get(spec, "dataSource"), FPATH_AT(at, "dataSource"), l);
    check_data_source(value_get(spec, "dataSourceRef"), FPATH_AT(at, "dataSourceRef"), l);
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
