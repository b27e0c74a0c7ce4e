/* What kustomizations change in all their resources, and the references that follow a changed name. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "client/manifest/kustomize_int.h"

/* ---- Paths ---- */

/* Calls visit for each node at a path "a.b[].c" below v: "[]" goes through a list. */
typedef void visit_cb(struct value *parent, const char *key, struct value *v, void *data);

static void walk(struct arena *a, struct value *v, const char *path, visit_cb *visit, void *data)
{
    size_t n = strcspn(path, ".");
    bool list = n > 2 && path[n - 1] == ']';
    const char *key = arena_strndup(a, path, list ? n - 2 : n);
    struct value *child = value_get(v, key);
    bool last = path[n] == '\0';
    if (child == NULL) {
        return;
    }
    if (!list) {
        if (last) {
            visit(v, key, child, data);
        } else {
            walk(a, child, path + n + 1, visit, data);
        }
        return;
    }
    for (unsigned i = 0; value_is_list(child) && i < value_count(child); i++) {
        if (!last) {
            walk(a, value_item(child, i), path + n + 1, visit, data);
        }
    }
}

static const struct value *pod_spec_of(const struct kres *r)
{
    const char *path = kind_name_pod_spec(kres_kind(r));
    return path == NULL ? NULL : value_path(r->doc, path);
}

static bool kind_in(struct str kind, const char *list)
{
    char word[80];
    snprintf(word, sizeof(word), " %.*s ", STR_ARG(kind));
    return strstr(list, word) != NULL;
}

/* ---- References ---- */

/* Which field names what. kinds NULL: the path begins at the pod's spec, wherever the kind has it. */
static const struct reference {
    const char *kinds, *path, *to;
} references[] = {
    {NULL, "volumes[].configMap.name", " ConfigMap "},
    {NULL, "volumes[].projected.sources[].configMap.name", " ConfigMap "},
    {NULL, "containers[].env[].valueFrom.configMapKeyRef.name", " ConfigMap "},
    {NULL, "containers[].envFrom[].configMapRef.name", " ConfigMap "},
    {NULL, "initContainers[].env[].valueFrom.configMapKeyRef.name", " ConfigMap "},
    {NULL, "initContainers[].envFrom[].configMapRef.name", " ConfigMap "},
    {NULL, "volumes[].secret.secretName", " Secret "},
    {NULL, "volumes[].projected.sources[].secret.name", " Secret "},
    {NULL, "containers[].env[].valueFrom.secretKeyRef.name", " Secret "},
    {NULL, "containers[].envFrom[].secretRef.name", " Secret "},
    {NULL, "initContainers[].env[].valueFrom.secretKeyRef.name", " Secret "},
    {NULL, "initContainers[].envFrom[].secretRef.name", " Secret "},
    {NULL, "imagePullSecrets[].name", " Secret "},
    {NULL, "serviceAccountName", " ServiceAccount "},
    {NULL, "priorityClassName", " PriorityClass "},
    {NULL, "volumes[].persistentVolumeClaim.claimName", " PersistentVolumeClaim "},
    {" ServiceAccount ", "imagePullSecrets[].name", " Secret "},
    {" ServiceAccount ", "secrets[].name", " Secret "},
    {" Ingress ", "spec.tls[].secretName", " Secret "},
    {" Ingress ", "spec.defaultBackend.service.name", " Service "},
    {" Ingress ", "spec.rules[].http.paths[].backend.service.name", " Service "},
    {" StatefulSet ", "spec.serviceName", " Service "},
    {" RoleBinding ClusterRoleBinding ", "roleRef.name", " Role ClusterRole "},
    {" RoleBinding ClusterRoleBinding ", "subjects[].name", " ServiceAccount "},
    {" HorizontalPodAutoscaler ", "spec.scaleTargetRef.name",
     " Deployment StatefulSet ReplicaSet ReplicationController "},
    {" PersistentVolumeClaim PersistentVolume ", "spec.storageClassName", " StorageClass "},
    {" PersistentVolumeClaim ", "spec.volumeName", " PersistentVolume "},
};

struct referring {
    const struct kustomization *k;
    const struct reference *ref;
    const struct kres *from;
};

