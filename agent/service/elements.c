#include "agent/service/elements.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

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

static void put_number(uint8_t *at, uint32_t number)
{
    memcpy(at, &number, sizeof number);
}

void element_front(uint8_t key[SERVICE_KEY_BYTES], uint32_t ip, uint8_t protocol, uint16_t port)
{
    memset(key, 0, SERVICE_KEY_BYTES);
    put_ip(key, ip);
    key[ELEMENT_PROTOCOL_AT] = protocol;
    put_port(key + 8, port);
}

/* Made of address and port, so that a restarted agent gives the same. Two that are alike in one service lead to the
 * first of them. */
static uint32_t member_number(const struct service_endpoint *e)
{
    uint64_t both = (uint64_t)e->ip << 16 | e->port;
    return SERVICE_MEMBER | (uint32_t)XXH3_64bits(&both, sizeof both);
}

struct group {
    struct service_endpoint *list;
    unsigned count;
};

/* What fronts of one port have in common. */
struct work {
    struct elements *out;
    const struct service_port *port;
    struct group all, here;
};

static void add_endpoint(struct elements *l, const uint8_t *front, uint32_t place, const struct service_endpoint *to)
{
    struct element *e = add(l, SERVICE_SET_ENDPOINTS);
    memcpy(e->key, front, SERVICE_FRONT_BYTES);
    put_number(e->key + SERVICE_FRONT_BYTES, place);
    put_ip(e->data, to->ip);
    put_port(e->data + 4, to->port);
}

static void add_group(struct work *w, const uint8_t *front, const struct group *g, uint32_t first_place)
{
    unsigned places = service_places(g->count);
    for (uint32_t i = 0; i < places; i++) {
        add_endpoint(w->out, front, first_place + i, &g->list[i % g->count]);
    }
    for (unsigned i = 0; w->port->affinity_s > 0 && i < g->count; i++) {
        add_endpoint(w->out, front, member_number(&g->list[i]), &g->list[i]);
    }
}

/* "A service with endpoints elsewhere but none local: drop, not reject." */
static uint32_t info_of(const struct work *w, const struct group *g, uint32_t flags)
{
    uint32_t otherwise = g->count > 0 ? 0 : w->all.count > 0 ? SERVICE_DROP : SERVICE_REFUSE;
    return service_places(g->count) | (g == &w->here ? SERVICE_LOCAL : 0) | otherwise | flags |
           affinity_step(w->port->affinity_s) << SERVICE_STEP_SHIFT;
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

static void add_sources(struct work *w, const uint8_t *front)
{
    const struct service_port *p = w->port;
    for (unsigned i = 0; i < p->sources_count; i++) {
        if (!is_covered(p, i)) {
            struct element *e = add(w->out, SERVICE_SET_SOURCES);
            memcpy(e->key, front, SERVICE_FRONT_BYTES);
            put_ip(e->key + 12, p->sources[i].first);
            put_ip(e->key + 16, (uint32_t)(cidr_end(p->sources[i]) - 1));
        }
    }
}

struct treatment {
    const struct group *inside, *outside;
    uint32_t inside_flags, outside_flags;
};

static void add_front(struct work *w, uint32_t ip, uint16_t port, const struct treatment *t)
{
    uint8_t front[SERVICE_KEY_BYTES];
    if (ip == 0 || port == 0) {
        return;
    }
    element_front(front, ip, w->port->protocol, port);
    if (t->inside == &w->all || t->outside == &w->all) {
        add_group(w, front, &w->all, 0);
    }
    if (t->inside == &w->here || t->outside == &w->here) {
        add_group(w, front, &w->here, SERVICE_LOCAL_PLACE);
    }
    if ((t->inside_flags & SERVICE_LIMIT) != 0) {
        add_sources(w, front);
    }
    uint32_t inside = info_of(w, t->inside, t->inside_flags), outside = info_of(w, t->outside, t->outside_flags);
    for (unsigned i = 0; i < (inside == outside ? 1 : 2); i++) {
        struct element *e = add(w->out, i == 0 ? SERVICE_SET_PORTS : SERVICE_SET_OUTSIDE);
        memcpy(e->key, front, SERVICE_KEY_BYTES);
        put_number(e->data, i == 0 ? inside : outside);
    }
}

/* From outside: what is not local must come back this way, so it gets the node's address; the client's is kept where
 * only local endpoints count. "Pods and the node itself still reach all endpoints." */
static void add_fronts(struct work *w, const uint32_t *addresses, unsigned addresses_count)
{
    const struct service_port *p = w->port;
    const struct group *near = p->internal_local ? &w->here : &w->all;
    struct treatment cluster = {near, near, 0, 0}, external = {&w->all, &w->all, SERVICE_MASK, SERVICE_MASK};
    if (p->external_local) {
        external.outside = &w->here;
        external.outside_flags = 0;
    }
    for (unsigned i = 0; i < MIN(p->external_ips_count, SERVICE_ADDRESSES_MAX); i++) {
        add_front(w, p->external_ips[i], p->port, &external);
    }
    for (unsigned i = 0; i < addresses_count; i++) {
        add_front(w, addresses[i], p->node_port, &external);
    }
    struct treatment balanced = external;
    if (p->sources_count > 0) {
        balanced.inside_flags |= SERVICE_LIMIT;
        balanced.outside_flags |= SERVICE_LIMIT;
    }
    for (unsigned i = 0; i < MIN(p->balancers_count, SERVICE_ADDRESSES_MAX); i++) {
        add_front(w, p->balancers[i], p->port, &balanced);
    }
    add_front(w, p->cluster_ip, p->port, &cluster);
}

/* What ports share: an endpoint's number and its way to itself. */
static void add_shared(struct elements *l, const struct service_port *p, const struct group *g)
{
    for (unsigned i = 0; i < g->count; i++) {
        if (p->affinity_s > 0) {
            struct element *e = add(l, SERVICE_SET_MEMBERS);
            put_ip(e->key, g->list[i].ip);
            put_port(e->key + 4, g->list[i].port);
            put_number(e->data, member_number(&g->list[i]));
        }
        if (g->list[i].local) {
            struct element *e = add(l, SERVICE_SET_HAIRPIN);
            put_ip(e->key, g->list[i].ip);
            put_ip(e->key + 4, g->list[i].ip);
        }
    }
}

void elements_of(struct elements *l, const struct service_port *p, const uint32_t *addresses, unsigned addresses_count)
{
    l->count = 0;
    if (p->cluster_ip == 0) {
        return;
    }
    size_t room = MIN(p->endpoints_count, SERVICE_ENDPOINTS_MAX) + 1;
    struct work w = {.out = l, .port = p};
    w.all.list = xcalloc(room, sizeof *w.all.list);
    w.here.list = xcalloc(room, sizeof *w.here.list);
    w.all.count = service_choose(p, false, w.all.list);
    w.here.count = p->internal_local || p->external_local ? service_choose(p, true, w.here.list) : 0;
    struct element *e = add(l, SERVICE_SET_ADDRESSES);
    put_ip(e->key, p->cluster_ip);
    add_shared(l, p, &w.all);
    add_shared(l, p, &w.here);
    add_fronts(&w, addresses, addresses_count);
    free(w.all.list);
    free(w.here.list);
}
