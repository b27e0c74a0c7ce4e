#include "master/rest/call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena_small.h"
#include "master/api/read.h"
#include "master/auth/bearer.h"
#include "master/front/audit.h"
#include "master/front/requests.h"
#include "master/front/typed.h"
#include "master/rest/gzip.h"
#include "master/rest/rest.h"
#include "master/rest/status.h"
#include "proto/protobuf/protobuf.h"
#include "proto/text/text.h"

#define CALL_BYTES     2048u        /* what a request without a body holds while it waits */
#define STAYS_BYTES    496u         /* what the head of most that stay says */
#define FRAME_MOST     18u          /* the head of a chunk: its size in hexadecimal digits */
#define YAML_BYTES_MAX (256u << 10) /* of JSON: what is larger would hold up all others while it is made YAML */

static const struct errand_front rest_front;

void rest_call_free(struct rest_call *c)
{
    assert(c->watch == NULL && c->log == NULL);
    rest_stream_free(c->upgrade);
    rest_ws_free(c->ws);
    rest_proxy_free(c->proxy);
    list_remove(&c->ended_link);
    errand_close(&c->e);
    arena_close(&c->own);
    buf_close(&c->body);
    buf_close(&c->out);
    view_unref(c->before);
    rest_gzip_free(c->gzip);
    free(c);
}

void rest_call_leave(struct rest_call *c)
{
    struct rest_conn *conn = c->conn;
    bool keep = c->keep_alive;
    c->conn = NULL;
    rest_call_free(c);
    if (conn != NULL) {
        rest_conn_done(conn, keep);
    }
}

/* ---- Answers ---- */

static void put_warning(struct buf *out, struct str text)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_puts(&b, "299 - \"");
    for (size_t i = 0; i < text.n && i < 512; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\') {
            buf_putc(&b, '\\');
        }
        buf_putc(&b, text.p[i]);
    }
    buf_putc(&b, '"');
    http_put_header(out, "Warning", buf_str(&b));
}

static void put_warnings(struct buf *out, const struct value *list)
{
    for (unsigned i = 0; i < MIN(value_count(list), REST_WARNINGS_MAX); i++) {
        put_warning(out, value_to_str(value_item(list, i)));
    }
}

void rest_put_audit(struct rest_call *c, struct buf *out, unsigned status)
{
    const char *id = audit_id(&c->e);
    c->e.answered = status;
    if (id != NULL) {
        http_put_header(out, "Audit-Id", str_of(id));
    }
}

void rest_put_head(struct rest_call *c, struct buf *out, unsigned status, const char *type)
{
    http_put_status(out, status);
    http_put_header(out, "Content-Type", str_of(type == NULL ? "application/json" : type));
    http_put_header(out, "Cache-Control", STR("no-cache, private"));
    rest_put_audit(c, out, status);
    if (!c->keep_alive) {
        http_put_header(out, "Connection", STR("close"));
    } else if (!c->chunks) {
        http_put_header(out, "Connection", STR("keep-alive"));
    }
    put_warnings(out, c->warnings);
    put_warnings(out, c->e.api.warnings);
}

static void send_whole(struct rest_call *c, struct buf *head, struct str body)
{
    http_put_length(head, body.n);
    http_put_end(head);
    if (c->conn != NULL) {
        rest_conn_send(c->conn, buf_str(head));
    }
    if (c->conn != NULL && !c->head_only) { /* RFC 9110 9.3.2: of HEAD the length is told, and no body comes */
        rest_conn_send(c->conn, body);
    }
    errand_end(&c->e);
    rest_call_leave(c);
}

static void put_gzip(struct buf *head)
{
    http_put_header(head, "Content-Encoding", STR("gzip"));
    http_put_header(head, "Vary", STR("Accept-Encoding"));
}

