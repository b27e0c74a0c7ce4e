/* Objects on the wire: the body with the revision spliced in, and back.
 *
 * On the way in, bytes that a Reeve process wrote are canonical already but for the revision. So they are walked once beside the
 * kind's schema, without allocation, and only what is not in canonical order is decoded, checked and encoded anew. */
#include <assert.h>
#include <stdio.h>

#include "proto/object.h"

#define REVISION_SIZE_MAX 64u /* what the revision adds to the body */

void object_write_wire(struct buf *out, const struct object *o)
{
    struct mp body = object_mp(o), metadata = mp_get(body, "metadata"), members = metadata;
    uint32_t count;
    if (o->revision == 0 || !mp_read_map(&members, &count)) {
        buf_append(out, o->body, o->body_size);
        return;
    }
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)o->revision);
    buf_append(out, o->body, (size_t)(metadata.p - o->body));
    mp_write_map(out, count + 1);
    mp_write_key_str(out, "resourceVersion", str_of(text));
    buf_append(out, members.p, (size_t)(body.end - members.p));
}

/* ---- In canonical order already? ---- */

static bool any_is_canonical(struct mp m);
static bool map_is_canonical(const struct schema *s, struct mp m);

static bool one_is_canonical(const struct field *f, struct mp m)
{
    enum mp_type t = mp_type(m);
    switch (f->type) {
    case FIELD_STRING:
    case FIELD_TIME:
    case FIELD_QUANTITY:
        return t == MP_STR;
    case FIELD_INT32:
    case FIELD_INT64:
        return t == MP_INT;
    case FIELD_BOOL:
        return t == MP_BOOL;
    case FIELD_FLOAT:
        return t == MP_FLOAT || t == MP_INT;
    case FIELD_INT_OR_STRING:
        return t == MP_INT || t == MP_STR;
    case FIELD_BYTES:
        return t == MP_BIN;
    case FIELD_OBJECT:
        return t == MP_MAP && map_is_canonical(f->sub, m);
    case FIELD_ANY:
        return any_is_canonical(m);
    }
    return false;
}

/* Free keys are sorted; nulls are left out of maps. f == NULL: values of any kind. */
static bool elements_are_canonical(const struct field *f, struct mp m, enum mp_type container)
{
    if (mp_type(m) != container) {
        return false;
    }
    struct str before = STR_NONE;
    bool first = true;
    for (struct mp_iter it = mp_iter(m); mp_next(&it); first = false) {
        if (it.is_map && ((!first && str_cmp(before, it.key) >= 0) || mp_type(it.value) == MP_NIL)) {
            return false;
        }
        if (f == NULL ? !any_is_canonical(it.value) : !one_is_canonical(f, it.value)) {
            return false;
        }
        before = it.key;
    }
    return true;
}

static bool any_is_canonical(struct mp m)
{
    enum mp_type t = mp_type(m);
    return t == MP_MAP || t == MP_ARRAY ? elements_are_canonical(NULL, m, t) : t != MP_UINT;
}

static bool field_is_canonical(const struct field *f, struct mp m)
{
    return f->shape == SHAPE_ONE    ? one_is_canonical(f, m)
           : f->shape == SHAPE_LIST ? elements_are_canonical(f, m, MP_ARRAY)
                                    : elements_are_canonical(f, m, MP_MAP);
}

static bool map_is_canonical(const struct schema *s, struct mp m)
{
    unsigned at = 0;
    for (struct mp_iter it = mp_iter(m); mp_next(&it); at++) {
        while (at < s->count && !str_is(it.key, s->fields[at].name)) {
            at++;
        }
        if (at == s->count || !field_is_canonical(&s->fields[at], it.value)) {
            return false;
        }
    }
    return true;
}

/* ---- The way in ---- */

