/*   connect --> stream opened --> (list, BOOKMARK) --> events ... --> broken --> next master, behind `revision`
 *                                                                     Expired at all masters --> list again, counted */
#include "tests/fault/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/api/api.h"
#include "tests/fault/informer.h"
#include "tests/fault/kit.h"
#include "tests/fault/trial.h"

#define RETRY_MS   100
#define POLL_MS    50
#define CONNECT_MS 2000
#define SILENT_MS  3000 /* a stream that says nothing for so long is left for another master: it may be cut off */

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
    int64_t retry_us, told_us;
    struct arena arena; /* of the list that is being told */
    struct buf listed;  /* of struct listed */
};
struct listed {
    const char *name;
    int64_t number;
};

/* ---- What is told ---- */

static void list_is_told(struct follower *f, uint64_t revision)
{
    size_t op = hist_told(&f->w->hist, f->w->process, HIST_LIST, revision, fault_now_us());
    const struct listed *l = (const void *)f->listed.data;
    for (size_t i = 0; i < f->listed.size / sizeof *l; i++) {
        hist_step_put(&f->w->hist, op, l[i].name, (struct hist_value){.there = true, .number = l[i].number});
    }
    f->listing = false;
    f->revision = revision;
    buf_reset(&f->listed);
    arena_close(&f->arena);
    arena_init(&f->arena);
    __atomic_store_n(&f->w->synced, true, __ATOMIC_RELEASE);
}

static void tell(struct follower *f, size_t op, struct str type, struct mp object)
{
    struct object *o = NULL;
    struct error err = {0};
    if (object_from_wire(object, &o, &err) != 0) {
        fault_die("watch event", &err);
    }
    CLEANUP_FREE char *name = xstrndup(o->name.p, o->name.n);
    if (f->listing) {
        struct listed l = {.name = arena_strdup(&f->arena, name), .number = client_number(o)};
        buf_append(&f->listed, &l, sizeof l);
    } else if (str_is(type, "DELETED")) {
        hist_step_delete(&f->w->hist, op, name);
    } else {
        hist_step_put(&f->w->hist, op, name, (struct hist_value){.there = true, .number = client_number(o)});
    }
    if (strcmp(name, f->w->last) == 0) {
        __atomic_store_n(&f->w->complete, true, __ATOMIC_RELEASE);
    }
    object_unref(o);
}

/* One payload holds events of one transaction; while listing, objects that are there, and at the end the list's
 * revision as a bookmark. */
static void on_data(struct rpc_stream *st, struct mp payload, size_t bytes, void *data)
{
    struct follower *f = data;
    uint64_t revision = (uint64_t)mp_int(mp_get(payload, "revision"), 0);
    size_t op = 0;
    bool begun = false;
    for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it);) {
        struct str type = mp_str(mp_get(it.value, "type"));
        if (str_is(type, "BOOKMARK")) {
            if (f->listing) {
                list_is_told(f, revision);
            }
            continue;
        }
        if (!f->listing && !begun) {
            op = hist_told(&f->w->hist, f->w->process, HIST_EVENT, revision, fault_now_us());
            begun = true;
        }
        tell(f, op, type, mp_get(it.value, "object"));
    }
    if (!f->listing) {
        f->revision = revision;
    }
    f->expired = 0;
    f->told_us = fault_now_us();
    rpc_stream_consumed(st, bytes);
}

/* ---- Connections ---- */

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct follower *f = data;
    if (err != NULL && err->code == ERR_EXPIRED && ++f->expired >= f->w->target->servers_count) {
        f->revision = 0;
        f->expired = 0;
        f->w->relisted++;
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
    f->w->resumed++;
    f->retry_us = fault_now_us() + RETRY_MS * 1000;
}

static void attempt(struct follower *f)
{
    CLEANUP_BUF struct buf params = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *p = value_map(&a);
    value_set(&a, p, "kind", value_cstr(&a, "ConfigMap"));
    value_set(&a, p, "namespace", value_cstr(&a, "default"));
    value_set(&a, p, "labelSelector", value_cstr(&a, arena_printf(&a, "set=%s", f->w->label)));
    f->listing = f->revision == 0;
    buf_reset(&f->listed);
    if (!f->listing) {
        value_set(&a, p, "revision", value_int(&a, (int64_t)f->revision));
        hist_told(&f->w->hist, f->w->process, HIST_RESUME, f->revision, fault_now_us());
    }
    msgpack_write_value(&params, p);
    const char *server = f->w->target->servers[(f->w->index + f->server) % f->w->target->servers_count];
    const struct rpc_config config = {.handler = {.on_close = on_close}, .data = f};
    f->told_us = fault_now_us();
    f->session = rpc_session_connect(&f->loop, f->tls, server, ALPN_RPC, CONNECT_MS, &config);
    const struct rpc_stream_events events = {.on_data = on_data, .on_end = on_end};
    f->stream = rpc_stream_open(f->session, "watch", buf_str(&params), &events, f);
}

/* ---- Life ---- */

static void on_timer(uv_timer_t *t)
{
    struct follower *f = t->data;
    bool stop = __atomic_load_n(&f->w->complete, __ATOMIC_ACQUIRE) || __atomic_load_n(&f->w->stop, __ATOMIC_ACQUIRE);
    bool silent = f->session != NULL && fault_now_us() - f->told_us > SILENT_MS * 1000;
    if ((stop && !f->ends) || silent) {
        f->ends |= stop;
        f->told_us = fault_now_us();
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
    arena_init(&f.arena);
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
    buf_close(&f.listed);
    arena_close(&f.arena);
    return NULL;
}

void watcher_start(struct watcher *w)
{
    if (pthread_create(&w->thread, NULL, w->rest ? informer_follow : follow, w) != 0) {
        fault_die("thread", NULL);
    }
}

void watcher_join(struct watcher *w)
{
    pthread_join(w->thread, NULL);
}
