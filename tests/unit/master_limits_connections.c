/* Strangers who take all connections that there are: a real master with few descriptors serves its nodes and its
 * administrators meanwhile, writes to new segments of its log, and says who was refused. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/process.h"
#include "tests/unit/kit/master_kit.h"

#define DESCRIPTORS 512
#define STRANGERS   1006
#define SILENT      600
#define LARGE       (900u << 10)
#define LARGE_COUNT 40 /* more than two segments of the log */

static int set_up(void **state)
{
    struct kit *k = kit_new();
    k->descriptors = DESCRIPTORS;
    kit_init(k, NULL);
    kit_start(k, 0);
    kit_leader(k);
    *state = k;
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state); /* a master that has ended by itself fails the test here */
    return 0;
}

static struct net_tls *anonymous(struct kit *k)
{
    struct net_tls *tls = NULL;
    struct error err = {0};
    if (net_tls_new(k->ca, NULL, NULL, NULL, &tls, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return tls;
}

/* What the master counts for a class ("open", "places", "refused"). */
static int64_t counted(struct client *admin, const char *of, const char *what)
{
    must(admin, "cluster", "{}");
    const struct value *row = value_find(value_path(admin->result, "connections"), "of", str_of(of));
    return value_path_int(row, what, -1);
}

/* A connection that is let in. The attackers have our own address, so we may be sent away for a second while none of
 * their handshakes is old; whoever comes again, as rctl and agents do, is let in. */
static struct client *patient(struct kit *k, enum pki_role role, const char *name)
{
    for (int64_t until = kit_now() + 3 * KIT_WAIT_MS;; kit_turn(k, 50)) {
        struct client *c = client_as(k, 0, role, name);
        if (call(c, "hello", "{}") == 0) {
            return c;
        }
        assert_int_equal(c->err.code, ERR_CLOSED);
        assert_true(kit_now() < until);
        client_close(c);
    }
}

static void nobody_else_is_harmed(struct kit *k)
{
    static unsigned n;
    struct client *admin = patient(k, PKI_ROLE_ADMIN, "tester");
    must(admin, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%u}}}", n++);
    client_close(admin);
    struct client *node = patient(k, PKI_ROLE_NODE, "n1");
    must(node, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    client_close(node);
}

static void test_strangers_take_nobodys_place_and_do_not_stay(void **state)
{
    struct kit *k = *state;
    static struct client *strangers[STRANGERS];
    struct net_tls *tls = anonymous(k);
    struct client *admin = client_admin(k, 0);
    int64_t cpu_ms = kit_cpu_ms(k, 0);
    size_t memory_kb = kit_memory_kb(k, 0);
    for (unsigned i = 0; i < STRANGERS; i++) {
        strangers[i] = client_with(k, 0, tls);
        kit_turn(k, 0);
        if (i % 100 == 99) {
            nobody_else_is_harmed(k);
        }
    }
    nobody_else_is_harmed(k);
    /* they have one address; ten seconds may be over */
    assert_in_range(counted(admin, "peers without a certificate", "open"), 0, 4);
    assert_true(counted(admin, "peers without a certificate", "refused") > 0);
    /* Those who have a place and ask for nothing are closed as well. */
    for (int64_t until = kit_now() + 3 * KIT_WAIT_MS; counted(admin, "peers without a certificate", "open") > 0;) {
        assert_true(kit_now() < until);
        kit_turn(k, 200);
    }
    assert_true(int_at(admin, "stats.strangersLate") >= 1);
    print_message("%u strangers: %lld ms of the master's processor time, %lld kB more memory\n", STRANGERS,
                  (long long)(kit_cpu_ms(k, 0) - cpu_ms), (long long)(kit_memory_kb(k, 0) - memory_kb));
    for (unsigned i = 0; i < STRANGERS; i++) {
        client_close(strangers[i]);
    }
    nobody_else_is_harmed(k);
    client_close(admin);
    net_tls_unref(tls);
}

static unsigned lines_of(struct kit *k)
{
    CLEANUP_FREE char *text = kit_log(k, 0);
    unsigned n = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        n++;
    }
    return n;
}

struct dialed {
    struct net_conn *conn;
    bool open;
};

static void dial_opened(struct net_conn *c, void *data)
{
    (void)c;
    ((struct dialed *)data)->open = true;
}

static void dial_closed(struct net_conn *c, const struct error *why, void *data)
{
    (void)c, (void)why;
    *(struct dialed *)data = (struct dialed){0};
}

