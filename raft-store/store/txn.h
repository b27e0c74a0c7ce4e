/* Transactions: what a caller, an agent, a controller or the scheduler wants changed, all or nothing.
 *
 * A transaction is built from final objects, then evaluated on the tip (store_eval). Evaluation checks preconditions
 * and gives what only the store may give: uid, creationTimestamp, generation, revision; keeps immutable metadata; turns
 * an update that empties the finalizers of an object being deleted into its deletion. It is done by the leader only;
 * the log holds the results. */
#ifndef RAFT_STORE_STORE_TXN_H
#define RAFT_STORE_STORE_TXN_H

#include "base/env.h"
#include "proto/schema/object.h"

#define TXN_SIZE_MAX (8u << 20)
#define TXN_OPS_MAX  16384u
#define TXN_ID_SIZE  16

enum txn_op_type {
    TXN_CREATE, /* must not exist */
    TXN_UPDATE, /* must exist */
    TXN_DELETE, /* must exist; removed at once: grace, finalizers and propagation were decided by the caller */
    TXN_CHECK,  /* no change: only the preconditions (if_revision UINT64_MAX: must not exist) */
};
enum txn_part {
    /* everything but status is taken from the new object, status from the stored one (kinds with has_status) */
    TXN_PART_SPEC,
    TXN_PART_STATUS, /* only status is taken from the new object (metadata: nothing) */
    TXN_PART_ALL,    /* controllers: the object as given (spec change still counts generation) */
};
struct txn_op {
    enum txn_op_type type;
    enum txn_part part;
    const struct kind *kind;
    struct str ns, name;
    struct object *object; /* CREATE, UPDATE; a ref of ours */
    uint64_t if_revision;  /* 0 = any */
    struct str if_uid;     /* empty = any */
    /* UPDATE: `object` as a document, and as one what is stored at revision `was_at`, if the caller has decoded it:
     * then evaluation need not. Borrowed until it is evaluated; NULL: none. */
    const struct value *doc, *was;
    uint64_t was_at;
};
struct txn {
    struct arena arena;
    struct txn_op *ops;
    unsigned count, cap;
    size_t size_bytes; /* sum of bodies */
    bool has_id;
    uint8_t id[TXN_ID_SIZE]; /* repeats with the same id are answered with the first result */
    bool own_status;         /* a node's report on its own pods */
    const char *origin;      /* "api", "controller/deployment", "scheduler": for traces */
};

void txn_init(struct txn *t, const char *origin);
void txn_close(struct txn *t);
void txn_reset(struct txn *t);
void txn_set_id(struct txn *t, const uint8_t id[TXN_ID_SIZE]);
/* The uids of what a transaction with an id creates begin with a hash of it: so that a repetition that comes when no
 * more than the names are remembered does not take for its own what has been made since under the same name. */
#define TXN_UID_MARK 8u
void txn_mark_uid(const uint8_t id[TXN_ID_SIZE], char uid[TXN_UID_MARK]); /* the first digits of a uid, in place */
/* False: another one did. True also of one object of others in four billions. */
bool txn_made_uid(const uint8_t id[TXN_ID_SIZE], struct str uid);
/* Give the object (its ref goes to the transaction). */
void txn_create(struct txn *t, struct object *o);
struct txn_op *txn_update(struct txn *t, struct object *o, enum txn_part part, uint64_t if_revision);
struct txn_op *txn_delete(struct txn *t, const struct object *o); /* with its uid as precondition; o is borrowed */
struct txn_op *txn_check(struct txn *t, const struct kind *k, struct str ns, struct str name, uint64_t if_revision);
/* From documents, for controllers: encode (the document must be complete: run kind_check first where it holds foreign
 * parts). ERR_TOO_LARGE, or ERR_INVALID if it has no name or is of another kind. */
int txn_create_value(struct txn *t, const struct kind *k, const struct value *doc, struct error *err);
int txn_update_value(struct txn *t, const struct kind *k, const struct value *doc, enum txn_part part,
                     uint64_t if_revision, struct error *err);
/* Readable text of a transaction, one line an op with a diff of the top fields: for script tests and traces. */
void txn_write_text(struct buf *out, const struct txn *t);

/* How an evaluation ended well. */
struct txn_result {
    uint64_t revision; /* the transaction's; for a repeat: of the first time */
    bool repeated;
    bool unchanged; /* all updates were equal to what is there: nothing was written, revision is the tip's */
};
/* What a transaction did. */
struct change;
struct history_txn {
    uint64_t revision; /* of its last object, and its own */
    unsigned count;
    bool numbered;   /* its objects have consecutive revisions; else all have its own (below RELEASE_LEVEL_NUMBERS) */
    bool own_status; /* as the transaction said; below RELEASE_LEVEL_CARRIED its leader alone knows */
    const struct change *changes;
    struct buf *wire; /* per change; NULL before store_history_wire */
};

/* The revision of its change i, which is that of the object it left there. */
static inline uint64_t txn_change_revision(const struct history_txn *t, unsigned i)
{
    return t->numbered ? t->revision - (t->count - 1 - i) : t->revision;
}
/* The one before it is the last of the transaction before. */
static inline uint64_t txn_first_revision(const struct history_txn *t)
{
    return txn_change_revision(t, 0);
}

#endif
