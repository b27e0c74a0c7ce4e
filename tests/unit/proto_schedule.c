/* Schedules and time zones: what is read, which times come of it, across the jumps of clocks; against an oracle that
 * looks at every minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "proto/facts/schedule.h"

#define BERLIN    "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK  "EST5EDT,M3.2.0,M11.1.0"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
#define SYDNEY    "AEST-10AEDT,M10.1.0,M4.1.0/3"

static int64_t at(const char *text)
{
    int64_t ms;
    assert_true(timefmt_parse(str_of(text), &ms));
    return ms / 1000;
}

static struct schedule parsed(const char *text)
{
    struct schedule s;
    struct error err = {0};
    if (schedule_parse(str_of(text), &s, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    return s;
}

/* ---- What is read ---- */

static void schedules_are_read_as_crontab_has_them(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"@hourly", "0 * * * *"},
        {"@daily", "0 0 * * *"},
        {"@midnight", "0 0 * * ?"},
        {"@weekly", "0 0 * * sun"},
        {"@monthly", " 0  0\t1 * * "},
        {"@yearly", "0 0 1 JAN *"},
        {"@annually", "0 0 1 1 *"},
        {"*/15 * * * *", "0,15,30,45 * * * *"},
        {"50/5 1-3/2 * * mon-FRI", "50,55 1,3 * * 1,2,3,4,5"},
        {"0 0 1,1-2 feb-apr *", "0 0 1-2 2-4 *"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(same); i++) {
        struct schedule a = parsed(same[i][0]), b = parsed(same[i][1]);
        assert_memory_equal(&a, &b, sizeof a);
    }
    assert_int_equal(parsed("@every 1h30m").every_s, 5400);
    assert_int_equal(parsed("@every 90s").every_s, 90);
    assert_int_equal(parsed("@every 5s").every_s, 60);
}

static void what_is_no_schedule_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "0 fields where there are 5"},
        {"* * * *", "4 fields where there are 5"},
        {"* * * * * *", "6 fields where there are 5"},
        {"60 * * * *", "minute: 60 is not within 0 and 59"},
        {"* 24 * * *", "hour: 24 is not within 0 and 23"},
        {"* * 0 * *", "day of the month: 0 is not within 1 and 31"},
        {"* * * 13 *", "month: 13 is not within 1 and 12"},
        {"* * * * 7", "day of the week: 7 is not within 0 and 6 (Sunday is 0)"},
        {"* * * * monday", "day of the week: \"monday\" is no number and no name of three letters"},
        {"* * * sun *", "month: \"sun\" is no number"},
        {"5-1 * * * *", "minute: \"5-1\" begins behind its end"},
        {"*/0 * * * *", "minute: the step of \"*/0\" is no number from 1 on"},
        {"*/-1 * * * *", "minute: the step of"},
        {"1/2/3 * * * *", "minute: the step of"},
        {"1, * * * *", "minute: \"\" is no number"},
        {"-1 * * * *", "minute: \"\" is no number"},
        {"1- * * * *", "minute: \"\" is no number"},
        {"+1 * * * *", "minute: \"+1\" is no number"},
        {"** * * * *", "minute: \"**\" is no number"},
        {"99999999999999999999 * * * *", "is no number"},
        {"@reboot", "is none of @hourly"},
        {"@hourly 5", "is none of @hourly"},
        {"@every", "no duration such as 1h30m"},
        {"@every 5", "no duration"},
        {"@every 0s", "no duration"},
        {"@every 999999999h", "no duration"},
        {"@every 1h 5m", "one duration"},
        {"TZ=UTC * * * * *", "use timeZone field instead"},
        {"CRON_TZ=UTC 0 0 * * *", "use timeZone field instead"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct schedule s;
        struct error err = {0};
        assert_int_equal(schedule_parse(str_of(rows[i][0]), &s, &err), ERR_INVALID);
        if (strstr(err.message, rows[i][1]) == NULL) {
            fail_msg("%s: %s", rows[i][0], err.message);
        }
    }
}

