/* What masters and agents must read alike off NetworkPolicies and the pods that they speak of. Pure.
 *
 * A class is a set of pods that a policy speaks of: pods of its namespace, or of the namespaces that one selector
 * selects, which another selector selects. Policies with equal selectors share a class: it is known by its key. */
#ifndef PROTO_FACTS_NETPOL_H
#define PROTO_FACTS_NETPOL_H

#include "base/buf.h"
#include "proto/schema/object.h"

enum netpol_direction { NETPOL_INGRESS, NETPOL_EGRESS, NETPOL_DIRECTIONS };

struct netpol_class {
    struct str ns;    /* "" = those of `spaces` */
    struct mp spaces; /* a selector of namespaces */
    struct mp pods;   /* a selector */
};
void netpol_class_key(const struct netpol_class *c, struct buf *out); /* in place of what was there */
bool netpol_class_read(struct str key, struct netpol_class *out);     /* borrowed from key; false: it is none */

/* spec.policyTypes; without them, what they would be by default. */
bool netpol_restricts(const struct object *policy, enum netpol_direction d);
struct netpol_class netpol_subject(const struct object *policy); /* whom it selects */
/* Rules of a direction, and the peers of one: an array, perhaps none. */
struct mp netpol_rules(const struct object *policy, enum netpol_direction d);
struct mp netpol_peers(struct mp rule, enum netpol_direction d);
/* The class that a peer of a policy's rule names; false: it names addresses. */
bool netpol_peer_class(const struct object *policy, struct mp peer, struct netpol_class *out);
/* All pods of the cluster: a rule that leads everywhere, by a port's name, must know what each of them means by it. */
struct netpol_class netpol_everybody(void);
bool netpol_needs_everybody(struct mp rule, enum netpol_direction d);
/* Every class whose members the node of a selected pod must know, in the directions that it restricts; some more than
 * once. */
typedef void netpol_class_cb(const struct netpol_class *c, void *data);
void netpol_each_class(const struct object *policy, netpol_class_cb *cb, void *data);

/* Has it an address of its own that policies may be for? Not on the node's network, and not finished. */
bool netpol_is_subject(const struct object *pod);
uint32_t netpol_address(const struct object *pod); /* status.podIP, IPv4; 0 = none yet */
/* Named ports of its containers, in their order. protocol: IPPROTO_*. */
typedef void netpol_port_cb(struct str name, uint8_t protocol, uint16_t port, void *data);
void netpol_each_port(const struct object *pod, netpol_port_cb *cb, void *data);
uint8_t netpol_protocol(struct str name); /* "TCP" (and ""), "UDP", "SCTP"; 0 = none of them */

#endif
