/* Services with real connections, while other programs write into the kernel, and agents end and begin anew. */
#include "tests/unit/agent_service_world.h"

#include "agent/clean.h"

#define VIP "10.96.0.7"
#define ALL "10.244.1.1 ready here,10.244.1.2 ready here,10.244.2.1 ready"

/* A pod that is about to be stopped is out of the kernel's table when the call returns, not in a turn of the loop. */
static void what_is_written_now_counts_at_once(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    unsigned n[PLACES];
    put_port(w, (struct service_port){0}, "10.244.1.1 ready here,10.244.1.2 ready here");
    struct service_endpoint list[2];
    struct service_port p = {.key = "default/web:http",
                             .protocol = IPPROTO_TCP,
                             .cluster_ip = ip_of(VIP),
                             .port = 80,
                             .endpoints = list,
                             .endpoints_count = endpoints_of(
                                 "10.244.1.1 here serving terminating,10.244.1.2 ready here", list, ARRAY_SIZE(list))};
    services_put(w->services, &p);
    services_write_now(w->services);
    count(NODE, VIP, 80, 40, n);
    assert_int_equal(n[POD_1], 0);
    assert_int_equal(n[POD_2], 40);
}

static void await_mends(struct world *w, unsigned long mends)
{
    struct services_stats st;
    do {
        uv_run(&w->loop, UV_RUN_ONCE);
        services_get_stats(w->services, &st);
    } while (st.mends < mends);
    settle_services(w);
}

static void what_others_break_is_mended(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    put_port(w, (struct service_port){.affinity_s = 60}, "10.244.2.1 ready");
    run("nft flush ruleset");
    await_mends(w, 1);
    assert_answered(ask(POD_1, VIP, 80));
    run("nft flush map ip " SKELETON_TABLE " ports");
    await_mends(w, 2);
    assert_answered(ask(POD_1, VIP, 80));
    run("nft flush chain ip " SKELETON_TABLE " places");
    await_mends(w, 3);
    assert_answered(ask(POD_1, VIP, 80));
    run("nft delete table ip " SKELETON_TABLE " && nft add table ip " SKELETON_TABLE);
    await_mends(w, 4);
    assert_answered(ask(POD_1, VIP, 80));
    run("nft add table ip others && nft add chain ip others c && nft delete table ip others");
    for (unsigned i = 0; i < 20; i++) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    struct services_stats st;
    services_get_stats(w->services, &st);
    assert_int_equal(st.mends, 4); /* that was none of ours */
}

static void restart_services(struct world *w, bool remove)
{
    stop_services(w, remove);
    start_services(w);
    services_begin(w->services);
    put_port(w, (struct service_port){0}, ALL);
}

/* Where the kernel can do so. What an agent of before has left is taken over as it is. */
static void a_flush_of_others_passes_by_a_table_that_is_our_own(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    if (!kernel_lets_own()) {
        skip();
    }
    struct services_stats st;
    put_port(w, (struct service_port){0}, ALL);
    w->owns = true;
    restart_services(w, false); /* the table is of a time when nobody owned any */
    assert_answered(ask(POD_1, VIP, 80));
    run("nft flush ruleset");
    await_mends(w, 1);
    assert_answered(ask(POD_1, VIP, 80)); /* and from here on it is ours */
    for (unsigned i = 0; i < 2; i++) {
        run("nft flush ruleset && nft list ruleset | grep -q reeve-services");
        run("! nft flush map ip " SKELETON_TABLE " ports 2>/dev/null && ! nft delete table ip " SKELETON_TABLE
            " 2>/dev/null");
        for (unsigned k = 0; k < 20; k++) {
            uv_run(&w->loop, UV_RUN_NOWAIT);
        }
        services_get_stats(w->services, &st);
        assert_int_equal(st.mends, 1 - i);
        assert_answered(ask(POD_1, VIP, 80));
        if (i == 0) { /* also after a restart, which changes nothing */
            restart_services(w, false);
            services_get_stats(w->services, &st);
            assert_int_equal(st.transactions, 0);
        }
    }
    put_port(w, (struct service_port){0}, "10.244.2.1 ready"); /* we can change it */
    assert_int_equal(ask(POD_1, VIP, 80).who, POD_3);
    stop_services(w, false);
    run("nft delete table ip " SKELETON_TABLE); /* whoever comes behind the agent can take it away */
    start_services(w);
}

