/* rctl edit: objects in the user's editor, one or many in one text. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/common.h"
#include "client/cmd/editor.h"
#include "proto/text/text.h"

static const struct option_row edit_options[] = {
    OPTION_ROW_SELECTOR,
    OPTION_ROW_ALL,
    {"field-selector", 0, OPTION_VALUE, NULL, NULL, "SELECTOR", "fields: metadata.name=web"},
    OPTION_ROWS_FILES,
    {"output", 'o', OPTION_VALUE, "yaml", NULL, "FORM", "what the editor shows: yaml or json"},
    {"save-config", 0, OPTION_FLAG, NULL, NULL, NULL, "keep the result as what apply will compare with"},
    OPTION_ROWS_WRITE,
};

#define EDIT_TRIES 10

struct edit {
    struct api_list *list;
    bool *done; /* by index in list */
    unsigned left;
    int code;
    bool json;
};

/* What users say in an object: without status and without the versions, which every report of a node changes. */
static struct value *said_by_users(struct rctl *r, const struct value *shown)
{
    struct value *doc = value_copy(&r->arena, shown);
    struct value *metadata = value_ensure_map(&r->arena, doc, "metadata");
    value_remove(doc, "status");
    value_remove(metadata, "resourceVersion");
    value_remove(metadata, "generation");
    return doc;
}

/* The object's version now, if nothing but its status has changed since it was shown; NULL otherwise. */
static const char *revision_now(struct rctl *r, const struct object *o)
{
    struct error err = {0};
    CLEANUP_OBJECT struct object *now = NULL;
    if (api_get(r->api, o->kind, common_cstr(r, o->ns), common_cstr(r, o->name), false, &now, &err) != 0 ||
        !str_eq(now->uid, o->uid) ||
        !value_equal(said_by_users(r, print_document(&r->arena, o)),
                     said_by_users(r, print_document(&r->arena, now)))) {
        return NULL;
    }
    return arena_printf(&r->arena, "%llu", (unsigned long long)now->revision);
}

static int send_once(struct rctl *r, struct value *doc, struct object **after, struct error *err)
{
    struct value *p = value_map(&r->arena);
    value_set(&r->arena, p, "object", doc);
    common_write_params(r, p, DRY_RUN_NONE);
    return common_send(r, "update", p, after, NULL, NULL, err);
}

/* An editor is open for minutes, and status changes by the second: an edit must not fail for that. */
static int send_edited(struct rctl *r, const struct object *o, struct value *doc, struct object **after,
                       struct error *err)
{
    int rc = send_once(r, doc, after, err);
    for (unsigned tries = 0; rc == ERR_CONFLICT && tries < EDIT_TRIES; tries++) {
        const char *revision = revision_now(r, o);
        if (revision == NULL) {
            break;
        }
        value_set(&r->arena, value_ensure_map(&r->arena, doc, "metadata"), "resourceVersion",
                  value_cstr(&r->arena, revision));
        rc = send_once(r, doc, after, err);
    }
    return rc;
}

static int find_edited(const struct edit *e, const struct manifest_item *item)
{
    for (unsigned i = 0; i < e->list->count; i++) {
        const struct object *o = e->list->items[i];
        if (!e->done[i] && o->kind == item->kind && str_is(o->name, item->name) &&
            (!o->kind->namespaced || str_is(o->ns, item->ns))) {
            return (int)i;
        }
    }
    return -1;
}

static const char *title_of(struct rctl *r, const struct object *o)
{
    return resource_title(&r->arena, o->kind, o->name);
}

static void write_form(struct buf *out, const struct value *doc, bool json)
{
    if (json) {
        json_write(out, doc, 4);
        buf_putc(out, '\n');
    } else {
        yaml_write(out, doc);
    }
}

/* What could not be saved, as it was typed, for the next round. */
static const char *text_of_failed(struct rctl *r, const struct edit *e, struct value *const *failed, unsigned count)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value *list = value_map(&r->arena);
    value_set(&r->arena, list, "apiVersion", value_cstr(&r->arena, "v1"));
    value_set(&r->arena, list, "kind", value_cstr(&r->arena, "List"));
    for (unsigned i = 0; i < count; i++) {
        value_append(&r->arena, value_ensure_list(&r->arena, list, "items"), failed[i]);
    }
    write_form(&b, count == 1 ? failed[0] : list, e->json);
    return arena_strdup(&r->arena, buf_cstr(&b));
}

