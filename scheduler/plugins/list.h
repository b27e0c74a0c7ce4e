/* The plugins of the scheduler: X(NAME) stands for `plugin_NAME`, which a file of this folder defines.
 *
 * Filters are asked in this order: the first that refuses a node is the reason that is told. */
#ifndef SCHEDULER_PLUGINS_LIST_H
#define SCHEDULER_PLUGINS_LIST_H

#define SCHED_PLUGINS(X)                                                                                               \
    X(node_unschedulable)                                                                                              \
    X(node_name)                                                                                                       \
    X(taint_toleration)                                                                                                \
    X(node_affinity)                                                                                                   \
    X(node_ports)                                                                                                      \
    X(volume_binding)                                                                                                  \
    X(node_resources_fit)                                                                                              \
    X(topology_spread)                                                                                                 \
    X(pod_affinity)                                                                                                    \
    X(balanced_allocation)                                                                                             \
    X(image_locality)                                                                                                  \
    X(owner_spread)

#endif
