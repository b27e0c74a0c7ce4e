#include "base/arena_small.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *or_die(void *p, size_t size_bytes)
{
    if (p == NULL) {
        fprintf(stderr, "out of memory: %zu bytes\n", size_bytes);
        abort();
    }
    return p;
}

void *xmalloc(size_t size_bytes)
{
    return or_die(malloc(size_bytes == 0 ? 1 : size_bytes), size_bytes);
}

void *xcalloc(size_t count, size_t size_bytes)
{
    return or_die(calloc(count == 0 ? 1 : count, size_bytes == 0 ? 1 : size_bytes), count * size_bytes);
}

void *xrealloc(void *p, size_t size_bytes)
{
    return or_die(realloc(p, size_bytes == 0 ? 1 : size_bytes), size_bytes);
}

char *xstrdup(const char *s)
{
    assert(s != NULL);
    return xstrndup(s, strlen(s));
}

char *xstrndup(const char *s, size_t n)
{
    assert(s != NULL || n == 0);
    char *copy = xmalloc(n + 1);
    if (n > 0) {
        memcpy(copy, s, n);
    }
    copy[n] = '\0';
    return copy;
}

void *xmemdup(const void *p, size_t size_bytes)
{
    void *copy = xmalloc(size_bytes);
    if (size_bytes > 0) {
        memcpy(copy, p, size_bytes);
    }
    return copy;
}

char *xasprintf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return or_die(n < 0 ? NULL : s, 0);
}

void mem_wipe(void *p, size_t size_bytes)
{
    if (size_bytes > 0) {
        explicit_bzero(p, size_bytes);
    }
}

void cleanup_free_p(void *pp)
{
    free(*(void **)pp);
}

void cleanup_close_p(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

/* Blocks grow from 1 KiB to 64 KiB, so that a small request costs little and a large one few blocks. */
#define ARENA_BLOCK_MIN 1024u
#define ARENA_BLOCK_MAX 65536u
struct arena_block {
    struct arena_block *next;
    size_t size_bytes;
    _Alignas(16) char data[];
};

void arena_init(struct arena *a)
{
    memset(a, 0, sizeof *a);
}

/* Blocks of the usual sizes that are not in use. Every request has an arena and needs two or three blocks until it is
 * answered; given back to the heap, they come to lie between objects that stay for ever, and the heap spends its time
 * cutting and joining them (a fifth of the leader's time under many small writes). Worse, an object of 600 bytes that
 * takes a block of 1 KiB leaves a hole that nothing fits: with 64 spare blocks a size and some hundred writes in flight
 * a leader's heap became a sixth larger than what was in it. So there are spare ones for a thousand requests. A
 * cache without meaning, so it may be the thread's own; sanitizers see every block come and go. */
#define SPARE_SIZES     5u         /* 1 to 16 KiB */
#define SPARE_BYTES_MAX (1u << 20) /* of each size */
#ifdef __SANITIZE_ADDRESS__
#define SPARE_ON 0
#else
#define SPARE_ON 1
#endif
static _Thread_local struct {
    struct arena_block *first;
    unsigned count;
} spare[SPARE_SIZES];

/* Which row of spare a block of that size belongs to; SPARE_SIZES: none. */
static unsigned spare_row(size_t size_bytes)
{
    unsigned row = 0;
    while (row < SPARE_SIZES && size_bytes != (size_t)ARENA_BLOCK_MIN << row) {
        row++;
    }
    return row;
}

static struct arena_block *take_block(size_t size_bytes)
{
    unsigned row = SPARE_ON ? spare_row(size_bytes) : SPARE_SIZES;
    if (row < SPARE_SIZES && spare[row].first != NULL) {
        struct arena_block *b = spare[row].first;
        spare[row].first = b->next;
        spare[row].count--;
        return b;
    }
    struct arena_block *b = xmalloc(sizeof *b + size_bytes);
    b->size_bytes = size_bytes;
    return b;
}

static void give_block(struct arena_block *b)
{
    unsigned row = SPARE_ON ? spare_row(b->size_bytes) : SPARE_SIZES;
    if (row == SPARE_SIZES || spare[row].count >= SPARE_BYTES_MAX / b->size_bytes) {
        free(b);
        return;
    }
    b->next = spare[row].first;
    spare[row].first = b;
    spare[row].count++;
}

/* The newest block from now on. */
static void add_block(struct arena *a, size_t size_bytes)
{
    struct arena_block *b = take_block(size_bytes);
    b->next = a->blocks;
    a->blocks = b;
    a->used_bytes = 0;
    a->total_bytes += size_bytes;
}

void arena_init_small(struct arena *a, size_t first_bytes)
{
    assert(first_bytes > 0 && first_bytes < ARENA_BLOCK_MIN);
    arena_init(a);
    add_block(a, first_bytes);
}

void arena_wipe(struct arena *a)
{
    for (struct arena_block *b = a->blocks; b != NULL; b = b->next) {
        mem_wipe(b->data, b->size_bytes);
    }
    arena_close(a);
}

void arena_close(struct arena *a)
{
    struct arena_block *b = a->blocks;
    while (b != NULL) {
        struct arena_block *next = b->next;
        give_block(b);
        b = next;
    }
    memset(a, 0, sizeof *a);
}

/* Not cleared. */
static void *take(struct arena *a, size_t size_bytes)
{
    size_t need = size_bytes == 0 ? 16 : (size_bytes + 15) & ~(size_t)15;
    assert(need >= size_bytes);
    if (a->blocks == NULL || a->blocks->size_bytes - a->used_bytes < need) {
        bool first = a->blocks == NULL || a->blocks->size_bytes < ARENA_BLOCK_MIN;
        size_t size = first ? ARENA_BLOCK_MIN : MIN(a->blocks->size_bytes * 2, (size_t)ARENA_BLOCK_MAX);
        while (size < need && size < ARENA_BLOCK_MAX) {
            size *= 2;
        }
        add_block(a, MAX(size, need));
    }
    void *p = a->blocks->data + a->used_bytes;
    a->used_bytes += need;
    return p;
}

void *arena_alloc(struct arena *a, size_t size_bytes)
{
    return memset(take(a, size_bytes), 0, size_bytes == 0 ? 1 : size_bytes);
}

void *arena_memdup(struct arena *a, const void *p, size_t size_bytes)
{
    void *copy = take(a, size_bytes);
    if (size_bytes > 0) {
        memcpy(copy, p, size_bytes);
    }
    return copy;
}

void *arena_grow(struct arena *a, void *items, unsigned count, unsigned *cap, size_t item_bytes, unsigned first_cap)
{
    assert(count <= *cap && item_bytes > 0 && first_cap > 0 && *cap <= UINT32_MAX / 2);
    if (count < *cap) {
        return items;
    }
    *cap = MAX(2 * *cap, first_cap);
    uint8_t *larger = take(a, *cap * item_bytes);
    if (count > 0) {
        memcpy(larger, items, count * item_bytes);
    }
    memset(larger + count * item_bytes, 0, (*cap - count) * item_bytes);
    return larger;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = take(a, n + 1);
    if (n > 0) {
        memcpy(copy, s, n);
    }
    copy[n] = '\0';
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    char text[256]; /* most are short: printed once */
    va_list ap2;
    va_copy(ap2, ap);
    int n = vsnprintf(text, sizeof text, fmt, ap2);
    va_end(ap2);
    assert(n >= 0);
    if ((size_t)n < sizeof text) {
        return arena_memdup(a, text, (size_t)n + 1);
    }
    char *s = arena_alloc(a, (size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}
