/* What holds for the whole cluster: one object, "cluster". See proto/facts/cluster.h. */
#include "proto/facts/cluster.h"
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(networking, "ClusterNetworking", "Addresses, ports and names.",
    STRING("podSubnet", "Addresses of all pods, a range of IPv4; each node gets a part of it. Cannot change while "
           "nodes hold parts.",
           DEFAULT(CLUSTER_POD_SUBNET)),
    INT32("nodeCIDRMaskSize", "Bits of the mask of a node's part: 24 gives a node 254 addresses. Cannot change while "
          "nodes hold parts.",
          DEFAULT(CLUSTER_NODE_CIDR_MASK)),
    STRING("serviceSubnet", "Addresses of services, a range of IPv4.", DEFAULT(CLUSTER_SERVICE_SUBNET)),
    STRING("serviceNodePortRange", "Ports of nodes that services may have, FIRST-LAST.",
           DEFAULT(CLUSTER_SERVICE_NODE_PORTS)),
    STRING("dnsDomain", "Domain of the names of services.", DEFAULT(CLUSTER_DNS_DOMAIN)),
    STRING("loadBalancerPool", "Addresses that Services of type LoadBalancer get, as ranges with commas: "
           "192.0.2.0/28,198.51.100.7-198.51.100.9. Unset: they get none."),
    STRING("podRouting", "How packets come to pods of other nodes. auto: over the link that both nodes are on, and by "
           "VXLAN where there is none; host-gw: always as if there was one; vxlan: always by VXLAN.",
           DEFAULT(CLUSTER_POD_ROUTING), ONE_OF("auto|host-gw|vxlan")),
    INT32("vxlanID", "VXLAN's number: another one if something else on the nodes has this one.",
          DEFAULT(CLUSTER_VXLAN_ID)),
    INT32("vxlanPort", "VXLAN's port of UDP, open between all nodes.", DEFAULT(CLUSTER_VXLAN_PORT)));

SCHEMA_STATIC(scheduling, "ClusterScheduling", "How nodes are chosen for pods.",
    STRING("scoringStrategy", "LeastAllocated: the node with most left, and replicas of one owner apart; "
           "MostAllocated: the fullest that has room, so that others stay empty; RequestedToCapacityRatio: as "
           "scoringShape says. Unset: LeastAllocated.",
           ONE_OF("LeastAllocated|MostAllocated|RequestedToCapacityRatio")),
    STRING("scoringShape", "For RequestedToCapacityRatio: what a node is worth that is used so far, as PERCENT:SCORE "
           "with commas between them, scores of 0 to 10: 0:0,100:10 packs, 0:10,100:0 spreads."),
    STRING("scoringResources", "Of which resources a node's score is the mean, as NAME:WEIGHT with commas between "
           "them, weights of 1 to 100. What a pod does not ask for counts for it only if it is cpu or memory. Unset: "
           "cpu:1,memory:1."));

SCHEMA_STATIC(pod_security, "ClusterPodSecurity",
    "What is asked of pods in namespaces without labels of pod security; kube-system's are exempt.",
    STRING("enforce", "Pods that go against this level are refused. Unset: privileged, so none.",
           ONE_OF("privileged|baseline|restricted")),
    STRING("warn", "Whoever makes pods that go against this level is warned. Unset: privileged.",
           ONE_OF("privileged|baseline|restricted")),
    STRING("audit", "The audit's record says of pods that they go against this level. Unset: privileged.",
           ONE_OF("privileged|baseline|restricted")));

SCHEMA_STATIC(node_eviction, "ClusterNodeEviction",
    "How fast nodes that are lost are given up, zone by zone: when their pods are let go, who tolerates that for a while "
    "counts from then. While no node of the cluster is ready none is.",
    STRING("rate", "Nodes of a zone a second, a decimal fraction of 0 to 100; 0: none. Unset: 0.1, one in ten seconds."),
    STRING("secondaryRate", "The same of a zone of which many are lost, if it is large: a smaller one loses none then. "
           "Unset: 0.01."),
    STRING("unhealthyZoneThreshold", "Many are lost if they are this part of a zone's nodes, 0 to 1, and more than two. "
           "Unset: 0.55."),
    INT32("largeClusterSizeThreshold", "A zone of more nodes than this is large. Unset: 50."));

