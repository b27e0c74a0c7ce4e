/* rctl get: show objects. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/get_raw.h"
#include "client/cmd/show.h"
#include "client/manifest/manifest.h"

static const struct option_row get_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM",
     "wide, yaml, json, name, jsonpath=..., go-template=..., custom-columns=T:.path,..., and -file forms"},
    {"template", 0, OPTION_VALUE, NULL, NULL, "TEXT", "the template, or its file, of an -o that has none"},
    {"selector", 'l', OPTION_VALUE, NULL, NULL, "SELECTOR", "labels: app=web,tier in (a,b),!old"},
    {"field-selector", 0, OPTION_VALUE, NULL, NULL, "SELECTOR", "fields: spec.nodeName=n1"},
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "of all namespaces"},
    {"watch", 'w', OPTION_FLAG, NULL, NULL, NULL, "go on showing changes"},
    {"watch-only", 0, OPTION_FLAG, NULL, NULL, NULL, "show changes only, not what is there"},
    {"output-watch-events", 0, OPTION_FLAG, NULL, NULL, NULL, "with -w: say what happened, ADDED, MODIFIED or DELETED"},
    {"label-columns", 'L', OPTION_REPEAT, NULL, NULL, "KEY,...", "these labels as columns"},
    {"show-labels", 0, OPTION_FLAG, NULL, NULL, NULL, "labels as the last column"},
    {"show-kind", 0, OPTION_FLAG, NULL, NULL, NULL, "names with their type: pod/web"},
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},
    {"sort-by", 0, OPTION_VALUE, NULL, NULL, "PATH", "order by a field: .metadata.creationTimestamp"},
    {"ignore-not-found", 0, OPTION_FLAG, NULL, NULL, NULL, "nothing and no error for names that do not exist"},
    {"chunk-size", 0, OPTION_VALUE, "0", NULL, "N", "ask for so many at a time (0: as many as masters like)"},
    {"stale", 0, OPTION_FLAG, NULL, NULL, NULL, "ask one master without a quorum; may be behind"},
    {"filename", 'f', OPTION_REPEAT, NULL, NULL, "FILE", "the objects that a manifest names"},
    {"recursive", 'R', OPTION_FLAG, NULL, NULL, NULL, "directories below as well"},
    {"raw", 0, OPTION_VALUE, NULL, NULL, "PATH",
     "what is under a path of Kubernetes' API: /api/v1/namespaces/default/pods"},
    {"server-print", 0, OPTION_FLAG, "true", NULL, NULL,
     "accepted for kubectl's sake: columns are always those of the kind"},
    {"show-managed-fields", 0, OPTION_FLAG, NULL, NULL, NULL,
     "in documents: who set which fields (metadata.managedFields)"},
    {"allow-missing-template-keys", 0, OPTION_FLAG, "true", NULL, NULL,
     "accepted for kubectl's sake: they may be missing"},
};

/* ---- Once ---- */

static int collect_names(struct rctl *r, const struct resource *res, bool table, struct api_list *out,
                         struct error *err)
{
    struct object *o;
    int rc;
    const char *ns = res->ns != NULL ? res->ns : rctl_namespace(r);
    if (opt_flag(r, "stale")) {
        rc = api_get(r->api, res->kind, ns, res->name, true, &o, err);
    } else {
        rc = resource_get(r, res, ns, table, &o, err);
    }
    if (rc != 0) {
        return rc;
    }
    out->items = xrealloc(out->items, (out->count + 1) * sizeof(struct object *));
    out->cap = out->count + 1;
    out->items[out->count++] = o;
    return 0;
}

static int collect(struct rctl *r, const struct resource *res, bool table, struct api_list *out, struct error *err)
{
    if (res->name != NULL) {
        return collect_names(r, res, table, out, err);
    }
    unsigned first = out->count;
    struct api_list_query q = {.kind = res->kind,
                               .ns = opt_flag(r, "all-namespaces") ? NULL : rctl_namespace(r),
                               .label_selector = opt(r, "selector"),
                               .field_selector = opt(r, "field-selector"),
                               .stale = opt_flag(r, "stale")};
    int64_t chunk;
    if (args_int("chunk-size", opt(r, "chunk-size"), 0, 100000, &chunk, err) != 0) {
        return ERR_USAGE;
    }
    q.limit = (unsigned)chunk;
    int rc = api_list(r->api, &q, out, err);
    if (rc == 0 && res->kind->id == KIND_EVENT) {
        get_sort_events(out->items + first, out->count - first);
    }
    return rc;
}

