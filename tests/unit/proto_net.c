#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/net_int.h"
#include "proto_net_kit.h"

/* ---- One end of a connection, which remembers what happened to it ---- */

struct end {
    struct net_conn *c;
    struct buf got;
    unsigned opens, closes, drains;
    bool echo, discard;
    size_t discarded;
    struct error why;
    bool clean;
    struct pki_identity peer;
    char alpn[32];
};

static void on_open(struct net_conn *c, void *data)
{
    struct end *e = data;
    assert_int_equal(e->closes, 0);
    e->opens++;
    e->peer = *net_conn_peer(c);
    snprintf(e->alpn, sizeof e->alpn, "%s", net_conn_alpn(c));
}

static void on_data(struct net_conn *c, const uint8_t *p, size_t n, void *data)
{
    struct end *e = data;
    assert_true(e->opens == 1 && e->closes == 0 && n > 0);
    if (e->echo) {
        net_conn_send(c, p, n);
    } else if (e->discard) {
        e->discarded += n;
    } else {
        buf_append(&e->got, p, n);
    }
}

static void on_drain(struct net_conn *c, void *data)
{
    assert_true(net_conn_pending(c) < NET_LOW_WATER);
    ((struct end *)data)->drains++;
}

static void on_close(struct net_conn *c, const struct error *why, void *data)
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

static const struct net_conn_events events = {on_open, on_data, on_drain, on_close};

/* ---- A server and its world ---- */

struct world {
    uv_loop_t loop;
    struct kit_ca ca;
    struct net_tls *server_tls;
    struct net_listener *listener;
    char addr[64];
    struct end accepted[64];
    unsigned accepted_count;
    bool echo;
    bool listener_closed;
    char log[4096];
};

static void log_sink(void *data, enum log_level level, const char *line, unsigned size)
{
    (void)level;
    struct world *w = data;
    size_t used = strlen(w->log);
    snprintf(w->log + used, sizeof w->log - used, "%.*s", (int)size, line);
}

static void on_conn(struct net_conn *c, void *data)
{
    struct world *w = data;
    assert_true(w->accepted_count < ARRAY_SIZE(w->accepted));
    struct end *e = &w->accepted[w->accepted_count++];
    e->c = c;
    e->echo = w->echo;
    net_conn_set_events(c, &events, e);
    on_open(c, e);
}

static const char *const alpns[] = {ALPN_RAFT, ALPN_RPC, NULL};

static struct log world_log;

#define CONNS_MAX 32

static void world_listen(struct world *w, int64_t handshake_ms)
{
    world_log = (struct log){.name = "test", .sink = log_sink, .sink_data = w};
    struct net_listener_config config = {
        .loop = &w->loop,
        .tls = w->server_tls,
        .addr = "127.0.0.1:0",
        .fd = -1,
        .alpns = alpns,
        .conns_max = CONNS_MAX,
        .handshake_ms = handshake_ms,
        .log = &world_log,
        .on_conn = on_conn,
        .data = w,
    };
    struct error err = {0};
    if (net_listen(&config, &w->listener, &err) != 0) {
        fail_msg("%s", err.message);
    }
    snprintf(w->addr, sizeof w->addr, "127.0.0.1:%d", net_listener_port(w->listener));
}

static struct world *world_new_with(int64_t handshake_ms)
{
    struct world *w = xcalloc(1, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->ca = kit_ca_new("test");
    w->server_tls = kit_tls(&w->ca, PKI_ROLE_MASTER, "1");
    world_listen(w, handshake_ms);
    return w;
}

static struct world *world_new(void)
{
    return world_new_with(0);
}

static void on_listener_closed(void *data)
{
    ((struct world *)data)->listener_closed = true;
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < w->accepted_count; i++) {
        if (w->accepted[i].c != NULL) {
            net_conn_close(w->accepted[i].c);
        }
    }
    net_listener_close(w->listener, on_listener_closed, w);
    kit_loop_end(&w->loop);
    assert_true(w->listener_closed);
    for (unsigned i = 0; i < w->accepted_count; i++) {
        assert_int_equal(w->accepted[i].closes, 1);
        buf_close(&w->accepted[i].got);
    }
    net_tls_unref(w->server_tls);
    kit_ca_free(&w->ca);
    free(w);
}

static void connect_end(struct world *w, struct end *e, struct net_tls *tls, const char *alpn)
{
    e->c = net_connect(&w->loop, tls, w->addr, alpn, 5000, &events, e);
}

static struct pki_identity identity(enum pki_role role, const char *name)
{
    struct pki_identity who = {.role = role};
    snprintf(who.name, sizeof who.name, "%s", name);
    return who;
}

