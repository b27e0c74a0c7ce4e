/* Rules of Service. Source: Kubernetes' ValidateService and ValidateServiceUpdate (pkg/apis/core/validation), in its
 * words where people know them. */
#include "base/strmap.h"
#include "proto/facts/cidr.h"
#include "proto/kinds/kinds.h"
#include "proto/kinds/service.h"

#define ONE_FAMILY "IPv6 is not configured on this cluster: services have addresses of IPv4"

void check_port(struct errlist *l, const struct value *v, const struct fpath *p)
{
    check_range(l, v, p, 1, 65535);
}

void check_app_protocol(struct errlist *l, const struct value *port, const struct fpath *p)
{
    check_label_key(l, port, value_get(port, "appProtocol"), FPATH_AT(p, "appProtocol"));
}

void check_endpoint_ip(struct errlist *l, const struct value *v, const struct fpath *p)
{
    static const struct {
        const char *range, *why;
    } special[] = {
        {"0.0.0.0/32", "may not be unspecified (0.0.0.0)"},
        {"127.0.0.0/8", "may not be in the loopback range (127.0.0.0/8)"},
        {"169.254.0.0/16", "may not be in the link-local range (169.254.0.0/16)"},
        {"224.0.0.0/24", "may not be in the link-local multicast range (224.0.0.0/24)"},
    };
    struct str s = value_to_str(v);
    struct cidr range;
    uint32_t ip;
    if (s.n == 0) {
        bad_required(l, v, p);
        return;
    }
    if (name_is_ip(s) && name_is_ipv6(s)) {
        bad_value(l, v, p, ONE_FAMILY);
        return;
    }
    if (!cidr_parse_address(s, &ip)) {
        bad_value(l, v, p, "must be a valid IP address, (e.g. 10.9.8.7)");
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(special); i++) {
        if (cidr_parse(str_of(special[i].range), &range) && cidr_contains(range, ip)) {
            bad_value(l, v, p, special[i].why);
        }
    }
}

/* ---- Ports ---- */

static void check_target(struct errlist *l, const struct value *v, const struct fpath *p)
{
    if (value_is_str(v) && !name_is_port(v->str)) {
        bad_value(l, v, p, NAME_PORT_WHY);
    } else if (!value_is_str(v)) {
        check_port(l, v, p);
    }
}

/* What the ports before have: names, and numbers with their protocols. True: this one has it as well. */
static bool is_taken(struct strmap *seen, struct arena *a, const struct value *port, const char *what, int64_t number)
{
    struct str text = value_to_str(value_get(port, number > 0 ? "protocol" : "name"));
    const char *key = arena_printf(a, "%s%lld/%.*s", what, (long long)number, STR_ARG(text));
    return strmap_set(seen, str_of(key), seen) != NULL;
}

struct port_rules {
    const struct value *ports;
    struct strmap seen;
    bool node_ports;
    const char *type;
};

static void check_service_port(struct port_rules *r, const struct value *port, const struct fpath *p, struct errlist *l)
{
    const struct value *name = value_get(port, "name"), *node = value_get(port, "nodePort");
    int64_t number = value_to_int(value_get(port, "port"), 0), node_number = value_to_int(node, 0);
    if (value_count(r->ports) > 1 || value_to_str(name).n > 0) {
        check_dns_label(l, port, name, FPATH_AT(p, "name"));
    }
    if (value_to_str(name).n > 0 && is_taken(&r->seen, l->arena, port, "name", 0)) {
        bad_duplicate(l, name, FPATH_AT(p, "name"));
    }
    check_port(l, value_get(port, "port"), FPATH_AT(p, "port"));
    check_target(l, value_get(port, "targetPort"), FPATH_AT(p, "targetPort"));
    check_app_protocol(l, port, p);
    if (number > 0 && is_taken(&r->seen, l->arena, port, "port", number)) {
        bad_duplicate(l, port, p);
    }
    if (node_number == 0) {
        return;
    }
    if (!r->node_ports) {
        bad_forbidden(l, node, FPATH_AT(p, "nodePort"),
                      arena_printf(l->arena, "may not be used when `type` is '%s'", r->type));
        return;
    }
    check_port(l, node, FPATH_AT(p, "nodePort"));
    if (node_number > 0 && is_taken(&r->seen, l->arena, port, "node", node_number)) {
        bad_duplicate(l, node, FPATH_AT(p, "nodePort"));
    }
}

static void check_service_ports(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    struct port_rules r = {.ports = value_get(spec, "ports"),
                           .node_ports = service_may_have_node_ports(spec),
                           .type = arena_printf(l->arena, "%.*s", STR_ARG(value_to_str(value_get(spec, "type"))))};
    strmap_init(&r.seen);
    VALUE_FOR(i, r.ports)
    {
        check_service_port(&r, value_item(r.ports, i), FPATH_ITEM(p, i), l);
    }
    strmap_close(&r.seen);
}

