/* OpenAPI v2 in the protobuf form of gnostic: the document of JSON, written by tables of which key is which field.
 *
 * Keys that begin with "x-" are a list of messages {1 name, 2 {2 text}}, where the text is YAML; JSON is. Source:
 * gnostic's openapiv2/OpenAPIv2.proto. */
#include <assert.h>
#include <string.h>

#include "proto/openapi/openapi_int.h"
#include "proto/protobuf/wire.h"
#include "proto/text/text.h"

enum how {
    TEXT,  /* a string */
    TEXTS, /* a list of strings, one field each */
    FLAG,  /* a boolean */
    ONE,   /* a message */
    NAMED, /* a map: in one message, for each member a message {1 name, 2 value} */
    ASKED, /* parameters: what a path or a verb is given */
};

struct message;
struct row {
    const char *key;
    unsigned number;
    enum how how;
    const struct message *sub;
    unsigned wrap; /* TEXT, ONE: there it stands in a message of its own, in this field. NAMED: the field of a member */
    unsigned value; /* NAMED: the value stands in a message of its own, in this field; 0 = it does not */
};
struct message {
    const struct row *rows;
    unsigned count;
    unsigned extension; /* where "x-" goes */
};
#define MESSAGE(var, x, ...)                                                                                           \
    static const struct row var##_rows[] = {__VA_ARGS__};                                                              \
    static const struct message var = {var##_rows, ARRAY_SIZE(var##_rows), x}

static const struct message schema;
static const struct row schema_rows[] = {
    {"$ref", 1, TEXT, NULL, 0, 0},
    {"format", 2, TEXT, NULL, 0, 0},
    {"description", 4, TEXT, NULL, 0, 0},
    {"required", 19, TEXTS, NULL, 0, 0},
    {"additionalProperties", 21, ONE, &schema, 1, 0},
    {"type", 22, TEXT, NULL, 1, 0},
    {"items", 23, ONE, &schema, 1, 0},
    {"properties", 25, NAMED, &schema, 1, 0},
};
static const struct message schema = {schema_rows, ARRAY_SIZE(schema_rows), 31};

MESSAGE(body_parameter, 6, {"name", 2, TEXT, NULL, 0, 0}, {"in", 3, TEXT, NULL, 0, 0},
        {"required", 4, FLAG, NULL, 0, 0}, {"schema", 5, ONE, &schema, 0, 0});
MESSAGE(query_parameter, 23, {"in", 2, TEXT, NULL, 0, 0}, {"name", 4, TEXT, NULL, 0, 0}, {"type", 6, TEXT, NULL, 0, 0});
MESSAGE(path_parameter, 22, {"required", 1, FLAG, NULL, 0, 0}, {"in", 2, TEXT, NULL, 0, 0},
        {"name", 4, TEXT, NULL, 0, 0}, {"type", 5, TEXT, NULL, 0, 0});
MESSAGE(response, 5, {"description", 1, TEXT, NULL, 0, 0}, {"schema", 2, ONE, &schema, 1, 0});
MESSAGE(operation, 13, {"operationId", 5, TEXT, NULL, 0, 0}, {"produces", 6, TEXTS, NULL, 0, 0},
        {"consumes", 7, TEXTS, NULL, 0, 0}, {"parameters", 8, ASKED, NULL, 0, 0},
        {"responses", 9, NAMED, &response, 1, 1});
MESSAGE(path_item, 10, {"get", 2, ONE, &operation, 0, 0}, {"put", 3, ONE, &operation, 0, 0},
        {"post", 4, ONE, &operation, 0, 0}, {"delete", 5, ONE, &operation, 0, 0}, {"patch", 8, ONE, &operation, 0, 0},
        {"parameters", 9, ASKED, NULL, 0, 0});
MESSAGE(info, 7, {"title", 1, TEXT, NULL, 0, 0}, {"version", 2, TEXT, NULL, 0, 0});
MESSAGE(document, 16, {"swagger", 1, TEXT, NULL, 0, 0}, {"info", 2, ONE, &info, 0, 0},
        {"paths", 8, NAMED, &path_item, 2, 0}, {"definitions", 9, NAMED, &schema, 1, 0});

static void write_message(struct buf *out, const struct message *m, const struct value *v);

/* In a field, in a message that has nothing else. */
static void put_wrapped(struct buf *out, unsigned number, unsigned wrap, struct str s)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    pb_put_bytes(&b, wrap, s);
    pb_put_bytes(out, number, buf_str(&b));
}