/* ---- Tests ---- */

static void bytes_travel_both_ways(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->echo = true;
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_NODE, "n1");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    net_tls_unref(tls);             /* the connection has its own reference */
    net_conn_send(e.c, "hello", 5); /* waits for the handshake */
    KIT_UNTIL(&w->loop, e.got.size == 5);
    assert_memory_equal(e.got.data, "hello", 5);
    assert_int_equal(e.opens, 1);
    net_conn_close(e.c);
    assert_int_equal(e.closes, 0); /* never from inside the call */
    KIT_UNTIL(&w->loop, e.closes == 1 && w->accepted[0].closes == 1);
    assert_true(e.clean);
    assert_int_equal(w->accepted[0].why.code, ERR_CLOSED);
    assert_true(net_listener_stats(w->listener)->bytes_in > 0);
    buf_close(&e.got);
    world_free(w);
}

static void both_sides_know_each_other(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_NODE, "n1");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    assert_int_equal(e.peer.role, PKI_ROLE_MASTER);
    assert_string_equal(e.peer.name, "1");
    assert_int_equal(w->accepted[0].peer.role, PKI_ROLE_NODE);
    assert_string_equal(w->accepted[0].peer.name, "n1");
    assert_string_equal(w->accepted[0].alpn, ALPN_RPC);
    assert_string_equal(e.alpn, ALPN_RPC);
    assert_int_equal(strncmp(net_conn_peer_addr(w->accepted[0].c), "127.0.0.1:", 10), 0);
    net_conn_close(e.c);
    net_tls_unref(tls);
    world_free(w);
}

static void megabytes_arrive_whole_and_drain_is_told(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->echo = true;
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.opens == 1);
    size_t size = 5 << 20;
    uint8_t *bytes = xmalloc(size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    net_conn_send(e.c, bytes, size);
    assert_int_equal(net_conn_pending(e.c), size);
    KIT_UNTIL(&w->loop, e.got.size == size);
    assert_memory_equal(e.got.data, bytes, size);
    assert_int_equal(e.drains, 1);
    assert_int_equal(net_conn_pending(e.c), 0);
    net_conn_close(e.c);
    free(bytes);
    buf_close(&e.got);
    net_tls_unref(tls);
    world_free(w);
}

static void sends_of_one_turn_leave_together(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    uint64_t before = net_listener_stats(w->listener)->bytes_in;
    for (int i = 0; i < 1000; i++) {
        net_conn_send(e.c, "12345678", 8);
    }
    KIT_UNTIL(&w->loop, w->accepted[0].got.size == 8000);
    /* One record: 8000 bytes and 22 of TLS. */
    assert_int_equal(net_listener_stats(w->listener)->bytes_in - before, 8022);
    net_conn_close(e.c);
    net_tls_unref(tls);
    world_free(w);
}

static void bytes_sent_before_close_still_arrive(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.opens == 1);
    char *bytes = xcalloc(1, 300000);
    net_conn_send(e.c, bytes, 300000);
    net_conn_close(e.c);
    net_conn_send(e.c, "late", 4); /* ignored */
    KIT_UNTIL(&w->loop, e.closes == 1 && w->accepted_count == 1 && w->accepted[0].closes == 1);
    assert_int_equal(w->accepted[0].got.size, 300000);
    free(bytes);
    net_tls_unref(tls);
    world_free(w);
}

static void paused_connection_reads_nothing_and_then_everything(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0}, probe = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    struct end *server = &w->accepted[0];
    net_conn_pause(server->c, true);
    char *bytes = xcalloc(1, 100000);
    net_conn_send(e.c, bytes, 100000);
    /* Another connection's whole handshake gives the bytes time to arrive. */
    connect_end(w, &probe, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 2);
    assert_int_equal(server->got.size, 0);
    net_conn_pause(server->c, false);
    KIT_UNTIL(&w->loop, server->got.size == 100000);
    net_conn_close(e.c);
    net_conn_close(probe.c);
    free(bytes);
    net_tls_unref(tls);
    world_free(w);
}

static bool pausing_reader_stopped;
static void on_data_pausing(struct net_conn *c, const uint8_t *p, size_t n, void *data)
{
    assert_false(pausing_reader_stopped);
    on_data(c, p, n, data);
    net_conn_pause(c, true);
    pausing_reader_stopped = true;
}

