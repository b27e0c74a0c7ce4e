#include "agent/kept.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "agent/agent_int.h"
#include "agent/dataplane.h"
#include "agent/isolation.h"
#include "agent/names.h"
#include "agent/network/guard.h"
#include "agent/routes.h"
#include "agent/service/known.h"
#include "agent/util/fsutil.h"
#include "proto/facts/cluster.h"

struct kept_part {
    bool changed;
    int64_t written_ms; /* 0 = never */
};
struct kept {
    char domain[256], services[32], pods[32], routing[32];
    int64_t vxlan_id, vxlan_port;   /* as told */
    bool pods_act;                  /* podTokens is Automatic */
    struct kept_part all, policies; /* all: but policies */
};

static void keep_text(char *to, size_t size, struct str s, bool *changed)
{
    if (s.n > 0 && s.n < size && !str_is(s, to)) {
        memcpy(to, s.p, s.n);
        to[s.n] = '\0';
        *changed = true;
    }
}

void kept_set_ranges(struct agent *a, struct str domain, struct str services, struct str pods)
{
    struct kept *k = a->kept;
    dataplane_set_pods(a, pods);
    dataplane_set_services(a, services);
    names_set(a, domain, services, pods);
    if (k != NULL) {
        keep_text(k->domain, sizeof k->domain, domain, &k->all.changed);
        keep_text(k->services, sizeof k->services, services, &k->all.changed);
        keep_text(k->pods, sizeof k->pods, pods, &k->all.changed);
    }
}

void kept_set_overlay(struct agent *a, struct str routing, int64_t id, int64_t port)
{
    struct kept *k = a->kept;
    network_set_overlay(a->network, routing, id, port);
    if (k != NULL) {
        keep_text(k->routing, sizeof k->routing, routing, &k->all.changed);
        k->all.changed |= id != k->vxlan_id || port != k->vxlan_port;
        k->vxlan_id = id;
        k->vxlan_port = port;
    }
}

void kept_set_pods_act(struct agent *a, struct str pod_tokens)
{
    struct kept *k = a->kept;
    bool act = str_is(pod_tokens, CLUSTER_POD_TOKENS);
    if (a->guard != NULL) {
        guard_set_open(a->guard, act);
    }
    if (k != NULL && act != k->pods_act) {
        k->pods_act = act;
        k->all.changed = true;
    }
}

bool kept_pods_act(const struct agent *a)
{
    return a->kept != NULL && a->kept->pods_act;
}

/* False: there is none, or it cannot be read, which is said. */
static bool read_file(struct agent *a, const char *name, struct buf *b, struct mp *out)
{
    struct error err = {0};
    char path[AGENT_PATH_MAX];
    fs_path(path, sizeof path, "%s/%s", a->dir, name);
    if (!fs_exists(path)) {
        return false;
    }
    if (fs_read_file(path, KEPT_BYTES_MAX, b, &err) != 0 || !mp_valid(mp_of(b->data, b->size))) {
        log_warn(a->log, "agent", "what was kept of %s cannot be read: %s", name,
                 err.message[0] != '\0' ? err.message : "it is damaged");
        return false;
    }
    *out = mp_of(b->data, b->size);
    return true;
}

/* What the kernel still has is told by the boot, and by the network namespace, which may be another one in the same
 * boot: where nodes are containers, a node that was restarted. Its number is never given twice; 0 before Linux 5.14. */
#define BOOT_SIZE 96
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
static const char *boot_of(const struct agent *a, char out[BOOT_SIZE])
{
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size);
        close(fd);
    }
    snprintf(out, BOOT_SIZE, "%s %" PRIu64, a->facts.boot_id, cookie);
    return out;
}

/* Former agents noted the boot alone. */
static bool is_of_another_boot(const struct agent *a, struct mp m)
{
    char now[BOOT_SIZE];
    struct str then = mp_str(mp_get(m, "boot"));
    return !str_is(then, boot_of(a, now)) && !str_is(then, a->facts.boot_id);
}

