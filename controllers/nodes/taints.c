#include "controllers/nodes/taints.h"

bool toleration_matches(struct mp toleration, struct mp taint)
{
    struct str key = mp_str(mp_get(toleration, "key")), effect = mp_str(mp_get(toleration, "effect"));
    if (!str_empty(effect) && !str_eq(effect, mp_str(mp_get(taint, "effect")))) {
        return false;
    }
    if (!str_empty(key) && !str_eq(key, mp_str(mp_get(taint, "key")))) {
        return false;
    }
    struct str op = mp_str(mp_get(toleration, "operator"));
    if (str_is(op, "Exists")) {
        return true;
    }
    return !str_empty(key) && str_eq(mp_str(mp_get(toleration, "value")), mp_str(mp_get(taint, "value")));
}

int64_t toleration_seconds(const struct object *pod, struct mp taint)
{
    bool matched = false;
    int64_t least = INT64_MAX;
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "spec.tolerations")); mp_next(&it);) {
        if (toleration_matches(it.value, taint)) {
            matched = true;
            least = MIN(least, mp_int(mp_get(it.value, "tolerationSeconds"), INT64_MAX));
        }
    }
    if (matched) {
        return least > TOLERATION_FOR_EVER_S ? INT64_MAX : MAX(least, 0);
    }
    struct str key = mp_str(mp_get(taint, "key"));
    return str_is(key, TAINT_NOT_READY) || str_is(key, TAINT_UNREACHABLE) ? TOLERATION_DEFAULT_S : 0;
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
    return str_is(mp_str(mp_get(condition_mp(node, "Ready"), "status")), "True");
}
