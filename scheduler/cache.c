#include "scheduler/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "proto/facts/priority.h"
#include "proto/model/quantity.h"
#include "scheduler/core.h"
#include "scheduler/topology.h"
#include "scheduler/volumes.h"

/* "A container that asks for nothing still counts 0.1 cpu and 200 MB when nodes are compared." */
#define SCORED_CPU_DEFAULT    100
#define SCORED_MEMORY_DEFAULT (200ll * 1024 * 1024)
#define NODE_PODS_DEFAULT     110

/* ---- Groups ---- */

static unsigned group_find(const struct group *g, unsigned slot)
{
    unsigned at = (slot * 2654435761u) & (g->cap - 1);
    while (g->cells[at].slot_plus_1 != 0 && g->cells[at].slot_plus_1 != slot + 1) {
        at = (at + 1) & (g->cap - 1);
    }
    return at;
}

unsigned group_count(const struct group *g, unsigned slot)
{
    return g == NULL || g->cap == 0 ? 0 : g->cells[group_find(g, slot)].count;
}

static void group_grow(struct group *g)
{
    struct group former = *g;
    g->cap = MAX(8u, former.cap * 2);
    g->used = 0;
    g->cells = xcalloc(g->cap, sizeof *g->cells);
    for (unsigned i = 0; i < former.cap; i++) {
        if (former.cells[i].count > 0) {
            g->cells[group_find(g, former.cells[i].slot_plus_1 - 1)] = former.cells[i];
            g->used++;
        }
    }
    free(former.cells);
}

void group_add(struct group *g, unsigned slot, int change)
{
    if (g->used * 4 >= g->cap * 3) {
        group_grow(g);
    }
    unsigned at = group_find(g, slot);
    if (g->cells[at].slot_plus_1 == 0) {
        g->cells[at].slot_plus_1 = slot + 1;
        g->used++;
    }
    assert(change > 0 || g->cells[at].count > 0);
    g->cells[at].count += (unsigned)change;
}

/* ---- Classes ---- */

static XXH128_hash_t hash_mp(struct mp m)
{
    return XXH3_128bits(m.p != NULL ? (const void *)m.p : "", (size_t)(m.end - m.p));
}

/* Labels are hashed one by one, since some of them do not count. */
static uint64_t labels_hash(const struct object *pod, bool individual)
{
    uint64_t sum = 0;
    for (struct mp_iter it = mp_iter(object_labels(pod)); mp_next(&it);) {
        if (it.is_map && (individual || !topo_label_is_individual(it.key))) {
            sum = XXH3_64bits_withSeed(it.key.p, (size_t)((const char *)it.value.end - it.key.p), sum + 1);
        }
    }
    return sum;
}

void class_identify(const struct object *pod, bool individual, uint8_t id[16], uint8_t shape[16])
{
    static const char *const read[] = {"nodeSelector",     "affinity", "tolerations",    "priority",
                                       "containers",       "overhead", "initContainers", "topologySpreadConstraints",
                                       "preemptionPolicy", "resources"};
    XXH128_hash_t parts[ARRAY_SIZE(read) + 4] = {0};
    bool own;
    struct mp spec = object_spec(pod);
    for (struct mp_iter it = mp_iter(spec); mp_next(&it);) {
        for (unsigned i = 0; i < ARRAY_SIZE(read); i++) {
            if (str_is(it.key, read[i])) {
                parts[i] = hash_mp(it.value);
            }
        }
    }
    parts[ARRAY_SIZE(read)] = XXH3_128bits(pod->ns.n > 0 ? pod->ns.p : "", pod->ns.n);
    parts[ARRAY_SIZE(read) + 1] = XXH3_128bits(pod->owner_uid.n > 0 ? pod->owner_uid.p : "", pod->owner_uid.n);
    parts[ARRAY_SIZE(read) + 2].low64 = plugins_identify(spec);
    if (shape != NULL) {
        XXH128_hash_t without = XXH3_128bits(parts, sizeof parts);
        memcpy(shape, &without, 16);
    }
    parts[ARRAY_SIZE(read) + 2].high64 = labels_hash(pod, individual);
    if (claims_named(pod, &own) && own) {
        parts[ARRAY_SIZE(read) + 3] = XXH3_128bits(pod->uid.n > 0 ? pod->uid.p : "", pod->uid.n);
    }
    XXH128_hash_t whole = XXH3_128bits(parts, sizeof parts);
    memcpy(id, &whole, 16);
}

static void text_copy(char *to, size_t size, struct str s)
{
    size_t n = MIN(s.n, size - 1);
    memcpy(to, n > 0 ? s.p : "", n);
    to[n] = '\0';
}

static void class_read_ports(struct sched_class *c, struct mp container)
{
    for (struct mp_iter it = mp_iter(mp_get(container, "ports")); mp_next(&it);) {
        int64_t port = mp_int(mp_get(it.value, "hostPort"), 0);
        if (port <= 0) {
            continue;
        }
        c->ports = xrealloc(c->ports, (c->ports_count + 1) * sizeof *c->ports);
        struct host_port *p = &c->ports[c->ports_count++];
        *p = (struct host_port){.port = (int32_t)port};
        struct str ip = mp_str(mp_get(it.value, "hostIP")), protocol = mp_str(mp_get(it.value, "protocol"));
        text_copy(p->ip, sizeof p->ip, str_is(ip, "0.0.0.0") || str_is(ip, "::") ? STR_NONE : ip);
        text_copy(p->protocol, sizeof p->protocol, str_empty(protocol) ? STR("TCP") : protocol);
    }
}