SCHEMA_STATIC(spec, "ClusterConfigurationSpec", "What the cluster is to be.",
    STRING("clusterName", "What the cluster is called."),
    OBJECT("networking", networking, "Addresses, ports and names.", DEFAULT("{}")),
    INT64("nodeMonitorGracePeriodSeconds",
          "A node that was silent for so long is not ready. Unset: what the masters were started with (40)."),
    INT32("terminatedPodGCThreshold",
          "Of finished pods so many may stay; above, the oldest are deleted. 0: all stay. Unset: 12500."),
    OBJECT("nodeEviction", node_eviction, "How fast nodes that are lost are given up."),
    OBJECT("scheduling", scheduling, "How nodes are chosen for pods."),
    OBJECT("podSecurity", pod_security, "What pods may ask of their nodes."),
    STRING("podTokens", "Automatic: pods see a token of their account, the cluster's CA and their namespace at "
           "/var/run/secrets/kubernetes.io/serviceaccount, unless they or the account say otherwise; needs agents that "
           "know tokens. OnRequest, or unset: those that have such a volume of their own.",
           ONE_OF("Automatic|OnRequest")));

SCHEMA_STATIC(status, "ClusterConfigurationStatus", "What the masters know of it.",
    INT64("featureLevel",
          "What all masters can do, and may therefore be written; it only grows. Written by the leader."));

SCHEMA_STATIC(clusterconfiguration, "ClusterConfiguration",
    "What holds for the whole cluster; there is one, named cluster.",
    TYPE_META,
    OBJECT("spec", spec, "What the cluster is to be.", DEFAULT("{}")),
    OBJECT("status", status, "What the masters know of it.", .flags = FIELD_STATUS));
/* clang-format on */

/* True: it is right, *out is it. */
static bool check_net(const struct value *v, const struct fpath *p, struct errlist *l, struct cidr *out)
{
    if (!cidr_parse(value_to_str(v), out)) {
        bad_value(l, v, p, "must be a range of IPv4 addresses with nothing behind its mask (such as 10.244.0.0/16)");
        return false;
    }
    if (out->bits < 8 || out->bits > CLUSTER_NODE_CIDR_MASK_MAX) {
        bad_value(l, v, p, "must have a mask of 8 to 30 bits");
        return false;
    }
    return true;
}

static void check_ports(const struct value *v, const struct fpath *p, struct errlist *l)
{
    struct str s = value_to_str(v);
    const char *dash = s.n == 0 ? NULL : memchr(s.p, '-', s.n);
    int64_t first = 0, last = 0;
    if (dash == NULL || !str_to_int64((struct str){s.p, (size_t)(dash - s.p)}, &first) ||
        !str_to_int64((struct str){dash + 1, s.n - (size_t)(dash - s.p) - 1}, &last) || first < 1 || last < first ||
        last > 65535) {
        bad_value(l, v, p, "must be FIRST-LAST with ports of 1 to 65535 (such as 30000-32767)");
    }
}

#define POOL_ADDRESSES_MAX 65536u

static void check_pool(const struct value *v, const struct fpath *p, struct errlist *l)
{
    struct str rest = value_to_str(v);
    uint32_t first, last;
    uint64_t ranges = 0, addresses = 0;
    while (cluster_pool_next(&rest, &first, &last)) {
        ranges++;
        addresses += (uint64_t)last - first + 1;
    }
    if (rest.n > 0) {
        bad_value(l, v, p,
                  "must be ranges of IPv4 addresses with commas between them (such as "
                  "192.0.2.0/28,198.51.100.7-198.51.100.9)");
    } else if (ranges > CLUSTER_POOL_RANGES_MAX || addresses > POOL_ADDRESSES_MAX) {
        bad_value(l, v, p, "must be no more than 64 ranges and 65536 addresses");
    }
}

static void check_scoring(const struct value *s, const struct fpath *p, struct errlist *l)
{
    const struct value *shape = value_get(s, "scoringShape"), *resources = value_get(s, "scoringResources");
    struct scoring_shape points;
    struct scoring_weight w;
    struct str rest = value_to_str(resources), names[SCORING_RESOURCES_MAX];
    unsigned count = 0;
    bool ratio = str_is(value_path_str(s, "scoringStrategy"), "RequestedToCapacityRatio");
    if (shape != NULL && !scoring_shape_parse(value_to_str(shape), &points)) {
        bad_value(
            l, shape, FPATH_AT(p, "scoringShape"),
            "must be up to 16 of PERCENT:SCORE with commas between them, percents of 0 to 100 ascending, scores of "
            "0 to 10 (such as 0:0,100:10)");
    } else if (ratio && shape == NULL) {
        bad_missing(l, s, FPATH_AT(p, "scoringShape"), "when scoringStrategy is RequestedToCapacityRatio");
    }
    bool good = resources == NULL || rest.n > 0;
    while (good && rest.n > 0) {
        good = count < SCORING_RESOURCES_MAX && scoring_weight_next(&rest, &w);
        for (unsigned i = 0; good && i < count; i++) {
            good = !str_eq(names[i], w.name);
        }
        if (good) {
            names[count++] = w.name;
        }
    }
    if (!good) {
        bad_value(
            l, resources, FPATH_AT(p, "scoringResources"),
            "must be up to 16 of NAME:WEIGHT with commas between them, no name twice, weights of 1 to 100 (such as "
            "cpu:1,memory:1,example.com/gpu:5)");
    }
}

