#include "proto/schema/object.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/refs.h"
#include "base/timefmt.h"

#define OBJECT_PLACES (1u << 21) /* what the bits for a place in a body can tell */
static_assert(OBJECT_SIZE_MAX < OBJECT_PLACES, "a body may be larger than its places can tell");

/* The owner is the reference with controller: true; at most one has it. */
static void read_owner(struct object *o, struct mp references)
{
    bool found = false;
    for (struct mp_iter it = mp_iter(references); mp_next(&it);) {
        bool controls = !found && mp_bool(mp_get(it.value, "controller"), false);
        if (controls) {
            const struct kind *k =
                kind_of_reference(mp_str(mp_get(it.value, "apiVersion")), mp_str(mp_get(it.value, "kind")));
            o->owner_uid = mp_str(mp_get(it.value, "uid"));
            o->owner_kind = k == NULL ? 0 : (uint16_t)k->id;
            found = true;
        }
        o->owned_otherwise |= !controls;
    }
}

static uint32_t place_of(const struct object *o, struct mp part)
{
    return (uint32_t)(part.p - o->bytes) & (OBJECT_PLACES - 1);
}

static uint32_t size_of(struct mp part)
{
    return (uint32_t)(part.end - part.p) & (OBJECT_PLACES - 1);
}

static void read_metadata(struct object *o, struct mp metadata)
{
    for (struct mp_iter it = mp_iter(metadata); mp_next(&it);) {
        if (str_is(it.key, "name")) {
            o->name = mp_str(it.value);
        } else if (str_is(it.key, "namespace") && o->kind->namespaced) {
            o->ns = mp_str(it.value);
        } else if (str_is(it.key, "uid")) {
            o->uid = mp_str(it.value);
        } else if (str_is(it.key, "generation")) {
            o->generation = mp_int(it.value, 0);
        } else if (str_is(it.key, "deletionTimestamp")) {
            o->deleting = mp_type(it.value) == MP_STR;
        } else if (str_is(it.key, "labels")) {
            o->labels_at = place_of(o, it.value);
            o->labels_size = size_of(it.value);
        } else if (str_is(it.key, "ownerReferences")) {
            read_owner(o, it.value);
        }
    }
}

/* Of members with one name the first counts, as mp_get has it. False: it is no well-formed map. */
static bool read_members(struct object *o, struct mp *metadata, struct str *kind)
{
    bool named = false;
    struct mp rest = object_mp(o), value;
    struct str key;
    uint32_t left;
    if (!mp_read_map(&rest, &left)) {
        return false;
    }
    for (; left > 0; left--) {
        if (!mp_read_str(&rest, &key) || !mp_take_valid(&rest, &value)) {
            return false;
        }
        if (str_is(key, "kind") && !named) {
            *kind = mp_str(value);
            named = true;
        } else if (str_is(key, "metadata") && metadata->p == NULL) {
            *metadata = value;
        } else if (str_is(key, "spec") && o->spec_size == 0) {
            o->spec_at = place_of(o, value);
            o->spec_size = size_of(value);
        } else if (str_is(key, "status") && o->status_size == 0) {
            o->status_at = place_of(o, value);
            o->status_size = size_of(value);
        }
    }
    return rest.p == rest.end;
}

/* Fill the header from the body, which is in place. `code` is what a bad body means to the caller. */
static int read_header(struct object *o, int code, struct error *err)
{
    struct mp metadata = {NULL, NULL};
    struct str kind = STR_NONE;
    if (!read_members(o, &metadata, &kind)) {
        return error_set(err, code, "%s: the body is no well-formed msgpack map", o->kind->name);
    }
    bool fits = kind_is_unknown(o->kind) ? !str_empty(kind) : str_is(kind, o->kind->name);
    if (!fits) {
        return error_set_field(err, code, "kind", "kind is \"%.*s\", expected \"%s\"", STR_ARG(kind), o->kind->name);
    }
    read_metadata(o, metadata);
    if (str_empty(o->name)) {
        return error_set_field(err, code, "metadata.name", "%s has no name: set metadata.name", o->kind->name);
    }
    if (mp_type(mp_get(metadata, "resourceVersion")) != MP_NONE) {
        return error_set_field(err, code, "metadata.resourceVersion", "%s \"%.*s\": the body carries a resourceVersion",
                               o->kind->name, STR_ARG(o->name));
    }
    o->hash = XXH3_64bits(o->bytes, o->body_size);
    return 0;
}

