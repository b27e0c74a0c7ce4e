/* OpenSSL reads keys through buffers that it gives back as they are: lines of PEM, DER, the numbers in it. */
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/pki/pki.h"

/* A connection takes a buffer for each record that it reads or writes, and gives it back behind it: so idle connections
 * hold none. glibc searches for a place of that size each time, and puts all its small ones together first. So some are
 * kept, wiped, for whoever asks next; all have the same size, whichever of them is asked for. Any thread may ask. */
#define RECORD_LEAST (16u << 10) /* OpenSSL's buffers of records are a little larger than that */
#define RECORD_MOST  (18u << 10)
#define SPARES       4u
static _Atomic(void *) spares[SPARES];

static bool is_record(size_t size)
{
    return size > RECORD_LEAST && size <= RECORD_MOST;
}

static void *take_record(void)
{
    for (unsigned i = 0; i < SPARES; i++) {
        void *p =
            atomic_load_explicit(&spares[i], memory_order_relaxed) == NULL ? NULL : atomic_exchange(&spares[i], NULL);
        if (p != NULL) {
            return p;
        }
    }
    return malloc(RECORD_MOST);
}

static bool keep_record(void *p)
{
    for (unsigned i = 0; i < SPARES; i++) {
        void *none = NULL;
        if (atomic_compare_exchange_strong(&spares[i], &none, p)) {
            return true;
        }
    }
    return false;
}

static void *allocate(size_t size)
{
    return is_record(size) ? take_record() : malloc(size);
}

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return allocate(size);
}

/* As mem_wipe, in line: OpenSSL gives back 20,000 small places while a client connects. */
static inline void wipe(void *p, size_t size)
{
    memset(p, 0, size);
    __asm__ volatile("" : : "r"(p) : "memory"); /* or the compiler leaves it out, since p is freed */
}

static void give_back(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    if (p != NULL) {
        size_t size = malloc_usable_size(p);
        wipe(p, size);
        if (size < RECORD_MOST || size >= 2 * RECORD_MOST || !keep_record(p)) {
            free(p);
        }
    }
}

/* realloc would leave the former place as it was. */
static void *resize(void *p, size_t size, const char *file, int line)
{
    if (p == NULL || size == 0) {
        give_back(p, file, line);
        return size == 0 ? NULL : allocate(size);
    }
    size_t had = malloc_usable_size(p);
    if (size <= had && size >= had / 2) {
        return p;
    }
    void *bigger = allocate(size);
    if (bigger != NULL) {
        memcpy(bigger, p, MIN(had, size));
        give_back(p, file, line);
    }
    return bigger;
}

bool pki_wipe_what_is_freed(void)
{
    return CRYPTO_set_mem_functions(take, resize, give_back) == 1;
}
