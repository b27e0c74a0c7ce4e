/* Messages, straight from msgpack: of objects from their stored bytes, of documents from what JSON says. */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "proto/protobuf/message.h"
#include "proto/protobuf/protobuf.h"
#include "proto/protobuf/wire.h"
#include "proto/schema/table.h"
#include "proto/text/text.h"

/* ---- Messages in messages ---- */

/* How long it is stands in front of a message: room for one byte is left, and more is made when it is done. */
static size_t open_message(struct buf *out, unsigned number)
{
    pb_put_varint(out, (uint64_t)number << 3 | PB_BYTES);
    buf_put_u8(out, 0);
    return out->size;
}

static void close_message(struct buf *out, size_t start)
{
    uint8_t length[10];
    size_t size = out->size - start, rest = size, n = 0;
    for (; rest >= 0x80; rest >>= 7) {
        length[n++] = (uint8_t)(rest | 0x80);
    }
    length[n] = (uint8_t)rest;
    buf_append(out, length, n);
    memmove(out->data + start + n, out->data + start, size);
    memcpy(out->data + start - 1, length, n + 1);
}

/* ---- One value ---- */

/* Both are written always, as Kubernetes does. */
static void write_time(struct buf *out, unsigned number, struct str text)
{
    int64_t ms;
    uint64_t nanos = 0;
    if (!timefmt_parse(text, &ms)) {
        return;
    }
    const char *dot = memchr(text.p, '.', text.n), *end = text.p + text.n;
    uint64_t unit = 100000000;
    for (const char *p = dot == NULL ? end : dot + 1; p < end && isdigit((unsigned char)*p) && unit > 0; p++) {
        nanos += (uint64_t)(*p - '0') * unit;
        unit /= 10;
    }
    size_t start = open_message(out, number);
    pb_put_int(out, 1, (uint64_t)(ms / 1000 - (ms % 1000 < 0)));
    pb_put_int(out, 2, nanos);
    close_message(out, start);
}

static void write_int_or_string(struct buf *out, unsigned number, struct mp v)
{
    struct str text = STR_NONE;
    int64_t n = 0;
    bool is_text = mp_read_str(&v, &text);
    if (!is_text && !mp_read_int(&v, &n)) {
        return;
    }
    size_t start = open_message(out, number);
    pb_put_int(out, 1, is_text);
    pb_put_int(out, 2, (uint64_t)n);
    pb_put_bytes(out, 3, is_text ? text : STR(""));
    close_message(out, start);
}

/* Inside as bytes; in what was JSON as text. */
static void write_bytes(struct buf *out, unsigned number, struct mp v)
{
    CLEANUP_BUF struct buf raw = BUF_INIT;
    struct str s;
    if (mp_read_bin(&v, &s)) {
        pb_put_bytes(out, number, s);
    } else if (mp_read_str(&v, &s) && base64_read(&raw, s)) {
        pb_put_bytes(out, number, buf_str(&raw));
    }
}

static void write_float(struct buf *out, unsigned number, struct mp v)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct value *n = msgpack_read_checked(&a, v);
    double d = n->type == VALUE_FLOAT ? n->number : n->type == VALUE_INT ? (double)n->integer : 0;
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    pb_put_varint(out, (uint64_t)number << 3 | PB_FIXED64);
    buf_put_u64(out, bits);
}

/* RawExtension, FieldsV1: {1 JSON}. ExtraValue, of a map: {1 text, repeated}. */
static void write_any(struct buf *out, unsigned number, const struct field *f, struct mp v)
{
    if (f->state == FIELD_REFUSED) {
        return; /* what is in it is in no table */
    }
    size_t start = open_message(out, number);
    if (f->shape == SHAPE_MAP) {
        for (struct mp_iter it = mp_iter(v); mp_next(&it);) {
            pb_put_bytes(out, 1, mp_str(it.value).n == 0 ? STR("") : mp_str(it.value));
        }
    } else {
        CLEANUP_BUF struct buf json = BUF_INIT;
        json_write_mp(&json, &v);
        pb_put_bytes(out, 1, buf_str(&json));
    }
    close_message(out, start);
}

static void write_fields(struct buf *out, const struct schema *s, struct mp map);

