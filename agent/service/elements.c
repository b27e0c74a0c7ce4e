#include "agent/service/elements.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Registers of nf_tables have four bytes: what is shorter stands at their beginning. Addresses and ports are in the
 * network's byte order; a place is a number that the kernel draws, in the machine's. */

unsigned service_places(unsigned endpoints)
{
    static const unsigned large[] = SERVICE_PLACES_LARGE;
    for (unsigned i = 0; endpoints > SERVICE_PLACES_EXACT && i < ARRAY_SIZE(large); i++) {
        if (large[i] >= endpoints * 8) {
            return large[i];
        }
    }
    return endpoints;
}

static unsigned affinity_step(uint32_t seconds)
{
    static const uint32_t steps[] = SERVICE_AFFINITY_STEPS;
    static_assert(ARRAY_SIZE(steps) == SERVICE_AFFINITY_STEPS_COUNT, "the steps of affinity");
    unsigned i = 0;
    while (seconds > 0 && i < ARRAY_SIZE(steps) - 1 && steps[i] < seconds) {
        i++;
    }
    return seconds == 0 ? 0 : i + 1;
}

void elements_close(struct elements *l)
{
    free(l->list);
    *l = (struct elements){0};
}

static struct element *add(struct elements *l, enum service_set set)
{
    if (l->count == l->cap) {
        l->cap = MAX(64u, l->cap * 2);
        l->list = xrealloc(l->list, l->cap * sizeof *l->list);
    }
    struct element *e = &l->list[l->count++];
    memset(e, 0, sizeof *e);
    e->set = set;
    return e;
}

static void put_ip(uint8_t *at, uint32_t ip)
{
    ip = htonl(ip);
    memcpy(at, &ip, sizeof ip);
}

static void put_port(uint8_t *at, uint16_t port)
{
    port = htons(port);
    memcpy(at, &port, sizeof port);
}

static void put_id(uint8_t *at, uint32_t id)
{
    memcpy(at, &id, sizeof id);
}

/* protocol: the register's other bytes are 0. It stands where table.c finds it. */
void element_port_key(uint8_t key[SERVICE_KEY_BYTES], uint32_t ip, uint8_t protocol, uint16_t port)
{
    memset(key, 0, SERVICE_KEY_BYTES);
    put_ip(key, ip);
    key[4] = protocol;
    put_port(key + 8, port);
}

struct group {
    struct service_endpoint *list;
    unsigned count;
    uint32_t id;
};

static void add_group(struct elements *l, const struct group *g, bool affinity)
{
    unsigned places = service_places(g->count);
    for (uint32_t i = 0; i < places; i++) {
        const struct service_endpoint *to = &g->list[i % g->count];
        struct element *e = add(l, SERVICE_SET_ENDPOINTS);
        put_id(e->key, g->id);
        memcpy(e->key + 4, &i, sizeof i);
        put_ip(e->data, to->ip);
        put_port(e->data + 4, to->port);
    }
    for (unsigned i = 0; affinity && i < g->count; i++) {
        struct element *e = add(l, SERVICE_SET_MEMBERS);
        put_id(e->key, g->id);
        put_ip(e->key + 4, g->list[i].ip);
        put_port(e->key + 8, g->list[i].port);
    }
    for (unsigned i = 0; i < g->count; i++) {
        if (g->list[i].local) {
            struct element *e = add(l, SERVICE_SET_HAIRPIN);
            put_ip(e->key, g->list[i].ip);
            put_ip(e->key + 4, g->list[i].ip);
        }
    }
}

/* "A service with endpoints elsewhere but none local: drop, not reject." */
static void put_choice(uint8_t *at, const struct group *g, const struct group *all, unsigned step, uint8_t flags)
{
    uint8_t otherwise = g->count > 0 ? 0 : all->count > 0 ? SERVICE_DROP : SERVICE_REFUSE;
    put_id(at, g->id);
    at[4] = (uint8_t)(flags | otherwise);
    at[5] = (uint8_t)step;
    put_port(at + 6, (uint16_t)service_places(g->count));
}

