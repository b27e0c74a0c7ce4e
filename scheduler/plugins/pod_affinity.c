/* InterPodAffinity: near to some pods, away from others, and what those require in turn (topology.h). Its scores are
 * the tables' own: they change for many nodes at once. */
#include "scheduler/plugins/plugin.h"
#include "scheduler/topology.h"

static bool pod_affinity(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    static const char *const texts[] = {
        [TOPO_NEAR] = "node(s) didn't match pod affinity rules",
        [TOPO_AWAY] = "node(s) didn't match pod anti-affinity rules",
        [TOPO_FORBIDDEN] = "node(s) didn't satisfy existing pods anti-affinity rules",
    };
    enum topo_refusal refusal = places_affinity(c, n->slot, TOPO_ALL);
    if (refusal != TOPO_FITS) {
        reasons_add(why, "%s", texts[refusal]);
    }
    return refusal == TOPO_FITS;
}

const struct plugin plugin_pod_affinity = {
    .name = "InterPodAffinity",
    .places = true,
    .fits = pod_affinity,
};
