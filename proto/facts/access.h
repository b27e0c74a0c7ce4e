/* What somebody wants to do, in the terms that roles have, and what a rule of a role says of it. Who may do it is
 * decided by master/auth/rbac.h. Source: Kubernetes rbac.authorization.k8s.io/v1 PolicyRule. */
#ifndef PROTO_FACTS_ACCESS_H
#define PROTO_FACTS_ACCESS_H

#include "proto/schema/object.h"

#define ACCESS_GROUP          "rbac.authorization.k8s.io"
#define ACCESS_MASTERS        "system:masters" /* whoever is in this group may do everything */
#define ACCESS_ACCOUNT_PREFIX "system:serviceaccount:"
#define ACCESS_AUTO_UPDATE    "rbac.authorization.kubernetes.io/autoupdate"
#define ACCESS_USER_MAX       360u /* bytes of a user's name that a binding can name */

struct access {
    struct str verb;            /* "get", "list", "create", ... */
    struct str group, resource; /* "apps", "deployments" */
    struct str sub;             /* a part of it: "log", "exec"; empty: the object itself */
    struct str ns, name;        /* ns empty: the whole cluster; name empty: no one object (list, create) */
    struct str path;            /* not empty: a path that is no resource, "/metrics"; only the verb counts beside it */
};
/* "*" stands for all, "pods/log" and "*" + "/scale" for parts, resourceNames without items for all names, and a path
 * may end in "*". */
bool access_rule_allows(struct mp rule, const struct access *a);
/* The user's name that a subject of a binding stands for: an account is "system:serviceaccount:NS:NAME". ns: of the
 * binding. False: it stands for nobody. */
bool access_subject(struct mp subject, struct str ns, bool *group, struct buf *name);
/* The role that a binding names; NULL: it names none that can be. *cluster: a ClusterRole. */
struct str access_binding_role(const struct object *binding, bool *cluster);

#endif
