/* Service: one address and name for pods that come and go. Source: Kubernetes core/v1 Service.
 *
 * Addresses are IPv4 and one for each Service; what asks for another family is refused (service_check.c). clusterIP and
 * the node ports that a Service does not say are given by the masters when it is written (master/api/services.c). */
#include "proto/kinds/service.h"
#include "proto/facts/cidr.h"
#include "proto/facts/claim.h"
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(service_port, "ServicePort", "A port of the service.",
    STRING("name", "Its name; needed if there are several. A DNS label."),
    STRING("protocol", "TCP, UDP or SCTP.", DEFAULT("TCP"), ONE_OF("TCP|UDP|SCTP")),
    STRING("appProtocol", "What is spoken on it, for people and tools.", NUMBER(6)),
    INT32("port", "The port at the service's address.", REQUIRED, NUMBER(3)),
    INT_OR_STRING("targetPort", "Port of the pods: a number, or the name of a container's port, which may be another "
                  "number in each pod."),
    INT32("nodePort", "Port on every node, for NodePort and LoadBalancer. Chosen by the masters if it is not "
          "given.", ZERO));

SCHEMA_STATIC(client_ip, "ClientIPConfig", "How long a client stays with its pod.",
    INT32("timeoutSeconds", "Seconds without a connection after which it may get another."));

SCHEMA_STATIC(affinity_config, "SessionAffinityConfig", "How clients stay with their pods.",
    OBJECT("clientIP", client_ip, "For sessionAffinity ClientIP."));

SCHEMA_STATIC(service_spec, "ServiceSpec", "What the service is to be.",
    OBJECTS("ports", service_port, "Its ports.", MERGE("port"), .merge_key2 = "protocol"),
    STRING_MAP("selector", "Labels of the pods behind it. Without a selector somebody else says where it leads "
               "(EndpointSlice)."),
    STRING("clusterIP", "Its address in the cluster, of serviceSubnet; None for a service without one (headless). "
           "Cannot change."),
    STRINGS("clusterIPs", "The same as a list of one.", NUMBER(18)),
    STRING("type", "ClusterIP: reached inside the cluster. NodePort: also at a port of every node. LoadBalancer: "
           "also at an "
           "address from outside. ExternalName: a name for a host elsewhere.",
           DEFAULT("ClusterIP"), ONE_OF("ExternalName|ClusterIP|NodePort|LoadBalancer"), NUMBER(4)),
    STRINGS("externalIPs", "Further addresses, for which somebody else brings the traffic to the "
            "nodes."),
    STRING("sessionAffinity", "ClientIP: connections of one address go to the same "
           "pod.", DEFAULT("None"), ONE_OF("ClientIP|None"), NUMBER(7)),
    STRING("loadBalancerIP", "The address that a LoadBalancer should get, if it is free."),
    STRINGS("loadBalancerSourceRanges", "Who may use the address of a LoadBalancer, as ranges; unset: "
            "everybody."),
    STRING("externalName", "For ExternalName: the host that the name leads to."),
    STRING("externalTrafficPolicy", "Local: what comes from outside stays on its node and keeps the client's address.",
           ONE_OF("Cluster|Local")),
    INT32("healthCheckNodePort", "For LoadBalancer with Local: a port that says how many pods a node "
          "has.", ZERO),
    BOOLEAN("publishNotReadyAddresses", "Pods count as ready whether they are or not: for peers that look for "
            "each other.", ZERO),
    OBJECT("sessionAffinityConfig", affinity_config, "How clients stay with their pods."),
    STRINGS("ipFamilies", "Families of its addresses: IPv4.", NUMBER(19)),
    STRING("ipFamilyPolicy", "How many families: SingleStack, and PreferDualStack is taken for it.",
           ONE_OF("SingleStack|PreferDualStack|RequireDualStack"), NUMBER(17)),
    BOOLEAN("allocateLoadBalancerNodePorts", "For LoadBalancer: whether it gets node ports.", NUMBER(20)),
    STRING("loadBalancerClass", "For LoadBalancer: who serves it; with a class, Reeve does not."),
    STRING("internalTrafficPolicy", "Local: what comes from a pod stays on its "
           "node.", ONE_OF("Cluster|Local")),
    STRING("trafficDistribution", "PreferClose: to pods of the node's zone (label topology.kubernetes.io/zone) if one "
           "is ready there.", ONE_OF("PreferClose")));

SCHEMA_STATIC(port_status, "PortStatus", "A port of the address.",
    INT32("port", "The port."),
    STRING("protocol", "Its protocol."),
    STRING("error", "Why it does not work, if it does not."));

