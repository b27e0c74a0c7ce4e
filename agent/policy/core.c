#include "agent/policy/core.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/policy/peers.h"
#include "agent/policy/skeleton.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "proto/facts/netpol.h"
#include "proto/kinds/kinds.h"
#include "proto/schema/selector.h"

#define KEY_SIZE 512

/* ---- What there is ---- */

struct rule_port {
    uint8_t protocol;
    uint16_t first, last;
    struct str name;      /* instead of a number; of the policy's object */
    uint32_t name_number; /* in egress rules */
};
struct rule {
    bool anybody;
    struct peer_group **peers; /* a block that is for nobody is left out */
    unsigned peers_count;
    struct rule_port *ports; /* none: all */
    unsigned ports_count;
};
struct policy {
    char *key; /* "NAMESPACE/NAME" */
    struct object *object;
    struct arena arena;
    struct selector *subject;
    bool restricts[NETPOL_DIRECTIONS];
    struct rule *rules[NETPOL_DIRECTIONS];
    unsigned rules_count[NETPOL_DIRECTIONS];
    bool seen;
};
struct local_pod {
    struct object *object;
    uint32_t ip;
    uint32_t told; /* its address as masters know it; 0: they know none */
};
/* Pods that are allowed the same in a direction. */
struct group {
    struct group_rule {
        uint32_t identity, list;
    } * rules;
    unsigned rules_count, rules_cap;
};
struct numbered {
    uint32_t number;
    bool seen;
};
/* What a group is allowed: one identity, ports. protocol 0: all of all. */
struct grant {
    uint32_t identity;
    uint16_t first, last;
    uint8_t protocol;
};
struct policy_core {
    struct cells *cells;
    struct peers *peers;
    struct strmap policies; /* key -> struct policy */
    struct strmap pods;     /* uid -> struct local_pod */
    struct strmap groups;   /* key -> struct group, of the settling that runs */
    struct strmap lists;    /* of ports -> struct numbered */
    uint32_t next_list;
    uint64_t revision;
    bool hearing, hearing_whole;
    bool changed; /* policies or pods */
    bool moved;   /* pods here, or masters have heard of their addresses */
    bool stale;   /* what is known is from before the start */
    struct grant *grants;
    unsigned grants_count;
    bool full;                      /* there were more */
    struct policy_core_stats stats; /* of the last settling: groups, overflow, lacking */
};

struct policy_core *policy_core_new(struct cells *cells)
{
    struct policy_core *c = xcalloc(1, sizeof *c);
    c->cells = cells;
    c->peers = peers_new(cells);
    c->grants = xcalloc(POLICY_GRANTS_MAX, sizeof *c->grants);
    strmap_init(&c->policies);
    strmap_init(&c->pods);
    strmap_init(&c->groups);
    strmap_init(&c->lists);
    c->next_list = POLICY_ALL_PORTS;
    return c;
}

/* ---- Policies ---- */

static void read_ports(struct policy *p, struct rule *r, struct mp ports)
{
    r->ports = arena_alloc(&p->arena, (mp_count(ports) + 1) * sizeof *r->ports);
    for (struct mp_iter it = mp_iter(ports); mp_next(&it);) {
        struct mp number = mp_get(it.value, "port");
        struct rule_port *port = &r->ports[r->ports_count++];
        int64_t first = mp_int(number, 0);
        memset(port, 0, sizeof *port);
        port->protocol = netpol_protocol(mp_str(mp_get(it.value, "protocol")));
        port->name = mp_str(number);
        port->first = (uint16_t)first;
        port->last = (uint16_t)mp_int(mp_get(it.value, "endPort"), first);
        if (port->name.n == 0 && mp_type(number) != MP_INT) {
            port->last = UINT16_MAX; /* all of the protocol */
        }
    }
}

static void add_peer(struct rule *r, struct peer_group *g)
{
    if (g != NULL) {
        r->peers[r->peers_count++] = g;
    }
}

