/* Addresses of Services of type LoadBalancer, from the pool of the cluster's configuration (loadBalancerPool): the
 * lowest that is free, or the one that spec.loadBalancerIP asks for. Who brings the traffic of these addresses to the
 * nodes is not our matter. With a loadBalancerClass somebody else serves the Service, and it is left alone.
 *
 * One key for all Services: one pass reads what is taken and serves whoever has none. An address that has left the pool
 * is taken back, and so is that of a Service which is no LoadBalancer any more. Whoever waits for an address is told
 * why once, and again when that event is forgotten: passes are made for others, too. A pass looks for the events of
 * RECONCILE_VISITS_MAX of them; the next one goes on behind. */
#include "base/strmap.h"
#include "controllers/registry.h"
#include "controllers/util.h"

#define COMPONENT "load-balancer-pool"
#define TOLD_MAX  64u   /* Services of one pass that are told why they wait; others are in the next */
#define TOLD_MS   30000 /* which comes then, though nothing changes */

static bool is_balanced(const struct object *service)
{
    return str_is(mp_str(mp_path(object_mp(service), "spec.type")), "LoadBalancer");
}

static bool is_foreign(const struct object *service)
{
    return is_balanced(service) && !str_empty(mp_str(mp_path(object_mp(service), "spec.loadBalancerClass")));
}

/* The address that it has; "" if none. */
static struct str address_of(const struct object *service)
{
    struct mp_iter it = mp_iter(mp_path(object_mp(service), "status.loadBalancer.ingress"));
    return mp_next(&it) ? mp_str(mp_get(it.value, "ip")) : STR_NONE;
}

static const char *text_of(struct arena *a, uint32_t n)
{
    char text[CIDR_TEXT_SIZE];
    cidr_text((struct cidr){n, 32}, text);
    *strchr(text, '/') = '\0';
    return arena_strdup(a, text);
}

static bool in_pool(struct str pool, uint32_t n)
{
    uint32_t first, last;
    while (cluster_pool_next(&pool, &first, &last)) {
        if (n >= first && n <= last) {
            return true;
        }
    }
    return false;
}

/* The lowest that nobody has; NULL: there is none. */
static const char *choose(struct arena *a, struct str pool, const struct strmap *taken)
{
    uint32_t first, last;
    while (cluster_pool_next(&pool, &first, &last)) {
        for (uint64_t n = first; n <= last; n++) {
            const char *text = text_of(a, (uint32_t)n);
            if (strmap_get(taken, str_of(text)) == NULL) {
                return text;
            }
        }
    }
    return NULL;
}

/* ip: NULL = it has none. */
static int write_address(struct reconcile_out *out, const struct object *service, const char *ip, struct error *err)
{
    struct arena *a = out->arena;
    struct value *doc = object_to_value(a, service), *status = value_ensure_map(a, doc, "status");
    value_remove(status, "loadBalancer");
    if (ip != NULL) {
        struct value *entry = value_map(a);
        value_set(a, entry, "ip", value_cstr(a, ip));
        value_set(a, entry, "ipMode", value_cstr(a, "VIP"));
        value_append(a, value_ensure_list(a, value_ensure_map(a, status, "loadBalancer"), "ingress"), entry);
    }
    return txn_update_value(out->txn, service->kind, doc, TXN_PART_STATUS, service->revision, err);
}

struct serving {
    struct str pool;
    struct strmap taken;
    bool full; /* no address is left for those that ask for none of their own */
    unsigned told, looked;
};

/* The pass before has looked at it. */
static bool is_passed(const struct reconcile_place *from, const struct object *service)
{
    if (from == NULL) {
        return false;
    }
    int c = str_cmp(service->ns, from->ns);
    return c < 0 || (c == 0 && str_cmp(service->name, from->name) <= 0);
}

static void tell_why(const struct reconcile_in *in, struct reconcile_out *out, const struct object *service,
                     struct serving *s)
{
    const char *why = "all addresses of loadBalancerPool are taken";
    unsigned before = out->txn->count;
    if (s->looked == RECONCILE_VISITS_MAX || is_passed(in->from, service)) {
        return;
    }
    if (s->told == TOLD_MAX) {
        requeue_in(out, TOLD_MS);
        return;
    }
    if (str_empty(s->pool)) {
        why = "the cluster has no pool of addresses: no loadBalancerPool is set (`rctl cluster set "
              "loadBalancerPool=FIRST-LAST`), and the Service has no loadBalancerClass";
    } else if (!str_empty(mp_str(mp_path(object_mp(service), "spec.loadBalancerIP")))) {
        why = "the address of spec.loadBalancerIP is taken or not in loadBalancerPool";
    }
    controller_event_once(out, in, service, "Warning", "AllocationFailed", COMPONENT, "%s", why);
    s->told += out->txn->count > before;
    if (++s->looked == RECONCILE_VISITS_MAX) {
        out->left_at = service;
    }
}