SCHEMA_STATIC(ingress, "LoadBalancerIngress", "Where the service is reached from outside.",
    STRING("ip", "Its address."),
    STRING("hostname", "Its name."),
    STRING("ipMode", "VIP: packets arrive with this address; Proxy: with that of a node."),
    OBJECTS("ports", port_status, "What is known of its ports."));

SCHEMA_STATIC(load_balancer, "LoadBalancerStatus", "Where the service is reached from outside.",
    OBJECTS("ingress", ingress, "Its addresses."));

SCHEMA_STATIC(condition, "Condition", "One statement about the service.",
    STRING("type", "What it is about."),
    STRING("status", "True, False or Unknown."),
    INT64("observedGeneration", "Generation of the spec that it speaks of.", ZERO),
    TIME("lastTransitionTime", "When status last changed."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(service_status, "ServiceStatus", "What is known of the service.",
    OBJECT("loadBalancer", load_balancer, "Where it is reached from outside."),
    OBJECTS("conditions", condition, "Statements about the service.", MERGE("type")));

SCHEMA_STATIC(service, "Service", "One address and one name for pods that come and go.",
    TYPE_META,
    OBJECT("spec", service_spec, "What the service is to be.", REQUIRED),
    OBJECT("status", service_status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

/* ---- What the type brings with it ---- */

bool service_has_address(const struct value *spec)
{
    return !str_is(value_to_str(value_get(spec, "type")), "ExternalName");
}

bool service_is_balanced(const struct value *spec)
{
    return str_is(value_to_str(value_get(spec, "type")), "LoadBalancer");
}

bool service_may_have_node_ports(const struct value *spec)
{
    return service_is_balanced(spec) || str_is(value_to_str(value_get(spec, "type")), "NodePort");
}

bool service_has_health_port(const struct value *spec)
{
    return service_is_balanced(spec) && str_is(value_to_str(value_get(spec, "externalTrafficPolicy")), "Local");
}

bool service_is_external(const struct value *spec)
{
    return service_may_have_node_ports(spec) ||
           (service_has_address(spec) && value_count(value_get(spec, "externalIPs")) > 0);
}

/* ---- Defaults ---- */

static void set_default(struct arena *a, struct value *spec, const char *key, const char *text)
{
    if (value_to_str(value_get(spec, key)).n == 0) {
        value_set(a, spec, key, value_cstr(a, text));
    }
}

static void fill_affinity(struct arena *a, struct value *spec)
{
    if (!str_is(value_to_str(value_get(spec, "sessionAffinity")), "ClientIP")) {
        value_remove(spec, "sessionAffinityConfig");
        return;
    }
    struct value *client = value_ensure_map(a, value_ensure_map(a, spec, "sessionAffinityConfig"), "clientIP");
    if (value_get(client, "timeoutSeconds") == NULL) {
        value_set(a, client, "timeoutSeconds", value_int(a, SERVICE_AFFINITY_S_DEFAULT));
    }
}

static void fill_ports(struct arena *a, struct value *ports)
{
    VALUE_FOR(i, ports)
    {
        struct value *port = value_item(ports, i), *target = value_get(port, "targetPort");
        if (target == NULL || value_to_int(target, 1) == 0 || (value_is_str(target) && target->str.n == 0)) {
            value_set(a, port, "targetPort", value_int(a, value_to_int(value_get(port, "port"), 0)));
        }
    }
}

static void fill_addresses(struct arena *a, struct value *spec)
{
    struct value *ip = value_get(spec, "clusterIP");
    if (value_to_str(ip).n == 0) {
        value_remove(spec, "clusterIP");
    } else if (value_count(value_get(spec, "clusterIPs")) == 0) {
        value_append(a, value_ensure_list(a, spec, "clusterIPs"), value_copy(a, ip));
    }
    set_default(a, spec, "ipFamilyPolicy", "SingleStack");
    if (value_count(value_get(spec, "ipFamilies")) == 0) {
        value_append(a, value_ensure_list(a, spec, "ipFamilies"), value_cstr(a, "IPv4"));
    }
}

/* Source: Kubernetes' SetDefaults_Service, and what its registry fills in. */
static void service_fill(struct arena *a, struct value *obj)
{
    struct value *spec = value_get(obj, "spec");
    if (!value_is_map(spec)) {
        return;
    }
    fill_affinity(a, spec);
    fill_ports(a, value_get(spec, "ports"));
    if (service_is_external(spec)) {
        set_default(a, spec, "externalTrafficPolicy", "Cluster");
    }
    if (service_has_address(spec)) {
        set_default(a, spec, "internalTrafficPolicy", "Cluster");
        fill_addresses(a, spec);
    }
    if (service_is_balanced(spec) && value_get(spec, "allocateLoadBalancerNodePorts") == NULL) {
        value_set(a, spec, "allocateLoadBalancerNodePorts", value_bool(a, true));
    }
}

/* ---- Updates ---- */

static struct str protocol_of(const struct value *port)
{
    struct str s = value_to_str(value_get(port, "protocol"));
    return s.n > 0 ? s : STR("TCP");
}

static bool has_node_port(const struct value *ports, int64_t number)
{
    VALUE_FOR(i, ports)
    {
        if (value_to_int(value_get(value_item(ports, i), "nodePort"), 0) == number) {
            return true;
        }
    }
    return false;
}

/* A port that was there keeps its node port, unless another one asks for that now. */
static void keep_node_ports(struct arena *a, struct value *ports, const struct value *old)
{
    VALUE_FOR(i, ports)
    {
        struct value *port = value_item(ports, i);
        for (unsigned k = 0; value_is_map(port) && k < value_count(old); k++) {
            const struct value *was = value_item(old, k);
            int64_t number = value_to_int(value_get(was, "nodePort"), 0);
            if (number != 0 && value_to_int(value_get(port, "nodePort"), 0) == 0 && !has_node_port(ports, number) &&
                value_to_int(value_get(port, "port"), -1) == value_to_int(value_get(was, "port"), 0) &&
                str_eq(protocol_of(port), protocol_of(was))) {
                value_set(a, port, "nodePort", value_int(a, number));
            }
        }
    }
}

static bool same(const struct value *spec, const struct value *old, const char *key)
{
    const struct value *now = value_get(spec, key), *was = value_get(old, key);
    return now == NULL || (was != NULL && value_equal(now, was));
}

static void drop_same(struct value *spec, const struct value *old, const char *key)
{
    if (same(spec, old, key)) {
        value_remove(spec, key);
    }
}

static void keep_address(struct arena *a, struct value *spec, const struct value *old)
{
    const struct value *was = value_get(old, "clusterIP"), *list = value_get(old, "clusterIPs");
    if (value_to_str(was).n == 0) {
        return;
    }
    if (value_to_str(value_get(spec, "clusterIP")).n == 0 && same(spec, old, "clusterIPs")) {
        value_set(a, spec, "clusterIP", value_copy(a, was));
        value_set(a, spec, "clusterIPs", value_copy(a, list));
    } else if (!same(spec, old, "clusterIP") && same(spec, old, "clusterIPs")) {
        value_remove(spec, "clusterIPs"); /* follows clusterIP */
    }
}

/* What a manifest that does not speak of it leaves alone, as long as the type has it; and what another type no longer
 * has goes, unless the manifest asks for something else there. Source: Kubernetes' patchAllocatedValues and
 * dropTypeDependentFields. */
static void service_keep(struct arena *a, struct value *obj, const struct value *old_obj)
{
    struct value *spec = value_get(obj, "spec");
    const struct value *old = value_get(old_obj, "spec");
    if (!value_is_map(spec) || old == NULL) {
        return;
    }
    if (service_has_address(old) && service_has_address(spec)) {
        keep_address(a, spec, old);
    } else if (service_has_address(old)) {
        static const char *const of_address[] = {
            "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy", NULL};
        for (const char *const *key = of_address; *key != NULL; key++) {
            drop_same(spec, old, *key);
        }
    }
    struct value *ports = value_get(spec, "ports");
    if (service_may_have_node_ports(old) && service_may_have_node_ports(spec)) {
        keep_node_ports(a, ports, value_get(old, "ports"));
    } else if (service_may_have_node_ports(old)) {
        VALUE_FOR(i, ports)
        {
            int64_t number = value_to_int(value_get(value_item(ports, i), "nodePort"), 0);
            if (number != 0 && has_node_port(value_get(old, "ports"), number)) {
                value_remove(value_item(ports, i), "nodePort");
            }
        }
    }
    if (service_has_health_port(old) && service_has_health_port(spec)) {
        if (value_to_int(value_get(spec, "healthCheckNodePort"), 0) == 0 &&
            value_get(old, "healthCheckNodePort") != NULL) {
            value_set(a, spec, "healthCheckNodePort", value_copy(a, value_get(old, "healthCheckNodePort")));
        }
    } else if (service_has_health_port(old)) {
        drop_same(spec, old, "healthCheckNodePort");
    }
    if (service_is_balanced(old) && !service_is_balanced(spec)) {
        drop_same(spec, old, "allocateLoadBalancerNodePorts");
        drop_same(spec, old, "loadBalancerClass");
    }
    if (service_is_external(old) && !service_is_external(spec)) {
        drop_same(spec, old, "externalTrafficPolicy");
    }
}

/* ---- Columns ---- */

static struct mp spec_of(const struct object *o, const char *key)
{
    return mp_get(mp_get(object_mp(o), "spec"), key);
}

static void cell_type(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, spec_of(o, "type"));
}

static void cell_cluster_ip(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, spec_of(o, "clusterIP"));
}

static unsigned list_addresses(struct buf *out, struct mp list, unsigned before)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str ip = mp_type(it.value) == MP_MAP ? mp_str(mp_get(it.value, "ip")) : mp_str(it.value);
        buf_puts(out, before++ > 0 ? "," : "");
        buf_append_str(out, ip.n > 0 ? ip : mp_str(mp_get(it.value, "hostname")));
    }
    return before;
}

