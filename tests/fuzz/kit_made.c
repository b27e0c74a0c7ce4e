/* A document of a kind, made from nothing but its table: so a new kind needs no line here. */
#include "tests/fuzz/kit_hostile.h"

#define MADE_DEPTH 6u

/* The first of "A|B|C". */
static struct value *first_choice(struct arena *a, const char *one_of)
{
    return value_str(a, (struct str){one_of, strcspn(one_of, "|")});
}

static struct value *made_fields(struct arena *a, const struct schema *s, bool whole, unsigned depth);

/* One value of the field's type, without its shape. */
static struct value *made_one(struct arena *a, const struct field *f, bool whole, unsigned depth)
{
    switch (f->type) {
    case FIELD_STRING:
        return f->one_of != NULL     ? first_choice(a, f->one_of)
               : f->fallback != NULL ? value_cstr(a, f->fallback)
                                     : value_cstr(a, "made");
    case FIELD_INT32:
    case FIELD_INT64:
    case FIELD_INT_OR_STRING:
        return value_int(a, 1);
    case FIELD_FLOAT:
        return value_float(a, 0.5);
    case FIELD_ANY:
        return value_map(a);
    case FIELD_BOOL:
        return value_bool(a, true);
    case FIELD_TIME:
        return value_cstr(a, "2026-01-01T00:00:00Z");
    case FIELD_QUANTITY:
        return value_cstr(a, "1");
    case FIELD_BYTES:
        return value_cstr(a, "bWFkZQ==");
    case FIELD_OBJECT:
        return made_fields(a, f->sub, whole, depth + 1);
    }
    return value_map(a);
}

static struct value *made_fields(struct arena *a, const struct schema *s, bool whole, unsigned depth)
{
    struct value *map = value_map(a);
    for (unsigned i = 0; i < s->count && depth < MADE_DEPTH; i++) {
        const struct field *f = &s->fields[i];
        bool wanted = (f->flags & FIELD_REQUIRED) != 0 || (whole && f->state == FIELD_DONE);
        if (!wanted || (f->flags & FIELD_READONLY) != 0) {
            continue;
        }
        struct value *one = made_one(a, f, whole, depth), *v = one;
        if (f->shape == SHAPE_LIST) {
            value_append(a, v = value_list(a), one);
        } else if (f->shape == SHAPE_MAP) {
            value_set(a, v = value_map(a), "made", one);
        }
        value_set(a, map, f->name, v);
    }
    return map;
}

struct value *hostile_made(struct arena *a, const struct kind *k, bool whole)
{
    struct value *doc = made_fields(a, k->schema, whole, 0), *meta = value_map(a);
    value_set(a, meta, "name", value_cstr(a, "made"));
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, doc, "metadata", meta);
    return doc;
}
