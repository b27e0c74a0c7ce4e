/* rctl get, rctl events: show objects. */
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "client/jsonpath.h"
#include "client/manifest.h"
#include "client/print.h"
#include "client/rctl.h"
#include "client/resource.h"

static const struct option_row get_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM",
     "wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=T:.path,..."},
    {"selector", 'l', OPTION_VALUE, NULL, NULL, "SELECTOR", "labels: app=web,tier in (a,b),!old"},
    {"field-selector", 0, OPTION_VALUE, NULL, NULL, "SELECTOR", "fields: spec.nodeName=n1"},
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "of all namespaces"},
    {"watch", 'w', OPTION_FLAG, NULL, NULL, NULL, "go on showing changes"},
    {"watch-only", 0, OPTION_FLAG, NULL, NULL, NULL, "show changes only, not what is there"},
    {"show-labels", 0, OPTION_FLAG, NULL, NULL, NULL, "labels as the last column"},
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},
    {"sort-by", 0, OPTION_VALUE, NULL, NULL, "PATH", "order by a field: .metadata.creationTimestamp"},
    {"ignore-not-found", 0, OPTION_FLAG, NULL, NULL, NULL, "nothing and no error for names that do not exist"},
    {"stale", 0, OPTION_FLAG, NULL, NULL, NULL, "ask one master without a quorum; may be behind"},
    {"filename", 'f', OPTION_REPEAT, NULL, NULL, "FILE", "the objects that a manifest names"},
    {"recursive", 'R', OPTION_FLAG, NULL, NULL, NULL, "directories below as well"},
};

/* ---- Order ---- */

struct sortable {
    struct object *object;
    const struct value *key;
    unsigned index;
};

static int compare_keys(const struct value *x, const struct value *y)
{
    if (x == NULL || y == NULL) {
        return (x != NULL) - (y != NULL);
    }
    if (x->type == VALUE_INT && y->type == VALUE_INT) {
        return (x->integer > y->integer) - (x->integer < y->integer);
    }
    return str_cmp(value_to_str(x), value_to_str(y));
}

static int compare_sortables(const void *x, const void *y)
{
    const struct sortable *a = x, *b = y;
    int c = compare_keys(a->key, b->key);
    return c != 0 ? c : (a->index > b->index) - (a->index < b->index);
}

static int sort_by(struct rctl *r, const char *path, struct object **items, unsigned count, struct error *err)
{
    size_t n = strlen(path);
    const char *bare =
        n >= 2 && path[0] == '{' && path[n - 1] == '}' ? arena_strndup(&r->arena, path + 1, n - 2) : path;
    struct sortable *s = arena_alloc(&r->arena, ((size_t)count + 1) * sizeof(*s));
    for (unsigned i = 0; i < count; i++) {
        const struct value **found;
        unsigned hits;
        int rc = jsonpath_find(&r->arena, print_document(&r->arena, items[i]), bare, &found, &hits, err);
        if (rc != 0) {
            return rc;
        }
        s[i] = (struct sortable){items[i], hits > 0 ? found[0] : NULL, i};
    }
    if (count > 1) {
        qsort(s, count, sizeof(*s), compare_sortables);
    }
    for (unsigned i = 0; i < count; i++) {
        items[i] = s[i].object;
    }
    return 0;
}

static struct str event_time(const struct object *o)
{
    struct str t = mp_str(mp_path(object_mp(o), "lastTimestamp"));
    return t.n > 0 ? t : mp_str(mp_path(object_mp(o), "metadata.creationTimestamp"));
}

/* Times have whole seconds: within one the revision tells what came first. */
static int compare_events(const void *x, const void *y)
{
    const struct object *a = *(struct object *const *)x, *b = *(struct object *const *)y;
    int c = str_cmp(event_time(a), event_time(b));
    return c != 0 ? c : (a->revision > b->revision) - (a->revision < b->revision);
}

/* ---- Once ---- */

