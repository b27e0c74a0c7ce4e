#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/timefmt.h"

#define LINE_MAX_BYTES 2048

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR", "OFF"};

void log_line(const struct log *log, enum log_level level, const char *module, const char *fmt, ...)
{
    if (log == NULL || level < log->level) {
        return;
    }
    int saved_errno = errno;
    int64_t now_ms;
    if (log->wall_ms != NULL) {
        now_ms = log->wall_ms(log->wall_data);
    } else {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        now_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
    }
    char line[LINE_MAX_BYTES];
    char when[TIMEFMT_SIZE];
    timefmt_rfc3339_ms(now_ms, when);
    int n = snprintf(line, sizeof line, "%s %-5s %s %s: ", when, level_names[level], log->name == NULL ? "-" : log->name,
                     module);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    size_t size = MIN((size_t)n + (size_t)(m < 0 ? 0 : m), sizeof line - 2);
    /* What a peer sent must not forge a second line. */
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)line[i] < 0x20) {
            line[i] = ' ';
        }
    }
    line[size++] = '\n';
    if (log->sink != NULL) {
        log->sink(log->sink_data, level, line, (unsigned)size);
    } else {
        ssize_t rv = write(STDERR_FILENO, line, size);
        (void)rv; /* nowhere to report it */
    }
    errno = saved_errno;
}

int log_level_parse(const char *s)
{
    for (int i = 0; i < (int)ARRAY_SIZE(level_names); i++) {
        if (strcasecmp(s, level_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}
