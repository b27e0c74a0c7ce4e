/* Memory: allocation that aborts when there is none, scope clean-up, ownership transfer, and arenas.
 *
 * malloc failure aborts, except for sizes that a peer chose: check those against a named limit first.
 * Ownership reads off the name: get = borrow, take = ownership comes to the caller, give = ownership goes to the
 * callee. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/param.h> /* MIN, MAX */

void *xmalloc(size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t size_bytes) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));
void *xmemdup(const void *p, size_t size_bytes) __attribute__((returns_nonnull));

/* Overwrites a secret (key, passphrase, token, what a Secret holds) for good: the compiler does not leave it out.
 * The owner of such memory calls it, or a function made of it (buf_wipe, pki_free_key), when the secret is needed no
 * more. p may be NULL if the size is 0. */
void mem_wipe(void *p, size_t size_bytes);

void cleanup_free_p(void *pp);
void cleanup_close_p(int *fd);
/* `CLEANUP_FREE char *s = ...;` frees at end of scope; `CLEANUP_CLOSE int fd = -1;` closes if >= 0. */
#define CLEANUP_FREE  __attribute__((cleanup(cleanup_free_p)))
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close_p)))
#define CLEANUP(fn)   __attribute__((cleanup(fn)))
/* Move a pointer out of a variable that would be cleaned up: yields the value, leaves NULL. */
#define TAKE_PTR(p)                                                                                                    \
    ({                                                                                                                 \
        __typeof__(p) *take_pp_ = &(p);                                                                                \
        __typeof__(p) take_v_ = *take_pp_;                                                                             \
        *take_pp_ = NULL;                                                                                              \
        take_v_;                                                                                                       \
    })
#define TAKE_FD(fd)                                                                                                    \
    ({                                                                                                                 \
        int *take_fp_ = &(fd);                                                                                         \
        int take_fv_ = *take_fp_;                                                                                      \
        *take_fp_ = -1;                                                                                                \
        take_fv_;                                                                                                      \
    })

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Arena: everything allocated from it lives until arena_close. Not thread-safe. */
struct arena {
    struct arena_block *blocks;
    size_t used_bytes; /* of the newest block */
    size_t total_bytes;
};
void arena_init(struct arena *a);
void arena_close(struct arena *a);
void *arena_alloc(struct arena *a, size_t size_bytes) __attribute__((returns_nonnull)); /* 16-aligned, zeroed */
void *arena_memdup(struct arena *a, const void *p, size_t size_bytes);
/* Room for one more of `count` items in an array that may hold *cap: the array itself, or, if it is full, a copy with
 * twice as many places (first_cap at least). items may be NULL while *cap is 0. */
void *arena_grow(struct arena *a, void *items, unsigned count, unsigned *cap, size_t item_bytes, unsigned first_cap);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n); /* adds a NUL */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);
#define CLEANUP_ARENA __attribute__((cleanup(arena_close)))
/* The same for one that held secrets. */
void arena_wipe(struct arena *a);
#define CLEANUP_ARENA_WIPE __attribute__((cleanup(arena_wipe)))

#endif
