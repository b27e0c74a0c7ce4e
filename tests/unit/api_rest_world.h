/* A master of a simulated cluster that is asked over HTTP, bytes in and bytes out: no connection, no TLS, no sleeping.
 * What api_rest (scripts), api_rest_rights and api_rest_kept share. */
#ifndef TESTS_API_REST_WORLD_H
#define TESTS_API_REST_WORLD_H

#include "tests/script/script.h"
#include "tests/unit/raft-store_cluster.h"

#include "master/api/read.h"
#include "master/api/watch.h"
#include "master/auth/account_keys.h"
#include "master/auth/bearer.h"
#include "master/auth/departed.h"
#include "master/auth/revoked.h"
#include "master/auth/rotate.h"
#include "master/auth/secret_tokens.h"
#include "master/front/ask.h"
#include "master/front/errand.h"
#include "master/front/held.h"
#include "master/front/parked.h"
#include "master/nodes/feeds.h"
#include "master/rest/conn.h"
#include "master/rest/kept.h"
#include "master/rest/rest.h"
#include "proto/facts/storage.h"
#include "proto/facts/toleration.h"
#include "proto/openapi/openapi.h"
#include "proto/schema/release.h"

#define CONNS_MAX   16u
#define BEARERS_MAX 9u

struct world;
struct wire {
    struct world *world;
    char name[16];
    struct session session;
    struct rest_conn *conn; /* NULL: not open */
    struct buf out, held;   /* held: what a deaf peer has not taken */
    size_t shown;
    bool deaf, closed;
    bool waits;     /* deaf, since this process does not send */
    bool unwelcome; /* there is no place for who has proven who he is */
};
struct world {
    struct cluster c;
    struct master *m;
    struct wire wires[CONNS_MAX];
    char token[512]; /* the last "continue", as it stands in a query */
    char etag[80];   /* of the last document that has one */
    uint64_t leader; /* as this master knows; 0: none */
    char *bearers[BEARERS_MAX];
    unsigned bearers_count;
    struct env env; /* the simulator's, with a clock on the wall of its own */
    int64_t ahead_ms;
};

/* ---- The wire ---- */

static inline void wire_send(void *data, const void *p, size_t n)
{
    struct wire *w = data;
    buf_append(w->deaf ? &w->held : &w->out, p, n);
}
static inline size_t wire_pending(const void *data)
{
    return ((const struct wire *)data)->held.size;
}
static inline bool wire_waits(const void *data)
{
    return ((const struct wire *)data)->waits;
}
static inline void wire_pause(void *data, bool paused)
{
    (void)data;
    (void)paused;
}
static inline void wire_abort(void *data)
{
    ((struct wire *)data)->closed = true;
}
static inline void wire_close(void *data, int64_t patience_ms)
{
    assert_true(patience_ms > 0);
    wire_abort(data);
}
static inline bool wire_proven(void *data, const struct pki_identity *who)
{
    (void)who;
    return !((const struct wire *)data)->unwelcome;
}
static const struct rest_wire test_wire = {.send = wire_send,
                                           .pending = wire_pending,
                                           .waits = wire_waits,
                                           .pause = wire_pause,
                                           .untaken = wire_pending,
                                           .close = wire_close,
                                           .abort = wire_abort,
                                           .proven = wire_proven};

static inline bool way_is_open(const struct session *s)
{
    const struct wire *w = CONTAINER_OF(s, struct wire, session);
    return w->conn != NULL && !w->closed;
}
static inline void way_close(struct session *s)
{
    CONTAINER_OF(s, struct wire, session)->closed = true;
}
static inline void way_shed(struct session *s, const char *why)
{
    (void)why;
    way_close(s);
}
static inline size_t way_held(const struct session *s)
{
    return CONTAINER_OF(s, struct wire, session)->held.size;
}
static inline unsigned way_inflight(const struct session *s)
{
    return s->http->call != NULL;
}
static inline const char *way_addr(const struct session *s)
{
    (void)s;
    return "192.0.2.1:1";
}
static const struct session_way test_way = {way_is_open, way_close, way_shed, way_held, way_inflight, way_addr};

static inline struct pki_identity who_of(const char *as)
{
    if (as != NULL && strcmp(as, "mallory") == 0) {
        return (struct pki_identity){PKI_ROLE_ADMIN, "mallory"};
    }
    if (as != NULL && strcmp(as, "node") == 0) {
        return (struct pki_identity){PKI_ROLE_NODE, "n1"};
    }
    if (as != NULL && strcmp(as, "none") == 0) {
        return (struct pki_identity){PKI_ROLE_NONE, ""};
    }
    struct pki_identity who = {PKI_ROLE_ADMIN, "ann"};
    if (as != NULL && strcmp(as, "admin") != 0) {
        who.role = PKI_ROLE_USER;
        snprintf(who.name, sizeof who.name, "%s", as);
    }
    return who;
}

