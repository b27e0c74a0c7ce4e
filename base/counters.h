/* Counters as rows: what a daemon has counted, or has at the moment, each with a name and a sentence for people.
 * Status and metrics walk the rows and know none by name.
 *
 * A daemon's own counters are one list, X(FIELD, NAME, HELP), from which both the struct and the rows come: adding one
 * is one line there, and the place that counts. */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#define COUNTERS_MAX 192u

struct counter {
    const char *name; /* "requestsWaiting" */
    const char *help; /* what is counted, without a full stop */
    uint64_t value;
    bool level; /* what there is at the moment, or was at most: may fall. Else it only grows while the process lives */
};
struct counters {
    unsigned count;
    struct counter items[COUNTERS_MAX];
};
/* Texts are borrowed. No more than COUNTERS_MAX in all, no name twice. */
void counters_add(struct counters *c, const char *name, const char *help, uint64_t value);
void counters_add_level(struct counters *c, const char *name, const char *help, uint64_t value);

#define COUNTER_FIELD(field, name, help) uint64_t field;

#endif
