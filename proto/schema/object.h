/* The object: immutable, reference-counted, one canonical msgpack map.
 *
 * Header fields are decoded once and borrowed from the object; the body is read in place with proto/model/msgpack.h. To
 * change an object: object_to_value, change the document, object_from_value, propose. The reference count is atomic:
 * any thread that may read an object may take a ref on it and drop that wherever it likes.
 *
 * An object is plain, with its body behind its header, or packed (object_pack): then it has of its body what differs
 * from the body of another object, its base, on which it holds a ref. Who reads a packed one sees no difference: its
 * header is there, and object_body puts the body together when it is asked for the first time, by whichever thread.
 *
 * The body never holds metadata.resourceVersion: the revision stands in the header, and the writers below add it. */
#ifndef PROTO_SCHEMA_OBJECT_H
#define PROTO_SCHEMA_OBJECT_H

#include "base/err.h"
#include "proto/model/msgpack.h"
#include "proto/schema/kind.h"

/* 1.5 MiB, as etcd's limit of a request: a ConfigMap or Secret may hold 1 MiB of data, and its keys, labels and
 * annotations beside it. */
#define OBJECT_SIZE_MAX (3u << 19)

struct object {
    uint32_t refs;
    uint32_t body_size : 30;
    bool packed : 1;
    bool deleting : 1; /* metadata.deletionTimestamp is set */
    const struct kind *kind;
    struct str ns; /* empty for cluster-wide kinds */
    struct str name;
    struct str uid;    /* may be empty before the store has given one */
    uint64_t revision; /* at which it was written; 0 before */
    int64_t generation;
    struct str owner_uid; /* of the ownerReference with controller: true; empty if none */
    uint64_t hash;        /* XXH3-64 of the body */
    /* What was found in the body once by who looks again and again (proto/facts/pod_state.c): memo is read and written
     * atomically, and memo_ms, too, before it. 0: nothing yet. Of no meaning to anybody else. */
    int64_t memo_ms;
    uint32_t memo;
    uint16_t owner_kind; /* number of the kind of that owner; 0: none, or of a kind that is not known here */
    uint8_t restless; /* how often it was changed when it had just been packed; of the store alone (pack.h), atomic */
    /* Where parts of the body stand, which nobody looks for again: metadata.labels, spec, status; size 0: none. */
    uint64_t labels_at : 21, labels_size : 21, spec_at : 21;
    uint64_t owned_otherwise : 1; /* it has ownerReferences beside the controlling one */
    uint64_t spec_size : 21, status_at : 21, status_size : 21;
    uint64_t labels_of_base : 1; /* packed, and its base has the same labels */
    const uint8_t *body_there;   /* object_body asks; NULL: packed, and not put together. Written once, atomically */
    uint8_t bytes[];             /* of this file and object_pack.c alone */
};

/* The document must have passed kind_check (or kind_check_fields). One ref, the caller's. ERR_TOO_LARGE above
 * OBJECT_SIZE_MAX, ERR_INVALID without kind or name. */
int object_from_value(const struct kind *k, const struct value *doc, uint64_t revision, struct object **out,
                      struct error *err);
/* From canonical bytes (log, snapshot): checks form, kind and name, not the schema. The bytes are copied. k may be a
 * stand-in (kind_stored). ERR_CORRUPT if malformed. */
int object_from_body(const struct kind *k, const void *body, size_t n, uint64_t revision, struct object **out,
                     struct error *err);
/* A copy under another revision (the store gives it when a transaction is evaluated). */
struct object *object_with_revision(const struct object *o, uint64_t revision);
/* The object itself where the caller has the only ref (a transaction's, that nobody has seen), else a copy. One more
 * ref of it, or the copy's. */
struct object *object_give_revision(struct object *o, uint64_t revision);
/* A copy under another name of as many bytes: who makes many objects of one template encodes it once. */
struct object *object_with_name(const struct object *o, struct str name);
struct object *object_ref(const struct object *o);
void object_unref(struct object *o); /* NULL is fine */
void object_unref_p(struct object **o);
#define CLEANUP_OBJECT __attribute__((cleanup(object_unref_p)))

