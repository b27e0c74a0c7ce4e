/* The sorts of patches that have a file of their own; patch_apply chooses. Not for others. */
#ifndef PROTO_PATCH_PATCH_INT_H
#define PROTO_PATCH_PATCH_INT_H

#include "proto/patch/patch.h"
#include "proto/patch/place.h"

int patch_strategic(const struct kind *k, struct arena *a, const struct value *current, const struct value *patch,
                    struct value **out, struct error *err);
int patch_json(struct arena *a, const struct value *current, const struct value *patch, struct value **out,
               struct error *err);

#endif
