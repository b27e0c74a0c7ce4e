/* The network of a local cluster: a bridge in a namespace of its own, one veth per node. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "client/up/up.h"

#define NETNS_DIR "/run/netns"

static const char *fabric_path(struct arena *a, const struct up *u)
{
    return arena_printf(a, NETNS_DIR "/%s-fabric", u->prefix);
}

/* Is a namespace bound to the file? After a crash or a reboot the file may be there with nothing on it. */
static bool is_namespace(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    bool ok = setns(fd, CLONE_NEWNET) == 0;
    if (ok && setns(here, CLONE_NEWNET) != 0) {
        _exit(126); /* lost in a foreign namespace: nothing sane can follow */
    }
    close(here);
    close(fd);
    return ok;
}

int up_fabric_make(const struct up *u, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *ns = fabric_path(&a, u);
    int rc = 0;
    if (!is_namespace(ns)) {
        unlink(ns);
        rc = up_command_in(NULL, err, "ip netns add %s-fabric", u->prefix);
    }
    struct error ignored;
    if (rc == 0 && up_command_in(ns, &ignored, "ip link show br0") != 0) {
        rc = up_command_in(ns, err, "ip link add br0 type bridge forward_delay 0 stp_state 0");
    }
    rc = rc != 0 ? rc : up_command_in(ns, err, "ip link set lo up");
    rc = rc != 0 ? rc : up_command_in(ns, err, "ip addr replace " UP_GATEWAY "/24 dev br0");
    rc = rc != 0 ? rc : up_command_in(ns, err, "ip link set br0 up");
    return rc != 0 ? error_wrap(err, "the network between the nodes") : 0;
}

static int listen_here(const char *ip, uint16_t port, int *fd, struct error *err)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &sa.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(s, (const struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(s, 1024) != 0) {
        int e = errno;
        if (s >= 0) {
            close(s);
        }
        return error_set_errno(err, e, "listen on %s:%u", ip, port);
    }
    *fd = s;
    return 0;
}

/* A socket belongs to the namespace it was made in, whoever holds it later. */
int up_fabric_listen(const struct up *u, uint16_t port, int *fd, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_CLOSE int there = open(fabric_path(&a, u), O_RDONLY | O_CLOEXEC);
    CLEANUP_CLOSE int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (there < 0 || here < 0 || setns(there, CLONE_NEWNET) != 0) {
        return error_set_errno(err, errno, "enter the network between the nodes");
    }
    int rc = listen_here(UP_GATEWAY, port, fd, err);
    if (setns(here, CLONE_NEWNET) != 0) {
        _exit(126);
    }
    return rc;
}

uint16_t up_free_port(uint16_t from)
{
    for (unsigned port = from; port < from + 1000u && port < 65536; port++) {
        int fd;
        struct error ignored;
        if (listen_here("127.0.0.1", (uint16_t)port, &fd, &ignored) == 0) {
            close(fd);
            return (uint16_t)port;
        }
    }
    return 0;
}

/* /run/netns/PREFIX-nI, so that `ip netns exec` and tests find the node by name. */
static int name_namespace(const struct up *u, unsigned index, pid_t pid, struct error *err)
{
    char path[128], from[64];
    snprintf(path, sizeof(path), NETNS_DIR "/%s-n%u", u->prefix, index + 1);
    snprintf(from, sizeof(from), "/proc/%d/ns/net", (int)pid);
    umount2(path, MNT_DETACH);
    int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
    if (fd < 0) {
        return error_set_errno(err, errno, "make %s", path);
    }
    close(fd);
    return mount(from, path, NULL, MS_BIND, NULL) != 0 ? error_set_errno(err, errno, "bind %s", path) : 0;
}

int up_fabric_attach(const struct up *u, unsigned index, pid_t pid, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *fabric = fabric_path(&a, u);
    const char *node = arena_printf(&a, "/proc/%d/ns/net", (int)pid);
    struct error ignored;
    up_command_in(fabric, &ignored, "ip link del n%u", index + 1);
    int rc = up_command_in(fabric, err, "ip link add n%u type veth peer name eth0 netns %d", index + 1, (int)pid);
    rc = rc != 0 ? rc : up_command_in(fabric, err, "ip link set n%u master br0 up", index + 1);
    rc = rc != 0 ? rc : up_command_in(node, err, "ip link set lo up");
    rc = rc != 0 ? rc : up_command_in(node, err, "ip addr add %s/24 dev eth0", up_node_ip(&a, index));
    rc = rc != 0 ? rc : up_command_in(node, err, "ip link set eth0 up");
    rc = rc != 0 ? rc : up_command_in(node, err, "ip route add default via " UP_GATEWAY);
    rc = rc != 0 ? rc : name_namespace(u, index, pid, err);
    return rc != 0 ? error_wrap(err, "the network of node n%u", index + 1) : 0;
}

int up_fabric_set_link(const struct up *u, unsigned index, bool plugged, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    return up_command_in(fabric_path(&a, u), err, "ip link set n%u %s", index + 1, plugged ? "up" : "down");
}

void up_fabric_remove(const struct up *u)
{
    DIR *d = opendir(NETNS_DIR);
    if (d == NULL) {
        return;
    }
    size_t n = strlen(u->prefix);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, u->prefix, n) == 0 && e->d_name[n] == '-') {
            char path[512];
            snprintf(path, sizeof(path), NETNS_DIR "/%s", e->d_name);
            while (umount2(path, MNT_DETACH) == 0) {
            }
            unlink(path);
        }
    }
    closedir(d);
}
