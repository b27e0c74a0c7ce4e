#include "proto/facts/node_loss.h"

#include "proto/facts/condition.h"
#include "proto/facts/node_match.h"
#include "proto/facts/toleration.h"
#include "proto/model/quantity.h"

bool node_loss_taint(struct mp taint)
{
    struct str key = mp_str(mp_get(taint, "key"));
    return str_is(mp_str(mp_get(taint, "effect")), "NoExecute") &&
           (str_is(key, TAINT_NODE_NOT_READY) || str_is(key, TAINT_NODE_UNREACHABLE));
}

struct node_loss node_loss_of(const struct object *node)
{
    struct mp ready = condition_mp(node, "Ready");
    struct node_loss l = {.region = object_label(node, LABEL_REGION), .zone = object_label(node, LABEL_ZONE)};
    l.ready = condition_is(ready, "True");
    for (struct mp_iter it = mp_iter(mp_get(object_spec(node), "taints")); !l.evicted && mp_next(&it);) {
        l.evicted = node_loss_taint(it.value);
    }
    l.waits = !l.evicted && !node->deleting && (condition_is(ready, "False") || condition_is(ready, "Unknown"));
    return l;
}

const char *zone_state_name(enum zone_state s)
{
    static const char *const names[ZONE_STATES] = {"Normal", "PartialDisruption", "FullDisruption"};
    return s < ZONE_STATES ? names[s] : "Unknown";
}

enum zone_state zone_state_of(int64_t nodes, int64_t ready, int64_t threshold_milli)
{
    int64_t lost = nodes - ready;
    if (ready == 0 && lost > 0) {
        return ZONE_FULL;
    }
    return lost > 2 && lost * 1000 >= threshold_milli * nodes ? ZONE_PARTIAL : ZONE_NORMAL;
}

bool eviction_number(struct str s, int64_t most_milli, int64_t *milli)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '.') {
            return false;
        }
    }
    return s.n > 0 && quantity_milli(s, milli) && *milli >= 0 && *milli <= most_milli;
}

int64_t eviction_rate(const struct eviction_rates *r, enum zone_state s, int64_t nodes)
{
    return s != ZONE_PARTIAL ? r->rate_milli : nodes > r->large_zone ? r->secondary_milli : 0;
}
