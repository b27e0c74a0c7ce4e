/* Rules of volumes, claims and classes beyond their tables. Source: Kubernetes ValidatePersistentVolume,
 * ValidatePersistentVolumeClaim, ValidateStorageClass, and those of updates. */
#include "proto/kinds/storage.h"
#include "proto/kinds/volumes.h"
#include "proto/model/quantity.h"

void storage_check_modes(const struct value *spec, const struct fpath *p, struct errlist *l)
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

void storage_check_size(const struct value *quantities, const struct value *parent, const struct fpath *p,
                        struct errlist *l)
{
    const struct value *size = value_get(quantities, "storage");
    const struct fpath *at = FPATH_KEY(p, STR("storage"));
    int64_t bytes;
    if (size == NULL) {
        bad_required(l, parent, at);
    } else if (quantity_cmp(value_to_str(size), STR("0")) <= 0) {
        bad_value(l, size, at, "must be greater than zero");
    } else if (!quantity_units(value_to_str(size), &bytes) || bytes > STORAGE_BYTES_MAX) {
        bad_value(l, size, at, "must be at most 1Pi");
    }
}

void storage_check_options(const struct value *options, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, options)
    {
        struct str s = value_to_str(value_item(options, i));
        bool good = s.n > 0 && s.n <= NAME_KEY_MAX;
        for (size_t k = 0; good && k < s.n; k++) {
            good = s.p[k] > ' ' && s.p[k] <= '~' && s.p[k] != ',';
        }
        if (!good) {
            bad_value(l, value_item(options, i), FPATH_ITEM(p, i),
                      "must be one option of mount, without blanks and commas");
        }
    }
}

/* ---- Volumes ---- */

/* Sources: those that can be mounted, with their rules, and those that are refused. */
static void check_local(const struct value *source, const struct volume_at *where, const struct fpath *p,
                        struct errlist *l)
{
    (void)where;
    struct str path = value_to_str(value_get(source, "path"));
    if (path.n > 0 && path.p[0] != '/') {
        bad_value(l, value_get(source, "path"), FPATH_AT(p, "path"), "must be an absolute path");
    }
    check_no_dot_dot(value_get(source, "path"), FPATH_AT(p, "path"), l);
}
static const struct volume_source source_local = {.check = check_local};

static const struct volume_part sources[] = {
    {"hostPath", &volume_source_host_path},
    {"nfs", &volume_source_nfs},
    {"local", &source_local},
};
static const char *const foreign[] = {"gcePersistentDisk",
                                      "awsElasticBlockStore",
                                      "glusterfs",
                                      "rbd",
                                      "iscsi",
                                      "cinder",
                                      "cephfs",
                                      "fc",
                                      "flocker",
                                      "flexVolume",
                                      "azureFile",
                                      "vsphereVolume",
                                      "quobyte",
                                      "azureDisk",
                                      "photonPersistentDisk",
                                      "portworxVolume",
                                      "scaleIO",
                                      "storageos",
                                      "csi"};

/* The members of the spec that are sources, for the rule of exactly one. */
static const struct value *sources_of(const struct value *spec, struct arena *a)
{
    struct value *found = value_map(a);
    for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
        value_set(a, found, sources[i].member, value_get(spec, sources[i].member));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(foreign); i++) {
        value_set(a, found, foreign[i], value_get(spec, foreign[i]));
    }
    return found;
}

static void check_capacity(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *capacity = value_get(spec, "capacity");
    const struct fpath *at = FPATH_AT(p, "capacity");
    if (value_count(capacity) == 0) {
        bad_required(l, spec, at);
        return;
    }
    for (unsigned i = 0; i < value_count(capacity); i++) {
        if (!str_is(capacity->map.members[i].key, "storage")) {
            bad_choice(l, value_str(l->arena, capacity->map.members[i].key), at, "storage");
        }
    }
    storage_check_size(capacity, capacity, at, l);
}

static void check_claim_ref(const struct value *ref, const struct fpath *p, struct errlist *l)
{
    if (ref != NULL) {
        check_dns_subdomain(l, ref, value_get(ref, "name"), FPATH_AT(p, "name"));
        check_dns_label(l, ref, value_get(ref, "namespace"), FPATH_AT(p, "namespace"));
    }
}

