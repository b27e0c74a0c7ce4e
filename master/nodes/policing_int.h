/* Inside of policing.h: what there is is policing.c, what nodes are told of it policing_tell.c. */
#ifndef MASTER_NODES_POLICING_INT_H
#define MASTER_NODES_POLICING_INT_H

#include "master/nodes/ages.h"
#include "master/nodes/policing.h"
#include "proto/schema/selector.h"

/* One address that pods of a class have: mostly one, two while one goes and another comes. */
struct member {
    struct aged aged;
    uint32_t ip;
    unsigned pods;
    struct buf ports; /* the array of the message; empty = none */
};
struct class
{
    struct list link; /* in its space, or in policing.wide */
    char *key;
    size_t key_size;
    struct arena arena;
    struct selector *spaces, *pods; /* spaces NULL: one namespace's */
    struct ages members;
    struct list memberships, subjects, followers; /* struct membership, policy, told_class */
    unsigned refs, subject_refs;                  /* of policies; of those that it is the subject of */
    uint64_t mark;
    size_t left_out;           /* pods that would be in it, as far as was seen */
    struct list lacking;       /* in policing.lacking while there are any */
    struct membership *of_pod; /* of the pod that is matched now; policing.c's own */
};
struct membership {
    struct list link; /* of the class */
    struct class *class;
    struct pod *pod;
    unsigned at; /* its place in pod->in */
};
struct space { /* a namespace, there or not */
    char *name;
    struct object *object; /* NULL: not there */
    struct list pods, classes;
};
struct node {
    char *name;
    struct list pods, places;
};
struct pod {
    struct list link, node_link;
    struct space *space;
    struct node *node; /* NULL: not bound */
    struct object *object;
    uint32_t ip; /* 0: none that counts */
    struct membership **in;
    unsigned count, cap;
    const struct class *filled; /* it is in this one already, while that is filled up */
    bool seen;
};
struct policy {
    struct list subject_link;
    struct object *object;
    struct class *subject;
    struct class **peers;
    unsigned peers_count, peers_cap;
    uint64_t version; /* no two have the same */
    uint64_t mark;
    bool seen;
};
struct told_policy {
    struct list due;
    struct policing_place *place;
    struct policy *policy; /* NULL: it is gone, and the next walk will say so */
    uint64_t version, mark;
};
struct told_class {
    struct list due, follower_link;
    struct policing_place *place;
    struct class *class; /* NULL: likewise */
    uint64_t began, sent, mark;
};
struct policing_place {
    struct list link; /* of its node */
    struct policing *p;
    struct node *node;
    void (*behind)(void *data);
    void *data;
    struct strmap policies, classes; /* key -> told_policy, told_class */
    struct list due_policies, due_classes;
    struct buf gone, dropped; /* what is to be said of them */
    uint32_t gone_count, dropped_count;
    bool walk, introduced;
    struct buf message; /* not sent yet; empty: there is none */
};
struct policing {
    const struct view *(*view)(void *data);
    void *data;
    struct strmap policies, pods, spaces, classes, nodes;
    struct list wide;    /* classes that name namespaces by labels */
    struct list lacking; /* classes that pods are left out of */
    size_t room, members;
    bool tracking; /* there are policies: pods are known */
    uint64_t version, mark;
    struct buf scratch;
    struct policing_stats stats;
};

#define POLICING_KEY_SIZE (NAMESPACE_KEY_MAX + NAME_KEY_MAX + 2)
struct str policing_key(char out[POLICING_KEY_SIZE], const struct object *o); /* "NAMESPACE/NAME" */
struct node *policing_get_node(struct policing *p, struct str name);
void policing_drop_node(struct policing *p, struct node *n); /* if nothing is left of it; may be NULL */

#endif
