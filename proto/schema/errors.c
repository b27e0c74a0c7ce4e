/* Findings about documents: paths, the words used for each sort of finding, and the error made of them.
 * The words follow Kubernetes' (`spec.replicas: Invalid value: -1: must be ...`): people search for them. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "proto/schema/table.h"
#include "proto/text/text.h"

#define SHOWN_VALUE_MAX 128 /* longer values are cut in messages */

const char *fpath_text(struct arena *a, const struct fpath *p)
{
    if (p == NULL) {
        return "";
    }
    if (p->is_index) {
        return arena_printf(a, "%s[%u]", fpath_text(a, p->up), p->index);
    }
    if (p->is_key) {
        return arena_printf(a, "%s[%.*s]", fpath_text(a, p->up), STR_ARG(p->name));
    }
    return arena_printf(a, "%s%s%.*s", fpath_text(a, p->up), p->up == NULL ? "" : ".", STR_ARG(p->name));
}

/* Asked before the text is made: a document may be wrong in a hundred thousand places. */
static bool is_full(struct errlist *l)
{
    l->more += l->count >= ERRLIST_MAX;
    return l->count >= ERRLIST_MAX;
}

static void fill_slot(struct errlist *l, enum error_cause reason, const struct value *where, const char *field)
{
    assert(l != NULL && field != NULL && l->count < ERRLIST_MAX);
    l->items[l->count].reason = reason;
    l->items[l->count].field = arena_strdup(l->arena, field);
    l->items[l->count].line = where == NULL ? 0 : where->line;
    l->items[l->count].column = where == NULL ? 0 : where->column;
    l->items[l->count].whole = false;
}

void errlist_add(struct errlist *l, enum error_cause reason, const struct value *where, const char *field,
                 const char *fmt, ...)
{
    if (is_full(l)) {
        return;
    }
    fill_slot(l, reason, where, field);
    va_list ap;
    va_start(ap, fmt);
    l->items[l->count++].message = arena_vprintf(l->arena, fmt, ap);
    va_end(ap);
}

static void item_write(struct buf *out, const struct errlist *l, unsigned i, const char *file)
{
    if (l->items[i].line > 0 && file != NULL) {
        buf_printf(out, "%s:%u:%u: ", file, l->items[i].line, l->items[i].column);
    } else if (l->items[i].line > 0) {
        buf_printf(out, "line %u, column %u: ", l->items[i].line, l->items[i].column);
    }
    if (!l->items[i].whole && l->items[i].field[0] != '\0') {
        buf_printf(out, "%s: ", l->items[i].field);
    }
    buf_puts(out, l->items[i].message);
}

int errlist_to_error(const struct errlist *l, const char *what, const char *file, struct error *err)
{
    assert(l != NULL && what != NULL);
    if (l->count == 0) {
        return 0;
    }
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < l->count; i++) {
        if (l->count > 1) {
            buf_puts(&text, "\n* ");
        }
        item_write(&text, l, i, file);
    }
    /* A position in a file says enough; otherwise the object is named. */
    const char *field = l->items[0].field;
    if (l->count == 1 && file != NULL && l->items[0].line > 0) {
        error_set_field(err, ERR_INVALID, field, "%s", buf_cstr(&text));
    } else {
        error_set_field(err, ERR_INVALID, field, "%s is invalid:%s%s", what, l->count > 1 ? "" : " ", buf_cstr(&text));
    }
    for (unsigned i = 0; i < l->count; i++) {
        error_add_cause(err, l->items[i].reason, str_of(l->items[i].field), str_of(l->items[i].message));
    }
    if (err != NULL) {
        err->causes_all += l->more;
    }
    return ERR_INVALID;
}

/* ---- The sorts of findings ---- */

static const char *shown_value(struct arena *a, const struct value *v)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (v == NULL) {
        return "null";
    }
    if (v->type == VALUE_BIN) {
        return "(bytes)";
    }
    json_write_begin(&b, v, SHOWN_VALUE_MAX + 1);
    if (b.size > SHOWN_VALUE_MAX) {
        b.size = SHOWN_VALUE_MAX;
        while (b.size > 0 && (b.data[b.size] & 0xc0) == 0x80) {
            b.size--; /* not in the middle of a character */
        }
        buf_puts(&b, "...");
    }
    return arena_strndup(a, (const char *)b.data, b.size);
}

