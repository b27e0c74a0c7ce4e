/* What an agent follows beside its pods: the objects whose content its pods name, ConfigMaps, Secrets and claims, with
 * the volumes that the claims name, and the volumes of the local provisioner that the node has (all in node.refs),
 * the routes to other nodes (node.routes), all Services with where they lead (node.services), and the network policies
 * for its pods (node.policies).
 *
 * A feed is state-based: it remembers what the agent has been told (object -> revision, or the number of the newest
 * route) and, when something that could matter has changed, sends the difference. So lost credit, reconnects and bursts
 * need no queue: a feed is dirty or it is not. An agent is told of no Secret that no pod of it names (kind_references).
 *
 * A change visits the feeds that it concerns and no others: feeds are found by their node (a pod has come, gone or
 * changed its spec) and by the objects that they follow; routes and services are one table each for all (routes.h,
 * serving.h), policies one that knows who follows what (policing.h). Who follows an object is listed here although an
 * index of the state tells which pods name it: those may be 30 times as many as the nodes, all of them at once, and
 * what each agent was told stands in the list. Feeds that are dirty stand in a list; SEND_MAX of them send in a turn,
 * for SEND_US or SEND_BYTES; the others go on in the next. */
#include "master/nodes/feeds.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/auth/departed.h"
#include "master/front/call.h"
#include "master/nodes/feeds_int.h"
#include "master/nodes/nodes.h"
#include "master/nodes/routes.h"
#include "proto/facts/cluster.h"
#include "proto/facts/pod_state.h"
#include "proto/facts/storage.h"

#define SEND_US 2000
/* In a turn. What is written to connections is encrypted and handed to the kernel behind it, which costs more than
 * making it: so much for each connection, and for each byte. */
#define SEND_MAX   256u
#define SEND_BYTES (2u << 20)

/* As rpc_stream_write. */
int feed_send(struct feed *f, struct str payload)
{
    int rv = rpc_stream_write(f->stream, payload);
    f->feeds->sent += rv == 0 ? payload.n : 0;
    return rv;
}

/* ---- Who follows what ---- */

struct group *feeds_group_get(struct strmap *groups, struct str key)
{
    struct group *g = strmap_get(groups, key);
    if (g == NULL) {
        g = xcalloc(1, sizeof *g + key.n);
        memcpy(g->key, key.p, key.n);
        g->key_size = key.n;
        list_init(&g->members);
        strmap_set(groups, (struct str){g->key, g->key_size}, g);
    }
    return g;
}

void feeds_group_leave(struct strmap *groups, struct group *g, struct list *member)
{
    list_remove(member);
    if (list_empty(&g->members)) {
        strmap_remove(groups, (struct str){g->key, g->key_size});
        free(g);
    }
}

void feed_mark_dirty(struct feed *f)
{
    if (!f->dirty && !f->ended) {
        f->dirty = true;
        list_push_back(&f->feeds->dirty, &f->dirty_link);
        master_wake(f->m);
    }
}

static int send_routes(struct feed *f)
{
    struct routes *r = f->feeds->routes;
    if (f->routes_sent == routes_version(r)) {
        return 0;
    }
    uint64_t stands;
    int rv = feed_send(f, routes_message(r, f->routes_sent, f->route_changes, &stands));
    if (rv == 0) {
        f->routes_sent = stands;
        f->feeds->routes_held |= stands != routes_version(r); /* the rest follows with the next changes, or soon */
    }
    return rv;
}

static int send_services(struct feed *f)
{
    struct serving_place next;
    if (!serving_is_behind(f->feeds->serving, &f->served)) {
        return 0;
    }
    int rv = feed_send(f, serving_message(f->feeds->serving, &f->served, &next));
    if (rv == 0) {
        f->served = next;
    }
    return rv;
}

static int send_policies(struct feed *f, const struct view *v)
{
    if (!policing_is_behind(f->policed)) {
        return 0;
    }
    int rv = feed_send(f, policing_message(f->policed, view_revision(v)));
    if (rv == 0) {
        policing_sent(f->policed);
    }
    return rv;
}

