/* NodePorts: a port of the host is one pod's. */
#include "scheduler/plugins/plugin.h"

static bool node_ports(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    for (unsigned i = 0; i < c->ports_count; i++) {
        for (unsigned j = 0; j < n->ports_count; j++) {
            if (host_ports_conflict(&c->ports[i], &n->ports[j])) {
                reasons_add(why, "node(s) didn't have free ports for the requested pod ports");
                return false;
            }
        }
    }
    return true;
}

const struct plugin plugin_node_ports = {
    .name = "NodePorts",
    .fits = node_ports,
};
