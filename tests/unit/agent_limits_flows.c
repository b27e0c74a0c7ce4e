/* A pod that opens connections without end: the node's table of them keeps room for its neighbours, and goes on
 * counting when the rules are written anew. */
#include "tests/unit/agent_network.h"

#include "base/env.h"

#define MOST  64
#define FLOOD 1500

static unsigned table_count(void)
{
    char line[32];
    return fs_read_line("/proc/sys/net/netfilter/nf_conntrack_count", line, sizeof line) ? (unsigned)atoi(line) : 0;
}

struct flood {
    const char *netns, *address;
    uint16_t first;
};

/* Packets to so many ports: each is a connection to the kernel. */
static void *flood_thread(void *arg)
{
    struct flood *x = arg;
    struct sockaddr_in to = {.sin_family = AF_INET};
    CLEANUP_CLOSE int ns = open(x->netns, O_RDONLY | O_CLOEXEC);
    CLEANUP_CLOSE int fd = -1;
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0 || (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0) {
        return NULL;
    }
    inet_pton(AF_INET, x->address, &to.sin_addr);
    for (unsigned i = 0; i < FLOOD; i++) {
        to.sin_port = htons((uint16_t)(x->first + i));
        (void)!sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
    }
    return arg;
}

static void flood(const char *netns, const char *address, uint16_t first)
{
    struct flood x = {netns, address, first};
    pthread_t t;
    void *sent = NULL;
    assert_int_equal(pthread_create(&t, NULL, flood_thread, &x), 0);
    pthread_join(t, &sent);
    assert_non_null(sent);
}

static bool rules_are_there(void)
{
    return system("nft list chain ip reeve-flows begin 2>/dev/null | grep -q 'ct count over'") == 0;
}

static void open_limited(struct fixture *f, int64_t connections)
{
    pod_connections = connections;
    open_network(f, "10.98.7.0/24");
    for (int64_t until = env_now_ms(env_real()) + 60000; rules_are_there() != (connections > 0);) {
        assert_true(env_now_ms(env_real()) < until);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

struct told {
    unsigned calls;
    char uid[64];
    uint64_t dropped;
    int64_t most;
};

static void on_full(const char *uid, uint64_t dropped, int64_t most, void *data)
{
    struct told *t = data;
    t->calls++;
    t->dropped = dropped;
    t->most = most;
    snprintf(t->uid, sizeof t->uid, "%s", uid);
}

/* The loop ends with the answer, or there is none. */
static void ask(struct fixture *f, struct told *t)
{
    unsigned before = t->calls;
    network_check_flows(f->n, on_full, t);
    for (int64_t until = env_now_ms(env_real()) + 60000; network_is_asking(f->n) && t->calls == before;) {
        assert_true(env_now_ms(env_real()) < until);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

static void a_pod_has_its_share_of_the_table_and_its_neighbour_another(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    make_sandboxes(f);
    open_limited(f, MOST);
    add_pod(f, 0, NULL, 0);
    int here = listen_in("/proc/self/ns/net", 17400);
    assert_true(reaches(f, f->sb[0].net, "10.98.7.1", 17400));
    unsigned before = table_count();
    flood(f->sb[0].net, "10.98.7.1", 20000);
    unsigned filled = table_count();
    assert_true(filled > before && filled <= before + MOST);
    assert_false(reaches(f, f->sb[0].net, "10.98.7.1", 17400)); /* its own trouble */
    struct told told = {0};
    ask(f, &told);
    assert_int_equal(told.calls, 1);
    assert_string_equal(told.uid, POD_1);
    assert_int_equal(told.most, MOST);
    assert_true(told.dropped >= FLOOD - MOST && told.dropped <= FLOOD + 64);
    ask(f, &told);
    assert_int_equal(told.calls, 1); /* there is nothing new */

    /* the rules are written anew, which forgets nothing; the neighbour comes and goes where it likes */
    struct network_port port = {18080, 8080, "tcp", NULL};
    add_pod(f, 1, &port, 1);
    flood(f->sb[0].net, "10.98.7.1", 30000);
    assert_true(table_count() <= before + MOST + 8);
    assert_true(reaches(f, f->sb[1].net, "10.98.7.1", 17400));
    assert_true(reaches(f, NULL, "10.98.7.1", 17400)); /* the node, too */

    /* nor does another agent with the same limit */
    close_network(f);
    open_limited(f, MOST);
    flood(f->sb[0].net, "10.98.7.1", 40000);
    assert_true(table_count() <= before + MOST + 12);
    uint64_t first = told.dropped;
    ask(f, &told);
    assert_int_equal(told.calls, 2);
    assert_true(told.dropped >= first + FLOOD); /* the kernel has gone on counting */
    print_message("%u packets to as many ports: %u of the table's places\n", 3 * FLOOD, table_count() - before);

    /* without a limit */
    close_network(f);
    open_limited(f, -1);
    flood(f->sb[0].net, "10.98.7.1", 50000);
    print_message("without a limit %u packets: %u places\n", FLOOD, table_count() - before);
    assert_true(table_count() >= before + FLOOD);
    ask(f, &told);
    assert_int_equal(told.calls, 2);
    del_pod(f, 0);
    del_pod(f, 1);
    close(here);
    close_network(f);
}

static void what_nft_says_is_read(void **state)
{
    (void)state;
    static const char said[] = "table ip reeve-flows {\n\tset full {\n\t\ttype ipv4_addr\n\t\tsize 65535\n"
                               "\t\tflags dynamic,timeout\n\t\ttimeout 5m\n"
                               "\t\telements = { 10.98.7.2 counter packets 17 bytes 493 expires 59s940ms,\n"
                               "\t\t\t     10.98.7.254 counter packets 18446744073709551615 bytes 0 expires 1s }\n";
    struct str text = STR(said);
    char ip[INET_ADDRSTRLEN];
    uint64_t packets;
    assert_true(network_flows_next(&text, ip, &packets));
    assert_string_equal(ip, "10.98.7.2");
    assert_int_equal(packets, 17);
    assert_true(network_flows_next(&text, ip, &packets));
    assert_string_equal(ip, "10.98.7.254");
    assert_true(packets == UINT64_MAX);
    assert_false(network_flows_next(&text, ip, &packets));
}

static void by_default_it_is_a_32nd(void **state)
{
    (void)state;
    assert_int_equal(network_connections_share(262144), 8192);
    assert_int_equal(network_connections_share(0), 1024);
}

int main(void)
{
    isolated = enter_isolation();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pod_has_its_share_of_the_table_and_its_neighbour_another, setup, teardown),
        cmocka_unit_test(what_nft_says_is_read),
        cmocka_unit_test(by_default_it_is_a_32nd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
