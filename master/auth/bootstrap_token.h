/* Bootstrap tokens: who comes over HTTPS with "ID.SECRET" ([a-z0-9]{6}.[a-z0-9]{16}), of which the state has Secret
 * kube-system/bootstrap-token-ID of type bootstrap.kubernetes.io/token, as Kubernetes and kubeadm have them:
 *
 *   token-id, token-secret           ID and SECRET
 *   expiration                       RFC 3339; absent: it has no end. The controller "tokens" takes expired ones away
 *   usage-bootstrap-authentication   "true", or nobody comes with it
 *   auth-extra-groups                system:bootstrappers:..., with commas between
 *
 * He is user system:bootstrap:ID in group system:bootstrappers and the extra ones, and may what roles give these: none
 * of the default roles does. A join token (tokens.h) is a Secret of the same name and type without that usage and with
 * `role`: so it lets machines join and proves nobody over HTTPS, unless somebody writes both into one Secret.
 *
 * Both are asked of the state for each request; a Secret that is deleted, expired or changed ends what was proven with
 * it. Loop thread only. Source: Kubernetes' bootstrap token authenticator. */
#ifndef MASTER_AUTH_BOOTSTRAP_TOKEN_H
#define MASTER_AUTH_BOOTSTRAP_TOKEN_H

#include "master/auth/principal.h"
#include "raft-store/store/view.h"

bool bootstrap_token_is(struct str token); /* has it this form? */
/* Whose it is. ERR_UNAUTHORIZED says the same for every reason: a guesser learns nothing. */
int bootstrap_token_find(const struct view *v, struct str token, int64_t now_ms, struct principal *out,
                         struct error *err);
/* Was this principal proven by such a one? */
bool bootstrap_token_proved(const struct principal *p);
/* Is its Secret still as it was, and not expired? ERR_UNAUTHORIZED. */
int bootstrap_token_holds(const struct view *v, const struct principal *p, int64_t now_ms, struct error *err);

#endif
