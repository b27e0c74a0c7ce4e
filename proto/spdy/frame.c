/* Frames: a head of 8 bytes, and what its length says. Source: draft-mbelshe-httpbis-spdy-00, sections 2.2 and 2.6. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "proto/spdy/spdy.h"

#define VERSION  3u
#define CONTROL  0x80000000u
#define FLAG_FIN 1u
#define ID_MASK  0x7fffffffu

/* ---- Reading ---- */

void spdy_in_init(struct spdy_in *in)
{
    *in = (struct spdy_in){0};
}

size_t spdy_in_held(const struct spdy_in *in)
{
    return in->frame.cap + in->block.cap + (in->z == NULL ? 0 : 40u << 10); /* zlib's window, and its tables */
}

struct str spdy_header(const struct spdy_frame *f, const char *name)
{
    for (unsigned i = 0; i < f->count; i++) {
        if (str_is(f->pairs[i].name, name)) {
            return f->pairs[i].value;
        }
    }
    return STR_NONE;
}

static uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum spdy_step bad(struct spdy_in *in, const char *why)
{
    in->bad = true;
    in->why = why;
    return SPDY_BAD;
}

/* How long a frame of this type is: exactly, or at least where a block, or a list, follows. 0: the type is not known.
 */
static const struct {
    uint32_t size;
    bool more;
} sizes[] = {
    [SPDY_SYN_STREAM] = {10, true}, [SPDY_SYN_REPLY] = {4, true},      [SPDY_RST_STREAM] = {8, false},
    [SPDY_SETTINGS] = {4, true},    [SPDY_PING] = {4, false},          [SPDY_GOAWAY] = {8, false},
    [SPDY_HEADERS] = {4, true},     [SPDY_WINDOW_UPDATE] = {8, false},
};

static unsigned type_of(const struct spdy_in *in)
{
    return (unsigned)in->head[2] << 8 | in->head[3];
}

static bool is_known(unsigned type)
{
    return type < ARRAY_SIZE(sizes) && sizes[type].size > 0;
}

static bool is_data(const struct spdy_in *in)
{
    return (in->head[0] & 0x80u) == 0;
}

/* The head is whole. */
static bool check_head(struct spdy_in *in)
{
    in->left = load_u32(in->head + 4) & 0xffffffu;
    if (is_data(in)) {
        if (load_u32(in->head) == 0) {
            bad(in, "data of no stream");
        }
        return !in->bad;
    }
    unsigned type = type_of(in);
    if (((unsigned)in->head[0] << 8 | in->head[1]) != (0x8000u | VERSION)) {
        bad(in, "a frame of another version than SPDY/3");
    } else if (in->left > SPDY_CONTROL_MAX) {
        bad(in, "a control frame is too large");
    } else if (is_known(type) && (in->left < sizes[type].size || (!sizes[type].more && in->left > sizes[type].size))) {
        bad(in, "a control frame has a length that its type cannot have");
    }
    return !in->bad;
}

static bool names_stream(enum spdy_type type)
{
    return type != SPDY_SETTINGS && type != SPDY_PING && type != SPDY_GOAWAY && type != SPDY_WINDOW_UPDATE;
}

/* A control frame of a known type is whole. */
static enum spdy_step tell_control(struct spdy_in *in, struct spdy_frame *f)
{
    const uint8_t *p = in->frame.data;
    f->type = (enum spdy_type)type_of(in);
    f->stream = f->type == SPDY_SETTINGS || f->type == SPDY_PING ? 0 : load_u32(p) & ID_MASK;
    if (f->stream == 0 && names_stream(f->type)) {
        return bad(in, "a frame is about stream 0");
    }
    uint32_t size = sizes[f->type].size;
    switch (f->type) {
    case SPDY_DATA:
        assert(false);
        break;
    case SPDY_SYN_STREAM:
    case SPDY_SYN_REPLY:
    case SPDY_HEADERS:
        f->fin = (in->head[4] & FLAG_FIN) != 0;
        if (!spdy_block_read(in, p + size, in->frame.size - size, f)) {
            return bad(in, in->why);
        }
        break;
    case SPDY_SETTINGS:
        if ((uint64_t)load_u32(p) * 8 != in->frame.size - 4) {
            return bad(in, "SETTINGS has not as many entries as it says");
        }
        break;
    case SPDY_PING:
        f->value = load_u32(p);
        break;
    case SPDY_RST_STREAM:
    case SPDY_GOAWAY:
    case SPDY_WINDOW_UPDATE:
        f->value = load_u32(p + 4);
        break;
    }
    return SPDY_FRAME;
}

