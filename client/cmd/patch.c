/* rctl patch, label, annotate: change parts of objects. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/common.h"
#include "proto/patch/patch.h"
#include "proto/text/text.h"

/* ---- patch ---- */

static const struct option_row patch_options[] = {
    {"patch", 'p', OPTION_VALUE, NULL, NULL, "PATCH", "the patch, JSON or YAML"},
    {"patch-file", 0, OPTION_VALUE, NULL, NULL, "FILE", "the same from a file (- for standard input)"},
    {"type", 0, OPTION_VALUE, "strategic", NULL, "TYPE", "strategic, merge or json"},
    {"subresource", 0, OPTION_VALUE, "", NULL, "PART", "status, scale or ephemeralcontainers"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
    OPTION_ROWS_WRITE,
    OPTION_ROWS_FILES,
};

static int read_patch(struct rctl *r, struct value **patch, struct error *err)
{
    const char *text = opt(r, "patch"), *file = opt(r, "patch-file");
    char *owned = NULL;
    size_t size = 0;
    if ((text == NULL) == (file == NULL)) {
        return error_set(err, ERR_USAGE, "give the patch with -p PATCH or --patch-file FILE");
    }
    if (file != NULL) {
        int rc = manifest_slurp(file, OBJECT_SIZE_MAX, &owned, &size, err);
        if (rc != 0) {
            return rc;
        }
    } else {
        owned = xstrdup(text);
        size = strlen(text);
    }
    struct value **docs;
    unsigned count = 0;
    int rc = yaml_read(&r->arena, (struct str){owned, size}, file == NULL ? "patch" : file, &docs, &count, err);
    free(owned);
    if (rc == 0 && count != 1) {
        rc = error_set(err, ERR_INVALID, "the patch must be one document, not %u", count);
    }
    *patch = rc == 0 ? docs[0] : NULL;
    return rc;
}

static int run_patch(struct rctl *r)
{
    struct error err = {0};
    struct value *patch = NULL;
    enum dry_run dry;
    CLEANUP_LIST struct api_list list = {0};
    const char *type = opt(r, "type");
    int t = patch_type_parse(str_of(type));
    if (t < 0) {
        return rctl_usage(r, "--type is strategic, merge or json, not \"%s\"", type);
    }
    if (common_dry_run(r, &dry, &err) != 0 || read_patch(r, &patch, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    if ((t == PATCH_JSON) != value_is_list(patch)) {
        return rctl_usage(r, "a patch of type %s is %s", type, t == PATCH_JSON ? "a list of operations" : "a map");
    }
    int code = EXIT_DONE;
    if (rctl_connect(r, &err) != 0 || common_select_there(r, &list, &code, &err) != 0) {
        return common_fail(r, &err);
    }
    for (unsigned i = 0; i < list.count; i++) {
        const struct object *o = list.items[i];
        CLEANUP_OBJECT struct object *after = NULL;
        bool unchanged = false;
        int one;
        if (common_patch(r, o->kind, common_cstr(r, o->ns), common_cstr(r, o->name), type, patch, opt(r, "subresource"),
                         dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, &after, &unchanged, &err) != 0) {
            one = rctl_fail(r, &err);
        } else {
            one = common_print_object(r, after, unchanged ? "patched (no change)" : "patched", dry);
        }
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command command_patch = {
    .name = "patch",
    .usage = "TYPE NAME -p PATCH [--type strategic|merge|json]",
    .summary = "Change fields of an object",
    .examples = "  rctl patch deploy/hello -p '{\"spec\":{\"replicas\":5}}'\n"
                "  # a list element is found by its name\n"
                "  rctl patch pod hello -p 'spec: {containers: [{name: nginx, image: nginx:1.23}]}'\n"
                "  rctl patch cm web --type merge -p '{\"data\":{\"old\":null,\"color\":\"red\"}}'\n"
                "  rctl patch node n1 --type json -p '[{\"op\":\"remove\",\"path\":\"/spec/taints/0\"}]'\n",
    .options = patch_options,
    .options_count = ARRAY_SIZE(patch_options),
    .run = run_patch,
};

/* ---- label, annotate ---- */

static const struct option_row label_options[] = {
    OPTION_ROW_SELECTOR,
    OPTION_ROW_ALL,
    {"overwrite", 0, OPTION_FLAG, NULL, NULL, NULL, "change values that are there already"},
    {"field-selector", 0, OPTION_VALUE, NULL, NULL, "SELECTOR", "fields: status.phase=Running"},
    {"resource-version", 0, OPTION_VALUE, NULL, NULL, "VERSION", "only if the object still has this version"},
    {"list", 0, OPTION_FLAG, NULL, NULL, NULL, "show them instead of changing"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
    OPTION_ROWS_WRITE,
    OPTION_ROWS_FILES,
};

/* Words that are KEY=VALUE or KEY- are taken out of the command's words and put into changes (null = remove). */
static int take_changes(struct rctl *r, struct value *changes, struct error *err)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < r->args.words_count; i++) {
        const char *w = r->args.words[i];
        const char *eq = strchr(w, '=');
        size_t n = strlen(w);
        bool removal = eq == NULL && n > 1 && w[n - 1] == '-' && i > 0;
        if (eq == NULL && !removal) {
            if (changes->map.count > 0) {
                return error_set(err, ERR_USAGE, "\"%s\" is neither KEY=VALUE nor KEY-", w);
            }
            r->args.words[kept++] = w;
            continue;
        }
        struct str key = {w, removal ? n - 1 : (size_t)(eq - w)};
        if (!name_is_label_key(key)) {
            return error_set(err, ERR_USAGE, "\"%.*s\" is not a valid key", STR_ARG(key));
        }
        value_set_str_key(&r->arena, changes, key, removal ? value_null(&r->arena) : value_cstr(&r->arena, eq + 1));
    }
    r->args.words_count = kept;
    return 0;
}

static int check_overwrite(const struct object *o, const char *member, const struct value *changes, struct error *err)
{
    for (unsigned i = 0; i < changes->map.count; i++) {
        struct str key = changes->map.members[i].key, wanted = value_to_str(changes->map.members[i].value);
        struct str old = mp_str(mp_get_str_key(mp_get(mp_get(object_mp(o), "metadata"), member), key));
        if (old.p != NULL && changes->map.members[i].value->type == VALUE_STR && !str_eq(old, wanted)) {
            return error_set(err, ERR_INVALID, "'%.*s' already has a value (%.*s) on %.*s, and --overwrite is false",
                             STR_ARG(key), STR_ARG(old), STR_ARG(o->name));
        }
    }
    return 0;
}

static void print_pairs(struct rctl *r, const struct object *o, const char *member)
{
    for (struct mp_iter it = mp_iter(mp_get(mp_get(object_mp(o), "metadata"), member)); mp_next(&it);) {
        struct str v = mp_str(it.value);
        fprintf(r->out, "%.*s=%.*s\n", STR_ARG(it.key), STR_ARG(v));
    }
}

static bool only_removals(const struct value *changes)
{
    for (unsigned i = 0; i < changes->map.count; i++) {
        if (!value_is_null(changes->map.members[i].value)) {
            return false;
        }
    }
    return true;
}

static int run_metadata(struct rctl *r, const char *member, const char *done)
{
    struct error err = {0};
    enum dry_run dry;
    struct value *changes = value_map(&r->arena);
    CLEANUP_LIST struct api_list list = {0};
    if (take_changes(r, changes, &err) != 0 || common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (changes->map.count == 0 && !opt_flag(r, "list")) {
        return rctl_usage(r, "at least one KEY=VALUE or KEY- is needed");
    }
    int code = EXIT_DONE;
    if (rctl_connect(r, &err) != 0 || common_select_there(r, &list, &code, &err) != 0) {
        return common_fail(r, &err);
    }
    struct value *patch = value_map(&r->arena);
    value_set(&r->arena, value_ensure_map(&r->arena, patch, "metadata"), member, changes);
    if (opt(r, "resource-version") != NULL) {
        if (list.count != 1) {
            return rctl_usage(r, "--resource-version goes with one object");
        }
        value_set(&r->arena, value_get(patch, "metadata"), "resourceVersion",
                  value_cstr(&r->arena, opt(r, "resource-version")));
    }
    done = only_removals(changes) && strcmp(member, "labels") == 0 ? "unlabeled" : done;
    for (unsigned i = 0; i < list.count; i++) {
        const struct object *o = list.items[i];
        CLEANUP_OBJECT struct object *after = NULL;
        bool unchanged = false;
        int one = EXIT_DONE;
        if (opt_flag(r, "list")) {
            if (list.count > 1) {
                fprintf(r->out, "Listing %s for %s:\n", member, resource_title(&r->arena, o->kind, o->name));
            }
            print_pairs(r, o, member);
        } else if (!opt_flag(r, "overwrite") && check_overwrite(o, member, changes, &err) != 0) {
            one = rctl_fail_here(r, &err);
        } else if (common_patch(r, o->kind, common_cstr(r, o->ns), common_cstr(r, o->name), "merge", patch, "",
                                dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, &after, &unchanged, &err) != 0) {
            one = rctl_fail(r, &err);
        } else {
            one = common_print_object(r, after, unchanged ? arena_printf(&r->arena, "not %s", done) : done, dry);
        }
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

static int run_label(struct rctl *r)
{
    return run_metadata(r, "labels", "labeled");
}

static int run_annotate(struct rctl *r)
{
    return run_metadata(r, "annotations", "annotated");
}

const struct command command_label = {
    .name = "label",
    .usage = "TYPE NAME... KEY=VALUE... KEY-...",
    .summary = "Set or remove labels",
    .examples = "  rctl label pod hello tier=front\n"
                "  # change what is there; remove\n"
                "  rctl label pod hello tier=back --overwrite\n"
                "  rctl label pod hello tier-\n"
                "  # every node\n"
                "  rctl label nodes --all disk=ssd\n",
    .options = label_options,
    .options_count = ARRAY_SIZE(label_options),
    .run = run_label,
};
const struct command command_annotate = {
    .name = "annotate",
    .usage = "TYPE NAME... KEY=VALUE... KEY-...",
    .summary = "Set or remove annotations",
    .examples = "  rctl annotate deploy/hello kubernetes.io/change-cause='new greeting'\n"
                "  rctl annotate pods -l app=hello team=web --overwrite\n"
                "  rctl annotate deploy/hello team-\n",
    .options = label_options,
    .options_count = ARRAY_SIZE(label_options),
    .run = run_annotate,
};