static void read_kept(struct agent *a)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_BUF struct buf policies = BUF_INIT;
    struct mp m = {0};
    if (read_file(a, "services", &b, &m)) {
        kept_set_ranges(a, mp_str(mp_get(m, "dnsDomain")), mp_str(mp_get(m, "serviceSubnet")),
                        mp_str(mp_get(m, "podSubnet")));
        if (mp_type(mp_get(m, "routes")) == MP_ARRAY) {
            kept_set_overlay(a, mp_str(mp_get(m, "podRouting")), mp_int(mp_get(m, "vxlanID"), 0),
                             mp_int(mp_get(m, "vxlanPort"), 0));
            kept_set_pods_act(a, mp_str(mp_get(m, "podTokens")));
            routes_told(a, m);
        }
        dataplane_remember(a, mp_get(m, "services"), is_of_another_boot(a, m));
    }
    if (read_file(a, "policies", &policies, &m)) {
        isolation_remember(a, mp_get(m, "policies"), is_of_another_boot(a, m));
    }
}

void kept_open(struct agent *a)
{
    if (!a->hollow) {
        a->kept = xcalloc(1, sizeof *a->kept);
        read_kept(a);
        a->kept->all.changed = a->kept->policies.changed = false;
    }
}

void kept_changed(struct agent *a)
{
    if (a->kept != NULL) {
        a->kept->all.changed = true;
    }
}

void kept_policies_changed(struct agent *a)
{
    if (a->kept != NULL) {
        a->kept->policies.changed = true;
    }
}

static void write_file(struct agent *a, struct kept_part *part, const char *name, const struct buf *b)
{
    struct error err = {0};
    char path[AGENT_PATH_MAX];
    part->changed = false;
    part->written_ms = env_now_ms(a->env);
    fs_path(path, sizeof path, "%s/%s", a->dir, name);
    if (b->size > KEPT_BYTES_MAX) {
        log_warn(a->log, "agent", "%s are too many to be kept (%zu bytes): without masters a restart forgets them",
                 name, b->size);
        unlink(path);
    } else if (fs_write_file(path, buf_str(b), 0600, false, &err) != 0) {
        log_warn(a->log, "agent", "what is known of %s is not kept: %s", name, err.message);
    }
}

static void write_all(struct agent *a)
{
    char boot[BOOT_SIZE];
    struct kept *k = a->kept;
    const struct known *known = dataplane_known(a);
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (!k->all.changed || known == NULL || !known_is_complete(known)) {
        return;
    }
    mp_write_map(&b, 10);
    mp_write_key_str(&b, "boot", str_of(boot_of(a, boot)));
    mp_write_key_str(&b, "dnsDomain", str_of(k->domain));
    mp_write_key_str(&b, "serviceSubnet", str_of(k->services));
    mp_write_key_str(&b, "podSubnet", str_of(k->pods));
    mp_write_key_str(&b, "podRouting", str_of(k->routing));
    mp_write_cstr(&b, "vxlanID");
    mp_write_int(&b, k->vxlan_id);
    mp_write_cstr(&b, "vxlanPort");
    mp_write_int(&b, k->vxlan_port);
    mp_write_key_str(&b, "podTokens", str_of(k->pods_act ? CLUSTER_POD_TOKENS : ""));
    mp_write_cstr(&b, "routes");
    routes_write(a, &b);
    mp_write_cstr(&b, "services");
    known_write(known, &b);
    write_file(a, &k->all, "services", &b);
}

static void write_policies(struct agent *a)
{
    char boot[BOOT_SIZE];
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_BUF struct buf policies = BUF_INIT;
    if (!a->kept->policies.changed) {
        return;
    }
    isolation_write(a, &policies);
    if (policies.size > 0) {
        mp_write_map(&b, 2);
        mp_write_key_str(&b, "boot", str_of(boot_of(a, boot)));
        mp_write_cstr(&b, "policies");
        buf_append(&b, policies.data, policies.size);
        write_file(a, &a->kept->policies, "policies", &b);
    }
}

void kept_policies_now(struct agent *a)
{
    if (a->kept != NULL) {
        write_policies(a);
    }
}

static bool is_due(const struct agent *a, const struct kept_part *part)
{
    return part->written_ms == 0 || env_now_ms(a->env) - part->written_ms >= KEPT_EACH_MS;
}

void kept_check(struct agent *a)
{
    const struct kept *k = a->kept;
    if (k != NULL && is_due(a, &k->all)) {
        write_all(a);
    }
    if (k != NULL && is_due(a, &k->policies)) {
        write_policies(a);
    }
}

void kept_now(struct agent *a)
{
    if (a->kept != NULL) {
        write_all(a);
        write_policies(a);
    }
}

void kept_close(struct agent *a)
{
    if (a->kept != NULL) {
        write_all(a);
        write_policies(a);
        free(TAKE_PTR(a->kept));
    }
}
