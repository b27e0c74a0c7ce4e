/* rctl describe: one object with what belongs to it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/common.h"
#include "client/cmd/show.h"
#include "proto/describe/describe.h"

static const struct option_row describe_options[] = {
    OPTION_ROW_SELECTOR,
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "of all namespaces"},
    {"show-events", 0, OPTION_FLAG, "true", NULL, NULL, "events about the object"},
    {"chunk-size", 0, OPTION_VALUE, NULL, NULL, "N", NULL},
    OPTION_ROW_FILENAME,
    OPTION_ROW_RECURSIVE,
};

struct related {
    struct api_list events, lists[KIND_RELATED_MAX];
};

/* What has no namespace is known by its name: a node's events are written without its uid as well. */
static int fetch_events(struct rctl *r, const struct object *o, const char *ns, struct api_list *out, struct error *err)
{
    struct api_list_query q = {.kind = kind_by_id(KIND_EVENT), .ns = ns};
    q.field_selector = !o->kind->namespaced ? arena_printf(&r->arena, "involvedObject.kind=%s,involvedObject.name=%.*s",
                                                           o->kind->name, STR_ARG(o->name))
                                            : arena_printf(&r->arena, "involvedObject.uid=%.*s", STR_ARG(o->uid));
    int rc = api_list(r->api, &q, out, err);
    if (rc == 0) {
        get_sort_events(out->items, out->count);
    }
    return rc;
}

struct naming {
    const struct object *o;
    bool found;
};

static void compare_reference(void *data, const struct kind_reference *r)
{
    struct naming *n = data;
    n->found |= r->kind == n->o->kind && str_eq(r->name, n->o->name) && str_eq(r->ns, n->o->ns);
}

static bool names_it(const struct object *by, const struct object *o)
{
    struct naming n = {.o = o};
    kind_references(by, compare_reference, &n);
    return n.found;
}

/* Keeps those that name the object, or whose controller it is. */
static void keep_own(struct api_list *l, const struct object *o, bool referring)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < l->count; i++) {
        if (referring ? names_it(l->items[i], o) : str_eq(l->items[i]->owner_uid, o->uid)) {
            l->items[kept++] = l->items[i];
        } else {
            object_unref(l->items[i]);
        }
    }
    l->count = kept;
}

static int fetch(struct rctl *r, const struct object *o, struct related *rel, struct error *err)
{
    const char *ns = o->kind->namespaced ? arena_strndup(&r->arena, o->ns.p, o->ns.n) : NULL;
    int rc = opt_flag(r, "show-events") ? fetch_events(r, o, ns, &rel->events, err) : 0;
    const struct kind_related *row = o->kind->related;
    for (unsigned i = 0; rc == 0 && row != NULL && row[i].kind != 0; i++) {
        assert(i < KIND_RELATED_MAX);
        struct api_list_query q = {.kind = kind_by_id(row[i].kind), .ns = ns};
        if (row[i].field != NULL) {
            q.field_selector = arena_printf(&r->arena, "%s=%.*s", row[i].field, STR_ARG(o->name));
        }
        if (row[i].label != NULL) {
            q.label_selector = arena_printf(&r->arena, "%s=%.*s", row[i].label, STR_ARG(o->name));
        }
        if (row[i].within) {
            q.ns = arena_strndup(&r->arena, o->name.p, o->name.n);
        }
        q.ns = row[i].ns != NULL ? row[i].ns : q.ns;
        rc = api_list(r->api, &q, &rel->lists[i], err);
        rc = row[i].optional && (rc == ERR_FORBIDDEN || rc == ERR_NOT_FOUND) ? 0 : rc;
        if (row[i].field == NULL && row[i].label == NULL && !row[i].within) {
            keep_own(&rel->lists[i], o, row[i].referring);
        }
    }
    return rc;
}

