/* What a new pod is given because of the account that it acts as, by the API's admission and by all controllers alike:
 * a volume with a token of the account, the cluster's CA and the namespace, mounted where programs look for them, and
 * the account's imagePullSecrets. Source: Kubernetes' admission plugin ServiceAccount.
 *
 * Only in a cluster whose configuration says so (podTokens: Automatic), and of an account that is there. A pod that
 * says automountServiceAccountToken: false, or whose account says so while the pod says nothing, gets no token; one
 * that mounts something else there keeps that. The volume is called after the account and not by chance: pods that are
 * alike stay alike. Otherwise than in Kubernetes a pod whose account is not there is not refused. Pure. */
#ifndef CONTROLLERS_ACCOUNTS_H
#define CONTROLLERS_ACCOUNTS_H

#include "proto/model/value.h"
#include "raft-store/store/view.h"

#define ACCOUNTS_MOUNT   "/var/run/secrets/kubernetes.io/serviceaccount"
#define ACCOUNTS_VOLUME  "kube-api-access-"
#define ACCOUNTS_LIFE_S  3607 /* as Kubernetes asks for it */
#define ACCOUNTS_ROOT_CA "kube-root-ca.crt"

/* pod: a whole document with its namespace. */
void accounts_give_pod(const struct view *v, struct arena *a, struct value *pod);

#endif
