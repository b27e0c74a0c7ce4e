/* The ways to other nodes' pods: how they are chosen and changed, as text, and with real packets between nodes of which
 * one is behind a router. */
#include "tests/unit/agent_service_world.h"

#include "agent/clean.h"
#include "agent/network/network.h"
#include "agent/network/overlay.h"
#include "agent/util/fsutil.h"

#include <net/if.h>
#include <sys/ioctl.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

/* ---- The plan ---- */

static void a_peer_is_direct_only_where_both_nodes_see_one_link(void **state)
{
    (void)state;
    const struct overlay_link good = {.index = 2, .mtu = 1500, .shared = true, .ours = true},
                              point_to_point = {.index = 2, .mtu = 1500, .ours = true},
                              not_ours = {.index = 2, .mtu = 1500, .shared = true};
    const struct overlay_way on_link = {.reachable = true, .link = 2}, none = {0}, local = {.local = true, .link = 1},
                             routed = {.reachable = true, .gateway = true, .link = 2};
    static const struct {
        const char *what;
        int way, link, choices[3]; /* of auto, host-gw, vxlan */
    } rows[] = {{"on the link", 0, 0, {OVERLAY_DIRECT, OVERLAY_DIRECT, OVERLAY_TUNNEL}},
                {"behind a router", 1, 0, {OVERLAY_TUNNEL, OVERLAY_DIRECT, OVERLAY_TUNNEL}},
                {"a link without ARP", 0, 1, {OVERLAY_TUNNEL, OVERLAY_DIRECT, OVERLAY_TUNNEL}},
                {"a link that has not our address", 0, 2, {OVERLAY_TUNNEL, OVERLAY_DIRECT, OVERLAY_TUNNEL}},
                {"a link that is gone", 0, 3, {OVERLAY_TUNNEL, OVERLAY_DIRECT, OVERLAY_TUNNEL}},
                {"no way", 2, 3, {OVERLAY_TUNNEL, OVERLAY_DIRECT, OVERLAY_TUNNEL}},
                {"ourselves", 3, 3, {OVERLAY_NOWHERE, OVERLAY_NOWHERE, OVERLAY_NOWHERE}}};
    const struct overlay_way *ways[] = {&on_link, &routed, &none, &local};
    const struct overlay_link *links[] = {&good, &point_to_point, &not_ours, NULL};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        for (unsigned m = OVERLAY_AUTO; m <= OVERLAY_VXLAN; m++) {
            if ((int)overlay_choose((enum overlay_mode)m, ways[rows[i].way], links[rows[i].link]) !=
                rows[i].choices[m]) {
                fail_msg("%s, mode %u", rows[i].what, m);
            }
        }
    }
    enum overlay_mode mode = OVERLAY_AUTO;
    assert_true(overlay_mode_parse(STR("host-gw"), &mode) && mode == OVERLAY_HOST_GW);
    assert_false(overlay_mode_parse(STR("ipip"), &mode));
}

static void assert_plan(struct overlay_entry *wanted, unsigned wanted_count, struct overlay_entry *there,
                        unsigned there_count, const char *text)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    struct overlay_change *changes;
    unsigned n = overlay_plan(wanted, wanted_count, there, there_count, &changes);
    for (unsigned i = 0; i < n; i++) {
        overlay_change_text(&out, &changes[i]);
        buf_putc(&out, '\n');
    }
    free(changes);
    assert_string_equal(buf_cstr(&out), text);
}

