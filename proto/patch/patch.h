/* Patches: strategic merge (by the kind's merge keys, with $patch, $retainKeys, $setElementOrder,
 * $deleteFromPrimitiveList), JSON merge (RFC 7386), JSON patch (RFC 6902, and what Kubernetes takes beside it:
 * patch/json.c), and the three-way merge of apply. Pure: documents in, a new document out (in the arena; it may
 * share nodes with the inputs, so copy before changing it). */
#ifndef PROTO_PATCH_PATCH_H
#define PROTO_PATCH_PATCH_H

#include "base/err.h"
#include "proto/schema/kind.h"

enum patch_type { PATCH_STRATEGIC, PATCH_MERGE, PATCH_JSON };
/* "strategic", "merge", "json" -> type; -1 otherwise. */
int patch_type_parse(struct str s);
const char *patch_type_word(enum patch_type type); /* the way back */

/* Limits: merged lists of 1024 elements; 10000 operations of a JSON patch, whose copies add 3 MiB at most.
 * The elements of a list with a second key (container ports: containerPort and protocol) are told apart by both; in a
 * strategic patch the first key alone will do where one element has it.
 * ERR_TOO_LARGE: more operations. ERR_INVALID (bad patch, failed "test"), with field path. kind gives the merge keys
 * for PATCH_STRATEGIC. */
int patch_apply(enum patch_type type, const struct kind *k, struct arena *a, const struct value *current,
                const struct value *patch, struct value **out, struct error *err);

/* apply: what the user's manifest last said (NULL if never applied), what it says now, what is there. Fields that left
 * the manifest are removed (null in the manifest removes too), what it names is set, what others own stays, fields set
 * by the system are never removed. Lists merge by merge key. The result carries the
 * annotation APPLY_ANNOTATION with `manifest` as canonical JSON. Source: kubectl's client-side apply. */
#define APPLY_ANNOTATION "kubectl.kubernetes.io/last-applied-configuration"
int patch_three_way(const struct kind *k, struct arena *a, const struct value *last_applied,
                    const struct value *manifest, const struct value *current, struct value **out, struct error *err);
/* The same result for a create: the manifest with the annotation. */
struct value *patch_first_apply(struct arena *a, const struct value *manifest);

#endif
