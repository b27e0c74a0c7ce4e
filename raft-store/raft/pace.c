#include "raft-store/raft/pace.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

void pace_init(struct pace *p, const struct pace_config *config, int64_t now_ms)
{
    assert(config->heartbeat_ms > 0 && config->floor_ms > 0);
    memset(p, 0, sizeof *p);
    p->config = *config;
    p->base_ms = p->seen_ms = p->own.since_ms = now_ms;
    p->told_at_ms = INT64_MIN / 2;
    p->start_until_ms = now_ms + 2 * PACE_WINDOW_MS;
}

bool pace_adapts(const struct pace *p)
{
    return p->config.ceiling_ms > p->config.floor_ms;
}

int64_t pace_time(const struct pace *p, int64_t now_ms)
{
    int64_t passed = MAX(now_ms - p->seen_ms, 0);
    return p->base_ms + (p->attended ? MIN(passed, (int64_t)p->config.heartbeat_ms) : passed);
}

void pace_attend(struct pace *p, int64_t now_ms)
{
    int64_t passed = now_ms - p->seen_ms, before_ms = p->base_ms;
    if (p->attended && passed > (int64_t)p->config.heartbeat_ms * 3 / 2) {
        pace_observe(p, passed, now_ms);
    }
    p->base_ms = pace_time(p, now_ms);
    assert(p->base_ms >= before_ms); /* a clock that goes back does not turn this one back */
    p->seen_ms = now_ms;
    p->attended = true;
}

/* The windows go on. */
static void roll(struct pace *p, int64_t now_ms)
{
    int64_t passed = now_ms - p->own.since_ms;
    if (passed >= PACE_WINDOW_MS) {
        p->own.before_ms = passed < 2 * PACE_WINDOW_MS ? p->own.now_ms : 0;
        p->own.now_ms = 0;
        p->own.since_ms = now_ms - passed % PACE_WINDOW_MS;
    }
}

void pace_observe(struct pace *p, int64_t silent_ms, int64_t now_ms)
{
    roll(p, now_ms);
    if (silent_ms <= 2 * (int64_t)MAX(p->config.ceiling_ms, p->config.floor_ms)) {
        p->own.now_ms = MAX(p->own.now_ms, (unsigned)MAX(silent_ms, 0));
    }
}

void pace_heard(struct pace *p, uint64_t id, unsigned units, int64_t now_ms)
{
    unsigned at = 0, oldest = 0;
    while (at < p->heard_count && p->heard[at].id != id) {
        oldest = p->heard[at].at_ms < p->heard[oldest].at_ms ? at : oldest;
        at++;
    }
    if (at == PACE_PEERS_MAX) {
        at = oldest;
    } else if (at == p->heard_count) {
        p->heard_count++;
    }
    assert(at < p->heard_count && p->heard_count <= PACE_PEERS_MAX);
    p->heard[at].id = id;
    p->heard[at].ms = units * PACE_UNIT_MS;
    p->heard[at].at_ms = now_ms;
}

void pace_told(struct pace *p, unsigned units, int64_t now_ms)
{
    p->told_ms = units * PACE_UNIT_MS;
    p->told_at_ms = now_ms;
}

unsigned pace_own(const struct pace *p, int64_t now_ms)
{
    int64_t windows = (now_ms - p->own.since_ms) / PACE_WINDOW_MS;
    return windows > 1 ? 0 : windows == 1 ? p->own.now_ms : MAX(p->own.now_ms, p->own.before_ms);
}

unsigned pace_all(const struct pace *p, int64_t now_ms)
{
    unsigned ms = pace_own(p, now_ms);
    if (now_ms - p->told_at_ms < PACE_WINDOW_MS) {
        ms = MAX(ms, p->told_ms);
    }
    for (unsigned i = 0; i < p->heard_count; i++) {
        if (now_ms - p->heard[i].at_ms < PACE_FRESH_MS) {
            ms = MAX(ms, p->heard[i].ms);
        }
    }
    return ms;
}

unsigned pace_units(unsigned ms)
{
    return MIN((ms + PACE_UNIT_MS - 1) / PACE_UNIT_MS, PACE_UNITS_MAX);
}

unsigned pace_timeout(const struct pace *p, int64_t now_ms)
{
    if (!pace_adapts(p)) {
        return p->config.floor_ms;
    }
    unsigned ms = pace_all(p, now_ms) * 3 / 2 + 2 * p->config.heartbeat_ms;
    if (now_ms < p->start_until_ms) {
        ms = MAX(ms, p->config.start_ms);
    }
    return MIN(MAX(ms, p->config.floor_ms), p->config.ceiling_ms);
}
