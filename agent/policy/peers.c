#include "agent/policy/peers_int.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/policy/skeleton.h"

struct peers *peers_new(struct cells *cells)
{
    struct peers *p = xcalloc(1, sizeof *p);
    p->cells = cells;
    strmap_init(&p->classes);
    strmap_init(&p->blocks);
    strmap_init(&p->addresses);
    strmap_init(&p->identities);
    strmap_init(&p->names);
    list_init(&p->changed);
    return p;
}

void peers_free_group(struct peer_group *g)
{
    strmap_close(&g->members);
    free(g->identities);
    free(g->except);
    free(g->key);
    free(g);
}

static void free_peer(struct peer *a)
{
    list_remove(&a->changed);
    buf_close(&a->ports);
    free(a->classes);
    free(a);
}

void peers_free(struct peers *p)
{
    const struct strmap_entry *e;
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; (e = strmap_next(&p->classes, &i)) != NULL;) {
        peers_free_group(e->value);
    }
    for (size_t i = 0; (e = strmap_next(&p->blocks, &i)) != NULL;) {
        peers_free_group(e->value);
    }
    for (size_t i = 0; (e = strmap_next(&p->addresses, &i)) != NULL;) {
        free_peer(e->value);
    }
    for (size_t i = 0; (e = strmap_next(&p->identities, &i)) != NULL;) {
        peers_free_identity(e->value);
    }
    for (size_t i = 0; (e = strmap_next(&p->names, &i)) != NULL;) {
        free(e->value);
    }
    strmap_close(&p->classes);
    strmap_close(&p->blocks);
    strmap_close(&p->addresses);
    strmap_close(&p->identities);
    strmap_close(&p->names);
    free(p->moves);
    free(p->intervals);
    free(p);
}

/* ---- Classes, blocks, names ---- */

static struct peer_group *get_group(struct peers *p, struct strmap *in, struct str key)
{
    struct peer_group *g = strmap_get(in, key);
    if (g == NULL) {
        g = xcalloc(1, sizeof *g);
        g->number = ++p->next_group;
        g->key = xstrndup(key.p, key.n);
        g->key_size = key.n;
        strmap_init(&g->members);
        strmap_set(in, key, g);
    }
    return g;
}

static void note(struct peers *p, struct peer *a)
{
    if (list_empty(&a->changed)) {
        list_push_back(&p->changed, &a->changed);
    }
}

static struct str key_of_ip(const uint32_t *ip)
{
    return (struct str){(const char *)ip, sizeof *ip};
}

/* Whoever is known by this address, or is at it. */
static void note_address(struct peers *p, uint32_t ip)
{
    struct peer *a = strmap_get(&p->addresses, key_of_ip(&ip));
    if (a != NULL) {
        note(p, a);
    }
    for (unsigned i = 0; i < p->moves_count; i++) {
        a = p->moves[i].to == ip && p->moves[i].from != ip ? strmap_get(&p->addresses, key_of_ip(&p->moves[i].from))
                                                           : NULL;
        if (a != NULL) {
            note(p, a);
        }
    }
}

static void note_members(struct peers *p, const struct peer_group *g)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&g->members, &i)) != NULL;) {
        note(p, e->value);
    }
}

struct peer_group *peers_class_get(struct peers *p, struct str key)
{
    struct peer_group *g = get_group(p, &p->classes, key);
    if (g->refs++ == 0) {
        note_members(p, g);
    }
    return g;
}

/* Host bits of a range are passed over, as Kubernetes does. */
static bool read_range(struct str text, struct cidr *out)
{
    const char *slash = text.n == 0 ? NULL : memchr(text.p, '/', text.n);
    int64_t bits;
    uint32_t ip;
    if (slash == NULL || !cidr_parse_address((struct str){text.p, (size_t)(slash - text.p)}, &ip) ||
        !str_to_int64((struct str){slash + 1, text.n - (size_t)(slash - text.p) - 1}, &bits) || bits < 0 || bits > 32) {
        return false;
    }
    out->bits = (unsigned)bits;
    out->first = bits == 0 ? 0 : ip & UINT32_MAX << (32 - bits);
    return true;
}

