#include "proto/facts/cluster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const struct cluster_setting cluster_settings[] = {
    {"clusterName", "spec.clusterName", NULL, false, false, "what the cluster is called"},
    {"podSubnet", "spec.networking.podSubnet", CLUSTER_POD_SUBNET, false, true, "addresses of all pods"},
    {"nodeCIDRMaskSize", "spec.networking.nodeCIDRMaskSize", CLUSTER_NODE_CIDR_MASK, true, true,
     "bits of the mask of a node's part of them"},
    {"serviceSubnet", "spec.networking.serviceSubnet", CLUSTER_SERVICE_SUBNET, false, true, "addresses of services"},
    {"serviceNodePortRange", "spec.networking.serviceNodePortRange", CLUSTER_SERVICE_NODE_PORTS, false, false,
     "ports of nodes that services may have"},
    {"loadBalancerPool", "spec.networking.loadBalancerPool", NULL, false, false,
     "addresses that Services of type LoadBalancer get, as ranges A-B or A/BITS with commas; unset: none"},
    {"dnsDomain", "spec.networking.dnsDomain", CLUSTER_DNS_DOMAIN, false, false, "domain of the names of services"},
    {"podRouting", "spec.networking.podRouting", CLUSTER_POD_ROUTING, false, false,
     "ways between nodes: auto (over their link, by VXLAN where they share none), host-gw, vxlan"},
    {"vxlanID", "spec.networking.vxlanID", CLUSTER_VXLAN_ID, true, false, "VXLAN's number, 1 to 16777215"},
    {"vxlanPort", "spec.networking.vxlanPort", CLUSTER_VXLAN_PORT, true, false, "VXLAN's port of UDP on every node"},
    {"nodeMonitorGracePeriodSeconds", "spec.nodeMonitorGracePeriodSeconds", NULL, true, false,
     "a node is NotReady after so long a silence; unset: what masters were started with"},
    {"terminatedPodGCThreshold", "spec.terminatedPodGCThreshold", CLUSTER_TERMINATED_PODS, true, false,
     "finished pods above so many are deleted, the oldest first; 0: none"},
    {"nodeEvictionRate", "spec.nodeEviction.rate", EVICTION_RATE, false, false,
     "of a zone's lost nodes so many a second are given up, and their pods let go"},
    {"secondaryNodeEvictionRate", "spec.nodeEviction.secondaryRate", EVICTION_SECONDARY_RATE, false, false,
     "the same of a large zone of which many nodes are lost; of a small one none are then"},
    {"unhealthyZoneThreshold", "spec.nodeEviction.unhealthyZoneThreshold", EVICTION_THRESHOLD, false, false,
     "many are this part of the zone's nodes, 0 to 1, and more than two"},
    {"largeClusterSizeThreshold", "spec.nodeEviction.largeClusterSizeThreshold", EVICTION_LARGE_ZONE, true, false,
     "a zone of more nodes than this is large"},
    {"scoringStrategy", "spec.scheduling.scoringStrategy", CLUSTER_SCORING, false, false,
     "LeastAllocated: pods go where most is free; MostAllocated: they are packed where least is; "
     "RequestedToCapacityRatio: as scoringShape says"},
    {"scoringShape", "spec.scheduling.scoringShape", NULL, false, false,
     "for RequestedToCapacityRatio: what a node is worth that is used so far, PERCENT:SCORE,... with scores of 0 to "
     "10"},
    {"scoringResources", "spec.scheduling.scoringResources", CLUSTER_SCORING_RESOURCES, false, false,
     "of which resources that is the mean, NAME:WEIGHT,... with weights of 1 to 100"},
    {"podSecurityEnforce", "spec.podSecurity.enforce", "privileged", false, false,
     "level that pods are held to where their namespace says none: privileged, baseline, restricted"},
    {"podSecurityWarn", "spec.podSecurity.warn", "privileged", false, false,
     "level that whoever makes pods is warned of, likewise"},
    {"podSecurityAudit", "spec.podSecurity.audit", "privileged", false, false,
     "level that the record of a request is held to, likewise"},
    {"podTokens", "spec.podTokens", "OnRequest", false, false,
     "Automatic: pods see a token of their account, as in Kubernetes; OnRequest: those that ask for one"},
    {0},
};

static struct cidr cidr_or(struct mp v, const char *standard)
{
    struct cidr c;
    if (!cidr_parse(mp_str(v), &c)) {
        bool ok = cidr_parse(str_of(standard), &c);
        assert(ok);
        (void)ok;
    }
    return c;
}