/* What is of another type than its field says (an older program took it) is left out. */
static void write_one(struct buf *out, unsigned number, const struct field *f, struct mp v)
{
    int64_t n;
    bool b;
    struct str s;
    size_t start;
    switch (f->type) {
    case FIELD_INT32:
    case FIELD_INT64:
        if (mp_read_int(&v, &n)) {
            pb_put_int(out, number, (uint64_t)n);
        }
        break;
    case FIELD_BOOL:
        if (mp_read_bool(&v, &b)) {
            pb_put_int(out, number, b);
        }
        break;
    case FIELD_FLOAT:
        write_float(out, number, v);
        break;
    case FIELD_STRING:
        if (mp_read_str(&v, &s)) {
            pb_put_bytes(out, number, s);
        }
        break;
    case FIELD_BYTES:
        write_bytes(out, number, v);
        break;
    case FIELD_TIME:
        if (mp_read_str(&v, &s)) {
            write_time(out, number, s);
        }
        break;
    case FIELD_QUANTITY:
        if (mp_read_str(&v, &s)) {
            start = open_message(out, number);
            pb_put_bytes(out, 1, s);
            close_message(out, start);
        }
        break;
    case FIELD_INT_OR_STRING:
        write_int_or_string(out, number, v);
        break;
    case FIELD_ANY:
        write_any(out, number, f, v);
        break;
    case FIELD_OBJECT:
        if (mp_type(v) == MP_MAP) {
            start = open_message(out, number);
            write_fields(out, f->sub, v);
            close_message(out, start);
        }
        break;
    }
}

/* ---- Fields ---- */

/* A map is a list of messages {1 key, 2 value}. */
static void write_map(struct buf *out, unsigned number, const struct field *f, struct mp map)
{
    for (struct mp_iter it = mp_iter(map); mp_next(&it);) {
        size_t start = open_message(out, number);
        pb_put_bytes(out, 1, it.key);
        write_one(out, 2, f, it.value);
        close_message(out, start);
    }
}

/* What the message keeps in a message of its own is written as one for each field: readers put them together. */
static void write_field(struct buf *out, const struct field *f, struct field_number n, struct mp v)
{
    size_t inside = n.inside == 0 ? 0 : open_message(out, n.inside);
    enum mp_type type = mp_type(v);
    if (f->shape == SHAPE_MAP && type == MP_MAP) {
        write_map(out, n.number, f, v);
    } else if (f->shape == SHAPE_LIST && type == MP_ARRAY) {
        for (struct mp_iter it = mp_iter(v); mp_next(&it);) {
            write_one(out, n.number, f, it.value);
        }
    } else if (f->shape == SHAPE_ONE) {
        write_one(out, n.number, f, v);
    }
    if (n.inside != 0) {
        close_message(out, inside);
    }
}

/* The numbers of rows, which count up from the first one. */
struct numbers {
    const struct schema *schema;
    struct field_number last, n; /* n: of the row in front of `next` */
    unsigned next;
};

/* NULL: the message has no such field. */
static const struct field *find_row(struct numbers *r, struct str key)
{
    unsigned i = schema_field_index(r->schema, key, r->next);
    if (i == r->schema->count) {
        return NULL;
    }
    if (i < r->next) {
        *r = (struct numbers){.schema = r->schema};
    }
    while (r->next <= i) {
        r->n = field_number_next(&r->last, &r->schema->fields[r->next++]);
    }
    return r->n.number == 0 ? NULL : &r->schema->fields[i];
}

static void write_fields(struct buf *out, const struct schema *s, struct mp map)
{
    struct numbers r = {.schema = s};
    for (struct mp_iter it = mp_iter(map); mp_next(&it);) {
        const struct field *f = find_row(&r, it.key);
        if (f != NULL && mp_type(it.value) != MP_NIL) {
            write_field(out, f, r.n, it.value);
        }
    }
}

static void write_member(struct buf *out, const struct schema *s, const char *name, struct mp v)
{
    struct numbers r = {.schema = s};
    const struct field *f = find_row(&r, str_of(name));
    assert(f != NULL);
    write_field(out, f, r.n, v);
}

/* ---- Objects ---- */

static void write_metadata(struct buf *out, struct mp metadata, const struct protobuf_extra *x)
{
    CLEANUP_BUF struct buf version = BUF_INIT;
    if (x->revision > 0) {
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)x->revision);
        mp_write_cstr(&version, text);
        write_member(out, &schema_object_meta, "resourceVersion", mp_of(version.data, version.size));
    }
    write_fields(out, &schema_object_meta, metadata);
    if (mp_type(x->managed) == MP_ARRAY) {
        write_member(out, &schema_object_meta, "managedFields", x->managed);
    }
}

