/* Writes: submitted to the tip, answered at commit. Inside of master/api. */
#ifndef MASTER_API_WRITE_H
#define MASTER_API_WRITE_H

#include "master/api/admission.h"
#include "master/api/api.h"
#include "raft-store/store/store.h"

/* A write on its way: its call, and the objects that its answer tells. */
struct write {
    struct api_call *call;
    enum api_verb verb;
    unsigned count, cap;
    struct write_item {
        struct object *before; /* the transaction; a ref, NULL: it was not there */
        struct object *object; /* as it leaves it, or as it was last; a ref, NULL: never seen */
        bool gone;             /* the transaction took it away, or it was never there */
        enum api_done done;
        const struct kind *kind;
        struct str ns, name;
    } * items;
    const struct txn *txn;            /* while it is evaluated */
    unsigned counted;                 /* API_DELETECOLLECTION: of all pieces so far */
    unsigned repeat_count;            /* the same, of the first time */
    void (*then)(struct api_call *c); /* instead of an answer; not if it fails. NULL: it is answered */
    bool unchanged;                   /* a dry run's: nothing would be written */
    bool dry_run;
};
struct write *write_new(struct api_call *c, enum api_verb verb);
/* One more object of the answer. old: what is there before the transaction (a ref is taken), NULL: nothing, or it is
 * not known (a repetition). */
void write_add(struct write *w, const struct kind *k, struct str ns, struct str name, const struct object *old);
/* Evaluates t on the tip, and answers at commit; a dry run checks, and answers what would be. Consumes w; t is
 * borrowed. */
void write_submit(struct write *w, const struct api_write *how, struct txn *t);
void write_dry_run(struct write *w, const struct txn *t);
/* What the evaluation changed, in the order of the objects' first operations: so the items know what became of theirs.
 * Objects that are not among the changes are as they were. */
void write_decided(const struct change *changes, unsigned count, void *w);
/* Gives w's answer (error NULL) or failure, and frees it. */
void write_answered(const struct txn_result *result, const struct error *error, void *w);
/* A refusal found on the tip; answered when what it saw is committed. Consumes w. */
void write_refuse(struct write *w, const struct error *err);
/* The same for a write that has not begun. */
void api_refuse(struct api_call *c, const struct error *err);
/* The same, about this object (kind NULL: it is not known yet which). */
void api_refuse_of(struct api_call *c, const struct api_target *of, struct error *err);
void api_refuse_not_found(struct api_call *c, const struct kind *k, struct str name);
int error_not_found(struct error *err, const struct kind *k, struct str name); /* `pods "x" not found` */

/* Puts into t what the request does with the object as the tip has it (NULL: it is not there), or sets *err. */
typedef void write_decide(struct api_call *c, const void *request, const struct object *old, struct txn *t,
                          struct error *err);
/* A write of one object, whole: decides, unless it is a repetition, and submits or refuses it. request is handed to
 * decide, which is called before this returns. */
void write_of_one(struct api_call *c, enum api_verb verb, const struct api_write *how, const struct api_target *of,
                  write_decide *decide, const void *request);

/* A transaction of a request: origin "api", with its id. */
void api_txn_init(struct txn *t, const struct api_write *how);
/* A transaction with this id was done before: the request must not be judged again (what it asks for may not be
 * possible any more), an empty transaction with the id is answered with the first result. */
bool api_repeats(const struct api_call *c, const struct txn *t);
/* The tip, and how documents of the request are let in. */
const struct view *api_tip(const struct api_call *c);
struct admission api_admission(struct api_call *c, const struct api_write *how);

const char *api_part_only(const struct api_part *part); /* the member of spec, or of the status, that it is; or NULL */

/* The new version `doc` of `old` becomes the transaction's update. before: old as a document, which is changed; NULL:
 * it is made here. Both documents are borrowed until the transaction is evaluated. */
int update_to(const struct admission *ad, struct txn *t, struct value *doc, const struct object *old,
              struct value *before, enum txn_part part, uint64_t if_revision, struct error *err);

#endif
