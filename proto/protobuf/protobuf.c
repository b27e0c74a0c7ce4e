#include "proto/protobuf/protobuf.h"

#include <assert.h>
#include <string.h>

#include "base/timefmt.h"
#include "proto/protobuf/message.h"
#include "proto/protobuf/wire.h"
#include "proto/schema/table.h"
#include "proto/text/text.h"

struct reader {
    struct arena *arena;
    unsigned nodes; /* made so far */
    struct error *err;
};

/* ---- What is wrong ---- */

static int fail(const struct reader *r, int code, const struct fpath *p, const char *why)
{
    const char *path = p == NULL ? "the body" : fpath_text(r->arena, p);
    return p == NULL ? error_set(r->err, code, "%s: %s", path, why)
                     : error_set_field(r->err, code, path, "%s: %s", path, why);
}

static int malformed(const struct reader *r, const struct fpath *p, const char *why)
{
    return fail(r, ERR_PROTOCOL, p, why);
}

static int too_large(const struct reader *r, const struct fpath *p, const char *why)
{
    return fail(r, ERR_TOO_LARGE, p, why);
}

static int count_nodes(struct reader *r, unsigned more, const struct fpath *p)
{
    if (more > PROTOBUF_NODES_MAX - r->nodes) {
        return too_large(r, p, "the document has too many parts");
    }
    r->nodes += more;
    return 0;
}

/* ---- Small messages ---- */

/* The fields 1 to 3 of a message that is no more than that, as they came last. */
struct small {
    struct pb_field at[4]; /* number 0: it did not come */
};

static int read_small(const struct reader *r, struct str message, struct small *out, const struct fpath *p)
{
    struct pb_field f;
    int more;
    *out = (struct small){0};
    while ((more = pb_next(&message, &f)) > 0) {
        if (f.number < ARRAY_SIZE(out->at)) {
            out->at[f.number] = f;
        }
    }
    return more == 0 ? 0 : malformed(r, p, "cut short, or no message");
}

static bool is_type(const struct pb_field *f, enum pb_type type)
{
    return f->number == 0 || f->type == type;
}

static int read_text(const struct reader *r, struct str s, struct value **out, const struct fpath *p)
{
    if (!utf8_valid(s)) {
        return malformed(r, p, "the text is not UTF-8");
    }
    *out = value_str(r->arena, s);
    return 0;
}

#define TIME_MIN_S (-62135596800ll) /* 0001-01-01 */
#define TIME_MAX_S 253402300799ll   /* 9999-12-31, its last second */

/* {1 seconds, 2 nanoseconds}. A Time has whole seconds, a MicroTime six digits. None: nothing, and zero. */
static int read_time(const struct reader *r, struct str message, bool micro, struct value **out, const struct fpath *p)
{
    struct small m;
    int rc = read_small(r, message, &m, p);
    if (rc != 0) {
        return rc;
    }
    int64_t seconds = (int64_t)m.at[1].integer, nanos = (int32_t)m.at[2].integer;
    if (!is_type(&m.at[1], PB_VARINT) || !is_type(&m.at[2], PB_VARINT) || nanos < 0 || nanos > 999999999 ||
        seconds < TIME_MIN_S || seconds > TIME_MAX_S) {
        return malformed(r, p, "must be a time");
    }
    if (seconds == 0 && nanos == 0) {
        return 0;
    }
    char text[TIMEFMT_SIZE];
    timefmt_rfc3339(seconds * 1000, text);
    *out = micro ? value_strf(r->arena, "%.*s.%06uZ", (int)strlen(text) - 1, text, (unsigned)(nanos / 1000))
                 : value_cstr(r->arena, text);
    return 0;
}

