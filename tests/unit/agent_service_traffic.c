/* Services with real connections: who answers, who is refused, and whom the answerer sees. */
#include "tests/unit/agent_service_world.h"

#define VIP     "10.96.0.7"
#define ALL     "10.244.1.1 ready here,10.244.1.2 ready here,10.244.2.1 ready"
#define ASKINGS 300u

static void connections_are_spread_over_pods_here_and_elsewhere(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    unsigned n[PLACES];
    put_port(w, (struct service_port){0}, ALL);
    static const enum place froms[] = {POD_1, NODE};
    for (unsigned f = 0; f < ARRAY_SIZE(froms); f++) {
        count(froms[f], VIP, 80, ASKINGS, n);
        print_message("of %u: %u, %u, %u\n", ASKINGS, n[POD_1], n[POD_2], n[POD_3]);
        for (enum place p = POD_1; p <= POD_3; p++) {
            assert_true(n[p] > ASKINGS / 6); /* of a third; less comes once in 10^13 */
        }
    }
    services_remove(w->services, "default/web:http");
}

static void a_pod_keeps_its_address_but_before_itself(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    put_port(w, (struct service_port){0}, "10.244.2.1 ready");
    struct told t = ask(POD_1, VIP, 80);
    assert_answered(t);
    assert_string_equal(t.as, pod_ips[POD_1]);
    put_port(w, (struct service_port){0}, "10.244.1.2 ready here");
    t = ask(POD_1, VIP, 80);
    assert_answered(t);
    assert_string_equal(t.as, pod_ips[POD_1]);
    t = ask(POD_2, VIP, 80);
    assert_answered(t);
    assert_string_equal(t.as, "10.244.1.254"); /* itself: the node's */
}

static void a_node_port_is_at_the_nodes_address_only(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    put_port(w, (struct service_port){.node_port = 30080}, ALL);
    unsigned n[PLACES];
    count(OUTSIDE, NODE_IP, 30080, 60, n);
    assert_true(n[POD_1] > 0 && n[POD_2] > 0 && n[POD_3] > 0);
    struct told t = ask(OUTSIDE, NODE_IP, 30080);
    assert_string_not_equal(t.as, "192.168.8.9"); /* it comes from here, so that the answer comes back */
    assert_answered(ask(POD_1, NODE_IP, 30080));
    assert_answered(ask(NODE, NODE_IP, 30080));
    assert_refused(ask(NODE, "127.0.0.1", 30080));
    assert_refused(ask(OUTSIDE, "192.168.8.1", 30080));
    assert_refused(ask(OUTSIDE, NODE_IP, 30081));
}

static void external_policy_local_keeps_the_client_and_goes_nowhere_else(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    struct service_port p = {.node_port = 30080, .external_local = true};
    put_port(w, p, ALL);
    unsigned n[PLACES];
    count(OUTSIDE, NODE_IP, 30080, 40, n);
    assert_true(n[POD_1] > 0 && n[POD_2] > 0 && n[POD_3] == 0);
    assert_string_equal(ask(OUTSIDE, NODE_IP, 30080).as, "192.168.8.9");

    put_port(w, p, "10.244.2.1 ready"); /* pods and the node itself reach it all the same */
    assert_no_answer(ask_within(OUTSIDE, false, NODE_IP, 30080, SILENCE_MS));
    assert_answered(ask(POD_1, NODE_IP, 30080));
    assert_answered(ask(NODE, NODE_IP, 30080));
    assert_answered(ask(POD_1, VIP, 80));

    put_port(w, p, "10.244.1.1 here serving terminating,10.244.2.1 ready"); /* the last one here drains */
    struct told t = ask(OUTSIDE, NODE_IP, 30080);
    assert_answered(t);
    assert_int_equal(t.who, POD_1);
}

static void internal_policy_local_goes_nowhere_else(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    unsigned n[PLACES];
    put_port(w, (struct service_port){.internal_local = true}, ALL);
    count(POD_1, VIP, 80, 40, n);
    assert_true(n[POD_1] > 0 && n[POD_2] > 0 && n[POD_3] == 0);
    put_port(w, (struct service_port){.internal_local = true}, "10.244.2.1 ready");
    assert_no_answer(ask_within(POD_1, false, VIP, 80, SILENCE_MS));
}

