/* Reference counts that any thread may move.
 *
 * A thread may take a ref only while somebody holds another one, so the count is at least one then and taking needs no
 * memory order. What a thread did to the object happens before the last ref is dropped, and before refs_is_only tells
 * another thread that it is alone. */
#ifndef BASE_REFS_H
#define BASE_REFS_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

static inline void refs_take(uint32_t *refs)
{
    uint32_t before = __atomic_fetch_add(refs, 1, __ATOMIC_RELAXED);
    assert(before > 0 && before < UINT32_MAX);
    (void)before;
}

/* True: it was the last ref, and the caller frees the object. */
static inline bool refs_drop(uint32_t *refs)
{
    uint32_t before = __atomic_fetch_sub(refs, 1, __ATOMIC_ACQ_REL);
    assert(before > 0);
    return before == 1;
}

/* The caller holds a ref. True: it is the only one, so nobody else can read or change the object meanwhile. */
static inline bool refs_is_only(const uint32_t *refs)
{
    return __atomic_load_n(refs, __ATOMIC_ACQUIRE) == 1;
}

#endif
