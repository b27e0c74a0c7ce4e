#include "tests/fault/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/env.h"
#include "tests/fault/kit.h"

#define RELAY_QUEUE  1024u
#define PACKET_BYTES (sizeof(struct virtio_net_hdr) + 65550)

struct packet {
    int64_t due_us;
    size_t size;
    uint8_t bytes[PACKET_BYTES];
};
/* From one end to the other, in the order of `due`: slots are few and most packets come in order, so they are kept
 * sorted. */
struct lane {
    int from, to;
    struct packet *slots; /* RELAY_QUEUE; touched only as far as they are used */
    uint16_t order[RELAY_QUEUE], vacant[RELAY_QUEUE];
    unsigned count, vacant_count;
};
struct relay {
    struct lane lanes[2];
    volatile struct relay_control *control;
    struct rng rng;
};

/* ---- Ends ---- */

static int open_tap(const char *name)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0 || ioctl(fd, TUNSETOFFLOAD, offload) != 0) {
        fault_die("make a TAP", NULL);
    }
    return fd;
}

static int open_packet(const char *name)
{
    int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
    struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
    if (fd < 0 || at.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) != 0) {
        fault_die("take packets from a veth", NULL);
    }
    return fd;
}

/* ---- Lanes ---- */

static void lane_open(struct lane *l, int from, int to)
{
    *l = (struct lane){.from = from, .to = to, .vacant_count = RELAY_QUEUE};
    l->slots = mmap(NULL, RELAY_QUEUE * sizeof *l->slots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (l->slots == MAP_FAILED) {
        fault_die("memory of a relay", NULL);
    }
    for (unsigned i = 0; i < RELAY_QUEUE; i++) {
        l->vacant[i] = (uint16_t)(RELAY_QUEUE - 1 - i);
    }
}

static void lane_put(struct lane *l, unsigned slot, int64_t due_us)
{
    unsigned at = l->count++;
    l->slots[slot].due_us = due_us;
    for (; at > 0 && l->slots[l->order[at - 1]].due_us > due_us; at--) {
        l->order[at] = l->order[at - 1];
    }
    l->order[at] = (uint16_t)slot;
}

static int64_t due_us(struct relay *r)
{
    volatile struct relay_control *c = r->control;
    bool overtakes = rng_below(&r->rng, 100) < (uint64_t)c->reorder_percent;
    return fault_now_us() + (overtakes ? 0 : c->delay_us + (int64_t)rng_below(&r->rng, (uint64_t)c->jitter_us + 1));
}

/* The kernel has left the checksum to the card: it is made behind us, over what we leave. Packets with one of their own
 * pass as they are, for they would only be dropped. */
static bool spoil(struct relay *r, struct packet *p)
{
    struct virtio_net_hdr h;
    struct iphdr ip;
    struct tcphdr tcp;
    size_t at = sizeof h + ETH_HLEN;
    if (p->size < at + sizeof ip) {
        return false;
    }
    memcpy(&h, p->bytes, sizeof h);
    memcpy(&ip, p->bytes + at, sizeof ip);
    at += ip.ihl * 4u;
    if (!(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || ip.version != 4 || ip.protocol != IPPROTO_TCP ||
        p->size < at + sizeof tcp) {
        return false;
    }
    memcpy(&tcp, p->bytes + at, sizeof tcp);
    at += tcp.doff * 4u;
    if (p->size <= at) {
        return false;
    }
    p->bytes[at + rng_below(&r->rng, p->size - at)] ^= (uint8_t)(1u << rng_below(&r->rng, 8));
    return true;
}

/* All that waits at its beginning. */
static void lane_take(struct relay *r, struct lane *l)
{
    uint8_t lost[64];
    for (;;) {
        if (l->vacant_count == 0) {
            if (read(l->from, lost, sizeof lost) <= 0) {
                return;
            }
            r->control->dropped++;
            continue;
        }
        unsigned slot = l->vacant[l->vacant_count - 1];
        ssize_t n = read(l->from, l->slots[slot].bytes, PACKET_BYTES);
        if (n <= 0) {
            return;
        }
        l->vacant_count--;
        l->slots[slot].size = (size_t)n;
        if (rng_below(&r->rng, 1000) < (uint64_t)r->control->spoil_permille && spoil(r, &l->slots[slot])) {
            r->control->spoilt++;
        }
        lane_put(l, slot, due_us(r));
        if (l->vacant_count > 0 && rng_below(&r->rng, 100) < (uint64_t)r->control->double_percent) {
            unsigned twin = l->vacant[--l->vacant_count];
            memcpy(l->slots[twin].bytes, l->slots[slot].bytes, (size_t)n);
            l->slots[twin].size = (size_t)n;
            lane_put(l, twin, due_us(r));
        }
    }
}

static void lane_give(struct relay *r, struct lane *l)
{
    unsigned given = 0;
    int64_t now_us = fault_now_us();
    for (; given < l->count && l->slots[l->order[given]].due_us <= now_us; given++) {
        struct packet *p = &l->slots[l->order[given]];
        if (write(l->to, p->bytes, p->size) == (ssize_t)p->size) {
            r->control->passed++;
        } else {
            r->control->dropped++; /* the link is down, or its queue is full: cables do not wait */
        }
        l->vacant[l->vacant_count++] = l->order[given];
    }
    l->count -= given;
    memmove(l->order, l->order + given, l->count * sizeof l->order[0]);
}

static int64_t next_us(const struct relay *r)
{
    int64_t due = INT64_MAX;
    for (unsigned i = 0; i < 2; i++) {
        const struct lane *l = &r->lanes[i];
        due = l->count > 0 ? MIN(due, l->slots[l->order[0]].due_us) : due;
    }
    return due;
}

static void run(struct relay *r)
{
    for (;;) {
        struct pollfd fds[2] = {{r->lanes[0].from, POLLIN, 0}, {r->lanes[1].from, POLLIN, 0}};
        int64_t due = next_us(r), left_us = due == INT64_MAX ? -1 : MAX(due - fault_now_us(), 0);
        struct timespec ts = {left_us / 1000000, left_us % 1000000 * 1000};
        ppoll(fds, 2, left_us < 0 ? NULL : &ts, NULL);
        for (unsigned i = 0; i < 2; i++) {
            lane_take(r, &r->lanes[i]);
            lane_give(r, &r->lanes[i]);
        }
    }
}

volatile struct relay_control *relay_start(int ns, const char *inner, const char *outer)
{
    struct relay_control *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ready[2];
    if (c == MAP_FAILED || pipe2(ready, O_CLOEXEC) != 0) {
        fault_die("start a relay", NULL);
    }
    pid_t pid = fork();
    if (pid < 0) {
        fault_die("fork", NULL);
    }
    if (pid == 0) {
        static struct relay r;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (setns(ns, CLONE_NEWNET) != 0) {
            fault_die("enter the fabric", NULL);
        }
        int tap = open_tap(outer), packet = open_packet(inner);
        r.control = c;
        env_random(env_real(), &r.rng.state, sizeof r.rng.state);
        lane_open(&r.lanes[0], packet, tap);
        lane_open(&r.lanes[1], tap, packet);
        if (write(ready[1], "", 1) != 1) {
            _exit(1);
        }
        run(&r);
    }
    char byte;
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) {
        errno = EIO;
        fault_die("a relay does not start", NULL);
    }
    close(ready[0]);
    return c;
}