static void read_rule(struct policy_core *c, struct policy *p, enum netpol_direction d, struct mp m)
{
    struct rule *r = &p->rules[d][p->rules_count[d]++];
    struct mp peers = netpol_peers(m, d);
    CLEANUP_BUF struct buf key = BUF_INIT;
    memset(r, 0, sizeof *r);
    r->peers = arena_alloc(&p->arena, (mp_count(peers) + 2) * sizeof *r->peers);
    r->anybody = mp_count(peers) == 0;
    struct netpol_class class = netpol_everybody();
    if (netpol_needs_everybody(m, d)) {
        netpol_class_key(&class, &key);
        add_peer(r, peers_class_get(c->peers, buf_str(&key)));
    }
    for (struct mp_iter it = mp_iter(peers); mp_next(&it);) {
        if (netpol_peer_class(p->object, it.value, &class)) {
            netpol_class_key(&class, &key);
            add_peer(r, peers_class_get(c->peers, buf_str(&key)));
        } else {
            add_peer(r, peers_block_get(c->peers, mp_get(it.value, "ipBlock")));
        }
    }
    read_ports(p, r, mp_get(m, "ports"));
}

static struct policy *read_policy(struct policy_core *c, struct object *take, const char *key)
{
    struct policy *p = xcalloc(1, sizeof *p);
    struct netpol_class subject = netpol_subject(take);
    p->key = xstrdup(key);
    p->object = take;
    arena_init(&p->arena);
    if (selector_from_mp(&p->arena, subject.pods, &p->subject, NULL) != 0) {
        p->subject = NULL; /* nobody: masters let none of these in */
    }
    for (enum netpol_direction d = 0; d < NETPOL_DIRECTIONS; d++) {
        struct mp rules = netpol_rules(take, d);
        p->restricts[d] = netpol_restricts(take, d);
        p->rules[d] = arena_alloc(&p->arena, (mp_count(rules) + 1) * sizeof *p->rules[d]);
        for (struct mp_iter it = mp_iter(rules); p->restricts[d] && mp_next(&it);) {
            read_rule(c, p, d, it.value);
        }
    }
    return p;
}

static void free_policy(struct policy_core *c, struct policy *p)
{
    for (enum netpol_direction d = 0; d < NETPOL_DIRECTIONS; d++) {
        for (unsigned i = 0; i < p->rules_count[d]; i++) {
            for (unsigned k = 0; k < p->rules[d][i].peers_count; k++) {
                peers_group_put(c->peers, p->rules[d][i].peers[k]);
            }
        }
    }
    arena_close(&p->arena);
    object_unref(p->object);
    free(p->key);
    free(p);
}

static void free_local(struct local_pod *l)
{
    object_unref(l->object);
    free(l);
}

void policy_core_free(struct policy_core *c)
{
    const struct strmap_entry *e;
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; (e = strmap_next(&c->policies, &i)) != NULL;) {
        free_policy(c, e->value);
    }
    for (size_t i = 0; (e = strmap_next(&c->pods, &i)) != NULL;) {
        free_local(e->value);
    }
    for (size_t i = 0; (e = strmap_next(&c->lists, &i)) != NULL;) {
        free(e->value);
    }
    strmap_close(&c->lists);
    strmap_close(&c->policies);
    strmap_close(&c->pods);
    strmap_close(&c->groups);
    peers_free(c->peers);
    free(c->grants);
    free(c);
}

/* ---- What is told ---- */

static struct str key_of(char out[KEY_SIZE], struct str ns, struct str name)
{
    int n = snprintf(out, KEY_SIZE, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
    return (struct str){out, (size_t)MIN(n, KEY_SIZE - 1)};
}

static void put_policy(struct policy_core *c, struct mp m)
{
    char text[KEY_SIZE];
    struct object *o = NULL;
    if (object_from_wire(m, &o, NULL) != 0) {
        return;
    }
    if (o->kind->id != KIND_NETWORKPOLICY) {
        object_unref(o);
        return;
    }
    struct str key = key_of(text, o->ns, o->name);
    struct policy *p = read_policy(c, o, text);
    p->seen = true;
    struct policy *former = strmap_set(&c->policies, key, p); /* what both name stays meanwhile */
    if (former != NULL) {
        free_policy(c, former);
    }
    c->changed = true;
}

static void drop_policy(struct policy_core *c, struct str key)
{
    struct policy *p = strmap_remove(&c->policies, key);
    if (p != NULL) {
        free_policy(c, p);
        c->changed = true;
    }
}

static void begin_whole(struct policy_core *c)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&c->policies, &i)) != NULL;) {
        ((struct policy *)e->value)->seen = false;
    }
    peers_told_begin(c->peers);
    c->hearing_whole = true;
    c->revision = 0;
    c->moved = c->moved || c->stale;
    c->stale = false;
}

