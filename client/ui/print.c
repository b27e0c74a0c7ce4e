#include "client/ui/print.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "base/timefmt.h"
#include "client/manifest/manifest.h"
#include "client/ui/gotemplate.h"
#include "client/ui/jsonpath.h"
#include "proto/managed/managed.h"
#include "proto/text/text.h"

/* ---- Forms ---- */

#define FILE_MAX (1u << 20)

/* Documents of one object, or of a List of several. */
typedef int print_fn(struct arena *a, struct buf *out, const struct print_options *o, const struct value *doc,
                     struct error *err);
static print_fn print_yaml, print_json, print_path, print_path_json, print_template;

static const struct form_row {
    const char *name;
    enum print_form form;
    enum { ARGUMENT_NONE, ARGUMENT_TEXT, ARGUMENT_FILE } argument;
    print_fn *print; /* NULL: not by documents */
} forms[] = {
    {"wide", PRINT_WIDE, ARGUMENT_NONE, NULL},
    {"yaml", PRINT_YAML, ARGUMENT_NONE, print_yaml},
    {"json", PRINT_JSON, ARGUMENT_NONE, print_json},
    {"name", PRINT_NAME, ARGUMENT_NONE, NULL},
    {"jsonpath", PRINT_JSONPATH, ARGUMENT_TEXT, print_path},
    {"jsonpath-file", PRINT_JSONPATH, ARGUMENT_FILE, print_path},
    {"jsonpath-as-json", PRINT_JSONPATH_JSON, ARGUMENT_TEXT, print_path_json},
    {"go-template", PRINT_TEMPLATE, ARGUMENT_TEXT, print_template},
    {"template", PRINT_TEMPLATE, ARGUMENT_TEXT, print_template},
    {"go-template-file", PRINT_TEMPLATE, ARGUMENT_FILE, print_template},
    {"templatefile", PRINT_TEMPLATE, ARGUMENT_FILE, print_template},
    {"custom-columns", PRINT_CUSTOM, ARGUMENT_TEXT, NULL},
    {"custom-columns-file", PRINT_CUSTOM, ARGUMENT_FILE, NULL},
};

static int unknown_form(const char *text, struct error *err)
{
    CLEANUP_BUF struct buf names = BUF_INIT;
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        static const char *const arguments[] = {"", "=...", "=FILE"};
        buf_printf(&names, "%s%s%s", i > 0 ? ", " : "", forms[i].name, arguments[forms[i].argument]);
    }
    return error_set(err, ERR_USAGE, "unknown output form \"%s\"; there are: %s", text, buf_cstr(&names));
}

/* Two lines, titles and paths separated by blanks, to the text of custom-columns. */
static int columns_of_file(struct arena *a, char *text, const char **out, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char *save[3] = {NULL}, *titles = strtok_r(text, "\n", &save[0]), *paths = strtok_r(NULL, "\n", &save[0]);
    char *title = strtok_r(titles, " \t\r", &save[1]),
         *path = paths == NULL ? NULL : strtok_r(paths, " \t\r", &save[2]);
    while (title != NULL && path != NULL) {
        buf_printf(&b, "%s%s:%s", b.size > 0 ? "," : "", title, path);
        title = strtok_r(NULL, " \t\r", &save[1]);
        path = strtok_r(NULL, " \t\r", &save[2]);
    }
    if (title != NULL || path != NULL || b.size == 0) {
        return error_set(err, ERR_USAGE, "custom-columns-file: a line of titles and one of as many paths are expected");
    }
    *out = arena_strdup(a, buf_cstr(&b));
    return 0;
}

