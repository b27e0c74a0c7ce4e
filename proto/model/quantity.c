/* A quantity is digits times a power of ten or of two. It is kept as that, exactly, until somebody asks for a unit. */
#include "proto/model/quantity.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"

typedef unsigned __int128 u128;

#define DIGITS_MAX    19   /* significant digits kept; what follows only decides rounding */
#define EXPONENT_MAX  1000 /* beyond, everything is zero or too large anyway */
#define VALUE_MAX_LOG 62

struct quantity {
    bool negative;
    bool sticky;     /* non-zero digits were dropped behind the kept ones */
    uint64_t digits; /* below 10^19 */
    int ten, two;    /* exponents */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

struct suffix {
    const char *text;
    int ten, two;
};
static const struct suffix suffixes[] = {
    {"", 0, 0},    {"n", -9, 0},  {"u", -6, 0},  {"m", -3, 0},  {"k", 3, 0},   {"M", 6, 0},
    {"G", 9, 0},   {"T", 12, 0},  {"P", 15, 0},  {"E", 18, 0},  {"Ki", 0, 10}, {"Mi", 0, 20},
    {"Gi", 0, 30}, {"Ti", 0, 40}, {"Pi", 0, 50}, {"Ei", 0, 60},
};

static bool parse_exponent(struct str s, int *ten)
{
    size_t i = 1;
    bool negative = i < s.n && s.p[i] == '-';
    i += i < s.n && (s.p[i] == '-' || s.p[i] == '+');
    if (i == s.n) {
        return false;
    }
    int v = 0;
    for (; i < s.n; i++) {
        if (!is_digit(s.p[i])) {
            return false;
        }
        v = MIN(v * 10 + (s.p[i] - '0'), EXPONENT_MAX);
    }
    *ten += negative ? -v : v;
    return true;
}

static bool parse_suffix(struct str s, struct quantity *q)
{
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        if (str_is(s, suffixes[i].text)) {
            q->ten += suffixes[i].ten;
            q->two = suffixes[i].two;
            return true;
        }
    }
    return (s.p[0] == 'e' || s.p[0] == 'E') && parse_exponent(s, &q->ten);
}

static void add_digit(struct quantity *q, unsigned *kept, unsigned d, bool fraction)
{
    if (*kept == 0 && d == 0) {
        q->ten -= fraction; /* leading zeros */
    } else if (*kept < DIGITS_MAX) {
        q->digits = q->digits * 10 + d;
        (*kept)++;
        q->ten -= fraction;
    } else {
        q->sticky |= d != 0;
        q->ten += !fraction;
    }
}

/* [+-] (digits | digits. | digits.digits | .digits) [suffix | exponent] */
static bool parse(struct str s, struct quantity *q)
{
    *q = (struct quantity){0};
    size_t i = 0;
    unsigned kept = 0, seen = 0;
    /* The sum of the exponents stays far from overflow only if the text is not endless. */
    if (s.n == 0 || s.n > 256) {
        return false;
    }
    q->negative = s.p[0] == '-';
    i += s.p[0] == '-' || s.p[0] == '+';
    for (; i < s.n && is_digit(s.p[i]); i++, seen++) {
        add_digit(q, &kept, (unsigned)(s.p[i] - '0'), false);
    }
    if (i < s.n && s.p[i] == '.') {
        for (i++; i < s.n && is_digit(s.p[i]); i++, seen++) {
            add_digit(q, &kept, (unsigned)(s.p[i] - '0'), true);
        }
    }
    return seen > 0 && parse_suffix((struct str){s.p + i, s.n - i}, q);
}

/* The absolute value times 10^shift, rounded up; false if above 2^limit_log (limit_log at most 120). */
static bool scale(const struct quantity *q, int shift, int limit_log, u128 *out)
{
    const u128 limit = (u128)1 << limit_log;
    u128 v = (u128)q->digits << q->two; /* below 2^124 */
    int ten = q->ten + shift;
    if (q->digits == 0) {
        *out = 0;
        return true;
    }
    for (; ten > 0; ten--) {
        if (v > limit) {
            return false;
        }
        v *= 10;
    }
    bool rest = q->sticky;
    for (; ten < 0 && v > 0; ten++) {
        rest |= v % 10 != 0;
        v /= 10;
    }
    v += rest;
    *out = v;
    return v <= limit;
}

bool quantity_valid(struct str s)
{
    struct quantity q;
    return parse(s, &q);
}

static bool in_unit(struct str s, int shift, int64_t *out)
{
    struct quantity q;
    u128 v;
    if (!parse(s, &q) || !scale(&q, shift, VALUE_MAX_LOG, &v)) {
        return false;
    }
    *out = q.negative ? -(int64_t)v : (int64_t)v;
    return true;
}

bool quantity_milli(struct str s, int64_t *milli)
{
    return in_unit(s, 3, milli);
}

