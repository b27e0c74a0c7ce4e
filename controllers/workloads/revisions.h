/* The states that an owner's pod template has had, as ControllerRevisions: what a rolling update goes to, and what an
 * undo goes back to. StatefulSets and DaemonSets keep them. Source: Kubernetes' controller history. Pure.
 *
 * A revision is owned by its owner and bears NAME-HASH and a number; the newest has the highest. Its data is a patch of
 * the owner, {"spec": {"template": {..., "$patch": "replace"}}}. Two templates that mean the same (kind_equal) are one
 * revision. */
#ifndef CONTROLLERS_WORKLOADS_REVISIONS_H
#define CONTROLLERS_WORKLOADS_REVISIONS_H

#include "controllers/util.h"

/* On pods and revisions: which revision they are of. */
#define REVISION_HASH_LABEL "controller-revision-hash"

struct revisions {
    struct arena *a;
    const struct reconcile_in *in;
    struct reconcile_out *out;
    const struct object *owner;
    const struct value *owner_doc;
    struct object_list items; /* by number, the newest last */
    int64_t collisions;       /* status.collisionCount; grows when a name is taken by another's revision */
    unsigned written;         /* by this reconcile, which has nothing left to write then */
};
/* Those that the owner owns. owner_doc: its document, borrowed, as are in and out. */
void revisions_read(struct revisions *r, const struct reconcile_in *in, struct reconcile_out *out,
                    const struct object *owner, const struct value *owner_doc);
/* The name of the revision that the owner's template has now. It is written if it is new, numbered anew if it is an
 * old one that came back (both count in r->written). Empty, and an event says it: the owner's name is too long, there
 * is none. 0, or a negative code. */
int revisions_current(struct revisions *r, struct str *name, struct error *err);
/* The hash at the end of a revision's name. */
struct str revision_hash(const struct object *owner, struct str revision_name);
const struct object *revisions_find(const struct revisions *r, struct str name); /* NULL: none of that name */
/* The pod template of a revision, in the arena; NULL if its data is none. */
struct value *revision_template(struct arena *a, const struct object *revision);
/* Deletes the oldest of those that `is_live` does not want, until at most `limit` of them are left. */
void revisions_truncate(struct revisions *r, int64_t limit, bool (*is_live)(void *data, const struct object *revision),
                        void *data);

#endif
