#include "raft-store/store/entry.h"

#include <assert.h>
#include <lz4.h>
#include <string.h>
#include <xxhash.h>

#include "base/le.h"

static const uint8_t magic[4] = {'R', 'V', 'E', '1'};
#define ENTRY_VERSION     1u
#define ENTRY_FLAG_LZ4    1u
#define TXN_FLAG_ID       1u
#define TXN_FLAG_EXTRA    2u
#define TXN_FLAG_NUMBERED 4u
#define LZ4_RATIO_MAX     255u /* one byte of it stands for at most that many: no room is made for what cannot come */
#define EFFECT_SEALED     0x80u

/* ---- Numbers ---- */

void varint_write(struct buf *b, uint64_t v)
{
    uint8_t *p = buf_reserve(b, 10);
    unsigned n = 0;
    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    assert(n <= 10);
    b->size += n;
}

bool varint_read(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    uint64_t sum = 0;
    const uint8_t *q = *p;
    for (unsigned shift = 0; shift < 64 && q < end; shift += 7) {
        uint8_t byte = *q++;
        if (shift == 63 && byte > 1) {
            return false;
        }
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *p = q;
            *v = sum;
            return true;
        }
    }
    return false;
}

void varint_write_str(struct buf *b, struct str s)
{
    varint_write(b, s.n);
    if (s.n > 0) {
        buf_append(b, s.p, s.n);
    }
}

bool varint_read_str(const uint8_t **p, const uint8_t *end, struct str *s)
{
    uint64_t n;
    const uint8_t *q = *p;
    if (!varint_read(&q, end, &n) || n > (uint64_t)(end - q)) {
        return false;
    }
    *s = (struct str){(const char *)q, (size_t)n};
    *p = q + n;
    return true;
}

/* ---- Writing ---- */

void entry_write_txn(struct buf *payload, const struct entry_txn *t)
{
    assert(t->revision > 0 && t->extra.n <= ENTRY_EXTRA_MAX);
    assert(!t->has_id || t->id != NULL);
    assert(!t->numbered || (t->count >= 2 && t->revision >= t->count)); /* as entry_next_txn wants it */
    buf_put_u8(payload, (uint8_t)((t->has_id ? TXN_FLAG_ID : 0) | (t->extra.n > 0 ? TXN_FLAG_EXTRA : 0) |
                                  (t->numbered ? TXN_FLAG_NUMBERED : 0)));
    varint_write(payload, t->revision);
    if (t->has_id) {
        buf_append(payload, t->id, TXN_ID_SIZE);
    }
    if (t->extra.n > 0) {
        varint_write_str(payload, t->extra);
    }
    varint_write(payload, (uint64_t)t->wall_ms);
    varint_write(payload, t->count);
}

void entry_write_effect(struct buf *payload, const struct effect *e)
{
    assert(e->type >= EFFECT_PUT && e->type <= EFFECT_DELETE && e->kind_id > 0 && e->kind_id <= KIND_ID_MAX);
    assert(!e->sealed || e->type == EFFECT_PUT);
    assert(e->at <= OBJECT_SIZE_MAX && e->removed <= OBJECT_SIZE_MAX);
    buf_put_u8(payload, (uint8_t)((unsigned)e->type | (e->sealed ? EFFECT_SEALED : 0)));
    varint_write(payload, e->kind_id);
    varint_write_str(payload, e->ns);
    varint_write_str(payload, e->name);
    if (e->type == EFFECT_SPLICE) {
        varint_write(payload, e->at);
        varint_write(payload, e->removed);
    }
    if (e->type != EFFECT_DELETE) {
        varint_write_str(payload, e->bytes);
    }
}

static uint64_t checksum(const uint8_t *entry, size_t payload_size)
{
    uint64_t seed = XXH3_64bits(entry, 16);
    return XXH3_64bits_withSeed(entry + 24, 16 + payload_size, seed);
}

