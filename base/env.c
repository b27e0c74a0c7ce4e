#include "base/env.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t clock_ms(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t real_now_ms(void *data)
{
    (void)data;
    return clock_ms(CLOCK_MONOTONIC);
}

static int64_t real_wall_ms(void *data)
{
    (void)data;
    return clock_ms(CLOCK_REALTIME);
}

static int64_t real_boot_ms(void *data)
{
    (void)data;
    return clock_ms(CLOCK_BOOTTIME);
}

static void real_random(void *data, void *bytes, size_t n)
{
    (void)data;
    uint8_t *p = bytes;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            perror("getrandom");
            abort(); /* no uid or key may ever be guessable */
        }
        p += got;
        n -= (size_t)got;
    }
}

const struct env *env_real(void)
{
    static const struct env real = {NULL, real_now_ms, real_wall_ms, real_random, real_boot_ms};
    return &real;
}

void env_uuid(const struct env *e, char out[ENV_UUID_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t b[16];
    env_random(e, b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    for (unsigned i = 0; i < sizeof b; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *out++ = '-';
        }
        *out++ = hex[b[i] >> 4];
        *out++ = hex[b[i] & 15];
    }
    *out = '\0';
}

uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    assert(n > 0);
    return (uint64_t)(((unsigned __int128)rng_next(r) * n) >> 64);
}

void rng_suffix(struct rng *r, char out[6])
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    for (int i = 0; i < 5; i++) {
        out[i] = letters[rng_below(r, sizeof letters - 1)];
    }
    out[5] = '\0';
}
