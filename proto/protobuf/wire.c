#include "proto/protobuf/wire.h"

#define NUMBER_MAX ((1u << 29) - 1)

bool pb_read_varint(struct str *rest, uint64_t *v)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < rest->n && i < 10; i++) {
        uint8_t byte = (uint8_t)rest->p[i];
        if (i == 9 && byte > 1) {
            return false;
        }
        n |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *rest = (struct str){rest->p + i + 1, rest->n - i - 1};
            *v = n;
            return true;
        }
    }
    return false;
}

static bool read_fixed(struct str *rest, unsigned bytes, uint64_t *v)
{
    if (rest->n < bytes) {
        return false;
    }
    *v = 0;
    for (unsigned i = 0; i < bytes; i++) {
        *v |= (uint64_t)(uint8_t)rest->p[i] << (8 * i);
    }
    *rest = (struct str){rest->p + bytes, rest->n - bytes};
    return true;
}

static bool read_bytes(struct str *rest, struct str *s)
{
    uint64_t n;
    if (!pb_read_varint(rest, &n) || n > rest->n) {
        return false;
    }
    *s = (struct str){rest->p, (size_t)n};
    *rest = (struct str){rest->p + n, rest->n - (size_t)n};
    return true;
}

int pb_next(struct str *rest, struct pb_field *f)
{
    uint64_t key;
    if (rest->n == 0) {
        return 0;
    }
    if (!pb_read_varint(rest, &key) || key >> 3 == 0 || key >> 3 > NUMBER_MAX) {
        return -1;
    }
    *f = (struct pb_field){.number = (uint32_t)(key >> 3), .type = (enum pb_type)(key & 7)};
    switch (f->type) {
    case PB_VARINT:
        return pb_read_varint(rest, &f->integer) ? 1 : -1;
    case PB_FIXED64:
        return read_fixed(rest, 8, &f->integer) ? 1 : -1;
    case PB_FIXED32:
        return read_fixed(rest, 4, &f->integer) ? 1 : -1;
    case PB_BYTES:
        return read_bytes(rest, &f->bytes) ? 1 : -1;
    }
    return -1;
}

void pb_put_varint(struct buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        buf_put_u8(out, (uint8_t)(v | 0x80));
    }
    buf_put_u8(out, (uint8_t)v);
}

void pb_put_int(struct buf *out, unsigned number, uint64_t v)
{
    pb_put_varint(out, (uint64_t)number << 3 | PB_VARINT);
    pb_put_varint(out, v);
}

void pb_put_bytes(struct buf *out, unsigned number, struct str s)
{
    pb_put_varint(out, (uint64_t)number << 3 | PB_BYTES);
    pb_put_varint(out, s.n);
    buf_append_str(out, s);
}