/* Nothing is told while much is written, and yet nothing that others do then is missed: as long as there is more than
 * one transaction to come, the table is broken after the next. */
static void what_others_break_while_much_is_written_is_mended(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    static const char *const breaks[] = {"nft flush ruleset", "nft flush map ip reeve-services-2 ports"};
    struct service_endpoint list[2];
    unsigned count = endpoints_of("10.244.1.1 ready here,10.244.1.2 ready here", list, ARRAY_SIZE(list));
    for (unsigned b = 0; b < ARRAY_SIZE(breaks); b++) {
        struct services_stats st;
        for (unsigned i = 0; i < 4000; i++) {
            CLEANUP_FREE char *key = xasprintf("default/s%u:http", i);
            services_put(w->services, &(struct service_port){.key = key,
                                                             .protocol = IPPROTO_TCP,
                                                             .cluster_ip = ip_of("10.97.0.1") + i,
                                                             .port = (uint16_t)(80 + b),
                                                             .endpoints = list,
                                                             .endpoints_count = count});
        }
        services_get_stats(w->services, &st);
        for (size_t all = st.waiting; st.waiting == all;) {
            uv_run(&w->loop, UV_RUN_NOWAIT);
            services_get_stats(w->services, &st);
        }
        assert_true(st.waiting > SERVICE_CHANGES_MAX);
        run(breaks[b]);
        settle_services(w);
        assert_answered(ask(NODE, "10.97.0.1", (uint16_t)(80 + b)));
        assert_answered(ask(NODE, "10.97.15.160", (uint16_t)(80 + b)));
    }
}

/* The kernel drops what the socket has no room for, and says so by an error: afterwards it is listened to as before. */
static void what_is_told_too_fast_ends_no_watching(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    struct services_stats before, after;
    put_port(w, (struct service_port){0}, "10.244.2.1 ready");
    services_get_stats(w->services, &before);
    for (unsigned i = 0; i < 8; i++) {
        run(TELL_TOO_MUCH);
    }
    await_mends(w, before.mends + 1); /* it is not known what was missed */
    services_get_stats(w->services, &after);
    run("nft flush ruleset");
    await_mends(w, after.mends + 1);
    assert_answered(ask(POD_1, VIP, 80));
}

static void verify_all(struct world *w)
{
    struct services_stats st, now;
    services_get_stats(w->services, &st);
    now = st;
    while (now.verified < st.verified + st.elements && now.mends == st.mends) {
        services_verify(w->services);
        services_get_stats(w->services, &now);
    }
}

/* The watch is deaf here: what somebody else does is found by asking for what should be there. */
static void what_nobody_has_told_of_is_found_and_mended(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    static const char *const breaks[] = {
        "nft delete element ip reeve-services-2 ports { 10.96.0.7 . tcp . 80 }",
        "nft delete element ip reeve-services-2 members { 10.244.1.2 . 8080 }",
        "nft delete element ip reeve-services-2 sources { 203.0.113.9 . tcp . 80 . 192.168.8.0/24 }",
        "nft \"delete element ip reeve-services-2 endpoints { 10.96.0.7 . tcp . 80 . 0x0 }; add element ip "
        "reeve-services-2 endpoints { 10.96.0.7 . tcp . 80 . 0x0 : 10.244.1.9 . 8080 }\""};
    struct cidr source = range_of("192.168.8.0/24");
    uint32_t balancer = ip_of("203.0.113.9");
    for (unsigned i = 0; i < 200; i++) {
        CLEANUP_FREE char *key = xasprintf("default/s%u:http", i);
        put_port(w, (struct service_port){.key = key, .cluster_ip = ip_of("10.97.0.1") + i}, "10.244.1.1 ready here");
    }
    put_port(
        w,
        (struct service_port){
            .affinity_s = 600, .balancers = &balancer, .balancers_count = 1, .sources = &source, .sources_count = 1},
        "10.244.1.1 ready here,10.244.1.2 ready here");
    struct services_stats before, after;
    services_get_stats(w->services, &before);
    verify_all(w);
    services_get_stats(w->services, &after);
    assert_int_equal(after.mends, before.mends);
    for (unsigned b = 0; b < ARRAY_SIZE(breaks); b++) {
        services_get_stats(w->services, &before);
        run(breaks[b]);
        verify_all(w); /* not a turn of the loop in between */
        services_get_stats(w->services, &after);
        if (after.mends != before.mends + 1) {
            fail_msg("not found: %s", breaks[b]);
        }
        settle_services(w);
        verify_all(w);
        services_get_stats(w->services, &before);
        assert_answered(ask(POD_1, VIP, 80));
    }
}

