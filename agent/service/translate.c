#include "agent/service/known.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#define AFFINITY_S_DEFAULT 10800

uint32_t known_ip(struct str text)
{
    char copy[INET_ADDRSTRLEN];
    struct in_addr a;
    if (text.n == 0 || text.n >= sizeof copy) {
        return 0;
    }
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return inet_pton(AF_INET, copy, &a) == 1 ? ntohl(a.s_addr) : 0;
}

static uint8_t protocol_of(struct str text)
{
    return str_is(text, "UDP") ? IPPROTO_UDP : str_is(text, "SCTP") ? IPPROTO_SCTP : IPPROTO_TCP;
}

static uint16_t port_of(struct mp m)
{
    int64_t port = mp_int(m, 0);
    return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* What all ports of a Service have in common. */
struct common {
    uint32_t external_ips[SERVICE_ADDRESSES_MAX], balancers[SERVICE_ADDRESSES_MAX];
    struct cidr sources[SERVICE_ADDRESSES_MAX];
    struct service_port port;
    bool has_node_ports;
};

static void read_addresses(struct common *c, struct mp spec, struct mp status)
{
    struct service_port *p = &c->port;
    for (struct mp_iter it = mp_iter(mp_get(spec, "externalIPs")); mp_next(&it);) {
        uint32_t ip = known_ip(mp_str(it.value));
        if (ip != 0 && p->external_ips_count < SERVICE_ADDRESSES_MAX) {
            c->external_ips[p->external_ips_count++] = ip;
        }
    }
    /* Through a proxy it arrives at a node port. */
    for (struct mp_iter it = mp_iter(mp_path(status, "loadBalancer.ingress")); mp_next(&it);) {
        uint32_t ip =
            str_is(mp_str(mp_get(it.value, "ipMode")), "Proxy") ? 0 : known_ip(mp_str(mp_get(it.value, "ip")));
        if (ip != 0 && p->balancers_count < SERVICE_ADDRESSES_MAX) {
            c->balancers[p->balancers_count++] = ip;
        }
    }
    for (struct mp_iter it = mp_iter(mp_get(spec, "loadBalancerSourceRanges")); mp_next(&it);) {
        struct cidr range;
        if (p->sources_count == SERVICE_ADDRESSES_MAX) {
            break;
        }
        /* A range that cannot be read lets nobody in; it does not open the address. */
        c->sources[p->sources_count++] =
            cidr_parse(mp_str(it.value), &range) ? range : (struct cidr){.first = 0, .bits = 32};
    }
    p->external_ips = c->external_ips;
    p->balancers = c->balancers;
    p->sources = c->sources;
}

/* False if connections to it are not led anywhere: headless, or a name for something elsewhere. */
static bool read_common(struct common *c, const struct object *service)
{
    struct mp all = object_mp(service), spec = mp_get(all, "spec"), status = mp_get(all, "status");
    struct str type = mp_str(mp_get(spec, "type"));
    *c = (struct common){0};
    c->port.cluster_ip = known_ip(mp_str(mp_get(spec, "clusterIP")));
    if (c->port.cluster_ip == 0 || str_is(type, "ExternalName")) {
        return false;
    }
    c->has_node_ports = str_is(type, "NodePort") || str_is(type, "LoadBalancer");
    if (str_is(mp_str(mp_get(spec, "sessionAffinity")), "ClientIP")) {
        int64_t s = mp_int(mp_path(spec, "sessionAffinityConfig.clientIP.timeoutSeconds"), AFFINITY_S_DEFAULT);
        c->port.affinity_s = s > 0 && s <= SERVICE_AFFINITY_MAX_S ? (uint32_t)s : AFFINITY_S_DEFAULT;
    }
    c->port.internal_local = str_is(mp_str(mp_get(spec, "internalTrafficPolicy")), "Local");
    c->port.external_local = str_is(mp_str(mp_get(spec, "externalTrafficPolicy")), "Local");
    read_addresses(c, spec, status);
    return true;
}

struct places {
    struct service_endpoint *list;
    enum hint { HINT_NONE, HINT_ELSEWHERE, HINT_HERE } * hints; /* of each: which zones it is for */
    unsigned count, cap;
};

static enum hint read_hint(struct mp m, struct str zone)
{
    enum hint hint = HINT_NONE;
    for (struct mp_iter it = mp_iter(mp_path(m, "hints.forZones")); mp_next(&it);) {
        hint = str_eq(mp_str(mp_get(it.value, "name")), zone) ? HINT_HERE : MAX(hint, HINT_ELSEWHERE);
        if (hint == HINT_HERE) {
            break;
        }
    }
    return hint;
}

/* A pod that is to end here leaves before masters tell so: they hear of it from others, and later. */
static struct service_endpoint read_place(struct mp m, uint16_t port, const struct known_here *here)
{
    struct mp conditions = mp_get(m, "conditions");
    struct mp_iter addresses = mp_iter(mp_get(m, "addresses"));
    bool ready = mp_bool(mp_get(conditions, "ready"), true);
    struct service_endpoint e = {.ip = mp_next(&addresses) ? known_ip(mp_str(addresses.value)) : 0, .port = port};
    e.ready = ready; /* unset: it is; what else is unset follows from it */
    e.serving = mp_bool(mp_get(conditions, "serving"), ready);
    e.terminating = mp_bool(mp_get(conditions, "terminating"), false);
    e.local = str_is(mp_str(mp_get(m, "nodeName")), here->node);
    if (e.local && here->leaving->count > 0 && strmap_get(here->leaving, mp_str(mp_path(m, "targetRef.uid"))) != NULL) {
        e.terminating = true;
        e.ready = false;
    }
    return e;
}

static void add_places(struct places *out, struct mp endpoints, uint16_t port, const struct known_here *here)
{
    for (struct mp_iter it = mp_iter(endpoints); mp_next(&it);) {
        struct service_endpoint e = read_place(it.value, port, here);
        if (e.ip == 0 || out->count == SERVICE_ENDPOINTS_MAX) {
            continue;
        }
        if (out->count == out->cap) {
            out->cap = MAX(16u, out->cap * 2);
            out->list = xrealloc(out->list, out->cap * sizeof e);
            out->hints = xrealloc(out->hints, out->cap * sizeof *out->hints);
        }
        out->hints[out->count] = here->zone.n > 0 ? read_hint(it.value, here->zone) : HINT_NONE;
        out->list[out->count++] = e;
    }
}

/* What is ready and for other zones is left out, if all that is ready says which zones it is for, and some of it is for
 * this one. */
static void keep_close(struct places *l)
{
    unsigned close = 0, kept = 0;
    for (unsigned i = 0; i < l->count; i++) {
        if (l->list[i].ready && l->hints[i] == HINT_NONE) {
            return;
        }
        close += l->list[i].ready && l->hints[i] == HINT_HERE;
    }
    for (unsigned i = 0; close > 0 && i < l->count; i++) {
        if (!l->list[i].ready || l->list[i].local || l->hints[i] == HINT_HERE) {
            l->list[kept++] = l->list[i];
        }
    }
    l->count = close > 0 ? kept : l->count;
}

/* The port of this name and protocol is another number from slice to slice if the pods name it. */
static void gather(struct places *out, const struct object *const *slices, unsigned count, struct str name,
                   uint8_t protocol, const struct known_here *here)
{
    out->count = 0;
    for (unsigned i = 0; i < count; i++) {
        struct mp slice = object_mp(slices[i]);
        if (!str_is(mp_str(mp_get(slice, "addressType")), "IPv4")) {
            continue;
        }
        for (struct mp_iter it = mp_iter(mp_get(slice, "ports")); mp_next(&it);) {
            uint16_t port = port_of(mp_get(it.value, "port"));
            if (port != 0 && str_eq(mp_str(mp_get(it.value, "name")), name) &&
                protocol_of(mp_str(mp_get(it.value, "protocol"))) == protocol) {
                add_places(out, mp_get(slice, "endpoints"), port, here);
            }
        }
    }
}

void known_translate(const struct object *service, const struct object *const *slices, unsigned count,
                     const struct known_here *here, void (*put)(const struct service_port *p, void *data), void *data)
{
    struct common c;
    struct places places = {0};
    if (!read_common(&c, service)) {
        return;
    }
    for (struct mp_iter it = mp_iter(mp_path(object_mp(service), "spec.ports")); mp_next(&it);) {
        struct service_port p = c.port;
        struct str name = mp_str(mp_get(it.value, "name"));
        CLEANUP_FREE char *key =
            xasprintf("%.*s/%.*s:%.*s", STR_ARG(service->ns), STR_ARG(service->name), STR_ARG(name));
        p.key = key;
        p.protocol = protocol_of(mp_str(mp_get(it.value, "protocol")));
        p.port = port_of(mp_get(it.value, "port"));
        p.node_port = c.has_node_ports ? port_of(mp_get(it.value, "nodePort")) : 0;
        gather(&places, slices, count, name, p.protocol, here);
        keep_close(&places);
        p.endpoints = places.list;
        p.endpoints_count = places.count;
        put(&p, data);
    }
    free(places.list);
    free(places.hints);
}

/* ---- Health ---- */

uint16_t known_health_port(const struct object *service)
{
    struct mp spec = mp_get(object_mp(service), "spec");
    bool balanced = str_is(mp_str(mp_get(spec, "type")), "LoadBalancer");
    bool local = str_is(mp_str(mp_get(spec, "externalTrafficPolicy")), "Local");
    return balanced && local ? port_of(mp_get(spec, "healthCheckNodePort")) : 0;
}

static int compare_ips(const void *a, const void *b)
{
    const struct service_endpoint *x = a, *y = b;
    return (x->ip > y->ip) - (x->ip < y->ip);
}

/* A pod is in several slices if its ports differ. */
unsigned known_ready_here(const struct object *const *slices, unsigned count, const struct known_here *here)
{
    struct places all = {0};
    unsigned kept = 0, different = 0;
    for (unsigned i = 0; i < count; i++) {
        if (str_is(mp_str(mp_get(object_mp(slices[i]), "addressType")), "IPv4")) {
            add_places(&all, mp_get(object_mp(slices[i]), "endpoints"), 0, here);
        }
    }
    for (unsigned i = 0; i < all.count; i++) {
        if (all.list[i].local && all.list[i].ready) {
            all.list[kept++] = all.list[i];
        }
    }
    if (kept > 0) {
        qsort(all.list, kept, sizeof *all.list, compare_ips);
    }
    for (unsigned i = 0; i < kept; i++) {
        different += i == 0 || all.list[i].ip != all.list[i - 1].ip;
    }
    free(all.list);
    free(all.hints);
    return different;
}
