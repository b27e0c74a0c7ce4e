/* Places: how many pods of which sort are where, by the values that a label has on nodes. Pod affinity, anti-affinity
 * and topology spread are read off these numbers. Inside the scheduler only.
 *
 *   key       a node label ("topology.kubernetes.io/zone"); each of its values is a domain, a place
 *   matcher   which pods are meant: label selectors with namespaces, or an owner; classes know which matchers mean them
 *   scope     which nodes count, for spreading: those with all labels that the constraints name, and, as the pod's
 *             policies say, those that its node affinity or its tolerations let in
 *   counter   of one matcher and one key: pods by domain. There are four sorts:
 *               MATCHING      placed pods that the matcher means (required and preferred terms read it)
 *               SPREAD        the same within a scope, without those that are being deleted
 *               KEEPING_AWAY  placed pods that require to be away from those that the matcher means
 *               LIKING        placed pods that like, or dislike, those that the matcher means, of one weight
 *
 * All are shared by the classes that ask for the same, and gone with the last of them. Invariants (scheduler_audit
 * counts anew): 1. a counter is the sum over placed pods, on nodes that exist and have the key, within its scope.
 * 2. A pod that is placed, leaves, changes its labels or is to be deleted, a node whose labels or taints change, and a
 * namespace with other labels change the numbers at once. 3. A domain without nodes has no pods.
 *
 * Few domains (TOPO_WIDE_MAX) make a key wide. A class's table keeps nodes with equal domains of the wide keys that it
 * reads together, in a cell, and asks the numbers once for each cell: a pod in a zone costs nothing for the other
 * thousand nodes of it. The domains of other keys have few nodes each, mostly one: these are judged one by one, when
 * something changes there (sched_node_changed). Only when the emptiest of such domains changes, or the first pod of a
 * group has come, all nodes are looked at again; that is once in as many pods as there are domains.
 *
 * Source: Kubernetes' scheduler plugins InterPodAffinity and PodTopologySpread, core/v1 PodAffinityTerm and
 * TopologySpreadConstraint, v1.33. Other than there: labels of matchLabelKeys are read when a pod is judged, not when
 * it is made; scores do not depend on all other nodes, so they are not stretched from 0 to 100. */
#ifndef SCHEDULER_TOPOLOGY_H
#define SCHEDULER_TOPOLOGY_H

#include "base/list.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "raft-store/store/store.h"

struct scheduler;
struct sched_class;
struct sched_node;
struct sched_pod;
struct selector;

#define TOPO_NONE         UINT32_MAX /* no domain: the node has no such label */
#define TOPO_WIDE_MAX     64u        /* a key with more domains is narrow; with half as many it is wide again */
#define TOPO_KEYS_MAX     256u /* topology keys in use at a time; pods that require more wait, wishes are left out */
#define TOPO_KEYS_FREE    192u /* so many may be made-up; the rest is for keys that some node has */
#define TOPO_TERMS_MAX    100u /* affinity terms and spread constraints of one pod; one with more waits */
#define TOPO_WEIGHT       5    /* of each score here, beside those of the plugins */
#define TOPO_SCORE_BIAS   (1 << 20) /* added to scores of tables: those of places may be negative */
#define TOPO_WAKE_TABLES  64u       /* waiting classes whose tables are asked at a time */
#define TOPO_DEFAULT_ZONE "topology.kubernetes.io/zone"
#define TOPO_DEFAULT_SKEW 5 /* of pods of one owner over zones, where they say nothing themselves */

