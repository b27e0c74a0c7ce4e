/* JSON patch (RFC 6902) with JSON pointers (RFC 6901): a list of operations, all or none.
 *
 * Beside the RFC, as Kubernetes has it: "replace" also makes a member that is not there, "test" for null also holds
 * where there is none, and "-1" is the last element of a list ("add" puts behind it).
 *
 * The operations change a copy of the document. `copy` could double it each time, so what is copied is counted. */
#include <assert.h>
#include <stdio.h>

#include "proto/patch/patch_int.h"
#include "proto/text/text.h"

#define OPERATIONS_MAX 10000u
#define LOOKS_MAX      (2u << 20) /* members that all operations together may be compared with: lookups are linear */
#define COPY_SIZE_MAX  (3u << 20) /* bytes that all `copy` operations together may add, nodes counted as 64 */

struct json_patch {
    struct arena *arena;
    struct value *doc;
    size_t copied;
    size_t looked;
    unsigned at; /* operation, for errors */
    struct error *err;
};

/* Where a pointer leads: the container and the key or index in it. container NULL: the document itself. */
struct target {
    struct value *container;
    struct str key;    /* unescaped, in a map */
    unsigned index;    /* in a list; count = behind the last */
    unsigned from_end; /* the index was -from_end; 0: counted from the front */
    unsigned depth;
    struct value *value; /* what is there; NULL if nothing */
};

#define FAIL(p, path, ...)                                                                                             \
    ({                                                                                                                 \
        char fail_text_[256];                                                                                          \
        snprintf(fail_text_, sizeof fail_text_, __VA_ARGS__);                                                          \
        fail((p), (path), fail_text_);                                                                                 \
    })

static int fail(const struct json_patch *p, struct str path, const char *text)
{
    char field[ERROR_FIELD_MAX];
    snprintf(field, sizeof field, "%.*s", STR_ARG(path));
    return error_set_field(p->err, ERR_INVALID, field, "JSON patch, operation %u, path \"%s\": %s", p->at, field, text);
}

/* ---- Pointers ---- */

/* ~1 is /, ~0 is ~. False for any other ~. */
static bool unescape(struct arena *a, struct str token, struct str *out)
{
    char *s = arena_alloc(a, token.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] != '~') {
            s[n++] = token.p[i];
            continue;
        }
        if (i + 1 == token.n || (token.p[i + 1] != '0' && token.p[i + 1] != '1')) {
            return false;
        }
        s[n++] = token.p[++i] == '0' ? '~' : '/';
    }
    *out = (struct str){s, n};
    return true;
}

/* Decimal without leading zeros. */
static bool parse_number(struct str s, unsigned *number)
{
    if (s.n == 0 || s.n > 9 || (s.p[0] == '0' && s.n > 1)) {
        return false;
    }
    *number = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        *number = *number * 10 + (unsigned)(s.p[i] - '0');
    }
    return true;
}

/* "-" is the end; "-N" counts from it, and one farther than there are elements where something is put in. */
static bool parse_index(struct target *t, unsigned count)
{
    struct str s = t->key;
    if (str_is(s, "-")) {
        t->index = count;
        return true;
    }
    if (s.n == 0 || s.p[0] != '-') {
        return parse_number(s, &t->index) && t->index <= count;
    }
    if (!parse_number((struct str){s.p + 1, s.n - 1}, &t->from_end) || t->from_end == 0 || t->from_end > count + 1) {
        return false;
    }
    t->index = t->from_end > count ? count : count - t->from_end;
    return true;
}

static int step(struct json_patch *p, struct str path, struct str token, struct target *t)
{
    struct value *in = t->depth == 0 ? p->doc : t->value;
    t->container = in;
    p->looked += value_count(in) + 1; /* a list's elements are moved */
    t->depth++;
    t->value = NULL;
    if (!unescape(p->arena, token, &t->key)) {
        return FAIL(p, path, "~ must be followed by 0 or 1");
    }
    if (value_is_map(in)) {
        t->value = value_get_str_key(in, t->key);
        return 0;
    }
    if (!value_is_list(in)) {
        return FAIL(p, path, "\"%.*s\" is looked for in what is no map and no list", STR_ARG(t->key));
    }
    t->from_end = 0;
    if (!parse_index(t, in->list.count)) {
        return FAIL(p, path, "\"%.*s\" is no index into a list of %u", STR_ARG(t->key), in->list.count);
    }
    t->value = t->index < in->list.count ? value_item(in, t->index) : NULL;
    return 0;
}