/* A packet may come between two parts of a change, and find no endpoint at the place that was drawn. The client sends
 * it again after a second: that one must be translated. */
static void a_connection_that_found_no_endpoint_is_made_at_the_next_try(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    put_port(w, (struct service_port){0}, "10.244.1.2 ready here");
    static const enum place from[] = {POD_1, NODE};
    for (unsigned i = 0; i < ARRAY_SIZE(from); i++) {
        run("nft \"delete element ip reeve-services-2 endpoints { 10.96.0.7 . tcp . 80 . 0x0 }\"");
        CLEANUP_CLOSE int fd = client(from[i], false);
        int e = dial(fd, VIP, 80);
        assert_true(e == 0 || e == EPERM);
        assert_int_equal(await(fd, POLLOUT, SILENCE_MS), ETIMEDOUT);
        run("nft \"add element ip reeve-services-2 endpoints { 10.96.0.7 . tcp . 80 . 0x0 : 10.244.1.2 . 8080 }\"");
        assert_answered(hear(fd, DEADLINE_MS));
        settle_services(w);
    }
}

/* Somebody else's element leads connections away, or lets in whom it should not: it goes. The watch hears of it as
 * well, and may be faster. */
static void what_is_not_ours_is_found_and_taken_away(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    static const char *const strange[] = {
        "nft add element ip reeve-services-2 hairpin { 10.244.1.9 . 10.244.1.9 }",
        "nft add element ip reeve-services-2 endpoints { 10.96.0.9 . tcp . 80 . 0x1 : 10.244.1.9 . 8080 }",
        "nft add element ip reeve-services-2 sources { 203.0.113.9 . tcp . 80 . 192.168.8.0/24 }"};
    int64_t until = env_now_ms(env_real()) + DEADLINE_MS;
    put_port(w, (struct service_port){0}, "10.244.1.1 ready here,10.244.1.2 ready here");
    for (unsigned i = 0; i < ARRAY_SIZE(strange); i++) {
        struct services_stats before, now;
        services_get_stats(w->services, &before);
        now = before;
        while (now.foreign == before.foreign) {
            assert_true(env_now_ms(env_real()) < until);
            run(strange[i]);
            verify_all(w);
            await_mends(w, now.mends + 1);
            services_get_stats(w->services, &now);
        }
        run("! nft list ruleset | grep -q '10.244.1.9\\|203.0.113.9'");
        assert_answered(ask(POD_1, VIP, 80));
    }
}

static void everybodys_nft_can_list_it(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    uint32_t balancers[] = {ip_of("192.168.8.77")};
    struct cidr sources[] = {range_of("192.168.8.0/28")};
    put_port(w,
             (struct service_port){.affinity_s = 60,
                                   .node_port = 30080,
                                   .external_local = true,
                                   .balancers = balancers,
                                   .balancers_count = 1,
                                   .sources = sources,
                                   .sources_count = 1},
             ALL);
    assert_answered(ask(POD_1, VIP, 80));
    run("nft list ruleset | grep -q 'map endpoints'");
}

