/* Growable byte buffer. The code that initialised it owns it; buf_take hands the bytes over. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
    uint8_t *data;
    size_t size; /* bytes in use */
    size_t cap;
};

#define BUF_INIT    ((struct buf){NULL, 0, 0})
#define CLEANUP_BUF __attribute__((cleanup(buf_close)))

void buf_close(struct buf *b); /* frees; leaves it empty and usable */
/* The same for one that held a secret: all of its memory is overwritten first. Reserve enough at once: one that
 * grows leaves its former memory as it was. */
void buf_wipe(struct buf *b);
#define CLEANUP_BUF_WIPE __attribute__((cleanup(buf_wipe)))
void buf_reset(struct buf *b);                 /* size 0, memory kept */
uint8_t *buf_reserve(struct buf *b, size_t n); /* room for n more bytes; returns where they go; size unchanged */
void buf_append(struct buf *b, const void *p, size_t n);
void buf_append_str(struct buf *b, struct str s);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t n);      /* drop the first n bytes */
uint8_t *buf_take(struct buf *b, size_t *size); /* ownership of the malloc()ed bytes to the caller */
/* NUL-terminated text of the buffer (borrowed, valid until the next change; the NUL is not counted in size). */
const char *buf_cstr(struct buf *b);
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){(const char *)b->data, b->size};
}

/* Little-endian fixed width integers, for file and log formats. */
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);

#endif
