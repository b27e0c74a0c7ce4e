#include "master/rest/gzip.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"
#include "proto/http/http.h"

#define LEVEL  1
#define WINDOW (15 + 16) /* the largest one; and 16: with gzip's header */
#define MEMORY 8

struct rest_gzip {
    z_stream z;
};

bool rest_gzip_accepted(struct str accept_encoding)
{
    struct http_media m;
    while (http_media_next(&accept_encoding, &m)) {
        if (http_is_word(m.type, "gzip") || str_is(m.type, "*")) {
            return m.q > 0;
        }
    }
    return false;
}

struct rest_gzip *rest_gzip_new(void)
{
    struct rest_gzip *z = xcalloc(1, sizeof *z);
    int rv = deflateInit2(&z->z, LEVEL, Z_DEFLATED, WINDOW, MEMORY, Z_DEFAULT_STRATEGY);
    assert(rv == Z_OK); /* it has no reason to fail but memory */
    (void)rv;
    return z;
}

void rest_gzip_free(struct rest_gzip *z)
{
    if (z != NULL) {
        deflateEnd(&z->z);
        free(z);
    }
}

void rest_gzip_add(struct rest_gzip *z, struct buf *out, struct str bytes, bool last)
{
    static const unsigned char nothing = 0;
    assert(bytes.n < UINT_MAX);
    z->z.next_in =
        (unsigned char *)(uintptr_t)(bytes.n == 0 ? &nothing : (const unsigned char *)bytes.p); /* only read */
    z->z.avail_in = (unsigned)bytes.n;
    int rv;
    do {
        size_t room = 16u << 10;
        z->z.next_out = buf_reserve(out, room);
        z->z.avail_out = (unsigned)room;
        rv = deflate(&z->z, last ? Z_FINISH : Z_NO_FLUSH);
        assert(rv == Z_OK || rv == Z_STREAM_END || rv == Z_BUF_ERROR);
        out->size += room - z->z.avail_out;
    } while (z->z.avail_out == 0 || (last && rv != Z_STREAM_END));
    assert(z->z.avail_in == 0);
}
