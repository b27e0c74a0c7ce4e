#include "master/renewals.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"

#define ALL_MS ((int64_t)RENEWALS_BURST * RENEWALS_EVERY_MS)

void renewals_init(struct renewals *r, const struct env *env)
{
    memset(r, 0, sizeof *r);
    env_random(env, &r->seed, sizeof r->seed);
}

static uint64_t hash_of(const struct renewals *r, const struct pki_identity *who)
{
    uint64_t h = XXH3_64bits_withSeed(who->name, strlen(who->name), r->seed + (uint64_t)who->role);
    return h == 0 ? 1 : h;
}

/* Its row, or a free one, or that of who has been quiet for the longest. */
static struct renewals_row *row_of(struct renewals *r, uint64_t who)
{
    struct renewals_row *oldest = &r->rows[0];
    for (size_t i = 0; i < ARRAY_SIZE(r->rows); i++) {
        if (r->rows[i].who == who) {
            return &r->rows[i];
        }
        oldest = r->rows[i].full_ms < oldest->full_ms ? &r->rows[i] : oldest;
    }
    *oldest = (struct renewals_row){.who = who};
    return oldest;
}

int64_t renewals_take(struct renewals *r, const struct pki_identity *who, int64_t now_ms)
{
    assert(now_ms >= 0);
    struct renewals_row *row = row_of(r, hash_of(r, who));
    int64_t owed_ms = MAX(row->full_ms - now_ms, 0);
    if (owed_ms > ALL_MS - RENEWALS_EVERY_MS) {
        return owed_ms - (ALL_MS - RENEWALS_EVERY_MS);
    }
    row->full_ms = now_ms + owed_ms + RENEWALS_EVERY_MS;
    return 0;
}
