/* One attempt to place a gang: who sits where, for the time of the attempt. Inside gang_attempt.c and gang_decide.c. */
#ifndef SCHEDULER_GANG_ATTEMPT_H
#define SCHEDULER_GANG_ATTEMPT_H

#include "scheduler/core.h"

struct seat {
    struct sched_pod *pod;
    struct sched_node *node;        /* NULL: no place */
    struct claims_placing *placing; /* of its claims, if it has any */
};
/* Volumes and claims that members of the attempt have got, so that no other member gets them, too. */
struct taken {
    const struct object *object;
    const struct sched_node *node;
};
struct attempt {
    struct round *r;
    struct scheduler *s;
    struct gang *g;
    struct arena arena;
    struct seat *seats;
    unsigned *order; /* seats that have a place, as they got it */
    unsigned count, found, need;
    unsigned enough; /* so many are placed at once; the others follow alone */
    /* What so many are in a transaction, at most: with their claims and the volumes that these get. */
    size_t bytes;
    unsigned ops;
    struct taken *taken;
    unsigned taken_count, taken_cap;
    bool binds_claims; /* some of them have no volume yet */
    const char *why;   /* of its claims: why a member has no place */
};

/* Those who may be tried, those with a nomination, the more important and the larger ones first. */
void attempt_open(struct attempt *x, struct round *r, struct gang *g);
void attempt_close(struct attempt *x);
/* Nominations of its own members stand in nobody's way while they are tried. */
void attempt_count_nominations(struct attempt *x, bool counted);
void attempt_drop_nominations(struct attempt *x);
/* The seat is the node's for the time of the attempt: tables see it, and nobody is woken by it. False: n is NULL, or
 * another member has got what its claims need. */
bool attempt_sit(struct attempt *x, struct seat *seat, struct sched_node *n);
struct sched_node *attempt_place_for(struct attempt *x, struct sched_pod *p); /* the best as it is now; NULL: none */
/* Gives a place to each member for which there is one. A member may need others to be there first: as long as that
 * helps, those without a place are asked again. */
void attempt_sit_down(struct attempt *x);
void attempt_stand_up(struct attempt *x); /* all of them: it is as before */

#endif
