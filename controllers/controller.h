/* Controllers: pure functions from a view of the state to a transaction, and the runtime that feeds them.
 *
 * A controller is a row of a table (controllers/registry.c). reconcile is level-triggered: the key only says where to
 * look; it must reach the right state from any state, and produce an empty transaction when there is nothing to do. It
 * reads no clock, does no I/O, holds no globals; iteration is ordered; random suffixes come from in->rng. */
#ifndef CONTROLLERS_CONTROLLER_H
#define CONTROLLERS_CONTROLLER_H

#include "base/env.h"
#include "base/log.h"
#include "controllers/reason.h"
#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

struct change;      /* raft-store/store/store.h: (old, new) */
struct usage_pod;   /* controllers/usage.h */
struct zone;        /* proto/facts/zone.h */
struct pki_subject; /* proto/pki/pki.h */

/* What is known but not in the log: the environment of a reconcile, as its view is. Where it is the same, so is what
 * is decided: scripts and simulators say what stands in it. */
struct controller_soft {
    void *data;
    /* Milliseconds since this leader last heard of the node; since it began to lead if never. */
    int64_t (*heartbeat_age_ms)(void *data, struct str node);
    int64_t node_grace_ms; /* NotReady after this (40 s by default) */
    /* What the pod's containers use; false: not known. What out points to is valid until the reconcile returns. NULL:
     * nothing is known of any. */
    bool (*usage)(void *data, const struct object *pod, struct usage_pod *out);
    int64_t usage_period_ms; /* how often that is measured anew; 0 = USAGE_PERIOD_MS */
    /* A time zone by a name that zone_name_is, borrowed until the reconcile ends; NULL: there is none of that name on
     * this machine. The function NULL: there are none. */
    const struct zone *(*zone)(void *data, struct str name);
    /* A certificate of the cluster's CA for a user (PEM, in the arena), of the key of the request csr_pem, with the
     * name and groups of `who`; good for max_s seconds at most, 0: as long as such certificates are. since_ms: when
     * somebody said yes to it. asked_by: for the log. ERR_INVALID: the request is at fault; ERR_FORBIDDEN:
     * certificates of that user were revoked since; others: not now. NULL: nothing can be signed. */
    int (*sign_user)(void *data, struct arena *a, const struct pki_subject *who, const char *csr_pem, int64_t max_s,
                     int64_t since_ms, struct str asked_by, struct str *cert_pem, struct error *err);
};
struct controller_key {
    const struct kind *kind; /* what the key names; may be an object that is gone */
    struct str ns, name;
};
/* Where a walk over many objects was left: behind this one, which may be gone by now. */
struct reconcile_place {
    const struct kind *kind;
    struct str ns, name;
};
struct reconcile_in {
    const struct view *view; /* the tip */
    struct controller_key key;
    const struct reconcile_place *from; /* where the last step was left (out->left_at); NULL = from the beginning */
    struct str memory;                  /* what the last reconcile of this key left (out->memory); empty = nothing */
    int64_t wall_ms;
    struct rng *rng;
    const struct controller_soft *soft;
};
#define RECONCILE_VISITS_MAX 2000u
#define RECONCILE_MEMORY_MAX (16u << 10)
struct reconcile_out {
    struct txn *txn;          /* empty at the start */
    int64_t requeue_after_ms; /* 0 = none */
    /* The key is not looked at again before so long, whatever changes, unless it is the spec of the object that it
     * names. 0 = at any time. */
    int64_t rest_ms;
    /* The walk was left behind this object of the view: the key is queued again, behind the others, and goes on there.
     * A step looks at RECONCILE_VISITS_MAX objects at most, so that no turn of the loop grows with the state. If a
     * watch tells of the key meanwhile, also because of what the walk itself has written, another walk follows this
     * one. NULL = it came to the end. Soft state: the next leader begins anew. */
    const struct object *left_at;
    /* What the next reconcile of this key is to be handed, in the arena, at most RECONCILE_MEMORY_MAX bytes: what was
     * seen of time that the state does not tell. Soft state: the next leader begins with nothing, and is careful. After
     * an error, or a transaction that was refused, the former stays. Empty = nothing is remembered. */
    struct str memory;
    struct arena *arena;        /* scratch, lives until the transaction was evaluated */
    struct decisions decisions; /* what was decided and why (reconcile_decided) */
    char violated[160]; /* not "": an assumption did not hold (CONTROLLER_CHECK): the transaction is thrown away */
};
/* For what must hold whatever is stored, in a reconcile, instead of assert: that would end the process, and then that
 * of the next leader, which reads the same state. False if it does not hold: the caller goes on or returns as it likes,
 * nothing of this reconcile is written, and the key fails loudly: a line in the log, an event on the object, a counter
 * (violations), and it is tried again ever more rarely. assert stays for what no stored object can bring about. */