/* Ranges of IPv6, which nobody here has an address of, are passed over. */
struct peer_group *peers_block_get(struct peers *p, struct mp block)
{
    struct cidr cidr;
    unsigned count = 0;
    struct mp except = mp_get(block, "except");
    if (!read_range(mp_str(mp_get(block, "cidr")), &cidr)) {
        return NULL;
    }
    struct cidr *list = xcalloc(mp_count(except) + 1, sizeof *list);
    list[0] = cidr;
    for (struct mp_iter it = mp_iter(except); mp_next(&it);) {
        count += read_range(mp_str(it.value), &list[count + 1]);
    }
    struct str key = {(const char *)list, (count + 1) * sizeof *list};
    struct peer_group *g = strmap_get(&p->blocks, key);
    if (g == NULL && p->ranges + count + 1 <= PEERS_BLOCKS_MAX) {
        g = get_group(p, &p->blocks, key);
        g->is_block = true;
        g->cidr = cidr;
        g->except = xmemdup(list, (count + 1) * sizeof *list);
        memmove(g->except, g->except + 1, count * sizeof *list);
        g->except_count = count;
        g->told = true;
        p->ranges += count + 1;
        p->blocks_changed = true;
    }
    free(list);
    if (g != NULL) {
        g->refs++;
    }
    p->block_refused = p->block_refused || g == NULL;
    return g;
}

struct str peers_key_of_group(const struct peer_group *g)
{
    return (struct str){g->key, g->key_size};
}

void peers_drop_class_if_unused(struct peers *p, struct peer_group *g)
{
    if (g->refs == 0 && !g->told && g->members.count == 0 && g->identities_count == 0) {
        strmap_remove(&p->classes, peers_key_of_group(g));
        peers_free_group(g);
    }
}

/* A block is forgotten by peers_settle, after its identities. */
void peers_group_put(struct peers *p, struct peer_group *g)
{
    if (--g->refs > 0) {
        return;
    }
    if (g->is_block) {
        p->blocks_changed = true;
    } else {
        note_members(p, g);
        peers_drop_class_if_unused(p, g);
    }
}

uint32_t peers_name(struct peers *p, struct str name)
{
    struct name_number *n = strmap_get(&p->names, name);
    if (n == NULL) {
        n = xcalloc(1, sizeof *n);
        n->number = ++p->next_name;
        strmap_set(&p->names, name, n);
        p->names_changed = true;
    }
    n->seen = true;
    return n->number;
}

void peers_names_begin(struct peers *p)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&p->names, &i)) != NULL;) {
        ((struct name_number *)e->value)->seen = false;
    }
}

void peers_names_end(struct peers *p)
{
    const struct strmap_entry *e;
    struct strmap kept;
    strmap_init(&kept);
    for (size_t i = 0; (e = strmap_next(&p->names, &i)) != NULL;) {
        struct name_number *n = e->value;
        if (n->seen) {
            strmap_set(&kept, (struct str){e->key, e->key_size}, n);
        } else {
            p->names_changed = true;
            free(n);
        }
    }
    strmap_close(&p->names);
    p->names = kept;
}

/* ---- What masters tell ---- */

static struct peer *get_peer(struct peers *p, uint32_t ip)
{
    struct peer *a = strmap_get(&p->addresses, key_of_ip(&ip));
    if (a == NULL) {
        a = xcalloc(1, sizeof *a);
        a->ip = ip;
        list_init(&a->changed);
        strmap_set(&p->addresses, key_of_ip(&ip), a);
    }
    return a;
}

static void join(struct peers *p, struct peer_group *g, uint32_t ip, struct mp ports)
{
    struct peer *a = get_peer(p, ip);
    struct str now =
        mp_count(ports) == 0 ? STR_NONE : (struct str){(const char *)ports.p, (size_t)(ports.end - ports.p)};
    if (!str_eq(buf_str(&a->ports), now)) {
        buf_reset(&a->ports);
        buf_append_str(&a->ports, now);
        note(p, a);
    }
    if (strmap_get(&g->members, key_of_ip(&ip)) != NULL) {
        return;
    }
    strmap_set(&g->members, key_of_ip(&ip), a);
    if (a->count == a->cap) {
        a->cap = MAX(4u, a->cap * 2);
        a->classes = xrealloc(a->classes, a->cap * sizeof(struct peer_group *));
    }
    a->classes[a->count++] = g;
    note_address(p, ip);
}

static void leave(struct peers *p, struct peer_group *g, struct peer *a)
{
    for (unsigned i = 0; i < a->count; i++) {
        if (a->classes[i] == g) {
            a->classes[i] = a->classes[--a->count];
            break;
        }
    }
    note_address(p, a->ip);
}