/* What a packed object keeps beside its header, at `bytes`; behind it steps and bytes of its own (object_pack.c). */
struct object_packed {
    struct object *base;
    uint32_t steps_size, own_size;
};
/* Scratch of object_pack, to be used again; all zero at first. */
struct object_packer {
    struct buf steps, own, body;
};
void object_packer_close(struct object_packer *p);
/* The same object (its key, revision, hash and body) as one that is packed, with one ref, the caller's. Both are plain
 * and of one kind, namespace and owner; NULL: they are not, or the kind is secret, or it would not save half of the
 * body. Takes time in proportion to both bodies, whatever they hold. */
struct object *object_pack(const struct object *o, const struct object *base, struct object_packer *scratch);
/* The same packed object, whose body is not put together, with one ref. */
struct object *object_pack_again(const struct object *o);
/* The same object as a plain one, with one ref. */
struct object *object_unpack(const struct object *o);
struct object *object_base(const struct object *o); /* of a packed one; borrowed */
/* Nobody but this object needs its base any more (which is packed). */
bool object_base_is_its_own(const struct object *o);
/* The body of a packed one, put together; stays until the object goes. For object_body. */
const uint8_t *object_put_together(const struct object *o);
/* What it keeps in memory for itself alone, header included. */
size_t object_kept_bytes(const struct object *o);

/* body_size bytes; borrowed from the object. */
static inline const uint8_t *object_body(const struct object *o)
{
    const uint8_t *body = __atomic_load_n(&o->body_there, __ATOMIC_ACQUIRE);
    return body != NULL ? body : object_put_together(o);
}
/* Is it one whose body would have to be put together, and would stay so? Who reads very many takes object_unpack. */
static inline bool object_is_apart(const struct object *o)
{
    return __atomic_load_n(&o->body_there, __ATOMIC_ACQUIRE) == NULL;
}
static inline struct mp object_mp(const struct object *o)
{
    return mp_of(object_body(o), o->body_size);
}
/* Append the body; of a packed object nothing more stays in memory than before. */
void object_append_body(struct buf *out, const struct object *o);
/* A mutable document with metadata.resourceVersion = revision as text (if not 0). */
struct value *object_to_value(struct arena *a, const struct object *o);
/* Append the wire form to out: the body with resourceVersion put in as the first member of metadata. No decoding. */
void object_write_wire(struct buf *out, const struct object *o);
/* The same as JSON, on one line, with this revision (0: none); and its metadata alone. BIN is base64. Who manages what
 * is written as metadata.managedFields (proto/managed/fields_v1.h); of metadata alone only if `managed`. */
void object_write_json(struct buf *out, const struct object *o, uint64_t revision);
void object_write_json_metadata(struct buf *out, const struct object *o, uint64_t revision, bool managed);
/* From the wire form as sent by a peer we trust to have validated (master to rctl or agent): any key order,
 * resourceVersion becomes the revision. ERR_PROTOCOL / ERR_INVALID if it is no object of a known kind,
 * ERR_TOO_LARGE. Unknown fields are kept. */
int object_from_wire(struct mp m, struct object **out, struct error *err);

/* metadata.labels / annotations lookups in place. */
static inline struct mp object_labels(const struct object *o)
{
    if (o->labels_of_base) {
        o = ((const struct object_packed *)o->bytes)->base;
    }
    return o->labels_size == 0 ? mp_of(NULL, 0) : mp_of(object_body(o) + o->labels_at, o->labels_size);
}
/* The members of these names at the top; empty if there is none. */
static inline struct mp object_spec(const struct object *o)
{
    return o->spec_size == 0 ? mp_of(NULL, 0) : mp_of(object_body(o) + o->spec_at, o->spec_size);
}
static inline struct mp object_status(const struct object *o)
{
    return o->status_size == 0 ? mp_of(NULL, 0) : mp_of(object_body(o) + o->status_at, o->status_size);
}
bool object_same_spec(const struct object *a, const struct object *b); /* byte by byte */
struct str object_label(const struct object *o, const char *key);
struct str object_annotation(const struct object *o, const char *key);
bool object_has_finalizer(const struct object *o, const char *finalizer);
/* "Pod"; of a kind that this program does not know, as the object has it. Borrowed. */
struct str object_kind_name(const struct object *o);
int64_t object_created_ms(const struct object *o); /* creationTimestamp; 0 if none */
/* Two versions of an object that differ in nothing but their status (or not at all). May be false where that is so, if
 * one of them has no status. */
bool object_same_but_status(const struct object *o, const struct object *old);
/* Canonical order of objects: kind id, namespace, name. */
int object_key_cmp(const struct object *a, const struct object *b);

#endif