static void pause_inside_on_data_holds_back_the_next_record(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    struct end *server = &w->accepted[0];
    struct net_conn_events pausing = events;
    pausing.on_data = on_data_pausing;
    pausing_reader_stopped = false;
    net_conn_set_events(server->c, &pausing, server);
    char *bytes = xcalloc(1, 200000);
    net_conn_send(e.c, bytes, 200000);
    unsigned rounds = 0;
    while (server->got.size < 200000) {
        KIT_UNTIL(&w->loop, pausing_reader_stopped);
        pausing_reader_stopped = false;
        net_conn_pause(server->c, false);
        rounds++;
    }
    assert_true(rounds >= 200000 / 16384);
    net_conn_close(e.c);
    free(bytes);
    net_tls_unref(tls);
    world_free(w);
}

static void client_of_another_ca_is_refused_and_told(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct kit_ca other = kit_ca_new("other");
    /* It trusts our server, so that only the server objects. */
    struct pki_identity who = identity(PKI_ROLE_ADMIN, "eve");
    char *cert, *key;
    assert_int_equal(pki_issue(other.cert, other.key, &who, NULL, 60, &cert, &key, NULL), 0);
    struct net_tls *tls;
    struct error err = {0};
    assert_int_equal(net_tls_new(w->ca.cert, cert, key, NULL, &tls, &err), ERR_INVALID); /* seen at once */
    assert_non_null(strstr(err.message, "not signed by the CA"));
    char print[33];
    pki_cert_fingerprint(w->ca.cert, print, NULL);
    assert_int_equal(net_tls_new(NULL, cert, key, print, &tls, &err), 0);
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.closes == 1);
    assert_int_equal(e.why.code, ERR_UNAUTHORIZED);
    assert_non_null(strstr(e.why.message, "refused our certificate (admin eve)"));
    assert_int_equal(w->accepted_count, 0);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 0);
    assert_int_equal(net_listener_stats(w->listener)->handshake_failed, 1);
    assert_non_null(strstr(w->log, "not signed by this cluster's CA"));
    free(cert);
    pki_free_key(key);
    net_tls_unref(tls);
    kit_ca_free(&other);
    world_free(w);
}

static void server_of_another_ca_is_refused(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct kit_ca other = kit_ca_new("other");
    struct net_tls *tls = kit_tls(&other, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.closes == 1);
    assert_int_equal(e.opens, 0);
    assert_int_equal(e.why.code, ERR_UNAUTHORIZED);
    assert_non_null(strstr(e.why.message, "certificate of"));
    assert_non_null(strstr(e.why.message, "not signed by this cluster's CA"));
    net_tls_unref(tls);
    kit_ca_free(&other);
    world_free(w);
}

static void newcomer_joins_by_the_pinned_fingerprint(void **state)
{
    (void)state;
    struct world *w = world_new();
    char print[33];
    pki_cert_fingerprint(w->ca.cert, print, NULL);
    struct net_tls *tls;
    assert_int_equal(net_tls_new(NULL, NULL, NULL, print, &tls, NULL), 0);
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    assert_int_equal(e.opens, 1);
    assert_int_equal(w->accepted[0].peer.role, PKI_ROLE_NONE);
    net_conn_close(e.c);
    net_tls_unref(tls);
    world_free(w);
}

static void wrong_fingerprint_is_refused(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls;
    struct error err = {0};
    assert_int_equal(net_tls_new(NULL, NULL, NULL, "00112233445566778899aabbccddeeff", &tls, NULL), 0);
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.closes == 1);
    assert_int_equal(e.opens, 0);
    assert_int_equal(e.why.code, ERR_UNAUTHORIZED);
    assert_non_null(strstr(e.why.message, "fingerprint"));
    net_tls_unref(tls);
    assert_int_equal(net_tls_new(NULL, NULL, NULL, "xyz", &tls, &err), ERR_INVALID);
    assert_int_equal(net_tls_new(NULL, NULL, NULL, NULL, &tls, &err), ERR_INVALID);
    world_free(w);
}

/* A leaf's fingerprint must not do: anybody with a certificate of the cluster would pass as a server. */
static void fingerprint_of_a_leaf_is_no_ca(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct pki_identity who = identity(PKI_ROLE_MASTER, "2");
    char *cert, *key, print[33];
    assert_int_equal(pki_issue(w->ca.cert, w->ca.key, &who, NULL, 60, &cert, &key, NULL), 0);
    struct net_tls *server_tls, *tls;
    assert_int_equal(net_tls_new(w->ca.cert, cert, key, NULL, &server_tls, NULL), 0);
    net_listener_set_tls(w->listener, server_tls); /* new connections meet the new certificate */
    pki_cert_fingerprint(cert, print, NULL);
    assert_int_equal(net_tls_new(NULL, NULL, NULL, print, &tls, NULL), 0);
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.closes == 1);
    assert_int_equal(e.why.code, ERR_UNAUTHORIZED);
    free(cert);
    pki_free_key(key);
    net_tls_unref(tls);
    net_tls_unref(server_tls);
    world_free(w);
}