static int serve(const struct reconcile_in *in, struct reconcile_out *out, const struct object *service,
                 struct serving *s, struct error *err)
{
    struct arena *a = out->arena;
    struct str wish = mp_str(mp_path(object_mp(service), "spec.loadBalancerIP"));
    const char *ip = NULL;
    uint32_t n;
    if (str_empty(wish)) {
        ip = s->full ? NULL : choose(a, s->pool, &s->taken);
        s->full = ip == NULL;
    } else if (cidr_parse_address(wish, &n) && in_pool(s->pool, n) && strmap_get(&s->taken, wish) == NULL) {
        ip = text_of(a, n);
    }
    if (ip == NULL) {
        tell_why(in, out, service, s);
        return str_empty(address_of(service)) ? 0 : write_address(out, service, NULL, err);
    }
    strmap_set(&s->taken, str_of(ip), (void *)service);
    controller_event(out, in, service, "Normal", "IPAllocated", COMPONENT, "Assigned IP \"%s\"", ip);
    return write_address(out, service, ip, err);
}

static int balancer_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct cluster_config config = cluster_config_of(in->view);
    struct object_list without = {0}, back = {0};
    struct serving s = {.pool = config.balancer_pool};
    struct view_iter it;
    int rv = 0;
    strmap_init(&s.taken);
    view_iter(&it, in->view, kind_of(KIND_SERVICE), STR_NONE);
    VIEW_FOR(o, &it)
    {
        struct str ip = address_of(o), wish = mp_str(mp_path(object_mp(o), "spec.loadBalancerIP"));
        uint32_t n;
        if (is_foreign(o) || (!is_balanced(o) && str_empty(ip))) {
            continue;
        }
        bool keeps = is_balanced(o) && cidr_parse_address(ip, &n) && in_pool(s.pool, n) &&
                     (str_empty(wish) || str_eq(wish, ip)) && strmap_get(&s.taken, ip) == NULL;
        if (keeps) {
            strmap_set(&s.taken, ip, (void *)o);
        } else if (is_balanced(o) && !o->deleting) {
            object_list_add(out->arena, &without, o);
        } else if (!str_empty(ip)) {
            object_list_add(out->arena, &back, o);
        }
    }
    for (unsigned i = 0; i < back.count && rv == 0; i++) {
        rv = write_address(out, back.items[i], NULL, err);
    }
    for (unsigned i = 0; i < without.count && rv == 0; i++) {
        if (out->txn->count >= CONTROLLER_BATCH_MAX) {
            requeue_in(out, 1);
            break;
        }
        rv = serve(in, out, without.items[i], &s, err);
    }
    strmap_close(&s.taken);
    return rv;
}

static void map_service(const struct view *tip, const struct object *old, const struct object *now,
                        controller_emit *emit, void *data)
{
    (void)tip;
    bool before = old != NULL && is_balanced(old), after = now != NULL && is_balanced(now);
    if (!before && !after) {
        return;
    }
    /* Its own status, and what else does not matter here, is no news. */
    if (before && after && old->deleting == now->deleting && str_eq(address_of(old), address_of(now)) &&
        mp_equal(mp_get(object_mp(old), "spec"), mp_get(object_mp(now), "spec"))) {
        return;
    }
    emit(data, kind_of(KIND_SERVICE), STR_NONE, STR_NONE);
}

static void map_config(const struct view *tip, const struct object *old, const struct object *now,
                       controller_emit *emit, void *data)
{
    (void)tip;
    if (old == NULL || now == NULL || old->generation != now->generation) {
        emit(data, kind_of(KIND_SERVICE), STR_NONE, STR_NONE);
    }
}

static const struct controller_watch watches[] = {
    {KIND_SERVICE, map_service}, {KIND_CLUSTERCONFIGURATION, map_config}, {0, NULL}};
const struct controller controller_load_balancer = {
    .name = "load-balancer", .watches = watches, .reconcile = balancer_reconcile};
