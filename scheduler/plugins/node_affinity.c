/* NodeAffinity: what a pod requires and prefers of the labels of a node. */
#include "proto/facts/node_match.h"
#include "scheduler/plugins/plugin.h"

#define WEIGHT_MAX 100

static bool node_affinity(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    struct mp required = mp_get(c->affinity, "requiredDuringSchedulingIgnoredDuringExecution");
    bool fits = true;
    for (struct mp_iter it = mp_iter(c->node_selector); fits && mp_next(&it);) {
        struct mp label = mp_get_str_key(n->labels, it.key);
        fits = label.p != label.end && str_eq(mp_str(label), mp_str(it.value));
    }
    if (fits && (mp_count(required) == 0 || node_match_selector(required, n->labels, str_of(n->name)))) {
        return true;
    }
    reasons_add(why, "node(s) didn't match Pod's node affinity/selector");
    return false;
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

const struct plugin plugin_node_affinity = {
    .name = "NodeAffinity",
    .fixed = true,
    .fits = node_affinity,
    .weight = 2,
    .score = affinity_preferred,
};
