/* The pods of other nodes: keeps the kernel's ways to them as they should be, chosen for each node (overlay_plan.h).
 *
 * Level-triggered: overlay_sync compares all that should be with all that is, whoever has changed what, and does what
 * is missing; so it is repeatable, takes over what a former agent left, and mends what others break. What the kernel
 * said of the way to a node is remembered until its links, addresses or routes change. No loop: the caller syncs after
 * overlay_set and when overlay_touched says so, in the network namespace of overlay_new. */
#ifndef AGENT_NETWORK_OVERLAY_H
#define AGENT_NETWORK_OVERLAY_H

#include "agent/network/overlay_plan.h"
#include "base/err.h"
#include "base/log.h"

#define OVERLAY_ID    42u
#define OVERLAY_PORT  4789u /* IANA's; the kernel's own standard is another */
#define OVERLAY_TABLE "reeve-overlay"

struct overlay;
/* log is borrowed, or NULL. */
int overlay_new(const struct log *log, struct overlay **out, struct error *err);
void overlay_free(struct overlay *o); /* all stays in the kernel */

struct overlay_config {
    enum overlay_mode mode;
    uint32_t id; /* VXLAN's number */
    uint16_t port;
    uint32_t node;    /* this node's address; 0: not known */
    struct cidr pods; /* of this node; all 0: not known yet, and then there is no tunnel */
};
/* Copied. A node whose range overlaps this node's, or one before it, is left out. */
void overlay_set(struct overlay *o, const struct overlay_config *c, const struct overlay_peer *peers, unsigned count);

/* Blocking: some microseconds a node and what the kernel needs for its lists. All of it is tried; the first error is
 * told. */
int overlay_sync(struct overlay *o, struct error *err);

int overlay_watch(const struct overlay *o); /* readable when something has changed */
bool overlay_touched(struct overlay *o);    /* reads it; true: overlay_sync has something to look at */

struct overlay_state {
    unsigned direct, tunnels; /* nodes */
    unsigned pods_mtu;        /* 0: as usual */
    unsigned long changes;    /* of the kernel, since the beginning */
};
void overlay_get_state(const struct overlay *o, struct overlay_state *out);

/* The table OVERLAY_TABLE of nftables as it is to be, for `nft -f`: only the nodes that are peers through the tunnel
 * may send into it, nothing of the pods may; its own packets are in nobody's table of connections; connections that go
 * through it are told its size; what comes from neither this node's pods nor its end of the tunnel (the node's own
 * connections to services, clients of its ports) leaves with the address of that end, as the answer would not find the
 * tunnel. Without tunnels: no table. */
void overlay_rules_write(const struct overlay *o, const char *bridge, struct buf *out);

bool overlay_has_tunnel(const struct overlay *o);

/* Routes and the link go; for a node that stops being one. */
int overlay_remove(struct error *err);

#endif
