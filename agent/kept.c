#include "agent/kept.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_int.h"
#include "agent/dataplane.h"
#include "agent/names.h"
#include "agent/routes.h"
#include "agent/service/known.h"
#include "agent/util/fsutil.h"

struct kept {
    char domain[256], services[32], pods[32], routing[32];
    int64_t vxlan_id, vxlan_port; /* as told */
    bool changed;
    int64_t written_ms; /* 0 = never */
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
        keep_text(k->domain, sizeof k->domain, domain, &k->changed);
        keep_text(k->services, sizeof k->services, services, &k->changed);
        keep_text(k->pods, sizeof k->pods, pods, &k->changed);
    }
}

void kept_set_overlay(struct agent *a, struct str routing, int64_t id, int64_t port)
{
    struct kept *k = a->kept;
    network_set_overlay(a->network, routing, id, port);
    if (k != NULL) {
        keep_text(k->routing, sizeof k->routing, routing, &k->changed);
        k->changed |= id != k->vxlan_id || port != k->vxlan_port;
        k->vxlan_id = id;
        k->vxlan_port = port;
    }
}

static void read_kept(struct agent *a)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    char path[AGENT_PATH_MAX];
    fs_path(path, sizeof path, "%s/services", a->dir);
    if (!fs_exists(path)) {
        return;
    }
    struct mp m = {0};
    if (fs_read_file(path, KEPT_BYTES_MAX, &b, &err) != 0 || !mp_valid(mp_of(b.data, b.size))) {
        log_warn(a->log, "agent", "what was kept of services cannot be read: %s",
                 err.message[0] != '\0' ? err.message : "it is damaged");
        return;
    }
    m = mp_of(b.data, b.size);
    kept_set_ranges(a, mp_str(mp_get(m, "dnsDomain")), mp_str(mp_get(m, "serviceSubnet")),
                    mp_str(mp_get(m, "podSubnet")));
    if (mp_type(mp_get(m, "routes")) == MP_ARRAY) {
        kept_set_overlay(a, mp_str(mp_get(m, "podRouting")), mp_int(mp_get(m, "vxlanID"), 0),
                         mp_int(mp_get(m, "vxlanPort"), 0));
        routes_told(a, m);
    }
    dataplane_remember(a, mp_get(m, "services"), !str_is(mp_str(mp_get(m, "boot")), a->facts.boot_id));
}

void kept_open(struct agent *a)
{
    if (!a->hollow) {
        a->kept = xcalloc(1, sizeof *a->kept);
        read_kept(a);
        a->kept->changed = false;
    }
}

void kept_changed(struct agent *a)
{
    if (a->kept != NULL) {
        a->kept->changed = true;
    }
}

static void write_kept(struct agent *a)
{
    struct kept *k = a->kept;
    const struct known *known = dataplane_known(a);
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    char path[AGENT_PATH_MAX];
    if (!k->changed || known == NULL || !known_is_complete(known)) {
        return;
    }
    k->changed = false;
    k->written_ms = env_now_ms(a->env);
    mp_write_map(&b, 9);
    mp_write_key_str(&b, "boot", str_of(a->facts.boot_id));
    mp_write_key_str(&b, "dnsDomain", str_of(k->domain));
    mp_write_key_str(&b, "serviceSubnet", str_of(k->services));
    mp_write_key_str(&b, "podSubnet", str_of(k->pods));
    mp_write_key_str(&b, "podRouting", str_of(k->routing));
    mp_write_cstr(&b, "vxlanID");
    mp_write_int(&b, k->vxlan_id);
    mp_write_cstr(&b, "vxlanPort");
    mp_write_int(&b, k->vxlan_port);
    mp_write_cstr(&b, "routes");
    routes_write(a, &b);
    mp_write_cstr(&b, "services");
    known_write(known, &b);
    fs_path(path, sizeof path, "%s/services", a->dir);
    if (b.size > KEPT_BYTES_MAX) {
        log_warn(a->log, "agent",
                 "services are too many to be kept (%zu bytes): without masters a restart forgets them", b.size);
        unlink(path);
    } else if (fs_write_file(path, buf_str(&b), 0600, false, &err) != 0) {
        log_warn(a->log, "agent", "what is known of services is not kept: %s", err.message);
    }
}

void kept_check(struct agent *a)
{
    const struct kept *k = a->kept;
    if (k != NULL && (k->written_ms == 0 || env_now_ms(a->env) - k->written_ms >= KEPT_EACH_MS)) {
        write_kept(a);
    }
}

void kept_close(struct agent *a)
{
    if (a->kept != NULL) {
        write_kept(a);
        free(TAKE_PTR(a->kept));
    }
}
