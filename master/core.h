/* The part of a master that decides: joins the raft node, the controllers and the scheduler. Free of libuv, so that a simulator can hold
 * several in one process; the daemon (master/master.h) drives it.
 *
 * While this master leads, every change of the tip feeds the controllers' queues and the scheduler's caches; core_turn lets them decide
 * within a time budget and puts their transactions onto the tip. When leadership ends, their state is thrown away: a new
 * leadership starts from a resync. Deciders pause while CORE_BACKLOG_MAX transactions wait for the log. */
#ifndef MASTER_CORE_H
#define MASTER_CORE_H

#include "base/strmap.h"
#include "controllers/controller.h"
#include "raft-store/node.h"
#include "scheduler/scheduler.h"

#define CORE_BUDGET_MS     5
#define CORE_SCHEDULE_PODS 1024u /* decided per turn, leaving as one transaction */
#define CORE_BACKLOG_MAX   8192u

struct core;
struct core_config {
    const struct env *env;
    const struct log *log;
    uint64_t seed;
    int64_t node_grace_ms; /* 0 = API_NODE_GRACE_MS_DEFAULT */
};
struct core *core_new(const struct core_config *config);
void core_free(struct core *c);
/* The node's events of the same names must be passed on to these. */
void core_set_node(struct core *c, struct node *n);
void core_on_leading(struct core *c, bool leading, uint64_t term);
void core_on_tip(struct core *c, const struct change *changes, unsigned count);
/* An agent was heard. */
void core_heartbeat(struct core *c, struct str node_name);
/* Milliseconds since the agent was heard, or since this master began to lead; -1 if not leading. */
int64_t core_heartbeat_age_ms(struct core *c, struct str node_name);
/* env now_ms when this master began to lead; means nothing if it does not. */
int64_t core_leading_since_ms(const struct core *c);
/* Let controllers and scheduler decide, then node_turn. True if there is more to do at once. */
bool core_turn(struct core *c);
int64_t core_next_deadline(const struct core *c); /* env now_ms */
void core_stats(const struct core *c, struct controllers_stats *controllers, struct scheduler_stats *scheduler);

#endif
