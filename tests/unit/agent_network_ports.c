/* Ports of the node that lead into pods: over restarts, crashes, and from one pod to the next; and whom a pod sees that
 * was led to. */
#include "tests/unit/agent_network.h"

#include "agent/network/conntrack.h"
#include "agent/service/services.h"
#include "base/env.h"

static void a_host_port_leads_into_the_pod_and_ends_with_it(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    assert_int_equal(system("ip addr add 10.96.0.1/32 dev lo && ip addr add 10.96.0.2/32 dev lo"), 0);
    struct network_port ports[] = {{18080, 8080, "tcp", NULL}, {18081, 8080, "TCP", "10.96.0.2"}};
    add_pod(f, 0, ports, 2);
    add_pod(f, 1, NULL, 0);
    int listener = listen_in(f->sb[0].net, 8080);
    assert_leads_to(f, NULL, "10.98.7.1", 18080, listener);
    assert_leads_to(f, NULL, "10.96.0.1", 18080, listener);
    assert_leads_to(f, NULL, "127.0.0.1", 18080, listener);
    /* from the other pod, which keeps its address, and from the pod itself, which cannot */
    char seen[64];
    assert_true(reaches(f, f->sb[1].net, "10.98.7.1", 18080));
    accept_from(listener, seen);
    assert_string_equal(seen, "10.98.7.3");
    assert_true(reaches(f, f->sb[0].net, "10.98.7.1", 18080));
    accept_from(listener, seen);
    assert_string_equal(seen, "10.98.7.1");
    /* one with an address is that address' alone */
    assert_leads_to(f, NULL, "10.96.0.2", 18081, listener);
    assert_false(reaches(f, NULL, "10.96.0.1", 18081));
    del_pod(f, 0);
    assert_false(reaches(f, NULL, "10.98.7.1", 18080));
    assert_false(reaches(f, NULL, "10.96.0.2", 18081));
    assert_int_equal(system("nft list table ip reeve-pods | grep -q 1808"), 256);
    close(listener);
    del_pod(f, 1);
    close_network(f);
    assert_int_equal(system("ip addr del 10.96.0.1/32 dev lo && ip addr del 10.96.0.2/32 dev lo"), 0);
}

static void await(struct fixture *f, const char *command)
{
    int64_t until = env_now_ms(env_real()) + 60000;
    while (system(command) != 0) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        if (env_now_ms(env_real()) > until) {
            fail_msg("does not become true: %s", command);
        }
    }
}

static int udp_socket(const char *netns, const char *address, uint16_t port)
{
    struct server s = {.netns = netns, .port = port, .fd = -1, .udp = true, .address = address};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, listen_thread, &s), 0);
    pthread_join(t, NULL);
    assert_true(s.fd >= 0);
    return s.fd;
}

static bool receives(int fd, int timeout_ms)
{
    char byte;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1 && recv(fd, &byte, 1, 0) == 1;
}

/* From another machine (the second sandbox, behind a link): by TCP and UDP, at the addresses that were asked for, and
 * the pod sees who it is. One number may lead to two pods, by protocol or by address. */
