/* rctl apply, rctl replace: bring objects to what manifests say. */
#include <stdlib.h>
#include <string.h>

#include "client/common.h"

static const struct option_row apply_options[] = {OPTION_ROWS_FILES, OPTION_ROWS_WRITE, OPTION_ROW_SELECTOR,
                                                  OPTION_ROW_DRY_RUN, OPTION_ROW_OUTPUT};

/* Namespaces go first, so that a manifest may hold one and what lies in it. */
static struct value *ordered_objects(struct arena *a, const struct manifest *m)
{
    struct value *list = value_list(a);
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < m->count; i++) {
            if ((m->items[i].kind->id == KIND_NAMESPACE) == (pass == 0)) {
                value_append(a, list, m->items[i].doc);
            }
        }
    }
    return list;
}

/* One result an object, in the order they were sent. */
static int print_results(struct rctl *r, const struct value *objects, struct mp results, enum dry_run dry)
{
    int code = EXIT_DONE;
    struct mp_iter it = mp_iter(results);
    struct error err = {0};
    VALUE_FOR(i, objects)
    {
        const struct value *doc = value_item(objects, i);
        struct str name = value_path_str(doc, "metadata.name"), ns = value_path_str(doc, "metadata.namespace");
        if (!mp_next(&it)) {
            error_set(&err, ERR_PROTOCOL, "the master's answer has no result for \"%.*s\"; look at it with rctl get",
                      STR_ARG(name));
            return rctl_fail(r, &err);
        }
        CLEANUP_OBJECT struct object *o = NULL;
        const struct kind *k = kind_by_name(value_path_str(doc, "kind"));
        if (common_answer(r, it.value, k, arena_strndup(&r->arena, ns.p, ns.n),
                          arena_strndup(&r->arena, name.p, name.n), &o, NULL, &err) != 0) {
            return rctl_fail(r, &err);
        }
        struct str verb = mp_str(mp_get(it.value, "result"));
        int one = common_print_object(r, o, arena_strndup(&r->arena, verb.p, verb.n), dry);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

static int run_apply(struct rctl *r)
{
    struct error err = {0};
    struct manifest m = {0};
    enum dry_run dry;
    if (common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (common_manifests(r, &m, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    if (m.count == 0) {
        error_set(&err, ERR_NOT_FOUND, "no objects passed to apply: -l %s selects none of them", opt(r, "selector"));
        return rctl_fail_here(r, &err);
    }
    if (dry == DRY_RUN_CLIENT) {
        int code = EXIT_DONE;
        for (unsigned i = 0; i < m.count; i++) {
            int one = common_print_item(r, &m.items[i], "configured");
            code = code == EXIT_DONE ? one : code;
        }
        return code;
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct value *params = value_map(&r->arena);
    struct value *objects = ordered_objects(&r->arena, &m);
    value_set(&r->arena, params, "objects", objects);
    common_write_params(r, params, dry);
    CLEANUP_REPLY struct api_reply reply = {0};
    if (api_write(r->api, &r->arena, "apply", params, &reply, &err) != 0) {
        int code = rctl_fail(r, &err);
        if (m.count > 1 && code != EXIT_UNKNOWN) {
            rctl_note(r, "nothing was changed: the %u objects are applied together or not at all", m.count);
        }
        return code;
    }
    common_warn(r, reply.result);
    return print_results(r, objects, mp_get(reply.result, "results"), dry);
}

const struct command command_apply = {
    .name = "apply",
    .usage = "-f FILE...",
    .summary = "Create or change objects as manifests say, all or nothing",
    .examples = "  rctl apply -f deployment.yaml\n"
                "  # everything in a directory, in one transaction\n"
                "  rctl apply -f examples/hello/\n"
                "  # from another program\n"
                "  sed s/1.0/2.0/ deployment.yaml | rctl apply -f -\n",
    .options = apply_options,
    .options_count = ARRAY_SIZE(apply_options),
    .run = run_apply,
};

/* ---- replace ---- */

static const struct option_row replace_options[] = {
    OPTION_ROWS_FILES,
    OPTION_ROWS_WRITE,
    {"force", 0, OPTION_FLAG, NULL, NULL, NULL, "delete the object, wait until it is gone, create it anew"},
    {"grace-period", 0, OPTION_VALUE, "-1", NULL, "SECONDS", "with --force: how long containers may take to end"},
    {"timeout", 0, OPTION_VALUE, "5m", NULL, "DURATION", "with --force: how long to wait for the end"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
};

static int remove_first(struct rctl *r, const struct manifest_item *item, struct error *err)
{
    struct delete_options d = {0};
    int64_t timeout_ms;
    if (args_int("grace-period", opt(r, "grace-period"), -1, INT32_MAX, &d.grace_s, err) != 0 ||
        args_duration_ms("timeout", opt(r, "timeout"), &timeout_ms, err) != 0) {
        return err->code;
    }
    CLEANUP_OBJECT struct object *old = NULL;
    bool gone = false;
    int rc = common_delete(r, item->kind, item->ns, item->name, &d, &old, &gone, err);
    if (rc == ERR_NOT_FOUND) {
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    CLEANUP_BUF struct buf kind = BUF_INIT;
    print_kind_name(&kind, item->kind);
    fprintf(r->out, "%s \"%s\" deleted\n", buf_cstr(&kind), item->name);
    fflush(r->out);
    return gone || old == NULL ? 0 : common_wait_gone(r, item->kind, item->ns, item->name, old->uid, timeout_ms, err);
}

static int replace_one(struct rctl *r, const struct manifest_item *item, enum dry_run dry, struct error *err)
{
    CLEANUP_OBJECT struct object *o = NULL;
    int rc;
    if (opt_flag(r, "force") && dry == DRY_RUN_NONE) {
        rc = remove_first(r, item, err);
        rc = rc != 0 ? rc : common_create(r, item->doc, dry, &o, err);
    } else {
        struct value *p = value_map(&r->arena);
        value_set(&r->arena, p, "object", item->doc);
        common_write_params(r, p, dry);
        rc = common_send(r, "update", p, &o, NULL, NULL, err);
    }
    if (rc != 0) {
        return rc;
    }
    common_print_object(r, o, "replaced", dry);
    return 0;
}

static int run_replace(struct rctl *r)
{
    struct error err = {0};
    struct manifest m = {0};
    enum dry_run dry;
    if (common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (common_manifests(r, &m, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    if (dry != DRY_RUN_CLIENT && rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < m.count; i++) {
        int one = EXIT_DONE;
        if (dry == DRY_RUN_CLIENT) {
            one = common_print_item(r, &m.items[i], "replaced");
        } else if (replace_one(r, &m.items[i], dry, &err) != 0) {
            one = rctl_fail(r, &err);
        }
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command command_replace = {
    .name = "replace",
    .usage = "-f FILE... [--force]",
    .summary = "Put objects in the place of those of the same name",
    .examples = "  rctl replace -f configmap.yaml\n"
                "  # what cannot be changed in place (a pod's containers): delete and create\n"
                "  rctl replace --force -f pod-limits.yaml\n"
                "  # at once, without waiting for containers to end by themselves\n"
                "  rctl replace --force --grace-period=0 -f pod.yaml\n",
    .options = replace_options,
    .options_count = ARRAY_SIZE(replace_options),
    .run = run_replace,
};
