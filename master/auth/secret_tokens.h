/* Secrets of type kubernetes.io/service-account-token: whoever makes one that names an account (annotation
 * kubernetes.io/service-account.name) finds a token of it there (`token`, `ca.crt`, `namespace`), and the Secret goes
 * with the account. For clients of before TokenRequest. Such a token has no end but the Secret's and the account's; one
 * whose key is gone (account_keys.h) is made anew. A Secret whose account is not there, or is another one than its
 * annotation says, is left as it is.
 *
 * The leader fills them in, each in a transaction of its own, SECRET_TOKENS_BATCH at a time. A walk over all reads the
 * tokens of SECRET_TOKENS_LOOKS at a time, and goes on with the next chores. One that cannot be written
 * (with a token it would be too large) keeps no other waiting: it has an event (TokenNotWritten), is counted
 * (secretTokensFailed), and is tried again after SECRET_TOKENS_BACK_MS, then twice as long, at most
 * SECRET_TOKENS_BACK_MAX_MS; or as soon as somebody changes it. Of SECRET_TOKENS_FAILED that is remembered, in the
 * leader's memory alone. Source: Kubernetes' tokens_controller. Loop thread only. */
#ifndef MASTER_AUTH_SECRET_TOKENS_H
#define MASTER_AUTH_SECRET_TOKENS_H

#include "raft-store/store/txn.h"

#define SECRET_TOKENS_BATCH       32u
#define SECRET_TOKENS_LOOKS       64u
#define SECRET_TOKENS_FAILED      256u
#define SECRET_TOKENS_BACK_MS     1000
#define SECRET_TOKENS_BACK_MAX_MS 300000

struct master;
struct change;
struct secret_tokens;
struct secret_tokens *secret_tokens_new(void);
void secret_tokens_free(struct secret_tokens *s); /* NULL is fine */
/* Leader: what has changed on the tip. */
void secret_tokens_on_tip(struct master *m, const struct change *changes, unsigned count);
/* From now on all are looked at: this master begins to lead, or other keys sign. */
void secret_tokens_look(struct master *m);
/* From the timer of chores. False: the walk over all has not come to its end, so that the next one goes on. */
bool secret_tokens_tick(struct master *m);

#endif
