#include "base/hash.h"

static uint64_t seed; /* written once */

void hash_seed_draw(const struct env *env)
{
    env_random(env, &seed, sizeof seed);
}

uint64_t hash_seed(void)
{
    return seed;
}
