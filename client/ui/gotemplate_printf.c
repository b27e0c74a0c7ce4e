/* printf of templates: Go's verbs over values. What does not fit is written as Go does, %!d(string=x), instead of
 * failing. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ui/gotemplate_int.h"
#include "proto/text/text.h"

#define WIDTH_MAX 1000

struct directive {
    bool minus, plus, zero, blank, sharp;
    int width, precision; /* -1: none */
    char verb;
};

/* Behind the %. False: the format ends in it. */
static bool read_directive(const char **p, const char *end, struct directive *d)
{
    *d = (struct directive){.width = -1, .precision = -1};
    for (; *p < end && strchr("-+0 #", **p) != NULL && **p != '\0'; (*p)++) {
        d->minus |= **p == '-';
        d->plus |= **p == '+';
        d->zero |= **p == '0';
        d->blank |= **p == ' ';
        d->sharp |= **p == '#';
    }
    for (; *p < end && isdigit((unsigned char)**p); (*p)++) {
        d->width = MIN(MAX(d->width, 0) * 10 + (**p - '0'), WIDTH_MAX);
    }
    if (*p < end && **p == '.') {
        d->precision = 0;
        for ((*p)++; *p < end && isdigit((unsigned char)**p); (*p)++) {
            d->precision = MIN(d->precision * 10 + (**p - '0'), WIDTH_MAX);
        }
    }
    if (*p >= end) {
        return false;
    }
    d->verb = *(*p)++;
    return true;
}

static size_t characters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    }
    return n;
}

static void write_padded(struct buf *out, const struct directive *d, struct str s)
{
    size_t n = characters(s), width = d->width < 0 ? 0 : (size_t)d->width;
    for (size_t i = n; !d->minus && i < width; i++) {
        buf_putc(out, ' ');
    }
    buf_append_str(out, s);
    for (size_t i = n; d->minus && i < width; i++) {
        buf_putc(out, ' ');
    }
}

/* A number through C's printf, whose flags are the same. */
static void write_number(struct buf *out, const struct directive *d, const struct value *v, bool integral)
{
    char format[32], text[WIDTH_MAX + 400];
    snprintf(format, sizeof format, "%%%s%s%s%s%s", d->minus ? "-" : "", d->plus ? "+" : "", d->zero ? "0" : "",
             d->blank ? " " : "", d->sharp ? "#" : "");
    size_t n = strlen(format);
    const char *size = integral ? PRId64 : "";
    int width = MAX(d->width, 0), precision = d->precision;
    if (integral) {
        int64_t i = v->type == VALUE_INT ? v->integer : (int64_t)v->number;
        snprintf(format + n, sizeof format - n, "*.*%.*s%c", (int)strlen(size) - 1, size,
                 d->verb == 'v' ? 'd' : d->verb);
        snprintf(text, sizeof text, format, width, precision, i);
    } else {
        double f = v->type == VALUE_INT ? (double)v->integer : v->number;
        snprintf(format + n, sizeof format - n, "*.*%c", d->verb == 'v' ? 'g' : d->verb);
        snprintf(text, sizeof text, format, width, precision, f);
    }
    buf_puts(out, text);
}

static void write_hex(struct buf *out, struct str s, bool upper)
{
    for (size_t i = 0; i < s.n; i++) {
        buf_printf(out, upper ? "%02X" : "%02x", (unsigned char)s.p[i]);
    }
}

static void write_mismatch(struct buf *out, const struct directive *d, const struct value *v)
{
    if (value_is_null(v)) {
        buf_printf(out, "%%!%c(<nil>)", d->verb);
        return;
    }
    buf_printf(out, "%%!%c(%s=", d->verb, value_type_name(v->type));
    gotemplate_write_value(out, v, true);
    buf_putc(out, ')');
}

static void write_one(struct buf *out, const struct directive *d, const struct value *v)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    bool number = v != NULL && (v->type == VALUE_INT || v->type == VALUE_FLOAT);
    bool text = v != NULL && (v->type == VALUE_STR || v->type == VALUE_BIN);
    switch (d->verb) {
    case 'd':
    case 'x':
    case 'X':
    case 'o':
        if (number && (v->type == VALUE_INT || v->number == (double)(int64_t)v->number)) {
            write_number(out, d, v, true);
            return;
        }
        if (text && tolower((unsigned char)d->verb) == 'x') {
            write_hex(&b, v->str, d->verb == 'X');
            write_padded(out, d, buf_str(&b));
            return;
        }
        break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
        if (number) {
            write_number(out, d, v, false);
            return;
        }
        break;
    case 'c':
        if (number) {
            buf_putc(&b, (char)(v->type == VALUE_INT ? v->integer : (int64_t)v->number));
            write_padded(out, d, buf_str(&b));
            return;
        }
        break;
    case 't':
        if (v != NULL && v->type == VALUE_BOOL) {
            write_padded(out, d, v->boolean ? STR("true") : STR("false"));
            return;
        }
        break;
    case 'q':
        if (text) {
            json_write(&b, v, 0);
            write_padded(out, d, buf_str(&b));
            return;
        }
        break;
    case 's':
        if (number || (v != NULL && v->type == VALUE_BOOL) || value_is_null(v)) {
            break;
        }
        /* fall through */
    case 'v': {
        if (number) {
            write_number(out, d, v, v->type == VALUE_INT);
            return;
        }
        gotemplate_write_value(&b, v, true);
        struct str s = buf_str(&b);
        for (size_t n = 0; d->precision >= 0 && d->verb == 's' && n < s.n; n++) {
            if (characters((struct str){s.p, n + 1}) > (size_t)d->precision) {
                s.n = n;
            }
        }
        write_padded(out, d, s);
        return;
    }
    case 'T':
        write_padded(out, d, str_of(value_is_null(v) ? "<nil>" : value_type_name(v->type)));
        return;
    default:
        break;
    }
    write_mismatch(out, d, v);
}

int gotemplate_printf(struct buf *out, struct str format, const struct value *const *args, unsigned count)
{
    unsigned used = 0;
    for (const char *p = format.p, *end = format.p + format.n; p < end;) {
        if (*p != '%') {
            buf_putc(out, *p++);
            continue;
        }
        p++;
        struct directive d;
        if (!read_directive(&p, end, &d)) {
            buf_puts(out, "%!(NOVERB)");
        } else if (d.verb == '%') {
            buf_putc(out, '%');
        } else if (used == count) {
            buf_printf(out, "%%!%c(MISSING)", d.verb);
        } else {
            write_one(out, &d, args[used++]);
        }
    }
    for (unsigned i = used; i < count; i++) {
        buf_printf(out, "%s%s=", i == used ? "%!(EXTRA " : ", ",
                   value_is_null(args[i]) ? "<nil>" : value_type_name(args[i]->type));
        gotemplate_write_value(out, args[i], true);
        buf_puts(out, i + 1 == count ? ")" : "");
    }
    return 0;
}
