#include "client/cmd/set_common.h"

#include <fnmatch.h>
#include <string.h>

#include "proto/patch/patch.h"

#define SET_TRIES 10

struct value *set_pod_spec(struct value *doc, const char *title, struct error *err)
{
    const struct kind *k =
        kind_of_reference(value_to_str(value_get(doc, "apiVersion")), value_to_str(value_get(doc, "kind")));
    struct value *spec = k == NULL || k->pods == NULL ? NULL : value_path(doc, k->pods);
    if (!value_is_map(spec)) {
        error_set(err, ERR_INVALID, "%s has no containers", title);
        return NULL;
    }
    return spec;
}

int set_containers(struct rctl *r, struct value *doc, const char *title, const char *pattern, set_container *each,
                   void *data, struct error *err)
{
    static const char *const lists[] = {"containers", "initContainers"};
    struct value *spec = set_pod_spec(doc, title, err);
    bool any = false;
    if (spec == NULL) {
        return err->code;
    }
    for (unsigned l = 0; l < 2; l++) {
        const struct value *list = value_get(spec, lists[l]);
        VALUE_FOR(i, list)
        {
            struct value *c = value_item(list, i);
            if (fnmatch(pattern, common_cstr(r, value_to_str(value_get(c, "name"))), 0) != 0) {
                continue;
            }
            any = true;
            int rc = each(r, c, data, err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return any ? 0 : error_set(err, ERR_NOT_FOUND, "unable to find container named \"%s\" in %s", pattern, title);
}

/* What a merge patch must say so that `before` becomes `after`; NULL if they are equal. */
static struct value *difference(struct arena *a, const struct value *before, const struct value *after)
{
    if (value_equal(before, after)) {
        return NULL;
    }
    if (!value_is_map(before) || !value_is_map(after)) {
        return value_copy(a, after);
    }
    struct value *patch = value_map(a);
    for (unsigned i = 0; i < after->map.count; i++) {
        const struct value_member *m = &after->map.members[i];
        struct value *d = difference(a, value_get_str_key(before, m->key), m->value);
        if (d != NULL) {
            value_set_str_key(a, patch, m->key, d);
        }
    }
    for (unsigned i = 0; i < before->map.count; i++) {
        if (value_get_str_key(after, before->map.members[i].key) == NULL) {
            value_set_str_key(a, patch, before->map.members[i].key, value_null(a));
        }
    }
    return patch;
}

/* Changes one object: *after what came of it; NULL: nothing was to be changed. *here: it failed before anything was
 * sent. */
static int change_once(struct rctl *r, const struct object *o, enum dry_run dry, set_change *change, void *data,
                       struct object **after, bool *here, struct error *err)
{
    struct arena *a = &r->arena;
    struct value *before = object_to_value(a, o), *doc = value_copy(a, before);
    int rc = change(r, doc, resource_title(a, o->kind, o->name), data, err);
    struct value *patch = rc == 0 ? difference(a, before, doc) : NULL;
    *here = rc != 0;
    if (rc != 0 || patch == NULL) {
        return rc;
    }
    if (dry == DRY_RUN_CLIENT) {
        common_record(r, doc, false);
        return object_from_value(o->kind, doc, o->revision, after, err);
    }
    value_set(a, value_ensure_map(a, patch, "metadata"), "resourceVersion",
              value_strf(a, "%llu", (unsigned long long)o->revision));
    return common_patch(r, o->kind, common_cstr(r, o->ns), common_cstr(r, o->name), "merge", patch, "", dry, after,
                        NULL, err);
}

static int change_one(struct rctl *r, const struct object *o, enum dry_run dry, const char *done, set_change *change,
                      void *data)
{
    CLEANUP_OBJECT struct object *now = object_ref((struct object *)o);
    CLEANUP_OBJECT struct object *after = NULL;
    struct error err = {0};
    bool here = false;
    int rc = change_once(r, now, dry, change, data, &after, &here, &err);
    for (unsigned tries = 0; rc == ERR_CONFLICT && tries < SET_TRIES; tries++) {
        struct object *newer = NULL;
        if (api_get(r->api, o->kind, common_cstr(r, o->ns), common_cstr(r, o->name), false, &newer, &err) != 0) {
            break;
        }
        object_unref(now);
        now = newer;
        rc = change_once(r, now, dry, change, data, &after, &here, &err);
    }
    if (rc != 0) {
        return here ? rctl_fail_here(r, &err) : rctl_fail(r, &err);
    }
    return after == NULL ? EXIT_DONE : common_print_object(r, after, done, dry);
}

static int change_local(struct rctl *r, const char *done, set_change *change, void *data)
{
    struct error err = {0};
    struct manifest m = {0};
    int code = EXIT_DONE;
    if (common_manifests(r, &m, &err) != 0) {
        return common_fail(r, &err);
    }
    for (unsigned i = 0; i < m.count; i++) {
        const struct manifest_item *item = &m.items[i];
        int one;
        if (change(r, item->doc, resource_title(&r->arena, item->kind, str_of(item->name)), data, &err) != 0) {
            one = rctl_fail_here(r, &err);
        } else {
            one = common_print_item(r, item, done);
        }
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

int set_run(struct rctl *r, const char *done, set_change *change, void *data)
{
    struct error err = {0};
    enum dry_run dry;
    int code = EXIT_DONE;
    CLEANUP_LIST struct api_list list = {0};
    if (common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (opt_flag(r, "local")) {
        return common_files_given(r) ? change_local(r, done, change, data)
                                     : rctl_usage(r, "--local changes files: which? -f FILE");
    }
    if (rctl_connect(r, &err) != 0 || common_select_there(r, &list, &code, &err) != 0) {
        return common_fail(r, &err);
    }
    for (unsigned i = 0; i < list.count; i++) {
        int one = change_one(r, list.items[i], dry, done, change, data);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}
