/* describe: ResourceQuotas and LimitRanges, as kubectl has them, alone and in the description of their namespace. */
#include <stdlib.h>

#include "proto/describe/parts.h"
#include "proto/kinds/quota.h"

/* ---- Lines of cells, aligned until a line of plain text comes between ---- */

#define CELLS_MAX 7

struct line {
    struct str cells[CELLS_MAX];
    unsigned count;
};
struct block {
    struct arena *a;
    const char *indent;
    struct line *lines;
    unsigned count, cap;
};

static void add_cells(struct block *b, const struct str *cells, unsigned count)
{
    b->lines = arena_grow(b->a, b->lines, b->count, &b->cap, sizeof *b->lines, 16);
    struct line *line = &b->lines[b->count++];
    *line = (struct line){.count = count};
    for (unsigned i = 0; i < count; i++) {
        line->cells[i] = cells[i];
    }
}

static void add_pair(struct block *b, const char *label, struct str text)
{
    const struct str cells[] = {str_of(label), text};
    add_cells(b, cells, 2);
}

static void flush(struct buf *out, struct block *b)
{
    size_t widths[CELLS_MAX] = {0};
    for (unsigned i = 0; i < b->count; i++) {
        for (unsigned k = 0; k + 1 < b->lines[i].count; k++) { /* what ends a line widens no column */
            widths[k] = MAX(widths[k], b->lines[i].cells[k].n);
        }
    }
    for (unsigned i = 0; i < b->count; i++) {
        buf_puts(out, b->indent);
        for (unsigned k = 0; k < b->lines[i].count; k++) {
            struct str s = b->lines[i].cells[k];
            bool last = k + 1 == b->lines[i].count;
            buf_printf(out, "%-*.*s", last ? 0 : (int)widths[k] + 2, STR_ARG(s));
        }
        buf_putc(out, '\n');
    }
    b->count = 0;
}

/* ---- Quotas ---- */

static const char *scope_text(struct str scope)
{
    static const struct {
        const char *scope, *text;
    } texts[] = {
        {"Terminating", "Counts pods that end by themselves: those with an activeDeadlineSeconds."},
        {"NotTerminating", "Counts pods that are to run on: those without an activeDeadlineSeconds."},
        {"BestEffort", "Counts pods that neither request nor limit cpu or memory."},
        {"NotBestEffort", "Counts pods that request or limit cpu or memory."},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        if (str_is(scope, texts[i].scope)) {
            return texts[i].text;
        }
    }
    return NULL;
}

static void scopes_write(struct buf *out, struct block *b, const struct object *o)
{
    struct mp list = mp_get(object_spec(o), "scopes");
    struct str *scopes = arena_alloc(b->a, (mp_count(list) + 1u) * sizeof *scopes);
    CLEANUP_BUF struct buf all = BUF_INIT;
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        scopes[n++] = mp_str(it.value);
    }
    if (n == 0) {
        return;
    }
    qsort(scopes, n, sizeof *scopes, str_cmp_at);
    for (unsigned i = 0; i < n; i++) {
        buf_printf(&all, "%s%.*s", i > 0 ? ", " : "", STR_ARG(scopes[i]));
    }
    add_pair(b, "Scopes:", str_of(arena_strdup(b->a, buf_cstr(&all))));
    flush(out, b);
    for (unsigned i = 0; i < n; i++) {
        const char *text = scope_text(scopes[i]);
        if (text != NULL) {
            buf_printf(out, "%s * %s\n", b->indent, text);
        }
    }
}

static void used_write(struct block *b, const struct object *o, const char *dashes)
{
    struct mp hard = mp_get(object_status(o), "hard"), used = mp_get(object_status(o), "used");
    const struct str title[] = {STR("Resource"), STR("Used"), STR("Hard")};
    const struct str line[] = {STR("--------"), str_of(dashes), str_of(dashes)};
    struct str *names = arena_alloc(b->a, (mp_count(hard) + 1u) * sizeof *names);
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(hard); mp_next(&it);) {
        names[n++] = it.key;
    }
    qsort(names, n, sizeof *names, str_cmp_at);
    add_cells(b, title, 3);
    add_cells(b, line, 3);
    for (unsigned i = 0; i < n; i++) {
        struct str u = mp_str(mp_get_str_key(used, names[i]));
        const struct str cells[] = {names[i], u.n > 0 ? u : STR("0"), mp_str(mp_get_str_key(hard, names[i]))};
        add_cells(b, cells, 3);
    }
}

