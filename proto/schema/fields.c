/* First step of checking a document: names and types of fields, and normal forms. Reads the tables of proto/kinds/ and
 * changes the document in place. Nothing here knows a kind by name. */
#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "proto/model/quantity.h"
#include "proto/schema/table.h"
#include "proto/text/text.h"

struct walk {
    struct arena *arena;
    struct errlist *l;
    unsigned flags;
    unsigned level; /* fields of later ones are unknown */
};

/* old: what stands at the same place of the stored document, of whatever type; NULL if nothing does. */
static void fields_walk(const struct walk *w, const struct schema *s, struct value *v, const struct value *old,
                        const struct fpath *p);

/* Findings about what belongs to Secrets never show the value. */
static void bad_type(const struct walk *w, const struct field *f, const struct value *v, const struct fpath *p,
                     const char *why)
{
    if (w->l->count >= ERRLIST_MAX) {
        return;
    }
    if (f->flags & FIELD_SECRET) {
        errlist_add(w->l, ERROR_CAUSE_INVALID, v, fpath_text(w->arena, p), "Invalid value: (secret): %s", why);
    } else {
        bad_value(w->l, v, p, why);
    }
}

/* A float without a fraction, as JSON writers in some languages print integers. */
static bool to_integer(struct value *v, int64_t min, int64_t max)
{
    if (v->type == VALUE_FLOAT && v->number == floor(v->number) && fabs(v->number) < 9007199254740992.0) {
        v->integer = (int64_t)v->number;
        v->type = VALUE_INT;
    }
    return v->type == VALUE_INT && v->integer >= min && v->integer <= max;
}

static void to_text(struct arena *a, struct value *v, const char *text)
{
    v->str = str_of(arena_strdup(a, text));
    v->type = VALUE_STR;
}

/* Shortest text that reads back as the same number. */
static void format_number(double d, char out[32])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, d);
        if (strtod(out, NULL) == d) {
            return;
        }
    }
}

static const char *check_quantity(struct arena *a, struct value *v)
{
    char text[QUANTITY_SIZE];
    if (v->type == VALUE_INT) {
        snprintf(text, sizeof(text), "%" PRId64, v->integer);
        to_text(a, v, text);
    } else if (v->type == VALUE_FLOAT) {
        format_number(v->number, text);
        to_text(a, v, text);
    }
    if (v->type == VALUE_STR && quantity_canonical(v->str, text) && !str_is(v->str, text)) {
        to_text(a, v, text);
    }
    return v->type == VALUE_STR && quantity_valid(v->str) ? NULL : "must be a quantity, such as 500m, 1.5, 128Mi or 2G";
}

