/* rctl apply view-last-applied, edit-last-applied, set-last-applied: what the manifest said the last time, in the
 * annotation. */
#include <string.h>

#include "client/cmd/apply.h"
#include "client/cmd/editor.h"
#include "proto/patch/patch.h"
#include "proto/text/text.h"

static int no_annotation(struct rctl *r, const struct object *o, const char *what)
{
    struct error err = {0};
    error_set(&err, ERR_INVALID, "no last-applied-configuration annotation found on %s%s",
              resource_title(&r->arena, o->kind, o->name), what);
    return rctl_fail_here(r, &err);
}

static int last_applied(struct rctl *r, const struct object *o, struct value **doc, struct error *err)
{
    int rc = json_read(&r->arena, object_annotation(o, APPLY_ANNOTATION), doc, err);
    if (rc != 0) {
        error_wrap(err, "the annotation of %s is damaged", resource_title(&r->arena, o->kind, o->name));
    } else {
        value_sort(*doc);
    }
    return rc;
}

static int put_annotation(struct rctl *r, const struct object *o, const struct value *manifest, enum dry_run dry,
                          struct object **after, struct error *err)
{
    struct arena *a = &r->arena;
    const struct value *with = patch_first_apply(a, manifest);
    struct value *patch = value_map(a);
    value_set(a, value_ensure_map(a, value_ensure_map(a, patch, "metadata"), "annotations"), APPLY_ANNOTATION,
              value_copy(a, value_get(value_path(with, "metadata.annotations"), APPLY_ANNOTATION)));
    return common_patch(r, o->kind, common_cstr(r, o->ns), common_cstr(r, o->name), "merge", patch, "",
                        dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, after, NULL, err);
}

/* ---- view ---- */

static const struct option_row view_options[] = {OPTION_ROWS_FILES,
                                                 OPTION_ROW_SELECTOR,
                                                 OPTION_ROW_ALL,
                                                 {"output", 'o', OPTION_VALUE, "yaml", NULL, "FORM", "yaml or json"}};

/* The objects that are meant, as they are in the cluster. False: it has been said why not, *code is the exit code. */
static bool select_there(struct rctl *r, struct api_list *list, int *code)
{
    struct error err = {0};
    if (!common_form_valid(r, code)) {
        return false;
    }
    if (rctl_connect(r, &err) != 0 || common_select_there(r, list, code, &err) != 0) {
        *code = common_fail(r, &err);
        return false;
    }
    return true;
}

static int run_view(struct rctl *r)
{
    struct error err = {0};
    int code = EXIT_DONE;
    CLEANUP_LIST struct api_list list = {0};
    if (!select_there(r, &list, &code)) {
        return code;
    }
    for (unsigned i = 0; i < list.count; i++) {
        const struct object *o = list.items[i];
        struct value *doc;
        if (object_annotation(o, APPLY_ANNOTATION).n == 0) {
            int one = no_annotation(r, o, "");
            code = code == EXIT_DONE ? one : code;
        } else if (last_applied(r, o, &doc, &err) != 0) {
            return rctl_fail_here(r, &err);
        } else {
            fputs(i > 0 && strcmp(opt(r, "output"), "yaml") == 0 ? "---\n" : "", r->out);
            common_print_form(r, doc);
        }
    }
    return code;
}

const struct command apply_view_last = {
    .name = "view-last-applied",
    .usage = "TYPE NAME | TYPE/NAME | -f FILE",
    .summary = "Show what the manifest said when it was applied last",
    .examples = "  rctl apply view-last-applied deploy/hello\n"
                "  rctl apply view-last-applied -f hello.yaml -o json\n",
    .options = view_options,
    .options_count = ARRAY_SIZE(view_options),
    .run = run_view,
};

/* ---- set ---- */