static int read_argument(struct arena *a, const struct form_row *row, struct print_options *o, struct error *err)
{
    if (row->argument == ARGUMENT_FILE) {
        CLEANUP_FREE char *text = NULL;
        size_t size;
        int rc = manifest_slurp(o->argument, FILE_MAX, &text, &size, err);
        if (rc != 0) {
            return error_wrap(err, "-o %s", row->name);
        }
        o->argument = arena_strdup(a, text);
        if (row->form == PRINT_CUSTOM) {
            rc = columns_of_file(a, text, &o->argument, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    struct gotemplate *t = NULL;
    int rc = row->form == PRINT_TEMPLATE ? gotemplate_parse(a, o->argument, &t, err) : 0;
    o->template = t;
    return rc;
}

int print_parse_form(struct arena *a, const char *text, const char *argument, struct print_options *o,
                     struct error *err)
{
    o->form = PRINT_TABLE;
    if (text == NULL && argument != NULL) {
        text = "go-template"; /* --template alone */
    }
    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    const char *eq = strchr(text, '=');
    size_t n = eq == NULL ? strlen(text) : (size_t)(eq - text);
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        const struct form_row *row = &forms[i];
        if (strlen(row->name) != n || memcmp(row->name, text, n) != 0) {
            continue;
        }
        if (row->argument == ARGUMENT_NONE && eq != NULL) {
            break;
        }
        o->form = row->form;
        if (row->argument == ARGUMENT_NONE) {
            return 0;
        }
        o->argument = eq != NULL ? eq + 1 : argument;
        if (o->argument == NULL || o->argument[0] == '\0') {
            return error_set(err, ERR_USAGE, "-o %s needs %s: -o %s=%s", row->name,
                             row->argument == ARGUMENT_FILE ? "a file" : "a template", row->name,
                             row->argument == ARGUMENT_FILE ? "FILE" : "...");
        }
        return read_argument(a, row, o, err);
    }
    return unknown_form(text, err);
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
    if (o->with_kind && strcmp(c->title, "NAME") == 0) {
        print_kind_name(out, obj->kind);
        buf_putc(out, '/');
    }
    kind_write_cell(out, c, obj, now_ms);
}

static bool is_shown(const struct print_options *o, const struct column *c)
{
    return !c->wide || o->form == PRINT_WIDE;
}

static unsigned columns_of(const struct print_options *o, const struct kind *k)
{
    unsigned n = (o->event != NULL) + (o->with_namespace && k->namespaced) + o->show_labels;
    for (const char *const *l = o->label_columns; l != NULL && *l != NULL; l++) {
        n++;
    }
    for (unsigned i = 0; i < k->columns_count; i++) {
        n += is_shown(o, &k->columns[i]);
    }
    assert(n > 0 && n <= PRINT_COLUMNS_MAX);
    return n;
}

static void add_text(struct grid *g, const char *text)
{
    buf_puts(&g->text, text);
    grid_end_cell(g);
}

/* "kubernetes.io/arch" -> "ARCH" */
static void add_label_title(struct grid *g, const char *key)
{
    const char *slash = strrchr(key, '/');
    for (const char *p = slash == NULL ? key : slash + 1; *p != '\0'; p++) {
        buf_putc(&g->text, (char)toupper((unsigned char)*p));
    }
    grid_end_cell(g);
}

static void add_header(struct grid *g, const struct print_options *o, const struct kind *k)
{
    if (o->event != NULL) {
        add_text(g, "EVENT");
    }
    if (o->with_namespace && k->namespaced) {
        add_text(g, "NAMESPACE");
    }
    for (unsigned i = 0; i < k->columns_count; i++) {
        if (is_shown(o, &k->columns[i])) {
            buf_puts(&g->text, k->columns[i].title);
            grid_end_cell(g);
        }
    }
    for (const char *const *l = o->label_columns; l != NULL && *l != NULL; l++) {
        add_label_title(g, *l);
    }
    if (o->show_labels) {
        add_text(g, "LABELS");
    }
}

static void add_row(struct grid *g, const struct print_options *o, const struct object *obj, int64_t now_ms)
{
    const struct kind *k = obj->kind;
    if (o->event != NULL) {
        add_text(g, o->event);
    }
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
    for (const char *const *l = o->label_columns; l != NULL && *l != NULL; l++) {
        struct str v;
        struct mp label = mp_get(mp_path(object_mp(obj), "metadata.labels"), *l);
        bool there = mp_read_str(&label, &v);
        buf_append_str(&g->text, there ? v : STR("<none>"));
        grid_end_cell(g);
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

struct value *print_managed_document(struct arena *a, const struct object *o)
{
    struct value *doc = object_to_value(a, o), *metadata = value_get(doc, "metadata");
    const struct value *stored = value_get(metadata, MANAGED_MEMBER);
    if (stored != NULL && stored->type == VALUE_BIN) {
        value_set(a, metadata, "managedFields",
                  managed_to_value(a, stored->str, value_to_str(value_get(doc, "apiVersion"))));
    }
    value_remove(metadata, MANAGED_MEMBER);
    value_sort(doc);
    return doc;
}

struct value *print_document(struct arena *a, const struct object *o)
{
    struct value *doc = object_to_value(a, o), *metadata = value_get(doc, "metadata");
    value_remove(metadata, MANAGED_MEMBER);
    value_remove(metadata, "managedFields");
    value_sort(doc);
    return doc;
}

static struct value *document_of(struct arena *a, const struct object *o, bool managed)
{
    return managed ? print_managed_document(a, o) : print_document(a, o);
}

struct value *print_list_document(struct arena *a, struct object *const *objects, unsigned count, bool managed)
{
    struct value *list = value_map(a);
    value_set(a, list, "apiVersion", value_cstr(a, "v1"));
    struct value *items = value_ensure_list(a, list, "items");
    for (unsigned i = 0; i < count; i++) {
        value_append(a, items, document_of(a, objects[i], managed));
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

static int print_yaml(struct arena *a, struct buf *out, const struct print_options *o, const struct value *doc,
                      struct error *err)
{
    (void)a, (void)o, (void)err;
    yaml_write(out, doc);
    return 0;
}

static int print_json(struct arena *a, struct buf *out, const struct print_options *o, const struct value *doc,
                      struct error *err)
{
    (void)a, (void)o, (void)err;
    json_write(out, doc, 4);
    buf_putc(out, '\n');
    return 0;
}

static int print_path(struct arena *a, struct buf *out, const struct print_options *o, const struct value *doc,
                      struct error *err)
{
    return jsonpath_print(a, doc, o->argument, out, err);
}

static int print_path_json(struct arena *a, struct buf *out, const struct print_options *o, const struct value *doc,
                           struct error *err)
{
    return jsonpath_print_json(a, doc, o->argument, out, err);
}

/* As templates know documents, which have been JSON: bytes are base64 text. */
static void bytes_to_text(struct arena *a, struct value *v)
{
    if (v->type == VALUE_BIN) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        base64_write(&b, v->str.p, v->str.n);
        *v = *value_str(a, buf_str(&b));
        return;
    }
    VALUE_FOR(i, v)
    {
        bytes_to_text(a, v->type == VALUE_LIST ? v->list.items[i] : v->map.members[i].value);
    }
}

static int print_template(struct arena *a, struct buf *out, const struct print_options *o, const struct value *doc,
                          struct error *err)
{
    struct value *mine = value_copy(a, doc);
    bytes_to_text(a, mine);
    return gotemplate_run(a, o->template, mine, out, err);
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
    struct value *doc =
        single ? document_of(a, objects[0], o->managed) : print_list_document(a, objects, count, o->managed);
    for (unsigned i = 0; i < count && o->api_version != NULL; i++) {
        struct value *item = single ? doc : value_item(value_get(doc, "items"), i);
        if (objects[i]->kind == o->version_kind &&
            kind_write_version(o->version_kind, a, item, str_of(o->api_version), err) != 0) {
            return err->code;
        }
    }
    return print_any_document(a, out, o, doc, err);
}

int print_any_document(struct arena *a, struct buf *out, const struct print_options *o, const struct value *doc,
                       struct error *err)
{
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        if (forms[i].form == o->form && forms[i].print != NULL) {
            return forms[i].print(a, out, o, doc, err);
        }
    }
    return error_set(err, ERR_USAGE, "this has no such form: yaml, json, jsonpath=... or go-template=... are possible");
}