static void changes_lead_no_packet_to_nowhere(void **state)
{
    (void)state;
    const struct overlay_peer near = {range_of("10.244.2.0/24"), ip_of("192.168.7.2")},
                              far = {range_of("10.244.3.0/24"), ip_of("192.168.9.3")},
                              moved = {range_of("10.244.3.0/24"), ip_of("192.168.9.4")};
    struct overlay_entry wanted[8], there[8],
        stray = {.kind = OVERLAY_ROUTE, .pods = range_of("10.244.9.0/24"), .ip = 1};
    unsigned n = overlay_entries(&near, OVERLAY_DIRECT, 3, 9, wanted);
    n += overlay_entries(&far, OVERLAY_TUNNEL, 3, 9, wanted + n);
    assert_int_equal(n, 4);
    assert_plan(wanted, n, NULL, 0,
                "put forward 0e:52:0a:f4:03:00 to 192.168.9.3\n"
                "put neighbour 10.244.3.0 is 0e:52:0a:f4:03:00\n"
                "put route 10.244.2.0/24 via 192.168.7.2 link 3\n"
                "put route 10.244.3.0/24 via 10.244.3.0 link 9 onlink\n");
    memcpy(there, wanted, sizeof there);
    assert_plan(wanted, n, there, n, "");
    there[n] = stray; /* of a node that is gone */
    assert_plan(wanted, n, there, n + 1, "remove route 10.244.9.0/24 via 0.0.0.1\n");

    /* its address changes: only where the tunnel leads */
    n = overlay_entries(&near, OVERLAY_DIRECT, 3, 9, wanted);
    n += overlay_entries(&moved, OVERLAY_TUNNEL, 3, 9, wanted + n);
    overlay_entries(&near, OVERLAY_DIRECT, 3, 9, there);
    overlay_entries(&far, OVERLAY_TUNNEL, 3, 9, there + 1);
    assert_plan(wanted, n, there, 4, "put forward 0e:52:0a:f4:03:00 to 192.168.9.4\n");

    /* it comes to our link: the route first, then what nothing needs any more */
    n = overlay_entries(&near, OVERLAY_DIRECT, 3, 9, wanted);
    n += overlay_entries(&moved, OVERLAY_DIRECT, 3, 9, wanted + n);
    assert_plan(wanted, n, there, 4,
                "put route 10.244.3.0/24 via 192.168.9.4 link 3\n"
                "remove forward 0e:52:0a:f4:03:00 to 192.168.9.3\n"
                "remove neighbour 10.244.3.0 is 0e:52:0a:f4:03:00\n");
    /* both are gone */
    assert_plan(NULL, 0, there, 4,
                "remove route 10.244.2.0/24 via 192.168.7.2 link 3\n"
                "remove route 10.244.3.0/24 via 10.244.3.0 link 9 onlink\n"
                "remove forward 0e:52:0a:f4:03:00 to 192.168.9.3\n"
                "remove neighbour 10.244.3.0 is 0e:52:0a:f4:03:00\n");
    /* without a tunnel there is no way, and no wrong one */
    assert_int_equal(overlay_entries(&far, OVERLAY_TUNNEL, 3, 0, wanted), 0);
    /* what the kernel finds by itself may be any link */
    wanted[0] = there[0];
    wanted[0].link = 0;
    assert_plan(wanted, 1, there, 1, "");
}

static void packets_are_made_smaller_only_where_that_is_needed(void **state)
{
    (void)state;
    static const struct {
        struct overlay_sizes s;
        unsigned tunnel, pods;
    } rows[] = {{{0, false}, 1450, 0},       {{1500, false}, 1450, 0},   {{9000, false}, 8950, 0},
                {{1400, false}, 1350, 1400}, {{1500, true}, 1450, 1450}, {{1400, true}, 1350, 1350},
                {{9000, true}, 8950, 0},     {{0, true}, 1450, 1450},    {{300, true}, 576, 576}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(overlay_tunnel_mtu(&rows[i].s), rows[i].tunnel);
        assert_int_equal(overlay_pods_mtu(&rows[i].s), rows[i].pods);
    }
}

/* ---- Nodes ---- */

#define FAR_IP   "192.168.9.3"
#define FAR_PODS "10.244.3.0/24"

struct remote { /* another node: its overlay lives in its namespace, on a thread */
    enum place where;
    struct overlay *overlay;
    struct overlay_config config;
    struct overlay_peer peers[2];
    unsigned count;
    const char *dir;
};
struct nodes {
    uv_loop_t loop;
    struct services *services;
    char dir[64];
    struct network *network;
    struct remote far, other;
    char far_ip[16];
};

