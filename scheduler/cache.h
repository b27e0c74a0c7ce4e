/* The scheduler's picture of the cluster: nodes with what is asked of them, classes of pods, and owners' groups for
 * spreading.
 *
 * Everything here follows the tip's changes; nothing is read twice. Inside the scheduler only. */
#ifndef SCHEDULER_CACHE_H
#define SCHEDULER_CACHE_H

#include "base/list.h"
#include "base/strmap.h"
#include "proto/facts/scoring.h"
#include "scheduler/scheduler.h"

#define SCHEDULER_NAME "default-scheduler"

/* ---- Resources ---- */
enum { RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_EPHEMERAL, RESOURCE_FIXED };
struct extended {
    char *name; /* "example.com/gpu", "hugepages-2Mi" */
    int64_t amount;
};
struct resources {
    int64_t fixed[RESOURCE_FIXED]; /* cpu in thousandths, the others in bytes */
    struct extended *ext;          /* by name */
    unsigned ext_count;
};
#define AMOUNT_MAX (1ll << 50) /* of one resource in one pod; nodes have less */
void resources_clamp(struct resources *r, int64_t max);
void resources_close(struct resources *r);
int64_t resources_ext(const struct resources *r, const char *name); /* 0 if absent */
/* Of amounts that are not negative: a sum that would be too great stops. */
void resources_add(struct resources *to, const struct resources *r);
/* On a node (sign 1) or off it (-1): exact both ways. More pods than fit any node may be bound to one by hand until the
 * sum is too great for 64 bits: it wraps then, shows as a negative amount, with which nothing fits, and is right
 * again when they are gone. */
void resources_account(struct resources *to, const struct resources *r, int sign);
void resources_max(struct resources *to, const struct resources *r);
/* Adds a map of quantities ("cpu": "100m"); what is no resource of a node ("pods") is left out. */
void resources_add_mp(struct resources *to, struct mp quantities);
/* What a pod asks of a node: max(sum of containers, greatest init container) with sidecars, or what it says as a whole
 * (spec.resources); and overhead. */
void resources_of_pod(struct resources *to, struct mp spec);

struct host_port {
    char ip[48];
    char protocol[8];
    int32_t port;
    unsigned count; /* pods of the node that hold it; unused in classes */
};
bool host_ports_conflict(const struct host_port *a, const struct host_port *b);

/* ---- Owners: how many pods of one owner on which node ---- */
struct group {
    char *uid;
    unsigned refs; /* classes */
    struct {
        uint32_t slot_plus_1, count;
    } * cells; /* open addressing by slot */
    unsigned cap, used;
};
unsigned group_count(const struct group *g, unsigned slot); /* g NULL: 0 */
void group_add(struct group *g, unsigned slot, int change);

/* ---- Levels: what the pods of a node ask for, by their priority (levels.c) ---- */
struct level {
    int64_t priority;
    unsigned pods;
    int64_t fixed[RESOURCE_FIXED];
};
struct levels {
    struct level *items; /* the lowest priority first; none of them is empty */
    unsigned count, cap;
};
struct sched_class;
struct sched_node;
void levels_account(struct levels *l, const struct sched_class *c, int sign);
void levels_close(struct levels *l);
/* Would the node have room for the class if pods of lower priority were gone, as far as sums tell? *highest: up to
 * which priority they must go at least; INT64_MIN: none of them, what leaves anyway is enough. */
bool levels_reach(const struct sched_node *n, const struct sched_class *c, int64_t *highest);

/* ---- Nominees: pods for which a node's room is kept (nominate.c) ---- */
struct sched_pod;
struct nominee {
    struct sched_pod *pod;
    const struct sched_class *class; /* NULL: not counted just now */
};

/* ---- Images (images.c) ---- */
#define NODE_IMAGES_MAX 256u /* names of a node's images that are looked at */
struct sched_image {
    uint64_t name; /* hash */
    int64_t bytes;
};
struct sched_images {
    struct sched_image *items; /* by name */
    unsigned count;
};
void images_read_node(struct sched_images *to, struct mp images); /* status.images */
void images_read_pod(struct sched_images *to, struct mp spec);    /* of its containers; bytes 0 */
void images_close(struct sched_images *i);
int64_t images_bytes(const struct sched_images *i, uint64_t name); /* 0 if absent */

