#include "client/manifest/kustomize.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "client/manifest/kustomize_int.h"
#include "client/manifest/manifest.h"
#include "proto/text/text.h"

/* ---- Resources ---- */

struct str kres_kind(const struct kres *r)
{
    return value_to_str(value_get(r->doc, "kind"));
}

struct str kres_name(const struct kres *r)
{
    return value_path_str(r->doc, "metadata.name");
}

bool kres_was_named(const struct kres *r, struct str name)
{
    for (unsigned i = 0; i < r->names_count; i++) {
        if (str_eq(r->names[i], name)) {
            return true;
        }
    }
    return str_eq(kres_name(r), name);
}

void kres_rename(struct arena *a, struct kres *r, struct str name)
{
    struct str old = kres_name(r);
    if (str_eq(old, name)) {
        return;
    }
    if (r->names_count < KRES_NAMES_MAX) {
        r->names[r->names_count++] = old;
    }
    value_set(a, value_ensure_map(a, r->doc, "metadata"), "name", value_str(a, name));
}

void kset_add(struct arena *a, struct kset *s, struct kres r)
{
    s->items = arena_grow(a, s->items, s->count, &s->cap, sizeof *s->items, 32);
    s->items[s->count++] = r;
}

static bool is_one_of(struct str s, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (str_is(s, *list)) {
            return true;
        }
    }
    return false;
}

bool kind_name_namespaced(struct str kind)
{
    static const char *const wide[] = {"Namespace",
                                       "Node",
                                       "PersistentVolume",
                                       "StorageClass",
                                       "ClusterRole",
                                       "PriorityClass",
                                       "RuntimeClass",
                                       "CustomResourceDefinition",
                                       "APIService",
                                       "ClusterRoleBinding",
                                       "IngressClass",
                                       "CSIDriver",
                                       "VolumeAttachment",
                                       "PodSecurityPolicy",
                                       "CertificateSigningRequest",
                                       "ComponentStatus",
                                       "CSINode",
                                       "ValidatingAdmissionPolicy",
                                       NULL};
    return !is_one_of(kind, wide) && !str_ends(kind, STR("WebhookConfiguration"));
}

const char *kind_name_pod_spec(struct str kind)
{
    static const char *const templates[] = {
        "Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job", NULL};
    return str_is(kind, "Pod")           ? "spec"
           : str_is(kind, "PodTemplate") ? "template.spec"
           : str_is(kind, "CronJob")     ? "spec.jobTemplate.spec.template.spec"
           : is_one_of(kind, templates)  ? "spec.template.spec"
                                         : NULL;
}

int kfail(const struct kustomization *k, const struct value *where, struct error *err, const char *fmt, ...)
{
    char text[768];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (where == NULL || where->line == 0) {
        return error_set(err, ERR_INVALID, "%s: %s", k->file, text);
    }
    return error_set(err, ERR_INVALID, "%s:%u:%u: %s", k->file, where->line, where->column, text);
}

/* ---- Files ---- */

static const char *join(struct arena *a, const char *dir, struct str path)
{
    return path.n > 0 && path.p[0] == '/' ? arena_strndup(a, path.p, path.n)
                                          : arena_printf(a, "%s/%.*s", dir, STR_ARG(path));
}

static bool is_url(struct str s)
{
    return memmem(s.p, s.n, "://", 3) != NULL || str_starts(s, STR("git@")) || str_starts(s, STR("github.com/")) ||
           memmem(s.p, s.n, "?ref=", 5) != NULL;
}

int kread(const struct kustomization *k, const struct value *path, struct str *text, struct error *err)
{
    struct str p = value_to_str(path);
    char root[PATH_MAX], full[PATH_MAX];
    if (p.n == 0) {
        return kfail(k, path, err, "a path is expected here");
    }
    if (is_url(p)) {
        return kfail(k, path, err, "%.*s: nothing is fetched from the web yet; put the file beside this one",
                     STR_ARG(p));
    }
    const char *joined = join(k->a, k->dir, p);
    if (realpath(k->dir, root) == NULL || realpath(joined, full) == NULL) {
        int why = errno;
        kfail(k, path, err, "%s: %s", joined, strerror(why));
        if (err != NULL) {
            err->code = err_from_errno(-why);
        }
        return err_from_errno(-why);
    }
    size_t n = strlen(root);
    if (strncmp(root, full, n) != 0 || (full[n] != '/' && n > 1)) {
        return kfail(k, path, err,
                     "%.*s lies outside of %s: files of a kustomization lie in its directory or below; only other "
                     "kustomizations may lie elsewhere",
                     STR_ARG(p), k->dir);
    }
    char *bytes;
    size_t size;
    int rc = manifest_slurp(full, TEXT_SIZE_MAX, &bytes, &size, err);
    if (rc == 0) {
        *text = (struct str){arena_memdup(k->a, bytes, size + 1), size};
        free(bytes);
    }
    return rc;
}

