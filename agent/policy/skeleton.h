/* The kernel's table of network policies without any pod: chains, rules and empty sets, the same on every node. Pure.
 *
 * Only what is forwarded is looked at: what the node itself sends to its pods, and what they send to it (probes,
 * names), passes. Every packet of a connection is judged, in both directions, by who has begun it and who answers,
 * after all translation: so replies pass, services are seen as the pods behind them, and a connection that is no longer
 * allowed is cut.
 *
 *   pods-in, pods-out   address              pods here that are isolated in a direction
 *   selves              address . address    they may reach themselves (by a service)
 *   peers               address -> identity  pods that rules speak of; those of which all rules speak alike have one
 *   blocks              0 . first, last -> identity    the same for ranges of addresses
 *   rules-in, rules-out   address . identity -> list   which ports a pod here and this peer have in common
 *   ports               list . protocol . port
 *   ranges              list . protocol . first, last
 *   priorities          what the kernel gives a packet, by its type of service; the same everywhere
 * What holds for the identity POLICY_ANYBODY holds for everybody for whom a pod has no rule. POLICY_ALL_PORTS is the
 * list of all ports of all protocols.
 *
 *   forward         (filter, before all others) from an isolated pod: out. To one: in. What the kernel knows no
 *                   connection of: strange
 *   in, out         itself: back. The other one's identity becomes the note -> X-known
 *   in-known, out-known   the list becomes the note -> judge. No list: anybody's. None: deny
 *   judge           all ports, or the port: pass. Else deny
 *   pass            the note is what it was -> back
 *
 * The note is the packet's priority (nft.h). nft(8) can list all of it: a map's result is never part of a key. */
#ifndef AGENT_POLICY_SKELETON_H
#define AGENT_POLICY_SKELETON_H

#include "agent/service/kernel.h"

/* In the order in which what is added denies rather than allows. */
enum policy_set {
    POLICY_SET_PODS_IN,
    POLICY_SET_PODS_OUT,
    POLICY_SET_SELVES,
    POLICY_SET_PORTS,
    POLICY_SET_RANGES,
    POLICY_SET_RULES_IN,
    POLICY_SET_RULES_OUT,
    POLICY_SET_BLOCKS,
    POLICY_SET_PEERS,
    POLICY_SETS_COUNT
};
#define POLICY_ANYBODY     0xffffffffu
#define POLICY_ALL_PORTS   1u
#define POLICY_TABLE       "reeve-policies-1"
#define POLICY_PORTS_BYTES 12u
extern const struct service_kernel_table policy_table; /* with: NULL */

#endif
