/* What verbs of the API answer, over msgpack-RPC: maps (and read again), pages, streams of events. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/front/verbs.h"

static struct call *call_of_api(const struct api_call *c)
{
    return call_of(errand_of_api(c));
}

static void write_object(struct buf *b, const struct object *o)
{
    mp_write_cstr(b, "object");
    if (o == NULL) {
        mp_write_nil(b);
    } else {
        object_write_wire(b, o);
    }
}

static const char *const done_words[] = {"unchanged", "created", "configured", "deleted"}; /* by done */

static void write_results(struct buf *b, const struct api_answer *a)
{
    mp_write_cstr(b, "results");
    mp_write_array(b, a->count);
    for (unsigned i = 0; i < a->count; i++) {
        mp_write_map(b, 3);
        enum api_done done = a->items[i].done;
        bool last = a->verb == API_APPLY && done == API_DONE_DELETED; /* which took its last finalizer */
        mp_write_key_str(b, "result", str_of(done_words[last ? API_DONE_CONFIGURED : done]));
        write_object(b, a->items[i].object);
        mp_write_key_bool(b, "gone", a->items[i].gone);
    }
}

void verbs_write_answer(struct buf *b, const struct api_answer *a)
{
    unsigned more = (a->warnings != NULL) + (a->notes != NULL);
    switch (a->verb) {
    case API_GET:
        mp_write_map(b, 2 + more);
        write_object(b, a->items[0].object);
        break;
    case API_CREATE:
    case API_UPDATE:
    case API_PATCH:
        mp_write_map(b, 4 + more);
        write_object(b, a->items[0].object);
        mp_write_key_bool(b, "unchanged", a->unchanged);
        mp_write_key_bool(b, "gone", a->items[0].gone);
        break;
    case API_DELETE:
    case API_EVICT:
    case API_BIND:
        mp_write_map(b, 3 + more);
        write_object(b, a->items[0].object);
        mp_write_key_bool(b, "gone", a->items[0].gone);
        break;
    case API_DELETECOLLECTION:
        mp_write_map(b, 2 + more);
        mp_write_key_int(b, "count", a->count);
        break;
    case API_APPLY:
    case API_TXN:
        mp_write_map(b, 2 + more);
        write_results(b, a);
        break;
    case API_LIST:
    case API_WATCH:
    case API_TOKEN:
    case API_WHOAMI:
    case API_METRICS:
    case API_CLUSTER:
    case API_CERT_STATUS:
    case API_ACCESS:
    case API_RULES:
    case API_ACCOUNT_TOKEN:
    case API_TOKEN_REVIEW:
        assert(false); /* answered by pages, a stream, and documents */
        break;
    }
    if (a->warnings != NULL) {
        mp_write_cstr(b, "warnings");
        msgpack_write_value(b, a->warnings);
    }
    if (a->notes != NULL) {
        mp_write_cstr(b, "notes");
        msgpack_write_value(b, a->notes);
    }
    mp_write_key_int(b, "revision", (int64_t)a->revision);
}

/* What became of the one object of a request. */
static enum api_done done_of(enum api_verb verb, struct mp m, bool gone)
{
    if (mp_type(mp_get(m, "result")) == MP_STR) {
        for (unsigned i = 0; i < ARRAY_SIZE(done_words); i++) {
            if (str_is(mp_str(mp_get(m, "result")), done_words[i])) {
                return (enum api_done)i;
            }
        }
    }
    return gone                                     ? API_DONE_DELETED
           : mp_bool(mp_get(m, "unchanged"), false) ? API_DONE_UNCHANGED
           : verb == API_CREATE                     ? API_DONE_CREATED
                                                    : API_DONE_CONFIGURED;
}

/* Of a kind that this program does not know the object stays unknown. */
static void read_item(enum api_verb verb, struct mp m, struct api_item *item)
{
    struct object *o = NULL;
    item->gone = mp_bool(mp_get(m, "gone"), false);
    item->done = done_of(verb, m, item->gone);
    item->object = object_from_wire(mp_get(m, "object"), &o, NULL) == 0 ? o : NULL;
}

