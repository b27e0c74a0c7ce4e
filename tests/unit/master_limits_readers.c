/* Readers that never read, many of them: what they hold is bounded in all, who holds most goes, others are served.
 * READERS=n measures with more. */
#include "master/master.h"
#include "tests/unit/kit/master_kit.h"

#define QUEUE_MB 64u
#define SUBJECTS 4u

static const char *const args[] = {"--queue-mb", "64", NULL};

static int set_up(void **state)
{
    *state = kit_one(getenv("PLAIN") != NULL ? NULL : args);
    return 0;
}

/* Less than what all nodes are told at once. */
static int set_up_small(void **state)
{
    static const char *const small[] = {"--queue-mb", "32", NULL};
    *state = kit_one(small);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

/* A connection that asks for much and takes nothing. */
struct deaf {
    struct net_conn *conn;
    unsigned lists; /* that it asks for */
    bool open, closed;
};

static void on_open(struct net_conn *c, void *data)
{
    struct deaf *d = data;
    d->open = true;
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (unsigned i = 0; i < d->lists; i++) { /* 4 MiB of answer each */
        mp_write_array(&b, 4);
        mp_write_uint(&b, 0);
        mp_write_uint(&b, i);
        mp_write_cstr(&b, "list");
        mp_write_array(&b, 1);
        mp_write_map(&b, 1);
        mp_write_key_str(&b, "kind", STR("ConfigMap"));
    }
    net_conn_send(c, b.data, b.size);
    net_conn_pause(c, true);
}

static void on_data(struct net_conn *c, const uint8_t *p, size_t n, void *data)
{
    (void)c;
    (void)p;
    (void)n;
    (void)data;
}

static void on_close(struct net_conn *c, const struct error *why, void *data)
{
    (void)c;
    (void)why;
    ((struct deaf *)data)->closed = true;
}

static const struct net_conn_events events = {.on_open = on_open, .on_data = on_data, .on_close = on_close};

static struct net_tls *tls_of(struct kit *k, unsigned subject)
{
    struct pki_identity who = {.role = PKI_ROLE_ADMIN};
    struct net_tls *tls;
    char *cert, *key;
    snprintf(who.name, sizeof who.name, "deaf%u", subject);
    assert_int_equal(pki_issue(k->ca, k->ca_key, &who, NULL, 3600, &cert, &key, NULL), 0);
    assert_int_equal(net_tls_new(k->ca, cert, key, NULL, &tls, NULL), 0);
    free(cert);
    pki_free_key(key);
    return tls;
}

enum { SIZE = 200000, OBJECTS = 24 };

static void make_objects(struct client *admin)
{
    CLEANUP_FREE char *text = xcalloc(1, SIZE + 1);
    memset(text, 'x', SIZE);
    for (unsigned i = 0; i < OBJECTS; i++) {
        must(admin, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: b%u}, data: {x: %s}}}", i,
             text);
    }
}

static struct deaf *deaf_new(struct kit *k, unsigned count, unsigned subjects, unsigned lists)
{
    struct deaf *all = xcalloc(count, sizeof *all);
    for (unsigned i = 0; i < count; i++) {
        struct net_tls *tls = tls_of(k, i % subjects);
        all[i].lists = lists;
        all[i].conn = net_connect(&k->loop, tls, k->masters[0].addr, ALPN_RPC, 0, &events, &all[i]);
        net_tls_unref(tls);
    }
    return all;
}

static void deaf_free(struct kit *k, struct deaf *all, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!all[i].closed) {
            net_conn_close(all[i].conn);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        kit_until(k, &all[i].closed, "the readers are gone");
    }
    free(all);
}

