#include "tests/fault/fabric.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/fault/kit.h"

/* A namespace of its own for this thread, and a descriptor of it. */
static int new_namespace(void)
{
    if (unshare(CLONE_NEWNET) != 0) {
        fault_die("make a network namespace", NULL);
    }
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fault_die("/proc/thread-self/ns/net", NULL);
    }
    return fd;
}

void fabric_address(unsigned port, char *out, unsigned size)
{
    snprintf(out, size, "10.99.0.%u", 10 + port);
}

/* Both ends of a cable are made in the fabric; then one is moved. */
static void plug(struct fabric *f, unsigned port)
{
    char address[32];
    fabric_address(port, address, sizeof address);
    const char *end = f->relayed && port > 0 ? "p" : "v";
    fault_command(f->ns, "ip link add %s%u type veth peer name eth0 netns /proc/%d/fd/%d", end, port, (int)getpid(),
                  f->members[port]);
    if (end[0] == 'p') {
        char inner[16], outer[16];
        snprintf(inner, sizeof inner, "p%u", port);
        snprintf(outer, sizeof outer, "v%u", port);
        fault_command(f->ns, "ip link set %s up", inner);
        f->relays[port] = relay_start(f->ns, inner, outer);
    }
    fault_command(f->ns, "ip link set v%u master br0 up", port);
    fault_command(f->members[port], "ip link set lo up");
    fault_command(f->members[port], "ip addr add %s/24 dev eth0", address);
    fault_command(f->members[port], "ip link set eth0 up");
}

void fabric_none(struct fabric *f)
{
    memset(f, 0, sizeof *f);
    f->ns = -1;
    for (unsigned i = 0; i < FABRIC_PORTS; i++) {
        f->members[i] = -1;
    }
}

void fabric_open(struct fabric *f, const char *dir)
{
    fabric_none(f);
    snprintf(f->rules_path, sizeof f->rules_path, "%s/rules.nft", dir);
    f->ns = new_namespace();
    fault_command(f->ns, "ip link add br0 type bridge forward_delay 0 stp_state 0");
    fault_command(f->ns, "ip link set lo up");
    fault_command(f->ns, "ip link set br0 up");
    f->members[0] = new_namespace();
    plug(f, 0);
    fabric_apply(f);
}

void fabric_add(struct fabric *f, unsigned port)
{
    if (f->ns < 0 || f->members[port] >= 0) {
        return;
    }
    f->members[port] = new_namespace();
    if (setns(f->members[0], CLONE_NEWNET) != 0) {
        fault_die("return to the clients' namespace", NULL);
    }
    plug(f, port);
}

void fabric_set(struct fabric *f, unsigned a, unsigned b, unsigned percent)
{
    f->loss[a][b] = (unsigned char)percent;
}

void fabric_set_both(struct fabric *f, unsigned a, unsigned b, unsigned percent)
{
    fabric_set(f, a, b, percent);
    fabric_set(f, b, a, percent);
}

void fabric_heal(struct fabric *f)
{
    memset(f->loss, 0, sizeof f->loss);
    fabric_apply(f);
}

/* One file is one transaction: there is no moment in between. */
void fabric_apply(struct fabric *f)
{
    if (f->ns < 0) {
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_puts(&b, "table bridge cut {}\nflush table bridge cut\ntable bridge cut {\n chain forward {\n"
                 "  type filter hook forward priority 0; policy accept;\n");
    for (unsigned from = 0; from < FABRIC_PORTS; from++) {
        for (unsigned to = 0; to < FABRIC_PORTS; to++) {
            unsigned percent = f->loss[from][to];
            if (percent >= 100) {
                buf_printf(&b, "  iifname \"v%u\" oifname \"v%u\" drop\n", from, to);
            } else if (percent > 0) {
                buf_printf(&b, "  iifname \"v%u\" oifname \"v%u\" numgen random mod 100 < %u drop\n", from, to,
                           percent);
            }
        }
    }
    buf_puts(&b, " }\n}\n");
    fault_write_file(f->rules_path, buf_cstr(&b));
    fault_command(f->ns, "nft -f %s", f->rules_path);
}
