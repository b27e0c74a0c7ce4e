/* Writing is msgpack-c's packer with a struct buf behind it. The packer picks the shortest form of every integer,
 * string and container head; floats are always 64 bits, so that equal numbers have equal bytes. */
#include <assert.h>
#include <msgpack/pack.h>

#include "proto/model/msgpack.h"

static int append(void *data, const char *p, size_t n)
{
    buf_append(data, p, n);
    return 0;
}

static msgpack_packer packer_of(struct buf *b)
{
    assert(b != NULL);
    msgpack_packer pk;
    msgpack_packer_init(&pk, b, append);
    return pk;
}

void mp_write_nil(struct buf *b)
{
    msgpack_packer pk = packer_of(b);
    msgpack_pack_nil(&pk);
}

void mp_write_bool(struct buf *b, bool v)
{
    msgpack_packer pk = packer_of(b);
    if (v) {
        msgpack_pack_true(&pk);
    } else {
        msgpack_pack_false(&pk);
    }
}

void mp_write_int(struct buf *b, int64_t v)
{
    msgpack_packer pk = packer_of(b);
    msgpack_pack_int64(&pk, v);
}

void mp_write_uint(struct buf *b, uint64_t v)
{
    msgpack_packer pk = packer_of(b);
    msgpack_pack_uint64(&pk, v);
}

void mp_write_float(struct buf *b, double v)
{
    msgpack_packer pk = packer_of(b);
    msgpack_pack_double(&pk, v);
}

void mp_write_str(struct buf *b, struct str s)
{
    assert(s.n <= UINT32_MAX);
    msgpack_packer pk = packer_of(b);
    msgpack_pack_str(&pk, s.n);
    buf_append_str(b, s);
}

void mp_write_cstr(struct buf *b, const char *s)
{
    mp_write_str(b, str_of(s));
}

void mp_write_bin(struct buf *b, const void *p, size_t n)
{
    assert(n <= UINT32_MAX);
    msgpack_packer pk = packer_of(b);
    msgpack_pack_bin(&pk, n);
    buf_append(b, p, n);
}

void mp_write_array(struct buf *b, uint32_t count)
{
    msgpack_packer pk = packer_of(b);
    msgpack_pack_array(&pk, count);
}

void mp_write_map(struct buf *b, uint32_t count)
{
    msgpack_packer pk = packer_of(b);
    msgpack_pack_map(&pk, count);
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