const char *rest_type_of(const struct rest_call *c)
{
    return c->view.form.coding == REST_YAML       ? REST_YAML_TYPE
           : c->view.form.coding == REST_PROTOBUF ? PROTOBUF_MEDIA_TYPE
                                                  : NULL;
}

/* A document of JSON in the form that was asked for; its type. What cannot be said in it, or is too large for
 * that, stays JSON. */
static const char *recode(const struct rest_call *c, struct str json, struct buf *out)
{
    bool yaml = c->view.form.coding == REST_YAML, large = yaml && json.n > YAML_BYTES_MAX;
    if (c->view.form.coding != REST_JSON && !large && (yaml ? rest_to_yaml(out, json) : rest_to_protobuf(out, json))) {
        return rest_type_of(c);
    }
    if (c->is_pretty) {
        rest_pretty_add(&(struct rest_pretty){0}, out, json);
    } else {
        buf_append_str(out, json);
    }
    return NULL;
}

void rest_answer(struct rest_call *c, unsigned status, const char *type, const struct buf *body)
{
    CLEANUP_BUF struct buf head = BUF_INIT, packed = BUF_INIT;
    CLEANUP_BUF_WIPE struct buf other = BUF_INIT; /* a token may be in it */
    if (type == NULL && (c->view.form.coding != REST_JSON || c->is_pretty)) {
        type = recode(c, buf_str(body), &other);
        body = &other;
    }
    rest_put_head(c, &head, status, type);
    if (c->takes_gzip && body->size >= REST_GZIP_MIN) {
        struct rest_gzip *z = rest_gzip_new();
        rest_gzip_add(z, &packed, buf_str(body), true);
        rest_gzip_free(z);
        c->e.api.m->stats.gzipped++;
        put_gzip(&head);
        body = &packed;
    }
    send_whole(c, &head, buf_str(body));
}

void rest_answer_kept(struct rest_call *c, const char *type, struct str body, const char *hash)
{
    CLEANUP_BUF struct buf head = BUF_INIT;
    char tag[80];
    snprintf(tag, sizeof tag, "\"%s\"", hash);
    bool has = http_has_tag(c->if_none_match, tag);
    rest_put_head(c, &head, has ? 304 : 200, type);
    http_put_header(&head, "ETag", str_of(tag));
    send_whole(c, &head, has ? STR_NONE : body);
}

void rest_answer_failure(struct rest_call *c, unsigned status, const char *fmt, ...)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    char text[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->e.api.m->stats.refused++;
    rest_write_failure(&body, status, rest_reason_of(status), str_of(text));
    rest_answer(c, status, NULL, &body);
}

/* ---- In pieces ---- */

void rest_begin(struct rest_call *c, unsigned status, const char *type)
{
    CLEANUP_BUF struct buf head = BUF_INIT;
    assert(!c->begun);
    c->begun = true;
    c->keep_alive = c->keep_alive && c->chunks; /* else its end is that of the connection */
    rest_put_head(c, &head, status, type);
    if (c->chunks) {
        http_put_header(&head, "Transfer-Encoding", STR("chunked"));
    }
    if (c->takes_gzip && c->out.size >= REST_GZIP_MIN) { /* a list: of what goes on for ever, nothing is there yet */
        c->gzip = rest_gzip_new();
        c->e.api.m->stats.gzipped++;
        put_gzip(&head);
    }
    http_put_end(&head);
    if (c->conn != NULL) {
        rest_conn_send(c->conn, buf_str(&head));
    }
}

void rest_open_piece(struct rest_call *c, size_t bytes)
{
    assert(c->out.size == 0);
    bool as_it_is = c->gzip == NULL && !c->is_pretty && c->ws == NULL;
    c->frame_room = c->chunks && as_it_is ? FRAME_MOST : 0;
    buf_reserve(&c->out, c->frame_room + bytes);
    c->out.size = c->frame_room;
}

