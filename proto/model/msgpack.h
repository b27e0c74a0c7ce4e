/* msgpack: documents to bytes and back, writers for single items, and reading in place.
 *
 * Writing is always in the shortest encoding, so the bytes are canonical once the order of map keys is fixed (objects:
 * schema order, see proto/schema/kind.h; documents: as they stand). Specification: github.com/msgpack/msgpack/spec.md.
 * Reading takes bytes that a stranger chose: lengths are checked against what is there before anything is allocated or
 * touched; depth is limited by VALUE_DEPTH_MAX; ext types and non-string keys are refused (ERR_PROTOCOL). */
#ifndef PROTO_MODEL_MSGPACK_H
#define PROTO_MODEL_MSGPACK_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/value.h"

/* Reading in place: a cursor over bytes that are borrowed. */
struct mp {
    const uint8_t *p, *end; /* p == end: nothing there */
};

/* Documents. Decode: exactly one document must fill the bytes; strings are copied into the arena. */
void msgpack_write_value(struct buf *out, const struct value *v);
int msgpack_read_value(struct arena *a, const void *p, size_t n, struct value **out, struct error *err);
/* Bytes that have passed mp_valid, from a source of our own (store, canonical bodies): never fails. Limits on members
 * are not applied, of double keys both are kept (value_get answers the first), integers above INT64_MAX become
 * floats. */
struct value *msgpack_read_checked(struct arena *a, struct mp m);

/* Items, for writing messages by hand. */
void mp_write_nil(struct buf *b);
void mp_write_bool(struct buf *b, bool v);
void mp_write_int(struct buf *b, int64_t v);
void mp_write_uint(struct buf *b, uint64_t v);
void mp_write_float(struct buf *b, double v);
void mp_write_str(struct buf *b, struct str s);
void mp_write_cstr(struct buf *b, const char *s);
void mp_write_bin(struct buf *b, const void *p, size_t n);
void mp_write_array(struct buf *b, uint32_t count);
void mp_write_map(struct buf *b, uint32_t count);
/* The head of a map that has m's members and so many more, and m's members; the caller writes the others. */
void mp_write_map_and(struct buf *b, struct mp m, uint32_t more);
/* Short cuts for maps of scalars: key and value. */
void mp_write_key_str(struct buf *b, const char *key, struct str s);
void mp_write_key_int(struct buf *b, const char *key, int64_t v);
void mp_write_key_bool(struct buf *b, const char *key, bool v);

/* MP_INT: every integer that fits int64_t; MP_UINT: only those above INT64_MAX. MP_BAD: ext, reserved or cut short. */
enum mp_type { MP_NONE, MP_NIL, MP_BOOL, MP_INT, MP_UINT, MP_FLOAT, MP_STR, MP_BIN, MP_ARRAY, MP_MAP, MP_BAD };

/* Cursors. */
static inline struct mp mp_of(const void *p, size_t n)
{
    return (struct mp){(const uint8_t *)p, (const uint8_t *)p + n};
}
enum mp_type mp_type(struct mp m);
/* Check that exactly one well-formed document (strings as keys, no ext, limited depth) fills the bytes. The getters
 * below may be used on unchecked bytes too (they never read outside), but then answer "none" where damage begins. */
bool mp_valid(struct mp m);
/* The same of the item at the cursor, one level down, which goes behind it: for who looks at the members of a map and
 * checks it in one walk. */
bool mp_take_valid(struct mp *m, struct mp *item);
/* Is every head of this valid document in its shortest form, as mp_write_* write it? (The order of keys is not
 * looked at.) */
bool mp_shortest(struct mp m);
/* Read a head and advance; false (cursor unchanged) if the item is of another type or cut short. */
bool mp_read_array(struct mp *m, uint32_t *count);
bool mp_read_map(struct mp *m, uint32_t *count);
bool mp_read_str(struct mp *m, struct str *s);
bool mp_read_bin(struct mp *m, struct str *s);
bool mp_read_int(struct mp *m, int64_t *v);
bool mp_read_uint(struct mp *m, uint64_t *v);
bool mp_read_bool(struct mp *m, bool *v);
bool mp_read_nil(struct mp *m);
bool mp_skip(struct mp *m);                       /* one whole item */
bool mp_read_item(struct mp *m, struct mp *item); /* item = exactly the bytes of the next item; advances */
/* Lookup: the value below a key or a dotted path; an empty cursor if absent. */
struct mp mp_get(struct mp map, const char *key);
struct mp mp_get_str_key(struct mp map, struct str key);
struct mp mp_path(struct mp root, const char *path);
struct str mp_str(struct mp m); /* STR_NONE if not a string */
int64_t mp_int(struct mp m, int64_t fallback);
bool mp_bool(struct mp m, bool fallback);
bool mp_equal(struct mp a, struct mp b); /* the same bytes; both absent: equal */
uint32_t mp_count(struct mp m); /* elements of an array or pairs of a map; 0 otherwise */
/* for (struct mp_iter it = mp_iter(m); mp_next(&it);) { it.key (maps), it.value } over an array or a map. */
struct mp_iter {
    struct mp rest;
    uint32_t left;
    bool is_map;
    struct str key;
    struct mp value;
};
struct mp_iter mp_iter(struct mp container);
bool mp_next(struct mp_iter *it);

#endif
