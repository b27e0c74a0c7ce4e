/* What the controllers of storage ask of a state. Pure. */
#ifndef CONTROLLERS_STORAGE_CLASSES_H
#define CONTROLLERS_STORAGE_CLASSES_H

#include "raft-store/store/view.h"

/* The class of claims that say none: of several default ones the newest, and of equally new ones the first by name.
 * NULL: none. Source: Kubernetes' GetDefaultClass. */
const struct object *storage_default_class(const struct view *v);
/* The class of a claim or volume; NULL if it has none, or there is none of that name. */
const struct object *storage_class_get(const struct view *v, const struct object *o);

/* Objects of a kind that name a claim, which may be gone: its pods, its volumes. */
void storage_iter_naming_claim(struct view_iter *it, const struct view *v, struct str ns, struct str name,
                               const struct kind *k);
/* A pod that uses the claim: one that exists and is bound to a node. The first by name; NULL: none.
 * Source: Kubernetes' storage object in use protection. */
const struct object *storage_user_of(const struct view *v, struct str ns, struct str name);
/* A volume may still be mounted although its claim is gone: a person has taken the claim's protection away. A pod that
 * was bound to its node before there was another claim under the name; NULL: none. */
const struct object *storage_user_of_former(const struct view *v, const struct object *volume);

#endif
