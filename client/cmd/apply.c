/* rctl apply: bring objects to what manifests say. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd/apply.h"
#include "proto/rpc/api.h"

static const struct option_row apply_options[] = {
    OPTION_ROWS_FILES,
    OPTION_ROWS_WRITE,
    OPTION_ROW_SELECTOR,
    {"prune", 0, OPTION_FLAG, NULL, NULL, NULL, "delete what was applied once and is not in the manifests any more"},
    OPTION_ROW_ALL,
    {"prune-allowlist", 0, OPTION_REPEAT, NULL, NULL, "GROUP/VERSION/KIND", "with --prune: only such objects"},
    {"prune-whitelist", 0, OPTION_REPEAT, NULL, NULL, "GROUP/VERSION/KIND", "the old word for --prune-allowlist"},
    {"overwrite", 0, OPTION_FLAG, "true", NULL, NULL, "false: refuse to undo what was changed by other means"},
    {"force", 0, OPTION_FLAG, NULL, NULL, NULL,
     "delete and create anew what cannot be changed in place; each object by itself"},
    {"grace-period", 0, OPTION_VALUE, "-1", NULL, "SECONDS",
     "for what is deleted: how long containers may take to end"},
    {"timeout", 0, OPTION_VALUE, "0s", NULL, "DURATION",
     "for what is deleted: how long to wait; 0: as long as it takes"},
    {"wait", 0, OPTION_FLAG, NULL, NULL, NULL, "with --prune: return when it is gone"},
    {"cascade", 0, OPTION_MAYBE, "background", "background", "MODE", "for what is deleted: background or foreground"},
    {"server-side", 0, OPTION_FLAG, NULL, NULL, NULL,
     "by who manages which field, instead of by what was applied before"},
    {"force-conflicts", 0, OPTION_FLAG, NULL, NULL, NULL, "with --server-side: take what others manage"},
    {"openapi-patch", 0, OPTION_FLAG, "true", NULL, NULL, "taken for the sake of scripts"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
};

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
    bool server_side = opt_flag(r, "server-side"), as_list = common_prints_list(r) && value_count(objects) > 1;
    CLEANUP_LIST struct api_list list = {0};
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
        if (as_list) {
            common_add_object(&list, TAKE_PTR(o));
            continue;
        }
        struct str verb = mp_str(mp_get(it.value, "result"));
        int one = common_print_object(
            r, o, server_side ? "serverside-applied" : arena_strndup(&r->arena, verb.p, verb.n), dry);
        code = code == EXIT_DONE ? one : code;
    }
    return as_list ? common_print_list(r, list.items, list.count) : code;
}

/* A client dry run: the manifests as they are. */
static int print_manifest(struct rctl *r, const struct manifest *m)
{
    struct error err = {0};
    CLEANUP_LIST struct api_list list = {0};
    bool as_list = common_prints_list(r) && m->count > 1;
    int code = EXIT_DONE;
    for (unsigned i = 0; i < m->count; i++) {
        struct object *o;
        if (!as_list) {
            int one = common_print_item(r, &m->items[i], "configured");
            code = code == EXIT_DONE ? one : code;
        } else if (object_from_value(m->items[i].kind, common_item_document(r, &m->items[i]), 0, &o, &err) != 0) {
            return rctl_fail_here(r, &err);
        } else {
            common_add_object(&list, o);
        }
    }
    return as_list ? common_print_list(r, list.items, list.count) : code;
}

static int send_objects(struct rctl *r, struct value *objects, enum dry_run dry, struct api_reply *reply,
                        struct error *err)
{
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "objects", objects);
    common_write_params(r, params, dry);
    if (opt_flag(r, "server-side")) {
        value_set(&r->arena, params, "serverSide", value_bool(&r->arena, true));
    }
    if (opt_flag(r, "force-conflicts")) {
        value_set(&r->arena, params, "force", value_bool(&r->arena, true));
    }
    return api_write(r->api, &r->arena, "apply", params, reply, err);
}

/* What one request takes (MASTER_USER_OBJECTS_MAX); more is sent in parts. */
#define PART_OBJECTS_MAX  1024u
#define PART_ELEMENTS_MAX (API_ELEMENTS_MAX * 7 / 8)

