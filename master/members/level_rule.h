/* When a cluster's feature level may rise. Pure; the simulator asks it as well. */
#ifndef MASTER_MEMBERS_LEVEL_RULE_H
#define MASTER_MEMBERS_LEVEL_RULE_H

#include <stdbool.h>
#include <stdint.h>

/* An answer counts so long: who comes back with another program has another connection, and is asked again before. */
#define LEVEL_FRESH_MS 5000

/* What a voter other than the leader has said of its program. */
struct level_voter {
    bool told;
    int64_t ago_ms;
    unsigned level;
};
/* What all voters can, `own` being the leader's; false if one has not said so lately. */
bool level_lowest(unsigned own, const struct level_voter *others, unsigned count, unsigned *level);

#endif