/* Handshakes without a certificate, on the masters' protocol: each was a line. */
static void test_handshakes_do_not_fill_the_log(void **state)
{
    struct kit *k = *state;
    static struct dialed dialed[20];
    static const struct net_conn_events events = {.on_open = dial_opened, .on_close = dial_closed};
    struct net_tls *tls = anonymous(k);
    unsigned before = lines_of(k), opened = 0;
    int64_t cpu_ms = kit_cpu_ms(k, 0);
    size_t memory_kb = kit_memory_kb(k, 0);
    for (unsigned done = 0; done < SILENT;) {
        for (unsigned i = 0; i < ARRAY_SIZE(dialed) && done < SILENT; i++) {
            if (dialed[i].conn == NULL) {
                dialed[i].conn = net_connect(&k->loop, tls, k->masters[0].addr, ALPN_RAFT, 5000, &events, &dialed[i]);
                done++;
            }
            opened += dialed[i].open;
            dialed[i].open = false;
        }
        kit_turn(k, 20);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(dialed); i++) {
        for (int64_t until = kit_now() + KIT_WAIT_MS; dialed[i].conn != NULL; kit_turn(k, 20)) {
            assert_true(kit_now() < until);
        }
    }
    unsigned lines = lines_of(k) - before;
    print_message(
        "%u handshakes without a certificate (%u finished): %u lines, %lld ms of the master's processor time, "
        "%lld kB more memory\n",
        SILENT, opened, lines, (long long)(kit_cpu_ms(k, 0) - cpu_ms), (long long)(kit_memory_kb(k, 0) - memory_kb));
    assert_in_range(lines, 1, 100); /* a burst and one in six seconds, at three places */
    nobody_else_is_harmed(k);
    net_tls_unref(tls);
}

static void test_who_has_no_place_is_told_so(void **state)
{
    struct kit *k = *state;
    struct net_tls *tls = anonymous(k);
    struct client *in[4];
    for (unsigned i = 0; i < ARRAY_SIZE(in); i++) {
        in[i] = client_with(k, 0, tls);
        must(in[i], "hello", "{}");
    }
    struct client *out = client_with(k, 0, tls);
    refused(out, ERR_LIMIT, "your address has 4 connections without a certificate", "hello", "{}");
    client_close(out);
    for (unsigned i = 0; i < ARRAY_SIZE(in); i++) {
        must(in[i], "hello", "{}");
    }
    /* One node that wants all places of the nodes gets its share. */
    struct client *nodes[8];
    for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++) {
        nodes[i] = client_as(k, 0, PKI_ROLE_NODE, "greedy");
        must(nodes[i], "hello", "{}");
    }
    out = client_as(k, 0, PKI_ROLE_NODE, "greedy");
    refused(out, ERR_LIMIT, "certificate of node greedy has 8 connections", "hello", "{}");
    client_close(out);
    nobody_else_is_harmed(k);
    for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++) {
        client_close(nodes[i]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(in); i++) {
        client_close(in[i]);
    }
    net_tls_unref(tls);
}

/* Connections that never say a word, more than there are descriptors, while the log goes on into new segments. */
static void test_silent_connections_stop_neither_writes_nor_new_segments(void **state)
{
    struct kit *k = *state;
    static int fds[SILENT];
    struct client *admin = client_admin(k, 0);
    must(admin, "cluster", "{}");
    char *host = arena_strdup(&k->arena, k->masters[0].addr), *colon = strchr(host, ':');
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    char *data = arena_alloc(&k->arena, LARGE + 1);
    memset(data, 'd', LARGE);
    for (unsigned i = 0, written = 0; i < SILENT; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(connect(fds[i], (struct sockaddr *)&in, sizeof in) == 0 || errno == EINPROGRESS);
        if (i > 100 && i % 10 == 0 && written < LARGE_COUNT) {
            for (unsigned at = 0; at < LARGE; at += 8) { /* nothing that lz4 would make small */
                snprintf(data + at, 9, "%08x", (at * 2654435761u) ^ (written * 40503u));
            }
            must(admin, "create",
                 "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: large%u}, data: {x: '%s'}}}", written++,
                 data);
        }
    }
    assert_true(counted(admin, "unfinished TLS handshakes", "open") <=
                counted(admin, "unfinished TLS handshakes", "places"));
    nobody_else_is_harmed(k);
    for (unsigned i = 0; i < SILENT; i++) {
        close(fds[i]);
    }
    nobody_else_is_harmed(k);
    client_close(admin);
}

int main(void)
{
    process_raise_descriptors();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strangers_take_nobodys_place_and_do_not_stay),
        cmocka_unit_test(test_handshakes_do_not_fill_the_log),
        cmocka_unit_test(test_who_has_no_place_is_told_so),
        cmocka_unit_test(test_silent_connections_stop_neither_writes_nor_new_segments),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