static int send_next(struct feed *f)
{
    const struct view *v = store_committed(replica_store(f->m->replica));
    switch (f->sort) {
    case FEED_ROUTES:
        return send_routes(f);
    case FEED_SERVICES:
        return send_services(f);
    case FEED_POLICIES:
        return send_policies(f, v);
    default:
        return feed_send_refs(f, v);
    }
}

static bool has_more(const struct feed *f)
{
    return (f->sort == FEED_SERVICES && serving_is_behind(f->feeds->serving, &f->served)) ||
           (f->sort == FEED_POLICIES && policing_is_behind(f->policed));
}

static void flush(struct feed *f)
{
    list_remove(&f->dirty_link);
    if (f->ended || !f->dirty) {
        return;
    }
    int rv = send_next(f);
    f->dirty = rv != 0; /* still dirty: no credit, on_writable puts it back */
    if (rv == 0 && has_more(f)) {
        feed_mark_dirty(f); /* the next part, behind the others */
    }
}

bool node_feeds_waiting(const struct node_feeds *f)
{
    return !list_empty(&f->dirty);
}

bool node_feeds_turn(struct node_feeds *f)
{
    uint64_t end = uv_hrtime() + SEND_US * 1000u;
    f->sent = 0;
    for (unsigned i = 0; i < SEND_MAX && f->sent < SEND_BYTES && !list_empty(&f->dirty); i++) {
        flush(LIST_ENTRY(f->dirty.next, struct feed, dirty_link));
        if (uv_hrtime() >= end) {
            break;
        }
    }
    return !list_empty(&f->dirty);
}

/* ---- Noticing ---- */

/* True: something of what agents are told of the cluster is another than before. */
static bool read_cluster(struct node_feeds *feeds)
{
    const struct view *v = store_committed(replica_store(feeds->m->replica));
    struct cluster_config config;
    cluster_config_read(view_get(v, kind_by_id(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME)),
                        &config);
    return routes_set_cluster(feeds->routes, &config);
}

static void read_routes(struct node_feeds *feeds)
{
    routes_sync(feeds->routes, store_committed(replica_store(feeds->m->replica)));
    read_cluster(feeds);
}

static void note_all(struct list *feeds)
{
    LIST_FOR(it, feeds)
    {
        feed_mark_dirty(LIST_ENTRY(it, struct feed, peer_link));
    }
}

static void note_routes(struct node_feeds *feeds)
{
    feeds->routes_held = !routes_tell_now(feeds->routes, (unsigned)feeds->by_node.count, env_now_ms(feeds->m->env));
    if (!feeds->routes_held) {
        note_all(&feeds->routers);
    }
}

void node_feeds_tick(struct master *m)
{
    if (m->feeds->routes_held) {
        note_routes(m->feeds);
    }
}

void node_feeds_advance(struct master *m, const struct history_txn *txn)
{
    struct node_feeds *feeds = m->feeds;
    bool routes = false, services = false, served = false;
    departed_advance(m->departed, txn, env_now_ms(m->env));
    for (unsigned i = 0; i < txn->count; i++) {
        const struct change *ch = &txn->changes[i];
        const struct object *any = ch->new != NULL ? ch->new : ch->old;
        if (any->kind->id == KIND_NODE) {
            nodes_on_node_changed(m, ch->old, ch->new);
        }
        served = served || serving_is_of(any);
        if (list_empty(&feeds->all)) {
            continue;
        }
        if (feeds->policing != NULL && policing_is_of(any)) {
            policing_change(feeds->policing, ch->old, ch->new);
        }
        if (any->kind->id == KIND_NODE) {
            routes |= feeds->routes_known && routes_change(feeds->routes, ch->old, ch->new);
        } else if (any->kind->id == KIND_CLUSTERCONFIGURATION) {
            routes |= feeds->routes_known && read_cluster(feeds);
        } else if (serving_is_of(any)) {
            services = feeds->serving != NULL;
            if (services) {
                serving_change(feeds->serving, ch->old, ch->new);
            }
        } else if (any->kind->id == KIND_POD) {
            feeds_note_pod(feeds, ch);
        } else if (any->kind->is_content) {
            feeds_note_object(feeds, any);
            if (any->kind->id == KIND_PERSISTENTVOLUME) {
                feeds_note_volume(feeds, ch);
            }
        }
    }
    if (routes) {
        note_routes(feeds);
    }
    if (served) {
        moments_note(&feeds->moments, txn->revision, env_now_ms(m->env));
    }
    if (services) {
        serving_is_at(feeds->serving, txn->revision);
        note_all(&feeds->servers);
    }
}

