/* The scheduler's state, shared by its own files: core.c (what is where), queue.c (who is next), evaluate.c (tables),
 * kin.c (tables that several classes share), build.c (what is there when leadership begins), decide.c (bindings and
 * reasons), preempt.c (who has to go), nominate.c (for whom room is kept), gang*.c (who gets nodes together), retry.c
 * (what the wake-ups forgot). */
#ifndef SCHEDULER_CORE_H
#define SCHEDULER_CORE_H

#include "scheduler/cache.h"
#include "scheduler/gang.h"
#include "scheduler/topology.h"
#include "scheduler/volumes.h"

#define CHANGES_MAX  16384u /* power of two: node changes a table can catch up with before it is built anew */
#define TABLES_MAX   256u   /* classes with a table at a time; the least recently used goes */
#define RETELL_NODES 64u  /* in clusters up to this size, waiting pods hear anew when a node comes, goes or changes, */
#define RETELL_PODS  256u /* if there are not more of them than this */
/* Above, the words of why pods of a class find no place may be older than the last change of one node in so many. */
#define REASONS_SHARE 32u
#define TURN_MAX      256u /* decisions in a row for one namespace and priority, and for one class, while others wait */
#define LANE_KEY_MAX  616u
/* parked pods of a class that a change wakes at a time: the next when these have found a place */
#define WAKE_MAX   64u
#define EVENTS_MAX 1000u /* waiting pods of a class; those above have a condition, but no event of their own */
/* Events of bindings: so many at once, and so many a second from then on; each lies in the log and on all masters as
 * the pod does. The pod's condition PodScheduled says the same. */
#define BOUND_EVENTS_MAX  1000u
#define BOUND_EVENTS_RATE 100u
#define LOOK_EVERY        16u /* decisions between two looks at the clock */
#define TXN_BYTES_MAX     (1u << 20)
/* of all tables: fewer of them where there are very many nodes; one at least */
#define TABLES_BYTES_MAX (192u << 20)

#define NOMINEES_LOOK_MS 5000   /* how often it is looked at whether those that nominees wait for still go */
#define RETRY_MS         300000 /* how often all that waits is looked at without a reason */
#define RETRY_CLASSES    4u     /* of them in a round */

/*      observe: a pod without a node             decide: fits            observe: bound
 *   ------------------------------> ACTIVE ------------------> ASSUMED -----------------> BOUND
 *                                   ^    |                        |
 *      a change that could help     |    | decide: fits nowhere   | the transaction failed: ACTIVE again
 *                                   |    v
 *                                   PARKED
 * A pod that is ACTIVE or PARKED may be the nominee of a node. A pod of a gang is GANGED, instead of both, while it may
 * not be placed alone (gang.h). */
