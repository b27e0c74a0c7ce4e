#include "agent/network/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "agent/network/overlay_kernel.h"
#include "base/mem.h"

struct path {
    struct overlay_peer peer;
    struct overlay_way way;
    bool known; /* way */
    enum overlay_choice choice;
    unsigned mtu; /* of its link; 0 = not known */
};
struct overlay {
    const struct log *log;
    struct overlay_kernel kernel;
    struct overlay_config config;
    struct path *paths; /* by the peer's range */
    unsigned count;
    struct overlay_link *links;
    unsigned links_count;
    struct overlay_tunnel there;
    uint32_t tunnel; /* the link's index; 0 = there is none */
    struct overlay_sizes sizes;
    struct overlay_state state;
};

int overlay_new(const struct log *log, struct overlay **out, struct error *err)
{
    struct overlay *o = xcalloc(1, sizeof *o);
    o->log = log;
    int rc = overlay_kernel_open(&o->kernel, err);
    if (rc != 0) {
        free(o);
        return rc;
    }
    *out = o;
    return 0;
}

void overlay_free(struct overlay *o)
{
    if (o != NULL) {
        overlay_kernel_close(&o->kernel);
        free(o->paths);
        free(o->links);
        free(o);
    }
}

/* ---- What is wanted ---- */

static int compare_paths(const void *x, const void *y)
{
    const struct path *a = x, *b = y;
    return (a->peer.pods.first > b->peer.pods.first) - (a->peer.pods.first < b->peer.pods.first);
}

static bool is_known_range(struct cidr c)
{
    return c.first != 0 || c.bits != 0;
}

/* What the kernel said of a peer that stays where it is holds on. */
static void keep_way(const struct overlay *o, struct path *p)
{
    const struct path *was = o->count == 0 ? NULL : bsearch(p, o->paths, o->count, sizeof *o->paths, compare_paths);
    if (was != NULL && was->peer.node == p->peer.node && was->known) {
        p->way = was->way;
        p->known = true;
    }
}

void overlay_set(struct overlay *o, const struct overlay_config *c, const struct overlay_peer *peers, unsigned count)
{
    struct path *paths = xcalloc((size_t)count + 1, sizeof *paths);
    unsigned n = 0, kept = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!is_known_range(c->pods) || !cidr_overlap(c->pods, peers[i].pods)) {
            paths[n++].peer = peers[i];
        }
    }
    if (n > 1) {
        qsort(paths, n, sizeof *paths, compare_paths);
    }
    for (unsigned i = 0; i < n; i++) {
        if (kept > 0 && cidr_overlap(paths[kept - 1].peer.pods, paths[i].peer.pods)) {
            char one[CIDR_TEXT_SIZE], other[CIDR_TEXT_SIZE];
            cidr_text(paths[i].peer.pods, one);
            cidr_text(paths[kept - 1].peer.pods, other);
            log_warn(o->log, "network", "no way to pods in %s: another node has %s", one, other);
            continue;
        }
        paths[kept++] = paths[i];
        keep_way(o, &paths[kept - 1]);
    }
    free(o->paths);
    o->paths = paths;
    o->count = kept;
    o->config = *c;
}

/* ---- The choices ---- */

static const struct overlay_link *link_of(const struct overlay *o, uint32_t index)
{
    for (unsigned i = 0; i < o->links_count; i++) {
        if (o->links[i].index == index) {
            return &o->links[i];
        }
    }
    return NULL;
}

static void count_size(struct overlay_sizes *s, unsigned mtu)
{
    s->uplink = mtu != 0 && (s->uplink == 0 || mtu < s->uplink) ? mtu : s->uplink;
}

static int choose(struct overlay *o, struct path *p, struct error *err)
{
    int rc = p->known ? 0 : overlay_kernel_way(&o->kernel, p->peer.node, &p->way, err);
    const struct overlay_link *link = rc == 0 && p->way.reachable ? link_of(o, p->way.link) : NULL;
    p->known = rc == 0;
    p->choice = rc == 0 ? overlay_choose(o->config.mode, &p->way, link) : OVERLAY_NOWHERE;
    p->mtu = link == NULL ? 0 : link->mtu;
    return rc;
}

static int choose_all(struct overlay *o, struct error *err)
{
    struct error e;
    int first = 0;
    o->sizes = (struct overlay_sizes){0};
    o->state.direct = o->state.tunnels = 0;
    for (unsigned i = 0; i < o->count; i++) {
        struct path *p = &o->paths[i];
        int rc = choose(o, p, first == 0 ? err : &e);
        first = first != 0 ? first : rc;
        o->state.direct += p->choice == OVERLAY_DIRECT;
        o->state.tunnels += p->choice == OVERLAY_TUNNEL;
        count_size(&o->sizes, p->choice == OVERLAY_NOWHERE ? 0 : p->mtu);
    }
    for (unsigned i = 0; o->config.node != 0 && i < o->links_count; i++) {
        count_size(&o->sizes, o->links[i].ours ? o->links[i].mtu : 0);
    }
    o->sizes.tunnels = o->state.tunnels > 0;
    o->state.pods_mtu = overlay_pods_mtu(&o->sizes);
    return first;
}

static int set_tunnel(struct overlay *o, struct error *err)
{
    const struct overlay_config *c = &o->config;
    if (o->state.tunnels == 0 || !is_known_range(c->pods)) {
        o->tunnel = 0;
        return overlay_kernel_remove_tunnel(&o->kernel, &o->there, err);
    }
    struct overlay_tunnel wanted = {.vxlan = true,
                                    .id = c->id,
                                    .port = c->port,
                                    .node = c->node,
                                    .mtu = overlay_tunnel_mtu(&o->sizes),
                                    .address = c->pods.first};
    overlay_mac(c->pods, wanted.mac);
    int rc = overlay_kernel_set_tunnel(&o->kernel, &o->there, &wanted, err);
    o->tunnel = wanted.index;
    o->state.changes += wanted.index != o->there.index;
    return rc;
}