static void a_restart_changes_nothing_and_a_connection_outlives_it(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    struct services_stats st;
    struct opening server = {POD_3, pod_ips[POD_3], 9090, false, -1};
    struct service_endpoint e = {ip_of(pod_ips[POD_3]), 9090, true, true, false, false};
    struct service_port p = {.key = "default/long:x",
                             .protocol = IPPROTO_TCP,
                             .cluster_ip = ip_of("10.96.0.8"),
                             .port = 90,
                             .endpoints = &e,
                             .endpoints_count = 1};
    on_thread(open_in_place, &server);
    services_put(w->services, &p);
    put_port(w, (struct service_port){.affinity_s = 60, .node_port = 30080}, ALL);
    CLEANUP_CLOSE int fd = client(POD_1, false);
    char word[8] = "";
    assert_int_equal(dial(fd, "10.96.0.8", 90), 0);
    assert_int_equal(await(server.fd, POLLIN, DEADLINE_MS), 0);
    CLEANUP_CLOSE int peer = accept(server.fd, NULL, NULL);
    assert_true(peer >= 0);

    stop_services(w, false);
    assert_answered(ask(POD_1, VIP, 80)); /* nobody is there, and it goes on */
    start_services(w);
    assert_answered(ask(POD_1, VIP, 80));
    services_put(w->services, &p);
    services_put(w->services, &p);
    put_port(w, (struct service_port){.affinity_s = 60, .node_port = 30080}, ALL);
    services_begin(w->services);
    settle_services(w);
    services_get_stats(w->services, &st);
    assert_int_equal(st.transactions, 0); /* all of it was there */
    assert_int_equal(send(fd, "still", 5, 0), 5);
    assert_int_equal(await(peer, POLLIN, DEADLINE_MS), 0);
    assert_int_equal(recv(peer, word, sizeof word, 0), 5);

    stop_services(w, false); /* and what was removed meanwhile goes */
    start_services(w);
    services_put(w->services, &p);
    services_begin(w->services);
    settle_services(w);
    assert_no_answer(ask_within(POD_1, false, VIP, 80, SILENCE_MS));
    close(server.fd);
}

/* An endpoint that ends finishes what it has begun; only new connections go elsewhere. */
static void a_connection_outlives_the_end_of_its_endpoint(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    struct opening server = {POD_1, pod_ips[POD_1], 9090, false, -1};
    struct service_endpoint e = {ip_of(pod_ips[POD_1]), 9090, true, true, false, true};
    struct service_port p = {.key = "default/long:x",
                             .protocol = IPPROTO_TCP,
                             .cluster_ip = ip_of("10.96.0.8"),
                             .port = 90,
                             .endpoints = &e,
                             .endpoints_count = 1};
    char word[8] = "";
    on_thread(open_in_place, &server);
    services_put(w->services, &p);
    services_begin(w->services);
    settle_services(w);
    CLEANUP_CLOSE int fd = client(POD_2, false);
    assert_int_equal(dial(fd, "10.96.0.8", 90), 0);
    assert_int_equal(await(server.fd, POLLIN, DEADLINE_MS), 0);
    CLEANUP_CLOSE int peer = accept(server.fd, NULL, NULL);
    p.endpoints_count = 0;
    services_put(w->services, &p);
    settle_services(w);
    assert_refused(ask(POD_2, "10.96.0.8", 90));
    assert_int_equal(send(fd, "still", 5, 0), 5);
    assert_int_equal(await(peer, POLLIN, DEADLINE_MS), 0);
    assert_int_equal(recv(peer, word, sizeof word, 0), 5);
    assert_int_equal(send(peer, "yes", 3, 0), 3);
    assert_int_equal(await(fd, POLLIN, DEADLINE_MS), 0);
    close(server.fd);
}

/* Marks of packets are others': firewalls and routing rules go by them. */
static void marks_of_others_are_left_alone(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    put_port(w, (struct service_port){.affinity_s = 60, .node_port = 30080}, "10.244.2.1 ready");
    run("nft -f - <<E\n"
        "table ip m {\n counter kept { }\n counter lost { }\n"
        " chain a { type filter hook prerouting priority -350; meta mark set 0x7711; }\n"
        " chain b { type filter hook output priority -350; meta mark set 0x7711; }\n"
        " chain c { type filter hook postrouting priority 300;\n"
        "  meta mark 0x7711 counter name kept\n  meta mark != 0x7711 counter name lost\n }\n}\nE");
    assert_answered(ask(NODE, VIP, 80));
    assert_answered(ask(POD_1, VIP, 80));
    assert_answered(ask(OUTSIDE, NODE_IP, 30080));
    run("nft list counter ip m lost | grep -q 'packets 0 ' && ! nft list counter ip m kept | grep -q 'packets 0 '");
    run("nft delete table ip m");
}

