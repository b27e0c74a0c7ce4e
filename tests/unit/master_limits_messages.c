/* Messages that are small on the wire and large once read: refused before they are read, told so, counted; what is
 * taken in is measured. */
#include "master/master.h"
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

/* {name: n1, pods: [[1, 1, ... ]]}: as many elements as bytes. */
static void write_tiny(struct buf *b, const char *key, uint32_t elements)
{
    mp_write_map(b, 2);
    mp_write_key_str(b, "name", STR("n1"));
    mp_write_cstr(b, key);
    mp_write_array(b, 1);
    mp_write_array(b, elements);
    for (uint32_t i = 0; i < elements; i++) {
        mp_write_int(b, 1);
    }
}

/* {object: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: [1, 1, ...]}} */
static void write_object(struct buf *b, uint32_t elements)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "object");
    mp_write_map(b, 4);
    mp_write_key_str(b, "apiVersion", STR("v1"));
    mp_write_key_str(b, "kind", STR("ConfigMap"));
    mp_write_cstr(b, "metadata");
    mp_write_map(b, 1);
    mp_write_key_str(b, "name", STR("x"));
    mp_write_cstr(b, "data");
    mp_write_array(b, elements);
    for (uint32_t i = 0; i < elements; i++) {
        mp_write_int(b, 1);
    }
}

/* Sends it, and has another user ask all the while. The longest of his waits in ms. */
static int64_t attack(struct kit *k, struct client *c, const char *method, struct str params, struct client *other,
                      struct answer *a)
{
    int64_t longest = 0;
    *a = (struct answer){0};
    rpc_call(c->rpc, method, params, KIT_WAIT_MS, take_answer, a);
    for (int64_t until = kit_now() + KIT_WAIT_MS; !a->done; assert_true(kit_now() < until)) {
        int64_t start = kit_now();
        must(other, "get", "{kind: Namespace, name: default}");
        longest = MAX(longest, kit_now() - start);
    }
    (void)k;
    return longest;
}

static void tiny_elements_of_a_node_are_refused_before_they_are_read(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *node = client_as(k, 0, PKI_ROLE_NODE, "n1");
    must(node, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    struct answer a;
    CLEANUP_BUF struct buf large = BUF_INIT, most = BUF_INIT;
    write_tiny(&most, "pods", MASTER_NODE_ELEMENTS_MAX - 64);
    size_t before = kit_memory_kb(k, 0);
    int64_t longest = attack(k, node, "node.status", buf_str(&most), admin, &a);
    print_message(
        "the most elements that a node may send: %zu bytes, another user waits %lld ms, memory grows by %lld KiB\n",
        most.size, (long long)longest, (long long)kit_memory_kb(k, 0) - (long long)before);
    assert_true(rpc_session_is_open(node->rpc));
    write_tiny(&large, "pods", 10000000);
    longest = attack(k, node, "node.status", buf_str(&large), admin, &a);
    print_message("%zu bytes of elements: another user waits %lld ms, memory grows by %lld KiB: %s\n", large.size,
                  (long long)longest, (long long)kit_memory_kb(k, 0) - (long long)before, a.err.message);
    must(admin, "cluster", "{}");
    if (int_at(admin, "stats.refusedTooLarge") != -1) { /* a master of before this has no such counter */
        assert_true(a.err.code == ERR_TOO_LARGE || a.err.code == ERR_CLOSED);
        assert_int_equal(int_at(admin, "stats.refusedTooLarge"), 1);
        assert_true(kit_memory_kb(k, 0) < before + (64 << 10));
    }
    client_close(admin);
    client_close(node);
}

static void tiny_elements_of_a_user_are_refused_with_a_reason(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *user = client_as(k, 0, PKI_ROLE_ADMIN, "mallory");
    struct answer a;
    CLEANUP_BUF struct buf large = BUF_INIT, most = BUF_INIT;
    write_object(&most, MASTER_USER_ELEMENTS_MAX - 64);
    int64_t longest = attack(k, user, "create", buf_str(&most), admin, &a);
    print_message("the most elements that a user may send: %zu bytes, another user waits %lld ms: %s\n", most.size,
                  (long long)longest, a.err.message);
    assert_int_not_equal(a.err.code, 0); /* no such object */
    assert_true(rpc_session_is_open(user->rpc));
    write_object(&large, MASTER_USER_ELEMENTS_MAX + 64);
    attack(k, user, "create", buf_str(&large), admin, &a);
    /* Whoever is still sending when the connection closes may not get to read the reason. */
    assert_true(a.err.code == ERR_TOO_LARGE || a.err.code == ERR_CLOSED);
    must(admin, "cluster", "{}");
    assert_int_equal(int_at(admin, "stats.refusedTooLarge"), 1);
    client_close(admin);
    client_close(user);
}

static void a_stranger_may_send_little(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *stranger = client_as(k, 0, PKI_ROLE_NONE, NULL);
    struct answer a;
    CLEANUP_BUF struct buf large = BUF_INIT;
    write_tiny(&large, "x", MASTER_STRANGER_ELEMENTS_MAX);
    attack(k, stranger, "join", buf_str(&large), admin, &a);
    assert_int_equal(a.err.code, ERR_TOO_LARGE); /* it was all there, and is told why */
    assert_non_null(strstr(a.err.message, "a message of yours may have 1024 elements here"));
    client_close(admin);
    client_close(stranger);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tiny_elements_of_a_node_are_refused_before_they_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tiny_elements_of_a_user_are_refused_with_a_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stranger_may_send_little, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
