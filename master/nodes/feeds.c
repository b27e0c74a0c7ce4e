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
#include "master/master.h"
#include "master/nodes/nodes.h"
#include "master/nodes/policing.h"
#include "master/nodes/routes.h"
#include "master/nodes/serving.h"
#include "proto/facts/cluster.h"
#include "proto/facts/pod_state.h"
#include "proto/facts/storage.h"

#define SEND_US 2000
/* In a turn. What is written to connections is encrypted and handed to the kernel behind it, which costs more than
 * making it: so much for each connection, and for each byte. */
#define SEND_MAX   256u
#define SEND_BYTES (2u << 20)

struct node_feeds {
    struct master *m;
    struct list all, dirty;
    struct list routers;     /* feeds of routes */
    struct list servers;     /* feeds of services */
    struct list guards;      /* feeds of policies */
    struct strmap by_node;   /* node -> struct group of its feeds */
    struct strmap by_object; /* "kind/ns/name" -> struct group of tolds */
    size_t sent;             /* bytes, in this turn */
    struct routes *routes;
    bool routes_known;         /* since somebody follows them */
    struct serving *serving;   /* NULL while nobody follows it */
    struct policing *policing; /* likewise */
};
enum feed_sort { FEED_REFS, FEED_ROUTES, FEED_SERVICES, FEED_POLICIES };
struct group {
    struct list members;
    size_t key_size;
    char key[];
};
struct feed {
    struct list link;
    struct list group_link; /* in its node's group */
    struct list peer_link;  /* among the routers, the servers or the guards */
    struct list dirty_link; /* while it is dirty and was not refused */
    struct node_feeds *feeds;
    struct group *group;
    struct master *m;
    struct session *session; /* whose stream it is; to be compared only */
    struct rpc_stream *stream;
    char node[PKI_NAME_MAX + 1];
    enum feed_sort sort;
    bool dirty, ended, introduced;
    bool walk;           /* refs: what the pods name may have changed, not only what they named before */
    uint64_t mark;       /* of the last walk */
    struct strmap told;  /* refs: "kind/ns/name" -> struct told */
    struct list changed; /* refs: struct told, of objects that have changed */
    bool route_changes;  /* the agent understands them */
    uint64_t routes_sent;
    struct serving_place served;    /* services */
    struct policing_place *policed; /* policies; NULL: not yet */
};
struct told {
    struct list group_link, changed_link;
    struct feed *feed;
    struct group *group; /* of those who follow the same object; its key is ours */
    const struct kind *kind;
    struct str ns, name; /* inside of the key */
    uint64_t revision;   /* 0 = absent, and the agent knows */
    uint64_t mark;       /* walk in which a pod named it */
};

/* As rpc_stream_write. */
static int send_payload(struct feed *f, struct str payload)
{
    int rv = rpc_stream_write(f->stream, payload);
    f->feeds->sent += rv == 0 ? payload.n : 0;
    return rv;
}

/* ---- Who follows what ---- */

static struct group *group_get(struct strmap *groups, struct str key)
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

static void group_leave(struct strmap *groups, struct group *g, struct list *member)
{
    list_remove(member);
    if (list_empty(&g->members)) {
        strmap_remove(groups, (struct str){g->key, g->key_size});
        free(g);
    }
}

static void mark_dirty(struct feed *f)
{
    if (!f->dirty && !f->ended) {
        f->dirty = true;
        list_push_back(&f->feeds->dirty, &f->dirty_link);
        master_wake(f->m);
    }
}

static void told_free(struct told *t)
{
    list_remove(&t->changed_link);
    group_leave(&t->feed->feeds->by_object, t->group, &t->group_link);
    free(t);
}

/* ---- Which objects the pods of a node name ---- */

/* How far references are followed: a pod names a claim, a claim names a volume. */
#define REFS_DEPTH_MAX 3u
struct refs_walk {
    struct feed *f;
    const struct view *v;
    unsigned depth;
};

static void add_ref(void *data, const struct kind_reference *r)
{
    struct refs_walk *w = data;
    struct feed *f = w->f;
    if (r->use != REFERENCE_CONTENT || r->name.n == 0 || r->name.n > NAME_KEY_MAX) {
        return;
    }
    char key[600];
    int n = snprintf(key, sizeof key, "%d/%.*s/%.*s", r->kind->id, STR_ARG(r->ns), STR_ARG(r->name));
    struct str k = {key, (size_t)n};
    struct told *t = strmap_get(&f->told, k);
    if (t == NULL) {
        t = xcalloc(1, sizeof *t);
        t->feed = f;
        t->kind = r->kind;
        t->group = group_get(&f->feeds->by_object, k);
        t->name = (struct str){t->group->key + k.n - r->name.n, r->name.n};
        t->ns = (struct str){t->name.p - 1 - r->ns.n, r->ns.n};
        list_init(&t->changed_link);
        list_push_back(&t->group->members, &t->group_link);
        strmap_set(&f->told, (struct str){t->group->key, t->group->key_size}, t);
    }
    bool again = t->mark == f->mark;
    t->mark = f->mark;
    const struct object *o = again || r->kind->references == NULL ? NULL : view_get(w->v, r->kind, r->ns, r->name);
    if (o != NULL && ++w->depth < REFS_DEPTH_MAX) {
        kind_references(o, add_ref, w);
    }
    w->depth -= o != NULL;
}