static inline void wire_open(struct wire *w, const char *as)
{
    struct master *m = w->world->m;
    struct session *s = &w->session;
    struct principal principal;
    const struct pki_identity who = who_of(as);
    *s = (struct session){.m = m, .way = &test_way};
    principal_of_certificate(&principal, &who, NULL);
    s->principal = principal_share(&principal);
    s->subject = subject_get(m->turns, &who, "192.0.2.1:1");
    lane_init(&s->lane, s->subject);
    list_init(&s->link);
    list_init(&s->stranger_link);
    list_push_back(&m->sessions, &s->link);
    if (who.role == PKI_ROLE_NONE) {
        list_push_back(&m->strangers, &s->stranger_link);
    }
    w->conn = rest_conn_new(s, &test_wire, w);
}

static inline void wire_hang_up(struct wire *w)
{
    struct session *s = &w->session;
    if (w->conn == NULL) {
        return;
    }
    rest_conn_gone(TAKE_PTR(w->conn));
    errands_on_session_closed(s);
    subject_unref(s->m->turns, s->subject);
    principal_unref(s->principal);
    list_remove(&s->link);
    list_remove(&s->stranger_link);
    buf_close(&w->out);
    buf_close(&w->held);
    w->shown = 0;
    w->name[0] = '\0';
    w->deaf = w->waits = w->closed = w->unwelcome = false;
}

/* name NULL: one that nobody has. */
static inline struct wire *wire_named(struct world *w, const char *name, const char *as)
{
    for (unsigned i = 0; i < CONNS_MAX && name != NULL; i++) {
        if (w->wires[i].conn != NULL && strcmp(w->wires[i].name, name) == 0) {
            return &w->wires[i];
        }
    }
    for (unsigned i = 0; i < CONNS_MAX; i++) {
        struct wire *wire = &w->wires[i];
        if (wire->conn == NULL) {
            snprintf(wire->name, sizeof wire->name, "%s", name == NULL ? "-" : name);
            wire_open(wire, as);
            return wire;
        }
    }
    fail_msg("too many connections");
    return NULL;
}

/* ---- The loop ---- */

static inline void turn_once(struct world *w)
{
    struct master *m = w->m;
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    if (leader != w->leader) {
        w->leader = leader;
        calls_on_leader_known(m, leader);
        parked_on_leader(m);
    }
    while (turns_run(m->turns)) {
    }
    account_keys_advance(m);
    watch_table_advance(m->watches, false);
    while (watch_table_turn(m->watches)) {
    }
    rest_turn(m);
    parked_look(m);
}

static inline void run_ms(struct world *w, int64_t ms)
{
    int64_t until = w->c.sim.now_ms + ms, tick = w->c.sim.now_ms + 500;
    while (w->c.sim.now_ms < until) {
        step(&w->c);
        turn_once(w);
        if (w->c.sim.now_ms >= tick) {
            tick += 500;
            rest_tick(w->m);
            account_keys_tick(w->m);
            secret_tokens_look(w->m);
            secret_tokens_tick(w->m);
            list_pages_expire(w->m->pages, w->c.sim.now_ms);
        }
    }
}

/* ---- Requests ---- */

static inline void feed(struct wire *w, struct str text, const char *pieces)
{
    size_t piece = pieces == NULL ? text.n : (size_t)atoi(pieces);
    for (size_t at = 0; at < text.n; at += piece) {
        rest_conn_feed(w->conn, text.p + at, MIN(piece, text.n - at));
    }
}

static inline void wait_for_answer(struct world *w, struct wire *wire, bool streams)
{
    for (int64_t until = w->c.sim.now_ms + 60000; w->c.sim.now_ms < until;) {
        turn_once(w);
        if (wire->conn->call == NULL || wire->closed || wire->deaf || (streams && wire->out.size > wire->shown)) {
            return;
        }
        step(&w->c);
    }
    fail_msg("no answer");
}

/* Objects that somebody else made, or reports of nodes: written without the API. */
static inline void world_apply(struct world *w, const char *yaml)
{
    CLEANUP_ARENA struct arena a;
    struct error err = {0};
    struct value **docs;
    unsigned count;
    arena_init(&a);
    must(yaml_read(&a, str_of(yaml), NULL, &docs, &count, &err), &err);
    for (unsigned i = 0; i < count; i++) {
        const struct kind *k = kind_of_document(&a, docs[i], &err);
        struct value *status = value_get(docs[i], "status");
        assert_non_null(k);
        must(kind_check(k, &a, docs[i], NULL, 0, &err), &err);
        if (k->begin != NULL && status == NULL) {
            k->begin(&a, docs[i]);
        }
        if (k->id == KIND_POD && status == NULL) { /* as admission does */
            toleration_add_defaults(&a, value_ensure_map(&a, docs[i], "spec"));
        } else if (k->id == KIND_PERSISTENTVOLUMECLAIM && status == NULL) {
            storage_add_finalizer(&a, docs[i], STORAGE_PROTECT_CLAIM);
        } else if (k->id == KIND_PERSISTENTVOLUME && status == NULL) {
            storage_add_finalizer(&a, docs[i], STORAGE_PROTECT_VOLUME);
        }
        struct object *o = NULL;
        struct txn t;
        txn_init(&t, "test");
        must(object_from_value(k, docs[i], 0, &o, &err), &err);
        txn_create(&t, o);
        must(replica_submit(w->m->replica, &t, NULL, NULL, &err), &err);
        txn_close(&t);
    }
    run_ms(w, 100);
}

