/* Sandboxes, pods that reach each other and whom they do not reach, routes to other nodes. */
#include "tests/unit/agent_network.h"
#include "agent/network/podlink.h"

#include "agent/network/guard.h"

static void a_sandbox_is_kept_without_a_process_and_found_again(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    struct sandbox found;
    char dir[80], uid[64];
    unsigned cursor = 0, count = 0;
    make_sandboxes(f);
    assert_string_equal(f->sb[0].hostname, "one");
    assert_true(fs_is_mount(f->sb[0].net) && fs_is_mount(f->sb[0].uts) && fs_is_mount(f->sb[0].ipc));
    assert_true(fs_is_mount(f->sb[0].shm));
    assert_int_equal(sandbox_set_ip(f->sandboxes, &f->sb[0], "10.9.8.7", "1.2.3.4 extra\n", NULL), 0);
    CLEANUP_BUF struct buf hosts = BUF_INIT;
    assert_int_equal(fs_read_file(f->sb[0].hosts, 4096, &hosts, NULL), 0);
    assert_non_null(strstr(buf_cstr(&hosts), "10.9.8.7\tone.svc\tone\n"));
    assert_non_null(strstr(buf_cstr(&hosts), "1.2.3.4 extra\n"));

    sandbox_store_close(f->sandboxes, NULL, NULL);
    for (unsigned i = 0; i < 3; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    snprintf(dir, sizeof dir, "%s/sandboxes", f->dir);
    assert_int_equal(sandbox_store_new(&f->loop, dir, NULL, &f->sandboxes, NULL), 0);
    assert_true(sandbox_find(f->sandboxes, POD_1, &found));
    assert_string_equal(found.ip, "10.9.8.7");
    assert_string_equal(found.net, f->sb[0].net);
    while (sandbox_next(f->sandboxes, &cursor, uid)) {
        count++;
    }
    assert_int_equal(count, 2);
    /* the namespace is alive: something can listen in it */
    int listener = listen_in(found.net, 80);
    assert_true(listener >= 0);
    close(listener);
    sandbox_remove(f->sandboxes, POD_1, on_done, f);
    wait_for(f, &f->dones, 1);
    assert_int_equal(f->error, 0);
    assert_false(sandbox_find(f->sandboxes, POD_1, &found));
    assert_false(fs_exists(f->sb[0].net));
}

static void a_host_network_sandbox_shares_the_nodes(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    sandbox_make(f->sandboxes, &(struct sandbox_spec){.uid = POD_1, .hostname = "one", .host_network = true},
                 on_sandbox, f);
    wait_for(f, &f->made, 1);
    assert_int_equal(f->error, 0);
    assert_string_equal(f->sb[0].net, "");
    assert_string_equal(f->sb[0].uts, "");
    assert_string_not_equal(f->sb[0].ipc, "");
    char name[128];
    gethostname(name, sizeof name);
    assert_string_equal(f->sb[0].hostname, name);
}

static void settings_and_the_full_name_are_of_the_pod_alone(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    char before[64], after[64], inside[64], uts[SANDBOX_UTS_MAX];
    static const char path[] = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    struct sandbox_sysctl sysctls[] = {{"net.ipv4.ip_unprivileged_port_start", "77"}, {"kernel.shm_rmid_forced", "1"}};
    struct sandbox_spec spec = {.uid = POD_1,
                                .hostname = "one",
                                .domain = "sub.ns.svc.cluster.local",
                                .fqdn = true,
                                .sysctls = sysctls,
                                .sysctls_count = 2};
    assert_true(fs_read_line(path, before, sizeof before));
    sandbox_make(f->sandboxes, &spec, on_sandbox, f);
    wait_for(f, &f->made, 1);
    assert_string_equal(f->message, "");
    assert_int_equal(read_in(f->sb[0].net, path, inside, sizeof inside), 0);
    assert_string_equal(inside, "77");
    assert_true(fs_read_line(path, after, sizeof after));
    assert_string_equal(after, before);
    sandbox_uts_name(&f->sb[0], uts);
    assert_string_equal(uts, "one.sub.ns.svc.cluster.local");
    assert_true(fs_read_line(f->sb[0].hostname_file, inside, sizeof inside));
    assert_string_equal(inside, "one.sub.ns.svc.cluster.local");
    struct sandbox found;
    assert_true(sandbox_find(f->sandboxes, POD_1, &found) && found.fqdn);

    /* what the kernel refuses, or is none of its settings, is told */
    sysctls[1] = (struct sandbox_sysctl){"net.ipv4.tcp_syncookies", "many"};
    spec.uid = POD_2;
    sandbox_make(f->sandboxes, &spec, on_sandbox, f);
    wait_for(f, &f->made, 2);
    assert_non_null(strstr(f->message, "cannot set sysctl net.ipv4.tcp_syncookies to \"many\""));
    sysctls[1] = (struct sandbox_sysctl){"net.//.kernel.panic", "1"};
    sandbox_make(f->sandboxes, &spec, on_sandbox, f);
    wait_for(f, &f->made, 3);
    assert_non_null(strstr(f->message, "is no kernel setting"));
    spec.domain = "a-very-long-name-of-a-domain.of-a-namespace.svc.cluster.local";
    sandbox_make(f->sandboxes, &spec, on_sandbox, f);
    wait_for(f, &f->made, 4);
    assert_non_null(strstr(f->message, "too long (65 characters; 64 are possible)"));
    assert_false(sandbox_find(f->sandboxes, POD_2, &found));
}

static void pods_reach_each_other(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    char ip[2][64], peer[64];
    make_sandboxes(f);
    open_network(f, "");
    /* asked for before the range is known: waits */
    network_add(f->n, &(struct network_pod){.uid = POD_1, .name = "one", .ns = "default", .netns = f->sb[0].net},
                on_add, f);
    for (unsigned i = 0; i < 3; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(f->adds, 0);
    assert_int_equal(network_set_pod_cidr(f->n, "10.98.7.0/24", NULL), 0);
    wait_for(f, &f->adds, 1);
    assert_string_equal(f->message, "");
    strcpy(ip[0], f->ip);
    network_add(f->n, &(struct network_pod){.uid = POD_2, .name = "two", .ns = "default", .netns = f->sb[1].net},
                on_add, f);
    wait_for(f, &f->adds, 2);
    strcpy(ip[1], f->ip);
    assert_string_not_equal(ip[0], ip[1]);
    assert_true(strncmp(ip[0], "10.98.7.", 8) == 0);
    assert_int_equal(network_set_pod_cidr(f->n, "10.99.0.0/24", NULL), ERR_CONFLICT);

    int listener = listen_in(f->sb[0].net, 8080);
    assert_true(listener >= 0);
    /* from the node, from the other pod, and inside the pod */
    network_connect(&f->loop, NULL, ip[0], 8080, 3000, on_connect, f);
    assert_int_equal(f->connects, 0);
    wait_for(f, &f->connects, 1);
    assert_int_equal(f->error, 0);
    close(f->fd);
    accept_from(listener, peer);
    assert_string_equal(peer, "10.98.7.1");
    network_connect(&f->loop, f->sb[1].net, ip[0], 8080, 3000, on_connect, f);
    wait_for(f, &f->connects, 2);
    assert_int_equal(f->error, 0);
    close(f->fd);
    accept_from(listener, peer);
    assert_string_equal(peer, ip[1]);
    network_connect(&f->loop, f->sb[0].net, NULL, 8080, 3000, on_connect, f);
    wait_for(f, &f->connects, 3);
    assert_int_equal(f->error, 0);
    close(f->fd);
    accept_from(listener, peer);
    assert_string_equal(peer, "127.0.0.1");
    close(listener);
    /* nobody listens any more */
    network_connect(&f->loop, f->sb[0].net, NULL, 8080, 3000, on_connect, f);
    wait_for(f, &f->connects, 4);
    assert_int_equal(f->fd, -1);
    assert_non_null(strstr(f->message, "refused"));

    /* another agent takes them down */
    close_network(f);
    open_network(f, NULL);
    assert_string_equal(network_pod_cidr(f->n), "10.98.7.0/24");
    network_del(f->n, POD_1, f->sb[0].net, on_done, f);
    wait_for(f, &f->dones, 1);
    assert_int_equal(f->error, 0);
    network_del(f->n, POD_2, f->sb[1].net, on_done, f);
    wait_for(f, &f->dones, 2);
    network_del(f->n, POD_2, f->sb[1].net, on_done, f);
    wait_for(f, &f->dones, 3);
    assert_int_equal(f->error, 0);
    char leases[160];
    snprintf(leases, sizeof leases, "test -z \"$(ls %s/net/leases/reeve | grep '^10')\"", f->dir);
    assert_int_equal(system(leases), 0);
    close_network(f);
}

/* What podlink.h promises, as iproute2 sees it at once behind the callback. */
static void a_pods_link_is_ready_and_gives_itself_no_other_address(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    char command[2000];
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    add_pod(f, 0, NULL, 0);
    snprintf(command, sizeof command,
             "set -e; [ $(bridge -d link | grep -c 'state forwarding.*') = 1 ]; bridge -d link | grep -q 'hairpin on'\n"
             "pod() { nsenter --net=%s \"$@\"; }\n"
             "pod ip -4 -o addr show eth0 | grep -q 'inet %s/24 brd 10.98.7.255'\n"
             "pod ip -o link show eth0 | grep -q 'link/ether 0a:58:0a:62:07:02'\n"
             "[ -z \"$(pod ip -6 -o addr show eth0; ip -6 -o addr show | grep veth || :)\" ]\n"
             "pod ip route | sed 's/ *$//' >/tmp/reeve-routes-$PPID; printf '%%s\\n' 'default via 10.98.7.1 dev eth0' "
             "'10.98.7.0/25 via 10.98.7.1 dev eth0' '10.98.7.128/25 via 10.98.7.1 dev eth0' | "
             "while read -r l; do grep -qF \"$l\" /tmp/reeve-routes-$PPID; done; rm /tmp/reeve-routes-$PPID",
             f->sb[0].net, f->ip);
    assert_int_equal(system(command), 0);
    /* of an earlier agent, whose links had other names */
    assert_int_equal(system("l=$(ip -o link | grep -o 'veth[0-9a-f]*' | head -n 1); ip link set $l down && "
                            "ip link set $l name vethold"),
                     0);
    del_pod(f, 0);
    assert_int_not_equal(system("ip link show vethold >/dev/null 2>&1"), 0);
    /* another range: the bridge keeps no address of the former one */
    close_network(f);
    CLEANUP_FREE char *remembered = xasprintf("%s/net/pod-cidr", f->dir);
    unlink(remembered);
    open_network(f, "10.97.7.0/25");
    add_pod(f, 0, NULL, 0);
    assert_int_equal(system("ip -4 -o addr show reeve-t | grep -q '10.97.7.1/25' && "
                            "[ $(ip -4 -o addr show reeve-t | wc -l) = 1 ]"),
                     0);
    del_pod(f, 0);
    /* as of an agent that ended between two steps: an address and no carrier, then a former address and none else */
    assert_int_equal(system("ip link set reeve-t down"), 0);
    add_pod(f, 0, NULL, 0);
    assert_int_equal(system("ip -o link show up | grep -q reeve-t:"), 0);
    del_pod(f, 0);
    assert_int_equal(system("ip addr flush dev reeve-t && ip addr add 10.97.7.1/24 dev reeve-t"), 0);
    add_pod(f, 0, NULL, 0);
    assert_int_equal(system("ip -4 -o addr show reeve-t | grep -q '10.97.7.1/25' && "
                            "[ $(ip -4 -o addr show reeve-t | wc -l) = 1 ]"),
                     0);
    del_pod(f, 0);
    close_network(f);
}

/* The link that an attempt left cannot be deleted (in its place stands one that the kernel keeps). */
static void an_address_is_taken_as_long_as_a_link_has_it(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    char link[IFNAMSIZ];
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    add_pod(f, 0, NULL, 0);
    podlink_name(POD_1, link);
    CLEANUP_FREE char *stuck = xasprintf("ip link del %s && ip link set lo down && ip link set lo name %s", link, link);
    CLEANUP_FREE char *free_again = xasprintf("ip link set %s name lo && ip link set lo up", link);
    CLEANUP_FREE char *lease = xasprintf("%s/net/leases/reeve/%s", f->dir, f->ip);
    assert_true(fs_exists(lease));
    assert_int_equal(system(stuck), 0);
    unsigned adds = f->adds;
    struct network_pod pod = {.uid = POD_1, .name = "pod", .ns = "default", .netns = f->sb[0].net};
    network_add(f->n, &pod, on_add, f);
    wait_for(f, &f->adds, adds + 1);
    assert_int_equal(system(free_again), 0);
    assert_non_null(strstr(f->message, "cannot delete the pod's link"));
    assert_true(fs_exists(lease));
    network_add(f->n, &pod, on_add, f);
    wait_for(f, &f->adds, adds + 2);
    assert_string_equal(f->message, "");
    assert_false(fs_exists(lease)); /* the next one in turn */
    del_pod(f, 0);
    close_network(f);
}

/* A master of this machine, and one of another (here another namespace behind a link). */
static void pods_are_kept_from_the_masters_and_from_nothing_else(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    char command[1400];
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    add_pod(f, 0, NULL, 0);
    const char *far = f->sb[1].net;
    snprintf(
        command, sizeof command,
        "ip link add far0 type veth peer name far1 && ip link set far1 netns %s && ip addr add 192.168.77.1/24 dev "
        "far0 && ip link set far0 up && nsenter --net=%s sh -c 'ip addr add 192.168.77.2/24 dev far1 && ip link set "
        "far1 up && ip route add default via 192.168.77.1'",
        far, far);
    assert_int_equal(system(command), 0);
    int here = listen_in("/proc/self/ns/net", 17400), there = listen_in(far, 17400), other = listen_in(far, 17401);
    const char *pod = f->sb[0].net;
    assert_true(reaches(f, pod, "10.98.7.1", 17400));
    assert_true(reaches(f, pod, "192.168.77.2", 17400));
    /* 192.168.77.1 is an address of this node: its port is closed on all of them. */
    const struct network_closed masters[] = {{"192.168.77.2", 17400}, {"192.168.77.1", 17400}};
    network_set_closed(f->n, masters, 2);
    struct network_port port = {18080, 8080, "tcp", NULL};
    add_pod(f, 1, &port, 1); /* waits for the rules */
    static const char *const ours[] = {"10.98.7.1", "192.168.77.1", "192.168.77.2"};
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        assert_false(reaches(f, pod, ours[i], 17400));
        if (strstr(f->message, "refused") == NULL) { /* at once, not by a timeout */
            fail_msg("%s: %s", ours[i], f->message);
        }
    }
    /* Nor by way of a Service, and it hears so at once. */
    assert_int_equal(
        system("nft 'add table ip lead; add chain ip lead pre { type nat hook prerouting priority -100; }; "
               "add rule ip lead pre ip daddr 10.96.0.1 tcp dport 443 dnat to 192.168.77.2:17400'"),
        0);
    assert_false(reaches(f, pod, "10.96.0.1", 443));
    assert_non_null(strstr(f->message, "refused"));
    assert_int_equal(system("nft delete table ip lead"), 0);
    assert_true(reaches(f, pod, "192.168.77.2", 17401));
    assert_true(reaches(f, NULL, "192.168.77.2", 17400)); /* the node itself */
    assert_true(reaches(f, NULL, "192.168.77.1", 17400));
    network_set_closed(f->n, NULL, 0);
    del_pod(f, 1);
    assert_true(reaches(f, pod, "192.168.77.2", 17400));
    /* Where pods act as accounts they reach them, from the agent's start on; until that is over. */
    struct guard *guard = guard_new(&f->loop, f->n, true, NULL);
    guard_add(guard, STR("192.168.77.2:17400"));
    add_pod(f, 1, &port, 1);
    assert_true(reaches(f, pod, "192.168.77.2", 17400));
    guard_set_open(guard, false);
    del_pod(f, 1);
    assert_false(reaches(f, pod, "192.168.77.2", 17400));
    assert_non_null(strstr(f->message, "refused"));
    guard_set_open(guard, true);
    add_pod(f, 1, &port, 1);
    assert_true(reaches(f, pod, "192.168.77.2", 17400));
    del_pod(f, 1);
    guard_close(guard);
    del_pod(f, 0);
    assert_int_equal(system("ip link del far0"), 0);
    close(here);
    close(there);
    close(other);
    close_network(f);
}

static void connecting_gives_up_in_time(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    network_connect(&f->loop, "/no/such/netns", NULL, 80, 1000, on_connect, f);
    wait_for(f, &f->connects, 1);
    assert_int_equal(f->fd, -1);
    network_connect(&f->loop, NULL, "no address", 80, 1000, on_connect, f);
    wait_for(f, &f->connects, 2);
    assert_int_equal(f->error, ERR_INVALID);
    /* a neighbour that does not answer */
    assert_int_equal(
        system("ip link add rt0 type veth peer name rt1 && ip addr add 10.97.0.1/24 dev rt0 && ip link set rt0 up && "
               "ip link set rt1 up && ip neigh add 10.97.0.9 lladdr 02:00:00:00:00:09 dev rt0"),
        0);
    network_connect(&f->loop, NULL, "10.97.0.9", 80, 50, on_connect, f);
    wait_for(f, &f->connects, 3);
    assert_int_equal(f->error, ERR_TIMEOUT);
    assert_int_equal(system("ip link del rt0"), 0);
}

static int shell(const char *cmd)
{
    return system(cmd);
}

static void routes_follow_the_list(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    assert_int_equal(
        shell("ip link add rt0 type veth peer name rt1 && ip addr add 10.97.0.1/24 dev rt0 && ip link set rt0 up && "
              "ip link set rt1 up && ip route add 10.50.0.0/16 via 10.97.0.200"),
        0);
    open_network(f, "10.98.7.0/24");
    struct network_route one[] = {
        {"10.98.1.0/24", "10.97.0.11"}, {"10.98.2.0/24", "10.97.0.12"}, {"10.98.7.0/24", "10.97.0.1"}};
    struct network_route two[] = {{"10.98.2.0/24", "10.97.0.22"}, {"nonsense", "x"}};
    assert_int_equal(network_set_routes(f->n, one, 3, NULL), 0);
    assert_int_equal(shell("ip route show 10.98.1.0/24 | grep -q 'via 10.97.0.11'"), 0);
    assert_int_equal(shell("ip route show 10.98.2.0/24 | grep -q 'via 10.97.0.12'"), 0);
    assert_int_equal(shell("test -z \"$(ip route show 10.98.7.0/24 | grep via)\""), 0);
    /* another process' routes are left alone, also after a restart */
    close_network(f);
    open_network(f, NULL);
    assert_int_equal(network_set_routes(f->n, two, 2, NULL), ERR_INVALID);
    assert_int_equal(shell("test -z \"$(ip route show 10.98.1.0/24)\""), 0);
    assert_int_equal(shell("ip route show 10.98.2.0/24 | grep -q 'via 10.97.0.22'"), 0);
    assert_int_equal(shell("ip route show 10.50.0.0/16 | grep -q 'via 10.97.0.200'"), 0);
    assert_int_equal(network_set_routes(f->n, NULL, 0, NULL), 0);
    assert_int_equal(shell("test -z \"$(ip route show 10.98.2.0/24)\""), 0);
    close_network(f);
    assert_int_equal(shell("ip link del rt0"), 0);
}

static void pods_have_packets_that_fit_into_the_tunnel_once_there_is_one(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    char mtu[16];
    static const char path[] = "/proc/sys/net/ipv6/conf/eth0/mtu";
    assert_int_equal(shell("ip link add rt0 type veth peer name rt1 && ip addr add 10.97.0.1/24 dev rt0 && "
                           "ip link set rt0 up && ip link set rt1 up && ip route add 10.60.0.0/16 via 10.97.0.200"),
                     0);
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    struct network_route routes[] = {{"10.98.1.0/24", "10.97.0.11"}, {"10.98.2.0/24", "10.60.0.12"}};
    assert_int_equal(network_set_routes(f->n, routes, 1, NULL), 0);
    add_pod(f, 0, NULL, 0);
    assert_int_equal(read_in(f->sb[0].net, path, mtu, sizeof mtu), 0);
    assert_string_equal(mtu, "1500");
    assert_int_equal(network_set_routes(f->n, routes, 2, NULL), 0);
    while (shell("ip link show reeve-vxlan >/dev/null 2>&1") != 0) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    add_pod(f, 1, NULL, 0);
    assert_int_equal(read_in(f->sb[1].net, path, mtu, sizeof mtu), 0);
    assert_string_equal(mtu, "1450");
    /* both speak with each other, in packets of any size */
    int listener = listen_in(f->sb[0].net, 8080);
    assert_true(reaches(f, f->sb[1].net, "10.98.7.2", 8080));
    close(listener);
    del_pod(f, 0);
    del_pod(f, 1);
    assert_int_equal(network_set_routes(f->n, NULL, 0, NULL), 0);
    while (shell("ip link show reeve-vxlan >/dev/null 2>&1") == 0) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    close_network(f);
    assert_int_equal(shell("ip link del rt0"), 0);
}

static void add_again(struct fixture *f, unsigned which, const char *wish)
{
    static const char *const uids[] = {POD_1, POD_2};
    unsigned adds = f->adds;
    network_add(f->n,
                &(struct network_pod){
                    .uid = uids[which], .name = "pod", .ns = "default", .netns = f->sb[which].net, .wish = wish},
                on_add, f);
    wait_for(f, &f->adds, adds + 1);
    assert_string_equal(f->message, "");
}

/* As after a power cut: other nodes, names and policies go on knowing it by that address. */
static void a_pod_gets_the_address_that_it_had_if_nobody_has_it(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_NFT();
    make_sandboxes(f);
    open_network(f, "10.98.7.0/24");
    add_again(f, 0, "10.98.7.77");
    assert_string_equal(f->ip, "10.98.7.77");
    add_again(f, 1, "10.98.7.77");
    assert_true(strncmp(f->ip, "10.98.7.", 8) == 0);
    assert_string_not_equal(f->ip, "10.98.7.77");
    del_pod(f, 0);
    add_again(f, 0, "10.98.7.77"); /* also at once behind its end */
    assert_string_equal(f->ip, "10.98.7.77");
    static const char *const impossible[] = {"10.99.7.77", "10.98.7.1", "10.98.7.255", "fd00::1", "1;IP=10.98.7.9", ""};
    for (unsigned i = 0; i < ARRAY_SIZE(impossible); i++) {
        del_pod(f, 1);
        add_again(f, 1, impossible[i]);
        assert_true(strncmp(f->ip, "10.98.7.", 8) == 0);
        assert_string_not_equal(f->ip, impossible[i]);
    }
    del_pod(f, 0);
    del_pod(f, 1);
    close_network(f);
}

static void hollow_addresses_are_counted(void **state)
{
    (void)state;
    struct fixture f = {0};
    uv_loop_init(&f.loop);
    f.n = network_hollow_new(&f.loop, "10.1.2.0/24");
    network_add(f.n, &(struct network_pod){.uid = "a", .name = "a", .ns = "d"}, on_add, &f);
    assert_int_equal(f.adds, 0);
    while (f.adds == 0) {
        uv_run(&f.loop, UV_RUN_NOWAIT);
    }
    assert_string_equal(f.ip, "10.1.2.2");
    network_add(f.n, &(struct network_pod){.uid = "b", .name = "b", .ns = "d"}, on_add, &f);
    while (f.adds == 1) {
        uv_run(&f.loop, UV_RUN_NOWAIT);
    }
    assert_string_equal(f.ip, "10.1.2.3");
    network_close(f.n, NULL, NULL);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
}

int main(void)
{
    isolated = enter_isolation();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sandbox_is_kept_without_a_process_and_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_host_network_sandbox_shares_the_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_and_the_full_name_are_of_the_pod_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(pods_reach_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pods_link_is_ready_and_gives_itself_no_other_address, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_is_taken_as_long_as_a_link_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(pods_are_kept_from_the_masters_and_from_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pod_gets_the_address_that_it_had_if_nobody_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(connecting_gives_up_in_time, setup, teardown),
        cmocka_unit_test_setup_teardown(routes_follow_the_list, setup, teardown),
        cmocka_unit_test_setup_teardown(pods_have_packets_that_fit_into_the_tunnel_once_there_is_one, setup, teardown),
        cmocka_unit_test(hollow_addresses_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