static void own_expired_certificate_is_named_with_its_date(void **state)
{
    (void)state;
    struct kit_ca ca = kit_ca_new("test");
    struct pki_identity who = identity(PKI_ROLE_NODE, "n1");
    char *cert, *key;
    assert_int_equal(pki_issue(ca.cert, ca.key, &who, NULL, -60, &cert, &key, NULL), 0);
    struct net_tls *tls;
    struct error err = {0};
    assert_int_equal(net_tls_new(ca.cert, cert, key, NULL, &tls, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "certificate of node n1 expired on 20"));
    free(cert);
    pki_free_key(key);
    kit_ca_free(&ca);
}

static void key_of_another_certificate_is_refused(void **state)
{
    (void)state;
    struct kit_ca ca = kit_ca_new("test");
    struct pki_identity who = identity(PKI_ROLE_NODE, "n1");
    char *cert, *key;
    assert_int_equal(pki_issue(ca.cert, ca.key, &who, NULL, 60, &cert, &key, NULL), 0);
    struct net_tls *tls;
    struct error err = {0};
    assert_int_equal(net_tls_new(ca.cert, cert, ca.key, NULL, &tls, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "node n1"));
    assert_int_equal(net_tls_new(cert, cert, key, NULL, &tls, &err), ERR_INVALID); /* a leaf as CA */
    assert_int_equal(net_tls_new("junk", cert, key, NULL, &tls, &err), ERR_INVALID);
    free(cert);
    pki_free_key(key);
    kit_ca_free(&ca);
}

/* TLS whose certificate has run out after the start: net_tls_new would not take it. */
static struct net_tls *outdated_tls(struct world *w, enum pki_role role, const char *name)
{
    struct net_tls *tls = kit_tls(&w->ca, role, name);
    struct pki_identity who = identity(role, name);
    char *cert, *key;
    assert_int_equal(pki_issue(w->ca.cert, w->ca.key, &who, NULL, -60, &cert, &key, NULL), 0);
    X509_free(tls->cert);
    tls->cert = pki_x509_parse(cert, NULL);
    EVP_PKEY *private_key = pki_key_parse(key, NULL);
    assert_int_equal(SSL_CTX_use_certificate(tls->ctx, tls->cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls->ctx, private_key), 1);
    EVP_PKEY_free(private_key);
    free(cert);
    pki_free_key(key);
    return tls;
}

static void client_certificate_that_expired_is_named_by_both_sides(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = outdated_tls(w, PKI_ROLE_NODE, "n1");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.closes == 1);
    assert_int_equal(e.why.code, ERR_UNAUTHORIZED);
    assert_non_null(strstr(e.why.message, "our certificate of node n1 expired on 20"));
    assert_non_null(strstr(w->log, "certificate of node n1 expired on 20"));
    assert_int_equal(w->accepted_count, 0);
    net_tls_unref(tls);
    world_free(w);
}

static struct net_tls *expired_tls(const struct kit_ca *ca, enum pki_role role, int64_t ago_s)
{
    struct pki_identity who = identity(role, "n1");
    struct net_tls *tls;
    char *cert, *key;
    assert_int_equal(pki_issue(ca->cert, ca->key, &who, NULL, -ago_s, &cert, &key, NULL), 0);
    assert_int_equal(net_tls_new_lenient(ca->cert, cert, key, &tls, NULL), 0);
    free(cert);
    pki_free_key(key);
    return tls;
}

static struct net_tls *early_tls(const struct kit_ca *ca, enum pki_role role, int64_t in_s)
{
    struct pki_identity who = identity(role, "n1");
    struct net_tls *tls;
    char *text, *key;
    assert_int_equal(pki_issue(ca->cert, ca->key, &who, NULL, in_s + 600, &text, &key, NULL), 0);
    X509 *cert = pki_x509_parse(text, NULL);
    EVP_PKEY *ca_key = pki_key_parse(ca->key, NULL);
    ASN1_TIME_set(X509_getm_notBefore(cert), time(NULL) + (time_t)in_s);
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    PEM_write_bio_X509(bio, cert);
    BIO_write(bio, "", 1);
    BIO_get_mem_data(bio, &pem);
    assert_int_equal(net_tls_new_lenient(ca->cert, pem, key, &tls, NULL), 0);
    BIO_free(bio);
    EVP_PKEY_free(ca_key);
    X509_free(cert);
    free(text);
    pki_free_key(key);
    return tls;
}

