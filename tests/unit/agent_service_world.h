/* A node with two pods, another node with one, and somebody outside, as network namespaces of the test's own; servers
 * that tell who they are and whom they see. Without root there is no world, and the tests are skipped.
 *
 *   pod 1  10.244.1.1 --- node 10.244.1.254, 192.168.7.1, 192.168.8.1 --- 192.168.7.2 other node, pod 3 10.244.2.1
 *   pod 2  10.244.1.2 --/                                             \-- 192.168.8.9 outside
 *
 * Who wants it adds a node behind a router, which is the machine outside (enter_far):
 *
 *   outside 192.168.8.9, 192.168.9.9 --- 192.168.9.3 far node 10.244.3.254 --- 10.244.3.1 its pod */
#ifndef TESTS_UNIT_AGENT_SERVICE_WORLD_H
#define TESTS_UNIT_AGENT_SERVICE_WORLD_H

#include "agent/service/kernel.h" /* first: the kernel's headers behind those of libc */
#include "agent/service/services.h"
#include "base/env.h"
#include "tests/unit/agent_service_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

enum place { NODE, POD_1, POD_2, OTHER, OUTSIDE, FAR, FAR_POD, PLACES };
#define POD_3       OTHER /* its address is one of the other node's */
#define SERVERS_MAX 16
#define NODE_IP     "192.168.7.1"
#define DEADLINE_MS 60000

static const char *const pod_ips[PLACES] = {
    [POD_1] = "10.244.1.1", [POD_2] = "10.244.1.2", [POD_3] = "10.244.2.1", [FAR_POD] = "10.244.3.1"};

struct world {
    uv_loop_t loop;
    struct services *services;
    bool owns; /* tables that are made are the agent's own, where this kernel can do so */
};
static int places[PLACES];
static bool isolated;

static struct {
    int fd, id;
    bool udp;
} servers[SERVERS_MAX];
static unsigned servers_count;

/* ---- Namespaces ---- */

static inline void *make_place(void *arg)
{
    if (unshare(CLONE_NEWNET) != 0) {
        return NULL;
    }
    *(int *)arg = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return arg;
}

static inline void on_thread(void *(*fn)(void *arg), void *arg)
{
    pthread_t t;
    void *done = NULL;
    assert_int_equal(pthread_create(&t, NULL, fn, arg), 0);
    pthread_join(t, &done);
    assert_non_null(done);
}

static inline void run(const char *command)
{
    if (system(command) != 0) {
        fail_msg("failed: %s", command);
    }
}

static inline void run_in(enum place where, const char *commands)
{
    CLEANUP_FREE char *all = xasprintf("nsenter --net=/proc/%d/fd/%d sh -ec 'ip link set lo up; %s'", (int)getpid(),
                                       places[where], commands);
    run(all);
}

static inline void add_pod(enum place pod)
{
    CLEANUP_FREE char *node = xasprintf("ip link add p%d type veth peer name eth0 netns /proc/%d/fd/%d && "
                                        "ip addr add 10.244.1.254/32 dev p%d && ip link set p%d up && "
                                        "ip route add %s dev p%d",
                                        pod, (int)getpid(), places[pod], pod, pod, pod_ips[pod], pod);
    CLEANUP_FREE char *inside = xasprintf("ip addr add %s/32 dev eth0; ip link set eth0 up; "
                                          "ip route add 10.244.1.254 dev eth0; ip route add default via 10.244.1.254",
                                          pod_ips[pod]);
    run(node);
    run_in(pod, inside);
}

static inline void add_neighbour(enum place where, const char *here, const char *there, const char *more)
{
    CLEANUP_FREE char *node = xasprintf("ip link add n%d type veth peer name eth0 netns /proc/%d/fd/%d && "
                                        "ip addr add %s/24 dev n%d && ip link set n%d up",
                                        where, (int)getpid(), places[where], here, where, where);
    CLEANUP_FREE char *inside = xasprintf("ip addr add %s/24 dev eth0; ip link set eth0 up; "
                                          "ip route add default via %s; %s",
                                          there, here, more);
    run(node);
    run_in(where, inside);
}

