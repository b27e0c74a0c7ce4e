/* Why a reconcile did what it did: a reason of one list and few operands. The text is made where it is shown (the log
 * of traces today), and nowhere else: who reads decisions as data (plan, explain) compares the reason. */
#ifndef CONTROLLERS_REASON_H
#define CONTROLLERS_REASON_H

#include "base/buf.h"
#include "base/str.h"

/* name, text with the operands: %s what, %t more, %n count, %m other */
#define REASON_LIST(X)                                                                                                 \
    X(ADOPTS, "adopts %s %t")                                                                                          \
    X(RELEASES, "releases %s %t")                                                                                      \
    X(NAMESPACE_CLOSED, "namespace is closed")                                                                         \
    X(CREATES_PODS, "creates %n pods")                                                                                 \
    X(NO_PRIORITY_CLASS, "the priority class of its pods is not there")                                                \
    X(NO_RUNTIME_CLASS, "the runtime class of its pods is not there")                                                  \
    X(DELETES_PODS, "deletes %n pods")                                                                                 \
    X(DEADLINE_EXCEEDED, "progress deadline exceeded")                                                                 \
    X(SET_NAME_TOO_LONG, "the name of its replica set would be too long")                                              \
    X(NAME_TOO_LONG, "the name %s would be too long")                                                                  \
    X(SET_NAME_TAKEN, "name %s is taken")                                                                              \
    X(MAKES_SET, "makes %s with %n")                                                                                   \
    X(SCALES_SET, "%s %n -> %m")                                                                                       \
    X(FORGETS_SET, "forgets %s")                                                                                       \
    X(NODE_SILENT, "silent for %n ms")                                                                                 \
    X(TAINT_DATED, "dates taint %s")                                                                                   \
    X(TAINT_REDATED, "a taint dated in the future is dated anew")                                                      \
    X(TAINTS, "taints %s:%t")                                                                                          \
    X(UNTAINTS, "untaints %s:%t")                                                                                      \
    X(NO_RANGE_FREE, "no range is free for %n nodes")                                                                  \
    X(GIVES_UP_NODE, "lets the pods of %s go")                                                                         \
    X(KEEPS_NODE, "keeps the pods of %s: no node is ready")                                                            \
    X(NO_NODE_READY, "no node is ready: waits")                                                                        \
    X(EVICTED, "evicted from %s")                                                                                      \
    X(EXPIRED, "it has expired")                                                                                       \
    X(IS_EMPTY, "is empty")                                                                                            \
    X(STILL_FULL, "%n left, %m deleted now")                                                                           \
    X(NODE_MISSING, "its node is missing")                                                                             \
    X(NODE_GONE, "its node is gone")                                                                                   \
    X(NODE_OUT_OF_SERVICE, "its node is out of service")                                                               \
    X(NEVER_BOUND, "deleted before it was bound")                                                                      \
    X(TOO_MANY_FINISHED, "%n finished pods too many")                                                                  \
    X(TAKES_OFF_FINALIZER, "takes off finalizer %s")                                                                   \
    X(ORPHANS, "orphans %n")                                                                                           \
    X(WAITS_FOR_DEPENDENTS, "waits for %n dependents, deletes %m")                                                     \
    X(NO_OWNER_LEFT, "no owner is left")                                                                               \
    X(DROPS_OWNERS, "drops references to owners that are gone")                                                        \
    X(SPREADS_PLACES, "%n places in %m slices")                                                                        \
    X(MAKES_CLAIM, "makes claim %s")                                                                                   \
    X(BINDS_VOLUME, "binds %s")                                                                                        \
    X(CLASS_GIVEN, "is of the default class %s now")                                                                   \
    X(VOLUME_LOST, "has lost %s")                                                                                      \
    X(PHASE_CHANGES, "%s -> %t")                                                                                       \
    X(UNBINDS_VOLUME, "is no longer bound")                                                                            \
    X(DELETES_VOLUME, "deletes it: its claim is gone")                                                                 \
    X(RESIZES_VOLUME, "resizes %s to %n bytes")                                                                        \
    X(NEW_REVISION, "new revision %s")                                                                                 \
    X(RESTARTS_FAILED, "takes away %s, which has failed")                                                              \
    X(REPLACES_PODS, "takes away %n pods of an old template")                                                          \
    X(BUDGET_COUNTED, "%n of %m may go")                                                                               \
    X(BUDGET_UNCOUNTED, "cannot be counted: %s")                                                                       \
    X(SCALES_TARGET, "what its pods use asks for it: %s %n -> %m")                                                     \
    X(RIVALS, "chooses pods as %s does")                                                                               \
    X(NO_ROOM, "cannot make more: %s")                                                                                 \
    X(COUNTS_ON, "counts on")                                                                                          \
    X(BEGINS_RUN, "begins %s")                                                                                         \
    X(RUN_GOES_ON, "%s has not ended: no other is begun")                                                              \
    X(MAKES_ACCOUNT, "makes its default account")                                                                      \
    X(GIVES_CA, "gives it the cluster's CA")                                                                           \
    X(GATHERS_RULES, "gathers %n rules")                                                                               \
    X(SIGNED, "signs it")                                                                                              \
    X(NOT_SIGNED, "cannot be signed: %s")

enum reason {
#define X(name, text) REASON_##name,
    REASON_LIST(X)
#undef X
        REASONS
};
struct decision {
    enum reason reason;
    struct str what, more;
    int64_t count, other;
};
/* Several of one reconcile, in their order. */
#define DECISIONS_MAX 8u
struct decisions {
    unsigned count;
    unsigned left_out; /* that came when it was full */
    struct decision items[DECISIONS_MAX];
};

/* Borrows what and more: they live as long as the decisions. */
void decisions_add(struct decisions *l, const struct decision *d);
void decision_write(struct buf *out, const struct decision *d); /* "creates 3 pods" */
void decisions_write(struct buf *out,
                     const struct decisions *l); /* with "; " between them; nothing if there are none */

#endif
