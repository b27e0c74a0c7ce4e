/* Inside the controller of claims. */
#ifndef CONTROLLERS_STORAGE_CLAIMS_H
#define CONTROLLERS_STORAGE_CLAIMS_H

#include "controllers/storage/classes.h"
#include "controllers/util.h"
#include "proto/facts/storage.h"

#define STORAGE_COMPONENT "persistentvolume-controller"

/* A bound claim and its volume: the claim's status follows the volume, and the volume grows if the claim asks for more
 * (claims_expand.c). */
int claim_follow_volume(const struct reconcile_in *in, struct reconcile_out *out, const struct object *claim,
                        const struct object *volume, struct error *err);

#endif
