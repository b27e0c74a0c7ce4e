/* What clients of Kubernetes do to keep a copy of what a cluster has: over REST, list and watch behind its version, as
 * client-go's reflector; those with an odd number as a stream that begins with what is there (sendInitialEvents).
 * Beside the faults of the cell they cut their own streams at random, move to the next master with every connection,
 * and begin anew now and then, as if they had been killed. */
#ifndef TESTS_FAULT_INFORMER_H
#define TESTS_FAULT_INFORMER_H

#include "tests/fault/watcher.h"

/* The thread of a struct watcher (arg). */
void *informer_follow(void *arg);

#endif
