/* NodeUnschedulable: a cordoned node takes no pods. */
#include "proto/facts/node_match.h"
#include "scheduler/plugins/plugin.h"

/* A cordoned node takes pods that tolerate the taint which stands for it. */
static bool node_unschedulable(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    /* {key: ..., effect: NoSchedule}, as msgpack. */
    static const char taint[] = "\x82\xa3key\xd9\x20node.kubernetes.io/unschedulable\xa6"
                                "effect\xaaNoSchedule";
    if (!n->unschedulable || node_match_tolerated(c->tolerations, mp_of(taint, sizeof taint - 1))) {
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