static void end_whole(struct policy_core *c)
{
    const struct strmap_entry *e;
    struct strmap kept;
    strmap_init(&kept);
    for (size_t i = 0; (e = strmap_next(&c->policies, &i)) != NULL;) {
        struct policy *p = e->value;
        if (p->seen) {
            strmap_set(&kept, (struct str){e->key, e->key_size}, p);
        } else {
            free_policy(c, p);
            c->changed = true;
        }
    }
    strmap_close(&c->policies);
    c->policies = kept;
    peers_told_end(c->peers);
    c->hearing_whole = false;
}

void policy_core_told(struct policy_core *c, struct mp message)
{
    char text[KEY_SIZE];
    if (mp_bool(mp_get(message, "whole"), false)) {
        begin_whole(c);
    }
    c->hearing = true;
    for (struct mp_iter it = mp_iter(mp_get(message, "gone")); mp_next(&it);) {
        drop_policy(c, key_of(text, mp_str(mp_get(it.value, "namespace")), mp_str(mp_get(it.value, "name"))));
    }
    for (struct mp_iter it = mp_iter(mp_get(message, "policies")); mp_next(&it);) {
        put_policy(c, it.value);
    }
    peers_told(c->peers, mp_get(message, "classes"), mp_get(message, "dropped"));
    if (mp_bool(mp_get(message, "complete"), false)) {
        c->hearing = false;
        if (c->hearing_whole) {
            end_whole(c);
        }
        c->revision = (uint64_t)mp_int(mp_get(message, "revision"), 0);
    }
}

void policy_core_write(const struct policy_core *c, struct buf *out)
{
    const struct strmap_entry *e;
    mp_write_map(out, 5);
    mp_write_key_int(out, "revision", (int64_t)c->revision);
    mp_write_key_bool(out, "whole", true);
    mp_write_cstr(out, "policies");
    mp_write_array(out, (uint32_t)c->policies.count);
    for (size_t i = 0; (e = strmap_next(&c->policies, &i)) != NULL;) {
        object_write_wire(out, ((struct policy *)e->value)->object);
    }
    mp_write_cstr(out, "classes");
    peers_write(c->peers, out);
    mp_write_key_bool(out, "complete", true);
}

void policy_core_remembered(struct policy_core *c)
{
    c->stale = c->moved = true;
}

uint64_t policy_core_revision(const struct policy_core *c)
{
    return c->hearing ? 0 : c->revision;
}

/* ---- Pods here ---- */

static bool same_for_policies(const struct object *a, const struct object *b)
{
    struct mp x = mp_path(object_mp(a), "metadata.labels"), y = mp_path(object_mp(b), "metadata.labels");
    size_t n = (size_t)(x.end - x.p);
    return n == (size_t)(y.end - y.p) && (n == 0 || memcmp(x.p, y.p, n) == 0) && object_same_spec(a, b);
}

void policy_core_put_pod(struct policy_core *c, const struct object *pod, uint32_t ip)
{
    struct local_pod *l = strmap_get(&c->pods, pod->uid);
    if (ip == 0 || mp_bool(mp_get(object_spec(pod), "hostNetwork"), false)) {
        return;
    }
    if (l == NULL) {
        l = xcalloc(1, sizeof *l);
        strmap_set(&c->pods, pod->uid, l);
    }
    c->changed = c->changed || l->object == NULL || l->ip != ip || !same_for_policies(l->object, pod);
    uint32_t told = netpol_address(pod);
    c->moved = c->moved || l->ip != ip || l->told != told;
    struct object *former = l->object;
    l->object = object_ref(pod);
    l->ip = ip;
    l->told = told;
    object_unref(former);
}

void policy_core_remove_pod(struct policy_core *c, struct str uid)
{
    struct local_pod *l = strmap_remove(&c->pods, uid);
    if (l != NULL) {
        free_local(l);
        c->changed = c->moved = true;
    }
}

