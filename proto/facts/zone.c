#include "proto/facts/zone.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/timefmt.h"

#define DAY_S       86400
#define HEAD_BYTES  44u
#define RULE_MAX    128u /* bytes of a footer */
#define YEARS_ROUND 2    /* a rule's day may lie a week beside its year */

/* A day of each year, and the time of it, on the clock that goes until then. */
struct zone_day {
    enum { DAY_OF_WEEK, DAY_WITHOUT_LEAP, DAY_FROM_ZERO } form;
    int month, week, day;
    int32_t time_s;
};
struct zone_rule {
    bool known, has_summer;
    int32_t standard_s, summer_s;
    struct zone_day begin, end; /* of summer time */
};
struct zone {
    int32_t first_s; /* before the first change */
    unsigned count;
    int64_t *at_s;         /* ascending */
    int32_t *offset_s;     /* from there on */
    struct zone_rule rule; /* behind the last change */
};

bool zone_name_is(struct str name)
{
    char before = '/';
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool other = (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+' || c == '/';
        if (!letter && (!other || before == '/')) {
            return false;
        }
        before = c;
    }
    return name.n > 0 && name.n <= ZONE_NAME_MAX && before != '/';
}

/* ---- Rules ---- */

struct reader {
    const char *p, *end;
    bool bad;
};

static bool take(struct reader *r, char c)
{
    bool is = r->p < r->end && *r->p == c;
    r->p += is;
    return is;
}

static int number(struct reader *r, int least, int most)
{
    const char *from = r->p;
    int n = 0;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9' && r->p - from < 4) {
        n = n * 10 + (*r->p++ - '0');
    }
    r->bad |= r->p == from || n < least || n > most;
    return n;
}

/* "CET", or "<+0330>". */
static void name(struct reader *r)
{
    bool quoted = take(r, '<');
    unsigned n = 0;
    while (r->p < r->end && (quoted ? *r->p != '>' : (*r->p | 0x20) >= 'a' && (*r->p | 0x20) <= 'z')) {
        r->p++;
        n++;
    }
    r->bad |= n < 3 || (quoted && !take(r, '>'));
}

/* [+-]hh[:mm[:ss]] */
static int32_t clock_time(struct reader *r, int hours_max)
{
    bool minus = take(r, '-');
    if (!minus) {
        take(r, '+');
    }
    int32_t s = number(r, 0, hours_max) * 3600;
    if (take(r, ':')) {
        s += number(r, 0, 59) * 60;
        s += take(r, ':') ? number(r, 0, 59) : 0;
    }
    return minus ? -s : s;
}

static struct zone_day day_of_year(struct reader *r)
{
    struct zone_day d = {.time_s = 2 * 3600};
    if (take(r, 'M')) {
        d.form = DAY_OF_WEEK;
        d.month = number(r, 1, 12);
        r->bad |= !take(r, '.');
        d.week = number(r, 1, 5);
        r->bad |= !take(r, '.');
        d.day = number(r, 0, 6);
    } else if (take(r, 'J')) {
        d.form = DAY_WITHOUT_LEAP;
        d.day = number(r, 1, 365);
    } else {
        d.form = DAY_FROM_ZERO;
        d.day = number(r, 0, 365);
    }
    d.time_s = take(r, '/') ? clock_time(r, 167) : d.time_s;
    return d;
}

/* Offsets of a rule count to the west. */
static bool rule_read(struct str text, struct zone_rule *out)
{
    struct reader r = {text.p, text.p + text.n, false};
    *out = (struct zone_rule){.known = true};
    name(&r);
    out->standard_s = -clock_time(&r, 24);
    if (!r.bad && r.p < r.end) {
        out->has_summer = true;
        name(&r);
        out->summer_s = out->standard_s + 3600;
        if (r.p < r.end && *r.p != ',') {
            out->summer_s = -clock_time(&r, 24);
        }
        r.bad |= !take(&r, ',');
        out->begin = day_of_year(&r);
        r.bad |= !take(&r, ',');
        out->end = day_of_year(&r);
    }
    return !r.bad && r.p == r.end;
}

