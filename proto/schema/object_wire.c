/* Objects on the wire: the body with the revision spliced in, and back.
 *
 * On the way in, bytes that a Reeve process wrote are canonical already but for the revision. So they are walked once
 * beside the kind's schema, without allocation, and only what is not in canonical order is decoded, checked and
 * encoded anew. */
#include <assert.h>
#include <stdio.h>

#include "proto/managed/fields_v1.h"
#include "proto/schema/object.h"
#include "proto/schema/table.h"

#define REVISION_SIZE_MAX 64u /* what the revision adds to the body */

void object_write_wire(struct buf *out, const struct object *o)
{
    CLEANUP_BUF struct buf copy = BUF_INIT; /* a list of all pods must not leave them put together */
    const uint8_t *p = __atomic_load_n(&o->body_there, __ATOMIC_ACQUIRE);
    if (p == NULL) {
        object_append_body(&copy, o);
        p = copy.data;
    }
    struct mp body = mp_of(p, o->body_size), metadata = mp_get(body, "metadata"), members = metadata;
    uint32_t count;
    if (o->revision == 0 || !mp_read_map(&members, &count)) {
        buf_append(out, p, o->body_size);
        return;
    }
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)o->revision);
    buf_append(out, p, (size_t)(metadata.p - p));
    mp_write_map(out, count + 1);
    mp_write_key_str(out, "resourceVersion", str_of(text));
    buf_append(out, members.p, (size_t)(body.end - members.p));
}

/* ---- In canonical order already? ----
 * Each function looks at one item, and moves the cursor behind it if it is canonical. The bytes have passed
 * mp_valid. */

static bool pass_any(struct mp *m);
static bool pass_map(const struct schema *s, struct mp *m);

static bool pass_one(const struct field *f, struct mp *m)
{
    enum mp_type t = mp_type(*m);
    bool fits = false;
    switch (f->type) {
    case FIELD_OBJECT:
        return pass_map(f->sub, m);
    case FIELD_ANY:
        return pass_any(m);
    case FIELD_STRING:
    case FIELD_TIME:
    case FIELD_QUANTITY:
        fits = t == MP_STR;
        break;
    case FIELD_INT32:
    case FIELD_INT64:
        fits = t == MP_INT;
        break;
    case FIELD_BOOL:
        fits = t == MP_BOOL;
        break;
    case FIELD_FLOAT:
        fits = t == MP_FLOAT || t == MP_INT;
        break;
    case FIELD_INT_OR_STRING:
        fits = t == MP_INT || t == MP_STR;
        break;
    case FIELD_BYTES:
        fits = t == MP_BIN;
        break;
    }
    return fits && mp_skip(m);
}

/* Elements of a list: of the field's type, or (f == NULL) of any. */
static bool pass_list(const struct field *f, struct mp *m)
{
    uint32_t count;
    if (!mp_read_array(m, &count)) {
        return false;
    }
    for (; count > 0; count--) {
        if (f == NULL ? !pass_any(m) : !pass_one(f, m)) {
            return false;
        }
    }
    return true;
}

/* Free keys are sorted, and nulls are left out. */
static bool pass_free_map(const struct field *f, struct mp *m)
{
    uint32_t count;
    struct str key, before = STR_NONE;
    if (!mp_read_map(m, &count)) {
        return false;
    }
    for (; count > 0; count--, before = key) {
        if (!mp_read_str(m, &key) || (before.p != NULL && str_cmp(before, key) >= 0) || mp_type(*m) == MP_NIL) {
            return false;
        }
        if (f == NULL ? !pass_any(m) : !pass_one(f, m)) {
            return false;
        }
    }
    return true;
}

static bool pass_any(struct mp *m)
{
    switch (mp_type(*m)) {
    case MP_MAP:
        return pass_free_map(NULL, m);
    case MP_ARRAY:
        return pass_list(NULL, m);
    case MP_UINT:
        return false;
    default:
        return mp_skip(m);
    }
}

/* Keys in the order of the schema: so the search for each goes on where the last one was found. What the schema does
 * not know sends the whole to be encoded anew. */
static bool pass_map(const struct schema *s, struct mp *m)
{
    uint32_t count;
    struct str key;
    unsigned at = 0;
    if (!mp_read_map(m, &count)) {
        return false;
    }
    for (; count > 0; count--, at++) {
        if (!mp_read_str(m, &key)) {
            return false;
        }
        while (at < s->count &&
               (str_empty(key) || s->fields[at].name[0] != key.p[0] || !str_is(key, s->fields[at].name))) {
            at++;
        }
        if (at == s->count) { /* in no table, and always the last that this program writes */
            return count == 1 && s == &schema_object_meta && str_is(key, MANAGED_MEMBER) && mp_type(*m) == MP_BIN &&
                   mp_skip(m);
        }
        const struct field *f = &s->fields[at];
        bool good = f->shape == SHAPE_ONE    ? pass_one(f, m)
                    : f->shape == SHAPE_LIST ? pass_list(f, m)
                                             : pass_free_map(f, m);
        if (!good) {
            return false;
        }
    }
    return true;
}

static bool is_canonical(const struct kind *k, struct mp m)
{
    return mp_type(mp_path(m, "metadata.resourceVersion")) == MP_NONE && mp_shortest(m) && pass_map(k->schema, &m);
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

/* Decode, put in normal form, encode. Fields that this version does not know (a newer peer) are kept: who reads an
 * object to change it writes them back. */
static int encode_anew(const struct kind *k, struct mp wire, struct buf *body, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc;
    int rc = msgpack_read_value(&a, wire.p, (size_t)(wire.end - wire.p), &doc, err);
    if (rc == 0) {
        rc = kind_check_fields(k, &a, doc, KIND_CHECK_KEEP, err);
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
        return error_set_field(err, ERR_INVALID, "kind",
                               "no object of a known kind: kind is \"%.*s\": was it written by a newer program?",
                               STR_ARG(kind));
    }
    int rc = read_revision(mp_path(m, "metadata.resourceVersion"), &revision, err);
    CLEANUP_BUF struct buf body = BUF_INIT;
    if (rc == 0) {
        unsplice(m, &body);
        struct mp plain = mp_of(body.data, body.size);
        rc = is_canonical(k, plain) ? 0 : encode_anew(k, m, &body, err);
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
