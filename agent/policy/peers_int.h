/* What the files of peers.h share. */
#ifndef AGENT_POLICY_PEERS_INT_H
#define AGENT_POLICY_PEERS_INT_H

#include "agent/policy/peers.h"
#include "base/list.h"
#include "base/mem.h"

/* One address of a pod, as masters tell it. */
struct peer {
    uint32_t ip;
    uint32_t place; /* for which an element is wanted; 0: for none */
    struct peer_group **classes;
    unsigned count, cap;
    struct buf ports; /* as told: [[name, protocol, number]...]; empty = none */
    struct identity *identity;
    struct list changed;
};
struct interval {
    uint32_t first, last;
    struct identity *identity;
};
struct peers {
    struct cells *cells;
    struct strmap classes, blocks; /* key -> struct peer_group */
    struct strmap addresses;       /* 4 bytes -> struct peer */
    struct strmap identities;      /* key -> struct identity */
    struct strmap names;           /* of ports -> struct name_number */
    struct list changed;
    struct peer_move *moves;
    unsigned moves_count;
    bool stale;
    struct interval *intervals;
    unsigned intervals_count;
    uint32_t next_group, next_identity, next_name;
    unsigned ranges; /* of all blocks */
    bool blocks_changed, names_changed, new_identities, block_refused, short_changed;
};
struct name_number {
    uint32_t number;
    bool seen;
};

void peers_free_group(struct peer_group *g);
struct str peers_key_of_group(const struct peer_group *g);
void peers_drop_class_if_unused(struct peers *p, struct peer_group *g);
/* All groups, in a list of their own that ends with NULL: the map may change while it is walked. The caller frees
 * it. */
struct peer_group **peers_list_groups(const struct strmap *m);

/* ---- peers_identity.c ---- */

/* The identity of what is in these groups, ended by NULL and in the order of their numbers; with one more reference. */
struct identity *peers_get_identity(struct peers *p, struct peer_group *const *groups, struct mp ports);
void peers_put_identity(struct peers *p, struct identity *i); /* NULL is fine */
void peers_forget_unused(struct peers *p);                    /* identities, and classes that are left without any */
void peers_free_identity(struct identity *i);

/* ---- peers_ranges.c ---- */

/* The blocks that the address is in, behind the `count` that are in the list already; all of it in the order of their
 * numbers, ended by NULL. Returns how many. */
unsigned peers_blocks_of(const struct peers *p, uint32_t ip, struct peer_group **list, unsigned count);
void peers_settle_blocks(struct peers *p); /* writes the intervals of all blocks anew */

#endif
