#include "client/ui/jsonpath.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/text.h"

/* The values that the path so far has led to. */
struct set {
    const struct value **items;
    unsigned count, cap;
};
struct parser {
    struct arena *a;
    const char *start, *p;
    struct error *err;
};

static int set_add(struct parser *ps, struct set *s, const struct value *v)
{
    if (s->count == JSONPATH_RESULTS_MAX) {
        return error_set(ps->err, ERR_TOO_LARGE, "jsonpath \"%s\": too many results", ps->start);
    }
    s->items = arena_grow(ps->a, s->items, s->count, &s->cap, sizeof *s->items, 8);
    s->items[s->count++] = v;
    return 0;
}

static int bad(struct parser *ps, const char *what)
{
    return error_set(ps->err, ERR_USAGE, "jsonpath \"%s\": %s at \"%s\"", ps->start, what, ps->p);
}

static int child_all(struct parser *ps, const struct value *v, struct set *out)
{
    int rc = 0;
    VALUE_FOR(i, v)
    {
        rc = rc != 0 ? rc : set_add(ps, out, v->type == VALUE_LIST ? v->list.items[i] : v->map.members[i].value);
    }
    return rc;
}

static int child_named(struct parser *ps, const struct value *v, struct str name, struct set *out)
{
    if (str_is(name, "*")) {
        return child_all(ps, v, out);
    }
    const struct value *c = value_get_str_key(v, name);
    return c == NULL ? 0 : set_add(ps, out, c);
}

static int child_deep(struct parser *ps, const struct value *v, struct str name, struct set *out)
{
    int rc = child_named(ps, v, name, out);
    VALUE_FOR(i, v)
    {
        const struct value *c = v->type == VALUE_LIST ? v->list.items[i] : v->map.members[i].value;
        rc = rc != 0 ? rc : child_deep(ps, c, name, out);
    }
    return rc;
}

/* A name behind a dot; "\." stands for a dot in it. */
static struct str read_name(struct parser *ps)
{
    const char *end = ps->p;
    while (*end != '\0' && strchr(".[]()=!<> ,", *end) == NULL) {
        end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
    }
    struct str s = {arena_alloc(ps->a, (size_t)(end - ps->p) + 1), 0};
    char *to = (char *)s.p;
    while (ps->p < end) {
        ps->p += ps->p[0] == '\\' && ps->p + 1 < end ? 1 : 0;
        to[s.n++] = *ps->p++;
    }
    return s;
}

static int find(struct parser *ps, const struct set *from, struct set *out);

/* What a filter compares with: a quoted string, a number, true, false. */
static int read_literal(struct parser *ps, struct value *out)
{
    while (*ps->p == ' ') {
        ps->p++;
    }
    char quote = *ps->p;
    if (quote == '"' || quote == '\'') {
        const char *end = strchr(ps->p + 1, quote);
        if (end == NULL) {
            return bad(ps, "a quote is not closed");
        }
        *out = (struct value){.type = VALUE_STR, .str = {ps->p + 1, (size_t)(end - ps->p - 1)}};
        ps->p = end + 1;
        return 0;
    }
    if (strncmp(ps->p, "true", 4) == 0 || strncmp(ps->p, "false", 5) == 0) {
        *out = (struct value){.type = VALUE_BOOL, .boolean = *ps->p == 't'};
        ps->p += *ps->p == 't' ? 4 : 5;
        return 0;
    }
    char *end;
    double d = strtod(ps->p, &end);
    if (end == ps->p) {
        return bad(ps, "expected a quoted string, a number, true or false");
    }
    *out = (struct value){.type = VALUE_FLOAT, .number = d};
    ps->p = end;
    return 0;
}

static int compare(const struct value *v, const struct value *literal, bool *comparable)
{
    *comparable = true;
    if (v->type == VALUE_STR && literal->type == VALUE_STR) {
        return str_cmp(v->str, literal->str);
    }
    if (v->type == VALUE_BOOL && literal->type == VALUE_BOOL) {
        return (int)v->boolean - (int)literal->boolean;
    }
    if ((v->type == VALUE_INT || v->type == VALUE_FLOAT) && literal->type == VALUE_FLOAT) {
        double d = v->type == VALUE_INT ? (double)v->integer : v->number;
        return (d > literal->number) - (d < literal->number);
    }
    *comparable = false;
    return 1;
}

struct filter {
    const char *path; /* behind '@' */
    char op[3];       /* "" = existence */
    struct value literal;
};

