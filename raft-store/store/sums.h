/* Sums of a view: how many objects there are of what sort, without looking at each.
 *
 * A row of VIEW_SUMS is a function that tells of an object the group it counts in and what counts of it. Each version
 * of the state has its own sums, as it has its own objects (persistent trees, O(1) to fork), and they are never
 * behind. Only what changes a count costs anything: a status that leaves a pod as ready as it was touches no sum. */
#ifndef RAFT_STORE_STORE_SUMS_H
#define RAFT_STORE_STORE_SUMS_H

#include "proto/schema/object.h"
#include "raft-store/store/ptree.h"

/* NAME, the kind that is counted (0: every kind), its function. */
#define VIEW_SUMS(X)                                                                                                   \
    X(PODS_OF, KIND_POD, sum_pods_of)      /* of a namespace, by controlling owner (or none) and labels */             \
    X(PODS, KIND_POD, sum_pods)            /* all */                                                                   \
    X(NODES, KIND_NODE, sum_nodes)         /* all, by zone (owner) and region (labels) */                              \
    X(NODES_ALL, KIND_NODE, sum_nodes_all) /* all, in one group: there may be as many zones as nodes */                \
    X(RANGES, KIND_NODE, sum_ranges)       /* SUM_RANGES_TAKEN, SUM_RANGES_NONE */                                     \
    X(CONTENTS, 0, sum_contents)           /* of a namespace, by kind */                                               \
    X(LOCAL_VOLUMES, KIND_PERSISTENTVOLUME, sum_local_volumes) /* of a node: those of the local provisioner */

#define VIEW_SUM_ENUM(name, kind, tell) VIEW_SUM_##name,
enum view_sum { VIEW_SUMS(VIEW_SUM_ENUM) VIEW_SUM_COUNT };

/* What is counted beside the objects themselves. */
#define SUM_FIELDS 4u
enum { OWNED_ACTIVE, OWNED_READY /* active and ready */, OWNED_UNPLACED /* active */, OWNED_UNFINISHED };
enum { PODS_FINISHED /* and not being deleted */ };
enum { NODES_READY, NODES_EVICTED, NODES_WAITING /* proto/facts/node_loss.h */, NODES_RANGES /* marks of podCIDRs */ };
enum { CONTENTS_DELETING };
enum { LOCAL_VOLUMES_KIB /* each rounded up */ };

struct sum_group {
    struct str of;    /* namespace, node; empty: all */
    struct str owner; /* uid of the controlling owner; empty: none, or all. Of nodes: their zone */
    unsigned kind_id;
    struct str labels; /* msgpack, as the objects have them. Of nodes: their region */
};
/* Of RANGES: nodes with a podCIDR, by its first address in four bytes, the highest first (owner), and the bits of its
 * mask (kind_id), so in the order of addresses; and those without one that are not being deleted, by name (owner). */
#define SUM_RANGES_TAKEN STR("taken")
#define SUM_RANGES_NONE  STR("none")

struct sum {
    struct sum_group group;
    int64_t count, fields[SUM_FIELDS];
    char made[4]; /* for words of the group that the object does not have */
};

struct view_sums {
    struct ptree by[VIEW_SUM_COUNT];
};
void sums_init(struct view_sums *s);
void sums_close(struct view_sums *s);
void sums_fork(const struct view_sums *from, struct view_sums *to); /* to is initialised by it; O(1) */
/* o took the place of old; NULL: there is, or was, none. Not both. */
void sums_put(struct view_sums *s, const struct object *o, const struct object *old);
bool sums_equal(const struct view_sums *a, const struct view_sums *b);

/* The groups of one namespace or node (`of`, which must stay until the end, as the owner), in the order of owners and
 * labels. Borrowed from the version. */
struct sum_iter {
    struct ptree_iter tree;
    struct str of, owner;
    bool of_owner;
};
void sums_iter(struct sum_iter *it, const struct view_sums *s, enum view_sum which, struct str of);
/* Only those of this owner; empty: of no owner. */
void sums_iter_owner(struct sum_iter *it, const struct view_sums *s, enum view_sum which, struct str of,
                     struct str owner);
/* Those of `of` whose owner does not come before this one. */
void sums_iter_from(struct sum_iter *it, const struct view_sums *s, enum view_sum which, struct str of,
                    struct str owner);
bool sums_next(struct sum_iter *it, struct sum *out);

#endif