void node_feeds_restored(struct master *m)
{
    struct node_feeds *feeds = m->feeds;
    nodes_on_restored(m);
    if (feeds->routes_known) {
        read_routes(feeds);
    }
    if (feeds->serving != NULL) {
        serving_sync(feeds->serving, store_committed(replica_store(m->replica)));
    }
    if (feeds->policing != NULL) {
        policing_sync(feeds->policing);
    }
    LIST_FOR(it, &feeds->all)
    {
        struct feed *f = LIST_ENTRY(it, struct feed, link);
        f->walk = true;
        feed_mark_dirty(f);
    }
}

/* ---- Streams ---- */

static void on_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    (void)payload;
    (void)data;
    rpc_stream_consumed(st, payload_bytes);
}

static void on_writable(struct rpc_stream *st, void *data)
{
    struct feed *f = data;
    (void)st;
    if (f->dirty && !f->ended) { /* in the turn, with the others */
        list_remove(&f->dirty_link);
        list_push_back(&f->feeds->dirty, &f->dirty_link);
        master_wake(f->m);
    }
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)err;
    struct feed *f = data;
    if (!f->ended) {
        rpc_stream_end(st, NULL);
    }
    struct node_feeds *feeds = f->feeds;
    list_remove(&f->link);
    list_remove(&f->dirty_link);
    list_remove(&f->peer_link);
    feeds->routes_known = feeds->routes_known && !list_empty(&feeds->routers);
    if (list_empty(&feeds->servers)) {
        serving_free(feeds->serving);
        feeds->serving = NULL;
    }
    if (f->policed != NULL) {
        policing_unfollow(f->policed);
    }
    if (list_empty(&feeds->guards)) {
        policing_free(feeds->policing);
        feeds->policing = NULL;
    }
    feeds_group_leave(&feeds->by_node, f->group, &f->group_link);
    feed_forget_told(f);
    free(f);
}

static const struct rpc_stream_events feed_events = {.on_data = on_data, .on_writable = on_writable, .on_end = on_end};

/* One feed of a sort for a node and connection is enough: an older one ends. */
static void end_former(const struct feed *newest)
{
    LIST_FOR(it, &newest->group->members)
    {
        struct feed *f = LIST_ENTRY(it, struct feed, group_link);
        if (f != newest && f->sort == newest->sort && f->session == newest->session && !f->ended) {
            struct error err = {0};
            error_set(&err, ERR_CANCELED, "the connection follows the same a second time; this is the former stream");
            f->ended = true;
            rpc_stream_end(f->stream, &err);
        }
    }
}

static void end_feed(struct feed *f, const struct error *why)
{
    if (!f->ended) {
        f->ended = true;
        rpc_stream_end(f->stream, why);
    }
}

void node_feeds_end(struct master *m, const struct error *why)
{
    LIST_FOR_SAFE(it, &m->feeds->all)
    {
        end_feed(LIST_ENTRY(it, struct feed, link), why);
    }
}

void node_feeds_end_of(struct master *m, struct str node, const struct error *why)
{
    struct group *g = strmap_get(&m->feeds->by_node, node);
    LIST_FOR(it, &g->members)
    {
        end_feed(LIST_ENTRY(it, struct feed, group_link), why);
    }
}

bool node_feeds_has(const struct master *m, struct str node)
{
    return strmap_get(&m->feeds->by_node, node) != NULL;
}

const struct moments *node_feeds_services_changes(const struct master *m)
{
    return &m->feeds->moments;
}

unsigned node_feeds_nodes(const struct master *m)
{
    return (unsigned)m->feeds->by_node.count;
}

static const struct view *committed(void *data)
{
    const struct node_feeds *feeds = data;
    return store_committed(replica_store(feeds->m->replica));
}