void bad_required(struct errlist *l, const struct value *where, const struct fpath *p)
{
    if (is_full(l)) {
        return;
    }
    errlist_add(l, ERROR_CAUSE_REQUIRED, where, fpath_text(l->arena, p), "Required value");
}

void bad_value(struct errlist *l, const struct value *v, const struct fpath *p, const char *why)
{
    if (is_full(l)) {
        return;
    }
    errlist_add(l, ERROR_CAUSE_INVALID, v, fpath_text(l->arena, p), "Invalid value: %s: %s", shown_value(l->arena, v),
                why);
}

void bad_duplicate(struct errlist *l, const struct value *v, const struct fpath *p)
{
    if (is_full(l)) {
        return;
    }
    errlist_add(l, ERROR_CAUSE_DUPLICATE, v, fpath_text(l->arena, p), "Duplicate value: %s", shown_value(l->arena, v));
}

void bad_not_found(struct errlist *l, const struct value *v, const struct fpath *p)
{
    if (is_full(l)) {
        return;
    }
    errlist_add(l, ERROR_CAUSE_NOT_FOUND, v, fpath_text(l->arena, p), "Not found: %s", shown_value(l->arena, v));
}

void bad_forbidden(struct errlist *l, const struct value *where, const struct fpath *p, const char *why)
{
    if (is_full(l)) {
        return;
    }
    errlist_add(l, ERROR_CAUSE_FORBIDDEN, where, fpath_text(l->arena, p), "Forbidden: %s", why);
}

void bad_too_long(struct errlist *l, const struct value *where, const struct fpath *p, size_t max)
{
    if (is_full(l)) {
        return;
    }
    errlist_add(l, ERROR_CAUSE_TOO_LONG, where, fpath_text(l->arena, p), "Too long: must have at most %zu bytes", max);
}

void bad_missing(struct errlist *l, const struct value *where, const struct fpath *p, const char *why)
{
    if (is_full(l)) {
        return;
    }
    errlist_add(l, ERROR_CAUSE_REQUIRED, where, fpath_text(l->arena, p), "Required value: %s", why);
}

bool in_choices(struct str s, const char *one_of)
{
    for (const char *p = one_of;;) {
        size_t n = strcspn(p, "|");
        if (str_eq(s, (struct str){p, n})) {
            return true;
        }
        if (p[n] == '\0') {
            return false;
        }
        p += n + 1;
    }
}

void bad_choice(struct errlist *l, const struct value *v, const struct fpath *p, const char *one_of)
{
    if (is_full(l)) {
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (const char *c = one_of; *c != '\0';) {
        size_t n = strcspn(c, "|");
        if (n > 0) {
            buf_printf(&b, "%s\"%.*s\"", b.size > 0 ? ", " : "", (int)n, c);
        }
        c += n + (c[n] == '|');
    }
    errlist_add(l, ERROR_CAUSE_NOT_SUPPORTED, v, fpath_text(l->arena, p), "Unsupported value: %s: supported values: %s",
                shown_value(l->arena, v), buf_cstr(&b));
}

void bad_unknown_field(struct errlist *l, unsigned line, unsigned column, const struct fpath *p, const char *nearest)
{
    if (is_full(l)) {
        return;
    }
    const char *text = fpath_text(l->arena, p);
    const struct value where = {.line = line, .column = column};
    fill_slot(l, ERROR_CAUSE_INVALID, &where, text);
    l->items[l->count].whole = true;
    l->items[l->count++].message =
        nearest == NULL ? arena_printf(l->arena, "unknown field \"%s\"", text)
                        : arena_printf(l->arena, "unknown field \"%s\" (did you mean \"%s\"?)", text, nearest);
}

void bad_later_field(struct errlist *l, unsigned line, unsigned column, const struct fpath *p, unsigned since,
                     unsigned level)
{
    if (is_full(l)) {
        return;
    }
    const struct value where = {.line = line, .column = column};
    errlist_add(l, ERROR_CAUSE_FORBIDDEN, &where, fpath_text(l->arena, p),
                "not yet: it needs feature level %u, and the cluster is at %u until all masters are upgraded "
                "(\"rctl cluster status\" shows them)",
                since, level);
}
