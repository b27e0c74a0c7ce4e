#include "agent/network/neighbours.h"

#include <stdlib.h>

#include "base/mem.h"

void neighbours_init(struct neighbours *n)
{
    strmap_init(&n->by_name);
}

static void neighbour_free(struct neighbour *b)
{
    if (b != NULL) {
        free(b->pod_cidr);
        free(b->node_ip);
        free(b->zone);
        free(b);
    }
}

void neighbours_close(struct neighbours *n)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&n->by_name, &i)) != NULL;) {
        neighbour_free(e->value);
    }
    strmap_close(&n->by_name);
}

static void put(struct neighbours *n, struct mp list)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str name = mp_str(mp_get(it.value, "name")), cidr = mp_str(mp_get(it.value, "podCIDR"));
        struct str ip = mp_str(mp_get(it.value, "internalIP")), zone = mp_str(mp_get(it.value, "zone"));
        if (name.n == 0 || (n->by_name.count >= NEIGHBOURS_MAX && strmap_get(&n->by_name, name) == NULL)) {
            continue;
        }
        struct neighbour *b = xcalloc(1, sizeof *b);
        b->pod_cidr = xstrndup(cidr.p, cidr.n);
        b->node_ip = xstrndup(ip.p, ip.n);
        b->zone = xstrndup(zone.p, zone.n);
        b->pods = cidr_parse(cidr, &b->pods) ? b->pods : (struct cidr){0, 32};
        neighbour_free(strmap_set(&n->by_name, name, b));
    }
}

void neighbours_told(struct neighbours *n, struct mp message)
{
    struct mp whole = mp_get(message, "routes");
    if (mp_type(whole) == MP_ARRAY) {
        neighbours_close(n);
        neighbours_init(n);
        put(n, whole);
        return;
    }
    for (struct mp_iter it = mp_iter(mp_get(message, "gone")); mp_next(&it);) {
        neighbour_free(strmap_remove(&n->by_name, mp_str(it.value)));
    }
    put(n, mp_get(message, "changed"));
}

bool neighbours_may_have(const struct neighbours *n, uint32_t ip)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&n->by_name, &i)) != NULL;) {
        struct cidr c = ((const struct neighbour *)e->value)->pods;
        if (cidr_contains(c, ip)) {
            return ip - c.first > 1 && ip != cidr_end(c) - 1;
        }
    }
    return false;
}
