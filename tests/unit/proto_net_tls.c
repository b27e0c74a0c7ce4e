/* Who is let in, and who is believed to be the server: the cluster's CA, the pinned fingerprint, roles. */
#include "proto_net_world.h"

/* Trusts the CA with this certificate's fingerprint and nobody else; shows `own`, or nothing. */
static struct net_tls *pinning_tls(const char *cert, const struct kit_leaf *own)
{
    char print[33];
    struct net_tls *tls;
    pki_cert_fingerprint(cert, print, NULL);
    assert_int_equal(net_tls_new(NULL, own ? own->cert : NULL, own ? own->key : NULL, print, &tls, NULL), 0);
    return tls;
}

static void client_of_another_ca_is_refused_and_told(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct kit_ca other = kit_ca_new("other");
    /* It trusts our server, so that only the server objects. */
    struct kit_leaf leaf = kit_leaf_new(&other, PKI_ROLE_ADMIN, "eve", 60);
    struct net_tls *tls;
    struct error err = {0};
    assert_int_equal(net_tls_new(w->ca.cert, leaf.cert, leaf.key, NULL, &tls, &err), ERR_INVALID); /* seen at once */
    assert_non_null(strstr(err.message, "not signed by the CA"));
    tls = pinning_tls(w->ca.cert, &leaf);
    world_connect_refused(w, tls, ERR_UNAUTHORIZED);
    assert_non_null(strstr(w->client.why.message, "refused our certificate (admin eve)"));
    assert_int_equal(w->accepted_count, 0);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 0);
    assert_int_equal(net_listener_stats(w->listener)->handshake_failed, 1);
    assert_non_null(strstr(w->log, "not signed by this cluster's CA"));
    kit_leaf_free(&leaf);
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
    world_connect_refused(w, tls, ERR_UNAUTHORIZED);
    assert_int_equal(w->client.opens, 0);
    assert_non_null(strstr(w->client.why.message, "certificate of"));
    assert_non_null(strstr(w->client.why.message, "not signed by this cluster's CA"));
    net_tls_unref(tls);
    kit_ca_free(&other);
    world_free(w);
}

/* A cluster's CA is replaced by another one of the same name: who trusts both takes both, and shows a certificate of
 * either. */
static void of_two_cas_both_are_trusted_and_who_trusts_one_takes_one(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct kit_ca next = kit_ca_new("test");
    struct kit_leaf old_leaf = kit_leaf_new(&w->ca, PKI_ROLE_ADMIN, "kate", 60);
    struct kit_leaf new_leaf = kit_leaf_new(&next, PKI_ROLE_ADMIN, "kate", 60);
    struct kit_leaf new_master = kit_leaf_new(&next, PKI_ROLE_MASTER, "1", 60);
    struct kit_leaf old_master = kit_leaf_new(&w->ca, PKI_ROLE_MASTER, "1", 60);
    CLEANUP_FREE char *both = xasprintf("%s\n%s", w->ca.cert, next.cert),
                      *turned = xasprintf("%s%s", next.cert, w->ca.cert);
    const struct kit_leaf *const masters[] = {&old_master, &new_master}, *const clients[] = {&old_leaf, &new_leaf};
    for (unsigned i = 0; i < 4; i++) {
        struct net_tls *server, *client;
        const struct kit_leaf *m = masters[i / 2], *c = clients[i % 2];
        assert_int_equal(net_tls_new(both, m->cert, m->key, NULL, &server, NULL), 0);
        assert_int_equal(net_tls_new(turned, c->cert, c->key, NULL, &client, NULL), 0);
        net_listener_set_tls(w->listener, server);
        world_connect(w, client);
        KIT_UNTIL(&w->loop, w->accepted_count == i + 1);
        char print[33];
        pki_cert_fingerprint(i % 2 == 0 ? w->ca.cert : next.cert, print, NULL);
        assert_string_equal(net_conn_peer_facts(w->accepted[i].c)->ca, print); /* whose it is, is known */
        net_conn_close(w->client.c);
        KIT_UNTIL(&w->loop, w->client.closes == 1 && w->accepted[i].closes == 1);
        net_tls_unref(server);
        net_tls_unref(client);
    }
    world_connect_refused(w, w->client_tls, ERR_UNAUTHORIZED); /* trusts the old one alone, and meets the new one */
    CLEANUP_FREE char *nine = xasprintf("%s%s%s%s%s", both, both, both, both, next.cert);
    struct net_tls *tls;
    struct error err = {0};
    assert_int_equal(net_tls_new(nine, new_leaf.cert, new_leaf.key, NULL, &tls, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "more than 8 CAs"));
    CLEANUP_FREE char *leaf_in_it = xasprintf("%s%s", w->ca.cert, new_leaf.cert);
    assert_int_equal(net_tls_new(leaf_in_it, old_leaf.cert, old_leaf.key, NULL, &tls, &err), ERR_INVALID);
    kit_leaf_free(&old_leaf);
    kit_leaf_free(&new_leaf);
    kit_leaf_free(&old_master);
    kit_leaf_free(&new_master);
    kit_ca_free(&next);
    world_free(w);
}

