/* OpenSSL reads keys through buffers that it gives back as they are: lines of PEM, DER, the numbers in it. */
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/pki/pki.h"

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(size);
}

static void give_back(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    if (p != NULL) {
        mem_wipe(p, malloc_usable_size(p));
        free(p);
    }
}

/* realloc would leave the former place as it was. */
static void *resize(void *p, size_t size, const char *file, int line)
{
    if (p == NULL || size == 0) {
        give_back(p, file, line);
        return size == 0 ? NULL : malloc(size);
    }
    size_t had = malloc_usable_size(p);
    if (size <= had && size >= had / 2) {
        return p;
    }
    void *bigger = malloc(size);
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
