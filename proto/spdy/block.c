/* Blocks of headers: pairs of names and values, deflated. Source: draft-mbelshe-httpbis-spdy-00, section 2.6.10. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "proto/spdy/spdy.h"

/* ---- The dictionary (section 2.6.10.1) ---- */

/* Each stands in it behind its length, 32 bits. */
static const char *const words[] = {
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
};
static const char tail[] =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information"
    "204 No Content"
    "301 Moved Permanently"
    "400 Bad Request"
    "401 Unauthorized"
    "403 Forbidden"
    "404 Not Found"
    "500 Internal Server Error"
    "501 Not Implemented"
    "503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,public"
    "privatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static void store_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

void spdy_dictionary(uint8_t out[SPDY_DICTIONARY_SIZE])
{
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        size_t n = strlen(words[i]);
        assert(at + 4 + n <= SPDY_DICTIONARY_SIZE);
        store_u32(out + at, (uint32_t)n);
        memcpy(out + at + 4, words[i], n);
        at += 4 + n;
    }
    assert(at + sizeof tail - 1 == SPDY_DICTIONARY_SIZE);
    memcpy(out + at, tail, sizeof tail - 1);
}

/* ---- Reading ---- */

static bool bad(struct spdy_in *in, const char *why)
{
    in->why = why;
    return false;
}

static bool open_inflate(struct spdy_in *in)
{
    in->z = xcalloc(1, sizeof *in->z);
    if (inflateInit(in->z) != Z_OK) {
        free(in->z);
        in->z = NULL;
        return bad(in, "there is no memory for a block of headers");
    }
    return true;
}

/* All of the bytes; what they inflate to goes to in->block. */
static bool inflate_block(struct spdy_in *in, const uint8_t *p, size_t n)
{
    z_stream *z = in->z;
    z->next_in = (Bytef *)p;
    z->avail_in = (uInt)n;
    for (;;) {
        size_t room = SPDY_HEADERS_MAX + 1 - in->block.size;
        z->next_out = buf_reserve(&in->block, MIN(room, (size_t)1024));
        z->avail_out = (uInt)MIN(room, (size_t)1024);
        uInt before = z->avail_out;
        int rv = inflate(z, Z_SYNC_FLUSH);
        in->block.size += before - z->avail_out;
        if (in->block.size > SPDY_HEADERS_MAX) {
            return bad(in, "a block of headers is too large");
        }
        if (rv == Z_NEED_DICT) {
            uint8_t dictionary[SPDY_DICTIONARY_SIZE];
            spdy_dictionary(dictionary);
            if (inflateSetDictionary(z, dictionary, sizeof dictionary) != Z_OK) {
                return bad(in, "a block of headers is compressed with another dictionary");
            }
        } else if (rv != Z_OK && !(rv == Z_BUF_ERROR && z->avail_in == 0)) {
            return bad(in, "a block of headers cannot be inflated");
        } else if (z->avail_in == 0 && z->avail_out > 0) {
            return true;
        }
    }
}

static bool take_u32(struct str *s, uint32_t *out)
{
    const uint8_t *p = (const uint8_t *)s->p;
    if (s->n < 4) {
        return false;
    }
    *out = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    s->p += 4;
    s->n -= 4;
    return true;
}

static bool take_text(struct str *s, struct str *out)
{
    uint32_t n;
    if (!take_u32(s, &n) || n > s->n) {
        return false;
    }
    *out = (struct str){s->p, n};
    s->p += n;
    s->n -= n;
    return true;
}

bool spdy_block_read(struct spdy_in *in, const uint8_t *p, size_t n, struct spdy_frame *f)
{
    buf_reset(&in->block);
    if ((in->z == NULL && !open_inflate(in)) || !inflate_block(in, p, n)) {
        return false;
    }
    struct str rest = buf_str(&in->block);
    uint32_t count;
    if (!take_u32(&rest, &count) || count > SPDY_PAIRS_MAX) {
        return bad(in, "a block of headers has too many of them");
    }
    for (uint32_t i = 0; i < count; i++) {
        struct spdy_pair *pair = &in->pairs[i];
        if (!take_text(&rest, &pair->name) || !take_text(&rest, &pair->value) || pair->name.n == 0) {
            return bad(in, "a block of headers is malformed");
        }
    }
    if (rest.n > 0) {
        return bad(in, "a block of headers has more bytes than headers");
    }
    f->count = count;
    f->pairs = in->pairs;
    return true;
}

/* ---- Writing ---- */

/* A small window: what is told in headers is little. */
static void open_deflate(struct spdy_out *out)
{
    uint8_t dictionary[SPDY_DICTIONARY_SIZE];
    spdy_dictionary(dictionary);
    out->z = xcalloc(1, sizeof *out->z);
    int rv = deflateInit2(out->z, Z_BEST_SPEED, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY);
    rv = rv == Z_OK ? deflateSetDictionary(out->z, dictionary, sizeof dictionary) : rv;
    assert(rv == Z_OK); /* it fails for want of memory, or of sense in what is asked */
}

static void put_u32(struct buf *b, uint32_t v)
{
    uint8_t bytes[4];
    store_u32(bytes, v);
    buf_append(b, bytes, sizeof bytes);
}

void spdy_block_write(struct spdy_out *out, struct buf *b, const struct spdy_pair *pairs, unsigned count)
{
    CLEANUP_BUF struct buf plain = BUF_INIT;
    put_u32(&plain, count);
    for (unsigned i = 0; i < count; i++) {
        put_u32(&plain, (uint32_t)pairs[i].name.n);
        buf_append_str(&plain, pairs[i].name);
        put_u32(&plain, (uint32_t)pairs[i].value.n);
        buf_append_str(&plain, pairs[i].value);
    }
    if (out->z == NULL) {
        open_deflate(out);
    }
    z_stream *z = out->z;
    z->next_in = plain.data;
    z->avail_in = (uInt)plain.size;
    do {
        z->next_out = buf_reserve(b, 512);
        z->avail_out = 512;
        int rv = deflate(z, Z_SYNC_FLUSH);
        assert(rv == Z_OK || rv == Z_BUF_ERROR);
        (void)rv;
        b->size += 512 - z->avail_out;
    } while (z->avail_out == 0);
}

/* ---- Both ---- */

void spdy_in_close(struct spdy_in *in)
{
    if (in->z != NULL) {
        inflateEnd(in->z);
        free(in->z);
        in->z = NULL;
    }
    buf_close(&in->frame);
    buf_close(&in->block);
}

void spdy_out_close(struct spdy_out *out)
{
    if (out->z != NULL) {
        deflateEnd(out->z);
        free(out->z);
        out->z = NULL;
    }
}