/* {1 type, 2 number, 3 text}; type 0 is a number, 1 a text. */
static int read_int_or_string(const struct reader *r, struct str message, struct value **out, const struct fpath *p)
{
    struct small m;
    int rc = read_small(r, message, &m, p);
    if (rc != 0) {
        return rc;
    }
    if (!is_type(&m.at[1], PB_VARINT) || !is_type(&m.at[2], PB_VARINT) || !is_type(&m.at[3], PB_BYTES) ||
        m.at[1].integer > 1) {
        return malformed(r, p, "must be a number or a string");
    }
    if (m.at[1].integer == 1) {
        return read_text(r, m.at[3].bytes, out, p);
    }
    *out = value_int(r->arena, (int32_t)m.at[2].integer);
    return 0;
}

/* {1 text}; none is zero. */
static int read_quantity(const struct reader *r, struct str message, struct value **out, const struct fpath *p)
{
    struct small m;
    int rc = read_small(r, message, &m, p);
    if (rc == 0 && !is_type(&m.at[1], PB_BYTES)) {
        rc = malformed(r, p, "must be a quantity");
    }
    return rc != 0 ? rc : read_text(r, m.at[1].bytes.n == 0 ? STR("0") : m.at[1].bytes, out, p);
}

/* ---- Free-form fields ---- */

static unsigned count_parts(const struct value *v, unsigned depth, unsigned *deepest)
{
    unsigned n = 1;
    *deepest = MAX(*deepest, depth);
    for (unsigned i = 0; i < value_count(v); i++) {
        n += count_parts(v->type == VALUE_LIST ? v->list.items[i] : v->map.members[i].value, depth + 1, deepest);
    }
    return n;
}

/* {1 JSON}: runtime.RawExtension, FieldsV1. */
static int read_json(struct reader *r, struct str message, struct value **out, const struct fpath *p)
{
    struct small m;
    unsigned depth = 0, deepest = 0;
    struct error why = {0};
    int rc = read_small(r, message, &m, p);
    if (rc != 0 || m.at[1].bytes.n == 0) {
        return rc != 0 || is_type(&m.at[1], PB_BYTES) ? rc : malformed(r, p, "must be bytes");
    }
    if (json_read(r->arena, m.at[1].bytes, out, &why) != 0) {
        return malformed(r, p, why.message);
    }
    for (const struct fpath *up = p; up != NULL; up = up->up) {
        depth++;
    }
    unsigned parts = count_parts(*out, depth, &deepest);
    if (deepest >= VALUE_DEPTH_MAX) {
        return malformed(r, p, "nested too deeply");
    }
    return count_nodes(r, parts, p);
}

/* {1 text, repeated}: ExtraValue, what a user's attribute says. */
static int read_texts(struct reader *r, struct str message, struct value **out, const struct fpath *p)
{
    struct pb_field f;
    int more;
    *out = value_list(r->arena);
    while ((more = pb_next(&message, &f)) > 0) {
        struct value *text = NULL;
        if (f.number != 1) {
            continue;
        }
        int rc = f.type == PB_BYTES ? read_text(r, f.bytes, &text, p) : malformed(r, p, "must be a list of strings");
        if (rc != 0 || (rc = count_nodes(r, 1, p)) != 0) {
            return rc;
        }
        if (value_count(*out) >= VALUE_ITEMS_MAX) {
            return too_large(r, p, "the list has too many items");
        }
        value_append(r->arena, *out, text);
    }
    return more == 0 ? 0 : malformed(r, p, "cut short, or no message");
}

/* What is in a field of a form that is not carried out is in no table. */
static int read_any(struct reader *r, const struct field *f, struct str message, struct value **out,
                    const struct fpath *p)
{
    if (f->state == FIELD_REFUSED) {
        return fail(r, ERR_INVALID, p, arena_printf(r->arena, "not carried out yet: %s", f->undone));
    }
    return f->shape == SHAPE_MAP ? read_texts(r, message, out, p) : read_json(r, message, out, p);
}

/* ---- Fields ---- */

static int read_message(struct reader *r, const struct schema *s, unsigned inside, struct str body, struct value *map,
                        const struct fpath *p);

static enum pb_type wire_type(enum field_type t)
{
    switch (t) {
    case FIELD_INT32:
    case FIELD_INT64:
    case FIELD_BOOL:
        return PB_VARINT;
    case FIELD_FLOAT:
        return PB_FIXED64;
    default:
        return PB_BYTES;
    }
}