/* One object; 0 also if it is as it was. */
static int save_one(struct rctl *r, struct edit *e, unsigned at, struct value *doc, struct error *err)
{
    const struct object *o = e->list->items[at];
    struct value *shown = print_document(&r->arena, o);
    struct value *typed = value_copy(&r->arena, doc);
    value_sort(typed);
    if (value_equal(said_by_users(r, shown), said_by_users(r, typed))) {
        if (e->list->count > 1) {
            rctl_note(r, "%s skipped", title_of(r, o));
        }
        return 0;
    }
    common_record(r, doc, false);
    doc = opt_flag(r, "save-config") ? common_save_config(r, doc) : doc;
    CLEANUP_OBJECT struct object *after = NULL;
    int rc = send_edited(r, o, doc, &after, err);
    if (rc == 0) {
        fprintf(r->out, "%s edited\n", title_of(r, o));
    }
    return rc;
}

/* Newer masters may have stored what this program does not know; they judge what becomes of it. */
static bool has_unknown(struct rctl *r, const struct edit *e)
{
    for (unsigned i = 0; i < e->list->count; i++) {
        const struct object *o = e->list->items[i];
        if (kind_check_fields(o->kind, &r->arena, print_document(&r->arena, o), 0, NULL) != 0) {
            return true;
        }
    }
    return false;
}

static int save_edited(struct rctl *r, const char *text, const char **again, int *code, void *data, struct error *err)
{
    struct edit *e = data;
    struct manifest m = {0};
    struct manifest_options mo = {.ns = common_cstr(r, e->list->items[0]->ns),
                                  .lenient = common_lenient(r) || has_unknown(r, e)};
    int rc = manifest_read_text(&r->arena, str_of(text), "edited", &mo, &m, err);
    if (rc != 0) {
        return rc;
    }
    for (unsigned i = 0; i < m.count; i++) {
        if (find_edited(e, &m.items[i]) < 0) {
            return error_set(err, ERR_INVALID,
                             "%s \"%s\" was not asked for: kind and name cannot be changed by an edit",
                             m.items[i].kind->name, m.items[i].name);
        }
    }
    struct value **failed = arena_alloc(&r->arena, (m.count + 1) * sizeof(*failed));
    unsigned failed_count = 0;
    CLEANUP_BUF struct buf why = BUF_INIT;
    int worst = 0;
    for (unsigned i = 0; i < m.count; i++) {
        int at = find_edited(e, &m.items[i]);
        struct error one = {0};
        rc = at < 0 ? 0 : save_one(r, e, (unsigned)at, m.items[i].doc, &one);
        if (rc == 0 && at >= 0) {
            e->done[at] = true;
        } else if (rc != 0) {
            failed[failed_count++] = m.items[i].doc;
            buf_printf(&why, "%s%s", why.size > 0 ? "\n" : "", one.message);
            worst = worst == 0 || worst == ERR_INVALID ? rc : worst;
        }
    }
    if (failed_count == 0) {
        *code = EXIT_DONE;
        return 0;
    }
    if (m.count > 1) {
        *again = text_of_failed(r, e, failed, failed_count);
    }
    if (worst == ERR_CONFLICT) {
        return error_set(err, worst, "%s\nsomebody changed it meanwhile: edit again and merge", buf_cstr(&why));
    }
    return error_set(err, worst, "%s", buf_cstr(&why));
}

static int run_edit(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_LIST struct api_list list = {0};
    const char *form = opt(r, "output");
    int code = EXIT_DONE;
    if (strcmp(form, "yaml") != 0 && strcmp(form, "json") != 0) {
        return rctl_usage(r, "--output of edit is yaml or json, not \"%s\"", form);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    r->select_whole = true; /* edit TYPE: all of them */
    if (common_select_there(r, &list, &code, &err) != 0) {
        return common_fail(r, &err);
    }
    if (list.count == 0) {
        return code;
    }
    struct edit e = {.list = &list, .done = arena_alloc(&r->arena, list.count), .json = strcmp(form, "json") == 0};
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_form(&text,
               list.count == 1 ? print_document(&r->arena, list.items[0])
                               : print_list_document(&r->arena, list.items, list.count, false),
               e.json);
    int one = editor_edit(r, list.count == 1 ? "Edit the object below." : "Edit the objects below.", form,
                          buf_cstr(&text), false, save_edited, &e);
    return code == EXIT_DONE ? one : code;
}

const struct command command_edit = {
    .name = "edit",
    .usage = "TYPE NAME... | TYPE/NAME... | TYPE | -f FILE",
    .summary = "Change objects in your editor",
    .examples = "  rctl edit deploy/hello\n"
                "  EDITOR=nano rctl edit configmap nginx-conf\n"
                "  # all of a type, in one text\n"
                "  rctl edit configmaps -l app=hello\n"
                "  # by a program\n"
                "  EDITOR='sed -i s/1.0/2.0/' rctl edit deploy/hello\n",
    .options = edit_options,
    .options_count = ARRAY_SIZE(edit_options),
    .run = run_edit,
};
