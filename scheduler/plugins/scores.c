/* Scores: which of the nodes that fit is best. Integers from 0 to 100, weighed. Unlike Kubernetes' they do not depend
 * on the other nodes, so a change of one node changes one score; the weights make the first replicas of an owner
 * land on different nodes whatever is used there. */
#include <assert.h>
#include <stdlib.h>

#include "proto/facts/node_match.h"
#include "scheduler/cache.h"

#define SCORE_MAX  100
#define WEIGHT_MAX 100

/* Thousandths of the node that are in use with the pod on it, by cpu (0) or memory (1). */
static int64_t used_permille(const struct sched_class *c, const struct sched_node *n, unsigned which)
{
    int64_t alloc = n->alloc.fixed[which], used;
    bool counted = !__builtin_add_overflow(n->scored_used[which], c->scored_request[which], &used) && used >= 0;
    return alloc <= 0 || !counted || used >= alloc ? 1000 : (int64_t)((__int128)used * 1000 / alloc);
}

static int least_allocated(const struct sched_class *c, const struct sched_node *n)
{
    return (int)((2000 - used_permille(c, n, 0) - used_permille(c, n, 1)) * SCORE_MAX / 2000);
}

static int balanced_allocation(const struct sched_class *c, const struct sched_node *n)
{
    int64_t gap = used_permille(c, n, 0) - used_permille(c, n, 1);
    return SCORE_MAX - (int)((gap < 0 ? -gap : gap) / 20);
}

static int owner_spread(const struct sched_class *c, const struct sched_node *n)
{
    return (int)(2 * SCORE_MAX / (2 + MIN(group_count(c->group, n->slot), 1000u)));
}

static int taints_preferred(const struct sched_class *c, const struct sched_node *n)
{
    int untolerated = 0;
    for (struct mp_iter it = mp_iter(n->taints); mp_next(&it);) {
        untolerated += str_is(mp_str(mp_get(it.value, "effect")), "PreferNoSchedule") &&
                       !node_match_tolerated(c->tolerations, it.value);
    }
    return SCORE_MAX / (1 + untolerated);
}

static int affinity_preferred(const struct sched_class *c, const struct sched_node *n)
{
    int64_t total = 0, matched = 0;
    struct mp terms = mp_get(c->affinity, "preferredDuringSchedulingIgnoredDuringExecution");
    for (struct mp_iter it = mp_iter(terms); mp_next(&it);) {
        int64_t weight = MAX(0, MIN(mp_int(mp_get(it.value, "weight"), 0), WEIGHT_MAX));
        total += weight;
        matched += node_match_term(mp_get(it.value, "preference"), n->labels, str_of(n->name)) ? weight : 0;
    }
    return total <= 0 ? 0 : (int)(matched * SCORE_MAX / total);
}

static const struct scorer scorers[] = {
    {"LeastAllocated", false, 1, least_allocated}, {"BalancedAllocation", false, 1, balanced_allocation},
    {"OwnerSpread", false, 5, owner_spread},       {"TaintToleration", true, 3, taints_preferred},
    {"NodeAffinity", true, 2, affinity_preferred},
};

const struct scorer *scorers_all(unsigned *count)
{
    *count = ARRAY_SIZE(scorers);
    return scorers;
}

static int half_score(const struct sched_class *c, const struct sched_node *n, bool fixed)
{
    unsigned count;
    const struct filter *filters = filters_all(&count);
    for (unsigned i = 0; i < count; i++) {
        if (filters[i].fixed == fixed && !filters[i].fits(c, n, NULL)) {
            return -1;
        }
    }
    int sum = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(scorers); i++) {
        if (scorers[i].fixed == fixed) {
            sum += scorers[i].weight * scorers[i].score(c, n);
        }
    }
    assert(sum >= 0 && sum <= INT16_MAX);
    return sum;
}

int sched_node_fixed_score(const struct sched_class *c, const struct sched_node *n)
{
    return n->obj == NULL ? -1 : half_score(c, n, true);
}

int sched_node_moving_score(const struct sched_class *c, const struct sched_node *n)
{
    return half_score(c, n, false);
}