static void read_ports(struct str s, struct cluster_config *out)
{
    const char *dash = s.n == 0 ? NULL : memchr(s.p, '-', s.n);
    int64_t first, last;
    if (dash != NULL && str_to_int64((struct str){s.p, (size_t)(dash - s.p)}, &first) &&
        str_to_int64((struct str){dash + 1, s.n - (size_t)(dash - s.p) - 1}, &last) && first >= 1 && first <= last &&
        last <= 65535) {
        out->node_port_first = (unsigned)first;
        out->node_port_last = (unsigned)last;
    }
}

static unsigned number_or(struct mp v, const char *standard, int64_t max)
{
    int64_t number = mp_int(v, 0);
    if (number < 1 || number > max) {
        bool ok = str_to_int64(str_of(standard), &number);
        assert(ok);
        (void)ok;
    }
    return (unsigned)number;
}

static int64_t milli_or(struct mp v, const char *standard, int64_t most)
{
    int64_t milli;
    if (!eviction_number(mp_str(v), most, &milli)) {
        bool ok = eviction_number(str_of(standard), most, &milli);
        assert(ok);
        (void)ok;
    }
    return milli;
}

static struct eviction_rates rates_of(struct mp said)
{
    int64_t large = mp_int(mp_get(said, "largeClusterSizeThreshold"), -1);
    return (struct eviction_rates){
        .rate_milli = milli_or(mp_get(said, "rate"), EVICTION_RATE, EVICTION_RATE_MAX_MILLI),
        .secondary_milli = milli_or(mp_get(said, "secondaryRate"), EVICTION_SECONDARY_RATE, EVICTION_RATE_MAX_MILLI),
        .threshold_milli = milli_or(mp_get(said, "unhealthyZoneThreshold"), EVICTION_THRESHOLD, 1000),
        .large_zone = large < 0 || large > EVICTION_ZONE_LARGE_MAX ? atoll(EVICTION_LARGE_ZONE) : large};
}

uint32_t cluster_names_address(struct cidr services)
{
    return cidr_size(services) < 16 ? 0 : services.first + 10;
}

bool cluster_pool_next(struct str *rest, uint32_t *first, uint32_t *last)
{
    if (rest->n == 0) {
        return false;
    }
    const char *comma = memchr(rest->p, ',', rest->n);
    struct str item = {rest->p, comma == NULL ? rest->n : (size_t)(comma - rest->p)};
    const char *dash = item.n == 0 ? NULL : memchr(item.p, '-', item.n);
    struct cidr c;
    bool ok;
    if (dash != NULL) {
        size_t n = (size_t)(dash - item.p);
        ok = cidr_parse_address((struct str){item.p, n}, first) &&
             cidr_parse_address((struct str){dash + 1, item.n - n - 1}, last) && *first <= *last;
    } else if (cidr_parse(item, &c)) {
        *first = c.first;
        *last = (uint32_t)(cidr_end(c) - 1);
        ok = true;
    } else {
        ok = cidr_parse_address(item, first);
        *last = *first;
    }
    if (ok) {
        rest->p += item.n + (comma != NULL);
        rest->n -= item.n + (comma != NULL);
    }
    return ok;
}

struct pod_security cluster_pod_security(const struct object *o)
{
    struct pod_security out = {POD_SECURITY_PRIVILEGED, POD_SECURITY_PRIVILEGED, POD_SECURITY_PRIVILEGED};
    if (o != NULL) {
        struct mp said = mp_get(object_spec(o), "podSecurity");
        pod_security_parse(mp_str(mp_get(said, "enforce")), &out.enforce);
        pod_security_parse(mp_str(mp_get(said, "warn")), &out.warn);
        pod_security_parse(mp_str(mp_get(said, "audit")), &out.audit);
    }
    return out;
}