/* ---- Addresses ---- */

static void check_address(const struct value *v, const struct fpath *p, struct errlist *l)
{
    struct str s = value_to_str(v);
    if (str_is(s, "None")) {
        return;
    }
    uint32_t ip;
    if (name_is_ip(s) && name_is_ipv6(s)) {
        bad_value(l, v, p, ONE_FAMILY);
    } else if (!cidr_parse_address(s, &ip)) {
        bad_value(l, v, p, "must be empty, 'None', or a valid IP address");
    }
}

static void check_addresses(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *ip = value_get(spec, "clusterIP"), *list = value_get(spec, "clusterIPs"),
                       *families = value_get(spec, "ipFamilies"), *policy = value_get(spec, "ipFamilyPolicy");
    const struct fpath *at = FPATH_AT(p, "clusterIPs");
    if (value_to_str(ip).n == 0 && value_count(list) > 0) {
        bad_value(l, list, at, "must be empty when `clusterIP` is not specified");
    } else if (value_count(list) > 1) {
        bad_value(l, list, at, "may only hold one address: this cluster is not configured for dual-stack services");
    } else if (value_to_str(ip).n > 0) {
        if (!str_eq(value_to_str(value_item(list, 0)), ip->str)) {
            bad_value(l, list, at, "first value must match `clusterIP`");
        }
        check_address(ip, FPATH_ITEM(at, 0), l);
    }
    VALUE_FOR(i, families)
    {
        const struct value *f = value_item(families, i);
        const struct fpath *here = FPATH_ITEM(FPATH_AT(p, "ipFamilies"), i);
        if (str_is(value_to_str(f), "IPv6")) {
            bad_value(l, f, here, ONE_FAMILY);
        } else if (!str_is(value_to_str(f), "IPv4")) {
            bad_choice(l, f, here, "IPv4");
        } else if (i > 0) {
            bad_duplicate(l, f, here);
        }
    }
    if (str_is(value_to_str(policy), "RequireDualStack")) {
        bad_value(l, policy, FPATH_AT(p, "ipFamilyPolicy"), "this cluster is not configured for dual-stack services");
    }
}

static void check_external_name(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    static const char *const forbidden[] = {"clusterIPs", "ipFamilies", "ipFamilyPolicy"};
    const struct value *name = value_get(spec, "externalName");
    for (unsigned i = 0; i < ARRAY_SIZE(forbidden); i++) {
        const struct value *v = value_get(spec, forbidden[i]);
        if (value_count(v) > 0 || value_to_str(v).n > 0) {
            bad_forbidden(l, v, FPATH_AT(p, forbidden[i]), "may not be set for ExternalName services");
        }
    }
    if (value_to_str(value_get(spec, "clusterIP")).n > 0) {
        bad_forbidden(l, value_get(spec, "clusterIP"), FPATH_AT(p, "clusterIP"),
                      "may not be set for ExternalName services");
    }
    struct str s = value_to_str(name);
    s.n -= s.n > 1 && s.p[s.n - 1] == '.'; /* a name may say that it is whole */
    if (s.n == 0) {
        bad_required(l, name != NULL ? name : spec, FPATH_AT(p, "externalName"));
    } else if (!name_is_dns_subdomain(s)) {
        bad_value(l, name, FPATH_AT(p, "externalName"), NAME_SUBDOMAIN_WHY);
    }
}

/* ---- What only some types have ---- */

static void check_balancer(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    static const char *const only[] = {"loadBalancerSourceRanges", "allocateLoadBalancerNodePorts",
                                       "loadBalancerClass"};
    const struct value *ranges = value_get(spec, only[0]), *class = value_get(spec, only[2]);
    for (unsigned i = 0; !service_is_balanced(spec) && i < ARRAY_SIZE(only); i++) {
        const struct value *v = value_get(spec, only[i]);
        if (v != NULL && !(value_is_list(v) && value_count(v) == 0)) {
            bad_forbidden(l, v, FPATH_AT(p, only[i]), "may only be used when `type` is 'LoadBalancer'");
        }
    }
    VALUE_FOR(i, ranges)
    {
        struct str s = value_to_str(value_item(ranges, i));
        if (!name_is_cidr(s)) {
            bad_value(l, value_item(ranges, i), FPATH_ITEM(FPATH_AT(p, only[0]), i),
                      "must be a valid CIDR value, (e.g. 10.9.8.0/24)");
        }
    }
    if (class != NULL) {
        check_label_key(l, spec, class, FPATH_AT(p, only[2]));
        if (value_to_str(class).n == 0) {
            bad_required(l, class, FPATH_AT(p, only[2]));
        }
    }
    const struct value *wish = value_get(spec, "loadBalancerIP");
    if (value_to_str(wish).n > 0 && (!name_is_ip(wish->str) || name_is_ipv6(wish->str))) {
        bad_value(l, wish, FPATH_AT(p, "loadBalancerIP"), "must be a valid IP address, (e.g. 10.9.8.7)");
    }
}

