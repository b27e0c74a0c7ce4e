/* The functions of templates, a row each. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "client/ui/gotemplate_int.h"
#include "proto/text/text.h"

#define FUNCTION(name)                                                                                                 \
    static int name(struct arena *a, const struct value *const *args, unsigned count, const struct value **out,        \
                    struct error *err)

static int wants(unsigned count, unsigned min, unsigned max, struct error *err)
{
    if (count < min || count > max) {
        return error_set(err, ERR_USAGE, "wrong number of arguments: %u", count);
    }
    return 0;
}

/* ---- Logic ---- */

FUNCTION(fn_shortcut) /* and, or: the machine's own */
{
    (void)a, (void)args, (void)out;
    return wants(count, 1, 0, err);
}

FUNCTION(fn_not)
{
    int rc = wants(count, 1, 1, err);
    *out = rc == 0 ? value_bool(a, !gotemplate_truth(args[0])) : NULL;
    return rc;
}

static bool is_number(const struct value *v)
{
    return v->type == VALUE_INT || v->type == VALUE_FLOAT;
}

static double number_of(const struct value *v)
{
    return v->type == VALUE_INT ? (double)v->integer : v->number;
}

static bool is_text(const struct value *v)
{
    return v->type == VALUE_STR || v->type == VALUE_BIN;
}

/* Of two values that are there. *order: -1, 0, 1. */
static int compare(const struct value *x, const struct value *y, bool ordered, int *order, struct error *err)
{
    if (x->type == VALUE_INT && y->type == VALUE_INT) {
        *order = (x->integer > y->integer) - (x->integer < y->integer);
    } else if (is_number(x) && is_number(y)) {
        *order = (number_of(x) > number_of(y)) - (number_of(x) < number_of(y));
    } else if (is_text(x) && is_text(y)) {
        *order = str_cmp(x->str, y->str);
    } else if (x->type == VALUE_BOOL && y->type == VALUE_BOOL && !ordered) {
        *order = x->boolean != y->boolean;
    } else {
        return error_set(err, ERR_USAGE, "incompatible types for comparison: %s and %s", value_type_name(x->type),
                         value_type_name(y->type));
    }
    return 0;
}

/* eq x y z: x is one of the others. What has no value equals only nil. */
FUNCTION(fn_eq)
{
    int rc = wants(count, 2, UINT32_MAX, err), order = 1;
    bool equal = false;
    for (unsigned i = 1; i < count && rc == 0 && !equal; i++) {
        if (value_is_null(args[0]) || value_is_null(args[i])) {
            equal = value_is_null(args[0]) && value_is_null(args[i]);
            continue;
        }
        rc = compare(args[0], args[i], false, &order, err);
        equal = rc == 0 && order == 0;
    }
    *out = value_bool(a, equal);
    return rc;
}

FUNCTION(fn_ne)
{
    int rc = wants(count, 2, 2, err);
    rc = rc != 0 ? rc : fn_eq(a, args, count, out, err);
    *out = rc == 0 ? value_bool(a, !(*out)->boolean) : NULL;
    return rc;
}

static int ordered(const struct value *const *args, unsigned count, int *order, struct error *err)
{
    int rc = wants(count, 2, 2, err);
    if (rc == 0 && (value_is_null(args[0]) || value_is_null(args[1]))) {
        rc = error_set(err, ERR_USAGE, "invalid type for comparison: no value");
    }
    return rc != 0 ? rc : compare(args[0], args[1], true, order, err);
}

#define ORDER_FUNCTION(name, test)                                                                                     \
    FUNCTION(name)                                                                                                     \
    {                                                                                                                  \
        int order = 0, rc = ordered(args, count, &order, err);                                                         \
        *out = value_bool(a, order test 0);                                                                            \
        return rc;                                                                                                     \
    }
ORDER_FUNCTION(fn_lt, <)
ORDER_FUNCTION(fn_le, <=)
ORDER_FUNCTION(fn_gt, >)
ORDER_FUNCTION(fn_ge, >=)

/* ---- Lists, maps, texts ---- */

