#include "master/nodes/routes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "master/nodes/ages.h"
#include "proto/facts/node_match.h"

#define CLUSTER_MEMBERS 7u

struct route {
    struct aged aged;
    char *cidr, *ip, *zone; /* zone: "" = none */
};
struct written {
    struct buf message;
    uint64_t since, version; /* version 0: nothing has been written */
};
struct routes {
    struct ages ages;   /* by the node's name */
    struct buf cluster; /* members of a map, CLUSTER_MEMBERS of them; empty = not known */
    struct written whole, part;
    int64_t told_ms; /* 0: never */
};

static struct route *route_of(struct aged *e)
{
    return CONTAINER_OF(e, struct route, aged);
}

static void route_free(struct aged *e)
{
    free(route_of(e)->cidr);
    free(route_of(e)->ip);
    free(route_of(e)->zone);
    free(route_of(e));
}

struct routes *routes_new(void)
{
    struct routes *r = xcalloc(1, sizeof *r);
    ages_init(&r->ages, ROUTES_GONE_MAX, route_free);
    return r;
}

void routes_free(struct routes *r)
{
    if (r == NULL) {
        return;
    }
    ages_close(&r->ages);
    buf_close(&r->whole.message);
    buf_close(&r->part.message);
    buf_close(&r->cluster);
    free(r);
}

uint64_t routes_version(const struct routes *r)
{
    return r->ages.version;
}

/* ---- Changes ---- */

static struct str internal_ip(const struct object *node)
{
    for (struct mp_iter it = mp_iter(mp_get(object_status(node), "addresses")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "type")), "InternalIP")) {
            return mp_str(mp_get(it.value, "address"));
        }
    }
    return STR_NONE;
}

static bool put(struct routes *r, const struct object *node)
{
    struct str cidr = mp_str(mp_get(object_spec(node), "podCIDR")), ip = internal_ip(node);
    struct str zone = object_label(node, LABEL_ZONE);
    struct aged *e = ages_get(&r->ages, node->name);
    if (e != NULL) {
        e->seen = true;
    }
    if (cidr.n == 0 || ip.n == 0) {
        return ages_remove(&r->ages, e);
    }
    if (e != NULL && !e->gone && str_is(cidr, route_of(e)->cidr) && str_is(ip, route_of(e)->ip) &&
        str_is(zone, route_of(e)->zone)) {
        return false;
    }
    if (e == NULL) {
        e = &((struct route *)xcalloc(1, sizeof(struct route)))->aged;
        ages_add(&r->ages, e, node->name);
    }
    struct route *route = route_of(e);
    free(route->cidr);
    free(route->ip);
    free(route->zone);
    route->cidr = xstrndup(cidr.p, cidr.n);
    route->ip = xstrndup(ip.p, ip.n);
    route->zone = xstrndup(zone.p, zone.n);
    ages_touch(&r->ages, e);
    return true;
}

bool routes_change(struct routes *r, const struct object *old, const struct object *new)
{
    return new != NULL ? put(r, new) : ages_remove(&r->ages, ages_get(&r->ages, old->name));
}

void routes_sync(struct routes *r, const struct view *v)
{
    struct view_iter it;
    r->ages.version += r->ages.version == 0; /* also of a cluster without nodes something can be told */
    ages_sync_begin(&r->ages);
    view_iter(&it, v, kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        put(r, node);
    }
    ages_sync_end(&r->ages);
}

bool routes_set_cluster(struct routes *r, const struct cluster_config *c)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char pods[CIDR_TEXT_SIZE], services[CIDR_TEXT_SIZE];
    cidr_text(c->pods, pods);
    cidr_text(c->services, services);
    mp_write_key_str(&b, "podSubnet", str_of(pods));
    mp_write_key_str(&b, "serviceSubnet", str_of(services));
    mp_write_key_str(&b, "dnsDomain", c->dns_domain);
    mp_write_key_str(&b, "podRouting", c->pod_routing);
    mp_write_key_int(&b, "vxlanID", c->vxlan_id);
    mp_write_key_int(&b, "vxlanPort", c->vxlan_port);
    mp_write_key_str(&b, "podTokens", c->pod_tokens ? STR(CLUSTER_POD_TOKENS) : STR("OnRequest"));
    if (str_eq(buf_str(&b), buf_str(&r->cluster))) {
        return false;
    }
    buf_reset(&r->cluster);
    buf_append(&r->cluster, b.data, b.size);
    r->ages.version++;
    return true;
}

