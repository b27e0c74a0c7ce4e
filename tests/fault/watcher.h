/* A watcher that goes on at another master, behind the last revision it was told, whenever its stream breaks; a
 * thread of its own. */
#ifndef TESTS_FAULT_WATCHER_H
#define TESTS_FAULT_WATCHER_H

#include <pthread.h>

#include "client/api/config.h"
#include "tests/check/history.h"

struct watcher {
    pthread_t thread;
    unsigned index;    /* the master that it begins with */
    int64_t process;   /* in the history */
    const char *label; /* what it watches: ConfigMaps with set=label */
    const char *last;  /* the object after which it has been told everything */
    const struct config_target *target;
    bool stop;                  /* gives up, told or not; atomic */
    struct hist hist;           /* resume, list, event */
    unsigned resumed, relisted; /* broken streams gone on behind the last revision; lists after Expired */
    bool synced;                /* has been told what was there at its start; atomic */
    bool complete;              /* has been told of `last`; atomic */
};
void watcher_start(struct watcher *w);
void watcher_join(struct watcher *w);

#endif
