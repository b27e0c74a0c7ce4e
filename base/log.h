/* Logging: one line per event, `2026-01-02T03:04:05.678Z LEVEL name: text`, to a sink (stderr by default).
 *
 * Each daemon, or each simulated member, holds its own `struct log`; nothing is global. Secrets never reach a line:
 * callers print names, sizes and hashes of user data, never its content. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_OFF };

struct log {
    const char *name; /* "master-1", "agent-n1" */
    enum log_level level;
    void (*sink)(void *data, enum log_level level, const char *line, unsigned size); /* NULL = stderr */
    void *sink_data;
    int64_t (*wall_ms)(void *data); /* NULL = the real clock */
    void *wall_data;
};

/* A NULL log drops the line. */
void log_line(const struct log *log, enum log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define log_debug(log, module, ...)                                                                                    \
    do {                                                                                                               \
        if ((log) != NULL && (log)->level <= LOG_LEVEL_DEBUG) log_line(log, LOG_LEVEL_DEBUG, module, __VA_ARGS__);     \
    } while (0)
#define log_info(log, module, ...) log_line(log, LOG_LEVEL_INFO, module, __VA_ARGS__)
#define log_warn(log, module, ...) log_line(log, LOG_LEVEL_WARN, module, __VA_ARGS__)
#define log_error(log, module, ...) log_line(log, LOG_LEVEL_ERROR, module, __VA_ARGS__)
/* "debug", "info", "warn", "error", "off" -> level; -1 if none of them. */
int log_level_parse(const char *s);

#endif