static void without_endpoints_clients_hear_so_at_once(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    put_port(w, (struct service_port){.node_port = 30080}, "");
    put_port(w,
             (struct service_port){.key = "default/web:dns", .protocol = IPPROTO_UDP, .port = 53, .node_port = 30053},
             "");
    static const enum place froms[] = {POD_1, NODE};
    for (unsigned i = 0; i < ARRAY_SIZE(froms); i++) {
        assert_refused(ask(froms[i], VIP, 80));
        assert_refused(ask_within(froms[i], true, VIP, 53, DEADLINE_MS));
        assert_refused(ask(froms[i], VIP, 81)); /* no port of it */
        assert_no_answer(ask_within(froms[i], false, "10.96.0.99", 80, SILENCE_MS));
    }
    assert_refused(ask(OUTSIDE, NODE_IP, 30080));
    assert_refused(ask_within(OUTSIDE, true, NODE_IP, 30053, DEADLINE_MS));
    put_port(w, (struct service_port){.node_port = 30080}, "10.244.2.1"); /* not ready */
    assert_refused(ask(POD_1, VIP, 80));
    put_port(w, (struct service_port){.node_port = 30080}, "10.244.2.1,10.244.1.2 here serving terminating");
    struct told t = ask(POD_1, VIP, 80); /* the last one drains */
    assert_answered(t);
    assert_int_equal(t.who, POD_2);
}

static void a_balancers_address_is_for_its_sources(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    uint32_t balancers[] = {ip_of("192.168.8.77")};
    struct cidr sources[] = {range_of("10.244.1.1/32"), range_of("192.168.8.0/28"), range_of("192.168.8.9/32")};
    struct service_port p = {.balancers = balancers, .balancers_count = 1, .sources = sources, .sources_count = 3};
    put_port(w, p, "10.244.2.1 ready");
    run_in(OUTSIDE, "ip route replace 192.168.8.77 via 192.168.8.1");
    assert_answered(ask(OUTSIDE, "192.168.8.77", 80));
    assert_answered(ask(POD_1, "192.168.8.77", 80));
    assert_no_answer(ask_within(POD_2, false, "192.168.8.77", 80, SILENCE_MS));
    assert_answered(ask(POD_2, VIP, 80));
    p.sources_count = 1;
    put_port(w, p, "10.244.2.1 ready");
    assert_no_answer(ask_within(OUTSIDE, false, "192.168.8.77", 80, SILENCE_MS));
}

static void a_client_comes_back_to_its_endpoint_as_long_as_that_is_one(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    struct service_port p = {.affinity_s = 10800, .node_port = 30080};
    unsigned n[PLACES];
    put_port(w, p, ALL);
    enum place first = ask(POD_1, VIP, 80).who;
    count(POD_1, VIP, 80, 30, n);
    assert_int_equal(n[first], 30);

    stop_services(w, false); /* the agent is restarted */
    start_services(w);
    services_begin(w->services);
    put_port(w, p, ALL);
    count(POD_1, VIP, 80, 30, n);
    assert_int_equal(n[first], 30);

    static const char *const without[PLACES] = {[POD_1] = "10.244.1.2 ready here,10.244.2.1 ready",
                                                [POD_2] = "10.244.1.1 ready here,10.244.2.1 ready",
                                                [POD_3] = "10.244.1.1 ready here,10.244.1.2 ready here"};
    put_port(w, p, without[first]);
    enum place second = ask(POD_1, VIP, 80).who;
    assert_int_not_equal(second, first);
    put_port(w, p, ALL);
    count(POD_1, VIP, 80, 30, n);
    assert_int_equal(n[second], 30);

    first = ask(OUTSIDE, NODE_IP, 30080).who;
    count(OUTSIDE, NODE_IP, 30080, 30, n);
    assert_int_equal(n[first], 30);
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* As many ports that all stick: were it one choice for all, each would be the first one's; by chance once in 10^19. */
static void a_client_chooses_anew_for_each_port(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    unsigned others = 0;
    struct service_port p = {.affinity_s = 10800};
    put_port(w, p, ALL);
    enum place first = ask(POD_1, VIP, 80).who;
    for (unsigned i = 0; i < 40; i++) {
        CLEANUP_FREE char *key = xasprintf("default/web:p%u", i);
        p.key = key;
        p.port = (uint16_t)(1000 + i);
        put_port(w, p, ALL);
        enum place chosen = ask(POD_1, VIP, p.port).who;
        others += chosen != first;
        assert_int_equal(ask(POD_1, VIP, p.port).who, chosen);
        services_remove(w->services, key);
    }
    assert_true(others > 0);
    assert_int_equal(ask(POD_1, VIP, 80).who, first);
}

/* One that goes on asking stays for longer than that; one that has been silent for so long is drawn anew. */
static void a_client_is_forgotten_when_its_time_is_over(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    struct service_port p = {.affinity_s = 1};
    put_port(w, p, ALL);
    enum place first = ask(POD_1, VIP, 80).who, next = first;
    for (uint64_t last = now_ms(), since = last; last - since < 1500;) {
        next = ask(POD_1, VIP, 80).who;
        if (next != first && now_ms() - last < 1000) { /* else this machine stood still */
            fail_msg("%d was left for %d", (int)first, (int)next);
        }
        since = next == first ? since : now_ms();
        first = next;
        last = now_ms();
    }
    for (unsigned tries = 0; next == first; tries++) {
        assert_true(tries < 40); /* each is the same one again with a third of all chances */
        run("for i in $(seq 300); do nft list map ip " SKELETON_TABLE " clients | grep -q 10.244.1.1 || exit 0; "
            "sleep 0.1; done; exit 1");
        next = ask(POD_1, VIP, 80).who;
    }
}

/* ---- UDP ---- */

static void a_udp_client_leaves_an_endpoint_that_is_gone(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    struct service_port p = {.protocol = IPPROTO_UDP, .port = 53, .node_port = 30053};
    struct services_stats st;
    put_port(w, p, "10.244.1.1 ready here");
    static const struct {
        enum place from;
        const char *ip;
        uint16_t port;
    } ways[] = {{POD_2, VIP, 53}, {OUTSIDE, NODE_IP, 30053}};
    int fds[2];
    for (unsigned i = 0; i < 2; i++) {
        fds[i] = client(ways[i].from, true);
        assert_int_equal(dial(fds[i], ways[i].ip, ways[i].port), 0);
        assert_int_equal(send(fds[i], "?", 1, 0), 1);
        assert_int_equal(hear(fds[i], DEADLINE_MS).who, POD_1);
    }
    put_port(w, p, ""); /* to zero: one-way traffic would keep the former way for ever */
    do {
        uv_run(&w->loop, UV_RUN_ONCE);
        services_get_stats(w->services, &st);
    } while (st.flows_ended < 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(send(fds[i], "?", 1, 0), 1);
        assert_refused(hear(fds[i], DEADLINE_MS));
    }
    put_port(w, p, "10.244.2.1 ready");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(send(fds[i], "?", 1, 0), 1);
        assert_int_equal(hear(fds[i], DEADLINE_MS).who, POD_3);
    }
    services_remove(w->services, "default/web:http"); /* the whole service */
    do {
        uv_run(&w->loop, UV_RUN_ONCE);
        services_get_stats(w->services, &st);
    } while (st.flows_ended < 4);
    for (unsigned i = 0; i < 2; i++) {
        close(fds[i]);
    }
}

