/* Indexes of a view: by what else than its name an object is found.
 *
 * An index is a line of VIEW_INDEXES and a row, index_NAME, in a file: which objects are in it, and a function that
 * tells the keys of one: none, one or many. The rows of those that are here are in index_keys.c. Each version of the
 * state has its own indexes, as it has its own tree of objects, and they are never behind: a view's indexes
 * answer exactly what a scan of all its objects would. Ask with view_iter_index (view.h).
 *
 * Cost: the keys of an object that came at once share 16 bytes, its namespace and its name; each has 12 and its own
 * bytes, and about 12 in its tree. A new version that differs in the status alone costs a comparison; of another one
 * the keys are told again, and those that are new or gone are put in or taken out. */
#ifndef RAFT_STORE_STORE_INDEX_H
#define RAFT_STORE_STORE_INDEX_H

#include "proto/schema/object.h"
#include "proto/schema/selector.h"

/* VIEW_BY_NAME, and its row: index_name. */
#define VIEW_INDEXES(X)                                                                                                \
    X(OWNER, owner)                     /* uid of an owner */                                                          \
    X(REFERENCE, reference)             /* index_reference_key of what it names, neither owner nor node */             \
    X(CLAIM, claim)                     /* what it has for itself alone (proto/facts/claim.h) */                       \
    X(NODE, node)                       /* spec.nodeName of a pod that is bound */                                     \
    X(LABEL, label)                     /* "namespace/key=value" of a pod */                                           \
    X(SELECTOR, selector)               /* "namespace/key=value" of the first that a Service selects by */             \
    X(BUDGET, budget)                   /* the same, of a PodDisruptionBudget; "namespace/=": by none */               \
    X(CHOOSER, chooser)                 /* index_chooser_key of a workload (proto/facts/chooser.h) */                  \
    X(INVOLVED, involved)               /* "name=NAME" and "uid=UID" of an Event's involvedObject */                   \
    X(VOLUME, volume)                   /* index_volume_*_key of a PersistentVolume */                                 \
    X(WAITING_CLAIM, waiting_claim)     /* index_waiting_claim_key of a claim without a volume */                      \
    X(SUBJECT, subject)                 /* index_subject_key of whom a RoleBinding names */                            \
    X(CLUSTER_SUBJECT, cluster_subject) /* the same, of a ClusterRoleBinding */                                        \
    X(ROLE, role)                       /* "/key=value" of a ClusterRole; INDEX_ROLE_GATHERS: it is made of others */

#define VIEW_INDEX_ENUM(NAME, name) VIEW_BY_##NAME,
enum view_index { VIEW_INDEXES(VIEW_INDEX_ENUM) VIEW_INDEX_COUNT };

struct index_keys; /* of one object, being told */
/* One key, copied. The same one may be told more than once. */
void index_key(struct index_keys *k, struct str key);

/* A function of the object without its status, and of nothing else. */
typedef void index_keys_fn(const struct object *o, struct index_keys *out);
/* The keys that hold all objects that namespace (empty: all) and selectors (NULL: none) ask for: the one of so many,
 * counted from 0; false: there are no more. */
typedef bool index_asks_fn(struct str ns, const struct selector *labels, const struct selector *fields, unsigned nth,
                           struct buf *key);

struct index_row {
    unsigned kind; /* id of the kind whose objects are in it; 0: every kind */
    index_keys_fn *keys;
    bool (*has_none)(const struct object *o); /* at a glance: it has no key here; NULL: keys tells */
    index_asks_fn *asks;                      /* what selectors ask of it; NULL: they cannot */
    /* At a glance: a version of the same object has the same keys; NULL: keys tells. May say false where it is so. */
    bool (*same)(const struct object *o, const struct object *old);
};
#define VIEW_INDEX_DECLARE(NAME, name) extern const struct index_row index_##name;
VIEW_INDEXES(VIEW_INDEX_DECLARE)
extern const struct index_row *const index_rows[VIEW_INDEX_COUNT];

#define INDEX_ROLE_GATHERS "gathers" /* no label's key: those have a slash in front */

/* Keys, appended. */
void index_reference_key(struct buf *out, const struct kind *k, struct str ns, struct str name);
void index_label_key(struct buf *out, struct str ns, struct str key, struct str value);
/* Of workloads: a label that its pods get, or the first that its selector asks for; empty: it asks for none. */
void index_chooser_key(struct buf *out, bool labels, struct str ns, struct str key, struct str value);
void index_waiting_claim_key(struct buf *out, struct str class); /* its class, or none (empty) */
void index_volume_free_key(struct buf *out, struct str class);   /* without a claimRef, of a class or of none (empty) */
void index_volume_node_key(struct buf *out, struct str node);    /* with the label STORAGE_LABEL_NODE */
void index_subject_key(struct buf *out, bool group, struct str name); /* of at most ACCESS_USER_MAX bytes */

#endif