struct topo_domain {
    char *value; /* NULL: free */
    uint32_t first, nodes;
};
struct topo_key {
    struct list link;
    char *name;
    unsigned refs;
    bool wide;
    struct strmap values; /* value -> its domain + 1 */
    struct topo_domain *domains;
    unsigned domains_count, domains_cap, domains_live;
    uint32_t *domain_of, *next, *prev; /* by slot of the node; nodes of one domain are a list */
};
struct topo_scope {
    struct list link;
    char *id;
    size_t id_size;
    unsigned refs;
    struct topo_key *key;
    struct object *sample; /* whose affinity and tolerations they are */
    struct str *keys;      /* labels that a node needs; in the sample */
    unsigned keys_count;
    bool honor_affinity, honor_taints;
    uint8_t *in;     /* by slot */
    uint32_t *nodes; /* in it, by domain */
    unsigned nodes_cap;
    uint32_t domains; /* that have nodes in it */
    uint64_t changed;
};
/* Pods by domain: open addressing, empty domains take no room. */
struct tally {
    struct {
        uint32_t domain_plus_1, count;
    } * cells;
    unsigned cap, used;
};
enum topo_what { TOPO_MATCHING, TOPO_SPREAD, TOPO_KEEPING_AWAY, TOPO_LIKING };
struct topo_counter {
    struct list link; /* of its matcher */
    struct topo_matcher *matcher;
    struct topo_key *key;
    struct topo_scope *scope; /* SPREAD */
    enum topo_what what;
    int weight; /* LIKING; negative: they dislike them */
    unsigned refs;
    struct tally tally;
    uint64_t total;
    /* SPREAD: how many domains have so many pods, from 1 on; how many have any; none has fewer than the lowest. */
    uint32_t *levels;
    unsigned levels_cap;
    uint32_t filled, lowest;
    uint64_t rose, fell; /* number of the change that last helped those who want more, or fewer */
    uint64_t grew;       /* MATCHING: that last helped those who want more when some of them would have to go */
};
struct topo_atom {
    struct selector *selector; /* NULL: means no pod */
    struct str *namespaces;
    unsigned namespaces_count;
    struct selector *namespace_selector; /* NULL: none */
};
struct topo_matcher {
    char *id;
    size_t id_size;
    unsigned refs;
    struct arena arena;
    struct topo_atom *atoms; /* all must mean the pod */
    unsigned atoms_count;
    struct str owner;   /* instead of atoms */
    bool of_namespaces; /* labels of namespaces count */
    struct list counters;
    struct list matches; /* topo_match.in_matcher */
    struct topo_seat *seat;
};
struct topo_match {
    struct list in_matcher, in_class;
    struct topo_matcher *matcher;
    struct sched_class *class;
};
/* A place in a list of an index (topology_match.c). */
struct topo_seat {
    struct list link;
    struct topo_bucket *bucket;
    void *who; /* a class or a matcher */
    unsigned key_size;
    char key[];
};
struct topo_namespace {
    char *name;
    size_t name_size;
    struct object *obj; /* NULL: pods are in it, but it is not known */
    unsigned classes;
};

/* One term of a class: what it reads, and what it wants. */
struct topo_term {
    struct topo_counter *counter;
    int weight;          /* preferred */
    int32_t max_skew;    /* spread */
    int32_t min_domains; /* spread */
    bool self;           /* the pods of the class are meant themselves */
    unsigned key_at;     /* preferred: which of the sums by key */
};
struct topo_terms {
    struct topo_term *items;
    unsigned count;
};
struct class_places {
    struct topo_namespace *ns;
    struct topo_seat **seats;
    unsigned seats_count;
    struct list matches; /* topo_match.in_class */
    struct topo_terms near, away, likes, hard, soft;
    bool near_self;                /* its pods match all their own required terms */
    struct topo_counter **carried; /* KEEPING_AWAY, LIKING: of its own placed pods */
    unsigned carried_count;
    bool says_spread;          /* it has topologySpreadConstraints */
    const char *refused;       /* why its pods wait, whatever the nodes; NULL */
    unsigned refused_for_keys; /* so many keys, or more, were in use; 0: it is refused for something else */
    /* What others' terms mean for it, and what it reads in all: made when it is asked for. */
    bool stale;
    struct topo_terms forbids; /* KEEPING_AWAY */
    struct topo_terms scored;  /* likes, and LIKING of others */
    struct topo_key **keys;    /* that it reads */
    unsigned keys_count, score_keys_count;
    int64_t unit;     /* the greatest weight */
    uint64_t touched; /* number of the change at which others' terms began or ceased to mean it */
    uint64_t seen;    /* parked: changes up to here were looked at */
};

/* In struct scheduler. */
struct places {
    struct list keys, scopes;
    unsigned keys_count;
    struct strmap matchers, classes_by, matchers_by, namespaces;
    uint64_t changes; /* of numbers that may help somebody, given so far */
    bool guess;       /* what is counted now is taken back at once (preempt.c): nobody is told */
    bool trial;       /* it is taken back soon (gang_attempt.c): tables are told, those who wait are not */
    uint64_t epoch;   /* of keys that became wide or narrow */
    uint64_t woken;   /* changes up to here were looked at for all parked classes */
    /* Labels that differ among the pods of one template (their ordinals) make no class of their own, until a selector
     * names one. */
    bool individual, individual_due;
};
void places_open(struct scheduler *s);
void places_close(struct scheduler *s);
void places_slots_grow(struct scheduler *s, unsigned from); /* s->slots_cap is more than `from` now */

/* ---- What changes (topology.c) ---- */
/* A pod comes to a node (sign 1) or leaves it (-1). live: it is not being deleted. The caller says that the node
 * changed. */
