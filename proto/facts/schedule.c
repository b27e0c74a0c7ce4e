#include "proto/facts/schedule.h"

#include <strings.h>

#include "base/mem.h"
#include "base/timefmt.h"

#define MINUTE_S  60
#define HOUR_S    3600
#define DAY_S     86400
#define YEAR_S    (366 * (int64_t)DAY_S)
#define LAST_S    INT64_C(253402300799) /* 9999-12-31: what times are written as ends there */
#define FIRST_S   INT64_C(-62135596800) /* 0001-01-01 */
#define ALL_HOURS 0xffffffu

/* ---- Reading ---- */

struct place { /* of a field */
    const char *title;
    unsigned least, most;
    const char *names; /* three letters each, from the least on; NULL: none */
};
static const struct place places[] = {
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day of the month", 1, 31, NULL},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"day of the week", 0, 6, "sunmontuewedthufrisat"},
};
#define PLACES ARRAY_SIZE(places)

static const struct {
    const char *name, *fields;
} macros[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next word of *rest, which it is cut from. Empty: there is none. */
static struct str word_take(struct str *rest)
{
    while (rest->n > 0 && is_blank(rest->p[0])) {
        rest->p++;
        rest->n--;
    }
    struct str word = {rest->p, 0};
    while (word.n < rest->n && !is_blank(rest->p[word.n])) {
        word.n++;
    }
    rest->p += word.n;
    rest->n -= word.n;
    return word;
}

/* Up to the separator, which is dropped; or all. True: it was there. */
static bool part_take(struct str *rest, char separator, struct str *part)
{
    const char *at = rest->n == 0 ? NULL : memchr(rest->p, separator, rest->n);
    *part = (struct str){rest->p, at == NULL ? rest->n : (size_t)(at - rest->p)};
    rest->n -= part->n + (at != NULL);
    rest->p += part->n + (at != NULL);
    return at != NULL;
}

static bool is_star(struct str s)
{
    return str_is(s, "*") || str_is(s, "?");
}

static int value_read(const struct place *f, struct str text, int64_t *out, struct error *err)
{
    for (unsigned i = 0; f->names != NULL && text.n == 3 && f->names[3 * i] != '\0'; i++) {
        if (strncasecmp(text.p, f->names + 3 * i, 3) == 0) {
            *out = f->least + i;
            return 0;
        }
    }
    bool digits = text.n > 0 && text.n <= 9 && text.p[0] != '-' && text.p[0] != '+' && str_to_int64(text, out);
    if (!digits) {
        return error_set(err, ERR_INVALID, "%s: \"%.*s\" is no number%s", f->title, STR_ARG(text),
                         f->names == NULL ? "" : " and no name of three letters");
    }
    if (*out < f->least || *out > f->most) {
        return error_set(err, ERR_INVALID, "%s: %.*s is not within %u and %u%s", f->title, STR_ARG(text), f->least,
                         f->most, f->most == 6 && *out == 7 ? " (Sunday is 0)" : "");
    }
    return 0;
}

/* One element of a list: "*", "5", "1-5", each with "/STEP". "5/15" goes to the end. */
static int span_read(const struct place *f, struct str text, uint64_t *bits, bool *any, struct error *err)
{
    struct str range, step_text = text, from_text, to_text;
    int64_t from = f->least, to = f->most, step = 1;
    bool stepped = part_take(&step_text, '/', &range);
    to_text = range;
    bool ranged = part_take(&to_text, '-', &from_text);
    if (stepped && (step_text.n == 0 || step_text.n > 9 || !str_to_int64(step_text, &step) || step < 1)) {
        return error_set(err, ERR_INVALID, "%s: the step of \"%.*s\" is no number from 1 on", f->title, STR_ARG(text));
    }
    if (!is_star(range)) {
        int rv = value_read(f, from_text, &from, err);
        to = ranged || stepped ? to : from;
        rv = rv == 0 && ranged ? value_read(f, to_text, &to, err) : rv;
        if (rv != 0) {
            return rv;
        }
        if (to < from) {
            return error_set(err, ERR_INVALID, "%s: \"%.*s\" begins behind its end", f->title, STR_ARG(text));
        }
    }
    *any |= is_star(range) && step == 1;
    for (int64_t i = from; i <= to; i += step) {
        *bits |= UINT64_C(1) << i;
    }
    return 0;
}

static int field_read(const struct place *f, struct str text, uint64_t *bits, bool *any, struct error *err)
{
    struct str part;
    bool more = true;
    *bits = 0;
    *any = false;
    while (more) {
        more = part_take(&text, ',', &part);
        int rv = span_read(f, part, bits, any, err);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

static int fields_read(struct str text, struct schedule *out, struct error *err)
{
    uint64_t bits[PLACES];
    bool any[PLACES];
    struct str rest = text, word[PLACES + 1];
    unsigned n = 0;
    for (struct str w = word_take(&rest); w.n > 0; w = word_take(&rest)) {
        word[MIN(n, PLACES)] = w;
        n++;
    }
    if (n != PLACES) {
        return error_set(
            err, ERR_INVALID,
            "%u fields where there are 5: minute, hour, day of the month, month, day of the week (\"0 3 * * "
            "1-5\": at 3:00 from Monday to Friday)",
            n);
    }
    for (unsigned i = 0; i < PLACES; i++) {
        int rv = field_read(&places[i], word[i], &bits[i], &any[i], err);
        if (rv != 0) {
            return rv;
        }
    }
    *out = (struct schedule){.minutes = bits[0],
                             .hours = (uint32_t)bits[1],
                             .days = (uint32_t)bits[2],
                             .months = (uint32_t)bits[3],
                             .weekdays = (uint32_t)bits[4],
                             .any_day = any[2],
                             .any_weekday = any[4]};
    return 0;
}

/* "1h30m", in seconds. */
static int every_read(struct str text, struct schedule *out, struct error *err)
{
    int64_t sum = 0;
    struct str rest = text;
    bool good = rest.n > 0;
    while (good && rest.n > 0) {
        struct str digits = {rest.p, 0};
        int64_t n = 0;
        while (digits.n < rest.n && rest.p[digits.n] >= '0' && rest.p[digits.n] <= '9') {
            digits.n++;
        }
        good = digits.n > 0 && digits.n <= 9 && digits.n < rest.n && str_to_int64(digits, &n);
        char unit = good ? rest.p[digits.n] : 's';
        int64_t unit_s = unit == 'h' ? HOUR_S : unit == 'm' ? MINUTE_S : 1;
        good = good && (unit == 'h' || unit == 'm' || unit == 's');
        sum += n * unit_s;
        good = good && sum <= YEAR_S;
        rest.p += digits.n + good;
        rest.n -= digits.n + good;
    }
    if (!good || sum == 0) {
        return error_set(err, ERR_INVALID, "\"@every %.*s\": no duration such as 1h30m, of a year at most",
                         STR_ARG(text));
    }
    *out = (struct schedule){.every_s = MAX(sum, MINUTE_S)};
    return 0;
}

bool schedule_names_zone(struct str text)
{
    return str_starts(text, STR("TZ=")) || str_starts(text, STR("CRON_TZ="));
}

int schedule_parse(struct str text, struct schedule *out, struct error *err)
{
    struct str rest = text, first = word_take(&rest);
    *out = (struct schedule){0};
    if (text.n > SCHEDULE_TEXT_MAX) {
        return error_set(err, ERR_INVALID, "it is longer than %u bytes", SCHEDULE_TEXT_MAX);
    }
    if (schedule_names_zone(first)) {
        return error_set(err, ERR_INVALID, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    }
    if (first.n == 0 || first.p[0] != '@') {
        return fields_read(text, out, err);
    }
    if (str_is(first, "@every")) {
        struct str duration = word_take(&rest);
        return word_take(&rest).n == 0 ? every_read(duration, out, err)
                                       : error_set(err, ERR_INVALID, "one duration belongs behind @every");
    }
    for (unsigned i = 0; i < ARRAY_SIZE(macros) && word_take(&rest).n == 0; i++) {
        if (str_is(first, macros[i].name)) {
            return fields_read(str_of(macros[i].fields), out, err);
        }
    }
    return error_set(err, ERR_INVALID,
                     "\"%.*s\" is none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and @every "
                     "DURATION",
                     STR_ARG(text));
}

/* ---- The calendar: times as the zone's clock shows them, in seconds since its 1970 ---- */

static int64_t day_of(int64_t local_s)
{
    return local_s >= 0 ? local_s / DAY_S : -((-local_s + DAY_S - 1) / DAY_S);
}

static bool day_matches(const struct schedule *s, int64_t day)
{
    int64_t year;
    unsigned month, of_month, weekday = (unsigned)(((day + 4) % 7 + 7) % 7);
    timefmt_civil(day, &year, &month, &of_month);
    bool by_day = s->days >> of_month & 1, by_weekday = s->weekdays >> weekday & 1;
    return (s->months >> month & 1) && (s->any_day || s->any_weekday ? by_day && by_weekday : by_day || by_weekday);
}

/* The first time from local_s on, and before limit_s. */
static int64_t local_next(const struct schedule *s, int64_t local_s, int64_t limit_s)
{
    local_s = local_s + MINUTE_S - 1 - ((local_s + MINUTE_S - 1) % MINUTE_S + MINUTE_S) % MINUTE_S; /* a whole minute */
    int64_t day = day_of(local_s);
    unsigned minute = (unsigned)((local_s - day * DAY_S) / MINUTE_S);
    for (; day * DAY_S < limit_s; day++, minute = 0) {
        for (unsigned hour = minute / 60; day_matches(s, day) && hour < 24; hour++, minute = 0) {
            uint64_t left = s->hours >> hour & 1 ? s->minutes >> minute % 60 : 0;
            if (left != 0) {
                int64_t at = day * DAY_S + hour * HOUR_S + (minute % 60 + (unsigned)__builtin_ctzll(left)) * MINUTE_S;
                return at < limit_s ? at : SCHEDULE_NEVER;
            }
        }
    }
    return SCHEDULE_NEVER;
}

/* ---- Instants ---- */

/* Each hour counts, as the clock goes: the local times of each span, one span after another. */
static int64_t next_as_clock_goes(const struct schedule *s, const struct zone *zone, int64_t after_s, int64_t limit_s)
{
    for (int64_t from = after_s + 1; from < limit_s;) {
        struct zone_span span = zone_span_at(zone, from);
        int64_t to = MIN(span.to_s, limit_s), local = local_next(s, from + span.offset_s, to + span.offset_s);
        if (local != SCHEDULE_NEVER) {
            return local - span.offset_s;
        }
        from = span.to_s;
    }
    return SCHEDULE_NEVER;
}

/* The latest that the clock has shown until then, at the end of a second. */
static int64_t clock_reached(const struct zone *zone, int64_t at_s)
{
    struct zone_span span = zone_span_at(zone, at_s);
    int64_t reached = at_s + span.offset_s;
    while (span.from_s > at_s - 2 * ZONE_OFFSET_MAX_S) {
        int64_t end = span.from_s - 1;
        span = zone_span_at(zone, end);
        reached = MAX(reached, end + span.offset_s);
    }
    return reached;
}

/* A local time comes when the clock first shows it or a later one. So one that is skipped comes with the jump, and one
 * that comes twice is over after the first. */
static int64_t next_once(const struct schedule *s, const struct zone *zone, int64_t after_s, int64_t limit_s)
{
    int64_t local = local_next(s, clock_reached(zone, after_s) + 1, limit_s + ZONE_OFFSET_MAX_S);
    for (int64_t at = after_s; local != SCHEDULE_NEVER && at < limit_s;) {
        struct zone_span span = zone_span_at(zone, at);
        int64_t shown = MAX(span.from_s, local - span.offset_s);
        if (shown < span.to_s) {
            return shown;
        }
        at = span.to_s;
    }
    return SCHEDULE_NEVER;
}

int64_t schedule_next(const struct schedule *s, const struct zone *zone, int64_t anchor_s, int64_t after_s)
{
    after_s = MAX(after_s, FIRST_S);
    if (after_s >= LAST_S - SCHEDULE_YEARS * YEAR_S || anchor_s < FIRST_S || anchor_s > LAST_S) {
        return SCHEDULE_NEVER;
    }
    if (s->every_s > 0) {
        return after_s < anchor_s ? anchor_s + s->every_s
                                  : anchor_s + ((after_s - anchor_s) / s->every_s + 1) * s->every_s;
    }
    int64_t limit_s = after_s + SCHEDULE_YEARS * YEAR_S;
    return s->hours == ALL_HOURS ? next_as_clock_goes(s, zone, after_s, limit_s) : next_once(s, zone, after_s, limit_s);
}

struct schedule_due schedule_due(const struct schedule *s, const struct zone *zone, int64_t anchor_s, int64_t after_s,
                                 int64_t until_s)
{
    struct schedule_due due = {.newest_s = SCHEDULE_NEVER};
    int64_t next = schedule_next(s, zone, anchor_s, after_s);
    while (next <= until_s && due.count <= SCHEDULE_COUNT_MAX) {
        due.newest_s = next;
        due.count++;
        next = schedule_next(s, zone, anchor_s, next);
    }
    for (int64_t high = until_s; next <= until_s && due.newest_s < high;) { /* one is behind newest, none behind high */
        int64_t mid = due.newest_s + (high - due.newest_s) / 2;
        next = schedule_next(s, zone, anchor_s, mid);
        if (next <= until_s) {
            due.newest_s = next;
        } else {
            high = mid;
            next = until_s; /* go on */
        }
    }
    return due;
}
