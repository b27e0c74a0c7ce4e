/* The kernel's table of network policies without any pod: chains, rules and empty sets, the same on every node. Pure.
 *
 * Only what is forwarded is looked at: what the node itself sends to its pods, and what they send to it (probes, names),
 * passes. Every packet of a connection is judged, in both directions, by who has begun it and who answers, after all
 * translation: so replies pass, services are seen as the pods behind them, and a connection that is no longer allowed
 * is cut.
 *
 *   pods-in, pods-out   address -> group         pods here that are isolated in a direction; pods that are allowed the
 *                                                same have one group
 *   selves              address . address        they may reach themselves (by a service)
 *   peers               address -> identity      pods that rules speak of; those of which all rules speak alike have one
 *   blocks              0 . first, last -> identity   the same for ranges of addresses
 *   allow               group . identity . protocol . port   protocol and port 0: all of them
 *   ranges              group . identity . protocol . first, last
 * The identity POLICY_ANYBODY stands for everybody. Groups of both directions have different numbers.
 *
 *   forward    (filter) from an isolated pod: out. To one: in. What the kernel knows no connection of: strange
 *   X          itself: back. X-pod, X-block or X-any by who the other one is
 *   X-pod, X-block, X-any   allowed: back. X-any at last drops */
#ifndef AGENT_POLICY_SKELETON_H
#define AGENT_POLICY_SKELETON_H

#include "agent/service/kernel.h"

enum policy_set {
    POLICY_SET_PODS_IN,
    POLICY_SET_PODS_OUT,
    POLICY_SET_SELVES,
    POLICY_SET_ALLOW,
    POLICY_SET_RANGES,
    POLICY_SET_BLOCKS,
    POLICY_SET_PEERS,
    POLICY_SETS_COUNT
};
#define POLICY_ANYBODY     0xffffffffu
#define POLICY_TABLE       "reeve-policies-1"
#define POLICY_ALLOW_BYTES 16u
extern const struct service_kernel_table policy_table; /* with: NULL */

#endif
