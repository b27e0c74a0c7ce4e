/* Every integer, string and container head is written in its shortest form; floats are always 64 bits, so that equal
 * numbers have equal bytes. */
#include <assert.h>
#include <string.h>

#include "proto/model/msgpack.h"

#define HEAD_MAX 9u

/* A byte, and behind it a number of n bytes, the highest first. */
static void write_wide(struct buf *b, uint8_t first, uint64_t v, unsigned n)
{
    uint8_t *p = buf_reserve(b, HEAD_MAX);
    *p++ = first;
    for (unsigned i = n; i-- > 0;) {
        *p++ = (uint8_t)(v >> (8 * i));
    }
    b->size += 1 + n;
}

static void write_byte(struct buf *b, uint8_t byte)
{
    *buf_reserve(b, 1) = byte;
    b->size++;
}

/* A head with a count of 8, 16 or 32 bits; first8 0: there is none of 8. */
static void write_count(struct buf *b, uint64_t n, uint8_t first8, uint8_t first16)
{
    assert(n <= UINT32_MAX);
    if (n <= UINT8_MAX && first8 != 0) {
        write_wide(b, first8, n, 1);
    } else if (n <= UINT16_MAX) {
        write_wide(b, first16, n, 2);
    } else {
        write_wide(b, (uint8_t)(first16 + 1), n, 4);
    }
}

void mp_write_nil(struct buf *b)
{
    write_byte(b, 0xc0);
}

void mp_write_bool(struct buf *b, bool v)
{
    write_byte(b, v ? 0xc3 : 0xc2);
}

void mp_write_uint(struct buf *b, uint64_t v)
{
    if (v < 0x80) {
        write_byte(b, (uint8_t)v);
    } else if (v <= UINT8_MAX) {
        write_wide(b, 0xcc, v, 1);
    } else if (v <= UINT16_MAX) {
        write_wide(b, 0xcd, v, 2);
    } else if (v <= UINT32_MAX) {
        write_wide(b, 0xce, v, 4);
    } else {
        write_wide(b, 0xcf, v, 8);
    }
}

void mp_write_int(struct buf *b, int64_t v)
{
    if (v >= 0) {
        mp_write_uint(b, (uint64_t)v);
    } else if (v >= -32) {
        write_byte(b, (uint8_t)v);
    } else if (v >= INT8_MIN) {
        write_wide(b, 0xd0, (uint64_t)v, 1);
    } else if (v >= INT16_MIN) {
        write_wide(b, 0xd1, (uint64_t)v, 2);
    } else if (v >= INT32_MIN) {
        write_wide(b, 0xd2, (uint64_t)v, 4);
    } else {
        write_wide(b, 0xd3, (uint64_t)v, 8);
    }
}

void mp_write_float(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    write_wide(b, 0xcb, bits, 8);
}

void mp_write_str(struct buf *b, struct str s)
{
    assert(s.n <= UINT32_MAX);
    if (s.n < 32) {
        uint8_t *p = buf_reserve(b, 32);
        *p = (uint8_t)(0xa0 | s.n);
        if (s.n > 0) {
            memcpy(p + 1, s.p, s.n);
        }
        b->size += 1 + s.n;
        return;
    }
    write_count(b, s.n, 0xd9, 0xda);
    buf_append_str(b, s);
}

void mp_write_cstr(struct buf *b, const char *s)
{
    mp_write_str(b, str_of(s));
}

void mp_write_bin(struct buf *b, const void *p, size_t n)
{
    write_count(b, n, 0xc4, 0xc5);
    buf_append(b, p, n);
}

void mp_write_array(struct buf *b, uint32_t count)
{
    if (count < 16) {
        write_byte(b, (uint8_t)(0x90 | count));
    } else {
        write_count(b, count, 0, 0xdc);
    }
}

void mp_write_map(struct buf *b, uint32_t count)
{
    if (count < 16) {
        write_byte(b, (uint8_t)(0x80 | count));
    } else {
        write_count(b, count, 0, 0xde);
    }
}

void mp_write_key_str(struct buf *b, const char *key, struct str s)
{
    mp_write_cstr(b, key);
    mp_write_str(b, s);
}

void mp_write_map_and(struct buf *b, struct mp m, uint32_t more)
{
    mp_write_map(b, mp_count(m) + more);
    for (struct mp_iter it = mp_iter(m); mp_next(&it);) {
        mp_write_str(b, it.key);
        buf_append(b, it.value.p, (size_t)(it.value.end - it.value.p));
    }
}

void mp_write_key_int(struct buf *b, const char *key, int64_t v)
{
    mp_write_cstr(b, key);
    mp_write_int(b, v);
}

void mp_write_key_bool(struct buf *b, const char *key, bool v)
{
    mp_write_cstr(b, key);
    mp_write_bool(b, v);
}

void msgpack_write_value(struct buf *out, const struct value *v)
{
    assert(v != NULL);
    switch (v->type) {
    case VALUE_NULL:
        mp_write_nil(out);
        break;
    case VALUE_BOOL:
        mp_write_bool(out, v->boolean);
        break;
    case VALUE_INT:
        mp_write_int(out, v->integer);
        break;
    case VALUE_FLOAT:
        mp_write_float(out, v->number);
        break;
    case VALUE_STR:
        mp_write_str(out, v->str);
        break;
    case VALUE_BIN:
        mp_write_bin(out, v->str.p, v->str.n);
        break;
    case VALUE_LIST:
        mp_write_array(out, v->list.count);
        for (unsigned i = 0; i < v->list.count; i++) {
            msgpack_write_value(out, v->list.items[i]);
        }
        break;
    case VALUE_MAP:
        mp_write_map(out, v->map.count);
        for (unsigned i = 0; i < v->map.count; i++) {
            mp_write_str(out, v->map.members[i].key);
            msgpack_write_value(out, v->map.members[i].value);
        }
        break;
    }
}
