/* EndpointSlices of the Services that select pods: at most SLICE_MAX places each, those with the same ports.
 * Source: Kubernetes' endpointslice controller.
 *
 * A place stays in the slice that it is in. What is new goes into a slice that must be written anyway, then into one
 * with room for all of it, then into a new one: so one pod's change writes one slice, however many the Service has. A
 * slice that has become empty goes, but for the last.
 *
 * Of a Service with many pods a step looks at STEP_PODS of them, by name, and what slices say of all others it leaves
 * as it is; the next step goes on behind them. So a step costs the places of those pods, and a glance at each endpoint:
 * some 4 ms with 5,000 pods, which took 9 ms at once. A walk that has come to its end is followed by a rest of REST_MS.
 *
 * First in the registry: a pod that is no longer ready leaves in the turn that says so, if it is one of STEP_PODS. */
#include "base/strmap.h"
#include "controllers/registry.h"
#include "controllers/services/places.h"

#define SLICE_MAX  100u
#define WRITES_MAX 20u /* slices of one transaction; the rest follows in the next */
#define STEP_PODS  1000u
#define REST_MS    60
#define MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#define MANAGER    "endpointslice-controller.k8s.io"

/* One endpoint of a slice: a place, or as it stands there if its pod is of another step. */
struct slot {
    const struct place *place; /* NULL: of another step */
    struct mp there;
};
struct slice {
    const struct object *o; /* NULL: it is to be made */
    unsigned group;         /* of places.groups; their number: none of those that this step knows */
    bool changed;
    struct slot items[SLICE_MAX];
    unsigned count;
};

struct slices {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    const struct object *service;
    struct str behind; /* pods of this step come behind this name; "": from the first on */
    struct places places;
    struct value *labels; /* that a slice is to have */
    bool close;           /* trafficDistribution PreferClose: endpoints are for their own zone */
    struct slice **items;
    unsigned count, cap;
    bool full; /* WRITES_MAX was not enough */
};

static struct slice *slice_add(struct slices *l, const struct object *o, unsigned group)
{
    struct arena *a = l->out->arena;
    l->items = arena_grow(a, l->items, l->count, &l->cap, sizeof *l->items, 16);
    struct slice *s = arena_alloc(a, sizeof *s);
    *s = (struct slice){.o = o, .group = group, .changed = o == NULL};
    return l->items[l->count++] = s;
}

static struct value *labels_for(struct arena *a, const struct object *service, bool headless)
{
    struct value *labels = value_map(a);
    for (struct mp_iter it = mp_iter(object_labels(service)); mp_next(&it);) {
        value_set_str_key(a, labels, it.key, value_str(a, mp_str(it.value)));
    }
    value_remove(labels, LABEL_HEADLESS);
    value_set(a, labels, MANAGED_BY, value_cstr(a, MANAGER));
    value_set(a, labels, LABEL_SERVICE_NAME, value_str(a, service->name));
    if (headless) {
        value_set(a, labels, LABEL_HEADLESS, value_cstr(a, ""));
    }
    return labels;
}

/* ---- What is there ---- */

static bool same_labels(struct mp there, const struct value *wanted)
{
    if (mp_count(there) != value_count(wanted)) {
        return false;
    }
    for (struct mp_iter it = mp_iter(there); mp_next(&it);) {
        const struct value *v = value_get_str_key(wanted, it.key);
        if (v == NULL || !str_eq(value_to_str(v), mp_str(it.value))) {
            return false;
        }
    }
    return true;
}

static bool same_ports(struct mp there, const struct value *wanted)
{
    static const char *const texts[] = {"name", "protocol", "appProtocol"};
    unsigned at = 0;
    if (mp_count(there) != value_count(wanted)) {
        return false;
    }
    for (struct mp_iter it = mp_iter(there); mp_next(&it); at++) {
        const struct value *port = value_item(wanted, at);
        for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
            if (!str_eq(mp_str(mp_get(it.value, texts[i])), value_to_str(value_get(port, texts[i])))) {
                return false;
            }
        }
        if (mp_int(mp_get(it.value, "port"), 0) != value_to_int(value_get(port, "port"), 0)) {
            return false;
        }
    }
    return true;
}

/* An endpoint as it stands in a slice: walked over once, as there are thousands. */
struct endpoint {
    struct str ip, uid, hostname, node, zone;
    struct mp hints;
    bool ready, serving, terminating;
};