static const struct option_row set_options[] = {
    OPTION_ROWS_FILES,
    {"create-annotation", 0, OPTION_FLAG, NULL, NULL, NULL, "also for what was never applied"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT};

static int set_one(struct rctl *r, const struct manifest_item *item, enum dry_run dry)
{
    struct error err = {0};
    CLEANUP_OBJECT struct object *o = NULL;
    CLEANUP_OBJECT struct object *after = NULL;
    if (api_get(r->api, item->kind, item->ns, item->name, false, &o, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (object_annotation(o, APPLY_ANNOTATION).n == 0 && !opt_flag(r, "create-annotation")) {
        return no_annotation(r, o, "; --create-annotation makes one");
    }
    if (put_annotation(r, o, item->doc, dry, &after, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return common_print_object(r, after, "configured", dry);
}

static int run_set(struct rctl *r)
{
    struct error err = {0};
    struct manifest m = {0};
    enum dry_run dry;
    int code = EXIT_DONE;
    if (common_dry_run(r, &dry, &err) != 0 || common_manifests(r, &m, &err) != 0 || rctl_connect(r, &err) != 0) {
        return common_fail(r, &err);
    }
    for (unsigned i = 0; i < m.count; i++) {
        int one = set_one(r, &m.items[i], dry);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command apply_set_last = {
    .name = "set-last-applied",
    .usage = "-f FILE [--create-annotation]",
    .summary = "Say what counts as applied last, without changing anything else",
    .examples = "  rctl apply set-last-applied -f hello.yaml\n"
                "  # of what was made by create\n"
                "  rctl apply set-last-applied -f hello.yaml --create-annotation=true\n",
    .options = set_options,
    .options_count = ARRAY_SIZE(set_options),
    .run = run_set,
};

/* ---- edit ---- */

static const struct option_row edit_options[] = {
    OPTION_ROWS_FILES, {"output", 'o', OPTION_VALUE, "yaml", NULL, "FORM", "what the editor shows: yaml or json"}};

static int save_last(struct rctl *r, const char *text, const char **again, int *code, void *data, struct error *err)
{
    (void)again;
    const struct object *o = data;
    struct manifest m = {0};
    struct manifest_options mo = {.ns = common_cstr(r, o->ns), .lenient = common_lenient(r)};
    int rc = manifest_read_text(&r->arena, str_of(text), "edited", &mo, &m, err);
    if (rc != 0) {
        return rc;
    }
    if (m.count != 1 || m.items[0].kind != o->kind || !str_is(o->name, m.items[0].name)) {
        return error_set(err, ERR_INVALID, "kind and name cannot be changed by an edit");
    }
    CLEANUP_OBJECT struct object *after = NULL;
    rc = put_annotation(r, o, m.items[0].doc, DRY_RUN_NONE, &after, err);
    if (rc == 0) {
        fprintf(r->out, "%s edited\n", resource_title(&r->arena, o->kind, o->name));
        *code = EXIT_DONE;
    }
    return rc;
}

static int run_edit(struct rctl *r)
{
    struct error err = {0};
    int code = EXIT_DONE;
    CLEANUP_LIST struct api_list list = {0};
    if (!select_there(r, &list, &code)) {
        return code;
    }
    for (unsigned i = 0; i < list.count; i++) {
        struct object *o = list.items[i];
        struct value *doc;
        int one;
        if (object_annotation(o, APPLY_ANNOTATION).n == 0) {
            one = no_annotation(r, o, "");
        } else if (last_applied(r, o, &doc, &err) != 0) {
            one = rctl_fail_here(r, &err);
        } else {
            CLEANUP_BUF struct buf text = BUF_INIT;
            if (strcmp(opt(r, "output"), "json") == 0) {
                json_write(&text, doc, 4);
                buf_putc(&text, '\n');
            } else {
                yaml_write(&text, doc);
            }
            one = editor_edit(r, "Edit what was applied last; the object itself stays as it is.", opt(r, "output"),
                              buf_cstr(&text), false, save_last, o);
        }
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command apply_edit_last = {
    .name = "edit-last-applied",
    .usage = "TYPE NAME | TYPE/NAME | -f FILE",
    .summary = "Edit what counts as applied last",
    .examples = "  rctl apply edit-last-applied deploy/hello\n"
                "  rctl apply edit-last-applied -f hello.yaml -o json\n",
    .options = edit_options,
    .options_count = ARRAY_SIZE(edit_options),
    .run = run_edit,
};
