/* Rules for pods as a whole: the spec, and what may change. Containers and volumes have files of their own. */
#include "base/strmap.h"
#include "proto/kinds/kinds.h"

void pod_tolerations_check(const struct value *list, const struct fpath *p, struct errlist *l)
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

/* Limits of the C library's resolver. */
static void check_searches(const struct value *searches, const struct fpath *p, struct errlist *l)
{
    enum { SEARCHES_MAX = 32, SEARCHES_SIZE_MAX = 2048 };
    size_t size = 0;
    if (value_count(searches) > SEARCHES_MAX) {
        bad_value(l, searches, p, "must not have more than 32 search paths");
    }
    VALUE_FOR(i, searches)
    {
        struct str s = value_to_str(value_item(searches, i));
        size += s.n + (i > 0);
        s.n -= s.n > 0 && s.p[s.n - 1] == '.';
        if (!name_is_dns_subdomain(s)) {
            bad_value(l, value_item(searches, i), FPATH_ITEM(p, i), NAME_SUBDOMAIN_WHY);
        }
    }
    if (size > SEARCHES_SIZE_MAX) {
        bad_value(l, searches, p, "must not have more than 2048 characters, the blanks between them counted");
    }
}

static void check_dns(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    enum { NAMESERVERS_MAX = 3 };
    const struct value *config = value_get(spec, "dnsConfig"), *servers = value_get(config, "nameservers");
    const struct fpath *at = FPATH_AT(p, "dnsConfig");
    if (str_is(value_to_str(value_get(spec, "dnsPolicy")), "None") && value_count(servers) == 0) {
        bad_missing(l, spec, config == NULL ? at : FPATH_AT(at, "nameservers"),
                    "must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
    if (value_count(servers) > NAMESERVERS_MAX) {
        bad_value(l, servers, FPATH_AT(at, "nameservers"), "must not have more than 3 nameservers");
    }
    check_searches(value_get(config, "searches"), FPATH_AT(at, "searches"), l);
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
    struct strmap seen;
    strmap_init(&seen);
    VALUE_FOR(i, gates)
    {
        struct value *gate = value_item(gates, i);
        const struct value *name = value_get(gate, "name");
        const struct fpath *at = FPATH_AT(FPATH_ITEM(FPATH_AT(p, "schedulingGates"), i), "name");
        check_label_key(l, gates, name, at);
        if (value_to_str(name).n > 0 && strmap_get(&seen, value_to_str(name)) != NULL) {
            bad_duplicate(l, name, at);
        } else if (value_to_str(name).n > 0) {
            strmap_set(&seen, value_to_str(name), gate);
        }
    }
    strmap_close(&seen);
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

static void check_group(const struct value *group, const struct fpath *p, struct errlist *l)
{
    const struct value *name = value_get(group, "podGroupName");
    if (value_to_str(name).n > 0) {
        check_dns_subdomain(l, group, name, FPATH_AT(p, "podGroupName"));
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
        const struct value *where = source != NULL ? source : c;
        const struct fpath *place = source != NULL ? FPATH_AT(at, "source") : at;
        bool one = value_get(where, "resourceClaimName") != NULL;
        if (one == (value_get(where, "resourceClaimTemplateName") != NULL)) {
            bad_value(l, where, place,
                      "exactly one of `resourceClaimName` and `resourceClaimTemplateName` is required");
        }
        check_optional_name(l, where, "resourceClaimName", place);
        check_optional_name(l, where, "resourceClaimTemplateName", place);
    }
}

/* Names of other objects: not required, but DNS subdomains if given. */
static void check_names(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    static const char *const subdomains[] = {"nodeName", "serviceAccountName", "priorityClassName", "runtimeClassName"};
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

void pod_no_ephemeral_check(const struct value *spec, const struct fpath *p, const char *why, struct errlist *l)
{
    const struct value *list = value_get(spec, "ephemeralContainers");
    if (value_count(list) > 0) {
        bad_forbidden(l, list, FPATH_AT(p, "ephemeralContainers"), why);
    }
}

/* ---- Annotations ---- */

#define APPARMOR_PREFIX "container.apparmor.security.beta.kubernetes.io/"
#define SECCOMP_PREFIX  "container.seccomp.security.alpha.kubernetes.io/"

static bool has_container(const struct value *spec, struct str name)
{
    return value_find(value_get(spec, "containers"), "name", name) != NULL ||
           value_find(value_get(spec, "initContainers"), "name", name) != NULL ||
           value_find(value_get(spec, "ephemeralContainers"), "name", name) != NULL;
}

static bool is_int32(struct str s)
{
    int64_t n = 0;
    size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    bool good = s.n > i && s.n < 12 && (s.p[i] != '0' || s.n == i + 1) && s.p[0] != '+';
    for (; good && i < s.n; i++) {
        good = s.p[i] >= '0' && s.p[i] <= '9';
        n = n * 10 + (s.p[i] - '0');
    }
    return good && n <= (int64_t)INT32_MAX + (s.p[0] == '-');
}

static void check_annotation(const struct value_member *m, const struct value *spec, const struct fpath *p,
                             struct errlist *l)
{
    const struct str prefix = STR(APPARMOR_PREFIX);
    struct str v = value_to_str(m->value);
    const struct fpath *at = FPATH_KEY(p, m->key);
    if (str_is(m->key, "controller.kubernetes.io/pod-deletion-cost") && !is_int32(v)) {
        bad_value(l, m->value, at, "must be a whole number of 32 bits, without a '+' or zeros in front");
    } else if (str_starts(m->key, prefix)) {
        if (!has_container(spec, (struct str){m->key.p + prefix.n, m->key.n - prefix.n})) {
            bad_value(l, m->value, at, "there is no container of this name");
        }
        if (!in_choices(v, "|runtime/default|unconfined") && !str_starts(v, STR("localhost/"))) {
            bad_value(l, m->value, at, "must be runtime/default, unconfined or localhost/PROFILE");
        }
    } else if (str_is(m->key, "seccomp.security.alpha.kubernetes.io/pod") || str_starts(m->key, STR(SECCOMP_PREFIX))) {
        if (!in_choices(v, "runtime/default|docker/default|unconfined") && !str_starts(v, STR("localhost/"))) {
            bad_value(l, m->value, at, "must be runtime/default, unconfined or localhost/PROFILE");
        }
    }
}

void pod_annotations_check(const struct value *annotations, const struct value *spec, const struct fpath *p,
                           struct errlist *l)
{
    for (unsigned i = 0; i < value_count(annotations) && l->count < ERRLIST_MAX; i++) {
        check_annotation(&annotations->map.members[i], spec, p, l);
    }
}

/* ---- All of a spec ---- */

void pod_spec_check(const struct value *spec, const struct fpath *p, bool is_template, struct str pod_name,
                    struct errlist *l)
{
    const struct value *deadline = value_get(spec, "activeDeadlineSeconds");
    pod_containers_check(spec, p, l);
    pod_volumes_check(value_get(spec, "volumes"), pod_name, FPATH_AT(p, "volumes"), l);
    if (is_template) {
        pod_no_ephemeral_check(spec, p, "ephemeral containers are not allowed in a pod template", l);
    }
    check_at_least(l, value_get(spec, "terminationGracePeriodSeconds"), FPATH_AT(p, "terminationGracePeriodSeconds"),
                   0);
    check_range(l, deadline, FPATH_AT(p, "activeDeadlineSeconds"), 1, INT32_MAX);
    check_labels(l, value_get(spec, "nodeSelector"), FPATH_AT(p, "nodeSelector"));
    check_names(spec, p, l);
    pod_tolerations_check(value_get(spec, "tolerations"), FPATH_AT(p, "tolerations"), l);
    check_dns(spec, p, l);
    check_host_aliases(value_get(spec, "hostAliases"), FPATH_AT(p, "hostAliases"), l);
    check_gates(spec, p, l);
    pod_security_check(spec, p, l);
    check_claims(value_get(spec, "resourceClaims"), FPATH_AT(p, "resourceClaims"), l);
    check_group(value_get(spec, "schedulingGroup"), FPATH_AT(p, "schedulingGroup"), l);
    check_container_resources(l, value_get(spec, "overhead"), FPATH_AT(p, "overhead"));
    pod_resources_check(spec, FPATH_AT(p, "resources"), l);
    pod_affinity_check(spec, p, l);
}
