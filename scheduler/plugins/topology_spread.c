/* PodTopologySpread: pods that a constraint means are spread evenly over places (topology.h). Its scores are the
 * tables' own: they change for many nodes at once. */
#include "scheduler/plugins/plugin.h"
#include "scheduler/topology.h"

static bool topology_spread(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    switch (places_spread(c, n->slot, TOPO_ALL)) {
    case TOPO_EVEN:
        return true;
    case TOPO_UNLABELLED:
        reasons_add(why, "node(s) didn't match pod topology spread constraints (missing required label)");
        return false;
    case TOPO_SKEWED:
        break;
    }
    reasons_add(why, "node(s) didn't match pod topology spread constraints");
    return false;
}

const struct plugin plugin_topology_spread = {
    .name = "PodTopologySpread",
    .places = true,
    .fits = topology_spread,
};
