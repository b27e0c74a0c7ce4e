/* Watches over HTTP: lines of JSON, each {"type","object"}, or frames of protobuf, in chunks. A batch of the verb's
 * (one transaction) is one chunk.
 *
 * A watch from nothing is told what is there as ADDED; the mark behind that is sent to those who asked for it
 * (sendInitialEvents), with an annotation. Bookmarks that a watch with allowWatchBookmarks is sent every BOOKMARK_MS
 * let it be resumed although nothing happened to its objects. Source: Kubernetes API concepts, "Efficient detection of
 * changes", "Watch bookmarks", "Streaming lists". */
#include <stdio.h>

#include "master/rest/call.h"
#include "master/rest/status.h"
#include "proto/protobuf/protobuf.h"

#define BOOKMARK_MS 60000
#define LIFE_MAX_S  86400
#define LIFE_MIN_MS 1800000    /* of a watch that says no timeoutSeconds: from half an hour to a whole one */
#define BATCH_MAX   (8u << 20) /* more, of deletions, is told by identity alone */

static struct rest_call *call_of(struct api_stream *s)
{
    return CONTAINER_OF(s, struct rest_call, stream);
}

static bool is_protobuf(const struct rest_call *c)
{
    return c->view.form.coding == REST_PROTOBUF;
}

/* An event in protobuf, of an object in its envelope. */
static void write_event(struct rest_call *c, const char *type, const struct buf *envelope)
{
    protobuf_write_event(&c->out, type, buf_str(envelope));
}

/* An event of which the object stands in JSON: BOOKMARK, ERROR, brief ones. */
static void write_json_event(struct rest_call *c, const char *type, struct str object)
{
    CLEANUP_BUF struct buf envelope = BUF_INIT;
    if (is_protobuf(c) && rest_to_protobuf(&envelope, object)) {
        write_event(c, type, &envelope);
        return;
    }
    buf_printf(&c->out, "{\"type\":\"%s\",\"object\":", type);
    buf_append_str(&c->out, object);
    buf_puts(&c->out, "}\n");
}

static void write_bookmark(struct rest_call *c, uint64_t revision, bool initial)
{
    CLEANUP_BUF struct buf object = BUF_INIT;
    const char *api_version = c->view.api_version, *kind = c->path.kind->name;
    char meta[32];
    if (c->view.form.type == REST_FORM_PARTIAL) {
        kind = "PartialObjectMetadata";
        snprintf(meta, sizeof meta, "meta.k8s.io/%s", c->view.form.version);
        api_version = meta;
    }
    buf_printf(&object, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":\"%llu\"%s}}", kind,
               api_version, (unsigned long long)revision,
               initial ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "");
    write_json_event(c, "BOOKMARK", buf_str(&object));
    c->told = revision;
}

/* The first mark of a watch that began with what is there ends that; later ones are for those who want them. */
static void tell_bookmark(struct rest_call *c, uint64_t revision)
{
    bool all = !c->o.has_version || c->o.version == 0 || c->o.initial;
    bool first = all && !c->initial_told;
    c->initial_told = true;
    if (c->o.bookmarks && (!first || c->o.initial)) {
        /* A master may be behind the version that was asked from: of what is up to there it tells nothing. */
        uint64_t known = first ? 0 : MAX(c->told, c->o.version);
        write_bookmark(c, MAX(revision, known), first && c->o.initial);
    }
}

static void write_brief(struct rest_call *c, const char *type, const struct object *o, uint64_t revision)
{
    CLEANUP_BUF struct buf object = BUF_INIT;
    buf_printf(&object,
               "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":\"%llu\",\"name\":\"%.*s\","
               "\"namespace\":\"%.*s\",\"uid\":\"%.*s\"}}",
               c->path.kind->name, c->view.api_version, (unsigned long long)revision, STR_ARG(o->name), STR_ARG(o->ns),
               STR_ARG(o->uid));
    write_json_event(c, type, buf_str(&object));
}

/* What is told: of what left the selection the state in which it was selected, with the version of the change. */
static const struct object *told_object(const struct api_event *e)
{
    return e->left != NULL ? e->left : e->object;
}

/* In protobuf, made once for all watches that are told of it. */
static const struct buf *make_shared(struct rest_call *c, const struct api_event *e)
{
    struct master *m = c->e.api.m;
    if (m->https_event.object != e->object || m->https_event.revision != e->revision) {
        object_unref(m->https_event.object);
        m->https_event.object = object_ref(e->object);
        m->https_event.revision = e->revision;
        buf_reset(&m->https_event.protobuf);
        rest_write_single(&m->https_event.protobuf, &c->view, e->object, e->revision, false);
    }
    return &m->https_event.protobuf;
}

/* What is secret is kept nowhere. */
static bool is_shared(const struct rest_call *c)
{
    return c->view.form.type == REST_FORM_OBJECT && !c->path.kind->secret &&
           str_is(str_of(c->view.api_version), c->path.kind->api_version);
}

