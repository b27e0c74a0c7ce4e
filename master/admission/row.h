/* A row of admission: one thing that is done to objects on their way in, or asked of them. One file here defines
 * `const struct admission_row admission_NAME`, one line in list.h names it.
 *
 * What users write passes the rows in the order of the list, three times:
 *
 *   give     changes the document, before it is an object: what the state has for it; or refuses it
 *   check    refuses the object that it has become, or warns who writes it, and leaves it as it is
 *   [evaluation] what holds for controllers and the scheduler, too, is asked where their writes are decided
 *            (raft-store/store/world.c: bounds.h, world_quota.c), which may know nothing of who asks. Rows of such
 *            things stand at the end of the list, in the order in which it asks them, and say `evaluated`
 *
 * so all of it is decided on the tip, in the turn in which it is written. Between give and check stands who manages
 * which field (managed.h). Fields, types, defaults and all that one object says of itself are its kind's table and not
 * rows. Whoever deletes passes the rows once, by `remove`.
 *
 * Hooks that are NULL do nothing. Loop thread only. */
#ifndef MASTER_ADMISSION_ROW_H
#define MASTER_ADMISSION_ROW_H

#include "master/api/admission.h"

/* What is written. */
struct admission_change {
    const struct kind *kind;
    enum txn_part part;             /* TXN_PART_ALL of a create */
    struct value *doc;              /* what it is to be; may be changed by give alone */
    const struct value *before;     /* what it was; NULL: it is new */
    const struct object *old, *now; /* the same as objects; now: in `check` alone */
};

enum admission_operations { ADMISSION_CREATE = 1 << 0, ADMISSION_UPDATE = 1 << 1, ADMISSION_DELETE = 1 << 2 };
#define ADMISSION_KINDS_MAX 5u

struct admission_row {
    const char *name; /* as Kubernetes calls it, where it has it: "DefaultStorageClass" */
    /* Of which kinds, ended by 0; without any it is asked of all, and chooses itself. */
    enum kind_id kinds[ADMISSION_KINDS_MAX];
    const char *kinds_told; /* of which it chooses: "whatever makes pods"; NULL: the names of `kinds` */
    unsigned operations;    /* admission_operations: for who reads the table, and asked before a hook is called */
    bool mutates;           /* it changes what is written */
    bool evaluated;         /* it has a part in the evaluation */
    const char *help;       /* one sentence */
    /* Of writes of the object or of a part of its spec, not of its status. */
    int (*give)(const struct admission *ad, struct admission_change *c, struct error *err);
    int (*give_status)(const struct admission *ad, struct admission_change *c, struct error *err); /* of its status */
    int (*check)(const struct admission *ad, const struct admission_change *c, struct error *err);
    /* who: NULL: the system itself. err may be NULL. */
    int (*remove)(const struct view *tip, const struct principal *who, const struct object *o, struct error *err);
    /* How it is set at present, in the arena: "podTokens=Automatic". *on is true before, and false after it if it does
     * nothing now. NULL: there is nothing to set, and it is always on. */
    const char *(*setting)(const struct view *v, struct arena *a, bool *on);
};

/* All, in order; ended by NULL. */
extern const struct admission_row *const admission_rows[];
/* What a row's `kinds` are to people, in the arena: "pods, priorityclasses". */
const char *admission_kinds(struct arena *a, const struct admission_row *row);

/* For `remove`: nobody may; ERR_FORBIDDEN. */
int admission_is_needed(const struct object *o, struct error *err);

int admission_give(const struct admission *ad, struct admission_change *c, struct error *err);
int admission_check(const struct admission *ad, const struct admission_change *c, struct error *err);
/* May it be deleted by `who`? err may be NULL. */
int admission_remove(const struct view *tip, const struct principal *who, const struct object *o, struct error *err);

#endif
