/* Gangs: pods that get nodes all together or not at all (guarantee G8). Inside the scheduler only.
 *
 * A pod that names a PodGroup belongs to a gang: while fewer than minCount members have a node, those that wait may not
 * be placed alone (GANGED), and are tried together. All are put on nodes one after another, for the time of the attempt
 * only; if enough have found a place all of it is one transaction, with the group's condition, else all is as it was
 * before. So nothing is held while a gang waits: half a gang has no room, two gangs that need the same room cannot
 * block each other, and there is no timeout.
 *
 *      members or the group are missing           enough exist                    no room for enough of them
 *   RESTS <------------------------------ settle ------------> READY <-- wake ----> PARKED
 *     ^                                                          |
 *     +----------- enough have a node: OPEN members go to the ---+ commit
 *                  queue as all other pods do
 *
 *  - Who counts: members with a node that are not being deleted, and those that have succeeded (they had their place).
 *    Of those that wait, the oldest GANG_MEMBERS_MAX are tried. Who comes later, when the gang is whole, is placed
 *    alone; when it is no longer whole the missing ones are placed together again. A pod with scheduling gates does not
 *    exist for its gang.
 *  - Order: gangs stand among the classes of pods, by the priority of their least important waiting member (the chain's
 *    weakest link), then by the age of their oldest one. Within a gang the more important members are placed first,
 *    then the larger ones. That is a greedy search: where members differ, or want to be near or apart, it may miss a
 *    way.
 *  - Waking: whatever helps a waiting pod makes all parked gangs be looked at once more, in their order, a few in a
 *    round (GANG_FAILS_MAX failures); a sweep under way is finished before the next begins, so the last has its turn
 *    however much changes. Where only pods of one class wait, what the class could have at most is remembered: as long
 *    as nothing has changed for the better another gang of it costs nothing. One whose members are missing costs
 *    nothing.
 *  - Back-fill: smaller and younger gangs pass a gang that waits, but not for ever: when so many (`patience`) have been
 *    placed since it began to wait, those behind it wait for GANG_HOLD_MS while room comes free, if the nodes could
 *    take it at all. If that was in vain, the next one who asks for it has to be twice as patient, so that gangs which
 *    never fit take ever less from the others. Pods without a group are not held back: they have priorities.
 *  - Preemption: pods of lower priority go only if the whole gang fits then. minCount members become nominees, also
 *    those that would have room at once, in the transaction that deletes the victims; when these are gone they are
 *    bound, all in one. If the room is lost meanwhile (a node goes, a victim does not) all nominations are. Members of
 *    the gang itself are no victims; a pod of another gang may be one, by itself, as any other pod (KEP-5710's mode
 *    Pod, the default). Gangs whose claims have no volume yet push out nobody.
 *  - A transaction must hold all of it: GANG_MEMBERS_MAX members, GANG_BYTES_MAX of their objects.
 * Source: KEP-4671 (Queuing and Ordering, Scheduling Algorithm, Failure Handling). Unlike there the gang is bound in
 * one step, instead of nominated and then bound pod by pod. */
#ifndef SCHEDULER_GANG_H
#define SCHEDULER_GANG_H

#include "base/list.h"
#include "base/strmap.h"
#include "proto/facts/gang.h"
#include "raft-store/store/txn.h"

struct round;
struct scheduler;
struct sched_class;
struct sched_pod;

/* Members beyond minCount come along up to here, as far as a transaction holds them; the others follow alone. */
#define GANG_AT_ONCE      128u
#define GANG_FAILS_MAX    16u /* attempts in vain in a round; other pods have their turn then */
#define GANG_SEARCHES_MAX 1u  /* gangs in a round that look for whom they could push out */
#define GANG_PASSES       3u  /* members whose place depends on others' are tried so often */
#define GANG_LOOKS_MAX    64u /* nodes that changed for the better which are asked before all are */
#define GANG_PATIENCE     64u /* gangs that may pass one that waits, at first */
#define GANG_PATIENCE_MAX (1u << 20)
#define GANG_HOLD_MS      10000 /* how long the others wait for it */
#define GANG_RETELL_MS    10000 /* in large clusters: how often what has changed of why it does not fit is written */
#define GANG_POD_EVENTS   16u   /* waiting members that get an event of their own beside the group's */
#define GANG_BYTES_MAX    (TXN_SIZE_MAX / 2)
#define GANG_OPS_MAX      (TXN_OPS_MAX - 2u) /* and the group's condition, with its event */
#define GANG_POD_BYTES    2048u              /* that a binding and its event add to a pod */