/* The wire form without the revision, if that was the first member of metadata; otherwise as it is. */
static void unsplice(struct mp wire, struct buf *body)
{
    struct mp metadata = mp_get(wire, "metadata"), rest = metadata;
    uint32_t count;
    struct str key;
    if (!mp_read_map(&rest, &count) || count == 0 || !mp_read_str(&rest, &key) || !str_is(key, "resourceVersion") ||
        !mp_skip(&rest)) {
        buf_append(body, wire.p, (size_t)(wire.end - wire.p));
        return;
    }
    buf_append(body, wire.p, (size_t)(metadata.p - wire.p));
    mp_write_map(body, count - 1);
    buf_append(body, rest.p, (size_t)(wire.end - rest.p));
}

static int read_revision(struct mp m, uint64_t *revision, struct error *err)
{
    struct str s = mp_str(m);
    *revision = 0;
    if (mp_type(m) == MP_NONE) {
        return 0;
    }
    uint64_t v = 0;
    bool good = s.n > 0 && s.n <= 20;
    for (size_t i = 0; good && i < s.n; i++) {
        good = s.p[i] >= '0' && s.p[i] <= '9' && v <= (UINT64_MAX - (uint64_t)(s.p[i] - '0')) / 10;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    if (!good) {
        return error_set_field(err, ERR_INVALID, "metadata.resourceVersion", "resourceVersion \"%.*s\" is no revision",
                               STR_ARG(s));
    }
    *revision = v;
    return 0;
}

/* Decode, put in normal form, encode. Fields that this version does not know (a newer peer) are dropped. */
static int encode_anew(const struct kind *k, struct mp wire, struct buf *body, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc;
    int rc = msgpack_read_value(&a, wire.p, (size_t)(wire.end - wire.p), &doc, err);
    if (rc == 0) {
        rc = kind_check_fields(k, &a, doc, KIND_CHECK_LENIENT, err);
    }
    if (rc == 0) {
        buf_reset(body);
        kind_encode(k, doc, body);
    }
    return rc;
}

static int too_large(size_t n, struct error *err)
{
    return error_set(err, ERR_TOO_LARGE, "an object of %zu bytes; at most %u are allowed", n, OBJECT_SIZE_MAX);
}

int object_from_wire(struct mp m, struct object **out, struct error *err)
{
    assert(out != NULL);
    uint64_t revision;
    size_t n = m.p == NULL ? 0 : (size_t)(m.end - m.p);
    if (n > OBJECT_SIZE_MAX + REVISION_SIZE_MAX) {
        return too_large(n, err);
    }
    if (!mp_valid(m) || mp_type(m) != MP_MAP) {
        return error_set(err, ERR_PROTOCOL, "no object: %zu bytes that are no well-formed msgpack map", n);
    }
    struct str kind = mp_str(mp_get(m, "kind"));
    const struct kind *k = kind_by_name(kind);
    if (k == NULL) {
        return error_set_field(err, ERR_INVALID, "kind", "no object of a known kind: kind is \"%.*s\"", STR_ARG(kind));
    }
    int rc = read_revision(mp_path(m, "metadata.resourceVersion"), &revision, err);
    CLEANUP_BUF struct buf body = BUF_INIT;
    if (rc == 0) {
        unsplice(m, &body);
        struct mp plain = mp_of(body.data, body.size);
        bool canonical = mp_type(mp_path(plain, "metadata.resourceVersion")) == MP_NONE && mp_shortest(plain) &&
                         map_is_canonical(k->schema, plain);
        rc = canonical ? 0 : encode_anew(k, m, &body, err);
    }
    if (rc == 0 && body.size > OBJECT_SIZE_MAX) {
        rc = too_large(body.size, err);
    }
    if (rc == 0) {
        rc = object_from_body(k, body.data, body.size, revision, out, err);
    }
    /* The sender is at fault, not our disk. */
    if (rc == ERR_CORRUPT) {
        rc = ERR_INVALID;
        if (err != NULL) {
            err->code = rc;
        }
    }
    return rc;
}
