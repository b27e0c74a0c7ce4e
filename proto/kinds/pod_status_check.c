/* Rules for what somebody writes into the status of a pod. The node's own reports take another way (their addresses and
 * states are facts). Source: Kubernetes v1.29, PodStatus. */
#include "proto/kinds/kinds.h"

static const char *const STATUS_LISTS[] = {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"};

/* One address of each family at most, none twice. */
static void check_ips(const struct value *status, const char *name, const struct fpath *p, struct errlist *l)
{
    const struct value *list = value_get(status, name);
    const struct fpath *at = FPATH_AT(p, name);
    unsigned four = 0, six = 0;
    VALUE_FOR(i, list)
    {
        const struct value *ip = value_get(value_item(list, i), "ip");
        if (!name_is_ip(value_to_str(ip))) {
            bad_value(l, ip != NULL ? ip : value_item(list, i), FPATH_ITEM(at, i), "must be a valid IP address");
            continue;
        }
        four += !name_is_ipv6(value_to_str(ip));
        six += name_is_ipv6(value_to_str(ip));
        if (value_find(list, "ip", value_to_str(ip)) != value_item(list, i)) {
            bad_duplicate(l, ip, FPATH_ITEM(at, i));
        }
    }
    if (four > 1 || six > 1) {
        bad_value(l, list, at, "may specify no more than one IP for each IP family");
    }
}

/* A container that may not be started again stays terminated. */
static void check_ended(const struct value *now, const struct value *was, const char *policy, const struct value *init,
                        const struct fpath *p, struct errlist *l)
{
    for (unsigned i = 0; i < value_count(was) && strcmp(policy, "Always") != 0; i++) {
        const struct value *before = value_item(was, i), *end = value_at(before, "state", "terminated", NULL);
        struct str name = value_to_str(value_get(before, "name"));
        if (end == NULL || (strcmp(policy, "OnFailure") == 0 && value_to_int(value_get(end, "exitCode"), 0) != 0) ||
            str_is(value_to_str(value_get(value_find(init, "name", name), "restartPolicy")), "Always")) {
            continue;
        }
        const struct value *after = value_find(now, "name", name);
        if (after != NULL && value_at(after, "state", "terminated", NULL) == NULL) {
            bad_forbidden(l, after, FPATH_AT(FPATH_ITEM(p, i), "state"),
                          "may not be transitioned to non-terminated state");
        }
    }
}

static void check_conditions(const struct value *list, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, list)
    {
        const struct value *type = value_get(value_item(list, i), "type");
        if (!name_is_label_key(value_to_str(type))) {
            bad_value(l, type != NULL ? type : value_item(list, i), FPATH_AT(FPATH_ITEM(p, i), "type"),
                      NAME_LABEL_KEY_WHY);
        }
    }
}

void pod_status_check(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *status = value_get(obj, "status"), *before = value_get(old, "status");
    const struct value *spec = value_get(old, "spec"), *first = value_item(value_get(status, "hostIPs"), 0);
    const struct fpath *p = FPATH("status");
    if (status == NULL || (before != NULL && value_equal(status, before))) {
        return;
    }
    check_conditions(value_get(status, "conditions"), FPATH_AT(p, "conditions"), l);
    check_ips(status, "podIPs", p, l);
    check_ips(status, "hostIPs", p, l);
    if (first != NULL && !str_eq(value_to_str(value_get(first, "ip")), value_to_str(value_get(status, "hostIP")))) {
        bad_value(l, first, FPATH_AT(FPATH_ITEM(FPATH_AT(p, "hostIPs"), 0), "ip"), "must be equal to `hostIP`");
    }
    if (value_to_str(value_get(before, "qosClass")).n > 0) {
        check_immutable(l, value_get(status, "qosClass"), value_get(before, "qosClass"), FPATH_AT(p, "qosClass"));
    }
    check_optional_name(l, status, "nominatedNodeName", p);
    const char *policy = arena_printf(l->arena, "%.*s", STR_ARG(value_to_str(value_get(spec, "restartPolicy"))));
    for (unsigned k = 0; k < ARRAY_SIZE(STATUS_LISTS); k++) {
        const struct value *list = value_get(status, STATUS_LISTS[k]);
        const struct fpath *at = FPATH_AT(p, STATUS_LISTS[k]);
        VALUE_FOR(i, list)
        {
            check_at_least(l, value_get(value_item(list, i), "restartCount"),
                           FPATH_AT(FPATH_ITEM(at, i), "restartCount"), 0);
        }
        check_ended(list, value_get(before, STATUS_LISTS[k]), k == 2 ? "Never" : policy,
                    k == 1 ? value_get(spec, "initContainers") : NULL, at, l);
    }
}
