#include "agent/service/known.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "proto/kinds/kinds.h"

#include <stdio.h>
#include <stdlib.h>

#define LABEL_SERVICE "kubernetes.io/service-name"
#define KEY_SIZE      512

struct known_one {
    char *name;             /* its key */
    struct object *service; /* NULL: only slices of it are there */
    struct list slices, changed;
    char **keys; /* of its ports as they were told */
    unsigned keys_count;
    uint16_t health_port; /* that was told */
    bool seen;
};
struct known_slice {
    struct list link;  /* of its Service, or alone */
    struct list local; /* in known.local if it has an endpoint of this node */
    struct known_one *of;
    struct object *object;
    bool seen;
};
struct known {
    struct strmap services, slices; /* "NAMESPACE/NAME" -> the above */
    struct strmap addresses;        /* cluster IP, 4 bytes -> struct known_one */
    struct strmap hosts;            /* address of an endpoint that has a name, 4 bytes -> struct known_slice */
    struct strmap namespaces;       /* -> unsigned, Services in it */
    bool was_complete;
    uint64_t revision;
    struct list changed;
    struct list local;     /* slices with an endpoint of this node */
    struct strmap leaving; /* uid of a pod -> &leaves, or &left: ended, but a slice still names it */
    struct strmap present; /* uid of a pod here -> its address, as a pointer */
    struct known_ops ops;
    char *node, *zone; /* zone: "" = none */
    bool hearing_whole;
    bool any_left; /* of those that leave one has ended */
};

static char leaves, left; /* what known.leaving leads to */

struct known *known_new(const char *node, const struct known_ops *ops)
{
    struct known *k = xcalloc(1, sizeof *k);
    strmap_init(&k->services);
    strmap_init(&k->slices);
    strmap_init(&k->addresses);
    strmap_init(&k->hosts);
    strmap_init(&k->namespaces);
    strmap_init(&k->leaving);
    strmap_init(&k->present);
    list_init(&k->changed);
    list_init(&k->local);
    k->ops = *ops;
    k->node = xstrdup(node);
    k->zone = xstrdup("");
    return k;
}

static void free_keys(struct known_one *one)
{
    for (unsigned i = 0; i < one->keys_count; i++) {
        free(one->keys[i]);
    }
    free(one->keys);
    one->keys = NULL;
    one->keys_count = 0;
}

static void free_one(struct known_one *one)
{
    object_unref(one->service);
    free_keys(one);
    free(one->name);
    free(one);
}

void known_free(struct known *k)
{
    const struct strmap_entry *e;
    for (size_t i = 0; k != NULL && (e = strmap_next(&k->services, &i)) != NULL;) {
        free_one(e->value);
    }
    for (size_t i = 0; k != NULL && (e = strmap_next(&k->slices, &i)) != NULL;) {
        struct known_slice *s = e->value;
        object_unref(s->object);
        free(s);
    }
    for (size_t i = 0; k != NULL && (e = strmap_next(&k->namespaces, &i)) != NULL;) {
        free(e->value);
    }
    if (k != NULL) {
        strmap_close(&k->services);
        strmap_close(&k->slices);
        strmap_close(&k->addresses);
        strmap_close(&k->hosts);
        strmap_close(&k->namespaces);
        strmap_close(&k->leaving);
        strmap_close(&k->present);
        free(k->node);
        free(k->zone);
        free(k);
    }
}