static bool selects(const struct policy *p, const struct object *pod)
{
    return p->subject != NULL && str_eq(p->object->ns, pod->ns) && selector_matches_object(p->subject, pod);
}

bool policy_core_selects(const struct policy_core *c, const struct object *pod)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&c->policies, &i)) != NULL;) {
        if (selects(e->value, pod)) {
            return true;
        }
    }
    return false;
}

/* ---- What a group is allowed ---- */

static void grant(struct policy_core *c, uint32_t identity, uint8_t protocol, uint16_t first, uint16_t last)
{
    if (c->grants_count == POLICY_GRANTS_MAX) {
        c->full = true;
        return;
    }
    c->grants[c->grants_count++] = (struct grant){identity, first, last, protocol};
}

struct asked {
    struct str name;
    uint8_t protocol;
    uint16_t port; /* 0: none has this name */
};

static void match_port(struct str name, uint8_t protocol, uint16_t port, void *data)
{
    struct asked *a = data;
    if (a->port == 0 && protocol == a->protocol && str_eq(name, a->name)) {
        a->port = port;
    }
}

static uint16_t own_port(const struct object *pod, const struct rule_port *port)
{
    struct asked a = {port->name, port->protocol, 0};
    netpol_each_port(pod, match_port, &a);
    return a.port;
}

/* NULL: anybody. What names mean: in ingress rules to the pod here, in egress rules to the identity. */
static void grant_rule(struct policy_core *c, const struct rule *r, const struct identity *to, enum netpol_direction d,
                       const struct object *pod)
{
    uint32_t number = to == NULL ? POLICY_ANYBODY : to->number;
    if (r->ports_count == 0) {
        grant(c, number, 0, 0, 0);
    }
    for (unsigned i = 0; i < r->ports_count; i++) {
        const struct rule_port *port = &r->ports[i];
        if (port->name.n == 0) {
            grant(c, number, port->protocol, port->first, port->last);
        } else if (d == NETPOL_INGRESS) {
            uint16_t own = own_port(pod, port);
            if (own != 0) {
                grant(c, number, port->protocol, own, own);
            }
        }
        for (unsigned k = 0; d == NETPOL_EGRESS && port->name.n > 0 && to != NULL && k < to->ports_count; k++) {
            if (to->ports[k].name == port->name_number && to->ports[k].protocol == port->protocol) {
                grant(c, number, port->protocol, to->ports[k].port, to->ports[k].port);
            }
        }
    }
}

/* A rule that leads everywhere by a port's name: everybody is among its peers, for these ports alone. */
static bool only_names(const struct rule *r)
{
    return r->anybody && r->peers_count > 0;
}

static void grant_names(struct policy_core *c, const struct rule *r, const struct identity *to)
{
    struct rule_port named[1];
    for (unsigned i = 0; i < r->ports_count; i++) {
        if (r->ports[i].name.n > 0) {
            named[0] = r->ports[i];
            struct rule one = {.ports = named, .ports_count = 1};
            grant_rule(c, &one, to, NETPOL_EGRESS, NULL);
        }
    }
}

static void grant_policy(struct policy_core *c, const struct policy *p, enum netpol_direction d,
                         const struct object *pod)
{
    for (unsigned i = 0; i < p->rules_count[d] && !c->full; i++) {
        const struct rule *r = &p->rules[d][i];
        if (r->anybody) {
            grant_rule(c, r, NULL, d, pod);
        }
        for (unsigned k = 0; k < r->peers_count && !c->full; k++) {
            const struct peer_group *g = r->peers[k];
            for (unsigned n = 0; n < g->identities_count && !c->full; n++) {
                const struct identity nameless = {.number = g->identities[n]->number};
                if (g->is_block) {
                    grant_rule(c, r, &nameless, d, pod);
                } else if (only_names(r)) {
                    grant_names(c, r, g->identities[n]);
                } else {
                    grant_rule(c, r, g->identities[n], d, pod);
                }
            }
        }
    }
}

