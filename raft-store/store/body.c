#include "raft-store/store/body.h"

#include <assert.h>
#include <string.h>

/* More members than any schema's top level or metadata has. */
#define SLOTS_MAX 64

/* A map's members sorted into the places its schema gives them: merging keeps canonical order by construction. Members
 * that the schema does not know (a newer program's) come behind, as they stand. */
struct slots {
    const struct schema *schema;
    struct mp value[SLOTS_MAX]; /* empty: absent */
    struct mp map;              /* what they were read from */
    uint32_t unknown;
};

static struct mp *slot_of(struct slots *s, struct str key)
{
    for (unsigned i = 0; i < s->schema->count; i++) {
        if (str_is(key, s->schema->fields[i].name)) {
            return &s->value[i];
        }
    }
    return NULL;
}

static void slots_fill(struct slots *s, const struct schema *schema, struct mp map)
{
    assert(schema->count <= SLOTS_MAX);
    s->schema = schema;
    memset(s->value, 0, schema->count * sizeof s->value[0]);
    s->map = map;
    s->unknown = 0;
    struct mp_iter it = mp_iter(map);
    while (mp_next(&it)) {
        struct mp *slot = slot_of(s, it.key);
        if (slot != NULL) {
            *slot = it.value;
        } else {
            s->unknown++;
        }
    }
}

static bool mp_is_empty(struct mp m)
{
    return m.p == m.end;
}

static void unknown_write(struct buf *out, struct slots *s)
{
    struct mp_iter it = mp_iter(s->map);
    while (s->unknown > 0 && mp_next(&it)) {
        if (slot_of(s, it.key) == NULL) {
            mp_write_str(out, it.key);
            buf_append(out, it.value.p, (size_t)(it.value.end - it.value.p));
        }
    }
}

static void slots_write(struct buf *out, struct slots *s)
{
    uint32_t count = s->unknown;
    for (unsigned i = 0; i < s->schema->count; i++) {
        count += !mp_is_empty(s->value[i]);
    }
    mp_write_map(out, count);
    for (unsigned i = 0; i < s->schema->count; i++) {
        if (!mp_is_empty(s->value[i])) {
            mp_write_cstr(out, s->schema->fields[i].name);
            buf_append(out, s->value[i].p, (size_t)(s->value[i].end - s->value[i].p));
        }
    }
    unknown_write(out, s);
}

static void replace_status(struct buf *out, const struct object *base, struct mp status)
{
    const uint8_t *body = object_body(base);
    size_t end = base->status_at + base->status_size;
    buf_append(out, body, base->status_at);
    buf_append(out, status.p, (size_t)(status.end - status.p));
    buf_append(out, body + end, base->body_size - end);
}

/* Bodies that are in the order of our tables, as nearly all are. False: this one is not. */
static bool merge_in_order(struct buf *out, const struct object *base, const struct object *status_of,
                           const struct schema_edit *edits, unsigned count)
{
    const struct schema *s = base->kind->schema;
    const struct field *meta = schema_field(s, STR("metadata"));
    CLEANUP_BUF struct buf scratch = BUF_INIT;
    struct schema_edit top[2];
    unsigned n = 0;
    if (count > 0) {
        assert(meta != NULL && meta->sub != NULL);
        if (!schema_edit(&scratch, meta->sub, mp_get(object_mp(base), "metadata"), edits, count)) {
            return false;
        }
        top[n++] = (struct schema_edit){"metadata", mp_of(scratch.data, scratch.size)};
    }
    if (status_of != base) {
        top[n++] = (struct schema_edit){"status", object_status(status_of)};
    }
    return schema_edit(out, s, object_mp(base), top, n);
}

void body_merge(struct buf *out, const struct object *base, const struct object *status_of,
                const struct schema_edit *edits, unsigned count)
{
    assert(base->kind == status_of->kind);
    if (count == 0 && base->status_size > 0 && status_of->status_size > 0) {
        replace_status(out, base, object_status(status_of)); /* what changes most */
        return;
    }
    if (merge_in_order(out, base, status_of, edits, count)) {
        return;
    }
    struct slots top, meta;
    slots_fill(&top, base->kind->schema, object_mp(base));
    if (status_of != base) {
        struct mp *status = slot_of(&top, STR("status"));
        assert(status != NULL);
        *status = object_status(status_of);
    }
    struct mp *meta_slot = slot_of(&top, STR("metadata"));
    CLEANUP_BUF struct buf scratch = BUF_INIT;
    if (count > 0) {
        const struct field *f = schema_field(base->kind->schema, STR("metadata"));
        assert(f != NULL && f->sub != NULL && meta_slot != NULL);
        slots_fill(&meta, f->sub, *meta_slot);
        for (unsigned i = 0; i < count; i++) {
            struct mp *slot = slot_of(&meta, str_of(edits[i].key));
            assert(slot != NULL);
            *slot = edits[i].value;
        }
        slots_write(&scratch, &meta);
        *meta_slot = mp_of(scratch.data, scratch.size);
    }
    slots_write(out, &top);
}

static bool is_spec(struct str key)
{
    return !str_is(key, "apiVersion") && !str_is(key, "kind") && !str_is(key, "metadata") && !str_is(key, "status");
}

static bool next_spec(struct mp_iter *it)
{
    while (mp_next(it)) {
        if (is_spec(it->key)) {
            return true;
        }
    }
    return false;
}

bool body_spec_equal(const struct object *a, const struct object *b)
{
    struct mp_iter ia = mp_iter(object_mp(a)), ib = mp_iter(object_mp(b));
    for (;;) {
        bool more_a = next_spec(&ia), more_b = next_spec(&ib);
        if (more_a != more_b) {
            return false;
        }
        if (!more_a) {
            return true;
        }
        size_t na = (size_t)(ia.value.end - ia.value.p), nb = (size_t)(ib.value.end - ib.value.p);
        if (!str_eq(ia.key, ib.key) || na != nb || memcmp(ia.value.p, ib.value.p, na) != 0) {
            return false;
        }
    }
}

void body_common_ends(const void *a, size_t a_size, const void *b, size_t b_size, size_t *at, size_t *tail)
{
    const uint8_t *x = a, *y = b;
    size_t max = a_size < b_size ? a_size : b_size, i = 0, j = 0;
    while (i + 8 <= max && memcmp(x + i, y + i, 8) == 0) {
        i += 8;
    }
    while (i < max && x[i] == y[i]) {
        i++;
    }
    max -= i; /* the ends must not overlap */
    while (j + 8 <= max && memcmp(x + a_size - j - 8, y + b_size - j - 8, 8) == 0) {
        j += 8;
    }
    while (j < max && x[a_size - j - 1] == y[b_size - j - 1]) {
        j++;
    }
    *at = i;
    *tail = j;
}
