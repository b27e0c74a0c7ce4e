#include "proto/schema/edit.h"

#include <assert.h>

#include "proto/schema/table.h"

static bool is_there(struct mp m)
{
    return m.p != m.end;
}

struct edits {
    const struct schema_edit *items;
    unsigned count, next;
    unsigned index[SCHEMA_EDITS_MAX]; /* of the fields */
};

static void edits_place(struct edits *e, const struct schema *s)
{
    assert(e->count <= SCHEMA_EDITS_MAX);
    for (unsigned i = 0; i < e->count; i++) {
        e->index[i] = schema_field_index(s, str_of(e->items[i].key), i == 0 ? 0 : e->index[i - 1] + 1);
        assert(e->index[i] < s->count && (i == 0 || e->index[i] > e->index[i - 1]));
    }
}

/* Those whose place is before field `index`; how many members that makes. out may be NULL: they are counted alone. */
static uint32_t edits_before(struct edits *e, unsigned index, struct buf *out)
{
    uint32_t written = 0;
    for (; e->next < e->count && e->index[e->next] < index; e->next++) {
        const struct schema_edit *edit = &e->items[e->next];
        if (is_there(edit->value)) {
            written++;
            if (out != NULL) {
                mp_write_cstr(out, edit->key);
                buf_append(out, edit->value.p, (size_t)(edit->value.end - edit->value.p));
            }
        }
    }
    return written;
}

static bool is_edited(const struct edits *e, unsigned index)
{
    return e->next < e->count && e->index[e->next] == index;
}

/* Members as they come, with the edits between them. UINT32_MAX: they are not in order. */
static uint32_t walk(struct edits *e, const struct schema *s, struct mp map, struct buf *out)
{
    uint32_t count = 0;
    unsigned last = 0;
    bool first = true;
    e->next = 0;
    for (struct mp_iter it = mp_iter(map); mp_next(&it); first = false) {
        unsigned index = schema_field_index(s, it.key, first ? 0 : MIN(last + 1, s->count));
        if (!first && (index < last || (index == last && index < s->count))) {
            return UINT32_MAX;
        }
        last = index;
        count += edits_before(e, index, out);
        if (is_edited(e, index)) {
            continue; /* the edit is written before the next one */
        }
        count++;
        if (out != NULL) {
            mp_write_str(out, it.key);
            buf_append(out, it.value.p, (size_t)(it.value.end - it.value.p));
        }
    }
    return count + edits_before(e, s->count, out);
}

#define SMALL_MAP 16u /* below it the count is in the head's one byte */

bool schema_edit(struct buf *out, const struct schema *s, struct mp map, const struct schema_edit *edits,
                 unsigned count)
{
    struct edits e = {.items = edits, .count = count};
    size_t head = out->size;
    edits_place(&e, s);
    bool small = mp_count(map) + (uint64_t)count < SMALL_MAP;
    uint32_t members = small ? 0 : walk(&e, s, map, NULL);
    if (members == UINT32_MAX) {
        return false;
    }
    mp_write_map(out, members);
    uint32_t written = walk(&e, s, map, out);
    if (written == UINT32_MAX) {
        out->size = head;
        return false;
    }
    if (small) {
        out->data[head] |= (uint8_t)written;
    }
    assert(small ? written < SMALL_MAP : written == members);
    return true;
}