/* Tables kind by kind, a blank line between. */
static void print_tables(struct rctl *r, const struct print_options *o, const struct api_list *list)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    for (unsigned i = 0; i < list->count;) {
        unsigned end = i + 1;
        while (end < list->count && list->items[end]->kind == list->items[i]->kind) {
            end++;
        }
        struct print_widths widths = {0};
        if (i > 0) {
            buf_putc(&out, '\n');
        }
        print_table(&out, o, list->items[i]->kind, list->items + i, end - i, rctl_now_ms(), &widths);
        i = end;
    }
    rctl_write(r, &out);
}

static int show(struct rctl *r, const struct resources *res, struct print_options *o)
{
    CLEANUP_LIST struct api_list list = {0};
    struct error err = {0};
    bool table = o->form == PRINT_TABLE || o->form == PRINT_WIDE, named = true;
    int code = EXIT_DONE;
    for (unsigned i = 0; i < res->count; i++) {
        named = named && res->items[i].name != NULL;
        int rc = collect(r, &res->items[i], table, &list, &err);
        if (rc == 0 || (rc == ERR_NOT_FOUND && opt_flag(r, "ignore-not-found"))) {
            continue;
        }
        int failed = rctl_fail(r, &err);
        code = code == EXIT_DONE ? failed : code;
        if (rc != ERR_NOT_FOUND) {
            return code;
        }
    }
    if (opt(r, "sort-by") != NULL && get_sort(&r->arena, opt(r, "sort-by"), list.items, list.count, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (list.count == 0 && code != EXIT_DONE) {
        return code;
    }
    if (table) {
        print_tables(r, o, &list);
        if (list.count == 0 && !opt_flag(r, "ignore-not-found")) {
            get_note_nothing(r, res->items[0].kind);
        }
        return code;
    }
    if (list.count == 0 && named) {
        return code;
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (print_objects(&r->arena, &out, o, list.items, list.count, named && res->count == 1, &err) != 0) {
        return rctl_fail(r, &err);
    }
    rctl_write_data(r, &out);
    return code;
}

/* ---- Watch ---- */

static int watch(struct rctl *r, const struct resources *res, struct print_options *o)
{
    struct error err = {0};
    if (res->count != 1) {
        return rctl_usage(r, "one type, or one object, can be watched at a time");
    }
    if (opt(r, "sort-by") != NULL) {
        rctl_note(r, "warning: with --watch, --sort-by is ignored");
    }
    const struct resource *one = &res->items[0];
    const char *ns = one->ns != NULL ? one->ns : rctl_namespace(r);
    struct get_watch w = {.r = r,
                          .o = o,
                          .kind = one->kind,
                          .skip_first = opt_flag(r, "watch-only"),
                          .events = opt_flag(r, "output-watch-events")};
    struct api_list_query q = {.kind = one->kind,
                               .ns = opt_flag(r, "all-namespaces") ? NULL : ns,
                               .label_selector = opt(r, "selector"),
                               .field_selector = opt(r, "field-selector")};
    if (one->name != NULL) {
        CLEANUP_OBJECT struct object *there = NULL;
        int rc = api_get(r->api, one->kind, ns, one->name, false, &there, &err);
        if (rc != 0 && !(rc == ERR_NOT_FOUND && opt_flag(r, "ignore-not-found"))) {
            return rctl_fail(r, &err);
        }
        q.field_selector = arena_printf(&r->arena, "metadata.name=%s", one->name);
    }
    return get_watch_run(&w, &q);
}

/* ---- get ---- */

static int parse_resources(struct rctl *r, struct resources *res, struct error *err)
{
    if (!args_given(&r->args, "filename")) {
        return resource_parse(&r->arena, r->args.words, r->args.words_count, res, err);
    }
    struct manifest m = {0};
    struct manifest_options mo = {.ns = rctl_namespace(r),
                                  .ns_given = opt(r, "namespace") != NULL,
                                  .lenient = true,
                                  .recursive = opt_flag(r, "recursive")};
    for (unsigned i = 0; i < args_count(&r->args, "filename"); i++) {
        int rc = manifest_read(&r->arena, args_at(&r->args, "filename", i), &mo, &m, err);
        if (rc != 0) {
            return rc;
        }
    }
    res->items = arena_alloc(&r->arena, (m.count + 1) * sizeof(*res->items));
    for (unsigned i = 0; i < m.count; i++) {
        res->items[res->count++] =
            (struct resource){.kind = m.items[i].kind, .name = m.items[i].name, .ns = m.items[i].ns};
        res->several_kinds = res->several_kinds || m.items[i].kind != m.items[0].kind;
    }
    return 0;
}

/* -L a,b -L c */
static const char *const *label_columns(struct rctl *r)
{
    CLEANUP_BUF struct buf all = BUF_INIT;
    for (unsigned i = 0; i < args_count(&r->args, "label-columns"); i++) {
        buf_printf(&all, "%s,", args_at(&r->args, "label-columns", i));
    }
    const char **keys = arena_alloc(&r->arena, (all.size + 1) * sizeof(*keys));
    unsigned n = 0;
    char *save = NULL;
    for (char *p = strtok_r(arena_strdup(&r->arena, buf_cstr(&all)), ",", &save); p != NULL;
         p = strtok_r(NULL, ",", &save)) {
        keys[n++] = p;
    }
    keys[n] = NULL;
    return keys;
}

static int run_get(struct rctl *r)
{
    struct error err = {0};
    struct print_options o = {.show_labels = opt_flag(r, "show-labels"),
                              .no_headers = opt_flag(r, "no-headers"),
                              .managed = opt_flag(r, "show-managed-fields")};
    struct resources res = {0};
    if (opt(r, "raw") != NULL) {
        return get_raw(r, opt(r, "raw"));
    }
    if (print_parse_form(&r->arena, opt(r, "output"), opt(r, "template"), &o, &err) != 0 ||
        parse_resources(r, &res, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    o.with_namespace = opt_flag(r, "all-namespaces");
    o.with_kind = res.several_kinds || opt_flag(r, "show-kind");
    o.label_columns = label_columns(r);
    bool selecting = opt(r, "selector") != NULL || opt(r, "field-selector") != NULL || o.with_namespace;
    if (selecting && res.count > 0 && res.items[0].name != NULL) {
        return rctl_usage(r, "names cannot be combined with selectors or -A");
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (res.count > 0) {
        o.version_kind = res.items[0].kind;
        o.api_version = res.items[0].api_version;
    }
    return opt_flag(r, "watch") || opt_flag(r, "watch-only") ? watch(r, &res, &o) : show(r, &res, &o);
}

const struct command command_get = {
    .name = "get",
    .usage = "TYPE [NAME...] | TYPE/NAME... [-o FORM] [-l SELECTOR] [-A] [-w]",
    .summary = "Show objects: one line each, or whole",
    .examples = "  # the pods of the current namespace\n"
                "  rctl get pods\n"
                "  # where they run, with their addresses, of all namespaces\n"
                "  rctl get pods -A -o wide\n"
                "  # a Deployment as it stands in the cluster\n"
                "  rctl get deploy/hello -o yaml\n"
                "  # two types at once, by label, and going on\n"
                "  rctl get rs,pods -l app=hello\n"
                "  rctl get pods -w\n"
                "  # one field\n"
                "  rctl get pod hello -o jsonpath='{.status.podIP}'\n"
                "  rctl get pods -o go-template='{{range .items}}{{.metadata.name}}{{\"\\n\"}}{{end}}'\n"
                "  rctl get pods -L app --sort-by=.metadata.creationTimestamp\n",
    .options = get_options,
    .options_count = ARRAY_SIZE(get_options),
    .run = run_get,
};