static void cell_external(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct str type = mp_str(spec_of(o, "type"));
    if (str_is(type, "ExternalName")) {
        cell_str(out, spec_of(o, "externalName"));
        return;
    }
    bool balanced = str_is(type, "LoadBalancer");
    unsigned n = balanced ? list_addresses(out, mp_path(object_mp(o), "status.loadBalancer.ingress"), 0) : 0;
    n = list_addresses(out, spec_of(o, "externalIPs"), n);
    if (n == 0) {
        buf_puts(out, balanced ? "<pending>" : "<none>");
    }
}

static void cell_ports(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(spec_of(o, "ports")); mp_next(&it); n++) {
        int64_t node = mp_int(mp_get(it.value, "nodePort"), 0);
        buf_puts(out, n > 0 ? "," : "");
        cell_int(out, mp_get(it.value, "port"));
        if (node > 0) {
            buf_printf(out, ":%d", (int)node);
        }
        buf_printf(out, "/%.*s", STR_ARG(mp_str(mp_get(it.value, "protocol"))));
    }
    buf_puts(out, n == 0 ? "<none>" : "");
}

static void cell_selector(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(spec_of(o, "selector")); mp_next(&it); n++) {
        buf_printf(out, "%s%.*s=%.*s", n > 0 ? "," : "", STR_ARG(it.key), STR_ARG(mp_str(it.value)));
    }
    buf_puts(out, n == 0 ? "<none>" : "");
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "TYPE", .cell = cell_type},
    {.title = "CLUSTER-IP", .cell = cell_cluster_ip},
    {.title = "EXTERNAL-IP", .cell = cell_external},
    {.title = "PORT(S)", .cell = cell_ports},
    {.title = "AGE"},
    {.title = "SELECTOR", .wide = true, .cell = cell_selector},
};

