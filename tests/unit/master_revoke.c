/* Certificates that count no more: those of deleted nodes, and those that an administrator has revoked. Three
 * masters; each of them refuses. */
#include "master/auth/revoked.h"
#include "tests/unit/kit/master_kit.h"

#define MASTERS 3

static int set_up(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

/* Somebody with a certificate of his own, to come with again and again. */
struct person {
    struct kit *kit;
    struct net_tls *tls;
    char serial[PKI_SERIAL_SIZE];
    struct client *at[MASTERS];
};

static void person_of(struct kit *k, struct person *p, const char *cert, const char *key)
{
    struct pki_facts facts;
    struct error err = {0};
    *p = (struct person){.kit = k};
    if (net_tls_new(k->ca, cert, key, NULL, &p->tls, &err) != 0 || pki_cert_facts(cert, &facts, &err) != 0) {
        fail_msg("%s", err.message);
    }
    memcpy(p->serial, facts.serial, sizeof p->serial);
}

static void person_new(struct kit *k, struct person *p, enum pki_role role, const char *name)
{
    struct pki_identity who = {.role = role};
    char *cert, *key;
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(pki_issue(k->ca, k->ca_key, &who, NULL, 86400, &cert, &key, NULL), 0);
    person_of(k, p, cert, key);
    free(cert);
    pki_free_key(key);
}

static void connect_to(struct person *p, unsigned i)
{
    if (p->at[i] != NULL) {
        client_close(p->at[i]);
    }
    p->at[i] = client_with(p->kit, i, p->tls);
}

static void connect_all(struct person *p)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        connect_to(p, i);
        must(p->at[i], "hello", "{}");
    }
}

static void person_close(struct person *p)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        if (p->at[i] != NULL) {
            client_close(p->at[i]);
        }
    }
    net_tls_unref(p->tls);
}

/* Its connections end by themselves. */
static void expect_hung_up(struct person *p)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        for (int64_t until = kit_now() + KIT_WAIT_MS; p->at[i] != NULL && p->at[i]->rpc != NULL; kit_turn(p->kit, 20)) {
            assert_true(kit_now() < until);
        }
    }
}

#define NODE "{apiVersion: v1, kind: Node, metadata: {name: %s}, status: {conditions: [{type: Ready, status: 'True'}]}}"

/* By master i, whatever it asks, on a new connection, and that one is closed as well. */
static void expect_refused(struct person *p, unsigned i, const char *name, const char *text)
{
    char *csr, *key;
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(pki_make_request(&who, &csr, &key, NULL), 0);
    struct value *renew = value_map(&p->kit->arena);
    value_set(&p->kit->arena, renew, "csr", value_cstr(&p->kit->arena, csr));
    free(csr);
    pki_free_key(key);
    connect_to(p, i);
    refused(p->at[i], ERR_UNAUTHORIZED, text, "hello", "{name: %s}", name);
    connect_to(p, i);
    assert_int_equal(call_value(p->at[i], "cert.renew", renew), ERR_UNAUTHORIZED);
    connect_to(p, i);
    refused(p->at[i], ERR_UNAUTHORIZED, text, "node.register", "{node: " NODE "}", name);
    connect_to(p, i);
    refused(p->at[i], ERR_UNAUTHORIZED, text, "get", "{kind: Node, name: %s}", name);
    connect_to(p, i);
    struct stream *s = stream_open(p->at[i], "node.pods", "{name: %s}", name);
    stream_wait_end(s);
    assert_int_equal(s->end.code, ERR_UNAUTHORIZED);
    stream_close(s);
    for (int64_t until = kit_now() + KIT_WAIT_MS; p->at[i]->rpc != NULL; kit_turn(p->kit, 20)) {
        assert_true(kit_now() < until);
    }
}

/* On any master, since writes go to the leader by themselves. */
static int register_node(struct person *p, const char *name)
{
    unsigned leader = kit_leader(p->kit);
    connect_to(p, leader);
    return call(p->at[leader], "node.register", "{node: " NODE "}", name);
}

/* With a token, as reeve-agent join does. */
static void join(struct kit *k, struct client *admin, struct person *p, const char *name)
{
    char *csr, *key;
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    struct client *stranger = client_as(k, 0, PKI_ROLE_NONE, "");
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(pki_make_request(&who, &csr, &key, NULL), 0);
    must(admin, "token", "{role: node}");
    struct value *params = kit_doc(k, "{role: node, name: %s, token: '%.23s'}", name, text_at(admin, "token"));
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
    must_value(stranger, "join", params);
    person_of(k, p, text_at(stranger, "certificate"), key);
    client_close(stranger);
    free(csr);
    pki_free_key(key);
}

