/* The cluster roles and bindings that every cluster has, as Kubernetes' bootstrap policy has them, and with what
 * belongs to Reeve alone. Made at the first start, and looked at again whenever a master begins to lead: rules and
 * subjects that are missing come back, unless the annotation rbac.authorization.kubernetes.io/autoupdate says "false";
 * what somebody has added stays. Source: Kubernetes plugin/pkg/auth/authorizer/rbac/bootstrappolicy. */
#ifndef MASTER_AUTH_POLICY_H
#define MASTER_AUTH_POLICY_H

#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

/* Into the transaction, what of it is missing on this state. */
int policy_reconcile(const struct view *v, struct txn *t, struct error *err);

#endif
