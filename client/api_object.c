/* Objects through the api: get, list over all pages, watch that survives masters. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/api_internal.h"
#include "proto/api.h"

static void set_cstr(struct arena *a, struct value *map, const char *key, const char *s)
{
    if (s != NULL && s[0] != '\0') {
        value_set(a, map, key, value_cstr(a, s));
    }
}

int api_get(struct api *a, const struct kind *k, const char *ns, const char *name, bool stale, struct object **out,
            struct error *err)
{
    CLEANUP_ARENA struct arena arena;
    arena_init(&arena);
    struct value *params = value_map(&arena);
    set_cstr(&arena, params, "kind", k->name);
    if (k->namespaced) {
        set_cstr(&arena, params, "namespace", ns);
    }
    set_cstr(&arena, params, "name", name);
    if (stale) {
        value_set(&arena, params, "stale", value_bool(&arena, true));
    }
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_read(a, "get", params, &reply, err);
    return rc != 0 ? rc : object_from_wire(mp_get(reply.result, "object"), out, err);
}

static struct value *query_params(struct arena *arena, const struct api_list_query *q)
{
    struct value *params = value_map(arena);
    set_cstr(arena, params, "kind", q->kind->name);
    if (q->kind->namespaced) {
        set_cstr(arena, params, "namespace", q->ns);
    }
    set_cstr(arena, params, "labelSelector", q->label_selector);
    set_cstr(arena, params, "fieldSelector", q->field_selector);
    return params;
}

void api_list_close(struct api_list *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        object_unref(l->items[i]);
    }
    free(l->items);
    *l = (struct api_list){0};
}

static void list_add(struct api_list *l, struct object *o)
{
    if (l->count == l->cap) {
        l->cap = MAX(2 * l->cap, 64u);
        l->items = xrealloc(l->items, l->cap * sizeof(struct object *));
    }
    l->items[l->count++] = o;
}

static int add_page(struct api_list *out, struct mp items, struct error *err)
{
    for (struct mp_iter it = mp_iter(items); mp_next(&it);) {
        struct object *o;
        int rc = object_from_wire(it.value, &o, err);
        if (rc != 0) {
            return rc;
        }
        list_add(out, o);
    }
    return 0;
}

/* A continue token that has expired starts the list over: the pages so far belong to a version that is gone. */
int api_list(struct api *a, const struct api_list_query *q, struct api_list *out, struct error *err)
{
    CLEANUP_ARENA struct arena arena;
    arena_init(&arena);
    struct value *params = query_params(&arena, q);
    value_set(&arena, params, "limit", value_int(&arena, API_LIST_LIMIT_DEFAULT));
    if (q->stale) {
        value_set(&arena, params, "stale", value_bool(&arena, true));
    }
    unsigned first = out->count, restarts = 0;
    for (;;) {
        CLEANUP_REPLY struct api_reply reply = {0};
        struct error e = {0};
        int rc = api_read(a, "list", params, &reply, &e);
        if (rc == ERR_EXPIRED && restarts++ < 3) {
            while (out->count > first) {
                object_unref(out->items[--out->count]);
            }
            value_remove(params, "continue");
            continue;
        }
        if (rc != 0) {
            *err = e;
            return rc;
        }
        rc = add_page(out, mp_get(reply.result, "items"), err);
        if (rc != 0) {
            return rc;
        }
        out->revision = (uint64_t)mp_int(mp_get(reply.result, "revision"), 0);
        struct str token = mp_str(mp_get(reply.result, "continue"));
        if (token.n == 0) {
            return 0;
        }
        value_set(&arena, params, "continue", value_str(&arena, token));
    }
}

/* ---- Watch ---- */

struct known {
    struct object *object;
    bool seen; /* in the round of listing that runs */
};
struct watching {
    struct api *api;
    api_watch_cb *cb;
    void *data;
    struct known *known; /* what the caller has been told exists */
    unsigned known_count, known_cap;
    uint64_t revision; /* last one told; 0 = list first */
    bool listing, synced, stopped, ended, progress, cut;
    struct rpc_stream *stream;
    struct error error; /* of the end; code 0 = regular */
};

static struct known *known_find(struct watching *w, const struct object *o)
{
    for (unsigned i = 0; i < w->known_count; i++) {
        const struct object *k = w->known[i].object;
        if (str_eq(k->name, o->name) && str_eq(k->ns, o->ns)) {
            return &w->known[i];
        }
    }
    return NULL;
}

static void tell(struct watching *w, enum api_event type, const struct object *o, uint64_t revision)
{
    if (!w->stopped && !w->cb(type, o, revision, w->data)) {
        w->stopped = true;
    }
}

static void known_remove(struct watching *w, struct known *k)
{
    object_unref(k->object);
    *k = w->known[--w->known_count];
}

static void handle_present(struct watching *w, struct object *o, uint64_t revision)
{
    struct known *k = known_find(w, o);
    if (k == NULL) {
        if (w->known_count == w->known_cap) {
            w->known_cap = MAX(2 * w->known_cap, 64u);
            w->known = xrealloc(w->known, w->known_cap * sizeof(*w->known));
        }
        w->known[w->known_count++] = (struct known){object_ref(o), true};
        tell(w, API_ADDED, o, revision);
        return;
    }
    bool changed = k->object->revision != o->revision;
    object_unref(k->object);
    k->object = object_ref(o);
    k->seen = true;
    if (changed) {
        tell(w, API_MODIFIED, o, revision);
    }
}