static void host_ports_answer_other_machines(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    char command[1400], seen[64], byte;
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    const char *outside = f->sb[1].net;
    snprintf(command, sizeof command,
             "ip link add out0 type veth peer name eth0 netns %s && ip addr add 192.168.77.1/24 dev out0 && "
             "ip addr add 192.168.77.3/24 dev out0 && ip link set out0 up && nsenter --net=%s sh -c "
             "'ip addr add 192.168.77.2/24 dev eth0 && ip link set eth0 up'",
             outside, outside);
    assert_int_equal(system(command), 0);
    struct network_port ports[] = {{18080, 8080, "tcp", NULL},
                                   {18080, 5353, "udp", NULL},
                                   {18081, 8080, "tcp", "192.168.77.3"},
                                   {18082, 8080, "tcp", "127.0.0.1"}};
    add_pod(f, 0, ports, 4);
    int listener = listen_in(f->sb[0].net, 8080), udp = udp_socket(f->sb[0].net, "0.0.0.0", 5353);
    assert_true(reaches(f, outside, "192.168.77.1", 18080));
    accept_from(listener, seen);
    assert_string_equal(seen, "192.168.77.2");
    assert_leads_to(f, outside, "192.168.77.3", 18080, listener);
    assert_leads_to(f, outside, "192.168.77.3", 18081, listener);
    assert_false(reaches(f, outside, "192.168.77.1", 18081));
    assert_leads_to(f, NULL, "127.0.0.1", 18082, listener);
    assert_false(reaches(f, outside, "192.168.77.1", 18082));

    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(18080)};
    inet_pton(AF_INET, "192.168.77.1", &to.sin_addr);
    int client = udp_socket(outside, "0.0.0.0", 40053);
    assert_int_equal(sendto(client, "a", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    assert_int_equal(recvfrom(udp, &byte, 1, 0, (struct sockaddr *)&from, &size), 1);
    assert_string_equal(inet_ntop(AF_INET, &from.sin_addr, seen, sizeof seen), "192.168.77.2");
    assert_int_equal(sendto(udp, "b", 1, 0, (struct sockaddr *)&from, size), 1);
    size = sizeof from;
    assert_int_equal(recvfrom(client, &byte, 1, 0, (struct sockaddr *)&from, &size), 1);
    assert_int_equal(ntohs(from.sin_port), 18080); /* from where it was asked */
    close(listener);
    close(udp);
    close(client);
    del_pod(f, 0);
    close_network(f);
    assert_int_equal(system("ip link del out0"), 0);
}

/* 127.0.0.1:PORT needs route_localnet on the bridge, which alone would open what listens on the node's loopback address
 * to pods that send there. */
static void the_nodes_loopback_address_stays_closed_to_pods(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    char command[800];
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    struct network_port port = {18080, 8080, "tcp", "127.0.0.1"};
    add_pod(f, 0, &port, 1);
    assert_int_equal(system("test $(cat /proc/sys/net/ipv4/conf/reeve-t/route_localnet) = 1"), 0);
    struct server s = {.netns = "/proc/self/ns/net", .port = 17999, .fd = -1, .address = "127.0.0.1"};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, listen_thread, &s), 0);
    pthread_join(t, NULL);
    /* a pod with the right to change its own network */
    snprintf(command, sizeof command,
             "nsenter --net=%s sh -c 'ip addr flush dev lo && echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet && "
             "ip route add 127.0.0.1/32 via 10.98.7.1'",
             f->sb[0].net);
    assert_int_equal(system(command), 0);
    network_connect(&f->loop, f->sb[0].net, "127.0.0.1", 17999, 300, on_connect, f);
    wait_for(f, &f->connects, 1);
    assert_int_equal(f->fd, -1);
    assert_int_equal(system("nft flush chain ip reeve-pods guard"), 0); /* not a turn of the loop: it is open now */
    snprintf(command, sizeof command, "nsenter --net=%s timeout 20 bash -c ': < /dev/tcp/127.0.0.1/17999'",
             f->sb[0].net);
    assert_int_equal(system(command), 0);
    close(s.fd);
    del_pod(f, 0);
    close_network(f);
}

static bool goes_to_53(const struct conntrack_flow *flow, void *data)
{
    (void)data;
    return flow->to_port == 53 || flow->to_port == 54;
}

/* Two questions that leave one socket at once meet in the table of connections, one is lost, and the asker waits for
 * five seconds: so they are not in it. */