static void put_text(struct buf *out, unsigned number, unsigned wrap, struct str s)
{
    if (wrap != 0) {
        put_wrapped(out, number, wrap, s);
    } else {
        pb_put_bytes(out, number, s);
    }
}

static void put_message(struct buf *out, unsigned number, unsigned wrap, const struct message *m, const struct value *v)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    write_message(&b, m, v);
    put_text(out, number, wrap, buf_str(&b));
}

static void put_named(struct buf *out, const struct row *row, const struct value *v)
{
    CLEANUP_BUF struct buf all = BUF_INIT;
    for (unsigned i = 0; i < value_count(v); i++) {
        CLEANUP_BUF struct buf one = BUF_INIT;
        pb_put_bytes(&one, 1, v->map.members[i].key);
        put_message(&one, 2, row->value, row->sub, v->map.members[i].value);
        pb_put_bytes(&all, row->wrap, buf_str(&one));
    }
    pb_put_bytes(out, row->number, buf_str(&all));
}

/* {1 {1 {body}}}, {1 {2 {3 {query}}}}, {1 {2 {4 {path}}}} */
static void put_parameter(struct buf *out, unsigned number, const struct value *v)
{
    struct str in = value_to_str(value_get(v, "in"));
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (str_is(in, "body")) {
        put_message(&b, 1, 0, &body_parameter, v);
    } else if (str_is(in, "path")) {
        put_message(&b, 2, 4, &path_parameter, v);
    } else {
        put_message(&b, 2, 3, &query_parameter, v);
    }
    put_wrapped(out, number, 1, buf_str(&b));
}

static void put_extension(struct buf *out, unsigned number, const struct value_member *m)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    CLEANUP_BUF struct buf b = BUF_INIT;
    json_write(&text, m->value, 0);
    pb_put_bytes(&b, 1, m->key);
    put_wrapped(&b, 2, 2, buf_str(&text));
    pb_put_bytes(out, number, buf_str(&b));
}

static void put_row(struct buf *out, const struct row *row, const struct value *v)
{
    switch (row->how) {
    case TEXT:
        put_text(out, row->number, row->wrap, value_to_str(v));
        break;
    case TEXTS:
        VALUE_FOR(i, v) pb_put_bytes(out, row->number, value_to_str(value_item(v, i)));
        break;
    case FLAG:
        pb_put_int(out, row->number, value_to_bool(v, false));
        break;
    case ONE:
        put_message(out, row->number, row->wrap, row->sub, v);
        break;
    case NAMED:
        put_named(out, row, v);
        break;
    case ASKED:
        VALUE_FOR(i, v) put_parameter(out, row->number, value_item(v, i));
        break;
    }
}

static void write_message(struct buf *out, const struct message *m, const struct value *v)
{
    for (unsigned i = 0; i < value_count(v); i++) {
        const struct value_member *member = &v->map.members[i];
        if (str_starts(member->key, STR("x-"))) {
            put_extension(out, m->extension, member);
            continue;
        }
        const struct row *row = NULL;
        for (unsigned k = 0; k < m->count && row == NULL; k++) {
            row = str_is(member->key, m->rows[k].key) ? &m->rows[k] : NULL;
        }
        assert(row != NULL); /* whoever adds a key to the document adds a row */
        put_row(out, row, member->value);
    }
}

void openapi_write_gnostic(struct buf *out, const struct value *v)
{
    write_message(out, &document, v);
}
