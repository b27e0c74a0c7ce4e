/* A watcher that goes on at another master, behind the last revision it was told, whenever its stream breaks; a
 * thread of its own. */
#ifndef TESTS_FAULT_WATCHER_H
#define TESTS_FAULT_WATCHER_H

#include <pthread.h>

#include "base/buf.h"
#include "client/api/config.h"
#include "tests/check/history.h"

struct watcher {
    pthread_t thread;
    unsigned index;    /* the master that it begins with */
    int64_t process;   /* in the history */
    const char *label; /* what it watches: ConfigMaps with set=label */
    const char *last;  /* the object after which it has been told everything */
    const struct config_target *target;
    uint64_t seed;              /* of its own choices, over REST */
    bool rest;                  /* over REST, as clients of Kubernetes do (informer.h) */
    bool stop;                  /* gives up, told or not; atomic */
    struct hist hist;           /* resume, list, event */
    unsigned resumed, relisted; /* broken streams gone on behind the last revision; lists after Expired */
    bool synced;                /* has been told what was there at its start; atomic */
    bool complete;              /* has been told of `last`; atomic */
    /* Over REST: how often it began anew as if it had been killed, and was told a version by a mark alone; what it
     * holds at its end (of struct watched), and what it was told that nobody may tell ("": nothing). */
    unsigned killed, marked;
    struct buf held;
    char wrong[200];
};
struct watched {
    char name[64];
    int64_t number;
};
void watcher_start(struct watcher *w);
void watcher_join(struct watcher *w);

#endif