/* No change of a service tells of it: another program has led a client astray for a moment, and its datagrams would
 * keep that way for ever (kubernetes#126130). */
static void what_went_astray_behind_our_back_is_ended_by_time(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    struct services_stats st;
    put_port(w, (struct service_port){.protocol = IPPROTO_UDP, .port = 53}, "10.244.1.1 ready here");
    settle_services(w);
    services_get_stats(w->services, &st);
    unsigned long ended = st.flows_ended;
    run("nft 'add table ip others; add chain ip others pre { type nat hook prerouting priority -150; }; add rule ip "
        "others pre ip daddr " VIP " udp dport 53 dnat to 10.244.2.1:8080'");
    int fd = client(POD_2, true);
    assert_int_equal(dial(fd, VIP, 53), 0);
    assert_int_equal(send(fd, "?", 1, 0), 1);
    assert_int_equal(hear(fd, DEADLINE_MS).who, POD_3);
    run("nft delete table ip others");
    assert_int_equal(send(fd, "?", 1, 0), 1);
    assert_int_equal(hear(fd, DEADLINE_MS).who, POD_3);
    do { /* one that is under way may have looked before */
        services_sweep(w->services);
        uv_run(&w->loop, UV_RUN_ONCE);
        services_get_stats(w->services, &st);
    } while (st.flows_ended == ended);
    assert_int_equal(send(fd, "?", 1, 0), 1);
    assert_int_equal(hear(fd, DEADLINE_MS).who, POD_1);
    close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    enter_world();
    if (isolated) {
        start_servers();
    }
    const struct CMUnitTest tests[] = {
        T(connections_are_spread_over_pods_here_and_elsewhere),
        T(a_pod_keeps_its_address_but_before_itself),
        T(a_node_port_is_at_the_nodes_address_only),
        T(external_policy_local_keeps_the_client_and_goes_nowhere_else),
        T(internal_policy_local_goes_nowhere_else),
        T(without_endpoints_clients_hear_so_at_once),
        T(a_balancers_address_is_for_its_sources),
        T(a_client_comes_back_to_its_endpoint_as_long_as_that_is_one),
        T(a_client_chooses_anew_for_each_port),
        T(a_client_is_forgotten_when_its_time_is_over),
        T(a_udp_client_leaves_an_endpoint_that_is_gone),
        T(what_went_astray_behind_our_back_is_ended_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
