/* Source: RFC 6455, sections 4.2.2 (the answer to a handshake), 5.2 to 5.5 (frames), 7.4 (codes). */
#include "proto/websocket/websocket.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "proto/text/text.h"

#define FIN    0x80u
#define MASKED 0x80u

/* ---- The handshake ---- */

bool ws_accept(struct buf *out, struct str key)
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    CLEANUP_BUF struct buf plain = BUF_INIT, raw = BUF_INIT;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (key.n != 24 || !base64_read(&raw, key) || raw.size != 16) {
        return false;
    }
    buf_append_str(&plain, key);
    buf_puts(&plain, suffix);
    if (EVP_Digest(plain.data, plain.size, digest, &size, EVP_sha1(), NULL) != 1) {
        return false;
    }
    base64_write(out, digest, size);
    return true;
}

/* ---- Reading ---- */

void ws_in_init(struct ws_in *in)
{
    *in = (struct ws_in){0};
}

void ws_in_close(struct ws_in *in)
{
    buf_close(&in->piece);
}

static enum ws_step bad(struct ws_in *in, unsigned code, const char *why)
{
    in->bad = true;
    in->code = code;
    in->why = why;
    return WS_BAD;
}

/* How long the head is, as far as its first two bytes say: with a mask of four bytes. */
static unsigned head_length(const struct ws_in *in)
{
    unsigned n = in->head[1] & 0x7fu;
    return in->head_size < 2 ? 2 : 2 + (n == 126 ? 2u : n == 127 ? 8u : 0u) + 4;
}

static bool is_control(unsigned op)
{
    return (op & 8u) != 0;
}

/* The first two bytes are here. */
static bool check_start(struct ws_in *in)
{
    unsigned op = in->head[0] & 0x0fu, n = in->head[1] & 0x7fu;
    bool fin = (in->head[0] & FIN) != 0;
    if ((in->head[0] & 0x70u) != 0) {
        bad(in, WS_PROTOCOL_ERROR, "a reserved bit is set, and no extension was agreed on");
    } else if (op > WS_PONG || (op > WS_BINARY && op < WS_CLOSE)) {
        bad(in, WS_PROTOCOL_ERROR, "the operation of a frame is not known");
    } else if ((in->head[1] & MASKED) == 0) {
        bad(in, WS_PROTOCOL_ERROR, "a frame of a client has no mask");
    } else if (is_control(op) && (!fin || n > WS_CONTROL_MAX)) {
        bad(in, WS_PROTOCOL_ERROR, "a control frame is in fragments, or longer than 125 bytes");
    } else if (op == WS_CONTINUATION && in->op == WS_CONTINUATION) {
        bad(in, WS_PROTOCOL_ERROR, "a fragment goes on with no message");
    } else if (!is_control(op) && op != WS_CONTINUATION && in->op != WS_CONTINUATION) {
        bad(in, WS_PROTOCOL_ERROR, "a message begins within another one");
    }
    return !in->bad;
}

/* The head is whole. */
static bool read_length(struct ws_in *in)
{
    unsigned n = in->head[1] & 0x7fu, size = n == 126 ? 2 : n == 127 ? 8 : 0;
    uint64_t length = size == 0 ? n : 0;
    for (unsigned i = 0; i < size; i++) {
        length = length << 8 | in->head[2 + i];
    }
    if ((size == 2 && length < 126) || (size == 8 && (length <= 0xffff || length >> 63 != 0))) {
        bad(in, WS_PROTOCOL_ERROR, "the length of a frame is not written in its shortest form");
        return false;
    }
    in->left = length;
    in->at = 0;
    in->in_frame = true;
    return true;
}

/* Bytes of the frame without their mask. */
static void unmask(const struct ws_in *in, uint8_t *to, const uint8_t *p, size_t n)
{
    const uint8_t *mask = in->head + head_length(in) - 4;
    for (size_t i = 0; i < n; i++) {
        to[i] = p[i] ^ mask[(in->at + i) & 3u];
    }
}

