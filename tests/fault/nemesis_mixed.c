/* Any fault after any other, one at a time. */
#include <string.h>

#include "tests/fault/nemeses.h"

#define NEEDS (NEED_FABRIC | NEED_DISK | NEED_SHIM | NEED_SPARE | NEED_BLKIO | NEED_MAJORITY)

/* Those that fit the cell, but for what hides the others: everything standing still. */
static bool fits(const struct nemesis *n)
{
    return (n->needs & ~NEEDS) == 0 && strcmp(n->name, "none") != 0 && strcmp(n->name, "mixed") != 0 &&
           strcmp(n->name, "pause-all") != 0;
}

static void start(struct trial *t)
{
    const struct nemesis *row, *chosen = NULL;
    uint64_t seen = 0;
    for (unsigned i = 0; (row = nemesis_at(i)) != NULL; i++) {
        if (fits(row) && rng_below(&t->rng, ++seen) == 0) {
            chosen = row;
        }
    }
    t->current = chosen;
    trial_say(t, "-- %s", chosen->name);
    chosen->start(t);
}

static void stop(struct trial *t)
{
    if (t->current != NULL) {
        t->current->stop(t);
        t->current = NULL;
    }
}

static const struct nemesis mixed = {
    .name = "mixed",
    .about = "any fault after any other",
    .needs = NEEDS,
    .hold_min_ms = 500,
    .hold_max_ms = 3500,
    .start = start,
    .stop = stop,
};
const struct nemesis *const nemeses_mixed[] = {&mixed, NULL};
