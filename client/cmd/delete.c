/* rctl delete: remove objects, and wait until they are gone. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/common.h"

static const struct option_row delete_rows[] = {
    OPTION_ROWS_FILES,
    OPTION_ROW_SELECTOR,
    {"field-selector", 0, OPTION_VALUE, NULL, NULL, "SELECTOR", "fields: status.phase=Failed"},
    OPTION_ROW_ALL,
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "in all namespaces"},
    {"interactive", 'i', OPTION_FLAG, NULL, NULL, NULL, "show what would be deleted, and ask"},
    {"grace-period", 0, OPTION_VALUE, "-1", NULL, "SECONDS",
     "how long containers may take to end; -1: as the pod says"},
    {"now", 0, OPTION_FLAG, NULL, NULL, NULL, "the same as --grace-period=1"},
    {"force", 0, OPTION_FLAG, NULL, NULL, NULL, "with --grace-period=0: do not wait for the node"},
    {"cascade", 0, OPTION_MAYBE, "background", "background", "MODE",
     "what belongs to it: background, foreground or orphan"},
    {"wait", 0, OPTION_FLAG, "true", NULL, NULL, "return when the objects are gone"},
    {"timeout", 0, OPTION_VALUE, "0s", NULL, "DURATION", "how long to wait; 0: as long as it takes"},
    {"ignore-not-found", 0, OPTION_FLAG, NULL, NULL, NULL, "no error for what does not exist"},
    OPTION_ROW_DRY_RUN,
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "name: print only type/name"},
};

struct victim {
    const struct kind *kind;
    const char *ns, *name;
    const char *uid; /* set when there is something to wait for */
};
struct victims {
    struct victim *items;
    unsigned count, cap;
};

static void add_victim(struct arena *a, struct victims *v, const struct kind *k, const char *ns, const char *name)
{
    v->items = arena_grow(a, v->items, v->count, &v->cap, sizeof *v->items, 64);
    v->items[v->count++] = (struct victim){k, ns, name, NULL};
}

static int add_listed(struct rctl *r, const struct kind *k, struct victims *v, struct error *err)
{
    CLEANUP_LIST struct api_list list = {0};
    struct api_list_query q = {.kind = k,
                               .ns = opt_flag(r, "all-namespaces") ? NULL : rctl_namespace(r),
                               .label_selector = opt(r, "selector"),
                               .field_selector = opt(r, "field-selector")};
    int rc = api_list(r->api, &q, &list, err);
    for (unsigned i = 0; i < list.count && rc == 0; i++) {
        const struct object *o = list.items[i];
        add_victim(&r->arena, v, k, arena_strndup(&r->arena, o->ns.n ? o->ns.p : "", o->ns.n),
                   arena_strndup(&r->arena, o->name.p, o->name.n));
    }
    return rc;
}

static int collect(struct rctl *r, struct victims *v, struct error *err)
{
    if (common_files_given(r)) {
        struct manifest m = {0};
        int rc = common_manifests(r, &m, err);
        for (unsigned i = m.count; i > 0 && rc == 0; i--) { /* last things first: a namespace goes after its contents */
            add_victim(&r->arena, v, m.items[i - 1].kind, m.items[i - 1].ns, m.items[i - 1].name);
        }
        return rc != 0 ? rc : rctl_connect(r, err);
    }
    struct resources res;
    int rc = resource_parse(&r->arena, r->args.words, r->args.words_count, &res, err);
    if (rc != 0) {
        return rc;
    }
    bool wide = opt(r, "selector") != NULL || opt(r, "field-selector") != NULL || opt_flag(r, "all");
    for (unsigned i = 0; i < res.count; i++) {
        if (res.items[i].name == NULL && !wide) {
            return error_set(err, ERR_USAGE, "which %s? Give names, -l SELECTOR, --field-selector or --all",
                             res.items[i].kind->plural);
        }
        if (res.items[i].name != NULL && wide) {
            return error_set(err, ERR_USAGE, "names cannot be combined with -l, --field-selector or --all");
        }
    }
    rc = rctl_connect(r, err);
    for (unsigned i = 0; i < res.count && rc == 0; i++) {
        if (res.items[i].name != NULL) {
            add_victim(&r->arena, v, res.items[i].kind, rctl_namespace(r), res.items[i].name);
        } else {
            rc = add_listed(r, res.items[i].kind, v, err);
        }
    }
    return rc;
}

static int parse_options(struct rctl *r, struct delete_options *d, int64_t *timeout_ms, struct error *err)
{
    int rc = args_int("grace-period", opt(r, "grace-period"), -1, INT32_MAX, &d->grace_s, err);
    rc = rc != 0 ? rc : args_duration_ms("timeout", opt(r, "timeout"), timeout_ms, err);
    rc = rc != 0 ? rc : common_dry_run(r, &d->dry, err);
    if (rc != 0) {
        return rc;
    }
    if (opt_flag(r, "now")) {
        d->grace_s = 1;
    } else if (opt_flag(r, "force") && d->grace_s < 0) {
        d->grace_s = 0;
    } else if (d->grace_s == 0 && !opt_flag(r, "force")) {
        d->grace_s = 1; /* as kubectl: only --force gives up on the node's confirmation */
    }
    return common_cascade(r, d, err);
}

