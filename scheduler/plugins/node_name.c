/* NodeName: a pod may name its node. */
#include "scheduler/plugins/plugin.h"

static bool node_name(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    if (str_empty(c->node_name) || str_is(c->node_name, n->name)) {
        return true;
    }
    reasons_add(why, "node(s) didn't match the requested node name");
    return false;
}

const struct plugin plugin_node_name = {
    .name = "NodeName",
    .fixed = true,
    .fits = node_name,
};
