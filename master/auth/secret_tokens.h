/* Secrets that hold a token of a service account (type kubernetes.io/service-account-token, annotation
 * kubernetes.io/service-account.name): the leader fills in token, ca.crt and namespace, and the account's uid. Such a
 * token has no end but the Secret's and the account's; the Secret belongs to the account (ownerReferences), so it goes
 * with it. One whose account is not there, or is another one than its annotation says, is left as it is.
 * Source: Kubernetes' tokens_controller. Loop thread only. */
#ifndef MASTER_AUTH_SECRET_TOKENS_H
#define MASTER_AUTH_SECRET_TOKENS_H

struct change;
struct master;
void secret_tokens_on_tip(struct master *m, const struct change *changes, unsigned count);
void secret_tokens_tick(struct master *m); /* chores */

#endif