static struct str key_of(char out[KEY_SIZE], struct str ns, struct str name)
{
    int n = snprintf(out, KEY_SIZE, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
    return (struct str){out, (size_t)MIN(n, KEY_SIZE - 1)};
}

static struct known_one *get_one(struct known *k, struct str ns, struct str name)
{
    char text[KEY_SIZE];
    struct str key = key_of(text, ns, name);
    struct known_one *one = strmap_get(&k->services, key);
    if (one == NULL) {
        one = xcalloc(1, sizeof *one);
        list_init(&one->slices);
        list_init(&one->changed);
        one->name = xstrndup(key.p, key.n);
        strmap_set(&k->services, key, one);
    }
    return one;
}

static void note(struct known *k, struct known_one *one)
{
    if (one != NULL && list_empty(&one->changed)) {
        list_push_back(&k->changed, &one->changed);
    }
}

/* ---- Who has which address ---- */

struct address {
    uint8_t bytes[4];
};

static struct str address_key(uint32_t ip, struct address *at)
{
    memcpy(at->bytes, &ip, sizeof at->bytes);
    return (struct str){(const char *)at->bytes, sizeof at->bytes};
}

/* Two may have the same address for a moment: the later one has it. */
static void claim(struct strmap *m, uint32_t ip, void *who)
{
    struct address at;
    if (ip != 0) {
        strmap_set(m, address_key(ip, &at), who);
    }
}

static void release(struct strmap *m, uint32_t ip, const void *who)
{
    struct address at;
    struct str key = address_key(ip, &at);
    if (strmap_get(m, key) == who) {
        strmap_remove(m, key);
    }
}

static uint32_t cluster_ip(const struct object *service)
{
    return known_ip(mp_str(mp_path(object_mp(service), "spec.clusterIP")));
}

static void count_namespace(struct known *k, struct str ns, int by)
{
    unsigned *count = strmap_get(&k->namespaces, ns);
    if (count == NULL) {
        count = xcalloc(1, sizeof *count);
        strmap_set(&k->namespaces, ns, count);
    }
    *count += (unsigned)by;
    if (*count == 0) {
        free(strmap_remove(&k->namespaces, ns));
    }
}

/* Takes the Service, which may be NULL: it is gone. */
static void set_service(struct known *k, struct known_one *one, struct object *take)
{
    struct object *former = one->service;
    one->service = take;
    if (former != NULL) {
        release(&k->addresses, cluster_ip(former), one);
    }
    if (take != NULL) {
        claim(&k->addresses, cluster_ip(take), one);
    }
    if ((former != NULL) != (take != NULL)) {
        count_namespace(k, former != NULL ? former->ns : take->ns, take != NULL ? 1 : -1);
    }
    object_unref(former);
}

static void each_host(struct known *k, struct known_slice *s, bool is_there)
{
    for (struct mp_iter it = mp_iter(mp_get(object_mp(s->object), "endpoints")); mp_next(&it);) {
        struct mp_iter addresses = mp_iter(mp_get(it.value, "addresses"));
        if (str_empty(mp_str(mp_get(it.value, "hostname"))) || !mp_next(&addresses)) {
            continue;
        }
        uint32_t ip = known_ip(mp_str(addresses.value));
        if (is_there) {
            claim(&k->hosts, ip, s);
        } else {
            release(&k->hosts, ip, s);
        }
    }
}

static bool names_pod(const struct known *k, const struct object *slice, struct str uid)
{
    for (struct mp_iter it = mp_iter(mp_get(object_mp(slice), "endpoints")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "nodeName")), k->node) &&
            (uid.n == 0 || str_eq(mp_str(mp_path(it.value, "targetRef.uid")), uid))) {
            return true;
        }
    }
    return false;
}

/* Takes the object, which may be NULL. */
static void set_slice(struct known *k, struct known_slice *s, struct object *take)
{
    list_remove(&s->local);
    if (take != NULL && names_pod(k, take, STR_NONE)) {
        list_push_back(&k->local, &s->local);
    }
    if (s->object != NULL) {
        each_host(k, s, false);
    }
    object_unref(s->object);
    s->object = take;
    if (take != NULL) {
        each_host(k, s, true);
    }
}

/* ---- Where pods of this node are ---- */

/* The address of an endpoint's pod if it is here and not where the endpoint says; 0: nothing is known against it. */
static uint32_t other_address(const struct known *k, struct mp endpoint)
{
    struct mp_iter addresses = mp_iter(mp_get(endpoint, "addresses"));
    if (!str_is(mp_str(mp_get(endpoint, "nodeName")), k->node)) {
        return 0;
    }
    void *there = strmap_get(&k->present, mp_str(mp_path(endpoint, "targetRef.uid")));
    uint32_t ip = (uint32_t)(uintptr_t)there;
    return ip != 0 && mp_next(&addresses) && known_ip(mp_str(addresses.value)) != ip ? ip : 0;
}

/* Takes a slice and gives it back as it is, or another one with the addresses that pods here have. */
static struct object *with_present(const struct known *k, struct object *take)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL;
    struct object *out = NULL;
    unsigned at = 0;
    arena_init(&a);
    for (struct mp_iter it = mp_iter(mp_get(object_mp(take), "endpoints")); mp_next(&it); at++) {
        uint32_t ip = other_address(k, it.value);
        if (ip != 0) {
            doc = doc != NULL ? doc : object_to_value(&a, take);
            struct value *addresses = value_list(&a);
            value_append(&a, addresses,
                         value_strf(&a, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255));
            value_set(&a, value_item(value_get(doc, "endpoints"), at), "addresses", addresses);
        }
    }
    if (doc == NULL || object_from_value(take->kind, doc, take->revision, &out, NULL) != 0) {
        return take;
    }
    object_unref(take);
    return out;
}

