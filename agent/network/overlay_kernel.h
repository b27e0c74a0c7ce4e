/* The kernel's side of the ways to other nodes' pods: links, addresses, routes, neighbours and the VXLAN link. Of the
 * network namespace in which it was opened. Calls block for as long as the kernel needs.
 *
 * What is ours is known by marks, so that a former agent's is found and nobody else's is touched: routes carry a
 * protocol number (rtnetlink(7), rtm_protocol), everything else stands on the link OVERLAY_LINK. */
#ifndef AGENT_NETWORK_OVERLAY_KERNEL_H
#define AGENT_NETWORK_OVERLAY_KERNEL_H

#include "agent/network/netlink.h"
#include "agent/network/overlay_plan.h"
#include "base/err.h"

#define OVERLAY_LINK           "reeve-vxlan"
#define OVERLAY_ROUTE_PROTOCOL 82

struct overlay_kernel {
    struct netlink asks, watch; /* watch.fd: readable when something has changed; not blocking */
};
int overlay_kernel_open(struct overlay_kernel *k, struct error *err);
void overlay_kernel_close(struct overlay_kernel *k);

/* The VXLAN link as it is, or as it is to be. */
struct overlay_tunnel {
    uint32_t index; /* 0: there is none */
    bool vxlan;     /* false: something else has its name */
    bool learning, up;
    uint32_t id, node; /* VXLAN's number; the address that packets leave from */
    uint16_t port;
    unsigned mtu;
    uint8_t mac[OVERLAY_MAC_BYTES];
    uint32_t address; /* the one that stands on it; 0: none, or several */
};
/* All links, malloc()ed also after an error; those on which `node` stands are marked (0: those with any address). */
int overlay_kernel_links(struct overlay_kernel *k, uint32_t node, struct overlay_link **list, unsigned *count,
                         struct overlay_tunnel *tunnel, struct error *err);
int overlay_kernel_way(struct overlay_kernel *k, uint32_t to, struct overlay_way *out, struct error *err);
/* What there is of ours, malloc()ed also after an error. tunnel: the VXLAN link, 0 = there is none. */
int overlay_kernel_entries(struct overlay_kernel *k, uint32_t tunnel, struct overlay_entry **list, unsigned *count,
                           struct error *err);
int overlay_kernel_change(struct overlay_kernel *k, const struct overlay_change *c, uint32_t tunnel, struct error *err);

/* Makes the link so: what can be changed is, else it is made anew. There: as overlay_kernel_links has found it. Its
 * index comes into wanted. ERR_UNSUPPORTED, ERR_CONFLICT and others say what is wrong. */
int overlay_kernel_set_tunnel(struct overlay_kernel *k, const struct overlay_tunnel *there,
                              struct overlay_tunnel *wanted, struct error *err);
int overlay_kernel_remove_tunnel(struct overlay_kernel *k, const struct overlay_tunnel *there, struct error *err);
/* Sums of packets are computed before they go into the tunnel: what network cards and the kernel make of sums that
 * are left to them is wrong on many machines (packets are lost, connections take a minute). Others' programs switch it
 * on again. */
int overlay_kernel_set_sums(struct error *err);

/* What others have changed since the last call. Of links only those matter that `matters` says. */
enum overlay_touched {
    OVERLAY_UNTOUCHED = 0,
    OVERLAY_ENTRIES_TOUCHED = 1, /* something of ours */
    OVERLAY_WAYS_TOUCHED = 2     /* what the choices are made of */
};
typedef bool overlay_link_matters(uint32_t index, void *data);
unsigned overlay_kernel_touched(struct overlay_kernel *k, overlay_link_matters *matters, void *data);

#endif
