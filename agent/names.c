#include "agent/names.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "agent/agent_int.h"
#include "agent/dataplane.h"
#include "agent/dns/server.h"
#include "agent/network/local.h"
#include "agent/pod/pods.h"
#include "agent/pod/podspec.h"
#include "agent/util/fsutil.h"
#include "agent/util/resolvconf.h"
#include "proto/facts/cluster.h"

struct names {
    struct agent *agent;
    struct dns_server *server;
    struct cidr services, pods;
    char domain[256], address[INET_ADDRSTRLEN];
    uint32_t serves_at; /* 0: it does not */
    char *upstream;     /* text of the resolv.conf that the servers are from */
    struct podspec_dns for_pods;
};

/* ---- Name servers of the node ---- */

static bool server_of(struct str text, uint32_t own, struct sockaddr_storage *out)
{
    char copy[INET6_ADDRSTRLEN];
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(DNS_PORT)};
    memset(out, 0, sizeof *out);
    if (text.n == 0 || text.n >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (inet_pton(AF_INET, copy, &v4.sin_addr) == 1) {
        memcpy(out, &v4, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) != own;
    }
    memcpy(out, &v6, sizeof v6);
    bool ok = inet_pton(AF_INET6, copy, &v6.sin6_addr) == 1;
    memcpy(out, &v6, sizeof v6);
    return ok;
}

/* systemd-resolved's stub asks the servers that its own file names: they are asked at once. */
static bool read_upstream(struct buf *text)
{
    struct resolvconf r;
    resolvconf_init(&r);
    if (fs_read_file("/etc/resolv.conf", RESOLVCONF_BYTES_MAX, text, NULL) != 0) {
        return false;
    }
    resolvconf_read(&r, buf_str(text));
    if (resolvconf_is_stub(&r)) {
        CLEANUP_BUF struct buf real = BUF_INIT;
        if (fs_read_file(RESOLVCONF_REAL, RESOLVCONF_BYTES_MAX, &real, NULL) == 0) {
            buf_reset(text);
            buf_append(text, real.data, real.size);
        }
    }
    return true;
}

static void look_upstream(struct names *n)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct sockaddr_storage servers[RESOLVCONF_SERVERS_MAX];
    struct resolvconf r;
    unsigned count = 0;
    if (!read_upstream(&text) || (n->upstream != NULL && str_is(buf_str(&text), n->upstream))) {
        return; /* one that is being replaced is there again the next time */
    }
    free(n->upstream);
    n->upstream = xstrndup((const char *)text.data, text.size);
    resolvconf_init(&r);
    resolvconf_read(&r, buf_str(&text));
    for (unsigned i = 0; i < r.servers.count; i++) {
        count += server_of(r.servers.list[i], n->serves_at, &servers[count]);
    }
    if (count == 0) {
        log_info(n->agent->log, "dns",
                 "resolv.conf of this node names no servers: pods find names of the cluster only");
    }
    dns_forward_set_servers(dns_server_forward(n->server), servers, count);
}

/* ---- Serving ---- */

static void serve(struct names *n)
{
    struct error err = {0};
    uint32_t ip = cluster_names_address(n->services);
    struct in_addr at = {htonl(ip)};
    if (ip == n->serves_at) {
        return;
    }
    if (ip == 0) {
        log_warn(n->agent->log, "dns", "the range of services is too small for an address of a name server");
        return;
    }
    if (network_set_local(ip, &err) != 0 || dns_server_listen(n->server, ip, DNS_PORT, &err) != 0) {
        log_warn(n->agent->log, "dns", "this node answers no names of the cluster: %s", err.message);
        return;
    }
    n->serves_at = ip;
    inet_ntop(AF_INET, &at, n->address, sizeof n->address);
    n->for_pods = (struct podspec_dns){n->address, n->domain};
    network_set_names(n->agent->network, n->address);
}

/* The node's own pods are known. Those of other nodes are told to nobody but their nodes: a cluster's pods are too many
 * for each node to hold them all for a name that hardly anybody asks for. */
static enum zone_pod pod_of(uint32_t ip, struct str ns, void *data)
{
    const struct agent *a = data;
    const struct strmap_entry *e;
    struct cidr own;
    uint32_t at;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        const struct agent_pod *ap = e->value;
        if (!ap->gone && str_is(ns, ap->ns) && cidr_parse_address(str_of(ap->pod->ip), &at) && at == ip) {
            return ZONE_POD_THERE;
        }
    }
    bool here = cidr_parse(str_of(network_pod_cidr(a->network)), &own) && cidr_contains(own, ip);
    bool told = a->neighbours.by_name.count > 0;
    return here || (told && !neighbours_may_have(&a->neighbours, ip)) ? ZONE_POD_NONE : ZONE_POD_MAYBE;
}

void names_set_node(struct agent *a)
{
    struct in_addr ip;
    if (a->names != NULL && inet_pton(AF_INET, a->node_ip, &ip) == 1) {
        dns_server_set_node(a->names->server, ntohl(ip.s_addr));
    }
}

void names_open(struct agent *a)
{
    const struct known *known = dataplane_known(a);
    if (a->hollow || known == NULL) {
        return;
    }
    struct names *n = xcalloc(1, sizeof *n);
    n->agent = a;
    n->server = dns_server_new(a->loop, a->env, a->log, known);
    dns_server_set_pods(n->server, pod_of, a);
    a->names = n;
    names_set_node(a);
    names_set(a, STR(CLUSTER_DNS_DOMAIN), STR(CLUSTER_SERVICE_SUBNET), STR(CLUSTER_POD_SUBNET));
    look_upstream(n);
}

void names_set(struct agent *a, struct str domain, struct str services, struct str pods)
{
    struct names *n = a->names;
    struct cidr range;
    if (n == NULL) {
        return;
    }
    if (domain.n > 0 && domain.n < sizeof n->domain) {
        memcpy(n->domain, domain.p, domain.n);
        n->domain[domain.n] = '\0';
    }
    n->services = cidr_parse(services, &range) ? range : n->services;
    n->pods = cidr_parse(pods, &range) ? range : n->pods;
    dns_server_set_zone(n->server, str_of(n->domain), n->services, n->pods);
    serve(n);
}

const struct podspec_dns *names_of_cluster(const struct agent *a)
{
    return a->names == NULL || a->names->serves_at == 0 ? NULL : &a->names->for_pods;
}

void names_check(struct agent *a)
{
    if (a->names != NULL) {
        serve(a->names);
        look_upstream(a->names);
    }
}

bool names_close(struct agent *a, void (*cb)(void *data), void *data)
{
    struct names *n = TAKE_PTR(a->names);
    if (n == NULL) {
        return false;
    }
    dns_server_close(n->server, cb, data);
    free(n->upstream);
    free(n);
    return true;
}
