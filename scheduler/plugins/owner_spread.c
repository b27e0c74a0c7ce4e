/* OwnerSpread: replicas of one owner on different nodes. Its weight makes the first of them land so whatever is used
 * there. With the constraint by zone (topology_terms.c) it is what Kubernetes' built-in default constraints are: pods
 * that have constraints of their own are spread by those alone. Where pods are to be packed
 * it says nothing. */
#include "scheduler/plugins/plugin.h"
#include "scheduler/topology.h"

static int owner_spread(const struct sched_class *c, const struct sched_node *n)
{
    if (c->places->says_spread || n->policy->pack) {
        return 0;
    }
    return (int)(2 * SCORE_MAX / (2 + MIN(group_count(c->group, n->slot), 1000u)));
}

const struct plugin plugin_owner_spread = {
    .name = "OwnerSpread",
    .weight = 5,
    .score = owner_spread,
};
