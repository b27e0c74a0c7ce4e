#include "master/front/laps.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define WINDOW_US (LAPS_WINDOW_MS * (int64_t)1000)

/* How many windows have ended since the present one began. */
static int64_t windows_ended(const struct laps *l, int64_t wall_us)
{
    return wall_us < l->since_us ? 0 : (wall_us - l->since_us) / WINDOW_US;
}

static void windows_move(struct lap_most *m, int64_t ended)
{
    m->was_us = ended == 1 ? m->now_us : 0;
    m->now_us = 0;
}

static void took(struct lap_most *m, int64_t us)
{
    assert(us >= 0);
    m->now_us = MAX(m->now_us, us);
    m->ever_us = MAX(m->ever_us, us);
}

bool laps_is_long(const struct laps *l, int64_t wall_us)
{
    return wall_us - l->part_us >= LAPS_LONG_US;
}

void laps_part(struct laps *l, enum lap part, int64_t wall_us, int64_t cpu_us)
{
    assert(part < LAP_COUNT && wall_us >= l->part_us);
    int64_t took_us = wall_us - l->part_us;
    if (cpu_us != 0) {
        assert(cpu_us >= l->part_cpu_us);
        l->took_us[part] += l->cpu_us == 0 ? 0 : MAX(cpu_us - l->part_cpu_us - l->short_us, 0);
        l->part_cpu_us = cpu_us;
        l->short_us = 0;
    } else if (part != LAP_SOCKETS) {
        l->took_us[part] += took_us;
        l->short_us += took_us;
    }
    l->part_us = wall_us;
}

/* The parts of the turn that ended. What they leave of it was sockets, too short to be asked for. */
static void parts_took(struct laps *l, int64_t turn_us)
{
    int64_t left_us = turn_us;
    for (unsigned i = 0; i < LAP_COUNT; i++) {
        left_us -= l->took_us[i];
    }
    l->took_us[LAP_SOCKETS] += MAX(left_us, 0);
    for (unsigned i = 0; i < LAP_COUNT; i++) {
        took(&l->parts[i], MIN(l->took_us[i], turn_us));
    }
}

void laps_end(struct laps *l, int64_t cpu_us, int64_t wall_us)
{
    assert(cpu_us > 0 && cpu_us >= l->cpu_us);
    int64_t ended = windows_ended(l, wall_us);
    laps_part(l, LAP_TIMERS, wall_us, laps_is_long(l, wall_us) ? cpu_us : 0);
    if (ended > 0) {
        windows_move(&l->turn, ended);
        for (unsigned i = 0; i < LAP_COUNT; i++) {
            windows_move(&l->parts[i], ended);
        }
        l->since_us += ended * WINDOW_US;
    }
    int64_t turn_us = l->cpu_us == 0 ? 0 : cpu_us - l->cpu_us; /* the first one is only a beginning */
    l->last_us = turn_us;
    took(&l->turn, turn_us);
    parts_took(l, turn_us);
    memset(l->took_us, 0, sizeof l->took_us);
    l->cpu_us = l->part_cpu_us = cpu_us;
    l->short_us = 0;
}

static int64_t of_late(const struct laps *l, const struct lap_most *m, int64_t wall_us)
{
    int64_t ended = windows_ended(l, wall_us);
    return ended == 0 ? MAX(m->now_us, m->was_us) : ended == 1 ? m->now_us : 0;
}

int64_t laps_last_us(const struct laps *l)
{
    return l->last_us;
}

int64_t laps_longest_us(const struct laps *l, int64_t wall_us)
{
    return of_late(l, &l->turn, wall_us);
}

int64_t laps_longest_part_us(const struct laps *l, enum lap part, int64_t wall_us)
{
    return of_late(l, &l->parts[part], wall_us);
}
