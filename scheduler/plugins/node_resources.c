/* NodeResourcesFit: a node is never given more than it has (G7), and the one with most left is the better choice, or
 * the one with least, or what a shape says, as the ClusterConfiguration has it (scoringStrategy).
 * NodeResourcesBalancedAllocation: as much of its memory in use as of its cpu. */
#include <string.h>

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

static int64_t plain_permille(int64_t alloc, int64_t used, int64_t wanted)
{
    bool counted = used >= 0 && !__builtin_add_overflow(used, wanted, &used);
    return alloc <= 0 || !counted || used >= alloc ? 1000 : (int64_t)((__int128)used * 1000 / alloc);
}

/* -1: the pod does not ask for it, so it says nothing. */
static int64_t permille_of(const struct sched_class *c, const struct sched_node *n, const char *name)
{
    if (strcmp(name, "cpu") == 0 || strcmp(name, "memory") == 0) {
        return used_permille(c, n, name[0] == 'm');
    }
    bool disk = strcmp(name, "ephemeral-storage") == 0;
    int64_t wanted = disk ? c->request.fixed[RESOURCE_EPHEMERAL] : resources_ext(&c->request, name);
    if (wanted == 0) {
        return -1;
    }
    return disk ? plain_permille(n->alloc.fixed[RESOURCE_EPHEMERAL], n->used.fixed[RESOURCE_EPHEMERAL], wanted)
                : plain_permille(resources_ext(&n->alloc, name), resources_ext(&n->used, name), wanted);
}

static int64_t worth(const struct sched_policy *p, int64_t permille)
{
    return p->strategy == SCORING_RATIO ? scoring_shape_at(&p->shape, permille) : p->pack ? permille : 1000 - permille;
}

/* "The mean of the resources' scores by their weights." */
static int by_weights(const struct sched_class *c, const struct sched_node *n)
{
    static const struct sched_weight usual[] = {{"cpu", 1}, {"memory", 1}};
    const struct sched_policy *p = n->policy;
    const struct sched_weight *weights = p->weights != NULL ? p->weights : usual;
    unsigned count = p->weights != NULL ? p->weights_count : ARRAY_SIZE(usual);
    int64_t sum = 0, all = 0;
    for (unsigned i = 0; i < count; i++) {
        int64_t permille = permille_of(c, n, weights[i].name);
        if (permille >= 0) {
            sum += worth(p, permille) * weights[i].weight;
            all += weights[i].weight;
        }
    }
    return all == 0 ? 0 : (int)(sum * SCORE_MAX / (1000 * all));
}

static int allocated(const struct sched_class *c, const struct sched_node *n)
{
    const struct sched_policy *p = n->policy;
    if (p->weights != NULL || p->strategy == SCORING_RATIO) {
        return by_weights(c, n);
    }
    return p->pack ? SCORE_MAX - least_allocated(c, n) : least_allocated(c, n);
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
