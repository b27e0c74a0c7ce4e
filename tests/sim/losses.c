/* Nodes that are lost: no transaction gives one up while none is ready, or while most of a small zone are lost, and
 * none gives up more than one of a zone. What is counted is counted anew here, node by node: nothing is asked of the
 * sums of the state, and nothing of proto/facts/node_loss.h. */
#include "controllers/util.h"
#include "tests/sim/cluster.h"

static bool is_given_up(const struct object *node)
{
    bool found = false;
    for (struct mp_iter it = mp_iter(mp_path(object_mp(node), "spec.taints")); mp_next(&it);) {
        struct str key = mp_str(mp_get(it.value, "key"));
        found |= str_is(mp_str(mp_get(it.value, "effect")), "NoExecute") &&
                 (str_is(key, "node.kubernetes.io/not-ready") || str_is(key, "node.kubernetes.io/unreachable"));
    }
    return found;
}

void losses_judge(struct cluster *c, const struct view *before, const struct history_txn *t)
{
    unsigned given_up = 0;
    for (unsigned i = 0; i < t->count; i++) {
        const struct object *old = t->changes[i].old, *now = t->changes[i].new;
        given_up += old != NULL && now != NULL && now->kind->id == KIND_NODE && !is_given_up(old) && is_given_up(now);
    }
    if (given_up == 0) {
        return;
    }
    unsigned nodes = 0, ready = 0;
    struct view_iter it;
    view_iter(&it, before, kind_of(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        nodes++;
        ready += condition_is(condition_mp(node, "Ready"), "True");
    }
    unsigned lost = nodes - ready;
    if (given_up > 1 || ready == 0 || (lost > 2 && lost * 100 >= nodes * 55)) {
        cluster_violate(c, "%u nodes were given up at revision %llu while %u of %u were ready", given_up,
                        (unsigned long long)t->revision, ready, nodes);
    }
}
