/* The ways to the pods of other nodes: which of them lead over the link that both nodes are on, and which through a
 * tunnel; and what has to change in the kernel for it. Pure: overlay.c asks the kernel and does it.
 *
 * A peer on one link with this node is its pods' gateway (a route, no overhead). Any other peer is reached through one
 * VXLAN link of the node: a route to an address that stands for the peer, a neighbour that gives this address a MAC,
 * and an entry of the link's forwarding table that gives the MAC the peer's own address. The address is the first of
 * the peer's range of pods, which no pod gets, and the MAC is made of it: nodes need not tell each other any of it, and
 * it stays the same when a node's address changes.
 *
 * Sources: RFC 7348; the kernel's Documentation/networking/vxlan.rst. */
#ifndef AGENT_NETWORK_OVERLAY_PLAN_H
#define AGENT_NETWORK_OVERLAY_PLAN_H

#include "base/buf.h"
#include "proto/facts/cidr.h"

#define OVERLAY_MAC_BYTES 6
#define OVERLAY_OVERHEAD  50u /* bytes of a packet that the tunnel takes: IPv4, UDP, VXLAN, Ethernet */
#define OVERLAY_MTU       1500u
#define OVERLAY_MTU_MIN   576u

enum overlay_mode { OVERLAY_AUTO, OVERLAY_HOST_GW, OVERLAY_VXLAN };
/* "auto", "host-gw", "vxlan". False: another word, *out is as before. */
bool overlay_mode_parse(struct str word, enum overlay_mode *out);

struct overlay_peer {
    struct cidr pods;
    uint32_t node; /* address */
};
/* The kernel's choice for packets to a peer's address. */
struct overlay_way {
    bool reachable, local; /* local: it is an address of this machine */
    bool gateway;          /* by way of another machine */
    uint32_t link;
};
struct overlay_link {
    uint32_t index;
    unsigned mtu;
    bool shared; /* its machines find each other by ARP: no tunnel, no point-to-point link */
    bool ours;   /* the address that other nodes know this one by stands on it */
};
enum overlay_choice { OVERLAY_NOWHERE, OVERLAY_DIRECT, OVERLAY_TUNNEL };
/* Direct only where the peer comes to the same choice: on a link on which this node's own address is. link: that of the
 * way; NULL if it is not known. */
enum overlay_choice overlay_choose(enum overlay_mode mode, const struct overlay_way *way,
                                   const struct overlay_link *link);

/* The MAC of the tunnel's end at the node that has these pods. */
void overlay_mac(struct cidr pods, uint8_t mac[OVERLAY_MAC_BYTES]);

enum overlay_kind { OVERLAY_FORWARD, OVERLAY_NEIGHBOUR, OVERLAY_ROUTE };
struct overlay_entry {
    enum overlay_kind kind;
    struct cidr pods;               /* ROUTE */
    uint32_t ip;                    /* of the route's gateway; NEIGHBOUR; of the node FORWARD leads to */
    uint32_t link;                  /* ROUTE; 0: the kernel finds it */
    bool onlink;                    /* ROUTE: the gateway is no real address */
    uint8_t mac[OVERLAY_MAC_BYTES]; /* NEIGHBOUR, FORWARD */
};
/* What must be there for one peer: 0, 1 or 3 entries. tunnel: the VXLAN link. */
unsigned overlay_entries(const struct overlay_peer *p, enum overlay_choice choice, uint32_t link, uint32_t tunnel,
                         struct overlay_entry out[3]);

enum overlay_verb { OVERLAY_REMOVE, OVERLAY_PUT };
struct overlay_change {
    enum overlay_verb verb;
    struct overlay_entry entry;
};
/* From what is there to what is wanted, in an order in which no packet is led to nowhere: entries of a tunnel before
 * the route that needs them, and away after it. Both lists are sorted in place; of two wanted entries for one key the
 * first in the order of their values counts. *out is malloc()ed. */
unsigned overlay_plan(struct overlay_entry *wanted, unsigned wanted_count, struct overlay_entry *there,
                      unsigned there_count, struct overlay_change **out);
/* "put route 10.244.2.0/24 via 10.244.2.0 link 7 onlink", without an end of line. */
void overlay_change_text(struct buf *out, const struct overlay_change *c);

/* ---- Sizes of packets ---- */

struct overlay_sizes {
    unsigned uplink; /* the smallest of all links that lead to peers or have our address; 0 = none */
    bool tunnels;    /* some peer is behind the tunnel */
};
unsigned overlay_tunnel_mtu(const struct overlay_sizes *s);
/* For pods that come from now on; 0: nothing is smaller than usual. */
unsigned overlay_pods_mtu(const struct overlay_sizes *s);

#endif
