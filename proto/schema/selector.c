/* A selector is a list of requirements, all of which must hold. Source of the grammar and of what absent labels mean:
 * Kubernetes "Labels and Selectors" and "Field Selectors". */
#include "proto/schema/selector.h"

#include <assert.h>
#include <stdio.h>

#define SELECTOR_SIZE_MAX (64u << 10) /* bytes of text */

enum op { OP_EQUAL, OP_NOT_EQUAL, OP_IN, OP_NOT_IN, OP_EXISTS, OP_NOT_EXISTS, OP_GREATER, OP_LESS };

struct requirement {
    struct str key;
    enum op op;
    struct str *values;
    unsigned count;
    struct str absent; /* of a field: the text that counts if it is not there */
    struct requirement *next;
};

struct selector {
    bool nothing; /* matches no object at all */
    struct requirement *first, **last;
};

static struct selector *new_selector(struct arena *a)
{
    struct selector *s = arena_alloc(a, sizeof *s);
    s->last = &s->first;
    return s;
}

static struct requirement *add_requirement(struct arena *a, struct selector *s, struct str key, enum op op)
{
    struct requirement *r = arena_alloc(a, sizeof *r);
    r->key = (struct str){arena_strndup(a, key.p, key.n), key.n};
    r->op = op;
    *s->last = r;
    s->last = &r->next;
    return r;
}

static void set_values(struct arena *a, struct requirement *r, const struct value *list)
{
    r->count = value_count(list);
    r->values = arena_alloc(a, r->count * sizeof *r->values);
    for (unsigned i = 0; i < r->count; i++) {
        struct str v = value_to_str(value_item(list, i));
        r->values[i] = (struct str){arena_strndup(a, v.p, v.n), v.n};
    }
}

static void one_value(struct arena *a, struct requirement *r, struct str v)
{
    r->values = arena_alloc(a, sizeof *r->values);
    r->values[0] = (struct str){arena_strndup(a, v.p, v.n), v.n};
    r->count = 1;
}

static bool parse_int64(struct str s, int64_t *out)
{
    uint64_t v = 0;
    bool negative = s.n > 0 && s.p[0] == '-';
    if (s.n == negative || s.n > 19) {
        return false;
    }
    for (size_t i = negative; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = negative ? -(int64_t)v : (int64_t)v;
    return v <= INT64_MAX;
}

static int check_label(const struct requirement *r, struct error *err)
{
    if (!name_is_label_key(r->key)) {
        return error_set(err, ERR_INVALID,
                         "label selector: \"%.*s\" is no label key ([prefix/]name of letters, digits, - _ .)",
                         STR_ARG(r->key));
    }
    for (unsigned i = 0; i < r->count; i++) {
        int64_t number;
        if (r->op == OP_GREATER || r->op == OP_LESS) {
            if (!parse_int64(r->values[i], &number)) {
                return error_set(err, ERR_INVALID,
                                 "label selector: \"%.*s\" is compared with \"%.*s\", which is no integer",
                                 STR_ARG(r->key), STR_ARG(r->values[i]));
            }
        } else if (!name_is_label_value(r->values[i])) {
            return error_set(err, ERR_INVALID,
                             "label selector: \"%.*s\" is no label value (at most 63 letters, digits, - _ .)",
                             STR_ARG(r->values[i]));
        }
    }
    return 0;
}

/* ---- Text ---- */

struct scan {
    struct arena *arena;
    const char *start, *p, *end;
    struct error *err;
};

static int fail(const struct scan *c, const char *expected)
{
    struct str rest = {c->p, (size_t)(c->end - c->p)};
    return error_set(c->err, ERR_INVALID, "selector \"%.*s\": expected %s at \"%.*s\"",
                     (int)MIN((size_t)(c->end - c->start), (size_t)300), c->start, expected,
                     (int)MIN(rest.n, (size_t)60), rest.p == NULL ? "" : rest.p);
}

static void skip_space(struct scan *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r')) {
        c->p++;
    }
}

static bool take(struct scan *c, char ch)
{
    skip_space(c);
    if (c->p < c->end && *c->p == ch) {
        c->p++;
        return true;
    }
    return false;
}

