/* The world of the tests of net: a server on a loop, the ends it accepted and one client; each end remembers what
 * happened to it.
 *
 * Most tests are about one connection: world_connected() has it open, world_free() ends it and checks that each end
 * was told once. */
#ifndef TESTS_UNIT_PROTO_NET_WORLD_H
#define TESTS_UNIT_PROTO_NET_WORLD_H

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/net/net_int.h"
#include "proto_net_kit.h"

/* ---- One end of a connection ---- */

struct end {
    struct net_conn *c; /* NULL before and after */
    struct buf got;
    unsigned opens, closes, drains;
    bool echo;
    bool pausing, paused; /* pausing: stops reading after each piece and sets paused */
    struct error why;
    bool clean;
    struct pki_identity peer;
    char alpn[32];
};

static inline void end_on_open(struct net_conn *c, void *data)
{
    struct end *e = data;
    assert_int_equal(e->closes, 0);
    e->opens++;
    e->peer = *net_conn_peer(c);
    snprintf(e->alpn, sizeof e->alpn, "%s", net_conn_alpn(c));
}

static inline void end_on_data(struct net_conn *c, const uint8_t *p, size_t n, void *data)
{
    struct end *e = data;
    assert_true(e->opens == 1 && e->closes == 0 && n > 0);
    assert_false(e->paused);
    if (e->echo) {
        net_conn_send(c, p, n);
    } else {
        buf_append(&e->got, p, n);
    }
    if (e->pausing) {
        e->paused = true;
        net_conn_pause(c, true);
    }
}

static inline void end_on_drain(struct net_conn *c, void *data)
{
    assert_true(net_conn_pending(c) < NET_LOW_WATER);
    ((struct end *)data)->drains++;
}

static inline void end_on_close(struct net_conn *c, const struct error *why, void *data)
{
    struct end *e = data;
    assert_ptr_equal(c, e->c);
    e->closes++;
    e->clean = why == NULL;
    if (why != NULL) {
        e->why = *why;
    }
    e->c = NULL;
}

static const struct net_conn_events end_events = {end_on_open, end_on_data, end_on_drain, end_on_close};

/* ---- A server and its world ---- */

#define WORLD_CONNS_MAX 32

struct world {
    uv_loop_t loop;
    struct kit_ca ca;
    struct net_tls *server_tls, *client_tls; /* of master 1 and of admin kate */
    struct net_listener *listener;
    char addr[64];
    struct end client;
    struct end accepted[2 * WORLD_CONNS_MAX];
    unsigned accepted_count;
    bool echo; /* what ends accepted from now on do */
    bool listener_closed;
    struct log logger;
    char log[4096];
};

static inline void world_log_sink(void *data, enum log_level level, const char *line, unsigned size)
{
    (void)level;
    struct world *w = data;
    size_t used = strlen(w->log);
    snprintf(w->log + used, sizeof w->log - used, "%.*s", (int)size, line);
}

static inline void world_on_conn(struct net_conn *c, void *data)
{
    struct world *w = data;
    assert_true(w->accepted_count < ARRAY_SIZE(w->accepted));
    struct end *e = &w->accepted[w->accepted_count++];
    e->c = c;
    e->echo = w->echo;
    net_conn_set_events(c, &end_events, e);
    end_on_open(c, e);
}

/* Of a listener like the world's own. */
static inline struct net_listener_config world_listener_config(struct world *w)
{
    static const char *const alpns[] = {ALPN_RAFT, ALPN_RPC, NULL};
    return (struct net_listener_config){
        .loop = &w->loop,
        .tls = w->server_tls,
        .addr = "127.0.0.1:0",
        .fd = -1,
        .alpns = alpns,
        .conns_max = WORLD_CONNS_MAX,
        .log = &w->logger,
        .on_conn = world_on_conn,
        .data = w,
    };
}

/* handshake_ms: how long the server waits for a handshake; 0 is net's own limit. */
static inline struct world *world_new_with(int64_t handshake_ms)
{
    struct world *w = xcalloc(1, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->ca = kit_ca_new("test");
    w->server_tls = kit_tls(&w->ca, PKI_ROLE_MASTER, "1");
    w->client_tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    w->logger = (struct log){.name = "test", .sink = world_log_sink, .sink_data = w};
    struct net_listener_config config = world_listener_config(w);
    config.handshake_ms = handshake_ms;
    struct error err = {0};
    if (net_listen(&config, &w->listener, &err) != 0) {
        fail_msg("%s", err.message);
    }
    snprintf(w->addr, sizeof w->addr, "127.0.0.1:%d", net_listener_port(w->listener));
    return w;
}

static inline struct world *world_new(void)
{
    return world_new_with(0);
}

/* The world's client begins anew, as whom tls says; the one before must be gone. */
static inline void world_dial(struct world *w, struct net_tls *tls, const char *addr, const char *alpn,
                              int64_t handshake_ms)
{
    assert_null(w->client.c);
    buf_close(&w->client.got);
    w->client = (struct end){0};
    w->client.c = net_connect(&w->loop, tls, addr, alpn, handshake_ms, &end_events, &w->client);
}

static inline void world_connect(struct world *w, struct net_tls *tls)
{
    world_dial(w, tls, w->addr, ALPN_RPC, 5000);
}

static inline void world_connect_as(struct world *w, enum pki_role role, const char *name)
{
    struct net_tls *tls = kit_tls(&w->ca, role, name);
    world_connect(w, tls);
    net_tls_unref(tls); /* the connection has its own reference */
}

/* The client is not let in, or does not go in: closed with this code. */
static inline void world_connect_refused(struct world *w, struct net_tls *tls, int code)
{
    world_connect(w, tls);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    assert_int_equal(w->client.why.code, code);
}

/* A world whose client (admin kate) is connected: accepted[0] is the other end. */
static inline struct world *world_connected(void)
{
    struct world *w = world_new();
    world_connect(w, w->client_tls);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    return w;
}

/* One more of admin kate's, which the test ends itself. */
static inline void end_connect(struct world *w, struct end *e)
{
    e->c = net_connect(&w->loop, w->client_tls, w->addr, ALPN_RPC, 5000, &end_events, e);
}

static inline void world_on_listener_closed(void *data)
{
    ((struct world *)data)->listener_closed = true;
}

static inline void world_free(struct world *w)
{
    bool connected = w->client.c != NULL;
    if (connected) {
        net_conn_close(w->client.c);
    }
    for (unsigned i = 0; i < w->accepted_count; i++) {
        if (w->accepted[i].c != NULL) {
            net_conn_close(w->accepted[i].c);
        }
    }
    if (w->listener != NULL) { /* NULL: the test has closed it */
        net_listener_close(w->listener, world_on_listener_closed, w);
    }
    kit_loop_end(&w->loop);
    assert_true(w->listener_closed);
    if (connected) {
        assert_int_equal(w->client.closes, 1);
    }
    buf_close(&w->client.got);
    for (unsigned i = 0; i < w->accepted_count; i++) {
        assert_int_equal(w->accepted[i].closes, 1);
        buf_close(&w->accepted[i].got);
    }
    net_tls_unref(w->client_tls);
    net_tls_unref(w->server_tls);
    kit_ca_free(&w->ca);
    free(w);
}

/* ---- Plain sockets ---- */

/* One that listens on loopback and speaks nothing; the caller closes it. */
static inline int plain_listen(int *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t n = sizeof in;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

#endif