static struct value *read_number(struct arena *a, enum field_type t, uint64_t n)
{
    double d;
    switch (t) {
    case FIELD_INT32: /* a negative one has ten bytes */
        return value_int(a, (int32_t)n);
    case FIELD_INT64:
        return value_int(a, (int64_t)n);
    case FIELD_BOOL:
        return value_bool(a, n != 0);
    default:
        memcpy(&d, &n, sizeof d);
        return value_float(a, d);
    }
}

/* One value. *out = NULL: it stands for none. */
static int read_one(struct reader *r, const struct field *f, const struct pb_field *at, struct value **out,
                    const struct fpath *p)
{
    *out = NULL;
    if (at->type != wire_type(f->type)) {
        return malformed(r, p, "is of another type in the message");
    }
    int rc = count_nodes(r, 1, p);
    if (rc != 0) {
        return rc;
    }
    switch (f->type) {
    case FIELD_INT32:
    case FIELD_INT64:
    case FIELD_BOOL:
    case FIELD_FLOAT:
        *out = read_number(r->arena, f->type, at->integer);
        return f->type == FIELD_FLOAT && !((*out)->number - (*out)->number == 0) ? malformed(r, p, "must be a number")
                                                                                 : 0;
    case FIELD_STRING:
        return read_text(r, at->bytes, out, p);
    case FIELD_BYTES:
        *out = value_bin(r->arena, at->bytes.p, at->bytes.n);
        return 0;
    case FIELD_TIME:
        return read_time(r, at->bytes, (f->flags & FIELD_MICRO) != 0, out, p);
    case FIELD_QUANTITY:
        return read_quantity(r, at->bytes, out, p);
    case FIELD_INT_OR_STRING:
        return read_int_or_string(r, at->bytes, out, p);
    case FIELD_ANY:
        return read_any(r, f, at->bytes, out, p);
    case FIELD_OBJECT:
        *out = value_map(r->arena);
        return read_message(r, f->sub, 0, at->bytes, *out, p);
    }
    return 0;
}

/* A field that Kubernetes' types do not point to is written whatever it is. */
static bool is_nothing(const struct field *f, const struct value *v)
{
    switch (f->type) {
    case FIELD_STRING:
        return v->str.n == 0 && !(f->flags & FIELD_EMPTY);
    case FIELD_INT32:
    case FIELD_INT64:
        return v->integer == 0 && (f->flags & FIELD_ZERO) != 0;
    case FIELD_BOOL:
        return !v->boolean && (f->flags & FIELD_ZERO) != 0;
    default:
        return false;
    }
}

static int read_single(struct reader *r, const struct field *f, const struct pb_field *at, struct value *map,
                       const struct fpath *p)
{
    struct value *v;
    int rc = read_one(r, f, at, &v, p);
    if (rc != 0 || v == NULL || is_nothing(f, v)) {
        return rc;
    }
    if (value_get(map, f->name) != NULL) {
        return malformed(r, p, "comes twice");
    }
    value_push(r->arena, map, str_of(f->name), v);
    return 0;
}

static int append(struct reader *r, const struct field *f, const struct pb_field *at, struct value *list,
                  const struct fpath *p)
{
    struct value *v;
    if (value_count(list) >= VALUE_ITEMS_MAX) {
        return too_large(r, p, "the list has too many items");
    }
    int rc = read_one(r, f, at, &v, FPATH_ITEM(p, value_count(list)));
    if (rc == 0 && v != NULL) {
        value_append(r->arena, list, v);
    }
    return rc;
}

