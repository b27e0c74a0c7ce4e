#include "controllers/services/places.h"

#include "base/strmap.h"

static struct mp selector_of(const struct object *service)
{
    return mp_path(object_mp(service), "spec.selector");
}

bool service_selects(const struct object *service)
{
    return mp_count(selector_of(service)) > 0 &&
           !str_is(mp_str(mp_path(object_mp(service), "spec.type")), "ExternalName");
}

static bool selects(struct mp selector, const struct object *pod)
{
    struct mp labels = object_labels(pod);
    for (struct mp_iter it = mp_iter(selector); mp_next(&it);) {
        struct mp label = mp_get_str_key(labels, it.key);
        if (mp_type(label) != MP_STR || !str_eq(mp_str(label), mp_str(it.value))) {
            return false;
        }
    }
    return mp_count(selector) > 0;
}

/* ---- Ports ---- */

/* The number of a container's port of that name and protocol; 0: there is none. */
static int64_t port_named(const struct object *pod, struct str name, struct str protocol)
{
    static const char *const lists[] = {"spec.containers", "spec.initContainers"};
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        for (struct mp_iter c = mp_iter(mp_path(object_mp(pod), lists[i])); mp_next(&c);) {
            if (i == 1 && !str_is(mp_str(mp_get(c.value, "restartPolicy")), "Always")) {
                continue; /* it has ended when the pod serves */
            }
            for (struct mp_iter p = mp_iter(mp_get(c.value, "ports")); mp_next(&p);) {
                struct str its = mp_str(mp_get(p.value, "protocol"));
                if (str_eq(mp_str(mp_get(p.value, "name")), name) &&
                    str_eq(str_empty(its) ? STR("TCP") : its, protocol)) {
                    return mp_int(mp_get(p.value, "containerPort"), 0);
                }
            }
        }
    }
    return 0;
}

static void copy_text(struct arena *a, struct value *to, struct mp from, const char *key)
{
    struct str s = mp_str(mp_get(from, key));
    if (!str_empty(s)) {
        value_set(a, to, key, value_str(a, s));
    }
}

static struct value *ports_for(struct arena *a, const struct object *service, const struct object *pod)
{
    struct value *list = value_list(a);
    for (struct mp_iter it = mp_iter(mp_path(object_mp(service), "spec.ports")); mp_next(&it);) {
        struct mp target = mp_get(it.value, "targetPort");
        struct str protocol = mp_str(mp_get(it.value, "protocol"));
        int64_t number = mp_type(target) == MP_STR ? port_named(pod, mp_str(target), protocol)
                                                   : mp_int(target, mp_int(mp_get(it.value, "port"), 0));
        if (number > 0) {
            struct value *port = value_map(a);
            copy_text(a, port, it.value, "name");
            copy_text(a, port, it.value, "protocol");
            value_set(a, port, "port", value_int(a, number));
            copy_text(a, port, it.value, "appProtocol");
            value_append(a, list, port);
        }
    }
    return list;
}

void places_name_ports(struct arena *a, struct value *ports)
{
    VALUE_FOR(i, ports)
    {
        struct value *port = value_item(ports, i);
        if (value_get(port, "name") == NULL) {
            value_set(a, port, "name", value_cstr(a, ""));
        }
    }
}

static bool has_named_target(const struct object *service)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(service), "spec.ports")); mp_next(&it);) {
        if (mp_type(mp_get(it.value, "targetPort")) == MP_STR) {
            return true;
        }
    }
    return false;
}

struct grouping {
    struct arena *arena;
    struct places *places;
    struct strmap known; /* numbers as text -> group */
    bool named;
};

static unsigned group_add(struct grouping *g, struct value *ports)
{
    struct places *l = g->places;
    l->groups = arena_grow(g->arena, l->groups, l->groups_count, &l->groups_cap, sizeof *l->groups, 4);
    l->groups[l->groups_count] = (struct place_group){.ports = ports};
    return l->groups_count++;
}

static unsigned group_of(struct grouping *g, const struct object *service, const struct object *pod)
{
    if (!g->named && g->places->groups_count > 0) {
        return 0;
    }
    struct value *ports = ports_for(g->arena, service, pod);
    CLEANUP_BUF struct buf key = BUF_INIT;
    msgpack_write_value(&key, ports);
    struct place_group *there = strmap_get(&g->known, buf_str(&key));
    unsigned at = there != NULL ? (unsigned)(uintptr_t)there - 1 : group_add(g, ports);
    if (there == NULL) {
        strmap_set(&g->known, buf_str(&key), (void *)(uintptr_t)(at + 1));
    }
    return at;
}

/* ---- Places ---- */

static void place_add(struct arena *a, struct places *l, const struct place *p)
{
    l->items = arena_grow(a, l->items, l->count, &l->cap, sizeof *l->items, 16);
    l->items[l->count++] = *p;
}

static struct str zone_of(const struct view *v, struct str node)
{
    const struct object *o = str_empty(node) ? NULL : view_get(v, kind_of(KIND_NODE), STR_NONE, node);
    return o == NULL ? STR_NONE : mp_str(mp_get(object_labels(o), LABEL_ZONE));
}

static struct str pod_ip(const struct object *pod)
{
    return mp_str(mp_get(object_status(pod), "podIP"));
}

