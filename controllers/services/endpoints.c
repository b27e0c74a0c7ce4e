/* Endpoints: the older spelling of where a Service leads, one object of the Service's name, for programs that read it.
 * Source: Kubernetes' endpoint controller.
 *
 * At most ADDRESSES_MAX addresses, and an annotation if there are more. Pods that are to end are not in it. Of a
 * Service with many pods it is written once in REST_MS at most, since each change writes all of it, and of more than
 * RECONCILE_VISITS_MAX pods the first ones by name count: EndpointSlices are what nodes follow. Endpoints that
 * somebody has written for a Service without a selector are theirs. */
#include "controllers/registry.h"
#include "controllers/services/places.h"

#define ADDRESSES_MAX 1000u
#define MANY          100u /* places */
#define REST_MS       1000
#define MANAGED_BY    "endpoints.kubernetes.io/managed-by"
#define MANAGER       "endpoint-controller"
#define OVER_CAPACITY "endpoints.kubernetes.io/over-capacity"

static struct value *address_of(struct arena *a, const struct place *p)
{
    struct value *address = value_map(a);
    value_set(a, address, "ip", value_str(a, p->ip));
    if (!str_empty(p->hostname)) {
        value_set(a, address, "hostname", value_str(a, p->hostname));
    }
    if (!str_empty(p->node)) {
        value_set(a, address, "nodeName", value_str(a, p->node));
    }
    value_set(a, address, "targetRef", place_target(a, p));
    return address;
}

/* ready: those that are; or else the others. At most *room of them. */
static void add_addresses(struct arena *a, const struct places *l, unsigned group, bool ready, struct value *subset,
                          unsigned *room)
{
    const char *key = ready ? "addresses" : "notReadyAddresses";
    for (unsigned i = 0; i<l->count && * room> 0; i++) {
        const struct place *p = &l->items[i];
        if (p->group == group && p->ready == ready && (ready || !p->terminating)) {
            value_append(a, value_ensure_list(a, subset, key), address_of(a, p));
            (*room)--;
        }
    }
}

/* Those that are ready come first where there is no room for all. */
static struct value *subsets_of(struct arena *a, const struct places *l, bool *truncated)
{
    struct value *subsets = value_list(a);
    unsigned room = ADDRESSES_MAX, shown = 0;
    for (unsigned i = 0; i < l->groups_count; i++) {
        value_append(a, subsets, value_map(a));
        add_addresses(a, l, i, true, value_item(subsets, i), &room);
    }
    for (unsigned i = 0; i < l->groups_count; i++) {
        add_addresses(a, l, i, false, value_item(subsets, i), &room);
    }
    for (unsigned i = l->groups_count; i-- > 0;) {
        struct value *of_group = value_item(subsets, i);
        if (value_count(of_group) == 0) {
            value_remove_at(subsets, i);
        } else if (value_count(l->groups[i].ports) > 0) {
            value_set(a, of_group, "ports", l->groups[i].ports);
        }
    }
    for (unsigned i = 0; i < l->count; i++) {
        shown += l->items[i].ready || !l->items[i].terminating;
    }
    *truncated = shown > ADDRESSES_MAX || l->left_at != NULL;
    return subsets;
}

static bool is_ours(const struct object *o)
{
    return str_is(mp_str(mp_get(object_labels(o), MANAGED_BY)), MANAGER);
}

static void put_labels(struct arena *a, struct value *meta, const struct object *service, bool headless)
{
    struct value *labels = value_map(a);
    for (struct mp_iter it = mp_iter(object_labels(service)); mp_next(&it);) {
        value_set_str_key(a, labels, it.key, value_str(a, mp_str(it.value)));
    }
    value_set(a, labels, MANAGED_BY, value_cstr(a, MANAGER));
    value_remove(labels, LABEL_HEADLESS);
    if (headless) {
        value_set(a, labels, LABEL_HEADLESS, value_cstr(a, ""));
    }
    value_set(a, meta, "labels", labels);
}

static void put_truncated(struct arena *a, struct value *meta, bool truncated)
{
    struct value *annotations = value_get(meta, "annotations");
    if (truncated) {
        value_set(a, value_ensure_map(a, meta, "annotations"), OVER_CAPACITY, value_cstr(a, "truncated"));
    } else if (annotations != NULL) {
        value_remove(annotations, OVER_CAPACITY);
        if (value_count(annotations) == 0) {
            value_remove(meta, "annotations");
        }
    }
}

static int endpoints_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct arena *a = out->arena;
    const struct kind *k = kind_of(KIND_ENDPOINTS);
    const struct object *service = view_get(in->view, in->key.kind, in->key.ns, in->key.name),
                        *old = view_get(in->view, k, in->key.ns, in->key.name);
    if (service == NULL || service->deleting || !service_selects(service)) {
        if (service == NULL && old != NULL && !old->deleting && is_ours(old)) {
            txn_delete(out->txn, old);
        }
        return 0;
    }
    if (namespace_closed(in->view, service->ns)) {
        return 0;
    }
    struct places places;
    bool truncated;
    places_find(a, in->view, service, STR_NONE, UINT32_MAX, RECONCILE_VISITS_MAX, &places);
    struct value *doc = old != NULL ? object_to_value(a, old) : value_map(a),
                 *meta = value_ensure_map(a, doc, "metadata");
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, meta, "name", value_str(a, service->name));
    value_set(a, meta, "namespace", value_str(a, service->ns));
    put_labels(a, meta, service, places.headless);
    struct value *subsets = subsets_of(a, &places, &truncated);
    put_truncated(a, meta, truncated);
    value_remove(doc, "subsets");
    if (value_count(subsets) > 0) {
        value_set(a, doc, "subsets", subsets);
    }
    if (places.count > MANY) {
        out->rest_ms = REST_MS;
    }
    return old != NULL ? txn_update_value(out->txn, k, doc, TXN_PART_ALL, old->revision, err)
                       : txn_create_value(out->txn, k, doc, err);
}

/* Somebody has changed or removed what is ours. */
static void map_endpoints(const struct view *tip, const struct object *old, const struct object *now,
                          controller_emit *emit, void *data)
{
    (void)tip;
    (void)now;
    if (old != NULL && is_ours(old)) {
        emit(data, kind_of(KIND_SERVICE), old->ns, old->name);
    }
}

static const struct controller_watch watches[] = {
    {KIND_SERVICE, map_self}, {KIND_POD, map_pod_services}, {KIND_ENDPOINTS, map_endpoints}, {0, NULL}};
const struct controller controller_endpoints = {
    .name = "endpoints", .watches = watches, .reconcile = endpoints_reconcile};
