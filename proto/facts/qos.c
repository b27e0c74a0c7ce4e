#include "proto/facts/qos.h"

#include "base/mem.h"

static const char *const names[] = {
    [QOS_BEST_EFFORT] = "BestEffort",
    [QOS_BURSTABLE] = "Burstable",
    [QOS_GUARANTEED] = "Guaranteed",
};

const char *qos_name(enum qos_class q)
{
    return names[q];
}

bool qos_parse(struct str name, enum qos_class *out)
{
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_is(name, names[i])) {
            *out = (enum qos_class)i;
            return true;
        }
    }
    return false;
}

void qos_count(struct qos_sum *sum, bool limited, bool requested, bool equal)
{
    sum->any = sum->any || limited || requested;
    sum->unequal = sum->unequal || !limited || !requested || !equal;
}

enum qos_class qos_of(const struct qos_sum *sum)
{
    return !sum->any ? QOS_BEST_EFFORT : sum->unequal ? QOS_BURSTABLE : QOS_GUARANTEED;
}