/* As masters count them. */
static uint64_t elements_of(const struct value *v)
{
    uint64_t n = value_count(v) * (value_is_map(v) ? 2u : 1u);
    for (unsigned i = 0; i < value_count(v); i++) {
        n += elements_of(value_is_map(v) ? v->map.members[i].value : value_item(v, i));
    }
    return n;
}

/* The objects from *at on that go into one request; *at: behind them. */
static struct value *next_part(struct rctl *r, const struct value *objects, unsigned *at)
{
    struct value *part = value_list(&r->arena);
    uint64_t elements = 0;
    while (*at < value_count(objects) && value_count(part) < PART_OBJECTS_MAX) {
        struct value *one = value_item(objects, *at);
        elements += elements_of(one) + 1;
        if (elements > PART_ELEMENTS_MAX && value_count(part) > 0) {
            break;
        }
        value_append(&r->arena, part, one);
        (*at)++;
    }
    return part;
}

static int apply_part(struct rctl *r, struct value *part, unsigned before, unsigned all, enum dry_run dry)
{
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    if (send_objects(r, part, dry, &reply, &err) != 0) {
        if (err.code == ERR_TOO_LARGE && value_count(part) == 1) {
            const struct value *one = value_item(part, 0);
            error_wrap(&err, "%.*s \"%.*s\"", STR_ARG(value_path_str(one, "kind")),
                       STR_ARG(value_path_str(one, "metadata.name")));
        }
        int code = rctl_fail(r, &err);
        if (before > 0) {
            rctl_note(r,
                      "the first %u of %u objects were applied, the %u from there on are applied together or not at "
                      "all; apply again when it is mended",
                      before, all, value_count(part));
        } else if (all > 1 && code != EXIT_UNKNOWN) {
            rctl_note(r, "nothing was changed: the %u objects are applied together or not at all%s", value_count(part),
                      err.code == ERR_TOO_LARGE ? "; apply fewer of them at a time" : "");
        }
        return code;
    }
    common_warn(r, reply.result);
    return print_results(r, part, mp_get(reply.result, "results"), dry);
}

static int apply_together(struct rctl *r, const struct manifest *m, enum dry_run dry)
{
    struct value *objects = ordered_objects(&r->arena, m);
    unsigned at = 0, before = 0;
    int code = EXIT_DONE;
    while (code == EXIT_DONE && at < value_count(objects)) {
        struct value *part = next_part(r, objects, &at);
        if (before == 0 && at < value_count(objects)) {
            rctl_note(r,
                      "%u objects are more than one request takes: they are applied in parts of %u or less, each all "
                      "or nothing",
                      m->count, PART_OBJECTS_MAX);
        }
        code = apply_part(r, part, before, m->count, dry);
        before = at;
    }
    return code;
}