static int resolve(struct json_patch *p, struct str path, struct target *t)
{
    *t = (struct target){.value = p->doc};
    if (path.n > 0 && path.p[0] != '/') {
        return FAIL(p, path, "a path is empty or begins with /");
    }
    for (size_t at = 1; path.n > 0 && at <= path.n;) {
        const char *slash = memchr(path.p + at, '/', path.n - at);
        size_t n = slash == NULL ? path.n - at : (size_t)(slash - (path.p + at));
        if (at > 1 && t->value == NULL) {
            return FAIL(p, path, "there is no \"%.*s\"", STR_ARG(t->key));
        }
        int rc = step(p, path, (struct str){path.p + at, n}, t);
        if (rc != 0) {
            return rc;
        }
        at += n + 1;
    }
    return 0;
}

static int resolve_existing(struct json_patch *p, struct str path, struct target *t)
{
    int rc = resolve(p, path, t);
    return rc == 0 && t->value == NULL ? FAIL(p, path, "there is nothing") : rc;
}

/* ---- Sizes ---- */

static unsigned measure(const struct value *v, size_t *size)
{
    unsigned deepest = 0;
    *size += 64 + (v->type == VALUE_STR || v->type == VALUE_BIN ? v->str.n : 0);
    for (unsigned i = 0; i < value_count(v); i++) {
        const struct value *child = v->type == VALUE_MAP ? v->map.members[i].value : value_item(v, i);
        *size += v->type == VALUE_MAP ? v->map.members[i].key.n : 0;
        unsigned d = measure(child, size);
        deepest = MAX(deepest, d);
    }
    return deepest + (v->type == VALUE_MAP || v->type == VALUE_LIST);
}

/* ---- Operations ---- */

/* v becomes part of the document, so it must be nobody else's. */
static int put(struct json_patch *p, struct str path, const struct target *t, struct value *v, bool insert)
{
    size_t size = 0;
    if (t->depth + measure(v, &size) > VALUE_DEPTH_MAX) {
        return FAIL(p, path, "nested deeper than %d levels", VALUE_DEPTH_MAX);
    }
    if (t->container == NULL) {
        p->doc = v;
    } else if (t->container->type == VALUE_MAP) {
        if (t->value == NULL && t->container->map.count >= VALUE_MEMBERS_MAX) {
            return FAIL(p, path, "more than %u members in one map", VALUE_MEMBERS_MAX);
        }
        value_set_str_key(p->arena, t->container, t->key, v);
    } else if (insert) {
        value_insert(p->arena, t->container, t->index, v);
    } else {
        t->container->list.items[t->index] = v;
    }
    return 0;
}

static int take_out(struct json_patch *p, struct str path, const struct target *t)
{
    if (t->container == NULL) {
        return FAIL(p, path, "the whole document cannot be removed");
    }
    if (t->container->type == VALUE_MAP) {
        value_remove_str_key(t->container, t->key);
    } else {
        value_remove_at(t->container, t->index);
    }
    return 0;
}

struct operation {
    struct str path, from;
    const struct value *value;
};

/* Where something is put in: counted from the end with what comes, so that "-1" will be the last one. */
static int resolve_new(struct json_patch *p, struct str path, struct target *t)
{
    int rc = resolve(p, path, t);
    if (rc == 0 && value_is_list(t->container) && t->from_end > 0) {
        t->index = t->container->list.count + 1 - t->from_end;
    }
    return rc;
}

/* A member of a map, or nothing at all: only there may be nothing. */
static int resolve_member(struct json_patch *p, struct str path, struct target *t)
{
    int rc = resolve(p, path, t);
    return rc == 0 && t->value == NULL && !value_is_map(t->container) ? FAIL(p, path, "there is nothing") : rc;
}

static int op_add(struct json_patch *p, const struct operation *o)
{
    struct target t;
    int rc = resolve_new(p, o->path, &t);
    return rc != 0 ? rc : put(p, o->path, &t, value_copy(p->arena, o->value), true);
}

static int op_remove(struct json_patch *p, const struct operation *o)
{
    struct target t;
    int rc = resolve_existing(p, o->path, &t);
    return rc != 0 ? rc : take_out(p, o->path, &t);
}

static int op_replace(struct json_patch *p, const struct operation *o)
{
    struct target t;
    int rc = resolve_member(p, o->path, &t);
    return rc != 0 ? rc : put(p, o->path, &t, value_copy(p->arena, o->value), false);
}