static void wait_for_revoked(struct kit *k, int64_t wanted)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        struct client *c = client_admin(k, i);
        for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 20)) {
            if (call(c, "cluster", "{}") == 0 && int_at(c, "stats.revoked") >= wanted) {
                break;
            }
            if (c->rpc == NULL) { /* it does not listen yet */
                client_close(c);
                c = client_admin(k, i);
            }
            assert_true(kit_now() < until);
        }
        client_close(c);
    }
}

static void a_deleted_nodes_certificate_counts_no_more_and_it_joins_anew(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    struct person old, fresh;
    person_new(k, &old, PKI_ROLE_NODE, "n1");
    assert_int_equal(register_node(&old, "n1"), 0);
    connect_all(&old);
    must(c, "delete", "{kind: Node, name: n1}");
    expect_hung_up(&old);
    for (unsigned i = 0; i < MASTERS; i++) {
        expect_refused(&old, i, "n1", "the node was deleted, or its certificate revoked");
    }
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: Node, name: n1}");
    join(k, c, &fresh, "n1"); /* at once */
    assert_int_equal(register_node(&fresh, "n1"), 0);
    connect_all(&fresh);
    for (unsigned i = 0; i < MASTERS; i++) {
        must(fresh.at[i], "get", "{kind: Node, name: n1}");
        expect_refused(&old, i, "n1", "join the node anew");
    }
    /* What it renews counts, too. */
    char *csr, *key;
    struct pki_identity who = {PKI_ROLE_NODE, "n1"};
    assert_int_equal(pki_make_request(&who, &csr, &key, NULL), 0);
    struct value *params = value_map(&k->arena);
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
    must_value(fresh.at[1], "cert.renew", params);
    struct person renewed;
    person_of(k, &renewed, text_at(fresh.at[1], "certificate"), key);
    connect_all(&renewed);
    must(renewed.at[2], "get", "{kind: Node, name: n1}");
    free(csr);
    pki_free_key(key);
    person_close(&renewed);
    person_close(&fresh);
    person_close(&old);
    client_close(c);
}

static void what_was_revoked_stays_so_over_deaths_and_restarts(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    struct person old;
    person_new(k, &old, PKI_ROLE_NODE, "n2");
    assert_int_equal(register_node(&old, "n2"), 0);
    must(c, "delete", "{kind: Node, name: n2}"); /* answered: so it must hold, whatever dies */
    client_close(c);
    kit_stop(k, kit_leader(k), SIGKILL);
    kit_leader(k);
    for (unsigned i = 0; i < MASTERS; i++) {
        if (k->masters[i].pid == 0) {
            kit_start(k, i);
        }
    }
    kit_leader(k);
    wait_for_revoked(k, 2);
    for (unsigned i = 0; i < MASTERS; i++) {
        expect_refused(&old, i, "n2", "counts no more");
    }
    person_close(&old);
}

static void a_collection_of_nodes_is_revoked_as_one(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    struct person some[3];
    for (unsigned i = 0; i < 3; i++) {
        const char *name = arena_printf(&k->arena, "many-%u", i);
        person_new(k, &some[i], PKI_ROLE_NODE, name);
        assert_int_equal(register_node(&some[i], name), 0);
        must(c, "patch", "{kind: Node, name: %s, type: merge, patch: {metadata: {labels: {of: many}}}}", name);
    }
    must(c, "cluster", "{}");
    int64_t before = int_at(c, "stats.revoked");
    must(c, "deletecollection", "{kind: Node, labelSelector: of=many}");
    assert_int_equal(int_at(c, "count"), 3);
    wait_for_revoked(k, before + 3); /* a follower hears of it a little later */
    for (unsigned i = 0; i < 3; i++) {
        expect_hung_up(&some[i]);
        expect_refused(&some[i], i, arena_printf(&k->arena, "many-%u", i), "counts no more");
        person_close(&some[i]);
    }
    client_close(c);
}

static void a_dry_run_revokes_nothing(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    struct person p;
    person_new(k, &p, PKI_ROLE_NODE, "dry");
    assert_int_equal(register_node(&p, "dry"), 0);
    must(c, "delete", "{kind: Node, name: dry, dryRun: true}");
    connect_all(&p);
    must(p.at[0], "get", "{kind: Node, name: dry}");
    person_close(&p);
    client_close(c);
}

