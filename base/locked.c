#include "base/locked.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/mem.h"

void *locked_new(size_t size_bytes)
{
    void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "out of memory: %zu bytes for keys\n", size_bytes);
        abort();
    }
    /* Each is of use without the others. */
    (void)mlock(p, size_bytes);
    (void)madvise(p, size_bytes, MADV_DONTDUMP);
    (void)madvise(p, size_bytes, MADV_WIPEONFORK);
    return p;
}

void locked_free(void *p, size_t size_bytes)
{
    if (p != NULL) {
        mem_wipe(p, size_bytes);
        munmap(p, size_bytes); /* unlocks */
    }
}
