#include "agent/service/port.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const struct service_endpoint *x = a, *y = b;
    return x->ip != y->ip ? (x->ip > y->ip) - (x->ip < y->ip) : (x->port > y->port) - (x->port < y->port);
}

static unsigned gather(const struct service_port *p, bool local_only, bool draining, struct service_endpoint *out)
{
    unsigned n = 0, kept = 0;
    for (unsigned i = 0; i < p->endpoints_count && n < SERVICE_ENDPOINTS_MAX; i++) {
        const struct service_endpoint *e = &p->endpoints[i];
        bool fits = draining ? e->serving && e->terminating : e->ready;
        if (fits && (!local_only || e->local) && e->ip != 0 && e->port != 0) {
            out[n++] = *e;
        }
    }
    qsort(out, n, sizeof *out, compare);
    for (unsigned i = 0; i < n; i++) {
        if (kept == 0 || compare(&out[kept - 1], &out[i]) != 0) {
            out[kept++] = out[i];
        }
    }
    return kept;
}

unsigned service_choose(const struct service_port *p, bool local_only, struct service_endpoint *out)
{
    unsigned n = gather(p, local_only, false, out);
    return n > 0 ? n : gather(p, local_only, true, out);
}

static bool same_endpoints(const struct service_port *a, const struct service_port *b)
{
    if (a->endpoints_count != b->endpoints_count) {
        return false;
    }
    for (unsigned i = 0; i < a->endpoints_count; i++) {
        const struct service_endpoint *x = &a->endpoints[i], *y = &b->endpoints[i];
        if (x->ip != y->ip || x->port != y->port || x->ready != y->ready || x->serving != y->serving ||
            x->terminating != y->terminating || x->local != y->local) {
            return false;
        }
    }
    return true;
}

static bool same_addresses(const uint32_t *a, unsigned a_count, const uint32_t *b, unsigned b_count)
{
    return a_count == b_count && (a_count == 0 || memcmp(a, b, a_count * sizeof *a) == 0);
}

static bool same_sources(const struct service_port *a, const struct service_port *b)
{
    bool same = a->sources_count == b->sources_count;
    for (unsigned i = 0; same && i < a->sources_count; i++) {
        same = a->sources[i].first == b->sources[i].first && a->sources[i].bits == b->sources[i].bits;
    }
    return same;
}

bool service_port_equal(const struct service_port *a, const struct service_port *b)
{
    return a != NULL && b != NULL && strcmp(a->key, b->key) == 0 && a->protocol == b->protocol &&
           a->cluster_ip == b->cluster_ip && a->port == b->port && a->node_port == b->node_port &&
           a->affinity_s == b->affinity_s && a->internal_local == b->internal_local &&
           a->external_local == b->external_local &&
           same_addresses(a->external_ips, a->external_ips_count, b->external_ips, b->external_ips_count) &&
           same_addresses(a->balancers, a->balancers_count, b->balancers, b->balancers_count) && same_sources(a, b) &&
           same_endpoints(a, b);
}

/* Appends n bytes at *at; what comes next is aligned again. */
static const void *place(uint8_t **at, const void *from, size_t n)
{
    void *to = *at;
    if (n > 0) {
        memcpy(to, from, n);
    }
    *at += (n + 7) & ~(size_t)7;
    return to;
}

struct service_port *service_port_copy(const struct service_port *p)
{
    size_t key = strlen(p->key) + 1, external = p->external_ips_count * sizeof *p->external_ips,
           balancers = p->balancers_count * sizeof *p->balancers, sources = p->sources_count * sizeof *p->sources,
           endpoints = p->endpoints_count * sizeof *p->endpoints;
    uint8_t *block = xmalloc(sizeof *p + key + external + balancers + sources + endpoints + 6 * 8), *at = block;
    struct service_port *c = (void *)block;
    place(&at, p, sizeof *p);
    c->endpoints = place(&at, p->endpoints, endpoints);
    c->external_ips = place(&at, p->external_ips, external);
    c->balancers = place(&at, p->balancers, balancers);
    c->sources = place(&at, p->sources, sources);
    c->key = place(&at, p->key, key);
    return c;
}
