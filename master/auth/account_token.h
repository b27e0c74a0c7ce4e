/* Tokens of service accounts: what they say, how long they are good, and whether what they speak of is still there.
 * (Tokens with which newcomers join are another thing: tokens.h.)
 *
 * A token is a JSON Web Token (proto/jwt) signed by one of the cluster's keys (account_keys.h). Its claims are those of
 * Kubernetes: iss, sub (system:serviceaccount:NS:NAME), aud, iat, nbf, exp, jti, and kubernetes.io with namespace,
 * serviceaccount {name, uid}, and what it is bound to: pod, secret or node {name, uid}. A pod's has its node besides.
 * It is good while it is its time and the account, and what it is bound to, are there with these uids: whoever takes a
 * token asks that of the state, each time. An account or a Secret that is being deleted counts as gone; a pod counts as
 * there until ACCOUNT_TOKEN_POD_ENDS_S after its deletionTimestamp (which is the end of its grace), so that it can end
 * in order, and no pod that hangs keeps its tokens.
 *
 * The token of a Secret (type kubernetes.io/service-account-token) is bound to that and has no exp. It is good while it
 * is the one that the Secret has: another one in its place, or none, ends it. What a Secret has that is longer than
 * ACCOUNT_TOKEN_SECRET_MAX is none of ours, and is not looked at.
 * Source: Kubernetes TokenRequest (authentication.k8s.io/v1) and pkg/serviceaccount. What is otherwise: at most
 * ACCOUNT_TOKEN_LIFE_MAX_S, and nobody's token is made longer than was asked for (so there is no warnafter). */
#ifndef MASTER_AUTH_ACCOUNT_TOKEN_H
#define MASTER_AUTH_ACCOUNT_TOKEN_H

#include "master/api/api.h"
#include "proto/model/value.h"
#include "raft-store/store/view.h"

#define ACCOUNT_TOKEN_LIFE_S     3600
#define ACCOUNT_TOKEN_LIFE_MIN_S 600
#define ACCOUNT_TOKEN_LIFE_MAX_S (365 * 86400) /* who asks for more is given this */
#define ACCOUNT_TOKEN_ASK_MAX_S  (1ll << 32)   /* and for more than this, nothing */
#define ACCOUNT_TOKEN_POD_ENDS_S 60            /* Kubernetes' leeway */
#define ACCOUNT_TOKEN_SECRET_MAX (4u << 10)    /* bytes of a Secret's; the longest names make about 3 KiB */

/* What a token says of whom it is. Borrowed from its claims. */
struct account_claims {
    struct str ns, account, account_uid;
    struct str pod, pod_uid, secret, secret_uid, node, node_uid; /* pod and secret empty: it is bound to none */
    struct str jti;
    int64_t issued_s, until_s; /* until_s 0: it has no end */
};
/* False: they are no claims of a service account. */
bool account_claims_read(const struct value *claims, struct account_claims *out);
/* Is all that they speak of there? now_s: since the epoch. ERR_UNAUTHORIZED says what is not. */
int account_claims_hold(const struct view *v, const struct account_claims *c, int64_t now_s, struct error *err);

/* May this node ask for that: for a pod that is bound to it, and to that pod alone? Beside what roles say
 * (access.c). */
int account_token_node_may(const struct view *v, struct str node, const struct api_account_token *q, struct error *err);
/* The token of a Secret, which has no end. ERR_NO_QUORUM: there is no key yet. */
int account_token_for_secret(struct master *m, const struct object *account, const struct object *secret,
                             struct buf *out, struct error *err);
/* Has this Secret a token of its own that nobody takes any more, as the key that signed it is gone? What is none of
 * ours is left to whoever wrote it. */
bool account_token_outlived(const struct master *m, const struct object *secret);

#endif