static void sync_remote(struct remote *r)
{
    struct error err = {0};
    CLEANUP_BUF struct buf rules = BUF_INIT;
    if (r->overlay == NULL && overlay_new(NULL, &r->overlay, &err) != 0) {
        fail_msg("%s", err.message);
    }
    overlay_touched(r->overlay);
    overlay_set(r->overlay, &r->config, r->peers, r->count);
    if (overlay_sync(r->overlay, &err) != 0) {
        fail_msg("%s", err.message);
    }
    overlay_rules_write(r->overlay, "p0", &rules);
    CLEANUP_FREE char *path = xasprintf("%s/rules", r->dir), *command = xasprintf("nft -f %s", path);
    assert_int_equal(fs_write_file(path, buf_str(&rules), 0600, false, NULL), 0);
    run(command);
}

static void *sync_on_thread(void *arg)
{
    struct remote *r = arg;
    if (setns(places[r->where], CLONE_NEWNET) != 0) {
        return NULL;
    }
    sync_remote(r);
    return r;
}

static void tell_node(struct nodes *w, const char *far_ip)
{
    struct network_route routes[] = {{"10.244.2.0/24", "192.168.7.2"}, {FAR_PODS, far_ip}};
    snprintf(w->far_ip, sizeof w->far_ip, "%s", far_ip);
    assert_int_equal(network_set_routes(w->network, routes, far_ip[0] == '\0' ? 1 : 2, NULL), 0);
}

/* Of the other nodes: the far one has this address. */
static void tell_remotes(struct nodes *w, const char *far_ip)
{
    w->far.config.node = ip_of(far_ip);
    w->other.peers[1].node = ip_of(far_ip);
    on_thread(sync_on_thread, &w->far);
    on_thread(sync_on_thread, &w->other);
}

static bool says(const char *command)
{
    return system(command) == 0;
}

static void await_command(struct nodes *w, const char *command)
{
    int64_t until = env_now_ms(env_real()) + DEADLINE_MS;
    while (!says(command)) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        if (env_now_ms(env_real()) > until) {
            fail_msg("does not become true: %s", command);
        }
    }
}

/* Until the rules of the tunnel are in the kernel, too: they come with a program. */
static void await_tunnel(struct nodes *w)
{
    await_command(w, "ip -d link show reeve-vxlan 2>/dev/null | grep -q 'vxlan id' && "
                     "nft list table ip reeve-overlay >/dev/null 2>&1 && ip route | grep -q '10.244.3.0.*reeve-vxlan'");
}

