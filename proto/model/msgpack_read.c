/* Reading in place, and whole documents.
 *
 * Everything stands on read_head(), the one function that looks at bytes: it decodes the head of an item and answers
 * only if the head, the payload of a string, and at least one byte per element of a container are inside the bounds. So
 * a claimed count or length is never believed beyond what is there.
 *
 * Whole documents are read with the same cursor rather than with msgpack-c's unpacker: that one nests 32 levels at most
 * (an array in its parser), accepts ext types and any type as a key, and copies twice. */
#include <assert.h>
#include <string.h>

#include "proto/model/msgpack.h"

struct head {
    enum mp_type type;
    const uint8_t *payload; /* behind the head: bytes of a string, or the first element */
    uint32_t count;         /* bytes of STR and BIN, elements of ARRAY, pairs of MAP */
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double number;
    };
};

static uint64_t big_endian(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static void set_uint(struct head *h, uint64_t v)
{
    if (v <= INT64_MAX) {
        h->type = MP_INT;
        h->integer = (int64_t)v;
    } else {
        h->type = MP_UINT;
        h->natural = v;
    }
}

static void set_float(struct head *h, const uint8_t *p, unsigned n)
{
    h->type = MP_FLOAT;
    if (n == 4) {
        uint32_t bits = (uint32_t)big_endian(p, 4);
        float f;
        memcpy(&f, &bits, sizeof f);
        h->number = (double)f;
    } else {
        uint64_t bits = big_endian(p, 8);
        memcpy(&h->number, &bits, sizeof h->number);
    }
}

/* Width of the number that follows the first byte, for 0xc0 .. 0xdf; 0xff = not accepted (reserved, ext). */
static const uint8_t widths[32] = {
    /* c0 nil, -, false, true */ 0,
    0xff,
    0,
    0,
    /* c4 bin 8 16 32, ext */ 1,
    2,
    4,
    0xff,
    /* c8 ext, ext, float 32 64 */ 0xff,
    0xff,
    4,
    8,
    /* cc uint 8 16 32 64 */ 1,
    2,
    4,
    8,
    /* d0 int 8 16 32 64 */ 1,
    2,
    4,
    8,
    /* d4 fixext */ 0xff,
    0xff,
    0xff,
    0xff,
    /* d8 fixext, str 8 16 32 */ 0xff,
    1,
    2,
    4,
    /* dc array 16 32, map 16 32 */ 2,
    4,
    2,
    4,
};

/* Items with a first byte of 0xc0 .. 0xdf; p = what follows it, n = width of the number there, already known to be
 * inside. */
static void read_wide(struct head *h, uint8_t first, const uint8_t *p, unsigned n)
{
    switch (first) {
    case 0xc0:
        h->type = MP_NIL;
        break;
    case 0xc2:
    case 0xc3:
        h->type = MP_BOOL;
        h->boolean = first == 0xc3;
        break;
    case 0xc4 ... 0xc6:
        h->type = MP_BIN;
        h->count = (uint32_t)big_endian(p, n);
        break;
    case 0xca:
    case 0xcb:
        set_float(h, p, n);
        break;
    case 0xcc ... 0xcf:
        set_uint(h, big_endian(p, n));
        break;
    case 0xd0 ... 0xd3: {
        unsigned shift = 64 - 8 * n;
        h->type = MP_INT;
        h->integer = (int64_t)(big_endian(p, n) << shift) >> shift;
        break;
    }
    case 0xd9 ... 0xdb:
        h->type = MP_STR;
        h->count = (uint32_t)big_endian(p, n);
        break;
    case 0xdc:
    case 0xdd:
        h->type = MP_ARRAY;
        h->count = (uint32_t)big_endian(p, n);
        break;
    default:
        h->type = MP_MAP;
        h->count = (uint32_t)big_endian(p, n);
        break;
    }
}

/* False: nothing there (MP_NONE), or no acceptable item, or cut short (MP_BAD). */
static bool read_head(struct mp m, struct head *h)
{
    *h = (struct head){.type = MP_NONE};
    if (m.p == NULL || m.p >= m.end) {
        return false;
    }
    uint8_t first = m.p[0];
    const uint8_t *p = m.p + 1;
    if (first < 0x80 || first >= 0xe0) {
        h->type = MP_INT;
        h->integer = (int8_t)first;
    } else if (first < 0x90) {
        h->type = MP_MAP;
        h->count = first & 0x0f;
    } else if (first < 0xa0) {
        h->type = MP_ARRAY;
        h->count = first & 0x0f;
    } else if (first < 0xc0) {
        h->type = MP_STR;
        h->count = first & 0x1f;
    } else {
        unsigned width = widths[first - 0xc0];
        if (width == 0xff || (size_t)(m.end - p) < width) {
            h->type = MP_BAD;
            return false;
        }
        read_wide(h, first, p, width);
        p += width;
    }
    h->payload = p;
    uint64_t need = h->type == MP_MAP ? (uint64_t)h->count * 2 : h->count;
    if (need > (uint64_t)(m.end - p)) {
        h->type = MP_BAD;
        return false;
    }
    return true;
}

/* Behind the item if it holds no others, at the first element if it does. */
static const uint8_t *after_head(const struct head *h)
{
    return h->type == MP_STR || h->type == MP_BIN ? h->payload + h->count : h->payload;
}

static uint64_t elements(const struct head *h)
{
    return h->type == MP_ARRAY ? h->count : h->type == MP_MAP ? (uint64_t)h->count * 2 : 0;
}

enum mp_type mp_type(struct mp m)
{
    struct head h;
    read_head(m, &h);
    return h.type;
}

/* Small items, which are nearly all that there are, are told by their first byte: bodies are walked so often that
 * decoding each head was a fifth of a leader's time. */
static bool is_small_scalar(uint8_t first)
{
    return first < 0x80 || first >= 0xe0 || first == 0xc2 || first == 0xc3;
}

static bool is_small_str(uint8_t first)
{
    return (first & 0xe0) == 0xa0;
}

static bool is_small_container(uint8_t first)
{
    return first >= 0x80 && first < 0xa0;
}

/* What the first byte alone tells of an item: the bytes of its head, with those of a small string or of a number, and,
 * times 256, how many items it holds. 0: it has to be looked at. */
#define HOLDS(n)   ((n) << 8 | 1)
#define FOUR(n)    (n), (n) + 1, (n) + 2, (n) + 3
#define SIXTEEN(n) FOUR(n), FOUR((n) + 4), FOUR((n) + 8), FOUR((n) + 12)
static const uint16_t first_bytes[256] = {
    [0x00 ... 0x7f] = 1, /* numbers */
    [0x80] = HOLDS(0),
    HOLDS(2),
    HOLDS(4),
    HOLDS(6),
    HOLDS(8),
    HOLDS(10),
    HOLDS(12),
    HOLDS(14),
    HOLDS(16),
    HOLDS(18),
    HOLDS(20),
    HOLDS(22),
    HOLDS(24),
    HOLDS(26),
    HOLDS(28),
    HOLDS(30),
    [0x90] = HOLDS(0),
    HOLDS(1),
    HOLDS(2),
    HOLDS(3),
    HOLDS(4),
    HOLDS(5),
    HOLDS(6),
    HOLDS(7),
    HOLDS(8),
    HOLDS(9),
    HOLDS(10),
    HOLDS(11),
    HOLDS(12),
    HOLDS(13),
    HOLDS(14),
    HOLDS(15),
    [0xa0] = SIXTEEN(1),
    [0xb0] = SIXTEEN(17),
    [0xc0] = 1,
    [0xc2] = 1,
    [0xc3] = 1,
    [0xca] = 5,
    [0xcb] = 9,
    [0xcc] = 2,
    [0xcd] = 3,
    [0xce] = 5,
    [0xcf] = 9,
    [0xd0] = 2,
    [0xd1] = 3,
    [0xd2] = 5,
    [0xd3] = 9,
    [0xe0 ... 0xff] = 1,
};

static unsigned small_elements(uint8_t first)
{
    return first_bytes[first] >> 8;
}

/* Of an item whose first byte does not tell: behind its head and its text, and how many items it holds. False: it is
 * none. */
static bool skip_head(const uint8_t *p, size_t n, size_t *at, uint64_t *left)
{
    struct head h;
    if (!read_head((struct mp){p + *at, p + n}, &h)) {
        return false;
    }
    *at = (size_t)(after_head(&h) - p);
    *left += elements(&h);
    return true;
}

bool mp_skip(struct mp *m)
{
    /* At most one head a byte, so the loop ends; the sum cannot overflow since each count is at most the bytes left, or
     * 30. */
    const uint8_t *p = m->p;
    size_t n = p < m->end ? (size_t)(m->end - p) : 0, at = 0;
    for (uint64_t left = 1; left > 0; left--) {
        if (at >= n) {
            return false;
        }
        unsigned first = first_bytes[p[at]];
        if (first != 0) {
            at += first & 0xff;
            left += first >> 8;
        } else if ((p[at] == 0xd9 || p[at] == 0xc4) && at + 1 < n) { /* a uid, an image, a text */
            at += 2u + p[at + 1];
        } else if (!skip_head(p, n, &at, &left)) {
            return false;
        }
    }
    if (at > n) {
        return false;
    }
    m->p = p + at;
    return true;
}

/* Behind the item at m, whose containers may be `depth_max` deep; NULL: it is none. */
static const uint8_t *behind_valid(struct mp m, unsigned depth_max)
{
    struct {
        uint64_t left;
        bool is_map;
    } stack[VALUE_DEPTH_MAX + 1];
    unsigned depth = 0;
    stack[0].left = 1;
    stack[0].is_map = false;
    for (;;) {
        while (stack[depth].left == 0) {
            if (depth == 0) {
                return m.p;
            }
            depth--;
        }
        bool is_key = stack[depth].is_map && stack[depth].left % 2 == 0;
        struct head h;
        stack[depth].left--;
        if (m.p < m.end && is_small_str(*m.p)) {
            size_t size = 1u + (*m.p & 0x1f);
            if (size > (size_t)(m.end - m.p)) {
                return NULL;
            }
            m.p += size;
            continue;
        }
        if (m.p < m.end && !is_key && is_small_scalar(*m.p)) {
            m.p++;
            continue;
        }
        if (m.p < m.end && !is_key && is_small_container(*m.p)) {
            if (small_elements(*m.p) >= (size_t)(m.end - m.p) || depth == depth_max) {
                return NULL;
            }
            depth++;
            stack[depth].left = small_elements(*m.p);
            stack[depth].is_map = *m.p++ < 0x90;
            continue;
        }
        if (!read_head(m, &h) || (is_key && h.type != MP_STR)) {
            return NULL;
        }
        m.p = after_head(&h);
        if (h.type == MP_ARRAY || h.type == MP_MAP) {
            if (depth == depth_max) {
                return NULL;
            }
            depth++;
            stack[depth].left = elements(&h);
            stack[depth].is_map = h.type == MP_MAP;
        }
    }
}

bool mp_valid(struct mp m)
{
    const uint8_t *end = behind_valid(m, VALUE_DEPTH_MAX);
    return end != NULL && end == m.end;
}

bool mp_take_valid(struct mp *m, struct mp *item)
{
    const uint8_t *end = behind_valid(*m, VALUE_DEPTH_MAX - 1);
    if (end != NULL) {
        *item = (struct mp){m->p, end};
        m->p = end;
    }
    return end != NULL;
}

static size_t shortest_head(const struct head *h)
{
    uint64_t n = h->count;
    switch (h->type) {
    case MP_INT:
        n = h->integer < 0 ? (uint64_t)(-(h->integer + 1)) : (uint64_t)h->integer;
        if (h->integer >= -32 && h->integer < 128) {
            return 1;
        }
        /* A negative number needs one bit more. */
        if (h->integer < 0) {
            return n < 0x80 ? 2 : n < 0x8000 ? 3 : n < 0x80000000 ? 5 : 9;
        }
        return n < 0x100 ? 2 : n < 0x10000 ? 3 : n < 0x100000000 ? 5 : 9;
    case MP_UINT:
    case MP_FLOAT:
        return 9;
    case MP_STR:
        return n < 32 ? 1 : n < 0x100 ? 2 : n < 0x10000 ? 3 : 5;
    case MP_BIN:
        return n < 0x100 ? 2 : n < 0x10000 ? 3 : 5;
    case MP_ARRAY:
    case MP_MAP:
        return n < 16 ? 1 : n < 0x10000 ? 3 : 5;
    default:
        return 1;
    }
}

/* A number that is not negative can stand in a signed form of the same size: the writer never makes that one. */
static bool is_signed_form(struct mp m, const struct head *h)
{
    return h->type == MP_INT && h->integer >= 0 && *m.p >= 0xd0 && *m.p <= 0xd3;
}

bool mp_shortest(struct mp m)
{
    while (m.p < m.end) {
        struct head h;
        if (!read_head(m, &h) || (size_t)(h.payload - m.p) != shortest_head(&h) || is_signed_form(m, &h)) {
            return false;
        }
        m.p = after_head(&h);
    }
    return true;
}

static bool read_typed(struct mp *m, enum mp_type type, struct head *h)
{
    if (!read_head(*m, h) || h->type != type) {
        return false;
    }
    m->p = after_head(h);
    return true;
}

/* One whose head is a single byte. kind: the head of an empty one. */
static bool read_small_container(struct mp *m, uint8_t kind, uint32_t *count)
{
    if (m->p >= m->end || (*m->p & 0xf0) != kind || small_elements(*m->p) >= (size_t)(m->end - m->p)) {
        return false;
    }
    *count = *m->p++ & 0x0fu;
    return true;
}

bool mp_read_array(struct mp *m, uint32_t *count)
{
    struct head h;
    if (read_small_container(m, 0x90, count)) {
        return true;
    }
    if (!read_typed(m, MP_ARRAY, &h)) {
        return false;
    }
    *count = h.count;
    return true;
}

bool mp_read_map(struct mp *m, uint32_t *count)
{
    struct head h;
    if (read_small_container(m, 0x80, count)) {
        return true;
    }
    if (!read_typed(m, MP_MAP, &h)) {
        return false;
    }
    *count = h.count;
    return true;
}

static bool read_bytes(struct mp *m, enum mp_type type, struct str *s)
{
    struct head h;
    if (type == MP_STR && m->p < m->end && is_small_str(*m->p)) {
        size_t n = *m->p & 0x1f;
        if (n >= (size_t)(m->end - m->p)) {
            return false;
        }
        *s = (struct str){(const char *)m->p + 1, n};
        m->p += n + 1;
        return true;
    }
    if (!read_typed(m, type, &h)) {
        return false;
    }
    *s = (struct str){(const char *)h.payload, h.count};
    return true;
}

bool mp_read_str(struct mp *m, struct str *s)
{
    return read_bytes(m, MP_STR, s);
}

bool mp_read_bin(struct mp *m, struct str *s)
{
    return read_bytes(m, MP_BIN, s);
}

bool mp_read_int(struct mp *m, int64_t *v)
{
    struct head h;
    if (!read_typed(m, MP_INT, &h)) {
        return false;
    }
    *v = h.integer;
    return true;
}

bool mp_read_uint(struct mp *m, uint64_t *v)
{
    struct head h;
    if (!read_head(*m, &h) || !(h.type == MP_UINT || (h.type == MP_INT && h.integer >= 0))) {
        return false;
    }
    *v = h.type == MP_UINT ? h.natural : (uint64_t)h.integer;
    m->p = h.payload;
    return true;
}

bool mp_read_bool(struct mp *m, bool *v)
{
    struct head h;
    if (!read_typed(m, MP_BOOL, &h)) {
        return false;
    }
    *v = h.boolean;
    return true;
}

bool mp_read_nil(struct mp *m)
{
    struct head h;
    return read_typed(m, MP_NIL, &h);
}

bool mp_read_item(struct mp *m, struct mp *item)
{
    struct mp at = *m;
    if (!mp_skip(&at)) {
        return false;
    }
    *item = (struct mp){m->p, at.p};
    m->p = at.p;
    return true;
}

/* ---- Lookup ---- */

static struct mp nothing(void)
{
    return (struct mp){NULL, NULL};
}

struct mp mp_get_str_key(struct mp map, struct str key)
{
    uint32_t count;
    if (!mp_read_map(&map, &count)) {
        return nothing();
    }
    for (; count > 0; count--) {
        struct str k;
        if (!mp_read_str(&map, &k)) {
            return nothing();
        }
        if (k.n == key.n && (k.n == 0 || (k.p[0] == key.p[0] && memcmp(k.p, key.p, k.n) == 0))) {
            struct mp item;
            return mp_read_item(&map, &item) ? item : nothing();
        }
        if (!mp_skip(&map)) {
            return nothing();
        }
    }
    return nothing();
}

struct mp mp_get(struct mp map, const char *key)
{
    return mp_get_str_key(map, str_of(key));
}

struct mp mp_path(struct mp root, const char *path)
{
    assert(path != NULL);
    while (*path != '\0') {
        size_t n = strcspn(path, ".");
        root = mp_get_str_key(root, (struct str){path, n});
        path += n + (path[n] == '.');
    }
    return root;
}

struct str mp_str(struct mp m)
{
    struct str s;
    return mp_read_str(&m, &s) ? s : STR_NONE;
}

int64_t mp_int(struct mp m, int64_t fallback)
{
    int64_t v;
    return mp_read_int(&m, &v) ? v : fallback;
}

bool mp_bool(struct mp m, bool fallback)
{
    bool v;
    return mp_read_bool(&m, &v) ? v : fallback;
}

bool mp_equal(struct mp a, struct mp b)
{
    size_t n = (size_t)(a.end - a.p);
    return n == (size_t)(b.end - b.p) && (n == 0 || memcmp(a.p, b.p, n) == 0);
}

uint32_t mp_count(struct mp m)
{
    struct head h;
    return read_head(m, &h) && (h.type == MP_ARRAY || h.type == MP_MAP) ? h.count : 0;
}

struct mp_iter mp_iter(struct mp container)
{
    struct mp_iter it = {.rest = container};
    if (mp_read_map(&it.rest, &it.left)) {
        it.is_map = true;
    } else if (!mp_read_array(&it.rest, &it.left)) {
        it.left = 0;
    }
    return it;
}

bool mp_next(struct mp_iter *it)
{
    if (it->left == 0) {
        return false;
    }
    if ((it->is_map && !mp_read_str(&it->rest, &it->key)) || !mp_read_item(&it->rest, &it->value)) {
        it->left = 0;
        return false;
    }
    it->left--;
    return true;
}

/* ---- Documents ---- */

/* strict: what a stranger sent. Otherwise nothing is refused. */
struct reader {
    struct arena *arena;
    struct mp m;
    bool strict;
    struct error *err;
};

static int read_value(struct reader *r, struct value **out);

static int read_map_value(struct reader *r, uint32_t count, struct value **out)
{
    if (r->strict && count > VALUE_MEMBERS_MAX) {
        return error_set(r->err, ERR_TOO_LARGE, "a map of %u members; at most %u are allowed", count,
                         VALUE_MEMBERS_MAX);
    }
    struct value *map = value_map(r->arena);
    for (uint32_t i = 0; i < count; i++) {
        struct str key = STR_NONE;
        struct value *v;
        bool is_str = mp_read_str(&r->m, &key);
        assert(is_str);
        int rc = read_value(r, &v);
        if (rc != 0) {
            return rc;
        }
        value_push(r->arena, map, key, v);
    }
    unsigned first, second;
    if (r->strict && value_find_duplicate(map, &first, &second)) {
        return error_set(r->err, ERR_PROTOCOL, "key \"%.*s\" is there twice in one map",
                         STR_ARG(map->map.members[first].key));
    }
    *out = map;
    return 0;
}

static int read_list_value(struct reader *r, uint32_t count, struct value **out)
{
    if (r->strict && count > VALUE_ITEMS_MAX) {
        return error_set(r->err, ERR_TOO_LARGE, "a list of %u elements; at most %u are allowed", count,
                         VALUE_ITEMS_MAX);
    }
    struct value *list = value_list(r->arena);
    for (uint32_t i = 0; i < count; i++) {
        struct value *v;
        int rc = read_value(r, &v);
        if (rc != 0) {
            return rc;
        }
        value_append(r->arena, list, v);
    }
    *out = list;
    return 0;
}

/* The bytes have passed mp_valid: the depth is bounded and every head can be read. */
static int read_value(struct reader *r, struct value **out)
{
    struct head h;
    bool there = read_head(r->m, &h);
    assert(there);
    r->m.p = after_head(&h);
    switch (h.type) {
    case MP_NIL:
        *out = value_null(r->arena);
        return 0;
    case MP_BOOL:
        *out = value_bool(r->arena, h.boolean);
        return 0;
    case MP_INT:
        *out = value_int(r->arena, h.integer);
        return 0;
    case MP_FLOAT:
        *out = value_float(r->arena, h.number);
        return 0;
    case MP_STR:
        *out = value_str(r->arena, (struct str){(const char *)h.payload, h.count});
        return 0;
    case MP_BIN:
        *out = value_bin(r->arena, h.payload, h.count);
        return 0;
    case MP_ARRAY:
        return read_list_value(r, h.count, out);
    case MP_MAP:
        return read_map_value(r, h.count, out);
    default:
        *out = value_float(r->arena, (double)h.natural);
        return !r->strict ? 0
                          : error_set(r->err, ERR_PROTOCOL, "integer %llu does not fit 64 bits with sign",
                                      (unsigned long long)h.natural);
    }
}

int msgpack_read_value(struct arena *a, const void *p, size_t n, struct value **out, struct error *err)
{
    assert(a != NULL && out != NULL);
    struct reader r = {.arena = a, .m = mp_of(p, n), .strict = true, .err = err};
    if (!mp_valid(r.m)) {
        return error_set(err, ERR_PROTOCOL,
                         "no well-formed msgpack document in %zu bytes (one document, string keys, no ext, "
                         "at most %d levels)",
                         n, VALUE_DEPTH_MAX);
    }
    return read_value(&r, out);
}

struct value *msgpack_read_checked(struct arena *a, struct mp m)
{
    assert(a != NULL);
    struct reader r = {.arena = a, .m = m};
    struct value *v = NULL;
    int rc = read_value(&r, &v);
    assert(rc == 0 && r.m.p == r.m.end);
    return v;
}
