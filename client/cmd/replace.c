/* rctl replace: objects in the place of others. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/common.h"

static const struct option_row replace_options[] = {
    OPTION_ROWS_FILES,
    OPTION_ROWS_WRITE,
    {"force", 0, OPTION_FLAG, NULL, NULL, NULL, "delete the object, wait until it is gone, create it anew"},
    {"cascade", 0, OPTION_MAYBE, "background", "background", "MODE",
     "with --force: what belongs to it: background, foreground or orphan"},
    {"save-config", 0, OPTION_FLAG, NULL, NULL, NULL, "keep the manifest as what apply will compare with"},
    {"grace-period", 0, OPTION_VALUE, "-1", NULL, "SECONDS", "with --force: how long containers may take to end"},
    {"timeout", 0, OPTION_VALUE, "5m", NULL, "DURATION", "with --force: how long to wait for the end"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
};

static int remove_first(struct rctl *r, const struct manifest_item *item, struct error *err)
{
    struct delete_options d = {0};
    int64_t timeout_ms;
    if (common_cascade(r, &d, err) != 0 ||
        args_int("grace-period", opt(r, "grace-period"), -1, INT32_MAX, &d.grace_s, err) != 0 ||
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
    struct value *doc = opt_flag(r, "save-config") ? common_save_config(r, item->doc) : item->doc;
    CLEANUP_OBJECT struct object *o = NULL;
    int rc;
    if (opt_flag(r, "force") && dry == DRY_RUN_NONE) {
        rc = remove_first(r, item, err);
        rc = rc != 0 ? rc : common_create(r, doc, dry, &o, err);
    } else {
        struct value *p = value_map(&r->arena);
        value_set(&r->arena, p, "object", doc);
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
        return common_fail(r, &err);
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