static void early_nodes_are_let_in_and_marked_as_well(void **state)
{
    (void)state;
    struct world *w = world_new();
    const struct {
        enum pki_role role;
        int64_t in_s;
        bool in;
    } rows[] = {{PKI_ROLE_NODE, 600, true}, {PKI_ROLE_NODE, 5000, false}, {PKI_ROLE_ADMIN, 600, false}};
    net_tls_set_grace(w->server_tls, 3600);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct net_tls *tls = early_tls(&w->ca, rows[i].role, rows[i].in_s);
        struct end e = {0};
        connect_end(w, &e, tls, ALPN_RPC);
        if (rows[i].in) {
            KIT_UNTIL(&w->loop, e.opens == 1 && w->accepted_count == 1);
            assert_true(net_conn_peer_expired(w->accepted[0].c));
            net_conn_close(e.c);
        }
        KIT_UNTIL(&w->loop, e.closes == 1);
        assert_int_equal(w->accepted_count, 1);
        net_tls_unref(tls);
    }
    world_free(w);
}

static void only_late_nodes_of_this_cluster_are_let_in_and_marked(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct kit_ca other = kit_ca_new("other");
    const struct {
        const struct kit_ca *ca;
        enum pki_role role;
        int64_t ago_s;
        bool in;
    } rows[] = {
        {&w->ca, PKI_ROLE_NODE, 60, true},    {&w->ca, PKI_ROLE_NODE, 5000, false}, {&w->ca, PKI_ROLE_ADMIN, 60, false},
        {&w->ca, PKI_ROLE_MASTER, 60, false}, {&other, PKI_ROLE_NODE, 60, false},
    };
    net_tls_set_grace(w->server_tls, 3600);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct net_tls *tls = expired_tls(rows[i].ca, rows[i].role, rows[i].ago_s);
        struct end e = {0};
        unsigned before = w->accepted_count;
        connect_end(w, &e, tls, ALPN_RPC);
        if (rows[i].in) {
            int64_t from, until;
            KIT_UNTIL(&w->loop, e.opens == 1 && w->accepted_count == before + 1);
            struct net_conn *c = w->accepted[before].c;
            assert_true(net_conn_peer_expired(c));
            assert_true(net_conn_peer_life(c, &from, &until));
            assert_in_range(time(NULL) - until, rows[i].ago_s, rows[i].ago_s + 30);
            assert_string_equal(net_conn_peer(c)->name, "n1");
            net_conn_close(e.c);
        }
        KIT_UNTIL(&w->loop, e.closes == 1);
        assert_int_equal(w->accepted_count, before + rows[i].in);
        net_tls_unref(tls);
    }
    struct net_tls *good = kit_tls(&w->ca, PKI_ROLE_NODE, "n2");
    struct end e = {0};
    connect_end(w, &e, good, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.opens == 1 && w->accepted_count == 2);
    assert_false(net_conn_peer_expired(w->accepted[1].c));
    net_conn_close(e.c);
    KIT_UNTIL(&w->loop, e.closes == 1);
    net_tls_unref(good);
    kit_ca_free(&other);
    world_free(w);
}

/* The grace is the server's for its clients, never the other way round. */
static void a_client_forgives_no_server(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *server_tls = outdated_tls(w, PKI_ROLE_MASTER, "2"), *tls = kit_tls(&w->ca, PKI_ROLE_NODE, "n1");
    net_tls_set_grace(tls, 3600);
    net_listener_set_tls(w->listener, server_tls);
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.closes == 1 && net_listener_stats(w->listener)->open == 0);
    assert_int_equal(e.opens, 0);
    net_tls_unref(server_tls);
    net_tls_unref(tls);
    world_free(w);
}

static void server_certificate_that_expired_is_named_by_both_sides(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *server_tls = outdated_tls(w, PKI_ROLE_MASTER, "2"), *tls = kit_tls(&w->ca, PKI_ROLE_NODE, "n1");
    net_listener_set_tls(w->listener, server_tls);
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.closes == 1 && net_listener_stats(w->listener)->open == 0);
    assert_int_equal(e.opens, 0);
    assert_int_equal(e.why.code, ERR_UNAUTHORIZED);
    assert_non_null(strstr(e.why.message, "certificate of master 2 expired on 20"));
    assert_non_null(strstr(w->log, "our certificate of master 2 expired on 20"));
    net_tls_unref(server_tls);
    net_tls_unref(tls);
    world_free(w);
}