static struct str take_word(struct scan *c)
{
    skip_space(c);
    const char *from = c->p;
    while (c->p < c->end && memchr(" \t\r\n,=!()<>", *c->p, 11) == NULL) {
        c->p++;
    }
    return (struct str){from, (size_t)(c->p - from)};
}

/* (a, b, c), empty elements being the empty value. */
static int read_set(struct scan *c, struct requirement *r)
{
    if (!take(c, '(')) {
        return fail(c, "( and a list of values");
    }
    struct value *list = value_list(c->arena);
    do {
        value_append(c->arena, list, value_str(c->arena, take_word(c)));
    } while (take(c, ','));
    if (!take(c, ')')) {
        return fail(c, ", or )");
    }
    set_values(c->arena, r, list);
    return 0;
}

static int read_requirement(struct scan *c, struct selector *s)
{
    bool negated = take(c, '!');
    struct str key = take_word(c);
    if (str_empty(key)) {
        return fail(c, "a label key");
    }
    struct requirement *r = add_requirement(c->arena, s, key, negated ? OP_NOT_EXISTS : OP_EXISTS);
    skip_space(c);
    if (negated || c->p == c->end || *c->p == ',') {
        return 0;
    }
    if (take(c, '=')) {
        take(c, '=');
        r->op = OP_EQUAL;
    } else if (take(c, '!')) {
        if (!take(c, '=')) {
            return fail(c, "=");
        }
        r->op = OP_NOT_EQUAL;
    } else if (take(c, '>')) {
        r->op = OP_GREATER;
    } else if (take(c, '<')) {
        r->op = OP_LESS;
    } else {
        const char *before = c->p;
        struct str word = take_word(c);
        r->op = str_is(word, "in") ? OP_IN : OP_NOT_IN;
        if (!str_is(word, "in") && !str_is(word, "notin")) {
            c->p = before;
            return fail(c, "= == != in notin > < or ,");
        }
        return read_set(c, r);
    }
    one_value(c->arena, r, take_word(c));
    return 0;
}

static int check_size(struct str text, struct error *err)
{
    return text.n <= SELECTOR_SIZE_MAX ? 0
                                       : error_set(err, ERR_TOO_LARGE, "a selector of %zu bytes; at most %u are read",
                                                   text.n, SELECTOR_SIZE_MAX);
}

int selector_parse(struct arena *a, struct str text, struct selector **out, struct error *err)
{
    assert(a != NULL && out != NULL);
    const char *p = text.p == NULL ? "" : text.p;
    struct scan c = {.arena = a, .start = p, .p = p, .end = p + text.n, .err = err};
    struct selector *s = new_selector(a);
    int rc = check_size(text, err);
    skip_space(&c);
    while (rc == 0 && c.p < c.end) {
        struct requirement **added = s->last;
        rc = read_requirement(&c, s);
        rc = rc == 0 ? check_label(*added, err) : rc;
        skip_space(&c);
        if (rc == 0 && c.p < c.end) {
            bool more = take(&c, ',');
            skip_space(&c);
            rc = !more ? fail(&c, ",") : c.p == c.end ? fail(&c, "another requirement after the comma") : 0;
        }
    }
    *out = rc == 0 ? s : NULL;
    return rc;
}

/* ---- Documents ---- */

static const struct {
    const char *name;
    enum op op;
    unsigned values_min, values_max;
} operators[] = {
    {"In", OP_IN, 1, UINT32_MAX}, {"NotIn", OP_NOT_IN, 1, UINT32_MAX},
    {"Exists", OP_EXISTS, 0, 0},  {"DoesNotExist", OP_NOT_EXISTS, 0, 0},
    {"Gt", OP_GREATER, 1, 1},     {"Lt", OP_LESS, 1, 1},
};

static int add_expression(struct arena *a, struct selector *s, const struct value *e, struct error *err)
{
    struct str name = value_to_str(value_get(e, "operator"));
    const struct value *values = value_get(e, "values");
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
        if (!str_is(name, operators[i].name)) {
            continue;
        }
        unsigned n = value_count(values);
        if (n < operators[i].values_min || n > operators[i].values_max) {
            return error_set_field(err, ERR_INVALID, "matchExpressions", "operator %s takes %s values, %u are given",
                                   operators[i].name,
                                   operators[i].values_max == 0   ? "no"
                                   : operators[i].values_max == 1 ? "one of"
                                                                  : "one or more",
                                   n);
        }
        struct requirement *r = add_requirement(a, s, value_to_str(value_get(e, "key")), operators[i].op);
        set_values(a, r, values);
        return check_label(r, err);
    }
    return error_set_field(err, ERR_INVALID, "matchExpressions",
                           "operator \"%.*s\" is unknown: In, NotIn, Exists or DoesNotExist", STR_ARG(name));
}

