/* What this process takes of its machine, for metrics. */
#ifndef BASE_USAGE_H
#define BASE_USAGE_H

#include <stdint.h>

struct usage {
    double cpu_s;            /* of all its threads, since it started */
    double started_s;        /* when that was, in seconds since 1970; 0: not known */
    uint64_t resident_bytes; /* 0: not known, and so below */
    uint64_t virtual_bytes;
    unsigned descriptors, descriptors_max;
};
/* Reads a few files below /proc: a tenth of a millisecond, and more where thousands of descriptors are open. */
void usage_now(struct usage *out);

#endif