int verbs_read_answer(struct arena *arena, enum api_verb verb, struct mp m, struct api_answer *out, struct error *err)
{
    bool several = verb == API_APPLY || verb == API_TXN;
    struct mp results = mp_get(m, "results"), warnings = mp_get(m, "warnings");
    int64_t revision = mp_int(mp_get(m, "revision"), -1);
    assert(verb != API_LIST && verb != API_WATCH && verb <= API_TXN);
    *out = (struct api_answer){.verb = verb, .revision = (uint64_t)revision};
    if (mp_type(m) != MP_MAP || revision < 0 || (several && mp_type(results) != MP_ARRAY)) {
        return error_set(err, ERR_PROTOCOL, "the leader's answer is malformed");
    }
    if (mp_type(warnings) == MP_ARRAY) {
        struct value *texts;
        if (msgpack_read_value(arena, warnings.p, (size_t)(warnings.end - warnings.p), &texts, err) != 0) {
            return ERR_PROTOCOL;
        }
        out->warnings = texts;
    }
    if (verb == API_DELETECOLLECTION) {
        out->count = (unsigned)mp_int(mp_get(m, "count"), 0);
        return 0;
    }
    out->count = several ? mp_count(results) : 1;
    struct api_item *items = arena_alloc(arena, MAX(out->count, 1u) * sizeof *items);
    unsigned i = 0;
    if (several) {
        for (struct mp_iter it = mp_iter(results); mp_next(&it);) {
            read_item(verb, it.value, &items[i++]);
        }
    } else {
        read_item(verb, m, &items[i++]);
    }
    out->items = items;
    out->unchanged = verb != API_GET;
    for (i = 0; i < out->count; i++) {
        out->unchanged = out->unchanged && items[i].done == API_DONE_UNCHANGED;
    }
    return 0;
}

void verbs_answer_close(struct api_answer *a)
{
    for (unsigned i = 0; a->items != NULL && i < a->count; i++) {
        object_unref((struct object *)(uintptr_t)a->items[i].object);
    }
}

static void answer(struct api_call *c, const struct api_answer *a)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct api_answer own = *a;
    own.notes = errand_of_api(c)->forwarded ? c->notes : NULL;
    verbs_write_answer(&b, &own);
    call_reply(call_of_api(c), &b);
}

static void told(struct api_call *c, struct mp document)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_append(&b, document.p, (size_t)(document.end - document.p));
    call_reply(call_of_api(c), &b);
}

/* ---- Lists ---- */

static size_t item(struct api_call *api, const struct object *o)
{
    struct call *c = call_of_api(api);
    object_write_wire(&c->page, o);
    c->page_items++;
    return c->page.size;
}

static void listed(struct api_call *api, const struct api_listed *l)
{
    struct call *c = call_of_api(api);
    struct buf b = BUF_INIT;
    bool counted = l->more && l->remaining >= 0;
    mp_write_map(&b, 2u + l->more + counted);
    mp_write_key_int(&b, "revision", (int64_t)l->revision);
    if (l->more) {
        mp_write_key_str(&b, "continue", l->token);
    }
    if (counted) {
        mp_write_key_int(&b, "remaining", l->remaining);
    }
    mp_write_cstr(&b, "items");
    mp_write_array(&b, c->page_items);
    buf_append(&b, c->page.data, c->page.size);
    call_reply(c, &b);
    buf_close(&b);
}

/* ---- Streams of events ---- */

struct event_stream {
    struct api_stream api;
    struct rpc_stream *rpc;
    struct watch *watch;
    struct buf events; /* of the batch */
    uint32_t count;
};

static struct event_stream *stream_of(struct api_stream *s)
{
    return CONTAINER_OF(s, struct event_stream, api);
}