void places_account(struct scheduler *s, const struct sched_class *c, const struct sched_node *n, int sign, bool live);
/* It is being deleted now: it counts no more where pods are spread. */
void places_leaving(struct scheduler *s, const struct sched_class *c, const struct sched_node *n);
/* Around each change of a node's labels, taints, cordon or existence: with its pods off, and on it again. */
void places_node_out(struct scheduler *s, const struct sched_node *n);
void places_node_in(struct scheduler *s, const struct sched_node *n);
/* Counts anew. False: something is wrong, and what. */
bool places_audit(const struct scheduler *s, struct buf *why);

/* Keys and counters are shared: get makes or finds one, and adds a ref. NULL: no more keys. A scope is its counters':
 * to be given to one. */
struct topo_key *places_key_get(struct scheduler *s, struct str name);
void places_key_unref(struct scheduler *s, struct topo_key *k);
struct topo_counter *places_counter_get(struct scheduler *s, struct topo_matcher *m, struct topo_key *k,
                                        struct topo_scope *scope, enum topo_what what, int weight);
void places_counter_unref(struct scheduler *s, struct topo_counter *k);
struct topo_scope *places_scope_get(struct scheduler *s, struct topo_key *k, const struct object *sample,
                                    const struct str *keys, unsigned keys_count, bool affinity, bool taints);
/* A pod of the class at the node adds so much to the counter. */
void places_counter_add(struct scheduler *s, struct topo_counter *k, const struct sched_node *n, int sign);
uint32_t tally_get(const struct tally *t, uint32_t domain);
static inline uint32_t topo_count(const struct topo_counter *k, unsigned slot)
{
    return tally_get(&k->tally, k->key->domain_of[slot]);
}
/* The fewest pods in a domain of its scope; 0 without any. */
uint32_t topo_least(const struct topo_counter *k);

/* ---- Who is meant (topology_match.c) ---- */
void places_class_enter(struct scheduler *s, struct sched_class *c); /* finds the matchers that mean it */
void places_class_leave(struct scheduler *s, struct sched_class *c);
/* id: what makes it the same matcher. fresh: the caller fills in its atoms or owner, and calls places_matcher_enter. */
struct topo_matcher *places_matcher_get(struct scheduler *s, struct str id, bool *fresh);
void places_matcher_enter(struct scheduler *s, struct topo_matcher *m);
void places_matcher_unref(struct scheduler *s, struct topo_matcher *m);
bool places_means(const struct topo_matcher *m, const struct sched_class *c);
/* Others' terms began or ceased to mean the class. */
void places_touch(struct scheduler *s, struct sched_class *c);
void places_observe_namespace(struct scheduler *s, const struct object *old, const struct object *now);
/* Ids of matchers and scopes: parts with their lengths before them, so that different parts never make one id. */
void topo_put_text(struct buf *id, struct str s);
void topo_put_mp(struct buf *id, struct mp m);
/* A label that the pods of one template do not share. */
bool topo_label_is_individual(struct str key);

/* ---- What a class wants (topology_terms.c) ---- */
void places_attach(struct scheduler *s, struct sched_class *c); /* reads its terms; c->places is made */
void places_detach(struct scheduler *s, struct sched_class *c); /* no pod of it is placed */

/* ---- Judging (topology_judge.c) ---- */
enum topo_part { TOPO_ALL, TOPO_WIDE, TOPO_NARROW }; /* of the keys */
enum topo_refusal { TOPO_FITS, TOPO_NEAR, TOPO_AWAY, TOPO_FORBIDDEN };
enum topo_refusal places_affinity(const struct sched_class *c, unsigned slot, enum topo_part part);
enum topo_skew { TOPO_EVEN, TOPO_SKEWED, TOPO_UNLABELLED };
enum topo_skew places_spread(const struct sched_class *c, unsigned slot, enum topo_part part);
bool places_fit(const struct sched_class *c, unsigned slot, enum topo_part part);
int places_score(const struct sched_class *c, unsigned slot, enum topo_part part);
/* The wide keys that the class reads: at most so many; how many there are. */
unsigned places_wide_keys(const struct sched_class *c, struct topo_key **keys, unsigned max);
bool places_all_wide(const struct sched_class *c); /* it reads no others, but for some that no node has */
/* Does it require to be apart from some pods? */
bool places_apart(const struct sched_class *c);
/* Do places decide anything for it: does it read keys, or is it refused wherever it asks? */
bool places_any(const struct sched_class *c);
/* Its labels do not matter: it has no terms but to be spread with its owner's, and others' terms do not mean it. */
bool places_by_owner_alone(const struct sched_class *c);
/* What the judgements of narrow keys depend on beside the numbers of the node's own domains. */
uint64_t places_common(const struct sched_class *c);
/* Something has changed since the class was parked that could help it. */
bool places_helped(const struct scheduler *s, const struct sched_class *c);

#endif