/* ---- Sending ---- */

static void write_event(struct buf *events, const char *type, const struct told *t, const struct object *o)
{
    mp_write_map(events, 2);
    mp_write_key_str(events, "type", str_of(type));
    mp_write_cstr(events, "object");
    if (o != NULL) {
        object_write_wire(events, o);
        return;
    }
    mp_write_map(events, 3);
    mp_write_key_str(events, "apiVersion", str_of(t->kind->api_version));
    mp_write_key_str(events, "kind", str_of(t->kind->name));
    mp_write_cstr(events, "metadata");
    mp_write_map(events, 2);
    mp_write_key_str(events, "name", t->name);
    mp_write_key_str(events, "namespace", t->ns);
}

/* What is sent at once: a message must hold it, however much the pods of a node name. */
#define REFS_CHUNK_EVENTS 256u
#define REFS_CHUNK_BYTES  (128u << 10)
struct refs_chunk {
    struct buf events;
    unsigned count;
    struct {
        struct told *told;
        uint64_t revision;
    } items[REFS_CHUNK_EVENTS];
};

/* Sends the chunk; what was sent is remembered. */
static int send_chunk(struct feed *f, const struct view *v, struct refs_chunk *k, bool bookmark)
{
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "revision", (int64_t)view_revision(v));
    mp_write_cstr(&b, "events");
    mp_write_array(&b, k->count + bookmark);
    buf_append(&b, k->events.data, k->events.size);
    if (bookmark) {
        mp_write_map(&b, 1);
        mp_write_key_str(&b, "type", STR("BOOKMARK"));
    }
    int rv = send_payload(f, buf_str(&b));
    for (unsigned i = 0; i < k->count && rv == 0; i++) {
        k->items[i].told->revision = k->items[i].revision;
    }
    k->count = 0;
    buf_reset(&k->events);
    buf_close(&b);
    return rv;
}

/* Into the chunk, if it differs from what the agent was told; a full chunk is sent. */
static int tell(struct feed *f, const struct view *v, struct told *t, struct refs_chunk *k)
{
    const struct object *o = t->mark == f->mark ? view_get(v, t->kind, t->ns, t->name) : NULL;
    uint64_t revision = o == NULL ? 0 : o->revision;
    if (revision == t->revision) {
        return 0;
    }
    write_event(&k->events, o == NULL ? "DELETED" : t->revision == 0 ? "ADDED" : "MODIFIED", t, o);
    k->items[k->count].told = t;
    k->items[k->count++].revision = revision;
    return k->count == REFS_CHUNK_EVENTS || k->events.size >= REFS_CHUNK_BYTES ? send_chunk(f, v, k, false) : 0;
}

/* Sends what differs between what the agent was told and the committed state: of all, or of what is known to have
 * changed. */
static int send_difference(struct feed *f, const struct view *v, struct refs_chunk *k)
{
    size_t cursor = 0;
    const struct strmap_entry *e;
    int rv = 0;
    while (f->walk && rv == 0 && (e = strmap_next(&f->told, &cursor)) != NULL) {
        rv = tell(f, v, e->value, k);
    }
    if (!f->walk) {
        for (struct list *it = f->changed.next; rv == 0 && it != &f->changed; it = it->next) {
            rv = tell(f, v, LIST_ENTRY(it, struct told, changed_link), k);
        }
    }
    if (rv == 0 && (k->count > 0 || !f->introduced)) {
        rv = send_chunk(f, v, k, !f->introduced);
    }
    return rv;
}

/* What no pod names any more, and the agent knows: a map must not be changed while it is walked. */
static void forget_unnamed(struct feed *f)
{
    struct told **gone = xcalloc(f->told.count + 1, sizeof *gone);
    size_t cursor = 0, count = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&f->told, &cursor)) != NULL) {
        struct told *t = e->value;
        if (t->mark != f->mark && t->revision == 0) {
            gone[count++] = t;
        }
    }
    for (size_t i = 0; i < count; i++) {
        strmap_remove(&f->told, (struct str){gone[i]->group->key, gone[i]->group->key_size});
        told_free(gone[i]);
    }
    free(gone);
}

static void walk_pods(struct feed *f, const struct view *v)
{
    struct view_iter it;
    struct refs_walk w = {.f = f, .v = v};
    CLEANUP_BUF struct buf key = BUF_INIT;
    f->mark++;
    view_iter_node_pods(&it, v, str_of(f->node));
    VIEW_FOR(pod, &it)
    {
        kind_references(pod, add_ref, &w);
    }
    index_volume_node_key(&key, str_of(f->node));
    view_iter_index(&it, v, VIEW_BY_VOLUME, buf_str(&key), kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE);
    VIEW_FOR(volume, &it)
    {
        const struct kind_reference r = {.kind = volume->kind, .name = volume->name, .use = REFERENCE_CONTENT};
        add_ref(&w, &r);
    }
}

