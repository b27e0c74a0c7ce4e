/* The stored form: what an object carries of its managers.
 *
 *   1, entries, each: bits (1 Update, 2 subresource, 4 time), manager, [subresource], [seconds], set
 *   set: how many nodes, each: bits (0-1 sort, 2 owned, 3 something is below), text, [set]
 *   text: 0..127 so many bytes; 128..254 a word of words.h; 255, size, bytes
 *
 * Numbers are varints. An entry has no version: sets are in the terms of the version that the object is stored in.
 * Reading trusts nothing: the bytes may be of another program. */
#include <stdio.h>

#include "base/timefmt.h"
#include "proto/managed/managed_int.h"
#include "proto/managed/words.h"
#include "proto/text/text.h"

#define FORM      1u
#define DEPTH_MAX (VALUE_DEPTH_MAX + 8)

enum { ENTRY_UPDATE = 1, ENTRY_SUBRESOURCE = 2, ENTRY_TIME = 4, ENTRY_BITS = 7 };
enum { NODE_SORT = 3, NODE_OWNED = 4, NODE_BELOW = 8, NODE_BITS = 15 };
enum { TEXT_WORDS = 128, TEXT_LONG = 255 };

#define WORD(w) {(w), sizeof(w) - 1},
static const struct str words[] = {MANAGED_WORDS(WORD)};
#undef WORD
_Static_assert(ARRAY_SIZE(words) <= TEXT_LONG - TEXT_WORDS, "more words than bytes for them");

/* ---- Writing ---- */

static void put_number(struct buf *b, uint64_t n)
{
    for (; n >= 0x80; n >>= 7) {
        buf_put_u8(b, (uint8_t)(n | 0x80));
    }
    buf_put_u8(b, (uint8_t)n);
}

/* First letters and sizes stand side by side: few words are looked at. */
#define BRIEF(w) {(w)[0], sizeof(w) - 1},
static const struct {
    char first;
    uint8_t size;
} briefs[] = {MANAGED_WORDS(BRIEF)};
#undef BRIEF

static void put_text(struct buf *b, struct str s)
{
    for (size_t i = 0; s.n > 0 && i < ARRAY_SIZE(briefs); i++) {
        if (briefs[i].first == s.p[0] && briefs[i].size == s.n && memcmp(s.p, words[i].p, s.n) == 0) {
            buf_put_u8(b, (uint8_t)(TEXT_WORDS + i));
            return;
        }
    }
    if (s.n < TEXT_WORDS) {
        buf_put_u8(b, (uint8_t)s.n);
    } else {
        buf_put_u8(b, TEXT_LONG);
        put_number(b, s.n);
    }
    buf_append(b, s.p, s.n);
}

static void put_set(struct buf *b, const struct managed_set *s)
{
    put_number(b, s->count);
    for (unsigned i = 0; i < s->count; i++) {
        const struct managed_node *n = &s->nodes[i];
        buf_put_u8(b, (uint8_t)(n->sort | (n->owned ? NODE_OWNED : 0) | (n->below.count > 0 ? NODE_BELOW : 0)));
        put_text(b, n->text);
        if (n->below.count > 0) {
            put_set(b, &n->below);
        }
    }
}

void managed_write(struct buf *out, const struct managed *m)
{
    buf_put_u8(out, FORM);
    put_number(out, m->count);
    for (unsigned i = 0; i < m->count; i++) {
        const struct managed_entry *e = &m->entries[i];
        bool update = e->how == MANAGED_UPDATE, part = e->subresource.n > 0, time = e->has_time && e->time_s >= 0;
        buf_put_u8(out,
                   (uint8_t)((update ? ENTRY_UPDATE : 0) | (part ? ENTRY_SUBRESOURCE : 0) | (time ? ENTRY_TIME : 0)));
        put_text(out, e->manager);
        if (part) {
            put_text(out, e->subresource);
        }
        if (time) {
            put_number(out, (uint64_t)e->time_s);
        }
        put_set(out, &e->set);
    }
}

/* ---- Reading ---- */

struct reader {
    const uint8_t *p, *end;
};

static bool get_byte(struct reader *r, uint8_t *out)
{
    if (r->p == r->end) {
        return false;
    }
    *out = *r->p++;
    return true;
}

static bool get_number(struct reader *r, uint64_t *out)
{
    uint8_t b;
    *out = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
        if (!get_byte(r, &b)) {
            return false;
        }
        *out |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            return true;
        }
    }
    return false;
}

static bool get_text(struct reader *r, struct str *out)
{
    uint8_t b;
    uint64_t n;
    if (!get_byte(r, &b)) {
        return false;
    }
    if (b >= TEXT_WORDS && b < TEXT_LONG) {
        if ((size_t)(b - TEXT_WORDS) >= ARRAY_SIZE(words)) {
            return false;
        }
        *out = words[b - TEXT_WORDS];
        return true;
    }
    n = b;
    if ((b == TEXT_LONG && !get_number(r, &n)) || n > (uint64_t)(r->end - r->p)) {
        return false;
    }
    *out = (struct str){(const char *)r->p, (size_t)n};
    r->p += n;
    return utf8_valid(*out);
}

/* The head of a node; *below: a set follows. */
static bool get_node(struct reader *r, struct managed_node *n, bool *below)
{
    uint8_t bits;
    *n = (struct managed_node){0};
    if (!get_byte(r, &bits) || bits > NODE_BITS || !get_text(r, &n->text)) {
        return false;
    }
    n->sort = (enum managed_sort)(bits & NODE_SORT);
    n->owned = (bits & NODE_OWNED) != 0;
    *below = (bits & NODE_BELOW) != 0;
    return n->owned || *below;
}

