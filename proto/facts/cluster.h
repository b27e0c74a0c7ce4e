/* What holds for the whole cluster: the object ClusterConfiguration "cluster" (reeve.io/v1), read and written in one
 * way by masters, rctl and `reeve-master init`.
 *
 * The kind's name and its fields are those of kubeadm's ClusterConfiguration (clusterName, networking) and of the
 * controller manager's flags (node-cidr-mask-size, node-monitor-grace-period), so that people find what they look for.
 * It is an object and no file of a master because all masters must have the same, a backup must hold it, and it can be
 * watched. A cluster that was made before there was the object has none; all is then as the defaults say, which are
 * what was fixed in former programs. Pure. */
#ifndef PROTO_FACTS_CLUSTER_H
#define PROTO_FACTS_CLUSTER_H

#include "proto/facts/cidr.h"
#include "proto/facts/node_loss.h"
#include "proto/facts/pod_security.h"
#include "proto/facts/scoring.h"
#include "proto/schema/object.h"

#define CLUSTER_CONFIG_NAME        "cluster"
#define CLUSTER_POD_SUBNET         "10.244.0.0/16"
#define CLUSTER_NODE_CIDR_MASK     "24"
#define CLUSTER_SERVICE_SUBNET     "10.96.0.0/12"
#define CLUSTER_SERVICE_NODE_PORTS "30000-32767"
#define CLUSTER_DNS_DOMAIN         "cluster.local"
#define CLUSTER_POD_ROUTING        "auto"
#define CLUSTER_VXLAN_ID           "42"
#define CLUSTER_VXLAN_ID_MAX       16777215
#define CLUSTER_VXLAN_PORT         "4789"
#define CLUSTER_SCORING            "LeastAllocated"
#define CLUSTER_SCORING_RESOURCES  "cpu:1,memory:1"
#define CLUSTER_POD_TOKENS         "Automatic"
#define CLUSTER_NODE_GRACE_MIN_S   1
#define CLUSTER_NODE_GRACE_MAX_S   86400
#define CLUSTER_TERMINATED_PODS    "12500"
#define CLUSTER_NODE_CIDR_MASK_MAX 30 /* two addresses beside those of the network and of all */

struct cluster_config {
    struct cidr pods;     /* addresses of all pods */
    unsigned node_mask;   /* bits of the range that a node gets from it; not fewer than those of pods */
    struct cidr services; /* addresses of services */
    unsigned node_port_first, node_port_last;
    struct str dns_domain;  /* borrowed from the object */
    struct str pod_routing; /* "auto", "host-gw", "vxlan"; borrowed */
    unsigned vxlan_id, vxlan_port;
    struct str balancer_pool; /* addresses of LoadBalancers, for cluster_pool_next; borrowed; "" = none */
    int64_t terminated_pods;  /* of finished pods so many may stay; 0 = all */
    bool pod_tokens;          /* podTokens is Automatic */
    enum scoring_strategy scoring;
    struct str scoring_shape, scoring_resources; /* borrowed; for scoring_shape_parse and scoring_weight_next */
    struct eviction_rates evictions;
    int64_t node_grace_ms; /* a node is not ready after so long a silence; 0 = what the master was started with */
};
/* o: the object, or NULL. What is absent or makes no sense is as the default: what is checked on its way in, and what
 * somebody else wrote, may be read alike. */
void cluster_config_read(const struct object *o, struct cluster_config *out);
/* What is asked of pods in namespaces that say nothing; privileged, if the object (or NULL) says nothing either. */
struct pod_security cluster_pod_security(const struct object *o);

/* The address of the cluster's name server, on each node its own: the tenth of the services' range, which no Service
 * gets unless it asks for it. 0: the range has fewer than 16. */
uint32_t cluster_names_address(struct cidr services);

/* The next range of a pool, such as "192.0.2.0/28,198.51.100.7-198.51.100.9,203.0.113.1", both ends included; *rest
 * goes on behind it. False: there are no more, or what follows is no range (rest->n > 0). */
#define CLUSTER_POOL_RANGES_MAX 64u
bool cluster_pool_next(struct str *rest, uint32_t *first, uint32_t *last);

/* ---- Settings, one row each: what rctl cluster show and set, and init --set know ---- */

struct cluster_setting {
    const char *key;      /* "podSubnet" */
    const char *path;     /* "spec.networking.podSubnet" */
    const char *standard; /* as if it had been set to this */
    bool number;
    bool fixed; /* not while nodes hold ranges of pods' addresses */
    const char *doc;
};
extern const struct cluster_setting cluster_settings[];             /* ended by a key of NULL */
const struct cluster_setting *cluster_setting_find(struct str key); /* NULL if none */
/* "KEY=VALUE" into the document; without VALUE the default takes its place. ERR_USAGE says which keys there are. What
 * the value must be is checked by kind_check. */
int cluster_setting_apply(struct arena *a, struct value *doc, const char *assignment, struct error *err);
/* A new document with all defaults and this name of the cluster. */
struct value *cluster_config_new(struct arena *a, const char *cluster);

#endif
