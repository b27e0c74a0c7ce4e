/* What everybody must say alike about service accounts. Source: Kubernetes v1 ServiceAccount. */
#ifndef PROTO_FACTS_ACCOUNT_H
#define PROTO_FACTS_ACCOUNT_H

#include "proto/schema/object.h"

#define ACCOUNT_DEFAULT      "default" /* there is one in each namespace, and pods that name none are of it */
#define SECRET_TOKEN_TYPE    "kubernetes.io/service-account-token"
#define SECRET_TOKEN_ACCOUNT "kubernetes.io/service-account.name"
#define SECRET_TOKEN_UID     "kubernetes.io/service-account.uid"

/* The account of a pod. */
static inline struct str account_of_pod(const struct object *pod)
{
    struct str name = mp_str(mp_get(object_spec(pod), "serviceAccountName"));
    return name.n > 0 ? name : STR(ACCOUNT_DEFAULT);
}

#endif
