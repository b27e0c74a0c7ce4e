/* Memory for keys: not written to swap space, not in core files, not in the memory of forked children. */
#ifndef BASE_LOCKED_H
#define BASE_LOCKED_H

#include <stddef.h>

/* Zeroed, whole pages. Where the kernel grants no locked memory (RLIMIT_MEMLOCK) it is memory all the same: better a
 * key that may be swapped than none. Aborts when there is no memory. */
void *locked_new(size_t size_bytes) __attribute__((returns_nonnull));
/* Wipes and gives back. p may be NULL. */
void locked_free(void *p, size_t size_bytes);

#endif