static bool code_may_be_sent(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* A control frame is whole. */
static enum ws_step tell_control(struct ws_in *in, struct ws_event *e)
{
    e->op = (enum ws_op)(in->head[0] & 0x0fu);
    e->first = e->last = true;
    e->data = (struct str){(const char *)in->control, (size_t)in->at};
    if (e->op == WS_CLOSE && e->data.n > 0) {
        e->code = e->data.n < 2 ? 0 : (unsigned)in->control[0] << 8 | in->control[1];
        if (!code_may_be_sent(e->code)) {
            return bad(in, WS_PROTOCOL_ERROR, "the code of a Close is none");
        }
        e->data.p += 2;
        e->data.n -= 2;
        if (!utf8_valid(e->data)) {
            return bad(in, WS_BAD_DATA, "the reason of a Close is not UTF-8");
        }
    }
    return WS_EVENT;
}

/* So many bytes of a message's frame; none only at its end. */
static enum ws_step tell_piece(struct ws_in *in, const uint8_t *p, size_t n, struct ws_event *e)
{
    unsigned op = in->head[0] & 0x0fu;
    buf_reset(&in->piece);
    unmask(in, buf_reserve(&in->piece, n), p, n);
    in->piece.size = n;
    if (op != WS_CONTINUATION) {
        in->op = (enum ws_op)op;
    }
    e->op = in->op;
    e->first = !in->begun;
    e->data = buf_str(&in->piece);
    e->last = in->left == n && (in->head[0] & FIN) != 0;
    in->begun = !e->last;
    if (e->last) {
        in->op = WS_CONTINUATION;
    }
    return WS_EVENT;
}

static enum ws_step read_body(struct ws_in *in, const uint8_t *p, size_t n, size_t *used, struct ws_event *e)
{
    size_t size = (size_t)MIN((uint64_t)n, in->left);
    bool control = is_control(in->head[0] & 0x0fu);
    enum ws_step step = WS_MORE;
    if (control) {
        unmask(in, in->control + in->at, p, size);
    } else if (size > 0 || in->left == 0) {
        step = tell_piece(in, p, size, e);
    }
    *used += size;
    in->left -= size;
    in->at += size;
    if (in->left == 0) {
        step = control ? tell_control(in, e) : step;
        in->in_frame = false;
        in->head_size = 0;
    }
    return step;
}

enum ws_step ws_in_feed(struct ws_in *in, const void *bytes, size_t n, size_t *used, struct ws_event *e)
{
    const uint8_t *p = bytes;
    *used = 0;
    *e = (struct ws_event){0};
    while (!in->bad && !in->in_frame) {
        size_t size = MIN(n - *used, (size_t)(head_length(in) - in->head_size));
        if (size == 0) {
            return WS_MORE;
        }
        memcpy(in->head + in->head_size, p + *used, size);
        bool starts = in->head_size < 2;
        in->head_size += (unsigned)size;
        *used += size;
        if (starts && in->head_size == 2) {
            check_start(in);
        } else if (in->head_size == head_length(in)) {
            read_length(in);
        }
    }
    return in->bad ? WS_BAD : read_body(in, p + *used, n - *used, used, e);
}

/* ---- Writing ---- */

static void put_head(struct buf *b, unsigned first, unsigned masked, uint64_t n)
{
    unsigned size = n < 126 ? 0 : n <= 0xffff ? 2 : 8;
    buf_put_u8(b, (uint8_t)first);
    buf_put_u8(b, (uint8_t)(masked | (size == 0 ? (unsigned)n : size == 2 ? 126u : 127u)));
    for (unsigned i = size; i > 0; i--) {
        buf_put_u8(b, (uint8_t)(n >> (8 * (i - 1))));
    }
}

void ws_put(struct buf *b, enum ws_op op, struct str bytes, struct str more)
{
    assert(!is_control(op) || bytes.n + more.n <= WS_CONTROL_MAX);
    put_head(b, FIN | (unsigned)op, 0, bytes.n + more.n);
    buf_append(b, bytes.p, bytes.n);
    buf_append(b, more.p, more.n);
}

void ws_put_close(struct buf *b, unsigned code, const char *why)
{
    char head[2] = {(char)(code >> 8), (char)(code & 0xff)};
    size_t n = MIN(strlen(why), (size_t)WS_CONTROL_MAX - 2);
    while (n > 0 && n < strlen(why) && ((unsigned char)why[n] & 0xc0u) == 0x80u) {
        n--; /* a character is sent whole, or not */
    }
    ws_put(b, WS_CLOSE, (struct str){head, 2}, (struct str){why, n});
}

void ws_put_masked(struct buf *b, enum ws_op op, bool last, struct str bytes, const uint8_t mask[4])
{
    put_head(b, (last ? FIN : 0) | (unsigned)op, MASKED, bytes.n);
    buf_append(b, mask, 4);
    for (size_t i = 0; i < bytes.n; i++) {
        buf_put_u8(b, (uint8_t)((uint8_t)bytes.p[i] ^ mask[i & 3u]));
    }
}
