/* The stage with all controllers running and a simple scheduler that puts pods on the emptiest ready node. */
#ifndef TESTS_SCRIPT_CLUSTER_H
#define TESTS_SCRIPT_CLUSTER_H

#include "controllers/controller.h"
#include "controllers/deletion.h"
#include "tests/script/stage.h"

/* What a controller remembers of a key that scripts reconcile one by one. */
struct cluster_kept {
    char key[200];
    struct buf memory;
};
struct cluster {
    struct stage stage;
    struct controllers *controllers;
    struct cluster_kept kept[8];
};

void cluster_open(struct cluster *c, uint64_t seed);
void cluster_close(struct cluster *c);
/* For controllers_config and stage_hooks; data is the cluster. */
int cluster_submit(void *data, const struct txn *t, struct error *err);
const struct view *cluster_tip(void *data);
void cluster_observe(void *data, const struct change *changes, unsigned count);
bool cluster_turn(void *data);
int64_t cluster_deadline(void *data);
bool cluster_schedule(struct cluster *c); /* true if a pod was bound */
/* As a user's delete; the test fails if it is refused. */
void cluster_delete(struct cluster *c, const struct object *o, enum deletion_policy policy, int64_t grace_s);
/* As a user's eviction: 0, or what it is refused with. */
int cluster_evict(struct cluster *c, const struct object *pod, int64_t grace_s, struct error *err);

#endif
