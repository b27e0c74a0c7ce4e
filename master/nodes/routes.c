#include "master/nodes/routes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/strmap.h"

struct route {
    struct list link;
    uint64_t version; /* of its last change */
    bool gone, seen;  /* seen: by the sync that runs */
    char *cidr, *ip;
    size_t name_size;
    char name[];
};
struct written {
    struct buf message;
    uint64_t since, version; /* version 0: nothing has been written */
};
struct routes {
    struct strmap by_name;
    struct list by_age; /* the newest change last */
    uint64_t version;
    uint64_t forgotten; /* who was told less than this may know nodes that are gone and that we do not know any more */
    unsigned gone;
    char pods[64], services[64]; /* "" = not known */
    struct written whole, part;
};

struct routes *routes_new(void)
{
    struct routes *r = xcalloc(1, sizeof *r);
    strmap_init(&r->by_name);
    list_init(&r->by_age);
    return r;
}

static void forget(struct routes *r, struct route *route)
{
    r->gone -= route->gone;
    list_remove(&route->link);
    strmap_remove(&r->by_name, (struct str){route->name, route->name_size});
    free(route->cidr);
    free(route->ip);
    free(route);
}

void routes_free(struct routes *r)
{
    if (r == NULL) {
        return;
    }
    while (!list_empty(&r->by_age)) {
        forget(r, LIST_ENTRY(r->by_age.next, struct route, link));
    }
    strmap_close(&r->by_name);
    buf_close(&r->whole.message);
    buf_close(&r->part.message);
    free(r);
}

uint64_t routes_version(const struct routes *r)
{
    return r->version;
}

/* ---- Changes ---- */

static struct str internal_ip(const struct object *node)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(node), "status.addresses")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "type")), "InternalIP")) {
            return mp_str(mp_get(it.value, "address"));
        }
    }
    return STR_NONE;
}

static void touch(struct routes *r, struct route *route)
{
    route->version = ++r->version;
    list_remove(&route->link);
    list_push_back(&r->by_age, &route->link);
}

static bool take_away(struct routes *r, struct route *route)
{
    if (route == NULL || route->gone) {
        return false;
    }
    route->gone = true;
    r->gone++;
    touch(r, route);
    for (struct list *it = r->by_age.next; r->gone > ROUTES_GONE_MAX;) {
        struct route *old = LIST_ENTRY(it, struct route, link);
        it = it->next;
        if (old->gone) {
            r->forgotten = MAX(r->forgotten, old->version);
            forget(r, old);
        }
    }
    return true;
}

static bool put(struct routes *r, const struct object *node)
{
    struct str cidr = mp_str(mp_path(object_mp(node), "spec.podCIDR")), ip = internal_ip(node);
    struct route *route = strmap_get(&r->by_name, node->name);
    if (route != NULL) {
        route->seen = true;
    }
    if (cidr.n == 0 || ip.n == 0) {
        return take_away(r, route);
    }
    if (route != NULL && !route->gone && str_is(cidr, route->cidr) && str_is(ip, route->ip)) {
        return false;
    }
    if (route == NULL) {
        route = xcalloc(1, sizeof *route + node->name.n);
        memcpy(route->name, node->name.p, node->name.n);
        route->name_size = node->name.n;
        list_init(&route->link);
        strmap_set(&r->by_name, node->name, route);
    }
    r->gone -= route->gone;
    route->gone = false;
    route->seen = true;
    free(route->cidr);
    free(route->ip);
    route->cidr = xstrndup(cidr.p, cidr.n);
    route->ip = xstrndup(ip.p, ip.n);
    touch(r, route);
    return true;
}

bool routes_change(struct routes *r, const struct object *old, const struct object *new)
{
    return new != NULL ? put(r, new) : take_away(r, strmap_get(&r->by_name, old->name));
}

void routes_sync(struct routes *r, const struct view *v)
{
    struct view_iter it;
    LIST_FOR(at, &r->by_age)
    {
        LIST_ENTRY(at, struct route, link)->seen = false;
    }
    r->version += r->version == 0; /* also of a cluster without nodes something can be told */
    view_iter(&it, v, kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        put(r, node);
    }
    size_t unseen = 0;
    struct route **gone = xcalloc(r->by_name.count + 1, sizeof *gone);
    LIST_FOR(at, &r->by_age)
    {
        struct route *route = LIST_ENTRY(at, struct route, link);
        if (!route->seen && !route->gone) {
            gone[unseen++] = route;
        }
    }
    for (size_t i = 0; i < unseen; i++) {
        take_away(r, gone[i]); /* may forget some that were gone before it, and none behind it */
    }
    free(gone);
}

bool routes_set_subnets(struct routes *r, const char *pods, const char *services)
{
    if (strcmp(pods, r->pods) == 0 && strcmp(services, r->services) == 0) {
        return false;
    }
    snprintf(r->pods, sizeof r->pods, "%s", pods);
    snprintf(r->services, sizeof r->services, "%s", services);
    r->version++;
    return true;
}

/* ---- Telling ---- */

static void write_route(struct buf *b, const struct route *route)
{
    mp_write_map(b, 3);
    mp_write_key_str(b, "name", (struct str){route->name, route->name_size});
    mp_write_key_str(b, "podCIDR", str_of(route->cidr));
    mp_write_key_str(b, "internalIP", str_of(route->ip));
}

static void write_subnets(struct buf *b, const struct routes *r)
{
    mp_write_key_str(b, "podSubnet", str_of(r->pods));
    mp_write_key_str(b, "serviceSubnet", str_of(r->services));
}

static void write_whole(struct routes *r)
{
    struct buf *b = &r->whole.message;
    mp_write_map(b, 3);
    write_subnets(b, r);
    mp_write_cstr(b, "routes");
    mp_write_array(b, (uint32_t)(r->by_name.count - r->gone));
    LIST_FOR(it, &r->by_age)
    {
        const struct route *route = LIST_ENTRY(it, struct route, link);
        if (!route->gone) {
            write_route(b, route);
        }
    }
}

static void write_part(struct routes *r, uint64_t since)
{
    CLEANUP_BUF struct buf changed = BUF_INIT;
    CLEANUP_BUF struct buf gone = BUF_INIT;
    uint32_t changed_count = 0, gone_count = 0;
    for (const struct list *it = r->by_age.prev; it != &r->by_age; it = it->prev) {
        const struct route *route = LIST_ENTRY(it, struct route, link);
        if (route->version <= since) {
            break;
        }
        if (route->gone) {
            mp_write_str(&gone, (struct str){route->name, route->name_size});
            gone_count++;
        } else {
            write_route(&changed, route);
            changed_count++;
        }
    }
    struct buf *b = &r->part.message;
    mp_write_map(b, 4);
    write_subnets(b, r);
    mp_write_cstr(b, "changed");
    mp_write_array(b, changed_count);
    buf_append(b, changed.data, changed.size);
    mp_write_cstr(b, "gone");
    mp_write_array(b, gone_count);
    buf_append(b, gone.data, gone.size);
}

struct str routes_message(struct routes *r, uint64_t since, bool changes)
{
    bool part = changes && since > 0 && since >= r->forgotten;
    struct written *w = part ? &r->part : &r->whole;
    assert(r->version > 0);
    if (w->version != r->version || (part && w->since != since)) {
        buf_reset(&w->message);
        w->version = r->version;
        w->since = since;
        if (part) {
            write_part(r, since);
        } else {
            write_whole(r);
        }
    }
    return buf_str(&w->message);
}