static void one_node_port_is_another_one_for_each_protocol(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    put_port(w, (struct service_port){.node_port = 30080}, "10.244.1.1 ready here");
    put_port(
        w,
        (struct service_port){
            .key = "default/dns:udp", .protocol = IPPROTO_UDP, .cluster_ip = ip_of("10.96.0.8"), .node_port = 30080},
        "10.244.1.2 ready here");
    struct told tcp = ask(OUTSIDE, NODE_IP, 30080), udp = ask_within(OUTSIDE, true, NODE_IP, 30080, DEADLINE_MS);
    assert_answered(tcp);
    assert_answered(udp);
    assert_int_equal(tcp.who, POD_1);
    assert_int_equal(udp.who, POD_2);
    services_remove(w->services, "default/dns:udp");
    settle_services(w);
    assert_answered(ask(OUTSIDE, NODE_IP, 30080));
}

/* What cannot be changed in place (priorities of chains) comes with another name of the table. */
static void tables_of_other_versions_go_when_this_one_comes(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    stop_services(w, true);
    run("nft -f - <<E\ntable ip reeve-services-0 {\n chain c { type filter hook prerouting priority 0; }\n}\n"
        "table ip reeve-services-77 {\n set s { type ipv4_addr; elements = { 1.2.3.4 }; }\n}\nE");
    start_services(w);
    put_port(w, (struct service_port){0}, "10.244.2.1 ready");
    assert_answered(ask(POD_1, VIP, 80));
    run("test $(nft list tables | grep -c reeve-services) = 1");
}

static unsigned objects(void)
{
    FILE *f = popen("nft list table ip " SKELETON_TABLE " | grep -c '\\(chain\\|map\\|set\\) .* {'", "r");
    unsigned n = 0;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    assert_int_equal(pclose(f), 0);
    return n;
}

static void the_number_of_chains_and_sets_does_not_grow(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    unsigned before = objects();
    for (unsigned i = 0; i < 500; i++) {
        char key[32];
        snprintf(key, sizeof key, "default/s%u:x", i);
        struct service_endpoint e = {ip_of("10.244.2.1") + i % 7, 8080, true, true, false, false};
        struct service_port p = {.key = key,
                                 .protocol = IPPROTO_TCP,
                                 .cluster_ip = ip_of("10.96.1.0") + i,
                                 .port = 80,
                                 .affinity_s = i,
                                 .endpoints = &e,
                                 .endpoints_count = 1};
        services_put(w->services, &p);
    }
    settle_services(w);
    assert_true(before > 100);
    assert_int_equal(objects(), before);
}

static void nothing_is_left_of_an_agent_that_is_cleaned_away(void **state)
{
    struct world *w = *state;
    NEED_WORLD(w);
    struct error err = {0};
    put_port(w, (struct service_port){0}, ALL);
    stop_services(w, false);
    run("nft add table ip reeve-pods && nft add table ip others && ip route add 10.244.9.0/24 via 192.168.7.2 proto "
        "82");
    run("nft list tables | grep -q reeve-services");
    assert_int_equal(clean_node(&err), 0);
    run("! nft list tables | grep reeve && ! ip route | grep 10.244.9.0");
    run("nft list tables | grep -q others && nft delete table ip others"); /* not ours */
    assert_int_equal(clean_node(&err), 0);                                 /* again: nothing to do */
    start_services(w);
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
        T(what_is_written_now_counts_at_once),
        T(what_others_break_is_mended),
        T(a_flush_of_others_passes_by_a_table_that_is_our_own),
        T(what_is_told_too_fast_ends_no_watching),
        T(what_others_break_while_much_is_written_is_mended),
        T(what_nobody_has_told_of_is_found_and_mended),
        T(a_connection_that_found_no_endpoint_is_made_at_the_next_try),
        T(what_is_not_ours_is_found_and_taken_away),
        T(everybodys_nft_can_list_it),
        T(a_restart_changes_nothing_and_a_connection_outlives_it),
        T(a_connection_outlives_the_end_of_its_endpoint),
        T(marks_of_others_are_left_alone),
        T(one_node_port_is_another_one_for_each_protocol),
        T(tables_of_other_versions_go_when_this_one_comes),
        T(the_number_of_chains_and_sets_does_not_grow),
        T(nothing_is_left_of_an_agent_that_is_cleaned_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
