/* Writes: submitted to the tip, answered at commit. */
#ifndef MASTER_API_WRITE_H
#define MASTER_API_WRITE_H

#include "master/front/call.h"

/* Who answers what at commit: takes over the call. `objects` (refs given) are those to report. */
enum write_shape { WRITE_OBJECT, WRITE_APPLY, WRITE_DELETE, WRITE_COUNT, WRITE_TXN };
struct write {
    struct call *call;
    enum write_shape shape;
    unsigned count, cap;
    struct write_item {
        struct object *object; /* may be NULL */
        struct object *before; /* the transaction */
        bool gone;             /* the transaction took it away; object: what it was last */
        const char *result;    /* "created", ... */
        const struct kind *kind;
        struct str ns, name;
    } * items;
    unsigned repeat_count; /* WRITE_COUNT: of the first time */
    bool unchanged;        /* a dry run's: nothing would be written */
};
struct write *write_new(struct call *c, enum write_shape shape);
void write_add(struct write *w, const struct kind *k, struct str ns, struct str name, const char *result);
/* Submit, remember the tip's objects of the items, answer at commit. With params.dryRun: check, and answer what
 * would be. */
void write_submit(struct write *w, struct txn *t);
void write_dry_run(struct write *w, const struct txn *t);
/* Around the evaluation of t: the items' objects as they are before it, and as it leaves them (results, too). v: of the
 * tip, or of a dry run's world. */
void write_look_before(struct write *w, const struct view *v);
void write_fill(struct write *w, const struct view *v, const struct txn *t);
/* Gives w's answer (error NULL) or failure, and frees it. */
void write_answered(const struct txn_result *result, const struct error *error, void *w);
/* A refusal found on the tip; answered when what it saw is committed. Consumes. */
void write_refuse(struct write *w, const struct error *err);
void call_refuse(struct call *c, const struct error *err);
void call_refuse_not_found(struct call *c, const struct kind *k, struct str name);

#endif