/* ---- Times ---- */

static const struct {
    const char *schedule, *rule, *after; /* rule NULL: UTC */
    const char *next[4];
} times[] = {
    {"*/20 * * * *", NULL, "2026-01-01T00:00:00Z", {"2026-01-01T00:20:00Z", "2026-01-01T00:40:00Z"}},
    {"0 3 * * 1-5", NULL, "2026-01-02T03:00:00Z", {"2026-01-05T03:00:00Z", "2026-01-06T03:00:00Z"}},
    /* Either day is enough, unless one of them restricts nothing. */
    {"0 0 13 * fri", NULL, "2026-02-07T00:00:00Z", {"2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z"}},
    {"0 0 13 * *", NULL, "2026-02-07T00:00:00Z", {"2026-02-13T00:00:00Z", "2026-03-13T00:00:00Z"}},
    {"0 0 13 * */2", NULL, "2026-02-07T00:00:00Z", {"2026-02-08T00:00:00Z", "2026-02-10T00:00:00Z"}},
    {"0 0 31 * *", NULL, "2026-01-31T00:00:00Z", {"2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"}},
    {"0 0 29 2 *", NULL, "2026-01-01T00:00:00Z", {"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
    {"0 0 29 2 *", NULL, "2097-01-01T00:00:00Z", {"2104-02-29T00:00:00Z"}},
    {"0 0 30 2 *", NULL, "2026-01-01T00:00:00Z", {NULL}},
    /* Summer begins: what is skipped comes with the jump, once. */
    {"30 2 * * *", BERLIN, "2026-03-28T12:00:00Z", {"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
    {"0,30 2,3 * * *",
     BERLIN,
     "2026-03-29T00:00:00Z",
     {"2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:00:00Z"}},
    {"*/30 * * * *", BERLIN, "2026-03-29T00:30:00Z", {"2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"}},
    {"15 * * * *", BERLIN, "2026-03-29T00:15:00Z", {"2026-03-29T01:15:00Z"}},
    {"30 2 * * *", NEW_YORK, "2026-03-07T12:00:00Z", {"2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"}},
    /* It ends: what comes twice runs the first time; what runs every hour runs on. */
    {"30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
    {"0 1-4 * * *",
     BERLIN,
     "2026-10-24T22:00:00Z",
     {"2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"}},
    {"30 * * * *",
     BERLIN,
     "2026-10-24T23:45:00Z",
     {"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
    /* Asked within the hour that comes again. */
    {"30 2 * * *", BERLIN, "2026-10-25T01:10:00Z", {"2026-10-26T01:30:00Z"}},
    {"30 1 * * *", NEW_YORK, "2026-11-01T00:00:00Z", {"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
    /* By half an hour. */
    {"45 1 * * *", LORD_HOWE, "2026-04-04T12:00:00Z", {"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
    {"15 2 * * *", LORD_HOWE, "2026-10-03T12:00:00Z", {"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
    /* Where it is summer in January. */
    {"0 12 * * *", SYDNEY, "2026-01-01T00:00:00Z", {"2026-01-01T01:00:00Z", "2026-01-02T01:00:00Z"}},
    {"@daily", "<+0545>-5:45", "2026-01-01T00:00:00Z", {"2026-01-01T18:15:00Z", "2026-01-02T18:15:00Z"}},
};

static void times_come_as_the_clock_of_the_place_shows_them(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(times); i++) {
        struct zone *z = times[i].rule == NULL ? NULL : zone_from_rule(str_of(times[i].rule));
        struct schedule s = parsed(times[i].schedule);
        int64_t from = at(times[i].after);
        assert_true(times[i].rule == NULL || z != NULL);
        for (unsigned k = 0; k < 4 && (k == 0 || times[i].next[k] != NULL); k++) {
            char text[TIMEFMT_SIZE] = "never";
            from = schedule_next(&s, z, 0, from);
            if (from != SCHEDULE_NEVER) {
                timefmt_rfc3339(from * 1000, text);
            }
            const char *wanted = times[i].next[k] == NULL ? "never" : times[i].next[k];
            if (strcmp(text, wanted) != 0) {
                fail_msg("%s in %s after %s, number %u: %s and not %s", times[i].schedule,
                         times[i].rule == NULL ? "UTC" : times[i].rule, times[i].after, k, text, wanted);
            }
        }
        zone_free(z);
    }
}

static void every_counts_from_its_anchor(void **state)
{
    (void)state;
    struct schedule s = parsed("@every 7m");
    assert_int_equal(schedule_next(&s, NULL, 1000, 0), 1420);
    assert_int_equal(schedule_next(&s, NULL, 1000, 1000), 1420);
    assert_int_equal(schedule_next(&s, NULL, 1000, 1419), 1420);
    assert_int_equal(schedule_next(&s, NULL, 1000, 1420), 1840);
    struct schedule_due due = schedule_due(&s, NULL, 1000, 1000, 1000 + 420 * 3);
    assert_int_equal(due.count, 3);
    assert_int_equal(due.newest_s, 1000 + 420 * 3);
}

/* ---- Against an oracle ---- */

/* Does the field of a schedule's text allow n? Written anew: only numbers, "*", steps and lists. */
static bool allows(const char *field, unsigned n)
{
    char copy[64], *save;
    snprintf(copy, sizeof copy, "%s", field);
    for (char *p = strtok_r(copy, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
        char *slash = strchr(p, '/'), *dash = strchr(p, '-');
        unsigned step = slash == NULL ? 1 : (unsigned)atoi(slash + 1), from = 0, to = 99;
        if (*p != '*') {
            from = (unsigned)atoi(p);
            to = dash != NULL ? (unsigned)atoi(dash + 1) : slash != NULL ? 99 : from;
        }
        for (unsigned k = from; k <= to; k += step) {
            if (k == n) {
                return true;
            }
        }
    }
    return false;
}

static bool comes_at(char fields[5][16], int64_t local_s)
{
    int64_t day = (local_s - ((local_s % 86400) + 86400) % 86400) / 86400, year;
    unsigned month, of_month, minute = (unsigned)((local_s - day * 86400) / 60);
    timefmt_civil(day, &year, &month, &of_month);
    unsigned weekday = (unsigned)(((day + 4) % 7 + 7) % 7);
    /* Steps of days and months count from 1. */
    bool by_day = strcmp(fields[2], "*") == 0 || allows(fields[2], of_month),
         by_weekday = strcmp(fields[4], "*") == 0 || allows(fields[4], weekday);
    bool any = strcmp(fields[2], "*") == 0 || strcmp(fields[4], "*") == 0;
    return allows(fields[0], minute % 60) && allows(fields[1], minute / 60) &&
           (strcmp(fields[3], "*") == 0 || allows(fields[3], month)) &&
           (any ? by_day && by_weekday : by_day || by_weekday);
}

/* The first minute after `after` in which the clock shows a time that comes, or has jumped over one; a time that it has
 * shown before is over. Every minute is looked at. */
static int64_t oracle(char fields[5][16], const struct zone *z, int64_t after, int64_t until)
{
    bool hourly = strcmp(fields[1], "*") == 0;
    int64_t reached = INT64_MIN;
    for (int64_t t = after - 200040; t <= after; t += 60) { /* to the minute: that is what is asked below */
        reached = MAX(reached, t + zone_span_at(z, t).offset_s);
    }
    for (int64_t t = after - after % 60 + 60; t <= until; t += 60) {
        int64_t local = t + zone_span_at(z, t).offset_s;
        if (hourly ? comes_at(fields, local) : false) {
            return t;
        }
        for (int64_t l = reached - ((reached % 60) + 60) % 60 + 60; !hourly && l <= local; l += 60) {
            if (comes_at(fields, l)) {
                return t;
            }
        }
        reached = MAX(reached, local);
    }
    return SCHEDULE_NEVER;
}

static void draw_field(struct rng *r, char out[16], unsigned least, unsigned most)
{
    unsigned a = least + (unsigned)rng_below(r, most - least + 1), b = least + (unsigned)rng_below(r, most - least + 1);
    switch (rng_below(r, 6)) {
    case 0:
    case 1:
        snprintf(out, 16, "*");
        break;
    case 2:
        snprintf(out, 16, "%u", a);
        break;
    case 3:
        snprintf(out, 16, "%u-%u", MIN(a, b), MAX(a, b));
        break;
    case 4:
        snprintf(out, 16, "%u,%u", a, b);
        break;
    default:
        snprintf(out, 16, "%u-%u/%u", MIN(a, b), most, 1 + (unsigned)rng_below(r, 5));
    }
}

static void times_are_those_of_an_oracle_that_looks_at_every_minute(void **state)
{
    (void)state;
    static const char *const rules[] = {BERLIN, NEW_YORK, LORD_HOWE, SYDNEY};
    static const char *const around[] = {"2026-03-07T00:00:00Z", "2026-03-28T12:00:00Z", "2026-04-04T00:00:00Z",
                                         "2026-10-03T00:00:00Z", "2026-10-24T12:00:00Z", "2026-10-31T12:00:00Z"};
    struct rng r = {.state = 7};
    unsigned found = 0;
    for (unsigned n = 0; n < 400; n++) {
        char fields[5][16], text[96];
        draw_field(&r, fields[0], 0, 59);
        draw_field(&r, fields[1], 0, 23);
        draw_field(&r, fields[2], 1, 31);
        draw_field(&r, fields[3], 1, 12);
        draw_field(&r, fields[4], 0, 6);
        snprintf(text, sizeof text, "%s %s %s %s %s", fields[0], fields[1], fields[2], fields[3], fields[4]);
        struct schedule s = parsed(text);
        struct zone *z = zone_from_rule(str_of(rules[rng_below(&r, ARRAY_SIZE(rules))]));
        bool every_hour = s.hours == 0xffffff;
        if (every_hour) { /* spelled in another way */
            snprintf(fields[1], sizeof fields[1], "*");
        }
        int64_t after = at(around[rng_below(&r, ARRAY_SIZE(around))]) + (int64_t)rng_below(&r, 90000);
        int64_t until = after + 2 * 86400, wanted = oracle(fields, z, after, until),
                got = schedule_next(&s, z, 0, after);
        if (wanted != (got > until ? SCHEDULE_NEVER : got)) {
            fail_msg("%s after %lld: %lld and not %lld", text, (long long)after, (long long)got, (long long)wanted);
        }
        found += wanted != SCHEDULE_NEVER;
        zone_free(z);
    }
    assert_true(found > 100);
}

static void the_newest_of_many_is_found_without_looking_at_all(void **state)
{
    (void)state;
    struct rng r = {.state = 9};
    struct zone *z = zone_from_rule(STR(BERLIN));
    for (unsigned n = 0; n < 200; n++) {
        char fields[5][16], text[96];
        draw_field(&r, fields[0], 0, 59);
        draw_field(&r, fields[1], 0, 23);
        draw_field(&r, fields[2], 1, 31);
        snprintf(text, sizeof text, "%s %s %s * *", fields[0], fields[1], fields[2]);
        struct schedule s = parsed(text);
        int64_t after = at("2026-03-20T00:00:00Z") + (int64_t)rng_below(&r, 1000000),
                until = after + (int64_t)rng_below(&r, 30 * 86400), newest = SCHEDULE_NEVER;
        unsigned count = 0;
        for (int64_t t = schedule_next(&s, z, 0, after); t <= until; t = schedule_next(&s, z, 0, t)) {
            newest = t;
            count++;
        }
        struct schedule_due due = schedule_due(&s, z, 0, after, until);
        assert_int_equal(due.newest_s, newest);
        assert_int_equal(due.count, MIN(count, SCHEDULE_COUNT_MAX + 1));
    }
    zone_free(z);
    struct schedule often = parsed("* * * * *");
    struct schedule_due due = schedule_due(&often, NULL, 0, at("1970-01-02T00:00:00Z"), at("2026-01-01T00:00:30Z"));
    assert_int_equal(due.newest_s, at("2026-01-01T00:00:00Z"));
    assert_int_equal(due.count, SCHEDULE_COUNT_MAX + 1);
}

/* ---- Zones ---- */

static void rules_are_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "C",
                                      "CET",
                                      "CET-1CEST",
                                      "CET-25",
                                      "CET-1CEST,M3.5.0",
                                      "<+01-1",
                                      "CET-1CEST,M13.1.0,M1.1.0",
                                      "CET-1CEST,M3.6.0,M10.5.0",
                                      "CET-1CEST,J0,J5",
                                      "CET-1CEST,366,1",
                                      "CET-1:60",
                                      "UTC0 ",
                                      "CET-1CEST,M3.5.7,M10.5.0"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        struct zone *z = zone_from_rule(str_of(bad[i]));
        if (z != NULL) {
            fail_msg("taken: \"%s\"", bad[i]);
        }
    }
    static const struct {
        const char *rule, *at;
        int32_t offset_s;
    } rows[] = {
        {"UTC0", "2026-07-01T00:00:00Z", 0},
        {"<-03>3", "2026-07-01T00:00:00Z", -10800},
        {BERLIN, "2026-03-29T00:59:59Z", 3600},
        {BERLIN, "2026-03-29T01:00:00Z", 7200},
        {BERLIN, "2026-10-25T00:59:59Z", 7200},
        {BERLIN, "2026-10-25T01:00:00Z", 3600},
        {SYDNEY, "2026-01-01T00:00:00Z", 39600},
        {SYDNEY, "2026-07-01T00:00:00Z", 36000},
        /* Days that count from 1 without the 29th of February, and from 0 with it. */
        {"AAA0BBB,J60/0,J70/0", "2028-02-29T12:00:00Z", 0},
        {"AAA0BBB,J60/0,J70/0", "2028-03-01T00:00:00Z", 3600},
        {"AAA0BBB,59/0,70/0", "2028-02-29T00:00:00Z", 3600},
        {"AAA0BBB,59/0,70/0", "2028-02-28T12:00:00Z", 0},
        /* Summer that never ends, and times beyond a day. */
        {"XXX3EDT4,0/0,J365/23", "2026-12-31T23:30:00Z", -14400},
        {"XXX3EDT4,0/0,J365/23", "2026-06-01T00:00:00Z", -14400},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T00:59:59Z", -7200},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", -3600},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct zone *z = zone_from_rule(str_of(rows[i].rule));
        assert_non_null(z);
        int32_t offset = zone_span_at(z, at(rows[i].at)).offset_s;
        if (offset != rows[i].offset_s) {
            fail_msg("%s at %s: %d and not %d", rows[i].rule, rows[i].at, offset, rows[i].offset_s);
        }
        zone_free(z);
    }
}

static void names_never_leave_the_database(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       ".",   "..",   "/etc/passwd", "a//b", "a/", "/a",   "../a",
                                      "a/../b", "a b", "a\nb", "1a",          "a/.b", "ä",  "a/-b", "zone.tab"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(zone_name_is(str_of(bad[i])));
    }
    char longest[ZONE_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    assert_true(zone_name_is((struct str){longest, ZONE_NAME_MAX}));
    assert_false(zone_name_is((struct str){longest, ZONE_NAME_MAX + 1}));
    static const char *const good[] = {
        "UTC", "Europe/Berlin", "Etc/GMT+3", "America/Port-au-Prince", "America/Argentina/Buenos_Aires", "EST5EDT"};
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(zone_name_is(str_of(good[i])));
    }
}

static void put(struct buf *b, int64_t v, unsigned n)
{
    for (unsigned i = n; i-- > 0;) {
        buf_putc(b, (char)(v >> (8 * i) & 0xff));
    }
}

static void put_head(struct buf *b, char version, unsigned changes, unsigned types, unsigned leaps)
{
    static const char nothing[15];
    buf_puts(b, "TZif");
    buf_putc(b, version);
    buf_append(b, nothing, sizeof nothing);
    const unsigned counts[] = {0, 0, leaps, changes, types, 4};
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        put(b, counts[i], 4);
    }
}

/* A file of version 2 with two changes. */
static void put_file(struct buf *b, const int64_t changes[2], int64_t offset, unsigned which, unsigned leaps,
                     const char *footer)
{
    buf_reset(b);
    put_head(b, '2', 0, 1, 0);
    put(b, 0, 6);
    buf_append(b, "UTC", 4);
    put_head(b, '2', 2, 2, leaps);
    put(b, changes[0], 8);
    put(b, changes[1], 8);
    buf_putc(b, (char)which);
    buf_putc(b, 0);
    put(b, 0, 6); /* type 0: UTC */
    put(b, offset, 4);
    put(b, 0, 2);
    buf_append(b, "UTC", 4);
    for (unsigned i = 0; i < leaps; i++) {
        put(b, 0, 8);
        put(b, 0, 4);
    }
    buf_puts(b, footer);
}

static void files_are_read_and_hostile_ones_refused(void **state)
{
    (void)state;
    static const int64_t changes[2] = {1000, 2000}, down[2] = {2000, 1000}, far[2] = {1000, INT64_MAX};
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    put_file(&b, changes, 7200, 1, 0, "\nCET-1\n");
    struct zone *z = zone_from_file(b.data, b.size, &err);
    assert_non_null(z);
    assert_int_equal(zone_span_at(z, 999).offset_s, 0);
    assert_int_equal(zone_span_at(z, 1000).offset_s, 7200);
    assert_int_equal(zone_span_at(z, 1500).to_s, 2000);
    assert_int_equal(zone_span_at(z, 2000).offset_s, 3600); /* the rule goes on behind the last change */
    zone_free(z);
    for (size_t n = 0; n < b.size; n++) {
        assert_null(zone_from_file(b.data, n, &err));
    }
    const struct {
        const int64_t *changes;
        int64_t offset;
        unsigned which, leaps;
        const char *footer;
    } bad[] = {{down, 0, 1, 0, "\n\n"},        {far, 0, 1, 0, "\n\n"},
               {changes, 93601, 1, 0, "\n\n"}, {changes, 0, 2, 0, "\n\n"},
               {changes, 0, 1, 1, "\n\n"},     {changes, 0, 1, 0, "\nwhat\n"},
               {changes, 0, 1, 0, ""},         {changes, INT32_MIN, 1, 0, "\n\n"}};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        put_file(&b, bad[i].changes, bad[i].offset, bad[i].which, bad[i].leaps, bad[i].footer);
        err = (struct error){0};
        if (zone_from_file(b.data, b.size, &err) != NULL) {
            fail_msg("file %u is taken", i);
        }
        assert_int_equal(err.code, ERR_INVALID);
    }
    /* Counts beyond all memory. */
    buf_reset(&b);
    put_head(&b, '2', 0xffffffff, 0xffffffff, 0xffffffff);
    assert_null(zone_from_file(b.data, b.size, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_are_read_as_crontab_has_them),
        cmocka_unit_test(what_is_no_schedule_is_refused_with_the_reason),
        cmocka_unit_test(times_come_as_the_clock_of_the_place_shows_them),
        cmocka_unit_test(every_counts_from_its_anchor),
        cmocka_unit_test(times_are_those_of_an_oracle_that_looks_at_every_minute),
        cmocka_unit_test(the_newest_of_many_is_found_without_looking_at_all),
        cmocka_unit_test(rules_are_read),
        cmocka_unit_test(names_never_leave_the_database),
        cmocka_unit_test(files_are_read_and_hostile_ones_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
