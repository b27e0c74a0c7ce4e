/* What a join token is good for, and what it is not: for one newcomer or as many as were asked for, for the names that
 * were asked for, until it has expired; and guessing. */
#include "master/auth/tokens.h"
#include "master/members/join.h"
#include "tests/unit/kit/master_kit.h"

static int set_up(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

/* The params of a node's join, with a key of its own. */
static struct value *newcomer(struct kit *k, const char *name, const char *token)
{
    char *csr, *key;
    struct error err = {0};
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(pki_make_request(&who, &csr, &key, &err), 0);
    struct value *params = kit_doc(k, "{role: node, name: %s, token: '%.23s'}", name, token);
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
    free(csr);
    pki_free_key(key);
    return params;
}

static const char *make_token(struct client *c, const char *params)
{
    must(c, "token", "%s", params);
    return arena_strdup(&c->kit->arena, text_at(c, "token"));
}

static void expect_refused(struct client *c, const struct value *params, const char *text)
{
    assert_int_equal(call_value(c, "join", params), ERR_UNAUTHORIZED);
    if (strstr(c->err.message, text) == NULL) {
        fail_msg("expected \"%s\" in: %s", text, c->err.message);
    }
}

static void a_token_lets_in_one_newcomer_and_repeats_its_answer(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *stranger = client_as(k, 0, PKI_ROLE_NONE, "");
    const char *token = make_token(c, "{role: node}");
    struct value *first = newcomer(k, "first", token);
    must_value(stranger, "join", first);
    expect_refused(stranger, newcomer(k, "second", token), "was used up");
    expect_refused(stranger, newcomer(k, "first", token), "was used up"); /* the name, with another's key */
    must_value(stranger, "join", first);                                  /* who lost the answer asks again */
    assert_true(text_at(stranger, "certificate")[0] != '\0');
    client_close(stranger);
    client_close(c);
}

static void a_token_lets_in_as_many_as_were_asked_for(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *stranger = client_as(k, 0, PKI_ROLE_NONE, "");
    const char *token = make_token(c, "{role: node, uses: 40}");
    assert_int_equal(int_at(c, "uses"), 40);
    unsigned in = 0;
    for (unsigned i = 0; i < 45; i++) { /* one of whom an invented name would be given a network of pods */
        in += call_value(stranger, "join", newcomer(k, arena_printf(&k->arena, "n%u", i), token)) == 0;
    }
    assert_int_equal(in, 40);
    refused(c, ERR_USAGE, "uses must be between", "token", "{role: node, uses: 0}");
    refused(c, ERR_USAGE, "uses must be between", "token", "{role: node, uses: 1000000}");
    client_close(stranger);
    client_close(c);
}

static void a_token_for_a_name_or_pattern_is_good_for_no_other(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *stranger = client_as(k, 0, PKI_ROLE_NONE, "");
    const char *one = make_token(c, "{role: node, nodeName: db1}");
    const char *rack = make_token(c, "{role: node, uses: 2, nodeName: 'rack1-*'}");
    expect_refused(stranger, newcomer(k, "db2", one), "for a node named \"db1\", not \"db2\"");
    expect_refused(stranger, newcomer(k, "rack2-1", rack), "named \"rack1-*\"");
    must_value(stranger, "join", newcomer(k, "db1", one)); /* what was refused does not count */
    must_value(stranger, "join", newcomer(k, "rack1-7", rack));
    refused(c, ERR_USAGE, "nodeName is for role", "token", "{role: master, nodeName: m1}");
    client_close(stranger);
    client_close(c);
}

static void an_expired_token_is_taken_away(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    const char *token = make_token(c, "{role: node}"), *kept = make_token(c, "{role: node}");
    must(c, "patch",
         "{kind: Secret, namespace: kube-system, name: bootstrap-token-%.6s, type: merge,"
         " patch: {stringData: {expiration: '2020-01-01T00:00:00Z'}}}",
         token);
    int64_t until = kit_now() + KIT_WAIT_MS;
    while (call(c, "get", "{kind: Secret, namespace: kube-system, name: bootstrap-token-%.6s}", token) == 0) {
        assert_true(kit_now() < until);
        kit_turn(k, 20);
    }
    assert_int_equal(c->err.code, ERR_NOT_FOUND);
    must(c, "get", "{kind: Secret, namespace: kube-system, name: bootstrap-token-%.6s}", kept);
    client_close(c);
}

static void guesses_from_one_address_are_few(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *stranger = client_as(k, 0, PKI_ROLE_NONE, "");
    const char *token = make_token(c, "{role: node, uses: 5}");
    struct value *wrong = kit_doc(k, "{role: node, name: x, token: aaaaaa.bbbbbbbbbbbbbbbb}");
    unsigned looked_at = 0;
    for (unsigned i = 0; i < 200; i++) {
        looked_at += call_value(stranger, "join", wrong) == ERR_UNAUTHORIZED;
        assert_true(stranger->err.code == ERR_UNAUTHORIZED || stranger->err.code == ERR_LIMIT);
    }
    assert_in_range(looked_at, JOIN_WRONG_BURST, 199); /* and some more on a machine that slept */
    if (call_value(stranger, "join", newcomer(k, "right", token)) != 0) {
        assert_int_equal(stranger->err.code, ERR_LIMIT); /* told apart from a wrong one, and when to come again */
        assert_non_null(strstr(stranger->err.message, "too many wrong tokens came from your address"));
    }
    must(c, "cluster", "{}");
    assert_int_equal(int_at(c, "stats.wrongTokens"), (int64_t)looked_at);
    client_close(stranger);
    client_close(c);
}

static void a_network_is_an_address_or_a_64(void **state)
{
    (void)state;
    static const struct {
        const char *address, *network;
    } rows[] = {
        {"10.0.0.1:7400", "10.0.0.1"},
        {"[2001:db8:1:2:3:4:5:6]:7400", "2001:db8:1:2::/64"},
        {"[2001:db8:1:2::ffff]:1", "2001:db8:1:2::/64"},
        {"[fe80::1%eth0]:1", "fe80::/64"},
        {"localhost:7400", "?"},
        {"", "?"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char network[NET_NETWORK_MAX];
        net_addr_network(rows[i].address, network);
        assert_string_equal(network, rows[i].network);
    }
}

/* Whoever hears nothing, or that the outcome is unknown, asks again with the same request: at any master, before and
 * after the leader has died. Nobody beyond the token's uses gets in for that. */
static void uses_are_never_exceeded_over_changes_of_leader(void **state)
{
    struct kit *k = kit_three(NULL);
    enum { NEWCOMERS = 8, USES = 3, ROUNDS = 4 };
    struct value *requests[NEWCOMERS];
    bool in[NEWCOMERS] = {false};
    *state = k;
    unsigned leader = kit_leader(k), dead = leader;
    struct client *c = client_admin(k, leader);
    const char *token = make_token(c, "{role: node, uses: 3}");
    client_close(c);
    for (unsigned i = 0; i < NEWCOMERS; i++) {
        requests[i] = newcomer(k, arena_printf(&k->arena, "n%u", i), token);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (round == 1) {
            kit_stop(k, leader, SIGKILL);
        } else if (round == 2) {
            kit_start(k, leader);
            dead = KIT_MASTERS_MAX;
            int64_t until = kit_now() + KIT_WAIT_MS;
            for (bool serves = false; !serves; client_close(c)) {
                assert_true(kit_now() < until);
                serves = call(c = client_admin(k, leader), "cluster", "{}") == 0;
                kit_turn(k, 20);
            }
            must(c = client_admin(k, kit_leader(k)), "master.transfer", "{}");
            client_close(c);
        }
        for (unsigned i = 0; i < NEWCOMERS; i++) {
            unsigned at = (i + round) % 3;
            at = round < 2 && at == dead && round == 1 ? (at + 1) % 3 : at;
            struct client *stranger = client_as(k, at, PKI_ROLE_NONE, "");
            in[i] |= call_value(stranger, "join", requests[i]) == 0;
            client_close(stranger);
        }
    }
    unsigned count = 0;
    for (unsigned i = 0; i < NEWCOMERS; i++) {
        count += in[i];
    }
    assert_in_range(count, 1, USES);
    /* who is in may ask again, nobody else */
    struct client *stranger = client_as(k, kit_leader(k), PKI_ROLE_NONE, "");
    for (unsigned i = 0; i < NEWCOMERS; i++) {
        int rc = call_value(stranger, "join", requests[i]);
        if (rc == 0 && !in[i]) { /* its outcome was unknown, or nobody had the time to look at it */
            in[i] = true;
            count++;
        }
        assert_true(rc == 0 || !in[i] || rc == ERR_LIMIT);
    }
    assert_int_equal(count, USES);
    client_close(stranger);
}

/* A master is told apart by its key: who only names the same address is another one. */
static void a_used_masters_token_is_good_for_the_same_key_alone(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *stranger = client_as(k, 0, PKI_ROLE_NONE, "");
    const char *token = make_token(c, "{role: master}");
    unsigned port = kit_free_port();
    struct value *asked[2];
    for (unsigned i = 0; i < 2; i++) {
        asked[i] = newcomer(k, "m", token);
        value_set(&k->arena, asked[i], "role", value_cstr(&k->arena, "master"));
        value_set(&k->arena, asked[i], "address", value_strf(&k->arena, "127.0.0.1:%u", port));
    }
    must_value(stranger, "join", asked[0]);
    int64_t first = int_at(stranger, "id");
    expect_refused(stranger, asked[1], "was used up");
    must_value(stranger, "join", asked[0]);
    assert_true(int_at(stranger, "id") > first); /* it never came, so it gets another number */
    must(c, "master.remove", "{id: %lld}", (long long)int_at(stranger, "id"));
    client_close(stranger);
    client_close(c);
}

/* What was typed twice is one newcomer: the directory keeps the key. */
static void a_join_that_is_typed_again_shows_the_same_key(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    const char *token = make_token(c, "{role: master}");
    CLEANUP_FREE char *said = NULL;
    char key_path[300], *key = NULL, *now = NULL;
    snprintf(key_path, sizeof key_path, "%s/m1/joining.key", k->dir);
    const char *timeout[] = {"--timeout", "1", NULL};
    k->run_args = timeout;
    assert_int_equal(kit_join_at(k, "127.0.0.1:1", token, &said), 1);
    assert_int_equal(pki_read_file(key_path, PKI_PEM_MAX, &key, NULL, NULL), 0);
    free(TAKE_PTR(said));
    k->run_args = NULL;
    k->masters_count = 1; /* the same again */
    if (kit_join_with(k, 0, token, &said) != 0) {
        fail_msg("join: %s", said);
    }
    assert_int_not_equal(access(key_path, F_OK), 0);
    snprintf(key_path, sizeof key_path, "%s/m1/master.key", k->dir);
    assert_int_equal(pki_read_file(key_path, PKI_PEM_MAX, &now, NULL, NULL), 0);
    assert_string_equal(key, now);
    pki_free_key(key);
    pki_free_key(now);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_token_lets_in_one_newcomer_and_repeats_its_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_lets_in_as_many_as_were_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_for_a_name_or_pattern_is_good_for_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_expired_token_is_taken_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(guesses_from_one_address_are_few, set_up, tear_down),
        cmocka_unit_test_teardown(uses_are_never_exceeded_over_changes_of_leader, tear_down),
        cmocka_unit_test_setup_teardown(a_used_masters_token_is_good_for_the_same_key_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_join_that_is_typed_again_shows_the_same_key, set_up, tear_down),
        cmocka_unit_test(a_network_is_an_address_or_a_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
