/* Reports of many nodes in one message: how they come from the master that serves the agents to the leader.
 *
 * A master that serves agents and does not lead gathers their node.status, node.events and node.usage for
 * BATCH_GATHER_MS, or until a batch is full (BATCH_BYTES and one more, BATCH_REPORTS), and sends
 *
 *     "nodes.reports" {reports: [{method, params, identity}]} -> {index, answers: [{result} | {error}]}
 *
 * with BATCH_INFLIGHT of them under way at most: while the leader has much to do batches grow. `identity` is whose
 * connection the report came over (principal.h). The leader evaluates them one after the other, each as if it had come
 * alone, in steps that take their turn with other nodes' work and wait for room in the log; it answers when all of them
 * are decided and what they wrote is committed. So a refusal is told to the one whom it concerns. `index`: how far the
 * log was committed then.
 *
 * A report is taken from the master alone that the Node names (lease.h): one that was under way over another master
 * while its agent registered here is refused (NotLeader), as a newer one may have come since.
 *
 * The serving master answers its agents when it has applied the log up to `index`. What was under way when the leader
 * or the connection to it went is answered "unknown outcome": the agent tells again what is true by then, which is
 * harmless. Nothing is sent twice by a master. An agent has BATCH_NODE_REPORTS waiting here at most, all of them
 * BATCH_WAITING bytes; beyond that: ERR_BUSY. Loop thread only. */
#ifndef MASTER_NODES_BATCH_H
#define MASTER_NODES_BATCH_H

#include "master/front/call.h"

#define BATCH_GATHER_MS    5
#define BATCH_BYTES        (256u << 10) /* also a bound of its elements (RPC_ELEMENTS_MAX), with the largest report */
#define BATCH_REPORTS      256u
#define BATCH_INFLIGHT     4u
#define BATCH_WAITING      (64u << 20)
#define BATCH_NODE_REPORTS 16u
#define BATCH_CALL_MS      10000
#define BATCH_APPLY_MS     5000
#define BATCH_STEP_US      500 /* what the leader does of one before others have their turn */

struct batches;
struct batches *batches_new(struct master *m);
void batches_free(struct batches *b); /* closed, and its callbacks have come */
void batches_close(struct master *m); /* what waits is failed: the master stops */
/* A report of an agent that is served here, which does not lead: takes the call over. */
void batch_take(struct call *c);
/* Another master leads: batches that the former one has not answered are given up. */
void batches_on_leader_known(struct master *m, uint64_t leader);
/* A batch of another master. Answered. */
void batch_tell(struct master *m, uint64_t peer_id, struct rpc_request *req);

#endif