FUNCTION(fn_len)
{
    int rc = wants(count, 1, 1, err);
    if (rc != 0) {
        return rc;
    }
    const struct value *v = args[0];
    if (value_is_null(v) || !(is_text(v) || value_is_list(v) || value_is_map(v))) {
        return error_set(err, ERR_USAGE, "len of %s", value_is_null(v) ? "nil" : value_type_name(v->type));
    }
    *out = value_int(a, is_text(v) ? (int64_t)v->str.n : (int64_t)value_count(v));
    return 0;
}

FUNCTION(fn_index)
{
    (void)a;
    int rc = wants(count, 1, UINT32_MAX, err);
    const struct value *v = count > 0 ? args[0] : NULL;
    for (unsigned i = 1; i < count && rc == 0; i++) {
        const struct value *key = args[i];
        if (value_is_null(v)) {
            return error_set(err, ERR_USAGE, "index of untyped nil");
        }
        if (value_is_list(v)) {
            if (value_is_null(key) || key->type != VALUE_INT) {
                return error_set(err, ERR_USAGE, "the index of a list is a whole number");
            }
            if (key->integer < 0 || key->integer >= value_count(v)) {
                return error_set(err, ERR_USAGE, "index out of range: %" PRId64, key->integer);
            }
            v = v->list.items[key->integer];
        } else if (value_is_map(v)) {
            if (!value_is_str(key)) {
                return error_set(err, ERR_USAGE, "the index of a map is a string");
            }
            v = value_get_str_key(v, key->str);
        } else {
            return error_set(err, ERR_USAGE, "can't index a %s", value_type_name(v->type));
        }
    }
    *out = v;
    return rc;
}

/* slice x 1 2: a string or a list from 1 to before 2. */
FUNCTION(fn_slice)
{
    int rc = wants(count, 1, 3, err);
    if (rc != 0) {
        return rc;
    }
    const struct value *v = args[0];
    if (value_is_null(v) || !(is_text(v) || value_is_list(v))) {
        return error_set(err, ERR_USAGE, "slice of %s", value_is_null(v) ? "nil" : value_type_name(v->type));
    }
    int64_t n = is_text(v) ? (int64_t)v->str.n : (int64_t)value_count(v);
    int64_t from = count > 1 ? value_to_int(args[1], -1) : 0, to = count > 2 ? value_to_int(args[2], -1) : n;
    if (from < 0 || to < from || to > n) {
        return error_set(err, ERR_USAGE, "index out of range: %" PRId64 " to %" PRId64 " of %" PRId64, from, to, n);
    }
    if (is_text(v)) {
        *out = value_str(a, (struct str){v->str.p + from, (size_t)(to - from)});
        return 0;
    }
    struct value *list = value_list(a);
    for (int64_t i = from; i < to; i++) {
        value_append(a, list, v->list.items[i]);
    }
    *out = list;
    return 0;
}

/* exists . "a" "b": does the path lead anywhere? kubectl's. */
FUNCTION(fn_exists)
{
    int rc = wants(count, 1, UINT32_MAX, err);
    const struct value *v = count > 0 ? args[0] : NULL;
    bool there = v != NULL;
    for (unsigned i = 1; i < count && there; i++) {
        const struct value *key = args[i];
        v = value_is_list(v) && key != NULL && key->type == VALUE_INT ? value_item(v, (unsigned)MAX(key->integer, 0))
            : value_is_map(v) && value_is_str(key)                    ? value_get_str_key(v, key->str)
                                                                      : NULL;
        there = v != NULL;
    }
    *out = value_bool(a, there);
    return rc;
}