static int describe_one(struct rctl *r, const struct object *o, bool first)
{
    struct error err = {0};
    struct related rel = {0};
    int rc = fetch(r, o, &rel, &err);
    if (rc == 0) {
        struct describe_context c = {.now_ms = rctl_now_ms(),
                                     .events = {rel.events.items, rel.events.count},
                                     .without_events = !opt_flag(r, "show-events")};
        for (unsigned i = 0; i < KIND_RELATED_MAX; i++) {
            c.related[i] = (struct describe_list){rel.lists[i].items, rel.lists[i].count};
        }
        CLEANUP_BUF struct buf out = BUF_INIT;
        buf_puts(&out, first ? "" : "\n\n");
        describe_object(&out, o, &c);
        rctl_write(r, &out);
    }
    api_list_close(&rel.events);
    for (unsigned i = 0; i < KIND_RELATED_MAX; i++) {
        api_list_close(&rel.lists[i]);
    }
    return rc == 0 ? EXIT_DONE : rctl_fail(r, &err);
}

/* The object of that name or, as kubectl does it, all whose names begin so. */
static int fetch_named(struct rctl *r, const struct resource *res, struct api_list *out, struct error *err)
{
    struct object *o;
    struct error first = {0};
    int rc = api_get(r->api, res->kind, rctl_namespace(r), res->name, false, &o, &first);
    if (rc == 0) {
        out->items = xrealloc(out->items, (out->count + 1) * sizeof(o));
        out->cap = out->count + 1;
        out->items[out->count++] = o;
        return 0;
    }
    struct api_list all = {0};
    struct api_list_query q = {.kind = res->kind, .ns = rctl_namespace(r)};
    if (rc != ERR_NOT_FOUND || api_list(r->api, &q, &all, &first) != 0) {
        *err = first;
        return err->code;
    }
    unsigned before = out->count;
    out->items = xrealloc(out->items, (out->count + all.count + 1) * sizeof(o));
    out->cap = out->count + all.count + 1;
    for (unsigned i = 0; i < all.count; i++) {
        if (str_starts(all.items[i]->name, str_of(res->name))) {
            out->items[out->count++] = object_ref(all.items[i]);
        }
    }
    api_list_close(&all);
    if (out->count > before) {
        return 0;
    }
    *err = first;
    return rc;
}

static int run_describe(struct rctl *r)
{
    struct error err = {0};
    struct resources res = {0};
    CLEANUP_LIST struct api_list list = {0};
    bool files = args_given(&r->args, "filename");
    if (!files && resource_parse(&r->arena, r->args.words, r->args.words_count, &res, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (rctl_connect(r, &err) != 0 || (files && common_select(r, &list, &err) != 0)) {
        return rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < res.count; i++) {
        struct api_list_query q = {.kind = res.items[i].kind,
                                   .ns = opt_flag(r, "all-namespaces") ? NULL : rctl_namespace(r),
                                   .label_selector = opt(r, "selector")};
        int rc =
            res.items[i].name == NULL ? api_list(r->api, &q, &list, &err) : fetch_named(r, &res.items[i], &list, &err);
        if (rc != 0) {
            int one = rctl_fail(r, &err);
            code = code == EXIT_DONE ? one : code;
        }
    }
    for (unsigned i = 0; i < list.count; i++) {
        int one = describe_one(r, list.items[i], i == 0);
        code = code == EXIT_DONE ? one : code;
    }
    if (list.count == 0 && code == EXIT_DONE) {
        get_note_nothing(r, res.count == 0 ? kind_by_id(KIND_POD) : res.items[0].kind);
    }
    return code;
}

const struct command command_describe = {
    .name = "describe",
    .usage = "TYPE [NAME...] | TYPE/NAME...",
    .summary = "Tell everything about an object, with its events",
    .examples = "  rctl describe pod hello\n"
                "  # the beginning of a name is enough if it is the only one\n"
                "  rctl describe pod hello-5d\n"
                "  rctl describe deploy/hello\n"
                "  rctl describe node n1\n",
    .options = describe_options,
    .options_count = ARRAY_SIZE(describe_options),
    .run = run_describe,
};
