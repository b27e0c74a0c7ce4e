/* What a node may say: of itself what is its own, of others nothing. Source: Kubernetes' admission plugin
 * NodeRestriction, stricter where nodes of Reeve need less. */
#ifndef MASTER_AUTH_RESTRICT_H
#define MASTER_AUTH_RESTRICT_H

#include "master/auth/departed.h"
#include "proto/model/value.h"
#include "raft-store/store/store.h"

/* A node's bytes of registrations, reports and events, in KiB: more than a busy node needs in a burst, and a rate
 * that cannot fill a disk unseen. */
#define RESTRICT_BURST_KIB     (16 * 1024)
#define RESTRICT_KIB_US        4000         /* 250 KiB/s */
#define RESTRICT_NODE_BYTES    (256u << 10) /* of a Node's document */
#define RESTRICT_EVENT_BURST   1000
#define RESTRICT_EVENT_US      200000 /* 5 events/s */
#define RESTRICT_EVENT_MESSAGE 1024u  /* bytes; a longer message is cut */
#define RESTRICT_EVENT_BYTES   4096u  /* of all else in an event */

/* The labels of a Node that registers: only those that describe the machine, and kubernetes.io/hostname with the node's
 * name, which is set if it is absent. 0, or ERR_FORBIDDEN that names the label. */
int restrict_labels(struct arena *a, struct str node, struct value *doc, struct error *err);
struct restrict_known {
    const struct store *store; /* leading */
    const struct departed *departed;
    int64_t now_ms; /* as departed_advance is told it */
};
/* An event of this node, which had so many bytes when it came: about itself or a pod of its own, which may have been
 * deleted some minutes ago, or, with one reason, about a Service that there is, which its kernel does not take; under
 * its own name; a long message is cut. 0, ERR_FORBIDDEN, or ERR_LIMIT if it is large
 * elsewhere. */
int restrict_event(struct arena *a, const struct restrict_known *known, struct str node, struct value *doc,
                   size_t bytes, struct error *err);

#endif