static void questions_to_the_name_server_are_in_no_table_of_connections(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    struct conntrack_flow *flows = NULL;
    struct sockaddr_in from, to = {.sin_family = AF_INET};
    unsigned count;
    char byte;
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    assert_int_equal(system("ip addr add 10.96.0.10/32 dev lo"), 0);
    network_set_names(f->n, "10.96.0.10");
    add_pod(f, 0, NULL, 0);
    await(f, "nft list table ip reeve-pods | grep -q notrack");
    int client = udp_socket(f->sb[0].net, "0.0.0.0", 40053);
    inet_pton(AF_INET, "10.96.0.10", &to.sin_addr);
    for (uint16_t port = 53; port <= 54; port++) {
        socklen_t size = sizeof from;
        int server = udp_socket("/proc/self/ns/net", "10.96.0.10", port);
        to.sin_port = htons(port);
        assert_int_equal(sendto(client, "q", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
        assert_int_equal(recvfrom(server, &byte, 1, 0, (struct sockaddr *)&from, &size), 1);
        assert_int_equal(sendto(server, "a", 1, 0, (struct sockaddr *)&from, size), 1);
        assert_true(receives(client, 20000));
        close(server);
    }
    assert_int_equal(conntrack_list(goes_to_53, NULL, &flows, &count, NULL), 0);
    assert_int_equal(count, 1); /* port 54, which is nobody's name server */
    assert_int_equal(flows[0].to_port, 54);
    free(flows);
    close(client);
    del_pod(f, 0);
    close_network(f);
    assert_int_equal(system("ip addr del 10.96.0.10/32 dev lo"), 0);
}

static void the_next_pod_of_a_host_port_gets_its_traffic(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    struct network_port port = {18080, 8080, "tcp", NULL};
    add_pod(f, 0, &port, 1);
    int first = listen_in(f->sb[0].net, 8080);
    del_pod(f, 0);
    add_pod(f, 1, &port, 1);
    int second = listen_in(f->sb[1].net, 8080);
    assert_leads_to(f, NULL, "10.98.7.1", 18080, second);
    /* one that comes too early has it when the former is gone */
    add_pod(f, 0, &port, 1);
    close(first);
    first = listen_in(f->sb[0].net, 8080);
    assert_leads_to(f, NULL, "10.98.7.1", 18080, second);
    del_pod(f, 1);
    assert_leads_to(f, NULL, "10.98.7.1", 18080, first);
    del_pod(f, 0);
    close(first);
    close(second);
    close_network(f);
}

static void host_ports_live_as_long_as_their_pods_over_restarts(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    struct network_port one = {18080, 8080, "tcp", NULL}, two = {18082, 8080, "tcp", NULL};
    add_pod(f, 0, &one, 1);
    add_pod(f, 1, &two, 1);
    int listener = listen_in(f->sb[0].net, 8080), other = listen_in(f->sb[1].net, 8080);
    close_network(f);
    /* what the kernel lost meanwhile, and what nobody owns */
    assert_int_equal(system("nft delete table ip reeve-pods && nft add table ip reeve-pods && "
                            "nft add chain ip reeve-pods of-nobody"),
                     0);
    open_network(f, NULL);
    char uid[64];
    unsigned cursor = 0;
    assert_true(network_next(f->n, &cursor, uid));
    assert_string_equal(uid, POD_1);
    assert_true(network_next(f->n, &cursor, uid));
    assert_string_equal(uid, POD_2);
    assert_false(network_next(f->n, &cursor, uid));
    del_pod(f, 1); /* it vanished while no agent was there; this waits for the rules, too */
    assert_int_equal(system("nft list table ip reeve-pods | grep -q of-nobody"), 256);
    assert_leads_to(f, NULL, "10.98.7.1", 18080, listener);
    assert_false(reaches(f, NULL, "10.98.7.1", 18082));
    del_pod(f, 0);
    assert_false(reaches(f, NULL, "10.98.7.1", 18080));
    cursor = 0;
    assert_false(network_next(f->n, &cursor, uid));
    close(listener);
    close(other);
    close_network(f);
}

/* Whoever reloads a firewall takes host ports with it, and no portmap plugin would bring them back. */
static void host_ports_come_back_when_others_flush_the_rules(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    static const char *const breaks[] = {"nft flush ruleset", "nft delete table ip reeve-pods",
                                         "nft flush chain ip reeve-pods lead", "nft flush map ip reeve-pods any",
                                         "nft delete table ip reeve-flows"};
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    struct network_port port = {18080, 8080, "tcp", NULL};
    add_pod(f, 0, &port, 1);
    int listener = listen_in(f->sb[0].net, 8080);
    assert_leads_to(f, NULL, "10.98.7.1", 18080, listener);
    for (unsigned i = 0; i < ARRAY_SIZE(breaks); i++) {
        print_message("%s\n", breaks[i]);
        assert_int_equal(system(breaks[i]), 0);
        await(f, "nft list table ip reeve-pods 2>/dev/null | grep -q 'tcp . 18080 : 10.98.7.2' && "
                 "nft list chain ip reeve-pods lead | grep -q dnat && "
                 "nft list chain ip reeve-flows begin 2>/dev/null | grep -q 'ct count'");
        assert_leads_to(f, NULL, "10.98.7.1", 18080, listener);
    }
    /* unheard of, as while many services are written */
    network_pause_watch(f->n, true);
    assert_int_equal(system("nft flush ruleset"), 0);
    network_pause_watch(f->n, false);
    await(f, "nft list table ip reeve-pods 2>/dev/null | grep -q 'tcp . 18080 : 10.98.7.2'");
    /* what is none of ours moves nothing, and our own writing is not taken for others' */
    assert_int_equal(system("nft add table ip others && nft delete table ip others && nft -a list table ip reeve-pods "
                            "> /tmp/reeve-handles-$PPID"),
                     0);
    for (unsigned i = 0; i < 20; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(system("nft -a list table ip reeve-pods | cmp -s - /tmp/reeve-handles-$PPID; r=$?; "
                            "rm /tmp/reeve-handles-$PPID; exit $r"),
                     0);
    close(listener);
    del_pod(f, 0);
    close_network(f);
}

/* The agent was killed between the making and the noting: a lease and an interface of which no note says the
 * address; a lease without any note. */
static void what_a_crash_left_is_known_and_taken_away(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    char path[160], uid[64], first[64];
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    add_pod(f, 0, NULL, 0);
    strcpy(first, f->ip);
    add_pod(f, 1, NULL, 0);
    close_network(f);
    snprintf(path, sizeof path, "%s/net/results/%s", f->dir, POD_1);
    assert_int_equal(fs_write_file(path, str_of("port tcp 18080 8080 -\n"), 0600, false, NULL), 0);
    snprintf(path, sizeof path, "%s/net/results/%s", f->dir, POD_2);
    assert_int_equal(unlink(path), 0);

    open_network(f, NULL);
    unsigned cursor = 0, count = 0;
    while (network_next(f->n, &cursor, uid)) {
        count++;
    }
    assert_int_equal(count, 2);
    /* the one is begun again over its remains, the other belongs to nobody any more and its namespace is gone */
    struct network_port port = {18080, 8080, "tcp", NULL};
    add_pod(f, 0, &port, 1);
    int listener = listen_in(f->sb[0].net, 8080);
    assert_leads_to(f, NULL, "10.98.7.1", 18080, listener);
    close(listener);
    network_del(f->n, POD_2, "", on_done, f);
    wait_for(f, &f->dones, 1);
    assert_string_equal(f->message, "");
    snprintf(path, sizeof path, "test $(ls %s/net/leases/reeve | grep -c '^10') = 1", f->dir);
    assert_int_equal(system(path), 0);
    del_pod(f, 0);
    snprintf(path, sizeof path, "test $(ls %s/net/leases/reeve | grep -c '^10') = 0", f->dir);
    assert_int_equal(system(path), 0);
    close_network(f);
}

static void a_udp_peer_of_a_host_port_follows_to_the_next_pod(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    struct network_port port = {18053, 53, "udp", NULL};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(18053)};
    inet_pton(AF_INET, "10.98.7.1", &to.sin_addr);
    add_pod(f, 0, &port, 1);
    int first = udp_socket(f->sb[0].net, "0.0.0.0", 53), client = udp_socket("/proc/self/ns/net", "0.0.0.0", 40053);
    assert_int_equal(sendto(client, "a", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    assert_true(receives(first, 20000));
    del_pod(f, 0);
    /* Between the two the client speaks on: the kernel notes that nobody is there. */
    sendto(client, "b", 1, 0, (struct sockaddr *)&to, sizeof to);
    add_pod(f, 1, &port, 1);
    int second = udp_socket(f->sb[1].net, "0.0.0.0", 53), error;
    socklen_t n = sizeof error;
    getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &n); /* port unreachable, of the "b" */
    assert_int_equal(sendto(client, "c", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    assert_true(receives(second, 20000));
    assert_false(receives(first, 0));
    del_pod(f, 1);
    close(first);
    close(second);
    close(client);
    close_network(f);
}

static void on_services_closed(void *data)
{
    *(bool *)data = true;
}

/* Pods on one bridge, with a Service in between: the answer must come back through the node, and the pod that answers
 * must see who asks. */
static void a_service_leads_to_a_neighbour_who_sees_the_pod(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    struct services *services;
    struct services_stats st;
    struct error err = {0};
    struct skeleton_ranges ranges = {.pods_count = 1, .services_count = 1};
    struct service_endpoint one = {.ip = 0x0a620702, .port = 8080, .ready = true, .serving = true, .local = true};
    struct service_port port = {.key = "default/web:http",
                                .protocol = IPPROTO_TCP,
                                .cluster_ip = 0x0a600007,
                                .port = 80,
                                .endpoints = &one,
                                .endpoints_count = 1};
    bool closed = false;
    char seen[64];
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    add_pod(f, 0, NULL, 0);
    add_pod(f, 1, NULL, 0);
    int listener = listen_in(f->sb[0].net, 8080);
    assert_true(cidr_parse(STR("10.98.0.0/16"), &ranges.pods[0]));
    assert_true(cidr_parse(STR("10.96.0.0/12"), &ranges.services[0]));
    assert_int_equal(services_new(&f->loop, NULL, false, &services, &err), 0);
    services_set_ranges(services, &ranges);
    services_put(services, &port);
    services_begin(services);
    do {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        services_get_stats(services, &st);
    } while (!st.settled);
    assert_true(reaches(f, f->sb[1].net, "10.96.0.7", 80));
    accept_from(listener, seen);
    assert_string_equal(seen, "10.98.7.3");
    assert_true(reaches(f, f->sb[0].net, "10.96.0.7", 80)); /* itself */
    accept_from(listener, seen);
    assert_string_equal(seen, "10.98.7.1");
    services_close(services, true, on_services_closed, &closed);
    while (!closed) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    close(listener);
    del_pod(f, 0);
    del_pod(f, 1);
    close_network(f);
}

/* The rules as a text: what is in the agent's state, and nothing else. */
static void the_rules_say_what_the_owners_hold(void **state)
{
    (void)state;
    struct network_owner_port a[] = {{80, 8080, "tcp", ""}, {53, 5353, "udp", "10.0.0.9"}},
                              b[] = {{80, 9090, "tcp", ""}, {80, 9090, "udp", ""}, {443, 443, "tcp", "10.0.0.9"}};
    struct network_owner one = {.uid = "a", .ip = "10.1.2.3", .routed = true, .ports = a, .ports_count = 2},
                         two = {.uid = "b", .ip = "10.1.2.4", .ports = b, .ports_count = 3};
    struct list owners;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct network_rules rules = {"reeve0", "10.1.2.0/24", "10.1.0.0/16", &owners, NULL, 0, "10.96.0.10"};
    list_init(&owners);
    list_push_back(&owners, &one.link);
    list_push_back(&owners, &two.link);
    network_rules_write(&text, &rules);
    assert_non_null(strstr(buf_cstr(&text), "elements = {\n   10.0.0.9 . udp . 53 : 10.1.2.3 . 5353,\n"
                                            "   10.0.0.9 . tcp . 443 : 10.1.2.4 . 443\n  }\n"));
    /* two want tcp 80: the first has it */
    assert_non_null(strstr(buf_cstr(&text), "elements = {\n   tcp . 80 : 10.1.2.3 . 8080,\n"
                                            "   udp . 80 : 10.1.2.4 . 9090\n  }\n"));
    assert_non_null(strstr(buf_cstr(&text), "ip saddr 10.1.2.0/24 ip daddr != 10.1.0.0/16 masquerade"));
    assert_non_null(strstr(buf_cstr(&text), "elements = { 10.1.2.3 . 10.1.2.3, 10.1.2.4 . 10.1.2.4 }"));
    assert_non_null(strstr(buf_cstr(&text), "elements = { 10.1.2.4 }")); /* of an older agent */
    assert_non_null(strstr(buf_cstr(&text), "ip daddr 10.96.0.10 meta l4proto { tcp, udp } th dport 53 notrack"));
    /* one that goes, or has no address yet, holds nothing */
    one.leaving = true;
    two.ip[0] = '\0';
    rules.cluster_cidr = NULL;
    buf_reset(&text);
    network_rules_write(&text, &rules);
    assert_null(strstr(buf_cstr(&text), "elements"));
    assert_null(strstr(buf_cstr(&text), "daddr !="));
    two.ip[0] = '1';
    buf_reset(&text);
    network_rules_write(&text, &rules);
    assert_non_null(strstr(buf_cstr(&text), "   tcp . 80 : 1"));
}

/* A pod's words go into the rules: only what was understood does. */
static void notes_hold_only_what_was_understood(void **state)
{
    (void)state;
    char dir[] = "/tmp/reeve-owners-XXXXXX", path[80];
    struct network_owners o;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(network_owners_open(&o, dir, "reeve", NULL), 0);
    struct network_port ports[] = {{1, 2, "sctp", "0.0.0.0"},
                                   {3, 4, "nonsense", "10.0.0.1"},
                                   {5, 6, "tcp", "1.2.3.4 }; flush ruleset"},
                                   {7, 8, "tcp", "fd00::1"},
                                   {0, 8, "tcp", NULL}};
    struct network_owner *w = network_owners_add(&o, "pod", ports, 5, NULL);
    assert_non_null(w);
    snprintf(w->ip, sizeof w->ip, "10.1.1.1");
    assert_int_equal(network_owners_keep(&o, w, NULL), 0);
    network_owners_close(&o);
    snprintf(path, sizeof path, "%s/results/old", dir);
    assert_int_equal(fs_write_file(path, str_of("0\n{\"cniVersion\": \"1.0.0\"}"), 0600, false, NULL), 0);
    assert_int_equal(network_owners_open(&o, dir, "reeve", NULL), 0);
    w = network_owners_find(&o, "pod");
    assert_non_null(w);
    assert_string_equal(w->ip, "10.1.1.1");
    assert_int_equal(w->ports_count, 2);
    assert_string_equal(w->ports[0].protocol, "sctp");
    assert_string_equal(w->ports[0].host_ip, "");
    assert_string_equal(w->ports[1].protocol, "tcp");
    assert_string_equal(w->ports[1].host_ip, "10.0.0.1");
    assert_non_null(network_owners_find(&o, "old"));
    network_owners_forget(w, &o);
    assert_null(network_owners_find(&o, "pod"));
    network_owners_close(&o);
    fs_remove_tree(dir, NULL);
}
int main(void)
{
    isolated = enter_isolation();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rules_say_what_the_owners_hold),
        cmocka_unit_test(notes_hold_only_what_was_understood),
        cmocka_unit_test_setup_teardown(a_host_port_leads_into_the_pod_and_ends_with_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_leads_to_a_neighbour_who_sees_the_pod, setup, teardown),
        cmocka_unit_test_setup_teardown(host_ports_answer_other_machines, setup, teardown),
        cmocka_unit_test_setup_teardown(the_nodes_loopback_address_stays_closed_to_pods, setup, teardown),
        cmocka_unit_test_setup_teardown(questions_to_the_name_server_are_in_no_table_of_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_pod_of_a_host_port_gets_its_traffic, setup, teardown),
        cmocka_unit_test_setup_teardown(host_ports_live_as_long_as_their_pods_over_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(host_ports_come_back_when_others_flush_the_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_crash_left_is_known_and_taken_away, setup, teardown),
        cmocka_unit_test_setup_teardown(a_udp_peer_of_a_host_port_follows_to_the_next_pod, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
