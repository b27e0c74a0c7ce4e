/* The table of services without any service: chains, rules and empty sets, which are the same on every node but for
 * the ranges of addresses. Pure. X is "in" for pods and the node itself, "out" for everybody else.
 *
 *   pre, out        (nat, destination)  -> lead-X
 *   lead-X          the packet is for a front: its info becomes the note -> known-X
 *   known-X         not among a balancer's sources: drop. A port with affinity -> stick-X. Else -> places
 *   stick-X         a client that is remembered: the endpoint's number becomes the note -> stuck-X. Else -> places
 *   stuck-X         to that endpoint, if it is still one. Else it is forgotten; the info once more -> places
 *   places          by the number of places -> draw-N, which draws one: it becomes the note -> drawn, to its endpoint
 *   pre-after, out-after  (filter, behind those) only what begins a connection -> after-X
 *   after-X         translated -> remember. A front without a place: refused or dropped, as its info says. One that has
 *                   places, of which the one that was drawn has just gone, or is not there yet: a packet may see one
 *                   set before a change and the next one behind it. It is dropped, before the kernel notes the
 *                   connection, or all that the client sends again would be as untranslated. Another port of a cluster
 *                   IP: refused. What else is in the range of services: dropped
 *   remember        a port with affinity, by its step -> remember-N, which notes the client and its endpoint
 *   post            (nat, source) an endpoint that has come to itself, and what its front wants masked, leaves with
 *                   the node's address
 *
 * The note is the packet's priority for queueing (nft.h), set back to 0 behind it, and only in the first packet of a
 * connection to a service. No mark is read or written: marks are others'. nft(8) lists all of it as rules of its own
 * kind: what it cannot read ends it, and with it whoever lists the whole ruleset (kubernetes#136786).
 * Dropping and refusing is final; accepting is not: other tables go on. */
#ifndef AGENT_SERVICE_SKELETON_H
#define AGENT_SERVICE_SKELETON_H

#include "agent/service/kernel.h"
#include "agent/service/nft.h"
#include "agent/service/table.h"

#define SKELETON_TABLE "reeve-services-2"
extern const struct service_kernel_table skeleton_table; /* with: struct skeleton_ranges */
#define SKELETON_RANGE_KEY   16u                         /* of `sources`: a front and an address */
#define SKELETON_CLIENTS_MAX 262144u /* remembered by affinity; the others are drawn anew each time */

#define SKELETON_RANGES_MAX  8u
struct skeleton_ranges {
    struct cidr pods[SKELETON_RANGES_MAX], services[SKELETON_RANGES_MAX];
    unsigned pods_count, services_count;
};
/* In place of the former ranges; the table is there. */
void skeleton_write_ranges(struct nft *n, const void *ranges);
#define SERVICE_CHANGES_MAX 2048u /* of one transaction */

#endif
