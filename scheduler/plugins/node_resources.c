/* NodeResourcesFit: a node is never given more than it has (G7), and the one with most left is the better choice, or,
 * where pods are to be packed (ClusterConfiguration, scoringStrategy), the one with least.
 * NodeResourcesBalancedAllocation: as much of its memory in use as of its cpu. */
#include "scheduler/plugins/plugin.h"

/* used < 0: so much that it cannot be counted. */
static bool has_left(int64_t alloc, int64_t used, int64_t wanted)
{
    return used >= 0 && wanted <= alloc - used;
}

/* "All insufficient resources of a node are named." */
static bool resources_fit(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    static const char *const names[RESOURCE_FIXED] = {"cpu", "memory", "ephemeral-storage"};
    bool fits = true;
    if (n->pods_used >= n->pods_alloc) {
        reasons_add(why, "Too many pods");
        fits = false;
    }
    for (unsigned i = 0; i < RESOURCE_FIXED && (fits || why != NULL); i++) {
        if (c->request.fixed[i] > 0 && !has_left(n->alloc.fixed[i], n->used.fixed[i], c->request.fixed[i])) {
            reasons_add(why, "Insufficient %s", names[i]);
            fits = false;
        }
    }
    for (unsigned i = 0; i < c->request.ext_count && (fits || why != NULL); i++) {
        const struct extended *e = &c->request.ext[i];
        if (e->amount > 0 &&
            !has_left(resources_ext(&n->alloc, e->name), resources_ext(&n->used, e->name), e->amount)) {
            reasons_add(why, "Insufficient %s", e->name);
            fits = false;
        }
    }
    return fits;
}

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

static int allocated(const struct sched_class *c, const struct sched_node *n)
{
    return n->policy->pack ? SCORE_MAX - least_allocated(c, n) : least_allocated(c, n);
}

static int balanced_allocation(const struct sched_class *c, const struct sched_node *n)
{
    int64_t gap = used_permille(c, n, 0) - used_permille(c, n, 1);
    return SCORE_MAX - (int)((gap < 0 ? -gap : gap) / 20);
}

const struct plugin plugin_node_resources_fit = {
    .name = "NodeResourcesFit",
    .fits = resources_fit,
    .weight = 1,
    .score = allocated,
};

const struct plugin plugin_balanced_allocation = {
    .name = "NodeResourcesBalancedAllocation",
    .weight = 1,
    .score = balanced_allocation,
};