static void newcomer_joins_by_the_pinned_fingerprint(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *tls = pinning_tls(w->ca.cert, NULL);
    world_connect(w, tls);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    assert_int_equal(w->client.opens, 1);
    assert_int_equal(w->accepted[0].peer.role, PKI_ROLE_NONE);
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
    world_connect_refused(w, tls, ERR_UNAUTHORIZED);
    assert_int_equal(w->client.opens, 0);
    assert_non_null(strstr(w->client.why.message, "fingerprint"));
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
    struct kit_leaf leaf = kit_leaf_new(&w->ca, PKI_ROLE_MASTER, "2", 60);
    struct net_tls *server_tls;
    assert_int_equal(net_tls_new(w->ca.cert, leaf.cert, leaf.key, NULL, &server_tls, NULL), 0);
    net_listener_set_tls(w->listener, server_tls); /* new connections meet the new certificate */
    struct net_tls *tls = pinning_tls(leaf.cert, NULL);
    world_connect_refused(w, tls, ERR_UNAUTHORIZED);
    kit_leaf_free(&leaf);
    net_tls_unref(tls);
    net_tls_unref(server_tls);
    world_free(w);
}

static void key_of_another_certificate_is_refused(void **state)
{
    (void)state;
    struct kit_ca ca = kit_ca_new("test");
    struct kit_leaf leaf = kit_leaf_new(&ca, PKI_ROLE_NODE, "n1", 60);
    struct net_tls *tls;
    struct error err = {0};
    assert_int_equal(net_tls_new(ca.cert, leaf.cert, ca.key, NULL, &tls, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "node n1"));
    assert_int_equal(net_tls_new(leaf.cert, leaf.cert, leaf.key, NULL, &tls, &err), ERR_INVALID); /* a leaf as CA */
    assert_int_equal(net_tls_new("junk", leaf.cert, leaf.key, NULL, &tls, &err), ERR_INVALID);
    kit_leaf_free(&leaf);
    kit_ca_free(&ca);
}

static void node_cannot_pass_as_server(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_tls *node = kit_tls(&w->ca, PKI_ROLE_NODE, "n1");
    net_listener_set_tls(w->listener, node);
    world_connect_refused(w, w->client_tls, ERR_UNAUTHORIZED);
    assert_int_equal(w->client.opens, 0);
    assert_non_null(strstr(w->client.why.message, "node n1"));
    net_tls_unref(node);
    world_free(w);
}

static void unknown_protocol_is_refused(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_dial(w, w->client_tls, w->addr, "http/1.1", 5000);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    assert_int_equal(w->client.opens, 0);
    assert_int_equal(w->client.why.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(w->client.why.message, "http/1.1"));
    world_free(w);
}