/* What stands in b behind `room`, where the head of its chunk goes if there is any. b is given, or has nothing. */
static void send_piece(struct rest_call *c, struct buf *b, size_t room)
{
    char head[FRAME_MOST + 1];
    size_t n = b->size - room;
    if (c->conn == NULL || n == 0) {
        return;
    }
    if (c->chunks) {
        size_t size = (size_t)snprintf(head, sizeof head, "%zx\r\n", n);
        if (room >= size) {
            room -= size;
            memcpy(b->data + room, head, size);
        } else {
            rest_conn_send(c->conn, (struct str){head, size});
        }
        buf_puts(b, "\r\n");
    }
    rest_conn_give(c->conn, b, room);
}

static void flush(struct rest_call *c, bool last)
{
    CLEANUP_BUF struct buf packed = BUF_INIT, laid_out = BUF_INIT;
    struct buf *piece = &c->out;
    size_t room = c->frame_room;
    if (c->ws != NULL) {
        rest_ws_flush(c);
        return;
    }
    bool lists = c->what == REST_DO_LIST || c->what == REST_DO_CLEAR; /* nothing else of JSON comes in pieces */
    if (c->is_pretty && lists && c->view.form.coding == REST_JSON) {
        rest_pretty_add(&c->pretty, &laid_out, buf_str(piece));
        piece = &laid_out;
    }
    if (c->gzip != NULL) {
        rest_gzip_add(c->gzip, &packed, buf_str(piece), last);
        piece = &packed;
    }
    send_piece(c, piece, room);
    buf_close(&c->out); /* what waits for the next piece holds no memory */
    c->frame_room = 0;
}

void rest_flush(struct rest_call *c)
{
    flush(c, false);
}

void rest_end(struct rest_call *c)
{
    CLEANUP_BUF struct buf last = BUF_INIT;
    flush(c, true);
    if (c->ws != NULL) {
        rest_ws_end(c);
    }
    if (c->chunks) {
        http_put_last_chunk(&last);
    }
    if (c->conn != NULL) {
        rest_conn_send(c->conn, buf_str(&last));
    }
    errand_end(&c->e);
    rest_call_leave(c);
}

void rest_call_drained(struct rest_call *c)
{
    if (c->waits) {
        c->waits = false;
        errand_take_turn(&c->e);
    } else if (c->watch != NULL && !c->over) {
        watch_writable(c->watch);
    } else if (c->log != NULL) {
        rest_log_drained(c);
    } else if (c->upgrade != NULL) {
        rest_stream_drained(c);
    } else if (c->proxy != NULL) {
        rest_proxy_drained(c);
    }
}

void rest_call_tick(struct rest_call *c, int64_t now_ms)
{
    bool streams = (c->watch != NULL && !c->over) || c->log != NULL || c->upgrade != NULL || c->proxy != NULL;
    if (streams && bearer_check(c->e.api.m, c->e.who, NULL) != 0) { /* a token's end is that of its streams */
        c->conn->closing = c->conn->dropped = true;
        c->conn->wire->abort(c->conn->wire_data);
        return;
    }
    if (c->watch != NULL && !c->over) {
        rest_watch_tick(c, now_ms);
    } else if (c->log != NULL && rest_ws_closed(c->ws)) {
        rest_log_close(c);
    } else if (c->upgrade != NULL) {
        rest_stream_tick(c, now_ms);
    }
}

size_t rest_call_held(const struct rest_call *c)
{
    return c->out.cap + (c->gzip == NULL ? 0 : REST_GZIP_BYTES) +
           (c->upgrade == NULL ? 0 : rest_stream_held(c->upgrade));
}

void rest_call_feed(struct rest_call *c, const void *p, size_t n)
{
    if (c->upgrade != NULL) {
        rest_stream_feed(c, p, n);
    } else {
        rest_ws_feed(c, p, n);
    }
}