static int by_range(const void *a, const void *b)
{
    const struct grant *x = a, *y = b;
    return x->identity != y->identity   ? (x->identity > y->identity) - (x->identity < y->identity)
           : x->protocol != y->protocol ? (x->protocol > y->protocol) - (x->protocol < y->protocol)
           : x->first != y->first       ? (x->first > y->first) - (x->first < y->first)
                                        : (x->last < y->last) - (x->last > y->last); /* the longer one first */
}

/* ---- Lists of ports ---- */

static void want_range(struct policy_core *c, uint32_t list, const struct grant *g)
{
    uint8_t key[NFT_KEY_BYTES] = {0};
    uint16_t first = htons(g->first), last = htons(g->last);
    memcpy(key, &list, sizeof list);
    key[4] = g->protocol;
    memcpy(key + 8, &first, sizeof first);
    if (g->first == g->last) {
        cells_want(c->cells, POLICY_SET_PORTS, key, NULL);
    } else {
        memcpy(key + POLICY_PORTS_BYTES, &last, sizeof last);
        cells_want(c->cells, POLICY_SET_RANGES, key, NULL);
    }
}

/* Sorted grants of one identity, to their normal form: what lies in a range is not there beside it, and ranges that
 * overlap are one, for the kernel takes no two that do. A grant of everything is all there is. Returns how many. */
static unsigned normalise(struct grant *list, unsigned count)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++) {
        struct grant *last = kept > 0 ? &list[kept - 1] : NULL;
        if (last != NULL && last->protocol == 0) {
            break;
        }
        if (last != NULL && last->protocol == list[i].protocol && list[i].first <= last->last) {
            last->last = MAX(last->last, list[i].last);
        } else {
            list[kept++] = list[i];
        }
    }
    return kept;
}

/* The number of a list of ports; lists that are alike have one. */
static uint32_t get_list(struct policy_core *c, const struct grant *grants, unsigned count)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    if (grants[0].protocol == 0) {
        return POLICY_ALL_PORTS;
    }
    for (unsigned i = 0; i < count; i++) {
        uint16_t ports[3] = {grants[i].protocol, grants[i].first, grants[i].last};
        buf_append(&key, ports, sizeof ports);
    }
    struct numbered *l = strmap_get(&c->lists, buf_str(&key));
    if (l == NULL) {
        l = xcalloc(1, sizeof *l);
        l->number = ++c->next_list;
        strmap_set(&c->lists, buf_str(&key), l);
    }
    if (!l->seen) {
        l->seen = true;
        for (unsigned i = 0; i < count; i++) {
            want_range(c, l->number, &grants[i]);
        }
    }
    return l->number;
}

static void add_rule_of_group(struct group *g, uint32_t identity, uint32_t list)
{
    if (g->rules_count == g->rules_cap) {
        g->rules_cap = MAX(16u, g->rules_cap * 2);
        g->rules = xrealloc(g->rules, g->rules_cap * sizeof *g->rules);
    }
    g->rules[g->rules_count++] = (struct group_rule){identity, list};
}

static void add_list(struct policy_core *c, struct group *g, uint32_t identity, struct grant *list, unsigned count)
{
    if (cells_count(c->cells) >= POLICY_ELEMENTS_MAX) {
        c->full = true;
    } else {
        add_rule_of_group(g, identity, get_list(c, list, normalise(list, count)));
    }
}

/* Whom a rule names besides may do all that anybody may. Anybody's grants are the last, for its number is the highest,
 * and are made a list first: what is left out behind them may still do that. */
static void settle_grants(struct policy_core *c, struct group *g)
{
    struct grant *both = xcalloc((size_t)c->grants_count * 2 + 1, sizeof *both);
    unsigned anybody = c->grants_count, end, work = 0;
    qsort(c->grants, c->grants_count, sizeof *c->grants, by_range);
    while (anybody > 0 && c->grants[anybody - 1].identity == POLICY_ANYBODY) {
        anybody--;
    }
    unsigned anybodys = normalise(c->grants + anybody, c->grants_count - anybody);
    if (anybodys > 0) {
        add_list(c, g, POLICY_ANYBODY, c->grants + anybody, anybodys);
    }
    for (unsigned i = 0; i < anybody; i = end) {
        uint32_t identity = c->grants[i].identity;
        unsigned count = 0;
        for (end = i; end < anybody && c->grants[end].identity == identity; end++) {
            both[count++] = c->grants[end];
        }
        for (unsigned k = 0; k < anybodys; k++) {
            both[count] = c->grants[anybody + k];
            both[count++].identity = identity;
        }
        work += count;
        if (work > POLICY_WORK_MAX) {
            c->full = true;
            break;
        }
        qsort(both, count, sizeof *both, by_range);
        add_list(c, g, identity, both, count);
    }
    free(both);
}

