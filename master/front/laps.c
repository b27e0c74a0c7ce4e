#include "master/front/laps.h"

#include <assert.h>

#include "base/mem.h"

/* How many windows have ended since the present one began. */
static int64_t windows_ended(const struct laps *l, int64_t now_ms)
{
    return now_ms < l->since_ms ? 0 : (now_ms - l->since_ms) / LAPS_WINDOW_MS;
}

void laps_end(struct laps *l, int64_t cpu_us, int64_t now_ms)
{
    int64_t ended = windows_ended(l, now_ms), took_us = l->cpu_us == 0 ? 0 : cpu_us - l->cpu_us;
    assert(cpu_us > 0);
    if (ended > 0) {
        l->was_us = ended == 1 ? l->now_us : 0;
        l->now_us = 0;
        l->since_ms += ended * LAPS_WINDOW_MS;
    }
    l->cpu_us = cpu_us;
    l->now_us = MAX(l->now_us, took_us);
    l->ever_us = MAX(l->ever_us, took_us);
}

int64_t laps_longest_us(const struct laps *l, int64_t now_ms)
{
    int64_t ended = windows_ended(l, now_ms);
    return ended == 0 ? MAX(l->now_us, l->was_us) : ended == 1 ? l->now_us : 0;
}
