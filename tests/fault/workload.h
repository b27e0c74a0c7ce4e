/* Clients of a fault test, a thread each: writers that create, writers that increment, readers, watchers. */
#ifndef TESTS_FAULT_WORKLOAD_H
#define TESTS_FAULT_WORKLOAD_H

#include <pthread.h>

#include "tests/fault/history.h"
#include "tests/fault/processes.h"

#define WORKERS_MAX  16u
#define WATCHERS_MAX 4u
#define END_NAME     "u-end-0" /* the last object: watchers that have been told of it are done */
#define NAMESPACE    "default"

struct worker {
    pthread_t thread;
    unsigned index;
    enum deed_type type;
    int64_t pause_ms; /* between deeds */
    const struct config_target *target;
    const bool *stop;
    struct deeds deeds;
};
struct watcher {
    pthread_t thread;
    unsigned index;
    const struct config_target *target;
    const bool *stop; /* gives up, told or not */
    struct seens told;
    bool complete; /* told of END_NAME */
    bool synced;   /* has been told what was there at its start; atomic */
};
void registers_make(struct api *a);
void worker_start(struct worker *w);
void worker_join(struct worker *w, struct deeds *into);
void watcher_start(struct watcher *w);
void watcher_join(struct watcher *w);
/* One creation, recorded. */
void create_one(struct api *a, const char *name, struct deeds *deeds);
/* Everything there is at the end. */
void list_end(struct api *a, struct seens *out);
void seen_of(const struct object *o, struct seen *out);

#endif