/* ---- Groups ---- */

static int by_key(const void *a, const void *b)
{
    const struct policy *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

/* Policies that select the pod for a direction, in the order of their keys. */
static unsigned find_policies(const struct policy_core *c, const struct object *pod, enum netpol_direction d,
                              struct policy **list)
{
    const struct strmap_entry *e;
    unsigned count = 0;
    for (size_t i = 0; (e = strmap_next(&c->policies, &i)) != NULL;) {
        struct policy *p = e->value;
        if (p->restricts[d] && selects(p, pod)) {
            list[count++] = p;
        }
    }
    qsort(list, count, sizeof *list, by_key);
    return count;
}

static void write_group_key(struct buf *key, struct policy *const *list, unsigned count, enum netpol_direction d,
                            const struct object *pod)
{
    buf_putc(key, d == NETPOL_INGRESS ? '<' : '>');
    for (unsigned i = 0; i < count; i++) {
        buf_printf(key, "%s\n", list[i]->key);
        for (unsigned r = 0; d == NETPOL_INGRESS && r < list[i]->rules_count[d]; r++) {
            for (unsigned k = 0; k < list[i]->rules[d][r].ports_count; k++) {
                const struct rule_port *port = &list[i]->rules[d][r].ports[k];
                if (port->name.n > 0) {
                    buf_printf(key, "%u ", own_port(pod, port));
                }
            }
        }
    }
}

static void want_pod(struct policy_core *c, enum netpol_direction d, uint32_t ip, const struct group *g)
{
    bool in = d == NETPOL_INGRESS;
    uint8_t key[NFT_KEY_BYTES] = {0}, data[NFT_DATA_BYTES] = {0};
    ip = htonl(ip);
    memcpy(key, &ip, sizeof ip);
    cells_want(c->cells, in ? POLICY_SET_PODS_IN : POLICY_SET_PODS_OUT, key, NULL);
    memcpy(key + 4, &ip, sizeof ip);
    cells_want(c->cells, POLICY_SET_SELVES, key, NULL);
    for (unsigned i = 0; i < g->rules_count; i++) {
        if (cells_count(c->cells) >= POLICY_ELEMENTS_MAX) {
            snprintf(c->stats.overflow, sizeof c->stats.overflow, "all pods here"); /* this one is allowed less */
            break;
        }
        memcpy(key + 4, &g->rules[i].identity, sizeof g->rules[i].identity);
        memcpy(data, &g->rules[i].list, sizeof g->rules[i].list);
        cells_want(c->cells, in ? POLICY_SET_RULES_IN : POLICY_SET_RULES_OUT, key, data);
    }
}

static void settle_pod(struct policy_core *c, const struct local_pod *l, enum netpol_direction d, struct policy **list)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    unsigned count = find_policies(c, l->object, d, list);
    if (count == 0) {
        return;
    }
    write_group_key(&key, list, count, d, l->object);
    struct group *g = strmap_get(&c->groups, buf_str(&key));
    if (g == NULL) {
        g = xcalloc(1, sizeof *g);
        strmap_set(&c->groups, buf_str(&key), g);
        c->grants_count = 0;
        c->full = false;
        for (unsigned i = 0; i < count; i++) {
            grant_policy(c, list[i], d, l->object);
        }
        settle_grants(c, g);
        if (c->full) {
            snprintf(c->stats.overflow, sizeof c->stats.overflow, "%.*s/%.*s", STR_ARG(l->object->ns),
                     STR_ARG(l->object->name));
        }
    }
    want_pod(c, d, l->ip, g);
}

static void forget_groups(struct policy_core *c)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&c->groups, &i)) != NULL;) {
        struct group *g = e->value;
        free(g->rules);
        free(g);
    }
    c->stats.groups = c->groups.count;
    strmap_close(&c->groups);
    strmap_init(&c->groups);
}

