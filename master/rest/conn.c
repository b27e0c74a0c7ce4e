#include "master/rest/conn.h"

#include <assert.h>
#include <stdlib.h>

#include "master/rest/call.h"
#include "master/rest/kept.h"
#include "master/rest/rest.h"
#include "master/rest/status.h"

#define KEEP_BYTES 4096u

struct rest_conn *rest_conn_new(struct session *s, const struct rest_wire *wire, void *wire_data)
{
    struct rest_conn *c = xcalloc(1, sizeof *c);
    c->session = s;
    c->wire = wire;
    c->wire_data = wire_data;
    http_in_init(&c->in, REST_BODY_MAX); /* of strangers less: rest_conn_who */
    c->since_ms = c->taken_ms = env_now_ms(s->m->env);
    list_push_back(&s->m->https, &c->link);
    s->http = c;
    return c;
}

void rest_conn_gone(struct rest_conn *c)
{
    c->closing = true;
    if (c->call != NULL) {
        rest_call_lost(TAKE_PTR(c->call));
    }
    c->session->http = NULL;
    list_remove(&c->link);
    http_in_close(&c->in);
    buf_close(&c->ahead);
    principal_unref(c->who);
    free(c->denied);
    free(c);
}

/* ---- Out ---- */

static void count_sent(struct rest_conn *c, size_t n)
{
    c->session->m->rpc_stats.bytes += n; /* held.c looks when much has gone through */
    if (c->wire->pending(c->wire_data) == 0) {
        c->taken_ms = env_now_ms(c->session->m->env);
    }
    c->sent_bytes += n;
}

void rest_conn_send(struct rest_conn *c, struct str bytes)
{
    count_sent(c, bytes.n);
    c->wire->send(c->wire_data, bytes.p, bytes.n);
}

void rest_conn_give(struct rest_conn *c, struct buf *b, size_t at)
{
    assert(at <= b->size);
    if (c->wire->give == NULL) {
        rest_conn_send(c, (struct str){(const char *)b->data + at, b->size - at});
        buf_close(b);
        return;
    }
    count_sent(c, b->size - at);
    c->wire->give(c->wire_data, b, at);
}

bool rest_conn_is_full(const struct rest_conn *c)
{
    return c->wire->pending(c->wire_data) >= REST_SEND_HIGH;
}

static void close_it(struct rest_conn *c)
{
    if (!c->closing) {
        c->closing = true;
        c->wire->close(c->wire_data, c->patient ? REST_PATIENT_MS : REST_STUCK_MS);
    }
}

void rest_conn_be_patient(struct rest_conn *c)
{
    c->patient = true;
    if (c->wire->be_patient != NULL) {
        c->wire->be_patient(c->wire_data);
    }
}

size_t rest_conn_untaken(const struct rest_conn *c)
{
    return c->wire->untaken(c->wire_data);
}

void rest_conn_cut(struct rest_conn *c)
{
    c->call = NULL;
    c->closing = c->dropped = true;
    c->wire->abort(c->wire_data);
}

/* An answer to what is no request: nobody knows where the next one begins. */
static void refuse(struct rest_conn *c, unsigned status, const char *why)
{
    CLEANUP_BUF struct buf b = BUF_INIT, body = BUF_INIT;
    c->session->m->stats.rest_malformed++;
    rest_write_failure(&body, status, rest_reason_of(status), str_of(why));
    http_put_status(&b, status);
    http_put_header(&b, "Content-Type", STR("application/json"));
    http_put_header(&b, "Connection", STR("close"));
    http_put_length(&b, body.size);
    http_put_end(&b);
    if (!str_is(c->in.request.method, "HEAD")) {
        buf_append_str(&b, buf_str(&body));
    }
    rest_conn_send(c, buf_str(&b));
    close_it(c);
}

/* ---- In ---- */

/* One step with these bytes; how many were used. False: no more at present. */
static bool step(struct rest_conn *c, const uint8_t *p, size_t n, size_t *used)
{
    bool was_begun = http_in_begun(&c->in);
    enum http_step s = http_in_feed(&c->in, p, n, used);
    if (!was_begun) {
        c->since_ms = env_now_ms(c->session->m->env);
    }
    switch (s) {
    case HTTP_MORE:
        return false;
    case HTTP_HEAD:
        if (!rest_conn_who(c)) {
            refuse(c, c->in.status, c->in.why);
            return false;
        }
        if (c->in.request.expect_continue && *used == n) {
            rest_conn_send(c, STR(HTTP_CONTINUE));
        }
        return true;
    case HTTP_WHOLE:
        rest_call_begin(c);
        return !c->closing && c->call == NULL;
    case HTTP_BAD:
        refuse(c, c->in.status, c->in.why);
        return false;
    }
    return false;
}

