#include "agent/routes.h"

#include "agent/dataplane.h"

static void apply(struct agent *a)
{
    CLEANUP_ARENA struct arena arena;
    struct error err;
    unsigned count = 0;
    arena_init(&arena);
    struct network_route *list = arena_alloc(&arena, (a->neighbours.by_name.count + 1) * sizeof *list);
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->neighbours.by_name, &i)) != NULL;) {
        const struct neighbour *n = e->value;
        if (strcmp(e->key, a->name) != 0) {
            list[count++] = (struct network_route){n->pod_cidr, n->node_ip};
            continue;
        }
        dataplane_set_zone(a, str_of(n->zone));
        if (network_set_pod_cidr(a->network, n->pod_cidr, &err) != 0) {
            log_error(a->log, "agent", "%s", err.message);
        }
    }
    if (network_set_routes(a->network, list, count, &err) != 0) {
        log_warn(a->log, "agent", "routes to other nodes: %s", err.message);
    }
}

void routes_told(struct agent *a, struct mp message)
{
    neighbours_told(&a->neighbours, message);
    apply(a);
}

void routes_write(const struct agent *a, struct buf *out)
{
    const struct strmap_entry *e;
    mp_write_array(out, (uint32_t)a->neighbours.by_name.count);
    for (size_t i = 0; (e = strmap_next(&a->neighbours.by_name, &i)) != NULL;) {
        const struct neighbour *n = e->value;
        mp_write_map(out, 4);
        mp_write_key_str(out, "name", str_of(e->key));
        mp_write_key_str(out, "podCIDR", str_of(n->pod_cidr));
        mp_write_key_str(out, "internalIP", str_of(n->node_ip));
        mp_write_key_str(out, "zone", str_of(n->zone));
    }
}