static inline void enter_world(void)
{
    signal(SIGPIPE, SIG_IGN);
    isolated = geteuid() == 0 && unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    if (!isolated) {
        return;
    }
    run("mount -t sysfs none /sys && ip link set lo up && echo 1 > /proc/sys/net/ipv4/ip_forward");
    places[NODE] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    for (enum place p = POD_1; p < PLACES; p++) {
        on_thread(make_place, &places[p]);
    }
    add_pod(POD_1);
    add_pod(POD_2);
    add_neighbour(OTHER, NODE_IP, "192.168.7.2", "ip addr add 10.244.2.1/32 dev lo");
    add_neighbour(OUTSIDE, "192.168.8.1", "192.168.8.9", "true");
    /* A pod that comes to itself leaves as it has come; the kernel's advice on that would use up its refusals. */
    run("for f in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 > $f; done");
    run("ip route add 10.244.2.0/24 via 192.168.7.2");
    run("ip route add 10.96.0.0/12 dev n3 src " NODE_IP); /* so that the node itself finds services */
}

/* The router knows nothing of pods, and lets none of their packets through as they are. */
static inline void enter_far(void)
{
    CLEANUP_FREE char *fabric = xasprintf("ip addr add 192.168.9.9/24 dev far0; ip link set far0 up; "
                                          "echo 1 > /proc/sys/net/ipv4/ip_forward; "
                                          "nft add table ip r; nft add counter ip r pods; nft add counter ip r tunnel; "
                                          "nft add chain ip r f \"{ type filter hook forward priority 0; }\"; "
                                          "nft add rule ip r f ip saddr 10.244.0.0/16 counter name pods drop; "
                                          "nft add rule ip r f udp dport 4789 counter name tunnel");
    CLEANUP_FREE char *link =
        xasprintf("ip link add far0 type veth peer name eth0 netns /proc/%d/fd/%d", (int)getpid(), places[FAR]);
    CLEANUP_FREE char *pod =
        xasprintf("ip link add p0 type veth peer name eth0 netns /proc/%d/fd/%d", (int)getpid(), places[FAR_POD]);
    run_in(OUTSIDE, link);
    run_in(OUTSIDE, fabric);
    run_in(FAR, "ip addr add 192.168.9.3/24 dev eth0; ip link set eth0 up; ip route add default via 192.168.9.9; "
                "echo 1 > /proc/sys/net/ipv4/ip_forward");
    run_in(FAR, pod);
    run_in(FAR, "ip addr add 10.244.3.254/32 dev p0; ip link set p0 up; ip route add 10.244.3.1 dev p0");
    run_in(FAR_POD, "ip addr add 10.244.3.1/32 dev eth0; ip link set eth0 up; ip route add 10.244.3.254 dev eth0; "
                    "ip route add default via 10.244.3.254");
    run("ip route add 192.168.9.0/24 via 192.168.8.9");
}

/* ---- Servers: "ID ADDRESS", ADDRESS being that of who asks ---- */

struct opening {
    enum place where;
    const char *ip;
    uint16_t port;
    bool udp;
    int fd;
};