static int add_labels(struct arena *a, struct selector *s, const struct value *labels, struct error *err)
{
    for (unsigned i = 0; i < value_count(labels); i++) {
        const struct value_member *m = &labels->map.members[i];
        if (!value_is_str(m->value)) {
            return error_set_field(err, ERR_INVALID, "matchLabels", "label \"%.*s\" must be a string, not %s",
                                   STR_ARG(m->key), value_type_name(m->value->type));
        }
        struct requirement *r = add_requirement(a, s, m->key, OP_EQUAL);
        one_value(a, r, m->value->str);
        int rc = check_label(r, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* The old spelling: the map is the labels themselves. */
static bool is_plain_map(const struct value *v)
{
    for (unsigned i = 0; i < v->map.count; i++) {
        if (!value_is_str(v->map.members[i].value)) {
            return false;
        }
    }
    return true;
}

int selector_from_value(struct arena *a, const struct value *label_selector, struct selector **out, struct error *err)
{
    assert(a != NULL && out != NULL);
    struct selector *s = new_selector(a);
    s->nothing = value_is_null(label_selector);
    *out = s;
    if (s->nothing) {
        return 0;
    }
    if (!value_is_map(label_selector)) {
        return error_set(err, ERR_INVALID, "a selector must be a map, not a %s", value_type_name(label_selector->type));
    }
    if (is_plain_map(label_selector)) {
        return add_labels(a, s, label_selector, err);
    }
    for (unsigned i = 0; i < label_selector->map.count; i++) {
        const struct value_member *m = &label_selector->map.members[i];
        bool known = (str_is(m->key, "matchLabels") && (value_is_map(m->value) || value_is_null(m->value))) ||
                     (str_is(m->key, "matchExpressions") && (value_is_list(m->value) || value_is_null(m->value)));
        if (!known) {
            return error_set(err, ERR_INVALID,
                             "a selector has a map matchLabels and a list matchExpressions, not a %s \"%.*s\"",
                             value_type_name(m->value->type), STR_ARG(m->key));
        }
    }
    const struct value *expressions = value_get(label_selector, "matchExpressions");
    int rc = add_labels(a, s, value_get(label_selector, "matchLabels"), err);
    for (unsigned i = 0; rc == 0 && i < value_count(expressions); i++) {
        rc = add_expression(a, s, value_item(expressions, i), err);
    }
    return rc;
}

int selector_from_mp(struct arena *a, struct mp label_selector, struct selector **out, struct error *err)
{
    struct value *v = NULL;
    if (mp_type(label_selector) != MP_NONE) {
        int rc = msgpack_read_value(a, label_selector.p, (size_t)(label_selector.end - label_selector.p), &v, err);
        if (rc != 0) {
            return rc;
        }
    }
    return selector_from_value(a, v, out, err);
}

bool selector_empty(const struct selector *s)
{
    return !s->nothing && s->first == NULL;
}

/* ---- Matching ---- */

static bool among(const struct requirement *r, struct str v)
{
    for (unsigned i = 0; i < r->count; i++) {
        if (str_eq(r->values[i], v)) {
            return true;
        }
    }
    return false;
}

static bool holds(const struct requirement *r, bool present, struct str v)
{
    int64_t have, want;
    switch (r->op) {
    case OP_EQUAL:
    case OP_IN:
        return present && among(r, v);
    case OP_NOT_EQUAL:
    case OP_NOT_IN: /* also where the label is absent */
        return !present || !among(r, v);
    case OP_EXISTS:
        return present;
    case OP_NOT_EXISTS:
        return !present;
    case OP_GREATER:
    case OP_LESS:
        return present && parse_int64(v, &have) && parse_int64(r->values[0], &want) &&
               (r->op == OP_GREATER ? have > want : have < want);
    }
    return false;
}

bool selector_matches(const struct selector *s, struct mp labels)
{
    if (s->nothing) {
        return false;
    }
    for (const struct requirement *r = s->first; r != NULL; r = r->next) {
        struct str v = mp_str(mp_get_str_key(labels, r->key));
        if (!holds(r, v.p != NULL, v)) {
            return false;
        }
    }
    return true;
}

bool selector_matches_value(const struct selector *s, const struct value *labels)
{
    if (s->nothing) {
        return false;
    }
    for (const struct requirement *r = s->first; r != NULL; r = r->next) {
        const struct value *v = value_get_str_key(labels, r->key);
        if (!holds(r, value_is_str(v), value_to_str(v))) {
            return false;
        }
    }
    return true;
}

bool selector_matches_object(const struct selector *s, const struct object *o)
{
    if (s->first == NULL) {
        return !s->nothing;
    }
    return selector_matches(s, object_labels(o));
}

/* ---- Text of a selector ---- */

static void write_values(struct buf *out, const struct requirement *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        buf_puts(out, i > 0 ? "," : "");
        buf_append_str(out, r->values[i]);
    }
}

void selector_write(struct buf *out, const struct selector *s)
{
    static const char *const middle[] = {
        [OP_EQUAL] = "=", [OP_NOT_EQUAL] = "!=", [OP_IN] = " in (",  [OP_NOT_IN] = " notin (",
        [OP_EXISTS] = "", [OP_NOT_EXISTS] = "",  [OP_GREATER] = ">", [OP_LESS] = "<",
    };
    if (s->first == NULL) {
        buf_puts(out, "<none>");
    }
    for (const struct requirement *r = s->first; r != NULL; r = r->next) {
        buf_puts(out, r == s->first ? "" : ",");
        buf_puts(out, r->op == OP_NOT_EXISTS ? "!" : "");
        buf_append_str(out, r->key);
        buf_puts(out, middle[r->op]);
        write_values(out, r);
        buf_puts(out, r->op == OP_IN || r->op == OP_NOT_IN ? ")" : "");
    }
}

/* ---- Field selectors ---- */

/* Up to the next bare comma; `\,` `\=` `\\` stand for the characters themselves. */
static int take_field_value(struct scan *c, struct str *out)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (; c->p < c->end && *c->p != ','; c->p++) {
        if (*c->p == '=') {
            return fail(c, "a value (write \\= for =)");
        }
        if (*c->p == '\\') {
            if (c->p + 1 == c->end || memchr("\\,=", c->p[1], 3) == NULL) {
                return fail(c, "\\, or \\= or \\\\ after a backslash");
            }
            c->p++;
        }
        buf_putc(&b, *c->p);
    }
    *out = (struct str){arena_strndup(c->arena, (const char *)b.data, b.size), b.size};
    return 0;
}

/* Finds the path that a key stands for among names separated by blanks ("name" or "name=path"). */
static bool find_selectable(const char *names, struct str key, struct str *path)
{
    while (names != NULL && *names != '\0') {
        size_t n = strcspn(names, " "), name_n = strcspn(names, " =");
        if (name_n == key.n && memcmp(names, key.p, key.n) == 0) {
            *path = name_n < n ? (struct str){names + name_n + 1, n - name_n - 1} : (struct str){names, n};
            return true;
        }
        names += n + (names[n] == ' ');
    }
    return false;
}

/* Of kinds without a namespace the field is empty. Those that have fields of their own do not know it, as in Kubernetes.
 */
static const char *common_names(const struct kind *k)
{
    return k->namespaced || k->selectable == NULL ? "metadata.name metadata.namespace" : "metadata.name";
}

static int unknown_field(const struct kind *k, struct str key, struct error *err)
{
    CLEANUP_BUF struct buf known = BUF_INIT;
    buf_puts(&known, strchr(common_names(k), ' ') != NULL ? "metadata.name, metadata.namespace" : "metadata.name");
    for (const char *p = k->selectable; p != NULL && *p != '\0';) {
        size_t n = strcspn(p, " "), name_n = strcspn(p, " =");
        buf_printf(&known, ", %.*s", (int)name_n, p);
        p += n + (p[n] == ' ');
    }
    return error_set(err, ERR_USAGE, "field label not supported: %.*s; %s can be selected by %s",
                     (int)MIN(key.n, (size_t)200), key.p, k->plural, buf_cstr(&known));
}

/* What an absent field counts as. */
static struct str absent_text(const struct kind *k, struct str path)
{
    const struct schema *s = k->schema;
    const struct field *f = NULL;
    while (s != NULL && path.n > 0) {
        const char *dot = memchr(path.p, '.', path.n);
        size_t n = dot == NULL ? path.n : (size_t)(dot - path.p);
        f = schema_field(s, (struct str){path.p, n});
        s = f == NULL ? NULL : f->sub;
        path.p += n + (dot != NULL);
        path.n -= n + (dot != NULL);
    }
    if (f == NULL || f->shape != SHAPE_ONE) {
        return STR("");
    }
    bool number = f->type == FIELD_INT32 || f->type == FIELD_INT64;
    return f->type == FIELD_BOOL ? STR("false") : number ? STR("0") : STR("");
}

static int read_field_requirement(struct scan *c, const struct kind *k, struct selector *s)
{
    struct str key = take_word(c), path, v = STR_NONE;
    bool negated = take(c, '!');
    if (str_empty(key) || !take(c, '=')) {
        return fail(c, "FIELD=VALUE, FIELD==VALUE or FIELD!=VALUE");
    }
    if (!negated) {
        take(c, '=');
    }
    if (!find_selectable(common_names(k), key, &path) && !find_selectable(k->selectable, key, &path)) {
        return unknown_field(k, key, c->err);
    }
    int rc = take_field_value(c, &v);
    if (rc == 0) {
        struct requirement *r = add_requirement(c->arena, s, path, negated ? OP_NOT_EQUAL : OP_EQUAL);
        r->absent = absent_text(k, path);
        one_value(c->arena, r, v);
    }
    return rc;
}

int field_selector_parse(struct arena *a, const struct kind *k, struct str text, struct selector **out,
                         struct error *err)
{
    assert(a != NULL && k != NULL && out != NULL);
    const char *p = text.p == NULL ? "" : text.p;
    struct scan c = {.arena = a, .start = p, .p = p, .end = p + text.n, .err = err};
    struct selector *s = new_selector(a);
    int rc = check_size(text, err);
    skip_space(&c);
    while (rc == 0 && c.p < c.end) {
        rc = read_field_requirement(&c, k, s);
        if (rc == 0 && c.p < c.end && (!take(&c, ',') || c.p == c.end)) {
            rc = fail(&c, "another requirement after the comma");
        }
    }
    *out = rc == 0 ? s : NULL;
    return rc;
}

static struct str field_text(const struct object *o, const struct requirement *r, char number[32])
{
    struct str key = r->key;
    struct mp m = object_mp(o);
    for (size_t at = 0; at <= key.n;) {
        const char *dot = memchr(key.p + at, '.', key.n - at);
        size_t n = dot == NULL ? key.n - at : (size_t)(dot - (key.p + at));
        m = mp_get_str_key(m, (struct str){key.p + at, n});
        at += n + 1;
    }
    switch (mp_type(m)) {
    case MP_STR:
        return mp_str(m);
    case MP_INT:
        snprintf(number, 32, "%lld", (long long)mp_int(m, 0));
        return str_of(number);
    case MP_BOOL:
        return mp_bool(m, false) ? STR("true") : STR("false");
    default:
        return r->absent;
    }
}

bool selector_pair(const struct selector *s, unsigned nth, struct str *key, struct str *value)
{
    for (const struct requirement *r = s == NULL ? NULL : s->first; r != NULL; r = r->next) {
        if ((r->op == OP_EQUAL || r->op == OP_IN) && r->count == 1 && nth-- == 0) {
            *key = r->key;
            *value = r->values[0];
            return true;
        }
    }
    return false;
}

struct str field_selector_value(const struct selector *s, const char *key)
{
    for (const struct requirement *r = s == NULL ? NULL : s->first; r != NULL; r = r->next) {
        if (r->op == OP_EQUAL && r->count == 1 && str_is(r->key, key)) {
            return r->values[0];
        }
    }
    return STR_NONE;
}

bool field_selector_matches(const struct selector *s, const struct object *o)
{
    for (const struct requirement *r = s->first; r != NULL; r = r->next) {
        char number[32];
        if (!holds(r, true, field_text(o, r, number))) {
            return false;
        }
    }
    return true;
}