static void forget_unused_lists(struct policy_core *c)
{
    const struct strmap_entry *e;
    struct strmap kept;
    strmap_init(&kept);
    for (size_t i = 0; (e = strmap_next(&c->lists, &i)) != NULL;) {
        struct numbered *l = e->value;
        if (l->seen) {
            l->seen = false;
            strmap_set(&kept, (struct str){e->key, e->key_size}, l);
        } else {
            free(l);
        }
    }
    strmap_close(&c->lists);
    c->lists = kept;
}

/* Names that egress rules ask for. */
static void number_names(struct policy_core *c)
{
    const struct strmap_entry *e;
    peers_names_begin(c->peers);
    for (size_t i = 0; (e = strmap_next(&c->policies, &i)) != NULL;) {
        struct policy *p = e->value;
        for (unsigned r = 0; r < p->rules_count[NETPOL_EGRESS]; r++) {
            struct rule *rule = &p->rules[NETPOL_EGRESS][r];
            for (unsigned k = 0; k < rule->ports_count; k++) {
                if (rule->ports[k].name.n > 0) {
                    rule->ports[k].name_number = peers_name(c->peers, rule->ports[k].name);
                }
            }
        }
    }
    peers_names_end(c->peers);
}

static bool is_lacking(const struct policy *p)
{
    for (enum netpol_direction d = 0; d < NETPOL_DIRECTIONS; d++) {
        for (unsigned i = 0; i < p->rules_count[d]; i++) {
            for (unsigned k = 0; k < p->rules[d][i].peers_count; k++) {
                if (p->rules[d][i].peers[k]->is_short) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* The first by its key. */
static void find_lacking(struct policy_core *c)
{
    const struct strmap_entry *e;
    const char *first = NULL;
    for (size_t i = 0; (e = strmap_next(&c->policies, &i)) != NULL;) {
        const struct policy *p = e->value;
        if ((first == NULL || strcmp(p->key, first) < 0) && is_lacking(p)) {
            first = p->key;
        }
    }
    snprintf(c->stats.lacking, sizeof c->stats.lacking, "%s", first == NULL ? "" : first);
}

/* Pods that masters know of no address of are in no class, unless that is from before the start. */
static void settle_moves(struct policy_core *c)
{
    struct peer_move *moves = xcalloc(c->pods.count + 1, sizeof *moves);
    const struct strmap_entry *e;
    unsigned count = 0;
    for (size_t i = 0; (e = strmap_next(&c->pods, &i)) != NULL;) {
        const struct local_pod *l = e->value;
        if (l->told != l->ip && (l->told != 0 || c->stale)) {
            moves[count++] = (struct peer_move){l->told, l->ip};
        }
    }
    peers_set_moves(c->peers, moves, count, c->stale);
    c->moved = false;
    free(moves);
}

void policy_core_settle(struct policy_core *c)
{
    const struct strmap_entry *e;
    if (c->hearing) {
        return;
    }
    if (c->moved) {
        settle_moves(c);
    }
    if (c->changed) {
        number_names(c);
    }
    if (peers_short_changed(c->peers) || c->changed) {
        find_lacking(c);
    }
    if (!peers_settle(c->peers) && !c->changed) {
        return;
    }
    c->changed = false;
    c->stats.overflow[0] = '\0';
    struct policy **list = xcalloc(c->policies.count + 1, sizeof *list);
    cells_pass_begin(c->cells);
    for (size_t i = 0; (e = strmap_next(&c->pods, &i)) != NULL;) {
        settle_pod(c, e->value, NETPOL_INGRESS, list);
        settle_pod(c, e->value, NETPOL_EGRESS, list);
    }
    cells_pass_end(c->cells, ~(1u << POLICY_SET_BLOCKS | 1u << POLICY_SET_PEERS));
    forget_groups(c);
    forget_unused_lists(c);
    free(list);
}

void policy_core_get_stats(const struct policy_core *c, struct policy_core_stats *out)
{
    *out = c->stats;
    out->policies = c->policies.count;
    out->pods = c->pods.count;
    out->identities = peers_identities(c->peers)->count;
}