enum gang_state { GANG_RESTS, GANG_READY, GANG_PARKED };
enum gang_lack {
    GANG_UNKNOWN, /* not looked at yet */
    GANG_OPEN,    /* its members are placed alone: it is no gang, or enough of them have a node */
    GANG_ABSENT,  /* there is no such group */
    GANG_SHORT,   /* fewer members than minCount */
    GANG_UNFIT,   /* and no room for so many: `message` */
};
struct gang {
    struct list dirty_link, parked_link, untold_link;
    struct list waiting;  /* of sched_pod.in_gang: GANGED, by age */
    struct list released; /* ACTIVE or PARKED */
    unsigned waiting_count, placed, done;
    unsigned refs;      /* its pods, those that are done, and its object */
    struct object *obj; /* the PodGroup; NULL: there is none */
    enum gang_state state;
    enum gang_lack lack;
    uint32_t heap_at;
    bool swept;       /* READY: by a sweep, not by a change of its own */
    bool forced;      /* the slow retry looks at it (retry.c) */
    int64_t priority; /* READY, PARKED: of the least important of those that wait */
    uint64_t seq;     /* and the age of the oldest */
    unsigned fitted;  /* so many had a place in the last attempt */
    char *message;    /* why not more */
    uint64_t vain;    /* nobody's going helps, as of so many changes + 1; 0: not known */
    uint64_t passed_from;
    uint32_t round;  /* the last one that wrote its object */
    int64_t told_ms; /* when that it is UNFIT was last written */
    size_t ns_size, key_size;
    char key[]; /* namespace/name */
};
/* In struct scheduler. */
struct gangs {
    struct strmap known;
    struct list dirty;  /* something of them has changed since they were settled */
    struct list parked; /* GANG_PARKED */
    struct list untold; /* whose state is to be written */
    struct list later;  /* not before retell_ms (of env's clock; 0: never) */
    int64_t retell_ms;
    struct gang **heap; /* GANG_READY: the next one first */
    unsigned heap_count, heap_cap, parked_count, ganged;
    unsigned sweep; /* of the heap: swept */
    bool again;     /* all that are parked are to be looked at, whatever has changed */
    uint64_t woken, woken_places, woken_storage;
    uint64_t attempt;
    /* Back-fill */
    struct gang *holder;   /* for which others wait; NULL: nobody does */
    int64_t hold_until_ms; /* of env's clock; 0: no */
    uint64_t bound;        /* gangs that were placed */
    uint64_t held_at;      /* when a hold was over, so many had been */
    unsigned patience;
};

/* ---- gang.c: who belongs together, and who is next ---- */
void gangs_open(struct scheduler *s);
void gangs_close(struct scheduler *s); /* no pods are left */
/* Adds a ref. NULL: the name is empty, or too long for any group. */
struct gang *gang_get(struct scheduler *s, struct str ns, struct str name);
void gang_unref(struct scheduler *s, struct gang *g);
bool gang_is(const struct gang *g, struct str ns, struct str name);                              /* g NULL: no group */
void gangs_observe(struct scheduler *s, const struct object *old, const struct object *now);     /* PodGroups */
void gangs_observe_end(struct scheduler *s, const struct object *old, const struct object *now); /* pods */
void gang_count(struct scheduler *s, struct sched_pod *p, int sign); /* a member gets a node or leaves it */
void gang_wait(struct scheduler *s, struct sched_pod *p);            /* -> GANGED */
void gang_unwait(struct scheduler *s,
                 struct sched_pod *p);               /* it waits no more, alone or not; its state is the caller's */
void gang_wake(struct scheduler *s, struct gang *g); /* something of its own has changed for it: PARKED -> READY */
void gang_failed(struct scheduler *s, struct str ns, struct str name); /* what was written of it was refused */
/* At the beginning of a round: who has a reason to be tried. */
void gangs_wake(struct scheduler *s);
void gangs_retry(struct scheduler *s); /* all of them, without one */
/* NULL: none, or those that had their turn in this round were enough. */
struct gang *gangs_next(struct round *r);
bool gang_goes_before(const struct gang *g, const struct sched_class *c);
void gang_rest(struct scheduler *s, struct gang *g); /* -> RESTS */
void gang_park(struct scheduler *s, struct gang *g); /* -> PARKED */
void gang_is_settled(struct gang *g);                /* nothing of it is another than when it was settled last */
/* How many more must have a node. */
unsigned gang_need(const struct gang *g);
bool gangs_are_left(const struct scheduler *s); /* another round is wanted */
/* Is somebody before it for whom room is being gathered? */
bool gang_is_held(struct scheduler *s, const struct gang *g);
bool gang_has_patience(const struct scheduler *s, const struct gang *g); /* with those that pass it */
void gang_hold(struct scheduler *s, struct gang *g);                     /* the others wait for it */
void gang_was_bound(struct scheduler *s, struct gang *g);
/* How much has changed that wakes gangs, and: what has changed since `before` was taken wakes none, unless something
 * that does had changed already. For whoever has put everything back. */
struct gangs_seen {
    uint64_t helpful, places, storage;
};
struct gangs_seen gangs_see(const struct scheduler *s);
void gangs_carry(struct scheduler *s, const struct gangs_seen *before);
bool gangs_audit(const struct scheduler *s, struct buf *why);

/* ---- gang_decide.c ---- */
void gang_decide(struct round *r, struct gang *g); /* of READY */

/* ---- gang_tell.c: what people see ---- */
void gang_untold(struct scheduler *s, struct gang *g);
void gangs_retell(struct scheduler *s); /* at the beginning of a round: what was put off, if its time has come */
void gangs_tell(struct round *r);
/* In the transaction that makes room for it. */
void gang_tell_nominee(struct round *r, const struct gang *g, struct sched_pod *p, bool event);
/* The condition of its object in the transaction. True if anything had to be written. */
bool gang_write(struct round *r, struct gang *g, bool placed, const char *message);
bool gang_explain(const struct scheduler *s, const struct gang *g, struct buf *out); /* false: nothing is known yet */

#endif
