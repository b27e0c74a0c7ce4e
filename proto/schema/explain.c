/* `rctl explain`: what the tables say, for people. */
#include <assert.h>
#include <inttypes.h>

#include "proto/schema/table.h"

#define EXPLAIN_WIDTH 80

/* Text in lines of at most EXPLAIN_WIDTH, each indented. */
static void write_wrapped(struct buf *out, const char *text, unsigned indent)
{
    size_t column = 0;
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, " ");
        if (column > 0 && column + 1 + n > EXPLAIN_WIDTH) {
            buf_putc(out, '\n');
            column = 0;
        }
        if (column == 0) {
            buf_printf(out, "%*s", (int)indent, "");
            column = indent;
        } else {
            buf_putc(out, ' ');
            column++;
        }
        buf_append(out, p, n);
        column += n;
        p += n;
        p += strspn(p, " ");
    }
    buf_putc(out, '\n');
}

static const char *scalar_name(enum field_type t)
{
    switch (t) {
    case FIELD_STRING:
        return "string";
    case FIELD_INT32:
    case FIELD_INT64:
        return "integer";
    case FIELD_BOOL:
        return "boolean";
    case FIELD_FLOAT:
        return "number";
    case FIELD_TIME:
        return "time";
    case FIELD_QUANTITY:
        return "quantity";
    case FIELD_INT_OR_STRING:
        return "integer or string";
    case FIELD_BYTES:
        return "base64";
    case FIELD_OBJECT:
        return "Object";
    case FIELD_ANY:
        return "anything";
    }
    return "";
}

static void write_type(struct buf *out, const struct field *f)
{
    const char *name = f->type == FIELD_OBJECT ? f->sub->name : scalar_name(f->type);
    buf_printf(out, f->shape == SHAPE_LIST ? "<[]%s>" : f->shape == SHAPE_MAP ? "<map[string]%s>" : "<%s>", name);
}

/* "A|B" -> "A, B". */
static void write_choices(struct buf *b, const char *choices)
{
    for (const char *c = choices; *c != '\0';) {
        size_t n = strcspn(c, "|");
        buf_printf(b, "%.*s%s", (int)n, c, c[n] == '|' ? ", " : "");
        c += n + (c[n] == '|');
    }
}

static void write_undone(struct buf *out, const struct field *f, unsigned indent)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_puts(&b, f->state == FIELD_REFUSED ? "Not carried out yet, so it is refused" : "Not carried out yet");
    if (f->quiet != NULL || f->beside != NULL) {
        buf_puts(&b, f->quiet != NULL ? " (but for " : " (unless ");
        write_choices(&b, f->quiet != NULL ? f->quiet : f->beside);
        buf_putc(&b, ')');
    } else if (f->keys != NULL) {
        buf_puts(&b, " for ");
        write_choices(&b, f->keys);
    }
    buf_printf(&b, ": %s.", f->undone);
    write_wrapped(out, buf_cstr(&b), indent);
}

static void write_facts(struct buf *out, const struct field *f, unsigned indent)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (f->one_of != NULL) {
        buf_puts(&b, "One of:");
        for (const char *c = f->one_of; *c != '\0';) {
            size_t n = strcspn(c, "|");
            buf_printf(&b, " %.*s%s", (int)n, n == 0 ? "\"\"" : c, c[n] == '|' ? "," : ".");
            c += n + (c[n] == '|');
        }
    }
    if (f->fallback != NULL && f->fallback[0] != '\0') {
        buf_printf(&b, "%sDefault: %s.", b.size > 0 ? " " : "", f->fallback);
    }
    if (f->merge_key != NULL) {
        buf_printf(&b, "%sEntries are told apart by %s.", b.size > 0 ? " " : "", f->merge_key);
    }
    if (b.size > 0) {
        write_wrapped(out, buf_cstr(&b), indent);
    }
    if (f->state != FIELD_DONE) {
        write_undone(out, f, indent);
    }
}

