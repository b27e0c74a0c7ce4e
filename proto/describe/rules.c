/* Rules of roles for people, as kubectl shows them: taken apart, and those of one kind and name put together. */
#include <stdlib.h>
#include <string.h>

#include "proto/describe/parts.h"
#include "proto/text/grid.h"

struct row {
    const char *resource, *url, *name;
    char *verbs; /* "get list" */
};
struct rows {
    struct arena *arena;
    struct row *items;
    unsigned count;
    bool more;
};

static void add(struct rows *rows, const char *resource, const char *url, const char *name, struct mp verbs)
{
    struct row *row = NULL;
    for (unsigned i = 0; row == NULL && i < rows->count; i++) {
        struct row *r = &rows->items[i];
        if (strcmp(r->resource, resource) == 0 && strcmp(r->url, url) == 0 && strcmp(r->name, name) == 0) {
            row = r;
        }
    }
    if (row == NULL && rows->count == DESCRIBE_RULES_MAX) {
        rows->more = true;
        return;
    }
    if (row == NULL) {
        row = &rows->items[rows->count++];
        *row = (struct row){resource, url, name, arena_strdup(rows->arena, "")};
    }
    for (struct mp_iter it = mp_iter(verbs); mp_next(&it);) {
        struct str verb = mp_str(it.value);
        if (!str_is_among(verb, row->verbs)) {
            row->verbs =
                arena_printf(rows->arena, "%s%s%.*s", row->verbs, row->verbs[0] == '\0' ? "" : " ", STR_ARG(verb));
        }
    }
}

/* "deployments.apps", "pods/log", "deployments.apps/scale" */
static const char *resource_text(struct arena *a, struct str resource, struct str group)
{
    const char *slash = resource.n == 0 ? NULL : memchr(resource.p, '/', resource.n);
    size_t n = slash == NULL ? resource.n : (size_t)(slash - resource.p);
    return arena_printf(a, "%.*s%s%.*s%.*s", (int)n, resource.p == NULL ? "" : resource.p, group.n > 0 ? "." : "",
                        STR_ARG(group), (int)(resource.n - n), slash == NULL ? "" : slash);
}

static void add_resource(struct rows *rows, struct mp rule, const char *resource)
{
    struct mp names = mp_get(rule, "resourceNames"), verbs = mp_get(rule, "verbs");
    if (mp_count(names) == 0) {
        add(rows, resource, "", "", verbs);
    }
    for (struct mp_iter it = mp_iter(names); !rows->more && mp_next(&it);) {
        struct str name = mp_str(it.value);
        add(rows, resource, "", arena_printf(rows->arena, "%.*s", STR_ARG(name)), verbs);
    }
}

static void add_rule(struct rows *rows, struct mp rule)
{
    for (struct mp_iter u = mp_iter(mp_get(rule, "nonResourceURLs")); !rows->more && mp_next(&u);) {
        struct str url = mp_str(u.value);
        add(rows, "", arena_printf(rows->arena, "%.*s", STR_ARG(url)), "", mp_get(rule, "verbs"));
    }
    for (struct mp_iter g = mp_iter(mp_get(rule, "apiGroups")); !rows->more && mp_next(&g);) {
        for (struct mp_iter r = mp_iter(mp_get(rule, "resources")); !rows->more && mp_next(&r);) {
            add_resource(rows, rule, resource_text(rows->arena, mp_str(r.value), mp_str(g.value)));
        }
    }
}

/* By what may be done, as kubectl has it. */
static int by_verbs(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int c = strcmp(x->verbs, y->verbs);
    c = c != 0 ? c : strcmp(x->resource, y->resource);
    c = c != 0 ? c : strcmp(x->name, y->name);
    return c != 0 ? c : strcmp(x->url, y->url);
}

void describe_role_rules(struct buf *out, const struct mp *lists, unsigned count, enum describe_titles titles)
{
    static const char *const head[] = {"Resources", "Non-Resource URLs", "Resource Names", "Verbs",
                                       "---------", "-----------------", "--------------", "-----"};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct rows rows = {.arena = &a};
    rows.items = arena_alloc(&a, DESCRIBE_RULES_MAX * sizeof *rows.items);
    for (unsigned i = 0; i < count; i++) {
        for (struct mp_iter it = mp_iter(lists[i]); !rows.more && mp_next(&it);) {
            add_rule(&rows, it.value);
        }
    }
    qsort(rows.items, rows.count, sizeof *rows.items, by_verbs);
    const char **cells = arena_alloc(&a, (8 + 4 * (size_t)rows.count) * sizeof *cells);
    unsigned n = 4 * (unsigned)titles;
    memcpy(cells, head, n * sizeof *cells);
    for (unsigned i = 0; i < rows.count; i++) {
        const struct row *r = &rows.items[i];
        cells[n++] = r->resource;
        cells[n++] = arena_printf(&a, "[%s]", r->url);
        cells[n++] = arena_printf(&a, "[%s]", r->name);
        cells[n++] = arena_printf(&a, "[%s]", r->verbs);
    }
    grid_print(out, cells, 4, n / 4);
    if (rows.more) {
        buf_printf(out, "... (only the first %u rows are shown)\n", DESCRIBE_RULES_MAX);
    }
}
