/* `get --raw PATH`: what Kubernetes' API has under a path, as JSON, made from what masters answer. There are /version,
 * /healthz, /livez, /readyz, /api, /apis and below them the lists of types, objects and lists by their paths (with
 * labelSelector, fieldSelector, limit, watch), status, scale and log of an object. Everything else is refused by
 * name. */
#ifndef CLIENT_CMD_GET_RAW_H
#define CLIENT_CMD_GET_RAW_H

#include "client/cmd/rctl.h"
#include "proto/schema/kind.h"

/* Prints it; the exit code. Connects. */
int get_raw(struct rctl *r, const char *path);

/* Also for api-resources and api-versions: what can be done with all types. NULL-terminated. */
extern const char *const get_raw_verbs[];
/* "apps/v1" -> "apps"; "v1" -> "". */
struct str get_raw_group(const struct kind *k);

#endif
