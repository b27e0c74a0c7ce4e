#include <math.h>

#include "proto/model/msgpack.h"
#include "proto/text/scalar.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

static void check_node(const struct value *v, unsigned depth)
{
    unsigned first, second;
    CHECK(v != NULL);
    switch (v->type) {
    case VALUE_LIST:
        CHECK(depth <= VALUE_DEPTH_MAX);
        VALUE_FOR(i, v)
        {
            check_node(v->list.items[i], depth + 1);
        }
        break;
    case VALUE_MAP:
        CHECK(depth <= VALUE_DEPTH_MAX);
        CHECK(v->map.count <= VALUE_MEMBERS_MAX);
        CHECK(!value_find_duplicate(v, &first, &second));
        for (unsigned i = 0; i < v->map.count; i++) {
            check_node(v->map.members[i].value, depth + 1);
        }
        break;
    case VALUE_STR:
    case VALUE_BIN:
        CHECK(v->str.n == 0 || v->str.p != NULL);
        break;
    default:
        CHECK(v->type <= VALUE_MAP);
    }
}

void fuzz_check_value(const struct value *v)
{
    check_node(v, 1);
}

/* Bytes and numbers that are none come back from JSON as something else, by design. */
static bool survives_json(const struct value *v)
{
    if (v->type == VALUE_BIN || (v->type == VALUE_FLOAT && !isfinite(v->number))) {
        return false;
    }
    for (unsigned i = 0; i < value_count(v); i++) {
        if (!survives_json(v->type == VALUE_LIST ? v->list.items[i] : v->map.members[i].value)) {
            return false;
        }
    }
    return true;
}

/* msgpack lets any bytes be a string; text shows those that are no UTF-8 as U+FFFD. */
static bool is_text(const struct value *v)
{
    if (v->type == VALUE_STR && !utf8_valid(v->str)) {
        return false;
    }
    for (unsigned i = 0; i < value_count(v); i++) {
        if ((v->type == VALUE_MAP && !utf8_valid(v->map.members[i].key)) ||
            !is_text(v->type == VALUE_LIST ? v->list.items[i] : v->map.members[i].value)) {
            return false;
        }
    }
    return true;
}

static struct value *read_yaml(struct arena *a, const struct buf *text)
{
    struct value **docs;
    unsigned count;
    struct error err = {0};
    if (yaml_read(a, buf_str(text), NULL, &docs, &count, &err) != 0) {
        fprintf(stderr, "%s\n%.*s\n", err.message, STR_ARG(buf_str(text)));
        CHECK(!"what yaml_write writes can be read");
    }
    CHECK(count <= 1);
    return count == 0 ? value_null(a) : docs[0];
}

static struct value *read_json(struct arena *a, const struct buf *text)
{
    struct value *doc;
    struct error err = {0};
    if (json_read(a, buf_str(text), &doc, &err) != 0) {
        fprintf(stderr, "%s\n%.*s\n", err.message, STR_ARG(buf_str(text)));
        CHECK(!"what json_write writes can be read");
    }
    return doc;
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* JSON without a document between is the same. */
static void check_straight(const struct buf *msgpack, const struct value *v)
{
    CLEANUP_BUF struct buf one = BUF_INIT;
    CLEANUP_BUF struct buf two = BUF_INIT;
    struct mp m = mp_of(msgpack->data, msgpack->size);
    json_write_mp(&one, &m);
    json_write(&two, v, 0);
    CHECK(same_bytes(&one, &two) && m.p == m.end);
}

void fuzz_check_forms(const struct value *v)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf one = BUF_INIT;
    CLEANUP_BUF struct buf two = BUF_INIT;
    arena_init(&a);

    msgpack_write_value(&one, v);
    struct value *back;
    CHECK(mp_valid(mp_of(one.data, one.size)) && mp_shortest(mp_of(one.data, one.size)));
    CHECK(msgpack_read_value(&a, one.data, one.size, &back, NULL) == 0);
    msgpack_write_value(&two, back);
    CHECK(same_bytes(&one, &two));
    check_straight(&one, back);

    buf_reset(&one);
    buf_reset(&two);
    json_write_canonical(&one, v);
    if (!is_text(v)) {
        yaml_write(&two, v);
        return;
    }
    back = read_json(&a, &one);
    json_write_canonical(&two, back);
    CHECK(same_bytes(&one, &two));
    if (!survives_json(v)) {
        return;
    }
    CHECK(value_equal(v, back));

    buf_reset(&one);
    buf_reset(&two);
    json_write(&one, v, 2);
    back = read_json(&a, &one);
    json_write(&two, back, 2);
    CHECK(same_bytes(&one, &two) && value_equal(v, back));

    buf_reset(&one);
    buf_reset(&two);
    yaml_write(&one, v);
    back = read_yaml(&a, &one);
    yaml_write(&two, back);
    CHECK(same_bytes(&one, &two) && value_equal(v, back));
}