static inline void *open_in_place(void *arg)
{
    struct opening *o = arg;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(o->port)};
    int on = 1;
    if (setns(places[o->where], CLONE_NEWNET) != 0) {
        return NULL;
    }
    o->fd = socket(AF_INET, (o->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (o->ip != NULL) {
        inet_pton(AF_INET, o->ip, &at.sin_addr);
        setsockopt(o->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(o->fd, (struct sockaddr *)&at, sizeof at) != 0 || (!o->udp && listen(o->fd, 64) != 0)) {
            return NULL;
        }
    }
    return o;
}

static inline void serve(enum place where, bool udp)
{
    struct opening o = {where, pod_ips[where], 8080, udp, -1};
    on_thread(open_in_place, &o);
    servers[servers_count].fd = o.fd;
    servers[servers_count].id = (int)where;
    servers[servers_count++].udp = udp;
}

static inline void answer(unsigned i)
{
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    char text[64], ip[INET_ADDRSTRLEN];
    if (servers[i].udp) {
        ssize_t n = recvfrom(servers[i].fd, text, sizeof text, 0, (struct sockaddr *)&from, &size);
        if (n >= 0) {
            inet_ntop(AF_INET, &from.sin_addr, ip, sizeof ip);
            int len = snprintf(text, sizeof text, "%d %s", servers[i].id, ip);
            (void)!sendto(servers[i].fd, text, (size_t)len, 0, (struct sockaddr *)&from, size);
        }
        return;
    }
    int fd = accept4(servers[i].fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
    if (fd >= 0) {
        inet_ntop(AF_INET, &from.sin_addr, ip, sizeof ip);
        int len = snprintf(text, sizeof text, "%d %s", servers[i].id, ip);
        (void)!write(fd, text, (size_t)len);
        close(fd);
    }
}

static inline void *serve_thread(void *arg)
{
    struct pollfd fds[SERVERS_MAX];
    (void)arg;
    for (;;) {
        for (unsigned i = 0; i < servers_count; i++) {
            fds[i] = (struct pollfd){.fd = servers[i].fd, .events = POLLIN};
        }
        if (poll(fds, servers_count, -1) > 0) {
            for (unsigned i = 0; i < servers_count; i++) {
                if (fds[i].revents != 0) {
                    answer(i);
                }
            }
        }
    }
    return NULL;
}

static inline void start_servers(void)
{
    pthread_t t;
    for (enum place p = POD_1; p <= POD_3; p++) {
        serve(p, false);
        serve(p, true);
    }
    assert_int_equal(pthread_create(&t, NULL, serve_thread, NULL), 0);
    pthread_detach(t);
}

/* ---- Clients ---- */

struct told {
    int error;      /* errno of what went wrong; ETIMEDOUT: nothing came */
    enum place who; /* answered */
    char as[64];    /* whom it has seen */
};

static inline int client(enum place where, bool udp)
{
    struct opening o = {where, NULL, 0, udp, -1};
    on_thread(open_in_place, &o);
    return o.fd;
}

/* What the socket says within so long: 0 or errno. */
static inline int await(int fd, short events, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    int error = 0;
    socklen_t size = sizeof error;
    if (poll(&p, 1, wait_ms) <= 0) {
        return ETIMEDOUT;
    }
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

static inline int dial(int fd, const char *ip, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &to.sin_addr);
    return connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS ? 0 : errno;
}

static inline struct told hear(int fd, int wait_ms)
{
    struct told t = {.error = await(fd, POLLIN, wait_ms)};
    char text[64];
    int who;
    ssize_t n = t.error != 0 ? -1 : recv(fd, text, sizeof text - 1, 0);
    if (t.error == 0 && n <= 0) {
        t.error = n < 0 ? errno : EPIPE;
    }
    if (n > 0) {
        text[n] = '\0';
        assert_int_equal(sscanf(text, "%d %63s", &who, t.as), 2);
        t.who = (enum place)who;
    }
    return t;
}

static inline struct told ask_within(enum place from, bool udp, const char *ip, uint16_t port, int wait_ms)
{
    CLEANUP_CLOSE int fd = client(from, udp);
    int e = dial(fd, ip, port);
    if (e == 0 && udp && send(fd, "?", 1, 0) != 1) {
        e = errno;
    }
    return e != 0 ? (struct told){.error = e} : hear(fd, wait_ms);
}

static inline struct told ask(enum place from, const char *ip, uint16_t port)
{
    return ask_within(from, false, ip, port, DEADLINE_MS);
}

#define assert_answered(t) assert_int_equal((t).error, 0)
/* The kernel lets a program of the node itself know when it sends. */
#define assert_refused(t)   assert_true((t).error == ECONNREFUSED || (t).error == EPERM)
#define assert_no_answer(t) assert_int_equal((t).error, ETIMEDOUT)
#define SILENCE_MS          300 /* of what is dropped: an answer would have come by then, and longer is no better */

/* ---- The dataplane ---- */

static inline void start_services(struct world *w)
{
    struct error err = {0};
    struct skeleton_ranges r = {.pods_count = 1, .services_count = 1};
    r.pods[0] = range_of("10.244.0.0/16");
    r.services[0] = range_of("10.96.0.0/12");
    if (services_new(&w->loop, NULL, w->owns, &w->services, &err) != 0) {
        fail_msg("%s", err.message);
    }
    services_set_ranges(w->services, &r);
    services_set_addresses(w->services, (uint32_t[]){ip_of(NODE_IP)}, 1);
}

static inline void on_services_closed(void *data)
{
    *(bool *)data = true;
}

static inline void stop_services(struct world *w, bool remove)
{
    bool closed = false;
    services_close(w->services, remove, on_services_closed, &closed);
    while (!closed) {
        uv_run(&w->loop, UV_RUN_ONCE);
    }
    w->services = NULL;
}

/* Until the kernel has it all. */
static inline void settle_services(struct world *w)
{
    struct services_stats st;
    int64_t until = env_now_ms(env_real()) + DEADLINE_MS;
    do {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        services_get_stats(w->services, &st);
        assert_true(env_now_ms(env_real()) < until);
    } while (!st.settled);
}

/* The service port "default/web:http" at 10.96.0.7:80 with these places behind it; fields as given. */
static inline void put_port(struct world *w, struct service_port p, const char *endpoints)
{
    struct service_endpoint list[16];
    p.key = p.key != NULL ? p.key : "default/web:http";
    p.protocol = p.protocol != 0 ? p.protocol : IPPROTO_TCP;
    p.cluster_ip = p.cluster_ip != 0 ? p.cluster_ip : ip_of("10.96.0.7");
    p.port = p.port != 0 ? p.port : 80;
    p.endpoints = list;
    p.endpoints_count = endpoints_of(endpoints, list, ARRAY_SIZE(list));
    services_put(w->services, &p);
    services_begin(w->services);
    settle_services(w);
}

/* Can a table be somebody's own, and stay behind him? */
static inline bool kernel_lets_own(void)
{
    struct utsname u;
    unsigned major = 0, minor = 0;
    return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor > 8));
}

