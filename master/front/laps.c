#include "master/front/laps.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

/* How many windows have ended since the present one began. */
static int64_t windows_ended(const struct laps *l, int64_t now_ms)
{
    return now_ms < l->since_ms ? 0 : (now_ms - l->since_ms) / LAPS_WINDOW_MS;
}

static void windows_move(struct lap_most *m, int64_t ended)
{
    m->was_us = ended == 1 ? m->now_us : 0;
    m->now_us = 0;
}

static void took(struct lap_most *m, int64_t us)
{
    m->now_us = MAX(m->now_us, us);
    m->ever_us = MAX(m->ever_us, us);
}

void laps_part(struct laps *l, enum lap part, int64_t cpu_us)
{
    assert(cpu_us > 0 && part < LAP_COUNT);
    if (l->cpu_us != 0) {
        l->took_us[part] += cpu_us - l->part_cpu_us;
    }
    l->part_cpu_us = cpu_us;
}

void laps_end(struct laps *l, int64_t cpu_us, int64_t now_ms)
{
    int64_t ended = windows_ended(l, now_ms);
    laps_part(l, LAP_TIMERS, cpu_us);
    if (ended > 0) {
        windows_move(&l->turn, ended);
        for (unsigned i = 0; i < LAP_COUNT; i++) {
            windows_move(&l->parts[i], ended);
        }
        l->since_ms += ended * LAPS_WINDOW_MS;
    }
    took(&l->turn, l->cpu_us == 0 ? 0 : cpu_us - l->cpu_us);
    for (unsigned i = 0; i < LAP_COUNT; i++) {
        took(&l->parts[i], l->took_us[i]);
    }
    memset(l->took_us, 0, sizeof l->took_us);
    l->cpu_us = cpu_us;
}

static int64_t of_late(const struct laps *l, const struct lap_most *m, int64_t now_ms)
{
    int64_t ended = windows_ended(l, now_ms);
    return ended == 0 ? MAX(m->now_us, m->was_us) : ended == 1 ? m->now_us : 0;
}

int64_t laps_longest_us(const struct laps *l, int64_t now_ms)
{
    return of_late(l, &l->turn, now_ms);
}

int64_t laps_longest_part_us(const struct laps *l, enum lap part, int64_t now_ms)
{
    return of_late(l, &l->parts[part], now_ms);
}