/* Deletes the object and waits for its end, so that it can be made anew. */
static int remove_first(struct rctl *r, const struct value *doc, struct error *err)
{
    struct delete_options d = {.grace_s = -1, .cascade = "Background"};
    int64_t timeout_ms;
    const struct kind *k = kind_by_name(value_path_str(doc, "kind"));
    const char *ns = common_cstr(r, value_path_str(doc, "metadata.namespace")),
               *name = common_cstr(r, value_path_str(doc, "metadata.name"));
    CLEANUP_OBJECT struct object *old = NULL;
    bool gone = false;
    int rc = args_int("grace-period", opt(r, "grace-period"), -1, INT32_MAX, &d.grace_s, err);
    rc = rc != 0 ? rc : common_cascade(r, &d, err);
    rc = rc != 0 ? rc : args_duration_ms("timeout", opt(r, "timeout"), &timeout_ms, err);
    rc = rc != 0 ? rc : common_delete(r, k, ns, name, &d, &old, &gone, err);
    if (rc == 0 && !gone) {
        rc = common_wait_gone(r, k, ns, name, old->uid, timeout_ms, err);
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* --force: one after the other; what is refused for being fixed, or changed meanwhile, is deleted and made anew. */
static int apply_forced(struct rctl *r, const struct manifest *m, enum dry_run dry)
{
    struct value *objects = ordered_objects(&r->arena, m);
    int code = EXIT_DONE;
    VALUE_FOR(i, objects)
    {
        struct error err = {0};
        struct value *doc = value_item(objects, i), *one = value_list(&r->arena);
        CLEANUP_REPLY struct api_reply reply = {0};
        value_append(&r->arena, one, doc);
        int rc = send_objects(r, one, dry, &reply, &err), result;
        if ((rc == ERR_INVALID || rc == ERR_CONFLICT) && dry == DRY_RUN_NONE) {
            struct error why = err;
            CLEANUP_REPLY struct api_reply dry_reply = {0};
            struct value *fresh = value_list(&r->arena), *copy = value_copy(&r->arena, doc);
            value_set(&r->arena, value_get(copy, "metadata"), "name",
                      value_strf(&r->arena, "rctl-force-%ld", (long)getpid()));
            value_append(&r->arena, fresh, copy);
            /* Nothing is deleted for a manifest that could not be created either. */
            rc = send_objects(r, fresh, DRY_RUN_SERVER, &dry_reply, &err) != 0 ? why.code : 0;
            if (rc != 0) {
                err = why;
            } else {
                rc = remove_first(r, doc, &err);
                rc = rc != 0 ? rc : send_objects(r, one, dry, &reply, &err);
            }
        }
        if (rc != 0) {
            result = rctl_fail(r, &err);
        } else {
            common_warn(r, reply.result);
            result = print_results(r, one, mp_get(reply.result, "results"), dry);
        }
        code = code == EXIT_DONE ? result : code;
    }
    return code;
}

static int check_options(struct rctl *r, enum dry_run dry, struct error *err)
{
    if (opt_flag(r, "force-conflicts") && !opt_flag(r, "server-side")) {
        return error_set(err, ERR_USAGE, "--force-conflicts goes with --server-side");
    }
    if (opt_flag(r, "server-side") && opt_flag(r, "force")) {
        return error_set(err, ERR_USAGE, "--force cannot be combined with --server-side");
    }
    if (opt_flag(r, "server-side") && dry == DRY_RUN_CLIENT) {
        return error_set(err, ERR_USAGE, "--dry-run=client does not go with --server-side; take --dry-run=server");
    }
    if (opt_flag(r, "prune") && dry == DRY_RUN_CLIENT) {
        return error_set(err, ERR_USAGE, "what --prune would delete is known to the cluster only: --dry-run=server");
    }
    return apply_prune_check(r, err);
}

static int run_apply(struct rctl *r)
{
    struct error err = {0};
    struct manifest m = {0};
    enum dry_run dry;
    if (r->args.words_count > 0 && !common_files_given(r)) {
        return rctl_usage(r, "apply takes manifests: -f FILE, not \"%s\"", r->args.words[0]);
    }
    if (common_dry_run(r, &dry, &err) != 0 || check_options(r, dry, &err) != 0 || common_manifests(r, &m, &err) != 0) {
        return common_fail(r, &err);
    }
    if (m.count == 0) {
        error_set(&err, ERR_NOT_FOUND, "no objects passed to apply: -l %s selects none of them", opt(r, "selector"));
        return rctl_fail_here(r, &err);
    }
    int code = EXIT_DONE;
    if (dry == DRY_RUN_CLIENT) {
        return print_manifest(r, &m);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    for (unsigned i = 0; i < m.count && !opt_flag(r, "overwrite"); i++) {
        if (apply_check_overwrite(r, &m.items[i], &err) != 0) {
            return rctl_fail_here(r, &err);
        }
    }
    code = opt_flag(r, "force") ? apply_forced(r, &m, dry) : apply_together(r, &m, dry);
    return code == EXIT_DONE && opt_flag(r, "prune") ? apply_prune(r, &m, dry) : code;
}

static const struct command *const apply_subs[] = {&apply_view_last, &apply_edit_last, &apply_set_last, NULL};
const struct command command_apply = {
    .name = "apply",
    .usage = "-f FILE... | -k DIR | view-last-applied | edit-last-applied | set-last-applied",
    .summary = "Create or change objects as manifests say, all or nothing",
    .examples = "  rctl apply -f deployment.yaml\n"
                "  # everything in a directory, in one transaction\n"
                "  rctl apply -f examples/hello/\n"
                "  # from another program\n"
                "  sed s/1.0/2.0/ deployment.yaml | rctl apply -f -\n"
                "  # a kustomization; and what it held once and no longer holds is deleted\n"
                "  rctl apply -k overlays/test --prune -l app=hello\n",
    .options = apply_options,
    .options_count = ARRAY_SIZE(apply_options),
    .subs = apply_subs,
    .run = run_apply,
};
