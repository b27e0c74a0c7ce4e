#include "proto/text/scalar.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/text/text.h"

#define NUMBER_TEXT_MAX 400 /* longer text is no number for us */

static bool is_one_of(struct str s, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (str_is(s, *words)) {
            return true;
        }
    }
    return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", NULL};
static const char *const false_words[] = {"false", "False", "FALSE", "n",   "N",   "no",
                                          "No",    "NO",    "off",   "Off", "OFF", NULL};
static const char *const inf_words[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL};
static const char *const minus_inf_words[] = {"-.inf", "-.Inf", "-.INF", NULL};
static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits of one base, nothing else. False on overflow of 64 bits, too; *overflow tells which. */
static bool parse_digits(const char *p, int base, uint64_t *out, bool *overflow)
{
    uint64_t v = 0;
    *overflow = false;
    if (*p == '\0') {
        return false;
    }
    for (; *p != '\0'; p++) {
        int d = is_digit(*p) ? *p - '0' : (*p | 32) >= 'a' && (*p | 32) <= 'f' ? (*p | 32) - 'a' + 10 : 99;
        if (d >= base) {
            return false;
        }
        *overflow = *overflow || v > (UINT64_MAX - (unsigned)d) / (unsigned)base;
        v = v * (unsigned)base + (unsigned)d;
    }
    *out = v;
    return !*overflow;
}

/* Sign, then 0x, 0o, 0b, a leading 0 (octal), or decimal digits. An integer beyond int64_t becomes a float if it is
 * decimal. */
static bool parse_int(const char *p, struct value *out)
{
    bool negative = *p == '-';
    p += *p == '-' || *p == '+';
    int base = 10;
    if (p[0] == '0' && p[1] != '\0') {
        char c = (char)(p[1] | 32);
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        p += is_digit(p[1]) ? 1 : 2;
        if (!is_digit(p[-1]) && c != 'x' && c != 'b' && c != 'o') {
            return false;
        }
    }
    uint64_t v;
    bool overflow;
    if (!parse_digits(p, base, &v, &overflow) || v > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    out->type = VALUE_INT;
    out->integer = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* [-+]? (.digits | digits[.digits]) (e[-+]?digits)? */
static bool is_float_text(const char *p)
{
    p += *p == '-' || *p == '+';
    size_t before = strspn(p, "0123456789"), after = 0;
    p += before;
    if (*p == '.') {
        after = strspn(++p, "0123456789");
        p += after;
    }
    if (before + after == 0) {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        size_t n = strspn(p, "0123456789");
        if (n == 0) {
            return false;
        }
        p += n;
    }
    return *p == '\0';
}

static bool parse_number(struct str s, struct value *out)
{
    if (s.n >= NUMBER_TEXT_MAX || !(is_digit(s.p[0]) || strchr("+-.", s.p[0]) != NULL)) {
        return false;
    }
    char text[NUMBER_TEXT_MAX];
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0') {
            return false;
        }
        if (s.p[i] != '_') {
            text[n++] = s.p[i];
        }
    }
    text[n] = '\0';
    if (parse_int(text, out)) {
        return true;
    }
    if (!is_float_text(text)) {
        return false;
    }
    out->type = VALUE_FLOAT;
    out->number = strtod(text, NULL);
    return isfinite(out->number);
}

enum value_type scalar_resolve(struct str s, struct value *out)
{
    assert(out != NULL);
    if (is_one_of(s, null_words)) {
        out->type = VALUE_NULL;
    } else if (is_one_of(s, true_words)) {
        out->type = VALUE_BOOL;
        out->boolean = true;
    } else if (is_one_of(s, false_words)) {
        out->type = VALUE_BOOL;
        out->boolean = false;
    } else if (is_one_of(s, inf_words) || is_one_of(s, minus_inf_words)) {
        out->type = VALUE_FLOAT;
        out->number = s.p[0] == '-' ? -HUGE_VAL : HUGE_VAL;
    } else if (is_one_of(s, nan_words)) {
        out->type = VALUE_FLOAT;
        out->number = NAN;
    } else if (!parse_number(s, out)) {
        out->type = VALUE_STR;
        out->str = s;
    }
    return out->type;
}

/* 2026-01-02 and longer; 190:20:30. */
static bool looks_like_date_or_base60(struct str s)
{
    bool colon = false;
    unsigned digits = 0, dashes = 0;
    for (size_t i = 0; i < s.n; i++) {
        digits += is_digit(s.p[i]);
        dashes += s.p[i] == '-' && i > 0;
        colon = colon || (s.p[i] == ':' && i > 0);
    }
    bool starts = is_digit(s.p[0]) || ((s.p[0] == '-' || s.p[0] == '+') && s.n > 1 && is_digit(s.p[1]));
    bool base60 = starts && colon && strspn(s.p, "0123456789_:.+-") >= s.n;
    bool date = s.n >= 8 && dashes >= 2 && digits >= 6 && is_digit(s.p[0]) && is_digit(s.p[3]) && s.p[4] == '-';
    return base60 || date;
}

bool scalar_needs_quotes(struct str s)
{
    struct value v;
    if (scalar_resolve(s, &v) != VALUE_STR || str_is(s, "<<") || str_is(s, "=")) {
        return true;
    }
    /* strspn above needs an end: work on a copy that has one. Anything longer is no number or date. */
    char text[64];
    if (s.n >= sizeof text) {
        return false;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return looks_like_date_or_base60((struct str){text, s.n});
}

/* ---- UTF-8 ---- */

int32_t utf8_decode(struct str s, unsigned *n)
{
    assert(s.n > 0);
    const uint8_t *p = (const uint8_t *)s.p;
    *n = 1;
    if (p[0] < 0x80) {
        return p[0];
    }
    unsigned len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || s.n < len) {
        return -1;
    }
    uint32_t code = p[0] & (0x7fu >> len);
    for (unsigned i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return -1;
        }
        code = code << 6 | (p[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        return -1;
    }
    *n = len;
    return (int32_t)code;
}

unsigned utf8_encode(uint32_t code, char out[4])
{
    assert(code <= 0x10ffff);
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    unsigned len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (unsigned i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(marks[len] | code);
    return len;
}

bool utf8_valid(struct str s)
{
    while (s.n > 0) {
        unsigned n;
        if (utf8_decode(s, &n) < 0) {
            return false;
        }
        s.p += n;
        s.n -= n;
    }
    return true;
}

/* ---- Floats ---- */

void scalar_format_float(double d, char out[SCALAR_FLOAT_SIZE])
{
    if (fabs(d) < 1e15 && d == (double)(int64_t)d) {
        snprintf(out, SCALAR_FLOAT_SIZE, "%lld", (long long)d);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, SCALAR_FLOAT_SIZE, "%.*g", digits, d);
        if (strtod(out, NULL) == d) {
            return;
        }
    }
}
