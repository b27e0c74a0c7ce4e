/* The outside world, as far as a pure core may know it: clocks and randomness. A simulator hands in its own.
 *
 * Two clocks: now_ms is monotonic (durations, deadlines, leases), wall_ms is the calendar (timestamps in objects).
 * Never compare one with the other. */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <stddef.h>
#include <stdint.h>

struct env {
    void *data;
    int64_t (*now_ms)(void *data);
    int64_t (*wall_ms)(void *data);
    void (*random)(void *data, void *bytes, size_t n);
};

static inline int64_t env_now_ms(const struct env *e)
{
    return e->now_ms(e->data);
}
static inline int64_t env_wall_ms(const struct env *e)
{
    return e->wall_ms(e->data);
}
static inline void env_random(const struct env *e, void *bytes, size_t n)
{
    e->random(e->data, bytes, n);
}
/* The real one: CLOCK_MONOTONIC, CLOCK_REALTIME, getrandom(2). Static, never freed. */
const struct env *env_real(void);

/* A version 4 UUID as text, 36 characters and NUL. */
#define ENV_UUID_SIZE 37
void env_uuid(const struct env *e, char out[ENV_UUID_SIZE]);

/* Small deterministic generator (splitmix64) for pure code that is handed a seed. */
struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* 0 .. n-1, n > 0 */
/* Five characters as Kubernetes' generateName appends ("bcdfghjklmnpqrstvwxz2456789"), and NUL. */
void rng_suffix(struct rng *r, char out[6]);

#endif
