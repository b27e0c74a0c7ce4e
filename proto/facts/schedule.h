/* Schedules of CronJobs: when it is time again. Pure. Sources: crontab(5); Kubernetes batch/v1 CronJobSpec.schedule
 * (five fields, names, ranges, lists, steps, "?" as "*", macros, "@every 1h30m"); FACTS: Debian's cron for the hours
 * that a clock skips or shows twice.
 *
 *     minute 0-59, hour 0-23, day of month 1-31, month 1-12 or jan-dec, day of week 0-6 or sun-sat
 *
 * Where both days are restricted, either is enough; a field that begins with "*" or "?" and has no step restricts
 * nothing.
 *
 * When a zone's clock jumps, a schedule that names hours runs once for each time that it names: a time that is skipped
 * runs when the clock has jumped over it, one that comes twice runs the first time. A schedule of every hour follows
 * the clock as it goes.
 *
 * "@every" counts from an anchor (when the CronJob was made), so that it is the same times whoever asks, and comes once
 * a minute at most: Jobs are named by the minute. */
#ifndef PROTO_FACTS_SCHEDULE_H
#define PROTO_FACTS_SCHEDULE_H

#include "base/err.h"
#include "proto/facts/zone.h"

#define SCHEDULE_TEXT_MAX  1024u /* bytes */
#define SCHEDULE_NEVER     INT64_MAX
#define SCHEDULE_YEARS     9    /* how far it looks: the 29th of February, across 2100 */
#define SCHEDULE_COUNT_MAX 100u /* missed times that are counted; more are "many" */

struct schedule {
    uint64_t minutes;             /* bit n: the nth */
    uint32_t hours, days, months; /* days from bit 1, months too */
    uint32_t weekdays;            /* bit 0: Sunday */
    bool any_day, any_weekday;    /* restricts nothing */
    int64_t every_s;              /* 0: by the fields above */
};

/* ERR_INVALID with what is wrong, where, and what is possible. */
int schedule_parse(struct str text, struct schedule *out, struct error *err);
/* Does the text begin with a zone ("TZ=...", "CRON_TZ=...")? schedule_parse refuses it. */
bool schedule_names_zone(struct str text);

/* The first time after after_s (seconds since the epoch); SCHEDULE_NEVER if there is none within SCHEDULE_YEARS. zone
 * NULL: UTC. Later times of after_s never give earlier results. */
int64_t schedule_next(const struct schedule *s, const struct zone *zone, int64_t anchor_s, int64_t after_s);

struct schedule_due {
    int64_t newest_s; /* the last time in (after, until]; SCHEDULE_NEVER if there is none */
    unsigned count;   /* of times there; SCHEDULE_COUNT_MAX + 1: more than SCHEDULE_COUNT_MAX */
};
/* Costs the logarithm of the stretch, however long it is. */
struct schedule_due schedule_due(const struct schedule *s, const struct zone *zone, int64_t anchor_s, int64_t after_s,
                                 int64_t until_s);

#endif
