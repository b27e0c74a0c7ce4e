/* How many requests a second one identity may make, beside its share of the loop (turns.h): what is small and quick is
 * limited as well.
 *
 * A node has MASTER_NODE_RATE_DEFAULT a second (nodeRequestsPerSecond in master.yaml), a user as many as
 * userRequestsPerSecond says, administrators too; without it any number. Masters are free, and so are strangers, who
 * may do next to nothing. Unused seconds are kept, up to RATE_BURST_S of them. Each master counts what it is asked
 * itself; the leader also what others forward to it, on whom they speak for, so that who asks all masters at once
 * gets no more writes than who asks one. Heartbeats are no requests. */
#ifndef MASTER_AUTH_RATE_H
#define MASTER_AUTH_RATE_H

#include <stdbool.h>

#define RATE_BURST_S 10

struct errand;
struct master;

void rates_init(struct master *m); /* master.node_rate, user_rate by its configuration; free() them */
/* False: too many; the errand has been failed with ERR_BUSY, which says when to come again (retry_after_ms). */
bool rate_takes(struct errand *e);

#endif