static int filter_holds(struct parser *ps, const struct filter *f, const struct value *v, bool *holds)
{
    struct parser sub = {ps->a, ps->start, f->path, ps->err};
    struct set from = {.items = &v, .count = 1, .cap = 1}, got = {0};
    int rc = find(&sub, &from, &got);
    *holds = false;
    if (rc != 0 || got.count == 0) {
        return rc;
    }
    if (f->op[0] == '\0') {
        *holds = true;
        return 0;
    }
    bool comparable;
    int c = compare(got.items[0], &f->literal, &comparable);
    bool equal = comparable && c == 0;
    switch (f->op[0]) {
    case '=':
        *holds = equal;
        break;
    case '!':
        *holds = !equal;
        break;
    case '<':
        *holds = comparable && (c < 0 || (f->op[1] == '=' && c == 0));
        break;
    default:
        *holds = comparable && (c > 0 || (f->op[1] == '=' && c == 0));
        break;
    }
    return 0;
}

/* Behind "[?(": up to ")]". */
static int read_filter(struct parser *ps, struct filter *f)
{
    *f = (struct filter){0};
    while (*ps->p == ' ') {
        ps->p++;
    }
    if (*ps->p != '@') {
        return bad(ps, "a filter begins with @");
    }
    f->path = ++ps->p;
    struct set none = {0}, sink = {0};
    int rc = find(ps, &none, &sink); /* only to move behind the path */
    if (rc != 0) {
        return rc;
    }
    while (*ps->p == ' ') {
        ps->p++;
    }
    if (strchr("=!<>", *ps->p) != NULL && *ps->p != '\0') {
        f->op[0] = *ps->p++;
        if (*ps->p == '=') {
            f->op[1] = *ps->p++;
        }
        rc = read_literal(ps, &f->literal);
        if (rc != 0) {
            return rc;
        }
    }
    while (*ps->p == ' ') {
        ps->p++;
    }
    if (strncmp(ps->p, ")]", 2) != 0) {
        return bad(ps, "expected )]");
    }
    ps->p += 2;
    return 0;
}

static int step_filter(struct parser *ps, const struct set *from, struct set *out)
{
    struct filter f;
    int rc = read_filter(ps, &f);
    for (unsigned i = 0; i < from->count && rc == 0; i++) {
        struct set children = {0};
        rc = child_all(ps, from->items[i], &children);
        for (unsigned k = 0; k < children.count && rc == 0; k++) {
            bool holds;
            rc = filter_holds(ps, &f, children.items[k], &holds);
            if (rc == 0 && holds) {
                rc = set_add(ps, out, children.items[k]);
            }
        }
    }
    return rc;
}

static int slice(struct parser *ps, const struct value *v, long first, bool has_last, long last, struct set *out)
{
    if (!value_is_list(v)) {
        return 0;
    }
    long n = (long)v->list.count;
    first = first < 0 ? first + n : first;
    last = !has_last ? n : last < 0 ? last + n : MIN(last, n);
    int rc = 0;
    for (long i = MAX(first, 0); i < last && rc == 0; i++) {
        rc = set_add(ps, out, v->list.items[i]);
    }
    return rc;
}

/* A number as strtol reads it, kept so small that counting from it cannot overflow: no list is that long. */
static long read_index(const char *p, char **end)
{
    long i = strtol(p, end, 10);
    return MAX(MIN(i, (long)INT32_MAX), (long)INT32_MIN);
}

/* Another element of a union follows. */
static bool take_comma(struct parser *ps)
{
    const char *p = ps->p + strspn(ps->p, " ");
    if (*p != ',') {
        return false;
    }
    ps->p = p + 1 + strspn(p + 1, " ");
    return true;
}

/* n, a:b, a:b:step */
static int step_one_index(struct parser *ps, const struct set *from, struct set *out)
{
    char *end;
    long first = read_index(ps->p, &end), last = first + 1, step = 1;
    if (end == ps->p && *end != ':') {
        return bad(ps, "expected an index, a name in quotes, * or ?()");
    }
    ps->p = end;
    bool is_slice = *ps->p == ':', has_last = !is_slice;
    if (is_slice) {
        last = read_index(ps->p + 1, &end);
        has_last = end != ps->p + 1;
        ps->p = end;
    }
    if (is_slice && *ps->p == ':') {
        step = read_index(ps->p + 1, &end);
        step = end == ps->p + 1 ? 1 : step;
        ps->p = end;
        if (step <= 0) {
            return bad(ps, "a step is above 0");
        }
    }
    int rc = 0;
    for (unsigned i = 0; i < from->count && rc == 0; i++) {
        long n = (long)value_count(from->items[i]);
        bool back = !is_slice && first < 0;
        struct set part = {0};
        rc = slice(ps, from->items[i], first, true, back ? first + n + 1 : has_last ? last : n, &part);
        for (unsigned k = 0; k < part.count && rc == 0; k += (unsigned)step) {
            rc = set_add(ps, out, part.items[k]);
        }
    }
    return rc;
}