static void conditions_read(struct endpoint *e, struct mp conditions)
{
    e->ready = e->serving = true;
    for (struct mp_iter it = mp_iter(conditions); mp_next(&it);) {
        switch (it.key.n == 0 ? '\0' : it.key.p[0]) {
        case 'r':
            e->ready = str_is(it.key, "ready") ? mp_bool(it.value, true) : e->ready;
            break;
        case 's':
            e->serving = str_is(it.key, "serving") ? mp_bool(it.value, true) : e->serving;
            break;
        case 't':
            e->terminating = str_is(it.key, "terminating") ? mp_bool(it.value, false) : e->terminating;
            break;
        default:
            break;
        }
    }
}

static struct endpoint endpoint_read(struct mp there)
{
    struct endpoint e = {0};
    struct mp conditions = {0};
    for (struct mp_iter it = mp_iter(there); mp_next(&it);) {
        struct mp_iter first = mp_iter(it.value);
        switch (it.key.n == 0 ? '\0' : it.key.p[0]) {
        case 'a':
            e.ip = str_is(it.key, "addresses") && mp_next(&first) ? mp_str(first.value) : e.ip;
            break;
        case 'c':
            conditions = str_is(it.key, "conditions") ? it.value : conditions;
            break;
        case 'h':
            e.hostname = str_is(it.key, "hostname") ? mp_str(it.value) : e.hostname;
            e.hints = str_is(it.key, "hints") ? it.value : e.hints;
            break;
        case 'n':
            e.node = str_is(it.key, "nodeName") ? mp_str(it.value) : e.node;
            break;
        case 't':
            e.uid = str_is(it.key, "targetRef") ? mp_str(mp_get(it.value, "uid")) : e.uid;
            break;
        case 'z':
            e.zone = str_is(it.key, "zone") ? mp_str(it.value) : e.zone;
            break;
        default:
            break;
        }
    }
    conditions_read(&e, conditions);
    return e;
}

/* Kubernetes KEP-4444: each one that is ready is for the zone that it is in. */
static struct str hint_of(const struct slices *l, const struct place *p)
{
    return l->close && p->ready ? p->zone : STR_NONE;
}

static bool same_hints(struct mp there, struct str zone)
{
    struct mp zones = mp_get(there, "forZones");
    struct mp_iter first = mp_iter(zones);
    return mp_count(zones) == (zone.n > 0) && mp_count(mp_get(there, "forNodes")) == 0 &&
           (zone.n == 0 || (mp_next(&first) && str_eq(mp_str(mp_get(first.value, "name")), zone)));
}

static bool same_endpoint(const struct slices *l, const struct endpoint *e, const struct place *p)
{
    return str_eq(e->ip, p->ip) && e->ready == p->ready && e->serving == p->serving &&
           e->terminating == p->terminating && str_eq(e->hostname, p->hostname) && str_eq(e->node, p->node) &&
           str_eq(e->zone, p->zone) && same_hints(e->hints, hint_of(l, p));
}

static unsigned group_find(const struct slices *l, struct mp ports)
{
    unsigned i = 0;
    while (i < l->places.groups_count && !same_ports(ports, l->places.groups[i].ports)) {
        i++;
    }
    return i;
}

/* Is the pod of an endpoint one of those that this step looks at, or would it be if there were one? */
static bool is_of_step(const struct slices *l, struct mp there)
{
    const struct object *last = l->places.left_at;
    if (str_empty(l->behind) && last == NULL) {
        return true;
    }
    struct str pod = mp_str(mp_get(mp_get(there, "targetRef"), "name"));
    return (str_empty(l->behind) || str_cmp(pod, l->behind) > 0) && (last == NULL || str_cmp(pod, last->name) <= 0);
}

static void slot_add(struct slice *s, struct slot slot)
{
    if (s->count == SLICE_MAX) { /* somebody has written more: what is left out is a new place */
        s->changed = true;
    } else {
        s->items[s->count++] = slot;
    }
}

/* The places that stay where they are. */
static void slice_read(struct slices *l, const struct object *o, const struct strmap *by_uid)
{
    struct mp m = object_mp(o);
    struct slice *s = slice_add(l, o, group_find(l, mp_get(m, "ports")));
    s->changed = !same_labels(object_labels(o), l->labels);
    for (struct mp_iter it = mp_iter(mp_get(m, "endpoints")); mp_next(&it);) {
        if (!is_of_step(l, it.value)) {
            slot_add(s, (struct slot){.there = it.value});
            continue;
        }
        struct endpoint e = endpoint_read(it.value);
        struct place *p = strmap_get(by_uid, e.uid);
        if (p == NULL || p->taken || p->group != s->group || s->count == SLICE_MAX) {
            s->changed = true;
            continue;
        }
        p->taken = true;
        slot_add(s, (struct slot){.place = p});
        s->changed = s->changed || !same_endpoint(l, &e, p);
    }
}