void rest_call_lost(struct rest_call *c)
{
    c->conn = NULL;
    if (c->watch != NULL) {
        rest_watch_lost(c);
    } else if (c->log != NULL) {
        rest_log_lost(c);
    } else if (c->upgrade != NULL) {
        rest_stream_lost(c);
    } else if (c->proxy != NULL) {
        rest_proxy_lost(c);
    } else if (c->waits) {
        api_let_go(&c->e.api);
        errand_end(&c->e);
        rest_call_free(c);
    }
}

/* ---- What the errand asks of its front ---- */

static bool gone(const struct errand *e)
{
    return rest_call_of(e)->conn == NULL;
}

static struct session *session_of(const struct errand *e)
{
    struct rest_conn *conn = rest_call_of(e)->conn;
    return conn == NULL ? NULL : conn->session;
}

static size_t unread(const struct errand *e)
{
    struct rest_conn *conn = rest_call_of(e)->conn;
    return conn == NULL ? 0 : conn->wire->pending(conn->wire_data);
}

/* An answer that has begun cannot be taken back: who reads it must see that it is cut. */
static void fail(struct errand *e, const struct error *err)
{
    struct rest_call *c = rest_call_of(e);
    CLEANUP_BUF struct buf head = BUF_INIT, body = BUF_INIT, other = BUF_INIT;
    struct rest_status s = rest_status_of(err);
    if (c->begun) {
        struct rest_conn *conn = c->conn;
        errand_end(e);
        c->conn = NULL;
        rest_call_free(c);
        if (conn != NULL) {
            rest_conn_cut(conn);
        }
        return;
    }
    c->keep_alive = c->keep_alive && err->code != ERR_CLOSED;
    CLEANUP_BUF struct buf token = BUF_INIT;
    if (c->what == REST_DO_LIST && err->code == ERR_EXPIRED && c->o.token.n > 0) {
        list_token_anew(&c->e.api, c->o.token, &token);
    }
    rest_write_expired(&body, err, buf_str(&token));
    rest_put_head(c, &head, s.code, recode(c, buf_str(&body), &other));
    if (s.retry_after_s > 0) {
        buf_printf(&head, "Retry-After: %u\r\n", s.retry_after_s);
    }
    send_whole(c, &head, buf_str(&other));
}

/* Is what is here as new as was asked for? A confirmed read has all that is committed: what is newer is not there. */
static bool is_new_enough(struct rest_call *c)
{
    uint64_t newest = view_revision(store_committed(replica_store(c->e.api.m->replica)));
    if ((c->what != REST_DO_GET && c->what != REST_DO_LIST) || !c->o.has_version || c->o.token.n > 0) {
        return true;
    }
    struct error err = {0};
    if (c->o.version > newest) {
        const char *why = "Too large resource version";
        error_set_field(&err, ERR_TIMEOUT, "resourceVersion", "%s: %llu, current: %llu", why,
                        (unsigned long long)c->o.version, (unsigned long long)newest);
        error_add_cause(&err, ERROR_CAUSE_VERSION_TOO_LARGE, STR_NONE, str_of(why));
        err.retry_after_ms = 1000;
        errand_fail_now(&c->e, &err);
        return false;
    }
    return true; /* whether an older one is kept is for who may list (verb_list) */
}

/* The first time: if it is begun anew, what was deleted before counts as well. */
static void keep_before(struct rest_call *c)
{
    const struct store *s = replica_store(c->e.api.m->replica);
    if (c->what == REST_DO_CLEAR && c->before == NULL) {
        c->before = view_ref(store_tip(s) != NULL ? store_tip(s) : store_committed(s));
    }
}

static void handle(struct errand *e)
{
    struct rest_call *c = rest_call_of(e);
    keep_before(c);
    if (!c->begun) { /* of a former time */
        buf_reset(&c->out);
        c->rows = c->sized = false;
        c->frame_room = 0;
        c->items_bytes = c->written_bytes = c->piece_bytes = 0;
    }
    if (c->what == REST_DO_LOG) {
        rest_log_here(c);
    } else if (c->what == REST_DO_STREAM) {
        rest_stream_here(c);
    } else if (c->what == REST_DO_PROXY) {
        rest_proxy_here(c);
    } else if (c->what == REST_DO_TELL) {
        rest_tell(c);
    } else if (is_new_enough(c)) {
        errand_do(e);
    }
}