void quota_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct block b = {.a = &a, .indent = ""};
    (void)c;
    add_pair(&b, "Name:", o->name);
    add_pair(&b, "Namespace:", o->ns);
    scopes_write(out, &b, o);
    used_write(&b, o, "----");
    flush(out, &b);
}

void quota_describe_all(struct buf *out, const struct describe_list *quotas)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct block b = {.a = &a, .indent = "  "};
    buf_puts(out, quotas->count == 0 ? "No resource quota.\n" : "Resource Quotas\n");
    for (unsigned i = 0; i < quotas->count; i++) {
        add_pair(&b, "Name:", quotas->items[i]->name);
        scopes_write(out, &b, quotas->items[i]);
        used_write(&b, quotas->items[i], "---");
    }
    flush(out, &b);
}

/* ---- Limit ranges ---- */

static const char *const AMOUNTS[] = {"min", "max", "defaultRequest", "default", "maxLimitRequestRatio"};

static unsigned names_of(struct arena *a, struct mp item, struct str **names)
{
    unsigned max = 0, n = 0, kept = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(AMOUNTS); i++) {
        max += mp_count(mp_get(item, AMOUNTS[i]));
    }
    struct str *all = arena_alloc(a, (max + 1u) * sizeof *all);
    for (unsigned i = 0; i < ARRAY_SIZE(AMOUNTS); i++) {
        for (struct mp_iter it = mp_iter(mp_get(item, AMOUNTS[i])); n < max && mp_next(&it);) {
            all[n++] = it.key;
        }
    }
    qsort(all, n, sizeof *all, str_cmp_at);
    for (unsigned i = 0; i < n; i++) {
        if (i == 0 || !str_eq(all[i], all[kept - 1])) {
            all[kept++] = all[i];
        }
    }
    *names = all;
    return kept;
}

static void items_write(struct block *b, const struct object *o)
{
    for (struct mp_iter it = mp_iter(mp_get(object_spec(o), "limits")); mp_next(&it);) {
        struct str *names;
        unsigned n = names_of(b->a, it.value, &names);
        for (unsigned i = 0; i < n; i++) {
            struct str cells[CELLS_MAX] = {mp_str(mp_get(it.value, "type")), names[i]};
            for (unsigned k = 0; k < ARRAY_SIZE(AMOUNTS); k++) {
                struct str s = mp_str(mp_get_str_key(mp_get(it.value, AMOUNTS[k]), names[i]));
                cells[2 + k] = s.n > 0 ? s : STR("-");
            }
            add_cells(b, cells, CELLS_MAX);
        }
    }
}

static void titles_write(struct block *b)
{
    static const char *const titles[] = {
        "Type", "Resource", "Min", "Max", "Default Request", "Default Limit", "Max Limit/Request Ratio"};
    static const char *const lines[] = {
        "----", "--------", "---", "---", "---------------", "-------------", "-----------------------"};
    struct str cells[CELLS_MAX];
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 0; i < CELLS_MAX; i++) {
            cells[i] = str_of(k == 0 ? titles[i] : lines[i]);
        }
        add_cells(b, cells, CELLS_MAX);
    }
}

void limits_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct block b = {.a = &a, .indent = ""};
    (void)c;
    add_pair(&b, "Name:", o->name);
    add_pair(&b, "Namespace:", o->ns);
    titles_write(&b);
    items_write(&b, o);
    flush(out, &b);
}

void limits_describe_all(struct buf *out, const struct describe_list *ranges)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct block b = {.a = &a, .indent = " "};
    buf_puts(out, ranges->count == 0 ? "No LimitRange resource.\n" : "Resource Limits\n");
    if (ranges->count > 0) {
        titles_write(&b);
    }
    for (unsigned i = 0; i < ranges->count; i++) {
        items_write(&b, ranges->items[i]);
    }
    flush(out, &b);
}
