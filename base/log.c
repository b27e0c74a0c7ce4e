#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/timefmt.h"

#define LINE_MAX_BYTES 2048

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR", "OFF"};

/* ---- Rates ---- */

/* A place in the code is known by its format and its module, which are literals. */
struct place {
    const char *fmt, *module; /* NULL: free */
    int64_t full_ms;          /* when it may write LOG_BURST lines again (the generic cell rate algorithm) */
    int64_t last_ms;          /* its last line */
    unsigned left_out;        /* since then */
};
#define PLACES_MAX 512u /* some 150 there are */

/* A peer at a place. They are kept in sets chosen by a seeded hash; in a full set the one that has been quiet for
 * the longest makes room. */
struct peer {
    uint64_t who;    /* hash of place and peer; 0: free */
    int64_t full_ms; /* as of a place */
    int64_t last_ms;
    unsigned left_out;
};
#define PEER_SETS 128u
#define PEER_SET  8u

struct log_rates {
    pthread_mutex_t lock;
    uint64_t seed;
    struct peer peers[PEER_SETS][PEER_SET];
    struct place places[PLACES_MAX];
};

struct log_rates *log_rates_new(void)
{
    struct log_rates *r = xcalloc(1, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->seed = hash_seed();
    return r;
}

void log_rates_free(struct log_rates *r)
{
    if (r != NULL) {
        pthread_mutex_destroy(&r->lock);
        free(r);
    }
}

static struct place *place_of(struct log_rates *r, const char *fmt, const char *module)
{
    uintptr_t at = ((uintptr_t)fmt * 31 + (uintptr_t)module) * 0x9e3779b1u;
    for (unsigned i = 0; i < PLACES_MAX; i++) {
        struct place *p = &r->places[((at >> 7) + i) % PLACES_MAX];
        if (p->fmt == NULL) {
            *p = (struct place){.fmt = fmt, .module = module};
        }
        if (p->fmt == fmt && p->module == module) {
            return p;
        }
    }
    return &r->places[0]; /* more places than there can be: they share one */
}

/* Its row; a new one makes room, and what was left out of the former one is the place's. */
static struct peer *peer_of(struct log_rates *r, struct place *p, const char *peer)
{
    uint64_t who = XXH3_64bits_withSeed(peer, strlen(peer), r->seed ^ (uint64_t)(p - r->places) * 0x9e3779b97f4a7c15u);
    who = who == 0 ? 1 : who;
    struct peer *set = r->peers[who % PEER_SETS], *row = &set[0];
    for (unsigned i = 0; i < PEER_SET; i++) {
        if (set[i].who == who) {
            return &set[i];
        }
        row = set[i].full_ms < row->full_ms ? &set[i] : row;
    }
    p->left_out += row->left_out; /* perhaps another place's: only a number in its next line */
    *row = (struct peer){.who = who};
    return row;
}

static bool has_left(int64_t full_ms, int64_t now, int64_t burst, int64_t each_ms)
{
    return full_ms - now <= (burst - 1) * each_ms;
}

/* May a line that this peer causes be written here? left_out, since_ms: of what it has to tell. */
static bool peer_allowed(struct log_rates *r, struct place *p, const char *peer, int64_t now, unsigned *left_out,
                         int64_t *since_ms)
{
    struct peer *who = peer_of(r, p, peer);
    const int64_t all_ms = LOG_EACH_MS / LOG_PEERS;
    if (!has_left(who->full_ms, now, LOG_PEER_BURST, LOG_EACH_MS)) {
        who->left_out++;
        return false;
    }
    if (!has_left(p->full_ms, now, LOG_PEER_BURST * LOG_PEERS, all_ms)) {
        p->left_out++;
        return false;
    }
    *left_out = who->left_out + p->left_out;
    *since_ms = who->left_out > 0 ? who->last_ms : p->last_ms;
    who->full_ms = MAX(who->full_ms, now) + LOG_EACH_MS;
    p->full_ms = MAX(p->full_ms, now) + all_ms;
    who->last_ms = p->last_ms = now;
    who->left_out = p->left_out = 0;
    return true;
}

static bool place_allowed(struct place *p, int64_t now, unsigned *left_out, int64_t *since_ms)
{
    if (!has_left(p->full_ms, now, LOG_BURST, LOG_EACH_MS)) {
        p->left_out++;
        return false;
    }
    *left_out = p->left_out;
    *since_ms = p->last_ms;
    p->full_ms = MAX(p->full_ms, now) + LOG_EACH_MS;
    p->last_ms = now;
    p->left_out = 0;
    return true;
}

static int64_t now_of(const struct log *log)
{
    if (log->now_ms != NULL) {
        return log->now_ms(log->wall_data);
    }
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* May this place write a line now? more: what is told of those that it was not allowed, or "". */
static bool allowed(const struct log *log, const char *fmt, const char *module, const char *peer, char more[80])
{
    more[0] = '\0';
    if (log->rates == NULL || log->level <= LOG_LEVEL_DEBUG) {
        return true;
    }
    int64_t now = now_of(log), since_ms = 0;
    unsigned left_out = 0;
    pthread_mutex_lock(&log->rates->lock);
    struct place *p = place_of(log->rates, fmt, module);
    bool may = peer == NULL ? place_allowed(p, now, &left_out, &since_ms)
                            : peer_allowed(log->rates, p, peer, now, &left_out, &since_ms);
    pthread_mutex_unlock(&log->rates->lock);
    if (may && left_out > 0) {
        snprintf(more, 80, " (%u more like this in the last %lld s)", left_out,
                 (long long)(now - since_ms + 999) / 1000);
    }
    return may;
}

/* ---- Lines ---- */

static void write_line(const struct log *log, enum log_level level, const char *module, const char *peer,
                       const char *fmt, va_list ap)
{
    int saved_errno = errno;
    char more[80] = "";
    if (level > LOG_LEVEL_DEBUG && !allowed(log, fmt, module, peer, more)) {
        errno = saved_errno;
        return;
    }
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
    int n = snprintf(line, sizeof line, "%s %-5s %s %s: ", when, level_names[level],
                     log->name == NULL ? "-" : log->name, module);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    size_t size = MIN((size_t)n + (size_t)(m < 0 ? 0 : m), sizeof line - 2);
    size_t more_size = strlen(more);
    size = MIN(size, sizeof line - 2 - more_size);
    memcpy(line + size, more, more_size);
    size += more_size;
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

void log_line(const struct log *log, enum log_level level, const char *module, const char *fmt, ...)
{
    if (log != NULL && level >= log->level) {
        va_list ap;
        va_start(ap, fmt);
        write_line(log, level, module, NULL, fmt, ap);
        va_end(ap);
    }
}

void log_line_of(const struct log *log, enum log_level level, const char *module, const char *peer, const char *fmt,
                 ...)
{
    if (log != NULL && level >= log->level) {
        va_list ap;
        va_start(ap, fmt);
        write_line(log, level, module, peer, fmt, ap);
        va_end(ap);
    }
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