/* A piece of data; the last one, which may be empty, ends the frame. */
static enum spdy_step tell_data(struct spdy_in *in, const uint8_t *p, size_t n, size_t *used, struct spdy_frame *f)
{
    size_t size = MIN(n, (size_t)in->left);
    if (size == 0 && in->left > 0) {
        return SPDY_MORE;
    }
    in->left -= (uint32_t)size;
    *used += size;
    f->type = SPDY_DATA;
    f->stream = load_u32(in->head) & ID_MASK;
    f->data = (struct str){(const char *)p, size};
    f->fin = in->left == 0 && (in->head[4] & FLAG_FIN) != 0;
    if (in->left == 0) {
        in->head_size = 0;
    }
    return SPDY_FRAME;
}

enum spdy_step spdy_in_feed(struct spdy_in *in, const void *bytes, size_t n, size_t *used, struct spdy_frame *f)
{
    const uint8_t *p = bytes;
    *used = 0;
    *f = (struct spdy_frame){0};
    while (!in->bad) {
        if (in->head_size < sizeof in->head) {
            size_t size = MIN(n - *used, sizeof in->head - in->head_size);
            if (size == 0) {
                return SPDY_MORE;
            }
            memcpy(in->head + in->head_size, p + *used, size);
            in->head_size += (unsigned)size;
            *used += size;
            if (in->head_size < sizeof in->head || !check_head(in)) {
                continue;
            }
            buf_reset(&in->frame);
        }
        if (is_data(in)) {
            return tell_data(in, p + *used, n - *used, used, f);
        }
        size_t size = MIN(n - *used, (size_t)in->left);
        buf_append(&in->frame, p + *used, size);
        *used += size;
        in->left -= (uint32_t)size;
        if (in->left > 0) {
            return SPDY_MORE;
        }
        in->head_size = 0;
        if (is_known(type_of(in))) {
            return tell_control(in, f);
        }
    }
    return SPDY_BAD;
}

/* ---- Writing ---- */

void spdy_out_init(struct spdy_out *out)
{
    *out = (struct spdy_out){0};
}

static void put_u32(struct buf *b, uint32_t v)
{
    uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    buf_append(b, bytes, sizeof bytes);
}

static void put_head(struct buf *b, enum spdy_type type, bool fin, size_t size)
{
    put_u32(b, CONTROL | VERSION << 16 | (uint32_t)type);
    put_u32(b, (fin ? FLAG_FIN << 24 : 0) | (uint32_t)size);
}

static void put_block(struct spdy_out *out, struct buf *b, enum spdy_type type, uint32_t stream, bool fin,
                      const struct spdy_pair *pairs, unsigned count)
{
    CLEANUP_BUF struct buf block = BUF_INIT;
    assert(stream > 0 && count <= SPDY_PAIRS_MAX);
    spdy_block_write(out, &block, pairs, count);
    put_head(b, type, fin, sizes[type].size + block.size);
    put_u32(b, stream);
    if (type == SPDY_SYN_STREAM) {
        put_u32(b, 0);            /* no stream that it goes with */
        buf_append(b, "\0\0", 2); /* the highest priority */
    }
    buf_append_str(b, buf_str(&block));
}

void spdy_put_stream(struct spdy_out *out, struct buf *b, uint32_t stream, bool fin, const struct spdy_pair *pairs,
                     unsigned count)
{
    put_block(out, b, SPDY_SYN_STREAM, stream, fin, pairs, count);
}

void spdy_put_reply(struct spdy_out *out, struct buf *b, uint32_t stream, bool fin, const struct spdy_pair *pairs,
                    unsigned count)
{
    put_block(out, b, SPDY_SYN_REPLY, stream, fin, pairs, count);
}

void spdy_put_data(struct buf *b, uint32_t stream, struct str bytes, bool fin)
{
    assert(stream > 0);
    while (bytes.n > 0 || fin) {
        size_t n = MIN(bytes.n, (size_t)SPDY_DATA_MAX);
        bool last = fin && n == bytes.n;
        put_u32(b, stream);
        put_u32(b, (last ? FLAG_FIN << 24 : 0) | (uint32_t)n);
        buf_append(b, bytes.p, n);
        bytes.p += n;
        bytes.n -= n;
        if (last) {
            return;
        }
    }
}

void spdy_put_reset(struct buf *b, uint32_t stream, enum spdy_status status)
{
    put_head(b, SPDY_RST_STREAM, false, 8);
    put_u32(b, stream);
    put_u32(b, (uint32_t)status);
}

void spdy_put_ping(struct buf *b, uint32_t id)
{
    put_head(b, SPDY_PING, false, 4);
    put_u32(b, id);
}

void spdy_put_goaway(struct buf *b, uint32_t last, uint32_t status)
{
    put_head(b, SPDY_GOAWAY, false, 8);
    put_u32(b, last);
    put_u32(b, status);
}