/* ---- How nodes are scored, as the cluster's configuration says (policy.c) ---- */
struct cluster_config;
struct sched_policy {
    enum scoring_strategy strategy;
    bool pack;                  /* a full node is the better one */
    struct scoring_shape shape; /* of SCORING_RATIO */
    struct sched_weight {
        char *name;
        int64_t weight;
    } * weights; /* NULL: cpu and memory alike */
    unsigned weights_count;
    char *text; /* what it was read from */
};
/* True: it is another one than before. What makes no sense is as if it were unset. */
bool sched_policy_read(struct sched_policy *p, const struct cluster_config *c);
void sched_policy_close(struct sched_policy *p);

/* ---- Nodes ---- */
struct sched_node {
    struct object *obj; /* NULL: pods are bound to it, but it does not exist (yet) */
    char *name;
    unsigned slot;
    struct mp labels, taints; /* in obj */
    bool unschedulable;
    struct resources alloc, used;
    int64_t pods_alloc, pods_used;
    int64_t scored_used[2]; /* cpu, memory as scores count them: a pod that asks for nothing counts a little */
    struct host_port *ports;
    unsigned ports_count;
    /* The local provisioner: what the node offers, and what its volumes have of it (those whose label names it). */
    bool offers_local;
    int64_t local_kib, local_used_kib;
    unsigned volumes;
    const struct sched_policy *policy;
    struct sched_images images;
    /* Preemption */
    struct list pods;      /* of sched_pod.on_node: bound to it or about to be */
    struct levels levels;  /* of those that stay */
    struct levels leaving; /* of those that are being deleted */
    struct nominee *nominees;
    unsigned nominees_count;
    bool nominees_stale;        /* something has changed since they were looked at */
    struct list nominated_link; /* among the nodes that have nominees */
};

/* ---- Who is next (queue.c) ---- */
struct queued {
    uint32_t at;     /* in its heap; UINT32_MAX: in none */
    uint64_t behind; /* it goes behind what is as young as this; 0 = only its age counts */
    unsigned served; /* decisions of this turn */
};
struct queue_heap {
    struct queued **items;
    unsigned count, cap;
};
/* The classes of a namespace and a priority. */
struct sched_lane {
    struct queued queued; /* among lanes: with active pods */
    struct queue_heap classes;
    int64_t priority;
    unsigned refs; /* classes */
};

/* ---- Classes ---- */
struct sched_table;
struct sched_claims; /* volumes.h */
struct class_places; /* topology.h */
struct sched_class {
    uint8_t id[16];
    uint8_t shape[16];     /* the same without labels */
    uint64_t kin[2];       /* what filters and scores read of it, whoever its owner is (kin.c) */
    struct object *sample; /* cursors below point into it */
    unsigned refs;         /* pods */
    struct mp tolerations, node_selector, affinity;
    struct str node_name; /* asked for by name; only pods that are explained, not queued, have it */
    struct resources request;
    int64_t scored_request[2];
    struct host_port *ports;
    unsigned ports_count;
    int64_t priority;
    bool preempts; /* preemptionPolicy */
    struct sched_images images;
    struct group *group;         /* NULL without an owner */
    struct sched_claims *claims; /* NULL without claims */
    struct class_places *places; /* what it wants of other pods; places_attach */
    struct list placed;          /* of sched_pod.link: on nodes */
    /* queue */
    struct list active, parked; /* of sched_pod.link, by age */
    struct list nominated;      /* parked, too, but for those room is kept */
    unsigned active_count, parked_count, nominated_count;
    struct sched_lane *lane;
    struct queued queued;   /* in its lane: with active pods */
    uint64_t judged;        /* changes for the better up to here are in the judgement that no node will do, */
    uint64_t judged_places; /* and changes of places */
    uint64_t helpful_seen;  /* parked: changes up to here were looked at */
    bool waking;            /* something fits that did not: parked pods are woken one group after the other */
    struct list parked_link;
    /* evaluation */
    struct sched_table *table;
    char *reasons; /* text of the last parking, as of reasons_seq */
    uint64_t reasons_seq;
    /* preemption: which slots are still to be looked at, and since when it is known that nothing helps */
    uint32_t search_at, search_left;
    uint64_t search_vain; /* helpful changes + 1; 0: not known */
    /* gangs (gang.h): so many of its pods have a place at a time; what the next one is told. NULL: not known */
    char *gang_reasons;
    unsigned gang_most;
    uint64_t gang_most_at, gang_most_places; /* as of so many helpful changes, and changes of places */
    uint64_t gang_unfit;                     /* the attempt in which there was no place for another */
};
/* The identity of a pod's class: all that filters, scores and the queue read. individual: with the labels that pods of
 * one template do not share (topology.h). shape: the same without any labels; may be NULL. */
