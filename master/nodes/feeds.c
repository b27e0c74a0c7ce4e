/* What an agent follows beside its pods: the objects whose content its pods name, ConfigMaps and Secrets (node.refs), and the routes to other nodes (node.routes).
 *
 * A feed is state-based: it remembers what the agent has been told (object -> revision, or the hash of the routes) and, when something that could
 * matter has changed, sends the difference. So lost credit, reconnects and bursts need no queue: a feed is dirty or it is not.
 * An agent is told of no Secret that none of its pods names. What a pod names is told by its kind (kind_references). */
#include "master/nodes/feeds.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "master/auth/departed.h"
#include "master/front/call.h"
#include "master/master.h"
#include "master/nodes/nodes.h"
#include "proto/facts/cluster.h"

struct feed {
    struct list link;
    struct master *m;
    struct session *session; /* whose stream it is; to be compared only */
    struct rpc_stream *stream;
    char node[PKI_NAME_MAX + 1];
    bool routes; /* else refs */
    bool dirty, ended, introduced;
    struct strmap told; /* refs: "kind/ns/name" -> struct told */
    uint64_t routes_hash;
};
struct told {
    const struct kind *kind;
    struct str ns, name; /* inside of text */
    uint64_t revision;   /* 0 = absent, and the agent knows */
    uint64_t mark;       /* pass in which a pod named it */
    size_t text_size;
    char text[]; /* the key */
};

/* ---- Which objects the pods of a node name ---- */

struct refs_walk {
    struct feed *f;
    uint64_t mark;
};

static void add_ref(void *data, const struct kind_reference *r)
{
    struct refs_walk *w = data;
    if (r->use != REFERENCE_CONTENT || r->name.n == 0 || r->name.n > NAME_KEY_MAX) {
        return;
    }
    char key[600];
    int n = snprintf(key, sizeof key, "%d/%.*s/%.*s", r->kind->id, STR_ARG(r->ns), STR_ARG(r->name));
    struct str k = {key, (size_t)n};
    struct told *t = strmap_get(&w->f->told, k);
    if (t == NULL) {
        t = xcalloc(1, sizeof *t + k.n);
        t->kind = r->kind;
        t->text_size = k.n;
        memcpy(t->text, key, k.n);
        t->name = (struct str){t->text + k.n - r->name.n, r->name.n};
        t->ns = (struct str){t->name.p - 1 - r->ns.n, r->ns.n};
        strmap_set(&w->f->told, k, t);
    }
    t->mark = w->mark;
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
    int rv = rpc_stream_write(f->stream, buf_str(&b));
    for (unsigned i = 0; i < k->count && rv == 0; i++) {
        k->items[i].told->revision = k->items[i].revision;
    }
    k->count = 0;
    buf_reset(&k->events);
    buf_close(&b);
    return rv;
}

/* Sends what differs between what the agent was told and the committed state. */
static int send_difference(struct feed *f, const struct view *v, uint64_t mark, struct refs_chunk *k)
{
    size_t cursor = 0;
    const struct strmap_entry *e;
    int rv = 0;
    while (rv == 0 && (e = strmap_next(&f->told, &cursor)) != NULL) {
        struct told *t = e->value;
        const struct object *o = t->mark == mark ? view_get(v, t->kind, t->ns, t->name) : NULL;
        uint64_t revision = o == NULL ? 0 : o->revision;
        if (revision == t->revision) {
            continue;
        }
        write_event(&k->events, o == NULL ? "DELETED" : t->revision == 0 ? "ADDED" : "MODIFIED", t, o);
        k->items[k->count].told = t;
        k->items[k->count++].revision = revision;
        if (k->count == REFS_CHUNK_EVENTS || k->events.size >= REFS_CHUNK_BYTES) {
            rv = send_chunk(f, v, k, false);
        }
    }
    if (rv == 0 && (k->count > 0 || !f->introduced)) {
        rv = send_chunk(f, v, k, !f->introduced);
    }
    return rv;
}

