/* apply --prune and --overwrite=false. */
#include <string.h>

#include "client/cmd/apply.h"
#include "proto/patch/patch.h"
#include "proto/text/text.h"

/* ---- prune ---- */

/* GROUP/VERSION/KIND: *k NULL if the kind is not there yet. "core" stands for the group without a name. */
static int allowed_kind(const char *text, const struct kind **k, struct error *err)
{
    const char *slash = strrchr(text, '/');
    struct str name = str_of(slash == NULL ? text : slash + 1);
    *k = kind_by_name(name);
    if (slash == NULL || strchr(text, '/') == slash) {
        return error_set(err, ERR_USAGE,
                         "--prune-allowlist is GROUP/VERSION/KIND, for example core/v1/ConfigMap, not "
                         "\"%s\"",
                         text);
    }
    if (*k == NULL && kind_not_yet(name) == NULL) {
        return error_set(err, ERR_USAGE, "--prune-allowlist: there is no kind \"%.*s\"", STR_ARG(name));
    }
    return 0;
}

static const char *const allow_options[] = {"prune-allowlist", "prune-whitelist"};

int apply_prune_check(struct rctl *r, struct error *err)
{
    if (!opt_flag(r, "prune")) {
        return 0;
    }
    if (opt(r, "selector") == NULL && !opt_flag(r, "all")) {
        return error_set(err, ERR_USAGE,
                         "--prune deletes what is not in the manifests: give -l SELECTOR, or --all for "
                         "everything that was ever applied");
    }
    if (opt(r, "selector") != NULL && opt_flag(r, "all")) {
        return error_set(err, ERR_USAGE, "--prune goes with -l or with --all, not with both");
    }
    for (unsigned o = 0; o < 2; o++) {
        for (unsigned i = 0; i < args_count(&r->args, allow_options[o]); i++) {
            const struct kind *k;
            int rc = allowed_kind(args_at(&r->args, allow_options[o], i), &k, err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

static bool is_prunable(struct rctl *r, const struct kind *k)
{
    bool given = false;
    for (unsigned o = 0; o < 2; o++) {
        for (unsigned i = 0; i < args_count(&r->args, allow_options[o]); i++) {
            const struct kind *allowed;
            given = true;
            if (allowed_kind(args_at(&r->args, allow_options[o], i), &allowed, NULL) == 0 && allowed == k) {
                return true;
            }
        }
    }
    return !given && k->is_pruned;
}

static bool in_manifest(const struct manifest *m, const struct object *o)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (m->items[i].kind == o->kind && str_is(o->name, m->items[i].name) &&
            (!o->kind->namespaced || str_is(o->ns, m->items[i].ns))) {
            return true;
        }
    }
    return false;
}

static int prune_one(struct rctl *r, const struct object *o, enum dry_run dry, struct error *err)
{
    struct delete_options d = {.grace_s = -1, .cascade = "Background", .dry = dry};
    const char *ns = common_cstr(r, o->ns), *name = common_cstr(r, o->name);
    CLEANUP_OBJECT struct object *after = NULL;
    bool gone = true;
    int64_t timeout_ms;
    int rc = args_int("grace-period", opt(r, "grace-period"), -1, INT32_MAX, &d.grace_s, err);
    rc = rc != 0 ? rc : common_cascade(r, &d, err);
    rc = rc != 0 ? rc : args_duration_ms("timeout", opt(r, "timeout"), &timeout_ms, err);
    rc = rc != 0 ? rc : common_delete(r, o->kind, ns, name, &d, &after, &gone, err);
    if (rc == ERR_NOT_FOUND) {
        return 0;
    }
    if (rc == 0) {
        common_print_object(r, o, "pruned", dry);
    }
    if (rc == 0 && !gone && dry == DRY_RUN_NONE && opt_flag(r, "wait")) {
        rc = common_wait_gone(r, o->kind, ns, name, o->uid, timeout_ms, err);
    }
    return rc;
}

static int prune_kind(struct rctl *r, const struct kind *k, const char *ns, const struct manifest *m, enum dry_run dry)
{
    struct error err = {0};
    CLEANUP_LIST struct api_list list = {0};
    struct api_list_query q = {.kind = k, .ns = ns, .label_selector = opt(r, "selector")};
    if (api_list(r->api, &q, &list, &err) != 0) {
        return rctl_fail(r, &err);
    }
    for (unsigned i = 0; i < list.count; i++) {
        const struct object *o = list.items[i];
        if (object_annotation(o, APPLY_ANNOTATION).n == 0 || o->deleting || in_manifest(m, o)) {
            continue; /* what was made by other means is nobody's to prune */
        }
        if (prune_one(r, o, dry, &err) != 0) {
            return rctl_fail(r, &err);
        }
    }
    return EXIT_DONE;
}

static bool seen_before(const struct manifest *m, unsigned at)
{
    for (unsigned i = 0; i < at; i++) {
        if (m->items[i].kind->namespaced && strcmp(m->items[i].ns, m->items[at].ns) == 0) {
            return true;
        }
    }
    return false;
}

int apply_prune(struct rctl *r, const struct manifest *m, enum dry_run dry)
{
    int code = EXIT_DONE;
    for (unsigned n = 0; n < kinds_count(); n++) {
        const struct kind *k = kinds_at(n);
        if (!is_prunable(r, k)) {
            continue;
        }
        if (!k->namespaced) {
            int one = prune_kind(r, k, NULL, m, dry);
            code = code == EXIT_DONE ? one : code;
            continue;
        }
        for (unsigned i = 0; i < m->count; i++) {
            if (m->items[i].kind->namespaced && !seen_before(m, i)) {
                int one = prune_kind(r, k, m->items[i].ns, m, dry);
                code = code == EXIT_DONE ? one : code;
            }
        }
    }
    return code;
}

/* ---- overwrite ---- */

/* Paths at which b differs from a, one a line, into out. */
static void differing(struct arena *a, const struct value *x, const struct value *y, const char *path,
                      struct value *out)
{
    if (value_equal(x, y)) {
        return;
    }
    if (!value_is_map(x) || !value_is_map(y)) {
        bool lists = value_is_list(x) && value_is_list(y) && value_count(x) == value_count(y);
        for (unsigned i = 0; lists && i < value_count(x); i++) {
            differing(a, value_item(x, i), value_item(y, i), arena_printf(a, "%s[%u]", path, i), out);
        }
        if (!lists) {
            value_append(a, out, value_cstr(a, path));
        }
        return;
    }
    for (unsigned i = 0; i < x->map.count; i++) {
        struct str key = x->map.members[i].key;
        differing(a, x->map.members[i].value, value_get_str_key(y, key),
                  arena_printf(a, "%s%s%.*s", path, path[0] == '\0' ? "" : ".", STR_ARG(key)), out);
    }
    for (unsigned i = 0; i < y->map.count; i++) {
        struct str key = y->map.members[i].key;
        if (value_get_str_key(x, key) == NULL) {
            value_append(a, out, value_strf(a, "%s%s%.*s", path, path[0] == '\0' ? "" : ".", STR_ARG(key)));
        }
    }
}

static void drop_annotation(struct value *doc)
{
    value_remove(value_path(doc, "metadata.annotations"), APPLY_ANNOTATION);
}

int apply_check_overwrite(struct rctl *r, const struct manifest_item *item, struct error *err)
{
    struct arena *a = &r->arena;
    CLEANUP_OBJECT struct object *o = NULL;
    struct value *last = NULL, *again = NULL, *now = NULL;
    int rc = api_get(r->api, item->kind, item->ns, item->name, false, &o, err);
    if (rc != 0) {
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    struct str text = object_annotation(o, APPLY_ANNOTATION);
    if (text.n == 0 || json_read(a, text, &last, NULL) != 0) {
        return 0;
    }
    /* What others changed of the fields that were applied: the former manifest would change them back. */
    struct value *current = object_to_value(a, o);
    rc = patch_three_way(item->kind, a, last, value_copy(a, last), value_copy(a, current), &again, err);
    rc = rc != 0 ? rc
                 : patch_three_way(item->kind, a, last, value_copy(a, item->doc), value_copy(a, current), &now, err);
    if (rc != 0) {
        return rc;
    }
    again = value_copy(a, again);
    now = value_copy(a, now);
    drop_annotation(again);
    drop_annotation(now);
    drop_annotation(current);
    struct value *theirs = value_list(a), *ours = value_list(a);
    differing(a, current, again, "", theirs);
    differing(a, current, now, "", ours);
    VALUE_FOR(i, theirs)
    {
        VALUE_FOR(n, ours)
        {
            struct str path = value_to_str(value_item(ours, n));
            if (str_eq(value_to_str(value_item(theirs, i)), path)) {
                return error_set(err, ERR_CONFLICT,
                                 "%s \"%s\": %.*s was changed by other means since it was applied, and --overwrite is "
                                 "false",
                                 item->kind->singular, item->name, STR_ARG(path));
            }
        }
    }
    return 0;
}
