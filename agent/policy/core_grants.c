/* What a group of pods is allowed in a direction, and the lists of ports that say so (core.h). */
#include "agent/policy/core_int.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "agent/policy/skeleton.h"

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

uint16_t grants_own_port(const struct object *pod, const struct rule_port *port)
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
            uint16_t own = grants_own_port(pod, port);
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

void grants_add_policy(struct policy_core *c, const struct policy *p, enum netpol_direction d, const struct object *pod)
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
void grants_settle(struct policy_core *c, struct group *g)
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