/* [n], [a:b], [n,m] */
static int step_index(struct parser *ps, const struct set *from, struct set *out)
{
    int rc;
    do {
        rc = step_one_index(ps, from, out);
    } while (rc == 0 && take_comma(ps));
    if (rc == 0 && *ps->p != ']') {
        rc = bad(ps, "expected ]");
    }
    ps->p += rc == 0;
    return rc;
}

/* One name of ['a','b']; *p stands on a quote. */
static int read_quoted_name(struct parser *ps, struct str *name)
{
    const char *end = strchr(ps->p + 1, *ps->p);
    if (end == NULL) {
        return bad(ps, "a quote is not closed");
    }
    *name = (struct str){ps->p + 1, (size_t)(end - ps->p - 1)};
    ps->p = end + 1;
    return 0;
}

/* ['a'], ['a','b'], [*] */
static int step_names(struct parser *ps, const struct set *from, struct set *out)
{
    do {
        struct str name = STR("*");
        int rc = 0;
        if (*ps->p == '\'' || *ps->p == '"') {
            rc = read_quoted_name(ps, &name);
        } else if (*ps->p == '*') {
            ps->p++;
        } else {
            rc = bad(ps, "expected a name in quotes");
        }
        for (unsigned i = 0; i < from->count && rc == 0; i++) {
            rc = child_named(ps, from->items[i], name, out);
        }
        if (rc != 0) {
            return rc;
        }
    } while (take_comma(ps));
    if (*ps->p != ']') {
        return bad(ps, "expected ]");
    }
    ps->p++;
    return 0;
}

static int step_bracket(struct parser *ps, const struct set *from, struct set *out)
{
    if (strncmp(ps->p, "?(", 2) == 0) {
        ps->p += 2;
        return step_filter(ps, from, out);
    }
    bool names = *ps->p == '*' || *ps->p == '\'' || *ps->p == '"';
    return names ? step_names(ps, from, out) : step_index(ps, from, out);
}

/* Follows the path from all of `from`; stops at the first character that belongs to no path. */
static int find(struct parser *ps, const struct set *from, struct set *out)
{
    struct set now = *from;
    while (*ps->p == '.' || *ps->p == '[') {
        struct set next = {0};
        int rc = 0;
        if (*ps->p == '[') {
            ps->p++;
            rc = step_bracket(ps, &now, &next);
        } else {
            bool deep = ps->p[1] == '.';
            ps->p += deep ? 2 : 1;
            struct str name = read_name(ps);
            if (name.n == 0) {
                if (!deep && (*ps->p == '[' || *ps->p == '\0')) {
                    continue; /* ".[0]" and a bare "." */
                }
                return bad(ps, "expected a name");
            }
            for (unsigned i = 0; i < now.count && rc == 0; i++) {
                rc = deep ? child_deep(ps, now.items[i], name, &next) : child_named(ps, now.items[i], name, &next);
            }
        }
        if (rc != 0) {
            return rc;
        }
        now = next;
    }
    *out = now;
    return 0;
}

int jsonpath_find(struct arena *a, const struct value *root, const char *path, const struct value ***out,
                  unsigned *count, struct error *err)
{
    size_t n = strlen(path);
    if (n >= 2 && path[0] == '{' && path[n - 1] == '}') {
        path = arena_strndup(a, path + 1, n - 2);
    }
    struct parser ps = {a, path, path, err};
    if (*ps.p == '$' || *ps.p == '@') {
        ps.p++;
    }
    if (*ps.p != '.' && *ps.p != '[' && *ps.p != '\0') {
        ps.p = arena_printf(a, ".%s", ps.p);
    }
    const struct value **first = arena_alloc(a, sizeof(*first));
    first[0] = root;
    struct set from = {.items = first, .count = 1, .cap = 1}, got = {0};
    int rc = find(&ps, &from, &got);
    if (rc == 0 && *ps.p != '\0') {
        rc = bad(&ps, "unexpected text");
    }
    *out = got.items;
    *count = rc == 0 ? got.count : 0;
    return rc;
}

void jsonpath_write_value(struct buf *out, const struct value *v)
{
    if (v->type == VALUE_STR) {
        buf_append_str(out, v->str);
    } else if (v->type == VALUE_BIN) {
        base64_write(out, v->str.p, v->str.n);
    } else {
        json_write(out, v, 0);
    }
}

/* ---- Templates ---- */

static void write_literal(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\' && i + 1 < s.n) {
            char e = s.p[++i];
            c = e == 'n' ? '\n' : e == 't' ? '\t' : e == 'r' ? '\r' : e;
        }
        buf_putc(out, c);
    }
}