/* The name now of what was named so: by its current name, or by one that it had. */
static void follow(struct value *parent, const char *key, struct value *v, void *data)
{
    const struct referring *f = data;
    const struct kset *s = &f->k->set;
    struct str name = value_to_str(v), ns = value_path_str(f->from->doc, "metadata.namespace");
    const struct kres *found = NULL;
    for (unsigned i = 0; i < s->count && name.n > 0; i++) {
        const struct kres *r = &s->items[i];
        struct str other = value_path_str(r->doc, "metadata.namespace");
        if (!kind_in(kres_kind(r), f->ref->to) ||
            (ns.n > 0 && other.n > 0 && !str_eq(ns, other) && strstr(f->ref->kinds ?: "", "Binding") == NULL)) {
            continue;
        }
        if (str_eq(kres_name(r), name)) {
            return;
        }
        if (kres_was_named(r, name)) {
            found = r;
        }
    }
    if (found != NULL) {
        value_set(f->k->a, parent, key, value_str(f->k->a, kres_name(found)));
    }
}

void kustomize_references(struct kustomization *k)
{
    for (unsigned i = 0; i < k->set.count; i++) {
        struct kres *r = &k->set.items[i];
        for (unsigned n = 0; n < ARRAY_SIZE(references); n++) {
            struct referring f = {k, &references[n], r};
            if (f.ref->kinds == NULL) {
                walk(k->a, (struct value *)pod_spec_of(r), f.ref->path, follow, &f);
            } else if (kind_in(kres_kind(r), f.ref->kinds)) {
                walk(k->a, r->doc, f.ref->path, follow, &f);
            }
        }
    }
}

/* ---- Names and namespaces ---- */

static void set_subject_namespace(struct kustomization *k, struct kres *r, struct str ns)
{
    const struct value *subjects = value_get(r->doc, "subjects");
    VALUE_FOR(i, subjects)
    {
        struct value *s = value_item(subjects, i);
        if (!str_is(value_to_str(value_get(s, "kind")), "ServiceAccount")) {
            continue;
        }
        bool mine = str_is(value_to_str(value_get(s, "name")), "default");
        for (unsigned n = 0; n < k->set.count && !mine; n++) {
            mine = str_is(kres_kind(&k->set.items[n]), "ServiceAccount") &&
                   kres_was_named(&k->set.items[n], value_to_str(value_get(s, "name")));
        }
        if (mine) {
            value_set(k->a, s, "namespace", value_str(k->a, ns));
        }
    }
}

static void set_namespace(struct kustomization *k)
{
    struct str ns = value_to_str(value_get(k->doc, "namespace"));
    for (unsigned i = 0; i < k->set.count && ns.n > 0; i++) {
        struct kres *r = &k->set.items[i];
        if (str_is(kres_kind(r), "Namespace")) {
            kres_rename(k->a, r, ns);
        } else if (kind_name_namespaced(kres_kind(r))) {
            value_set(k->a, value_ensure_map(k->a, r->doc, "metadata"), "namespace", value_str(k->a, ns));
        }
        if (kind_in(kres_kind(r), " RoleBinding ClusterRoleBinding ")) {
            set_subject_namespace(k, r, ns);
        }
    }
}

static void set_names(struct kustomization *k)
{
    struct str prefix = value_to_str(value_get(k->doc, "namePrefix")),
               suffix = value_to_str(value_get(k->doc, "nameSuffix"));
    for (unsigned i = 0; i < k->set.count && prefix.n + suffix.n > 0; i++) {
        struct kres *r = &k->set.items[i];
        if (!kind_in(kres_kind(r), " Namespace CustomResourceDefinition APIService ")) {
            struct str name = kres_name(r);
            kres_rename(k->a, r,
                        str_of(arena_printf(k->a, "%.*s%.*s%.*s", (int)prefix.n, prefix.n ? prefix.p : "",
                                            STR_ARG(name), (int)suffix.n, suffix.n ? suffix.p : "")));
        }
    }
}

/* ---- Labels and annotations ---- */

