#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "proto/text/scalar.h"
#include "proto/text/text.h"

struct writer {
    struct buf *out;
    unsigned indent; /* spaces per level; 0 = one line without any space */
    bool sorted;
    size_t most; /* out's size from which on no more elements are written; SIZE_MAX = all are */
};

static bool has_enough(const struct writer *w)
{
    return w->out->size >= w->most;
}

/* How many bytes from the beginning are written as they are, and are ASCII. */
static size_t plain_bytes(struct str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] >= 0x20 && s.p[n] < 0x7f && s.p[n] != '"' && s.p[n] != '\\') {
        n++;
    }
    return n;
}

/* Bytes that are no UTF-8 become U+FFFD: JSON has no other way to say them. */
static void write_string(struct buf *out, struct str s)
{
    static const char short_from[] = "\"\\\b\f\n\r\t", short_to[] = "\"\\bfnrt";
    buf_putc(out, '"');
    while (s.n > 0) {
        size_t plain = plain_bytes(s);
        buf_append(out, s.p, plain);
        s.p += plain;
        s.n -= plain;
        if (s.n == 0) {
            break;
        }
        unsigned n;
        int32_t code = utf8_decode(s, &n);
        const char *at = code > 0 && code < 0x80 ? strchr(short_from, code) : NULL;
        if (code < 0) {
            buf_puts(out, "\xef\xbf\xbd");
        } else if (at != NULL) {
            buf_putc(out, '\\');
            buf_putc(out, short_to[at - short_from]);
        } else if (code < 0x20 || code == 0x7f) {
            buf_printf(out, "\\u%04x", (unsigned)code);
        } else {
            buf_append(out, s.p, n);
        }
        s.p += n;
        s.n -= n;
    }
    buf_putc(out, '"');
}

static void new_line(const struct writer *w, unsigned level)
{
    if (w->indent == 0) {
        return;
    }
    buf_putc(w->out, '\n');
    for (unsigned i = 0; i < level * w->indent; i++) {
        buf_putc(w->out, ' ');
    }
}

static void write_any(const struct writer *w, const struct value *v, unsigned level);

static void write_list(const struct writer *w, const struct value *v, unsigned level)
{
    buf_putc(w->out, '[');
    for (unsigned i = 0; i < v->list.count && !has_enough(w); i++) {
        buf_puts(w->out, i > 0 ? "," : "");
        new_line(w, level + 1);
        write_any(w, v->list.items[i], level + 1);
    }
    if (v->list.count > 0) {
        new_line(w, level);
    }
    buf_putc(w->out, ']');
}

static int cmp_members(const void *a, const void *b)
{
    return str_cmp((*(const struct value_member *const *)a)->key, (*(const struct value_member *const *)b)->key);
}

static void write_map(const struct writer *w, const struct value *v, unsigned level)
{
    unsigned count = v->map.count;
    CLEANUP_FREE const struct value_member **order = xmalloc(count * sizeof *order);
    for (unsigned i = 0; i < count; i++) {
        order[i] = &v->map.members[i];
    }
    if (w->sorted) {
        qsort(order, count, sizeof *order, cmp_members);
    }
    buf_putc(w->out, '{');
    for (unsigned i = 0; i < count && !has_enough(w); i++) {
        buf_puts(w->out, i > 0 ? "," : "");
        new_line(w, level + 1);
        write_string(w->out, order[i]->key);
        buf_puts(w->out, w->indent == 0 ? ":" : ": ");
        write_any(w, order[i]->value, level + 1);
    }
    if (count > 0) {
        new_line(w, level);
    }
    buf_putc(w->out, '}');
}

static void write_any(const struct writer *w, const struct value *v, unsigned level)
{
    assert(v != NULL);
    char number[SCALAR_FLOAT_SIZE];
    switch (v->type) {
    case VALUE_NULL:
        buf_puts(w->out, "null");
        break;
    case VALUE_BOOL:
        buf_puts(w->out, v->boolean ? "true" : "false");
        break;
    case VALUE_INT:
        buf_printf(w->out, "%lld", (long long)v->integer);
        break;
    case VALUE_FLOAT:
        if (isfinite(v->number)) {
            scalar_format_float(v->number, number);
            buf_puts(w->out, number);
        } else {
            buf_puts(w->out, "null");
        }
        break;
    case VALUE_STR:
        write_string(w->out, v->str);
        break;
    case VALUE_BIN:
        buf_putc(w->out, '"');
        base64_write(w->out, v->str.p, v->str.n);
        buf_putc(w->out, '"');
        break;
    case VALUE_LIST:
        write_list(w, v, level);
        break;
    case VALUE_MAP:
        write_map(w, v, level);
        break;
    }
}

void json_write(struct buf *out, const struct value *v, unsigned indent)
{
    struct writer w = {.out = out, .indent = indent, .most = SIZE_MAX};
    write_any(&w, v, 0);
}

void json_write_begin(struct buf *out, const struct value *v, size_t most)
{
    struct writer w = {.out = out, .most = out->size + most};
    write_any(&w, v, 0);
}

void json_write_canonical(struct buf *out, const struct value *v)
{
    struct writer w = {.out = out, .sorted = true, .most = SIZE_MAX};
    write_any(&w, v, 0);
}

static int cmp_keys(const void *a, const void *b)
{
    return str_cmp(((const struct value_member *)a)->key, ((const struct value_member *)b)->key);
}

void value_sort(struct value *v)
{
    if (v->type == VALUE_LIST) {
        for (unsigned i = 0; i < v->list.count; i++) {
            value_sort(v->list.items[i]);
        }
    } else if (v->type == VALUE_MAP && v->map.count > 0) {
        qsort(v->map.members, v->map.count, sizeof *v->map.members, cmp_keys);
        for (unsigned i = 0; i < v->map.count; i++) {
            value_sort(v->map.members[i].value);
        }
    }
}
