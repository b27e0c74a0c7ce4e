#include "agent/network/overlay_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool overlay_mode_parse(struct str word, enum overlay_mode *out)
{
    static const char *const words[] = {
        [OVERLAY_AUTO] = "auto", [OVERLAY_HOST_GW] = "host-gw", [OVERLAY_VXLAN] = "vxlan"};
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_is(word, words[i])) {
            *out = (enum overlay_mode)i;
            return true;
        }
    }
    return false;
}

enum overlay_choice overlay_choose(enum overlay_mode mode, const struct overlay_way *way,
                                   const struct overlay_link *link)
{
    if (way->local) {
        return OVERLAY_NOWHERE;
    }
    if (mode != OVERLAY_AUTO) {
        return mode == OVERLAY_VXLAN ? OVERLAY_TUNNEL : OVERLAY_DIRECT;
    }
    bool one_link = way->reachable && !way->gateway && link != NULL && link->shared && link->ours;
    return one_link ? OVERLAY_DIRECT : OVERLAY_TUNNEL;
}

/* Of those that nobody has been given: the second bit of the first byte says so (IEEE 802, 8.2). */
void overlay_mac(struct cidr pods, uint8_t mac[OVERLAY_MAC_BYTES])
{
    mac[0] = 0x0e;
    mac[1] = 0x52;
    for (unsigned i = 0; i < 4; i++) {
        mac[2 + i] = (uint8_t)(pods.first >> (24 - 8 * i));
    }
}

unsigned overlay_entries(const struct overlay_peer *p, enum overlay_choice choice, uint32_t link, uint32_t tunnel,
                         struct overlay_entry out[3])
{
    if (choice == OVERLAY_NOWHERE || (choice == OVERLAY_TUNNEL && tunnel == 0)) {
        return 0;
    }
    if (choice == OVERLAY_DIRECT) {
        out[0] = (struct overlay_entry){.kind = OVERLAY_ROUTE, .pods = p->pods, .ip = p->node, .link = link};
        return 1;
    }
    out[0] = (struct overlay_entry){
        .kind = OVERLAY_ROUTE, .pods = p->pods, .ip = p->pods.first, .link = tunnel, .onlink = true};
    out[1] = (struct overlay_entry){.kind = OVERLAY_NEIGHBOUR, .ip = p->pods.first};
    out[2] = (struct overlay_entry){.kind = OVERLAY_FORWARD, .ip = p->node};
    overlay_mac(p->pods, out[1].mac);
    overlay_mac(p->pods, out[2].mac);
    return 3;
}

/* ---- From one to the other ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_keys(const struct overlay_entry *a, const struct overlay_entry *b)
{
    int c = compare_numbers(a->kind, b->kind);
    if (c != 0) {
        return c;
    }
    if (a->kind == OVERLAY_ROUTE) {
        c = compare_numbers(a->pods.first, b->pods.first);
        return c != 0 ? c : compare_numbers(a->pods.bits, b->pods.bits);
    }
    return a->kind == OVERLAY_NEIGHBOUR ? compare_numbers(a->ip, b->ip) : memcmp(a->mac, b->mac, sizeof a->mac);
}

static int compare_entries(const void *x, const void *y)
{
    const struct overlay_entry *a = x, *b = y;
    int c = compare_keys(a, b);
    c = c != 0 ? c : compare_numbers(a->ip, b->ip);
    return c != 0 ? c : compare_numbers(a->link, b->link);
}

static bool is_as_wanted(const struct overlay_entry *there, const struct overlay_entry *wanted)
{
    switch (wanted->kind) {
    case OVERLAY_ROUTE:
        return there->ip == wanted->ip && there->onlink == wanted->onlink &&
               (wanted->link == 0 || there->link == wanted->link);
    case OVERLAY_NEIGHBOUR:
        return memcmp(there->mac, wanted->mac, sizeof there->mac) == 0;
    case OVERLAY_FORWARD:
        return there->ip == wanted->ip;
    }
    return false;
}

/* Routes leave first, then what carried them; what carries comes before the routes. */
static unsigned phase_of(const struct overlay_change *c)
{
    bool route = c->entry.kind == OVERLAY_ROUTE;
    return c->verb == OVERLAY_PUT ? (route ? 2 : 1) : (route ? 0 : 3);
}

