#include "controllers/nodes/taints.h"

#include "proto/facts/node_match.h"

int64_t toleration_seconds(const struct object *pod, struct mp taint)
{
    bool matched = false;
    int64_t least = INT64_MAX;
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "spec.tolerations")); mp_next(&it);) {
        if (node_match_toleration(it.value, taint)) {
            matched = true;
            least = MIN(least, mp_int(mp_get(it.value, "tolerationSeconds"), INT64_MAX));
        }
    }
    if (matched) {
        return least > TOLERATION_FOR_EVER_S ? INT64_MAX : MAX(least, 0);
    }
    struct str key = mp_str(mp_get(taint, "key"));
    return str_is(key, TAINT_NODE_NOT_READY) || str_is(key, TAINT_NODE_UNREACHABLE) ? TOLERATION_DEFAULT_S : 0;
}

bool node_has_taint(const struct object *node, const char *key, const char *effect)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(node), "spec.taints")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "key")), key) &&
            (effect == NULL || str_is(mp_str(mp_get(it.value, "effect")), effect))) {
            return true;
        }
    }
    return false;
}

bool node_ready(const struct object *node)
{
    return condition_is(condition_mp(node, "Ready"), "True");
}

void taint_add(struct arena *a, struct value *spec, const char *key, const char *effect, int64_t wall_ms)
{
    struct value *t = value_map(a);
    value_set(a, t, "key", value_cstr(a, key));
    value_set(a, t, "effect", value_cstr(a, effect));
    value_set(a, t, "timeAdded", value_time(a, wall_ms));
    value_append(a, value_ensure_list(a, spec, "taints"), t);
}
