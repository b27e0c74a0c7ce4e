#include "proto/facts/node_match.h"

#include <stdlib.h>
#include <string.h>

bool node_match_toleration(struct mp toleration, struct mp taint)
{
    struct str key = mp_str(mp_get(toleration, "key")), effect = mp_str(mp_get(toleration, "effect"));
    if (!str_empty(effect) && !str_eq(effect, mp_str(mp_get(taint, "effect")))) {
        return false;
    }
    if (!str_empty(key) && !str_eq(key, mp_str(mp_get(taint, "key")))) {
        return false;
    }
    if (str_is(mp_str(mp_get(toleration, "operator")), "Exists")) {
        return true;
    }
    return !str_empty(key) && str_eq(mp_str(mp_get(toleration, "value")), mp_str(mp_get(taint, "value")));
}

bool node_match_tolerated(struct mp tolerations, struct mp taint)
{
    for (struct mp_iter it = mp_iter(tolerations); mp_next(&it);) {
        if (node_match_toleration(it.value, taint)) {
            return true;
        }
    }
    return false;
}

bool node_match_cordon_tolerated(struct mp tolerations)
{
    /* {key: ..., effect: NoSchedule}, as msgpack. */
    static const char taint[] = "\x82\xa3key\xd9\x20node.kubernetes.io/unschedulable\xa6"
                                "effect\xaaNoSchedule";
    return node_match_tolerated(tolerations, mp_of(taint, sizeof taint - 1));
}

static bool values_hold(struct mp values, struct str s)
{
    for (struct mp_iter it = mp_iter(values); mp_next(&it);) {
        if (str_eq(mp_str(it.value), s)) {
            return true;
        }
    }
    return false;
}

static bool whole_number(struct str s, int64_t *out)
{
    char text[24], *end;
    if (s.n == 0 || s.n >= sizeof text) {
        return false;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *out = strtoll(text, &end, 10);
    return *end == '\0';
}

/* Gt and Lt: label and the single value are integers. */
static bool number_compares(struct str label, struct mp values, bool greater)
{
    struct mp_iter it = mp_iter(values);
    int64_t a, b;
    if (!mp_next(&it) || !whole_number(label, &a) || !whole_number(mp_str(it.value), &b)) {
        return false;
    }
    return greater ? a > b : a < b;
}

static bool requirement_matches(struct mp requirement, bool present, struct str actual)
{
    struct str op = mp_str(mp_get(requirement, "operator"));
    struct mp values = mp_get(requirement, "values");
    if (str_is(op, "In")) {
        return present && values_hold(values, actual);
    }
    if (str_is(op, "NotIn")) {
        return !present || !values_hold(values, actual);
    }
    if (str_is(op, "Exists")) {
        return present;
    }
    if (str_is(op, "DoesNotExist")) {
        return !present;
    }
    return present && (str_is(op, "Gt") || str_is(op, "Lt")) && number_compares(actual, values, str_is(op, "Gt"));
}

bool node_match_term(struct mp term, struct mp labels, struct str name)
{
    struct mp expressions = mp_get(term, "matchExpressions"), fields = mp_get(term, "matchFields");
    if (mp_count(expressions) + mp_count(fields) == 0) {
        return false;
    }
    for (struct mp_iter it = mp_iter(expressions); mp_next(&it);) {
        struct mp label = mp_get_str_key(labels, mp_str(mp_get(it.value, "key")));
        if (!requirement_matches(it.value, label.p != label.end, mp_str(label))) {
            return false;
        }
    }
    for (struct mp_iter it = mp_iter(fields); mp_next(&it);) {
        bool known = str_is(mp_str(mp_get(it.value, "key")), "metadata.name");
        if (!known || !requirement_matches(it.value, true, name)) {
            return false;
        }
    }
    return true;
}

bool node_match_selector(struct mp node_selector, struct mp labels, struct str name)
{
    for (struct mp_iter it = mp_iter(mp_get(node_selector, "nodeSelectorTerms")); mp_next(&it);) {
        if (node_match_term(it.value, labels, name)) {
            return true;
        }
    }
    return false;
}

bool node_match_pod(struct mp pod_spec, struct mp labels, struct str name)
{
    struct mp required = mp_path(pod_spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
    for (struct mp_iter it = mp_iter(mp_get(pod_spec, "nodeSelector")); mp_next(&it);) {
        struct mp label = mp_get_str_key(labels, it.key);
        if (label.p == label.end || !str_eq(mp_str(label), mp_str(it.value))) {
            return false;
        }
    }
    return mp_count(required) == 0 || node_match_selector(required, labels, name);
}
