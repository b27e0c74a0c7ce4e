#include "client/api/api.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "client/api/api_internal.h"
#include "proto/net/loop.h"
#include "proto/rpc/api.h"

#define API_CLOSE_MS 500 /* a session that does not close within it is left to the end of the process */

enum exit_code exit_code_of(int err_code)
{
    switch (err_code) {
    case 0:
        return EXIT_DONE;
    case ERR_USAGE:
        return EXIT_USAGE;
    case ERR_CONFLICT:
    case ERR_EXISTS:
        return EXIT_CONFLICT;
    case ERR_UNKNOWN_OUTCOME:
        return EXIT_UNKNOWN;
    case ERR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERR_FORBIDDEN:
    case ERR_UNAUTHORIZED:
        return EXIT_DENIED;
    case ERR_NO_QUORUM:
    case ERR_NOT_LEADER:
        return EXIT_NO_QUORUM;
    default:
        return EXIT_FAILED;
    }
}

/* ---- The loop ---- */

static void timer_fired(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

bool api_run(struct api *a, const bool *done, int64_t timeout_ms)
{
    bool late = false;
    if (timeout_ms > 0 && !*done) {
        a->timer.data = &late;
        uv_update_time(&a->loop);
        uv_timer_start(&a->timer, timer_fired, (uint64_t)timeout_ms, 0);
    }
    while (!*done && !late) {
        uv_run(&a->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&a->timer);
    return *done;
}

void api_turn(struct api *a, int64_t timeout_ms)
{
    bool late = false;
    a->timer.data = &late;
    uv_update_time(&a->loop);
    uv_timer_start(&a->timer, timer_fired, (uint64_t)timeout_ms, 0);
    uv_run(&a->loop, UV_RUN_ONCE);
    uv_timer_stop(&a->timer);
}

/* Wait, letting the loop do its closing meanwhile. */
void api_pause(struct api *a, int64_t ms)
{
    bool never = false;
    api_run(a, &never, ms);
}

int64_t api_now(void)
{
    return env_now_ms(env_real());
}

/* ---- Sessions ---- */

/* One per session, so that the close of an old one is not taken for that of its successor. */
struct link {
    struct api *api;
};

static void link_closed(struct rpc_session *s, const struct error *why, void *data)
{
    struct link *l = data;
    struct api *a = l->api;
    if (a->session == s) {
        a->session = NULL;
    }
    a->slow |= why != NULL && (why->code == ERR_TIMEOUT || why->code == ERR_CLOSED) && rpc_session_accepted(s);
    if (why != NULL && a->notes) {
        fprintf(stderr, "note: %s\n", why->message);
    }
    a->sessions_open--;
    free(l);
}

/* Asked beside the first request, and waited for by nobody. */
static void greeted(const struct rpc_result *r, void *data)
{
    struct link *l = data;
    struct str standing = r->error != NULL ? STR_NONE : mp_str(mp_get(r->result, "standing"));
    if (standing.n > 0 && standing.n < sizeof l->api->standing) {
        snprintf(l->api->standing, sizeof l->api->standing, "%.*s", STR_ARG(standing));
    }
    struct mp refused = r->error != NULL ? (struct mp){NULL, NULL} : mp_get(r->result, "refused");
    if (mp_type(refused) == MP_STR && str_is(mp_str(mp_get(r->result, "role")), "leader") &&
        pki_refused_valid(mp_str(refused))) {
        free(l->api->refused_masters);
        l->api->refused_masters = xasprintf("%.*s", STR_ARG(mp_str(refused)));
    }
}

static void greet(struct link *l, struct rpc_session *s)
{
    CLEANUP_BUF struct buf params = BUF_INIT;
    mp_write_map(&params, 1);
    mp_write_key_str(&params, "version", STR(REEVE_VERSION));
    rpc_call(s, "hello", buf_str(&params), l->api->connect_ms << l->api->round, greeted, l);
}

const char *api_refused_masters(const struct api *a)
{
    return a->refused_masters;
}

const char *api_standing(const struct api *a)
{
    return a->standing;
}

struct rpc_session *api_connect(struct api *a)
{
    if (a->session != NULL) {
        return a->session;
    }
    const char *server = api_server(a);
    struct link *l = xcalloc(1, sizeof(*l));
    l->api = a;
    struct rpc_config config = {.handler = {.on_close = link_closed}, .data = l};
    if (a->notes) {
        fprintf(stderr, "note: connecting to %s\n", server);
    }
    a->sessions_open++;
    a->connected_before = true;
    a->session = rpc_session_connect(&a->loop, a->tls, server, ALPN_RPC, a->connect_ms << a->round, &config);
    greet(l, a->session);
    return a->session;
}

void api_next_server(struct api *a)
{
    if (a->session != NULL) {
        rpc_session_close(a->session);
        a->session = NULL;
    }
    a->next_server++;
}

/* A different first server for each process spreads the load; which one does not matter, so the pid decides. */
int api_new(const struct config_target *target, int64_t deadline_ms, bool notes, struct api **out, struct error *err)
{
    assert(target->servers_count > 0 && deadline_ms > 0);
    struct net_tls *tls;
    int rc = net_tls_new(target->ca_pem, target->cert_pem, target->key_pem, NULL, &tls, err);
    if (rc != 0) {
        return error_wrap(err, "certificates of context \"%s\"", target->context);
    }
    net_tls_set_refused(tls, str_of(target->refused == NULL ? "" : target->refused));
    struct api *a = xcalloc(1, sizeof(*a));
    rc = net_loop_init(&a->loop, err);
    if (rc != 0) {
        net_tls_unref(tls);
        free(a);
        return rc;
    }
    uv_timer_init(&a->loop, &a->timer);
    api_ping_init(a);
    a->tls = tls;
    a->deadline_ms = deadline_ms;
    a->connect_ms = API_CONNECT_MS;
    a->notes = notes;
    a->cluster = xstrdup(target->cluster);
    for (unsigned i = 0; i < target->servers_count; i++) {
        a->servers[a->servers_count++] = xstrdup(target->servers[i]);
    }
    a->next_server = (unsigned)uv_os_getpid();
    *out = a;
    return 0;
}

void api_set_as(struct api *a, const struct value *as)
{
    buf_reset(&a->as);
    msgpack_write_value(&a->as, as);
}

static void walk_close(uv_handle_t *h, void *data)
{
    (void)data;
    if (!uv_is_closing(h)) {
        uv_close(h, NULL);
    }
}

void api_free(struct api *a)
{
    if (a == NULL) {
        return;
    }
    if (a->session != NULL) {
        rpc_session_close(a->session);
        a->session = NULL;
    }
    bool late = false;
    a->timer.data = &late;
    uv_timer_start(&a->timer, timer_fired, API_CLOSE_MS, 0);
    while (a->sessions_open > 0 && !late) {
        uv_run(&a->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&a->timer, NULL);
    uv_run(&a->loop, UV_RUN_NOWAIT);
    if (a->sessions_open == 0) {
        uv_walk(&a->loop, walk_close, NULL);
        uv_run(&a->loop, UV_RUN_DEFAULT);
        uv_loop_close(&a->loop);
    }
    net_tls_unref(a->tls);
    for (unsigned i = 0; i < a->servers_count; i++) {
        free(a->servers[i]);
    }
    free(a->cluster);
    buf_close(&a->as);
    free(a->pinned);
    free(a->refused_masters);
    if (a->sessions_open == 0) {
        free(a);
    }
}

void api_tell(struct api *a, FILE *to)
{
    a->tell = to;
}

const char *api_server(const struct api *a)
{
    return a->pinned != NULL ? a->pinned : a->servers[a->next_server % a->servers_count];
}

uv_loop_t *api_loop(struct api *a)
{
    return &a->loop;
}

void api_pin(struct api *a, const char *address)
{
    if (a->session != NULL) {
        rpc_session_close(a->session);
        a->session = NULL;
    }
    free(a->pinned);
    a->pinned = address == NULL ? NULL : xstrdup(address);
}

struct rpc_session *api_session(struct api *a)
{
    if (a->session == NULL && a->connected_before) {
        a->next_server++; /* the one that was lost is not asked first */
    }
    return api_connect(a);
}
