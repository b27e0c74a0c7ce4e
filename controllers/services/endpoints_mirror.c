/* EndpointSlices that say what somebody has written as Endpoints, for a Service without a selector: nodes follow slices
 * alone. Source: Kubernetes' endpointslicemirroring controller.
 *
 * They belong to the Endpoints. Not mirrored: what has the label SKIP, and what a leader election keeps there. */
#include "controllers/registry.h"
#include "controllers/services/places.h"

#define SLICE_MAX     100u
#define ADDRESSES_MAX 1000u /* of a subset; the rest is left out */
#define SLICES_MAX    64u
#define MANAGED_BY    "endpointslice.kubernetes.io/managed-by"
#define MANAGER       "endpointslicemirroring-controller.k8s.io"
#define SKIP          "endpointslice.kubernetes.io/skip-mirror"
#define NOT_WRITTEN   "endpoints.kubernetes.io/managed-by" /* by a person: what the Service's pods were */
#define LEADER        "control-plane.alpha.kubernetes.io/leader"

struct mirror {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    const struct object *endpoints, *service;
    struct object_list slices; /* that there are */
    unsigned used;             /* of them */
    unsigned made;
};

static bool is_mirrored(const struct view *v, const struct object *endpoints, const struct object **service)
{
    *service = view_get(v, kind_of(KIND_SERVICE), endpoints->ns, endpoints->name);
    return !endpoints->deleting && *service != NULL && !(*service)->deleting &&
           mp_count(mp_path(object_mp(*service), "spec.selector")) == 0 &&
           !str_is(mp_str(mp_path(object_mp(*service), "spec.type")), "ExternalName") &&
           !str_is(mp_str(mp_get(object_labels(endpoints), SKIP)), "true") &&
           str_empty(mp_str(mp_get(object_labels(endpoints), NOT_WRITTEN))) &&
           str_empty(object_annotation(endpoints, LEADER));
}

static void add_endpoint(struct arena *a, struct value *list, struct mp address, bool ready)
{
    struct value *e = msgpack_read_checked(a, address), *addresses = value_list(a), *conditions = value_map(a);
    value_append(a, addresses, value_str(a, mp_str(mp_get(address, "ip"))));
    value_remove(e, "ip");
    value_set(a, e, "addresses", addresses);
    value_set(a, conditions, "ready", value_bool(a, ready));
    value_set(a, e, "conditions", conditions);
    value_append(a, list, e);
}

/* The next of those that there are becomes this one, or a new one does. */
static int write_slice(struct mirror *m, struct value *list, struct mp ports, struct error *err)
{
    struct arena *a = m->out->arena;
    const struct kind *k = kind_of(KIND_ENDPOINTSLICE);
    const struct object *old = m->used < m->slices.count ? m->slices.items[m->used++] : NULL;
    struct value *doc = old != NULL ? object_to_value(a, old) : document_owned(m->in, a, k, m->endpoints),
                 *meta = value_ensure_map(a, doc, "metadata"), *labels = value_map(a);
    if (old == NULL) {
        value_set(a, doc, "addressType", value_cstr(a, "IPv4"));
    }
    for (struct mp_iter it = mp_iter(object_labels(m->endpoints)); mp_next(&it);) {
        value_set_str_key(a, labels, it.key, value_str(a, mp_str(it.value)));
    }
    value_set(a, labels, MANAGED_BY, value_cstr(a, MANAGER));
    value_set(a, labels, LABEL_SERVICE_NAME, value_str(a, m->endpoints->name));
    value_set(a, meta, "labels", labels);
    value_set(a, doc, "endpoints", list);
    value_remove(doc, "ports");
    if (mp_count(ports) > 0) {
        value_set(a, doc, "ports", msgpack_read_checked(a, ports));
        places_name_ports(a, value_get(doc, "ports"));
    }
    m->made++;
    return old != NULL ? txn_update_value(m->out->txn, k, doc, TXN_PART_ALL, old->revision, err)
                       : txn_create_value(m->out->txn, k, doc, err);
}

static int write_subset(struct mirror *m, struct mp subset, struct error *err)
{
    static const char *const keys[] = {"addresses", "notReadyAddresses"};
    struct arena *a = m->out->arena;
    struct value *list = value_list(a);
    unsigned count = 0;
    int rv = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        for (struct mp_iter it = mp_iter(mp_get(subset, keys[i])); rv == 0 && mp_next(&it);) {
            if (count++ == ADDRESSES_MAX) {
                break;
            }
            add_endpoint(a, list, it.value, i == 0);
            if (value_count(list) == SLICE_MAX) {
                rv = write_slice(m, list, mp_get(subset, "ports"), err);
                list = value_list(a);
            }
        }
    }
    return rv != 0 || value_count(list) == 0 ? rv : write_slice(m, list, mp_get(subset, "ports"), err);
}

static int mirror_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct mirror m = {.in = in, .out = out};
    m.endpoints = view_get(in->view, kind_of(KIND_ENDPOINTS), in->key.ns, in->key.name);
    if (m.endpoints == NULL || namespace_closed(in->view, m.endpoints->ns)) {
        return 0; /* what it owned goes with it */
    }
    struct view_iter it;
    view_iter_owned(&it, in->view, m.endpoints->uid, kind_of(KIND_ENDPOINTSLICE));
    VIEW_FOR(o, &it)
    {
        if (!o->deleting) {
            object_list_add(out->arena, &m.slices, o);
        }
    }
    int rv = 0;
    if (is_mirrored(in->view, m.endpoints, &m.service)) {
        for (struct mp_iter s = mp_iter(mp_path(object_mp(m.endpoints), "subsets"));
             rv == 0 && m.made < SLICES_MAX && mp_next(&s);) {
            rv = write_subset(&m, s.value, err);
        }
    }
    for (unsigned i = m.used; rv == 0 && i < m.slices.count; i++) {
        txn_delete(out->txn, m.slices.items[i]);
    }
    return rv;
}

/* A Service concerns the Endpoints of its name; a slice those that own it. */
static void map_service(const struct view *tip, const struct object *old, const struct object *now,
                        controller_emit *emit, void *data)
{
    (void)tip;
    const struct object *o = now != NULL ? now : old;
    emit(data, kind_of(KIND_ENDPOINTS), o->ns, o->name);
}

static void map_slice(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data)
{
    (void)tip;
    (void)now;
    if (old != NULL && str_is(mp_str(mp_get(object_labels(old), MANAGED_BY)), MANAGER)) {
        emit(data, kind_of(KIND_ENDPOINTS), old->ns, mp_str(mp_get(object_labels(old), LABEL_SERVICE_NAME)));
    }
}

static const struct controller_watch watches[] = {
    {KIND_ENDPOINTS, map_self}, {KIND_SERVICE, map_service}, {KIND_ENDPOINTSLICE, map_slice}, {0, NULL}};
const struct controller controller_endpoints_mirror = {
    .name = "endpoints-mirror", .watches = watches, .reconcile = mirror_reconcile};