void entry_finish(struct buf *out, const struct buf *payload, struct view_hash before, unsigned optional)
{
    assert(payload->size > 0 && payload->size <= ENTRY_PAYLOAD_MAX && (optional & ~ENTRY_FLAGS_OPTIONAL) == 0);
    size_t start = out->size, packed = 0;
    bool compress = payload->size >= ENTRY_COMPRESS_MIN;
    size_t room = compress ? (size_t)LZ4_compressBound((int)payload->size) : payload->size;
    uint8_t *p = buf_reserve(out, ENTRY_HEAD_SIZE + MAX(room, payload->size) + 8);
    if (compress) {
        packed = (size_t)LZ4_compress_default((const char *)payload->data, (char *)p + ENTRY_HEAD_SIZE,
                                              (int)payload->size, (int)room);
        compress = packed > 0 && packed < payload->size - payload->size / 16;
    }
    if (!compress) {
        packed = payload->size;
        memcpy(p + ENTRY_HEAD_SIZE, payload->data, packed);
    }
    assert(packed > 0 && packed <= payload->size && (!compress || payload->size / LZ4_RATIO_MAX <= packed));
    memcpy(p, magic, 4);
    le_store_u32(p + 4, ENTRY_VERSION | ((compress ? ENTRY_FLAG_LZ4 : 0) | optional) << 16);
    le_store_u32(p + 8, (uint32_t)packed);
    le_store_u32(p + 12, (uint32_t)payload->size);
    le_store_u64(p + 24, before.lo);
    le_store_u64(p + 32, before.hi);
    le_store_u64(p + 16, checksum(p, packed));
    out->size += ENTRY_HEAD_SIZE + packed;
    while ((out->size - start) % 8 != 0) {
        buf_put_u8(out, 0); /* libraft loses entries of other lengths */
    }
    assert(out->size - start - ENTRY_HEAD_SIZE - packed < 8);
}

/* ---- Reading ---- */

/* What an entry says of itself; err may be NULL. */
struct head {
    uint32_t packed, size;
    bool lz4;
};
static int claims(struct error *err, size_t n, uint32_t packed, uint32_t size)
{
    return error_set(err, ERR_CORRUPT, "log entry of %zu bytes claims a payload of %u (%u unpacked)", n, packed, size);
}

static int read_head(const uint8_t *p, size_t n, struct head *h, struct error *err)
{
    if (n < ENTRY_HEAD_SIZE || memcmp(p, magic, 4) != 0) {
        return error_set(err, ERR_CORRUPT, "log entry of %zu bytes does not begin like one of Reeve's", n);
    }
    uint32_t version_flags = le_load_u32(p + 4), packed = le_load_u32(p + 8), size = le_load_u32(p + 12);
    unsigned version = version_flags & 0xffff, flags = version_flags >> 16;
    if (packed > n - ENTRY_HEAD_SIZE || n - ENTRY_HEAD_SIZE - packed >= 8) {
        return claims(err, n, packed, size);
    }
    if (checksum(p, packed) != le_load_u64(p + 16)) {
        return error_set(err, ERR_CORRUPT, "checksum of a log entry of %zu bytes does not fit", n);
    }
    if (version != ENTRY_VERSION || (flags & ~(ENTRY_FLAG_LZ4 | ENTRY_FLAGS_OPTIONAL)) != 0) {
        return error_set(err, ERR_UNSUPPORTED,
                         "log entry has format version %u, flags 0x%x, this program reads version %u: it was written "
                         "by a newer reeve-master; nothing is damaged, but a program of that version is needed here",
                         version, flags, ENTRY_VERSION);
    }
    if (size == 0 || size > ENTRY_PAYLOAD_MAX || ((flags & ENTRY_FLAG_LZ4) == 0 && packed != size) ||
        size / LZ4_RATIO_MAX > packed) {
        return claims(err, n, packed, size);
    }
    *h = (struct head){packed, size, (flags & ENTRY_FLAG_LZ4) != 0};
    return 0;
}

bool entry_is_sound(const void *p, size_t n)
{
    struct head h;
    int rc = read_head(p, n, &h, NULL);
    return rc == 0 || rc == ERR_UNSUPPORTED;
}

int entry_open(const void *data, size_t n, struct buf *payload, struct view_hash *before, struct error *err)
{
    const uint8_t *p = data;
    struct head h;
    int rc = read_head(p, n, &h, err);
    if (rc != 0) {
        return rc;
    }
    assert(h.size > 0 && h.size <= ENTRY_PAYLOAD_MAX && ENTRY_HEAD_SIZE + h.packed <= n); /* as entry_finish left it */
    *before = (struct view_hash){le_load_u64(p + 24), le_load_u64(p + 32)};
    buf_reset(payload);
    uint8_t *to = buf_reserve(payload, h.size);
    if (!h.lz4) {
        memcpy(to, p + ENTRY_HEAD_SIZE, h.size);
    } else if (LZ4_decompress_safe((const char *)p + ENTRY_HEAD_SIZE, (char *)to, (int)h.packed, (int)h.size) !=
               (int)h.size) {
        return error_set(err, ERR_CORRUPT, "log entry of %zu bytes cannot be unpacked", n);
    }
    payload->size = h.size;
    return 0;
}

static int cut_short(struct error *err, const char *what)
{
    return error_set(err, ERR_CORRUPT, "log entry: %s is cut short or malformed", what);
}

