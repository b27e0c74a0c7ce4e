/* JSON in, strictly by RFC 8259: no comments, no trailing commas, no duplicate keys unless they are asked for, valid
 * UTF-8. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/text/scalar.h"
#include "proto/text/text.h"

#define NUMBER_TEXT_MAX 400

struct json {
    struct arena *arena;
    const char *p, *end, *line_start;
    const char *file; /* named in errors; may be NULL */
    unsigned line, nodes, nodes_max;
    bool keeps_twice; /* keys that stand twice in an object stay, for text_settle_twice */
    struct error *err;
};

static unsigned column(const struct json *j)
{
    return (unsigned)(j->p - j->line_start) + 1;
}

static int fail(const struct json *j, const char *what)
{
    if (j->file != NULL) {
        return error_set(j->err, ERR_INVALID, "%s:%u:%u: %s", j->file, j->line, column(j), what);
    }
    return error_set(j->err, ERR_INVALID, "line %u, column %u: %s", j->line, column(j), what);
}

static void skip_space(struct json *j)
{
    for (; j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'); j->p++) {
        if (*j->p == '\n') {
            j->line++;
            j->line_start = j->p + 1;
        }
    }
}

static bool take(struct json *j, char c)
{
    if (j->p < j->end && *j->p == c) {
        j->p++;
        return true;
    }
    return false;
}

static int hex4(struct json *j, uint32_t *out)
{
    uint32_t v = 0;
    if (j->end - j->p < 4) {
        return fail(j, "\\u needs four hexadecimal digits");
    }
    for (unsigned i = 0; i < 4; i++) {
        char c = j->p[i];
        int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (d < 0) {
            return fail(j, "\\u needs four hexadecimal digits");
        }
        v = v << 4 | (uint32_t)d;
    }
    j->p += 4;
    *out = v;
    return 0;
}

static int read_escape(struct json *j, struct buf *b)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (j->p == j->end) {
        return fail(j, "text ends inside a string");
    }
    char c = *j->p++;
    const char *at = c == '\0' ? NULL : strchr(from, c);
    if (at != NULL) {
        buf_putc(b, to[at - from]);
        return 0;
    }
    if (c != 'u') {
        return fail(j, "unknown escape in a string (allowed: \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX)");
    }
    uint32_t code, low;
    int rc = hex4(j, &code);
    if (rc != 0) {
        return rc;
    }
    if (code >= 0xd800 && code < 0xdc00) {
        if (!take(j, '\\') || !take(j, 'u') || hex4(j, &low) != 0 || low < 0xdc00 || low > 0xdfff) {
            return fail(j, "half of a surrogate pair");
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return fail(j, "half of a surrogate pair");
    }
    char utf8[4];
    buf_append(b, utf8, utf8_encode(code, utf8));
    return 0;
}

static int read_string(struct json *j, struct str *out)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    j->p++;
    for (;;) {
        const char *run = j->p;
        while (j->p < j->end && *j->p != '"' && *j->p != '\\' && (uint8_t)*j->p >= 0x20) {
            j->p++;
        }
        struct str piece = {run, (size_t)(j->p - run)};
        if (!utf8_valid(piece)) {
            return fail(j, "a string is not UTF-8");
        }
        buf_append_str(&b, piece);
        if (j->p == j->end) {
            return fail(j, "text ends inside a string");
        }
        if (take(j, '"')) {
            *out = (struct str){arena_strndup(j->arena, (const char *)b.data, b.size), b.size};
            return 0;
        }
        if (!take(j, '\\')) {
            return fail(j, "a control character in a string must be escaped");
        }
        int rc = read_escape(j, &b);
        if (rc != 0) {
            return rc;
        }
    }
}

static size_t digits(struct json *j)
{
    const char *from = j->p;
    while (j->p < j->end && *j->p >= '0' && *j->p <= '9') {
        j->p++;
    }
    return (size_t)(j->p - from);
}

static int read_number(struct json *j, struct value *v)
{
    const char *from = j->p;
    bool integral = true;
    take(j, '-');
    bool zero = j->p < j->end && *j->p == '0';
    size_t n = digits(j);
    if (n == 0 || (zero && n > 1)) {
        return fail(j, "malformed number");
    }
    if (take(j, '.')) {
        integral = false;
        if (digits(j) == 0) {
            return fail(j, "malformed number: digits must follow the point");
        }
    }
    if (j->p < j->end && (*j->p == 'e' || *j->p == 'E')) {
        integral = false;
        j->p++;
        if (!take(j, '-')) {
            take(j, '+');
        }
        if (digits(j) == 0) {
            return fail(j, "malformed number: digits must follow the exponent");
        }
    }
    char text[NUMBER_TEXT_MAX];
    size_t size = (size_t)(j->p - from);
    if (size >= sizeof text) {
        return fail(j, "a number of too many digits");
    }
    memcpy(text, from, size);
    text[size] = '\0';
    if (integral && scalar_resolve((struct str){text, size}, v) == VALUE_INT) {
        return 0;
    }
    v->type = VALUE_FLOAT;
    v->number = strtod(text, NULL);
    return isfinite(v->number) ? 0 : fail(j, "number out of range");
}

static int read_word(struct json *j, struct value *v)
{
    struct str rest = {j->p, (size_t)(j->end - j->p)};
    if (str_starts(rest, STR("null"))) {
        j->p += 4;
        return 0;
    }
    v->type = VALUE_BOOL;
    v->boolean = str_starts(rest, STR("true"));
    if (!v->boolean && !str_starts(rest, STR("false"))) {
        return fail(j, rest.n == 0 ? "text ends where a value is expected" : "expected a JSON value");
    }
    j->p += v->boolean ? 4 : 5;
    return 0;
}