enum sched_pod_state { POD_ACTIVE, POD_PARKED, POD_ASSUMED, POD_BOUND, POD_GANGED };
struct sched_pod {
    struct list link;    /* in its class: ACTIVE, PARKED, or placed */
    struct list in_gang; /* waiting: in its gang */
    struct gang *gang;   /* NULL: it belongs to no group */
    struct list on_node; /* ASSUMED, BOUND: in its node */
    struct object *obj;  /* waiting, ASSUMED: as last seen; NULL when bound */
    struct sched_class *class;
    struct sched_node *node; /* ASSUMED, BOUND: its own; waiting: where room is kept for it, or NULL */
    uint64_t seq;            /* age in the queue */
    uint32_t start_s;        /* when it has begun to run, of the wall's clock; 0: not known yet (preempt.c) */
    uint32_t round;          /* the last one that wrote to it: a round writes to a pod once */
    uint16_t key_size;
    uint8_t state; /* enum sched_pod_state */
    bool leaving;  /* ASSUMED, BOUND: it is being deleted, or will be by this round */
    bool away;     /* it is thought away, for a gang (preempt.c) */
    uint8_t told;  /* GANGED: why it waits (gang.c) */
    char key[];    /* namespace/name */
};
/* In struct scheduler: the way through the state when leadership has begun. */
struct build_waiting {
    int64_t created_ms;
    struct object *pod; /* with a ref, as it was then */
};
struct build {
    bool going;
    unsigned kind;                 /* of the row of kinds */
    struct object *last;           /* of that kind, the last one that was looked at, with a ref; NULL: none yet */
    struct build_waiting *waiting; /* heap */
    size_t waiting_count, waiting_cap;
};
#define BUILD_STEP 128u /* objects between two looks at the clock */
struct disruption_budgets;
struct scheduler {
    struct scheduler_config config;
    struct rng rng;
    struct strmap pods, classes, groups, nodes;
    struct strmap shapes;      /* class.shape -> the class that has the table of those that are judged alike */
    struct strmap kins;        /* class.kin -> the table of those that differ by their owner alone */
    struct sched_node **slots; /* NULL = free */
    unsigned slots_count, slots_cap, nodes_present;
    uint64_t *slot_changed, *slot_fixed; /* number of the last change (of any kind, of the fixed half) */
    uint64_t *slot_helpful;              /* number of the last change for the better */
    uint32_t *ring, *helpful_ring;       /* slots by number of the change */
    uint64_t changes, helpful;           /* numbers given so far */
    uint64_t woken;                      /* helpful changes up to here were looked at for all parked classes */
    struct list tables;                  /* the most recently used first */
    unsigned tables_count;
    struct list parked_classes;
    struct places places;        /* topology.h */
    struct list nominated_nodes; /* of sched_node.nominated_link; those that are stale in front */
    unsigned nominees;
    struct levels bound; /* of all pods that are bound: whether there is anybody of lower priority at all */
    struct sched_policy policy;
    uint32_t round;
    int64_t nominees_due_ms;         /* of env's clock: when time may have made a nomination void; 0: there is none */
    int64_t retry_due_ms;            /* when parked classes are looked at for no reason; 0: none is parked */
    unsigned retry_left;             /* classes of the retry that is under way */
    uint32_t bound_events;           /* that may be told of now */
    int64_t bound_events_ms;         /* of env's clock: when that was counted; 0: never */
    uint64_t storage_changes;        /* of claims, volumes, classes, and of who uses claims */
    uint64_t storage_woken;          /* those up to here were looked at for all parked classes */
    bool nodes_moved;                /* since the last round: what waiting pods were told may be out of date */
    struct strmap lanes;             /* priority, namespace -> lane */
    struct queue_heap lanes_waiting; /* those with active pods */
    uint64_t seq;
    struct gangs gangs;
    struct build build;
    size_t drained; /* scheduler_end: cursor of pods */
    struct scheduler_stats stats;
};

/* One call of scheduler_run (decide.c). */
struct preemption {
    struct scheduler *s;
    const struct view *tip;
    int64_t wall_ms;
    struct txn *t;
    struct arena arena;
    struct disruption_budgets *budgets; /* NULL until the first is asked for */
    bool brief;                         /* a search: of who could go only the number and the age count */
    const struct gang *spared;          /* whose members are no victims; NULL: nobody's */
    struct victim *items;
    unsigned cap;
};
struct round {
    struct scheduler *s;
    const struct view *tip;
    int64_t wall_ms;
    struct txn *t;
    unsigned left; /* decisions */
    unsigned looks;
    int64_t end_ms; /* 0: no budget */
    bool late;
    bool preempted; /* who goes at once has left its room for the next round */
    unsigned gangs_failed, gangs_searched;
    struct preemption preemption;
};
/* Asked before each decision: now and then it looks at the clock. */
bool round_full(struct round *r);
/* Takes the operations behind the first `count` out of a transaction, which had `bytes` with those. */
void round_cut(struct txn *t, unsigned count, size_t bytes);
bool bound_event_take(struct scheduler *s); /* may one more event be written of a pod that was bound? */

/* ---- build.c ---- */
void build_begin(struct scheduler *s); /* nothing is known but the state's beginning (scheduler_resync) */
void build_end(struct scheduler *s);   /* harmless when there is none */
size_t build_drop_waiting(struct scheduler *s, size_t most); /* of those of build_wait; how many they were */
/* So many objects more. True: it goes on. */
bool build_step(struct scheduler *s, const struct view *tip, unsigned objects);
bool build_has(const struct scheduler *s, const struct object *o); /* was its place passed, while it goes on? */
void build_wait(struct scheduler *s, const struct object *pod);    /* it has its turn when all are known */