static int find_file(struct arena *a, const char *dir, const char **file, struct error *err)
{
    static const char *const names[] = {"kustomization.yaml", "kustomization.yml", "Kustomization"};
    struct stat st;
    if (is_url(str_of(dir))) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: nothing is fetched from the web yet; clone it and name the directory", dir);
    }
    if (stat(dir, &st) != 0) {
        return error_set_errno(err, errno, "the directory \"%s\" cannot be read", dir);
    }
    if (!S_ISDIR(st.st_mode)) {
        return error_set(err, ERR_INVALID, "%s is no directory; a kustomization is the directory that holds the file",
                         dir);
    }
    for (unsigned i = 0; i < 3; i++) {
        *file = arena_printf(a, "%s/%s", dir, names[i]);
        if (stat(*file, &st) == 0) {
            return 0;
        }
    }
    return error_set(err, ERR_NOT_FOUND, "no kustomization.yaml (or .yml, or Kustomization) in %s", dir);
}

/* ---- What a kustomization may hold ---- */

static const char *const fields_done[] = {"apiVersion",
                                          "kind",
                                          "metadata",
                                          "resources",
                                          "bases",
                                          "patches",
                                          "patchesStrategicMerge",
                                          "patchesJson6902",
                                          "namePrefix",
                                          "nameSuffix",
                                          "namespace",
                                          "commonLabels",
                                          "labels",
                                          "commonAnnotations",
                                          "images",
                                          "replicas",
                                          "configMapGenerator",
                                          "secretGenerator",
                                          "generatorOptions",
                                          NULL};

static int check_fields(const struct kustomization *k, struct error *err)
{
    if (!value_is_map(k->doc)) {
        return kfail(k, k->doc, err, "a kustomization is a map");
    }
    struct str kind = value_to_str(value_get(k->doc, "kind"));
    if (kind.n > 0 && !str_is(kind, "Kustomization")) {
        return kfail(k, value_get(k->doc, "kind"), err,
                     "kind %.*s is not there yet, only Kustomization; build it with kustomize itself: kustomize build "
                     "DIR | rctl apply -f -",
                     STR_ARG(kind));
    }
    for (unsigned i = 0; i < k->doc->map.count; i++) {
        const struct value_member *m = &k->doc->map.members[i];
        if (is_one_of(m->key, fields_done) || value_is_null(m->value)) {
            continue;
        }
        struct value at = {.line = m->line, .column = m->column};
        int rc =
            kfail(k, &at, err,
                  "\"%.*s\" is not there yet; build it with kustomize itself: kustomize build %s | rctl apply -f -",
                  STR_ARG(m->key), k->dir);
        if (err != NULL) {
            err->code = ERR_UNSUPPORTED;
        }
        return rc == 0 ? 0 : ERR_UNSUPPORTED;
    }
    return 0;
}

/* ---- Building ---- */

static int build_level(struct arena *a, const char *dir, unsigned depth, struct kset *out, struct error *err);

static int add_documents(struct kustomization *k, const struct value *path, struct error *err)
{
    struct str text;
    struct value **docs;
    unsigned count = 0;
    const char *file = join(k->a, k->dir, value_to_str(path));
    int rc = kread(k, path, &text, err);
    rc = rc != 0 ? rc : yaml_read(k->a, text, file, &docs, &count, err);
    for (unsigned i = 0; i < count && rc == 0; i++) {
        struct str kind = value_to_str(value_get(docs[i], "kind"));
        const struct value *items = value_get(docs[i], "items");
        if (str_ends(kind, STR("List")) && value_is_list(items)) {
            VALUE_FOR(n, items)
            {
                kset_add(k->a, &k->set, (struct kres){.doc = value_item(items, n)});
            }
            continue;
        }
        if (kind.n == 0 || value_path_str(docs[i], "metadata.name").n == 0) {
            return error_set(err, ERR_INVALID, "%s:%u:%u: a resource has kind and metadata.name", file, docs[i]->line,
                             docs[i]->column);
        }
        kset_add(k->a, &k->set, (struct kres){.doc = docs[i]});
    }
    return rc;
}

