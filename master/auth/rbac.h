/* Who may do what: a function of a view, and of nothing else.
 *
 * Somebody may do what a rule of a role says that a binding gives to him or to one of his groups: a ClusterRoleBinding
 * in the whole cluster, a RoleBinding in its namespace. Nobody can be forbidden what a rule allows. Bindings are found
 * by whom they name (the indexes SUBJECT and CLUSTER_SUBJECT), so what a decision costs grows with what is given to the
 * one who asks, not with what is given to others.
 *
 * Three are not asked for rules: whoever is in the group system:masters, the masters themselves, and nodes, which may
 * do what the pods that are bound to them need (below). Source: Kubernetes' RBAC and Node authorizers.
 *
 * A role gives nobody more than he has: who writes a role, or binds one, must hold all that it says, or hold the verb
 * `escalate` on the role, or `bind` on the role that is bound (rbac_holds). */
#ifndef MASTER_AUTH_RBAC_H
#define MASTER_AUTH_RBAC_H

#include "proto/facts/access.h"
#include "raft-store/store/view.h"

#define RBAC_GROUPS_MAX 64u
#define RBAC_NODE_USER  "system:node:"
#define RBAC_NODE_GROUP "system:nodes"
/* Somebody. Borrowed texts. */
struct rbac_subject {
    struct str user;
    struct str groups[RBAC_GROUPS_MAX];
    unsigned groups_count;
    struct str node; /* not empty: a node's agent */
    bool master;     /* another master, or who came with an administrator's certificate */
};
bool rbac_in_group(const struct rbac_subject *s, const char *group);

/* Why. Objects are the view's. */
struct rbac_answer {
    bool allowed;
    enum {
        RBAC_NO_RULE, /* nothing allows it */
        RBAC_MASTERS, /* system:masters */
        RBAC_NODE,    /* a node, for its pods */
        RBAC_RULE,    /* `rule` of `role`, given by `binding` */
    } by;
    const struct object *binding, *role; /* RULE */
    unsigned rule;                       /* its place in the role, from 0 */
    struct mp subject;                   /* of the binding: the one that stands for him */
    const struct object *pod;            /* NODE: that needs it, if one does */
};
bool rbac_decide(const struct view *v, const struct rbac_subject *s, const struct access *a, struct rbac_answer *out);
/* `RBAC: allowed by ClusterRoleBinding "x" of ClusterRole "y" to Group "z"`, as Kubernetes says it; empty if nothing
 * allows it. */
void rbac_write_reason(struct buf *out, const struct rbac_answer *answer);

/* All that is given to somebody in a namespace (empty: in the whole cluster): the lists of rules of his roles. The view
 * holds what they point to. *more: there are more than max. */
unsigned rbac_rules(const struct view *v, const struct rbac_subject *s, struct str ns, struct mp *lists, unsigned max,
                    bool *more);
/* Does somebody hold all that these rules give in a namespace? 0, ERR_FORBIDDEN with what he does not hold, or
 * ERR_TOO_LARGE: more than RBAC_COMPARE_MAX comparisons. */
#define RBAC_LISTS_MAX   1024u
#define RBAC_COMPARE_MAX 200000u
int rbac_holds(const struct view *v, const struct rbac_subject *s, struct str ns, struct mp rules, struct error *err);

/* `pods "web" is forbidden: User "kate" cannot get resource "pods" in API group "" in the namespace "default"`. */
int rbac_refuse(const struct rbac_subject *s, const struct access *a, struct error *err);
/* The second half of it: `cannot get resource "pods" in API group "" at the cluster scope`. */
void rbac_write_cannot(struct buf *out, const struct access *a);

#endif
