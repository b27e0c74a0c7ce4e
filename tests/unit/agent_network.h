/* Sandboxes and their network for real, in a network and mount namespace of the test's own. Without root there is no
 * fixture, and the tests are skipped. */
#ifndef TESTS_UNIT_AGENT_NETWORK_H
#define TESTS_UNIT_AGENT_NETWORK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/network/network.h"
#include "agent/network/network_int.h"
#include "agent/runtime/sandbox.h"
#include "agent/util/fsutil.h"
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

static inline void remember(struct fixture *f, const struct error *err)
{
    f->error = err == NULL ? 0 : err->code;
    snprintf(f->message, sizeof f->message, "%s", err == NULL ? "" : err->message);
    uv_stop(&f->loop);
}
static inline void on_sandbox(const struct sandbox *sb, const struct error *err, void *data)
{
    struct fixture *f = data;
    remember(f, err);
    if (sb != NULL) {
        f->sb[f->made % 2] = *sb;
    }
    f->made++;
}
static inline void on_add(const char *ip, const struct error *err, void *data)
{
    struct fixture *f = data;
    remember(f, err);
    snprintf(f->ip, sizeof f->ip, "%s", ip == NULL ? "" : ip);
    f->adds++;
}
static inline void on_done(const struct error *err, void *data)
{
    struct fixture *f = data;
    remember(f, err);
    f->dones++;
}
static inline void on_connect(int fd, const struct error *err, void *data)
{
    struct fixture *f = data;
    remember(f, err);
    f->fd = fd;
    f->connects++;
}
static inline void on_limit(uv_timer_t *t)
{
    struct fixture *f = t->data;
    f->limit_hit = true;
    uv_stop(&f->loop);
}
static inline void wait_for(struct fixture *f, const unsigned *counter, unsigned n)
{
    f->limit_hit = false;
    uv_timer_start(&f->limit, on_limit, 120000, 0);
    while (*counter < n && !f->limit_hit) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    uv_timer_stop(&f->limit);
    assert_int_equal(*counter, n);
}

static int64_t pod_connections; /* for the next network */
static inline void open_network(struct fixture *f, const char *cidr)
{
    char dir[80];
    struct error err = {0};
    snprintf(dir, sizeof dir, "%s/net", f->dir);
    struct network_config c = {.dir = dir, .pod_cidr = cidr, .bridge = "reeve-t", .pod_connections = pod_connections};
    if (network_new(&f->loop, &c, &f->n, &err) != 0) {
        fail_msg("%s", err.message);
    }
}
static inline void close_network(struct fixture *f)
{
    network_close(f->n, NULL, NULL);
    for (unsigned i = 0; i < 3; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

static inline int setup(void **state)
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
static inline int teardown(void **state)
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

static inline void make_sandboxes(struct fixture *f)
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
static inline void *listen_thread(void *arg)
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
static inline int listen_in(const char *netns, uint16_t port)
{
    struct server s = {.netns = netns, .port = port, .fd = -1};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, listen_thread, &s), 0);
    pthread_join(t, NULL);
    return s.fd;
}
/* The accepted connection's peer. */
static inline void accept_from(int listener, char peer[64])
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
static inline void *read_thread(void *arg)
{
    struct reading *r = arg;
    CLEANUP_CLOSE int ns = open(r->netns, O_RDONLY | O_CLOEXEC);
    r->ok = ns >= 0 && setns(ns, CLONE_NEWNET) == 0 && fs_read_line(r->path, r->out, r->size);
    return NULL;
}
/* A line of a file of /proc/sys, as one inside sees it. */
static inline int read_in(const char *netns, const char *path, char *out, size_t size)
{
    struct reading r = {netns, path, out, size, false};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, read_thread, &r), 0);
    pthread_join(t, NULL);
    return r.ok ? 0 : -1;
}

#define NEED_NFT()                                                                                                     \
    if (system("command -v nft >/dev/null") != 0)                                                                      \
    skip()

static inline void add_pod(struct fixture *f, unsigned which, const struct network_port *ports, unsigned count)
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
static inline void del_pod(struct fixture *f, unsigned which)
{
    unsigned before = f->dones;
    network_del(f->n, which == 0 ? POD_1 : POD_2, f->sb[which].net, on_done, f);
    wait_for(f, &f->dones, before + 1);
    assert_string_equal(f->message, "");
}
static inline bool reaches(struct fixture *f, const char *netns, const char *address, uint16_t port)
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
static inline void assert_leads_to(struct fixture *f, const char *netns, const char *address, uint16_t port,
                                   int listener)
{
    char peer[64];
    assert_true(reaches(f, netns, address, port));
    accept_from(listener, peer);
}

/* Once per process, before there are threads. */
static inline bool enter_isolation(void)
{
    signal(SIGPIPE, SIG_IGN);
    return geteuid() == 0 && unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && system("ip link set lo up") == 0;
}

#endif
