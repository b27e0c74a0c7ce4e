#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/fsutil.h"
#include "agent/network.h"
#include "agent/network_int.h"
#include "agent/sandbox.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

/* Everything here happens in a network and mount namespace of the test's own, made by main. */
static bool isolated;

#define POD_1 "pod-1"
#define POD_2 "pod-2"

struct fixture {
    uv_loop_t loop;
    uv_timer_t limit;
    bool limit_hit;
    char dir[64];
    struct sandbox_store *sandboxes;
    struct network *n;
    struct sandbox sb[2];
    unsigned made, dones, adds, connects;
    int error, fd;
    char ip[64], message[ERROR_MESSAGE_MAX];
};

static void remember(struct fixture *f, const struct error *err)
{
    f->error = err == NULL ? 0 : err->code;
    snprintf(f->message, sizeof f->message, "%s", err == NULL ? "" : err->message);
    uv_stop(&f->loop);
}
static void on_sandbox(const struct sandbox *sb, const struct error *err, void *data)
{
    struct fixture *f = data;
    remember(f, err);
    if (sb != NULL) {
        f->sb[f->made % 2] = *sb;
    }
    f->made++;
}
static void on_add(const char *ip, const struct error *err, void *data)
{
    struct fixture *f = data;
    remember(f, err);
    snprintf(f->ip, sizeof f->ip, "%s", ip == NULL ? "" : ip);
    f->adds++;
}
static void on_done(const struct error *err, void *data)
{
    struct fixture *f = data;
    remember(f, err);
    f->dones++;
}
static void on_connect(int fd, const struct error *err, void *data)
{
    struct fixture *f = data;
    remember(f, err);
    f->fd = fd;
    f->connects++;
}
static void on_limit(uv_timer_t *t)
{
    struct fixture *f = t->data;
    f->limit_hit = true;
    uv_stop(&f->loop);
}
static void wait_for(struct fixture *f, const unsigned *counter, unsigned n)
{
    f->limit_hit = false;
    uv_timer_start(&f->limit, on_limit, 120000, 0);
    while (*counter < n && !f->limit_hit) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    uv_timer_stop(&f->limit);
    assert_int_equal(*counter, n);
}

static void open_network(struct fixture *f, const char *cidr)
{
    char dir[80];
    struct error err = {0};
    snprintf(dir, sizeof dir, "%s/net", f->dir);
    struct network_config c = {.dir = dir, .pod_cidr = cidr, .bridge = "reeve-t"};
    if (network_new(&f->loop, &c, &f->n, &err) != 0) {
        fail_msg("%s", err.message);
    }
}
static void close_network(struct fixture *f)
{
    network_close(f->n, NULL, NULL);
    for (unsigned i = 0; i < 3; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

static int setup(void **state)
{
    *state = NULL;
    if (!isolated) {
        return 0;
    }
    struct fixture *f = xcalloc(1, sizeof *f);
    char dir[80];
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->limit);
    f->limit.data = f;
    strcpy(f->dir, "/tmp/reeve-network-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(dir, sizeof dir, "%s/sandboxes", f->dir);
    assert_int_equal(sandbox_store_new(&f->loop, dir, NULL, &f->sandboxes, NULL), 0);
    *state = f;
    return 0;
}
static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f == NULL) {
        return 0;
    }
    f->dones = 0;
    sandbox_remove(f->sandboxes, POD_1, on_done, f);
    sandbox_remove(f->sandboxes, POD_2, on_done, f);
    wait_for(f, &f->dones, 2);
    sandbox_store_close(f->sandboxes, NULL, NULL);
    uv_close((uv_handle_t *)&f->limit, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    fs_unmount_below(f->dir, NULL);
    fs_remove_tree(f->dir, NULL);
    free(f);
    return 0;
}
#define NEED_ISOLATION(f)                                                                                              \
    if ((f) == NULL)                                                                                                   \
    skip()

static void make_sandboxes(struct fixture *f)
{
    f->made = 0;
    sandbox_make(f->sandboxes, &(struct sandbox_spec){.uid = POD_1, .hostname = "one", .domain = "svc"}, on_sandbox, f);
    assert_int_equal(f->made, 0);
    wait_for(f, &f->made, 1);
    assert_string_equal(f->message, "");
    sandbox_make(f->sandboxes, &(struct sandbox_spec){.uid = POD_2, .hostname = "two"}, on_sandbox, f);
    wait_for(f, &f->made, 2);
    assert_string_equal(f->message, "");
}

/* ---- A server inside a sandbox ---- */

struct server {
    const char *netns;
    uint16_t port;
    int fd;
    bool udp;
    const char *address; /* NULL = all */
};
static void *listen_thread(void *arg)
{
    struct server *s = arg;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(s->port)};
    CLEANUP_CLOSE int ns = open(s->netns, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0) {
        return NULL;
    }
    if (s->address != NULL) {
        inet_pton(AF_INET, s->address, &a.sin_addr);
    }
    s->fd = socket(AF_INET, (s->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s->fd, (struct sockaddr *)&a, sizeof a) != 0 || (!s->udp && listen(s->fd, 4) != 0)) {
        close(s->fd);
        s->fd = -1;
    }
    return NULL;
}
static int listen_in(const char *netns, uint16_t port)
{
    struct server s = {.netns = netns, .port = port, .fd = -1};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, listen_thread, &s), 0);
    pthread_join(t, NULL);
    return s.fd;
}
/* The accepted connection's peer. */
static void accept_from(int listener, char peer[64])
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    int fd = accept4(listener, (struct sockaddr *)&a, &n, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    inet_ntop(AF_INET, &a.sin_addr, peer, 64);
    close(fd);
}