static X509 *cert_of(const struct end *e)
{
    return SSL_get0_peer_certificate(e->c->ssl);
}

static void connections_with_one_certificate_have_one_copy_of_it(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct end more[2] = {{0}};
    for (unsigned i = 0; i < 2; i++) {
        end_connect(w, &more[i]);
        KIT_UNTIL(&w->loop, w->accepted_count == 2 + i);
        assert_ptr_equal(cert_of(&w->accepted[1 + i]), cert_of(&w->accepted[0]));
        assert_ptr_equal(net_conn_peer(w->accepted[1 + i].c), net_conn_peer(w->accepted[0].c));
        assert_string_equal(w->accepted[1 + i].peer.name, "kate");
        assert_string_equal(net_conn_peer_facts(w->accepted[1 + i].c)->serial,
                            net_conn_peer_facts(w->accepted[0].c)->serial);
        assert_int_equal(strlen(net_conn_peer_facts(w->accepted[1 + i].c)->ca), 32);
    }
    assert_int_equal(w->server_tls->known.count, 1);
    /* Of the same name, and another one. */
    struct end other = {0};
    struct net_tls *tls = kit_tls(&w->ca, PKI_ROLE_ADMIN, "kate");
    other.c = net_connect(&w->loop, tls, w->addr, ALPN_RPC, 5000, &end_events, &other);
    KIT_UNTIL(&w->loop, w->accepted_count == 4);
    assert_ptr_not_equal(cert_of(&w->accepted[3]), cert_of(&w->accepted[0]));
    assert_string_not_equal(net_conn_peer_facts(w->accepted[3].c)->serial,
                            net_conn_peer_facts(w->accepted[0].c)->serial);
    assert_int_equal(w->server_tls->known.count, 2);
    /* It goes with the last of them. */
    net_conn_close(other.c);
    net_conn_close(w->accepted[0].c);
    KIT_UNTIL(&w->loop, w->accepted[3].closes == 1 && w->accepted[0].closes == 1);
    assert_int_equal(w->server_tls->known.count, 1);
    assert_string_equal(net_conn_peer(w->accepted[1].c)->name, "kate");
    net_conn_close(more[0].c);
    net_conn_close(more[1].c);
    KIT_UNTIL(&w->loop, w->accepted[1].closes == 1 && w->accepted[2].closes == 1);
    assert_int_equal(w->server_tls->known.count, 0);
    net_tls_unref(tls);
    world_free(w);
}

/* What a connection is known by is not read from another one's row unless all of it is the same. */
static void a_certificate_of_another_chain_has_a_row_for_itself(void **state)
{
    (void)state;
    struct world *w = world_connected();
    X509 *cert = cert_of(&w->accepted[0]);
    char ca[33];
    memset(ca, 'a', 32);
    ca[32] = '\0';
    struct net_known *k = net_known_get(w->server_tls, cert, ca);
    assert_string_equal(k->facts.ca, ca);
    assert_string_not_equal(net_conn_peer_facts(w->accepted[0].c)->ca, ca);
    assert_int_equal(w->server_tls->known.count, 1);
    net_known_give(w->server_tls, k);
    assert_int_equal(w->server_tls->known.count, 1);
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_of_another_ca_is_refused_and_told),
        cmocka_unit_test(server_of_another_ca_is_refused),
        cmocka_unit_test(of_two_cas_both_are_trusted_and_who_trusts_one_takes_one),
        cmocka_unit_test(newcomer_joins_by_the_pinned_fingerprint),
        cmocka_unit_test(wrong_fingerprint_is_refused),
        cmocka_unit_test(fingerprint_of_a_leaf_is_no_ca),
        cmocka_unit_test(key_of_another_certificate_is_refused),
        cmocka_unit_test(node_cannot_pass_as_server),
        cmocka_unit_test(unknown_protocol_is_refused),
        cmocka_unit_test(connections_with_one_certificate_have_one_copy_of_it),
        cmocka_unit_test(a_certificate_of_another_chain_has_a_row_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