static void open_node(struct nodes *w)
{
    struct error err = {0};
    struct network_config c = {.dir = w->dir,
                               .pod_cidr = "10.244.1.0/24",
                               .cluster_cidr = "10.244.0.0/16",
                               .bridge = "p1",
                               .node_ip = NODE_IP,
                               .pod_connections = -1};
    if (network_new(&w->loop, &c, &w->network, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void on_closed(void *data)
{
    *(bool *)data = true;
}

static void close_node(struct nodes *w)
{
    bool closed = false;
    network_close(w->network, on_closed, &closed);
    while (!closed) {
        uv_run(&w->loop, UV_RUN_ONCE);
    }
}

static int nodes_setup(void **state)
{
    *state = NULL;
    if (!isolated) {
        return 0;
    }
    struct nodes *w = xcalloc(1, sizeof *w);
    uv_loop_init(&w->loop);
    strcpy(w->dir, "/tmp/reeve-overlay-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    struct overlay_config c = {.id = OVERLAY_ID, .port = OVERLAY_PORT};
    const struct overlay_peer node = {range_of("10.244.1.0/24"), ip_of(NODE_IP)},
                              other = {range_of("10.244.2.0/24"), ip_of("192.168.7.2")},
                              far = {range_of(FAR_PODS), ip_of(FAR_IP)};
    w->far = (struct remote){FAR, NULL, c, {node, other}, 2, w->dir};
    w->other = (struct remote){OTHER, NULL, c, {node, far}, 2, w->dir};
    w->far.config.pods = far.pods;
    w->other.config.pods = other.pods;
    w->other.config.node = other.node;
    open_node(w);
    tell_node(w, FAR_IP);
    tell_remotes(w, FAR_IP);
    await_tunnel(w);
    *state = w;
    return 0;
}

static void *remove_on_thread(void *arg)
{
    struct remote *r = arg;
    struct error err = {0};
    if (setns(places[r->where], CLONE_NEWNET) != 0 || overlay_remove(&err) != 0) {
        return NULL;
    }
    run("nft add table ip reeve-overlay && nft delete table ip reeve-overlay");
    overlay_free(r->overlay);
    return r;
}

static int nodes_teardown(void **state)
{
    struct nodes *w = *state;
    struct error err = {0};
    if (w == NULL) {
        return 0;
    }
    close_node(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_int_equal(clean_node(&err), 0);
    on_thread(remove_on_thread, &w->far);
    on_thread(remove_on_thread, &w->other);
    run("! ip link show reeve-vxlan >/dev/null 2>&1 && ! nft list tables | grep reeve && ! ip route | grep 'proto 82'");
    fs_remove_tree(w->dir, NULL);
    free(w);
    return 0;
}

/* A kilobyte is more than one packet's worth by far; each byte is looked at. */
static void transfer(enum place from, enum place to, size_t bytes)
{
    struct opening server = {to, pod_ips[to], 9000, false, -1};
    int64_t until = env_now_ms(env_real()) + DEADLINE_MS;
    uint8_t out[32768], in[32768];
    size_t sent = 0, got = 0;
    on_thread(open_in_place, &server);
    CLEANUP_CLOSE int fd = client(from, false);
    assert_int_equal(dial(fd, pod_ips[to], 9000), 0);
    assert_int_equal(await(server.fd, POLLIN, DEADLINE_MS), 0);
    CLEANUP_CLOSE int peer = accept4(server.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(peer >= 0);
    close(server.fd);
    while (got < bytes && env_now_ms(env_real()) < until) {
        struct pollfd p[] = {{.fd = fd, .events = sent < bytes ? POLLOUT : 0}, {.fd = peer, .events = POLLIN}};
        poll(p, 2, 1000);
        size_t n = MIN(sizeof out, bytes - sent);
        for (size_t i = 0; i < n; i++) {
            out[i] = (uint8_t)((sent + i) * 7 >> 3);
        }
        ssize_t wrote = n == 0 ? 0 : send(fd, out, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += wrote > 0 ? (size_t)wrote : 0;
        ssize_t read_now = recv(peer, in, sizeof in, MSG_DONTWAIT);
        for (ssize_t i = 0; i < read_now; i++) {
            assert_int_equal(in[i], (uint8_t)((got + (size_t)i) * 7 >> 3));
        }
        got += read_now > 0 ? (size_t)read_now : 0;
    }
    assert_int_equal(got, bytes);
}

#define NEED_NODES(w)                                                                                                  \
    if ((w) == NULL)                                                                                                   \
    skip()

static void assert_reaches(enum place from, enum place to, const char *as)
{
    struct told t = ask(from, pod_ips[to], 8080);
    assert_answered(t);
    assert_int_equal(t.who, to);
    assert_string_equal(t.as, as);
}

/* set: 0 or 1, -1: as it is. */
static bool leaves_sums_to_others(int set)
{
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ethtool_value v = {.cmd = set < 0 ? ETHTOOL_GTXCSUM : ETHTOOL_STXCSUM, .data = set > 0};
    struct ifreq r = {.ifr_name = "reeve-vxlan", .ifr_data = (char *)&v};
    assert_int_equal(ioctl(fd, SIOCETHTOOL, &r), 0);
    return v.data != 0;
}

static void each_node_is_reached_in_its_own_way_and_pods_keep_their_address(void **state)
{
    struct nodes *w = *state;
    NEED_NODES(w);
    run("ip route | grep -q '10.244.2.0/24 via 192.168.7.2 dev n3 proto 82' && "
        "ip route | grep -q '10.244.3.0/24 via 10.244.3.0 dev reeve-vxlan proto 82 onlink'");
    run("ip -d link show reeve-vxlan | grep -q 'vxlan id 42 local 192.168.7.1 .*dstport 4789 nolearning'");
    run("ip link show reeve-vxlan | grep -q 'mtu 1450.* state' && ip link show reeve-vxlan | grep -q "
        "0e:52:0a:f4:01:00");
    assert_false(leaves_sums_to_others(-1));
    run("test $(cat /proc/sys/net/ipv4/conf/reeve-vxlan/rp_filter) = 2");
    assert_reaches(POD_1, POD_3, pod_ips[POD_1]);
    assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]);
    assert_reaches(FAR_POD, POD_2, pod_ips[FAR_POD]);
    assert_reaches(OTHER, FAR_POD, "10.244.2.0"); /* the node itself: answers come by the tunnel as well */
    assert_reaches(NODE, FAR_POD, "10.244.1.0");
    assert_reaches(FAR, POD_1, "10.244.3.0");
    /* what went over the router was the tunnel's, and nothing of it is in the table of connections */
    run_in(OUTSIDE, "nft list counter ip r pods | grep -q 'packets 0 ' && "
                    "! nft list counter ip r tunnel | grep -q 'packets 0 '");
    run("! grep 'dport=4789' /proc/net/nf_conntrack 2>/dev/null | grep -q " NODE_IP);
}

static void large_packets_and_streams_pass(void **state)
{
    struct nodes *w = *state;
    NEED_NODES(w);
    /* These pods have the usual size of packets: the tunnel has not. */
    run_in(POD_1, "ip link show eth0 | grep -q 'mtu 1500'");
    transfer(POD_1, FAR_POD, 4u << 20);
    transfer(FAR_POD, POD_1, 4u << 20);
    transfer(POD_1, POD_3, 1u << 20);
    CLEANUP_CLOSE int fd = client(POD_1, true);
    static char large[4000]; /* in pieces */
    assert_int_equal(dial(fd, pod_ips[FAR_POD], 8080), 0);
    assert_int_equal(send(fd, large, sizeof large, 0), (ssize_t)sizeof large);
    assert_int_equal(hear(fd, DEADLINE_MS).error, 0);
    /* Whoever wants no pieces is told the size. */
    CLEANUP_CLOSE int whole = client(POD_1, true);
    int want = IP_PMTUDISC_DO, mtu = 0;
    socklen_t size = sizeof mtu;
    assert_int_equal(setsockopt(whole, IPPROTO_IP, IP_MTU_DISCOVER, &want, sizeof want), 0);
    assert_int_equal(dial(whole, pod_ips[FAR_POD], 8080), 0);
    int64_t until = env_now_ms(env_real()) + DEADLINE_MS;
    do {
        (void)!send(whole, large, 1472, 0);
        assert_true(env_now_ms(env_real()) < until);
        getsockopt(whole, IPPROTO_IP, IP_MTU, &mtu, &size);
    } while (mtu == 1500);
    assert_int_equal(mtu, 1450);
    /* A link with smaller packets: the tunnel follows. */
    run("ip link set n4 mtu 1400");
    await_command(w, "ip link show reeve-vxlan | grep -q 'mtu 1350'");
    transfer(POD_1, FAR_POD, 1u << 20);
    run("ip link set n4 mtu 1500");
    await_command(w, "ip link show reeve-vxlan | grep -q 'mtu 1450'");
}

static void what_others_break_is_mended_at_once(void **state)
{
    struct nodes *w = *state;
    NEED_NODES(w);
    static const char *const breaks[] = {"ip link del reeve-vxlan",
                                         "ip route del 10.244.3.0/24",
                                         "ip link set reeve-vxlan down",
                                         "ip addr flush dev reeve-vxlan",
                                         "ip route replace 10.244.3.0/24 via 192.168.7.2 proto 82",
                                         "ip link set reeve-vxlan mtu 1200"};
    for (unsigned i = 0; i < ARRAY_SIZE(breaks); i++) {
        print_message("%s\n", breaks[i]);
        run(breaks[i]);
        await_command(w, "ip route | grep -q '10.244.3.0/24 via 10.244.3.0 dev reeve-vxlan' && "
                         "ip addr show dev reeve-vxlan | grep -q 'inet 10.244.1.0/32' && "
                         "ip link show reeve-vxlan | grep -q 'UP.*mtu 1450'");
        assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]);
    }
    assert_true(leaves_sums_to_others(1)); /* as udev's rules of some machines do */
    int64_t until = env_now_ms(env_real()) + DEADLINE_MS;
    while (leaves_sums_to_others(-1)) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        assert_true(env_now_ms(env_real()) < until);
    }
    /* nobody tells of these: they are found when it is looked */
    static const char *const quiet[] = {"bridge fdb del 0e:52:0a:f4:03:00 dev reeve-vxlan",
                                        "ip neigh del 10.244.3.0 dev reeve-vxlan",
                                        "bridge fdb replace 0e:52:0a:f4:03:00 dev reeve-vxlan dst 192.168.7.2"};
    for (unsigned i = 0; i < ARRAY_SIZE(quiet); i++) {
        print_message("%s\n", quiet[i]);
        run(quiet[i]);
        network_check_peers(w->network);
        await_command(w, "bridge fdb show dev reeve-vxlan | grep -q '0e:52:0a:f4:03:00 dst 192.168.9.3 self permanent' "
                         "&& ip neigh show dev reeve-vxlan | grep -q '10.244.3.0 lladdr 0e:52:0a:f4:03:00 PERMANENT'");
        assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]);
    }
    for (unsigned i = 0; i < 8; i++) {
        run(TELL_TOO_MUCH);
    }
    for (unsigned i = 0; i < 2; i++) { /* the first time it may not have been heard of before */
        run("nft flush ruleset");
        await_command(w, "nft list table ip reeve-overlay 2>/dev/null | grep -q 192.168.9.3");
    }
    /* The kernel takes the route to Services with the link. */
    run("ip link set n3 down && ip link set n3 up && ip route add 10.96.0.0/12 dev n3 src " NODE_IP);
    await_command(w, "ip route | grep -q '10.244.2.0/24 via 192.168.7.2 dev n3'");
    assert_reaches(POD_1, POD_3, pod_ips[POD_1]);
}