static int read_any(struct json *j, unsigned depth, struct value **out);

static int read_array(struct json *j, unsigned depth, struct value *list)
{
    j->p++;
    skip_space(j);
    if (take(j, ']')) {
        return 0;
    }
    do {
        struct value *item;
        int rc = read_any(j, depth + 1, &item);
        if (rc != 0) {
            return rc;
        }
        value_append(j->arena, list, item);
        skip_space(j);
    } while (take(j, ','));
    return take(j, ']') ? 0 : fail(j, "expected , or ] in an array");
}

static int check_members(struct json *j, const struct value *map)
{
    unsigned first, second;
    if (map->map.count > VALUE_MEMBERS_MAX) {
        return error_set(j->err, ERR_TOO_LARGE, "line %u: more than %u members in one object", map->line,
                         VALUE_MEMBERS_MAX);
    }
    if (!j->keeps_twice && value_find_duplicate(map, &first, &second)) {
        const struct value_member *m = &map->map.members[second];
        return error_set(j->err, ERR_INVALID, "line %u, column %u: key \"%.100s\" was given already on line %u",
                         m->line, m->column, m->key.p, map->map.members[first].line);
    }
    return 0;
}

static int read_object(struct json *j, unsigned depth, struct value *map)
{
    j->p++;
    skip_space(j);
    if (take(j, '}')) {
        return 0;
    }
    do {
        struct str key;
        struct value *v;
        skip_space(j);
        if (j->p == j->end || *j->p != '"') {
            return fail(j, "expected a key in double quotes");
        }
        unsigned line = j->line, col = column(j);
        int rc = read_string(j, &key);
        if (rc != 0) {
            return rc;
        }
        skip_space(j);
        if (!take(j, ':')) {
            return fail(j, "expected : after a key");
        }
        rc = read_any(j, depth + 1, &v);
        if (rc != 0) {
            return rc;
        }
        struct value_member *m = value_push(j->arena, map, key, v);
        m->line = line;
        m->column = col;
        skip_space(j);
    } while (take(j, ','));
    return take(j, '}') ? check_members(j, map) : fail(j, "expected , or } in an object");
}

static int read_any(struct json *j, unsigned depth, struct value **out)
{
    skip_space(j);
    if (++j->nodes > j->nodes_max) {
        return error_set(j->err, ERR_TOO_LARGE, "line %u: more than %u values in one document", j->line, j->nodes_max);
    }
    struct value *v = value_null(j->arena);
    v->line = j->line;
    v->column = column(j);
    *out = v;
    char c = j->p < j->end ? *j->p : '\0';
    if ((c == '{' || c == '[') && depth > VALUE_DEPTH_MAX) {
        return fail(j, "nested too deep");
    }
    switch (c) {
    case '{':
        v->type = VALUE_MAP;
        return read_object(j, depth, v);
    case '[':
        v->type = VALUE_LIST;
        return read_array(j, depth, v);
    case '"':
        v->type = VALUE_STR;
        return read_string(j, &v->str);
    case '-':
    case '0' ... '9':
        return read_number(j, v);
    default:
        return read_word(j, v);
    }
}

static int json_begin(struct json *j, struct arena *a, struct str text, unsigned nodes_max, struct error *err)
{
    if (text.n > TEXT_SIZE_MAX) {
        return error_set(err, ERR_TOO_LARGE, "%zu bytes of JSON; at most %u are read", text.n, TEXT_SIZE_MAX);
    }
    const char *p = text.p == NULL ? "" : text.p;
    *j = (struct json){
        .arena = a, .p = p, .end = p + text.n, .line_start = p, .line = 1, .nodes_max = nodes_max, .err = err};
    return 0;
}

static int read_document(struct json *j, struct value **out)
{
    int rc = read_any(j, 1, out);
    if (rc != 0) {
        return rc;
    }
    skip_space(j);
    return j->p == j->end ? 0 : fail(j, "something follows the end of the document");
}

int json_read(struct arena *a, struct str text, struct value **out, struct error *err)
{
    return json_read_most(a, text, TEXT_NODES_MAX, out, err);
}

int json_read_most(struct arena *a, struct str text, unsigned nodes_max, struct value **out, struct error *err)
{
    assert(a != NULL && out != NULL);
    struct json j;
    int rc = json_begin(&j, a, text, nodes_max, err);
    return rc != 0 ? rc : read_document(&j, out);
}

int json_read_twice(struct arena *a, struct str text, unsigned nodes_max, struct value **out, struct value *twice,
                    struct error *err)
{
    assert(a != NULL && out != NULL);
    struct json j;
    int rc = json_begin(&j, a, text, nodes_max, err);
    j.keeps_twice = true;
    rc = rc != 0 ? rc : read_document(&j, out);
    return rc != 0 ? rc : text_settle_twice(a, *out, twice, err);
}

int json_read_objects(struct arena *a, struct str text, const char *file, unsigned nodes_max, bool keeps_twice,
                      struct value *docs, struct str *rest, struct error *err)
{
    assert(a != NULL && value_is_list(docs) && rest != NULL);
    struct json j;
    *rest = text;
    int rc = json_begin(&j, a, text, nodes_max, err);
    if (rc != 0) {
        return rc;
    }
    j.file = file;
    j.keeps_twice = keeps_twice;
    for (;;) {
        skip_space(&j);
        *rest = (struct str){j.p, (size_t)(j.end - j.p)};
        if (j.p == j.end || *j.p != '{') {
            break;
        }
        struct value *doc;
        rc = read_any(&j, 1, &doc);
        if (rc != 0) {
            return rc;
        }
        value_append(a, docs, doc);
    }
    return j.p == j.end ? 0 : fail(&j, "expected another object, or the end of the text");
}
