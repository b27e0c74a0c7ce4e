#include "agent/util/attend.h"

#include <assert.h>

#include "base/mem.h"

static int64_t tick_of(const struct attend *a)
{
    return MIN(a->left_ms, ATTEND_TICK_MS);
}

int64_t attend_start(struct attend *a, int64_t limit_ms, int64_t now_ms)
{
    assert(limit_ms > 0);
    *a = (struct attend){.left_ms = limit_ms, .armed_ms = now_ms, .last_ms = now_ms + limit_ms + ATTEND_EXTRA_MS};
    return tick_of(a);
}

int64_t attend_skip(struct attend *a, int64_t now_ms)
{
    a->armed_ms = now_ms;
    return tick_of(a);
}

int64_t attend_tick(struct attend *a, int64_t now_ms)
{
    bool late = now_ms - a->armed_ms > 2 * ATTEND_TICK_MS && now_ms < a->last_ms;
    if (!late) {
        a->left_ms -= tick_of(a);
    }
    return attend_skip(a, now_ms);
}