static int send_refs(struct feed *f, const struct view *v)
{
    if (f->walk) {
        walk_pods(f, v);
    }
    struct refs_chunk k = {.events = BUF_INIT};
    int rv = send_difference(f, v, &k);
    buf_close(&k.events);
    if (rv != 0) {
        return rv;
    }
    f->introduced = true;
    while (!list_empty(&f->changed)) {
        list_remove(f->changed.next);
    }
    if (f->walk) {
        forget_unnamed(f);
    }
    f->walk = false;
    return 0;
}

static int send_routes(struct feed *f)
{
    struct routes *r = f->feeds->routes;
    if (f->routes_sent == routes_version(r)) {
        return 0;
    }
    int rv = send_payload(f, routes_message(r, f->routes_sent, f->route_changes));
    if (rv == 0) {
        f->routes_sent = routes_version(r);
    }
    return rv;
}

static int send_services(struct feed *f)
{
    struct serving_place next;
    if (!serving_is_behind(f->feeds->serving, &f->served)) {
        return 0;
    }
    int rv = send_payload(f, serving_message(f->feeds->serving, &f->served, &next));
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
    int rv = send_payload(f, policing_message(f->policed, view_revision(v)));
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
        return send_refs(f, v);
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
        mark_dirty(f); /* the next part, behind the others */
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

/* What the node's pods name may be something else now. */
static void note_node(struct node_feeds *feeds, struct str node)
{
    struct group *g = str_empty(node) ? NULL : strmap_get(&feeds->by_node, node);
    if (g != NULL) {
        LIST_FOR(it, &g->members)
        {
            struct feed *f = LIST_ENTRY(it, struct feed, group_link);
            if (f->sort == FEED_REFS) {
                f->walk = true;
                mark_dirty(f);
            }
        }
    }
}

/* A pod's status names nothing. */
static void note_pod(struct node_feeds *feeds, const struct change *ch)
{
    bool both = ch->old != NULL && ch->new != NULL;
    if (both && object_same_spec(ch->old, ch->new)) {
        return;
    }
    note_node(feeds, ch->old == NULL ? STR_NONE : pod_node(ch->old));
    note_node(feeds, ch->new == NULL ? STR_NONE : pod_node(ch->new));
}

static void note_object(struct node_feeds *feeds, const struct object *o)
{
    char key[600];
    int n = snprintf(key, sizeof key, "%d/%.*s/%.*s", o->kind->id, STR_ARG(o->ns), STR_ARG(o->name));
    struct group *g = strmap_get(&feeds->by_object, (struct str){key, (size_t)n});
    if (g != NULL) {
        LIST_FOR(it, &g->members)
        {
            struct told *t = LIST_ENTRY(it, struct told, group_link);
            if (list_empty(&t->changed_link)) {
                list_push_back(&t->feed->changed, &t->changed_link);
            }
            t->feed->walk |= o->kind->references != NULL; /* and what it names */
            mark_dirty(t->feed);
        }
    }
}

/* A volume has come to a node, or left it. */
static void note_volume(struct node_feeds *feeds, const struct change *ch)
{
    if (ch->old == NULL || ch->new == NULL) {
        note_node(feeds, object_label(ch->old == NULL ? ch->new : ch->old, STORAGE_LABEL_NODE));
    } else if (!str_eq(object_label(ch->old, STORAGE_LABEL_NODE), object_label(ch->new, STORAGE_LABEL_NODE))) {
        note_node(feeds, object_label(ch->old, STORAGE_LABEL_NODE));
        note_node(feeds, object_label(ch->new, STORAGE_LABEL_NODE));
    }
}

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
        mark_dirty(LIST_ENTRY(it, struct feed, peer_link));
    }
}

void node_feeds_advance(struct master *m, const struct history_txn *txn)
{
    struct node_feeds *feeds = m->feeds;
    bool routes = false, services = false;
    departed_advance(m->departed, txn, env_now_ms(m->env));
    for (unsigned i = 0; i < txn->count; i++) {
        const struct change *ch = &txn->changes[i];
        const struct object *any = ch->new != NULL ? ch->new : ch->old;
        if (any->kind->id == KIND_NODE) {
            nodes_on_node_changed(m, ch->old, ch->new);
        }
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
            note_pod(feeds, ch);
        } else if (any->kind->is_content) {
            note_object(feeds, any);
            if (any->kind->id == KIND_PERSISTENTVOLUME) {
                note_volume(feeds, ch);
            }
        }
    }
    if (routes) {
        note_all(&feeds->routers);
    }
    if (services) {
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
        mark_dirty(f);
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
    group_leave(&feeds->by_node, f->group, &f->group_link);
    size_t cursor = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&f->told, &cursor)) != NULL) {
        told_free(e->value);
    }
    strmap_close(&f->told);
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
    mark_dirty(data);
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
    f->group = group_get(&feeds->by_node, str_of(f->node));
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
    mark_dirty(f);
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