static void a_node_that_moves_or_goes_is_followed(void **state)
{
    struct nodes *w = *state;
    NEED_NODES(w);
    /* another address on its link */
    run_in(FAR, "ip addr del 192.168.9.3/24 dev eth0; ip addr add 192.168.9.4/24 dev eth0; "
                "ip route replace default via 192.168.9.9");
    tell_node(w, "192.168.9.4");
    tell_remotes(w, "192.168.9.4");
    await_command(w, "bridge fdb show dev reeve-vxlan | grep -q 'dst 192.168.9.4'");
    await_command(w, "nft list set ip reeve-overlay peers | grep -q 192.168.9.4");
    assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]);
    assert_reaches(FAR_POD, POD_1, pod_ips[FAR_POD]);

    /* it goes, and comes back */
    tell_node(w, "");
    await_command(w, "! ip link show reeve-vxlan >/dev/null 2>&1 && ! nft list table ip reeve-overlay >/dev/null 2>&1");
    run("! ip route | grep 10.244.3.0");
    assert_reaches(POD_1, POD_3, pod_ips[POD_1]);
    run_in(FAR, "ip addr del 192.168.9.4/24 dev eth0; ip addr add 192.168.9.3/24 dev eth0; "
                "ip route replace default via 192.168.9.9");
    tell_node(w, FAR_IP);
    tell_remotes(w, FAR_IP);
    await_tunnel(w);
    assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]);

    /* it is this node that moves: the tunnel begins at the new address */
    network_set_node(w->network, "192.168.8.1");
    await_command(w, "ip -d link show reeve-vxlan | grep -q 'local 192.168.8.1 '");
    network_set_node(w->network, NODE_IP);
    await_command(w, "ip -d link show reeve-vxlan | grep -q 'local " NODE_IP " '");
    await_tunnel(w);
    assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]);

    /* a machine's own route changes: the way to the peer is chosen anew, without a word from masters */
    run("ip link add direct type veth peer name d1 && ip addr add 192.168.9.1/24 dev direct && "
        "ip addr add " NODE_IP "/32 dev direct && ip link set direct up && ip link set d1 up && "
        "ip route del 192.168.9.0/24 via 192.168.8.9");
    await_command(w, "ip route | grep -q '10.244.3.0/24 via 192.168.9.3 dev direct proto 82'");
    run("! ip link show reeve-vxlan >/dev/null 2>&1");
    run("ip link del direct && ip route add 192.168.9.0/24 via 192.168.8.9");
    await_tunnel(w);
    assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]);
}