#define CONTROLLER_CHECK(out, cond) reconcile_holds((out), (cond), __FILE__, __LINE__, #cond)
bool reconcile_holds(struct reconcile_out *out, bool holds, const char *file, int line, const char *cond);
struct controller;
/* Maps a changed object (old and/or new, NULL = absent) to keys. */
#define WATCH_ANY_KIND ((enum kind_id)KIND_ID_MAX) /* every kind that there is or will be */
typedef void controller_emit(void *data, const struct kind *k, struct str ns, struct str name);
struct controller_watch {
    enum kind_id kind; /* or WATCH_ANY_KIND */
    void (*map)(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                void *data);
};
/* A watch that several controllers have: it is told whose it is. */
struct controller_shared {
    enum kind_id kind;
    void (*map)(const struct controller *c, const struct view *tip, const struct object *old, const struct object *now,
                controller_emit *emit, void *data);
};
struct controller {
    const char *name;                       /* "deployment" */
    const struct controller_watch *watches; /* ended by kind 0; the first one is of the kind that is controlled */
    const struct controller_shared *shared; /* ended by kind 0; NULL: none */
    /* For shared watches (workloads/room.h): has this object of the first watch's kind less than it wants? */
    bool (*waits)(const struct object *o);
    /* 0, or a negative code with *err filled: retried with backoff. */
    int (*reconcile)(const struct reconcile_in *in, struct reconcile_out *out, struct error *err);
    /* At the start of a leadership: emits the keys for which one object stands, and is called with each object of every
     * kind but those that are `unowned`. NULL = objects of the first watch's kind, through its map. */
    void (*resync)(const struct view *tip, const struct object *o, controller_emit *emit, void *data);
    /* And those for which none does. NULL = there are none. */
    void (*begin)(controller_emit *emit, void *data);
};
const struct controller *const *controllers_all(unsigned *count);
const struct controller *controller_by_name(const char *name);

/* ---- Runtime: one per leading master, owned by its loop ---- */
struct controllers;
struct controllers_config {
    const struct env *env;
    const struct log *log;
    uint64_t seed;
    struct controller_soft soft;
    /* Evaluate on the tip at once (replica_submit with no callback). */
    int (*submit)(void *data, const struct txn *t, struct error *err);
    const struct view *(*tip)(void *data);
    /* Is there room for one more transaction? Asked before each reconcile; without it nothing is done. NULL: always. */
    bool (*room)(void *data);
    void *data;
};
struct controllers *controllers_new(const struct controllers_config *config);
void controllers_free(struct controllers *c);
/* Leadership began: all objects are looked at for what they ask for, some in each controllers_run. */
void controllers_resync(struct controllers *c);
void controllers_observe(struct controllers *c, const struct change *changes, unsigned count);
/* Work for at most budget_ms (env clock; at least one key), while there is room. True if keys are left. Keys whose own
 * object's spec has changed come before the others: what a user wants is not kept waiting by what a crowd of pods
 * has to tell. */
bool controllers_run(struct controllers *c, int64_t budget_ms);
int64_t
controllers_next_deadline(const struct controllers *c); /* env now_ms of the next delayed key; INT64_MAX if none */
struct controllers_stats {
    uint64_t reconciles, errors, transactions;
    uint64_t keys_refused; /* longer than any object's name */
    uint64_t violations;   /* reconciles in which CONTROLLER_CHECK did not hold */
    unsigned queued, delayed;
};
void controllers_stats(const struct controllers *c, struct controllers_stats *out);

/* ---- For controllers: common pieces (controllers/util.c) ---- */
/* Five-character-or-longer hash of a pod template as a label value (safe alphabet), stable for ever; collision count
 * mixed in. */
void template_hash(struct arena *a, const struct value *pod_template, int64_t collision_count, char out[16]);
/* An Event about an object, added to the transaction; same (object, reason, message, source) counts up instead. */
void controller_event(struct reconcile_out *out, const struct reconcile_in *in, const struct object *about,
                      const char *type, const char *reason, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
/* The same, but nothing while there is such an Event: for what is found again by each reconcile. */
void controller_event_once(struct reconcile_out *out, const struct reconcile_in *in, const struct object *about,
                           const char *type, const char *reason, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));

#endif