void protobuf_write_message(struct buf *out, const struct schema *s, struct mp body, const struct protobuf_extra *x)
{
    struct numbers r = {.schema = s};
    for (struct mp_iter it = mp_iter(body); mp_next(&it);) {
        const struct field *f = find_row(&r, it.key);
        if (f != NULL && f->sub == &schema_object_meta) {
            size_t start = open_message(out, r.n.number);
            write_metadata(out, it.value, x);
            close_message(out, start);
        } else if (f != NULL && mp_type(it.value) != MP_NIL) {
            write_field(out, f, r.n, it.value);
        }
    }
}

void protobuf_write_partial(struct buf *out, struct mp metadata, const struct protobuf_extra *x)
{
    size_t start = open_message(out, 1);
    write_metadata(out, metadata, x);
    close_message(out, start);
}

/* ---- Envelopes ---- */

/* Unknown {1 typeMeta {1 apiVersion, 2 kind}, 2 raw, ...}, up to raw's content. */
static void open_envelope(struct buf *out, struct str api_version, struct str kind)
{
    buf_append(out, PROTOBUF_MAGIC, PROTOBUF_MAGIC_SIZE);
    size_t meta = open_message(out, 1);
    pb_put_bytes(out, 1, api_version);
    pb_put_bytes(out, 2, kind);
    close_message(out, meta);
}

/* {3 contentEncoding, 4 contentType}: none, as Kubernetes writes them. */
static void close_envelope(struct buf *out)
{
    pb_put_bytes(out, 3, STR(""));
    pb_put_bytes(out, 4, STR(""));
}

size_t protobuf_open(struct buf *out, struct str api_version, struct str kind)
{
    open_envelope(out, api_version, kind);
    return open_message(out, 2);
}

void protobuf_close(struct buf *out, size_t at)
{
    close_message(out, at);
    close_envelope(out);
}

bool protobuf_write_document(struct buf *out, const struct value *doc)
{
    struct str api_version = value_to_str(value_get(doc, "apiVersion")), kind = value_to_str(value_get(doc, "kind"));
    const struct schema *s = value_is_map(doc) ? protobuf_schema(api_version, kind) : NULL;
    if (s == NULL) {
        return false;
    }
    CLEANUP_BUF_WIPE struct buf body = BUF_INIT; /* a token may be in it */
    msgpack_write_value(&body, doc);
    size_t at = protobuf_open(out, api_version, kind);
    protobuf_write_message(out, s, mp_of(body.data, body.size), &(struct protobuf_extra){0});
    protobuf_close(out, at);
    return true;
}

bool protobuf_known(struct str api_version, struct str kind)
{
    return protobuf_schema(api_version, kind) != NULL;
}

/* ---- Lists ---- */

/* ListMeta {2 resourceVersion, 3 continue, 4 remainingItemCount} */
static void write_list_meta(struct buf *out, uint64_t revision, struct str token, int64_t remaining)
{
    char text[24];
    size_t start = open_message(out, 1);
    snprintf(text, sizeof text, "%llu", (unsigned long long)revision);
    pb_put_bytes(out, 1, STR(""));
    pb_put_bytes(out, 2, str_of(text));
    pb_put_bytes(out, 3, token.n == 0 ? STR("") : token);
    if (token.n > 0 && remaining >= 0) {
        pb_put_int(out, 4, (uint64_t)remaining);
    }
    close_message(out, start);
}

void protobuf_open_list(struct buf *out, struct str api_version, struct str kind, uint64_t revision, struct str token,
                        int64_t remaining, size_t items_bytes)
{
    CLEANUP_BUF struct buf meta = BUF_INIT;
    write_list_meta(&meta, revision, token, remaining);
    open_envelope(out, api_version, kind);
    pb_put_varint(out, 2u << 3 | PB_BYTES);
    pb_put_varint(out, meta.size + items_bytes);
    buf_append_str(out, buf_str(&meta));
}

size_t protobuf_open_item(struct buf *out)
{
    return open_message(out, 2);
}

void protobuf_close_item(struct buf *out, size_t at)
{
    close_message(out, at);
}

void protobuf_close_list(struct buf *out)
{
    close_envelope(out);
}

/* ---- Watches ---- */

void protobuf_write_event(struct buf *out, const char *type, struct str envelope)
{
    size_t at = out->size;
    buf_append(out, "\0\0\0\0", 4);
    pb_put_bytes(out, 1, str_of(type));
    size_t object = open_message(out, 2);
    pb_put_bytes(out, 1, envelope);
    close_message(out, object);
    size_t n = out->size - at - 4;
    for (unsigned i = 0; i < 4; i++) {
        out->data[at + i] = (uint8_t)(n >> (24 - 8 * i));
    }
}
