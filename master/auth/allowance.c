#include "master/auth/allowance.h"

#include <assert.h>
#include <xxhash.h>

#include "base/mem.h"

struct allowance *allowance_new(const struct env *env, int64_t burst, int64_t every_us)
{
    assert(burst > 0 && every_us > 0 && burst < (INT64_C(1) << 40) / every_us);
    struct allowance *a = xcalloc(1, sizeof *a);
    a->burst = burst;
    a->every_us = every_us;
    env_random(env, &a->seed, sizeof a->seed);
    return a;
}

static uint64_t hash_of(const struct allowance *a, struct str who)
{
    uint64_t hash = XXH3_64bits_withSeed(who.p, who.n, a->seed);
    return hash == 0 ? 1 : hash;
}

static struct allowance_row *set_of(const struct allowance *a, uint64_t hash)
{
    return (struct allowance_row *)a->rows[hash % ALLOWANCE_SETS];
}

static struct allowance_row *find(const struct allowance *a, struct str who)
{
    uint64_t hash = hash_of(a, who);
    struct allowance_row *set = set_of(a, hash);
    for (unsigned i = 0; i < ALLOWANCE_SET; i++) {
        if (set[i].who == hash) {
            return &set[i];
        }
    }
    return NULL;
}

/* What the account lacks, in the time that it takes to come back. */
static int64_t owed_us(const struct allowance_row *row, int64_t now_us)
{
    return row == NULL ? 0 : MAX(row->full_us - now_us, 0);
}

static int64_t cost_us(const struct allowance *a, int64_t units)
{
    assert(units >= 0);
    return MIN(units, a->burst) * a->every_us;
}

int64_t allowance_wait_ms(const struct allowance *a, struct str who, int64_t units, int64_t now_ms)
{
    int64_t over_us = owed_us(find(a, who), now_ms * 1000) + cost_us(a, units) - a->burst * a->every_us;
    return over_us <= 0 ? 0 : (over_us + 999) / 1000;
}

/* Free rows are full since ever, so they go first. */
static struct allowance_row *enter(struct allowance *a, struct str who)
{
    uint64_t hash = hash_of(a, who);
    struct allowance_row *set = set_of(a, hash), *row = &set[0];
    for (unsigned i = 1; i < ALLOWANCE_SET; i++) {
        row = set[i].full_us < row->full_us ? &set[i] : row;
    }
    *row = (struct allowance_row){.who = hash};
    return row;
}

int64_t allowance_take(struct allowance *a, struct str who, int64_t units, int64_t now_ms)
{
    int64_t wait_ms = allowance_wait_ms(a, who, units, now_ms);
    if (wait_ms > 0) {
        return wait_ms;
    }
    struct allowance_row *row = find(a, who);
    row = row == NULL ? enter(a, who) : row;
    row->full_us = now_ms * 1000 + owed_us(row, now_ms * 1000) + cost_us(a, units);
    return 0;
}