static void write_field_line(struct buf *out, const struct field *f, unsigned indent)
{
    buf_printf(out, "%*s%s\t", (int)indent, "", f->name);
    write_type(out, f);
    if (f->flags & FIELD_REQUIRED) {
        buf_puts(out, " -required-");
    }
    if (f->flags & FIELD_READONLY) {
        buf_puts(out, " -set by the system-");
    }
    if (f->state != FIELD_DONE) {
        bool partly = f->quiet != NULL || f->beside != NULL || f->keys != NULL;
        buf_puts(out, partly ? " (not all of it carried out yet)" : " (not carried out yet)");
    }
    buf_putc(out, '\n');
}

static void write_fields(struct buf *out, const struct schema *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        write_field_line(out, &s->fields[i], 2);
        write_wrapped(out, s->fields[i].doc, 4);
        write_facts(out, &s->fields[i], 4);
        buf_putc(out, '\n');
    }
}

static void write_tree(struct buf *out, const struct schema *s, unsigned indent)
{
    assert(indent < 2 * VALUE_DEPTH_MAX); /* no schema contains itself */
    for (unsigned i = 0; i < s->count; i++) {
        write_field_line(out, &s->fields[i], indent);
        if (s->fields[i].type == FIELD_OBJECT) {
            write_tree(out, s->fields[i].sub, indent + 2);
        }
    }
}

static struct str next_part(struct str *path)
{
    const char *dot = path->n == 0 ? NULL : memchr(path->p, '.', path->n);
    size_t n = dot == NULL ? path->n : (size_t)(dot - path->p);
    struct str part = {path->p, n};
    size_t skip = n + (dot != NULL);
    *path = (struct str){path->p + skip, path->n - skip};
    return part;
}

static int no_such_field(const struct schema *s, struct str whole, struct str part, struct error *err)
{
    const char *best = schema_nearest(s, part);
    if (best != NULL) {
        return error_set(err, ERR_NOT_FOUND, "%.*s: %s has no field \"%.*s\" (did you mean \"%s\"?)", STR_ARG(whole),
                         s->name, STR_ARG(part), best);
    }
    return error_set(err, ERR_NOT_FOUND, "%.*s: %s has no field \"%.*s\"", STR_ARG(whole), s->name, STR_ARG(part));
}

static void write_header(struct buf *out, const struct kind *k)
{
    const char *slash = strchr(k->api_version, '/');
    if (slash != NULL) {
        buf_printf(out, "GROUP:      %.*s\n", (int)(slash - k->api_version), k->api_version);
    }
    buf_printf(out, "KIND:       %s\nVERSION:    %s\n\n", k->name, slash == NULL ? k->api_version : slash + 1);
}

static void write_page(struct buf *out, const struct kind *k, const struct schema *s, const struct field *f,
                       bool recursive)
{
    write_header(out, k);
    if (f != NULL) {
        buf_printf(out, "FIELD: %s ", f->name);
        write_type(out, f);
        buf_puts(out, "\n\n");
    }
    buf_puts(out, "DESCRIPTION:\n");
    if (f != NULL) {
        write_wrapped(out, f->doc, 4);
        write_facts(out, f, 4);
    }
    if (s != NULL) {
        if (f == NULL || strcmp(f->doc, s->doc) != 0) {
            write_wrapped(out, s->doc, 4);
        }
        buf_puts(out, "\nFIELDS:\n");
        if (recursive) {
            write_tree(out, s, 2);
        } else {
            write_fields(out, s);
        }
    }
}

int kind_explain(struct buf *out, struct str path, bool recursive, struct error *err)
{
    assert(out != NULL);
    struct str rest = path, first = next_part(&rest);
    const struct kind *k = kind_by_any_name(first);
    if (k == NULL) {
        CLEANUP_BUF struct buf why = BUF_INIT;
        kind_explain_unknown(&why, first);
        return error_set(err, ERR_NOT_FOUND, "no kind \"%.*s\": %s", STR_ARG(first), buf_cstr(&why));
    }
    const struct schema *s = k->schema;
    const struct field *f = NULL;
    while (rest.n > 0) {
        struct str part = next_part(&rest);
        if (s == NULL) {
            return error_set(err, ERR_NOT_FOUND, "%.*s: %s has no fields", STR_ARG(path), f->name);
        }
        f = schema_field(s, part);
        if (f == NULL) {
            return no_such_field(s, path, part, err);
        }
        s = f->type == FIELD_OBJECT ? f->sub : NULL;
    }
    write_page(out, k, s, f, recursive);
    return 0;
}