static void check_affinity(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *affinity = value_get(spec, "nodeAffinity"), *required = value_get(affinity, "required");
    const struct fpath *at = FPATH_AT(p, "nodeAffinity");
    if (affinity == NULL && value_get(spec, "local") != NULL) {
        bad_missing(l, spec, at, "Local volume requires node affinity");
    } else if (affinity != NULL && required == NULL) {
        bad_missing(l, affinity, FPATH_AT(at, "required"), "must specify required node constraints");
    }
    node_selector_check(required, FPATH_AT(at, "required"), l);
}

static void check_volume_change(const struct value *spec, const struct value *old, const struct fpath *p,
                                struct errlist *l)
{
    const struct value *source = sources_of(spec, l->arena), *was = sources_of(old, l->arena);
    const struct value *affinity = value_get(old, "nodeAffinity");
    if (!value_equal(source, was)) {
        bad_forbidden(l, spec, FPATH_AT(p, "persistentvolumesource"),
                      "spec.persistentvolumesource is immutable after creation");
    }
    check_immutable(l, value_get(spec, "volumeMode"), value_get(old, "volumeMode"), FPATH_AT(p, "volumeMode"));
    if (affinity != NULL) {
        check_immutable(l, value_get(spec, "nodeAffinity"), affinity, FPATH_AT(p, "nodeAffinity"));
    }
}

void volume_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec");
    const struct fpath *p = FPATH("spec");
    const struct volume_at where = {STR_NONE, false};
    if (spec == NULL) {
        return; /* the table has said it */
    }
    storage_check_modes(spec, p, l);
    check_capacity(spec, p, l);
    volume_check_one(sources_of(spec, l->arena), sources, ARRAY_SIZE(sources), true, &where, p, "volume type", l);
    check_optional_name(l, spec, "storageClassName", p);
    storage_check_options(value_get(spec, "mountOptions"), FPATH_AT(p, "mountOptions"), l);
    check_claim_ref(value_get(spec, "claimRef"), FPATH_AT(p, "claimRef"), l);
    check_affinity(spec, p, l);
    if (old != NULL) {
        check_volume_change(spec, value_get(old, "spec"), p, l);
    }
}

/* ---- Claims ---- */

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

void claim_spec_check(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct fpath *requests = FPATH_AT(FPATH_AT(p, "resources"), "requests");
    storage_check_modes(spec, p, l);
    check_label_selector(l, value_get(spec, "selector"), FPATH_AT(p, "selector"));
    storage_check_size(value_at(spec, "resources", "requests", NULL), spec, requests, l);
    check_optional_name(l, spec, "storageClassName", p);
    check_data_source(value_get(spec, "dataSource"), FPATH_AT(p, "dataSource"), l);
    check_data_source(value_get(spec, "dataSourceRef"), FPATH_AT(p, "dataSourceRef"), l);
}

#define CLAIM_FIXED_WHY                                                                                                \
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"

/* Everything of a spec but what may change. */
static struct value *fixed_part(struct arena *a, const struct value *spec, bool bound)
{
    struct value *v = value_is_map(spec) ? value_copy(a, spec) : value_map(a);
    value_remove(v, "volumeAttributesClassName");
    value_remove(v, "volumeName");
    if (bound) {
        value_remove(value_path(v, "resources.requests"), "storage");
    }
    return v;
}

static void check_claim_change(const struct value *obj, const struct value *old_obj, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec"), *old = value_get(old_obj, "spec");
    const struct value *size = value_get(value_path(spec, "resources.requests"), "storage");
    const struct value *was = value_get(value_path(old, "resources.requests"), "storage");
    const struct value *name = value_get(spec, "volumeName"), *former = value_get(old, "volumeName");
    bool bound = str_is(value_path_str(old_obj, "status.phase"), "Bound");
    struct value *now = fixed_part(l->arena, spec, bound), *before = fixed_part(l->arena, old, bound);
    if (value_get(before, "storageClassName") == NULL && !bound) {
        value_remove(now, "storageClassName"); /* a claim that says no class may be told its class once */
    }
    bool renamed = value_to_str(former).n > 0 && !str_eq(value_to_str(name), value_to_str(former));
    if (renamed || !kind_equal(&kind_persistentvolumeclaim, "spec", now, before)) {
        bad_forbidden(l, renamed ? name : spec, FPATH("spec"), CLAIM_FIXED_WHY);
    }
    if (size == NULL || was == NULL || quantity_cmp(value_to_str(size), value_to_str(was)) >= 0) {
        return;
    }
    /* A wish that no node could grant may be taken back, as far as what the claim has. */
    const struct value *has = value_get(value_path(old_obj, "status.capacity"), "storage");
    if (!bound || has == NULL || quantity_cmp(value_to_str(size), value_to_str(has)) < 0) {
        bad_forbidden(l, size, FPATH_AT(FPATH_AT(FPATH_AT(FPATH("spec"), "resources"), "requests"), "storage"),
                      bound && has != NULL ? "field can not be less than status.capacity"
                                           : "field can not be less than previous value");
    }
}