static bool write_request(struct errand *e, struct buf *b)
{
    struct rest_call *c = rest_call_of(e);
    keep_before(c);
    if (c->what == REST_DO_STREAM) {
        return rest_stream_write(c, b);
    }
    if (c->what != REST_DO_LOG) {
        return typed_write(e, b);
    }
    mp_write_key_str(b, "method", e->name);
    mp_write_cstr(b, "params");
    rest_log_write(c, b);
    return true;
}

static bool relay_here(struct errand *e)
{
    struct rest_call *c = rest_call_of(e);
    return c->what == REST_DO_STREAM ? rest_stream_near(c) : rest_log_near(c);
}

static void relay(struct errand *e, uint64_t leader, struct str params)
{
    struct rest_call *c = rest_call_of(e);
    if (c->what == REST_DO_STREAM) {
        rest_stream_relay(c, leader, params);
    } else {
        rest_log_relay(c, leader, params);
    }
}

/* What is told of the API itself is a path, as roles have them. */
static const char *access_of(struct errand *e, struct str *ns, struct str *name)
{
    static const char *const paths[] = {
        [REST_ROOT] = "get /api",        [REST_CORE_VERSIONS] = "get /api",    [REST_GROUPS] = "get /apis",
        [REST_GROUP] = "get /apis/",     [REST_RESOURCES] = "get /apis/",      [REST_VERSION] = "get /version",
        [REST_METRICS] = "get /metrics", [REST_OPENAPI_2] = "get /openapi/v2", [REST_OPENAPI_3] = "get /openapi/v3"};
    const struct rest_call *c = rest_call_of(e);
    const struct rest_path *p = &c->path;
    if (c->what == REST_DO_LOG) {
        *ns = p->ns;
        *name = p->name;
        return "get pods/log";
    }
    if (c->what == REST_DO_STREAM) {
        return rest_stream_access(rest_call_of(e), ns, name);
    }
    if (c->what == REST_DO_PROXY) {
        return rest_proxy_access(rest_call_of(e), ns, name);
    }
    if (p->place == REST_REVIEW) { /* of what is told: components */
        *name = p->name;
        return arena_printf(&e->arena, "%s %s", p->name.n > 0 ? "get" : "list", p->extra->plural);
    }
    if (p->place == REST_OPENID) {
        return p->name.n > 0 ? "get /openid/v1/jwks" : "get /.well-known/openid-configuration";
    }
    if (p->place == REST_HEALTH) {
        return arena_printf(&e->arena, "get /%s", p->health);
    }
    return (size_t)p->place < ARRAY_SIZE(paths) ? paths[p->place] : NULL;
}

static void forget(struct errand *e)
{
    struct rest_call *c = rest_call_of(e);
    c->warnings = c->spec = c->twice = NULL;
    c->judged = false;
}

static const struct errand_front rest_front = {
    .access = access_of,
    .gone = gone,
    .session = session_of,
    .unread = unread,
    .forget = forget,
    .handle = handle,
    .fail = fail,
    .write = write_request,
    .answered = typed_answered,
    .relay_here = relay_here,
    .relay = relay,
    .typed = rest_typed,
    .peek = rest_peek,
};

/* ---- The beginning ---- */