static void print_deleted(struct rctl *r, const struct victim *v, const struct delete_options *d)
{
    CLEANUP_BUF struct buf kind = BUF_INIT;
    print_kind_name(&kind, v->kind);
    const char *form = opt(r, "output");
    if (form != NULL && strcmp(form, "name") == 0) {
        fprintf(r->out, "%s/%s\n", buf_cstr(&kind), v->name);
    } else {
        const char *how = opt_flag(r, "force") && d->grace_s == 0 ? "force deleted" : "deleted";
        const char *dry = d->dry == DRY_RUN_CLIENT ? " (dry run)" : d->dry == DRY_RUN_SERVER ? " (server dry run)" : "";
        fprintf(r->out, "%s \"%s\" %s%s\n", buf_cstr(&kind), v->name, how, dry);
    }
    fflush(r->out);
}

static int delete_one(struct rctl *r, struct victim *v, const struct delete_options *d)
{
    struct error err = {0};
    CLEANUP_OBJECT struct object *o = NULL;
    bool gone = true;
    if (d->dry != DRY_RUN_CLIENT) {
        int rc = common_delete(r, v->kind, v->ns, v->name, d, &o, &gone, &err);
        if (rc == ERR_NOT_FOUND && (opt_flag(r, "ignore-not-found") || opt(r, "selector") != NULL ||
                                    opt(r, "field-selector") != NULL || opt_flag(r, "all"))) {
            return EXIT_DONE; /* somebody else was quicker */
        }
        if (rc != 0) {
            return rctl_fail(r, &err);
        }
    }
    if (!gone && o != NULL && d->dry == DRY_RUN_NONE) {
        v->uid = arena_strndup(&r->arena, o->uid.p, o->uid.n);
    }
    print_deleted(r, v, d);
    return EXIT_DONE;
}

/* Only "y" and "yes" count. */
static bool confirmed(struct rctl *r, const struct victims *v)
{
    char answer[16] = "";
    fputs("You are about to delete the following:\n", r->out);
    for (unsigned i = 0; i < v->count; i++) {
        fprintf(r->out, "  %s\n", resource_title(&r->arena, v->items[i].kind, str_of(v->items[i].name)));
    }
    fputs("Do you want to continue? (y/N): ", r->out);
    fflush(r->out);
    bool yes = fgets(answer, sizeof(answer), stdin) != NULL &&
               (strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0);
    fputs(answer[0] == '\0' ? "\n" : "", r->out);
    return yes;
}

static int run_delete(struct rctl *r)
{
    struct error err = {0};
    struct delete_options d = {0};
    struct victims v = {0};
    int64_t timeout_ms;
    const char *form = opt(r, "output");
    if (form != NULL && form[0] != '\0' && strcmp(form, "name") != 0) {
        return rctl_usage(r, "--output of delete is name, not \"%s\"", form);
    }
    if (parse_options(r, &d, &timeout_ms, &err) != 0 || collect(r, &v, &err) != 0) {
        return common_fail(r, &err);
    }
    if (v.count > 0 && opt_flag(r, "interactive") && !confirmed(r, &v)) {
        rctl_note(r, "nothing was deleted");
        return EXIT_DONE;
    }
    if (v.count == 0) {
        rctl_note(r, "No resources found");
        return EXIT_DONE;
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < v.count; i++) {
        int one = delete_one(r, &v.items[i], &d);
        code = code == EXIT_DONE ? one : code;
    }
    for (unsigned i = 0; i < v.count && opt_flag(r, "wait"); i++) {
        const struct victim *w = &v.items[i];
        if (w->uid != NULL && common_wait_gone(r, w->kind, w->ns, w->name, str_of(w->uid), timeout_ms, &err) != 0) {
            error_wrap(&err, "wait for the end of %s", resource_title(&r->arena, w->kind, str_of(w->name)));
            int one = rctl_fail(r, &err);
            code = code == EXIT_DONE ? one : code;
        }
    }
    return code;
}

const struct command command_delete = {
    .name = "delete",
    .usage = "TYPE NAME... | TYPE/NAME... | TYPE -l SELECTOR | TYPE --all | -f FILE...",
    .summary = "Delete objects and what belongs to them",
    .examples = "  rctl delete pod hello\n"
                "  # a Deployment with its ReplicaSets and pods\n"
                "  rctl delete deploy/hello\n"
                "  # by label; by manifest\n"
                "  rctl delete pods -l app=hello\n"
                "  rctl delete -f pod.yaml\n"
                "  # a pod of a node that is lost\n"
                "  rctl delete pod hello --force --grace-period=0\n",
    .options = delete_rows,
    .options_count = ARRAY_SIZE(delete_rows),
    .run = run_delete,
};