struct reading {
    const char *netns, *path;
    char *out;
    size_t size;
    bool ok;
};
static void *read_thread(void *arg)
{
    struct reading *r = arg;
    CLEANUP_CLOSE int ns = open(r->netns, O_RDONLY | O_CLOEXEC);
    r->ok = ns >= 0 && setns(ns, CLONE_NEWNET) == 0 && fs_read_line(r->path, r->out, r->size);
    return NULL;
}
/* A line of a file of /proc/sys, as one inside sees it. */
static int read_in(const char *netns, const char *path, char *out, size_t size)
{
    struct reading r = {netns, path, out, size, false};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, read_thread, &r), 0);
    pthread_join(t, NULL);
    return r.ok ? 0 : -1;
}

/* ---- Tests ---- */

static void prefixes_are_parsed_strictly(void **state)
{
    (void)state;
    struct network_prefix p;
    assert_true(network_prefix_parse("10.244.3.0/24", &p));
    assert_int_equal(p.bits, 24);
    assert_true(network_prefix_parse("0.0.0.0/0", &p));
    assert_true(network_prefix_parse("fd00:1::/64", &p));
    static const char *const bad[] = {"",           "10.0.0.0",  "10.0.0.1/24", "10.0.0.0/33", "10.0.0.0/",
                                      "10.0.0.0/x", "10.0.0/24", "fd00::1/64",  "10.0.0.0/8x"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(network_prefix_parse(bad[i], &p));
    }
}

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
    if (access("/usr/lib/cni/bridge", X_OK) != 0) {
        skip();
    }
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

/* ---- Host ports ---- */

#define NEED_PLUGINS()                                                                                                 \
    if (access("/usr/lib/cni/bridge", X_OK) != 0 || system("command -v nft >/dev/null") != 0)                          \
    skip()

static void add_pod(struct fixture *f, unsigned which, const struct network_port *ports, unsigned count)
{
    unsigned before = f->adds;
    network_add(f->n,
                &(struct network_pod){.uid = which == 0 ? POD_1 : POD_2,
                                      .name = which == 0 ? "one" : "two",
                                      .ns = "default",
                                      .netns = f->sb[which].net,
                                      .ports = ports,
                                      .ports_count = count},
                on_add, f);
    wait_for(f, &f->adds, before + 1);
    assert_string_equal(f->message, "");
}
static void del_pod(struct fixture *f, unsigned which)
{
    unsigned before = f->dones;
    network_del(f->n, which == 0 ? POD_1 : POD_2, f->sb[which].net, on_done, f);
    wait_for(f, &f->dones, before + 1);
    assert_string_equal(f->message, "");
}
static bool reaches(struct fixture *f, const char *netns, const char *address, uint16_t port)
{
    unsigned before = f->connects;
    network_connect(&f->loop, netns, address, port, 3000, on_connect, f);
    wait_for(f, &f->connects, before + 1);
    if (f->fd >= 0) {
        close(f->fd);
    }
    return f->error == 0;
}
/* Whose server answers at this address. */
static void assert_leads_to(struct fixture *f, const char *netns, const char *address, uint16_t port, int listener)
{
    char peer[64];
    assert_true(reaches(f, netns, address, port));
    accept_from(listener, peer);
}

