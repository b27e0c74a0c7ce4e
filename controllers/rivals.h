/* Two controllers of one namespace whose selectors choose each other's pods. Each keeps the pods that bear its name as
 * owner; but a pod without an owner goes to whichever comes first, counts of a selector (Services, budgets, scales)
 * hold both, and whoever deletes one of them with its pods orphaned hands them to the other. That is hardly ever meant,
 * so it is said: by admission, and by an event about the younger (controllers/workloads/rivals.c). Pure. */
#ifndef CONTROLLERS_RIVALS_H
#define CONTROLLERS_RIVALS_H

#include "controllers/util.h"

#define RIVALS_LOOKS_MAX 200u /* others looked at; there may be more that were not */
struct rival {
    const struct object *other; /* borrowed from the view; NULL: there is none */
    bool chosen;                /* the other's selector chooses o's pods; else o's selector the other's */
};
/* The first that is found, asked by the labels of o's template and by its selector. Whose selector asks for no label's
 * value in matchLabels finds only those whose selectors choose its own pods. Costs no more than RIVALS_LOOKS_MAX
 * others, whatever there is. o need not be in the view. */
struct rival rival_find(const struct view *v, struct arena *a, const struct object *o);
/* Is there something that choosing depends on and that is not as before? before NULL: o is new. */
bool rival_matters(const struct object *before, const struct object *o);
/* 'the selector of deployment "a" chooses pods of deployment "b" as well: ...' In the arena. */
const char *rival_text(struct arena *a, const struct object *o, const struct rival *r);

#endif