static int64_t days_of(int64_t year, const struct zone_day *d)
{
    int64_t january = timefmt_days(year, 1, 1);
    bool leap = timefmt_days(year, 3, 1) - timefmt_days(year, 2, 28) == 2;
    if (d->form == DAY_FROM_ZERO) {
        return january + d->day;
    }
    if (d->form == DAY_WITHOUT_LEAP) {
        return january + d->day - 1 + (leap && d->day >= 60);
    }
    int64_t first = timefmt_days(year, (unsigned)d->month, 1);
    int64_t next = d->month == 12 ? timefmt_days(year + 1, 1, 1) : timefmt_days(year, (unsigned)d->month + 1, 1);
    int64_t weekday = ((first + 4) % 7 + 7) % 7; /* the epoch was a Thursday */
    int64_t day = first + (d->day - weekday + 7) % 7 + 7 * (d->week - 1);
    return day >= next ? day - 7 : day; /* the fifth is the last */
}

static struct zone_span rule_span(const struct zone_rule *rule, int64_t at_s)
{
    struct zone_span span = {-ZONE_ALWAYS_S, ZONE_ALWAYS_S, rule->standard_s};
    int64_t year;
    unsigned month, day;
    if (!rule->has_summer) {
        return span;
    }
    timefmt_civil(at_s / DAY_S, &year, &month, &day);
    for (int64_t y = year - YEARS_ROUND; y <= year + YEARS_ROUND; y++) {
        const struct {
            int64_t at_s;
            int32_t offset_s;
        } changes[] = {
            {days_of(y, &rule->begin) * DAY_S + rule->begin.time_s - rule->standard_s, rule->summer_s},
            {days_of(y, &rule->end) * DAY_S + rule->end.time_s - rule->summer_s, rule->standard_s},
        };
        /* Of two at once the later one in the list holds: so does summer time that never ends. */
        for (unsigned i = 0; i < 2; i++) {
            if (changes[i].at_s <= at_s && changes[i].at_s >= span.from_s) {
                span.from_s = changes[i].at_s;
                span.offset_s = changes[i].offset_s;
            } else if (changes[i].at_s > at_s) {
                span.to_s = MIN(span.to_s, changes[i].at_s);
            }
        }
    }
    return span;
}

struct zone_span zone_span_at(const struct zone *z, int64_t at_s)
{
    struct zone_span span = {-ZONE_ALWAYS_S, ZONE_ALWAYS_S, 0};
    if (z == NULL) {
        return span;
    }
    unsigned low = 0, high = z->count; /* changes until then */
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (z->at_s[mid] <= at_s) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == z->count && z->rule.known) {
        span = rule_span(&z->rule, at_s);
    } else {
        span.offset_s = low == 0 ? z->first_s : z->offset_s[low - 1];
    }
    span.from_s = low > 0 ? MAX(span.from_s, z->at_s[low - 1]) : span.from_s;
    span.to_s = low < z->count ? z->at_s[low] : span.to_s;
    return span;
}

/* ---- Files ---- */

struct head {
    uint32_t utc, standard, leaps, changes, types, letters;
};

static int64_t big_endian(const uint8_t *p, unsigned n)
{
    uint64_t v = p[0] >= 0x80 && n < 8 ? UINT64_MAX : 0;
    for (unsigned i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return (int64_t)v;
}

static bool head_read(const uint8_t *p, size_t size, struct head *h)
{
    if (size < HEAD_BYTES || memcmp(p, "TZif", 4) != 0) {
        return false;
    }
    uint32_t *const counts[] = {&h->utc, &h->standard, &h->leaps, &h->changes, &h->types, &h->letters};
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        *counts[i] = (uint32_t)big_endian(p + 20 + 4 * i, 4);
        if (*counts[i] > ZONE_FILE_MAX) {
            return false;
        }
    }
    return true;
}