static void a_host_port_leads_into_the_pod_and_ends_with_it(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_PLUGINS();
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
    /* from the other pod, and from the pod itself */
    assert_leads_to(f, f->sb[1].net, "10.98.7.1", 18080, listener);
    assert_leads_to(f, f->sb[0].net, "10.98.7.1", 18080, listener);
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

static void the_next_pod_of_a_host_port_gets_its_traffic(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_PLUGINS();
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
    NEED_PLUGINS();
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

/* The agent was killed between the making and the noting: a lease and an interface of which no note says the address; a lease without any note. */
static void what_a_crash_left_is_known_and_taken_away(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_PLUGINS();
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

/* A master of this machine, and one of another (here another namespace behind a link). */
static void pods_are_kept_from_the_masters_and_from_nothing_else(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_PLUGINS();
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
    assert_true(reaches(f, pod, "192.168.77.2", 17401));
    assert_true(reaches(f, NULL, "192.168.77.2", 17400)); /* the node itself */
    assert_true(reaches(f, NULL, "192.168.77.1", 17400));
    network_set_closed(f->n, NULL, 0);
    del_pod(f, 1);
    assert_true(reaches(f, pod, "192.168.77.2", 17400));
    del_pod(f, 0);
    assert_int_equal(system("ip link del far0"), 0);
    close(here);
    close(there);
    close(other);
    close_network(f);
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

static void a_udp_peer_of_a_host_port_follows_to_the_next_pod(void **state)
{
    struct fixture *f = *state;
    NEED_ISOLATION(f);
    NEED_PLUGINS();
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

/* The rules as a text: what is in the agent's state, and nothing else. */
static void the_rules_say_what_the_owners_hold(void **state)
{
    (void)state;
    struct network_owner_port a[] = {{80, 8080, "tcp", ""}, {53, 5353, "udp", "10.0.0.9"}},
                              b[] = {{80, 9090, "tcp", ""}, {80, 9090, "udp", ""}, {443, 443, "tcp", "10.0.0.9"}};
    struct network_owner one = {.uid = "a", .ip = "10.1.2.3", .ports = a, .ports_count = 2},
                         two = {.uid = "b", .ip = "10.1.2.4", .ports = b, .ports_count = 3};
    struct list owners;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct network_rules rules = {"reeve0", "10.1.2.0/24", "10.1.0.0/16", &owners, NULL, 0};
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
    signal(SIGPIPE, SIG_IGN);
    isolated = geteuid() == 0 && unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && system("ip link set lo up") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_are_parsed_strictly),
        cmocka_unit_test_setup_teardown(a_sandbox_is_kept_without_a_process_and_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_host_network_sandbox_shares_the_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_and_the_full_name_are_of_the_pod_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(pods_reach_each_other, setup, teardown),
        cmocka_unit_test(the_rules_say_what_the_owners_hold),
        cmocka_unit_test(notes_hold_only_what_was_understood),
        cmocka_unit_test_setup_teardown(a_host_port_leads_into_the_pod_and_ends_with_it, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_pod_of_a_host_port_gets_its_traffic, setup, teardown),
        cmocka_unit_test_setup_teardown(host_ports_live_as_long_as_their_pods_over_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_crash_left_is_known_and_taken_away, setup, teardown),
        cmocka_unit_test_setup_teardown(pods_are_kept_from_the_masters_and_from_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(a_udp_peer_of_a_host_port_follows_to_the_next_pod, setup, teardown),
        cmocka_unit_test_setup_teardown(connecting_gives_up_in_time, setup, teardown),
        cmocka_unit_test_setup_teardown(routes_follow_the_list, setup, teardown),
        cmocka_unit_test(hollow_addresses_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