static void write_in_protobuf(struct rest_call *c, const char *type, const struct api_event *e)
{
    CLEANUP_BUF struct buf own = BUF_INIT;
    if (e->txn != NULL && e->left == NULL && is_shared(c)) {
        write_event(c, type, make_shared(c, e));
    } else {
        rest_write_single(&own, &c->view, told_object(e), e->revision, false);
        write_event(c, type, &own);
    }
}

static void write_in_json(struct rest_call *c, const char *type, const struct api_event *e)
{
    buf_printf(&c->out, "{\"type\":\"%s\",\"object\":", type);
    rest_write_single(&c->out, &c->view, told_object(e), e->revision, !c->columns_told);
    c->columns_told = true;
    buf_puts(&c->out, "}\n");
}

static size_t event(struct api_stream *s, const struct api_event *e)
{
    static const char *const words[] = {"ADDED", "MODIFIED", "DELETED"}; /* by type */
    struct rest_call *c = call_of(s);
    if (e->type == API_BOOKMARK) {
        tell_bookmark(c, e->revision);
        return c->out.size;
    }
    if (e->brief && c->view.form.type == REST_FORM_OBJECT) {
        write_brief(c, words[e->type], e->object, e->revision);
    } else if (is_protobuf(c)) {
        write_in_protobuf(c, words[e->type], e);
    } else {
        write_in_json(c, words[e->type], e);
    }
    c->told = e->revision;
    return c->out.size;
}

static void drop(struct api_stream *s)
{
    struct rest_call *c = call_of(s);
    buf_close(&c->out);
}

static int send_batch(struct api_stream *s, uint64_t revision)
{
    (void)revision;
    struct rest_call *c = call_of(s);
    if (c->conn == NULL) {
        drop(s);
        return ERR_CLOSED;
    }
    if (rest_conn_is_full(c->conn)) {
        drop(s);
        return ERR_BUSY;
    }
    rest_flush(c);
    return 0;
}

/* Nothing of the watch may be freed in here: the verb is still at it. */
static void end(struct api_stream *s, const struct error *err)
{
    struct rest_call *c = call_of(s);
    if (c->over) {
        return; /* it was ended by this side */
    }
    drop(s);
    if (err != NULL) {
        CLEANUP_BUF struct buf status = BUF_INIT;
        rest_write_status(&status, err);
        write_json_event(c, "ERROR", buf_str(&status));
    }
    rest_flush(c);
    if (c->ws != NULL) {
        rest_ws_end(c);
    }
    if (c->chunks && c->conn != NULL) {
        rest_conn_send(c->conn, STR("0\r\n\r\n"));
    }
    c->over = true;
    list_push_back(&c->e.api.m->https_ended, &c->ended_link);
    master_wake(c->e.api.m);
}

static const struct api_stream_front stream_front = {
    .batch_max = BATCH_MAX, .event = event, .drop = drop, .send = send_batch, .end = end};

struct api_stream *rest_watch_open(struct api_call *api, struct watch *w)
{
    struct rest_call *c = rest_call_of_api(api);
    struct master *m = api->m;
    if (c->conn == NULL) {
        errand_end(&c->e);
        rest_call_free(c);
        return NULL;
    }
    int64_t now_ms = env_now_ms(m->env), life_ms = MIN(c->o.timeout_s, LIFE_MAX_S) * 1000;
    if (life_ms == 0) {
        uint32_t random;
        env_random(m->env, &random, sizeof random);
        life_ms = LIFE_MIN_MS + random % LIFE_MIN_MS;
    }
    c->stream.front = &stream_front;
    c->watch = w;
    c->until_ms = now_ms + life_ms;
    c->bookmark_ms = now_ms + BOOKMARK_MS;
    errand_end(&c->e);
    if (c->ws != NULL) {
        rest_ws_begin(c);
    } else {
        rest_begin(c, 200, is_protobuf(c) ? PROTOBUF_MEDIA_TYPE ";stream=watch" : NULL);
    }
    api->warnings = api->notes = NULL; /* they are told */
    arena_close(&c->e.arena);
    return &c->stream;
}

/* Ended by us. The last word is where it stands, if it has heard all up to there. */
static void finish(struct rest_call *c)
{
    struct watch *w = c->watch;
    c->over = true;
    c->watch = NULL;
    watch_over(w);
    rest_end(c);
}

void rest_watch_tick(struct rest_call *c, int64_t now_ms)
{
    bool over = now_ms >= c->until_ms;
    if (c->o.bookmarks && (over || now_ms >= c->bookmark_ms)) {
        c->bookmark_ms = now_ms + BOOKMARK_MS;
        watch_mark(c->watch);
    }
    if (over && !c->over) {
        finish(c);
    }
}

void rest_watch_lost(struct rest_call *c)
{
    c->over = true;
    watch_over(TAKE_PTR(c->watch));
    rest_call_free(c);
}
