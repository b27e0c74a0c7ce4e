#include "proto/rpc/codec.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "proto/rpc/rpc.h"

void rpc_scan_init(struct rpc_scan *s)
{
    s->elements_max = 0;
    s->depth_max = RPC_DEPTH_MAX;
    rpc_scan_again(s);
}

void rpc_scan_again(struct rpc_scan *s)
{
    s->at = 0;
    s->owed = 1;
    s->elements = 0;
    s->depth = 0;
}

enum item_kind { ITEM_SCALAR, ITEM_STR, ITEM_ARRAY, ITEM_MAP, ITEM_BAD };
struct item {
    enum item_kind kind;
    unsigned head; /* bytes of the head, the first one and the number behind it */
    uint64_t body; /* bytes that follow it (strings, numbers), or elements (containers) */
};

static uint64_t number_at(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

/* The item whose head begins at p, n > 0 bytes there. head > n: more bytes are needed to tell. */
static struct item item_at(const uint8_t *p, size_t n)
{
    uint8_t first = p[0];
    unsigned width = 0; /* of the length */
    struct item it = {ITEM_SCALAR, 1, 0};
    switch (first) {
    case 0x80 ... 0x8f:
        return (struct item){ITEM_MAP, 1, 2u * (first & 0x0f)};
    case 0x90 ... 0x9f:
        return (struct item){ITEM_ARRAY, 1, first & 0x0f};
    case 0xa0 ... 0xbf:
        return (struct item){ITEM_STR, 1, first & 0x1f};
    case 0xca:
    case 0xcb:
        it.body = first == 0xca ? 4 : 8;
        return it;
    case 0xcc ... 0xcf:
        it.body = 1u << (first - 0xcc);
        return it;
    case 0xd0 ... 0xd3:
        it.body = 1u << (first - 0xd0);
        return it;
    case 0xc4 ... 0xc6: /* bin: like a number, only long */
        width = 1u << (first - 0xc4);
        break;
    case 0xd9 ... 0xdb:
        it.kind = ITEM_STR;
        width = 1u << (first - 0xd9);
        break;
    case 0xdc ... 0xdd:
        it.kind = ITEM_ARRAY;
        width = 2u << (first - 0xdc);
        break;
    case 0xde ... 0xdf:
        it.kind = ITEM_MAP;
        width = 2u << (first - 0xde);
        break;
    case 0xc1:
    case 0xc7 ... 0xc9: /* ext */
    case 0xd4 ... 0xd8: /* fixext */
        it.kind = ITEM_BAD;
        return it;
    default: /* small integers, nil, booleans */
        return it;
    }
    it.head = 1 + width;
    if (it.head <= n) {
        it.body = number_at(p + 1, width);
        it.body *= it.kind == ITEM_MAP ? 2 : 1;
    }
    return it;
}

/* Rule: the top is an array, and what stands at a key's place is a string. */
static bool item_fits(const struct rpc_scan *s, const struct item *it)
{
    if (it->kind == ITEM_BAD) {
        return false;
    }
    if (s->depth == 0) {
        return it->kind == ITEM_ARRAY;
    }
    bool at_key = s->is_map[s->depth - 1] && s->left[s->depth - 1] % 2 == 0;
    return !at_key || it->kind == ITEM_STR;
}

/* One element of the innermost container is done, and with it perhaps containers. */
static void element_done(struct rpc_scan *s)
{
    while (s->depth > 0 && --s->left[s->depth - 1] == 0) {
        s->depth--;
    }
}

enum rpc_scan_result rpc_scan(struct rpc_scan *s, const uint8_t *p, size_t n, size_t limit)
{
    assert(limit < (1u << 31) && s->depth_max <= RPC_DEPTH_HANDED_MAX);
    while (s->owed > 0) {
        if (s->at + s->owed > limit) {
            return RPC_SCAN_TOO_LARGE;
        }
        if (s->at >= n) {
            return RPC_SCAN_MORE;
        }
        struct item it = item_at(p + s->at, n - s->at);
        if (!item_fits(s, &it)) {
            return RPC_SCAN_BAD;
        }
        if (it.head > n - s->at) {
            return RPC_SCAN_MORE;
        }
        if (s->at + it.head + it.body + s->owed - 1 > limit) {
            return RPC_SCAN_TOO_LARGE; /* also keeps body below 2^31 */
        }
        s->at += it.head;
        s->owed--;
        if (it.kind != ITEM_ARRAY && it.kind != ITEM_MAP) {
            s->at += it.body;
            element_done(s);
            continue;
        }
        s->elements += it.body;
        if (s->elements_max > 0 && s->elements > s->elements_max) {
            return RPC_SCAN_TOO_MANY;
        }
        if (s->depth == s->depth_max) {
            return RPC_SCAN_BAD;
        }
        if (it.body == 0) {
            element_done(s);
            continue;
        }
        s->left[s->depth] = (uint32_t)it.body;
        s->is_map[s->depth] = it.kind == ITEM_MAP;
        s->depth++;
        s->owed += it.body;
    }
    return s->at <= n ? RPC_SCAN_DONE : s->at > limit ? RPC_SCAN_TOO_LARGE : RPC_SCAN_MORE;
}

static bool read_id(struct mp *m, uint32_t *id)
{
    uint64_t v;
    if (!mp_read_uint(m, &v) || v > UINT32_MAX) {
        return false;
    }
    *id = (uint32_t)v;
    return true;
}

bool rpc_message_parse(struct mp m, struct rpc_message *out)
{
    uint32_t count;
    uint64_t type;
    memset(out, 0, sizeof *out);
    if (!mp_read_array(&m, &count) || !mp_read_uint(&m, &type)) {
        return false;
    }
    bool ok;
    if (type == RPC_MESSAGE_REQUEST && count == 4) {
        ok = read_id(&m, &out->id) && mp_read_str(&m, &out->method) && mp_read_item(&m, &out->params);
    } else if (type == RPC_MESSAGE_RESPONSE && count == 4) {
        ok = read_id(&m, &out->id) && mp_read_item(&m, &out->error) && mp_read_item(&m, &out->result);
    } else if (type == RPC_MESSAGE_NOTIFY && count == 3) {
        ok = mp_read_str(&m, &out->method) && mp_read_item(&m, &out->params);
    } else {
        return false;
    }
    out->type = (enum rpc_message_type)type;
    return ok && m.p == m.end && (type == RPC_MESSAGE_RESPONSE || mp_type(out->params) == MP_ARRAY);
}

bool rpc_message_params(struct mp params, struct mp *map)
{
    uint32_t count;
    return mp_read_array(&params, &count) && count == 1 && mp_read_item(&params, map) && mp_type(*map) == MP_MAP;
}

bool rpc_stream_params(struct mp params, uint32_t *id, unsigned *side, struct mp *item)
{
    uint32_t count;
    uint64_t v;
    if (!mp_read_array(&params, &count) || count != 3 || !read_id(&params, id) || !mp_read_uint(&params, &v) || v > 1) {
        return false;
    }
    *side = (unsigned)v;
    return mp_read_item(&params, item);
}

/* ---- Errors on the wire ---- */

static void write_causes(struct buf *out, const struct error *err)
{
    struct error_cause_text c;
    mp_write_cstr(out, "causes");
    mp_write_array(out, err->causes_kept);
    for (unsigned i = 0; i < err->causes_kept; i++) {
        bool there = error_cause(err, i, &c);
        assert(there);
        (void)there;
        mp_write_map(out, 3);
        mp_write_key_str(out, "reason", str_of(error_cause_word(c.reason)));
        mp_write_key_str(out, "field", c.field);
        mp_write_key_str(out, "message", c.text);
    }
    mp_write_key_int(out, "causesAll", err->causes_all);
}

void rpc_write_error(struct buf *out, const struct error *err)
{
    if (err == NULL) {
        mp_write_nil(out);
        return;
    }
    struct str group, kind, name;
    bool field = err->field[0] != '\0', retry = err->retry_after_ms != 0, causes = err->causes_all > 0;
    bool about = error_about(err, &group, &kind, &name);
    mp_write_map(out, 3u + field + retry + 2 * causes + about);
    mp_write_key_int(out, "code", err->code);
    mp_write_key_str(out, "reason", str_of(err_reason(err->code)));
    mp_write_key_str(out, "message", str_of(err->message));
    if (field) {
        mp_write_key_str(out, "field", str_of(err->field));
    }
    if (retry) {
        mp_write_key_int(out, "retryAfterMs", err->retry_after_ms);
    }
    if (about) {
        mp_write_cstr(out, "about");
        mp_write_map(out, 3);
        mp_write_key_str(out, "group", group);
        mp_write_key_str(out, "kind", kind);
        mp_write_key_str(out, "name", name);
    }
    if (causes) {
        write_causes(out, err);
    }
}

static void copy_text(char *to, size_t size, struct str s)
{
    size_t n = MIN(s.n, size - 1);
    while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80) {
        n--; /* not in the middle of a character */
    }
    for (size_t i = 0; i < n; i++) {
        to[i] = s.p[i] == '\0' ? ' ' : s.p[i];
    }
    to[n] = '\0';
}