static void node_cannot_pass_as_server(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *node = kit_tls(&w->ca, PKI_ROLE_NODE, "n1"), *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    net_listener_set_tls(w->listener, node);
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e.closes == 1);
    assert_int_equal(e.opens, 0);
    assert_int_equal(e.why.code, ERR_UNAUTHORIZED);
    assert_non_null(strstr(e.why.message, "node n1"));
    net_tls_unref(node);
    net_tls_unref(tls);
    world_free(w);
}

static void unknown_protocol_is_refused(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    connect_end(w, &e, tls, "http/1.1");
    KIT_UNTIL(&w->loop, e.closes == 1);
    assert_int_equal(e.opens, 0);
    assert_int_equal(e.why.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(e.why.message, "http/1.1"));
    net_tls_unref(tls);
    world_free(w);
}

static void closed_port_says_refused(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    e.c = net_connect(&w->loop, tls, "127.0.0.1:1", ALPN_RPC, 0, &events, &e);
    assert_int_equal(e.closes, 0);
    KIT_UNTIL(&w->loop, e.closes == 1);
    assert_int_equal(e.why.code, ERR_CLOSED);
    assert_non_null(strstr(e.why.message, "connect to 127.0.0.1:1: connection refused"));
    net_tls_unref(tls);
    world_free(w);
}

static void malformed_addresses_fail_later_with_a_text(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    const char *bad[] = {"",         "localhost", "localhost:", ":7400", "host:99999",
                         "::1:7400", "[::1]7400", "a:b:1",      "h:-1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct end e = {0};
        e.c = net_connect(&w->loop, tls, bad[i], ALPN_RPC, 0, &events, &e);
        assert_int_equal(e.closes, 0);
        KIT_UNTIL(&w->loop, e.closes == 1);
        assert_int_equal(e.why.code, ERR_INVALID);
    }
    net_tls_unref(tls);
    world_free(w);
}

static void name_with_several_addresses_is_tried_through(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    char addr[64];
    snprintf(addr, sizeof addr, "localhost:%d",
             net_listener_port(w->listener)); /* ::1 may come first, nobody is there */
    struct end e = {0};
    e.c = net_connect(&w->loop, tls, addr, ALPN_RPC, 0, &events, &e);
    KIT_UNTIL(&w->loop, e.opens == 1);
    net_conn_close(e.c);
    net_tls_unref(tls);
    world_free(w);
}

static void close_at_any_moment_of_connecting_gives_one_callback(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    char by_name[64];
    snprintf(by_name, sizeof by_name, "localhost:%d", net_listener_port(w->listener));
    for (int turns = 0; turns < 12; turns++) {
        struct end e = {0};
        e.c = net_connect(&w->loop, tls, turns % 2 ? by_name : w->addr, ALPN_RPC, 0, &events, &e);
        for (int i = 0; i < turns / 2; i++) {
            uv_run(&w->loop, UV_RUN_NOWAIT);
        }
        net_conn_close(e.c);
        net_conn_close(e.c);
        KIT_UNTIL(&w->loop, e.closes == 1);
        assert_true(e.clean);
    }
    net_tls_unref(tls);
    world_free(w);
}

/* ---- Strangers with plain sockets ---- */

static int stranger(struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)net_listener_port(w->listener))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static bool at_end(int fd)
{
    char b[512];
    ssize_t n;
    while ((n = recv(fd, b, sizeof b, MSG_DONTWAIT)) > 0) {
    }
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void garbage_instead_of_tls_is_cut_and_counted(void **state)
{
    (void)state;
    struct world *w = world_new();
    const char *garbage[] = {"GET / HTTP/1.0\r\n\r\n",
                             "\x16\x03\x01\xff\xff\x01 nonsense that is long enough to be looked at",
                             "\x93\x02\xa1x\x90 a message in clear", "SSH-2.0-OpenSSH_9.2\r\n"};
    for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        int fd = stranger(w);
        assert_true(send(fd, garbage[i], strlen(garbage[i]), 0) > 0);
        KIT_UNTIL(&w->loop, (uv_run(&w->loop, UV_RUN_NOWAIT), at_end(fd)));
        close(fd);
        KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 0);
    }
    assert_int_equal(net_listener_stats(w->listener)->handshake_failed, ARRAY_SIZE(garbage));
    assert_non_null(strstr(w->log, "does not speak TLS"));
    assert_int_equal(w->accepted_count, 0);
    world_free(w);
}