static void set_pairs(struct arena *a, struct value *map, const struct value *pairs)
{
    for (unsigned i = 0; i < pairs->map.count; i++) {
        const struct value *v = pairs->map.members[i].value;
        CLEANUP_BUF struct buf b = BUF_INIT;
        if (v->type == VALUE_INT) { /* a number or truth where text belongs */
            buf_printf(&b, "%lld", (long long)v->integer);
        } else if (v->type == VALUE_BOOL) {
            buf_puts(&b, v->boolean ? "true" : "false");
        } else {
            buf_append_str(&b, value_to_str(v));
        }
        value_set_str_key(a, map, pairs->map.members[i].key, value_str(a, buf_str(&b)));
    }
}

/* The metadata of all pod templates in a document: of pods, of jobs, of claims. */
static void set_templates(struct arena *a, struct kres *r, const char *member, const struct value *pairs)
{
    const char *path = kind_name_pod_spec(kres_kind(r));
    if (path == NULL || strcmp(path, "spec") == 0) {
        return;
    }
    struct value *template = value_path(r->doc, arena_strndup(a, path, strlen(path) - 5)); /* without ".spec" */
    if (template != NULL) {
        set_pairs(a, value_ensure_map(a, value_ensure_map(a, template, "metadata"), member), pairs);
    }
    struct value *job = value_path(r->doc, "spec.jobTemplate");
    if (job != NULL) {
        set_pairs(a, value_ensure_map(a, value_ensure_map(a, job, "metadata"), member), pairs);
    }
    const struct value *claims = value_path(r->doc, "spec.volumeClaimTemplates");
    VALUE_FOR(i, claims)
    {
        set_pairs(a, value_ensure_map(a, value_ensure_map(a, value_item(claims, i), "metadata"), member), pairs);
    }
}

static void set_selectors(struct arena *a, struct kres *r, const struct value *pairs)
{
    struct value *spec = value_get(r->doc, "spec");
    if (kind_in(kres_kind(r), " Service ReplicationController ")) {
        if (value_is_map(value_get(spec, "selector"))) {
            set_pairs(a, value_get(spec, "selector"), pairs);
        }
    } else if (kind_in(kres_kind(r), " Deployment ReplicaSet StatefulSet DaemonSet ")) {
        if (value_is_map(spec)) {
            set_pairs(a, value_ensure_map(a, value_ensure_map(a, spec, "selector"), "matchLabels"), pairs);
        }
    } else if (kind_in(kres_kind(r), " Job PodDisruptionBudget ")) {
        struct value *match = value_path(r->doc, "spec.selector.matchLabels");
        if (match != NULL) {
            set_pairs(a, match, pairs);
        }
    } else if (kind_in(kres_kind(r), " NetworkPolicy ")) {
        struct value *match = value_path(r->doc, "spec.podSelector.matchLabels");
        if (match != NULL) {
            set_pairs(a, match, pairs);
        }
    }
}

static void set_metadata(struct kustomization *k, const struct value *pairs, const char *member, bool templates,
                         bool selectors)
{
    for (unsigned i = 0; value_is_map(pairs) && pairs->map.count > 0 && i < k->set.count; i++) {
        struct kres *r = &k->set.items[i];
        set_pairs(k->a, value_ensure_map(k->a, value_ensure_map(k->a, r->doc, "metadata"), member), pairs);
        if (templates) {
            set_templates(k->a, r, member, pairs);
        }
        if (selectors) {
            set_selectors(k->a, r, pairs);
        }
    }
}

static int set_labels(struct kustomization *k, struct error *err)
{
    const struct value *rows = value_get(k->doc, "labels");
    VALUE_FOR(i, rows)
    {
        const struct value *row = value_item(rows, i);
        if (!value_is_map(value_get(row, "pairs")) || value_get(row, "fields") != NULL) {
            return kfail(k, row, err, "labels are rows of {pairs, includeSelectors, includeTemplates}");
        }
        bool selectors = value_to_bool(value_get(row, "includeSelectors"), false);
        set_metadata(k, value_get(row, "pairs"), "labels",
                     selectors || value_to_bool(value_get(row, "includeTemplates"), false), selectors);
    }
    set_metadata(k, value_get(k->doc, "commonLabels"), "labels", true, true);
    set_metadata(k, value_get(k->doc, "commonAnnotations"), "annotations", true, false);
    return 0;
}

