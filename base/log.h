/* Logging: one line per event, `2026-01-02T03:04:05.678Z LEVEL name: text`, to a sink (stderr by default).
 *
 * A log that has rates is limited by rate, at every place that writes to it: what a peer, a pod or a client can cause
 * must neither fill a disk nor cost time. A place may write LOG_BURST lines at once and then one every LOG_EACH_MS;
 * what is left out is counted, and told in the next line of that place: "... (117 more like this in the last 60 s)". A
 * log of level debug has no limit: a person who looks for a fault wants all of it.
 *
 * Each daemon, or each simulated member, holds its own `struct log`; nothing is global. Secrets never reach a line:
 * callers print names, sizes and hashes of user data, never its content. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_OFF };

#define LOG_BURST      10
#define LOG_EACH_MS    6000

#define LOG_PEER_BURST 5 /* of one peer at one place */
#define LOG_PEERS      8 /* a place writes for so many peers at once as much as one may */

struct log_rates;

struct log {
    const char *name; /* "master-1", "agent-n1" */
    enum log_level level;
    void (*sink)(void *data, enum log_level level, const char *line, unsigned size); /* NULL = stderr */
    void *sink_data;
    int64_t (*wall_ms)(void *data); /* NULL = the real clock */
    void *wall_data;
    struct log_rates *rates;       /* NULL: no limit. Borrowed; several logs may share them */
    int64_t (*now_ms)(void *data); /* for the rates, with wall_data; NULL = the real monotonic clock */
};

/* May be used by several threads. */
struct log_rates *log_rates_new(void);
void log_rates_free(struct log_rates *r);

/* A NULL log drops the line. */
void log_line(const struct log *log, enum log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define log_debug(log, module, ...)                                                                                    \
    do {                                                                                                               \
        if ((log) != NULL && (log)->level <= LOG_LEVEL_DEBUG)                                                          \
            log_line(log, LOG_LEVEL_DEBUG, module, __VA_ARGS__);                                                       \
    } while (0)
#define log_info(log, module, ...)  log_line(log, LOG_LEVEL_INFO, module, __VA_ARGS__)
#define log_warn(log, module, ...)  log_line(log, LOG_LEVEL_WARN, module, __VA_ARGS__)
#define log_error(log, module, ...) log_line(log, LOG_LEVEL_ERROR, module, __VA_ARGS__)
/* A line that `peer` has caused: its network, or its name. A peer writes LOG_PEER_BURST lines at a place and then one
 * every LOG_EACH_MS, whatever the others do there; all peers of a place together write LOG_PEERS times as much. So
 * it takes several at once to hide another one's line. */
void log_line_of(const struct log *log, enum log_level level, const char *module, const char *peer, const char *fmt,
                 ...) __attribute__((format(printf, 5, 6)));
#define log_info_of(log, module, peer, ...) log_line_of(log, LOG_LEVEL_INFO, module, peer, __VA_ARGS__)
#define log_warn_of(log, module, peer, ...) log_line_of(log, LOG_LEVEL_WARN, module, peer, __VA_ARGS__)
/* "debug", "info", "warn", "error", "off" -> level; -1 if none of them. */
int log_level_parse(const char *s);

#endif