/* What no pod names any more, and the agent knows: a map must not be changed while it is walked. */
static void forget_unnamed(struct feed *f, uint64_t mark)
{
    struct told **gone = xcalloc(f->told.count + 1, sizeof *gone);
    size_t cursor = 0, count = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&f->told, &cursor)) != NULL) {
        struct told *t = e->value;
        if (t->mark != mark && t->revision == 0) {
            gone[count++] = t;
        }
    }
    for (size_t i = 0; i < count; i++) {
        strmap_remove(&f->told, (struct str){gone[i]->text, gone[i]->text_size});
        free(gone[i]);
    }
    free(gone);
}

static int send_refs(struct feed *f, const struct view *v)
{
    struct refs_walk w = {.f = f, .mark = view_revision(v) + 1};
    struct view_iter it;
    view_iter_node_pods(&it, v, str_of(f->node));
    VIEW_FOR(pod, &it)
    {
        kind_references(pod, add_ref, &w);
    }
    struct refs_chunk k = {.events = BUF_INIT};
    int rv = send_difference(f, v, w.mark, &k);
    buf_close(&k.events);
    if (rv == 0) {
        f->introduced = true;
        forget_unnamed(f, w.mark);
    }
    return rv;
}

static struct str internal_ip(const struct object *node)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(node), "status.addresses")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "type")), "InternalIP")) {
            return mp_str(mp_get(it.value, "address"));
        }
    }
    return STR_NONE;
}

static int send_routes(struct feed *f, const struct view *v)
{
    struct buf list = BUF_INIT;
    uint32_t count = 0;
    struct view_iter it;
    view_iter(&it, v, kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        struct str cidr = mp_str(mp_path(object_mp(node), "spec.podCIDR")), ip = internal_ip(node);
        if (cidr.n == 0 || ip.n == 0) {
            continue;
        }
        mp_write_map(&list, 3);
        mp_write_key_str(&list, "name", node->name);
        mp_write_key_str(&list, "podCIDR", cidr);
        mp_write_key_str(&list, "internalIP", ip);
        count++;
    }
    struct cluster_config config;
    char pods[CIDR_TEXT_SIZE];
    cluster_config_read(view_get(v, kind_by_id(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME)),
                        &config);
    cidr_text(config.pods, pods);
    buf_append_str(&list, str_of(pods)); /* behind the routes, only to be part of the hash */
    uint64_t hash = XXH3_64bits(list.size == 0 ? (const uint8_t *)"" : list.data, list.size) | 1;
    int rv = 0;
    if (hash != f->routes_hash) {
        struct buf b = BUF_INIT;
        mp_write_map(&b, 2);
        mp_write_key_str(&b, "podSubnet", str_of(pods));
        mp_write_cstr(&b, "routes");
        mp_write_array(&b, count);
        buf_append(&b, list.data, list.size - strlen(pods));
        rv = rpc_stream_write(f->stream, buf_str(&b));
        buf_close(&b);
    }
    buf_close(&list);
    if (rv == 0) {
        f->routes_hash = hash;
    }
    return rv;
}

static void flush(struct feed *f)
{
    if (f->ended || !f->dirty) {
        return;
    }
    const struct view *v = store_committed(replica_store(f->m->replica));
    f->dirty = (f->routes ? send_routes(f, v) : send_refs(f, v)) != 0; /* still dirty: no credit, on_writable goes on */
}

/* ---- Noticing ---- */

static bool concerns(const struct feed *f, const struct change *ch)
{
    const struct object *any = ch->new != NULL ? ch->new : ch->old;
    switch (any->kind->id) {
    case KIND_NODE:
    case KIND_CLUSTERCONFIGURATION:
        return f->routes;
    case KIND_POD:
        return !f->routes &&
               ((ch->old != NULL && str_is(mp_str(mp_path(object_mp(ch->old), "spec.nodeName")), f->node)) ||
                (ch->new != NULL &&str_is(mp_str(mp_path(object_mp(ch->new), "spec.nodeName")), f->node)));
    default: {
        if (!any->kind->is_content || f->routes || f->told.count == 0) {
            return false;
        }
        char key[600];
        int n = snprintf(key, sizeof key, "%d/%.*s/%.*s", any->kind->id, STR_ARG(any->ns), STR_ARG(any->name));
        return strmap_get(&f->told, (struct str){key, (size_t)n}) != NULL;
    }
    }
}

