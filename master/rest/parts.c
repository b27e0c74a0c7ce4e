#include "master/rest/parts.h"

#include <string.h>

#include "base/mem.h"

static bool has_status(const struct kind *k)
{
    return k->has_status;
}
static bool has_scale(const struct kind *k)
{
    return k->has_scale;
}
static bool has_ephemeral(const struct kind *k)
{
    return k->has_ephemeral;
}
static bool has_approval(const struct kind *k)
{
    return k->has_approval;
}
static bool is_pod(const struct kind *k)
{
    return k->id == KIND_POD;
}
static bool is_namespace(const struct kind *k)
{
    return k->id == KIND_NAMESPACE;
}

static bool is_account(const struct kind *k)
{
    return k->id == KIND_SERVICEACCOUNT;
}

static bool is_service(const struct kind *k)
{
    return k->id == KIND_SERVICE;
}
static bool is_node(const struct kind *k)
{
    return k->id == KIND_NODE;
}

#define PROXY_METHODS "GET POST PUT PATCH DELETE HEAD OPTIONS"
#define PROXY_VERBS   "create delete get patch update"

const struct rest_part rest_parts[] = {
    {"", NULL, "GET PUT PATCH DELETE", "", NULL, NULL},
    {"status", has_status, "GET PUT PATCH", "get patch update", NULL, NULL},
    {"scale", has_scale, "GET PUT PATCH", "get patch update", "autoscaling/v1", "Scale"},
    {"ephemeralcontainers", has_ephemeral, "GET PUT PATCH", "get patch update", NULL, NULL},
    {"approval", has_approval, "GET PUT PATCH", "get patch update", NULL, NULL},
    {"log", is_pod, "GET", "get", NULL, NULL},
    {"exec", is_pod, "GET POST", "create get", "v1", "PodExecOptions"},
    {"attach", is_pod, "GET POST", "create get", "v1", "PodAttachOptions"},
    {"portforward", is_pod, "GET POST", "create get", "v1", "PodPortForwardOptions"},
    {"proxy", is_pod, PROXY_METHODS, PROXY_VERBS, "v1", "PodProxyOptions"},
    {"proxy", is_service, PROXY_METHODS, PROXY_VERBS, "v1", "ServiceProxyOptions"},
    {"proxy", is_node, PROXY_METHODS, PROXY_VERBS, "v1", "NodeProxyOptions"},
    {"eviction", is_pod, "POST", "create", "policy/v1", "Eviction"},
    {"binding", is_pod, "POST", "create", "v1", "Binding"},
    {"token", is_account, "POST", "create", "authentication.k8s.io/v1", "TokenRequest"},
    {"finalize", is_namespace, "PUT", "update", NULL, NULL},
};
const unsigned rest_parts_count = ARRAY_SIZE(rest_parts);

const struct rest_part *rest_part_of(const struct kind *k, struct str name)
{
    for (unsigned i = 0; i < rest_parts_count; i++) {
        if (str_is(name, rest_parts[i].name) && (rest_parts[i].has == NULL || rest_parts[i].has(k))) {
            return &rest_parts[i];
        }
    }
    return NULL;
}