static const char *check_bytes(struct arena *a, struct value *v)
{
    if (v->type == VALUE_BIN) {
        return NULL;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (v->type != VALUE_STR || !base64_read(&b, v->str)) {
        return "must be base64 text";
    }
    v->type = VALUE_BIN;
    v->str = (struct str){b.size == 0 ? "" : arena_memdup(a, b.data, b.size), b.size};
    return NULL;
}

/* NULL, or what the value must be. */
static const char *check_scalar(struct arena *a, enum field_type type, struct value *v)
{
    int64_t ms;
    switch (type) {
    case FIELD_STRING:
        if (v->type == VALUE_STR) {
            return NULL;
        }
        return v->type == VALUE_INT || v->type == VALUE_FLOAT || v->type == VALUE_BOOL
                   ? "must be a string (write it in quotes)"
                   : "must be a string";
    case FIELD_INT32:
        return to_integer(v, INT32_MIN, INT32_MAX) ? NULL : "must be a whole number of 32 bits";
    case FIELD_INT64:
        return to_integer(v, INT64_MIN, INT64_MAX) ? NULL : "must be a whole number";
    case FIELD_BOOL:
        return v->type == VALUE_BOOL ? NULL : "must be true or false";
    case FIELD_FLOAT:
        return v->type == VALUE_FLOAT || v->type == VALUE_INT ? NULL : "must be a number";
    case FIELD_TIME:
        return v->type == VALUE_STR && timefmt_parse(v->str, &ms) ? NULL
                                                                  : "must be a time such as 2006-01-02T15:04:05Z";
    case FIELD_QUANTITY:
        return check_quantity(a, v);
    case FIELD_INT_OR_STRING:
        return v->type == VALUE_STR || to_integer(v, INT32_MIN, INT32_MAX) ? NULL : "must be a number or a string";
    case FIELD_BYTES:
        return check_bytes(a, v);
    case FIELD_OBJECT:
    case FIELD_ANY:
        break;
    }
    return NULL;
}

/* Below FIELD_ANY anything goes, but nulls are no more kept than elsewhere. */
static void any_drop_nulls(const struct walk *w, struct value *v)
{
    if (v->type == VALUE_LIST) {
        VALUE_FOR(i, v) any_drop_nulls(w, value_item(v, i));
    }
    if (v->type != VALUE_MAP || (w->flags & KIND_CHECK_PATCH)) {
        return;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < v->map.count; i++) {
        if (!value_is_null(v->map.members[i].value)) {
            any_drop_nulls(w, v->map.members[i].value);
            v->map.members[kept++] = v->map.members[i];
        }
    }
    v->map.count = kept;
}

static void check_one(const struct walk *w, const struct field *f, struct value *v, const struct value *old,
                      const struct fpath *p)
{
    if (f->type == FIELD_OBJECT) {
        if (v->type != VALUE_MAP) {
            bad_type(w, f, v, p, "must be a map");
        } else {
            fields_walk(w, f->sub, v, old, p);
        }
        return;
    }
    if (f->type == FIELD_ANY) {
        any_drop_nulls(w, v);
        return;
    }
    const char *why = check_scalar(w->arena, f->type, v);
    if (why != NULL) {
        bad_type(w, f, v, p, why);
    }
}

static bool is_patch_key(const struct walk *w, struct str key)
{
    return (w->flags & KIND_CHECK_PATCH) && key.n > 0 && key.p[0] == '$';
}

/* True, and reported, if there are more entries than checks that compare all with all can bear. */
static bool is_too_many(const struct walk *w, const struct value *v, unsigned max, const struct fpath *p)
{
    if (value_count(v) > max) {
        errlist_add(w->l, ERROR_CAUSE_TOO_MANY, v, fpath_text(w->arena, p), "Too many: %u: must have at most %u items",
                    value_count(v), max);
        return true;
    }
    return false;
}

static void check_list(const struct walk *w, const struct field *f, struct value *v, const struct value *old,
                       const struct fpath *p)
{
    if (v->type != VALUE_LIST) {
        bad_type(w, f, v, p, "must be a list");
        return;
    }
    if ((f->type == FIELD_OBJECT || (f->flags & FIELD_SET)) && is_too_many(w, v, KIND_LIST_MAX, p)) {
        return;
    }
    VALUE_FOR(i, v)
    {
        const struct value *was = old == NULL ? NULL : field_old_element(f, old, value_item(v, i), i);
        check_one(w, f, value_item(v, i), was, FPATH_ITEM(p, i));
    }
}

static void check_map(const struct walk *w, const struct field *f, struct value *v, const struct value *old,
                      const struct fpath *p)
{
    if (v->type != VALUE_MAP) {
        bad_type(w, f, v, p, "must be a map");
        return;
    }
    if (is_too_many(w, v, KIND_MAP_MAX, p)) {
        return;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < v->map.count; i++) {
        struct value_member m = v->map.members[i];
        if (value_is_null(m.value)) {
            if (!(w->flags & KIND_CHECK_PATCH)) {
                continue;
            }
        } else if (!is_patch_key(w, m.key)) {
            check_one(w, f, m.value, value_get_str_key(old, m.key), FPATH_KEY(p, m.key));
        }
        v->map.members[kept++] = m;
    }
    v->map.count = kept;
}

/* A member that the table does not know, or not at this level. True if it stays: it is to be kept, or it stands in
 * the stored document as well. */
static bool check_unknown(const struct walk *w, const struct schema *s, const struct field *later,
                          const struct value_member *m, const struct value *was, const struct fpath *p)
{
    if ((w->flags & KIND_CHECK_KEEP) || (was != NULL && value_equal(m->value, was))) {
        return true;
    }
    if (w->flags & KIND_CHECK_LENIENT) {
        return false;
    }
    if (later != NULL) {
        bad_later_field(w->l, m->line, m->column, FPATH_STR(p, m->key), later->since, w->level);
    } else {
        const char *near = w->l->count < ERRLIST_MAX ? schema_nearest(s, m->key) : NULL;
        bad_unknown_field(w->l, m->line, m->column, FPATH_STR(p, m->key), near);
    }
    return false;
}

/* True if the member stays in the document. */
static bool check_member(const struct walk *w, const struct schema *s, const struct value_member *m,
                         const struct value *old, const struct fpath *p)
{
    if (is_patch_key(w, m->key)) {
        return true;
    }
    const struct field *f = schema_field(s, m->key);
    const struct value *was = value_get_str_key(old, m->key);
    if (f == NULL || f->since > w->level) {
        return check_unknown(w, s, f, m, was, p);
    }
    if (value_is_null(m->value)) {
        return (w->flags & KIND_CHECK_PATCH) != 0;
    }
    const struct fpath *at = FPATH_STR(p, m->key);
    switch (f->shape) {
    case SHAPE_LIST:
        check_list(w, f, m->value, was, at);
        break;
    case SHAPE_MAP:
        check_map(w, f, m->value, was, at);
        break;
    case SHAPE_ONE:
        check_one(w, f, m->value, was, at);
        break;
    }
    return true;
}

static void fields_walk(const struct walk *w, const struct schema *s, struct value *v, const struct value *old,
                        const struct fpath *p)
{
    assert(v->type == VALUE_MAP);
    unsigned kept = 0;
    for (unsigned i = 0; i < v->map.count; i++) {
        struct value_member m = v->map.members[i];
        if (check_member(w, s, &m, old, p)) {
            v->map.members[kept++] = m;
        }
    }
    v->map.count = kept;
}

void fields_check(const struct kind *k, struct value *doc, const struct value *old, unsigned flags, struct errlist *l)
{
    assert(k != NULL && l != NULL && l->arena != NULL);
    unsigned level = flags >> 16;
    struct walk w = {l->arena, l, flags & 0xffff, level == 0 ? UINT_MAX : level - 1};
    if (!value_is_map(doc)) {
        errlist_add(l, ERROR_CAUSE_INVALID, doc, "", "must be a map with apiVersion, kind and metadata");
        return;
    }
    fields_walk(&w, k->schema, doc, old, NULL);
}

void kind_find_field_errors(const struct kind *k, struct arena *a, struct value *doc, unsigned flags, struct errlist *l)
{
    assert(l->arena == a);
    (void)a;
    fields_check(k, doc, NULL, flags, l);
}

const char *kind_document_name(const struct kind *k, struct arena *a, const struct value *doc)
{
    struct str name = value_to_str(value_at(doc, "metadata", "name", NULL));
    struct str prefix = value_to_str(value_at(doc, "metadata", "generateName", NULL));
    if (name.n == 0 && prefix.n > 0) {
        return arena_printf(a, "%s \"%.*s*\"", k->name, STR_ARG(prefix));
    }
    return arena_printf(a, "%s \"%.*s\"", k->name, STR_ARG(name));
}

int kind_check_fields_of(const struct kind *k, struct arena *a, struct value *doc, const struct value *old,
                         unsigned flags, struct error *err)
{
    struct errlist l = {.arena = a};
    fields_check(k, doc, old, flags, &l);
    return kind_findings(k, doc, &l, err);
}

int kind_findings(const struct kind *k, const struct value *doc, const struct errlist *l, struct error *err)
{
    if (l->count == 0) { /* as nearly always: nobody is named */
        return 0;
    }
    int rc = errlist_to_error(l, kind_document_name(k, l->arena, doc), NULL, err);
    kind_error_about(err, k, value_to_str(value_at(doc, "metadata", "name", NULL)));
    return rc;
}

int kind_check_fields(const struct kind *k, struct arena *a, struct value *doc, unsigned flags, struct error *err)
{
    return kind_check_fields_of(k, a, doc, NULL, flags, err);
}

/* ---- What came with a later level ---- */

static const char *find_later(struct arena *a, const struct schema *s, struct mp map, unsigned level,
                              const struct fpath *p)
{
    const char *found = NULL;
    for (struct mp_iter it = mp_iter(map); found == NULL && mp_next(&it);) {
        const struct field *f = schema_field(s, it.key);
        const struct fpath *here = FPATH_STR(p, it.key);
        if (f != NULL && f->since > level) {
            return fpath_text(a, here);
        }
        if (f == NULL || f->type != FIELD_OBJECT) {
            continue;
        }
        if (f->shape == SHAPE_ONE) {
            found = find_later(a, f->sub, it.value, level, here);
            continue;
        }
        unsigned i = 0;
        for (struct mp_iter e = mp_iter(it.value); found == NULL && mp_next(&e); i++) {
            found = find_later(a, f->sub, e.value, level, FPATH_ITEM(here, i));
        }
    }
    return found;
}

const char *kind_find_later(const struct kind *k, struct arena *a, struct mp body, unsigned level)
{
    return find_later(a, k->schema, body, level, NULL);
}

static void drop_readonly(const struct schema *s, struct value *v)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < value_count(v); i++) {
        struct value_member m = v->map.members[i];
        const struct field *f = schema_field(s, m.key);
        if (f != NULL && (f->flags & FIELD_READONLY)) {
            continue;
        }
        if (f != NULL && f->type == FIELD_OBJECT && f->shape == SHAPE_LIST && value_is_list(m.value)) {
            VALUE_FOR(j, m.value)
            {
                if (value_is_map(value_item(m.value, j))) {
                    drop_readonly(f->sub, value_item(m.value, j));
                }
            }
        } else if (f != NULL && f->type == FIELD_OBJECT && value_is_map(m.value)) {
            drop_readonly(f->sub, m.value);
        }
        v->map.members[kept++] = m;
    }
    v->map.count = kept;
}

void kind_drop_readonly(const struct kind *k, struct value *doc)
{
    assert(k != NULL && value_is_map(doc));
    if (k->has_status) {
        value_remove(doc, "status");
    }
    drop_readonly(k->schema, doc);
}