static int add_resources(struct kustomization *k, const char *field, unsigned depth, struct error *err)
{
    const struct value *list = value_get(k->doc, field);
    int rc = 0;
    if (!value_is_null(list) && !value_is_list(list)) {
        return kfail(k, list, err, "%s is a list of paths", field);
    }
    VALUE_FOR(i, list)
    {
        const struct value *path = value_item(list, i);
        struct str p = value_to_str(path);
        struct stat st;
        const char *full = join(k->a, k->dir, p);
        if (p.n > 0 && !is_url(p) && stat(full, &st) == 0 && S_ISDIR(st.st_mode)) {
            rc = build_level(k->a, full, depth + 1, &k->set, err);
        } else {
            rc = add_documents(k, path, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* Two resources of one kind, name and namespace: the user has named one twice. */
static int check_unique(const struct kustomization *k, struct error *err)
{
    for (unsigned i = 0; i < k->set.count; i++) {
        for (unsigned n = 0; n < i; n++) {
            const struct kres *a = &k->set.items[i], *b = &k->set.items[n];
            if (str_eq(kres_name(a), kres_name(b)) && str_eq(kres_kind(a), kres_kind(b)) &&
                str_eq(value_path_str(a->doc, "metadata.namespace"), value_path_str(b->doc, "metadata.namespace"))) {
                return kfail(k, NULL, err, "%.*s \"%.*s\" comes twice", STR_ARG(kres_kind(a)), STR_ARG(kres_name(a)));
            }
        }
    }
    return 0;
}

static int build_level(struct arena *a, const char *dir, unsigned depth, struct kset *out, struct error *err)
{
    struct kustomization k = {.a = a, .dir = dir};
    struct value **docs;
    unsigned count = 0;
    char *text;
    size_t size;
    int rc = find_file(a, dir, &k.file, err);
    if (rc == 0 && depth >= KUSTOMIZE_DEPTH_MAX) {
        return error_set(err, ERR_INVALID, "%s: kustomizations lie more than %u deep in each other; is there a circle?",
                         k.file, KUSTOMIZE_DEPTH_MAX);
    }
    rc = rc != 0 ? rc : manifest_slurp(k.file, TEXT_SIZE_MAX, &text, &size, err);
    if (rc != 0) {
        return rc;
    }
    rc = yaml_read(a, (struct str){text, size}, k.file, &docs, &count, err);
    free(text);
    if (rc == 0 && count != 1) {
        return error_set(err, ERR_INVALID, "%s: one document is expected, not %u", k.file, count);
    }
    k.doc = rc == 0 ? docs[0] : NULL;
    rc = rc != 0 ? rc : check_fields(&k, err);
    rc = rc != 0 ? rc : add_resources(&k, "resources", depth, err);
    rc = rc != 0 ? rc : add_resources(&k, "bases", depth, err);
    rc = rc != 0 ? rc : kustomize_generate(&k, err);
    rc = rc != 0 ? rc : check_unique(&k, err);
    rc = rc != 0 ? rc : kustomize_patch(&k, err);
    rc = rc != 0 ? rc : kustomize_transform(&k, err);
    rc = rc != 0 ? rc : kustomize_patch_json(&k, err);
    if (rc != 0) {
        return rc;
    }
    if (depth == 0) {
        kustomize_hash(&k);
    }
    kustomize_references(&k);
    for (unsigned i = 0; i < k.set.count; i++) {
        kset_add(a, out, k.set.items[i]);
    }
    return 0;
}

/* ---- Order ---- */

/* What others stand on comes first. */
static unsigned rank_of(struct str kind)
{
    static const char *const first[] = {"Namespace",
                                        "ResourceQuota",
                                        "StorageClass",
                                        "CustomResourceDefinition",
                                        "ServiceAccount",
                                        "Role",
                                        "ClusterRole",
                                        "RoleBinding",
                                        "ClusterRoleBinding",
                                        "ConfigMap",
                                        "Secret",
                                        "Endpoints",
                                        "Service",
                                        "LimitRange",
                                        "PriorityClass",
                                        "PersistentVolume",
                                        "PersistentVolumeClaim",
                                        "Deployment",
                                        "StatefulSet",
                                        "CronJob",
                                        "PodDisruptionBudget"};
    for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
        if (str_is(kind, first[i])) {
            return i;
        }
    }
    return str_ends(kind, STR("WebhookConfiguration")) ? 1000 : 100;
}

static int compare(const void *pa, const void *pb)
{
    const struct kres *a = pa, *b = pb;
    unsigned ra = rank_of(kres_kind(a)), rb = rank_of(kres_kind(b));
    int d = ra < rb ? -1 : ra > rb;
    d = d != 0 ? d : str_cmp(kres_kind(a), kres_kind(b));
    d = d != 0 ? d
               : str_cmp(value_path_str(a->doc, "metadata.namespace"), value_path_str(b->doc, "metadata.namespace"));
    return d != 0 ? d : str_cmp(kres_name(a), kres_name(b));
}

int kustomize_build(struct arena *a, const char *dir, struct value **docs, struct error *err)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') {
        n--;
    }
    struct kset set = {0};
    int rc = build_level(a, arena_strndup(a, dir, n), 0, &set, err);
    if (rc != 0) {
        return rc;
    }
    if (set.count == 0) {
        return error_set(err, ERR_INVALID, "%s: the kustomization makes no objects", dir);
    }
    qsort(set.items, set.count, sizeof(*set.items), compare);
    *docs = value_list(a);
    for (unsigned i = 0; i < set.count; i++) {
        value_append(a, *docs, set.items[i].doc);
    }
    return 0;
}
