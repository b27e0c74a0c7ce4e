/* NodeUnschedulable: a cordoned node takes no pods. */
#include "proto/facts/node_match.h"
#include "scheduler/plugins/plugin.h"

/* A cordoned node takes pods that tolerate the taint which stands for it. */
static bool node_unschedulable(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    if (!n->unschedulable || node_match_cordon_tolerated(c->tolerations)) {
        return true;
    }
    reasons_add(why, "node(s) were unschedulable");
    return false;
}

const struct plugin plugin_node_unschedulable = {
    .name = "NodeUnschedulable",
    .fixed = true,
    .fits = node_unschedulable,
};
