/* Rules for pods as a whole: the spec, and what may change. Containers and volumes have files of their own. */
#include "proto/kinds/kinds.h"

static void check_tolerations(const struct value *list, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, list)
    {
        const struct value *t = value_item(list, i), *key = value_get(t, "key"), *v = value_get(t, "value");
        const struct value *op = value_get(t, "operator");
        const struct fpath *at = FPATH_ITEM(p, i);
        bool exists = str_is(value_to_str(op), "Exists");
        check_label_key(l, t, key, FPATH_AT(at, "key"));
        if (value_to_str(key).n == 0 && !exists) {
            bad_value(l, op != NULL ? op : t, FPATH_AT(at, "operator"),
                      "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
        }
        if (exists && value_to_str(v).n > 0) {
            bad_value(l, v, FPATH_AT(at, "operator"), "value must be empty when `operator` is 'Exists'");
        } else if (!name_is_label_value(value_to_str(v))) {
            bad_value(l, v, FPATH_AT(at, "value"), NAME_LABEL_VALUE_WHY);
        }
        if (value_get(t, "tolerationSeconds") != NULL && !str_is(value_to_str(value_get(t, "effect")), "NoExecute")) {
            const struct value *effect = value_get(t, "effect");
            bad_value(l, effect != NULL ? effect : t, FPATH_AT(at, "effect"),
                      "effect must be 'NoExecute' when `tolerationSeconds` is set");
        }
    }
}

static void check_dns(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    enum { NAMESERVERS_MAX = 3, SEARCHES_MAX = 32 };
    const struct value *config = value_get(spec, "dnsConfig"), *servers = value_get(config, "nameservers");
    const struct fpath *at = FPATH_AT(p, "dnsConfig");
    if (str_is(value_to_str(value_get(spec, "dnsPolicy")), "None") && value_count(servers) == 0) {
        errlist_add(l, spec, fpath_text(l->arena, FPATH_AT(at, "nameservers")),
                    "Required value: must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
    if (value_count(servers) > NAMESERVERS_MAX) {
        bad_value(l, servers, FPATH_AT(at, "nameservers"), "must not have more than 3 nameservers");
    }
    if (value_count(value_get(config, "searches")) > SEARCHES_MAX) {
        bad_value(l, value_get(config, "searches"), FPATH_AT(at, "searches"),
                  "must not have more than 32 search paths");
    }
    VALUE_FOR(i, servers)
    {
        if (!name_is_ip(value_to_str(value_item(servers, i)))) {
            bad_value(l, value_item(servers, i), FPATH_ITEM(FPATH_AT(at, "nameservers"), i),
                      "must be a valid IP address");
        }
    }
}

static void check_host_aliases(const struct value *list, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, list)
    {
        const struct value *alias = value_item(list, i), *ip = value_get(alias, "ip");
        const struct value *names = value_get(alias, "hostnames");
        const struct fpath *at = FPATH_ITEM(p, i);
        if (value_to_str(ip).n > 0 && !name_is_ip(value_to_str(ip))) {
            bad_value(l, ip, FPATH_AT(at, "ip"), "must be a valid IP address");
        }
        VALUE_FOR(j, names)
        {
            check_dns_subdomain(l, names, value_item(names, j), FPATH_ITEM(FPATH_AT(at, "hostnames"), j));
        }
    }
}

static void check_gates(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *gates = value_get(spec, "schedulingGates"), *ready = value_get(spec, "readinessGates");
    VALUE_FOR(i, gates)
    {
        const struct value *name = value_get(value_item(gates, i), "name");
        const struct fpath *at = FPATH_AT(FPATH_ITEM(FPATH_AT(p, "schedulingGates"), i), "name");
        check_label_key(l, gates, name, at);
        if (value_to_str(name).n > 0 && value_find(gates, "name", value_to_str(name)) != value_item(gates, i)) {
            bad_duplicate(l, name, at);
        }
    }
    if (value_count(gates) > 0 && value_to_str(value_get(spec, "nodeName")).n > 0) {
        bad_forbidden(l, value_get(spec, "nodeName"), FPATH_AT(p, "nodeName"),
                      "cannot be set until all schedulingGates have been cleared");
    }
    VALUE_FOR(i, ready)
    {
        check_label_key(l, ready, value_get(value_item(ready, i), "conditionType"),
                        FPATH_AT(FPATH_ITEM(FPATH_AT(p, "readinessGates"), i), "conditionType"));
    }
}

static void check_security(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *sc = value_get(spec, "securityContext"), *groups = value_get(sc, "supplementalGroups");
    const struct value *sysctls = value_get(sc, "sysctls");
    const struct fpath *at = FPATH_AT(p, "securityContext");
    static const char *const ids[] = {"runAsUser", "runAsGroup", "fsGroup"};
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        check_range(l, value_get(sc, ids[i]), FPATH_AT(at, ids[i]), 0, INT32_MAX);
    }
    VALUE_FOR(i, groups)
    {
        check_range(l, value_item(groups, i), FPATH_ITEM(FPATH_AT(at, "supplementalGroups"), i), 0, INT32_MAX);
    }
    VALUE_FOR(i, sysctls)
    {
        const struct value *name = value_get(value_item(sysctls, i), "name");
        if (value_to_str(name).n > 0 && value_find(sysctls, "name", value_to_str(name)) != value_item(sysctls, i)) {
            bad_duplicate(l, name, FPATH_AT(FPATH_ITEM(FPATH_AT(at, "sysctls"), i), "name"));
        }
    }
    if (value_to_bool(value_get(spec, "hostPID"), false) &&
        value_to_bool(value_get(spec, "shareProcessNamespace"), false)) {
        bad_value(l, value_get(spec, "shareProcessNamespace"), FPATH_AT(p, "shareProcessNamespace"),
                  "shareProcessNamespace and hostPID cannot both be true");
    }
}

