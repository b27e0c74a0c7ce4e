/* Do two documents say the same? By the tables: what counts is what a value means, not how it is written. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/timefmt.h"
#include "proto/model/quantity.h"
#include "proto/schema/table.h"

static bool times_equal(struct str a, struct str b)
{
    int64_t ma, mb;
    return str_eq(a, b) || (timefmt_parse(a, &ma) && timefmt_parse(b, &mb) && ma == mb);
}

static bool quantities_equal(struct str a, struct str b)
{
    return str_eq(a, b) || (quantity_valid(a) && quantity_valid(b) && quantity_cmp(a, b) == 0);
}

/* A number, or a text that is nothing but one. */
static struct str int_text(const struct value *v, char buf[24])
{
    if (v->type == VALUE_INT) {
        snprintf(buf, 24, "%" PRId64, v->integer);
        return str_of(buf);
    }
    return value_to_str(v);
}

static bool one_equal(const struct field *f, const struct value *a, const struct value *b)
{
    char ta[24], tb[24];
    switch (f->type) {
    case FIELD_OBJECT:
        return value_is_map(a) && value_is_map(b) ? schema_equal(f->sub, a, b) : value_equal(a, b);
    case FIELD_QUANTITY:
        return value_is_str(a) && value_is_str(b) ? quantities_equal(a->str, b->str) : value_equal(a, b);
    case FIELD_TIME:
        return value_is_str(a) && value_is_str(b) ? times_equal(a->str, b->str) : value_equal(a, b);
    case FIELD_INT_OR_STRING:
        return str_eq(int_text(a, ta), int_text(b, tb));
    default:
        return value_equal(a, b);
    }
}

/* What the table fills in where nothing is said. */
static bool is_default(const struct field *f, const struct value *v)
{
    char text[24];
    if (f->fallback == NULL) {
        return false;
    }
    switch (v->type) {
    case VALUE_BOOL:
        return strcmp(f->fallback, v->boolean ? "true" : "false") == 0;
    case VALUE_INT:
    case VALUE_STR:
        return str_is(int_text(v, text), f->fallback);
    case VALUE_MAP: /* DEFAULT("{}") */
        return f->type == FIELD_OBJECT && schema_equal(f->sub, v, NULL);
    default:
        return false;
    }
}

/* As good as absent: nothing, "", no elements, the table's default; and, where the table says so, false, 0 and {}. */
static bool is_nothing(const struct field *f, const struct value *v)
{
    if (value_is_null(v) || (f->shape == SHAPE_ONE && is_default(f, v))) {
        return true;
    }
    bool zero = (f->flags & FIELD_ZERO) != 0;
    switch (v->type) {
    case VALUE_STR:
    case VALUE_BIN:
        return f->shape == SHAPE_ONE && v->str.n == 0;
    case VALUE_LIST:
        return f->shape == SHAPE_LIST && v->list.count == 0;
    case VALUE_MAP:
        return f->shape == SHAPE_MAP ? v->map.count == 0
                                     : zero && f->type == FIELD_OBJECT && schema_equal(f->sub, v, NULL);
    case VALUE_BOOL:
        return zero && !v->boolean;
    case VALUE_INT:
        return zero && v->integer == 0;
    default:
        return false;
    }
}

static bool maps_equal(const struct field *f, const struct value *a, const struct value *b)
{
    CLEANUP_VALUE_INDEX struct value_index in_b = value_index_new(b);
    unsigned common = 0;
    for (unsigned i = 0; i < a->map.count; i++) {
        const struct value_member *m = &a->map.members[i];
        unsigned at = value_index_find(&in_b, m->key);
        if (value_is_null(m->value)) {
            continue;
        }
        if (at == VALUE_NOT_FOUND || value_is_null(b->map.members[at].value) ||
            !one_equal(f, m->value, b->map.members[at].value)) {
            return false;
        }
        common++;
    }
    unsigned there = 0;
    for (unsigned i = 0; i < b->map.count; i++) {
        there += !value_is_null(b->map.members[i].value);
    }
    return there == common;
}

bool field_equal(const struct field *f, const struct value *a, const struct value *b)
{
    bool no_a = is_nothing(f, a), no_b = is_nothing(f, b);
    if (no_a || no_b) {
        return no_a && no_b;
    }
    if (f->shape == SHAPE_MAP && value_is_map(a) && value_is_map(b)) {
        return maps_equal(f, a, b);
    }
    if (f->shape == SHAPE_LIST && value_is_list(a) && value_is_list(b)) {
        bool same = value_count(a) == value_count(b);
        for (unsigned i = 0; same && i < value_count(a); i++) {
            same = one_equal(f, value_item(a, i), value_item(b, i));
        }
        return same;
    }
    return f->shape == SHAPE_ONE ? one_equal(f, a, b) : value_equal(a, b);
}

/* Members of a that the table does not know (a newer program's): the same in b. */
static bool unknown_equal(const struct schema *s, const struct value *a, const struct value *b)
{
    for (unsigned i = 0; i < value_count(a); i++) {
        const struct value_member *m = &a->map.members[i];
        if (!value_is_null(m->value) && schema_field(s, m->key) == NULL &&
            !value_equal(m->value, value_get_str_key(b, m->key))) {
            return false;
        }
    }
    return true;
}

bool schema_equal(const struct schema *s, const struct value *a, const struct value *b)
{
    assert(a == NULL || b == NULL || (value_is_map(a) && value_is_map(b)));
    for (unsigned i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        const struct value *va = value_get(a, f->name), *vb = value_get(b, f->name);
        if (va != vb && !field_equal(f, va, vb)) {
            return false;
        }
    }
    return unknown_equal(s, a, b) && unknown_equal(s, b, a);
}

bool kind_equal(const struct kind *k, const char *path, const struct value *a, const struct value *b)
{
    const struct schema *s = k->schema;
    for (const char *p = path; *p != '\0';) {
        size_t n = strcspn(p, ".");
        const struct field *f = schema_field(s, (struct str){p, n});
        assert(f != NULL && f->type == FIELD_OBJECT && f->shape == SHAPE_ONE);
        s = f->sub;
        p += n + (p[n] == '.');
    }
    return value_is_map(a) && value_is_map(b) ? schema_equal(s, a, b) : value_is_null(a) && value_is_null(b);
}
