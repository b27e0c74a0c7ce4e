/* deletecollection of thousands of objects: it goes piece by piece, others are served between, and what happens in
 * between counts. OBJECTS=n measures with more. */
#include "master/front/turns.h"
#include "master/master.h"
#include "tests/unit/kit/master_kit.h"

#define EACH MASTER_USER_OBJECTS_MAX

static int set_up(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int set_up_three(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static unsigned make_many(struct client *c, unsigned wanted)
{
    unsigned made = 0;
    while (made < wanted) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        mp_write_map(&b, 1);
        mp_write_cstr(&b, "objects");
        mp_write_array(&b, EACH);
        for (unsigned i = 0; i < EACH; i++, made++) {
            char name[16];
            snprintf(name, sizeof name, "m%06u", made);
            mp_write_map(&b, 3);
            mp_write_key_str(&b, "apiVersion", STR("v1"));
            mp_write_key_str(&b, "kind", STR("ConfigMap"));
            mp_write_cstr(&b, "metadata");
            mp_write_map(&b, 2);
            mp_write_key_str(&b, "name", str_of(name));
            mp_write_cstr(&b, "labels");
            mp_write_map(&b, 1);
            mp_write_key_str(&b, "of", STR("many"));
        }
        struct value *params = NULL;
        assert_int_equal(msgpack_read_value(&c->kit->arena, b.data, b.size, &params, NULL), 0);
        must_value(c, "apply", params);
    }
    return made;
}

static struct buf deletion_of(struct kit *k, uint8_t id)
{
    uint8_t bytes[16];
    struct buf b = BUF_INIT;
    memset(bytes, id, sizeof bytes);
    struct value *params = kit_doc(k, "{kind: ConfigMap, labelSelector: of=many, timeoutMs: %d}", KIT_WAIT_MS);
    value_set(&k->arena, params, "id", value_bin(&k->arena, bytes, sizeof bytes));
    msgpack_write_value(&b, params);
    return b;
}

static unsigned left(struct client *c)
{
    must(c, "list", "{kind: ConfigMap, namespace: default, labelSelector: of=many, limit: 100000}");
    return value_count(value_get(c->result, "items"));
}

static void thousands_are_deleted_piece_by_piece(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *user = client_as(k, 0, PKI_ROLE_ADMIN, "mallory");
    unsigned made = make_many(admin, getenv("OBJECTS") != NULL ? (unsigned)atoi(getenv("OBJECTS")) : 4 * EACH);
    int64_t cpu = kit_cpu_ms(k, 0), longest = 0, begin = kit_now();
    size_t memory = kit_memory_kb(k, 0), most = memory;
    CLEANUP_BUF struct buf b = deletion_of(k, 1);
    struct answer a = {0};
    rpc_call(user->rpc, "deletecollection", buf_str(&b), KIT_WAIT_MS, take_answer, &a);
    /* Of the same connection, so these are done after the first piece and before the last. */
    must(user, "patch",
         "{kind: ConfigMap, name: m%06u, type: merge, patch: {metadata: {labels: {of: something-else}}}}", made - 2);
    must(user, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: n0, labels: {of: many}}}}");
    assert_false(a.done);
    for (int64_t until = kit_now() + KIT_WAIT_MS; !a.done; assert_true(kit_now() < until)) {
        int64_t start = kit_now();
        must(admin, "get", "{kind: Namespace, name: default}");
        longest = MAX(longest, kit_now() - start);
        most = MAX(most, kit_memory_kb(k, 0));
    }
    int64_t took = kit_now() - begin;
    cpu = kit_cpu_ms(k, 0) - cpu;
    must(admin, "cluster", "{}");
    print_message("%u objects are deleted after %lld ms, %lld ms of CPU, %+lld KiB at most; another user waits %lld "
                  "ms at most; longest piece so far %lld us\n",
                  made, (long long)took, (long long)cpu, (long long)most - (long long)memory, (long long)longest,
                  (long long)int_at(admin, "stats.longestPieceUs"));
    assert_int_equal(a.err.code, 0);
    assert_int_equal(a.count, made - 1); /* one was saved */
    assert_true(int_at(admin, "stats.deletionPieces") >= made / TURNS_PIECE_VISITS);
    assert_int_equal(left(admin), 1); /* one was made meanwhile */
    /* The same request again, as after an answer that was lost: it deletes nothing more. */
    a = (struct answer){0};
    rpc_call(user->rpc, "deletecollection", buf_str(&b), KIT_WAIT_MS, take_answer, &a);
    kit_until(k, &a.done, "the answer");
    assert_int_equal(a.err.code, 0);
    assert_true(a.count > 0);
    assert_int_equal(left(admin), 1);
    must(admin, "get", "{kind: ConfigMap, name: m%06u}", made - 2);
    client_close(admin);
    client_close(user);
}

static void a_deletion_goes_on_under_the_next_leader(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), other = (leader + 1) % 3;
    struct client *c = client_admin(k, other);
    make_many(c, 4 * EACH);
    CLEANUP_BUF struct buf b = deletion_of(k, 2);
    struct answer a = {0};
    rpc_call(c->rpc, "deletecollection", buf_str(&b), KIT_WAIT_MS, take_answer, &a);
    for (int64_t until = kit_now() + KIT_WAIT_MS; left(c) == 4 * EACH && !a.done; assert_true(kit_now() < until)) {
    }
    kit_stop(k, leader, SIGKILL);
    kit_until(k, &a.done, "the answer");
    assert_int_equal(a.err.code, 0);
    assert_int_equal(left(c), 0);
    client_close(c);
}

static void whoever_hangs_up_deletes_no_more(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *user = client_as(k, 0, PKI_ROLE_ADMIN, "mallory");
    unsigned made = make_many(admin, 8 * EACH);
    CLEANUP_BUF struct buf b = deletion_of(k, 3);
    struct answer a = {0};
    rpc_call(user->rpc, "deletecollection", buf_str(&b), KIT_WAIT_MS, take_answer, &a);
    must(user, "get", "{kind: Namespace, name: default}");
    client_close(user);
    must(admin, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: behind}}}");
    unsigned then = left(admin);
    print_message("%u of %u objects are left\n", then, made);
    assert_true(a.done);
    assert_int_equal(a.err.code, ERR_CLOSED);
    client_close(admin);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(thousands_are_deleted_piece_by_piece, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_deletion_goes_on_under_the_next_leader, set_up_three, tear_down),
        cmocka_unit_test_setup_teardown(whoever_hangs_up_deletes_no_more, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