/* Of what follows a head; times have time_bytes each. */
static size_t block_size(const struct head *h, unsigned time_bytes)
{
    return (size_t)h->changes * (time_bytes + 1) + (size_t)h->types * 6 + h->letters +
           (size_t)h->leaps * (time_bytes + 4) + h->standard + h->utc;
}

static struct zone *zone_new(unsigned count)
{
    struct zone *z = xcalloc(1, sizeof *z);
    z->count = count;
    z->at_s = xcalloc(count + 1, sizeof *z->at_s);
    z->offset_s = xcalloc(count + 1, sizeof *z->offset_s);
    return z;
}

void zone_free(struct zone *z)
{
    if (z != NULL) {
        free(z->at_s);
        free(z->offset_s);
        free(z);
    }
}

static bool block_read(struct zone *z, const struct head *h, const uint8_t *p, unsigned time_bytes)
{
    const uint8_t *which = p + (size_t)h->changes * time_bytes, *types = which + h->changes;
    for (uint32_t i = 0; i < h->types; i++) {
        int64_t offset = big_endian(types + 6 * i, 4);
        if (offset < -ZONE_OFFSET_MAX_S || offset > ZONE_OFFSET_MAX_S) {
            return false;
        }
    }
    for (uint32_t i = 0; i < h->changes; i++) {
        z->at_s[i] = big_endian(p + (size_t)i * time_bytes, time_bytes);
        if (which[i] >= h->types || z->at_s[i] <= -ZONE_ALWAYS_S || z->at_s[i] >= ZONE_ALWAYS_S ||
            (i > 0 && z->at_s[i] <= z->at_s[i - 1])) {
            return false;
        }
        z->offset_s[i] = (int32_t)big_endian(types + 6 * which[i], 4);
    }
    z->first_s = (int32_t)big_endian(types, 4);
    return true;
}

/* "\nRULE\n"; an empty one says nothing. */
static bool footer_read(struct zone *z, const uint8_t *p, size_t size)
{
    const uint8_t *end = size < 2 || p[0] != '\n' ? NULL : memchr(p + 1, '\n', MIN(size - 1, RULE_MAX));
    if (end == NULL) {
        return false;
    }
    struct str rule = {(const char *)p + 1, (size_t)(end - p) - 1};
    return rule.n == 0 || rule_read(rule, &z->rule);
}

struct zone *zone_from_file(const void *bytes, size_t size, struct error *err)
{
    const uint8_t *p = bytes;
    struct head h;
    unsigned time_bytes = 4;
    bool good = size <= ZONE_FILE_MAX && head_read(p, size, &h) && block_size(&h, 4) <= size - HEAD_BYTES;
    if (good && p[4] >= '2') { /* the same again with wider times, and a footer */
        size_t skip = HEAD_BYTES + block_size(&h, 4);
        p += skip;
        size -= skip;
        time_bytes = 8;
        good = head_read(p, size, &h) && block_size(&h, 8) <= size - HEAD_BYTES;
    }
    if (!good || h.types == 0) {
        error_set(err, ERR_INVALID, "it is not a file of the time zone database (TZif), or is cut off");
        return NULL;
    }
    if (h.leaps > 0) {
        error_set(err, ERR_INVALID, "it counts leap seconds, which no clock here does");
        return NULL;
    }
    struct zone *z = zone_new(h.changes);
    size_t used = HEAD_BYTES + block_size(&h, time_bytes);
    if (!block_read(z, &h, p + HEAD_BYTES, time_bytes) || (time_bytes == 8 && !footer_read(z, p + used, size - used))) {
        error_set(err, ERR_INVALID, "it is damaged: its changes, offsets or rule make no sense");
        zone_free(z);
        return NULL;
    }
    return z;
}

struct zone *zone_from_rule(struct str text)
{
    struct zone *z = zone_new(0);
    if (text.n == 0 || text.n > RULE_MAX || !rule_read(text, &z->rule)) {
        zone_free(z);
        return NULL;
    }
    return z;
}