/* ---- Telling ---- */

bool routes_tell_now(struct routes *r, unsigned followers, int64_t now_ms)
{
    int64_t pause_ms = followers < ROUTES_CROWD ? 0 : followers / ROUTES_A_MS;
    if (r->told_ms != 0 && now_ms - r->told_ms < pause_ms) {
        return false;
    }
    r->told_ms = now_ms;
    return true;
}

static void write_route(struct buf *b, const struct aged *e)
{
    const struct route *route = CONTAINER_OF(e, struct route, aged);
    mp_write_map(b, route->zone[0] != '\0' ? 4 : 3);
    mp_write_key_str(b, "name", e->key);
    mp_write_key_str(b, "podCIDR", str_of(route->cidr));
    mp_write_key_str(b, "internalIP", str_of(route->ip));
    if (route->zone[0] != '\0') {
        mp_write_key_str(b, "zone", str_of(route->zone));
    }
}

/* Before anybody has said what the cluster is to be, nothing is told of it. */
static void write_head(struct buf *b, const struct routes *r, uint32_t more)
{
    mp_write_map(b, (r->cluster.size == 0 ? 0 : CLUSTER_MEMBERS) + more);
    if (r->cluster.size > 0) {
        buf_append(b, r->cluster.data, r->cluster.size);
    }
}

static void write_whole(struct routes *r)
{
    struct buf *b = &r->whole.message;
    write_head(b, r, 1);
    mp_write_cstr(b, "routes");
    mp_write_array(b, (uint32_t)(r->ages.by_key.count - r->ages.gone));
    LIST_FOR(it, &r->ages.by_age)
    {
        const struct aged *e = LIST_ENTRY(it, struct aged, link);
        if (!e->gone) {
            write_route(b, e);
        }
    }
}

static void write_part(struct routes *r, uint64_t since)
{
    CLEANUP_BUF struct buf changed = BUF_INIT;
    CLEANUP_BUF struct buf gone = BUF_INIT;
    uint32_t changed_count = 0, gone_count = 0;
    for (struct list *it = ages_behind(&r->ages, since); it != &r->ages.by_age; it = it->next) {
        const struct aged *e = LIST_ENTRY(it, struct aged, link);
        if (e->gone) {
            mp_write_str(&gone, e->key);
            gone_count++;
        } else {
            write_route(&changed, e);
            changed_count++;
        }
    }
    struct buf *b = &r->part.message;
    write_head(b, r, 2);
    mp_write_cstr(b, "changed");
    mp_write_array(b, changed_count);
    buf_append(b, changed.data, changed.size);
    mp_write_cstr(b, "gone");
    mp_write_array(b, gone_count);
    buf_append(b, gone.data, gone.size);
}

/* The whole table as it was written, for who is told the rest as changes. */
static bool is_fresh_enough(const struct routes *r)
{
    uint64_t at = r->whole.version, there = r->ages.by_key.count - r->ages.gone;
    return at > 0 && at >= r->ages.forgotten && there >= ROUTES_CROWD && r->ages.version - at <= there / 4;
}

struct str routes_message(struct routes *r, uint64_t since, bool changes, uint64_t *stands)
{
    bool part = changes && since > 0 && since >= r->ages.forgotten;
    struct written *w = part ? &r->part : &r->whole;
    assert(r->ages.version > 0);
    if (changes && !part && is_fresh_enough(r)) {
        *stands = r->whole.version;
        return buf_str(&r->whole.message);
    }
    *stands = r->ages.version;
    if (w->version != r->ages.version || (part && w->since != since)) {
        buf_reset(&w->message);
        w->version = r->ages.version;
        w->since = since;
        if (part) {
            write_part(r, since);
        } else {
            write_whole(r);
        }
    }
    return buf_str(&w->message);
}
