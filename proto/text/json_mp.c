/* msgpack to JSON without a document between them: what is stored goes out as it lies there. The bytes have passed
 * mp_valid once; still nothing outside of them is read.
 *
 * Lists of thousands of objects are written so, so the heads of what is frequent (short texts, maps, lists, numbers)
 * are read here; what is rare goes through the readers of proto/model. */
#include <inttypes.h>
#include <string.h>

#include "base/le.h"
#include "proto/model/msgpack.h"
#include "proto/text/text.h"

/* As buf_putc and buf_reserve, without a call while there is room. */
static inline void put(struct buf *out, char c)
{
    if (out->size < out->cap) {
        out->data[out->size++] = (uint8_t)c;
    } else {
        buf_putc(out, c);
    }
}

static inline uint8_t *room(struct buf *out, size_t n)
{
    return out->cap - out->size >= n ? out->data + out->size : buf_reserve(out, n);
}

/* ---- Texts ---- */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Is there a byte among eight that does not stand in a JSON string as it is: below 0x20, above 0x7e, '"' or '\'? */
static bool has_odd(uint64_t w)
{
    uint64_t quote = w ^ EACH('"'), slash = w ^ EACH('\\'), del = w ^ EACH(0x7f);
    uint64_t low = (w - EACH(0x20)) & ~w;
    uint64_t zeros = ((quote - EACH(1)) & ~quote) | ((slash - EACH(1)) & ~slash) | ((del - EACH(1)) & ~del);
    return ((low | zeros | w) & EACH(0x80)) != 0;
}

/* Of fewer than eight bytes, one to seven: they are looked at together, some of them twice. */
static uint64_t few(const uint8_t *p, size_t n)
{
    if (n >= 4) {
        return le_load_u32(p) | (uint64_t)le_load_u32(p + n - 4) << 32;
    }
    return (EACH('a') & ~UINT64_C(0xffffff)) | p[0] | (uint64_t)p[n / 2] << 8 | (uint64_t)p[n - 1] << 16;
}

static bool is_plain(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    if (s.n < 8) {
        return s.n == 0 || !has_odd(few(p, s.n));
    }
    for (size_t i = 0; i + 8 <= s.n; i += 8) {
        if (has_odd(le_load_u64(p + i))) {
            return false;
        }
    }
    return !has_odd(le_load_u64(p + s.n - 8)); /* its end, which the loop may not reach */
}

/* Most texts are short: without a call. */
static void copy_text(uint8_t *to, const char *from, size_t n)
{
    if (n > 16) {
        memcpy(to, from, n);
    } else if (n >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + n - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + n - 8, &last, 8);
    } else if (n >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + n - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + n - 4, &last, 4);
    } else if (n > 0) {
        to[0] = (uint8_t)from[0];
        to[n / 2] = (uint8_t)from[n / 2];
        to[n - 1] = (uint8_t)from[n - 1];
    }
}

/* with: a character behind it. */
static void write_text(struct buf *out, struct str s, char with)
{
    if (!is_plain(s)) {
        struct value v = {.type = VALUE_STR, .str = s};
        json_write(out, &v, 0);
        if (with != '\0') {
            put(out, with);
        }
        return;
    }
    uint8_t *p = room(out, s.n + 3);
    p[0] = '"';
    copy_text(p + 1, s.p, s.n);
    p[s.n + 1] = '"';
    p[s.n + 2] = (uint8_t)with;
    out->size += s.n + 2 + (with != '\0');
}

void json_write_text(struct buf *out, struct str s)
{
    write_text(out, s, '\0');
}

/* ---- Everything else ---- */

static void write_int(struct buf *out, int64_t n)
{
    char text[24], *p = text + sizeof text;
    if (n >= 0 && n < 10) {
        put(out, (char)('0' + n));
        return;
    }
    uint64_t rest = n < 0 ? -(uint64_t)n : (uint64_t)n;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (n < 0) {
        *--p = '-';
    }
    buf_append(out, p, (size_t)(text + sizeof text - p));
}

/* Rare: no kind of today has one. */
static void write_float(struct buf *out, struct mp m)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    json_write(out, msgpack_read_checked(&a, m), 0);
}

/* The next text; a short one without a call. */
static bool take_text(struct mp *m, struct str *s)
{
    if (m->p < m->end && (*m->p & 0xe0) == 0xa0) {
        size_t n = *m->p & 0x1f;
        if ((size_t)(m->end - m->p) > n) {
            *s = (struct str){(const char *)m->p + 1, n};
            m->p += n + 1;
            return true;
        }
    }
    return mp_read_str(m, s);
}

static void write_list(struct buf *out, struct mp *m, uint32_t count)
{
    put(out, '[');
    for (uint32_t i = 0; i < count && m->p < m->end; i++) {
        if (i > 0) {
            put(out, ',');
        }
        json_write_mp(out, m);
    }
    put(out, ']');
}

static void write_map(struct buf *out, struct mp *m, uint32_t count)
{
    struct str key;
    put(out, '{');
    for (uint32_t i = 0; i < count && take_text(m, &key); i++) {
        if (i > 0) {
            put(out, ',');
        }
        write_text(out, key, ':');
        json_write_mp(out, m);
    }
    put(out, '}');
}

/* What is not read by its first byte. */
static void write_other(struct buf *out, struct mp *m)
{
    struct str s;
    struct mp item;
    int64_t n;
    uint64_t u;
    uint32_t count;
    switch (mp_type(*m)) {
    case MP_MAP:
        if (mp_read_map(m, &count)) {
            write_map(out, m, count);
        }
        return;
    case MP_ARRAY:
        if (mp_read_array(m, &count)) {
            write_list(out, m, count);
        }
        return;
    case MP_STR:
        if (mp_read_str(m, &s)) {
            write_text(out, s, '\0');
        }
        return;
    case MP_INT:
        if (mp_read_int(m, &n)) {
            write_int(out, n);
        }
        return;
    case MP_UINT:
        if (mp_read_uint(m, &u)) {
            buf_printf(out, "%" PRIu64, u);
        }
        return;
    case MP_BIN:
        if (mp_read_bin(m, &s)) {
            put(out, '"');
            base64_write(out, s.p, s.n);
            put(out, '"');
        }
        return;
    case MP_FLOAT:
        if (mp_read_item(m, &item)) {
            write_float(out, item);
        }
        return;
    default:
        buf_puts(out, "null");
        if (!mp_skip(m)) {
            m->p = m->end;
        }
        return;
    }
}

void json_write_mp(struct buf *out, struct mp *m)
{
    struct str s;
    uint8_t first = m->p < m->end ? *m->p : 0xc1;
    if ((first & 0xe0) == 0xa0 && take_text(m, &s)) {
        write_text(out, s, '\0');
    } else if ((first & 0xf0) == 0x80) {
        m->p++;
        write_map(out, m, first & 0x0f);
    } else if ((first & 0xf0) == 0x90) {
        m->p++;
        write_list(out, m, first & 0x0f);
    } else if (first < 0x80) {
        m->p++;
        write_int(out, first);
    } else if (first == 0xc2 || first == 0xc3) {
        m->p++;
        buf_append(out, first == 0xc3 ? "true" : "false", first == 0xc3 ? 4 : 5);
    } else {
        write_other(out, m);
    }
}
