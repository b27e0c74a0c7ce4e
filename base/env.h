/* The outside world, as far as a pure core may know it: clocks and randomness. A simulator hands in its own.
 *
 * Three clocks: now_ms is monotonic (durations, deadlines), wall_ms is the calendar (timestamps in objects), and
 * boot_ms is monotonic too, but goes on while the machine is suspended: for what is true for a time alone, whether we
 * run in it or not. Never compare one with another. */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <stddef.h>
#include <stdint.h>

struct env {
    void *data;
    int64_t (*now_ms)(void *data);
    int64_t (*wall_ms)(void *data);
    void (*random)(void *data, void *bytes, size_t n);
    int64_t (*boot_ms)(void *data); /* NULL: as now_ms, since nothing is suspended there */
};

static inline int64_t env_now_ms(const struct env *e)
{
    return e->now_ms(e->data);
}
static inline int64_t env_boot_ms(const struct env *e)
{
    return e->boot_ms != NULL ? e->boot_ms(e->data) : e->now_ms(e->data);
}
static inline int64_t env_wall_ms(const struct env *e)
{
    return e->wall_ms(e->data);
}
static inline void env_random(const struct env *e, void *bytes, size_t n)
{
    e->random(e->data, bytes, n);
}
/* The real one: CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME, getrandom(2). Static, never freed. */
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