bool quantity_units(struct str s, int64_t *units)
{
    return in_unit(s, 0, units);
}

int quantity_cmp(struct str a, struct str b)
{
    struct quantity qa, qb;
    if (!parse(a, &qa) || !parse(b, &qb)) {
        return 0;
    }
    /* A billionth is the finest the API knows. What is too large for that counts as equally large. */
    const u128 huge = (u128)1 << 120;
    u128 va, vb;
    va = scale(&qa, 9, 120, &va) ? va : huge;
    vb = scale(&qb, 9, 120, &vb) ? vb : huge;
    int magnitude = (va > vb) - (va < vb);
    bool na = qa.negative && va > 0, nb = qb.negative && vb > 0;
    return na != nb ? (na ? -1 : 1) : na ? -magnitude : magnitude;
}

/* The largest suffix of one family that leaves a whole number. */
static int format_family(int64_t v, unsigned step, const char *const *names, unsigned count, char out[QUANTITY_SIZE])
{
    unsigned i = 0;
    while (v != 0 && i + 1 < count && v % (int64_t)step == 0) {
        v /= (int64_t)step;
        i++;
    }
    return snprintf(out, QUANTITY_SIZE, "%lld%s", (long long)v, names[i]);
}

static const char *const decimal_names[] = {"", "k", "M", "G", "T", "P", "E"};
static const char *const binary_names[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};

void quantity_format_milli(int64_t milli, char out[QUANTITY_SIZE])
{
    if (milli % 1000 != 0) {
        snprintf(out, QUANTITY_SIZE, "%lldm", (long long)milli);
    } else {
        format_family(milli / 1000, 1000, decimal_names, ARRAY_SIZE(decimal_names), out);
    }
}

void quantity_format_bytes(int64_t bytes, char out[QUANTITY_SIZE])
{
    char decimal[QUANTITY_SIZE];
    int nd = format_family(bytes, 1000, decimal_names, ARRAY_SIZE(decimal_names), decimal);
    int nb = format_family(bytes, 1024, binary_names, ARRAY_SIZE(binary_names), out);
    if (nd < nb) {
        memcpy(out, decimal, sizeof decimal);
    }
}

/* ---- Canonical text ---- */

enum family { FAMILY_DECIMAL, FAMILY_BINARY, FAMILY_EXPONENT };

/* Which one a text is written in: the number ends where no digit, sign or point is. */
static enum family family_of(struct str s)
{
    size_t i = s.p[0] == '-' || s.p[0] == '+';
    while (i < s.n && (is_digit(s.p[i]) || s.p[i] == '.')) {
        i++;
    }
    if (s.n - i == 2 && s.p[s.n - 1] == 'i') {
        return FAMILY_BINARY;
    }
    return s.n - i >= 2 && (s.p[i] == 'e' || s.p[i] == 'E') ? FAMILY_EXPONENT : FAMILY_DECIMAL;
}

static void write_number(char out[QUANTITY_SIZE], bool negative, u128 v, const char *suffix)
{
    char digits[QUANTITY_SIZE];
    unsigned n = sizeof digits;
    digits[--n] = '\0';
    do {
        digits[--n] = (char)('0' + (int)(v % 10));
        v /= 10;
    } while (v > 0 && n > 0);
    snprintf(out, QUANTITY_SIZE, "%s%s%s", negative ? "-" : "", digits + n, suffix);
}

#define NANO 1000000000u

bool quantity_canonical(struct str s, char out[QUANTITY_SIZE])
{
    static const char *const small[] = {"n", "u", "m"};
    const u128 max = (u128)INT64_MAX * NANO;
    struct quantity q;
    u128 v;
    if (!parse(s, &q) || q.sticky) {
        return false;
    }
    v = scale(&q, 9, 120, &v) ? MIN(v, max) : max;
    enum family family = family_of(s);
    if (family == FAMILY_BINARY && v >= (u128)1024 * NANO && v % NANO == 0) {
        unsigned i = 0;
        for (v /= NANO; v % 1024 == 0 && i + 1 < ARRAY_SIZE(binary_names); i++) {
            v /= 1024;
        }
        write_number(out, q.negative, v, binary_names[i]);
        return true;
    }
    int thousands = -3; /* v counts these powers of a thousand */
    while (v > 0 && v % 1000 == 0 && thousands < 6) {
        v /= 1000;
        thousands++;
    }
    char exponent[8] = "";
    if (v > 0 && thousands != 0) {
        snprintf(exponent, sizeof exponent, "e%d", 3 * thousands);
    }
    write_number(out, q.negative && v > 0, v,
                 v == 0                      ? ""
                 : family == FAMILY_EXPONENT ? exponent
                 : thousands < 0             ? small[thousands + 3]
                                             : decimal_names[thousands]);
    return true;
}
