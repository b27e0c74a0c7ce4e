/* Addresses of services and ports of the nodes: which ones a Service gets, and which it may not have. Pure.
 *
 * There is no list of what is given out. What is taken is what the Services of the state claim (VIEW_BY_CLAIM), so it
 * is right in every version of the state: after a restore, a change of leader, on a fork. Whoever writes a Service asks
 * here on the tip and writes in the same turn, so nothing comes in between; what the same transaction has claimed
 * before is counted as well. A number is free again with the commit that takes it off its Service.
 *
 * A number that is not asked for is chosen by chance from the upper part of its range, and from the lower one when the
 * upper is full, so that those who choose for themselves find the lower one free. Sources: Kubernetes KEP-3070 (static
 * and dynamic parts of the service range: the lower min(max(16, size/16), 256) addresses), KEP-3668 (of the node ports:
 * min(max(16, size/32), 128)). Unlike there, a number claimed for one protocol may be asked for by another Service for
 * another protocol. */
#ifndef CONTROLLERS_SERVICES_ALLOCATE_H
#define CONTROLLERS_SERVICES_ALLOCATE_H

#include "base/env.h"
#include "base/strmap.h"
#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

/* What a transaction that is being built has claimed and given back so far. */
struct claims {
    const struct txn *txn; /* looked at as it grows; NULL: it writes no other object */
    unsigned seen;
    struct strmap taken;   /* key -> "namespace/name" of the Service */
    struct strmap written; /* "namespace/name": what the view has of it counts no more */
};
void claims_init(struct claims *c, const struct txn *t);
void claims_close(struct claims *c);

struct allocate {
    const struct view *view;
    struct claims *claims;
    struct arena *arena;
    struct rng *rng;
    /* As a repair does it: what another Service has already, or nobody may have, is replaced and not refused. */
    bool mends;
};
/* The document of a Service, checked, gets what it does not say: clusterIP (and clusterIPs), node ports,
 * healthCheckNodePort, as its type needs them. old: what it was; NULL: it is new. What old has alike is not asked
 * about. ERR_INVALID, in Kubernetes' words: what it asks for is taken or out of its range. ERR_FORBIDDEN: nothing is
 * left. */
int service_allocate(const struct allocate *al, const struct value *old, struct value *doc, struct error *err);

#endif
