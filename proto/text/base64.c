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

/* One more than what a character stands for; 0: it is none of them. */
#define ALNUM                                                                                                          \
    ['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, ['a'] = 27, \
    28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, ['0'] = 53,    \
    54, 55, 56, 57, 58, 59, 60, 61, 62
static const uint8_t digits[256] = {ALNUM, ['+'] = 63, ['/'] = 64};
static const uint8_t digits_url[256] = {ALNUM, ['-'] = 63, ['_'] = 64};

/* Line breaks between the characters are skipped, as encoders put them in; other white space is malformed. */
bool base64_read(struct buf *out, struct str text)
{
    uint32_t v = 0;
    unsigned have = 0, padding = 0;
    uint8_t *w = buf_reserve(out, text.n / 4 * 3);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\n' || c == '\r') {
            continue;
        }
        int d = c == '=' ? 0 : (int)digits[(uint8_t)c] - 1;
        padding += c == '=';
        if (d < 0 || (padding > 0 && c != '=') || padding > 2) {
            goto malformed;
        }
        v = v << 6 | (uint32_t)d;
        if (++have == 4) {
            for (unsigned k = 0; k < 3 - padding; k++) {
                *w++ = (uint8_t)(v >> (16 - 8 * k));
            }
            have = 0;
            v = 0;
            if (padding > 0) {
                padding = 3; /* nothing may follow */
            }
        }
    }
    if (have == 0) {
        out->size = (size_t)(w - out->data);
        return true;
    }
malformed:
    return false; /* out is as it was */
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

/* In its one form: no padding, no line breaks, no bits behind the last byte. */
bool base64url_read(struct buf *out, struct str text)
{
    uint8_t *w = buf_reserve(out, text.n / 4 * 3 + 2);
    const char *p = text.p;
    size_t n = text.n;
    for (; n >= 4; n -= 4, p += 4) {
        uint32_t d[4], v = 0;
        for (unsigned k = 0; k < 4; k++) {
            d[k] = digits_url[(uint8_t)p[k]];
            v = v << 6 | (d[k] - 1);
        }
        if (d[0] == 0 || d[1] == 0 || d[2] == 0 || d[3] == 0) {
            return false;
        }
        *w++ = (uint8_t)(v >> 16);
        *w++ = (uint8_t)(v >> 8);
        *w++ = (uint8_t)v;
    }
    uint32_t v = 0;
    for (size_t k = 0; k < n; k++) {
        uint32_t d = digits_url[(uint8_t)p[k]];
        if (d == 0) {
            return false;
        }
        v = v << 6 | (d - 1);
    }
    if (n == 1 || (n == 2 && (v & 15) != 0) || (n == 3 && (v & 3) != 0)) {
        return false;
    }
    if (n > 1) {
        *w++ = (uint8_t)(n == 2 ? v >> 4 : v >> 10);
    }
    if (n == 3) {
        *w++ = (uint8_t)(v >> 2);
    }
    out->size = (size_t)(w - out->data);
    return true;
}