/* ---- What is told ---- */

static void put_service(struct known *k, struct object *take)
{
    struct known_one *one = get_one(k, take->ns, take->name);
    set_service(k, one, take);
    one->seen = true;
    note(k, one);
}

static void put_slice(struct known *k, struct object *told)
{
    char text[KEY_SIZE];
    struct object *take = k->present.count > 0 ? with_present(k, told) : told;
    struct str key = key_of(text, take->ns, take->name), owner = object_label(take, LABEL_SERVICE);
    struct known_slice *s = strmap_get(&k->slices, key);
    if (s == NULL) {
        s = xcalloc(1, sizeof *s);
        list_init(&s->link);
        list_init(&s->local);
        strmap_set(&k->slices, key, s);
    }
    note(k, s->of); /* of another Service before, perhaps */
    list_remove(&s->link);
    set_slice(k, s, take);
    s->seen = true;
    s->of = owner.n > 0 ? get_one(k, take->ns, owner) : NULL;
    if (s->of != NULL) {
        list_push_back(&s->of->slices, &s->link);
        note(k, s->of);
    }
}

static void put(struct known *k, struct mp m)
{
    struct object *o = NULL;
    if (object_from_wire(m, &o, NULL) != 0) {
        return;
    }
    if (o->kind->id == KIND_SERVICE) {
        put_service(k, o);
    } else if (o->kind->id == KIND_ENDPOINTSLICE) {
        put_slice(k, o);
    } else {
        object_unref(o);
    }
}

static void drop_service(struct known *k, struct known_one *one)
{
    set_service(k, one, NULL);
    note(k, one);
}

static void drop_slice(struct known *k, struct known_slice *s)
{
    note(k, s->of);
    list_remove(&s->link);
    set_slice(k, s, NULL);
    free(s);
}

static void drop(struct known *k, struct mp m)
{
    char text[KEY_SIZE];
    struct str key = key_of(text, mp_str(mp_get(m, "namespace")), mp_str(mp_get(m, "name")));
    struct str kind = mp_str(mp_get(m, "kind"));
    if (str_is(kind, "Service")) {
        struct known_one *one = strmap_get(&k->services, key);
        if (one != NULL) {
            drop_service(k, one);
        }
    } else if (str_is(kind, "EndpointSlice")) {
        struct known_slice *s = strmap_remove(&k->slices, key);
        if (s != NULL) {
            drop_slice(k, s);
        }
    }
}

static void begin_whole(struct known *k)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&k->services, &i)) != NULL;) {
        ((struct known_one *)e->value)->seen = false;
    }
    for (size_t i = 0; (e = strmap_next(&k->slices, &i)) != NULL;) {
        ((struct known_slice *)e->value)->seen = false;
    }
    k->hearing_whole = true;
}

/* What was not among all there is, is gone. */
static void end_whole(struct known *k)
{
    const struct strmap_entry *e;
    struct strmap kept;
    strmap_init(&kept);
    for (size_t i = 0; (e = strmap_next(&k->slices, &i)) != NULL;) {
        struct known_slice *s = e->value;
        if (s->seen) {
            strmap_set(&kept, (struct str){e->key, e->key_size}, s);
        } else {
            drop_slice(k, s);
        }
    }
    strmap_close(&k->slices);
    k->slices = kept;
    for (size_t i = 0; (e = strmap_next(&k->services, &i)) != NULL;) {
        struct known_one *one = e->value;
        if (!one->seen && one->service != NULL) {
            drop_service(k, one);
        }
    }
    k->hearing_whole = false;
}

/* ---- What comes of it ---- */

struct telling {
    struct known *k;
    struct known_one *one;
};

static void tell_port(const struct service_port *p, void *data)
{
    struct telling *t = data;
    t->one->keys = xrealloc(t->one->keys, (t->one->keys_count + 1) * sizeof(char *));
    t->one->keys[t->one->keys_count++] = xstrdup(p->key);
    t->k->ops.put(p, t->k->ops.data);
}

