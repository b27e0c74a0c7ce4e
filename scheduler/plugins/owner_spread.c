/* OwnerSpread: replicas of one owner on different nodes. Its weight makes the first of them land so whatever is used
 * there. */
#include "scheduler/plugins/plugin.h"

static int owner_spread(const struct sched_class *c, const struct sched_node *n)
{
    return (int)(2 * SCORE_MAX / (2 + MIN(group_count(c->group, n->slot), 1000u)));
}

const struct plugin plugin_owner_spread = {
    .name = "OwnerSpread",
    .weight = 5,
    .score = owner_spread,
};
