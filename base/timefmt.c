#include "base/timefmt.h"

#include <inttypes.h>
#include <stdio.h>

/* The usual 400-year era arithmetic. */
int64_t timefmt_days(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

void timefmt_civil(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int64_t)yoe + era * 400 + (*m <= 2);
}

/* Every object has several times, so they are written digit by digit. Returns behind `end`. */
static char *put_digits(char *p, unsigned v, unsigned digits, char end)
{
    for (unsigned i = digits; i-- > 0; v /= 10) {
        p[i] = (char)('0' + v % 10);
    }
    p[digits] = end;
    return p + digits + 1;
}

static void format(int64_t wall_ms, bool with_ms, char out[TIMEFMT_SIZE])
{
    int64_t secs = wall_ms >= 0 ? wall_ms / 1000 : -((-wall_ms + 999) / 1000);
    int ms = (int)(wall_ms - secs * 1000);
    int64_t days = secs >= 0 ? secs / 86400 : -((-secs + 86399) / 86400);
    int rest = (int)(secs - days * 86400);
    int64_t y;
    unsigned m, d;
    timefmt_civil(days, &y, &m, &d);
    if (y < 0 || y > 9999) { /* no time that a clock tells */
        snprintf(out, TIMEFMT_SIZE, with_ms ? "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ" : "%04d-%02u-%02uT%02d:%02d:%02dZ",
                 (int)y, m, d, rest / 3600, rest / 60 % 60, rest % 60, ms);
        return;
    }
    char *p = put_digits(out, (unsigned)y, 4, '-');
    p = put_digits(p, m, 2, '-');
    p = put_digits(p, d, 2, 'T');
    p = put_digits(p, (unsigned)rest / 3600, 2, ':');
    p = put_digits(p, (unsigned)rest / 60 % 60, 2, ':');
    p = put_digits(p, (unsigned)rest % 60, 2, with_ms ? '.' : 'Z');
    p = with_ms ? put_digits(p, (unsigned)ms, 3, 'Z') : p;
    *p = '\0';
}

void timefmt_rfc3339(int64_t wall_ms, char out[TIMEFMT_SIZE])
{
    format(wall_ms, false, out);
}

void timefmt_rfc3339_ms(int64_t wall_ms, char out[TIMEFMT_SIZE])
{
    format(wall_ms, true, out);
}

static bool digits(struct str s, size_t at, size_t n, int *out)
{
    *out = 0;
    if (at + n > s.n) {
        return false;
    }
    for (size_t i = at; i < at + n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        *out = *out * 10 + (s.p[i] - '0');
    }
    return true;
}

bool timefmt_parse(struct str s, int64_t *wall_ms)
{
    int y, mo, d, h, mi, sec;
    if (!digits(s, 0, 4, &y) || !digits(s, 5, 2, &mo) || !digits(s, 8, 2, &d) || !digits(s, 11, 2, &h) ||
        !digits(s, 14, 2, &mi) || !digits(s, 17, 2, &sec)) {
        return false;
    }
    if (s.p[4] != '-' || s.p[7] != '-' || (s.p[10] != 'T' && s.p[10] != 't') || s.p[13] != ':' || s.p[16] != ':' ||
        mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || sec > 60) {
        return false;
    }
    size_t i = 19;
    int ms = 0;
    if (i < s.n && s.p[i] == '.') {
        int scale = 100;
        for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
            ms += (s.p[i] - '0') * scale;
            scale /= 10;
        }
    }
    int offset_s = 0;
    if (i < s.n && (s.p[i] == '+' || s.p[i] == '-')) {
        int oh, om;
        if (!digits(s, i + 1, 2, &oh) || !digits(s, i + 4, 2, &om) || s.p[i + 3] != ':') {
            return false;
        }
        offset_s = (oh * 3600 + om * 60) * (s.p[i] == '+' ? 1 : -1);
        i += 6;
    } else if (i < s.n && (s.p[i] == 'Z' || s.p[i] == 'z')) {
        i++;
    } else {
        return false;
    }
    if (i != s.n) {
        return false;
    }
    int64_t secs = timefmt_days(y, (unsigned)mo, (unsigned)d) * 86400 + h * 3600 + mi * 60 + sec - offset_s;
    *wall_ms = secs * 1000 + ms;
    return true;
}

/* Same steps as kubectl's HumanDuration: the finer unit is shown only while the coarser is small. */
void timefmt_age(int64_t duration_ms, char out[TIMEFMT_SIZE])
{
    int64_t s = duration_ms / 1000;
    if (s < 0) {
        s = 0;
    }
    int64_t m = s / 60, h = m / 60, d = h / 24;
    if (s < 120) {
        snprintf(out, TIMEFMT_SIZE, "%" PRId64 "s", s);
    } else if (m < 10) {
        snprintf(out, TIMEFMT_SIZE, s % 60 != 0 ? "%" PRId64 "m%" PRId64 "s" : "%" PRId64 "m", m, s % 60);
    } else if (m < 180) {
        snprintf(out, TIMEFMT_SIZE, "%" PRId64 "m", m);
    } else if (h < 8) {
        snprintf(out, TIMEFMT_SIZE, m % 60 != 0 ? "%" PRId64 "h%" PRId64 "m" : "%" PRId64 "h", h, m % 60);
    } else if (h < 48) {
        snprintf(out, TIMEFMT_SIZE, "%" PRId64 "h", h);
    } else if (d < 8) {
        snprintf(out, TIMEFMT_SIZE, h % 24 != 0 ? "%" PRId64 "d%" PRId64 "h" : "%" PRId64 "d", d, h % 24);
    } else {
        snprintf(out, TIMEFMT_SIZE, "%" PRId64 "d", d);
    }
}
