/* When Services and where they lead have changed, to the second: how old is what somebody knows who knows them as of a
 * revision? Pure; the time comes in. */
#ifndef MASTER_NODES_MOMENTS_H
#define MASTER_NODES_MOMENTS_H

#include <stdint.h>

#define MOMENTS_MAX 128u /* seconds with changes that are remembered */
#define MOMENT_MS   1000

/* All zero: nothing has changed. */
struct moments {
    struct moment {
        int64_t at_ms;    /* of its first change */
        uint64_t newest;  /* revision of its last one */
    } items[MOMENTS_MAX]; /* a ring */
    unsigned next, count;
};
/* A transaction of this revision has changed something; revisions and times do not decrease. */
void moments_note(struct moments *m, uint64_t revision, int64_t now_ms);
/* Somebody knew what there was at this revision. Since when has he lacked something at then_ms? In milliseconds, up to
 * MOMENT_MS too many; of what is no longer remembered, too few. 0: he lacked nothing. */
int64_t moments_behind_ms(const struct moments *m, uint64_t revision, int64_t then_ms);

#endif
