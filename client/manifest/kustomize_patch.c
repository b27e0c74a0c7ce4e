/* Patches of kustomizations: strategic merge (merge where the kind's table is not known here) and JSON patch. */
#include <regex.h>
#include <string.h>

#include "client/manifest/kustomize_int.h"
#include "proto/patch/patch.h"
#include "proto/schema/selector.h"
#include "proto/text/text.h"

/* ---- Which resources ---- */

/* Patterns fit whole texts, as kustomize has it. An empty one fits all. */
static bool pattern_fits(struct arena *a, struct str pattern, struct str s)
{
    regex_t re;
    if (pattern.n == 0) {
        return true;
    }
    if (regcomp(&re, arena_printf(a, "^(%.*s)$", STR_ARG(pattern)), REG_EXTENDED | REG_NOSUB) != 0) {
        return str_eq(pattern, s);
    }
    bool fits = regexec(&re, arena_strndup(a, s.n == 0 ? "" : s.p, s.n), 0, NULL, 0) == 0;
    regfree(&re);
    return fits;
}

static bool name_fits(struct arena *a, struct str pattern, const struct kres *r)
{
    bool fits = pattern_fits(a, pattern, kres_name(r));
    for (unsigned i = 0; i < r->names_count && !fits; i++) {
        fits = pattern_fits(a, pattern, r->names[i]);
    }
    return fits;
}

static bool selector_fits(struct arena *a, const struct value *text, const struct value *pairs)
{
    struct selector *s;
    struct str t = value_to_str(text);
    return t.n == 0 || (selector_parse(a, t, &s, NULL) == 0 && selector_matches_value(s, pairs));
}

static bool target_fits(struct arena *a, const struct value *t, const struct kres *r)
{
    struct str api = value_to_str(value_get(r->doc, "apiVersion"));
    const char *slash = api.n == 0 ? NULL : memchr(api.p, '/', api.n);
    struct str group = slash == NULL ? STR("") : (struct str){api.p, (size_t)(slash - api.p)};
    struct str version = slash == NULL ? api : (struct str){slash + 1, api.n - group.n - 1};
    return pattern_fits(a, value_to_str(value_get(t, "kind")), kres_kind(r)) &&
           pattern_fits(a, value_to_str(value_get(t, "group")), group) &&
           pattern_fits(a, value_to_str(value_get(t, "version")), version) &&
           name_fits(a, value_to_str(value_get(t, "name")), r) &&
           pattern_fits(a, value_to_str(value_get(t, "namespace")), value_path_str(r->doc, "metadata.namespace")) &&
           selector_fits(a, value_get(t, "labelSelector"), value_path(r->doc, "metadata.labels")) &&
           selector_fits(a, value_get(t, "annotationSelector"), value_path(r->doc, "metadata.annotations"));
}

/* ---- Applying ---- */

/* The table that says how lists of the document merge; NULL: none is known. What has a pod template merges as a
 * Deployment. */
static const struct kind *merge_kind(const struct kres *r)
{
    const struct kind *k = kind_by_name(kres_kind(r));
    if (k != NULL) {
        return k;
    }
    const char *spec = kind_name_pod_spec(kres_kind(r));
    return spec != NULL && strcmp(spec, "spec.template.spec") == 0 ? kind_by_id(KIND_DEPLOYMENT) : NULL;
}

static int apply_to(struct kustomization *k, struct kres *r, const struct value *patch, const struct value *where,
                    struct error *err)
{
    struct error why = {0};
    struct value *out = NULL;
    const struct kind *kind = merge_kind(r);
    enum patch_type type = value_is_list(patch) ? PATCH_JSON : kind != NULL ? PATCH_STRATEGIC : PATCH_MERGE;
    struct str kind_name = kres_kind(r), name = kres_name(r);
    struct value *mine = value_copy(k->a, patch);
    if (type != PATCH_JSON) { /* a patch says whom it means; it does not rename */
        value_remove(mine, "apiVersion");
        value_remove(mine, "kind");
        if (value_is_map(value_get(mine, "metadata"))) {
            value_remove(value_get(mine, "metadata"), "name");
            value_remove(value_get(mine, "metadata"), "namespace");
        }
    }
    if (patch_apply(type, kind, k->a, r->doc, mine, &out, &why) != 0) {
        return kfail(k, where, err, "the patch does not fit %.*s \"%.*s\": %s", STR_ARG(kind_name), STR_ARG(name),
                     why.message);
    }
    r->doc = value_copy(k->a, out);
    return 0;
}

static void remove_at(struct kset *s, unsigned i)
{
    memmove(&s->items[i], &s->items[i + 1], (s->count - i - 1) * sizeof(*s->items));
    s->count--;
}

