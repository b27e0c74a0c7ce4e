#include "proto/facts/storage.h"

#include <stdio.h>
#include <string.h>

#include "proto/facts/node_match.h"
#include "proto/model/quantity.h"
#include "proto/schema/selector.h"

/* ---- Read ---- */

static struct str spec_str(const struct object *o, const char *key)
{
    return mp_str(mp_get(object_spec(o), key));
}

struct str storage_class_of(const struct object *o)
{
    struct mp old = mp_get(mp_path(object_mp(o), "metadata.annotations"), STORAGE_CLASS_ANNOTATION);
    return mp_type(old) == MP_STR ? mp_str(old) : spec_str(o, "storageClassName");
}

bool storage_class_is_open(const struct object *claim)
{
    struct mp old = mp_get(mp_path(object_mp(claim), "metadata.annotations"), STORAGE_CLASS_ANNOTATION);
    return mp_type(old) == MP_NONE && mp_type(mp_get(object_spec(claim), "storageClassName")) == MP_NONE;
}

bool storage_class_is_default(const struct object *class)
{
    return str_is(object_annotation(class, STORAGE_DEFAULT_CLASS), "true") ||
           str_is(object_annotation(class, STORAGE_DEFAULT_CLASS_BETA), "true");
}

bool storage_class_waits(const struct object *class)
{
    return str_is(mp_str(mp_get(object_mp(class), "volumeBindingMode")), "WaitForFirstConsumer");
}

bool storage_class_is_local(const struct object *class)
{
    return str_is(mp_str(mp_get(object_mp(class), "provisioner")), STORAGE_LOCAL);
}

bool storage_class_is_foreign(const struct object *class)
{
    struct str provisioner = mp_str(mp_get(object_mp(class), "provisioner"));
    return !str_is(provisioner, STORAGE_LOCAL) && !str_is(provisioner, STORAGE_NO_PROVISIONER);
}