/* More than a socket holds is told of somebody else's table while nobody listens. */
#define TELL_TOO_MUCH                                                                                                  \
    "(echo 'add table ip others'; echo 'add set ip others s { type ipv4_addr; }'; for i in $(seq 40); do "             \
    "echo \"add element ip others s { $(seq -s, -f 11.$i.%.0f.1 0 255) }\"; done) | nft -f - && nft delete table ip "  \
    "others"

static inline int world_setup(void **state)
{
    *state = NULL;
    if (!isolated) {
        return 0;
    }
    struct world *w = xcalloc(1, sizeof *w);
    uv_loop_init(&w->loop);
    start_services(w);
    services_begin(w->services);
    settle_services(w);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;
    if (w == NULL) {
        return 0;
    }
    stop_services(w, true);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
    run("! nft list tables | grep reeve");
    return 0;
}

/* Who answers how many of so many askings, one after the other. */
static inline void count(enum place from, const char *ip, uint16_t port, unsigned askings, unsigned by_place[PLACES])
{
    memset(by_place, 0, PLACES * sizeof *by_place);
    for (unsigned i = 0; i < askings; i++) {
        struct told t = ask(from, ip, port);
        assert_answered(t);
        by_place[t.who]++;
    }
}

#define NEED_WORLD(w)                                                                                                  \
    if ((w) == NULL)                                                                                                   \
    skip()

#endif
