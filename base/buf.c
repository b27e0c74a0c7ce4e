#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/le.h"
#include "base/mem.h"

void buf_close(struct buf *b)
{
    free(b->data);
    *b = BUF_INIT;
}

void buf_wipe(struct buf *b)
{
    mem_wipe(b->data, b->cap);
    buf_close(b);
}

void buf_reset(struct buf *b)
{
    b->size = 0;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    assert(b->size <= b->cap);
    if (b->cap - b->size < n) {
        size_t cap = MAX(b->cap * 2, b->size + n);
        cap = MAX(cap, (size_t)64);
        b->data = xrealloc(b->data, cap);
        b->cap = cap;
    }
    return b->data + b->size;
}

void buf_append(struct buf *b, const void *p, size_t n)
{
    if (n == 0) {
        return;
    }
    memcpy(buf_reserve(b, n), p, n);
    b->size += n;
}

void buf_append_str(struct buf *b, struct str s)
{
    buf_append(b, s.p, s.n);
}

void buf_puts(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    char *p = (char *)buf_reserve(b, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->size += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->size);
    if (n > 0) {
        memmove(b->data, b->data + n, b->size - n);
        b->size -= n;
    }
}

uint8_t *buf_take(struct buf *b, size_t *size)
{
    uint8_t *p = b->data;
    if (size != NULL) {
        *size = b->size;
    }
    *b = BUF_INIT;
    return p;
}

const char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return (const char *)b->data;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    buf_append(b, &v, 1);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    uint8_t p[4];
    le_store_u32(p, v);
    buf_append(b, p, sizeof p);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    uint8_t p[8];
    le_store_u64(p, v);
    buf_append(b, p, sizeof p);
}
