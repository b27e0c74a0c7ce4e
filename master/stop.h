/* What tells `reeve-master run` to end: SIGTERM and SIGINT.
 *
 * Both are blocked in the whole process from stop_watch on, and nobody ever takes them: one that was sent stays
 * pending, so whoever looks later sees it, whatever the process did in between (signalfd(2)). Handlers would leave
 * gaps: the process serves several times in its life (master/rescue/repair.h), with a loop of its own each time, and
 * works and waits between without one. */
#ifndef MASTER_STOP_H
#define MASTER_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct stop {
    int fd; /* for poll: readable as soon as the process was told to end, and from then on; never read */
};

/* Once, before the process has a second thread. It counts as told if whoever started it had blocked the signals and one
 * has come already. They stay blocked until the process ends. ERR_LIMIT, ERR_SYSTEM: there is no descriptor left. */
int stop_watch(struct stop *s, struct error *err);
/* Any thread. */
bool stop_asked(const struct stop *s);
/* Sleeps for ms (of which an int has room), or until the process is told to end: true then, also if it was before. */
bool stop_wait(const struct stop *s, int64_t ms);

#endif