static void reset_in_the_middle_of_a_handshake_hurts_nobody(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (int i = 0; i < 3; i++) {
        int fd = stranger(w);
        assert_true(send(fd, "\x16\x03\x01\x02\x00\x01\x00", 7, 0) == 7); /* the head of a ClientHello */
        KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->bytes_in == 7u * (unsigned)(i + 1));
        struct linger hard = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(fd);
        KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 0);
    }
    assert_int_equal(net_listener_stats(w->listener)->handshake_failed, 3);
    world_free(w);
}

static void half_a_handshake_is_cut_after_its_time(void **state)
{
    (void)state;
    struct world *w = world_new_with(50);
    int silent = stranger(w), half = stranger(w);
    assert_true(send(half, "\x16\x03\x01\x02\x00\x01\x00", 7, 0) == 7);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->accepted == 2);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 0);
    assert_int_equal(net_listener_stats(w->listener)->handshake_failed, 2);
    assert_non_null(strstr(w->log, "no TLS handshake within 50 ms"));
    assert_true(at_end(silent) && at_end(half));
    close(silent);
    close(half);
    world_free(w);
}

/* A peer whose machine is gone says nothing: the kernel has to find out. */
static void sockets_are_told_to_find_dead_peers(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    struct net_conn *both[] = {e.c, w->accepted[0].c};
    for (int i = 0; i < 2; i++) {
        int fd, keepalive = 0, nodelay = 0, timeout_ms = 0;
        socklen_t n = sizeof(int);
        assert_int_equal(uv_fileno((uv_handle_t *)&both[i]->tcp, &fd), 0);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &n), 0);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &n), 0);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &n), 0);
        assert_true(keepalive && nodelay && timeout_ms == 30000);
    }
    net_conn_close(e.c);
    net_tls_unref(tls);
    world_free(w);
}

/* The peer never reads: what was to be flushed is given up. */
static void close_does_not_wait_for_a_peer_that_takes_nothing(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    net_conn_pause(w->accepted[0].c, true);
    size_t size = 32 << 20;
    char *bytes = xcalloc(1, size);
    net_conn_send(e.c, bytes, size);
    net_conn_close(e.c);
    KIT_UNTIL(&w->loop, e.closes == 1);
    assert_true(e.clean);
    free(bytes);
    net_tls_unref(tls);
    world_free(w);
}

static void peer_that_resets_is_reported(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    uv_tcp_close_reset(&e.c->tcp, net_conn_on_handle_closed);
    e.c->state = NET_CLOSED; /* what enter_closed does, but for the manner */
    uv_close((uv_handle_t *)&e.c->timer, net_conn_on_handle_closed);
    uv_close((uv_handle_t *)&e.c->kick, net_conn_on_handle_closed);
    KIT_UNTIL(&w->loop, w->accepted[0].closes == 1);
    assert_int_equal(w->accepted[0].why.code, ERR_CLOSED);
    assert_non_null(strstr(w->accepted[0].why.message, "reset"));
    net_tls_unref(tls);
    world_free(w);
}

/* The peer accepts TCP and then is silent. */
static void silent_server_times_out(void **state)
{
    (void)state;
    struct world *w = world_new();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t n = sizeof in;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    char addr[64];
    snprintf(addr, sizeof addr, "127.0.0.1:%d", ntohs(in.sin_port));
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    e.c = net_connect(&w->loop, tls, addr, ALPN_RPC, 100, &events, &e);
    KIT_UNTIL(&w->loop, e.closes == 1);
    assert_int_equal(e.why.code, ERR_TIMEOUT);
    assert_non_null(strstr(e.why.message, "no TLS handshake within 100 ms"));
    close(fd);
    net_tls_unref(tls);
    world_free(w);
}

static void connections_above_the_limit_are_closed_and_counted(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e[33] = {0};
    for (int i = 0; i < 32; i++) {
        connect_end(w, &e[i], tls, ALPN_RPC);
    }
    KIT_UNTIL(&w->loop, w->accepted_count == 32);
    connect_end(w, &e[32], tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, e[32].closes == 1);
    assert_int_equal(e[32].why.code, ERR_CLOSED);
    assert_int_equal(net_listener_stats(w->listener)->refused_limit, 1);
    assert_int_equal(net_listener_stats(w->listener)->open, 32);
    net_conn_close(e[0].c);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 31);
    e[32] = (struct end){0};
    connect_end(w, &e[32], tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 33);
    for (int i = 1; i < 33; i++) {
        net_conn_close(e[i].c);
    }
    net_tls_unref(tls);
    world_free(w);
}

