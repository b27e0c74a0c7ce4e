/* What the files of core.h share. */
#ifndef AGENT_POLICY_CORE_INT_H
#define AGENT_POLICY_CORE_INT_H

#include "agent/policy/core.h"
#include "agent/policy/peers.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "proto/facts/netpol.h"
#include "proto/schema/selector.h"

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
    uint32_t told;  /* its address as masters know it; 0: they know none */
    uint64_t since; /* told is its address: in their states from this revision on */
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

/* ---- core_grants.c: what the pods of a group are allowed in a direction ---- */

/* The number that the pod has under the name of an ingress rule's port; 0: none. */
uint16_t grants_own_port(const struct object *pod, const struct rule_port *port);
/* Adds what the policy allows the pod to c->grants, as far as there is room (c->full). */
void grants_add_policy(struct policy_core *c, const struct policy *p, enum netpol_direction d,
                       const struct object *pod);
/* Makes the group's rules of c->grants, with the lists of ports that they need. */
void grants_settle(struct policy_core *c, struct group *g);

#endif