void cluster_config_read(const struct object *o, struct cluster_config *out)
{
    struct mp spec = o == NULL ? mp_of(NULL, 0) : mp_get(object_mp(o), "spec"), net = mp_get(spec, "networking");
    int64_t mask = mp_int(mp_get(net, "nodeCIDRMaskSize"), 24), grace_s;
    *out = (struct cluster_config){.pods = cidr_or(mp_get(net, "podSubnet"), CLUSTER_POD_SUBNET),
                                   .services = cidr_or(mp_get(net, "serviceSubnet"), CLUSTER_SERVICE_SUBNET)};
    out->node_mask =
        (unsigned)MIN(MAX(mask, (int64_t)out->pods.bits), (int64_t)MAX(CLUSTER_NODE_CIDR_MASK_MAX, out->pods.bits));
    read_ports(STR(CLUSTER_SERVICE_NODE_PORTS), out);
    read_ports(mp_str(mp_get(net, "serviceNodePortRange")), out);
    out->dns_domain = mp_str(mp_get(net, "dnsDomain"));
    if (str_empty(out->dns_domain)) {
        out->dns_domain = STR(CLUSTER_DNS_DOMAIN);
    }
    out->balancer_pool = mp_str(mp_get(net, "loadBalancerPool"));
    out->pod_routing = mp_str(mp_get(net, "podRouting"));
    if (str_empty(out->pod_routing)) {
        out->pod_routing = STR(CLUSTER_POD_ROUTING);
    }
    out->vxlan_id = number_or(mp_get(net, "vxlanID"), CLUSTER_VXLAN_ID, CLUSTER_VXLAN_ID_MAX);
    out->vxlan_port = number_or(mp_get(net, "vxlanPort"), CLUSTER_VXLAN_PORT, UINT16_MAX);
    out->terminated_pods = mp_int(mp_get(spec, "terminatedPodGCThreshold"), atoll(CLUSTER_TERMINATED_PODS));
    out->terminated_pods = MIN(MAX(out->terminated_pods, 0), (int64_t)INT32_MAX);
    out->pod_tokens = str_is(mp_str(mp_get(spec, "podTokens")), CLUSTER_POD_TOKENS);
    struct mp scheduling = mp_get(spec, "scheduling");
    out->scoring = scoring_strategy_parse(mp_str(mp_get(scheduling, "scoringStrategy")));
    out->scoring_shape = mp_str(mp_get(scheduling, "scoringShape"));
    out->scoring_resources = mp_str(mp_get(scheduling, "scoringResources"));
    out->evictions = rates_of(mp_get(spec, "nodeEviction"));
    grace_s = mp_int(mp_get(spec, "nodeMonitorGracePeriodSeconds"), 0);
    out->node_grace_ms = grace_s < CLUSTER_NODE_GRACE_MIN_S || grace_s > CLUSTER_NODE_GRACE_MAX_S ? 0 : grace_s * 1000;
}

const struct cluster_setting *cluster_setting_find(struct str key)
{
    for (const struct cluster_setting *s = cluster_settings; s->key != NULL; s++) {
        if (str_is(key, s->key)) {
            return s;
        }
    }
    return NULL;
}

static int unknown_setting(struct str key, struct error *err)
{
    CLEANUP_BUF struct buf keys = BUF_INIT;
    for (const struct cluster_setting *s = cluster_settings; s->key != NULL; s++) {
        buf_printf(&keys, "%s%s", keys.size == 0 ? "" : ", ", s->key);
    }
    return error_set(err, ERR_USAGE, "unknown setting \"%.*s\"; write KEY=VALUE with one of %s", STR_ARG(key),
                     buf_cstr(&keys));
}

int cluster_setting_apply(struct arena *a, struct value *doc, const char *assignment, struct error *err)
{
    struct str key = {assignment, strcspn(assignment, "=")};
    const struct cluster_setting *s = cluster_setting_find(key);
    if (s == NULL || assignment[key.n] == '\0') {
        return unknown_setting(key, err);
    }
    const char *text = assignment + key.n + 1;
    struct value *at = doc;
    const char *p = s->path;
    for (size_t n; p[n = strcspn(p, ".")] == '.'; p += n + 1) {
        at = value_ensure_map(a, at, arena_strndup(a, p, n));
    }
    int64_t number = 0;
    if (text[0] == '\0' && s->standard == NULL) {
        value_remove(at, p);
        return 0;
    }
    text = text[0] == '\0' ? s->standard : text;
    if (s->number && !str_to_int64(str_of(text), &number)) {
        return error_set_field(err, ERR_INVALID, s->path, "%s: \"%s\" is no number", s->key, text);
    }
    value_set(a, at, p, s->number ? value_int(a, number) : value_cstr(a, text));
    return 0;
}

struct value *cluster_config_new(struct arena *a, const char *cluster)
{
    const struct kind *k = kind_by_id(KIND_CLUSTERCONFIGURATION);
    struct value *doc = value_map(a), *metadata = value_map(a);
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, metadata, "name", value_cstr(a, CLUSTER_CONFIG_NAME));
    value_set(a, doc, "metadata", metadata);
    value_set(a, value_ensure_map(a, doc, "spec"), "clusterName", value_cstr(a, cluster));
    kind_fill_defaults(k, a, doc);
    return doc;
}