static void port_in_use_is_said(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_listener_config config = {.loop = &w->loop,
                                         .tls = w->server_tls,
                                         .addr = w->addr,
                                         .fd = -1,
                                         .alpns = alpns,
                                         .conns_max = 1,
                                         .on_conn = on_conn};
    struct net_listener *l;
    struct error err = {0};
    assert_int_equal(net_listen(&config, &l, &err), ERR_BUSY);
    assert_non_null(strstr(err.message, w->addr));
    assert_non_null(strstr(err.message, "address already in use"));
    config.addr = "203.0.113.7:1";
    assert_int_equal(net_listen(&config, &l, &err), ERR_INVALID);
    config.addr = "nonsense";
    assert_int_equal(net_listen(&config, &l, &err), ERR_INVALID);
    assert_null(l);
    world_free(w);
}

static void listener_takes_over_a_listening_socket(void **state)
{
    (void)state;
    struct world *w = world_new();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 5), 0);
    struct net_listener_config config = {.loop = &w->loop,
                                         .tls = w->server_tls,
                                         .fd = fd,
                                         .alpns = alpns,
                                         .conns_max = 1,
                                         .on_conn = on_conn,
                                         .data = w};
    struct net_listener *l;
    assert_int_equal(net_listen(&config, &l, NULL), 0);
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    struct end e = {0};
    snprintf(w->addr, sizeof w->addr, "127.0.0.1:%d", net_listener_port(l));
    connect_end(w, &e, tls, ALPN_RPC);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    net_listener_close(l, NULL, NULL);
    /* The connection lives on without its listener. */
    w->accepted[0].echo = true;
    net_conn_send(e.c, "x", 1);
    KIT_UNTIL(&w->loop, e.got.size == 1);
    net_conn_close(e.c);
    buf_close(&e.got);
    net_tls_unref(tls);
    world_free(w);
}

static void listener_closed_during_handshakes_cuts_them(void **state)
{
    (void)state;
    struct world *w = world_new();
    int fd = stranger(w);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 1);
    world_free(w); /* the loop must run empty although the stranger keeps its socket */
    close(fd);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_travel_both_ways),
        cmocka_unit_test(both_sides_know_each_other),
        cmocka_unit_test(megabytes_arrive_whole_and_drain_is_told),
        cmocka_unit_test(sends_of_one_turn_leave_together),
        cmocka_unit_test(bytes_sent_before_close_still_arrive),
        cmocka_unit_test(paused_connection_reads_nothing_and_then_everything),
        cmocka_unit_test(pause_inside_on_data_holds_back_the_next_record),
        cmocka_unit_test(client_of_another_ca_is_refused_and_told),
        cmocka_unit_test(server_of_another_ca_is_refused),
        cmocka_unit_test(newcomer_joins_by_the_pinned_fingerprint),
        cmocka_unit_test(wrong_fingerprint_is_refused),
        cmocka_unit_test(fingerprint_of_a_leaf_is_no_ca),
        cmocka_unit_test(own_expired_certificate_is_named_with_its_date),
        cmocka_unit_test(key_of_another_certificate_is_refused),
        cmocka_unit_test(client_certificate_that_expired_is_named_by_both_sides),
        cmocka_unit_test(early_nodes_are_let_in_and_marked_as_well),
        cmocka_unit_test(only_late_nodes_of_this_cluster_are_let_in_and_marked),
        cmocka_unit_test(a_client_forgives_no_server),
        cmocka_unit_test(server_certificate_that_expired_is_named_by_both_sides),
        cmocka_unit_test(node_cannot_pass_as_server),
        cmocka_unit_test(unknown_protocol_is_refused),
        cmocka_unit_test(closed_port_says_refused),
        cmocka_unit_test(malformed_addresses_fail_later_with_a_text),
        cmocka_unit_test(name_with_several_addresses_is_tried_through),
        cmocka_unit_test(close_at_any_moment_of_connecting_gives_one_callback),
        cmocka_unit_test(garbage_instead_of_tls_is_cut_and_counted),
        cmocka_unit_test(reset_in_the_middle_of_a_handshake_hurts_nobody),
        cmocka_unit_test(half_a_handshake_is_cut_after_its_time),
        cmocka_unit_test(sockets_are_told_to_find_dead_peers),
        cmocka_unit_test(close_does_not_wait_for_a_peer_that_takes_nothing),
        cmocka_unit_test(peer_that_resets_is_reported),
        cmocka_unit_test(silent_server_times_out),
        cmocka_unit_test(connections_above_the_limit_are_closed_and_counted),
        cmocka_unit_test(port_in_use_is_said),
        cmocka_unit_test(listener_takes_over_a_listening_socket),
        cmocka_unit_test(listener_closed_during_handshakes_cuts_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