/* ---- Claims ---- */

/* Its address, and the ports of the nodes that it has. */
static void service_claims(const struct object *o, kind_claim_cb *cb, void *data)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct str ip = mp_str(spec_of(o, "clusterIP"));
    int64_t health = mp_int(spec_of(o, "healthCheckNodePort"), 0);
    if (ip.n > 0 && ip.n < CIDR_TEXT_SIZE && !str_is(ip, "None")) {
        claim_address(&key, ip);
        cb(data, buf_str(&key));
    }
    for (struct mp_iter it = mp_iter(spec_of(o, "ports")); mp_next(&it);) {
        int64_t number = mp_int(mp_get(it.value, "nodePort"), 0);
        struct str protocol = mp_str(mp_get(it.value, "protocol"));
        if (number > 0 && protocol.n < 8) {
            claim_port(&key, protocol, number);
            cb(data, buf_str(&key));
        }
    }
    if (health > 0) {
        claim_port(&key, STR("TCP"), health);
        cb(data, buf_str(&key));
    }
}

static const struct kind_related related[] = {{.kind = KIND_ENDPOINTSLICE, .label = LABEL_SERVICE_NAME}, {0}};

const struct kind kind_service = {
    .id = KIND_SERVICE,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "Service",
    .api_version = "v1",
    .plural = "services",
    .singular = "service",
    .short_names = "svc",
    .namespaced = true,
    .has_status = true,
    .names = NAMES_DNS_LABEL,
    .schema = &service,
    .selectable = "spec.clusterIP spec.type",
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = service_validate,
    .fill = service_fill,
    .keep = service_keep,
    .claims = service_claims,
    .describe = service_describe,
    .related = related,
    .in_all = true,
    .is_pruned = true,
    .put_makes = true,
};
