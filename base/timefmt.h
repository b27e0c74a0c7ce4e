/* Times as text: RFC 3339 in UTC, seconds as Kubernetes' metav1.Time ("2026-01-02T03:04:05Z"), and ages as
 * kubectl prints them ("5s", "3m12s", "4h", "12d"). Pure: no clock is read, no locale, no time zone. */
#ifndef BASE_TIMEFMT_H
#define BASE_TIMEFMT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define TIMEFMT_SIZE 64

void timefmt_rfc3339(int64_t wall_ms, char out[TIMEFMT_SIZE]);    /* cuts to seconds */
void timefmt_rfc3339_ms(int64_t wall_ms, char out[TIMEFMT_SIZE]); /* with milliseconds */
/* Parses both forms (and +hh:mm offsets) to milliseconds since the epoch; false if malformed. */
bool timefmt_parse(struct str s, int64_t *wall_ms);
void timefmt_age(int64_t duration_ms, char out[TIMEFMT_SIZE]);

/* Days since 1970-01-01 of a date of the Gregorian calendar (month 1 to 12, day from 1), also before it was in use; and
 * back. */
int64_t timefmt_days(int64_t year, unsigned month, unsigned day);
void timefmt_civil(int64_t days, int64_t *year, unsigned *month, unsigned *day);

#endif