static int new_object(const struct kind *k, const void *body, size_t n, uint64_t revision, int code,
                      struct object **out, struct error *err)
{
    if (n > OBJECT_SIZE_MAX) {
        struct str name = mp_str(mp_path(mp_of(body, n), "metadata.name"));
        return error_set(err, ERR_TOO_LARGE, "%s \"%.*s\" has %zu bytes; an object may have at most %u", k->name,
                         STR_ARG(name), n, OBJECT_SIZE_MAX);
    }
    struct object *o = xcalloc(1, sizeof *o + n);
    o->refs = 1;
    o->kind = k;
    o->revision = revision;
    o->body_size = (uint32_t)n & (OBJECT_PLACES - 1); /* OBJECT_SIZE_MAX is below */
    o->body_there = o->bytes;
    if (n > 0) {
        memcpy(o->bytes, body, n);
    }
    int rc = read_header(o, code, err);
    if (rc != 0) {
        free(o);
        return rc;
    }
    *out = o;
    return 0;
}

int object_from_value(const struct kind *k, const struct value *doc, uint64_t revision, struct object **out,
                      struct error *err)
{
    assert(out != NULL);
    if (k == NULL || !value_is_map(doc)) {
        return error_set_field(err, ERR_INVALID, "kind", "no object: apiVersion, kind and metadata.name are needed");
    }
    CLEANUP_BUF struct buf body = BUF_INIT;
    kind_encode(k, doc, &body);
    return new_object(k, body.data, body.size, revision, ERR_INVALID, out, err);
}

int object_from_body(const struct kind *k, const void *body, size_t n, uint64_t revision, struct object **out,
                     struct error *err)
{
    assert(k != NULL && (body != NULL || n == 0) && out != NULL);
    int rc = new_object(k, body, n, revision, ERR_CORRUPT, out, err);
    if (rc == ERR_TOO_LARGE && err != NULL) {
        err->code = ERR_CORRUPT;
    }
    return rc == ERR_TOO_LARGE ? ERR_CORRUPT : rc;
}

static struct str rebase(struct str s, const uint8_t *from, const uint8_t *to)
{
    return s.p == NULL ? s : (struct str){(const char *)to + ((const uint8_t *)s.p - from), s.n};
}

struct object *object_with_revision(const struct object *o, uint64_t revision)
{
    if (o->packed) {
        struct object *plain = object_unpack(o);
        plain->revision = revision;
        return plain;
    }
    struct object *c = xmalloc(sizeof *c + o->body_size);
    /* One by one: what counts and what is noted in o moves while others read it. */
    *c = (struct object){.refs = 1,
                         .body_size = o->body_size,
                         .deleting = o->deleting,
                         .kind = o->kind,
                         .revision = revision,
                         .generation = o->generation,
                         .hash = o->hash,
                         .owner_kind = o->owner_kind,
                         .restless = __atomic_load_n(&o->restless, __ATOMIC_RELAXED),
                         .labels_at = o->labels_at,
                         .labels_size = o->labels_size,
                         .spec_at = o->spec_at,
                         .owned_otherwise = o->owned_otherwise,
                         .spec_size = o->spec_size,
                         .status_at = o->status_at,
                         .status_size = o->status_size,
                         .body_there = c->bytes};
    c->memo = __atomic_load_n(&o->memo, __ATOMIC_ACQUIRE);
    c->memo_ms = __atomic_load_n(&o->memo_ms, __ATOMIC_RELAXED);
    memcpy(c->bytes, o->bytes, o->body_size);
    c->ns = rebase(o->ns, o->bytes, c->bytes);
    c->name = rebase(o->name, o->bytes, c->bytes);
    c->uid = rebase(o->uid, o->bytes, c->bytes);
    c->owner_uid = rebase(o->owner_uid, o->bytes, c->bytes);
    return c;
}

struct object *object_give_revision(struct object *o, uint64_t revision)
{
    if (!refs_is_only(&o->refs)) {
        return object_with_revision(o, revision);
    }
    o->revision = revision;
    return object_ref(o);
}

struct object *object_with_name(const struct object *o, struct str name)
{
    assert(name.n == o->name.n && name.n > 0);
    struct object *c = object_with_revision(o, o->revision);
    memcpy((char *)c->name.p, name.p, name.n);
    c->hash = XXH3_64bits(c->bytes, c->body_size);
    return c;
}