/* ---- From what is to what should be ---- */

static int change_all(struct overlay *o, struct error *err)
{
    struct overlay_entry *there = NULL, *wanted = xcalloc(3 * (size_t)o->count + 1, sizeof *wanted);
    struct overlay_change *changes = NULL;
    unsigned there_count = 0, wanted_count = 0, n = 0;
    struct error e;
    for (unsigned i = 0; i < o->count; i++) {
        const struct path *p = &o->paths[i];
        uint32_t link = o->config.mode == OVERLAY_HOST_GW ? 0 : p->way.link;
        wanted_count += overlay_entries(&p->peer, p->choice, link, o->tunnel, &wanted[wanted_count]);
    }
    int first = overlay_kernel_entries(&o->kernel, o->tunnel, &there, &there_count, err);
    if (first == 0) {
        n = overlay_plan(wanted, wanted_count, there, there_count, &changes);
    }
    for (unsigned i = 0; i < n; i++) {
        int rc = overlay_kernel_change(&o->kernel, &changes[i], o->tunnel, first == 0 ? err : &e);
        first = first != 0 ? first : rc;
        o->state.changes += rc == 0;
    }
    free(wanted);
    free(there);
    free(changes);
    return first;
}

static void tell(const struct overlay *o, const struct overlay_state *before)
{
    if (o->state.direct != before->direct || o->state.tunnels != before->tunnels) {
        log_info(o->log, "network", "pods of %u other nodes are reached over a link with this node, of %u by VXLAN",
                 o->state.direct, o->state.tunnels);
    }
}

int overlay_sync(struct overlay *o, struct error *err)
{
    struct overlay_state before = o->state;
    struct error e;
    free(TAKE_PTR(o->links));
    int first = overlay_kernel_links(&o->kernel, o->config.node, &o->links, &o->links_count, &o->there, err);
    if (first != 0) {
        return first;
    }
    first = choose_all(o, err);
    int rc = set_tunnel(o, first == 0 ? err : &e);
    first = first != 0 ? first : rc;
    rc = change_all(o, first == 0 ? err : &e);
    tell(o, &before);
    return first != 0 ? first : rc;
}

static bool matters(uint32_t index, void *data)
{
    const struct overlay *o = data;
    const struct overlay_link *link = link_of(o, index);
    bool used = link != NULL && link->ours && o->config.node != 0;
    for (unsigned i = 0; i < o->count && !used; i++) {
        used = o->paths[i].way.link == index;
    }
    return used;
}

bool overlay_touched(struct overlay *o)
{
    unsigned touched = overlay_kernel_touched(&o->kernel, matters, o);
    for (unsigned i = 0; (touched & OVERLAY_WAYS_TOUCHED) != 0 && i < o->count; i++) {
        o->paths[i].known = false;
    }
    return touched != OVERLAY_UNTOUCHED;
}

int overlay_watch(const struct overlay *o)
{
    return o->kernel.watch.fd;
}

bool overlay_has_tunnel(const struct overlay *o)
{
    return o->tunnel != 0;
}

void overlay_get_state(const struct overlay *o, struct overlay_state *out)
{
    *out = o->state;
}

int overlay_remove(struct error *err)
{
    struct overlay *o;
    int rc = overlay_new(NULL, &o, err);
    if (rc == 0) {
        rc = overlay_sync(o, err);
        overlay_free(o);
    }
    return rc;
}

/* ---- Rules ---- */

void overlay_rules_write(const struct overlay *o, const char *bridge, struct buf *out)
{
    const char *between = "";
    char own[CIDR_TEXT_SIZE];
    unsigned port = o->config.port;
    cidr_text(o->config.pods, own);
    buf_puts(out, "table ip " OVERLAY_TABLE "\ndelete table ip " OVERLAY_TABLE "\n");
    if (o->tunnel == 0) {
        return;
    }
    buf_puts(out, "table ip " OVERLAY_TABLE " {\n set peers {\n  type ipv4_addr\n  elements = { ");
    for (unsigned i = 0; i < o->count; i++) {
        uint32_t ip = o->paths[i].peer.node;
        if (o->paths[i].choice == OVERLAY_TUNNEL) {
            buf_printf(out, "%s%u.%u.%u.%u", between, ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
            between = ", ";
        }
    }
    buf_printf(out,
               " }\n }\n"
               " chain come {\n  type filter hook prerouting priority -300;\n"
               "  ip saddr @peers udp dport %u notrack\n }\n"
               " chain leave {\n  type filter hook output priority -300;\n"
               "  ip daddr @peers udp dport %u notrack\n }\n"
               " chain enter {\n  type filter hook input priority -10;\n"
               "  udp dport %u iifname \"%s\" drop\n  udp dport %u ip saddr != @peers drop\n }\n"
               " chain pass {\n  type filter hook forward priority -10;\n"
               "  iifname \"%s\" udp dport %u ip daddr @peers drop\n"
               "  oifname \"" OVERLAY_LINK "\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n"
               "  iifname \"" OVERLAY_LINK "\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n"
               " }\n"
               " chain post {\n  type nat hook postrouting priority 110;\n"
               "  oifname \"" OVERLAY_LINK "\" ip saddr != %s masquerade\n }\n}\n",
               port, port, port, bridge, port, bridge, port, own);
}