/* ---- core.c ---- */
void scheduler_see(struct scheduler *s, const struct object *old, const struct object *now);
void pod_come(struct scheduler *s,
              const struct object *pod); /* one that waits and is not known; else nothing is done */
struct sched_class *class_get(struct scheduler *s, const struct object *pod); /* adds a ref */
void class_unref(struct scheduler *s, struct sched_class *c);
void node_drop_if_unused(struct scheduler *s, struct sched_node *n);
/* A node changed. fixed: also what does not move with pods; helpful: something may fit now that did not. */
void sched_node_changed(struct scheduler *s, struct sched_node *n, bool fixed, bool helpful);
struct sched_pod *pod_find(const struct scheduler *s, struct str ns, struct str name);
void pod_wait(struct scheduler *s, struct sched_pod *p);   /* -> ACTIVE or GANGED */
void pod_unwait(struct scheduler *s, struct sched_pod *p); /* ACTIVE, PARKED, GANGED -> none of them */
void pod_assume(struct scheduler *s, struct sched_pod *p, struct sched_node *n); /* ACTIVE, GANGED -> ASSUMED */
void pod_unassume(struct scheduler *s, struct sched_pod *p);                     /* ASSUMED -> ACTIVE, GANGED */
/* It is being deleted (or, after all, is not): ASSUMED, BOUND. */
void pod_set_leaving(struct scheduler *s, struct sched_pod *p, bool leaving);

/* Of a class with claims: what they are now. True: something is another than before. */
bool class_resolve(struct scheduler *s, struct sched_class *c, const struct view *tip);

/* ---- queue.c ---- */
void queue_add(struct scheduler *s, struct sched_pod *p);    /* -> ACTIVE, in its place by age */
void queue_remove(struct scheduler *s, struct sched_pod *p); /* ACTIVE or PARKED -> neither */
void queue_park(struct scheduler *s, struct sched_pod *p);   /* ACTIVE -> PARKED */
struct sched_class *queue_top(const struct scheduler *s);    /* NULL = nothing is active */
struct sched_pod *queue_head(const struct sched_class *c);
uint64_t queue_order(const struct sched_class *c); /* its age among others of its priority, or what stands for it */
/* So many decisions were made for the class. True: its turn is over, queue_top is another's if others wait. */
bool queue_served(struct scheduler *s, struct sched_class *c, unsigned decisions);
void lane_enter(struct scheduler *s, struct sched_class *c); /* a class is new */
void lane_leave(struct scheduler *s, struct sched_class *c); /* and goes */
/* Parked classes that a change helps, or whose claims are others now: the first WAKE_MAX pods of each. True: it was
 * not finished, and is to be called once more. */
bool queue_wake(struct scheduler *s, const struct view *tip);
/* The first WAKE_MAX parked pods of a class. */
void queue_wake_class(struct scheduler *s, struct sched_class *c);
/* Before the next pod of a class is taken: the next parked ones, while those woken before them have found a place. */
void queue_wake_more(struct scheduler *s, struct sched_class *c);

/* ---- evaluate.c ---- */
struct sched_table *table_refresh(struct scheduler *s, struct sched_class *c);
uint32_t table_pick(struct scheduler *s, struct sched_class *c); /* the best slot as it is now; TABLE_NONE */
void table_drop(struct scheduler *s, struct sched_class *c);     /* the class's own */
void table_end(struct scheduler *s, struct sched_table *t);      /* whosever it is */
/* "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable." Empty if it fits somewhere. */
void reasons_write(struct scheduler *s, const struct sched_class *c, struct buf *out);

/* ---- kin.c ---- */
#define KIN_PARTS 2u
void kin_identify(struct sched_class *c); /* the rest of it has been read */
/* Is it judged by the table of its kin? */
bool kin_has_table(const struct scheduler *s, const struct sched_class *c);
struct sched_table *kin_find(struct scheduler *s, const struct sched_class *c); /* NULL: there is none */
void kin_enter(struct scheduler *s, const struct sched_class *c, struct sched_table *t);
void kin_drop(struct scheduler *s, struct sched_table *t);
/* As sched_node_moving_score, for an owner that has no pods. */
int kin_moving_score(const struct sched_class *c, const struct sched_node *n);
/* The best node of a cell of the kin's table for this class, and what it is worth. Slot TABLE_NONE: it is empty. */
struct kin_best {
    uint32_t slot;
    uint64_t key;
};
struct kin_best kin_cell_best(const struct scheduler *s, const struct sched_class *c, const struct sched_table *t,
                              const struct sched_cell *cell);