static void check_policies(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *external = value_get(spec, "externalTrafficPolicy"),
                       *internal = value_get(spec, "internalTrafficPolicy"),
                       *health = value_get(spec, "healthCheckNodePort"),
                       *spread = value_get(spec, "trafficDistribution");
    if (external != NULL && !service_is_external(spec)) {
        bad_value(l, external, FPATH_AT(p, "externalTrafficPolicy"),
                  "may only be set for externally-accessible services");
    }
    if (internal != NULL && !service_has_address(spec)) {
        bad_forbidden(l, internal, FPATH_AT(p, "internalTrafficPolicy"), "may not be set for ExternalName services");
    }
    if (spread != NULL && !service_has_address(spec)) {
        bad_forbidden(l, spread, FPATH_AT(p, "trafficDistribution"), "may not be set for ExternalName services");
    }
    if (value_to_int(health, 0) == 0) {
        return;
    }
    check_port(l, health, FPATH_AT(p, "healthCheckNodePort"));
    if (!service_has_health_port(spec)) {
        bad_value(l, health, FPATH_AT(p, "healthCheckNodePort"),
                  "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    }
}

static void check_affinity(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *seconds = value_at(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds", NULL);
    const struct fpath *at = FPATH_AT(FPATH_AT(p, "sessionAffinityConfig"), "clientIP");
    check_range(l, seconds, FPATH_AT(at, "timeoutSeconds"), 1, SERVICE_AFFINITY_S_MAX);
}

/* ---- Changes ---- */

static void check_update(const struct value *spec, const struct value *old, const struct fpath *p, struct errlist *l)
{
    const struct value *ip = value_get(spec, "clusterIP"), *was = value_get(old, "clusterIP");
    if (service_has_address(spec) && service_has_address(old) && value_to_str(was).n > 0 &&
        !str_eq(value_to_str(ip), was->str)) {
        bad_value(l, value_get(spec, "clusterIPs"), FPATH_ITEM(FPATH_AT(p, "clusterIPs"), 0),
                  "may not change once set");
    }
    if (service_is_balanced(spec) && service_is_balanced(old)) {
        const struct value *class = value_get(spec, "loadBalancerClass"),
                           *class_was = value_get(old, "loadBalancerClass");
        if (!str_eq(value_to_str(class), value_to_str(class_was))) {
            bad_value(l, class != NULL ? class : value_cstr(l->arena, ""), FPATH_AT(p, "loadBalancerClass"),
                      "may not change once set");
        }
    }
    if (service_has_health_port(spec) && service_has_health_port(old)) {
        const struct value *port = value_get(spec, "healthCheckNodePort");
        int64_t before = value_to_int(value_get(old, "healthCheckNodePort"), 0);
        if (before != 0 && value_to_int(port, 0) != before) {
            bad_forbidden(l, port, FPATH_AT(p, "healthCheckNodePort"), "field is immutable");
        }
    }
}

static void check_name(const struct value *obj, struct errlist *l)
{
    const struct value *name = value_path(obj, "metadata.name");
    struct str s = value_to_str(name);
    if (s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9') {
        bad_value(l, name, FPATH_AT(FPATH("metadata"), "name"), "must begin with a letter (such as 'my-name')");
    }
}

void service_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct fpath *p = FPATH("spec"), *at = FPATH_AT(p, "ports");
    const struct value *spec = value_get(obj, "spec"), *ports = value_get(spec, "ports"),
                       *external = value_get(spec, "externalIPs");
    if (spec == NULL) {
        return;
    }
    bool headless = str_is(value_to_str(value_get(spec, "clusterIP")), "None");
    struct str type = value_to_str(value_get(spec, "type"));
    if (old == NULL) {
        check_name(obj, l);
    }
    if (value_count(ports) == 0 && !headless && service_has_address(spec)) {
        bad_required(l, spec, at);
    }
    if (headless && service_may_have_node_ports(spec)) {
        bad_value(l, value_get(spec, "clusterIPs"), FPATH_ITEM(FPATH_AT(p, "clusterIPs"), 0),
                  arena_printf(l->arena, "may not be set to 'None' for %.*s services", STR_ARG(type)));
    }
    check_service_ports(spec, at, l);
    check_labels(l, value_get(spec, "selector"), FPATH_AT(p, "selector"));
    if (service_has_address(spec)) {
        check_addresses(spec, p, l);
    } else {
        check_external_name(spec, p, l);
    }
    VALUE_FOR(i, external)
    {
        check_endpoint_ip(l, value_item(external, i), FPATH_ITEM(FPATH_AT(p, "externalIPs"), i));
    }
    check_affinity(spec, p, l);
    check_balancer(spec, p, l);
    check_policies(spec, p, l);
    if (old != NULL) {
        check_update(spec, value_get(old, "spec"), p, l);
    }
}