void node_feeds_advance(struct master *m, const struct history_txn *txn)
{
    departed_advance(m->departed, txn, env_now_ms(m->env));
    if (list_empty(&m->feeds)) {
        return;
    }
    for (unsigned i = 0; i < txn->count; i++) {
        const struct kind *k = (txn->changes[i].new != NULL ? txn->changes[i].new : txn->changes[i].old)->kind;
        if (k->id != KIND_NODE && k->id != KIND_CLUSTERCONFIGURATION && k->id != KIND_POD && !k->is_content) {
            continue;
        }
        LIST_FOR(it, &m->feeds)
        {
            struct feed *f = LIST_ENTRY(it, struct feed, link);
            f->dirty = f->dirty || concerns(f, &txn->changes[i]);
        }
    }
}

void node_feeds_flush(struct master *m)
{
    LIST_FOR_SAFE(it, &m->feeds)
    {
        flush(LIST_ENTRY(it, struct feed, link));
    }
}

void node_feeds_restored(struct master *m)
{
    LIST_FOR(it, &m->feeds)
    {
        LIST_ENTRY(it, struct feed, link)->dirty = true;
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
    (void)st;
    flush(data);
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)err;
    struct feed *f = data;
    if (!f->ended) {
        rpc_stream_end(st, NULL);
    }
    list_remove(&f->link);
    size_t cursor = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&f->told, &cursor)) != NULL) {
        free(e->value);
    }
    strmap_close(&f->told);
    free(f);
}

static const struct rpc_stream_events feed_events = {.on_data = on_data, .on_writable = on_writable, .on_end = on_end};

/* One feed of a sort for a node and connection is enough: an older one ends. */
static void end_former(struct master *m, const struct session *session, struct str node, bool routes)
{
    LIST_FOR(it, &m->feeds)
    {
        struct feed *f = LIST_ENTRY(it, struct feed, link);
        if (f->session == session && f->routes == routes && str_is(node, f->node) && !f->ended) {
            struct error err = {0};
            error_set(&err, ERR_CANCELED, "the connection follows the same a second time; this is the former stream");
            f->ended = true;
            rpc_stream_end(f->stream, &err);
        }
    }
}

void node_feeds_end(struct master *m)
{
    struct error err = {0};
    error_set(&err, ERR_NOT_LEADER, "this master does not lead any more");
    LIST_FOR(it, &m->feeds)
    {
        struct feed *f = LIST_ENTRY(it, struct feed, link);
        if (!f->ended) {
            f->ended = true;
            rpc_stream_end(f->stream, &err);
        }
    }
}

static void feed_start(struct call *c, bool routes)
{
    struct str node;
    if (!call_own_node(c, &node)) {
        return;
    }
    end_former(c->m, call_session(c), node, routes);
    struct feed *f = xcalloc(1, sizeof *f);
    f->m = c->m;
    f->session = call_session(c);
    f->routes = routes;
    f->dirty = true;
    snprintf(f->node, sizeof f->node, "%.*s", STR_ARG(node));
    strmap_init(&f->told);
    list_init(&f->link);
    f->stream = rpc_stream_accept(call_take_request(c), &feed_events, f);
    if (f->stream == NULL) {
        free(f);
        return;
    }
    list_push_back(&f->m->feeds, &f->link);
    flush(f);
}

void method_node_refs(struct call *c)
{
    feed_start(c, false);
}

void method_node_routes(struct call *c)
{
    feed_start(c, true);
}