/* Requests out of the bytes, until one has to be waited for. How many were used. */
static size_t work(struct rest_conn *c, const uint8_t *p, size_t n)
{
    size_t all = 0, used;
    bool more = true;
    c->feeding = true;
    while (more && !c->closing && c->call == NULL) {
        more = step(c, p + all, n - all, &used);
        all += used;
        more = more && (all < n || c->in.state != HTTP_IN_HEAD);
    }
    c->feeding = false;
    return c->closing ? n : all;
}

static void set_paused(struct rest_conn *c, bool paused)
{
    if (c->paused != paused && !c->closing) {
        c->paused = paused;
        c->wire->pause(c->wire_data, paused);
    }
}

/* What came behind the request that is a stream now. */
static void feed_ahead(struct rest_conn *c)
{
    struct buf ahead = c->ahead;
    c->ahead = BUF_INIT;
    set_paused(c, false); /* the stream has bounds of its own */
    if (ahead.size > 0) {
        rest_call_feed(c->call, ahead.data, ahead.size);
    }
    buf_close(&ahead);
}

void rest_conn_upgraded(struct rest_conn *c, bool patient)
{
    c->upgraded = true;
    if (patient) {
        rest_conn_be_patient(c);
    }
    if (!c->feeding) {
        feed_ahead(c);
    }
}

void rest_conn_pause(struct rest_conn *c, bool paused)
{
    set_paused(c, paused);
}

void rest_conn_feed(struct rest_conn *c, const void *p, size_t n)
{
    size_t used = 0;
    if (c->closing) {
        return;
    }
    if (c->upgraded) {
        if (c->call != NULL) {
            rest_call_feed(c->call, p, n);
        }
        return;
    }
    if (c->call == NULL && c->ahead.size == 0) {
        used = work(c, p, n);
    }
    buf_append(&c->ahead, (const uint8_t *)p + used, n - used);
    if (c->upgraded) {
        feed_ahead(c);
    } else {
        set_paused(c, c->ahead.size >= REST_AHEAD_MAX);
    }
}

void rest_conn_done(struct rest_conn *c, bool keep)
{
    c->call = NULL;
    c->since_ms = env_now_ms(c->session->m->env);
    if (!keep) {
        close_it(c);
    }
    if (c->closing) {
        return;
    }
    http_in_next(&c->in);
    if (c->feeding) {
        return; /* it goes on by itself */
    }
    size_t size = c->ahead.size;
    if (size > 0) {
        buf_consume(&c->ahead, work(c, c->ahead.data, size));
    }
    if (c->upgraded) { /* by a request that had come behind this one */
        feed_ahead(c);
        return;
    }
    if (c->ahead.size == 0 && c->ahead.cap > KEEP_BYTES) {
        buf_close(&c->ahead);
    }
    set_paused(c, c->ahead.size >= REST_AHEAD_MAX);
}

void rest_conn_drained(struct rest_conn *c)
{
    c->taken_ms = env_now_ms(c->session->m->env);
    if (c->call != NULL && !c->closing) {
        rest_call_drained(c->call);
    }
}

/* ---- Time ---- */

void rest_conn_tick(struct rest_conn *c, int64_t now_ms)
{
    size_t pending = c->wire->pending(c->wire_data);
    uint64_t taken = c->sent_bytes - pending;
    bool waits = c->wire->waits != NULL && c->wire->waits(c->wire_data);
    if (taken != c->taken_bytes || pending == 0 || waits) {
        c->taken_bytes = taken;
        c->taken_ms = now_ms;
    } else if (now_ms - c->taken_ms >= (c->patient ? REST_PATIENT_MS : REST_STUCK_MS)) {
        c->session->m->stats.rest_stuck += !c->dropped;
        c->closing = c->dropped = true;
        c->wire->abort(c->wire_data);
    }
    if (c->closing) {
        return;
    }
    if (c->call != NULL) {
        rest_call_tick(c->call, now_ms);
    } else if (http_in_begun(&c->in) && now_ms - c->since_ms >= REST_HALF_MS) {
        refuse(c, 408, "the request did not become whole in time");
    } else if (!http_in_begun(&c->in) && now_ms - c->since_ms >= REST_IDLE_MS) {
        close_it(c);
    }
}

void rest_tick(struct master *m)
{
    int64_t now_ms = env_now_ms(m->env);
    rest_kept_tick(m->kept, now_ms);
    LIST_FOR_SAFE(it, &m->https)
    {
        rest_conn_tick(LIST_ENTRY(it, struct rest_conn, link), now_ms);
    }
}