static int compare_changes(const void *x, const void *y)
{
    const struct overlay_change *a = x, *b = y;
    int c = compare_numbers(phase_of(a), phase_of(b));
    return c != 0 ? c : compare_entries(&a->entry, &b->entry);
}

static void sort(void *list, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    if (count > 1) {
        qsort(list, count, size, compare);
    }
}

unsigned overlay_plan(struct overlay_entry *wanted, unsigned wanted_count, struct overlay_entry *there,
                      unsigned there_count, struct overlay_change **out)
{
    unsigned n = 0, i = 0, k = 0;
    struct overlay_change *list = xcalloc((size_t)wanted_count + there_count + 1, sizeof *list);
    sort(wanted, wanted_count, sizeof *wanted, compare_entries);
    sort(there, there_count, sizeof *there, compare_entries);
    while (i < wanted_count || k < there_count) {
        int c = i == wanted_count ? 1 : k == there_count ? -1 : compare_keys(&wanted[i], &there[k]);
        if (c > 0) {
            list[n++] = (struct overlay_change){OVERLAY_REMOVE, there[k++]};
            continue;
        }
        bool right = false;
        for (; c == 0 && k < there_count && compare_keys(&wanted[i], &there[k]) == 0; k++) {
            right = right || is_as_wanted(&there[k], &wanted[i]);
        }
        if (!right) {
            list[n++] = (struct overlay_change){OVERLAY_PUT, wanted[i]};
        }
        unsigned first = i;
        while (i < wanted_count && compare_keys(&wanted[first], &wanted[i]) == 0) {
            i++;
        }
    }
    sort(list, n, sizeof *list, compare_changes);
    *out = list;
    return n;
}

static void address_text(struct buf *out, uint32_t ip)
{
    buf_printf(out, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

static void mac_text(struct buf *out, const uint8_t *m)
{
    buf_printf(out, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

void overlay_change_text(struct buf *out, const struct overlay_change *c)
{
    const struct overlay_entry *e = &c->entry;
    char range[CIDR_TEXT_SIZE];
    buf_puts(out, c->verb == OVERLAY_PUT ? "put " : "remove ");
    switch (e->kind) {
    case OVERLAY_ROUTE:
        cidr_text(e->pods, range);
        buf_printf(out, "route %s via ", range);
        address_text(out, e->ip);
        if (e->link != 0) {
            buf_printf(out, " link %u", e->link);
        }
        buf_puts(out, e->onlink ? " onlink" : "");
        return;
    case OVERLAY_NEIGHBOUR:
        buf_puts(out, "neighbour ");
        address_text(out, e->ip);
        buf_puts(out, " is ");
        mac_text(out, e->mac);
        return;
    case OVERLAY_FORWARD:
        buf_puts(out, "forward ");
        mac_text(out, e->mac);
        buf_puts(out, " to ");
        address_text(out, e->ip);
        return;
    }
}

/* ---- Sizes ---- */

unsigned overlay_tunnel_mtu(const struct overlay_sizes *s)
{
    unsigned uplink = s->uplink == 0 ? OVERLAY_MTU : s->uplink;
    return MAX(uplink, OVERLAY_MTU_MIN + OVERLAY_OVERHEAD) - OVERLAY_OVERHEAD;
}

unsigned overlay_pods_mtu(const struct overlay_sizes *s)
{
    unsigned mtu = s->tunnels ? overlay_tunnel_mtu(s) : MAX(s->uplink, OVERLAY_MTU_MIN);
    return s->uplink == 0 && !s->tunnels ? 0 : mtu < OVERLAY_MTU ? mtu : 0;
}