static void readers_that_never_read_are_ended_before_memory_is(void **state)
{
    struct kit *k = *state;
    unsigned count = getenv("READERS") == NULL ? 12 : (unsigned)atoi(getenv("READERS"));
    struct client *admin = client_admin(k, 0);
    make_objects(admin);
    size_t before = kit_memory_kb(k, 0), most = before;
    struct deaf *all = deaf_new(k, count, SUBJECTS, 16);
    int64_t longest = 0;
    bool plain = getenv("PLAIN") != NULL;
    for (int64_t until = kit_now() + KIT_WAIT_MS;;) {
        int64_t start = kit_now();
        must(admin, "get", "{kind: Namespace, name: default}");
        longest = MAX(longest, kit_now() - start);
        most = MAX(most, kit_memory_kb(k, 0));
        must(admin, "cluster", "{}");
        if (plain ? kit_now() > until - KIT_WAIT_MS + 10000 : int_at(admin, "stats.connectionsShed") >= count) {
            break;
        }
        assert_true(kit_now() < until);
    }
    print_message(
        "%u readers that never read: memory grows by %zu KiB at most, another user waits %lld ms, %lld were ended\n",
        count, most - before, (long long)longest, (long long)int_at(admin, "stats.connectionsShed"));
    if (!plain) {
        /* What was held when it was seen: the bound, and what had gone in since the look before. */
        assert_true(int_at(admin, "stats.heldBytes") <= (int64_t)QUEUE_MB << 20);
        assert_true(int_at(admin, "stats.heldBytesMost") <= ((int64_t)QUEUE_MB << 20) / 4 * 5);
        CLEANUP_FREE char *log = kit_log(k, 0);
        assert_non_null(strstr(log, "(queueMegabytes in master.yaml); this one holds most of them"));
    }
    deaf_free(k, all, count);
    client_close(admin);
}

/* Each of them holds less than its share, and together more than leaves room for what can wait. */
static void readers_that_never_read_hold_up_no_node(void **state)
{
    enum { READERS = 7 };
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *agent = client_as(k, 0, PKI_ROLE_NODE, "n1");
    must(agent, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    must(admin, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: n1, containers: [{name: c, image: "
         "i}], volumes: [{name: v, configMap: {name: told}}]}}}");
    struct stream *told = stream_open(agent, "node.refs", "{name: n1}");
    assert_non_null(stream_next(told)); /* there is nothing yet */
    make_objects(admin);
    struct deaf *all = deaf_new(k, READERS, READERS, 3);
    int64_t held = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; held <= (int64_t)(QUEUE_MB / 8 * 5) << 20;) {
        must(admin, "cluster", "{}");
        held = int_at(admin, "stats.heldBytes");
        assert_true(kit_now() < until);
    }
    must(admin, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: told}, data: {k: v}}}");
    const struct value *got = stream_next(told);
    assert_non_null(got);
    assert_true(str_is(value_path_str(value_item(value_get(got, "events"), 0), "type"), "ADDED"));
    must(admin, "cluster", "{}");
    assert_true(int_at(admin, "stats.connections") >= READERS + 2); /* it did not wait for their end */
    stream_close(told);
    client_close(agent);
    deaf_free(k, all, READERS);
    client_close(admin);
}

/* A thing that all nodes follow: telling it to all of them is more than connections may hold together. */
static void what_all_nodes_are_told_at_once_ends_no_connection(void **state)
{
    enum { NODES = 100, TOLD = 900000 };
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *agents[NODES];
    struct stream *told[NODES];
    CLEANUP_FREE char *text = xcalloc(1, TOLD + 1);
    memset(text, 'x', TOLD);
    must(admin, "cluster", "{}");
    int64_t shed = int_at(admin, "stats.connectionsShed");
    for (unsigned i = 0; i < NODES; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        agents[i] = client_as(k, 0, PKI_ROLE_NODE, name);
        must(agents[i], "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: %s}}}", name);
        must(admin, "create",
             "{object: {apiVersion: v1, kind: Pod, metadata: {name: p%u}, spec: {nodeName: n%u, containers: [{name: c, "
             "image: i}], volumes: [{name: v, configMap: {name: all}}]}}}",
             i, i);
        told[i] = stream_open(agents[i], "node.refs", "{name: n%u}", i);
        assert_non_null(stream_next(told[i])); /* there is nothing yet */
    }
    must(admin, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: all}, data: {k: %s}}}", text);
    for (unsigned i = 0; i < NODES; i++) {
        const struct value *got = stream_next(told[i]);
        assert_non_null(got);
        assert_true(str_is(value_path_str(value_item(value_get(got, "events"), 0), "type"), "ADDED"));
    }
    must(admin, "cluster", "{}");
    print_message("%d nodes were told %d KB each, and connections held %lld KB at most\n", NODES, TOLD / 1000,
                  (long long)int_at(admin, "stats.heldBytesMost") / 1000);
    assert_true(int_at(admin, "stats.connectionsShed") == shed);
    for (unsigned i = 0; i < NODES; i++) {
        stream_close(told[i]);
        client_close(agents[i]);
    }
    client_close(admin);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_that_never_read_hold_up_no_node, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_all_nodes_are_told_at_once_ends_no_connection, set_up_small, tear_down),
        cmocka_unit_test_setup_teardown(readers_that_never_read_are_ended_before_memory_is, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