void class_init(struct sched_class *c, const struct object *pod)
{
    bool own;
    memset(c, 0, sizeof *c);
    c->sample = object_ref(pod);
    struct mp spec = object_spec(c->sample);
    c->tolerations = mp_get(spec, "tolerations");
    c->node_selector = mp_get(spec, "nodeSelector");
    c->affinity = mp_path(spec, "affinity.nodeAffinity");
    c->node_name = mp_str(mp_get(spec, "nodeName"));
    c->priority = priority_of_pod(spec);
    c->preempts = priority_preempts(spec);
    images_read_pod(&c->images, spec);
    c->queued.at = UINT32_MAX;
    list_init(&c->active);
    list_init(&c->parked);
    list_init(&c->nominated);
    list_init(&c->parked_link);
    list_init(&c->placed);
    resources_of_pod(&c->request, spec);
    resources_clamp(&c->request, AMOUNT_MAX);
    c->claims = claims_named(c->sample, &own) ? claims_new() : NULL;
    unsigned containers = 0;
    for (struct mp_iter it = mp_iter(mp_get(spec, "containers")); mp_next(&it);) {
        class_read_ports(c, it.value);
        containers++;
    }
    for (struct mp_iter it = mp_iter(mp_get(spec, "initContainers")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "restartPolicy")), "Always")) {
            class_read_ports(c, it.value);
        }
    }
    int64_t cpu = c->request.fixed[RESOURCE_CPU], memory = c->request.fixed[RESOURCE_MEMORY];
    c->scored_request[0] = cpu > 0 ? cpu : (int64_t)containers * SCORED_CPU_DEFAULT;
    c->scored_request[1] = memory > 0 ? memory : (int64_t)containers * SCORED_MEMORY_DEFAULT;
    kin_identify(c);
}

void class_close(struct sched_class *c)
{
    assert(c->table == NULL && c->places == NULL);
    resources_close(&c->request);
    images_close(&c->images);
    claims_free(c->claims);
    free(c->ports);
    free(c->reasons);
    free(c->gang_reasons);
    object_unref(c->sample);
}

/* ---- Nodes ---- */

void sched_node_init(struct sched_node *n, const struct sched_policy *policy)
{
    n->policy = policy;
    list_init(&n->pods);
    list_init(&n->nominated_link);
}

void sched_node_set_object(struct sched_node *n, const struct object *o)
{
    struct object *former = n->obj;
    n->obj = o == NULL ? NULL : object_ref(o);
    object_unref(former);
    resources_close(&n->alloc);
    images_close(&n->images);
    n->labels = n->taints = mp_of(NULL, 0);
    n->pods_alloc = 0;
    n->unschedulable = n->offers_local = false;
    n->local_kib = 0;
    if (o == NULL) {
        return;
    }
    struct mp root = object_mp(n->obj), allocatable = mp_path(root, "status.allocatable");
    if (mp_count(allocatable) == 0) {
        allocatable = mp_path(root, "status.capacity");
    }
    n->labels = mp_path(root, "metadata.labels");
    n->taints = mp_path(root, "spec.taints");
    n->unschedulable = mp_bool(mp_path(root, "spec.unschedulable"), false);
    resources_add_mp(&n->alloc, allocatable);
    resources_clamp(&n->alloc, AMOUNT_MAX - 1);
    images_read_node(&n->images, mp_path(root, "status.images"));
    struct str root_path;
    n->offers_local = storage_node_offers(n->obj, &root_path, &n->local_kib);
    n->local_kib /= 1024;
    struct str pods = mp_str(mp_get(allocatable, "pods"));
    if (str_empty(pods) || !quantity_units(pods, &n->pods_alloc)) {
        n->pods_alloc = NODE_PODS_DEFAULT;
    }
}

static void port_account(struct sched_node *n, const struct host_port *port, int sign)
{
    for (unsigned i = 0; i < n->ports_count; i++) {
        struct host_port *p = &n->ports[i];
        if (p->port == port->port && strcmp(p->ip, port->ip) == 0 && strcmp(p->protocol, port->protocol) == 0) {
            p->count += (unsigned)sign;
            if (p->count == 0) {
                *p = n->ports[--n->ports_count];
            }
            return;
        }
    }
    assert(sign > 0);
    n->ports = xrealloc(n->ports, (n->ports_count + 1) * sizeof *n->ports);
    n->ports[n->ports_count] = *port;
    n->ports[n->ports_count++].count = 1;
}

void sched_node_account(struct sched_node *n, const struct sched_class *c, int sign)
{
    assert(sign == 1 || sign == -1);
    resources_account(&n->used, &c->request, sign);
    n->pods_used += sign;
    for (unsigned i = 0; i < 2; i++) { /* wraps as the others do */
        uint64_t change = (uint64_t)c->scored_request[i];
        n->scored_used[i] = (int64_t)((uint64_t)n->scored_used[i] + (sign > 0 ? change : -change));
    }
    for (unsigned i = 0; i < c->ports_count; i++) {
        port_account(n, &c->ports[i], sign);
    }
    if (c->group != NULL) {
        group_add(c->group, n->slot, sign);
    }
    assert(n->pods_used >= 0);
}

void sched_node_close(struct sched_node *n)
{
    assert(list_empty(&n->pods) && n->nominees_count == 0);
    sched_node_set_object(n, NULL);
    resources_close(&n->used);
    levels_close(&n->levels);
    levels_close(&n->leaving);
    free(n->nominees);
    free(n->ports);
    free(n->name);
}
