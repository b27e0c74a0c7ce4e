/* What a node tells: reports of its pods and of itself, and events. It comes in a call of its agent, or with others'
 * in a batch of the master that serves the agent (batch.h); it is judged alike. Leader only. */
#ifndef MASTER_NODES_TOLD_H
#define MASTER_NODES_TOLD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "master/auth/principal.h"
#include "master/master.h"
#include "proto/model/msgpack.h"
#include "proto/model/value.h"

/* answer: the result as the agent reads it, borrowed; or NULL and the error. Once, never from inside the call that
 * asks for it: what was done is committed then, and what a refusal was judged by as well. */
typedef void told_done_cb(const struct buf *answer, const struct error *err, void *data);
struct told {
    struct master *m;
    const struct principal *who; /* who says it */
    struct str node;             /* of whom: its own, if it is a node */
    struct mp pods, status, gone, events;
    size_t bytes;        /* of all of it */
    struct arena *arena; /* for as long as the call runs */
    told_done_cb *done;
    void *data;
};
/* The members of a call's parameters, found in one walk. */
void told_read(struct told *t, struct mp params);
/* node.status and node.events: evaluated at once. t is borrowed for the call. */
void told_status(const struct told *t);
void told_events(const struct told *t);
/* node.usage: taken or refused at once; nothing of it is waited for. 0, or a code with err filled. */
int told_usage(const struct told *t, struct mp params, struct error *err);
/* Is there something left of the node's allowance for so many bytes (restrict.h)? 0, or ERR_BUSY. */
int told_takes(struct master *m, const struct principal *who, struct str node, size_t bytes, const char *what,
               struct error *err);
/* A refusal that nothing of the state has part in: told in a later turn. */
void told_refuse(const struct told *t, const struct error *err);
/* An agent's report of its node takes the place of the status, but for what masters say there
 * (controllers/nodes/node_ipam.c), and for resources that others have given to the node. */
void told_keep_masters(struct arena *a, struct value *status, const struct object *old);

#endif