static void check_claims(const struct value *claims, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, claims)
    {
        const struct value *c = value_item(claims, i), *name = value_get(c, "name"), *source = value_get(c, "source");
        const struct fpath *at = FPATH_ITEM(p, i);
        if (value_to_str(name).n > 0) {
            check_dns_label(l, c, name, FPATH_AT(at, "name"));
            if (value_find(claims, "name", value_to_str(name)) != c) {
                bad_duplicate(l, name, FPATH_AT(at, "name"));
            }
        }
        const struct value *names = source != NULL ? source : c; /* one member beside name, or all of source */
        if ((value_get(names, "resourceClaimName") != NULL) ==
            (value_get(names, "resourceClaimTemplateName") != NULL)) {
            bad_value(l, names, source != NULL ? FPATH_AT(at, "source") : at,
                      "exactly one of `resourceClaimName` and `resourceClaimTemplateName` is required");
        }
    }
}

/* Names of other objects: not required, but DNS subdomains if given. */
static void check_names(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    static const char *const subdomains[] = {"nodeName", "serviceAccountName", "priorityClassName", "schedulerName",
                                             "runtimeClassName"};
    static const char *const labels[] = {"hostname", "subdomain"};
    for (unsigned i = 0; i < ARRAY_SIZE(subdomains); i++) {
        const struct value *v = value_get(spec, subdomains[i]);
        if (value_to_str(v).n > 0) {
            check_dns_subdomain(l, spec, v, FPATH_AT(p, subdomains[i]));
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(labels); i++) {
        const struct value *v = value_get(spec, labels[i]);
        if (value_to_str(v).n > 0) {
            check_dns_label(l, spec, v, FPATH_AT(p, labels[i]));
        }
    }
}

static void check_no_ephemeral(const struct value *spec, const struct fpath *p, const char *why, struct errlist *l)
{
    const struct value *list = value_get(spec, "ephemeralContainers");
    if (value_count(list) > 0) {
        bad_forbidden(l, list, FPATH_AT(p, "ephemeralContainers"), why);
    }
}

void pod_spec_check(const struct value *spec, const struct fpath *p, bool is_template, struct errlist *l)
{
    const struct value *deadline = value_get(spec, "activeDeadlineSeconds");
    pod_containers_check(spec, p, l);
    pod_volumes_check(value_get(spec, "volumes"), FPATH_AT(p, "volumes"), l);
    if (is_template) {
        check_no_ephemeral(spec, p, "ephemeral containers are not allowed in a pod template", l);
    }
    check_at_least(l, value_get(spec, "terminationGracePeriodSeconds"), FPATH_AT(p, "terminationGracePeriodSeconds"),
                   0);
    check_range(l, deadline, FPATH_AT(p, "activeDeadlineSeconds"), 1, INT32_MAX);
    check_labels(l, value_get(spec, "nodeSelector"), FPATH_AT(p, "nodeSelector"));
    check_names(spec, p, l);
    check_tolerations(value_get(spec, "tolerations"), FPATH_AT(p, "tolerations"), l);
    check_dns(spec, p, l);
    check_host_aliases(value_get(spec, "hostAliases"), FPATH_AT(p, "hostAliases"), l);
    check_gates(spec, p, l);
    check_security(spec, p, l);
    check_claims(value_get(spec, "resourceClaims"), FPATH_AT(p, "resourceClaims"), l);
    check_resource_list(l, value_get(spec, "overhead"), FPATH_AT(p, "overhead"));
    pod_affinity_check(spec, p, l);
}

/* ---- What may change ---- */

#define UPDATE_WHY                                                                                                     \
    "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, "        \
    "`spec.activeDeadlineSeconds`, `spec.terminationGracePeriodSeconds`, `spec.tolerations` (only additions to "       \
    "existing tolerations)"

/* Put the old value of a member into v, or take the member out if there was none. */
static void put_back(struct arena *a, struct value *v, const struct value *old, const char *name)
{
    struct value *before = value_get(old, name);
    if (before == NULL) {
        value_remove(v, name);
    } else {
        value_set(a, v, name, before);
    }
}

static void put_back_images(struct arena *a, struct value *spec, const struct value *old, const char *list_name)
{
    struct value *list = value_get(spec, list_name), *before = value_get(old, list_name);
    for (unsigned i = 0; i < value_count(list) && i < value_count(before); i++) {
        put_back(a, value_item(list, i), value_item(before, i), "image");
    }
}

/* Every element of `before` is in `list` as it was; more may be there. */
static bool only_adds(const struct value *list, const struct value *before)
{
    VALUE_FOR(i, before)
    {
        bool found = false;
        VALUE_FOR(j, list) found = found || value_equal(value_item(list, j), value_item(before, i));
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool same_toleration(const struct value *a, const struct value *b)
{
    static const char *const names[] = {"key", "operator", "value", "effect"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (!str_eq(value_to_str(value_get(a, names[i])), value_to_str(value_get(b, names[i])))) {
            return false;
        }
    }
    return true;
}

/* As only_adds, but how long a taint is tolerated may change. */
static bool only_adds_tolerations(const struct value *list, const struct value *before)
{
    VALUE_FOR(i, before)
    {
        bool found = false;
        VALUE_FOR(j, list) found = found || same_toleration(value_item(list, j), value_item(before, i));
        if (!found) {
            return false;
        }
    }
    return true;
}

static void check_deadline_change(const struct value *spec, const struct value *old, const struct fpath *p,
                                  struct errlist *l)
{
    const struct value *now = value_get(spec, "activeDeadlineSeconds"), *was = value_get(old, "activeDeadlineSeconds");
    if (was != NULL && now == NULL) {
        bad_value(l, now, FPATH_AT(p, "activeDeadlineSeconds"), "must not update from a positive integer to nil value");
    } else if (was != NULL && now->integer > was->integer) {
        bad_value(l, now, FPATH_AT(p, "activeDeadlineSeconds"),
                  arena_printf(l->arena, "must be less than or equal to previous value %lld", (long long)was->integer));
    }
}

void pod_update_check(const struct value *obj, const struct value *old_obj, struct errlist *l)
{
    const struct fpath *p = FPATH("spec");
    /* An older version may have stored the pod without defaults that are filled in today: they are no change. */
    struct value *filled = value_copy(l->arena, old_obj);
    kind_fill_defaults(&kind_pod, l->arena, filled);
    const struct value *spec = value_get(obj, "spec"), *old = value_get(filled, "spec");
    if (spec == NULL || old == NULL) {
        return;
    }
    check_deadline_change(spec, old, p, l);
    if (!only_adds_tolerations(value_get(spec, "tolerations"), value_get(old, "tolerations"))) {
        bad_forbidden(l, value_get(spec, "tolerations"), FPATH_AT(p, "tolerations"),
                      "existing toleration can not be modified except its tolerationSeconds");
    }
    if (!only_adds(value_get(spec, "ephemeralContainers"), value_get(old, "ephemeralContainers"))) {
        bad_forbidden(l, value_get(spec, "ephemeralContainers"), FPATH_AT(p, "ephemeralContainers"),
                      "existing ephemeral containers may not be removed or changed");
    }
    if (!only_adds(value_get(old, "schedulingGates"), value_get(spec, "schedulingGates"))) {
        bad_forbidden(l, value_get(spec, "schedulingGates"), FPATH_AT(p, "schedulingGates"),
                      "only deletion is allowed");
    }
    /* What may change is set back in a copy; then nothing may differ. */
    static const char *const free_members[] = {"activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations",
                                               "ephemeralContainers", "schedulingGates"};
    struct value *copy = value_copy(l->arena, spec);
    for (unsigned i = 0; i < ARRAY_SIZE(free_members); i++) {
        put_back(l->arena, copy, old, free_members[i]);
    }
    put_back_images(l->arena, copy, old, "containers");
    put_back_images(l->arena, copy, old, "initContainers");
    if (value_to_str(value_get(old, "nodeName")).n == 0) {
        put_back(l->arena, copy, old, "nodeName"); /* the binding to a node */
    }
    if (!value_equal(copy, old)) {
        bad_forbidden(l, spec, p, UPDATE_WHY);
    }
}

void pod_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec"), *before = value_get(old, "spec");
    /* Most changes of pods are of their status: what was right is right. */
    if (spec == NULL || (before != NULL && value_equal(spec, before))) {
        return;
    }
    pod_spec_check(spec, FPATH("spec"), false, l);
    if (old != NULL) {
        pod_update_check(obj, old, l);
    } else {
        check_no_ephemeral(spec, FPATH("spec"), "ephemeral containers are not allowed when a pod is made", l);
    }
}