/* A set has at least two bytes for each node. */
static bool get_count(struct reader *r, unsigned least, uint64_t *count)
{
    return get_number(r, count) && *count <= (uint64_t)(r->end - r->p) / least;
}

static bool get_set(struct arena *a, struct reader *r, unsigned depth, struct managed_set *s)
{
    uint64_t count;
    bool below;
    if (depth > DEPTH_MAX || !get_count(r, 2, &count)) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct managed_node n;
        if (!get_node(r, &n, &below) || (below && (!get_set(a, r, depth + 1, &n.below) || n.below.count == 0))) {
            return false;
        }
        managed_add(a, s, n);
    }
    managed_close(a, s);
    return true;
}

static bool get_entry(struct reader *r, struct managed_entry *e)
{
    uint8_t bits;
    uint64_t time = 0;
    *e = (struct managed_entry){0};
    if (!get_byte(r, &bits) || bits > ENTRY_BITS || !get_text(r, &e->manager)) {
        return false;
    }
    e->how = bits & ENTRY_UPDATE ? MANAGED_UPDATE : MANAGED_APPLY;
    e->has_time = (bits & ENTRY_TIME) != 0;
    if (((bits & ENTRY_SUBRESOURCE) && !get_text(r, &e->subresource)) || (e->has_time && !get_number(r, &time)) ||
        time > INT64_MAX / 1000) {
        return false;
    }
    e->time_s = (int64_t)time;
    return true;
}

static bool get_head(struct reader *r, struct str bytes, uint64_t *count)
{
    uint8_t form;
    *r = (struct reader){(const uint8_t *)bytes.p, (const uint8_t *)bytes.p + bytes.n};
    return bytes.n > 0 && get_byte(r, &form) && form == FORM && get_count(r, 3, count);
}

bool managed_read(struct arena *a, struct str bytes, struct managed *out)
{
    struct reader r;
    uint64_t count;
    *out = (struct managed){0};
    bool good = get_head(&r, bytes, &count);
    for (uint64_t i = 0; good && i < count; i++) {
        struct managed_entry e;
        good = get_entry(&r, &e) && get_set(a, &r, 0, &e.set);
        if (good) {
            out->entries = arena_grow(a, out->entries, out->count, &out->cap, sizeof e, 4);
            out->entries[out->count++] = e;
        }
    }
    good = good && r.p == r.end;
    if (!good) {
        *out = (struct managed){0};
    }
    return good;
}

/* ---- As JSON ---- */

/* "f:name", with its quotes. */
static void put_element(struct buf *out, struct buf *scratch, const struct managed_node *n)
{
    static const char letters[] = {'f', 'k', 'v', 'i'}; /* by sort */
    buf_reset(scratch);
    buf_putc(scratch, letters[n->sort]);
    buf_putc(scratch, ':');
    buf_append_str(scratch, n->text);
    json_write_text(out, buf_str(scratch));
}

static bool json_set(struct buf *out, struct buf *scratch, struct reader *r, unsigned depth, bool owned)
{
    uint64_t count;
    bool below;
    if (depth > DEPTH_MAX || !get_count(r, 2, &count)) {
        return false;
    }
    buf_puts(out, owned ? "{\".\":{}" : "{");
    for (uint64_t i = 0; i < count; i++) {
        struct managed_node n;
        if (!get_node(r, &n, &below)) {
            return false;
        }
        buf_puts(out, i > 0 || owned ? "," : "");
        put_element(out, scratch, &n);
        buf_putc(out, ':');
        if (!below) {
            buf_puts(out, "{}");
        } else if (!json_set(out, scratch, r, depth + 1, n.owned)) {
            return false;
        }
    }
    buf_putc(out, '}');
    return true;
}

static bool json_entry(struct buf *out, struct buf *scratch, struct reader *r, struct str api_version)
{
    struct managed_entry e;
    char time[TIMEFMT_SIZE];
    if (!get_entry(r, &e)) {
        return false;
    }
    buf_puts(out, "{\"manager\":");
    json_write_text(out, e.manager);
    buf_printf(out, ",\"operation\":\"%s\",\"apiVersion\":", e.how == MANAGED_UPDATE ? "Update" : "Apply");
    json_write_text(out, api_version);
    if (e.has_time) {
        timefmt_rfc3339(e.time_s * 1000, time);
        buf_printf(out, ",\"time\":\"%s\"", time);
    }
    buf_puts(out, ",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
    if (!json_set(out, scratch, r, 0, false)) {
        return false;
    }
    if (e.subresource.n > 0) {
        buf_puts(out, ",\"subresource\":");
        json_write_text(out, e.subresource);
    }
    buf_putc(out, '}');
    return true;
}

bool managed_write_json(struct buf *out, struct str bytes, struct str api_version)
{
    CLEANUP_BUF struct buf scratch = BUF_INIT;
    size_t before = out->size;
    struct reader r;
    uint64_t count;
    bool good = get_head(&r, bytes, &count) && count > 0;
    buf_putc(out, '[');
    for (uint64_t i = 0; good && i < count; i++) {
        buf_puts(out, i > 0 ? "," : "");
        good = json_entry(out, &scratch, &r, api_version);
    }
    buf_putc(out, ']');
    if (!good || r.p != r.end) {
        out->size = before;
        return false;
    }
    return true;
}