static int collect_names(struct rctl *r, const struct resource *res, bool table, struct api_list *out,
                         struct error *err)
{
    struct object *o;
    int rc;
    if (opt_flag(r, "stale")) {
        rc = api_get(r->api, res->kind, rctl_namespace(r), res->name, true, &o, err);
    } else {
        rc = resource_get(r, res, rctl_namespace(r), table, &o, err);
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
    int rc = api_list(r->api, &q, out, err);
    if (rc == 0 && res->kind->id == KIND_EVENT && out->count > first) {
        qsort(out->items + first, out->count - first, sizeof(*out->items), compare_events);
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

static void note_nothing(struct rctl *r, const struct resources *res)
{
    bool namespaced = res->count > 0 && res->items[0].kind->namespaced;
    if (!namespaced || opt_flag(r, "all-namespaces")) {
        rctl_note(r, "No resources found");
    } else {
        rctl_note(r, "No resources found in %s namespace.", rctl_namespace(r));
    }
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
    if (opt(r, "sort-by") != NULL && sort_by(r, opt(r, "sort-by"), list.items, list.count, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (list.count == 0 && code != EXIT_DONE) {
        return code;
    }
    if (table) {
        print_tables(r, o, &list);
        if (list.count == 0 && !(named && opt_flag(r, "ignore-not-found"))) {
            note_nothing(r, res);
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
    rctl_write(r, &out);
    return code;
}

/* ---- Watch ---- */

struct watch_state {
    struct rctl *r;
    const struct print_options *o;
    const struct kind *kind;
    struct api_list first;
    struct print_widths widths;
    bool synced, table;
    struct error err;
};

static void watch_print(struct watch_state *w, struct object *const *objects, unsigned count)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (w->table) {
        print_table(&out, w->o, w->kind, objects, count, rctl_now_ms(), &w->widths);
    }
    for (unsigned i = 0; i < count && !w->table; i++) {
        buf_puts(&out, w->o->form == PRINT_YAML ? "---\n" : "");
        print_objects(&a, &out, w->o, objects + i, 1, true, &w->err);
        buf_puts(&out, w->o->form == PRINT_JSONPATH ? "\n" : "");
    }
    rctl_write(w->r, &out);
    fflush(w->r->out);
}

static bool watch_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    (void)revision;
    struct watch_state *w = data;
    if (type == API_SYNCED) {
        w->synced = true;
        if (!opt_flag(w->r, "watch-only")) {
            watch_print(w, w->first.items, w->first.count);
        }
        return !ferror(w->r->out);
    }
    struct object *mine = object_ref((struct object *)o);
    if (w->synced) {
        watch_print(w, &mine, 1);
        object_unref(mine);
    } else {
        w->first.items = xrealloc(w->first.items, (w->first.count + 1) * sizeof(mine));
        w->first.items[w->first.count++] = mine;
    }
    return w->err.code == 0 && !ferror(w->r->out);
}

static int watch(struct rctl *r, const struct resources *res, const struct print_options *o)
{
    if (res->count != 1) {
        return rctl_usage(r, "one type, or one object, can be watched at a time");
    }
    const struct resource *one = &res->items[0];
    struct watch_state w = {.r = r, .o = o, .kind = one->kind};
    w.table = o->form == PRINT_TABLE || o->form == PRINT_WIDE;
    struct api_list_query q = {.kind = one->kind,
                               .ns = opt_flag(r, "all-namespaces") ? NULL : rctl_namespace(r),
                               .label_selector = opt(r, "selector"),
                               .field_selector = opt(r, "field-selector")};
    if (one->name != NULL) {
        q.field_selector = arena_printf(&r->arena, "metadata.name=%s", one->name);
    }
    int rc = api_watch(r->api, &q, 0, watch_event, &w, &w.err);
    api_list_close(&w.first);
    return rc != 0 || w.err.code != 0 ? rctl_fail(r, &w.err) : EXIT_DONE;
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
        res->items[res->count++] = (struct resource){m.items[i].kind, m.items[i].name};
        res->several_kinds = res->several_kinds || m.items[i].kind != m.items[0].kind;
    }
    return 0;
}

static int run_get(struct rctl *r)
{
    struct error err = {0};
    struct print_options o = {.show_labels = opt_flag(r, "show-labels"), .no_headers = opt_flag(r, "no-headers")};
    struct resources res = {0};
    if (print_parse_form(opt(r, "output"), &o, &err) != 0 || parse_resources(r, &res, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    o.with_namespace = opt_flag(r, "all-namespaces");
    o.with_kind = res.several_kinds;
    bool selecting = opt(r, "selector") != NULL || opt(r, "field-selector") != NULL || o.with_namespace;
    if (selecting && res.count > 0 && res.items[0].name != NULL) {
        return rctl_usage(r, "names cannot be combined with selectors or -A");
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
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
                "  rctl get pod hello -o jsonpath='{.status.podIP}'\n",
    .options = get_options,
    .options_count = ARRAY_SIZE(get_options),
    .run = run_get,
};

/* ---- events ---- */

static const struct option_row events_options[] = {
    {"for", 0, OPTION_VALUE, NULL, NULL, "TYPE/NAME", "about this object only"},
    {"types", 0, OPTION_VALUE, NULL, NULL, "TYPE", "Normal or Warning"},
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "of all namespaces"},
    {"watch", 'w', OPTION_FLAG, NULL, NULL, NULL, "go on showing new ones"},
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "wide, yaml, json, name"},
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},
    {"selector", 'l', OPTION_VALUE, NULL, NULL, "SELECTOR", "labels"},
    {"watch-only", 0, OPTION_FLAG, NULL, NULL, NULL, "new ones only"},
};

static int run_events(struct rctl *r)
{
    struct error err = {0};
    struct print_options o = {.no_headers = opt_flag(r, "no-headers"), .with_namespace = opt_flag(r, "all-namespaces")};
    if (r->args.words_count > 0) {
        return rctl_usage(r, "no words are expected; --for TYPE/NAME selects an object");
    }
    if (print_parse_form(opt(r, "output"), &o, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    const char *selector = NULL;
    if (opt(r, "for") != NULL) {
        struct resources about;
        const char *word = opt(r, "for");
        if (strchr(word, '/') == NULL || resource_parse(&r->arena, &word, 1, &about, &err) != 0) {
            return rctl_usage(r, "--for wants TYPE/NAME%s%s", err.code != 0 ? ": " : "", err.message);
        }
        selector = arena_printf(&r->arena, "involvedObject.kind=%s,involvedObject.name=%s", about.items[0].kind->name,
                                about.items[0].name);
    }
    if (opt(r, "types") != NULL) {
        selector = arena_printf(&r->arena, "%s%stype=%s", selector == NULL ? "" : selector, selector == NULL ? "" : ",",
                                opt(r, "types"));
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct api_list_query q = {.kind = kind_by_id(KIND_EVENT),
                               .ns = o.with_namespace ? NULL : rctl_namespace(r),
                               .label_selector = opt(r, "selector"),
                               .field_selector = selector};
    struct watch_state w = {.r = r, .o = &o, .kind = q.kind};
    w.table = o.form == PRINT_TABLE || o.form == PRINT_WIDE;
    if (opt_flag(r, "watch") || opt_flag(r, "watch-only")) {
        int rc = api_watch(r->api, &q, 0, watch_event, &w, &w.err);
        api_list_close(&w.first);
        return rc != 0 || w.err.code != 0 ? rctl_fail(r, &w.err) : EXIT_DONE;
    }
    CLEANUP_LIST struct api_list list = {0};
    if (api_list(r->api, &q, &list, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (list.count == 0) {
        struct resources none = {.items = &(struct resource){q.kind, NULL}, .count = 1};
        note_nothing(r, &none);
        return EXIT_DONE;
    }
    qsort(list.items, list.count, sizeof(*list.items), compare_events);
    if (w.table) {
        watch_print(&w, list.items, list.count);
        return EXIT_DONE;
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (print_objects(&r->arena, &out, &o, list.items, list.count, false, &err) != 0) {
        return rctl_fail(r, &err);
    }
    rctl_write(r, &out);
    return EXIT_DONE;
}

const struct command command_events = {
    .name = "events",
    .usage = "[--for TYPE/NAME] [-A] [-w]",
    .summary = "Show what happened, oldest first",
    .examples = "  # in the current namespace\n"
                "  rctl events\n"
                "  # about one pod, and going on\n"
                "  rctl events --for pod/hello -w\n"
                "  # only what went wrong, everywhere\n"
                "  rctl events -A --types Warning\n",
    .options = events_options,
    .options_count = ARRAY_SIZE(events_options),
    .run = run_events,
};