static void leave_all(struct peers *p, struct peer_group *g)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&g->members, &i)) != NULL;) {
        leave(p, g, e->value);
    }
    strmap_close(&g->members);
    strmap_init(&g->members);
}

static void class_told(struct peers *p, struct mp m)
{
    struct str key = mp_str(mp_get(m, "key"));
    if (key.n == 0) {
        return;
    }
    struct peer_group *g = get_group(p, &p->classes, key);
    bool is_short = mp_bool(mp_get(m, "short"), false);
    p->short_changed = p->short_changed || is_short != g->is_short;
    g->told = g->seen = true;
    g->is_short = is_short;
    if (mp_bool(mp_get(m, "whole"), false)) {
        leave_all(p, g);
    }
    for (struct mp_iter it = mp_iter(mp_get(m, "gone")); mp_next(&it);) {
        uint32_t ip = (uint32_t)mp_int(it.value, 0);
        struct peer *a = strmap_remove(&g->members, key_of_ip(&ip));
        if (a != NULL) {
            leave(p, g, a);
        }
    }
    for (struct mp_iter it = mp_iter(mp_get(m, "members")); mp_next(&it);) {
        struct mp_iter parts = mp_iter(it.value);
        uint32_t ip = mp_next(&parts) ? (uint32_t)mp_int(parts.value, 0) : 0;
        if (ip != 0) {
            join(p, g, ip, mp_next(&parts) ? parts.value : mp_of(NULL, 0));
        }
    }
}

static void drop_class(struct peers *p, struct peer_group *g)
{
    leave_all(p, g);
    g->told = false;
    peers_drop_class_if_unused(p, g);
}

void peers_told_begin(struct peers *p)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&p->classes, &i)) != NULL;) {
        ((struct peer_group *)e->value)->seen = false;
    }
}

void peers_told(struct peers *p, struct mp classes, struct mp dropped)
{
    for (struct mp_iter it = mp_iter(dropped); mp_next(&it);) {
        struct peer_group *g = strmap_get(&p->classes, mp_str(it.value));
        if (g != NULL) {
            drop_class(p, g);
        }
    }
    for (struct mp_iter it = mp_iter(classes); mp_next(&it);) {
        class_told(p, it.value);
    }
}

struct peer_group **peers_list_groups(const struct strmap *m)
{
    struct peer_group **list = xcalloc(m->count + 1, sizeof *list);
    const struct strmap_entry *e;
    unsigned n = 0;
    for (size_t i = 0; (e = strmap_next(m, &i)) != NULL;) {
        list[n++] = e->value;
    }
    return list;
}

void peers_told_end(struct peers *p)
{
    struct peer_group **list = peers_list_groups(&p->classes);
    for (unsigned i = 0; list[i] != NULL; i++) {
        if (!list[i]->seen && list[i]->told) {
            drop_class(p, list[i]);
        }
    }
    free(list);
}

static void write_members(const struct peer_group *g, struct buf *out)
{
    const struct strmap_entry *e;
    mp_write_cstr(out, "members");
    mp_write_array(out, (uint32_t)g->members.count);
    for (size_t i = 0; (e = strmap_next(&g->members, &i)) != NULL;) {
        const struct peer *a = e->value;
        mp_write_array(out, a->ports.size > 0 ? 2 : 1);
        mp_write_int(out, a->ip);
        buf_append(out, a->ports.data, a->ports.size);
    }
}

void peers_write(const struct peers *p, struct buf *out)
{
    struct peer_group **list = peers_list_groups(&p->classes);
    uint32_t count = 0;
    for (unsigned i = 0; list[i] != NULL; i++) {
        count += list[i]->told;
    }
    mp_write_array(out, count);
    for (unsigned i = 0; list[i] != NULL; i++) {
        if (list[i]->told) {
            mp_write_map(out, 4);
            mp_write_key_str(out, "key", peers_key_of_group(list[i]));
            mp_write_key_bool(out, "whole", true);
            mp_write_key_bool(out, "short", list[i]->is_short);
            write_members(list[i], out);
        }
    }
    free(list);
}

/* ---- Addresses ---- */

static void note_moved(struct peers *p)
{
    for (unsigned i = 0; i < p->moves_count; i++) {
        note_address(p, p->moves[i].from);
        note_address(p, p->moves[i].to);
    }
}

