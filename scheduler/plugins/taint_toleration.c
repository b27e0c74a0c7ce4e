/* TaintToleration: taints keep pods away that do not tolerate them, or make the node the worse choice. */
#include "proto/facts/node_match.h"
#include "scheduler/plugins/plugin.h"

static bool taint_toleration(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    for (struct mp_iter it = mp_iter(n->taints); mp_next(&it);) {
        struct str effect = mp_str(mp_get(it.value, "effect"));
        if (str_is(effect, "PreferNoSchedule") || node_match_tolerated(c->tolerations, it.value)) {
            continue;
        }
        reasons_add(why, "node(s) had untolerated taint {%.*s: %.*s}", STR_ARG(mp_str(mp_get(it.value, "key"))),
                    STR_ARG(mp_str(mp_get(it.value, "value"))));
        return false;
    }
    return true;
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

const struct plugin plugin_taint_toleration = {
    .name = "TaintToleration",
    .fixed = true,
    .fits = taint_toleration,
    .weight = 3,
    .score = taints_preferred,
};