/* The masters have keys that sign tokens. */
static inline void world_make_keys(struct world *w)
{
    struct txn t;
    struct error err = {0};
    w->m->bearers = bearers_new(w->m->env);
    w->m->secret_tokens = secret_tokens_new();
    txn_init(&t, "test");
    must(account_keys_bootstrap(w->m, &t, &err), &err);
    must(replica_submit(w->m->replica, &t, NULL, NULL, &err), &err);
    txn_close(&t);
    run_ms(w, 100);
}

/* What the n-th token says, as JSON. */
static inline void world_write_claims(const struct world *w, unsigned n, struct buf *out)
{
    CLEANUP_ARENA struct arena a;
    struct value *claims;
    struct str key_id;
    arena_init(&a);
    assert_true(n < w->bearers_count && jwt_read(str_of(w->bearers[n]), &a, &claims, &key_id));
    json_write(out, claims, 0);
}

/* ---- The fixture ---- */

static inline int64_t clock_now(void *data)
{
    return env_now_ms(&((const struct world *)data)->c.sim.env);
}
static inline int64_t clock_wall(void *data)
{
    const struct world *w = data;
    return env_wall_ms(&w->c.sim.env) + w->ahead_ms;
}
static inline void clock_random(void *data, void *bytes, size_t n)
{
    env_random(&((const struct world *)data)->c.sim.env, bytes, n);
}

static inline bool any_room(void *data, enum turn_room room)
{
    (void)data;
    (void)room;
    return true;
}

static inline void world_open(struct world *w, unsigned masters)
{
    struct master *m = w->m = xcalloc(1, sizeof *m);
    cluster_start(&w->c, masters, 7);
    m->replica = await_leader(&w->c)->replica;
    w->env = (struct env){w, clock_now, clock_wall, clock_random, NULL};
    m->env = &w->env;
    m->rotate = rotate_new();
    m->ca_pem = xstrdup("the CA");
    m->config.id = w->leader = await_leader(&w->c)->id;
    m->held.max = 64 << 20;
    uv_loop_init(&m->loop);
    uv_idle_init(&m->loop, &m->idle);
    uv_timer_init(&m->loop, &m->parked_timer);
    list_init(&m->sessions);
    list_init(&m->strangers);
    list_init(&m->https);
    list_init(&m->https_ended);
    list_init(&m->asked);
    list_init(&m->parked);
    m->turns = turns_new(any_room, NULL);
    m->watches = watch_table_new(m);
    m->feeds = node_feeds_new(m);
    m->pages = list_pages_new(NULL, NULL);
    m->kept = rest_kept_new(REST_KEPT_BYTES);
    m->revoked = revoked_new();
    m->departed = departed_new();
    m->account_keys = account_keys_new();
    store_set_level(replica_store(m->replica), RELEASE_LEVEL_PARTS);
    for (unsigned i = 0; i < CONNS_MAX; i++) {
        w->wires[i].world = w;
    }
    world_apply(w, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n---\n"
                   "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n");
}

static inline void world_close(struct world *w)
{
    struct master *m = w->m;
    for (unsigned i = 0; i < CONNS_MAX; i++) {
        wire_hang_up(&w->wires[i]);
    }
    turn_once(w);
    assert_true(list_empty(&m->https) && list_empty(&m->https_ended));
    assert_int_equal(m->request_bytes, 0);
    struct turns_stats stats;
    turns_stats(m->turns, &stats);
    for (unsigned i = 0; i < TURN_SORTS; i++) { /* whatever has become of them, their places are given back */
        assert_int_equal(stats.begun[i], 0);
    }
    assert_int_equal(stats.waiting, 0);
    revoked_free(m->revoked);
    departed_free(m->departed);
    bearers_free(m->bearers);
    account_keys_free(m->account_keys);
    secret_tokens_free(m->secret_tokens);
    rotate_free(m->rotate);
    free(m->ca_pem);
    for (unsigned i = 0; i < w->bearers_count; i++) {
        free(w->bearers[i]);
    }
    openapi_free(m->openapi);
    rest_kept_free(m->kept);
    object_unref(m->https_event.object);
    buf_close(&m->https_event.protobuf);
    list_pages_free(m->pages);
    node_feeds_free(m->feeds);
    watch_table_free(m->watches);
    turns_free(m->turns);
    uv_close((uv_handle_t *)&m->idle, NULL);
    uv_close((uv_handle_t *)&m->parked_timer, NULL);
    uv_run(&m->loop, UV_RUN_DEFAULT);
    uv_loop_close(&m->loop);
    cluster_close(&w->c);
    free(m);
}

#endif