/* ---- Images and replicas ---- */

struct image_row {
    struct arena *a;
    struct str name, new_name, new_tag, digest;
};

/* name[:tag][@digest]; the colon of a registry's port stands before a slash. */
static size_t image_name_size(struct str image)
{
    size_t n = image.n;
    const char *at = image.n == 0 ? NULL : memchr(image.p, '@', image.n);
    n = at == NULL ? n : (size_t)(at - image.p);
    for (size_t i = n; i > 0 && image.p[i - 1] != '/'; i--) {
        if (image.p[i - 1] == ':') {
            return i - 1;
        }
    }
    return n;
}

static void set_image(struct value *parent, const char *key, struct value *v, void *data)
{
    const struct image_row *row = data;
    struct str image = value_to_str(v);
    size_t n = image_name_size(image);
    struct str name = {image.p, n}, rest = {image.p + n, image.n - n};
    if (!str_eq(name, row->name)) {
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_append_str(&b, row->new_name.n > 0 ? row->new_name : name);
    if (row->digest.n > 0) {
        buf_printf(&b, "@%.*s", STR_ARG(row->digest));
    } else if (row->new_tag.n > 0) {
        buf_printf(&b, ":%.*s", STR_ARG(row->new_tag));
    } else {
        buf_append_str(&b, rest);
    }
    value_set(row->a, parent, key, value_str(row->a, buf_str(&b)));
}

/* A tag that YAML reads as a number ("1.22" without quotes) is refused: what was written is lost. */
static int tag_of(const struct kustomization *k, const struct value *row, struct str *tag, struct error *err)
{
    const struct value *v = value_get(row, "newTag");
    *tag = value_to_str(v);
    if (value_is_null(v) || value_is_str(v)) {
        return 0;
    }
    return kfail(k, v, err, "newTag is text: put quotes around it");
}

static int set_images(struct kustomization *k, struct error *err)
{
    const struct value *rows = value_get(k->doc, "images");
    VALUE_FOR(i, rows)
    {
        const struct value *row = value_item(rows, i);
        struct image_row r = {k->a, value_to_str(value_get(row, "name")), value_to_str(value_get(row, "newName")),
                              STR_NONE, value_to_str(value_get(row, "digest"))};
        int rc = tag_of(k, row, &r.new_tag, err);
        if (rc != 0) {
            return rc;
        }
        if (r.name.n == 0) {
            return kfail(k, row, err, "images are rows of {name, newName, newTag, digest}");
        }
        for (unsigned n = 0; n < k->set.count; n++) {
            struct value *spec = (struct value *)pod_spec_of(&k->set.items[n]);
            walk(k->a, spec, "containers[].image", set_image, &r);
            walk(k->a, spec, "initContainers[].image", set_image, &r);
        }
    }
    return 0;
}

static int set_replicas(struct kustomization *k, struct error *err)
{
    const struct value *rows = value_get(k->doc, "replicas");
    VALUE_FOR(i, rows)
    {
        const struct value *row = value_item(rows, i), *count = value_get(row, "count");
        struct str name = value_to_str(value_get(row, "name"));
        bool found = false;
        if (name.n == 0 || count == NULL || count->type != VALUE_INT) {
            return kfail(k, row, err, "replicas are rows of {name, count}");
        }
        for (unsigned n = 0; n < k->set.count; n++) {
            struct kres *r = &k->set.items[n];
            if (kind_in(kres_kind(r), " Deployment ReplicaSet StatefulSet ReplicationController ") &&
                kres_was_named(r, name)) {
                value_set(k->a, value_ensure_map(k->a, r->doc, "spec"), "replicas", value_int(k->a, count->integer));
                found = true;
            }
        }
        if (!found) {
            return kfail(k, row, err, "replicas: nothing that can be scaled is named \"%.*s\"", STR_ARG(name));
        }
    }
    return 0;
}

int kustomize_transform(struct kustomization *k, struct error *err)
{
    set_namespace(k);
    set_names(k);
    int rc = set_labels(k, err);
    rc = rc != 0 ? rc : set_replicas(k, err);
    return rc != 0 ? rc : set_images(k, err);
}