/* ---- binding.c ---- */
int binding_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *pod, const char *node,
                  bool event, int64_t wall_ms, struct error *err);
/* nominated: the node where room is kept for it; NULL: none. True if anything had to be written. */
bool unschedulable_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *pod,
                         const char *message, const char *nominated, bool event, int64_t wall_ms);
/* The condition PodGroupScheduled of a PodGroup, and its event. True if anything had to be written. */
bool group_condition_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *group,
                           bool placed, const char *message, int64_t wall_ms);
/* A pod is deleted, with its own grace, so that the preemptor gets its room. */
int victim_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *victim,
                 const struct object *preemptor, const char *node, int64_t wall_ms, struct error *err);

/* ---- nominate.c ---- */
/* Waiting: room is kept on the node from now on, and no longer on another. */
void nominee_set(struct scheduler *s, struct sched_pod *p, struct sched_node *n);
void nominee_drop(struct scheduler *s, struct sched_pod *p); /* harmless if it is none */
/* As status.nominatedNodeName has it. */
void nominee_read(struct scheduler *s, struct sched_pod *p);
/* Is its room kept in the face of others? To be set back soon. */
void nominee_count(struct sched_pod *p, bool counted);
/* Does the node take the pod now, with all other nominees, but for its own? */
bool nominee_fits(struct scheduler *s, struct sched_pod *p);
/* Those whose place is free, or never will be, become active. */
void nominees_wake(struct scheduler *s, const struct view *tip, int64_t wall_ms);
void nominees_watch(struct scheduler *s); /* at the end of a round: there is a time to look at them again, if any */

/* ---- preempt.c ---- */
enum preempt_result {
    PREEMPT_NONE,  /* nobody's going helps, or it may push out nobody */
    PREEMPT_LATER, /* not all nodes were looked at, or the transaction is full: in the next round */
    PREEMPT_DONE,  /* p is a nominee, and who is in its way is deleted (in the transaction) */
};
void preemption_init(struct preemption *x, struct scheduler *s, const struct view *tip, int64_t wall_ms, struct txn *t);
void preemption_close(struct preemption *x);
enum preempt_result preempt_for(struct preemption *x, struct sched_pod *p);
/* The nominee's node takes it when those that are being deleted are gone. */
bool nomination_holds(struct preemption *x, struct sched_pod *p);
/* May others go for the class at all, and has something changed since nobody was found whose going helps? */
bool preempt_may_help(const struct scheduler *s, const struct sched_class *c);
struct victim {
    struct sched_pod *pod;
    const struct object *obj; /* the tip's */
    int64_t start_ms;
    bool breaks; /* a budget */
    bool goes;
};
/* For a gang, which is tried: the best node for the class if others went. Those who leave it and those who would have
 * to go are thought away and added to what is `away`, until preempt_give_back. NULL: there is none, or none was found
 * among those that were looked at. Leaves the class's own search alone. */
struct away {
    struct victim *items;
    unsigned count, cap;
    unsigned goes; /* of them, those that would have to */
    size_t bytes;
};
struct sched_node *preempt_think(struct preemption *x, struct sched_class *c, struct away *away);
void preempt_give_back(struct preemption *x, struct away *away, unsigned from); /* those from there on; 0 frees it */
/* The victim is deleted in the transaction, for p. */
void preempt_delete(struct preemption *x, const struct victim *v, const struct sched_pod *p);
/* Lower nominees of the node lose their room: they are decided anew. */
void preempt_outrank(struct scheduler *s, struct sched_node *n, int64_t priority);
/* Would it help the class on this node if others went? */
bool preempt_could_help(struct scheduler *s, const struct sched_class *c, struct sched_node *n);

/* ---- retry.c ---- */
void retry_some(struct scheduler *s, const struct view *tip);

#endif