/* The list is complete: what was known and did not come again is gone. */
static void handle_synced(struct watching *w, uint64_t revision)
{
    for (unsigned i = w->known_count; i > 0; i--) {
        struct known *k = &w->known[i - 1];
        if (!k->seen) {
            struct object *o = object_ref(k->object);
            known_remove(w, k);
            tell(w, API_DELETED, o, revision);
            object_unref(o);
        }
    }
    w->listing = false;
    if (!w->synced) {
        w->synced = true;
        tell(w, API_SYNCED, NULL, revision);
    }
}

static void handle_event(struct watching *w, struct mp event, uint64_t revision)
{
    struct str type = mp_str(mp_get(event, "type"));
    if (str_is(type, "BOOKMARK")) {
        if (w->listing) {
            handle_synced(w, revision);
        }
        return;
    }
    struct object *o;
    int rc = object_from_wire(mp_get(event, "object"), &o, &w->error);
    if (rc != 0) {
        w->ended = true;
        return;
    }
    if (str_is(type, "DELETED")) {
        struct known *k = known_find(w, o);
        if (k != NULL) {
            known_remove(w, k);
            tell(w, API_DELETED, o, revision);
        }
    } else {
        handle_present(w, o, revision);
    }
    object_unref(o);
}

static void watch_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    struct watching *w = data;
    uint64_t revision = (uint64_t)mp_int(mp_get(payload, "revision"), 0);
    w->progress = true;
    for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it) && !w->stopped;) {
        handle_event(w, it.value, revision);
    }
    if (!w->listing && revision > w->revision) {
        w->revision = revision;
    }
    rpc_stream_consumed(st, payload_bytes);
    if (w->stopped) {
        w->ended = true;
    }
}

static void watch_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct watching *w = data;
    if (err != NULL) {
        w->error = *err;
    }
    w->ended = true;
    w->stream = NULL;
    if (!w->cut) {
        rpc_stream_end(st, NULL);
    }
}

/* Streams are told of their end from the loop; ours must be over before `w` leaves the stack. */
static void watch_cut(struct watching *w)
{
    if (w->stream == NULL) {
        return;
    }
    w->cut = true;
    w->ended = false;
    rpc_stream_end(w->stream, NULL);
    if (!api_run(w->api, &w->ended, 1000)) {
        /* The master does not end its side: closing the session makes rpc do it. */
        api_next_server(w->api);
        api_run(w->api, &w->ended, 0);
    }
}

static void watch_once(struct watching *w, const struct api_list_query *q, int64_t left_ms)
{
    static const struct rpc_stream_events events = {.on_data = watch_data, .on_end = watch_end};
    CLEANUP_ARENA struct arena arena;
    arena_init(&arena);
    struct value *params = query_params(&arena, q);
    w->listing = w->revision == 0;
    if (w->listing) {
        for (unsigned i = 0; i < w->known_count; i++) {
            w->known[i].seen = false;
        }
    } else {
        value_set(&arena, params, "revision", value_int(&arena, (int64_t)w->revision));
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, params);
    w->ended = false;
    w->cut = false;
    w->error = (struct error){0};
    w->stream = rpc_stream_open(api_connect(w->api), "watch", buf_str(&b), &events, w);
    if (w->stream == NULL) {
        w->error.code = ERR_CLOSED;
        return;
    }
    if (!api_run(w->api, &w->ended, left_ms)) {
        w->error.code = ERR_TIMEOUT;
    }
}

int api_watch(struct api *a, const struct api_list_query *q, int64_t timeout_ms, api_watch_cb *cb, void *data,
              struct error *err)
{
    struct watching w = {.api = a, .cb = cb, .data = data};
    int64_t start = api_now(), broken_since = 0;
    int rc = 0;
    for (unsigned round = 0;; round++) {
        int64_t left = timeout_ms == 0 ? 0 : start + timeout_ms - api_now();
        if (timeout_ms > 0 && left <= 0) {
            rc = error_set(err, ERR_TIMEOUT, "timed out waiting for the condition");
            break;
        }
        w.progress = false;
        watch_once(&w, q, left);
        struct error why = w.error;
        watch_cut(&w);
        if (w.stopped) {
            break;
        }
        if (timeout_ms > 0 && api_now() - start >= timeout_ms) {
            continue;
        }
        int64_t now = api_now();
        broken_since = w.progress || broken_since == 0 ? now : broken_since;
        if (why.code == ERR_EXPIRED) {
            w.revision = 0;
        } else if (why.code != 0 && (!api_worth_retry(&why) || now - broken_since > a->deadline_ms)) {
            *err = why;
            rc = why.code;
            break;
        } else {
            api_next_server(a);
            api_pause(a, w.progress ? 1 : 100);
        }
    }
    for (unsigned i = 0; i < w.known_count; i++) {
        object_unref(w.known[i].object);
    }
    free(w.known);
    return rc;
}
