#include "base/failpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum action { ACTION_NONE, ACTION_CRASH, ACTION_ERROR, ACTION_SLEEP, ACTION_STAND };

unsigned char failpoint_armed[FAILPOINT_COUNT];
static struct {
    enum action action;
    unsigned at;
    bool onwards;
    unsigned sleep_ms;
    atomic_uint hits;
} points[FAILPOINT_COUNT];

static const char *const names[FAILPOINT_COUNT] = {
#define X(name) #name,
    FAILPOINT_LIST(X)
#undef X
};

const char *failpoint_name(enum failpoint f)
{
    return names[f];
}

unsigned failpoint_hits(enum failpoint f)
{
    return atomic_load(&points[f].hits);
}

bool failpoint_hit(enum failpoint f)
{
    unsigned hit = atomic_fetch_add(&points[f].hits, 1) + 1;
    if (points[f].onwards ? hit < points[f].at : hit != points[f].at) {
        return false;
    }
    switch (points[f].action) {
    case ACTION_CRASH:
        kill(getpid(), SIGKILL);
        for (;;) {
            pause();
        }
    case ACTION_SLEEP: {
        struct timespec ts = {points[f].sleep_ms / 1000, (long)(points[f].sleep_ms % 1000) * 1000000};
        while (nanosleep(&ts, &ts) != 0) {
        }
        return false;
    }
    case ACTION_STAND:
        kill(getpid(), SIGSTOP);
        return false;
    case ACTION_ERROR:
        return true;
    case ACTION_NONE:
        break;
    }
    return false;
}

void failpoint_disarm_all(void)
{
    memset(failpoint_armed, 0, sizeof failpoint_armed);
}

/* One "NAME=ACTION[@N[+]]" of n characters. */
static bool arm_one(const char *text, size_t n)
{
    char part[128], *action, *at;
    if (n >= sizeof part) {
        return false;
    }
    memcpy(part, text, n);
    part[n] = '\0';
    if ((action = strchr(part, '=')) == NULL) {
        return false;
    }
    *action++ = '\0';
    unsigned long count = 1, sleep_ms = 0;
    bool onwards = false;
    if ((at = strchr(action, '@')) != NULL) {
        char *end;
        *at++ = '\0';
        count = strtoul(at, &end, 10);
        onwards = *end == '+';
        if (count == 0 || end == at || end[onwards] != '\0') {
            return false;
        }
    }
    enum action what = ACTION_NONE;
    if (strcmp(action, "crash") == 0) {
        what = ACTION_CRASH;
    } else if (strcmp(action, "error") == 0) {
        what = ACTION_ERROR;
    } else if (strcmp(action, "stand") == 0) {
        what = ACTION_STAND;
    } else if (strncmp(action, "sleep:", 6) == 0) {
        char *end;
        what = ACTION_SLEEP;
        sleep_ms = strtoul(action + 6, &end, 10);
        if (end == action + 6 || *end != '\0' || sleep_ms > 3600000) {
            return false;
        }
    }
    for (unsigned f = 0; what != ACTION_NONE && f < FAILPOINT_COUNT; f++) {
        if (strcmp(part, names[f]) == 0) {
            points[f].action = what;
            points[f].at = (unsigned)count;
            points[f].onwards = onwards;
            points[f].sleep_ms = (unsigned)sleep_ms;
            atomic_store(&points[f].hits, 0);
            failpoint_armed[f] = 1;
            return true;
        }
    }
    return false;
}

bool failpoint_arm(const char *text, const char **bad)
{
    while (*text != '\0') {
        size_t n = strcspn(text, ",");
        if (n > 0 && !arm_one(text, n)) {
            *bad = text;
            return false;
        }
        text += n + (text[n] == ',');
    }
    return true;
}