static void a_restarted_agent_changes_nothing(void **state)
{
    struct nodes *w = *state;
    NEED_NODES(w);
    unsigned index = if_nametoindex("reeve-vxlan");
    close_node(w);
    assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]); /* nobody is there, and it goes on */
    open_node(w);
    assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]);
    tell_node(w, FAR_IP);
    await_tunnel(w);
    assert_int_equal(if_nametoindex("reeve-vxlan"), index);
    assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]);
}

static void the_cluster_can_want_one_way_for_all(void **state)
{
    struct nodes *w = *state;
    NEED_NODES(w);
    network_set_overlay(w->network, STR("vxlan"), 77, 4790);
    await_command(w, "ip -d link show reeve-vxlan | grep -q 'vxlan id 77 .*dstport 4790' && "
                     "ip route | grep -q '10.244.2.0/24 via 10.244.2.0 dev reeve-vxlan' && "
                     "nft list table ip reeve-overlay | grep -q 4790");
    struct remote *remotes[] = {&w->far, &w->other};
    for (unsigned i = 0; i < 2; i++) {
        remotes[i]->config.mode = OVERLAY_VXLAN;
        remotes[i]->config.id = 77;
        remotes[i]->config.port = 4790;
        on_thread(sync_on_thread, remotes[i]);
    }
    assert_reaches(POD_1, POD_3, pod_ips[POD_1]);
    assert_reaches(POD_1, FAR_POD, pod_ips[POD_1]);
    network_set_overlay(w->network, STR("host-gw"), 0, 0);
    await_command(w,
                  "! ip link show reeve-vxlan >/dev/null 2>&1 && ip route | grep -q '10.244.2.0/24 via 192.168.7.2'");
    network_set_overlay(w->network, STR("auto"), 0, 0);
    await_tunnel(w);
    run("ip -d link show reeve-vxlan | grep -q 'vxlan id 42'");
}