FUNCTION(fn_base64decode)
{
    int rc = wants(count, 1, 1, err);
    if (rc != 0) {
        return rc;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (value_is_null(args[0]) || !is_text(args[0])) {
        return error_set(err, ERR_USAGE, "base64 text is expected");
    }
    if (args[0]->type == VALUE_BIN) { /* is decoded already */
        *out = value_str(a, args[0]->str);
        return 0;
    }
    if (!base64_read(&b, args[0]->str)) {
        return error_set(err, ERR_USAGE, "this is no base64 text");
    }
    *out = value_str(a, buf_str(&b));
    return 0;
}

/* ---- Printing ---- */

static const struct value *take_text(struct arena *a, struct buf *b)
{
    const struct value *v = value_str(a, buf_str(b));
    buf_close(b);
    return v;
}

/* Blanks stand between operands when neither is a string. */
FUNCTION(fn_print)
{
    (void)err;
    struct buf b = BUF_INIT;
    for (unsigned i = 0; i < count; i++) {
        bool blank = i > 0 && !(args[i] != NULL && is_text(args[i])) && !(args[i - 1] != NULL && is_text(args[i - 1]));
        buf_puts(&b, blank ? " " : "");
        gotemplate_write_value(&b, args[i], true);
    }
    *out = take_text(a, &b);
    return 0;
}

FUNCTION(fn_println)
{
    (void)err;
    struct buf b = BUF_INIT;
    for (unsigned i = 0; i < count; i++) {
        buf_puts(&b, i > 0 ? " " : "");
        gotemplate_write_value(&b, args[i], true);
    }
    buf_putc(&b, '\n');
    *out = take_text(a, &b);
    return 0;
}

FUNCTION(fn_printf)
{
    int rc = wants(count, 1, UINT32_MAX, err);
    if (rc == 0 && !value_is_str(args[0])) {
        rc = error_set(err, ERR_USAGE, "the format is a string");
    }
    if (rc != 0) {
        return rc;
    }
    struct buf b = BUF_INIT;
    gotemplate_printf(&b, args[0]->str, args + 1, count - 1);
    *out = take_text(a, &b);
    return 0;
}

static const struct value *text_of(struct arena *a, const struct value *const *args, unsigned count)
{
    const struct value *v = NULL;
    struct error ignored;
    fn_print(a, args, count, &v, &ignored);
    return v;
}

FUNCTION(fn_html)
{
    (void)err;
    struct str s = text_of(a, args, count)->str;
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < s.n; i++) {
        static const char special[] = "&<>\"'";
        static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
        const char *at = s.p[i] == '\0' ? NULL : strchr(special, s.p[i]);
        if (at != NULL) {
            buf_puts(&b, names[at - special]);
        } else {
            buf_putc(&b, s.p[i]);
        }
    }
    *out = take_text(a, &b);
    return 0;
}

FUNCTION(fn_js)
{
    (void)err;
    struct str s = text_of(a, args, count)->str;
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\\' || c == '\'' || c == '"') {
            buf_printf(&b, "\\%c", c);
        } else if (c < 0x20 || strchr("<>&=", c) != NULL) {
            buf_printf(&b, "\\u%04X", c);
        } else {
            buf_putc(&b, (char)c);
        }
    }
    *out = take_text(a, &b);
    return 0;
}

FUNCTION(fn_urlquery)
{
    (void)err;
    struct str s = text_of(a, args, count)->str;
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (isalnum(c) || (c != '\0' && strchr("-_.~", c) != NULL)) {
            buf_putc(&b, (char)c);
        } else if (c == ' ') {
            buf_putc(&b, '+');
        } else {
            buf_printf(&b, "%%%02X", c);
        }
    }
    *out = take_text(a, &b);
    return 0;
}

gotemplate_fn *gotemplate_find_function(struct str name)
{
    static const struct {
        const char *name;
        gotemplate_fn *fn;
    } rows[] = {
        {"and", fn_shortcut},  {"or", fn_shortcut},
        {"not", fn_not},       {"eq", fn_eq},
        {"ne", fn_ne},         {"lt", fn_lt},
        {"le", fn_le},         {"gt", fn_gt},
        {"ge", fn_ge},         {"len", fn_len},
        {"index", fn_index},   {"slice", fn_slice},
        {"exists", fn_exists}, {"base64decode", fn_base64decode},
        {"print", fn_print},   {"println", fn_println},
        {"printf", fn_printf}, {"html", fn_html},
        {"js", fn_js},         {"urlquery", fn_urlquery},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (str_is(name, rows[i].name)) {
            return rows[i].fn;
        }
    }
    return NULL;
}