static void slices_read(struct slices *l)
{
    struct strmap by_uid;
    strmap_init(&by_uid);
    for (unsigned i = 0; i < l->places.count; i++) {
        strmap_set(&by_uid, l->places.items[i].pod->uid, &l->places.items[i]);
    }
    struct view_iter it;
    view_iter_owned(&it, l->in->view, l->service->uid, kind_of(KIND_ENDPOINTSLICE));
    VIEW_FOR(o, &it)
    {
        if (!o->deleting && str_is(mp_str(mp_get(object_labels(o), MANAGED_BY)), MANAGER)) {
            slice_read(l, o, &by_uid);
        }
    }
    strmap_close(&by_uid);
}

/* ---- What is new ---- */

/* A slice of the group for so many more. One that has lost all its places may be of any group from now on. */
static struct slice *slice_choose(struct slices *l, unsigned group, unsigned more)
{
    struct slice *fits = NULL;
    for (unsigned i = 0; i < l->count; i++) {
        struct slice *s = l->items[i];
        if (s->count == 0 && s->group == l->places.groups_count) {
            s->group = group;
            return s;
        }
        if (s->group != group || s->count == SLICE_MAX) {
            continue;
        }
        if (s->changed) {
            return s;
        }
        if (SLICE_MAX - s->count >= more && (fits == NULL || s->count > fits->count)) {
            fits = s;
        }
    }
    return fits != NULL ? fits : slice_add(l, NULL, group);
}

static void slices_fill(struct slices *l, unsigned group)
{
    struct slice *s = NULL;
    unsigned more = 0;
    for (unsigned i = 0; i < l->places.count; i++) {
        more += l->places.items[i].group == group && !l->places.items[i].taken;
    }
    for (unsigned i = 0; i < l->places.count && more > 0; i++) {
        struct place *p = &l->places.items[i];
        if (p->group != group || p->taken) {
            continue;
        }
        if (s == NULL || s->count == SLICE_MAX) {
            s = slice_choose(l, group, more);
            s->changed = true;
        }
        p->taken = true;
        slot_add(s, (struct slot){.place = p});
        more--;
    }
}

/* ---- Writing ---- */

static struct value *endpoint_of(const struct slices *l, const struct place *p)
{
    struct arena *a = l->out->arena;
    struct str hint = hint_of(l, p);
    struct value *e = value_map(a), *addresses = value_list(a), *conditions = value_map(a);
    value_append(a, addresses, value_str(a, p->ip));
    value_set(a, e, "addresses", addresses);
    value_set(a, conditions, "ready", value_bool(a, p->ready));
    value_set(a, conditions, "serving", value_bool(a, p->serving));
    value_set(a, conditions, "terminating", value_bool(a, p->terminating));
    value_set(a, e, "conditions", conditions);
    value_set(a, e, "targetRef", place_target(a, p));
    if (!str_empty(p->hostname)) {
        value_set(a, e, "hostname", value_str(a, p->hostname));
    }
    if (!str_empty(p->node)) {
        value_set(a, e, "nodeName", value_str(a, p->node));
    }
    if (!str_empty(p->zone)) {
        value_set(a, e, "zone", value_str(a, p->zone));
    }
    if (!str_empty(hint)) {
        struct value *zone = value_map(a);
        value_set(a, zone, "name", value_str(a, hint));
        value_append(a, value_ensure_list(a, value_ensure_map(a, e, "hints"), "forZones"), zone);
    }
    return e;
}

static struct value *document_of(struct slices *l, const struct slice *s)
{
    struct arena *a = l->out->arena;
    if (s->o != NULL) {
        return object_to_value(a, s->o);
    }
    struct value *doc = document_owned(l->in, a, kind_of(KIND_ENDPOINTSLICE), l->service);
    value_set(a, doc, "addressType", value_cstr(a, "IPv4"));
    return doc;
}

