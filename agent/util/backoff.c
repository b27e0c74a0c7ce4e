#include "agent/util/backoff.h"

#include <assert.h>

#include <stdbool.h>

#include "base/mem.h"

void backoff_init(struct backoff *b, int64_t base_ms, int64_t max_ms)
{
    assert(base_ms > 0 && max_ms >= base_ms);
    *b = (struct backoff){.base_ms = base_ms, .max_ms = max_ms};
}

void backoff_reset(struct backoff *b)
{
    b->delay_ms = 0;
}

static bool expired(const struct backoff *b, int64_t at_ms)
{
    return b->delay_ms == 0 || at_ms - b->last_ms > 2 * b->max_ms;
}

int64_t backoff_grow(struct backoff *b, int64_t now_ms)
{
    b->delay_ms = expired(b, now_ms) ? b->base_ms : MIN(b->delay_ms * 2, b->max_ms);
    b->last_ms = now_ms;
    assert(b->delay_ms >= b->base_ms && b->delay_ms <= b->max_ms);
    return b->delay_ms;
}

int64_t backoff_left(const struct backoff *b, int64_t since_ms, int64_t now_ms)
{
    if (expired(b, since_ms)) {
        return 0;
    }
    return MAX(since_ms + b->delay_ms - now_ms, 0);
}

int64_t backoff_jitter(const struct backoff *b, const struct env *env)
{
    uint32_t r = 0;
    env_random(env, &r, sizeof r);
    return b->delay_ms / 2 + (int64_t)(r % (uint64_t)(b->delay_ms / 2 + 1));
}