/* What others see of a pod: an address, and that it has not ended. */
static bool has_place(const struct object *pod)
{
    return !pod_finished(pod) && !str_empty(pod_ip(pod));
}

/* The same, and what a place says of itself: each part of the body is walked over once. */
static bool place_read(struct place *p, struct str service)
{
    struct mp spec = object_spec(p->pod), status = object_status(p->pod);
    struct str subdomain = STR_NONE, hostname = STR_NONE;
    struct str phase = mp_str(mp_get(status, "phase"));
    p->ip = mp_str(mp_get(status, "podIP"));
    if (str_empty(p->ip) || str_is(phase, "Succeeded") || str_is(phase, "Failed")) {
        return false;
    }
    for (struct mp_iter it = mp_iter(spec); mp_next(&it);) {
        if (str_is(it.key, "nodeName")) {
            p->node = mp_str(it.value);
        } else if (str_is(it.key, "hostname")) {
            hostname = mp_str(it.value);
        } else if (str_is(it.key, "subdomain")) {
            subdomain = mp_str(it.value);
        }
    }
    p->hostname = str_eq(subdomain, service) ? hostname : STR_NONE;
    return true;
}

void places_find(struct arena *a, const struct view *v, const struct object *service, struct str behind,
                 unsigned visits, unsigned most, struct places *out)
{
    struct mp selector = selector_of(service), spec = mp_get(object_mp(service), "spec");
    bool publishes = mp_bool(mp_get(spec, "publishNotReadyAddresses"), false);
    struct grouping g = {.arena = a, .places = out, .named = has_named_target(service)};
    struct mp_iter first = mp_iter(selector);
    *out = (struct places){.headless = str_is(mp_str(mp_get(spec, "clusterIP")), "None")};
    if (!mp_next(&first)) {
        return;
    }
    CLEANUP_BUF struct buf key = BUF_INIT;
    strmap_init(&g.known);
    index_label_key(&key, service->ns, first.key, mp_str(first.value));
    struct view_iter it;
    const struct object *last = NULL;
    view_iter_index_after(&it, v, VIEW_BY_LABEL, buf_str(&key), kind_of(KIND_POD), service->ns, service->ns, behind);
    VIEW_FOR(pod, &it)
    {
        struct place p = {.pod = pod};
        if (visits-- == 0 || out->count == most) {
            out->left_at = last;
            break;
        }
        last = pod;
        if (!selects(selector, pod) || !place_read(&p, service->name)) {
            continue;
        }
        p.serving = pod_ready(pod, NULL);
        p.terminating = pod->deleting;
        p.ready = publishes || (p.serving && !p.terminating);
        p.group = group_of(&g, service, pod);
        p.zone = zone_of(v, p.node);
        out->groups[p.group].count++;
        place_add(a, out, &p);
    }
    strmap_close(&g.known);
}

struct value *place_target(struct arena *a, const struct place *p)
{
    struct value *ref = value_map(a);
    value_set(a, ref, "kind", value_cstr(a, "Pod"));
    value_set(a, ref, "namespace", value_str(a, p->pod->ns));
    value_set(a, ref, "name", value_str(a, p->pod->name));
    value_set(a, ref, "uid", value_str(a, p->pod->uid));
    return ref;
}

/* ---- Who must look ---- */

static void emit_selecting(const struct view *tip, const struct object *pod, controller_emit *emit, void *data)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    for (struct mp_iter it = mp_iter(object_labels(pod)); mp_next(&it);) {
        buf_reset(&key);
        index_label_key(&key, pod->ns, it.key, mp_str(it.value));
        struct view_iter services;
        view_iter_index(&services, tip, VIEW_BY_SELECTOR, buf_str(&key), kind_of(KIND_SERVICE), pod->ns);
        VIEW_FOR(service, &services)
        {
            if (selects(selector_of(service), pod)) {
                emit(data, service->kind, service->ns, service->name);
            }
        }
    }
}

/* Of two that have a place: nothing that stands in it has changed. */
static bool same_place(const struct object *a, const struct object *b)
{
    return a->deleting == b->deleting && pod_ready(a, NULL) == pod_ready(b, NULL) && str_eq(pod_ip(a), pod_ip(b)) &&
           mp_equal(object_labels(a), object_labels(b)) && (object_same_spec(a, b) || str_eq(pod_node(a), pod_node(b)));
}

void map_pod_services(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data)
{
    bool was = old != NULL && has_place(old), is = now != NULL && has_place(now);
    if ((!was && !is) || (was && is && same_place(old, now))) {
        return;
    }
    if (was) {
        emit_selecting(tip, old, emit, data);
    }
    if (is && (!was || !mp_equal(object_labels(old), object_labels(now)))) {
        emit_selecting(tip, now, emit, data);
    }
}

void map_node_services(const struct view *tip, const struct object *old, const struct object *now,
                       controller_emit *emit, void *data)
{
    struct str was = old == NULL ? STR_NONE : mp_str(mp_get(object_labels(old), LABEL_ZONE)),
               is = now == NULL ? STR_NONE : mp_str(mp_get(object_labels(now), LABEL_ZONE));
    if (str_eq(was, is)) {
        return;
    }
    struct view_iter it;
    view_iter_node_pods(&it, tip, (now != NULL ? now : old)->name);
    VIEW_FOR(pod, &it)
    {
        if (has_place(pod)) {
            emit_selecting(tip, pod, emit, data);
        }
    }
}