/* Of an object that is gone: which one it was. */
static void write_identity(struct buf *b, const struct object *o, uint64_t revision)
{
    char version[24];
    snprintf(version, sizeof version, "%llu", (unsigned long long)revision);
    mp_write_map(b, 3);
    mp_write_key_str(b, "apiVersion", mp_str(mp_get(object_mp(o), "apiVersion")));
    mp_write_key_str(b, "kind", object_kind_name(o));
    mp_write_cstr(b, "metadata");
    mp_write_map(b, 3u + o->kind->namespaced);
    mp_write_key_str(b, "resourceVersion", str_of(version));
    mp_write_key_str(b, "name", o->name);
    if (o->kind->namespaced) {
        mp_write_key_str(b, "namespace", o->ns);
    }
    mp_write_key_str(b, "uid", o->uid);
}

/* What all that watch share. What is gone bears the revision at which it went: whoever remembers that goes on behind
 * it. */
static const struct buf *wire_of(const struct api_event *e)
{
    struct buf *wire = store_history_wire(e->txn, e->change);
    if (wire->size == 0) {
        bool gone = e->object->revision != e->revision;
        CLEANUP_OBJECT struct object *marked = gone ? object_with_revision(e->object, e->revision) : NULL;
        object_write_wire(wire, gone ? marked : e->object);
    }
    return wire;
}

static size_t event(struct api_stream *api, const struct api_event *e)
{
    static const char *const words[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}; /* by type */
    struct event_stream *s = stream_of(api);
    struct buf *b = &s->events;
    s->count++;
    mp_write_map(b, e->type == API_BOOKMARK ? 1 : 2);
    mp_write_key_str(b, "type", str_of(words[e->type]));
    if (e->type == API_BOOKMARK) {
        return b->size;
    }
    mp_write_cstr(b, "object");
    if (e->brief) {
        write_identity(b, e->object, e->revision);
    } else if (e->txn == NULL) {
        object_write_wire(b, e->object);
    } else {
        const struct buf *wire = wire_of(e);
        buf_append(b, wire->data, wire->size);
    }
    return b->size;
}

/* Idle streams hold no memory. */
static void drop(struct api_stream *api)
{
    struct event_stream *s = stream_of(api);
    buf_close(&s->events);
    s->count = 0;
}

static int send_batch(struct api_stream *api, uint64_t revision)
{
    struct event_stream *s = stream_of(api);
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "revision", (int64_t)revision);
    mp_write_cstr(&b, "events");
    mp_write_array(&b, s->count);
    buf_append(&b, s->events.data, s->events.size);
    int rv = rpc_stream_write(s->rpc, buf_str(&b));
    buf_close(&b);
    drop(api);
    return rv;
}

static void end(struct api_stream *api, const struct error *err)
{
    rpc_stream_end(stream_of(api)->rpc, err);
}

static const struct api_stream_front stream_front = {
    .batch_max = RPC_MESSAGE_MAX - 65536u, /* a transaction is told in one message */
    .event = event,
    .drop = drop,
    .send = send_batch,
    .end = end,
};

static void on_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    (void)payload;
    (void)data;
    rpc_stream_consumed(st, payload_bytes); /* a watcher has nothing to say; what it sends is dropped */
}

static void on_writable(struct rpc_stream *st, void *data)
{
    (void)st;
    watch_writable(((struct event_stream *)data)->watch);
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)st;
    (void)err;
    struct event_stream *s = data;
    watch_over(s->watch);
    buf_close(&s->events);
    free(s);
}

static const struct rpc_stream_events stream_events = {
    .on_data = on_data, .on_writable = on_writable, .on_end = on_end};

static struct api_stream *open_stream(struct api_call *api, struct watch *w)
{
    struct event_stream *s = xcalloc(1, sizeof *s);
    s->api.front = &stream_front;
    s->watch = w;
    s->rpc = rpc_stream_accept(call_take_request(call_of_api(api)), &stream_events, s);
    if (s->rpc == NULL) {
        free(s);
        return NULL;
    }
    return &s->api;
}

const struct api_front rpc_front = {
    .answer = answer,
    .told = told,
    .fail = errand_api_fail,
    .item = item,
    .listed = listed,
    .go_on = errand_api_go_on,
    .wake = errand_api_wake,
    .lane = errand_api_lane,
    .open = open_stream,
};
