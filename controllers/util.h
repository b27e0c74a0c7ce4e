/* What several controllers ask of objects: owners, small edits of documents. Pure. */
#ifndef CONTROLLERS_UTIL_H
#define CONTROLLERS_UTIL_H

#include "base/strmap.h"
#include "controllers/controller.h"
#include "proto/facts/cluster.h"
#include "proto/facts/condition.h"
#include "proto/facts/pod_state.h"
#include "proto/schema/selector.h"

/* At most this many objects are created or deleted by one transaction of a controller; the rest follows in the next. */
#define CONTROLLER_BATCH_MAX 128u

/* ---- Objects ---- */
static inline const struct kind *kind_of(enum kind_id id)
{
    return kind_by_id(id);
}
/* Was a made before b? Of two at once the one whose uid comes first. b NULL: yes. */
bool object_is_older(const struct object *a, const struct object *b);
bool mp_list_has_str(struct mp list, const char *s);
bool list_has_str(const struct value *list, const char *s);
bool list_remove_str(struct value *list, const char *s);
/* A count that somebody wrote, within 0 and the largest int32: sums and products of it cannot overflow. */
static inline int64_t count_bound(int64_t n)
{
    return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : n;
}
/* What holds for the whole cluster, in this state. */
struct cluster_config cluster_config_of(const struct view *v);
/* The namespace is being deleted or does not exist: nothing new may be made in it. */
bool namespace_closed(const struct view *v, struct str ns);
/* The object that ownerReference (one element of metadata.ownerReferences) names, with the same uid; NULL if it is
 * gone. */
const struct object *owner_get(const struct view *v, struct str ns, struct mp reference);
/* The kind named by a reference's kind and apiVersion; NULL if unknown here. */
const struct kind *owner_kind(struct mp reference);
/* The controlling reference; an empty cursor if none. */
struct mp owner_controller(const struct object *o);
/* {apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true} */
struct value *owner_reference(struct arena *a, const struct object *owner);
void owner_add(struct arena *a, struct value *doc, const struct object *owner);
bool owner_remove(struct value *doc, struct str uid); /* true if there was one */

/* base and five characters, such that nothing of this kind in the namespace and no key of `taken` (may be NULL) has the
 * name; put into `taken` then. In the arena. */
struct str name_generate_free(const struct reconcile_in *in, struct arena *a, const struct kind *k, struct str ns,
                              struct str base, struct strmap *taken);
/* A new document of this kind in the owner's namespace, owned by it. Its name begins with the owner's name and is one
 * that nothing in the state has. */
struct value *document_owned(const struct reconcile_in *in, struct arena *a, const struct kind *k,
                             const struct object *owner);

/* A claim of a template ({metadata: {labels, annotations}, spec}) as a user would have created it, but for what
 * admission reads of the state. */
struct value *claim_document(struct arena *a, const struct value *template, struct str ns, struct str name);

/* A copy of a map; an empty one if it is none. */
struct value *map_copy(struct arena *a, const struct value *v);
/* Does a ReplicaSet or Deployment have what its kind requires (selector, template)? What the API lets in has; the log
 * may hold what another program wrote, of which nothing can be made: ERR_INVALID. */
int workload_sound(const struct object *o, struct error *err);
/* And does its selector select what its template makes? Otherwise it would make more for ever: ERR_INVALID. */
int workload_selects_own(const struct object *o, bool selects, struct error *err);

/* ---- Times ---- */
int64_t time_of(const struct value *v); /* RFC 3339 text to ms; 0 if none */
int64_t time_of_mp(struct mp m);

/* Set an integer of a status; 0 is left out unless keep_zero. True if it changed. */
bool status_set_int(struct arena *a, struct value *status, const char *key, int64_t v, bool keep_zero);

/* ---- Lists of borrowed objects, in an arena ---- */
struct object_list {
    const struct object **items;
    unsigned count, cap;
};
void object_list_add(struct arena *a, struct object_list *l, const struct object *o);

/* ---- Results ---- */
/* Ask to be called again; the earliest wish stands. */
void requeue_in(struct reconcile_out *out, int64_t after_ms);
/* What was decided and why. Its words are copied into out->arena. */
void reconcile_decided(struct reconcile_out *out, const struct decision *d);
#define DECIDED(out, ...) reconcile_decided((out), &(struct decision){.reason = __VA_ARGS__})
/* "25%" of total, or a number; rounded up or down. fallback when v is NULL. */
int64_t int_or_percent(const struct value *v, int64_t total, bool round_up, const char *fallback);
/* A map function: the object itself is the key. */
void map_self(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
              void *data);
/* For map functions: the controlling owner (of the old and of the new state) is the key, if it is of the kind. */
void map_owner(enum kind_id owner, const struct object *old, const struct object *now, controller_emit *emit,
               void *data);

#endif
