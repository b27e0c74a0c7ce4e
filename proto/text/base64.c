#include <assert.h>

#include "proto/text/text.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_write(struct buf *out, const void *data, size_t n)
{
    assert(data != NULL || n == 0);
    const uint8_t *p = data;
    uint8_t *w = buf_reserve(out, (n + 2) / 3 * 4);
    for (; n >= 3; n -= 3, p += 3, w += 4) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        w[0] = (uint8_t)alphabet[v >> 18];
        w[1] = (uint8_t)alphabet[v >> 12 & 63];
        w[2] = (uint8_t)alphabet[v >> 6 & 63];
        w[3] = (uint8_t)alphabet[v & 63];
    }
    if (n > 0) {
        uint32_t v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
        w[0] = (uint8_t)alphabet[v >> 18];
        w[1] = (uint8_t)alphabet[v >> 12 & 63];
        w[2] = n == 2 ? (uint8_t)alphabet[v >> 6 & 63] : '=';
        w[3] = '=';
        w += 4;
    }
    out->size = (size_t)(w - out->data);
}

static int digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Line breaks between the characters are skipped, as encoders put them in; other white space is malformed. */
bool base64_read(struct buf *out, struct str text)
{
    size_t before = out->size;
    uint32_t v = 0;
    unsigned have = 0, padding = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\n' || c == '\r') {
            continue;
        }
        int d = c == '=' ? 0 : digit(c);
        padding += c == '=';
        if (d < 0 || (padding > 0 && c != '=') || padding > 2) {
            goto malformed;
        }
        v = v << 6 | (uint32_t)d;
        if (++have == 4) {
            for (unsigned k = 0; k < 3 - padding; k++) {
                buf_putc(out, (char)(v >> (16 - 8 * k)));
            }
            have = 0;
            v = 0;
            if (padding > 0) {
                padding = 3; /* nothing may follow */
            }
        }
    }
    if (have == 0) {
        return true;
    }
malformed:
    out->size = before;
    return false;
}

void base64url_write(struct buf *out, const void *p, size_t n)
{
    size_t from = out->size;
    base64_write(out, p, n);
    for (; from < out->size && out->data[from] != '='; from++) {
        out->data[from] = out->data[from] == '+' ? '-' : out->data[from] == '/' ? '_' : out->data[from];
    }
    out->size = from;
}

bool base64url_read(struct buf *out, struct str text)
{
    CLEANUP_BUF struct buf plain = BUF_INIT;
    CLEANUP_BUF struct buf again = BUF_INIT;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        buf_putc(&plain, c == '-' ? '+' : c == '_' ? '/' : c == '+' || c == '/' || c == '=' ? '.' : c);
    }
    while (plain.size % 4 != 0) {
        buf_putc(&plain, '=');
    }
    size_t before = out->size;
    if (!base64_read(out, buf_str(&plain))) {
        return false;
    }
    base64url_write(&again, out->data + before, out->size - before);
    if (!str_eq(buf_str(&again), text)) {
        out->size = before;
        return false;
    }
    return true;
}
