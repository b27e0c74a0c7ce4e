#include "agent/network/cni.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "proto/facts/cidr.h"
#include "proto/text/text.h"

#define CNI_VERSION    "1.0.0"
#define CNI_OUTPUT_MAX (256u << 10)

static void set_str(struct arena *a, struct value *map, const char *key, const char *s)
{
    value_set(a, map, key, value_cstr(a, s));
}

static struct value *config_base(struct arena *a, const char *type)
{
    struct value *v = value_map(a);
    set_str(a, v, "cniVersion", CNI_VERSION);
    set_str(a, v, "name", NETWORK_NAME);
    set_str(a, v, "type", type);
    return v;
}

static void add_route(struct arena *a, struct value *routes, const char *to)
{
    struct value *route = value_map(a);
    set_str(a, route, "dst", to);
    value_append(a, routes, route);
}

/* By way of the node, also to pods on the same bridge: what a Service has led to a neighbour is answered through the
 * rules that have led it there. The halves of the range are narrower than the range, which is on the link. */
static void add_routes(struct arena *a, struct value *routes, const char *pod_cidr)
{
    struct cidr range;
    char text[CIDR_TEXT_SIZE];
    add_route(a, routes, "0.0.0.0/0");
    if (!cidr_parse(str_of(pod_cidr), &range) || range.bits > 30) {
        return;
    }
    for (unsigned half = 0; half < 2; half++) {
        uint32_t first = range.first + half * (uint32_t)(cidr_size(range) / 2);
        cidr_text((struct cidr){first, range.bits + 1}, text);
        add_route(a, routes, text);
    }
}

static struct value *bridge_config(const struct network_cni *n, struct arena *a)
{
    struct value *v = config_base(a, "bridge"), *ipam = value_map(a), *outer = value_list(a), *inner = value_list(a),
                 *range = value_map(a), *routes = value_list(a);
    CLEANUP_FREE char *leases = xasprintf("%s/leases", n->dir);
    set_str(a, v, "bridge", n->bridge);
    value_set(a, v, "isGateway", value_bool(a, true));
    /* A pod must reach itself through a service. */
    value_set(a, v, "hairpinMode", value_bool(a, true));
    /* Not the plugin's masquerade: it would hide pods from each other across nodes. See network/rules.c. */
    value_set(a, v, "ipMasq", value_bool(a, false));
    if (n->mtu > 0) {
        value_set(a, v, "mtu", value_int(a, n->mtu));
    }
    set_str(a, ipam, "type", "host-local");
    set_str(a, ipam, "dataDir", leases);
    set_str(a, range, "subnet", n->pod_cidr);
    value_append(a, inner, range);
    value_append(a, outer, inner);
    value_set(a, ipam, "ranges", outer);
    add_routes(a, routes, n->pod_cidr);
    value_set(a, ipam, "routes", routes);
    value_set(a, v, "ipam", ipam);
    return v;
}

/* What the plugin says went wrong is JSON on stdout: {"code": 7, "msg": ..., "details": ...}. */
int network_cni_error(const struct process_result *r, const char *plugin, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL;
    arena_init(&a);
    int rc = process_result_error(r, plugin, err);
    if (rc != 0 && r->out.n > 0 && json_read(&a, r->out, &doc, NULL) == 0) {
        struct str msg = value_to_str(value_get(doc, "msg")), details = value_to_str(value_get(doc, "details"));
        if (msg.n > 0) {
            rc = error_set(err, ERR_SYSTEM, "network plugin %s: %.*s%s%.*s", plugin, STR_ARG(msg),
                           details.n > 0 ? ": " : "", STR_ARG(details));
        }
    }
    return rc;
}

int network_cni_address(struct str answer, char ip[64], struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc;
    arena_init(&a);
    int rc = json_read(&a, answer, &doc, err);
    if (rc != 0) {
        return error_wrap(err, "the network plugin's answer");
    }
    const struct value *ips = value_get(doc, "ips");
    struct str address = value_count(ips) == 0 ? STR_NONE : value_to_str(value_get(value_item(ips, 0), "address"));
    const char *slash = address.n == 0 ? NULL : memchr(address.p, '/', address.n);
    size_t len = slash != NULL ? (size_t)(slash - address.p) : address.n;
    struct in_addr v4;
    if (len == 0 || len >= 64) {
        return error_set(err, ERR_SYSTEM, "the network plugin gave no address");
    }
    memcpy(ip, address.p, len);
    ip[len] = '\0';
    if (inet_pton(AF_INET, ip, &v4) != 1) {
        return error_set(err, ERR_SYSTEM, "the network plugin gave \"%s\", which is no address", ip);
    }
    return 0;
}

void network_cni_run(uv_loop_t *loop, const struct network_cni *n, const char *command, const struct network_pod *pod,
                     process_exit_cb *cb, void *data)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf input = BUF_INIT;
    arena_init(&a);
    json_write(&input, bridge_config(n, &a), 0);
    const char *path = getenv("PATH");
    const char *wish = pod->wish == NULL || pod->wish[0] == '\0' ? "" : arena_printf(&a, ";IP=%s", pod->wish);
    const char *argv[] = {arena_printf(&a, "%s/bridge", n->plugin_dir), NULL};
    const char *env[] = {
        arena_printf(&a, "CNI_COMMAND=%s", command),
        arena_printf(&a, "CNI_CONTAINERID=%s", pod->uid),
        arena_printf(&a, "CNI_NETNS=%s", pod->netns),
        "CNI_IFNAME=eth0",
        arena_printf(&a, "CNI_PATH=%s", n->plugin_dir),
        arena_printf(&a, "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s%s", pod->ns, pod->name, wish),
        arena_printf(&a, "PATH=%s", path != NULL ? path : "/usr/sbin:/usr/bin:/sbin:/bin"),
        NULL};
    struct process_spec ps = {.argv = argv,
                              .env = env,
                              .input = buf_str(&input),
                              .timeout_ms = NETWORK_PLUGIN_MS,
                              .output_max = CNI_OUTPUT_MAX};
    process_run(loop, &ps, cb, data);
}
