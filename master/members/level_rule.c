#include "master/members/level_rule.h"

#include <assert.h>

bool level_lowest(unsigned own, const struct level_voter *others, unsigned count, unsigned *level)
{
    *level = own;
    for (unsigned i = 0; i < count; i++) {
        if (!others[i].told || others[i].ago_ms > LEVEL_FRESH_MS) {
            return false;
        }
        *level = others[i].level < *level ? others[i].level : *level;
    }
    assert(*level <= own);
    return true;
}