void class_identify(const struct object *pod, bool individual, uint8_t id[16], uint8_t shape[16]);
void class_init(struct sched_class *c, const struct object *pod);
void class_close(struct sched_class *c);

void sched_node_init(struct sched_node *n, const struct sched_policy *policy);
void sched_node_set_object(struct sched_node *n, const struct object *o); /* NULL: it is gone */
/* The pod's share comes (sign 1) or goes (-1). */
void sched_node_account(struct sched_node *n, const struct sched_class *c, int sign);
void sched_node_close(struct sched_node *n);

/* ---- What the plugins say of a node (plugins/plugins.c) ---- */
struct reasons {
    struct strmap counts; /* text -> count as pointer */
};
void reasons_add(struct reasons *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A hash of what plugins read of a pod's spec beside what struct sched_class has; 0 if that is nothing. */
uint64_t plugins_identify(struct mp spec);
/* The one feasibility function (G7): binding, explain, preemption and plan all come here. Nominees of the node whose
 * priority is not lower count as if they were on it. */
bool sched_node_fits(const struct sched_class *c, const struct sched_node *n, struct reasons *why);
/* The same in two halves for tables. fixed: -1 if it never fits, else the score of the fixed part. */
int sched_node_fixed_score(const struct sched_class *c, const struct sched_node *n);
int sched_node_moving_score(const struct sched_class *c, const struct sched_node *n); /* -1: does not fit now */

/* ---- Tables: a class over all nodes ---- */
struct topo_key;
/* Nodes that a class tells apart by themselves alone; those of other cells are in other places. */
struct sched_cell {
    uint32_t *heap; /* slots, the best first */
    unsigned count, cap;
};
struct sched_table {
    struct list lru;
    struct sched_class *owner; /* NULL: it is its kin's */
    uint64_t kin[2];           /* without an owner */
    bool lent;                 /* it stands in scheduler.shapes: another class that is judged alike may take it over */
    unsigned cap;              /* slots */
    int16_t *fixed;            /* per slot: -1 = never */
    uint32_t *heap_at;         /* per slot: UINT32_MAX = not in the heap of its cell */
    uint64_t *key;             /* per slot: score << 32 | random */
    struct sched_cell *cells;
    unsigned cells_count;
    /* By the wide keys that the class reads; without any there is one cell. */
    struct topo_key **wide;
    unsigned wide_count;
    uint32_t *cell_of;         /* per slot; NULL: all are in the first */
    struct strmap cells_known; /* domains -> cell + 1 */
    uint64_t epoch, common;    /* topology.h: of keys; places_common */
    uint64_t seen;             /* changes up to here are in it */
};
struct sched_table *table_new(unsigned cap, struct topo_key *const *wide, unsigned wide_count);
void table_free(struct sched_table *t);
size_t table_bytes(const struct sched_table *t);
void table_set(struct sched_table *t, unsigned slot, int score, struct rng *rng); /* score -1 = take out */
/* The node's labels may be others. */
void table_place(struct sched_table *t, unsigned slot);
#define TABLE_NONE UINT32_MAX
static inline uint32_t cell_best(const struct sched_cell *c)
{
    return c->count == 0 ? TABLE_NONE : c->heap[0];
}

#endif