/* Numbers may stand one after the other in one field. */
static int read_element(struct reader *r, const struct field *f, const struct pb_field *at, struct value *map,
                        const struct fpath *p)
{
    struct value *list = value_ensure_list(r->arena, map, f->name);
    if (at->type != PB_BYTES || wire_type(f->type) != PB_VARINT) {
        return append(r, f, at, list, p);
    }
    for (struct str rest = at->bytes; rest.n > 0;) {
        struct pb_field one = {.number = at->number, .type = PB_VARINT};
        if (!pb_read_varint(&rest, &one.integer)) {
            return malformed(r, p, "cut short");
        }
        int rc = append(r, f, &one, list, p);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* A map is a list of messages {1 key, 2 value}; what is missing is empty. */
static int read_entry(struct reader *r, const struct field *f, const struct pb_field *at, struct value *map,
                      const struct fpath *p)
{
    static const struct pb_field empty = {.number = 2, .type = PB_BYTES};
    struct value *entries = value_ensure_map(r->arena, map, f->name), *v;
    struct small m;
    if (at->type != PB_BYTES) {
        return malformed(r, p, "is of another type in the message");
    }
    if (value_count(entries) >= VALUE_MEMBERS_MAX) {
        return too_large(r, p, "the map has too many keys");
    }
    int rc = read_small(r, at->bytes, &m, p);
    if (rc == 0 && (!is_type(&m.at[1], PB_BYTES) || !utf8_valid(m.at[1].bytes))) {
        rc = malformed(r, p, "a key is not text");
    }
    if (rc != 0) {
        return rc;
    }
    const struct fpath *here = FPATH_KEY(p, m.at[1].bytes);
    rc = read_one(r, f, m.at[2].number == 0 ? &empty : &m.at[2], &v, here);
    if (rc == 0 && v != NULL) {
        value_push(r->arena, entries, m.at[1].bytes, v);
    }
    return rc;
}

static int read_field(struct reader *r, const struct field *f, const struct pb_field *at, struct value *map,
                      const struct fpath *p)
{
    switch (f->shape) {
    case SHAPE_LIST:
        return read_element(r, f, at, map, p);
    case SHAPE_MAP:
        return read_entry(r, f, at, map, p);
    case SHAPE_ONE:
        break;
    }
    return read_single(r, f, at, map, p);
}

/* Entries were appended without looking for their keys. */
static int check_keys(const struct reader *r, const struct schema *s, const struct value *map, const struct fpath *p)
{
    unsigned first, second;
    for (unsigned i = 0; i < value_count(map); i++) {
        const struct field *f = schema_field(s, map->map.members[i].key);
        const struct value *v = map->map.members[i].value;
        if (f->shape == SHAPE_MAP && value_find_duplicate(v, &first, &second)) {
            return malformed(r, FPATH_KEY(FPATH_AT(p, f->name), v->map.members[second].key), "comes twice");
        }
    }
    return 0;
}

/* The fields of a message, or of the one that it keeps in the field `inside`, into the map. Tables do not contain
 * themselves, which bounds the depth. */
static int read_message(struct reader *r, const struct schema *s, unsigned inside, struct str body, struct value *map,
                        const struct fpath *p)
{
    struct pb_field at;
    int more;
    while ((more = pb_next(&body, &at)) > 0) {
        bool opens;
        const struct field *f = schema_field_numbered(s, inside, at.number, &opens);
        int rc = 0;
        if (f != NULL) {
            rc = read_field(r, f, &at, map, FPATH_AT(p, f->name));
        } else if (opens) {
            rc = at.type == PB_BYTES ? read_message(r, s, at.number, at.bytes, map, p)
                                     : malformed(r, p, "has a field of another type");
        } else {
            rc = count_nodes(r, 1, p); /* passed over, but looked for */
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (more < 0) {
        return malformed(r, p, "cut short, or no message");
    }
    return inside == 0 ? check_keys(r, s, map, p) : 0;
}

/* ---- The envelope ---- */

struct envelope {
    struct str api_version, kind, raw, encoding, type;
};

/* Unknown {1 typeMeta {1 apiVersion, 2 kind}, 2 raw, 3 contentEncoding, 4 contentType} */
static int read_envelope(const struct reader *r, struct str rest, struct envelope *e)
{
    struct pb_field f;
    struct small meta;
    int more;
    *e = (struct envelope){0};
    while ((more = pb_next(&rest, &f)) > 0) {
        if (f.number <= 4 && f.type != PB_BYTES) {
            return malformed(r, NULL, "the envelope has a field of another type");
        }
        if (f.number == 1) {
            int rc = read_small(r, f.bytes, &meta, NULL);
            if (rc != 0 || !is_type(&meta.at[1], PB_BYTES) || !is_type(&meta.at[2], PB_BYTES) ||
                !utf8_valid(meta.at[1].bytes) || !utf8_valid(meta.at[2].bytes)) {
                return rc != 0 ? rc : malformed(r, NULL, "the envelope's apiVersion or kind is not text");
            }
            e->api_version = meta.at[1].bytes;
            e->kind = meta.at[2].bytes;
        } else if (f.number <= 4) {
            *(f.number == 2 ? &e->raw : f.number == 3 ? &e->encoding : &e->type) = f.bytes;
        }
    }
    return more == 0 ? 0 : malformed(r, NULL, "the envelope is cut short, or no message");
}

/* wanted: the address's; empty: any kind will do. */
static int unknown_kind(const struct envelope *e, struct str wanted, struct error *err)
{
    struct str kind = {e->kind.p, MIN(e->kind.n, (size_t)NAME_KEY_MAX)},
               version = {e->api_version.p, MIN(e->api_version.n, (size_t)NAME_KEY_MAX)};
    version = version.n == 0 ? STR("") : version;
    const char *slash = memrchr(version.p, '/', version.n);
    size_t group = slash == NULL ? 0 : (size_t)(slash - version.p) + 1;
    CLEANUP_BUF struct buf head = BUF_INIT;
    if (wanted.n > 0) {
        buf_printf(&head, "%.*s in version \"%.*s\" cannot be handled as a %.*s: ", STR_ARG(kind),
                   (int)(version.n - group), version.p + group, STR_ARG(wanted));
    }
    return error_set(err, ERR_USAGE, "%sno kind \"%.*s\" is registered for version \"%.*s\" in protobuf",
                     buf_cstr(&head), STR_ARG(kind), STR_ARG(version));
}

int protobuf_read(struct arena *a, const void *body, size_t n, struct str api_version, struct str kind,
                  struct value **doc, struct error *err)
{
    assert(a != NULL && (body != NULL || n == 0) && doc != NULL);
    struct reader r = {a, 0, err};
    struct envelope e;
    struct str all = {body, n};
    if (n > PROTOBUF_SIZE_MAX) {
        return error_set(err, ERR_TOO_LARGE, "the body has %zu bytes; it may have at most %u", n, PROTOBUF_SIZE_MAX);
    }
    if (n < PROTOBUF_MAGIC_SIZE || memcmp(all.p, PROTOBUF_MAGIC, PROTOBUF_MAGIC_SIZE) != 0) {
        return malformed(&r, NULL, "does not begin with the bytes \"k8s\\0\" of Kubernetes' protobuf form");
    }
    int rc = read_envelope(&r, (struct str){all.p + PROTOBUF_MAGIC_SIZE, n - PROTOBUF_MAGIC_SIZE}, &e);
    if (rc != 0) {
        return rc;
    }
    if (e.encoding.n > 0 || (e.type.n > 0 && !str_is(e.type, PROTOBUF_MEDIA_TYPE))) {
        return malformed(&r, NULL, "the message in the envelope is encoded otherwise; send it plainly");
    }
    e.api_version = e.api_version.n == 0 ? api_version : e.api_version;
    e.kind = e.kind.n == 0 ? kind : e.kind;
    const struct schema *s = protobuf_schema(e.api_version, e.kind);
    if (s == NULL) {
        return unknown_kind(&e, kind, err);
    }
    struct value *v = value_map(a);
    value_set(a, v, "apiVersion", value_str(a, e.api_version));
    value_set(a, v, "kind", value_str(a, e.kind));
    rc = read_message(&r, s, 0, e.raw, v, NULL);
    if (rc == 0) {
        *doc = v;
    }
    return rc;
}
