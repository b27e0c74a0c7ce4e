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

#define USER_RATE 20u
#define NAMES     (USER_RATE * RATE_BURST_S + 40) /* more than a user has at once */

static void set_user_rate(struct kit *k)
{
    char path[220];
    snprintf(path, sizeof path, "%s/master.yaml", k->masters[0].dir);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fprintf(f, "userRequestsPerSecond: %u\n", USER_RATE);
    assert_int_equal(fclose(f), 0);
}

/* Of ConfigMaps that say which manifest they are of. */
static const char *manifest_of(struct kit *k, unsigned count, unsigned number)
{
    char *path = arena_printf(&k->arena, "%s/many-%u.yaml", k->dir, number);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (unsigned i = 0; i < count; i++) {
        fprintf(f, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: p%05u}\ndata: {v: \"%u\"}\n", i, number);
    }
    assert_int_equal(fclose(f), 0);
    return path;
}

/* An answer that says "busy" is no failure of a command that makes many requests. */
static void users_have_a_rate_where_it_is_set_and_rctl_waits_for_it(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    kit_init(k, NULL);
    set_user_rate(k);
    kit_start(k, 0);
    kit_leader(k);
    CLEANUP_FREE char *said = NULL;
    const char *args[] = {"delete", "--ignore-not-found", "-f", manifest_of(k, NAMES, 0), NULL};
    struct client *mallory = client_as(k, 0, PKI_ROLE_ADMIN, "mallory"), *other = client_as(k, 0, PKI_ROLE_ADMIN, "o");
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, kit_doc(k, "{kind: Namespace, name: default}"));
    struct answers a = {0};
    for (unsigned i = 0; i < 2 * NAMES; i++) {
        rpc_call(mallory->rpc, "get", buf_str(&b), KIT_WAIT_MS, answered, &a);
    }
    for (int64_t until = kit_now() + KIT_WAIT_MS; a.all < 2 * NAMES; assert_true(kit_now() < until)) {
        kit_turn(k, 20);
    }
    must(other, "get", "{kind: Namespace, name: default}");
    assert_true(a.refused > 0 && a.done >= USER_RATE * RATE_BURST_S - 1);
    assert_int_equal(a.last.code, ERR_BUSY);
    assert_true(a.last.retry_after_ms > 0);
    assert_non_null(strstr(a.last.message, "userRequestsPerSecond"));
    must(other, "cluster", "{}");
    int64_t before = int_at(other, "stats.requestsOverRate");
    assert_int_equal(before, (int64_t)a.refused);
    if (kit_rctl(k, &said, args) != 0) {
        fail_msg("%s", said);
    }
    must(other, "cluster", "{}");
    assert_true(int_at(other, "stats.requestsOverRate") > before); /* it was told to wait, and did */
    client_close(mallory);
    client_close(other);
    kit_free(k);
}

static unsigned maps_with(struct client *c, const char *v)
{
    unsigned found = 0;
    must(c, "list", "{kind: ConfigMap, namespace: default, limit: 100000}");
    const struct value *items = value_get(c->result, "items");
    VALUE_FOR(i, items)
    {
        found += strcmp(value_text(c->kit, value_item(items, i), "data.v"), v) == 0;
    }
    return found;
}

static void more_objects_than_one_request_takes_are_applied_in_parts(void **state)
{
    (void)state;
    struct kit *k = kit_one(NULL);
    unsigned all = 2 * MASTER_USER_OBJECTS_MAX + 52;
    CLEANUP_FREE char *said = NULL;
    struct client *c = client_admin(k, 0);
    const char *good[] = {"apply", "-f", manifest_of(k, all, 1), NULL};
    if (kit_rctl(k, &said, good) != 0) {
        fail_msg("%s", said);
    }
    assert_non_null(strstr(said, "2100 objects are more than one request takes"));
    assert_int_equal(maps_with(c, "1"), all);
    free(TAKE_PTR(said));
    /* One is refused: what stands in parts before it was applied, its own part and what follows was not. */
    must(c, "patch", "{kind: ConfigMap, name: p%05u, type: merge, patch: {immutable: true}}",
         MASTER_USER_OBJECTS_MAX + 7);
    const char *mixed[] = {"apply", "-f", manifest_of(k, all, 2), NULL};
    assert_int_not_equal(kit_rctl(k, &said, mixed), 0);
    assert_non_null(strstr(said, "the first 1024 of 2100 objects were applied"));
    assert_int_equal(maps_with(c, "2"), MASTER_USER_OBJECTS_MAX);
    assert_int_equal(maps_with(c, "1"), all - MASTER_USER_OBJECTS_MAX);
    client_close(c);
    kit_free(k);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_asks_so_often_and_hears_when_to_come_again),
        cmocka_unit_test(who_writes_through_a_follower_leaves_room_for_others_there),
        cmocka_unit_test(users_have_a_rate_where_it_is_set_and_rctl_waits_for_it),
        cmocka_unit_test(more_objects_than_one_request_takes_are_applied_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
