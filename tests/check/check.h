/* Checkers: whether a history (history.h) is one that a correct store could have given, and if not, which operations
 * prove it.
 *
 * Each checker looks at the functions it knows and passes over the others, so one history may hold all workloads.
 * Findings are anomalies with a short fixed name ("lost-write"), a sentence for people, and the operations that prove
 * them.
 *
 *   register.c   read, write, cas      every key is linearizable (Wing and Gong's search with Lowe's memory of states,
 *                key by key)
 *   append.c     txn                   (strictly) serializable: dependencies between transactions have no cycle (Adya;
 *                Elle)
 *   set.c        add, members          what was acknowledged is seen by every read that begins later, and
 *                nothing else is
 *   bank.c       transfer, balances    the sum is the same in every read
 *   queue.c      enqueue, drain        each acknowledged id is there once
 *   watch.c      resume, list, event, log   in order, once, no gap, whole transactions, all watchers and masters
 *                alike */
#ifndef TESTS_CHECK_CHECK_H
#define TESTS_CHECK_CHECK_H

#include "base/buf.h"
#include "tests/check/history.h"

/* UNKNOWN: the checker gave up at its limit, having found nothing; never to be counted as a pass. */
enum verdict { VERDICT_VALID, VERDICT_UNKNOWN, VERDICT_INVALID };

#define ANOMALIES_MAX     16u /* kept with their operations, per checker; the rest is counted */
#define ANOMALY_OPS_MAX   24u /* of one anomaly */
#define STATES_MAX_NORMAL (8u << 20)

struct anomaly {
    const char *name; /* static */
    char *text;       /* one sentence */
    size_t ops[ANOMALY_OPS_MAX];
    unsigned ops_count;
};
struct findings {
    struct anomaly items[ANOMALIES_MAX];
    unsigned count;   /* kept */
    unsigned total;   /* found */
    unsigned checked; /* operations looked at */
    char *gave_up;    /* why it is unknown; NULL = it is not */
};
struct check_options {
    bool serializable_only; /* append: not strictly, the order in real time does not count */
    unsigned states_max;    /* register: configurations of one key; 0 = STATES_MAX_NORMAL */
};

typedef void check_fn(const struct hist *h, const struct check_options *o, struct findings *out);
check_fn check_register, check_append, check_set, check_bank, check_queue, check_watch;

struct checker {
    const char *name;
    check_fn *run;
};
extern const struct checker checkers[]; /* name == NULL ends it */

void findings_init(struct findings *f);
void findings_close(struct findings *f);
enum verdict findings_verdict(const struct findings *f);
/* An anomaly; returns it for operations to be added, NULL if enough are kept already. name is static. */
struct anomaly *findings_add(struct findings *f, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* a may be NULL. */
void anomaly_op(struct anomaly *a, const struct hist_op *op);
bool findings_have(const struct findings *f, const char *name);
void findings_give_up(struct findings *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Text for people: each anomaly, with its operations below it. */
void findings_print(const struct findings *f, const struct hist *h, struct buf *out);

/* All checkers; prints one line for each that had something to look at, and what it found. */
enum verdict check_all(const struct hist *h, const struct check_options *o, struct buf *out);

#endif
