/* What watches told of Deployments, their ReplicaSets and pods, and whether the rollouts kept their promises. Pure, but
 * for the journals' files.
 *
 *  1. A Deployment's ReplicaSets are never raised to want more than replicas + maxSurge together; none has more pods by
 *     its own doing than it wants.
 *  2. They are never lowered so far that fewer than replicas - maxUnavailable of their Ready pods stay, but when the
 *     Deployment is scaled; none takes a Ready pod away but above what it wants.
 *     Both hold for the replicas that the controller knew: as long as status.observedGeneration is behind, the former
 *     number counts, too.
 *  3. By the agents' journals (what really ran): no pod ran on two nodes; no container was started twice in the same
 *     attempt; what runs at the end is what the store says. */
#ifndef TESTS_FAULT_ROLLOUT_H
#define TESTS_FAULT_ROLLOUT_H

#include "base/buf.h"
#include "client/api/api.h"

#define ROLLOUT_SURGE       1
#define ROLLOUT_UNAVAILABLE 1

struct rollout_event {
    uint64_t revision;
    bool deleted;
    size_t place; /* used by the judge */
    struct object *object;
};
struct rollout_events {
    struct rollout_event *items;
    size_t count, cap;
};
void rollout_events_add(struct rollout_events *l, uint64_t revision, bool deleted, const struct object *o);
void rollout_events_close(struct rollout_events *l);

/* Each appends lines about what is wrong to out and returns how many it found. Promises 1 and 2, from a list for
 * each kind. */
unsigned rollout_judge(struct rollout_events *told, unsigned count, struct buf *out);
/* What was told, a line for each event, for people. */
void rollout_print(const struct rollout_events *events, struct buf *out);
/* A line that we put into a journal when a node's containers ended with its agent, which could not say so. */
#define ROLLOUT_LOST "{\"event\":\"lost\"}\n"
/* Promise 3; living: pods that the store has at the end. paths: a journal for each node. */
unsigned rollout_judge_journals(const char *const *paths, unsigned count, const struct api_list *living,
                                struct buf *out);

#endif
