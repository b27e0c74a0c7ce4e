/* Certificates outside of their time: named by both sides, and the grace for nodes that are late (or early). */
#include "proto_net_world.h"

static void own_expired_certificate_is_named_with_its_date(void **state)
{
    (void)state;
    struct kit_ca ca = kit_ca_new("test");
    struct kit_leaf leaf = kit_leaf_new(&ca, PKI_ROLE_NODE, "n1", -60);
    struct net_tls *tls;
    struct error err = {0};
    assert_int_equal(net_tls_new(ca.cert, leaf.cert, leaf.key, NULL, &tls, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "certificate of node n1 expired on 20"));
    kit_leaf_free(&leaf);
    kit_ca_free(&ca);
}

/* TLS whose certificate has run out after the start: net_tls_new would not take it. */
static struct net_tls *outdated_tls(struct world *w, enum pki_role role, const char *name)
{
    struct net_tls *tls = kit_tls(&w->ca, role, name);
    struct kit_leaf leaf = kit_leaf_new(&w->ca, role, name, -60);
    X509_free(tls->cert);
    tls->cert = pki_x509_parse(leaf.cert, NULL);
    EVP_PKEY *private_key = pki_key_parse(leaf.key, NULL);
    assert_int_equal(SSL_CTX_use_certificate(tls->ctx, tls->cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls->ctx, private_key), 1);
    EVP_PKEY_free(private_key);
    kit_leaf_free(&leaf);
    return tls;
}

static void client_certificate_that_expired_is_named_by_both_sides(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = outdated_tls(w, PKI_ROLE_NODE, "n1");
    world_connect_refused(w, tls, ERR_UNAUTHORIZED);
    assert_non_null(strstr(w->client.why.message, "our certificate of node n1 expired on 20"));
    assert_non_null(strstr(w->log, "certificate of node n1 expired on 20"));
    assert_int_equal(w->accepted_count, 0);
    net_tls_unref(tls);
    world_free(w);
}

/* The server's certificate has run out: the client of tls does not open, and the server is told. */
static void meet_outdated_server(struct world *w, struct net_tls *tls)
{
    struct net_tls *server_tls = outdated_tls(w, PKI_ROLE_MASTER, "2");
    net_listener_set_tls(w->listener, server_tls);
    net_tls_unref(server_tls);
    world_connect_refused(w, tls, ERR_UNAUTHORIZED);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 0);
    assert_int_equal(w->client.opens, 0);
}

static void server_certificate_that_expired_is_named_by_both_sides(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_NODE, "n1");
    meet_outdated_server(w, tls);
    assert_non_null(strstr(w->client.why.message, "certificate of master 2 expired on 20"));
    assert_non_null(strstr(w->log, "our certificate of master 2 expired on 20"));
    net_tls_unref(tls);
    world_free(w);
}

/* The grace is the server's for its clients, never the other way round. */
static void a_client_forgives_no_server(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_NODE, "n1");
    net_tls_set_grace(tls, 3600);
    meet_outdated_server(w, tls);
    net_tls_unref(tls);
    world_free(w);
}

/* As a node has it that was away too long. */
static struct net_tls *expired_tls(const struct kit_ca *ca, enum pki_role role, int64_t ago_s)
{
    struct kit_leaf leaf = kit_leaf_new(ca, role, "n1", -ago_s);
    struct net_tls *tls;
    assert_int_equal(net_tls_new_lenient(ca->cert, leaf.cert, leaf.key, &tls, NULL), 0);
    kit_leaf_free(&leaf);
    return tls;
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
        unsigned before = w->accepted_count;
        world_connect(w, tls);
        if (rows[i].in) {
            int64_t from, until;
            KIT_UNTIL(&w->loop, w->client.opens == 1 && w->accepted_count == before + 1);
            struct net_conn *c = w->accepted[before].c;
            assert_true(net_conn_peer_expired(c));
            assert_true(net_conn_peer_life(c, &from, &until));
            assert_in_range(time(NULL) - until, rows[i].ago_s, rows[i].ago_s + 30);
            assert_string_equal(net_conn_peer(c)->name, "n1");
            net_conn_close(w->client.c);
        }
        KIT_UNTIL(&w->loop, w->client.closes == 1);
        assert_int_equal(w->accepted_count, before + rows[i].in);
        net_tls_unref(tls);
    }
    world_connect_as(w, PKI_ROLE_NODE, "n2");
    KIT_UNTIL(&w->loop, w->client.opens == 1 && w->accepted_count == 2);
    assert_false(net_conn_peer_expired(w->accepted[1].c));
    net_conn_close(w->client.c);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    kit_ca_free(&other);
    world_free(w);
}

/* Valid only in_s from now: signed while a clock ran ahead. */
static struct net_tls *early_tls(const struct kit_ca *ca, enum pki_role role, int64_t in_s)
{
    struct kit_leaf leaf = kit_leaf_new(ca, role, "n1", in_s + 600);
    struct net_tls *tls;
    X509 *cert = pki_x509_parse(leaf.cert, NULL);
    EVP_PKEY *ca_key = pki_key_parse(ca->key, NULL);
    ASN1_TIME_set(X509_getm_notBefore(cert), time(NULL) + (time_t)in_s);
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    PEM_write_bio_X509(bio, cert);
    BIO_write(bio, "", 1);
    BIO_get_mem_data(bio, &pem);
    assert_int_equal(net_tls_new_lenient(ca->cert, pem, leaf.key, &tls, NULL), 0);
    BIO_free(bio);
    EVP_PKEY_free(ca_key);
    X509_free(cert);
    kit_leaf_free(&leaf);
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
        world_connect(w, tls);
        if (rows[i].in) {
            KIT_UNTIL(&w->loop, w->client.opens == 1 && w->accepted_count == 1);
            assert_true(net_conn_peer_expired(w->accepted[0].c));
            net_conn_close(w->client.c);
        }
        KIT_UNTIL(&w->loop, w->client.closes == 1);
        assert_int_equal(w->accepted_count, 1);
        net_tls_unref(tls);
    }
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_expired_certificate_is_named_with_its_date),
        cmocka_unit_test(client_certificate_that_expired_is_named_by_both_sides),
        cmocka_unit_test(server_certificate_that_expired_is_named_by_both_sides),
        cmocka_unit_test(a_client_forgives_no_server),
        cmocka_unit_test(only_late_nodes_of_this_cluster_are_let_in_and_marked),
        cmocka_unit_test(early_nodes_are_let_in_and_marked_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