static int newer(struct error *err, const char *what)
{
    return error_set(err, ERR_UNSUPPORTED,
                     "log entry: %s that this program does not know: it was written by a newer reeve-master; nothing "
                     "is damaged, but a program of that version is needed here",
                     what);
}

int entry_next_txn(struct entry_reader *r, struct entry_txn *t, bool *more, struct error *err)
{
    assert(r->p <= r->end);
    *more = r->p < r->end;
    if (!*more) {
        return 0;
    }
    uint8_t flags = *r->p++;
    uint64_t wall;
    if ((flags & ~(TXN_FLAG_ID | TXN_FLAG_EXTRA | TXN_FLAG_NUMBERED)) != 0) {
        return newer(err, "a transaction has a flag");
    }
    if (!varint_read(&r->p, r->end, &t->revision) || t->revision == 0) {
        return cut_short(err, "a transaction's head");
    }
    t->has_id = (flags & TXN_FLAG_ID) != 0;
    t->id = NULL;
    if (t->has_id) {
        if (r->end - r->p < TXN_ID_SIZE) {
            return cut_short(err, "a transaction's id");
        }
        t->id = r->p;
        r->p += TXN_ID_SIZE;
    }
    t->extra = STR_NONE;
    if ((flags & TXN_FLAG_EXTRA) != 0 && !varint_read_str(&r->p, r->end, &t->extra)) {
        return cut_short(err, "what may be passed over of a transaction");
    }
    if (!varint_read(&r->p, r->end, &wall) || !varint_read(&r->p, r->end, &t->count) ||
        t->count > (uint64_t)(r->end - r->p)) { /* an effect has more than one byte */
        return cut_short(err, "a transaction's head");
    }
    t->numbered = (flags & TXN_FLAG_NUMBERED) != 0;
    if (t->numbered && (t->count < 2 || t->revision < t->count)) {
        return cut_short(err, "the numbering of a transaction");
    }
    t->wall_ms = (int64_t)wall;
    assert(r->p <= r->end && t->has_id == (t->id != NULL));
    return 0;
}

int entry_next_effect(struct entry_reader *r, struct effect *e, struct error *err)
{
    *e = (struct effect){0};
    if (r->p >= r->end) {
        return cut_short(err, "an effect");
    }
    uint8_t head = *r->p++;
    unsigned type = head & ~EFFECT_SEALED;
    e->sealed = (head & EFFECT_SEALED) != 0;
    uint64_t kind, at = 0, removed = 0;
    if (type < EFFECT_PUT || type > EFFECT_DELETE || (e->sealed && type != EFFECT_PUT)) {
        return newer(err, "an effect is of a type");
    }
    if (!varint_read(&r->p, r->end, &kind) || !varint_read_str(&r->p, r->end, &e->ns) ||
        !varint_read_str(&r->p, r->end, &e->name)) {
        return cut_short(err, "an effect's key");
    }
    if (kind > KIND_ID_MAX) {
        return newer(err, "an object's kind has a number");
    }
    if (kind == 0) {
        return cut_short(err, "an effect's key");
    }
    if (type == EFFECT_SPLICE && (!varint_read(&r->p, r->end, &at) || !varint_read(&r->p, r->end, &removed) ||
                                  at > OBJECT_SIZE_MAX || removed > OBJECT_SIZE_MAX)) {
        return cut_short(err, "a splice");
    }
    if (type != EFFECT_DELETE && !varint_read_str(&r->p, r->end, &e->bytes)) {
        return cut_short(err, "a body");
    }
    e->type = (enum effect_type)type;
    e->kind_id = (unsigned)kind;
    e->at = (size_t)at;
    e->removed = (size_t)removed;
    assert(r->p <= r->end);
    return 0;
}

bool entry_read_span(const void *p, size_t n, struct entry_span *out)
{
    CLEANUP_BUF struct buf payload = BUF_INIT;
    struct entry_txn t;
    struct effect effect;
    bool more;
    int rv;
    *out = (struct entry_span){0};
    if (entry_open(p, n, &payload, &out->before, NULL) != 0) {
        return false;
    }
    struct entry_reader r = {payload.data, payload.data + payload.size};
    while ((rv = entry_next_txn(&r, &t, &more, NULL)) == 0 && more) {
        out->first = out->first == 0 ? entry_first_revision(&t) : out->first;
        out->last = t.revision;
        out->wall_ms = t.wall_ms;
        for (uint64_t i = 0; i < t.count; i++) {
            if (entry_next_effect(&r, &effect, NULL) != 0) {
                return false;
            }
        }
    }
    return rv == 0 && out->first != 0;
}

void entry_write_aad(struct buf *out, unsigned kind_id, struct str ns, struct str name)
{
    varint_write(out, kind_id);
    varint_write_str(out, ns);
    varint_write_str(out, name);
}