static void an_administrator_is_revoked_by_name_and_a_certificate_by_its_number(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    struct person kate, kate2, paul, paul2;
    person_new(k, &kate, PKI_ROLE_ADMIN, "kate");
    person_new(k, &kate2, PKI_ROLE_USER, "kate"); /* one name is one user, an administrator or not */
    person_new(k, &paul, PKI_ROLE_ADMIN, "paul");
    person_new(k, &paul2, PKI_ROLE_ADMIN, "paul");
    connect_all(&kate);
    connect_all(&paul);
    connect_all(&paul2);
    must(c, "cert.revoke", "{name: kate, role: admin}");
    assert_string_equal(text_at(c, "kind"), "admin");
    expect_hung_up(&kate);
    must(c, "cert.revoke", "{serial: '%s'}", paul.serial);
    expect_hung_up(&paul);
    wait_for_revoked(k, 2);
    for (unsigned i = 0; i < MASTERS; i++) {
        connect_to(&kate2, i);
        refused(kate2.at[i], ERR_UNAUTHORIZED, "the certificate of user \"kate\" was revoked on 20", "list",
                "{kind: Node}");
        connect_to(&paul, i);
        refused(paul.at[i], ERR_UNAUTHORIZED, "reeve-master admin", "create", "{object: {}}");
        must(paul2.at[i], "list", "{kind: Node}"); /* another certificate of his */
    }
    must(c, "cert.revoked", "{}");
    unsigned found = 0;
    VALUE_FOR(i, value_get(c->result, "revoked"))
    {
        const struct value *row = value_item(value_get(c->result, "revoked"), i);
        struct str name = value_path_str(row, "name");
        found += str_is(name, "kate") && str_is(value_path_str(row, "kind"), "admin");
        found += str_is(name, paul.serial) && str_is(value_path_str(row, "kind"), "serial");
    }
    assert_int_equal(found, 2);
    person_close(&kate);
    person_close(&kate2);
    person_close(&paul);
    person_close(&paul2);
    client_close(c);
}

static void ones_own_certificate_needs_force(void **state)
{
    struct kit *k = *state;
    struct person me;
    person_new(k, &me, PKI_ROLE_ADMIN, "lonely");
    connect_all(&me);
    for (unsigned i = 0; i < MASTERS; i++) {
        refused(me.at[i], ERR_CONFLICT, "use --force", "cert.revoke", "{name: lonely, role: admin}");
        refused(me.at[i], ERR_CONFLICT, "use --force", "cert.revoke", "{name: lonely}");
        refused(me.at[i], ERR_CONFLICT, "use --force", "cert.revoke", "{serial: '%s'}", me.serial);
    }
    unsigned leader = kit_leader(k);
    must(me.at[leader], "cert.revoke", "{name: lonely, force: true}"); /* the answer comes before the end */
    expect_hung_up(&me);
    connect_to(&me, leader);
    refused(me.at[leader], ERR_UNAUTHORIZED, "was revoked on", "hello", "{}");
    person_close(&me);
}

static void nonsense_is_refused(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    refused(c, ERR_USAGE, "either the name", "cert.revoke", "{}");
    refused(c, ERR_USAGE, "either the name", "cert.revoke", "{name: x, serial: '00'}");
    refused(c, ERR_USAGE, "is no serial number", "cert.revoke", "{serial: xyz}");
    refused(c, ERR_USAGE, "rctl master remove", "cert.revoke", "{name: '2', role: master}");
    refused(c, ERR_NOT_FOUND, "no user of that name is connected", "cert.revoke", "{name: nobody}");
    refused(c, ERR_USAGE, "line's end", "cert.revoke", "{name: \"a\\nadmin 9 9 b\", role: admin}");
    must(c, "create", "{object: {apiVersion: v1, kind: Node, metadata: {name: tester}}}");
    refused(c, ERR_USAGE, "say node/tester or user/tester", "cert.revoke", "{name: tester}");
    refused(c, ERR_FORBIDDEN, "can't be deleted", "delete",
            "{kind: ConfigMap, namespace: kube-system, name: reeve-revoked}");
    struct client *n = client_as(k, 0, PKI_ROLE_NODE, "curious");
    refused(n, ERR_FORBIDDEN, NULL, "cert.revoke", "{name: tester, role: admin}");
    client_close(n);
    client_close(c);
}

static void lines_go_when_what_they_mean_has_ended(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, kit_leader(k));
    must(c, "get", "{kind: ConfigMap, namespace: kube-system, name: reeve-revoked}");
    must(c, "patch",
         "{kind: ConfigMap, namespace: kube-system, name: reeve-revoked, type: merge, patch: {data: {list: \"%s\"}}}",
         "node 1000 2 long-gone\\njunk\\nserial x y z\\nadmin 1000 99999999999 stays with blanks\\n");
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 20)) {
        must(c, "get", "{kind: ConfigMap, namespace: kube-system, name: reeve-revoked}");
        if (strcmp(text_at(c, "object.data.list"), "admin 1000 99999999999 stays with blanks\n") == 0) {
            break;
        }
        assert_true(kit_now() < until);
    }
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deleted_nodes_certificate_counts_no_more_and_it_joins_anew),
        cmocka_unit_test(what_was_revoked_stays_so_over_deaths_and_restarts),
        cmocka_unit_test(a_collection_of_nodes_is_revoked_as_one),
        cmocka_unit_test(a_dry_run_revokes_nothing),
        cmocka_unit_test(an_administrator_is_revoked_by_name_and_a_certificate_by_its_number),
        cmocka_unit_test(ones_own_certificate_needs_force),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(lines_go_when_what_they_mean_has_ended),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
