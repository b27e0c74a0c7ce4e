/* A small cluster as plain numbers, and the rules of placement over it: what scheduler_oracle holds against the
 * scheduler. The rules are written from their definition alone (Kubernetes core/v1: NodeSelector, Taint,
 * PodAffinityTerm, TopologySpreadConstraint), slowly, and ask nothing of the scheduler. */
#ifndef TESTS_UNIT_KIT_PLACEMENT_H
#define TESTS_UNIT_KIT_PLACEMENT_H

#include <stdbool.h>

/* Labels are small numbers: 0 is "has none", v is the value "v<v>". */
enum { L_APP, L_TIER, L_HASH, L_INDEX, POD_LABELS };
enum { L_ZONE, L_HOST, L_DISK, L_RANK, NODE_LABELS };
enum { L_TEAM, NS_LABELS };
#define LABELS_MAX 4

enum op { IN, NOT_IN, EXISTS, NOT_EXISTS, GREATER, LESS };
struct requirement {
    unsigned key, values; /* values: bit v */
    enum op op;
};
struct selector_model {
    bool present;
    struct requirement r[2];
    unsigned count;
};
struct term {
    struct selector_model pods, of_namespaces;
    unsigned namespaces; /* bit i */
    unsigned topology;   /* node label */
    unsigned match_keys, mismatch_keys;
};
struct spread {
    struct selector_model pods;
    unsigned topology, max_skew, min_domains, match_keys;
    bool hard, ignore_affinity, honor_taints;
};
struct template
{
    unsigned ns, labels[POD_LABELS], cpu, gpu, port;
    unsigned priority;
    unsigned selector_disk;              /* nodeSelector */
    struct selector_model node_terms[2]; /* nodeAffinity, required */
    unsigned node_terms_count;
    unsigned field_not_node; /* matchFields of the first term: not this node, from 1 */
    unsigned tolerates;      /* bit 0: taint red, bit 1: taint blue, bit 2: everything */
    struct term near[2], away[2], like[2];
    unsigned near_count, away_count, like_count;
    struct spread spread[3];
    unsigned spread_count;
    unsigned group; /* its pods are of this PodGroup of its namespace, from 1 */
};
#define NAMESPACES 3u
#define NODES      7u
#define PODS       48u
#define TEMPLATES  6u
#define GROUPS     3u
struct node {
    bool exists, cordoned;
    unsigned labels[NODE_LABELS], cpu, gpu, pods;
    unsigned taint; /* 0, 1: red:NoSchedule, 2: blue:NoExecute, 3: red:PreferNoSchedule */
};
struct pod {
    bool exists, finished, deleting;
    const struct template *t;
    unsigned labels[POD_LABELS];
    int node;           /* -1: none */
    unsigned nominated; /* 0: to no node; 1: to the first */
};
struct group {
    bool exists;
    unsigned min; /* 0: the policy basic */
};
struct model {
    struct group groups[NAMESPACES][GROUPS];
    unsigned ns[NAMESPACES][NS_LABELS];
    struct node nodes[NODES];
    struct pod pods[PODS];
    struct template templates[TEMPLATES];
};

/* May the pod be placed on the node with this number, as the cluster is now? Pure. */
bool placement_lets_in(const struct model *m, const struct pod *p, int at);
/* Has the node room for it beside those that are there, and those of its priority or a higher one that are to come
 * there (nominated)? */
bool placement_keeps_room(const struct model *m, const struct pod *p, int at);
/* Would it be let in if all pods of lower priority on the node were gone, and there are some? Changes nothing. */
bool placement_could_push_out(const struct model *m, const struct pod *p, int at);

/* Gangs (KEP-4671). NULL: the pods of the template are of none. */
const struct group *placement_group_of(const struct model *m, const struct template *t);
bool placement_same_group(const struct template *a, const struct template *b);
/* Members that have a node and stay, and those that have succeeded. */
unsigned placement_gang_has(const struct model *m, const struct template *t);
/* Must the pod wait for its gang, whatever the nodes? */
bool placement_gang_waits(const struct model *m, const struct pod *p);

#endif