static bool has_key(const struct known_one *one, const char *key)
{
    for (unsigned i = 0; i < one->keys_count; i++) {
        if (strcmp(one->keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static void tell_health(struct known *k, struct known_one *one, const struct object *const *slices, unsigned count,
                        const struct known_here *here)
{
    uint16_t port = one->service == NULL ? 0 : known_health_port(one->service);
    if (k->ops.health != NULL && (port != 0 || one->health_port != 0)) {
        k->ops.health(one->name, port, port == 0 ? 0 : known_ready_here(slices, count, here), k->ops.data);
    }
    one->health_port = port;
}

static void tell(struct known *k, struct known_one *one)
{
    struct known_one before = {.keys = one->keys, .keys_count = one->keys_count};
    struct telling t = {k, one};
    const struct object **slices = NULL;
    unsigned count = 0;
    one->keys = NULL;
    one->keys_count = 0;
    LIST_FOR(it, &one->slices)
    {
        slices = xrealloc(slices, (count + 1) * sizeof *slices);
        slices[count++] = LIST_ENTRY(it, struct known_slice, link)->object;
    }
    struct known_here here = {k->node, &k->leaving, str_of(k->zone)};
    if (one->service != NULL) {
        known_translate(one->service, slices, count, &here, tell_port, &t);
    }
    tell_health(k, one, slices, count, &here);
    for (unsigned i = 0; i < before.keys_count; i++) {
        if (!has_key(one, before.keys[i])) {
            k->ops.remove(before.keys[i], k->ops.data);
        }
    }
    free_keys(&before);
    free(slices);
}

static void tell_changed(struct known *k)
{
    while (!list_empty(&k->changed)) {
        struct known_one *one = LIST_ENTRY(k->changed.next, struct known_one, changed);
        list_remove(&one->changed);
        tell(k, one);
        if (one->service == NULL && list_empty(&one->slices)) {
            strmap_remove(&k->services, str_of(one->name));
            free_one(one);
        }
    }
}

void known_set_zone(struct known *k, struct str zone)
{
    const struct strmap_entry *e;
    if (str_is(zone, k->zone)) {
        return;
    }
    free(k->zone);
    k->zone = xstrndup(zone.p, zone.n);
    for (size_t i = 0; (e = strmap_next(&k->services, &i)) != NULL;) {
        note(k, e->value);
    }
    if (!k->hearing_whole) {
        tell_changed(k);
    }
}

/* ---- Pods that end ---- */

static bool is_named(const struct known *k, struct str uid, struct known *noting)
{
    bool named = false;
    LIST_FOR(it, &k->local)
    {
        struct known_slice *s = LIST_ENTRY(it, struct known_slice, local);
        if (names_pod(k, s->object, uid)) {
            named = true;
            if (noting != NULL) {
                note(noting, s->of);
            }
        }
    }
    return named;
}

bool known_pod_leaves(struct known *k, struct str uid)
{
    if (uid.n == 0 || strmap_get(&k->leaving, uid) != NULL) {
        return false;
    }
    strmap_set(&k->leaving, uid, &leaves);
    bool named = is_named(k, uid, k);
    if (named && !k->hearing_whole) {
        tell_changed(k);
    }
    return named;
}

/* Returns whether any is left that has ended. */
static bool forget_left(struct known *k)
{
    bool any = false;
    struct strmap kept;
    const struct strmap_entry *e;
    strmap_init(&kept);
    for (size_t i = 0; (e = strmap_next(&k->leaving, &i)) != NULL;) {
        struct str uid = {e->key, e->key_size};
        if (e->value == &leaves || is_named(k, uid, NULL)) {
            strmap_set(&kept, uid, e->value);
            any = any || e->value == &left;
        }
    }
    strmap_close(&k->leaving);
    k->leaving = kept;
    return any;
}

void known_pod_left(struct known *k, struct str uid)
{
    strmap_remove(&k->present, uid);
    if (strmap_get(&k->leaving, uid) != NULL) {
        strmap_set(&k->leaving, uid, &left);
        if (!is_named(k, uid, NULL)) {
            strmap_remove(&k->leaving, uid);
        }
        k->any_left = true;
    }
}

void known_pod_is_at(struct known *k, struct str uid, uint32_t ip)
{
    if (uid.n == 0 || ip == 0) {
        return;
    }
    strmap_set(&k->present, uid, (void *)(uintptr_t)ip);
    LIST_FOR(it, &k->local)
    {
        struct known_slice *s = LIST_ENTRY(it, struct known_slice, local);
        struct object *now = with_present(k, object_ref(s->object));
        if (now != s->object) {
            each_host(k, s, false);
            object_unref(s->object);
            s->object = object_ref(now);
            each_host(k, s, true);
            note(k, s->of);
        }
        object_unref(now);
    }
    if (!k->hearing_whole) {
        tell_changed(k);
    }
}

void known_told(struct known *k, struct mp message)
{
    if (mp_bool(mp_get(message, "whole"), false)) {
        begin_whole(k);
    }
    for (struct mp_iter it = mp_iter(mp_get(message, "gone")); mp_next(&it);) {
        drop(k, it.value);
    }
    for (struct mp_iter it = mp_iter(mp_get(message, "changed")); mp_next(&it);) {
        put(k, it.value);
    }
    bool complete = mp_bool(mp_get(message, "complete"), false);
    if (complete && k->hearing_whole) {
        end_whole(k);
    }
    if (!k->hearing_whole) {
        tell_changed(k);
        k->any_left = k->any_left && forget_left(k);
    }
    k->was_complete = k->was_complete || complete;
    k->revision = complete ? (uint64_t)MAX(mp_int(mp_get(message, "revision"), 0), INT64_C(0)) : k->revision;
    if (complete && k->ops.complete != NULL) {
        k->ops.complete(k->ops.data);
    }
}

const struct object *known_service(const struct known *k, struct str ns, struct str name)
{
    char text[KEY_SIZE];
    const struct known_one *one = strmap_get(&k->services, key_of(text, ns, name));
    return one == NULL ? NULL : one->service;
}

void known_write(const struct known *k, struct buf *out)
{
    const struct strmap_entry *e;
    uint32_t count = (uint32_t)k->slices.count;
    for (size_t i = 0; (e = strmap_next(&k->services, &i)) != NULL;) {
        count += ((const struct known_one *)e->value)->service != NULL;
    }
    mp_write_map(out, 3);
    mp_write_key_bool(out, "whole", true);
    mp_write_key_bool(out, "complete", true);
    mp_write_cstr(out, "changed");
    mp_write_array(out, count);
    for (size_t i = 0; (e = strmap_next(&k->services, &i)) != NULL;) {
        const struct known_one *one = e->value;
        if (one->service != NULL) {
            object_write_wire(out, one->service);
        }
    }
    for (size_t i = 0; (e = strmap_next(&k->slices, &i)) != NULL;) {
        object_write_wire(out, ((const struct known_slice *)e->value)->object);
    }
}

uint64_t known_revision(const struct known *k)
{
    return k->revision;
}

bool known_is_complete(const struct known *k)
{
    return k->was_complete;
}

struct known_slices known_slices(const struct known *k, struct str ns, struct str name)
{
    char text[KEY_SIZE];
    const struct known_one *one = strmap_get(&k->services, key_of(text, ns, name));
    if (one == NULL || one->service == NULL) {
        return (struct known_slices){0};
    }
    return (struct known_slices){&one->slices, one->slices.next};
}

const struct object *known_slice_next(struct known_slices *it)
{
    if (it->at == it->all) {
        return NULL;
    }
    const struct known_slice *s = LIST_ENTRY(it->at, struct known_slice, link);
    it->at = it->at->next;
    return s->object;
}

static int compare_names(const void *a, const void *b)
{
    return str_cmp((*(const struct object *const *)a)->name, (*(const struct object *const *)b)->name);
}

const struct object **known_services(const struct known *k, struct str ns, unsigned max, unsigned *count)
{
    const struct object **list = NULL;
    unsigned n = 0, cap = 0;
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&k->services, &i)) != NULL;) {
        const struct object *o = ((const struct known_one *)e->value)->service;
        if (o == NULL || !str_eq(o->ns, ns) || known_ip(mp_str(mp_get(object_spec(o), "clusterIP"))) == 0) {
            continue;
        }
        if (n == cap) {
            cap = cap == 0 ? 16 : 2 * cap;
            list = xrealloc(list, cap * sizeof *list);
        }
        list[n++] = o;
    }
    if (n > 0) {
        qsort(list, n, sizeof *list, compare_names);
    }
    *count = MIN(n, max);
    return list;
}

const struct object *known_service_at(const struct known *k, uint32_t ip)
{
    struct address at;
    const struct known_one *one = strmap_get(&k->addresses, address_key(ip, &at));
    return one == NULL ? NULL : one->service;
}

const struct object *known_host_at(const struct known *k, uint32_t ip)
{
    struct address at;
    const struct known_slice *s = strmap_get(&k->hosts, address_key(ip, &at));
    return s == NULL ? NULL : s->object;
}

bool known_has_namespace(const struct known *k, struct str ns)
{
    return strmap_get(&k->namespaces, ns) != NULL;
}
