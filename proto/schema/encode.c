/* Canonical bytes of a document: see kind.h.
 *
 * A document that was checked holds what its table knows, and nothing of another type. One that was read from the log
 * or from a snapshot may hold more: members that a newer program knows stand behind the others, in order of their keys,
 * and what is of another type than the table says is written as it is. So encoding never fails, and what is not
 * understood is kept. */
#include <assert.h>
#include <stdlib.h>

#include "proto/schema/table.h"

#define KEYS_ON_STACK 32
#define FIELDS_MAX    64 /* of one schema; PodSpec has the most */

static int member_cmp(const void *a, const void *b)
{
    const struct value_member *const *x = a, *const *y = b;
    return str_cmp((*x)->key, (*y)->key);
}

static void encode_free_map(const struct value *v,
                            void (*one)(const void *data, const struct value *v, struct buf *out), const void *data,
                            struct buf *out)
{
    const struct value_member *stack[KEYS_ON_STACK], **sorted = stack;
    CLEANUP_FREE void *heap = NULL;
    if (v->map.count > KEYS_ON_STACK) {
        sorted = heap = xmalloc(v->map.count * sizeof(*sorted));
    }
    unsigned count = 0;
    for (unsigned i = 0; i < v->map.count; i++) {
        if (!value_is_null(v->map.members[i].value)) {
            sorted[count++] = &v->map.members[i];
        }
    }
    qsort(sorted, count, sizeof(*sorted), member_cmp);
    mp_write_map(out, count);
    for (unsigned i = 0; i < count; i++) {
        mp_write_str(out, sorted[i]->key);
        one(data, sorted[i]->value, out);
    }
}

static void encode_any(const void *data, const struct value *v, struct buf *out)
{
    if (v->type == VALUE_MAP) {
        encode_free_map(v, encode_any, data, out);
    } else if (v->type == VALUE_LIST) {
        mp_write_array(out, v->list.count);
        VALUE_FOR(i, v) encode_any(data, value_item(v, i), out);
    } else {
        msgpack_write_value(out, v);
    }
}

static void encode_map(const struct schema *s, const struct value *v, struct buf *out);

static void encode_one(const void *data, const struct value *v, struct buf *out)
{
    const struct field *f = data;
    if (f->type == FIELD_OBJECT) {
        encode_map(f->sub, v, out);
    } else {
        encode_any(NULL, v, out);
    }
}

static void encode_field(const struct field *f, const struct value *v, struct buf *out)
{
    if (f->shape == SHAPE_MAP && v->type == VALUE_MAP) {
        encode_free_map(v, encode_one, f, out);
    } else if (f->shape == SHAPE_LIST && v->type == VALUE_LIST) {
        mp_write_array(out, v->list.count);
        VALUE_FOR(i, v) encode_one(f, value_item(v, i), out);
    } else if (f->shape == SHAPE_ONE) {
        encode_one(f, v, out);
    } else {
        encode_any(NULL, v, out);
    }
}

/* The revision of an object stands in its header, never in its bytes. */
static bool is_stored(const struct schema *s, const struct value_member *m)
{
    return !value_is_null(m->value) && !(s == &schema_object_meta && str_is(m->key, "resourceVersion"));
}

struct placed {
    unsigned index; /* of the field in the table; s->count: not in it */
    const struct value_member *member;
};

unsigned schema_field_index(const struct schema *s, struct str key, unsigned hint)
{
    for (unsigned n = 0; n < s->count; n++) {
        unsigned i = hint + n < s->count ? hint + n : hint + n - s->count;
        const char *name = s->fields[i].name;
        if (key.n > 0 && name[0] == key.p[0] && str_is(key, name)) { /* a key may have NULs */
            return i;
        }
    }
    return s->count;
}

static bool placed_after(const struct schema *s, const struct placed *a, const struct placed *b)
{
    return a->index != b->index ? a->index > b->index
                                : a->index == s->count && str_cmp(a->member->key, b->member->key) > 0;
}

/* Members by their place in the table; insertion, since most of them come in order. */
static unsigned place_members(const struct schema *s, const struct value *v, struct placed *placed)
{
    unsigned count = 0, hint = 0;
    for (unsigned i = 0; i < v->map.count; i++) {
        if (!is_stored(s, &v->map.members[i])) {
            continue;
        }
        struct placed p = {schema_field_index(s, v->map.members[i].key, hint), &v->map.members[i]};
        unsigned at = count++;
        for (; at > 0 && placed_after(s, &placed[at - 1], &p); at--) {
            placed[at] = placed[at - 1];
        }
        placed[at] = p;
        hint = p.index + 1 < s->count ? p.index + 1 : 0;
    }
    return count;
}

static void encode_map(const struct schema *s, const struct value *v, struct buf *out)
{
    if (v->type != VALUE_MAP) {
        encode_any(NULL, v, out);
        return;
    }
    struct placed stack[FIELDS_MAX], *placed = stack;
    CLEANUP_FREE void *heap = NULL;
    if (v->map.count > FIELDS_MAX) {
        placed = heap = xmalloc(v->map.count * sizeof *placed);
    }
    unsigned count = place_members(s, v, placed);
    mp_write_map(out, count);
    for (unsigned i = 0; i < count; i++) {
        mp_write_str(out, placed[i].member->key);
        if (placed[i].index < s->count) {
            encode_field(&s->fields[placed[i].index], placed[i].member->value, out);
        } else {
            encode_any(NULL, placed[i].member->value, out);
        }
    }
}

void kind_encode(const struct kind *k, const struct value *doc, struct buf *out)
{
    assert(k != NULL && value_is_map(doc) && out != NULL);
    encode_map(k->schema, doc, out);
}