void claim_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec");
    if (spec == NULL) {
        return; /* the table has said it */
    }
    claim_spec_check(spec, FPATH("spec"), l);
    check_optional_name(l, spec, "volumeName", FPATH("spec"));
    check_resource_list(l, value_path(obj, "status.capacity"), FPATH_AT(FPATH("status"), "capacity"));
    if (old != NULL) {
        check_claim_change(obj, old, l);
    }
}

/* ---- Classes ---- */

static void check_topologies(const struct value *list, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, list)
    {
        const struct value *expressions = value_get(value_item(list, i), "matchLabelExpressions");
        const struct fpath *at = FPATH_AT(FPATH_ITEM(p, i), "matchLabelExpressions");
        VALUE_FOR(k, expressions)
        {
            const struct value *e = value_item(expressions, k);
            check_label_key(l, e, value_get(e, "key"), FPATH_AT(FPATH_ITEM(at, k), "key"));
        }
    }
}

/* Two members that are the same, or both nothing. */
static bool same(const struct value *a, const struct value *b)
{
    return value_is_null(a) || value_is_null(b)
               ? value_count(a) + value_to_str(a).n == 0 && value_count(b) + value_to_str(b).n == 0
               : value_equal(a, b);
}

static void check_class_change(const struct value *obj, const struct value *old, struct errlist *l)
{
    static const char *const fixed[] = {"provisioner", "parameters", "reclaimPolicy"};
    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
        if (!same(value_get(obj, fixed[i]), value_get(old, fixed[i]))) {
            bad_forbidden(l, value_get(obj, fixed[i]), FPATH(fixed[i]),
                          arena_printf(l->arena, "updates to %s are forbidden.", fixed[i]));
        }
    }
    check_immutable(l, value_get(obj, "volumeBindingMode"), value_get(old, "volumeBindingMode"),
                    FPATH("volumeBindingMode"));
    if (!same(value_get(obj, "allowedTopologies"), value_get(old, "allowedTopologies"))) {
        bad_forbidden(l, value_get(obj, "allowedTopologies"), FPATH("allowedTopologies"), "field is immutable");
    }
}

void class_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *provisioner = value_get(obj, "provisioner"), *mode = value_get(obj, "volumeBindingMode");
    struct str name = value_to_str(provisioner);
    const struct value *parameters = value_get(obj, "parameters");
    if (name.n > 0 && !name_is_annotation_key(name)) {
        bad_value(l, provisioner, FPATH("provisioner"), NAME_LABEL_KEY_WHY);
    }
    for (unsigned i = 0; i < value_count(parameters); i++) {
        if (parameters->map.members[i].key.n == 0) {
            bad_value(l, parameters, FPATH("parameters"), "field can not be empty.");
        }
    }
    if (str_is(name, STORAGE_LOCAL)) {
        if (str_is(value_to_str(mode), "Immediate")) {
            bad_value(l, mode, FPATH("volumeBindingMode"),
                      "volumes of reeve.io/local are made where the pod runs: must be WaitForFirstConsumer");
        }
        if (value_count(value_get(obj, "mountOptions")) > 0) {
            bad_forbidden(l, value_get(obj, "mountOptions"), FPATH("mountOptions"),
                          "volumes of reeve.io/local are directories, which are mounted as their disk is");
        }
        for (unsigned i = 0; i < value_count(parameters); i++) {
            bad_forbidden(l, parameters->map.members[i].value,
                          FPATH_KEY(FPATH("parameters"), parameters->map.members[i].key),
                          "reeve.io/local knows no parameters");
        }
    }
    storage_check_options(value_get(obj, "mountOptions"), FPATH("mountOptions"), l);
    check_topologies(value_get(obj, "allowedTopologies"), FPATH("allowedTopologies"), l);
    if (old != NULL) {
        check_class_change(obj, old, l);
    }
}
