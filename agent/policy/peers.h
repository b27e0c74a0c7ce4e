/* Who is who for the rules of this node: addresses of pods by the classes that masters tell, and ranges of addresses by
 * the blocks that policies name. Pure.
 *
 * Addresses of which all rules speak alike have one identity: rules are written for identities, so that a pod that
 * comes or goes is one element. An identity is the set of classes and blocks that an address is in and, as far as rules
 * ask for them, what its ports are called. */
#ifndef AGENT_POLICY_PEERS_H
#define AGENT_POLICY_PEERS_H

#include "agent/policy/cells.h"
#include "base/strmap.h"
#include "proto/facts/cidr.h"
#include "proto/model/msgpack.h"

#define PEERS_BLOCKS_MAX                                                                                               \
    4096u /* ranges and exceptions of them that a node knows; of further blocks nobody is a member */

struct identity {
    uint32_t number;
    unsigned refs; /* addresses and ranges */
    struct {
        uint32_t *list; /* of numbers, ascending */
        unsigned count;
    } groups; /* of classes and blocks */
    struct identity_port {
        uint32_t name; /* peers_name */
        uint8_t protocol;
        uint16_t port;
    } * ports;
    unsigned ports_count;
    char *key;
    size_t key_size;
};
/* A class or a block: what a rule can name. */
struct peer_group {
    uint32_t number;
    bool is_block;
    unsigned refs; /* of policies */
    bool told;     /* by masters, or it is a block */
    bool is_short; /* masters have no room for all of it: some who belong to it are left out */
    struct identity **identities;
    unsigned identities_count, identities_cap;
    struct strmap members; /* of a class: address, 4 bytes -> struct peer */
    bool seen;             /* while all is told again */
    char *key;
    size_t key_size;
    struct cidr cidr; /* of a block */
    struct cidr *except;
    unsigned except_count;
};

struct peers;
struct peers *peers_new(struct cells *cells); /* borrowed */
void peers_free(struct peers *p);

/* ---- What policies name. Each get is followed by a put. ---- */

struct peer_group *peers_class_get(struct peers *p, struct str key);
struct peer_group *peers_block_get(struct peers *p, struct mp block); /* {cidr, except}; NULL: it is for nobody */
void peers_group_put(struct peers *p, struct peer_group *g);
/* Names of ports that rules ask for, which identities tell apart: each between begin and end. Numbers are never 0, and
 * stay while the name is asked for each time. */
void peers_names_begin(struct peers *p);
uint32_t peers_name(struct peers *p, struct str name);
void peers_names_end(struct peers *p);

/* ---- What masters tell: the part `classes` and `dropped` of a message (core.h) ---- */

void peers_told_begin(struct peers *p); /* all of it anew */
void peers_told(struct peers *p, struct mp classes, struct mp dropped);
void peers_told_end(struct peers *p);                     /* what was not told again is gone */
void peers_write(const struct peers *p, struct buf *out); /* the array `classes` that peers_told reads back */

/* A pod of this node has the address `to`, and masters know it by `from` (0: by none). heard: in the state of which
 * they have told it was at `to`; then it is here because another pod was there before. */
struct peer_move {
    uint32_t from, to;
    bool heard;
};
/* All pods that are not where masters knew them, or are where they knew another one (a copy is taken); the former ones
 * count no more. What masters have told of an address is written for the one pod that they mean: the one that has it,
 * or else the only one that they knew there, where it is now. It counts for nobody while they may mean either of two.
 * stale: masters have told of nothing since the agent's start, so they mean none that has come since. */
void peers_set_moves(struct peers *p, const struct peer_move *moves, unsigned count, bool stale);

/* Brings the elements of addresses and ranges up to date. True: identities have come, or others must be told apart: the
 * rules must be written anew. */
bool peers_settle(struct peers *p);
const struct strmap *peers_identities(const struct peers *p); /* key -> struct identity */
bool peers_short_changed(struct peers *p);       /* since the last question: of some class, whether it is short */
bool peers_block_refused(const struct peers *p); /* since the start one was, by PEERS_BLOCKS_MAX */

#endif