static void on_behind(void *data)
{
    feed_mark_dirty(data);
}

static void feed_start(struct call *c, enum feed_sort sort)
{
    struct str node;
    if (!call_own_node(c, &node)) {
        return;
    }
    struct node_feeds *feeds = c->m->feeds;
    struct feed *f = xcalloc(1, sizeof *f);
    f->feeds = feeds;
    f->m = c->m;
    f->session = call_session(c);
    f->sort = sort;
    f->route_changes = mp_bool(mp_get(c->params.all, "changes"), false);
    f->walk = true;
    snprintf(f->node, sizeof f->node, "%.*s", STR_ARG(node));
    strmap_init(&f->told);
    list_init(&f->changed);
    list_init(&f->link);
    list_init(&f->group_link);
    list_init(&f->peer_link);
    list_init(&f->dirty_link);
    f->stream = rpc_stream_accept(call_take_request(c), &feed_events, f);
    if (f->stream == NULL) {
        strmap_close(&f->told);
        free(f);
        return;
    }
    f->group = feeds_group_get(&feeds->by_node, str_of(f->node));
    list_push_back(&f->group->members, &f->group_link);
    if (sort != FEED_REFS) {
        list_push_back(sort == FEED_ROUTES     ? &feeds->routers
                       : sort == FEED_SERVICES ? &feeds->servers
                                               : &feeds->guards,
                       &f->peer_link);
    }
    end_former(f);
    list_push_back(&feeds->all, &f->link);
    if (sort == FEED_SERVICES && feeds->serving == NULL) {
        feeds->serving = serving_new();
        serving_sync(feeds->serving, store_committed(replica_store(f->m->replica)));
    }
    if (sort == FEED_POLICIES && feeds->policing == NULL) {
        feeds->policing = policing_new(committed, feeds);
        policing_sync(feeds->policing);
    }
    if (sort == FEED_POLICIES) {
        f->policed = policing_follow(feeds->policing, str_of(f->node), on_behind, f);
    }
    if (sort == FEED_ROUTES && !feeds->routes_known) {
        feeds->routes_known = true;
        read_routes(feeds);
        note_all(&feeds->routers);
    }
    feed_mark_dirty(f);
}

static void method_node_refs(struct call *c)
{
    feed_start(c, FEED_REFS);
}

const struct method request_node_refs = {"node.refs", method_node_refs, METHOD_NODE | METHOD_LEADER | METHOD_SERVED,
                                         "name revision"};

static void method_node_routes(struct call *c)
{
    feed_start(c, FEED_ROUTES);
}

const struct method request_node_routes = {"node.routes", method_node_routes,
                                           METHOD_NODE | METHOD_LEADER | METHOD_SERVED, "name changes"};

static void method_node_services(struct call *c)
{
    feed_start(c, FEED_SERVICES);
}

const struct method request_node_services = {"node.services", method_node_services,
                                             METHOD_NODE | METHOD_LEADER | METHOD_SERVED, "name"};

static void method_node_policies(struct call *c)
{
    feed_start(c, FEED_POLICIES);
}

const struct method request_node_policies = {"node.policies", method_node_policies,
                                             METHOD_NODE | METHOD_LEADER | METHOD_SERVED, "name"};

/* ---- Life ---- */

struct node_feeds *node_feeds_new(struct master *m)
{
    struct node_feeds *f = xcalloc(1, sizeof *f);
    f->m = m;
    list_init(&f->all);
    list_init(&f->dirty);
    list_init(&f->routers);
    list_init(&f->servers);
    list_init(&f->guards);
    strmap_init(&f->by_node);
    strmap_init(&f->by_object);
    f->routes = routes_new();
    return f;
}

void node_feeds_free(struct node_feeds *f)
{
    if (f == NULL) {
        return;
    }
    assert(list_empty(&f->all) && f->by_node.count == 0 && f->by_object.count == 0);
    strmap_close(&f->by_node);
    strmap_close(&f->by_object);
    routes_free(f->routes);
    serving_free(f->serving);
    policing_free(f->policing);
    free(f);
}