/* The tunnel has no keys: who may send into it is known by address. */
static void strangers_and_pods_send_nothing_into_the_tunnel(void **state)
{
    struct nodes *w = *state;
    NEED_NODES(w);
    run_in(OUTSIDE, "ip link add vx type vxlan id 42 dstport 4789 nolearning local 192.168.8.9; "
                    "ip addr add 10.244.3.9/32 dev vx; ip link set vx up; "
                    "ip neigh add 10.244.1.0 lladdr 0e:52:0a:f4:01:00 dev vx nud permanent; "
                    "bridge fdb add 0e:52:0a:f4:01:00 dev vx dst 192.168.7.1; "
                    "ip route add 10.244.1.0/24 via 10.244.1.0 dev vx onlink src 10.244.3.9");
    assert_no_answer(ask_within(OUTSIDE, false, pod_ips[POD_1], 8080, SILENCE_MS));
    run_in(OUTSIDE, "ip link del vx");
    /* a datagram of a pod to the port, here and at the other node: its node would be taken for the sender */
    run("nft add table ip t && nft add counter ip t in && nft add chain ip t c '{ type filter hook forward priority "
        "100; }' && nft add rule ip t c iifname p1 udp dport 4789 counter name in");
    CLEANUP_CLOSE int fd = client(POD_1, true);
    assert_int_equal(dial(fd, FAR_IP, 4789), 0);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    assert_no_answer(hear(fd, SILENCE_MS));
    run("nft list counter ip t in | grep -q 'packets 0 ' && nft delete table ip t");
}

#define CROWD 5000u