static enum error_cause cause_of(struct str word)
{
    for (unsigned i = 0; i < ERROR_CAUSES; i++) {
        if (str_is(word, error_cause_word((enum error_cause)i))) {
            return (enum error_cause)i;
        }
    }
    return ERROR_CAUSE_INVALID; /* of a later release */
}

static void read_causes(struct mp list, int64_t all, struct error *err)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it) && err->causes_all < ERROR_CAUSES_MAX;) {
        error_add_cause(err, cause_of(mp_str(mp_get(it.value, "reason"))), mp_str(mp_get(it.value, "field")),
                        mp_str(mp_get(it.value, "message")));
    }
    err->causes_all = all > err->causes_all && all <= UINT_MAX ? (unsigned)all : err->causes_all;
}

/* Other implementations put anything there, often a string. */
void rpc_read_error(struct mp m, struct error *err)
{
    memset(err, 0, sizeof *err);
    if (mp_type(m) != MP_MAP) {
        err->code = ERR_INTERNAL;
        struct str text = mp_str(m);
        copy_text(err->message, sizeof err->message,
                  text.n > 0 ? text : STR("the peer answered with an error it does not name"));
        return;
    }
    int64_t code = mp_int(mp_get(m, "code"), 0);
    err->code = code < 0 && code > -10000 ? (int)code : ERR_INTERNAL;
    copy_text(err->message, sizeof err->message, mp_str(mp_get(m, "message")));
    copy_text(err->field, sizeof err->field, mp_str(mp_get(m, "field")));
    int64_t retry = mp_int(mp_get(m, "retryAfterMs"), 0);
    err->retry_after_ms = retry > 0 && retry < 3600000 ? (int)retry : 0;
    struct mp about = mp_get(m, "about");
    error_set_about(err, mp_str(mp_get(about, "group")), mp_str(mp_get(about, "kind")), mp_str(mp_get(about, "name")));
    read_causes(mp_get(m, "causes"), mp_int(mp_get(m, "causesAll"), 0), err);
}
