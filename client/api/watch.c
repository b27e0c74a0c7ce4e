/* Watches that survive masters: no gap and no duplicate for the caller, whatever happens to the stream.
 *
 * What the caller has been told exists is kept (`known`). A broken stream is resumed behind the last revision seen;
 * when that is too old for the masters, or the first listing was cut off, everything is listed again and compared with
 * `known`: only differences are told. Invariant: `known` is what a caller has who applied all events so far. */
#include <stdlib.h>

#include "base/strmap.h"
#include "client/api/api_internal.h"

#define WATCH_REST_MS 100  /* before a stream that brought nothing is opened again */
#define WATCH_CUT_MS  1000 /* for the master to end its side */

struct known {
    struct object *object;
    bool seen; /* in the round of listing that runs */
};
struct watching {
    struct api *api;
    api_watch_cb *cb;
    void *data;
    struct strmap known; /* "namespace/name" -> struct known */
    uint64_t revision;   /* last one told; 0 = list first */
    bool listing, synced, stopped, ended, progress, cut;
    bool begun; /* the master has taken it, or refused */
    struct api_patience patience;
    struct rpc_stream *stream;
    struct error error; /* of the end; code 0 = regular */
};

static struct str key_of(const struct object *o, struct buf *b)
{
    buf_append_str(b, o->ns);
    buf_putc(b, '/');
    buf_append_str(b, o->name);
    return buf_str(b);
}

static void known_free(struct known *k)
{
    object_unref(k->object);
    free(k);
}

static void known_close(struct watching *w)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&w->known, &i)) != NULL;) {
        known_free(e->value);
    }
    strmap_close(&w->known);
}

static void tell(struct watching *w, enum api_event type, const struct object *o, uint64_t revision)
{
    if (!w->stopped && !w->cb(type, o, revision, w->data)) {
        w->stopped = true;
    }
}

static void handle_deleted(struct watching *w, const struct object *o, uint64_t revision)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct known *k = strmap_remove(&w->known, key_of(o, &key));
    if (k != NULL) {
        known_free(k);
        tell(w, API_DELETED, o, revision);
    }
}

static void handle_present(struct watching *w, struct object *o, uint64_t revision)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct known *k = strmap_get(&w->known, key_of(o, &key));
    if (k != NULL && !str_eq(k->object->uid, o->uid)) { /* made anew under its name while nobody looked */
        struct object *old = object_ref(k->object);
        handle_deleted(w, old, revision);
        object_unref(old);
        k = NULL;
    }
    if (k == NULL) {
        k = xcalloc(1, sizeof(*k));
        *k = (struct known){object_ref(o), true};
        strmap_set(&w->known, buf_str(&key), k);
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
    const struct strmap_entry *e;
    struct object **gone = xcalloc(w->known.count + 1, sizeof(*gone));
    size_t count = 0;
    for (size_t i = 0; (e = strmap_next(&w->known, &i)) != NULL;) {
        const struct known *k = e->value;
        if (!k->seen) {
            gone[count++] = object_ref(k->object);
        }
    }
    for (size_t i = 0; i < count; i++) {
        handle_deleted(w, gone[i], revision);
        object_unref(gone[i]);
    }
    free(gone);
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
        handle_deleted(w, o, revision);
    } else {
        handle_present(w, o, revision);
    }
    object_unref(o);
}

static void watch_open(struct rpc_stream *st, struct mp result, void *data)
{
    (void)st;
    (void)result;
    ((struct watching *)data)->begun = true;
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
    w->ended = w->begun = true;
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
    if (!api_run(w->api, &w->ended, WATCH_CUT_MS)) {
        /* The master does not end its side: closing the session makes rpc do it. */
        api_next_server(w->api);
        api_run(w->api, &w->ended, 0);
    }
}

static void watch_once(struct watching *w, const struct api_list_query *q, int64_t left_ms)
{
    static const struct rpc_stream_events events = {.on_open = watch_open, .on_data = watch_data, .on_end = watch_end};
    CLEANUP_ARENA struct arena arena;
    arena_init(&arena);
    struct value *params = api_query_params(&arena, q);
    w->listing = w->revision == 0;
    if (w->listing) {
        const struct strmap_entry *e;
        for (size_t i = 0; (e = strmap_next(&w->known, &i)) != NULL;) {
            ((struct known *)e->value)->seen = false;
        }
    } else {
        value_set(&arena, params, "revision", value_int(&arena, (int64_t)w->revision));
    }
    CLEANUP_BUF struct buf plain = BUF_INIT, b = BUF_INIT;
    int64_t patience_ms = left_ms == 0 ? w->api->deadline_ms : MIN(left_ms, w->api->deadline_ms);
    msgpack_write_value(&plain, params);
    api_add_timeout(w->api, &b, buf_str(&plain), patience_ms);
    w->ended = w->begun = false;
    w->cut = false;
    w->error = (struct error){0};
    w->stream = rpc_stream_open(api_connect(w->api), "watch", buf_str(&b), &events, w);
    if (w->stream == NULL) {
        w->error.code = ERR_CLOSED;
        return;
    }
    int64_t until = left_ms == 0 ? INT64_MAX : api_now() + left_ms;
    if (api_wait(w->api, &w->patience, &w->begun, until, API_PROBE_MS, API_SILENT_MS) != API_WAIT_DONE) {
        error_set(&w->error, ERR_TIMEOUT, "no answer to a watch");
        return;
    }
    int64_t left = until == INT64_MAX ? 0 : MAX(until - api_now(), 1);
    if (!api_run(w->api, &w->ended, left)) {
        w->error.code = ERR_TIMEOUT;
    }
}

int api_watch(struct api *a, const struct api_list_query *q, int64_t timeout_ms, api_watch_cb *cb, void *data,
              struct error *err)
{
    struct watching w = {.api = a, .cb = cb, .data = data};
    strmap_init(&w.known);
    api_patience_init(&w.patience);
    int64_t start = api_now(), broken_since = 0;
    int rc = 0;
    api_ping_start(a, true); /* a master that hangs, or has lost the others, is left for the next one */
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
        if (w.progress) {
            api_patience_init(&w.patience);
        }
        bool leaderless = why.code == ERR_NO_QUORUM || why.code == ERR_NOT_LEADER;
        if (leaderless) {
            api_waits_for(&w.patience, "the masters are electing a leader");
        }
        if (why.code == ERR_EXPIRED) {
            w.revision = 0;
        } else if (api_old_master(a, &why)) {
            continue;
        } else if (why.code != 0 && (!(api_worth_retry(&why) || why.code == ERR_SYSTEM || why.code == ERR_IO) ||
                                     now - broken_since > a->deadline_ms)) {
            a->refused = !api_worth_retry(&why) && a->session != NULL;
            *err = why;
            rc = why.code;
            break;
        } else {
            api_next_server(a);
            api_rest(a, &w.patience, w.progress ? 1 : WATCH_REST_MS);
        }
    }
    api_ping_stop(a, true);
    known_close(&w);
    return rc;
}