/* End of a "{...}" that starts behind p: quotes are skipped. NULL if there is none. */
static const char *brace_end(const char *p)
{
    char quote = '\0';
    for (; *p != '\0'; p++) {
        if (quote != '\0') {
            if (*p == '\\' && p[1] != '\0') {
                p++;
            } else if (*p == quote) {
                quote = '\0';
            }
        } else if (*p == '"' || *p == '\'') {
            quote = *p;
        } else if (*p == '}') {
            return p;
        }
    }
    return NULL;
}

struct template
{
    struct arena *a;
    const char *whole;
    struct buf *out;
    struct error *err;
};

static struct str trim(const char *p, const char *end)
{
    while (p < end && isspace((unsigned char)*p)) {
        p++;
    }
    while (end > p && isspace((unsigned char)end[-1])) {
        end--;
    }
    return (struct str){p, (size_t)(end - p)};
}

static int print_part(struct template *t, const struct value *root, const char **p, bool mute);

/* {range PATH} ... {end}: *p stands behind the opening brace's end. */
static int print_range(struct template *t, const struct value *root, struct str path, const char **p, bool mute)
{
    const struct value **items;
    unsigned count = 0;
    if (!mute) {
        int rc = jsonpath_find(t->a, root, arena_strndup(t->a, path.p, path.n), &items, &count, t->err);
        if (rc != 0) {
            return rc;
        }
    }
    const char *body = *p;
    for (unsigned i = 0; i < count; i++) {
        *p = body;
        int rc = print_part(t, items[i], p, false);
        if (rc != 0) {
            return rc;
        }
    }
    return count > 0 ? 0 : print_part(t, root, p, true);
}

static int print_expression(struct template *t, const struct value *root, struct str e)
{
    if (e.n >= 2 && (e.p[0] == '"' || e.p[0] == '\'') && e.p[e.n - 1] == e.p[0]) {
        write_literal(t->out, (struct str){e.p + 1, e.n - 2});
        return 0;
    }
    const struct value **items;
    unsigned count;
    int rc = jsonpath_find(t->a, root, arena_strndup(t->a, e.p, e.n), &items, &count, t->err);
    for (unsigned i = 0; i < count && rc == 0; i++) {
        if (i > 0) {
            buf_putc(t->out, ' ');
        }
        jsonpath_write_value(t->out, items[i]);
    }
    return rc;
}

/* Up to the end of the text or behind an {end}. mute: only skip. */
static int print_part(struct template *t, const struct value *root, const char **p, bool mute)
{
    while (**p != '\0') {
        if (**p != '{') {
            if (!mute) {
                buf_putc(t->out, **p);
            }
            (*p)++;
            continue;
        }
        const char *end = brace_end(*p + 1);
        if (end == NULL) {
            return error_set(t->err, ERR_USAGE, "jsonpath \"%s\": a { is not closed", t->whole);
        }
        struct str e = trim(*p + 1, end);
        *p = end + 1;
        int rc = 0;
        if (str_is(e, "end")) {
            return 0;
        }
        if (str_starts(e, STR("range "))) {
            rc = print_range(t, root, trim(e.p + 6, e.p + e.n), p, mute);
        } else if (!mute) {
            rc = print_expression(t, root, e);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int jsonpath_print(struct arena *a, const struct value *root, const char *text, struct buf *out, struct error *err)
{
    struct template t = {a, text, out, err};
    if (strchr(text, '{') == NULL) {
        return print_expression(&t, root, str_of(text));
    }
    const char *p = text;
    int rc = 0;
    while (rc == 0 && *p != '\0') {
        rc = print_part(&t, root, &p, false);
    }
    return rc;
}

int jsonpath_print_json(struct arena *a, const struct value *root, const char *text, struct buf *out, struct error *err)
{
    for (const char *p = text; *p != '\0';) {
        if (isspace((unsigned char)*p)) {
            p++;
            continue;
        }
        const char *end = *p == '{' ? brace_end(p + 1) : NULL;
        if (end == NULL) {
            return error_set(err, ERR_USAGE, "jsonpath-as-json \"%s\": only {paths} are expected, not \"%.20s\"", text,
                             p);
        }
        struct str e = trim(p + 1, end);
        const struct value **items;
        unsigned count;
        int rc = jsonpath_find(a, root, arena_strndup(a, e.p, e.n), &items, &count, err);
        if (rc != 0) {
            return rc;
        }
        struct value *list = value_list(a);
        for (unsigned i = 0; i < count; i++) {
            value_append(a, list, (struct value *)items[i]);
        }
        json_write(out, list, 4);
        buf_putc(out, '\n');
        p = end + 1;
    }
    return 0;
}