static bool topology_holds(struct mp term, struct mp labels)
{
    for (struct mp_iter it = mp_iter(mp_get(term, "matchLabelExpressions")); mp_next(&it);) {
        struct mp label = mp_get_str_key(labels, mp_str(mp_get(it.value, "key")));
        bool found = false;
        for (struct mp_iter v = mp_iter(mp_get(it.value, "values")); mp_type(label) == MP_STR && mp_next(&v);) {
            found = found || str_eq(mp_str(v.value), mp_str(label));
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

bool storage_class_allows(const struct object *class, struct mp node_labels)
{
    struct mp terms = mp_get(object_mp(class), "allowedTopologies");
    bool allowed = mp_count(terms) == 0;
    for (struct mp_iter it = mp_iter(terms); !allowed && mp_next(&it);) {
        allowed = topology_holds(it.value, node_labels);
    }
    return allowed;
}

static int64_t bytes_of(struct mp quantities, const char *resource)
{
    int64_t n = 0;
    return quantity_units(mp_str(mp_get(quantities, resource)), &n) && n > 0 ? MIN(n, STORAGE_BYTES_MAX) : 0;
}

int64_t storage_bytes(const struct object *o)
{
    struct mp spec = object_spec(o);
    return o->kind->id == KIND_PERSISTENTVOLUME ? bytes_of(mp_get(spec, "capacity"), "storage")
                                                : bytes_of(mp_path(spec, "resources.requests"), "storage");
}

static bool list_has(struct mp list, const char *text)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        if (str_is(mp_str(it.value), text)) {
            return true;
        }
    }
    return false;
}

static const struct {
    const char *name, *abbreviation;
} MODES[] = {{"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}};

void storage_write_modes(struct buf *out, struct mp modes)
{
    unsigned n = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(MODES); i++) {
        if (list_has(modes, MODES[i].name)) {
            buf_printf(out, "%s%s", n++ > 0 ? "," : "", MODES[i].abbreviation);
        }
    }
}

bool storage_has_mode(const struct object *o, const char *mode)
{
    return list_has(mp_get(object_spec(o), "accessModes"), mode);
}

void storage_add_finalizer(struct arena *a, struct value *doc, const char *finalizer)
{
    struct value *list = value_ensure_list(a, value_ensure_map(a, doc, "metadata"), "finalizers");
    for (unsigned i = 0; i < value_count(list); i++) {
        if (str_is(value_to_str(value_item(list, i)), finalizer)) {
            return;
        }
    }
    if (value_is_list(list)) {
        value_append(a, list, value_cstr(a, finalizer));
    }
}

bool storage_has_finalizer(const struct object *o, const char *finalizer)
{
    return object_has_finalizer(o, finalizer);
}

struct str storage_phase(const struct object *o)
{
    return mp_str(mp_get(object_status(o), "phase"));
}

struct str storage_volume_name(const struct object *claim)
{
    return spec_str(claim, "volumeName");
}

bool storage_has_claim(const struct object *volume)
{
    return mp_type(mp_get(object_spec(volume), "claimRef")) == MP_MAP;
}

static bool names_claim(const struct object *volume, const struct object *claim, bool with_uid)
{
    struct mp ref = mp_get(object_spec(volume), "claimRef");
    struct str uid = mp_str(mp_get(ref, "uid"));
    return mp_type(ref) == MP_MAP && str_eq(mp_str(mp_get(ref, "name")), claim->name) &&
           str_eq(mp_str(mp_get(ref, "namespace")), claim->ns) &&
           (str_eq(uid, claim->uid) ? uid.n > 0 || !with_uid : uid.n == 0 && !with_uid);
}

bool storage_is_for(const struct object *volume, const struct object *claim)
{
    return names_claim(volume, claim, false);
}

bool storage_is_bound(const struct object *claim, const struct object *volume)
{
    return claim != NULL && volume != NULL && str_eq(storage_volume_name(claim), volume->name) &&
           names_claim(volume, claim, true);
}

struct str storage_node(const struct object *volume)
{
    return str_is(object_annotation(volume, STORAGE_PROVISIONED_BY), STORAGE_LOCAL)
               ? object_label(volume, STORAGE_LABEL_NODE)
               : STR_NONE;
}

static bool is_root(struct str path)
{
    return path.n > 1 && path.n < 2048 && path.p[0] == '/' && path.p[path.n - 1] != '/' &&
           memmem(path.p, path.n, "..", 2) == NULL && memchr(path.p, '\0', path.n) == NULL;
}

bool storage_node_offers(const struct object *node, struct str *root, int64_t *bytes)
{
    struct str host = object_label(node, LABEL_HOSTNAME);
    *root = object_annotation(node, STORAGE_LOCAL_ROOT);
    *bytes = bytes_of(mp_get(object_status(node), "allocatable"), STORAGE_LOCAL_RESOURCE);
    return is_root(*root) && *bytes > 0 && host.n > 0 && name_is_label_value(node->name);
}

bool storage_claim_of(struct str pod_name, struct mp volume, struct storage_pod_claim *out)
{
    struct str name = STR_NONE;
    out->own = false;
    out->name = STR_NONE;
    for (struct mp_iter it = mp_iter(volume); mp_next(&it);) {
        if (str_is(it.key, "name")) {
            name = mp_str(it.value);
        } else if (str_is(it.key, "ephemeral")) {
            out->own = mp_type(mp_get(it.value, "volumeClaimTemplate")) == MP_MAP;
        } else if (str_is(it.key, "persistentVolumeClaim")) {
            out->name = mp_str(mp_get(it.value, "claimName"));
        }
    }
    out->name = out->own ? STR_NONE : out->name;
    if (out->own && !str_empty(pod_name) && pod_name.n < sizeof out->text && name.n < sizeof out->text - pod_name.n) {
        int n = snprintf(out->text, sizeof out->text, "%.*s-%.*s", STR_ARG(pod_name), STR_ARG(name));
        out->name = n < (int)sizeof out->text ? (struct str){out->text, (size_t)n} : STR_NONE;
    }
    return !str_empty(out->name);
}

bool storage_made_for(const struct object *claim, const struct object *pod)
{
    return !str_empty(pod->uid) && str_eq(claim->owner_uid, pod->uid);
}

static struct str volume_mode(const struct object *o)
{
    struct str mode = spec_str(o, "volumeMode");
    return mode.n > 0 ? mode : STR("Filesystem");
}

static bool has_modes(const struct object *volume, const struct object *claim)
{
    for (struct mp_iter it = mp_iter(mp_get(object_spec(claim), "accessModes")); mp_next(&it);) {
        bool found = false;
        for (struct mp_iter has = mp_iter(mp_get(object_spec(volume), "accessModes")); mp_next(&has);) {
            found = found || str_eq(mp_str(has.value), mp_str(it.value));
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool is_selected(const struct object *volume, const struct object *claim)
{
    struct mp wanted = mp_get(object_spec(claim), "selector");
    CLEANUP_ARENA struct arena a;
    struct selector *s;
    arena_init(&a);
    return mp_type(wanted) != MP_MAP ||
           (selector_from_mp(&a, wanted, &s, NULL) == 0 && selector_matches_object(s, volume));
}

const char *storage_mismatch(const struct object *volume, const struct object *claim)
{
    return storage_bytes(volume) < storage_bytes(claim)                 ? "requested PV is too small"
           : !str_eq(storage_class_of(volume), storage_class_of(claim)) ? "storageClassName does not match"
           : !str_eq(volume_mode(volume), volume_mode(claim))           ? "incompatible volumeMode"
           : !has_modes(volume, claim)                                  ? "incompatible accessMode"
                                                                        : NULL;
}

bool storage_fits(const struct object *volume, const struct object *claim)
{
    if (volume->deleting || storage_bytes(volume) < storage_bytes(claim) ||
        !str_eq(volume_mode(volume), volume_mode(claim))) {
        return false;
    }
    if (storage_has_claim(volume)) {
        return storage_is_for(volume, claim);
    }
    return storage_mismatch(volume, claim) == NULL && is_selected(volume, claim);
}

int storage_compare(const struct object *a, const struct object *b, const struct object *claim)
{
    bool a_own = storage_is_for(a, claim), b_own = storage_is_for(b, claim);
    int64_t a_bytes = storage_bytes(a), b_bytes = storage_bytes(b);
    return a_own != b_own       ? (a_own ? -1 : 1)
           : a_bytes != b_bytes ? (a_bytes < b_bytes ? -1 : 1)
                                : str_cmp(a->name, b->name);
}

bool storage_reaches(const struct object *volume, struct mp node_labels, struct str node_name)
{
    struct mp wanted = mp_path(object_spec(volume), "nodeAffinity.required");
    return mp_type(wanted) != MP_MAP || node_match_selector(wanted, node_labels, node_name);
}

/* ---- Written ---- */

static void annotate(struct arena *a, struct value *doc, const char *key, struct str text)
{
    value_set(a, value_ensure_map(a, value_ensure_map(a, doc, "metadata"), "annotations"), key, value_str(a, text));
}

void storage_set_phase(struct arena *a, struct value *volume, const char *phase, int64_t wall_ms)
{
    struct value *status = value_ensure_map(a, volume, "status");
    if (!str_is(value_to_str(value_get(status, "phase")), phase)) {
        value_set(a, status, "phase", value_cstr(a, phase));
        value_set(a, status, "lastPhaseTransitionTime", value_time(a, wall_ms));
    }
}

/* The claim's half; volume is the document of its volume. */
static void bind_claim(struct arena *a, struct value *claim, const struct value *volume)
{
    struct value *spec = value_ensure_map(a, claim, "spec"), *status = value_ensure_map(a, claim, "status");
    if (value_to_str(value_get(spec, "volumeName")).n == 0) {
        value_set(a, spec, "volumeName", value_str(a, value_path_str(volume, "metadata.name")));
        annotate(a, claim, STORAGE_BOUND_BY_CONTROLLER, STR("yes"));
    }
    annotate(a, claim, STORAGE_BIND_COMPLETED, STR("yes"));
    value_set(a, status, "phase", value_cstr(a, "Bound"));
    value_set(a, status, "accessModes", value_copy(a, value_path(volume, "spec.accessModes")));
    value_set(a, status, "capacity", value_copy(a, value_path(volume, "spec.capacity")));
}

void storage_bind(struct arena *a, struct value *claim, struct value *volume, int64_t wall_ms)
{
    struct value *spec = value_ensure_map(a, volume, "spec");
    if (value_get(spec, "claimRef") == NULL) {
        annotate(a, volume, STORAGE_BOUND_BY_CONTROLLER, STR("yes"));
    }
    struct value *ref = value_map(a);
    value_set(a, ref, "kind", value_cstr(a, "PersistentVolumeClaim"));
    value_set(a, ref, "namespace", value_str(a, value_path_str(claim, "metadata.namespace")));
    value_set(a, ref, "name", value_str(a, value_path_str(claim, "metadata.name")));
    value_set(a, ref, "uid", value_str(a, value_path_str(claim, "metadata.uid")));
    value_set(a, ref, "apiVersion", value_cstr(a, "v1"));
    value_set(a, spec, "claimRef", ref);
    storage_set_phase(a, volume, "Bound", wall_ms);
    bind_claim(a, claim, volume);
}

/* Pods of this node alone. */
static struct value *node_affinity(struct arena *a, struct str host)
{
    struct value *expression = value_map(a), *term = value_map(a), *affinity = value_map(a);
    value_set(a, expression, "key", value_cstr(a, LABEL_HOSTNAME));
    value_set(a, expression, "operator", value_cstr(a, "In"));
    value_append(a, value_ensure_list(a, expression, "values"), value_str(a, host));
    value_append(a, value_ensure_list(a, term, "matchExpressions"), expression);
    value_append(a, value_ensure_list(a, value_ensure_map(a, affinity, "required"), "nodeSelectorTerms"), term);
    return affinity;
}

struct value *storage_make_local(struct arena *a, struct value *claim, const struct object *class,
                                 const struct object *node, int64_t wall_ms)
{
    struct str root, policy = mp_str(mp_get(object_mp(class), "reclaimPolicy"));
    int64_t offered;
    if (!storage_node_offers(node, &root, &offered)) {
        return NULL;
    }
    const struct value *wants = value_get(claim, "spec");
    struct value *doc = value_map(a), *meta = value_ensure_map(a, doc, "metadata"), *spec;
    struct str size = value_to_str(value_get(value_path(wants, "resources.requests"), "storage"));
    const char *name = arena_printf(a, "pvc-%.*s", STR_ARG(value_path_str(claim, "metadata.uid")));
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "PersistentVolume"));
    value_set(a, meta, "name", value_cstr(a, name));
    value_set(a, value_ensure_map(a, meta, "labels"), STORAGE_LABEL_NODE, value_str(a, node->name));
    annotate(a, doc, STORAGE_PROVISIONED_BY, STR(STORAGE_LOCAL));
    struct value *finalizers = value_ensure_list(a, meta, "finalizers");
    value_append(a, finalizers, value_cstr(a, STORAGE_PROTECT_VOLUME));
    value_append(a, finalizers, value_cstr(a, STORAGE_LOCAL_DIRECTORY));
    spec = value_ensure_map(a, doc, "spec");
    value_set(a, value_ensure_map(a, spec, "capacity"), "storage", value_str(a, size));
    value_set(a, value_ensure_map(a, spec, "local"), "path", value_strf(a, "%.*s/%s", STR_ARG(root), name));
    value_set(a, spec, "accessModes", value_copy(a, value_get(wants, "accessModes")));
    value_set(a, spec, "persistentVolumeReclaimPolicy", value_str(a, policy.n > 0 ? policy : STR("Delete")));
    value_set(a, spec, "storageClassName", value_str(a, class->name));
    value_set(a, spec, "volumeMode", value_cstr(a, "Filesystem"));
    value_set(a, spec, "nodeAffinity", node_affinity(a, object_label(node, LABEL_HOSTNAME)));
    annotate(a, claim, STORAGE_SELECTED_NODE, node->name);
    annotate(a, claim, STORAGE_PROVISIONER_OF, STR(STORAGE_LOCAL));
    storage_bind(a, claim, doc, wall_ms);
    return doc;
}