static void check_number(const struct value *s, const char *name, int64_t most_milli, const struct fpath *p,
                         struct errlist *l)
{
    const struct value *v = value_get(s, name);
    int64_t milli;
    if (v != NULL && !eviction_number(value_to_str(v), most_milli, &milli)) {
        bad_value(l, v, FPATH_AT(p, name),
                  most_milli == 1000 ? "must be a decimal fraction of 0 to 1 (such as 0.55)"
                                     : "must be a decimal fraction of 0 to 100 (such as 0.1)");
    }
}

static void check_eviction(const struct value *s, const struct fpath *p, struct errlist *l)
{
    check_number(s, "rate", EVICTION_RATE_MAX_MILLI, p, l);
    check_number(s, "secondaryRate", EVICTION_RATE_MAX_MILLI, p, l);
    check_number(s, "unhealthyZoneThreshold", 1000, p, l);
    check_range(l, value_get(s, "largeClusterSizeThreshold"), FPATH_AT(p, "largeClusterSizeThreshold"), 0,
                EVICTION_ZONE_LARGE_MAX);
}

static void validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    (void)old;
    const struct fpath *p = FPATH_AT(FPATH("spec"), "networking");
    const struct value *name = value_path(obj, "metadata.name"), *s = value_get(obj, "spec"),
                       *net = value_get(s, "networking");
    struct cidr pods, services;
    if (!str_is(value_to_str(name), CLUSTER_CONFIG_NAME)) {
        bad_value(l, name, FPATH_AT(FPATH("metadata"), "name"),
                  "must be 'cluster': there is one for the whole cluster");
    }
    bool pods_right = check_net(value_get(net, "podSubnet"), FPATH_AT(p, "podSubnet"), l, &pods);
    bool services_right = check_net(value_get(net, "serviceSubnet"), FPATH_AT(p, "serviceSubnet"), l, &services);
    check_range(l, value_get(net, "nodeCIDRMaskSize"), FPATH_AT(p, "nodeCIDRMaskSize"), pods_right ? pods.bits : 8,
                CLUSTER_NODE_CIDR_MASK_MAX);
    if (pods_right && services_right && cidr_overlap(pods, services)) {
        bad_value(l, value_get(net, "serviceSubnet"), FPATH_AT(p, "serviceSubnet"), "must not overlap podSubnet");
    }
    check_ports(value_get(net, "serviceNodePortRange"), FPATH_AT(p, "serviceNodePortRange"), l);
    check_dns_subdomain(l, net, value_get(net, "dnsDomain"), FPATH_AT(p, "dnsDomain"));
    check_range(l, value_get(net, "vxlanID"), FPATH_AT(p, "vxlanID"), 1, CLUSTER_VXLAN_ID_MAX);
    check_range(l, value_get(net, "vxlanPort"), FPATH_AT(p, "vxlanPort"), 1, UINT16_MAX);
    check_pool(value_get(net, "loadBalancerPool"), FPATH_AT(p, "loadBalancerPool"), l);
    check_range(l, value_get(s, "nodeMonitorGracePeriodSeconds"),
                FPATH_AT(FPATH("spec"), "nodeMonitorGracePeriodSeconds"), CLUSTER_NODE_GRACE_MIN_S,
                CLUSTER_NODE_GRACE_MAX_S);
    check_at_least(l, value_get(s, "terminatedPodGCThreshold"), FPATH_AT(FPATH("spec"), "terminatedPodGCThreshold"), 0);
    check_eviction(value_get(s, "nodeEviction"), FPATH_AT(FPATH("spec"), "nodeEviction"), l);
    check_scoring(value_get(s, "scheduling"), FPATH_AT(FPATH("spec"), "scheduling"), l);
}

static void cell_member(struct buf *out, const struct object *o, const char *path)
{
    cell_str(out, mp_path(object_mp(o), path));
}
static void cell_pods(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_member(out, o, "spec.networking.podSubnet");
}
static void cell_services(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_member(out, o, "spec.networking.serviceSubnet");
}
static void cell_domain(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_member(out, o, "spec.networking.dnsDomain");
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "POD-SUBNET", .cell = cell_pods},
    {.title = "SERVICE-SUBNET", .cell = cell_services},
    {.title = "DNS-DOMAIN", .cell = cell_domain},
    {.title = "AGE"},
};

const struct kind kind_clusterconfiguration = {
    .id = KIND_CLUSTERCONFIGURATION,
    .name = "ClusterConfiguration",
    .api_version = "reeve.io/v1",
    .json_only = true,
    .plural = "clusterconfigurations",
    .singular = "clusterconfiguration",
    .short_names = "",
    .since = RELEASE_LEVEL_CARRIED,
    .has_status = true,
    .has_generation = true,
    .schema = &clusterconfiguration,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = validate,
};