struct choice {
    const struct group *all, *inside, *outside;
    uint8_t inside_flags, outside_flags;
};

static void add_port(struct elements *l, const struct service_port *p, uint32_t ip, uint16_t port,
                     const struct choice *c)
{
    if (ip == 0 || port == 0) {
        return;
    }
    unsigned step = affinity_step(p->affinity_s);
    struct element *e = add(l, SERVICE_SET_PORTS);
    element_port_key(e->key, ip, p->protocol, port);
    put_choice(e->data, c->inside, c->all, step, c->inside_flags);
    put_choice(e->data + 8, c->outside, c->all, step, c->outside_flags);
}

/* Ranges nest or are disjoint; the kernel takes no two that overlap. */
static bool is_covered(const struct service_port *p, unsigned which)
{
    const struct cidr *r = &p->sources[which];
    for (unsigned i = 0; i < p->sources_count; i++) {
        const struct cidr *o = &p->sources[i];
        if (i != which && cidr_overlap(*o, *r) && (o->bits < r->bits || (o->bits == r->bits && i < which))) {
            return true;
        }
    }
    return false;
}

static void add_sources(struct elements *l, const struct service_port *p, uint32_t id)
{
    for (unsigned i = 0; p->balancers_count > 0 && i < p->sources_count; i++) {
        if (!is_covered(p, i)) {
            struct element *e = add(l, SERVICE_SET_SOURCES);
            put_id(e->key, id);
            put_ip(e->key + 4, p->sources[i].first);
            put_ip(e->key + 8, (uint32_t)(cidr_end(p->sources[i]) - 1));
        }
    }
}

/* From outside: what is not local must come back this way, so it gets the node's address; the client's is kept where
 * only local endpoints count. "Pods and the node itself still reach all endpoints." */
static void add_ports(struct elements *l, const struct service_port *p, const struct group *all,
                      const struct group *here, const uint32_t *addresses, unsigned addresses_count)
{
    const struct group *inside = p->internal_local ? here : all;
    struct choice cluster = {all, inside, inside, 0, 0};
    struct choice external = {all, all, all, SERVICE_MASK, SERVICE_MASK};
    if (p->external_local) {
        external.outside = here;
        external.outside_flags = 0;
    }
    for (unsigned i = 0; i < MIN(p->external_ips_count, SERVICE_ADDRESSES_MAX); i++) {
        add_port(l, p, p->external_ips[i], p->port, &external);
    }
    for (unsigned i = 0; i < addresses_count; i++) {
        add_port(l, p, addresses[i], p->node_port, &external);
    }
    struct choice balanced = external;
    if (p->sources_count > 0) {
        balanced.inside_flags |= SERVICE_LIMIT;
        balanced.outside_flags |= SERVICE_LIMIT;
    }
    for (unsigned i = 0; i < MIN(p->balancers_count, SERVICE_ADDRESSES_MAX); i++) {
        add_port(l, p, p->balancers[i], p->port, &balanced);
    }
    add_port(l, p, p->cluster_ip, p->port, &cluster);
}

void elements_of(struct elements *l, const struct service_port *p, uint32_t id, const uint32_t *addresses,
                 unsigned addresses_count)
{
    assert((id & 1) == 0);
    l->count = 0;
    if (p->cluster_ip == 0) {
        return;
    }
    unsigned room = MIN(p->endpoints_count, SERVICE_ENDPOINTS_MAX) + 1;
    bool uses_local = p->internal_local || p->external_local;
    struct group all = {xcalloc(room, sizeof *all.list), 0, id}, here = {xcalloc(room, sizeof *here.list), 0, id | 1};
    all.count = service_choose(p, false, all.list);
    here.count = uses_local ? service_choose(p, true, here.list) : 0;
    add_group(l, &all, p->affinity_s > 0);
    add_group(l, &here, p->affinity_s > 0);
    struct element *e = add(l, SERVICE_SET_ADDRESSES);
    put_ip(e->key, p->cluster_ip);
    add_sources(l, p, id);
    add_ports(l, p, &all, &here, addresses, addresses_count);
    free(all.list);
    free(here.list);
}
