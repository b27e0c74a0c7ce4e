/* A watcher that goes on at another master, behind the last revision it was told, whenever its stream breaks.
 *
 *   connect --> stream opened --> (list, BOOKMARK) --> events ... --> broken --> next master, behind `revision`
 *                                                                     Expired at all masters --> list again, counted */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fault/workload.h"

#define RETRY_MS   100
#define POLL_MS    50
#define CONNECT_MS 2000

struct follower {
    struct watcher *w;
    uv_loop_t loop;
    uv_timer_t timer;
    struct net_tls *tls;
    struct rpc_session *session; /* NULL between two */
    struct rpc_stream *stream;
    unsigned server, expired; /* masters in a row that said so */
    bool listing, ends;
    uint64_t revision; /* told up to here */
    int64_t retry_us;
};

static void attempt(struct follower *f);

/* ---- What is told ---- */

static void tell(struct follower *f, uint64_t revision, struct str type, struct mp object)
{
    struct object *o = NULL;
    struct seen s;
    struct error err = {0};
    if (str_is(type, "BOOKMARK")) {
        f->listing = false;
        __atomic_store_n(&f->w->synced, true, __ATOMIC_RELEASE);
        return;
    }
    if (object_from_wire(object, &o, &err) != 0) {
        fault_die("watch event", &err);
    }
    seen_of(o, &s);
    s.listed = f->listing;
    s.deleted = str_is(type, "DELETED");
    if (!f->listing && revision != s.revision && !s.deleted) {
        fprintf(stderr, "fault: watcher %u: %s of revision %llu was told as revision %llu\n", f->w->index, s.name,
                (unsigned long long)s.revision, (unsigned long long)revision);
    }
    seens_add(&f->w->told, &s);
    f->w->complete |= strcmp(s.name, END_NAME) == 0;
    object_unref(o);
}

static void on_data(struct rpc_stream *st, struct mp payload, size_t bytes, void *data)
{
    struct follower *f = data;
    uint64_t revision = (uint64_t)mp_int(mp_get(payload, "revision"), 0);
    for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it);) {
        tell(f, revision, mp_str(mp_get(it.value, "type")), mp_get(it.value, "object"));
    }
    if (!f->listing) {
        f->revision = revision;
    }
    f->expired = 0;
    rpc_stream_consumed(st, bytes);
}

/* ---- Connections ---- */

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct follower *f = data;
    if (err != NULL && err->code == ERR_EXPIRED && ++f->expired >= f->w->target->servers_count) {
        f->revision = 0;
        f->expired = 0;
        f->w->told.relisted++;
    }
    f->stream = NULL;
    rpc_stream_end(st, NULL);
    if (f->session != NULL && rpc_session_is_open(f->session)) {
        rpc_session_close(f->session);
    }
}

static void on_close(struct rpc_session *s, const struct error *why, void *data)
{
    struct follower *f = data;
    (void)s;
    (void)why;
    f->session = NULL;
    f->server++;
    f->w->told.resumed++;
    f->retry_us = fault_now_us() + RETRY_MS * 1000;
}

static void attempt(struct follower *f)
{
    CLEANUP_BUF struct buf params = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *p = value_map(&a);
    value_set(&a, p, "kind", value_cstr(&a, "ConfigMap"));
    value_set(&a, p, "namespace", value_cstr(&a, NAMESPACE));
    f->listing = f->revision == 0;
    if (!f->listing) {
        value_set(&a, p, "revision", value_int(&a, (int64_t)f->revision));
    }
    msgpack_write_value(&params, p);
    const char *server = f->w->target->servers[(f->w->index + f->server) % f->w->target->servers_count];
    const struct rpc_config config = {.handler = {.on_close = on_close}, .data = f};
    f->session = rpc_session_connect(&f->loop, f->tls, server, ALPN_RPC, CONNECT_MS, &config);
    const struct rpc_stream_events events = {.on_data = on_data, .on_end = on_end};
    f->stream = rpc_stream_open(f->session, "watch", buf_str(&params), &events, f);
}

/* ---- Life ---- */

static void on_timer(uv_timer_t *t)
{
    struct follower *f = t->data;
    bool stop = f->w->complete || __atomic_load_n(f->w->stop, __ATOMIC_ACQUIRE);
    if (stop && !f->ends) {
        f->ends = true;
        if (f->session != NULL) {
            rpc_session_close(f->session);
        }
    }
    if (f->ends && f->session == NULL) {
        uv_close((uv_handle_t *)t, NULL);
    } else if (!f->ends && f->session == NULL && fault_now_us() >= f->retry_us) {
        attempt(f);
    }
}

static void *follow(void *arg)
{
    struct follower f = {.w = arg};
    struct error err = {0};
    const struct config_target *t = f.w->target;
    if (net_tls_new(t->ca_pem, t->cert_pem, t->key_pem, NULL, &f.tls, &err) != 0) {
        fault_die("watcher's certificate", &err);
    }
    uv_loop_init(&f.loop);
    uv_timer_init(&f.loop, &f.timer);
    f.timer.data = &f;
    uv_timer_start(&f.timer, on_timer, 0, POLL_MS);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    uv_loop_close(&f.loop);
    net_tls_unref(f.tls);
    return NULL;
}

void watcher_start(struct watcher *w)
{
    if (pthread_create(&w->thread, NULL, follow, w) != 0) {
        fault_die("thread", NULL);
    }
}

void watcher_join(struct watcher *w)
{
    pthread_join(w->thread, NULL);
}