static void start(struct rest_call *c)
{
    struct errand *e = &c->e;
    if (rest_is_typed(c)) { /* its body is read when it is its turn: until then it holds no more than its bytes */
        typed_set(e, rest_verb(c), true); /* writes have ids; what has none is a dry run */
    } else if (c->what == REST_DO_LOG) {
        e->name = STR("logs");
        e->flags = request_logs.flags;
    } else if (c->what == REST_DO_STREAM) {
        rest_stream_start(c);
    } else if (c->what == REST_DO_PROXY) {
        rest_proxy_start(c);
    } else {
        e->name = STR("discovery");
        e->flags = c->path.place == REST_REVIEW ? 0 : METHOD_NODE;
        e->flags |= (c->path.place == REST_HEALTH || c->path.place == REST_VERSION) ? METHOD_ANON : 0;
    }
    bool counts = c->path.place == REST_METRICS;
    if (counts) {
        e->name = STR("metrics");
        e->flags = request_metrics_text.flags;
    }
    bool reads = c->what == REST_DO_GET || c->what == REST_DO_LIST; /* a watch is judged once, so by what holds now */
    uint64_t here = view_revision(store_committed(replica_store(e->api.m->replica)));
    bool goes_on = c->what == REST_DO_WATCH && c->o.has_version && c->o.version > 0 && !c->o.initial;
    e->newest = e->newest && !goes_on; /* what is not yet here will come in order; roles are asked for as of now */
    e->reads_first = c->what == REST_DO_CLEAR;
    e->stale = counts || (reads && c->o.has_version && c->o.version <= here && c->o.match != REST_MATCH_EXACT);
    if (errand_may(e) && errand_take_in(e, c->body.size + CALL_BYTES)) {
        errand_start(e, MASTER_WAIT_MS);
    }
}

/* A watch, most likely: then it is idle for long. */
static bool is_to_stay(const struct http_request *r)
{
    return r->query.n > 0 && memmem(r->query.p, r->query.n, "watch=", 6) != NULL;
}

void rest_call_begin(struct rest_conn *conn)
{
    struct session *s = conn->session;
    struct master *m = s->m;
    const struct http_request *r = &conn->in.request;
    struct rest_call *c = xcalloc(1, sizeof *c);
    m->stats.requests++;
    s->heard_ms = env_now_ms(m->env);
    errand_init(&c->e, m, &rest_front, &rest_api_front, conn->who != NULL ? conn->who : s->principal);
    c->e.name = STR("request");
    if (is_to_stay(r)) {
        arena_init_small(&c->own, STAYS_BYTES);
    } else {
        arena_init(&c->own);
    }
    if (audit_is_on(m)) {
        struct str agent = http_header(r, "User-Agent");
        c->e.uri = (struct str){arena_strndup(&c->own, r->target.p, MIN(r->target.n, AUDIT_TEXT_MAX)),
                                MIN(r->target.n, AUDIT_TEXT_MAX)};
        c->e.agent = agent.n == 0 ? STR_NONE
                                  : (struct str){arena_strndup(&c->own, agent.p, MIN(agent.n, AUDIT_TEXT_MAX)),
                                                 MIN(agent.n, AUDIT_TEXT_MAX)};
    }
    list_init(&c->ended_link);
    c->conn = conn;
    conn->call = c;
    conn->patient = false;
    c->keep_alive = r->keep_alive;
    c->head_only = str_is(r->method, "HEAD");
    c->chunks = r->minor == 1;
    env_random(m->env, c->id, sizeof c->id);
    if (s->refusal != NULL) {
        c->keep_alive = false;
        errand_fail_now(&c->e, s->refusal);
    } else if (conn->denied != NULL) {
        errand_fail_now(&c->e, conn->denied);
    } else if (!errand_revoked(&c->e) && rest_decide(c, r)) {
        c->body = conn->in.body;
        conn->in.body = BUF_INIT;
        http_in_let_go(&conn->in);
        start(c);
    }
}

/* ---- For the daemon ---- */

void rest_turn(struct master *m)
{
    LIST_FOR_SAFE(it, &m->https_ended)
    {
        struct rest_call *c = LIST_ENTRY(it, struct rest_call, ended_link);
        list_remove(&c->ended_link);
        c->over = true;
        watch_over(TAKE_PTR(c->watch));
        rest_call_leave(c);
    }
}
