/* The part of a master that decides: joins the raft node, the controllers and the scheduler. Free of libuv, so that a
 * simulator can hold several in one process; the daemon (master/master.h) drives it.
 *
 * While this master leads, every change of the tip feeds the controllers' queues and the scheduler's caches; core_turn
 * lets them decide within a time budget and puts their transactions onto the tip. When leadership ends, their state is
 * thrown away: a new leadership starts from a resync.
 *
 * A crowd of decisions must not keep users and agents out. So deciders have a budget of time a turn, controllers and
 * the scheduler half each, and begin in turns; and they ask for room in the open batch before they decide
 * (replica_has_room), and go on when an entry has committed. How often they had to wait is told once a minute.
 *
 * When each node was last heard of is known to every master, since agents send their heartbeats to all of them, and
 * outlives changes of leader. A new leader asks the others what they know, and then judges: a node that no master has
 * heard for longer than the grace is lost, however often leaders change. Silence is counted in time attended:
 * core_attend is called when the sockets have been read and goes on by at most CORE_ATTEND_MAX_MS, so a master that
 * did not run, or had no turn, did not listen and does not count that time as the nodes' silence.
 *
 * What pods and nodes use (controllers/usage.h) is known to the leader alone, and forgotten with its leadership. */
#ifndef MASTER_CORE_H
#define MASTER_CORE_H

#include "base/strmap.h"
#include "controllers/controller.h"
#include "controllers/usage.h"
#include "raft-store/raft/replica.h"
#include "scheduler/scheduler.h"

#define CORE_BUDGET_MS     5    /* of all deciders in a turn; what is begun is finished */
#define CORE_SCHEDULE_PODS 128u /* decided at most per turn, leaving as one transaction */
#define CORE_TELL_MS       60000
#define CORE_ATTEND_MAX_MS 1000 /* above the longest regular pause between two turns of the loop */

struct core;
struct core_config {
    const struct env *env;
    const struct log *log;
    uint64_t seed;
    int64_t node_grace_ms; /* 0 = API_NODE_GRACE_MS_DEFAULT */
    int64_t usage_ms;      /* how often agents tell what is used; 0 = USAGE_PERIOD_MS */
    /* We begin to lead: ask the other masters what they have heard (core_hear_of), then call core_heard_all; until then
     * no node is lost. NULL: there is nobody to ask. */
    void (*ask_heard)(void *data);
    /* The time zones of this machine, as struct controller_soft has it; NULL: there are none. */
    const struct zone *(*zone)(void *data, struct str name);
    /* As struct controller_soft has it; NULL: nothing can be signed. */
    int (*sign_user)(void *data, struct arena *a, const struct pki_subject *who, const char *csr_pem, int64_t max_s,
                     int64_t since_ms, struct str asked_by, struct str *cert_pem, struct error *err);
    void *data;
};
struct core *core_new(const struct core_config *config);
void core_free(struct core *c);
/* The node's events of the same names must be passed on to these. */
void core_set_node(struct core *c, struct replica *n);
void core_on_leading(struct core *c, bool leading, uint64_t term);
void core_on_tip(struct core *c, const struct change *changes, unsigned count);
/* The sockets have been read, in this turn of the loop. */
void core_attend(struct core *c);
/* An agent was heard, whoever leads. */
void core_heartbeat(struct core *c, struct str node_name);
/* Another master heard it so long ago. */
void core_hear_of(struct core *c, struct str node_name, int64_t age_ms);
/* All that can be asked have answered: judge by it. */
void core_heard_all(struct core *c);
/* Whom we have heard, in no order. False: no more. *cursor begins with 0. */
bool core_next_heard(const struct core *c, size_t *cursor, struct str *node_name, int64_t *age_ms);
/* How long ago this master, or one that it asked, heard the agent, in milliseconds attended. False: never. */
bool core_last_heard(const struct core *c, struct str node_name, int64_t *age_ms);
/* Forgets nodes that are not in the store any more: some in each call, until all have been looked at. begin: from the
 * beginning, if it does not go on already. */
void core_forget_gone(struct core *c, bool begin);
/* Milliseconds attended since the agent was heard by this master or one that it asked; of a node that none of them ever
 * heard: since this master began to lead. -1 if not leading. */
int64_t core_heartbeat_age_ms(struct core *c, struct str node_name);
/* Leader only: heard within the grace, and not given up. */
bool core_node_lives(struct core *c, struct str node_name);
/* env now_ms when this master began to lead; means nothing if it does not. */
int64_t core_leading_since_ms(const struct core *c);
/* What is used, as the agents have told this leader; empty if it does not lead. */
struct usage *core_usage(struct core *c);
/* Let controllers and scheduler decide, then replica_turn. True if there is more to do at once. */
bool core_turn(struct core *c);
int64_t core_next_deadline(const struct core *c); /* env now_ms */
/* How often the deciders had to wait for room. */
uint64_t core_waits(const struct core *c);
void core_stats(const struct core *c, struct controllers_stats *controllers, struct scheduler_stats *scheduler);

#endif