static int slice_write(struct slices *l, const struct slice *s, struct error *err)
{
    struct arena *a = l->out->arena;
    struct value *doc = document_of(l, s), *list = value_list(a);
    for (unsigned i = 0; i < s->count; i++) {
        const struct slot *slot = &s->items[i];
        value_append(a, list, slot->place != NULL ? endpoint_of(l, slot->place) : msgpack_read_checked(a, slot->there));
    }
    value_set(a, value_get(doc, "metadata"), "labels", value_copy(a, l->labels));
    value_set(a, doc, "endpoints", list);
    if (s->group < l->places.groups_count) {
        value_set(a, doc, "ports", l->places.groups[s->group].ports);
        places_name_ports(a, value_get(doc, "ports"));
    } else if (s->count == 0) {
        value_remove(doc, "ports");
    }
    return s->o == NULL ? txn_create_value(l->out->txn, kind_of(KIND_ENDPOINTSLICE), doc, err)
                        : txn_update_value(l->out->txn, s->o->kind, doc, TXN_PART_ALL, s->o->revision, err);
}

/* Those that lose places before those that get some: a place is never in two. */
static int slices_write(struct slices *l, struct error *err)
{
    unsigned left = 0;
    int rv = 0;
    for (unsigned i = 0; i < l->count; i++) {
        left += l->items[i]->count > 0;
    }
    for (unsigned i = 0; i < l->count && rv == 0; i++) {
        struct slice *s = l->items[i];
        bool last = left == 0;
        if (l->out->txn->count >= WRITES_MAX) {
            l->full = true;
            break;
        }
        if (s->count == 0 && s->o != NULL && !last) {
            txn_delete(l->out->txn, s->o);
            continue;
        }
        left += last; /* this one stays, empty */
        s->changed = s->changed || (last && mp_count(mp_get(object_mp(s->o), "ports")) > 0);
        rv = s->changed ? slice_write(l, s, err) : 0;
    }
    return rv;
}

/* Where the next step begins: here once more if something is left to write, or where this one has ended. */
static void slices_go_on(const struct slices *l)
{
    const struct object *last = l->places.left_at;
    if (l->full && !str_empty(l->behind)) {
        last = view_get(l->in->view, kind_of(KIND_POD), l->service->ns, l->behind);
    }
    if (l->full && (str_empty(l->behind) || last == NULL)) {
        requeue_in(l->out, 1); /* from the first on */
    } else {
        l->out->left_at = last;
    }
    if (!str_empty(l->behind) && l->out->left_at == NULL) {
        l->out->rest_ms = REST_MS;
    }
}

static int slices_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *service = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (service == NULL || service->deleting || !service_selects(service) || namespace_closed(in->view, service->ns)) {
        return 0; /* those of one that is gone go with it: it owns them */
    }
    struct slices l = {.in = in, .out = out, .service = service};
    l.close = str_is(mp_str(mp_path(object_mp(service), "spec.trafficDistribution")), "PreferClose");
    l.behind = in->from != NULL ? in->from->name : STR_NONE;
    places_find(out->arena, in->view, service, l.behind, STEP_PODS, STEP_PODS, &l.places);
    l.labels = labels_for(out->arena, service, l.places.headless);
    slices_read(&l);
    for (unsigned i = 0; i < l.places.groups_count; i++) {
        slices_fill(&l, i);
    }
    if (l.count == 0) {
        slice_add(&l, NULL, 0); /* empty: it says that there is nothing */
    }
    DECIDED(out, REASON_SPREADS_PLACES, .count = l.places.count, .other = l.count);
    int rv = slices_write(&l, err);
    slices_go_on(&l);
    return rv;
}

/* Somebody has changed or removed what is ours. */
static void map_slice(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data)
{
    (void)tip;
    const struct object *o = old != NULL ? old : now;
    struct mp labels = object_labels(o);
    if (old != NULL && str_is(mp_str(mp_get(labels, MANAGED_BY)), MANAGER)) {
        emit(data, kind_of(KIND_SERVICE), o->ns, mp_str(mp_get(labels, LABEL_SERVICE_NAME)));
    }
}

static const struct controller_watch watches[] = {{KIND_SERVICE, map_self},
                                                  {KIND_POD, map_pod_services},
                                                  {KIND_NODE, map_node_services},
                                                  {KIND_ENDPOINTSLICE, map_slice},
                                                  {0, NULL}};
const struct controller controller_endpointslice = {
    .name = "endpointslice", .watches = watches, .reconcile = slices_reconcile};
