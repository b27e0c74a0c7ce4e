/* Which masters serve agents: the leader, and each other master that keeps up with it.
 *
 * An agent chooses one of the masters that say `serves` in the answer to its hello (agent/link/session.h), and
 * registers there. From then on that master tells it its orders, refs, routes and services out of its own applied
 * state, takes its reports (batch.h) and speaks for it at the leader. What only one may decide stays the leader's: the
 * registration, which is forwarded and of which the Node keeps who serves it (annotation reeve.io/served-by, an id),
 * and every write.
 *
 * A follower serves while it holds a lease. Every half second it asks the leader
 *
 *     "nodes.lease" {heard: {NODE: ms ago}} -> {index, unknown: [NODE]}
 *
 * tells whom it has heard since the last time, and is told how far the log is committed, and which of these nodes had
 * been given up (they are called to register again). A question counts when its answer has come and the log is applied
 * here up to that index.
 *
 *   OUT  --LEASE_BACK questions in a row have counted-->                          HELD
 *   HELD --none has counted for LEASE_TICKS half seconds, or the leader is of
 *          a release that knows no such question-->                               OUT: all feeds of agents end
 *
 * The leader serves while it leads. It has itself confirmed by a majority every half second, and each time counts as a
 * question: what it has of a lease when it ceases to lead is as old as the last of them.
 *
 * The leader takes note of who asks. When a member has not for LEASE_TICKS half seconds and LEASE_DOUBT more, it has
 * let go of its agents, or stands still and cannot: the leader tells those that it has links to ("node.unserved"
 * {master}), and they choose another.
 *
 * So what a served agent is told is behind the leader by LEASE_TICKS half seconds at most, and a leader that is cut off
 * itself steps down after an election timeout. A tick that did not run does not count: a process that stood still looks
 * into its sockets before it gives up.
 *
 * An agent never goes back in time: its registration is committed by the leader, and answered over a follower only when
 * that has applied what the leader had; what it follows afterwards begins there. The same for each report: the answer
 * is given when the report is applied here. Loop thread only. */
#ifndef MASTER_NODES_LEASE_H
#define MASTER_NODES_LEASE_H

#include "master/master.h"

#define LEASE_TICKS  6u
#define LEASE_BACK   3u
#define LEASE_DOUBT  2u
#define LEASE_ASK_MS 2000

struct lease;
struct lease *lease_new(void);
void lease_free(struct lease *l);
void lease_tick(struct master *m); /* from the timer of chores */
/* May this master serve agents now? */
bool lease_held(const struct master *m);
/* Has the state of this master all that was committed most_ms ago? By the clock that goes on while the machine is
 * suspended, so that a process which stood still does not say so. A leader says what a majority has confirmed, which
 * it asks every half second: one that was deposed while it stood still, and does not know, says no. One without a
 * lease (tests) always says yes. */
bool lease_is_recent(const struct master *m, int64_t most_ms);
/* Another master's question. Answered. */
void lease_tell(struct master *m, uint64_t peer_id, struct rpc_request *req, struct mp params);

#endif
