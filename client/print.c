#include "client/print.h"

#include <assert.h>
#include <string.h>

#include "base/timefmt.h"
#include "client/jsonpath.h"
#include "proto/text.h"

int print_parse_form(const char *text, struct print_options *o, struct error *err)
{
    static const struct {
        const char *name;
        enum print_form form;
        bool prefix;
    } forms[] = {{"wide", PRINT_WIDE, false},         {"yaml", PRINT_YAML, false},
                 {"json", PRINT_JSON, false},         {"name", PRINT_NAME, false},
                 {"jsonpath=", PRINT_JSONPATH, true}, {"custom-columns=", PRINT_CUSTOM, true}};
    o->form = PRINT_TABLE;
    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        size_t n = strlen(forms[i].name);
        if (forms[i].prefix ? strncmp(text, forms[i].name, n) == 0 : strcmp(text, forms[i].name) == 0) {
            o->form = forms[i].form;
            o->argument = forms[i].prefix ? text + n : NULL;
            return 0;
        }
    }
    return error_set(err, ERR_USAGE,
                     "unknown output form \"%s\"; there are: wide, yaml, json, name, jsonpath=TEMPLATE, "
                     "custom-columns=TITLE:.path,...",
                     text);
}

void print_kind_name(struct buf *out, const struct kind *k)
{
    const char *slash = strchr(k->api_version, '/');
    buf_puts(out, k->singular);
    if (slash != NULL) {
        buf_printf(out, ".%.*s", (int)(slash - k->api_version), k->api_version);
    }
}

/* ---- Tables ---- */

static size_t text_width(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80; /* UTF-8: count heads */
    }
    return n;
}

/* Texts of all cells in one buffer, ends remembered. */
struct grid {
    struct buf text;
    size_t *ends;
    unsigned columns, cells;
};

static struct str grid_cell(const struct grid *g, unsigned i)
{
    size_t from = i == 0 ? 0 : g->ends[i - 1];
    return (struct str){(const char *)g->text.data + from, g->ends[i] - from};
}

static void grid_end_cell(struct grid *g)
{
    g->ends[g->cells++] = g->text.size;
}

static void grid_write(struct buf *out, const struct grid *g, size_t *width)
{
    for (unsigned i = 0; i < g->cells; i++) {
        unsigned c = i % g->columns;
        width[c] = MAX(width[c], text_width(grid_cell(g, i)));
    }
    for (unsigned i = 0; i < g->cells; i++) {
        unsigned c = i % g->columns;
        struct str s = grid_cell(g, i);
        buf_append_str(out, s);
        if (c + 1 == g->columns) {
            buf_putc(out, '\n');
            continue;
        }
        for (size_t n = text_width(s); n < width[c] + 3; n++) {
            buf_putc(out, ' ');
        }
    }
}

void print_grid(struct buf *out, const char *const *cells, unsigned columns, unsigned rows)
{
    assert(columns > 0 && columns <= PRINT_COLUMNS_MAX);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct grid g = {.columns = columns};
    g.ends = arena_alloc(&a, ((size_t)columns * rows + 1) * sizeof(*g.ends));
    for (unsigned i = 0; i < columns * rows; i++) {
        buf_puts(&g.text, cells[i]);
        grid_end_cell(&g);
    }
    size_t width[PRINT_COLUMNS_MAX] = {0};
    grid_write(out, &g, width);
    buf_close(&g.text);
}

static void write_labels(struct buf *out, const struct object *o)
{
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.labels")); mp_next(&it); n++) {
        struct str v = mp_str(it.value);
        buf_printf(out, "%s%.*s=%.*s", n > 0 ? "," : "", STR_ARG(it.key), STR_ARG(v));
    }
    if (n == 0) {
        buf_puts(out, "<none>");
    }
}

static void write_cell(struct buf *out, const struct print_options *o, const struct column *c, const struct object *obj,
                       int64_t now_ms)
{
    if (c->cell == NULL && strcmp(c->title, "AGE") == 0) {
        int64_t created = object_created_ms(obj);
        char age[TIMEFMT_SIZE] = "<unknown>";
        if (created > 0) {
            timefmt_age(MAX(now_ms - created, 0), age);
        }
        buf_puts(out, age);
    } else if (c->cell == NULL || strcmp(c->title, "NAME") == 0) {
        if (o->with_kind) {
            print_kind_name(out, obj->kind);
            buf_putc(out, '/');
        }
        buf_append_str(out, obj->name);
    } else {
        c->cell(out, obj, now_ms);
    }
}

static bool is_shown(const struct print_options *o, const struct column *c)
{
    return !c->wide || o->form == PRINT_WIDE;
}

static unsigned columns_of(const struct print_options *o, const struct kind *k)
{
    unsigned n = (o->with_namespace && k->namespaced) + o->show_labels;
    for (unsigned i = 0; i < k->columns_count; i++) {
        n += is_shown(o, &k->columns[i]);
    }
    assert(n > 0 && n <= PRINT_COLUMNS_MAX);
    return n;
}

static void add_header(struct grid *g, const struct print_options *o, const struct kind *k)
{
    if (o->with_namespace && k->namespaced) {
        buf_puts(&g->text, "NAMESPACE");
        grid_end_cell(g);
    }
    for (unsigned i = 0; i < k->columns_count; i++) {
        if (is_shown(o, &k->columns[i])) {
            buf_puts(&g->text, k->columns[i].title);
            grid_end_cell(g);
        }
    }
    if (o->show_labels) {
        buf_puts(&g->text, "LABELS");
        grid_end_cell(g);
    }
}

