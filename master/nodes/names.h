/* From which state of Services nodes answer names and lead connections, as they told with what they use
 * (controllers/usage.h): how many told it, the lowest revision, and for how long one of them has lacked a change.
 *
 * It is found in a walk over all reports, some of them in each step, so that neither a report nor a look at the
 * counters takes longer in a larger cluster. What is told is what the last whole walk has found. A node that comes or
 * goes meanwhile may be left out of that walk, or be seen twice. Pure. */
#ifndef MASTER_NODES_NAMES_H
#define MASTER_NODES_NAMES_H

#include "controllers/usage.h"
#include "master/nodes/moments.h"

#define NAMES_STEP 2u    /* reports that are looked at for each one that comes: all of them twice in a period */
#define NAMES_LOOK 1024u /* for somebody who asks; where there are no more of them, he is told what is so now */

struct names_found {
    uint64_t nodes, lowest; /* the revision; 0 if there is no such node */
    int64_t behind_ms;
};
/* All zero: nothing is known. */
struct names_walk {
    size_t cursor;
    struct names_found now, last; /* of the walk that is on its way; of the last whole one */
};
/* A report has come. */
void names_step(struct names_walk *w, const struct usage *u, const struct moments *changes, int64_t now_ms);
struct names_found names_look(struct names_walk *w, const struct usage *u, const struct moments *changes,
                              int64_t now_ms);

#endif
