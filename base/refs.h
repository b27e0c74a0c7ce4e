/* Reference counts that any thread may move.
 *
 * Taking a ref needs one that is held meanwhile (by whoever it was borrowed from), so the count is at least one and no
 * order is needed. What a thread did to the object happens before the last ref goes, and before somebody finds that
 * he is the only one left. */
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

/* True: it was the last one. */
static inline bool refs_drop(uint32_t *refs)
{
    uint32_t before = __atomic_fetch_sub(refs, 1, __ATOMIC_ACQ_REL);
    assert(before > 0);
    return before == 1;
}

/* Whoever asks holds a ref; true: nobody else does, nor can take one unless through the asker. */
static inline bool refs_is_only(const uint32_t *refs)
{
    return __atomic_load_n(refs, __ATOMIC_ACQUIRE) == 1;
}

#endif
