/* Requests that are small, quick and many: a node has so many a second, at each master and at the leader over all of
 * them. */
#include "master/auth/rate.h"
#include "master/master.h"
#include "tests/unit/kit/master_kit.h"

#define MORE  1000u
#define BURST (unsigned)(MASTER_NODE_RATE_DEFAULT * RATE_BURST_S)

struct answers {
    unsigned all, done, refused;
    struct error last;
};

static void answered(const struct rpc_result *r, void *data)
{
    struct answers *a = data;
    a->all++;
    a->done += r->error == NULL;
    if (r->error != NULL) {
        a->refused++;
        a->last = *r->error;
    }
}

static void a_node_asks_so_often_and_hears_when_to_come_again(void **state)
{
    (void)state;
    struct kit *k = kit_one(NULL);
    struct client *admin = client_admin(k, 0), *node = client_as(k, 0, PKI_ROLE_NODE, "n1");
    struct client *other = client_as(k, 0, PKI_ROLE_NODE, "n2");
    must(node, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    must(other, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n2}}}");
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "kind", STR("Node"));
    mp_write_key_str(&b, "name", STR("n1"));
    struct answers a = {0};
    int64_t cpu = kit_cpu_ms(k, 0);
    unsigned asked = 0;
    while (a.refused < MORE && asked < 20 * (BURST + MORE)) {
        unsigned before = asked;
        for (; asked < before + 500; asked++) {
            rpc_call(node->rpc, "get", buf_str(&b), KIT_WAIT_MS, answered, &a);
        }
        for (int64_t until = kit_now() + KIT_WAIT_MS; a.all < asked; assert_true(kit_now() < until)) {
            must(other, "get", "{kind: Node, name: n2}");
            must(admin, "get", "{kind: Namespace, name: default}");
        }
    }
    must(admin, "cluster", "{}");
    print_message("%u gets of one node: %u done, %u refused, %lld ms of CPU, %lld KiB: %s\n", asked, a.done, a.refused,
                  (long long)(kit_cpu_ms(k, 0) - cpu), (long long)kit_memory_kb(k, 0), a.last.message);
    assert_true(a.refused >= MORE && a.done >= BURST - 1);
    assert_int_equal(a.last.code, ERR_BUSY);
    assert_true(a.last.retry_after_ms > 0 && a.last.retry_after_ms <= 1000 / MASTER_NODE_RATE_DEFAULT);
    assert_non_null(strstr(a.last.message, "nodeRequestsPerSecond"));
    assert_int_equal(int_at(admin, "stats.requestsOverRate"), (int64_t)a.refused);
    client_close(admin);
    client_close(node);
    client_close(other);
    kit_free(k);
}

#define SESSIONS 5u
#define EACH     2000u

/* Over one follower, whose connection to the leader is one: more than a quarter of its places is asked for. */
static void who_writes_through_a_follower_leaves_room_for_others_there(void **state)
{
    (void)state;
    struct kit *k = kit_three(NULL);
    unsigned at = (kit_leader(k) + 1) % 3;
    struct client *mallory[SESSIONS], *user = client_as(k, at, PKI_ROLE_ADMIN, "other");
    struct answers a = {0};
    for (unsigned i = 0; i < SESSIONS; i++) {
        mallory[i] = client_as(k, at, PKI_ROLE_ADMIN, "mallory");
    }
    int64_t longest = 0;
    for (unsigned i = 0; i < SESSIONS * EACH; i++) {
        char yaml[160];
        CLEANUP_BUF struct buf b = BUF_INIT;
        mp_write_map(&b, 1);
        mp_write_cstr(&b, "object");
        mp_write_map(&b, 3);
        mp_write_key_str(&b, "apiVersion", STR("v1"));
        mp_write_key_str(&b, "kind", STR("ConfigMap"));
        mp_write_cstr(&b, "metadata");
        mp_write_map(&b, 1);
        snprintf(yaml, sizeof yaml, "m%u", i);
        mp_write_key_str(&b, "name", str_of(yaml));
        rpc_call(mallory[i % SESSIONS]->rpc, "create", buf_str(&b), KIT_WAIT_MS, answered, &a);
    }
    unsigned mine = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; a.all < SESSIONS * EACH; assert_true(kit_now() < until)) {
        int64_t start = kit_now();
        char params[160];
        snprintf(params, sizeof params, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: u%u}}}", mine++);
        must(user, "create", params);
        longest = MAX(longest, kit_now() - start);
    }
    print_message(
        "%u writes over a follower: %u done, %u refused; another user's %u are all done, the slowest after %lld "
        "ms: %s\n",
        SESSIONS * EACH, a.done, a.refused, mine, (long long)longest, a.last.message);
    assert_int_equal(a.done + a.refused, SESSIONS * EACH);
    if (a.refused > 0) {
        assert_int_equal(a.last.code, ERR_BUSY);
    }
    for (unsigned i = 0; i < SESSIONS; i++) {
        client_close(mallory[i]);
    }
    client_close(user);
    kit_free(k);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_asks_so_often_and_hears_when_to_come_again),
        cmocka_unit_test(who_writes_through_a_follower_leaves_room_for_others_there),
    };
    return KIT_RUN(tests, NULL, NULL);
}
