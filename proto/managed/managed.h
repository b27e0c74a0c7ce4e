/* Who manages which fields of an object: sets of paths in the terms of the kind's table, one for each manager, as
 * Kubernetes has them in metadata.managedFields; and server-side apply, which is decided by them. Pure.
 *
 * A path is a way of elements: fields (f:replicas), elements of a keyed list (k:{"name":"web"}), values of a set
 * (v:"x"), positions (i:0; taken, never made here). Lists that the table does not merge, structs that are atomic
 * (place_is_atomic) and free-form values are one leaf. What only the system writes (metadata.name, uid, ...) is in no
 * set.
 *
 * Laws
 *  1. A manager is known by its name, by how it writes (Apply or Update), and by the part of the object.
 *  2. Who updates a field owns it, and nobody else does; what goes from the object goes from every set.
 *  3. Who applies owns what his configuration names. Where that changes what another one owns, it is a conflict, unless
 *     he forces it: then it is his alone. Where it is equal, both own it.
 *  4. What an applier named the last time, and does not now, goes if nobody else owns it or anything in it.
 *  5. Sets are immutable once they are made, and share what they have in common. All live in the caller's
 *     arena, and borrow the keys of documents.
 *
 * Sets are in the terms of the kind's stored version. Source: Kubernetes, "Server-Side Apply"; the form FieldsV1 of
 * ManagedFieldsEntry (meta/v1). */
#ifndef PROTO_MANAGED_MANAGED_H
#define PROTO_MANAGED_MANAGED_H

#include "base/err.h"
#include "proto/managed/fields_v1.h"
#include "proto/schema/kind.h"

/* ---- Sets of paths ---- */

enum managed_sort { MANAGED_FIELD, MANAGED_KEY, MANAGED_VALUE, MANAGED_INDEX };
struct managed_node;
/* The elements at one place, in order. {0} is empty. */
struct managed_set {
    struct managed_node *nodes;
    unsigned count, cap;
};
/* It is owned itself, or something below it is. */
struct managed_node {
    enum managed_sort sort;
    bool owned;
    bool whole;      /* it and all there may be below it: of what is taken away (managed_compare) alone */
    struct str text; /* FIELD: its name; KEY: its keys as canonical JSON; VALUE: the value as such; INDEX: a number */
    struct managed_set below;
};

bool managed_equal(const struct managed_set *a, const struct managed_set *b);
struct managed_set managed_union(struct arena *a, const struct managed_set *x, const struct managed_set *y);
/* x without what y owns. */
struct managed_set managed_difference(struct arena *a, const struct managed_set *x, const struct managed_set *y);
struct managed_set managed_intersection(struct arena *a, const struct managed_set *x, const struct managed_set *y);
/* NULL: there is no such element, here or below it. */
const struct managed_node *managed_find(const struct managed_set *s, enum managed_sort sort, struct str text);
/* Each path that is owned, as errors have it: `.spec.containers[name="web"].image`. path is borrowed for the call. */
typedef void managed_path_cb(void *data, struct str path);
void managed_each_path(const struct managed_set *s, managed_path_cb *cb, void *data);

/* ---- From documents ---- */

/* What counts in a document: all but the status, or the status alone. */
enum managed_part { MANAGED_SPEC, MANAGED_STATUS };
/* All that the document says. Its fields have been checked. */
struct managed_set managed_of(const struct kind *k, struct arena *a, enum managed_part part, const struct value *doc);
/* From one document to the next: what has come or is another one, and what is gone (as whole nodes). before NULL:
 * nothing was there. */
void managed_compare(const struct kind *k, struct arena *a, enum managed_part part, const struct value *before,
                     const struct value *after, struct managed_set *changed, struct managed_set *gone);

/* ---- Managers ---- */

#define MANAGED_ENTRIES_MAX 64u /* that a client may write */
#define MANAGED_UPDATERS    10u /* entries of Update; the oldest become one, ANCIENT, as in Kubernetes */
#define MANAGED_ANCIENT     "ancient-changes"
#define MANAGED_FIRST       "before-first-apply" /* who owns all of an object that nobody managed before */
#define MANAGED_BYTES_MAX   (256u << 10)         /* of the stored form */

enum managed_how { MANAGED_APPLY, MANAGED_UPDATE };
struct managed_entry {
    struct str manager, subresource;
    enum managed_how how;
    bool has_time;
    int64_t time_s; /* of the last change, wall */
    struct managed_set set;
};
struct managed {
    struct managed_entry *entries; /* in the arena */
    unsigned count, cap;
};
struct managed_writer {
    struct str manager, subresource;
    enum managed_part part;
    int64_t now_s;
};

bool managed_same(const struct managed *x, const struct managed *y); /* times do not count */

/* The document `before` (NULL: there was none) has become `after` by an update of the writer. False: nothing has
 * changed, neither in the fields nor in m. */
bool managed_note_update(const struct kind *k, struct arena *a, struct managed *m, const struct value *before,
                         const struct value *after, const struct managed_writer *w);

/* The same for one of the system's own writers, who changed a stored document in place: what others own of it is his
 * then. Of objects that nobody manages nobody manages anything afterwards. doc has the stored form, and gets it. */
void managed_note_own(const struct kind *k, struct arena *a, const struct value *before, struct value *doc,
                      const struct managed_writer *w);

/* Server-side apply. live: what is there, without the stored form of m; NULL: nothing. config: what is applied, its
 * fields checked. allowed: what the writer may take from anybody (NULL: nothing). *out is what the object becomes,
 * before its defaults; it shares nodes with both documents. m: of live, and then of *out.
 * ERR_CONFLICT, with causes ERROR_CAUSE_FIELD_MANAGER; ERR_INVALID: config has lists that cannot be merged. */
int managed_apply(const struct kind *k, struct arena *a, struct managed *m, const struct value *live,
                  const struct value *config, const struct managed_writer *w, bool force,
                  const struct managed_set *allowed, struct value **out, struct error *err);

/* ---- The stored form ---- */

/* Bytes in the object, as the member MANAGED_MEMBER (fields_v1.h) of its metadata; see stored.c. False: they are none
 * (no damage of them is an error: nobody manages anything then). */
bool managed_read(struct arena *a, struct str bytes, struct managed *out);
void managed_write(struct buf *out, const struct managed *m);
/* As metadata.managedFields has it, a list of ManagedFieldsEntry. */
struct value *managed_to_value(struct arena *a, struct str bytes, struct str api_version);
/* And back. ERR_INVALID names what is wrong, and where. Empty lists and NULL: no entries. */
int managed_from_value(struct arena *a, const struct value *list, struct managed *out, struct error *err);
/* [{}]: who writes this wants nobody to manage anything. */
bool managed_is_reset(const struct value *list);

#endif