/* One patch document to all that fit the target, or, without one, to the resource that the patch names. */
static int apply_patch(struct kustomization *k, const struct value *patch, const struct value *target,
                       const struct value *where, struct error *err)
{
    unsigned fits = 0;
    struct kres named = {.doc = (struct value *)patch};
    if (target == NULL && (value_is_list(patch) || kres_kind(&named).n == 0 || kres_name(&named).n == 0)) {
        return kfail(k, where, err, "whom does the patch mean? It names kind and metadata.name, or has a target");
    }
    for (unsigned i = 0; i < k->set.count; i++) {
        struct kres *r = &k->set.items[i];
        struct str ns = value_path_str(patch, "metadata.namespace");
        bool is = target != NULL ? target_fits(k->a, target, r)
                                 : str_eq(kres_kind(r), kres_kind(&named)) && kres_was_named(r, kres_name(&named)) &&
                                       (ns.n == 0 || str_eq(ns, value_path_str(r->doc, "metadata.namespace")));
        if (!is) {
            continue;
        }
        fits++;
        if (str_is(value_to_str(value_get(patch, "$patch")), "delete")) {
            remove_at(&k->set, i--);
            continue;
        }
        int rc = apply_to(k, r, patch, where, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (fits == 0 && target == NULL) {
        return kfail(k, where, err, "no resource %.*s \"%.*s\" to patch", STR_ARG(kres_kind(&named)),
                     STR_ARG(kres_name(&named)));
    }
    return 0;
}

static int apply_text(struct kustomization *k, struct str text, const char *file, const struct value *target,
                      const struct value *where, struct error *err)
{
    struct value **docs;
    unsigned count = 0;
    int rc = yaml_read(k->a, text, file, &docs, &count, err);
    if (rc == 0 && count == 0) {
        return kfail(k, where, err, "the patch is empty");
    }
    for (unsigned i = 0; i < count && rc == 0; i++) {
        rc = apply_patch(k, docs[i], target, where, err);
    }
    return rc;
}

/* {path | patch, ?target} */
static int apply_row(struct kustomization *k, const struct value *row, struct error *err)
{
    static const char *const known[] = {"path", "patch", "target"};
    const struct value *path = value_get(row, "path"), *patch = value_get(row, "patch"),
                       *target = value_get(row, "target");
    if (!value_is_map(row) || (path == NULL) == (patch == NULL)) {
        return kfail(k, row, err, "a patch is a map with either path or patch, and maybe a target");
    }
    for (unsigned i = 0; i < row->map.count; i++) {
        struct str key = row->map.members[i].key;
        if (!str_is(key, known[0]) && !str_is(key, known[1]) && !str_is(key, known[2])) {
            return kfail(k, row->map.members[i].value, err, "\"%.*s\" of patches is not there yet", STR_ARG(key));
        }
    }
    if (patch != NULL && !value_is_str(patch)) {
        return kfail(k, patch, err, "an inline patch is text: patch: |-");
    }
    struct str text = value_to_str(patch);
    int rc = path == NULL ? 0 : kread(k, path, &text, err);
    const char *file = path == NULL ? k->file : arena_strndup(k->a, value_to_str(path).p, value_to_str(path).n);
    return rc != 0 ? rc : apply_text(k, text, file, target, row, err);
}

static int apply_rows(struct kustomization *k, const char *field, struct error *err)
{
    const struct value *list = value_get(k->doc, field);
    int rc = 0;
    if (!value_is_null(list) && !value_is_list(list)) {
        return kfail(k, list, err, "%s is a list", field);
    }
    for (unsigned i = 0; i < value_count(list) && rc == 0; i++) {
        rc = apply_row(k, value_item(list, i), err);
    }
    return rc;
}

int kustomize_patch(struct kustomization *k, struct error *err)
{
    const struct value *list = value_get(k->doc, "patchesStrategicMerge");
    int rc = 0;
    if (!value_is_null(list) && !value_is_list(list)) {
        return kfail(k, list, err, "patchesStrategicMerge is a list of files or texts");
    }
    for (unsigned i = 0; i < value_count(list) && rc == 0; i++) {
        const struct value *v = value_item(list, i);
        struct str text = value_to_str(v);
        bool is_inline = text.n > 0 && memchr(text.p, '\n', text.n) != NULL;
        const char *file = is_inline ? k->file : arena_strndup(k->a, text.n == 0 ? "" : text.p, text.n);
        rc = is_inline ? 0 : kread(k, v, &text, err);
        rc = rc != 0 ? rc : apply_text(k, text, file, NULL, v, err);
    }
    return rc != 0 ? rc : apply_rows(k, "patches", err);
}

int kustomize_patch_json(struct kustomization *k, struct error *err)
{
    return apply_rows(k, "patchesJson6902", err);
}