struct object *object_unpack(const struct object *o)
{
    struct object *plain = NULL;
    CLEANUP_BUF struct buf apart = BUF_INIT; /* what is put together with it stays so until it goes */
    if (object_is_apart(o)) {
        object_append_body(&apart, o);
    }
    const uint8_t *body = apart.size > 0 ? apart.data : object_body(o);
    int rc = new_object(o->kind, body, o->body_size, o->revision, ERR_CORRUPT, &plain, NULL);
    assert(rc == 0 && plain->hash == o->hash);
    (void)rc;
    return plain;
}

/* Counting is the one thing that changes in an object. */
struct object *object_ref(const struct object *o)
{
    struct object *mine = (struct object *)o;
    refs_take(&mine->refs);
    return mine;
}

void object_unref(struct object *o)
{
    if (o == NULL) {
        return;
    }
    if (refs_drop(&o->refs)) {
        if (o->kind->secret) {
            mem_wipe(o->bytes, o->body_size); /* never packed */
        }
        if (o->packed) {
            free((uint8_t *)o->body_there);
            object_unref(((struct object_packed *)o->bytes)->base); /* which is plain: no deeper */
        }
        free(o);
    }
}

void object_unref_p(struct object **o)
{
    object_unref(*o);
    *o = NULL;
}

struct value *object_to_value(struct arena *a, const struct object *o)
{
    struct value *doc = msgpack_read_checked(a, object_mp(o));
    if (o->revision != 0) {
        value_set(a, value_get(doc, "metadata"), "resourceVersion",
                  value_strf(a, "%llu", (unsigned long long)o->revision));
    }
    return doc;
}

struct str object_label(const struct object *o, const char *key)
{
    return mp_str(mp_get(object_labels(o), key));
}

struct str object_annotation(const struct object *o, const char *key)
{
    return mp_str(mp_get(mp_path(object_mp(o), "metadata.annotations"), key));
}

bool object_has_finalizer(const struct object *o, const char *finalizer)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.finalizers")); mp_next(&it);) {
        if (str_is(mp_str(it.value), finalizer)) {
            return true;
        }
    }
    return false;
}

struct str object_kind_name(const struct object *o)
{
    return kind_is_unknown(o->kind) ? mp_str(mp_get(object_mp(o), "kind")) : str_of(o->kind->name);
}

int64_t object_created_ms(const struct object *o)
{
    int64_t ms;
    return timefmt_parse(mp_str(mp_path(object_mp(o), "metadata.creationTimestamp")), &ms) ? ms : 0;
}

static bool same_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

bool object_same_spec(const struct object *a, const struct object *b)
{
    return same_bytes(object_body(a) + a->spec_at, a->spec_size, object_body(b) + b->spec_at, b->spec_size);
}

/* A first status comes behind all else, and makes the head of the map
 * another one. */
bool object_same_but_status(const struct object *o, const struct object *old)
{
    const uint8_t *a = object_body(o), *b = object_body(old);
    if (o->status_size > 0 && old->status_size > 0) {
        size_t a_end = o->status_at + o->status_size, b_end = old->status_at + old->status_size;
        return same_bytes(a, o->status_at, b, old->status_at) &&
               same_bytes(a + a_end, o->body_size - a_end, b + b_end, old->body_size - b_end);
    }
    size_t a_from = (size_t)(mp_iter(object_mp(o)).rest.p - a), b_from = (size_t)(mp_iter(object_mp(old)).rest.p - b);
    size_t a_size = o->status_size == 0 ? o->body_size : o->status_at - sizeof "status";
    size_t b_size = old->status_size == 0 ? old->body_size : old->status_at - sizeof "status";
    bool last = (o->status_size == 0 || o->status_at + o->status_size == o->body_size) &&
                (old->status_size == 0 || old->status_at + old->status_size == old->body_size);
    return last && same_bytes(a + a_from, a_size - a_from, b + b_from, b_size - b_from);
}

int object_key_cmp(const struct object *a, const struct object *b)
{
    int c = (a->kind->id > b->kind->id) - (a->kind->id < b->kind->id);
    c = c != 0 ? c : str_cmp(a->ns, b->ns);
    return c != 0 ? c : str_cmp(a->name, b->name);
}
