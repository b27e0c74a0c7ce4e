#include "agent/policy/core_int.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/policy/skeleton.h"
#include "proto/kinds/kinds.h"

#define KEY_SIZE 512

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
        c->moved = true; /* where a pod is that came to its address, they may have said now */
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

void policy_core_put_pod(struct policy_core *c, const struct object *pod, uint32_t ip, uint64_t revision)
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
    bool new = l->object == NULL, was_known = !new && l->told == l->ip;
    c->moved = c->moved || new || l->ip != ip || l->told != told;
    if (told == ip && (!was_known || l->ip != ip)) {
        l->since = new ? 0 : revision; /* one that they know when we first see it has come there before */
    }
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
                    buf_printf(key, "%u ", grants_own_port(pod, port));
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
            grants_add_policy(c, list[i], d, l->object);
        }
        grants_settle(c, g);
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

/* Has another pod been at this address, as far as masters know? */
static bool was_others(const struct policy_core *c, const struct local_pod *l)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&c->pods, &i)) != NULL;) {
        const struct local_pod *other = e->value;
        if (other != l && other->told == l->ip) {
            return true;
        }
    }
    return false;
}

static void settle_moves(struct policy_core *c)
{
    struct peer_move *moves = xcalloc(c->pods.count + 1, sizeof *moves);
    const struct strmap_entry *e;
    unsigned count = 0;
    bool all_known = true;
    for (size_t i = 0; (e = strmap_next(&c->pods, &i)) != NULL;) {
        const struct local_pod *l = e->value;
        all_known = all_known && l->told == l->ip;
    }
    for (size_t i = 0; (e = strmap_next(&c->pods, &i)) != NULL;) {
        const struct local_pod *l = e->value;
        bool heard = l->told == l->ip && l->since <= c->revision;
        if (!heard || (!all_known && was_others(c, l))) {
            moves[count++] = (struct peer_move){l->told, l->ip, heard};
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