static double core_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Half of them on the link, half behind the router; then one more address, and nothing. */
static void thousands_of_nodes_are_reached(void **state)
{
    struct nodes *w = *state;
    NEED_NODES(w);
    struct overlay_peer *peers = xcalloc(CROWD, sizeof *peers);
    struct overlay_state before, after;
    struct overlay *o;
    struct error err = {0};
    struct overlay_config c = {
        .id = OVERLAY_ID, .port = OVERLAY_PORT, .node = ip_of(NODE_IP), .pods = range_of("10.244.1.0/24")};
    const char *const what[] = {"all", "one that moves", "nothing", "all gone"};
    close_node(w);
    assert_int_equal(overlay_new(NULL, &o, &err), 0);
    for (unsigned i = 0; i < CROWD; i++) {
        peers[i].pods = (struct cidr){ip_of("10.128.0.0") + i * 256, 24};
        peers[i].node = i % 2 == 0 ? ip_of("192.168.7.3") + i % 200 : ip_of("192.168.9.3") + i;
    }
    for (unsigned step = 0; step < ARRAY_SIZE(what); step++) {
        peers[77].node += step == 1;
        overlay_get_state(o, &before);
        double from = core_ms();
        overlay_set(o, &c, peers, step == 3 ? 0 : CROWD);
        if (overlay_sync(o, &err) != 0) {
            fail_msg("%s", err.message);
        }
        double took = core_ms() - from;
        overlay_get_state(o, &after);
        print_message("%s: %lu changes, %.1f ms of a core\n", what[step], after.changes - before.changes, took);
        assert_int_equal(after.direct + after.tunnels, step == 3 ? 0 : CROWD);
        assert_int_equal(after.changes - before.changes > 1, step == 0 || step == 3);
        assert_int_equal(after.changes == before.changes, step == 2);
    }
    c.mode = OVERLAY_HOST_GW; /* over a link that there is not: said, with what helps */
    overlay_set(o, &c, peers, 2);
    assert_int_equal(overlay_sync(o, &err), ERR_SYSTEM);
    assert_non_null(strstr(err.message, "10.128.1.0/24"));
    assert_non_null(strstr(err.message, "podRouting=auto"));
    run("ip route | grep -q '10.128.0.0/24 via 192.168.7.3'"); /* the others have theirs */
    overlay_set(o, &c, NULL, 0);
    assert_int_equal(overlay_sync(o, &err), 0);
    overlay_free(o);
    free(peers);
    open_node(w);
}

/* ---- Services ---- */

static void a_service_leads_through_the_tunnel(void **state)
{
    struct nodes *w = *state;
    NEED_NODES(w);
    struct world world = {.services = NULL};
    uv_loop_init(&world.loop);
    start_services(&world);
    put_port(&world, (struct service_port){.node_port = 30080}, "10.244.3.1 ready");
    struct told t = ask(POD_1, "10.96.0.7", 80);
    assert_answered(t);
    assert_int_equal(t.who, FAR_POD);
    assert_string_equal(t.as, pod_ips[POD_1]);
    /* from another machine, over a third node's port: the answer must come back through it */
    t = ask(OUTSIDE, NODE_IP, 30080);
    assert_answered(t);
    assert_int_equal(t.who, FAR_POD);
    assert_string_equal(t.as, "10.244.1.0");
    t = ask(NODE, "10.96.0.7", 80);
    assert_answered(t);
    t = ask(OTHER, NODE_IP, 30080);
    assert_answered(t);
    unsigned tries = 0; /* sums are right each time: a wrong one costs a second at least */
    int64_t begun = env_now_ms(env_real());
    for (; tries < 50; tries++) {
        assert_answered(ask(OUTSIDE, NODE_IP, 30080));
    }
    print_message("%u connections in %d ms\n", tries, (int)(env_now_ms(env_real()) - begun));
    stop_services(&world, true);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world.loop), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, nodes_setup, nodes_teardown)
int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    enter_world();
    if (isolated) {
        enter_far();
        run("ip route del 10.244.2.0/24");
        run_in(OTHER, "echo 1 > /proc/sys/net/ipv4/ip_forward");
        serve(FAR_POD, false);
        serve(FAR_POD, true);
        start_servers();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_is_direct_only_where_both_nodes_see_one_link),
        cmocka_unit_test(changes_lead_no_packet_to_nowhere),
        cmocka_unit_test(packets_are_made_smaller_only_where_that_is_needed),
        T(each_node_is_reached_in_its_own_way_and_pods_keep_their_address),
        T(large_packets_and_streams_pass),
        T(what_others_break_is_mended_at_once),
        T(a_node_that_moves_or_goes_is_followed),
        T(a_restarted_agent_changes_nothing),
        T(the_cluster_can_want_one_way_for_all),
        T(strangers_and_pods_send_nothing_into_the_tunnel),
        T(a_service_leads_through_the_tunnel),
        T(thousands_of_nodes_are_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