/* Equal to what a client sees: bytes are base64 text in JSON. */
static bool equal_as_json(struct json_patch *p, const struct value *have, const struct value *want)
{
    p->looked++;
    if (p->looked > LOOKS_MAX) {
        return false; /* which is told as such: run_operation */
    }
    if (have->type == VALUE_BIN && want->type == VALUE_STR) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        base64_write(&b, have->str.p, have->str.n);
        return str_eq(buf_str(&b), want->str);
    }
    if (have->type != want->type || value_count(have) != value_count(want)) {
        return value_equal(have, want);
    }
    for (unsigned i = 0; have->type == VALUE_LIST && i < have->list.count; i++) {
        if (!equal_as_json(p, value_item(have, i), value_item(want, i))) {
            return false;
        }
    }
    for (unsigned i = 0; have->type == VALUE_MAP && i < have->map.count; i++) {
        const struct value_member *m = &have->map.members[i], *same = &want->map.members[i];
        bool in_order = str_eq(m->key, same->key);
        const struct value *w = in_order ? same->value : value_get_str_key(want, m->key);
        p->looked += in_order ? 0 : want->map.count;
        if (w == NULL || !equal_as_json(p, m->value, w)) {
            return false;
        }
    }
    return have->type == VALUE_LIST || have->type == VALUE_MAP || value_equal(have, want);
}

static int op_test(struct json_patch *p, const struct operation *o)
{
    struct target t;
    int rc = value_is_null(o->value) ? resolve_member(p, o->path, &t) : resolve_existing(p, o->path, &t);
    bool same = rc == 0 && (t.value == NULL || equal_as_json(p, t.value, o->value));
    return rc == 0 && !same ? FAIL(p, o->path, "test failed: the value is another") : rc;
}

static int op_move(struct json_patch *p, const struct operation *o)
{
    struct target from, to;
    bool inside = o->path.n > o->from.n && str_starts(o->path, o->from) && o->path.p[o->from.n] == '/';
    int rc = resolve_existing(p, o->from, &from);
    if (rc != 0 || str_eq(o->path, o->from)) {
        return rc;
    }
    rc = inside ? FAIL(p, o->path, "a value cannot be moved into itself") : take_out(p, o->from, &from);
    rc = rc != 0 ? rc : resolve_new(p, o->path, &to);
    return rc != 0 ? rc : put(p, o->path, &to, from.value, true);
}

static int op_copy(struct json_patch *p, const struct operation *o)
{
    struct target from, to;
    int rc = resolve_existing(p, o->from, &from);
    if (rc != 0) {
        return rc;
    }
    measure(from.value, &p->copied);
    if (p->copied > COPY_SIZE_MAX) {
        return FAIL(p, o->path, "the copies are too large (%u bytes at most)", COPY_SIZE_MAX);
    }
    struct value *v = value_copy(p->arena, from.value);
    rc = resolve_new(p, o->path, &to);
    return rc != 0 ? rc : put(p, o->path, &to, v, true);
}

static const struct {
    const char *name;
    int (*run)(struct json_patch *p, const struct operation *o);
    bool needs_value, needs_from;
} operations[] = {
    {"add", op_add, true, false},   {"remove", op_remove, false, false}, {"replace", op_replace, true, false},
    {"move", op_move, false, true}, {"copy", op_copy, false, true},      {"test", op_test, true, false},
};

static int run_operation(struct json_patch *p, const struct value *op)
{
    struct str name = value_to_str(value_get(op, "op"));
    const struct value *path = value_get(op, "path"), *from = value_get(op, "from");
    struct operation o = {.path = value_to_str(path), .from = value_to_str(from), .value = value_get(op, "value")};
    if (!value_is_map(op) || !value_is_str(path)) {
        return FAIL(p, o.path, "an operation is a map with op and path");
    }
    for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
        if (!str_is(name, operations[i].name)) {
            continue;
        }
        if ((operations[i].needs_value && o.value == NULL) || (operations[i].needs_from && !value_is_str(from))) {
            return FAIL(p, o.path, "%s needs \"%s\"", operations[i].name, operations[i].needs_value ? "value" : "from");
        }
        int rc = operations[i].run(p, &o);
        return p->looked <= LOOKS_MAX
                   ? rc
                   : FAIL(p, o.path, "the operations have too much to look through; send fewer at a time");
    }
    return FAIL(p, o.path, "op \"%.*s\" is unknown: add, remove, replace, move, copy or test", STR_ARG(name));
}

int patch_json(struct arena *a, const struct value *current, const struct value *patch, struct value **out,
               struct error *err)
{
    if (!value_is_list(patch)) {
        return error_set(err, ERR_INVALID, "a JSON patch must be a list of operations, not a %s",
                         value_type_name(patch->type));
    }
    if (patch->list.count > OPERATIONS_MAX) {
        return error_set(err, ERR_TOO_LARGE, "a JSON patch of %u operations; at most %u are carried out",
                         patch->list.count, OPERATIONS_MAX);
    }
    struct json_patch p = {.arena = a, .doc = value_copy(a, current), .err = err};
    for (; p.at < patch->list.count; p.at++) {
        int rc = run_operation(&p, value_item(patch, p.at));
        if (rc != 0) {
            return rc;
        }
    }
    *out = p.doc;
    return 0;
}