void peers_set_moves(struct peers *p, const struct peer_move *moves, unsigned count, bool stale)
{
    if (stale == p->stale && count == p->moves_count &&
        (count == 0 || memcmp(moves, p->moves, count * sizeof *moves) == 0)) {
        return;
    }
    note_moved(p);
    free(p->moves);
    p->moves = xmemdup(moves, count * sizeof *moves);
    p->moves_count = count;
    p->stale = stale;
    note_moved(p);
}

/* Where the pod is that masters know by this address; 0: they may mean another one than has it. */
static uint32_t place_of(const struct peers *p, const struct peer *a)
{
    const struct peer_move *here = NULL, *left = NULL;
    unsigned left_count = 0;
    for (unsigned i = 0; i < p->moves_count; i++) {
        const struct peer_move *m = &p->moves[i];
        here = m->to == a->ip ? m : here;
        if (m->from == a->ip && m->to != a->ip) {
            left = m;
            left_count++;
        }
    }
    if (here != NULL && !here->heard) {
        return p->stale && left_count == 1 ? left->to : 0;
    }
    if (here != NULL) {
        return left_count == 0 ? a->ip : 0;
    }
    return left_count == 0 ? a->ip : left_count == 1 ? left->to : 0;
}

static void key_of_place(uint8_t key[NFT_KEY_BYTES], uint32_t place)
{
    uint32_t ip = htonl(place);
    memset(key, 0, NFT_KEY_BYTES);
    memcpy(key, &ip, sizeof ip);
}

/* Somebody else may be at the place that is left: that one's element is wanted again. */
static void leave_place(struct peers *p, struct peer *a)
{
    uint8_t key[NFT_KEY_BYTES];
    uint32_t place = a->place;
    a->place = 0;
    key_of_place(key, place);
    cells_unwant(p->cells, POLICY_SET_PEERS, key);
    note_address(p, place);
}

static void settle_peer(struct peers *p, struct peer *a)
{
    struct peer_group **in = xcalloc(a->count + p->blocks.count + 1, sizeof *in);
    struct identity *former = a->identity;
    unsigned count = 0;
    uint8_t key[NFT_KEY_BYTES], data[NFT_DATA_BYTES] = {0};
    for (unsigned i = 0; i < a->count; i++) {
        if (a->classes[i]->refs > 0) {
            in[count++] = a->classes[i];
        }
    }
    a->identity = NULL;
    uint32_t place = count > 0 ? place_of(p, a) : 0;
    if (a->place != 0 && a->place != place) {
        leave_place(p, a);
    }
    if (place != 0) {
        (void)peers_blocks_of(p, place, in, count);
        a->identity = peers_get_identity(p, in, mp_of(a->ports.data, a->ports.size));
        memcpy(data, &a->identity->number, sizeof a->identity->number);
        key_of_place(key, place);
        cells_want(p->cells, POLICY_SET_PEERS, key, data);
    }
    a->place = place;
    peers_put_identity(p, former);
    free(in);
    list_remove(&a->changed);
    if (a->count == 0) {
        strmap_remove(&p->addresses, key_of_ip(&a->ip));
        free_peer(a);
    }
}

bool peers_settle(struct peers *p)
{
    const struct strmap_entry *e;
    if (p->blocks_changed || p->names_changed) {
        for (size_t i = 0; (e = strmap_next(&p->addresses, &i)) != NULL;) {
            note(p, e->value);
        }
    }
    if (p->blocks_changed) {
        struct peer_group **list = peers_list_groups(&p->blocks);
        for (unsigned i = 0; list[i] != NULL; i++) { /* numbers of those that go are in no identity any more */
            if (list[i]->refs == 0) {
                list[i]->identities_count = 0;
            }
        }
        free(list);
        peers_settle_blocks(p);
    }
    p->blocks_changed = p->names_changed = false;
    while (!list_empty(&p->changed)) {
        settle_peer(p, LIST_ENTRY(p->changed.next, struct peer, changed));
    }
    bool others = p->new_identities;
    if (others) {
        peers_forget_unused(p);
    }
    p->new_identities = false;
    return others;
}

const struct strmap *peers_identities(const struct peers *p)
{
    return &p->identities;
}

bool peers_short_changed(struct peers *p)
{
    bool changed = p->short_changed;
    p->short_changed = false;
    return changed;
}

bool peers_block_refused(const struct peers *p)
{
    return p->block_refused;
}