static void add_row(struct grid *g, const struct print_options *o, const struct object *obj, int64_t now_ms)
{
    const struct kind *k = obj->kind;
    if (o->with_namespace && k->namespaced) {
        buf_append_str(&g->text, obj->ns);
        grid_end_cell(g);
    }
    for (unsigned i = 0; i < k->columns_count; i++) {
        if (is_shown(o, &k->columns[i])) {
            write_cell(&g->text, o, &k->columns[i], obj, now_ms);
            grid_end_cell(g);
        }
    }
    if (o->show_labels) {
        write_labels(&g->text, obj);
        grid_end_cell(g);
    }
}

void print_table(struct buf *out, const struct print_options *o, const struct kind *k, struct object *const *objects,
                 unsigned count, int64_t now_ms, struct print_widths *widths)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    bool header = widths->kind != k && !o->no_headers;
    if (widths->kind != k) {
        *widths = (struct print_widths){.kind = k, .count = columns_of(o, k)};
    }
    struct grid g = {.columns = widths->count};
    g.ends = arena_alloc(&a, ((size_t)g.columns * (count + 1)) * sizeof(*g.ends));
    if (header) {
        add_header(&g, o, k);
    }
    for (unsigned i = 0; i < count; i++) {
        assert(objects[i]->kind == k);
        add_row(&g, o, objects[i], now_ms);
    }
    grid_write(out, &g, widths->width);
    buf_close(&g.text);
}

/* ---- Documents ---- */

struct value *print_document(struct arena *a, const struct object *o)
{
    struct value *doc = object_to_value(a, o);
    value_sort(doc);
    return doc;
}

struct value *print_list_document(struct arena *a, struct object *const *objects, unsigned count)
{
    struct value *list = value_map(a);
    value_set(a, list, "apiVersion", value_cstr(a, "v1"));
    struct value *items = value_ensure_list(a, list, "items");
    for (unsigned i = 0; i < count; i++) {
        value_append(a, items, print_document(a, objects[i]));
    }
    value_set(a, list, "kind", value_cstr(a, "List"));
    value_set(a, value_ensure_map(a, list, "metadata"), "resourceVersion", value_cstr(a, ""));
    return list;
}

/* custom-columns=NAME:.metadata.name,IP:.status.podIP */
static int print_custom(struct arena *a, struct buf *out, const struct print_options *o, struct object *const *objects,
                        unsigned count, struct error *err)
{
    const char *titles[PRINT_COLUMNS_MAX], *paths[PRINT_COLUMNS_MAX];
    unsigned columns = 0;
    char *spec = arena_strdup(a, o->argument), *save = NULL;
    for (char *part = strtok_r(spec, ",", &save); part != NULL; part = strtok_r(NULL, ",", &save)) {
        char *colon = strchr(part, ':');
        if (colon == NULL || columns == PRINT_COLUMNS_MAX) {
            return error_set(err, ERR_USAGE, "custom-columns: \"%s\" is not of the form TITLE:.path (at most %u)", part,
                             PRINT_COLUMNS_MAX);
        }
        *colon = '\0';
        titles[columns] = part;
        paths[columns++] = colon + 1;
    }
    if (columns == 0) {
        return error_set(err, ERR_USAGE, "custom-columns needs TITLE:.path,...");
    }
    struct grid g = {.columns = columns};
    g.ends = arena_alloc(a, ((size_t)columns * (count + 1)) * sizeof(*g.ends));
    for (unsigned c = 0; c < columns && !o->no_headers; c++) {
        buf_puts(&g.text, titles[c]);
        grid_end_cell(&g);
    }
    int rc = 0;
    for (unsigned i = 0; i < count && rc == 0; i++) {
        const struct value *doc = print_document(a, objects[i]);
        for (unsigned c = 0; c < columns && rc == 0; c++) {
            const struct value **found;
            unsigned n;
            rc = jsonpath_find(a, doc, paths[c], &found, &n, err);
            for (unsigned k = 0; k < n; k++) {
                buf_puts(&g.text, k > 0 ? "," : "");
                jsonpath_write_value(&g.text, found[k]);
            }
            buf_puts(&g.text, n == 0 ? "<none>" : "");
            grid_end_cell(&g);
        }
    }
    size_t width[PRINT_COLUMNS_MAX] = {0};
    if (rc == 0) {
        grid_write(out, &g, width);
    }
    buf_close(&g.text);
    return rc;
}

int print_objects(struct arena *a, struct buf *out, const struct print_options *o, struct object *const *objects,
                  unsigned count, bool single, struct error *err)
{
    assert(o->form != PRINT_TABLE && o->form != PRINT_WIDE);
    if (o->form == PRINT_NAME) {
        for (unsigned i = 0; i < count; i++) {
            print_kind_name(out, objects[i]->kind);
            buf_printf(out, "/%.*s\n", STR_ARG(objects[i]->name));
        }
        return 0;
    }
    if (o->form == PRINT_CUSTOM) {
        return print_custom(a, out, o, objects, count, err);
    }
    single = single && count == 1;
    const struct value *doc = single ? print_document(a, objects[0]) : print_list_document(a, objects, count);
    switch (o->form) {
    case PRINT_YAML:
        yaml_write(out, doc);
        return 0;
    case PRINT_JSON:
        json_write(out, doc, 4);
        buf_putc(out, '\n');
        return 0;
    default:
        return jsonpath_print(a, doc, o->argument, out, err);
    }
}
